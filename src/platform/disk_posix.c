/* SPDX-License-Identifier: BSD-3-Clause */
#include "platform/disk_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/memory.h"

/* One call writes or reads at most this much: Linux stops at 2 GiB minus a page anyway. */
enum { TRANSFER_BYTES_MAX = 1 << 30, FILE_MODE = 0640, LANE_BACKGROUND_NICE = 19 };

#define LOCK_FILE "starling.lock"

struct disk_file {
    int fd;
};

struct lane {
    struct disk_posix *posix;
    pthread_t thread;
    pthread_cond_t has_work;
    struct disk_job *first, *last;
};

struct disk_posix {
    struct disk disk; /* first: a struct disk is one of these */
    char *path;
    int directory_fd;
    int lock_fd;
    int completion_fd;
    pthread_mutex_t mutex; /* over all that follows */
    pthread_cond_t has_completion;
    struct lane lanes[DISK_LANES_COUNT];
    unsigned lanes_started;
    struct disk_job *done_first, *done_last;
    unsigned under_way; /* started and not yet taken back */
    bool is_ending;
};

static enum disk_status status_of(int error) {
    switch (error) {
    case 0:
        return DISK_OK;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return DISK_FULL;
    case EIO:
        return DISK_IO;
    case ENOENT:
        return DISK_NOT_FOUND;
    case EEXIST:
        return DISK_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return DISK_DENIED;
    case EWOULDBLOCK:
        return DISK_BUSY;
    default:
        return DISK_OTHER;
    }
}

static struct disk_posix *posix_of(struct disk *disk) {
    return (struct disk_posix *)disk;
}

/* ---- files ---- */

static enum disk_status posix_open(struct disk *disk, const char *name, enum disk_mode mode,
                                   struct disk_file **file) {
    int flags = O_CLOEXEC;
    switch (mode) {
    case DISK_READ:
        flags |= O_RDONLY;
        break;
    case DISK_UPDATE:
        flags |= O_RDWR;
        break;
    case DISK_CREATE:
        flags |= O_RDWR | O_CREAT | O_TRUNC;
        break;
    }
    int fd;
    do {
        fd = openat(posix_of(disk)->directory_fd, name, flags, FILE_MODE);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return status_of(errno);
    }
    *file = memory_alloc(sizeof(**file));
    (*file)->fd = fd;
    if (mode == DISK_READ) {
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    return DISK_OK;
}

static void posix_close(struct disk *disk, struct disk_file *file) {
    (void)disk;
    (void)close(file->fd);
    memory_free(file);
}

static int64_t posix_read_at(struct disk *disk, struct disk_file *file, uint64_t offset, char *into,
                             size_t size) {
    (void)disk;
    size = size < TRANSFER_BYTES_MAX ? size : TRANSFER_BYTES_MAX;
    ssize_t count;
    do {
        count = pread(file->fd, into, size, (off_t)offset);
    } while (count < 0 && errno == EINTR);
    return count < 0 ? status_of(errno) : count;
}

static int64_t posix_write_at(struct disk *disk, struct disk_file *file, uint64_t offset,
                              struct slice bytes) {
    (void)disk;
    size_t size = bytes.size < TRANSFER_BYTES_MAX ? bytes.size : TRANSFER_BYTES_MAX;
    ssize_t count;
    do {
        count = pwrite(file->fd, bytes.data, size, (off_t)offset);
    } while (count < 0 && errno == EINTR);
    return count < 0 ? status_of(errno) : count;
}

static int64_t posix_size(struct disk *disk, struct disk_file *file) {
    (void)disk;
    struct stat stat;
    return fstat(file->fd, &stat) == 0 ? stat.st_size : status_of(errno);
}

static enum disk_status posix_truncate(struct disk *disk, struct disk_file *file, uint64_t size) {
    (void)disk;
    int result;
    do {
        result = ftruncate(file->fd, (off_t)size);
    } while (result < 0 && errno == EINTR);
    return result == 0 ? DISK_OK : status_of(errno);
}

/* An fsync interrupted by a signal is tried again: it has not failed. */
static enum disk_status posix_sync(struct disk *disk, struct disk_file *file) {
    (void)disk;
    int result;
    do {
        result = fdatasync(file->fd);
    } while (result < 0 && errno == EINTR);
    return result == 0 ? DISK_OK : status_of(errno);
}

/* ---- the directory ---- */

static enum disk_status posix_sync_directory(struct disk *disk) {
    int result;
    do {
        result = fsync(posix_of(disk)->directory_fd);
    } while (result < 0 && errno == EINTR);
    /* Some file systems know no fsync of directories; then there is nothing to wait for. */
    return result == 0 || errno == EINVAL ? DISK_OK : status_of(errno);
}

static enum disk_status posix_rename(struct disk *disk, const char *from, const char *to) {
    int fd = posix_of(disk)->directory_fd;
    return renameat(fd, from, fd, to) == 0 ? DISK_OK : status_of(errno);
}

static enum disk_status posix_remove(struct disk *disk, const char *name) {
    return unlinkat(posix_of(disk)->directory_fd, name, 0) == 0 ? DISK_OK : status_of(errno);
}

static enum disk_status posix_list(struct disk *disk, disk_visit_fn visit, void *udata) {
    int directory_fd = posix_of(disk)->directory_fd;
    int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL) {
        int error = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return status_of(error);
    }
    bool goes_on = true;
    int error = 0;
    while (goes_on) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL) {
            error = errno;
            break;
        }
        struct stat stat;
        if (fstatat(directory_fd, entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(stat.st_mode)) {
            goes_on = visit(udata, entry->d_name, (uint64_t)stat.st_size);
        }
    }
    (void)closedir(directory);
    return status_of(error);
}

