/* SPDX-License-Identifier: BSD-3-Clause */
/* Geohashes against answers of redis-server 7.0.15: scores, digits of positions, distances, geohash
 * strings, results of searches. Then properties: what is decoded lies in its cell, and the ranges
 * of a shape never miss a position inside, at poles, across the meridian of 180 degrees and on it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/geohash.h"
#include "unit/seed.h"

/* What redis-server said about places: ZSCORE, GEOPOS, GEOHASH, and GEODIST to another one. */
static const struct place {
    double longitude, latitude;
    const char *score, *longitude_text, *latitude_text, *geohash;
    unsigned other;
    const char *unit, *distance;
} places[] = {
    {0.0, 0.0, "3377699720527872", "0.00000268220901489", "0.00000126736058093", "s0000000000", 5,
     "m", "5728990.0776"},
    {180.0, 85.05112878, "13510798882111488", "180", "85.0511287799999991", "bp05b5048p0", 12, "km",
     "1080.4117"},
    {-180.0, -85.05112878, "0", "-179.99999731779098511", "-85.05112751263942528", "00bh0hbj200",
     19, "ft", "11704143.4107"},
    {180.0, 0.0, "10133099161583616", "180", "0.00000126736058093", "80000000000", 2, "mi",
     "5878.1378"},
    {0.0, 85.05112878, "6755399441055744", "0.00000268220901489", "85.0511287799999991",
     "up05b5048p0", 9, "m", "15866068.4034"},
    {-0.1278, 51.5074, "2163557714755072", "-0.12779921293258667", "51.50740077990133159",
     "gcpvj0duq50", 16, "km", "14749.4843"},
    {-74.006, 40.7128, "1791873974549446", "-74.0060010552406311", "40.71279898695150479",
     "dr5regw3pp0", 23, "ft", "46097347.1144"},
    {139.6917, 35.6895, "4171231230197045", "139.69170123338699341", "35.68950126697937009",
     "xn774c06kt0", 6, "mi", "6743.0554"},
    {151.2093, -33.8688, "3252046221964352", "151.20929986238479614", "-33.86880091934155956",
     "r3gx2f77bj0", 13, "m", "11804395.5588"},
    {-67.2764, -54.8019, "674088830433101", "-67.27639764547348022", "-54.80189953730982211",
     "4w20jpdgf30", 20, "km", "4339.4833"},
    {179.9999999, 12.5, "4146188286685114", "179.99999731779098511", "12.49999894240989562",
     "xfpzpgxczb0", 3, "ft", "4561445.1818"},
    {-179.9999999, -12.5, "357411340685381", "-179.99999731779098511", "-12.49999894240989562",
     "2jb0bh2n0p0", 10, "mi", "1727.8246"},
    {24.9384, 84.9999999, "3788358416041784", "24.93839889764785767", "84.99999965213439168",
     "ux1ex3z8fu0", 17, "m", "17208813.4856"},
    {-58.3816, -34.6037, "887133777343301", "-58.38160246610641479", "-34.60370022923218158",
     "69y7pkxff40", 0, "km", "7166.9874"},
    {1e-07, -1e-07, "2627099782632789", "0.00000268220901489", "-0.00000126736058093",
     "kpbpbpbpbp0", 7, "ft", "46807409.2010"},
    {107.68153288, -51.456565, "2914032866178485", "107.68153220415115356", "-51.45656441232964085",
     "nque62e7c90", 14, "mi", "6974.1400"},
    {116.1201, -35.3047498244, "3136688531789642", "116.12009972333908081", "-35.30475087276099089",
     "q9dx4kunfm0", 21, "m", "13942662.1980"},
    {179.891509, -60.2698509059739, "3073940546436031", "179.89150732755661011",
     "-60.26985071665899341", "pvrcjs0yxv0", 4, "km", "17264.4030"},
    {58.003, 59.69, "3830929293323001", "58.00299793481826782", "59.69000030008513136",
     "v695xfhrry0", 11, "ft", "42553199.5582"},
    {120.753106062, -55.644426, "2928184862886793", "120.75310617685317993",
     "-55.64442564234713728", "nwjg7y1xxr0", 18, "mi", "8681.4585"},
    {2.6333633, -53.91141551, "2328143926104313", "2.63336330652236938", "-53.91141650793781537",
     "hn3v7ctx1z0", 1, "m", "16556517.7941"},
    {-137.76901847582, 47.38225954965, "1455551665589382", "-137.76901870965957642",
     "47.38225869025052361", "bbqj8cxttj0", 8, "km", "11471.4698"},
    {-10.920876, -52.4131, "835700743117254", "-10.92087417840957642", "-52.4130997403928518",
     "5y8jz6rxt40", 15, "ft", "23367065.9759"},
    {124.34161269700155, 10.2177111298, "3990487546246628", "124.34161216020584106",
     "10.21771066332950539", "wcb6jknf3x0", 22, "mi", "8607.3142"},
};

