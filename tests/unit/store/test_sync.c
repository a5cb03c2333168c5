/* SPDX-License-Identifier: BSD-3-Clause */
/* Joining: parts of the state from several stores at several moments, and streams afterwards, make
 * every store the same; nothing that was removed comes back, nothing unseen is lost. Some cases
 * first, then random histories, then what makes no sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/codec.h"
#include "crdt/hyperloglog.h"
#include "store/counter_history.h"
#include "store/seen_changes.h"
#include "store/mutate.h"
#include "store/part.h"
#include "store/receive.h"
#include "store/strings.h"
#include "store/sync.h"
#include "unit/store/random_elements.h"
#include "unit/seed.h"

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

static void collect(struct peer *peer);

static void before_apply(void *udata) {
    collect((struct peer *)udata);
}

/* `number` tells lives from each other that begin at one time. */
static void begin_life(struct peer *peer, unsigned number) {
    struct author *author = &authors[authors_count];
    require(number < 500);
    *author = (struct author){.id.generation = (uint64_t)peer->store.now_ms - 1000 + 2 * number};
    memset(author->id.node, (int)('A' + (peer - peers)), sizeof(author->id.node));
    author->ref = replica_ref(&author->id);
    assert_true(store_begin_replica(&peer->store, &author->id));
    peer->author = authors_count++;
}

