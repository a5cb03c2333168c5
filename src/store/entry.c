/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/entry.h"

#include "base/check.h"
#include "store/collection.h"
#include "store/contested.h"

enum {
    ENTRY_KEY_SHORT_MAX = 254,
    ENTRY_VALUE_SHORT_MAX = 253,
    ENTRY_COUNTER_BYTES = 16,
    ENTRY_COUNTER_REGISTER_BYTES = 32,
    ENTRY_FLOAT_COUNTER_BYTES = 8 + 16 + 8 + 16,
};

static_assert(sizeof(long double) == 16, "float counters keep 16 bytes for each number");

static size_t value_field_bytes(size_t value_bytes) {
    size_t prefix = value_bytes <= ENTRY_VALUE_SHORT_MAX ? 1 : value_bytes <= UINT16_MAX ? 3 : 5;
    return prefix + value_bytes;
}

static size_t body_bytes(enum entry_kind kind, size_t value_bytes) {
    switch (kind) {
    case ENTRY_BYTES:
    case ENTRY_PACKED:
        return value_field_bytes(value_bytes);
    case ENTRY_INTEGER:
    case ENTRY_LARGE:
    case ENTRY_CONTESTED:
    case ENTRY_COLLECTION:
        return 8;
    case ENTRY_COUNTER:
        return ENTRY_COUNTER_BYTES;
    case ENTRY_COUNTER_REGISTER:
        return ENTRY_COUNTER_REGISTER_BYTES;
    case ENTRY_FLOAT_COUNTER:
        return ENTRY_FLOAT_COUNTER_BYTES;
    }
    impossible("an entry has a kind");
}

static unsigned char *put_bytes_field(unsigned char *at, struct slice value) {
    if (value.size <= ENTRY_VALUE_SHORT_MAX) {
        *at++ = (unsigned char)value.size;
    } else if (value.size <= UINT16_MAX) {
        uint16_t size = (uint16_t)value.size;
        *at = 254;
        memcpy(at + 1, &size, sizeof(size));
        at += 3;
    } else {
        uint32_t size = (uint32_t)value.size;
        *at = 255;
        memcpy(at + 1, &size, sizeof(size));
        at += 5;
    }
    if (value.size > 0) {
        memcpy(at, value.data, value.size);
    }
    return at + value.size;
}

static struct slice take_bytes_field(const unsigned char *at) {
    if (at[0] <= ENTRY_VALUE_SHORT_MAX) {
        return slice_make(at + 1, at[0]);
    }
    if (at[0] == 254) {
        uint16_t size;
        memcpy(&size, at + 1, sizeof(size));
        return slice_make(at + 3, size);
    }
    uint32_t size;
    memcpy(&size, at + 1, sizeof(size));
    return slice_make(at + 5, size);
}

static unsigned char *put_head(struct entry *entry, const struct entry_parts *parts,
                               bool has_own_stamp, bool has_expiry_field) {
    entry->stamp = parts->stamp;
    entry->meta = (uint32_t)parts->kind | parts->flags |
                  (has_expiry_field ? (uint32_t)ENTRY_HAS_EXPIRY : 0) |
                  (has_own_stamp ? (uint32_t)ENTRY_HAS_EXPIRY_STAMP : 0) |
                  parts->access << ENTRY_ACCESS_SHIFT;
    unsigned char *at = (unsigned char *)entry + ENTRY_TAIL_OFFSET;
    if (has_expiry_field) {
        entry_store64(at, parts->has_expiry ? parts->expire_unix_ms : 0);
        at += 8;
    }
    if (has_own_stamp) {
        entry_store64(at, parts->kind == ENTRY_COLLECTION && parts->expire_stamp == 0
                              ? parts->stamp
                              : parts->expire_stamp);
        at += 8;
    }
    if (parts->key.size <= ENTRY_KEY_SHORT_MAX) {
        *at++ = (unsigned char)parts->key.size;
    } else {
        uint32_t size = (uint32_t)parts->key.size;
        *at = 255;
        memcpy(at + 1, &size, sizeof(size));
        at += 5;
    }
    if (parts->key.size > 0) {
        memcpy(at, parts->key.data, parts->key.size);
    }
    return at + parts->key.size;
}

