"""tunneld-*.tar.gz in a tree without a C library: the binary looks names up in files and by DNS, and users in files."""
import glob, os, socket, stat, struct, subprocess, sys, threading

HOST = "only-in-the-file.example"
DNS_HOST = "only-by-dns.example"


CONFIG = 'user = "{user}"\n[[tunnel]]\nname = "t"\nhost = "{host}"\nuser = "nobody"\nlocal_forward = ["3306:localhost:3306"]\n'


def run(folder, scratch):
    from lab import check
    [path] = glob.glob(f"{folder}/*.tar.gz")
    root = os.path.join(scratch, "bare")
    for folder in ("dev", "etc", "tmp"):
        os.makedirs(f"{root}/{folder}")
    # A static program has no getrandom(2) that the library could look up: it reads these.
    for name, minor in (("random", 8), ("urandom", 9)):
        os.mknod(f"{root}/dev/{name}", 0o666 | stat.S_IFCHR, os.makedev(1, minor))
    subprocess.run(["tar", "-xzf", path, "-C", root, "--strip-components=1"], check=True)
    demo = tunneld(root, "demo")
    check("archive: the demonstration runs without a library", demo.returncode == 0, demo.stdout + demo.stderr)
    # What a machine with systemd-resolved and sssd has, and what a static program of glibc may crash on.
    write(root, "nsswitch.conf", "passwd: systemd sss files\ngroup: systemd sss files\nhosts: resolve mdns4_minimal [NOTFOUND=return] dns files\n")
    write(root, "hosts", f"127.0.0.1 {HOST}\n")
    write(root, "passwd", "root:x:0:0::/:/x\nkeeper:x:77:77::/:/x\n")
    write(root, "group", "root:x:0:\nkeeper:x:77:\n")
    for user, expected in (("keeper", 0), ("stranger", 78)):
        checked = by_config(root, "check", user, HOST)
        check(f"archive: the user {user} is {'known' if expected == 0 else 'said to be missing'}", checked.returncode == expected, checked.stderr)
    found = by_config(root, "doctor", "keeper", HOST).stdout
    check("archive: a name is found in /etc/hosts", resolved(HOST) in found, found)
    found = subprocess.run(["unshare", "--net", sys.executable, __file__, root], capture_output=True, text=True)
    check("archive: a name is found by DNS", resolved(DNS_HOST) in found.stdout, found.stdout + found.stderr)


def beside_modules(lab, binary):
    """In a system whose name service modules are there to be loaded, and of its own glibc."""
    from lab import check
    lab.put(binary, "/root/static")
    lab.must("chmod", "755", "/root/static")
    lab.write("/root/stranger.toml", CONFIG.format(user="stranger", host="localhost"))
    modules = lab.do("grep", "-c", "^passwd:.* systemd", "/etc/nsswitch.conf").stdout.strip()
    asked = lab.do("/root/static", "check", "--config", "/root/stranger.toml")
    check("archive: modules of the system's own glibc are not loaded", modules == "1" and asked.returncode == 78, asked.stderr)


def resolved(host):
    return f"PASS  resolve        {host}: 127.0.0.1\n"


def tunneld(root, *words):
    return subprocess.run(["chroot", root, "/usr/bin/tunneld", *words], capture_output=True, text=True)


def by_config(root, verb, user, host):
    write(root, "tunneld.toml", CONFIG.format(user=user, host=host))
    return tunneld(root, verb)


def write(root, name, text):
    with open(f"{root}/etc/{name}", "w") as file:
        file.write(text)


def dns(server):
    """Answers each question for an IPv4 address with 127.0.0.1, and others with nothing."""
    while True:
        question, peer = server.recvfrom(512)
        end = question.index(b"\0", 12) + 5
        answers = [b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes((127, 0, 0, 1))] if question[end - 3] == 1 else []
        header = question[:2] + struct.pack(">HHHHH", 0x8180, 1, len(answers), 0, 0)
        server.sendto(header + question[12:end] + b"".join(answers), peer)


def main(root):
    """In a network of its own, where port 53 is free."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    threading.Thread(target=dns, args=(server,), daemon=True).start()
    write(root, "resolv.conf", "nameserver 127.0.0.1\n")
    print(by_config(root, "doctor", "keeper", DNS_HOST).stdout)


if __name__ == "__main__":
    main(sys.argv[1])
