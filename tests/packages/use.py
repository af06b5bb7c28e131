"""The service in the hands of its user, whichever package brought it."""
from lab import check, tunnel

CONFIG = "/etc/tunneld.toml"
HOME = "/var/lib/tunneld"
# Links of the documents that lead to no file.
DEAD_LINKS = r"""cd /usr/share/doc/tunneld && for page in *.md tutorial/*.md; do
    grep -oE '\]\([^)#:]+[#)]' "$page" | tr -d '])(#' | sort -u | while read -r to; do
        test -e "$(dirname "$page")/$to" || echo "$page: $to"
    done
done"""


def is_installed(lab):
    """Right after the first installation: all is there, and nothing runs."""
    account = lab.do("getent", "passwd", "tunneld").stdout.strip()
    check("there is a user tunneld", account.endswith(f":{HOME}:/usr/sbin/nologin"), account)
    check("its home is for it alone", lab.do("stat", "-c", "%U %a", HOME).stdout.strip() == "tunneld 700")
    check("the service is there, and not enabled", lab.do("systemctl", "is-enabled", "tunneld").stdout.strip() == "disabled")
    check("nothing was started", lab.prop("ActiveState") == "inactive" and lab.prop("Result") == "success")
    check("no config was made up", lab.do("test", "-e", CONFIG).returncode == 1)
    example = lab.do("tunneld", "check", "--config", "/usr/share/doc/tunneld/examples/tunneld.toml")
    check("the example config is right", example.returncode == 0, example.stderr)
    dead = lab.do("sh", "-c", DEAD_LINKS)
    check("the documents' links lead to files", dead.returncode == 0 and not dead.stdout, dead.stdout + dead.stderr)
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


def goes_on(lab, upgrade, files=(CONFIG,)):
    """An upgrade under a running service, whose files are left as they are; `upgrade` gives what was said."""
    pid, before = lab.prop("MainPID"), lab.must("sha256sum", *files)
    talk, enough = lab.talker(), lab.asker()
    check("a connection is carried", talk("before"))
    said = upgrade()
    check("the upgrade stopped nothing", lab.prop("MainPID") == pid and talk("after"))
    check("and says what to do", "systemctl restart tunneld.service" in said, said)
    check("the config is as it was", lab.must("sha256sum", *files) == before)
    check("the service is still enabled", lab.do("systemctl", "is-enabled", "tunneld").stdout.strip() == "enabled")
    lab.must("systemctl", "restart", "tunneld")
    lab.wait_ready()
    tally = enough()
    check(f"no connection was refused or left without an answer by upgrade and restart ({tally})",
          tally["asked"] > 10 and tally["refused"] == tally["unanswered"] == 0)
    check("the new process runs", lab.prop("MainPID") not in (pid, "0"))


def is_gone(lab):
    """After a removal that leaves what belongs to the user."""
    check("a removal stops the service", lab.do("pgrep", "-x", "tunneld").returncode == 1 and lab.prop("ActiveState") != "active")
    check("and takes it from the boot", not lab.do("find", "/etc/systemd/system", "-lname", "*tunneld*").stdout)
    check("and keeps the config and what is in its home", lab.do("test", "-s", CONFIG).returncode == 0
          and lab.do("test", "-s", f"{HOME}/key").returncode == 0)
