"""tunneld-*.rpm and tunneld-autossh-*.rpm: read by rpm, installed into an empty tree, and with their scripts into a system
with systemd. That is Debian with Debian's rpm: what the scripts call is the same there."""
import glob, os, re, subprocess
import use
from lab import check

HAS = """/usr/bin/tunneld /usr/lib/systemd/system/tunneld.service /usr/lib/systemd/system/tunneld@.service /usr/lib/systemd/user/tunneld.service
/usr/lib/sysusers.d/tunneld.conf /usr/lib/tmpfiles.d/tunneld.conf /usr/share/man/man8/tunneld.8.gz /usr/share/man/man5/tunneld.toml.5.gz
/usr/share/man/man1/tunneld-autossh.1.gz /usr/share/bash-completion/completions/tunneld /usr/share/zsh/site-functions/_tunneld
/usr/share/fish/vendor_completions.d/tunneld.fish /usr/share/doc/tunneld/troubleshooting.md /usr/share/doc/tunneld/LICENSE-MIT
/usr/share/doc/tunneld/examples/tunneld.toml""".split()

# What it may require: the C library, a shell, systemd, and abilities of rpm itself.
REQUIRES = r"(/bin/sh|systemd|rtld\(GNU_HASH\)|lib(c|m|gcc_s|dl|pthread)\.so\.\d\(.*|ld-linux.*|rpmlib\(.*)$"


def rpm(*words):
    return subprocess.run(["rpm", *words], capture_output=True, text=True)


def found(folder):
    return {"autossh" if "autossh" in path else "tunneld": path for path in glob.glob(f"{folder}/*.rpm")}


def run(folder, scratch):
    packages = found(folder)
    files = rpm("-qlp", packages["tunneld"]).stdout.split()
    check("rpm: it has all that belongs to it", set(HAS) <= set(files), sorted(set(HAS) - set(files)))
    requires = rpm("-qp", "--requires", packages["tunneld"]).stdout.splitlines()
    check("rpm: it needs systemd", "systemd" in requires, requires)
    strange = [one for one in requires if not re.match(REQUIRES, one)]
    check("rpm: it requires nothing that an RPM distribution has not", not strange, strange)
    scripts = rpm("-qp", "--scripts", packages["tunneld"]).stdout
    check("rpm: its scripts start nothing", "systemctl start" not in scripts and "systemctl enable" not in scripts and "systemd-sysusers" in scripts, scripts)
    provides = rpm("-qp", "--provides", "--conflicts", packages["autossh"]).stdout.splitlines()
    check("rpm: tunneld-autossh is in the place of autossh", "autossh = 1.4g" in provides and "autossh" in provides, provides)
    root = os.path.join(scratch, "rpm")
    there = ("--root", root, "--dbpath", "/var/lib/rpm")
    os.makedirs(root)
    put = rpm(*there, "-i", "--nodeps", "--noscripts", packages["tunneld"])
    check("rpm: it is installed", put.returncode == 0 and rpm(*there, "-V", "--nodeps", "tunneld").returncode == 0, put.stderr)
    runs = subprocess.run([f"{root}/usr/bin/tunneld", "demo"], capture_output=True, text=True)
    check("rpm: the demonstration runs", runs.returncode == 0, runs.stdout + runs.stderr)
    gone = rpm(*there, "-e", "--nodeps", "--noscripts", "tunneld")
    left = [path for path in glob.glob(f"{root}/**", recursive=True) if os.path.isfile(path) and "/var/lib/rpm/" not in path]
    check("rpm: and removed", gone.returncode == 0 and not left, left)


def in_system(folders, lab):
    """Where no package of tunneld is left."""
    for number, folder in enumerate(folders):
        for name, path in found(folder).items():
            lab.put(path, f"/root/{name}{number}.rpm")
    manage(lab, "-i", "/root/tunneld0.rpm")
    use.is_installed(lab)
    use.starts_when_configured(lab)
    use.goes_on(lab, lambda: manage(lab, "-U", "/root/tunneld1.rpm"))
    check("rpm: the new version is there, and only that", lab.do("rpm", "-q", "tunneld").stdout.split() == [lab.must("rpm", "-qp", "/root/tunneld1.rpm").strip()])
    manage(lab, "-i", "/root/autossh0.rpm")
    manage(lab, "-U", "/root/autossh1.rpm")
    check("rpm: /usr/bin/autossh is tunneld, after an upgrade too", "tunneld" in lab.do("autossh", "-V").stdout)
    manage(lab, "-e", "tunneld-autossh")
    check("rpm: it goes with its package", lab.do("test", "-e", "/usr/bin/autossh").returncode == 1)
    manage(lab, "-e", "tunneld")
    use.is_gone(lab)
    check("rpm: no unit has failed", not lab.do("systemctl", "--failed", "--plain", "--no-legend").stdout)


def manage(lab, *words):
    """Debian's packages are not in rpm's database, so that nothing can be said to be there."""
    done = lab.do("rpm", "--force-debian", "--nodeps", *words)
    said = done.stdout + done.stderr
    check(f"rpm {' '.join(words)}", done.returncode == 0 and "scriptlet failed" not in said, said)
    return said
