/* SPDX-License-Identifier: BSD-3-Clause */
/* HyperLogLog, sparse and dense, and its estimator.
 *
 * I1  Sparse values that we write are canonical: neighbouring opcodes are merged as far as they go,
 *     so equal registers mean equal bytes. Values from outside need not be.
 * I2  A raise rewrites only the runs around its register, which keeps I1 and costs one walk.
 *
 * The estimator is the improved raw one of Otmar Ertl, "New cardinality estimation algorithms for
 * HyperLogLog sketches" (2017), algorithm 6: it needs only how many registers have each rank, and
 * no bias tables. */
#include "crdt/hyperloglog.h"

#include <assert.h>
#include <math.h>

#include "base/check.h"

enum {
    ENCODING_OFFSET = 4,
    CACHE_OFFSET = 8,
    STALE_BYTE = 15, /* its top bit says that the cached count is out of date */
    ENCODING_DENSE = 0,
    ENCODING_SPARSE = 1,
    ZERO_COUNT_MAX = 64, /* registers of the short opcode for rank 0 */
    VALUE_COUNT_MAX = 4,
    VALUE_RANK_MAX = 32, /* a greater rank needs the dense encoding */
    RUNS_MAX = 5,        /* runs that one raise touches */
    /* Encoded, they take at most two bytes for a run of zeros, and a byte for each four others and
     * one more for what is left over. */
    RUNS_BYTES_MAX = HYPERLOGLOG_REGISTERS_COUNT / VALUE_COUNT_MAX + 2 * RUNS_MAX,
    RANKS_COUNT = HYPERLOGLOG_REGISTER_MAX + 1,
    HISTOGRAM_LANES = 4,
};

static_assert(HYPERLOGLOG_RANK_MAX <= HYPERLOGLOG_REGISTER_MAX, "any element fits a register");
static_assert(HYPERLOGLOG_REGISTERS_COUNT % 8 == 0, "registers come by eights");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words of registers, lowest first");

/* ---- hash ---- */

/* MurmurHash64A (Austin Appleby, public domain), little endian on every machine. */
static uint64_t hash_element(struct slice element) {
    const uint64_t multiplier = UINT64_C(0xC6A4A7935BD1E995), seed = UINT64_C(0xADC83B19);
    const int shift = 47;
    const uint8_t *at = (const uint8_t *)element.data;
    size_t left = element.size;
    uint64_t hash = seed ^ (element.size * multiplier);
    for (; left >= 8; at += 8, left -= 8) {
        uint64_t word = 0;
        for (unsigned i = 0; i < 8; i++) {
            word |= (uint64_t)at[i] << (8 * i);
        }
        word *= multiplier;
        word ^= word >> shift;
        word *= multiplier;
        hash ^= word;
        hash *= multiplier;
    }
    if (left > 0) {
        uint64_t word = 0;
        for (unsigned i = 0; i < left; i++) {
            word |= (uint64_t)at[i] << (8 * i);
        }
        hash ^= word;
        hash *= multiplier;
    }
    hash ^= hash >> shift;
    hash *= multiplier;
    hash ^= hash >> shift;
    return hash;
}

struct hyperloglog_place hyperloglog_place(struct slice element) {
    uint64_t hash = hash_element(element);
    /* The bit above the hash ends a run of zeros that would go on for ever. */
    uint64_t rest = hash >> HYPERLOGLOG_INDEX_BITS | UINT64_C(1) << (64 - HYPERLOGLOG_INDEX_BITS);
    return (struct hyperloglog_place){
        .index = (unsigned)(hash & (HYPERLOGLOG_REGISTERS_COUNT - 1)),
        .rank = (unsigned)__builtin_ctzll(rest) + 1,
    };
}

/* ---- header ---- */

static void mark_stale(char *value) {
    value[STALE_BYTE] = (char)((uint8_t)value[STALE_BYTE] | 0x80);
}

