/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams on three nodes: random writes of every kind, deliveries and settling, against a model of
 * each local write and against the law for what comes of all of them; and the rows X1 to X6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "store/strings.h"
#include "store/xstreams.h"
#include "unit/store/sequence_law.h"

enum { KEYS = 2 };

static struct world world;
static struct prng prng;
static struct running_snapshot snapshot;
static unsigned next_value;

/* ---- the law ---- */

struct shown_walk {
    const struct expected *expected;
    size_t at;
};

static void compare_visit(void *udata, const struct element *element) {
    struct shown_walk *walk = (struct shown_walk *)udata;
    require(walk->at < walk->expected->count);
    require(slice_equal(element->name, walk->expected->shown[walk->at].position));
    require(slice_equal(element->value, walk->expected->shown[walk->at].value));
    walk->at++;
}

static void compare_key(unsigned node, unsigned k) {
    static struct expected stream, hash, string;
    struct store *store = &world.nodes[node].store;
    struct key key = world_key(&world, node, k);
    expect_type(&world, key.name, VALUE_STREAM, &stream);
    expect_type(&world, key.name, VALUE_HASH, &hash);
    expect_type(&world, key.name, VALUE_STRING, &string);
    const struct expected *all[] = {&stream, &hash, &string}, *best = NULL;
    for (unsigned i = 0; i < 3; i++) {
        if (all[i]->newest != NULL &&
            (best == NULL || world_is_before(best->newest, all[i]->newest))) {
            best = all[i];
        }
    }
    struct entry *entry = store_peek(store, &key);
    require((entry != NULL) == (best != NULL));
    if (entry == NULL) {
        return;
    }
    require(entry_type(entry) == best->newest->change.type);
    require(entry_expire_unix_ms(entry) == expect_expiry(&world, key.name));
    if (best == &stream) {
        struct elements elements;
        struct shown_walk walk = {.expected = &stream};
        elements_of(entry, &elements);
        elements_each(store, &elements, compare_visit, &walk);
        require(walk.at == stream.count);
    }
}

/* Asks by consumer what is pending: that it is right is looked at by store_check(). */
static void ask_pending(unsigned node) {
    static const char GROUPS[] = {'g', 'z'};
    struct store *store = &world.nodes[node].store;
    for (unsigned k = 0; k < KEYS; k++) {
        struct key key = world_key(&world, node, k);
        struct elements elements;
        if (elements_look(store, &key, VALUE_STREAM, &elements) != STORE_OK) {
            continue;
        }
        struct xstream_view view = xstream_of(store, &elements);
        for (unsigned g = 0; g < sizeof(GROUPS); g++) {
            struct xstream_label group, consumer;
            struct xstream_owned owned;
            struct buffer shares = {0};
            require(xstream_label_encode(slice_make(&GROUPS[g], 1), &group));
            require(xstream_label_encode(SLICE("c"), &consumer));
            (void)xstream_shares(view, &group, &shares);
            (void)xstream_owned_begin(view, &group, &consumer, XSTREAM_ID_MIN, &owned);
            buffer_deinit(&shares);
        }
    }
}

static void compare_all(void) {
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        ask_pending(node);
        store_check(&world.nodes[node].store);
        require(world_same_digest(&world, 0, node));
        for (unsigned k = 0; k < KEYS; k++) {
            compare_key(node, k);
        }
    }
}

static void converge(void) {
    world_deliver_all(&world);
    compare_all();
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        (void)running_snapshot_check_state(&world.nodes[node].store);
        for (unsigned of = 0; of < WORLD_NODES; of++) {
            world_hear(&world, node, of);
        }
        world_settle(&world, node);
        world_settle(&world, node);
        require(world.nodes[node].store.unsettled_count == 0);
        require(world.nodes[node].store.dbs[0].hidden_count == 0);
        (void)running_snapshot_check_state(&world.nodes[node].store);
    }
    compare_all();
}

/* ---- what nodes do ---- */

static bool open_stream(unsigned node, unsigned k, struct elements_writer *writer) {
    struct key key = world_key(&world, node, k);
    return elements_open(&world.nodes[node].store, &key, VALUE_STREAM, writer) == STORE_OK;
}

static void label_of(struct xstream_label *label, char name) {
    char text[3] = {name, '\0', 'x'}; /* a zero has to survive, too */
    require(xstream_label_encode(slice_make(text, name == 'z' ? 3 : 1), label));
}

