/* SPDX-License-Identifier: BSD-3-Clause */
/* Edits of strings: patches of bytes, and raised registers of HyperLogLogs.
 *
 * A value that stays small is recorded as a whole. A large one is patched where it lies, and just
 * the patch is recorded; where others may have to merge it, it becomes an edit on top of the shown
 * register (contested.h), or the whole value where that is simpler. */
#include "store/strings_internal.h"

#include "crdt/hyperloglog.h"

/* ---- large strings ---- */

/* Makes the value at `slot` (NULL: an absent key) a large one of at least `size` bytes. NULL, with
 * nothing changed, when memory is out: so a running walk is told only after allocating. */
static struct entry *put_large(struct store *store, const struct key *key, uint64_t *slot,
                               uint64_t stamp, size_t size) {
    struct entry *old = slot != NULL ? table_item(*slot) : NULL;
    if (old != NULL && entry_kind(old) == ENTRY_LARGE) {
        struct large_string *large = entry_large(old);
        bool has_room = large_string_reserve(&large, size);
        entry_store64(entry_body(old), (uint64_t)(uintptr_t)large);
        if (!has_room) {
            return NULL;
        }
        mutate_before(store, key, old);
        large_string_extend(large, size);
        return old;
    }
    struct entry_scratch scratch;
    struct slice value = old != NULL ? entry_value(old, &scratch) : slice_make("", 0);
    size = size > value.size ? size : value.size;
    /* Zeros: a SETBIT far out does not touch the pages in between. */
    struct large_string *large = large_string_new_zero(size);
    if (large == NULL) {
        return NULL;
    }
    if (old != NULL) {
        mutate_before(store, key, old);
    }
    if (value.size > 0) {
        memcpy(large->bytes, value.data, value.size);
    }
    struct entry_parts parts = {.kind = ENTRY_LARGE,
                                .stamp = stamp,
                                .flags = ENTRY_EDITED,
                                .key = key->name,
                                .large = large};
    strings_inherit(store, old, &parts, STRINGS_KEEP_EXPIRY);
    struct entry *entry = entry_new(&parts);
    require(entry != NULL);
    mutate_put(store, key, slot, entry);
    return entry;
}

enum store_status strings_put_patch(struct store *store, const struct key *key, uint64_t *slot,
                                    uint64_t stamp, uint64_t offset, struct slice bytes) {
    struct entry *entry = put_large(store, key, slot, stamp, offset + bytes.size);
    if (entry == NULL) {
        return STORE_OUT_OF_MEMORY;
    }
    struct large_string *large = entry_large(entry);
    if (bytes.size > 0) {
        memcpy(large->bytes + offset, bytes.data, bytes.size);
    }
    entry->stamp = stamp;
    entry->meta |= ENTRY_EDITED;
    if (!store->uses_lfu) {
        entry_set_access(entry, mutate_first_access(store));
    }
    mutate_after(store, key);
    return STORE_OK;
}

/* Puts and records a value that was edited, in the place of a compact one or none. */
static enum store_status put_whole(struct store *store, const struct key *key, uint64_t *slot,
                                   struct slice value) {
    uint64_t stamp = mutate_stamp(store);
    uint64_t keeping = slot == NULL && !store->is_alone ? 0 : STRINGS_KEEP_EXPIRY;
    enum store_status status =
        strings_put_register(store, key, slot, stamp, value, STRINGS_KEEP_EXPIRY, ENTRY_EDITED);
    if (status == STORE_OK) {
        uint64_t last = mutate_record_value(store, key, stamp, value, keeping);
        if (unlikely(last != stamp)) {
            struct entry *entry = table_item(*mutate_slot(store, key));
            entry->stamp = last;
        }
    }
    return status;
}

/* A patch of a value that stays small: it is recorded as the whole value. */
static enum store_status patch_small(struct store *store, const struct key *key, uint64_t *slot,
                                     uint64_t offset, struct slice bytes, size_t size) {
    char value[ENTRY_INLINE_VALUE_BYTES_MAX];
    size_t old_size = 0;
    if (slot != NULL) {
        struct entry_scratch scratch;
        /* Of a hidden one it is empty. */
        struct slice old = entry_value(table_item(*slot), &scratch);
        old_size = old.size;
        if (old_size > 0) {
            memcpy(value, old.data, old_size);
        }
    }
    if (offset > old_size) {
        memset(value + old_size, 0, offset - old_size);
    }
    if (bytes.size > 0) {
        memcpy(value + offset, bytes.data, bytes.size);
    }
    if (strings_is_intricate(store, slot)) {
        return merge_set(store, key, slice_make(value, size), STRINGS_KEEP_EXPIRY);
    }
    return put_whole(store, key, slot, slice_make(value, size));
}

