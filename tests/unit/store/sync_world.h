/* SPDX-License-Identifier: BSD-3-Clause */
/* Peers that write, hand each other records as the mesh would, and take over states part by part:
 * for tests of joining and rebasing. One world at a time: setup(), teardown(). */
#ifndef TESTS_UNIT_STORE_SYNC_WORLD_H
#define TESTS_UNIT_STORE_SYNC_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "store/counter_history.h"
#include "store/mutate.h"
#include "store/part.h"
#include "store/receive.h"
#include "store/seen_changes.h"
#include "store/strings.h"
#include "store/sync.h"
#include "store/unsent_edits.h"
#include "unit/seed.h"
#include "unit/store/random_elements.h"

enum {
    PEERS_MAX = 5,
    LIVES_MAX = 3, /* of one peer */
    AUTHORS_MAX = PEERS_MAX * LIVES_MAX,
    DBS = 2,
    NAMES = 24,
    PARTS = 8,
};

static const int64_t NOW_MS = INT64_C(1800000000000);

/* All that one replica ever wrote, as records. */
struct author {
    struct replica_id id;
    uint64_t ref;
    struct buffer *records;
    uint64_t *ticks; /* last of each */
    unsigned count;
    unsigned logged; /* of them and those behind, which only its own log has */
    uint64_t previous_ticks;
    struct context told; /* marks so far, by the author's own slots */
};

struct peer {
    struct store store;
    struct receiver receiver;
    unsigned author;      /* its present life */
    struct context claim; /* by author: what it told to have seen, with stamps made of ticks */
};

static struct peer peers[PEERS_MAX];
static struct author authors[AUTHORS_MAX];
static unsigned authors_count, peers_count;

/* ---- peers ---- */

static inline void collect(struct peer *peer);

static inline void before_apply(void *udata) {
    collect((struct peer *)udata);
}

/* `number` tells lives from each other that begin at one time. */
static inline void begin_life(struct peer *peer, unsigned number) {
    struct author *author = &authors[authors_count];
    require(number < 500);
    *author = (struct author){.id.generation = (uint64_t)peer->store.now_ms - 1000 + 2 * number};
    memset(author->id.node, (int)('A' + (peer - peers)), sizeof(author->id.node));
    author->ref = replica_ref(&author->id);
    assert_true(store_begin_replica(&peer->store, &author->id));
    peer->author = authors_count++;
}

static inline void peer_init(struct peer *peer) {
    unsigned number = (unsigned)(peer - peers);
    struct store_opts opts = {.dbs_count = DBS, .seed = 7};
    *peer = (struct peer){0};
    store_init(&peer->store, &opts);
    peer->store.is_alone = false;
    peer->store.journal.is_on = true;
    peer->store.elements_a_step = number; /* larger ones come in pieces */
    store_set_now(&peer->store, NOW_MS);
    /* Others have other slots for the same replica. */
    for (unsigned i = 0; i < number; i++) {
        struct replica_id filler = {.generation = 1000 + number * 10 + i};
        assert_int_not_equal(replicas_add(&peer->store.replicas, &filler), 0);
    }
    begin_life(peer, 1);
    peer->receiver =
        (struct receiver){.store = &peer->store, .before_apply = before_apply, .udata = peer};
}

static inline void setup(unsigned count) {
    peers_count = count;
    authors_count = 0;
    for (unsigned i = 0; i < count; i++) {
        peer_init(&peers[i]);
    }
}

static inline void teardown(void) {
    for (unsigned i = 0; i < peers_count; i++) {
        receiver_deinit(&peers[i].receiver);
        store_deinit(&peers[i].store);
    }
    for (unsigned i = 0; i < authors_count; i++) {
        for (unsigned j = 0; j < authors[i].logged; j++) {
            buffer_deinit(&authors[i].records[j]);
        }
        memory_free(authors[i].records);
        memory_free(authors[i].ticks);
    }
}

/* ---- streams ---- */

