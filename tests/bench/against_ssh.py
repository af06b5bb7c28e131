#!/usr/bin/env python3
"""tunneld against `ssh -L`, on this machine, through one stock sshd: throughput, client CPU, latency, new connections, memory.

    make bench                                  # all of it, a few minutes
    python3 tests/bench/against_ssh.py --quick  # less of everything

A and B alternate within each row; medians are shown, with the range. Nothing here decides: it prints a table.
"""
import argparse, os, platform, statistics, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab

AES = "aes128-gcm@openssh.com"
CHACHA = "chacha20-poly1305@openssh.com"
STREAMS = 8
IDLE_AFTER = 15  # seconds


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    options.add_argument("--only", default="", help="rows whose name contains this")
    options = options.parse_args()
    if not os.path.exists(lab.TUNNELD):
        sys.exit(f"{lab.TUNNELD} is missing: run `make build`")
    runs, size = (3, 256 * lab.MIB) if options.quick else (7, 1024 * lab.MIB)
    sshd, server, plain = lab.Sshd(), lab.Server(), lab.PlainServer()
    about(sshd)
    print("| measurement | tunneld | ssh | tunneld / ssh |\n|---|---|---|---|")
    rows = [
        ("same cipher, AES-128-GCM", lambda name: stream(name, sshd, server, AES, AES, runs, size)),
        ("same cipher, chacha20-poly1305", lambda name: stream(name, sshd, server, CHACHA, CHACHA, runs, size)),
        ("each with its defaults", lambda name: stream(name, sshd, server, None, None, runs, size)),
        ("plain ends, AES-128-GCM", lambda name: stream(name, sshd, plain, AES, AES, runs, size)),
        (f"{STREAMS} streams, AES-128-GCM", lambda name: streams(name, sshd, server, runs, size // STREAMS)),
        ("50 ms round trip, defaults", lambda name: long_path(name, sshd, server, 0.05, 3 if options.quick else 5, 256 * lab.MIB)),
        ("100 ms round trip, defaults", lambda name: long_path(name, sshd, server, 0.1, 3 if options.quick else 5, 256 * lab.MIB)),
        ("new connections", lambda name: connections(name, sshd, server, runs)),
        ("round trip of one byte", lambda name: latency(name, sshd, server, runs)),
        ("memory", lambda name: memory(sshd, server)),
    ]
    for name, row in rows:
        if options.only in name:
            row(name)


def about(sshd):
    version = subprocess.run(["ssh", "-V"], capture_output=True, text=True).stderr.strip()
    with open("/proc/cpuinfo") as file:
        cpu = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    own = subprocess.run([lab.TUNNELD, "--version"], capture_output=True, text=True).stdout.strip()
    print(f"{time.strftime('%Y-%m-%d')}, {own}, {version}, Linux {platform.release()}, {os.cpu_count()} cores of {cpu}\n", flush=True)


def stream(name, sshd, server, ours, theirs, runs, size):
    clients = lab.Tunneld(sshd, server.port, cipher=ours), lab.Ssh(sshd, server.port, cipher=theirs)
    for way, word in ((b"d", "download"), (b"u", "upload")):
        samples = alternate(clients, runs, lambda client: lab.transfer(client, server, way, size))
        print_row(f"{name}: {word}, MiB/s", [[sample[0] for sample in side] for side in samples])
        print_row(f"{name}: {word}, client CPU s/GiB", [[sample[1] for sample in side] for side in samples], "{:.3f}")
    for client in clients:
        lab.stop(client.process)


def streams(name, sshd, server, runs, size):
    clients = lab.Tunneld(sshd, server.port, cipher=AES), lab.Ssh(sshd, server.port, cipher=AES)
    for way, word in ((b"d", "download"), (b"u", "upload")):
        samples = alternate(clients, runs, lambda client: lab.transfer_many(client, server, way, size, STREAMS))
        print_row(f"{name}: {word}, all together, MiB/s", samples)
    for client in clients:
        lab.stop(client.process)


def connections(name, sshd, server, runs):
    clients = lab.Tunneld(sshd, server.port), lab.Ssh(sshd, server.port)
    samples = alternate(clients, runs, lab.connections_a_second)
    print_row(f"{name}, one after the other, a second", samples)
    samples = alternate(clients, runs, lambda client: lab.connections_beside(client, STREAMS))
    print_row(f"{name}, {STREAMS} at a time, a second", [[sample[0] for sample in side] for side in samples])
    print_row(f"{name}, {STREAMS} at a time, client CPU µs each", [[sample[1] for sample in side] for side in samples])
    for client in clients:
        lab.stop(client.process)


def long_path(name, sshd, server, round_trip, runs, size):
    path = lab.SlowPath(sshd.port, round_trip / 2)
    clients = lab.Tunneld(sshd, server.port, via=path.port), lab.Ssh(sshd, server.port, via=path.port)
    samples = alternate(clients, runs, lambda client: lab.transfer(client, server, b"d", size))
    print_row(f"{name}: download, MiB/s", [[sample[0] for sample in side] for side in samples])
    for client in clients:
        lab.stop(client.process)


def latency(name, sshd, server, runs):
    clients = lab.Tunneld(sshd, server.port), lab.Ssh(sshd, server.port)
    samples = alternate(clients, runs, lab.round_trip_us)
    print_row(f"{name}, p50 µs", [[sample[0] for sample in side] for side in samples])
    print_row(f"{name}, p99 µs", [[sample[1] for sample in side] for side in samples])
    for client in clients:
        lab.stop(client.process)


def memory(sshd, server):
    one, many, count = lab.Tunneld(sshd, server.port), None, 200
    base = lab.anonymous_kib(one.process.pid)
    lab.stop(one.process)
    many = lab.Tunneld(sshd, server.port, count=count)
    # Idle is what follows the logins and the first proofs, which leave freed memory behind for a while.
    time.sleep(IDLE_AFTER)
    each = (lab.anonymous_kib(many.process.pid) - base) / (count - 1)
    ssh = lab.Ssh(sshd, server.port)
    theirs = lab.anonymous_kib(ssh.process.pid)
    with open(sshd.log) as file:
        refused = sum("MaxStartups" in line for line in file)
    print(f"| memory of one idle tunnel of {count} in one process, KiB | {each:.0f} | {theirs} (one process) | {each / theirs:.2f} |")
    print(f"| {count} tunnels to one stock sshd: seconds until all ready; refused by MaxStartups | {many.seconds_to_ready:.1f}; {refused} | | |", flush=True)
    lab.stop(many.process)
    lab.stop(ssh.process)


def alternate(clients, runs, measure):
    """One uncounted run of each, then A B A B …"""
    samples = [[], []]
    for run in range(runs + 1):
        for side, client in enumerate(clients):
            sample = measure(client)
            if run:
                samples[side].append(sample)
    return samples


def print_row(name, samples, form="{:.0f}"):
    cells = [f"{form.format(statistics.median(side))} ({form.format(min(side))}–{form.format(max(side))})" for side in samples]
    ratio = statistics.median(a / b for a, b in zip(*samples))
    print(f"| {name} | {cells[0]} | {cells[1]} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
