/* SPDX-License-Identifier: BSD-3-Clause */
/* TLS: what is said about files that cannot be used, and files that change; connections that get
 * through their handshake, carry every byte whatever the sizes of reads and sends, and end by name
 * when the other side is not to be trusted or makes no sense. */
#include "tls_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/prng.h"
#include "platform/network.h"

enum { PORT_FIRST = 7360, PORT_LAST = 7379, DAY = 86400, BULK_BYTES = 3 << 20 };

static struct identity authority, other_authority;

static int setup_files(void **state) {
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    fixture_begin();
    authority = identity_new("authority", NULL, DAY);
    other_authority = identity_new("other", NULL, DAY);
    identity_write(&authority, "ca", NULL);
    identity_write(&other_authority, "other-ca", NULL);
    struct identity made[] = {
        identity_new("node-a", &authority, DAY), identity_new("node-b", &authority, DAY),
        identity_new("stranger", &other_authority, DAY), identity_new("ended", &authority, -60)};
    static const char *const names[] = {"a", "b", "stranger", "ended"};
    for (size_t i = 0; i < 4; i++) {
        identity_write(&made[i], names[i], NULL);
        identity_free(&made[i]);
    }
    struct identity locked = identity_new("locked", &authority, DAY);
    identity_write(&locked, "locked", "sesame");
    identity_free(&locked);
    return 0;
}

static int teardown_files(void **state) {
    (void)state;
    identity_free(&authority);
    identity_free(&other_authority);
    fixture_end();
    return 0;
}

/* Paths of name.crt and name.key, and the authority; they live until the next few. */
static struct tls_opts opts_of(const char *name, const char *ca) {
    static char texts[16][128];
    static unsigned next;
    struct tls_opts opts = {0};
    for (size_t i = 0; i < TLS_PARTS_COUNT; i++) {
        opts.texts[i] = "";
    }
    char *cert = texts[next++ % 16], *key = texts[next++ % 16], *trusted = texts[next++ % 16];
    (void)snprintf(cert, 128, "%s/%s.crt", fixture_directory, name);
    (void)snprintf(key, 128, "%s/%s.key", fixture_directory, name);
    (void)snprintf(trusted, 128, "%s/%s.crt", fixture_directory, ca);
    opts.texts[TLS_CERT_FILE] = cert;
    opts.texts[TLS_KEY_FILE] = key;
    opts.texts[TLS_CA_CERT_FILE] = trusted;
    return opts;
}

static struct tls *tls_of(const char *name, const char *ca) {
    struct tls *tls = tls_new();
    struct tls_opts opts = opts_of(name, ca);
    struct buffer error = {0};
    enum tls_part part;
    if (!tls_load(tls, &opts, &error, &part)) {
        fail_msg("%s", buffer_text(&error));
    }
    assert_true(tls_is_loaded(tls, &opts));
    return tls;
}

/* ---- files ---- */

static void assert_bad(struct tls *tls, const struct tls_opts *opts, enum tls_part guilty,
                       const char *words) {
    struct buffer error = {0};
    enum tls_part part = TLS_PARTS_COUNT;
    assert_false(tls_load(tls, opts, &error, &part));
    if (part != guilty || strstr(buffer_text(&error), words) == NULL) {
        fail_msg("part %d says: %s", (int)part, buffer_text(&error));
    }
    assert_false(tls_is_loaded(tls, opts));
    buffer_deinit(&error);
}

