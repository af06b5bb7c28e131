"""tunneld_*.deb and tunneld-autossh_*.deb: lintian, a first installation, an upgrade of a running service, removal and purge."""
import glob, re, subprocess
from lab import INSTALLED, check, tunnel

CONFIG = "/etc/tunneld.toml"
HOME = "/var/lib/tunneld"
CONFFILE = "/etc/needrestart/conf.d/tunneld.conf"


def run(folders, lab):
    packages = [{"autossh" if "autossh" in path else "tunneld": path for path in glob.glob(f"{folder}/*.deb")} for folder in folders]
    for name, path in packages[0].items():
        lint = subprocess.run(["lintian", "--fail-on", "error,warning", path], capture_output=True, text=True)
        check(f"{name}: lintian has no errors and no warnings", lint.returncode == 0, lint.stdout + lint.stderr)
    # The lab brings tunneld; here the package does.
    lab.must("rm", "/usr/bin/tunneld", "/usr/bin/autossh", *(f"/{path}" for path in INSTALLED.values()))
    for number, package in enumerate(packages):
        for name, path in package.items():
            with open(path, "rb") as file:
                subprocess.run([*lab.enter(), "tee", f"/root/{name}{number}"], stdin=file, stdout=subprocess.DEVNULL, check=True)
    lab.must("systemctl", "start", "lab-sshd", "lab-target")
    before = everything(lab)
    installs(lab)
    starts_when_configured(lab)
    upgrades(lab)
    replaces_autossh(lab)
    goes(lab, before)


def dpkg(lab, *words):
    done = lab.do("dpkg", *words)
    check(f"dpkg {' '.join(words)}", done.returncode == 0, done.stdout + done.stderr)
    return done.stdout + done.stderr


def everything(lab):
    """All files that have to do with tunneld, by their names."""
    found = lab.do("find", "/etc", "/usr", "/var", "/run", "/root", "-xdev", "-name", "*tunneld*", "-not", "-path", "/etc/systemd/system/*.d*")
    return set(found.stdout.split())


def installs(lab):
    dpkg(lab, "-i", "/root/tunneld0")
    account = lab.do("getent", "passwd", "tunneld").stdout.strip()
    check("there is a user tunneld", account.endswith(f":{HOME}:/usr/sbin/nologin"), account)
    check("its home is for it alone", lab.do("stat", "-c", "%U %a", HOME).stdout.strip() == "tunneld 700")
    check("the service is there, and not enabled", lab.do("systemctl", "is-enabled", "tunneld").stdout.strip() == "disabled")
    check("nothing was started", lab.prop("ActiveState") == "inactive" and lab.prop("Result") == "success" and not lab.journal())
    check("no config was made up", lab.do("test", "-e", CONFIG).returncode == 1)
    for page in ("man1/tunneld-autossh.1", "man5/tunneld.toml.5", "man8/tunneld.8"):
        check(f"{page} is there", lab.do("gzip", "-t", f"/usr/share/man/{page}.gz").returncode == 0)
    completion = lab.do("bash", "-c", ". /usr/share/bash-completion/completions/tunneld && complete -p tunneld")
    check("bash completes it", completion.returncode == 0, completion.stderr)
    example = lab.do("tunneld", "check", "--config", "/usr/share/doc/tunneld/examples/tunneld.toml")
    check("the example config is right", example.returncode == 0, example.stderr)
    check("the demonstration runs", lab.do("tunneld", "demo").returncode == 0)


def starts_when_configured(lab):
    check("without a config a start fails", lab.do("systemctl", "start", "tunneld").returncode != 0)
    check("and says what to do", "tunneld init" in lab.journal(), lab.journal())
    check("and is not tried again", lab.prop("ActiveState") == "failed")
    first = lab.do("tunneld", "init", "--local", "3306:127.0.0.1:7000", "--name", "t", "root@127.0.0.1")
    check("`tunneld init` writes one that the service can read", first.returncode == 0
          and lab.do("stat", "-c", "%G %a", CONFIG).stdout.strip() == "tunneld 640", first.stderr)
    lab.must("install", "-o", "tunneld", "-m", "600", "/etc/lab/user_key", f"{HOME}/key")
    lab.config(tunnel() + "# an edit of ours\n")
    lab.must("systemctl", "enable", "--now", "tunneld")
    lab.wait_ready()


def upgrades(lab):
    check("needrestart leaves it alone", lab.do("dpkg-query", "-W", "-f", "${Conffiles}", "tunneld").stdout.split()[:1] == [CONFFILE])
    lab.must("sh", "-c", f"echo '# an edit of ours' >>{CONFFILE}")
    pid, config = lab.prop("MainPID"), lab.must("sha256sum", CONFIG, CONFFILE)
    talk, enough = lab.talker(), lab.asker()
    check("a connection is carried", talk("before"))
    said = dpkg(lab, "-i", "/root/tunneld1")
    check("the new version is there", "test2" in lab.do("dpkg-query", "-W", "tunneld").stdout)
    check("the upgrade stopped nothing", lab.prop("MainPID") == pid and talk("after"))
    check("and says what to do", "systemctl restart tunneld.service" in said, said)
    check("the config is as it was, and so is an edited conffile", lab.must("sha256sum", CONFIG, CONFFILE) == config)
    check("the service is still enabled", lab.do("systemctl", "is-enabled", "tunneld").stdout.strip() == "enabled")
    lab.must("systemctl", "restart", "tunneld")
    lab.wait_ready()
    tally = enough()
    check(f"no connection was refused or left without an answer by upgrade and restart ({tally})",
          tally["asked"] > 10 and tally["refused"] == tally["unanswered"] == 0)
    check("the new process runs", lab.prop("MainPID") not in (pid, "0"))


def replaces_autossh(lab):
    dpkg(lab, "-i", "/root/autossh1")
    version = lab.do("autossh", "-V").stdout
    check("/usr/bin/autossh is tunneld", version.startswith("autossh 1.4g") and "tunneld" in version, version)
    fields = lab.do("dpkg-query", "-W", "-f", "${Provides} ${Conflicts} ${Replaces}", "tunneld-autossh").stdout
    check("in the place of Debian's", re.fullmatch(r"autossh \(= 1.4g\) autossh autossh", fields), fields)
    dpkg(lab, "-P", "tunneld-autossh")
    check("and goes with its package", lab.do("test", "-e", "/usr/bin/autossh").returncode == 1)


def goes(lab, before):
    dpkg(lab, "-r", "tunneld")
    check("a removal stops the service", lab.do("pgrep", "-x", "tunneld").returncode == 1 and lab.prop("ActiveState") != "active")
    check("and takes it from the boot", not lab.do("find", "/etc/systemd/system", "-lname", "*tunneld*").stdout)
    check("and keeps the config and what is in its home", lab.do("test", "-s", CONFIG).returncode == 0
          and lab.do("test", "-s", f"{HOME}/key").returncode == 0)
    dpkg(lab, "-i", "/root/tunneld1")
    lab.must("systemctl", "start", "tunneld")
    lab.wait_ready()
    dpkg(lab, "-P", "tunneld")
    left = everything(lab) - before
    check("a purge leaves nothing", not left, sorted(left))
    check("and no user", lab.do("getent", "passwd", "tunneld").returncode == 2 and lab.do("getent", "group", "tunneld").returncode == 2)
    failed = lab.do("systemctl", "--failed", "--plain", "--no-legend").stdout
    check("no unit has failed", not failed, failed)
