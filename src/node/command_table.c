/* SPDX-License-Identifier: BSD-3-Clause */
#include "node/command_table.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"

/* Enough for all commands that there are: indexed once. */
enum { SLOTS_FIRST = 2048 };

void command_table_init(struct command_table *table) {
    *table = (struct command_table){0};
}

void command_table_deinit(struct command_table *table) {
    memory_free(table->rows);
    memory_free(table->slots);
    memory_free(table->row_slots);
    memory_free(table->names);
    memory_free(table->subs);
    *table = (struct command_table){0};
}

static const char *name_of(const struct command_table *table, size_t index) {
    return table->names[index] != NULL ? table->names[index] : table->rows[index]->name;
}

static size_t row_hash(const struct command *row) {
    return (size_t)(((uint64_t)(uintptr_t)row * 0x9E3779B97F4A7C15ULL) >> 40);
}

/* What a name is compared by: as one of 16 bytes at most, whose letters are in lower case. */
static inline struct command_slot name_words(struct slice name) {
    const uint64_t lower = 0x2020202020202020ULL;
    struct command_slot words = {.size = name.size};
    hash_load_rest(name.data, name.size, &words.low, &words.high);
    words.low |= lower;
    words.high |= lower;
    return words;
}

static inline size_t words_hash(const struct command_slot *words) {
    return (size_t)hash_fold(words->low ^ words->size, words->high ^ HASH_ODD1);
}

/* Not so when it is long, or has other characters than letters: these have a different one beside
 * them, too. */
static bool has_own_words(struct slice name) {
    bool is_word = name.size <= 2 * sizeof(uint64_t);
    for (size_t i = 0; i < name.size; i++) {
        char c = (char)(name.data[i] | 0x20);
        is_word &= c >= 'a' && c <= 'z';
    }
    return is_word;
}

/* Equal but for ASCII case, on both sides: a new name may have capitals. */
static bool slice_is_name(struct slice a, const char *name) {
    size_t i = 0;
    for (; i < a.size && name[i] != '\0'; i++) {
        char c = a.data[i], d = name[i];
        c = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        d = d >= 'A' && d <= 'Z' ? (char)(d | 0x20) : d;
        if (c != d) {
            return false;
        }
    }
    return i == a.size && name[i] == '\0';
}

static void index_row(struct command_table *table, size_t index) {
    size_t mask = table->slots_count - 1;
    size_t by_row = row_hash(table->rows[index]) & mask;
    while (table->row_slots[by_row] != 0) {
        by_row = (by_row + 1) & mask;
    }
    table->row_slots[by_row] = (uint32_t)index + 1;
    if (table->rows[index]->parent != NULL || name_of(table, index)[0] == '\0') {
        return;
    }
    struct slice name = slice_of(name_of(table, index));
    struct command_slot slot = name_words(name);
    size_t at = words_hash(&slot) & mask;
    while (table->slots[at].index != 0) {
        at = (at + 1) & mask;
    }
    slot.index = (uint32_t)index + 1;
    slot.is_unsure = !has_own_words(name);
    table->slots[at] = slot;
}

static void index_all(struct command_table *table, size_t slots_count) {
    memory_free(table->slots);
    memory_free(table->row_slots);
    table->slots = memory_alloc_zero(slots_count * sizeof(table->slots[0]));
    table->row_slots = memory_alloc_zero(slots_count * sizeof(table->row_slots[0]));
    table->slots_count = slots_count;
    for (size_t i = 0; i < table->count; i++) {
        index_row(table, i);
    }
}

/* Rows from `first` on are new. */
static void index_new(struct command_table *table, size_t first) {
    size_t slots_count = table->slots_count == 0 ? SLOTS_FIRST : table->slots_count;
    while (slots_count < 4 * table->count) {
        slots_count *= 2;
    }
    if (slots_count != table->slots_count) {
        index_all(table, slots_count);
        return;
    }
    for (size_t i = first; i < table->count; i++) {
        index_row(table, i);
    }
}

