"""What the hardening of tunneld.service forbids is forbidden, and every feature works under it: of itself, or with the
drop-in of systemd/examples that docs/systemd.md names."""
import json
from lab import ROOT, check, tunnel

# Runs in the sandbox as a proxy_command, writes down what it may, and then carries the session. What is None did not fail.
PROBE = r'''#!/usr/bin/python3
import ctypes, errno, json, os, socket, stat, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
found = {}
def probe(name, act):
    try:
        act()
        found[name] = None
    except OSError as error:
        found[name] = errno.errorcode.get(error.errno, str(error))
def call(function, *arguments):
    if function(*arguments) in (-1, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "call")
def touch(path):
    open(path, "x").close()
    os.unlink(path)
def set_user_id():
    path = "/var/lib/tunneld/suid"
    open(path, "w").close()
    try:
        os.chmod(path, 0o4755)
        if not os.stat(path).st_mode & stat.S_ISUID: raise OSError(errno.EPERM, "no bit")
    finally:
        os.unlink(path)
def low_port():
    socket.socket().bind(("127.0.0.1", 443))
probe("ProtectSystem", lambda: touch("/srv/lab/x"))
probe("ProtectHome", lambda: os.listdir("/home/someone"))
probe("ProtectProc", lambda: os.stat("/proc/1/status"))
probe("ProcSubset", lambda: os.stat("/proc/meminfo"))
probe("PrivateTmp", lambda: os.stat("/tmp/of-the-machine"))
probe("PrivateDevices", lambda: os.stat("/dev/lab"))
probe("ProtectControlGroups", lambda: os.mkdir("/sys/fs/cgroup/x"))
probe("RestrictNamespaces", lambda: call(libc.unshare, 0x10000000))
probe("RestrictAddressFamilies", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
probe("RestrictRealtime", lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1)))
probe("RestrictSUIDSGID", set_user_id)
probe("LockPersonality", lambda: call(libc.personality, 0x0040000))
probe("MemoryDenyWriteExecute", lambda: call(libc.mmap, None, 4096, 7, 0x22, -1, 0))
probe("SystemCallFilter ~@resources", lambda: os.nice(1))
probe("SystemCallFilter ~@privileged", lambda: os.chown("/var/lib/tunneld", -1, -1))
probe("SystemCallFilter @system-service", lambda: call(libc.swapoff, b"/nothing"))
probe("ProtectHostname", lambda: socket.sethostname("x"))
probe("CapabilityBoundingSet", low_port)
status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Umask"):
    found[key] = status[key].strip()
found["PrivateUsers"] = open("/proc/self/uid_map").read().split()
found["LimitCORE"] = [line.split()[4:6] for line in open("/proc/self/limits") if line.startswith("Max core")][0]
with open("/var/lib/tunneld/probe.new", "w") as file: json.dump(found, file)
os.rename("/var/lib/tunneld/probe.new", "/var/lib/tunneld/probe.json")
if len(sys.argv) > 2:
    import threading
    server = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    def sent():
        while data := os.read(0, 65536): server.sendall(data)
        server.shutdown(socket.SHUT_WR)
    threading.Thread(target=sent, daemon=True).start()
    while data := server.recv(65536): os.write(1, data)
'''
# Each must be refused under the unit, with this error. Newer kernels and systemd refuse writable code by prctl (EACCES).
REFUSED = {
    "ProtectSystem": "EROFS", "ProtectHome": "EACCES", "ProtectProc": "ENOENT", "ProcSubset": "ENOENT", "PrivateTmp": "ENOENT",
    "PrivateDevices": "ENOENT", "ProtectControlGroups": "EROFS", "RestrictNamespaces": "EPERM", "RestrictAddressFamilies": "EAFNOSUPPORT",
    "RestrictRealtime": "EPERM", "RestrictSUIDSGID": "EPERM", "LockPersonality": "EPERM", "MemoryDenyWriteExecute": ("EPERM", "EACCES"),
    "SystemCallFilter ~@resources": "EPERM", "SystemCallFilter ~@privileged": "EPERM", "SystemCallFilter @system-service": "EPERM",
    "ProtectHostname": "EPERM", "CapabilityBoundingSet": "EACCES",
}
# Of these an unsandboxed process of the same user gets another answer, so that the directive is what refuses.
DIFFERS = ["ProtectSystem", "ProtectHome", "ProtectProc", "ProcSubset", "PrivateTmp", "PrivateDevices", "RestrictNamespaces",
           "RestrictSUIDSGID", "LockPersonality", "MemoryDenyWriteExecute", "SystemCallFilter ~@resources",
           "SystemCallFilter ~@privileged", "RestrictAddressFamilies"]
