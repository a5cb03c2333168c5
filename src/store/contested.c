/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/contested.h"

#include "store/mutate.h"

/* ---- elements ---- */

struct slice contested_register_bytes(const struct contested_register *reg,
                                      struct entry_scratch *scratch) {
    switch (reg->form) {
    case CONTESTED_BYTES:
        return slice_make(reg->bytes, reg->size);
    case CONTESTED_LARGE:
        return slice_make(reg->large->bytes, reg->large->size);
    case CONTESTED_NUMBER:
        break;
    }
    return slice_make(scratch->bytes, number_format_float(scratch->bytes, reg->number));
}

/* Room for one register more, at its place by `stamp`. */
static struct contested_register *make_register(const struct store *store,
                                                struct contested *contested, uint64_t stamp) {
    unsigned at = contested->registers_count++;
    contested->registers = memory_resize(contested->registers, contested->registers_count *
                                                                   sizeof(contested->registers[0]));
    struct contested_register *registers = contested->registers;
    for (; at > 0 && replicas_compare_stamps(&store->replicas, registers[at - 1].stamp, stamp) > 0;
         at--) {
        registers[at] = registers[at - 1];
    }
    registers[at] = (struct contested_register){.stamp = stamp};
    return &registers[at];
}

/* A copy of bytes, NULL for none; false when memory is out. */
static bool copy_bytes(struct slice bytes, char **copy) {
    *copy = NULL;
    if (bytes.size > 0) {
        *copy = memory_try_alloc(bytes.size);
        if (*copy == NULL) {
            return false;
        }
        memcpy(*copy, bytes.data, bytes.size);
    }
    return true;
}

bool contested_add_register(const struct store *store, struct contested *contested, uint64_t stamp,
                            struct slice bytes) {
    if (bytes.size > ENTRY_INLINE_VALUE_BYTES_MAX) {
        struct large_string *large = large_string_new(bytes.size, bytes.size);
        if (large == NULL) {
            return false;
        }
        memcpy(large->bytes, bytes.data, bytes.size);
        contested_add_large(store, contested, stamp, large);
        return true;
    }
    char *copy;
    if (!copy_bytes(bytes, &copy)) {
        return false;
    }
    struct contested_register *reg = make_register(store, contested, stamp);
    reg->form = CONTESTED_BYTES;
    reg->bytes = copy;
    reg->size = bytes.size;
    return true;
}

void contested_add_large(const struct store *store, struct contested *contested, uint64_t stamp,
                         struct large_string *large) {
    struct contested_register *reg = make_register(store, contested, stamp);
    reg->form = CONTESTED_LARGE;
    reg->large = large;
}

void contested_add_number(const struct store *store, struct contested *contested, uint64_t stamp,
                          long double number) {
    struct contested_register *reg = make_register(store, contested, stamp);
    reg->form = CONTESTED_NUMBER;
    reg->number = number;
}

bool contested_add_edit(const struct store *store, struct contested *contested,
                        const struct contested_edit *edit) {
    char *copy;
    if (!copy_bytes(slice_make(edit->bytes, edit->size), &copy)) {
        return false;
    }
    if (contested->edits_count == contested->edits_capacity) {
        contested->edits_capacity =
            contested->edits_capacity == 0 ? 4 : 2 * contested->edits_capacity;
        contested->edits = memory_resize(contested->edits,
                                         contested->edits_capacity * sizeof(contested->edits[0]));
    }
    unsigned at = contested->edits_count++;
    struct contested_edit *edits = contested->edits;
    for (;
         at > 0 && replicas_compare_stamps(&store->replicas, edits[at - 1].stamp, edit->stamp) > 0;
         at--) {
        edits[at] = edits[at - 1];
    }
    edits[at] = *edit;
    edits[at].bytes = copy;
    contested->edits_bytes += edit->size;
    return true;
}

void contested_add_expiry(struct contested *contested, uint64_t stamp, uint64_t unix_ms) {
    unsigned at = contested->expiries_count++;
    contested->expiries = memory_resize(contested->expiries,
                                        contested->expiries_count * sizeof(contested->expiries[0]));
    contested->expiries[at] = (struct contested_expiry){.stamp = stamp, .unix_ms = unix_ms};
}

struct contested_part *contested_find_part(const struct contested *contested, unsigned slot) {
    for (unsigned i = 0; i < contested->parts_count; i++) {
        if (stamp_slot(contested->parts[i].stamp) == slot) {
            return &contested->parts[i];
        }
    }
    return NULL;
}

