/* SPDX-License-Identifier: BSD-3-Clause */
/* DEBUG: for tests and for people who look inside. One command in the table, with a table of its
 * own here, as Redis has it: its subcommands are nobody's interface. */
#include <stdlib.h>

#include "base/glob.h"
#include "base/hash.h"
#include "commands/value_codec.h"
#include "config/config_words.h"
#include "config/option_row.h"
#include "node/debug_reload.h"
#include "node/help.h"
#include "node/node.h"

enum { DEBUG_CLOCK_OFFSET_MS_MAX = 1000000000 };

/* ---- helpers ---- */

static double debug_number(struct slice text) {
    double value;
    return number_parse_double(text, &value) ? value : 0;
}

static const struct entry *debug_entry(struct command_context *ctx, size_t index) {
    struct key key = command_key(ctx, index);
    const struct entry *entry = store_peek(ctx->store, &key);
    if (entry == NULL) {
        reply_error(ctx->reply, COMMAND_NO_KEY);
    }
    return entry;
}

static void debug_reply_hex(struct reply *reply, const uint8_t digest[20]) {
    char text[40];
    for (int i = 0; i < 20; i++) {
        text[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    reply_bulk(reply, slice_make(text, sizeof(text)));
}

static void debug_reply_ok(struct command_context *ctx) {
    reply_ok(ctx->reply);
}

/* ---- the process ---- */

/* DEBUG SLEEP seconds */
static void debug_sleep(struct command_context *ctx) {
    struct node *node = ctx->node;
    double seconds = debug_number(ctx->args[2]);
    if (seconds > 0) {
        uint64_t began_us = node->host.monotonic_us(node->host.udata);
        node->host.sleep_us(node->host.udata,
                            seconds < 1e9 ? (uint64_t)(seconds * 1e6) : (uint64_t)1e15);
        node->slept_ms += (int64_t)((node->host.monotonic_us(node->host.udata) - began_us) / 1000);
        if (!ctx->in_transaction) {
            node_wake(node);
        }
    }
    reply_ok(ctx->reply);
}

/* DEBUG SEGFAULT, PANIC, ASSERT, OOM: does not return. */
static void debug_crash(struct command_context *ctx) {
    static const char *const WAYS[] = {"segfault", "panic", "assert", "oom"};
    for (size_t i = 0; i < sizeof(WAYS) / sizeof(WAYS[0]); i++) {
        if (command_word(ctx, 1, WAYS[i])) {
            ctx->node->host.crash(ctx->node->host.udata, WAYS[i]);
        }
    }
    reply_error(ctx->reply, "ERR still alive");
}

/* DEBUG RESTART [milliseconds], CRASH-AND-RECOVER [milliseconds] */
static void debug_restart(struct command_context *ctx) {
    struct node *node = ctx->node;
    int64_t delay_ms = 0;
    if (ctx->args_count == 3 && !command_integer(ctx, 2, &delay_ms, NULL)) {
        return;
    }
    bool saves = command_word(ctx, 1, "restart") && node->options->save.count > 0;
    if (saves && node_snapshot_save(node, true) != LOG_OK) {
        reply_errorf(ctx->reply, "ERR failed to restart the server: %s", log_error(node->log));
        return;
    }
    if (delay_ms > 0) {
        node->host.sleep_us(node->host.udata, (uint64_t)delay_ms * 1000);
    }
    node->host.crash(node->host.udata, "restart");
    reply_ok(ctx->reply);
}

/* DEBUG LOG message */
static void debug_log(struct command_context *ctx) {
    struct slice text = ctx->args[2];
    node_message(ctx->node, LOG_LEVEL_WARNING, "DEBUG LOG: %.*s",
                 (int)(text.size < 1024 ? text.size : 1024), text.data);
    reply_ok(ctx->reply);
}

/* DEBUG ERROR text */
static void debug_error(struct command_context *ctx) {
    struct slice text = ctx->args[2];
    reply_errorf(ctx->reply, "%.*s", (int)(text.size < 65536 ? text.size : 65536), text.data);
}

/* DEBUG CONFIG-REWRITE-FORCE-ALL: as CONFIG REWRITE, with all options that the file lacks. */
static void debug_config_rewrite(struct command_context *ctx) {
    struct node *node = ctx->node;
    struct buffer old_text = {0}, new_text = {0}, error = {0};
    struct config_words words = {0};
    struct config_change mentioned = {0};
    if (node->options->config_file == NULL || node->options->config_file[0] == '\0') {
        reply_error(ctx->reply, "ERR The server is running without a config file");
        return;
    }
    bool is_done = node->host.read_config(node->host.udata, &old_text, &error);
    if (is_done) {
        config_rewrite(node->options, buffer_slice(&old_text), &new_text);
        for (struct slice rest = buffer_slice(&new_text); rest.size > 0;) {
            struct slice line = config_line_take(&rest);
            if (!config_line_is_comment(line) &&
                config_words_split(&words, line) == CONFIG_WORDS_OK && words.count > 0) {
                enum option_id id = option_find(words.words[0]);
                if (id != OPTIONS_COUNT) {
                    config_mark_changed(&mentioned, id);
                }
            }
        }
        for (int i = 0; i < OPTIONS_COUNT; i++) {
            enum option_id id = (enum option_id)i;
            if (!config_has_changed(&mentioned, id) &&
                (option_row(id)->flags & OPT_FILE_ONLY) == 0) {
                option_write_lines(node->options, id, &new_text);
            }
        }
        is_done = node->host.write_config(node->host.udata, buffer_slice(&new_text), &error);
    }
    if (is_done) {
        reply_ok(ctx->reply);
    } else {
        reply_errorf(ctx->reply, "ERR CONFIG-REWRITE-FORCE-ALL failed: %s", buffer_text(&error));
    }
    config_words_deinit(&words);
    buffer_deinit(&old_text);
    buffer_deinit(&new_text);
    buffer_deinit(&error);
}

/* ---- the data as a whole ---- */

/* DEBUG RELOAD [NOSAVE | NOFLUSH | MERGE]: what was just saved is what is loaded, so merging it
 * and replacing everything by it come to the same. */
static void debug_reload(struct command_context *ctx) {
    struct node *node = ctx->node;
    bool saves = true;
    for (size_t i = 2; i < ctx->args_count; i++) {
        if (command_word(ctx, i, "nosave")) {
            saves = false;
        } else if (!command_word(ctx, i, "noflush") && !command_word(ctx, i, "merge")) {
            reply_error(ctx->reply,
                        "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
            return;
        }
    }
    if (!saves) {
        reply_error(ctx->reply, "ERR DEBUG RELOAD NOSAVE is not supported: a snapshot is loaded at "
                                "the start only");
        return;
    }
    if (node_snapshot_save(node, true) != LOG_OK) {
        reply_errorf(ctx->reply, "ERR %s", log_error(node->log));
        return;
    }
    if (debug_reload_store(ctx->store) != STORE_OK) {
        reply_error(ctx->reply, "ERR Error trying to load the snapshot, check server logs.");
        return;
    }
    node_message(node, LOG_LEVEL_WARNING, "DB reloaded by DEBUG RELOAD");
    reply_ok(ctx->reply);
}

/* DEBUG LOADAOF */
static void debug_loadaof(struct command_context *ctx) {
    struct node *node = ctx->node;
    if (!ctx->in_transaction) {
        store_end_unit(&node->store);
        log_write(node->log, node->now_us);
    }
    if (debug_reload_store(ctx->store) != STORE_OK) {
        reply_error(ctx->reply, "ERR Error trying to load the AOF files, check server logs.");
        return;
    }
    node_message(node, LOG_LEVEL_WARNING, "Append Only File loaded by DEBUG LOADAOF");
    reply_ok(ctx->reply);
}

/* DEBUG DIGEST */
static void debug_digest(struct command_context *ctx) {
    uint8_t digest[20];
    store_digest(ctx->store, digest);
    debug_reply_hex(ctx->reply, digest);
}

/* DEBUG POPULATE count [prefix] [size]: keys that are there already stay as they are. */
static void debug_populate(struct command_context *ctx) {
    static const char RANGE_ERROR[] = "ERR value is out of range, must be positive";
    int64_t count, size = 0;
    struct slice prefix = ctx->args_count > 3 ? ctx->args[3] : SLICE("key");
    if (!command_integer(ctx, 2, &count, RANGE_ERROR) ||
        (ctx->args_count == 5 && !command_integer(ctx, 4, &size, RANGE_ERROR))) {
        return;
    }
    if (count < 0 || size < 0) {
        reply_error(ctx->reply, RANGE_ERROR);
        return;
    }
    if ((uint64_t)size > ctx->limits->value_bytes_max || prefix.size > CHANGE_KEY_BYTES_MAX / 2) {
        reply_error(ctx->reply, COMMAND_TOO_LONG);
        return;
    }
    struct buffer name = {0}, value = {0};
    enum store_status status = STORE_OK;
    for (int64_t i = 0; i < count && status == STORE_OK; i++) {
        buffer_clear(&name);
        buffer_append_slice(&name, prefix);
        buffer_printf(&name, ":%lld", (long long)i);
        struct key key = store_key(ctx->store, ctx->db, buffer_slice(&name));
        if (store_peek(ctx->store, &key) != NULL) {
            continue;
        }
        buffer_clear(&value);
        buffer_printf(&value, "value:%lld", (long long)i);
        if (size > 0) {
            size_t text_size = value.size;
            (void)buffer_reserve(&value, (size_t)size);
            if ((size_t)size > text_size) {
                memset(value.data + text_size, 0, (size_t)size - text_size);
            }
            value.size = (size_t)size;
        }
        status = strings_set(ctx->store, &key, buffer_slice(&value), 0);
    }
    buffer_deinit(&name);
    buffer_deinit(&value);
    if (status == STORE_OK) {
        reply_ok(ctx->reply);
    } else {
        command_reply_status(ctx, status);
    }
}

/* DEBUG HTSTATS db */
static void debug_htstats(struct command_context *ctx) {
    int64_t db;
    if (!command_integer(ctx, 2, &db, NULL)) {
        return;
    }
    if (db < 0 || db >= (int64_t)ctx->store->dbs_count) {
        reply_error(ctx->reply, "ERR Out of range database");
        return;
    }
    const struct table *table = &ctx->store->dbs[db].table;
    struct buffer text = {0};
    buffer_printf(&text,
                  "[Dictionary HT]\n"
                  "Hash table 0 stats (main hash table):\n"
                  " table size: %llu\n number of elements: %llu\n segments: %llu\n"
                  " directory depth: %u\n load: %.2f\n"
                  "[Expires HT]\n number of elements: %llu\n",
                  (unsigned long long)table->slots_count, (unsigned long long)table->count,
                  (unsigned long long)table->segments_count, table->depth,
                  (double)table->count / (double)table->slots_count,
                  (unsigned long long)table->marked_count);
    reply_verbatim(ctx->reply, "txt", buffer_slice(&text));
    buffer_deinit(&text);
}

/* DEBUG SET-ACTIVE-EXPIRE 0 | 1 */
static void debug_set_active_expire(struct command_context *ctx) {
    ctx->node->active_expire_is_off = debug_number(ctx->args[2]) == 0;
    reply_ok(ctx->reply);
}

/* DEBUG CLOCK-OFFSET milliseconds */
static void debug_clock_offset(struct command_context *ctx) {
    int64_t offset_ms;
    if (!command_integer(ctx, 2, &offset_ms, NULL)) {
        return;
    }
    if (offset_ms < -DEBUG_CLOCK_OFFSET_MS_MAX || offset_ms > DEBUG_CLOCK_OFFSET_MS_MAX) {
        reply_error(ctx->reply, "ERR value is out of range");
        return;
    }
    ctx->node->clock_offset_ms = offset_ms;
    reply_ok(ctx->reply);
}

/* DEBUG MESH CUT | HEAL host:port | ALL */
static void debug_mesh(struct command_context *ctx) {
    bool cuts = command_word(ctx, 2, "cut");
    struct slice address = slice_is_word(ctx->args[3], "all") ? SLICE("ALL") : ctx->args[3];
    if (!cuts && !command_word(ctx, 2, "heal")) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    if (ctx->node->mesh == NULL) {
        reply_error(ctx->reply, "ERR This node is in no mesh");
        return;
    }
    if (address.size >= MESH_ADDRESS_BYTES) {
        reply_error(ctx->reply, "ERR Invalid address");
        return;
    }
    struct buffer text = {0};
    buffer_append_slice(&text, address);
    (cuts ? mesh_cut : mesh_heal)(ctx->node->mesh, buffer_text(&text));
    buffer_deinit(&text);
    reply_ok(ctx->reply);
}

/* DEBUG PAUSE-CRON 0 | 1 */
static void debug_pause_cron(struct command_context *ctx) {
    int64_t is_paused;
    if (command_integer(ctx, 2, &is_paused, NULL)) {
        ctx->node->tick_is_paused = is_paused != 0;
        reply_ok(ctx->reply);
    }
}

/* ---- one key ---- */

/* DEBUG OBJECT key */
static void debug_object(struct command_context *ctx) {
    const struct entry *entry = debug_entry(ctx, 2);
    if (entry == NULL) {
        return;
    }
    struct rdb_writer_limits limits = RDB_WRITER_LIMITS_DEFAULT;
    struct buffer serialized = {0}, text = {0};
    limits.compress = ctx->node->options->rdbcompression;
    bool is_dumped = value_dump(ctx->store, entry, &limits, &serialized);
    size_t extra_bytes = 1 + RDB_VALUE_FOOTER_BYTES; /* the type byte, and the footer */
    buffer_printf(
        &text,
        "+Value at:%p refcount:1 encoding:%s serializedlength:%zu lru:%u "
        "lru_seconds_idle:%llu\r\n",
        (const void *)entry, command_encoding_name(ctx->store, entry),
        is_dumped ? serialized.size - extra_bytes : 0, (unsigned)entry_access(entry),
        (unsigned long long)(ctx->store->uses_lfu ? 0 : store_idle_seconds(ctx->store, entry)));
    reply_raw(ctx->reply, buffer_slice(&text));
    buffer_deinit(&serialized);
    buffer_deinit(&text);
}

/* DEBUG SDSLEN key: an entry is one block, so the free bytes of key and value are the same. */
static void debug_sdslen(struct command_context *ctx) {
    const struct entry *entry = debug_entry(ctx, 2);
    if (entry == NULL) {
        return;
    }
    if (entry_type(entry) != VALUE_STRING ||
        strcmp(command_encoding_name(ctx->store, entry), "int") == 0) {
        reply_error(ctx->reply, "ERR Not an sds encoded string.");
        return;
    }
    struct buffer text = {0};
    buffer_printf(&text,
                  "+key_sds_len:%zu, key_sds_avail:0, key_zmalloc: %zu, val_sds_len:%zu, "
                  "val_sds_avail:0, val_zmalloc: %zu\r\n",
                  entry_key(entry).size, entry_block_bytes(entry), entry_value_bytes(entry),
                  entry_memory_bytes(entry) - entry_block_bytes(entry));
    reply_raw(ctx->reply, buffer_slice(&text));
    buffer_deinit(&text);
}

/* DEBUG DIGEST-VALUE key [key ...]: equal for equal values, whatever the keys. */
static void debug_digest_value(struct command_context *ctx) {
    static const struct hash_seed SEEDS[3] = {{1, 2}, {3, 4}, {5, 6}};
    reply_array(ctx->reply, ctx->args_count - 2);
    for (size_t i = 2; i < ctx->args_count; i++) {
        uint8_t digest[20] = {0};
        struct key key = command_key(ctx, i);
        const struct entry *entry = store_peek(ctx->store, &key);
        if (entry != NULL) {
            struct entry_scratch scratch;
            struct slice value = entry_value(entry, &scratch);
            uint8_t of_elements[20];
            if (entry_type(entry) != VALUE_STRING) {
                store_value_digest(ctx->store, entry, of_elements);
                value = slice_make(of_elements, sizeof(of_elements));
            }
            uint64_t words[3];
            for (int j = 0; j < 3; j++) {
                words[j] = hash_fold(hash_bytes(SEEDS[j], value) ^ entry_expire_unix_ms(entry),
                                     SEEDS[j].a | UINT64_C(0x9E3779B97F4A7C15));
            }
            memcpy(digest, words, sizeof(digest));
        }
        debug_reply_hex(ctx->reply, digest);
    }
}

/* DEBUG HTSTATS-KEY key, LISTPACK key, QUICKLIST key: for types that strings are not. */
static void debug_other_type(struct command_context *ctx) {
    if (debug_entry(ctx, 2) == NULL) {
        return;
    }
    reply_error(ctx->reply, command_word(ctx, 1, "listpack") ? "ERR Not a listpack encoded object."
                            : command_word(ctx, 1, "quicklist")
                                ? "ERR Not a quicklist encoded object."
                                : "ERR The value stored at the specified key "
                                  "is not represented using an hash table");
}

/* ---- pieces of the machinery ---- */

/* DEBUG STRINGMATCH-LEN pattern text */
static void debug_stringmatch(struct command_context *ctx) {
    reply_integer(ctx->reply, glob_match(ctx->args[2], ctx->args[3], false));
}

/* DEBUG STRUCTSIZE */
static void debug_structsize(struct command_context *ctx) {
    struct buffer text = {0};
    buffer_printf(&text, "+bits:%zu entry:%zu segment:%zu client:%zu buffer:%zu slice:%zu\r\n",
                  sizeof(void *) * 8, sizeof(struct entry), sizeof(struct table_segment),
                  sizeof(struct client), sizeof(struct buffer), sizeof(struct slice));
    reply_raw(ctx->reply, buffer_slice(&text));
    buffer_deinit(&text);
}

/* DEBUG CLIENT-EVICTION */
static void debug_client_eviction(struct command_context *ctx) {
    if (ctx->node->options->maxmemory_clients == 0) {
        reply_error(ctx->reply, "ERR maxmemory-clients is disabled.");
        return;
    }
    struct buffer text = {0};
    for (const struct client *client = ctx->node->clients; client != NULL; client = client->next) {
        buffer_printf(&text, "id:%llu bytes:%zu no-evict:%d\n", (unsigned long long)client->id,
                      client_memory_bytes(client), (client->flags & CLIENT_NO_EVICT) != 0);
    }
    reply_verbatim(ctx->reply, "txt", buffer_slice(&text));
    buffer_deinit(&text);
}

/* DEBUG PROTOCOL type: one reply of each type, for tests of clients. */
static void debug_protocol(struct command_context *ctx) {
    struct reply *reply = ctx->reply;
    bool is_resp3 = reply->protocol == 3;
    if (command_word(ctx, 2, "string")) {
        reply_bulk_text(reply, "Hello World");
    } else if (command_word(ctx, 2, "integer")) {
        reply_integer(reply, 12345);
    } else if (command_word(ctx, 2, "double")) {
        reply_double(reply, 3.141);
    } else if (command_word(ctx, 2, "null")) {
        reply_null(reply);
    } else if (command_word(ctx, 2, "array") || command_word(ctx, 2, "set")) {
        command_word(ctx, 2, "set") ? reply_set(reply, 3) : reply_array(reply, 3);
        for (int i = 0; i < 3; i++) {
            reply_integer(reply, i);
        }
    } else if (command_word(ctx, 2, "map")) {
        reply_map(reply, 3);
        for (int i = 0; i < 3; i++) {
            reply_integer(reply, i);
            reply_bool(reply, i == 1);
        }
    } else if (command_word(ctx, 2, "bignum")) {
        static const char NUMBER[] = "1234567999999999999999999999999999999";
        if (is_resp3) {
            buffer_printf(reply->out, "(%s\r\n", NUMBER);
        } else {
            reply_bulk_text(reply, NUMBER);
        }
    } else if (command_word(ctx, 2, "attrib")) {
        if (is_resp3) {
            buffer_append_slice(reply->out, SLICE("|1\r\n"));
            reply_bulk_text(reply, "key-popularity");
            reply_array(reply, 2);
            reply_bulk_text(reply, "key:123");
            reply_integer(reply, 90);
        }
        reply_bulk_text(reply, "Some real reply following the attribute");
    } else if (command_word(ctx, 2, "push")) {
        if (!is_resp3) {
            reply_error(reply, "ERR RESP2 is not supported by this command");
            return;
        }
        reply_push(reply, 2);
        reply_bulk_text(reply, "server-cpu-usage");
        reply_integer(reply, 42);
        reply_bulk_text(reply, "Some real reply following the push reply");
    } else if (command_word(ctx, 2, "verbatim")) {
        reply_verbatim(reply, "txt", SLICE("This is a verbatim\nstring"));
    } else if (command_word(ctx, 2, "true") || command_word(ctx, 2, "false")) {
        reply_bool(reply, command_word(ctx, 2, "true"));
    } else {
        reply_error(reply, "ERR Wrong protocol type name. Please use one of the following: "
                           "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|"
                           "true|false");
    }
}

/* ---- the table ---- */

static void debug_help(struct command_context *ctx);

static const struct debug_subcommand {
    const char *name;
    size_t args_min, args_max; /* "DEBUG" and the subcommand included */
    void (*handler)(struct command_context *ctx);
    const char *syntax, *help; /* NULL: told together with the one before */
} DEBUG_SUBCOMMANDS[] = {
    {"assert", 2, 2, debug_crash, "", "Crash by a failed assertion."},
    {"change-repl-id", 2, 2, debug_reply_ok, "", "Does nothing here."},
    {"client-eviction", 2, 2, debug_client_eviction, "", "Show what each client's buffers take."},
    {"clock-offset", 3, 3, debug_clock_offset, " <milliseconds>",
     "Let this server see another time of day than it is."},
    {"config-rewrite-force-all", 2, 2, debug_config_rewrite, "",
     "Like CONFIG REWRITE, but with all options."},
    {"crash-and-recover", 2, 3, debug_restart, " [<milliseconds>]",
     "Restart without saving, after a delay."},
    {"digest", 2, 2, debug_digest, "", "Show a digest of all data."},
    {"digest-value", 2, SIZE_MAX, debug_digest_value, " <key> [<key> ...]",
     "Show digests of the values of some keys."},
    {"error", 3, 3, debug_error, " <text>", "Reply with an error."},
    {"help", 2, 2, debug_help, NULL, NULL},
    {"htstats", 3, 3, debug_htstats, " <db>", "Show figures of the hash table of a database."},
    {"htstats-key", 3, 3, debug_other_type, " <key>", "Likewise of a value that is a hash table."},
    {"listpack", 3, 3, debug_other_type, " <key>", "For types that do not exist here."},
    {"loadaof", 2, 2, debug_loadaof, "",
     "Write the log, and send all data through the snapshot's encoding and back."},
    {"log", 3, 3, debug_log, " <message>", "Write a message to the server's log."},
    {"mesh", 4, 4, debug_mesh, " <CUT|HEAL> <host:port|ALL>",
     "Cut the link with a node, by the address of its mesh, or allow it again."},
    {"object", 3, 4, debug_object, " <key>", "Show how the value at a key is kept."},
    {"oom", 2, 2, debug_crash, "", "Crash as if memory were out."},
    {"panic", 2, 2, debug_crash, "", "Crash as if something were very wrong."},
    {"pause-cron", 3, 3, debug_pause_cron, " <0|1>", "Pause the periodic work on clients."},
    {"populate", 3, 5, debug_populate, " <count> [<prefix>] [<size>]",
     "Create string keys \"prefix:0\", \"prefix:1\", ..."},
    {"protocol", 3, 3, debug_protocol, " <type>",
     "Reply with a value of that type: string, integer, double, bignum, null, array, set, map, "
     "attrib, push, verbatim, true or false."},
    {"quicklist", 3, 4, debug_other_type, " <key>", "For types that do not exist here."},
    {"quicklist-packed-threshold", 3, 3, debug_reply_ok, " <size>", "Does nothing here."},
    {"reload", 2, 5, debug_reload, " [MERGE] [NOFLUSH]",
     "Write a snapshot, and send all data through its encoding and back."},
    {"replybuffer", 3, 4, debug_reply_ok, " <option> <value>", "Does nothing here."},
    {"restart", 2, 3, debug_restart, " [<milliseconds>]", "Save and restart, after a delay."},
    {"sdslen", 3, 3, debug_sdslen, " <key>", "Show the sizes of a key and its value."},
    {"segfault", 2, 2, debug_crash, "", "Crash by a bad memory access."},
    {"set-active-expire", 3, 3, debug_set_active_expire, " <0|1>",
     "Switch the removal of expired keys in the background off or on."},
    {"set-disable-deny-scripts", 3, 3, debug_reply_ok, " <0|1>", "Does nothing here."},
    {"sleep", 3, 3, debug_sleep, " <seconds>", "Stop the server for a while."},
    {"stringmatch-len", 4, 4, debug_stringmatch, " <pattern> <text>",
     "Tell whether a glob-like pattern matches."},
    {"structsize", 2, 2, debug_structsize, "", "Show the sizes of some structures."},
};

enum { DEBUG_SUBCOMMANDS_COUNT = sizeof(DEBUG_SUBCOMMANDS) / sizeof(DEBUG_SUBCOMMANDS[0]) };

/* DEBUG HELP */
static void debug_help(struct command_context *ctx) {
    struct buffer lines[DEBUG_SUBCOMMANDS_COUNT * 2] = {0};
    const char *texts[DEBUG_SUBCOMMANDS_COUNT * 2];
    size_t count = 0;
    for (size_t i = 0; i < DEBUG_SUBCOMMANDS_COUNT; i++) {
        const struct debug_subcommand *sub = &DEBUG_SUBCOMMANDS[i];
        if (sub->help == NULL) {
            continue;
        }
        for (const char *c = sub->name; *c != '\0'; c++) {
            buffer_append_byte(&lines[count],
                               (uint8_t)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c));
        }
        buffer_printf(&lines[count], "%s", sub->syntax);
        buffer_printf(&lines[count + 1], "    %s", sub->help);
        count += 2;
    }
    for (size_t i = 0; i < count; i++) {
        texts[i] = buffer_text(&lines[i]);
    }
    help_reply(ctx, texts, count);
    for (size_t i = 0; i < count; i++) {
        buffer_deinit(&lines[i]);
    }
}

/* DEBUG subcommand [argument ...] */
static void cmd_debug(struct command_context *ctx) {
    int access = ctx->node->options->enable_debug_command;
    bool is_local = (ctx->client->flags & CLIENT_LOCAL) != 0;
    if (access == OPTION_ACCESS_NO || (access == OPTION_ACCESS_LOCAL && !is_local)) {
        reply_error(ctx->reply,
                    "ERR DEBUG command not allowed. If the enable-debug-command option is set to "
                    "\"local\", you can run it from a local connection, otherwise you need to set "
                    "this option in the configuration file, and then restart the server.");
        return;
    }
    for (size_t i = 0; i < DEBUG_SUBCOMMANDS_COUNT; i++) {
        const struct debug_subcommand *sub = &DEBUG_SUBCOMMANDS[i];
        if (command_word(ctx, 1, sub->name) && ctx->args_count >= sub->args_min &&
            ctx->args_count <= sub->args_max) {
            sub->handler(ctx);
            return;
        }
    }
    reply_errorf(ctx->reply,
                 "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try DEBUG HELP.",
                 (int)(ctx->args[1].size < 128 ? ctx->args[1].size : 128), ctx->args[1].data);
}

static const struct command cmd_debug_rows[] = {
    {.name = "debug",
     .handler = cmd_debug,
     .arity = -2,
     .flags = CMD_ADMIN | CMD_NO_SCRIPT | CMD_LOADING | CMD_STALE | CMD_PROTECTED | CMD_NEEDS_START,
     .group = "server",
     .since = "1.0.0",
     .cost = "Depends on subcommand.",
     .syntax = "subcommand [argument [argument ...]]",
     .summary = "A container for commands that look inside the server."},
};

COMMAND_FAMILY(cmd_debug_family, cmd_debug_rows);
