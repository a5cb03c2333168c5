# SPDX-License-Identifier: BSD-3-Clause
# Fields of hashes that expire: Redis has them since 7.4, the tests' reference server may be older.

if {![server_is_starling]} {
    return
}

# Fields with expiries live for a moment in these tests: this long.
set short_ms 60

start_server {} {
    test "HEXPIRE, HPEXPIRE, HEXPIREAT, HPEXPIREAT set what HTTL and its kin tell" {
        set now [clock milliseconds]
        r hset h a 1 b 2 c 3 d 4 e 5
        expect [r hexpire h 100 fields 1 a] 1
        expect [r hpexpire h 200000 FIELDS 1 b] 1
        expect [r hexpireat h [expr {$now / 1000 + 300}] fields 1 c] 1
        expect [r hpexpireat h [expr {$now + 400000}] fields 1 d] 1
        foreach {field seconds} {a 100 b 200 c 300 d 400} {
            expect_range [r httl h fields 1 $field] [expr {$seconds - 2}] $seconds
            expect_range [r hpttl h fields 1 $field] [expr {$seconds * 1000 - 2000}] \
                [expr {$seconds * 1000}]
            expect_range [r hexpiretime h fields 1 $field] \
                [expr {$now / 1000 + $seconds - 1}] [expr {$now / 1000 + $seconds + 2}]
            expect_range [r hpexpiretime h fields 1 $field] \
                [expr {$now + $seconds * 1000 - 1000}] [expr {$now + $seconds * 1000 + 2000}]
        }
        expect [r hexpiretime h fields 1 c] [expr {$now / 1000 + 300}]
        expect [r hpexpiretime h fields 1 d] [expr {$now + 400000}]
        r hpexpireat h 32503680000001 fields 1 d
        expect [r hexpiretime h fields 1 d] 32503680001
        expect [r -wire httl h fields 2 e none] "*2\r\n:-1\r\n:-2\r\n"
        expect [r hgetall h] {a 1 b 2 c 3 d 4 e 5}
        expect [r ttl h] -1
    }
    test "Fields that are not there, and keys that are not there" {
        r hset h a 1
        expect [r hexpire h 100 fields 3 x a x] {-2 1 -2}
        foreach command {httl hpttl hexpiretime hpexpiretime hpersist} {
            expect [lindex [r $command h fields 2 x a] 0] -2
            expect [r $command none fields 2 x a] {-2 -2}
        }
        foreach command {hexpire hpexpire hexpireat hpexpireat} {
            expect [r $command none 100 fields 2 x a] {-2 -2}
        }
        expect [r exists none] 0
    }
    test "HPERSIST" {
        r hset h a 1 b 2
        r hexpire h 100 fields 1 a
        expect [r hpersist h fields 3 a b c] {1 -1 -2}
        expect [r hpersist h fields 1 a] -1
        expect [r httl h fields 1 a] -1
    }
    test "NX, XX, GT, LT" {
        r hset h with 1 without 2
        r hexpire h 100 fields 1 with
        expect [r hexpire h 200 nx fields 2 with without] {0 1}
        r hpersist h fields 1 without
        expect [r hexpire h 100 XX fields 2 with without] {1 0}
        expect [r hexpire h 50 gt fields 2 with without] {0 0}
        expect [r hexpire h 150 gt fields 2 with without] {1 0}
        expect_range [r httl h fields 1 with] 149 150
        expect [r hexpire h 200 lt fields 2 with without] {0 1}
        expect [r hexpire h 100 lt fields 2 with without] {1 1}
        set at [r hpexpiretime h fields 1 with]
        expect [r hpexpireat h $at gt fields 1 with] 0
        expect [r hpexpireat h $at lt fields 1 with] 0
        expect [r hpexpireat h 1 gt fields 1 with] 0
        expect [r hexists h with] 1
    }
    test "A time that has passed deletes" {
        r hset h a 1 b 2 c 3 d 4 e 5
        expect [r hexpire h 0 fields 2 a a] {2 -2}
        expect [r hpexpire h 0 fields 1 b] 2
        expect [r hexpireat h 1 fields 1 c] 2
        expect [r hpexpireat h 1 nx fields 1 d] 2
        expect [r hgetall h] {e 5}
        expect [r hexpire h 0 fields 1 e] 2
        expect [r exists h] 0
        expect [r type h] none
    }
    test "What makes no sense" {
        r hset h a 1
        r set s x
        foreach command {hexpire hpexpire hexpireat hpexpireat} {
            expect_error "ERR wrong number of arguments for '$command' command" { r $command h 1 fields 1 }
            expect_error "ERR value is not an integer or out of range" { r $command h x fields 1 a }
            expect_error "ERR invalid expire time, must be >= 0" { r $command h -1 fields 1 a }
            expect_error "ERR invalid expire time in '$command' command" {
                r $command h 9223372036854775807 fields 1 a
            }
            expect_error "ERR invalid expire time in '$command' command" {
                r $command h [expr {1 << 46}] fields 1 a
            }
            expect_error "ERR Mandatory argument FIELDS is missing or not at the right position" {
                r $command h 100 count 1 a
            }
            expect_error "ERR Mandatory argument FIELDS is missing or not at the right position" {
                r $command h 100 nx xx fields 1 a
            }
            foreach count {0 -1 x 4294967296} {
                expect_error "ERR Parameter `numFields` should be greater than 0" {
                    r $command h 100 fields $count a
                }
            }
            foreach count {1 3} {
                expect_error "ERR The `numfields` parameter must match the number of arguments" {
                    r $command h 100 fields $count a b
                }
            }
            expect_error "WRONGTYPE *" { r $command s 100 fields 1 a }
        }
        foreach command {httl hpttl hexpiretime hpexpiretime hpersist} {
            expect_error "ERR wrong number of arguments for '$command' command" { r $command h fields 1 }
            expect_error "ERR Mandatory argument FIELDS*" { r $command h count 1 a }
            expect_error "ERR Parameter `numFields` should be greater than 0" { r $command h fields 0 a }
            expect_error "ERR The `numfields` parameter must match the number of arguments" {
                r $command h fields 2 a
            }
            expect_error "WRONGTYPE *" { r $command s fields 1 a }
        }
        expect [r httl h fields 1 a] -1
        expect [r get s] x
    }
    starling_test "A small hash with fields that expire has an encoding of its own, as since 7.4" {
        r hset h a 1 b 2
        expect [r object encoding h] listpack
        r hexpire h 100 fields 1 a
        expect [r object encoding h] listpackex
        r copy h k
        expect [r object encoding k] listpackex
        with_config {hash-max-listpack-entries 2} {
            r hset h c 3
            expect [r object encoding h] hashtable
        }
        r del k
        r hset k f v
        expect [r object encoding k] listpack
    }
    test "HSET takes the expiry of a field away, HINCRBY keeps it, HSETNX and HDEL see it" {
        r hset h a 1 b 2 c 3 d 4
        r hexpire h 100 fields 4 a b c d
        r hset h a 9
        expect [r httl h fields 1 a] -1
        r hincrby h b 5
        r hincrbyfloat h c 0.5
        expect_range [r httl h fields 1 b] 99 100
        expect_range [r httl h fields 1 c] 99 100
        expect [r hsetnx h d 5] 0
        expect_range [r httl h fields 1 d] 99 100
        expect [r hdel h d] 1
        r hset h d 4
        expect [r httl h fields 1 d] -1
        expect [r hmget h a b c d] {9 7 3.5 4}
    }

    foreach size {4 600} {
        test "Expired fields are not shown before they are removed: a hash of $size" {
            r debug set-active-expire 0
            set gone {}
            for {set i 0} {$i < $size} {incr i} {
                r hset h f:$i $i
            }
            for {set i 0} {$i < $size / 2} {incr i} {
                lappend gone f:$i
            }
            r hpexpire h $::short_ms fields [llength $gone] {*}$gone
            wait_until { [r hpttl h fields 1 f:0] == -2 }
            expect [llength [r hgetall h]] $size
            expect [llength [r hkeys h]] [expr {$size / 2}]
            expect [llength [r hvals h]] [expr {$size / 2}]
            expect_nil hget h f:0
            expect [r hexists h f:0] 0
            expect [r hstrlen h f:0] 0
            expect [r -wire hmget h f:0] "*1\r\n\$-1\r\n"
            set cursor 0
            set seen {}
            while 1 {
                lassign [r hscan h $cursor count 20 novalues] cursor fields
                lappend seen {*}$fields
                if {$cursor == 0} break
            }
            expect [llength $seen] [expr {$size / 2}]
            foreach count [list 1 [expr {$size / 2 - 1}] [expr {$size / 2}] $size] {
                set fields [r hrandfield h $count]
                expect [llength $fields] [expr {min($count, $size / 2)}]
                foreach field $fields {
                    expect_true { $field ni $gone }
                }
            }
            foreach field [r hrandfield h -50] {
                expect_true { $field ni $gone }
            }
            expect [r hdel h f:0] 0
            expect [r hexpire h 100 fields 1 f:1] -2
            expect [r hpersist h fields 1 f:1] -2
            expect [r hset h f:1 new] 1
            expect [r httl h fields 1 f:1] -1
            expect [r hincrby h f:0 5] 5
            r debug set-active-expire 1
            wait_until { [r hlen h] == $size / 2 + 2 }
            expect [llength [r hgetall h]] [expr {$size + 4}]
        }
        test "Active expiry removes fields, and a hash that has no other: $size" {
            r config resetstat
            set all {}
            for {set i 0} {$i < $size} {incr i} {
                r hset h f:$i $i
                r hset other f:$i $i
                lappend all f:$i
            }
            r hset other stays 1
            r hpexpire h $::short_ms fields $size {*}$all
            r hpexpire other $::short_ms fields $size {*}$all
            wait_until { [r dbsize] == 1 && [r hlen other] == 1 }
            expect [r hgetall other] {stays 1}
            expect [info_field stats expired_subkeys] [expr {2 * $size}]
            expect [info_field stats expired_keys] 0
            expect [r exists h] 0
        }
    }
    test "Active expiry of many hashes, whose keys expire as well" {
        for {set i 0} {$i < 300} {incr i} {
            r hset h:$i a 1 b 2
            r hpexpire h:$i $::short_ms fields [expr {$i % 2 + 1}] {*}[lrange {a b} 0 [expr {$i % 2}]]
            if {$i % 3 == 0} {
                r pexpire h:$i $::short_ms
            }
        }
        wait_until { [r dbsize] == 100 }
        for {set i 0} {$i < 300} {incr i} {
            if {$i % 3 != 0 && $i % 2 == 0} {
                expect [r hgetall h:$i] {b 2}
            }
        }
    }
    test "A large hash's fields expire in the end" {
        for {set i 0} {$i < 20} {incr i} {
            set command [list hset h]
            set fields {}
            for {set j 0} {$j < 500} {incr j} {
                lappend command f:$i:$j v
                lappend fields f:$i:$j
            }
            r {*}$command
            r hpexpire h $::short_ms fields 500 {*}$fields
        }
        wait_until { [r dbsize] == 0 }
    }
    test "Expiries of fields go with RENAME, COPY, MOVE, DUMP" {
        r hset h a 1 b 2
        r hexpire h 100 fields 1 a
        set at [r hpexpiretime h fields 1 a]
        r rename h k
        expect [r hpexpiretime k fields 2 a b] [list $at -1]
        r copy k c
        expect [r hpexpiretime c fields 2 a b] [list $at -1]
        r move c 1
        r select 1
        expect [r hpexpiretime c fields 2 a b] [list $at -1]
        expect [r hgetall c] {a 1 b 2}
    }
}

