# SPDX-License-Identifier: BSD-3-Clause
"""A client of RESP2: as little as the histories need, and nothing of ours behind it."""
import socket


class ErrorReply(Exception):
    """A reply that begins with '-'. It is a value here: a pipeline goes on behind it."""

    def __eq__(self, other):
        return isinstance(other, ErrorReply) and self.args == other.args

    def __hash__(self):
        return hash(self.args)


class ConnectionLost(Exception):
    """No reply, and none to be expected: what was sent may or may not have happened."""


def encode(command):
    parts = [b"*%d\r\n" % len(command)]
    for argument in command:
        if not isinstance(argument, bytes):
            argument = str(argument).encode("latin-1")
        parts.append(b"$%d\r\n%b\r\n" % (len(argument), argument))
    return b"".join(parts)


class Connection:
    """One connection. Whatever goes wrong with it closes it."""

    def __init__(self, port, timeout_seconds):
        self.received = bytearray()
        self.position = 0
        self.socket = None
        try:
            self.socket = socket.create_connection(("127.0.0.1", port), timeout_seconds)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise ConnectionLost(str(error)) from error

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def send(self, commands):
        try:
            self.socket.sendall(b"".join(encode(command) for command in commands))
        except OSError as error:
            self.close()
            raise ConnectionLost(str(error)) from error

    def receive(self, timeout_seconds):
        """One reply; text as str of latin-1, so that every byte has its character."""
        try:
            self.socket.settimeout(timeout_seconds)
            reply = self._reply()
        except (OSError, ValueError) as error:
            self.close()
            raise ConnectionLost(str(error)) from error
        if self.position > 1 << 16:
            del self.received[:self.position]
            self.position = 0
        return reply

    def _more(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise OSError("closed by the server")
        self.received += data

    def _line(self):
        start = self.position
        while True:
            end = self.received.find(b"\r\n", start)
            if end >= 0:
                line = bytes(self.received[self.position:end])
                self.position = end + 2
                return line
            start = max(self.position, len(self.received) - 1)
            self._more()

    def _reply(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode("latin-1")
        if kind == b"-":
            return ErrorReply(rest.decode("latin-1"))
        if kind == b":":
            return int(rest)
        size = int(rest)
        if size < 0:
            return None
        if kind == b"$":
            while len(self.received) < self.position + size + 2:
                self._more()
            text = self.received[self.position:self.position + size].decode("latin-1")
            self.position += size + 2
            return text
        if kind == b"*":
            return [self._reply() for _ in range(size)]
        raise ValueError("no RESP: %r" % line[:80])