enum { PLACES = sizeof(places) / sizeof(places[0]) };

static struct geohash_position place_position(unsigned i) {
    return (struct geohash_position){places[i].longitude, places[i].latitude};
}

static double unit_metres(const char *word) {
    double metres = 0;
    assert_true(geohash_parse_unit(slice_of(word), &metres));
    return metres;
}

static void degrees_are(double degrees, const char *expected) {
    static char text[NUMBER_FLOAT_BYTES_MAX];
    size_t size = geohash_format_degrees(text, degrees);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(text, expected, size);
}

static void distance_is(double distance, const char *expected) {
    char text[GEOHASH_DISTANCE_BYTES_MAX];
    size_t size = geohash_format_distance(text, distance);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(text, expected, size);
}

static void geohash_is(struct geohash_position position, const char *expected) {
    char text[GEOHASH_TEXT_BYTES];
    geohash_text(position, text);
    assert_int_equal(strlen(expected), GEOHASH_TEXT_BYTES);
    assert_memory_equal(text, expected, GEOHASH_TEXT_BYTES);
}

/* ---- known answers ---- */

/* The example of Redis's documentation. */
static void palermo_and_catania(void **state) {
    (void)state;
    double palermo = geohash_encode((struct geohash_position){13.361389, 38.115556});
    double catania = geohash_encode((struct geohash_position){15.087269, 37.502669});
    assert_true(palermo == 3479099956230698.0);
    assert_true(catania == 3479447370796909.0);
    struct geohash_position a = geohash_decode(palermo), b = geohash_decode(catania);
    degrees_are(a.longitude, "13.36138933897018433");
    degrees_are(a.latitude, "38.11555639549629859");
    degrees_are(b.longitude, "15.08726745843887329");
    degrees_are(b.latitude, "37.50266842333162032");
    geohash_is(a, "sqc8b49rny0");
    geohash_is(b, "sqdtr74hyu0");
    double metres = geohash_distance_m(a, b);
    distance_is(metres, "166274.1516");
    distance_is(metres / unit_metres("km"), "166.2742");
    distance_is(metres / unit_metres("mi"), "103.3182");
    distance_is(metres / unit_metres("ft"), "545518.8700");
    /* GEORADIUS Sicily 15 37 200 km, and 100 km. */
    struct geohash_shape shape = {.center = {15, 37}, .kind = GEOHASH_CIRCLE, .radius_m = 200000};
    double distance;
    assert_true(geohash_contains(&shape, a, &distance));
    distance_is(distance / 1000, "190.4424");
    assert_true(geohash_contains(&shape, b, &distance));
    distance_is(distance / 1000, "56.4413");
    shape.radius_m = 100000;
    assert_false(geohash_contains(&shape, a, &distance));
    assert_true(geohash_contains(&shape, b, &distance));
}