/* Nothing is counted yet, not even the 0 of an empty one, as in Redis. */
static void put_header(struct buffer *value, uint8_t encoding) {
    buffer_clear(value);
    buffer_append_slice(value, SLICE("HYLL"));
    buffer_append_byte(value, encoding);
    static const char zeros[HYPERLOGLOG_HEADER_BYTES - ENCODING_OFFSET - 1];
    buffer_append(value, zeros, sizeof(zeros));
    mark_stale(value->data);
}

enum hyperloglog_status hyperloglog_check(struct slice value) {
    if (value.size < HYPERLOGLOG_HEADER_BYTES || memcmp(value.data, "HYLL", 4) != 0) {
        return HYPERLOGLOG_FOREIGN;
    }
    uint8_t encoding = (uint8_t)value.data[ENCODING_OFFSET];
    if (encoding == ENCODING_DENSE) {
        return value.size == HYPERLOGLOG_DENSE_BYTES ? HYPERLOGLOG_OK : HYPERLOGLOG_FOREIGN;
    }
    return encoding == ENCODING_SPARSE ? HYPERLOGLOG_OK : HYPERLOGLOG_FOREIGN;
}

bool hyperloglog_is_dense(struct slice value) {
    require(value.size >= HYPERLOGLOG_HEADER_BYTES);
    bool dense = (uint8_t)value.data[ENCODING_OFFSET] == ENCODING_DENSE;
    require(!dense || value.size == HYPERLOGLOG_DENSE_BYTES);
    return dense;
}

bool hyperloglog_cached(struct slice value, uint64_t *count) {
    require(value.size >= HYPERLOGLOG_HEADER_BYTES);
    const uint8_t *at = (const uint8_t *)value.data + CACHE_OFFSET;
    uint64_t cached = 0;
    for (unsigned i = 0; i < 8; i++) {
        cached |= (uint64_t)at[i] << (8 * i);
    }
    *count = cached;
    return cached >> 63 == 0;
}

void hyperloglog_cache(char header[HYPERLOGLOG_HEADER_BYTES], uint64_t count) {
    for (unsigned i = 0; i < 8; i++) {
        header[CACHE_OFFSET + i] = (char)(uint8_t)(count >> (8 * i));
    }
}

/* ---- dense registers ---- */

static unsigned dense_get(const uint8_t *registers, unsigned index) {
    unsigned at = index * 6 / 8, shift = index * 6 % 8;
    unsigned bits = registers[at];
    if (shift > 2) { /* the register goes on in the next byte, which the last one never does */
        bits |= (unsigned)registers[at + 1] << 8;
    }
    return bits >> shift & HYPERLOGLOG_REGISTER_MAX;
}

static void dense_set(uint8_t *registers, unsigned index, unsigned rank) {
    unsigned at = index * 6 / 8, shift = index * 6 % 8;
    unsigned mask = (unsigned)HYPERLOGLOG_REGISTER_MAX << shift, bits = rank << shift;
    registers[at] = (uint8_t)((registers[at] & ~mask) | bits);
    if (shift > 2) {
        registers[at + 1] = (uint8_t)((registers[at + 1] & ~(mask >> 8)) | bits >> 8);
    }
}

/* Eight registers from six bytes, one in each byte of the result, the first lowest: halves move
 * apart, then quarters, then eighths. */
static inline uint64_t dense_unpack(const uint8_t at[6]) {
    uint32_t low;
    uint16_t high;
    memcpy(&low, at, sizeof(low));
    memcpy(&high, at + sizeof(low), sizeof(high));
    uint64_t bits = low | (uint64_t)high << 32;
    bits = (bits & 0xFFFFFF) | (bits & UINT64_C(0xFFFFFF000000)) << 8;
    bits = (bits & UINT64_C(0x00000FFF00000FFF)) | (bits & UINT64_C(0x00FFF00000FFF000)) << 4;
    return (bits & UINT64_C(0x003F003F003F003F)) | (bits & UINT64_C(0x0FC00FC00FC00FC0)) << 2;
}

