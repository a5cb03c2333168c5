/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of recovery.h share: recovery_source.c opens a file and says what is wrong with
 * it, recovery_snapshot.c loads a snapshot, recovery_judge.c tells the trace of a crash from
 * damage, log_recovery.c replays segments and runs the whole. */
#ifndef LOG_RECOVERY_INTERNAL_H
#define LOG_RECOVERY_INTERNAL_H

#include "log/record_reader.h"
#include "log/recovery.h"

/* An open file of the directory. */
struct recovery_source {
    char name[DIRECTORY_NAME_BYTES];
    uint64_t sequence;
    bool is_snapshot;
    struct disk_file *file;
    struct record_reader reader;
};

/* How the reading of a segment ended. */
struct recovery_tail {
    bool is_sealed;
    enum record_read read; /* not sealed: END, CUT or BAD */
    uint64_t offset;       /* end of the last good record */
};

/* ---- recovery_source.c ---- */

/* Tells the caller's `message`, if there is one. */
void recovery_say(struct recovery *recovery, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* FAILED, with an error that names the file. */
enum log_status recovery_disk_failed(struct recovery *recovery, const char *name,
                                     enum disk_status status);
enum log_status recovery_out_of_memory(struct recovery *recovery, const char *name);
/* DAMAGED at that offset of the file. */
enum log_status recovery_damaged(struct recovery *recovery, const struct recovery_source *source,
                                 uint64_t offset, const char *why);
/* The error for a record that could not be read. */
enum log_status recovery_unread(struct recovery *recovery, const struct recovery_source *source,
                                enum record_read read);
/* Opens a file of the directory, and places the reader behind its header. When it fails the file is
 * not open; closing it does no harm. */
enum log_status recovery_open(struct recovery *recovery, struct recovery_source *source,
                              uint64_t sequence, bool is_snapshot);
void recovery_close(struct recovery *recovery, struct recovery_source *source);
/* Tells how far the reading has come, now and then; false: the caller wants no more. */
bool recovery_goes_on(struct recovery *recovery, const struct recovery_source *source);
/* Reads the header's bytes; CUT when the file is shorter. */
enum record_read recovery_read_head(struct recovery *recovery, struct recovery_source *source,
                                    char *into, size_t size);
/* Reads the header of a segment. `*is_torn`: it may never have been written whole. */
enum log_status recovery_read_segment_header(struct recovery *recovery,
                                             struct recovery_source *source,
                                             struct record_segment_header *header, bool *is_torn);

/* ---- recovery_judge.c ---- */

/* Sets segments aside, from the one at index `first` on; a dry run only says so. */
enum log_status recovery_set_aside_from(struct recovery *recovery,
                                        const struct directory_files *segments, size_t first,
                                        const char *why);
/* After the segment at `index`, which has no seal: a torn tail, or damage? A torn tail is cut, and
 * what goes on from it is set aside. */
enum log_status recovery_judge_tail(struct recovery *recovery,
                                    const struct directory_files *segments, size_t index,
                                    struct recovery_source *source,
                                    const struct recovery_tail *tail);
/* A segment that cannot be joined to the chain, as `status` and the error say: the trace of a
 * crash, or damage? */
enum log_status recovery_judge_stranger(struct recovery *recovery,
                                        const struct directory_files *segments, size_t index,
                                        enum log_status status, bool is_torn);

#endif
