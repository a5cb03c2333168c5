/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/amounts.h"

#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/memory.h"
#include "store/merge.h"

enum {
    CELLS_MIN = 64,
    /* Then another question begins. So an answer fits into a frame, however many replicas count. */
    QUESTION_BYTES_MAX = 64 << 10,
    QUESTION_NAMES_MAX = 4096,
    QUESTIONS_BYTES_MAX = 4 << 20, /* at a time */
    /* Of one TAKE; in half of its limit there is room for one element more. */
    TAKES_BYTES_MIN = 256 << 10,
    TAKES_BYTES_MAX = CHANGE_VALUE_BYTES_MAX / 2,
    TAKES_MAX = CHANGE_UNTOLD_TICKS - 64,
};

/* ---- lists by where they belong ---- */

struct amounts_item {
    uint64_t hash;
    struct slice place, list; /* in `bytes` */
    char bytes[];
};

static uint64_t place_hash(struct slice place) {
    static const struct hash_seed SEED = {UINT64_C(0x9E6C63D0876A9A35),
                                          UINT64_C(0x2545F4914F6CDD1D)};
    return hash_bytes(SEED, place);
}

void amounts_deinit(struct amounts *amounts) {
    for (size_t i = 0; i < amounts->capacity; i++) {
        memory_free(amounts->cells[i]);
    }
    memory_free(amounts->cells);
    *amounts = (struct amounts){0};
}

/* The cell that has it, or where it belongs. */
static struct amounts_item **amounts_cell(const struct amounts *amounts, uint64_t hash,
                                          struct slice place) {
    for (size_t at = hash;; at++) {
        struct amounts_item **cell = &amounts->cells[at & (amounts->capacity - 1)];
        if (*cell == NULL || ((*cell)->hash == hash && slice_equal((*cell)->place, place))) {
            return cell;
        }
    }
}

static void amounts_grow(struct amounts *amounts) {
    struct amounts old = *amounts;
    amounts->capacity = old.capacity == 0 ? CELLS_MIN : 2 * old.capacity;
    amounts->cells = memory_alloc_zero(amounts->capacity * sizeof(amounts->cells[0]));
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.cells[i] != NULL) {
            *amounts_cell(amounts, old.cells[i]->hash, old.cells[i]->place) = old.cells[i];
        }
    }
    memory_free(old.cells);
}

static void amounts_put(struct amounts *amounts, struct slice place, struct slice list) {
    if (4 * (amounts->count + 1) > 3 * amounts->capacity) {
        amounts_grow(amounts);
    }
    uint64_t hash = place_hash(place);
    struct amounts_item **cell = amounts_cell(amounts, hash, place);
    struct amounts_item *item = memory_alloc(sizeof(*item) + place.size + list.size);
    memcpy(item->bytes, place.data, place.size);
    if (list.size > 0) {
        memcpy(item->bytes + place.size, list.data, list.size);
    }
    item->hash = hash;
    item->place = slice_make(item->bytes, place.size);
    item->list = slice_make(item->bytes + place.size, list.size);
    if (*cell != NULL) {
        amounts->bytes -= (*cell)->place.size + (*cell)->list.size;
        memory_free(*cell);
    } else {
        amounts->count++;
    }
    amounts->bytes += place.size + list.size;
    *cell = item;
}

static bool amounts_find(const struct amounts *amounts, struct slice place, struct slice *list) {
    if (amounts->count == 0) {
        return false;
    }
    const struct amounts_item *item = *amounts_cell(amounts, place_hash(place), place);
    if (item != NULL) {
        *list = item->list;
    }
    return item != NULL;
}

/* Of an element, as the DELETE names it. */
static void place_of_delete(struct buffer *place, uint64_t ref, uint64_t ticks,
                            enum value_type type, struct slice name) {
    buffer_clear(place);
    codec_put_u64(place, ref);
    codec_put_varint(place, ticks);
    codec_put_varint(place, type);
    buffer_append_slice(place, name);
}

/* Of an element, as the key names it. */
static void place_of_key(struct buffer *place, unsigned number, struct slice key,
                         enum value_type type, struct slice name) {
    buffer_clear(place);
    codec_put_varint(place, number);
    codec_put_slice(place, key);
    codec_put_varint(place, type);
    buffer_append_slice(place, name);
}

