/* SPDX-License-Identifier: BSD-3-Clause */
/* The elements of a contested value, each at its place in the order; and edits, which make one
 * value with the register below them. */
#include "crdt/hyperloglog.h"
#include "store/contested.h"
#include "store/mutate.h"

/* ---- edits ---- */

enum {
    /* A HyperLogLog with more registers that are not 0 is dense. Redis's limit is a length of the
     * sparse form, which can shrink when registers rise; it would make the form depend on the order
     * in which edits came. */
    RAISED_SPARSE_REGISTERS_MAX = 900,
    /* Among so many of the newest edits one is looked for that the next one replaces. */
    REPLACED_EDITS_MAX = 16,
};

bool contested_is_hyperloglog(struct slice value) {
    return value.size <= HYPERLOGLOG_SPARSE_BYTES_LIMIT &&
           hyperloglog_check(value) == HYPERLOGLOG_OK;
}

static size_t edit_end(const struct contested_edit *edit) {
    return edit->is_raise ? 0 : edit->offset + edit->size;
}

/* Writes the patch edits[at] into `large`, which has room, below the edits after it. */
static void write_patch(struct large_string *large, const struct contested_edit *edits, unsigned at,
                        unsigned count) {
    const struct contested_edit *edit = &edits[at];
    size_t end = edit_end(edit);
    large_string_extend(large, end);
    if (edit->size > 0) {
        memcpy(large->bytes + edit->offset, edit->bytes, edit->size);
    }
    for (unsigned i = at + 1; i < count; i++) {
        size_t from = edits[i].offset > edit->offset ? edits[i].offset : edit->offset;
        size_t to = edit_end(&edits[i]) < end ? edit_end(&edits[i]) : end;
        if (from < to) {
            memcpy(large->bytes + from, edits[i].bytes + (from - edits[i].offset), to - from);
        }
    }
}

/* Raises what `edits` say in `*value`; no effect on what is no HyperLogLog. One way of writing for
 * the same registers, so that the order does not matter. */
static void write_raises(struct large_string **value, bool is_new,
                         const struct contested_edit *edits, unsigned count) {
    uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT] = {0};
    struct slice old = slice_make((*value)->bytes, (*value)->size);
    bool is_dense = false;
    if (!is_new) {
        if (!contested_is_hyperloglog(old) || hyperloglog_join(registers, old) != HYPERLOGLOG_OK) {
            return;
        }
        is_dense = hyperloglog_is_dense(old);
    }
    for (unsigned i = 0; i < count; i++) {
        for (size_t at = 0; at + HYPERLOGLOG_PAIR_BYTES <= edits[i].size;
             at += HYPERLOGLOG_PAIR_BYTES) {
            const uint8_t *pair = (const uint8_t *)edits[i].bytes + at;
            uint8_t *reg = &registers[(pair[0] | pair[1] << 8) % HYPERLOGLOG_REGISTERS_COUNT];
            *reg = pair[2] > *reg ? pair[2] : *reg;
        }
    }
    unsigned raised = 0;
    for (unsigned i = 0; i < HYPERLOGLOG_REGISTERS_COUNT; i++) {
        raised += registers[i] != 0;
    }
    struct buffer bytes = {0};
    hyperloglog_set_registers(&bytes, registers, is_dense || raised > RAISED_SPARSE_REGISTERS_MAX,
                              HYPERLOGLOG_SPARSE_BYTES_LIMIT);
    bool has_room = large_string_reserve(value, bytes.size);
    require(has_room);
    memcpy((*value)->bytes, bytes.data, bytes.size);
    (*value)->size = bytes.size;
    buffer_deinit(&bytes);
}

