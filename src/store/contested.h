/* SPDX-License-Identifier: BSD-3-Clause */
/* A contested value: a key whose elements do not fit into a compact entry, because writers that had
 * not seen each other made them, or because they must be kept apart until everybody has seen them.
 *
 * The elements of a string key are what changes add and supersede one by one:
 *
 *   registers  siblings: whole values. The greatest stamp is shown.
 *   edits      patches of bytes and raises of HyperLogLog registers, in the order of their stamps,
 *              on top of whatever register is shown; on nothing they stand on an empty value.
 *   parts      of a counter, one for each replica. Value = register + sum of (total - off); a text
 *              that is no number hides them.
 *   expiries   the latest is shown, "never" is the latest of all.
 *
 * A key with neither register nor edit nor a live part is hidden: it holds what is still needed for
 * merging (ghosts of parts, an expiry without a value), and no command sees it.
 *
 * Compact entries (entry.h) are the same in short: one register, one part and one expiry at most.
 * contested_open() spells any entry out, contested_close() puts the shortest form back; both are
 * for the files of store/.
 *
 * Invariants, checked by contested_check():
 *   I1  registers and edits have rising stamps (replicas_compare_stamps()), expiries differ in
 *       stamp, parts have rising refs of their replicas and at most one each.
 *   I2  a part never has more taken off than was seen: off_seen <= stamp; a ghost has off == total.
 *   I3  `shown` is what the elements make; the entry's expiry fields are the shown expiry's.
 *   I4  it is in the store's list while settling may shorten it. */
#ifndef STORE_CONTESTED_H
#define STORE_CONTESTED_H

#include "store/store.h"

enum {
    /* Beyond these an edit by a client is recorded as the whole value. */
    CONTESTED_EDITS_MAX = 65536,
    CONTESTED_EDIT_BYTES_MAX = 4 << 20,
};

/* How a register holds its value. */
enum contested_form {
    CONTESTED_BYTES,  /* up to ENTRY_INLINE_VALUE_BYTES_MAX bytes in a block of their own */
    CONTESTED_LARGE,  /* more */
    CONTESTED_NUMBER, /* a float whose text nobody needs any more: under a float counter */
};

struct contested_register {
    uint64_t stamp;
    enum contested_form form;
    size_t size;                /* BYTES */
    char *bytes;                /* BYTES, owned; NULL when empty */
    struct large_string *large; /* LARGE, owned */
    long double number;         /* NUMBER */
};

/* What one replica (that of `stamp`) added to a counter. */
struct contested_part {
    uint64_t start_ticks; /* ticks of the first increment */
    uint64_t stamp;       /* newest increment */
    bool is_float;        /* float_ fields count, else the integers */
    int64_t total, off;   /* all that it added; how much of that was taken off again */
    long double float_total, float_off;
    uint64_t off_seen; /* newest increment that the taker had seen; 0: nothing was taken off */
    uint64_t off_by;   /* the change that took it off */
};

struct contested_edit {
    uint64_t stamp;
    bool is_raise;   /* `bytes` are pairs of HyperLogLog registers, else a patch */
    uint64_t offset; /* of a patch */
    size_t size;
    char *bytes; /* owned; NULL when empty */
};

struct contested_expiry {
    uint64_t stamp;
    uint64_t unix_ms; /* 0: never */
};

enum contested_shown {
    CONTESTED_HIDDEN,           /* nothing */
    CONTESTED_SHOWS_BYTES,      /* shown_bytes */
    CONTESTED_SHOWS_INTEGER,    /* shown_integer */
    CONTESTED_SHOWS_FLOAT,      /* shown_float */
    CONTESTED_SHOWS_COLLECTION, /* shown_collection */
};