/* Puts the subcommand at `index` into the chain of its parent, which is in the table. */
static void command_table_chain(struct command_table *table, size_t index) {
    size_t parent = index; /* it is near, in the same family, and often before */
    while (table->rows[parent]->parent != NULL ||
           strcmp(table->rows[parent]->name, table->rows[index]->parent) != 0) {
        parent = (parent == 0 ? table->count : parent) - 1;
        require(parent != index);
    }
    table->subs[index].next = table->subs[parent].first;
    table->subs[parent].first = (uint32_t)index + 1;
}

void command_table_add(struct command_table *table, const struct command_family *family) {
    size_t before = table->count;
    if (table->capacity < table->count + family->count) {
        table->capacity = 2 * (table->count + family->count);
        table->rows = memory_resize(table->rows, table->capacity * sizeof(table->rows[0]));
        table->names = memory_resize(table->names, table->capacity * sizeof(table->names[0]));
        table->subs = memory_resize(table->subs, table->capacity * sizeof(table->subs[0]));
    }
    for (size_t i = 0; i < family->count; i++) {
        table->names[table->count] = NULL;
        table->subs[table->count] = (struct command_subs){0};
        table->rows[table->count++] = &family->rows[i];
    }
    for (size_t i = before; i < table->count; i++) {
        if (table->rows[i]->parent != NULL) {
            command_table_chain(table, i);
        }
    }
    index_new(table, before);
}

bool command_table_rename(struct command_table *table, struct slice from, const char *to) {
    const struct command *row = command_table_find(table, from);
    const struct command *taken = to[0] != '\0' ? command_table_find(table, slice_of(to)) : NULL;
    if (row == NULL || (taken != NULL && taken != row)) {
        return false;
    }
    table->names[command_table_index(table, row)] = to;
    index_all(table, table->slots_count);
    return true;
}

const struct command *command_table_find(const struct command_table *table, struct slice name) {
    struct command_slot words = name_words(name);
    size_t mask = table->slots_count - 1;
    for (size_t at = words_hash(&words) & mask; table->slots[at].index != 0; at = (at + 1) & mask) {
        const struct command_slot *slot = &table->slots[at];
        size_t index = slot->index - 1;
        if (slot->low == words.low && slot->high == words.high && slot->size == words.size &&
            (likely(!slot->is_unsure) || slice_is_name(name, name_of(table, index)))) {
            return table->rows[index];
        }
    }
    return NULL;
}

const struct command *command_table_find_sub(const struct command_table *table,
                                             const struct command *parent, struct slice name) {
    const struct command_subs *subs = table->subs;
    for (size_t i = subs[command_table_index(table, parent)].first; i != 0; i = subs[i - 1].next) {
        if (slice_is_word(name, table->rows[i - 1]->name)) {
            return table->rows[i - 1];
        }
    }
    return NULL;
}

bool command_table_is_container(const struct command_table *table, const struct command *row) {
    return table->subs[command_table_index(table, row)].first != 0;
}

size_t command_table_index(const struct command_table *table, const struct command *row) {
    size_t at = row_hash(row) & (table->slots_count - 1);
    while (table->rows[table->row_slots[at] - 1] != row) {
        at = (at + 1) & (table->slots_count - 1);
        require(table->row_slots[at] != 0);
    }
    return table->row_slots[at] - 1;
}

void command_table_full_name(const struct command *row, struct buffer *name) {
    if (row->parent != NULL) {
        buffer_printf(name, "%s|", row->parent);
    }
    buffer_append_slice(name, slice_of(row->name));
}

static int keys_of_range(struct command_keys keys, size_t args_count, int *positions, size_t room,
                         int count) {
    if (keys.first == 0) {
        return count;
    }
    int last = keys.last >= 0 ? keys.last : (int)args_count + keys.last;
    for (int at = keys.first; at <= last && at < (int)args_count; at += keys.step) {
        if ((size_t)count < room) {
            positions[count] = at;
        }
        count++;
    }
    return count;
}

int command_table_keys(const struct command *row, const struct slice *args, size_t args_count,
                       int *positions, size_t room) {
    if (row->find_keys != NULL) {
        return row->find_keys(args, args_count, positions, room);
    }
    int count = keys_of_range(row->keys, args_count, positions, room, 0);
    return keys_of_range(row->more_keys, args_count, positions, room, count);
}
