"""Conversations as a send connector of Exchange holds them (tests/exchange), replayed octet by octet."""

import pathlib
import socket

from case import Case
from test_door import DOMAINS, LOGIN, settings, trusting  # noqa: F401  pylint: disable=unused-import

ALLOWED = 2530
SCRIPTS = pathlib.Path(__file__).parent.parent / "exchange"


def SETTINGS(world):  # pylint: disable=invalid-name
    made = settings(world)
    made["listeners"].append({"address": f"127.0.0.1:{ALLOWED}"})
    return made


class Exchange(Case):
    def replay(self, name, port):
        """Everything that was sent as content."""
        connection = socket.create_connection(("127.0.0.1", port), timeout=20)
        lines, pending, content = connection.makefile("rb"), b"", b""
        for number, step in enumerate((SCRIPTS / name).read_text("utf-8").split("\n"), 1):
            kind, _, text = step.partition(":")
            text = text.removeprefix(" ").encode()
            if kind in ("C", "D"):
                pending += text + b"\r\n"
                content += text + b"\r\n" if kind == "D" else b""
                continue
            if pending:
                connection.sendall(pending)
                pending = b""
            if kind == "T":
                connection = trusting().wrap_socket(connection)
                lines = connection.makefile("rb")
            elif kind == "S":
                reply = lines.readline()
                while reply[3:4] == b"-":
                    reply = lines.readline()
                self.assertTrue(reply.startswith(text), f"{name}:{number}: expected {text}, got {reply}")
        self.assertEqual(lines.readline(), b"", "the session goes on")
        connection.close()
        return content

    def contents(self, recipient):
        return [mail.data for mail in self.arrived("mx.good.test", recipient)]

    def test_SUB_09_SUB_16_SUB_18_messages_of_a_send_connector_arrive_as_they_were_sent(self):
        for name, port in (("starttls_bdat.txt", ALLOWED), ("clear_data.txt", ALLOWED), ("binary_rset.txt", ALLOWED), ("auth_login.txt", LOGIN)):
            mark = len(self.relay.lines)
            content = self.replay(name, port)
            taken = self.relay.wait_log(20, mark, event="accepted")
            self.relay.wait_log(20, mark, event="delivered", to="bob@good.test", id=taken["id"])
            if name == "auth_login.txt":
                self.assertTrue(self.contents("bob@good.test")[-1].endswith(content))
        self.relay.wait_log(20, event="delivered", to="carl@good.test")
        half = self.contents("carl@good.test")[0]
        self.assertTrue(half.endswith("Grüße\r\n.\r\n..two dots\r\n".encode()), half)

