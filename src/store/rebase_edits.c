/* SPDX-License-Identifier: BSD-3-Clause */
/* Strings that were edited, for rebasing: patches and registers of HyperLogLogs, as edits or in the
 * bytes of a value. */
#include "store/rebase_compare_internal.h"

#include "base/codec.h"
#include "base/varint.h"
#include "crdt/hyperloglog.h"

/* What the mesh has of the register with that stamp: that, or if it has it as an edit, all that was
 * seen here, which is in the register here. False when memory is out. */
static bool take_form(const struct state_merge *merge, struct contested *contested, uint64_t stamp,
                      const struct contested *there) {
    bool is_edit = state_merge_has_edit(there, stamp), is_done = true;
    for (unsigned i = 0; i < there->registers_count; i++) {
        const struct contested_register *reg = &there->registers[i];
        if (state_merge_is_same(reg->stamp, stamp) ||
            (is_edit && state_merge_covers_here(merge, reg->stamp))) {
            is_done &= rebase_add_copy(merge, contested, reg);
        }
    }
    for (unsigned i = 0; i < there->edits_count && is_edit; i++) {
        const struct contested_edit *edit = &there->edits[i];
        if (state_merge_covers_here(merge, edit->stamp) &&
            !state_merge_has_edit(contested, edit->stamp)) {
            is_done &= contested_add_edit(merge->store, contested, edit);
        }
    }
    return is_done;
}

bool rebase_take_edited(const struct state_merge *merge, struct contested *contested,
                        const struct contested *there) {
    bool is_done = true;
    for (unsigned i = there != NULL ? contested->registers_count : 0; i-- > 0;) {
        const struct contested_register *reg = &contested->registers[i];
        uint64_t stamp = reg->stamp;
        struct entry_scratch scratch;
        long double number;
        bool is_number = reg->form == CONTESTED_NUMBER ||
                         number_parse_float(contested_register_bytes(reg, &scratch), &number);
        if (!is_number &&
            (state_merge_has_register(there, stamp) || state_merge_has_edit(there, stamp))) {
            contested_drop_register(contested, i);
            is_done &= take_form(merge, contested, stamp, there);
        }
    }
    return is_done;
}

bool rebase_next_patch(struct slice *patches, uint64_t *offset, struct slice *bytes) {
    return varint_take(patches, offset) && varint_take_slice(patches, bytes);
}

bool rebase_note_edits(const struct state_merge *merge, const struct contested *wanted,
                       struct buffer *edits) {
    for (unsigned i = 0; i < wanted->edits_count; i++) {
        const struct contested_edit *edit = &wanted->edits[i];
        if (state_merge_covers_there(merge, edit->stamp)) {
            continue;
        }
        if (edit->is_raise) {
            return false;
        }
        codec_put_varint(edits, edit->offset);
        codec_put_slice(edits, slice_make(edit->bytes, edit->size));
    }
    return true;
}

bool rebase_note_patches(const struct state_merge *merge, const struct contested *wanted,
                         struct buffer *patches) {
    for (unsigned i = 0; i < wanted->registers_count; i++) {
        if (!state_merge_covers_there(merge, wanted->registers[i].stamp)) {
            return false;
        }
    }
    return rebase_note_edits(merge, wanted, patches) && wanted->parts_count == 0 &&
           patches->size > 0;
}

bool rebase_join_hyperloglogs(const struct store *store, struct contested *contested) {
    struct entry_scratch scratch;
    uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT] = {0};
    bool is_dense = false, is_done = true;
    if (contested->registers_count < 2) {
        return true;
    }
    for (unsigned i = 0; i < contested->registers_count; i++) {
        struct slice bytes = contested_register_bytes(&contested->registers[i], &scratch);
        if (!contested_is_hyperloglog(bytes) ||
            hyperloglog_join(registers, bytes) != HYPERLOGLOG_OK) {
            return true;
        }
        is_dense |= hyperloglog_is_dense(bytes);
    }
    struct buffer joined = {0};
    uint64_t stamp = contested_top(contested)->stamp;
    hyperloglog_set_registers(&joined, registers, is_dense, HYPERLOGLOG_SPARSE_BYTES_LIMIT);
    while (contested->registers_count > 0) {
        contested_drop_register(contested, 0);
    }
    is_done = contested_add_register(store, contested, stamp, buffer_slice(&joined));
    buffer_deinit(&joined);
    return is_done;
}

