/* SPDX-License-Identifier: BSD-3-Clause */
/* Bit commands: strings read as bits, the highest bit of the first byte being bit 0.
 *
 * Writes say only which bytes they change (strings_patch), so one bit of a long bitmap is a few
 * bytes of work and of record. Reads go by words of 64 bits. */
#include "base/memory.h"
#include "commands/command.h"

#define BITMAP_BAD_OFFSET "ERR bit offset is not an integer or out of range"
#define BITMAP_BAD_BIT "ERR bit is not an integer or out of range"

/* ---- bits and words ---- */

static inline uint64_t load_word(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* How many bits of the word are 1: sums of pairs, then of fours, then of bytes. */
static inline unsigned count_word(uint64_t word) {
    word -= word >> 1 & UINT64_C(0x5555555555555555);
    word = (word & UINT64_C(0x3333333333333333)) + (word >> 2 & UINT64_C(0x3333333333333333));
    word = (word + (word >> 4)) & UINT64_C(0x0F0F0F0F0F0F0F0F);
    return (unsigned)(word * UINT64_C(0x0101010101010101) >> 56);
}

static uint64_t count_bytes_portable(const uint8_t *at, size_t size) {
    uint64_t count = 0;
    for (; size >= 8; at += 8, size -= 8) {
        count += count_word(load_word(at));
    }
    for (; size > 0; at++, size--) {
        count += count_word(*at);
    }
    return count;
}

#ifdef __x86_64__
/* By the instruction, which not every processor of the family has. */
__attribute__((target("popcnt"))) static uint64_t count_bytes_popcnt(const uint8_t *at,
                                                                     size_t size) {
    uint64_t counts[4] = {0};
    for (; size >= 32; at += 32, size -= 32) {
        /* Four sums, so that no addition waits for another. */
        counts[0] += (uint64_t)__builtin_popcountll(load_word(at));
        counts[1] += (uint64_t)__builtin_popcountll(load_word(at + 8));
        counts[2] += (uint64_t)__builtin_popcountll(load_word(at + 16));
        counts[3] += (uint64_t)__builtin_popcountll(load_word(at + 24));
    }
    return counts[0] + counts[1] + counts[2] + counts[3] + count_bytes_portable(at, size);
}
#endif

/* How many bits of these bytes are 1. */
static uint64_t count_bytes(const uint8_t *at, size_t size) {
#ifdef __x86_64__
    if (__builtin_cpu_supports("popcnt")) {
        return count_bytes_popcnt(at, size);
    }
#endif
    return count_bytes_portable(at, size);
}

/* A run of bits; both ends belong to it. */
struct bit_range {
    uint64_t first, last;
};

static uint64_t count_bits(const uint8_t *bits, struct bit_range range) {
    uint64_t first_byte = range.first / 8, last_byte = range.last / 8;
    uint64_t count = count_bytes(bits + first_byte, last_byte - first_byte + 1);
    unsigned before = bits[first_byte] & ~(0xFFU >> range.first % 8) & 0xFF;
    unsigned after = bits[last_byte] & (0x7FU >> range.last % 8);
    return count - count_word(before) - count_word(after);
}

/* The first bit of the range that is `bit`, or -1. */
static int64_t find_bit(const uint8_t *bits, struct bit_range range, bool bit) {
    const uint64_t skipped = bit ? 0 : UINT64_MAX;
    uint64_t at = range.first / 8, end = range.last / 8 + 1;
    unsigned found = (bits[at] ^ (unsigned)(skipped & 0xFF)) & (0xFFU >> range.first % 8);
    if (found == 0) {
        at++;
        while (end - at >= 32 &&
               ((load_word(bits + at) ^ skipped) | (load_word(bits + at + 8) ^ skipped) |
                (load_word(bits + at + 16) ^ skipped) | (load_word(bits + at + 24) ^ skipped)) ==
                   0) {
            at += 32;
        }
        while (end - at >= 8 && load_word(bits + at) == skipped) {
            at += 8;
        }
        while (at < end && bits[at] == (uint8_t)skipped) {
            at++;
        }
        if (at == end) {
            return -1;
        }
        found = bits[at] ^ (unsigned)(skipped & 0xFF);
    }
    uint64_t position = at * 8 + (uint64_t)__builtin_clz(found) - (sizeof(found) * 8 - 8);
    return position <= range.last ? (int64_t)position : -1;
}

/* ---- arguments ---- */

/* Reads argument `index` as a bit offset; with `bits` above 0 also "#n", the nth field of that
 * width. Writes the error and returns false for one that no string can have. */
static bool read_offset(struct command_context *ctx, size_t index, unsigned bits,
                        uint64_t *offset) {
    struct slice text = ctx->args[index];
    bool is_field = bits > 0 && text.size > 0 && text.data[0] == '#';
    int64_t number;
    if (!number_parse_integer(is_field ? slice_skip(text, 1) : text, &number) || number < 0 ||
        __builtin_mul_overflow(number, is_field ? (int64_t)bits : 1, &number) ||
        (uint64_t)number / 8 >= ctx->limits->value_bytes_max) {
        reply_error(ctx->reply, BITMAP_BAD_OFFSET);
        return false;
    }
    *offset = (uint64_t)number;
    return true;
}

/* The optional start, end and unit of BITCOUNT and BITPOS, as they were written. */
struct bounds {
    int64_t start, end;
    bool has_end;
    bool by_bit;
};

static bool read_unit(struct command_context *ctx, size_t index, struct bounds *bounds) {
    bounds->by_bit = command_word(ctx, index, "bit");
    if (!bounds->by_bit && !command_word(ctx, index, "byte")) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return false;
    }
    return true;
}