/* ---- parts of an element ---- */

/* Spells out the part of a compact counter; false: it is none. */
static bool compact_part(const struct entry *element, struct contested_part *part) {
    struct entry_parts parts;
    entry_take_apart(element, &parts);
    *part = (struct contested_part){.start_ticks = parts.start_ticks,
                                    .stamp = parts.stamp,
                                    .is_float = parts.kind == ENTRY_FLOAT_COUNTER,
                                    .total = parts.total,
                                    .float_total = parts.float_total};
    return parts.kind == ENTRY_COUNTER || parts.kind == ENTRY_COUNTER_REGISTER ||
           parts.kind == ENTRY_FLOAT_COUNTER;
}

/* The parts of an element, of which `*compact` may be one. */
static unsigned element_parts(const struct entry *element, struct contested_part *compact,
                              const struct contested_part **parts) {
    if (entry_kind(element) == ENTRY_CONTESTED) {
        *parts = entry_contested(element)->parts;
        return entry_contested(element)->parts_count;
    }
    *parts = compact;
    return compact_part(element, compact);
}

static uint64_t part_ref(const struct store *store, const struct contested_part *part) {
    return store->replicas.slots[stamp_slot(part->stamp)].ref;
}

/* Appends what is taken off of the part. */
static void put_taken_off(const struct store *store, struct buffer *list,
                          const struct contested_part *part) {
    if (part->off_seen != 0) {
        merge_put_take(store, list, part, part->off_seen, part->off, part->float_off);
    }
}

/* The collections of a key; NULL without any. */
static struct collection *key_collections(const struct store *store, unsigned number,
                                          struct slice name) {
    struct key key = store_key(store, store_database_index(store, number), name);
    uint64_t *slot = mutate_slot(store, &key);
    struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    if (entry == NULL) {
        return NULL;
    }
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        return entry_contested(entry)->collections;
    }
    return entry_kind(entry) == ENTRY_COLLECTION ? entry_collection(entry) : NULL;
}

/* The next one of a key: what is alone under it has no list. */
static struct collection *next_collection(const struct collection *collection) {
    return entry_kind(collection->entry) == ENTRY_CONTESTED ? collection->next : NULL;
}

/* ---- reading an untold DELETE ---- */

bool amounts_are_asked(struct slice batch) {
    struct change_reader reader;
    struct change change;
    if (!change_reader_init(&reader, batch, 1)) {
        return false;
    }
    while (change_reader_next(&reader, &change) == CHANGE_OK) {
        if (change_is_untold(&change)) {
            return true;
        }
    }
    return false;
}

void amounts_unit_deinit(struct amounts_unit *unit) {
    amounts_deinit(&unit->given);
}

/* A record on its way through amounts_add(). */
struct adding {
    struct amounts_unit *unit;
    struct buffer *out;
    const struct stream_record *record;
    struct change_writer writer;
    bool has_written; /* a record of several */
    uint64_t previous_ticks, ticks;
    /* Of the DELETE that is looked at. */
    const struct change *change;
    enum value_type type;
    struct buffer takes, question, list, place;
    unsigned names_count; /* in the question */
    bool has_added, is_missing, is_malformed;
};

static bool unit_has_seen(const struct amounts_unit *unit, uint64_t stamp) {
    return mutate_has_seen(unit->store, unit->author, stamp) ||
           stamp <= unit->seen[stamp_slot(stamp)];
}

/* What is written becomes a record. */
static void hand_on(struct adding *adding, uint64_t last_ticks) {
    struct stream_record record = {.ref = adding->record->ref,
                                   .previous_ticks = adding->previous_ticks,
                                   .last_ticks = last_ticks,
                                   .batch = buffer_slice(&adding->writer.bytes)};
    struct buffer bytes = {0};
    if (!adding->has_written) {
        record.marks = adding->record->marks;
        record.marks_count = adding->record->marks_count;
    }
    stream_record_put(&bytes, &record);
    codec_put_slice(adding->out, buffer_slice(&bytes));
    buffer_deinit(&bytes);
    change_writer_clear(&adding->writer);
    adding->has_written = true;
    adding->previous_ticks = last_ticks;
}

