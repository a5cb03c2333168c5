# SPDX-License-Identifier: BSD-3-Clause
"""A relay in front of each node's mesh port, for what DEBUG MESH CUT does not do: one direction that
stands still while the other works, latency, and connections that break off in the middle of a frame."""
import collections
import select
import socket
import threading
import time

CHUNK_BYTES = 65536
WAITING_CHUNKS_MAX = 64


class Direction:
    """Bytes from one socket to the other."""

    def __init__(self, source, target):
        self.source = source
        self.target = target
        self.waiting = collections.deque()  # (when it may go on, bytes)
        self.is_ended = False
        self.still_until = 0.0
        self.latency_seconds = 0.0


class Relay(threading.Thread):
    def __init__(self, port, target_port):
        super().__init__(daemon=True)
        self.target_port = target_port
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(64)
        self.links = []  # pairs of directions: towards the node, and from it
        self.is_over = False
        self.latency_seconds = 0.0
        self.to_break = 0
        self.start()

    # ---- faults: called by another thread ----

    def stand_still(self, seconds, is_inward):
        for link in list(self.links):
            link[0 if is_inward else 1].still_until = time.monotonic() + seconds

    def delay(self, seconds):
        self.latency_seconds = seconds

    def break_links(self, count):
        self.to_break = count

    # ---- its thread ----

    def run(self):
        while not self.is_over:
            now = time.monotonic()
            readable, writable = [self.listener], []
            for link in self.links:
                for direction in link:
                    if direction.still_until > now:
                        continue
                    if len(direction.waiting) < WAITING_CHUNKS_MAX and not direction.is_ended:
                        readable.append(direction.source)
                    if direction.waiting and direction.waiting[0][0] <= now:
                        writable.append(direction.target)
            readable, writable, _ = select.select(readable, writable, [], 0.002)
            if self.listener in readable:
                self.accept()
            broken = []
            for link in self.links:
                try:
                    for direction in link:
                        self.carry(direction, readable, writable)
                except OSError:
                    broken.append(link)
                if any(direction.is_ended and not direction.waiting for direction in link):
                    broken.append(link)
            broken += self.links[:self.to_break]
            self.to_break = 0
            for link in broken:
                self.end(link)
        for link in list(self.links):
            self.end(link)
        self.listener.close()

    def accept(self):
        source, _ = self.listener.accept()
        try:
            target = socket.create_connection(("127.0.0.1", self.target_port), 1)
        except OSError:
            source.close()
            return
        for each in (source, target):
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.links.append((Direction(source, target), Direction(target, source)))

    def carry(self, direction, readable, writable):
        now = time.monotonic()
        if direction.source in readable and not direction.is_ended and direction.still_until <= now:
            try:
                data = direction.source.recv(CHUNK_BYTES)
                if data:
                    direction.waiting.append((now + self.latency_seconds, data))
                else:
                    direction.is_ended = True
            except BlockingIOError:
                pass
        if direction.target in writable and direction.waiting and direction.waiting[0][0] <= now:
            when, data = direction.waiting[0]
            try:
                sent = direction.target.send(data)
            except BlockingIOError:
                return
            if sent == len(data):
                direction.waiting.popleft()
            else:
                direction.waiting[0] = (when, data[sent:])

    def end(self, link):
        if link in self.links:
            self.links.remove(link)
            for direction in link:
                direction.source.close()