static void places_are_as_in_redis(void **state) {
    (void)state;
    for (unsigned i = 0; i < PLACES; i++) {
        const struct place *place = &places[i];
        double score = geohash_encode(place_position(i));
        char text[32];
        (void)snprintf(text, sizeof(text), "%.17g", score);
        assert_string_equal(text, place->score);
        struct geohash_position position = geohash_decode(score);
        degrees_are(position.longitude, place->longitude_text);
        degrees_are(position.latitude, place->latitude_text);
        geohash_is(position, place->geohash);
        struct geohash_position other =
            geohash_decode(geohash_encode(place_position(place->other)));
        double distance = geohash_distance_m(position, other);
        distance_is(distance / unit_metres(place->unit), place->distance);
        assert_true(geohash_distance_m(other, position) == distance);
        distance_is(geohash_distance_m(position, position), "0.0000");
    }
}

/* Distances that lie between two texts: which one redis-server takes. */
static void halves_go_to_the_even_side(void **state) {
    (void)state;
    static const struct {
        struct geohash_position a, b;
        const char *distance;
    } rows[] = {
        {{-89.99999731779099, 44.19693290789593},
         {3.6154434084892273, -84.36564766119244},
         "14935752.6084"},
        {{-179.99999731779099, -43.73521570567422},
         {-124.74459797143936, 78.14814141420933},
         "14047891.8016"},
        {{150.92594593763351, -32.918926838485085},
         {-58.454976975917816, 16.27712888632579},
         "16539494.2728"},
        {{-11.703412304532918, -66.53764230649735},
         {-179.99920338392258, 34.93836199862086},
         "16424374.2040"},
        {{162.57722605031046, 58.962156122938296},
         {-177.06424444913864, -63.28058490555832},
         "13706320.7304"},
        {{143.71877022028423, -78.20169537740045},
         {-111.72493010759354, -5.937073569437885},
         "9690716.3302"},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        distance_is(geohash_distance_m(rows[i].a, rows[i].b), rows[i].distance);
    }
    distance_is(0, "0.0000");
    distance_is(0.00004, "0.0000");
    distance_is(0.00006, "0.0001");
    distance_is(65000000.99999, "65000001.0000");
}

/* Scores that ZADD may have put into a set: GEOPOS and GEOHASH answer all the same. */
static void any_score_is_a_position(void **state) {
    (void)state;
    static const struct {
        double score;
        const char *longitude, *latitude, *geohash;
    } rows[] = {
        {-1, "180", "85.0511287799999991", "bp05b5048p0"},
        {0x1p52, "-179.99999731779098511", "85.0511287799999991", "bp05b5048p0"},
        {0x1p54, "-179.99999731779098511", "85.0511287799999991", "bp05b5048p0"},
        {0x1p63, "180", "-85.05112751263942528", "00bh0hbj200"},
        {0x1p64, "-179.99999731779098511", "-85.05112751263942528", "00bh0hbj200"},
        {1e300, "-179.99999731779098511", "-85.05112751263942528", "00bh0hbj200"},
        {-1e300, "180", "-85.05112751263942528", "00bh0hbj200"},
        {INFINITY, "-179.99999731779098511", "-85.05112751263942528", "00bh0hbj200"},
        {-INFINITY, "180", "-85.05112751263942528", "00bh0hbj200"},
        {0.5, "-179.99999731779098511", "-85.05112751263942528", "00bh0hbj200"},
        {13510798882111488, "180", "85.0511287799999991", "bp05b5048p0"},
        {-0x1p63, "180", "-85.05112751263942528", "00bh0hbj200"},
        {1.5e19, "180", "85.0511287799999991", "bp05b5048p0"},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct geohash_position position = geohash_decode(rows[i].score);
        degrees_are(position.longitude, rows[i].longitude);
        degrees_are(position.latitude, rows[i].latitude);
        geohash_is(position, rows[i].geohash);
        assert_true(geohash_is_valid(position));
    }
}

