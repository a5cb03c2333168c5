/* SPDX-License-Identifier: BSD-3-Clause */
#include "node/key_queues.h"

#include "base/check.h"
#include "base/memory.h"

/* ---- the table ---- */

/* Databases may have many keys of one name. */
static uint64_t hash_in(uint64_t name_hash, unsigned db) {
    return name_hash + db * HASH_ODD1;
}

static uint64_t queue_hash(const void *item, const void *udata) {
    (void)udata;
    const struct key_queue *queue = (const struct key_queue *)item;
    return hash_in(queue->hash, queue->db);
}

struct queue_name {
    unsigned db;
    struct slice name;
};

static bool queue_match(const void *item, const void *udata) {
    const struct key_queue *queue = (const struct key_queue *)item;
    const struct queue_name *wanted = (const struct queue_name *)udata;
    return queue->db == wanted->db && slice_equal(key_queue_name(queue), wanted->name);
}

static uint64_t *queue_slot(const struct key_queues *queues, unsigned db, struct slice name,
                            uint64_t hash) {
    struct queue_name wanted = {.db = db, .name = name};
    return table_find(&queues->table, hash_in(hash, db), queue_match, &wanted);
}

static struct key_queue *queue_find(const struct key_queues *queues, unsigned db, struct slice name,
                                    uint64_t hash) {
    const uint64_t *slot = queue_slot(queues, db, name, hash);
    return slot != NULL ? table_item(*slot) : NULL;
}

void key_queues_init(struct key_queues *queues, struct hash_seed seed) {
    *queues = (struct key_queues){.seed = seed};
    table_init(&queues->table, queue_hash, NULL);
}

void key_queues_deinit(struct key_queues *queues) {
    require(queues->first == NULL);
    table_deinit(&queues->table);
}

void key_queues_take_seed(struct key_queues *queues, struct hash_seed seed) {
    queues->seed = seed;
    table_deinit(&queues->table);
    table_init(&queues->table, queue_hash, NULL);
    for (struct key_queue *queue = queues->first; queue != NULL; queue = queue->next) {
        queue->hash = hash_bytes(seed, key_queue_name(queue));
        table_insert(&queues->table, queue_hash(queue, NULL), queue, false);
    }
}

/* ---- queues ---- */

static struct key_queue *queue_new(struct key_queues *queues, unsigned db, struct slice name,
                                   uint64_t hash) {
    struct key_queue *queue = memory_try_alloc(sizeof(*queue) + name.size);
    if (queue == NULL) {
        return NULL;
    }
    *queue = (struct key_queue){
        .previous = queues->last, .hash = hash, .db = db, .name_bytes = name.size};
    if (name.size > 0) {
        memcpy(queue->name, name.data, name.size);
    }
    *(queues->last != NULL ? &queues->last->next : &queues->first) = queue;
    queues->last = queue;
    table_insert(&queues->table, queue_hash(queue, NULL), queue, false);
    return queue;
}

static void unmark(struct key_queues *queues, struct key_queue *queue) {
    *(queue->previous_ready != NULL ? &queue->previous_ready->next_ready : &queues->ready) =
        queue->next_ready;
    *(queue->next_ready != NULL ? &queue->next_ready->previous_ready : &queues->ready_last) =
        queue->previous_ready;
    queue->previous_ready = queue->next_ready = NULL;
    queue->ready_number = 0;
}

/* Nobody stands in it any more. */
static void queue_free(struct key_queues *queues, struct key_queue *queue) {
    uint64_t hash = queue_hash(queue, NULL);
    if (queue->ready_number != 0) {
        unmark(queues, queue);
    }
    *(queue->previous != NULL ? &queue->previous->next : &queues->first) = queue->next;
    *(queue->next != NULL ? &queue->next->previous : &queues->last) = queue->previous;
    table_remove(&queues->table, hash,
                 queue_slot(queues, queue->db, key_queue_name(queue), queue->hash));
    table_shrink_segment(&queues->table, hash);
    memory_free(queue);
}

/* ---- waiting ---- */

bool key_queues_add(struct key_queues *queues, struct key_waiter *waiter, unsigned db,
                    struct slice name, uint64_t hash) {
    struct key_queue *queue = queue_find(queues, db, name, hash);
    if (queue == NULL) {
        queue = queue_new(queues, db, name, hash);
        if (queue == NULL) {
            return false;
        }
    } else if (queue->last != NULL && queue->last->waiter == waiter) {
        return true; /* nobody else came since: if it stands there, then at the end */
    }
    struct key_place *place = &waiter->places[waiter->places_count++];
    *place = (struct key_place){.queue = queue, .waiter = waiter, .previous = queue->last};
    *(queue->last != NULL ? &queue->last->next : &queue->first) = place;
    queue->last = place;
    if (waiter->wants_any && queue->wants_any_count++ == 0) {
        queues->wants_any_count++;
    }
    return true;
}

