/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/state_elements.h"

#include <math.h>

#include "crdt/hyperloglog.h"
#include "store/state_codec.h"
#include "store/state_collection.h"

enum element_tag {
    ELEMENT_END = 0,
    ELEMENT_BYTES,
    ELEMENT_LARGE,
    ELEMENT_NUMBER,
    ELEMENT_PATCH,
    ELEMENT_RAISE,
    ELEMENT_PART,
    ELEMENT_FLOAT_PART,
    ELEMENT_EXPIRY,
    ELEMENT_MORE,
    ELEMENT_ABOUT,
    ELEMENT_END_COLLECTIONS = 14, /* and collections follow */
    ELEMENT_GOES_ON = 15,
};

enum {
    ELEMENT_FIXED_BYTES_MAX = 200,
    ABOUT_EDITS_ARE_IN_PLACE = 1,
};

/* ---- writing ---- */

/* Begins an element that ends with `size` bytes; where it would make the piece too long, a new one.
 */
static void put_head(struct state_elements_writer *writer, enum element_tag tag, uint64_t stamp,
                     size_t size) {
    size_t used = writer->out->size - writer->piece_offset;
    if (writer->has_elements &&
        used + size + ELEMENT_FIXED_BYTES_MAX > CHANGE_VALUE_BYTES_MAX + (1 << 20)) {
        buffer_append_byte(writer->out, ELEMENT_GOES_ON);
        writer->next_piece(writer);
    }
    writer->has_elements = true;
    buffer_append_byte(writer->out, (uint8_t)tag);
    codec_put_u64(writer->out, stamp);
}

static void put_large(struct state_elements_writer *writer, const struct contested_register *reg) {
    struct slice rest = slice_make(reg->large->bytes, reg->large->size);
    for (bool is_first = true; is_first || rest.size > 0; is_first = false) {
        size_t size = rest.size < CHANGE_VALUE_BYTES_MAX ? rest.size : CHANGE_VALUE_BYTES_MAX;
        put_head(writer, is_first ? ELEMENT_LARGE : ELEMENT_MORE, reg->stamp, size);
        codec_put_varint(writer->out,
                         is_first ? rest.size : (uint64_t)(rest.data - reg->large->bytes));
        codec_put_slice(writer->out, slice_make(rest.data, size));
        rest = slice_skip(rest, size);
    }
}

static void put_register(struct state_elements_writer *writer,
                         const struct contested_register *reg) {
    switch (reg->form) {
    case CONTESTED_BYTES:
        put_head(writer, ELEMENT_BYTES, reg->stamp, reg->size);
        codec_put_slice(writer->out, slice_make(reg->bytes, reg->size));
        break;
    case CONTESTED_LARGE:
        put_large(writer, reg);
        break;
    case CONTESTED_NUMBER:
        put_head(writer, ELEMENT_NUMBER, reg->stamp, 0);
        state_put_float(writer->out, reg->number);
        break;
    }
}

static void put_edit(struct state_elements_writer *writer, const struct contested_edit *edit) {
    put_head(writer, edit->is_raise ? ELEMENT_RAISE : ELEMENT_PATCH, edit->stamp, edit->size);
    if (!edit->is_raise) {
        codec_put_varint(writer->out, edit->offset);
    }
    codec_put_slice(writer->out, slice_make(edit->bytes, edit->size));
}

static void put_part(struct state_elements_writer *writer, const struct contested_part *part) {
    put_head(writer, part->is_float ? ELEMENT_FLOAT_PART : ELEMENT_PART, part->stamp, 0);
    codec_put_varint(writer->out, part->start_ticks);
    if (part->is_float) {
        state_put_float(writer->out, part->float_total);
        state_put_float(writer->out, part->float_off);
    } else {
        codec_put_varint(writer->out, varint_zigzag(part->total));
        codec_put_varint(writer->out, varint_zigzag(part->off));
    }
    codec_put_u64(writer->out, part->off_seen);
    codec_put_u64(writer->out, part->off_by);
}

void state_elements_put(struct state_elements_writer *writer, const struct contested *contested) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        put_register(writer, &contested->registers[i]);
    }
    for (unsigned i = 0; i < contested->edits_count; i++) {
        put_edit(writer, &contested->edits[i]);
    }
    for (unsigned i = 0; i < contested->parts_count; i++) {
        put_part(writer, &contested->parts[i]);
    }
    for (unsigned i = 0; i < contested->expiries_count; i++) {
        put_head(writer, ELEMENT_EXPIRY, contested->expiries[i].stamp, 0);
        codec_put_varint(writer->out, contested->expiries[i].unix_ms);
    }
    put_head(writer, ELEMENT_ABOUT, stamp_make(contested->horizon_ticks, STAMP_SLOT_SETTLED), 0);
    codec_put_varint(writer->out, contested->edits_are_in_place ? ABOUT_EDITS_ARE_IN_PLACE : 0);
    buffer_append_byte(writer->out, state_filled_collection(contested->collections) != NULL
                                        ? ELEMENT_END_COLLECTIONS
                                        : ELEMENT_END);
}

