/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands/scored_members.h"

#include <stdlib.h>

/* ---- replies ---- */

void scored_reply_begin(struct reply *reply, uint64_t count, bool with_scores) {
    reply_array(reply, with_scores && reply->protocol < 3 ? 2 * count : count);
}

void scored_reply_member(struct reply *reply, struct slice name, double score, bool with_scores) {
    if (with_scores && reply->protocol >= 3) {
        reply_array(reply, 2);
    }
    reply_bulk(reply, name);
    if (with_scores) {
        reply_double(reply, score);
    }
}

/* ---- lists ---- */

void scored_members_deinit(struct scored_members *members) {
    memory_free(members->items);
    *members = (struct scored_members){0};
}

static bool grow(struct scored_members *members) {
    size_t capacity = members->capacity > 0 ? 2 * members->capacity : 64;
    struct scored_member *items = memory_try_alloc(capacity * sizeof(*items));
    if (items == NULL) {
        members->is_out_of_memory = true;
        return false;
    }
    if (members->count > 0) {
        memcpy(items, members->items, members->count * sizeof(*items));
    }
    memory_free(members->items);
    members->items = items;
    members->capacity = capacity;
    return true;
}

void scored_members_add(struct scored_members *members, const struct scored_member *member) {
    if (members->count < members->capacity || grow(members)) {
        members->items[members->count++] = *member;
    }
}

static int compare_scores(const void *left, const void *right) {
    const struct scored_member *a = left, *b = right;
    if (a->score != b->score) {
        return a->score < b->score ? -1 : 1;
    }
    return slice_compare(a->name, b->name);
}

static int compare_names(const void *left, const void *right) {
    const struct scored_member *a = left, *b = right;
    int order = slice_compare(a->name, b->name);
    return order != 0 ? order : a->input < b->input ? -1 : a->input > b->input;
}

void scored_members_sort(struct scored_members *members) {
    if (members->count > 1) {
        qsort(members->items, members->count, sizeof(members->items[0]), compare_scores);
    }
}

void scored_members_sort_by_name(struct scored_members *members) {
    if (members->count > 1) {
        qsort(members->items, members->count, sizeof(members->items[0]), compare_names);
    }
}

/* Copies the names to where they stay when their keys change. False when memory is out. */
static bool copy_names(const struct scored_members *members, char **names) {
    size_t size = 0, at = 0;
    for (size_t i = 0; i < members->count; i++) {
        size += members->items[i].name.size;
    }
    *names = memory_try_alloc(size + 1);
    if (*names == NULL) {
        return false;
    }
    for (size_t i = 0; i < members->count; i++) {
        struct slice name = members->items[i].name;
        if (name.size > 0) {
            memcpy(*names + at, name.data, name.size);
        }
        at += name.size;
    }
    return true;
}

void scored_members_store(struct command_context *ctx, size_t index,
                          const struct scored_members *members, const char *event) {
    struct key key = command_key(ctx, index);
    char *names;
    if (members->is_out_of_memory || !copy_names(members, &names)) {
        command_reply_status(ctx, STORE_OUT_OF_MEMORY);
        return;
    }
    /* A source may be the destination. */
    bool was_there = store_delete(ctx->store, &key);
    struct elements_writer writer;
    enum store_status status = elements_open(ctx->store, &key, VALUE_SORTED_SET, &writer);
    ensure(status == STORE_OK);
    writer.hides_new = was_there;
    elements_expect(&writer, members->count, true);
    size_t at = 0;
    for (size_t i = 0; i < members->count && status == STORE_OK; i++) {
        const struct scored_member *member = &members->items[i];
        bool is_new;
        status = element_set_score(&writer, slice_make(names + at, member->name.size),
                                   member->score, &is_new);
        at += member->name.size;
    }
    elements_close(&writer);
    memory_free(names);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    if (members->count > 0) {
        store_notify(ctx->store, NOTIFY_ZSET, event, &key);
    } else if (was_there) {
        store_notify(ctx->store, NOTIFY_GENERIC, "del", &key);
    }
    reply_integer(ctx->reply, (int64_t)members->count);
}

/* ---- arguments and events ---- */

int command_counted_keys(const struct slice *args, size_t args_count, size_t first, size_t at,
                         int *positions, size_t room) {
    int64_t keys_count;
    size_t count = 0;
    if (at >= args_count || !number_parse_integer(args[at], &keys_count) || keys_count < 1 ||
        (uint64_t)keys_count > args_count - at - 1) {
        return -1;
    }
    if (first != 0 && count < room) {
        positions[count++] = (int)first;
    }
    for (size_t i = 0; i < (size_t)keys_count && count < room; i++) {
        positions[count++] = (int)(at + 1 + i);
    }
    return (int)count;
}

void command_notify_removed(struct command_context *ctx, const struct key *key,
                            enum notify_class class_bit, const char *event) {
    if (ctx->store->notify_classes == 0) {
        return;
    }
    store_notify(ctx->store, class_bit, event, key);
    if (store_peek(ctx->store, key) == NULL) {
        store_notify(ctx->store, NOTIFY_GENERIC, "del", key);
    }
}
