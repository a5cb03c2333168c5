# SPDX-License-Identifier: BSD-3-Clause
# SORT and SORT_RO of lists, sets and sorted sets: every option, alone and together; errors; and random
# sorts against Tcl's own.

# A set in each form, and a sorted set in each.
proc make_source {kind members} {
    r del k
    switch $kind {
        set { r sadd k {*}$members }
        list { r rpush k {*}$members }
        zset {
            set score 0
            foreach member $members {
                r zadd k [expr {[incr score] * 7 % 11}] $member
            }
        }
    }
}

start_server {} {
    foreach kind {list set zset} {
        foreach count {9 300} {
            set numbers {}
            for {set i 0} {$i < $count} {incr i} {
                lappend numbers [expr {($i * 7919) % 1000003 - 5000}]
            }
            set sorted [lsort -integer $numbers]

            test "SORT by number, LIMIT, DESC: $kind of $count" {
                make_source $kind $numbers
                foreach command {sort sort_ro} {
                    expect [r $command k] $sorted
                    expect [r $command k asc] $sorted
                    expect [r $command k DESC] [lreverse $sorted]
                    expect [r $command k desc asc] $sorted
                    foreach {offset number} {0 3 2 3 0 0 5 -1 -3 2 8 10 1000 5 0 100000 9223372036854775807 1
                        0 9223372036854775807} {
                        set first [expr {min(1000, max(0, $offset))}]
                        set last [expr {$number < 0 ? "end" : min($first, 1000) + min($number, 1000) - 1}]
                        expect [r $command k limit $offset $number] [lrange $sorted $first $last]
                        expect [r $command k desc limit $offset $number] \
                            [lrange [lreverse $sorted] $first $last]
                    }
                    expect [r $command k alpha] [lsort $numbers]
                    expect [r $command k alpha desc limit 1 4] [lrange [lsort -decreasing $numbers] 1 4]
                }
            }
            test "SORT BY a pattern, GET: $kind of $count" {
                make_source $kind $numbers
                foreach number $numbers {
                    r set w:$number [expr {-$number}]
                    r hset h:$number weight [expr {-$number * 2}] name n$number
                    r set t:$number [format %08d [expr {$number + 5000}]]
                }
                expect [r sort k by w:*] [lreverse $sorted]
                expect [r sort k by w:* desc] $sorted
                expect [r sort k by h:*->weight] [lreverse $sorted]
                expect [r sort k by t:* alpha] $sorted
                expect [r sort k by t:* alpha desc limit 2 3] [lrange [lreverse $sorted] 2 4]
                expect [r sort k by h:*->name alpha] [lmap n [lsort [lmap n $numbers {set _ n$n}]] {
                    string range $n 1 end
                }]
                set wanted {}
                foreach number [lrange $sorted 0 2] {
                    lappend wanted $number n$number [expr {-$number}] {} {} $number
                }
                expect [r sort k limit 0 3 get # get h:*->name get w:* get none:* get nowhere get #] $wanted
                expect [r sort k get h:*->none limit 0 2] {{} {}}
                expect [r -wire sort_ro k get none:* limit 0 1] "*1\r\n\$-1\r\n"
            }
        }
        test "SORT of texts: $kind" {
            make_source $kind {b a "" ccc "c c" B "\xff" aa}
            expect [r sort k alpha] [list "" B a aa b "c c" ccc "\xff"]
            expect_error "ERR One or more scores can't be converted into double" { r sort k }
            expect_error "ERR One or more scores can't be converted into double" { r sort k desc limit 0 0 }
            make_source $kind {1.5 -2.25 1e3 inf -inf 0x10 " 7"}
            expect [r sort k] {-inf -2.25 1.5 { 7} 0x10 1e3 inf}
            r sadd bad nan
            expect_error "ERR One or more scores*" { r sort bad }
        }
        test "SORT BY what is absent, or of another type, is by 0 or by no text: $kind" {
            make_source $kind {3 1 2}
            expect [r sort k by none:*] {1 2 3}
            expect [r sort k by none:* desc] {3 2 1}
            r set w:2 -1
            r sadd w:3 x
            expect [r sort k by w:*] {2 1 3}
            r set w:1 ""
            expect [r sort k by w:*] {2 1 3}
            expect [lindex [r sort k by w:* alpha] 2] 2
            r set w:1 abc
            expect_error "ERR One or more scores*" { r sort k by w:* }
        }
        test "Patterns: $kind" {
            make_source $kind {1 2}
            r set 1 one
            r set x1*y starred
            r set x2*y starred2
            r set x1-> arrow
            r hset x1y f->g value f plain
            r set "*1" star
            expect [r sort k get *] {one {}}
            expect [r sort k get x**y] {starred starred2}
            expect [r sort k get x*->] {arrow {}}
            expect [r sort k get x*y->f->g] {value {}}
            expect [r sort k get x*y->f] {plain {}}
            expect [r sort k get "" get #] {{} 1 {} 2}
        }
    }
    test "SORT of a sorted set or list BY nothing keeps its order, and LIMIT counts in it" {
        for {set i 0} {$i < 200} {incr i} { r zadd k [expr {($i * 37) % 200}] m$i }
        set order [r zrange k 0 -1]
        expect [r sort k by nosort] $order
        expect [r sort k by nosort desc] [lreverse $order]
        expect [r sort k by nosort asc limit 10 5] [lrange $order 10 14]
        expect [r sort k by nosort desc limit 10 5] [lrange [lreverse $order] 10 14]
        expect [r sort k by nosort limit 198 5] [lrange $order 198 end]
        expect [r sort k by nosort limit 500 5] {}
        foreach length {5 3000} {
            r del k
            set order {}
            for {set i 0} {$i < $length} {incr i} { lappend order [expr {$i * 7919 % 3001}] }
            r rpush k {*}$order
            expect [r sort k by nosort] $order
            expect [r sort k by nosort desc] [lreverse $order]
            expect [r sort k by nosort limit 2 2] [lrange $order 2 3]
            expect [r sort k by nosort desc limit 1 3] [lrange [lreverse $order] 1 3]
            expect [r sort k by nosort limit [expr {$length - 2}] 9] [lrange $order end-1 end]
            expect [r sort k by nosort desc limit $length 9] {}
            expect [r sort k by nosort desc limit 0 2 store d] 2
            expect [r lrange d 0 -1] [lrange [lreverse $order] 0 1]
        }
        r sadd s b a c
        expect [lsort [r sort s by nosort]] {a b c}
        expect [llength [r sort s by nosort limit 1 1]] 1
    }
    test "SORT: what is absent, what has no order, errors" {
        expect [r sort none] {}
        expect [r sort none by w:* get # limit 0 5 alpha desc] {}
        r set s text
        r hset h f v
        expect_error WRONGTYPE* { r sort s }
        expect_error WRONGTYPE* { r sort h by nosort }
        r sadd k 1 2
        foreach options {{limit} {limit 1} {by} {get} {store} {other} {asc x} {limit 0 1 2}} {
            expect_error "ERR syntax error" { r sort k {*}$options }
        }
        expect_error "ERR syntax error" { r sort_ro k store d }
        expect_error "ERR value is not an integer or out of range" { r sort k limit a 1 }
        expect_error "ERR value is not an integer or out of range" { r sort k limit 1 9223372036854775808 }
        expect_error "ERR wrong number of arguments for 'sort' command" { r sort }
        expect_error "ERR wrong number of arguments for 'sort_ro' command" { r sort_ro }
        expect [r command getkeys sort k by w:* get store store d limit 0 store] {k d}
        expect [r command getkeys sort k store a get # store b] {k b}
    }
    test "SORT STORE of nothing removes the destination" {
        r set d text
        expect [r sort none store d] 0
        expect [r exists d] 0
        r sadd k 1
        r set d text
        expect [r sort k limit 5 5 store d] 0
        expect [r exists d] 0
    }
    test "SORT reads lists, and STORE makes one" {
        r rpush l 3 1 2 10
        expect [r sort l] {1 2 3 10}
        expect [r sort l desc limit 1 2] {3 2}
        expect [r sort l by nosort] {3 1 2 10}
        expect [r sort l by nosort desc] {10 2 1 3}
        expect [r sort l by nosort desc limit 1 2] {2 1}
        expect [r sort l by nosort desc limit 3 5] {3}
        expect [r sort l alpha] {1 10 2 3}
        r set d text
        expect [r sort l store d] 4
        expect [r lrange d 0 -1] {1 2 3 10}
        expect [r sort l get # get w:* store l] 8
        expect [r lrange l 0 -1] {1 {} 2 {} 3 {} 10 {}}
    }
    test "SORT: which texts are numbers" {
        r set w:1 " 5"
        r set w:2 "4\x00rest"
        r set w:3 ""
        r sadd k 1 2 3
        expect [r sort k by w:*] {3 2 1}
        foreach text {x 1x {1 } nan 5e-324 1e400} {
            r set w:2 $text
            expect_error "ERR One or more scores can't be converted into double" {
                r sort k by w:*
            }
        }
    }
    test "SORT in another database looks there" {
        r set w:1 2
        r select 1
        r sadd k 1 2
        r set w:1 9
        r set w:2 3
        expect [r sort k by w:*] {2 1}
    }
    test "SORT of many: random values, each way, against Tcl" {
        for {set round 0} {$round < 5} {incr round} {
            r flushdb
            set pairs {}
            for {set i 0} {$i < 500} {incr i} {
                set weight [expr {[random_below 100] - 50}].5
                r set w:e$i $weight
                lappend pairs [list e$i $weight]
            }
            r [pick {sadd}] k {*}[lmap pair $pairs {lindex $pair 0}]
            set wanted [lsort -real -index 1 [lsort -index 0 $pairs]]
            set offset [random_below 400]
            expect [r sort k by w:* limit $offset 50] \
                [lmap pair [lrange $wanted $offset $offset+49] {lindex $pair 0}]
        }
    }
}