static void add_value(struct elements_writer *writer, struct xstream_id id, struct slice value) {
    struct buffer fields = {0};
    buffer_append_slice(&fields, value);
    require(xstream_add(writer, id, &fields) == STORE_OK);
    buffer_deinit(&fields);
}

static struct xstream_id add_entry(struct elements_writer *writer) {
    char value[32] = {1, 1, 'f'};
    struct xstream_facts before, after;
    struct xstream_id id;
    size_t size = (size_t)snprintf(value + 4, sizeof(value) - 4, "%u", next_value++);
    value[3] = (char)size;
    xstream_facts(xstream_of_writer(writer), &before);
    require(xstream_make_id(writer, xstream_last_id(xstream_of_writer(writer)),
                            prng_below(&prng, 3), false, &id));
    require(xstream_id_compare(id, before.last_id) > 0);
    add_value(writer, id, slice_make(value, size + 4));
    xstream_facts(xstream_of_writer(writer), &after);
    require(xstream_id_compare(after.last_id, id) == 0);
    require(after.length == before.length + 1);
    require(after.entries_added == before.entries_added + 1);
    return id;
}

/* An entry that is there; false without any. */
static bool some_entry(struct elements_writer *writer, struct xstream_id *id) {
    struct xstream_cursor cursor;
    struct xstream_view view = xstream_of_writer(writer);
    uint64_t length = xstream_length(view);
    uint64_t index = length > 0 ? prng_below(&prng, length) : 0;
    bool is_there = xstream_seek(view, XSTREAM_ID_MIN, &cursor);
    for (uint64_t i = 0; is_there && i < index; i++) {
        is_there = xstream_next(&cursor);
    }
    require(is_there == (length > 0));
    if (is_there) {
        *id = cursor.name.id;
    }
    return is_there;
}

/* Nothing but the length is different after entries were removed. */
static void check_removed(struct elements_writer *writer, const struct xstream_facts *before,
                          uint64_t removed) {
    struct xstream_facts after;
    xstream_facts(xstream_of_writer(writer), &after);
    require(after.length == before->length - removed);
    require(xstream_id_compare(after.last_id, before->last_id) == 0);
    require(after.entries_added == before->entries_added);
}

static void remove_entries(struct elements_writer *writer) {
    struct xstream_facts before, after;
    struct xstream_id ids[2];
    xstream_facts(xstream_of_writer(writer), &before);
    if (!some_entry(writer, &ids[0])) {
        return;
    }
    if (prng_below(&prng, 2) == 0) {
        require(some_entry(writer, &ids[1]));
        bool is_one = xstream_id_compare(ids[0], ids[1]) == 0;
        uint64_t removed = xstream_delete(writer, ids, 2);
        require(removed == 2 - (uint64_t)is_one);
        check_removed(writer, &before, removed);
        xstream_facts(xstream_of_writer(writer), &after);
        require(xstream_id_compare(after.deleted_id_max, ids[0]) >= 0);
        return;
    }
    struct xstream_trim trim = {.by = prng_below(&prng, 2) == 0 ? XSTREAM_TRIM_LENGTH
                                                                : XSTREAM_TRIM_ID,
                                .length_max = prng_below(&prng, 4),
                                .id_min = ids[0],
                                .is_rough = prng_below(&prng, 3) == 0};
    check_removed(writer, &before, xstream_trim(writer, &trim));
}

static void set_facts(struct elements_writer *writer) {
    struct xstream_facts before, after;
    xstream_facts(xstream_of_writer(writer), &before);
    struct xstream_new_facts facts = {.last_id = before.last_id,
                                      .has_entries_added = true,
                                      .entries_added = before.length + prng_below(&prng, 9)};
    facts.last_id.ms += prng_below(&prng, 2);
    require(xstream_set_facts(writer, &facts) == STORE_OK);
    xstream_facts(xstream_of_writer(writer), &after);
    require(after.entries_added == facts.entries_added);
    require(xstream_id_compare(after.last_id, facts.last_id) == 0);
}

