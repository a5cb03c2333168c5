# SPDX-License-Identifier: BSD-3-Clause
"""What is measured. Each scenario takes the bench and returns its report.Rows."""

import os
import shutil
import signal
import subprocess
import threading
import time

import of_collections
import of_large_keys
import mesh
from report import Rows
from servers import ControlledLoad, Failure, ReplyError, load

CONNECTIONS = 50
COUNTER_PREFIX = "ctr:"


def fill(bench, server, keys, value_bytes, **options):
    """Writes every key below `keys` once, in scattered order, and counts them."""
    load(server, bench.load_cpu, test="set", each=True, keys=keys, requests=keys, pipeline=64,
         connections=CONNECTIONS, value_bytes=value_bytes, seed=7, **options)


def expect_keys(server, keys):
    found = server.client.call("DBSIZE")
    if found != keys:
        raise Failure(f"{server.spec.name} holds {found} keys instead of {keys}")


def directory_bytes(path):
    total = 0
    for parent, _, names in os.walk(path):
        for name in names:
            if name != "bench-server.log":
                total += os.stat(os.path.join(parent, name)).st_size
    return total


# ---- requests ----

SPEED_KEYS = 1_000_000
SPEED_VALUE_BYTES = 64
# Requests measured by pipeline: about four seconds of redis-server's work each.
SPEED_REQUESTS = {1: 400_000, 16: 2_000_000, 64: 3_000_000}


def speed_round(bench, server, test, pipeline, seed):
    requests = bench.scaled(SPEED_REQUESTS.get(pipeline, 1_000_000))
    if bench.generator == "redis-benchmark":
        return redis_benchmark(bench, server, test, pipeline, requests)
    return requests_round(bench, server, test=test, keys=SPEED_KEYS, pipeline=pipeline,
                          prefix=COUNTER_PREFIX if test == "incr" else "key:",
                          connections=CONNECTIONS, value_bytes=SPEED_VALUE_BYTES,
                          requests=requests, seed=seed)