struct contested {
    struct entry *entry;      /* its entry: kind ENTRY_CONTESTED, stamp of the newest change */
    unsigned database;        /* number (not index) of its database */
    struct collection *owner; /* it is an element of; NULL: a key */
    /* What concurrent writers put under the key as other types, each once; and a collection all of
     * whose elements are hidden. Linked by their `next`. */
    struct collection *collections;
    bool is_listed;
    struct contested *previous, *next; /* in store->unsettled */
    struct contested_register *registers;
    struct contested_edit *edits;
    struct contested_part *parts;
    struct contested_expiry *expiries;
    unsigned registers_count, edits_count, parts_count, expiries_count;
    unsigned edits_capacity;
    uint64_t edits_bytes;
    /* The value as it is shown, kept up to date by contested_close(). */
    enum contested_shown shown;
    struct slice shown_bytes; /* of the shown register, or of `overlay` */
    int64_t shown_integer;
    long double shown_float;
    struct collection *shown_collection;
    /* Register and edits as one, where the edits are not in the register; NULL: not needed. */
    struct large_string *overlay;
    bool overlay_is_stale;
    /* All edits are patches of writers that had seen the shown register, and are in its bytes. Who
     * supersedes such an edit has seen the register, too; so nobody needs the register without. */
    bool edits_are_in_place;
    /* An expiry without a value stays until the frontier has passed these ticks: all that was
     * written when the key was touched last. */
    uint64_t horizon_ticks;
};

/* Has the entry no visible value? */
static inline bool entry_is_hidden(const struct entry *entry) {
    return entry_kind(entry) == ENTRY_CONTESTED &&
           entry_contested(entry)->shown == CONTESTED_HIDDEN;
}

/* The type of what is shown. */
enum value_type contested_type(const struct contested *contested);
/* The collection of that type, or NULL. */
struct collection *contested_find_collection(const struct contested *contested,
                                             enum value_type type);
/* Adds a collection, of a type that is not there yet; it knows its entry then. */
void contested_add_collection(struct contested *contested, struct collection *collection);
/* The greatest stamp of registers, edits and live parts; 0 without any. */
uint64_t contested_newest_value(const struct store *store, const struct contested *contested);
/* Notes all stamps of its elements in `collection`. */
void contested_note(const struct contested *contested, struct collection *collection);

static inline bool contested_part_is_ghost(const struct contested_part *part) {
    return part->off_seen == part->stamp;
}

/* ---- elements ---- */

/* The bytes of a register; of a NUMBER they are text in `scratch`. */
struct slice contested_register_bytes(const struct contested_register *reg,
                                      struct entry_scratch *scratch);
/* Each adds an element at its place in the order; the caller sees to it that no other has its
 * stamp. Bytes are copied; false, with nothing changed, when memory for them is out. */
bool contested_add_register(const struct store *store, struct contested *contested, uint64_t stamp,
                            struct slice bytes);
/* The large string moves in. */
void contested_add_large(const struct store *store, struct contested *contested, uint64_t stamp,
                         struct large_string *large);
void contested_add_number(const struct store *store, struct contested *contested, uint64_t stamp,
                          long double number);
bool contested_add_edit(const struct store *store, struct contested *contested,
                        const struct contested_edit *edit);
/* The same for an edit whose writer had seen the shown register: that is patched in place, if it
 * can be. */
bool contested_add_edit_in_place(const struct store *store, struct contested *contested,
                                 const struct contested_edit *edit);
/* Makes the first `count` edits part of the only register, or of a new one; their stamps are seen
 * by all. */
void contested_fold_edits(const struct store *store, struct contested *contested, unsigned count);
void contested_add_expiry(struct contested *contested, uint64_t stamp, uint64_t unix_ms);
/* The part of the replica with this slot, or NULL; and the same, added (zeroed, with a stamp of
 * that slot and 0 ticks) if there is none. */
struct contested_part *contested_find_part(const struct contested *contested, unsigned slot);
struct contested_part *contested_need_part(const struct store *store, struct contested *contested,
                                           unsigned slot);
void contested_drop_register(struct contested *contested, unsigned i);
void contested_drop_edit(struct contested *contested, unsigned i);
void contested_drop_part(struct contested *contested, unsigned i);
void contested_drop_expiry(struct contested *contested, unsigned i);
/* Drops all registers, edits and parts. */
void contested_drop_value(struct contested *contested);
/* Frees what a register holds. */
void contested_free_register(struct contested_register *reg);
/* Register and the first `count` edits as one; NULL when memory is out. */
struct large_string *contested_build_value(const struct contested *contested, unsigned count);
void contested_forget_overlay(struct contested *contested);
/* Parts are in the order of this. 0: of nobody. */
static inline uint64_t contested_slot_ref(const struct store *store, unsigned slot) {
    return slot < store->replicas.slots_count ? store->replicas.slots[slot].ref : 0;
}

/* ---- what is shown ---- */