static void test_bad_files(void **state) {
    (void)state;
    struct tls *tls = tls_new();
    struct tls_opts opts = opts_of("a", "ca");
    opts.texts[TLS_CERT_FILE] = "";
    assert_bad(tls, &opts, TLS_CERT_FILE, "needs a certificate");
    opts = opts_of("a", "ca");
    opts.texts[TLS_KEY_FILE] = "";
    assert_bad(tls, &opts, TLS_KEY_FILE, "needs a certificate");
    opts = opts_of("a", "ca");
    opts.texts[TLS_CA_CERT_FILE] = "";
    assert_bad(tls, &opts, TLS_CA_CERT_FILE, "authority");
    opts = opts_of("absent", "ca");
    assert_bad(tls, &opts, TLS_CERT_FILE, "absent.crt: No such file");
    opts = opts_of("a", "absent");
    assert_bad(tls, &opts, TLS_CA_CERT_FILE, "absent.crt: No such file");
    opts = opts_of("a", "ca");
    opts.texts[TLS_KEY_FILE] = opts_of("b", "ca").texts[TLS_KEY_FILE];
    assert_bad(tls, &opts, TLS_KEY_FILE, "b.key: it holds no key of the certificate");
    opts.texts[TLS_KEY_FILE] = fixture_directory;
    assert_bad(tls, &opts, TLS_KEY_FILE, "not a file");
    opts = opts_of("a", "ca");
    opts.texts[TLS_CA_CERT_DIR] = opts.texts[TLS_CA_CERT_FILE];
    assert_bad(tls, &opts, TLS_CA_CERT_DIR, "not a directory");
    /* A key is no certificate, a certificate no key. */
    opts = opts_of("a", "ca");
    opts.texts[TLS_CERT_FILE] = opts.texts[TLS_KEY_FILE];
    assert_bad(tls, &opts, TLS_CERT_FILE, "a.key: it holds no usable certificate");
    opts = opts_of("a", "ca");
    opts.texts[TLS_KEY_FILE] = opts.texts[TLS_CERT_FILE];
    assert_bad(tls, &opts, TLS_KEY_FILE, "a.crt: it holds no key of the certificate");
    /* The client's identity is checked as well. */
    opts = opts_of("a", "ca");
    opts.texts[TLS_CLIENT_CERT_FILE] = opts_of("b", "ca").texts[TLS_CERT_FILE];
    assert_bad(tls, &opts, TLS_CLIENT_KEY_FILE, "needs a certificate");
    assert_int_equal(tls_ends_unix_seconds(tls), 0);
    assert_null(tls_session_new(tls, 0, TLS_DIALLER));
    /* No authority is needed by whoever checks nobody. */
    opts = opts_of("a", "ca");
    opts.texts[TLS_CA_CERT_FILE] = "";
    opts.needs_no_authority = true;
    struct buffer error = {0};
    enum tls_part part;
    assert_true(tls_load(tls, &opts, &error, &part));
    opts.needs_no_authority = false;
    assert_bad(tls, &opts, TLS_CA_CERT_FILE, "authority");
    tls_free(tls);
}

static void test_bad_rules(void **state) {
    (void)state;
    struct tls *tls = tls_new();
    struct buffer error = {0};
    enum tls_part part;
    static const char *const good[] = {"TLSv1.2", "TLSv1.3", "TLSv1.2 TLSv1.3", "tlsv1.3 tlsv1.2",
                                       " TLSv1.3 "};
    static const char *const bad[] = {"TLSv1", "TLSv1.1 TLSv1.2", "SSLv3", "TLSv1.2.", " "};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct tls_opts opts = opts_of("a", "ca");
        opts.texts[TLS_PROTOCOLS] = good[i];
        assert_true(tls_load(tls, &opts, &error, &part));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct tls_opts opts = opts_of("a", "ca");
        opts.texts[TLS_PROTOCOLS] = bad[i];
        assert_bad(tls, &opts, TLS_PROTOCOLS, "TLSv1.2 and TLSv1.3");
    }
    struct tls_opts opts = opts_of("a", "ca");
    opts.texts[TLS_CIPHERS] = "NONE-SUCH";
    assert_bad(tls, &opts, TLS_CIPHERS, "cipher");
    opts.texts[TLS_CIPHERS] = "ECDHE-ECDSA-AES128-GCM-SHA256";
    opts.texts[TLS_CIPHERSUITES] = "NONE-SUCH";
    assert_bad(tls, &opts, TLS_CIPHERSUITES, "cipher");
    /* What was loaded before is still there. */
    assert_true(tls_ends_unix_seconds(tls) > 0);
    tls_free(tls);
    buffer_deinit(&error);
}