/* Delivers some entries to a consumer. */
static void read_group(struct elements_writer *writer, struct xstream_group *group) {
    struct xstream_label consumer;
    struct xstream_group after;
    struct xstream_unread unread;
    struct xstream_id ids[2];
    unsigned count = 0;
    label_of(&consumer, prng_below(&prng, 2) == 0 ? 'c' : 'z');
    uint64_t lag = xstream_unread_count(xstream_of_writer(writer), group);
    for (bool is_there = xstream_unread_begin(xstream_of_writer(writer), &group->label, &unread);
         is_there && count < 2; is_there = xstream_unread_next(&unread)) {
        struct xstream_id id = unread.cursor.name.id;
        require(count == 0 || xstream_id_compare(id, ids[count - 1]) > 0);
        ids[count++] = id;
        group->last_id = xstream_id_compare(id, group->last_id) > 0 ? id : group->last_id;
    }
    struct xstream_consumer facts = {.seen_unix_ms = next_value, .active_unix_ms = -1};
    struct xstream_pending pending = {.delivered_unix_ms = next_value,
                                      .deliveries_count = 1,
                                      .consumer = xstream_label_slice(&consumer)};
    group->entries_read = (int64_t)prng_below(&prng, 9) - 1;
    require(xstream_set_read(writer, group, &unread) == STORE_OK);
    if (prng_below(&prng, 3) > 0) {
        xstream_unread_note(writer, &unread);
    }
    xstream_unread_deinit(&unread);
    require(xstream_set_consumer(writer, &group->label, &consumer, &facts) == STORE_OK);
    for (unsigned i = 0; i < count; i++) {
        require(xstream_set_pending(writer, &group->label, ids[i], &pending) == STORE_OK);
    }
    xstream_note_seen(writer, &group->label, &consumer);
    require(xstream_find_group(xstream_of_writer(writer), &group->label, &after));
    require(xstream_id_compare(after.last_id, group->last_id) == 0);
    require(after.entries_read == group->entries_read);
    require(xstream_unread_count(xstream_of_writer(writer), &after) == lag - count);
    struct xstream_consumer there;
    require(xstream_find_consumer(xstream_of_writer(writer), &group->label, &consumer, &there));
    require(there.active_unix_ms == -1);
}

static uint64_t count_pending(struct elements_writer *writer, const struct xstream_label *group) {
    struct xstream_cursor cursor;
    uint64_t count = 0;
    for (bool is_there =
             xstream_seek_pending(xstream_of_writer(writer), group, XSTREAM_ID_MIN, &cursor);
         is_there; is_there = xstream_next(&cursor)) {
        count++;
    }
    return count;
}

static void write_group(struct elements_writer *writer) {
    struct xstream_group group;
    struct xstream_label consumer;
    struct xstream_cursor cursor;
    label_of(&group.label, prng_below(&prng, 2) == 0 ? 'g' : 'z');
    if (!xstream_find_group(xstream_of_writer(writer), &group.label, &group)) {
        group.last_id = (struct xstream_id){prng_below(&prng, 2), 0};
        group.entries_read = -1;
        require(xstream_create_group(writer, &group, XSTREAM_FROM_ID) == STORE_OK);
        require(count_pending(writer, &group.label) == 0);
        return;
    }
    uint64_t pending = count_pending(writer, &group.label);
    switch (prng_below(&prng, 7)) {
    case 0:
        xstream_destroy_group(writer, &group.label);
        require(!xstream_find_group(xstream_of_writer(writer), &group.label, &group));
        require(count_pending(writer, &group.label) == 0);
        break;
    case 1:
        label_of(&consumer, 'c');
        pending -= xstream_delete_consumer(writer, &group.label, &consumer);
        require(count_pending(writer, &group.label) == pending);
        break;
    case 2: /* XGROUP SETID, backwards */
        group.last_id = XSTREAM_ID_MIN;
        require(xstream_set_group(writer, &group, XSTREAM_FROM_ID) == STORE_OK);
        require(xstream_find_group(xstream_of_writer(writer), &group.label, &group));
        require(xstream_id_compare(group.last_id, XSTREAM_ID_MIN) == 0);
        break;
    case 3:
    case 4:
        if (xstream_seek_pending(xstream_of_writer(writer), &group.label, XSTREAM_ID_MIN,
                                 &cursor)) {
            require(xstream_delete_pending(writer, &group.label, &cursor.name.id, 1) == 1);
            require(count_pending(writer, &group.label) == pending - 1);
        }
        break;
    default:
        read_group(writer, &group);
        break;
    }
}

