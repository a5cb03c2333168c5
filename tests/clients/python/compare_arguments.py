#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Calls every command with odd arguments on two servers, and shows where their replies differ.

    compare_arguments.py SERVER [REFERENCE] [--seconds N] [--seed N] [--only NAME,...]

compare.py draws commands that are nearly right. This one does not: each command and subcommand is
called with none to seven arguments out of a pool of keys of all types, numbers at every edge, texts
that are no numbers, binary, and option words of any command, doubled and in any order. Commands about
the server (CLIENT, CONFIG, COMMAND, OBJECT, MEMORY, LATENCY, SLOWLOG, DEBUG) are among them; of what
they tell only errors and types are compared. Then every option that both know is set to odd values, and
what CONFIG SET says and CONFIG GET shows then is compared. Run by hand; the last line is
`N passed, N failed`: commands compared, and kinds of differences.
"""
import argparse
import os
import random
import re
import sys
import time

import compare
from compare import Error, Server, normal, printable, read_docs, same, shape

KEYS = {
    b"int": [b"set", b"int", b"10"], b"str": [b"set", b"str", b"hello world"],
    b"float": [b"set", b"float", b"3.5"],
    b"hash": [b"hset", b"hash", b"a", b"1", b"b", b"x", b"c", b"3.5"],
    b"set": [b"sadd", b"set", b"a", b"b", b"c"], b"ints": [b"sadd", b"ints", b"1", b"2", b"3"],
    b"list": [b"rpush", b"list", b"a", b"b", b"c", b"1"],
    b"zset": [b"zadd", b"zset", b"1", b"a", b"2", b"b", b"3.5", b"c"],
    b"geo": [b"geoadd", b"geo", b"13.361389", b"38.115556", b"a", b"15.087269", b"37.502669", b"b"],
    b"stream": [b"xadd", b"stream", b"1-1", b"f", b"v"], b"hll": [b"pfadd", b"hll", b"a", b"b"],
}
SETUP = [[b"flushall"]] + list(KEYS.values()) + [
    [b"xadd", b"stream", b"2-1", b"f", b"w"], [b"xgroup", b"create", b"stream", b"g", b"0"],
    [b"xgroup", b"createconsumer", b"stream", b"g", b"c"],
    [b"xreadgroup", b"group", b"g", b"c", b"count", b"1", b"streams", b"stream", b">"],
    [b"expire", b"float", b"100000"]]
NUMBERS = [
    b"0", b"1", b"2", b"3", b"-1", b"-2", b"10", b"100", b"1.5", b"-0", b"+1", b"01", b"1e3", b" 1",
    b"1 ", b"0x10", b"nan", b"inf", b"-inf", b"(1", b"[a", b"-", b"+", b"9223372036854775807",
    b"9223372036854775808", b"-9223372036854775808", b"-9223372036854775809", b"18446744073709551615",
    b"18446744073709551616", b"2147483648", b"4294967296", b"1" * 40, b"1-1", b"0-0", b"1-", b"-1-1",
]
TEXTS = [
    b"", b"a", b"b", b"g", b"c", b"x", b"*", b"?", b"[", b"\\", b"$", b">", b"=", b"~", b"%", b"#",
    b"\0", b"\xff\xfe", b"a\r\nb", b"a b", b"'", b'"', b"u8", b"i64", b"m", b"km", b"f", b"missing",
    b"x" * 200, b"yes", b"no",
]
# Not called, since they end or change the connection or the server for long, or tell nothing that
# could be compared.
SKIPPED = set("""shutdown monitor sync psync replicaof slaveof failover quit reset hello auth save bgsave
    bgrewriteaof replconf debug module acl function script eval evalsha eval_ro evalsha_ro fcall fcall_ro
    migrate cluster restore-asking asking readonly readwrite pfdebug pfselftest client|pause client|reply
    client|kill config|set config|rewrite config|resetstat swapdb select lolwut multi subscribe psubscribe ssubscribe
    client|no-evict client|tracking client|caching wait flushall spop latency|histogram""".split())
# Compared by error or type alone.
BY_SHAPE = set("""client config command memory latency slowlog info object time lastsave role debug
    randomkey srandmember hrandfield zrandmember spop scan dump""".split())
TIMES = re.compile(rb"\d{13}")


class Caller:
    def __init__(self, rng, docs, names):
        self.rng, self.docs, self.names = rng, docs, names
        self.tokens = {}
        for name, doc in docs.items():
            found = []
            self.collect(doc.get("arguments", []), found)
            self.tokens[name] = found
        self.all_tokens = sorted({t for found in self.tokens.values() for t in found})

    def collect(self, arguments, out):
        for argument in arguments:
            if argument.get("token"):
                out.append(argument["token"].encode())
            self.collect(argument.get("arguments", []), out)

    def word(self, name):
        rng = self.rng
        kind = rng.random()
        if kind < 0.3:
            return rng.choice(list(KEYS))
        if kind < 0.55:
            return rng.choice(NUMBERS)
        if kind < 0.75 or not self.tokens.get(name):
            return rng.choice(TEXTS)
        token = rng.choice(self.tokens[name] if rng.random() < 0.9 else self.all_tokens)
        return token if rng.random() < 0.5 else token.lower()

    def call(self):
        """A name for the comparison, and the words."""
        rng = self.rng
        name = rng.choice(self.names)
        head = [word.encode() for word in name.split("|")]
        words = head + [self.word(name) for _ in range(rng.choice([0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7]))]
        if len(words) > len(head) and rng.random() < 0.6 and len(head) == 1:
            words[1] = rng.choice(list(KEYS))   # past the first check, as often as not
        if len(words) > len(head) + 1 and rng.random() < 0.1:
            words.insert(-1, words[-1])
        if rng.random() < 0.3:
            words[0] = words[0].upper()
        self.keep_short(name, words)
        return name, words

    def keep_short(self, name, words):
        """Nothing waits for long, or asks for gigabytes."""
        big = {b"4294967296", b"2147483648"}
        for i in range(1, len(words)):
            if name in ("setrange", "setbit", "bitfield") and words[i] in big:
                words[i] = b"100"
            if name[0] == "b" or name in ("xread", "xreadgroup", "waitaof"):
                try:
                    if 0 <= float(words[i].strip()) <= 1e30 and float(words[i]) != 1:
                        words[i] = b"1" if name[0] != "b" else b"0.001"
                except ValueError:
                    pass
        if name[0] == "b" and name not in ("bitcount", "bitfield", "bitfield_ro", "bitop", "bitpos"):
            at = 1 if name in ("blmpop", "bzmpop") else len(words) - 1
            if at > 0 and at < len(words) and words[at] == b"1":
                words[at] = b"0.001"


class Comparison:
    def __init__(self, ours, reference, known):
        self.servers, self.known = [ours, reference], known
        self.kinds, self.compared = {}, 0
        self.connections = None

    def fresh(self, protocol):
        if self.connections:
            for connection in self.connections:
                connection.close()
        self.connections = [server.connect(protocol) for server in self.servers]
        for connection in self.connections:
            connection.send(*SETUP)
            for _ in SETUP:
                connection.read()

    def run(self, batch):
        """Whether the whole batch was the same."""
        for connection in self.connections:
            # Some commands reply more than once.
            connection.send(*[part for i, (_, words) in enumerate(batch)
                              for part in (words, [b"ECHO", b"end of %d" % i])])
        for i, (name, words) in enumerate(batch):
            a, b = [self.replies(connection, b"end of %d" % i) for connection in self.connections]
            self.compared += 1
            if len(a) != len(b) or not all(self.alike(name, words, x, y) for x, y in zip(a, b)):
                self.report(name, words, a[0] if len(a) == 1 else a, b[0] if len(b) == 1 else b)
                return False
            if a and isinstance(a[-1], str):
                return False
        return True

    @staticmethod
    def replies(connection, end):
        got = []
        try:
            while True:
                got.append(connection.read())
                if got[-1] == end:
                    return got[:-1]
        except (ConnectionError, OSError) as error:
            return got + [type(error).__name__]

    def alike(self, name, words, a, b):
        if type(a) is type(b) is str or isinstance(a, Error) and isinstance(b, Error) and a == b:
            return a == b
        for names, ours, theirs in self.known:
            if re.fullmatch(names, name, re.S) and re.fullmatch(ours, self.text(a), re.S) \
                    and re.fullmatch(theirs, self.text(b), re.S):
                return True
        if isinstance(a, Error) or isinstance(b, Error) or isinstance(a, str) or isinstance(b, str):
            return False
        if name.split("|")[0] in BY_SHAPE:
            if isinstance(a, (list, tuple)):
                return type(a) is type(b)
            return shape(a) == shape(b)
        if words[-1].lower() == b"help":
            return type(a) is type(b)
        return same(name, normal(name, words, a), normal(name, words, b))

    @staticmethod
    def text(reply):
        return bytes(reply) if isinstance(reply, bytes) else repr(reply).encode()

    def report(self, name, words, a, b):
        def brief(reply):
            return re.sub(rb"'[^']*'", b"''", reply) if isinstance(reply, Error) else type(reply).__name__
        kind = repr((name, brief(a), brief(b)))
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if self.kinds[kind] == 1:
            print("--- %s\n  ours:      %s\n  reference: %s" % (
                printable(words)[:300], repr(a)[:300], repr(b)[:300]), flush=True)

    # -----------------------------------------------------------------------------------------

    def options(self, rng):
        """CONFIG SET of every option that both have, to odd values."""
        ours, theirs = [server.connect(2) for server in self.servers]
        pairs = [c("CONFIG", "GET", "*") for c in (ours, theirs)]
        mine, other = [dict(zip(p[::2], p[1::2])) for p in pairs]
        for missing in sorted(set(other) - set(mine)):
            self.report("config|get", [b"CONFIG", b"GET", missing], b"(missing)", other[missing])
        for name in sorted(set(mine) & set(other)):
            if name in (b"dir", b"bind", b"port", b"unixsocket", b"logfile", b"tls-port", b"tls-cert-file", b"maxclients",
                        b"tls-key-file", b"pidfile", b"save", b"requirepass", b"masterauth", b"replicaof",
                        b"slaveof", b"cluster-enabled", b"maxmemory", b"client-output-buffer-limit",
                        b"dbfilename", b"timeout", b"appendonly", b"proto-max-bulk-len", b"maxmemory-clients",
                        b"client-query-buffer-limit", b"tracking-table-max-keys", b"oom-score-adj",
                        b"oom-score-adj-values", b"slaveof"):
                continue
            before = other[name]
            for value in [b"", b"0", b"1", b"-1", b"yes", b"no", b"YES", b"x", b"1.5", b"1kb", b"1Kb", b"1k", b"1m", b"10mb",
                          b"-1kb", b"1 2", b"50%", b"101%", b"9223372036854775807", b"9223372036854775808",
                          b"99999999999999999999999", b"2147483648", b"4294967296", b" 1", b"0x10", b"1e3", before,
                          before.upper(), before + b" "]:
                words = [b"CONFIG", b"SET", name, value]
                a, b = ours(*words), theirs(*words)
                self.compared += 1
                if not self.alike("config|set " + name.decode(), words, a, b):
                    self.report("config|set " + name.decode(), words, a, b)
                    continue
                a, b = ours("CONFIG", "GET", name), theirs("CONFIG", "GET", name)
                shown = "config|shown " + name.decode()
                if a != b and not self.alike(shown, words, repr(a).encode(), repr(b).encode()):
                    self.report("config|get " + name.decode(), words, b"shows " + repr(a).encode(),
                                b"shows " + repr(b).encode())
            ours("CONFIG", "SET", name, mine[name])
            theirs("CONFIG", "SET", name, before)


def names_of(have, docs, skipped):
    """Commands and subcommands that both have."""
    names = []
    for name in sorted(docs):
        top = name.split("|")[0]
        if top in have and name not in skipped and top not in skipped:
            names.append(name)
    # A container by itself, with a subcommand that is none.
    names += sorted({name.split("|")[0] for name in names if "|" in name})
    return names


# What 7.2 says otherwise than 7.0, and what is different on purpose (docs/compatibility.md).
KNOWN = compare.KNOWN + [
    ("b.*", rb"ERR timeout is out of range", rb"ERR timeout is negative"),
    ("command\|getkeys.*", rb"ERR Inval.*", rb"ERR wrong number of arguments.*"),
    (".?scan", rb"ERR invalid cursor", rb".*"),
    (".scan", rb".*\[\].*", rb".*"),      # a cursor that was not given out
    ("z.*", rb"ERR min or max is not a float", rb".*"),     # "\0" is no number
    (".*", rb"ERR Unsupported option x+", rb"ERR Unsupported option x+"),   # cut sooner
    ("latency.*", rb"ERR No samples available for event 'x+'", rb".* event 'x+'"),
    ("restore", rb"ERR invalid expire time.*", rb"ERR DUMP payload.*"),
    ("xadd", rb"1\d{12}-\d+", rb"1\d{12}-\d+"),
    ("config\|set .*", rb".*must be a memory value", rb"OK|.*must be between.*"),
    ("config\|set .*", rb"ERR Unknown option.*", rb"ERR Unknown option.*"),
    ("config\|set loglevel", rb".*, nothing", rb".*"),
    ("config\|set activedefrag", rb".*cannot be enabled.*", rb".*cannot be enabled.*"),
    ("config\|set (shutdown-on-.*|latency-tracking-.*|tls-.*)", rb"OK", rb"ERR.*"),
    ("config\|shown tls-.*", rb".*", rb".*"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("reference", nargs="?", default="/usr/bin/redis-server")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--only", default="", help="names of commands, with commas")
    parser.add_argument("--no-options", action="store_true", help="leave CONFIG SET out")
    options = parser.parse_args()
    print("seed %d" % options.seed)
    rng = random.Random(options.seed)
    ours, reference = Server(os.path.abspath(options.server), []), Server(options.reference, [])
    try:
        here, there = ours.connect(3), reference.connect(3)
        have = {name.decode().lower() for name in here("COMMAND", "LIST")}
        docs = read_docs(there)
        names = names_of(have, docs, SKIPPED)
        if options.only:
            names = [name for name in names if name.split("|")[0] in options.only.split(",")]
        caller = Caller(rng, docs, names)
        comparison = Comparison(ours, reference, KNOWN)
        end = time.time() + options.seconds
        while time.time() < end:
            comparison.fresh(rng.choice([2, 3]))
            comparison.run([caller.call() for _ in range(40)])
        if not options.no_options and not options.only:
            comparison.options(rng)
        for kind, count in comparison.kinds.items():
            if count > 1:
                print("%6d times: %s" % (count, kind[:250]))
        print("%d passed, %d failed" % (comparison.compared, len(comparison.kinds)))
        return 1 if comparison.kinds else 0
    finally:
        ours.stop()
        reference.stop()


if __name__ == "__main__":
    sys.exit(main())
