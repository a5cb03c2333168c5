/* SPDX-License-Identifier: BSD-3-Clause */
/* The process and its machine: clocks, entropy, figures, files of text, becoming a daemon. */
#ifndef PLATFORM_PROCESS_H
#define PLATFORM_PROCESS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/buffer.h"

/* ---- clocks ---- */

int64_t process_unix_ms(void);
/* Microseconds that only grow. Cheap: the processor's own counter where it is steady. */
uint64_t process_monotonic_us(void);
void process_sleep_us(uint64_t us);

/* ---- facts ---- */

struct process_facts {
    int64_t process_id;
    uint64_t resident_bytes, system_memory_bytes;
    double cpu_user_seconds, cpu_system_seconds;
    double cpu_user_main_seconds, cpu_system_main_seconds;
    char os[256], arch[64];
};
void process_facts(struct process_facts *facts);
/* Random bytes from the system; false when there are none. */
bool process_entropy(void *bytes, size_t size);
/* Makes room for so many descriptors; returns how many there may be. */
uint64_t process_raise_descriptors(uint64_t wanted);
/* How soon the kernel kills the process when memory is out, -1000 to 1000; false where that cannot
 * be told, or set. */
bool process_oom_score(int *score);
bool process_set_oom_score(int score);

/* ---- files of text ---- */

/* Appends the whole file ("-": standard input); false with words in `error`. */
bool process_read_file(const char *path, struct buffer *text, struct buffer *error);
/* Replaces the file in one step: a reader sees the old text or the new. */
bool process_write_file(const char *path, struct slice text, struct buffer *error);
/* Appends each path that matches the shell pattern, sorted, with its terminator. */
bool process_expand_paths(const char *pattern, struct buffer *paths, struct buffer *error);
/* The absolute form of a path that exists; the caller frees it. NULL when there is none. */
char *process_absolute_path(const char *path);
bool process_change_directory(const char *path, struct buffer *error);

/* ---- lifecycle ---- */

/* Goes on in the background, detached from the terminal; false when that fails. */
bool process_daemonize(void);
/* SIGINT and SIGTERM wait, in this thread and those that it starts, or come again. */
void process_hold_signals(bool holds);
void process_remove_file(const char *path);
/* Starts the same program anew in place of this one; returns only on failure. */
void process_restart(char **argv);

#endif