static void place_remove(struct key_queues *queues, struct key_place *place) {
    struct key_queue *queue = place->queue;
    if (queues->cursor == place) {
        queues->cursor = place->next;
    }
    *(place->previous != NULL ? &place->previous->next : &queue->first) = place->next;
    *(place->next != NULL ? &place->next->previous : &queue->last) = place->previous;
    if (place->waiter->wants_any && --queue->wants_any_count == 0) {
        queues->wants_any_count--;
    }
    if (queue->first == NULL && queue != queues->taken) {
        queue_free(queues, queue);
    }
}

void key_queues_remove(struct key_queues *queues, struct key_waiter *waiter) {
    for (size_t i = 0; i < waiter->places_count; i++) {
        place_remove(queues, &waiter->places[i]);
    }
    waiter->places_count = 0;
}

size_t key_queues_bytes(const struct key_waiter *waiter) {
    size_t bytes = 0;
    for (size_t i = 0; i < waiter->places_count; i++) {
        bytes += sizeof(struct key_queue) + waiter->places[i].queue->name_bytes;
    }
    return bytes;
}

/* ---- being ready ---- */

static void mark(struct key_queues *queues, struct key_queue *queue) {
    if (queue->ready_number != 0) {
        return;
    }
    queue->ready_number = ++queues->ready_number;
    queue->previous_ready = queues->ready_last;
    *(queues->ready_last != NULL ? &queues->ready_last->next_ready : &queues->ready) = queue;
    queues->ready_last = queue;
}

void key_queues_mark(struct key_queues *queues, unsigned db, struct slice name, uint64_t hash) {
    struct key_queue *queue = queue_find(queues, db, name, hash);
    if (queue != NULL) {
        mark(queues, queue);
    }
}

void key_queues_mark_database(struct key_queues *queues, unsigned db, bool is_gone) {
    for (struct key_queue *queue = queues->first; queue != NULL; queue = queue->next) {
        if (queue->db == db && (!is_gone || queue->wants_any_count > 0)) {
            mark(queues, queue);
        }
    }
}

const struct key_queue *key_queues_begin(struct key_queues *queues) {
    require(queues->taken == NULL);
    struct key_queue *queue = queues->ready;
    if (queue != NULL) {
        unmark(queues, queue);
        queues->taken = queue;
        queues->cursor = queue->first;
    }
    return queue;
}

struct key_waiter *key_queues_next(struct key_queues *queues) {
    struct key_place *place = queues->cursor;
    if (place == NULL) {
        return NULL;
    }
    queues->cursor = place->next;
    return place->waiter;
}

void key_queues_end(struct key_queues *queues) {
    struct key_queue *queue = queues->taken;
    require(queue != NULL);
    queues->taken = NULL;
    queues->cursor = NULL;
    if (queue->first == NULL) {
        queue_free(queues, queue);
    }
}

void key_queues_unmark_after(struct key_queues *queues, uint64_t ready_number) {
    while (queues->ready_last != NULL && queues->ready_last->ready_number > ready_number) {
        unmark(queues, queues->ready_last);
    }
}

/* ---- introspection ---- */

static void queue_check(const struct key_queues *queues, const struct key_queue *queue) {
    uint64_t wants_any_count = 0;
    require(queue->first != NULL || queue == queues->taken);
    require(queue_find(queues, queue->db, key_queue_name(queue), queue->hash) == queue);
    for (const struct key_place *place = queue->first; place != NULL; place = place->next) {
        require(place->queue == queue);
        require((place->next != NULL ? place->next->previous : queue->last) == place);
        for (const struct key_place *other = place->next; other != NULL; other = other->next) {
            require(other->waiter != place->waiter);
        }
        wants_any_count += place->waiter->wants_any;
    }
    require(queue->wants_any_count == wants_any_count);
}

void key_queues_check(const struct key_queues *queues) {
    uint64_t count = 0, wants_any_count = 0;
    for (const struct key_queue *queue = queues->first; queue != NULL; queue = queue->next) {
        require((queue->next != NULL ? queue->next->previous : queues->last) == queue);
        queue_check(queues, queue);
        count++;
        wants_any_count += queue->wants_any_count > 0;
    }
    require(count == queues->table.count);
    require(queues->wants_any_count == wants_any_count);
    uint64_t number = 0;
    for (const struct key_queue *queue = queues->ready; queue != NULL; queue = queue->next_ready) {
        require(queue->ready_number > number);
        require((queue->next_ready != NULL ? queue->next_ready->previous_ready
                                           : queues->ready_last) == queue);
        number = queue->ready_number;
    }
}
