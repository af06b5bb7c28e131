#!/usr/bin/env python3
"""Pictures of the operator's commands, made from the real program.

    python3 -m venv /tmp/pictures && /tmp/pictures/bin/pip install pyte
    /tmp/pictures/bin/python docs/pictures/make.py [BINARY]      default: target/debug/tunneld

Starts an sshd of its own and the binary with tunnels in several states, on loopback, runs each command on a terminal of
110 columns (pyte, a terminal emulator, keeps the screen), and writes docs/pictures/*.svg. Needs OpenSSH's server.
"""
import fcntl, html, os, pty, select, shutil, socket, struct, subprocess, sys, termios, threading, time

import pyte

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BINARY = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else f"{ROOT}/target/debug/tunneld")
COLUMNS, ROWS = 110, 60
WATCH_ROWS = 30
CELL, LINE, MARGIN = 8, 18, 14
PATIENCE = 60
STYLE = """
svg { --back: #ffffff; --edge: #d0d7de; --text: #1f2328; --dim: #59636e; --red: #b3261e; --green: #116329;
      --yellow: #7d4e00; --blue: #0550ae; --magenta: #8250df; --cyan: #0b6a75; }
@media (prefers-color-scheme: dark) {
  svg { --back: #0d1117; --edge: #3d444d; --text: #e6edf3; --dim: #9198a1; --red: #ff7b72; --green: #3fb950;
        --yellow: #d29922; --blue: #79c0ff; --magenta: #d2a8ff; --cyan: #56d4dd; } }
rect { fill: var(--back); stroke: var(--edge); }
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: var(--text);
       white-space: pre; }
.bold { font-weight: 600; } .dim { fill: var(--dim); }
"""
COLOURS = {"red": "red", "green": "green", "brown": "yellow", "yellow": "yellow", "blue": "blue", "magenta": "magenta", "cyan": "cyan"}