/* Reads the bounds that begin at argument `index`; false, with the error written, if they are
 * none. Of several mistakes the first that is looked at is told: BITPOS looks at the unit before
 * the end, BITCOUNT after it. */
static bool read_bounds(struct command_context *ctx, size_t index, bool unit_before_end,
                        struct bounds *bounds) {
    *bounds = (struct bounds){.start = 0, .end = -1};
    if (ctx->args_count > index + 3) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return false;
    }
    if (ctx->args_count > index && !command_integer(ctx, index, &bounds->start, NULL)) {
        return false;
    }
    bool has_unit = ctx->args_count > index + 2;
    bounds->has_end = ctx->args_count > index + 1;
    if (has_unit && unit_before_end && !read_unit(ctx, index + 2, bounds)) {
        return false;
    }
    if (bounds->has_end && !command_integer(ctx, index + 1, &bounds->end, NULL)) {
        return false;
    }
    return !has_unit || unit_before_end || read_unit(ctx, index + 2, bounds);
}

/* The bits that the bounds mean in a string of `size` bytes; false when there are none. */
static bool resolve_bounds(const struct bounds *bounds, size_t size, struct bit_range *range) {
    int64_t count = (int64_t)(bounds->by_bit ? size * 8 : size);
    int64_t start = bounds->start < 0 ? bounds->start + count : bounds->start;
    int64_t end = bounds->end < 0 ? bounds->end + count : bounds->end;
    start = start < 0 ? 0 : start;
    end = end < 0 ? 0 : end;
    end = end >= count ? count - 1 : end;
    if (start > end) {
        return false;
    }
    range->first = (uint64_t)start * (bounds->by_bit ? 1 : 8);
    range->last = bounds->by_bit ? (uint64_t)end : (uint64_t)end * 8 + 7;
    return true;
}

/* ---- SETBIT, GETBIT ---- */

