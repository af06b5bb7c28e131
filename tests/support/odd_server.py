"""An SSH server that misbehaves on command: the faults that a stock server cannot be made to have.

It accepts every login, echoes what comes on a direct-tcpip channel, and prints its port. Commands on its standard input:
  ignore      answer nothing any more, and send SSH_MSG_IGNORE
  chatter     answer nothing any more, and send a few bytes on every open channel
  deaf        answer no channel open any more, but everything else
  rekey       begin a key exchange that never ends, and send SSH_MSG_IGNORE
  exchange    exchange keys once more, with the key of the file that was named second
  goodbye     SSH_MSG_DISCONNECT with a text in Latin-1
  close       take no new connections
  repeat      what no client asked for, many times: global requests, answers, data for channels that are not open
  requests    global requests that want an answer, without end, and read nothing any more
  opens       channels that no client asked for, without end, and read nothing any more
  unreadable  requests, channels and extensions with names that are not UTF-8, messages that no client knows, and a ping: it
              ends the connection unless all of them are answered as they should be
  visitors    connections on each port that it listens on for a client, without end, and read nothing any more
  overrun     data on every channel that is open then, until it is closed, without regard to the window
  huge        a packet longer than any that a client has to take
  garbage     bytes that are no packet
Arguments: two host key files, then `banner`, `prompt` or `refuse`: what it does not say in UTF-8, and an encoding (Latin-1);
or `login`: a login whose banner is long and not UTF-8, as are methods and extensions, of which it tells once more than it may;
or `throw`: it takes each login, answers nothing, and ends the connection; or `unknown`: it does not know the message of a global
request, and says so (SSH_MSG_UNIMPLEMENTED), as libssh's servers do.
"""

import socket
import sys
import threading
import time

import paramiko
from paramiko import common
from paramiko.common import byte_chr as byte

# Between two pieces of a stuck server's chatter.
PAUSE = 0.05

# Of each kind.
TIMES = 200

# Of a banner, in bytes.
LONG = 200_000
# Messages that mean nothing, and one that would begin a login.
UNKNOWN = (51, 150, 191, 200, 255)
# ping@openssh.com and its answer.
PING, PONG = 192, 193
# A number as clients give to channels, and none that is open.
NO_CHANNEL = (1 << 30) + 4711
# Requests that come together.
MANY = 3000
# How long answers are waited for, in seconds.
PATIENCE = 30

says = sys.argv[3:4]
WORDS = {"latin-1": "accès refusé", "cp1251": "доступ запрещён", "gbk": "拒绝访问"}
ENCODING = (sys.argv[4:] or ["latin-1"])[0]
TEXT = WORDS[ENCODING].encode(ENCODING)
transports = []


class Server(paramiko.ServerInterface):
    def get_allowed_auths(self, username):
        return "keyboard-interactive" if "prompt" in says else "none,password"

    def check_auth_none(self, username):
        return paramiko.AUTH_FAILED if "prompt" in says or "login" in says else paramiko.AUTH_SUCCESSFUL

    def check_auth_password(self, username, password):
        return paramiko.AUTH_SUCCESSFUL

    def check_auth_interactive(self, username, submethods):
        return paramiko.InteractiveQuery("", "", (TEXT, False))

    def get_banner(self):
        if "login" in says:
            return (b"\xe9" * LONG, "")
        return (TEXT, "") if "banner" in says else (None, None)

    def check_channel_direct_tcpip_request(self, chanid, origin, destination):
        return paramiko.OPEN_SUCCEEDED

    def check_port_forward_request(self, address, port):
        self.listens = (address, port)
        return port


