/* SPDX-License-Identifier: BSD-3-Clause */
/* The slow log: a ring of the last requests that took long. An entry keeps at most
 * SLOWLOG_ARGUMENTS_MAX arguments of at most SLOWLOG_ARGUMENT_BYTES_MAX bytes, in one block behind
 * their slices; secrets are not kept at all. */
#include <stdio.h>

#include "node/node.h"

enum {
    SLOWLOG_ARGUMENTS_MAX = 32,
    SLOWLOG_ARGUMENT_BYTES_MAX = 128,
    SLOWLOG_NOTE_BYTES_MAX = 48, /* "... (N more bytes)" */
    SLOWLOG_CAPACITY_FIRST = 16,
};

bool slowlog_is_secret(const struct slice *args, size_t args_count, size_t index) {
    if (args_count < 2 || index == 0) {
        return false;
    }
    if (slice_is_word(args[0], "auth")) {
        return true;
    }
    if (slice_is_word(args[0], "acl")) {
        return index >= 2 && slice_is_word(args[1], "setuser");
    }
    if (slice_is_word(args[0], "config")) {
        return index >= 3 && index % 2 == 1 && slice_is_word(args[1], "set") &&
               config_is_sensitive(args[index - 1]);
    }
    if (slice_is_word(args[0], "hello")) {
        return (index >= 3 && slice_is_word(args[index - 1], "auth")) ||
               (index >= 4 && slice_is_word(args[index - 2], "auth"));
    }
    if (slice_is_word(args[0], "migrate")) {
        return cmd_migrate_is_secret(args, args_count, index);
    }
    return false;
}

static void slowlog_entry_deinit(struct slowlog_entry *entry) {
    memory_free(entry->args);
    memory_free(entry->address);
    memory_free(entry->client_name);
}

void slowlog_reset(struct node *node) {
    for (size_t i = 0; i < node->slowlog_count; i++) {
        slowlog_entry_deinit(&node->slowlog[(node->slowlog_first + i) % node->slowlog_capacity]);
    }
    memory_free(node->slowlog);
    node->slowlog = NULL;
    node->slowlog_count = node->slowlog_capacity = node->slowlog_first = 0;
}

/* Makes the ring large enough for one more entry, its oldest first. */
static void slowlog_grow(struct node *node) {
    size_t capacity =
        node->slowlog_capacity == 0 ? SLOWLOG_CAPACITY_FIRST : node->slowlog_capacity * 2;
    struct slowlog_entry *entries = memory_alloc(capacity * sizeof(*entries));
    for (size_t i = 0; i < node->slowlog_count; i++) {
        entries[i] = node->slowlog[(node->slowlog_first + i) % node->slowlog_capacity];
    }
    memory_free(node->slowlog);
    node->slowlog = entries;
    node->slowlog_capacity = capacity;
    node->slowlog_first = 0;
}

static void slowlog_drop_oldest(struct node *node) {
    slowlog_entry_deinit(&node->slowlog[node->slowlog_first]);
    node->slowlog_first = (node->slowlog_first + 1) % node->slowlog_capacity;
    node->slowlog_count--;
}

/* Appends what the slow log shows of one argument. */
static void slowlog_append_argument(struct buffer *text, const struct slice *args,
                                    size_t args_count, size_t index) {
    if (args_count > SLOWLOG_ARGUMENTS_MAX && index == SLOWLOG_ARGUMENTS_MAX - 1) {
        buffer_printf(text, "... (%zu more arguments)", args_count - SLOWLOG_ARGUMENTS_MAX + 1);
    } else if (slowlog_is_secret(args, args_count, index)) {
        buffer_append_slice(text, SLICE("(redacted)"));
    } else if (args[index].size > SLOWLOG_ARGUMENT_BYTES_MAX) {
        buffer_append(text, args[index].data, SLOWLOG_ARGUMENT_BYTES_MAX);
        buffer_printf(text, "... (%zu more bytes)", args[index].size - SLOWLOG_ARGUMENT_BYTES_MAX);
    } else {
        buffer_append_slice(text, args[index]);
    }
}

/* Copies the arguments, shortened, into one block. */
static void slowlog_copy_arguments(struct slowlog_entry *entry, const struct slice *args,
                                   size_t args_count) {
    size_t count = args_count < SLOWLOG_ARGUMENTS_MAX ? args_count : SLOWLOG_ARGUMENTS_MAX;
    size_t ends[SLOWLOG_ARGUMENTS_MAX];
    struct buffer text = {0};
    buffer_reserve(&text, count * SLOWLOG_NOTE_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        slowlog_append_argument(&text, args, args_count, i);
        ends[i] = text.size;
    }
    entry->args = memory_alloc(count * sizeof(struct slice) + text.size);
    char *bytes = (char *)(entry->args + count);
    if (text.size > 0) {
        memcpy(bytes, text.data, text.size);
    }
    for (size_t i = 0; i < count; i++) {
        size_t begin = i == 0 ? 0 : ends[i - 1];
        entry->args[i] = slice_make(bytes + begin, ends[i] - begin);
    }
    entry->args_count = count;
    buffer_deinit(&text);
}

void slowlog_add(struct node *node, struct client *client, const struct slice *args,
                 size_t args_count, uint64_t duration_us) {
    size_t entries_max = (size_t)node->options->slowlog_max_len;
    if (entries_max > 0) {
        if (node->slowlog_count == node->slowlog_capacity && node->slowlog_count < entries_max) {
            slowlog_grow(node);
        }
        if (node->slowlog_count == node->slowlog_capacity) {
            slowlog_drop_oldest(node);
        }
        size_t at = (node->slowlog_first + node->slowlog_count) % node->slowlog_capacity;
        struct slowlog_entry *entry = &node->slowlog[at];
        *entry = (struct slowlog_entry){
            .id = node->slowlog_next_id,
            .unix_seconds = node->now_ms / 1000,
            .duration_us = duration_us,
            .address = memory_copy_text(client->address != NULL ? client->address : ""),
            .client_name = memory_copy_text(client->name != NULL ? client->name : ""),
        };
        slowlog_copy_arguments(entry, args, args_count);
        node->slowlog_count++;
    }
    node->slowlog_next_id++;
    while (node->slowlog_count > entries_max) {
        slowlog_drop_oldest(node);
    }
}
