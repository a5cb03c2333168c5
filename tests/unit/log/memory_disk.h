/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk in memory for tests: it counts its writing calls, fails the one it is told to, and can
 * lose power. Included by each test program; single-threaded: jobs run when the test says so.
 *
 * What survives a power loss is what was synced: the bytes of a file at its last sync, and the
 * names that the directory had at its last sync. With `tears` some of the bytes written since
 * survive, too, a random prefix or a random choice of 512-byte sectors; and a random choice of the
 * name changes. */
#ifndef TESTS_UNIT_LOG_MEMORY_DISK_H
#define TESTS_UNIT_LOG_MEMORY_DISK_H

#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/disk.h"
#include "base/memory.h"
#include "base/prng.h"

enum { MEMORY_DISK_FILES_MAX = 128, MEMORY_DISK_NAME_BYTES = 64, MEMORY_DISK_SECTOR_BYTES = 512 };

enum memory_fault {
    MEMORY_FAULT_NONE,
    MEMORY_FAULT_FULL,       /* the call fails with DISK_FULL */
    MEMORY_FAULT_IO,         /* the call fails with DISK_IO */
    MEMORY_FAULT_SHORT,      /* a write takes half of its bytes */
    MEMORY_FAULT_SHORT_FULL, /* a write takes half of its bytes, the one after it fails */
    MEMORY_FAULT_POWER, /* this and all later calls fail; then comes memory_disk_power_loss() */
    MEMORY_FAULTS_COUNT
};

/* The bytes of a file, with or without a name. */
struct memory_inode {
    struct buffer bytes;
    struct buffer synced;
    unsigned links; /* names and open handles */
};

struct memory_name {
    char name[MEMORY_DISK_NAME_BYTES]; /* "" unused */
    struct memory_inode *inode;
};

struct disk_file {
    struct memory_inode *inode;
    bool is_writable;
};

struct memory_disk {
    struct disk disk; /* first */
    struct memory_name names[MEMORY_DISK_FILES_MAX];
    struct memory_name synced_names[MEMORY_DISK_FILES_MAX];
    struct disk_job *first, *last;
    uint64_t calls;         /* that may fail: create, write, truncate, sync, rename, remove */
    uint64_t sync_calls;    /* of these, syncs of files and the directory */
    uint64_t fault_at;      /* the number of the call that fails; 0 none */
    uint64_t fault_count;   /* how many calls from there on fail; 0 counts as 1 */
    uint64_t fault_sync_at; /* the number of the sync that fails; 0 none */
    uint64_t reads;         /* calls that read */
    uint64_t fault_read_at; /* the number of the read that fails; 0 none */
    enum memory_fault fault;
    bool is_off;            /* power is out */
    bool drops_dirty_pages; /* a failed sync forgets what it was to sync, as some kernels do */
    uint64_t read_limit;    /* a read gives at most this; 0 no limit */
    uint64_t capacity;      /* all files together; 0 no limit */
    struct prng prng;
};

static inline struct memory_disk *memory_of(struct disk *disk) {
    return (struct memory_disk *)disk;
}

static inline void memory_inode_drop(struct memory_inode *inode) {
    if (inode != NULL && --inode->links == 0) {
        buffer_deinit(&inode->bytes);
        buffer_deinit(&inode->synced);
        memory_free(inode);
    }
}

static inline struct memory_name *memory_find(struct memory_name *names, const char *name) {
    for (int i = 0; i < MEMORY_DISK_FILES_MAX; i++) {
        if (strcmp(names[i].name, name) == 0) {
            return &names[i];
        }
    }
    return NULL;
}

/* Gives `name` to `inode`, taking it from whom it had. */
static inline void memory_link(struct memory_name *names, const char *name,
                               struct memory_inode *inode) {
    struct memory_name *place = memory_find(names, name);
    if (place == NULL) {
        place = memory_find(names, "");
        ensure(place != NULL);
        (void)snprintf(place->name, sizeof(place->name), "%s", name);
    }
    inode->links++;
    memory_inode_drop(place->inode);
    place->inode = inode;
}

static inline void memory_unlink(struct memory_name *place) {
    memory_inode_drop(place->inode);
    *place = (struct memory_name){0};
}

