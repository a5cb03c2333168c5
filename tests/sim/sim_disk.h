/* SPDX-License-Identifier: BSD-3-Clause */
/* A directory of files in memory, under virtual time.
 *
 * Plain calls happen at once. Jobs happen when the world's clock says so, one after the other in
 * each lane; that is when their effects begin to exist. What survives a loss of power is what was
 * synced, and with luck some of the rest: a prefix of what was appended, some of the names. */
#ifndef TESTS_SIM_SIM_DISK_H
#define TESTS_SIM_SIM_DISK_H

#include "base/buffer.h"
#include "base/disk.h"
#include "base/prng.h"

enum { SIM_DISK_NAME_BYTES = 64 };

struct sim_inode {
    struct buffer bytes;
    size_t synced_bytes;  /* how many were there at the last sync */
    bool is_changed;      /* some of these have changed since ... */
    struct buffer synced; /* ... and were these; otherwise it is empty */
    unsigned links;       /* names and open handles */
};

struct sim_name {
    char name[SIM_DISK_NAME_BYTES];
    struct sim_inode *inode;
};

struct sim_names {
    struct sim_name *names;
    unsigned count, capacity;
};

struct sim_disk {
    struct disk disk; /* first */
    struct sim_names names;
    struct sim_names synced_names;
    bool is_directory_dirty; /* names differ from synced_names */
    struct {
        struct disk_job *first, *last;
        uint64_t due_us; /* when the first one is done; 0: no job */
    } lanes[DISK_LANES_COUNT];
    uint64_t capacity; /* all files together; 0: no limit */
    uint64_t used;
    bool is_off;  /* the process is gone: nothing changes any more */
    bool is_slow; /* jobs take up to two seconds */
    struct prng prng;
    /* Asked when a job begins: the world calls sim_disk_run_due() at that time. */
    void (*wants_call)(void *udata, uint64_t at_us);
    uint64_t (*now_us)(void *udata);
    void *udata;
};

void sim_disk_init(struct sim_disk *disk, uint64_t seed);
void sim_disk_deinit(struct sim_disk *disk);
/* Runs and returns one job whose time has come, or NULL. */
struct disk_job *sim_disk_take_done(struct sim_disk *disk);
/* The process ended, and its memory was freed: calls work again. What it wrote is there. */
void sim_disk_kill(struct sim_disk *disk);
/* The same, and the power went: what was not synced is gone, all or the end of it. */
void sim_disk_lose_power(struct sim_disk *disk);
/* Makes `to` hold what `from` holds now, all of it durable. `to` keeps its own clockwork. */
void sim_disk_copy(struct sim_disk *to, const struct sim_disk *from);
/* Removes everything. */
void sim_disk_wipe(struct sim_disk *disk);

#endif
