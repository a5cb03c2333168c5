/* SPDX-License-Identifier: BSD-3-Clause */
/* kill -9 under pipelined, mixed writes, over and over in one data directory.
 *
 * Several connections each send their own sequence of numbered operations (SET, DEL, INCR, SETRANGE
 * of a large value, transactions) in long pipelines, while snapshots run and segments rotate. The
 * server is killed in the middle and started again. Then for each connection there must be one
 * number P, at least the number of operations that were acknowledged and at most that of those
 * sent, such that what the server holds is exactly the state after operation P: nothing
 * acknowledged is lost, under `always` and under `everysec`, nothing is there in part, nothing
 * twice.
 *
 * kill_writes SERVER [SEED]; prints a line for each round and `N passed, N failed`. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

enum {
    CONNECTIONS = 4,
    KEYS = 40,
    BIG_BYTES = 200000,
    LONG_VALUE_BYTES = 5000,
    PIPELINE_OPS_LONG = 300,
    PIPELINE_OPS_SHORT = 3, /* little is written each turn: little must not be lost either */
    START_MS_MAX = 30000,
    ROUNDS = 24,
};

/* What one connection's keys hold. */
struct state {
    int64_t keys[KEYS]; /* the operation that set it; 0 absent */
    int64_t counter;
    int64_t pair;
    char big[BIG_BYTES];
    size_t big_size;
};

struct connection {
    int number;
    int fd;
    redisReader *reader;
    char *out;
    size_t out_size, out_sent, out_capacity;
    int64_t first; /* operations before this life */
    int64_t sent, acknowledged;
    int replies_due;   /* of the oldest operation that is not acknowledged yet */
    struct state base; /* after `first` operations */
};

static const char *server_path;
static char dir[64], socket_path[96];
static pid_t server;
static struct connection connections[CONNECTIONS];
static uint64_t random_state;
static int pipeline_ops;
static int passed, failed;

static uint64_t random_below(uint64_t bound) {
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (random_state >> 33) % bound;
}

static void give_up(const char *what) {
    printf("cannot go on: %s (%s)\n%d passed, %d failed\n", what, strerror(errno), passed,
           failed + 1);
    if (server > 0) {
        (void)kill(server, SIGKILL);
    }
    fflush(stdout);
    _exit(1);
}

static void clean_up(void) {
    if (server > 0) {
        (void)kill(server, SIGKILL);
    }
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    if (failed == 0 && dir[0] != '\0' && system(command) != 0) {
        printf("%s is left behind\n", dir);
    }
}

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the server ---- */

static int connect_socket(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
        return fd;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return -1;
}

/* Does it listen, and has it read its files? */
static bool answers(void) {
    char reply[8] = "";
    int fd = connect_socket();
    if (fd < 0) {
        return false;
    }
    bool is_asked = write(fd, "PING\r\n", 6) == 6;
    bool is_ready = is_asked && read(fd, reply, sizeof(reply) - 1) > 0 && reply[0] == '+';
    (void)close(fd);
    return is_ready;
}

static pid_t spawn(char *const argv[]) {
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        char log[96];
        (void)snprintf(log, sizeof(log), "%s/server.out", dir);
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
        (void)dup2(fd, 1);
        (void)dup2(fd, 2);
        (void)execv(argv[0], argv);
        _exit(127);
    }
    return pid;
}

