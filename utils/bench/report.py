# SPDX-License-Identifier: BSD-3-Clause
"""Medians, ratios, tables and targets."""

import statistics


class Rows:
    """What a scenario measured: values of each round by work, server and metric."""

    def __init__(self):
        self.values = {}

    def add(self, work, server, **metrics):
        of_server = self.values.setdefault(work, {}).setdefault(server, {})
        for metric, value in metrics.items():
            of_server.setdefault(metric, []).append(value)

    def works(self):
        return list(self.values)

    def rounds(self, work, server, metric):
        return self.values.get(work, {}).get(server, {}).get(metric, [])

    def median(self, work, server, metric):
        """None where nothing was measured."""
        rounds = self.rounds(work, server, metric)
        return statistics.median(rounds) if rounds else None

    def ratio(self, work, server, baseline, metric):
        """The median over the baseline's median; None where one is missing or zero."""
        value = self.median(work, server, metric)
        base = self.median(work, baseline, metric)
        return None if value is None or not base else value / base

    def ratios(self, work, server, baseline, metric):
        """Within each round."""
        pairs = zip(self.rounds(work, server, metric), self.rounds(work, baseline, metric))
        return [value / base for value, base in pairs if base]

    def ratio_range(self, work, server, baseline, metric):
        """The least and the greatest ratio within one round."""
        ratios = self.ratios(work, server, baseline, metric)
        return (min(ratios), max(ratios)) if ratios else None

    def median_ratio(self, work, server, baseline, metric):
        """The median of the ratios within a round: for rounds that are short, so that whatever else
        the machine does concerns all servers of one; None where nothing was measured."""
        ratios = self.ratios(work, server, baseline, metric)
        return statistics.median(ratios) if ratios else None

    def as_json(self):
        return {work: {server: {metric: {"median": statistics.median(rounds), "rounds": rounds}
                                for metric, rounds in metrics.items()}
                       for server, metrics in servers.items()}
                for work, servers in self.values.items()}


# ---- columns: header, metric, how to print it, and what is printed of it ----

VALUE, LEAST, RATIO, RANGE, INVERSE = "value", "least", "ratio", "range", "inverse"


def whole(value):
    return f"{value:,.0f}"


def digits(count):
    return lambda value: f"{value:.{count}f}"


def percent(value):
    return f"{100 * value:.1f} %"


def mebibytes(value):
    return f"{value / 1048576:,.1f}"


SPEED = [
    ("requests/s", "per_s", whole, VALUE),
    ("ratio", "per_s", digits(2), RATIO),
    ("requests/CPU-s", "per_cpu_s", whole, VALUE),
    ("ratio", "per_cpu_s", digits(2), RATIO),
    ("range", "per_cpu_s", digits(2), RANGE),
    ("p50 µs", "p50_us", whole, VALUE),
    ("p99 µs", "p99_us", whole, VALUE),
    ("p99.9 µs", "p999_us", whole, VALUE),
    ("ratio", "p999_us", digits(2), RATIO),
    ("server CPU", "server_share", percent, VALUE),
    ("generator CPU", "load_share", percent, VALUE),
]

