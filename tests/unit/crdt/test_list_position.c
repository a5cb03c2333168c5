/* SPDX-License-Identifier: BSD-3-Clause */
/* List positions in small worlds: replicas that push, insert and pop with delayed delivery, through
 * all histories of some shapes and many random ones. After each history all positions ever made are
 * looked at: no two are equal, and no element of another replica that knew neither lies between two
 * that were put side by side. Then how long positions become. */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/memory.h"
#include "containers/ordered_map.h"
#include "crdt/list_position.h"
#include "unit/seed.h"

static_assert((int)LIST_POSITION_BYTES_MAX <= (int)ORDERED_MAP_NAME_BYTES_MAX,
              "positions name elements");

/* ---- a world ---- */

enum { REPLICAS_MAX = 3, ELEMENTS_MAX = 64, OPS_MAX = 96, NONE = -1 };

struct element {
    struct slice name;
    int creator, left, right; /* neighbours when it was put, or NONE */
    uint64_t knew;            /* elements that its creator had heard of, by bits */
};

struct op {
    int element;
    bool is_removal;
    int seen[REPLICAS_MAX]; /* ops of each replica that its writer had applied */
};

struct replica_world {
    uint64_t ticks;
    uint64_t heard;         /* elements, by bits */
    int seen[REPLICAS_MAX]; /* ops of each replica applied */
    int list[ELEMENTS_MAX]; /* visible elements, in order */
    int list_count;
    struct op ops[OPS_MAX];
    int ops_count;
};

struct world {
    int replicas_count;
    int elements_count;
    size_t names_size;
    struct replica_world replicas[REPLICAS_MAX];
    struct element elements[ELEMENTS_MAX];
    char names[ELEMENTS_MAX * 128]; /* bytes of all names */
};

/* Tables of runs, beside the worlds since they are large. */
static struct list_positions tables[REPLICAS_MAX];

static void world_init(struct world *world, int replicas_count) {
    memset(world, 0, sizeof(*world));
    world->replicas_count = replicas_count;
    for (int i = 0; i < replicas_count; i++) {
        world->replicas[i].ticks = 1000000;
        list_positions_init(&tables[i], (uint64_t)(i + 1) * 0x1111);
    }
}

static int list_compare(const struct world *world, int a, int b) {
    return slice_compare(world->elements[a].name, world->elements[b].name);
}

static void list_add(const struct world *world, struct replica_world *replica, int element) {
    int at = replica->list_count++;
    while (at > 0 && list_compare(world, element, replica->list[at - 1]) < 0) {
        replica->list[at] = replica->list[at - 1];
        at--;
    }
    replica->list[at] = element;
}

static void list_drop(struct replica_world *replica, int element) {
    int kept = 0;
    for (int i = 0; i < replica->list_count; i++) {
        if (replica->list[i] != element) {
            replica->list[kept++] = replica->list[i];
        }
    }
    replica->list_count = kept;
}

static void world_note(struct world *world, int self, int element, bool is_removal) {
    struct replica_world *replica = &world->replicas[self];
    struct op *op = &replica->ops[replica->ops_count++];
    require(replica->ops_count <= OPS_MAX);
    op->element = element;
    op->is_removal = is_removal;
    memcpy(op->seen, replica->seen, sizeof(op->seen));
    replica->seen[self] = replica->ops_count;
}

