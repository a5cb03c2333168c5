/* SPDX-License-Identifier: BSD-3-Clause */
/* Who may stay: refusals by name, secrets, clocks, duplicates, and bytes that make no sense. A raw
 * peer (bytes written by the test) does what no mesh would do. */
#include "mesh_world.h"

static struct mesh_stats stats_of(const struct world_node *node) {
    struct mesh_stats stats;
    mesh_get_stats(node->mesh, &stats);
    return stats;
}

struct seen_node {
    const char *address;
    struct mesh_node_info info;
    unsigned count;
};

static void see_node(void *udata, const struct mesh_node_info *info) {
    struct seen_node *seen = udata;
    if (strcmp(info->address, seen->address) == 0) {
        seen->info = *info;
        seen->count++;
    }
}

static struct mesh_node_info info_of(const struct world_node *node, const char *address) {
    struct seen_node seen = {.address = address};
    mesh_visit_nodes(node->mesh, see_node, &seen);
    assert_int_equal(seen.count, 1);
    return seen.info;
}

/* The two are not linked, each or the other says why, once, and nothing has crossed. */
static void assert_refused(struct world *world, enum mesh_reason reason) {
    char text[64];
    unsigned said = 0;
    uint64_t counted = 0;
    for (unsigned i = 0; i < 2; i++) {
        world_write(&world->nodes[i], 1 + i, 5);
    }
    world_run_ms(world, 20000);
    for (unsigned i = 0; i < 2; i++) {
        struct world_node *node = &world->nodes[i];
        assert_int_equal(world_links_up(node), 0);
        assert_int_equal(node->changes_applied, 1);
        counted += stats_of(node).refused[reason];
        (void)snprintf(text, sizeof(text), "is refused: %s", mesh_reason_name(reason));
        said += world_said(node, text);
        assert_in_range(world_said(node, text), 0, 1);
        (void)snprintf(text, sizeof(text), "refuses this node: %s", mesh_reason_name(reason));
        said += world_said(node, text);
        assert_in_range(world_said(node, text), 0, 1);
        struct mesh_node_info info = info_of(node, world->nodes[1 - i].address);
        assert_int_equal(info.link, MESH_LINK_REFUSED);
        assert_int_equal(info.reason, reason);
    }
    assert_true(said >= 1);
    assert_true(counted > 4); /* many retries */
    assert_int_equal(world->frames_by_type[MESH_FRAME_DATA], 0);
}

static struct world *two_nodes(uint64_t seed) {
    return world_new(2, seed);
}

static void start_both(struct world *world) {
    world_start(world, 0);
    world_start(world, 1);
}

static void test_same_secret(void **state) {
    (void)state;
    struct world *world = world_new(3, 1);
    for (unsigned i = 0; i < 3; i++) {
        (void)snprintf(world->nodes[i].secret, 32, "open sesame");
        world_start(world, i);
    }
    assert_true(world_links(world, 5000));
    world_write(&world->nodes[0], 1, 1);
    assert_true(world_converges(world, 100));
    assert_int_equal(stats_of(&world->nodes[0]).refused[MESH_REASON_SECRET], 0);
    world_free(world);
}

static void test_other_secret(void **state) {
    (void)state;
    struct world *world = two_nodes(2);
    (void)snprintf(world->nodes[0].secret, 32, "open sesame");
    (void)snprintf(world->nodes[1].secret, 32, "open barley");
    start_both(world);
    assert_refused(world, MESH_REASON_SECRET);
    /* Nobody became a member, nothing but handshakes crossed. */
    assert_int_equal(world->nodes[0].mesh->membership.members_count, 1);
    assert_int_equal(world->frames_by_type[MESH_FRAME_CONTEXT], 0);
    world_free(world);
}

static void test_one_secret(void **state) {
    (void)state;
    struct world *world = two_nodes(3);
    (void)snprintf(world->nodes[1].secret, 32, "open sesame");
    start_both(world);
    assert_refused(world, MESH_REASON_SECRET);
    assert_int_equal(world->frames_by_type[MESH_FRAME_CONTEXT], 0);
    world_free(world);
}