/* SETBIT key offset value */
static void cmd_setbit(struct command_context *ctx) {
    uint64_t offset;
    int64_t bit;
    if (!read_offset(ctx, 2, 0, &offset) || !command_integer(ctx, 3, &bit, BITMAP_BAD_BIT)) {
        return;
    }
    if (bit != 0 && bit != 1) {
        reply_error(ctx->reply, BITMAP_BAD_BIT);
        return;
    }
    struct key key = command_key(ctx, 1);
    const struct entry *entry = store_peek_to_write(ctx->store, &key);
    struct slice value = {0};
    struct entry_scratch scratch;
    if (entry != NULL) {
        if (!command_is_string(entry)) {
            command_reply_status(ctx, STORE_WRONG_TYPE);
            return;
        }
        value = entry_value(entry, &scratch);
    }
    uint64_t at = offset / 8;
    uint8_t byte = at < value.size ? (uint8_t)value.data[at] : 0;
    uint8_t mask = (uint8_t)(0x80 >> offset % 8);
    bool old_bit = (byte & mask) != 0;
    if (at >= value.size || old_bit != (bit == 1)) {
        byte = bit == 1 ? byte | mask : byte & (uint8_t)~mask;
        enum store_status status = strings_patch(ctx->store, &key, at, slice_make(&byte, 1), NULL);
        if (status != STORE_OK) {
            command_reply_status(ctx, status);
            return;
        }
        store_notify(ctx->store, NOTIFY_STRING, "setbit", &key);
    }
    reply_integer(ctx->reply, old_bit);
}

/* GETBIT key offset */
static void cmd_getbit(struct command_context *ctx) {
    uint64_t offset;
    if (!read_offset(ctx, 2, 0, &offset)) {
        return;
    }
    struct entry_scratch scratch;
    struct slice value = {0};
    enum store_status status = command_read_string(ctx, 1, &scratch, &value);
    if (status != STORE_OK && status != STORE_ABSENT) {
        command_reply_status(ctx, status);
        return;
    }
    bool has_byte = status == STORE_OK && offset / 8 < value.size;
    reply_integer(ctx->reply, has_byte && ((uint8_t)value.data[offset / 8] & 0x80 >> offset % 8));
}

/* ---- BITCOUNT, BITPOS ---- */

/* BITCOUNT key [start end [BYTE | BIT]] */
static void cmd_bitcount(struct command_context *ctx) {
    struct bounds bounds;
    if (ctx->args_count == 3) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    if (!read_bounds(ctx, 2, false, &bounds)) {
        return;
    }
    struct entry_scratch scratch;
    struct slice value = {0};
    enum store_status status = command_read_string(ctx, 1, &scratch, &value);
    if (status != STORE_OK && status != STORE_ABSENT) {
        command_reply_status(ctx, status);
        return;
    }
    struct bit_range range;
    /* Two negative bounds in the wrong order never meet, not even cut to the first byte. */
    bool is_reversed = bounds.start < 0 && bounds.end < 0 && bounds.start > bounds.end;
    uint64_t count = 0;
    if (!is_reversed && resolve_bounds(&bounds, value.size, &range)) {
        count = count_bits((const uint8_t *)value.data, range);
    }
    reply_integer(ctx->reply, (int64_t)count);
}

/* BITPOS key bit [start [end [BYTE | BIT]]] */
static void cmd_bitpos(struct command_context *ctx) {
    int64_t bit;
    struct bounds bounds;
    if (!command_integer(ctx, 2, &bit, NULL)) {
        return;
    }
    if (bit != 0 && bit != 1) {
        reply_error(ctx->reply, "ERR The bit argument must be 1 or 0.");
        return;
    }
    if (!read_bounds(ctx, 3, true, &bounds)) {
        return;
    }
    struct entry_scratch scratch;
    struct slice value = {0};
    enum store_status status = command_read_string(ctx, 1, &scratch, &value);
    if (status == STORE_ABSENT) {
        /* An absent key is zeros without end. */
        reply_integer(ctx->reply, bit == 1 ? -1 : 0);
        return;
    }
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    struct bit_range range;
    int64_t position = -1;
    if (resolve_bounds(&bounds, value.size, &range)) {
        position = find_bit((const uint8_t *)value.data, range, bit == 1);
        if (position < 0 && bit == 0 && !bounds.has_end) {
            position = (int64_t)(value.size * 8); /* the zeros behind the string */
        }
    }
    reply_integer(ctx->reply, position);
}

/* ---- BITOP ---- */

