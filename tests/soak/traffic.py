"""Users of one tunnel: long connections and short ones, each byte of which is checked on its way back."""
import hashlib, os, select, socket, threading, time

LONG = 4 << 20        # bytes of a long connection, in blocks, at a pace
BLOCK = 64 << 10
PACE = 0.15           # seconds between two blocks: each tunnel carries some 400 KiB/s each way
SHORT = 4 << 10       # bytes of a short connection
BETWEEN = 0.5         # seconds between two short ones
AGAIN = 0.5           # seconds after a cut or a refusal
SILENCE = 60          # no byte for so long, on a connection that neither ended nor was reset


class Users:
    """`connect` gives a new socket to the tunnel's target. Counts what became of each connection:

    whole    every byte came back, and then the end
    cut      it was reset: its session or its target went
    lost     a clean end before the last byte, a wrong byte, or silence: must not happen

    A clean end before the last byte is no loss where a reset cannot be told: of a target that goes (SSH has no word for it), on
    the server (`-R`), where the sockets are those of sshd, and on unix sockets, which have none. `excused` says when that is so.
    """

    def __init__(self, connect, excused):
        self.connect, self.excused = connect, excused
        self.whole = self.cut = self.refused = self.bytes = 0
        self.lost = []
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=way, daemon=True) for way in ((LONG, PACE, 0), (SHORT, 0, BETWEEN))]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(2 * SILENCE)

    def _run(self, size, pace, pause):
        while not self.ending.is_set():
            try:
                connection = self.connect()
            except OSError:
                self.refused += 1
                self.ending.wait(AGAIN)
                continue
            with connection:
                try:
                    self._exchange(connection, size, pace)
                except OSError:
                    self.cut += 1
                    self.ending.wait(AGAIN)
            self.ending.wait(pause)

    def _exchange(self, connection, size, pace):
        sent, back = hashlib.sha256(), hashlib.sha256()
        out, received, due, heard = 0, 0, 0.0, time.monotonic()
        block, ended = b"", False
        connection.setblocking(False)
        while True:
            # At the end of the soak no more is sent: what is under way still has to come back.
            finished = out >= size or (self.ending.is_set() and not block)
            if finished and not ended:
                connection.shutdown(socket.SHUT_WR)
                ended = True
            now = time.monotonic()
            if not block and not ended and now >= due:
                block, due = os.urandom(min(BLOCK, size - out)), now + pace
                sent.update(block)
            readable, writable, _ = select.select([connection], [connection] if block else [], [], 0.05)
            if writable:
                count = connection.send(block)
                out, block = out + count, block[count:]
            if readable:
                data = connection.recv(1 << 18)
                heard = time.monotonic()
                if not data:
                    break
                received += len(data)
                back.update(data)
            if time.monotonic() - heard > SILENCE and received < out:
                self.lost.append(f"silence after {received} of {out} bytes")
                return
        out += len(block)
        if (not ended or received != out) and self.excused():
            raise ConnectionResetError
        elif not ended or received != out:
            self.lost.append(f"a clean end after {received} of {out} bytes")
        elif sent.digest() != back.digest():
            self.lost.append(f"other bytes came back, among {received}")
        else:
            self.whole += 1
            self.bytes += received


def tcp(port):
    def connect():
        return socket.create_connection(("127.0.0.1", port), SILENCE)
    return connect


def unix(path):
    def connect():
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(SILENCE)
        connection.connect(path)
        return connection
    return connect


def socks(port, target):
    def connect():
        connection = socket.create_connection(("127.0.0.1", port), SILENCE)
        connection.sendall(b"\5\1\0" + b"\5\1\0\1\x7f\0\0\1" + target.to_bytes(2, "big"))
        answer = b""
        while len(answer) < 12:
            more = connection.recv(12 - len(answer))
            if not more:
                raise ConnectionResetError
            answer += more
        if answer[3]:
            raise ConnectionRefusedError
        return connection
    return connect
