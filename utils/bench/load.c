/* SPDX-License-Identifier: BSD-3-Clause */
/* A load generator for servers that speak RESP, cheap enough to saturate the fast ones.
 *
 * One thread and one epoll set drive all connections. Requests are copies of a template in which
 * the twelve digits of a key and the bytes of a value are patched; replies are not kept, a scanner
 * counts them by kind and knows where it stopped, so a reply may be cut at any byte.
 *
 * Closed loop (the default): each connection sends `pipeline` requests, waits for as many replies
 * and sends again. A reply's latency counts from the write of its batch.
 * Open loop (--rate): request i is due at start + i / rate, whatever the server does. Latency
 * counts from the time it was due, so that a stall costs every request that should have been sent
 * during the stall (no coordinated omission). How late the generator itself was is kept apart
 * (send_lag).
 *
 * A run is cut into named phases, each with its own counts, latencies and CPU times. Without
 * --control there are two, "warmup" and "measured". With --control, a line "phase NAME" on the
 * standard input moves to another one (coming back to a name adds to it) and "end" ends the run.
 * The result is one JSON object on the standard output. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "draw.h"
#include "histogram.h"

#define KEY_PREFIX_BYTES 4
#define KEY_DIGITS 12
#define KEY_BYTES (KEY_PREFIX_BYTES + KEY_DIGITS)
#define EXPIRE_DIGITS 6
#define VALUE_BYTES_MAX (1u << 20)
#define VALUE_POOL_BYTES 16384 /* power of two, small enough for the first cache levels */
#define INPUT_BYTES 262144
#define DUE_MAX 65536 /* open loop: requests in flight per connection; power of two */
#define EVENTS_MAX 128
#define PHASES_MAX 16
#define CONNECTING_MAX 128 /* connects in flight at once: below any listen backlog */
#define SECOND_NS 1000000000ull

enum test {
    TEST_GET,
    TEST_SET,
    TEST_INCR,
    TEST_MIXED,
    TEST_ZIPF,
    TEST_COMMAND,
    TEST_IDLE,
    TEST_COUNT
};
static const char *const test_names[TEST_COUNT] = {"get",  "set",     "incr", "mixed",
                                                   "zipf", "command", "idle"};

enum reply {
    REPLY_SIMPLE,
    REPLY_ERROR,
    REPLY_INTEGER,
    REPLY_BULK,
    REPLY_NIL,
    REPLY_ARRAY,
    REPLY_COUNT
};
static const char *const reply_names[REPLY_COUNT] = {"simple", "error", "integer",
                                                     "bulk",   "nil",   "array"};

static struct {
    const char *host;
    uint64_t port;
    enum test test;
    const char *prefix;
    uint64_t keys_count;
    uint64_t value_bytes;
    uint64_t connections_count;
    uint64_t pipeline;
    uint64_t requests;        /* measured; 0: bounded by seconds */
    uint64_t warmup_requests; /* before them */
    double seconds;
    double warmup_seconds;
    double rate; /* requests per second; 0: closed loop */
    uint64_t get_percent;
    double zipf_exponent;
    const char *command;   /* words with {key}, {field}, {value} or {score} in them */
    uint64_t fields_count; /* {field}: twelve digits below it */
    uint64_t expire_s;     /* SET ... EX with a random value in [expire_s, 2 expire_s) */
    bool each;             /* every key once, in scattered order, instead of random keys */
    uint64_t seed;
    uint64_t server_pid; /* whose CPU time to read; 0: nobody's */
    bool control;
} opt = {
    .host = "127.0.0.1",
    .port = 6379,
    .test = TEST_GET,
    .prefix = "key:",
    .keys_count = 1000000,
    .value_bytes = 64,
    .connections_count = 50,
    .pipeline = 1,
    .get_percent = 50,
    .zipf_exponent = 1.0,
    .command = "PING",
    .fields_count = 10,
    .seed = 1,
};

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
    va_list list;
    va_start(list, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    exit(1);
}

static void *allocate(size_t count, size_t bytes) {
    void *block = calloc(count, bytes);
    if (block == NULL) {
        fail("out of memory");
    }
    return block;
}

static uint64_t clock_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * SECOND_NS + (uint64_t)time.tv_nsec;
}

/* ---- phases ---- */

struct phase {
    char name[32];
    uint64_t begin_ns;
    double begin_server_cpu_s, begin_own_cpu_s;
    double elapsed_s, server_cpu_s, own_cpu_s;
    uint64_t replies[REPLY_COUNT];
    uint64_t wrong_length; /* bulk replies whose length is not value_bytes */
    struct histogram latency;
    struct histogram send_lag;
};

static struct phase *phases[PHASES_MAX];
static size_t phases_count;
static struct phase *phase;   /* the current one */
static char first_error[256]; /* its text; whole once an error reply has been counted */
static bool has_error;

