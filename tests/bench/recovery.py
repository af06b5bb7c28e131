#!/usr/bin/env python3
"""How long a tunnel is of no use after a fault: tunneld, autossh and ssh in a loop, on three hosts in namespaces.

    recovery.py [--only TEXT] [--fault TEXT] [--parallel N] [--markdown FILE]

With KEEP_LOGS=FOLDER in the environment, the logs and every probe of each cell are left there.

Every cell has hosts of its own, and most sleep, so many run side by side. Results are merged into recovery.json beside
the markdown file, from which the table is written: what was measured before stays, with its date.
"""
import argparse, concurrent.futures, datetime, json, os, platform, shutil, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "recovery"))
from contenders import CLIENT_ECHO, CONTENDERS, LOCAL, REMOTE, SERVER_ECHO, versions  # noqa: E402
from hosts import Hosts, unavailable  # noqa: E402
import table  # noqa: E402

DOCS = os.path.join(os.path.dirname(os.path.dirname(HERE)), "docs/benchmarks/recovery.md")
START_WITHIN = 60
SETTLE = 5         # the age of the session when the fault comes
GIVE_UP = 180      # after the cause is gone
AFTERWARDS = 3     # for logins that come late

# name: (seconds, how it begins, how it ends)
FAULTS = {
    "session killed": (0, Hosts.kill_sessions, None),
    "server restart 5 s": (5, Hosts.kill_server, Hosts.start_sshd),
    "server restart 30 s": (30, Hosts.kill_server, Hosts.start_sshd),
    "silent 20 s, both ways": (20, Hosts.drop_all, Hosts.undrop),
    "silent 20 s, answers lost": (20, Hosts.drop_answers, Hosts.undrop),
    "silent 60 s, both ways": (60, Hosts.drop_all, Hosts.undrop),
    "silent 60 s, answers lost": (60, Hosts.drop_answers, Hosts.undrop),
    "silent 180 s, both ways": (180, Hosts.drop_all, Hosts.undrop),
    "silent 180 s, answers lost": (180, Hosts.drop_answers, Hosts.undrop),
    "link down 60 s": (60, Hosts.link_down, Hosts.link_up),
    "link down 300 s": (300, Hosts.link_down, Hosts.link_up),
    "address change": (0, Hosts.move_client, None),
    "half-dead server 60 s": (60, Hosts.freeze_server, Hosts.thaw_server),
}


def probes(path):
    try:
        lines = open(path).read().splitlines()
    except FileNotFoundError:
        return []
    return [(float(start), float(end), result) for start, end, result in (line.split() for line in lines if line.count(" ") == 2)]


def first_ok(path, since, after):
    ends = [end for start, end, result in probes(path) if result == "ok" and start >= since and end >= after]
    return min(ends, default=None)


def wait(contender, until, done=lambda: False):
    while time.monotonic() < until and not done():
        contender.look()
        time.sleep(0.05)


def measure(number, name, fault):
    seconds, begin, end = FAULTS[fault]
    folder = tempfile.mkdtemp(prefix="tunneld-recovery-")
    hosts = Hosts(f"{os.getpid()}-{number}", os.path.join(folder, "h"))
    try:
        contender = CONTENDERS[name]()
        local, remote = hosts.path("local"), hosts.path("remote")
        program = [sys.executable, os.path.join(HERE, "recovery/probe.py")]
        hosts.spawn("client", *program, str(CLIENT_ECHO), str(LOCAL), local)
        hosts.spawn("server", *program, str(SERVER_ECHO), str(REMOTE), remote)
        contender.start(hosts)
        deadline = time.monotonic() + START_WITHIN
        while not (first_ok(local, 0, 0) and first_ok(remote, 0, 0)):
            if time.monotonic() > deadline:
                raise RuntimeError("it does not start: " + open(hosts.path("client.log")).read()[-600:])
            time.sleep(0.1)
        time.sleep(SETTLE)
        contender.ready()
        logins = hosts.sshd_log().count("Accepted publickey")
        begun = time.monotonic()
        begin(hosts)
        wait(contender, begun + seconds)
        if end:
            end(hosts)
        gone = time.monotonic()
        # Where nothing need end, a client that asked before the fault was complete may have been answered by the old path.
        since = begun if end else gone
        found = {}

        def recovered():
            # The files are long: look at each twice a second only.
            if time.monotonic() - found.get("looked", 0) > 0.5:
                found.update(looked=time.monotonic(), local=first_ok(local, since, gone), remote=first_ok(remote, since, gone))
            return found.get("local") and found.get("remote")

        wait(contender, gone + GIVE_UP, recovered)
        wait(contender, time.monotonic() + AFTERWARDS)
        after = lambda way: None if found[way] is None else round(found[way] - gone, 2)
        refused = lambda path, way: sum(1 for start, _, result in probes(path)
                                        if result == "refused" and start >= begun and start <= (found[way] or start))
        noticed = contender.noticed(hosts, begun)
        return {"noticed": None if noticed is None else round(noticed - begun, 2), "local": after("local"), "remote": after("remote"),
                "refused_local": refused(local, "local"), "refused_remote": refused(remote, "remote"),
                "logins": hosts.sshd_log().count("Accepted publickey") - logins}
    finally:
        try:
            if keep := os.environ.get("KEEP_LOGS"):
                shutil.copytree(hosts.folder, os.path.join(keep, f"{name}, {fault}"), ignore=shutil.ignore_patterns("*.sock"), dirs_exist_ok=True)
        finally:
            hosts.close()
            shutil.rmtree(folder, ignore_errors=True)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", default="", help="contenders whose name contains this")
    options.add_argument("--fault", default="", help="faults whose name contains this")
    options.add_argument("--parallel", type=int, default=16)
    options.add_argument("--markdown", default=DOCS)
    options = options.parse_args()
    if reason := unavailable():
        sys.exit(f"recovery.py: nothing was measured: {reason}")
    cells = [(name, fault) for name in CONTENDERS if options.only in name for fault in FAULTS if options.fault in fault]
    cells.sort(key=lambda cell: -FAULTS[cell[1]][0])
    machine = {"date": datetime.date.today().isoformat(), "kernel": platform.release(), "cores": os.cpu_count()}
    programs = versions()
    file = os.path.splitext(options.markdown)[0] + ".json"
    results = json.load(open(file)) if os.path.exists(file) else {}
    failed = False
    with concurrent.futures.ThreadPoolExecutor(options.parallel) as pool:
        running = {pool.submit(measure, number, *cell): cell for number, cell in enumerate(cells)}
        for done in concurrent.futures.as_completed(running):
            name, fault = running[done]
            try:
                result = done.result()
            except Exception as error:
                failed = True
                print(f"{name}, {fault}: failed: {error}", file=sys.stderr, flush=True)
                continue
            print(f"{name}, {fault}: {result}", flush=True)
            results.setdefault(fault, {})[name] = {**result, "measured": {**machine, "program": programs[name]}}
    with open(file, "w") as out:
        json.dump({fault: results[fault] for fault in FAULTS if fault in results}, out, indent=1)
    with open(options.markdown, "w") as out:
        out.write(table.markdown(results, list(FAULTS), list(CONTENDERS), GIVE_UP))
    sys.exit(failed)


if __name__ == "__main__":
    main()
