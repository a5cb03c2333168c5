/* SPDX-License-Identifier: BSD-3-Clause */
/* A consumer group on three nodes delivers every entry that was added: short histories, all of
 * them, and long random ones, in which entries are added with ids below what others have read.
 * After all have everything, a group that is read until nothing is left has delivered each entry
 * once or more often; just once where all reading is done by one node at a time who has heard of
 * the readers before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/codec.h"
#include "store/xstreams.h"
#include "unit/store/sequence_law.h"
#include "unit/store/stream_world.h"

enum { ENTRIES_MAX = 500, READERS_ANY = WORLD_NODES };

static struct world world;
static struct prng prng;
static struct xstream_label group_label;

/* What became of each entry; its number is its value. */
static struct {
    unsigned count;
    unsigned delivered[ENTRIES_MAX];
    bool is_deleted[ENTRIES_MAX];
} entries;

/* ---- what nodes do ---- */

static unsigned number_of(struct xstream_cursor *cursor) {
    struct xstream_fields fields;
    struct slice name, value;
    require(xstream_fields_init(&fields, xstream_value(cursor)) == 1);
    require(xstream_fields_next(&fields, &name, &value));
    uint64_t number;
    require(number_parse_unsigned(value, &number) && number < entries.count);
    return (unsigned)number;
}

/* Adds an entry at `ms`, or behind the last one; `is_explicit`: a client has chosen the id. */
static struct xstream_id add(unsigned node, uint64_t ms, bool is_explicit) {
    struct elements_writer writer;
    struct xstream_id id;
    struct buffer value = {0};
    char text[NUMBER_INTEGER_BYTES_MAX];
    unsigned number = entries.count++;
    require(number < ENTRIES_MAX);
    stream_open_at(&world, node, &writer);
    require(xstream_make_id(&writer, xstream_last_id(xstream_of_writer(&writer)), ms, false, &id));
    if (is_explicit) {
        struct xstream_id last = xstream_last_id(xstream_of_writer(&writer));
        /* Whoever chooses it, it is another one. */
        id = (struct xstream_id){ms > last.ms ? ms : last.ms,
                                 (last.sequence / ENTRIES_MAX + 1) * ENTRIES_MAX + number};
        require(xstream_id_compare(id, last) > 0);
    }
    codec_put_varint(&value, 1);
    codec_put_slice(&value, SLICE("f"));
    codec_put_slice(&value, slice_make(text, number_format_integer(text, number)));
    require(xstream_add(&writer, id, &value) == STORE_OK);
    buffer_deinit(&value);
    stream_close_at(&world, node, &writer);
    return id;
}

/* Delivers up to `count` entries, the lowest first; returns how many. */
static unsigned read_some(unsigned node, unsigned count) {
    struct elements_writer writer;
    struct xstream_group group;
    struct xstream_unread unread;
    struct xstream_id before = XSTREAM_ID_MIN;
    unsigned done = 0;
    stream_open_at(&world, node, &writer);
    struct xstream_view view = xstream_of_writer(&writer);
    require(xstream_find_group(view, &group_label, &group));
    uint64_t lag = xstream_unread_count(view, &group);
    bool is_there = xstream_unread_begin(view, &group_label, &unread);
    require(is_there == (lag > 0));
    for (; is_there && done < count; done++) {
        struct xstream_id id = unread.cursor.name.id;
        require(done == 0 || xstream_id_compare(before, id) < 0);
        before = id;
        entries.delivered[number_of(&unread.cursor)]++;
        group.last_id = xstream_id_compare(id, group.last_id) > 0 ? id : group.last_id;
        is_there = xstream_unread_next(&unread);
    }
    require(done == (lag < count ? lag : count));
    if (done > 0) {
        require(xstream_set_read(&writer, &group, &unread) == STORE_OK);
    }
    xstream_unread_note(&writer, &unread);
    xstream_unread_deinit(&unread);
    require(xstream_unread_count(xstream_of_writer(&writer), &group) == lag - done);
    stream_close_at(&world, node, &writer);
    return done;
}

static void make_group(unsigned node, struct xstream_id id, enum xstream_from from) {
    struct elements_writer writer;
    struct xstream_group group = {.label = group_label, .last_id = id, .entries_read = -1};
    stream_open_at(&world, node, &writer);
    require(xstream_create_group(&writer, &group, from) == STORE_OK);
    stream_close_at(&world, node, &writer);
}

