"""tunneld_*.deb and tunneld-autossh_*.deb: lintian, a first installation, an upgrade of a running service, removal and purge."""
import glob, re, subprocess
import use
from lab import INSTALLED, check

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
            lab.put(path, f"/root/{name}{number}")
    lab.must("systemctl", "start", "lab-sshd", "lab-target")
    before = everything(lab)
    installs(lab)
    use.starts_when_configured(lab)
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
    check("no unit was started", not lab.journal())
    use.is_installed(lab)
    for page in ("man1/tunneld-autossh.1", "man5/tunneld.toml.5", "man8/tunneld.8"):
        check(f"{page} is there", lab.do("gzip", "-t", f"/usr/share/man/{page}.gz").returncode == 0)
    completion = lab.do("bash", "-c", ". /usr/share/bash-completion/completions/tunneld && complete -p tunneld")
    check("bash completes it", completion.returncode == 0, completion.stderr)


def upgrades(lab):
    check("needrestart leaves it alone", lab.do("dpkg-query", "-W", "-f", "${Conffiles}", "tunneld").stdout.split()[:1] == [CONFFILE])
    lab.must("sh", "-c", f"echo '# an edit of ours' >>{CONFFILE}")
    use.goes_on(lab, lambda: dpkg(lab, "-i", "/root/tunneld1"), (use.CONFIG, CONFFILE))
    check("the new version is there", "test2" in lab.do("dpkg-query", "-W", "tunneld").stdout)


def replaces_autossh(lab):
    """Debian's package autossh owns the file /usr/bin/autossh, so that no alternative can: one of the two is installed."""
    [real] = lab.must("sh", "-c", "ls /root/autossh_*.deb").split()
    dpkg(lab, "-i", real)
    check("Debian's autossh is there", "tunneld" not in lab.do("autossh", "-V").stdout)
    said = dpkg(lab, "-i", "/root/autossh1")
    check("tunneld-autossh takes its place", state(lab, "autossh") != "ii" and state(lab, "tunneld-autossh") == "ii", said)
    version = lab.do("autossh", "-V").stdout
    check("/usr/bin/autossh is tunneld", version.startswith("autossh 1.4g") and "tunneld" in version, version)
    page = lab.do("readlink", "-f", "/usr/share/man/man1/autossh.1.gz").stdout.strip()
    check("and its manual page", page == "/usr/share/man/man1/tunneld-autossh.1.gz", page)
    fields = lab.do("dpkg-query", "-W", "-f", "${Provides} ${Conflicts} ${Replaces}", "tunneld-autossh").stdout
    check("what needs autossh is content with it", re.fullmatch(r"autossh \(= 1.4g\) autossh autossh", fields), fields)
    refused = lab.do("dpkg", "-i", real)
    check("Debian's does not come back unasked", refused.returncode != 0 and "conflict" in refused.stderr
          and "tunneld" in lab.do("autossh", "-V").stdout, refused.stderr)
    plan = lab.do("apt-get", "--simulate", "install", real)
    check("and asked for, it is put in its place again", "Remv tunneld-autossh" in plan.stdout and "Remv tunneld " not in plan.stdout, plan.stdout + plan.stderr)
    dpkg(lab, "-P", "tunneld-autossh")
    check("it goes with its package", lab.do("test", "-e", "/usr/bin/autossh").returncode == 1)
    dpkg(lab, "-i", real)
    check("and Debian's is there again", "tunneld" not in lab.do("autossh", "-V").stdout)
    dpkg(lab, "-P", "autossh")


def state(lab, package):
    """As the first column of `dpkg -l`: `ii` where the package is installed."""
    return lab.do("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", package).stdout.strip()


def goes(lab, before):
    dpkg(lab, "-r", "tunneld")
    use.is_gone(lab)
    dpkg(lab, "-i", "/root/tunneld1")
    lab.must("systemctl", "start", "tunneld")
    lab.wait_ready()
    dpkg(lab, "-P", "tunneld")
    left = everything(lab) - before
    check("a purge leaves nothing", not left, sorted(left))
    check("and no user", lab.do("getent", "passwd", "tunneld").returncode == 2 and lab.do("getent", "group", "tunneld").returncode == 2)
    failed = lab.do("systemctl", "--failed", "--plain", "--no-legend").stdout
    check("no unit has failed", not failed, failed)
