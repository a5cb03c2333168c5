/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists on three nodes: random writes, deliveries and settling, against a model of each local write
 * (an array) and against the law for what comes of all of them (a position shows the greatest of
 * the SETs that nobody superseded who had seen them). And the rows L1 to L8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "store/lists.h"
#include "store/strings.h"
#include "unit/store/sequence_law.h"

enum { KEYS = 2, VALUES_MAX = 2000 };

static struct world world;
static struct prng prng;
static struct running_snapshot snapshot;
static unsigned next_value;

/* ---- a list as an array ---- */

struct array {
    char values[VALUES_MAX][96];
    size_t count;
};

static void array_visit(void *udata, const struct element *element) {
    struct array *array = (struct array *)udata;
    require(array->count < VALUES_MAX);
    require(element->value.size < sizeof(array->values[0]));
    memcpy(array->values[array->count], element->value.data, element->value.size);
    array->values[array->count++][element->value.size] = '\0';
}

static void array_read(unsigned node, unsigned k, struct array *array) {
    struct key key = world_key(&world, node, k);
    struct elements elements;
    array->count = 0;
    if (elements_read(&world.nodes[node].store, &key, VALUE_LIST, &elements) == STORE_OK) {
        elements_each(&world.nodes[node].store, &elements, array_visit, array);
        require(array->count == elements.count);
        require(array->count > 0);
    }
}

static void array_insert(struct array *array, size_t index, const char *value) {
    memmove(array->values[index + 1], array->values[index],
            (array->count - index) * sizeof(array->values[0]));
    (void)snprintf(array->values[index], sizeof(array->values[0]), "%s", value);
    array->count++;
}

static void array_remove(struct array *array, size_t index, size_t count) {
    memmove(array->values[index], array->values[index + count],
            (array->count - index - count) * sizeof(array->values[0]));
    array->count -= count;
}

static void array_equal(const struct array *a, const struct array *b) {
    require(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        require(strcmp(a->values[i], b->values[i]) == 0);
    }
}

/* By index, both ways, it is the same. */
static void check_indexes(unsigned node, unsigned k, const struct array *array) {
    struct store *store = &world.nodes[node].store;
    struct key key = world_key(&world, node, k);
    struct elements elements;
    struct list_cursor cursor;
    if (array->count == 0) {
        return;
    }
    require(elements_read(store, &key, VALUE_LIST, &elements) == STORE_OK);
    require(!list_seek(store, &elements, array->count, &cursor));
    size_t at = prng_below(&prng, array->count);
    enum list_end towards = prng_below(&prng, 2) == 0 ? LIST_LEFT : LIST_RIGHT;
    require(list_seek(store, &elements, at, &cursor));
    for (;;) {
        require(slice_equal(cursor.element.value, slice_of(array->values[at])));
        if (!list_step(&cursor, towards)) {
            break;
        }
        at += towards == LIST_LEFT ? (size_t)-1 : 1;
        require(at < array->count);
    }
    require(at == (towards == LIST_LEFT ? 0 : array->count - 1));
}

/* ---- the law ---- */

static void compare_key(unsigned node, unsigned k) {
    static struct expected list, hash, string;
    static struct array array;
    struct store *store = &world.nodes[node].store;
    struct key key = world_key(&world, node, k);
    expect_type(&world, key.name, VALUE_LIST, &list);
    expect_type(&world, key.name, VALUE_HASH, &hash);
    expect_type(&world, key.name, VALUE_STRING, &string);
    const struct expected *all[] = {&list, &hash, &string}, *best = NULL;
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
    if (best != &list) {
        return; /* other tests look at those */
    }
    array_read(node, k, &array);
    require(array.count == list.count);
    for (size_t i = 0; i < array.count; i++) {
        require(slice_equal(slice_of(array.values[i]), list.shown[i].value));
        for (size_t j = 0; j < i; j++) {
            require(strcmp(array.values[i], array.values[j]) != 0);
        }
    }
    check_indexes(node, k, &array);
}