/* Makes a record of what the journal holds. */
static inline void collect(struct peer *peer) {
    struct store *store = &peer->store;
    struct author *author = &authors[peer->author];
    store_end_unit(store);
    if (store->journal.bytes.size == 0) {
        return;
    }
    struct stream_mark marks[AUTHORS_MAX];
    size_t marks_count = 0;
    if (store->replicas.tells_anew) {
        author->told = (struct context){0};
        store->replicas.tells_anew = false;
    }
    for (unsigned i = 0; i < authors_count; i++) {
        unsigned slot = replicas_find(&store->replicas, authors[i].ref);
        if (slot != 0 && i != peer->author &&
            store->context.stamps[slot] > author->told.stamps[slot]) {
            author->told.stamps[slot] = store->context.stamps[slot];
            marks[marks_count++] = (struct stream_mark){
                .ref = authors[i].ref, .ticks = stamp_ticks(store->context.stamps[slot])};
            replicas_raise_mark(&store->replicas, store->replicas.self,
                                store->context.stamps[slot]);
        }
    }
    struct stream_record record = {.ref = author->ref,
                                   .previous_ticks = author->previous_ticks,
                                   .last_ticks = store->journal.last_ticks};
    struct buffer bytes = {0};
    stream_record_put_head(&bytes, &record, marks, marks_count);
    buffer_append_slice(&bytes, buffer_slice(&store->journal.bytes));
    change_writer_clear(&store->journal);
    author->previous_ticks = record.last_ticks;
    author->records =
        memory_resize(author->records, (author->count + 1) * sizeof(author->records[0]));
    author->ticks = memory_resize(author->ticks, (author->count + 1) * sizeof(author->ticks[0]));
    while (author->logged > author->count) {
        buffer_deinit(&author->records[--author->logged]);
    }
    author->records[author->count] = bytes;
    author->ticks[author->count++] = record.last_ticks;
    author->logged = author->count;
}

/* The next record of `from` that `to` lacks; false when there is none or it has to wait. */
static inline bool deliver_one(struct peer *to, unsigned from) {
    struct author *author = &authors[from];
    if (replicas_find(&to->store.replicas, author->ref) == 0 &&
        replicas_find_retired(&to->store.replicas, author->ref) != NULL) {
        return false;
    }
    unsigned slot = replicas_add(&to->store.replicas, &author->id);
    assert_int_not_equal(slot, 0);
    uint64_t ticks = receiver_ticks(&to->receiver, slot);
    unsigned i = 0;
    while (i < author->count && author->ticks[i] <= ticks) {
        i++;
    }
    if (i == author->count || from == to->author) {
        return false;
    }
    if (replicas_is_void(&to->store.replicas, stamp_make(author->ticks[i], slot))) {
        struct slice record = buffer_slice(&author->records[i]);
        assert_int_equal(receiver_take(&to->receiver, record), RECEIVE_DUPLICATE);
        return false;
    }
    collect(to);
    struct slice record = buffer_slice(&author->records[i]);
    enum receive_status status = receiver_take(&to->receiver, record);
    if (status == RECEIVE_EARLY) {
        return false;
    }
    assert_int_equal(status, RECEIVE_OK);
    return true;
}

static inline void deliver_all(void) {
    for (unsigned i = 0; i < peers_count; i++) {
        collect(&peers[i]);
    }
    for (bool any = true; any;) {
        any = false;
        for (unsigned to = 0; to < peers_count; to++) {
            for (unsigned from = 0; from < authors_count; from++) {
                any |= deliver_one(&peers[to], from);
            }
        }
    }
}

static inline void deliver(unsigned from, unsigned to) {
    collect(&peers[from]);
    for (bool any = true; any;) {
        any = false;
        for (unsigned i = 0; i < authors_count; i++) {
            /* What `from` has, by whomever it is. */
            unsigned here = replicas_find(&peers[from].store.replicas, authors[i].ref);
            unsigned there = replicas_find(&peers[to].store.replicas, authors[i].ref);
            if (here != 0 &&
                (there == 0 || stamp_ticks(peers[from].store.context.stamps[here]) >
                                   stamp_ticks(peers[to].store.context.stamps[there]))) {
                any |= deliver_one(&peers[to], i);
            }
        }
    }
}