/* Inserts at that index of what the replica sees. */
static void world_insert(struct world *world, int self, int index) {
    struct replica_world *replica = &world->replicas[self];
    static const struct slice empty = {"", 0};
    require(world->elements_count < ELEMENTS_MAX);
    int number = world->elements_count;
    struct element *element = &world->elements[number];
    element->creator = self;
    element->left = index > 0 ? replica->list[index - 1] : NONE;
    element->right = index < replica->list_count ? replica->list[index] : NONE;
    element->knew = replica->heard;
    struct slice left = element->left != NONE ? world->elements[element->left].name : empty;
    struct slice right = element->right != NONE ? world->elements[element->right].name : empty;
    struct list_position position;
    enum list_position_status status =
        list_position_between(&tables[self], ++replica->ticks, left, right, false, &position);
    require(status == LIST_POSITION_OK);
    struct slice name = list_position_slice(&position);
    require(list_position_is_valid(name));
    require(slice_compare(left, name) < 0);
    require(right.size == 0 || slice_compare(name, right) < 0);
    for (int i = 0; i < number; i++) {
        require(!slice_equal(world->elements[i].name, name)); /* never again */
    }
    require(world->names_size + name.size <= sizeof(world->names));
    memcpy(world->names + world->names_size, name.data, name.size);
    element->name = slice_make(world->names + world->names_size, name.size);
    world->names_size += name.size;
    world->elements_count++;
    replica->heard |= UINT64_C(1) << number;
    list_add(world, replica, number);
    world_note(world, self, number, false);
}

static void world_remove(struct world *world, int self, int index) {
    struct replica_world *replica = &world->replicas[self];
    int element = replica->list[index];
    replica->ticks++;
    list_drop(replica, element);
    world_note(world, self, element, true);
}

/* Applies the next op of `from` at `to`; false when there is none, or its causes are missing. */
static bool world_deliver(struct world *world, int from, int to) {
    struct replica_world *target = &world->replicas[to];
    const struct replica_world *source = &world->replicas[from];
    if (target->seen[from] == source->ops_count) {
        return false;
    }
    const struct op *op = &source->ops[target->seen[from]];
    for (int i = 0; i < world->replicas_count; i++) {
        if (i != from && op->seen[i] > target->seen[i]) {
            return false;
        }
    }
    target->seen[from]++;
    if (source->ticks > target->ticks) {
        target->ticks = source->ticks; /* an op's ticks are at most these */
    }
    if (op->is_removal) {
        list_drop(target, op->element);
    } else {
        target->heard |= UINT64_C(1) << op->element;
        list_add(world, target, op->element);
    }
    return true;
}

static void world_deliver_all(struct world *world) {
    bool is_moving = true;
    while (is_moving) {
        is_moving = false;
        for (int i = 0; i < world->replicas_count * world->replicas_count; i++) {
            int from = i / world->replicas_count, to = i % world->replicas_count;
            is_moving |= from != to && world_deliver(world, from, to);
        }
    }
}

/* Copies a world, names included. */
static void world_copy(struct world *to, const struct world *from) {
    memcpy(to, from, offsetof(struct world, names) + from->names_size);
    for (int i = 0; i < to->elements_count; i++) {
        to->elements[i].name.data = to->names + (from->elements[i].name.data - from->names);
    }
}

/* ---- what must hold ---- */

static bool world_knew(const struct world *world, int element, int other) {
    return (world->elements[element].knew >> other & 1) != 0;
}

static bool are_concurrent(const struct world *world, int a, int b) {
    return a != b && !world_knew(world, a, b) && !world_knew(world, b, a);
}

static bool is_by(const struct world *world, int element, int creator) {
    return element != NONE && world->elements[element].creator == creator;
}

static void world_print(const struct world *world) {
    for (int i = 0; i < world->elements_count; i++) {
        const struct element *element = &world->elements[i];
        printf("%d: by %d between %d and %d, knew %llx:", i, element->creator, element->left,
               element->right, (unsigned long long)element->knew);
        for (size_t j = 0; j < element->name.size; j++) {
            printf(" %02x", (uint8_t)element->name.data[j]);
        }
        printf("\n");
    }
    (void)fflush(stdout);
}

/* An element of another replica between a and b that knew neither, nor they it; or NONE. */
static int stranger_between(const struct world *world, int a, int b) {
    for (int f = 0; f < world->elements_count; f++) {
        if (world->elements[f].creator != world->elements[a].creator &&
            list_compare(world, a, f) < 0 && list_compare(world, f, b) < 0 &&
            are_concurrent(world, f, a) && are_concurrent(world, f, b)) {
            return f;
        }
    }
    return NONE;
}

