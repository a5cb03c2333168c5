#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""redis-py against a server, as a new user would try it: python3 test_redis_py.py SERVER

Needs Debian's python3-redis, or any redis-py. Starts the server itself; the last line is
`N passed, N failed`.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import redis


class Server:
    """A server process with a port and a directory of its own."""

    def __init__(self, program):
        self.program = program
        self.dir = tempfile.TemporaryDirectory(prefix="starling-redis-py.")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.socket_path = os.path.join(self.dir.name, "socket")
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "--port", str(self.port), "--dir", self.dir.name, "--save", "",
             "--appendonly", "yes", "--unixsocket", self.socket_path],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.time() + 20
        while True:
            try:
                self.client().ping()
                return
            except redis.exceptions.ConnectionError:
                if time.time() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def stop(self, signal_number=signal.SIGTERM):
        self.process.send_signal(signal_number)
        self.process.wait(20)

    def client(self, **options):
        return redis.Redis(port=self.port, **options)


def expect(actual, expected):
    if actual != expected:
        raise AssertionError(f"expected {expected!r}, got {actual!r}")


def raises(kind, words, function, *args, **options):
    try:
        function(*args, **options)
    except kind as error:
        if words not in str(error):
            raise AssertionError(f"expected {words!r} in {error!r}") from error
        return
    raise AssertionError(f"expected {kind.__name__}")


def test_strings(server):
    r = server.client(decode_responses=True)
    r.flushall()
    expect(r.set("k", "v"), True)
    expect(r.get("k"), "v")
    expect(r.get("none"), None)
    expect(r.set("k", "w", nx=True), None)
    expect(r.set("k", "w", xx=True, ex=100), True)
    expect(99 <= r.ttl("k") <= 100, True)
    expect(r.mset({"a": 1, "b": 2}), True)
    expect(r.mget("a", "b", "none"), ["1", "2", None])
    expect(r.incrby("n", 5), 5)
    expect(r.incrbyfloat("f", 1.5), 1.5)
    expect(r.append("k", "xyz"), 4)
    expect(r.getrange("k", 1, 2), "xy")
    expect(r.setrange("k", 1, "ZZ"), 4)
    expect(r.strlen("k"), 4)
    expect(r.getdel("k"), "wZZz")
    expect(r.exists("k", "a", "b"), 2)
    raises(redis.exceptions.ResponseError, "not an integer", r.incr, "f")


def test_bytes_and_text(server):
    r = server.client()
    value = bytes(range(256)) * 1000
    r.set(b"\x00key\xff", value)
    expect(r.get(b"\x00key\xff"), value)
    r.set("t", "äöü€")
    expect(r.get("t").decode(), "äöü€")


def test_keys_and_scan(server):
    r = server.client(decode_responses=True)
    r.flushall()
    for i in range(1000):
        r.set(f"key:{i}", i, px=1000000 if i % 2 else None)
    expect(len(set(r.scan_iter(match="key:*", count=50))), 1000)
    expect(len(r.keys("key:1?")), 10)
    expect(r.type("key:1"), "string")
    expect(r.rename("key:1", "renamed"), True)
    expect(r.copy("renamed", "copied"), True)
    expect(r.get("copied"), "1")
    expect(r.persist("copied"), True)
    expect(r.expire("copied", 100), True)
    expect(r.dbsize(), 1001)
    payload = server.client().dump("copied")
    expect(server.client().restore("restored", 0, payload) in (True, b"OK"), True)
    expect(r.get("restored"), "1")
    expect(r.delete("renamed", "copied", "none"), 2)


def test_bits_and_hyperloglog(server):
    r = server.client()
    r.flushall()
    expect(r.setbit("b", 7, 1), 0)
    expect(r.getbit("b", 7), 1)
    expect(r.bitcount("b"), 1)
    expect(r.bitpos("b", 1), 7)
    expect(r.bitfield("bf").set("u8", 0, 255).incrby("u8", 0, 1).execute(), [0, 0])
    for i in range(1000):
        r.pfadd("h", i)
    expect(950 < r.pfcount("h") < 1050, True)