static void put_change(struct adding *adding, const struct change *change) {
    if (adding->writer.bytes.size >= CHANGE_BATCH_BYTES) {
        hand_on(adding, adding->ticks);
    }
    change_writer_add(&adding->writer, change);
    adding->ticks = stamp_ticks(change->stamp);
    if (!change->goes_on) {
        change_writer_end_unit(&adding->writer);
    }
}

/* Puts a TAKE before the DELETE, of the elements in `value` or of one with a long name. */
static void put_take(struct adding *adding, struct slice element, struct slice value) {
    uint64_t last = stamp_ticks(adding->change->stamp);
    uint64_t ticks = adding->ticks > adding->unit->ticks ? adding->ticks : adding->unit->ticks;
    ticks++;
    if (last > CHANGE_UNTOLD_TICKS && ticks < last - CHANGE_UNTOLD_TICKS) {
        ticks = last - CHANGE_UNTOLD_TICKS;
    }
    if (ticks >= last) {
        adding->is_malformed = true;
        return;
    }
    struct change take = {.kind = CHANGE_TAKE,
                          .is_fresh = element.data == NULL,
                          .goes_on = true,
                          .type = element.data == NULL ? VALUE_STRING : adding->type,
                          .db = adding->change->db,
                          .key = adding->change->key,
                          .element = element,
                          .stamp = stamp_make(ticks, stamp_slot(adding->change->stamp)),
                          .value = value};
    put_change(adding, &take);
    adding->has_added = true;
}

/* The elements that were found become TAKEs: few enough for the ticks that there are. */
static void end_takes(struct adding *adding) {
    size_t bytes_max = adding->takes.size / TAKES_MAX;
    bytes_max = bytes_max < TAKES_BYTES_MIN   ? TAKES_BYTES_MIN
                : bytes_max > TAKES_BYTES_MAX ? TAKES_BYTES_MAX
                                              : bytes_max;
    struct slice rest = buffer_slice(&adding->takes), name, list;
    struct buffer value = {0};
    while (!adding->is_malformed && change_element_takes_next(&rest, &name, &list)) {
        if (name.size + list.size > TAKES_BYTES_MAX) {
            put_take(adding, name, list);
            continue;
        }
        if (value.size == 0) {
            buffer_append_byte(&value, (uint8_t)adding->type);
        }
        change_element_takes_put(&value, name, list);
        if (value.size >= bytes_max) {
            put_take(adding, (struct slice){0}, buffer_slice(&value));
            buffer_clear(&value);
        }
    }
    if (!adding->is_malformed && value.size > 0) {
        put_take(adding, (struct slice){0}, buffer_slice(&value));
    }
    buffer_deinit(&value);
    buffer_clear(&adding->takes);
}

static void end_question(struct adding *adding) {
    if (adding->question.size > 0) {
        codec_put_slice(adding->unit->questions, buffer_slice(&adding->question));
        buffer_clear(&adding->question);
        adding->names_count = 0;
        adding->is_missing = true;
    }
}

static void begin_question(struct adding *adding) {
    if (adding->question.size >= QUESTION_BYTES_MAX || adding->names_count >= QUESTION_NAMES_MAX) {
        end_question(adding);
    }
    if (adding->question.size == 0) {
        codec_put_u64(&adding->question, adding->record->ref);
        codec_put_varint(&adding->question, stamp_ticks(adding->change->stamp));
        codec_put_varint(&adding->question, adding->change->db);
        codec_put_slice(&adding->question, adding->change->key);
        buffer_append_byte(&adding->question, (uint8_t)adding->type);
    }
}

/* May the writer have seen some of the part, and not all? */
static bool is_in_doubt(const struct adding *adding, const struct contested_part *part) {
    const struct amounts_unit *unit = adding->unit;
    unsigned slot = stamp_slot(part->stamp);
    return slot != unit->author && !contested_part_is_ghost(part) &&
           !unit_has_seen(unit, part->stamp) &&
           unit_has_seen(unit, stamp_make(part->start_ticks, slot));
}

