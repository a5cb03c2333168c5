/* SPDX-License-Identifier: BSD-3-Clause */
/* Strings: registers, counters and blocks.
 *
 * Local writes and recorded changes meet in the same functions, which take the stamp as an
 * argument: put_register(), put_counter(), put_float_counter(), put_patch(). A local write computes
 * what to say, puts it and records it; strings_apply() puts what it is told. */
#include "store/strings.h"

#include <math.h>

#include "crdt/hyperloglog.h"
#include "crdt/packed_list.h"
#include "store/merge.h"
#include "store/notify.h"

enum {
    /* A longer value cannot be a canonical 64-bit integer. */
    INTEGER_TEXT_BYTES_MAX = 20,
};

/* The entry at `slot`, treating an expired one as absent: it is removed first, recorded. A hidden
 * one counts as absent, too, but keeps its slot: it is intricate. */
static struct entry *strings_current(struct store *store, const struct key *key, uint64_t **slot) {
    *slot = mutate_slot(store, key);
    if (*slot == NULL) {
        return NULL;
    }
    struct entry *entry = table_item(**slot);
    if (unlikely((entry->meta & ENTRY_HAS_EXPIRY) != 0)) {
        if (entry_is_hidden(entry)) {
            return NULL;
        }
        if (mutate_is_expired(store, entry) && !store->expiry_is_paused) {
            mutate_expire(store, key, *slot);
            *slot = mutate_slot(store, key);
            return NULL;
        }
    }
    return entry;
}

/* Does a local write have to go the long way? */
static bool strings_is_intricate(const struct store *store, const uint64_t *slot) {
    return unlikely(!store->is_alone) && slot != NULL &&
           merge_is_intricate(store, table_item(*slot));
}

static bool strings_is_string(const struct entry *entry) {
    return entry_kind(entry) < ENTRY_CONTESTED || entry_type(entry) == VALUE_STRING;
}

/* Fills in expiry and access as the new entry shall have them. */
static void parts_inherit(const struct store *store, const struct entry *old,
                          struct entry_parts *parts, uint64_t expire_unix_ms) {
    parts->access = old != NULL && store->uses_lfu ? entry_access(old) : mutate_first_access(store);
    if (expire_unix_ms == STRINGS_KEEP_EXPIRY) {
        if (old != NULL) {
            parts->expire_unix_ms = entry_expire_unix_ms(old);
            parts->has_expiry = parts->expire_unix_ms != 0;
            /* "Never" is a register, too: a concurrent expiry has to lose against it. */
            bool is_persisted = !store->is_alone && (old->meta & ENTRY_HAS_EXPIRY_STAMP) != 0;
            parts->expire_stamp = parts->has_expiry || is_persisted ? entry_expire_stamp(old) : 0;
        }
    } else {
        parts->expire_unix_ms = expire_unix_ms;
        parts->has_expiry = expire_unix_ms != 0;
    }
}

/* ---- registers ---- */

/* Tries the common case: the new value takes the old one's place in the same block. */
static bool put_in_place(struct store *store, struct entry *old, uint64_t stamp, struct slice value,
                         bool is_integer, int64_t integer, uint32_t flags) {
    if (is_integer) {
        if ((old->meta & (ENTRY_KIND_MASK | ENTRY_HAS_EXPIRY | ENTRY_HAS_EXPIRY_STAMP)) !=
            ENTRY_INTEGER) {
            return false;
        }
        entry_store64(entry_body(old), (uint64_t)integer);
    } else if (!entry_overwrite_bytes(old, value)) {
        return false;
    }
    old->stamp = stamp;
    old->meta = (old->meta & ~(uint32_t)ENTRY_EDITED) | flags;
    if (!store->uses_lfu) {
        entry_set_access(old, mutate_first_access(store));
    }
    return true;
}

/* Puts a register: the whole value, with `expire_unix_ms` as strings_set() takes it. `flags` is 0
 * or ENTRY_EDITED. */