/* ---- random writes ---- */

static inline const char *random_name(struct prng *prng, char name[16]) {
    /* Keys with "sum" are only ever added to. */
    (void)snprintf(name, 16, prng_below(prng, 4) == 0 ? "sum%u" : "k%u",
                   (unsigned)prng_below(prng, NAMES));
    return name;
}

static int64_t sums[DBS][NAMES];

static inline void random_value(struct prng *prng, struct buffer *value) {
    uint64_t kind = prng_below(prng, 8);
    if (kind < 3) {
        buffer_printf(value, "%d", (int)prng_below(prng, 1000));
    } else if (kind == 3) {
        buffer_printf(value, "%d.5", (int)prng_below(prng, 1000));
    } else if (kind == 4) {
        size_t size = 4000 + prng_below(prng, 9000);
        memset(buffer_reserve(value, size), (int)prng_below(prng, 256), size);
        value->size += size;
    } else {
        buffer_printf(value, "text %u", (unsigned)prng_below(prng, 1000));
    }
}

static inline void random_write(struct peer *peer, struct prng *prng) {
    struct store *store = &peer->store;
    char name[16];
    struct buffer value = {0};
    unsigned db = (unsigned)prng_below(prng, DBS);
    struct key key = store_key(store, db, slice_of(random_name(prng, name)));
    if (name[0] == 's') {
        int64_t delta = (int64_t)prng_below(prng, 21) - 10, result;
        assert_int_equal(strings_add_integer(store, &key, delta, &result), STORE_OK);
        /* A swap may have moved it: what counts is the number. */
        sums[store->dbs[db].number][atoi(name + 3)] += delta;
        return;
    }
    if (prng_below(prng, 3) == 0) {
        random_elements_write(store, db, prng);
        return;
    }
    int64_t integer;
    long double number;
    random_value(prng, &value);
    switch (prng_below(prng, 24)) {
    case 0:
    case 1:
    case 2:
    case 3:
        (void)strings_set(store, &key, buffer_slice(&value), 0);
        break;
    case 4:
        (void)strings_set(store, &key, buffer_slice(&value),
                          (uint64_t)NOW_MS + 1000 + prng_below(prng, 100000));
        break;
    case 5:
        (void)strings_set(store, &key, buffer_slice(&value), STRINGS_KEEP_EXPIRY);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
        (void)strings_add_integer(store, &key, (int64_t)prng_below(prng, 100) - 50, &integer);
        break;
    case 10:
    case 11:
        (void)strings_add_float(store, &key, (long double)prng_below(prng, 100) / 8, &number);
        break;
    case 12:
    case 13:
    case 14:
        (void)store_delete(store, &key);
        break;
    case 15:
    case 16:
        (void)store_expire(store, &key, (uint64_t)NOW_MS + 1000 + prng_below(prng, 100000));
        break;
    case 17:
        (void)store_expire(store, &key, 0);
        break;
    case 18:
    case 19:
    case 20:
    case 21: {
        struct entry *entry = store_peek(store, &key);
        size_t size = entry != NULL ? entry_value_bytes(entry) : 0;
        (void)strings_patch(store, &key, prng_below(prng, size + 10), SLICE("patch"), NULL);
        break;
    }
    case 22:
        if (prng_below(prng, 4) == 0) {
            store_swap(store, 0, 1);
        }
        break;
    default: {
        char to_name[16];
        (void)snprintf(to_name, sizeof(to_name), "k%u", (unsigned)prng_below(prng, NAMES));
        struct key to = store_key(store, db, slice_of(to_name));
        if (!slice_equal(to.name, key.name)) {
            (void)store_rename(store, &key, &to);
        }
        break;
    }
    }
    buffer_deinit(&value);
}

