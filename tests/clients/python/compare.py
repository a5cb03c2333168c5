#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sends the same random commands to two servers and shows where their replies differ.

    compare.py SERVER [REFERENCE] [--seconds N] [--seed N] [--only WORD,...] [--commands N]
               [--events]

SERVER and REFERENCE (default /usr/bin/redis-server) are programs; both are started, on free ports of
127.0.0.1, and stopped at the end. The commands are those that both have. Their arguments are drawn
from the reference's own COMMAND DOCS: a random walk through the tree of arguments, over few keys and
values, so that commands meet; one in eight is then spoilt on purpose. Half go out over RESP2 and half
over RESP3. Replies are compared with their types, after normalising what may differ: the order of
unordered replies, what is drawn at random, times that pass, the last digits of doubles.

At a difference the history since the last FLUSHALL is made as short as possible, printed as commands
that can be typed, and the run goes on; differences of the same kind are counted. From time to time
every key is compared, and its DUMP is restored in the other server.

The last line is `N passed, N failed`: commands compared, and kinds of differences. Run by hand: the
reference is another version than ours, and KNOWN below lists what has changed since 7.0.
"""
import argparse
import collections
import math
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

# ---------------------------------------------------------------------------------------------
# Servers and connections


class Error(bytes):
    """A reply that is an error."""


class Simple(bytes):
    """A reply that is a status line."""


class Typed(tuple):
    """A reply of another type than bytes, int or list: (type byte, value)."""


class Connection:
    def __init__(self, port, protocol):
        self.port, self.protocol = port, protocol
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", 1 << 16)
        if protocol == 3:
            self("HELLO", "3")

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, *commands):
        out = []
        for words in commands:
            out.append(b"*%d\r\n" % len(words))
            for word in words:
                word = word if isinstance(word, bytes) else str(word).encode()
                out.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.socket.sendall(b"".join(out))

    def __call__(self, *words):
        self.send(words)
        return self.read()

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return Simple(rest)
        if kind == b"-":
            return Error(rest)
        if kind == b":":
            return int(rest)
        if kind in b"$=!":
            if rest == b"-1":
                return None
            text = self.file.read(int(rest) + 2)[:-2]
            return text if kind == b"$" else Typed((kind, text))
        if kind == b"*":
            if rest == b"-1":
                return Typed((b"*-1", None))
            return [self.read() for _ in range(int(rest))]
        if kind in b"~>":
            return Typed((kind, [self.read() for _ in range(int(rest))]))
        if kind == b"%":
            return Typed((kind, [(self.read(), self.read()) for _ in range(int(rest))]))
        if kind in b",#_(":
            return Typed((kind, rest))
        raise ConnectionError("not a reply: %r" % line[:60])


class Server:
    def __init__(self, program, options):
        self.program = program
        self.dir = tempfile.mkdtemp(prefix="compare-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = open(os.path.join(self.dir, "log"), "wb")
        self.process = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.dir,
             "--save", "", "--appendonly", "no", "--enable-debug-command", "yes"] + options,
            stdout=self.log, stderr=subprocess.STDOUT, cwd=self.dir)
        for _ in range(200):
            try:
                Connection(self.port, 2).close()
                break
            except OSError:
                time.sleep(0.05)

    def connect(self, protocol):
        return Connection(self.port, protocol)

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


# ---------------------------------------------------------------------------------------------
# What may differ

UNORDERED = set("""smembers sinter sunion sdiff hkeys hvals keys hgetall config|get
    command|list""".split())
# Compared by shape: how many, and of which types.
RANDOM = set("""srandmember hrandfield zrandmember randomkey spop time lastsave object|freq
    object|idletime memory|usage scan dbsize""".split())
TIMES = set("ttl pttl expiretime pexpiretime".split())
STREAM_TIMES = set("xpending xinfo|consumers xinfo|stream xinfo|groups".split())
# What a group has read, too: 7.0 counts wrong past what was deleted or trimmed.
STREAM_CHANGING = set(b"""idle inactive seen-time active-time radix-tree-keys radix-tree-nodes
    entries-read lag""".split())
UNORDERED_EVENTS = set("exec".split())
SCORES = re.compile(r"b?z|geo")
# Not sent: what ends or changes the connection or the server, waits, tells of the server rather than
# of the data, or has its own bytes (DUMP and RESTORE are tried in whole_state()).
NOT_SENT = set("""monitor sync psync shutdown debug replicaof slaveof failover subscribe psubscribe
    ssubscribe unsubscribe punsubscribe sunsubscribe quit reset hello auth save bgsave bgrewriteaof
    info wait waitaof lolwut client config slowlog latency memory command module acl role function
    pfdebug pfselftest object|refcount object|encoding object|help cluster migrate restore
    restore-asking dump replconf script eval evalsha eval_ro evalsha_ro fcall fcall_ro asking readonly
    readwrite lastsave time pubsub xgroup|help xinfo|help""".split())
# (command, reply of ours, reply of the reference): what is different for a reason. Most of it Redis
# 7.2 says otherwise than 7.0; the rest is in docs/compatibility.md.
KNOWN = [
    ("bitpos|bitcount", rb"ERR (syntax error|value is not an integer.*|The bit .*)",
     rb"-?[01]|WRONGTYPE .*"),
    ("z(rev)?rank", rb"ERR syntax error", rb"ERR wrong number of arguments.*"),
    (".scan", rb"ERR invalid cursor", rb".*"),
    ("command\\|getkeysandflags", rb"ERR .*", rb".*"),
    ("command\\|getkeysandflags", rb".*", rb"ERR Invalid arguments.*"),
    ("pf.*", rb"INVALIDOBJ.*", rb".*"),
    ("lpos", rb"ERR value is out of range, value must.*", rb".*"),
    ("xsetid", rb"ERR .* smaller than current max_deleted_entry_id", rb"OK"),
    ("xread.*", rb"ERR Unbalanced '.*", rb"ERR Unbalanced XREAD .*"),
]


def same_number(a, b):
    try:
        a, b = float(a), float(b)
    except ValueError:
        return False
    return a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= 1e-15 * abs(a)


def sort_key(reply):
    return repr(reply)


def normal(name, words, reply):
    """The reply as it has to be equal on both sides."""
    if isinstance(reply, Error):
        return reply
    if name.startswith("sort") and ties(words):
        return len(reply) if isinstance(reply, list) else reply
    if name in RANDOM:
        return shape(reply)
    reply = canonical(reply)
    if name in STREAM_TIMES:
        return without_times(reply)
    if name in TIMES and isinstance(reply, int) and reply > 0:
        return ("about", reply / (1000 if name.startswith("p") else 1))
    if name in ("hgetall", "config|get") and isinstance(reply, list):
        return sorted(zip(reply[::2], reply[1::2]), key=sort_key)
    if name.endswith("scan") and isinstance(reply, list) and len(reply) == 2:
        step = 1 if name in ("sscan", "scan") else 2
        items = reply[1]
        return [reply[0], sorted(zip(*[items[i::step] for i in range(step)]), key=sort_key)]
    if name.startswith("geo") and isinstance(reply, list) and b"COUNT" in words:
        return shape(reply)     # of those that are equally far
    if name.startswith("geo") and isinstance(reply, list) and name not in ("geopos", "geohash"):
        return sorted(reply, key=sort_key)
    if name.endswith("expire") and len(words) > 3:
        return None     # GT and LT depend on the millisecond
    if name in UNORDERED and isinstance(reply, list):
        return sorted(reply, key=sort_key)
    return reply


def without_times(reply):
    """What XPENDING and XINFO tell, but for the times, and the nodes of a tree that we have not."""
    if isinstance(reply, tuple) and reply[0] == b"%":
        return [without_times(list(pair)) for pair in reply[1] if pair[0] not in STREAM_CHANGING]
    if not isinstance(reply, list):
        return reply
    if reply and isinstance(reply[0], bytes) and len(reply) % 2 == 0 \
            and reply[0] in (b"name", b"length"):
        pairs = [[reply[i], without_times(reply[i + 1])] for i in range(0, len(reply), 2)
                 if reply[i] not in STREAM_CHANGING]
        return sorted(pairs, key=sort_key)
    if len(reply) == 4 and isinstance(reply[2], int):
        return [reply[0], reply[1], reply[3]]           # id, consumer, time, count
    if len(reply) == 3 and isinstance(reply[1], int):
        return [reply[0], reply[2]]                     # id, time, count
    return [without_times(item) for item in reply]


def canonical(reply):
    """Sets and maps are in no order, and a HyperLogLog keeps the count that it had last, or that it
    is out of date: when, may differ."""
    if isinstance(reply, list):
        return [canonical(item) for item in reply]
    if isinstance(reply, Typed) and reply[0] in b"~%":
        return (reply[0], sorted((canonical(item) for item in reply[1]), key=sort_key))
    if isinstance(reply, tuple) and not isinstance(reply, Typed):
        return tuple(canonical(item) for item in reply)
    if isinstance(reply, bytes) and reply.startswith(b"HYLL"):
        return reply[:8] + reply[16:]
    return reply


def ties(words):
    """A SORT whose order is not told: by nothing, or by strings that may be equal."""
    words = [word.lower() for word in words]
    return b"by" in words and (b"alpha" in words or any(
        b"*" not in after for word, after in zip(words, words[1:]) if word == b"by"))


def shape(reply):
    if isinstance(reply, list):
        return ["list"] + [shape(item) for item in reply]
    if isinstance(reply, Typed):
        inner = reply[1]
        if isinstance(inner, list):
            return (reply[0], [shape(item) for item in inner])
        return (reply[0], None)
    if isinstance(reply, tuple):
        return tuple(shape(item) for item in reply)
    return type(reply).__name__


def same(name, a, b):
    """Equal, digits of scores aside."""
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple) and isinstance(b, tuple) and a[:1] == b[:1] == ("about",):
        return abs(a[1] - b[1]) < 5
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(name, x, y) for x, y in zip(a, b))
    if a == b:
        return True
    # Sums of floats may differ in the last digit, since counters are summed in another order.
    return isinstance(a, bytes) and not isinstance(a, Error) \
        and (SCORES.match(name) is not None or b"." in a + b) and same_number(a, b)


# ---------------------------------------------------------------------------------------------
# Commands from their documentation

FAMILIES = {"string": b"s", "bitmap": b"s", "hash": b"h", "set": b"t", "sorted-set": b"z",
            "list": b"l", "hyperloglog": b"p", "geo": b"g", "stream": b"m", "generic": None}
MEMBERS = [b"a", b"b", b"c", b"d", b"e", b"1", b"2", b"3", b"-7", b"10"]
RARE = [b"", b"0", b"-0", b"3.5", b"1e3", b"01", b" 1", b"0x10", b"+5", b"9223372036854775807",
        b"-9223372036854775808", b"9223372036854775808", b"inf", b"-inf", b"nan", b"\xff\x00\r\n",
        b"x" * 45, b"y" * 70, b"4294967295", b"1.7976931348623157e308",
        b"3.0000000000000004", b"99999999999999999999"]
INTEGERS = [b"0", b"1", b"2", b"3", b"-1", b"-2", b"5", b"10", b"-100", b"100"]
DOUBLES = [b"0", b"1", b"1", b"2", b"2.5", b"-1", b"-3.25", b"0.1", b"1e3", b"inf", b"-inf", b"3"]
LEX = [b"-", b"+", b"[a", b"(b", b"[c", b"(1", b"[", b"("]
BOUNDS = [b"-inf", b"+inf", b"0", b"(1", b"2", b"3", b"(2.5", b"(inf", b"-1", b"10"]
PATTERNS = [b"*", b"?", b"[a-c]", b"[^a]", b"s*", b"h?", b"\\a", b"*1", b"[", b"", b"w_*", b"w_*->f",
            b"#", b"h1->a"]
IDS = [b"1-1", b"1-2", b"2-1", b"2-2", b"3-0", b"3-1", b"4-1", b"5-5", b"1", b"2", b"3", b"6", b"0", b"0-0",
       b"0-1", b"7-*", b"9-1", b"18446744073709551615-18446744073709551615", b"18446744073709551615"]
ODD_IDS = [b"abc", b"1-1-1", b"1-", b"-1", b"18446744073709551616-1", b"1-x", b"*", b"$", b">", b"-", b"+"]
RANGE_IDS = [b"-", b"-", b"+", b"+", b"(1-1", b"(2", b"(0-0", b"(18446744073709551615-18446744073709551615"]
ENCODINGS = [b"u1", b"u8", b"i8", b"i5", b"u16", b"i64", b"u63", b"u64", b"i65", b"u0", b"x8"]


class Generator:
    def __init__(self, docs, rng, only):
        self.rng = rng
        self.next_id = 8
        self.commands = []
        for name, doc in docs:
            if only and not any(re.fullmatch(word, name) or word == doc.get("group")
                                for word in only):
                continue
            if name in NOT_SENT or name.split("|")[0] in NOT_SENT:
                continue
            self.commands.append((name, doc))
        weights = {"select": 0.05, "swapdb": 0.1, "multi": 0.15, "watch": 0.3, "exec": 0.5,
                   "discard": 0.1, "flushall": 0.02, "xsetid": 0.02, "flushdb": 0.02}
        self.weights = [weights.get(name, 1) for name, _ in self.commands]

    def key(self, group):
        rng = self.rng
        letter = FAMILIES.get(group)
        if letter is None or rng.random() < 0.08:
            # Scores that are no places, and the head of a HyperLogLog, give replies of no use.
            letter = rng.choice([b"s", b"h", b"t", b"l", b"m"] + {
                "geo": [], "string": [b"z"], "bitmap": [b"z"], "sorted-set": [b"p"]
            }.get(group, [b"z", b"p", b"g"]))
        return letter + rng.choice([b"1", b"1", b"2", b"3"])

    def value(self, arg, group, name):
        rng = self.rng
        kind, what = arg.get("type"), arg.get("name", "").lower()
        if rng.random() < 0.03:
            return rng.choice(RARE)
        if kind == "key":
            return self.key(group)
        if group == "stream" and (what in ("id", "start", "end", "last-id", "max_deleted_entry_id")
                                  or what == "threshold" and rng.random() < 0.5):
            return self.stream_id(name, what)
        if what in ("group", "groupname", "consumer", "consumername") and rng.random() < 0.95:
            return (b"g" if what.startswith("g") else b"c") + rng.choice([b"1", b"1", b"2"])
        if what == "min-idle-time":
            return rng.choice([b"0", b"0", b"0", b"1000000000", b"-1", b"x"])
        if what == "milliseconds" and name in ("xread", "xreadgroup"):
            return rng.choice([b"1", b"1", b"2", b"-1", b"x", b"1.5"])
        if what == "timeout" or name.startswith("b") and what == "seconds":
            return rng.choice([b"0.001", b"0.002", b"0.002", b"-1", b"x", b"1e-3"])
        if kind == "pattern" or what == "pattern":
            return rng.choice(PATTERNS)
        if what in ("min", "max", "start", "stop") and "lex" in name:
            return rng.choice(LEX)
        if what in ("min", "max", "start", "stop") and name in ("zrange", "zrangestore"):
            return rng.choice(rng.choice([LEX, BOUNDS, INTEGERS]))
        if what in ("min", "max"):
            return rng.choice(BOUNDS)
        if what == "encoding":
            return rng.choice(ENCODINGS)
        if what == "longitude":
            return rng.choice([b"13.361389", b"15.087269", b"2.3", b"-0.1", b"181", b"13.5"])
        if what == "latitude":
            return rng.choice([b"38.115556", b"37.502669", b"48.8", b"51.5", b"85", b"86", b"38"])
        if what in ("radius", "width", "height"):
            return rng.choice([b"100", b"200", b"1000", b"2000", b"0", b"-1"])
        if what == "offset" and group in ("string", "bitmap"):
            return rng.choice([b"0", b"1", b"7", b"8", b"9", b"63", b"100", b"500", b"5000", b"-1",
                               b"#0", b"#1", b"#3", b"4294967296"])
        if kind == "unix-time":
            now = int(time.time())
            if "milli" in what or name.startswith("p") or what.startswith("p"):
                now *= 1000
            return rng.choice([b"%d" % (now * 2), b"%d" % (now * 3), b"1", b"0", b"-1"])
        if what in ("seconds", "milliseconds"):
            return rng.choice([b"1000000", b"500000", b"2000000", b"0", b"-1", b"x",
                               b"9223372036854775807"])
        if what == "cursor":
            return b"0"
        if kind == "double":
            return rng.choice(DOUBLES)
        if kind == "integer":
            if what == "db" or what.endswith("-db"):
                return rng.choice([b"0", b"0", b"1", b"99"])
            return rng.choice(INTEGERS)
        if group in ("string",) and rng.random() < 0.5:
            return rng.choice(INTEGERS + DOUBLES + [b"hello world", b"ab" * 9])
        return rng.choice(MEMBERS)

    def stream_id(self, name, what):
        rng = self.rng
        if rng.random() < 0.06:
            return rng.choice([i for i in ODD_IDS if name != "xadd" or i != b"*"])
        if name in ("xrange", "xrevrange", "xpending", "xautoclaim") and rng.random() < 0.5:
            return rng.choice(RANGE_IDS)
        if name in ("xread", "xreadgroup", "xgroup|create", "xgroup|setid") and rng.random() < 0.5:
            return rng.choice([b"0", b"0", b"$"] + [b">"] * 4 * (name == "xreadgroup"))
        if name == "xadd" and rng.random() < 0.6:
            self.next_id += 1
            return b"%d-%s" % (self.next_id // 4, rng.choice([b"1", b"2", b"3", b"*"]))
        return rng.choice(IDS)

    def arguments(self, args, group, name, out):
        rng = self.rng
        numkeys_at, keys = None, 1
        for arg in args:
            flags = arg.get("flags", ())
            if "optional" in flags and rng.random() < 0.55:
                continue
            repeats = 1
            if "multiple" in flags or "multiple_token" in flags:
                repeats = rng.choice([1, 1, 2, 2, 3, 5])
            if arg.get("name") == "numkeys":
                numkeys_at = len(out) + (1 if "token" in arg else 0)
            before = len(out)
            for i in range(repeats):
                if "token" in arg and arg.get("type") != "pure-token" \
                        and (i == 0 or "multiple_token" in flags):
                    out.append(arg["token"].encode())
                self.one(arg, group, name, out)
            if numkeys_at is not None and arg.get("name") in ("key", "keys") and rng.random() < 0.97:
                keys = len(out) - before
                out[numkeys_at] = b"%d" % keys
            if arg.get("name") == "weight" and numkeys_at is not None and rng.random() < 0.9:
                want, have = keys, len(out) - before - 1
                if have > want > 0:
                    del out[before + 1 + want:]
                while have < want:
                    out.append(rng.choice(DOUBLES))
                    have += 1

    def one(self, arg, group, name, out):
        kind = arg.get("type")
        if kind == "oneof":
            choice = self.rng.choice(arg["arguments"])
            self.arguments([{**choice, "flags": [f for f in choice.get("flags", ())
                                                 if f != "optional"]}], group, name, out)
        elif kind == "block":
            self.arguments(arg["arguments"], group, name, out)
        elif kind == "pure-token":
            # An id that the clock decides is another one on each server.
            out.append(b"10-*" if name == "xadd" and arg["token"] == "*" else arg["token"].encode())
        else:
            out.append(self.value(arg, group, name))

    def spoil(self, words):
        rng = self.rng
        what = rng.randrange(5)
        at = rng.randrange(1, len(words) + 1)
        if what == 0:
            words.insert(at, rng.choice(RARE + MEMBERS + INTEGERS))
        elif what == 1 and at < len(words):
            del words[at]
        elif what == 2 and at < len(words):
            words[at] = rng.choice(RARE + MEMBERS + INTEGERS)
        elif what == 3 and at < len(words):
            words[at], words[-1] = words[-1], words[at]
        elif at < len(words):
            words.insert(at, words[at])

    @staticmethod
    def end_waiting(name, words):
        """Who waits does so for a moment."""
        if name in ("xread", "xreadgroup"):
            at = [i + 1 for i, word in enumerate(words) if word.lower() == b"block"]
        elif name in ("blpop", "brpop", "blmove", "brpoplpush", "bzpopmin", "bzpopmax"):
            at = [len(words) - 1]
        elif name in ("blmpop", "bzmpop"):
            at = [1]
        else:
            return
        for i in at:
            try:
                if i < len(words) and not 0 < float(words[i]) < 0.01 and float(words[i]) >= 0:
                    words[i] = b"0.003" if name[0] == "b" else b"1"
            except ValueError:
                pass

    def command(self):
        rng = self.rng
        name, doc = rng.choices(self.commands, self.weights)[0]
        words = [w.encode() for w in name.split("|")]
        if rng.random() < 0.02:
            words[0] = words[0].upper()
        self.arguments(doc.get("arguments", []), doc.get("group"), name, words)
        if name in ("xread", "xreadgroup") and b"STREAMS" in words and rng.random() < 0.95:
            at = words.index(b"STREAMS") + 1
            keys = [word for word in words[at:] if re.fullmatch(rb"[a-z][123]", word)]
            words[at:] = keys + [self.stream_id(name, "id") for _ in keys]
        if name == "pfadd" and len(words) == 2:
            words.append(b"a")      # the count that it would cache shows
        if rng.random() < 0.12 and name not in ("zrank", "zrevrank"):
            self.spoil(words)
        if name in ("expire", "pexpire", "setex", "psetex", "set", "getex"):
            # Nothing expires while it is looked at.
            words[2:] = [b"3000000" if re.fullmatch(rb"[+]?\d{1,6}", word)
                         and (b"x" in words[i + 1].lower() or i == 0) and word.strip(b"0+")
                         else word for i, word in enumerate(words[2:])]
        self.end_waiting(name, words)
        if name == "scan":
            words[1:] = [b"0", b"COUNT", b"1000"]
        if "lex" in name or b"BYLEX" in words:
            # Members of one score are in keys of their own: otherwise the reply is not defined.
            words = [words[0]] + [re.sub(rb"^[a-z]([123])$", rb"x\1", word) for word in words[1:]]
            words[1] = words[1] if words[1:2] and words[1][:1] == b"x" else b"x1"
            if name == "zrangestore":
                words[2] = b"x2"
        if name == "zadd" and rng.random() < 0.2:
            words = [b"zadd", b"x" + rng.choice([b"1", b"2"]), b"0", rng.choice(MEMBERS)]
        if rng.random() < 0.03 and len(words) > 1 and not name.startswith("georadius"):
            return "command|getkeysandflags", [b"command", b"getkeysandflags"] + words
        return name, words


def read_docs(connection):
    """name -> documentation, subcommands flattened as container|name."""
    def tree(reply):
        doc = {}
        for field, value in reply[1]:
            field = field.decode()
            if field == "arguments":
                doc[field] = [tree(item) for item in value]
            elif field == "subcommands":
                doc[field] = value
            elif field == "flags":
                doc[field] = [flag.decode() for flag in value[1]]
            elif isinstance(value, bytes):
                doc[field] = value.decode()
        return doc

    docs = {}
    for name, reply in connection("COMMAND", "DOCS")[1]:
        doc = tree(reply)
        subs = doc.pop("subcommands", None)
        if subs is None:
            docs[name.decode()] = doc
        else:
            for subname, subreply in subs[1]:
                docs[subname.decode()] = tree(subreply)
    return docs


# ---------------------------------------------------------------------------------------------
# The comparison


def printable(words):
    def quote(word):
        if re.fullmatch(rb"[\w.:#*?<>|+-]+", word):
            return word.decode()
        return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else "\\x%02x" % b
                             for b in word) + '"'
    return " ".join(quote(word) for word in words)


class Comparison:
    def __init__(self, ours, reference, with_events):
        self.servers = [ours, reference]
        self.with_events = with_events
        self.listeners = []
        if with_events:
            for server in self.servers:
                server.connect(2)("CONFIG", "SET", "notify-keyspace-events", "AKE")
        self.connections = {}
        self.connect()
        self.kinds = collections.OrderedDict()
        self.compared = 0

    def connect(self):
        for pair in self.connections.values():
            for connection in pair:
                connection.close()
        self.connections = {p: [s.connect(p) for s in self.servers] for p in (2, 3)}
        if self.with_events:
            for listener in self.listeners:
                listener.close()
            self.listeners = [server.connect(2) for server in self.servers]
            for listener in self.listeners:
                listener("PSUBSCRIBE", "__key*__:*")

    def events(self, which):
        """What the listener heard since the last time; its own PING ends it."""
        listener, events = self.listeners[which], []
        listener.send(["PING", "end"])
        while True:
            message = listener.read()
            if message[0] == b"pong":
                return events
            if b"keyevent" in message[2] and not message[2].endswith(b":expired"):
                events.append((message[2], message[3]))

    def fresh(self):
        self.connect()
        for connection in self.connections[2]:
            connection("FLUSHALL")

    def run(self, history):
        """The two lists of replies to the commands of a history."""
        replies = [[], []]
        at = 0
        while at < len(history):
            end = at
            while end < len(history) and history[end][0] == history[at][0] and end - at < (1 if self.with_events else 64):
                end += 1
            pair = self.connections[history[at][0]]
            for connection in pair:
                connection.send(*[words for _, _, words in history[at:end]])
            for which, connection in enumerate(pair):
                for _ in range(at, end):
                    reply = connection.read()
                    if self.with_events:
                        reply = (reply, self.events(which))
                    replies[which].append(reply)
            at = end
        return replies

    def differs(self, entry, a, b):
        _, name, words = entry
        if self.with_events:
            (a, heard_here), (b, heard_there) = a, b
            if name in UNORDERED_EVENTS:
                heard_here, heard_there = sorted(heard_here), sorted(heard_there)
            if heard_here != heard_there:
                return True
        if isinstance(a, Error) and isinstance(b, Error) and a == b:
            return False
        for names, ours, theirs in KNOWN:
            if re.fullmatch(names, name) and re.fullmatch(ours, self.text(a)) \
                    and re.fullmatch(theirs, self.text(b)):
                return False
        if name.endswith("scan") and isinstance(a, list) and isinstance(b, list) \
                and (a[0] != b"0" or b[0] != b"0" or len(words) > 2 and words[2] != b"0"):
            return False
        if b"xautoclaim" in [word.lower() for word in words] and name == "command|getkeysandflags":
            return False    # it has "access" since 7.2
        if name == "exec" and isinstance(a, list) and isinstance(b, list):
            # Which commands these are the replies of is not known here; the state is compared.
            return len(a) != len(b)
        return not same(name, normal(name, words, a), normal(name, words, b))

    @staticmethod
    def text(reply):
        return reply if isinstance(reply, bytes) else repr(reply).encode()

    def first_difference(self, history):
        ours, theirs = self.run(history)
        for i, entry in enumerate(history):
            if self.differs(entry, ours[i], theirs[i]):
                return i, ours[i], theirs[i]
        return None

    def still_differs(self, history):
        self.fresh()
        found = self.first_difference(history)
        return found is not None and found[0] == len(history) - 1

    def shorten(self, history):
        """The shortest history found whose last command differs, by leaving out parts."""
        if not self.still_differs(history):
            return None
        step = max(1, len(history) // 2)
        while True:
            at, changed = 0, False
            while at < len(history) - 1:
                shorter = history[:at] + history[min(at + step, len(history) - 1):]
                if self.still_differs(shorter):
                    history, changed = shorter, True
                else:
                    at += step
            if step == 1 and not changed:
                return history
            step = max(1, step // 2)

    def report(self, history, ours, theirs):
        name = history[-1][1]
        def brief(reply):
            if isinstance(reply, Error):
                return re.sub(rb"'[^']*'", b"''", reply)
            return shape(reply) \
                if isinstance(reply, (list, tuple)) else type(reply).__name__
        kind = repr((name, brief(ours), brief(theirs)))[:200]
        if kind in self.kinds:
            self.kinds[kind] += 1
            return
        self.kinds[kind] = 1
        short = self.shorten(history)
        print("--- %s%s" % (name, "" if short else " (not again with the same commands)"))
        for protocol, _, words in (short or history[-3:]):
            print("  %d> %s" % (protocol, printable(words)[:300]))
        if short:
            self.fresh()
            replies = self.run(short)
            ours, theirs = replies[0][-1], replies[1][-1]
        print("  ours:      %s" % repr(ours)[:400])
        print("  reference: %s" % repr(theirs)[:400], flush=True)

    def look(self, key, kind):
        """Commands that show all of a key."""
        shows = {b"string": [b"get"], b"hash": [b"hgetall"], b"set": [b"smembers"],
                 b"zset": [b"zrange", 0, -1, b"withscores"], b"list": [b"lrange", 0, -1],
                 b"none": [b"type"]}
        if kind == b"stream":
            return [(2, "pttl", [b"pttl", key]),
                    (2, "xinfo|stream", [b"xinfo", b"stream", key, b"full", b"count", b"0"])]
        show = shows[kind]
        return [(2, "pttl", [b"pttl", key]),
                (2, show[0].decode(), [show[0], key] + [b"%d" % n if isinstance(n, int) else n
                                                        for n in show[1:]])]

    def whole_state(self, history):
        """Compares all keys, then what each server makes of the other's DUMP."""
        ours, theirs = self.connections[2]
        keys = sorted(ours("KEYS", "*"))
        check = [(2, "keys", [b"keys", b"*"])]
        for key in keys:
            check.append((2, "type", [b"type", key]))
            if ours("TYPE", key) != b"none":
                check += self.look(key, ours("TYPE", key))
        found = self.first_difference(check)
        if found:
            i, a, b = found
            self.report(history + check[:i + 1], a, b)
            return False
        for key in keys:
            if ours("TYPE", key) == b"none":
                continue
            for here, there in ((ours, theirs), (theirs, ours)):
                payload = here("DUMP", key)
                there("DEL", "restored")
                reply = there("RESTORE", "restored", "0", payload)
                _, name, words = self.look(key, here("TYPE", key))[1]
                a = normal(name, words, here(*words))
                at = words.index(key)
                words = words[:at] + [b"restored"] + words[at + 1:]
                b = normal(name, words, there(*words)) if not isinstance(reply, Error) else reply
                there("DEL", "restored")
                if not same("z" if name == "zrange" else name, a, b):
                    kind = "dump of " + name
                    self.kinds[kind] = self.kinds.get(kind, 0) + 1
                    if self.kinds[kind] == 1:
                        print("--- DUMP and RESTORE, %s\n  %r\n  %s\n  %s" % (
                            "ours to the reference" if here is ours else "reference to ours",
                            payload, repr(a)[:300], repr(b)[:300]), flush=True)
        return True


