/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of a server: one plain struct whose fields expand from options.def.
 *
 * An option is a row of the table: a field here, a name (and maybe an older alias) in files and
 * in CONFIG, a type, a default, bounds, and flags that say when it may change. The value is kept
 * in the field in the form that code wants; its text is made when somebody asks.
 *
 * The struct owns its texts and lists. A borrowed text stays valid until that same option is
 * set again. One thread at a time. Field types:
 *   OPT_BOOL    bool
 *   OPT_INT     int64_t        a number within the row's bounds
 *   OPT_MEMORY  int64_t        bytes, never negative
 *   OPT_SHARE   int64_t        bytes; a negative value -N means N percent of maxmemory
 *   OPT_OCTAL   int64_t        file permission bits, written in octal
 *   OPT_ENUM    int            index of the word in the row; named below where code uses it
 *   OPT_TEXT    char *         never NULL, "" when unset
 *   OPT_CUSTOM  struct option_<class> */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define OPTION_SAVE_POINTS_MAX 64
#define OPTION_PERCENTILES_MAX 32
#define OPTION_WORDS_MAX (2 * OPTION_SAVE_POINTS_MAX)
#define OPTION_RENAMES_MAX 1024

/* Flags of a row. OPT_LIVE, the absence of the others, is for the reader of the table. */
enum option_flags {
    OPT_LIVE = 0,
    OPT_START = 1 << 0,     /* only a file or the command line may set it */
    OPT_PROTECTED = 1 << 1, /* CONFIG SET needs enable-protected-configs */
    OPT_HIDDEN = 1 << 2,    /* CONFIG GET shows it by its exact name only */
    OPT_MULTI = 1 << 3,     /* takes several words */
    OPT_REPEAT = 1 << 4,    /* each line adds to those before it */
    OPT_ACCEPTED = 1 << 5,  /* known to Redis; parsed, kept and echoed, changes nothing here */
    OPT_SENSITIVE = 1 << 6, /* a secret: kept out of logs and of the slow log */
    OPT_FILE_ONLY = 1 << 7, /* a directive, not a parameter: CONFIG GET and SET do not know it */
    OPT_REFUSED = 1 << 8    /* any value but the default is an error: ignoring it would be unsafe */
};

/* A growable list of owned texts, for `bind` and the like. */
struct option_words {
    char **words;
    size_t count;
};

/* `rename-command old new`, in the order given; words[2 * i] becomes words[2 * i + 1]. */
#define option_renames option_words

/* `save seconds changes ...`: snapshot after that many seconds if so many changes were made. */
struct option_save_points {
    struct {
        int64_t seconds;
        int64_t changes;
    } points[OPTION_SAVE_POINTS_MAX];
    size_t count;
};

enum option_client_class {
    OPTION_CLIENT_NORMAL,
    OPTION_CLIENT_REPLICA,
    OPTION_CLIENT_PUBSUB,
    OPTION_CLIENT_CLASSES
};

/* `client-output-buffer-limit`: indexed by enum option_client_class; 0 means no limit. */
struct option_output_limits {
    struct {
        int64_t hard_bytes;
        int64_t soft_bytes;
        int64_t soft_seconds;
    } classes[OPTION_CLIENT_CLASSES];
};

struct option_percentiles {
    double values[OPTION_PERCENTILES_MAX];
    size_t count;
};

/* `oom-score-adj-values`: for a primary, a replica, and background children. */
struct option_oom_scores {
    int64_t values[3];
};

/* `notify-keyspace-events` as bits. */
enum option_notify {
    OPTION_NOTIFY_KEYSPACE = 1 << 0, /* K */
    OPTION_NOTIFY_KEYEVENT = 1 << 1, /* E */
    OPTION_NOTIFY_GENERIC = 1 << 2,  /* g */
    OPTION_NOTIFY_STRING = 1 << 3,   /* $ */
    OPTION_NOTIFY_LIST = 1 << 4,     /* l */
    OPTION_NOTIFY_SET = 1 << 5,      /* s */
    OPTION_NOTIFY_HASH = 1 << 6,     /* h */
    OPTION_NOTIFY_ZSET = 1 << 7,     /* z */
    OPTION_NOTIFY_EXPIRED = 1 << 8,  /* x */
    OPTION_NOTIFY_EVICTED = 1 << 9,  /* e */
    OPTION_NOTIFY_STREAM = 1 << 10,  /* t */
    OPTION_NOTIFY_MISS = 1 << 11,    /* m, not part of A */
    OPTION_NOTIFY_MODULE = 1 << 12,  /* d */
    OPTION_NOTIFY_NEW = 1 << 13,     /* n, not part of A */
    OPTION_NOTIFY_ALL = 0x17fc       /* A */
};

