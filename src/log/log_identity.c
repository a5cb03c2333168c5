/* SPDX-License-Identifier: BSD-3-Clause */
/* node.state, and which replica this process writes as.
 *
 * A node that nobody else knows goes on as what it was, or, where it cannot prove that nothing it
 * wrote was lost, with the next generation under the same slot: no other node has seen the one
 * before. As soon as there may be others, each process is a new replica in a slot of its own: what
 * the lives before wrote stays theirs, whether all of it was recovered or not, and an old copy of a
 * data directory is harmless. */
#include "log/log_state.h"

#include "base/check.h"
#include "base/mutation.h"
#include "log/directory.h"

void log_identity_new(struct log *log) {
    log->node = (struct node_file){.generation = 1};
    memcpy(log->node.id, log->opts.entropy, sizeof(log->node.id));
}

static_assert(sizeof(((struct log_opts *)0)->entropy) == RECORD_NODE_ID_BYTES, "bits of an id");

/* ---- the file ---- */

static uint64_t newest_ticks(const struct log *log) {
    return stamp_ticks(log->store->context.stamps[log->store->replicas.self]);
}

static uint64_t ceiling_above(const struct log *log) {
    uint64_t ticks = log->store->clock.ticks + ((uint64_t)LOG_CLOCK_AHEAD_MS << STAMP_COUNTER_BITS);
    return ticks < STAMP_TICKS_MAX ? ticks : STAMP_TICKS_MAX - 1;
}

enum disk_status log_identity_replace_file(struct log *log) {
    struct buffer text = {0};
    node_file_format(&log->node, &text);
    enum disk_status status = node_file_replace(log->disk, buffer_slice(&text));
    buffer_deinit(&text);
    return status;
}

static enum disk_status run_node_job(struct disk_job *job) {
    struct log_node_job *node_job = (struct log_node_job *)job;
    return node_file_replace(node_job->disk, buffer_slice(&node_job->text));
}

void log_identity_keep(struct log *log) {
    struct log_node_job *job = &log->node_job;
    bool is_durable = log->is_on && log->opts.fsync == LOG_FSYNC_ALWAYS &&
                      !log->snapshot_is_required && log->node.is_durable;
    uint64_t margin = (uint64_t)(LOG_CLOCK_AHEAD_MS / 2) << STAMP_COUNTER_BITS;
    bool is_near = newest_ticks(log) + margin > log->node.ceiling_ticks;
    if (job->is_running || !log->is_started || (!is_near && is_durable == log->node.is_durable)) {
        return;
    }
    struct node_file next = log->node;
    next.ceiling_ticks = ceiling_above(log);
    next.is_durable = is_durable;
    *job = (struct log_node_job){.job = {.run = run_node_job, .lane = DISK_LANE_BACKGROUND},
                                 .disk = log->disk,
                                 .ceiling_ticks = next.ceiling_ticks,
                                 .is_durable = next.is_durable,
                                 .is_running = true};
    node_file_format(&next, &job->text);
    log->disk->methods->start(log->disk, &job->job);
}

void log_identity_job_done(struct log *log) {
    struct log_node_job *job = &log->node_job;
    job->is_running = false;
    buffer_deinit(&job->text);
    if (job->job.status == DISK_OK) {
        log->node.ceiling_ticks = job->ceiling_ticks;
        log->node.is_durable = job->is_durable;
    } else {
        log_say(log, LOG_LEVEL_DEBUG, "Cannot replace %s/%s: %s.", log->disk->path,
                DIRECTORY_NODE_FILE, disk_status_text(job->job.status));
    }
}

/* ---- the replica ---- */

static struct replica_id present_id(const struct log *log) {
    struct replica_id id = {.generation = log->node.generation};
    memcpy(id.node, log->node.id, sizeof(id.node));
    return id;
}

/* The lone replica, if there is one, is called what it is now. */
static bool go_on_alone(struct log *log) {
    struct replicas *replicas = &log->store->replicas;
    struct replica_id id = present_id(log);
    if (replicas_record_known_count(replicas) == 0) {
        return store_begin_replica(log->store, &id);
    }
    require(replicas->self < replicas->slots_count);
    require(replicas->slots[replicas->self].ref != 0);
    if (replicas->slots[replicas->self].ref != replica_ref(&id)) {
        replicas_rename(replicas, replicas->self, &id);
    }
    return true;
}