/* ---- settling ---- */

/* What a peer tells to have seen counts once all is here that it had written by then. */
static inline void claim(struct peer *peer) {
    collect(peer);
    for (unsigned i = 0; i < authors_count; i++) {
        unsigned slot = replicas_find(&peer->store.replicas, authors[i].ref);
        peer->claim.stamps[i] = slot == 0 ? 0 : stamp_ticks(peer->store.context.stamps[slot]);
    }
}

static struct context trusted[PEERS_MAX][PEERS_MAX]; /* by author */

static inline void settle(unsigned number) {
    struct store *store = &peers[number].store;
    struct context frontier = {0};
    for (unsigned i = 0; i < authors_count; i++) {
        unsigned slot = replicas_find(&store->replicas, authors[i].ref);
        if (slot == 0) {
            continue;
        }
        uint64_t ticks = stamp_ticks(store->context.stamps[slot]);
        for (unsigned j = 0; j < peers_count; j++) {
            const struct context *told = &peers[j].claim;
            unsigned of = replicas_find(&store->replicas, authors[peers[j].author].ref);
            uint64_t here = of == 0 ? 0 : stamp_ticks(store->context.stamps[of]);
            if (told->stamps[peers[j].author] <= here) {
                trusted[number][j] = *told;
            }
            uint64_t seen = trusted[number][j].stamps[i];
            ticks = j != number && seen < ticks ? seen : ticks;
        }
        frontier.stamps[slot] = stamp_make(ticks, slot);
    }
    (void)store_settle(store, &frontier, 1000);
}

static inline void settle_and_retire(struct peer *peer, unsigned author) {
    struct store *store = &peer->store;
    struct context frontier = store->context;
    while (!store_settle(store, &frontier, 1000)) {
    }
    unsigned slot = replicas_find(&store->replicas, authors[author].ref);
    for (unsigned i = 0; i < 100 && !store_retire_some(store, slot, &frontier, 1000); i++) {
        collect(peer);
    }
    assert_int_equal(replicas_find(&store->replicas, authors[author].ref), 0);
}

/* ---- joining ---- */

/* Pulls one part from `from`, which is written to meanwhile where there is a `prng`. With a `cut`
 * the link breaks after some bytes. */
static inline enum sync_status pull(struct sync *sync, struct peer *from, unsigned part,
                                    struct prng *prng, bool cut) {
    struct buffer header = {0}, bytes = {0};
    collect(from);
    struct part_source *source = part_open(&from->store, part, PARTS, &header);
    enum sync_status status = sync_part_begin(sync, part, PARTS, buffer_slice(&header));
    enum part_status end = PART_MORE;
    while (status == SYNC_OK && end == PART_MORE) {
        for (uint64_t writes = prng != NULL ? prng_below(prng, 8) : 0; writes > 0; writes--) {
            random_write(from, prng);
            collect(from);
        }
        buffer_clear(&bytes);
        end = part_read(source, &bytes, prng == NULL ? 100 : 1 + prng_below(prng, 5000));
        status = sync_part_data(sync, part, buffer_slice(&bytes));
        if (cut && prng_below(prng, 4) == 0) {
            break;
        }
    }
    if (status == SYNC_OK && end == PART_DONE) {
        status = sync_part_end(sync, part);
    }
    part_close(source);
    buffer_deinit(&header);
    buffer_deinit(&bytes);
    return status;
}

/* Applies what the joiner's log has to the parts: it has all records that the joiner had seen. */
static inline void replay(struct peer *joiner, const struct context *before) {
    struct store *store = &joiner->store;
    for (bool any = true; any;) {
        any = false;
        for (unsigned i = 0; i < authors_count; i++) {
            unsigned slot = replicas_find(&store->replicas, authors[i].ref);
            uint64_t seen = slot != 0 ? stamp_ticks(before->stamps[slot]) : 0;
            for (unsigned at = 0; at < authors[i].count && authors[i].ticks[at] <= seen; at++) {
                struct slice record = buffer_slice(&authors[i].records[at]);
                any |= authors[i].ticks[at] > receiver_ticks(&joiner->receiver, slot) &&
                       receiver_take(&joiner->receiver, record) == RECEIVE_OK;
            }
        }
    }
}

