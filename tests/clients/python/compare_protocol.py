#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sends bytes that are no proper requests to two servers, and shows where what comes back differs.

    compare_protocol.py SERVER [REFERENCE] [--seconds N] [--seed N]

Inline commands with all kinds of quotes, counts and lengths that are none, lines without an end, and
valid pipelines with bytes changed, left out and put in; in one piece or in several, with and without a
password. Compared are the bytes that come back, and whether the server closes the connection. Run by
hand; the last line is `N passed, N failed`: exchanges, and kinds of differences.
"""
import argparse
import os
import random
import re
import select
import socket
import sys
import time

from compare import Server

PONG = b"*1\r\n$4\r\nPING\r\n"
FIXED = [
    b"PING\r\n", b"PING\n", b"  PING  \r\n", b"\r\n", b"\n", b"\r\n\r\nPING\r\n", b"\rPING\r\n",
    b"PING\r\r\n", b"PING\t\r\n", b"\tPING\r\n", b"PING\x0bx\r\n", b"PING\0\r\n", b"PING x\0y\r\n",
    b"ping \"a b\"\r\n", b"ping 'a b'\r\n", b"ping \"a\\x41\\n\\t\\q\"\r\n", b"ping \"\\x4\"\r\n",
    b"ping \"\\xzz\"\r\n", b"ping 'a\\'b'\r\n", b"ping 'a\\nb'\r\n", b"ping \"a\\\"\r\n",
    b"ping \"a\r\n", b"ping 'a\r\n", b"ping a\"b\r\n", b"ping \"a\"b\r\n", b"ping 'a'b\r\n",
    b"ping \"a\" \"b\"\r\n", b"ping \"\"\r\n", b"ping ''\r\n", b"ping \"a\"\"b\"\r\n",
    b"ping a\\x41\r\n", b"\"ping\"\r\n", b"'ping' x\r\n", b"\"\"\r\n", b"''\r\n", b"nosuch a b\r\n",
    b"nosuch 'a\\'b' \"\\xff\"\r\n", b"get\r\n", b"get " + b"x" * 300 + b" y\r\n",
    b"nosuch " + b"y" * 300 + b"\r\n", b"n" * 300 + b"\r\n", b"no\\such\x01\x80 \x01\x80\r\n",
    b"*2\r\n$3\r\na\r\n\r\n$1\r\nx\r\n", b"*2\r\n$6\r\nno\r\nxx\r\n$4\r\na\r\nb\r\n", b"x" * 70000,
    b"x" * 65536 + b"\r\n", b"ping " + b"x" * 65000 + b"\r\n", b"ping " + b"x" * 65531 + b"\r\n",
    b"ping " + b"x" * 65529 + b"\r\n", b"ping " + b"x" * 65530 + b"\n", b"*\r\n", b"*0\r\n", b"*-1\r\n",
    b"*-5\r\n", b"*abc\r\n", b"*1\r\n", b"*1048576\r\n", b"*1048577\r\n", b"*2147483647\r\n",
    b"*2147483648\r\n", b"*99999999999999999999\r\n", b"*-99999999999999999999\r\n",
    b"*+1\r\n$4\r\nPING\r\n", b"* 1\r\n$4\r\nPING\r\n", b"*01\r\n$4\r\nPING\r\n",
    b"*1 \r\n$4\r\nPING\r\n", b"*1\n$4\nPING\n", b"*1\n\r\n$4\r\nPING\r\n", b"*1\r$4\r\nPING\r\n",
    b"*1\rX$4\r\nPING\r\n", b"*1\r\n$4\rXPING\r\n", b"*1\r\n$4\r\nPINGXX", b"*1\r\n$4\r\nPINGXX" + PONG,
    b"*1\r\n$\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$abc\r\n", b"*1\r\n$+4\r\nPING\r\n",
    b"*1\r\n$ 4\r\nPING\r\n", b"*1\r\n$04\r\nPING\r\n", b"*1\r\n$4 \r\nPING\r\n", b"*1\r\n$0\r\n\r\n",
    b"*2\r\n$0\r\n\r\n$0\r\n\r\n", b"*1\r\n$536870912\r\n", b"*1\r\n$536870913\r\n",
    b"*1\r\n$99999999999999999999\r\n", b"*1\r\n$2147483648\r\n", b"*1\r\nPING\r\n", b"*1\r\n:4\r\n",
    b"*1\r\n\r\n", b"*1\r\n\xff\r\n", b"*1\r\n\0\r\n", b"*1\r\n'\r\n", b"*1\r\n*1\r\n$4\r\nPING\r\n",
    b"*1\r\n" + b"$" * 70000, b"*" + b"1" * 70000, b"*1\r\n$" + b"1" * 70000,
    b"*2\r\n$4\r\nPING\r\n$" + b"1" * 70000, PONG + b"*x\r\n" + PONG, PONG + b"*1\r\nx\r\n" + PONG,
    b"*0\r\n" + PONG, b"*-1\r\n" + PONG, b"*-1\r\n*0\r\nPING\r\n" + PONG,
    b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"Host: abc\r\n",
    b"post\r\n", b"host:\r\n", PONG + b"POST x\r\n" + PONG, b"*1\r\n$5\r\nHost:\r\n",
    b"*1\r\n$4\r\nPOST\r\n", b"QUIT\r\nPING\r\n", b"*1\r\n$4\r\nQUIT\r\n" + PONG,
    b"quit now\r\nPING\r\n", b"$4\r\nPING\r\n", b"+OK\r\n", b":1\r\n", b"-ERR x\r\n", b"%1\r\n",
    b"~1\r\n", b"_\r\n", b"#t\r\n", b">1\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\na\r\n\r\nGET k\r\n", b"*10\r\n" + b"$1\r\na\r\n" * 10,
    b"*11\r\n" + b"$1\r\na\r\n" * 11, b"*2\r\n$4\r\nPING\r\n$16384\r\n" + b"x" * 16384 + b"\r\n",
    b"*2\r\n$4\r\nPING\r\n$16385\r\n" + b"x" * 16385 + b"\r\n", b"AUTH x\r\nPING\r\n",
    b"AUTH secret\r\nPING\r\n", b"HELLO 3 AUTH default secret\r\nPING\r\n", b"HELLO 3\r\nGET nokey\r\n",
    b"HELLO 2\r\n", b"HELLO 3 SETNAME a\r\nCLIENT GETNAME\r\n", b"HELLO x\r\n", b"HELLO 1\r\n",
    b"HELLO 4\r\n", b"HELLO 3 AUTH a\r\n", b"HELLO 3 AUTH a b\r\n", b"HELLO 3 SETNAME \"a b\"\r\n",
    b"HELLO 3 FOO\r\n", b"HELLO 3 AUTH default\r\n",
    b"HELLO 2 SETNAME x AUTH default secret\r\nCLIENT GETNAME\r\n",
    b"AUTH default secret\r\nAUTH default x\r\nPING\r\n", b"AUTH a b c\r\n", b"AUTH\r\n",
    b"AUTH nobody secret\r\n", b"RESET\r\nPING\r\n", b"AUTH secret\r\nRESET\r\nPING\r\n",
    b"MULTI\r\nGET\r\nEXEC\r\n", b"MULTI\r\nnosuch\r\nPING\r\nEXEC\r\n", b"MULTI\r\n*x\r\nEXEC\r\n",
    b"MULTI\r\nSUBSCRIBE a\r\nPING\r\nEXEC\r\nGET a\r\n", b"MULTI\r\nMULTI\r\nEXEC\r\n",
    b"MULTI\r\nWATCH a\r\nEXEC\r\n", b"MULTI\r\nAUTH secret\r\nEXEC\r\n",
    b"MULTI\r\nHELLO 3\r\nGET nokey\r\nEXEC\r\n", b"MULTI\r\nRESET\r\nEXEC\r\n",
    b"MULTI\r\nQUIT\r\nEXEC\r\n", b"MULTI\r\nCLIENT REPLY OFF\r\nPING\r\nEXEC\r\nPING\r\n",
    b"MULTI\r\nBLPOP nokey 0\r\nXREAD BLOCK 0 STREAMS nokey $\r\nEXEC\r\n",
    b"MULTI\r\nSHUTDOWN FOO\r\nEXEC\r\n", b"MULTI\r\nMONITOR\r\nEXEC\r\n",
    b"MULTI\r\nSELECT 1\r\nSET mk 1\r\nEXEC\r\nGET mk\r\nDEL mk\r\n", b"MULTI\r\nWAIT 0 0\r\nEXEC\r\n",
    b"MULTI\r\nSET x 1\r\nINCR x\r\nLPUSH x 1\r\nDEL x\r\nEXEC\r\n",
    b"SUBSCRIBE a\r\nGET a\r\nPING\r\nPING x\r\nQUIT\r\n", b"SUBSCRIBE a\r\nUNSUBSCRIBE\r\nGET a\r\n",
    b"SUBSCRIBE a a b\r\nPSUBSCRIBE p*\r\nSSUBSCRIBE s\r\nUNSUBSCRIBE a\r\nRESET\r\nPING\r\n",
    b"SUBSCRIBE\r\n", b"UNSUBSCRIBE\r\n", b"UNSUBSCRIBE a b\r\n", b"PUNSUBSCRIBE\r\n",
    b"SUNSUBSCRIBE\r\n", b"SUBSCRIBE a\r\nMULTI\r\n", b"SUBSCRIBE a\r\nHELLO 3\r\nGET a\r\n",
    b"HELLO 3\r\nSUBSCRIBE a\r\nGET a\r\nPING\r\nUNSUBSCRIBE\r\n",
    b"SUBSCRIBE a\r\nUNSUBSCRIBE a\r\nHELLO 3\r\n",
    b"CLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY ON\r\nPING\r\n", b"CLIENT REPLY SKIP\r\nPING\r\nPING\r\n",
    b"CLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nPING\r\nPING\r\n",
    b"CLIENT REPLY OFF\r\nnosuch\r\nCLIENT REPLY SKIP\r\nPING\r\nCLIENT REPLY ON\r\nPING\r\n",
    b"CLIENT REPLY\r\n", b"CLIENT REPLY X\r\n", b"CLIENT REPLY OFF\r\n*x\r\n",
    b"CLIENT REPLY SKIP\r\n*x\r\n", b"CLIENT KILL TYPE foo\r\n", b"CLIENT SETNAME \"a b\"\r\n",
    b"CLIENT SETNAME a\r\nCLIENT SETNAME ''\r\nCLIENT GETNAME\r\n", b"HELLO 3\r\nMULTI\r\nEXEC\r\n",
    b"HELLO 3\r\nDEBUG PROTOCOL ATTRIB\r\n", b"EXEC\r\n", b"DISCARD\r\n",
    b"MULTI\r\nDISCARD\r\nDISCARD\r\n",
    b"SELECT 16\r\nSELECT -1\r\nSELECT x\r\nSELECT 1x\r\nSELECT ''\r\nSELECT 99999999999999999999\r\n",
    b"ECHO\r\nECHO a b\r\nPING a b\r\n",
]
BASE = [b"SET k v\r\n", b"GET \"k\"\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nvv\r\n", b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", PONG,
        b"*2\r\n$4\r\nECHO\r\n$12\r\nhello\r\nworld\r\n", b"*1\r\n$5\r\nMULTI\r\n", b"*1\r\n$4\r\nEXEC\r\n",
        b"*2\r\n$5\r\nHELLO\r\n$1\r\n2\r\n", b"ECHO 'it\\'s' \r\n", b"*4\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n$0\r\n\r\n$1\r\n\xff\r\n"]


class Exchange:
    def __init__(self, port, pieces):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pieces, self.got, self.closed = list(pieces), b"", False

    def push(self):
        if self.pieces and not self.closed:
            try:
                self.socket.settimeout(2)
                self.socket.sendall(self.pieces.pop(0))
            except OSError:
                self.pieces = []

    def pull(self):
        self.socket.setblocking(False)
        try:
            while not self.closed:
                data = self.socket.recv(1 << 16)
                self.closed = not data
                self.got += data
        except BlockingIOError:
            pass
        except OSError:
            self.closed = True


def mutated(rng):
    data = bytearray(b"".join(rng.choice(BASE) for _ in range(rng.choice([1, 2, 3, 5]))))
    for _ in range(rng.choice([1, 1, 2, 4])):
        if not data:
            break
        at = rng.randrange(len(data))
        what = rng.randrange(4)
        byte = rng.choice(b"\r\n*$:\"'\\ \tx0123459-+\xff")
        if what == 0:
            data[at] = byte
        elif what == 1:
            data.insert(at, byte)
        elif what == 2:
            del data[at]
        else:
            data[at:at] = data[at:at + rng.randrange(1, 8)]
    return bytes(data)


def in_pieces(rng, data):
    if rng.random() < 0.5 or len(data) < 2:
        return [data]
    cuts = sorted(rng.randrange(1, len(data)) for _ in range(rng.choice([1, 2, 3])))
    return [data[a:b] for a, b in zip([0] + cuts, cuts + [len(data)])]


def normal(got):
    # HELLO: the version, and the id of the connection.
    got = got.replace(b"the HELLO <proto> AUTH", b"the HELLO AUTH")     # since 7.2
    got = re.sub(rb"(\$7\r\nversion\r\n)\$\d+\r\n[\d.]+\r\n", rb"\1", got)
    return re.sub(rb"(\$2\r\nid\r\n):\d+\r\n", rb"\1", got)


def is_known(pieces, a, b):
    """What differs on purpose: an error is found before the end of its line has come; a zero byte
    does not hide an inline command's end; CLIENT REPLY OFF does not keep the connection open after an
    error, nor leave half of EXEC's reply; a vertical tab is white space."""
    data, ours, theirs = b"".join(pieces), normal(a.got), normal(b.got)
    if a.closed and not b.closed and (b"ERR Protocol error: " in ours[-80:]) and \
            (ours.startswith(theirs) or b"REPLY OFF" in data):
        return True
    if b"HELLO 3 SETNAME" in data and ours.startswith(b"-NOAUTH"):
        return True
    return b"\0" in data or b"\x0b" in data or b"MULTI\r\nCLIENT REPLY OFF" in data