static void test_other_cluster(void **state) {
    (void)state;
    struct world *world = two_nodes(4);
    (void)snprintf(world->nodes[1].cluster, 32, "herd");
    start_both(world);
    assert_refused(world, MESH_REASON_CLUSTER);
    /* The refusal is no longer shown once it is mended. */
    (void)snprintf(world->nodes[1].cluster, 32, "flock");
    world_settings(&world->nodes[1]);
    mesh_configure(world->nodes[1].mesh, &world->nodes[1].settings);
    assert_true(world_links(world, 8000));
    assert_int_equal(info_of(&world->nodes[0], world->nodes[1].address).link, MESH_LINK_UP);
    /* Both have settled what they wrote alone: one of them has to write it again. */
    world_run_ms(world, 1000);
    assert_int_equal(mesh_is_joining(world->nodes[0].mesh) + mesh_is_joining(world->nodes[1].mesh),
                     1);
    world_free(world);
}

static void test_other_databases(void **state) {
    (void)state;
    struct world *world = two_nodes(5);
    world->nodes[1].databases = 4;
    start_both(world);
    assert_refused(world, MESH_REASON_DATABASES);
    world_free(world);
}

static void test_other_clock(void **state) {
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        static const int64_t skews_ms[] = {300000, -300000, 7000, -7000};
        struct world *world = two_nodes(6 + i);
        world->nodes[1].clock_skew_ms = skews_ms[i];
        start_both(world);
        assert_refused(world, MESH_REASON_CLOCK);
        int64_t offset_ms = info_of(&world->nodes[0], world->nodes[1].address).clock_offset_ms;
        assert_in_range(offset_ms - skews_ms[i] + 100, 0, 200);
        /* And the other's clock did not follow. */
        assert_true(stamp_unix_ms(stamp_make(world->nodes[0].clock_ticks, 0)) <= world->unix_ms);
        world_free(world);
    }
}

/* Less than the drift, and a slow network, are no reason. */
static void test_slow_network_is_no_skew(void **state) {
    (void)state;
    struct world *world = two_nodes(11);
    world->delay_us = 1100000;
    world->nodes[1].clock_skew_ms = 4500;
    start_both(world);
    assert_true(world_links(world, 30000));
    world_run_ms(world, 20000);
    assert_int_equal(world_links_up(&world->nodes[0]), 1);
    assert_int_equal(stats_of(&world->nodes[0]).refused[MESH_REASON_CLOCK], 0);
    assert_int_equal(stats_of(&world->nodes[1]).refused[MESH_REASON_CLOCK], 0);
    world_free(world);
}

static void test_clock_steps(void **state) {
    (void)state;
    struct world *world = world_started(2, 12);
    assert_true(world_links(world, 3000));
    world->nodes[1].clock_skew_ms = 3600000;
    world_run_ms(world, 10000);
    assert_int_equal(world_links_up(&world->nodes[0]), 0);
    assert_int_equal(info_of(&world->nodes[0], world->nodes[1].address).reason, MESH_REASON_CLOCK);
    world->nodes[1].clock_skew_ms = 0;
    assert_true(world_links(world, 10000));
    world_free(world);
}

/* A record from the future is not applied, whoever brings it. */
static void test_record_from_future(void **state) {
    (void)state;
    struct world *world = world_started(2, 13);
    assert_true(world_links(world, 3000));
    world->nodes[0].clock_ticks = (uint64_t)(world->unix_ms - STAMP_EPOCH_MS + 60000)
                                  << STAMP_COUNTER_BITS;
    world_write(&world->nodes[0], 1, 1);
    world_run_ms(world, 100);
    assert_int_equal(world->nodes[1].changes_applied, 0);
    assert_true(stats_of(&world->nodes[1]).refused[MESH_REASON_CLOCK] > 0);
    /* Once that time has come it is taken. */
    assert_true(world_converges(world, 70000));
    world_free(world);
}

static void test_self(void **state) {
    (void)state;
    struct world *world = two_nodes(14);
    world->nodes[0].seeds[0] = world->nodes[0].address;
    world_start(world, 0);
    world_start(world, 1);
    assert_true(world_links(world, 5000));
    assert_true(stats_of(&world->nodes[0]).refused[MESH_REASON_SELF] > 0);
    assert_true(stats_of(&world->nodes[0]).refused[MESH_REASON_SELF] < 8);
    world_run_ms(world, 20000);
    assert_int_equal(world_links_up(&world->nodes[0]), 1);
    assert_int_equal(world->nodes[0].mesh->membership.members_count, 2);
    world_free(world);
}

