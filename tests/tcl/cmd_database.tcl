# SPDX-License-Identifier: BSD-3-Clause
# Whole databases: DBSIZE FLUSHDB FLUSHALL SWAPDB, and that databases are apart (SELECT).

start_server {} {
    test "DBSIZE counts the keys of one database" {
        expect [r dbsize] 0
        populate 100
        expect [r dbsize] 100
        r set other 1 ex 100
        r del key:0 key:1
        expect [r dbsize] 99
        r select 1
        expect [r dbsize] 0
        expect_error "ERR wrong number of arguments for 'dbsize' command" { r dbsize x }
    }
    test "Databases are apart" {
        foreach db {0 1 15} {
            r select $db
            r set k v$db
        }
        foreach db {0 1 15} {
            r select $db
            expect [r get k] v$db
            expect [r dbsize] 1
        }
        expect_error "ERR DB index is out of range" { r select 16 }
        expect_error "ERR DB index is out of range" { r select -1 }
        expect [r get k] v15
    }
    foreach mode {{} async sync SYNC} {
        test "FLUSHDB $mode empties one database" {
            populate 3000
            r set volatile 1 ex 100
            r set large [string repeat x 200000]
            r select 1
            r set k 1
            r select 0
            expect [r flushdb {*}$mode] OK
            expect [r dbsize] 0
            expect [r keys *] {}
            expect [r exists key:1 volatile large] 0
            expect_nil randomkey
            r set key:1 again
            expect [r get key:1] again
            expect [r dbsize] 1
            r select 1
            expect [r get k] 1
        }
        test "FLUSHALL $mode empties all" {
            foreach db {0 7 15} {
                r select $db
                populate 200
            }
            expect [r flushall {*}$mode] OK
            foreach db {0 7 15} {
                r select $db
                expect [r dbsize] 0
                expect_nil get key:1
            }
        }
    }
    test "FLUSHDB and FLUSHALL: errors leave everything" {
        r set a 1
        foreach command {flushdb flushall} {
            expect_error "ERR syntax error" { r $command now }
            expect_error "ERR syntax error" { r $command async sync }
        }
        expect [r get a] 1
    }
    test "A flush ends what a key was counting" {
        r incrby c 10
        r flushall
        expect [r incr c] 1
    }
    test "SWAPDB exchanges two databases, for clients inside them too" {
        set inside [connect]
        $inside select 1
        r set a zero
        r set b zero ex 100
        $inside set a one
        expect [r swapdb 0 1] OK
        expect [r get a] one
        expect [r exists b] 0
        expect [$inside get a] zero
        expect_range [$inside ttl b] 90 100
        expect [$inside dbsize] 2
        expect [r swapdb 1 1] OK
        expect [$inside get a] zero
        expect [r swapdb 1 0] OK
        expect [r get a] zero
        $inside -close
    }
    test "SWAPDB: errors" {
        expect_error "ERR invalid first DB index" { r swapdb x 0 }
        expect_error "ERR invalid first DB index" { r swapdb 99999999999 0 }
        expect_error "ERR invalid second DB index" { r swapdb 0 x }
        expect_error "ERR DB index is out of range" { r swapdb 0 16 }
        expect_error "ERR DB index is out of range" { r swapdb -1 0 }
        expect_error "ERR wrong number of arguments for 'swapdb' command" { r swapdb 0 }
    }
}