class Transport(paramiko.Transport):
    def refuse(self, message):
        message.get_text()
        answer = paramiko.Message()
        answer.add_byte(common.cMSG_CHANNEL_OPEN_FAILURE)
        answer.add_int(message.get_int())
        answer.add_int(paramiko.OPEN_FAILED_CONNECT_FAILED)
        answer.add_string(TEXT)
        answer.add_string("")
        self._send_message(answer)

    def say(self, kind, *strings):
        message = paramiko.Message()
        message.add_byte(kind)
        for string in strings:
            add = {bool: message.add_boolean, int: message.add_int}.get(type(string), message.add_string)
            add(string)
        self._send_message(message)

    def stop_answering(self, kinds=(common.MSG_GLOBAL_REQUEST, common.MSG_CHANNEL_OPEN, common.MSG_KEXINIT)):
        nothing = lambda transport, message: None
        table = dict(self._handler_table)
        for kind in kinds:
            table[kind] = nothing
        self._handler_table = table

    def _send_message(self, message):
        data = message.asbytes()
        if "login" in says and data[0] == common.MSG_USERAUTH_FAILURE:
            names = paramiko.Message()
            names.add_byte(common.cMSG_USERAUTH_FAILURE)
            names.add_string(b"\xff\xe9,,password")
            names.add_boolean(False)
            for _ in range(3):
                self.say(byte(7), 2, b"\xe9", b"\xff", b"server-sig-algs", b"\xff,,ssh-ed25519")
            message = names
        super()._send_message(message)

    def unreadable(self):
        self.pong, answers = threading.Event(), []
        answer = lambda transport, message: answers.append(message)
        self._handler_table = {
            **self._handler_table,
            PONG: lambda transport, message: message.get_string() == TEXT and self.pong.set(),
            common.MSG_UNIMPLEMENTED: answer,
            common.MSG_REQUEST_FAILURE: answer,
            common.MSG_CHANNEL_OPEN_FAILURE: answer,
        }
        self.say(common.cMSG_GLOBAL_REQUEST, TEXT, True, b"\xff")
        self.say(common.cMSG_GLOBAL_REQUEST, TEXT, False)
        self.say(common.cMSG_GLOBAL_REQUEST, "hostkeys-00@openssh.com", False, b"\xff\xff", 4711)
        self.say(common.cMSG_CHANNEL_OPEN, TEXT, 91, 1 << 20, 1 << 15, b"\xff")
        self.say(common.cMSG_CHANNEL_OPEN, "forwarded-tcpip", 92, 1 << 20, 1 << 15, TEXT, 80, TEXT, 1)
        self.say(common.cMSG_CHANNEL_OPEN, "forwarded-streamlocal@openssh.com", 93, 1 << 20, 1 << 15, TEXT, TEXT)
        self.say(common.cMSG_CHANNEL_OPEN, "session", 94, 1 << 20, 1 << 15, TEXT)
        self.say(common.cMSG_CHANNEL_OPEN, "x11", 95, 0, 0)
        for _ in range(MANY):
            self.say(common.cMSG_GLOBAL_REQUEST, "keepalive@openssh.com", True)
        self.say(common.cMSG_CHANNEL_REQUEST, NO_CHANNEL, TEXT, True)
        self.say(common.cMSG_CHANNEL_SUCCESS, NO_CHANNEL)
        self.say(byte(7), 1, TEXT, TEXT)
        for number in UNKNOWN:
            self.say(byte(number), TEXT, False)
        self.say(byte(PING), TEXT)
        end = time.monotonic() + PATIENCE
        # Requests, five channels, and what is not known.
        while not (self.pong.is_set() and len(answers) == 1 + MANY + 5 + len(UNKNOWN)):
            if time.monotonic() > end or not self.is_active():
                self.close()
                return
            time.sleep(PAUSE)

    def does_not_know(self, message):
        self.say(common.cMSG_UNIMPLEMENTED, message.seqno)

    def flood(self):
        while self.is_active():
            self.say(common.cMSG_IGNORE, b"x" * 32)
            time.sleep(PAUSE)

    def repeat(self):
        for _ in range(TIMES):
            self.say(common.cMSG_GLOBAL_REQUEST, "odd@example.com", False)
            self.say(common.cMSG_GLOBAL_REQUEST, "odd@example.com", True)
            self.say(common.cMSG_GLOBAL_REQUEST, "keepalive@openssh.com", False)
            self.say(common.cMSG_REQUEST_SUCCESS)
            self.say(common.cMSG_REQUEST_FAILURE)
            self.say(common.cMSG_CHANNEL_WINDOW_ADJUST, 4711, 1)
            self.say(common.cMSG_UNIMPLEMENTED, 1)
            self.say(common.cMSG_DEBUG, True, b"look", b"")

    def deluge(self, *message):
        # The thread that reads stays in here.
        self.packetizer.read_message = lambda: time.sleep(3600)
        while self.is_active():
            self.say(*message)

    def overrun(self):
        channels = list(self._channels.values())
        while self.is_active() and (channels := [channel for channel in channels if not channel.closed]):
            for channel in channels:
                self.say(common.cMSG_CHANNEL_DATA, channel.remote_chanid, b"x" * (1 << 15))

    def chatter(self):
        while self.is_active():
            for channel in list(self._channels.values()):
                if not channel.closed:
                    channel.send(b"tick\n")
            time.sleep(PAUSE)


