/* SPDX-License-Identifier: BSD-3-Clause */
/* Places on the earth, as members of a sorted set whose scores are their positions
 * (base/geohash.h). */
#include <stdlib.h>

#include "base/geohash.h"
#include "commands/scored_members.h"

#define BAD_UNIT "ERR unsupported unit provided. please use M, KM, FT, MI"

/* ---- arguments ---- */

static bool parse_double(struct command_context *ctx, size_t index, double *value,
                         const char *error) {
    if (number_parse_double(ctx->args[index], value)) {
        return true;
    }
    reply_error(ctx->reply, error);
    return false;
}

/* Longitude and latitude at arguments `index` and the next. */
static bool parse_position(struct command_context *ctx, size_t index,
                           struct geohash_position *position) {
    if (!parse_double(ctx, index, &position->longitude, COMMAND_NOT_FLOAT) ||
        !parse_double(ctx, index + 1, &position->latitude, COMMAND_NOT_FLOAT)) {
        return false;
    }
    if (geohash_is_valid(*position)) {
        return true;
    }
    reply_errorf(ctx->reply, "ERR invalid longitude,latitude pair %f,%f", position->longitude,
                 position->latitude);
    return false;
}

static bool parse_unit(struct command_context *ctx, size_t index, double *metres) {
    if (geohash_parse_unit(ctx->args[index], metres)) {
        return true;
    }
    reply_error(ctx->reply, BAD_UNIT);
    return false;
}

/* The elements of the sorted set at argument `index`, none if it is absent; false, with the error
 * written, when it is of another type. */
static bool read_places(struct command_context *ctx, size_t index, struct elements *elements,
                        bool *is_there) {
    struct key key = command_key(ctx, index);
    enum store_status status = elements_read(ctx->store, &key, VALUE_SORTED_SET, elements);
    *is_there = status == STORE_OK;
    if (status == STORE_WRONG_TYPE) {
        command_reply_status(ctx, status);
        return false;
    }
    return true;
}

/* ---- replies ---- */

static void reply_degrees(struct reply *reply, double degrees) {
    char text[NUMBER_FLOAT_BYTES_MAX];
    struct slice bytes = slice_make(text, geohash_format_degrees(text, degrees));
    if (reply->protocol < 3) {
        reply_bulk(reply, bytes);
        return;
    }
    reply_raw(reply, SLICE(","));
    reply_raw(reply, bytes);
    reply_raw(reply, SLICE("\r\n"));
}

static void reply_position(struct reply *reply, double score) {
    struct geohash_position position = geohash_decode(score);
    reply_array(reply, 2);
    reply_degrees(reply, position.longitude);
    reply_degrees(reply, position.latitude);
}

static void reply_distance(struct reply *reply, double distance) {
    char text[GEOHASH_DISTANCE_BYTES_MAX];
    reply_bulk(reply, slice_make(text, geohash_format_distance(text, distance)));
}

/* ---- GEOADD ---- */

/* GEOADD key [NX | XX] [CH] longitude latitude member [longitude latitude member ...] */
static void cmd_geoadd(struct command_context *ctx) {
    unsigned flags;
    size_t first = sorted_set_add_options(ctx, SORTED_SET_ADD_CH, &flags);
    size_t count = (ctx->args_count - first) / 3;
    bool are_opposed = (flags & SORTED_SET_ADD_NX) != 0 && (flags & SORTED_SET_ADD_XX) != 0;
    if (count == 0 || (ctx->args_count - first) % 3 != 0 || are_opposed) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    double *scores = memory_alloc(count * sizeof(*scores));
    size_t read = 0;
    struct geohash_position position;
    while (read < count && parse_position(ctx, first + 3 * read, &position)) {
        scores[read++] = geohash_encode(position);
    }
    if (read == count) {
        sorted_set_add(ctx, flags, scores, first + 2, 3, count);
    }
    memory_free(scores);
}

/* ---- GEOPOS, GEOHASH, GEODIST ---- */

/* Replies with something about each member that is asked for, and with a null for those that are
 * not there: for RESP2 a null of an array or of a string. */
static void reply_members(struct command_context *ctx,
                          void (*reply_score)(struct reply *reply, double score),
                          void (*reply_absent)(struct reply *reply)) {
    struct elements elements;
    bool is_there;
    if (!read_places(ctx, 1, &elements, &is_there)) {
        return;
    }
    reply_array(ctx->reply, ctx->args_count - 2);
    for (size_t i = 2; i < ctx->args_count; i++) {
        struct element element;
        if (elements_find(ctx->store, &elements, ctx->args[i], &element)) {
            reply_score(ctx->reply, element.score);
        } else {
            reply_absent(ctx->reply);
        }
    }
}