/* Does the log of who rebases reach back to the beginning? */
static bool reads_history;

static inline struct counter_history *read_history(const struct sync *sync,
                                                   const struct peer *joiner) {
    struct counter_history *history = counter_history_new();
    for (unsigned i = 0; i < authors_count; i++) {
        unsigned slot = replicas_find(&joiner->store.replicas, authors[i].ref);
        uint64_t seen = stamp_ticks(joiner->store.context.stamps[slot]), ticks = seen;
        bool is_asked =
            slot != 0 &&
            (sync_makes_again(sync, slot) ? sync_known_ticks(sync, slot, &ticks) : seen > 0);
        for (unsigned at = 0; is_asked && at < authors[i].logged && authors[i].ticks[at] <= seen;
             at++) {
            struct stream_record record;
            assert_true(stream_record_take(buffer_slice(&authors[i].records[at]), &record));
            counter_history_note(history, &record, ticks);
        }
    }
    return history;
}

static inline struct seen_changes *read_seen(const struct sync *sync, const struct peer *joiner) {
    struct seen_changes *seen = seen_changes_new(sync_unsure_ticks(sync));
    for (unsigned i = 0; i < authors_count; i++) {
        unsigned slot = replicas_find(&joiner->store.replicas, authors[i].ref);
        uint64_t ticks = stamp_ticks(joiner->store.context.stamps[slot]);
        for (unsigned at = 0; slot != 0 && at < authors[i].logged && authors[i].ticks[at] <= ticks;
             at++) {
            struct stream_record record;
            assert_true(stream_record_take(buffer_slice(&authors[i].records[at]), &record));
            seen_changes_note(seen, &record);
        }
    }
    return seen;
}

static inline struct unsent_edits *read_edits(const struct sync *sync, const struct peer *joiner) {
    struct unsent_edits *edits = unsent_edits_new();
    for (unsigned i = 0; i < authors_count; i++) {
        unsigned slot = replicas_find(&joiner->store.replicas, authors[i].ref);
        uint64_t seen = stamp_ticks(joiner->store.context.stamps[slot]), ticks;
        bool is_asked =
            slot != 0 && sync_makes_again(sync, slot) && sync_known_ticks(sync, slot, &ticks);
        for (unsigned at = 0; is_asked && at < authors[i].logged && authors[i].ticks[at] <= seen;
             at++) {
            struct stream_record record;
            assert_true(stream_record_take(buffer_slice(&authors[i].records[at]), &record));
            unsent_edits_note(edits, &record, ticks);
        }
    }
    return edits;
}

static inline void finish(struct sync *sync, struct peer *joiner) {
    struct context before = joiner->store.context;
    if (reads_history) {
        sync_set_history(sync, read_history(sync, joiner), read_seen(sync, joiner),
                         read_edits(sync, joiner), NULL, NULL);
    }
    while (!sync_merge_some(sync)) {
    }
    sync_finish(sync);
    assert_true(joiner->store.replicas.tells_anew);
    if (joiner->store.is_replaying) {
        replay(joiner, &before);
        assert_true(sync_is_replayed(sync));
        sync_end_replay(sync);
    }
}

static inline void join(struct peer *joiner, struct peer *from, enum sync_mode mode) {
    collect(joiner);
    struct sync *sync = sync_begin(&joiner->store, mode, NULL, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, from, part, NULL, false), SYNC_OK);
    }
    finish(sync, joiner);
    assert_true(sync_is_caught_up(sync));
    assert_true(sync_reissue_some(sync, 1000));
    sync_free(sync);
    assert_null(joiner->store.sync);
}

