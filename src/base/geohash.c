/* SPDX-License-Identifier: BSD-3-Clause */
/* To cover a shape we first put a rectangle of degrees around it, two when it crosses the meridian
 * of 180 degrees, and make it a little larger than rounding could ever need. Then cells are chosen
 * as small as they can be while no more than GEOHASH_RANGES_MAX of them touch the rectangle, which
 * leaves at least two or three to a side. Cells whose scores follow each other become one range.
 *
 *   +---+---+---+      a cell at precision s has 2s bits, and the scores
 *   |  .|...|.  |      [bits << (52 - 2s), (bits + 1) << (52 - 2s))
 *   +--.+---+.--+
 *   |  .|...|.  |      The rectangle is compared as steps, by the function that encodes positions:
 *   +---+---+---+      it is monotone, so what lies inside has steps inside. */
#include "base/geohash.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"

enum {
    STEP_BITS = 26,
    /* At 180 degrees scores are above 2^53, where doubles are even: cells have four scores or more.
     */
    COVER_BITS_MAX = STEP_BITS - 1,
};

#define STEPS ((uint32_t)1 << STEP_BITS)
#define EARTH_RADIUS_M 6372797.560856
#define PI 3.14159265358979323846
#define RADIANS (PI / 180.0)

/* Rectangles grow by this: some tenth of a millimetre, a million times the rounding of degrees. */
#define MARGIN_DEGREES 1e-9
#define MARGIN_RATIO (1 + 1e-12)

/* ---- positions and scores ---- */

bool geohash_is_valid(struct geohash_position position) {
    return position.longitude >= -GEOHASH_LONGITUDE_MAX &&
           position.longitude <= GEOHASH_LONGITUDE_MAX &&
           position.latitude >= -GEOHASH_LATITUDE_MAX && position.latitude <= GEOHASH_LATITUDE_MAX;
}

/* The step of a value in [-max, max]: 2^26 at max. */
static uint32_t step_of(double value, double max) {
    return (uint32_t)((value + max) / (max + max) * STEPS);
}

/* The middle of a step, at most max: steps of scores that are none may be far above. */
static double step_middle(uint32_t step, double max) {
    double low = -max + step * (1.0 / STEPS) * (max + max);
    double high = -max + (step + 1.0) * (1.0 / STEPS) * (max + max);
    double middle = (low + high) / 2;
    return middle < max ? middle : max;
}

/* Puts bit i to place 2i. */
static uint64_t bits_spread(uint32_t value) {
    uint64_t bits = value;
    bits = (bits | bits << 16) & UINT64_C(0x0000FFFF0000FFFF);
    bits = (bits | bits << 8) & UINT64_C(0x00FF00FF00FF00FF);
    bits = (bits | bits << 4) & UINT64_C(0x0F0F0F0F0F0F0F0F);
    bits = (bits | bits << 2) & UINT64_C(0x3333333333333333);
    bits = (bits | bits << 1) & UINT64_C(0x5555555555555555);
    return bits;
}

static uint32_t bits_gather(uint64_t bits) {
    bits &= UINT64_C(0x5555555555555555);
    bits = (bits | bits >> 1) & UINT64_C(0x3333333333333333);
    bits = (bits | bits >> 2) & UINT64_C(0x0F0F0F0F0F0F0F0F);
    bits = (bits | bits >> 4) & UINT64_C(0x00FF00FF00FF00FF);
    bits = (bits | bits >> 8) & UINT64_C(0x0000FFFF0000FFFF);
    bits = (bits | bits >> 16) & UINT64_C(0x00000000FFFFFFFF);
    return (uint32_t)bits;
}

static uint64_t bits_interleave(uint32_t latitude_step, uint32_t longitude_step) {
    return bits_spread(latitude_step) | bits_spread(longitude_step) << 1;
}

double geohash_encode(struct geohash_position position) {
    require(geohash_is_valid(position));
    return (double)bits_interleave(step_of(position.latitude, GEOHASH_LATITUDE_MAX),
                                   step_of(position.longitude, GEOHASH_LONGITUDE_MAX));
}

/* A score as 64 bits. ZADD may have put any number there, and C leaves open what most of them
 * become; here it is decided. */
static uint64_t score_bits(double score) {
    require(score == score);
    if (score >= 0x1p63) {
        return score < 0x1p64 ? (uint64_t)score : 0;
    }
    return score >= -0x1p63 ? (uint64_t)(int64_t)score : UINT64_C(1) << 63;
}

struct geohash_position geohash_decode(double score) {
    uint64_t bits = score_bits(score);
    return (struct geohash_position){
        .longitude = step_middle(bits_gather(bits >> 1), GEOHASH_LONGITUDE_MAX),
        .latitude = step_middle(bits_gather(bits), GEOHASH_LATITUDE_MAX)};
}