/* What one replica put side by side stays so. */
static void element_check(const struct world *world, int number) {
    const struct element *element = &world->elements[number];
    int self = element->creator, left = element->left, right = element->right;
    bool is_own_left = is_by(world, left, self), is_own_right = is_by(world, right, self);
    int after_left = is_own_left ? stranger_between(world, left, number) : NONE;
    int before_right = is_own_right ? stranger_between(world, number, right) : NONE;
    bool is_bad = false;
    if (after_left != NONE) {
        /* A turn: left was put in front of an own element, and now something comes behind it, at
         * the list's end or before what came to the end so. */
        bool is_turn = is_by(world, world->elements[left].right, self) &&
                       (right == NONE || (is_own_right && before_right == NONE));
        is_bad |= !is_turn;
    }
    if (before_right != NONE) {
        /* Leftwards: at the same place, or where nothing else of its own is; but for turns. */
        bool is_same_place = left == world->elements[right].left;
        bool is_turn = left == NONE && is_by(world, world->elements[right].left, self);
        is_bad |= is_same_place || (!is_own_left && !is_turn);
    }
    if (is_bad) {
        world_print(world);
        printf("%d: %d behind its left neighbour, %d before its right one\n", number, after_left,
               before_right);
        (void)fflush(stdout);
        require(false);
    }
}

static void world_check(struct world *world) {
    world_deliver_all(world);
    for (int i = 1; i < world->replicas_count; i++) {
        const struct replica_world *a = &world->replicas[0], *b = &world->replicas[i];
        require(a->list_count == b->list_count);
        require(memcmp(a->list, b->list, (size_t)a->list_count * sizeof(a->list[0])) == 0);
    }
    for (int i = 0; i < world->elements_count; i++) {
        element_check(world, i);
    }
}

/* ---- steps ---- */

enum step { PUSH_RIGHT, PUSH_LEFT, INSERT_SECOND, INSERT_NEXT, POP_RIGHT, POP_LEFT, STEPS };

/* `cursor` is where the replica types, for INSERT_NEXT: right behind what it put last. */
static void world_step(struct world *world, int self, enum step step) {
    struct replica_world *replica = &world->replicas[self];
    int count = replica->list_count, index = count;
    switch (step) {
    case PUSH_RIGHT:
    case STEPS:
        world_insert(world, self, count);
        break;
    case PUSH_LEFT:
        world_insert(world, self, 0);
        break;
    case INSERT_SECOND:
        world_insert(world, self, count > 0 ? 1 : 0);
        break;
    case INSERT_NEXT:
        for (int i = 0; i < count; i++) {
            if (world->elements[replica->list[i]].creator == self &&
                (index == count || replica->list[i] > replica->list[index - 1])) {
                index = i + 1;
            }
        }
        world_insert(world, self, index);
        break;
    case POP_RIGHT:
        if (count > 0) {
            world_remove(world, self, count - 1);
        }
        break;
    case POP_LEFT:
        if (count > 0) {
            world_remove(world, self, 0);
        }
        break;
    }
}

/* ---- all histories ---- */

static uint64_t histories_count;

/* All words of `left` more steps by two replicas, each a local step or the delivery of one op. */
static void all_words(const struct world *world, unsigned left) {
    struct world next;
    struct list_positions saved;
    bool is_end = true;
    for (int self = 0; self < 2 && left > 0; self++) {
        for (int step = 0; step <= STEPS; step++) {
            if (step == INSERT_NEXT) {
                continue; /* in the scripts below */
            }
            if (step < STEPS) {
                world_copy(&next, world);
                memcpy(&saved, &tables[self], sizeof(saved));
                world_step(&next, self, (enum step)step);
                all_words(&next, left - 1);
                memcpy(&tables[self], &saved, sizeof(saved));
                is_end = false;
                continue;
            }
            world_copy(&next, world);
            if (world_deliver(&next, 1 - self, self)) {
                all_words(&next, left - 1);
                is_end = false;
            }
        }
    }
    if (is_end) {
        world_copy(&next, world);
        world_check(&next);
        histories_count++;
    }
}

