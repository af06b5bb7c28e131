"""The other units: one file a tunnel, a user's own, one that waits for a tunnel, an autossh unit as people have it, and one
that starts as root and becomes another user."""
from lab import ROOT, check, tunnel


def run(lab):
    template(lab)
    waits_for_a_tunnel(lab)
    user_unit(lab)
    autossh(lab)
    becomes_a_user(lab)


def template(lab):
    lab.write("/etc/tunneld/office.toml", tunnel("office", "7001:127.0.0.1:7000"))
    lab.write("/etc/tunneld/home.toml", tunnel("home", "7002:127.0.0.1:7000"))
    lab.must("systemctl", "start", "tunneld@office", "tunneld@home")
    for name, port in (("office", 7001), ("home", 7002)):
        lab.wait_ready(f"tunneld@{name}")
        check(f"tunneld@{name} runs its file", lab.greeted(port))
    check("and reloads", lab.do("systemctl", "reload", "tunneld@office").returncode == 0)
    asked = lab.do("tunneld", "--control-socket", "/run/tunneld-office/control.sock", "status")
    check("and answers on its socket", asked.returncode == 0 and "office" in asked.stdout and "home" not in asked.stdout, asked.stdout + asked.stderr)
    pid = lab.prop("MainPID", "tunneld@home")
    lab.must("systemctl", "restart", "tunneld@office")
    check("a restart of one leaves the other alone", lab.prop("MainPID", "tunneld@home") == pid)
    lab.must("systemctl", "stop", "tunneld@office", "tunneld@home")


def waits_for_a_tunnel(lab):
    unit = open(f"{ROOT}/systemd/examples/app.service").read()
    lab.write("/etc/systemd/system/app.service", unit.replace("/usr/local/bin/reports --database 127.0.0.1:3307", "/bin/sleep infinity"))
    lab.must("systemctl", "daemon-reload")
    lab.must("systemctl", "stop", "lab-sshd")
    lab.config(tunnel("web-db"))
    lab.must("systemctl", "start", "--no-block", "app")
    lab.wait("app waits", lambda: lab.prop("SubState", "app") == "start-pre" and lab.prop("ActiveState") == "active")
    check("app.service waits while its tunnel is not ready", lab.prop("ActiveState", "app") == "activating")
    lab.must("systemctl", "start", "lab-sshd")
    lab.wait("app runs", lambda: lab.prop("ActiveState", "app") == "active")
    asked = lab.do("tunneld", "status")
    check("and starts once it is", asked.returncode == 0, asked.stdout)
    lab.must("systemctl", "stop", "app", "tunneld")


def user_unit(lab):
    uid = lab.must("id", "-u", "someone").strip()
    runtime = f"/run/user/{uid}"
    lab.must("install", "-d", "-o", "someone", "-m", "700", runtime)
    lab.must("install", "-D", "-o", "someone", "-m", "600", "/etc/lab/user_key", "/home/someone/key")
    folder = "/home/someone/.config/tunneld"
    lab.must("install", "-D", "-o", "someone", "-m", "600", "/etc/lab/known_hosts", "/home/someone/.ssh/known_hosts")
    lab.must("chown", "-R", "someone", "/home/someone")
    lab.must("systemctl", "start", f"user@{uid}")
    as_user = ["setpriv", "--reuid=someone", "--regid=someone", "--init-groups", "env", "HOME=/home/someone", "USER=someone", f"XDG_RUNTIME_DIR={runtime}"]
    check("a user without a config does not run the system's", lab.do(*as_user, "systemctl", "--user", "start", "tunneld").returncode != 0)
    lab.must("install", "-d", "-o", "someone", folder)
    # The name that the unit had first counts where there is no other.
    lab.write(f"{folder}/tunneld.toml", tunnel("earlier", "7002:127.0.0.1:7000", "~/key"))
    lab.must("chown", "someone", f"{folder}/tunneld.toml")
    lab.must(*as_user, "systemctl", "--user", "start", "tunneld")
    lab.wait("the tunnel of tunneld.toml carries", lambda: lab.greeted(7002))
    lab.must(*as_user, "systemctl", "--user", "stop", "tunneld")
    lab.must("rm", f"{folder}/tunneld.toml")
    lab.must(*as_user, "tunneld", "init", "--local", "7001:127.0.0.1:7000", "--name", "mine", "--identity", "~/key", "root@127.0.0.1")
    lab.must(*as_user, "systemctl", "--user", "start", "tunneld")
    lab.wait("the user's tunnel carries", lambda: lab.greeted(7001))
    check("a user's own tunneld.service carries", True)
    check("and reloads", lab.do(*as_user, "systemctl", "--user", "reload", "tunneld").returncode == 0)
    asked = lab.do(*as_user, "tunneld", "status")
    check("and answers its user without any option", "mine" in asked.stdout, asked.stderr)
    lab.must(*as_user, "systemctl", "--user", "kill", "--kill-who=main", "--signal=KILL", "tunneld")
    lab.wait("it comes back", lambda: lab.greeted(7001))
    check("and comes back after kill -9", True)
    lab.must(*as_user, "systemctl", "--user", "stop", "tunneld")
    lab.must("systemctl", "stop", f"user@{uid}")


