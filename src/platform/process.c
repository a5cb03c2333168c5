/* SPDX-License-Identifier: BSD-3-Clause */
#include "platform/process.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

/* ---- clocks ---- */

int64_t process_unix_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t process_monotonic_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void process_sleep_us(uint64_t us) {
    struct timespec left = {.tv_sec = (time_t)(us / 1000000),
                            .tv_nsec = (long)(us % 1000000) * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

/* ---- facts ---- */

static double seconds_of(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

void process_facts(struct process_facts *facts) {
    *facts = (struct process_facts){.process_id = getpid()};
    long page = sysconf(_SC_PAGESIZE), pages = sysconf(_SC_PHYS_PAGES);
    facts->system_memory_bytes = (uint64_t)page * (uint64_t)pages;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm != NULL) {
        unsigned long size = 0, resident = 0;
        if (fscanf(statm, "%lu %lu", &size, &resident) == 2) {
            facts->resident_bytes = resident * (uint64_t)page;
        }
        (void)fclose(statm);
    }
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        facts->cpu_user_seconds = seconds_of(usage.ru_utime);
        facts->cpu_system_seconds = seconds_of(usage.ru_stime);
    }
    if (getrusage(RUSAGE_THREAD, &usage) == 0) {
        facts->cpu_user_main_seconds = seconds_of(usage.ru_utime);
        facts->cpu_system_main_seconds = seconds_of(usage.ru_stime);
    }
    struct utsname name;
    if (uname(&name) == 0) {
        (void)snprintf(facts->os, sizeof(facts->os), "%.64s %.64s %.64s", name.sysname,
                       name.release, name.machine);
        (void)snprintf(facts->arch, sizeof(facts->arch), "%d", (int)sizeof(void *) * 8);
    }
}

bool process_entropy(void *bytes, size_t size) {
    /* Beyond 256 bytes a signal may end the call early. */
    for (size_t filled = 0; filled < size;) {
        ssize_t got = getrandom((char *)bytes + filled, size - filled, 0);
        if (got < 0 && errno != EINTR) {
            return false;
        }
        filled += got > 0 ? (size_t)got : 0;
    }
    return true;
}

uint64_t process_raise_descriptors(uint64_t wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 1024;
    }
    if (limit.rlim_cur < wanted) {
        struct rlimit raised = {.rlim_cur = wanted, .rlim_max = limit.rlim_max};
        if (raised.rlim_max < wanted) {
            raised.rlim_max = wanted;
        }
        if (setrlimit(RLIMIT_NOFILE, &raised) != 0) {
            raised = (struct rlimit){.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
            (void)setrlimit(RLIMIT_NOFILE, &raised);
        }
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit.rlim_cur;
}

static const char OOM_SCORE_PATH[] = "/proc/self/oom_score_adj";

bool process_oom_score(int *score) {
    FILE *file = fopen(OOM_SCORE_PATH, "re");
    if (file == NULL) {
        return false;
    }
    bool is_read = fscanf(file, "%d", score) == 1;
    (void)fclose(file);
    return is_read;
}

bool process_set_oom_score(int score) {
    FILE *file = fopen(OOM_SCORE_PATH, "we");
    if (file == NULL) {
        return false;
    }
    bool is_written = fprintf(file, "%d\n", score) > 0;
    /* The kernel says no when the bytes arrive. */
    return fclose(file) == 0 && is_written;
}

/* ---- files of text ---- */

static bool read_all(int descriptor, struct buffer *text) {
    for (;;) {
        ssize_t size = read(descriptor, buffer_reserve(text, 64 << 10), 64 << 10);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size <= 0) {
            return size == 0;
        }
        text->size += (size_t)size;
    }
}

bool process_read_file(const char *path, struct buffer *text, struct buffer *error) {
    bool is_input = strcmp(path, "-") == 0;
    int descriptor = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    bool is_read = descriptor >= 0 && read_all(descriptor, text);
    if (!is_read) {
        buffer_printf(error, "can't read '%s': %s", path, strerror(errno));
    }
    if (descriptor >= 0 && !is_input) {
        (void)close(descriptor);
    }
    return is_read;
}

static bool write_all(int descriptor, struct slice text) {
    while (text.size > 0) {
        ssize_t size = write(descriptor, text.data, text.size);
        if (size < 0 && errno != EINTR) {
            return false;
        }
        if (size > 0) {
            text = slice_skip(text, (size_t)size);
        }
    }
    return true;
}

bool process_write_file(const char *path, struct slice text, struct buffer *error) {
    struct buffer temporary = {0};
    buffer_printf(&temporary, "%s.%ld.tmp", path, (long)getpid());
    const char *name = buffer_text(&temporary);
    struct stat old;
    mode_t mode = stat(path, &old) == 0 ? old.st_mode & 0777 : 0644;
    int descriptor = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    bool is_written = descriptor >= 0 && write_all(descriptor, text) && fsync(descriptor) == 0 &&
                      rename(name, path) == 0;
    if (!is_written) {
        buffer_printf(error, "%s", strerror(errno));
        (void)unlink(name);
    }
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
    buffer_deinit(&temporary);
    return is_written;
}

bool process_expand_paths(const char *pattern, struct buffer *paths, struct buffer *error) {
    glob_t found;
    int status = glob(pattern, 0, NULL, &found);
    if (status == GLOB_NOMATCH) {
        return true;
    }
    if (status != 0) {
        buffer_printf(error, "can't expand '%s'", pattern);
        return false;
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        buffer_append(paths, found.gl_pathv[i], strlen(found.gl_pathv[i]) + 1);
    }
    globfree(&found);
    return true;
}

char *process_absolute_path(const char *path) {
    char *resolved = realpath(path, NULL);
    if (resolved == NULL) {
        return NULL;
    }
    char *copy = memory_copy_text(resolved);
    free(resolved);
    return copy;
}

bool process_change_directory(const char *path, struct buffer *error) {
    if (chdir(path) == 0) {
        return true;
    }
    buffer_printf(error, "%s", strerror(errno));
    return false;
}

/* ---- lifecycle ---- */

bool process_daemonize(void) {
    pid_t child = fork();
    if (child < 0) {
        return false;
    }
    if (child > 0) {
        _exit(0);
    }
    (void)setsid();
    int null = open("/dev/null", O_RDWR);
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
        if (null > STDERR_FILENO) {
            (void)close(null);
        }
    }
    return true;
}

void process_remove_file(const char *path) {
    (void)unlink(path);
}

void process_hold_signals(bool holds) {
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)pthread_sigmask(holds ? SIG_BLOCK : SIG_UNBLOCK, &signals, NULL);
}

void process_restart(char **argv) {
    for (int descriptor = 3; descriptor < 1024; descriptor++) {
        (void)fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    }
    (void)execv("/proc/self/exe", argv);
}
