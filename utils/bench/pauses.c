/* SPDX-License-Identifier: BSD-3-Clause */
/* How long the store holds up its thread when it works on huge collections, in processor time of
 * that thread: what other programs do on the machine does not show. `run large-keys` measures the
 * same from outside, where everything shows.
 *
 * For each type one key of so many elements is built, and each work is timed by itself; the longest
 * of its steps counts, and of that the least over the rounds. What the server would free in the
 * background is freed between the works. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/lists.h"
#include "store/mutate.h"
#include "store/part.h"
#include "store/snapshot_walk.h"
#include "store/state.h"
#include "store/strings.h"
#include "store/xstreams.h"

enum {
    STEP_WORK = 64,       /* as the node's tick has it */
    PART_BYTES = 8 << 10, /* as the mesh reads them */
    ROUNDS_MAX = 16,
    WORKS_MAX = 32,
    FREED_MAX = 1 << 20,
};

static const enum value_type TYPES[] = {VALUE_HASH, VALUE_SET, VALUE_SORTED_SET, VALUE_LIST,
                                        VALUE_STREAM};
static const char *const NAMES[] = {"hash", "set", "sorted set", "list", "stream"};
enum { TYPES_COUNT = 5 };

static uint64_t elements_count = 1000000;
static struct store store;
static struct buffer sink;

/* ---- time ---- */