COLUMNS = {
    "throughput": SPEED,
    "aof": SPEED,
    "values": SPEED,
    "memory": [
        ("bytes/key", "bytes_per_key", digits(1), VALUE),
        ("ratio", "bytes_per_key", digits(2), RATIO),
        ("used_memory/key", "used_per_key", digits(1), VALUE),
        ("RSS MiB", "rss_bytes", mebibytes, VALUE),
    ],
    "snapshot": [
        ("p50 µs without", "without_p50_us", whole, VALUE),
        ("p50 µs during", "during_p50_us", whole, VALUE),
        ("p99.9 µs without", "without_p999_us", whole, VALUE),
        ("p99.9 µs during", "during_p999_us", whole, VALUE),
        ("during/without", "p999_ratio", digits(2), VALUE),
        ("max ms during", "during_max_ms", digits(1), VALUE),
        ("snapshot s", "snapshot_s", digits(2), VALUE),
        ("ratio", "snapshot_s", digits(2), RATIO),
        ("memory MiB before", "before_bytes", mebibytes, VALUE),
        ("extra peak MiB", "extra_bytes", mebibytes, VALUE),
        ("extra", "extra_share", percent, VALUE),
        ("file MiB", "file_bytes", mebibytes, VALUE),
    ],
    "start": [
        ("start s", "start_s", digits(2), VALUE),
        ("times faster", "start_s", digits(2), INVERSE),
        ("CPU s", "start_cpu_s", digits(2), VALUE),
        ("times less CPU", "start_cpu_s", digits(2), INVERSE),
        ("on disk MiB", "disk_bytes", mebibytes, VALUE),
        ("keys", "keys", whole, VALUE),
    ],
    "idle": [
        ("bytes/connection settled", "settled_bytes", whole, VALUE),
        ("ratio", "settled_bytes", digits(2), RATIO),
        ("bytes/connection at once", "at_once_bytes", whole, VALUE),
    ],
    "zipf": [
        ("hit ratio", "hit_ratio", digits(4), VALUE),
        ("difference", "difference", lambda value: f"{value:+.4f}", VALUE),
        ("ideal", "ideal", digits(4), VALUE),
        ("keys held", "keys_held", whole, VALUE),
        ("maxmemory MiB", "maxmemory_bytes", mebibytes, VALUE),
        ("evicted", "evicted", whole, VALUE),
    ],
    "collections": SPEED,
    "collection-memory": [
        ("bytes each", "bytes_each", digits(1), VALUE),
        ("ratio", "bytes_each", digits(2), RATIO),
    ],
    "large-keys": [
        ("max ms, least", "max_ms", digits(2), LEAST),
        ("max ms, median", "max_ms", digits(2), VALUE),
        ("without", "without_ms", digits(2), LEAST),
        ("p99.9 µs", "p999_us", whole, VALUE),
        ("took s", "took_s", digits(2), VALUE),
    ],
    "mesh-write": [
        ("requests/s", "per_s", whole, VALUE),
        ("requests/CPU-s of the writer", "per_cpu_s", whole, VALUE),
    ],
    "mesh-visible": [
        ("p50 µs", "p50_us", whole, VALUE),
        ("p99 µs", "p99_us", whole, VALUE),
        ("max µs", "max_us", whole, VALUE),
    ],
    "mesh-wire": [
        ("bytes sent/write", "bytes_per_write", digits(2), VALUE),
        ("above key and value", "above_payload", digits(2), VALUE),
    ],
    "mesh-join": [
        ("join s", "join_s", digits(2), VALUE),
        ("ratio", "join_s", digits(2), RATIO),
        ("p99.9 µs during", "during_p999_us", whole, VALUE),
        ("during/without", "p999_ratio", digits(2), VALUE),
        ("extra memory", "extra_share", percent, VALUE),
    ],
    "mesh-heal": [
        ("converged s", "heal_s", digits(2), VALUE),
        ("sent/divergent", "sent_ratio", digits(2), VALUE),
        ("memory over a lone node's", "rss_ratio", digits(3), VALUE),
    ],
    "mesh-memory": [
        ("bytes/key", "bytes_per_key", digits(1), VALUE),
    ],
    "mesh-collections": [
        ("bytes/key", "bytes_each", digits(1), VALUE),
    ],
}

TITLES = {
    "throughput": "Requests",
    "aof": "Requests with appendonly yes, appendfsync everysec",
    "values": "Requests of values of some sizes",
    "memory": "Memory",
    "snapshot": "Snapshot under load",
    "start": "Start",
    "idle": "Idle connections",
    "zipf": "Hit ratios on a Zipf trace",
    "collections": "Requests of collections",
    "collection-memory": "Memory of collections",
    "large-keys": "The longest pause that a huge collection makes",
    "mesh-write": "What peers cost the writer",
    "mesh-visible": "How soon a peer shows a write",
    "mesh-wire": "Bytes between nodes",
    "mesh-join": "A new node",
    "mesh-heal": "A partition that heals",
    "mesh-memory": "Memory in a mesh",
    "mesh-collections": "Collections in a mesh",
}


def table(header, rows):
    """Lines of an aligned Markdown table; the first column is text, the others are numbers."""
    widths = [max(len(row[i]) for row in [header] + rows) for i in range(len(header))]

    def line(cells):
        return "| " + " | ".join(cell.ljust(width) if i < 2 else cell.rjust(width)
                                 for i, (cell, width) in enumerate(zip(cells, widths))) + " |"

    rule = "|" + "|".join("-" * (width + 2) if i < 2 else "-" * (width + 1) + ":"
                          for i, width in enumerate(widths)) + "|"
    return [line(header), rule] + [line(row) for row in rows]


def cell(rows, work, server, baseline, column):
    _, metric, show, what = column
    if what == VALUE:
        value = rows.median(work, server, metric)
        return "" if value is None else show(value)
    if what == LEAST:
        return show(min(rows.rounds(work, server, metric)))
    if server == baseline:
        return ""
    if what == RANGE:
        ends = rows.ratio_range(work, server, baseline, metric)
        return "" if ends is None else f"{show(ends[0])}..{show(ends[1])}"
    ratio = rows.ratio(work, server, baseline, metric)
    if ratio is None or (what == INVERSE and ratio == 0):
        return ""
    return show(1 / ratio if what == INVERSE else ratio)


