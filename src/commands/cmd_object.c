/* SPDX-License-Identifier: BSD-3-Clause */
/* OBJECT: how a value is kept and how much it is used. None of it counts as use. */
#include "commands/command.h"
#include "store/contested.h"
#include "store/elements.h"
#include "store/lists.h"

enum {
    OBJECT_EMBEDDED_BYTES_MAX = 44,
    OBJECT_SHARED_INTEGER_MAX = 9999,
};

#define OBJECT_POLICY_NOTE                                                                         \
    " Please note that when switching between policies at runtime LRU and LFU data will take "     \
    "some time to adjust."

static bool object_is_integer(const struct entry *entry) {
    switch (entry_kind(entry)) {
    case ENTRY_INTEGER:
    case ENTRY_COUNTER:
    case ENTRY_COUNTER_REGISTER:
        return true;
    case ENTRY_CONTESTED:
        return entry_contested(entry)->shown == CONTESTED_SHOWS_INTEGER;
    case ENTRY_BYTES:
    case ENTRY_FLOAT_COUNTER:
    case ENTRY_LARGE:
    case ENTRY_PACKED:
    case ENTRY_COLLECTION:
        return false;
    }
    impossible("an entry of no kind");
}

/* The bytes of an element in a listpack: as an integer if it is one, or with a length, and then a
 * length to come from behind. */
static uint64_t listpack_bytes(struct slice value) {
    int64_t integer;
    uint64_t bytes = value.size + (value.size < 64 ? 1 : value.size < 4096 ? 2 : 5);
    if (number_parse_integer(value, &integer)) {
        bytes = integer >= 0 && integer <= 127                      ? 1
                : integer >= -4096 && integer <= 4095               ? 2
                : integer >= INT16_MIN && integer <= INT16_MAX      ? 3
                : integer >= -(1 << 23) && integer <= (1 << 23) - 1 ? 4
                : integer >= INT32_MIN && integer <= INT32_MAX      ? 5
                                                                    : 9;
    }
    return bytes + 1 + (bytes > 127) + (bytes > 16383) + (bytes > 2097151);
}

/* Would Redis pack the list as one listpack? It looks at no more than that has room for. One that
 * was longer once is told as what it is now. */
static bool list_is_small(const struct store *store, const struct elements *elements) {
    enum { LISTPACK_ENDS_BYTES = 7 };
    const struct store_packing *packing = &store->packing[VALUE_LIST];
    struct list_cursor cursor;
    uint64_t bytes = LISTPACK_ENDS_BYTES;
    if (elements->count > packing->entries_max) {
        return false;
    }
    for (bool is_there = list_seek(store, elements, 0, &cursor); is_there;
         is_there = list_step(&cursor, LIST_RIGHT)) {
        bytes += listpack_bytes(cursor.element.value);
        if (bytes > packing->bytes_max) {
            return false;
        }
    }
    return true;
}

static const char *elements_encoding_name(const struct store *store, const struct entry *entry) {
    struct elements elements;
    elements_of(entry, &elements);
    if (elements.type == VALUE_LIST) {
        return list_is_small(store, &elements) ? "listpack" : "quicklist";
    }
    if (elements.type == VALUE_STREAM) {
        return "stream";
    }
    bool is_small = elements.collection == NULL || !elements.collection->is_large;
    if (elements.type == VALUE_HASH && is_small && elements.collection != NULL &&
        elements.collection->is_expiring) {
        return "listpackex"; /* since 7.4: with the times of fields that expire */
    }
    if (elements.type == VALUE_SET && is_small) {
        bool is_integers = elements.count <= store->packing[VALUE_SET].integers_max &&
                           elements_are_integers(store, &elements);
        return is_integers ? "intset" : "listpack";
    }
    return is_small ? "listpack" : elements.type == VALUE_SORTED_SET ? "skiplist" : "hashtable";
}

/* The names are Redis's: clients and tests look at them, so what matters is that they change when
 * Redis's would, not what lies behind. */
const char *command_encoding_name(const struct store *store, const struct entry *entry) {
    if (entry_type(entry) != VALUE_STRING) {
        return elements_encoding_name(store, entry);
    }
    if (object_is_integer(entry)) {
        return "int";
    }
    bool is_long = entry_value_bytes(entry) > OBJECT_EMBEDDED_BYTES_MAX;
    return is_long || (entry->meta & ENTRY_EDITED) != 0 ? "raw" : "embstr";
}

/* The entry that the subcommand asks about; writes null and returns NULL when absent. Counts as a
 * read, but who is told of reads that miss hears nothing. */
static const struct entry *object_look(struct command_context *ctx) {
    struct key key = command_key(ctx, 2);
    const struct entry *entry = store_peek(ctx->store, &key);
    ctx->store->stats.hits += entry != NULL;
    ctx->store->stats.misses += entry == NULL;
    if (entry == NULL) {
        reply_null(ctx->reply);
    }
    return entry;
}

/* OBJECT ENCODING key */
static void cmd_object_encoding(struct command_context *ctx) {
    const struct entry *entry = object_look(ctx);
    if (entry != NULL) {
        reply_bulk_text(ctx->reply, command_encoding_name(ctx->store, entry));
    }
}