static double own_cpu_s(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
           (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
}

/* utime + stime of all threads of the server, living and gone, as /proc tells them. */
static double server_cpu_s(void) {
    if (opt.server_pid == 0) {
        return 0;
    }
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%" PRIu64 "/stat", opt.server_pid);
    int fd = open(path, O_RDONLY);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (size <= 0) {
        fail("cannot read %s", path);
    }
    close(fd);
    text[size] = 0;
    unsigned long long user = 0, kernel = 0;
    char *after_name = strrchr(text, ')');
    if (after_name == NULL ||
        sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
               &kernel) != 2) {
        fail("%s is not as expected", path);
    }
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static void phase_end(void) {
    phase->elapsed_s += (double)(clock_ns() - phase->begin_ns) / 1e9;
    phase->server_cpu_s += server_cpu_s() - phase->begin_server_cpu_s;
    phase->own_cpu_s += own_cpu_s() - phase->begin_own_cpu_s;
}

static void phase_begin(const char *name) {
    if (phase != NULL) {
        phase_end();
    }
    phase = NULL;
    for (size_t i = 0; i < phases_count; i++) {
        if (strcmp(phases[i]->name, name) == 0) {
            phase = phases[i];
        }
    }
    if (phase == NULL) {
        if (phases_count == PHASES_MAX) {
            fail("more than %d phases", PHASES_MAX);
        }
        phase = phases[phases_count++] = allocate(1, sizeof *phase);
        snprintf(phase->name, sizeof phase->name, "%s", name);
    }
    phase->begin_server_cpu_s = server_cpu_s();
    phase->begin_own_cpu_s = own_cpu_s();
    phase->begin_ns = clock_ns();
}

static void histogram_print(const char *name, const struct histogram *histogram) {
    static const struct {
        const char *name;
        double share;
    } quantiles[] = {{"p50", 0.5},  {"p90", 0.9},    {"p95", 0.95},
                     {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999}};
    double mean = histogram->count > 0 ? histogram->sum / (double)histogram->count : 0;
    printf(", \"%s\": {\"count\": %" PRIu64 ", \"mean\": %.3f", name, histogram->count, mean / 1e3);
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        uint64_t value = histogram_quantile(histogram, quantiles[i].share);
        printf(", \"%s\": %.3f", quantiles[i].name, (double)value / 1e3);
    }
    printf(", \"max\": %.3f}", (double)histogram->max / 1e3);
}

static void phase_print(const struct phase *of) {
    uint64_t count = 0;
    for (size_t i = 0; i < REPLY_COUNT; i++) {
        count += of->replies[i];
    }
    printf("{\"name\": \"%s\", \"elapsed_s\": %.6f, \"requests\": %" PRIu64, of->name,
           of->elapsed_s, count);
    printf(", \"server_cpu_s\": %.2f, \"load_cpu_s\": %.6f", of->server_cpu_s, of->own_cpu_s);
    printf(", \"wrong_length\": %" PRIu64 ", \"replies\": {", of->wrong_length);
    for (size_t i = 0; i < REPLY_COUNT; i++) {
        printf("%s\"%s\": %" PRIu64, i > 0 ? ", " : "", reply_names[i], of->replies[i]);
    }
    printf("}");
    histogram_print("latency_us", &of->latency);
    if (opt.rate > 0) {
        histogram_print("send_lag_us", &of->send_lag);
    }
    printf("}");
}

/* ---- requests ---- */

struct template {
    char bytes[160];   /* the request up to its value */
    size_t head_bytes; /* how many of them there are */
    size_t key_at;     /* where the key's digits are */
    bool has_value;
    bool has_expire;
};

static struct template get_template, set_template, incr_template;
static char value_pool[VALUE_POOL_BYTES + VALUE_BYTES_MAX];
static struct prng key_prng, value_prng;
static struct zipf zipf;
static uint64_t each_next;
static char two_digits[200];

