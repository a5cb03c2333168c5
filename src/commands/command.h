/* SPDX-License-Identifier: BSD-3-Clause */
/* What a command is: a row of facts and a handler; and what a handler works with.
 *
 * Each family file (cmd_<family>.c) holds its handlers and, at its bottom, the table of its rows.
 * Dispatch, arity errors, key extraction, ACL categories and COMMAND DOCS all read the rows. A
 * handler parses its arguments, calls the store, and writes exactly one reply. It never touches the
 * log: the store's mutators record their changes. */
#ifndef COMMANDS_COMMAND_H
#define COMMANDS_COMMAND_H

#include "proto/reply.h"
#include "store/elements.h"
#include "store/notify.h"
#include "store/store.h"
#include "store/strings.h"

struct client; /* node/client.h: handlers in commands/ do not look inside */
struct node;   /* node/node.h */

/* Flags of a command, as COMMAND INFO names them. */
enum {
    CMD_WRITE = 1 << 0,
    CMD_READ = 1 << 1, /* "readonly" */
    CMD_DENY_OOM = 1 << 2,
    CMD_ADMIN = 1 << 3,
    CMD_PUBSUB = 1 << 4,
    CMD_NO_SCRIPT = 1 << 5,
    CMD_BLOCKING = 1 << 6,
    CMD_LOADING = 1 << 7, /* allowed while the data set loads */
    CMD_STALE = 1 << 8,
    CMD_SKIP_MONITOR = 1 << 9,
    CMD_SKIP_SLOWLOG = 1 << 10,
    CMD_FAST = 1 << 11,
    CMD_NO_AUTH = 1 << 12, /* allowed before AUTH */
    CMD_NO_ASYNC_LOADING = 1 << 13,
    CMD_NO_MULTI = 1 << 14,
    CMD_ALLOW_BUSY = 1 << 15,
    CMD_MOVABLE_KEYS = 1 << 16,
    CMD_PROTECTED = 1 << 17, /* not shown; behind enable-debug-command and its like */
    CMD_NO_MANDATORY_KEYS = 1 << 18,
    CMD_TOUCHES_ARBITRARY_KEYS = 1 << 19,
    CMD_NEEDS_START = 1 << 20, /* although CMD_LOADING, not before the files were read */
    CMD_ASKING = 1 << 21,      /* COMMAND INFO alone: in a cluster ASKING comes with it */
};

/* ACL categories beyond those that follow from flags and group (@write, @read, @fast, @slow,
 * @admin + @dangerous, @pubsub, @blocking, @string, ...). */
enum {
    CATEGORY_KEYSPACE = 1 << 0,
    CATEGORY_DANGEROUS = 1 << 1,
    CATEGORY_CONNECTION = 1 << 2,
    CATEGORY_TRANSACTION = 1 << 3,
    CATEGORY_STRING = 1 << 4,
    CATEGORY_BITMAP = 1 << 5,
    CATEGORY_HYPERLOGLOG = 1 << 6,
    CATEGORY_SCRIPTING = 1 << 7,
    CATEGORY_ADMIN = 1 << 8,
    CATEGORY_HASH = 1 << 9,
    CATEGORY_SET = 1 << 10,
    CATEGORY_SORTED_SET = 1 << 11,
    CATEGORY_LIST = 1 << 12,
    CATEGORY_STREAM = 1 << 13,
    CATEGORY_GEO = 1 << 14,
};

/* What a command does with its keys, as COMMAND GETKEYSANDFLAGS names it. */
enum {
    KEY_READ_ONLY = 1 << 0,  /* RO */
    KEY_READ_WRITE = 1 << 1, /* RW */
    KEY_OVERWRITE = 1 << 2,  /* OW */
    KEY_REMOVE = 1 << 3,     /* RM */
    KEY_ACCESS = 1 << 4,
    KEY_UPDATE = 1 << 5,
    KEY_INSERT = 1 << 6,
    KEY_DELETE = 1 << 7,
    KEY_NOT_KEY = 1 << 8,     /* what a cluster routes by, though it names no key */
    KEY_VARIABLE = 1 << 9,    /* COMMAND INFO alone: the other flags depend on the options */
    KEY_INCOMPLETE = 1 << 10, /* COMMAND INFO alone: there may be keys that it does not find */
};

/* The argument positions of keys: from `first` to `last` (negative: from the end) by `step`. A
 * first of 0 means no keys. */
struct command_keys {
    int first, last, step;
};

/* What COMMAND INFO says of keys whose positions are no such range. The specs of a command are an
 * array whose end is one without flags. */
struct key_spec {
    uint32_t flags;
    enum key_spec_begin { KEY_BEGIN_INDEX, KEY_BEGIN_KEYWORD, KEY_BEGIN_UNKNOWN } begin;
    int index; /* a position; with a keyword, where looking for it begins */
    const char *keyword;
    /* COUNTED: the number of keys is there, and then they come. */
    enum key_spec_find { KEY_FIND_RANGE, KEY_FIND_COUNTED, KEY_FIND_UNKNOWN } find;
    int last, step, limit; /* of a range: the last is counted from the first, or from the end */
};

