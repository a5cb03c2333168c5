/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/disk.h"

#include "base/check.h"

const char *disk_status_text(enum disk_status status) {
    switch (status) {
    case DISK_OK:
        return "no error";
    case DISK_FULL:
        return "no space left on the disk";
    case DISK_IO:
        return "input/output error";
    case DISK_NOT_FOUND:
        return "no such file";
    case DISK_EXISTS:
        return "the file exists";
    case DISK_DENIED:
        return "permission denied";
    case DISK_BUSY:
        return "in use by another process";
    case DISK_OTHER:
        return "the system call failed";
    }
    return "unknown error";
}

enum disk_status disk_write_all(struct disk *disk, struct disk_file *file, uint64_t offset,
                                struct slice bytes, size_t *written) {
    size_t done = 0;
    enum disk_status status = DISK_OK;
    while (done < bytes.size && status == DISK_OK) {
        int64_t count = disk->methods->write_at(disk, file, offset + done, slice_skip(bytes, done));
        if (count < 0) {
            status = (enum disk_status)count;
        } else if (count == 0) {
            /* A medium that takes nothing and says nothing is as good as full. */
            status = DISK_FULL;
        } else {
            ensure((size_t)count <= bytes.size - done);
            done += (size_t)count;
        }
    }
    if (written != NULL) {
        *written = done;
    }
    return status;
}

int64_t disk_read_all(struct disk *disk, struct disk_file *file, uint64_t offset, char *into,
                      size_t size) {
    size_t done = 0;
    while (done < size) {
        int64_t count = disk->methods->read_at(disk, file, offset + done, into + done, size - done);
        if (count < 0) {
            return count;
        }
        if (count == 0) {
            break;
        }
        done += (size_t)count;
    }
    return (int64_t)done;
}
