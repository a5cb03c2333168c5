/* SPDX-License-Identifier: BSD-3-Clause */
/* For client programs: a server process of one's own, and checks that are counted.
 *
 * main() calls server_program(argc, argv), tests, and returns server_summary(). Every server is
 * killed at exit, also when a check gives up. */
#ifndef CLIENTS_SERVER_PROCESS_H
#define CLIENTS_SERVER_PROCESS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct server_process {
    pid_t pid; /* 0: not running */
    int port;
    char dir[64];
    char socket_path[96];
};

static struct {
    const char *program;
    int passed, failed;
    const char *test;
    bool test_failed;
    struct server_process *running;
} server_state;

/* ---- Counting ---- */

/* Says what failed and goes on; a test with a failed check counts as failed once. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("%s:%d: %s: not true: %s\n", __FILE__, __LINE__, server_state.test,             \
                   #condition);                                                                    \
            server_state.test_failed = true;                                                       \
        }                                                                                          \
    } while (0)

/* For what the rest cannot do without. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("%s:%d: %s: cannot go on: %s\n", __FILE__, __LINE__, server_state.test,         \
                   #condition);                                                                    \
            server_state.failed++;                                                                 \
            exit(server_summary());                                                                \
        }                                                                                          \
    } while (0)

#define RUN(test) server_run(#test, test)

static inline int server_summary(void) {
    printf("%d passed, %d failed\n", server_state.passed, server_state.failed);
    return server_state.failed > 0 || server_state.passed == 0;
}

static inline void server_run(const char *name, void (*test)(void)) {
    server_state.test = name;
    server_state.test_failed = false;
    test();
    if (server_state.test_failed) {
        server_state.failed++;
    } else {
        server_state.passed++;
    }
    fflush(stdout);
}

/* ---- The process ---- */

static inline double server_patience(void) {
    const char *text = getenv("TEST_PATIENCE");
    double patience = text != NULL ? atof(text) : 1;
    return patience > 0 ? patience : 1;
}

static inline void server_sleep_ms(int ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L}, NULL);
}

static inline int64_t server_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline int server_free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(fd >= 0);
    REQUIRE(bind(fd, (struct sockaddr *)&address, size) == 0);
    REQUIRE(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    close(fd);
    return ntohs(address.sin_port);
}

static inline bool server_accepts(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(0x7f000001),
                                  .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char reply[16] = "";
    bool accepts = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                   write(fd, "PING\r\n", 6) == 6 && read(fd, reply, sizeof(reply) - 1) > 0 &&
                   (strncmp(reply, "+PONG", 5) == 0 || strncmp(reply, "-NOAUTH", 7) == 0);
    if (fd >= 0) {
        close(fd);
    }
    return accepts;
}

/* Starts the program on the struct's port and directory, which a first call chooses. The further
 * arguments are words of the command line up to NULL. */
static inline void server_start(struct server_process *server, const char *const *more) {
    if (server->port == 0) {
        server->port = server_free_port();
        snprintf(server->dir, sizeof(server->dir), "/tmp/starling-clients.XXXXXX");
        REQUIRE(mkdtemp(server->dir) != NULL);
        snprintf(server->socket_path, sizeof(server->socket_path), "%s/socket", server->dir);
    }
    char port[16];
    snprintf(port, sizeof(port), "%d", server->port);
    const char *arguments[64] = {server_state.program,
                                 "--port",
                                 port,
                                 "--bind",
                                 "127.0.0.1",
                                 "--dir",
                                 server->dir,
                                 "--unixsocket",
                                 server->socket_path,
                                 "--enable-debug-command",
                                 "yes"};
    size_t count = 11;
    while (more != NULL && *more != NULL && count < 62) {
        arguments[count++] = *more++;
    }
    server->pid = fork();
    REQUIRE(server->pid >= 0);
    if (server->pid == 0) {
        char log[96];
        snprintf(log, sizeof(log), "%s/log", server->dir);
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(fd, 1);
        dup2(fd, 2);
        execv(server_state.program, (char *const *)arguments);
        _exit(127);
    }
    server_state.running = server;
    int64_t deadline = server_now_ms() + (int64_t)(20000 * server_patience());
    while (!server_accepts(server->port)) {
        REQUIRE(waitpid(server->pid, NULL, WNOHANG) == 0);
        REQUIRE(server_now_ms() < deadline);
        server_sleep_ms(20);
    }
}

/* Ends the process with the signal; a server that does not end well under SIGTERM is a failure. */
static inline void server_stop(struct server_process *server, int signal_number) {
    int status = 0;
    kill(server->pid, signal_number);
    REQUIRE(waitpid(server->pid, &status, 0) == server->pid);
    server->pid = 0;
    server_state.running = NULL;
    if (signal_number == SIGTERM) {
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static inline void server_remove(struct server_process *server) {
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", server->dir);
    CHECK(system(command) == 0);
    *server = (struct server_process){0};
}

static inline void server_kill_running(void) {
    struct server_process *server = server_state.running;
    if (server != NULL && server->pid > 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
        printf("the server's log is in %s/log\n", server->dir);
    }
}

static inline void server_program(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s SERVER\n", argv[0]);
        exit(2);
    }
    server_state.program = argv[1];
    server_state.test = "main";
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    atexit(server_kill_running);
}

#endif
