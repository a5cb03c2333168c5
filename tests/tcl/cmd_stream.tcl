# SPDX-License-Identifier: BSD-3-Clause
# Streams: every option of each command, their errors, and random writes against a model.

set BAD_ID "ERR Invalid stream ID specified as stream command argument"

# Adds entries 1-0, 2-0, ... with one field each.
proc add_entries {key count} {
    for {set i 1} {$i <= $count} {incr i} {
        r xadd $key $i-0 f v$i
    }
}

proc ids {entries} {
    lmap entry $entries { lindex $entry 0 }
}

# A field of XINFO STREAM or of one line of the others.
proc info_of {key field} {
    dict get [r xinfo stream $key] $field
}

proc group_info {key field {index 0}} {
    dict get [lindex [r xinfo groups $key] $index] $field
}

start_server {} {
    test "XADD: ids, fields, any bytes" {
        expect [r xadd s 5-3 a 1 b 2] 5-3
        expect [r xadd s 6 a 1] 6-0
        expect [r xadd s 6-* a 1] 6-1
        expect [r xadd s 007-01 a 1] 7-1
        set id [r xadd s * a 1]
        expect_true { [lindex [split $id -] 0] > 1600000000000 }
        expect [r xlen s] 5
        expect [r type s] stream
        expect [r object encoding s] stream
        expect [r xrange s 5 5] {{5-3 {a 1 b 2}}}
        foreach value [list "" "\r\n\0\xff" 123456 [random_bytes 5000]] {
            r del k
            r xadd k 1-1 $value x f $value
            expect [lindex [r xrange k - +] 0 1] [list $value x f $value]
        }
        expect [r xadd zero 0-* a 1] 0-1
        expect [r xadd large 18446744073709551615-18446744073709551614 a 1] \
            18446744073709551615-18446744073709551614
        expect [r xadd large * a 1] 18446744073709551615-18446744073709551615
        expect_error "ERR The stream has exhausted the last possible ID*" { r xadd large * a 1 }
        r xadd next 7-18446744073709551615 a 1
        expect_error "ERR *" { r xadd next 7-* a 1 }
        expect [r xadd next 9-* a 1] 9-0
    }
    test "XADD: errors" {
        r xadd s 5-5 a 1
        foreach id {5-5 5-4 4-9} {
            expect_error "ERR The ID specified in XADD is equal or smaller than the target stream top item" {
                r xadd s $id a 1
            }
        }
        expect_error "ERR The ID specified in XADD must be greater than 0-0" { r xadd s 0-0 a 1 }
        foreach id {x 1-x - + 1-2-3 -1 18446744073709551616 1-1-* "" *-1} {
            expect_error $::BAD_ID { r xadd s $id a 1 }
        }
        foreach args {{*} {* a} {* a 1 b} {maxlen 3 *} {maxlen ~ 3} {nomkstream minid 3}} {
            expect_error "ERR wrong number of arguments for 'xadd' command" { r xadd s {*}$args }
        }
        r set k x
        expect_error "WRONGTYPE*" { r xadd k * a 1 }
        expect_nil xadd absent nomkstream * a 1
        expect [r exists absent] 0
        expect [r xadd s nomkstream 6-0 a 1] 6-0
        expect [r xlen s] 2
    }
    test "XADD and XTRIM: MAXLEN and MINID, exact and rough" {
        add_entries s 20
        expect [r xadd s maxlen 5 21-0 f v] 21-0
        expect [ids [r xrange s - +]] {17-0 18-0 19-0 20-0 21-0}
        expect [r xadd s maxlen = 3 22-0 f v] 22-0
        expect [r xlen s] 3
        expect [r xadd s minid 22 23-0 f v] 23-0
        expect [ids [r xrange s - +]] {22-0 23-0}
        expect [r xtrim s minid 22-1] 1
        expect [r xtrim s maxlen 0] 1
        expect [r exists s] 1
        expect [r xlen s] 0
        expect [info_of s entries-added] 23
        expect [info_of s last-generated-id] 23-0
        expect [r xtrim s maxlen 0] 0
        expect [r xtrim absent maxlen 0] 0
        with_config {stream-node-max-entries 10} {
            add_entries t 55
            expect [r xtrim t maxlen ~ 45] 10
            expect [r xtrim t maxlen ~ 36] 0
            expect [r xtrim t maxlen 38] 7
            expect [r xtrim t maxlen ~ 30] 3
            expect [r xtrim t maxlen ~ 0 limit 15] 10
            expect [r xtrim t minid ~ 41] 10
            expect [r xtrim t minid ~ 56 limit 0] 15
            add_entries u 55
            expect [r xadd u maxlen ~ 20 limit 30 56-0 f v] 56-0
            expect [r xlen u] 26
        }
        with_config {stream-node-max-entries 2} {
            add_entries v 202
            expect [r xtrim v maxlen ~ 0] 200
        }
    }
    test "XTRIM: errors" {
        r xadd s 1-0 f v
        expect_error "ERR syntax error, LIMIT cannot be used without the special ~ option" {
            r xtrim s maxlen 1 limit 1
        }
        expect_error "ERR syntax error, MAXLEN and MINID options at the same time are not compatible" {
            r xtrim s maxlen 1 minid 1
        }
        expect_error "ERR The MAXLEN argument must be >= 0." { r xtrim s maxlen -1 }
        expect_error "ERR The LIMIT argument must be >= 0." { r xtrim s maxlen ~ 1 limit -1 }
        expect_error "ERR value is not an integer or out of range" { r xtrim s maxlen x }
        expect_error $::BAD_ID { r xtrim s minid x }
        expect_error "ERR syntax error" { r xtrim s maxlen 1 x }
        expect_error "ERR syntax error*" { r xtrim s other 1 }
    }
    test "XRANGE and XREVRANGE: ends, exclusive ones, COUNT" {
        foreach id {1-1 1-2 2-0 3-5} {
            r xadd s $id f v
        }
        expect [ids [r xrange s - +]] {1-1 1-2 2-0 3-5}
        expect [ids [r xrevrange s + -]] {3-5 2-0 1-2 1-1}
        expect [ids [r xrange s 1 1]] {1-1 1-2}
        expect [ids [r xrange s 1-2 2]] {1-2 2-0}
        expect [ids [r xrange s (1-1 (3-5]] {1-2 2-0}
        expect [ids [r xrevrange s (3-5 (1-1]] {2-0 1-2}
        expect [ids [r xrange s (1 +]] {1-1 1-2 2-0 3-5}
        expect [ids [r xrange s - (2]] {1-1 1-2 2-0}
        expect [ids [r xrange s - + count 2]] {1-1 1-2}
        expect [ids [r xrevrange s + - count 1]] 3-5
        expect [ids [r xrange s 3-6 +]] {}
        expect [ids [r xrange s 2 1]] {}
        expect [r -wire xrange s - + count 0] "*-1\r\n"
        expect [r -wire xrange s - + count -5] "*-1\r\n"
        expect [r -wire xrange absent - +] "*0\r\n"
        expect_error "ERR invalid start ID for the interval" {
            r xrange s (18446744073709551615-18446744073709551615 +
        }
        expect_error "ERR invalid end ID for the interval" { r xrange s - (0-0 }
        expect_error $::BAD_ID { r xrange s (- + }
        expect_error $::BAD_ID { r xrange s x + }
        expect_error "ERR syntax error" { r xrange s - + x 1 }
        expect_error "ERR value is not an integer or out of range" { r xrange s - + count x }
    }
    test "XDEL: the last id stays, the counts, too" {
        add_entries s 5
        expect [r xdel s 2-0 9-9 2-0 4] 2
        expect [ids [r xrange s - +]] {1-0 3-0 5-0}
        expect [info_of s max-deleted-entry-id] 4-0
        expect [info_of s entries-added] 5
        expect [r xdel s 5-0] 1
        expect [info_of s last-generated-id] 5-0
        expect_error "ERR The ID specified in XADD is equal*" { r xadd s 5-0 f v }
        expect [r xdel s 1-0 3-0] 2
        expect [r exists s] 1
        expect [r xlen s] 0
        expect [r xadd s 6-0 f v] 6-0
        expect [info_of s entries-added] 6
        expect [info_of s max-deleted-entry-id] 5-0
        expect [r xdel absent 1-0] 0
        expect_error $::BAD_ID { r xdel s 6-0 x }
        expect [r xlen s] 1
    }
    test "XSETID: id, counts, errors" {
        expect_error "ERR no such key" { r xsetid absent 1-1 }
        add_entries s 3
        expect [r xsetid s 200-0] OK
        expect [info_of s last-generated-id] 200-0
        expect [info_of s entries-added] 3
        expect [r xadd s 200-* f v] 200-1
        expect [r xsetid s 300-0 entriesadded 100 maxdeletedid 2-5] OK
        expect [info_of s entries-added] 100
        expect [info_of s max-deleted-entry-id] 2-5
        expect [r xsetid s 250-0] OK
        expect [info_of s last-generated-id] 250-0
        expect_error "ERR The ID specified in XSETID is smaller than the target stream top item" {
            r xsetid s 200-0
        }
        expect_error "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id" {
            r xsetid s 300-0 entriesadded 5 maxdeletedid 300-1
        }
        expect_error "ERR The entries_added specified in XSETID is smaller than the target stream length" {
            r xsetid s 300-0 entriesadded 3
        }
        expect_error "ERR entries_added must be positive" { r xsetid s 300-0 entriesadded -1 }
        expect_error "ERR syntax error" { r xsetid s 300-0 other 1 }
        expect_error $::BAD_ID { r xsetid s - }
    }
    test "XREAD: several streams, COUNT, \$" {
        add_entries s 3
        add_entries t 2
        expect [r xread streams s t 1 1-0] {{s {{2-0 {f v2}} {3-0 {f v3}}}} {t {{2-0 {f v2}}}}}
        expect [r xread count 1 streams s t 0 9] {{s {{1-0 {f v1}}}}}
        expect [r xread count 0 streams t 1] {{t {{2-0 {f v2}}}}}
        foreach args {{s 3} {s $} {absent 0} {s 18446744073709551615-18446744073709551615}} {
            lassign $args key id
            expect [r -wire xread streams $key $id] "*-1\r\n"
        }
        set other [connect]
        $other hello 3
        expect [$other -wire xread count 1 streams t 1] \
            "%1\r\n\$1\r\nt\r\n*1\r\n*2\r\n\$3\r\n2-0\r\n*2\r\n\$1\r\nf\r\n\$2\r\nv2\r\n"
        expect [$other -wire xread streams t $] "_\r\n"
        expect_error "ERR Unbalanced * list of streams: for each stream key an ID or '\$' must be specified." {
            r xread streams s t 0
        }
        expect_error "ERR The > ID can be specified only when calling XREADGROUP*" { r xread streams s > }
        expect_error "ERR The GROUP option is only supported by XREADGROUP*" {
            r xread group g c streams s 0
        }
        expect_error "ERR The NOACK option is only supported by XREADGROUP*" { r xread noack streams s 0 }
        expect_error "ERR syntax error" { r xread other s 0 }
        expect_error "ERR syntax error" { r xread count 1 s 0 }
        expect_error $::BAD_ID { r xread streams s + }
        r set k x
        expect_error "WRONGTYPE*" { r xread streams s k 0 0 }
    }
    test "XGROUP: making, setting, removing" {
        expect_error "ERR The XGROUP subcommand requires the key to exist*" { r xgroup create s g 0 }
        expect [r xgroup create s g $ mkstream] OK
        expect [r xlen s] 0
        expect [r type s] stream
        expect_error "BUSYGROUP Consumer Group name already exists" { r xgroup create s g 0 }
        add_entries s 3
        expect [r xgroup create s h $] OK
        expect [r xgroup create s i 2 entriesread 2] OK
        expect [group_info s name 1] h
        expect [group_info s last-delivered-id 1] 3-0
        expect [group_info s entries-read 2] 2
        expect [group_info s lag 2] 1
        expect [r xgroup setid s h 1] OK
        expect [group_info s last-delivered-id 1] 1-0
        expect [r xgroup setid s h -] OK
        expect [group_info s last-delivered-id 1] 0-0
        expect [r xgroup setid s h $ entriesread 3] OK
        expect [group_info s entries-read 1] 3
        expect [r xgroup createconsumer s g alice] 1
        expect [r xgroup createconsumer s g alice] 0
        expect [r xgroup delconsumer s g nobody] 0
        r xreadgroup group g alice streams s >
        expect [r xgroup delconsumer s g alice] 3
        expect [r xpending s g] {0 {} {} {}}
        expect [r xgroup destroy s g] 1
        expect [r xgroup destroy s g] 0
        expect [llength [r xinfo groups s]] 2
        r xgroup destroy s h
        r xgroup destroy s i
        expect [r xgroup create u g 0 mkstream] OK
        expect [r xgroup destroy u g] 1
        expect [r exists u] 1
        foreach command {{setid s g 0} {createconsumer s g c} {delconsumer s g c}} {
            expect_error "NOGROUP No such consumer group 'g' for key name 's'" { r xgroup {*}$command }
        }
        expect [r xgroup create s greatest 0 entriesread 9223372036854775807] OK
        foreach group [r xinfo groups s] {
            if {[dict get $group name] eq "greatest"} {
                expect [dict get $group entries-read] 9223372036854775807
            }
        }
        expect [r xgroup destroy s greatest] 1
        expect_error "ERR value for ENTRIESREAD must be positive or -1" {
            r xgroup create s x 0 entriesread -3
        }
        expect_error $::BAD_ID { r xgroup create s x y }
        expect_error $::BAD_ID { r xgroup create s x - }
        expect_error "ERR unknown subcommand*" { r xgroup other s g }
        expect_true { [llength [r xgroup help]] > 5 }
    }
    test "XREADGROUP: new entries, history, NOACK" {
        add_entries s 4
        r xgroup create s g 0
        expect [r xreadgroup group g alice count 1 streams s >] {{s {{1-0 {f v1}}}}}
        expect [r xreadgroup group g bob count 2 streams s >] {{s {{2-0 {f v2}} {3-0 {f v3}}}}}
        expect [r xreadgroup group g alice noack streams s >] {{s {{4-0 {f v4}}}}}
        expect [r -wire xreadgroup group g alice streams s >] "*-1\r\n"
        expect [r xreadgroup group g alice streams s 0] {{s {{1-0 {f v1}}}}}
        expect [r xreadgroup group g bob count 1 streams s 2-0] {{s {{3-0 {f v3}}}}}
        expect [r xreadgroup group g bob streams s 3] {{s {}}}
        r xdel s 2-0
        expect [r -wire xreadgroup group g bob streams s 0] \
            "*1\r\n*2\r\n\$1\r\ns\r\n*2\r\n*2\r\n\$3\r\n2-0\r\n*-1\r\n*2\r\n\$3\r\n3-0\r\n*2\r\n\$1\r\nf\r\n\$2\r\nv3\r\n"
        expect [lmap one [r xpending s g - + 9] { lreplace $one 2 2 }] \
            {{1-0 alice 2} {2-0 bob 1} {3-0 bob 3}}
        expect [r xpending s g] {3 1-0 3-0 {{alice 1} {bob 2}}}
        expect [r xack s g 1-0 3-0 9-0] 2
        expect [r xack s g 1-0] 0
        expect [r xack s other 1-0] 0
        expect [r xack absent g 1-0] 0
        expect_error $::BAD_ID { r xack s g 2-0 x }
        expect [r xpending s g] {1 2-0 2-0 {{bob 1}}}
        expect_error "NOGROUP No such key 's' or consumer group 'x' in XREADGROUP with GROUP option" {
            r xreadgroup group x alice streams s >
        }
        expect_error "NOGROUP No such key 'absent' or consumer group 'g' in XREADGROUP*" {
            r xreadgroup group g alice streams s absent > >
        }
        expect_error "ERR The \$ ID is meaningless in the context of XREADGROUP*" {
            r xreadgroup group g alice streams s $
        }
        expect_error "ERR Missing GROUP option for XREADGROUP" { r xreadgroup streams s t u 0 0 0 }
        expect_error "ERR Unbalanced * list of streams*" {
            r xreadgroup group g c streams s t >
        }
    }
    test "XPENDING, XINFO and XREADGROUP by consumer, of many that are pending" {
        add_entries s 300
        r xgroup create s g 0
        foreach consumer {a b c} {
            r xreadgroup group g $consumer count 100 streams s >
        }
        expect [r xpending s g] {300 1-0 300-0 {{a 100} {b 100} {c 100}}}
        expect [ids [r xpending s g - + 2 c]] {201-0 202-0}
        expect [r xack s g 201-0 202-0 204-0 7-0] 4
        r xclaim s g a 0 203-0
        expect [r xpending s g] {296 1-0 300-0 {{a 100} {b 100} {c 96}}}
        expect [ids [r xpending s g - + 2 c]] {205-0 206-0}
        expect [ids [r xpending s g 99-0 + 3 a]] {99-0 100-0 203-0}
        expect [r xpending s g - + 10 nobody] {}
        expect [ids [lindex [r xreadgroup group g c count 2 streams s 298-0] 0 1]] {299-0 300-0}
        expect [lmap one [r xinfo consumers s g] { dict get $one pending }] {100 100 96}
        set group [lindex [dict get [r xinfo stream s full count 1] groups] 0]
        expect [lmap one [dict get $group consumers] { dict get $one pel-count }] {100 100 96}
        expect [r xgroup delconsumer s g a] 100
        expect [r xpending s g] {196 101-0 300-0 {{b 100} {c 96}}}
        r xtrim s maxlen 0
        expect [llength [lindex [r xautoclaim s g b 0 - count 300] 2]] 196
        expect [lindex [r xpending s g] 0] 0
        expect [lmap one [r xinfo consumers s g] { dict get $one pending }] {0 0}
    }

    test "XPENDING: ranges, IDLE, one consumer" {
        add_entries s 4
        r xgroup create s g 0
        r xreadgroup group g alice count 2 streams s >
        r xclaim s g alice 0 1-0 idle 5000
        r xreadgroup group g bob streams s >
        expect [ids [r xpending s g - + 10]] {1-0 2-0 3-0 4-0}
        expect [ids [r xpending s g - + 3]] {1-0 2-0 3-0}
        expect [ids [r xpending s g (1-0 3 10]] {2-0 3-0}
        expect [ids [r xpending s g - + 10 bob]] {3-0 4-0}
        expect [ids [r xpending s g - + 10 nobody]] {}
        expect [ids [r xpending s g idle 4000 - + 10]] 1-0
        expect [ids [r xpending s g idle 4000 - + 10 bob]] {}
        expect_true { [lindex [r xpending s g - + 1] 0 2] >= 5000 }
        expect [ids [r xpending s g - + -1]] {}
        expect_error "NOGROUP No such key 's' or consumer group 'x'" { r xpending s x }
        expect_error "NOGROUP No such key 'absent' or consumer group 'g'" { r xpending absent g - + 1 }
        expect_error "ERR syntax error" { r xpending s g - + }
        expect_error "ERR syntax error" { r xpending s g idle 4000 - + }
        expect_error "ERR value is not an integer or out of range" { r xpending s g - + x }
        expect_error $::BAD_ID { r xpending s g x + 1 }
    }
    test "XCLAIM: all options" {
        add_entries s 5
        r xgroup create s g 0
        r xreadgroup group g alice count 3 streams s >
        expect [r xclaim s g bob 100000 1-0 2-0] {}
        expect [r xclaim s g bob 0 1-0 9-9] {{1-0 {f v1}}}
        expect [r xclaim s g bob 0 2-0 justid] 2-0
        expect [lmap one [r xpending s g - + 9] { lreplace $one 2 2 }] \
            {{1-0 bob 2} {2-0 bob 1} {3-0 alice 1}}
        expect [r xclaim s g bob 0 4-0] {}
        expect [r xclaim s g bob 0 4-0 force retrycount 7 time 1000 lastid 4-0] {{4-0 {f v4}}}
        set four [lindex [r xpending s g 4 4 1] 0]
        expect [lindex $four 3] 7
        expect_true { [lindex $four 2] > 1000000000 }
        expect [group_info s last-delivered-id] 4-0
        r xclaim s g bob 0 4-0 idle 3000
        expect_true { [lindex [r xpending s g 4 4 1] 0 2] in {3000 3001 3002 3003 3004 3005} }
        r xclaim s g bob 0 5-0 force justid
        expect [lindex [r xpending s g 5 5 1] 0 3] 1
        r xack s g 5-0
        r xclaim s g bob 0 5-0 force
        expect [lindex [r xpending s g 5 5 1] 0 3] 2
        r xack s g 5-0
        r xdel s 3-0
        expect [r xclaim s g bob 0 3-0] {}
        expect [ids [r xpending s g - + 9]] {1-0 2-0 4-0}
        expect [r xclaim s g carol 0 9-9 force] {}
        expect_error "NOGROUP No such key 's' or consumer group 'x'" { r xclaim s x c 0 1-0 }
        expect_error "ERR Invalid min-idle-time argument for XCLAIM" { r xclaim s g c x 1-0 }
        expect_error "ERR Invalid IDLE option argument for XCLAIM" { r xclaim s g c 0 1-0 idle x }
        expect_error "ERR Unrecognized XCLAIM option 'other'" { r xclaim s g c 0 1-0 other }
        expect_error "ERR Unrecognized XCLAIM option 'x-1'" { r xclaim s g c 0 1-0 x-1 }
    }
    test "XAUTOCLAIM: entries, the next id, the deleted ones" {
        add_entries s 6
        r xgroup create s g 0
        r xreadgroup group g alice count 5 streams s >
        r xdel s 2-0
        expect [r xautoclaim s g bob 100000 -] {0-0 {} 2-0}
        expect [r xautoclaim s g bob 0 - count 2] {4-0 {{1-0 {f v1}} {3-0 {f v3}}} {}}
        r xdel s 4-0
        expect [r xautoclaim s g bob 0 4-0 count 1] {5-0 {} 4-0}
        expect [r xautoclaim s g bob 0 (4-0 count 9 justid] {0-0 5-0 {}}
        expect [lmap one [r xpending s g - + 9] { lreplace $one 2 2 }] \
            {{1-0 bob 2} {3-0 bob 2} {5-0 bob 1}}
        expect_error "NOGROUP No such key 's' or consumer group 'x'" { r xautoclaim s x c 0 0 }
        expect_error "ERR COUNT must be > 0" { r xautoclaim s g c 0 0 count 0 }
        expect_error "ERR COUNT must be > 0" { r xautoclaim s g c 0 0 count 576460752303423488 }
        r xautoclaim s g c 0 0 count 576460752303423487
        expect_error "ERR syntax error" { r xautoclaim s g c 0 0 other }
        expect_error "ERR Invalid min-idle-time argument for XAUTOCLAIM" { r xautoclaim s g c x 0 }
        expect_error $::BAD_ID { r xautoclaim s g c 0 x }
    }
    starling_test "A group that reads past what was deleted or trimmed knows again how much it has read" {
        # Redis 7.0 counts one entry for each that it delivers, and is behind ever after.
        add_entries s 10
        r xgroup create s g 0
        r xreadgroup group g c count 8 streams s >
        r xdel s 9
        expect [group_info s entries-read] 8
        expect [group_info s lag] {}
        r xreadgroup group g c count 1 streams s >
        expect [group_info s entries-read] 10
        expect [group_info s lag] 0
        add_entries t 5
        r xgroup create t g 0 entriesread 0
        r xreadgroup group g c count 2 streams t >
        expect [group_info t entries-read] 2
        r xtrim t minid 5
        r xreadgroup group g c streams t >
        expect [group_info t entries-read] 5
        expect [group_info t lag] 0
    }
    test "XINFO: all forms" {
        add_entries s 12
        r xgroup create s g 0
        r xgroup create s h $
        r xreadgroup group g alice count 3 streams s >
        r xreadgroup group g bob count 1 streams s >
        set info [r xinfo stream s]
        expect [dict get $info length] 12
        expect [dict get $info groups] 2
        expect [dict get $info first-entry] {1-0 {f v1}}
        expect [dict get $info last-entry] {12-0 {f v12}}
        expect [dict get $info recorded-first-entry-id] 1-0
        set full [r xinfo stream s full]
        expect [llength [dict get $full entries]] 10
        expect [llength [dict get [r xinfo stream s full count 0] entries]] 12
        expect [llength [dict get [r xinfo stream s full count 2] entries]] 2
        set g [lindex [dict get $full groups] 0]
        expect [dict get $g pel-count] 4
        expect [lmap one [dict get $g pending] { lrange $one 0 1 }] \
            {{1-0 alice} {2-0 alice} {3-0 alice} {4-0 bob}}
        expect [lmap one [dict get $g consumers] { dict get $one name }] {alice bob}
        expect [ids [dict get [lindex [dict get $g consumers] 1] pending]] 4-0
        expect [dict get $g lag] 8
        set bob [lindex [r xinfo consumers s g] 1]
        expect [dict get $bob pending] 1
        expect_true { [dict get $bob idle] >= 0 && [dict get $bob idle] < 5000 }
        expect [group_info s consumers] 2
        expect [group_info s lag 1] 0
        r xdel s 7-0
        expect [group_info s lag] {}
        expect_error "ERR no such key" { r xinfo stream absent }
        expect_error "ERR no such key" { r xinfo groups absent }
        expect_error "NOGROUP No such consumer group 'x' for key name 's'" { r xinfo consumers s x }
        foreach args {other {full count} {full count 1 2}} {
            expect_error "ERR unknown subcommand or wrong number of arguments for 'stream'*" {
                r xinfo stream s {*}$args
            }
        }
        expect_true { [llength [r xinfo help]] > 5 }
    }
    # Each command has one mistake of every kind: the first that is looked for is told.
    test "Which mistake is told" {
        set no_group "NOGROUP *"
        set no_key "ERR The XGROUP subcommand requires the key to exist*"
        set too_many "ERR unknown subcommand or wrong number of arguments for*"
        set wrong_type "WRONGTYPE *"
        r set text x
        expect [r xdel none x] 0
        expect_error $wrong_type { r xdel text x }
        expect_error $no_key { r xgroup create none g x }
        expect_error $no_key { r xgroup setid none g x }
        expect_error $wrong_type { r xgroup create text g x mkstream }
        expect_error $no_key { r xgroup create none g $ entriesread 1 entriesread 1 }
        r xgroup create s g 0 mkstream
        expect_error $no_group { r xgroup setid s none x }
        expect_error $too_many { r xgroup setid s g x entriesread 1 entriesread 1 }
        expect_error $too_many { r xgroup create s g x mkstream entriesread 1 mkstream }
        expect_error $::BAD_ID { r xgroup create s g x }
        expect_error $::BAD_ID { r xgroup create other g x mkstream }
        expect [r exists other] 0
        expect_error $no_group { r xclaim s none c x y z }
        expect_error $no_group { r xclaim none g c 0 1-1 idle x }
        expect_error "ERR Invalid min-idle-time argument for XCLAIM" { r xclaim s g c x y z }
        expect_error "ERR Unrecognized XCLAIM option 'y'" { r xclaim s g c 0 y z }
        expect_error $no_group { r xreadgroup group none c streams s x }
        expect_error $::BAD_ID { r xreadgroup group g c streams s none x > }
        expect_error $no_group { r xreadgroup group g c streams s none > x }
        expect_error $wrong_type { r xread streams text s x 0 }
        expect_error $::BAD_ID { r xread streams s text x 0 }
        expect_error "ERR The $ ID is meaningless*" { r xreadgroup group g c streams s none $ > }
        expect_error "ERR syntax error" { r xpending s g idle x - + 1 c more more }
        expect_error "ERR no such key" { r xinfo stream none other }
        expect_error $too_many { r xinfo stream s other }
        expect [r exists none] 0
    }
    test "Ids with spaces, a plus sign, zeros" {
        foreach {id exact} {" 1" 1-0 +2 2-0 "3- +4" 3-4 "\t\n4-1" 4-1 05-006 5-6} {
            expect [r xadd s $id f v] $exact
        }
        foreach id {"9 " "" " " + - "- 1" 9- -9 9--1 0x9 9-+ "9 -1" "+ 9" ++9} {
            expect_error $::BAD_ID { r xadd s $id f v }
        }
        # The greatest one is ">" here.
        r xgroup create s g 0
        expect [llength [lindex [r xreadgroup group g c streams s 18446744073709551615-18446744073709551615] 0 1]] 5
        expect [r xreadgroup group g c streams s >] {}
    }
    starling_test "XSETID does not go behind the greatest id that was deleted" {
        r xadd s 1-0 f v
        r xadd s 5-0 f v
        r xdel s 5-0
        expect_error "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id" {
            r xsetid s 4-0
        }
        expect [r xsetid s 5-0] OK
    }
    starling_test "Names of groups and consumers have a bound" {
        r xadd s 1-0 f v
        foreach command {{xgroup create s x 0} {xreadgroup group g x streams s >}} {
            r xgroup create s g 0
            set long [string map [list x [string repeat c 481]] $command]
            expect_error "ERR *" { r {*}$long }
            r xgroup destroy s g
        }
        set most [string repeat c 480]
        expect [r xgroup create s $most 0] OK
        expect [r xreadgroup group $most $most streams s >] {{s {{1-0 {f v}}}}}
        expect [r xpending s $most] [list 1 1-0 1-0 [list [list $most 1]]]
    }
    starling_test "A consumer was seen when it asked, and active when it got something" {
        r xgroup create s g 0 mkstream
        r xreadgroup group g alice streams s >
        expect [dict get [lindex [r xinfo consumers s g] 0] inactive] -1
        wait_until { [dict get [lindex [r xinfo consumers s g] 0] idle] >= 20 }
        r xreadgroup group g alice streams s >
        expect_true { [dict get [lindex [r xinfo consumers s g] 0] idle] < 20 }
        r xadd s 1-0 f v
        r xreadgroup group g alice streams s >
        expect_true { [dict get [lindex [r xinfo consumers s g] 0] inactive] in [list 0 1 2 3 4 5 6 7 8 9] }
    }
    test "A stream is a value as others are" {
        add_entries s 300
        r xdel s 17-0
        r xgroup create s "a\0b" 5
        r xreadgroup group "a\0b" alice count 10 streams s >
        expect [r copy s t] 1
        expect [r xinfo groups t] [r xinfo groups s]
        expect [r xrange t - +] [r xrange s - +]
        expect [lmap one [r xpending t "a\0b" - + 20] { lreplace $one 2 2 }] \
            [lmap one [r xpending s "a\0b" - + 20] { lreplace $one 2 2 }]
        r rename t u
        expect [info_of u entries-added] 300
        expect [info_of u max-deleted-entry-id] 17-0
        set dump [r dump s]
        r restore v 0 $dump
        expect [r dump v] $dump
        expect [r xrange v - +] [r xrange s - +]
        r set k x
        expect [lsort [lindex [r scan 0 type stream count 100] 1]] {s u v}
        expect_error "WRONGTYPE*" { r sort s }
        expect_error "WRONGTYPE*" { r xlen k }
        expect_error "WRONGTYPE*" { r get s }
        expect_true { [r memory usage s] > 3000 }
        r pexpire s 1
        wait_until { [r exists s] == 0 }
        expect [r del u v] 2
    }
    test "Events" {
        r config set notify-keyspace-events KEA
        set listener [connect]
        $listener psubscribe __keyevent@*
        r xadd s 1-0 f v
        r xadd s maxlen 1 2-0 f v
        r xgroup create s g 0
        r xgroup setid s g 1
        r xreadgroup group g alice streams s >
        r xgroup createconsumer s g bob
        r xgroup delconsumer s g alice
        r xgroup destroy s g
        r xdel s 2-0
        r xsetid s 3-0
        r xadd s 4-0 f v
        r xtrim s maxlen 0
        r del s
        r set end 1
        set events {}
        while 1 {
            set event [lindex [split [lindex [$listener -receive] 2] :] end]
            if {$event eq "set"} break
            if {$event ne "psubscribe" && $event ne ""} { lappend events $event }
        }
        r config set notify-keyspace-events ""
        set group {xgroup-create xgroup-setid xgroup-createconsumer xgroup-createconsumer
            xgroup-delconsumer xgroup-destroy}
        expect [lrange $events [lsearch $events xadd] end] \
            [list xadd xadd xtrim {*}$group xdel xsetid xadd xtrim del]
    }
    test "Random writes, against a model" {
        for {set round 0} {$round < 3} {incr round} {
            r del s
            set entries {}
            set last 0
            for {set i 0} {$i < 600} {incr i} {
                set kind [random_below 20]
                if {$kind < 14} {
                    incr last [expr {1 + [random_below 300]}]
                    set value [string repeat x [random_below [expr {$kind == 0 ? 900 : 20}]]]
                    r xadd s $last-[random_below 3] f $value
                    lappend entries [list $last $value]
                } elseif {$kind < 18 && [llength $entries] > 0} {
                    set at [random_below [llength $entries]]
                    set id [lindex $entries $at 0]
                    expect [r xdel s $id-0 $id-1 $id-2] 1
                    set entries [lreplace $entries $at $at]
                } elseif {$kind == 18 && [random_below 10] == 0} {
                    set left [random_below [expr {[llength $entries] + 1}]]
                    r xtrim s maxlen $left
                    set entries [lrange $entries end-[expr {$left - 1}] end]
                } elseif {[llength $entries] > 0} {
                    set at [random_below [llength $entries]]
                    set shown [lmap entry [r xrange s [lindex $entries $at 0] + count 5] {
                        list [lindex [split [lindex $entry 0] -] 0] [lindex $entry 1 1]
                    }]
                    expect $shown [lrange $entries $at $at+4]
                }
            }
            expect [r xlen s] [llength $entries]
            expect [lmap entry [r xrange s - +] { lindex $entry 1 1 }] \
                [lmap entry $entries { lindex $entry 1 }]
            expect [lmap entry [r xrevrange s + -] { lindex $entry 1 1 }] \
                [lreverse [lmap entry $entries { lindex $entry 1 }]]
        }
    }
}

start_server {appendonly yes} {
    test "A stream survives a restart, from the log and from a snapshot" {
        add_entries s 50
        r xdel s 50-0 3-0
        r xgroup create s g 5
        r xreadgroup group g alice count 7 streams s >
        r xack s g 6-0
        r xtrim s maxlen 40
        set digest [r debug digest]
        set info [list [r xinfo stream s] [r xinfo groups s] [r xpending s g]]
        restart_server -signal KILL
        expect [r debug digest] $digest
        expect [list [r xinfo stream s] [r xinfo groups s] [r xpending s g]] $info
        r bgsave
        wait_until { [info_field persistence rdb_bgsave_in_progress] == 0 }
        restart_server
        expect [r debug digest] $digest
        expect [r xadd s * f v] [lindex [r xrevrange s + - count 1] 0 0]
    }
    test "A stream that was emptied keeps its expiry, in the log, too" {
        foreach {key commands} {s {{xdel s 1-0}} t {{xtrim t maxlen 0}}
                u {{xgroup create u g 0} {xgroup destroy u g} {xdel u 1-0}}} {
            r xadd $key 1-0 f v
            r expire $key 1000
            foreach command $commands {
                r {*}$command
            }
        }
        restart_server -signal KILL
        foreach key {s t u} {
            expect [r xlen $key] 0
            expect_range [r ttl $key] 900 1000
        }
    }
}
