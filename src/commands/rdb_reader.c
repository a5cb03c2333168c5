/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands/rdb_reader.h"

#include <math.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/memory.h"
#include "commands/rdb_bytes.h"
#include "commands/rdb_reader_walk.h"

/* Redis keeps the time of a field in 48 bits. The least time of a hash may be one above: never. */
static const uint64_t FIELD_EXPIRE_UNIX_MS_MAX = ((uint64_t)1 << 48) - 1;

/* ---- layouts ---- */

enum layout {
    LAYOUT_UNKNOWN,
    LAYOUT_STRING,
    LAYOUT_PLAIN,  /* a count, then strings */
    LAYOUT_PACKED, /* one packed sequence */
    LAYOUT_NODES,  /* a count, then packed sequences */
    LAYOUT_STREAM,
};

/* How a hash says when its fields expire. */
enum expiry {
    EXPIRY_NONE,
    EXPIRY_ABSOLUTE, /* a time each */
    EXPIRY_RELATIVE, /* the least time first; then 1 + what each is above it */
    EXPIRY_BASED,    /* the least time first; then a time each all the same */
};

struct type_facts {
    uint8_t layout, kind, packed, expiry;
};

static const struct type_facts TYPES[RDB_TYPES_COUNT] = {
    [RDB_TYPE_STRING] = {LAYOUT_STRING, RDB_KIND_STRING, 0, 0},
    [RDB_TYPE_LIST] = {LAYOUT_PLAIN, RDB_KIND_LIST, 0, 0},
    [RDB_TYPE_SET] = {LAYOUT_PLAIN, RDB_KIND_SET, 0, 0},
    [RDB_TYPE_ZSET] = {LAYOUT_PLAIN, RDB_KIND_SORTED_SET, 0, 0},
    [RDB_TYPE_HASH] = {LAYOUT_PLAIN, RDB_KIND_HASH, 0, 0},
    [RDB_TYPE_ZSET_2] = {LAYOUT_PLAIN, RDB_KIND_SORTED_SET, 0, 0},
    [RDB_TYPE_HASH_ZIPMAP] = {LAYOUT_PACKED, RDB_KIND_HASH, RDB_PACKED_ZIPMAP, 0},
    [RDB_TYPE_LIST_ZIPLIST] = {LAYOUT_PACKED, RDB_KIND_LIST, RDB_PACKED_ZIPLIST, 0},
    [RDB_TYPE_SET_INTSET] = {LAYOUT_PACKED, RDB_KIND_SET, RDB_PACKED_INTSET, 0},
    [RDB_TYPE_ZSET_ZIPLIST] = {LAYOUT_PACKED, RDB_KIND_SORTED_SET, RDB_PACKED_ZIPLIST, 0},
    [RDB_TYPE_HASH_ZIPLIST] = {LAYOUT_PACKED, RDB_KIND_HASH, RDB_PACKED_ZIPLIST, 0},
    [RDB_TYPE_LIST_QUICKLIST] = {LAYOUT_NODES, RDB_KIND_LIST, RDB_PACKED_ZIPLIST, 0},
    [RDB_TYPE_STREAM_LISTPACKS] = {LAYOUT_STREAM, RDB_KIND_STREAM, 0, 0},
    [RDB_TYPE_HASH_LISTPACK] = {LAYOUT_PACKED, RDB_KIND_HASH, RDB_PACKED_LISTPACK, 0},
    [RDB_TYPE_ZSET_LISTPACK] = {LAYOUT_PACKED, RDB_KIND_SORTED_SET, RDB_PACKED_LISTPACK, 0},
    [RDB_TYPE_LIST_QUICKLIST_2] = {LAYOUT_NODES, RDB_KIND_LIST, RDB_PACKED_LISTPACK, 0},
    [RDB_TYPE_STREAM_LISTPACKS_2] = {LAYOUT_STREAM, RDB_KIND_STREAM, 0, 0},
    [RDB_TYPE_SET_LISTPACK] = {LAYOUT_PACKED, RDB_KIND_SET, RDB_PACKED_LISTPACK, 0},
    [RDB_TYPE_STREAM_LISTPACKS_3] = {LAYOUT_STREAM, RDB_KIND_STREAM, 0, 0},
    [RDB_TYPE_HASH_METADATA_PRE_GA] = {LAYOUT_PLAIN, RDB_KIND_HASH, 0, EXPIRY_ABSOLUTE},
    [RDB_TYPE_HASH_LISTPACK_EX_PRE_GA] = {LAYOUT_PACKED, RDB_KIND_HASH, RDB_PACKED_LISTPACK,
                                          EXPIRY_ABSOLUTE},
    [RDB_TYPE_HASH_METADATA] = {LAYOUT_PLAIN, RDB_KIND_HASH, 0, EXPIRY_RELATIVE},
    [RDB_TYPE_HASH_LISTPACK_EX] = {LAYOUT_PACKED, RDB_KIND_HASH, RDB_PACKED_LISTPACK, EXPIRY_BASED},
};

