/* SPDX-License-Identifier: BSD-3-Clause */
#include "crdt/xstream.h"

#include "base/check.h"
#include "base/codec.h"

enum { LABEL_END = 0x01, LABEL_ZERO = 0xFF };

/* The coded label of "". */
static const char EMPTY_LABEL[2] = {0, LABEL_END};

/* ---- ids ---- */

bool xstream_id_increment(struct xstream_id *id) {
    if (id->sequence == UINT64_MAX && id->ms == UINT64_MAX) {
        return false;
    }
    id->ms += id->sequence == UINT64_MAX;
    id->sequence++;
    return true;
}

bool xstream_id_decrement(struct xstream_id *id) {
    if (id->sequence == 0 && id->ms == 0) {
        return false;
    }
    id->ms -= id->sequence == 0;
    id->sequence--;
    return true;
}

bool xstream_id_next_in(struct xstream_id last, uint64_t ms, bool is_alone, uint64_t ref,
                        struct xstream_id *id) {
    uint64_t step = is_alone ? 1 : UINT64_C(1) << XSTREAM_REPLICA_BITS;
    uint64_t least = is_alone ? 0 : step | xstream_replica_bits(ref);
    require(ms >= last.ms);
    *id = (struct xstream_id){ms, least};
    if (ms > last.ms || least > last.sequence) {
        return true;
    }
    /* The least one above the last that has these low bits. */
    id->sequence = (last.sequence & ~(step - 1)) | (least & (step - 1));
    if (id->sequence > last.sequence) {
        return true;
    }
    id->sequence += step;
    return id->sequence > last.sequence;
}

bool xstream_id_next(struct xstream_id last, uint64_t ms, bool is_alone, uint64_t ref,
                     struct xstream_id *id) {
    ms = ms > last.ms ? ms : last.ms;
    return xstream_id_next_in(last, ms, is_alone, ref, id) ||
           (ms < UINT64_MAX && xstream_id_next_in(last, ms + 1, is_alone, ref, id));
}

/* ---- names ---- */

void xstream_name_begin(struct xstream_name *name, enum xstream_kind kind) {
    name->bytes[0] = (char)kind;
    name->size = 1;
}

static void add_big_endian(struct xstream_name *name, uint64_t number, unsigned bytes) {
    for (unsigned i = bytes; i > 0; i--) {
        name->bytes[name->size++] = (char)(number >> (8 * (i - 1)));
    }
}

void xstream_name_add_id(struct xstream_name *name, struct xstream_id id) {
    unsigned bytes = 0;
    require(name->size + XSTREAM_ID_BYTES_MAX <= sizeof(name->bytes));
    while (bytes < 8 && id.sequence >> (8 * bytes) != 0) {
        bytes++;
    }
    add_big_endian(name, id.ms, 8);
    name->bytes[name->size++] = (char)bytes;
    add_big_endian(name, id.sequence, bytes);
}

void xstream_name_add_ref(struct xstream_name *name, uint64_t ref) {
    add_big_endian(name, ref, 8);
}

void xstream_name_add_label(struct xstream_name *name, struct slice coded) {
    require(name->size + coded.size <= sizeof(name->bytes));
    if (coded.size > 0) {
        memcpy(name->bytes + name->size, coded.data, coded.size);
    }
    name->size += coded.size;
}

void xstream_name_pass(struct xstream_name *name) {
    /* What is passed ends with a kind or a label, whose last byte is far below 0xFF. */
    require((uint8_t)name->bytes[name->size - 1] < 0xFF);
    name->bytes[name->size - 1]++;
}

static uint64_t load_big_endian(const char *at, unsigned bytes) {
    uint64_t number = 0;
    for (unsigned i = 0; i < bytes; i++) {
        number = number << 8 | (uint8_t)at[i];
    }
    return number;
}

bool xstream_id_take(struct slice bytes, struct xstream_id *id) {
    if (bytes.size < 9 || (uint8_t)bytes.data[8] > 8 || bytes.size != 9U + (uint8_t)bytes.data[8] ||
        (bytes.size > 9 && bytes.data[9] == 0)) {
        return false;
    }
    id->ms = load_big_endian(bytes.data, 8);
    id->sequence = load_big_endian(bytes.data + 9, (unsigned)bytes.size - 9);
    return true;
}

/* Takes a label from the front, coded as it is. */
static bool take_label(struct slice *bytes, struct slice *coded) {
    for (size_t i = 0; i + 1 < bytes->size && i < XSTREAM_LABEL_BYTES_MAX + 1; i++) {
        if (bytes->data[i] != 0) {
            continue;
        }
        i++;
        if ((uint8_t)bytes->data[i] == LABEL_END) {
            *coded = slice_make(bytes->data, i + 1);
            *bytes = slice_skip(*bytes, i + 1);
            return true;
        }
        if ((uint8_t)bytes->data[i] != LABEL_ZERO) {
            return false;
        }
    }
    return false;
}