/* Where the clock is behind the life before, a copy of this directory that is started, too, or was
 * once, would come to the same number by counting alone: two lives that nobody can tell apart.
 *
 * Even generations are times, odd ones are not, where the clock was ahead once, or others ask for a
 * later one than it shows: what the life writes may be older (replica_born_ticks()). */
static uint64_t later_generation(const struct log *log, uint64_t generation) {
    enum { STEP_MAX = 1 << 16, TURN_MS = 1000 /* since log->unix_ms */ };
    uint64_t now = log->unix_ms > 0 ? (uint64_t)log->unix_ms : 0;
    bool is_time = generation > log->node.generation && generation <= now + TURN_MS;
    if (generation <= log->node.generation) {
        generation = log->node.generation + 1 + log->opts.entropy[0] % STEP_MAX;
    }
    return is_time ? generation + (generation & 1) : generation | 1;
}

/* Did the last life end in a way that lost nothing of what others might have seen? */
static bool is_provably_whole(const struct log *log) {
    const struct node_file *node = &log->node;
    bool is_first_life = node->ceiling_ticks == 0;
    /* Half a unit is on the disk under this name; what comes next would seem to go on with it. */
    return is_first_life || ((node->is_clean || node->is_durable) && !log->end.has_own_open_unit);
}

enum log_status log_identity_begin(struct log *log, bool is_on) {
    struct node_file *node = &log->node;
    bool is_in_mesh =
        log->opts.begins_replica || replicas_record_known_count(&log->store->replicas) > 1;
    if (is_in_mesh && !mutation(KEEP_GENERATION)) {
        uint64_t now = log->unix_ms > 0 ? (uint64_t)log->unix_ms : 0;
        node->generation = later_generation(log, now);
        log_say(log, LOG_LEVEL_NOTICE, "This node goes on as generation %llu.",
                (unsigned long long)node->generation);
    } else if (!is_provably_whole(log)) {
        node->generation++;
        log_say(log, LOG_LEVEL_NOTICE,
                "The last shutdown was not clean: this node goes on as generation %llu.",
                (unsigned long long)node->generation);
    }
    hybrid_clock_set_wall(&log->store->clock, log->unix_ms);
    /* A life of its own in a mesh needs no stamps above all those of the lives before, and peers
     * would refuse stamps that are as far ahead of their clocks as the ceiling is. */
    if (!is_in_mesh) {
        hybrid_clock_observe(&log->store->clock, node->ceiling_ticks);
    }
    node->ceiling_ticks = ceiling_above(log);
    node->is_clean = false;
    node->is_durable = is_on && log->opts.fsync == LOG_FSYNC_ALWAYS;
    enum disk_status status = log_identity_replace_file(log);
    if (status != DISK_OK) {
        return log_fail(log, LOG_FAILED, "cannot write to %s: %s", log->disk->path,
                        disk_status_text(status));
    }
    struct replica_id id = present_id(log);
    bool has_slot = is_in_mesh ? store_begin_replica(log->store, &id) : go_on_alone(log);
    if (!has_slot) {
        return log_fail(log, LOG_FAILED, "there is no slot left for another replica");
    }
    if (replicas_record_known_count(&log->store->replicas) > 1) {
        log->store->is_alone = false;
    }
    return LOG_OK;
}

enum log_status log_begin_replica(struct log *log, uint64_t generation) {
    require(log->is_started);
    require(!log->store->journal.is_unit_open);
    log_collect(log);
    while (log->node_job.is_running) { /* it would write the old generation over the new one */
        if (!log_wait_for_disk(log)) {
            break;
        }
    }
    struct node_file before = log->node;
    log->node.generation = later_generation(log, generation);
    log->node.ceiling_ticks = ceiling_above(log);
    enum disk_status status = log_identity_replace_file(log);
    if (status != DISK_OK) {
        log->node = before;
        return log_fail(log, LOG_FAILED, "cannot write to %s: %s", log->disk->path,
                        disk_status_text(status));
    }
    struct replica_id id = present_id(log);
    if (!store_begin_replica(log->store, &id)) {
        return log_fail(log, LOG_FAILED, "there is no slot left for another replica");
    }
    if (replicas_record_known_count(&log->store->replicas) > 1) {
        log->store->is_alone = false;
    }
    log_say(log, LOG_LEVEL_NOTICE, "This node goes on as generation %llu.",
            (unsigned long long)log->node.generation);
    return LOG_OK;
}