/* The greater of each pair of bytes, all below 128. */
static inline uint64_t max_of_bytes(uint64_t a, uint64_t b) {
    const uint64_t tops = UINT64_C(0x8080808080808080);
    uint64_t is_a = (((a | tops) - b) & tops) >> 7; /* 1 in each byte where a is not below b */
    uint64_t mask = is_a * 0xFF;
    return (a & mask) | (b & ~mask);
}

static inline uint64_t load_eight(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

static void put_dense(struct buffer *value, const uint8_t *registers) {
    put_header(value, ENCODING_DENSE);
    size_t size = HYPERLOGLOG_DENSE_BYTES - HYPERLOGLOG_HEADER_BYTES;
    uint8_t *at = (uint8_t *)buffer_reserve(value, size);
    value->size += size;
    for (unsigned i = 0; i < HYPERLOGLOG_REGISTERS_COUNT; i += 4, at += 3) {
        unsigned bits = registers[i] | (unsigned)registers[i + 1] << 6 |
                        (unsigned)registers[i + 2] << 12 | (unsigned)registers[i + 3] << 18;
        at[0] = (uint8_t)bits;
        at[1] = (uint8_t)(bits >> 8);
        at[2] = (uint8_t)(bits >> 16);
    }
}

/* ---- sparse registers ---- */

struct run {
    unsigned rank;
    unsigned count;
};

/* Walks the opcodes of a sparse value. */
struct walk {
    const uint8_t *at, *end;
    unsigned covered; /* registers that the opcodes before `at` cover */
};

static struct walk walk_begin(struct slice value) {
    return (struct walk){.at = (const uint8_t *)value.data + HYPERLOGLOG_HEADER_BYTES,
                         .end = (const uint8_t *)value.data + value.size};
}

/* Reads the next opcode. False at the end and where it makes no sense; walk_is_whole() tells which.
 * `covered` never exceeds the number of registers. */
static inline bool walk_next(struct walk *walk, struct run *run) {
    if (walk->at == walk->end) {
        return false;
    }
    unsigned byte = *walk->at, size = 1;
    if ((byte & 0x80) != 0) {
        *run = (struct run){.rank = (byte >> 2 & 0x1F) + 1, .count = (byte & 3) + 1};
    } else if ((byte & 0x40) == 0) {
        *run = (struct run){.rank = 0, .count = byte + 1};
    } else {
        size = 2;
        if (walk->end - walk->at < 2) {
            return false;
        }
        *run = (struct run){.rank = 0, .count = ((byte & 0x3F) << 8 | walk->at[1]) + 1};
    }
    if (run->count > HYPERLOGLOG_REGISTERS_COUNT - walk->covered) {
        return false;
    }
    walk->at += size;
    walk->covered += run->count;
    return true;
}

static bool walk_is_whole(const struct walk *walk) {
    return walk->at == walk->end && walk->covered == HYPERLOGLOG_REGISTERS_COUNT;
}

/* Writes a run in as few opcodes as it takes; returns where they end. */
static uint8_t *put_run(uint8_t *at, struct run run) {
    if (run.rank == 0) {
        if (run.count > ZERO_COUNT_MAX) {
            *at++ = (uint8_t)(0x40 | (run.count - 1) >> 8);
        }
        *at++ = (uint8_t)(run.count - 1);
        return at;
    }
    require(run.rank <= VALUE_RANK_MAX);
    while (run.count > 0) {
        unsigned count = run.count < VALUE_COUNT_MAX ? run.count : VALUE_COUNT_MAX;
        *at++ = (uint8_t)(0x80 | (run.rank - 1) << 2 | (count - 1));
        run.count -= count;
    }
    return at;
}

void hyperloglog_init(struct buffer *value) {
    put_header(value, ENCODING_SPARSE);
    uint8_t *at = (uint8_t *)buffer_reserve(value, 2);
    value->size += (size_t)(put_run(at, (struct run){.count = HYPERLOGLOG_REGISTERS_COUNT}) - at);
}

/* Neighbouring opcodes of one rank, and where they are. */
struct span {
    const uint8_t *begin, *end;
    unsigned first; /* register */
    struct run run;
};

/* Finds the span of register `index` as far as the opcode that holds it, and the span before. */
static bool sparse_find(struct walk *walk, unsigned index, struct span *before, struct span *here) {
    *before = *here = (struct span){0};
    while (walk->covered <= index) {
        const uint8_t *begin = walk->at;
        unsigned first = walk->covered;
        struct run run;
        if (!walk_next(walk, &run)) {
            return false;
        }
        if (here->run.count > 0 && run.rank == here->run.rank) {
            here->run.count += run.count;
        } else {
            *before = *here;
            *here = (struct span){.begin = begin, .first = first, .run = run};
        }
        here->end = walk->at;
    }
    return true;
}

/* Goes on to the end of the span, and returns in `after` the one behind it, empty at the end. */
static bool sparse_find_end(struct walk *walk, struct span *here, struct span *after) {
    *after = (struct span){0};
    while (walk->at != walk->end) {
        struct walk ahead = *walk;
        struct run run;
        if (!walk_next(&ahead, &run)) {
            return false;
        }
        struct span *span = after->run.count > 0 ? after : here;
        if (run.rank == span->run.rank) {
            span->run.count += run.count;
            span->end = ahead.at;
        } else if (span == here) {
            *after = (struct span){.begin = walk->at, .end = ahead.at, .run = run};
        } else {
            break;
        }
        *walk = ahead;
    }
    return true;
}

/* Adds a run behind others, as part of the last if the rank is the same. */
static size_t add_run(struct run *runs, size_t count, struct run run) {
    if (run.count == 0) {
        return count;
    }
    if (count > 0 && runs[count - 1].rank == run.rank) {
        runs[count - 1].count += run.count;
        return count;
    }
    ensure(count < RUNS_MAX);
    runs[count] = run;
    return count + 1;
}

static enum hyperloglog_status dense_raise(char *value, struct hyperloglog_place place) {
    uint8_t *registers = (uint8_t *)value + HYPERLOGLOG_HEADER_BYTES;
    if (dense_get(registers, place.index) >= place.rank) {
        return HYPERLOGLOG_OK;
    }
    dense_set(registers, place.index, place.rank);
    mark_stale(value);
    return HYPERLOGLOG_RAISED;
}

static enum hyperloglog_status make_dense_and_raise(struct buffer *value,
                                                    struct hyperloglog_place place) {
    enum hyperloglog_status status = hyperloglog_make_dense(value);
    return status == HYPERLOGLOG_OK ? dense_raise(value->data, place) : status;
}

/* Puts `size` bytes at `bytes` in the place of those from `begin` to `end`. */
static void splice(struct buffer *value, size_t begin, size_t end, const uint8_t *bytes,
                   size_t size) {
    if (size > end - begin) {
        buffer_reserve(value, size - (end - begin));
    }
    memmove(value->data + begin + size, value->data + end, value->size - end);
    memcpy(value->data + begin, bytes, size);
    value->size = value->size - (end - begin) + size;
}

static enum hyperloglog_status sparse_raise(struct buffer *value, struct hyperloglog_place place,
                                            size_t sparse_bytes_max) {
    struct walk walk = walk_begin(buffer_slice(value));
    struct span before, here, after;
    if (!sparse_find(&walk, place.index, &before, &here)) {
        return HYPERLOGLOG_CORRUPTED;
    }
    if (here.run.rank >= place.rank) {
        return HYPERLOGLOG_OK;
    }
    if (place.rank > VALUE_RANK_MAX) {
        return make_dense_and_raise(value, place);
    }
    if (!sparse_find_end(&walk, &here, &after)) {
        return HYPERLOGLOG_CORRUPTED;
    }
    unsigned left = place.index - here.first, rank = here.run.rank;
    struct run runs[RUNS_MAX];
    size_t runs_count = add_run(runs, 0, before.run);
    runs_count = add_run(runs, runs_count, (struct run){.rank = rank, .count = left});
    runs_count = add_run(runs, runs_count, (struct run){.rank = place.rank, .count = 1});
    runs_count =
        add_run(runs, runs_count, (struct run){.rank = rank, .count = here.run.count - left - 1});
    runs_count = add_run(runs, runs_count, after.run);
    uint8_t bytes[RUNS_BYTES_MAX], *at = bytes;
    for (size_t i = 0; i < runs_count; i++) {
        at = put_run(at, runs[i]);
    }
    size_t size = (size_t)(at - bytes);
    ensure(size <= sizeof(bytes));

    const uint8_t *base = (const uint8_t *)value->data;
    size_t begin = (size_t)((before.run.count > 0 ? before.begin : here.begin) - base);
    size_t end = (size_t)((after.run.count > 0 ? after.end : here.end) - base);
    if (value->size - (end - begin) + size > sparse_bytes_max) {
        return make_dense_and_raise(value, place);
    }
    splice(value, begin, end, bytes, size);
    mark_stale(value->data);
    return HYPERLOGLOG_RAISED;
}

enum hyperloglog_status hyperloglog_get(struct slice value, unsigned index, unsigned *rank) {
    require(index < HYPERLOGLOG_REGISTERS_COUNT);
    if (hyperloglog_is_dense(value)) {
        *rank = dense_get((const uint8_t *)value.data + HYPERLOGLOG_HEADER_BYTES, index);
        return HYPERLOGLOG_OK;
    }
    struct walk walk = walk_begin(value);
    struct run run = {0};
    while (walk.covered <= index) {
        if (!walk_next(&walk, &run)) {
            return HYPERLOGLOG_CORRUPTED;
        }
    }
    *rank = run.rank;
    return HYPERLOGLOG_OK;
}

enum hyperloglog_status hyperloglog_raise(struct buffer *value, struct hyperloglog_place place,
                                          size_t sparse_bytes_max) {
    require(place.index < HYPERLOGLOG_REGISTERS_COUNT);
    require(place.rank <= HYPERLOGLOG_REGISTER_MAX);
    return hyperloglog_is_dense(buffer_slice(value)) ? dense_raise(value->data, place)
                                                     : sparse_raise(value, place, sparse_bytes_max);
}

/* ---- all registers ---- */

enum hyperloglog_status hyperloglog_join(uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT],
                                         struct slice value) {
    if (hyperloglog_is_dense(value)) {
        const uint8_t *at = (const uint8_t *)value.data + HYPERLOGLOG_HEADER_BYTES;
        for (unsigned i = 0; i < HYPERLOGLOG_REGISTERS_COUNT; i += 8, at += 6) {
            uint64_t joined = max_of_bytes(load_eight(registers + i), dense_unpack(at));
            memcpy(registers + i, &joined, sizeof(joined));
        }
        return HYPERLOGLOG_OK;
    }
    struct walk walk = walk_begin(value);
    struct run run;
    while (walk_next(&walk, &run)) {
        uint8_t *at = registers + (walk.covered - run.count);
        for (unsigned i = 0; run.rank > 0 && i < run.count; i++) {
            at[i] = at[i] > run.rank ? at[i] : (uint8_t)run.rank;
        }
    }
    return walk_is_whole(&walk) ? HYPERLOGLOG_OK : HYPERLOGLOG_CORRUPTED;
}

