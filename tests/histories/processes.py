# SPDX-License-Identifier: BSD-3-Clause
"""A mesh of real servers on loopback: start, kill, stop, put back to an old copy, cut, heal."""
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

from relay import Relay
from resp_client import Connection, ConnectionLost, ErrorReply

PATIENCE = float(os.environ.get("TEST_PATIENCE", "1"))
# What a log must not say: a failed check, a sanitizer, a crash, a difference found by a node itself.
BAD_LINES = re.compile(
    r"(: \w+ failed: |\bBUG\b|AddressSanitizer|ThreadSanitizer|LeakSanitizer|runtime error:|"
    r"Segmentation|stack trace|DIFFERENT|corrupt)", re.IGNORECASE)


def free_port():
    """Below the ports that the system gives to outgoing connections: a node that is down for a
    while finds its own free again."""
    while True:
        port = random.SystemRandom().randrange(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Node:
    def __init__(self, name, directory):
        self.name = name
        self.directory = directory
        self.port = free_port()
        self.mesh_port = free_port()
        self.relay = None
        self.relay_port = 0  # at which others reach its mesh port, if not directly
        self.process = None
        self.is_stopped = False  # by SIGSTOP
        self.memories_lost = 0  # how often its data were gone at its start, or older
        self.log_path = os.path.join(directory, "..", name + ".log")
        # Workers leave a node alone while its gate is closed; `busy` are those still at it.
        self.gate_open = True
        self.busy_count = 0
        self.lock = threading.Lock()
        os.makedirs(directory)

    @property
    def mesh_address(self):
        return "127.0.0.1:%d" % (self.relay_port or self.mesh_port)

    @property
    def is_running(self):
        return self.process is not None


class Mesh:
    def __init__(self, server, directory, count, options, note, has_relays=False):
        self.server = server
        self.directory = directory
        self.options = options
        self.note = note  # called with a line for the history
        self.problems = []  # processes that ended by themselves
        self.nodes = [Node(name, os.path.join(directory, name)) for name in "ABCDE"[:count]]
        self.clients = {}
        if has_relays:
            for node in self.nodes:
                node.relay_port = free_port()
                node.relay = Relay(node.relay_port, node.mesh_port)

    # ---- processes ----

    def start(self, node):
        seeds = " ".join(other.mesh_address for other in self.nodes if other is not node)
        arguments = [self.server, "--port", str(node.port), "--bind", "127.0.0.1", "--dir",
                     node.directory, "--mesh-port", str(node.mesh_port), "--mesh-bind",
                     "127.0.0.1", "--mesh-announce-addr", node.mesh_address, "--mesh-seeds", seeds, "--mesh-cluster-id", "histories",
                     "--enable-debug-command", "yes", "--save", ""]
        for name, value in self.options.items():
            arguments += ["--" + name, str(value)]
        with open(node.log_path, "ab") as log:
            node.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        node.is_stopped = False
        self.note("start %s, pid %d" % (node.name, node.process.pid))

    def kill(self, node, how=signal.SIGKILL):
        self.note("%s %s" % (how.name, node.name))
        self.look_after(node)
        if node.process is None:
            return
        if node.is_stopped and how != signal.SIGKILL:
            self.carry_on(node)
        node.process.send_signal(how)
        try:
            status = node.process.wait(20 * PATIENCE)
        except subprocess.TimeoutExpired:
            self.problems.append("%s did not end within 20 s of %s" % (node.name, how.name))
            node.process.kill()
            status = node.process.wait()
        if how == signal.SIGTERM and status not in (0, -signal.SIGTERM):
            self.problems.append("%s ended with status %d on SIGTERM" % (node.name, status))
        node.process = None
        node.is_stopped = False
        self.drop_client(node)

    def look_after(self, node):
        """A process that ended and that nobody killed is a failure."""
        if node.process is not None and node.process.poll() is not None:
            self.problems.append("%s ended by itself with status %d"
                                 % (node.name, node.process.returncode))
            self.note(self.problems[-1])
            node.process = None
            node.is_stopped = False
            self.drop_client(node)

    def stop(self, node):
        self.note("SIGSTOP %s" % node.name)
        node.process.send_signal(signal.SIGSTOP)
        node.is_stopped = True

    def carry_on(self, node):
        self.note("SIGCONT %s" % node.name)
        node.process.send_signal(signal.SIGCONT)
        node.is_stopped = False

    def copy_directory(self, node):
        """The directory as a loss of power would leave it: nothing writes meanwhile."""
        copy = node.directory + ".copy"
        shutil.rmtree(copy, ignore_errors=True)
        self.stop(node)
        shutil.copytree(node.directory, copy)
        self.carry_on(node)
        self.note("copy of %s made" % node.name)
        return copy

    def put_back(self, node, copy):
        self.note("%s is put back to its copy" % node.name)
        shutil.rmtree(node.directory)
        os.rename(copy, node.directory)

    def end(self):
        for node in self.nodes:
            if node.process is not None:
                node.process.kill()
                node.process.wait()
                node.process = None
        for node in self.nodes:
            if node.relay:
                node.relay.is_over = True
            self.drop_client(node)

    # ---- the harness's own connections ----

    # Each thread has its own.

    def drop_client(self, node):
        client = self.clients.pop((threading.get_ident(), node.name), None)
        if client is not None:
            client.close()

    def ask(self, node, *command, timeout_seconds=10.0):
        """The reply of a node that is expected to answer; ErrorReply and ConnectionLost are raised."""
        place = (threading.get_ident(), node.name)
        client = self.clients.get(place)
        if client is None or client.socket is None:
            client = self.clients[place] = Connection(node.port, timeout_seconds * PATIENCE)
        client.send([command])
        reply = client.receive(timeout_seconds * PATIENCE)
        if isinstance(reply, ErrorReply):
            raise reply
        return reply

    def try_ask(self, node, *command, timeout_seconds=10.0):
        try:
            return self.ask(node, *command, timeout_seconds=timeout_seconds)
        except (ErrorReply, ConnectionLost) as error:
            return error

    def info(self, node, section):
        reply = self.try_ask(node, "INFO", section)
        if not isinstance(reply, str):
            return {}
        return dict(line.split(":", 1) for line in reply.split("\r\n") if ":" in line)

    # ---- links ----

    def cut(self, node, other):
        self.note("cut %s from %s" % (node.name, other.name if other else "ALL"))
        address = other.mesh_address if other else "ALL"
        self.try_ask(node, "DEBUG", "MESH", "CUT", address, timeout_seconds=2)

    def heal_all(self):
        self.note("heal")
        for node in self.nodes:
            if node.is_running and not node.is_stopped:
                self.try_ask(node, "DEBUG", "MESH", "HEAL", "ALL", timeout_seconds=5)

    # ---- waiting ----

    def wait_until(self, condition, seconds, pause_seconds=0.05):
        deadline = time.monotonic() + seconds * PATIENCE
        while True:
            if condition():
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(pause_seconds)

    def is_linked(self):
        wanted = len(self.nodes) - 1
        for node in self.nodes:
            self.look_after(node)
            if not node.is_running:
                return False
            fields = self.info(node, "mesh")
            if int(fields.get("mesh_links_up", 0)) < wanted or fields.get("mesh_joining") != "0":
                return False
        return True

    def all_have_seen(self, milliseconds):
        """Has each node, within so long of each question, seen what each had at the start? Then the
        tokens that say what that was, else None."""
        if not all(node.is_running and not node.is_stopped for node in self.nodes):
            return None
        tokens = []
        for node in self.nodes:
            token = self.try_ask(node, "MESH", "TOKEN", timeout_seconds=2)
            if not isinstance(token, str):
                return None
            tokens.append(token)
        for node in self.nodes:
            for token in tokens:
                seen = self.try_ask(node, "MESH", "WAITTOKEN", token, milliseconds,
                                    timeout_seconds=2 + milliseconds / 1000)
                if seen != 1:
                    return None
        return tokens

    def logs(self):
        texts = []
        for node in self.nodes:
            with open(node.log_path, encoding="latin-1") as log:
                texts.append(log.read())
        return "".join(texts)

    def bad_log_lines(self):
        return [line for line in self.logs().split("\n") if BAD_LINES.search(line)]
