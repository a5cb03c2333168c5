/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that look through the keys of a database: KEYS, SCAN, RANDOMKEY.
 *
 * The cursor of SCAN is a position in the walk of the ordered table: the hash, without its low
 * bits, from which on keys are still to come. It needs no memory on the server, survives growth
 * and shrinking, and a key that stays is reported exactly once. */
#include "base/glob.h"
#include "commands/scan_options.h"
#include "store/contested.h"

static bool scan_is_expired(const struct store *store, const struct entry *entry) {
    uint64_t expire_unix_ms = entry_expire_unix_ms(entry);
    return expire_unix_ms != 0 && (int64_t)expire_unix_ms <= store->now_ms;
}

/* ---- KEYS and RANDOMKEY ---- */

struct keys_walk {
    const struct store *store;
    struct reply *reply;
    struct slice pattern;
    bool is_all; /* the pattern is "*" */
    size_t found_count;
};

static void keys_visit(void *item, void *udata) {
    const struct entry *entry = item;
    struct keys_walk *walk = udata;
    struct slice name = entry_key(entry);
    if (!entry_is_hidden(entry) && (walk->is_all || glob_match(walk->pattern, name, false)) &&
        !scan_is_expired(walk->store, entry)) {
        reply_bulk(walk->reply, name);
        walk->found_count++;
    }
}

/* KEYS pattern */
static void cmd_keys(struct command_context *ctx) {
    struct keys_walk walk = {.store = ctx->store,
                             .reply = ctx->reply,
                             .pattern = ctx->args[1],
                             .is_all = slice_equal(ctx->args[1], SLICE("*"))};
    const struct table *table = &ctx->store->dbs[ctx->db].table;
    size_t begin = reply_deferred_begin(ctx->reply);
    uint64_t position = 0;
    do {
        position = table_walk(table, position, keys_visit, &walk);
    } while (position != 0);
    reply_deferred_array(ctx->reply, begin, walk.found_count);
}

/* RANDOMKEY */
static void cmd_randomkey(struct command_context *ctx) {
    const struct entry *entry = store_random(ctx->store, ctx->db);
    if (entry == NULL) {
        reply_null(ctx->reply);
    } else {
        reply_bulk(ctx->reply, entry_key(entry));
    }
}

/* ---- SCAN ---- */

struct scan {
    const struct store *store;
    struct scan_options options;
    uint64_t position;
    uint64_t seen_count;
    struct buffer found;   /* addresses of entries to report */
    struct buffer expired; /* addresses of entries whose time has come */
};

static void scan_visit(void *item, void *udata) {
    const struct entry *entry = item;
    struct scan *scan = udata;
    scan->seen_count++;
    if (entry_is_hidden(entry)) {
        return;
    }
    if (scan_is_expired(scan->store, entry)) {
        buffer_append(&scan->expired, &entry, sizeof(entry));
        return;
    }
    if (scan->options.has_pattern && !glob_match(scan->options.pattern, entry_key(entry), false)) {
        return;
    }
    if (scan->options.has_type && !slice_is_word(scan->options.type, command_type_name(entry))) {
        return;
    }
    buffer_append(&scan->found, &entry, sizeof(entry));
}

static size_t scan_entries_count(const struct buffer *entries) {
    return entries->size / sizeof(struct entry *);
}

static const struct entry *scan_entry(const struct buffer *entries, size_t index) {
    const struct entry *entry;
    memcpy(&entry, entries->data + index * sizeof(entry), sizeof(entry));
    return entry;
}

static void scan_reply(struct command_context *ctx, const struct scan *scan) {
    scan_reply_cursor(ctx, scan->position);
    reply_array(ctx->reply, scan_entries_count(&scan->found));
    for (size_t i = 0; i < scan_entries_count(&scan->found); i++) {
        reply_bulk(ctx->reply, entry_key(scan_entry(&scan->found, i)));
    }
}

/* SCAN cursor [MATCH pattern] [COUNT count] [TYPE type] */
static void cmd_scan(struct command_context *ctx) {
    struct scan scan = {.store = ctx->store};
    if (!scan_parse_options(ctx, 1, SCAN_TAKES_TYPE, &scan.options)) {
        return;
    }
    scan.position = scan.options.position;
    const struct table *table = &ctx->store->dbs[ctx->db].table;
    uint64_t buckets_max = scan_buckets_max(&scan.options);
    for (uint64_t used = 0; used < buckets_max; used++) {
        scan.position = table_walk(table, scan.position, scan_visit, &scan);
        if (scan.position == 0 || scan.seen_count >= scan.options.count) {
            break;
        }
    }
    scan_reply(ctx, &scan);
    for (size_t i = 0; i < scan_entries_count(&scan.expired); i++) {
        struct slice name = entry_key(scan_entry(&scan.expired, i));
        struct key key = store_key(ctx->store, ctx->db, name);
        (void)store_peek(ctx->store, &key); /* removes it */
    }
    buffer_deinit(&scan.found);
    buffer_deinit(&scan.expired);
}

static const struct command cmd_scan_rows[] = {
    {.name = "keys",
     .handler = cmd_keys,
     .arity = 2,
     .flags = CMD_READ,
     .categories = CATEGORY_KEYSPACE | CATEGORY_DANGEROUS,
     .group = "generic",
     .since = "1.0.0",
     .cost = "O(N) where N is the number of keys in the database.",
     .syntax = "pattern",
     .summary = "Lists the keys whose names match a pattern, all in one reply."},
    {.name = "scan",
     .handler = cmd_scan,
     .arity = -2,
     .flags = CMD_READ,
     .categories = CATEGORY_KEYSPACE,
     .group = "generic",
     .since = "2.8.0",
     .cost = "O(1) for a call, O(N) for a whole walk over N keys.",
     .syntax = "cursor [MATCH pattern] [COUNT count] [TYPE type]",
     .summary = "Lists the keys of the database, some with each call."},
    {.name = "randomkey",
     .handler = cmd_randomkey,
     .arity = 1,
     .flags = CMD_READ,
     .categories = CATEGORY_KEYSPACE,
     .group = "generic",
     .since = "1.0.0",
     .cost = "O(1)",
     .summary = "Names one key of the database at random."},
};

COMMAND_FAMILY(cmd_scan_family, cmd_scan_rows);