/* What the present writing call is to do. */
static inline enum memory_fault memory_count_call(struct memory_disk *memory) {
    memory->calls++;
    if (memory->is_off) {
        return MEMORY_FAULT_IO;
    }
    uint64_t count = memory->fault_count > 0 ? memory->fault_count : 1;
    if (memory->fault_at == 0 || memory->calls < memory->fault_at ||
        memory->calls >= memory->fault_at + count + (memory->fault == MEMORY_FAULT_SHORT_FULL)) {
        return MEMORY_FAULT_NONE;
    }
    if (memory->fault == MEMORY_FAULT_POWER) {
        memory->is_off = true;
        return MEMORY_FAULT_IO;
    }
    if (memory->fault == MEMORY_FAULT_SHORT_FULL && memory->calls > memory->fault_at) {
        return MEMORY_FAULT_FULL;
    }
    return memory->fault;
}

static inline enum disk_status memory_status(enum memory_fault fault) {
    switch (fault) {
    case MEMORY_FAULT_FULL:
        return DISK_FULL;
    case MEMORY_FAULT_IO:
        return DISK_IO;
    default:
        return DISK_OK;
    }
}

static inline enum disk_status memory_open(struct disk *disk, const char *name, enum disk_mode mode,
                                           struct disk_file **file) {
    struct memory_disk *memory = memory_of(disk);
    struct memory_name *place = memory_find(memory->names, name);
    if (mode == DISK_CREATE) {
        enum disk_status status = memory_status(memory_count_call(memory));
        if (status != DISK_OK) {
            return status;
        }
        if (place == NULL) {
            memory_link(memory->names, name, memory_alloc_zero(sizeof(struct memory_inode)));
            place = memory_find(memory->names, name);
        } else {
            buffer_clear(&place->inode->bytes);
        }
    } else if (place == NULL) {
        return DISK_NOT_FOUND;
    }
    *file = memory_alloc(sizeof(**file));
    **file = (struct disk_file){.inode = place->inode, .is_writable = mode != DISK_READ};
    place->inode->links++;
    return DISK_OK;
}

static inline void memory_close(struct disk *disk, struct disk_file *file) {
    (void)disk;
    memory_inode_drop(file->inode);
    memory_free(file);
}

static inline int64_t memory_read_at(struct disk *disk, struct disk_file *file, uint64_t offset,
                                     char *into, size_t size) {
    struct memory_disk *memory = memory_of(disk);
    const struct buffer *bytes = &file->inode->bytes;
    memory->reads++;
    if (memory->reads == memory->fault_read_at) {
        return DISK_IO;
    }
    if (offset >= bytes->size) {
        return 0;
    }
    size = size < bytes->size - offset ? size : (size_t)(bytes->size - offset);
    if (memory->read_limit > 0 && size > memory->read_limit) {
        size = (size_t)memory->read_limit;
    }
    memcpy(into, bytes->data + offset, size);
    return (int64_t)size;
}

static inline uint64_t memory_used(const struct memory_disk *memory) {
    uint64_t used = 0;
    for (int i = 0; i < MEMORY_DISK_FILES_MAX; i++) {
        used += memory->names[i].inode != NULL ? memory->names[i].inode->bytes.size : 0;
    }
    return used;
}

static inline int64_t memory_write_at(struct disk *disk, struct disk_file *file, uint64_t offset,
                                      struct slice bytes) {
    struct memory_disk *memory = memory_of(disk);
    require(file->is_writable);
    enum memory_fault fault = memory_count_call(memory);
    if (memory_status(fault) != DISK_OK) {
        return memory_status(fault);
    }
    if (fault != MEMORY_FAULT_NONE && bytes.size > 1) {
        bytes.size /= 2;
    }
    struct buffer *into = &file->inode->bytes;
    uint64_t end = offset + bytes.size;
    if (memory->capacity > 0 && end > into->size) {
        uint64_t used = memory_used(memory), grows = end - into->size;
        uint64_t room = memory->capacity > used ? memory->capacity - used : 0;
        if (grows > room) {
            if (bytes.size <= grows - room) {
                return DISK_FULL;
            }
            bytes.size -= (size_t)(grows - room);
            end = offset + bytes.size;
        }
    }
    if (end > into->size) {
        size_t old = into->size;
        (void)buffer_reserve(into, (size_t)(end - old));
        memset(into->data + old, 0, (size_t)(end - old));
        into->size = (size_t)end;
    }
    memcpy(into->data + offset, bytes.data, bytes.size);
    return (int64_t)bytes.size;
}

static inline int64_t memory_size(struct disk *disk, struct disk_file *file) {
    (void)disk;
    return (int64_t)file->inode->bytes.size;
}