/* Both dial at once, again and again: in the end one connection, and no unrest. */
static void test_duplicates(void **state) {
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        struct world *world = world_started(2 + round % 4, 20 + round);
        world->delay_us = 100 + round * 2000;
        assert_true(world_links(world, 10000));
        world_run_ms(world, 3000);
        uint64_t hellos = world->frames_by_type[MESH_FRAME_HELLO];
        world_run_ms(world, 10000);
        assert_int_equal(world->frames_by_type[MESH_FRAME_HELLO], hellos);
        for (unsigned i = 0; i < world->count; i++) {
            assert_int_equal(world->nodes[i].mesh->links_count, world->count - 1);
        }
        world_free(world);
    }
}

static void test_cut(void **state) {
    (void)state;
    struct world *world = world_started(3, 40);
    assert_true(world_links(world, 3000));
    mesh_cut(world->nodes[0].mesh, "ALL");
    world_run_ms(world, 8000);
    assert_int_equal(world_links_up(&world->nodes[0]), 0);
    assert_int_equal(world_links_up(&world->nodes[1]), 1);
    assert_int_equal(info_of(&world->nodes[0], world->nodes[1].address).link, MESH_LINK_CUT);
    assert_int_equal(info_of(&world->nodes[1], world->nodes[0].address).reason, MESH_REASON_CUT);
    mesh_heal(world->nodes[0].mesh, "ALL");
    assert_true(world_links(world, 8000));
    world_free(world);
}

static void test_meet(void **state) {
    (void)state;
    struct world *world = two_nodes(41);
    world->nodes[0].seeds_count = world->nodes[1].seeds_count = 0;
    start_both(world);
    world_run_ms(world, 2000);
    assert_int_equal(world_links_up(&world->nodes[0]), 0);
    mesh_meet(world->nodes[0].mesh, world->nodes[1].address);
    assert_true(world_links(world, 1000));
    /* Who came in is known by its address, and dialled when the link is lost. */
    world_reset(world, 0, 1);
    assert_true(world_links(world, 5000));
    world_free(world);
}

/* A third node is found through gossip alone. */
static void test_gossip_introduces(void **state) {
    (void)state;
    struct world *world = world_new(4, 42);
    for (unsigned i = 0; i < 4; i++) {
        world->nodes[i].seeds[0] = world->nodes[0].address;
        world->nodes[i].seeds_count = i > 0;
        world_start(world, i);
    }
    assert_true(world_links(world, 15000));
    world_free(world);
}

/* ---- a raw peer ---- */

struct raw {
    struct world *world;
    struct world_conn *conn;
    struct mesh_link *link;
    struct frame_reader in;
    bool is_closed;
};

static void raw_open(struct raw *raw, struct world *world) {
    *raw = (struct raw){.world = world};
    frame_reader_init(&raw->in, FRAME_PAYLOAD_BYTES_MAX);
    for (unsigned i = 0; i < WORLD_CONNS_MAX && raw->conn == NULL; i++) {
        raw->conn = world->conns[i].is_used ? NULL : &world->conns[i];
    }
    *raw->conn = (struct world_conn){.is_used = true, .is_open = true};
    raw->conn->ends[0] = (struct world_end){.conn = raw->conn, .node = &world->nodes[0]};
    raw->conn->ends[1] = (struct world_end){.conn = raw->conn, .node = &world->nodes[1]};
    raw->conn->ends[0].link =
        mesh_accept(world->nodes[0].mesh, &raw->conn->ends[0], "10.0.0.9:4711");
}

static bool raw_is_open(const struct raw *raw) {
    return raw->conn->is_used && raw->conn->ends[0].link != NULL;
}

static void raw_put(struct raw *raw, struct slice bytes) {
    if (raw_is_open(raw)) {
        pipe_put(raw->world, &raw->conn->ends[0], bytes.data, bytes.size);
    }
}

static void raw_send(struct raw *raw, enum mesh_frame type, struct slice payload) {
    struct buffer bytes = {0};
    struct frame_opts opts = {.max_frame_bytes = 1 << 20};
    (void)frame_put(&bytes, (uint8_t)type, payload, &opts);
    raw_put(raw, buffer_slice(&bytes));
    buffer_deinit(&bytes);
}

struct raw_hello {
    uint64_t major, databases, flags;
    const char *cluster;
    uint8_t node;
};