def echo(channel):
    while data := channel.recv(32768):
        channel.sendall(data)
    channel.close()


def serve(client):
    transport = Transport(client)
    transport.add_server_key(key(sys.argv[1]))
    for word, kind, answer in (
        ("refuse", common.MSG_CHANNEL_OPEN, Transport.refuse),
        ("unknown", common.MSG_GLOBAL_REQUEST, Transport.does_not_know),
    ):
        if word in says:
            transport._handler_table = {**Transport._handler_table, kind: answer}
    if "throw" in says:
        transport.stop_answering((common.MSG_GLOBAL_REQUEST, common.MSG_CHANNEL_OPEN))
    # Before the client is served: an order may follow its login at once.
    transports.append(transport)
    try:
        transport.start_server(server=Server())
    except paramiko.SSHException:
        transports.remove(transport)
        return
    if "throw" in says:
        while transport.is_active() and not transport.is_authenticated():
            time.sleep(PAUSE)
        transport.close()
        return
    while transport.is_active():
        channel = transport.accept(1)
        if channel:
            threading.Thread(target=echo, args=(channel,), daemon=True).start()


def key(path):
    try:
        return paramiko.Ed25519Key.from_private_key_file(path)
    except paramiko.SSHException:
        return paramiko.RSAKey.from_private_key_file(path)


def order(word, transport):
    if word == "goodbye":
        transport.say(common.cMSG_DISCONNECT, 11, TEXT, "")
    elif word == "exchange":
        transport.server_key_dict.clear()
        transport.add_server_key(key(sys.argv[2]))
        transport._preferred_keys = tuple(transport.server_key_dict)
        transport.renegotiate_keys()
    elif word == "repeat":
        transport.repeat()
    elif word == "requests":
        transport.deluge(common.cMSG_GLOBAL_REQUEST, "odd@example.com", True)
    elif word == "opens":
        transport.deluge(common.cMSG_CHANNEL_OPEN, "odd@example.com", 1, 1 << 20, 1 << 15)
    elif word == "visitors":
        address, port = transport.server_object.listens
        transport.deluge(common.cMSG_CHANNEL_OPEN, "forwarded-tcpip", 1, 1 << 20, 1 << 15, address, port, "127.0.0.1", 1)
    elif word == "unreadable":
        transport.unreadable()
    elif word == "overrun":
        transport.overrun()
    elif word == "huge":
        transport.say(common.cMSG_IGNORE, b"x" * 300_000)
    elif word == "garbage":
        transport.sock.sendall(b"\xff" * 100_000)
    elif word == "deaf":
        transport.stop_answering((common.MSG_CHANNEL_OPEN,))
    else:
        transport.stop_answering()
        if word == "rekey":
            transport._send_kex_init()
        threading.Thread(target=transport.chatter if word == "chatter" else transport.flood, daemon=True).start()


def accept(listener):
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(client,), daemon=True).start()


listener = socket.create_server(("127.0.0.1", 0), backlog=128)
print(listener.getsockname()[1], flush=True)
threading.Thread(target=accept, args=(listener,), daemon=True).start()
for line in sys.stdin:
    word = line.strip()
    if word == "close":
        # The thread in accept keeps the socket itself alive.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    else:
        threads = [threading.Thread(target=order, args=(word, transport), daemon=True) for transport in transports]
        for thread in threads:
            thread.start()
        if word in ("deaf", "unreadable"):
            # What is asked for from now on is not answered; or all is answered now.
            for thread in threads:
                thread.join()
    print("taken", flush=True)