def consumers_of(words):
    """Commands that make the consumers that one names: the reference makes them only when there is
    something to read or to claim."""
    name, groups = words[0].lower(), []
    if name == b"xreadgroup" and words[1:2] == [b"GROUP"] and b"STREAMS" in words:
        after = words[words.index(b"STREAMS") + 1:]
        groups = [[key] + words[2:4] for key in after[:len(after) // 2]]
    elif name in (b"xclaim", b"xautoclaim") and len(words) > 4:
        groups = [words[1:4]]
    return [("xgroup|createconsumer", [b"xgroup", b"createconsumer"] + group) for group in groups]


def after_random(name, words):
    """Commands that make the state equal again after one that draws at random."""
    if name == "spop" and len(words) > 1:
        return [(2, "del", [b"del", words[1]])]
    if name == "sort" and ties(words):
        return [(2, "del", [b"del", after]) for word, after in zip(words, words[1:])
                if word.lower() == b"store"]
    if name.startswith("geo") and b"COUNT" in words:
        return [(2, "del", [b"del", word]) for word in words[1:] if re.fullmatch(rb"g\d", word)]
    return []


def run(description, options_of, walk):
    """Starts both servers, lets walk(options, rng, ours, reference) compare them, and says what came
    of it: walk returns how many steps were compared, and how often each kind of difference came."""
    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("reference", nargs="?", default="/usr/bin/redis-server")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    options_of(parser)
    options = parser.parse_args()
    print("seed %d" % options.seed)
    ours, reference = Server(os.path.abspath(options.server), []), Server(options.reference, [])
    try:
        compared, kinds = walk(options, random.Random(options.seed), ours, reference)
        print("%d passed, %d failed" % (compared, len(kinds)))
        return 1 if kinds else 0
    finally:
        ours.stop()
        reference.stop()


def add_options(parser):
    parser.add_argument("--commands", type=int, default=0, help="end after so many")
    parser.add_argument("--events", action="store_true", help="compare keyspace events as well")
    parser.add_argument("--only", default="", help="names of commands or groups, with commas")


def walk(options, rng, ours, reference):
    here, there = ours.connect(3), reference.connect(3)
    have = {name.decode().lower() for name in here("COMMAND", "LIST")}
    docs = [(name, doc) for name, doc in sorted(read_docs(there).items())
            if name.split("|")[0] in have]
    generator = Generator(docs, rng, [w for w in options.only.split(",") if w])
    comparison = Comparison(ours, reference, options.events)
    comparison.fresh()
    history, end = [], time.time() + options.seconds
    while time.time() < end and not (options.commands
                                     and comparison.compared >= options.commands):
        batch = []
        protocol = rng.choice([2, 3])
        for _ in range(rng.choice([1, 10, 60])):
            name, words = generator.command()
            batch += [(protocol,) + before for before in consumers_of(words)]
            batch.append((protocol, name, words))
            batch += [(protocol,) + extra[1:] for extra in after_random(name, words)]
        found = comparison.first_difference(batch)
        comparison.compared += len(batch)
        if found:
            i, a, b = found
            comparison.report(history + batch[:i + 1], a, b)
            comparison.fresh()
            history = []
            continue
        history += batch
        if len(history) > 1500 or rng.random() < 0.01:
            ends = [(p, "discard", [b"discard"]) for p in (2, 3)]
            comparison.run(ends)
            history += ends
            if not comparison.whole_state(history) or len(history) > 1500:
                comparison.fresh()
                history = []
    for kind, count in comparison.kinds.items():
        if count > 1:
            print("%6d times: %s" % (count, kind))
    return comparison.compared, comparison.kinds


if __name__ == "__main__":
    sys.exit(run(__doc__, add_options, walk))
