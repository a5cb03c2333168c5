/* SPDX-License-Identifier: BSD-3-Clause */
/* LATENCY: events of the server that took long, and how long each command takes.
 *
 * An event is a name with a ring of samples, at most one for each second. A sample is taken when
 * something took latency-monitor-threshold or longer. */
#include "node/help.h"
#include "node/histogram.h"
#include "node/node.h"

enum { LATENCY_GRAPH_COLUMNS = 80, LATENCY_GRAPH_ROWS = 6 };

/* What the samples of an event have in common. */
struct latency_summary {
    unsigned count;
    uint32_t low_ms, high_ms;
    double mean_ms, deviation_ms; /* mean absolute deviation */
    int64_t first_seconds, last_seconds;
};

static unsigned latency_count(const struct latency_event *event) {
    unsigned count = 0;
    while (count < LATENCY_HISTORY && event->samples[count].unix_seconds != 0) {
        count++;
    }
    return count;
}

/* The place in the ring of sample `index`, the oldest being 0. */
static unsigned latency_at(const struct latency_event *event, unsigned count, unsigned index) {
    return (event->next + LATENCY_HISTORY - count + index) % LATENCY_HISTORY;
}

static struct latency_event *latency_find(struct node *node, struct slice name) {
    for (unsigned i = 0; i < LATENCY_EVENTS_MAX; i++) {
        struct latency_event *event = &node->latency[i];
        if (event->name != NULL && slice_equal(slice_of(event->name), name)) {
            return event;
        }
    }
    return NULL;
}

void node_latency_add(struct node *node, const char *name, uint64_t duration_us) {
    int64_t threshold_ms = node->options->latency_monitor_threshold;
    uint64_t duration_ms = duration_us / 1000;
    if (threshold_ms <= 0 || duration_ms < (uint64_t)threshold_ms) {
        return;
    }
    struct latency_event *event = latency_find(node, slice_of(name));
    for (unsigned i = 0; event == NULL && i < LATENCY_EVENTS_MAX; i++) {
        if (node->latency[i].name == NULL) {
            event = &node->latency[i];
            event->name = name;
        }
    }
    if (event == NULL) {
        return; /* more kinds of events than the node has */
    }
    uint32_t shown_ms = duration_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)duration_ms;
    int64_t unix_seconds = node->now_ms / 1000;
    if (shown_ms > event->max_ms) {
        event->max_ms = shown_ms;
    }
    unsigned newest = (event->next + LATENCY_HISTORY - 1) % LATENCY_HISTORY;
    if (event->samples[newest].unix_seconds == unix_seconds) {
        if (shown_ms > event->samples[newest].duration_ms) {
            event->samples[newest].duration_ms = shown_ms;
        }
        return;
    }
    event->samples[event->next].unix_seconds = unix_seconds;
    event->samples[event->next].duration_ms = shown_ms;
    event->next = (event->next + 1) % LATENCY_HISTORY;
}

static struct latency_summary latency_summarize(const struct latency_event *event) {
    struct latency_summary summary = {.count = latency_count(event), .low_ms = UINT32_MAX};
    double sum = 0;
    for (unsigned i = 0; i < summary.count; i++) {
        uint32_t duration_ms = event->samples[i].duration_ms;
        summary.low_ms = duration_ms < summary.low_ms ? duration_ms : summary.low_ms;
        summary.high_ms = duration_ms > summary.high_ms ? duration_ms : summary.high_ms;
        sum += duration_ms;
    }
    summary.mean_ms = summary.count > 0 ? sum / summary.count : 0;
    for (unsigned i = 0; i < summary.count; i++) {
        double off = event->samples[i].duration_ms - summary.mean_ms;
        summary.deviation_ms += (off < 0 ? -off : off) / summary.count;
    }
    if (summary.count > 0) {
        summary.first_seconds = event->samples[latency_at(event, summary.count, 0)].unix_seconds;
        summary.last_seconds =
            event->samples[latency_at(event, summary.count, summary.count - 1)].unix_seconds;
    }
    return summary;
}

/* LATENCY LATEST */
static void cmd_latency_latest(struct command_context *ctx) {
    size_t begin = reply_deferred_begin(ctx->reply);
    size_t count = 0;
    for (unsigned i = 0; i < LATENCY_EVENTS_MAX; i++) {
        const struct latency_event *event = &ctx->node->latency[i];
        if (event->name == NULL) {
            continue;
        }
        unsigned newest = (event->next + LATENCY_HISTORY - 1) % LATENCY_HISTORY;
        reply_array(ctx->reply, 4);
        reply_bulk_text(ctx->reply, event->name);
        reply_integer(ctx->reply, event->samples[newest].unix_seconds);
        reply_integer(ctx->reply, event->samples[newest].duration_ms);
        reply_integer(ctx->reply, event->max_ms);
        count++;
    }
    reply_deferred_array(ctx->reply, begin, count);
}

