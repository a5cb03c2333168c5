/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/message_log.h"

#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static bool is_loud_enough(const struct options *options, enum log_level level) {
    switch ((enum option_loglevel)options->loglevel) {
    case OPTION_LOGLEVEL_DEBUG:
        return true;
    case OPTION_LOGLEVEL_VERBOSE:
        return level >= LOG_LEVEL_VERBOSE;
    case OPTION_LOGLEVEL_NOTICE:
        return level >= LOG_LEVEL_NOTICE;
    case OPTION_LOGLEVEL_WARNING:
        return level >= LOG_LEVEL_WARNING;
    case OPTION_LOGLEVEL_NOTHING:
        return false;
    }
    return true;
}

bool message_log_is_writable(const struct options *options) {
    if (options->logfile[0] == '\0') {
        return true;
    }
    FILE *file = fopen(options->logfile, "ae");
    return file != NULL && fclose(file) == 0;
}

void message_log_write(const struct options *options, enum log_level level, const char *text) {
    static const char marks[] = {'.', '-', '*', '#'};
    if (!is_loud_enough(options, level)) {
        return;
    }
    /* Opened for each message, so that a file that was rotated away is begun anew. */
    bool has_file = options->logfile[0] != '\0';
    FILE *file = has_file ? fopen(options->logfile, "ae") : stdout;
    if (file == NULL) {
        return;
    }
    struct timeval now;
    struct tm local;
    char time_text[64];
    (void)gettimeofday(&now, NULL);
    (void)localtime_r(&now.tv_sec, &local);
    (void)strftime(time_text, sizeof(time_text), "%d %b %Y %H:%M:%S", &local);
    (void)fprintf(file, "%d:M %s.%03d %c %s\n", (int)getpid(), time_text, (int)(now.tv_usec / 1000),
                  marks[level], text);
    (void)fflush(file);
    if (has_file) {
        (void)fclose(file);
    }
}