struct entry *entry_new(const struct entry_parts *parts) {
    require(parts->key.size <= UINT32_MAX);
    /* A contested entry always has the places, since its expiry changes in place; a collection with
     * an expiry, since its stamp does. */
    bool has_own_stamp =
        (parts->expire_stamp != 0 && parts->expire_stamp != parts->stamp) ||
        parts->kind == ENTRY_CONTESTED ||
        (parts->kind == ENTRY_COLLECTION && (parts->has_expiry || parts->expire_stamp != 0));
    /* The stamp alone needs the time's place, too: the flags then place the key. */
    bool has_expiry_field = parts->has_expiry || has_own_stamp;
    size_t key_field = parts->key.size + (parts->key.size <= ENTRY_KEY_SHORT_MAX ? 1 : 5);
    size_t size = ENTRY_TAIL_OFFSET + (has_expiry_field ? 8 : 0) + (has_own_stamp ? 8 : 0) +
                  key_field + body_bytes(parts->kind, parts->bytes.size);
    struct entry *entry = memory_try_alloc(memory_class_bytes(size));
    if (entry == NULL) {
        return NULL;
    }
    unsigned char *body = put_head(entry, parts, has_own_stamp, has_expiry_field);
    switch (parts->kind) {
    case ENTRY_BYTES:
    case ENTRY_PACKED:
        (void)put_bytes_field(body, parts->bytes);
        break;
    case ENTRY_INTEGER:
        entry_store64(body, (uint64_t)parts->integer);
        break;
    case ENTRY_COUNTER_REGISTER:
        entry_store64(body + 16, parts->register_stamp);
        entry_store64(body + 24, (uint64_t)parts->integer);
        /* fall through */
    case ENTRY_COUNTER:
        entry_store64(body, parts->start_ticks);
        entry_store64(body + 8, (uint64_t)parts->total);
        break;
    case ENTRY_FLOAT_COUNTER:
        /* A long double has padding: zeroed, so that equal entries are equal bytes. */
        memset(body, 0, ENTRY_FLOAT_COUNTER_BYTES);
        entry_store64(body, parts->start_ticks);
        memcpy(body + 8, &parts->float_total, 10);
        entry_store64(body + 24, parts->register_stamp);
        memcpy(body + 32, &parts->float_register, 10);
        break;
    case ENTRY_LARGE:
        entry_store64(body, (uint64_t)(uintptr_t)parts->large);
        break;
    case ENTRY_CONTESTED:
        entry_store64(body, (uint64_t)(uintptr_t)parts->contested);
        break;
    case ENTRY_COLLECTION:
        entry_store64(body, (uint64_t)(uintptr_t)parts->collection);
        parts->collection->entry = entry;
        break;
    }
    return entry;
}

void entry_take_apart(const struct entry *entry, struct entry_parts *parts) {
    uint64_t expire = entry_expire_unix_ms(entry);
    *parts = (struct entry_parts){
        .kind = entry_kind(entry),
        .stamp = entry->stamp,
        .flags = entry->meta & ENTRY_EDITED,
        .access = entry_access(entry),
        .key = entry_key(entry),
        .has_expiry = expire != 0,
        .expire_unix_ms = expire,
        .expire_stamp = (entry->meta & ENTRY_HAS_EXPIRY_STAMP) != 0 ? entry_expire_stamp(entry) : 0,
    };
    const unsigned char *body = entry_body(entry);
    switch (parts->kind) {
    case ENTRY_BYTES:
    case ENTRY_PACKED:
        parts->bytes = take_bytes_field(body);
        break;
    case ENTRY_INTEGER:
        parts->integer = (int64_t)entry_load64(body);
        break;
    case ENTRY_COUNTER_REGISTER:
        parts->register_stamp = entry_load64(body + 16);
        parts->integer = (int64_t)entry_load64(body + 24);
        /* fall through */
    case ENTRY_COUNTER:
        parts->start_ticks = entry_load64(body);
        parts->total = (int64_t)entry_load64(body + 8);
        break;
    case ENTRY_FLOAT_COUNTER:
        parts->start_ticks = entry_load64(body);
        memcpy(&parts->float_total, body + 8, 16);
        parts->register_stamp = entry_load64(body + 24);
        memcpy(&parts->float_register, body + 32, 16);
        break;
    case ENTRY_LARGE:
        parts->large = entry_large(entry);
        break;
    case ENTRY_CONTESTED:
        parts->contested = entry_contested(entry);
        break;
    case ENTRY_COLLECTION:
        parts->collection = entry_collection(entry);
        break;
    }
}

