/* SPDX-License-Identifier: BSD-3-Clause */
/* CLUSTER, READONLY, READWRITE, ASKING: what a Redis that is no part of a cluster says to them.
 * Clients ask, to learn whether they talk to a cluster, and tell this error from that of a server
 * that knows no such command. */
#include "node/node.h"

static void cmd_cluster_refused(struct command_context *ctx) {
    reply_error(ctx->reply, "ERR This instance has cluster support disabled");
}

#define CLUSTER_ROW                                                                                \
    .parent = "cluster", .handler = cmd_cluster_refused, .group = "cluster", .cost = "O(1)",       \
    .summary = "Refused: there is no cluster."
#define CLUSTER_READ_ROW CLUSTER_ROW, .flags = CMD_STALE
#define CLUSTER_ADMIN_ROW CLUSTER_ROW, .flags = CMD_ADMIN | CMD_STALE
#define CLUSTER_CHANGE_ROW CLUSTER_ROW, .flags = CMD_ADMIN | CMD_STALE | CMD_NO_ASYNC_LOADING
#define CLUSTER_CONNECTION_ROW                                                                     \
    .handler = cmd_cluster_refused, .arity = 1, .categories = CATEGORY_CONNECTION,                 \
    .group = "cluster", .since = "3.0.0", .cost = "O(1)",                                          \
    .summary = "Refused: there is no cluster."

static const struct command cmd_cluster_rows[] = {
    {.name = "cluster",
     .arity = -2,
     .group = "cluster",
     .since = "3.0.0",
     .cost = "Depends on subcommand.",
     .summary = "A container for commands about a cluster."},
    {CLUSTER_CHANGE_ROW, .name = "addslots", .arity = -3, .since = "3.0.0",
     .syntax = "slot [slot ...]"},
    {CLUSTER_CHANGE_ROW, .name = "addslotsrange", .arity = -4, .since = "7.0.0",
     .syntax = "start-slot end-slot [start-slot end-slot ...]"},
    {CLUSTER_CHANGE_ROW, .name = "bumpepoch", .arity = 2, .since = "3.0.0"},
    {CLUSTER_ADMIN_ROW, .name = "count-failure-reports", .arity = 3, .since = "3.0.0",
     .syntax = "node-id"},
    {CLUSTER_READ_ROW, .name = "countkeysinslot", .arity = 3, .since = "3.0.0", .syntax = "slot"},
    {CLUSTER_CHANGE_ROW, .name = "delslots", .arity = -3, .since = "3.0.0",
     .syntax = "slot [slot ...]"},
    {CLUSTER_CHANGE_ROW, .name = "delslotsrange", .arity = -4, .since = "7.0.0",
     .syntax = "start-slot end-slot [start-slot end-slot ...]"},
    {CLUSTER_CHANGE_ROW, .name = "failover", .arity = -2, .since = "3.0.0",
     .syntax = "[FORCE | TAKEOVER]"},
    {CLUSTER_CHANGE_ROW, .name = "flushslots", .arity = 2, .since = "3.0.0"},
    {CLUSTER_CHANGE_ROW, .name = "forget", .arity = 3, .since = "3.0.0", .syntax = "node-id"},
    {CLUSTER_READ_ROW, .name = "getkeysinslot", .arity = 4, .since = "3.0.0",
     .syntax = "slot count"},
    {CLUSTER_ROW, .name = "help", .arity = 2, .flags = CMD_LOADING | CMD_STALE, .since = "5.0.0"},
    {CLUSTER_READ_ROW, .name = "info", .arity = 2, .since = "3.0.0"},
    {CLUSTER_READ_ROW, .name = "keyslot", .arity = 3, .since = "3.0.0", .syntax = "key"},
    {CLUSTER_READ_ROW, .name = "links", .arity = 2, .since = "7.0.0"},
    {CLUSTER_CHANGE_ROW, .name = "meet", .arity = -4, .since = "3.0.0",
     .syntax = "ip port [cluster-bus-port]"},
    {CLUSTER_READ_ROW, .name = "myid", .arity = 2, .since = "3.0.0"},
    {CLUSTER_READ_ROW, .name = "myshardid", .arity = 2, .since = "7.2.0"},
    {CLUSTER_READ_ROW, .name = "nodes", .arity = 2, .since = "3.0.0"},
    {CLUSTER_ADMIN_ROW, .name = "replicas", .arity = 3, .since = "5.0.0", .syntax = "node-id"},
    {CLUSTER_CHANGE_ROW, .name = "replicate", .arity = 3, .since = "3.0.0", .syntax = "node-id"},
    {CLUSTER_ROW, .name = "reset", .arity = -2, .flags = CMD_ADMIN | CMD_NO_SCRIPT | CMD_STALE,
     .since = "3.0.0", .syntax = "[HARD | SOFT]"},
    {CLUSTER_CHANGE_ROW, .name = "saveconfig", .arity = 2, .since = "3.0.0"},
    {CLUSTER_CHANGE_ROW, .name = "set-config-epoch", .arity = 3, .since = "3.0.0",
     .syntax = "config-epoch"},
    {CLUSTER_CHANGE_ROW, .name = "setslot", .arity = -4, .since = "3.0.0",
     .syntax = "slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>"},
    {CLUSTER_READ_ROW, .name = "shards", .arity = 2, .since = "7.0.0"},
    {CLUSTER_ADMIN_ROW, .name = "slaves", .arity = 3, .since = "3.0.0", .syntax = "node-id"},
    {CLUSTER_READ_ROW, .name = "slots", .arity = 2, .since = "3.0.0"},
    {CLUSTER_CONNECTION_ROW, .name = "asking", .flags = CMD_FAST},
    {CLUSTER_CONNECTION_ROW, .name = "readonly", .flags = CMD_FAST | CMD_LOADING | CMD_STALE},
    {CLUSTER_CONNECTION_ROW, .name = "readwrite", .flags = CMD_FAST | CMD_LOADING | CMD_STALE},
};

COMMAND_FAMILY(cmd_cluster_family, cmd_cluster_rows);
