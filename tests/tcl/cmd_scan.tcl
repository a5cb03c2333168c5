# SPDX-License-Identifier: BSD-3-Clause
# Looking through keys: KEYS, SCAN, RANDOMKEY. SCAN's promise (a key that stays is reported) is
# tried while the table grows and shrinks; each key comes exactly once, which is more than Redis
# promises.

# All keys that a whole scan reports.
proc scan_all {args} {
    set found {}
    set cursor 0
    while 1 {
        lassign [r scan $cursor {*}$args] cursor keys
        lappend found {*}$keys
        if {$cursor eq "0"} {
            return $found
        }
    }
}

start_server {} {
    # ---- KEYS ----

    test "KEYS matches patterns" {
        foreach key {hello hallo hxllo hllo heello foo "" "a*b" "a\\b" "\xff\0\xfe"} {
            r set $key v
        }
        expect_set [r keys h?llo] {hello hallo hxllo}
        expect_set [r keys h*llo] {hello hallo hxllo hllo heello}
        expect_set [r keys {h[ae]llo}] {hello hallo}
        expect_set [r keys {h[^e]llo}] {hallo hxllo}
        expect_set [r keys {h[a-e]llo}] {hello hallo}
        expect [r keys {a\*b}] {a*b}
        expect [r keys foo] foo
        expect [r keys FOO] {}
        expect [r keys ""] {{}}
        expect [r keys "?\0?"] [list "\xff\0\xfe"]
        expect [llength [r keys *]] 10
        expect [r keys nothing*] {}
        # The empty key is matched by "*" and by the empty pattern alone, as in Redis.
        expect [llength [r keys **]] 9
        expect [llength [lindex [r scan 0 count 1000 match **] 1]] 9
        expect [llength [lindex [r scan 0 count 1000 match *] 1]] 10
        expect_error "ERR wrong number of arguments for 'keys' command" { r keys }
    }
    test "KEYS lists thousands of keys, each once" {
        populate 5000
        expect [llength [lsort -unique [r keys *]]] 5000
        expect [llength [r keys *]] 5000
        expect [llength [r keys key:1???]] 1000
    }
    test "KEYS looks into its own database only" {
        r set a 1
        r select 1
        r set b 1
        expect [r keys *] b
    }
    test "KEYS with a pattern of many stars ends soon" {
        r set [string repeat a 5000]b v
        set start [clock milliseconds]
        expect [r keys [string repeat a* 30]c] {}
        expect_range [expr {[clock milliseconds] - $start}] 0 [expr {5000 * [patience]}]
    }

    test "KEYS with a pattern of more than a thousand stars matches nothing, as in Redis" {
        r set [string repeat a 3000] v
        expect [llength [r keys [string repeat "*?" 900]]] 1
        expect [r keys [string repeat "*?" 1100]] {}
    }

    # ---- RANDOMKEY ----

    test "RANDOMKEY names every key sooner or later" {
        expect_nil randomkey
        foreach key {a b c d} {
            r set $key v
        }
        set seen [dict create]
        wait_until {[dict size [dict set seen [r randomkey] 1]] == 4}
        expect_set [dict keys $seen] {a b c d}
        expect_error "ERR wrong number of arguments for 'randomkey' command" { r randomkey x }
    }
    test "RANDOMKEY passes over what has expired" {
        r debug set-active-expire 0
        for {set i 0} {$i < 100} {incr i} {
            r set gone$i v px 1
        }
        r set stays v
        after 10
        expect [r randomkey] stays
        r del stays
        expect_nil randomkey
        r debug set-active-expire 1
    }

    # ---- SCAN ----

    test "SCAN of an empty database" {
        expect [r -wire scan 0] "*2\r\n\$1\r\n0\r\n*0\r\n"
    }
    foreach count {1 2 10 100 1000000} {
        test "SCAN COUNT $count finds each of 2000 keys" {
            populate 2000
            set found [scan_all count $count]
            expect [llength [lsort -unique $found]] 2000
            if {[server_is_starling]} {
                expect [llength $found] 2000
            }
        }
    }
    test "SCAN COUNT bounds a reply" {
        populate 2000
        foreach count {1 5 50} {
            set keys [lindex [r scan 0 count $count] 1]
            expect_range [llength $keys] 0 [expr {$count + 32}]
        }
        lassign [r scan 0 count 1000000] cursor keys
        expect $cursor 0
        expect [llength $keys] 2000
        expect [lindex [r scan 0 count 9223372036854775807] 0] 0
    }
    test "SCAN MATCH" {
        populate 1000
        r set other v
        expect [llength [lsort -unique [scan_all match key:1??]]] 100
        expect [lsort -unique [scan_all match other]] other
        expect [lsort -unique [scan_all match OTHER]] {}
        expect [llength [lsort -unique [scan_all match * count 100]]] 1001
        expect [scan_all match nothing] {}
    }
    test "SCAN TYPE" {
        populate 300
        expect [llength [lsort -unique [scan_all type string]]] 300
        expect [llength [lsort -unique [scan_all TYPE STRING match key:1? count 7]]] 10
        foreach type {list set hash zset stream nonsense ""} {
            expect [scan_all type $type] {}
        }
    }
    test "SCAN looks into its own database only" {
        r set a 1
        r select 1
        populate 50
        expect [llength [lsort -unique [scan_all]]] 50
    }
    test "SCAN hides what has expired, and removes it" {
        r debug set-active-expire 0
        for {set i 0} {$i < 200} {incr i} {
            r set gone$i v px 1
            r set stays$i v
        }
        after 10
        expect [r dbsize] 400
        set found [scan_all]
        expect [llength [lsort -unique $found]] 200
        expect [lsearch -glob $found gone*] -1
        expect [r dbsize] 200
        r debug set-active-expire 1
    }
    foreach {title change} {
        "the database grows" { populate 2000 new:[incr round]: }
        "the database shrinks" {
            set gone {}
            for {set i 0} {$i < 1000} {incr i} {
                lappend gone [list del bulk:[incr removed]]
            }
            r -pipeline $gone
        }
        "keys come and go" {
            populate 500 come:
            for {set i 0} {$i < 500} {incr i} {
                lappend gone [list del come:$i]
            }
            r -pipeline $gone
        }
    } {
        test "SCAN misses no key while $title" {
            populate 500 stays:
            populate 20000 bulk:
            set round 0
            set removed 0
            set found {}
            set cursor 0
            while 1 {
                lassign [r scan $cursor count 300] cursor keys
                lappend found {*}[lsearch -all -inline -glob $keys stays:*]
                if {$cursor eq "0"} {
                    break
                }
                if {$round < 20} {
                    incr round
                    set gone {}
                    eval $change
                }
            }
            expect [llength [lsort -unique $found]] 500
            if {[server_is_starling]} {
                expect [llength $found] 500
            }
        }
    }
    test "SCAN with any cursor at all ends" {
        populate 1000
        foreach cursor [list "" 00 1 77 4294967295 72057594037927935 72057594037927936 \
            18446744073709551615] {
            for {set calls 0} {$calls < 2000} {incr calls} {
                set cursor [lindex [r scan $cursor] 0]
                if {$cursor eq "0"} {
                    break
                }
            }
            expect $cursor 0
        }
    }
    test "SSCAN, HSCAN and ZSCAN of small keys show everything, whatever the cursor" {
        r sadd s a
        r hset h f v
        r zadd z 1 m
        foreach cursor {0 1 99999 72057594037927936 18446744073709551615} {
            expect [r sscan s $cursor] {0 a}
            expect [r hscan h $cursor] {0 {f v}}
            expect [r zscan z $cursor] {0 {m 1}}
        }
    }
    test "SCAN: errors" {
        foreach cursor {x 1x " 1" 0x1 1.5 99999999999999999999} {
            expect_error "ERR invalid cursor" { r scan $cursor }
        }
        expect_error "ERR syntax error" { r scan 0 match }
        expect_error "ERR syntax error" { r scan 0 count }
        expect_error "ERR syntax error" { r scan 0 foo bar }
        expect_error "ERR syntax error" { r scan 0 count 0 }
        expect_error "ERR syntax error" { r scan 0 count -5 }
        expect_error "ERR value is not an integer or out of range" { r scan 0 count x }
        expect_error "ERR wrong number of arguments for 'scan' command" { r scan }
    }
}