static void compare_all(void) {
    for (unsigned node = 0; node < WORLD_NODES; node++) {
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

static const char *new_value(void) {
    static char text[96];
    uint64_t kind = prng_below(&prng, 8);
    /* Wide ones: a few are more than is packed. */
    (void)snprintf(text, sizeof(text), kind < 4 ? "%u" : kind < 7 ? "v%u" : "%080u", next_value++);
    return text;
}

static void check_value(void *udata, struct slice value) {
    require(slice_equal(value, slice_of((const char *)udata)));
}

static void write_one(struct elements_writer *writer, struct array *array) {
    unsigned kind = (unsigned)prng_below(&prng, 12);
    size_t at = array->count > 0 ? prng_below(&prng, array->count) : 0;
    const char *value = new_value();
    if (kind < 2 || array->count == 0) {
        require(list_push(writer, LIST_RIGHT, slice_of(value)) == STORE_OK);
        array_insert(array, array->count, value);
    } else if (kind < 4) {
        require(list_push(writer, LIST_LEFT, slice_of(value)) == STORE_OK);
        array_insert(array, 0, value);
    } else if (kind < 6) {
        at = prng_below(&prng, array->count + 1);
        require(list_insert(writer, at, slice_of(value)) == STORE_OK);
        array_insert(array, at, value);
    } else if (kind < 8) {
        require(list_set(writer, at, slice_of(value)) == STORE_OK);
        (void)snprintf(array->values[at], sizeof(array->values[0]), "%s", value);
    } else if (kind == 8) {
        struct slice gone = slice_of(array->values[at]);
        enum list_end from = prng_below(&prng, 2) == 0 ? LIST_LEFT : LIST_RIGHT;
        require(list_remove_value(writer, gone, 2, from) == 1);
        array_remove(array, at, 1);
    } else if (kind == 9) {
        size_t count = 1 + prng_below(&prng, array->count - at);
        list_remove(writer, at, count);
        array_remove(array, at, count);
    } else {
        at = kind == 10 ? 0 : array->count - 1;
        list_pop(writer, kind == 10 ? LIST_LEFT : LIST_RIGHT, check_value, array->values[at]);
        array_remove(array, at, 1);
    }
}

static void write_list(unsigned node, unsigned k) {
    static struct array wanted, there;
    struct key key = world_key(&world, node, k);
    struct elements_writer writer;
    array_read(node, k, &wanted);
    if (elements_open(&world.nodes[node].store, &key, VALUE_LIST, &writer) != STORE_OK) {
        return;
    }
    for (unsigned i = 0, count = 1 + (unsigned)prng_below(&prng, 4); i < count; i++) {
        write_one(&writer, &wanted);
        if (world.nodes[node].store.is_alone && wanted.count == 0) {
            break; /* no command goes on with what it has emptied */
        }
    }
    elements_close(&writer);
    array_read(node, k, &there);
    array_equal(&wanted, &there);
    check_indexes(node, k, &there);
}

static void write_other(unsigned node, unsigned k) {
    struct store *store = &world.nodes[node].store;
    struct key key = world_key(&world, node, k);
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
    case 4: {
        struct key to = world_key(&world, node, 1 - k);
        if (store_peek(store, &key) != NULL && entry_type(store_peek(store, &key)) == VALUE_LIST &&
            store_peek(store, &to) == NULL) {
            (void)store_rename(store, &key, &to);
        }
        break;
    }
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
        write_list(node, k);
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
    store_check(&world.nodes[node].store);
}

static void history(void) {
    world_init(&world);
    next_value = 0;
    unsigned steps = 20 + (unsigned)prng_below(&prng, 100);
    unsigned other_percent = prng_below(&prng, 2) == 0 ? 8 : 1;
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        world.nodes[node].store.packing[VALUE_LIST].entries_max =
            prng_below(&prng, 3) == 0 ? 1000 : prng_below(&prng, 8);
    }
    for (unsigned i = 0; i < steps; i++) {
        step(other_percent);
    }
    running_snapshot_finish(&snapshot, &world);
    converge();
    world_deinit(&world);
}

/* TEST_PART=7: one history. TEST_COUNT=10000: so many. TEST_PRINT: say which. */
static void the_law_holds(void **state) {
    (void)state;
    const char *only = getenv("TEST_PART"), *count = getenv("TEST_COUNT");
    unsigned first = only != NULL ? (unsigned)atoi(only) : 0;
    unsigned end = only != NULL ? first + 1 : count != NULL ? (unsigned)atoi(count) : 2000;
    for (unsigned i = first; i < end; i++) {
        seed_prng(&prng, "the_law_holds", i);
        if (getenv("TEST_PRINT") != NULL) {
            (void)fprintf(stderr, "%u\n", i);
        }
        history();
    }
    assert_true(end - first < 1000 || snapshot.in_pieces_count > 100);
}

/* ---- a lone node ---- */

/* Both stores hold the same, stamps and forms included. */
static void same_state(const struct store *a, const struct store *b) {
    struct buffer of_a = {0}, of_b = {0};
    for (unsigned k = 0; k < KEYS; k++) {
        struct key key_a = store_key(a, 0, slice_of(world_names[k]));
        struct key key_b = store_key(b, 0, slice_of(world_names[k]));
        const uint64_t *slot_a = mutate_slot(a, &key_a), *slot_b = mutate_slot(b, &key_b);
        require((slot_a != NULL) == (slot_b != NULL));
        if (slot_a != NULL) {
            require(entry_kind(table_item(*slot_a)) == entry_kind(table_item(*slot_b)));
            state_encode(&of_a, a, 0, table_item(*slot_a), running_snapshot_flush, NULL);
            state_encode(&of_b, b, 0, table_item(*slot_b), running_snapshot_flush, NULL);
        }
    }
    require(of_a.size == of_b.size);
    require(of_a.size == 0 || memcmp(of_a.data, of_b.data, of_a.size) == 0);
    buffer_deinit(&of_a);
    buffer_deinit(&of_b);
}

/* Applies what the journal of `from` holds, and empties it. */
static void replay(struct store *from, struct store *to) {
    struct change_reader reader;
    struct change change;
    if (from->journal.bytes.size == 0) {
        return;
    }
    require(change_reader_init(&reader, buffer_slice(&from->journal.bytes), from->replicas.self));
    while (change_reader_next(&reader, &change) == CHANGE_OK) {
        require(store_apply(to, &change) == STORE_OK);
    }
    change_writer_clear(&from->journal);
}

static void alone_the_log_gives_what_writing_gave(void **state) {
    (void)state;
    for (unsigned i = 0; i < 500; i++) {
        seed_prng(&prng, "alone", i);
        world_init(&world);
        struct store *writer = &world.nodes[0].store, *reader = &world.nodes[1].store;
        next_value = 0;
        writer->is_alone = reader->is_alone = true;
        reader->replicas.self = writer->replicas.self;
        writer->packing[VALUE_LIST].entries_max = prng_below(&prng, 3) == 0 ? 1000 : 6;
        reader->packing[VALUE_LIST] = writer->packing[VALUE_LIST];
        for (unsigned k = 0; k < 60; k++) {
            if (prng_below(&prng, 20) == 0) {
                write_other(0, (unsigned)prng_below(&prng, KEYS));
            } else {
                write_list(0, (unsigned)prng_below(&prng, KEYS));
            }
            store_end_unit(writer);
            replay(writer, reader);
            store_check(writer);
            store_check(reader);
            same_state(writer, reader);
        }
        world_deinit(&world);
    }
}

/* ---- rows ---- */

static void open_list(unsigned node, struct elements_writer *writer) {
    struct key key = world_key(&world, node, 0);
    require(elements_open(&world.nodes[node].store, &key, VALUE_LIST, writer) == STORE_OK);
}

static void close_list(unsigned node, struct elements_writer *writer) {
    elements_close(writer);
    world_end(&world, node);
}

static void push(unsigned node, enum list_end end, const char *value) {
    struct elements_writer writer;
    open_list(node, &writer);
    require(list_push(&writer, end, slice_of(value)) == STORE_OK);
    close_list(node, &writer);
}

static void insert(unsigned node, uint64_t index, const char *value) {
    struct elements_writer writer;
    open_list(node, &writer);
    require(list_insert(&writer, index, slice_of(value)) == STORE_OK);
    close_list(node, &writer);
}

static void take(unsigned node, uint64_t index, uint64_t count) {
    struct elements_writer writer;
    open_list(node, &writer);
    list_remove(&writer, index, count);
    close_list(node, &writer);
}

static void begin_row(const char *values) {
    world_init(&world);
    for (; *values != '\0'; values++) {
        char text[2] = {*values, '\0'};
        push(0, LIST_RIGHT, text);
    }
    world_deliver_all(&world);
}

/* All nodes show one of these lists, the same; values are one character long. */
static void end_row(const char *one, const char *other) {
    static struct array array;
    char text[64];
    converge();
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        array_read(node, 0, &array);
        for (size_t i = 0; i < array.count; i++) {
            text[i] = array.values[i][0];
        }
        text[array.count] = '\0';
        require(strcmp(text, one) == 0 || (other != NULL && strcmp(text, other) == 0));
    }
    world_deinit(&world);
}