/* A patch that others may have to merge: an edit, or the whole value where that is simpler. */
static enum store_status patch_merged(struct store *store, const struct key *key,
                                      const struct entry *old, uint64_t offset, struct slice bytes,
                                      size_t size) {
    struct entry_scratch scratch;
    struct slice value = old != NULL ? entry_value(old, &scratch) : slice_make("", 0);
    /* Where `old` is NULL there may be a hidden one. */
    bool is_intricate = strings_is_intricate(store, mutate_slot(store, key));
    bool is_contested = old != NULL && entry_kind(old) == ENTRY_CONTESTED;
    const struct contested *contested = is_contested ? entry_contested(old) : NULL;
    /* Parts of counters lie above the register, where no edit goes. */
    bool is_number = old != NULL && entry_kind(old) != ENTRY_BYTES &&
                     entry_kind(old) != ENTRY_LARGE && entry_kind(old) != ENTRY_INTEGER &&
                     (!is_contested || contested->parts_count > 0);
    bool is_full =
        bytes.size > CONTESTED_EDIT_BYTES_MAX ||
        (is_contested && (contested->edits_count >= CONTESTED_EDITS_MAX ||
                          contested->edits_bytes + bytes.size > CONTESTED_EDIT_BYTES_MAX));
    bool is_whole = is_number || is_full || contested_is_hyperloglog(value) ||
                    (offset < HYPERLOGLOG_HEADER_BYTES && size <= HYPERLOGLOG_SPARSE_BYTES_LIMIT);
    if (!is_whole) {
        struct change change = {.kind = CHANGE_PATCH,
                                .db = key->db,
                                .is_fresh = old == NULL,
                                .key = key->name,
                                .offset = offset,
                                .value = bytes};
        return merge_write_over_types(store, key, &change);
    }
    struct large_string *whole = large_string_new(value.size, size);
    if (whole == NULL) {
        return STORE_OUT_OF_MEMORY;
    }
    if (value.size > 0) {
        memcpy(whole->bytes, value.data, value.size);
    }
    large_string_extend(whole, size);
    if (bytes.size > 0) {
        memcpy(whole->bytes + offset, bytes.data, bytes.size);
    }
    struct slice all = slice_make(whole->bytes, whole->size);
    enum store_status status = is_intricate ? merge_set(store, key, all, STRINGS_KEEP_EXPIRY)
                                            : put_whole(store, key, mutate_slot(store, key), all);
    large_string_free(whole);
    return status;
}

enum store_status strings_patch(struct store *store, const struct key *key, uint64_t offset,
                                struct slice bytes, uint64_t *size) {
    uint64_t *slot;
    struct entry *old = strings_current(store, key, &slot);
    if (old != NULL && !strings_is_string(old)) {
        return STORE_WRONG_TYPE;
    }
    size_t old_size = old != NULL ? entry_value_bytes(old) : 0;
    size_t new_size = offset + bytes.size > old_size ? offset + bytes.size : old_size;
    if (size != NULL) {
        *size = new_size;
    }
    bool is_large = old != NULL && entry_kind(old) == ENTRY_LARGE;
    if (!is_large && new_size <= ENTRY_INLINE_VALUE_BYTES_MAX) {
        return patch_small(store, key, slot, offset, bytes, new_size);
    }
    if (!store->is_alone) {
        return patch_merged(store, key, old, offset, bytes, new_size);
    }
    if (bytes.size > CHANGE_VALUE_BYTES_MAX) {
        /* All the room first: later parts must not fail when the first one is in place. */
        if (put_large(store, key, slot, mutate_stamp(store), new_size) == NULL) {
            return STORE_OUT_OF_MEMORY;
        }
        slot = mutate_slot(store, key);
    }
    size_t done = 0;
    do {
        size_t part = bytes.size - done;
        part = part < CHANGE_VALUE_BYTES_MAX ? part : CHANGE_VALUE_BYTES_MAX;
        struct slice piece = slice_make(bytes.data + done, part);
        uint64_t stamp = mutate_stamp(store);
        enum store_status status = strings_put_patch(store, key, slot, stamp, offset + done, piece);
        if (status != STORE_OK) {
            return status;
        }
        struct change change = {.kind = CHANGE_PATCH,
                                .db = key->db,
                                .stamp = stamp,
                                .key = key->name,
                                .offset = offset + done,
                                .value = piece};
        mutate_record(store, key, &change);
        slot = mutate_slot(store, key);
        done += part;
    } while (done < bytes.size);
    return STORE_OK;
}

/* ---- HyperLogLog ---- */