static void peer_init(struct peer *peer) {
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

static void setup(unsigned count) {
    peers_count = count;
    authors_count = 0;
    for (unsigned i = 0; i < count; i++) {
        peer_init(&peers[i]);
    }
}

static void teardown(void) {
    for (unsigned i = 0; i < peers_count; i++) {
        receiver_deinit(&peers[i].receiver);
        store_deinit(&peers[i].store);
    }
    for (unsigned i = 0; i < authors_count; i++) {
        for (unsigned j = 0; j < authors[i].count; j++) {
            buffer_deinit(&authors[i].records[j]);
        }
        memory_free(authors[i].records);
        memory_free(authors[i].ticks);
    }
}

/* ---- streams ---- */

/* Makes a record of what the journal holds. */
static void collect(struct peer *peer) {
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
    author->records[author->count] = bytes;
    author->ticks[author->count++] = record.last_ticks;
}

/* The next record of `from` that `to` lacks; false when there is none or it has to wait. */
static bool deliver_one(struct peer *to, unsigned from) {
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

static void deliver_all(void) {
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

static void deliver(unsigned from, unsigned to) {
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

/* ---- joining ---- */

static void random_write(struct peer *peer, struct prng *prng);

/* Pulls one part from `from`, which is written to meanwhile where there is a `prng`. With a `cut`
 * the link breaks after some bytes. */
static enum sync_status pull(struct sync *sync, struct peer *from, unsigned part, struct prng *prng,
                             bool cut) {
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
static void replay(struct peer *joiner, const struct context *before) {
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

static struct counter_history *read_history(const struct sync *sync, const struct peer *joiner) {
    struct counter_history *history = counter_history_new();
    for (unsigned i = 0; i < authors_count; i++) {
        unsigned slot = replicas_find(&joiner->store.replicas, authors[i].ref);
        uint64_t ticks;
        bool is_asked =
            slot != 0 && sync_makes_again(sync, slot) && sync_known_ticks(sync, slot, &ticks);
        for (unsigned at = 0; is_asked && at < authors[i].count; at++) {
            struct stream_record record;
            assert_true(stream_record_take(buffer_slice(&authors[i].records[at]), &record));
            counter_history_note(history, &record, ticks);
        }
    }
    return history;
}

static struct seen_changes *read_seen(const struct sync *sync, const struct peer *joiner) {
    struct seen_changes *seen = seen_changes_new(sync_unsure_ticks(sync));
    for (unsigned i = 0; i < authors_count; i++) {
        unsigned slot = replicas_find(&joiner->store.replicas, authors[i].ref);
        uint64_t ticks = stamp_ticks(joiner->store.context.stamps[slot]);
        for (unsigned at = 0; slot != 0 && at < authors[i].count && authors[i].ticks[at] <= ticks;
             at++) {
            struct stream_record record;
            assert_true(stream_record_take(buffer_slice(&authors[i].records[at]), &record));
            seen_changes_note(seen, &record);
        }
    }
    return seen;
}

static void finish(struct sync *sync, struct peer *joiner) {
    struct context before = joiner->store.context;
    if (reads_history) {
        sync_set_history(sync, read_history(sync, joiner), read_seen(sync, joiner));
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

static void join(struct peer *joiner, struct peer *from, enum sync_mode mode) {
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
static void drop_unsent(unsigned from) {
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
        buffer_deinit(&author->records[--author->count]);
    }
}

/* Peer `to` begins a new life and takes over the state of `from` as one that was forgotten. By then
 * its peers have told each other what they have of its old life. */
static void rejoin(unsigned to, unsigned from) {
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

/* ---- asking ---- */

struct difference_walk {
    struct peer *here, *there;
    unsigned db;
};

static void print_difference(void *item, void *udata) {
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
static void print_differences(struct peer *here, struct peer *there) {
    struct difference_walk walk = {.here = here, .there = there};
    for (; walk.db < DBS; walk.db++) {
        uint64_t position = 0;
        do {
            position =
                table_walk(&here->store.dbs[walk.db].table, position, print_difference, &walk);
        } while (position != 0);
    }
}

static void check_equal(void) {
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

static struct key key_of(unsigned peer, const char *name) {
    return store_key(&peers[peer].store, 0, slice_of(name));
}

static void set(unsigned peer, const char *name, const char *value) {
    struct key key = key_of(peer, name);
    assert_int_equal(strings_set(&peers[peer].store, &key, slice_of(value), 0), STORE_OK);
    store_end_unit(&peers[peer].store);
}

static void add(unsigned peer, const char *name, int64_t delta) {
    struct key key = key_of(peer, name);
    int64_t result;
    assert_int_equal(strings_add_integer(&peers[peer].store, &key, delta, &result), STORE_OK);
    store_end_unit(&peers[peer].store);
}

static void add_field(unsigned peer, const char *field, int64_t delta) {
    struct elements_writer writer;
    struct key key = key_of(peer, "hash");
    int64_t result;
    assert_int_equal(elements_open(&peers[peer].store, &key, VALUE_HASH, &writer), STORE_OK);
    assert_int_equal(element_add_integer(&writer, slice_of(field), delta, &result), STORE_OK);
    elements_close(&writer);
    store_end_unit(&peers[peer].store);
}

static bool has_field(unsigned peer, const char *field) {
    struct elements elements;
    struct element element;
    struct key key = key_of(peer, "hash");
    return elements_read(&peers[peer].store, &key, VALUE_HASH, &elements) == STORE_OK &&
           elements_find(&peers[peer].store, &elements, slice_of(field), &element);
}

static void delete_field(unsigned peer, const char *field) {
    struct elements_writer writer;
    struct key key = key_of(peer, "hash");
    assert_int_equal(elements_open(&peers[peer].store, &key, VALUE_HASH, &writer), STORE_OK);
    assert_true(element_delete(&writer, slice_of(field)));
    elements_close(&writer);
    store_end_unit(&peers[peer].store);
}

static void expect_field(unsigned peer, const char *field, const char *value) {
    struct elements elements;
    struct element element;
    struct key key = key_of(peer, "hash");
    assert_int_equal(elements_read(&peers[peer].store, &key, VALUE_HASH, &elements), STORE_OK);
    assert_true(elements_find(&peers[peer].store, &elements, slice_of(field), &element));
    assert_int_equal(element.value.size, strlen(value));
    assert_memory_equal(element.value.data, value, strlen(value));
}

static void delete (unsigned peer, const char *name) {
    struct key key = key_of(peer, name);
    assert_true(store_delete(&peers[peer].store, &key));
    store_end_unit(&peers[peer].store);
}

static void expire(unsigned peer, const char *name, uint64_t unix_ms) {
    struct key key = key_of(peer, name);
    assert_true(store_expire(&peers[peer].store, &key, unix_ms));
    store_end_unit(&peers[peer].store);
}

/* NULL: absent. */
static void expect(unsigned peer, const char *name, const char *value) {
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

static void expect_all(const char *name, const char *value) {
    for (unsigned i = 0; i < peers_count; i++) {
        expect(i, name, value);
    }
}

/* ---- cases ---- */

static void a_fresh_store_takes_all(void **state) {
    (void)state;
    setup(2);
    char name[16];
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof(name), "key:%u", i);
        if (i % 3 == 0) {
            add(0, name, i);
        } else {
            set(0, name, name);
        }
        if (i % 5 == 0) {
            expire(0, name, (uint64_t)NOW_MS + 1000000);
        }
    }
    delete (0, "key:7");
    join(&peers[1], &peers[0], SYNC_TAKE);
    check_equal();
    expect(1, "key:7", NULL);
    expect(1, "key:8", "key:8");
    add(0, "key:9", 5);
    set(1, "key:8", "newer");
    deliver_all();
    check_equal();
    expect_all("key:9", "14");
    expect_all("key:8", "newer");
    teardown();
}

static void a_large_value_comes_in_pieces(void **state) {
    (void)state;
    setup(2);
    struct key key = key_of(0, "large");
    size_t size = 70 << 20;
    char *bytes = memory_alloc_zero(size);
    for (size_t i = 0; i < size; i += 1000) {
        bytes[i] = (char)(i / 1000);
    }
    assert_int_equal(strings_set(&peers[0].store, &key, slice_make(bytes, size), 0), STORE_OK);
    memory_free(bytes);
    set(0, "small", "1");
    struct sync *sync = sync_begin(&peers[1].store, SYNC_TAKE, NULL, NULL);
    struct prng prng;
    prng_init(&prng, 1);
    for (unsigned part = 0; part < PARTS; part++) {
        struct buffer header = {0}, out = {0};
        struct part_source *source = part_open(&peers[0].store, part, PARTS, &header);
        assert_int_equal(sync_part_begin(sync, part, PARTS, buffer_slice(&header)), SYNC_OK);
        for (enum part_status end = PART_MORE; end == PART_MORE;) {
            buffer_clear(&out);
            end = part_read(source, &out, 1 << 20);
            assert_true(out.size <= 1 << 20);
            assert_int_equal(sync_part_data(sync, part, buffer_slice(&out)), SYNC_OK);
        }
        assert_int_equal(sync_part_end(sync, part), SYNC_OK);
        part_close(source);
        buffer_deinit(&header);
        buffer_deinit(&out);
    }
    finish(sync, &peers[1]);
    sync_free(sync);
    check_equal();
    teardown();
}

/* K1: a key that was deleted while the joiner was away does not come back. */
static void what_was_deleted_stays_deleted(void **state) {
    (void)state;
    setup(3);
    set(0, "k", "old");
    set(2, "mine", "1");
    deliver_all();
    delete (0, "k");
    set(0, "other", "2");
    deliver(0, 1);
    set(2, "unsent", "3");
    join(&peers[2], &peers[1], SYNC_TAKE);
    expect(2, "k", NULL);
    expect(2, "unsent", "3");
    expect(2, "other", "2");
    deliver_all();
    check_equal();
    expect_all("k", NULL);
    expect_all("unsent", "3");
    expect_all("mine", "1");
    teardown();
}

/* What the joiner deleted does not come from a peer that has not seen it. */
static void own_deletes_hold(void **state) {
    (void)state;
    setup(2);
    set(0, "k", "1");
    set(0, "n", "1");
    deliver_all();
    delete (1, "k");
    set(1, "n", "2");
    set(0, "late", "1");
    join(&peers[1], &peers[0], SYNC_TAKE);
    expect(1, "k", NULL);
    expect(1, "n", "2");
    expect(1, "late", "1");
    deliver_all();
    check_equal();
    expect_all("k", NULL);
    expect_all("n", "2");
    teardown();
}

static void increments_of_both_sides_count(void **state) {
    (void)state;
    setup(2);
    set(0, "c", "10");
    deliver_all();
    add(0, "c", 7);
    add(1, "c", 3);
    add(0, "d", 1);
    add(1, "d", 2);
    join(&peers[1], &peers[0], SYNC_TAKE);
    expect(1, "c", "20");
    expect(1, "d", "3");
    deliver_all();
    check_equal();
    expect_all("c", "20");
    expect_all("d", "3");
    teardown();
}

static void expiries_merge(void **state) {
    (void)state;
    setup(2);
    set(0, "k", "1");
    set(0, "p", "1");
    expire(0, "p", (uint64_t)NOW_MS + 9000);
    deliver_all();
    expire(0, "k", (uint64_t)NOW_MS + 5000);
    expire(1, "k", (uint64_t)NOW_MS + 7000);
    expire(0, "p", 0);
    expire(1, "p", (uint64_t)NOW_MS + 1000);
    join(&peers[1], &peers[0], SYNC_TAKE);
    deliver_all();
    check_equal();
    for (unsigned i = 0; i < 2; i++) {
        struct key key = key_of(i, "k");
        assert_int_equal(entry_expire_unix_ms(store_peek(&peers[i].store, &key)), NOW_MS + 7000);
        key = key_of(i, "p");
        assert_int_equal(entry_expire_unix_ms(store_peek(&peers[i].store, &key)), 0);
    }
    teardown();
}

/* The source of half of the parts goes, and the joiner turns to somebody who has less: what it
 * holds is what it had seen, or it would take the rest for removed. */
static void half_of_a_state_leaves_nothing_behind(void **state) {
    (void)state;
    for (unsigned joiner = 1; joiner <= 3; joiner += 2) { /* 3 has seen nothing */
        setup(4);
        char name[16];
        for (unsigned i = 0; i < 40; i++) {
            (void)snprintf(name, sizeof(name), "far:%u", i);
            set(0, name, "1");
            (void)snprintf(name, sizeof(name), "near:%u", i);
            set(2, name, "2");
        }
        if (joiner == 1) {
            set(1, "own", "3");
            deliver(2, 1);
        }
        uint64_t count = store_count(&peers[joiner].store, 0);
        collect(&peers[joiner]);
        struct sync *half = sync_begin(&peers[joiner].store, SYNC_TAKE, NULL, NULL);
        for (unsigned part = 0; part < PARTS / 2; part++) {
            assert_int_equal(pull(half, &peers[0], part, NULL, false), SYNC_OK);
        }
        struct prng prng;
        prng_init(&prng, 1);
        (void)pull(half, &peers[0], PARTS / 2, &prng, true);
        sync_abandon(half);
        sync_free(half);
        assert_int_equal(store_count(&peers[joiner].store, 0), count);
        store_check(&peers[joiner].store);
        join(&peers[joiner], &peers[2], joiner == 1 ? SYNC_MERGE : SYNC_TAKE);
        expect(joiner, "near:1", "2");
        for (unsigned i = 0; i < 40; i++) {
            (void)snprintf(name, sizeof(name), "far:%u", i);
            expect(joiner, name, NULL);
        }
        expect(joiner, "own", joiner == 1 ? "3" : NULL);
        deliver_all();
        check_equal();
        expect_all("far:1", "1");
        teardown();
    }
}

/* Parts at different contexts: a change that one part has seen is not applied twice, and one that
 * another part has not seen is applied. */
static void parts_of_different_moments(void **state) {
    (void)state;
    setup(2);
    char name[16];
    for (unsigned i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof(name), "c%u", i);
        add(0, name, 1);
    }
    struct sync *sync = sync_begin(&peers[1].store, SYNC_TAKE, NULL, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[0], part, NULL, false), SYNC_OK);
        for (unsigned i = 0; i < 40; i++) {
            (void)snprintf(name, sizeof(name), "c%u", i);
            if (i % 4 == part % 4) {
                delete (0, name);
            }
            add(0, name, 1);
        }
    }
    finish(sync, &peers[1]);
    assert_false(sync_is_caught_up(sync));
    deliver_all();
    assert_true(sync_is_caught_up(sync));
    assert_true(sync_reissue_some(sync, 1));
    sync_free(sync);
    deliver_all();
    check_equal();
    teardown();
}

/* What came in parts stays when merging begins anew with somebody who knows less: it is caught up
 * with before anybody reads it, or pulls it as something that nobody had seen. */
static void what_came_before_is_caught_up_with(void **state) {
    (void)state;
    setup(4);
    char name[16];
    for (unsigned i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof(name), "k%u", i);
        set(0, name, "old");
    }
    deliver_all();
    set(2, "own", "2");
    collect(&peers[2]);
    /* The first part is older than the others. */
    struct sync *sync = sync_begin(&peers[2].store, SYNC_TAKE, NULL, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[0], part, NULL, false), SYNC_OK);
        for (unsigned i = 0; part == 0 && i < 40; i++) {
            (void)snprintf(name, sizeof(name), "k%u", i);
            if (i % 4 == 0) {
                delete (0, name);
            } else {
                set(0, name, "new");
            }
        }
    }
    finish(sync, &peers[2]);
    assert_false(sync_is_caught_up(sync));
    /* The second one has seen nothing of it. Twice, since that may be begun anew as well. */
    for (unsigned i = 0; i < 2; i++) {
        struct sync *before = sync;
        peers[2].store.sync = NULL;
        sync = sync_begin(&peers[2].store, SYNC_MERGE, NULL, NULL);
        sync_keep_goal(sync, before);
        sync_free(before);
    }
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[1], part, NULL, false), SYNC_OK);
    }
    finish(sync, &peers[2]);
    assert_false(sync_is_caught_up(sync));
    deliver_all();
    assert_true(sync_is_caught_up(sync));
    assert_true(sync_reissue_some(sync, 1));
    sync_free(sync);
    join(&peers[3], &peers[2], SYNC_TAKE);
    check_equal();
    teardown();
}

static void a_flush_while_catching_up(void **state) {
    (void)state;
    setup(2);
    char name[16];
    for (unsigned i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof(name), "k%u", i);
        set(0, name, "old");
    }
    struct sync *sync = sync_begin(&peers[1].store, SYNC_TAKE, NULL, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[0], part, NULL, false), SYNC_OK);
        if (part == PARTS / 2) {
            (void)store_flush(&peers[0].store, 0);
            store_end_unit(&peers[0].store);
            for (unsigned i = 0; i < 20; i++) {
                (void)snprintf(name, sizeof(name), "k%u", i);
                set(0, name, "new");
            }
        }
    }
    finish(sync, &peers[1]);
    deliver_all();
    assert_true(sync_is_caught_up(sync));
    sync_free(sync);
    check_equal();
    teardown();
}