def test_hashes(server):
    r = server.client(decode_responses=True)
    r.flushall()
    expect(r.hset("h", mapping={"a": 1, "b": "x"}), 2)
    expect(r.hgetall("h"), {"a": "1", "b": "x"})
    expect(r.hget("h", "none"), None)
    expect(r.hmget("h", ["a", "none"]), ["1", None])
    expect(r.hincrby("h", "a", 4), 5)
    expect(r.hincrbyfloat("h", "a", 0.5), 5.5)
    expect(r.hrandfield("h", 5, withvalues=True), ["a", "5.5", "b", "x"])
    expect(r.hscan("h"), (0, {"a": "5.5", "b": "x"}))
    expect(r.hdel("h", "a", "b"), 2)
    expect(r.exists("h"), 0)


def test_sets(server):
    r = server.client(decode_responses=True)
    r.flushall()
    expect(r.sadd("s", "a", "b", "c"), 3)
    expect(r.sadd("t", "b", "c", "d"), 3)
    expect(r.smembers("s"), {"a", "b", "c"})
    expect(r.sinter("s", "t"), {"b", "c"})
    expect(r.sdiff("s", "t"), {"a"})
    expect(r.sunionstore("u", "s", "t"), 4)
    expect(r.sintercard(2, ["s", "t"], limit=1), 1)
    expect(r.smismember("s", ["a", "x"]), [1, 0])
    expect(set(r.sscan_iter("u")), {"a", "b", "c", "d"})
    expect(r.smove("s", "t", "a"), True)
    expect(set(r.spop("u", 4)), {"a", "b", "c", "d"})


def test_sorted_sets(server):
    r = server.client(decode_responses=True)
    r.flushall()
    expect(r.zadd("z", {"a": 1, "b": 2.5, "c": float("inf")}), 3)
    expect(r.zrange("z", 0, -1, withscores=True), [("a", 1.0), ("b", 2.5), ("c", float("inf"))])
    expect(r.zrange("z", 1, 3, byscore=True, desc=False), ["a", "b"])
    expect(r.zscore("z", "b"), 2.5)
    expect(r.zscore("z", "x"), None)
    expect(r.zmscore("z", ["a", "x"]), [1.0, None])
    expect(r.zincrby("z", 2, "a"), 3.0)
    expect(r.zrank("z", "a"), 1)
    expect(r.zpopmin("z"), [("b", 2.5)])
    expect(r.zunion({"z": 2}, withscores=True), [("a", 6.0), ("c", float("inf"))])
    expect(list(r.zscan_iter("z")), [("a", 3.0), ("c", float("inf"))])
    expect(r.zmpop(1, ["z"], max=True), ["z", [["c", "inf"]]])


def test_lists_and_sort(server):
    r = server.client(decode_responses=True)
    r.flushall()
    expect(r.rpush("l", 3, 1, 2), 3)
    expect(r.lpush("l", 9), 4)
    expect(r.lrange("l", 0, -1), ["9", "3", "1", "2"])
    expect(r.sort("l", desc=True, start=1, num=2), ["3", "2"])
    expect(r.lpos("l", "1"), 2)
    expect(r.lpos("l", "1", count=0), [2])
    expect(r.linsert("l", "before", "1", "x"), 5)
    expect(r.lmove("l", "m", "LEFT", "RIGHT"), "9")
    expect(r.lmpop(2, "none", "l", direction="RIGHT", count=2), ["l", ["2", "1"]])
    expect(r.lpop("l", 5), ["3", "x"])
    expect(r.lpop("l"), None)
    expect(r.lpop("l", 5), None)