struct option_notify_events {
    uint32_t bits;
};

/* `shutdown-on-sigint`, `shutdown-on-sigterm`: bits, 0 is "default". */
enum option_shutdown {
    OPTION_SHUTDOWN_SAVE = 1 << 0,
    OPTION_SHUTDOWN_NOSAVE = 1 << 1,
    OPTION_SHUTDOWN_NOW = 1 << 2,
    OPTION_SHUTDOWN_FORCE = 1 << 3
};

struct option_shutdown_flags {
    uint32_t bits;
};

/* Words of the OPT_ENUM rows that code looks at; the order is that of the row. */
enum option_loglevel {
    OPTION_LOGLEVEL_DEBUG,
    OPTION_LOGLEVEL_VERBOSE,
    OPTION_LOGLEVEL_NOTICE,
    OPTION_LOGLEVEL_WARNING,
    OPTION_LOGLEVEL_NOTHING
};

enum option_appendfsync {
    OPTION_APPENDFSYNC_EVERYSEC,
    OPTION_APPENDFSYNC_ALWAYS,
    OPTION_APPENDFSYNC_NO
};

enum option_maxmemory_policy {
    OPTION_MAXMEMORY_VOLATILE_LRU,
    OPTION_MAXMEMORY_VOLATILE_LFU,
    OPTION_MAXMEMORY_VOLATILE_RANDOM,
    OPTION_MAXMEMORY_VOLATILE_TTL,
    OPTION_MAXMEMORY_ALLKEYS_LRU,
    OPTION_MAXMEMORY_ALLKEYS_LFU,
    OPTION_MAXMEMORY_ALLKEYS_RANDOM,
    OPTION_MAXMEMORY_NOEVICTION
};

enum option_oom_score_adj {
    OPTION_OOM_SCORE_ADJ_NO,
    OPTION_OOM_SCORE_ADJ_YES, /* relative */
    OPTION_OOM_SCORE_ADJ_RELATIVE,
    OPTION_OOM_SCORE_ADJ_ABSOLUTE
};

enum option_mesh_compression {
    OPTION_MESH_COMPRESSION_NO,
    OPTION_MESH_COMPRESSION_YES,
    OPTION_MESH_COMPRESSION_AUTO
};

enum option_tls_auth_clients {
    OPTION_TLS_AUTH_CLIENTS_NO,
    OPTION_TLS_AUTH_CLIENTS_YES,
    OPTION_TLS_AUTH_CLIENTS_OPTIONAL
};

/* enable-debug-command, enable-protected-configs, enable-module-command. */
enum option_access { OPTION_ACCESS_NO, OPTION_ACCESS_YES, OPTION_ACCESS_LOCAL };

struct options {
#define OPT_BOOL(field, ...) bool field;
#define OPT_INT(field, ...) int64_t field;
#define OPT_MEMORY(field, ...) int64_t field;
#define OPT_SHARE(field, ...) int64_t field;
#define OPT_OCTAL(field, ...) int64_t field;
#define OPT_ENUM(field, ...) int field;
#define OPT_TEXT(field, ...) char *field;
#define OPT_CUSTOM(field, name, alias, value, class, ...) struct option_##class field;
#include "config/options.def"
    char *config_file; /* path of the file named on the command line, "" for none; owned */
};

/* One id for each row, OPTION_<field>, in table order. */
enum option_id {
#define OPT_BOOL(field, ...) OPTION_##field,
#define OPT_INT(field, ...) OPTION_##field,
#define OPT_MEMORY(field, ...) OPTION_##field,
#define OPT_SHARE(field, ...) OPTION_##field,
#define OPT_OCTAL(field, ...) OPTION_##field,
#define OPT_ENUM(field, ...) OPTION_##field,
#define OPT_TEXT(field, ...) OPTION_##field,
#define OPT_CUSTOM(field, ...) OPTION_##field,
#include "config/options.def"
    OPTIONS_COUNT
};

/* Fills every field with its default; the struct held nothing before. */
void options_init(struct options *options);
/* Frees what the fields own. */
void options_deinit(struct options *options);
/* Makes `to`, which held nothing, an independent copy of `from`. */
void options_dup(const struct options *from, struct options *to);
/* Remembers the (best absolute) path that CONFIG REWRITE writes to. */
void options_set_config_file(struct options *options, const char *path);
/* The name of an option as it stands in a file. */
const char *options_name(enum option_id id);

#endif
