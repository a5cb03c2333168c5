# SPDX-License-Identifier: BSD-3-Clause
"""What was done, what came of it, and what a loss of memory may have undone."""
import threading
import time

from resp_client import Connection, ConnectionLost, ErrorReply
from processes import PATIENCE

DONE = "done"        # acknowledged
REFUSED = "refused"  # an error, or never sent
UNKNOWN = "unknown"  # sent, and no reply; or acknowledged by a node that then lost its memory

# Refusals that are as they should be. Any other error about a judged key is a mistake.
EXPECTED_ERRORS = ("LOADING", "NOQUORUM", "OOM", "MISCONF", "EXECABORT", "NOPROTO")


def shorten(value, limit=160):
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= limit else "%s...(%d)" % (text[:limit], len(text))


def printable(text):
    return "".join(c if " " <= c <= "~" or c == "\n" else "\\x%02x" % ord(c) for c in text)


class Write:
    """One write at one node, and what the model needs to know of it."""
    __slots__ = ("node", "started", "ended", "outcome", "value", "reply", "is_everywhere", "worker",
                 "life")

    def __init__(self, node, life, started, ended, outcome, reply, worker):
        self.node = node  # its name
        self.life = life  # how often that one had lost its memory before
        self.started = started
        self.ended = ended
        self.outcome = outcome
        self.reply = reply
        self.value = None
        self.is_everywhere = False  # by WAIT
        self.worker = worker

    def __str__(self):
        return "%s at %s by %s, %.3f to %.3f s: %s" % (shorten(self.value), self.node, self.worker,
                                                    self.started, self.ended, self.outcome)


class History:
    def __init__(self):
        self.began = time.monotonic()
        self.lines = []
        self.problems = []
        self.losses = []  # (node's name, floor, time of its death)
        self.floor = 0.0  # what was acknowledged before is known to all nodes
        self.is_over = False

    def now(self):
        return time.monotonic() - self.began

    def note(self, text):
        self.lines.append((self.now(), "--", text))

    def problem(self, text):
        self.lines.append((self.now(), "PROBLEM", text))
        self.problems.append(text)

    def node_lost_memory(self, node):
        node.memories_lost += 1
        self.losses.append((node.name, self.floor, self.now()))

    def outcome(self, write):
        if write.outcome == DONE and not write.is_everywhere:
            for name, floor, died in self.losses:
                if name == write.node and write.ended > floor and write.started < died:
                    return UNKNOWN
        return write.outcome

    def split(self, writes):
        """The writes that must count, and those that may."""
        must, may = [], []
        for write in writes:
            outcome = self.outcome(write)
            if outcome == DONE:
                must.append(write)
            elif outcome == UNKNOWN:
                may.append(write)
        return must, may

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            for seconds, who, text in sorted(self.lines, key=lambda line: line[0]):
                file.write("%10.4f %-8s %s\n" % (seconds, who, printable(text)))


class Worker:
    """Somebody who sends commands to all nodes, over connections of their own."""

    def __init__(self, name, history, profile, prng):
        self.name = name
        self.history = history
        self.profile = profile
        self.prng = prng
        self.connections = {}
        self.shunned = {}  # node's name: until when, since it did not answer

    def close(self):
        for connection in self.connections.values():
            connection.close()
        self.connections = {}

    def pick_node(self, nodes):
        """One that is running, more or less: who does not answer is left alone for a moment."""
        now = self.history.now()
        ready = [node for node in nodes if self.shunned.get(node.name, 0) < now]
        return self.prng.choice(ready or nodes)

    def do(self, node, commands, is_unit=False, database=0, timeout_seconds=None):
        """Writes for the commands, in their order. In a unit they have one fate."""
        with node.lock:
            is_open = node.gate_open
            node.busy_count += is_open
        if not is_open:
            now, life = self.history.now(), node.memories_lost
            time.sleep(0.005)
            return [Write(node.name, life, now, now, REFUSED, None, self.name) for _ in commands]
        try:
            return self._do(node, commands, is_unit, database,
                            timeout_seconds or self.profile["timeout_seconds"])
        finally:
            with node.lock:
                node.busy_count -= 1

    def one(self, node, *command, **more):
        return self.do(node, [command], **more)[0]

    def _do(self, node, commands, is_unit, database, timeout_seconds):
        life = node.memories_lost
        started = self.history.now()
        replies, was_sent = [], False
        wanted = len(commands) + 2 if is_unit else len(commands)
        try:
            connection = self._connection(node, database, timeout_seconds)
            was_sent = True
            connection.send([("MULTI",), *commands, ("EXEC",)] if is_unit else commands)
            while len(replies) < wanted:
                replies.append(connection.receive(timeout_seconds * PATIENCE))
        except ConnectionLost as error:
            self.shunned[node.name] = self.history.now() + self.prng.random() * 1.5
            lost = str(error)
        ended = self.history.now()
        if is_unit:
            writes = self._unit(node, life, commands, replies, was_sent, started, ended)
        else:
            writes = []
            for i in range(len(commands)):
                reply = replies[i] if i < len(replies) else None
                outcome = (REFUSED if isinstance(reply, ErrorReply) or not was_sent else
                           DONE if i < len(replies) else UNKNOWN)
                writes.append(Write(node.name, life, started, ended, outcome, reply, self.name))
        text = " ; ".join(shorten(" ".join(map(str, command))) for command in commands[:8])
        self.history.lines.append((started, self.name, "%s%s %s%s%s -> %s %s" % (
            node.name, database or "", "MULTI " if is_unit else "", text,
            " ..." if len(commands) > 8 else "",
            shorten([repr(reply) if isinstance(reply, ErrorReply) else reply for reply in replies]),
            "" if len(replies) == wanted else "LOST: " + lost)))
        return writes

    def _unit(self, node, life, commands, replies, was_sent, started, ended):
        if len(replies) == len(commands) + 2:
            result = replies[-1]
            if not isinstance(result, list):
                return [Write(node.name, life, started, ended, REFUSED, result, self.name)
                        for _ in commands]
            return [Write(node.name, life, started, ended,
                          REFUSED if isinstance(reply, ErrorReply) else DONE, reply, self.name)
                    for reply in result]
        return [Write(node.name, life, started, ended, UNKNOWN if was_sent else REFUSED, None, self.name)
                for _ in commands]

    def _connection(self, node, database, timeout_seconds):
        place = (node.name, database)
        connection = self.connections.get(place)
        if connection is None or connection.socket is None:
            connection = Connection(node.port, timeout_seconds * PATIENCE)
            if database:
                connection.send([("SELECT", database)])
                reply = connection.receive(timeout_seconds * PATIENCE)
                if reply != "OK":  # LOADING
                    connection.close()
                    raise ConnectionLost(repr(reply))
            self.connections[place] = connection
        return connection

    def check_error(self, write, what):
        """An error that no judged key can have."""
        if isinstance(write.reply, ErrorReply):
            text = write.reply.args[0]
            if not text.startswith(EXPECTED_ERRORS):
                self.history.problem("%s: %s answered %s" % (what, write.node, text))