/* LATENCY HISTORY event */
static void cmd_latency_history(struct command_context *ctx) {
    const struct latency_event *event = latency_find(ctx->node, ctx->args[2]);
    unsigned count = event != NULL ? latency_count(event) : 0;
    reply_array(ctx->reply, count);
    for (unsigned i = 0; i < count; i++) {
        unsigned at = latency_at(event, count, i);
        reply_array(ctx->reply, 2);
        reply_integer(ctx->reply, event->samples[at].unix_seconds);
        reply_integer(ctx->reply, event->samples[at].duration_ms);
    }
}

/* LATENCY RESET [event ...]: how many were reset. */
static void cmd_latency_reset(struct command_context *ctx) {
    int64_t count = 0;
    for (unsigned i = 0; i < LATENCY_EVENTS_MAX; i++) {
        struct latency_event *event = &ctx->node->latency[i];
        bool is_meant = event->name != NULL && ctx->args_count == 2;
        for (size_t j = 2; event->name != NULL && j < ctx->args_count; j++) {
            is_meant = is_meant || slice_equal(slice_of(event->name), ctx->args[j]);
        }
        if (is_meant) {
            *event = (struct latency_event){0};
            count++;
        }
    }
    reply_integer(ctx->reply, count);
}

/* LATENCY GRAPH event: one column for each sample, newest at the right, its age below. */
static void latency_draw(struct buffer *text, const struct latency_event *event, int64_t now) {
    struct latency_summary summary = latency_summarize(event);
    unsigned columns =
        summary.count < LATENCY_GRAPH_COLUMNS ? summary.count : LATENCY_GRAPH_COLUMNS;
    buffer_printf(text, "%s - high %u ms, low %u ms (all time high %u ms)\n", event->name,
                  summary.high_ms, summary.low_ms, event->max_ms);
    for (unsigned i = 0; i < LATENCY_GRAPH_COLUMNS; i++) {
        buffer_append_byte(text, '-');
    }
    buffer_append_byte(text, '\n');
    uint32_t range = summary.high_ms - summary.low_ms;
    for (unsigned row = LATENCY_GRAPH_ROWS; row-- > 0;) {
        for (unsigned i = summary.count - columns; i < summary.count; i++) {
            uint32_t above =
                event->samples[latency_at(event, summary.count, i)].duration_ms - summary.low_ms;
            uint64_t height =
                range == 0 ? 1 : 1 + (uint64_t)above * (LATENCY_GRAPH_ROWS - 1) / range;
            buffer_append_byte(text, height > row ? '#' : ' ');
        }
        buffer_append_byte(text, '\n');
    }
    /* Ages from the top down, as "15s", "2m", "3h", "9d". */
    char ages[LATENCY_GRAPH_COLUMNS][8];
    for (unsigned i = 0; i < columns; i++) {
        static const struct {
            int64_t seconds;
            char unit;
        } UNITS[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
        unsigned at = latency_at(event, summary.count, summary.count - columns + i);
        int64_t age = now - event->samples[at].unix_seconds;
        age = age < 0 ? 0 : age > 9999 * 86400L ? 9999 * 86400L : age;
        unsigned unit = 0;
        while (unit < 3 && age < UNITS[unit].seconds) {
            unit++;
        }
        size_t size = number_format_integer(ages[i], age / UNITS[unit].seconds);
        ages[i][size] = UNITS[unit].unit;
        memset(ages[i] + size + 1, ' ', sizeof(ages[i]) - size - 1);
    }
    for (unsigned row = 0; row < 4; row++) {
        for (unsigned i = 0; i < columns; i++) {
            buffer_append_byte(text, (uint8_t)ages[i][row]);
        }
        buffer_append_byte(text, '\n');
    }
}

static void cmd_latency_graph(struct command_context *ctx) {
    const struct latency_event *event = latency_find(ctx->node, ctx->args[2]);
    if (event == NULL) {
        reply_errorf(ctx->reply, "ERR No samples available for event '%.*s'",
                     (int)(ctx->args[2].size < 128 ? ctx->args[2].size : 128), ctx->args[2].data);
        return;
    }
    struct buffer text = {0};
    latency_draw(&text, event, ctx->node->now_ms / 1000);
    reply_verbatim(ctx->reply, "txt", buffer_slice(&text));
    buffer_deinit(&text);
}

/* What may be done about an event, by its name. */
static const struct {
    const char *event, *advice;
} LATENCY_ADVICE[] = {
    {"command", "Look at SLOWLOG GET for the commands that take long, and prefer those that look "
                "at few keys at a time: SCAN rather than KEYS, UNLINK rather than DEL."},
    {"fast-command", "Commands that should be quick were not: another program may take the "
                     "processor or the memory away. Look at the load of the machine."},
    {"expire-cycle", "Many keys expire at the same time: spread their times to live a little."},
    {"eviction-cycle", "Memory is short and keys have to go: raise maxmemory or write less."},
    {"aof-write", "Writing to the log's files waits for the disk: see what else uses the disk."},
    {"aof-fsync-always", "The disk takes long to make the log durable: appendfsync everysec makes "
                         "clients wait less, at the price of a second's promises."},
};

/* LATENCY DOCTOR */
static void cmd_latency_doctor(struct command_context *ctx) {
    struct node *node = ctx->node;
    struct buffer text = {0};
    unsigned events_count = 0;
    for (unsigned i = 0; i < LATENCY_EVENTS_MAX; i++) {
        const struct latency_event *event = &node->latency[i];
        if (event->name == NULL) {
            continue;
        }
        struct latency_summary summary = latency_summarize(event);
        int64_t period = summary.last_seconds - summary.first_seconds;
        buffer_printf(
            &text,
            "%u. %s: %u latency spikes (average %.0f ms, mean deviation %.0f ms, one "
            "each %.2f seconds). Worst of all time: %u ms.\n",
            ++events_count, event->name, summary.count, summary.mean_ms, summary.deviation_ms,
            summary.count > 1 ? (double)period / (summary.count - 1) : 0.0, event->max_ms);
        for (size_t j = 0; j < sizeof(LATENCY_ADVICE) / sizeof(LATENCY_ADVICE[0]); j++) {
            if (strcmp(LATENCY_ADVICE[j].event, event->name) == 0) {
                buffer_printf(&text, "   %s\n", LATENCY_ADVICE[j].advice);
            }
        }
    }
    if (events_count == 0) {
        buffer_printf(&text, "%s\n",
                      node->options->latency_monitor_threshold == 0
                          ? "The latency monitor is off. Switch it on with CONFIG SET "
                            "latency-monitor-threshold <milliseconds>."
                          : "No latency spike was seen since the start or the last LATENCY RESET.");
    }
    reply_verbatim(ctx->reply, "txt", buffer_slice(&text));
    buffer_deinit(&text);
}

/* Writes name and histogram of a command if it was called; returns whether. */
static bool latency_reply_histogram(struct command_context *ctx, const struct command *row) {
    size_t index = command_table_index(&ctx->node->commands, row);
    const uint64_t *buckets = ctx->node->command_stats[index].histogram;
    uint64_t total = buckets != NULL ? histogram_count(buckets) : 0;
    if (total == 0) {
        return false;
    }
    struct buffer name = {0};
    command_table_full_name(row, &name);
    reply_bulk(ctx->reply, buffer_slice(&name));
    buffer_deinit(&name);
    reply_map(ctx->reply, 2);
    reply_bulk_text(ctx->reply, "calls");
    reply_integer(ctx->reply, (int64_t)total);
    reply_bulk_text(ctx->reply, "histogram_usec");
    size_t begin = reply_deferred_begin(ctx->reply);
    size_t count = 0;
    uint64_t seen = 0;
    /* Clients are shown one bucket for each doubling: 0 and 1, 2 and 3, 4 to 7, 8 to 15, ... */
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS;) {
        unsigned end = i < 4 ? i + 2 : i + 4;
        uint64_t seen_before = seen;
        for (; i < end; i++) {
            seen += buckets[i];
        }
        if (seen > seen_before) {
            reply_integer(ctx->reply, (int64_t)histogram_bound_us(end - 1));
            reply_integer(ctx->reply, (int64_t)seen);
            count++;
        }
    }
    reply_deferred_map(ctx->reply, begin, count);
    return true;
}