size_t entry_block_bytes(const struct entry *entry) {
    const unsigned char *body = entry_body(entry);
    enum entry_kind kind = entry_kind(entry);
    size_t value_bytes =
        kind == ENTRY_BYTES || kind == ENTRY_PACKED ? take_bytes_field(body).size : 0;
    size_t size = (size_t)(body - (const unsigned char *)entry) + body_bytes(kind, value_bytes);
    return memory_class_bytes(size);
}

void entry_free(struct entry *entry) {
    if (entry_kind(entry) == ENTRY_LARGE) {
        large_string_free(entry_large(entry));
    } else if (entry_kind(entry) == ENTRY_CONTESTED) {
        contested_free(entry_contested(entry));
    } else if (entry_kind(entry) == ENTRY_COLLECTION) {
        collection_free(entry_collection(entry));
    }
    memory_free_sized(entry, entry_block_bytes(entry));
}

size_t entry_memory_bytes(const struct entry *entry) {
    return entry_memory_bytes_sampled(entry, ENTRY_MEMORY_SAMPLES);
}

size_t entry_memory_bytes_sampled(const struct entry *entry, uint64_t samples) {
    size_t bytes = entry_block_bytes(entry);
    if (entry_kind(entry) == ENTRY_LARGE) {
        const struct large_string *large = entry_large(entry);
        bytes += sizeof(struct large_string) + large->capacity;
    } else if (entry_kind(entry) == ENTRY_CONTESTED) {
        bytes += contested_memory_bytes(entry_contested(entry));
    } else if (entry_kind(entry) == ENTRY_COLLECTION) {
        bytes += collection_memory_bytes(entry_collection(entry), samples);
    }
    return bytes;
}

static bool overwrite(struct entry *entry, struct slice value) {
    unsigned char *body = entry_body(entry);
    size_t old_bytes = take_bytes_field(body).size;
    if (old_bytes != value.size) {
        size_t head = (size_t)(body - (unsigned char *)entry);
        if (memory_class_bytes(head + value_field_bytes(value.size)) !=
            memory_class_bytes(head + value_field_bytes(old_bytes))) {
            return false;
        }
    }
    (void)put_bytes_field(body, value);
    return true;
}

bool entry_overwrite_bytes(struct entry *entry, struct slice value) {
    return (entry->meta & (ENTRY_KIND_MASK | ENTRY_HAS_EXPIRY)) == ENTRY_BYTES &&
           overwrite(entry, value);
}

bool entry_overwrite_packed(struct entry *entry, struct slice packed) {
    require(entry_kind(entry) == ENTRY_PACKED);
    return overwrite(entry, packed);
}

struct slice entry_packed(const struct entry *entry) {
    require(entry_kind(entry) == ENTRY_PACKED);
    return take_bytes_field(entry_body(entry));
}

enum value_type entry_type(const struct entry *entry) {
    switch (entry_kind(entry)) {
    case ENTRY_PACKED:
        return packed_type(entry_packed(entry));
    case ENTRY_COLLECTION:
        return entry_collection(entry)->type;
    case ENTRY_CONTESTED:
        return contested_type(entry_contested(entry));
    case ENTRY_BYTES:
    case ENTRY_INTEGER:
    case ENTRY_COUNTER:
    case ENTRY_COUNTER_REGISTER:
    case ENTRY_FLOAT_COUNTER:
    case ENTRY_LARGE:
        break;
    }
    return VALUE_STRING;
}

/* Register and total, saturated: only a merge can exceed the range, a local INCR refuses to. */
static int64_t counter_value(const unsigned char *body, bool has_register) {
    int64_t total = (int64_t)entry_load64(body + 8);
    int64_t base = has_register ? (int64_t)entry_load64(body + 24) : 0;
    int64_t value;
    if (__builtin_add_overflow(base, total, &value)) {
        return total > 0 ? INT64_MAX : INT64_MIN;
    }
    return value;
}