static void only_positions_within_limits_are_valid(void **state) {
    (void)state;
    static const struct {
        double longitude, latitude;
        bool is_valid;
    } rows[] = {{180, 85.05112878, true},
                {-180, -85.05112878, true},
                {180.0000001, 0, false},
                {-180.0000001, 0, false},
                {0, 85.0511288, false},
                {0, -85.0511288, false},
                {NAN, 0, false},
                {0, NAN, false},
                {INFINITY, 0, false},
                {0, -INFINITY, false},
                {0, 0, true}};
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct geohash_position position = {rows[i].longitude, rows[i].latitude};
        assert_int_equal(geohash_is_valid(position), rows[i].is_valid);
    }
}

static void units_are_words_in_any_case(void **state) {
    (void)state;
    double metres = 0;
    assert_true(geohash_parse_unit(SLICE("m"), &metres) && metres == 1);
    assert_true(geohash_parse_unit(SLICE("KM"), &metres) && metres == 1000);
    assert_true(geohash_parse_unit(SLICE("fT"), &metres) && metres == 0.3048);
    assert_true(geohash_parse_unit(SLICE("Mi"), &metres) && metres == 1609.34);
    static const char *const others[] = {"", "yd", "metre", "mil", "k", "m "};
    for (unsigned i = 0; i < 6; i++) {
        assert_false(geohash_parse_unit(slice_of(others[i]), &metres));
    }
    assert_true(metres == 1609.34);
}

/* ---- search ---- */

static bool ranges_have(const struct geohash_range *ranges, unsigned count, double score) {
    bool found = false;
    for (unsigned i = 0; i < count; i++) {
        require(ranges[i].min < ranges[i].max);
        require(i == 0 || ranges[i - 1].max < ranges[i].min);
        found = found || (ranges[i].min <= score && score < ranges[i].max);
    }
    return found;
}

/* GEOSEARCH .. ASC WITHDIST over all places: "number:distance number:distance ...". Those on the
 * upper limits (numbers 1, 3, 4) are left out: redis-server does not find them from elsewhere. */
