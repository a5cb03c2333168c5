/* SPDX-License-Identifier: BSD-3-Clause */
/* Digests, and asserting the invariants. */
#include "crdt/hyperloglog.h"
#include "store/collection.h"
#include "store/elements.h"
#include "store/gathered.h"
#include "store/mutate.h"

struct value_digest {
    enum value_type type;
    uint64_t sums[3];
};

static void add_element_digest(void *udata, const struct element *element) {
    static const struct hash_seed SEEDS[3] = {
        {0x9216D5D98979FB1BULL, 0xD1310BA698DFB5ACULL},
        {0x2FFD72DBD01ADFB7ULL, 0xB8E1AFED6A267E96ULL},
        {0xBA7C9045F12C7F99ULL, 0x24A19947B3916CF7ULL},
    };
    struct value_digest *digest = (struct value_digest *)udata;
    /* Two zeros are one score. */
    double score = element->score == 0 ? 0 : element->score;
    uint64_t bits;
    memcpy(&bits, &score, sizeof(bits));
    for (int i = 0; i < 3 && digest->type == VALUE_LIST; i++) {
        /* By order, and not by position: those are not the client's data. */
        digest->sums[i] =
            hash_fold(digest->sums[i] ^ hash_bytes(SEEDS[i], element->value), SEEDS[i].a) + 1;
    }
    for (int i = 0; i < 3 && digest->type != VALUE_LIST; i++) {
        uint64_t word = hash_bytes(SEEDS[i], element->name);
        word = hash_fold(word ^ SEEDS[i].b, hash_bytes(SEEDS[i], element->value) | 1);
        digest->sums[i] += hash_fold(word ^ bits ^ element->expire_unix_ms, SEEDS[i].a);
    }
}

void store_value_digest(const struct store *store, const struct entry *entry, uint8_t digest[20]) {
    struct elements elements;
    elements_of(entry, &elements);
    struct value_digest sums = {.type = elements.type};
    /* Expired fields count until a change has removed them, as keys do: nodes that are asked at two
     * moments would differ otherwise. */
    elements_each_written(store, &elements, add_element_digest, &sums);
    uint64_t words[3];
    for (int i = 0; i < 3; i++) {
        words[i] = hash_fold(sums.sums[i] ^ elements.type, 0x9E3779B97F4A7C15ULL + 2 * (unsigned)i);
    }
    memcpy(digest, words, 20);
}

void store_entry_digest(const struct store *store, unsigned db, const struct entry *entry,
                        uint8_t digest[20]) {
    /* Fixed seeds: every node must come to the same bytes. */
    static const struct hash_seed seeds[3] = {
        {0x243F6A8885A308D3ULL, 0x13198A2E03707344ULL},
        {0xA4093822299F31D0ULL, 0x082EFA98EC4E6C89ULL},
        {0x452821E638D01377ULL, 0xBE5466CF34E90C6CULL},
    };
    struct entry_scratch scratch;
    struct slice key = entry_key(entry), value = entry_value(entry, &scratch);
    uint64_t expire = entry_expire_unix_ms(entry), words[3];
    uint8_t of_elements[20];
    if (entry_type(entry) != VALUE_STRING) {
        store_value_digest(store, entry, of_elements);
        value = slice_make(of_elements, sizeof(of_elements));
    }
    /* What a HyperLogLog has cached of its own count is not data: it comes with reads. */
    struct slice before_cache = {0};
    uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT];
    if (unlikely(hyperloglog_check(value) == HYPERLOGLOG_OK)) {
        memset(registers, 0, sizeof(registers));
        before_cache = slice_make(value.data, HYPERLOGLOG_CACHE_OFFSET);
        if (hyperloglog_join(registers, value) == HYPERLOGLOG_OK) {
            /* Nor is the form that its registers are in: that depends on who wrote it. */
            before_cache = SLICE("HYLL");
            value = slice_make(registers, sizeof(registers));
        } else {
            value = slice_skip(value, HYPERLOGLOG_HEADER_BYTES);
        }
    }
    uint64_t values[3];
    hash_bytes_thrice(seeds, value, values);
    for (int i = 0; i < 3; i++) {
        uint64_t word = hash_bytes(seeds[i], key) ^ hash_fold(db + 1, seeds[i].b);
        word ^= hash_bytes(seeds[i], before_cache);
        word = hash_fold(word ^ seeds[i].a, values[i] | 1);
        words[i] = hash_fold(word ^ expire, seeds[i].b);
    }
    memcpy(digest, words, 20);
}

