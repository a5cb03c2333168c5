# SPDX-License-Identifier: BSD-3-Clause
# Lists: every option of each command, their errors, and random writes against a model.

# Long lists and long values, so that what holds them splits.
proc numbers {first last} {
    set list {}
    for {set i $first} {$i <= $last} {incr i} {
        lappend list $i
    }
    return $list
}

start_server {} {
    test "LPUSH and RPUSH: ends, lengths, any bytes" {
        expect [r rpush l a b] 2
        expect [r lpush l c d] 4
        expect [r lrange l 0 -1] {d c a b}
        expect [r llen l] 4
        expect [r type l] list
        expect_error "ERR wrong number of arguments*" { r lpush l }
        foreach value [list "" "\r\n\0\xff" 12345678901234567890 007 [random_bytes 5000]] {
            r del k
            expect [r rpush k $value] 1
            expect [r -wire lindex k 0] "\$[string length $value]\r\n$value\r\n"
        }
        r set s x
        expect_error "WRONGTYPE*" { r lpush s a }
        expect_error "WRONGTYPE*" { r lrange s 0 -1 }
        expect_error "WRONGTYPE*" { r llen s }
    }
    test "LPUSH and RPUSH: many at once, short and long" {
        foreach before [list {} [numbers 1 3] [numbers 1 600]] {
            foreach longest {3 40 500 30000} {
                r del l
                set model {}
                if {$before ne {}} { r rpush l {*}$before; set model $before }
                foreach {command end} {rpush right lpush left rpushx right lpushx left} {
                    set values {}
                    for {set i 0} {$i < 120} {incr i} {
                        lappend values $i[string repeat x [expr {int(rand() * rand() * $longest)}]]
                    }
                    if {[string match *x $command] && $model eq {}} continue
                    set model [expr {$end eq "right" ? [concat $model $values]
                                                     : [concat [lreverse $values] $model]}]
                    expect [r $command l {*}$values] [llength $model]
                    expect [r lrange l 0 -1] $model
                }
            }
        }
    }
    test "LPUSHX and RPUSHX: only where there is a list" {
        expect [r lpushx l a] 0
        expect [r rpushx l a] 0
        expect [r exists l] 0
        r rpush l m
        expect [r lpushx l a b] 3
        expect [r rpushx l y z] 5
        expect [r lrange l 0 -1] {b a m y z}
    }
    test "LPOP and RPOP: one, some, none" {
        r rpush l a b c d e f
        expect [r lpop l] a
        expect [r rpop l] f
        expect [r lpop l 2] {b c}
        expect [r -wire lpop l 0] "*0\r\n"
        expect [r rpop l 9] {e d}
        expect [r exists l] 0
        expect_nil lpop l
        expect [r -wire rpop l 3] "*-1\r\n"
        expect_error "ERR value is out of range, must be positive" { r lpop l -1 }
        expect_error "ERR value is out of range, must be positive" { r rpop l x }
        expect_error "ERR wrong number of arguments for 'lpop' command" { r lpop l 1 2 }
    }
    test "LRANGE, LINDEX and LTRIM: all pairs of indexes" {
        set all [numbers 0 9]
        for {set start -12} {$start <= 12} {incr start} {
            r del l
            r rpush l {*}$all
            if {$start >= -10 && $start < 10} {
                expect [r lindex l $start] [lindex $all [expr {$start < 0 ? 10 + $start : $start}]]
            } else {
                expect_nil lindex l $start
            }
            for {set stop -12} {$stop <= 12} {incr stop} {
                set first [expr {$start < 0 ? max(0, 10 + $start) : $start}]
                set last [expr {$stop < 0 ? 10 + $stop : $stop}]
                set wanted [lrange $all $first $last]
                expect [r lrange l $start $stop] $wanted
                r del t
                r rpush t {*}$all
                expect [r ltrim t $start $stop] OK
                expect [r lrange t 0 -1] $wanted
                expect [r exists t] [expr {[llength $wanted] > 0}]
            }
        }
        expect [r ltrim none 0 1] OK
        expect [r lrange none 0 -1] {}
        expect_error "ERR value is not an integer*" { r lrange l a 1 }
        expect_error "ERR value is not an integer*" { r ltrim l 0 b }
        expect_error "ERR value is not an integer*" { r lindex l b }
    }
    test "LSET: both ways, and beyond" {
        r rpush l a b c
        expect [r lset l 0 x] OK
        expect [r lset l -1 z] OK
        expect [r lrange l 0 -1] {x b z}
        expect_error "ERR index out of range" { r lset l 3 y }
        expect_error "ERR index out of range" { r lset l -4 y }
        expect_error "ERR no such key" { r lset none 0 y }
        expect_error "ERR value is not an integer*" { r lset l x y }
    }
    test "LINSERT: before, after, nowhere" {
        r rpush l a c a
        expect [r linsert l before c b] 4
        expect [r linsert l AFTER a x] 5
        expect [r lrange l 0 -1] {a x b c a}
        expect [r linsert l after nothing x] -1
        expect [r linsert none after a x] 0
        expect_error "ERR syntax error" { r linsert l beside a x }
    }
    test "LREM: from the left, from the right, all" {
        r rpush l a b a c a d a
        expect [r lrem l 1 a] 1
        expect [r lrange l 0 -1] {b a c a d a}
        expect [r lrem l -2 a] 2
        expect [r lrange l 0 -1] {b a c d}
        expect [r lrem l 0 x] 0
        expect [r lrem l 0 a] 1
        expect [r lrem none 0 a] 0
        foreach value {b c d} {
            expect [r lrem l -1 $value] 1
        }
        expect [r exists l] 0
        expect_error "ERR value is not an integer*" { r lrem l x a }
    }
    test "LPOS: rank, count and maxlen" {
        r rpush l a b c 1 2 3 c c
        expect [r lpos l c] 2
        expect [r lpos l c rank 2] 6
        expect_nil lpos l c rank 4
        expect [r lpos l c rank -1] 7
        expect [r lpos l c count 2] {2 6}
        expect [r lpos l c count 0] {2 6 7}
        expect [r lpos l c count 0 rank -2] {6 2}
        expect [r lpos l c count 0 maxlen 7] {2 6}
        expect [r lpos l c count 0 maxlen 2 rank -1] {7 6}
        expect_nil lpos l x
        expect_nil lpos none x
        expect [r -wire lpos l x count 1] "*0\r\n"
        expect [r -wire lpos none x count 1] "*0\r\n"
        expect_error "ERR RANK can't be zero*" { r lpos l c rank 0 }
        expect_error "ERR COUNT can't be negative" { r lpos l c count -1 }
        expect_error "ERR MAXLEN can't be negative" { r lpos l c maxlen -1 }
        expect_error "ERR syntax error" { r lpos l c other 1 }
        expect_error "ERR syntax error" { r lpos l c rank }
    }
    test "LMOVE and RPOPLPUSH: between lists and within one" {
        foreach {from to left right} {left left {b c} {a x} left right {b c} {x a} \
            right left {a b} {c x} right right {a b} {x c}} {
            r del one two
            r rpush one a b c
            r rpush two x
            expect [r lmove one two $from $to] [expr {$from eq "left" ? "a" : "c"}]
            expect [r lrange one 0 -1] $left
            expect [r lrange two 0 -1] $right
        }
        foreach {from to wanted} {left left {a b c} left right {b c a} right left {c a b} \
            right right {a b c}} {
            r del one
            r rpush one a b c
            r lmove one one $from $to
            expect [r lrange one 0 -1] $wanted
        }
        r del one two
        r rpush one a
        r expire one 1000
        expect [r rpoplpush one one] a
        expect_true { [r ttl one] > 900 }
        expect [r rpoplpush one two] a
        expect [r exists one] 0
        expect_nil lmove one two left left
        r set s x
        r rpush one a
        expect_error "WRONGTYPE*" { r lmove one s left left }
        expect [r lrange one 0 -1] a
        expect_error "WRONGTYPE*" { r rpoplpush s one }
        expect_error "ERR syntax error" { r lmove one two left up }
    }
    starling_test "LMPOP: the first list that is there" {
        r rpush two a b c
        expect [r lmpop 2 one two left] {two a}
        expect [r lmpop 2 one two right count 5] {two {c b}}
        expect [r exists two] 0
        expect [r -wire lmpop 1 one left] "*-1\r\n"
        expect_error "ERR numkeys should be greater than 0" { r lmpop 0 one left }
        expect_error "ERR numkeys should be greater than 0" { r lmpop x one left }
        expect_error "ERR count should be greater than 0" { r lmpop 1 one left count 0 }
        expect_error "ERR syntax error" { r lmpop 1 one up }
        expect_error "ERR syntax error" { r lmpop 2 one left }
        expect_error "ERR syntax error" { r lmpop 1 one left count 1 count 1 }
        expect [r command getkeys lmpop 2 one two left] {one two}
    }
    test "random writes come to what a model says" {
        set model {}
        for {set i 0} {$i < 3000} {incr i} {
            set count [llength $model]
            set at [expr {$count > 0 ? int(rand() * $count) : 0}]
            set value v$i[string repeat x [expr {int(rand() * 40)}]]
            switch [expr {int(rand() * 9)}] {
                0 - 1 { r rpush l $value; lappend model $value }
                2 - 3 { r lpush l $value; set model [linsert $model 0 $value] }
                4 { expect [r lpop l] [lindex $model 0]; set model [lrange $model 1 end] }
                5 { expect [r rpop l] [lindex $model end]; set model [lrange $model 0 end-1] }
                6 - 7 {
                    if {$count > 0} {
                        r linsert l before [lindex $model $at] $value
                        set model [linsert $model $at $value]
                    }
                }
                8 {
                    if {$count > 0} {
                        r lset l $at $value
                        lset model $at $value
                    }
                }
            }
        }
        expect [r lrange l 0 -1] $model
        expect [r llen l] [llength $model]
    }
    test "COPY, RENAME and expiry" {
        r rpush l a b [string repeat x 1000]
        expect [r copy l k] 1
        expect [r lrange k 0 -1] [r lrange l 0 -1]
        r rename k m
        expect [r lrange m 0 -1] [r lrange l 0 -1]
        expect [r exists k] 0
        r pexpire m 1
        wait_until { [r exists m] == 0 }
        expect [r rpush m z] 1
        expect [r ttl m] -1
    }
    test "DUMP and RESTORE" {
        r rpush l a "" 1 -70000 [string repeat x 3000] [random_bytes 100]
        r rpush long {*}[numbers 1 5000]
        foreach key {l long} {
            set dump [r dump $key]
            expect [r restore copy 0 $dump replace] OK
            expect [r lrange copy 0 -1] [r lrange $key 0 -1]
            expect_error "BUSYKEY*" { r restore copy 0 $dump }
            expect [r restore copy 100000 $dump replace] OK
            expect_true { [r pttl copy] > 90000 }
        }
    }
    starling_test "OBJECT ENCODING: by size" {
        r rpush l a b
        expect [r object encoding l] listpack
        r rpush k {*}[numbers 1 200] [string repeat x 9000]
        expect [r object encoding k] quicklist
        with_config {list-max-listpack-size 3} {
            r rpush three 1 2 3
            expect [r object encoding three] listpack
            r rpush three 4
            expect [r object encoding three] quicklist
        }
    }
    starling_test "DEBUG RELOAD keeps long lists" {
        r rpush l {*}[numbers 1 20000]
        r lpush l [random_bytes 100000]
        r ltrim l 0 15000
        set digest [r debug digest-value l]
        r debug reload
        expect [r llen l] 15001
        expect [r debug digest-value l] $digest
    }
}

start_server {appendonly yes appendfsync always} {
    starling_test "a list is there again after a kill, and goes on" {
        r rpush l {*}[numbers 1 500]
        r lpop l 100
        r lset l 0 x
        set before [r lrange l 0 -1]
        restart_server -signal KILL
        expect [r lrange l 0 -1] $before
        r rpush l y
        r lpush l w
        expect [r lrange l 0 -1] [concat w $before y]
    }
}