struct large_string *contested_build_value(const struct contested *contested, unsigned count) {
    struct entry_scratch scratch;
    const struct contested_register *top = contested_top(contested);
    struct slice base = top != NULL ? contested_register_bytes(top, &scratch) : slice_make("", 0);
    size_t size = base.size;
    for (unsigned i = 0; i < count; i++) {
        size = edit_end(&contested->edits[i]) > size ? edit_end(&contested->edits[i]) : size;
    }
    struct large_string *value = large_string_new(base.size, size);
    if (value == NULL) {
        return NULL;
    }
    if (base.size > 0) {
        memcpy(value->bytes, base.data, base.size);
    }
    for (unsigned i = 0; i < count;) {
        if (!contested->edits[i].is_raise) {
            write_patch(value, contested->edits, i, i + 1);
            i++;
            continue;
        }
        unsigned first = i;
        while (i < count && contested->edits[i].is_raise) {
            i++;
        }
        /* What was patched is a string, be it an empty one, as it is once it is settled. */
        write_raises(&value, top == NULL && first == 0, contested->edits + first, i - first);
    }
    return value;
}

bool contested_has_memory(const struct contested *contested) {
    struct entry_scratch scratch;
    const struct contested_register *top = contested_top(contested);
    size_t size = top != NULL ? contested_register_bytes(top, &scratch).size : 0;
    for (unsigned i = 0; i < contested->edits_count; i++) {
        const struct contested_edit *edit = &contested->edits[i];
        if (edit->offset > SIZE_MAX / 4 || edit->size > SIZE_MAX / 4) {
            return false;
        }
        size = edit_end(edit) > size ? edit_end(edit) : size;
    }
    if (contested->edits_count == 0 || size <= CHANGE_BATCH_BYTES) {
        return true;
    }
    void *probe = memory_try_alloc(2 * size);
    memory_free(probe);
    return probe != NULL;
}

void contested_forget_overlay(struct contested *contested) {
    if (contested->overlay != NULL) {
        large_string_free(contested->overlay);
        contested->overlay = NULL;
    }
    contested->overlay_is_stale = false;
}

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
    if (at + 1 == contested->registers_count) {
        contested->edits_are_in_place = false;
        contested->overlay_is_stale = true;
    }
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
        struct large_string *large = large_string_copy(bytes);
        if (large == NULL) {
            return false;
        }
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

static void remove_edits(struct contested *contested, unsigned at, unsigned count) {
    for (unsigned i = at; i < at + count; i++) {
        contested->edits_bytes -= contested->edits[i].size;
        memory_free(contested->edits[i].bytes);
    }
    contested->edits_count -= count;
    memmove(contested->edits + at, contested->edits + at + count,
            (contested->edits_count - at) * sizeof(contested->edits[0]));
}

/* An edit covers what the same writer wrote at the same place before: that one is not needed. */
static void remove_replaced(struct contested *contested, const struct contested_edit *edit) {
    unsigned replaced = UINT32_MAX;
    for (unsigned i = contested->edits_count, seen = 0; i-- > 0 && seen < REPLACED_EDITS_MAX;
         seen++) {
        const struct contested_edit *old = &contested->edits[i];
        if (old->is_raise) {
            return; /* it works on what was patched before */
        }
        if (stamp_slot(old->stamp) == stamp_slot(edit->stamp) && old->offset == edit->offset &&
            old->size == edit->size && replaced == UINT32_MAX) {
            replaced = i;
        }
    }
    if (replaced != UINT32_MAX) {
        remove_edits(contested, replaced, 1);
    }
}

/* Patches go below later patches, and raises of registers have no order; but between the two there
 * is one. */
static bool is_followed_by_its_like(const struct contested *contested, unsigned at) {
    for (unsigned i = at + 1; i < contested->edits_count; i++) {
        if (contested->edits[i].is_raise != contested->edits[at].is_raise) {
            return false;
        }
    }
    return true;
}

/* Puts the edit that now is edits[at] into the bytes that are shown; false when memory is out. */
static bool show_edit(struct contested *contested, unsigned at, bool is_first, bool saw_register) {
    const struct contested_edit *edit = &contested->edits[at];
    struct contested_register *top = contested_top(contested);
    bool is_in_place =
        !edit->is_raise && saw_register &&
        (is_first ? top != NULL && top->form == CONTESTED_LARGE &&
                        !contested_is_hyperloglog(slice_make(top->large->bytes, top->large->size))
                  : contested->edits_are_in_place);
    if (is_in_place) {
        if (!large_string_reserve(&top->large, edit_end(edit))) {
            return false;
        }
        write_patch(top->large, contested->edits, at, contested->edits_count);
        contested->edits_are_in_place = true;
        return true;
    }
    contested->edits_are_in_place = false;
    if (contested->overlay == NULL || contested->overlay_is_stale ||
        !is_followed_by_its_like(contested, at) ||
        !large_string_reserve(&contested->overlay, edit_end(edit))) {
        contested->overlay_is_stale = true;
    } else if (edit->is_raise) {
        write_raises(&contested->overlay, false, edit, 1);
    } else {
        write_patch(contested->overlay, contested->edits, at, contested->edits_count);
    }
    return true;
}