static double now_us(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static struct work {
    char name[64];
    double longest_us[ROUNDS_MAX]; /* of each round */
    unsigned rounds;
} works[WORKS_MAX];
static unsigned works_count, current_round;
static double longest_us, began_us;

static void begin(void) {
    began_us = now_us();
}

static void end(void) {
    double took_us = now_us() - began_us;
    longest_us = took_us > longest_us ? took_us : longest_us;
}

/* The longest step since the last call was one of this work. */
static void note(const char *name) {
    unsigned i = 0;
    while (i < works_count && strcmp(works[i].name, name) != 0) {
        i++;
    }
    if (i == works_count) {
        require(works_count < WORKS_MAX);
        (void)snprintf(works[works_count++].name, sizeof(works[i].name), "%s", name);
    }
    works[i].longest_us[current_round] = longest_us;
    works[i].rounds = current_round + 1;
    longest_us = 0;
}

/* ---- what is freed in the background ---- */

static struct {
    void (*free_fn)(void *object);
    void *object;
} freed[FREED_MAX];
static size_t freed_count;

static void free_later(void *udata, void (*free_fn)(void *object), void *object) {
    (void)udata;
    require(freed_count < FREED_MAX);
    freed[freed_count].free_fn = free_fn;
    freed[freed_count++].object = object;
}

static void free_now(void) {
    while (freed_count > 0) {
        freed_count--;
        freed[freed_count].free_fn(freed[freed_count].object);
    }
}

/* ---- the key ---- */

static struct key big(void) {
    return store_key(&store, 0, SLICE("big"));
}

static struct slice number_name(char *text, uint64_t number) {
    return slice_make(text, (size_t)snprintf(text, 24, "%012llu", (unsigned long long)number));
}

static void put(struct elements_writer *writer, uint64_t number, double score) {
    char text[24];
    struct slice name = number_name(text, number), value = SLICE("twenty bytes of value");
    struct xstream_id id;
    bool is_new;
    switch (writer->type) {
    case VALUE_HASH:
        require(element_set(writer, name, value, false, &is_new) == STORE_OK);
        break;
    case VALUE_SET:
        require(element_set(writer, name, SLICE(""), false, &is_new) == STORE_OK);
        break;
    case VALUE_SORTED_SET:
        require(element_set_score(writer, name, score, &is_new) == STORE_OK);
        break;
    case VALUE_LIST:
        require(list_push(writer, LIST_RIGHT, value) == STORE_OK);
        break;
    case VALUE_STREAM: {
        char fields[23] = {1, 1, 'f', 19};
        struct buffer fields_value = {0};
        buffer_append(&fields_value, fields, sizeof(fields));
        require(xstream_make_id(writer, xstream_last_id(xstream_of_writer(writer)), 1 + number,
                                false, &id));
        require(xstream_add(writer, id, &fields_value) == STORE_OK);
        buffer_deinit(&fields_value);
        break;
    }
    case VALUE_STRING:
    case VALUE_TYPES_COUNT:
        break;
    }
}

static void end_unit(void) {
    store_end_unit(&store);
    change_writer_clear(&store.journal);
}

static void fill(enum value_type type) {
    struct key key = big();
    for (uint64_t i = 0; i < elements_count; i += 1000) {
        struct elements_writer writer;
        require(elements_open(&store, &key, type, &writer) == STORE_OK);
        for (uint64_t j = i; j < i + 1000 && j < elements_count; j++) {
            put(&writer, j, (double)(j * 7919 % elements_count));
        }
        elements_close(&writer);
        end_unit();
    }
}

/* One element that is there becomes another. */
static void write_one(enum value_type type, uint64_t number) {
    struct key key = big();
    struct elements_writer writer;
    char text[24];
    require(elements_open(&store, &key, type, &writer) == STORE_OK);
    if (type == VALUE_LIST) {
        require(list_set(&writer, number, SLICE("another")) == STORE_OK);
    } else if (type == VALUE_STREAM) {
        struct xstream_cursor cursor;
        require(xstream_seek(xstream_of_writer(&writer), (struct xstream_id){.ms = 1 + number},
                             &cursor));
        struct xstream_id id = cursor.name.id;
        require(xstream_delete(&writer, &id, 1) == 1);
    } else if (type == VALUE_SET) {
        (void)element_delete(&writer, number_name(text, number));
    } else {
        put(&writer, number, 0.5);
    }
    elements_close(&writer);
    end_unit();
}

/* ---- works ---- */

static void emit_flush(void *udata) {
    (void)udata;
    buffer_clear(&sink);
}

static void emit(void *udata, unsigned db, const struct entry *entry) {
    (void)udata;
    state_encode(&sink, &store, db, entry, emit_flush, NULL);
    buffer_clear(&sink);
}

static void emit_piece(void *udata, struct slice piece, bool is_first) {
    (void)udata;
    (void)is_first;
    buffer_append_slice(&sink, piece);
    buffer_clear(&sink);
}

static void measure_snapshots(enum value_type type) {
    struct snapshot_walk walk;
    snapshot_walk_begin(&walk, &store, emit, NULL);
    snapshot_walk_take_pieces(&walk, emit_piece);
    for (bool is_done = false; !is_done;) {
        begin();
        is_done = snapshot_walk_step(&walk, STEP_WORK);
        end();
    }
    snapshot_walk_end(&walk);
    note("a step of a snapshot");

    snapshot_walk_begin(&walk, &store, emit, NULL);
    snapshot_walk_take_pieces(&walk, emit_piece);
    begin();
    write_one(type, elements_count / 2);
    end();
    note("the first write during a snapshot");
    uint64_t number = elements_count / 3;
    for (bool is_done = false; !is_done; number++) {
        begin();
        write_one(type, number % elements_count);
        end();
        is_done = snapshot_walk_step(&walk, STEP_WORK);
    }
    snapshot_walk_end(&walk);
    note("further writes during a snapshot");

    snapshot_walk_begin(&walk, &store, emit, NULL);
    snapshot_walk_take_pieces(&walk, emit_piece);
    (void)snapshot_walk_step(&walk, STEP_WORK);
    struct key key = big();
    begin();
    (void)store_delete(&store, &key);
    end();
    note("DEL during a snapshot");
    for (bool is_done = false; !is_done;) {
        begin();
        is_done = snapshot_walk_step(&walk, STEP_WORK);
        end();
    }
    snapshot_walk_end(&walk);
    note("a step of a snapshot after DEL");
    end_unit();
    free_now();
}

static void measure_parts(void) {
    struct buffer out = {0};
    struct part_source *source = part_open(&store, 0, 1, &out);
    for (enum part_status status = PART_MORE; status == PART_MORE;) {
        buffer_clear(&out);
        begin();
        status = part_read(source, &out, PART_BYTES);
        end();
    }
    part_close(source);
    buffer_deinit(&out);
    note("a frame for a peer that joins");
}

static void measure_removals(enum value_type type) {
    struct key key = big();
    for (unsigned way = 0; way < 4; way++) {
        fill(type);
        if (way == 2) {
            (void)store_expire(&store, &key, (uint64_t)store.now_ms + 1);
            store_set_now(&store, store.now_ms + 2);
        }
        begin();
        if (way == 0) {
            (void)store_delete(&store, &key);
        } else if (way == 1) {
            require(strings_set(&store, &key, SLICE("x"), 0) == STORE_OK);
        } else if (way == 2) {
            (void)store_peek(&store, &key);
        } else {
            (void)store_flush_all(&store);
        }
        end();
        static const char *const WAYS[] = {"DEL", "SET over it", "expiry", "FLUSHALL"};
        note(WAYS[way]);
        (void)store_delete(&store, &key);
        end_unit();
        free_now();
    }
}

static void open_store(bool is_alone) {
    struct store_opts opts = {.dbs_count = 2, .seed = 1};
    struct replica_id id = {.node = "one", .generation = 1};
    store_init(&store, &opts);
    require(store_begin_replica(&store, &id));
    store.is_alone = is_alone;
    store.journal.is_on = true;
    store.free_later = free_later;
    store_set_now(&store, INT64_C(1800000000000));
}

/* As many keys, and a counter in a sorted set for each. */
static void measure_many(bool is_alone) {
    open_store(is_alone);
    for (uint64_t i = 0; i < elements_count; i++) {
        char text[24];
        struct key key = store_key(&store, 0, number_name(text, i));
        require(strings_set(&store, &key, SLICE("twenty bytes of value"), 0) == STORE_OK);
        end_unit();
    }
    begin();
    (void)store_flush_all(&store);
    end();
    note("FLUSHALL of as many keys");
    end_unit();
    free_now();
    struct key key = big();
    for (uint64_t i = 0; i < elements_count; i++) {
        char text[24];
        double sum;
        struct elements_writer writer;
        require(elements_open(&store, &key, VALUE_SORTED_SET, &writer) == STORE_OK);
        require(element_add_score(&writer, number_name(text, i), 1, &sum) == STORE_OK);
        elements_close(&writer);
        end_unit();
    }
    begin();
    (void)store_delete(&store, &key);
    end();
    note("DEL of as many increments");
    end_unit();
    free_now();
    store_deinit(&store);
}

static void measure(enum value_type type, bool is_alone) {
    open_store(is_alone);
    fill(type);
    measure_parts();
    measure_snapshots(type);
    measure_removals(type);
    store_deinit(&store);
}

static void print(const char *name) {
    for (unsigned i = 0; i < works_count; i++) {
        double least_us = works[i].longest_us[0];
        for (unsigned round = 1; round < works[i].rounds; round++) {
            least_us =
                works[i].longest_us[round] < least_us ? works[i].longest_us[round] : least_us;
        }
        printf("%-28s %-34s %10.1f us\n", name, works[i].name, least_us);
    }
    (void)fflush(stdout);
    works_count = 0;
}

int main(int count, char **args) {
    unsigned rounds = count > 2 ? (unsigned)atoi(args[2]) : 3;
    const char *only = count > 3 ? args[3] : NULL;
    if (count > 1) {
        elements_count = strtoull(args[1], NULL, 10);
    }
    if (elements_count < 1000 || rounds < 1 || rounds > ROUNDS_MAX) {
        (void)fprintf(stderr, "usage: pauses [ELEMENTS [ROUNDS [TYPE]]]\n");
        return 1;
    }
    for (unsigned kind = 0; kind < TYPES_COUNT; kind++) {
        if (only != NULL && strcmp(only, NAMES[kind]) != 0) {
            continue;
        }
        for (unsigned alone = 0; alone < 2; alone++) {
            char name[64];
            for (current_round = 0; current_round < rounds; current_round++) {
                measure(TYPES[kind], alone == 1);
            }
            (void)snprintf(name, sizeof(name), "%s, %s", NAMES[kind],
                           alone == 1 ? "alone" : "in a mesh");
            print(name);
        }
    }
    for (unsigned alone = 0; alone < 2 && only == NULL; alone++) {
        for (current_round = 0; current_round < rounds; current_round++) {
            measure_many(alone == 1);
        }
        print(alone == 1 ? "keys, alone" : "keys, in a mesh");
    }
    buffer_deinit(&sink);
    return 0;
}