enum { NODE_PLAIN = 1, NODE_PACKED = 2 }; /* of RDB_TYPE_LIST_QUICKLIST_2 */

/* ---- one step of a walk ---- */

static enum rdb_item_kind item_kind(enum rdb_kind kind) {
    switch (kind) {
    case RDB_KIND_STRING:
        return RDB_ITEM_STRING;
    case RDB_KIND_LIST:
        return RDB_ITEM_ELEMENT;
    case RDB_KIND_SET:
        return RDB_ITEM_MEMBER;
    case RDB_KIND_HASH:
        return RDB_ITEM_FIELD;
    case RDB_KIND_SORTED_SET:
        return RDB_ITEM_SCORED;
    case RDB_KIND_STREAM:
        break;
    }
    impossible("a stream has items of its own");
}

/* A score as text behind its length, where three lengths stand for numbers without text. */
static bool take_text_score(struct slice *bytes, double *score) {
    enum { NAN_LENGTH = 253, INFINITE_LENGTH = 254, MINUS_INFINITE_LENGTH = 255 };
    if (bytes->size == 0) {
        return false;
    }
    uint8_t length = (uint8_t)bytes->data[0];
    *bytes = slice_skip(*bytes, 1);
    if (length >= NAN_LENGTH) {
        *score = length == INFINITE_LENGTH ? (double)INFINITY : (double)-INFINITY;
        return length != NAN_LENGTH;
    }
    if (length > bytes->size || !number_parse_double(slice_make(bytes->data, length), score)) {
        return false;
    }
    *bytes = slice_skip(*bytes, length);
    return true;
}

static bool take_binary_score(struct slice *bytes, double *score) {
    uint64_t bits;
    if (!codec_take_u64(bytes, &bits)) {
        return false;
    }
    memcpy(score, &bits, sizeof(bits));
    return !isnan(*score);
}

/* Reads when a field expires, if the layout says so in front of it. */
static bool take_plain_expiry(struct rdb_reader *reader, uint64_t *expire_unix_ms) {
    uint8_t expiry = TYPES[reader->type].expiry;
    *expire_unix_ms = 0;
    if (expiry == EXPIRY_NONE) {
        return true;
    }
    uint64_t told;
    if (!rdb_value_take_length(&reader->rest, &told) || told > FIELD_EXPIRE_UNIX_MS_MAX) {
        return false;
    }
    /* Neither is above 2^48. */
    *expire_unix_ms =
        expiry == EXPIRY_RELATIVE && told > 0 ? reader->expire_base_ms + told - 1 : told;
    return *expire_unix_ms <= FIELD_EXPIRE_UNIX_MS_MAX;
}

static enum rdb_walk step_plain(struct rdb_reader *reader, struct rdb_item *item) {
    if (reader->left == 0) {
        return RDB_WALK_END;
    }
    reader->left--;
    if (!take_plain_expiry(reader, &item->expire_unix_ms)) {
        return RDB_WALK_MALFORMED;
    }
    enum rdb_walk walk = rdb_reader_take_string(reader, &reader->name);
    if (walk != RDB_WALK_ITEM) {
        return walk;
    }
    item->name = reader->name.bytes;
    if (reader->kind == RDB_KIND_HASH) {
        walk = rdb_reader_take_string(reader, &reader->value);
        item->value = reader->value.bytes;
        return walk;
    }
    if (reader->kind == RDB_KIND_SORTED_SET) {
        bool is_ok = reader->type == RDB_TYPE_ZSET ? take_text_score(&reader->rest, &item->score)
                                                   : take_binary_score(&reader->rest, &item->score);
        return is_ok ? RDB_WALK_ITEM : RDB_WALK_MALFORMED;
    }
    return RDB_WALK_ITEM;
}

