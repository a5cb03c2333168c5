# SPDX-License-Identifier: BSD-3-Clause
"""What the mesh costs and how soon it is there, beside redis-server with replicas.

The writing node has the server's CPU for itself; its peers share the other one with the load."""

import threading
import time

from of_collections import MEMORY_SMALL
from report import Rows
from servers import ControlledLoad, Failure, ReplyError, load, process_tree, status_bytes

KEYS = 1_000_000
VALUE_BYTES = 64
CONNECTIONS = 50
WRITE_REQUESTS = {1: 50_000, 16: 300_000, 64: 500_000}  # of one round


class Group:
    """A writing server and its peers: a mesh of Starling's, or replicas of redis-server's."""

    def __init__(self, bench, spec, peers, options=None, is_mesh=None):
        self.bench, self.spec, self.peers_count = bench, spec, peers
        self.is_mesh = spec is not bench.specs[0] if is_mesh is None else is_mesh
        self.options = options or {}
        self.servers = []

    def __enter__(self):
        try:
            for index in range(1 + self.peers_count):
                self.add(index)
            self.wait_linked()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for server in reversed(self.servers):
            server.__exit__()
        self.servers = []

    def add(self, index):
        """Starts one more server, the first one on the measured CPU."""
        bench, options = self.bench, {"enable-debug-command": "yes", **self.options}
        if self.is_mesh:
            ports = [bench.options.port + 10_000 + i for i in range(self.peers_count + 2)]
            options["mesh-port"] = ports[index]
            if index > 0:
                options["mesh-seeds"] = f"127.0.0.1:{ports[0]}"
        elif index > 0:
            options["replicaof"] = f"127.0.0.1 {self.servers[0].port}"
        if not self.is_mesh:
            # A replica is served when it asks, instead of after five seconds.
            options["repl-diskless-sync-delay"] = 0
        server = bench.server(self.spec, options)
        if index > 0:
            # The load shares that CPU and goes first: it must see the writer's delays only.
            server.cpu, server.gives_way = bench.load_cpu, True
            server.nice = bench.options.peers_nice
        server.__enter__()
        self.servers.append(server)
        return server

    def writer(self):
        return self.servers[0]

    def wait_linked(self, wait_s=60):
        deadline = time.monotonic() + wait_s
        while True:
            if self.is_mesh:
                up = all(int(server.client.info("mesh")["mesh_links_up"]) >= len(self.servers) - 1
                         for server in self.servers)
            else:
                up = all(server.client.info("replication").get("master_link_status") == "up"
                         for server in self.servers[1:])
            if up:
                return
            if time.monotonic() > deadline:
                raise Failure(f"{self.spec.name}: the servers found no way to each other")
            time.sleep(0.02)

    def wait_equal(self, wait_s=300):
        """Until every peer has what the writer has."""
        deadline = time.monotonic() + wait_s
        if self.is_mesh:
            self.wait_ready(deadline)
            tokens = [server.client.call("MESH", "TOKEN") for server in self.servers]
            for server in self.servers:
                for token in tokens:
                    while not self.has_seen(server, token, wait_s):
                        if time.monotonic() > deadline:
                            raise Failure(f"{self.spec.name}: a peer does not catch up")
            return
        while True:
            wanted = self.writer().client.info("replication")["master_repl_offset"]
            if all(server.client.info("replication").get("slave_repl_offset") == wanted
                   for server in self.servers[1:]):
                return
            if time.monotonic() > deadline:
                raise Failure(f"{self.spec.name}: a replica does not catch up")
            time.sleep(0.02)

    def wait_ready(self, deadline):
        """Until none of them takes over a state."""
        while any(server.client.info("persistence")["loading"] != "0" for server in self.servers):
            if time.monotonic() > deadline:
                raise Failure(f"{self.spec.name}: a node does not become ready")
            time.sleep(0.02)

    @staticmethod
    def has_seen(server, token, wait_s):
        """It may begin to take over a state while it is asked."""
        try:
            return server.client.call("MESH", "WAITTOKEN", token, wait_s * 1000) == 1
        except ReplyError as error:
            if not str(error).startswith("LOADING"):
                raise
            time.sleep(0.02)
            return False

    def settle(self, wait_s=60):
        """Until every node knows that everything is everywhere, and has tidied up after it; then
        only a small backlog stays."""
        self.check_equal()
        deadline = time.monotonic() + wait_s
        for server in self.servers:
            while True:
                info = server.client.info("mesh")
                if all(int(info["mesh_" + name]) == 0 for name in
                       ("keys_unsettled", "keys_contested", "frontier_age_ms")):
                    break
                if time.monotonic() > deadline:
                    raise Failure(f"{self.spec.name}: the data does not settle")
                time.sleep(0.1)
            server.client.call("CONFIG", "SET", "mesh-backlog-size", "1mb")
            server.client.call("MEMORY", "PURGE")
        time.sleep(3)

    def check_equal(self):
        """Once nobody writes any more, all servers must hold the same data."""
        self.wait_equal()
        digests = {server.client.call("DEBUG", "DIGEST") for server in self.servers}
        if len(digests) != 1:
            raise Failure(f"{self.spec.name}: the servers hold different data")