void geohash_text(struct geohash_position position, char text[GEOHASH_TEXT_BYTES]) {
    static const char alphabet[] = "0123456789bcdefghjkmnpqrstuvwxyz";
    require(geohash_is_valid(position));
    uint64_t bits = bits_interleave(step_of(position.latitude, 90),
                                    step_of(position.longitude, GEOHASH_LONGITUDE_MAX));
    for (unsigned i = 0; i + 1 < GEOHASH_TEXT_BYTES; i++) {
        text[i] = alphabet[bits >> (2 * STEP_BITS - 5 * (i + 1)) & 31];
    }
    text[GEOHASH_TEXT_BYTES - 1] = alphabet[0];
}

/* ---- distances ---- */

bool geohash_parse_unit(struct slice word, double *metres) {
    static const struct {
        const char *word;
        double metres;
    } units[] = {{"m", 1}, {"km", 1000}, {"ft", 0.3048}, {"mi", 1609.34}};
    for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (slice_is_word(word, units[i].word)) {
            *metres = units[i].metres;
            return true;
        }
    }
    return false;
}

static double meridian_distance_m(double latitude_a, double latitude_b) {
    return EARTH_RADIUS_M * fabs(latitude_b * RADIANS - latitude_a * RADIANS);
}

double geohash_distance_m(struct geohash_position a, struct geohash_position b) {
    double v = sin((b.longitude * RADIANS - a.longitude * RADIANS) / 2);
    if (v == 0) {
        return meridian_distance_m(a.latitude, b.latitude);
    }
    double latitude_a = a.latitude * RADIANS, latitude_b = b.latitude * RADIANS;
    double u = sin((latitude_b - latitude_a) / 2);
    double square = u * u + cos(latitude_a) * cos(latitude_b) * v * v;
    return 2 * EARTH_RADIUS_M * asin(sqrt(square < 1 ? square : 1));
}

/* ---- text ---- */

size_t geohash_format_degrees(char at[NUMBER_FLOAT_BYTES_MAX], double degrees) {
    return number_format_float(at, degrees);
}

size_t geohash_format_distance(char at[GEOHASH_DISTANCE_BYTES_MAX], double distance) {
    require(distance >= 0 && distance < 1e12);
    /* Multiplied, and halves go to the even side: "%.4f" differs once in 100,000 long distances. */
    long long ten_thousandths = llrint(distance * 10000);
    int size = snprintf(at, GEOHASH_DISTANCE_BYTES_MAX, "%lld.%04lld", ten_thousandths / 10000,
                        ten_thousandths % 10000);
    require(size > 0 && size < GEOHASH_DISTANCE_BYTES_MAX);
    return (size_t)size;
}

/* ---- search ---- */

bool geohash_contains(const struct geohash_shape *shape, struct geohash_position position,
                      double *distance_m) {
    struct geohash_position center = shape->center;
    if (shape->kind == GEOHASH_CIRCLE) {
        double distance = geohash_distance_m(center, position);
        *distance_m = distance;
        return distance <= shape->radius_m;
    }
    if (meridian_distance_m(center.latitude, position.latitude) > shape->height_m / 2) {
        return false;
    }
    struct geohash_position beside = {.longitude = center.longitude, .latitude = position.latitude};
    if (geohash_distance_m(beside, position) > shape->width_m / 2) {
        return false;
    }
    *distance_m = geohash_distance_m(center, position);
    return true;
}

/* How far the shape reaches from its centre, in degrees, maybe beyond what there is; 180 of
 * longitude are all of it. */
struct reach {
    double longitude;
    double latitude;
};

/* asin() in degrees of a ratio that may be above one, which is everything. */
static double reach_of_ratio(double ratio) {
    ratio *= MARGIN_RATIO;
    return ratio < 1 ? asin(ratio) / RADIANS : 180;
}

static struct reach circle_reach(const struct geohash_shape *shape) {
    double angle = shape->radius_m / EARTH_RADIUS_M; /* at the centre of the earth */
    struct reach reach = {.longitude = 180, .latitude = angle / RADIANS * MARGIN_RATIO};
    /* A circle around a pole has all longitudes. Another one touches two meridians, and there the
     * way from the centre, the meridian and that of the centre make a right-angled triangle. */
    if (fabs(shape->center.latitude) + reach.latitude + MARGIN_DEGREES < 90) {
        reach.longitude = reach_of_ratio(sin(angle) / cos(shape->center.latitude * RADIANS));
    }
    return reach;
}