static void reply_geohash(struct reply *reply, double score) {
    char text[GEOHASH_TEXT_BYTES];
    geohash_text(geohash_decode(score), text);
    reply_bulk(reply, slice_make(text, sizeof(text)));
}

/* GEOPOS key [member [member ...]] */
static void cmd_geopos(struct command_context *ctx) {
    reply_members(ctx, reply_position, reply_null_array);
}

/* GEOHASH key [member [member ...]] */
static void cmd_geohash(struct command_context *ctx) {
    reply_members(ctx, reply_geohash, reply_null);
}

/* GEODIST key member1 member2 [M | KM | FT | MI] */
static void cmd_geodist(struct command_context *ctx) {
    struct elements elements;
    struct element a, b;
    double metres = 1;
    bool is_there;
    if (ctx->args_count > 5) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    if ((ctx->args_count == 5 && !parse_unit(ctx, 4, &metres)) ||
        !read_places(ctx, 1, &elements, &is_there)) {
        return;
    }
    if (!elements_find(ctx->store, &elements, ctx->args[2], &a) ||
        !elements_find(ctx->store, &elements, ctx->args[3], &b)) {
        reply_null(ctx->reply);
        return;
    }
    double distance_m = geohash_distance_m(geohash_decode(a.score), geohash_decode(b.score));
    reply_distance(ctx->reply, distance_m / metres);
}

/* ---- searching ---- */

enum geo_form {
    GEO_RADIUS = 1 << 0,        /* GEORADIUS: a position and a radius before the options */
    GEO_RADIUS_MEMBER = 1 << 1, /* GEORADIUSBYMEMBER: a member and a radius */
    GEO_SEARCH = 1 << 2,        /* GEOSEARCH: both are options */
    GEO_READ_ONLY = 1 << 3,     /* no STORE and STOREDIST */
    GEO_SEARCH_STORE = 1 << 4,  /* GEOSEARCHSTORE: the destination comes first */
};

enum geo_sort { GEO_UNSORTED, GEO_ASCENDING, GEO_DESCENDING };

struct place {
    struct slice name;
    double score;
    double distance_m;
};

/* What is asked, and what was found. */
struct geo_search {
    unsigned form;
    struct elements elements;
    bool is_there; /* the key */
    struct geohash_shape shape;
    bool has_center, has_member, has_radius, has_box;
    double metres; /* of the unit */
    bool with_distance, with_hash, with_position;
    enum geo_sort sort;
    uint64_t count; /* 0: all */
    bool is_any;
    size_t store_at; /* argument; 0: nowhere */
    bool stores_distance;

    struct place *places;
    size_t places_count, places_capacity;
    bool is_out_of_memory;
};

static bool parse_center_member(struct command_context *ctx, size_t at, struct geo_search *search) {
    struct element element;
    if (!search->is_there) {
        return true; /* nothing will be found */
    }
    if (!elements_find(ctx->store, &search->elements, ctx->args[at], &element)) {
        reply_error(ctx->reply, "ERR could not decode requested zset member");
        return false;
    }
    search->shape.center = geohash_decode(element.score);
    return true;
}

/* A radius and its unit at arguments `at` and the next. */
static bool parse_radius(struct command_context *ctx, size_t at, struct geo_search *search) {
    double radius;
    if (!parse_double(ctx, at, &radius, "ERR need numeric radius")) {
        return false;
    }
    if (radius < 0) {
        reply_error(ctx->reply, "ERR radius cannot be negative");
        return false;
    }
    if (!parse_unit(ctx, at + 1, &search->metres)) {
        return false;
    }
    search->shape.kind = GEOHASH_CIRCLE;
    search->shape.radius_m = radius * search->metres;
    return true;
}

/* Width, height and their unit. */
static bool parse_box(struct command_context *ctx, size_t at, struct geo_search *search) {
    double width, height;
    if (!parse_double(ctx, at, &width, "ERR need numeric width") ||
        !parse_double(ctx, at + 1, &height, "ERR need numeric height")) {
        return false;
    }
    if (width < 0 || height < 0) {
        reply_error(ctx->reply, "ERR height or width cannot be negative");
        return false;
    }
    if (!parse_unit(ctx, at + 2, &search->metres)) {
        return false;
    }
    search->shape.kind = GEOHASH_BOX;
    search->shape.width_m = width * search->metres;
    search->shape.height_m = height * search->metres;
    return true;
}

