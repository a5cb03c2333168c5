/* SPDX-License-Identifier: BSD-3-Clause */
#include "crdt/packed_authors.h"

#include "base/memory.h"

enum { INDEX_CAPACITY_MIN = 16 };

struct packed_authors *packed_authors_new(void) {
    return memory_alloc_zero(sizeof(struct packed_authors));
}

void packed_authors_free(struct packed_authors *authors) {
    if (authors != NULL) {
        memory_free(authors->authors);
        memory_free(authors->index);
        memory_free(authors);
    }
}

/* Where the pair's number is in the index, or belongs. Refs are hashes already. */
static unsigned index_place(const struct packed_authors *authors, uint64_t ref, unsigned slot) {
    unsigned mask = authors->index_capacity - 1;
    unsigned at = (unsigned)(ref + slot * UINT64_C(0x9E3779B1)) & mask;
    while (authors->index[at] != 0) {
        const struct packed_author *author = &authors->authors[authors->index[at] - 1];
        if (author->ref == ref && author->slot == slot) {
            break;
        }
        at = (at + 1) & mask;
    }
    return at;
}

static void index_grow(struct packed_authors *authors) {
    unsigned capacity =
        authors->index_capacity == 0 ? INDEX_CAPACITY_MIN : 2 * authors->index_capacity;
    memory_free(authors->index);
    authors->index = memory_alloc_zero(capacity * sizeof(authors->index[0]));
    authors->index_capacity = capacity;
    for (unsigned i = 0; i < authors->count; i++) {
        const struct packed_author *author = &authors->authors[i];
        authors->index[index_place(authors, author->ref, author->slot)] = (uint16_t)(i + 1);
    }
}

unsigned packed_authors_number(struct packed_authors *authors, uint64_t ref, unsigned slot) {
    if (2 * (authors->count + 1) > authors->index_capacity) {
        index_grow(authors);
    }
    unsigned at = index_place(authors, ref, slot);
    if (authors->index[at] != 0 || authors->count == PACKED_AUTHORS_MAX) {
        return authors->index[at];
    }
    if (authors->count == authors->capacity) {
        authors->capacity = authors->capacity == 0 ? 8 : 2 * authors->capacity;
        authors->authors =
            memory_resize(authors->authors, authors->capacity * sizeof(authors->authors[0]));
    }
    authors->authors[authors->count++] = (struct packed_author){.ref = ref, .slot = slot};
    authors->index[at] = (uint16_t)authors->count;
    return authors->count;
}