static void searches_are_as_in_redis(void **state) {
    (void)state;
    static const struct {
        double longitude, latitude;
        enum geohash_shape_kind kind;
        double size, height; /* in units */
        const char *unit, *expected;
    } rows[] = {
        {-61.6046, -70.0798, GEOHASH_CIRCLE, 4051772.23, 0, "m",
         "9:1722403.8339 2:2522398.2506 22:3198211.6766 20:3572020.2504 13:3950743.4925"},
        {117.8502, 70.8664, GEOHASH_BOX, 12527.44, 18417.03, "km",
         "12:2224.1910 18:2893.1472 7:4119.2680 23:6760.8397"},
        {171.0662, -25.2597, GEOHASH_CIRCLE, 11418179.81, 0, "ft",
         "11:5580356.9770 8:7024841.3248"},
        {38.0131, -42.8731, GEOHASH_BOX, 3936.23, 2073.91, "mi", "20:1769.7574"},
        {174.5392, -76.1205, GEOHASH_CIRCLE, 4846847.81, 0, "m",
         "2:997168.7423 17:1775070.7809 19:3134946.5875 15:3905211.4956 9:4813995.6643"},
        {1.4452, 10.6793, GEOHASH_BOX, 4835.31, 7012.09, "km", "0:1198.5209 14:1198.5212"},
        {11.2231, -82.0811, GEOHASH_CIRCLE, 9901809.26, 0, "ft", "2:4674266.0459"},
        {72.3599, -44.216, GEOHASH_BOX, 5327.61, 2508.98, "mi",
         "15:1694.6461 19:2239.6171 16:2375.0087"},
        {121.5436, -57.5409, GEOHASH_CIRCLE, 1020516.8, 0, "m", "19:216417.5371"},
        {-161.8125, 62.4327, GEOHASH_BOX, 8681.32, 10011.63, "km", "21:2246.4643 12:3619.0281"},
        {168.094, 13.0148, GEOHASH_CIRCLE, 21933563.31, 0, "ft",
         "10:4241204.2006 11:10259277.7555 7:12466145.2821 23:15654147.0060 8:18086405.9889 "
         "21:20610769.8041"},
        {134.6025, -81.8887, GEOHASH_BOX, 2981.72, 691.35, "mi", "2:401.9725"},
        {-26.9407, -66.5572, GEOHASH_CIRCLE, 5367761.74, 0, "m",
         "22:1802620.1156 20:2119288.0531 9:2492056.6342 2:3107615.5070 13:4096648.8911"},
        {-77.8323, 64.1302, GEOHASH_BOX, 5565.97, 11568.08, "km", "6:2616.4271 12:3045.6287"},
        {-35.1898, 64.1383, GEOHASH_CIRCLE, 16823912.57, 0, "ft",
         "5:8064524.1585 12:8664210.8906 6:11814185.7773 18:14644005.9250"},
        {124.3602, -36.802, GEOHASH_BOX, 11281.99, 804.14, "mi", "16:471.7393 8:1522.2248"},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        double metres = unit_metres(rows[i].unit);
        struct geohash_shape shape = {.center = {rows[i].longitude, rows[i].latitude},
                                      .kind = rows[i].kind,
                                      .radius_m = rows[i].size * metres,
                                      .width_m = rows[i].size * metres,
                                      .height_m = rows[i].height * metres};
        struct geohash_range ranges[GEOHASH_RANGES_MAX];
        unsigned count = geohash_cover(&shape, ranges), found = 0, expected = 0;
        for (const char *at = rows[i].expected; *at != '\0'; at++) {
            expected += *at == ':';
        }
        for (unsigned j = 0; j < PLACES; j++) {
            double score = geohash_encode(place_position(j)), distance;
            if (score >= 0x1p52 || !ranges_have(ranges, count, score) ||
                !geohash_contains(&shape, geohash_decode(score), &distance)) {
                continue;
            }
            char digits[GEOHASH_DISTANCE_BYTES_MAX], text[64], padded[512];
            size_t size = geohash_format_distance(digits, distance / metres);
            (void)snprintf(text, sizeof(text), " %u:%.*s ", j, (int)size, digits);
            (void)snprintf(padded, sizeof(padded), " %s ", rows[i].expected);
            assert_non_null(strstr(padded, text));
            found++;
        }
        assert_int_equal(found, expected);
    }
}

/* ---- properties ---- */

static double pick(struct prng *prng, double low, double high) {
    return low + prng_unit(prng) * (high - low);
}

/* Anywhere; near and on the limits as well. */
static struct geohash_position pick_position(struct prng *prng) {
    struct geohash_position position = {pick(prng, -180, 180), pick(prng, -85.05, 85.05)};
    double sign = prng_below(prng, 2) == 0 ? 1 : -1;
    double little = pow(10, pick(prng, -9, 1));
    switch (prng_below(prng, 10)) {
    case 0:
        position.longitude = sign * (GEOHASH_LONGITUDE_MAX - little);
        break;
    case 1:
        position.latitude = sign * (GEOHASH_LATITUDE_MAX - little);
        break;
    case 2:
        position.longitude = sign * GEOHASH_LONGITUDE_MAX;
        break;
    case 3:
        position.latitude = sign * GEOHASH_LATITUDE_MAX;
        break;
    case 4:
        position = (struct geohash_position){45 * sign * (double)prng_below(prng, 5), 0};
        break;
    default:
        break;
    }
    return position;
}