def test_places(server):
    r = server.client(decode_responses=True)
    r.flushall()
    expect(r.geoadd("g", [13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania"]), 2)
    expect(r.geodist("g", "Palermo", "Catania", "km"), 166.2742)
    expect(r.geohash("g", "Palermo"), ["sqc8b49rny0"])
    expect(r.geosearch("g", longitude=15, latitude=37, radius=200, unit="km", sort="ASC",
                       withdist=True), [["Catania", 56.4413], ["Palermo", 190.4424]])
    expect(r.geopos("g", "none"), [None])


def test_pipelines_and_transactions(server):
    r = server.client()
    r.flushall()
    with r.pipeline(transaction=False) as pipe:
        for i in range(10000):
            pipe.incr("n")
        expect(pipe.execute()[-1], 10000)
    with r.pipeline() as pipe:
        pipe.set("a", 1).incr("a").get("a")
        expect(pipe.execute(), [True, 2, b"2"])

    def add_one(pipe):
        value = int(pipe.get("a"))
        pipe.multi()
        pipe.set("a", value + 1)

    threads = [threading.Thread(target=lambda: [server.client().transaction(add_one, "a")
                                                for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(r.get("a"), b"82")


def test_lock(server):
    """The lock uses scripts to let go, so only taking it is tried."""
    r = server.client()
    r.flushall()
    expect(r.set("lock", "token", nx=True, px=100), True)
    expect(r.set("lock", "other", nx=True, px=100), None)
    deadline = time.time() + 5
    while not r.set("lock", "other", nx=True, px=100):
        expect(time.time() < deadline, True)


def test_server_commands(server):
    r = server.client(decode_responses=True)
    info = r.info()
    expect(info["redis_mode"], "standalone")
    expect(info["tcp_port"], server.port)
    expect(r.config_get("maxmemory"), {"maxmemory": "0"})
    expect(r.config_set("maxmemory", "100mb"), True)
    expect(r.config_set("maxmemory", "0"), True)
    expect(r.client_setname("me"), True)
    expect(r.client_getname(), "me")
    expect([c["name"] for c in r.client_list() if c["name"]], ["me"])
    expect("get" in r.command(), True)
    expect(len(r.time()), 2)
    expect(isinstance(r.slowlog_get(), list), True)
    expect(r.memory_usage("none"), None)
    expect(isinstance(r.memory_stats(), dict), True)
    expect(r.object("encoding", "none") in (None, ""), True)
    expect(r.echo("x"), "x")
    raises(redis.exceptions.ResponseError, "unknown command", r.execute_command, "NOSUCH")


def test_monitor(server):
    r = server.client()
    with r.monitor() as monitor:
        server.client().get("watched")
        for command in monitor.listen():
            if command["command"] == "GET watched":
                return


def test_unix_socket(server):
    r = redis.Redis(unix_socket_path=server.socket_path)
    expect(r.ping(), True)


def test_databases(server):
    one = server.client(db=1)
    two = server.client(db=2)
    one.set("k", 1)
    expect(two.get("k"), None)
    expect(one.move("k", 2), True)
    expect(two.get("k"), b"1")
    two.flushdb()
    expect(two.dbsize(), 0)


def test_resp3(server):
    if redis.VERSION < (5,):
        return
    r = server.client(protocol=3, decode_responses=True)
    r.set("k", "v")
    expect(r.get("k"), "v")
    expect(r.config_get("maxmemory"), {"maxmemory": "0"})
    expect(r.mget("none"), [None])


def test_pubsub(server):
    r = server.client(decode_responses=True)
    pubsub = r.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("news")
    pubsub.psubscribe("n*")
    pubsub.get_message(timeout=1)
    pubsub.get_message(timeout=1)
    expect(r.publish("news", "hello"), 2)
    seen = []
    while len(seen) < 2:
        message = pubsub.get_message(timeout=5)
        if message is not None:
            seen.append((message["type"], message["pattern"], message["channel"], message["data"]))
    expect(sorted(seen), [("message", None, "news", "hello"), ("pmessage", "n*", "news", "hello")])
    expect(r.pubsub_channels(), ["news"])
    expect(r.pubsub_numsub("news", "none"), [("news", 1), ("none", 0)])
    expect(r.pubsub_numpat(), 1)
    # A ping among messages.
    pubsub.ping("text")
    expect(pubsub.parse_response()[:1], ["pong"])
    pubsub.close()


def test_pubsub_thread(server):
    r = server.client(decode_responses=True)
    seen, done = [], threading.Event()

    def on_message(message):
        seen.append(message["data"])
        if len(seen) == 1000:
            done.set()

    pubsub = r.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(**{"work": on_message})
    thread = pubsub.run_in_thread(sleep_time=0.01)
    while r.pubsub_numsub("work") != [("work", 1)]:
        time.sleep(0.01)
    pipe = r.pipeline(transaction=False)
    for i in range(1000):
        pipe.publish("work", i)
    expect(pipe.execute(), [1] * 1000)
    expect(done.wait(10), True)
    thread.stop()
    thread.join(10)
    expect(seen, [str(i) for i in range(1000)])


def test_keyspace_events(server):
    r = server.client(decode_responses=True)
    r.config_set("notify-keyspace-events", "KEA")
    pubsub = r.pubsub(ignore_subscribe_messages=True)
    pubsub.psubscribe("__keyevent@0__:*")
    pubsub.get_message(timeout=1)
    r.set("k", "v", px=50)
    wanted = ["set", "expire", "expired"]
    deadline = time.time() + 10
    while wanted and time.time() < deadline:
        message = pubsub.get_message(timeout=1)
        if message is not None and message["data"] == "k":
            expect(message["channel"], f"__keyevent@0__:{wanted.pop(0)}")
    expect(wanted, [])
    pubsub.close()
    r.config_set("notify-keyspace-events", "")


def test_blocking(server):
    r = server.client(decode_responses=True)
    r.delete("l", "m", "z")
    began = time.time()
    expect(r.blpop(["l", "m"], timeout=1), None)
    expect(time.time() - began >= 1, True)
    expect(r.brpoplpush("l", "m", timeout=1), None)
    r.zadd("z", {"a": 1.5})
    expect(r.bzpopmin(["l", "z"], timeout=1), ("z", "a", 1.5))
    raises(redis.exceptions.ResponseError, "timeout is negative", r.blpop, "l", timeout=-1)


def test_workers_with_a_queue(server):
    r = server.client(decode_responses=True)
    got, lock = [], threading.Lock()

    def work():
        client = server.client(decode_responses=True)
        while True:
            job = client.blpop(["urgent", "normal"], timeout=0)[1]
            if job == "end":
                return
            with lock:
                got.append(int(job))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for i in range(1000):
        r.rpush("urgent" if i % 3 else "normal", i)
    for _ in threads:
        r.rpush("normal", "end")
    for thread in threads:
        thread.join(20)
    expect(sorted(got), list(range(1000)))
    expect(r.info("clients")["blocked_clients"], 0)


def test_users_and_modules(server):
    r = server.client(decode_responses=True)
    expect(r.acl_whoami(), "default")
    expect(r.acl_users(), ["default"])
    expect(len(r.acl_list()), 1)
    user = r.acl_getuser("default")
    expect((user["enabled"], user["passwords"], "nopass" in user["flags"]), (True, [], True))
    expect(r.acl_getuser("nobody"), None)
    expect("get" in r.acl_cat("read"), True)
    expect(len(r.acl_genpass()), 64)
    expect(r.acl_log(), [])
    expect(r.acl_log_reset(), True)
    raises(redis.exceptions.ResponseError, "only the user 'default'", r.acl_setuser, "alice")
    raises(redis.exceptions.ResponseError, "Unknown category", r.acl_cat, "nosuch")
    expect(r.module_list(), [])
    raises(redis.exceptions.ResponseError, "not supported", r.module_load, "/tmp/x.so")


def test_restart(server):
    r = server.client()
    r.set("survives", "yes")
    server.stop(signal.SIGKILL)
    raises(redis.exceptions.ConnectionError, "", r.ping)
    server.start()
    expect(r.get("survives"), b"yes")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    server = Server(sys.argv[1])
    passed = failed = 0
    try:
        for name, test in list(globals().items()):
            if not name.startswith("test_"):
                continue
            try:
                test(server)
                passed += 1
            except Exception:
                failed += 1
                print(f"FAILED {name}")
                traceback.print_exc(file=sys.stdout)
    finally:
        server.stop()
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