/* OBJECT REFCOUNT key: values have one owner. Small integers need no memory beside the key, so they
 * answer as Redis's shared ones do, by which tools tell that they are cheap. */
static void cmd_object_refcount(struct command_context *ctx) {
    const struct entry *entry = object_look(ctx);
    if (entry == NULL) {
        return;
    }
    int64_t value = -1;
    bool is_integer = object_is_integer(entry) && entry_integer(entry, &value);
    bool is_shared = is_integer && value >= 0 && value <= OBJECT_SHARED_INTEGER_MAX &&
                     ctx->limits->shows_shared_integers;
    reply_integer(ctx->reply, is_shared ? INT32_MAX : 1);
}

/* OBJECT IDLETIME key */
static void cmd_object_idletime(struct command_context *ctx) {
    const struct entry *entry = object_look(ctx);
    if (entry == NULL) {
        return;
    }
    if (ctx->store->uses_lfu) {
        reply_error(
            ctx->reply,
            "ERR An LFU maxmemory policy is selected, idle time not tracked." OBJECT_POLICY_NOTE);
        return;
    }
    reply_integer(ctx->reply, (int64_t)store_idle_seconds(ctx->store, entry));
}

/* OBJECT FREQ key */
static void cmd_object_freq(struct command_context *ctx) {
    const struct entry *entry = object_look(ctx);
    if (entry == NULL) {
        return;
    }
    if (!ctx->store->uses_lfu) {
        reply_error(ctx->reply, "ERR An LFU maxmemory policy is not selected, access frequency "
                                "not tracked." OBJECT_POLICY_NOTE);
        return;
    }
    reply_integer(ctx->reply, store_frequency(ctx->store, entry));
}

/* OBJECT HELP */
static void cmd_object_help(struct command_context *ctx) {
    static const char *const LINES[] = {
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    Name the way in which the value at <key> is kept.",
        "FREQ <key>",
        "    Tell how often <key> is used, on a logarithmic scale from 0 to 255. Only with an LFU",
        "    maxmemory policy.",
        "IDLETIME <key>",
        "    Tell for how many seconds <key> was not used. Not with an LFU maxmemory policy.",
        "REFCOUNT <key>",
        "    Tell how many references there are to the value at <key>: 1, or 2147483647 for a",
        "    small integer, which takes no memory of its own.",
        "HELP",
        "    Print this help.",
    };
    const size_t count = sizeof(LINES) / sizeof(LINES[0]);
    reply_array(ctx->reply, count);
    for (size_t i = 0; i < count; i++) {
        reply_simple(ctx->reply, LINES[i]);
    }
}

static const struct command cmd_object_rows[] = {
    {.name = "object",
     .arity = -2,
     .group = "generic",
     .since = "2.2.3",
     .cost = "Depends on subcommand.",
     .summary = "A container for questions about how values are kept."},
    {.name = "encoding",
     .parent = "object",
     .handler = cmd_object_encoding,
     .arity = 3,
     .flags = CMD_READ,
     .categories = CATEGORY_KEYSPACE,
     .keys = {2, 2, 1},
     .key_flags = KEY_READ_ONLY,
     .group = "generic",
     .since = "2.2.3",
     .cost = "O(1)",
     .syntax = "key",
     .summary = "Names the encoding of a value."},
    {.name = "freq",
     .parent = "object",
     .handler = cmd_object_freq,
     .arity = 3,
     .flags = CMD_READ,
     .categories = CATEGORY_KEYSPACE,
     .keys = {2, 2, 1},
     .key_flags = KEY_READ_ONLY,
     .group = "generic",
     .since = "4.0.0",
     .cost = "O(1)",
     .syntax = "key",
     .summary = "Tells how often a key is used, on a logarithmic scale."},
    {.name = "idletime",
     .parent = "object",
     .handler = cmd_object_idletime,
     .arity = 3,
     .flags = CMD_READ,
     .categories = CATEGORY_KEYSPACE,
     .keys = {2, 2, 1},
     .key_flags = KEY_READ_ONLY,
     .group = "generic",
     .since = "2.2.3",
     .cost = "O(1)",
     .syntax = "key",
     .summary = "Tells for how many seconds a key was not used."},
    {.name = "refcount",
     .parent = "object",
     .handler = cmd_object_refcount,
     .arity = 3,
     .flags = CMD_READ,
     .categories = CATEGORY_KEYSPACE,
     .keys = {2, 2, 1},
     .key_flags = KEY_READ_ONLY,
     .group = "generic",
     .since = "2.2.3",
     .cost = "O(1)",
     .syntax = "key",
     .summary = "Tells how many references a value has."},
    {.name = "help",
     .parent = "object",
     .handler = cmd_object_help,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .categories = CATEGORY_KEYSPACE,
     .group = "generic",
     .since = "6.2.0",
     .cost = "O(1)",
     .summary = "Lists the subcommands."},
};

COMMAND_FAMILY(cmd_object_family, cmd_object_rows);
