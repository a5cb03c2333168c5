/* SPDX-License-Identifier: BSD-3-Clause */
/* Digests.
 *
 *   digest:   format byte (1) | flags byte | ref u64 and heartbeat of the sender | items | 0 |
 *             heartbeats
 *   flags:    1: tell your context again, though it has not changed
 *   item:     1 | row  or  2 | context  or  3 | retired
 *   row:      node id (16) | generation | heartbeat | status byte | [left: last ticks] |
 *             version of what follows | address | version of the server
 *   context:  ref u64 of whose it is | version | member set hash u64 | count | entries
 *   entry:    0 | ref u64 | ticks            a ref's first mention
 *             number from 1 | ticks - those at the first mention (zigzag)
 *   retired:  ref u64 | last ticks
 *   heartbeats:  (ref u64 | heartbeat)... to the end
 *
 * Numbers are varints, texts have their length before them. Contexts of a quiet mesh are all alike,
 * so all entries but the first mentions cost two bytes.
 *
 * A peer is told what changed since it was told last. Walks over all members in turn do that, and
 * go on with the next digest where a full one stopped: so nobody is told twice before all were told
 * once. Rows come first, contexts only once the peer knows everybody, and for heartbeats at least
 * half of the room is kept. */
#include "mesh/membership.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/memory.h"
#include "base/varint.h"
#include "mesh/membership_state.h"

enum {
    FORMAT = 1,
    FLAG_RENEW = 1,
    ITEM_ROW = 1,
    ITEM_CONTEXT = 2,
    ITEM_RETIRED = 3,
    ENTRIES_MAX = 2 * STAMP_SLOTS_COUNT, /* of a context */
    RETIRED_TOLD = 256,                  /* the newest ones, in turn */
    RETIRED_TOLD_AT_ONCE = 4,
    HEARTBEAT_BYTES = 8 + 4,     /* about */
    CLAIM_HEARTBEATS_MAX = 1024, /* an unchanged context is claimed again after so many, */
    CLAIM_HEARTBEATS_MIN = 4,    /* or when somebody asks for it, after so many */
};

/* ---- numbers ---- */

static bool take_ref(struct slice *bytes, uint64_t *ref) {
    return codec_take_u64(bytes, ref) && *ref != 0;
}

static bool take_ticks(struct slice *bytes, uint64_t *ticks) {
    return varint_take(bytes, ticks) && *ticks <= STAMP_TICKS_ACCEPTED_MAX;
}

/* ---- walks ---- */

/* Begins a walk unless one is under way. */
static void pass_begin(const struct membership *membership, struct member_pass *pass) {
    if (pass->begun == 0) {
        pass->begun = membership->number;
        pass->left = membership->members_count;
    }
}

/* The next member to be looked at; NULL when the walk is over. */
static struct member *pass_next(const struct membership *membership, struct member_pass *pass) {
    if (pass->left == 0) {
        if (pass->begun != 0) {
            pass->told = pass->begun;
            pass->begun = 0;
        }
        return NULL;
    }
    pass->left--;
    pass->cursor = pass->cursor < membership->members_count ? pass->cursor : 0;
    return membership->members[pass->cursor++];
}

/* It found no room: it comes first the next time. */
static void pass_back(struct member_pass *pass) {
    require(pass->cursor > 0);
    pass->cursor--;
    pass->left++;
}

/* ---- a digest being written ---- */

/* First mentions of refs with a slot. */
struct digest_mentions {
    /* By slot; the number is 0 while there is none. Only as many as the table has are set up. */
    uint16_t numbers[STAMP_SLOTS_COUNT];
    uint64_t first_ticks[STAMP_SLOTS_COUNT];
    uint16_t slots[STAMP_SLOTS_COUNT]; /* in order, to take mentions back */
    unsigned count;
};

struct digest_writer {
    struct membership *membership;
    struct member *peer;
    const struct replicas *replicas;
    struct buffer *out;
    size_t begin, bytes_max;
    struct digest_mentions *mentions;
    unsigned entries_count; /* first mentions so far, of refs without slot too */
};