static void positions_stay_in_their_cell(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "positions_stay_in_their_cell", 0);
    for (unsigned i = 0; i < 100000; i++) {
        struct geohash_position position = pick_position(&prng);
        double score = geohash_encode(position);
        require(score >= 0 && score < 0x1p54 && score == floor(score));
        struct geohash_position middle = geohash_decode(score);
        /* Half a step, and rounding. Beside a longitude of 180 degrees a double has no room for the
         * last bit of the latitude. */
        double rows = score < 0x1p53 ? 1 : 3;
        require(fabs(middle.longitude - position.longitude) <= 180 * 0x1p-26 + 1e-12);
        require(fabs(middle.latitude - position.latitude) <= rows * 85.05112878 * 0x1p-26 + 1e-12);
        require(geohash_encode(middle) == score);
        /* A place a good step further, or two, has another score. */
        struct geohash_position next = {middle.longitude, middle.latitude + rows * 2.6e-6};
        require(!geohash_is_valid(next) || geohash_encode(next) != score);
    }
}

static struct geohash_shape pick_shape(struct prng *prng) {
    struct geohash_shape shape = {.center = pick_position(prng),
                                  .kind = prng_below(prng, 2) == 0 ? GEOHASH_CIRCLE : GEOHASH_BOX};
    /* From a tenth of a metre to more than the way around. */
    shape.radius_m = pow(10, pick(prng, -1, 7.4));
    shape.width_m = pow(10, pick(prng, -1, 7.8));
    shape.height_m = pow(10, pick(prng, -1, 7.5));
    if (prng_below(prng, 50) == 0) {
        shape.radius_m = prng_below(prng, 2) == 0 ? 0 : INFINITY;
        shape.width_m = prng_below(prng, 2) == 0 ? 0 : INFINITY;
    }
    if (prng_below(prng, 50) == 0) {
        shape.height_m = prng_below(prng, 2) == 0 ? 0 : INFINITY;
    }
    return shape;
}

/* A place at a distance and a direction from the centre; outside the limits, the centre. */
static struct geohash_position place_around(struct geohash_position center, double distance_m,
                                            double bearing) {
    const double radians = acos(-1) / 180;
    double angle = distance_m / 6372797.560856, latitude = center.latitude * radians;
    double sine = sin(latitude) * cos(angle) + cos(latitude) * sin(angle) * cos(bearing);
    double turn =
        atan2(sin(bearing) * sin(angle) * cos(latitude), cos(angle) - sin(latitude) * sine);
    struct geohash_position place = {remainder(center.longitude + turn / radians, 360),
                                     asin(sine) / radians};
    return geohash_is_valid(place) ? place : center;
}

/* Most often close to the border of the shape, and at its corners. */
static struct geohash_position pick_around(struct prng *prng, const struct geohash_shape *shape) {
    if (prng_below(prng, 4) == 0) {
        return pick_position(prng);
    }
    double full = 2 * acos(-1), share = 1 - pow(10, pick(prng, -12, 0));
    if (shape->kind == GEOHASH_CIRCLE) {
        double bearing =
            prng_below(prng, 2) == 0 ? pick(prng, 0, full) : full / 4 * (double)prng_below(prng, 4);
        return place_around(shape->center, fmin(shape->radius_m, 2.1e7) * share, bearing);
    }
    double north = fmin(shape->height_m / 2, 2e7) * share * (prng_below(prng, 2) == 0 ? 1 : -1);
    struct geohash_position place = place_around(shape->center, north, 0);
    /* Along the circle of latitude, so that the chord has the length wanted. */
    double width = fmin(shape->width_m / 2, 2e7) * (1 - pow(10, pick(prng, -12, 0)));
    double sine = sin(width / 2 / 6372797.560856) / cos(place.latitude * full / 360);
    double turn = 2 * asin(fmin(sine, 1)) * 360 / full;
    turn = prng_below(prng, 2) == 0 ? turn : -turn;
    place.longitude = remainder(shape->center.longitude + turn, 360);
    return place;
}