NO_CAPABILITY = "0" * 16


def run(lab):
    lab.write("/usr/local/bin/probe", PROBE, mode="755")
    lab.must("install", "-d", "-o", "someone", "-m", "755", "/home/someone")
    for folder in ("/srv/lab", "/srv/sockets"):
        lab.must("install", "-d", "-o", "tunneld", "-m", "755", folder)
    lab.must("touch", "/tmp/of-the-machine")
    lab.must("mknod", "-m", "666", "/dev/lab", "c", "1", "3")
    directives_are_in_force(lab)
    features_work(lab)
    credentials_reach_it(lab)
    confines_itself(lab)
    drop_ins_allow(lab)
    socket_unit(lab)


def probed(lab):
    return json.loads(lab.must("cat", "/var/lib/tunneld/probe.json"))


def directives_are_in_force(lab):
    # The control: the same user without the unit.
    lab.must("systemd-run", "--quiet", "--wait", "--uid=tunneld", "/usr/local/bin/probe")
    control = probed(lab)
    lab.must("rm", "/var/lib/tunneld/probe.json")
    lab.config(tunnel(more='proxy_command = "/usr/local/bin/probe %h %p"\n'))
    lab.must("systemctl", "start", "tunneld")
    lab.wait_ready()
    found = probed(lab)
    for name, errors in REFUSED.items():
        good = found[name] in (errors if isinstance(errors, tuple) else (errors,)) and (name not in DIFFERS or control[name] != found[name])
        check(f"in force: {name} ({found[name]}; without the unit {control[name]})", good, f"not {errors}")
    for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        check(f"no capability in {key}", found[key] == NO_CAPABILITY, found[key])
    check("NoNewPrivileges", found["NoNewPrivs"] == "1")
    check("a system call filter", found["Seccomp"] == "2")
    check("UMask", found["Umask"] == "0077", found["Umask"])
    check("PrivateUsers", found["PrivateUsers"] != control["PrivateUsers"], found["PrivateUsers"])
    check("LimitCORE", found["LimitCORE"] == ["0", "0"], found["LimitCORE"])