static bool parse_count(struct command_context *ctx, size_t at, struct geo_search *search) {
    int64_t count;
    if (!command_integer(ctx, at, &count, NULL)) {
        return false;
    }
    if (count <= 0) {
        reply_error(ctx->reply, "ERR COUNT must be > 0");
        return false;
    }
    search->count = (uint64_t)count;
    return true;
}

/* Options that have no arguments; false when it is none of them. */
static bool parse_plain_option(struct command_context *ctx, size_t at, struct geo_search *search) {
    if (command_word(ctx, at, "withdist")) {
        search->with_distance = true;
    } else if (command_word(ctx, at, "withhash")) {
        search->with_hash = true;
    } else if (command_word(ctx, at, "withcoord")) {
        search->with_position = true;
    } else if (command_word(ctx, at, "any")) {
        search->is_any = true;
    } else if (command_word(ctx, at, "asc")) {
        search->sort = GEO_ASCENDING;
    } else if (command_word(ctx, at, "desc")) {
        search->sort = GEO_DESCENDING;
    } else if ((search->form & GEO_SEARCH_STORE) != 0 && command_word(ctx, at, "storedist")) {
        search->stores_distance = true;
    } else {
        return false;
    }
    return true;
}

/* Options of GEOSEARCH that say where. Returns how many arguments follow the word; 0: it is none of
 * them; -1: it is, and wrong, which is replied. */
static int parse_shape_option(struct command_context *ctx, size_t at, struct geo_search *search) {
    size_t rest = ctx->args_count - at - 1;
    if (rest >= 1 && !search->has_center && command_word(ctx, at, "frommember")) {
        search->has_member = true;
        return parse_center_member(ctx, at + 1, search) ? 1 : -1;
    }
    if (rest >= 2 && !search->has_member && command_word(ctx, at, "fromlonlat")) {
        search->has_center = true;
        return parse_position(ctx, at + 1, &search->shape.center) ? 2 : -1;
    }
    if (rest >= 2 && !search->has_box && command_word(ctx, at, "byradius")) {
        search->has_radius = true;
        return parse_radius(ctx, at + 1, search) ? 2 : -1;
    }
    if (rest >= 3 && !search->has_radius && command_word(ctx, at, "bybox")) {
        search->has_box = true;
        return parse_box(ctx, at + 1, search) ? 3 : -1;
    }
    return 0;
}

/* Reads the options from argument `at` on. */
static bool parse_options(struct command_context *ctx, size_t at, struct geo_search *search) {
    for (; at < ctx->args_count; at++) {
        bool has_next = at + 1 < ctx->args_count;
        bool is_store = command_word(ctx, at, "store");
        int following = 0;
        if (parse_plain_option(ctx, at, search)) {
            continue;
        }
        if (has_next && command_word(ctx, at, "count")) {
            following = parse_count(ctx, at + 1, search) ? 1 : -1;
        } else if (has_next && (search->form & (GEO_SEARCH | GEO_READ_ONLY)) == 0 &&
                   (is_store || command_word(ctx, at, "storedist"))) {
            search->store_at = at + 1;
            search->stores_distance = !is_store;
            following = 1;
        } else if ((search->form & GEO_SEARCH) != 0) {
            following = parse_shape_option(ctx, at, search);
        }
        if (following == 0) {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        }
        if (following <= 0) {
            return false;
        }
        at += (size_t)following;
    }
    return true;
}