/* Keys at position `index`, behind their number. */
#define KEY_SPEC_COUNTED(index_, flags_)                                                           \
    { .flags = (flags_), .index = (index_), .find = KEY_FIND_COUNTED }
/* One key at position `index`. */
#define KEY_SPEC_ONE(index_, flags_)                                                               \
    { .flags = (flags_), .index = (index_), .step = 1 }
#define KEY_SPEC_END                                                                               \
    { .flags = 0 }

struct command_context;
typedef void (*command_fn)(struct command_context *ctx);
/* Finds keys that are not at fixed positions: writes up to `room` positions, returns how many there
 * are, or -1 when the arguments make no sense. */
typedef int (*command_find_keys_fn)(const struct slice *args, size_t args_count, int *positions,
                                    size_t room);

enum { COMMAND_FETCHES_ENDS = 1 };

struct command {
    const char *name;   /* lower case; of a subcommand its own word */
    const char *parent; /* the container command's name, for a subcommand */
    command_fn handler; /* NULL for a mere container */
    int arity;          /* command word included; negative: at least that many */
    uint32_t flags;
    uint32_t categories;
    struct command_keys keys;
    uint32_t key_flags;
    struct command_keys more_keys; /* a second run of keys with flags of its own, or zero */
    uint32_t more_key_flags;       /* with `find_keys`: of all but the key at keys.first */
    command_find_keys_fn find_keys;
    /* What to fetch ahead of the request: the element named there; with COMMAND_FETCHES_ENDS only
     * what leads to elements; 0: just the entry. */
    unsigned element_arg;
    const struct key_spec *key_specs; /* NULL: `keys` and `more_keys` say it all */
    const char *group;                /* as in COMMAND DOCS: "string", "generic", "server", ... */
    const char *since;
    const char *cost;   /* the complexity */
    const char *syntax; /* the arguments, as in the documentation: "key [EX seconds | PERSIST]" */
    const char *summary;
};

struct command_limits {
    uint64_t value_bytes_max;      /* proto-max-bulk-len: longest string that a command may build */
    uint64_t hll_sparse_bytes_max; /* hll-sparse-max-bytes: longer ones become dense */
    bool shows_shared_integers;    /* OBJECT REFCOUNT: no LRU or LFU policy with a maxmemory */
};

/* What a handler waits for that has found nothing: the keys named by `keys_count` arguments from
 * `keys_first` on. */
struct command_wait {
    bool wants_any;       /* is executed again for any change of a key, its removal included ... */
    enum value_type type; /* ... else only when the key that changed holds this */
    size_t keys_first, keys_count;
    int64_t timeout_ms; /* 0: for ever */
    /* What is to be executed again, as many arguments as there are, where those of the request
     * would mean something else by then; NULL: as they are. */
    const struct slice *args;
    /* Set by command_block(): */
    struct slice *args_kept; /* a copy, as request_args_copy() makes it; NULL: memory is out */
    size_t args_kept_bytes;
};

struct command_context {
    struct store *store;
    struct node *node;
    struct client *client;
    const struct command *row;
    const struct slice *args; /* args[0] is the command word; valid during the call */
    size_t args_count;
    unsigned db; /* the client's database */
    struct reply *reply;
    const struct command_limits *limits;
    const int64_t *output_bytes_max; /* with more output the client is disconnected; 0: none */
    uint64_t first_key_hash;         /* of args[row->keys.first], where has_first_key_hash */
    bool has_first_key_hash;
    bool in_transaction; /* inside EXEC: must not block */
    bool is_blocked;     /* command_block() was called; `wait` has for what */
    struct command_wait *wait;
    struct lent_block *lent;     /* the block that a large argument came in, or NULL: strings.h */
    const struct key *ready_key; /* that changed, for a request that is executed again; or NULL */
};

/* The table of a family. */
struct command_family {
    const struct command *rows;
    size_t count;
};

extern const struct command_family cmd_string_family;
extern const struct command_family cmd_bitmap_family;
extern const struct command_family cmd_hyperloglog_family;
extern const struct command_family cmd_lcs_family;
extern const struct command_family cmd_key_family;
extern const struct command_family cmd_scan_family;
extern const struct command_family cmd_object_family;
extern const struct command_family cmd_expire_family;
extern const struct command_family cmd_dump_family;
extern const struct command_family cmd_database_family;
extern const struct command_family cmd_hash_family;
extern const struct command_family cmd_hash_expire_family;
extern const struct command_family cmd_set_family;
extern const struct command_family cmd_set_random_family;
extern const struct command_family cmd_set_algebra_family;
extern const struct command_family cmd_sorted_set_family;
extern const struct command_family cmd_sorted_set_range_family;
extern const struct command_family cmd_sorted_set_algebra_family;
extern const struct command_family cmd_geo_family;
extern const struct command_family cmd_sort_family;
extern const struct command_family cmd_list_family;
extern const struct command_family cmd_stream_family;
extern const struct command_family cmd_stream_read_family;
extern const struct command_family cmd_stream_group_family;
extern const struct command_family cmd_stream_pending_family;
extern const struct command_family cmd_stream_info_family;