def requests_round(bench, server, test, requests, **options):
    got = load(server, bench.load_cpu, test=test, requests=requests,
               warmup_requests=requests // 10, **options)
    expected = {"get": "bulk", "set": "simple", "incr": "integer"}[test]
    if got["replies"][expected] != got["requests"]:
        raise Failure(f"{server.spec.name} answered {test} with {got['replies']}")
    latency = got["latency_us"]
    return {"per_s": got["requests"] / got["elapsed_s"],
            "per_cpu_s": got["requests"] / max(got["server_cpu_s"], 0.01),
            "p50_us": latency["p50"], "p99_us": latency["p99"], "p999_us": latency["p999"],
            "server_share": got["server_cpu_s"] / got["elapsed_s"],
            "load_share": got["load_cpu_s"] / got["elapsed_s"]}


def redis_benchmark(bench, server, test, pipeline, requests):
    """The same work by the public tool. It prints no p99.9, and its connecting is counted in."""
    def once(count):
        before_s, before = server.cpu_s(), time.monotonic()
        done = subprocess.run(
            ["taskset", "-c", str(bench.load_cpu), "redis-benchmark", "-p", str(server.port),
             "-t", test, "-r", str(SPEED_KEYS), "-n", str(count), "-P", str(pipeline),
             "-c", str(CONNECTIONS), "-d", str(SPEED_VALUE_BYTES), "--csv"],
            capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Failure(f"redis-benchmark: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout, server.cpu_s() - before_s, time.monotonic() - before

    once(max(requests // 10, 1))
    text, cpu_s, elapsed_s = once(requests)
    lines = [[word.strip('"') for word in line.split(",")] for line in text.splitlines()]
    found = dict(zip(lines[-2], lines[-1]))
    return {"per_s": float(found["rps"]), "per_cpu_s": requests / max(cpu_s, 0.01),
            "p50_us": 1000 * float(found["p50_latency_ms"]),
            "p99_us": 1000 * float(found["p99_latency_ms"]),
            "server_share": cpu_s / elapsed_s}


def speed(bench, tests, pipelines, options):
    rows = Rows()
    for number in range(bench.rounds(5)):
        for spec in bench.specs:
            with bench.server(spec, options) as server:
                bench.say(f"round {number + 1}, {spec.name}")
                if "get" in tests or "set" in tests:
                    fill(bench, server, SPEED_KEYS, SPEED_VALUE_BYTES)
                if "incr" in tests:
                    load(server, bench.load_cpu, test="incr", each=True, keys=SPEED_KEYS,
                         requests=SPEED_KEYS, pipeline=64, prefix=COUNTER_PREFIX)
                for pipeline in pipelines:
                    for test in tests:
                        rows.add(f"{test.upper()}, pipeline {pipeline}", spec.name,
                                 **speed_round(bench, server, test, pipeline, 100 + number))
    return rows


def throughput(bench):
    """GET, SET and INCR over a million keys, 64-byte values, 50 connections."""
    return speed(bench, bench.tests(["get", "set", "incr"]), bench.pipelines([1, 16, 64]), {})


def aof(bench):
    """SET and INCR with appendonly yes and appendfsync everysec; nobody rewrites meanwhile."""
    return speed(bench, bench.tests(["set", "incr"]), bench.pipelines([16, 64]),
                 {"appendonly": "yes", "appendfsync": "everysec",
                  "auto-aof-rewrite-percentage": "0"})


VALUES_BYTES = [1_000, 10_000, 100_000, 1_000_000]
VALUES_KEYS = 50
VALUES_BYTES_SENT = 2_000_000_000  # of a round, and at most so many requests:
VALUES_REQUESTS_MAX = 200_000


def values(bench):
    """SET and GET of 50 keys with values of some sizes, 10 connections."""
    rows = Rows()
    for number in range(bench.rounds(5)):
        for value_bytes in VALUES_BYTES:
            requests = bench.scaled(min(VALUES_REQUESTS_MAX, VALUES_BYTES_SENT // value_bytes))
            for spec in bench.specs:
                with bench.server(spec, {}) as server:
                    bench.say(f"round {number + 1}, {value_bytes:,} bytes, {spec.name}")
                    fill(bench, server, VALUES_KEYS, value_bytes)
                    for pipeline in bench.pipelines([1, 8]):
                        for test in bench.tests(["set", "get"]):
                            work = f"{test.upper()} of {value_bytes:,} bytes, pipeline {pipeline}"
                            rows.add(work, spec.name, **requests_round(
                                bench, server, test=test, keys=VALUES_KEYS, pipeline=pipeline,
                                connections=10, value_bytes=value_bytes, requests=requests,
                                seed=100 + number))
    return rows


# ---- memory ----

MEMORY_KEYS = [1_000_000, 5_000_000]
MEMORY_VALUE_BYTES = [8, 32, 100, 1024]


def memory(bench):
    """Resident bytes per key, the empty server's subtracted."""
    rows = Rows()
    for _ in range(bench.rounds(1)):
        for keys in [bench.scaled(keys) for keys in MEMORY_KEYS]:
            for value_bytes in MEMORY_VALUE_BYTES:
                work = f"{keys:,} × {value_bytes} bytes"
                for spec in bench.specs:
                    bench.say(f"{work}, {spec.name}")
                    with bench.server(spec) as server:
                        rows.add(work, spec.name, **memory_round(bench, server, keys, value_bytes))
    return rows


def memory_round(bench, server, keys, value_bytes):
    empty_bytes = server.settled_rss_bytes()
    empty_used = used_memory(server)
    fill(bench, server, keys, value_bytes)
    expect_keys(server, keys)
    rss_bytes = server.settled_rss_bytes()
    result = {"bytes_per_key": (rss_bytes - empty_bytes) / keys, "rss_bytes": rss_bytes,
              "empty_bytes": empty_bytes}
    if empty_used is not None:
        result["used_per_key"] = (used_memory(server) - empty_used) / keys
    return result


def used_memory(server):
    """None where INFO does not tell."""
    try:
        return int(server.client.info("memory")["used_memory"])
    except (ReplyError, KeyError):
        return None


# ---- snapshot ----

BIG_KEYS = 5_000_000
BIG_VALUE_BYTES = 32
SNAPSHOT_RATE = 20_000
POLL_S = 0.02


class Poller(threading.Thread):
    """Asks INFO persistence every 20 ms, during a snapshot and without one alike, so that asking
    costs both the same."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.client = server.connect()
        self.stopped = threading.Event()
        self.changed = threading.Condition()
        self.fields, self.error = None, None

    def run(self):
        try:
            while not self.stopped.wait(POLL_S):
                fields = self.client.info("persistence")
                with self.changed:
                    self.fields = fields
                    self.changed.notify_all()
        except (OSError, ValueError, Failure) as error:
            with self.changed:
                self.error = error
                self.changed.notify_all()

    def next_fields(self):
        with self.changed:
            self.fields = None
            while self.fields is None and self.error is None:
                if not self.changed.wait(30):
                    raise Failure("INFO persistence is not answered")
            if self.error is not None:
                raise Failure(f"INFO persistence: {self.error}")
            return self.fields

    def wait_idle(self):
        while self.next_fields()["rdb_bgsave_in_progress"] != "0":
            pass
        if self.fields["rdb_last_bgsave_status"] != "ok":
            raise Failure("the snapshot failed")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.join()
        self.client.close()


class Sampler(threading.Thread):
    """The greatest memory of the server's process tree, looked at every 20 ms."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.peak_bytes, self.stopped = server, 0, threading.Event()

    def run(self):
        while not self.stopped.wait(POLL_S):
            self.peak_bytes = max(self.peak_bytes, self.server.tree_bytes())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.join()


def timed_snapshot(server, poller):
    begin = time.monotonic()
    server.client.call("BGSAVE")
    poller.wait_idle()
    return time.monotonic() - begin


def snapshot(bench):
    """BGSAVE under an open loop of GETs and SETs, half and half."""
    rows = Rows()
    keys = bench.scaled(BIG_KEYS)
    for number in range(bench.rounds(5)):
        for spec in bench.specs:
            bench.say(f"round {number + 1}, {spec.name}")
            with bench.server(spec) as server:
                fill(bench, server, keys, BIG_VALUE_BYTES)
                server.settled_rss_bytes()
                rows.add(f"{keys:,} keys, {SNAPSHOT_RATE:,} requests/s", spec.name,
                         **snapshot_round(bench, server, keys, 200 + number))
                expect_keys(server, keys)
    return rows


def snapshot_round(bench, server, keys, seed):
    """Two snapshots with the latency watched, each after as long a while without; then one with
    the memory watched, whose latencies are not used: looking at memory disturbs."""
    seconds = []
    with Poller(server) as poller, ControlledLoad(
            server, bench.load_cpu, test="mixed", get_percent=50, rate=SNAPSHOT_RATE, keys=keys,
            connections=CONNECTIONS, value_bytes=BIG_VALUE_BYTES, seed=seed) as generator:
        time.sleep(2)
        for _ in range(2):
            generator.phase("without")
            time.sleep(1 if bench.quick else 6)
            generator.phase("during")
            seconds.append(timed_snapshot(server, poller))
            generator.phase("between")
            time.sleep(1)
        before_bytes = server.tree_bytes()
        with Sampler(server) as sampler:
            timed_snapshot(server, poller)
        extra_bytes = max(sampler.peak_bytes - before_bytes, 0)
        phases = generator.finish()
    without, during = phases["without"], phases["during"]
    for name, phase in (("without", without), ("during", during)):
        done = phase["requests"] / phase["elapsed_s"]
        if phase["elapsed_s"] > 1 and done < 0.9 * SNAPSHOT_RATE:
            bench.say(f"  {name}: only {done:,.0f} requests/s were served")
    result = {"snapshot_s": sum(seconds) / len(seconds), "before_bytes": before_bytes,
              "extra_bytes": extra_bytes, "extra_share": extra_bytes / before_bytes,
              "file_bytes": directory_bytes(server.directory),
              "during_max_ms": during["latency_us"]["max"] / 1000,
              "during_send_lag_p999_us": during["send_lag_us"]["p999"],
              "p999_ratio": during["latency_us"]["p999"] / without["latency_us"]["p999"]}
    for quantile in ("p50", "p99", "p999"):
        result[f"without_{quantile}_us"] = without["latency_us"][quantile]
        result[f"during_{quantile}_us"] = during["latency_us"][quantile]
    return result


# ---- start ----

START_EXTRA_SETS = 500_000


def start(bench):
    """From exec until PONG: the baseline from its RDB file, the others from snapshot plus log.

    Each data directory is written once and then started from in alternating rounds, all of them
    with warm file caches."""
    rows = Rows()
    keys = bench.scaled(BIG_KEYS)
    prepared = []
    for spec in bench.specs:
        bench.say(f"writing the data of {spec.name}")
        from_log = spec is not bench.specs[0]
        prepared.append((spec, *prepare_start(bench, spec, keys, from_log)))
    for number in range(bench.rounds(5)):
        for spec, options, directory, digest in prepared:
            bench.say(f"round {number + 1}, {spec.name}")
            with bench.server(spec, options, directory, keeps_directory=True) as server:
                expect_keys(server, keys)
                if sample(server, keys) != digest:
                    raise Failure(f"{spec.name} came back with other values")
                rows.add(f"{keys:,} keys, {bench.scaled(START_EXTRA_SETS):,} of them written again",
                         spec.name, start_s=server.start_s, start_cpu_s=server.start_cpu_s,
                         disk_bytes=directory_bytes(directory), keys=keys)
    for _, _, directory, _ in prepared:
        shutil.rmtree(directory)
    return rows


def prepare_start(bench, spec, keys, from_log):
    options = {"appendonly": "yes", "auto-aof-rewrite-percentage": "0"} if from_log else {}
    with bench.server(spec, options, keeps_directory=True) as server:
        fill(bench, server, keys, BIG_VALUE_BYTES)
        if from_log:
            rewrite_log(server)
        extra = bench.scaled(START_EXTRA_SETS)
        load(server, bench.load_cpu, test="set", keys=keys, requests=extra, pipeline=64,
             value_bytes=BIG_VALUE_BYTES, seed=11)
        expect_keys(server, keys)
        digest = sample(server, keys)
        if not from_log:
            server.client.call("SAVE")
        server.shutdown()
    return options, server.directory, digest


def rewrite_log(server):
    server.client.call("BGREWRITEAOF")
    while True:
        time.sleep(0.1)
        fields = server.client.info("persistence")
        if fields["aof_rewrite_in_progress"] == "0" and \
                fields.get("aof_rewrite_scheduled", "0") == "0":
            break
    if fields["aof_last_bgrewrite_status"] != "ok":
        raise Failure(f"{server.spec.name} could not rewrite its log")


def sample(server, keys, count=1000):
    """The values of keys spread over the keyspace."""
    return server.client.call("MGET", *[f"key:{i * keys // count:012d}" for i in range(count)])


# ---- idle ----

IDLE_CONNECTIONS = 10_000


def idle(bench):
    """Resident bytes for each of 10,000 connections that said PING once."""
    rows = Rows()
    count = bench.scaled(IDLE_CONNECTIONS)
    for _ in range(bench.rounds(1)):
        for spec in bench.specs:
            bench.say(spec.name)
            with bench.server(spec, {"maxclients": count + 100}) as server:
                empty_bytes = server.settled_rss_bytes()
                with ControlledLoad(server, bench.load_cpu, test="idle",
                                    connections=count) as generator:
                    generator.wait_ready()
                    at_once_bytes = server.rss_bytes()
                    found = int(server.client.info("clients")["connected_clients"])
                    if found < count:
                        raise Failure(f"{spec.name} has {found} clients instead of {count}")
                    time.sleep(12)  # its housekeeping and its allocator's decay have had time
                    settled_bytes = server.settled_rss_bytes()
                rows.add(f"{count:,} connections", spec.name,
                         at_once_bytes=(at_once_bytes - empty_bytes) / count,
                         settled_bytes=(settled_bytes - empty_bytes) / count)
    return rows


# ---- zipf ----

ZIPF_KEYS = 1_000_000
ZIPF_SHARE = 0.2
ZIPF_VALUE_BYTES = 100
ZIPF_REQUESTS = 3_000_000
ZIPF_EXPONENTS = [1.0, 0.8]
ZIPF_POLICIES = ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu",
                 "volatile-random", "volatile-ttl"]


def zipf(bench):
    """Hit ratios of a cache that holds a fifth of the keys: GET, and SET what was missing."""
    rows = Rows()
    keys = bench.scaled(ZIPF_KEYS)
    for _ in range(bench.rounds(1)):
        for exponent in ZIPF_EXPONENTS:
            ideal = ideal_hit_ratio(keys, exponent)
            for policy in bench.policies(ZIPF_POLICIES):
                work = f"{policy}, s = {exponent}"
                base = None
                for spec in bench.specs:
                    bench.say(f"{work}, {spec.name}")
                    with bench.server(spec, {"maxmemory-policy": policy}) as server:
                        found = zipf_round(bench, server, keys, exponent, policy)
                    base = found["hit_ratio"] if base is None else base
                    if spec is not bench.specs[0]:
                        found["difference"] = found["hit_ratio"] - base
                    rows.add(work, spec.name, ideal=ideal, **found)
    return rows


def zipf_round(bench, server, keys, exponent, policy):
    options = {"expire_s": 100_000} if policy.startswith("volatile") else {}
    maxmemory_bytes = memory_of_share(bench, server, int(keys * ZIPF_SHARE), options)
    server.client.call("CONFIG", "SET", "maxmemory", maxmemory_bytes)
    requests = bench.scaled(ZIPF_REQUESTS)
    got = load(server, bench.load_cpu, test="zipf", zipf_exponent=exponent, keys=keys,
               value_bytes=ZIPF_VALUE_BYTES, connections=10, pipeline=16, requests=requests,
               warmup_requests=requests // 2, seed=42, **options)
    hits, misses = got["replies"]["bulk"], got["replies"]["nil"]
    return {"hit_ratio": hits / (hits + misses), "keys_held": server.client.call("DBSIZE"),
            "maxmemory_bytes": maxmemory_bytes,
            "evicted": int(server.client.info("stats")["evicted_keys"])}


def memory_of_share(bench, server, keys, options):
    """The server's own used_memory with that many of these keys. Leaves the server empty."""
    fill(bench, server, keys, ZIPF_VALUE_BYTES, **options)
    expect_keys(server, keys)
    full_bytes = used_memory(server)
    if full_bytes is None:
        raise Failure(f"{server.spec.name} does not tell its used_memory")
    server.client.call("FLUSHALL")
    deadline = time.monotonic() + 10
    while used_memory(server) > full_bytes / 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    return full_bytes


def ideal_hit_ratio(keys, exponent):
    """What a cache would reach that always holds the most popular fifth."""
    weights = [rank ** -exponent for rank in range(1, keys + 1)]
    return sum(weights[:int(keys * ZIPF_SHARE)]) / sum(weights)


SCENARIOS = {"throughput": throughput, "aof": aof, "values": values, "memory": memory,
             "snapshot": snapshot, "start": start, "idle": idle, "zipf": zipf, **of_collections.SCENARIOS,
             **of_large_keys.SCENARIOS, **mesh.SCENARIOS}


# ---- the generator itself ----


def verify(bench):
    """Holds the generator against what the server says it received."""
    with bench.server(bench.specs[0]) as server:
        verify_counts(bench, server)
        verify_stall(bench, server)
        verify_share(bench, server)


def check(bench, what, ok):
    bench.say(f"  {'ok' if ok else 'WRONG'}: {what}")
    if not ok:
        raise Failure(f"the generator is wrong: {what}")


def calls(server, command):
    text = server.client.info("commandstats").get(f"cmdstat_{command}", "calls=0,")
    return int(text.split("calls=")[1].split(",")[0])


def verify_counts(bench, server):
    keys = 100_000
    for value_bytes, pipeline in ((8, 1), (64, 7), (20_000, 64)):
        count = keys if value_bytes < 1000 else 2000
        server.client.call("FLUSHALL")
        load(server, bench.load_cpu, test="set", each=True, keys=count, requests=count,
             value_bytes=value_bytes, pipeline=pipeline, connections=13)
        check(bench, f"{count} SETs of {value_bytes} bytes at pipeline {pipeline} leave as many "
              "keys", server.client.call("DBSIZE") == count)
        values = sample(server, count, 500)
        check(bench, "sampled values have the length asked for and are no integers",
              all(len(value) == value_bytes and not value.isdigit() for value in values))
        check(bench, "and differ from each other", len(set(values)) > 450)
        got = load(server, bench.load_cpu, test="get", keys=count, requests=count,
                   value_bytes=value_bytes, pipeline=pipeline, connections=13)
        check(bench, "GET finds all of them whole", got["replies"]["bulk"] == count)
        got = load(server, bench.load_cpu, test="get", keys=count, requests=count, prefix="not:",
                   value_bytes=value_bytes, pipeline=pipeline)
        check(bench, "and none under another prefix", got["replies"]["nil"] == count)

    before = calls(server, "incr")
    load(server, bench.load_cpu, test="incr", keys=1000, requests=123_457, pipeline=16,
         prefix=COUNTER_PREFIX)
    counters = server.client.call("MGET", *[f"ctr:{i:012d}" for i in range(1000)])
    check(bench, "the counters add up to the INCRs sent",
          sum(int(value or 0) for value in counters) == 123_457)
    check(bench, "and so does the server's own count", calls(server, "incr") - before == 123_457)
    check(bench, "keys are drawn evenly: each counter within 5 standard deviations",
          all(abs(int(value or 0) - 123.457) < 5 * 123.457 ** 0.5 for value in counters))
    try:
        load(server, bench.load_cpu, test="incr", keys=100, requests=1000)
        check(bench, "errors of the server are reported", False)
    except Failure as failure:
        check(bench, "errors of the server are reported", "ERR" in str(failure))


def verify_stall(bench, server):
    """A server that stands still for a quarter of five seconds must show in the percentiles of
    the open loop: requests that came due meanwhile waited."""
    options = dict(test="get", keys=100_000, rate=5000, connections=10, value_bytes=20_000)
    with ControlledLoad(server, bench.load_cpu, **options) as generator:
        time.sleep(0.5)
        generator.phase("stalled")
        time.sleep(1.5)
        os.kill(server.pid, signal.SIGSTOP)
        time.sleep(1)
        os.kill(server.pid, signal.SIGCONT)
        time.sleep(1.5)
        phase = generator.finish()["stalled"]
    latency = phase["latency_us"]
    check(bench, f"the open loop keeps its rate: {phase['requests']} in "
          f"{phase['elapsed_s']:.2f} s", abs(phase["requests"] / phase["elapsed_s"] - 5000) < 250)
    check(bench, f"a second of standstill shows: p90 {latency['p90'] / 1000:.0f} ms, "
          f"max {latency['max'] / 1000:.0f} ms",
          400_000 < latency["p90"] < 900_000 and 950_000 < latency["max"] < 1_300_000)


def verify_share(bench, server):
    server.client.call("FLUSHALL")
    fill(bench, server, 100_000, 64)
    for test in ("get", "set"):
        got = load(server, bench.load_cpu, test=test, keys=100_000, requests=500_000, pipeline=64)
        share = got["load_cpu_s"] / max(got["server_cpu_s"], 0.01)
        check(bench, f"{test} at pipeline 64 costs the generator {share:.2f} of the server's CPU",
              share < 0.5)