/* The lock file says who has it, for people; what counts is the lock on it, which ends with the
 * process whatever becomes of it. */
static enum disk_status posix_lock(struct disk *disk) {
    struct disk_posix *posix = posix_of(disk);
    if (posix->lock_fd >= 0) {
        return DISK_OK;
    }
    int fd = openat(posix->directory_fd, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (fd < 0) {
        return status_of(errno);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;
        (void)close(fd);
        return status_of(error);
    }
    char text[32];
    int size = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || write(fd, text, (size_t)size) < 0) {
        /* On a full disk the lock holds all the same. */
    }
    posix->lock_fd = fd;
    return DISK_OK;
}

/* ---- jobs ---- */

static void push(struct disk_job **first, struct disk_job **last, struct disk_job *job) {
    job->next = NULL;
    if (*last == NULL) {
        *first = job;
    } else {
        (*last)->next = job;
    }
    *last = job;
}

static struct disk_job *pop(struct disk_job **first, struct disk_job **last) {
    struct disk_job *job = *first;
    if (job != NULL) {
        *first = job->next;
        if (*first == NULL) {
            *last = NULL;
        }
        job->next = NULL;
    }
    return job;
}

static void *run_lane(void *udata) {
    struct lane *lane = udata;
    struct disk_posix *posix = lane->posix;
    if (lane == &posix->lanes[DISK_LANE_BACKGROUND]) {
        /* Compressing a snapshot must not take turns with the requests where processors are few. */
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), LANE_BACKGROUND_NICE);
    }
    (void)pthread_mutex_lock(&posix->mutex);
    for (;;) {
        struct disk_job *job = pop(&lane->first, &lane->last);
        if (job == NULL) {
            if (posix->is_ending) {
                break;
            }
            (void)pthread_cond_wait(&lane->has_work, &posix->mutex);
            continue;
        }
        (void)pthread_mutex_unlock(&posix->mutex);
        job->status = job->run(job);
        (void)pthread_mutex_lock(&posix->mutex);
        bool was_empty = posix->done_first == NULL;
        push(&posix->done_first, &posix->done_last, job);
        (void)pthread_cond_signal(&posix->has_completion);
        if (was_empty) {
            uint64_t one = 1;
            /* Fails only when the counter is full, and then it is readable anyway. */
            if (write(posix->completion_fd, &one, sizeof(one)) < 0) {
                continue;
            }
        }
    }
    (void)pthread_mutex_unlock(&posix->mutex);
    return NULL;
}

static void posix_start(struct disk *disk, struct disk_job *job) {
    struct disk_posix *posix = posix_of(disk);
    require(job->lane < DISK_LANES_COUNT);
    struct lane *lane = &posix->lanes[job->lane];
    (void)pthread_mutex_lock(&posix->mutex);
    posix->under_way++;
    push(&lane->first, &lane->last, job);
    (void)pthread_cond_signal(&lane->has_work);
    (void)pthread_mutex_unlock(&posix->mutex);
}