static void templates_init(void) {
    struct template *t = &get_template;
    t->head_bytes = (size_t)sprintf(t->bytes, "*2\r\n$3\r\nGET\r\n$%d\r\n%s%0*d\r\n", KEY_BYTES,
                                    opt.prefix, KEY_DIGITS, 0);
    t->key_at = t->head_bytes - 2 - KEY_DIGITS;
    t = &incr_template;
    t->head_bytes = (size_t)sprintf(t->bytes, "*2\r\n$4\r\nINCR\r\n$%d\r\n%s%0*d\r\n", KEY_BYTES,
                                    opt.prefix, KEY_DIGITS, 0);
    t->key_at = t->head_bytes - 2 - KEY_DIGITS;
    t = &set_template;
    t->has_value = true;
    t->has_expire = opt.expire_s > 0;
    size_t until_key = (size_t)sprintf(t->bytes, "*%d\r\n$3\r\nSET\r\n$%d\r\n%s%0*d",
                                       t->has_expire ? 5 : 3, KEY_BYTES, opt.prefix, KEY_DIGITS, 0);
    t->key_at = until_key - KEY_DIGITS;
    t->head_bytes =
        until_key + (size_t)sprintf(t->bytes + until_key, "\r\n$%" PRIu64 "\r\n", opt.value_bytes);

    /* No digits among them: no value may be taken for an integer. */
    static const char alphabet[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-+/=.:,;!?@";
    struct prng prng = {opt.seed ^ 0x76616c7565ull};
    for (size_t i = 0; i < sizeof value_pool; i++) {
        value_pool[i] = alphabet[prng_below(&prng, sizeof alphabet - 1)];
    }
    for (int i = 0; i < 100; i++) {
        two_digits[2 * i] = (char)('0' + i / 10);
        two_digits[2 * i + 1] = (char)('0' + i % 10);
    }
}

static void put_digits(char *at, int digits, uint64_t number) {
    for (int i = digits - 2; i >= 0; i -= 2) {
        memcpy(at + i, two_digits + 2 * (number % 100), 2);
        number /= 100;
    }
}

/* ---- any command ---- */

#define COMMAND_BYTES_MAX 8192
#define PATCHES_MAX 64
#define SCORE_DIGITS 6

enum patch { PATCH_KEY, PATCH_FIELD, PATCH_VALUE, PATCH_SCORE, PATCH_COUNT };
static const char *const patch_names[PATCH_COUNT] = {"{key}", "{field}", "{value}", "{score}"};

/* A request whose bytes stay the same but for the patches. */
static struct {
    char bytes[COMMAND_BYTES_MAX];
    size_t size, patches_count;
    struct {
        enum patch kind;
        size_t at;
    } patches[PATCHES_MAX];
} command_template;

static size_t patch_bytes(enum patch kind) {
    return kind == PATCH_VALUE ? opt.value_bytes : kind == PATCH_SCORE ? SCORE_DIGITS : KEY_DIGITS;
}

/* The patch that begins at `text`, or PATCH_COUNT. */
static enum patch patch_at(const char *text) {
    int kind = 0;
    while (kind < PATCH_COUNT && strncmp(text, patch_names[kind], strlen(patch_names[kind])) != 0) {
        kind++;
    }
    return (enum patch)kind;
}

/* Writes one word of the command at `to`, and notes where its patches are. */
static void command_put_word(const char *word, size_t word_size) {
    char bytes[COMMAND_BYTES_MAX];
    size_t size = 0, first = command_template.patches_count;
    for (size_t i = 0; i < word_size;) {
        enum patch kind = patch_at(word + i);
        size_t more = kind == PATCH_COUNT ? 1 : patch_bytes(kind);
        if (size + more > sizeof bytes || command_template.patches_count == PATCHES_MAX) {
            fail("the command is too long");
        }
        if (kind == PATCH_COUNT) {
            bytes[size] = word[i++];
        } else {
            memset(bytes + size, '0', more);
            command_template.patches[command_template.patches_count].kind = kind;
            command_template.patches[command_template.patches_count++].at = size;
            i += strlen(patch_names[kind]);
        }
        size += more;
    }
    if (command_template.size + size + 32 > COMMAND_BYTES_MAX) {
        fail("the command is too long");
    }
    char *to = command_template.bytes + command_template.size;
    size_t head = (size_t)sprintf(to, "$%zu\r\n", size);
    memcpy(to + head, bytes, size);
    memcpy(to + head + size, "\r\n", 2);
    for (; first < command_template.patches_count; first++) {
        command_template.patches[first].at += command_template.size + head;
    }
    command_template.size += head + size + 2;
}

static void command_init(void) {
    size_t words = 0;
    for (const char *at = opt.command; *at != 0; words++) {
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    command_template.size = (size_t)sprintf(command_template.bytes, "*%zu\r\n", words);
    for (const char *at = opt.command; *at != 0;) {
        size_t size = strcspn(at, " ");
        command_put_word(at, size);
        at += size;
        at += strspn(at, " ");
    }
}

static char *command_write(char *to, uint64_t key) {
    memcpy(to, command_template.bytes, command_template.size);
    for (size_t i = 0; i < command_template.patches_count; i++) {
        char *at = to + command_template.patches[i].at;
        switch (command_template.patches[i].kind) {
        case PATCH_KEY:
            put_digits(at, KEY_DIGITS, key);
            break;
        case PATCH_FIELD:
            put_digits(at, KEY_DIGITS, prng_below(&value_prng, opt.fields_count));
            break;
        case PATCH_SCORE:
            put_digits(at, SCORE_DIGITS, prng_below(&value_prng, 1000000));
            break;
        case PATCH_VALUE:
            memcpy(at, value_pool + (prng_next(&value_prng) & (VALUE_POOL_BYTES - 1)),
                   opt.value_bytes);
            break;
        case PATCH_COUNT:
            break;
        }
    }
    return to + command_template.size;
}

static size_t template_bytes_max(void) {
    return opt.test == TEST_COMMAND ? COMMAND_BYTES_MAX
                                    : sizeof set_template.bytes + opt.value_bytes + 64;
}

/* Writes one request at `to`, which has room for template_bytes_max(), and returns its end. */
static char *template_write(const struct template *t, char *to, uint64_t key) {
    memcpy(to, t->bytes, t->head_bytes);
    put_digits(to + t->key_at, KEY_DIGITS, key);
    to += t->head_bytes;
    if (t->has_value) {
        memcpy(to, value_pool + (prng_next(&value_prng) & (VALUE_POOL_BYTES - 1)), opt.value_bytes);
        to += opt.value_bytes;
        *to++ = '\r';
        *to++ = '\n';
        if (t->has_expire) {
            memcpy(to, "$2\r\nEX\r\n$6\r\n", 12);
            put_digits(to + 12, EXPIRE_DIGITS,
                       opt.expire_s + prng_below(&value_prng, opt.expire_s));
            to += 12 + EXPIRE_DIGITS;
            *to++ = '\r';
            *to++ = '\n';
        }
    }
    return to;
}

static uint64_t next_key(void) {
    if (opt.each) {
        return scatter(each_next++ % opt.keys_count, opt.keys_count);
    }
    if (opt.test == TEST_ZIPF) {
        return scatter(zipf_draw(&zipf, &key_prng), opt.keys_count);
    }
    return prng_below(&key_prng, opt.keys_count);
}

static const struct template *next_template(void) {
    switch (opt.test) {
    case TEST_GET:
    case TEST_ZIPF:
        return &get_template;
    case TEST_SET:
        return &set_template;
    case TEST_INCR:
        return &incr_template;
    case TEST_MIXED:
        return prng_below(&key_prng, 100) < opt.get_percent ? &get_template : &set_template;
    case TEST_COMMAND:
    case TEST_IDLE:
    case TEST_COUNT:
        break;
    }
    fail("this test sends no such requests");
}

static char *request_write(char *to) {
    if (opt.test == TEST_COMMAND) {
        return command_write(to, next_key());
    }
    const struct template *t = next_template();
    return template_write(t, to, next_key());
}

/* ---- connections ---- */

enum scan { SCAN_TYPE, SCAN_TEXT, SCAN_NUMBER, SCAN_SKIP };

struct connection {
    int fd;
    bool waits_for_room; /* EPOLLOUT is asked for */
    char *output;
    size_t output_used, output_sent, output_capacity;
    uint64_t outstanding; /* replies still to come */

    enum scan scan;
    enum reply scan_kind;
    bool scan_negative;
    int64_t scan_number; /* the number being read, or the bytes still to skip */
    int64_t scan_left;   /* elements of an array still to come */

    uint64_t sent_ns; /* closed loop: when the batch was written */

    uint64_t *due_ns; /* open loop: a ring with one entry per outstanding request */
    uint32_t due_first;

    uint64_t *asked; /* zipf: the keys of the batch in order, SETs first */
    size_t sets_count, asked_count, asked_next;
    uint64_t *missed;
    size_t missed_count;
};

static struct connection *connections;
static int epoll_fd;
static uint64_t total_max = UINT64_MAX; /* requests of the whole run, where bounded */
static uint64_t sent_total, replies_total;
static bool ended;
static char input[INPUT_BYTES];

static void connection_watch(struct connection *c, bool room) {
    struct epoll_event event = {.events = room ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event) != 0) {
        fail("epoll_ctl: %s", strerror(errno));
    }
    c->waits_for_room = room;
}

static void connection_flush(struct connection *c) {
    while (c->output_sent < c->output_used) {
        ssize_t n = write(c->fd, c->output + c->output_sent, c->output_used - c->output_sent);
        if (n < 0 && errno == EAGAIN) {
            if (!c->waits_for_room) {
                connection_watch(c, true);
            }
            return;
        }
        if (n < 0 && errno != EINTR) {
            fail("write: %s", strerror(errno));
        }
        c->output_sent += n > 0 ? (size_t)n : 0;
    }
    c->output_used = c->output_sent = 0;
    if (c->waits_for_room) {
        connection_watch(c, false);
    }
}

static char *connection_room(struct connection *c, uint64_t requests) {
    size_t wanted = c->output_used + requests * template_bytes_max();
    if (wanted > c->output_capacity) {
        c->output_capacity = 2 * wanted;
        c->output = realloc(c->output, c->output_capacity);
        if (c->output == NULL) {
            fail("out of memory");
        }
    }
    return c->output + c->output_used;
}

/* Closed loop: sends the next batch, or nothing when the run has sent all its requests. */
static void connection_send_batch(struct connection *c) {
    uint64_t count = total_max - sent_total < opt.pipeline ? total_max - sent_total : opt.pipeline;
    if (ended || count == 0) {
        return;
    }
    char *to = connection_room(c, count + c->missed_count);
    if (opt.test == TEST_ZIPF) {
        for (size_t i = 0; i < c->missed_count; i++) {
            to = template_write(&set_template, to, c->missed[i]);
        }
        c->outstanding += c->missed_count;
        c->sets_count = c->missed_count;
        c->missed_count = c->asked_count = c->asked_next = 0;
        for (uint64_t i = 0; i < count; i++) {
            uint64_t key = next_key();
            c->asked[c->asked_count++] = key;
            to = template_write(&get_template, to, key);
        }
    } else {
        for (uint64_t i = 0; i < count; i++) {
            to = request_write(to);
        }
    }
    c->output_used = (size_t)(to - c->output);
    c->outstanding += count;
    sent_total += count;
    c->sent_ns = clock_ns();
    connection_flush(c);
}

/* A reply is complete. The zipf test learns from it which of its keys were missing. */
static inline void connection_reply(struct connection *c, enum reply kind) {
    phase->replies[kind]++;
    if (opt.test == TEST_ZIPF) {
        if (c->sets_count > 0) {
            c->sets_count--;
        } else {
            uint64_t key = c->asked[c->asked_next++];
            if (kind == REPLY_NIL) {
                c->missed[c->missed_count++] = key;
            }
        }
    }
}

/* A reply is complete, or one more element of an array. Returns how many replies that makes. */
static inline uint64_t connection_part(struct connection *c, enum reply kind) {
    if (c->scan_left > 0) {
        if (kind == REPLY_ERROR || kind == REPLY_ARRAY) {
            fail("an array holds errors or arrays");
        }
        if (--c->scan_left > 0) {
            return 0;
        }
        kind = REPLY_ARRAY;
    }
    connection_reply(c, kind);
    return 1;
}

static enum reply reply_kind(char type) {
    switch (type) {
    case '+':
        return REPLY_SIMPLE;
    case '-':
        return REPLY_ERROR;
    case ':':
        return REPLY_INTEGER;
    case '$':
        return REPLY_BULK;
    case '*':
        return REPLY_ARRAY;
    default:
        fail("a reply begins with byte 0x%02x", (unsigned char)type);
    }
}

static void keep_error(const char *from, const char *end) {
    size_t used = strlen(first_error);
    for (; from < end && *from != '\r' && used + 1 < sizeof first_error; from++) {
        first_error[used++] = (char)(*from == '"' || *from == '\\' || *from < ' ' ? '?' : *from);
    }
    first_error[used] = 0;
}

/* Runs over what was read and returns how many replies it completed. */
static uint64_t connection_scan(struct connection *c, const char *at, size_t bytes) {
    const char *end = at + bytes;
    uint64_t completed = 0;
    while (at < end) {
        switch (c->scan) {
        case SCAN_TYPE:
            c->scan_kind = reply_kind(*at++);
            c->scan_number = 0;
            c->scan_negative = false;
            c->scan =
                c->scan_kind == REPLY_BULK || c->scan_kind == REPLY_ARRAY ? SCAN_NUMBER : SCAN_TEXT;
            break;
        case SCAN_TEXT: {
            if (c->scan_kind == REPLY_ERROR && !has_error) {
                keep_error(at, end);
            }
            const char *newline = memchr(at, '\n', (size_t)(end - at));
            if (newline == NULL) {
                return completed;
            }
            at = newline + 1;
            c->scan = SCAN_TYPE;
            has_error |= c->scan_kind == REPLY_ERROR;
            completed += connection_part(c, c->scan_kind);
            break;
        }
        case SCAN_NUMBER:
            while (at < end && *at != '\n') {
                if (*at == '-') {
                    c->scan_negative = true;
                } else if (*at != '\r') {
                    c->scan_number = 10 * c->scan_number + (*at - '0');
                }
                at++;
            }
            if (at == end) {
                return completed;
            }
            at++;
            if (c->scan_negative) {
                c->scan = SCAN_TYPE;
                completed += connection_part(c, REPLY_NIL);
            } else if (c->scan_kind == REPLY_ARRAY) {
                c->scan = SCAN_TYPE;
                if (c->scan_left > 0 || c->scan_number == 0) {
                    completed += connection_part(c, REPLY_ARRAY);
                }
                c->scan_left = c->scan_number;
            } else {
                phase->wrong_length +=
                    opt.test != TEST_COMMAND && (size_t)c->scan_number != opt.value_bytes;
                c->scan_number += 2;
                c->scan = SCAN_SKIP;
            }
            break;
        case SCAN_SKIP:
            if (end - at < c->scan_number) {
                c->scan_number -= end - at;
                return completed;
            }
            at += c->scan_number;
            c->scan = SCAN_TYPE;
            completed += connection_part(c, REPLY_BULK);
            break;
        }
    }
    return completed;
}

static void connection_read(struct connection *c) {
    ssize_t n = read(c->fd, input, sizeof input);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        fail("the server closed a connection: %s %s", n < 0 ? strerror(errno) : "end of file",
             first_error);
    }
    uint64_t now_ns = clock_ns();
    uint64_t completed = connection_scan(c, input, (size_t)n);
    if (completed > c->outstanding) {
        fail("more replies than requests");
    }
    c->outstanding -= completed;
    replies_total += completed;
    if (opt.rate > 0) {
        for (uint64_t i = 0; i < completed; i++) {
            uint64_t due_ns = c->due_ns[c->due_first++ & (DUE_MAX - 1)];
            histogram_add(&phase->latency, now_ns - due_ns, 1);
        }
    } else if (completed > 0) {
        histogram_add(&phase->latency, now_ns - c->sent_ns, completed);
    }
}

