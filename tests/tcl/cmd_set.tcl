# SPDX-License-Identifier: BSD-3-Clause
# The set commands: every option of each, their errors, every encoding; what keys do with sets; and
# random histories against a naive model, across the limits of packing and across restarts.

# The members of set number `i` of each kind: integers, short texts, one text that is too long to be
# packed, and more than are packed.
proc members_of {kind} {
    set members {}
    switch $kind {
        intset {
            for {set i 0} {$i < 20} {incr i} { lappend members [expr {$i * 7 - 50}] }
        }
        listpack {
            for {set i 0} {$i < 20} {incr i} { lappend members member:$i }
        }
        long {
            for {set i 0} {$i < 20} {incr i} { lappend members member:$i }
            lappend members [string repeat x 100]
        }
        hashtable {
            for {set i 0} {$i < 300} {incr i} { lappend members member:$i }
        }
        integers {
            for {set i 0} {$i < 700} {incr i} { lappend members [expr {$i * 3}] }
        }
    }
    return $members
}
set kinds {intset listpack long hashtable integers}
set encodings {intset intset listpack listpack long hashtable hashtable hashtable integers hashtable}

proc sscan_all {key args} {
    set found {}
    set cursor 0
    while 1 {
        lassign [r sscan $key $cursor {*}$args] cursor members
        lappend found {*}$members
        if {$cursor eq "0"} {
            return $found
        }
    }
}