enum bit_operation { BITOP_AND, BITOP_OR, BITOP_XOR, BITOP_NOT };

/* As many bytes as any processor that we know combines at once. */
typedef uint64_t words __attribute__((vector_size(16)));

static inline __attribute__((always_inline)) words combine(enum bit_operation operation, words a,
                                                           words b) {
    switch (operation) {
    case BITOP_AND:
        return a & b;
    case BITOP_OR:
        return a | b;
    case BITOP_XOR:
        return a ^ b;
    case BITOP_NOT:
        break;
    }
    return ~b;
}

/* Combines `size` bytes of `target` with those of `source`; NOT takes the source's alone. */
static inline __attribute__((always_inline)) void
combine_bytes(enum bit_operation operation, uint8_t *target, const uint8_t *source, size_t size) {
    words a = {0}, b = {0};
    size_t i = 0;
    for (; size - i >= sizeof(a); i += sizeof(a)) {
        memcpy(&a, target + i, sizeof(a));
        memcpy(&b, source + i, sizeof(b));
        a = combine(operation, a, b);
        memcpy(target + i, &a, sizeof(a));
    }
    if (i < size) {
        memcpy(&a, target + i, size - i);
        memcpy(&b, source + i, size - i);
        a = combine(operation, a, b);
        memcpy(target + i, &a, size - i);
    }
}

/* Folds a source into the result so far; beyond its end the source is zeros. */
static void fold_source(enum bit_operation operation, uint8_t *result, size_t result_size,
                        struct slice source) {
    const uint8_t *bytes = (const uint8_t *)source.data;
    switch (operation) {
    case BITOP_AND:
        combine_bytes(BITOP_AND, result, bytes, source.size);
        memset(result + source.size, 0, result_size - source.size);
        return;
    case BITOP_OR:
        combine_bytes(BITOP_OR, result, bytes, source.size);
        return;
    case BITOP_XOR:
        combine_bytes(BITOP_XOR, result, bytes, source.size);
        return;
    case BITOP_NOT:
        combine_bytes(BITOP_NOT, result, bytes, source.size);
        return;
    }
}

static bool read_operation(struct command_context *ctx, enum bit_operation *operation) {
    static const char *const names[] = {"and", "or", "xor", "not"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (command_word(ctx, 1, names[i])) {
            *operation = (enum bit_operation)i;
            if (*operation == BITOP_NOT && ctx->args_count != 4) {
                reply_error(ctx->reply, "ERR BITOP NOT must be called with a single source key.");
                return false;
            }
            return true;
        }
    }
    reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
    return false;
}

/* The longest source; false, with the error written, when one is no string. */
static bool measure_sources(struct command_context *ctx, size_t *size) {
    *size = 0;
    for (size_t i = 3; i < ctx->args_count; i++) {
        struct entry_scratch scratch;
        struct slice value = {0};
        enum store_status status = command_read_string(ctx, i, &scratch, &value);
        if (status != STORE_OK && status != STORE_ABSENT) {
            command_reply_status(ctx, status);
            return false;
        }
        *size = value.size > *size ? value.size : *size;
    }
    return true;
}

/* BITOP operation destkey key [key ...] */
static void cmd_bitop(struct command_context *ctx) {
    enum bit_operation operation;
    size_t size;
    if (!read_operation(ctx, &operation) || !measure_sources(ctx, &size)) {
        return;
    }
    struct key target = command_key(ctx, 2);
    if (size == 0) {
        if (store_delete(ctx->store, &target)) {
            store_notify(ctx->store, NOTIFY_GENERIC, "del", &target);
        }
        reply_integer(ctx->reply, 0);
        return;
    }
    uint8_t *result = memory_try_alloc(size);
    if (result == NULL) {
        command_reply_status(ctx, STORE_OUT_OF_MEMORY);
        return;
    }
    for (size_t i = 3; i < ctx->args_count; i++) {
        struct key key = command_key(ctx, i);
        const struct entry *entry = store_peek(ctx->store, &key);
        struct entry_scratch scratch;
        struct slice value = entry != NULL ? entry_value(entry, &scratch) : slice_make("", 0);
        if (i > 3 || operation == BITOP_NOT) {
            fold_source(operation, result, size, value);
        } else {
            memcpy(result, value.data, value.size);
            memset(result + value.size, 0, size - value.size);
        }
    }
    enum store_status status = strings_set(ctx->store, &target, slice_make(result, size), 0);
    memory_free(result);
    if (status == STORE_OK) {
        store_notify(ctx->store, NOTIFY_STRING, "set", &target);
        reply_integer(ctx->reply, (int64_t)size);
    } else {
        command_reply_status(ctx, status);
    }
}

