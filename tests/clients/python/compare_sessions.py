#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sends what several clients do at a time to two servers, and shows where what they see differs.

    compare_sessions.py SERVER [REFERENCE] [--seconds N] [--seed N]

As compare.py, but with four connections: transactions with WATCH on keys that others change, commands
that wait and are woken or unblocked, messages to subscribers, databases that are flushed and swapped,
CLIENT REPLY, RESET, HELLO. One step is one command of one client; after each, what every client has
received has to be the same. A history that differs is made as short as possible and printed. Run by
hand; the last line is `N passed, N failed`: steps, and kinds of differences.
"""
import re
import select
import sys
import time

from compare import Connection, Error, Server, Typed, canonical, printable, run

CLIENTS = 4
KEYS = ["a", "b", "c"]
WAITING = ["blpop", "brpop", "blmove", "brpoplpush", "blmpop", "bzpopmin", "bzpopmax", "bzmpop", "xread",
           "xreadgroup"]
WRONG_TYPE = b"WRONGTYPE Operation against a key holding the wrong kind of value"
# What Redis 7.2 tells otherwise than 7.0.
KNOWN = [
    (rb"NOGROUP .*|WRONGTYPE .*", rb"UNBLOCKED .*"),
]


def command(rng):
    """One command: words."""
    key, other, value = rng.choice(KEYS), rng.choice(KEYS), str(rng.randrange(4))
    keys = rng.sample(KEYS, rng.choice([1, 1, 2, 3]))
    timeout = "0"
    end = rng.choice(["left", "right"])
    channel = rng.choice(["x", "y", "xy"])
    choices = [
        (6, ["watch"] + keys), (1, ["unwatch"]), (8, ["multi"]), (10, ["exec"]), (1, ["discard"]),
        (8, ["set", key, value]), (2, ["set", key, value, "ex", "1000"]), (2, ["get", key]),
        (6, ["del"] + keys), (1, ["unlink", key]), (2, ["incr", key]), (2, ["append", key, ""]),
        (2, ["rename", key, other]), (1, ["renamenx", key, other]), (2, ["copy", key, other, "replace"]),
        (1, ["move", key, "1"]), (1, ["copy", key, other, "db", "1"]), (2, ["select", value[:1]]),
        (1, ["swapdb", "0", "1"]), (1, ["flushdb"]), (0.5, ["flushall"]), (1, ["expire", key, "1000"]),
        (1, ["expire", key, "-1"]), (1, ["persist", key]), (1, ["touch", key]), (1, ["dbsize"]),
        (6, [rng.choice(["lpush", "rpush"]), key] + [value] * rng.choice([1, 1, 2, 5])),
        (2, ["lpop", key]), (1, ["ltrim", key, "1", "0"]), (1, ["linsert", key, "before", value, "9"]),
        (1, ["lmove", key, other, end, end]), (1, ["lrem", key, "0", value]),
        (1, ["sort", key, "store", other]), (1, ["lset", key, "0", value]),
        (5, ["zadd", key, value, "m" + value]), (1, ["zrem", key, "m" + value]),
        (1, ["zunionstore", key, "1", other]), (1, ["zrangestore", key, other, "0", "-1"]),
        (1, ["geoadd", key, "1", "2", "p"]), (2, ["sadd", key, value]),
        (1, ["spop", key, "100000"]), (1, ["smove", key, other, value]), (1, ["hset", key, "f", value]),
        (5, ["xadd", key, "*", "f", value]), (2, ["xgroup", "create", key, "g", "$", "mkstream"]),
        (1, ["xgroup", "destroy", key, "g"]), (1, ["xtrim", key, "maxlen", "0"]),
        (1, ["xdel", key, "0-1"]), (1, ["xsetid", key, "0-1"]),
        (1, ["xgroup", "delconsumer", key, "g", "c"]),
        (5, [rng.choice(["blpop", "brpop"])] + keys + [timeout]),
        (2, ["blmove", key, other, end, end, timeout]), (2, ["brpoplpush", key, other, timeout]),
        (2, ["blmpop", timeout, str(len(keys))] + keys + [end, "count", "2"]),
        (3, [rng.choice(["bzpopmin", "bzpopmax"])] + keys + [timeout]),
        (2, ["bzmpop", timeout, str(len(keys))] + keys + ["min"]),
        (3, ["xread", "block", timeout, "streams"] + keys + ["$"] * len(keys)),
        (3, ["xreadgroup", "group", "g", "c", "block", timeout, "streams", key, ">"]),
        (3, ["subscribe", channel]), (1, ["psubscribe", "x*"]), (1, ["ssubscribe", channel]),
        (1, ["unsubscribe"]), (1, ["punsubscribe", "x*"]), (1, ["sunsubscribe", channel]),
        (4, ["publish", channel, value]), (1, ["spublish", channel, value]), (2, ["ping"]),
        (1, ["ping", value]), (1, ["pubsub", "numsub", "x", "y"]), (1, ["pubsub", "numpat"]),
        (0.5, ["reset"]), (0.5, ["hello", rng.choice(["2", "3", "3", "4"])]),
        (0.5, ["client", "reply", rng.choice(["skip", "on"])]), (0.5, ["client", "setname", "n" + value]),
        (0.5, ["client", "getname"]), (0.3, ["client", "no-evict", "on"]),
        (0.5, ["multi", "x"]), (0.5, ["nosuchcommand"]), (0.5, ["get"]), (0.5, ["exec", "x"]),
        (0.3, ["debug", "reload"]), (0.3, ["restore", key, "0", "bad"]),
        (0.3, ["config", "set", "notify-keyspace-events", rng.choice(["", "KEA"])]),
        (3, ["@unblock", rng.choice(["timeout", "error"])]), (0.7, ["@kill"]),
    ]
    weights = [weight for weight, _ in choices]
    return rng.choices([words for _, words in choices], weights)[0]


class Session:
    """One server, and the clients it has."""

    def __init__(self, server):
        self.server = server
        self.control = server.connect(2)
        self.clients = []

    def fresh(self):
        for client in self.clients:
            if client is not None:
                client.close()
        self.control("FLUSHALL")
        self.control("CONFIG", "SET", "notify-keyspace-events", "")
        while len(self.control("CLIENT", "LIST", "TYPE", "pubsub").split()) > 1:
            time.sleep(0.001)
        self.clients = [self.open() for _ in range(CLIENTS)]

    def open(self):
        client = self.server.connect(2)
        client.id = client("CLIENT", "ID")
        return client

    def step(self, who, words):
        """Sends the command; what each client has received then."""
        client = self.clients[who]
        if client is None:
            client = self.clients[who] = self.open()
        if words[0] == "@unblock":
            self.control("CLIENT", "UNBLOCK", str(client.id), words[1])
        elif words[0] == "@kill":
            self.control("CLIENT", "KILL", "ID", str(client.id))
        else:
            client.send(words)
        return self.received()

    def received(self):
        # A command of the last connection is served after those that came before; twice, since
        # who is woken is served behind the one who wakes.
        for _ in range(2):
            self.control("PING")
        out = [[] for _ in self.clients]
        patience = 0.0015
        while True:
            waiting = {c.socket: (i, c) for i, c in enumerate(self.clients) if c is not None}
            ready, _, _ = select.select(list(waiting), [], [], patience)
            if not ready:
                return out
            for sock in ready:
                i, client = waiting[sock]
                try:
                    while True:
                        out[i].append(client.read())
                        if not client.file.peek_ready():
                            break
                except (ConnectionError, OSError):
                    out[i].append("(closed)")
                    client.close()
                    self.clients[i] = None


class PeekingFile:
    """The connection's file, which can say whether it holds more already."""

    def __init__(self, sock):
        self.sock, self.held = sock, b""

    def fill(self):
        data = self.sock.recv(1 << 16)
        if not data:
            raise ConnectionError("closed")
        self.held += data

    def readline(self):
        while b"\r\n" not in self.held:
            self.fill()
        line, _, self.held = self.held.partition(b"\r\n")
        return line + b"\r\n"

    def read(self, count):
        while len(self.held) < count:
            self.fill()
        data, self.held = self.held[:count], self.held[count:]
        return data

    def peek_ready(self):
        return len(self.held) > 0

    def close(self):
        pass


