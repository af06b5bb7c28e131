"""tunneld.service: start, reload, crash, hang, stop."""
import json, re, time
import journal
from lab import PORT, check, tunnel

MAX_EXPOSURE = 1.5


def run(lab):
    units_are_valid(lab)
    starts(lab)
    reloads(lab)
    comes_back(lab)
    journal.run(lab)
    stops(lab)


def units_are_valid(lab):
    version = int(re.search(r"systemd (\d+)", lab.do("systemctl", "--version").stdout)[1])
    for unit in ("tunneld.service", "tunneld@office.service"):
        verified = lab.do("systemd-analyze", "verify", "--man=no", unit)
        check(f"{unit} is valid", verified.returncode == 0 and "tunneld" not in verified.stderr, verified.stderr)
        text = lab.do("systemd-analyze", "security", "--no-pager", unit).stdout
        exposure = re.search(r"exposure level for .*: ([\d.]+)", text)
        check(f"{unit}: exposure {exposure and exposure[1]}, at most {MAX_EXPOSURE} (systemd {version})", exposure and float(exposure[1]) <= MAX_EXPOSURE, text)


def starts(lab):
    lab.config(tunnel())
    # The process waits at a gate before it becomes tunneld: to systemd it is running, and not ready.
    lab.must("mkfifo", "-m", "666", "/run/gate")
    lab.write("/run/systemd/system/tunneld.service.d/gate.conf", '[Service]\nExecStart=\nExecStart=/bin/sh -c "read -r _ </run/gate; exec /usr/bin/tunneld --config /etc/tunneld.toml"\n')
    lab.must("systemctl", "daemon-reload")
    lab.must("systemctl", "start", "--no-block", "tunneld")
    lab.wait("the process is there", lambda: lab.prop("MainPID") not in ("", "0"))
    check("without READY=1 it is not active", lab.prop("ActiveState") == "activating", lab.prop("ActiveState"))
    lab.must("sh", "-c", "echo >/run/gate")
    lab.wait("it is active", lambda: lab.prop("ActiveState") == "active")
    lab.must("rm", "/run/systemd/system/tunneld.service.d/gate.conf")
    lab.must("systemctl", "daemon-reload")
    lab.must("systemctl", "restart", "tunneld")
    check("READY=1 makes it active", lab.prop("ActiveState") == "active" and lab.prop("SubState") == "running")
    lab.wait_ready()
    check("STATUS= says that the tunnel is ready", "1/1 ready" in lab.do("systemctl", "status", "--no-pager", "tunneld").stdout)
    check("both listeners are stored", lab.prop("NFileDescriptorStore") == "2", lab.prop("NFileDescriptorStore"))
    pid = lab.do("cat", "/run/tunneld/tunneld.pid").stdout.strip()
    check("the pidfile has its pid", pid == lab.prop("MainPID"), pid)


def reloads(lab):
    talk = lab.talker()
    check("a connection is carried", talk("before"))
    lab.config(tunnel() + tunnel("more", "7001:127.0.0.1:7000"))
    check("a reload succeeds", lab.do("systemctl", "reload", "tunneld").returncode == 0)
    lab.wait_ready(tunnels=2)
    check("what it adds is there", lab.greeted(7001))
    check("and the connection lives", talk("after"))
    lab.config(tunnel() + "nonsense = 1\n")
    refused = lab.do("systemctl", "reload", "tunneld")
    check("a reload of a wrong config fails", refused.returncode != 0)
    check("and says why, with its place", re.search(r"/etc/tunneld.toml:\d+:1: error: unknown key `nonsense`", lab.journal()), lab.journal())
    check("and changes nothing", lab.prop("ActiveState") == "active" and talk("still") and lab.greeted(7001))
    lab.config(tunnel())
    lab.must("systemctl", "reload", "tunneld")
    lab.wait_ready()


def comes_back(lab):
    restarts = lambda: int(lab.prop("NRestarts"))
    for what, act, again in (
        ("kill -9", lambda: lab.do("systemctl", "kill", "--kill-who=main", "--signal=KILL", "tunneld"), True),
        ("systemctl restart", lambda: lab.do("systemctl", "restart", "tunneld"), False),
        ("a daemon that hangs (watchdog)", lambda: lab.do("kill", "-STOP", lab.prop("MainPID")), True),
    ):
        before, pid, enough = restarts(), lab.prop("MainPID"), lab.asker()
        act()
        lab.wait(f"another process after {what}", lambda: lab.prop("MainPID") not in (pid, "0") and lab.prop("ActiveState") == "active")
        lab.wait_ready()
        tally = enough()
        check(f"{what}: nothing refused of {tally['asked']}", tally["refused"] == 0 and tally["asked"] > 0, tally)
        # What was being carried when the process died is cut; what queued is not.
        check(f"{what}: what came meanwhile is served ({tally['unanswered']} cut)", tally["unanswered"] <= tally["asked"] // 10, tally)
        check(f"{what}: restarted by systemd" if again else f"{what}: by the operator", (restarts() > before) == again)
    events = [json.loads(line) for line in lab.do("journalctl", "-u", "tunneld", "-o", "json", "--no-pager").stdout.splitlines()]
    check("the journal tells the watchdog's end", any("atchdog" in str(event.get("MESSAGE")) for event in events))


def stops(lab):
    # systemd would kill after a second: it is asked to wait for stop_timeout.
    limit = "/run/systemd/system/tunneld.service.d/stop.conf"
    lab.write(limit, "[Service]\nTimeoutStopSec=1\n")
    lab.config('stop_timeout = "4s"\n' + tunnel())
    lab.must("systemctl", "daemon-reload")
    lab.must("systemctl", "restart", "tunneld")
    lab.wait_ready()
    talk = lab.talker()
    check("a connection is carried", talk("before"))
    begun = time.monotonic()
    lab.must("systemctl", "stop", "tunneld")
    took, result = time.monotonic() - begun, lab.prop("Result")
    check("a stop_timeout beyond TimeoutStopSec= is kept", took >= 4 and result == "success", (took, result))
    lab.must("rm", limit)
    lab.config(tunnel())
    lab.must("systemctl", "daemon-reload")
    lab.must("systemctl", "start", "tunneld")
    lab.wait_ready()
    lab.must("systemctl", "stop", "tunneld")
    check("a stop is clean", lab.prop("Result") == "success", lab.prop("Result"))
    check("and drops the listeners", lab.python(f"import socket; socket.create_connection(('127.0.0.1', {PORT}), 5)").returncode != 0)
    left = lab.do("find", "/run/tunneld").stdout
    check("and leaves neither pidfile nor socket", left == "", left)
