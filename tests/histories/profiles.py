# SPDX-License-Identifier: BSD-3-Clause
"""The modes: what servers are told, how much is written, what goes wrong and for how long."""

COMMON = {
    "options": {"mesh-gossip-interval": 100},
    "varied": {                   # options of which each seed takes one value
        "mesh-compression": ("auto", "auto", "yes"),
        "hash-max-listpack-entries": (512, 4),
        "set-max-listpack-entries": (128, 4),
        "mesh-auth": ("", "sesame"),
    },
    "nodes": (3, 3, 4, 5),
    "relays_share": 0.0,          # how often the mesh's connections go through relays
    "workers_count": 6,
    "busy_seconds": 12,
    "timeout_seconds": 2.0,       # after which a worker gives up on a reply
    "worker_pause_seconds": 0.003,  # the longest between two steps of a worker
    "pipelines": (1, 1, 1, 2, 5, 30),
    "padding_bytes": (0, 0, 0, 5, 60, 700),
    "large_bytes": (10, 3000, 9000),  # of values in the chaos
    "chaos_keys": 24,
    "wait_share": 0.0,            # how often a writer waits for all others
    "is_durable": True,           # kill -9 loses nothing
    "is_monotonic": True,         # a counter that was shown does not go back
    "has_halves": False,          # units may come back in halves (docs/mesh.md says when),
    "is_forgetful": False,        # increments be left out and deletes be undone
    "may_load_again": False,      # nodes say LOADING once more after they were ready
    "faults_count": 1000,         # at most
    "faults": {"cut_pair": 6, "cut_one": 4, "cut_node": 4, "cut_sides": 4, "cut_some": 3,
               "kill": 4, "stop": 3, "rewrite": 1},
    "pause_seconds": (0.1, 1.2),  # between two faults
    "hold_seconds": (0.1, 2.5),   # how long one lasts
    "converge_seconds": 40,       # after all is healed
    "settle_seconds": 30,
    "restart_share": 0.3,         # how often all are killed in the end, and judged once more
}

DURABLE = {"appendonly": "yes", "appendfsync": "always"}

MODES = {
    "durable": {
        "options": DURABLE,
        # What is acknowledged is with the system, if not on the disk: a kill loses nothing.
        "varied": {"appendfsync": ("always", "everysec"), "mesh-gossip-interval": (50, 100, 300)},
        "faults": {"cut_pair": 5, "cut_one": 3, "cut_node": 4, "cut_sides": 4, "cut_some": 3,
                   "kill": 8, "kill_several": 2, "terminate": 2, "stop": 2, "old_copy": 3,
                   "rewrite": 2, "reload": 1, "clock": 1},
        "restart_share": 0.5,
    },
    "volatile": {
        "options": {"appendonly": "no"},
        "varied": {"save": ("", "", "1 1"), "mesh-backlog-size": (65536, "64mb")},
        "wait_share": 0.5,
        "is_durable": False,
        "faults": {"cut_pair": 5, "cut_one": 3, "cut_node": 3, "cut_sides": 3, "kill": 10, "stop": 3},
        "hold_seconds": (0.1, 1.5),
        "restart_share": 0,
    },
    # One absence, of a node or a side, for all of the run: what docs/mesh.md promises, in full.
    "forget": {
        "options": {**DURABLE, "mesh-forget-after": 2},
        "busy_seconds": 16,
        "is_monotonic": False,
        "may_load_again": True,
        "faults": {"away_node": 4, "away_side": 4, "away_killed": 2, "away_stopped": 1},
        "faults_count": 1,
        "pause_seconds": (2, 4),
        "away_seconds": (5, 9),
        "converge_seconds": 100,
        "settle_seconds": 60,
        "restart_share": 0.2,
    },
    # Several that overlap. Then increments may be left out, deletes may be undone and units may
    # come back in halves, as docs/mesh.md says; no addition may be lost even so.
    "forget_often": {
        "options": {**DURABLE, "mesh-forget-after": 2},
        "busy_seconds": 22,
        "is_monotonic": False,
        "may_load_again": True,
        "has_halves": True,
        "is_forgetful": True,
        "faults": {"away_node": 4, "away_side": 3, "away_killed": 3, "away_stopped": 1,
                   "cut_pair": 2, "kill": 1},
        "pause_seconds": (1, 4),
        "away_seconds": (6, 11),
        "worker_pause_seconds": 0.012,
        "converge_seconds": 150,
        "settle_seconds": 60,
        "restart_share": 0.2,
    },
    "memory": {
        "options": {**DURABLE, "maxmemory-policy": "noeviction", "mesh-backlog-size": "1mb"},
        "memory_bytes": (400000, 2500000),  # beyond what nodes take in the beginning
        "padding_bytes": (0, 60, 700, 8000),
        "large_bytes": (3000, 60000),
    },
    "lossy": {
        "options": {"appendonly": "yes"},
        "relays_share": 0.7,
        "faults": {"cut_pair": 10, "cut_one": 6, "cut_node": 4, "cut_sides": 4, "cut_some": 6,
                   "stop": 10, "clock": 2, "stand_still": 10, "delay": 3, "break_links": 6},
        "pause_seconds": (0.01, 0.3),
        "hold_seconds": (0.02, 0.8),
    },
    "burst": {
        "options": {**DURABLE, "mesh-max-frame": 16384, "mesh-backlog-size": 65536,
                    "log-segment-size": 65536, "log-retention-size": 0,
                    "auto-aof-rewrite-min-size": 65536, "mesh-max-waiting": "1mb"},
        "pipelines": (1, 1, 1, 1, 1, 5, 50, 1500),
        "padding_bytes": (0, 0, 0, 10, 100, 20000),
        "large_bytes": (10, 9000, 300000),
        "timeout_seconds": 5.0,
        "worker_pause_seconds": 0.03,
        "converge_seconds": 60,
    },
    "settle": {
        "options": DURABLE,
        "worker_pause_seconds": 0.02,
        "busy_seconds": 20,
        "faults": {"cut_sides": 8, "cut_node": 4, "cut_some": 3, "kill": 2, "stop": 1, "clock": 1},
        "pause_seconds": (1.0, 3.0),
        "hold_seconds": (1.0, 3.0),
        "rests": True,  # workers are quiet now and then, until nothing is left unsettled
    },
}


def profile_of(mode):
    profile = {**COMMON, **MODES[mode]}
    for name in ("options", "varied"):
        profile[name] = {**COMMON[name], **MODES[mode].get(name, {})}
    return profile