/* Opens all connections, with TCP_NODELAY, a few at a time. */
static void connections_open(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port)};
    if (inet_pton(AF_INET, opt.host, &address.sin_addr) != 1) {
        fail("%s is not an IPv4 address", opt.host);
    }
    connections = allocate((size_t)opt.connections_count, sizeof *connections);
    for (uint64_t i = 0; i < opt.connections_count; i++) {
        struct connection *c = &connections[i];
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0) {
            fail("socket %" PRIu64 ": %s (see ulimit -n)", i, strerror(errno));
        }
        if (connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0) {
            fail("connection %" PRIu64 ": %s", i, strerror(errno));
        }
        int one = 1;
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (opt.test == TEST_IDLE && i % CONNECTING_MAX == CONNECTING_MAX - 1) {
            usleep(2000); /* the server accepts; its backlog never fills */
        }
    }
    for (uint64_t i = 0; i < opt.connections_count; i++) {
        struct connection *c = &connections[i];
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) != 0) {
            fail("epoll_ctl: %s", strerror(errno));
        }
        if (opt.test == TEST_ZIPF) {
            c->asked = allocate(opt.pipeline, sizeof(uint64_t));
            c->missed = allocate(opt.pipeline, sizeof(uint64_t));
        }
        if (opt.rate > 0) {
            c->due_ns = allocate(DUE_MAX, sizeof(uint64_t));
        }
    }
}