static enum store_status put_register(struct store *store, const struct key *key, uint64_t *slot,
                                      uint64_t stamp, struct slice value, uint64_t expire_unix_ms,
                                      uint32_t flags) {
    struct entry *old = slot != NULL ? table_item(*slot) : NULL;
    int64_t integer = 0;
    bool is_integer =
        flags == 0 && value.size <= INTEGER_TEXT_BYTES_MAX && number_parse_integer(value, &integer);
    struct large_string *large = NULL;
    if (value.size > ENTRY_INLINE_VALUE_BYTES_MAX) {
        large = large_string_new(value.size, value.size);
        if (large == NULL) {
            return STORE_OUT_OF_MEMORY;
        }
        memcpy(large->bytes, value.data, value.size);
    }
    mutate_before(store, key, old);
    if (old != NULL && large == NULL &&
        (expire_unix_ms == 0 || expire_unix_ms == STRINGS_KEEP_EXPIRY) &&
        put_in_place(store, old, stamp, value, is_integer, integer, flags)) {
        mutate_after(store, key);
        return STORE_OK;
    }
    struct entry_parts parts = {.kind = is_integer      ? ENTRY_INTEGER
                                        : large != NULL ? ENTRY_LARGE
                                                        : ENTRY_BYTES,
                                .stamp = stamp,
                                .flags = flags,
                                .key = key->name,
                                .bytes = value,
                                .integer = integer,
                                .large = large};
    parts_inherit(store, old, &parts, expire_unix_ms);
    struct entry *entry = entry_new(&parts);
    require(entry != NULL);
    mutate_put(store, key, slot, entry);
    mutate_after(store, key);
    return STORE_OK;
}

/* A value is about to take the place of an expired one, which nobody removes before: for who is
 * told of it, that one goes and a new key comes. */
static void tell_replaced(struct store *store, const struct key *key, const uint64_t *slot) {
    if (store->notify_classes != 0 && key->in == NULL && slot != NULL &&
        !entry_is_hidden(table_item(*slot)) && mutate_is_expired(store, table_item(*slot)) &&
        !store->expiry_is_paused) {
        store_notify(store, NOTIFY_EXPIRED, "expired", key);
        store_notify(store, NOTIFY_NEW, "new", key);
    }
}

enum store_status strings_set(struct store *store, const struct key *key, struct slice value,
                              uint64_t expire_unix_ms) {
    uint64_t *slot;
    if (expire_unix_ms == STRINGS_KEEP_EXPIRY) {
        if (strings_current(store, key, &slot) == NULL && !store->is_alone) {
            expire_unix_ms = 0; /* an expiry without a value is not to be kept */
        }
    } else {
        slot = mutate_slot(store, key);
        tell_replaced(store, key, slot);
    }
    if (slot != NULL && unlikely(store->uses_lfu)) {
        store_touch_access(store, table_item(*slot));
    }
    if (strings_is_intricate(store, slot)) {
        return merge_set(store, key, value, expire_unix_ms);
    }
    uint64_t stamp = mutate_stamp(store);
    enum store_status status = put_register(store, key, slot, stamp, value, expire_unix_ms, 0);
    if (status != STORE_OK) {
        return status;
    }
    uint64_t last = mutate_record_value(store, key, stamp, value, expire_unix_ms);
    if (unlikely(last != stamp)) {
        struct entry *entry = table_item(*mutate_slot(store, key));
        entry->stamp = last;
    }
    return STORE_OK;
}

struct entry *strings_add(struct store *store, const struct key *key, struct slice value) {
    uint64_t stamp = mutate_stamp(store);
    int64_t integer = 0;
    bool is_integer = value.size <= INTEGER_TEXT_BYTES_MAX && number_parse_integer(value, &integer);
    struct entry_parts parts = {.kind = is_integer ? ENTRY_INTEGER : ENTRY_BYTES,
                                .stamp = stamp,
                                .key = key->name,
                                .access = mutate_first_access(store),
                                .bytes = value,
                                .integer = integer};
    require(value.size <= ENTRY_INLINE_VALUE_BYTES_MAX);
    struct entry *entry = entry_new(&parts);
    require(entry != NULL);
    mutate_put(store, key, NULL, entry);
    mutate_after(store, key);
    uint64_t last = mutate_record_value(store, key, stamp, value, 0);
    ensure(last == stamp); /* it is short */
    return entry;
}

/* ---- counters ---- */