/* Does the table of replicas name a life of the member? */
static bool has_slot(const struct replicas *replicas, const struct member *member) {
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        const struct replica *replica = &replicas->slots[slot];
        if (replica->ref != 0 &&
            memcmp(replica->id.node, member->node_id, REPLICA_NODE_ID_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

/* A peer that comes is told once of those that were forgotten long ago, too, if it will hear of
 * their changes: it would let them in as if nothing had been settled without them. */
static bool is_told_of(const struct digest_writer *writer, const struct member *member) {
    return member != writer->peer &&
           (!membership_is_left_out(writer->membership, member) ||
            (writer->peer->told_rows.told == 0 && member->state == MEMBER_FORGOTTEN &&
             has_slot(writer->replicas, member)));
}

static void put_row(struct digest_writer *writer, const struct member *member) {
    struct buffer *out = writer->out;
    enum membership_row_status status = member->state == MEMBER_LEFT ? MEMBERSHIP_ROW_LEFT
                                        : member->state == MEMBER_FORGOTTEN
                                            ? MEMBERSHIP_ROW_FORGOTTEN
                                            : MEMBERSHIP_ROW_PRESENT;
    buffer_append_byte(out, ITEM_ROW);
    buffer_append(out, member->node_id, REPLICA_NODE_ID_BYTES);
    codec_put_varint(out, member->generation);
    codec_put_varint(out, member->heartbeat);
    buffer_append_byte(out, (uint8_t)status);
    if (status == MEMBERSHIP_ROW_LEFT) {
        codec_put_varint(out, member->left_ticks);
    }
    codec_put_varint(out, member->texts_version);
    size_t address_bytes = strlen(member->address), version_bytes = strlen(member->version);
    codec_put_varint(out, address_bytes);
    buffer_append(out, member->address, address_bytes);
    codec_put_varint(out, version_bytes);
    buffer_append(out, member->version, version_bytes);
}

/* One walk over the members that are new or changed, in `room` bytes; true when it came to its end.
 */
static bool walk_rows(struct digest_writer *writer, size_t room) {
    struct member_pass *pass = &writer->peer->told_rows;
    struct member *member;
    pass_begin(writer->membership, pass);
    while ((member = pass_next(writer->membership, pass)) != NULL) {
        if (member->row_number <= pass->told || !is_told_of(writer, member)) {
            continue;
        }
        size_t before = writer->out->size;
        put_row(writer, member);
        if (writer->out->size - writer->begin > room) {
            writer->out->size = before;
            pass_back(pass);
            return false;
        }
    }
    return true;
}

/* Tells of members that are new or changed; true when all are told. A walk that began with an
 * earlier digest may have missed changes since. */
static bool put_rows(struct digest_writer *writer, size_t room) {
    do {
        if (!walk_rows(writer, room)) {
            return false;
        }
    } while (writer->peer->told_rows.told < writer->membership->rows_number);
    return true;
}

static void put_entry(struct digest_writer *writer, unsigned slot, uint64_t ref, uint64_t ticks) {
    struct digest_mentions *mentions = writer->mentions;
    require(slot < writer->replicas->slots_count);
    if (slot != 0 && mentions->numbers[slot] != 0) {
        codec_put_varint(writer->out, mentions->numbers[slot]);
        codec_put_varint(writer->out,
                         varint_zigzag((int64_t)(ticks - mentions->first_ticks[slot])));
        return;
    }
    require(ref != 0);
    codec_put_varint(writer->out, 0);
    codec_put_u64(writer->out, ref);
    codec_put_varint(writer->out, ticks);
    writer->entries_count++;
    if (slot != 0 && writer->entries_count <= UINT16_MAX) {
        mentions->numbers[slot] = (uint16_t)writer->entries_count;
        mentions->first_ticks[slot] = ticks;
        mentions->slots[mentions->count++] = (uint16_t)slot;
    }
}

static void put_context(struct digest_writer *writer, const struct member *member) {
    const struct member_claim *claim = member->claim;
    buffer_append_byte(writer->out, ITEM_CONTEXT);
    codec_put_u64(writer->out, member->ref);
    codec_put_varint(writer->out, claim->version);
    codec_put_u64(writer->out, claim->set_hash);
    codec_put_varint(writer->out, claim->stamps.count + claim->foreign_count);
    for (unsigned i = 0; i < claim->stamps.count; i++) {
        uint64_t stamp = claim->stamps.items[i];
        unsigned slot = stamp_slot(stamp);
        put_entry(writer, slot, writer->replicas->slots[slot].ref, stamp_ticks(stamp));
    }
    for (unsigned i = 0; i < claim->foreign_count; i++) {
        put_entry(writer, 0, claim->foreign[i].ref, claim->foreign[i].ticks);
    }
}

/* Takes the last context back, as it was before. */
static void take_back(struct digest_writer *writer, size_t size, unsigned mentions_count,
                      unsigned entries_count) {
    struct digest_mentions *mentions = writer->mentions;
    writer->out->size = size;
    while (mentions->count > mentions_count) {
        mentions->numbers[mentions->slots[--mentions->count]] = 0;
    }
    writer->entries_count = entries_count;
}

/* Contexts that changed, in `room` bytes. Returns the bytes of one that came on top. */
static size_t put_contexts(struct digest_writer *writer, size_t room) {
    struct member_pass *pass = &writer->peer->told_claims;
    struct member *member;
    size_t on_top = 0;
    pass_begin(writer->membership, pass);
    while ((member = pass_next(writer->membership, pass)) != NULL) {
        if (member->claim_number <= pass->told || member->claim == NULL ||
            !is_told_of(writer, member)) {
            continue;
        }
        size_t before = writer->out->size;
        unsigned mentions = writer->mentions->count, entries = writer->entries_count;
        put_context(writer, member);
        if (writer->out->size - writer->begin - on_top <= room) {
            continue;
        }
        size_t size = writer->out->size - before;
        if (on_top == 0 && size > writer->bytes_max / 2) {
            on_top = size;
            continue;
        }
        take_back(writer, before, mentions, entries);
        pass_back(pass);
        break;
    }
    return on_top;
}

static void put_retired(struct digest_writer *writer) {
    size_t count = writer->replicas->retired_count;
    size_t told = count < RETIRED_TOLD ? count : RETIRED_TOLD;
    for (unsigned i = 0; i < RETIRED_TOLD_AT_ONCE && i < told; i++) {
        const struct retired_replica *retired =
            &writer->replicas->retired[count - 1 - writer->peer->told_retired++ % told];
        if (replicas_find(writer->replicas, retired->ref) != 0) {
            continue; /* it has a slot again, and this node's claims speak of it */
        }
        buffer_append_byte(writer->out, ITEM_RETIRED);
        codec_put_u64(writer->out, retired->ref);
        codec_put_varint(writer->out, retired->ticks);
    }
}

static void put_heartbeats(struct digest_writer *writer, size_t room) {
    struct member_pass *pass = &writer->peer->told_heartbeats;
    const struct member *self = membership_self(writer->membership);
    struct member *member;
    pass_begin(writer->membership, pass);
    while ((member = pass_next(writer->membership, pass)) != NULL) {
        if (member->heartbeat_number <= pass->told || member == self ||
            member->state == MEMBER_LEFT || member->state == MEMBER_FORGOTTEN ||
            !is_told_of(writer, member)) {
            continue;
        }
        size_t before = writer->out->size;
        codec_put_u64(writer->out, member->ref);
        codec_put_varint(writer->out, member->heartbeat);
        if (writer->out->size - writer->begin > room) {
            writer->out->size = before;
            pass_back(pass);
            return;
        }
    }
}

void membership_digest_put(struct membership *membership, struct member *peer,
                           const struct replicas *replicas, size_t bytes_max, struct buffer *out) {
    require(!peer->is_self);
    require(bytes_max >= 1024);
    struct digest_mentions mentions;
    memset(mentions.numbers, 0, replicas->slots_count * sizeof(mentions.numbers[0]));
    mentions.count = 0;
    struct digest_writer writer = {.membership = membership,
                                   .peer = peer,
                                   .mentions = &mentions,
                                   .replicas = replicas,
                                   .out = out,
                                   .begin = out->size,
                                   .bytes_max = bytes_max};
    const struct member *self = membership_self(membership);
    if (peer->told_epoch != membership->epoch) {
        /* Members have moved: walks begin again, what was told stays told. */
        peer->told_rows.begun = peer->told_claims.begun = peer->told_heartbeats.begun = 0;
        peer->told_rows.left = peer->told_claims.left = peer->told_heartbeats.left = 0;
        peer->told_epoch = membership->epoch;
    }
    size_t kept = HEARTBEAT_BYTES * membership->members_count;
    kept = (kept < bytes_max / 2 ? kept : bytes_max / 2) + 1;
    /* One that came with this very set, but another set lay between: it may be older than that. */
    bool wants_renewal = peer->claim != NULL && membership_is_stale(membership, peer->claim) &&
                         peer->claim->set_hash == membership->set_hash;
    buffer_append_byte(out, FORMAT);
    buffer_append_byte(out, wants_renewal ? FLAG_RENEW : 0);
    codec_put_u64(out, self->ref);
    codec_put_varint(out, self->heartbeat);
    put_retired(&writer);
    size_t on_top = 0;
    if (put_rows(&writer, bytes_max - kept)) {
        on_top = put_contexts(&writer, bytes_max - kept);
    }
    buffer_append_byte(out, 0);
    put_heartbeats(&writer, bytes_max + on_top);
    ensure(out->size - writer.begin <= bytes_max + on_top);
}

void membership_beat(struct membership *membership, const struct replicas *replicas,
                     const struct context *context) {
    struct member *self = membership_self(membership);
    self->heartbeat++;
    self->heartbeat_number = membership_change(membership);
    struct member_claim *claim = member_claim_new(self->heartbeat, membership->set_hash);
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (stamp_ticks(context->stamps[slot]) != 0 && replicas->slots[slot].ref != 0) {
            member_stamps_raise(&claim->stamps, context->stamps[slot]);
        }
    }
    uint64_t age =
        self->claim == NULL ? CLAIM_HEARTBEATS_MAX : self->heartbeat - self->claim->version;
    bool is_renewed =
        age >= (membership->is_renewal_wanted ? CLAIM_HEARTBEATS_MIN : CLAIM_HEARTBEATS_MAX);
    if (!is_renewed && member_claim_equal(self->claim, claim)) {
        member_claim_unref(claim);
    } else {
        membership->is_renewal_wanted = false;
        membership_note_claim(membership, self, claim);
    }
}

/* ---- reading ---- */

struct digest_reader {
    struct membership *membership;
    const struct replicas *replicas;
    struct slice rest;
    uint64_t now_ms;
    const struct member *peer;
    struct stream_mark *mentions; /* in order */
    size_t mentions_count, mentions_capacity;
};

static bool take_row(struct digest_reader *reader) {
    struct slice *rest = &reader->rest;
    struct membership_row row = {0};
    if (rest->size < REPLICA_NODE_ID_BYTES) {
        return false;
    }
    memcpy(row.id.node, rest->data, REPLICA_NODE_ID_BYTES);
    *rest = slice_skip(*rest, REPLICA_NODE_ID_BYTES);
    if (!varint_take(rest, &row.id.generation) || !varint_take(rest, &row.heartbeat) ||
        rest->size == 0) {
        return false;
    }
    uint8_t status = (uint8_t)rest->data[0];
    *rest = slice_skip(*rest, 1);
    if (status > MEMBERSHIP_ROW_FORGOTTEN) {
        return false;
    }
    row.status = (enum membership_row_status)status;
    if ((row.status == MEMBERSHIP_ROW_LEFT && !take_ticks(rest, &row.left_ticks)) ||
        !varint_take(rest, &row.texts_version) || !varint_take_slice(rest, &row.address) ||
        !varint_take_slice(rest, &row.version) || row.address.size > MEMBER_ADDRESS_BYTES_MAX ||
        row.version.size > MEMBER_VERSION_BYTES_MAX) {
        return false;
    }
    membership_note_row(reader->membership, &row, reader->now_ms);
    return true;
}

static void mention(struct digest_reader *reader, const struct stream_mark *entry) {
    if (reader->mentions_count == reader->mentions_capacity) {
        reader->mentions_capacity = reader->mentions_capacity * 2 + 16;
        reader->mentions = memory_resize(reader->mentions,
                                         reader->mentions_capacity * sizeof(reader->mentions[0]));
    }
    reader->mentions[reader->mentions_count++] = *entry;
}

static bool take_entry(struct digest_reader *reader, struct stream_mark *entry) {
    uint64_t number;
    if (!varint_take(&reader->rest, &number) || number > reader->mentions_count) {
        return false;
    }
    if (number == 0) {
        if (!take_ref(&reader->rest, &entry->ref) || !take_ticks(&reader->rest, &entry->ticks)) {
            return false;
        }
        mention(reader, entry);
    } else {
        uint64_t difference;
        if (!varint_take(&reader->rest, &difference)) {
            return false;
        }
        *entry = reader->mentions[number - 1];
        entry->ticks += (uint64_t)varint_unzigzag(difference);
    }
    return entry->ticks != 0 && entry->ticks <= STAMP_TICKS_ACCEPTED_MAX;
}

static bool take_context(struct digest_reader *reader) {
    uint64_t ref, version, set_hash, count;
    if (!take_ref(&reader->rest, &ref) || !varint_take(&reader->rest, &version) ||
        !codec_take_u64(&reader->rest, &set_hash) || !varint_take(&reader->rest, &count) ||
        count > ENTRIES_MAX) {
        return false;
    }
    struct member *member = membership_find_ref(reader->membership, ref);
    bool is_wanted = member != NULL && !member->is_self && member->state != MEMBER_FORGOTTEN &&
                     (member->claim == NULL || version > member->claim->version);
    struct member_claim *claim = is_wanted ? member_claim_new(version, set_hash) : NULL;
    for (uint64_t i = 0; i < count; i++) {
        struct stream_mark entry;
        if (!take_entry(reader, &entry)) {
            member_claim_unref(claim);
            return false;
        }
        if (claim != NULL) {
            member_claim_add(claim, reader->replicas, entry.ref, entry.ticks);
        }
    }
    if (claim != NULL) {
        membership_note_claim(reader->membership, member, claim);
    }
    return true;
}

static bool take_retired(struct digest_reader *reader) {
    struct stream_mark retired;
    if (!take_ref(&reader->rest, &retired.ref) || !take_ticks(&reader->rest, &retired.ticks)) {
        return false;
    }
    membership_note_retired(reader->membership, reader->replicas, &retired, reader->peer);
    return true;
}

static bool take_heartbeat(struct digest_reader *reader) {
    uint64_t ref, heartbeat;
    if (!take_ref(&reader->rest, &ref) || !varint_take(&reader->rest, &heartbeat)) {
        return false;
    }
    struct member *member = membership_find_ref(reader->membership, ref);
    if (member != NULL) {
        membership_note_heartbeat(reader->membership, member, heartbeat, reader->now_ms);
    }
    return true;
}

static bool take_items(struct digest_reader *reader) {
    while (reader->rest.size > 0) {
        uint8_t item = (uint8_t)reader->rest.data[0];
        bool is_taken = false;
        reader->rest = slice_skip(reader->rest, 1);
        switch (item) {
        case 0:
            return true;
        case ITEM_ROW:
            is_taken = take_row(reader);
            break;
        case ITEM_CONTEXT:
            is_taken = take_context(reader);
            break;
        case ITEM_RETIRED:
            is_taken = take_retired(reader);
            break;
        default:
            break;
        }
        if (!is_taken) {
            return false;
        }
    }
    return false;
}

bool membership_digest_take(struct membership *membership, struct member *peer,
                            const struct replicas *replicas, struct slice digest, uint64_t now_ms) {
    struct digest_reader reader = {
        .membership = membership, .replicas = replicas, .now_ms = now_ms, .peer = peer};
    if (digest.size < 2 || digest.data[0] != FORMAT) {
        return false;
    }
    membership->is_renewal_wanted |= (digest.data[1] & FLAG_RENEW) != 0;
    reader.rest = slice_skip(digest, 2);
    membership_sign(peer, now_ms);
    bool is_taken = take_heartbeat(&reader) && take_items(&reader);
    while (is_taken && reader.rest.size > 0) {
        is_taken = take_heartbeat(&reader);
    }
    memory_free(reader.mentions);
    return is_taken;
}