static void write_stream(unsigned node, unsigned k) {
    struct elements_writer writer;
    if (!open_stream(node, k, &writer)) {
        return;
    }
    for (unsigned i = 0, count = 1 + (unsigned)prng_below(&prng, 3); i < count; i++) {
        unsigned kind = (unsigned)prng_below(&prng, 16);
        if (kind < 6 || xstream_of_writer(&writer).collection == NULL) {
            (void)add_entry(&writer);
        } else if (kind < 10) {
            remove_entries(&writer);
        } else if (kind < 11) {
            set_facts(&writer);
        } else {
            write_group(&writer);
        }
    }
    elements_close(&writer);
    struct key key = world_key(&world, node, k);
    require(store_peek(&world.nodes[node].store, &key) != NULL); /* empty or not */
}

static void write_other(unsigned node, unsigned k) {
    struct store *store = &world.nodes[node].store;
    struct key key = world_key(&world, node, k), to = world_key(&world, node, 1 - k);
    struct elements_writer writer;
    bool is_new;
    switch (prng_below(&prng, 8)) {
    case 0:
    case 1:
        (void)store_delete(store, &key);
        break;
    case 2:
        (void)strings_set(store, &key, SLICE("text"), 0);
        break;
    case 3:
        if (elements_open(store, &key, VALUE_HASH, &writer) == STORE_OK) {
            require(element_set(&writer, SLICE("f"), SLICE("1"), false, &is_new) == STORE_OK);
            elements_close(&writer);
        }
        break;
    case 4:
        if (store_peek(store, &key) != NULL &&
            entry_type(store_peek(store, &key)) == VALUE_STREAM && store_peek(store, &to) == NULL) {
            uint8_t before[20], after[20];
            store_value_digest(store, store_peek(store, &key), before);
            require(store_rename(store, &key, &to) == STORE_OK);
            store_value_digest(store, store_peek(store, &to), after);
            require(memcmp(before, after, 20) == 0);
        }
        break;
    case 5:
        (void)store_flush(store, 0);
        break;
    default:
        (void)store_expire(store, &key, (uint64_t)store->now_ms + 1000 + prng_below(&prng, 9));
        break;
    }
}

static void step(unsigned other_percent) {
    unsigned node = (unsigned)prng_below(&prng, WORLD_NODES);
    unsigned k = (unsigned)prng_below(&prng, KEYS);
    unsigned kind = (unsigned)prng_below(&prng, 100);
    if (kind < other_percent) {
        write_other(node, k);
        world_end(&world, node);
    } else if (kind < 45) {
        write_stream(node, k);
        world_end(&world, node);
    } else if (kind < 80) {
        (void)world_deliver(&world, (unsigned)prng_below(&prng, WORLD_NODES), node);
    } else if (kind < 90) {
        world_hear(&world, node, (unsigned)prng_below(&prng, WORLD_NODES));
    } else if (kind < 95) {
        running_snapshot_step(&snapshot, &world, node, prng_below(&prng, 4),
                              (unsigned)prng_below(&prng, 3));
    } else {
        world_settle(&world, node);
    }
    if (prng_below(&prng, 4) == 0) {
        ask_pending(node);
    }
    store_check(&world.nodes[node].store);
}

static void history(void) {
    world_init(&world);
    next_value = 0;
    unsigned steps = 20 + (unsigned)prng_below(&prng, 80);
    unsigned other_percent = prng_below(&prng, 2) == 0 ? 8 : 1;
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        world.nodes[node].store.packing[VALUE_STREAM].entries_max = prng_below(&prng, 4);
        world.nodes[node].store.pending_looks_max = 0;
    }
    for (unsigned i = 0; i < steps && world.ops_count < WORLD_OPS_MAX - 100; i++) {
        step(other_percent);
    }
    running_snapshot_finish(&snapshot, &world);
    converge();
    world_deinit(&world);
}

/* TEST_PART=7: one history. TEST_COUNT=10000: so many. */
static void the_law_holds(void **state) {
    (void)state;
    const char *only = getenv("TEST_PART"), *count = getenv("TEST_COUNT");
    unsigned first = only != NULL ? (unsigned)atoi(only) : 0;
    unsigned end = only != NULL ? first + 1 : count != NULL ? (unsigned)atoi(count) : 1500;
    for (unsigned i = first; i < end; i++) {
        seed_prng(&prng, "the_law_holds", i);
        if (getenv("TEST_PRINT") != NULL) {
            (void)fprintf(stderr, "%u\n", i);
        }
        history();
    }
    assert_true(end - first < 1000 || snapshot.in_pieces_count > 100);
}

/* ---- rows ---- */

static struct elements_writer writer;