bool rebase_differ_by_edits(struct slice wanted, struct slice theirs, struct slice edits) {
    if (theirs.size > wanted.size) {
        return false;
    }
    char *made = memory_try_alloc(wanted.size + 1);
    if (made == NULL) {
        return false;
    }
    memset(made, 0, wanted.size);
    if (theirs.size > 0) {
        memcpy(made, theirs.data, theirs.size);
    }
    struct slice bytes;
    uint64_t offset;
    while (rebase_next_patch(&edits, &offset, &bytes)) {
        if (offset < wanted.size) {
            size_t rest = wanted.size - (size_t)offset;
            memcpy(made + offset, wanted.data + offset, bytes.size < rest ? bytes.size : rest);
        }
    }
    bool is_same = slice_equal(slice_make(made, wanted.size), wanted);
    memory_free(made);
    return is_same;
}

/* Leaves `value` in the store aside, to be set. False when memory is out. */
static bool put_wanted(const struct rebase_place *place, struct slice value, uint64_t stamp) {
    rebase_drop(place->aside, place->key);
    struct contested *wanted = contested_open(place->aside, place->key, NULL);
    bool is_done = contested_add_register(place->aside, wanted, stamp, value);
    contested_close(place->aside, place->key, stamp);
    return is_done;
}

/* The HyperLogLog that the mesh has, with what was added here, or if that is not known with all
 * that is here. False: there is none on both sides, or memory is out. */
static bool judge_hyperloglogs(const struct rebase_place *place, const struct rebase_view *ours,
                               const struct rebase_view *theirs, struct slice pairs,
                               struct rebase_verdict *verdict) {
    uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT] = {0};
    struct buffer raised = {0};
    bool is_done = contested_is_hyperloglog(theirs->bytes);
    if (is_done && pairs.size > 0) {
        is_done = hyperloglog_raise_pairs(&raised, theirs->bytes, pairs);
    } else if (is_done) {
        is_done = contested_is_hyperloglog(ours->bytes) &&
                  hyperloglog_join(registers, theirs->bytes) == HYPERLOGLOG_OK &&
                  hyperloglog_join(registers, ours->bytes) == HYPERLOGLOG_OK;
        hyperloglog_set_registers(&raised, registers, hyperloglog_is_dense(theirs->bytes),
                                  HYPERLOGLOG_SPARSE_BYTES_LIMIT);
    }
    if (is_done && !slice_equal(buffer_slice(&raised), theirs->bytes)) {
        const struct entry *entry = rebase_entry_at(place->theirs, place->key);
        is_done = put_wanted(place, buffer_slice(&raised), entry->stamp);
        verdict->kind = REBASE_SET;
    }
    buffer_deinit(&raised);
    return is_done;
}

bool rebase_judge_edits(struct sync *sync, const struct rebase_place *place,
                        const struct rebase_view *ours, const struct rebase_view *wanted,
                        const struct rebase_view *theirs, struct rebase_verdict *verdict) {
    struct slice patches = {0}, pairs = {0};
    if (!place->can_patch || !ours->is_there || !theirs->is_there) {
        return false;
    }
    bool is_edited = unsent_edits_find(sync->unsent_edits, sync->store->dbs[place->key->db].number,
                                       place->key->name, &patches, &pairs);
    if (!is_edited && !contested_is_hyperloglog(ours->bytes)) {
        return false;
    }
    uint64_t expire_unix_ms = wanted->is_there ? wanted->expire_unix_ms : theirs->expire_unix_ms;
    bool is_expiry_same = expire_unix_ms == theirs->expire_unix_ms;
    *verdict = (struct rebase_verdict){.kind = is_expiry_same ? REBASE_NOTHING : REBASE_EXPIRE,
                                       .was_there = true,
                                       .expire_unix_ms = expire_unix_ms};
    if (patches.size == 0) {
        return judge_hyperloglogs(place, ours, theirs, pairs, verdict);
    }
    if (pairs.size == 0) {
        verdict->kind = REBASE_PATCH;
        verdict->sets_expiry = !is_expiry_same;
        buffer_append_slice(&verdict->patches, patches);
    }
    return pairs.size == 0;
}

bool rebase_is_edited(const struct sync *sync, const struct key *key) {
    struct slice patches, pairs;
    return unsent_edits_find(sync->unsent_edits, sync->store->dbs[key->db].number, key->name,
                             &patches, &pairs);
}