/* ---- BITFIELD ---- */

enum field_kind { FIELD_GET, FIELD_SET, FIELD_ADD };
enum overflow_rule { OVERFLOW_WRAP, OVERFLOW_SATURATE, OVERFLOW_FAIL };

/* One operation on a field of up to 64 bits. */
struct field_operation {
    enum field_kind kind;
    enum overflow_rule rule;
    bool is_signed;
    unsigned bits;
    uint64_t offset; /* of the field's first bit */
    int64_t operand;
};

/* Reads a type such as i16 or u63. */
static bool read_field_type(struct command_context *ctx, size_t index,
                            struct field_operation *operation) {
    struct slice text = ctx->args[index];
    int64_t bits = 0;
    bool is_signed = text.size > 0 && text.data[0] == 'i';
    bool is_unsigned = text.size > 0 && text.data[0] == 'u';
    if ((!is_signed && !is_unsigned) || !number_parse_integer(slice_skip(text, 1), &bits) ||
        bits < 1 || bits > (is_signed ? 64 : 63)) {
        reply_error(ctx->reply, "ERR Invalid bitfield type. Use something like i16 u8. Note that "
                                "u64 is not supported but i64 is.");
        return false;
    }
    operation->is_signed = is_signed;
    operation->bits = (unsigned)bits;
    return true;
}

/* Goes through the operations in order: reads what begins at argument `*index` and moves on.
 * `*rule` is the overflow rule that holds from here. False, the error written, when it is none. */
static bool read_field_operation(struct command_context *ctx, size_t *index,
                                 enum overflow_rule *rule, struct field_operation *operation,
                                 bool *is_rule) {
    size_t at = *index, left = ctx->args_count - at - 1;
    *is_rule = command_word(ctx, at, "overflow") && left >= 1;
    if (*is_rule) {
        if (command_word(ctx, at + 1, "wrap")) {
            *rule = OVERFLOW_WRAP;
        } else if (command_word(ctx, at + 1, "sat")) {
            *rule = OVERFLOW_SATURATE;
        } else if (command_word(ctx, at + 1, "fail")) {
            *rule = OVERFLOW_FAIL;
        } else {
            reply_error(ctx->reply, "ERR Invalid OVERFLOW type specified");
            return false;
        }
        *index += 2;
        return true;
    }
    *operation = (struct field_operation){.rule = *rule};
    if (command_word(ctx, at, "get") && left >= 2) {
        operation->kind = FIELD_GET;
    } else if (command_word(ctx, at, "set") && left >= 3) {
        operation->kind = FIELD_SET;
    } else if (command_word(ctx, at, "incrby") && left >= 3) {
        operation->kind = FIELD_ADD;
    } else {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return false;
    }
    if (!read_field_type(ctx, at + 1, operation) ||
        !read_offset(ctx, at + 2, operation->bits, &operation->offset)) {
        return false;
    }
    *index += 3;
    if (operation->kind != FIELD_GET) {
        *index += 1;
        return command_integer(ctx, at + 3, &operation->operand, NULL);
    }
    return true;
}

/* What the operations are as a whole; reading it first means that a wrong one changes nothing. */
struct field_survey {
    size_t operations_count;
    size_t bytes_needed; /* length of a string that all writes fit in */
    bool has_writes;
};