static void test_pass_phrase(void **state) {
    (void)state;
    struct tls *tls = tls_new();
    struct buffer error = {0};
    enum tls_part part;
    struct tls_opts opts = opts_of("locked", "ca");
    assert_bad(tls, &opts, TLS_KEY_FILE_PASS, "locked.key: the key needs a pass phrase");
    opts.texts[TLS_KEY_FILE_PASS] = "barley";
    assert_bad(tls, &opts, TLS_KEY_FILE_PASS, "locked.key: the pass phrase does not fit");
    opts.texts[TLS_KEY_FILE_PASS] = "sesame";
    assert_true(tls_load(tls, &opts, &error, &part));
    tls_free(tls);
}

static void replace(const char *name, const struct identity *identity) {
    identity_write(identity, name, NULL);
}

static void assert_look(struct tls *tls, enum tls_look expected) {
    struct buffer error = {0};
    assert_int_equal(tls_look(tls, &error), TLS_LOOK_SAME);
    enum tls_look look = tls_look(tls, &error);
    if (look != expected) {
        fail_msg("look %d: %s", (int)look, buffer_text(&error));
    }
    assert_int_equal(error.size > 0, expected == TLS_LOOK_BAD);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tls_look(tls, &error), TLS_LOOK_SAME);
    }
    buffer_deinit(&error);
}

static void test_files_change(void **state) {
    (void)state;
    struct identity first = identity_new("first", &authority, DAY);
    struct identity second = identity_new("second", &authority, 2 * DAY);
    replace("changing", &first);
    struct tls *tls = tls_of("changing", "ca");
    int64_t ends = tls_ends_unix_seconds(tls);
    assert_look(tls, TLS_LOOK_SAME);
    replace("changing", &second);
    assert_look(tls, TLS_LOOK_LOADED);
    assert_in_range(tls_ends_unix_seconds(tls) - ends, DAY - 60, DAY + 60);
    /* A file that is still being written is left alone until it rests. */
    struct buffer error = {0};
    for (int i = 0; i < 5; i++) {
        FILE *file = fopen(fixture_path("changing.crt"), i == 0 ? "w" : "a");
        assert_non_null(file);
        (void)fputs("half a certificate\n", file);
        (void)fclose(file);
        assert_int_equal(tls_look(tls, &error), TLS_LOOK_SAME);
    }
    assert_int_equal(tls_look(tls, &error), TLS_LOOK_BAD);
    assert_non_null(strstr(buffer_text(&error), "changing.crt: "));
    assert_int_equal(tls_look(tls, &error), TLS_LOOK_SAME);
    assert_true(tls_ends_unix_seconds(tls) > ends);
    assert_int_equal(unlink(fixture_path("changing.crt")), 0);
    assert_look(tls, TLS_LOOK_BAD);
    replace("changing", &first);
    assert_look(tls, TLS_LOOK_LOADED);
    assert_in_range(tls_ends_unix_seconds(tls), ends - 60, ends + 60);
    tls_free(tls);
    identity_free(&first);
    identity_free(&second);
    buffer_deinit(&error);
}

/* ---- connections ---- */

struct side {
    struct connection *connection;
    struct buffer got;
    size_t room; /* of one read; 0: nothing is read */
    const char *out;
    size_t out_bytes, sent;
    const size_t *cuts; /* sent in pieces that end there; NULL: as one */
    size_t cuts_count;
    size_t tried_end;
    unsigned tries, shorts; /* of these, the ones of which not all was taken */
    int failure;            /* -1: not decided */
    bool is_closed;
    struct tls_failure why;
};