/* ---- the run ---- */

static uint64_t start_ns;
static uint64_t next_connection; /* open loop: whose turn it is */

static uint64_t due_time_ns(uint64_t request) {
    return start_ns + (uint64_t)((double)request * 1e9 / opt.rate);
}

/* Open loop: sends all that is due by now, spread over the connections in turn. */
static void send_due(void) {
    uint64_t now_ns = clock_ns();
    while (!ended && sent_total < total_max && due_time_ns(sent_total) <= now_ns) {
        struct connection *c = &connections[next_connection];
        next_connection = (next_connection + 1) % opt.connections_count;
        if (c->outstanding == DUE_MAX) {
            return; /* hopelessly behind; what is due stays due, and is counted from then */
        }
        uint64_t due_ns = due_time_ns(sent_total);
        char *to = connection_room(c, 1);
        c->output_used = (size_t)(request_write(to) - c->output);
        c->due_ns[(c->due_first + c->outstanding) & (DUE_MAX - 1)] = due_ns;
        c->outstanding++;
        sent_total++;
        histogram_add(&phase->send_lag, now_ns - due_ns, 1);
        if (!c->waits_for_room) {
            connection_flush(c);
        }
        now_ns = clock_ns();
    }
}

/* Moves on to the measured phase and to the end, as the bounds of the run say. */
static void check_bounds(void) {
    if (opt.control) {
        return;
    }
    bool warm = phase->name[0] == 'm';
    if (opt.requests > 0) {
        if (!warm && replies_total >= opt.warmup_requests) {
            phase_begin("measured");
        }
        ended = replies_total >= total_max;
        return;
    }
    double elapsed_s = (double)(clock_ns() - start_ns) / 1e9;
    if (!warm && elapsed_s >= opt.warmup_seconds) {
        phase_begin("measured");
    }
    ended = elapsed_s >= opt.warmup_seconds + opt.seconds;
}