start_server {} {
    # ---- SADD, SREM, SCARD, SISMEMBER, SMISMEMBER, SMEMBERS ----

    foreach kind $kinds {
        set members [members_of $kind]
        test "SADD, SMEMBERS, SCARD, SISMEMBER: $kind" {
            expect [r sadd k {*}$members] [llength $members]
            expect [r sadd k {*}$members] 0
            expect [r scard k] [llength $members]
            expect_set [r smembers k] $members
            expect [r type k] set
            foreach member [lrange $members 0 30] {
                expect [r sismember k $member] 1
                expect [r sismember k ${member}x] 0
            }
            expect [r smismember k [lindex $members 3] other [lindex $members end] ""] {1 0 1 0}
            expect [r sadd k new [lindex $members 0] new] 1
            expect [r scard k] [expr {[llength $members] + 1}]
        }
        test "SREM: $kind" {
            r sadd k {*}$members
            expect [r srem k [lindex $members 2] other [lindex $members 2]] 1
            expect [r sismember k [lindex $members 2]] 0
            expect [r srem k other] 0
            expect [r srem k {*}$members] [expr {[llength $members] - 1}]
            expect [r exists k] 0
            expect [r dbsize] 0
            expect [r srem k a] 0
        }
        starling_test "OBJECT ENCODING: $kind" {
            r sadd k {*}$members
            expect [r object encoding k] [dict get $encodings $kind]
        }
        test "Keys do with sets what they do with strings: $kind" {
            r sadd k {*}$members
            expect [r copy k c] 1
            expect_set [r smembers c] $members
            expect [r rename c d] OK
            expect_set [r smembers d] $members
            expect [r move d 1] 1
            expect [r exists d] 0
            r select 1
            expect_set [r smembers d] $members
            r select 0
            expect [r expire k 100] 1
            expect [r copy k e] 1
            expect_range [r ttl e] 99 100
            r sadd k another
            expect_range [r ttl k] 99 100
            expect [r persist k] 1
            expect_set [lindex [r scan 0 type set count 100] 1] {e k}
            expect [r del k e] 2
            expect [r exists k e] 0
            r sadd k {*}$members
            expect [r pexpire k 1] 1
            wait_until { [r exists k] == 0 }
            expect [r sadd k a] 1
            expect [r smembers k] a
            expect [r ttl k] -1
            r sadd k {*}$members
            expect [r unlink k] 1
            expect [r smembers k] {}
            r sadd k {*}$members
            expect [r set k text] OK
            expect [r get k] text
        }
    }
    test "Any bytes are a member" {
        set members [list "" " " a\nb "\0" "\xff\xfe" "\r\n" 007 +5 -0 " 1" 1e3 \
            9223372036854775807 -9223372036854775808 9223372036854775808 [random_bytes 5000]]
        expect [r sadd k {*}$members] [llength $members]
        expect_set [r smembers k] $members
        foreach member $members {
            expect [r sismember k $member] 1
            expect [r srem k $member] 1
            expect [r sismember k $member] 0
        }
        expect [r exists k] 0
        expect [r sadd k ""] 1
        expect [r -wire smembers k] "*1\r\n\$0\r\n\r\n"
    }
    test "Absent keys are empty sets" {
        expect [r scard k] 0
        expect [r sismember k a] 0
        expect [r smismember k a b] {0 0}
        expect [r -wire smembers k] "*0\r\n"
        expect_nil spop k
        expect [r -wire spop k 3] "*0\r\n"
        expect_nil srandmember k
        expect [r -wire srandmember k 3] "*0\r\n"
        expect [r -wire srandmember k -3] "*0\r\n"
        expect [r sscan k 0] {0 {}}
        expect [r smove k other a] 0
        expect [r sintercard 2 k other] 0
        foreach command {sinter sunion sdiff} {
            expect [r -wire $command k other] "*0\r\n"
            expect [r ${command}store to k other] 0
        }
        expect [r dbsize] 0
    }
    test "Sets are sets in RESP3" {
        r hello 3
        expect [r -wire smembers k] "~0\r\n"
        expect [r -wire spop k 1] "~0\r\n"
        expect [r -wire sinter k] "~0\r\n"
        expect [r -wire srandmember k 2] "*0\r\n"
        expect [r -wire srandmember k] "_\r\n"
        expect [r -wire spop k] "_\r\n"
        r sadd k a
        expect [r -wire smembers k] "~1\r\n\$1\r\na\r\n"
        expect [r -wire sunion k k] "~1\r\n\$1\r\na\r\n"
        expect [r -wire sdiff k other] "~1\r\n\$1\r\na\r\n"
        expect [r -wire sinter k k] "~1\r\n\$1\r\na\r\n"
        expect [r -wire srandmember k 2] "*1\r\n\$1\r\na\r\n"
        expect [r -wire smismember k a b] "*2\r\n:1\r\n:0\r\n"
        expect [r -wire spop k 2] "~1\r\n\$1\r\na\r\n"
    }
    test "WRONGTYPE both ways" {
        r set s text
        r sadd k a b
        foreach command {{sadd s a} {srem s a} {scard s} {sismember s a} {smismember s a} {smembers s}
            {spop s} {spop s 0} {spop s 2} {srandmember s} {srandmember s 2} {sscan s 0} {smove s k a}
            {smove k s a} {sinter s} {sinter k s} {sinter absent s} {sunion k s} {sdiff k s}
            {sdiff absent s} {sinterstore to k s} {sunionstore to s} {sdiffstore to k absent s}
            {sintercard 2 k s} {sintercard 2 absent s}
            {get k} {append k a} {incr k} {setrange k 0 a} {getset k a} {strlen k} {setbit k 0 1}
            {pfadd k a} {bitcount k} {hlen k} {zcard k}} {
            expect_error WRONGTYPE* { r {*}$command }
        }
        expect [r get s] text
        expect_set [r smembers k] {a b}
        expect [r exists to] 0
        expect [r mget k] {{}}
        expect_error WRONGTYPE* { r set k a get }
    }
    test "Errors of arguments" {
        foreach command {sadd srem sismember smismember smembers scard spop srandmember smove sinter
            sinterstore sintercard sunion sunionstore sdiff sdiffstore sscan} {
            expect_error "ERR wrong number of arguments for '$command' command" { r $command }
        }
        expect_error "ERR wrong number*" { r sadd k }
        expect_error "ERR wrong number*" { r sinterstore k }
        expect_error "ERR wrong number*" { r smove k o }
        expect_error "ERR wrong number*" { r smembers k o }
        expect_error "ERR syntax error" { r spop k 1 2 }
        expect_error "ERR value is out of range, must be positive" { r spop k -1 }
        expect_error "ERR value is out of range, must be positive" { r spop k a }
        expect_error "ERR syntax error" { r srandmember k 1 2 }
        expect_error "ERR value is not an integer or out of range" { r srandmember k a }
        expect_error "ERR value is out of range*" { r srandmember k -9223372036854775808 }
    }

    # ---- encodings ----

    starling_test "An integer set changes its form as members come" {
        r sadd k 1 2 3
        expect [r object encoding k] intset
        r sadd k a
        expect [r object encoding k] listpack
        r srem k a
        expect [r object encoding k] listpack
        r sadd k {*}[lrange [members_of integers] 0 124]
        expect [r object encoding k] listpack
        r sadd k {*}[lrange [members_of integers] 125 140]
        expect [r object encoding k] hashtable
        r del k
        r sadd k {*}[lrange [members_of integers] 0 511]
        expect [r object encoding k] intset
        r sadd k a
        expect [r object encoding k] hashtable
        r srem k {*}[lrange [members_of integers] 0 500]
        expect [r object encoding k] hashtable
        r del k
        r sadd k {*}[lrange [members_of integers] 0 511]
        r sadd k 1000000
        expect [r object encoding k] hashtable
        r srem k 1000000
        expect [r object encoding k] hashtable
        r del k
        r sadd k {*}[lrange [members_of hashtable] 0 127]
        expect [r object encoding k] listpack
        r sadd k another
        expect [r object encoding k] hashtable
        r del k
        r sadd k [string repeat x 64]
        expect [r object encoding k] listpack
        r sadd k [string repeat x 65]
        expect [r object encoding k] hashtable
        foreach text {007 +5 -0 9223372036854775808 ""} {
            r del k
            r sadd k $text
            expect [r object encoding k] listpack
        }
        r del k
        r sadd k 9223372036854775807 -9223372036854775808
        expect [r object encoding k] intset
    }
    starling_test "Limits of the forms are options" {
        with_config {set-max-intset-entries 5 set-max-listpack-entries 3 set-max-listpack-value 4} {
            r sadd i 1 2 3 4 5
            expect [r object encoding i] intset
            r sadd i 6
            expect [r object encoding i] hashtable
            r sadd t a b c
            expect [r object encoding t] listpack
            r sadd t d
            expect [r object encoding t] hashtable
            r sadd v abcde
            expect [r object encoding v] hashtable
            expect_set [r smembers i] {1 2 3 4 5 6}
        }
        with_config {set-max-intset-entries 2 set-max-listpack-entries 0} {
            foreach {member encoding} {1 intset 2 intset 3 hashtable} {
                r sadd n $member
                expect [r object encoding n] $encoding
            }
            r sadd u a
            expect [r object encoding u] hashtable
            expect [r smembers u] a
        }
    }
    starling_test "DEBUG RELOAD and restarts keep sets and what OBJECT ENCODING says" {
        foreach kind $kinds {
            r sadd $kind {*}[members_of $kind]
        }
        set digest [r debug digest]
        r debug reload
        expect [r debug digest] $digest
        foreach kind $kinds {
            expect_set [r smembers $kind] [members_of $kind]
            expect [r object encoding $kind] [dict get $encodings $kind]
        }
    }

    # ---- SMOVE ----

    foreach from $kinds {
        test "SMOVE from $from" {
            set members [members_of $from]
            set member [lindex $members 5]
            r sadd from {*}$members
            expect [r smove from to $member] 1
            expect [r smembers to] $member
            expect [r sismember from $member] 0
            expect [r scard from] [expr {[llength $members] - 1}]
            expect [r smove from to $member] 0
            r sadd from $member
            expect [r smove from to $member] 1
            expect [r smembers to] $member
            foreach to $kinds {
                r del to
                r sadd to {*}[members_of $to]
                r sadd from only
                expect [r smove from to only] 1
                expect [r sismember from only] 0
                expect [r scard to] [expr {[llength [members_of $to]] + 1}]
            }
        }
    }
    test "SMOVE of the last member removes the set; within one set it does nothing" {
        r sadd from a
        expect [r smove from from a] 1
        expect [r smove from from b] 0
        expect [r smembers from] a
        expect [r smove from to a] 1
        expect [r exists from] 0
        expect [r smembers to] a
    }

    # ---- SPOP and SRANDMEMBER ----

    foreach kind $kinds {
        set members [lsort [members_of $kind]]
        test "SPOP: $kind" {
            r sadd k {*}$members
            set popped {}
            for {set i 0} {$i < [llength $members]} {incr i} {
                lappend popped [r spop k]
                expect [r scard k] [expr {[llength $members] - $i - 1}]
            }
            expect [lsort $popped] $members
            expect [r exists k] 0
        }
        test "SPOP with a count: $kind" {
            foreach count {1 2 5 19 1000} {
                r del k
                r sadd k {*}$members
                set left $members
                while {[r exists k]} {
                    set popped [r spop k $count]
                    expect [llength $popped] [expr {min($count, [llength $left])}]
                    foreach member $popped {
                        set at [lsearch -exact $left $member]
                        expect_true { $at >= 0 }
                        set left [lreplace $left $at $at]
                    }
                    expect_set [r smembers k] $left
                    if {$count == 1 && [llength $left] < [llength $members] - 20} {
                        r del k
                    }
                }
            }
            r sadd k {*}$members
            expect [r spop k 0] {}
            expect [r scard k] [llength $members]
        }
        test "SRANDMEMBER: $kind" {
            r sadd k {*}$members
            for {set i 0} {$i < 20} {incr i} {
                expect [r sismember k [r srandmember k]] 1
            }
            foreach count [list 1 2 5 10 19 20 200 [llength $members] 100000 9223372036854775807] {
                set got [r srandmember k $count]
                expect [llength [lsort -unique $got]] [expr {min($count, [llength $members])}]
                expect [llength $got] [expr {min($count, [llength $members])}]
                expect [lsort -unique [concat $got $members]] $members
            }
            foreach count {1 2 50 2000} {
                set got [r srandmember k -$count]
                expect [llength $got] $count
                expect [lsort -unique [concat $got $members]] $members
            }
            expect [r srandmember k 0] {}
            expect [r scard k] [llength $members]
        }
        starling_test "SRANDMEMBER is uniform: $kind" {
            # Chi-square with as many degrees of freedom as members, less one: far out is ten standard
            # deviations.
            r sadd k {*}$members
            set count [llength $members]
            foreach how {one some most repeated} {
                foreach member $members {
                    set seen($member) 0
                }
                set draws 0
                while {$draws < 40 * $count} {
                    switch $how {
                        one { set got [list [r srandmember k]] }
                        some { set got [r srandmember k [expr {max(1, $count / 10)}]] }
                        most { set got [r srandmember k [expr {$count / 2}]] }
                        repeated { set got [r srandmember k -1000] }
                    }
                    foreach member $got {
                        incr seen($member)
                        incr draws
                    }
                }
                set chi 0.0
                set mean [expr {double($draws) / $count}]
                foreach member $members {
                    set chi [expr {$chi + ($seen($member) - $mean) ** 2 / $mean}]
                }
                expect_range $chi 0 [expr {$count - 1 + 10 * sqrt(2 * ($count - 1))}]
            }
        }
    }
    starling_test "SRANDMEMBER, HRANDFIELD, ZRANDMEMBER with a count beyond reason are refused" {
        set name [string repeat x 10000]
        r sadd s $name
        r hset h $name v
        r zadd z 1 $name
        foreach command {{srandmember s -9223372036854775807} {hrandfield h -9223372036854775807}
            {zrandmember z -9223372036854775807} {hrandfield h -4611686018427387903 withvalues}
            {zrandmember z -4611686018427387903 withscores}} {
            with_config {proto-max-bulk-len 1mb} {
                expect_error "ERR the reply would be longer than proto-max-bulk-len" {
                    r {*}$command
                }
            }
        }
        expect_error "ERR value is out of range" { r hrandfield h -9223372036854775807 withvalues }
        expect_error "ERR value is out of range" { r zrandmember z -9223372036854775807 withscores }
        expect [r ping] PONG
    }

    # ---- SINTER, SUNION, SDIFF ----

    test "Algebra of all kinds of sets" {
        # Each kind in several keys that overlap in part.
        foreach kind $kinds {
            set members [members_of $kind]
            r sadd $kind:all {*}$members
            r sadd $kind:half {*}[lrange $members 0 [expr {[llength $members] / 2}]] other
            r sadd $kind:rest {*}[lrange $members [expr {[llength $members] / 3}] end] 21 member:3
        }
        set keys [concat [r keys *] absent]
        foreach key $keys {
            set model($key) [r smembers $key]
        }
        foreach a $keys {
            foreach b $keys {
                set third [pick $keys]
                foreach list [list [list $a $b] [list $a $b $third]] {
                    set inter $model($a)
                    set union {}
                    set diff $model($a)
                    foreach key [lrange $list 1 end] {
                        array unset has
                        foreach member $model($key) { set has($member) 1 }
                        set both {}
                        foreach member $inter { if {[info exists has($member)]} { lappend both $member } }
                        set inter $both
                        set without {}
                        foreach member $diff { if {![info exists has($member)]} { lappend without $member } }
                        set diff $without
                    }
                    foreach key $list { lappend union {*}$model($key) }
                    set union [lsort -unique $union]
                    expect_set [r sinter {*}$list] $inter
                    expect_set [r sunion {*}$list] $union
                    expect_set [r sdiff {*}$list] $diff
                    expect [r sintercard [llength $list] {*}$list] [llength $inter]
                    expect [r sintercard [llength $list] {*}$list limit 3] [expr {min(3, [llength $inter])}]
                    expect [r sinterstore to {*}$list] [llength $inter]
                    expect_set [r smembers to] $inter
                    expect [r sunionstore to {*}$list] [llength $union]
                    expect_set [r smembers to] $union
                    expect [r sdiffstore to {*}$list] [llength $diff]
                    expect_set [r smembers to] $diff
                    expect [r exists to] [expr {[llength $diff] > 0}]
                }
            }
        }
    }
    test "SDIFF by both ways: a large first set and many small ones, and the other way round" {
        for {set i 0} {$i < 1000} {incr i} { lappend all $i }
        r sadd large {*}$all
        set keys {}
        set rest $all
        for {set i 0} {$i < 40} {incr i} {
            r sadd small:$i [expr {$i * 3}] [expr {$i + 500}]
            lappend keys small:$i
            foreach gone [list [expr {$i * 3}] [expr {$i + 500}]] {
                set at [lsearch -exact $rest $gone]
                if {$at >= 0} { set rest [lreplace $rest $at $at] }
            }
        }
        expect_set [r sdiff large {*}$keys] $rest
        expect [r sdiff small:3 {*}[lrange $keys 4 end] large] {}
        expect_set [r sdiff small:3 {*}[lrange $keys 4 end]] {9 503}
        expect [r sdiff large large] {}
        expect [llength [r sunion {*}$keys large]] 1000
        expect [r sinter {*}$keys large] {}
        expect_set [r sinter large small:7] {21 507}
    }
    test "Results replace the destination, whatever it is, also a source" {
        r sadd a 1 2 3
        r sadd b 2 3 4
        r set s text ex 100
        expect [r sunionstore s a b] 4
        expect_set [r smembers s] {1 2 3 4}
        expect [r ttl s] -1
        expect [r sinterstore a a b] 2
        expect_set [r smembers a] {2 3}
        expect [r sdiffstore b b a] 1
        expect [r smembers b] 4
        expect [r sunionstore b b] 1
        expect [r sdiffstore b b b] 0
        expect [r exists b] 0
        r set s text
        expect [r sinterstore s absent a] 0
        expect [r exists s] 0
        r set s text
        expect_error WRONGTYPE* { r sinterstore a a s }
        expect_set [r smembers a] {2 3}
    }
    test "SINTERCARD: errors and LIMIT" {
        r sadd a 1 2 3 4
        r sadd b 2 3 4 5
        expect [r sintercard 1 a] 4
        expect [r sintercard 2 a b] 3
        expect [r sintercard 2 a b LIMIT 0] 3
        expect [r sintercard 2 a b limit 2] 2
        expect [r sintercard 2 a b limit 10] 3
        expect_error "ERR wrong number*" { r sintercard 1 }
        expect_error "ERR numkeys should be greater than 0" { r sintercard 0 a }
        expect_error "ERR numkeys should be greater than 0" { r sintercard -1 a }
        expect_error "ERR numkeys should be greater than 0" { r sintercard x a }
        expect_error "ERR Number of keys can't be greater than number of args" { r sintercard 2 a }
        expect_error "ERR syntax error" { r sintercard 1 a b }
        expect_error "ERR syntax error" { r sintercard 1 a limit }
        expect_error "ERR LIMIT can't be negative" { r sintercard 1 a limit -1 }
        expect_error "ERR LIMIT can't be negative" { r sintercard 1 a limit x }
        expect [r command getkeys sintercard 2 a b limit 3] {a b}
        expect [r command getkeys sunionstore to a b] {to a b}
    }

    # ---- SSCAN ----

    foreach kind $kinds {
        set members [lsort [members_of $kind]]
        test "SSCAN: $kind" {
            r sadd k {*}$members
            expect [lsort [sscan_all k]] $members
            expect [lsort [sscan_all k count 1]] $members
            expect [lsort [sscan_all k count 100000]] $members
            expect [lsort [sscan_all k match *]] $members
            set ending 0
            foreach member $members { if {[string match *5 $member]} { incr ending } }
            expect [llength [sscan_all k match *5]] $ending
            expect [sscan_all k match nothing count 3] {}
        }
    }
    test "SSCAN while the set grows and shrinks: what stays is seen" {
        for {set i 0} {$i < 1000} {incr i} { r sadd k stays:$i goes:$i }
        set found {}
        set cursor 0
        set step 0
        while 1 {
            lassign [r sscan k $cursor] cursor members
            lappend found {*}$members
            if {$cursor eq "0"} break
            if {[incr step] < 50} {
                for {set i 0} {$i < 20} {incr i} { r sadd k new:$step:$i }
                for {set i 0} {$i < 20} {incr i} { r srem k goes:[expr {$step * 20 + $i}] }
            }
        }
        set stays [lsearch -all -inline $found stays:*]
        expect [llength [lsort -unique $stays]] 1000
    }
    test "SSCAN: errors" {
        r sadd k a
        expect_error "ERR invalid cursor" { r sscan k x }
        expect_error "ERR syntax error" { r sscan k 0 count 0 }
        expect_error "ERR value is not an integer or out of range" { r sscan k 0 count x }
        expect_error "ERR syntax error" { r sscan k 0 count }
        expect_error "ERR syntax error" { r sscan k 0 other 1 }
        expect_error "ERR syntax error" { r sscan k 0 type set }
    }
}