static void begin(void) {
    world_init(&world);
    memset(&entries, 0, sizeof(entries));
    require(xstream_label_encode(SLICE("group"), &group_label));
}

static void deliver_to(unsigned reader) {
    for (bool moved = true; moved;) {
        moved = false;
        for (unsigned author = 0; author < WORLD_NODES; author++) {
            moved |= world_deliver(&world, author, reader);
        }
    }
}

/* All get everything, and `node` reads until nothing is left. */
static void end(unsigned node, bool is_once) {
    world_deliver_all(&world);
    (void)running_snapshot_check_state(&world.nodes[node].store);
    while (read_some(node, 2) > 0) {
    }
    for (unsigned i = 0; i < entries.count; i++) {
        require(entries.delivered[i] >= 1 || entries.is_deleted[i]);
        require(entries.delivered[i] <= 1 || !is_once);
    }
    world_deliver_all(&world);
    for (unsigned i = 0; i < WORLD_NODES; i++) {
        require(world_same_digest(&world, 0, i));
        require(read_some(i, 1) == 0); /* others know it */
    }
    world_deinit(&world);
}

/* ---- all short histories ---- */

enum { COMMANDS = 5, KNOWN_BITS = 8 };

/* One command; later ones add at earlier times, so that much arrives behind what was read. */
static void run_command(unsigned node, char letter, unsigned number) {
    switch (letter) {
    case 'a':
        (void)add(node, COMMANDS - number, false);
        break;
    case 'x':
        (void)add(node, COMMANDS - number, true);
        break;
    case '1':
        (void)read_some(node, 1);
        break;
    case 'r':
        (void)read_some(node, ENTRIES_MAX);
        break;
    default:
        impossible("a letter without a command");
    }
}

/* `known` has a bit for each other node before each of the later commands: are its records of now
 * received first? `reader`: who reads in the end. */
static void run(const char *commands, const unsigned *nodes, unsigned known, unsigned reader) {
    unsigned readers = 1U << reader;
    begin();
    (void)add(2, COMMANDS, false);
    make_group(2, XSTREAM_ID_MIN, XSTREAM_FROM_ID);
    world_deliver_all(&world);
    for (unsigned i = 0; i < COMMANDS; i++) {
        unsigned node = nodes[i];
        for (unsigned bit = 0; bit < 2 && i > 0; bit++) {
            if ((known >> (2 * (i - 1) + bit) & 1) != 0) {
                while (world_deliver(&world, (node + 1 + bit) % WORLD_NODES, node)) {
                }
            }
        }
        run_command(node, commands[i], i);
        if (commands[i] == '1' || commands[i] == 'r') {
            readers |= 1U << node;
        }
        world_settle(&world, (i + reader) % WORLD_NODES);
    }
    end(reader, (readers & (readers - 1)) == 0);
}

static void all_short_histories(void **state) {
    (void)state;
    static const char *const ALL[] = {"aarar", "ararr", "xxrxr", "axrax", "a1x1r",
                                      "arxra", "aar1a", "xaaxr", "rarar", "aa1xr"};
    static const unsigned NODES[][COMMANDS] = {
        {0, 1, 2, 0, 2}, {0, 1, 0, 1, 0}, {1, 0, 0, 2, 0}, {0, 1, 2, 0, 1}, {2, 0, 1, 1, 2}};
    for (size_t i = 0; i < sizeof(ALL) / sizeof(ALL[0]); i++) {
        for (size_t n = 0; n < sizeof(NODES) / sizeof(NODES[0]); n++) {
            for (unsigned known = 0; known < 1U << KNOWN_BITS; known++) {
                run(ALL[i], NODES[n], known, known % WORLD_NODES);
            }
        }
    }
}

/* ---- long ones ---- */

static void delete_some(unsigned node) {
    struct elements_writer writer;
    struct xstream_cursor cursor;
    stream_open_at(&world, node, &writer);
    struct xstream_view view = xstream_of_writer(&writer);
    uint64_t length = xstream_length(view);
    if (prng_below(&prng, 2) == 0) {
        struct xstream_trim trim = {.by = XSTREAM_TRIM_LENGTH, .length_max = length - length / 4};
        uint64_t left = length / 4;
        for (bool is_there = xstream_seek(view, XSTREAM_ID_MIN, &cursor); is_there && left > 0;
             is_there = xstream_next(&cursor), left--) {
            entries.is_deleted[number_of(&cursor)] = true;
        }
        require(xstream_trim(&writer, &trim) == length / 4);
    } else if (xstream_seek(view, (struct xstream_id){prng_below(&prng, 200), 0}, &cursor)) {
        struct xstream_id id = cursor.name.id;
        entries.is_deleted[number_of(&cursor)] = true;
        require(xstream_delete(&writer, &id, 1) == 1);
    }
    stream_close_at(&world, node, &writer);
}

