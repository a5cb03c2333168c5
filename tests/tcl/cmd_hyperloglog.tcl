# SPDX-License-Identifier: BSD-3-Clause
# PFADD, PFCOUNT, PFMERGE, PFDEBUG, PFSELFTEST: counts and bytes as Redis gives them, both encodings,
# merging, errors, and values that are no HyperLogLog or a broken one.

# Elements `from` to `to` of the sequence that the known counts below belong to.
proc elements {from to} {
    set words {}
    for {set i $from} {$i < $to} {incr i} {
        lappend words element:$i
    }
    return $words
}

proc add_elements {key from to} {
    for {set i $from} {$i < $to} {incr i 1000} {
        r pfadd $key {*}[elements $i [expr {min($to, $i + 1000)}]]
    }
}

# The header of a sparse value; `cache` is the last byte, whose top bit marks the count as stale.
proc sparse_header {{cache "\x80"}} {
    return "HYLL\1[string repeat "\0" 10]$cache"
}

proc dense_value {{registers ""}} {
    return [string range "HYLL[string repeat "\0" 11]\x80$registers[string repeat "\0" 12288]" 0 12303]
}

# ---- counting ----

start_server {} {
    test "PFADD says whether a register rose" {
        expect [r pfadd h a b c] 1
        expect [r pfadd h a] 0
        expect [r pfadd h c b a c] 0
        expect [r pfadd h d] 1
        expect [r pfcount h] 4
        expect [r pfadd h ""] 1
        expect [r pfcount h] 5
    }
    test "PFADD without elements makes an empty one" {
        expect [r pfadd h] 1
        expect [r pfadd h] 0
        # Nothing is counted yet.
        expect [r get h] "HYLL\1[string repeat "\0" 10]\x80\x7f\xff"
        expect [r pfcount h] 0
        expect [r pfdebug encoding h] sparse
        expect [r get h] "HYLL\1[string repeat "\0" 11]\x7f\xff"
        expect [r type h] string
    }
    test "PFCOUNT of absent keys is 0" {
        expect [r pfcount h] 0
        expect [r pfcount h other] 0
        expect [r exists h] 0
    }
    test "counts are exactly those of Redis, sparse and dense" {
        set added 0
        r pfadd forced
        r pfdebug todense forced
        foreach {until counted} {1 1 10 10 100 99 1000 997 10000 10017 100000 100039} {
            add_elements h $added $until
            add_elements forced $added $until
            set added $until
            expect [r pfcount h] $counted
            expect [r pfcount h] $counted
            expect [r pfcount forced] $counted
            expect [r pfcount h forced] $counted
            expect [r pfdebug encoding h] [expr {$until <= 1000 ? "sparse" : "dense"}]
        }
    }
    test "bytes and registers are exactly those of Redis" {
        r pfadd h a b c
        expect [r get h] "[sparse_header]`\xf3\x80P\xb1\x84K\xfb\x80BZ"
        expect [r pfdebug decode h] "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603"
        set registers [r pfdebug getreg h]
        expect [llength $registers] 16384
        expect [lmap i {0 8436 12711 15780 16383} { lindex $registers $i }] {0 1 2 1 0}
        r pfadd z [binary format H* 2295e776dc15ca3f]
        expect [lindex [r pfdebug getreg z] 16383] 51
    }
    test "the cached count lives in the value, and is stale after a change" {
        r pfadd h a b c
        expect [r getrange h 15 15] "\x80"
        expect [r pfcount h] 3
        expect [r getrange h 8 15] "\3\0\0\0\0\0\0\0"
        expect [r pfadd h a b c] 0
        expect [r getrange h 15 15] "\0"
        expect [r pfadd h 1 2 3] 1
        expect [r getrange h 15 15] "\x80"
        expect [r pfcount h] 6
        r pfdebug todense h
        expect [r pfcount h] 6
        expect [r pfadd h 4] 1
        expect [r getrange h 15 15] "\x80"
        expect [r pfcount h] 7
    }
    test "PFCOUNT keeps the count without a change" {
        r pfadd h a b c
        set changes { info_field persistence rdb_changes_since_last_save }
        set before [eval $changes]
        if {[server_is_starling]} {
            r pfcount h
            expect [eval $changes] $before
        }
        r pfadd h a
        r pfcount h
        set before [eval $changes]
        r pfadd h a b c
        r pfcount h
        expect [eval $changes] $before
        r pfadd h d
        expect [eval $changes] [expr {$before + 1}]
    }
    test "a HyperLogLog keeps its expiry" {
        r pfadd h a
        r expire h 100
        r pfadd h b
        expect_range [r ttl h] 98 100
        r pfdebug todense h
        r pfadd h c
        expect_range [r ttl h] 98 100
        r pfadd other d
        r pfmerge h other
        expect_range [r ttl h] 98 100
        expect [r pfcount h] 4
    }
    test "a HyperLogLog goes through DUMP and RESTORE, GET and SET" {
        foreach count {10 5000} {
            r del h
            add_elements h 0 $count
            set counted [r pfcount h]
            r restore copy 0 [r dump h] replace
            r set again [r get h]
            foreach key {copy again} {
                expect [r pfcount $key] $counted
                expect [r pfadd $key element:0] 0
                expect [r pfadd $key one more of them and some others] 1
                expect_true {[r pfcount $key] > $counted} $key
            }
        }
    }
    test "arity" {
        foreach command {pfadd pfcount pfmerge} {
            expect_error "ERR wrong number of arguments for '$command' command" { r $command }
        }
        expect_error "ERR wrong number of arguments for 'pfdebug' command" { r pfdebug getreg }
        expect_error "ERR wrong number of arguments for 'pfselftest' command" { r pfselftest x }
    }
}