/* Raises registers of the HyperLogLog at `slot`: dense ones in place. */
enum store_status strings_put_registers(struct store *store, const struct key *key, uint64_t *slot,
                                        uint64_t stamp, struct slice pairs) {
    struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    if (entry == NULL || !strings_is_string(entry)) {
        return STORE_MALFORMED;
    }
    struct entry_scratch scratch;
    struct slice old = entry_value(entry, &scratch);
    if (hyperloglog_check(old) != HYPERLOGLOG_OK) {
        return STORE_MALFORMED;
    }
    if (entry_kind(entry) != ENTRY_LARGE || !hyperloglog_is_dense(old)) {
        struct buffer value = {0};
        enum store_status status = STORE_MALFORMED;
        if (hyperloglog_raise_pairs(&value, old, pairs)) {
            status = strings_put_register(store, key, slot, stamp, buffer_slice(&value),
                                          STRINGS_KEEP_EXPIRY, ENTRY_EDITED);
        }
        buffer_deinit(&value);
        return status;
    }
    struct large_string *large = entry_large(entry);
    mutate_before(store, key, entry);
    if (!hyperloglog_join_pairs(large->bytes, large->size, pairs)) {
        return STORE_MALFORMED;
    }
    entry->stamp = stamp;
    entry->meta |= ENTRY_EDITED;
    if (!store->uses_lfu) {
        entry_set_access(entry, mutate_first_access(store));
    }
    mutate_after(store, key);
    return STORE_OK;
}

/* Records which registers rise; where others have to merge them, the value's form follows from the
 * registers (contested.c). Only another form of equal registers is recorded as a whole. */
static enum store_status raise_merged(struct store *store, const struct key *key,
                                      const struct entry *old, struct slice value) {
    uint8_t before[HYPERLOGLOG_REGISTERS_COUNT] = {0}, after[HYPERLOGLOG_REGISTERS_COUNT] = {0};
    struct entry_scratch scratch;
    bool is_sound = hyperloglog_check(value) == HYPERLOGLOG_OK &&
                    hyperloglog_join(after, value) == HYPERLOGLOG_OK;
    if (old != NULL) {
        struct slice stored = entry_value(old, &scratch);
        is_sound = is_sound && contested_is_hyperloglog(stored) &&
                   hyperloglog_join(before, stored) == HYPERLOGLOG_OK;
    }
    struct buffer raised = {0};
    for (unsigned i = 0; i < HYPERLOGLOG_REGISTERS_COUNT && is_sound; i++) {
        if (after[i] > before[i]) {
            hyperloglog_pair_put(&raised, (struct hyperloglog_place){.index = i, .rank = after[i]});
        }
        is_sound = after[i] >= before[i];
    }
    const struct contested *contested =
        old != NULL && entry_kind(old) == ENTRY_CONTESTED ? entry_contested(old) : NULL;
    bool is_full =
        contested != NULL && (contested->edits_count >= CONTESTED_EDITS_MAX ||
                              contested->edits_bytes + raised.size > CONTESTED_EDIT_BYTES_MAX);
    bool is_number = contested != NULL && contested->parts_count > 0;
    enum store_status status;
    if (!is_sound || is_full || is_number || (old != NULL && raised.size == 0)) {
        status = strings_set(store, key, value, STRINGS_KEEP_EXPIRY);
    } else {
        struct change change = {.kind = CHANGE_REGISTERS,
                                .db = key->db,
                                .is_fresh = old == NULL,
                                .key = key->name,
                                .value = raised.size > 0 ? buffer_slice(&raised) : SLICE("")};
        status = merge_write_over_types(store, key, &change);
    }
    buffer_deinit(&raised);
    return status;
}

enum store_status strings_set_registers(struct store *store, const struct key *key,
                                        struct slice value, struct slice pairs) {
    uint64_t *slot;
    struct entry *old = strings_current(store, key, &slot);
    if (!store->is_alone) {
        return raise_merged(store, key, old, value);
    }
    uint64_t stamp = mutate_stamp(store);
    enum store_status status;
    if (old != NULL && pairs.size > 0 && pairs.size < value.size) {
        status = strings_put_registers(store, key, slot, stamp, pairs);
        if (status == STORE_OK) {
            struct change change = {.kind = CHANGE_REGISTERS,
                                    .db = key->db,
                                    .stamp = stamp,
                                    .key = key->name,
                                    .value = pairs};
            mutate_record(store, key, &change);
        }
        return status;
    }
    status =
        strings_put_register(store, key, slot, stamp, value, STRINGS_KEEP_EXPIRY, ENTRY_EDITED);
    if (status == STORE_OK) {
        (void)mutate_record_value(store, key, stamp, value, STRINGS_KEEP_EXPIRY);
    }
    return status;
}
