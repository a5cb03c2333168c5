/* SPDX-License-Identifier: BSD-3-Clause */
/* The disk on a real directory, with one thread for each lane of jobs.
 *
 * The owner's thread makes the plain calls and starts jobs; finished jobs come back through a
 * queue, and a file descriptor becomes readable when there are some. */
#ifndef PLATFORM_DISK_POSIX_H
#define PLATFORM_DISK_POSIX_H

#include "base/disk.h"

struct disk_posix;

/* A disk on the directory `path`, which must exist. NULL, with `*error` (an errno value) set, when
 * it cannot be opened or the threads cannot be started. */
struct disk_posix *disk_posix_new(const char *path, int *error);
/* Waits for the jobs under way, ends the threads and gives up the lock. Jobs that were not taken
 * back are forgotten. */
void disk_posix_free(struct disk_posix *posix);
/* What the core is given; lives as long as `posix`. */
struct disk *disk_posix_disk(struct disk_posix *posix);
/* Readable while finished jobs wait to be taken. For the event loop. */
int disk_posix_completion_fd(const struct disk_posix *posix);
/* A finished job, or NULL; call until NULL whenever the descriptor is readable. */
struct disk_job *disk_posix_take_completion(struct disk_posix *posix);

#endif