/* Puts this replica's part of an integer counter; `old` is an integer of some kind or absent. */
static void put_counter(struct store *store, const struct key *key, uint64_t *slot, uint64_t stamp,
                        uint64_t start_ticks, int64_t total) {
    struct entry *old = slot != NULL ? table_item(*slot) : NULL;
    enum entry_kind kind = old != NULL ? entry_kind(old) : ENTRY_BYTES;
    mutate_before(store, key, old);
    if (kind == ENTRY_COUNTER || kind == ENTRY_COUNTER_REGISTER) {
        unsigned char *body = entry_body(old);
        entry_store64(body, start_ticks);
        entry_store64(body + 8, (uint64_t)total);
        old->stamp = stamp;
        if (!store->uses_lfu) {
            entry_set_access(old, mutate_first_access(store));
        }
        mutate_after(store, key);
        return;
    }
    struct entry_parts parts = {.kind = ENTRY_COUNTER,
                                .stamp = stamp,
                                .key = key->name,
                                .start_ticks = start_ticks,
                                .total = total};
    if (old != NULL) {
        parts.kind = ENTRY_COUNTER_REGISTER;
        parts.register_stamp = old->stamp;
        (void)entry_integer(old, &parts.integer);
    }
    parts_inherit(store, old, &parts, STRINGS_KEEP_EXPIRY);
    struct entry *entry = entry_new(&parts);
    require(entry != NULL);
    mutate_put(store, key, slot, entry);
    mutate_after(store, key);
}

/* The number as all nodes know it: what its text says. */
static long double float_as_text(long double value) {
    char text[NUMBER_FLOAT_BYTES_MAX];
    long double rounded = value;
    (void)number_parse_float(slice_make(text, number_format_float(text, value)), &rounded);
    return rounded;
}

/* What a float counter would take over from the entry: its register and the part so far. */
static bool float_base(const struct entry *entry, struct entry_parts *parts) {
    struct entry_parts old;
    entry_take_apart(entry, &old);
    parts->register_stamp = old.stamp;
    switch (old.kind) {
    case ENTRY_FLOAT_COUNTER:
        parts->start_ticks = old.start_ticks;
        parts->float_total = old.float_total;
        parts->float_register = old.float_register;
        parts->register_stamp = old.register_stamp;
        return true;
    case ENTRY_COUNTER:
    case ENTRY_COUNTER_REGISTER:
        parts->start_ticks = old.start_ticks;
        parts->float_total = (long double)old.total;
        parts->float_register = old.kind == ENTRY_COUNTER ? 0 : (long double)old.integer;
        parts->register_stamp = old.register_stamp;
        return true;
    case ENTRY_BYTES:
    case ENTRY_INTEGER:
    case ENTRY_LARGE:
    case ENTRY_CONTESTED:
        break;
    case ENTRY_PACKED:
    case ENTRY_COLLECTION:
        return false;
    }
    struct entry_scratch scratch;
    return number_parse_float(entry_value(entry, &scratch), &parts->float_register);
}

/* Adding `delta` to a float counter, as strings_add_float() does: would its value be `wanted`? */
static bool float_would_be(const struct entry *entry, int64_t delta, int64_t wanted) {
    struct entry_parts parts = {0};
    return float_base(entry, &parts) &&
           parts.float_register + float_as_text(parts.float_total + (long double)delta) ==
               (long double)wanted;
}

/* The text of the shown value, as a number: how many digits it has is up to the merge. */
static long double shown_float(const struct store *store, const struct key *key) {
    struct entry_scratch scratch;
    const uint64_t *slot = mutate_slot(store, key);
    long double value = 0;
    ensure(slot != NULL);
    (void)number_parse_float(entry_value(table_item(*slot), &scratch), &value);
    return value;
}

/* Has the entry a text that a compact float counter would not keep, as an edit may need it? */
static bool float_loses_text(const struct entry *entry) {
    struct entry_scratch scratch;
    long double number;
    if (entry_kind(entry) != ENTRY_BYTES && entry_kind(entry) != ENTRY_LARGE) {
        return false;
    }
    struct slice text = entry_value(entry, &scratch);
    return number_parse_float(text, &number) && !contested_is_plain_float(text, number);
}

