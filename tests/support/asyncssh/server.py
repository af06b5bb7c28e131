# An SSH server whose users all have to change their password first (RFC 4252 section 8).
# server.py PORT HOST_KEY METHOD: METHOD is `password`, `keyboard-interactive` or `keyboard-interactive in German`. One line
# of output a password.
import asyncio
import sys

import asyncssh

PORT, HOST_KEY, METHOD = int(sys.argv[1]), sys.argv[2], sys.argv[3]


class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return METHOD == "password"

    def validate_password(self, username, password):
        print("password", flush=True)
        raise asyncssh.PasswordChangeRequired("your password has expired")

    def kbdint_auth_supported(self):
        return METHOD.startswith("keyboard-interactive")

    def get_kbdint_challenge(self, username, lang, submethods):
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username, responses):
        # What PAM asks once the old password was right.
        print("password", flush=True)
        if METHOD.endswith("in German"):
            return "", "", "", [("Neues Passwort: ", False), ("Neues Passwort wiederholen: ", False)]
        text = "You are required to change your password immediately (password expired).\nNew password: "
        return "", "", "", [(text, False)]


async def main():
    await asyncssh.create_server(Server, "127.0.0.1", PORT, server_host_keys=[HOST_KEY])
    await asyncio.get_running_loop().create_future()


asyncio.run(main())
