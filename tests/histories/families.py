# SPDX-License-Identifier: BSD-3-Clause
"""Kinds of data, each with its own operations and its own judgement. What a family judges lies
under keys that nobody else touches."""
import itertools
import threading
from fractions import Fraction

from history import DONE, REFUSED, UNKNOWN


class Family:
    # How seldom or often a worker does a step of it, among the others.
    weight = 10

    def __init__(self, run):
        self.history = run.history
        self.profile = run.profile
        self.mesh = run.mesh
        self.lock = threading.Lock()
        self.numbers = itertools.count(1)

    def step(self, worker, node):
        raise NotImplementedError

    def judge(self, read, problem):
        """Called for each node when all is healed. `read(*command)` asks it."""

    def sizes(self, prng):
        """How many commands of one kind in one pipeline."""
        return prng.choice(self.profile["pipelines"])

    def padding(self, prng):
        return "." * prng.choice(self.profile["padding_bytes"])


# ---- counters ----

def number_text(value):
    """Sixty-fourths have at most six digits, and are exact in every kind of float."""
    return str(int(value)) if value.denominator == 1 else "%.6f" % float(value)


class Counters(Family):
    """Increments that nobody undoes: the sum is exactly what was acknowledged, and of those without
    an answer any. Most amounts are unlike all others, so that the difference tells which it was."""
    weight = 30
    KINDS = ("up", "down", "float", "hash", "hash_float", "score")
    KEYS_COUNT = 2

    def __init__(self, run):
        super().__init__(run)
        self.writes = {(kind, key): [] for kind in self.KINDS for key in range(self.KEYS_COUNT)}
        self.shown = {}  # (kind, key, node): the greatest sum, and when it was asked for

    @staticmethod
    def command(kind, key, amount):
        text = number_text(amount)
        return {"up": ("INCRBY", "counter:up:%d" % key, text),
                "down": ("DECRBY", "counter:down:%d" % key, text),
                "float": ("INCRBYFLOAT", "counter:float:%d" % key, text),
                "hash": ("HINCRBY", "counter:hash", "field:%d" % key, text),
                "hash_float": ("HINCRBYFLOAT", "counter:hash_float", "field:%d" % key, text),
                "score": ("ZINCRBY", "counter:score", text, "member:%d" % key)}[kind]

    @staticmethod
    def question(kind, key):
        return {"up": ("GET", "counter:up:%d" % key), "down": ("GET", "counter:down:%d" % key),
                "float": ("GET", "counter:float:%d" % key),
                "hash": ("HGET", "counter:hash", "field:%d" % key),
                "hash_float": ("HGET", "counter:hash_float", "field:%d" % key),
                "score": ("ZSCORE", "counter:score", "member:%d" % key)}[kind]

    @staticmethod
    def value(kind, reply):
        value = Fraction(reply) if reply is not None else Fraction(0)
        return -value if kind == "down" else value

    def step(self, worker, node):
        prng = worker.prng
        kind, key = prng.choice(self.KINDS), prng.randrange(self.KEYS_COUNT)
        if prng.random() < 0.25:
            self.look(worker, node, kind, key)
            return
        amounts = []
        for _ in range(self.sizes(prng)):
            amount = Fraction(prng.randrange(1, 100000))
            if "float" in kind:
                amount = amount / 64
            amounts.append(amount)
        is_unit = prng.random() < 0.2
        writes = worker.do(node, [self.command(kind, key, amount) for amount in amounts], is_unit)
        if self.profile["wait_share"] > prng.random() and writes[-1].outcome == DONE:
            peers = len(self.mesh.nodes) - 1
            if worker.one(node, "WAIT", peers, 500).reply == peers:
                for write in writes:
                    write.is_everywhere = True
        for write, amount in zip(writes, amounts):
            write.value = amount
            worker.check_error(write, "counter %s:%d" % (kind, key))
        self.writes[kind, key].extend(writes)

    def look(self, worker, node, kind, key):
        """What a node has shown it goes on showing, while it keeps its memory."""
        pid = node.process.pid if node.process else 0
        answer = worker.one(node, *self.question(kind, key))
        if answer.outcome != DONE or not self.profile["is_monotonic"]:
            return
        if not node.process or node.process.pid != pid:
            return
        value = self.value(kind, answer.reply)
        with self.lock:
            before = self.shown.get((kind, key, node.name))
            if before is not None and before[2] == pid and before[1] < answer.started:
                if value < before[0]:
                    self.history.problem("counter %s:%d at %s goes back: %s, and before %s" % (
                        kind, key, node.name, float(value), float(before[0])))
            if before is None or before[2] != pid or value >= before[0]:
                self.shown[kind, key, node.name] = (value, answer.ended, pid)

    def judge(self, read, problem):
        for (kind, key), writes in self.writes.items():
            must, may = self.history.split(writes)
            shown = self.value(kind, read(*self.question(kind, key)))
            sum_must = sum((write.value for write in must), Fraction(0))
            if self.is_possible(shown - sum_must, [write.value for write in may]):
                continue
            rest = shown - sum_must
            if self.profile["is_forgetful"] and rest < 0:
                self.history.note("counter %s:%d lacks %s" % (kind, key, float(-rest)))
                continue
            lines = ["counter %s:%d shows %s; acknowledged are %s, without an answer %d of %s: "
                     "off by %s" % (kind, key, float(shown), float(sum_must), len(may),
                                    float(sum(write.value for write in may)), float(rest))]
            for write in must + may:
                if write.value == abs(rest):
                    lines.append("    as much as %s" % write)
            problem("\n".join(lines), self.question(kind, key)[1])

    @staticmethod
    def is_possible(rest, amounts):
        """Is the rest the sum of some of the amounts? Beyond what can be tried, is it within?"""
        if rest < 0 or rest > sum(amounts):
            return False
        if len(amounts) > 18:
            return True
        sums = {Fraction(0)}
        for amount in amounts:
            sums |= {sum_before + amount for sum_before in sums}
        return rest in sums