static void raw_hello(struct raw *raw, const struct raw_hello *opts) {
    struct buffer hello = {0};
    uint8_t nonce[MESH_NONCE_BYTES] = {1, 2, 3}, id[REPLICA_NODE_ID_BYTES] = {opts->node};
    buffer_append_slice(&hello, SLICE("STAR"));
    codec_put_varint(&hello, opts->major);
    codec_put_varint(&hello, 0);
    codec_put_slice(&hello, slice_of(opts->cluster));
    buffer_append(&hello, nonce, sizeof(nonce));
    buffer_append(&hello, id, sizeof(id));
    codec_put_varint(&hello, 7);
    codec_put_varint(&hello, (uint64_t)raw->world->unix_ms);
    codec_put_slice(&hello, SLICE("10.0.0.9:17001"));
    codec_put_varint(&hello, opts->databases);
    codec_put_u64(&hello, 1);
    codec_put_u64(&hello, 2);
    codec_put_slice(&hello, SLICE("9.9"));
    codec_put_varint(&hello, 1);
    codec_put_varint(&hello, 0);
    codec_put_varint(&hello, opts->flags);
    raw_send(raw, MESH_FRAME_HELLO, buffer_slice(&hello));
    buffer_deinit(&hello);
}

static struct world *one_node(uint64_t seed, const char *secret) {
    struct world *world = world_new(2, seed);
    world->nodes[0].seeds_count = 0;
    (void)snprintf(world->nodes[0].secret, 32, "%s", secret);
    world_start(world, 0);
    return world;
}

static const struct raw_hello good_hello = {
    .major = MESH_PROTOCOL_VERSION, .databases = 16, .cluster = "flock", .node = 0x77};

static void test_version(void **state) {
    (void)state;
    struct world *world = one_node(50, "");
    struct raw raw;
    struct raw_hello hello = good_hello;
    hello.major = MESH_PROTOCOL_VERSION + 1;
    for (unsigned i = 0; i < 3; i++) {
        raw_open(&raw, world);
        raw_hello(&raw, &hello);
        world_run_ms(world, 50);
        assert_false(raw_is_open(&raw));
    }
    assert_int_equal(stats_of(&world->nodes[0]).refused[MESH_REASON_VERSION], 3);
    assert_int_equal(world_said(&world->nodes[0], "version"), 1);
    assert_int_equal(info_of(&world->nodes[0], "10.0.0.9").reason, MESH_REASON_VERSION);
    world_free(world);
}

/* The host may refuse, too, before a byte was read: named, shown, told once for each reason however
 * often it changes, and told to the other side if it understands. */
static void test_refused_by_host(void **state) {
    (void)state;
    struct world *world = one_node(53, "");
    struct world_node *node = &world->nodes[0];
    struct raw raw;
    for (unsigned i = 0; i < 6; i++) {
        bool is_odd = i % 2 == 1;
        raw_open(&raw, world);
        mesh_link_refused(raw.conn->ends[0].link,
                          is_odd ? MESH_REASON_TLS : MESH_REASON_CERTIFICATE,
                          is_odd ? "it speaks no TLS" : "unknown ca (CN=x)", false, is_odd);
        assert_false(raw_is_open(&raw));
        assert_int_equal(stats_of(node).frames_out, (i + 1) / 2);
        world_run_ms(world, 50);
    }
    assert_int_equal(stats_of(node).refused[MESH_REASON_TLS], 3);
    assert_int_equal(stats_of(node).refused[MESH_REASON_CERTIFICATE], 3);
    assert_int_equal(world_said(node, "10.0.0.9 is refused: tls: it speaks no TLS"), 1);
    assert_int_equal(world_said(node, "10.0.0.9 is refused: certificate: unknown ca (CN=x)"), 1);
    assert_int_equal(info_of(node, "10.0.0.9").reason, MESH_REASON_TLS);
    assert_int_equal(info_of(node, "10.0.0.9").link, MESH_LINK_REFUSED);
    /* Other words for it are news, but not at once. */
    for (unsigned i = 0; i < 3; i++) {
        raw_open(&raw, world);
        mesh_link_refused(raw.conn->ends[0].link, MESH_REASON_TLS, "no common version", true,
                          false);
        assert_int_equal(world_said(node, "10.0.0.9 refuses this node: tls: no common version"),
                         i > 0);
        world_run_ms(world, 61000);
    }
    assert_int_equal(stats_of(node).refused[MESH_REASON_TLS], 6);
    world_free(world);
}