/* Is it a HyperLogLog, for which raises and patches have to be put in order? */
bool contested_is_hyperloglog(struct slice value);
/* The shown register; NULL without any. */
static inline struct contested_register *contested_top(const struct contested *contested) {
    return contested->registers_count == 0 ? NULL
                                           : &contested->registers[contested->registers_count - 1];
}
/* Does the number say all of its text: would number_format_float() make just that? */
bool contested_is_plain_float(struct slice text, long double number);
/* Does a text that is no number hide increments? */
bool contested_hides_parts(const struct contested *contested);
/* The expiry that is shown of a visible value: the latest, "never" being the latest of all; NULL
 * without any. */
const struct contested_expiry *contested_shown_expiry(const struct contested *contested);
/* Is there memory to show it, register and edits as one? For one that was read: others were asked
 * about before. */
bool contested_has_memory(const struct contested *contested);
/* As entry_value(): empty when hidden. */
struct slice contested_value(const struct contested *contested, struct entry_scratch *scratch);

/* ---- lifecycle ---- */

/* Without elements, entry or place in the list. */
struct contested *contested_new(void);
/* Frees it and its elements; it is in no list. The entry is the caller's. */
void contested_free(struct contested *contested);

/* Spells out the entry of `key`, which may be absent (slot NULL): afterwards the key has an entry
 * of kind ENTRY_CONTESTED in the table, whose elements the caller may change. The running walk must
 * have been told before (mutate_before()). */
struct contested *contested_open(struct store *store, const struct key *key, uint64_t *slot);
/* Ends what contested_open() began: computes what is shown, puts a compact entry where one says the
 * same, removes the key if no element is left, and keeps list, marks and counts right. `stamp` is
 * that of the change that did it; 0: nothing but settling happened. `key->name` must not lie in the
 * entry. Tells nobody: mutate_after() is the caller's. True when the key is visible now. */
bool contested_close(struct store *store, const struct key *key, uint64_t stamp);
/* Has it values of more than one type? */
bool contested_has_types(const struct contested *contested);
/* Counts a contested value that was built outside of the store's tables, and has come into the
 * table of `key`: then contested_close(). */
void contested_adopt(struct store *store, const struct key *key, struct contested *contested);
/* Could settling make it shorter? */
bool contested_can_settle(const struct contested *contested);
/* Puts a listed one at the end of the store's list. */
void contested_requeue(struct store *store, struct contested *contested);
/* Forgets it in the store's list and counts, before its entry, which is in the table of `space`,
 * goes in some other way. */
void contested_detach(struct store *store, struct keyspace *space, struct contested *contested);

/* ---- what a DELETE leaves: contested_ghosts.c ---- */

enum contested_rest {
    CONTESTED_RESTS_OTHERWISE, /* nothing, or more than ghosts, or it has to be found out */
    CONTESTED_RESTS_AS_IT_IS,  /* it has no effect */
    CONTESTED_RESTS_IN_GHOSTS, /* contested_leave_ghosts() */
};

/* What does a DELETE by that author leave of it? */
enum contested_rest contested_rest(const struct store *store, const struct contested *contested,
                                   unsigned author);
/* Applies the DELETE with this stamp, which leaves ghosts. The entry stays where it is, in the
 * table of `space`; the walks have been told. */
void contested_leave_ghosts(struct store *store, struct keyspace *space,
                            struct contested *contested, uint64_t stamp);
/* The same for a compact counter without an expiry at `slot`, the place of `key`, of which its
 * author had seen all: another entry comes into its place. */
void contested_leave_ghost(struct store *store, const struct key *key, uint64_t *slot,
                           uint64_t stamp);

/* A compact counter of another replica than that of the stamp as a contested value with its entry,
 * in no table, which takes the old one's place; NULL, with nothing done: it is none. */
struct contested *contested_spell_out_ghost(const struct store *store, struct entry *old,
                                            unsigned database, uint64_t stamp);
/* Takes off all of a value that is in no list or table, and that the author of the DELETE with this
 * stamp had seen all of. False: no ghost is left. */
bool contested_take_all_off(const struct store *store, struct contested *contested, uint64_t stamp);

/* ---- introspection ---- */

uint64_t contested_memory_bytes(const struct contested *contested);
/* Asserts the invariants of a value whose entry is `entry`. */
void contested_check(const struct store *store, const struct entry *entry);

#endif