/* `reader`: the only one, or READERS_ANY. */
static void random_history(unsigned reader) {
    begin();
    make_group(0, XSTREAM_ID_MIN, XSTREAM_FROM_ID);
    world_deliver_all(&world);
    unsigned steps = 20 + (unsigned)prng_below(&prng, 120);
    for (unsigned i = 0; i < steps && world.ops_count < WORLD_OPS_MAX - 50; i++) {
        unsigned node = (unsigned)prng_below(&prng, WORLD_NODES);
        unsigned kind = (unsigned)prng_below(&prng, 100);
        if (kind < 35) {
            (void)add(node, prng_below(&prng, 200), prng_below(&prng, 4) == 0);
        } else if (kind < 55) {
            (void)read_some(reader == READERS_ANY ? node : reader,
                            1 + (unsigned)prng_below(&prng, 4));
        } else if (kind < 60) {
            delete_some(node);
        } else if (kind < 85) {
            (void)world_deliver(&world, (unsigned)prng_below(&prng, WORLD_NODES), node);
        } else if (kind < 93) {
            world_hear(&world, node, (unsigned)prng_below(&prng, WORLD_NODES));
        } else {
            world_settle(&world, node);
        }
    }
    end(reader == READERS_ANY ? (unsigned)prng_below(&prng, WORLD_NODES) : reader,
        reader != READERS_ANY);
}

static void random_histories(void **state) {
    (void)state;
    seed_prng(&prng, "random_histories", 0);
    for (unsigned i = 0; i < 600; i++) {
        random_history(i % (WORLD_NODES + 1));
    }
}

/* ---- rows ---- */

static void reads_in_turn_deliver_once(void **state) {
    (void)state;
    begin();
    make_group(0, XSTREAM_ID_MIN, XSTREAM_FROM_ID);
    world_deliver_all(&world);
    for (unsigned i = 0; i < 30; i++) {
        (void)add(i % 3, 100 - i, i % 4 == 0);
        (void)add((i + 1) % 3, 100 - i, false);
        deliver_to(i % 3);
        deliver_to((i + 1) % 3);
        deliver_to(i % 3);
        (void)read_some(i / 3 % 3, 1 + i % 3);
        for (unsigned to = 0; to < WORLD_NODES; to++) { /* the readers hear of one another */
            deliver_to((i + to) % 3);
            deliver_to((i + to + 1) % 3);
        }
    }
    end(1, true);
}

/* "$" is what is here; an id is that id, for all. */
static void a_group_begins_where_it_is_told(void **state) {
    (void)state;
    for (unsigned from = 0; from < 2; from++) {
        begin();
        (void)add(0, 50, false);
        (void)add(1, 60, true);
        deliver_to(0);
        (void)add(2, 40, false); /* on its way */
        struct xstream_id last = xstream_last_id(stream_view_at(&world, 0));
        make_group(0, last, from == 0 ? XSTREAM_FROM_HERE : XSTREAM_FROM_ID);
        world_deliver_all(&world);
        (void)add(1, 70, false);
        world_deliver_all(&world);
        for (unsigned node = 0; node < WORLD_NODES; node++) {
            struct xstream_group group;
            require(xstream_find_group(stream_view_at(&world, node), &group_label, &group));
            require(xstream_unread_count(stream_view_at(&world, node), &group) ==
                    (from == 0 ? 2 : 1));
        }
        require(read_some(2, 9) == (from == 0 ? 2 : 1));
        require(entries.delivered[0] == 0 && entries.delivered[1] == 0);
        require(entries.delivered[2] == (from == 0) && entries.delivered[3] == 1);
        world_deinit(&world);
    }
}