static enum rdb_walk step_packed(struct rdb_reader *reader, struct rdb_item *item) {
    struct rdb_packed_item part;
    if (!rdb_packed_next(&reader->packed, &part)) {
        return RDB_WALK_END;
    }
    item->name = rdb_packed_text(&part, reader->name.digits);
    if (reader->kind == RDB_KIND_HASH) {
        if (!rdb_packed_next(&reader->packed, &part)) {
            return RDB_WALK_MALFORMED;
        }
        item->value = rdb_packed_text(&part, reader->value.digits);
        if (TYPES[reader->type].expiry != EXPIRY_NONE) {
            if (!rdb_packed_next(&reader->packed, &part) || !part.is_integer || part.integer < 0 ||
                (uint64_t)part.integer > FIELD_EXPIRE_UNIX_MS_MAX) {
                return RDB_WALK_MALFORMED;
            }
            item->expire_unix_ms = (uint64_t)part.integer;
        }
    } else if (reader->kind == RDB_KIND_SORTED_SET) {
        if (!rdb_packed_next(&reader->packed, &part)) {
            return RDB_WALK_MALFORMED;
        }
        if (part.is_integer) {
            item->score = (double)part.integer;
        } else if (!number_parse_double(part.bytes, &item->score)) {
            return RDB_WALK_MALFORMED;
        }
    }
    return RDB_WALK_ITEM;
}

/* Nodes may be empty, as long as the list is not: servers before Redis 7 left such. */
static enum rdb_walk step_nodes(struct rdb_reader *reader, struct rdb_item *item) {
    enum rdb_walk walk;
    while ((walk = step_packed(reader, item)) == RDB_WALK_END && reader->left > 0) {
        reader->left--;
        uint64_t container = NODE_PACKED;
        if (reader->type == RDB_TYPE_LIST_QUICKLIST_2 &&
            !rdb_value_take_length(&reader->rest, &container)) {
            return RDB_WALK_MALFORMED;
        }
        if (container == NODE_PLAIN) {
            walk = rdb_reader_take_string(reader, &reader->node);
            item->name = reader->node.bytes;
            return walk;
        }
        if (container != NODE_PACKED) {
            return RDB_WALK_MALFORMED;
        }
        walk = rdb_reader_take_packed(reader, TYPES[reader->type].packed);
        if (walk != RDB_WALK_ITEM) {
            return walk;
        }
    }
    return walk;
}

static enum rdb_walk step_string(struct rdb_reader *reader, struct rdb_item *item) {
    if (reader->left == 0) {
        return RDB_WALK_END;
    }
    reader->left--;
    enum rdb_walk walk = rdb_reader_take_string(reader, &reader->name);
    item->name = reader->name.bytes;
    return walk;
}

/* What is in the union is of streams, and as large as all the rest. */
static void begin_item(struct rdb_item *item, enum rdb_item_kind kind) {
    item->kind = kind;
    item->name = item->value = (struct slice){0};
    item->expire_unix_ms = 0;
    item->score = 0;
}

static enum rdb_walk step(struct rdb_reader *reader, struct rdb_item *item) {
    enum rdb_walk walk = RDB_WALK_MALFORMED;
    if (reader->kind == RDB_KIND_STREAM) {
        walk = rdb_reader_stream_step(reader, item);
    } else {
        begin_item(item, item_kind(reader->kind));
        switch ((enum layout)TYPES[reader->type].layout) {
        case LAYOUT_STRING:
            walk = step_string(reader, item);
            break;
        case LAYOUT_PLAIN:
            walk = step_plain(reader, item);
            break;
        case LAYOUT_PACKED:
            walk = step_packed(reader, item);
            break;
        case LAYOUT_NODES:
            walk = step_nodes(reader, item);
            break;
        case LAYOUT_UNKNOWN:
        case LAYOUT_STREAM:
            impossible("refused, or another's");
        }
    }
    if (walk == RDB_WALK_END && reader->rest.size > 0) {
        return RDB_WALK_MALFORMED;
    }
    return walk;
}

