/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim/sim_disk.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"

enum { SECTOR_BYTES = 512, FILE_BYTES_FIRST = 16 << 10, FILE_GROWTH_FACTOR = 4 };

struct disk_file {
    struct sim_inode *inode;
    bool is_writable;
};

static struct sim_disk *sim_of(struct disk *disk) {
    return (struct sim_disk *)disk;
}

/* ---- inodes and names ---- */

static void inode_drop(struct sim_disk *disk, struct sim_inode *inode) {
    if (inode != NULL && --inode->links == 0) {
        disk->used -= inode->bytes.size;
        buffer_deinit(&inode->bytes);
        buffer_deinit(&inode->synced);
        memory_free(inode);
    }
}

/* Bytes from `offset` on are going to change: what is synced is kept apart. Files grow at their
 * ends, as a rule, so that this is seldom. */
static void inode_change(struct sim_inode *inode, uint64_t offset) {
    if (offset < inode->synced_bytes && !inode->is_changed) {
        inode->is_changed = true;
        buffer_append(&inode->synced, inode->bytes.data, inode->synced_bytes);
    }
}

static struct sim_name *names_find(struct sim_names *names, const char *name) {
    for (unsigned i = 0; i < names->count; i++) {
        if (strcmp(names->names[i].name, name) == 0) {
            return &names->names[i];
        }
    }
    return NULL;
}

/* Gives `name` to `inode`, taking it from whom it had. */
static void names_link(struct sim_disk *disk, struct sim_names *names, const char *name,
                       struct sim_inode *inode) {
    struct sim_name *place = names_find(names, name);
    inode->links++;
    if (place != NULL) {
        inode_drop(disk, place->inode);
        place->inode = inode;
        return;
    }
    if (names->count == names->capacity) {
        names->capacity = names->capacity == 0 ? 16 : 2 * names->capacity;
        names->names = memory_resize(names->names, names->capacity * sizeof(names->names[0]));
    }
    place = &names->names[names->count++];
    (void)snprintf(place->name, sizeof(place->name), "%s", name);
    place->inode = inode;
}

static void names_unlink(struct sim_disk *disk, struct sim_names *names, struct sim_name *place) {
    inode_drop(disk, place->inode);
    *place = names->names[--names->count];
}

static void names_clear(struct sim_disk *disk, struct sim_names *names) {
    while (names->count > 0) {
        names_unlink(disk, names, &names->names[names->count - 1]);
    }
}

static void names_copy(struct sim_disk *disk, struct sim_names *to, const struct sim_names *from) {
    names_clear(disk, to);
    for (unsigned i = 0; i < from->count; i++) {
        names_link(disk, to, from->names[i].name, from->names[i].inode);
    }
}

/* ---- plain calls ---- */