/* Adds to a float counter among parts of others. */
static enum store_status add_float_merged(struct store *store, const struct key *key,
                                          const struct entry *old, long double delta,
                                          long double *result) {
    struct entry_scratch scratch;
    long double value = 0, total = 0;
    if (old != NULL && !number_parse_float(entry_value(old, &scratch), &value)) {
        return STORE_NOT_FLOAT;
    }
    const struct contested_part *own = old != NULL ? merge_own_part(store, old) : NULL;
    if (own != NULL) {
        total = own->is_float ? own->float_total : (long double)own->total;
    }
    total = float_as_text(total + delta);
    if (!isfinite(value + delta) || !isfinite(total)) {
        return STORE_NOT_FINITE;
    }
    merge_take_types(store, key, NULL);
    uint64_t stamp = mutate_stamp(store);
    struct change change = {.kind = CHANGE_FLOAT_COUNTER,
                            .db = key->db,
                            .stamp = stamp,
                            .is_fresh = old == NULL,
                            .key = key->name,
                            .start_ticks = own != NULL ? own->start_ticks : stamp_ticks(stamp)};
    char increment[NUMBER_FLOAT_BYTES_MAX];
    change.value = slice_make(scratch.bytes, number_format_float(scratch.bytes, total));
    change.float_increment = slice_make(increment, number_format_float(increment, delta));
    enum store_status status = merge_write(store, key, &change);
    ensure(status == STORE_OK);
    *result = shown_float(store, key);
    return STORE_OK;
}

/* Adds to an integer counter among parts of others. */
static enum store_status add_integer_merged(struct store *store, const struct key *key,
                                            const struct entry *old, int64_t delta,
                                            int64_t *result) {
    int64_t value = 0, total = 0;
    if (old != NULL && !entry_integer(old, &value)) {
        return STORE_NOT_INTEGER;
    }
    if (__builtin_add_overflow(value, delta, result)) {
        return STORE_OVERFLOW;
    }
    char text[NUMBER_INTEGER_BYTES_MAX];
    struct slice wanted = slice_make(text, number_format_integer(text, *result));
    const struct contested_part *own = old != NULL ? merge_own_part(store, old) : NULL;
    bool is_float = old != NULL && (entry_kind(old) == ENTRY_FLOAT_COUNTER ||
                                    (entry_kind(old) == ENTRY_CONTESTED &&
                                     entry_contested(old)->shown == CONTESTED_SHOWS_FLOAT));
    if (is_float || (own != NULL && own->is_float)) {
        /* Floats stay floats, even while their sum is whole, unless digits get lost. */
        long double sum;
        enum store_status status = add_float_merged(store, key, old, (long double)delta, &sum);
        return status == STORE_OK && sum != (long double)*result
                   ? merge_set(store, key, wanted, STRINGS_KEEP_EXPIRY)
                   : status;
    }
    if (__builtin_add_overflow(own != NULL ? own->total : 0, delta, &total)) {
        return merge_set(store, key, wanted, STRINGS_KEEP_EXPIRY);
    }
    merge_take_types(store, key, NULL);
    uint64_t stamp = mutate_stamp(store);
    struct change change = {.kind = CHANGE_COUNTER,
                            .db = key->db,
                            .stamp = stamp,
                            .is_fresh = old == NULL,
                            .key = key->name,
                            .start_ticks = own != NULL ? own->start_ticks : stamp_ticks(stamp),
                            .total = total,
                            .increment = delta};
    enum store_status status = merge_write(store, key, &change);
    ensure(status == STORE_OK);
    /* A sum that merging has driven out of range stays at the bound. */
    uint64_t *slot = mutate_slot(store, key);
    ensure(slot != NULL);
    (void)entry_integer(table_item(*slot), result);
    return STORE_OK;
}