struct scene {
    struct network *network;
    struct connection_handlers acceptors, diallers;
    struct listener *listener;
    int port;
    struct tls *tls[2]; /* of the dialler, of the acceptor */
    struct side sides[2];
    unsigned rejected_count, accepted_count;
    int rejected_failure;
};

static void side_close(struct side *side) {
    const struct tls_failure *why = connection_failure(side->connection);
    if (why != NULL) {
        side->why = *why;
    }
    connection_close(side->connection);
    side->connection = NULL;
    side->is_closed = true;
}

/* Sends of the pieces that are left, from memory that is another each time: an outbox moves what it
 * was given, and has more of it at the next try. `*size` becomes what was tried. */
static int64_t send_pieces(struct side *side, size_t *size) {
    struct slice pieces[CONNECTION_PIECES_MAX] = {{0}};
    char *copies[CONNECTION_PIECES_MAX] = {0};
    size_t count = 0, at = side->sent, pieces_max = 1 + side->tries++ % CONNECTION_PIECES_MAX;
    for (size_t i = 0; i < side->cuts_count; i++) {
        if (count >= pieces_max && at >= side->tried_end) {
            break;
        }
        if (side->cuts[i] > at) {
            assert_true(count < CONNECTION_PIECES_MAX);
            size_t bytes = side->cuts[i] - at;
            copies[count] = memory_alloc(bytes);
            memcpy(copies[count], side->out + at, bytes);
            pieces[count] = slice_make(copies[count], bytes);
            count++;
            at = side->cuts[i];
        }
    }
    *size = at - side->sent;
    side->tried_end = at; /* never less than what was tried before */
    int64_t sent = connection_send_pieces(side->connection, pieces, count);
    side->shorts += sent < (int64_t)*size;
    for (size_t i = 0; i < count; i++) {
        memset(copies[i], 0, pieces[i].size);
        memory_free(copies[i]);
    }
    return sent;
}

static void side_send(struct side *side) {
    if (side->connection == NULL) {
        return;
    }
    while (side->sent < side->out_bytes) {
        size_t tried = side->out_bytes - side->sent;
        int64_t sent = side->cuts != NULL
                           ? send_pieces(side, &tried)
                           : connection_send(side->connection, side->out + side->sent, tried);
        if (sent == CONNECTION_CLOSED) {
            side_close(side);
            return;
        }
        side->sent += sent > 0 ? (size_t)sent : 0;
        if (sent == CONNECTION_AGAIN || (size_t)sent < tried) {
            connection_watch_writable(side->connection, true);
            return;
        }
    }
    connection_watch_writable(side->connection, false);
}

static void on_readable(void *udata, struct connection *connection, void *owner) {
    struct side *side = owner;
    (void)udata;
    char *at = buffer_reserve(&side->got, side->room);
    int64_t size = connection_read(connection, at, side->room);
    if (size == CONNECTION_CLOSED) {
        side_close(side);
    } else if (size > 0) {
        side->got.size += (size_t)size;
    }
}

static void on_writable(void *udata, struct connection *connection, void *owner) {
    (void)udata;
    (void)connection;
    side_send(owner);
}

static void on_accepted(void *udata, struct connection *connection) {
    struct scene *scene = udata;
    struct side *side = &scene->sides[1];
    if (scene->accepted_count++ > 0) {
        connection_close(connection);
        return;
    }
    side->connection = connection;
    side->failure = 0;
    connection_set_owner(connection, side);
    side_send(side);
}

static void on_rejected(void *udata, struct connection *connection, int failure) {
    struct scene *scene = udata;
    scene->sides[1].connection = connection;
    scene->rejected_count++;
    scene->rejected_failure = failure;
    side_close(&scene->sides[1]);
}

static void on_connected(void *udata, struct connection *connection, void *owner, int failure) {
    struct side *side = owner;
    (void)udata;
    (void)connection;
    side->failure = failure;
    if (failure != 0) {
        side_close(side);
    } else {
        side_send(side);
    }
}