/* Ends a family file: names the family after its rows. */
#define COMMAND_FAMILY(name, rows_array)                                                           \
    const struct command_family name = {.rows = (rows_array),                                      \
                                        .count = sizeof(rows_array) / sizeof((rows_array)[0])}

/* ---- help for handlers ---- */

#define COMMAND_SYNTAX_ERROR "ERR syntax error"
#define COMMAND_NOT_INTEGER "ERR value is not an integer or out of range"
#define COMMAND_NOT_FLOAT "ERR value is not a valid float"
#define COMMAND_WRONG_TYPE "WRONGTYPE Operation against a key holding the wrong kind of value"
#define COMMAND_NO_KEY "ERR no such key"
#define COMMAND_TOO_LONG "ERR string exceeds maximum allowed size (proto-max-bulk-len)"

/* The key named by argument `index`. */
struct key command_key(const struct command_context *ctx, size_t index);
/* Writes the error that a store status stands for; not for STORE_OK. */
void command_reply_status(struct command_context *ctx, enum store_status status);
/* Reads argument `index` as an integer; writes `error` (NULL: COMMAND_NOT_INTEGER) and returns
 * false when it is none. */
bool command_integer(struct command_context *ctx, size_t index, int64_t *value, const char *error);
/* Likewise, as a count that may be negative but can be negated. */
bool command_signed_count(struct command_context *ctx, size_t index, int64_t *count);
/* Is the reply that began at `begin` so long that the handler has to return at once? Either the
 * client will be disconnected for it, or it is replaced by an error. For replies whose length a
 * client can choose freely. */
bool command_reply_is_too_long(struct command_context *ctx, size_t begin);
/* The same for an integer of at least `min`; below it, `error` is written, too. */
bool command_integer_from(struct command_context *ctx, size_t index, int64_t min, int64_t *value,
                          const char *error);
/* Reads the timeout argument of a blocking command, in seconds with a fraction, as milliseconds;
 * false, with the error written, when it is none. */
bool command_timeout(struct command_context *ctx, size_t index, int64_t *timeout_ms);
/* Blocks the client: its request is kept, and executed again, with `ready_key`, when there may be
 * something for it. The handler has replied nothing then, and writes nothing afterwards. When the
 * time is over the reply is null. False where a command must not block: reply as if the time were
 * over. `wait` and what it points to need to be valid during the call only. */
bool command_block(struct command_context *ctx, const struct command_wait *wait);
/* Is there to be looked at this key? A request that is executed again looks at the key that
 * changed: the others had nothing for it, or are served in their turn. */
static inline bool command_looks_at(const struct command_context *ctx, const struct key *key) {
    return likely(ctx->ready_key == NULL) ||
           (ctx->ready_key->hash == key->hash && slice_equal(ctx->ready_key->name, key->name));
}
/* Is argument `index` this word, in any case? `lower` is in lower case. */
static inline bool command_word(const struct command_context *ctx, size_t index,
                                const char *lower) {
    return slice_is_word(ctx->args[index], lower);
}
/* The entry of the key named by argument `index`, or NULL: counts as a read, but leaves the access
 * time alone. For commands that ask about a key rather than for its value. */
static inline struct entry *command_look(struct command_context *ctx, size_t index) {
    struct key key = command_key(ctx, index);
    bool no_touch = ctx->store->no_touch;
    ctx->store->no_touch = true;
    struct entry *entry = store_read(ctx->store, &key);
    ctx->store->no_touch = no_touch;
    return entry;
}
/* What TYPE calls the entry's value. */
static inline const char *command_type_name(const struct entry *entry) {
    static const char *const NAMES[VALUE_TYPES_COUNT] = {"string", "hash", "set",
                                                         "zset",   "list", "stream"};
    return NAMES[entry_type(entry)];
}
/* What OBJECT ENCODING calls the form in which the entry's value is kept. */
const char *command_encoding_name(const struct store *store, const struct entry *entry);
/* The string value of the key named by argument `index`: STORE_OK with `*value` valid until the
 * key changes, STORE_ABSENT, or STORE_WRONG_TYPE. Counts as a read. */
enum store_status command_read_string(struct command_context *ctx, size_t index,
                                      struct entry_scratch *scratch, struct slice *value);
/* Parses the time argument `index` of an expiry option (EX, PX, EXAT, PXAT by `is_seconds` and
 * `is_absolute`) into Unix milliseconds; on a bad or overflowing time writes Redis's error
 * "ERR invalid expire time in '<command>' command" and returns false. */
bool command_expire_time(struct command_context *ctx, size_t index, bool is_seconds,
                         bool is_absolute, uint64_t *expire_unix_ms);
/* Tells of an expiry that store_expire() has set, removed (0), or carried out as it was past. */
void command_notify_expiry(struct command_context *ctx, const struct key *key,
                           uint64_t expire_unix_ms);
/* Is the entry a string? */
static inline bool command_is_string(const struct entry *entry) {
    return entry_type(entry) == VALUE_STRING;
}

#endif
