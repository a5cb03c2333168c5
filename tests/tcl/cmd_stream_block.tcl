# SPDX-License-Identifier: BSD-3-Clause
# XREAD and XREADGROUP that wait: what wakes them, what does not, and with what. That clients wait at all,
# their turns and their time, is in cmd_blocking.tcl.

proc blocked_clients {} {
    return [info_field clients blocked_clients]
}

# A new client that is blocked by the command.
proc blocks {args} {
    set before [blocked_clients]
    set c [connect]
    $c -send {*}$args
    wait_until { [blocked_clients] == $before + 1 }
    return $c
}

start_server {} {
    test "XREAD BLOCK: what is there is given at once" {
        r xadd s 1-0 f v
        expect [r xread block 0 streams none s 0 0] {{s {{1-0 {f v}}}}}
        expect [r -wire xread block 1 streams s 1-0] "*-1\r\n"
        expect [r -wire xread block 1 streams none $] "*-1\r\n"
        expect_error "ERR timeout is not an integer or out of range" { r xread block x streams s 0 }
        expect_error "ERR timeout is negative" { r xread block -1 streams s 0 }
        r multi
        r xread block 0 streams s $
        expect [r exec] {{}}
    }
    test "XREAD BLOCK: woken by an entry, of any of its streams" {
        set c [blocks xread block 0 streams s t 0 0]
        r xadd t 1-0 f v
        expect [$c -receive] {{t {{1-0 {f v}}}}}
        set c [blocks xread count 1 block 0 streams s t 5 1-0]
        r xadd s 4-0 f v
        r xadd s 6-0 f v
        expect [$c -receive] {{s {{6-0 {f v}}}}}
        expect [blocked_clients] 0
    }
    test "XREAD BLOCK with \$: only what comes after" {
        r xadd s 1-0 f v
        set c [blocks xread block 0 streams s none $ $]
        r multi
        r xadd s 2-0 f v
        r xadd s 3-0 f v
        r exec
        expect [$c -receive] {{s {{2-0 {f v}} {3-0 {f v}}}}}
        set c [blocks xread block 0 streams s none $ $]
        r xadd none 1-0 f v
        expect [$c -receive] {{none {{1-0 {f v}}}}}
    }
    test "XREAD BLOCK: not woken by other types, deletions and what went meanwhile" {
        r xadd s 1-0 f v
        set c [blocks xread block 0 streams s $]
        r del s
        r set s x
        r del s
        r rpush s x
        r del s
        r multi
        r xadd s 2-0 f v
        r del s
        r exec
        expect [blocked_clients] 1
        r xadd s 3-0 f v
        expect [$c -receive] {{s {{3-0 {f v}}}}}
    }
    test "XREADGROUP BLOCK: one consumer of several gets an entry, in turn" {
        r xgroup create s g 0 mkstream
        set one [blocks xreadgroup group g one block 0 streams s >]
        set two [blocks xreadgroup group g two count 1 block 0 streams s >]
        r xadd s 1-0 f v
        expect [$one -receive] {{s {{1-0 {f v}}}}}
        expect [blocked_clients] 1
        r xadd s 2-0 f v
        expect [$two -receive] {{s {{2-0 {f v}}}}}
        expect [r xpending s g] {2 1-0 2-0 {{one 1} {two 1}}}
        expect [r xreadgroup group g one block 0 streams s 0] {{s {{1-0 {f v}}}}}
        expect [r xreadgroup group g three block 0 streams s 0] {{s {}}}
        expect [r -wire xreadgroup group g one block 1 streams s >] "*-1\r\n"
    }
    starling_test "XREADGROUP BLOCK: a group that goes is told" {
        foreach {command error} {
            {xgroup destroy s g} "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP*"
            {del s} "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP*"
            {flushall} "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP*"
            {set s x} "WRONGTYPE*"
            {rename other s} "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP*"
        } {
            r del s
            r xgroup create s g 0 mkstream
            r xadd other * f v
            set c [blocks xreadgroup group g one block 0 streams s >]
            r {*}$command
            expect_error $error { $c -receive }
            expect [blocked_clients] 0
        }
    }
    starling_test "XREADGROUP BLOCK: a renamed stream that has the group is read" {
        r xgroup create s g 0 mkstream
        r xgroup create t g 0 mkstream
        r xadd t 1-0 f v
        set c [blocks xreadgroup group g one block 0 streams s >]
        r rename t s
        expect [$c -receive] {{s {{1-0 {f v}}}}}
        expect [r xpending s g] {1 1-0 1-0 {{one 1}}}
    }
}