static void open_row(unsigned node) {
    require(open_stream(node, 0, &writer));
}

static void close_row(unsigned node) {
    elements_close(&writer);
    world_end(&world, node);
}

static struct xstream_id add_row(unsigned node) {
    open_row(node);
    struct xstream_id id = add_entry(&writer);
    close_row(node);
    return id;
}

static struct xstream_view view_of(unsigned node) {
    struct elements elements;
    struct key key = world_key(&world, node, 0);
    (void)elements_read(&world.nodes[node].store, &key, VALUE_STREAM, &elements);
    return xstream_of(&world.nodes[node].store, &elements);
}

static void begin_row(unsigned entries) {
    world_init(&world);
    seed_prng(&prng, "rows", 0);
    for (unsigned i = 0; i < entries; i++) {
        (void)add_row(0);
    }
    world_deliver_all(&world);
}

/* All nodes show so many entries. */
static void end_row(uint64_t length, uint64_t entries_added) {
    converge();
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        struct xstream_facts facts;
        xstream_facts(view_of(node), &facts);
        require(facts.length == length);
        require(facts.entries_added == entries_added);
    }
    world_deinit(&world);
}

static void concurrent_additions_both_stay(void **state) {
    (void)state;
    begin_row(0);
    struct xstream_id a = add_row(0), b = add_row(1), c = add_row(2);
    require(xstream_id_compare(a, b) != 0 && xstream_id_compare(b, c) != 0);
    require(xstream_id_compare(a, c) != 0);
    end_row(3, 3);
}

/* Were 20 bits what tells the replicas apart, these two would choose the same ids. */
static void refs_that_are_nearly_alike_lose_nothing(void **state) {
    (void)state;
    enum { EACH = 20 };
    begin_row(0);
    for (unsigned node = 0; node < 2; node++) {
        struct replicas *replicas = &world.nodes[node].store.replicas;
        uint64_t ref = replicas->slots[replicas->self].ref;
        replicas->slots[replicas->self].ref = UINT64_C(0x1234500067890) | (uint64_t)node << 20;
        for (unsigned i = 0; i < EACH; i++) {
            (void)add_row(node);
        }
        replicas->slots[replicas->self].ref = ref;
    }
    world_deliver_all(&world);
    require(world.conflicts[0] == 0);
    end_row(2 * EACH, 2 * EACH);
}

static void an_addition_survives_an_unseeing_delete(void **state) {
    (void)state;
    begin_row(1);
    struct key key = world_key(&world, 0, 0);
    require(store_delete(&world.nodes[0].store, &key));
    world_end(&world, 0);
    struct xstream_id id = add_row(1);
    world_deliver_all(&world);
    require(xstream_has_entry(view_of(0), id));
    end_row(1, 1);
}

static void one_id_is_one_entry_and_a_conflict(void **state) {
    (void)state;
    static const struct xstream_id ID = {100, 1};
    begin_row(0);
    for (unsigned node = 0; node < 2; node++) {
        open_row(node);
        add_value(&writer, ID, node == 0 ? SLICE("\1\1f\1a") : SLICE("\1\1f\1b"));
        close_row(node);
    }
    world_deliver_all(&world);
    require(world.conflicts[0] == 1);
    struct xstream_cursor cursor;
    require(xstream_seek(view_of(0), ID, &cursor));
    struct slice shown = xstream_value(&cursor);
    require(shown.data[4] == 'a' || shown.data[4] == 'b');
    end_row(1, 1);
}

static void a_trim_takes_what_it_saw(void **state) {
    (void)state;
    struct xstream_trim trim = {.by = XSTREAM_TRIM_LENGTH, .length_max = 2};
    begin_row(5);
    for (unsigned node = 0; node < 2; node++) {
        open_row(node);
        require(xstream_trim(&writer, &trim) == 3);
        close_row(node);
    }
    (void)add_row(2);
    end_row(3, 6); /* what was trimmed twice counts once */
}

static void create_group(unsigned node, char name) {
    struct xstream_group group = {.entries_read = -1};
    label_of(&group.label, name);
    open_row(node);
    require(xstream_create_group(&writer, &group, XSTREAM_FROM_ID) == STORE_OK);
    close_row(node);
}

static bool has_group(unsigned node, char name, struct xstream_group *group) {
    struct xstream_label label;
    label_of(&label, name);
    return xstream_find_group(view_of(node), &label, group);
}

