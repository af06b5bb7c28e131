"""The results as a document."""

INTRO = """# Recovery: tunneld, autossh and ssh in a loop

`make bench-recovery` runs `tests/bench/recovery.py` (as root: it needs network namespaces): client - router - server, a
stock sshd, one `-L` and one `-R`, one fault. It takes about a quarter of an hour.

Every 100 ms a new TCP connection asks through the `-L` port on the client, and another through the `-R` port on the
server. Polling the `-R` port from the server is part of what is measured: after a path has died, it keeps the old
session on the server busy, and with it the port (a stock sshd ends a dead session only when TCP does). So it is for all
contenders; only takeover does not wait for it.

- **noticed**: seconds from the fault until the old `ssh` ended, or until tunneld's log first spoke of the tunnel.
- **-L, -R**: seconds from when the cause was gone until the first byte came back. `>{give_up}`: not while it was watched.
- **refused**: connections refused until then, `-L` / `-R`. A connection that is held and served late is not refused.
- **logins**: logins that the server counted from the fault on.

autossh has `-M 0`, AUTOSSH_GATETIME=0 and ExitOnForwardFailure=yes, with ServerAliveInterval x ServerAliveCountMax as named.
The loop is `while :; do ssh …; sleep 1; done`. tunneld has its defaults; takeover is `on_remote_port_busy = "takeover"`.
A "silent" path drops packets without a word. A half-dead server accepts TCP connections and never speaks (its processes
are stopped). The user is root, and each cell is one run, many of them side by side, autossh's and ssh's beside a compiler
too: look at the order of magnitude.
"""


def markdown(results, faults, contenders, give_up):
    text = INTRO.replace("{give_up}", str(give_up))
    measured = {}
    for cells in results.values():
        for name, cell in cells.items():
            by = cell["measured"]
            measured.setdefault((by["date"], by["program"], f"Linux {by['kernel']}, {by['cores']} cores"), set()).add(name)
    text += "\nMeasured:\n\n"
    for (date, program, machine), names in sorted(measured.items()):
        text += f"- {', '.join(name for name in contenders if name in names)}: {program}, {machine}, {date}\n"
    for fault in faults:
        if fault not in results:
            continue
        text += f"\n## {fault[0].upper() + fault[1:]}\n\n| | noticed | -L | -R | refused | logins |\n|---|---|---|---|---|---|\n"
        for name in contenders:
            if cell := results[fault].get(name):
                text += (f"| {name} | {seconds(cell['noticed'], '–')} | {seconds(cell['local'], f'>{give_up}')} | {seconds(cell['remote'], f'>{give_up}')} "
                         f"| {cell['refused_local']} / {cell['refused_remote']} | {cell['logins']} |\n")
    return text


def seconds(value, missing):
    return missing if value is None else f"{value:.1f}"
