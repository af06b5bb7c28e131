"""A package upgrade: what `systemctl restart` costs those who connect, and those who are connected. docs/systemd.md has the figures."""
import time
from lab import check, tunnel

# Of the config here; less than the default, for the test's sake.
DRAIN = 3
# Beside the drain: a process ends, another one starts and logs in, on a busy machine.
START = 5


def run(lab):
    for carried in (False, True):
        restarted(lab, carried)
    lab.must("systemctl", "stop", "tunneld")


def restarted(lab, carried):
    """`carried`: a connection lives while the daemon is asked to end."""
    what = "upgrade, a connection open" if carried else "upgrade, nothing open"
    lab.config(f'stop_timeout = "{DRAIN}s"\n' + tunnel(more='remote_forward = ["7005:127.0.0.1:7000"]\n'))
    lab.must("systemctl", "restart", "tunneld")
    lab.wait_ready()
    talk = lab.talker() if carried else None
    check(f"{what}: it is carried", not carried or talk("before"))
    # As dpkg and rpm put a new file in the place of the old one.
    lab.must("sh", "-c", "cp /usr/bin/tunneld /usr/bin/tunneld.new && mv /usr/bin/tunneld.new /usr/bin/tunneld")
    pid = lab.prop("MainPID")
    check(f"{what}: the old program runs on", lab.do("readlink", f"/proc/{pid}/exe").stdout.strip().endswith("(deleted)"))
    begun, enough, refused = time.monotonic(), lab.asker(), lab.refusals(7005)
    lab.must("systemctl", "restart", "tunneld")
    took = time.monotonic() - begun
    lab.wait_ready()
    tally, away = enough(), refused()
    print(f"     systemctl restart took {took:.1f} s; of {tally['asked']} connections the longest waited {tally['longest']:.1f} s; "
          f"the remote forward was refused for {away:.1f} s")
    check(f"{what}: another process", lab.prop("MainPID") != pid)
    check(f"{what}: nothing refused of {tally['asked']}", tally["refused"] == 0, tally)
    limit = START + (DRAIN if carried else 0)
    check(f"{what}: a new connection waits {limit} s at most", tally["longest"] <= limit, tally)
    check(f"{what}: so long the remote forward is away at most", away <= limit, away)
    if carried:
        check(f"{what}: the connection was carried for stop_timeout, and is cut", took >= DRAIN and not talk("after"), took)