/* XGROUP SETID back: all comes again, on each node, whatever it remembers. */
static void a_group_goes_back(void **state) {
    (void)state;
    begin();
    make_group(0, XSTREAM_ID_MIN, XSTREAM_FROM_ID);
    world_deliver_all(&world);
    for (unsigned i = 0; i < 6; i++) {
        (void)add(i % 3, 10 + i, false);
    }
    world_deliver_all(&world);
    require(read_some(0, 9) == 6);
    world_deliver_all(&world);
    require(read_some(1, 9) == 0);
    struct elements_writer writer;
    struct xstream_group group = {.label = group_label, .last_id = {12, 0}, .entries_read = -1};
    stream_open_at(&world, 2, &writer);
    require(xstream_set_group(&writer, &group, XSTREAM_FROM_ID) == STORE_OK);
    stream_close_at(&world, 2, &writer);
    world_deliver_all(&world);
    require(read_some(1, 9) == 4);
    world_deliver_all(&world);
    require(read_some(0, 9) == 0);
    world_deinit(&world);
}

/* What is read goes on where nobody adds: a walk looks at what came late and at what is new. */
static void walks_begin_behind_what_was_read(void **state) {
    (void)state;
    struct xstream_unread unread;
    begin();
    make_group(0, XSTREAM_ID_MIN, XSTREAM_FROM_ID);
    world_deliver_all(&world);
    for (unsigned i = 0; i < 20; i++) {
        (void)add(0, 100 + i, false);
        (void)add(1, 20 + i, false);
    }
    require(read_some(0, ENTRIES_MAX) == 20);
    struct xstream_id last = xstream_last_id(stream_view_at(&world, 0));
    require(!xstream_unread_begin(stream_view_at(&world, 0), &group_label, &unread));
    require(xstream_id_compare(unread.start, last) > 0);
    xstream_unread_deinit(&unread);
    require(world_deliver(&world, 1, 0));
    require(xstream_unread_begin(stream_view_at(&world, 0), &group_label, &unread));
    require(unread.start.ms == 20 && unread.cursor.name.id.ms == 20);
    xstream_unread_deinit(&unread);
    require(read_some(0, 9) == 1);
    require(!xstream_unread_begin(stream_view_at(&world, 0), &group_label, &unread));
    xstream_unread_deinit(&unread);
    end(0, true);
}

/* A read keeps the whole group from a removal that had not seen it: nothing older comes again. */
static void a_group_survives_as_a_whole(void **state) {
    (void)state;
    struct elements_writer writer;
    begin();
    make_group(0, XSTREAM_ID_MIN, XSTREAM_FROM_ID);
    world_deliver_all(&world);
    for (unsigned i = 0; i < 9; i++) {
        (void)add(i % 3, 10 + i, i % 2 == 0);
    }
    world_deliver_all(&world);
    require(read_some(1, 5) == 5);
    world_deliver_all(&world);
    stream_open_at(&world, 0, &writer);
    xstream_destroy_group(&writer, &group_label);
    stream_close_at(&world, 0, &writer);
    require(read_some(1, 1) == 1);
    end(2, true);
}

/* Two replicas that the bits of an id do not tell apart say who they are behind the fields. */
static void bits_that_two_have_are_not_trusted(void **state) {
    (void)state;
    begin();
    make_group(0, XSTREAM_ID_MIN, XSTREAM_FROM_ID);
    world_deliver_all(&world);
    for (unsigned node = 0; node < 2; node++) {
        struct replicas *replicas = &world.nodes[node].store.replicas;
        unsigned other = replicas_find(replicas, world.nodes[1 - node].ref);
        uint64_t own = replicas->slots[replicas->self].ref;
        /* As if the other's were so: only the comparison looks at it. */
        uint64_t there = replicas->slots[other].ref;
        replicas->slots[other].ref = xstream_replica_bits(own) | (UINT64_C(1) << 40);
        struct xstream_id id = add(node, 10, false);
        replicas->slots[other].ref = there;
        struct xstream_cursor cursor;
        require(xstream_seek(stream_view_at(&world, node), id, &cursor));
        require(xstream_replica_bits(id.sequence) == xstream_replica_bits(own));
        require(xstream_origin(id, xstream_value(&cursor)) == own);
        id = add(node, 11, false);
        require(xstream_seek(stream_view_at(&world, node), id, &cursor));
        require(xstream_origin(id, xstream_value(&cursor)) == xstream_replica_bits(own));
    }
    end(2, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_short_histories),
        cmocka_unit_test(random_histories),
        cmocka_unit_test(reads_in_turn_deliver_once),
        cmocka_unit_test(a_group_begins_where_it_is_told),
        cmocka_unit_test(a_group_goes_back),
        cmocka_unit_test(walks_begin_behind_what_was_read),
        cmocka_unit_test(a_group_survives_as_a_whole),
        cmocka_unit_test(bits_that_two_have_are_not_trusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