#ifdef STARLING_JEMALLOC
enum { WORD_STEPS = 6, SCRIPT_STEPS = 4, TRIPLES_STEP = 1 };
#else
enum { WORD_STEPS = 5, SCRIPT_STEPS = 3, TRIPLES_STEP = 5 }; /* sanitizers take their time */
#endif

static void all_short_histories(void **state) {
    (void)state;
    struct world world;
    /* From an empty list, from one of each, and from a list that the first one made. */
    for (unsigned start = 0; start < 3; start++) {
        world_init(&world, 2);
        if (start > 0) {
            world_step(&world, 0, PUSH_RIGHT);
            world_deliver_all(&world);
            world_step(&world, start == 1 ? 1 : 0, PUSH_RIGHT);
            world_deliver_all(&world);
        }
        all_words(&world, start == 0 ? WORD_STEPS : WORD_STEPS - 1);
    }
    printf("%llu histories\n", (unsigned long long)histories_count);
}

/* What a replica does in turn. */
static const enum step scripts[][5] = {
    {PUSH_RIGHT, PUSH_RIGHT, PUSH_RIGHT, PUSH_RIGHT, PUSH_RIGHT},
    {PUSH_LEFT, PUSH_LEFT, PUSH_LEFT, PUSH_LEFT, PUSH_LEFT},
    {INSERT_SECOND, INSERT_SECOND, INSERT_SECOND, INSERT_SECOND, INSERT_SECOND},
    {INSERT_SECOND, INSERT_NEXT, INSERT_NEXT, INSERT_NEXT, INSERT_NEXT},
    {PUSH_RIGHT, POP_RIGHT, PUSH_RIGHT, PUSH_RIGHT, POP_RIGHT},
    {PUSH_RIGHT, POP_LEFT, PUSH_RIGHT, PUSH_RIGHT, POP_LEFT},
    {PUSH_LEFT, POP_LEFT, PUSH_LEFT, PUSH_LEFT, POP_LEFT},
    {PUSH_LEFT, PUSH_RIGHT, PUSH_LEFT, PUSH_RIGHT, PUSH_LEFT},
    {POP_LEFT, POP_LEFT, PUSH_RIGHT, PUSH_RIGHT, PUSH_RIGHT},
};
enum { SCRIPTS = sizeof(scripts) / sizeof(scripts[0]) };

/* All orders of the steps of scripts, and before each step the replica hears all that there is of
 * each other one, or one op, or nothing. */
static void all_orders(const struct world *world, const unsigned *chosen, const unsigned *done,
                       unsigned steps, unsigned ways) {
    struct world next;
    struct list_positions saved;
    bool is_end = true;
    for (int self = 0; self < world->replicas_count; self++) {
        if (done[self] == steps) {
            continue;
        }
        is_end = false;
        unsigned after[REPLICAS_MAX] = {done[0], done[1], done[2]};
        after[self]++;
        unsigned ways_here = world->replicas_count == 2 ? ways : ways * ways;
        for (unsigned way = 0; way < ways_here; way++) {
            world_copy(&next, world);
            bool is_new = way == 0;
            for (int i = 0, digit = (int)way; i < world->replicas_count; i++) {
                if (i == self) {
                    continue;
                }
                /* 0: nothing, 1: all, 2: one. */
                int part = digit % (int)ways;
                digit /= (int)ways;
                while (part != 0 && world_deliver(&next, i, self)) {
                    is_new = true;
                    if (part == 2) {
                        break;
                    }
                }
            }
            if (is_new) {
                memcpy(&saved, &tables[self], sizeof(saved));
                world_step(&next, self, scripts[chosen[self]][done[self]]);
                all_orders(&next, chosen, after, steps, ways);
                memcpy(&tables[self], &saved, sizeof(saved));
            }
        }
    }
    if (is_end) {
        world_copy(&next, world);
        world_check(&next);
        histories_count++;
    }
}