def scenario_table(scenario, rows, baseline):
    columns = COLUMNS[scenario]
    lines = []
    for work in rows.works():
        for server in rows.values[work]:
            lines.append([work, server] +
                         [cell(rows, work, server, baseline, column) for column in columns])
    return table(["work", "server"] + [column[0] for column in columns], lines)


# ---- targets ----

PER_CPU_TARGETS = {1: 1.15, 16: 1.6, 64: 1.9}
AOF_TARGET = 1.5
BYTES_PER_KEY_TARGETS = {8: 64, 32: 80, 100: 174}
HIT_RATIO_SLACK = 0.005
COLLECTIONS_TARGET, COLLECTIONS_LEAST = 1.3, 1.1
# Of a key with ten elements, of an element of a large hash, and of others over redis-server's.
SMALL_COLLECTION_TARGETS = {"hash": 457, "set": 201, "sorted set": 264, "list": 200}
HASH_FIELD_TARGET = 70
LARGE_COLLECTION_TARGETS = {"set": 1.0, "sorted set": 1.0, "list": 1.3}


def judge(targets, what, target, value, reached, show):
    if value is not None:
        targets.append({"what": what, "target": target, "measured": show(value),
                        "value": value, "reached": bool(reached(value))})


def speed_targets(targets, scenario, rows, names, least_of):
    baseline, subject = names
    for work in rows.works():
        least = least_of(int(work.rpartition(" ")[2]))
        if least is not None:
            judge(targets, f"{scenario}: {work}, requests/CPU-s", f"at least {least}×",
                  rows.ratio(work, subject, baseline, "per_cpu_s"),
                  lambda value, least=least: value >= least, lambda value: f"{value:.2f}×")


def memory_targets(targets, rows, subject):
    for work in rows.works():
        most = BYTES_PER_KEY_TARGETS.get(int(work.split(" × ")[1].split()[0]))
        if most is not None:
            judge(targets, f"memory: {work}, bytes/key", f"at most {most}",
                  rows.median(work, subject, "bytes_per_key"),
                  lambda value, most=most: value <= most, digits(1))


def collection_memory_targets(targets, rows, names):
    baseline, subject = names
    for work in rows.works():
        kind = work.split(" of ")[0]
        bytes_each = rows.median(work, subject, "bytes_each")
        if "," in work.split(" of ")[1] and "one" not in work:  # a large one: 1,000,000
            if kind == "hash":
                judge(targets, f"collection-memory: {work}, bytes/field",
                      f"at most {HASH_FIELD_TARGET}", bytes_each,
                      lambda value: value <= HASH_FIELD_TARGET, digits(1))
            else:
                most = LARGE_COLLECTION_TARGETS[kind]
                judge(targets, f"collection-memory: {work}, over Redis's", f"at most {most}×",
                      rows.ratio(work, subject, baseline, "bytes_each"),
                      lambda value, most=most: value <= most, lambda value: f"{value:.2f}×")
        else:
            most = SMALL_COLLECTION_TARGETS[kind]
            judge(targets, f"collection-memory: {work}, bytes/key", f"at most {most}", bytes_each,
                  lambda value, most=most: value <= most, digits(1))


def snapshot_targets(targets, rows, names):
    baseline, subject = names
    for work in rows.works():
        judge(targets, "snapshot: p99.9 during over without", "at most 1.2×",
              rows.median(work, subject, "p999_ratio"), lambda value: value <= 1.2,
              lambda value: f"{value:.2f}×")
        judge(targets, "snapshot: extra memory", "at most 5 %",
              rows.median(work, subject, "extra_share"), lambda value: value <= 0.05, percent)
        judge(targets, "snapshot: time over Redis's", "below 1×",
              rows.ratio(work, subject, baseline, "snapshot_s"), lambda value: value < 1,
              lambda value: f"{value:.2f}×")


def start_targets(targets, rows, names):
    baseline, subject = names
    for work in rows.works():
        ratio = rows.ratio(work, subject, baseline, "start_s")
        judge(targets, "start: times faster than Redis from RDB", "at least 1.5×",
              1 / ratio if ratio else None, lambda value: value >= 1.5,
              lambda value: f"{value:.2f}×")


def mesh_write_targets(targets, rows):
    for work in rows.works():
        peers = "mesh-write: " + work + ", requests/CPU-s with 2 peers over "
        judge(targets, peers + "alone", "at least 0.85×",
              rows.median_ratio(work, "2 peers", "alone", "per_cpu_s"), lambda value: value >= 0.85,
              lambda value: f"{value:.2f}×")
        judge(targets, peers + "redis-server's with a replica", "above 1×",
              rows.median_ratio(work, "2 peers", "redis-server, 1 replica", "per_cpu_s"),
              lambda value: value > 1, lambda value: f"{value:.2f}×")