/* Nothing but the handshake's frames is taken before it is through. */
static void test_nothing_before_proof(void **state) {
    (void)state;
    for (unsigned type = 0; type < 32; type++) {
        struct world *world = one_node(51, "open sesame");
        struct raw raw;
        struct raw_hello hello = good_hello;
        hello.flags = 1;
        raw_open(&raw, world);
        raw_hello(&raw, &hello);
        world_run_ms(world, 20);
        assert_true(raw_is_open(&raw));
        raw_send(&raw, (enum mesh_frame)type, SLICE("\0\0\0\0\0\0\0\0"));
        world_run_ms(world, 20);
        assert_false(raw_is_open(&raw));
        assert_int_equal(world->nodes[0].mesh->membership.members_count, 1);
        assert_int_equal(world->nodes[0].replicas.slots_count, 2);
        world_free(world);
    }
}

/* The node's own proof, sent back, proves nothing; and it is not given before the dialler's. */
static void test_no_reflection(void **state) {
    (void)state;
    struct world *world = one_node(52, "open sesame");
    struct raw raw;
    struct raw_hello hello = good_hello;
    hello.flags = 1;
    raw_open(&raw, world);
    raw_hello(&raw, &hello);
    world_run_ms(world, 50);
    assert_true(raw_is_open(&raw));
    assert_int_equal(world->frames_by_type[MESH_FRAME_AUTH], 0);
    char proof[32] = {0};
    raw_send(&raw, MESH_FRAME_AUTH, slice_make(proof, sizeof(proof)));
    world_run_ms(world, 50);
    assert_false(raw_is_open(&raw));
    assert_int_equal(stats_of(&world->nodes[0]).refused[MESH_REASON_SECRET], 1);
    assert_int_equal(world->frames_by_type[MESH_FRAME_AUTH], 0);
    world_free(world);
}

static void test_garbage(void **state) {
    (void)state;
    struct world *world = world_started(2, 53);
    assert_true(world_links(world, 3000));
    struct prng prng;
    seed_prng(&prng, "garbage", 1);
    for (unsigned i = 0; i < 200; i++) {
        struct raw raw;
        char bytes[600];
        raw_open(&raw, world);
        if (i % 3 == 1) {
            raw_hello(&raw, &good_hello);
            world_run_ms(world, 10);
        }
        for (size_t n = 0; n < sizeof(bytes); n++) {
            bytes[n] = (char)prng_next(&prng);
        }
        if (i % 3 == 2) {
            raw_send(&raw, (enum mesh_frame)prng_below(&prng, 24),
                     slice_make(bytes, prng_below(&prng, sizeof(bytes))));
        } else {
            raw_put(&raw, slice_make(bytes, sizeof(bytes)));
        }
        world_run_ms(world, 20);
        if (raw_is_open(&raw)) {
            end_lost(&raw.conn->ends[0]);
            conn_reap(raw.conn);
        }
    }
    /* The link of the others has not noticed. */
    assert_int_equal(world_links_up(&world->nodes[0]), 1);
    world_write(&world->nodes[0], 1, 1);
    assert_true(world_converges(world, 100));
    world_free(world);
}

/* Who connects and says nothing, or not all, is sent away. */
static void test_silence(void **state) {
    (void)state;
    struct world *world = one_node(54, "");
    struct raw silent, half;
    raw_open(&silent, world);
    raw_open(&half, world);
    raw_hello(&half, &good_hello);
    world_run_ms(world, MESH_HANDSHAKE_MS - 500);
    assert_true(raw_is_open(&silent));
    assert_true(raw_is_open(&half));
    world_run_ms(world, 1000);
    assert_false(raw_is_open(&silent));
    assert_false(raw_is_open(&half));
    assert_int_equal(world->nodes[0].mesh->links_count, 0);
    world_free(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_secret),
        cmocka_unit_test(test_other_secret),
        cmocka_unit_test(test_one_secret),
        cmocka_unit_test(test_other_cluster),
        cmocka_unit_test(test_other_databases),
        cmocka_unit_test(test_other_clock),
        cmocka_unit_test(test_slow_network_is_no_skew),
        cmocka_unit_test(test_clock_steps),
        cmocka_unit_test(test_record_from_future),
        cmocka_unit_test(test_self),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_meet),
        cmocka_unit_test(test_gossip_introduces),
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_refused_by_host),
        cmocka_unit_test(test_nothing_before_proof),
        cmocka_unit_test(test_no_reflection),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