static enum disk_status sim_open(struct disk *base, const char *name, enum disk_mode mode,
                                 struct disk_file **file) {
    struct sim_disk *disk = sim_of(base);
    struct sim_name *place = names_find(&disk->names, name);
    if (mode != DISK_READ && disk->is_off) {
        return DISK_IO;
    }
    if (mode == DISK_CREATE) {
        if (place == NULL) {
            names_link(disk, &disk->names, name, memory_alloc_zero(sizeof(struct sim_inode)));
            place = names_find(&disk->names, name);
            disk->is_directory_dirty = true;
        } else {
            inode_change(place->inode, 0);
            disk->used -= place->inode->bytes.size;
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

static void sim_close(struct disk *base, struct disk_file *file) {
    inode_drop(sim_of(base), file->inode);
    memory_free(file);
}

static int64_t sim_read_at(struct disk *base, struct disk_file *file, uint64_t offset, char *into,
                           size_t size) {
    (void)base;
    const struct buffer *bytes = &file->inode->bytes;
    if (offset >= bytes->size) {
        return 0;
    }
    size = size < bytes->size - offset ? size : (size_t)(bytes->size - offset);
    memcpy(into, bytes->data + offset, size);
    return (int64_t)size;
}

static int64_t sim_write_at(struct disk *base, struct disk_file *file, uint64_t offset,
                            struct slice bytes) {
    struct sim_disk *disk = sim_of(base);
    require(file->is_writable);
    if (disk->is_off) {
        return DISK_IO;
    }
    struct buffer *into = &file->inode->bytes;
    uint64_t end = offset + bytes.size;
    if (disk->capacity > 0 && end > into->size) {
        uint64_t grows = end - into->size;
        uint64_t room = disk->capacity > disk->used ? disk->capacity - disk->used : 0;
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
        if (end > into->capacity) {
            /* Few steps: each copies the file. */
            size_t room = FILE_GROWTH_FACTOR * into->capacity;
            room = room > FILE_BYTES_FIRST ? room : (size_t)FILE_BYTES_FIRST;
            (void)buffer_reserve(into, (end > room ? (size_t)end : room) - old);
        }
        if (offset > old) {
            memset(into->data + old, 0, (size_t)(offset - old));
        }
        into->size = (size_t)end;
        disk->used += end - old;
    }
    inode_change(file->inode, offset);
    memcpy(into->data + offset, bytes.data, bytes.size);
    return (int64_t)bytes.size;
}

static int64_t sim_size(struct disk *base, struct disk_file *file) {
    (void)base;
    return (int64_t)file->inode->bytes.size;
}

static enum disk_status sim_truncate(struct disk *base, struct disk_file *file, uint64_t size) {
    struct sim_disk *disk = sim_of(base);
    if (disk->is_off) {
        return DISK_IO;
    }
    struct sim_inode *inode = file->inode;
    if (size < inode->bytes.size) {
        inode_change(inode, size);
        disk->used -= inode->bytes.size - size;
        inode->bytes.size = (size_t)size;
    }
    return DISK_OK;
}

static void inode_sync(struct sim_inode *inode) {
    inode->synced_bytes = inode->bytes.size;
    inode->is_changed = false;
    buffer_clear(&inode->synced);
}

static enum disk_status sim_sync(struct disk *base, struct disk_file *file) {
    if (sim_of(base)->is_off) {
        return DISK_IO;
    }
    inode_sync(file->inode);
    return DISK_OK;
}

static enum disk_status sim_sync_directory(struct disk *base) {
    struct sim_disk *disk = sim_of(base);
    if (disk->is_off) {
        return DISK_IO;
    }
    if (disk->is_directory_dirty) {
        names_copy(disk, &disk->synced_names, &disk->names);
        disk->is_directory_dirty = false;
    }
    return DISK_OK;
}

static enum disk_status sim_rename(struct disk *base, const char *from, const char *to) {
    struct sim_disk *disk = sim_of(base);
    if (disk->is_off) {
        return DISK_IO;
    }
    struct sim_name *place = names_find(&disk->names, from);
    if (place == NULL) {
        return DISK_NOT_FOUND;
    }
    names_link(disk, &disk->names, to, place->inode);
    names_unlink(disk, &disk->names, names_find(&disk->names, from));
    disk->is_directory_dirty = true;
    return DISK_OK;
}

static enum disk_status sim_remove(struct disk *base, const char *name) {
    struct sim_disk *disk = sim_of(base);
    if (disk->is_off) {
        return DISK_IO;
    }
    struct sim_name *place = names_find(&disk->names, name);
    if (place == NULL) {
        return DISK_NOT_FOUND;
    }
    names_unlink(disk, &disk->names, place);
    disk->is_directory_dirty = true;
    return DISK_OK;
}

static enum disk_status sim_list(struct disk *base, disk_visit_fn visit, void *udata) {
    struct sim_disk *disk = sim_of(base);
    for (unsigned i = 0; i < disk->names.count; i++) {
        if (!visit(udata, disk->names.names[i].name, disk->names.names[i].inode->bytes.size)) {
            break;
        }
    }
    return DISK_OK;
}

static enum disk_status sim_lock(struct disk *base) {
    (void)base;
    return DISK_OK;
}

/* ---- jobs ---- */

static void lane_schedule(struct sim_disk *disk, enum disk_lane lane) {
    uint64_t took_us = disk->is_slow ? 10000 + prng_below(&disk->prng, 2000000)
                                     : 100 + prng_below(&disk->prng, 4000);
    disk->lanes[lane].due_us = disk->now_us(disk->udata) + took_us;
    disk->wants_call(disk->udata, disk->lanes[lane].due_us);
}

static void sim_start(struct disk *base, struct disk_job *job) {
    struct sim_disk *disk = sim_of(base);
    job->next = NULL;
    if (disk->lanes[job->lane].first == NULL) {
        disk->lanes[job->lane].first = job;
        lane_schedule(disk, job->lane);
    } else {
        disk->lanes[job->lane].last->next = job;
    }
    disk->lanes[job->lane].last = job;
}

static struct disk_job *lane_run(struct sim_disk *disk, enum disk_lane lane) {
    struct disk_job *job = disk->lanes[lane].first;
    disk->lanes[lane].first = job->next;
    disk->lanes[lane].due_us = 0;
    if (job->next == NULL) {
        disk->lanes[lane].last = NULL;
    } else if (!disk->is_off) {
        lane_schedule(disk, lane);
    }
    job->next = NULL;
    job->status = job->run(job);
    return job;
}

static struct disk_job *sim_wait(struct disk *base) {
    struct sim_disk *disk = sim_of(base);
    for (unsigned lane = 0; lane < DISK_LANES_COUNT; lane++) {
        if (disk->lanes[lane].first != NULL) {
            return lane_run(disk, (enum disk_lane)lane);
        }
    }
    return NULL;
}

struct disk_job *sim_disk_take_done(struct sim_disk *disk) {
    uint64_t now_us = disk->now_us(disk->udata);
    for (unsigned lane = 0; lane < DISK_LANES_COUNT; lane++) {
        if (disk->lanes[lane].first != NULL && disk->lanes[lane].due_us <= now_us) {
            return lane_run(disk, (enum disk_lane)lane);
        }
    }
    return NULL;
}

/* ---- lifecycle ---- */

static const struct disk_methods SIM_DISK_METHODS = {
    .open = sim_open,
    .close = sim_close,
    .read_at = sim_read_at,
    .write_at = sim_write_at,
    .size = sim_size,
    .truncate = sim_truncate,
    .sync = sim_sync,
    .sync_directory = sim_sync_directory,
    .rename = sim_rename,
    .remove = sim_remove,
    .list = sim_list,
    .lock = sim_lock,
    .start = sim_start,
    .wait = sim_wait,
};

void sim_disk_init(struct sim_disk *disk, uint64_t seed) {
    *disk = (struct sim_disk){.disk = {.methods = &SIM_DISK_METHODS, .path = "data"}};
    prng_init(&disk->prng, seed);
}

void sim_disk_wipe(struct sim_disk *disk) {
    names_clear(disk, &disk->names);
    names_clear(disk, &disk->synced_names);
    disk->is_directory_dirty = false;
    ensure(disk->used == 0);
}

void sim_disk_deinit(struct sim_disk *disk) {
    sim_disk_wipe(disk);
    memory_free(disk->names.names);
    memory_free(disk->synced_names.names);
}

void sim_disk_kill(struct sim_disk *disk) {
    for (unsigned lane = 0; lane < DISK_LANES_COUNT; lane++) {
        require(disk->lanes[lane].first == NULL);
        disk->lanes[lane].due_us = 0;
    }
    disk->is_off = false;
}

/* The end of what was written since the last sync may be missing, or be zeros. */
static void inode_tear(struct sim_disk *disk, struct sim_inode *inode) {
    size_t start = inode->synced_bytes, size = start;
    bool is_lucky = prng_below(&disk->prng, 3) == 0;
    disk->used -= inode->bytes.size;
    if (inode->is_changed) {
        buffer_clear(&inode->bytes);
        buffer_append_slice(&inode->bytes, buffer_slice(&inode->synced));
    } else if (is_lucky && inode->bytes.size > start) {
        size += (size_t)prng_below(&disk->prng, inode->bytes.size - start + 1);
        size_t sector = size - size % SECTOR_BYTES;
        if (prng_below(&disk->prng, 4) == 0 && sector > start) {
            memset(inode->bytes.data + sector, 0, size - sector);
        }
    }
    inode->bytes.size = size;
    disk->used += size;
    inode_sync(inode);
}

void sim_disk_lose_power(struct sim_disk *disk) {
    sim_disk_kill(disk);
    for (unsigned i = 0; i < disk->names.count; i++) {
        struct sim_name *name = &disk->names.names[i];
        if (names_find(&disk->synced_names, name->name) == NULL &&
            prng_below(&disk->prng, 2) == 0) {
            names_link(disk, &disk->synced_names, name->name, name->inode);
        }
    }
    names_copy(disk, &disk->names, &disk->synced_names);
    disk->is_directory_dirty = false;
    for (unsigned i = 0; i < disk->names.count; i++) {
        inode_tear(disk, disk->names.names[i].inode);
    }
}

void sim_disk_copy(struct sim_disk *to, const struct sim_disk *from) {
    sim_disk_wipe(to);
    for (unsigned i = 0; i < from->names.count; i++) {
        struct sim_inode *inode = memory_alloc_zero(sizeof(*inode));
        const struct buffer *bytes = &from->names.names[i].inode->bytes;
        buffer_append(&inode->bytes, bytes->data, bytes->size);
        inode_sync(inode);
        to->used += bytes->size;
        names_link(to, &to->names, from->names.names[i].name, inode);
        names_link(to, &to->synced_names, from->names.names[i].name, inode);
    }
}
