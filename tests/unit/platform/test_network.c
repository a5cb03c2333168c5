/* SPDX-License-Identifier: BSD-3-Clause */
/* Connecting: to a listener, to a port where nobody listens, to what is no address; each kind of
 * connection reaches its own handlers. Names: those that need no network. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "platform/network.h"
#include "platform/process.h"

#include <string.h>

enum { PORT_FIRST = 7380, PORT_LAST = 7399 };

struct scene {
    struct network *network;
    struct connection_handlers servers, callers;
    struct listener *listener;
    int port;
    struct connection *taken, *made;
    int accepted, connected, failure;
    char heard[16]; /* by the side that was called */
    void *owner;    /* that readable() was told */
    char addresses[4][64];
    size_t addresses_count;
    int resolved;
};

static void on_accepted(void *udata, struct connection *connection) {
    struct scene *scene = udata;
    scene->accepted++;
    scene->taken = connection;
    connection_set_owner(connection, &scene->taken);
}

static void on_connected(void *udata, struct connection *connection, void *owner, int failure) {
    struct scene *scene = udata;
    assert_ptr_equal(owner, &scene->made);
    assert_ptr_equal(connection, scene->made);
    scene->connected++;
    scene->failure = failure;
}

static void on_readable_server(void *udata, struct connection *connection, void *owner) {
    struct scene *scene = udata;
    scene->owner = owner;
    int64_t size = connection_read(connection, scene->heard, sizeof(scene->heard) - 1);
    assert_true(size > 0);
}

static void on_readable_caller(void *udata, struct connection *connection, void *owner) {
    (void)udata;
    (void)connection;
    (void)owner;
    fail_msg("nobody wrote to the caller");
}

static int setup(void **state) {
    static struct scene scene;
    memset(&scene, 0, sizeof(scene));
    scene.network = network_new();
    scene.servers = (struct connection_handlers){
        .udata = &scene, .accepted = on_accepted, .readable = on_readable_server};
    scene.callers = (struct connection_handlers){
        .udata = &scene, .connected = on_connected, .readable = on_readable_caller};
    char error[128] = "";
    for (scene.port = PORT_FIRST; scene.listener == NULL && scene.port < PORT_LAST; scene.port++) {
        struct listener_opts opts = {
            .handlers = &scene.servers, .address = "127.0.0.1", .port = scene.port, .backlog = 5};
        scene.listener = network_listen(scene.network, &opts, error, sizeof(error), NULL);
    }
    scene.port--;
    assert_non_null(scene.listener);
    *state = &scene;
    return 0;
}

static int teardown(void **state) {
    struct scene *scene = *state;
    if (scene->taken != NULL) {
        connection_close(scene->taken);
    }
    if (scene->made != NULL) {
        connection_close(scene->made);
    }
    if (scene->listener != NULL) {
        listener_free(scene->listener);
    }
    network_free(scene->network);
    return 0;
}

static void dial(struct scene *scene, int port) {
    char address[32];
    int failure = 0;
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    struct connect_opts opts = {
        .handlers = &scene->callers, .address = address, .owner = &scene->made};
    scene->made = network_connect(scene->network, &opts, &failure);
    assert_non_null(scene->made);
    assert_int_equal(scene->connected, 0);
}

static void test_connect(void **state) {
    struct scene *scene = *state;
    dial(scene, scene->port);
    for (int i = 0; i < 200 && (scene->connected == 0 || scene->accepted == 0); i++) {
        network_wait(scene->network, 10000);
    }
    assert_int_equal(scene->connected, 1);
    assert_int_equal(scene->failure, 0);
    assert_int_equal(scene->accepted, 1);
    assert_true(connection_is_local(scene->taken));
    assert_int_equal(connection_send(scene->made, "hello", 5), 5);
    for (int i = 0; i < 200 && scene->heard[0] == '\0'; i++) {
        network_wait(scene->network, 10000);
    }
    assert_string_equal(scene->heard, "hello");
    assert_ptr_equal(scene->owner, &scene->taken);
}

static void test_connect_refused(void **state) {
    struct scene *scene = *state;
    listener_free(scene->listener);
    scene->listener = NULL;
    dial(scene, scene->port);
    for (int i = 0; i < 200 && scene->connected == 0; i++) {
        network_wait(scene->network, 10000);
    }
    assert_int_equal(scene->connected, 1);
    assert_int_equal(scene->failure, ECONNREFUSED);
}

static void test_connect_nowhere(void **state) {
    struct scene *scene = *state;
    static const char *const bad[] = {"example.org:1", "", ":", "1.2.3.4:99999", "[::1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int failure = 0;
        struct connect_opts opts = {.handlers = &scene->callers, .address = bad[i]};
        assert_null(network_connect(scene->network, &opts, &failure));
        assert_int_equal(failure, EINVAL);
    }
}

static void on_resolved(void *udata, const char *name, unsigned port, const char *const *addresses,
                        size_t count, const char *failure) {
    struct scene *scene = udata;
    (void)name;
    (void)port;
    scene->resolved++;
    assert_true((count == 0) == (failure != NULL));
    for (size_t i = 0; i < count && i < 4; i++) {
        (void)snprintf(scene->addresses[i], sizeof(scene->addresses[i]), "%s", addresses[i]);
    }
    scene->addresses_count = count;
}

static void resolve(struct scene *scene, const char *name) {
    scene->resolved = 0;
    network_resolve(scene->network, name, 17001, on_resolved, scene);
    for (int i = 0; i < 500 && scene->resolved == 0; i++) {
        network_wait(scene->network, 10000);
    }
    assert_int_equal(scene->resolved, 1);
}

static void test_resolve(void **state) {
    struct scene *scene = *state;
    resolve(scene, "127.0.0.7");
    assert_int_equal(scene->addresses_count, 1);
    assert_string_equal(scene->addresses[0], "127.0.0.7:17001");
    resolve(scene, "::1");
    assert_string_equal(scene->addresses[0], "[::1]:17001");
    resolve(scene, "localhost");
    assert_true(scene->addresses_count >= 1);
    assert_true(strcmp(scene->addresses[0], "127.0.0.1:17001") == 0 ||
                strcmp(scene->addresses[0], "[::1]:17001") == 0);
    char name[400];
    memset(name, 'a', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    resolve(scene, name);
    assert_int_equal(scene->addresses_count, 0);
}

/* A lookup that is under way when the loop ends is never answered. */
static void test_resolve_given_up(void **state) {
    struct scene *scene = *state;
    network_resolve(scene->network, "given-up.example", 1, on_resolved, scene);
    if (scene->resolved == 0) {
        teardown(state);
        assert_int_equal(scene->resolved, 0);
        setup(state);
    }
}

/* A wait without events ends by itself, and not before its time. */
static void test_exact_wait(void **state) {
    struct scene *scene = *state;
    for (uint64_t wait_us = 100; wait_us <= 3200; wait_us *= 2) {
        uint64_t began_us = process_monotonic_us();
        network_wait_exactly(scene->network, wait_us);
        assert_true(process_monotonic_us() - began_us + 1 >= wait_us);
    }
}

static void test_own_address(void **state) {
    (void)state;
    char text[64];
    network_own_address("127.0.0.5:1", text, sizeof(text));
    assert_string_equal(text, "127.0.0.1");
    network_own_address("nonsense", text, sizeof(text));
    assert_string_equal(text, "127.0.0.1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_connect, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect_nowhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resolve, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resolve_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exact_wait, setup, teardown),
        cmocka_unit_test(test_own_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