static bool survey_fields(struct command_context *ctx, struct field_survey *survey) {
    *survey = (struct field_survey){0};
    enum overflow_rule rule = OVERFLOW_WRAP;
    for (size_t index = 2; index < ctx->args_count;) {
        struct field_operation operation;
        bool is_rule;
        if (!read_field_operation(ctx, &index, &rule, &operation, &is_rule)) {
            return false;
        }
        if (is_rule) {
            continue;
        }
        survey->operations_count++;
        if (operation.kind != FIELD_GET) {
            size_t needed = (size_t)((operation.offset + operation.bits + 7) / 8);
            survey->has_writes = true;
            survey->bytes_needed = needed > survey->bytes_needed ? needed : survey->bytes_needed;
        }
    }
    return true;
}

/* The bytes around the fields at work. Neighbouring writes share one patch, distant ones do not,
 * and no more than this is ever copied. */
enum { WINDOW_BYTES = 256 };
struct window {
    struct key key;
    bool is_loaded;
    size_t value_size;      /* of the whole string */
    uint64_t start;         /* offset of bytes[0] in it */
    uint64_t written_first; /* bytes that writes touched, as far as there are any */
    uint64_t written_end;
    bool has_changed;
    bool has_written; /* ever: some write that its overflow rule let pass */
    uint8_t bytes[WINDOW_BYTES];
};

/* Puts what changed into the store. A string grows even by a write that failed. */
static enum store_status window_flush(struct command_context *ctx, struct window *window) {
    if (!window->is_loaded || (!window->has_changed && window->written_end <= window->value_size)) {
        return STORE_OK;
    }
    struct slice bytes = slice_make(window->bytes + (window->written_first - window->start),
                                    window->written_end - window->written_first);
    return strings_patch(ctx->store, &window->key, window->written_first, bytes, NULL);
}

/* Makes the window hold the bytes from `first` to `end`, zeros beyond the string. */
static enum store_status window_move(struct command_context *ctx, struct window *window,
                                     uint64_t first, uint64_t end) {
    if (window->is_loaded && first >= window->start && end <= window->start + WINDOW_BYTES) {
        return STORE_OK;
    }
    enum store_status status = window_flush(ctx, window);
    if (status != STORE_OK) {
        return status;
    }
    const struct entry *entry = store_peek(ctx->store, &window->key);
    struct entry_scratch scratch;
    struct slice value = entry != NULL ? entry_value(entry, &scratch) : slice_make("", 0);
    size_t count = 0;
    if (first < value.size) {
        count = value.size - first < WINDOW_BYTES ? value.size - first : WINDOW_BYTES;
        memcpy(window->bytes, value.data + first, count);
    }
    memset(window->bytes + count, 0, WINDOW_BYTES - count);
    window->is_loaded = true;
    window->value_size = value.size;
    window->start = first;
    window->written_first = UINT64_MAX;
    window->written_end = 0;
    window->has_changed = false;
    return STORE_OK;
}

/* The field's bits, as an unsigned number. */
static uint64_t window_get(const struct window *window, const struct field_operation *field) {
    uint64_t number = 0;
    for (uint64_t bit = field->offset; bit < field->offset + field->bits; bit++) {
        unsigned byte = window->bytes[bit / 8 - window->start];
        number = number << 1 | (byte >> (7 - bit % 8) & 1);
    }
    return number;
}

static void window_set(struct window *window, const struct field_operation *field,
                       uint64_t number) {
    for (unsigned i = 0; i < field->bits; i++) {
        uint64_t bit = field->offset + i;
        uint8_t *byte = &window->bytes[bit / 8 - window->start];
        unsigned shift = 7 - bit % 8;
        uint64_t one = number >> (field->bits - 1 - i) & 1;
        *byte = (uint8_t)((*byte & ~(1U << shift)) | (unsigned)(one << shift));
    }
}

/* The number that a field's bits stand for. */
static int64_t field_number(const struct field_operation *field, uint64_t bits) {
    if (field->is_signed && field->bits < 64 && (bits >> (field->bits - 1) & 1) == 1) {
        bits |= UINT64_MAX << field->bits;
    }
    return (int64_t)bits;
}