static void covers_miss_nothing_inside(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "covers_miss_nothing_inside", 0);
    unsigned inside = 0, limits = 0, polar = 0, across = 0;
    for (unsigned i = 0; i < 10000; i++) {
        struct geohash_shape shape = pick_shape(&prng);
        struct geohash_range ranges[GEOHASH_RANGES_MAX];
        unsigned count = geohash_cover(&shape, ranges);
        require(count >= 1 && count <= GEOHASH_RANGES_MAX);
        require(ranges_have(ranges, count, geohash_encode(shape.center)));
        for (unsigned j = 0; j < 40; j++) {
            double score = geohash_encode(pick_around(&prng, &shape)), distance;
            struct geohash_position position = geohash_decode(score);
            if (!geohash_contains(&shape, position, &distance)) {
                continue;
            }
            require(distance >= 0);
            require(ranges_have(ranges, count, score));
            inside++;
            limits += score >= 0x1p52;
            polar += fabs(position.latitude) > 84;
            across += fabs(position.longitude - shape.center.longitude) > 180;
        }
    }
    printf("%u inside; %u on the limits, %u polar, %u across the meridian\n", inside, limits, polar,
           across);
    assert_true(inside > 100000 && limits > 3000 && polar > 3000 && across > 3000);
}

/* And they are not simply everything: in inhabited latitudes a circle's ranges are within a few
 * times the square around it. */
static void covers_are_tight(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "covers_are_tight", 0);
    double most = 0;
    for (unsigned i = 0; i < 20000; i++) {
        struct geohash_shape shape = {.center = {pick(&prng, -170, 170), pick(&prng, -60, 60)},
                                      .kind = GEOHASH_CIRCLE,
                                      .radius_m = pow(10, pick(&prng, 1.5, 5.5))};
        struct geohash_range ranges[GEOHASH_RANGES_MAX];
        unsigned count = geohash_cover(&shape, ranges);
        double covered = 0;
        for (unsigned j = 0; j < count; j++) {
            covered += ranges[j].max - ranges[j].min;
        }
        double side = 2 * shape.radius_m / 6372797.560856 * 180 / acos(-1);
        double square = side / 360 / cos(shape.center.latitude * acos(-1) / 180) * side /
                        (2 * GEOHASH_LATITUDE_MAX) * 0x1p52;
        most = fmax(most, covered / square);
    }
    printf("at most %.1f squares\n", most);
    assert_true(most < 20);
}

/* Around the meridian of 180 degrees: from either side, and on it, where scores are far away. */
static void the_meridian_parts_nothing(void **state) {
    (void)state;
    static const double longitudes[] = {180, -180, 179.9999, -179.9999};
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned kind = 0; kind < 2; kind++) {
            struct geohash_shape shape = {.center = {longitudes[i], 10},
                                          .kind = kind == 0 ? GEOHASH_CIRCLE : GEOHASH_BOX,
                                          .radius_m = 100,
                                          .width_m = 200,
                                          .height_m = 200};
            struct geohash_range ranges[GEOHASH_RANGES_MAX];
            unsigned count = geohash_cover(&shape, ranges);
            for (unsigned j = 0; j < 4; j++) {
                struct geohash_position place = {longitudes[j], 10.0001};
                double score = geohash_encode(place), distance;
                assert_true(geohash_contains(&shape, geohash_decode(score), &distance));
                assert_true(ranges_have(ranges, count, score));
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(palermo_and_catania),
        cmocka_unit_test(places_are_as_in_redis),
        cmocka_unit_test(halves_go_to_the_even_side),
        cmocka_unit_test(any_score_is_a_position),
        cmocka_unit_test(only_positions_within_limits_are_valid),
        cmocka_unit_test(units_are_words_in_any_case),
        cmocka_unit_test(searches_are_as_in_redis),
        cmocka_unit_test(positions_stay_in_their_cell),
        cmocka_unit_test(covers_miss_nothing_inside),
        cmocka_unit_test(covers_are_tight),
        cmocka_unit_test(the_meridian_parts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