static void world_start(struct world *world, int replicas_count, unsigned start) {
    world_init(world, replicas_count);
    for (unsigned i = 0; i < start; i++) {
        world_step(world, (int)i % replicas_count, PUSH_RIGHT);
        world_deliver_all(world);
    }
}

static void all_orders_of_scripts(void **state) {
    (void)state;
    histories_count = 0;
    struct world world;
    static const unsigned done[REPLICAS_MAX] = {0};
    for (unsigned pair = 0; pair < SCRIPTS * SCRIPTS; pair++) {
        unsigned chosen[REPLICAS_MAX] = {pair / SCRIPTS, pair % SCRIPTS};
        for (unsigned start = 0; start < 3; start++) {
            world_start(&world, 2, start);
            all_orders(&world, chosen, done, SCRIPT_STEPS, 2);
            world_start(&world, 2, start);
            all_orders(&world, chosen, done, 3, 3);
        }
    }
    printf("two replicas: %llu histories\n", (unsigned long long)histories_count);
    histories_count = 0;
    for (unsigned triple = 0; triple < SCRIPTS * SCRIPTS * SCRIPTS; triple++) {
        unsigned chosen[] = {triple / SCRIPTS / SCRIPTS, triple / SCRIPTS % SCRIPTS,
                             triple % SCRIPTS};
        if (chosen[0] <= chosen[1] && chosen[1] <= chosen[2] && triple % TRIPLES_STEP == 0) {
            world_start(&world, 3, triple % 3);
            all_orders(&world, chosen, done, 2, 2);
        }
    }
    printf("three replicas: %llu histories\n", (unsigned long long)histories_count);
}

static void random_histories(void **state) {
    (void)state;
    for (unsigned part = 0; part < 8; part++) {
        struct prng prng;
        seed_prng(&prng, "random_histories", part);
        for (unsigned round = 0; round < 2500; round++) {
            struct world world;
            world_init(&world, 2 + (int)part % 2);
            unsigned steps = 10 + (unsigned)prng_below(&prng, 50);
            unsigned deliveries = (unsigned)prng_below(&prng, 6);
            for (unsigned i = 0; i < steps && world.names_size + 256 < sizeof(world.names); i++) {
                int self = (int)prng_below(&prng, (uint64_t)world.replicas_count);
                struct replica_world *replica = &world.replicas[self];
                if (prng_below(&prng, 50) == 0) {
                    replica->ticks += prng_below(&prng, UINT64_C(1) << prng_below(&prng, 40));
                }
                if (prng_below(&prng, 20) == 0) {
                    list_positions_init(&tables[self], tables[self].ref); /* a restart */
                }
                if (prng_below(&prng, 6) == 0 && replica->list_count > 0) {
                    uint64_t count = (uint64_t)replica->list_count;
                    world_remove(&world, self, (int)prng_below(&prng, count));
                } else if (prng_below(&prng, 5) == 0) {
                    uint64_t count = (uint64_t)replica->list_count;
                    world_insert(&world, self, (int)prng_below(&prng, count + 1));
                } else {
                    world_step(&world, self, (enum step)prng_below(&prng, STEPS));
                }
                for (unsigned j = 0; j < deliveries; j++) {
                    uint64_t count = (uint64_t)world.replicas_count;
                    int from = (int)prng_below(&prng, count), to = (int)prng_below(&prng, count);
                    if (from != to) {
                        (void)world_deliver(&world, from, to);
                    }
                }
            }
            world_check(&world);
        }
    }
}

/* ---- lengths ---- */

static struct list_positions table;
static const struct slice END = {"", 0};

static struct list_position position_make(uint64_t ticks, struct slice left, struct slice right) {
    struct list_position position;
    enum list_position_status status =
        list_position_between(&table, ticks, left, right, false, &position);
    require(status == LIST_POSITION_OK);
    require(list_position_is_valid(list_position_slice(&position)));
    return position;
}