static inline enum disk_status memory_truncate(struct disk *disk, struct disk_file *file,
                                               uint64_t size) {
    enum disk_status status = memory_status(memory_count_call(memory_of(disk)));
    if (status == DISK_OK && size < file->inode->bytes.size) {
        file->inode->bytes.size = (size_t)size;
    }
    return status;
}

static inline enum disk_status memory_count_sync(struct memory_disk *memory) {
    enum disk_status status = memory_status(memory_count_call(memory));
    memory->sync_calls++;
    return status == DISK_OK && memory->sync_calls == memory->fault_sync_at ? DISK_IO : status;
}

static inline void memory_copy(struct buffer *to, const struct buffer *from) {
    buffer_clear(to);
    buffer_append(to, from->data, from->size);
}

static inline enum disk_status memory_sync(struct disk *disk, struct disk_file *file) {
    struct memory_disk *memory = memory_of(disk);
    enum disk_status status = memory_count_sync(memory);
    struct memory_inode *inode = file->inode;
    if (status == DISK_OK) {
        memory_copy(&inode->synced, &inode->bytes);
    } else if (memory->drops_dirty_pages) {
        /* The pages count as clean now: a later sync will not write them. What was never written
         * reads as zeros after a crash; here at once, which is the harder case. */
        if (inode->bytes.size > inode->synced.size) {
            memset(inode->bytes.data + inode->synced.size, 0,
                   inode->bytes.size - inode->synced.size);
        }
    }
    return status;
}

static inline enum disk_status memory_sync_directory(struct disk *disk) {
    struct memory_disk *memory = memory_of(disk);
    enum disk_status status = memory_count_sync(memory);
    if (status != DISK_OK) {
        return status;
    }
    for (int i = 0; i < MEMORY_DISK_FILES_MAX; i++) {
        memory_inode_drop(memory->synced_names[i].inode);
        memory->synced_names[i] = memory->names[i];
        if (memory->names[i].inode != NULL) {
            memory->names[i].inode->links++;
        }
    }
    return DISK_OK;
}

static inline enum disk_status memory_rename(struct disk *disk, const char *from, const char *to) {
    struct memory_disk *memory = memory_of(disk);
    enum disk_status status = memory_status(memory_count_call(memory));
    if (status != DISK_OK) {
        return status;
    }
    struct memory_name *place = memory_find(memory->names, from);
    if (place == NULL) {
        return DISK_NOT_FOUND;
    }
    memory_link(memory->names, to, place->inode);
    memory_unlink(memory_find(memory->names, from));
    return DISK_OK;
}

static inline enum disk_status memory_remove(struct disk *disk, const char *name) {
    struct memory_disk *memory = memory_of(disk);
    enum disk_status status = memory_status(memory_count_call(memory));
    if (status != DISK_OK) {
        return status;
    }
    struct memory_name *place = memory_find(memory->names, name);
    if (place == NULL) {
        return DISK_NOT_FOUND;
    }
    memory_unlink(place);
    return DISK_OK;
}

static inline enum disk_status memory_list(struct disk *disk, disk_visit_fn visit, void *udata) {
    struct memory_disk *memory = memory_of(disk);
    for (int i = 0; i < MEMORY_DISK_FILES_MAX; i++) {
        if (memory->names[i].inode != NULL &&
            !visit(udata, memory->names[i].name, memory->names[i].inode->bytes.size)) {
            break;
        }
    }
    return DISK_OK;
}

static inline enum disk_status memory_lock(struct disk *disk) {
    (void)disk;
    return DISK_OK;
}

static inline void memory_start(struct disk *disk, struct disk_job *job) {
    struct memory_disk *memory = memory_of(disk);
    job->next = NULL;
    if (memory->last == NULL) {
        memory->first = job;
    } else {
        memory->last->next = job;
    }
    memory->last = job;
}

/* Runs the job that was started first; NULL when there is none. Lanes are not told apart. */
static inline struct disk_job *memory_wait(struct disk *disk) {
    struct memory_disk *memory = memory_of(disk);
    struct disk_job *job = memory->first;
    if (job == NULL) {
        return NULL;
    }
    memory->first = job->next;
    if (memory->first == NULL) {
        memory->last = NULL;
    }
    job->next = NULL;
    job->status = job->run(job);
    return job;
}