static void concurrent_inserts_have_one_order(void **state) {
    (void)state;
    begin_row("x");
    insert(0, 1, "a");
    insert(1, 1, "b");
    end_row("xab", "xba");
}

static void a_push_survives_an_unseeing_delete(void **state) {
    (void)state;
    begin_row("x");
    push(0, LIST_LEFT, "y");
    struct key key = world_key(&world, 1, 0);
    require(store_delete(&world.nodes[1].store, &key));
    world_end(&world, 1);
    end_row("y", NULL);
}

/* A counter under the same key is taken off before the push, which has a later stamp. */
static void a_push_takes_off_what_it_supersedes(void **state) {
    (void)state;
    int64_t result;
    world_init(&world);
    struct key key = world_key(&world, 1, 0);
    require(strings_add_integer(&world.nodes[1].store, &key, 1, &result) == STORE_OK);
    world_end(&world, 1);
    push(0, LIST_RIGHT, "a");
    push(0, LIST_RIGHT, "b");
    world_deliver_all(&world);
    push(0, LIST_RIGHT, "c");
    push(0, LIST_LEFT, "d");
    end_row("dabc", NULL);
}

static void an_element_can_be_popped_twice(void **state) {
    (void)state;
    begin_row("xyz");
    take(0, 2, 1);
    take(1, 2, 1);
    end_row("xy", NULL);
}