static void another_hash_seed_is_taken_over(void **state) {
    (void)state;
    setup(2);
    struct store *store = &peers[1].store;
    assert_true(sync_take_seed(store, (struct hash_seed){5, 6}));
    set(0, "a", "1");
    set(1, "b", "2");
    set(1, "c", "3");
    expire(1, "c", (uint64_t)NOW_MS + 1000);
    struct sync *sync = sync_begin(store, SYNC_TAKE, NULL, NULL);
    struct buffer header = {0};
    struct part_source *source = part_open(&peers[0].store, 0, PARTS, &header);
    assert_int_equal(sync_part_begin(sync, 0, PARTS, buffer_slice(&header)), SYNC_MALFORMED);
    part_close(source);
    buffer_deinit(&header);
    sync_free(sync);
    assert_true(sync_take_seed(store, peers[0].store.seed));
    store_check(store);
    expect(1, "b", "2");
    expect(1, "c", "3");
    join(&peers[1], &peers[0], SYNC_TAKE);
    deliver_all();
    check_equal();
    expect_all("b", "2");
    teardown();
}

static void databases_keep_their_order(void **state) {
    (void)state;
    setup(2);
    set(0, "k", "zero");
    store_swap(&peers[0].store, 0, 1);
    store_end_unit(&peers[0].store);
    set(0, "k", "one");
    join(&peers[1], &peers[0], SYNC_TAKE);
    expect(1, "k", "one");
    deliver_all();
    check_equal();
    teardown();
}

/* ---- rebasing ---- */

/* K2: away past every limit, with one write of its own. */
static void the_forgotten_keep_what_is_theirs(void **state) {
    (void)state;
    setup(3);
    set(0, "k", "old");
    set(0, "kept", "1");
    deliver_all();
    delete (0, "k");
    deliver(0, 1);
    set(2, "z", "mine");
    set(2, "kept", "2");
    rejoin(2, 1);
    expect(2, "k", NULL);
    deliver_all();
    check_equal();
    expect_all("k", NULL);
    expect_all("z", "mine");
    expect_all("kept", "2");
    /* The old life has left nothing behind that the others do not know. */
    unsigned slot = replicas_find(&peers[2].store.replicas, authors[2].ref);
    unsigned there = replicas_find(&peers[1].store.replicas, authors[2].ref);
    assert_int_equal(stamp_ticks(peers[2].store.context.stamps[slot]),
                     stamp_ticks(peers[1].store.context.stamps[there]));
    teardown();
}

static void unsent_increments_count_once(void **state) {
    (void)state;
    setup(3);
    set(0, "c", "100");
    add(2, "own", 1);
    deliver_all();
    add(2, "c", 10);
    deliver_all();
    add(2, "c", 5);
    add(2, "own", 4);
    add(0, "c", 1000);
    add(0, "own", 100);
    deliver(0, 1);
    rejoin(2, 1);
    add(1, "c", 10000);
    deliver_all();
    check_equal();
    expect_all("c", "11115");
    expect_all("own", "105");
    teardown();
}

static void add_field_float(unsigned peer, const char *field, long double delta) {
    struct elements_writer writer;
    struct key key = key_of(peer, "hash");
    long double result;
    assert_int_equal(elements_open(&peers[peer].store, &key, VALUE_HASH, &writer), STORE_OK);
    assert_int_equal(element_add_float(&writer, slice_of(field), delta, &result), STORE_OK);
    elements_close(&writer);
    store_end_unit(&peers[peer].store);
}

/* What the mesh lacks of a float may be a whole number. */
static void unsent_increments_of_floats_count(void **state) {
    (void)state;
    setup(3);
    add_field_float(0, "f", 0.25L);
    deliver_all();
    add_field_float(2, "f", 3);
    add_field_float(0, "f", 100);
    deliver(0, 1);
    rejoin(2, 1);
    deliver_all();
    check_equal();
    for (unsigned i = 0; i < peers_count; i++) {
        expect_field(i, "f", "103.25");
    }
    teardown();
}