/* What nobody else has seen of the author was never sent. */
static inline void drop_unsent(unsigned from) {
    struct author *author = &authors[from];
    uint64_t known = 0;
    for (unsigned i = 0; i < peers_count; i++) {
        const struct replicas *replicas = &peers[i].store.replicas;
        const struct retired_replica *retired = replicas_find_retired(replicas, author->ref);
        unsigned slot = replicas_find(replicas, author->ref);
        uint64_t ticks = slot == 0 && retired != NULL
                             ? retired->ticks
                             : stamp_ticks(peers[i].store.context.stamps[slot]);
        if (peers[i].author != from && ticks > known) {
            known = ticks;
        }
    }
    while (author->count > 0 && author->ticks[author->count - 1] > known) {
        author->count--;
    }
}

/* Peer `to` begins a new life and takes over the state of `from` as one that was forgotten. By then
 * its peers have told each other what they have of its old life. */
static inline void rejoin(unsigned to, unsigned from) {
    for (unsigned i = 0; i < peers_count; i++) {
        collect(&peers[i]);
    }
    drop_unsent(peers[to].author);
    for (bool any = true; any;) {
        any = deliver_one(&peers[from], peers[to].author);
        for (unsigned i = 0; i < authors_count && !any; i++) {
            any = deliver_one(&peers[from], i);
        }
    }
    begin_life(&peers[to], 100 + authors_count);
    join(&peers[to], &peers[from], SYNC_REBASE);
    collect(&peers[to]);
}

/* Peer `to` begins a new life and rebases, with nothing told to `from` before; in between, once the
 * states were compared, the records of `late` come. */
static inline void rebase(unsigned to, unsigned from, int late) {
    collect(&peers[to]);
    drop_unsent(peers[to].author);
    begin_life(&peers[to], 200 + authors_count);
    struct sync *sync = sync_begin(&peers[to].store, SYNC_REBASE, NULL, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[from], part, NULL, false), SYNC_OK);
    }
    finish(sync, &peers[to]);
    if (late >= 0) {
        deliver((unsigned)late, to);
    }
    assert_true(sync_is_caught_up(sync));
    assert_true(sync_reissue_some(sync, 1000));
    sync_free(sync);
    collect(&peers[to]);
}

/* ---- asking ---- */

struct difference_walk {
    struct peer *here, *there;
    unsigned db;
};

static inline void print_difference(void *item, void *udata) {
    const struct difference_walk *walk = (const struct difference_walk *)udata;
    struct store *other = &walk->there->store;
    struct entry *entry = (struct entry *)item, *twin;
    struct key key = store_key(other, walk->db, entry_key(entry));
    uint8_t mine[20], theirs[20] = {0};
    struct entry_scratch scratch;
    store_entry_digest(other, 0, entry, mine);
    twin = store_peek(other, &key);
    if (twin != NULL) {
        store_entry_digest(other, 0, twin, theirs);
    }
    struct slice value = entry_value(entry, &scratch);
    if (memcmp(mine, theirs, 20) != 0) {
        printf("peer %d, not %d: db %u %.*s = %.*s, expiry %llu, kind %d\n",
               (int)(walk->here - peers), (int)(walk->there - peers), walk->db, (int)key.name.size,
               key.name.data, value.size > 40 ? 40 : (int)value.size, value.data,
               (unsigned long long)entry_expire_unix_ms(entry), entry_kind(entry));
    }
}

/* For the night: which keys differ. */
static inline void print_differences(struct peer *here, struct peer *there) {
    struct difference_walk walk = {.here = here, .there = there};
    for (; walk.db < DBS; walk.db++) {
        uint64_t position = 0;
        do {
            position =
                table_walk(&here->store.dbs[walk.db].table, position, print_difference, &walk);
        } while (position != 0);
    }
}