class PeekingConnection(Connection):
    def __init__(self, port, protocol):
        super().__init__(port, protocol)
        self.file.close()
        self.file = PeekingFile(self.socket)


Server.connect = lambda self, protocol: PeekingConnection(self.port, protocol)


def normal(reply):
    """Ids of entries are times."""
    if isinstance(reply, Error):
        return reply
    if isinstance(reply, bytes):
        return re.sub(rb"^1\d{12}-\d+$", b"(id)", reply)
    if isinstance(reply, Typed):
        return (reply[0], normal(reply[1]))
    if isinstance(reply, (list, tuple)):
        items = [normal(item) for item in reply]
        if items and isinstance(items[0], bytes) and items[0].endswith(b"unsubscribe"):
            return items[:1] + items[2:]    # the channels are in no order
        # What HELLO tells of the server itself, and the id of a client.
        return [item for i, item in enumerate(items) if not (i > 0 and items[i - 1] in (b"id", b"version"))]
    return reply


def differ(ours, theirs):
    for mine, other in zip(ours, theirs):
        if len(mine) != len(other):
            return True
        for a, b in zip(mine, other):
            if isinstance(a, Error) and isinstance(b, Error) and any(
                    re.fullmatch(x, a) and re.fullmatch(y, b) for x, y in KNOWN):
                continue
            a, b = normal(canonical(a)), normal(canonical(b))
            if isinstance(a, tuple) and isinstance(b, tuple) and a[0] == b[0] == b"%":
                a = [p for p in a[1] if p[0] not in (b"id", b"version")]
                b = [p for p in b[1] if p[0] not in (b"id", b"version")]
            if type(a) is not type(b) or a != b:
                return True
    return False