/* The histograms of the command called `name`, "get" or "config|get", and of all subcommands when
 * it has some. Returns their number. */
static size_t latency_reply_named(struct command_context *ctx, struct slice name) {
    const struct command_table *table = &ctx->node->commands;
    const char *bar = name.size > 0 ? memchr(name.data, '|', name.size) : NULL;
    if (bar != NULL) {
        size_t size = (size_t)(bar - name.data);
        const struct command *parent = command_table_find(table, slice_make(name.data, size));
        const struct command *row =
            parent != NULL ? command_table_find_sub(table, parent, slice_skip(name, size + 1))
                           : NULL;
        return row != NULL && latency_reply_histogram(ctx, row) ? 1 : 0;
    }
    const struct command *row = command_table_find(table, name);
    if (row == NULL) {
        return 0;
    }
    size_t count = latency_reply_histogram(ctx, row) ? 1 : 0;
    for (size_t i = 0; i < table->count; i++) {
        const struct command *sub = table->rows[i];
        if (sub->parent != NULL && strcmp(sub->parent, row->name) == 0 &&
            latency_reply_histogram(ctx, sub)) {
            count++;
        }
    }
    return count;
}

/* LATENCY HISTOGRAM [command ...] */
static void cmd_latency_histogram(struct command_context *ctx) {
    const struct command_table *table = &ctx->node->commands;
    size_t begin = reply_deferred_begin(ctx->reply);
    size_t count = 0;
    for (size_t i = 2; i < ctx->args_count; i++) {
        count += latency_reply_named(ctx, ctx->args[i]);
    }
    for (size_t i = 0; ctx->args_count == 2 && i < table->count; i++) {
        count += latency_reply_histogram(ctx, table->rows[i]) ? 1 : 0;
    }
    reply_deferred_map(ctx->reply, begin, count);
}

