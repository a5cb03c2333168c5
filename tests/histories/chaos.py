# SPDX-License-Identifier: BSD-3-Clause
"""Commands of all types on few keys. Nobody says what is to come of them, but that it is the same
everywhere; and that nothing is left of keys that were deleted once all had seen them."""
import threading

from families import Family
from history import DONE, UNKNOWN

MEMBERS = ["a", "b", "c", "d", "e", "10", "11", "12"]


def chaos_command(prng, keys, large_bytes):
    """A random command on a random key out of some. Most keys keep to a type for a while, by name:
    the chance that a command fits is what makes values of several elements."""
    key, other = prng.choice(keys), prng.choice(keys)
    member, second = prng.choice(MEMBERS), prng.choice(MEMBERS)
    number = prng.randrange(-9, 20)
    end = prng.choice(("LEFT", "RIGHT"))
    families = {
        "string": [
            ("SET", key, member * prng.randrange(1, 40)), ("SET", key, number),
            ("SET", key, "x" * large_bytes), ("SET", key, number, "EX", 1000),
            ("SET", key, number, "PX", prng.randrange(1, 900)), ("SETNX", key, number),
            ("APPEND", key, member), ("APPEND", key, "y" * prng.randrange(1, 3000)),
            ("INCR", key), ("INCRBY", key, number), ("DECRBY", key, number),
            ("INCRBYFLOAT", key, number / 8), ("SETRANGE", key, prng.randrange(9000), member),
            ("SETBIT", key, prng.randrange(70000), prng.randrange(2)), ("GETDEL", key),
            ("GETEX", key, "PX", prng.randrange(1, 900)), ("GETEX", key, "PERSIST"),
            ("MSET", key, member, other, second), ("MSETNX", key, member, other, second),
            ("BITOP", "XOR", key, key, other),
            ("BITFIELD", key, "INCRBY", "u8", prng.randrange(100), 3),
            ("SET", key, number, "KEEPTTL")],
        "hash": [
            ("HSET", key, member, number, second, member), ("HSET", key, member, "z" * 90),
            ("HSETNX", key, member, number), ("HINCRBY", key, member, number),
            ("HINCRBYFLOAT", key, member, number / 4), ("HDEL", key, member),
            ("HDEL", key, member, second), ("HSET", key, *[word for i in range(40) for word in (
                "f%d" % prng.randrange(900), i)]),
            ("HPEXPIRE", key, prng.randrange(1, 2000), "FIELDS", 1, member),
            ("HEXPIRE", key, 1000, "FIELDS", 2, member, second),
            ("HPERSIST", key, "FIELDS", 1, member)],
        "set": [
            ("SADD", key, member, second), ("SADD", key, number), ("SREM", key, member),
            ("SADD", key, *["m%d" % prng.randrange(900) for _ in range(60)]),
            ("SREM", key, *["m%d" % prng.randrange(900) for _ in range(300)]),
            ("SPOP", key), ("SPOP", key, 3), ("SMOVE", key, other, member),
            ("SUNIONSTORE", key, key, other), ("SINTERSTORE", key, key, other),
            ("SDIFFSTORE", key, key, other)],
        "zset": [
            ("ZADD", key, number, member, 3, second), ("ZADD", key, "GT", number, member),
            ("ZADD", key, "NX", number, member), ("ZADD", key, "INCR", number, member),
            ("ZINCRBY", key, number / 4, member), ("ZREM", key, member), ("ZPOPMIN", key),
            ("ZADD", key, *[word for i in range(40) for word in (i, "m%d" % prng.randrange(900))]),
            ("ZPOPMAX", key, 2), ("ZREMRANGEBYRANK", key, 0, 1),
            ("ZREMRANGEBYSCORE", key, number, number + 3), ("ZUNIONSTORE", key, 2, key, other),
            ("ZINTERSTORE", key, 2, key, other), ("ZRANGESTORE", key, other, 0, 3),
            ("GEOADD", key, number, number, member),
            ("ZMPOP", 1, key, "MIN"), ("ZINCRBY", key, "inf", member)],
        "list": [
            ("LPUSH", key, member, second), ("RPUSH", key, member), ("RPUSH", key, "w" * 500),
            ("RPUSH", key, *range(50)), ("LPOP", key), ("RPOP", key, 3), ("LPUSHX", key, member),
            ("LINSERT", key, prng.choice(("BEFORE", "AFTER")), member, second),
            ("LSET", key, prng.randrange(-3, 4), member), ("LREM", key, prng.randrange(-2, 3), member),
            ("LTRIM", key, 0, 20), ("LTRIM", key, -20, -2), ("LTRIM", key, 1, 0),
            ("LMOVE", key, other, end, prng.choice(("LEFT", "RIGHT"))),
            ("RPOPLPUSH", key, other), ("LMPOP", 1, key, end, "COUNT", 2)],
        "stream": [
            ("XADD", key, "*", member, number), ("XADD", key, "MAXLEN", 20, "*", member, number),
            ("XADD", key, "%d-*" % prng.randrange(1, 2000), member, number),
            ("XADD", key, "NOMKSTREAM", "*", member, second),
            ("XTRIM", key, "MAXLEN", prng.randrange(10)),
            ("XTRIM", key, "MAXLEN", "~", prng.randrange(200)),
            ("XDEL", key, "%d-1" % prng.randrange(2000)),
            ("XGROUP", "CREATE", key, member, prng.choice(("0", "$")), "MKSTREAM"),
            ("XGROUP", "DESTROY", key, member), ("XGROUP", "SETID", key, member, "0"),
            ("XGROUP", "CREATECONSUMER", key, member, second),
            ("XGROUP", "DELCONSUMER", key, member, second),
            ("XREADGROUP", "GROUP", member, second, "COUNT", 3, "STREAMS", key, ">"),
            ("XREADGROUP", "GROUP", member, second, "COUNT", 3, "NOACK", "STREAMS", key, ">"),
            ("XAUTOCLAIM", key, member, second, 0, "0"), ("XSETID", key, "99999999999999-0"),
            ("ack", key, member)],
        "hll": [
            ("PFADD", key, number, member), ("PFADD", key, *range(prng.randrange(300))),
            ("PFMERGE", key, other), ("PFMERGE", key, key, other)],
        "any": [
            ("DEL", key), ("UNLINK", key, other), ("RENAME", key, other), ("RENAMENX", key, other),
            ("COPY", key, other, "REPLACE"), ("COPY", key, other), ("PERSIST", key),
            ("PEXPIRE", key, prng.randrange(1, 2000)), ("EXPIRE", key, 1000, "NX"),
            ("EXPIRE", key, 2000, "GT"), ("EXPIRE", key, -1), ("SORT", key, "ALPHA", "STORE", other),
            ("restore", key, other)],
    }
    kinds = list(families)
    # The number in a key's name says what it is mostly used as.
    kind = kinds[sum(map(ord, key)) % (len(kinds) - 1)] if prng.random() < 0.75 else prng.choice(kinds)
    return prng.choice(families[kind])