static struct scene *scene_new(const char *dialler, const char *dialler_ca, const char *acceptor,
                               const char *acceptor_ca) {
    struct scene *scene = memory_alloc_zero(sizeof(*scene));
    scene->network = network_new();
    scene->acceptors = (struct connection_handlers){.udata = scene,
                                                    .accepted = on_accepted,
                                                    .rejected = on_rejected,
                                                    .readable = on_readable,
                                                    .writable = on_writable};
    scene->diallers = (struct connection_handlers){.udata = scene,
                                                   .connected = on_connected,
                                                   .readable = on_readable,
                                                   .writable = on_writable};
    scene->tls[0] = dialler != NULL ? tls_of(dialler, dialler_ca) : NULL;
    scene->tls[1] = tls_of(acceptor, acceptor_ca);
    char error[128] = "";
    for (scene->port = PORT_FIRST; scene->listener == NULL && scene->port < PORT_LAST;
         scene->port++) {
        struct listener_opts opts = {.handlers = &scene->acceptors,
                                     .address = "127.0.0.1",
                                     .port = scene->port,
                                     .backlog = 200,
                                     .tls = scene->tls[1],
                                     .tls_role = TLS_ACCEPTOR};
        scene->listener = network_listen(scene->network, &opts, error, sizeof(error), NULL);
    }
    scene->port--;
    assert_non_null(scene->listener);
    for (int i = 0; i < 2; i++) {
        scene->sides[i].failure = -1;
        scene->sides[i].room = 16384;
    }
    return scene;
}

static void scene_free(struct scene *scene) {
    for (int i = 0; i < 2; i++) {
        if (scene->sides[i].connection != NULL) {
            connection_close(scene->sides[i].connection);
        }
        buffer_deinit(&scene->sides[i].got);
    }
    listener_free(scene->listener);
    network_free(scene->network);
    for (int i = 0; i < 2; i++) {
        if (scene->tls[i] != NULL) {
            tls_free(scene->tls[i]);
        }
    }
    memory_free(scene);
}

static void scene_dial(struct scene *scene) {
    char address[32];
    int failure = 0;
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", scene->port);
    struct connect_opts opts = {.handlers = &scene->diallers,
                                .address = address,
                                .owner = &scene->sides[0],
                                .tls = scene->tls[0]};
    scene->sides[0].connection = network_connect(scene->network, &opts, &failure);
    assert_non_null(scene->sides[0].connection);
}

