/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads a data directory back into a store: the newest snapshot, then the chain of segments after
 * it (I1 to I5 in log.h). Used at the start, and by --check and --repair, which change nothing
 * while they look.
 *
 * What it tells apart, at the place where a segment stops to make sense:
 *   - a seal: the segment was closed; the next one goes on from here;
 *   - the end of the last segment, between two records or within one, with no whole record after:
 *     a torn tail, the trace of a crash. Cut off, with a message;
 *   - the same in the last segment but one, when the last does not say that its predecessor is
 *     durable: a power loss took the end of the one and left the beginning of the other. The tail
 * is cut, the last segment is set aside, with a message: none of it was acknowledged as durable;
 *   - anything else: damage. Nothing is skipped. */
#ifndef LOG_RECOVERY_H
#define LOG_RECOVERY_H

#include "log/directory.h"
#include "log/log_state.h"
#include "store/receive.h"

struct recovery {
    struct disk *disk;
    struct store *store;
    bool is_dry;                  /* change no file */
    bool skips_blocks;            /* repair of a snapshot: go on after a bad record */
    struct change_counts *counts; /* of what is read; NULL: nobody wants to know */
    log_message_fn message;
    log_recovering_fn recovering; /* may be NULL */
    void *udata;

    /* Results. */
    struct log_recovery found;
    struct log_chain_end end;
    int64_t snapshot_created_ms;
    uint64_t newest_sequence;                /* of the files that are not set aside */
    uint64_t segments_count, segments_bytes; /* in the directory */
    uint64_t skipped_bytes;                  /* skips_blocks */
    struct buffer error;
    /* Where it is damaged, when the status says so. */
    char damaged_name[DIRECTORY_NAME_BYTES];
    uint64_t damaged_sequence, damaged_offset;
    bool is_snapshot_damaged;
    bool is_damaged_behind_seal; /* the segment itself is good */

    /* private */
    uint64_t last_ticks; /* of all changes that were applied */
    struct receiver receiver;
    const char *what; /* of the bytes that make no sense */
    struct log_progress progress;
    uint64_t finished_bytes; /* of files that are read to their end */
};

/* Runs it; the fields before "Results" are set, the others zero. */
enum log_status recovery_run(struct recovery *recovery);
/* Loads one snapshot file alone. */
enum log_status recovery_load_snapshot(struct recovery *recovery, uint64_t sequence);
void recovery_deinit(struct recovery *recovery);

#endif