static void runs_do_not_interleave(void **state) {
    (void)state;
    for (unsigned end = LIST_LEFT; end <= LIST_RIGHT; end++) {
        begin_row("");
        for (unsigned i = 0; i < 3; i++) {
            push(0, (enum list_end)end, i == 0 ? "a" : i == 1 ? "b" : "c");
            push(1, (enum list_end)end, i == 0 ? "1" : i == 1 ? "2" : "3");
        }
        if (end == LIST_RIGHT) {
            end_row("abc123", "123abc");
        } else {
            end_row("cba321", "321cba");
        }
    }
}

static void a_trim_takes_what_it_saw(void **state) {
    (void)state;
    begin_row("12345");
    take(0, 3, 2);
    push(1, LIST_RIGHT, "6");
    end_row("1236", NULL);
}

static void an_unseen_set_survives_a_removal(void **state) {
    (void)state;
    struct elements_writer writer;
    begin_row("ab");
    open_list(0, &writer);
    require(list_set(&writer, 0, SLICE("x")) == STORE_OK);
    close_list(0, &writer);
    open_list(1, &writer);
    require(list_remove_value(&writer, SLICE("a"), 1, LIST_LEFT) == 1);
    close_list(1, &writer);
    end_row("xb", NULL);
}

static void the_same_element_is_removed_once(void **state) {
    (void)state;
    struct elements_writer writer;
    begin_row("aa");
    for (unsigned node = 0; node < 2; node++) {
        open_list(node, &writer);
        require(list_remove_value(&writer, SLICE("a"), 1, LIST_LEFT) == 1);
        close_list(node, &writer);
    }
    end_row("a", NULL);
}

/* ---- long values ---- */

static void long_values_travel_in_pieces(void **state) {
    (void)state;
    struct elements_writer writer;
    struct elements elements;
    struct list_cursor cursor;
    size_t size = CHANGE_VALUE_BYTES_MAX + 1000;
    char *bytes = memory_alloc(size);
    memset(bytes, 'x', size);
    memcpy(bytes + size - 3, "end", 3);
    begin_row("ab");
    for (unsigned i = 0; i < 2; i++) {
        open_list(0, &writer);
        enum store_status status = i == 0 ? list_push(&writer, LIST_LEFT, slice_make(bytes, size))
                                          : list_set(&writer, 1, slice_make(bytes, size));
        require(status == STORE_OK);
        close_list(0, &writer);
    }
    world_deliver_all(&world);
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        struct key key = world_key(&world, node, 0);
        struct store *store = &world.nodes[node].store;
        require(elements_read(store, &key, VALUE_LIST, &elements) == STORE_OK);
        require(elements.count == 3);
        for (unsigned i = 0; i < 2; i++) {
            require(list_seek(store, &elements, i, &cursor));
            require(slice_equal(cursor.element.value, slice_make(bytes, size)));
        }
        store_check(store);
        require(world_same_digest(&world, 0, node));
        (void)running_snapshot_check_state(&world.nodes[node].store);
    }
    world_deinit(&world);
    memory_free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(concurrent_inserts_have_one_order),
        cmocka_unit_test(a_push_survives_an_unseeing_delete),
        cmocka_unit_test(a_push_takes_off_what_it_supersedes),
        cmocka_unit_test(an_element_can_be_popped_twice),
        cmocka_unit_test(runs_do_not_interleave),
        cmocka_unit_test(a_trim_takes_what_it_saw),
        cmocka_unit_test(an_unseen_set_survives_a_removal),
        cmocka_unit_test(the_same_element_is_removed_once),
        cmocka_unit_test(long_values_travel_in_pieces),
        cmocka_unit_test(the_law_holds),
        cmocka_unit_test(alone_the_log_gives_what_writing_gave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
