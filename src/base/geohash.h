/* SPDX-License-Identifier: BSD-3-Clause */
/* Places on earth as scores of a sorted set, with the results that Redis gives.
 *
 * A position becomes a cell: longitude in [-180, 180] and latitude in [-85.05112878, 85.05112878],
 * the limits of web maps, are each divided into 2^26 steps, and the bits of the two step numbers
 * are interleaved, latitude first from the right: 52 bits, which a double holds exactly. Read back,
 * the position is the middle of the cell. A score's upper bits are a larger cell, so a cell of any
 * size is one range of scores.
 *
 * The upper limits themselves belong to step 2^26, one bit above the others. So a place at 180
 * degrees has a score far from those beside it, and above 2^53, where a double loses the last bit
 * of the latitude; the ranges of geohash_cover() count it in.
 *
 * The earth is a sphere here; distances are haversine. Functions of their arguments only. */
#ifndef BASE_GEOHASH_H
#define BASE_GEOHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/number.h"
#include "base/slice.h"

#define GEOHASH_LONGITUDE_MAX 180.0
#define GEOHASH_LATITUDE_MAX 85.05112878

enum {
    GEOHASH_TEXT_BYTES = 11,
    GEOHASH_DISTANCE_BYTES_MAX = 32,
    GEOHASH_RANGES_MAX = 9,
};

/* In degrees. */
struct geohash_position {
    double longitude;
    double latitude;
};

/* ---- positions and scores ---- */

/* May the position be stored? False for NaN. */
bool geohash_is_valid(struct geohash_position position);
/* The score of a valid position. */
double geohash_encode(struct geohash_position position);
/* The middle of the cell of any score, brought within the limits. Scores that no position has,
 * infinities too, give what Redis gives on 64-bit Intel machines. Not for NaN. */
struct geohash_position geohash_decode(double score);
/* Writes the usual geohash, as geohash.org has it, of a decoded position: latitude divided from
 * -90 to 90. 52 bits are ten characters; the last one is always 0. */
void geohash_text(struct geohash_position position, char text[GEOHASH_TEXT_BYTES]);

/* ---- distances ---- */

/* How many metres a unit has: m, km, ft or mi in any case. False, for another word. */
bool geohash_parse_unit(struct slice word, double *metres);
/* Along the surface, in metres. */
double geohash_distance_m(struct geohash_position a, struct geohash_position b);

/* ---- text ---- */

/* Writes a longitude or latitude as GEOPOS does; returns the bytes used. */
size_t geohash_format_degrees(char at[NUMBER_FLOAT_BYTES_MAX], double degrees);
/* Writes a distance in any unit as GEODIST does, with four decimals; returns the bytes used. Below
 * 10^12, which no distance between two places comes near. */
size_t geohash_format_distance(char at[GEOHASH_DISTANCE_BYTES_MAX], double distance);

/* ---- search ---- */

enum geohash_shape_kind { GEOHASH_CIRCLE, GEOHASH_BOX };

/* An area around a valid centre. Sizes are not negative and may be infinite. */
struct geohash_shape {
    struct geohash_position center;
    enum geohash_shape_kind kind;
    double radius_m;          /* of a circle */
    double width_m, height_m; /* of a box, along latitude and meridian */
};

/* Scores from min up to, but not including, max; both are exact. */
struct geohash_range {
    double min;
    double max;
};

/* Does the shape contain a decoded position, border included? A box does when the difference in
 * latitude is at most half its height, and the distance in longitude, at the latitude of the
 * position, at most half its width. If so, gives its distance from the centre. */
bool geohash_contains(const struct geohash_shape *shape, struct geohash_position position,
                      double *distance_m);
/* Ranges, rising and apart from each other, that have the scores of all positions in the shape, and
 * of others near it; returns how many there are. */
unsigned geohash_cover(const struct geohash_shape *shape,
                       struct geohash_range ranges[GEOHASH_RANGES_MAX]);

#endif