/* Fits `wanted` into the field by its overflow rule; false when the rule forbids it. */
static bool field_fit(const struct field_operation *field, __int128 wanted, int64_t *number) {
    __int128 span = (__int128)1 << field->bits;
    __int128 least = field->is_signed ? -(span / 2) : 0, most = least + span - 1;
    if (wanted < least || wanted > most) {
        switch (field->rule) {
        case OVERFLOW_WRAP:
            break;
        case OVERFLOW_SATURATE:
            *number = (int64_t)(wanted < least ? least : most);
            return true;
        case OVERFLOW_FAIL:
            return false;
        }
    }
    uint64_t bits = (uint64_t)wanted & (uint64_t)(span - 1);
    *number = field_number(field, bits);
    return true;
}

/* Does one operation in the window, which holds its field, and replies. */
static void run_field(struct command_context *ctx, struct window *window,
                      const struct field_operation *field) {
    uint64_t old_bits = window_get(window, field);
    int64_t old = field_number(field, old_bits), number;
    if (field->kind == FIELD_GET) {
        reply_integer(ctx->reply, old);
        return;
    }
    uint64_t first = field->offset / 8, end = (field->offset + field->bits + 7) / 8;
    window->written_first = first < window->written_first ? first : window->written_first;
    window->written_end = end > window->written_end ? end : window->written_end;
    __int128 wanted = (__int128)old + field->operand;
    if (field->kind == FIELD_SET) {
        /* To an unsigned field a negative operand is a large number. */
        wanted = field->is_signed ? (__int128)field->operand
                                  : (__int128)(unsigned __int128)(uint64_t)field->operand;
    }
    if (!field_fit(field, wanted, &number)) {
        reply_null(ctx->reply);
        return;
    }
    window_set(window, field, (uint64_t)number);
    window->has_written = true;
    window->has_changed |= number != old;
    reply_integer(ctx->reply, field->kind == FIELD_SET ? old : number);
}

/* Runs the operations, which survey_fields() has accepted. */
static enum store_status run_fields(struct command_context *ctx, struct window *window) {
    enum overflow_rule rule = OVERFLOW_WRAP;
    for (size_t index = 2; index < ctx->args_count;) {
        struct field_operation field;
        bool is_rule;
        (void)read_field_operation(ctx, &index, &rule, &field, &is_rule);
        if (is_rule) {
            continue;
        }
        enum store_status status =
            window_move(ctx, window, field.offset / 8, (field.offset + field.bits + 7) / 8);
        if (status != STORE_OK) {
            return status;
        }
        run_field(ctx, window, &field);
    }
    return window_flush(ctx, window);
}

static void bitfield(struct command_context *ctx, bool is_read_only) {
    struct field_survey survey;
    if (!survey_fields(ctx, &survey)) {
        return;
    }
    if (is_read_only && survey.has_writes) {
        reply_error(ctx->reply, "ERR BITFIELD_RO only supports the GET subcommand");
        return;
    }
    struct window window = {.key = command_key(ctx, 1)};
    const struct entry *entry = survey.has_writes ? store_peek_to_write(ctx->store, &window.key)
                                                  : store_read(ctx->store, &window.key);
    if (entry != NULL && !command_is_string(entry)) {
        command_reply_status(ctx, STORE_WRONG_TYPE);
        return;
    }
    const uint64_t *own_stamp = &ctx->store->context.stamps[ctx->store->replicas.self];
    uint64_t stamp_before = *own_stamp;
    size_t reply_start = ctx->reply->out->size;
    reply_array(ctx->reply, survey.operations_count);
    enum store_status status = run_fields(ctx, &window);
    /* A write that failed may have made the string longer, but that is not told. */
    if (*own_stamp != stamp_before && window.has_written) {
        store_notify(ctx->store, NOTIFY_STRING, "setbit", &window.key);
    }
    if (status != STORE_OK) {
        ctx->reply->out->size = reply_start; /* the error is the whole reply */
        command_reply_status(ctx, status);
    }
}