enum store_status strings_add_integer(struct store *store, const struct key *key, int64_t delta,
                                      int64_t *result) {
    uint64_t *slot;
    struct entry *old = strings_current(store, key, &slot);
    int64_t value = 0, total = 0;
    uint64_t start_ticks = 0;
    bool has_part = false, begins_anew = false;
    if (old != NULL && unlikely(store->uses_lfu)) {
        store_touch_access(store, old);
    }
    if (old != NULL && !strings_is_string(old)) {
        return STORE_WRONG_TYPE;
    }
    if (strings_is_intricate(store, slot)) {
        return add_integer_merged(store, key, old, delta, result);
    }
    if (old != NULL) {
        if (!entry_integer(old, &value)) {
            return STORE_NOT_INTEGER;
        }
        enum entry_kind kind = entry_kind(old);
        if (kind == ENTRY_COUNTER || kind == ENTRY_COUNTER_REGISTER) {
            const unsigned char *body = entry_body(old);
            start_ticks = entry_load64(body);
            total = (int64_t)entry_load64(body + 8);
            has_part = true;
        } else if (kind == ENTRY_FLOAT_COUNTER) {
            /* A float counter stays one, even while its value is whole ... */
            long double whole;
            if (__builtin_add_overflow(value, delta, result)) {
                return STORE_OVERFLOW;
            }
            if (float_would_be(old, delta, *result)) {
                return strings_add_float(store, key, (long double)delta, &whole);
            }
            begins_anew = true; /* ... unless it is so large that digits get lost */
        }
    }
    if (__builtin_add_overflow(value, delta, result)) {
        return STORE_OVERFLOW;
    }
    /* The part alone may outgrow its range while the sum does not: begin anew from a register. */
    if (begins_anew || __builtin_add_overflow(total, delta, &total)) {
        char text[NUMBER_INTEGER_BYTES_MAX];
        size_t size = number_format_integer(text, *result);
        return strings_set(store, key, slice_make(text, size), STRINGS_KEEP_EXPIRY);
    }
    uint64_t stamp = mutate_stamp(store);
    if (!has_part) {
        start_ticks = stamp_ticks(stamp);
    }
    struct change change = {.kind = CHANGE_COUNTER,
                            .db = key->db,
                            .stamp = stamp,
                            .is_fresh = old == NULL && !store->is_alone,
                            .key = key->name,
                            .start_ticks = start_ticks,
                            .total = total,
                            .increment = delta};
    mutate_record(store, key, &change);
    put_counter(store, key, slot, stamp, start_ticks, total);
    return STORE_OK;
}

static void put_float_counter(struct store *store, const struct key *key, uint64_t *slot,
                              struct entry_parts *parts) {
    struct entry *old = slot != NULL ? table_item(*slot) : NULL;
    mutate_before(store, key, old);
    parts->kind = ENTRY_FLOAT_COUNTER;
    parts->key = key->name;
    parts_inherit(store, old, parts, STRINGS_KEEP_EXPIRY);
    struct entry *entry = entry_new(parts);
    require(entry != NULL);
    mutate_put(store, key, slot, entry);
    mutate_after(store, key);
}

enum store_status strings_add_float(struct store *store, const struct key *key, long double delta,
                                    long double *result) {
    uint64_t *slot;
    struct entry *old = strings_current(store, key, &slot);
    struct entry_parts parts = {0};
    if (old != NULL && !strings_is_string(old)) {
        return STORE_WRONG_TYPE;
    }
    if (strings_is_intricate(store, slot) ||
        (unlikely(!store->is_alone) && old != NULL && float_loses_text(old))) {
        return add_float_merged(store, key, old, delta, result);
    }
    if (old != NULL && !float_base(old, &parts)) {
        return STORE_NOT_FLOAT;
    }
    long double total = parts.float_total + delta;
    if (isnan(total + parts.float_register) || isinf(total + parts.float_register)) {
        return STORE_NOT_FINITE;
    }
    parts.float_total = float_as_text(total);
    parts.stamp = mutate_stamp(store);
    if (parts.start_ticks == 0) {
        parts.start_ticks = stamp_ticks(parts.stamp);
    }
    char text[NUMBER_FLOAT_BYTES_MAX], increment[NUMBER_FLOAT_BYTES_MAX];
    size_t size = number_format_float(text, parts.float_total);
    struct change change = {.kind = CHANGE_FLOAT_COUNTER,
                            .db = key->db,
                            .stamp = parts.stamp,
                            .is_fresh = old == NULL && !store->is_alone,
                            .key = key->name,
                            .start_ticks = parts.start_ticks,
                            .value = slice_make(text, size)};
    if (!store->is_alone) { /* nobody lacks anything of a lone node */
        change.float_increment = slice_make(increment, number_format_float(increment, delta));
    }
    mutate_record(store, key, &change);
    *result = parts.float_register + parts.float_total;
    put_float_counter(store, key, slot, &parts);
    return STORE_OK;
}

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
    size_t capacity = size;
    /* Zeroed by the system: a SETBIT far out does not touch the pages in between. */
    struct large_string *large = memory_try_alloc_zero(sizeof(struct large_string) + capacity);
    if (large == NULL) {
        return NULL;
    }
    if (old != NULL) {
        mutate_before(store, key, old);
    }
    large->size = size;
    large->capacity = capacity;
    if (value.size > 0) {
        memcpy(large->bytes, value.data, value.size);
    }
    struct entry_parts parts = {.kind = ENTRY_LARGE,
                                .stamp = stamp,
                                .flags = ENTRY_EDITED,
                                .key = key->name,
                                .large = large};
    parts_inherit(store, old, &parts, STRINGS_KEEP_EXPIRY);
    struct entry *entry = entry_new(&parts);
    require(entry != NULL);
    mutate_put(store, key, slot, entry);
    return entry;
}