/* Appends the sparse form, or returns false if it cannot be or is longer than it may be. */
static bool put_sparse(struct buffer *value, const uint8_t *registers, size_t sparse_bytes_max) {
    put_header(value, ENCODING_SPARSE);
    for (unsigned i = 0; i < HYPERLOGLOG_REGISTERS_COUNT;) {
        struct run run = {.rank = registers[i]};
        unsigned begin = i;
        /* Runs are long where it matters: eight at a time. */
        while (i + 8 <= HYPERLOGLOG_REGISTERS_COUNT &&
               load_eight(registers + i) == run.rank * 0x0101010101010101ULL) {
            i += 8;
        }
        while (i < HYPERLOGLOG_REGISTERS_COUNT && registers[i] == run.rank) {
            i++;
        }
        run.count = i - begin;
        if (run.rank > VALUE_RANK_MAX) {
            return false;
        }
        uint8_t *at = (uint8_t *)buffer_reserve(value, RUNS_BYTES_MAX);
        value->size += (size_t)(put_run(at, run) - at);
        if (value->size > sparse_bytes_max) {
            return false;
        }
    }
    return true;
}

void hyperloglog_set_registers(struct buffer *value,
                               const uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT], bool dense,
                               size_t sparse_bytes_max) {
    if (dense || !put_sparse(value, registers, sparse_bytes_max)) {
        put_dense(value, registers);
    }
}

