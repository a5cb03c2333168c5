/* SPDX-License-Identifier: BSD-3-Clause */
/* The allocator: size classes waste nothing, blocks are aligned, and what cannot be had is NULL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/memory.h"

const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}

static void classes_round_up_a_little(void **state) {
    (void)state;
    size_t before = 0;
    for (size_t size = 0; size < 200000; size++) {
        size_t bytes = memory_class_bytes(size);
        require(bytes >= size && bytes >= 16);
        require(bytes % 16 == 0);
        require(bytes >= before);
        require(memory_class_bytes(bytes) == bytes);
        /* Up to 128 the next 16; then at most a fifth more. */
        require(size > 128 ? bytes - size <= size / 4 : bytes - size <= 16);
        before = bytes;
    }
    assert_int_equal(memory_class_bytes(129), 160);
    assert_int_equal(memory_class_bytes(257), 320);
    assert_int_equal(memory_class_bytes(1024), 1024);
    assert_int_equal(memory_class_bytes(1025), 1280);
}

static void blocks_are_aligned_and_of_their_class(void **state) {
    (void)state;
    for (size_t size = 1; size < 5000; size += 7) {
        size_t bytes = memory_class_bytes(size);
        char *block = memory_alloc(bytes);
        assert_int_equal((uintptr_t)block % 16, 0);
        size_t usable = memory_usable_bytes(block);
        assert_true(usable >= bytes);
#ifdef STARLING_JEMALLOC
        assert_int_equal(usable, bytes);
#endif
        memory_free_sized(block, bytes);
    }
    char *zeros = memory_alloc_zero(100);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(zeros[i], 0);
    }
    memory_free(zeros);
    memory_free(NULL);
    /* Nothing is a block, too. */
    char *nothing = memory_alloc(0);
    assert_non_null(nothing);
    nothing = memory_resize(nothing, 0);
    assert_non_null(nothing);
    memory_free_sized(nothing, 0);
}

static void what_cannot_be_had_is_null(void **state) {
    (void)state;
    char *block = memory_alloc(10);
    memcpy(block, "0123456789", 10);
    size_t huge = SIZE_MAX / 4;
    assert_null(memory_try_alloc(huge));
    assert_null(memory_try_alloc_zero(huge));
    assert_null(memory_try_resize(block, huge));
    assert_memory_equal(block, "0123456789", 10);
    memory_free(block);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_round_up_a_little),
        cmocka_unit_test(blocks_are_aligned_and_of_their_class),
        cmocka_unit_test(what_cannot_be_had_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
