/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line: which of the program's few modes is meant. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "config/config.h"
#include "log/log.h"
#include "node/info.h"
#include "platform/disk_posix.h"
#include "platform/memory_usage.h"
#include "platform/process.h"
#include "server/message_log.h"
#include "server/server.h"

static const char USAGE[] =
    "Usage: starling-server [/path/to/starling.conf] [options] [-]\n"
    "       starling-server - (read the configuration from standard input)\n"
    "       starling-server --check DIR    (verify a data directory, changing nothing)\n"
    "       starling-server --repair DIR   (cut a damaged log at its last good record)\n"
    "       starling-server --print-config (the explained configuration with all defaults)\n"
    "       starling-server -v or --version\n"
    "       starling-server -h or --help\n"
    "\n"
    "Examples:\n"
    "       starling-server --port 7777 --appendonly yes --dir /var/lib/starling\n"
    "       starling-server /etc/starling.conf --loglevel verbose\n"
    "       starling-server --save 3600 1 --save 60 10000 --maxmemory 100mb\n"
    "\n"
    "Options, as in the file, with their defaults:\n";

static bool read_file(void *udata, const char *path, struct buffer *text, struct buffer *error) {
    (void)udata;
    return process_read_file(path, text, error);
}

static bool expand(void *udata, const char *pattern, struct buffer *paths, struct buffer *error) {
    (void)udata;
    return process_expand_paths(pattern, paths, error);
}

static int print(void (*write)(struct buffer *text), const char *before) {
    struct buffer text = {0};
    write(&text);
    (void)fputs(before, stdout);
    (void)fwrite(text.data, 1, text.size, stdout);
    buffer_deinit(&text);
    return 0;
}

/* In the form of redis-server, from which tools read what they may expect of a server. */
static void print_version(void) {
    (void)printf("Starling server v=%s sha=00000000:0 malloc=%s bits=%zu build=%s "
                 "starling_version=%s\n",
                 INFO_REDIS_VERSION, memory_usage_allocator(), sizeof(void *) * 8, STARLING_BUILD,
                 STARLING_VERSION);
}

static void report_line(void *udata, const char *line) {
    (void)udata;
    (void)puts(line);
}

/* --check and --repair. */
static int inspect(const char *directory, bool repairs) {
    int failure = 0;
    struct disk_posix *disk = disk_posix_new(directory, &failure);
    if (disk == NULL) {
        (void)fprintf(stderr, "%s: %s\n", directory, strerror(failure));
        return 1;
    }
    enum log_status status = repairs ? log_repair(disk_posix_disk(disk), report_line, NULL)
                                     : log_check(disk_posix_disk(disk), report_line, NULL);
    disk_posix_free(disk);
    return status == LOG_OK ? 0 : 1;
}

/* Replaces a relative path by its absolute form, so that it outlives a change of directory. */
static void make_config_file_absolute(struct options *options) {
    char *file =
        options->config_file[0] != '\0' ? process_absolute_path(options->config_file) : NULL;
    if (file != NULL) {
        options_set_config_file(options, file);
        memory_free(file);
    }
}

static bool enter_directory(struct options *options, struct buffer *error) {
    if (!process_change_directory(options->dir, error)) {
        return false;
    }
    char *directory = process_absolute_path(".");
    bool is_set = directory != NULL &&
                  config_set_text(options, OPTION_dir, slice_of(directory), error) == CONFIG_OK;
    memory_free(directory);
    return is_set;
}

static int serve(int argc, char **argv) {
    struct options options;
    struct buffer error = {0};
    const struct config_reader reader = {.read = read_file, .expand = expand};
    options_init(&options);
    int status = 1;
    if (config_parse_arguments(&options, argc, argv, &reader, &error) != CONFIG_OK) {
        (void)fprintf(stderr, "%s\n", buffer_text(&error));
    } else {
        make_config_file_absolute(&options);
        if (!enter_directory(&options, &error)) {
            (void)fprintf(stderr, "Can't chdir to '%s': %s\n", options.dir, buffer_text(&error));
        } else if (!message_log_is_writable(&options)) {
            /* A server whose messages nobody gets should not seem to be well. */
            (void)fprintf(stderr, "Can't open the log file '%s': %s\n", options.logfile,
                          strerror(errno));
        } else {
            status = server_run(&options, argv);
        }
    }
    buffer_deinit(&error);
    options_deinit(&options);
    return status;
}

int main(int argc, char **argv) {
    const char *directory = NULL;
    switch (config_arguments_mode(argc, argv, &directory)) {
    case CONFIG_MODE_SERVE:
        return serve(argc, argv);
    case CONFIG_MODE_HELP:
        return print(config_write_help, USAGE);
    case CONFIG_MODE_VERSION:
        print_version();
        return 0;
    case CONFIG_MODE_PRINT_CONFIG:
        return print(config_write_reference, "");
    case CONFIG_MODE_CHECK:
        return inspect(directory, false);
    case CONFIG_MODE_REPAIR:
        return inspect(directory, true);
    case CONFIG_MODE_INVALID:
        break;
    }
    (void)fprintf(stderr, "--check and --repair need a directory.\n");
    return 1;
}
