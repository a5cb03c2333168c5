/* SPDX-License-Identifier: BSD-3-Clause */
/* MIGRATE: its arguments. What is done with them is in migration.h. */
#include "node/node.h"

enum {
    MIGRATE_OPTIONS = 6, /* where they begin */
    MIGRATE_KEY = 3,
    TIMEOUT_MS_DEFAULT = 1000,
};

/* Reads what stands behind the timeout. Returns NULL, or the error. */
static const char *migrate_options(const struct slice *args, size_t args_count,
                                   struct migration_request *request) {
    request->keys_first = MIGRATE_KEY;
    request->keys_count = 1;
    for (size_t i = MIGRATE_OPTIONS; i < args_count; i++) {
        size_t left = args_count - i - 1;
        if (slice_is_word(args[i], "copy")) {
            request->copies = true;
        } else if (slice_is_word(args[i], "replace")) {
            request->replaces = true;
        } else if (slice_is_word(args[i], "auth") && left >= 1) {
            request->user = 0;
            request->password = i + 1;
            i += 1;
        } else if (slice_is_word(args[i], "auth2") && left >= 2) {
            request->user = i + 1;
            request->password = i + 2;
            i += 2;
        } else if (slice_is_word(args[i], "keys")) {
            if (args[MIGRATE_KEY].size != 0) {
                return "ERR When using MIGRATE KEYS option, the key argument must be set to the "
                       "empty string";
            }
            request->keys_first = i + 1;
            request->keys_count = left;
            return NULL;
        } else {
            return COMMAND_SYNTAX_ERROR;
        }
    }
    return NULL;
}

static bool migrate_has_keys(struct command_context *ctx, const struct migration_request *request) {
    for (size_t i = 0; i < request->keys_count; i++) {
        struct key key = command_key(ctx, request->keys_first + i);
        if (store_read(ctx->store, &key) != NULL) {
            return true;
        }
    }
    return false;
}

/* MIGRATE host port <key | ""> destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2
 * username password] [KEYS key [key ...]] */
static void cmd_migrate(struct command_context *ctx) {
    struct migration_request request = {0};
    int64_t port;
    const char *error = migrate_options(ctx->args, ctx->args_count, &request);
    if (error != NULL) {
        reply_error(ctx->reply, error);
        return;
    }
    if (!command_integer(ctx, 5, &request.timeout_ms, NULL) ||
        !command_integer(ctx, 4, &request.target_db, NULL)) {
        return;
    }
    if (request.timeout_ms <= 0) {
        request.timeout_ms = TIMEOUT_MS_DEFAULT;
    }
    if (!migrate_has_keys(ctx, &request)) {
        reply_simple(ctx->reply, "NOKEY");
        return;
    }
    if (!number_parse_integer(ctx->args[2], &port) || port < 1 || port > UINT16_MAX) {
        reply_error(ctx->reply, "IOERR error or timeout connecting to the client");
        return;
    }
    request.port = (unsigned)port;
    (void)migration_begin(ctx, &request);
}

static int migrate_find_keys(const struct slice *args, size_t args_count, int *positions,
                             size_t room) {
    struct migration_request request = {0};
    if (args_count < MIGRATE_OPTIONS || migrate_options(args, args_count, &request) != NULL) {
        return -1;
    }
    for (size_t i = 0; i < request.keys_count && i < room; i++) {
        positions[i] = (int)(request.keys_first + i);
    }
    return (int)request.keys_count;
}

bool cmd_migrate_is_secret(const struct slice *args, size_t args_count, size_t index) {
    struct migration_request request = {0};
    if (args_count < MIGRATE_OPTIONS || index < MIGRATE_OPTIONS) {
        return false;
    }
    /* Up to an error in the options, if there is one. */
    (void)migrate_options(args, args_count, &request);
    return index == request.password || (index == request.user && request.user > 0);
}

static const struct key_spec migrate_specs[] = {
    KEY_SPEC_ONE(MIGRATE_KEY, KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE),
    {.flags = KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE | KEY_INCOMPLETE,
     .begin = KEY_BEGIN_KEYWORD,
     .keyword = "KEYS",
     .index = -2,
     .last = -1,
     .step = 1},
    KEY_SPEC_END};

static const struct command cmd_migrate_rows[] = {
    {.name = "migrate",
     .handler = cmd_migrate,
     .arity = -6,
     .flags = CMD_WRITE | CMD_MOVABLE_KEYS | CMD_NO_MULTI,
     .categories = CATEGORY_KEYSPACE | CATEGORY_DANGEROUS,
     .keys = {MIGRATE_KEY, MIGRATE_KEY, 1},
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE,
     .find_keys = migrate_find_keys,
     .key_specs = migrate_specs,
     .group = "generic",
     .since = "2.6.0",
     .cost = "O(N) where N is the size of the values, here and on the other server, and to "
             "transfer them.",
     .syntax = "host port <key | \"\"> destination-db timeout [COPY] [REPLACE] [AUTH password | "
               "AUTH2 username password] [KEYS key [key ...]]",
     .summary = "Moves or copies keys to another server."},
};

COMMAND_FAMILY(cmd_migrate_family, cmd_migrate_rows);
