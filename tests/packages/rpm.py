"""tunneld-*.rpm and tunneld-autossh-*.rpm: read by rpm, and installed into an empty tree; Debian's rpm can run no scripts there."""
import glob, os, subprocess
from lab import check

HAS = """/usr/bin/tunneld /usr/lib/systemd/system/tunneld.service /usr/lib/systemd/system/tunneld@.service /usr/lib/systemd/user/tunneld.service
/usr/lib/sysusers.d/tunneld.conf /usr/lib/tmpfiles.d/tunneld.conf /usr/share/man/man8/tunneld.8.gz /usr/share/man/man5/tunneld.toml.5.gz
/usr/share/man/man1/tunneld-autossh.1.gz /usr/share/bash-completion/completions/tunneld /usr/share/zsh/site-functions/_tunneld
/usr/share/fish/vendor_completions.d/tunneld.fish /usr/share/doc/tunneld/troubleshooting.md /usr/share/doc/tunneld/LICENSE-MIT
/usr/share/doc/tunneld/examples/tunneld.toml""".split()


def rpm(*words):
    return subprocess.run(["rpm", *words], capture_output=True, text=True)


def run(folder, scratch):
    packages = {"autossh" if "autossh" in path else "tunneld": path for path in glob.glob(f"{folder}/*.rpm")}
    files = rpm("-qlp", packages["tunneld"]).stdout.split()
    check("rpm: it has all that belongs to it", set(HAS) <= set(files), sorted(set(HAS) - set(files)))
    check("rpm: it needs systemd", "systemd" in rpm("-qp", "--requires", packages["tunneld"]).stdout.split())
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