/* Puts what was answered of an element before the DELETE. What was taken off later, too, is here
 * only in part; the rest goes with the DELETE that takes it off. */
static void put_answer(struct adding *adding, struct slice name, const struct contested_part *parts,
                       unsigned count, struct slice answer) {
    struct store *store = adding->unit->store;
    struct change_take take;
    buffer_clear(&adding->list);
    while (change_take_next(&answer, &take)) {
        const struct contested_part *part = NULL;
        for (unsigned i = 0; i < count && part == NULL; i++) {
            part = part_ref(store, &parts[i]) == take.ref ? &parts[i] : NULL;
        }
        if (part != NULL && part->start_ticks == take.start_ticks &&
            take.ticks > stamp_ticks(part->stamp)) {
            merge_put_take(store, &adding->list, part, part->stamp, part->total, part->float_total);
        } else {
            change_take_put(&adding->list, &take);
        }
    }
    if (adding->list.size > 0) {
        change_element_takes_put(&adding->takes, name, buffer_slice(&adding->list));
    }
}

/* An answer names all parts of an element of which anything is taken off, and so do TAKEs that were
 * given. */
static void ask_or_add(struct adding *adding, const struct entry *element,
                       const struct contested_part *parts, unsigned count) {
    const struct amounts_unit *unit = adding->unit;
    struct slice name = entry_key(element), answer;
    place_of_key(&adding->place, adding->change->db, adding->change->key, adding->type, name);
    if (amounts_find(&unit->given, buffer_slice(&adding->place), &answer)) {
        return;
    }
    if (!unit->is_remembered) {
        place_of_delete(&adding->place, adding->record->ref, stamp_ticks(adding->change->stamp),
                        adding->type, name);
    }
    if (amounts_find(unit->answers, buffer_slice(&adding->place), &answer)) {
        put_answer(adding, name, parts, count, answer);
    } else if (!unit->is_remembered && unit->questions->size >= QUESTIONS_BYTES_MAX) {
        adding->is_missing = true; /* it is asked about once those before are answered */
    } else if (!unit->is_remembered) {
        begin_question(adding);
        codec_put_slice(&adding->question, name);
        adding->names_count++;
    }
}

static void look_at_element(struct store *store, struct collection *collection,
                            struct entry *element, void *udata) {
    struct adding *adding = (struct adding *)udata;
    (void)store;
    (void)collection;
    struct contested_part compact;
    const struct contested_part *parts;
    unsigned count = element_parts(element, &compact, &parts);
    for (unsigned i = 0; i < count; i++) {
        if (is_in_doubt(adding, &parts[i])) {
            ask_or_add(adding, element, parts, count);
            return;
        }
    }
}

static bool seen_by_unit(const void *udata, uint64_t stamp) {
    return unit_has_seen((const struct amounts_unit *)udata, stamp);
}

/* Looks at what the writer may not have seen, or at all elements if it is not known what that is.
 */
static void look_at_collection(struct adding *adding, struct collection *collection) {
    struct store *store = adding->unit->store;
    struct buffer hashes = {0};
    if (!collection_find_unseen(collection, seen_by_unit, adding->unit, &hashes)) {
        collection_walk(store, collection, look_at_element, adding);
    }
    for (size_t i = 0; i < hashes.size; i += sizeof(uint64_t)) {
        uint64_t hash;
        memcpy(&hash, hashes.data + i, sizeof(hash));
        uint64_t *slot = collection_find_hash(store, collection, hash);
        if (slot != NULL) {
            look_at_element(store, collection, table_item(*slot), adding);
        }
    }
    buffer_deinit(&hashes);
}

static void look_at_delete(struct adding *adding, const struct change *change) {
    struct store *store = adding->unit->store;
    adding->change = change;
    if (store_has_seen(store, change)) {
        return;
    }
    for (struct collection *collection = key_collections(store, change->db, change->key);
         collection != NULL; collection = next_collection(collection)) {
        if (collection->may_have_parts) {
            adding->type = collection->type;
            look_at_collection(adding, collection);
            end_takes(adding);
            end_question(adding);
        }
    }
}