static bool add_edit(const struct store *store, struct contested *contested,
                     const struct contested_edit *edit, bool saw_register) {
    char *copy;
    if (!copy_bytes(slice_make(edit->bytes, edit->size), &copy)) {
        return false;
    }
    bool is_first = contested->edits_count == 0;
    if (!edit->is_raise) {
        remove_replaced(contested, edit);
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
    if (!show_edit(contested, at, is_first, saw_register)) {
        remove_edits(contested, at, 1);
        return false;
    }
    return true;
}

bool contested_add_edit(const struct store *store, struct contested *contested,
                        const struct contested_edit *edit) {
    return add_edit(store, contested, edit, false);
}

bool contested_add_edit_in_place(const struct store *store, struct contested *contested,
                                 const struct contested_edit *edit) {
    return add_edit(store, contested, edit, true);
}

void contested_fold_edits(const struct store *store, struct contested *contested, unsigned count) {
    require(contested->registers_count <= 1);
    require(count > 0 && count <= contested->edits_count);
    struct contested_register *top = contested_top(contested);
    uint64_t stamp = contested->edits[count - 1].stamp;
    if (top != NULL && replicas_compare_stamps(&store->replicas, top->stamp, stamp) > 0) {
        stamp = top->stamp;
    }
    if (contested->edits_are_in_place) {
        top->stamp = stamp;
        remove_edits(contested, 0, count);
        return;
    }
    struct large_string *value = NULL;
    if (count == contested->edits_count && !contested->overlay_is_stale) {
        value = contested->overlay;
        contested->overlay = NULL;
    }
    bool is_stale = contested->overlay_is_stale;
    value = value != NULL ? value : contested_build_value(contested, count);
    require(value != NULL);
    remove_edits(contested, 0, count);
    if (top != NULL) {
        contested_drop_register(contested, contested->registers_count - 1);
    }
    if (value->size > ENTRY_INLINE_VALUE_BYTES_MAX) {
        contested_add_large(store, contested, stamp, value);
    } else {
        bool has_memory =
            contested_add_register(store, contested, stamp, slice_make(value->bytes, value->size));
        require(has_memory);
        large_string_free(value);
    }
    /* What is shown has not changed. */
    contested->overlay_is_stale = is_stale;
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
    uint64_t ref = contested_slot_ref(store, slot);
    for (; at > 0 && contested_slot_ref(store, stamp_slot(parts[at - 1].stamp)) > ref; at--) {
        parts[at] = parts[at - 1];
    }
    parts[at] = (struct contested_part){.stamp = stamp_make(0, slot)};
    return &parts[at];
}

void contested_free_register(struct contested_register *reg) {
    memory_free(reg->bytes);
    if (reg->large != NULL) {
        large_string_free(reg->large);
    }
}

void contested_drop_register(struct contested *contested, unsigned i) {
    contested_free_register(&contested->registers[i]);
    contested->registers_count--;
    memmove(contested->registers + i, contested->registers + i + 1,
            (contested->registers_count - i) * sizeof(contested->registers[0]));
    if (i == contested->registers_count) {
        contested->edits_are_in_place = false;
        contested->overlay_is_stale = true;
    }
}

void contested_drop_edit(struct contested *contested, unsigned i) {
    remove_edits(contested, i, 1);
    contested->overlay_is_stale = true;
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

void contested_drop_value(struct contested *contested) {
    while (contested->edits_count > 0) {
        contested_drop_edit(contested, contested->edits_count - 1);
    }
    while (contested->registers_count > 0) {
        contested_drop_register(contested, contested->registers_count - 1);
    }
    contested->parts_count = 0;
}