# ---- encodings ----

start_server {} {
    test "hll-sparse-max-bytes bounds the sparse encoding, header included" {
        with_config {hll-sparse-max-bytes 21} {
            r pfadd h a
            expect [r pfdebug encoding h] sparse
            expect [r strlen h] 21
            r pfadd h b
            expect [r pfdebug encoding h] dense
            expect [r strlen h] 12304
            expect [r pfcount h] 2
        }
        with_config {hll-sparse-max-bytes 0} {
            r pfadd other a
            expect [r pfdebug encoding other] dense
        }
    }
    test "a rank above 32 needs the dense encoding" {
        r pfadd h a [binary format H* 5d6168bf3afec00a]
        expect [r pfdebug encoding h] sparse
        expect_match [r pfdebug decode h] "z:5 v:32,1 Z:*"
        r pfadd h [binary format H* 499bde5f61a09c55]
        expect [r pfdebug encoding h] dense
        expect [lindex [r pfdebug getreg h] 5] 33
        expect [r pfcount h] 2
    }
    test "sparse and dense agree at random" {
        for {set i 0} {$i < 20} {incr i} {
            r del a b
            r pfadd a
            r pfadd b
            expect [r pfdebug todense b] 1
            expect [r pfdebug todense b] 0
            for {set j [random_below 4]} {$j >= 0} {incr j -1} {
                set words {}
                for {set k [random_below 100]} {$k > 0} {incr k -1} {
                    lappend words [random_bytes [random_below 20]]
                }
                expect [r pfadd a {*}$words] [r pfadd b {*}$words]
            }
            expect [r pfdebug encoding a] sparse
            expect [r pfdebug encoding b] dense
            expect [r pfcount a] [r pfcount b]
            expect_true {[r pfdebug getreg a] eq [r pfdebug getreg b]} "registers"
        }
    }
    test "PFDEBUG TODENSE, ENCODING, DECODE, GETREG" {
        r pfadd h a b c
        r set copy [r get h]
        set registers [r pfdebug getreg copy]
        expect [r PFDEBUG TODENSE h] 1
        expect [r pfdebug ENCODING h] dense
        expect_true {[r pfdebug GETREG h] eq $registers} "registers"
        expect_error "ERR HLL encoding is not sparse" { r pfdebug decode h }
        expect_error "ERR Unknown PFDEBUG subcommand 'other'" { r pfdebug other h }
        foreach word {getreg decode encoding todense other} {
            expect_error "ERR The specified key does not exist" { r pfdebug $word absent }
        }
        r set s x
        expect_error "WRONGTYPE Key is not a valid HyperLogLog string value." {
            r pfdebug getreg s
        }
    }
    test "PFSELFTEST" {
        expect [r pfselftest] OK
    }
}

# ---- merging ----

start_server {} {
    test "PFMERGE joins, and counts the target in" {
        r pfadd a 1 2 3
        r pfadd b 3 4 5
        expect [r pfmerge k a b] OK
        expect [r pfcount k] 5
        r pfadd c 6
        expect [r pfmerge k c] OK
        expect [r pfcount k] 6
        expect [r pfmerge k a absent k] OK
        expect [r pfcount k] 6
        expect [r pfcount a b c] 6
        expect [r pfcount a] 3
    }
    test "PFMERGE makes a target from nothing" {
        expect [r pfmerge k] OK
        expect [r pfcount k] 0
        expect [r pfdebug encoding k] sparse
        expect [r pfmerge other absent] OK
        expect [r exists other] 1
    }
    test "PFMERGE is dense when a source is" {
        r pfadd a 1
        r pfadd b 2
        r pfdebug todense b
        r pfmerge k a
        expect [r pfdebug encoding k] sparse
        r pfmerge k b
        expect [r pfdebug encoding k] dense
        expect [r pfcount k] 2
        r pfadd d 3
        r pfmerge b d
        expect [r pfcount b] 2
        expect [r pfdebug encoding b] dense
    }
    test "PFMERGE goes dense beyond hll-sparse-max-bytes" {
        with_config {hll-sparse-max-bytes 29} {
            r pfadd a 1
            r pfadd b 2
            r pfadd c 3
            r pfadd d 4
            r pfmerge k a b c d
            expect [r pfdebug encoding k] dense
            expect [r pfcount k] 4
        }
    }
    test "a merge has the registers of adding everything, in any order" {
        foreach {count of} {300 3 3000 4} {
            r flushall
            set keys {}
            for {set i 0} {$i < $of} {incr i} {
                lappend keys part$i
                set from [expr {$count * $i / 2}]
                add_elements part$i $from [expr {$from + $count}]
                add_elements whole $from [expr {$from + $count}]
            }
            r pfmerge k {*}$keys
            r pfmerge backwards {*}[lreverse $keys]
            foreach key $keys {
                r pfmerge step $key
                r pfmerge step $key step
            }
            set whole [r pfdebug getreg whole]
            foreach key {k backwards step} {
                expect_true {[r pfdebug getreg $key] eq $whole} "$key of $of times $count"
                expect [r pfcount $key] [r pfcount whole]
            }
            expect [r pfcount {*}$keys] [r pfcount whole]
        }
    }
}