/* Do the options go together? */
static bool check_options(struct command_context *ctx, const struct geo_search *search) {
    bool is_search = (search->form & GEO_SEARCH) != 0;
    char name[32];
    size_t size = ctx->args[0].size < sizeof(name) ? ctx->args[0].size : sizeof(name) - 1;
    memcpy(name, ctx->args[0].data, size);
    name[size] = '\0';
    if (search->store_at != 0 &&
        (search->with_distance || search->with_hash || search->with_position)) {
        reply_errorf(ctx->reply,
                     "ERR %s is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
                     is_search ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS");
    } else if (is_search && !search->has_center && !search->has_member) {
        reply_errorf(ctx->reply,
                     "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %s", name);
    } else if (is_search && !search->has_radius && !search->has_box) {
        reply_errorf(ctx->reply, "ERR exactly one of BYRADIUS and BYBOX can be specified for %s",
                     name);
    } else if (search->is_any && search->count == 0) {
        reply_error(ctx->reply, "ERR the ANY argument requires COUNT argument");
    } else {
        return true;
    }
    return false;
}

static bool add_place(struct geo_search *search, const struct place *place) {
    if (search->places_count == search->places_capacity) {
        size_t capacity = search->places_capacity > 0 ? 2 * search->places_capacity : 64;
        struct place *places = memory_try_alloc(capacity * sizeof(*places));
        if (places == NULL) {
            search->is_out_of_memory = true;
            return false;
        }
        if (search->places_count > 0) {
            memcpy(places, search->places, search->places_count * sizeof(*places));
        }
        memory_free(search->places);
        search->places = places;
        search->places_capacity = capacity;
    }
    search->places[search->places_count++] = *place;
    return true;
}

/* Finds what lies in the shape and the range of scores; false when that is enough. */
static bool find_in_range(struct geo_search *search, const struct geohash_range *range) {
    struct score_range scores = {.min = range->min, .max = range->max, .is_max_exclusive = true};
    struct sorted_set_walk walk;
    struct place place;
    sorted_set_walk_init(&walk, &search->elements, sorted_set_by_score(&search->elements, &scores),
                         false);
    while (sorted_set_walk_next(&walk, &place.name, &place.score)) {
        if (geohash_contains(&search->shape, geohash_decode(place.score), &place.distance_m) &&
            (!add_place(search, &place) ||
             (search->is_any && search->places_count == search->count))) {
            return false;
        }
    }
    return true;
}

/* Finds what lies in the shape, first where its centre is: ANY then takes what is near. */
static void find_places(struct geo_search *search) {
    struct geohash_range ranges[GEOHASH_RANGES_MAX];
    unsigned count = geohash_cover(&search->shape, ranges), first = 0;
    double center = geohash_encode(search->shape.center);
    for (unsigned i = 0; i < count; i++) {
        first = ranges[i].min <= center ? i : first;
    }
    for (unsigned i = 0; i < count && find_in_range(search, &ranges[(first + i) % count]); i++) {
    }
}

static int compare_places(const void *left, const void *right) {
    const struct place *a = left, *b = right;
    if (a->distance_m != b->distance_m) {
        return a->distance_m < b->distance_m ? -1 : 1;
    }
    return slice_compare(a->name, b->name);
}

static int compare_places_backward(const void *left, const void *right) {
    return compare_places(right, left);
}

static void sort_places(struct geo_search *search) {
    enum geo_sort sort = search->sort;
    if (search->count > 0 && sort == GEO_UNSORTED && !search->is_any) {
        sort = GEO_ASCENDING; /* the nearest are wanted */
    }
    if (sort != GEO_UNSORTED && search->places_count > 1) {
        qsort(search->places, search->places_count, sizeof(search->places[0]),
              sort == GEO_ASCENDING ? compare_places : compare_places_backward);
    }
    if (search->count > 0 && search->places_count > search->count) {
        search->places_count = search->count;
    }
}

static void reply_places(struct command_context *ctx, const struct geo_search *search) {
    size_t extras = (size_t)search->with_distance + search->with_hash + search->with_position;
    reply_array(ctx->reply, search->places_count);
    for (size_t i = 0; i < search->places_count; i++) {
        const struct place *place = &search->places[i];
        if (extras > 0) {
            reply_array(ctx->reply, 1 + extras);
        }
        reply_bulk(ctx->reply, place->name);
        if (search->with_distance) {
            reply_distance(ctx->reply, place->distance_m / search->metres);
        }
        if (search->with_hash) {
            reply_integer(ctx->reply, (int64_t)place->score);
        }
        if (search->with_position) {
            reply_position(ctx->reply, place->score);
        }
    }
}

static void store_places(struct command_context *ctx, const struct geo_search *search) {
    struct scored_members members = {0};
    for (size_t i = 0; i < search->places_count; i++) {
        const struct place *place = &search->places[i];
        struct scored_member member = {.name = place->name, .score = place->score};
        if (search->stores_distance) {
            member.score = place->distance_m / search->metres;
        }
        scored_members_add(&members, &member);
    }
    scored_members_store(ctx, search->store_at, &members,
                         (search->form & GEO_SEARCH) != 0 ? "geosearchstore" : "georadiusstore");
    scored_members_deinit(&members);
}

/* What comes before the options; returns where they begin, or 0 when the error is written. */
static size_t parse_head(struct command_context *ctx, struct geo_search *search) {
    if ((search->form & GEO_RADIUS) != 0) {
        return parse_position(ctx, 2, &search->shape.center) && parse_radius(ctx, 4, search) ? 6
                                                                                             : 0;
    }
    if ((search->form & GEO_RADIUS_MEMBER) != 0) {
        /* Of an absent key the rest is not looked at. */
        return !search->is_there ||
                       (parse_center_member(ctx, 2, search) && parse_radius(ctx, 3, search))
                   ? 5
                   : 0;
    }
    if ((search->form & GEO_SEARCH_STORE) != 0) {
        search->store_at = 1;
        return 3;
    }
    return 2;
}

static void geo_search(struct command_context *ctx, unsigned form) {
    struct geo_search search = {.form = form, .metres = 1};
    size_t key_at = (form & GEO_SEARCH_STORE) != 0 ? 2 : 1;
    if (!read_places(ctx, key_at, &search.elements, &search.is_there)) {
        return;
    }
    size_t options_at = parse_head(ctx, &search);
    if (options_at == 0 || !parse_options(ctx, options_at, &search) ||
        !check_options(ctx, &search)) {
        return;
    }
    if (search.is_there) {
        find_places(&search);
        sort_places(&search);
    }
    if (search.is_out_of_memory) {
        command_reply_status(ctx, STORE_OUT_OF_MEMORY);
    } else if (search.store_at != 0) {
        store_places(ctx, &search);
    } else {
        reply_places(ctx, &search);
    }
    memory_free(search.places);
}

/* GEORADIUS key longitude latitude radius <M | KM | FT | MI> [options] */
static void cmd_georadius(struct command_context *ctx) {
    geo_search(ctx, GEO_RADIUS);
}

static void cmd_georadius_ro(struct command_context *ctx) {
    geo_search(ctx, GEO_RADIUS | GEO_READ_ONLY);
}

/* GEORADIUSBYMEMBER key member radius <M | KM | FT | MI> [options] */
static void cmd_georadiusbymember(struct command_context *ctx) {
    geo_search(ctx, GEO_RADIUS_MEMBER);
}

static void cmd_georadiusbymember_ro(struct command_context *ctx) {
    geo_search(ctx, GEO_RADIUS_MEMBER | GEO_READ_ONLY);
}

/* GEOSEARCH key <FROM...> <BY...> [options] */
static void cmd_geosearch(struct command_context *ctx) {
    geo_search(ctx, GEO_SEARCH);
}

/* GEOSEARCHSTORE destination source <FROM...> <BY...> [options] */
static void cmd_geosearchstore(struct command_context *ctx) {
    geo_search(ctx, GEO_SEARCH | GEO_SEARCH_STORE);
}

/* The key, and the last one behind STORE or STOREDIST. */
static int radius_keys(const struct slice *args, size_t args_count, int *positions, size_t room) {
    size_t stored = 0;
    for (size_t i = 5; i + 1 < args_count; i++) {
        if (slice_is_word(args[i], "store") || slice_is_word(args[i], "storedist")) {
            stored = ++i;
        }
    }
    if (args_count < 2 || room < 2) {
        return -1;
    }
    positions[0] = 1;
    positions[1] = (int)stored;
    return stored != 0 ? 2 : 1;
}

#define STORE_SPEC(keyword_, from_)                                                                \
    {                                                                                              \
        .flags = KEY_OVERWRITE | KEY_UPDATE, .begin = KEY_BEGIN_KEYWORD, .keyword = (keyword_),    \
        .index = (from_), .step = 1                                                                \
    }
static const struct key_spec radius_specs[] = {KEY_SPEC_ONE(1, KEY_READ_ONLY | KEY_ACCESS),
                                               STORE_SPEC("STORE", 6), STORE_SPEC("STOREDIST", 6),
                                               KEY_SPEC_END};
static const struct key_spec radius_member_specs[] = {KEY_SPEC_ONE(1, KEY_READ_ONLY | KEY_ACCESS),
                                                      STORE_SPEC("STORE", 5),
                                                      STORE_SPEC("STOREDIST", 5), KEY_SPEC_END};

#define READ_ROW                                                                                   \
    .flags = CMD_READ, .keys = {1, 1, 1}, .key_flags = KEY_READ_ONLY | KEY_ACCESS, .group = "geo"
#define RADIUS_ROW                                                                                 \
    .flags = CMD_WRITE | CMD_DENY_OOM | CMD_MOVABLE_KEYS, .keys = {1, 1, 1},                       \
    .key_flags = KEY_READ_ONLY | KEY_ACCESS, .more_key_flags = KEY_OVERWRITE | KEY_UPDATE,         \
    .find_keys = radius_keys, .group = "geo"
#define SEARCH_COST                                                                                \
    "O(N+log(M)) where N is the number of members in the cells that cover the "                    \
    "area and M that of all members."
#define RADIUS_OPTIONS                                                                             \
    "<M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] "                    \
    "[ASC | DESC]"
#define SEARCH_OPTIONS                                                                             \
    "<FROMMEMBER member | FROMLONLAT longitude latitude> "                                         \
    "<BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] "   \
    "[COUNT count [ANY]]"

/* clang-format off */
static const struct command cmd_geo_rows[] = {
    {.name = "geoadd", .handler = cmd_geoadd, .arity = -5, .flags = CMD_WRITE | CMD_DENY_OOM,
     .keys = {1, 1, 1}, .key_flags = KEY_READ_WRITE | KEY_UPDATE, .group = "geo", .since = "3.2.0",
     .cost = "O(log(N)) for each member, where N is the number of members.",
     .syntax = "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
     .summary = "Adds places to a sorted set, or moves them."},
    {.name = "geodist", .handler = cmd_geodist, .arity = -4, READ_ROW, .since = "3.2.0",
     .cost = "O(1)", .syntax = "key member1 member2 [M | KM | FT | MI]",
     .summary = "Returns the distance between two places."},
    {.name = "geohash", .handler = cmd_geohash, .arity = -2, READ_ROW, .since = "3.2.0",
     .cost = "O(N) where N is the number of members asked for.",
     .syntax = "key [member [member ...]]", .summary = "Returns places as geohashes."},
    {.name = "geopos", .handler = cmd_geopos, .arity = -2, READ_ROW, .since = "3.2.0",
     .cost = "O(N) where N is the number of members asked for.",
     .syntax = "key [member [member ...]]",
     .summary = "Returns the longitudes and latitudes of places."},
    {.name = "georadius", .handler = cmd_georadius, .arity = -6, RADIUS_ROW,
     .key_specs = radius_specs, .since = "3.2.0", .cost = SEARCH_COST,
     .syntax = "key longitude latitude radius " RADIUS_OPTIONS " [STORE key | STOREDIST key]",
     .summary = "Finds the places around a position."},
    {.name = "georadius_ro", .handler = cmd_georadius_ro, .arity = -6, READ_ROW,
     .since = "3.2.10", .cost = SEARCH_COST,
     .syntax = "key longitude latitude radius " RADIUS_OPTIONS,
     .summary = "Finds the places around a position, and never stores them."},
    {.name = "georadiusbymember", .handler = cmd_georadiusbymember, .arity = -5, RADIUS_ROW,
     .key_specs = radius_member_specs, .since = "3.2.0", .cost = SEARCH_COST,
     .syntax = "key member radius " RADIUS_OPTIONS " [STORE key | STOREDIST key]",
     .summary = "Finds the places around a member."},
    {.name = "georadiusbymember_ro", .handler = cmd_georadiusbymember_ro, .arity = -5, READ_ROW,
     .since = "3.2.10", .cost = SEARCH_COST, .syntax = "key member radius " RADIUS_OPTIONS,
     .summary = "Finds the places around a member, and never stores them."},
    {.name = "geosearch", .handler = cmd_geosearch, .arity = -7, READ_ROW, .since = "6.2.0",
     .cost = SEARCH_COST, .syntax = "key " SEARCH_OPTIONS " [WITHCOORD] [WITHDIST] [WITHHASH]",
     .summary = "Finds the places in a circle or box."},
    {.name = "geosearchstore", .handler = cmd_geosearchstore, .arity = -8,
     .flags = CMD_WRITE | CMD_DENY_OOM, .keys = {1, 1, 1}, .key_flags = KEY_OVERWRITE | KEY_UPDATE,
     .more_keys = {2, 2, 1}, .more_key_flags = KEY_READ_ONLY | KEY_ACCESS, .group = "geo",
     .since = "6.2.0", .cost = SEARCH_COST,
     .syntax = "destination source " SEARCH_OPTIONS " [STOREDIST]",
     .summary = "Stores the places in a circle or box at a key."},
};
/* clang-format on */

COMMAND_FAMILY(cmd_geo_family, cmd_geo_rows);