/* Turns until `condition` holds. */
#define WAIT(scene, condition)                                                                     \
    do {                                                                                           \
        for (int turns = 0; turns < 20000 && !(condition); turns++) {                              \
            network_wait((scene)->network, 1000);                                                  \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

static void test_carries_bytes(void **state) {
    (void)state;
    /* The rooms: less than a record, odd ones, more than a record. */
    static const size_t rooms[] = {512, 16384, 16385, 1 << 20};
    char *bytes = memory_alloc(BULK_BYTES);
    for (size_t i = 0; i < BULK_BYTES; i++) {
        bytes[i] = (char)((i * 2654435761U) >> 13);
    }
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        struct scene *scene = scene_new("a", "ca", "b", "ca");
        for (int j = 0; j < 2; j++) {
            scene->sides[j].out = bytes;
            scene->sides[j].out_bytes = BULK_BYTES - (size_t)j * 777;
            scene->sides[j].room = rooms[i];
        }
        scene_dial(scene);
        for (int j = 0; j < 2; j++) {
            WAIT(scene, scene->sides[j].got.size == BULK_BYTES - (size_t)(1 - j) * 777);
            assert_memory_equal(scene->sides[j].got.data, bytes, scene->sides[j].got.size);
            assert_true(connection_is_encrypted(scene->sides[j].connection));
        }
        /* What lies in the session counts: reading that stopped goes on without a further byte. */
        struct side *reader = &scene->sides[1], *writer = &scene->sides[0];
        connection_watch_readable(reader->connection, false);
        buffer_clear(&reader->got);
        reader->room = 100;
        writer->sent = writer->out_bytes - 10000;
        side_send(writer);
        for (int turn = 0; turn < 5; turn++) {
            network_wait(scene->network, 1000);
        }
        assert_int_equal(reader->got.size, 0);
        connection_watch_readable(reader->connection, true);
        WAIT(scene, reader->got.size >= 100);
        connection_watch_readable(reader->connection, false);
        size_t before = reader->got.size;
        network_wait(scene->network, 1000);
        assert_int_equal(reader->got.size, before);
        connection_watch_readable(reader->connection, true);
        WAIT(scene, reader->got.size == 10000);
        /* An end in order. */
        connection_close(writer->connection);
        writer->connection = NULL;
        WAIT(scene, reader->is_closed);
        assert_int_equal(reader->why.fault, TLS_FAULT_CLOSED);
        scene_free(scene);
    }
    memory_free(bytes);
}

/* Pieces of all sizes come out as they went in, also when the socket takes a part of what is tried:
 * the reader pauses until it is full. */
static void test_carries_pieces(void **state) {
    (void)state;
    enum { BYTES = 16 << 20, RECORD_BYTES = 16 << 10, ROUNDS = 6 };
    static const uint64_t most[] = {10, 1000, RECORD_BYTES, RECORD_BYTES + 10, 300000};
    char *bytes = memory_alloc(BYTES);
    struct buffer cuts = {0};
    struct prng prng;
    prng_init(&prng, 7);
    for (size_t i = 0; i < BYTES; i++) {
        bytes[i] = (char)((i * 2654435761U) >> 13);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        bool is_plain = round % 2 != 0;
        struct scene *scene = scene_new(is_plain ? NULL : "a", "ca", "b", "ca");
        struct side *writer = &scene->sides[0], *reader = &scene->sides[1];
        if (is_plain) {
            listener_set_tls(scene->listener, NULL, TLS_ACCEPTOR);
        }
        buffer_clear(&cuts);
        for (size_t at = 0; at < BYTES;) {
            at += 1 + (size_t)prng_below(&prng, most[prng_below(&prng, 5)]);
            at = at < BYTES ? at : BYTES;
            buffer_append(&cuts, &at, sizeof(at));
        }
        writer->out = bytes;
        writer->out_bytes = BYTES;
        writer->cuts = (const size_t *)(const void *)cuts.data;
        writer->cuts_count = cuts.size / sizeof(size_t);
        reader->room = 100000;
        scene_dial(scene);
        while (reader->got.size < BYTES) {
            size_t before = writer->sent;
            WAIT(scene,
                 reader->got.size == BYTES || reader->got.size > before || writer->is_closed);
            connection_watch_readable(reader->connection, false);
            do {
                before = writer->sent;
                network_wait(scene->network, 1000);
                assert_false(writer->is_closed);
            } while (writer->sent > before);
            connection_watch_readable(reader->connection, true);
        }
        assert_memory_equal(reader->got.data, bytes, BYTES);
        assert_true(writer->shorts > 3);
        scene_free(scene);
    }
    buffer_deinit(&cuts);
    memory_free(bytes);
}

/* Both sides say why, whoever finds the fault. */
static void assert_refused(struct scene *scene, const char *words) {
    scene->sides[0].out = "hello";
    scene->sides[0].out_bytes = 5;
    scene_dial(scene);
    WAIT(scene, scene->sides[0].is_closed && scene->rejected_count == 1);
    assert_int_equal(scene->accepted_count, 0);
    assert_int_equal(scene->rejected_failure, EPROTO);
    bool is_named = false;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(scene->sides[i].why.fault, TLS_FAULT_CERTIFICATE);
        is_named = is_named || strstr(scene->sides[i].why.text, words) != NULL;
    }
    assert_true(is_named);
    assert_true(scene->sides[0].why.is_by_peer != scene->sides[1].why.is_by_peer);
    assert_int_equal(scene->sides[1].got.size, 0);
    scene_free(scene);
}