def flat(reply):
    if isinstance(reply, (list, tuple)):
        return [part for item in reply for part in flat(item)]
    return [repr(reply)]


def is_known(words, ours, theirs):
    """A difference of another kind than one reply's text, which is meant."""
    # Another key of an XREAD is no stream any more: 7.2 looks at all when one has changed.
    if any(a.count(WRONG_TYPE) > b.count(WRONG_TYPE) for a, b in zip(ours, theirs)):
        return True
    # Messages come behind EXEC's reply, since 7.2.
    if words[0] == "exec":
        return all(sorted(flat(a)) == sorted(flat(b)) for a, b in zip(ours, theirs))
    # A value of another type that a key gets wakes who waits for that type.
    if words[0] in ("zrangestore", "zunionstore", "sort", "copy", "rename"):
        return all(a[:len(b)] == b for a, b in zip(ours, theirs))
    return False


class Comparison:
    def __init__(self, ours, theirs):
        self.sessions = [Session(ours), Session(theirs)]
        self.kinds = {}
        self.steps = 0

    def first_difference(self, history):
        """How many steps until what is seen differs, and what that is; None: nowhere."""
        for session in self.sessions:
            session.fresh()
        for i, (who, words) in enumerate(history):
            seen = [session.step(who, words) for session in self.sessions]
            if differ(*seen) and not is_known(words, *seen):
                # Slow, perhaps: once more.
                for which, session in enumerate(self.sessions):
                    time.sleep(0.02)
                    for more, late in zip(seen[which], session.received()):
                        more.extend(late)
                if differ(*seen) and not is_known(words, *seen):
                    return i, seen
                if differ(*seen):
                    return None
            elif differ(*seen):
                return None     # what follows is another history
        return None

    def shorten(self, history):
        step = max(1, len(history) // 2)
        while True:
            at, changed = 0, False
            while at < len(history) - 1:
                shorter = history[:at] + history[min(at + step, len(history) - 1):]
                found = self.first_difference(shorter)
                if found is not None and found[0] == len(shorter) - 1:
                    history, changed = shorter, True
                else:
                    at += step
            if step == 1 and not changed:
                return history
            step = max(1, step // 2)

    def run(self, history):
        found = self.first_difference(history)
        self.steps += len(history) if found is None else found[0] + 1
        if found is None:
            return
        history = history[:found[0] + 1]
        again = self.first_difference(history)
        if again is None or again[0] != len(history) - 1:
            print("--- (not again) %s" % printable([w.encode() for w in history[-1][1]]), flush=True)
            self.kinds["(not again)"] = self.kinds.get("(not again)", 0) + 1
            return
        short = self.shorten(history)
        found = self.first_difference(short)
        seen = found[1] if found else again[1]
        brief = [[[r if isinstance(r, (Error, str)) else type(r).__name__ for r in replies]
                  for replies in side] for side in seen]
        kind = repr((short[-1][1][0], re.sub("'[^']*'", "''", repr(brief))))
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if self.kinds[kind] > 1:
            return
        print("---")
        for who, words in short:
            print("  %d> %s" % (who, printable([w.encode() for w in words])))
        for name, side in zip(("ours:     ", "reference:"), seen):
            print("  %s %s" % (name, {i: r for i, r in enumerate(side) if r}), flush=True)


def walk(options, rng, ours, reference):
    comparison = Comparison(ours, reference)
    end = time.time() + options.seconds
    while time.time() < end:
        comparison.run([(rng.randrange(CLIENTS), command(rng)) for _ in range(60)])
    return comparison.steps, comparison.kinds


if __name__ == "__main__":
    sys.exit(run(__doc__, lambda parser: None, walk))
