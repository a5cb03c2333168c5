/* SPDX-License-Identifier: BSD-3-Clause */
/* Strings: registers and counters.
 *
 * Local writes and recorded changes meet in the same functions, which take the stamp as an
 * argument: strings_put_register(), strings_put_counter(), strings_put_float_counter(), and
 * strings_put_patch() and strings_put_registers() in strings_edit.c. A local write computes what to
 * say, puts it and records it; strings_apply() puts what it is told. */
#include "store/strings_internal.h"

#include <math.h>

#include "store/notify.h"

enum {
    /* A longer value cannot be a canonical 64-bit integer. */
    INTEGER_TEXT_BYTES_MAX = 20,
};

struct entry *strings_current(struct store *store, const struct key *key, uint64_t **slot) {
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
void strings_inherit(const struct store *store, const struct entry *old, struct entry_parts *parts,
                     uint64_t expire_unix_ms) {
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

/* Does the value lie in the block, and is it most of that? */
static bool fills(struct slice value, const struct lent_block *lent) {
    uintptr_t begin = (uintptr_t)lent->data, at = (uintptr_t)value.data;
    return at >= begin && at - begin <= lent->capacity &&
           value.size <= lent->capacity - (at - begin) &&
           lent->capacity - value.size <= lent->capacity / LENT_WASTE_DIVISOR;
}

/* The value as a large one: in the block that it lies in, if that is lent, else copied. NULL when
 * memory is out. */
static struct large_string *make_large(struct slice value, struct lent_block *lent) {
    if (lent != NULL && fills(value, lent)) {
        size_t offset = (size_t)(value.data - lent->data);
        lent->is_taken = true;
        return large_string_adopt(lent->data, lent->data + offset, value.size,
                                  lent->capacity - offset);
    }
    return large_string_copy(value);
}

/* strings_put_register(); `lent` as strings_set_lent() takes it. */
static enum store_status put_register(struct store *store, const struct key *key, uint64_t *slot,
                                      uint64_t stamp, struct slice value, uint64_t expire_unix_ms,
                                      uint32_t flags, struct lent_block *lent) {
    struct entry *old = slot != NULL ? table_item(*slot) : NULL;
    int64_t integer = 0;
    bool is_integer =
        flags == 0 && value.size <= INTEGER_TEXT_BYTES_MAX && number_parse_integer(value, &integer);
    struct large_string *large = NULL;
    if (value.size > ENTRY_INLINE_VALUE_BYTES_MAX) {
        large = make_large(value, lent);
        if (large == NULL) {
            return STORE_OUT_OF_MEMORY;
        }
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
    strings_inherit(store, old, &parts, expire_unix_ms);
    struct entry *entry = entry_new(&parts);
    require(entry != NULL);
    mutate_put(store, key, slot, entry);
    mutate_after(store, key);
    return STORE_OK;
}

enum store_status strings_put_register(struct store *store, const struct key *key, uint64_t *slot,
                                       uint64_t stamp, struct slice value, uint64_t expire_unix_ms,
                                       uint32_t flags) {
    return put_register(store, key, slot, stamp, value, expire_unix_ms, flags, NULL);
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

enum store_status strings_set_lent(struct store *store, const struct key *key, struct slice value,
                                   uint64_t expire_unix_ms, struct lent_block *lent) {
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
    enum store_status status =
        put_register(store, key, slot, stamp, value, expire_unix_ms, 0, lent);
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

enum store_status strings_set(struct store *store, const struct key *key, struct slice value,
                              uint64_t expire_unix_ms) {
    return strings_set_lent(store, key, value, expire_unix_ms, NULL);
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

void strings_put_counter(struct store *store, const struct key *key, uint64_t *slot, uint64_t stamp,
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
    strings_inherit(store, old, &parts, STRINGS_KEEP_EXPIRY);
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

bool strings_float_base(const struct entry *entry, struct entry_parts *parts) {
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
    return strings_float_base(entry, &parts) &&
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
    strings_put_counter(store, key, slot, stamp, start_ticks, total);
    return STORE_OK;
}

void strings_put_float_counter(struct store *store, const struct key *key, uint64_t *slot,
                               struct entry_parts *parts) {
    struct entry *old = slot != NULL ? table_item(*slot) : NULL;
    mutate_before(store, key, old);
    parts->kind = ENTRY_FLOAT_COUNTER;
    parts->key = key->name;
    strings_inherit(store, old, parts, STRINGS_KEEP_EXPIRY);
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
    if (old != NULL && !strings_float_base(old, &parts)) {
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
    strings_put_float_counter(store, key, slot, &parts);
    return STORE_OK;
}