/* Who passed it on had asked, too: of these elements nothing is in doubt. */
static void note_given(struct adding *adding, const struct change *takes) {
    struct slice value = takes->value, name, list;
    enum value_type type;
    if (takes->type != VALUE_STRING) {
        place_of_key(&adding->place, takes->db, takes->key, takes->type, takes->element);
        amounts_put(&adding->unit->given, buffer_slice(&adding->place), value);
        return;
    }
    if (!change_element_takes_begin(&value, &type)) {
        return;
    }
    while (change_element_takes_next(&value, &name, &list)) {
        place_of_key(&adding->place, takes->db, takes->key, type, name);
        amounts_put(&adding->unit->given, buffer_slice(&adding->place), list);
    }
}

enum amounts_status amounts_add(struct amounts_unit *unit, struct slice bytes, struct buffer *out) {
    struct stream_record record;
    struct change_reader reader;
    struct change change;
    struct stream_mark mark;
    if (!stream_record_take(bytes, &record) ||
        !change_reader_init(&reader, record.batch, unit->author)) {
        return AMOUNTS_MALFORMED;
    }
    for (struct slice marks = record.marks; stream_mark_next(&marks, &mark);) {
        unsigned slot = replicas_find(&unit->store->replicas, mark.ref);
        uint64_t stamp = stamp_make(mark.ticks, slot);
        if (slot != 0 && stamp > unit->seen[slot]) {
            unit->seen[slot] = stamp;
        }
    }
    struct adding adding = {.unit = unit,
                            .out = out,
                            .record = &record,
                            .previous_ticks = record.previous_ticks,
                            .ticks = record.previous_ticks};
    adding.writer.is_on = true;
    while (change_reader_next(&reader, &change) == CHANGE_OK && !adding.is_malformed) {
        if (change_takes_elements(&change) ||
            (change.kind == CHANGE_TAKE && change.type != VALUE_STRING)) {
            /* Others at these ticks came by another node before: this one is passed over. */
            if (stamp_ticks(change.stamp) > unit->ticks) {
                note_given(&adding, &change);
            }
        } else if (change_is_untold(&change)) {
            look_at_delete(&adding, &change);
            amounts_deinit(&unit->given);
        }
        if (!adding.is_malformed) {
            put_change(&adding, &change);
        }
    }
    if (!adding.is_malformed) {
        hand_on(&adding, record.last_ticks);
        unit->ticks = record.last_ticks > unit->ticks ? record.last_ticks : unit->ticks;
    }
    enum amounts_status status = adding.is_malformed ? AMOUNTS_MALFORMED
                                 : adding.is_missing ? AMOUNTS_MISSING
                                 : adding.has_added  ? AMOUNTS_ADDED
                                                     : AMOUNTS_NONE;
    adding.writer.is_unit_open = false;
    change_writer_deinit(&adding.writer);
    buffer_deinit(&adding.takes);
    buffer_deinit(&adding.question);
    buffer_deinit(&adding.list);
    buffer_deinit(&adding.place);
    return status;
}

bool amounts_answered(struct amounts *answers, struct slice answer) {
    struct buffer place = {0};
    struct slice name, list;
    enum value_type type;
    uint64_t ref, ticks;
    if (!codec_take_u64(&answer, &ref) || !varint_take(&answer, &ticks) ||
        ticks > STAMP_TICKS_ACCEPTED_MAX || !change_element_takes_begin(&answer, &type)) {
        return false;
    }
    while (change_element_takes_next(&answer, &name, &list)) {
        struct slice rest = list;
        struct change_take take;
        while (change_take_next(&rest, &take)) {
        }
        if (rest.size > 0) {
            break;
        }
        place_of_delete(&place, ref, ticks, type, name);
        amounts_put(answers, buffer_slice(&place), list);
    }
    buffer_deinit(&place);
    return answer.size == 0;
}

/* ---- being asked ---- */

/* Appends what is taken off of all parts of an element. */
static void put_all_taken_off(const struct store *store, const struct entry *element,
                              struct buffer *list) {
    struct contested_part compact;
    const struct contested_part *parts;
    unsigned count = element_parts(element, &compact, &parts);
    for (unsigned i = 0; i < count; i++) {
        put_taken_off(store, list, &parts[i]);
    }
}

