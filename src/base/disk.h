/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk is one directory of files, as the core sees it: a table of functions that somebody else
 * fills. platform/disk_posix.c is the real one; tests have one in memory that fails on demand.
 *
 * The plain calls block. What may take long (fsync, writing a snapshot) is put into a struct
 * disk_job and started: its `run` is called on another thread, in the order of starting within a
 * lane, and the job comes back to the owner of the disk, who hands it to whoever started it.
 * Between disk_start() and that moment the job, and all that it refers to, belongs to the lane.
 *
 * Names are plain file names without a directory. The calls may be made from any thread, those on
 * one file by one thread at a time; disk_sync() alone may run beside disk_write_at(). */
#ifndef BASE_DISK_H
#define BASE_DISK_H

#include "base/slice.h"

enum disk_status {
    DISK_OK = 0,
    DISK_FULL = -1,      /* no space, or a quota is used up */
    DISK_IO = -2,        /* the device failed */
    DISK_NOT_FOUND = -3, /* no such file */
    DISK_EXISTS = -4,    /* there is one already */
    DISK_DENIED = -5,    /* permissions, read-only file system */
    DISK_BUSY = -6,      /* locked by another process */
    DISK_OTHER = -7      /* anything else the system says */
};

enum disk_mode {
    DISK_READ,   /* existing, to be read */
    DISK_UPDATE, /* existing, to be read and written */
    DISK_CREATE  /* new, to be read and written; an old one of that name is emptied */
};

/* Jobs of one lane run one after the other; the lanes are independent. */
enum disk_lane {
    DISK_LANE_LOG,        /* fsync of the log: clients may be waiting */
    DISK_LANE_BACKGROUND, /* snapshots, clean-up */
    DISK_LANES_COUNT
};

struct disk;
struct disk_file; /* opaque; each disk has its own */

/* Embedded at the front of what a job needs. */
struct disk_job {
    enum disk_status (*run)(struct disk_job *job); /* called on the lane */
    enum disk_status status;                       /* what run() returned, once it is done */
    enum disk_lane lane;
    struct disk_job *next; /* for the disk's queues */
};

/* Called for each file; returning false ends the listing. */
typedef bool (*disk_visit_fn)(void *udata, const char *name, uint64_t size);

struct disk_methods {
    enum disk_status (*open)(struct disk *disk, const char *name, enum disk_mode mode,
                             struct disk_file **file);
    void (*close)(struct disk *disk, struct disk_file *file);
    /* Bytes read or written, perhaps fewer than asked for (0 at the end of the file), or a negative
     * status. Writing goes to the operating system, not yet to the medium. */
    int64_t (*read_at)(struct disk *disk, struct disk_file *file, uint64_t offset, char *into,
                       size_t size);
    int64_t (*write_at)(struct disk *disk, struct disk_file *file, uint64_t offset,
                        struct slice bytes);
    int64_t (*size)(struct disk *disk, struct disk_file *file);
    enum disk_status (*truncate)(struct disk *disk, struct disk_file *file, uint64_t size);
    /* Makes what was written to the file durable. After a failure nothing is known of it. */
    enum disk_status (*sync)(struct disk *disk, struct disk_file *file);
    /* Makes creations, renames and removals durable. */
    enum disk_status (*sync_directory)(struct disk *disk);
    enum disk_status (*rename)(struct disk *disk, const char *from, const char *to);
    enum disk_status (*remove)(struct disk *disk, const char *name);
    enum disk_status (*list)(struct disk *disk, disk_visit_fn visit, void *udata);
    /* Takes the directory for this process until it ends; BUSY when another one has it. */
    enum disk_status (*lock)(struct disk *disk);
    void (*start)(struct disk *disk, struct disk_job *job);
    /* Blocks until a started job is done and returns it; NULL when none is under way. */
    struct disk_job *(*wait)(struct disk *disk);
};

struct disk {
    const struct disk_methods *methods;
    const char *path; /* the directory, for messages */
};

/* What a status means, in words, for messages. */
const char *disk_status_text(enum disk_status status);

/* Writes all of `bytes`, however many calls that takes. `*written` counts what went through even on
 * failure; it may be NULL. */
enum disk_status disk_write_all(struct disk *disk, struct disk_file *file, uint64_t offset,
                                struct slice bytes, size_t *written);
/* Reads `size` bytes or up to the end of the file; the count, or a negative status. */
int64_t disk_read_all(struct disk *disk, struct disk_file *file, uint64_t offset, char *into,
                      size_t size);

#endif
