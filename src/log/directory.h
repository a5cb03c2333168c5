/* SPDX-License-Identifier: BSD-3-Clause */
/* The names of the files in a data directory, and a sorted list of those that are there. */
#ifndef LOG_DIRECTORY_H
#define LOG_DIRECTORY_H

#include "base/disk.h"

enum { DIRECTORY_NAME_BYTES = 64 };

#define DIRECTORY_NODE_FILE "node.state"
#define DIRECTORY_NODE_FILE_TMP "node.state.tmp"

struct directory_file {
    uint64_t sequence;
    uint64_t bytes;
};

struct directory_files {
    struct directory_file *files; /* rising sequence */
    size_t count, capacity;
};

struct directory {
    struct directory_files segments;
    struct directory_files snapshots;
    char (*tmp_names)[DIRECTORY_NAME_BYTES]; /* unfinished files of ours */
    size_t tmp_count;
    bool has_node_file;
};

/* Reads the listing; the struct held nothing before. */
enum disk_status directory_read(struct directory *directory, struct disk *disk);
void directory_deinit(struct directory *directory);
/* The highest sequence of any file, 0 for none. */
uint64_t directory_newest(const struct directory *directory);
/* The file with that sequence, or NULL. */
const struct directory_file *directory_find(const struct directory_files *files, uint64_t sequence);

void directory_segment_name(char name[DIRECTORY_NAME_BYTES], uint64_t sequence);
void directory_snapshot_name(char name[DIRECTORY_NAME_BYTES], uint64_t sequence);
void directory_snapshot_tmp_name(char name[DIRECTORY_NAME_BYTES], uint64_t sequence);
/* Renames a file to the first free of `name`.lost, `name`.lost-2, ... and puts that into `lost`. */
enum disk_status directory_set_aside(struct disk *disk, const char *name,
                                     char lost[DIRECTORY_NAME_BYTES]);

#endif