enum hyperloglog_status hyperloglog_make_dense(struct buffer *value) {
    if (hyperloglog_is_dense(buffer_slice(value))) {
        return HYPERLOGLOG_OK;
    }
    uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT] = {0};
    enum hyperloglog_status status = hyperloglog_join(registers, buffer_slice(value));
    if (status == HYPERLOGLOG_OK) {
        put_dense(value, registers);
    }
    return status;
}

/* ---- pairs ---- */

void hyperloglog_pair_put(struct buffer *pairs, struct hyperloglog_place place) {
    buffer_append_byte(pairs, (uint8_t)place.index);
    buffer_append_byte(pairs, (uint8_t)(place.index >> 8));
    buffer_append_byte(pairs, (uint8_t)place.rank);
}

static struct hyperloglog_place pair_take(const char *at) {
    const uint8_t *bytes = (const uint8_t *)at;
    return (struct hyperloglog_place){.index = bytes[0] | (unsigned)bytes[1] << 8,
                                      .rank = bytes[2]};
}

bool hyperloglog_pairs_are_sound(struct slice pairs) {
    for (size_t i = 0; pairs.size - i >= HYPERLOGLOG_PAIR_BYTES; i += HYPERLOGLOG_PAIR_BYTES) {
        struct hyperloglog_place place = pair_take(pairs.data + i);
        if (place.index >= HYPERLOGLOG_REGISTERS_COUNT || place.rank > HYPERLOGLOG_REGISTER_MAX) {
            return false;
        }
    }
    return pairs.size % HYPERLOGLOG_PAIR_BYTES == 0;
}