def fill(bench, server, keys, value_bytes, **options):
    load(server, bench.load_cpu, test="set", each=True, keys=keys, requests=keys, pipeline=64,
         connections=CONNECTIONS, value_bytes=value_bytes, seed=7, **options)


# ---- what peers cost the writer ----


def mesh_write(bench):
    """SETs and INCRs on one node: alone, and with two peers; redis-server with one replica.

    All of them run, and are loaded in turn for half a second or so each: whatever else the machine
    does meanwhile concerns all. What counts is all processor time of the writer, until its peers
    have everything."""
    rows = Rows()
    baseline, subject = bench.specs[0], bench.specs[1]
    keys = bench.scaled(KEYS)
    with Group(bench, baseline, 1, is_mesh=False) as replicated, \
            Group(bench, subject, 0, is_mesh=False) as alone, \
            Group(bench, subject, 2, is_mesh=True) as mesh:
        groups = {"redis-server, 1 replica": replicated, "alone": alone, "2 peers": mesh}
        for group in groups.values():
            fill(bench, group.writer(), keys, VALUE_BYTES)
            group.wait_equal()
        for pipeline in bench.pipelines([1, 16, 64]):
            requests = bench.scaled(WRITE_REQUESTS.get(pipeline, 500_000))
            for test in bench.tests(["set", "incr"]):
                for number in range(bench.rounds(15)):
                    bench.say(f"{test}, pipeline {pipeline}, round {number + 1}")
                    for name, group in groups.items():
                        rows.add(f"{test.upper()}, pipeline {pipeline}", name,
                                 **write_round(bench, group, test, pipeline, keys, requests,
                                               300 + number))
        for group in groups.values():
            group.check_equal()
    return rows


def write_round(bench, group, test, pipeline, keys, requests, seed):
    writer = group.writer()
    cpu_s = writer.exact_cpu_s()
    got = load(writer, bench.load_cpu, test=test, keys=keys, pipeline=pipeline,
               prefix="ctr:" if test == "incr" else "key:", connections=CONNECTIONS,
               value_bytes=VALUE_BYTES, requests=requests, seed=seed)
    group.wait_equal()
    return {"per_cpu_s": got["requests"] / (writer.exact_cpu_s() - cpu_s),
            "per_s": got["requests"] / got["elapsed_s"]}


# ---- how soon a write is seen ----

VISIBLE_RATE = 10_000