/* Pushes as lists do: into a map, with a value of 8 bytes. */
static size_t map_push(struct ordered_map **map, uint64_t ticks, bool is_right) {
    struct ordered_map_cursor cursor;
    struct slice left = END, right = END;
    bool is_there = is_right ? ordered_map_last(*map, &cursor) : ordered_map_first(*map, &cursor);
    if (is_there) {
        *(is_right ? &left : &right) = cursor.element.name;
    }
    struct list_position position = position_make(ticks, left, right);
    struct ordered_map_element element = {.name = list_position_slice(&position),
                                          .stamp = stamp_make(ticks, STAMP_SLOT_SELF),
                                          .value = SLICE("12345678")};
    bool is_inserted = ordered_map_insert(map, &element);
    require(is_inserted);
    return position.size;
}

static void pushes_at_the_ends(void **state) {
    (void)state;
    enum { COUNT = 1000000 };
    static const struct {
        const char *name;
        size_t size_max;
        double bytes_max; /* for each element */
    } rows[] = {{"right", 19, 10}, {"left", 19, 10}, {"both in turn", 19, 11.5}};
    for (unsigned row = 0; row < 3; row++) {
        struct ordered_map *map = NULL;
        size_t size_max = 0;
        list_positions_init(&table, UINT64_C(0xFEDCBA9876543210));
        for (uint64_t i = 0; i < COUNT; i++) {
            size_t size = map_push(&map, (UINT64_C(1) << 48) + i, row == 0 || (row == 2 && i % 2));
            size_max = size > size_max ? size : size_max;
        }
        double bytes = (double)ordered_map_memory_bytes(map) / COUNT;
        printf("%s: positions of at most %zu bytes, %.2f bytes for each element\n", rows[row].name,
               size_max, bytes);
        assert_true(size_max <= rows[row].size_max);
        assert_true(bytes <= rows[row].bytes_max);
        ordered_map_free(&map, NULL, NULL);
    }
}

/* Queues, stacks and deques, by one replica that restarts now and then: positions stay short. */
static void pushes_and_pops(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "pushes_and_pops", 0);
    static const struct {
        const char *name;
        unsigned push_right, pop_right; /* percent of each at the right end */
    } rows[] = {{"queue", 100, 0},
                {"queue leftwards", 0, 100},
                {"stack", 100, 100},
                {"stack leftwards", 0, 0},
                {"deque", 50, 50}};
    for (unsigned row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        struct ordered_map *map = NULL;
        size_t size_max = 0;
        list_positions_init(&table, 77);
        uint64_t ticks = UINT64_C(1) << 48;
        for (unsigned i = 0; i < 300000; i++) {
            ticks += prng_below(&prng, 50) == 0 ? prng_below(&prng, 1 << 24) : 1;
            if (prng_below(&prng, 3000) == 0) {
                list_positions_init(&table, 77);
            }
            uint64_t count = ordered_map_count(map);
            /* The length goes up and down, and to nothing at times. */
            bool is_push = prng_below(&prng, 1000) < (i % 2000 < 1000 ? 600 : 400);
            if (is_push) {
                size_t size =
                    map_push(&map, ++ticks, prng_below(&prng, 100) < rows[row].push_right);
                size_max = size > size_max ? size : size_max;
            } else if (count > 0 && prng_below(&prng, 100) < rows[row].pop_right) {
                ordered_map_remove_last(&map, 1, NULL, NULL);
            } else {
                ordered_map_remove_first(&map, 1, NULL, NULL);
            }
        }
        printf("%s: positions of at most %zu bytes\n", rows[row].name, size_max);
        assert_true(size_max <= 15 + 6);
        ordered_map_free(&map, NULL, NULL);
    }
}