def chaos_step(worker, node, keys, large_bytes, database):
    """One to some commands; what needs an answer first asks for it. Returns the writes."""
    prng = worker.prng
    command = chaos_command(prng, keys, large_bytes)
    if command[0] == "ack":
        pending = worker.one(node, "XPENDING", command[1], command[2], "-", "+", 5,
                             database=database)
        if pending.outcome != DONE or not pending.reply:
            return []
        ids = [row[0] for row in pending.reply]
        command = prng.choice((("XACK", *command[1:], *ids), ("XDEL", command[1], *ids),
                               ("XCLAIM", *command[1:], prng.choice(MEMBERS), 0, *ids)))
    elif command[0] == "restore":
        dump = worker.one(node, "DUMP", command[1], database=database)
        if dump.outcome != DONE or not dump.reply:
            return []
        command = ("RESTORE", command[2], prng.choice((0, 0, 900)), dump.reply, "REPLACE")
    if prng.random() < 0.2:
        commands = [command] + [chaos_command(prng, keys, large_bytes)
                                for _ in range(prng.randrange(1, 6))]
        commands = [command for command in commands if command[0].isupper()]
        return worker.do(node, commands, is_unit=prng.random() < 0.6, database=database)
    return [worker.one(node, *command, database=database)]


class Chaos(Family):
    weight = 60
    DATABASES = (2, 3)

    def step(self, worker, node):
        prng = worker.prng
        keys = ["chaos:%d" % number for number in range(self.profile["chaos_keys"])]
        chance = prng.random()
        database = prng.choice(self.DATABASES)
        if chance < 0.002:
            worker.one(node, prng.choice(("FLUSHDB", "FLUSHDB")), database=database)
        elif chance < 0.004:
            worker.one(node, "SWAPDB", *self.DATABASES)
        elif chance < 0.02:
            worker.one(node, "MOVE", prng.choice(keys), 5 - database, database=database)
        else:
            chaos_step(worker, node, keys, prng.choice(self.profile["large_bytes"]), database)