def compare(servers, cases):
    """Pairs of (pieces, ours, theirs) that differ."""
    exchanges = [[Exchange(server.port, pieces) for server in servers] for pieces in cases]
    flat = [exchange for pair in exchanges for exchange in pair]
    for _ in range(max(len(pieces) for pieces in cases)):
        for exchange in flat:
            exchange.push()
        time.sleep(0.01)
    quiet = 0
    while quiet < 3:
        time.sleep(0.02)
        before = sum(len(e.got) + e.closed for e in flat)
        for exchange in flat:
            exchange.pull()
        quiet = quiet + 1 if sum(len(e.got) + e.closed for e in flat) == before else 0
    different = []
    for pieces, (a, b) in zip(cases, exchanges):
        if (normal(a.got), a.closed) != (normal(b.got), b.closed) and not is_known(pieces, a, b):
            different.append((pieces, a, b))
    for exchange in flat:
        exchange.socket.close()
    return different


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("reference", nargs="?", default="/usr/bin/redis-server")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    options = parser.parse_args()
    print("seed %d" % options.seed)
    rng = random.Random(options.seed)
    exchanges, kinds = 0, {}

    def report(pieces, a, b, what):
        kind = (normal(a.got)[-40:], a.closed, normal(b.got)[-40:], b.closed)
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] == 1:
            print("--- %s %s\n  ours:      %s%s\n  reference: %s%s" % (
                what, [p if len(p) < 300 else p[:60] + b"... (%d)" % len(p) for p in pieces],
                a.got[-300:], " closed" * a.closed, b.got[-300:], " closed" * b.closed), flush=True)

    for password in ([], ["--requirepass", "secret"]):
        servers = [Server(os.path.abspath(options.server), password), Server(options.reference, password)]
        what = "with a password" if password else "without a password"
        try:
            for data in FIXED:
                for pieces in ([data], [data[:1], data[1:]] if len(data) > 1 else [data]):
                    for difference in compare(servers, [pieces]):
                        report(*difference, what)
                    exchanges += 1
            end = time.time() + options.seconds / 2
            while time.time() < end:
                cases = [in_pieces(rng, mutated(rng)) for _ in range(100)]
                # Side by side they see each other's keys; alone, what is left differs.
                for pieces, _, _ in compare(servers, cases):
                    compare(servers, [[b"AUTH secret\r\nFLUSHALL\r\n"]])
                    for difference in compare(servers, [pieces]):
                        report(*difference, what)
                exchanges += len(cases)
        finally:
            for server in servers:
                server.stop()
    print("%d passed, %d failed" % (exchanges, len(kinds)))
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main())
