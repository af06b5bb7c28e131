"""An SSH server with every algorithm that paramiko has; it says back what comes on a channel.

paramiko_server.py PORT AUTHORIZED_KEYS HOST_KEY...
"""

import socket
import sys
import threading

import paramiko

PORT, AUTHORIZED_KEYS, *HOST_KEYS = sys.argv[1:]
# Primes for group exchanges, of Debian's openssh-server.
MODULI = "/etc/ssh/moduli"
PIECE = 1 << 15


class Server(paramiko.ServerInterface):
    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        with open(AUTHORIZED_KEYS) as lines:
            known = any(key.get_base64() in line.split() for line in lines)
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def check_channel_direct_tcpip_request(self, channel, origin, destination):
        return paramiko.OPEN_SUCCEEDED


def host_key(path):
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key_file(path)
        except paramiko.SSHException:
            pass
    raise SystemExit(f"{path}: no host key")


def echo(channel):
    while data := channel.recv(PIECE):
        channel.sendall(data)
    channel.close()


def serve(client):
    transport = paramiko.Transport(client)
    for path in HOST_KEYS:
        transport.add_server_key(host_key(path))
    try:
        transport.start_server(server=Server())
    except (paramiko.SSHException, EOFError):
        return
    while transport.is_active():
        channel = transport.accept(1)
        if channel:
            threading.Thread(target=echo, args=(channel,), daemon=True).start()


if not paramiko.Transport.load_server_moduli(MODULI):
    raise SystemExit(f"{MODULI} cannot be read")
with socket.create_server(("127.0.0.1", int(PORT))) as listener:
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client,), daemon=True).start()