struct slice entry_value(const struct entry *entry, struct entry_scratch *scratch) {
    const unsigned char *body = entry_body(entry);
    int64_t integer = 0;
    switch (entry_kind(entry)) {
    case ENTRY_BYTES:
        return take_bytes_field(body);
    case ENTRY_LARGE: {
        const struct large_string *large = entry_large(entry);
        return slice_make(large->bytes, large->size);
    }
    case ENTRY_FLOAT_COUNTER: {
        struct entry_parts parts;
        entry_take_apart(entry, &parts);
        return slice_make(
            scratch->bytes,
            number_format_float(scratch->bytes, parts.float_register + parts.float_total));
    }
    case ENTRY_INTEGER:
        integer = (int64_t)entry_load64(body);
        break;
    case ENTRY_COUNTER:
        integer = counter_value(body, false);
        break;
    case ENTRY_COUNTER_REGISTER:
        integer = counter_value(body, true);
        break;
    case ENTRY_CONTESTED:
        return contested_value(entry_contested(entry), scratch);
    case ENTRY_PACKED:
    case ENTRY_COLLECTION:
        return slice_make("", 0);
    }
    return slice_make(scratch->bytes, number_format_integer(scratch->bytes, integer));
}

size_t entry_value_bytes(const struct entry *entry) {
    struct entry_scratch scratch;
    return entry_value(entry, &scratch).size;
}

bool entry_integer(const struct entry *entry, int64_t *value) {
    const unsigned char *body = entry_body(entry);
    switch (entry_kind(entry)) {
    case ENTRY_INTEGER:
        *value = (int64_t)entry_load64(body);
        return true;
    case ENTRY_COUNTER:
        *value = counter_value(body, false);
        return true;
    case ENTRY_COUNTER_REGISTER:
        *value = counter_value(body, true);
        return true;
    case ENTRY_BYTES:
    case ENTRY_LARGE:
    case ENTRY_FLOAT_COUNTER:
    case ENTRY_CONTESTED:
        break;
    case ENTRY_PACKED:
    case ENTRY_COLLECTION:
        return false;
    }
    struct entry_scratch scratch;
    return number_parse_integer(entry_value(entry, &scratch), value);
}

struct large_string *large_string_new(size_t size, size_t capacity) {
    require(size <= capacity);
    if (capacity > SIZE_MAX / 2) {
        return NULL;
    }
    struct large_string *large = memory_try_alloc(sizeof(struct large_string) + capacity);
    if (large == NULL) {
        return NULL;
    }
    *large =
        (struct large_string){.size = size, .capacity = capacity, .bytes = (char *)(large + 1)};
    return large;
}

struct large_string *large_string_new_zero(size_t size) {
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    struct large_string *large = memory_try_alloc_zero(sizeof(struct large_string) + size);
    if (large == NULL) {
        return NULL;
    }
    *large = (struct large_string){.size = size, .capacity = size, .bytes = (char *)(large + 1)};
    return large;
}

struct large_string *large_string_copy(struct slice bytes) {
    struct large_string *large = large_string_new(bytes.size, bytes.size);
    if (large != NULL && bytes.size > 0) {
        memcpy(large->bytes, bytes.data, bytes.size);
    }
    return large;
}

struct large_string *large_string_adopt(void *block, char *bytes, size_t size, size_t capacity) {
    require(size <= capacity);
    struct large_string *large = memory_alloc(sizeof(*large));
    *large =
        (struct large_string){.size = size, .capacity = capacity, .bytes = bytes, .block = block};
    return large;
}

bool large_string_reserve(struct large_string **at, size_t size) {
    struct large_string *large = *at;
    if (size <= large->capacity) {
        return true;
    }
    if (size > SIZE_MAX / 4) {
        return false;
    }
    /* Doubling keeps APPEND cheap; beyond 64 MiB an eighth is enough. */
    size_t capacity = size + (size < ((size_t)64 << 20) ? size : size / 8);
    if (large->block != NULL) {
        struct large_string *own = large_string_new(large->size, capacity);
        if (own == NULL) {
            return false;
        }
        memcpy(own->bytes, large->bytes, large->size);
        large_string_free(large);
        *at = own;
        return true;
    }
    large = memory_try_resize(large, sizeof(struct large_string) + capacity);
    if (large == NULL) {
        return false;
    }
    large->capacity = capacity;
    large->bytes = (char *)(large + 1);
    *at = large;
    return true;
}

void large_string_extend(struct large_string *large, size_t size) {
    if (size > large->size) {
        memset(large->bytes + large->size, 0, size - large->size);
        large->size = size;
    }
}

void large_string_free(struct large_string *large) {
    if (large != NULL) {
        memory_free(large->block);
    }
    memory_free(large);
}