/* Reads commands from the standard input, which is blocking and line buffered by its writer. */
static void read_control(void) {
    char text[256];
    ssize_t n = read(STDIN_FILENO, text, sizeof text - 1);
    if (n <= 0) {
        ended = true;
        return;
    }
    text[n] = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strncmp(line, "phase ", 6) == 0) {
            phase_begin(line + 6);
        } else if (strcmp(line, "end") == 0) {
            ended = true;
        } else {
            fail("unknown control line: %s", line);
        }
    }
}

static int wait_events(struct epoll_event *events) {
    uint64_t wait_ns = SECOND_NS / 20;
    if (opt.rate > 0 && sent_total < total_max) {
        uint64_t now_ns = clock_ns(), due_ns = due_time_ns(sent_total);
        uint64_t until_ns = due_ns > now_ns ? due_ns - now_ns : 0;
        wait_ns = until_ns < wait_ns ? until_ns : wait_ns;
    }
    struct timespec timeout = {.tv_nsec = (long)wait_ns};
    int n = epoll_pwait2(epoll_fd, events, EVENTS_MAX, &timeout, NULL);
    if (n < 0 && errno != EINTR) {
        fail("epoll_pwait2: %s", strerror(errno));
    }
    return n;
}

static void watch_control(void) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0) {
        fail("--control needs a pipe or a terminal as standard input");
    }
}

