/* SPDX-License-Identifier: BSD-3-Clause */
#include "log/directory.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"

enum { LOST_NAMES_MAX = 1000, SEQUENCE_DIGITS = 16 };

void directory_segment_name(char name[DIRECTORY_NAME_BYTES], uint64_t sequence) {
    (void)snprintf(name, DIRECTORY_NAME_BYTES, "log-%016llx.segment", (unsigned long long)sequence);
}

void directory_snapshot_name(char name[DIRECTORY_NAME_BYTES], uint64_t sequence) {
    (void)snprintf(name, DIRECTORY_NAME_BYTES, "snapshot-%016llx.snapshot",
                   (unsigned long long)sequence);
}

void directory_snapshot_tmp_name(char name[DIRECTORY_NAME_BYTES], uint64_t sequence) {
    (void)snprintf(name, DIRECTORY_NAME_BYTES, "snapshot-%016llx.tmp",
                   (unsigned long long)sequence);
}

/* Is `name` prefix, 16 lower-case hexadecimal digits, suffix? */
static bool parse_name(const char *name, const char *prefix, const char *suffix,
                       uint64_t *sequence) {
    size_t prefix_bytes = strlen(prefix);
    if (strncmp(name, prefix, prefix_bytes) != 0) {
        return false;
    }
    name += prefix_bytes;
    if (strlen(name) != SEQUENCE_DIGITS + strlen(suffix) ||
        strcmp(name + SEQUENCE_DIGITS, suffix) != 0) {
        return false;
    }
    *sequence = 0;
    for (int i = 0; i < SEQUENCE_DIGITS; i++) {
        char c = name[i];
        uint64_t digit;
        if (c >= '0' && c <= '9') {
            digit = (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (uint64_t)(c - 'a') + 10;
        } else {
            return false;
        }
        *sequence = *sequence << 4 | digit;
    }
    return *sequence > 0;
}

static void add_file(struct directory_files *files, uint64_t sequence, uint64_t bytes) {
    if (files->count == files->capacity) {
        files->capacity = files->capacity > 0 ? 2 * files->capacity : 16;
        files->files = memory_resize(files->files, files->capacity * sizeof(files->files[0]));
    }
    files->files[files->count++] = (struct directory_file){.sequence = sequence, .bytes = bytes};
}

static bool visit_file(void *udata, const char *name, uint64_t size) {
    struct directory *directory = udata;
    uint64_t sequence;
    if (parse_name(name, "log-", ".segment", &sequence)) {
        add_file(&directory->segments, sequence, size);
    } else if (parse_name(name, "snapshot-", ".snapshot", &sequence)) {
        add_file(&directory->snapshots, sequence, size);
    } else if (parse_name(name, "snapshot-", ".tmp", &sequence) ||
               parse_name(name, "log-", ".tmp", &sequence) ||
               strcmp(name, DIRECTORY_NODE_FILE_TMP) == 0) {
        size_t count = directory->tmp_count++;
        directory->tmp_names =
            memory_resize(directory->tmp_names, (count + 1) * sizeof(directory->tmp_names[0]));
        (void)snprintf(directory->tmp_names[count], DIRECTORY_NAME_BYTES, "%s", name);
    } else if (strcmp(name, DIRECTORY_NODE_FILE) == 0) {
        directory->has_node_file = true;
    }
    return true;
}

static int compare_files(const void *a, const void *b) {
    uint64_t left = ((const struct directory_file *)a)->sequence;
    uint64_t right = ((const struct directory_file *)b)->sequence;
    return left < right ? -1 : left > right;
}

static void sort_files(struct directory_files *files) {
    if (files->count > 1) {
        qsort(files->files, files->count, sizeof(files->files[0]), compare_files);
    }
}

enum disk_status directory_read(struct directory *directory, struct disk *disk) {
    *directory = (struct directory){0};
    enum disk_status status = disk->methods->list(disk, visit_file, directory);
    sort_files(&directory->segments);
    sort_files(&directory->snapshots);
    return status;
}

void directory_deinit(struct directory *directory) {
    memory_free(directory->segments.files);
    memory_free(directory->snapshots.files);
    memory_free(directory->tmp_names);
    *directory = (struct directory){0};
}

static uint64_t newest(const struct directory_files *files) {
    return files->count > 0 ? files->files[files->count - 1].sequence : 0;
}

uint64_t directory_newest(const struct directory *directory) {
    uint64_t segment = newest(&directory->segments), snapshot = newest(&directory->snapshots);
    return segment > snapshot ? segment : snapshot;
}

const struct directory_file *directory_find(const struct directory_files *files,
                                            uint64_t sequence) {
    struct directory_file wanted = {.sequence = sequence};
    return files->count == 0 ? NULL
                             : bsearch(&wanted, files->files, files->count, sizeof(files->files[0]),
                                       compare_files);
}

enum disk_status directory_set_aside(struct disk *disk, const char *name,
                                     char lost[DIRECTORY_NAME_BYTES]) {
    for (int i = 1; i <= LOST_NAMES_MAX; i++) {
        if (i == 1) {
            (void)snprintf(lost, DIRECTORY_NAME_BYTES, "%.40s.lost", name);
        } else {
            (void)snprintf(lost, DIRECTORY_NAME_BYTES, "%.40s.lost-%d", name, i);
        }
        struct disk_file *file;
        enum disk_status status = disk->methods->open(disk, lost, DISK_READ, &file);
        if (status == DISK_NOT_FOUND) {
            status = disk->methods->rename(disk, name, lost);
            return status == DISK_OK ? disk->methods->sync_directory(disk) : status;
        }
        if (status != DISK_OK) {
            return status;
        }
        disk->methods->close(disk, file);
    }
    return DISK_EXISTS;
}