/* BITFIELD key [GET type offset | [OVERFLOW rule] SET type offset value | INCRBY ...] ... */
static void cmd_bitfield(struct command_context *ctx) {
    bitfield(ctx, false);
}

/* BITFIELD_RO key [GET type offset ...] */
static void cmd_bitfield_ro(struct command_context *ctx) {
    bitfield(ctx, true);
}

/* ---- rows ---- */

static const struct key_spec bitfield_specs[] = {
    KEY_SPEC_ONE(1, KEY_READ_WRITE | KEY_ACCESS | KEY_UPDATE | KEY_VARIABLE), KEY_SPEC_END};

static const struct command rows[] = {
    {.name = "setbit",
     .handler = cmd_setbit,
     .arity = 4,
     .flags = CMD_WRITE | CMD_DENY_OOM,
     .categories = CATEGORY_BITMAP,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_UPDATE,
     .group = "bitmap",
     .since = "2.2.0",
     .cost = "O(1)",
     .syntax = "key offset value",
     .summary = "Sets or clears one bit of a string, which grows as needed."},
    {.name = "getbit",
     .handler = cmd_getbit,
     .arity = 3,
     .flags = CMD_READ | CMD_FAST,
     .categories = CATEGORY_BITMAP,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .group = "bitmap",
     .since = "2.2.0",
     .cost = "O(1)",
     .syntax = "key offset",
     .summary = "Tells one bit of a string."},
    {.name = "bitcount",
     .handler = cmd_bitcount,
     .arity = -2,
     .flags = CMD_READ,
     .categories = CATEGORY_BITMAP,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .group = "bitmap",
     .since = "2.6.0",
     .cost = "O(N)",
     .syntax = "key [start end [BYTE | BIT]]",
     .summary = "Counts the bits of a string, or of a part of it, that are set."},
    {.name = "bitpos",
     .handler = cmd_bitpos,
     .arity = -3,
     .flags = CMD_READ,
     .categories = CATEGORY_BITMAP,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .group = "bitmap",
     .since = "2.8.7",
     .cost = "O(N)",
     .syntax = "key bit [start [end [BYTE | BIT]]]",
     .summary = "Finds the first bit of a string that is set, or that is clear."},
    {.name = "bitop",
     .handler = cmd_bitop,
     .arity = -4,
     .flags = CMD_WRITE | CMD_DENY_OOM,
     .categories = CATEGORY_BITMAP,
     .keys = {2, 2, 1},
     .key_flags = KEY_OVERWRITE | KEY_UPDATE,
     .more_keys = {3, -1, 1},
     .more_key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .group = "bitmap",
     .since = "2.6.0",
     .cost = "O(N)",
     .syntax = "AND | OR | XOR | NOT destkey key [key ...]",
     .summary = "Combines strings bit by bit and stores the result."},
    {.name = "bitfield",
     .handler = cmd_bitfield,
     .arity = -2,
     .flags = CMD_WRITE | CMD_DENY_OOM,
     .categories = CATEGORY_BITMAP,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_UPDATE,
     .key_specs = bitfield_specs,
     .group = "bitmap",
     .since = "3.2.0",
     .cost = "O(1) for each subcommand specified",
     .syntax = "key [<GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset "
               "value | INCRBY encoding offset increment>> [<GET encoding offset | [OVERFLOW "
               "<WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset "
               "increment>> ...]]",
     .summary = "Reads and writes integers of any width at any bit of a string."},
    {.name = "bitfield_ro",
     .handler = cmd_bitfield_ro,
     .arity = -2,
     .flags = CMD_READ | CMD_FAST,
     .categories = CATEGORY_BITMAP,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .group = "bitmap",
     .since = "6.0.0",
     .cost = "O(1) for each subcommand specified",
     .syntax = "key [GET encoding offset [GET encoding offset ...]]",
     .summary = "Reads integers of any width at any bit of a string."},
};

COMMAND_FAMILY(cmd_bitmap_family, rows);