static const struct disk_methods MEMORY_DISK_METHODS = {
    .open = memory_open,
    .close = memory_close,
    .read_at = memory_read_at,
    .write_at = memory_write_at,
    .size = memory_size,
    .truncate = memory_truncate,
    .sync = memory_sync,
    .sync_directory = memory_sync_directory,
    .rename = memory_rename,
    .remove = memory_remove,
    .list = memory_list,
    .lock = memory_lock,
    .start = memory_start,
    .wait = memory_wait,
};

static inline void memory_disk_init(struct memory_disk *memory, uint64_t seed) {
    *memory = (struct memory_disk){.disk = {.methods = &MEMORY_DISK_METHODS, .path = "data"}};
    prng_init(&memory->prng, seed);
}

static inline void memory_disk_deinit(struct memory_disk *memory) {
    for (int i = 0; i < MEMORY_DISK_FILES_MAX; i++) {
        memory_inode_drop(memory->names[i].inode);
        memory_inode_drop(memory->synced_names[i].inode);
    }
    *memory = (struct memory_disk){0};
}

/* The bytes of a file, or NULL. */
static inline struct buffer *memory_disk_bytes(struct memory_disk *memory, const char *name) {
    struct memory_name *place = memory_find(memory->names, name);
    return place == NULL ? NULL : &place->inode->bytes;
}

/* A new file with these bytes, durable. */
static inline void memory_disk_put(struct memory_disk *memory, const char *name,
                                   struct slice bytes) {
    struct memory_inode *inode = memory_alloc_zero(sizeof(*inode));
    buffer_append_slice(&inode->bytes, bytes);
    buffer_append_slice(&inode->synced, bytes);
    memory_link(memory->names, name, inode);
    memory_link(memory->synced_names, name, inode);
}

/* Files, bytes and all, from one disk to another that is empty. */
static inline void memory_disk_copy(struct memory_disk *to, const struct memory_disk *from) {
    for (int i = 0; i < MEMORY_DISK_FILES_MAX; i++) {
        if (from->names[i].inode != NULL) {
            memory_disk_put(to, from->names[i].name, buffer_slice(&from->names[i].inode->bytes));
        }
    }
}

static inline void memory_tear(struct memory_disk *memory, struct memory_inode *inode) {
    struct buffer torn = {0};
    memory_copy(&torn, &inode->synced);
    size_t start = inode->synced.size;
    if (inode->bytes.size > start) {
        size_t extra = inode->bytes.size - start;
        size_t keeps = (size_t)prng_below(&memory->prng, extra + 1);
        buffer_append(&torn, inode->bytes.data + start, keeps);
        if (prng_below(&memory->prng, 4) == 0) {
            /* The size was written, some of the last sectors were not. */
            size_t from = keeps - keeps % MEMORY_DISK_SECTOR_BYTES;
            if (keeps > from) {
                memset(torn.data + start + from, 0, keeps - from);
            }
        }
    }
    memory_copy(&inode->bytes, &torn);
    memory_copy(&inode->synced, &torn);
    buffer_deinit(&torn);
}

static inline void memory_disk_clean_up(struct memory_disk *memory) {
    memory->first = memory->last = NULL;
    memory->is_off = false;
    memory->fault = MEMORY_FAULT_NONE;
    memory->fault_at = memory->fault_sync_at = 0;
}

/* The power goes and comes back: only what was synced is there, and with `tears` some of the rest.
 * All handles are to be closed before or never used again; jobs that were not run never will be. */
static inline void memory_disk_power_loss(struct memory_disk *memory, bool tears) {
    for (int i = 0; i < MEMORY_DISK_FILES_MAX; i++) {
        bool survives = tears && prng_below(&memory->prng, 2) == 0;
        struct memory_name *name = &memory->names[i];
        if (name->inode != NULL && survives &&
            memory_find(memory->synced_names, name->name) == NULL) {
            memory_link(memory->synced_names, name->name, name->inode);
        }
    }
    for (int i = 0; i < MEMORY_DISK_FILES_MAX; i++) {
        memory_inode_drop(memory->names[i].inode);
        memory->names[i] = memory->synced_names[i];
        struct memory_inode *inode = memory->names[i].inode;
        if (inode == NULL) {
            continue;
        }
        inode->links++;
        if (tears) {
            memory_tear(memory, inode);
        } else {
            memory_copy(&inode->bytes, &inode->synced);
        }
    }
    memory_disk_clean_up(memory);
}

#endif