static void run(void) {
    if (opt.requests > 0) {
        total_max = opt.warmup_requests + opt.requests;
    }
    if (opt.control) {
        watch_control();
    }
    start_ns = clock_ns();
    phase_begin("warmup");
    check_bounds();
    for (uint64_t i = 0; opt.rate == 0 && i < opt.connections_count; i++) {
        connection_send_batch(&connections[i]);
    }
    while (!ended) {
        struct epoll_event events[EVENTS_MAX];
        int count = wait_events(events);
        for (int i = 0; i < count && !ended; i++) {
            struct connection *c = events[i].data.ptr;
            if (c == NULL) {
                read_control();
                continue;
            }
            if ((events[i].events & EPOLLOUT) != 0) {
                connection_flush(c);
            }
            if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0) {
                connection_read(c);
                if (opt.rate == 0 && c->outstanding == 0) {
                    connection_send_batch(c);
                }
                check_bounds();
            }
        }
        if (opt.rate > 0) {
            send_due();
        }
        if (count <= 0) {
            check_bounds();
        }
    }
    phase_end();
}

/* Opens the connections, has each say PING once, tells that they stand and holds them. */
static void run_idle(void) {
    for (uint64_t i = 0; i < opt.connections_count; i++) {
        struct connection *c = &connections[i];
        char pong[7];
        size_t got = 0;
        fcntl(c->fd, F_SETFL, 0);
        if (write(c->fd, "*1\r\n$4\r\nPING\r\n", 14) != 14) {
            fail("connection %" PRIu64 ": %s", i, strerror(errno));
        }
        while (got < sizeof pong) {
            ssize_t n = read(c->fd, pong + got, sizeof pong - got);
            if (n <= 0) {
                fail("connection %" PRIu64 " was closed", i);
            }
            got += (size_t)n;
        }
        if (memcmp(pong, "+PONG\r\n", sizeof pong) != 0) {
            fail("connection %" PRIu64 " got no PONG", i);
        }
    }
    printf("ready\n");
    fflush(stdout);
    while (!ended) {
        read_control();
    }
}

static void print_result(void) {
    printf("{\"test\": \"%s\", \"connections\": %" PRIu64 ", \"pipeline\": %" PRIu64
           ", \"rate\": %g",
           test_names[opt.test], opt.connections_count, opt.pipeline, opt.rate);
    printf(", \"first_error\": \"%s\", \"phases\": [", first_error);
    for (size_t i = 0; i < phases_count; i++) {
        printf("%s", i > 0 ? ",\n " : "");
        phase_print(phases[i]);
    }
    printf("]}\n");
}

/* ---- options ---- */

static const char usage[] =
    "usage: load [options]\n"
    "  --host ADDRESS --port N\n"
    "  --test get|set|incr|mixed|zipf|command|idle\n"
    "  --keys N            keys are PREFIX and twelve digits below N\n"
    "  --prefix ABCD       four bytes, key: by default\n"
    "  --each              every key once in scattered order, instead of random ones\n"
    "  --value-bytes N     printable, never an integer\n"
    "  --connections N --pipeline N\n"
    "  --requests N --warmup-requests N, or --seconds S --warmup-seconds S, or --control\n"
    "  --rate R            open loop: R requests per second\n"
    "  --get-percent N     of the mixed test\n"
    "  --zipf-exponent S   zipf: GET, and SET when missing\n"
    "  --command 'WORDS'   of the command test: {key} is twelve digits of a key, {field} twelve\n"
    "                      digits below --fields, {value} as above, {score} six digits\n"
    "  --fields N\n"
    "  --expire-s N        SET with EX N to 2N, N of six digits\n"
    "  --seed N --server-pid PID\n";

