"""The result as a document."""
import datetime, os, platform, statistics, subprocess

import lab

INTRO = """# Soak: six tunnels, a fault each ten seconds

`make soak` runs `tests/soak/soak.py` with the release binary (`SOAK_SECONDS`, 1200 unless set): one tunnel each of `-L`, `-R`, `-D`,
unix sockets, a jump host and `sessions = 3`, all through one path to a stock sshd. Each tunnel has a long connection (4 MiB at
some 400 KiB/s, then another) and short ones (4 KiB, two a second) to an echo, and every byte is compared on its way back. The
faults come in turn, one each ten seconds.

- **whole**: connections of which every byte came back, and then the end. **cut**: reset, because their session or target went.
  **refused**: not even connected, as on a port of the server while no session holds it.
- **lost**: a clean end before the last byte, a wrong byte, or silence. One of them is a failure, and so is a tunnel that is not
  ready again within a minute of the last fault. Where a reset cannot be told, a clean end is a cut: on unix sockets, which have
  none, on the server (`-R`), whose sockets are sshd's, and from a target that was killed.
- Memory is anonymous memory. What counts is the sample after the warm-up (every fault once, then 25 s without users) against the
  sample at the end (the same quiet): it may differ by 4 MiB, 4 descriptors, 2 threads and 12 tasks.
"""


def markdown(soak, phases, before, after, ready, seconds, log_bytes, wrong):
    version = subprocess.run([lab.TUNNELD, "--version", "--verbose"], capture_output=True, text=True).stdout.split("\n")
    facts = dict(line.split(": ", 1) for line in version if ": " in line)
    commit, profile = facts.get("commit", "unknown")[:7], facts.get("profile", "unknown")
    cpu = next((line.split(": ")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    text = INTRO + f"\n{datetime.date.today()}, {version[0]} ({commit}, {profile}), Linux {platform.release()}, {os.cpu_count()} cores of {cpu}: " \
                   f"{seconds:.0f} s, {len(soak.told)} faults, all ready {ready:.1f} s after the last; the log took {log_bytes} bytes. " \
                   f"{'Failed: ' + '; '.join(wrong) if wrong else 'Nothing lost.'}\n"
    text += "\n| tunnel | whole | cut | refused | lost | MiB, in whole ones |\n|---|---|---|---|---|---|\n"
    for name in phases[0]:
        users = [phase[name] for phase in phases]
        total = lambda what: sum(getattr(some, what) for some in users)  # noqa: E731
        lost = sum(len(some.lost) for some in users)
        text += f"| {name} | {total('whole')} | {total('cut')} | {total('refused')} | {lost} | {total('bytes') / lab.MIB:.0f} |\n"
    text += "\n| | after the warm-up | at the end | most seen | under load: first quarter, median | last quarter |\n|---|---|---|---|---|---|\n"
    for what, title in (("memory", "memory, KiB"), ("descriptors", "descriptors"), ("threads", "threads"), ("tasks", "tasks"), ("children", "child processes")):
        seen = [sample[what] for sample in soak.samples if sample[what] is not None]
        if seen:
            quarter = max(1, len(seen) // 4)
            first, last = statistics.median(seen[:quarter]), statistics.median(seen[-quarter:])
            text += f"| {title} | {before[what]} | {after[what]} | {max(seen)} | {first:g} | {last:g} |\n"
    text += "\n| fault | times |\n|---|---|\n"
    for name in dict.fromkeys(soak.told):
        text += f"| {name} | {soak.told.count(name)} |\n"
    return text
