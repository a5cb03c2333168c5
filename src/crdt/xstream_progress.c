/* SPDX-License-Identifier: BSD-3-Clause */
#include "crdt/xstream_progress.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/memory.h"
#include "base/mutation.h"

static size_t reached_count(const struct xstream_progress *progress) {
    return progress->reached.size / sizeof(struct xstream_reached);
}

static struct xstream_reached *reached_at(const struct xstream_progress *progress, size_t index) {
    return (struct xstream_reached *)(void *)progress->reached.data + index;
}

void xstream_progress_deinit(struct xstream_progress *progress) {
    buffer_deinit(&progress->reached);
    *progress = (struct xstream_progress){0};
}

/* Where the origin is, or belongs. */
static size_t find(const struct xstream_progress *progress, uint64_t origin) {
    size_t low = 0, high = reached_count(progress);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (reached_at(progress, middle)->origin < origin) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const struct xstream_progress *progress, size_t index, uint64_t origin) {
    return index < reached_count(progress) && reached_at(progress, index)->origin == origin;
}

bool xstream_progress_has(const struct xstream_progress *progress, uint64_t origin,
                          struct xstream_id id) {
    if (xstream_id_compare(id, progress->floor) <= 0) {
        return true;
    }
    size_t index = find(progress, origin);
    return is_at(progress, index, origin) &&
           xstream_id_compare(id, reached_at(progress, index)->id) <= 0;
}

bool xstream_progress_covers(const struct xstream_progress *progress,
                             const struct xstream_progress *other) {
    bool covers = xstream_id_compare(progress->floor, other->floor) >= 0;
    for (size_t i = 0; i < reached_count(other) && covers; i++) {
        covers =
            xstream_progress_has(progress, reached_at(other, i)->origin, reached_at(other, i)->id);
    }
    return covers;
}

bool xstream_progress_is_plain(const struct xstream_progress *progress, struct xstream_id last_id) {
    return reached_count(progress) == 0 && xstream_id_compare(progress->floor, last_id) == 0;
}

/* ---- growing ---- */

void xstream_progress_reach(struct xstream_progress *progress, uint64_t origin,
                            struct xstream_id id) {
    size_t index = find(progress, origin);
    struct xstream_reached reached = {.origin = origin, .id = id};
    if (mutation(ONE_CURSOR)) {
        xstream_progress_raise_floor(progress, id);
    }
    if (xstream_id_compare(id, progress->floor) <= 0) {
        return;
    }
    if (is_at(progress, index, origin)) {
        if (xstream_id_compare(id, reached_at(progress, index)->id) > 0) {
            reached_at(progress, index)->id = id;
        }
        return;
    }
    (void)buffer_reserve(&progress->reached, sizeof(reached));
    progress->reached.size += sizeof(reached);
    struct xstream_reached *at = reached_at(progress, index);
    memmove(at + 1, at, (reached_count(progress) - index - 1) * sizeof(reached));
    *at = reached;
}

void xstream_progress_raise_floor(struct xstream_progress *progress, struct xstream_id id) {
    size_t kept = 0, count = reached_count(progress);
    if (xstream_id_compare(id, progress->floor) <= 0) {
        return;
    }
    progress->floor = id;
    for (size_t i = 0; i < count; i++) {
        if (xstream_id_compare(reached_at(progress, i)->id, id) > 0) {
            *reached_at(progress, kept++) = *reached_at(progress, i);
        }
    }
    progress->reached.size = kept * sizeof(struct xstream_reached);
}

bool xstream_progress_is_full(const struct xstream_progress *progress) {
    size_t fold_at =
        progress->fold_at == 0 ? (size_t)XSTREAM_PROGRESS_ORIGINS_MAX : progress->fold_at;
    return reached_count(progress) > fold_at;
}

static int compare_ids(const void *a, const void *b) {
    return xstream_id_compare(*(const struct xstream_id *)a, *(const struct xstream_id *)b);
}

void xstream_progress_fold(struct xstream_progress *progress, struct xstream_id id,
                           bool (*can_write)(void *udata, uint64_t origin), void *udata) {
    enum { KEPT = XSTREAM_PROGRESS_ORIGINS_MAX / 2 };
    size_t count = reached_count(progress), folded = 0;
    struct xstream_id *ids = memory_alloc((count + 1) * sizeof(*ids));
    for (size_t i = 0; i < count; i++) {
        const struct xstream_reached *reached = reached_at(progress, i);
        if (xstream_id_compare(reached->id, id) <= 0 && !can_write(udata, reached->origin)) {
            ids[folded++] = reached->id;
        }
    }
    qsort(ids, folded, sizeof(*ids), compare_ids);
    if (count > KEPT && folded > count - KEPT) {
        folded = count - KEPT;
    }
    if (count > KEPT && folded > 0) {
        xstream_progress_raise_floor(progress, ids[folded - 1]);
    }
    memory_free(ids);
    /* Where nearly all of them write, trying again has to wait for more of them. */
    count = 2 * reached_count(progress);
    progress->fold_at = count > XSTREAM_PROGRESS_ORIGINS_MAX ? count : XSTREAM_PROGRESS_ORIGINS_MAX;
}

/* ---- as bytes ---- */

static void put_id(struct buffer *out, struct xstream_id id) {
    codec_put_varint(out, id.ms);
    codec_put_varint(out, id.sequence);
}

static bool take_id(struct slice *bytes, struct xstream_id *id) {
    return varint_take(bytes, &id->ms) && varint_take(bytes, &id->sequence);
}

void xstream_progress_put(struct buffer *out, const struct xstream_progress *progress) {
    put_id(out, progress->floor);
    for (size_t i = 0; i < reached_count(progress); i++) {
        codec_put_varint(out, reached_at(progress, i)->origin);
        put_id(out, reached_at(progress, i)->id);
    }
}

void xstream_progress_join(struct xstream_progress *progress, struct xstream_id last_id,
                           struct slice value) {
    struct xstream_reached reached;
    if (!take_id(&value, &reached.id)) {
        xstream_progress_raise_floor(progress, last_id);
        return;
    }
    xstream_progress_raise_floor(progress, reached.id);
    uint64_t previous = 0;
    for (unsigned i = 0; i < XSTREAM_PROGRESS_TAKEN_MAX; i++) {
        if (!varint_take(&value, &reached.origin) || !take_id(&value, &reached.id) ||
            (i > 0 && reached.origin <= previous)) {
            return;
        }
        previous = reached.origin;
        xstream_progress_reach(progress, reached.origin, reached.id);
    }
}

/* ---- introspection ---- */

void xstream_progress_check(const struct xstream_progress *progress) {
    for (size_t i = 0; i < reached_count(progress); i++) {
        require(xstream_id_compare(reached_at(progress, i)->id, progress->floor) > 0);
        require(i == 0 || reached_at(progress, i - 1)->origin < reached_at(progress, i)->origin);
    }
}