bool xstream_name_parse(struct slice name, struct xstream_name_parts *parts) {
    if (name.size == 0) {
        return false;
    }
    struct slice rest = slice_skip(name, 1);
    *parts = (struct xstream_name_parts){.kind = (enum xstream_kind)(uint8_t)name.data[0]};
    switch (parts->kind) {
    case XSTREAM_LAST:
    case XSTREAM_DELETED:
    case XSTREAM_TRIMMED:
    case XSTREAM_ENTRY:
        return xstream_id_take(rest, &parts->id);
    case XSTREAM_REMOVED:
        if (rest.size != 8) {
            return false;
        }
        parts->ref = load_big_endian(rest.data, 8);
        return true;
    case XSTREAM_GROUP:
    case XSTREAM_PENDING:
        return take_label(&rest, &parts->group) && xstream_id_take(rest, &parts->id);
    case XSTREAM_CONSUMER:
        return take_label(&rest, &parts->group) && take_label(&rest, &parts->consumer) &&
               rest.size == 0;
    }
    return false;
}

/* ---- labels ---- */

bool xstream_label_encode(struct slice text, struct xstream_label *label) {
    label->size = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (label->size + 1 + (text.data[i] == 0) > XSTREAM_LABEL_BYTES_MAX) {
            return false;
        }
        label->bytes[label->size++] = text.data[i];
        if (text.data[i] == 0) {
            label->bytes[label->size++] = (char)LABEL_ZERO;
        }
    }
    label->bytes[label->size++] = 0;
    label->bytes[label->size++] = LABEL_END;
    return true;
}

struct slice xstream_label_decode(struct slice coded, char *out) {
    size_t size = 0;
    require(coded.size >= 2);
    for (size_t i = 0; i < coded.size - 2; i++) {
        out[size++] = coded.data[i];
        i += coded.data[i] == 0;
    }
    return slice_make(out, size);
}

/* ---- values ---- */

size_t xstream_count_put(char *out, uint64_t count) {
    return varint_put(out, count);
}

uint64_t xstream_count_take(struct slice value) {
    uint64_t count;
    return varint_take(&value, &count) ? count : 0;
}

size_t xstream_consumer_put(char *out, const struct xstream_consumer *consumer) {
    size_t size = varint_put(out, consumer->seen_unix_ms);
    return size + varint_put(out + size, (uint64_t)consumer->active_unix_ms + 1);
}

/* A number that is also one with a sign; 0 for what is none. */
static uint64_t take_bounded(struct slice *value) {
    uint64_t number;
    return varint_take(value, &number) && number <= INT64_MAX ? number : 0;
}

void xstream_consumer_take(struct slice value, struct xstream_consumer *consumer) {
    consumer->seen_unix_ms = take_bounded(&value);
    consumer->active_unix_ms = (int64_t)take_bounded(&value) - 1;
}

size_t xstream_pending_put(char *out, const struct xstream_pending *pending) {
    size_t size = varint_put(out, pending->delivered_unix_ms);
    size += varint_put(out + size, pending->deliveries_count);
    memcpy(out + size, pending->consumer.data, pending->consumer.size);
    return size + pending->consumer.size;
}

void xstream_pending_take(struct slice value, struct xstream_pending *pending) {
    pending->delivered_unix_ms = take_bounded(&value);
    pending->deliveries_count = take_bounded(&value);
    if (!take_label(&value, &pending->consumer) || value.size > 0) {
        pending->consumer = slice_make(EMPTY_LABEL, sizeof(EMPTY_LABEL));
    }
}

uint64_t xstream_origin(struct xstream_id id, struct slice value) {
    uint64_t left, ref;
    struct slice part;
    if (!varint_take(&value, &left)) {
        return xstream_replica_bits(id.sequence);
    }
    while (left > 0 && varint_take_slice(&value, &part) && varint_take_slice(&value, &part)) {
        left--;
    }
    bool has_ref = left == 0 && value.size == XSTREAM_ORIGIN_BYTES && codec_take_u64(&value, &ref);
    return has_ref ? ref : xstream_replica_bits(id.sequence);
}

uint64_t xstream_fields_init(struct xstream_fields *fields, struct slice value) {
    struct slice name, text;
    uint64_t told = 0, count = 0;
    (void)varint_take(&value, &told);
    struct xstream_fields walk = {.rest = value, .left = told};
    fields->rest = value;
    while (xstream_fields_next(&walk, &name, &text)) {
        count++;
    }
    fields->left = count;
    return count;
}

bool xstream_fields_next(struct xstream_fields *fields, struct slice *name, struct slice *value) {
    if (fields->left == 0 || !varint_take_slice(&fields->rest, name) ||
        !varint_take_slice(&fields->rest, value)) {
        return false;
    }
    fields->left--;
    return true;
}