static void test_certificates(void **state) {
    (void)state;
    assert_refused(scene_new("stranger", "ca", "b", "ca"), "(/CN=stranger)");
    assert_refused(scene_new("a", "ca", "stranger", "ca"), "(/CN=stranger)");
    assert_refused(scene_new("a", "other-ca", "b", "ca"), "(/CN=node-b)");
    assert_refused(scene_new("ended", "ca", "b", "ca"), "certificate has expired (/CN=ended)");
    assert_refused(scene_new("a", "ca", "ended", "ca"), "certificate has expired (/CN=ended)");
}

static void test_other_versions(void **state) {
    (void)state;
    struct scene *scene = scene_new("a", "ca", "b", "ca");
    struct buffer error = {0};
    enum tls_part part;
    for (int i = 0; i < 2; i++) {
        struct tls_opts opts = opts_of(i == 0 ? "a" : "b", "ca");
        opts.texts[TLS_PROTOCOLS] = i == 0 ? "TLSv1.2" : "TLSv1.3";
        assert_true(tls_load(scene->tls[i], &opts, &error, &part));
    }
    scene_dial(scene);
    WAIT(scene, scene->sides[0].is_closed && scene->rejected_count == 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(scene->sides[i].why.fault, TLS_FAULT_PROTOCOL);
        assert_non_null(strstr(scene->sides[i].why.text, "protocol"));
    }
    scene_free(scene);
}

static void test_plain_dialler(void **state) {
    (void)state;
    struct scene *scene = scene_new(NULL, NULL, "b", "ca");
    scene->sides[0].out = "PING\r\n";
    scene->sides[0].out_bytes = 6;
    scene_dial(scene);
    WAIT(scene, scene->rejected_count == 1);
    assert_int_equal(scene->rejected_failure, EPROTO);
    assert_int_equal(scene->sides[1].why.fault, TLS_FAULT_NOT_TLS);
    WAIT(scene, scene->sides[0].is_closed);
    scene_free(scene);
}

/* An acceptor that answers in plain is told from one that closes. */
static void test_plain_acceptor(void **state) {
    (void)state;
    struct scene *scene = scene_new("a", "ca", "b", "ca");
    listener_set_tls(scene->listener, NULL, TLS_ACCEPTOR);
    scene->sides[1].out = "-ERR what\r\n";
    scene->sides[1].out_bytes = 11;
    scene_dial(scene);
    WAIT(scene, scene->sides[0].is_closed);
    assert_int_equal(scene->sides[0].failure, EPROTO);
    assert_int_equal(scene->sides[0].why.fault, TLS_FAULT_NOT_TLS);
    scene_free(scene);
}

/* Bytes of somebody in between end the connection, and no more. */
static void test_garbage(void **state) {
    (void)state;
    struct scene *scene = scene_new("a", "ca", "b", "ca");
    scene_dial(scene);
    WAIT(scene, scene->sides[0].failure == 0 && scene->sides[1].failure == 0);
    static const char GARBAGE[] = "\x17\x03\x03\x00\x20 these are no bytes of the session....";
    assert_true(send(connection_descriptor(scene->sides[0].connection), GARBAGE,
                     sizeof(GARBAGE) - 1, 0) > 0);
    WAIT(scene, scene->sides[1].is_closed);
    assert_int_equal(scene->sides[1].why.fault, TLS_FAULT_PROTOCOL);
    assert_int_equal(scene->sides[1].got.size, 0);
    WAIT(scene, scene->sides[0].is_closed);
    assert_true(scene->sides[0].why.is_by_peer);
    scene_free(scene);
}

static int connect_raw(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(descriptor >= 0);
    assert_int_equal(connect(descriptor, (struct sockaddr *)&address, sizeof(address)), 0);
    return descriptor;
}

