/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads the records of one file, in order, through a window of about a megabyte. Compressed runs
 * are unpacked on the way. Nothing is allocated on the word of a length alone: a record is at most
 * as long as what is left of the file, and an unpacked run at most LOG_RECORD_BYTES_MAX. */
#ifndef LOG_RECORD_READER_H
#define LOG_RECORD_READER_H

#include "base/disk.h"
#include "log/record.h"

enum record_read {
    RECORD_READ_OK,
    RECORD_READ_END,  /* the file ends here, between two records */
    RECORD_READ_CUT,  /* the file ends within this record */
    RECORD_READ_BAD,  /* these bytes are no record: type, length or checksum is wrong */
    RECORD_READ_DISK, /* the disk failed: disk_status */
    RECORD_READ_MEMORY
};

struct record {
    enum record_type type; /* never RECORD_LZ4 */
    struct slice payload;  /* valid until the next call */
    uint32_t crc;          /* of the record as it stands in the file: of the run, if compressed */
    bool is_run_start;     /* the first (or only) one of what stands in the file at `offset` */
    uint64_t offset;       /* in the file; that of the compressed run for what was in one */
};

struct record_reader {
    struct disk *disk;
    struct disk_file *file; /* the caller's */
    uint64_t file_bytes;
    uint64_t offset; /* where the next record of the file begins */
    enum disk_status disk_status;
    size_t window_bytes_usual; /* the owner may set it after init; 0: a megabyte */
    /* private */
    char *window;
    size_t window_capacity, window_bytes;
    uint64_t window_offset;
    struct buffer run; /* unpacked records */
    size_t run_at;     /* how many of its bytes were handed out */
    uint32_t run_crc;
    uint64_t run_offset;
};

/* Begins at `offset` of an open file of `file_bytes`. */
void record_reader_init(struct record_reader *reader, struct disk *disk, struct disk_file *file,
                        uint64_t file_bytes, uint64_t offset);
void record_reader_deinit(struct record_reader *reader);
/* The next record. After CUT and BAD `offset` stays at the record that could not be read. */
enum record_read record_reader_next(struct record_reader *reader, struct record *record);
/* Is there another record in the run of the one that came last? */
static inline bool record_reader_is_in_run(const struct record_reader *reader) {
    return reader->run_at < reader->run.size;
}
/* Looks for a whole record anywhere after reader->offset, byte by byte: is what could not be read
 * there followed by something that can? OK with `*found` (file size: no), or DISK, MEMORY. */
enum record_read record_reader_search(struct record_reader *reader, uint64_t *found);

#endif
