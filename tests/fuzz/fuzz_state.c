/* SPDX-License-Identifier: BSD-3-Clause */
/* The state of entries, as a snapshot brings it. What loads makes a sound store, and loads again
 * from its own encoding to the same data. */
#include "base/check.h"
#include "base/memory.h"
#include "base/varint.h"
#include "store/state.h"

enum {
    DBS = 4,
    /* The fuzzer shall not run out of memory. */
    LARGE_BYTES_MAX = 1 << 20,
};

/* Does the piece begin a value that says it is very large? */
static bool is_too_large(struct slice piece) {
    uint8_t byte = (uint8_t)piece.data[0];
    piece = slice_skip(piece, 1);
    uint64_t db, size;
    struct slice key;
    size_t fixed = 11 + ((byte & ENTRY_HAS_EXPIRY) != 0 ? 8 : 0) +
                   ((byte & ENTRY_HAS_EXPIRY_STAMP) != 0 ? 8 : 0);
    if ((byte & ENTRY_KIND_MASK) != ENTRY_LARGE || !varint_take(&piece, &db) ||
        piece.size < fixed) {
        return false;
    }
    piece = slice_skip(piece, fixed);
    return varint_take_slice(&piece, &key) && varint_take(&piece, &size) && size > LARGE_BYTES_MAX;
}

static void load_all(struct store *store, struct slice bytes) {
    while (bytes.size > 0 && !is_too_large(bytes)) {
        struct slice before = bytes;
        if (state_load(store, &bytes) != STORE_OK) {
            require(bytes.data == before.data && bytes.size == before.size);
            return;
        }
        require(bytes.size < before.size);
    }
}

struct encoding {
    const struct store *store;
    struct buffer bytes;
    unsigned number;
};

static void encoding_flush(void *udata) {
    (void)udata;
}

static void encode_visit(void *item, void *udata) {
    struct encoding *encoding = (struct encoding *)udata;
    state_encode(&encoding->bytes, encoding->store, encoding->number, (const struct entry *)item,
                 encoding_flush, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *block = memory_alloc(size);
    if (size > 0) {
        memcpy(block, data, size);
    }
    struct store_opts opts = {.dbs_count = DBS, .seed = 1};
    struct store store, again;
    store_init(&store, &opts);
    store_init(&again, &opts);
    for (unsigned i = 0; i < 3; i++) {
        struct replica_id id = {.generation = i};
        require(replicas_add(&store.replicas, &id) == i + 1);
        require(replicas_add(&again.replicas, &id) == i + 1);
    }
    load_all(&store, slice_make(block, size));
    memory_free(block);
    store_check(&store);

    struct encoding encoding = {.store = &store};
    state_encode_order(&encoding.bytes, &store);
    for (unsigned db = 0; db < DBS; db++) {
        uint64_t position = 0;
        encoding.number = store.dbs[db].number;
        do {
            position = table_walk(&store.dbs[db].table, position, encode_visit, &encoding);
        } while (position != 0);
    }
    struct slice rest = buffer_slice(&encoding.bytes);
    while (rest.size > 0) {
        require(state_load(&again, &rest) == STORE_OK);
    }
    store_check(&again);
    uint8_t digest[20], digest_again[20];
    store_digest(&store, digest);
    store_digest(&again, digest_again);
    require(memcmp(digest, digest_again, sizeof(digest)) == 0);
    buffer_deinit(&encoding.bytes);
    store_deinit(&store);
    store_deinit(&again);
    return 0;
}