def port(wish):
    """The wished one where it is free."""
    for number in (wish, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            return probe.getsockname()[1]


class Stage:
    """A server, services behind it, and a daemon."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        for name in ("host", "user", "other"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", f"{folder}/{name}"], check=True)
        self.ssh, self.echo, self.away, self.held = port(2222), port(3306), port(2022), port(8080)
        shutil.copy(f"{folder}/user.pub", f"{folder}/authorized_keys")
        known = lambda key: f"[127.0.0.1]:{self.ssh} " + " ".join(open(f"{folder}/{key}.pub").read().split()[:2]) + "\n"
        self.write("known_hosts", known("host"))
        self.write("old_known_hosts", known("other"))
        self.write("sshd_config", f"ListenAddress 127.0.0.1\nPort {self.ssh}\nHostKey {folder}/host\nPidFile none\nStrictModes no\n"
                   f"UsePAM no\nAuthorizedKeysFile {folder}/authorized_keys\n")
        self.serve(self.echo)
        self.holder = socket.create_server(("127.0.0.1", self.held))
        os.makedirs("/run/sshd", exist_ok=True)
        self.start(shutil.which("sshd", path="/usr/sbin:/usr/bin"), "-D", "-e", "-f", f"{folder}/sshd_config")
        self.write("tunneld.toml", self.config())
        self.start(BINARY, "--config", f"{folder}/tunneld.toml")

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w") as file:
            file.write(text)

    def start(self, *command):
        log = open(f"{self.folder}/{os.path.basename(command[0])}.log", "w")
        self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def config(self):
        self.entrance = port(13306)
        head = (f'control_socket = "{self.folder}/control.sock"\n[defaults]\nhost = "127.0.0.1"\nport = {self.ssh}\n'
                f'identity_file = "user"\nidentity_agent = "none"\nuser_known_hosts_file = "known_hosts"\n')
        tunnels = {
            "web-db": f'local_forward = ["{self.entrance}:127.0.0.1:{self.echo}", "{port(16379)}:127.0.0.1:6379"]',
            "reverse-ssh": f'remote_forward = ["{port(12022)}:127.0.0.1:{self.ssh}"]',
            "proxy": f'dynamic_forward = ["{port(1080)}"]',
            "backup": f'port = {self.away}\nlocal_forward = ["{port(18730)}:127.0.0.1:873"]',
            "mail": f'user_known_hosts_file = "old_known_hosts"\nlocal_forward = ["{port(10025)}:127.0.0.1:25"]',
            "intranet": f'local_forward = ["127.0.0.1:{self.held}:127.0.0.1:{self.echo}", "{port(18443)}:127.0.0.1:{self.echo}"]',
            "archive": f'enabled = false\nlocal_forward = ["{port(19000)}:127.0.0.1:9000"]',
        }
        return head + "".join(f'\n[[tunnel]]\nname = "{name}"\n{lines}\n' for name, lines in tunnels.items())

    def serve(self, at):
        server = socket.create_server(("127.0.0.1", at))

        def echo(peer):
            while bytes_ := peer.recv(65536):
                peer.sendall(bytes_)

        def accept():
            while True:
                threading.Thread(target=echo, args=(server.accept()[0],), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()

    def traffic(self):
        """Something to show in the rates, up and down."""
        def talk(pace):
            peer = socket.create_connection(("127.0.0.1", self.entrance))
            try:
                while True:
                    peer.sendall(b"x" * pace())
                    peer.recv(65536)
                    time.sleep(0.05)
            except OSError:
                """The daemon has stopped."""
        for pace in (lambda: 9000, lambda: 500 + int(20000 * (time.monotonic() % 7) / 7)):
            threading.Thread(target=talk, args=(pace,), daemon=True).start()

    def ask(self, *words):
        return subprocess.run([BINARY, *words, "--control-socket", f"{self.folder}/control.sock"], capture_output=True, text=True)

    def wait(self, what, name, word):
        end = time.monotonic() + PATIENCE
        while word not in (said := self.ask("why", name).stdout):
            if time.monotonic() > end:
                sys.exit(f"pictures: not in {PATIENCE} s: {what}: {said}")
            time.sleep(0.2)

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait()


def screen(command, rows, seconds, keys):
    """What a terminal shows when the command has ended, or after so many seconds; then the keys are typed."""
    show = pyte.Screen(COLUMNS, rows)
    stream = pyte.ByteStream(show)
    environment = {"TERM": "xterm-256color", "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], command, environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, COLUMNS, 0, 0))
    end = time.monotonic() + (seconds or PATIENCE)
    while (left := end - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                heard = os.read(terminal, 65536)
            except OSError:
                break
            if not heard:
                break
            stream.feed(heard)
            if b"\x1b[6n" in heard:
                os.write(terminal, b"\x1b[1;1R")
    lines = [[show.buffer[row][column] for column in range(COLUMNS)] for row in range(rows)]
    if keys:
        os.write(terminal, keys)
        time.sleep(1)
    os.close(terminal)
    os.waitpid(pid, 0)
    while lines and all(cell.data == " " and not cell.reverse for cell in lines[-1]):
        lines.pop()
    return lines


def runs(line):
    """Cells of one style that follow each other: where they begin, their text, the style."""
    style = lambda cell: (cell.fg, cell.bold, cell.reverse)
    found = []
    for column, cell in enumerate(line):
        if found and style(found[-1][2]) == style(cell):
            found[-1][1] += cell.data
        else:
            found.append([column, cell.data, cell])
    return found


def svg(title, lines):
    width, height = COLUMNS * CELL + 2 * MARGIN, (len(lines) + 2) * LINE + 2 * MARGIN
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(title)}">',
             f"<title>{html.escape(title)}</title><style>{STYLE}</style>",
             f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
             f'<text class="dim" x="{MARGIN}" y="{MARGIN + LINE * 0.7:.0f}">$ <tspan class="bold">{html.escape(title)}</tspan></text>']
    for row, line in enumerate(lines):
        y = MARGIN + (row + 2) * LINE
        for column, text, cell in runs(line):
            kept = text.rstrip()
            begins = len(kept) - len(kept.lstrip())
            if cell.reverse:
                parts.append(f'<rect x="{MARGIN + column * CELL}" y="{y - 13}" width="{len(text) * CELL}" height="{LINE}" style="fill:var(--edge);stroke:none"/>')
            if not (kept := kept.lstrip()):
                continue
            classes = "bold" if cell.bold else ""
            colour = COLOURS.get(cell.fg.removeprefix("bright"))
            colour = "dim" if cell.fg in ("brightblack", "black") else colour
            look = (f' class="{classes}"' if classes else "") + (f' style="fill:var(--{colour})"' if colour else "")
            at = MARGIN + (column + begins) * CELL
            parts.append(f'<text x="{at}" y="{y}" textLength="{len(kept) * CELL}"{look}>{html.escape(kept)}</text>')
    return "\n".join(parts) + "\n</svg>\n"


def main():
    folder = "/tmp/tunneld"   # it is in the pictures
    os.mkdir(folder, 0o700)
    try:
        stage = Stage(folder)
        try:
            for name, word in (("web-db", "ready"), ("proxy", "ready"), ("reverse-ssh", "ready"), ("mail", "host_key_changed"), ("intranet", "listen_in_use"), ("backup", "connect_refused")):
                stage.wait(f"{name} is {word}", name, word)
            stage.traffic()
            time.sleep(12)
            pictures = {
                "status": (["status"], ROWS, None, b""),
                "status-name": (["status", "web-db"], ROWS, None, b""),
                "watch": (["status", "--watch"], WATCH_ROWS, 25, b"q"),
                "why": (["why", "mail"], ROWS, None, b""),
                "doctor": (["doctor", "intranet"], ROWS, None, b""),
            }
            for name, (words, rows, seconds, keys) in pictures.items():
                place = ["--config", f"{folder}/tunneld.toml"]
                lines = screen([BINARY, *words, *place], rows, seconds, keys)
                text = svg("tunneld " + " ".join(words), lines)
                with open(f"{HERE}/{name}.svg", "w") as file:
                    file.write(text)
                print(f"{name}.svg: {len(lines)} lines, {len(text)} bytes")
        finally:
            stage.close()
    finally:
        shutil.rmtree(folder)


main()