static struct disk_job *posix_wait(struct disk *disk) {
    struct disk_posix *posix = posix_of(disk);
    (void)pthread_mutex_lock(&posix->mutex);
    while (posix->under_way > 0 && posix->done_first == NULL) {
        (void)pthread_cond_wait(&posix->has_completion, &posix->mutex);
    }
    struct disk_job *job = pop(&posix->done_first, &posix->done_last);
    posix->under_way -= job != NULL;
    (void)pthread_mutex_unlock(&posix->mutex);
    return job;
}

struct disk_job *disk_posix_take_completion(struct disk_posix *posix) {
    (void)pthread_mutex_lock(&posix->mutex);
    struct disk_job *job = pop(&posix->done_first, &posix->done_last);
    if (job != NULL) {
        posix->under_way--;
    } else {
        uint64_t count;
        /* Nothing is left: what made the descriptor readable has been dealt with. */
        if (read(posix->completion_fd, &count, sizeof(count)) < 0) {
            ensure(errno == EAGAIN || errno == EINTR);
        }
    }
    (void)pthread_mutex_unlock(&posix->mutex);
    return job;
}

int disk_posix_completion_fd(const struct disk_posix *posix) {
    return posix->completion_fd;
}

/* ---- lifecycle ---- */

static const struct disk_methods POSIX_METHODS = {
    .open = posix_open,
    .close = posix_close,
    .read_at = posix_read_at,
    .write_at = posix_write_at,
    .size = posix_size,
    .truncate = posix_truncate,
    .sync = posix_sync,
    .sync_directory = posix_sync_directory,
    .rename = posix_rename,
    .remove = posix_remove,
    .list = posix_list,
    .lock = posix_lock,
    .start = posix_start,
    .wait = posix_wait,
};

/* Signals are for the owner's thread. */
static int start_lanes(struct disk_posix *posix) {
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = 0;
    for (unsigned i = 0; i < DISK_LANES_COUNT && error == 0; i++) {
        struct lane *lane = &posix->lanes[i];
        lane->posix = posix;
        (void)pthread_cond_init(&lane->has_work, NULL);
        error = pthread_create(&lane->thread, NULL, run_lane, lane);
        if (error == 0) {
            (void)pthread_setname_np(lane->thread, i == DISK_LANE_LOG ? "disk-log" : "disk-work");
            posix->lanes_started++;
        } else {
            (void)pthread_cond_destroy(&lane->has_work);
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

struct disk_posix *disk_posix_new(const char *path, int *error) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        *error = errno;
        return NULL;
    }
    struct disk_posix *posix = memory_alloc_zero(sizeof(*posix));
    posix->path = memory_copy_text(path);
    posix->disk = (struct disk){.methods = &POSIX_METHODS, .path = posix->path};
    posix->directory_fd = fd;
    posix->lock_fd = -1;
    (void)pthread_mutex_init(&posix->mutex, NULL);
    (void)pthread_cond_init(&posix->has_completion, NULL);
    posix->completion_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *error = posix->completion_fd < 0 ? errno : start_lanes(posix);
    if (*error != 0) {
        disk_posix_free(posix);
        return NULL;
    }
    return posix;
}

void disk_posix_free(struct disk_posix *posix) {
    if (posix == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&posix->mutex);
    posix->is_ending = true;
    for (unsigned i = 0; i < posix->lanes_started; i++) {
        (void)pthread_cond_signal(&posix->lanes[i].has_work);
    }
    (void)pthread_mutex_unlock(&posix->mutex);
    for (unsigned i = 0; i < posix->lanes_started; i++) {
        (void)pthread_join(posix->lanes[i].thread, NULL);
        (void)pthread_cond_destroy(&posix->lanes[i].has_work);
    }
    (void)pthread_cond_destroy(&posix->has_completion);
    (void)pthread_mutex_destroy(&posix->mutex);
    if (posix->completion_fd >= 0) {
        (void)close(posix->completion_fd);
    }
    if (posix->lock_fd >= 0) {
        (void)close(posix->lock_fd);
    }
    (void)close(posix->directory_fd);
    memory_free(posix->path);
    memory_free(posix);
}

struct disk *disk_posix_disk(struct disk_posix *posix) {
    return &posix->disk;
}