struct digest_walk {
    const struct store *store;
    unsigned db;
    uint8_t *digest;
};

static void store_digest_visit(void *item, void *udata) {
    const struct digest_walk *walk = (const struct digest_walk *)udata;
    if (entry_is_hidden((const struct entry *)item)) {
        return; /* what it keeps for merging is no data */
    }
    uint8_t one[20];
    store_entry_digest(walk->store, walk->db, (const struct entry *)item, one);
    for (int i = 0; i < 20; i++) {
        walk->digest[i] ^= one[i];
    }
}

void store_digest(const struct store *store, uint8_t digest[20]) {
    memset(digest, 0, 20);
    for (unsigned db = 0; db < store->dbs_count; db++) {
        struct digest_walk walk = {.store = store, .db = db, .digest = digest};
        uint64_t position = 0;
        do {
            position = table_walk(&store->dbs[db].table, position, store_digest_visit, &walk);
        } while (position != 0);
    }
}

struct check_walk {
    const struct store *store;
    uint64_t marked_count, hidden_count, contested_count, listed_count;
};

static void count_listed_visit(void *item, void *udata) {
    const struct entry *entry = (const struct entry *)item;
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        *(uint64_t *)udata += entry_contested(entry)->is_listed;
    }
}

static void add_contested_elements(struct check_walk *walk, const struct collection *collection) {
    for (const struct grave *grave = collection->grave; grave != NULL; grave = grave->below) {
        add_contested_elements(walk, grave->buried);
    }
    walk->contested_count += collection->contested_count;
    uint64_t position = 0;
    do {
        position =
            table_walk(&collection->space.table, position, count_listed_visit, &walk->listed_count);
    } while (position != 0);
}

static void store_check_visit(void *item, void *udata) {
    struct check_walk *walk = (struct check_walk *)udata;
    const struct entry *entry = (const struct entry *)item;
    require(entry_kind(entry) <= ENTRY_COLLECTION);
    require(stamp_ticks(entry_newest_stamp(entry)) <= walk->store->clock.ticks);
    require(context_covers(&walk->store->context, entry_newest_stamp(entry)));
    if (entry_kind(entry) == ENTRY_LARGE) {
        require(entry_large(entry)->size <= entry_large(entry)->capacity);
    }
    if (entry_kind(entry) == ENTRY_COLLECTION) {
        require(entry_collection(entry)->entry == entry);
        collection_check(walk->store, entry_collection(entry));
        add_contested_elements(walk, entry_collection(entry));
    }
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        for (const struct collection *collection = entry_contested(entry)->collections;
             collection != NULL; collection = collection->next) {
            add_contested_elements(walk, collection);
        }
        require(!walk->store->is_alone);
        contested_check(walk->store, entry);
        walk->contested_count++;
        walk->listed_count += entry_contested(entry)->is_listed;
        walk->hidden_count += entry_is_hidden(entry);
    }
    walk->marked_count += entry_expire_unix_ms(entry) != 0;
}

void store_check(const struct store *store) {
    uint64_t contested_count = 0, listed_count = 0;
    for (unsigned db = 0; db < store->dbs_count; db++) {
        const struct table *table = &store->dbs[db].table;
        struct check_walk walk = {.store = store};
        table_check(table);
        uint64_t position = 0;
        do {
            position = table_walk(table, position, store_check_visit, &walk);
        } while (position != 0);
        require(walk.marked_count == table->marked_count);
        require(walk.hidden_count == store->dbs[db].hidden_count);
        contested_count += walk.contested_count;
        listed_count += walk.listed_count;
    }
    require(contested_count == store->contested_count);
    require(listed_count == store->unsettled_count);
}