/* ---- reading ---- */

struct element_reader {
    const struct store *store;
    const uint16_t *slots;
    struct slice rest;
    struct contested *contested; /* NULL: look only */
    uint64_t stamp;              /* of the element */
};

/* Would a register (or edit) with this stamp be the last one? So they are in order, each once. */
static bool comes_last(const struct element_reader *reader, bool is_edit) {
    const struct contested *contested = reader->contested;
    unsigned count = is_edit ? contested->edits_count : contested->registers_count;
    if (count == 0) {
        return true;
    }
    uint64_t last =
        is_edit ? contested->edits[count - 1].stamp : contested->registers[count - 1].stamp;
    return replicas_compare_stamps(&reader->store->replicas, reader->stamp, last) > 0;
}

static enum store_status take_bytes(struct element_reader *reader) {
    struct slice value;
    if (!varint_take_slice(&reader->rest, &value) || value.size > ENTRY_INLINE_VALUE_BYTES_MAX) {
        return STORE_MALFORMED;
    }
    if (reader->contested == NULL) {
        return STORE_OK;
    }
    if (!comes_last(reader, false)) {
        return STORE_MALFORMED;
    }
    return contested_add_register(reader->store, reader->contested, reader->stamp, value)
               ? STORE_OK
               : STORE_OUT_OF_MEMORY;
}

static enum store_status take_large(struct element_reader *reader) {
    uint64_t size;
    struct slice first;
    if (!varint_take(&reader->rest, &size) || size > CHANGE_STRING_BYTES_MAX ||
        !varint_take_slice(&reader->rest, &first) || first.size > size) {
        return STORE_MALFORMED;
    }
    if (reader->contested == NULL) {
        return STORE_OK;
    }
    if (!comes_last(reader, false)) {
        return STORE_MALFORMED;
    }
    /* Zeros: a size that lies costs no memory until it is written to. */
    struct large_string *large = large_string_new_zero(size);
    if (large == NULL) {
        return STORE_OUT_OF_MEMORY;
    }
    if (first.size > 0) {
        memcpy(large->bytes, first.data, first.size);
    }
    contested_add_large(reader->store, reader->contested, reader->stamp, large);
    return STORE_OK;
}

static enum store_status take_more(struct element_reader *reader) {
    uint64_t offset;
    struct slice bytes;
    if (!varint_take(&reader->rest, &offset) || !varint_take_slice(&reader->rest, &bytes)) {
        return STORE_MALFORMED;
    }
    for (unsigned i = 0; reader->contested != NULL && i < reader->contested->registers_count; i++) {
        const struct contested_register *reg = &reader->contested->registers[i];
        if (reg->stamp == reader->stamp && reg->form == CONTESTED_LARGE &&
            offset <= reg->large->size && bytes.size <= reg->large->size - offset) {
            if (bytes.size > 0) {
                memcpy(reg->large->bytes + offset, bytes.data, bytes.size);
            }
            return STORE_OK;
        }
    }
    return reader->contested == NULL ? STORE_OK : STORE_MALFORMED;
}

static enum store_status take_number(struct element_reader *reader) {
    long double number;
    if (!state_take_float(&reader->rest, &number)) {
        return STORE_MALFORMED;
    }
    if (reader->contested != NULL) {
        if (!comes_last(reader, false)) {
            return STORE_MALFORMED;
        }
        contested_add_number(reader->store, reader->contested, reader->stamp, number);
    }
    return STORE_OK;
}

static enum store_status take_edit(struct element_reader *reader, bool is_raise) {
    struct contested_edit edit = {.stamp = reader->stamp, .is_raise = is_raise};
    struct slice bytes;
    if ((!is_raise &&
         (!varint_take(&reader->rest, &edit.offset) || edit.offset > CHANGE_STRING_BYTES_MAX)) ||
        !varint_take_slice(&reader->rest, &bytes) || bytes.size > CHANGE_VALUE_BYTES_MAX ||
        (is_raise && !hyperloglog_pairs_are_sound(bytes))) {
        return STORE_MALFORMED;
    }
    if (reader->contested == NULL) {
        return STORE_OK;
    }
    if (!comes_last(reader, true)) {
        return STORE_MALFORMED;
    }
    edit.size = bytes.size;
    edit.bytes = (char *)bytes.data; /* copied */
    return contested_add_edit(reader->store, reader->contested, &edit) ? STORE_OK
                                                                       : STORE_OUT_OF_MEMORY;
}

static bool take_totals(struct slice *rest, struct contested_part *part) {
    if (part->is_float) {
        return state_take_float(rest, &part->float_total) &&
               state_take_float(rest, &part->float_off) && !isnan(part->float_total) &&
               !isnan(part->float_off);
    }
    uint64_t total, off;
    if (!varint_take(rest, &total) || !varint_take(rest, &off)) {
        return false;
    }
    part->total = varint_unzigzag(total);
    part->off = varint_unzigzag(off);
    return true;
}