static void groups_merge(void **state) {
    (void)state;
    struct xstream_group group;
    begin_row(1);
    create_group(0, 'a');
    create_group(1, 'b');
    world_deliver_all(&world);
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        require(has_group(node, 'a', &group) && has_group(node, 'b', &group));
        require(world.conflicts[node] == 0);
    }
    end_row(1, 1);
}

static void read_row(unsigned node) {
    struct xstream_group group;
    require(has_group(node, 'g', &group));
    open_row(node);
    read_group(&writer, &group);
    close_row(node);
}

static void what_is_pending_is_the_same_everywhere(void **state) {
    (void)state;
    struct xstream_group group;
    begin_row(3);
    create_group(0, 'g');
    read_row(0);
    world_deliver_all(&world);
    open_row(1);
    require(has_group(1, 'g', &group));
    require(count_pending(&writer, &group.label) == 2);
    require(xstream_delete_pending(&writer, &group.label, &group.last_id, 1) == 1);
    close_row(1);
    world_deliver_all(&world);
    open_row(0);
    require(count_pending(&writer, &group.label) == 1);
    close_row(0);
    end_row(3, 3);
}

/* A deletion takes what its writer had seen of the group, and no more. */
static void a_read_survives_an_unseeing_destroy(void **state) {
    (void)state;
    struct xstream_group group;
    begin_row(4);
    create_group(0, 'g');
    read_row(0);
    world_deliver_all(&world);
    open_row(0);
    require(has_group(0, 'g', &group));
    xstream_destroy_group(&writer, &group.label);
    close_row(0);
    struct xstream_id before = group.last_id;
    read_row(1);
    world_deliver_all(&world);
    require(has_group(0, 'g', &group));
    require(xstream_id_compare(group.last_id, before) > 0);
    open_row(2);
    require(count_pending(&writer, &group.label) == 2);
    close_row(2);
    end_row(4, 4);
}

/* The greater id, unless it was seen by who set the smaller one. */
static void last_ids_join_by_maximum(void **state) {
    (void)state;
    struct xstream_group group;
    begin_row(4);
    create_group(0, 'g');
    world_deliver_all(&world);
    read_row(0);
    struct xstream_id one;
    require(has_group(0, 'g', &group));
    one = group.last_id;
    read_row(1);
    read_row(1);
    world_deliver_all(&world);
    require(has_group(0, 'g', &group));
    require(xstream_id_compare(group.last_id, one) > 0);
    group.last_id = one;
    open_row(0);
    require(xstream_set_group(&writer, &group, XSTREAM_FROM_ID) == STORE_OK);
    close_row(0);
    world_deliver_all(&world);
    require(has_group(2, 'g', &group));
    require(xstream_id_compare(group.last_id, one) == 0);
    end_row(4, 4);
}

static void long_entries_travel_in_pieces(void **state) {
    (void)state;
    static const struct xstream_id ID = {1, 1};
    size_t size = CHANGE_VALUE_BYTES_MAX + 1000;
    char *bytes = memory_alloc(size);
    memset(bytes, 'x', size);
    begin_row(0);
    open_row(0);
    add_value(&writer, ID, slice_make(bytes, size));
    close_row(0);
    world_deliver_all(&world);
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        struct xstream_cursor cursor;
        require(xstream_seek(view_of(node), ID, &cursor));
        /* A client chose the id, so the origin is behind the fields. */
        struct slice shown = xstream_value(&cursor);
        require(shown.size == size + XSTREAM_ORIGIN_BYTES);
        require(memcmp(shown.data, bytes, size) == 0);
        store_check(&world.nodes[node].store);
        require(world_same_digest(&world, 0, node));
        (void)running_snapshot_check_state(&world.nodes[node].store);
    }
    world_deinit(&world);
    memory_free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(concurrent_additions_both_stay),
        cmocka_unit_test(refs_that_are_nearly_alike_lose_nothing),
        cmocka_unit_test(an_addition_survives_an_unseeing_delete),
        cmocka_unit_test(one_id_is_one_entry_and_a_conflict),
        cmocka_unit_test(a_trim_takes_what_it_saw),
        cmocka_unit_test(groups_merge),
        cmocka_unit_test(what_is_pending_is_the_same_everywhere),
        cmocka_unit_test(a_read_survives_an_unseeing_destroy),
        cmocka_unit_test(last_ids_join_by_maximum),
        cmocka_unit_test(long_entries_travel_in_pieces),
        cmocka_unit_test(the_law_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