static void settle_and_retire(struct peer *peer, unsigned author) {
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

/* The mesh has folded what it saw of a part together with somebody else's: only the log of who
 * comes back knows what it saw. */
static void what_was_folded_with_others(bool has_log, const char *expected) {
    setup(3);
    unsigned forgotten = peers[2].author, ended = peers[0].author;
    add(2, "c", 1);
    add_field(2, "f", 1);
    deliver_all();
    add(2, "c", 2);
    add_field(2, "f", 2);
    add(0, "c", 4);
    add_field(0, "f", 4);
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    set(0, "k", "1");
    deliver(0, 1);
    for (unsigned i = 0; i < 2; i++) {
        settle_and_retire(&peers[i], forgotten);
        settle_and_retire(&peers[i], ended);
    }
    add(1, "c", 16);
    add_field(1, "f", 16);
    reads_history = has_log;
    rejoin(2, 1);
    reads_history = false;
    deliver_all();
    check_equal();
    expect_all("c", expected);
    for (unsigned i = 0; i < peers_count; i++) {
        expect_field(i, "f", expected);
    }
    teardown();
}

static void the_log_tells_what_was_folded(void **state) {
    (void)state;
    what_was_folded_with_others(true, "23");
}

/* Nothing counts twice. */
static void without_a_log_what_is_unclear_is_left_out(void **state) {
    (void)state;
    what_was_folded_with_others(false, "21");
}

/* Somebody was retired of whom the forgotten one had not seen all. So what is settled and newer
 * might be that one's; what was removed before it was forgotten stays removed only by its log. */
static void removed_though_settled(bool has_log) {
    setup(3);
    unsigned ended = peers[0].author;
    set(0, "first", "1");
    deliver_all();
    set(1, "gone", "1");
    add_field(1, "gone", 1);
    set(1, "stays", "1");
    deliver_all();
    set(0, "unseen", "1");
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    set(0, "k", "1");
    unsigned writer = peers[1].author;
    collect(&peers[1]);
    begin_life(&peers[1], 61);
    deliver(0, 1);
    deliver(1, 0);
    for (unsigned i = 0; i < 2; i++) {
        settle_and_retire(&peers[i], ended);
        settle_and_retire(&peers[i], writer);
    }
    delete (2, "gone");
    delete_field(2, "gone");
    reads_history = has_log;
    rejoin(2, 1);
    reads_history = false;
    deliver_all();
    check_equal();
    expect_all("unseen", "1");
    expect_all("stays", "1");
    expect_all("gone", has_log ? NULL : "1");
    assert_int_equal(has_field(1, "gone"), !has_log);
    teardown();
}

static void the_log_tells_what_was_removed(void **state) {
    (void)state;
    removed_though_settled(true);
}

/* Nothing unseen is destroyed. */
static void without_a_log_what_is_unclear_stays(void **state) {
    (void)state;
    removed_though_settled(false);
}

/* By the clocks of all, after the beginning. */
static void pass_seconds(unsigned seconds) {
    for (unsigned i = 0; i < peers_count; i++) {
        collect(&peers[i]);
        store_set_now(&peers[i].store, NOW_MS + (int64_t)seconds * 1000);
    }
}

/* Two nodes are new, and what the one has written the mesh and the other one have. So both of these
 * have seen something that is newer than all of a life that the mesh has retired, and of which the
 * new one has never heard. What that life wrote was not seen there and removed. */
static void what_is_older_than_a_new_node_stays(void **state) {
    (void)state;
    setup(4);
    unsigned ended = peers[0].author;
    set(0, "old", "1");
    add_field(0, "f", 1);
    deliver(0, 1);
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    set(0, "k", "1");
    deliver(0, 1);
    settle_and_retire(&peers[0], ended);
    settle_and_retire(&peers[1], ended);
    pass_seconds(60);
    set(2, "new", "1");
    for (unsigned i = 0; i < 4; i++) {
        deliver(2, i);
    }
    rejoin(3, 1);
    deliver(3, 1);
    for (unsigned i = 1; i < 4; i += 2) {
        expect(i, "old", "1");
        expect(i, "new", "1");
        expect_field(i, "f", "1");
    }
    teardown();
}

/* A life that wrote nothing was retired here and has a slot there. It has one here again then, with
 * nothing to have seen: a stamp without ticks would make digests that peers refuse. */
static void a_life_without_changes_leaves_no_stamp(void **state) {
    (void)state;
    setup(2);
    set(1, "k", "1");
    begin_life(&peers[0], 60);
    struct retired_replica retired = {.ref = authors[peers[0].author].ref};
    replicas_note_retired(&peers[1].store.replicas, &retired);
    join(&peers[1], &peers[0], SYNC_MERGE);
    unsigned slot = replicas_find(&peers[1].store.replicas, retired.ref);
    assert_int_not_equal(slot, 0);
    assert_int_equal(peers[1].store.context.stamps[slot], 0);
    teardown();
}

/* As what_is_older_than_a_new_node_stays(), of a life that has a generation of later than it began,
 * since a clock was ahead and put right. */
static void what_is_older_than_a_generation_stays(void **state) {
    (void)state;
    setup(4);
    peers[0].store.now_ms += 31001;
    begin_life(&peers[0], 0);
    peers[0].store.now_ms -= 31001;
    unsigned ended = peers[0].author;
    set(0, "old", "1");
    deliver(0, 1);
    pass_seconds(40);
    set(0, "k", "1");
    deliver(0, 1);
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    set(0, "k", "2");
    deliver(0, 1);
    settle_and_retire(&peers[0], ended);
    settle_and_retire(&peers[1], ended);
    pass_seconds(60);
    set(2, "new", "1");
    for (unsigned i = 0; i < 4; i++) {
        deliver(2, i);
    }
    rejoin(3, 1);
    deliver(3, 1);
    for (unsigned i = 1; i < 4; i += 2) {
        expect(i, "old", "1");
        expect(i, "new", "1");
    }
    teardown();
}

/* The forgotten one has never heard of a life that began while it was away. So it did see what is
 * older than that, and the log need not tell. */
static void what_is_older_than_an_unheard_life_was_seen(void **state) {
    (void)state;
    setup(3);
    unsigned ended = peers[1].author;
    set(1, "gone", "1");
    add_field(1, "gone", 1);
    add_field(1, "f", 1);
    deliver_all();
    begin_life(&peers[1], 60);
    set(1, "k", "1");
    deliver_all();
    for (unsigned i = 0; i < 3; i++) {
        settle_and_retire(&peers[i], ended);
    }
    pass_seconds(20);
    set(1, "k", "2");
    deliver_all();
    delete (2, "gone");
    delete_field(2, "gone");
    pass_seconds(60);
    collect(&peers[0]);
    begin_life(&peers[0], 61);
    unsigned unheard = peers[0].author;
    set(0, "new", "1");
    deliver(0, 1);
    collect(&peers[0]);
    begin_life(&peers[0], 62);
    set(0, "k", "3");
    deliver(0, 1);
    settle_and_retire(&peers[0], unheard);
    settle_and_retire(&peers[1], unheard);
    rejoin(2, 1);
    deliver_all();
    check_equal();
    expect_all("gone", NULL);
    expect_all("new", "1");
    assert_false(has_field(1, "gone"));
    teardown();
}

static void unsent_deletes_and_expiries_are_made_again(void **state) {
    (void)state;
    setup(2);
    set(0, "gone", "1");
    set(0, "short", "1");
    set(0, "same", "1");
    set(0, "newer", "1");
    deliver_all();
    delete (1, "gone");
    expire(1, "short", (uint64_t)NOW_MS + 5000);
    set(1, "same", "2");
    delete (1, "newer");
    set(0, "same", "2");
    set(0, "newer", "2"); /* had not seen the delete */
    rejoin(1, 0);
    deliver_all();
    check_equal();
    expect_all("gone", NULL);
    expect_all("same", "2");
    expect_all("newer", "2");
    struct key key = key_of(0, "short");
    assert_int_equal(entry_expire_unix_ms(store_peek(&peers[0].store, &key)), NOW_MS + 5000);
    teardown();
}

/* Peer `to` begins a new life and rebases, with nothing told to `from` before; in between, once the
 * states were compared, the records of `late` come. */
static void rebase(unsigned to, unsigned from, int late) {
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

/* What another one, who lives, has changed beyond the mesh's state is left to him; so is what that
 * superseded. */
static void what_others_deliver_is_theirs(void **state) {
    (void)state;
    setup(3);
    add(0, "c", 1);
    set(0, "k", "1");
    expire(0, "k", (uint64_t)NOW_MS + 5000);
    deliver_all();
    add(0, "c", 2);
    set(0, "k", "2");
    deliver(0, 2);
    rebase(2, 1, -1);
    expect(2, "c", "1");
    expect(2, "k", "1");
    deliver_all();
    check_equal();
    expect_all("c", "3");
    expect_all("k", "2");
    teardown();
}

/* Peer 2 was forgotten, and makes again what the mesh lacks of it. Peer 3 was out of reach, and has
 * the originals. */
static void originals_come_late(void) {
    setup(4);
    add(2, "c", 1);
    add_field(2, "f", 1);
    deliver_all();
    add(2, "c", 2);
    collect(&peers[2]);
    add(2, "c", 4);
    add_field(2, "f", 2);
    set(2, "k", "2");
    deliver(2, 3);
    expect(3, "c", "7");
    add(3, "c", 8);
    set(3, "own", "3");
    collect(&peers[3]);
    rebase(2, 1, -1);
    expect(2, "c", "7");
    deliver(2, 0);
    deliver(2, 1);
}

static void what_is_made_again_is_void_elsewhere(void **state) {
    (void)state;
    originals_come_late();
    expect(1, "c", "7");
    assert_false(store_has_void(&peers[1].store));
    assert_false(store_has_void(&peers[2].store));
    /* Whoever hears of the end first takes no originals, and those who built on them do not wait.
     */
    deliver(3, 0);
    expect(0, "c", "15");
    expect(0, "own", "3");
    assert_false(store_has_void(&peers[0].store));
    /* Who has them gives them up, and keeps what is its own. */
    deliver(2, 3);
    assert_true(store_has_void(&peers[3].store));
    join(&peers[3], &peers[1], SYNC_TAKE);
    assert_false(store_has_void(&peers[3].store));
    expect(3, "c", "15");
    deliver_all();
    check_equal();
    expect_all("c", "15");
    expect_all("k", "2");
    expect_all("own", "3");
    for (unsigned i = 0; i < peers_count; i++) {
        expect_field(i, "f", "3");
    }
    teardown();
}

/* It hears of the end by the state that it takes over. */
static void parts_tell_of_ends(void **state) {
    (void)state;
    originals_come_late();
    join(&peers[3], &peers[0], SYNC_TAKE);
    assert_false(store_has_void(&peers[3].store));
    deliver_all();
    check_equal();
    expect_all("c", "15");
    teardown();
}

/* Its log does not reach back: it makes again what is its own, and not what another one did. */
static void who_compares_leaves_out_what_is_void(void **state) {
    (void)state;
    originals_come_late();
    rebase(3, 0, -1);
    assert_false(store_has_void(&peers[3].store));
    deliver_all();
    check_equal();
    expect_all("c", "15");
    expect_all("own", "3");
    teardown();
}

/* A part that shows what is void does not fit, and merging would keep it. */
static void what_is_void_is_not_taken_over(void **state) {
    (void)state;
    originals_come_late();
    struct sync *sync = sync_begin(&peers[0].store, SYNC_TAKE, NULL, NULL);
    assert_int_equal(pull(sync, &peers[3], 0, NULL, false), SYNC_OK);
    assert_true(sync_part_has_void(sync, 0));
    sync_free(sync);
    struct buffer header = {0};
    struct context context;
    deliver(2, 3);
    sync = sync_begin(&peers[3].store, SYNC_MERGE, NULL, NULL);
    struct part_source *source = part_open(&peers[0].store, 0, PARTS, &header);
    assert_int_equal(sync_part_begin(sync, 0, PARTS, buffer_slice(&header)), SYNC_OK);
    assert_false(sync_part_has_void(sync, 0));
    assert_false(sync_part_fits(sync, 0, &context));
    part_close(source);
    sync_free(sync);
    /* Parts that came before it was known. */
    sync = sync_begin(&peers[1].store, SYNC_TAKE, NULL, NULL);
    replicas_drop_ended(&peers[1].store.replicas, authors[2].ref);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[3], part, NULL, false), SYNC_OK);
        replicas_drop_ended(&peers[1].store.replicas, authors[2].ref);
    }
    assert_true(sync_is_sound(sync));
    sync_free(sync);
    sync = sync_begin(&peers[1].store, SYNC_TAKE, NULL, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[part == 0 ? 3 : 0], part, NULL, false), SYNC_OK);
    }
    assert_false(sync_is_sound(sync));
    sync_free(sync);
    buffer_deinit(&header);
    teardown();
}

/* Somebody overwrote the counter, and had seen what is void: all of the part that is not goes. */
static void who_saw_what_is_void_takes_the_rest(void **state) {
    (void)state;
    originals_come_late();
    set(3, "c", "100");
    collect(&peers[3]);
    deliver(3, 1);
    expect(1, "c", "106"); /* what was made again has not been seen by it */
    deliver(2, 3);
    join(&peers[3], &peers[0], SYNC_TAKE);
    deliver_all();
    check_equal();
    expect_all("c", "106");
    teardown();
}

/* The state may become another one before anybody was told of the end: then there is none. */
static void an_end_that_was_not_told_is_taken_back(void **state) {
    (void)state;
    setup(2);
    add(0, "c", 1);
    deliver_all();
    add(0, "c", 2);
    collect(&peers[0]);
    unsigned old = authors_count;
    begin_life(&peers[0], 99);
    struct sync *sync = sync_begin(&peers[0].store, SYNC_REBASE, NULL, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[1], part, NULL, false), SYNC_OK);
    }
    finish(sync, &peers[0]);
    assert_int_equal(peers[0].store.replicas.ended_count, 1);
    peers[0].store.sync = NULL;
    struct sync *anew = sync_begin(&peers[0].store, SYNC_TAKE, NULL, NULL);
    sync_keep_rebase(anew, sync);
    assert_int_equal(peers[0].store.replicas.ended_count, 0);
    sync_free(sync);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(anew, &peers[1], part, NULL, false), SYNC_OK);
    }
    finish(anew, &peers[0]);
    assert_true(sync_reissue_some(anew, 1000));
    sync_free(anew);
    assert_int_equal(authors_count, old + 1);
    expect(0, "c", "3");
    teardown();
}

