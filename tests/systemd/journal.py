"""What the journal shows of one tunnel, while another lives beside it."""
import json
from lab import check, tunnel


def run(lab):
    """journalctl TUNNEL=web-db shows the life of one tunnel, and nothing of another."""
    lab.config(tunnel() + tunnel("web-db", "7001:127.0.0.1:7000"))
    lab.must("systemctl", "reload", "tunneld")
    lab.wait_ready(tunnels=2)
    lab.must("systemctl", "stop", "lab-sshd")
    lab.wait("both wait for the server", lambda: lab.prop("StatusText").startswith("0/2 ready"))
    lab.must("systemctl", "start", "lab-sshd")
    lab.wait_ready(tunnels=2)
    lines = shown(lab, "TUNNEL=web-db")
    texts = [line["MESSAGE"] for line in lines]
    print("\n".join(f"     {text}" for text in texts))
    said = lambda *words: all(any(word in text for text in texts) for word in words)
    check("journalctl TUNNEL=web-db shows its session, and that it is ready", said("session is up", ": ready"), texts)
    failed = next((line for line in lines if line.get("KIND")), {})
    wanted = {"TUNNEL", "KIND", "SERVER", "ATTEMPT", "HINT"}
    check("its failure with kind, server, attempt and hint", wanted <= set(failed), sorted(failed))
    check("the wait for its next start", any("RETRY_IN" in line for line in lines), texts)
    check("its recovery, with what it took", said("ready again after"), texts)
    # The span and the event both have it: systemd 247 shows a field that occurs twice as a list.
    named = lambda line: {line["TUNNEL"]} if isinstance(line["TUNNEL"], str) else set(line["TUNNEL"])
    strange = [line for line in lines if named(line) != {"web-db"} or line["SYSLOG_IDENTIFIER"] != "tunneld"]
    check("and no line of another tunnel", not strange, strange)
    check("whose lines are under its own name", any(": ready" in line["MESSAGE"] for line in shown(lab, "TUNNEL=t")))
    lab.config(tunnel())
    lab.must("systemctl", "reload", "tunneld")
    lab.wait_ready()


def shown(lab, *matches):
    return [json.loads(line) for line in lab.do("journalctl", *matches, "-o", "json", "--no-pager").stdout.splitlines()]