def features_work(lab):
    lab.write("/usr/local/bin/changed", '#!/bin/sh\nenv >>/var/lib/tunneld/changes\n', mode="755")
    lab.write("/usr/local/bin/hosts", '#!/bin/sh\ncat /etc/lab/known_hosts\n', mode="755")
    lab.write("/etc/lab/ssh_config", 'Match host lab exec "test -r /etc/lab/known_hosts"\n  HostName 127.0.0.1\n  HostKeyAlias 127.0.0.1\n')
    lab.write("/run/systemd/system/agent.service", "[Service]\nType=forking\nUser=tunneld\nRuntimeDirectory=lab-agent\nExecStart=/usr/bin/ssh-agent -a /run/lab-agent/s\nExecStartPost=/usr/bin/env SSH_AUTH_SOCK=/run/lab-agent/s ssh-add /var/lib/tunneld/key\n")
    lab.must("systemctl", "daemon-reload")
    lab.must("systemctl", "start", "agent")
    server = 'host = "127.0.0.1"\nuser = "root"\n'
    trusted = 'user_known_hosts_file = "/etc/lab/known_hosts"\n'
    key = 'identity_file = "/var/lib/tunneld/key"\n'
    features = {
        "exec": '[[tunnel]]\nname = "exec"\nhost = "lab"\nuser = "root"\nssh_config = "/etc/lab/ssh_config"\nlocal_forward = ["7001:127.0.0.1:7000"]\n' + key + trusted,
        "agent": '[[tunnel]]\nname = "agent"\nidentity_file = "none"\nidentity_agent = "/run/lab-agent/s"\nlocal_forward = ["7002:127.0.0.1:7000"]\n' + server + trusted,
        "command": '[[tunnel]]\nname = "command"\nuser_known_hosts_file = "none"\nknown_hosts_command = "/usr/local/bin/hosts"\nlocal_forward = ["7003:127.0.0.1:7000"]\n' + server + key,
        "learns": '[[tunnel]]\nname = "learns"\nstrict_host_key_checking = "accept-new"\nlocal_forward = ["7004:127.0.0.1:7000"]\n' + server + key,
        "socket": '[[tunnel]]\nname = "socket"\non_change = "/usr/local/bin/changed"\nlocal_forward = ["/run/tunneld/app.sock:127.0.0.1:7000"]\n' + server + key + trusted,
        "remote": '[[tunnel]]\nname = "remote"\nremote_forward = ["7005:127.0.0.1:7000"]\n' + server + key + trusted,
    }
    lab.config("".join(features.values()))
    lab.must("systemctl", "restart", "tunneld")
    lab.wait_ready(tunnels=len(features))
    for what, port in (("Match exec of ssh_config", 7001), ("an agent's socket", 7002), ("known_hosts_command", 7003), ("accept-new", 7004),
                       ("a unix socket in /run/tunneld", "/run/tunneld/app.sock"), ("a remote forward", 7005)):
        check(f"works: {what}", lab.greeted(port))
    check("accept-new wrote to its home", lab.do("test", "-s", "/var/lib/tunneld/.ssh/known_hosts").returncode == 0)
    lab.wait("on_change has run", lambda: lab.do("test", "-s", "/var/lib/tunneld/changes").returncode == 0)
    told = lab.must("cat", "/var/lib/tunneld/changes")
    check("works: on_change, which is told the tunnel", "TUNNELD_TUNNEL=socket" in told, told)
    check("and a config that runs programs is not confined", "not confined: `Match exec` of ssh_config runs" in lab.journal(), lab.journal())
    lab.must("ip", "address", "add", "10.1.2.3/32", "dev", "lo")
    lab.wait("a change of the network is heard", lambda: "network" in lab.journal())
    check("works: network events (AF_NETLINK)", True)


def credentials_reach_it(lab):
    lab.must("install", "-D", "-m", "600", "/etc/lab/locked_key", "/etc/tunneld/web-db.key")
    lab.write("/etc/tunneld/web-db.passphrase", "open sesame\n", mode="600")
    lab.drop_in("credentials.conf")
    lab.config(tunnel(key=None, more='identity_file = "credential:web-db.key"\npassphrase_file = "credential:web-db.passphrase"\n'))
    lab.must("systemctl", "restart", "tunneld")
    lab.wait_ready()
    own = lab.do("setpriv", "--reuid=tunneld", "--clear-groups", "cat", "/etc/tunneld/web-db.key")
    check("works: a key and its passphrase as credentials, which the user cannot read where they are kept", lab.greeted(3306) and own.returncode != 0)
    check("a reload with credentials succeeds", lab.do("systemctl", "reload", "tunneld").returncode == 0)
    lab.drop_in(None)


def confines_itself(lab):
    lab.config(tunnel())
    lab.must("systemctl", "restart", "tunneld")
    lab.wait_ready()
    told = [line for line in lab.journal().splitlines() if "onfined: " in line]
    check("the process confines itself", told and told[-1].startswith("confined: reads"), told)
    lab.must("install", "-o", "tunneld", "-m", "600", "/etc/lab/user_key", "/srv/lab/key")
    lab.config(tunnel(key="/srv/lab/key"))
    refused = lab.do("systemctl", "reload", "tunneld")
    named = "/srv/lab/key: error: tunnel `t` names it; tunneld is confined since its start"
    check("a reload that names a file elsewhere fails, and says so", refused.returncode != 0 and named in lab.journal(), lab.journal())
    lab.must("systemctl", "restart", "tunneld")
    lab.wait_ready()
    check("and a restart takes it", lab.greeted(3306))