/* It compares once more before it has made anything again, by the parts of somebody with another
 * hash seed: what was found the first time is made again, and what is found only now, too. */
static void what_was_kept_is_compared_again(void **state) {
    (void)state;
    enum { KEYS = 40 };
    setup(2);
    set(0, "settled", "1");
    deliver_all();
    char name[16];
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(name, sizeof(name), "own%u", i);
        set(0, name, "mine");
    }
    add_field(0, "f", 5);
    begin_life(&peers[0], 98);
    struct sync *sync = sync_begin(&peers[0].store, SYNC_REBASE, NULL, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[1], part, NULL, false), SYNC_OK);
    }
    finish(sync, &peers[0]);
    expect(0, "own3", NULL);
    struct hash_seed seed = {.a = 4711, .b = 815};
    assert_true(sync_take_seed(&peers[1].store, seed));
    set(1, "own7", "theirs");
    peers[0].store.sync = NULL;
    set(0, "later", "mine");
    begin_life(&peers[0], 97);
    struct sync *anew = sync_begin(&peers[0].store, SYNC_REBASE, NULL, NULL);
    sync_keep_rebase(anew, sync);
    sync_free(sync);
    assert_true(sync_take_seed(&peers[0].store, seed));
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(anew, &peers[1], part, NULL, false), SYNC_OK);
    }
    finish(anew, &peers[0]);
    assert_true(sync_reissue_some(anew, 1000));
    sync_free(anew);
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(name, sizeof(name), "own%u", i);
        expect(0, name, i == 7 ? "theirs" : "mine"); /* that came later, and is not to be undone */
    }
    expect(0, "later", "mine");
    expect(0, "settled", "1");
    expect_field(0, "f", "5");
    store_check(&peers[0].store);
    teardown();
}

static enum sync_fate make_again(void *udata, uint64_t stamp) {
    (void)udata;
    (void)stamp;
    return SYNC_REISSUE;
}

/* As rebase(), of one who makes again what others wrote, too. */
static void rebase_all(unsigned to, unsigned from, bool has_log) {
    collect(&peers[to]);
    begin_life(&peers[to], 200 + authors_count);
    struct sync *sync = sync_begin(&peers[to].store, SYNC_REBASE, make_again, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[from], part, NULL, false), SYNC_OK);
        assert_false(sync_part_has_void(sync, part));
    }
    assert_true(sync_is_sound(sync));
    reads_history = has_log;
    finish(sync, &peers[to]);
    reads_history = false;
    assert_true(sync_is_caught_up(sync));
    assert_true(sync_reissue_some(sync, 1000));
    sync_free(sync);
    collect(&peers[to]);
}

/* Peer 3 is gone. Peer 2 was forgotten, and makes again what only it has of peer 3, which comes
 * back later: its life was ended by another one, who did not have all of it. `is_folded`: the mesh
 * has retired that life by then. */
static void another_one_makes_it_again(bool is_folded, bool wrote_more) {
    setup(4);
    unsigned gone = peers[3].author;
    add(3, "c", 1);
    add_field(3, "f", 1);
    add(3, "unfolded", 1);
    deliver_all();
    add(3, "c", 2);
    collect(&peers[3]);
    add(3, "c", 4);
    add(3, "later", 1);
    add_field(3, "f", 2);
    set(3, "k", "old");
    deliver(3, 2);
    if (wrote_more) {
        collect(&peers[3]);
        add(3, "c", 8);
        add(3, "later", 2);
        add_field(3, "f", 4);
        set(3, "k", "new");
        add(3, "own", 1);
    }
    collect(&peers[3]);
    add(0, "unfolded", 8);
    deliver(0, 1);
    deliver(0, 2);
    rebase_all(2, 1, true);
    expect(2, "c", "7");
    deliver(2, 1);
    deliver(2, 0);
    expect(1, "c", "7");
    expect(1, "later", "1");
    if (is_folded) {
        settle_and_retire(&peers[0], gone);
        settle_and_retire(&peers[1], gone);
        settle_and_retire(&peers[2], gone);
    }
    if (wrote_more) {
        /* By the state that it is going to take over, as by the stream. */
        struct sync *sync = sync_begin(&peers[3].store, SYNC_TAKE, NULL, NULL);
        struct buffer header = {0};
        struct context context;
        struct part_source *source = part_open(&peers[1].store, 0, PARTS, &header);
        assert_int_equal(sync_part_begin(sync, 0, PARTS, buffer_slice(&header)), SYNC_OK);
        assert_false(sync_part_fits(sync, 0, &context)); /* what it wrote would be lost */
        part_close(source);
        buffer_deinit(&header);
        sync_free(sync);
        rebase_all(3, 1, true);
    } else {
        join(&peers[3], &peers[1], SYNC_TAKE);
        begin_life(&peers[3], 300); /* what it wrote in the one before would be void */
    }
    assert_false(store_has_void(&peers[3].store));
    deliver_all();
    check_equal();
    expect_all("c", wrote_more ? "15" : "7");
    expect_all("later", wrote_more ? "3" : "1");
    expect_all("k", wrote_more ? "new" : "old");
    expect_all("own", wrote_more ? "1" : NULL);
    expect_all("unfolded", "9");
    for (unsigned i = 0; i < peers_count; i++) {
        expect_field(i, "f", wrote_more ? "7" : "3");
    }
    add(3, "c", 16);
    add(2, "c", 32);
    deliver_all();
    check_equal();
    expect_all("c", wrote_more ? "63" : "55");
    teardown();
}

static void who_was_taken_for_gone_comes_back(void **state) {
    (void)state;
    another_one_makes_it_again(false, false);
    another_one_makes_it_again(true, false);
}

static void who_was_taken_for_gone_has_more(void **state) {
    (void)state;
    another_one_makes_it_again(false, true);
    another_one_makes_it_again(true, true);
}

static void no_life_ends_itself(void **state) {
    (void)state;
    setup(2);
    deliver_all();
    struct store *store = &peers[0].store;
    unsigned author = replicas_add(&store->replicas, &authors[1].id);
    const uint64_t refs[] = {authors[1].ref, 0, authors[0].ref};
    for (unsigned i = 0; i < 3; i++) {
        struct buffer value = {0};
        codec_put_u64(&value, refs[i]);
        codec_put_varint(&value, 5);
        codec_put_varint(&value, 6);
        struct change change = {.kind = CHANGE_LIFE_END,
                                .stamp = stamp_make(100 + i, author),
                                .value = buffer_slice(&value)};
        assert_int_equal(store_apply(store, &change), i < 2 ? STORE_MALFORMED : STORE_OK);
        buffer_deinit(&value);
    }
    assert_int_equal(store->replicas.ended_count, 1);
    assert_int_equal(store->replicas.ended[0].made_ticks, 6);
    teardown();
}

static void patch(unsigned peer, const char *name, uint64_t offset, const char *bytes) {
    struct key key = key_of(peer, name);
    assert_int_equal(strings_patch(&peers[peer].store, &key, offset, slice_of(bytes), NULL),
                     STORE_OK);
    store_end_unit(&peers[peer].store);
}

/* Patches of a large string are made again each by itself, also when it was written to meanwhile.
 */
static void unsent_patches_are_made_again(void **state) {
    (void)state;
    setup(3);
    char text[6001];
    memset(text, '.', 6000);
    text[6000] = '\0';
    set(0, "large", text);
    deliver_all();
    patch(2, "large", 100, "mine");
    patch(2, "large", 5998, "beyond");
    patch(0, "large", 200, "theirs");
    deliver(0, 1);
    patch(0, "large", 300, "late");
    rebase(2, 1, 0);
    deliver_all();
    check_equal();
    memcpy(text + 100, "mine", 4);
    memcpy(text + 200, "theirs", 6);
    memcpy(text + 300, "late", 4);
    char wanted[6100];
    (void)snprintf(wanted, sizeof(wanted), "%.5998sbeyond", text);
    expect_all("large", wanted);
    teardown();
}

static void begin_hyperloglog(unsigned peer, const char *name, unsigned index) {
    struct key key = key_of(peer, name);
    uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT] = {0};
    registers[index] = 3;
    struct buffer bytes = {0};
    hyperloglog_set_registers(&bytes, registers, false, HYPERLOGLOG_SPARSE_BYTES_LIMIT);
    assert_int_equal(strings_set(&peers[peer].store, &key, buffer_slice(&bytes), 0), STORE_OK);
    buffer_deinit(&bytes);
}

/* Two that were alone have each begun one. */
static void hyperloglogs_of_both_are_joined(void **state) {
    (void)state;
    setup(2);
    set(0, "other", "1"); /* so that of two values that of peer 0 would be shown */
    begin_hyperloglog(0, "h", 7);
    begin_hyperloglog(1, "h", 9);
    rebase(1, 0, -1);
    deliver_all();
    check_equal();
    for (unsigned i = 0; i < 2; i++) {
        struct key key = key_of(i, "h");
        struct entry_scratch scratch;
        uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT] = {0};
        assert_int_equal(
            hyperloglog_join(registers, entry_value(store_peek(&peers[i].store, &key), &scratch)),
            HYPERLOGLOG_OK);
        assert_int_equal(registers[7], 3);
        assert_int_equal(registers[9], 3);
    }
    teardown();
}