/* Names of a list whose elements are put anywhere, by one replica or by eight in turn. */
static void insertions_anywhere(void **state) {
    (void)state;
    for (unsigned replicas = 1; replicas <= 8; replicas += 7) {
        struct prng prng;
        seed_prng(&prng, "insertions_anywhere", replicas);
        struct ordered_map *map = NULL;
        size_t size_max = 0, size_sum = 0;
        enum { COUNT = 10000 };
        for (uint64_t i = 0; i < COUNT; i++) {
            /* Without the table of runs, too. */
            list_positions_init(&table, 1000 + i % replicas);
            struct ordered_map_cursor a, b;
            uint64_t rank = prng_below(&prng, i + 1);
            struct slice left = END, right = END;
            if (rank > 0 && ordered_map_at(map, rank - 1, &a)) {
                left = a.element.name;
            }
            if (ordered_map_at(map, rank, &b)) {
                right = b.element.name;
            }
            uint64_t ticks = (UINT64_C(1) << 48) + i * 1000;
            struct list_position position = position_make(ticks, left, right);
            struct ordered_map_element element = {.name = list_position_slice(&position),
                                                  .stamp = ticks << 10};
            bool is_inserted = ordered_map_insert(&map, &element);
            require(is_inserted);
            size_sum += position.size;
            size_max = position.size > size_max ? position.size : size_max;
        }
        ordered_map_check(map);
        printf("%u replicas: positions of %zu bytes on average, %zu at most\n", replicas,
               size_sum / COUNT, size_max);
        assert_true(size_sum / COUNT <= (replicas == 1 ? 80 : 180));
        assert_true(size_max <= (replicas == 1 ? 180 : 400));
        ordered_map_free(&map, NULL, NULL);
    }
}

/* Always between the last two: the worst there is, and where it ends. */
static void insertions_between_the_last_two(void **state) {
    (void)state;
    for (unsigned replicas = 1; replicas <= 2; replicas++) {
        uint64_t ticks = UINT64_C(1) << 48, count = 0;
        list_positions_init(&table, 5);
        struct list_position left = position_make(++ticks, END, END);
        struct list_position right = position_make(++ticks, list_position_slice(&left), END);
        for (;; count++) {
            list_positions_init(&table, 5 + count % replicas);
            ticks += 5000;
            struct list_position middle;
            enum list_position_status status =
                list_position_between(&table, ticks, list_position_slice(&left),
                                      list_position_slice(&right), false, &middle);
            if (status != LIST_POSITION_OK) {
                assert_int_equal(status, LIST_POSITION_TOO_LONG);
                break;
            }
            *(count / replicas % 2 == 0 ? &left : &right) = middle;
        }
        printf("%u replicas: too long after %u insertions\n", replicas, (unsigned)count);
        assert_true(count > 60);
        /* Elsewhere the list goes on. */
        (void)position_make(++ticks, list_position_slice(&right), END);
        (void)position_make(++ticks, END, list_position_slice(&left));
    }
}

/* Indexes of all sizes keep the order, in both directions. */
static void indexes_of_all_sizes(void **state) {
    (void)state;
    for (unsigned is_right = 0; is_right < 2; is_right++) {
        uint64_t ticks = 1;
        list_positions_init(&table, 1);
        struct list_position position = position_make(ticks, END, END);
        for (unsigned i = 0; ticks < STAMP_TICKS_MAX; i++) {
            /* First one after the other, then in leaps. */
            ticks += i < 20000 ? 1 : ticks / 50;
            ticks = ticks < STAMP_TICKS_MAX ? ticks : STAMP_TICKS_MAX;
            if (i >= 20000) {
                list_positions_init(&table, 1);
            }
            struct slice last = list_position_slice(&position);
            struct list_position next =
                position_make(ticks, is_right ? last : END, is_right ? END : last);
            assert_true(next.size <= 15 + 8);
            assert_memory_equal(next.bytes, position.bytes, 15); /* the same run */
            position = next;
        }
    }
}

