# SPDX-License-Identifier: BSD-3-Clause
# Promises that concern several rooms at once: what is counted as memory, what a change costs in the
# log, and that a transaction is one unit there.

proc log_position {} {
    return [info_field persistence log_position]
}

start_server {} {
    starling_test "used_memory is within 5 % of what the allocator says" {
        populate 50000 key 100
        r setrange large 20000000 x
        r flushdb async
        populate 50000 other 500
        # The allocator's own figure is taken ten times a second.
        wait_until {
            abs([info_field memory used_memory] - [info_field memory allocator_allocated])
                < 0.05 * [info_field memory allocator_allocated]
        }
        set used [info_field memory used_memory]
        populate 20000 third 100
        set allocated [info_field memory allocator_allocated]
        expect_range [info_field memory used_memory] [expr {int($allocated * 0.95)}] \
            [expr {int($allocated * 1.05)}]
        expect_true {[info_field memory used_memory] > $used + 2000000}
    }
}

start_server {appendonly yes} {
    starling_test "a SETBIT in a bitmap of 100 MB records a few bytes" {
        r setbit bitmap 800000000 1
        set before [log_position]
        r setbit bitmap 17 1
        r setbit bitmap 400000000 1
        expect_range [expr {[log_position] - $before}] 10 200
        set digest [r debug digest]
        restart_server
        expect [r debug digest] $digest
        expect [r bitcount bitmap] 3
        expect [r getbit bitmap 400000000] 1
    }
    starling_test "an APPEND to a large value records what was appended" {
        r set k [string repeat x 1000000]
        set before [log_position]
        r append k abc
        expect_range [expr {[log_position] - $before}] 10 100
    }
    starling_test "what changes nothing records nothing" {
        r set k v
        set before [log_position]
        r del absent
        r set k v2 nx
        r persist k
        r getdel absent
        r expire absent 10
        r exists k
        expect [expr {[log_position] - $before}] 0
    }
}