start_server {appendonly yes save ""} {
    foreach {how script} {
        "DEBUG RELOAD" { r debug reload }
        "a kill" { restart_server -signal KILL }
        "a rewrite and a kill" {
            r bgrewriteaof
            wait_until { [info_field persistence aof_rewrite_in_progress] == 0 }
            restart_server -signal KILL
        }
    } {
        test "Expiries of fields survive $how" {
            r hset h a 1 b 2 c 3
            r hexpire h 100 fields 2 a b
            r hpersist h fields 1 b
            r hset gone a 1
            r hpexpire gone $::short_ms fields 1 a
            for {set i 0} {$i < 1000} {incr i} {
                r hset large f:$i v
                r hexpire large 1000 fields 1 f:$i
            }
            set at [r hpexpiretime h fields 1 a]
            wait_until { [r exists gone] == 0 }
            set digest [r debug digest]
            eval $script
            expect [r debug digest] $digest
            expect [r hpexpiretime h fields 3 a b c] [list $at -1 -1]
            expect [r exists gone] 0
            expect [r hlen large] 1000
            expect_range [r httl large fields 1 f:999] 900 1000
        }
    }
    test "Fields that expire while the server is down are gone" {
        r hset h a 1 b 2
        r hset k a 1
        r hpexpire h $::short_ms fields 1 a
        r hpexpire k $::short_ms fields 1 a
        stop_server -signal KILL
        after [expr {2 * $::short_ms}]
        start_again
        expect [r hgetall h] {b 2}
        wait_until { [r dbsize] == 1 }
    }
}
