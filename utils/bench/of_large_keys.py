# SPDX-License-Identifier: BSD-3-Clause
"""Whether anything done to one huge collection stops the server for others.

One connection sends PING after PING; the longest that it waited is the pause. Whatever else runs on
the machine makes pauses, too, so the least of several rounds is what counts."""

import time

from report import Rows
from servers import ControlledLoad, load

DELETED_ELEMENTS = 10_000_000
ELEMENTS = 1_000_000
WRITE_RATE = 20_000
VALUE_BYTES = 20

FILL = {"hash": "HSET big f:{key} {value}", "set": "SADD big {key}",
        "sorted set": "ZADD big {score} {key}", "list": "RPUSH big {value}",
        "stream": "XADD big * f {value}"}
# One element that is there, or at an end, and any of them.
WRITE = {"hash": "HSET big f:000000000001 x", "set": "SREM big 000000000001",
         "sorted set": "ZADD big 1.5 000000000001", "list": "LSET big 500 x",
         "stream": "XTRIM big MAXLEN = {less}"}
WRITES = {"hash": "HSET big f:{key} {value}", "set": "SREM big {key}",
          "sorted set": "ZADD big {score} {key}", "list": "LPOP big", "stream": "XADD big * f {value}"}


def overwrite(client):
    client.call("SET", "big", "x")


def store_over(client):
    client.call("SADD", "small", "x")
    client.call("SUNIONSTORE", "big", "small")


def rename_over(client):
    client.call("SET", "small", "x")
    client.call("RENAME", "small", "big")


def restore_over(client):
    client.call("SET", "small", "x")
    client.call("RESTORE", "big", 0, client.call("DUMP", "small"), "REPLACE")


def expire(client):
    client.call("PEXPIRE", "big", 1)
    while client.call("DBSIZE") > 0:
        time.sleep(0.01)


REMOVALS = {"DEL": lambda client: client.call("DEL", "big"),
            "UNLINK": lambda client: client.call("UNLINK", "big"),
            "FLUSHALL": lambda client: client.call("FLUSHALL"),
            "SET over it": overwrite, "RENAME over it": rename_over,
            "RENAME of it": lambda client: client.call("RENAME", "big", "other"),
            "SUNIONSTORE over it": store_over, "RESTORE over it": restore_over, "expiry": expire}


def fill(bench, server, kind, elements):
    load(server, bench.load_cpu, test="command", command=FILL[kind], each=True, keys=elements,
         requests=elements, pipeline=64, connections=50, value_bytes=VALUE_BYTES, seed=7)


def wait_freed(client):
    """Until the memory has gone back, which is part of what may disturb."""
    while int(client.info("memory")["lazyfree_pending_objects"]) > 0:
        time.sleep(0.02)


def wait_saved(client):
    while client.info("persistence")["rdb_bgsave_in_progress"] != "0":
        time.sleep(0.02)


def pause_ms(bench, server, work):
    """The longest wait of a PING while `work()` runs, and that of a second without it before."""
    with ControlledLoad(server, bench.load_cpu, test="command", command="PING", connections=1,
                        pipeline=1) as generator:
        time.sleep(0.2)
        generator.phase("without")
        time.sleep(1)
        generator.phase("during")
        begin = time.monotonic()
        work()
        took_s = time.monotonic() - begin
        generator.phase("after")
        phases = generator.finish()
    return {"max_ms": phases["during"]["latency_us"]["max"] / 1000,
            "p999_us": phases["during"]["latency_us"]["p999"],
            "without_ms": phases["without"]["latency_us"]["max"] / 1000, "took_s": took_s}


def removal_round(bench, rows, spec, server, kind, name, elements):
    def work():
        REMOVALS[name](server.client)
        wait_freed(server.client)

    fill(bench, server, kind, elements)
    rows.add(f"{name}, {kind} of {elements:,}", spec.name, **pause_ms(bench, server, work))
    server.client.call("FLUSHALL")
    wait_freed(server.client)


def snapshot_rounds(bench, rows, spec, server, kind, elements):
    client = server.client

    def save(*writes):
        client.call("BGSAVE")
        for write in writes:
            client.call(*write.replace("{less}", str(elements - 5)).split())
        wait_saved(client)

    fill(bench, server, kind, elements)
    rows.add(f"BGSAVE, {kind} of {elements:,}", spec.name, **pause_ms(bench, server, save))
    rows.add(f"BGSAVE and one write, {kind} of {elements:,}", spec.name,
             **pause_ms(bench, server, lambda: save(WRITE[kind])))
    with ControlledLoad(server, bench.load_cpu, test="command", command=WRITES[kind],
                        rate=WRITE_RATE, keys=elements, connections=10, value_bytes=VALUE_BYTES,
                        seed=9) as generator:
        time.sleep(0.5)
        rows.add(f"BGSAVE and {WRITE_RATE:,} writes/s, {kind} of {elements:,}", spec.name,
                 **pause_ms(bench, server, save))
        generator.finish()
    rows.add(f"BGSAVE and DEL, {kind} of {elements:,}", spec.name,
             **pause_ms(bench, server, lambda: (save("DEL big"), wait_freed(client))))
    server.client.call("FLUSHALL")


def join_round(bench, rows, spec, kind, elements):
    """A peer that takes over the state: the pauses are those of the node that serves it."""
    port = bench.options.port + 10_000
    with bench.server(spec, {"mesh-port": port}) as server:
        fill(bench, server, kind, elements)

        def work():
            options = {"mesh-port": port + 1, "mesh-seeds": f"127.0.0.1:{port}"}
            with bench.server(spec, options) as peer:
                while peer.client.call("EXISTS", "big") != 1:
                    time.sleep(0.05)

        rows.add(f"a peer joins, {kind} of {elements:,}", spec.name,
                 **pause_ms(bench, server, work))


def large_keys(bench):
    """Removing, saving and sending one huge collection of each type. The baseline is not measured."""
    rows = Rows()
    deleted, elements = bench.scaled(DELETED_ELEMENTS), bench.scaled(ELEMENTS)
    subject = bench.specs[1]
    for number in range(bench.rounds(3)):
        for kind in FILL:
            for spec in bench.specs[1:]:
                bench.say(f"round {number + 1}, {kind}, {spec.name}")
                with bench.server(spec) as server:
                    for name in bench.tests(REMOVALS):
                        removal_round(bench, rows, spec, server, kind, name,
                                      deleted if name == "DEL" else elements)
                    if bench.tests(["BGSAVE"]):
                        snapshot_rounds(bench, rows, spec, server, kind, elements)
            if bench.tests(["join"]):
                join_round(bench, rows, subject, kind, elements)
    return rows


SCENARIOS = {"large-keys": large_keys}
