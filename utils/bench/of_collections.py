# SPDX-License-Identifier: BSD-3-Clause
"""What collections cost: requests of small and large ones, and their memory."""

from report import Rows
from servers import Failure, load

CONNECTIONS = 50
SMALL_KEYS, SMALL_ELEMENTS = 100_000, 10
LARGE_ELEMENTS = 1_000_000
VALUE_BYTES = 20

# What is measured, in this order: name, command, reply, elements that a reply has about. Of the
# large ones the key is one, and {key} is an element's number.
SMALL = [
    ("LPUSH", "LPUSH lst:{key} {value}", "integer", 1),
    ("RPOP", "RPOP lst:{key}", "bulk", 1),
    ("SADD", "SADD set:{key} {field}", "integer", 1),
    ("HSET", "HSET hsh:{key} f:{field} {value}", "integer", 1),
    ("ZADD", "ZADD zst:{key} {score} {field}", "integer", 1),
    ("ZINCRBY", "ZINCRBY zst:{key} 1 {field}", "bulk", 1),
    ("XADD", "XADD str:{key} * f {value}", "bulk", 1),
    ("HGETALL", "HGETALL hsh:{key}", "array", 10),
    ("LRANGE_100", "LRANGE lst:{key} 0 99", "array", 10),
    ("ZRANGE_100", "ZRANGE zst:{key} 0 99", "array", 10),
    ("SMEMBERS", "SMEMBERS set:{key}", "array", 10),
]
LARGE = [
    ("LPUSH", "LPUSH lst {value}", "integer", 1),
    ("RPOP", "RPOP lst", "bulk", 1),
    ("SADD", "SADD set {key}", "integer", 1),
    ("HSET", "HSET hsh f:{key} {value}", "integer", 1),
    ("ZADD", "ZADD zst {score} {key}", "integer", 1),
    ("ZINCRBY", "ZINCRBY zst 1 {key}", "bulk", 1),
    ("XADD", "XADD str * f {value}", "bulk", 1),
    ("LRANGE_100", "LRANGE lst 0 99", "array", 100),
    ("ZRANGE_100", "ZRANGE zst 0 99", "array", 100),
    ("HGETALL", "HGETALL hsh", "array", LARGE_ELEMENTS),
    ("SMEMBERS", "SMEMBERS set", "array", LARGE_ELEMENTS),
]
PIPELINES = [16, 64]
# Requests by how much a reply tells: a second or two of redis-server's work.
REQUESTS = {1: 1_000_000, 10: 500_000, 100: 100_000, LARGE_ELEMENTS: 4}


def repeated(begin, part):
    return " ".join([begin] + [part.replace("#", f"{i:012d}") for i in range(SMALL_ELEMENTS)])


FILL_SMALL = [
    repeated("RPUSH lst:{key}", "{value}"),
    repeated("SADD set:{key}", "#"),
    repeated("HSET hsh:{key}", "f:# {value}"),
    repeated("ZADD zst:{key}", "{score} #"),
] + ["XADD str:{key} * f {value}"] * SMALL_ELEMENTS
FILL_LARGE = ["RPUSH lst {value}", "SADD set {key}", "HSET hsh f:{key} {value}",
              "ZADD zst {score} {key}", "XADD str * f {value}"]


def send(bench, server, command, **options):
    return load(server, bench.load_cpu, test="command", command=command, value_bytes=VALUE_BYTES,
                **options)


def fill(bench, server, commands, keys):
    for number, command in enumerate(commands):
        send(bench, server, command, each=True, keys=keys, requests=keys, pipeline=64,
             connections=CONNECTIONS, seed=7 + number)


