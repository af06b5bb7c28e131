"""docs/migrating.md, step by step: from an autossh unit to tunneld, on a machine that is reached only through the tunnel."""
import os, re
from lab import ROOT, check

UNIT = "/etc/systemd/system/reverse-tunnel.service"
KEY = "/home/tunnel/.ssh/id_ed25519"


def run(lab):
    if lab.do("test", "-x", "/usr/lib/autossh/autossh").returncode:
        check("the real autossh is installed (Debian: apt-get install autossh)", False)
        return
    before(lab)
    text = imported(lab)
    beside(lab, text)
    moves(lab, text)
    after(lab, text)


def reached(lab, port):
    """A login from the relay, through the reverse tunnel."""
    return lab.do("ssh", "-p", str(port), "-i", "/etc/lab/user_key", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
                  "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=5", "root@127.0.0.1", "true").returncode == 0


def before(lab):
    """An autossh unit as tutorials have it."""
    lab.must("install", "-d", "-o", "tunnel", "-m", "700", "/home/tunnel", "/home/tunnel/.ssh")
    lab.must("install", "-o", "tunnel", "-m", "600", "/etc/lab/user_key", KEY)
    known = lab.must("cat", "/etc/lab/known_hosts").replace("127.0.0.1 ", "relay ")
    lab.write("/home/tunnel/.ssh/known_hosts", known, owner="tunnel", mode="600")
    lab.write(UNIT, f"""[Unit]
Description=AutoSSH reverse tunnel to the relay
After=network-online.target

[Service]
User=tunnel
Environment="AUTOSSH_GATETIME=0"
ExecStart=/usr/lib/autossh/autossh -M 0 -N -o "ServerAliveInterval 30" -o "ServerAliveCountMax 3" -o "ExitOnForwardFailure yes" -i {KEY} -R 2222:localhost:22 -L 3306:127.0.0.1:7000 root@relay
Restart=always

[Install]
WantedBy=multi-user.target
""")
    lab.must("systemctl", "daemon-reload")
    lab.must("systemctl", "enable", "--now", "reverse-tunnel")
    lab.wait("the machine is reached through autossh", lambda: reached(lab, 2222))
    check("migration: before, autossh carries", lab.greeted(3306))


def imported(lab):
    text = lab.must("tunneld", "import", "unit", "reverse-tunnel.service")
    wanted = ['name                    = "reverse-tunnel"', f'identity_file           = "{KEY}"', 'remote_forward          = ["2222:localhost:22"]',
              'local_forward           = ["3306:127.0.0.1:7000"]', "exit_on_forward_failure = true"]
    check("migration: `tunneld import unit` prints the tunnel", all(line in text for line in wanted), text)
    return text


def edited(text, forwards):
    """What the document says to change: the paths of another account, what would end the session, the forwards."""
    lines = [line for line in text.splitlines() if not re.match(r"identity_file|user_known_hosts_file|exit_on_forward_failure|\w+_forward", line)]
    return "\n".join([*lines, *forwards]) + "\n"


def beside(lab, text):
    """The new tunnel on a port of its own, beside the old one."""
    lab.must("install", "-d", "-o", "tunneld", "-g", "tunneld", "-m", "700", "/var/lib/tunneld/.ssh")
    for name in ("id_ed25519", "known_hosts"):
        lab.must("install", "-o", "tunneld", "-g", "tunneld", "-m", "600", f"/home/tunnel/.ssh/{name}", "/var/lib/tunneld/.ssh/")
    lab.write("/etc/tunneld.toml", edited(text, ['remote_forward = ["2223:localhost:22"]']))
    lab.must("systemctl", "enable", "--now", "tunneld")
    asked = lab.do("tunneld", "wait", "reverse-tunnel")
    check("migration: the new tunnel is ready beside the old one", asked.returncode == 0, asked.stdout + asked.stderr)
    check("migration: the machine is reached through both", reached(lab, 2222) and reached(lab, 2223))
    lab.wait("the daemon is confined", lambda: "confined: reads" in lab.journal())


def moves(lab, text):
    """The old addresses are asked for while autossh has them, and taken when it ends; a timer is the way back."""
    forwards = ['remote_forward = ["2222:localhost:22", "2223:localhost:22"]', 'local_forward = ["3306:127.0.0.1:7000"]']
    lab.write("/etc/tunneld.toml", edited(text, forwards))
    reloaded = lab.do("systemctl", "reload", "tunneld")
    check("migration: a reload asks for the old addresses too", reloaded.returncode == 0, lab.journal())
    lab.wait("both are busy", lambda: "1/3" in lab.do("tunneld", "status").stdout)
    check("migration: which autossh still has, while the new port goes on", reached(lab, 2222) and reached(lab, 2223) and lab.greeted(3306))
    lab.must("systemd-run", "--quiet", "--unit=way-back", "--on-active=15min", "systemctl", "start", "reverse-tunnel")
    local, remote = lab.refusals(3306), lab.refusals(2222)
    lab.must("systemctl", "disable", "--now", "reverse-tunnel")
    asked = lab.do("tunneld", "wait", "reverse-tunnel", "--timeout", "30s")
    check("migration: autossh ends, and tunneld has all of its addresses", asked.returncode == 0, asked.stdout + asked.stderr)
    gaps = local(), remote()
    print(f"     refused meanwhile: the local port for {gaps[0]:.1f} s, the remote one for {gaps[1]:.1f} s")
    check("migration: within seconds", max(gaps) <= 10, gaps)
    check("migration: the machine is reached through the old port", reached(lab, 2222) and lab.greeted(3306))
    lab.must("systemctl", "stop", "way-back.timer")


def after(lab, text):
    forwards = ['remote_forward = ["2222:localhost:22"]', 'local_forward = ["3306:127.0.0.1:7000"]']
    lab.write("/etc/tunneld.toml", edited(text, forwards))
    lab.must("systemctl", "reload", "tunneld")
    lab.wait("the second port is gone", lambda: not reached(lab, 2223))
    check("migration: the second port goes by a reload, the first stays", reached(lab, 2222))
    lab.must("systemctl", "start", "reverse-tunnel")
    check("migration: the old unit started by mistake does no harm", reached(lab, 2222) and lab.greeted(3306))
    lab.must("systemctl", "stop", "reverse-tunnel", "tunneld")
    document = open(os.path.join(ROOT, "docs/migrating.md")).read()
    steps = ["tunneld import unit", "systemd-run --unit=way-back --on-active=15min", "systemctl disable --now reverse-tunnel", "tunneld wait reverse-tunnel"]
    check("migration: the document has these steps", all(step in document for step in steps))