/* Puts the reader before the first item; RDB_WALK_ITEM when that went well. */
static enum rdb_walk begin(struct rdb_reader *reader) {
    reader->rest = reader->body;
    reader->packed = (struct rdb_packed){.left = 0};
    uint8_t expiry = TYPES[reader->type].expiry;
    if ((expiry == EXPIRY_RELATIVE || expiry == EXPIRY_BASED) &&
        (!codec_take_u64(&reader->rest, &reader->expire_base_ms) ||
         reader->expire_base_ms > FIELD_EXPIRE_UNIX_MS_MAX + 1)) {
        return RDB_WALK_MALFORMED;
    }
    switch ((enum layout)TYPES[reader->type].layout) {
    case LAYOUT_STRING:
        reader->left = 1;
        return RDB_WALK_ITEM;
    case LAYOUT_PLAIN:
    case LAYOUT_NODES:
        return rdb_reader_take_count(reader, 1, &reader->left) ? RDB_WALK_ITEM : RDB_WALK_MALFORMED;
    case LAYOUT_PACKED:
        return rdb_reader_take_packed(reader, TYPES[reader->type].packed);
    case LAYOUT_STREAM:
        return rdb_reader_stream_begin(reader);
    case LAYOUT_UNKNOWN:
        break;
    }
    return RDB_WALK_MALFORMED;
}

/* ---- names that are there twice ---- */

/* Names are told apart by 128 bits of a keyed hash: two names of a value of 2^32 meet with a
 * probability of 2^-65, and nobody can choose them so. Equal names are always found. */
struct digest {
    uint64_t a, b;
};

/* An open table of digests, at most three quarters full. A zeroed one is empty. */
struct digest_set {
    struct digest *slots; /* both words zero: free */
    uint64_t slots_count, count;
    struct hash_seed seeds[2];
};

enum { DIGEST_SLOTS_MIN = 64 };

/* False when it is there already. */
static bool digest_place(struct digest_set *set, struct digest digest) {
    for (uint64_t at = digest.b;; at++) {
        struct digest *slot = &set->slots[at & (set->slots_count - 1)];
        if (slot->a == 0 && slot->b == 0) {
            *slot = digest;
            set->count++;
            return true;
        }
        if (slot->a == digest.a && slot->b == digest.b) {
            return false;
        }
    }
}

static bool digest_set_grow(struct digest_set *set) {
    struct digest_set grown = *set;
    grown.slots_count = set->slots_count > 0 ? set->slots_count * 2 : DIGEST_SLOTS_MIN;
    grown.slots = memory_try_alloc_zero(grown.slots_count * sizeof(struct digest));
    if (grown.slots == NULL) {
        return false;
    }
    grown.count = 0;
    for (uint64_t i = 0; i < set->slots_count; i++) {
        if (set->slots[i].a != 0 || set->slots[i].b != 0) {
            (void)digest_place(&grown, set->slots[i]);
        }
    }
    memory_free(set->slots);
    *set = grown;
    return true;
}

/* Adds `name`, which must be new among those of `owner`. */
static enum rdb_walk digest_set_add(struct digest_set *set, uint64_t owner, struct slice name) {
    if (set->count * 4 >= set->slots_count * 3 && !digest_set_grow(set)) {
        return RDB_WALK_OUT_OF_MEMORY;
    }
    struct digest digest = {hash_bytes(set->seeds[0], name), hash_bytes(set->seeds[1], name)};
    if (owner > 0) {
        digest.a ^= hash_bytes(set->seeds[0], slice_make(&owner, sizeof(owner)));
        digest.b ^= hash_bytes(set->seeds[1], slice_make(&owner, sizeof(owner)));
    }
    digest.a |= 1; /* never free */
    return digest_place(set, digest) ? RDB_WALK_ITEM : RDB_WALK_MALFORMED;
}