static uint64_t slot_ref(const struct store *store, unsigned slot) {
    return slot < store->replicas.slots_count ? store->replicas.slots[slot].ref : 0;
}

struct contested_part *contested_need_part(const struct store *store, struct contested *contested,
                                           unsigned slot) {
    struct contested_part *part = contested_find_part(contested, slot);
    if (part != NULL) {
        return part;
    }
    unsigned at = contested->parts_count++;
    contested->parts =
        memory_resize(contested->parts, contested->parts_count * sizeof(contested->parts[0]));
    struct contested_part *parts = contested->parts;
    uint64_t ref = slot_ref(store, slot);
    for (; at > 0 && slot_ref(store, stamp_slot(parts[at - 1].stamp)) > ref; at--) {
        parts[at] = parts[at - 1];
    }
    parts[at] = (struct contested_part){.stamp = stamp_make(0, slot)};
    return &parts[at];
}

static void free_register(struct contested_register *reg) {
    memory_free(reg->bytes);
    if (reg->large != NULL) {
        large_string_free(reg->large);
    }
}

void contested_drop_register(struct contested *contested, unsigned i) {
    free_register(&contested->registers[i]);
    contested->registers_count--;
    memmove(contested->registers + i, contested->registers + i + 1,
            (contested->registers_count - i) * sizeof(contested->registers[0]));
}

void contested_drop_edit(struct contested *contested, unsigned i) {
    contested->edits_bytes -= contested->edits[i].size;
    memory_free(contested->edits[i].bytes);
    contested->edits_count--;
    memmove(contested->edits + i, contested->edits + i + 1,
            (contested->edits_count - i) * sizeof(contested->edits[0]));
}

void contested_drop_part(struct contested *contested, unsigned i) {
    contested->parts_count--;
    memmove(contested->parts + i, contested->parts + i + 1,
            (contested->parts_count - i) * sizeof(contested->parts[0]));
}

void contested_drop_expiry(struct contested *contested, unsigned i) {
    contested->expiries_count--;
    memmove(contested->expiries + i, contested->expiries + i + 1,
            (contested->expiries_count - i) * sizeof(contested->expiries[0]));
}

/* ---- what is shown ---- */

struct slice contested_value(const struct contested *contested, struct entry_scratch *scratch) {
    switch (contested->shown) {
    case CONTESTED_HIDDEN:
        return slice_make("", 0);
    case CONTESTED_SHOWS_BYTES:
        return contested->shown_bytes;
    case CONTESTED_SHOWS_INTEGER:
        return slice_make(scratch->bytes,
                          number_format_integer(scratch->bytes, contested->shown_integer));
    case CONTESTED_SHOWS_FLOAT:
        return slice_make(scratch->bytes,
                          number_format_float(scratch->bytes, contested->shown_float));
    }
    impossible("a value is shown in some form");
}

/* ---- lifecycle ---- */

struct contested *contested_new(void) {
    return memory_alloc_zero(sizeof(struct contested));
}

void contested_free(struct contested *contested) {
    require(!contested->is_listed);
    for (unsigned i = 0; i < contested->registers_count; i++) {
        free_register(&contested->registers[i]);
    }
    for (unsigned i = 0; i < contested->edits_count; i++) {
        memory_free(contested->edits[i].bytes);
    }
    memory_free(contested->registers);
    memory_free(contested->edits);
    memory_free(contested->parts);
    memory_free(contested->expiries);
    if (contested->overlay != NULL) {
        large_string_free(contested->overlay);
    }
    memory_free(contested);
}

/* ---- introspection ---- */

uint64_t contested_memory_bytes(const struct contested *contested) {
    uint64_t bytes = sizeof(*contested) +
                     contested->registers_count * sizeof(contested->registers[0]) +
                     contested->edits_capacity * sizeof(contested->edits[0]) +
                     contested->edits_bytes + contested->parts_count * sizeof(contested->parts[0]) +
                     contested->expiries_count * sizeof(contested->expiries[0]);
    for (unsigned i = 0; i < contested->registers_count; i++) {
        const struct contested_register *reg = &contested->registers[i];
        bytes += reg->size;
        if (reg->large != NULL) {
            bytes += sizeof(*reg->large) + reg->large->capacity;
        }
    }
    if (contested->overlay != NULL) {
        bytes += sizeof(*contested->overlay) + contested->overlay->capacity;
    }
    return bytes;
}