static struct reach box_reach(const struct geohash_shape *shape) {
    double height = shape->height_m / 2 / EARTH_RADIUS_M;
    struct reach reach = {.longitude = 180, .latitude = height / RADIANS * MARGIN_RATIO};
    double width = shape->width_m / 2 / EARTH_RADIUS_M;
    if (width >= 3) {
        return reach; /* the way around is no longer; the sine would fall again */
    }
    /* The box has the most longitudes at the latitude that is next to a pole. */
    double latitude = fabs(shape->center.latitude) + reach.latitude + MARGIN_DEGREES;
    if (latitude > GEOHASH_LATITUDE_MAX) {
        latitude = GEOHASH_LATITUDE_MAX;
    }
    reach.longitude = 2 * reach_of_ratio(sin(width / 2) / cos(latitude * RADIANS));
    return reach;
}

/* Steps from `first` to `last`, both included, at full precision. */
struct span {
    uint32_t first;
    uint32_t last;
};

static struct span span_of(double low, double high, double max) {
    return (struct span){.first = step_of(low > -max ? low : -max, max),
                         .last = step_of(high < max ? high : max, max)};
}

static unsigned span_cells(struct span span, unsigned precision) {
    unsigned shift = STEP_BITS - precision;
    return (span.last >> shift) - (span.first >> shift) + 1;
}

/* One span of longitudes, or two that the meridian of 180 degrees parts. Longitudes that touch the
 * meridian from one side touch it from the other. */
static unsigned longitude_spans(double center, double reach, struct span spans[2]) {
    double low = center - reach - MARGIN_DEGREES, high = center + reach + MARGIN_DEGREES;
    if (high - low >= 360) {
        spans[0] = span_of(-180, 180, 180);
        return 1;
    }
    spans[0] = span_of(low, high, 180);
    if (low <= -180) {
        spans[1] = span_of(low + 360 - MARGIN_DEGREES, 180, 180);
        return 2;
    }
    if (high >= 180) {
        spans[1] = span_of(-180, high - 360 + MARGIN_DEGREES, 180);
        return 2;
    }
    return 1;
}

/* Puts a cell among the others by its bits; a cell may come twice. */
static unsigned cell_insert(uint64_t cells[GEOHASH_RANGES_MAX], unsigned count, uint64_t cell) {
    unsigned at = count;
    while (at > 0 && cells[at - 1] > cell) {
        at--;
    }
    if (at > 0 && cells[at - 1] == cell) {
        return count;
    }
    require(count < GEOHASH_RANGES_MAX);
    for (unsigned i = count; i > at; i--) {
        cells[i] = cells[i - 1];
    }
    cells[at] = cell;
    return count + 1;
}

unsigned geohash_cover(const struct geohash_shape *shape,
                       struct geohash_range ranges[GEOHASH_RANGES_MAX]) {
    require(geohash_is_valid(shape->center));
    struct reach reach = shape->kind == GEOHASH_CIRCLE ? circle_reach(shape) : box_reach(shape);
    struct span rows =
        span_of(shape->center.latitude - reach.latitude - MARGIN_DEGREES,
                shape->center.latitude + reach.latitude + MARGIN_DEGREES, GEOHASH_LATITUDE_MAX);
    struct span columns[2] = {{0, 0}, {0, 0}};
    unsigned sides = longitude_spans(shape->center.longitude, reach.longitude, columns);
    unsigned precision = COVER_BITS_MAX;
    for (;; precision--) {
        uint64_t width = span_cells(columns[0], precision);
        width += sides == 2 ? span_cells(columns[1], precision) : 0;
        if (width * span_cells(rows, precision) <= GEOHASH_RANGES_MAX) {
            break; /* at the latest at 0, where there are two cells to a side, and 180 degrees */
        }
        require(precision > 0);
    }
    uint64_t cells[GEOHASH_RANGES_MAX];
    unsigned count = 0, shift = STEP_BITS - precision;
    for (unsigned side = 0; side < sides; side++) {
        for (uint32_t x = columns[side].first >> shift; x <= columns[side].last >> shift; x++) {
            for (uint32_t y = rows.first >> shift; y <= rows.last >> shift; y++) {
                count = cell_insert(cells, count, bits_interleave(y, x));
            }
        }
    }
    unsigned ranges_count = 0;
    for (unsigned i = 0; i < count; i++) {
        double min = (double)(cells[i] << (2 * shift)),
               max = (double)((cells[i] + 1) << (2 * shift));
        if (ranges_count > 0 && ranges[ranges_count - 1].max == min) {
            ranges[ranges_count - 1].max = max;
        } else {
            ranges[ranges_count++] = (struct geohash_range){.min = min, .max = max};
        }
    }
    return ranges_count;
}