static void claim(struct peer *peer);
static void settle(unsigned number);

static void retire(unsigned peer, unsigned author) {
    struct store *store = &peers[peer].store;
    unsigned slot = replicas_find(&store->replicas, authors[author].ref);
    for (unsigned i = 0; i < 100 && !store_retire_some(store, slot, &store->context, 1000); i++) {
        collect(&peers[peer]);
    }
    assert_int_equal(replicas_find(&store->replicas, authors[author].ref), 0);
}

/* The mesh has folded what it had of a forgotten one's part into a register whose author lives, so
 * that the register has the ticks of the part. It is not one that was seen here and removed. */
static void what_a_part_was_folded_into(bool has_log, const char *other) {
    setup(3);
    unsigned old = peers[2].author;
    set(0, "c", "1000");
    set(0, "other", "1000");
    deliver_all();
    for (unsigned i = 0; i < 3; i++) {
        add(i, "c", 1);
        add(i, "other", 1);
    }
    deliver_all();
    add(2, "c", 30);
    add(2, "other", 30);
    retire(0, old);
    retire(1, old);
    add(0, "c", 100);
    set(0, "other", "2000");
    deliver(0, 1);
    expect(1, "c", "1103");
    reads_history = has_log;
    rebase(2, 1, -1);
    reads_history = false;
    deliver_all();
    check_equal();
    expect_all("c", "1133");
    expect_all("other", other);
    teardown();
}

static void what_a_part_was_folded_into_stays(void **state) {
    (void)state;
    what_a_part_was_folded_into(false, "2000"); /* unclear: how much of 31 was seen */
    what_a_part_was_folded_into(true, "2030");
}

static char byte_at(unsigned peer, size_t offset) {
    struct key key = key_of(peer, "large");
    struct entry_scratch scratch;
    struct slice bytes = entry_value(store_peek(&peers[peer].store, &key), &scratch);
    assert_true(offset < bytes.size);
    return bytes.data[offset];
}

/* Two were forgotten that had each patched a large string. What had been written before they have
 * settled, and the mesh has not. One of them knows of the other's patch. Each makes its own one
 * again, and not the whole value, which would supersede the other's. */
static void patches_of_two_forgotten_ones_stay(void **state) {
    (void)state;
    enum { LARGE_BYTES = 70000 };
    for (unsigned knows = 0; knows < 2; knows++) {
        struct sync *syncs[2];
        setup(3);
        patch(0, "large", LARGE_BYTES - 1, "x");
        deliver_all();
        for (unsigned i = 0; i < 3; i += 2) {
            struct context frontier = peers[i].store.context;
            while (!store_settle(&peers[i].store, &frontier, 1000)) {
            }
        }
        patch(0, "large", 291, "y");
        patch(2, "large", 194, "z");
        if (knows) {
            deliver(2, 0);
        }
        for (unsigned i = 0; i < 2; i++) {
            collect(&peers[2 * i]);
            drop_unsent(peers[2 * i].author);
            begin_life(&peers[2 * i], 100 + i);
            syncs[i] = sync_begin(&peers[2 * i].store, SYNC_REBASE, NULL, NULL);
            for (unsigned part = 0; part < PARTS; part++) {
                assert_int_equal(pull(syncs[i], &peers[1], part, NULL, false), SYNC_OK);
            }
        }
        for (unsigned i = 0; i < 2; i++) {
            finish(syncs[i], &peers[2 * i]);
            assert_true(sync_is_caught_up(syncs[i]));
            assert_true(sync_reissue_some(syncs[i], 1000));
            sync_free(syncs[i]);
        }
        deliver_all();
        check_equal();
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(byte_at(i, 291), 'y');
            assert_int_equal(byte_at(i, 194), 'z');
            assert_int_equal(byte_at(i, LARGE_BYTES - 1), 'x');
        }
        teardown();
    }
}

/* A life was retired where some parts came from, and not where others did. Who wrote there had seen
 * all of it and tells so no more: what it deletes is gone also where its entry is not settled yet.
 */
static void what_is_retired_at_some_was_seen(void **state) {
    (void)state;
    enum { KEYS = 40 };
    char name[16];
    setup(4);
    unsigned ended = peers[0].author;
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(name, sizeof(name), "k%u", i);
        set(0, name, "v");
    }
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    deliver(0, 1);
    deliver(0, 2);
    set(1, "told", "1");
    deliver(1, 2);
    settle_and_retire(&peers[1], ended);
    collect(&peers[3]);
    struct sync *sync = sync_begin(&peers[3].store, SYNC_TAKE, NULL, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[1 + part % 2], part, NULL, false), SYNC_OK);
    }
    finish(sync, &peers[3]);
    deliver_all();
    assert_true(sync_is_caught_up(sync));
    assert_true(sync_reissue_some(sync, 1000));
    sync_free(sync);
    check_equal();
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(name, sizeof(name), "k%u", i);
        expect_all(name, "v");
        delete (1, name);
    }
    deliver_all();
    check_equal();
    teardown();
}

/* Both sides have forgotten each other, retired the other's life as they knew it, and gone on in
 * it. What that wrote after its end is not something that was seen and is gone. */
static void what_was_written_after_its_author_was_retired_stays(void **state) {
    (void)state;
    setup(2);
    unsigned first = peers[0].author, second = peers[1].author;
    for (unsigned i = 0; i < 2; i++) {
        add(i, "c", 1);
        add(i, "sum", 1);
        set(i, i == 0 ? "zero" : "one", "old");
    }
    deliver_all();
    retire(1, first);
    retire(0, second);
    add(0, "c", 100);
    add(0, "sum", 100);
    set(0, "zero", "new");
    set(0, "three", "new");
    add(1, "c", 10);
    set(1, "one", "new");
    collect(&peers[0]);
    begin_life(&peers[0], 80);
    retire(0, first);
    rebase(1, 0, -1);
    deliver(1, 0);
    check_equal();
    expect_all("sum", "102");
    expect_all("zero", "new");
    expect_all("three", "new");
    expect_all("one", "new");
    expect_all("c", "102"); /* unclear: how much of 11 was folded */
    teardown();
}

/* Likewise, of several values that were set at once and had not settled when it was cut off. */
static void a_part_above_siblings_is_told_apart(void **state) {
    (void)state;
    setup(3);
    unsigned old = peers[2].author;
    set(0, "c", "1000");
    set(1, "c", "2000");
    deliver_all();
    add(2, "c", 1);
    deliver_all();
    add(2, "c", 30);
    for (unsigned i = 0; i < 2; i++) {
        claim(&peers[i]);
    }
    peers[2].claim = peers[0].claim;
    for (unsigned i = 0; i < 2; i++) {
        settle(i);
        retire(i, old);
    }
    struct key key = key_of(0, "c");
    int64_t before = 0, after = 0;
    assert_true(entry_integer(store_peek(&peers[0].store, &key), &before));
    assert_true(before == 1001 || before == 2001);
    rebase(2, 1, -1);
    deliver_all();
    check_equal();
    assert_true(entry_integer(store_peek(&peers[0].store, &key), &after));
    assert_int_equal(after, before + 30);
    teardown();
}

/* Likewise, where it cannot be told what of the part is new, since a text hides it here. */
static void what_an_unclear_part_was_folded_into_stays(void **state) {
    (void)state;
    setup(3);
    unsigned old = peers[2].author;
    set(0, "c", "1000");
    deliver_all();
    set(1, "c", "abc");
    collect(&peers[1]);
    set(1, "c", "7");
    for (unsigned i = 0; i < 10; i++) {
        add(2, "c", 1); /* later than the 7 by clock, which it has not seen */
    }
    deliver(2, 0);
    deliver(2, 1);
    deliver(1, 0);
    add(2, "c", 30);
    assert_true(deliver_one(&peers[2], peers[1].author));
    expect(2, "c", "abc");
    retire(0, old);
    retire(1, old);
    expect(1, "c", "17");
    rebase(2, 1, -1);
    deliver_all();
    check_equal();
    expect_all("c", "17");
    teardown();
}

/* The peer has retired a life of which the joiner has the slot: who takes over the joiner's state
 * has to know that keys are without it. */
static void what_is_retired_in_parts_is_noted(void **state) {
    (void)state;
    setup(2);
    unsigned old = peers[0].author;
    add(0, "c", 1);
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    set(0, "k", "1");
    deliver_all();
    retire(1, old);
    deliver(peers[1].author, 0);
    assert_int_not_equal(replicas_find(&peers[0].store.replicas, authors[old].ref), 0);
    assert_null(replicas_find_retired(&peers[0].store.replicas, authors[old].ref));
    join(&peers[0], &peers[1], SYNC_TAKE);
    assert_int_not_equal(replicas_find(&peers[0].store.replicas, authors[old].ref), 0);
    assert_non_null(replicas_find_retired(&peers[0].store.replicas, authors[old].ref));
    expect_all("c", "1");
    teardown();
}

/* The peer is about to retire a life that all have seen. It keeps a part of that above a register
 * that not all have seen, and the joiner has the part without the register. */