bool hyperloglog_join_pairs(char *value, size_t size, struct slice pairs) {
    struct slice bytes = slice_make(value, size);
    if (hyperloglog_check(bytes) != HYPERLOGLOG_OK || !hyperloglog_is_dense(bytes) ||
        !hyperloglog_pairs_are_sound(pairs)) {
        return false;
    }
    for (size_t i = 0; i < pairs.size; i += HYPERLOGLOG_PAIR_BYTES) {
        (void)dense_raise(value, pair_take(pairs.data + i));
    }
    return true;
}

bool hyperloglog_raise_pairs(struct buffer *value, struct slice old, struct slice pairs) {
    if (old.size > HYPERLOGLOG_SPARSE_BYTES_LIMIT || !hyperloglog_pairs_are_sound(pairs)) {
        return false;
    }
    buffer_clear(value);
    buffer_append_slice(value, old);
    for (size_t i = 0; i < pairs.size; i += HYPERLOGLOG_PAIR_BYTES) {
        struct hyperloglog_place place = pair_take(pairs.data + i);
        if (hyperloglog_raise(value, place, SIZE_MAX) == HYPERLOGLOG_CORRUPTED) {
            return false;
        }
    }
    return true;
}

/* ---- the estimate ---- */

/* How many registers have each rank, in lanes that are added up at the end: neighbours are often
 * equal, and would else wait for each other. */
struct histogram {
    uint32_t counts[HISTOGRAM_LANES][RANKS_COUNT];
};

/* Counts eight registers, one in each byte. */
static inline void histogram_add(struct histogram *histogram, uint64_t ranks) {
    if (ranks == 0) {
        histogram->counts[0][0] += 8;
        return;
    }
    histogram->counts[0][ranks & 0xFF]++;
    histogram->counts[1][ranks >> 8 & 0xFF]++;
    histogram->counts[2][ranks >> 16 & 0xFF]++;
    histogram->counts[3][ranks >> 24 & 0xFF]++;
    histogram->counts[0][ranks >> 32 & 0xFF]++;
    histogram->counts[1][ranks >> 40 & 0xFF]++;
    histogram->counts[2][ranks >> 48 & 0xFF]++;
    histogram->counts[3][ranks >> 56]++;
}

