/* SPDX-License-Identifier: BSD-3-Clause */
/* How long two nodes of a mesh hold up their threads when one of them removes a huge collection in
 * whose every member both have counted: `pauses` for what takes two nodes. In processor time of the
 * thread; what the server would free in the background is freed afterwards. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/varint.h"
#include "store/elements.h"
#include "unit/store/streams.h"

/* As the server has it: what is freed goes back to the system on another thread. */
extern const char *malloc_conf;
const char *malloc_conf = "narenas:1,background_thread:true,dirty_decay_ms:500,muzzy_decay_ms:0";

/* As node/ has it. */
enum { LARGE_MIN = 1024 };

enum { A_WRITE = 1000, FREED_MAX = 1 << 16, RECORDS_MAX = 1 << 16 };

static const char *const WAYS[] = {"DEL", "SET over it", "expiry", "FLUSHALL"};
enum { WAYS_COUNT = 4 };

static uint64_t members_count = 1000000;
static struct node_store nodes[2];
static unsigned writing;

static struct buffer records[RECORDS_MAX]; /* of the unit being written */
static size_t records_count;

static struct {
    void (*free_fn)(void *object);
    void *object;
} freed[FREED_MAX];
static size_t freed_count;

static double now_ms(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

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

/* ---- between the nodes ---- */

static void journal_full(void *udata) {
    (void)udata;
    require(records_count < RECORDS_MAX);
    streams_collect(&nodes[writing], 2, &records[records_count++]);
}

static enum receive_status take(struct receiver *receiver, struct slice record, double *took) {
    double began = now_ms();
    enum receive_status status = receiver_take(receiver, record);
    *took = now_ms() - began;
    require(status == RECEIVE_OK || status == RECEIVE_ASK);
    return status;
}

static void answer(const struct store *store, struct receiver *receiver) {
    struct slice questions = buffer_slice(&receiver->questions), question;
    while (varint_take_slice(&questions, &question)) {
        struct buffer bytes = {0};
        require(amounts_answer(store, question, &bytes));
        require(receiver_answered(receiver, buffer_slice(&bytes)));
        buffer_deinit(&bytes);
    }
}

/* The other node takes what this one wrote; returns its longest step. */
static double ship(unsigned from) {
    double longest = 0;
    writing = from;
    if (nodes[from].store.journal.bytes.size > 0) {
        journal_full(NULL);
    }
    for (size_t i = 0; i < records_count; i++) {
        struct receiver *receiver = &nodes[1 - from].receiver;
        double took;
        while (take(receiver, buffer_slice(&records[i]), &took) == RECEIVE_ASK) {
            longest = took > longest ? took : longest;
            answer(&nodes[from].store, receiver);
        }
        longest = took > longest ? took : longest;
        buffer_deinit(&records[i]);
    }
    records_count = 0;
    return longest;
}

static void add_some(unsigned node, enum value_type type, uint64_t from, uint64_t to) {
    struct store *store = &nodes[node].store;
    struct key key = store_key(store, 0, SLICE("big"));
    struct elements_writer writer;
    require(elements_open(store, &key, type, &writer) == STORE_OK);
    for (uint64_t i = from; i < to; i++) {
        char text[24];
        size_t size = (size_t)snprintf(text, sizeof(text), "%012llu", (unsigned long long)i);
        struct slice name = slice_make(text, size);
        double score;
        int64_t sum;
        require((type == VALUE_SORTED_SET
                     ? element_add_score(&writer, name, 1 + node, &score)
                     : element_add_integer(&writer, name, 1 + node, &sum)) == STORE_OK);
    }
    elements_close(&writer);
    store_end_unit(store);
}

static void count(unsigned node, enum value_type type) {
    writing = node;
    for (uint64_t i = 0; i < members_count; i += A_WRITE) {
        uint64_t end = i + A_WRITE < members_count ? i + A_WRITE : members_count;
        add_some(node, type, i, end);
        (void)ship(node);
    }
}

/* ---- one removal ---- */

static double remove_it(unsigned way) {
    struct store *store = &nodes[0].store;
    struct key key = store_key(store, 0, SLICE("big"));
    writing = 0;
    if (way == 2) {
        (void)store_expire(store, &key, (uint64_t)store->now_ms + 1);
        store_end_unit(store);
        (void)ship(0);
        store_set_now(store, store->now_ms + 2);
    }
    double began = now_ms();
    if (way == 0) {
        (void)store_delete(store, &key);
    } else if (way == 1) {
        require(strings_set(store, &key, SLICE("x"), 0) == STORE_OK);
    } else if (way == 2) {
        (void)store_peek(store, &key);
    } else {
        (void)store_flush_all(store);
    }
    store_end_unit(store);
    return now_ms() - began;
}

/* All has been seen by all; returns the longest step. */
static double settle(void) {
    double longest = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct context frontier = nodes[i].store.context;
        for (bool is_done = false; !is_done;) {
            double began = now_ms();
            is_done = store_settle(&nodes[i].store, &frontier, 64);
            double took = now_ms() - began;
            longest = took > longest ? took : longest;
        }
    }
    return longest;
}

/* `unseen_count`: so many increments of the other node have not come when this one removes it. */
static void measure(enum value_type type, unsigned way, bool is_of_both, uint64_t unseen_count) {
    for (unsigned i = 0; i < 2; i++) {
        streams_init(&nodes[i], i, 2);
        nodes[i].receiver.applied = NULL;
        nodes[i].receiver.asks = true;
        nodes[i].store.untold_elements_min = nodes[i].store.grave_elements_min = LARGE_MIN;
        nodes[i].store.free_later = free_later;
        nodes[i].store.journal_full = journal_full;
    }
    if (is_of_both) {
        count(0, type);
    }
    count(1, type);
    writing = 1;
    if (unseen_count > 0) {
        add_some(1, type, 0, unseen_count);
        change_writer_clear(&nodes[1].store.journal); /* it comes later */
    }
    double here = remove_it(way);
    double there = ship(0);
    printf("%-10s %-12s %-18s %4llu unseen: %8.2f ms there %8.2f ms, settling %6.2f ms\n",
           type == VALUE_HASH ? "hash" : "sorted set", WAYS[way],
           is_of_both ? "counted by both" : "by the other alone", (unsigned long long)unseen_count,
           here, there, settle());
    (void)fflush(stdout);
    free_now();
    streams_deinit(&nodes[0]);
    streams_deinit(&nodes[1]);
    free_now();
}

int main(int args_count, char **args) {
    if (args_count > 1) {
        members_count = strtoull(args[1], NULL, 10);
    }
    if (members_count < A_WRITE) {
        (void)fprintf(stderr, "usage: counted [MEMBERS]\n");
        return 1;
    }
    for (unsigned way = 0; way < WAYS_COUNT; way++) {
        measure(VALUE_SORTED_SET, way, true, 0);
    }
    measure(VALUE_HASH, 0, true, 0);
    measure(VALUE_SORTED_SET, 0, false, 0);
    measure(VALUE_SORTED_SET, 0, true, 1);
    measure(VALUE_HASH, 0, true, 100);
    measure(VALUE_HASH, 0, true, 10000);
    return 0;
}
