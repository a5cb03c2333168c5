/* SPDX-License-Identifier: BSD-3-Clause */
/* Positions as a peer brings them: two byte strings. What is accepted has a place between it and
 * its neighbour, even where it says that it was made by this very replica, or in the far future.
 *
 *   input: choice byte | size of the first string | first string | second string */
#include "base/check.h"
#include "crdt/list_position.h"

static struct list_positions positions;

static void put_between(struct slice left, struct slice right, uint64_t ticks) {
    struct list_position made[6];
    for (unsigned i = 0; i < 6; i++) {
        if (list_position_between(&positions, ticks + i, left, right, false, &made[i]) !=
            LIST_POSITION_OK) {
            return;
        }
        struct slice name = list_position_slice(&made[i]);
        require(list_position_is_valid(name));
        require(slice_compare(left, name) < 0);
        require(right.size == 0 || slice_compare(name, right) < 0);
        *(i % 2 == 0 ? &left : &right) = name;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    unsigned choice = data[0];
    struct slice rest = slice_make(data + 2, size - 2);
    size_t first_size = data[1] < rest.size ? data[1] : rest.size;
    struct slice a = slice_make(rest.data, first_size), b = slice_skip(rest, first_size);
    uint64_t ref = 1, ticks = UINT64_C(1) << (choice >> 2 & 31);
    for (unsigned i = 7; i < 15 && (choice & 1) != 0 && i < a.size; i++) {
        ref = ref << 8 | (uint8_t)a.data[i];
    }
    list_positions_init(&positions, ref != 0 ? ref : 1);
    bool is_a = list_position_is_valid(a), is_b = list_position_is_valid(b);
    struct slice none = {"", 0};
    if (is_a && is_b && slice_compare(a, b) != 0) {
        bool is_less = slice_compare(a, b) < 0;
        put_between(is_less ? a : b, is_less ? b : a, ticks);
    }
    if (is_a) {
        put_between((choice & 2) != 0 ? a : none, (choice & 2) != 0 ? none : a, ticks + 10);
    }
    return 0;
}