/* Refuses an item whose name was there. */
static enum rdb_walk check_name(const struct rdb_reader *reader, struct digest_set *names,
                                const struct rdb_item *item) {
    switch (item->kind) {
    case RDB_ITEM_MEMBER:
        if (reader->type == RDB_TYPE_SET_INTSET) {
            return RDB_WALK_ITEM; /* they rise */
        }
        return digest_set_add(names, 0, item->name);
    case RDB_ITEM_FIELD:
    case RDB_ITEM_SCORED:
        return digest_set_add(names, 0, item->name);
    case RDB_ITEM_GROUP:
        return digest_set_add(names, 0, item->group.name);
    case RDB_ITEM_CONSUMER:
        return digest_set_add(names, reader->stream.group_number, item->consumer.name);
    case RDB_ITEM_STRING:
    case RDB_ITEM_ELEMENT:
    case RDB_ITEM_ENTRY:
    case RDB_ITEM_STREAM:
    case RDB_ITEM_PENDING:
        break;
    }
    return RDB_WALK_ITEM;
}

/* ---- lifecycle and items ---- */

/* Walks all of it; RDB_WALK_END when it is as it should be. */
static enum rdb_walk check_all(struct rdb_reader *reader, struct hash_seed seed) {
    struct digest_set names = {
        .seeds = {seed, {hash_fold(seed.a, ~seed.b) ^ seed.b, seed.a ^ UINT64_C(0x6E616D6573)}}};
    uint64_t items_count = 0;
    enum rdb_walk walk = begin(reader);
    if (walk == RDB_WALK_ITEM) {
        struct rdb_item item;
        while ((walk = step(reader, &item)) == RDB_WALK_ITEM &&
               (walk = check_name(reader, &names, &item)) == RDB_WALK_ITEM) {
            items_count++;
            if (TYPES[reader->type].layout == LAYOUT_NODES) {
                /* The elements of a node need no look each: opening it has checked them. */
                items_count += reader->packed.left;
                reader->packed.left = 0;
            }
        }
        if (walk == RDB_WALK_END && items_count == 0) {
            walk = RDB_WALK_MALFORMED; /* Redis has no empty collections */
        }
    }
    memory_free(names.slots);
    reader->count = reader->kind == RDB_KIND_STREAM ? reader->stream.length : items_count;
    return walk;
}

enum rdb_value_status rdb_reader_open(struct rdb_reader *reader, struct slice value,
                                      uint64_t bytes_max, struct hash_seed seed) {
    *reader = (struct rdb_reader){.bytes_max = bytes_max};
    if (value.size == 0) {
        return RDB_VALUE_MALFORMED;
    }
    uint8_t type = (uint8_t)value.data[0];
    if (type >= RDB_TYPES_COUNT || TYPES[type].layout == LAYOUT_UNKNOWN) {
        return RDB_VALUE_MALFORMED;
    }
    reader->type = type;
    reader->kind = TYPES[type].kind;
    reader->body = slice_skip(value, 1);
    switch (check_all(reader, seed)) {
    case RDB_WALK_END: {
        reader->is_checked = true;
        if (TYPES[type].layout == LAYOUT_PACKED) {
            /* It is open still, and need not be expanded again. */
            rdb_packed_open_again(&reader->packed, TYPES[type].packed, reader->node.bytes);
            return RDB_VALUE_OK;
        }
        enum rdb_walk walk = begin(reader);
        ensure(walk == RDB_WALK_ITEM);
        return RDB_VALUE_OK;
    }
    case RDB_WALK_OUT_OF_MEMORY:
        return RDB_VALUE_OUT_OF_MEMORY;
    case RDB_WALK_ITEM:
    case RDB_WALK_MALFORMED:
        break;
    }
    return RDB_VALUE_MALFORMED;
}

void rdb_reader_deinit(struct rdb_reader *reader) {
    rdb_value_string_deinit(&reader->name);
    rdb_value_string_deinit(&reader->value);
    rdb_value_string_deinit(&reader->node);
    memory_free(reader->stream.pending);
    reader->stream.pending = NULL;
}

bool rdb_reader_next(struct rdb_reader *reader, struct rdb_item *item) {
    enum rdb_walk walk = step(reader, item);
    ensure(walk == RDB_WALK_ITEM || walk == RDB_WALK_END); /* it went well once */
    return walk == RDB_WALK_ITEM;
}