static inline void check_equal(void) {
    uint8_t first[20], digest[20];
    store_digest(&peers[0].store, first);
    store_check(&peers[0].store);
    for (unsigned i = 1; i < peers_count; i++) {
        store_check(&peers[i].store);
        store_digest(&peers[i].store, digest);
        if (memcmp(first, digest, 20) != 0) {
            print_differences(&peers[0], &peers[i]);
            print_differences(&peers[i], &peers[0]);
        }
        assert_memory_equal(first, digest, 20);
    }
}

static inline struct key key_of(unsigned peer, const char *name) {
    return store_key(&peers[peer].store, 0, slice_of(name));
}

static inline void set(unsigned peer, const char *name, const char *value) {
    struct key key = key_of(peer, name);
    assert_int_equal(strings_set(&peers[peer].store, &key, slice_of(value), 0), STORE_OK);
    store_end_unit(&peers[peer].store);
}

static inline void add(unsigned peer, const char *name, int64_t delta) {
    struct key key = key_of(peer, name);
    int64_t result;
    assert_int_equal(strings_add_integer(&peers[peer].store, &key, delta, &result), STORE_OK);
    store_end_unit(&peers[peer].store);
}

static inline void add_field(unsigned peer, const char *field, int64_t delta) {
    struct elements_writer writer;
    struct key key = key_of(peer, "hash");
    int64_t result;
    assert_int_equal(elements_open(&peers[peer].store, &key, VALUE_HASH, &writer), STORE_OK);
    assert_int_equal(element_add_integer(&writer, slice_of(field), delta, &result), STORE_OK);
    elements_close(&writer);
    store_end_unit(&peers[peer].store);
}

static inline bool has_field(unsigned peer, const char *field) {
    struct elements elements;
    struct element element;
    struct key key = key_of(peer, "hash");
    return elements_read(&peers[peer].store, &key, VALUE_HASH, &elements) == STORE_OK &&
           elements_find(&peers[peer].store, &elements, slice_of(field), &element);
}

static inline void delete_field(unsigned peer, const char *field) {
    struct elements_writer writer;
    struct key key = key_of(peer, "hash");
    assert_int_equal(elements_open(&peers[peer].store, &key, VALUE_HASH, &writer), STORE_OK);
    assert_true(element_delete(&writer, slice_of(field)));
    elements_close(&writer);
    store_end_unit(&peers[peer].store);
}

static inline void expect_field(unsigned peer, const char *field, const char *value) {
    struct elements elements;
    struct element element;
    struct key key = key_of(peer, "hash");
    assert_int_equal(elements_read(&peers[peer].store, &key, VALUE_HASH, &elements), STORE_OK);
    assert_true(elements_find(&peers[peer].store, &elements, slice_of(field), &element));
    assert_int_equal(element.value.size, strlen(value));
    assert_memory_equal(element.value.data, value, strlen(value));
}

static inline void delete (unsigned peer, const char *name) {
    struct key key = key_of(peer, name);
    assert_true(store_delete(&peers[peer].store, &key));
    store_end_unit(&peers[peer].store);
}

static inline void expire(unsigned peer, const char *name, uint64_t unix_ms) {
    struct key key = key_of(peer, name);
    assert_true(store_expire(&peers[peer].store, &key, unix_ms));
    store_end_unit(&peers[peer].store);
}

/* NULL: absent. */
static inline void expect(unsigned peer, const char *name, const char *value) {
    struct key key = key_of(peer, name);
    struct entry *entry = store_peek(&peers[peer].store, &key);
    struct entry_scratch scratch;
    if (value == NULL) {
        assert_null(entry);
        return;
    }
    assert_non_null(entry);
    struct slice bytes = entry_value(entry, &scratch);
    assert_int_equal(bytes.size, strlen(value));
    assert_memory_equal(bytes.data, value, bytes.size);
}

static inline void expect_all(const char *name, const char *value) {
    for (unsigned i = 0; i < peers_count; i++) {
        expect(i, name, value);
    }
}

#endif