enum option_kind { OPTION_TEXT, OPTION_COUNT, OPTION_REAL, OPTION_FLAG, OPTION_TEST };

static const struct {
    const char *name;
    enum option_kind kind;
    void *to;
} options[] = {
    {"host", OPTION_TEXT, &opt.host},
    {"port", OPTION_COUNT, &opt.port},
    {"test", OPTION_TEST, &opt.test},
    {"keys", OPTION_COUNT, &opt.keys_count},
    {"prefix", OPTION_TEXT, &opt.prefix},
    {"each", OPTION_FLAG, &opt.each},
    {"value-bytes", OPTION_COUNT, &opt.value_bytes},
    {"connections", OPTION_COUNT, &opt.connections_count},
    {"pipeline", OPTION_COUNT, &opt.pipeline},
    {"requests", OPTION_COUNT, &opt.requests},
    {"warmup-requests", OPTION_COUNT, &opt.warmup_requests},
    {"seconds", OPTION_REAL, &opt.seconds},
    {"warmup-seconds", OPTION_REAL, &opt.warmup_seconds},
    {"control", OPTION_FLAG, &opt.control},
    {"rate", OPTION_REAL, &opt.rate},
    {"get-percent", OPTION_COUNT, &opt.get_percent},
    {"zipf-exponent", OPTION_REAL, &opt.zipf_exponent},
    {"command", OPTION_TEXT, &opt.command},
    {"fields", OPTION_COUNT, &opt.fields_count},
    {"expire-s", OPTION_COUNT, &opt.expire_s},
    {"seed", OPTION_COUNT, &opt.seed},
    {"server-pid", OPTION_COUNT, &opt.server_pid},
};

__attribute__((noreturn)) static void fail_usage(void) {
    fputs(usage, stderr);
    exit(2);
}

static enum test parse_test(const char *text) {
    for (int i = 0; i < TEST_COUNT; i++) {
        if (strcmp(text, test_names[i]) == 0) {
            return (enum test)i;
        }
    }
    fail("no test is called %s", text);
}

static void parse_value(enum option_kind kind, void *to, const char *name, const char *text) {
    char *end = NULL;
    errno = 0;
    switch (kind) {
    case OPTION_TEXT:
        *(const char **)to = text;
        return;
    case OPTION_TEST:
        *(enum test *)to = parse_test(text);
        return;
    case OPTION_COUNT:
        *(uint64_t *)to = strtoull(text, &end, 10);
        break;
    case OPTION_REAL:
        *(double *)to = strtod(text, &end);
        break;
    case OPTION_FLAG:
        *(bool *)to = true;
        return;
    }
    if (errno != 0 || *end != 0 || *text < '0' || *text > '9') {
        fail("%s wants a number, not %s", name, text);
    }
}

static void parse_options(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        size_t row = 0, rows = sizeof options / sizeof options[0];
        bool is_option = strncmp(argv[i], "--", 2) == 0;
        while (is_option && row < rows && strcmp(argv[i] + 2, options[row].name) != 0) {
            row++;
        }
        bool is_flag = is_option && row < rows && options[row].kind == OPTION_FLAG;
        if (!is_option || row == rows || (!is_flag && i + 1 == argc)) {
            fail_usage();
        }
        const char *name = argv[i];
        i += !is_flag;
        parse_value(options[row].kind, options[row].to, name, argv[i]);
    }
    if (strlen(opt.prefix) != KEY_PREFIX_BYTES || opt.keys_count == 0 || opt.pipeline == 0 ||
        opt.fields_count == 0 || opt.connections_count == 0 || opt.value_bytes > VALUE_BYTES_MAX ||
        (opt.expire_s != 0 && (opt.expire_s < 100000 || opt.expire_s > 500000))) {
        fail_usage();
    }
    if (opt.test != TEST_IDLE && opt.requests == 0 && opt.seconds == 0 && !opt.control) {
        fail("one of --requests, --seconds and --control must bound the run");
    }
    if (opt.test == TEST_ZIPF && (opt.rate > 0 || opt.keys_count > UINT32_MAX)) {
        fail("the zipf test is a closed loop over at most 2^32 keys");
    }
}

int main(int argc, char **argv) {
    parse_options(argc, argv);
    prctl(PR_SET_TIMERSLACK, 1000ul); /* a microsecond: the open loop sleeps between requests */
    key_prng.state = opt.seed;
    value_prng.state = ~opt.seed;
    templates_init();
    command_init();
    if (opt.test == TEST_ZIPF && !zipf_init(&zipf, opt.keys_count, opt.zipf_exponent)) {
        fail("out of memory");
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) {
        fail("epoll_create1: %s", strerror(errno));
    }
    connections_open();
    if (opt.test == TEST_IDLE) {
        run_idle();
        return 0;
    }
    run();
    print_result();
    return 0;
}
