/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a good part of the elements is wanted, one walk takes each with the chance that makes all
 * choices equally likely: wanted / left. Where few are wanted of many, they are drawn one by one,
 * and what comes twice is drawn again. */
#include "store/elements_sample.h"

#include "containers/slice_set.h"

enum {
    /* Of that many elements or fewer for each one wanted, all are walked. */
    SAMPLE_WALK_RATIO = 4,
    /* Draws for each one wanted: far more than needed unless nearly all are expired. */
    SAMPLE_DRAWS_MAX = 64,
};

/* ---- by a walk ---- */

struct sample_walk {
    struct prng *prng;
    uint64_t wanted, left;
    element_fn each;
    void *udata;
};

static void sample_visit(void *udata, const struct element *element) {
    struct sample_walk *walk = (struct sample_walk *)udata;
    if (walk->wanted > 0 && prng_below(walk->prng, walk->left) < walk->wanted) {
        walk->wanted--;
        walk->each(walk->udata, element);
    }
    walk->left -= walk->left > 1;
}

static void count_visit(void *udata, const struct element *element) {
    (void)element;
    *(uint64_t *)udata += 1;
}

/* How many elements are shown: fewer than are counted where some have expired. */
static uint64_t count_shown(const struct store *store, const struct elements *elements) {
    uint64_t count = 0;
    if (elements->collection == NULL || !elements->collection->is_expiring) {
        return elements->count;
    }
    elements_each(store, elements, count_visit, &count);
    return count;
}

/* ---- by drawing ---- */

struct sample_rest {
    struct slice_set *drawn;
    uint64_t count;
    element_fn each;
    void *udata;
};

static void rest_visit(void *udata, const struct element *element) {
    struct sample_rest *rest = (struct sample_rest *)udata;
    if (rest->drawn->count < rest->count && slice_set_add(rest->drawn, element->name)) {
        rest->each(rest->udata, element);
    }
}

static enum store_status sample_draw(struct store *store, const struct elements *elements,
                                     uint64_t count, element_fn each, void *udata) {
    struct slice_set drawn;
    struct element element;
    slice_set_init(&drawn, store->element_seed);
    slice_set_expect(&drawn, count);
    bool has_room = !drawn.is_out_of_memory;
    for (uint64_t draws = 0; has_room && drawn.count < count && draws / SAMPLE_DRAWS_MAX < count;
         draws++) {
        if (!elements_random(store, elements, &element)) {
            break;
        }
        if (slice_set_add(&drawn, element.name)) {
            each(udata, &element);
        }
    }
    if (has_room && drawn.count < count) {
        /* Hardly any is left that has not expired: whatever there is. */
        struct sample_rest rest = {.drawn = &drawn, .count = count, .each = each, .udata = udata};
        elements_each(store, elements, rest_visit, &rest);
    }
    slice_set_deinit(&drawn);
    return has_room ? STORE_OK : STORE_OUT_OF_MEMORY;
}

enum store_status elements_sample(struct store *store, const struct elements *elements,
                                  uint64_t count, element_fn each, void *udata) {
    if (count >= elements->count) {
        elements_each(store, elements, each, udata);
        return STORE_OK;
    }
    if (elements->collection != NULL && count < elements->count / SAMPLE_WALK_RATIO) {
        return sample_draw(store, elements, count, each, udata);
    }
    struct sample_walk walk = {.prng = &store->prng,
                               .wanted = count,
                               .left = count_shown(store, elements),
                               .each = each,
                               .udata = udata};
    elements_each(store, elements, sample_visit, &walk);
    return STORE_OK;
}