def speed_round(bench, server, row, keys, pipeline, seed):
    name, command, reply, elements = row
    requests = max(REQUESTS[elements] if elements == LARGE_ELEMENTS
                   else bench.scaled(REQUESTS[elements]), 1)
    is_whole = elements == LARGE_ELEMENTS
    got = send(bench, server, command, keys=keys, fields=SMALL_ELEMENTS, requests=requests,
               warmup_requests=requests // 10, seed=seed, pipeline=1 if is_whole else pipeline,
               connections=1 if is_whole else CONNECTIONS)
    if got["replies"][reply] != got["requests"]:
        raise Failure(f"{server.spec.name} answered {name} with {got['replies']}")
    latency = got["latency_us"]
    return {"per_s": got["requests"] / got["elapsed_s"],
            "per_cpu_s": got["requests"] / max(got["server_cpu_s"], 0.01),
            "p50_us": latency["p50"], "p99_us": latency["p99"], "p999_us": latency["p999"],
            "server_share": got["server_cpu_s"] / got["elapsed_s"],
            "load_share": got["load_cpu_s"] / got["elapsed_s"]}


def collections(bench):
    """The commands of collections, on 100,000 of ten elements and on one of a million each."""
    rows = Rows()
    for number in range(bench.rounds(5)):
        for size, table, commands, keys in (
                ("small", SMALL, FILL_SMALL, bench.scaled(SMALL_KEYS)),
                ("large", LARGE, FILL_LARGE, bench.scaled(LARGE_ELEMENTS))):
            for spec in bench.specs:
                bench.say(f"round {number + 1}, {size}, {spec.name}")
                with bench.server(spec) as server:
                    fill(bench, server, commands, keys)
                    for pipeline in bench.pipelines(PIPELINES):
                        for row in table:
                            if row[0].lower() in bench.tests([r[0].lower() for r in table]):
                                rows.add(f"{row[0]} {size}, pipeline {pipeline}", spec.name,
                                         **speed_round(bench, server, row, keys, pipeline,
                                                       100 + number))
    return rows


# ---- memory ----

MEMORY_VALUE_BYTES = 20
# Of the small ones, by name: what puts one element in; {value} is ten bytes.
MEMORY_SMALL = {"hash": ("HSET", "{value} {value}{value}"), "set": ("SADD", "{value}"),
                "sorted set": ("ZADD", "{score} {value}"), "list": ("RPUSH", "{value}")}
MEMORY_LARGE = {"hash": "HSET big {key} {value}", "set": "SADD big {key}",
                "sorted set": "ZADD big {score} {key}", "list": "RPUSH big {value}"}


def growth(bench, server, count, commands, value_bytes, is_each):
    empty_bytes = server.settled_rss_bytes()
    for number, command in enumerate(commands):
        load(server, bench.load_cpu, test="command", command=command, each=is_each, keys=count,
             requests=count, pipeline=64, connections=CONNECTIONS, value_bytes=value_bytes,
             seed=7 + number)
    return (server.settled_rss_bytes() - empty_bytes) / count


def collection_memory(bench):
    """Resident bytes per key of small collections, and per element of large ones."""
    rows = Rows()
    keys, elements = bench.scaled(SMALL_KEYS), bench.scaled(LARGE_ELEMENTS)
    for _ in range(bench.rounds(1)):
        for kind, (verb, part) in MEMORY_SMALL.items():
            at_once = [" ".join([verb, "key:{key}"] + [part] * SMALL_ELEMENTS)]
            singly = [f"{verb} key:{{key}} {part}"] * SMALL_ELEMENTS
            for how, commands in (("in one command", at_once), ("one by one", singly)):
                for spec in bench.specs:
                    bench.say(f"{kind} of {SMALL_ELEMENTS}, {how}, {spec.name}")
                    with bench.server(spec) as server:
                        rows.add(f"{kind} of {SMALL_ELEMENTS}, {how}", spec.name,
                                 bytes_each=growth(bench, server, keys, commands, 10, True))
        for kind, command in MEMORY_LARGE.items():
            for spec in bench.specs:
                bench.say(f"{kind} of {elements:,}, {spec.name}")
                with bench.server(spec) as server:
                    rows.add(f"{kind} of {elements:,}", spec.name,
                             bytes_each=growth(bench, server, elements, [command], 8, True))
    return rows


SCENARIOS = {"collections": collections, "collection-memory": collection_memory}