# ---- what is none ----

start_server {} {
    test "strings that are no HyperLogLog" {
        foreach value [list "" x 12 HYLL [string range [sparse_header] 0 14] \
            "HYLX[string range [sparse_header] 4 end]\x7f\xff" \
            "HYLL\2[string repeat "\0" 10]\x80\x7f\xff" \
            [string range [dense_value] 0 end-1] [dense_value]x] {
            r set k $value
            foreach command {{pfadd k} {pfadd k a} {pfcount k} {pfcount k other} {pfcount other k}
                {pfmerge k} {pfmerge target k} {pfmerge k other} {pfdebug encoding k}} {
                expect_error "WRONGTYPE Key is not a valid HyperLogLog string value." { r {*}$command }
            }
            expect_true {[r get k] eq $value} "unchanged"
            expect [r exists target] 0
        }
    }
    test "sparse registers that make no sense" {
        foreach registers [list "" "\x7f" "\x7f\xfe" "\x7f\xff\0" "\x7f\xfe\x81" "\x7f\xff\x7f\xff" \
            "\x7f\xffhello" [string repeat "\x7f\xff" 20000] [string repeat "\x3f" 300] \
            [string repeat "\x83" 4097]] {
            r set k "[sparse_header]$registers"
            set value [r get k]
            foreach command {{pfcount k} {pfcount k k} {pfmerge target k} {pfmerge k}
                {pfdebug getreg k} {pfdebug decode k} {pfdebug todense k}} {
                if {![server_is_starling] && $command in {{pfdebug decode k} {pfdebug todense k}}} {
                    continue
                }
                expect_error "INVALIDOBJ Corrupted HLL object detected" { r {*}$command }
            }
            # A register before the fault may be found, one behind it may not: an error or a number.
            foreach element {a b c d} {
                if {[catch { r pfadd k $element } result]} {
                    expect $result "INVALIDOBJ Corrupted HLL object detected"
                } else {
                    expect_true {$result in {0 1}}
                }
            }
            expect [r ping] PONG
        }
    }
    test "a longer walk than any register" {
        r set k "[sparse_header][string repeat "\0" 16383]"
        expect_error "INVALIDOBJ*" { r pfcount k }
        r set k "[sparse_header][string repeat "\0" 16384]"
        expect [r pfcount k] 0
        expect [r pfadd k a] 1
        expect [r pfcount k] 1
        r set k "[sparse_header][string repeat "\0" 16385]"
        expect_error "INVALIDOBJ*" { r pfcount k }
    }
    test "broken at random: an error or a count, and the server lives" {
        for {set i 0} {$i < 300} {incr i} {
            r del h
            add_elements h 0 [pick {0 1 5 40 400 4000}]
            for {set j [random_below 5]} {$j >= 0} {incr j -1} {
                r setrange h [random_below [r strlen h]] [random_bytes 1]
            }
            foreach command {{pfcount h} {pfadd h a b c d e f g} {pfcount h h} {pfmerge h}
                {pfdebug encoding h}} {
                if {[catch { r {*}$command } result]} {
                    expect_true {[string match INVALIDOBJ* $result] || [string match WRONGTYPE* $result]}
                }
            }
        }
        expect [r ping] PONG
    }
}

# ---- durability ----

start_server {appendonly yes} {
    starling_test "HyperLogLogs written in all ways are there after a kill" {
        add_elements sparse 0 50
        for {set i 0} {$i < 400} {incr i} {
            r pfadd single $i
            r pfadd pairs $i [expr {$i / 3}] x$i y$i z$i w$i
        }
        add_elements dense 0 5000
        r pfcount dense
        r pfadd dense one two three four five six seven eight
        r pfadd other a b c
        r pfmerge dense other
        r pfmerge merged sparse dense
        r pfadd forced x
        r pfdebug todense forced
        r pfadd forced y
        set keys {sparse single pairs dense other merged forced}
        # Of the value only the cached count may differ: to count is no change.
        set values {lmap key $keys { string replace [r get $key] 8 15 }}
        set registers [eval $values]
        set encodings [lmap key $keys { r pfdebug encoding $key }]
        set counts [lmap key $keys { r pfcount $key }]
        restart_server -signal KILL
        expect_true {[eval $values] eq $registers} "registers"
        expect [lmap key $keys { r pfdebug encoding $key }] $encodings
        expect [lmap key $keys { r pfcount $key }] $counts
    }
}