def mesh_join_targets(targets, rows, names):
    for work in rows.works():
        baseline, subject = names
        judge(targets, "mesh-join: time over Redis's full sync", "at most 0.67×",
              rows.ratio(work, subject, baseline, "join_s"), lambda value: value <= 0.67,
              lambda value: f"{value:.2f}×")
        judge(targets, "mesh-join: p99.9 during over without", "at most 1.5×",
              rows.median(work, subject, "p999_ratio"), lambda value: value <= 1.5,
              lambda value: f"{value:.2f}×")
        judge(targets, "mesh-join: extra memory", "at most 5 %",
              rows.median(work, subject, "extra_share"), lambda value: value <= 0.05, percent)


def mesh_targets(targets, results, names):
    subject = names[1]
    for scenario, metric, most, what, show in (
            ("mesh-visible", "p50_us", 1000, "median µs until a peer shows it", whole),
            ("mesh-visible", "p99_us", 5000, "p99 µs until a peer shows it", whole),
            ("mesh-wire", "above_payload", 12, "bytes above key and value", digits(2)),
            ("mesh-heal", "heal_s", 15, "seconds to converge", digits(1)),
            ("mesh-heal", "sent_ratio", 1.5, "bytes sent over divergent data", digits(2)),
            ("mesh-heal", "rss_ratio", 1.1, "memory over a lone node's", digits(3))):
        if scenario in results:
            for work in results[scenario].works():
                judge(targets, f"{scenario}: {work}, {what}", f"at most {most}",
                      results[scenario].median(work, subject, metric),
                      lambda value, most=most: value <= most, show)
    if "mesh-write" in results:
        mesh_write_targets(targets, results["mesh-write"])
    if "mesh-join" in results:
        mesh_join_targets(targets, results["mesh-join"], names)
    if "mesh-memory" in results:
        for work in results["mesh-memory"].works():
            judge(targets, f"mesh-memory: {work}, bytes/key over a lone node's", "at most 1.02×",
                  results["mesh-memory"].ratio(work, "mesh of 3", "alone", "bytes_per_key"),
                  lambda value: value <= 1.02, lambda value: f"{value:.3f}×")


def mesh_collections_targets(targets, rows, subject):
    for work in rows.works():
        most = SMALL_COLLECTION_TARGETS[work.rpartition(" of ")[0]] * 11 / 10
        judge(targets, f"mesh-collections: {work}, bytes/key", f"at most {most:.0f}",
              rows.median(work, subject, "bytes_each"), lambda value, most=most: value <= most,
              digits(1))


def targets_of(results, baseline, subject):
    """Judges the subject by the targets that the measured scenarios allow to judge."""
    targets, names = [], (baseline, subject)
    if "throughput" in results:
        speed_targets(targets, "throughput", results["throughput"], names, PER_CPU_TARGETS.get)
    if "aof" in results:
        speed_targets(targets, "aof", results["aof"], names, lambda pipeline: AOF_TARGET)
    if "collections" in results:
        rows = results["collections"]
        speed_targets(targets, "collections", rows, names, lambda pipeline: COLLECTIONS_TARGET)
        ratios = [rows.ratio(work, subject, baseline, "per_cpu_s") for work in rows.works()]
        judge(targets, "collections: the least of them", f"at least {COLLECTIONS_LEAST}×",
              min((ratio for ratio in ratios if ratio is not None), default=None),
              lambda value: value >= COLLECTIONS_LEAST, lambda value: f"{value:.2f}×")
    if "collection-memory" in results:
        collection_memory_targets(targets, results["collection-memory"], names)
    if "memory" in results:
        memory_targets(targets, results["memory"], subject)
    if "snapshot" in results:
        snapshot_targets(targets, results["snapshot"], names)
    if "start" in results:
        start_targets(targets, results["start"], names)
    if "idle" in results:
        for work in results["idle"].works():
            judge(targets, f"idle: {work}, bytes each", "at most 4096",
                  results["idle"].median(work, subject, "settled_bytes"),
                  lambda value: value <= 4096, whole)
    if "zipf" in results:
        for work in results["zipf"].works():
            judge(targets, f"zipf: {work}, hit ratio less Redis's", f"at least -{HIT_RATIO_SLACK}",
                  results["zipf"].median(work, subject, "difference"),
                  lambda value: value >= -HIT_RATIO_SLACK, lambda value: f"{value:+.4f}")
    mesh_targets(targets, results, names)
    if "mesh-collections" in results:
        mesh_collections_targets(targets, results["mesh-collections"], subject)
    return targets


def targets_table(targets):
    return table(["what", "target", "measured", "reached"],
                 [[t["what"], t["target"], t["measured"], "yes" if t["reached"] else "no"]
                  for t in targets])
