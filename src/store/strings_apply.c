/* SPDX-License-Identifier: BSD-3-Clause */
/* Recorded changes of strings.
 *
 * Where its writer had seen all that the entry has, a change is put into the compact entry by the
 * same functions as local writes; all else is merged element by element (merge.h). */
#include "store/strings_internal.h"

#include "crdt/packed_list.h"

static enum store_status apply_float_counter(struct store *store, const struct key *key,
                                             uint64_t *slot, const struct change *change) {
    struct entry_parts parts = {0};
    if (slot != NULL && !strings_float_base(table_item(*slot), &parts)) {
        return STORE_MALFORMED;
    }
    if (!number_parse_float(change->value, &parts.float_total)) {
        return STORE_MALFORMED;
    }
    parts.start_ticks = change->start_ticks;
    parts.stamp = change->stamp;
    strings_put_float_counter(store, key, slot, &parts);
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
        return strings_put_register(store, key, slot, change->stamp, change->value, 0, 0);
    case CHANGE_SET_EXPIRING:
        return strings_put_register(store, key, slot, change->stamp, change->value,
                                    change->expire_unix_ms, 0);
    case CHANGE_SET_KEEPING:
        return strings_put_register(store, key, slot, change->stamp, change->value,
                                    STRINGS_KEEP_EXPIRY, 0);
    case CHANGE_COUNTER:
        if (slot != NULL && !entry_integer(table_item(*slot), &integer)) {
            return STORE_MALFORMED;
        }
        strings_put_counter(store, key, slot, change->stamp, change->start_ticks, change->total);
        return STORE_OK;
    case CHANGE_FLOAT_COUNTER:
        return apply_float_counter(store, key, slot, change);
    case CHANGE_PATCH:
        if (change->offset > SIZE_MAX / 4) {
            return STORE_MALFORMED;
        }
        return strings_put_patch(store, key, slot, change->stamp, change->offset, change->value);
    case CHANGE_MORE:
        if (slot == NULL) {
            return STORE_MALFORMED;
        }
        return strings_put_patch(store, key, slot, change->stamp,
                                 entry_value_bytes(table_item(*slot)), change->value);
    case CHANGE_REGISTERS:
        return strings_put_registers(store, key, slot, change->stamp, change->value);
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