def socket_unit(lab):
    """Privileged ports without capabilities, as docs/systemd.md has it."""
    document = open(f"{ROOT}/docs/systemd.md").read()
    unit = document.split("# /etc/systemd/system/tunneld.socket\n")[1].split("```")[0]
    lab.write("/etc/systemd/system/tunneld.socket", unit)
    lab.must("systemctl", "daemon-reload")
    lab.must("systemctl", "stop", "tunneld")
    lab.config(tunnel(forward="443:127.0.0.1:7000"))
    lab.must("systemctl", "start", "tunneld.socket")
    check("a socket unit starts tunneld for the first who connects", lab.greeted(443) or lab.greeted(443))
    lab.wait_ready()
    check("which has its port below 1024 from it, both families", lab.greeted(443) and lab.python("import socket; assert socket.create_connection(('::1', 443), 5).recv(5) == b'hello'").returncode == 0)
    lab.must("systemctl", "restart", "tunneld")
    lab.wait_ready()
    check("after a restart too", lab.greeted(443))
    lab.must("systemctl", "kill", "--kill-who=main", "--signal=KILL", "tunneld")
    lab.wait("it is back", lambda: lab.greeted(443))
    check("and after kill -9", True)
    lab.must("systemctl", "stop", "tunneld.socket", "tunneld")
    lab.must("rm", "/etc/systemd/system/tunneld.socket")
    lab.must("systemctl", "daemon-reload")


def drop_ins_allow(lab):
    lab.config(tunnel(forward="443:127.0.0.1:7000"))
    lab.must("systemctl", "restart", "tunneld")
    lab.wait("a low port is refused", lambda: "permission" in lab.journal().lower() or lab.prop("StatusText").startswith("0/1"))
    check("a port below 1024 is refused without its drop-in", not lab.greeted(443))
    lab.drop_in("privileged-ports.conf")
    lab.must("systemctl", "restart", "tunneld")
    lab.wait_ready()
    check("privileged-ports.conf: a port below 1024", lab.greeted(443))
    lab.drop_in(None)

    lab.config(tunnel(forward="/srv/sockets/app.sock:127.0.0.1:7000"))
    lab.drop_in("unix-sockets.conf")
    lab.must("systemctl", "restart", "tunneld")
    lab.wait_ready()
    check("unix-sockets.conf: a socket in a folder of one's own", lab.greeted("/srv/sockets/app.sock"))
    lab.drop_in(None)

    lab.must("install", "-o", "tunneld", "-m", "600", "/etc/lab/user_key", "/home/someone/key")
    lab.config(tunnel(key="/home/someone/key"))
    lab.drop_in("home.conf")
    lab.must("systemctl", "restart", "tunneld")
    lab.wait_ready()
    check("home.conf: a key below /home", lab.greeted(3306))
    lab.drop_in(None)

    lab.config(tunnel(more='proxy_command = "/usr/local/bin/probe %h %p"\n'))
    lab.drop_in("commands.conf")
    lab.must("systemctl", "restart", "tunneld")
    lab.wait_ready()
    found = probed(lab)
    allowed = [found[name] for name in ("MemoryDenyWriteExecute", "SystemCallFilter ~@resources")]
    check("commands.conf: a command that compiles at run time, or sets its priority", allowed == [None, None], allowed)
    lab.drop_in(None)

    # The lab's /dev has only what its manager needs.
    lab.must("mkdir", "-p", "/dev/net")
    lab.must("mknod", "-m", "666", "/dev/net/tun", "c", "10", "200")
    device = lambda: lab.do("ip", "link", "show", "tun0").returncode == 0
    lab.config(tunnel(more='tunnel_device = "any"\n'))
    lab.must("systemctl", "restart", "tunneld")
    lab.wait("a device is refused", lambda: "/dev/net/tun" in lab.do("/usr/bin/tunneld", "status", "--json").stdout)
    check("a network device is refused without its drop-in", not device())
    lab.drop_in("tunnel-device.conf")
    lab.must("systemctl", "restart", "tunneld")
    lab.wait("it is there", device)
    check("tunnel-device.conf: a network device", True)
    lab.drop_in(None)
    lab.must("systemctl", "stop", "tunneld")
