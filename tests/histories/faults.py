# SPDX-License-Identifier: BSD-3-Clause
"""What goes wrong meanwhile. Each fault ends after a while of its own; several overlap."""
import itertools
import signal
import time


class Faults:
    def __init__(self, run, prng):
        self.run = run
        self.mesh = run.mesh
        self.history = run.history
        self.profile = run.profile
        self.prng = prng
        self.ends = []  # (when, what to call)
        self.last_start = 0.0
        self.counts = {}

    # ---- the course of a run ----

    def work(self, until):
        kinds, weights = zip(*self.profile["faults"].items())
        next_at = self.history.now() + self.prng.uniform(*self.profile["pause_seconds"])
        while self.history.now() < until:
            self.end_due(self.history.now())
            for node in self.mesh.nodes:
                self.mesh.look_after(node)
            if self.mesh.problems:
                return
            is_due = (self.history.now() >= next_at
                      and sum(self.counts.values()) < self.profile["faults_count"])
            if is_due:
                kind = self.prng.choices(kinds, weights)[0]
                self.counts[kind] = self.counts.get(kind, 0) + 1
                getattr(self, kind)()
                next_at = self.history.now() + self.prng.uniform(*self.profile["pause_seconds"])
            time.sleep(0.01)

    def end_due(self, now):
        due = [end for end in self.ends if end[0] <= now]
        self.ends = [end for end in self.ends if end[0] > now]
        for _, call in sorted(due, key=lambda end: end[0]):
            call()

    def end_all(self):
        """Everybody runs, and has all links."""
        ends, self.ends = self.ends, []
        for _, call in sorted(ends, key=lambda end: end[0]):
            call()
        for node in self.mesh.nodes:
            if not node.is_running:
                self.start(node)
            if node.is_stopped:
                self.mesh.carry_on(node)
            node.gate_open = True
            self.mesh.try_ask(node, "DEBUG", "CLOCK-OFFSET", 0)
        self.mesh.heal_all()

    def after(self, hold, call):
        self.ends.append((self.history.now() + hold, call))

    def hold(self):
        return self.prng.uniform(*self.profile["hold_seconds"])

    def running(self):
        return [node for node in self.mesh.nodes if node.is_running and not node.is_stopped]

    # ---- cuts ----

    def cut(self, pairs, hold, sides=None):
        """Each pair is cut on its one side, on its other or on both: any is enough."""
        done = []
        for one, other in pairs:
            for node, peer in self.prng.choice(sides or (((one, other),), ((other, one),),
                                                         ((one, other), (other, one)))):
                if node.is_running and not node.is_stopped:
                    self.mesh.cut(node, peer)
                    done.append((node, peer))
        self.after(hold, lambda: self.heal(done))

    def heal(self, pairs):
        for node, peer in pairs:
            if node.is_running and not node.is_stopped:
                self.mesh.note("heal %s and %s" % (node.name, peer.name))
                self.mesh.try_ask(node, "DEBUG", "MESH", "HEAL", peer.mesh_address,
                                  timeout_seconds=2)

    def pairs(self):
        return list(itertools.combinations(self.mesh.nodes, 2))

    def cut_pair(self):
        self.cut([self.prng.choice(self.pairs())], self.hold())

    def cut_one(self):
        one, other = self.prng.sample(self.mesh.nodes, 2)
        self.cut([(one, other)], self.hold(), sides=[((one, other),)])

    def cut_some(self):
        pairs = self.pairs()
        self.cut(self.prng.sample(pairs, self.prng.randrange(1, len(pairs))), self.hold())

    def cut_node(self):
        node = self.prng.choice(self.mesh.nodes)
        self.cut([pair for pair in self.pairs() if node in pair], self.hold())

    def side(self):
        return self.prng.sample(self.mesh.nodes, self.prng.randrange(1, len(self.mesh.nodes)))

    def cut_sides(self, hold=None):
        side = self.side()
        self.cut([pair for pair in self.pairs() if (pair[0] in side) != (pair[1] in side)],
                 hold or self.hold())

    # ---- connections, where there are relays ----

    def relay(self, what):
        node = self.prng.choice(self.mesh.nodes)
        if node.relay:
            self.mesh.note("relay of %s: %s" % (node.name, what))
        return node.relay

    def stand_still(self):
        is_inward, seconds = self.prng.random() < 0.5, self.hold() * 2
        relay = self.relay("%s stands still for %.2f s" % ("in" if is_inward else "out", seconds))
        if relay:
            relay.stand_still(seconds, is_inward)

    def delay(self):
        relay = self.relay("latency")
        if relay:
            relay.delay(self.prng.uniform(0.001, 0.03))
            self.after(self.hold() * 3, lambda: relay.delay(0.0))

    def break_links(self):
        relay = self.relay("links break off")
        if relay:
            relay.break_links(self.prng.randrange(1, 4))

    # ---- processes ----

    def start(self, node):
        if not node.is_running:
            self.mesh.start(node)
            self.last_start = self.history.now()

    def kill_one(self, node, hold, how=signal.SIGKILL):
        if not self.profile["is_durable"]:
            # What all nodes have seen is not lost while one of them keeps it.
            if self.history.floor <= self.last_start or len(self.running()) < len(self.mesh.nodes):
                return
            self.mesh.kill(node, how)
            self.history.node_lost_memory(node)
        else:
            self.mesh.kill(node, how)
        self.after(hold, lambda: self.start(node))

    def kill(self, how=signal.SIGKILL):
        candidates = [node for node in self.mesh.nodes if node.is_running]
        if candidates:
            self.kill_one(self.prng.choice(candidates), self.hold(), how)

    def kill_several(self):
        for node in self.side():
            if node.is_running:
                self.kill_one(node, self.hold())

    def terminate(self):
        self.kill(signal.SIGTERM)

    def stop(self, hold=None):
        candidates = self.running()
        if candidates:
            node = self.prng.choice(candidates)
            self.mesh.stop(node)
            pid = node.process.pid
            self.after(hold or self.hold(), lambda: self.carry_on(node, pid))

    def carry_on(self, node, pid):
        if node.is_running and node.is_stopped and node.process.pid == pid:
            self.mesh.carry_on(node)

    def old_copy(self):
        """A node's directory is put back to an older copy. What it alone has would be lost with
        that, so another one must have seen all of it."""
        candidates = self.running()
        if len(candidates) < 2:
            return
        node = self.prng.choice(candidates)
        copy = self.mesh.copy_directory(node)
        self.after(self.hold() + 0.5, lambda: self.put_back(node, copy))

    def put_back(self, node, copy):
        others = [other for other in self.running() if other is not node]
        if not node.is_running or node.is_stopped or not others:
            return
        node.gate_open = False
        is_quiet = self.mesh.wait_until(lambda: node.busy_count == 0, 4, 0.002)
        token = self.mesh.try_ask(node, "MESH", "TOKEN", timeout_seconds=2)
        is_safe = is_quiet and isinstance(token, str) and 1 == self.mesh.try_ask(
            self.prng.choice(others), "MESH", "WAITTOKEN", token, 1500, timeout_seconds=4)
        if is_safe:
            self.mesh.kill(node)
            self.mesh.put_back(node, copy)
            node.memories_lost += 1
            self.start(node)
        node.gate_open = True

    # ---- a node by itself ----

    def rewrite(self):
        for node in self.running():
            if self.prng.random() < 0.5:
                command = self.prng.choice(("BGSAVE", "BGREWRITEAOF"))
                self.mesh.note("%s at %s" % (command, node.name))
                self.mesh.try_ask(node, command, timeout_seconds=2)

    def reload(self):
        candidates = self.running()
        if candidates:
            node = self.prng.choice(candidates)
            reply = self.mesh.try_ask(node, "DEBUG", "RELOAD", timeout_seconds=10)
            self.mesh.note("DEBUG RELOAD at %s: %s" % (node.name, reply))

    def clock(self):
        candidates = self.running()
        if candidates:
            node = self.prng.choice(candidates)
            offset_ms = self.prng.randrange(-1500, 1500)
            self.mesh.note("the clock of %s is off by %d ms" % (node.name, offset_ms))
            self.mesh.try_ask(node, "DEBUG", "CLOCK-OFFSET", offset_ms, timeout_seconds=2)

    # ---- for longer than mesh-forget-after ----

    def away(self):
        return self.prng.uniform(*self.profile["away_seconds"])

    def away_node(self):
        node = self.prng.choice(self.mesh.nodes)
        self.cut([pair for pair in self.pairs() if node in pair], self.away())

    def away_side(self):
        self.cut_sides(self.away())

    def away_killed(self):
        candidates = [node for node in self.mesh.nodes if node.is_running]
        if len(candidates) > 1:
            self.kill_one(self.prng.choice(candidates), self.away())

    def away_stopped(self):
        self.stop(self.away())