/* Those that connect and say nothing are bounded in number, and leave with the listener. */
static void test_too_many_handshakes(void **state) {
    (void)state;
    struct scene *scene = scene_new("a", "ca", "b", "ca");
    int descriptors[NETWORK_HANDSHAKES_MAX + 3];
    for (size_t i = 0; i < NETWORK_HANDSHAKES_MAX + 3; i++) {
        descriptors[i] = connect_raw(scene->port);
        network_wait(scene->network, 0);
    }
    WAIT(scene, scene->rejected_count == 3);
    assert_int_equal(scene->rejected_failure, EMFILE);
    /* One that goes makes room. */
    (void)close(descriptors[0]);
    WAIT(scene, scene->rejected_count == 4);
    assert_int_equal(scene->rejected_failure, EPROTO);
    assert_int_equal(scene->sides[1].why.fault, TLS_FAULT_CLOSED);
    scene->sides[1].is_closed = false;
    scene_dial(scene);
    WAIT(scene, scene->sides[0].failure == 0 && scene->sides[1].failure == 0);
    scene_free(scene);
    for (size_t i = 1; i < NETWORK_HANDSHAKES_MAX + 3; i++) {
        (void)close(descriptors[i]);
    }
}

/* More handshakes at once than are done in a turn: none is forgotten. */
static void test_many_handshakes(void **state) {
    (void)state;
    enum { COUNT = 5 * NETWORK_HANDSHAKES_A_TURN };
    struct scene *scene = scene_new("a", "ca", "b", "ca");
    struct side sides[COUNT];
    char address[32];
    memset(sides, 0, sizeof(sides));
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", scene->port);
    for (int i = 0; i < COUNT; i++) {
        int failure = 0;
        struct connect_opts opts = {.handlers = &scene->diallers,
                                    .address = address,
                                    .owner = &sides[i],
                                    .tls = scene->tls[0]};
        sides[i].failure = -1;
        sides[i].room = 10;
        sides[i].connection = network_connect(scene->network, &opts, &failure);
        assert_non_null(sides[i].connection);
    }
    for (int i = 0; i < COUNT; i++) {
        WAIT(scene, sides[i].failure == 0);
    }
    WAIT(scene, scene->accepted_count == COUNT);
    for (int i = 0; i < COUNT; i++) {
        if (sides[i].connection != NULL) {
            connection_close(sides[i].connection);
        }
        buffer_deinit(&sides[i].got);
    }
    scene_free(scene);
}

/* A change of files is for new connections; those that stand go on. */
static void test_reload_keeps_connections(void **state) {
    (void)state;
    struct identity next = identity_new("next", &authority, DAY);
    struct scene *scene = scene_new("a", "ca", "b", "ca");
    struct buffer error = {0};
    enum tls_part part;
    scene_dial(scene);
    WAIT(scene, scene->sides[0].failure == 0 && scene->sides[1].failure == 0);
    identity_write(&next, "next", NULL);
    struct tls_opts opts = opts_of("next", "other-ca");
    assert_true(tls_load(scene->tls[1], &opts, &error, &part));
    scene->sides[0].out = "still here";
    scene->sides[0].out_bytes = 10;
    side_send(&scene->sides[0]);
    WAIT(scene, scene->sides[1].got.size == 10);
    scene_free(scene);
    identity_free(&next);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_files),       cmocka_unit_test(test_bad_rules),
        cmocka_unit_test(test_pass_phrase),     cmocka_unit_test(test_files_change),
        cmocka_unit_test(test_carries_bytes),   cmocka_unit_test(test_carries_pieces),
        cmocka_unit_test(test_certificates),    cmocka_unit_test(test_other_versions),
        cmocka_unit_test(test_plain_dialler),   cmocka_unit_test(test_plain_acceptor),
        cmocka_unit_test(test_garbage),         cmocka_unit_test(test_too_many_handshakes),
        cmocka_unit_test(test_many_handshakes), cmocka_unit_test(test_reload_keeps_connections),
    };
    return cmocka_run_group_tests(tests, setup_files, teardown_files);
}