class Resets(Family):
    """Counters that are incremented everywhere, and now and then reset by one at a time who has
    seen the reset before. A reset says what it took off: so the sum is exact even so."""
    weight = 25
    TARGET = 1000000
    # Increment by {}; ask; the ways to reset it, which say first what they take off, and what each
    # leaves.
    KINDS = {
        "string": ("INCRBY {key} {}", "GET {key}", (
            ("GETDEL {key}", 0), ("SET {key} 1000000 GET", TARGET), ("GETSET {key} 1000000", TARGET),
            ("GET {key} ; UNLINK {key}", 0), ("GET {key} ; RENAME {key} reset:sink", 0),
            ("SET {key} 1000000 EX 100000 GET", TARGET), ("GET {key} ; MSET {key} 1000000", TARGET))),
        "float": ("INCRBYFLOAT {key} {}", "GET {key}", (
            ("GETDEL {key}", 0), ("SET {key} 1000000 GET", TARGET), ("GET {key} ; DEL {key}", 0))),
        "field": ("HINCRBY {key} f {}", "HGET {key} f", (
            ("HGET {key} f ; HDEL {key} f", 0), ("HGET {key} f ; DEL {key}", 0),
            ("HGET {key} f ; HSET {key} f 1000000", TARGET))),
        "member": ("ZINCRBY {key} {} m", "ZSCORE {key} m", (
            ("ZPOPMIN {key}", 0), ("ZSCORE {key} m ; ZREM {key} m", 0),
            ("ZSCORE {key} m ; ZADD {key} 1000000 m", TARGET), ("ZSCORE {key} m ; DEL {key}", 0))),
    }

    def __init__(self, run):
        super().__init__(run)
        self.current = {}  # kind: [key, increments, resets, tokens to be seen before the next]
        self.all = []
        for kind in self.KINDS:
            self.renew(kind)

    def renew(self, kind):
        self.current[kind] = ["reset:%s:%d" % (kind, next(self.numbers)), [], [], None]
        self.all.append((kind, self.current[kind]))

    def step(self, worker, node):
        prng = worker.prng
        kind = prng.choice(list(self.KINDS))
        if prng.random() < 0.1 and self.lock.acquire(blocking=False):
            try:
                self.reset(worker, node, kind)
            finally:
                self.lock.release()
            return
        counter = self.current[kind]
        amount = prng.randrange(1, 1000)
        write = worker.one(node, *self.KINDS[kind][0].format(amount, key=counter[0]).split())
        write.value = Fraction(amount)
        worker.check_error(write, counter[0])
        counter[1].append(write)

    def reset(self, worker, node, kind):
        """Whoever holds the lock. A reset without an answer ends the use of that key."""
        counter = self.current[kind]
        key, _, resets, token_before = counter
        text, left = worker.prng.choice(self.KINDS[kind][2])
        life = node.memories_lost
        if token_before and worker.one(node, "MESH", "WAITTOKEN", token_before, 50).reply != 1:
            return
        writes = worker.do(node, [command.format(key=key).split() for command in text.split(";")],
                           is_unit=True)
        write = writes[0]
        for each in writes:
            # RENAME of what is not there is refused, and takes nothing off.
            if "no such key" not in str(each.reply):
                worker.check_error(each, key)
        if write.outcome == REFUSED:
            return
        if write.outcome == DONE:
            reply = write.reply
            while isinstance(reply, list):
                reply = reply[-1] if reply else None
            write.value = Fraction(reply or 0) - left
            if writes[-1].life != life:
                # Put back to an old copy in between: two resets may have taken off the same.
                write.outcome = UNKNOWN
        resets.append(write)
        token = worker.one(node, "MESH", "TOKEN")
        if write.outcome == UNKNOWN or token.outcome != DONE or token.life != life:
            self.renew(kind)
        else:
            counter[3] = token.reply

    def judge(self, read, problem):
        for kind, (key, increments, resets, _) in self.all:
            if any(self.history.outcome(write) != DONE for write in resets):
                continue
            must, may = self.history.split(increments)
            reply = read(*self.KINDS[kind][1].format(key=key).split())
            taken = sum((write.value for write in resets), Fraction(0))
            total = sum((write.value for write in must), Fraction(0))
            rest = Fraction(reply or 0) - (total - taken)
            if Counters.is_possible(rest, [write.value for write in may]):
                continue
            if self.profile["is_forgetful"]:
                self.history.note("%s is off by %s" % (key, float(rest)))
                continue
            lines = ["%s shows %s; %s were added, %d writes without an answer, %s taken off by %d: "
                     "off by %s" % (key, reply, float(total), len(may), float(taken), len(resets),
                                    float(rest))]
            lines += ["    as much as %s" % write for write in must + may
                      if write.value == abs(rest)]
            lines += ["    reset: %s" % write for write in resets]
            problem("\n".join(lines), key)