static void a_part_stays_above_what_is_unseen(void **state) {
    (void)state;
    setup(3);
    unsigned old = peers[2].author;
    set(0, "c", "1000");
    collect(&peers[0]);
    add(2, "c", 30);
    add_field(2, "f", 30);
    deliver(2, 0);
    deliver(2, 1);
    collect(&peers[2]);
    begin_life(&peers[2], 60);
    struct store *store = &peers[0].store;
    unsigned slot = replicas_find(&store->replicas, authors[old].ref);
    struct context frontier = store->context;
    frontier.stamps[store->replicas.self] = 0;
    for (unsigned i = 0; i < 10; i++) {
        assert_false(store_retire_some(store, slot, &frontier, 1000));
        collect(&peers[0]);
    }
    assert_non_null(replicas_find_retired(&store->replicas, authors[old].ref));
    expect(1, "c", "30");
    join(&peers[1], &peers[0], SYNC_MERGE);
    expect(1, "c", "1030");
    expect_field(1, "f", "30");
    deliver_all();
    expect_all("c", "1030");
    check_equal();
    retire(0, old);
    retire(1, old);
    check_equal();
    teardown();
}

/* Likewise, where the mesh has folded it together with one of which the forgotten one never heard.
 */
static void a_part_was_folded_with_an_unseen_one(void **state) {
    (void)state;
    setup(3);
    unsigned ended = peers[0].author, forgotten = peers[2].author;
    add(0, "c", 1);
    deliver(0, 1);
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    set(0, "k", "1");
    deliver(0, 1);
    add(2, "c", 32);
    deliver(2, 0);
    deliver(2, 1);
    collect(&peers[2]);
    begin_life(&peers[2], 61);
    add(2, "c", 4);
    for (unsigned i = 0; i < 2; i++) {
        settle_and_retire(&peers[i], ended);
        settle_and_retire(&peers[i], forgotten);
    }
    expect(1, "c", "33");
    rejoin(2, 1);
    deliver_all();
    check_equal();
    expect_all("c", "37");
    teardown();
}

/* Likewise, but the mesh has folded the beginning of a part that goes on here. What of that is new
 * is told by the difference of the registers, without a log: none of it counts twice. */
static void a_part_was_folded_with_the_beginning_of_one(void **state) {
    (void)state;
    setup(3);
    unsigned ended = peers[0].author, forgotten = peers[2].author;
    add(2, "c", 32);
    deliver(2, 0);
    deliver(2, 1);
    add(0, "c", 1);
    deliver(0, 1);
    deliver(0, 2);
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    set(0, "k", "1");
    deliver(0, 1);
    add(2, "c", 4);
    collect(&peers[2]);
    begin_life(&peers[2], 61);
    for (unsigned i = 0; i < 2; i++) {
        settle_and_retire(&peers[i], ended);
        settle_and_retire(&peers[i], forgotten);
    }
    expect(1, "c", "33");
    rejoin(2, 1);
    deliver_all();
    check_equal();
    expect_all("c", "37");
    teardown();
}

/* Both sides have folded a part, and the mesh a lower one, too, of which the forgotten one never
 * heard: both numbers have one stamp. */
static void both_have_folded_and_the_mesh_more(void **state) {
    (void)state;
    setup(3);
    unsigned ended = peers[0].author, forgotten = peers[2].author;
    add(0, "c", 1);
    add_field(0, "f", 1);
    deliver(0, 1);
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    set(0, "k", "1");
    deliver(0, 1);
    add(2, "c", 32);
    add_field(2, "f", 32);
    deliver(2, 0);
    deliver(2, 1);
    collect(&peers[2]);
    begin_life(&peers[2], 61);
    settle_and_retire(&peers[2], forgotten);
    add(2, "c", 4);
    add_field(2, "f", 4);
    for (unsigned i = 0; i < 2; i++) {
        settle_and_retire(&peers[i], ended);
        settle_and_retire(&peers[i], forgotten);
    }
    expect(1, "c", "33");
    expect(2, "c", "36");
    rejoin(2, 1);
    deliver_all();
    check_equal();
    expect_all("c", "37");
    expect_field(0, "f", "37");
    teardown();
}

/* The mesh has seen a part and deleted it, and has retired its author. What the forgotten one has
 * written below the part has not been seen. */
static void what_was_written_below_a_deleted_part_stays(void **state) {
    (void)state;
    setup(3);
    unsigned old = peers[0].author;
    set(2, "c", "1000");
    collect(&peers[2]);
    add(0, "c", 30);
    deliver(0, 1);
    deliver(0, 2);
    expect(2, "c", "1030");
    begin_life(&peers[0], 60);
    set(0, "k", "1");
    deliver(0, 1);
    delete (1, "c");
    deliver(1, 0);
    settle_and_retire(&peers[0], old);
    settle_and_retire(&peers[1], old);
    rejoin(2, 1);
    deliver_all();
    check_equal();
    expect_all("c", "1000");
    teardown();
}

/* Two that were alone meet: both have data, neither log reaches the other. */
static void two_that_were_alone(void **state) {
    (void)state;
    setup(2);
    char name[16], value[16];
    for (unsigned i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof(name), "k%u", i);
        (void)snprintf(value, sizeof(value), "v%u", i);
        if (i % 2 == 0 || i % 3 == 0) {
            set(i % 2, name, value);
        }
    }
    add(0, "c", 5);
    add(1, "c", 6);
    rejoin(1, 0);
    deliver_all();
    check_equal();
    expect_all("k2", "v2");
    expect_all("k3", "v3");
    expect_all("c", "11");
    teardown();
}

/* C10: an old copy of the data directory comes back; the peers know newer. */
static void an_old_copy_comes_back(void **state) {
    (void)state;
    setup(2);
    add(1, "c", 5);
    deliver_all();
    add(1, "c", 7);
    deliver_all();
    expect_all("c", "12");
    /* Peer 1 is taken back to what it was: a third store that knew only the beginning. */
    struct peer *peer = &peers[1];
    receiver_deinit(&peer->receiver);
    store_deinit(&peer->store);
    unsigned lives = authors_count;
    peer_init(peer);
    authors_count = lives; /* the same replica as before */
    peer->author = 1;
    struct key key = key_of(1, "c");
    struct store *store = &peer->store;
    int64_t result;
    assert_int_equal(store->context.stamps[store->replicas.self], 0);
    store->journal.is_on = false;
    assert_int_equal(strings_add_integer(store, &key, 5, &result), STORE_OK);
    store->journal.is_on = true;
    begin_life(peer, 50);
    join(peer, &peers[0], SYNC_TAKE);
    add(1, "c", 100);
    deliver_all();
    check_equal();
    expect_all("c", "112");
    teardown();
}

/* ---- random histories ---- */

static const char *random_name(struct prng *prng, char name[16]) {
    /* Keys with "sum" are only ever added to. */
    (void)snprintf(name, 16, prng_below(prng, 4) == 0 ? "sum%u" : "k%u",
                   (unsigned)prng_below(prng, NAMES));
    return name;
}

static int64_t sums[DBS][NAMES];