/* A run says the positions that list_position_between() says, and leaves the table as that does. */
static void runs_go_on(void **state) {
    (void)state;
    static struct list_positions other;
    for (uint64_t first = 1; first < 40000; first = 2 * first + 7) {
        uint64_t ticks = first;
        list_positions_init(&table, 1);
        struct list_position position = position_make(ticks++, END, END);
        struct list_position_run run;
        uint64_t said = 0;
        for (unsigned i = 0; i < 300 + first; i++) {
            position = position_make(ticks++, list_position_slice(&position), END);
        }
        other = table;
        struct list_position begun = position;
        assert_true(list_position_run_begin(&run, &other, list_position_slice(&begun)));
        while (said < 10000 && list_position_run_has_next(&run)) {
            position = position_make(ticks++, list_position_slice(&position), END);
            assert_int_equal(run.position.size, position.size);
            assert_memory_equal(run.position.bytes, position.bytes, position.size);
            list_position_run_take(&run);
            assert_memory_equal(&other, &table, sizeof(table));
            said++;
        }
        assert_true(said > 0);
        /* One that is not the last of its run is none to go on from. */
        assert_false(list_position_run_begin(&run, &other, list_position_slice(&begun)));
    }
}

/* Bytes from outside: what is accepted has neighbours, whatever it says. */
static void bytes_from_outside(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "bytes_from_outside", 0);
    assert_false(list_position_is_valid(END));
    struct list_position pool[64];
    uint64_t ticks = UINT64_C(1) << 47;
    unsigned valid = 0;
    list_positions_init(&table, 0x0101010101010101);
    for (unsigned i = 0; i < 64; i++) {
        pool[i] = position_make(++ticks, END, END);
    }
    for (unsigned round = 0; round < 400000; round++) {
        struct list_position bytes = pool[prng_below(&prng, 64)];
        for (uint64_t i = prng_below(&prng, 4); i > 0; i--) {
            bytes.bytes[prng_below(&prng, bytes.size)] = (char)prng_next(&prng);
        }
        if (prng_below(&prng, 4) == 0 && bytes.size > 1) {
            bytes.size -= 1;
        } else if (prng_below(&prng, 4) == 0 && bytes.size < 900) {
            for (uint64_t i = prng_below(&prng, 20); i > 0; i--) {
                bytes.bytes[bytes.size++] = (char)prng_next(&prng);
            }
        }
        if (!list_position_is_valid(list_position_slice(&bytes))) {
            continue;
        }
        valid++;
        struct list_position *other = &pool[prng_below(&prng, 64)], made;
        struct slice a = list_position_slice(&bytes), b = list_position_slice(other);
        int order = slice_compare(a, b);
        if (order == 0) {
            continue;
        }
        struct slice left = order < 0 ? a : b, right = order < 0 ? b : a;
        switch (prng_below(&prng, 6)) {
        case 0:
            left = END;
            break;
        case 1:
            right = END;
            break;
        default:
            break;
        }
        if (list_position_between(&table, ++ticks, left, right, false, &made) == LIST_POSITION_OK) {
            struct slice name = list_position_slice(&made);
            require(list_position_is_valid(name));
            require(slice_compare(left, name) < 0);
            require(right.size == 0 || slice_compare(name, right) < 0);
            *other = prng_below(&prng, 2) == 0 ? made : bytes;
        }
        if (prng_below(&prng, 200) == 0) {
            *other = position_make(++ticks, END, END);
        }
    }
    printf("%u accepted\n", valid);
    assert_true(valid > 10000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indexes_of_all_sizes),  cmocka_unit_test(runs_go_on),
        cmocka_unit_test(bytes_from_outside),    cmocka_unit_test(all_short_histories),
        cmocka_unit_test(all_orders_of_scripts), cmocka_unit_test(random_histories),
        cmocka_unit_test(pushes_at_the_ends),    cmocka_unit_test(pushes_and_pops),
        cmocka_unit_test(insertions_anywhere),   cmocka_unit_test(insertions_between_the_last_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