def autossh(lab):
    started = lab.do("systemctl", "start", "autossh")
    lab.wait("autossh carries", lambda: lab.greeted(3307))
    check("an autossh unit starts", started.returncode == 0, started.stderr)
    lab.do("systemctl", "restart", "lab-sshd")
    told = lambda: lab.do("journalctl", "-t", "autossh", "-o", "cat", "--no-pager").stdout
    lab.wait("autossh starts again", lambda: "starting ssh (count 2)" in told() and lab.greeted(3307))
    check("and its tunnel is back after the server's restart, told in the journal", "restarting ssh" in told(), told())
    lab.do("systemctl", "stop", "autossh")
    check("a stop ends it with 1, as autossh", lab.prop("ExecMainStatus", "autossh") == "1", lab.prop("ExecMainStatus", "autossh"))


def becomes_a_user(lab):
    lab.write("/run/systemd/system/rooted.service", "[Service]\nType=notify\nExecStart=/usr/bin/tunneld --config /etc/rooted.toml\nExecReload=/usr/bin/tunneld reload --config /etc/rooted.toml\nFileDescriptorStoreMax=64\n")
    lab.must("systemctl", "daemon-reload")
    config = 'user = "someone"\npid_file = "/run/rooted/pid"\ncontrol_socket = "/run/rooted/s"\n' + tunnel("r", "443:127.0.0.1:7000", "/home/someone/key")
    lab.write("/etc/rooted.toml", config)
    lab.must("systemctl", "start", "rooted")
    lab.wait_ready("rooted")
    check("started as root, it binds a port below 1024", lab.greeted(443))
    pid, uid = lab.prop("MainPID", "rooted"), lab.must("id", "-u", "someone").strip()
    for task in lab.must("ls", f"/proc/{pid}/task").split():
        lines = lab.must("cat", f"/proc/{pid}/task/{task}/status").splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        check(f"thread {status['Name'].strip()} is the user's for good", status["Uid"].split() == [uid] * 4 and "0" not in status["Gid"].split() + status["Groups"].split(), status["Uid"])
        check("and has no capability and no way to one", status["CapPrm"] == status["CapEff"] == "0" * 16 and status["NoNewPrivs"] == "1", status["CapPrm"])
    owner = lab.must("stat", "-c", "%U", "/run/rooted/pid", "/run/rooted/s").split()
    check("pidfile and control socket are the user's", owner == ["someone", "someone"], owner)
    as_user = ["setpriv", "--reuid=someone", "--regid=someone", "--clear-groups"]
    check("another process of its user cannot read its memory", lab.do(*as_user, "head", "-c1", f"/proc/{pid}/environ").returncode != 0)
    check("no core dump", "0                    0" in lab.must("grep", "core file", f"/proc/{pid}/limits"))

    lab.write("/etc/rooted.d/root-only.toml", tunnel("hidden", "7009:127.0.0.1:7000"), mode="600")
    lab.write("/etc/rooted.toml", 'include = "/etc/rooted.d/*.toml"\n' + config)
    refused = lab.do("systemctl", "reload", "rooted")
    check("a file for root alone is not read at a reload", refused.returncode != 0 and "ermission denied" in lab.journal("rooted"), lab.journal("rooted"))
    lab.write("/etc/rooted.toml", config + tunnel("added", "7001:127.0.0.1:7000", "/home/someone/key"))
    check("a reload succeeds, and reads the key again", lab.do("systemctl", "reload", "rooted").returncode == 0)
    lab.wait_ready("rooted", tunnels=2)
    lab.must("systemctl", "restart", "lab-sshd")
    lab.wait("it connects again", lambda: lab.greeted(443) and lab.greeted(7001))
    check("and it connects again", True)
    lab.must("systemctl", "restart", "rooted")
    lab.wait_ready("rooted", tunnels=2)
    check("a restart does, too", lab.greeted(443))
    lab.must("systemctl", "stop", "rooted")
    left = lab.do("find", "/run/rooted", "-type", "f", "-o", "-type", "s").stdout
    check("a stop leaves neither pidfile nor socket", left == "", left)