# ---- random histories ----

# Members that matter for the forms: integers, texts, texts that are too long.
proc random_member {universe} {
    set i [random_below $universe]
    switch [random_below 20] {
        0 { return [string repeat long: 20]$i }
        1 - 2 - 3 - 4 - 5 - 6 { return text:$i }
        default { return $i }
    }
}

proc check_sets {} {
    upvar #0 set_model model
    foreach key [array names model] {
        expect_set [r smembers $key] [dict keys $model($key)]
        expect [r scard $key] [dict size $model($key)]
        expect [r exists $key] [expr {[dict size $model($key)] > 0}]
    }
}

proc random_set_step {universe} {
    upvar #0 set_model model
    set key k:[random_below 4]
    set other k:[random_below 4]
    set members {}
    for {set i [expr {1 + [random_below [expr {1 + [random_below 30]}]]}]} {$i > 0} {incr i -1} {
        lappend members [random_member $universe]
    }
    set old $model($key)
    switch [random_below 12] {
        0 - 1 - 2 - 3 {
            set added 0
            foreach member $members {
                incr added [expr {![dict exists $model($key) $member]}]
                dict set model($key) $member 1
            }
            expect [r sadd $key {*}$members] $added
        }
        4 - 5 - 6 {
            set removed 0
            foreach member $members {
                incr removed [dict exists $model($key) $member]
                dict unset model($key) $member
            }
            expect [r srem $key {*}$members] $removed
        }
        7 {
            foreach member [r spop $key [llength $members]] {
                expect_true { [dict exists $model($key) $member] }
                dict unset model($key) $member
            }
            expect [dict size $model($key)] [expr {max(0, [dict size $old] - [llength $members])}]
        }
        8 {
            set member [lindex $members 0]
            if {[dict exists $old $member]} {
                dict unset model($key) $member
                dict set model($other) $member 1
                expect [r smove $key $other $member] 1
            } else {
                expect [r smove $key $other $member] 0
            }
        }
        9 {
            foreach member $members {
                expect [r sismember $key $member] [dict exists $old $member]
            }
        }
        10 {
            set result $model($key)
            switch [random_below 3] {
                0 {
                    r sunionstore k:0 $key $other
                    set result [dict merge $model($key) $model($other)]
                }
                1 {
                    r sinterstore k:0 $key $other
                    set result [dict filter $model($key) script {m _} { dict exists $model($other) $m }]
                }
                2 {
                    r sdiffstore k:0 $key $other
                    set result [dict filter $model($key) script {m _} {
                        expr {![dict exists $model($other) $m]}
                    }]
                }
            }
            set model(k:0) $result
        }
        11 {
            if {[random_below 4] == 0} {
                r del $key
                set model($key) {}
            }
        }
    }
}