def mesh_visible(bench):
    """From the OK on one node until a GET on its peer shows it, at 10,000 writes a second."""
    rows = Rows()
    subject = bench.specs[1]
    for number in range(bench.rounds(3)):
        bench.say(f"round {number + 1}")
        with Group(bench, subject, 1, is_mesh=True) as group:
            with ControlledLoad(group.writer(), bench.load_cpu, test="mixed", get_percent=0,
                                rate=VISIBLE_RATE, keys=bench.scaled(KEYS), connections=10,
                                value_bytes=VALUE_BYTES, seed=400 + number) as generator:
                time.sleep(1)
                samples = visible_samples(group, 300 if bench.quick else 2000)
                generator.finish()
        samples.sort()
        rows.add(f"{VISIBLE_RATE:,} writes/s", subject.name,
                 p50_us=samples[len(samples) // 2], p99_us=samples[len(samples) * 99 // 100],
                 max_us=samples[-1])
    return rows


def visible_samples(group, count):
    writer, reader = group.servers[0].connect(), group.servers[1].connect()
    samples = []
    for number in range(count):
        value = str(number).encode()
        writer.call("SET", "mark", value)
        begin = time.monotonic()
        while reader.call("GET", "mark") != value:
            if time.monotonic() - begin > 10:
                raise Failure("a write does not arrive")
        samples.append((time.monotonic() - begin) * 1e6)
        time.sleep(0.001)
    writer.close()
    reader.close()
    return samples


# ---- bytes on the wire ----


def mesh_wire(bench):
    """Bytes between the nodes for each SET of a busy stream, and for INCRs of one counter."""
    rows = Rows()
    subject = bench.specs[1]
    for _ in range(bench.rounds(1)):
        with Group(bench, subject, 1, {"mesh-compression": "no"}, is_mesh=True) as group:
            writer = group.writer()
            for work, options in (
                    ("SET, 16-byte keys, 8-byte values", dict(test="set", value_bytes=8)),
                    ("SET, 16-byte keys, 64-byte values", dict(test="set", value_bytes=64)),
                    ("INCR of one counter", dict(test="incr", prefix="ctr:", keys=1))):
                bench.say(work)
                requests = bench.scaled(1_000_000)
                before = int(writer.client.info("mesh")["mesh_bytes_out"])
                load(writer, bench.load_cpu, **{"keys": KEYS, "pipeline": 16,
                                                "connections": CONNECTIONS, "seed": 5, **options},
                     requests=requests)
                group.wait_equal()
                sent = int(writer.client.info("mesh")["mesh_bytes_out"]) - before
                payload = 0 if options["test"] == "incr" else 16 + options["value_bytes"]
                rows.add(work, subject.name, bytes_per_write=sent / requests,
                         above_payload=sent / requests - payload)
    return rows


# ---- a new node ----

JOIN_KEYS = 5_000_000
JOIN_VALUE_BYTES = 32
JOIN_RATE = 10_000


def mesh_join(bench):
    """A fresh node takes 5 million keys while the serving one answers 10,000 requests/s."""
    rows = Rows()
    keys = bench.scaled(JOIN_KEYS)
    for number in range(bench.rounds(3)):
        for spec in bench.specs[:2]:
            bench.say(f"round {number + 1}, {spec.name}")
            with Group(bench, spec, 0) as group:
                fill(bench, group.writer(), keys, JOIN_VALUE_BYTES)
                group.writer().settled_rss_bytes()
                rows.add(f"{keys:,} × {JOIN_VALUE_BYTES} bytes", spec.name,
                         **join_round(bench, group, keys, 500 + number))
    return rows


def join_round(bench, group, keys, seed):
    writer = group.writer()
    # The new node shares the generator's CPU, and would have it wait for 3 ms at a time.
    with ControlledLoad(writer, bench.load_cpu, goes_first=True, test="mixed", get_percent=50,
                        rate=JOIN_RATE, keys=keys, connections=CONNECTIONS,
                        value_bytes=JOIN_VALUE_BYTES, seed=seed) as generator:
        time.sleep(1)
        generator.phase("without")
        time.sleep(2 if bench.quick else 6)
        before_bytes, peak = memory_bytes(writer), PeakBytes(writer)
        generator.phase("during")
        begin = time.monotonic()
        with peak:
            joiner = group.add(1)
            wait_keys(joiner, keys)
            seconds = time.monotonic() - begin
        generator.phase("after")
        phases = generator.finish()
    group.check_equal()
    without, during = (phases[name]["latency_us"]["p999"] for name in ("without", "during"))
    return {"join_s": seconds, "p999_ratio": during / without, "during_p999_us": during,
            "extra_share": max(peak.bytes - before_bytes, 0) / before_bytes}


def wait_keys(server, keys, wait_s=300):
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        try:
            if server.client.call("DBSIZE") >= keys:
                return
        except ReplyError:
            pass
        time.sleep(0.01)
    raise Failure(f"{server.spec.name}: the new node did not get all keys")


def memory_bytes(server):
    """Memory of a server with its children. Of one without any it costs nothing to be told, while
    the pages of a forked one have to be walked to know which are shared."""
    if len(process_tree(server.pid)) > 1:
        return server.tree_bytes()
    return status_bytes(server.pid, "VmRSS") + status_bytes(server.pid, "VmPTE")


class PeakBytes(threading.Thread):
    """The greatest memory of a server's processes, looked at five times a second: more would
    disturb what is measured."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.bytes, self.stopped = server, 0, threading.Event()

    def run(self):
        while not self.stopped.wait(0.2):
            self.bytes = max(self.bytes, memory_bytes(self.server))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.join()


# ---- a partition that heals ----

HEAL_WRITES = 1_000_000


def mesh_heal(bench):
    """Three nodes, cut one from two for a minute, a million writes on each side, healed."""
    rows = Rows()
    subject = bench.specs[1]
    writes = bench.scaled(HEAL_WRITES)
    for _ in range(bench.rounds(1)):
        with Group(bench, subject, 2, is_mesh=True) as group:
            servers = group.servers
            servers[0].client.call("DEBUG", "MESH", "CUT", "ALL")
            begin = time.monotonic()
            for server, prefix in ((servers[0], "lft:"), (servers[1], "rgt:")):
                fill(bench, server, writes, JOIN_VALUE_BYTES, prefix=prefix)
            time.sleep(max(0, (6 if bench.quick else 60) - (time.monotonic() - begin)))
            sent = sum(int(server.client.info("mesh")["mesh_bytes_out"]) for server in servers)
            begin = time.monotonic()
            servers[0].client.call("DEBUG", "MESH", "HEAL", "ALL")
            group.wait_linked()
            group.wait_equal()
            seconds = time.monotonic() - begin
            sent = sum(int(server.client.info("mesh")["mesh_bytes_out"])
                       for server in servers) - sent
            group.check_equal()
            rss = max(server.settled_rss_bytes() for server in servers)
        with Group(bench, subject, 0, is_mesh=True) as group:
            for prefix in ("lft:", "rgt:"):
                fill(bench, group.writer(), writes, JOIN_VALUE_BYTES, prefix=prefix)
            lone_rss = group.writer().settled_rss_bytes()
        # The left side goes to two nodes, the right side to one.
        data = 3 * writes * (16 + JOIN_VALUE_BYTES)
        rows.add(f"2 × {writes:,} writes", subject.name, heal_s=seconds, sent_ratio=sent / data,
                 rss_ratio=rss / lone_rss)
    return rows


# ---- memory ----

# Peers that give way to the load may be far behind for a moment.
BACKLOG = {"mesh-backlog-size": "1gb"}
WARM_KEYS = 1000



def empty_bytes(bench, group):
    """What each server takes before there are keys worth the name, its buffers warm."""
    for server in group.servers:
        load(server, bench.load_cpu, test="set", prefix="wrm:", keys=WARM_KEYS, requests=200_000,
             pipeline=64, connections=CONNECTIONS, value_bytes=JOIN_VALUE_BYTES, seed=3)
    if group.is_mesh:
        group.settle()
    empty = [server.settled_rss_bytes() for server in group.servers]
    for server in group.servers:
        if group.is_mesh:
            server.client.call("CONFIG", "SET", "mesh-backlog-size", BACKLOG["mesh-backlog-size"])
    return empty


def mesh_memory(bench):
    """Bytes per key in a mesh of three that has settled, a third written on each node, and on a node
    without a mesh. The backlog is a setting, and small in the end."""
    rows = Rows()
    subject = bench.specs[1]
    keys = bench.scaled(JOIN_KEYS) // 3
    for _ in range(bench.rounds(1)):
        for name, peers, is_mesh in (("alone", 0, False), ("mesh of 3", 2, True)):
            bench.say(name)
            with Group(bench, subject, peers, BACKLOG if is_mesh else {},
                       is_mesh=is_mesh) as group:
                empty = empty_bytes(bench, group)
                for number in range(3):
                    server = group.servers[number % len(group.servers)]
                    fill(bench, server, keys, JOIN_VALUE_BYTES, prefix=f"ke{number}:")
                if is_mesh:
                    group.settle()
                rows.add(f"3 × {keys:,} × {JOIN_VALUE_BYTES} bytes", name,
                         bytes_per_key=max(server.settled_rss_bytes() - before for server, before
                                           in zip(group.servers, empty)) / (3 * keys))
    return rows


COLLECTION_KEYS, COLLECTION_WRITERS, COLLECTION_ELEMENTS = 100_000, 10, 10


def mesh_collections(bench):
    """Bytes per key of small collections in a mesh of three that has settled, once ten concurrent
    writers, spread over the nodes, have filled them element by element: each its own keys, or all of
    them one element of every key."""
    rows = Rows()
    subject = bench.specs[1]
    keys = bench.scaled(COLLECTION_KEYS)
    for _ in range(bench.rounds(1)):
        for kind, (verb, part) in MEMORY_SMALL.items():
            for how in ("own keys", "shared keys"):
                bench.say(f"{kind}, {how}")
                with Group(bench, subject, 2, BACKLOG, is_mesh=True) as group:
                    empty = empty_bytes(bench, group)
                    write_together(bench, group, verb, part, keys, how == "shared keys")
                    group.settle()
                    if group.writer().client.call("DBSIZE") != keys + WARM_KEYS:
                        raise Failure("keys are missing")
                    rows.add(f"{kind} of {COLLECTION_ELEMENTS}, {how}", subject.name,
                             bytes_each=max(server.settled_rss_bytes() - before for server, before
                                            in zip(group.servers, empty)) / keys)
    return rows


def write_together(bench, group, verb, part, keys, are_shared):
    failures = []

    def write(number):
        server = group.servers[number % len(group.servers)]
        count = keys if are_shared else keys // COLLECTION_WRITERS
        prefix = "" if are_shared else number
        try:
            for turn in range(1 if are_shared else COLLECTION_ELEMENTS):
                load(server, bench.load_cpu, test="command", each=True, keys=count, requests=count,
                     command=f"{verb} key{prefix}:{{key}} {part}", pipeline=16, connections=1,
                     value_bytes=10, seed=COLLECTION_WRITERS * turn + number + 1)
        except Failure as failure:
            failures.append(failure)

    writers = [threading.Thread(target=write, args=(number,))
               for number in range(COLLECTION_WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    if failures:
        raise failures[0]


SCENARIOS = {"mesh-write": mesh_write, "mesh-visible": mesh_visible, "mesh-wire": mesh_wire,
             "mesh-join": mesh_join, "mesh-heal": mesh_heal, "mesh-memory": mesh_memory,
             "mesh-collections": mesh_collections}