class Graves(Family):
    """Chaos, too, but over when a phase is over: once all nodes have seen all of it one deletes
    what is there, and none of it may come back, whoever was away meanwhile."""
    weight = 20
    DATABASE = 8
    KEYS_COUNT = 8

    def __init__(self, run):
        super().__init__(run)
        self.phase = 0
        self.open_count = 0
        self.spoiled = set()  # phases in which a command got no answer: it may be carried out late
        self.deletes = {}  # phase: the writes that deleted it; all of them must count

    @classmethod
    def keys(cls, phase):
        return ["grave:%d:%d" % (phase, number) for number in range(cls.KEYS_COUNT)]

    def step(self, worker, node):
        with self.lock:
            phase = self.phase
            self.open_count += 1
        writes = []
        try:
            writes = chaos_step(worker, node, self.keys(phase), 5000, self.DATABASE)
        finally:
            with self.lock:
                self.open_count -= 1
                if any(write.outcome == UNKNOWN for write in writes):
                    self.spoiled.add(phase)

    def close_phase(self, wait_until):
        """The number of a phase that nobody writes to any more, or None if somebody still does."""
        with self.lock:
            phase = self.phase
            self.phase += 1
        is_quiet = wait_until(lambda: self.open_count == 0, 4, 0.002)
        # Others have begun with the next phase meanwhile: who was in this one has certainly ended
        # when for a moment nobody was in any.
        return phase if is_quiet and phase not in self.spoiled else None

    def bury(self, worker, phase, tokens):
        """Deletes all of a phase at a node that has seen it, also if that has just lost its memory:
        it waits for the tokens in the same pipeline."""
        node = worker.pick_node(self.mesh.nodes)
        way = worker.prng.randrange(6)
        if way == 0:
            commands = [("FLUSHDB",)]
        elif way == 1:
            commands = [("PEXPIRE", key, worker.prng.randrange(1, 1500)) for key in self.keys(phase)]
        elif way == 2:
            commands = [("UNLINK", *self.keys(phase))]
        else:
            commands = [("DEL", key) for key in self.keys(phase)]
        waits = [("MESH", "WAITTOKEN", token, 300) for token in tokens]
        writes = worker.do(node, waits + commands, database=self.DATABASE, timeout_seconds=4)
        if all(write.reply == 1 for write in writes[:len(waits)]):
            with self.lock:
                self.deletes[phase] = writes[len(waits):]

    def judge(self, read, problem):
        if self.profile["is_forgetful"]:
            return
        for phase, writes in self.deletes.items():
            if any(self.history.outcome(write) != DONE for write in writes):
                continue
            for key in self.keys(phase):
                if read("EXISTS", key, database=self.DATABASE):
                    problem("%s is back, deleted when all had seen all of it: %s" % (
                        key, writes[0]), key)