static void random_value(struct prng *prng, struct buffer *value) {
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

static void random_write(struct peer *peer, struct prng *prng) {
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

/* What a peer tells to have seen counts once all is here that it had written by then. */
static void claim(struct peer *peer) {
    collect(peer);
    for (unsigned i = 0; i < authors_count; i++) {
        unsigned slot = replicas_find(&peer->store.replicas, authors[i].ref);
        peer->claim.stamps[i] = slot == 0 ? 0 : stamp_ticks(peer->store.context.stamps[slot]);
    }
}

static struct context trusted[PEERS_MAX][PEERS_MAX]; /* by author */

static void settle(unsigned number) {
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

/* One step of anybody but `away`, who is told nothing either. */
static void random_step(struct prng *prng, unsigned away) {
    unsigned number = (unsigned)prng_below(prng, peers_count);
    if (number == away) {
        return;
    }
    struct peer *peer = &peers[number];
    switch (prng_below(prng, 8)) {
    case 0:
    case 1:
    case 2:
        random_write(peer, prng);
        if (prng_below(prng, 3) > 0) {
            store_end_unit(&peer->store);
        }
        break;
    case 3:
    case 4:
    case 5: {
        unsigned from = (unsigned)prng_below(prng, authors_count);
        collect(peer);
        for (unsigned i = 0; i < peers_count; i++) {
            if (peers[i].author == from && i != away) {
                collect(&peers[i]);
            }
        }
        for (uint64_t left = prng_below(prng, 6); left > 0 && deliver_one(peer, from); left--) {
        }
        break;
    }
    case 6:
        claim(peer);
        break;
    default:
        settle(number);
        break;
    }
}

static unsigned other_peer(struct prng *prng, unsigned than) {
    unsigned other = (unsigned)prng_below(prng, peers_count - 1);
    return other + (other >= than);
}

/* Joins while the others go on. */
static void random_join(struct prng *prng, unsigned number, enum sync_mode mode) {
    struct peer *joiner = &peers[number];
    collect(joiner);
    struct sync *sync = sync_begin(&joiner->store, mode, NULL, NULL);
    bool is_done[PARTS] = {false};
    while (sync_parts_done(sync) < PARTS) {
        unsigned part = (unsigned)prng_below(prng, PARTS);
        if (!is_done[part]) {
            unsigned before = sync_parts_done(sync);
            assert_int_equal(
                pull(sync, &peers[other_peer(prng, number)], part, prng, prng_below(prng, 3) == 0),
                SYNC_OK);
            is_done[part] = sync_parts_done(sync) > before;
        }
        for (uint64_t steps = prng_below(prng, 8); steps > 0; steps--) {
            random_step(prng, number);
        }
    }
    finish(sync, joiner);
    while (!sync_is_caught_up(sync)) {
        random_step(prng, number);
        for (unsigned i = 0; i < peers_count; i++) {
            collect(&peers[i]);
        }
        (void)deliver_one(joiner, (unsigned)prng_below(prng, authors_count));
    }
    assert_true(sync_reissue_some(sync, 1));
    sync_free(sync);
}

static void check_sums(void) {
    for (unsigned db = 0; db < DBS; db++) {
        for (unsigned i = 0; i < NAMES; i++) {
            char name[16];
            (void)snprintf(name, sizeof(name), "sum%u", i);
            struct store *store = &peers[0].store;
            struct key key = store_key(store, store_database_index(store, db), slice_of(name));
            struct entry *entry = store_peek(store, &key);
            int64_t value = 0;
            assert_true(entry == NULL || entry_integer(entry, &value));
            assert_int_equal(value, sums[db][i]);
        }
    }
}

static unsigned histories(unsigned count) {
    const char *chosen = getenv("TEST_RUNS");
    return chosen != NULL ? (unsigned)atoi(chosen) : count;
}

static void random_joins(void **state) {
    (void)state;
    for (unsigned run = 0; run < histories(150); run++) {
        struct prng prng;
        seed_prng(&prng, "random_joins", run);
        memset(sums, 0, sizeof(sums));
        memset(trusted, 0, sizeof(trusted));
        setup(3 + run % 2);
        for (unsigned round = 0; round < 3; round++) {
            unsigned away = 1 + (unsigned)prng_below(&prng, peers_count - 1);
            for (uint64_t steps = 20 + prng_below(&prng, 150); steps > 0; steps--) {
                random_step(&prng, peers_count);
            }
            /* It writes by itself, and misses what the others do. */
            for (uint64_t steps = prng_below(&prng, 100); steps > 0; steps--) {
                random_step(&prng, away);
                if (prng_below(&prng, 6) == 0) {
                    random_write(&peers[away], &prng);
                    store_end_unit(&peers[away].store);
                }
            }
            random_join(&prng, away, run % 3 == 2 ? SYNC_MERGE : SYNC_TAKE);
        }
        deliver_all();
        check_equal();
        check_sums();
        for (unsigned i = 0; i < peers_count; i++) {
            claim(&peers[i]);
        }
        for (unsigned i = 0; i < peers_count; i++) {
            settle(i);
        }
        check_equal();
        check_sums();
        teardown();
    }
}

/* Peers that were forgotten come back with writes that nobody has seen. */
static void random_rebases(void **state) {
    (void)state;
    for (unsigned run = 0; run < histories(100); run++) {
        struct prng prng;
        seed_prng(&prng, "random_rebases", run);
        memset(sums, 0, sizeof(sums));
        memset(trusted, 0, sizeof(trusted));
        setup(3);
        for (uint64_t steps = 20 + prng_below(&prng, 100); steps > 0; steps--) {
            random_step(&prng, peers_count);
        }
        unsigned away = 1 + run % 2;
        for (uint64_t steps = prng_below(&prng, 100); steps > 0; steps--) {
            random_step(&prng, away);
            if (prng_below(&prng, 4) == 0) {
                random_write(&peers[away], &prng);
                store_end_unit(&peers[away].store);
            }
        }
        rejoin(away, 0);
        deliver_all();
        check_equal();
        check_sums();
        teardown();
    }
}

/* ---- nonsense ---- */

/* Every header and every byte of data cut short or changed: refused or taken, never a crash, and
 * the joiner's own data stay. */
static void nonsense_is_refused(void **state) {
    (void)state;
    setup(2);
    struct prng prng;
    seed_prng(&prng, "nonsense_is_refused", 0);
    for (unsigned i = 0; i < 300; i++) {
        random_write(&peers[0], &prng);
    }
    set(1, "mine", "1");
    collect(&peers[0]);
    struct buffer header = {0}, data = {0};
    struct part_source *source = part_open(&peers[0].store, 0, 1, &header);
    while (part_read(source, &data, 4096) == PART_MORE) {
    }
    part_close(source);
    uint64_t keys = peers[1].store.dbs[0].table.count;
    unsigned refused = 0;
    for (unsigned run = 0; run < 3000; run++) {
        struct sync *sync = sync_begin(&peers[1].store, SYNC_TAKE, NULL, NULL);
        struct buffer head = {0}, bytes = {0};
        buffer_append_slice(&head, buffer_slice(&header));
        buffer_append_slice(&bytes, buffer_slice(&data));
        struct buffer *hurt = run % 2 == 0 ? &head : &bytes;
        if (run % 5 == 0) {
            hurt->size = prng_below(&prng, hurt->size);
        } else {
            hurt->data[prng_below(&prng, hurt->size)] ^= (char)(1 << prng_below(&prng, 8));
        }
        enum sync_status status = sync_part_begin(sync, 0, 1, buffer_slice(&head));
        if (status == SYNC_OK) {
            status = sync_part_data(sync, 0, buffer_slice(&bytes));
        }
        if (status == SYNC_OK && bytes.size < data.size) {
            status = sync_part_end(sync, 0);
        }
        refused += status != SYNC_OK;
        sync_free(sync);
        buffer_deinit(&head);
        buffer_deinit(&bytes);
        if (status != SYNC_OK) {
            assert_int_equal(peers[1].store.dbs[0].table.count, keys);
        }
        expect(1, "mine", "1");
    }
    assert_true(refused > 1000);
    buffer_deinit(&header);
    buffer_deinit(&data);
    teardown();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_store_takes_all),
        cmocka_unit_test(a_large_value_comes_in_pieces),
        cmocka_unit_test(what_was_deleted_stays_deleted),
        cmocka_unit_test(own_deletes_hold),
        cmocka_unit_test(increments_of_both_sides_count),
        cmocka_unit_test(expiries_merge),
        cmocka_unit_test(half_of_a_state_leaves_nothing_behind),
        cmocka_unit_test(parts_of_different_moments),
        cmocka_unit_test(what_came_before_is_caught_up_with),
        cmocka_unit_test(a_flush_while_catching_up),
        cmocka_unit_test(another_hash_seed_is_taken_over),
        cmocka_unit_test(databases_keep_their_order),
        cmocka_unit_test(the_forgotten_keep_what_is_theirs),
        cmocka_unit_test(what_a_part_was_folded_into_stays),
        cmocka_unit_test(patches_of_two_forgotten_ones_stay),
        cmocka_unit_test(what_is_retired_at_some_was_seen),
        cmocka_unit_test(what_was_written_after_its_author_was_retired_stays),
        cmocka_unit_test(a_part_above_siblings_is_told_apart),
        cmocka_unit_test(what_an_unclear_part_was_folded_into_stays),
        cmocka_unit_test(unsent_increments_count_once),
        cmocka_unit_test(unsent_increments_of_floats_count),
        cmocka_unit_test(the_log_tells_what_was_folded),
        cmocka_unit_test(without_a_log_what_is_unclear_is_left_out),
        cmocka_unit_test(the_log_tells_what_was_removed),
        cmocka_unit_test(without_a_log_what_is_unclear_stays),
        cmocka_unit_test(what_is_older_than_a_new_node_stays),
        cmocka_unit_test(what_is_older_than_a_generation_stays),
        cmocka_unit_test(a_life_without_changes_leaves_no_stamp),
        cmocka_unit_test(what_is_older_than_an_unheard_life_was_seen),
        cmocka_unit_test(unsent_deletes_and_expiries_are_made_again),
        cmocka_unit_test(what_others_deliver_is_theirs),
        cmocka_unit_test(what_is_made_again_is_void_elsewhere),
        cmocka_unit_test(parts_tell_of_ends),
        cmocka_unit_test(who_compares_leaves_out_what_is_void),
        cmocka_unit_test(what_is_void_is_not_taken_over),
        cmocka_unit_test(who_saw_what_is_void_takes_the_rest),
        cmocka_unit_test(an_end_that_was_not_told_is_taken_back),
        cmocka_unit_test(what_was_kept_is_compared_again),
        cmocka_unit_test(who_was_taken_for_gone_comes_back),
        cmocka_unit_test(who_was_taken_for_gone_has_more),
        cmocka_unit_test(no_life_ends_itself),
        cmocka_unit_test(unsent_patches_are_made_again),
        cmocka_unit_test(hyperloglogs_of_both_are_joined),
        cmocka_unit_test(what_is_retired_in_parts_is_noted),
        cmocka_unit_test(a_part_stays_above_what_is_unseen),
        cmocka_unit_test(a_part_was_folded_with_an_unseen_one),
        cmocka_unit_test(a_part_was_folded_with_the_beginning_of_one),
        cmocka_unit_test(both_have_folded_and_the_mesh_more),
        cmocka_unit_test(what_was_written_below_a_deleted_part_stays),
        cmocka_unit_test(two_that_were_alone),
        cmocka_unit_test(an_old_copy_comes_back),
        cmocka_unit_test(random_joins),
        cmocka_unit_test(random_rebases),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
