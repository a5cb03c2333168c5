/* SPDX-License-Identifier: BSD-3-Clause */
/* node.state: who this node is, in a few lines of text with a checksum. Replaced as a whole, by
 * writing a new file and renaming it.
 *
 * The ceiling: no stamp that was ever given is above it, so that a new life begins above all stamps
 * of the lives before, even if their log was lost and the wall clock was set back. It runs ahead of
 * the clock, and is moved when the stamps come near. After a time without writes the first stamps
 * may pass it for as long as the file takes to be replaced; for them the log itself has to do. */
#ifndef LOG_NODE_FILE_H
#define LOG_NODE_FILE_H

#include "base/buffer.h"
#include "base/disk.h"
#include "log/record.h"

struct node_file {
    uint8_t id[RECORD_NODE_ID_BYTES];
    uint64_t generation;
    uint64_t ceiling_ticks;
    bool is_clean;   /* the last life ended leaving nothing behind that is not on disk */
    bool is_durable; /* in it, whatever it sent or acknowledged was on the medium: `always` */
};

enum node_file_status {
    NODE_FILE_OK,
    NODE_FILE_ABSENT,
    NODE_FILE_DAMAGED,
    NODE_FILE_DISK /* `*disk_status` says what */
};

enum node_file_status node_file_load(struct node_file *node, struct disk *disk,
                                     enum disk_status *disk_status);
/* Writes the text of the file. */
void node_file_format(const struct node_file *node, struct buffer *text);
/* Replaces the file by `text`, durably. May run on a lane. */
enum disk_status node_file_replace(struct disk *disk, struct slice text);
/* The id in hexadecimal, terminated. */
void node_file_format_id(const uint8_t id[RECORD_NODE_ID_BYTES],
                         char text[2 * RECORD_NODE_ID_BYTES + 1]);

#endif