static void start_server(const char *fsync, const char *segment_bytes) {
    (void)unlink(socket_path);
    char *argv[] = {(char *)server_path,
                    "--port",
                    "0",
                    "--unixsocket",
                    socket_path,
                    "--dir",
                    dir,
                    "--appendonly",
                    "yes",
                    "--appendfsync",
                    (char *)fsync,
                    "--log-segment-size",
                    (char *)segment_bytes,
                    "--save",
                    "",
                    NULL};
    server = spawn(argv);
    int64_t give_up_ms = now_ms() + START_MS_MAX;
    for (;;) {
        if (answers()) {
            return;
        }
        int status;
        if (waitpid(server, &status, WNOHANG) == server) {
            server = 0;
            give_up("the server ended at its start; see server.out in its directory");
        }
        if (now_ms() > give_up_ms) {
            give_up("the server does not start");
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

/* The kill comes from a timer, in the middle of whatever client and server are doing. */
static volatile sig_atomic_t timer_signal, is_killed;

static void on_timer(int unused) {
    (void)unused;
    (void)kill(server, timer_signal);
    is_killed = 1;
}

static void kill_server_after(int signal_number, int64_t ms) {
    timer_signal = signal_number;
    is_killed = 0;
    struct itimerval timer = {.it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}};
    (void)setitimer(ITIMER_REAL, &timer, NULL);
}

static void wait_for_server(void) {
    int status;
    if (waitpid(server, &status, 0) != server) {
        give_up("waitpid");
    }
    server = 0;
}

static void end_server(int signal_number) {
    (void)kill(server, signal_number);
    wait_for_server();
}

/* ---- the operations ---- */

static bool is_big_set(int64_t op) {
    return op % 8 == 7;
}

static int replies_of(int64_t op) {
    return op % 8 == 5 ? 4 : 1;
}

static int64_t key_of(int64_t op) {
    return op / 8 % KEYS;
}

static size_t big_offset(int64_t op) {
    return (size_t)(op * 7919 % (BIG_BYTES - 32));
}

static void apply(struct state *state, int64_t op) {
    char text[32];
    size_t offset = big_offset(op), size;
    switch (op % 8) {
    case 0:
        state->keys[key_of(op)] = 0;
        break;
    case 4:
        state->counter++;
        break;
    case 5:
        state->pair = op;
        break;
    case 6:
        size = (size_t)snprintf(text, sizeof(text), "<%lld>", (long long)op);
        if (offset + size > state->big_size) {
            state->big_size = offset + size;
        }
        memcpy(state->big + offset, text, size);
        break;
    default:
        state->keys[key_of(op)] = op;
    }
}

static void put(struct connection *c, const void *bytes, size_t size) {
    if (c->out_size + size > c->out_capacity) {
        c->out_capacity = 2 * (c->out_size + size);
        c->out = realloc(c->out, c->out_capacity);
    }
    memcpy(c->out + c->out_size, bytes, size);
    c->out_size += size;
}

/* hiredis's format, in which %b is bytes and their number. */
static void put_command(struct connection *c, const char *format, ...) {
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int size = redisvFormatCommand(&text, format, args);
    va_end(args);
    if (size < 0) {
        give_up("a command cannot be formatted");
    }
    put(c, text, (size_t)size);
    redisFreeCommand(text);
}

/* The value that operation `op` gives its key: its number, padded for the long ones. */
static size_t value_of(int64_t op, char *value) {
    int size = snprintf(value, 32, "v%lld", (long long)op);
    if (!is_big_set(op)) {
        return (size_t)size;
    }
    memset(value + size, 'a' + (char)(op % 26), LONG_VALUE_BYTES - (size_t)size);
    return LONG_VALUE_BYTES;
}

static void put_op(struct connection *c, int64_t op) {
    char value[LONG_VALUE_BYTES + 32];
    long long key = key_of(op), number = op;
    int me = c->number;
    switch (op % 8) {
    case 0:
        put_command(c, "DEL c%d:k%lld", me, key);
        break;
    case 4:
        put_command(c, "INCR c%d:n", me);
        break;
    case 5:
        put_command(c, "MULTI");
        put_command(c, "SET c%d:a %lld", me, number);
        put_command(c, "SET c%d:b %lld", me, number);
        put_command(c, "EXEC");
        break;
    case 6:
        put_command(c, "SETRANGE c%d:big %lld <%lld>", me, (long long)big_offset(op), number);
        break;
    default: {
        size_t size = value_of(op, value);
        put_command(c, "SET c%d:k%lld %b", me, key, value, size);
    }
    }
}

/* ---- the load ---- */

static void open_connection(struct connection *c) {
    c->fd = connect_socket();
    if (c->fd < 0) {
        give_up("connect");
    }
    (void)fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->reader = redisReaderCreate();
    c->out_size = c->out_sent = 0;
    c->first = c->sent = c->acknowledged;
    c->replies_due = replies_of(c->acknowledged + 1);
}

static void close_connection(struct connection *c) {
    (void)close(c->fd);
    redisReaderFree(c->reader);
    c->reader = NULL;
}

static bool read_replies(struct connection *c) {
    char bytes[65536];
    ssize_t size = read(c->fd, bytes, sizeof(bytes));
    if (size <= 0) {
        return size < 0 && (errno == EAGAIN || errno == EINTR);
    }
    (void)redisReaderFeed(c->reader, bytes, (size_t)size);
    for (;;) {
        redisReply *reply = NULL;
        if (redisReaderGetReply(c->reader, (void **)&reply) != REDIS_OK) {
            give_up("the server's bytes are no replies");
        }
        if (reply == NULL) {
            return true;
        }
        if (reply->type == REDIS_REPLY_ERROR) {
            give_up(reply->str);
        }
        freeReplyObject(reply);
        if (--c->replies_due == 0) {
            c->acknowledged++;
            c->replies_due = replies_of(c->acknowledged + 1);
        }
    }
}

/* Whatever was put into `out` may have been executed: it counts as sent. */
static bool write_requests(struct connection *c) {
    while (c->sent - c->acknowledged < pipeline_ops && c->out_size < 100000) {
        put_op(c, ++c->sent);
    }
    ssize_t size = write(c->fd, c->out + c->out_sent, c->out_size - c->out_sent);
    if (size < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    c->out_sent += (size_t)size;
    if (c->out_sent == c->out_size) {
        c->out_size = c->out_sent = 0;
    }
    return true;
}

/* The server may die meanwhile. */
static void admin(const char *command) {
    int fd = connect_socket();
    char reply[256];
    bool good =
        fd >= 0 && write(fd, command, strlen(command)) > 0 && read(fd, reply, sizeof(reply)) > 0;
    if (!good && is_killed == 0) {
        give_up(command);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* Until the server is gone. */
static void load(bool takes_snapshots) {
    int64_t snapshot_ms = now_ms() + (int64_t)random_below(100);
    for (;;) {
        struct pollfd fds[CONNECTIONS];
        for (int i = 0; i < CONNECTIONS; i++) {
            fds[i] = (struct pollfd){.fd = connections[i].fd, .events = POLLIN | POLLOUT};
        }
        (void)poll(fds, CONNECTIONS, 10);
        for (int i = 0; i < CONNECTIONS; i++) {
            if (((fds[i].revents & (POLLIN | POLLHUP)) != 0 && !read_replies(&connections[i])) ||
                ((fds[i].revents & POLLOUT) != 0 && !write_requests(&connections[i]))) {
                if (is_killed == 0) {
                    give_up("the server closed a connection");
                }
                return;
            }
        }
        if (takes_snapshots && now_ms() >= snapshot_ms) {
            admin(random_below(2) == 0 ? "BGSAVE\r\n" : "BGREWRITEAOF\r\n");
            snapshot_ms = now_ms() + 40 + (int64_t)random_below(150);
        }
    }
}

/* After the end: replies that the server sent before it died still count. */
static void read_the_rest(struct connection *c) {
    struct pollfd fd = {.fd = c->fd, .events = POLLIN};
    while (poll(&fd, 1, 1000) > 0 && read_replies(c)) {
    }
}

/* ---- what is there afterwards ---- */

static redisReply *ask(redisContext *context, const char *format, int number) {
    redisReply *reply = redisCommand(context, format, number);
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        give_up("a question to the server");
    }
    return reply;
}

static int64_t number_of(const redisReply *reply) {
    return reply->type == REDIS_REPLY_STRING ? strtoll(reply->str, NULL, 10) : 0;
}

/* The operation that a key's value names, -1 when the value is no such value as a whole. */
static int64_t op_of_value(const redisReply *reply) {
    if (reply->type == REDIS_REPLY_NIL) {
        return 0;
    }
    char value[LONG_VALUE_BYTES + 32];
    int64_t op = reply->len > 1 ? strtoll(reply->str + 1, NULL, 10) : 0;
    size_t size = op > 0 ? value_of(op, value) : 0;
    return size == reply->len && memcmp(value, reply->str, size) == 0 ? op : -1;
}

static void read_state(redisContext *context, int number, struct state *state, bool *is_torn) {
    memset(state, 0, sizeof(*state));
    for (int i = 0; i < KEYS; i++) {
        char format[32];
        (void)snprintf(format, sizeof(format), "GET c%%d:k%d", i);
        redisReply *reply = ask(context, format, number);
        state->keys[i] = op_of_value(reply);
        freeReplyObject(reply);
    }
    redisReply *reply = ask(context, "GET c%d:n", number);
    state->counter = number_of(reply);
    freeReplyObject(reply);
    reply = ask(context, "GET c%d:a", number);
    redisReply *other = ask(context, "GET c%d:b", number);
    state->pair = number_of(reply);
    *is_torn = state->pair != number_of(other);
    freeReplyObject(reply);
    freeReplyObject(other);
    reply = ask(context, "GET c%d:big", number);
    if (reply->type == REDIS_REPLY_STRING && reply->len <= BIG_BYTES) {
        memcpy(state->big, reply->str, reply->len);
        state->big_size = reply->len;
    }
    freeReplyObject(reply);
}

static bool verify(struct connection *c, redisContext *context) {
    static struct state found;
    bool is_torn;
    read_state(context, c->number, &found, &is_torn);
    if (is_torn) {
        printf("    connection %d: half of a transaction\n", c->number);
        return false;
    }
    struct state *state = &c->base;
    int64_t op = c->first;
    while (op < c->acknowledged) {
        apply(state, ++op);
    }
    while (memcmp(state, &found, sizeof(found)) != 0) {
        if (op == c->sent) {
            printf("    connection %d: the state after none of the operations %lld to %lld: "
                   "counter %lld, pair %lld\n",
                   c->number, (long long)c->acknowledged, (long long)c->sent,
                   (long long)found.counter, (long long)found.pair);
            return false;
        }
        apply(state, ++op);
    }
    /* The next life goes on from here. */
    c->acknowledged = op;
    return true;
}

static bool check_directory(void) {
    char *argv[] = {(char *)server_path, "--check", dir, NULL};
    int status;
    pid_t pid = spawn(argv);
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void round_of(int number) {
    const char *fsync = number % 2 == 0 ? "always" : "everysec";
    const char *segment_bytes = number % 3 == 0 ? "64mb" : "65536";
    int signal_number = number % 8 == 7 ? SIGTERM : SIGKILL;
    int64_t ms = 150 + (int64_t)random_below(700);
    pipeline_ops = number % 3 == 2 ? PIPELINE_OPS_SHORT : PIPELINE_OPS_LONG;
    start_server(fsync, segment_bytes);
    for (int i = 0; i < CONNECTIONS; i++) {
        open_connection(&connections[i]);
    }
    kill_server_after(signal_number, ms);
    load(number % 4 != 1);
    wait_for_server();
    int64_t acknowledged = 0, sent = 0;
    for (int i = 0; i < CONNECTIONS; i++) {
        read_the_rest(&connections[i]);
        close_connection(&connections[i]);
        acknowledged += connections[i].acknowledged - connections[i].first;
        sent += connections[i].sent - connections[i].first;
    }
    bool good = number % 4 != 3 || check_directory();
    if (!good) {
        printf("    --check found damage\n");
    }
    start_server(fsync, segment_bytes);
    redisContext *context = redisConnectUnix(socket_path);
    if (context == NULL || context->err != 0) {
        give_up("connect");
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        good = verify(&connections[i], context) && good;
    }
    redisFree(context);
    end_server(SIGKILL);
    printf("%s round %2d: %-8s %-5s %s after %3lld ms: %lld acknowledged, %lld sent\n",
           good ? "ok    " : "FAILED", number, fsync, segment_bytes,
           signal_number == SIGKILL ? "SIGKILL" : "SIGTERM", (long long)ms, (long long)acknowledged,
           (long long)sent);
    fflush(stdout);
    passed += good;
    failed += !good;
    /* A slow machine may answer nothing before an early kill; again and again is something else. */
    static int empty_rounds;
    empty_rounds = acknowledged == 0 ? empty_rounds + 1 : 0;
    if (!good || empty_rounds == 3) {
        /* What follows would only repeat it. */
        give_up(good ? "nothing was acknowledged" : "data is wrong");
    }
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: %s SERVER [SEED]\n", argv[0]);
        return 2;
    }
    server_path = argv[1];
    random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)random_state);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_timer, .sa_flags = SA_RESTART},
                    NULL);
    (void)snprintf(dir, sizeof(dir), "/tmp/starling-kill-XXXXXX");
    if (mkdtemp(dir) == NULL) {
        give_up("mkdtemp");
    }
    (void)snprintf(socket_path, sizeof(socket_path), "%s/socket", dir);
    (void)atexit(clean_up);
    for (int i = 0; i < CONNECTIONS; i++) {
        connections[i].number = i;
    }
    for (int i = 0; i < ROUNDS; i++) {
        round_of(i);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0;
}