/* LATENCY HELP */
static void cmd_latency_help(struct command_context *ctx) {
    static const char *const LINES[] = {
        "DOCTOR",
        "    Explain in words what took long, and what may be done about it.",
        "GRAPH <event>",
        "    Draw the samples of <event>.",
        "HISTORY <event>",
        "    Show times and durations of the samples of <event>.",
        "LATEST",
        "    Show the newest sample and the maximum of each event.",
        "RESET [<event> ...]",
        "    Forget the samples of some events, or of all.",
        "HISTOGRAM [<command> ...]",
        "    Show how long commands took, as a cumulative distribution; of all that were called",
        "    when none is named.",
    };
    HELP_REPLY(ctx, LINES);
}

#define LATENCY_ROW                                                                                \
    .parent = "latency", .flags = CMD_ADMIN | CMD_NO_SCRIPT | CMD_LOADING | CMD_STALE,             \
    .group = "server"

static const struct command cmd_latency_rows[] = {
    {.name = "latency",
     .arity = -2,
     .group = "server",
     .since = "2.8.13",
     .cost = "Depends on subcommand.",
     .summary = "A container for commands about how long things take."},
    {LATENCY_ROW, .name = "doctor", .handler = cmd_latency_doctor, .arity = 2, .since = "2.8.13",
     .cost = "O(1)", .summary = "Explains in words what took long."},
    {LATENCY_ROW, .name = "graph", .handler = cmd_latency_graph, .arity = 3, .since = "2.8.13",
     .cost = "O(1)", .syntax = "event", .summary = "Draws the samples of an event."},
    {LATENCY_ROW, .name = "histogram", .handler = cmd_latency_histogram, .arity = -2,
     .since = "7.0.0",
     .cost = "O(N) where N is the number of commands with latency information being retrieved.",
     .syntax = "[command [command ...]]",
     .summary = "Returns the cumulative distribution of the durations of commands."},
    {LATENCY_ROW, .name = "history", .handler = cmd_latency_history, .arity = 3, .since = "2.8.13",
     .cost = "O(1)", .syntax = "event", .summary = "Returns the samples of an event."},
    {LATENCY_ROW, .name = "latest", .handler = cmd_latency_latest, .arity = 2, .since = "2.8.13",
     .cost = "O(1)", .summary = "Returns the newest sample of each event."},
    {LATENCY_ROW, .name = "reset", .handler = cmd_latency_reset, .arity = -2, .since = "2.8.13",
     .cost = "O(1)", .syntax = "[event [event ...]]",
     .summary = "Forgets the samples of some events, or of all."},
    {.name = "help",
     .parent = "latency",
     .handler = cmd_latency_help,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .group = "server",
     .since = "2.8.13",
     .cost = "O(1)",
     .summary = "Lists the subcommands."},
};

COMMAND_FAMILY(cmd_latency_family, cmd_latency_rows);