/* I2 of contested.h. */
static bool part_is_sound(const struct contested_part *part) {
    if (stamp_slot(part->stamp) == STAMP_SLOT_SETTLED ||
        part->start_ticks > stamp_ticks(part->stamp) || part->off_seen > part->stamp) {
        return false;
    }
    if (part->off_seen == 0) {
        return part->off == 0 && part->float_off == 0 && part->off_by == 0;
    }
    return stamp_slot(part->off_seen) == stamp_slot(part->stamp) &&
           (part->off_seen < part->stamp ||
            (part->off == part->total && part->float_off == part->float_total));
}

static enum store_status take_part(struct element_reader *reader, bool is_float) {
    struct contested_part part = {.stamp = reader->stamp, .is_float = is_float};
    if (!varint_take(&reader->rest, &part.start_ticks) || !take_totals(&reader->rest, &part) ||
        !state_take_stamp(&reader->rest, reader->slots, &part.off_seen) ||
        !state_take_stamp(&reader->rest, reader->slots, &part.off_by) || !part_is_sound(&part)) {
        return STORE_MALFORMED;
    }
    if (reader->contested != NULL) {
        unsigned slot = stamp_slot(part.stamp);
        if (contested_find_part(reader->contested, slot) != NULL) {
            return STORE_MALFORMED;
        }
        *contested_need_part(reader->store, reader->contested, slot) = part;
    }
    return STORE_OK;
}

static enum store_status take_expiry(struct element_reader *reader) {
    uint64_t unix_ms;
    if (!varint_take(&reader->rest, &unix_ms)) {
        return STORE_MALFORMED;
    }
    struct contested *contested = reader->contested;
    if (contested != NULL) {
        for (unsigned i = 0; i < contested->expiries_count; i++) {
            if (contested->expiries[i].stamp == reader->stamp) {
                return STORE_MALFORMED;
            }
        }
        contested_add_expiry(contested, reader->stamp, unix_ms);
    }
    return STORE_OK;
}

/* Can the edits be in the bytes of the shown register? */
static bool edits_fit_in_place(const struct contested *contested) {
    const struct contested_register *top = contested_top(contested);
    if (top == NULL || top->form != CONTESTED_LARGE || contested->edits_count == 0) {
        return false;
    }
    for (unsigned i = 0; i < contested->edits_count; i++) {
        const struct contested_edit *edit = &contested->edits[i];
        if (edit->is_raise || edit->offset + edit->size > top->large->size) {
            return false;
        }
    }
    return true;
}

static enum store_status take_about(struct element_reader *reader) {
    uint64_t flags;
    if (!varint_take(&reader->rest, &flags) || flags > ABOUT_EDITS_ARE_IN_PLACE) {
        return STORE_MALFORMED;
    }
    struct contested *contested = reader->contested;
    if (contested != NULL) {
        contested->horizon_ticks = stamp_ticks(reader->stamp);
        if ((flags & ABOUT_EDITS_ARE_IN_PLACE) != 0) {
            if (!edits_fit_in_place(contested)) {
                return STORE_MALFORMED;
            }
            contested->edits_are_in_place = true;
        }
    }
    return STORE_OK;
}

static enum store_status take_element(struct element_reader *reader, uint8_t tag) {
    if (!state_take_stamp(&reader->rest, reader->slots, &reader->stamp)) {
        return STORE_MALFORMED;
    }
    switch (tag) {
    case ELEMENT_BYTES:
        return take_bytes(reader);
    case ELEMENT_LARGE:
        return take_large(reader);
    case ELEMENT_NUMBER:
        return take_number(reader);
    case ELEMENT_PATCH:
    case ELEMENT_RAISE:
        return take_edit(reader, tag == ELEMENT_RAISE);
    case ELEMENT_PART:
    case ELEMENT_FLOAT_PART:
        return take_part(reader, tag == ELEMENT_FLOAT_PART);
    case ELEMENT_EXPIRY:
        return take_expiry(reader);
    case ELEMENT_MORE:
        return take_more(reader);
    case ELEMENT_ABOUT:
        return take_about(reader);
    default:
        return STORE_MALFORMED;
    }
}

enum store_status state_elements_take(const struct store *store, const uint16_t *slots,
                                      struct slice *bytes, struct contested *contested,
                                      enum state_elements_end *end) {
    *end = STATE_ELEMENTS_END;
    struct element_reader reader = {
        .store = store, .slots = slots, .rest = *bytes, .contested = contested};
    while (reader.rest.size > 0) {
        uint8_t tag = (uint8_t)reader.rest.data[0];
        reader.rest = slice_skip(reader.rest, 1);
        if (tag == ELEMENT_END || tag == ELEMENT_GOES_ON || tag == ELEMENT_END_COLLECTIONS) {
            *end = tag == ELEMENT_GOES_ON ? STATE_ELEMENTS_GO_ON
                   : tag == ELEMENT_END   ? STATE_ELEMENTS_END
                                          : STATE_ELEMENTS_BATCH;
            *bytes = reader.rest;
            return STORE_OK;
        }
        enum store_status status = take_element(&reader, tag);
        if (status != STORE_OK) {
            return status;
        }
    }
    return STORE_MALFORMED;
}