/* The two series of the paper; they end when a term no longer moves the sum. */
static double series_sigma(double x) {
    if (x == 1.0) {
        return INFINITY;
    }
    double weight = 1.0, sum = x, last;
    do {
        x *= x;
        last = sum;
        sum += x * weight;
        weight += weight;
    } while (sum != last);
    return sum;
}

static double series_tau(double x) {
    if (x == 0.0 || x == 1.0) {
        return 0.0;
    }
    double weight = 1.0, sum = 1.0 - x, last;
    do {
        x = sqrt(x);
        last = sum;
        weight *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * weight;
    } while (sum != last);
    return sum / 3.0;
}

static uint64_t estimate(const struct histogram *histogram) {
    const double registers = HYPERLOGLOG_REGISTERS_COUNT;
    const double alpha = 0.721347520444481703680; /* 1 / (2 ln 2) */
    uint32_t counts[RANKS_COUNT];
    for (unsigned i = 0; i < RANKS_COUNT; i++) {
        counts[i] = histogram->counts[0][i] + histogram->counts[1][i] + histogram->counts[2][i] +
                    histogram->counts[3][i];
    }
    double z = registers * series_tau((registers - counts[HYPERLOGLOG_RANK_MAX]) / registers);
    for (unsigned rank = HYPERLOGLOG_RANK_MAX - 1; rank > 0; rank--) {
        z = (z + counts[rank]) * 0.5;
    }
    z += registers * series_sigma(counts[0] / registers);
    double count = alpha * registers * registers / z;
    /* Registers beyond any element's rank, from outside, can bring z down to 0. */
    return count < 0x1p62 ? (uint64_t)llround(count) : UINT64_C(1) << 62;
}

uint64_t hyperloglog_count_registers(const uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT]) {
    struct histogram histogram = {0};
    for (unsigned i = 0; i < HYPERLOGLOG_REGISTERS_COUNT; i += 8) {
        uint64_t ranks = load_eight(registers + i);
        require((ranks & UINT64_C(0xC0C0C0C0C0C0C0C0)) == 0);
        histogram_add(&histogram, ranks);
    }
    return estimate(&histogram);
}

enum hyperloglog_status hyperloglog_count(struct slice value, uint64_t *count) {
    struct histogram histogram = {0};
    if (hyperloglog_is_dense(value)) {
        const uint8_t *at = (const uint8_t *)value.data + HYPERLOGLOG_HEADER_BYTES;
        for (unsigned i = 0; i < HYPERLOGLOG_REGISTERS_COUNT; i += 8, at += 6) {
            histogram_add(&histogram, dense_unpack(at));
        }
    } else {
        struct walk walk = walk_begin(value);
        struct run run;
        while (walk_next(&walk, &run)) {
            histogram.counts[0][run.rank] += run.count;
        }
        if (!walk_is_whole(&walk)) {
            return HYPERLOGLOG_CORRUPTED;
        }
    }
    *count = estimate(&histogram);
    return HYPERLOGLOG_OK;
}

/* ---- introspection ---- */

enum hyperloglog_status hyperloglog_describe(struct slice value, struct buffer *text) {
    struct walk walk = walk_begin(value);
    const uint8_t *begin = walk.at;
    struct run run;
    while (walk_next(&walk, &run)) {
        const char *space = text->size > 0 ? " " : "";
        if (run.rank > 0) {
            buffer_printf(text, "%sv:%u,%u", space, run.rank, run.count);
        } else {
            buffer_printf(text, "%s%c:%u", space, walk.at - begin == 1 ? 'z' : 'Z', run.count);
        }
        begin = walk.at;
    }
    return walk_is_whole(&walk) ? HYPERLOGLOG_OK : HYPERLOGLOG_CORRUPTED;
}