bool amounts_answer(const struct store *store, struct slice question, struct buffer *answer) {
    uint64_t ref, ticks, number;
    struct slice key, name;
    enum value_type type;
    if (question.size > QUESTION_BYTES_MAX + 2 * (size_t)CHANGE_KEY_BYTES_MAX ||
        !codec_take_u64(&question, &ref) || !varint_take(&question, &ticks) ||
        ticks > STAMP_TICKS_ACCEPTED_MAX || !varint_take(&question, &number) ||
        number >= store->dbs_count || !varint_take_slice(&question, &key) ||
        !change_element_takes_begin(&question, &type)) {
        return false;
    }
    unsigned slot = replicas_find(&store->replicas, ref);
    const struct retired_replica *retired = replicas_find_retired(&store->replicas, ref);
    bool is_known = slot != 0 ? context_covers(&store->context, stamp_make(ticks, slot))
                              : retired != NULL && ticks <= retired->ticks;
    struct collection *collection = key_collections(store, (unsigned)number, key);
    while (collection != NULL && collection->type != type) {
        collection = next_collection(collection);
    }
    size_t size = answer->size;
    if (is_known) {
        codec_put_u64(answer, ref);
        codec_put_varint(answer, ticks);
        buffer_append_byte(answer, (uint8_t)type);
    }
    struct buffer list = {0};
    bool is_sound = true;
    for (unsigned names = 0; question.size > 0 && is_sound; names++) {
        is_sound = names < QUESTION_NAMES_MAX && varint_take_slice(&question, &name);
        if (!is_sound) {
            break;
        }
        buffer_clear(&list);
        if (is_known && collection != NULL) {
            struct key place = collection_key(store, collection, 0, name);
            uint64_t *at = mutate_slot(store, &place);
            if (at != NULL) {
                put_all_taken_off(store, table_item(*at), &list);
            }
        }
        if (is_known) {
            change_element_takes_put(answer, name, buffer_slice(&list));
        }
    }
    buffer_deinit(&list);
    if (!is_sound) {
        answer->size = size;
    }
    return is_sound;
}

/* ---- one's own ---- */

struct taken_walk {
    amounts_each_fn each;
    void *udata;
    struct buffer list;
};

static void walk_element(struct store *store, struct collection *collection, struct entry *element,
                         void *udata) {
    struct taken_walk *walk = (struct taken_walk *)udata;
    buffer_clear(&walk->list);
    put_all_taken_off(store, element, &walk->list);
    if (walk->list.size > 0) {
        walk->each(walk->udata, collection->type, entry_key(element), buffer_slice(&walk->list));
    }
}

void amounts_walk(struct store *store, unsigned number, struct slice key, amounts_each_fn each,
                  void *udata) {
    struct taken_walk walk = {.each = each, .udata = udata};
    for (struct collection *collection = key_collections(store, number, key); collection != NULL;
         collection = next_collection(collection)) {
        if (collection->may_have_parts) {
            collection_walk(store, collection, walk_element, &walk);
        }
    }
    buffer_deinit(&walk.list);
}

struct remembering {
    struct amounts *amounts;
    const struct change *change;
    struct buffer place;
};

static void remember(void *udata, enum value_type type, struct slice name, struct slice list) {
    struct remembering *remembering = (struct remembering *)udata;
    place_of_key(&remembering->place, remembering->change->db, remembering->change->key, type,
                 name);
    amounts_put(remembering->amounts, buffer_slice(&remembering->place), list);
}

void amounts_remember(struct amounts *amounts, struct store *store,
                      const struct stream_record *record) {
    struct change_reader reader;
    struct change change;
    struct remembering remembering = {.amounts = amounts, .change = &change};
    if (!change_reader_init(&reader, record->batch, 1)) {
        return;
    }
    while (change_reader_next(&reader, &change) == CHANGE_OK) {
        if (change_is_untold(&change)) {
            amounts_walk(store, change.db, change.key, remember, &remembering);
        }
    }
    buffer_deinit(&remembering.place);
}