static enum store_status put_patch(struct store *store, const struct key *key, uint64_t *slot,
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
        put_register(store, key, slot, stamp, value, STRINGS_KEEP_EXPIRY, ENTRY_EDITED);
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
    bool is_intricate = old != NULL && merge_is_intricate(store, old);
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
        enum store_status status = put_patch(store, key, slot, stamp, offset + done, piece);
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
static enum store_status put_registers(struct store *store, const struct key *key, uint64_t *slot,
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
            status = put_register(store, key, slot, stamp, buffer_slice(&value),
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
        status = put_registers(store, key, slot, stamp, pairs);
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
    status = put_register(store, key, slot, stamp, value, STRINGS_KEEP_EXPIRY, ENTRY_EDITED);
    if (status == STORE_OK) {
        (void)mutate_record_value(store, key, stamp, value, STRINGS_KEEP_EXPIRY);
    }
    return status;
}

/* ---- recorded changes ---- */

static enum store_status apply_float_counter(struct store *store, const struct key *key,
                                             uint64_t *slot, const struct change *change) {
    struct entry_parts parts = {0};
    if (slot != NULL && !float_base(table_item(*slot), &parts)) {
        return STORE_MALFORMED;
    }
    if (!number_parse_float(change->value, &parts.float_total)) {
        return STORE_MALFORMED;
    }
    parts.start_ticks = change->start_ticks;
    parts.stamp = change->stamp;
    put_float_counter(store, key, slot, &parts);
    return STORE_OK;
}

/* Applying when there is no other writer: the entry is what all of it was seen from. */
static enum store_status apply_alone(struct store *store, const struct key *key, uint64_t *slot,
                                     const struct change *change) {
    int64_t integer;
    bool is_whole = change->kind == CHANGE_SET || change->kind == CHANGE_SET_EXPIRING ||
                    change->kind == CHANGE_SET_KEEPING;
    if (!is_whole && slot != NULL && !strings_is_string(table_item(*slot))) {
        return STORE_MALFORMED;
    }
    switch (change->kind) {
    case CHANGE_SET:
        return put_register(store, key, slot, change->stamp, change->value, 0, 0);
    case CHANGE_SET_EXPIRING:
        return put_register(store, key, slot, change->stamp, change->value, change->expire_unix_ms,
                            0);
    case CHANGE_SET_KEEPING:
        return put_register(store, key, slot, change->stamp, change->value, STRINGS_KEEP_EXPIRY, 0);
    case CHANGE_COUNTER:
        if (slot != NULL && !entry_integer(table_item(*slot), &integer)) {
            return STORE_MALFORMED;
        }
        put_counter(store, key, slot, change->stamp, change->start_ticks, change->total);
        return STORE_OK;
    case CHANGE_FLOAT_COUNTER:
        return apply_float_counter(store, key, slot, change);
    case CHANGE_PATCH:
        if (change->offset > SIZE_MAX / 4) {
            return STORE_MALFORMED;
        }
        return put_patch(store, key, slot, change->stamp, change->offset, change->value);
    case CHANGE_MORE:
        if (slot == NULL) {
            return STORE_MALFORMED;
        }
        return put_patch(store, key, slot, change->stamp, entry_value_bytes(table_item(*slot)),
                         change->value);
    case CHANGE_REGISTERS:
        return put_registers(store, key, slot, change->stamp, change->value);
    case CHANGE_TAKE:
        return STORE_OK; /* there are no others */
    case CHANGE_DELETE:
    case CHANGE_EXPIRE:
    case CHANGE_FLUSH:
    case CHANGE_FLUSH_ALL:
    case CHANGE_SWAP:
    case CHANGE_LIFE_END:
        break;
    }
    impossible("not a change of a string");
}

static bool packed_is_covered(const struct store *store, struct slice packed, unsigned author) {
    struct packed_walk walk;
    struct packed_element element;
    packed_walk_init(&walk, store->replicas.authors, packed);
    while (packed_walk_next(&walk, &element)) {
        if (!mutate_has_seen(store, author, element.stamp)) {
            return false;
        }
    }
    return true;
}

/* Is all of a compact entry but its expiry covered by what the change's writer had seen or wrote?
 */
static bool value_is_covered(const struct store *store, const struct entry *entry,
                             unsigned author) {
    struct entry_parts parts;
    switch (entry_kind(entry)) {
    case ENTRY_BYTES:
    case ENTRY_INTEGER:
    case ENTRY_LARGE:
        return mutate_has_seen(store, author, entry->stamp);
    case ENTRY_COUNTER:
        return stamp_slot(entry->stamp) == author;
    case ENTRY_COUNTER_REGISTER:
    case ENTRY_FLOAT_COUNTER:
        entry_take_apart(entry, &parts);
        return stamp_slot(entry->stamp) == author &&
               mutate_has_seen(store, author, parts.register_stamp);
    case ENTRY_PACKED:
        return packed_is_covered(store, entry_packed(entry), author);
    case ENTRY_COLLECTION:
        return collection_is_covered(store, entry_collection(entry), author);
    case ENTRY_CONTESTED:
        break;
    }
    return false;
}

static bool expiry_is_covered(const struct store *store, const struct entry *entry,
                              unsigned author) {
    return (entry->meta & (ENTRY_HAS_EXPIRY | ENTRY_HAS_EXPIRY_STAMP)) == 0 ||
           mutate_has_seen(store, author, entry_expire_stamp(entry));
}

bool strings_is_covered(const struct store *store, const struct entry *entry, unsigned author) {
    return value_is_covered(store, entry, author) && expiry_is_covered(store, entry, author);
}

bool strings_expiry_is_covered(const struct store *store, const struct entry *entry,
                               unsigned author) {
    return entry_kind(entry) != ENTRY_CONTESTED && expiry_is_covered(store, entry, author);
}

/* Does putting the writer's part into the entry leave a compact one that says all? */
static bool fits_counter(const struct entry *entry, const struct change *change) {
    unsigned author = stamp_slot(change->stamp);
    enum entry_kind kind = entry_kind(entry);
    int64_t integer;
    if (kind >= ENTRY_CONTESTED || change->is_fresh) {
        return false;
    }
    if (kind == ENTRY_COUNTER || kind == ENTRY_COUNTER_REGISTER || kind == ENTRY_FLOAT_COUNTER) {
        return stamp_slot(entry->stamp) == author &&
               (change->kind == CHANGE_FLOAT_COUNTER || kind != ENTRY_FLOAT_COUNTER);
    }
    long double number;
    struct entry_scratch scratch;
    return entry_integer(entry, &integer) ||
           (change->kind == CHANGE_FLOAT_COUNTER && kind == ENTRY_BYTES &&
            number_parse_float(entry_value(entry, &scratch), &number) &&
            contested_is_plain_float(entry_value(entry, &scratch), number));
}

enum store_status strings_apply(struct store *store, const struct key *key,
                                const struct change *change) {
    uint64_t *slot = mutate_slot(store, key);
    if (store->is_alone) {
        return apply_alone(store, key, slot, change);
    }
    const struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    unsigned author = stamp_slot(change->stamp);
    bool is_plain = false;
    switch (change->kind) {
    case CHANGE_SET:
    case CHANGE_SET_EXPIRING:
        is_plain = entry == NULL || strings_is_covered(store, entry, author);
        break;
    case CHANGE_SET_KEEPING:
        is_plain = entry == NULL || value_is_covered(store, entry, author);
        break;
    case CHANGE_COUNTER:
    case CHANGE_FLOAT_COUNTER:
        is_plain = entry == NULL || fits_counter(entry, change);
        break;
    case CHANGE_PATCH:
    case CHANGE_REGISTERS:
    case CHANGE_TAKE:
    case CHANGE_MORE:
    case CHANGE_DELETE:
    case CHANGE_EXPIRE:
    case CHANGE_FLUSH:
    case CHANGE_FLUSH_ALL:
    case CHANGE_SWAP:
    case CHANGE_LIFE_END:
        break;
    }
    return is_plain ? apply_alone(store, key, slot, change) : merge_apply(store, key, change);
}