# ---- what is added and never removed ----

class Adds(Family):
    """Unique members of all collections: each that was acknowledged is there, and nothing else."""
    weight = 30
    KINDS = ("set", "hash", "zset", "list", "tail", "head", "stream", "large", "bits", "hll")
    KEYS_COUNT = 2
    LARGE_BYTES = 65536  # above the size from which bytes have places of their own
    SLOT_BYTES = 8

    def __init__(self, run):
        super().__init__(run)
        self.writes = {(kind, key): [] for kind in self.KINDS for key in range(self.KEYS_COUNT)}
        self.slots = list(range(self.LARGE_BYTES // self.SLOT_BYTES))
        run.prng.shuffle(self.slots)

    def begin(self, ask):
        """Values large enough to have places must be known to all before they are written to."""
        for key in range(self.KEYS_COUNT):
            ask("SET", "add:large:%d" % key, "_" * self.LARGE_BYTES)
            ask("SET", "add:bits:%d" % key, "\0" * self.LARGE_BYTES)

    def command(self, prng, kind, key, member):
        name = "add:%s:%d" % (kind, key)
        if kind == "set":
            return ("SADD", name, member)
        if kind == "hash":
            return ("HSET", name, member, "of " + member)
        if kind == "zset":
            return ("ZADD", name, prng.randrange(1000), member)
        if kind == "list":
            others = self.writes[kind, key]
            if others and prng.random() < 0.5:
                return ("LINSERT", name, prng.choice(("BEFORE", "AFTER")),
                        prng.choice(others).value, member)
            return (prng.choice(("LPUSH", "RPUSH")), name, member)
        if kind == "tail":
            return ("RPUSH", name, member)
        if kind == "head":
            return ("LPUSH", name, member)
        if kind == "stream":
            return ("XADD", name, "*", "member", member)
        if kind == "hll":
            return ("PFADD", name, member)
        slot = int(member)
        if kind == "large":
            return ("SETRANGE", name, slot * self.SLOT_BYTES, "%08d" % slot)
        return ("SETBIT", name, slot * 8, 1)  # of two that set the same byte one would win

    def step(self, worker, node):
        prng = worker.prng
        kind, key = prng.choice(self.KINDS), prng.randrange(self.KEYS_COUNT)
        members = []
        for _ in range(self.sizes(prng)):
            number = next(self.numbers)
            if kind in ("large", "bits"):
                if number >= len(self.slots):
                    return
                members.append(str(self.slots[number]))
            else:
                members.append("%s.%d%s" % (worker.name, number, self.padding(prng)))
        commands = [self.command(prng, kind, key, member) for member in members]
        if kind in ("set", "tail", "head") and prng.random() < 0.3:
            # All members by one command. Those that are pushed at the head are pushed one by one.
            writes = worker.do(node, [commands[0][:2] + tuple(members)]) * len(members)
            writes = [self.another(write) for write in writes]
        else:
            writes = worker.do(node, commands, is_unit=prng.random() < 0.2)
        for write, member, command in zip(writes, members, commands):
            write.value = member
            worker.check_error(write, "add:%s:%d" % (kind, key))
            if command[0] == "LINSERT" and write.outcome == DONE and write.reply <= 0:
                write.outcome = REFUSED  # its neighbour is not here yet
        self.writes[kind, key].extend(writes)

    @staticmethod
    def another(write):
        return type(write)(write.node, write.life, write.started, write.ended, write.outcome, write.reply,
                           write.worker)

    def judge(self, read, problem):
        for (kind, key), writes in self.writes.items():
            name = "add:%s:%d" % (kind, key)
            must, may = self.history.split(writes)
            if kind == "hll":
                if must and read("PFADD", name, *[write.value for write in must]) != 0:
                    problem("%s did not count all that was acknowledged" % name, name)
                continue
            try:
                there = self.members(read, kind, name)
            except (ValueError, TypeError) as error:
                problem("%s cannot be read: %s" % (name, error), name)
                continue
            if len(there) != len(set(there)):
                twice = sorted({member for member in there if there.count(member) > 1})
                problem("%s has elements twice: %s" % (name, twice[:5]), name)
            there_set = set(there)
            lacking = [write for write in must if write.value not in there_set]
            if lacking:
                problem("%s lacks %d of %d acknowledged:\n%s" % (
                    name, len(lacking), len(must),
                    "\n".join("    %s" % write for write in lacking[:6])), name)
            unknown = there_set - {write.value for write in must} - {write.value for write in may}
            if unknown:
                problem("%s has %d that nobody added: %s" % (
                    name, len(unknown), [member[:40] for member in sorted(unknown)[:5]]), name)
            if kind in ("tail", "head"):
                self.judge_order(name, there, must, kind == "head", problem)

    @staticmethod
    def members(read, kind, name):
        if kind == "set":
            return read("SMEMBERS", name)
        if kind == "hash":
            flat = read("HGETALL", name)
            for field, value in zip(flat[::2], flat[1::2]):
                if value != "of " + field:
                    raise ValueError("%s has %s" % (field[:40], value[:40]))
            return flat[::2]
        if kind == "zset":
            return read("ZRANGE", name, 0, -1)
        if kind == "stream":
            ids = [entry[0] for entry in read("XRANGE", name, "-", "+")]
            if len(set(ids)) != len(ids):
                raise ValueError("an id is there twice")
            return [entry[1][1] for entry in read("XRANGE", name, "-", "+")]
        if kind == "large":
            text = read("GET", name) or ""
            if len(text) != Adds.LARGE_BYTES:
                raise ValueError("%d bytes" % len(text))
            found = []
            for start in range(0, len(text), Adds.SLOT_BYTES):
                slot = text[start:start + Adds.SLOT_BYTES]
                if slot != "_" * Adds.SLOT_BYTES:
                    if slot != "%08d" % (start // Adds.SLOT_BYTES):
                        raise ValueError("%r at %d" % (slot, start))
                    found.append(str(start // Adds.SLOT_BYTES))
            return found
        if kind == "bits":
            text = read("GET", name) or ""
            if len(text) != Adds.LARGE_BYTES:
                raise ValueError("%d bytes" % len(text))
            return [str(byte) for byte, character in enumerate(text) if character != "\0"]
        return read("LRANGE", name, 0, -1)

    def judge_order(self, name, there, must, is_head, problem):
        """Who pushes at one node pushes behind what was pushed there before."""
        places = {member: place for place, member in enumerate(there)}
        by_node = {}
        for write in must:
            by_node.setdefault((write.node, write.life), []).append(write)
        for (node, _), writes in by_node.items():
            writes.sort(key=lambda write: write.ended)
            newest_first = sorted(writes, key=lambda write: write.started)
            done, last = 0, None
            for write in newest_first:
                # The furthest place of those that ended before this one began.
                while done < len(writes) and writes[done].ended < write.started:
                    place = places.get(writes[done].value)
                    if place is not None:
                        place = -place if is_head else place
                        last = place if last is None else max(last, place)
                    done += 1
                place = places.get(write.value)
                if place is None or last is None:
                    continue
                if (-place if is_head else place) < last:
                    problem("%s: %s, pushed at %s, stands before what was pushed there earlier"
                            % (name, write.value[:40], node), name)
                    return


# ---- registers ----

class Registers(Family):
    """The last of a node's writes, or something newer, remains: no value that its own node has
    overwritten."""
    KEYS_COUNT = 3

    def __init__(self, run):
        super().__init__(run)
        self.writes = {}

    def step(self, worker, node):
        prng = worker.prng
        kind = prng.choice(("string", "hash", "score"))
        key = prng.randrange(self.KEYS_COUNT)
        number = next(self.numbers)
        value = str(number) if kind == "score" else "%d%s" % (number, self.padding(prng))
        if kind == "string":
            name = "register:%d" % key
            command = prng.choice((("SET", name, value), ("GETSET", name, value),
                                   ("MSET", name, value), ("SET", name, value, "GET")))
        elif kind == "hash":
            command = ("HSET", "register:hash", "field:%d" % key, value)
        else:
            command = ("ZADD", "register:score", value, "member:%d" % key)
        write = worker.one(node, *command)
        write.value = value
        worker.check_error(write, "register")
        with self.lock:
            self.writes.setdefault((kind, key), []).append(write)

    def judge(self, read, problem):
        for (kind, key), writes in self.writes.items():
            name, question = {
                "string": ("register:%d" % key, ("GET", "register:%d" % key)),
                "hash": ("register:hash", ("HGET", "register:hash", "field:%d" % key)),
                "score": ("register:score", ("ZSCORE", "register:score", "member:%d" % key)),
            }[kind]
            shown = read(*question)
            must, may = self.history.split(writes)
            if shown is None:
                if must:
                    problem("%s %d is gone; the last was %s" % (name, key, must[-1]), name)
                continue
            by_value = {write.value: write for write in must + may}
            write = by_value.get(shown)
            if write is None:
                problem("%s %d shows %s, which nobody wrote" % (name, key, shown[:40]), name)
                continue
            for other in must:
                if ((other.node, other.life) == (write.node, write.life)
                        and other.started > write.ended):
                    if write.outcome != UNKNOWN:
                        problem("%s %d shows %s, which was overwritten at its node by %s"
                                % (name, key, write, other), name)
                        break


# ---- made once, deleted by somebody who has seen it ----

class Once(Family):
    """What was deleted by somebody who had seen it is gone; what nobody deleted is there."""
    weight = 25

    def __init__(self, run):
        super().__init__(run)
        self.items = []  # [kind, number, make, deletes]

    KINDS = {
        # how to make one, ask for it, and delete it so that 1 means: it was here. {} is a number.
        "string": ("SET once:{} v{}", "EXISTS once:{}", ("DEL once:{}", "UNLINK once:{}")),
        "count": ("INCRBY once:{} {}", "EXISTS once:{}", ("DEL once:{}", "UNLINK once:{}")),
        "set": ("SADD once:{} a b c", "EXISTS once:{}", ("DEL once:{}", "PEXPIRE once:{} 300")),
        "hash": ("HINCRBY once:{} f 5", "EXISTS once:{}", ("DEL once:{}", "HDEL once:{} f")),
        "list": ("RPUSH once:{} a b", "EXISTS once:{}", ("DEL once:{}", "PEXPIRE once:{} 1")),
        "zset": ("ZADD once:{} 1 a", "EXISTS once:{}", ("UNLINK once:{}", "ZREM once:{} a")),
        "score": ("ZINCRBY once:{} 1 a", "EXISTS once:{}", ("UNLINK once:{}", "ZREM once:{} a")),
        "stream": ("XADD once:{} 1-1 f v", "EXISTS once:{}", ("DEL once:{}", "UNLINK once:{}")),
        "hll": ("PFADD once:{} a", "EXISTS once:{}", ("DEL once:{}", "UNLINK once:{}")),
        "member": ("SADD once:set m{}", "SISMEMBER once:set m{}", ("SREM once:set m{}",)),
        "field": ("HSET once:hash f{} v", "HEXISTS once:hash f{}", ("HDEL once:hash f{}",)),
        "field_count": ("HINCRBY once:hash_count f{} 1", "HEXISTS once:hash_count f{}",
                        ("HDEL once:hash_count f{}",)),
        "scored": ("ZADD once:zset {} m{}", "ZSCORE once:zset m{}", ("ZREM once:zset m{}",)),
        "scored_count": ("ZINCRBY once:zset_count {} m{}", "ZSCORE once:zset_count m{}",
                         ("ZREM once:zset_count m{}",)),
        "element": ("RPUSH once:list e{}", "LPOS once:list e{} COUNT 1", ("LREM once:list 0 e{}",)),
        "expiring": ("SET once:{} v PX 700", "EXISTS once:{}", ()),
        "lasting": ("SET once:{} v EX 100000", "EXISTS once:{}", ("DEL once:{}",)),
    }

    @staticmethod
    def words(text, number):
        return text.replace("{}", str(number)).split()

    def step(self, worker, node):
        prng = worker.prng
        if self.items and prng.random() < 0.5:
            # Rather a new one: others may not have heard of it yet.
            recent = self.items[-60:] if prng.random() < 0.8 else self.items
            item = prng.choice(recent)
            ways = self.KINDS[item[0]][2]
            if ways:
                write = worker.one(node, *self.words(prng.choice(ways), item[1]))
                write.value = "delete of %s %d" % (item[0], item[1])
                worker.check_error(write, "once %s %d" % (item[0], item[1]))
                if write.outcome == DONE and write.reply == 0:
                    return
                item[3].append(write)
            return
        kind = prng.choice(list(self.KINDS))
        number = next(self.numbers)
        write = worker.one(node, *self.words(self.KINDS[kind][0], number))
        write.value = "%s %d" % (kind, number)
        worker.check_error(write, "once %s %d" % (kind, number))
        self.items.append([kind, number, write, []])

    def judge(self, read, problem):
        for kind, number, made, deletes in self.items:
            question = self.words(self.KINDS[kind][1], number)
            reply = read(*question)
            is_there = reply not in (0, None, [])
            outcome = self.history.outcome(made)
            if is_there and (made.outcome == REFUSED or kind == "expiring"):
                problem("%s %d is there: %s" % (kind, number, made), question[1])
            must, may = self.history.split(deletes)
            if is_there and must and not self.profile["is_forgetful"]:
                problem("%s %d is back: %s, %s" % (kind, number, made, must[0]), question[1])
            if (not is_there and outcome == DONE and not must and not may
                    and kind != "expiring"):
                problem("%s %d is gone: %s" % (kind, number, made), question[1])
            if is_there and kind == "lasting" and not read("PTTL", question[1]) > 0:
                problem("%s %d has lost its expiry: %s" % (kind, number, made), question[1])


# ---- units, causes, tokens ----

class Units(Family):
    """Two keys that are always written in one unit are equal for whoever reads both in one."""
    weight = 25
    KINDS = {
        "string": (("SET", "unit:string:a"), ("SET", "unit:string:b"), "GET"),
        "counter": (("INCRBY", "unit:counter:a"), ("INCRBY", "unit:counter:b"), "GET"),
        "hash": (("HSET", "unit:hash:a", "f"), ("HSET", "unit:hash:b", "f"), "HGET"),
        "size": (("SADD", "unit:size:a"), ("RPUSH", "unit:size:b"), None),
        "two": (("SET", "unit:two:a"), ("HSET", "unit:two:b", "f"), "TWO"),
    }

    def has_room_between(self, prng):
        return False

    def questions(self, kind):
        first, second, _ = self.KINDS[kind]
        if kind == "size":
            return [("SCARD", first[1]), ("LLEN", second[1])]
        if kind == "two":
            return [("GET", first[1]), ("HGET", second[1], "f")]
        word = self.KINDS[kind][2]
        return [(word,) + first[1:], (word,) + second[1:]]

    def step(self, worker, node):
        prng = worker.prng
        kind = prng.choice(list(self.KINDS))
        if prng.random() < 0.5:
            answers = worker.do(node, self.questions(kind), is_unit=True)
            if answers[0].outcome == DONE and answers[1].outcome == DONE:
                self.compare(kind, node.name, [answer.reply for answer in answers])
            return
        first, second, _ = self.KINDS[kind]
        value = str(next(self.numbers))
        commands = [first + (value,), second + (value,)]
        if kind == "string" and prng.random() < 0.3:
            worker.one(node, "MSET", first[1], value, second[1], value)
        elif kind in ("string", "two") and prng.random() < 0.15:
            worker.one(node, "DEL", first[1], second[1])
        else:
            if self.has_room_between(prng):
                commands.insert(1, ("SET", "unit:between", self.padding(prng) * 4))
            writes = worker.do(node, commands, is_unit=True)
            outcomes = {write.outcome for write in writes}
            if len(outcomes) > 1:
                self.history.problem("a unit was refused in part: %s" % [
                    str(write.reply) for write in writes])

    def compare(self, kind, name, replies):
        if replies[0] != replies[1]:
            text = "unit %s is half visible at %s: %s" % (kind, name, replies)
            if self.profile["has_halves"]:
                self.history.note(text)
            else:
                self.history.problem(text)

    def judge(self, read, problem):
        for kind in self.KINDS:
            replies = [read(*question) for question in self.questions(kind)]
            if replies[0] != replies[1] and not self.profile["has_halves"]:
                problem("unit %s is half there: %s" % (kind, replies), "unit:%s:a" % kind)


class Uneven(Units):
    """As Units, but of two units that meet one may have another write between the two. Not among
    the others: it fails where two nodes write within a millisecond (README.md)."""

    def has_room_between(self, prng):
        return prng.random() < 0.4


class Causes(Family):
    """Who has seen the cause writes an effect: nobody shows the effect without the cause."""

    def __init__(self, run):
        super().__init__(run)
        self.made = []

    def step(self, worker, node):
        prng = worker.prng
        if not self.made or prng.random() < 0.3:
            number = next(self.numbers)
            worker.one(node, "SET", "cause:%d" % number, 1)
            self.made.append(number)
            return
        number = prng.choice(self.made[-8:])
        cause = worker.one(node, "GET", "cause:%d" % number)
        if cause.outcome == DONE and cause.reply == "1":
            worker.one(node, "SET", "effect:%d" % number, 1)
        other = prng.choice(self.mesh.nodes)
        answers = worker.do(other, [("GET", "effect:%d" % number), ("GET", "cause:%d" % number)],
                            is_unit=True)
        if all(answer.outcome == DONE for answer in answers):
            self.compare(number, other.name, [answer.reply for answer in answers])

    def compare(self, number, name, replies):
        if replies[0] == "1" and replies[1] != "1":
            text = "effect:%d without cause:%d at %s" % (number, number, name)
            if self.profile["has_halves"]:
                self.history.note(text)
            else:
                self.history.problem(text)

    def judge(self, read, problem):
        for number in self.made:
            if read("GET", "effect:%d" % number) and not read("GET", "cause:%d" % number):
                problem("effect:%d without its cause" % number, "cause:%d" % number)


class Tokens(Family):
    """Who carries a token to another node reads there what was written before."""
    weight = 8

    def step(self, worker, node):
        prng = worker.prng
        number = next(self.numbers)
        write = worker.one(node, "SET", "token:%d" % number, "v")
        if write.outcome != DONE:
            return
        token = worker.one(node, "MESH", "TOKEN")
        other = prng.choice([other for other in self.mesh.nodes if other is not node])
        if token.outcome != DONE:
            return
        waited = worker.one(other, "MESH", "WAITTOKEN", token.reply, 700)
        if waited.outcome != DONE or waited.reply != 1:
            return
        pid = other.process.pid if other.process else 0
        read = worker.one(other, "GET", "token:%d" % number)
        # A volatile node may have lost its memory in between.
        same = self.profile["is_durable"] or (other.process and other.process.pid == pid)
        if read.outcome == DONE and read.reply != "v" and same:
            self.history.problem("token:%d is not at %s, which has seen %s's token" % (
                number, other.name, node.name))


# ---- moves ----

class Moves(Family):
    """Elements that wander: each is somewhere, be it twice, as long as nobody removes any."""
    weight = 15
    LISTS = ("move:list:0", "move:list:1", "move:list:2")
    SETS = ("move:set:0", "move:set:1", "move:set:2")
    NAMES_COUNT = 4
    DATABASES = (5, 6, 7)

    def __init__(self, run):
        super().__init__(run)
        self.lists, self.sets, self.renamed, self.swapped = [], [], [], []

    def step(self, worker, node):
        prng = worker.prng
        kind = prng.choice(("list", "set", "rename", "swap"))
        is_add = prng.random() < 0.4
        if kind == "list":
            self.step_list(worker, node, prng, is_add)
        elif kind == "set":
            self.step_set(worker, node, prng, is_add)
        elif kind == "rename":
            self.step_rename(worker, node, prng, is_add)
        else:
            self.step_swap(worker, node, prng)

    def keep(self, writes, worker, write, value):
        write.value = value
        worker.check_error(write, "move of %s" % value)
        writes.append(write)

    def step_list(self, worker, node, prng, is_add):
        if is_add:
            value = "m%d" % next(self.numbers)
            self.keep(self.lists, worker, worker.one(
                node, prng.choice(("LPUSH", "RPUSH")), prng.choice(self.LISTS), value), value)
        else:
            ends = ("LEFT", "RIGHT")
            worker.one(node, "LMOVE", prng.choice(self.LISTS), prng.choice(self.LISTS),
                       prng.choice(ends), prng.choice(ends))

    def step_set(self, worker, node, prng, is_add):
        if is_add or not self.sets:
            value = "m%d" % next(self.numbers)
            self.keep(self.sets, worker,
                      worker.one(node, "SADD", prng.choice(self.SETS), value), value)
        else:
            source, target = prng.sample(self.SETS, 2)
            worker.one(node, "SMOVE", source, target, prng.choice(self.sets).value)

    def step_rename(self, worker, node, prng, is_add):
        if is_add or not self.renamed:
            number = next(self.numbers)
            self.keep(self.renamed, worker, worker.one(
                node, "RPUSH", "move:name:%d:0" % number, number), str(number))
        else:
            number = prng.choice(self.renamed).value
            source, target = prng.sample(range(self.NAMES_COUNT), 2)
            names = ["move:name:%s:%d" % (number, place) for place in (source, target)]
            command = prng.choice((("RENAME", *names), ("RENAME", *names), ("RENAMENX", *names),
                                   ("COPY", *names), ("COPY", *names, "REPLACE")))
            worker.one(node, *command)

    def step_swap(self, worker, node, prng):
        chance = prng.random()
        database = prng.choice(self.DATABASES)
        if chance < 0.02:
            worker.one(node, "SWAPDB", *prng.sample(self.DATABASES, 2))
        elif chance < 0.2 and self.swapped:
            other = prng.choice([other for other in self.DATABASES if other != database])
            worker.one(node, "MOVE", "swap:%s" % prng.choice(self.swapped).value, other,
                       database=database)
        else:
            number = next(self.numbers)
            self.keep(self.swapped, worker,
                      worker.one(node, "SET", "swap:%d" % number, "v", database=database),
                      str(number))

    def judge(self, read, problem):
        def there(writes, found, what, key):
            must, _ = self.history.split(writes)
            lacking = [write for write in must if write.value not in found]
            if lacking:
                problem("%s: %d of %d are nowhere:\n%s" % (
                    what, len(lacking), len(must),
                    "\n".join("    %s" % write for write in lacking[:5])), key)

        there(self.lists, {value for name in self.LISTS for value in read("LRANGE", name, 0, -1)},
              "moved by LMOVE", self.LISTS[0])
        there(self.sets, {value for name in self.SETS for value in read("SMEMBERS", name)},
              "moved by SMOVE", self.SETS[0])
        there(self.renamed, {write.value for write in self.renamed if any(
            read("EXISTS", "move:name:%s:%d" % (write.value, place))
            for place in range(self.NAMES_COUNT))}, "moved by RENAME", "move:name")
        there(self.swapped, {name.split(":")[1] for database in self.DATABASES
                             for name in read("KEYS", "swap:*", database=database)},
              "moved by MOVE and SWAPDB", "swap")


# ---- groups of streams ----

class Groups(Family):
    """A group delivers every entry, be it late, be it twice."""
    weight = 12
    STREAM, GROUP = "queue", "workers"

    def __init__(self, run):
        super().__init__(run)
        self.writes = []
        self.delivered = set()

    def begin(self, ask):
        ask("XGROUP", "CREATE", self.STREAM, self.GROUP, "$", "MKSTREAM")

    def step(self, worker, node):
        prng = worker.prng
        if prng.random() < 0.5:
            value = "e%d" % next(self.numbers)
            write = worker.one(node, "XADD", self.STREAM, "*", "v", value)
            write.value = write.reply if write.outcome == DONE else value
            worker.check_error(write, "queue")
            self.writes.append(write)
            return
        read = worker.one(node, "XREADGROUP", "GROUP", self.GROUP, "at-" + node.name, "COUNT",
                          prng.randrange(1, 9), "STREAMS", self.STREAM, ">")
        worker.check_error(read, "queue")
        if read.outcome == DONE and read.reply:
            ids = [entry[0] for entry in read.reply[0][1]]
            self.delivered.update(ids)
            if prng.random() < 0.7:
                worker.one(prng.choice(self.mesh.nodes), "XACK", self.STREAM, self.GROUP, *ids)

    def judge(self, read, problem):
        must, _ = self.history.split(self.writes)
        # A read without an answer may have made entries pending.
        pending = {row[0] for row in read("XPENDING", self.STREAM, self.GROUP, "-", "+", 1000000)}
        reply = read("XREADGROUP", "GROUP", self.GROUP, "the-end", "COUNT", 1000000, "STREAMS",
                     self.STREAM, ">")
        rest = {entry[0] for entry in reply[0][1]} if reply else set()
        self.delivered |= pending | rest
        lacking = [write for write in must if write.value not in self.delivered]
        if lacking:
            problem("the group has not delivered %d of %d entries:\n%s" % (
                len(lacking), len(must), "\n".join("    %s" % write for write in lacking[:5])),
                self.STREAM)


ASKED_FOR = (Uneven,)
JUDGED = (Counters, Resets, Adds, Registers, Once, Units, Causes, Tokens, Moves, Groups)
