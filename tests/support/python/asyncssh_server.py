"""An SSH server with every algorithm that asyncssh has; it connects wherever a client wants.

asyncssh_server.py PORT AUTHORIZED_KEYS [DIRECTIONS] HOST_KEY...
DIRECTIONS, in JSON: for `encryption`, `MAC` and `compression` the names from the client to the server, and those the other way.
What each exchange has agreed on is a line of JSON on the output.
"""

import asyncio
import json
import sys

import asyncssh
from asyncssh import connection, encryption, kex, mac
from asyncssh.constants import MSG_KEXINIT
from asyncssh.packet import Byte, NameList, SSHPacket

PORT, AUTHORIZED_KEYS, *HOST_KEYS = sys.argv[1:]
DIRECTIONS = json.loads(HOST_KEYS.pop(0)) if HOST_KEYS[0].startswith("{") else {}


def names(algorithms):
    return [name.decode() for name in algorithms if not name.startswith((b"gss-", b"rsa"))]


class Server(asyncssh.SSHServer):
    def connection_requested(self, host, port, from_host, from_port):
        return True


class Connection(connection.SSHServerConnection):
    """asyncssh has one list for both directions; here they may differ."""

    def send_packet(self, kind, *parts, **options):
        if kind == MSG_KEXINIT and DIRECTIONS:
            packet = SSHPacket(b"".join(parts))
            lists = [packet.get_bytes(16)] + [packet.get_namelist() for _ in range(10)]
            for at, what in ((3, "encryption"), (5, "MAC"), (7, "compression")):
                lists[at : at + 2] = [[name.encode() for name in direction] for direction in DIRECTIONS[what]]
            parts = (lists[0], *map(NameList, lists[1:]), packet.get_remaining_payload())
            self._server_kexinit = Byte(MSG_KEXINIT) + b"".join(parts)
            self.asked = {}
        super().send_packet(kind, *parts, **options)

    def _choose_alg(self, what, ours, theirs):
        if what in DIRECTIONS:
            turn = self.asked[what] = self.asked.get(what, -1) + 1
            ours = [name.encode() for name in DIRECTIONS[what][turn]]
        return super()._choose_alg(what, ours, theirs)

    def send_newkeys(self, *results):
        agreed = {
            "encryption": [self._enc_alg_cs, self._enc_alg_sc],
            "MAC": [self._mac_alg_cs, self._mac_alg_sc],
            "compression": [self._cmp_alg_cs, self._cmp_alg_sc],
        }
        print(json.dumps({what: [name.decode() for name in both] for what, both in agreed.items()}), flush=True)
        super().send_newkeys(*results)


connection.SSHServerConnection = Connection


async def main():
    await asyncssh.create_server(
        Server,
        "127.0.0.1",
        int(PORT),
        # The port may have ended connections of an earlier test run.
        reuse_address=True,
        server_host_keys=HOST_KEYS,
        authorized_client_keys=AUTHORIZED_KEYS,
        gss_host=None,
        kex_algs=names(kex.get_kex_algs()),
        encryption_algs=names(encryption.get_encryption_algs()),
        mac_algs=names(mac.get_mac_algs()),
        compression_algs=["zlib@openssh.com", "none"],
    )
    await asyncio.get_running_loop().create_future()


asyncio.run(main())