foreach {universe settings} {
    12 {}
    150 {}
    700 {}
    60 {set-max-intset-entries 10 set-max-listpack-entries 5}
} {
    if {$settings ne {} && ![server_is_starling]} {
        continue ;# Redis has the second option since 7.2
    }
    start_server [list appendonly yes appendfsync no {*}$settings] {
        test "Random histories of $universe members against a model ($settings)" {
            for {set i 0} {$i < 4} {incr i} { set set_model(k:$i) {} }
            for {set round 0} {$round < 3} {incr round} {
                for {set step 0} {$step < 400} {incr step} {
                    random_set_step $universe
                }
                check_sets
                if {[server_is_starling]} {
                    r debug reload
                    check_sets
                }
                restart_server -signal KILL
                check_sets
            }
        }
    }
}

# What comes all at once to a new key is packed all together, up to what is packed.
start_server {appendonly yes} {
    test "Many elements at once: sets, hashes and sorted sets of all sizes" {
        foreach count {3 5 127 129 511 513 1025} {
            set texts {}
            set integers {}
            set pairs {}
            set scored {}
            for {set i 0} {$i < $count} {incr i} {
                lappend texts member:$i
                lappend integers [expr {$i * 7 - 50}]
                lappend pairs field:$i value:[expr {$i % 10}]
                lappend scored [expr {$i * 7919 % 1009 / 8.0}] member:$i
            }
            set half [lrange $integers 0 [expr {$count / 2}]]
            r del text integer mixed twice hash fields zset zagain
            expect [r sadd text {*}$texts] $count
            expect [r sadd integer {*}$integers] $count
            expect [r sadd mixed {*}$half {*}$texts] [expr {$count + [llength $half]}]
            expect [r sadd twice {*}$texts {*}$texts] $count
            expect [r hset hash {*}$pairs] $count
            expect [r hset fields {*}$pairs field:0 other field:0 last] $count
            expect [r zadd zset {*}$scored] $count
            expect [r zadd zagain {*}$scored 5000 member:0 -1 member:0] $count
            expect [r copy zset zcopy replace] 1
            expect [r copy hash hcopy replace] 1
            expect [r sunionstore union integer text] [expr {2 * $count}]
            foreach round {written reloaded} {
                expect [lsort [r smembers text]] [lsort $texts]
                expect [lsort [r smembers integer]] [lsort $integers]
                expect [lsort [r smembers mixed]] [lsort [concat $half $texts]]
                expect [lsort [r smembers twice]] [lsort $texts]
                expect [lsort [r smembers union]] [lsort [concat $integers $texts]]
                foreach key {hash hcopy} {
                    expect [lsort -stride 2 [r hgetall $key]] [lsort -stride 2 $pairs]
                }
                expect [r hget fields field:0] last
                expect [r hlen fields] $count
                set order {}
                foreach {score member} $scored { lappend order [list $score $member] }
                set order [lsort -real -index 0 [lsort -index 1 $order]]
                foreach key {zset zcopy} {
                    expect [r zrange $key 0 -1] [lmap pair $order { lindex $pair 1 }]
                }
                expect [r zscore zagain member:0] -1
                expect [r zrank zagain member:0] 0
                expect [r zcard zagain] $count
                if {$round eq "written"} { restart_server -signal KILL }
            }
        }
    }
}
