# SPDX-License-Identifier: BSD-3-Clause
# The commands of sorted sets: every option of each, their errors, exact scores, replies in both
# protocols; in both forms, packed and not; and long random histories against a model.

# Members in the order of a dict from member to score: by score, then by bytes.
proc model_order {model} {
    set rows {}
    dict for {member score} $model {
        lappend rows [list $score $member]
    }
    return [lmap row [lsort -command compare_rows $rows] { lindex $row 1 }]
}
proc compare_rows {a b} {
    if {[lindex $a 0] != [lindex $b 0]} {
        return [expr {[lindex $a 0] < [lindex $b 0] ? -1 : 1}]
    }
    return [string compare [lindex $a 1] [lindex $b 1]]
}

# A new sorted set of scores and members.
proc create_zset {key args} {
    r del $key
    if {$args ne ""} {
        r zadd $key {*}$args
    }
}

foreach {form entries encoding} {packed 128 listpack table 0 skiplist} {
    start_server [list zset-max-listpack-entries $entries] {
        test "ZADD adds, changes and counts ($form)" {
            expect [r zadd z 10 x 20 y 30 z] 3
            expect [r zrange z 0 -1 withscores] {x 10 y 20 z 30}
            expect [r zadd z 1 y] 0
            expect [r zadd z 5 w 6 x] 1
            expect [r zrange z 0 -1] {y w x z}
            expect [r object encoding z] $encoding
            expect [r type z] zset
            expect [r zadd z 1 a 2 a 3 a] 1
            expect [r zscore z a] 3
        }
        test "ZADD XX, NX, GT, LT, CH ($form)" {
            create_zset z 10 x 20 y
            expect [r zadd z xx 5 new] 0
            expect [r zadd z XX 11 x 5 new] 0
            expect [r zrange z 0 -1 withscores] {x 11 y 20}
            expect [r zadd z nx 1 x 2 new] 1
            expect [r zadd z ch 11 x 21 y 3 other] 2
            expect [r zadd z gt ch 10 x 22 y] 1
            expect [r zadd z lt ch 10 x 23 y] 1
            expect [r zadd z gt 1 fresh] 1
            expect [r zadd z xx gt ch 5 x 30 y 1 none] 1
            expect [r zrange z 0 -1 withscores] {fresh 1 new 2 other 3 x 10 y 30}
            expect [r zadd none xx 1 a] 0
            expect [r exists none] 0
        }
        test "ZADD INCR ($form)" {
            expect [r zadd z incr 15 x] 15
            expect [r zadd z incr -5.5 x] 9.5
            expect_nil zadd z nx incr 1 x
            expect_nil zadd z xx incr 1 y
            expect_nil zadd z gt incr -1 x
            expect_nil zadd z lt incr 1 x
            expect [r zadd z lt incr -1 x] 8.5
            expect [r zadd z gt incr 1 x] 9.5
            expect [r zadd z nx incr 2 y] 2
            expect [r -wire zadd z xx incr 1 none] "\$-1\r\n"
        }
        test "ZADD errors ($form)" {
            foreach words {{1} {1 a 2} {nx} {nx 1} {foo 1 a} {1 a nx}} {
                expect_error "ERR *" { r zadd z {*}$words }
            }
            expect_error "ERR syntax error" { r zadd z 1 a 2 }
            expect_error "ERR value is not a valid float" { r zadd z 1 a x b }
            foreach text {nan x "" " 1" 1x 1e999 0x} {
                expect_error "ERR value is not a valid float" { r zadd z $text a }
            }
            expect_error "ERR XX and NX options at the same time are not compatible" {
                r zadd z nx xx 1 a
            }
            foreach words {{gt lt} {gt nx} {lt nx} {gt lt nx}} {
                expect_error "ERR GT, LT, and/or NX options at the same time are not compatible" {
                    r zadd z {*}$words 1 a
                }
            }
            expect_error "ERR INCR option supports a single increment-element pair" {
                r zadd z incr 1 a 2 b
            }
            expect [r exists z] 0
        }
        test "ZINCRBY ($form)" {
            expect [r zincrby z 1 a] 1
            expect [r zincrby z 2.25 a] 3.25
            expect [r zincrby z -4.25 a] -1
            expect [r zincrby z 0 b] 0
            expect [r zrange z 0 -1] {a b}
            expect [r zincrby z +inf a] inf
            expect [r zincrby z 5 a] inf
            expect_error "ERR resulting score is not a number (NaN)" { r zincrby z -inf a }
            expect [r zscore z a] inf
            expect_error "ERR value is not a valid float" { r zincrby z x a }
            expect_error "ERR value is not a valid float" { r zincrby z nan a }
            expect_error "ERR wrong number of arguments*" { r zincrby z 1 }
        }
        test "scores with exactly the digits they have ($form)" {
            foreach {given shown} {
                1 1 1.0 1 +1 1 -1.50 -1.5 3.0e2 300 0x10 16 inf inf +Infinity inf -inf -inf
                4503599627370497 4503599627370497 -9007199254740992 -9007199254740992 .5 0.5
                0.25 0.25 1234567.125 1234567.125 1e5 100000 100000000000000000000.5e0 1e+20
            } {
                create_zset z $given m
                expect_true { [r zscore z m] == $shown } $given
                if {[server_is_starling]} {
                    expect [r zscore z m] $shown
                }
            }
        }
        starling_test "scores in the fewest digits ($form)" {
            foreach {given shown} {
                3.1 3.1 0.1 0.1 1.1 1.1 -0.3 -0.3 1e-7 1e-7 0.000001 0.000001 1e300 1e+300
                0.30000000000000004 0.30000000000000004 1e15 1000000000000000
                4611686018427387904 4611686018427387904 1.7976931348623157e308 1.7976931348623157e+308
                -0 0 100000000000000000000 1e+20 33140.285124 33140.285124
            } {
                create_zset z $given m
                expect [r zscore z m] $shown
                expect [r zrange z 0 -1 withscores] [list m $shown]
                expect [lindex [r zscan z 0] 1] [list m $shown]
                r debug reload
                expect [r zscore z m] $shown
            }
            create_zset z 1.1 x
            expect [r zincrby z 1 x] 2.1
            expect [r zincrby z 1 x] 3.1
        }
        test "ZREM, ZCARD, ZSCORE, ZMSCORE ($form)" {
            create_zset z 1 a 2 b 3 c
            r zadd z 4 "" 5 "\0\xff" 6 [string repeat n 60]
            expect [r zcard z] 6
            expect [r zscore z ""] 4
            expect [r zscore z "\0\xff"] 5
            expect [r zscore z [string repeat n 60]] 6
            expect_nil zscore z d
            expect [r -wire zmscore z a d b] "*3\r\n\$1\r\n1\r\n\$-1\r\n\$1\r\n2\r\n"
            expect [r zrem z a d "" a] 2
            expect [r zrem z d] 0
            expect [r zcard z] 4
            expect [r zrem z b c "\0\xff" [string repeat n 60]] 4
            expect [r exists z] 0
            expect [r zcard z] 0
            expect [r -wire zmscore z a b] "*2\r\n\$-1\r\n\$-1\r\n"
            expect_nil zscore z a
            expect [r zrem z a] 0
        }
        test "ZRANK and ZREVRANK ($form)" {
            create_zset z 10 x 20 y 30 z 20 xx
            expect [lmap m {x xx y z} { r zrank z $m }] {0 1 2 3}
            expect [lmap m {x xx y z} { r zrevrank z $m }] {3 2 1 0}
            expect_nil zrank z none
            expect_nil zrevrank none x
        }
        starling_test "ZRANK WITHSCORE ($form)" {
            create_zset z 10 x 20.5 y
            expect [r zrank z y withscore] {1 20.5}
            expect [r zrevrank z x WITHSCORE] {1 10}
            expect [r -wire zrank z none withscore] "*-1\r\n"
            expect [r -wire zrank none x withscore] "*-1\r\n"
            expect_error "ERR syntax error" { r zrank z x withscores }
            expect_error "ERR wrong number of arguments for 'zrank' command" {
                r zrank z x withscore y
            }
            r hello 3
            expect [r -wire zrank z y withscore] "*2\r\n:1\r\n,20.5\r\n"
            expect [r -wire zrank z none withscore] "_\r\n"
            expect [r -wire zrank z none] "_\r\n"
        }
        test "ZRANGE by rank, forward and backward ($form)" {
            create_zset z 1 a 2 b 3 c 4 d 5 e
            foreach {start stop expected} {
                0 -1 {a b c d e} 0 0 a 1 2 {b c} -2 -1 {d e} -100 1 {a b} 3 100 {d e} 4 3 {}
                5 9 {} -1 -2 {} 0 -6 {} -9223372036854775808 9223372036854775807 {a b c d e}
            } {
                expect [r zrange z $start $stop] $expected
            }
            expect [r zrevrange z 0 1] {e d}
            expect [r zrevrange z -2 -1 withscores] {b 2 a 1}
            expect [r zrange z 1 2 rev] {d c}
            expect [r zrange z 0 -1 REV WITHSCORES] {e 5 d 4 c 3 b 2 a 1}
            expect [r zrange none 0 -1] {}
            expect_error "ERR value is not an integer or out of range" { r zrange z a 1 }
            expect_error "ERR syntax error" { r zrange z 0 1 foo }
            expect_error "ERR syntax error" { r zrevrange z 0 1 rev }
            expect_error "ERR syntax error, LIMIT is only supported*" { r zrange z 0 1 limit 1 2 }
        }
        test "ranges of scores ($form)" {
            create_zset z -inf a 1 b 2 c 3 d 4 e 5 f +inf g
            foreach {min max expected} {
                -inf 2 {a b c} 0 3 {b c d} 3 6 {d e f} 4 +inf {e f g} (-inf (2 b (0 (3 {b c}
                (3 6 {e f} (1 (1 {} 4 2 {} 6 7 {} (4 (inf f 2 2 c 2.5 2.6 {}
            } {
                expect [r zrangebyscore z $min $max] $expected
                expect [r zrevrangebyscore z $max $min] [lreverse $expected]
                expect [r zrange z $min $max byscore] $expected
                expect [r zrange z $max $min byscore rev] [lreverse $expected]
                expect [r zcount z $min $max] [llength $expected]
            }
            expect [r zrangebyscore z 0 10 limit 0 2] {b c}
            expect [r zrangebyscore z 0 10 limit 2 3] {d e f}
            expect [r zrangebyscore z 0 10 limit 2 -1] {d e f}
            expect [r zrangebyscore z 0 10 limit 20 10] {}
            expect [r zrangebyscore z 0 10 limit -1 10] {}
            expect [r zrangebyscore z 0 10 limit 0 0] {}
            expect [r zrevrangebyscore z 10 0 limit 1 2 withscores] {e 4 d 3}
            expect [r zrange z 10 0 byscore rev limit 1 2] {e d}
            expect_error "ERR min or max is not a float" { r zrangebyscore z str 1 }
            expect_error "ERR min or max is not a float" { r zcount z 1 nan }
            expect_error "ERR min or max is not a float" { r zrange z 1 (x byscore }
            expect_error "ERR value is not an integer*" { r zrangebyscore z 1 2 limit a 1 }
            expect_error "ERR syntax error" { r zrangebyscore z 1 2 limit 1 }
        }
        test "ranges of names ($form)" {
            create_zset z 0 alpha 0 bar 0 cool 0 down 0 elephant 0 foo 0 great 0 hill 0 omega
            foreach {min max expected} {
                - {[cool} {alpha bar cool} {[bar} {[down} {bar cool down} {[g} + {great hill omega}
                - (cool {alpha bar} (bar (down cool (great + {hill omega} + - {}
                {[cool} - {} (omega + {} - + {alpha bar cool down elephant foo great hill omega}
                {[az} {[b} {} {[} {(b} alpha
            } {
                expect [r zrangebylex z $min $max] $expected
                expect [r zrevrangebylex z $max $min] [lreverse $expected]
                expect [r zrange z $min $max bylex] $expected
                expect [r zrange z $max $min rev bylex] [lreverse $expected]
                expect [r zlexcount z $min $max] [llength $expected]
            }
            expect [r zrangebylex z - + limit 2 3] {cool down elephant}
            expect [r zrevrangebylex z + - limit 1 2] {hill great}
            foreach text {foo "" -x +x a} {
                expect_error "ERR min or max not valid string range item" { r zrangebylex z $text + }
                expect_error "ERR min or max not valid string range item" { r zlexcount z - $text }
            }
            expect_error "ERR syntax error, WITHSCORES not supported in combination with BYLEX" {
                r zrange z - + bylex withscores
            }
            # Where scores differ but names rise all the same.
            create_zset z 1 a 2 b 3 c 4 d
            expect [r zrange z {[b} {[c} bylex] {b c}
        }
        test "ZRANGE and ZRANGESTORE: what is said once is not said again ($form)" {
            r zadd z 1 a 2 b
            foreach options {{rev rev} {byscore byscore} {bylex byscore} {byscore rev bylex}} {
                expect_error "ERR syntax error" { r zrange z 0 1 {*}$options }
                expect_error "ERR syntax error" { r zrangestore d z 0 1 {*}$options }
            }
            expect [r zrange z 0 1 withscores withscores] {a 1 b 2}
            expect [r zrange z 0 5 byscore limit 0 5 limit 1 1] {b}
        }
        test "ZRANGESTORE ($form)" {
            create_zset z 1 a 2 b 3 c 4 d
            expect [r zrangestore d z 0 -1] 4
            expect [r zrange d 0 -1 withscores] {a 1 b 2 c 3 d 4}
            expect [r zrangestore d z 0 1 rev] 2
            expect [r zrange d 0 -1] {c d}
            expect [r zrangestore d z (1 +inf byscore limit 1 1] 1
            expect [r zrange d 0 -1 withscores] {c 3}
            expect [r zrangestore d z {[b} {[c} bylex] 2
            expect [r zrangestore z z 1 2] 2
            expect [r zrange z 0 -1 withscores] {b 2 c 3}
            r set s v
            expect [r zrangestore s z 5 9] 0
            expect [r exists s] 0
            expect [r zrangestore d none 0 -1] 0
            expect [r exists d] 0
            expect_error "ERR syntax error" { r zrangestore d z 0 1 withscores }
        }
        test "ZREMRANGEBYRANK, -BYSCORE, -BYLEX ($form)" {
            create_zset z 1 a 2 b 3 c 4 d 5 e 6 f
            expect [r zremrangebyrank z 1 2] 2
            expect [r zremrangebyrank z -1 -1] 1
            expect [r zremrangebyscore z (4 5] 1
            expect [r zrange z 0 -1 withscores] {a 1 d 4}
            expect [r zremrangebyscore z 2 3] 0
            expect [r zremrangebyscore z -inf inf] 2
            expect [r exists z] 0
            expect [r zremrangebyrank z 0 -1] 0
            create_zset z 0 a 0 b 0 c 0 d
            expect [r zremrangebylex z (a {[c}] 2
            expect [r zrange z 0 -1] {a d}
            expect [r zremrangebylex z - +] 2
            expect [r exists z] 0
            expect_error "ERR min or max is not a float" { r zremrangebyscore z a b }
            expect_error "ERR value is not an integer*" { r zremrangebyrank z a b }
            expect_error "ERR min or max not valid*" { r zremrangebylex z a b }
        }
        test "ZPOPMIN and ZPOPMAX ($form)" {
            create_zset z 1 a 2 b 3 c 4 d
            expect [r zpopmin z] {a 1}
            expect [r zpopmax z] {d 4}
            expect [r zpopmin z 0] {}
            expect [r zpopmax z 10] {c 3 b 2}
            expect [r exists z] 0
            create_zset z 1 a 2 b 3 c 4 d 5 e 6 f 7 g
            expect [r zpopmax z 3] {g 7 f 6 e 5}
            expect [r zpopmin z 2] {a 1 b 2}
            expect [r zrange z 0 -1 withscores] {c 3 d 4}
            expect [r zpopmin z 2] {c 3 d 4}
            expect [r exists z] 0
            expect [r zpopmin z] {}
            expect [r zpopmin z 3] {}
            expect_error "ERR value is out of range, must be positive" { r zpopmin z -1 }
            expect_error "ERR value is out of range, must be positive" { r zpopmax z x }
            expect_error "ERR syntax error" { r zpopmin z 1 2 }
        }
        test "ZMPOP ($form)" {
            create_zset z 1 a 2 b 3 c
            expect [r zmpop 2 none z min] {z {{a 1}}}
            expect [r zmpop 2 z none MAX count 5] {z {{c 3} {b 2}}}
            expect [r -wire zmpop 1 z min] "*-1\r\n"
            foreach words {{0 z min} {-1 z min} {x z min}} {
                expect_error "ERR numkeys should be greater than 0" { r zmpop {*}$words }
            }
            foreach words {{1 z foo} {2 z min} {1 z min count} {1 z min count 1 count 2}
                {1 z min foo 1} {9223372036854775807 z min}} {
                expect_error "ERR syntax error" { r zmpop {*}$words }
            }
            foreach count {0 -1 x} {
                expect_error "ERR count should be greater than 0" { r zmpop 1 z min count $count }
            }
        }
        test "ZRANDMEMBER ($form)" {
            expect_nil zrandmember z
            expect [r zrandmember z 5] {}
            expect_error "ERR value is out of range, value must between -9223372036854775807 and\
                9223372036854775807" { r zrandmember z -9223372036854775808 }
            set model {}
            for {set i 0} {$i < 20} {incr i} {
                r zadd z $i m$i
                dict set model m$i $i
            }
            for {set i 0} {$i < 200} {incr i} {
                dict incr seen [r zrandmember z]
            }
            expect_true { [dict size $seen] >= 15 }
            foreach count {1 3 5 19 20 30} {
                set drawn [r zrandmember z $count withscores]
                expect [llength $drawn] [expr {2 * min($count, 20)}]
                expect [dict size $drawn] [expr {min($count, 20)}]
                dict for {member score} $drawn {
                    expect $score [dict get $model $member]
                }
                expect [llength [r zrandmember z -$count]] $count
                foreach {member score} [r zrandmember z -$count withscores] {
                    expect $score [dict get $model $member]
                }
            }
            expect [r zrandmember z 0] {}
            expect_error "ERR value is not an integer*" { r zrandmember z x }
            expect_error "ERR syntax error" { r zrandmember z 1 foo }
            expect_error "ERR syntax error" { r zrandmember z 1 withscores 2 }
            expect_error "ERR value is out of range*" {
                r zrandmember z -9223372036854775807 withscores
            }
        }
        test "ZSCAN ($form)" {
            set words {}
            for {set i 0} {$i < 300} {incr i} {
                lappend words [expr {$i / 4.0}] m:$i
            }
            r zadd z {*}$words
            foreach options {{} {count 1} {count 1000} {match m:1*} {match m:1* count 3}} {
                set cursor 0
                set found {}
                while 1 {
                    lassign [r zscan z $cursor {*}$options] cursor rows
                    foreach {member score} $rows {
                        dict set found $member $score
                    }
                    if {$cursor eq "0"} break
                }
                expect [dict size $found] [expr {[string match *m:1* $options] ? 111 : 300}]
                dict for {member score} $found {
                    expect_true { $score == [string range $member 2 end] / 4.0 }
                }
            }
            expect [r zscan none 0] {0 {}}
            expect_error "ERR invalid cursor" { r zscan z x }
            expect_error "ERR syntax error" { r zscan z 0 count 0 }
            expect_error "ERR syntax error" { r zscan z 0 foo 1 }
        }
        test "replies in RESP3 ($form)" {
            create_zset z 1 a 2.5 b
            r hello 3
            expect [r -wire zscore z b] ",2.5\r\n"
            expect [r -wire zadd z incr 1 a] ",2\r\n"
            expect [r -wire zincrby z -1 a] ",1\r\n"
            expect [r -wire zmscore z a x] "*2\r\n,1\r\n_\r\n"
            expect [r -wire zrange z 0 -1] "*2\r\n\$1\r\na\r\n\$1\r\nb\r\n"
            expect [r -wire zrange z 0 -1 withscores] \
                "*2\r\n*2\r\n\$1\r\na\r\n,1\r\n*2\r\n\$1\r\nb\r\n,2.5\r\n"
            expect [r -wire zrandmember z 5 withscores] [r -wire zrandmember z 5 withscores]
            expect [r -wire zscan z 0 match a] "*2\r\n\$1\r\n0\r\n*2\r\n\$1\r\na\r\n\$1\r\n1\r\n"
            expect [r -wire zunion 1 z withscores] \
                "*2\r\n*2\r\n\$1\r\na\r\n,1\r\n*2\r\n\$1\r\nb\r\n,2.5\r\n"
            expect [r -wire zpopmin z] "*2\r\n\$1\r\na\r\n,1\r\n"
            expect [r -wire zpopmin z 1] "*1\r\n*2\r\n\$1\r\nb\r\n,2.5\r\n"
            expect [r -wire zpopmin z] "*0\r\n"
            r zadd z inf i -inf m
            expect [r -wire zrange z 0 -1 withscores] \
                "*2\r\n*2\r\n\$1\r\nm\r\n,-inf\r\n*2\r\n\$1\r\ni\r\n,inf\r\n"
            expect [r -wire zmpop 1 z min] "*2\r\n\$1\r\nz\r\n*1\r\n*2\r\n\$1\r\nm\r\n,-inf\r\n"
            expect [r -wire zmpop 1 none min] "_\r\n"
            expect [r -wire zrank z none] "_\r\n"
        }
        test "ZUNION, ZINTER, ZDIFF and their like ($form)" {
            create_zset a 1 a 2 b 3 c
            create_zset b 1 b 2 c 3 d
            expect [r zunion 2 a b withscores] {a 1 b 3 d 3 c 5}
            expect [r zunion 2 a b] {a b d c}
            expect [r zunion 2 a b weights 2 3 withscores] {a 2 b 7 d 9 c 12}
            expect [r zunion 2 a b aggregate min withscores] {a 1 b 1 c 2 d 3}
            expect [r zunion 2 a b aggregate MAX withscores] {a 1 b 2 c 3 d 3}
            expect [r zinter 2 a b withscores] {b 3 c 5}
            expect [r zinter 3 a b none] {}
            expect [r zinter 2 a a withscores] {a 2 b 4 c 6}
            expect [r zdiff 2 a b withscores] {a 1}
            expect [r zdiff 1 a] {a b c}
            expect [r zdiff 2 a none withscores] {a 1 b 2 c 3}
            expect [r zdiff 2 none a] {}
            expect [r zintercard 2 a b] 2
            expect [r zintercard 2 a b limit 1] 1
            expect [r zintercard 2 a b limit 0] 2
            expect [r zunionstore d 2 a b weights 1 -1] 4
            expect [r zrange d 0 -1 withscores] {d -3 a 1 b 1 c 1}
            expect [r zinterstore d 2 a b aggregate sum] 2
            expect [r zrange d 0 -1 withscores] {b 3 c 5}
            expect [r zdiffstore a 2 a b] 1
            expect [r zrange a 0 -1 withscores] {a 1}
            expect [r zinterstore b 2 a b] 0
            expect [r exists b] 0
            expect [r zunionstore d 2 none nothing] 0
            expect [r exists d] 0
        }
        test "sums of infinities, and zero times infinity, are zero ($form)" {
            create_zset a +inf m 1 n
            create_zset b -inf m 2 n
            expect [r zunion 2 a b withscores] {m 0 n 3}
            expect [r zinter 2 a b withscores] {m 0 n 3}
            # Infinity times zero: 0 in the first input, no number in the others.
            r zadd i inf m 2 n
            expect [r zinter 2 i i weights 0 1 withscores] {n 2 m inf}
            expect [r zinter 2 i i weights 1 0 withscores] {m 0 n 2}
            expect [r zinter 2 i i weights 1 0 aggregate min withscores] {n 0 m inf}
            expect [r zunion 2 i i weights 1 0 withscores] {n 2 m inf}
            expect [r zunion 1 a weights 0 withscores] {m 0 n 0}
            expect [r zunionstore d 2 a a weights -1 -1] 2
            expect [r zrange d 0 -1 withscores] {m -inf n -2}
        }
        test "errors of ZUNION and its like ($form)" {
            create_zset a 1 a
            r set s v
            foreach command {zunion zinter zdiff zintercard} {
                expect_error "ERR at least 1 input key is needed for '$command' command" {
                    r $command 0 a
                }
                expect_error "ERR syntax error" { r $command 2 a }
                expect_error "ERR value is not an integer or out of range" { r $command x a }
                expect_error "WRONGTYPE *" { r $command 2 a s }
                expect_error "ERR syntax error" { r $command 1 a foo }
            }
            foreach command {zunionstore zinterstore zdiffstore} {
                expect_error "ERR at least 1 input key is needed for '$command' command" {
                    r $command d 0 a
                }
                expect_error "ERR syntax error" { r $command d 1 a withscores }
            }
            expect_error "ERR weight value is not a float" { r zunion 1 a weights x }
            expect_error "ERR syntax error" { r zunion 2 a a weights 1 }
            expect_error "ERR syntax error" { r zunion 1 a aggregate avg }
            expect_error "ERR syntax error" { r zdiff 1 a weights 1 }
            expect_error "ERR syntax error" { r zinter 1 a limit 1 }
            expect_error "ERR LIMIT can't be negative" { r zintercard 1 a limit -1 }
            expect_error "ERR LIMIT can't be negative" { r zintercard 1 a limit x }
        }
        test "every command refuses another type ($form)" {
            r set s v
            foreach words {{zadd s 1 a} {zincrby s 1 a} {zrem s a} {zscore s a} {zmscore s a}
                {zcard s} {zcount s 1 2} {zlexcount s - +} {zrank s a} {zrevrank s a}
                {zrange s 0 1} {zrangestore d s 0 1} {zrangebyscore s 1 2} {zrevrangebyscore s 2 1}
                {zrangebylex s - +} {zrevrangebylex s + -} {zrevrange s 0 1} {zremrangebyrank s 0 1}
                {zremrangebyscore s 1 2} {zremrangebylex s - +} {zpopmin s} {zpopmax s 0}
                {zmpop 1 s min} {zrandmember s} {zscan s 0} {zinterstore d 1 s}} {
                expect_error "WRONGTYPE *" { r {*}$words }
            }
            expect [r get s] v
            create_zset z 1 a
            expect_error "WRONGTYPE *" { r get z }
            expect_error "WRONGTYPE *" { r append z x }
            expect [r set z v] OK
            expect [r type z] string
        }
        test "keys that hold sorted sets: copies, names, expiries ($form)" {
            create_zset z 1 a 2.5 b inf c
            set all {a 1 b 2.5 c inf}
            expect [r rename z y] OK
            expect [r zrange y 0 -1 withscores] $all
            expect [r copy y z] 1
            r zadd z 9 only
            expect [r zrange y 0 -1 withscores] $all
            expect [r move y 1] 1
            expect [r exists y] 0
            r select 1
            expect [r zrange y 0 -1 withscores] $all
            r select 0
            r expire z 100
            r zadd z 1 more
            r zrem z more
            expect_range [r ttl z] 90 100
            r copy z c
            expect_range [r ttl c] 90 100
            r zunionstore z 1 z
            expect [r ttl z] -1
            r pexpire c 20
            wait_until { [r exists c] == 0 }
            expect [r zcard c] 0
            expect [r zadd c 5 x] 1
            expect [r ttl c] -1
            expect [lindex [r scan 0 type zset count 1000] 1] [lindex [r scan 0 count 1000] 1]
            r set s v
            expect_set [lindex [r scan 0 type zset count 1000] 1] {z c}
            expect [r del z c] 2
        }
        test "DEBUG RELOAD ($form)" {
            create_zset z -inf l 1 a 2.5 b 3 [string repeat x 100] inf h
            set all [r zrange z 0 -1 withscores]
            set digest [r debug digest-value z]
            r debug reload
            expect [r zrange z 0 -1 withscores] $all
            expect [r debug digest-value z] $digest
            expect [r zrangebyscore z (1 3] [list b [string repeat x 100]]
        }
        test "MULTI with sorted sets ($form)" {
            r multi
            r zadd z 1 a 2 b
            r zincrby z 5 a
            r zrange z 0 -1 withscores
            r zpopmin z
            expect [r exec] {2 6 {b 2 a 6} {b 2}}
        }
    }
}

# ---- growing out of the packed form ----

start_server {zset-max-listpack-entries 8 zset-max-listpack-value 20} {
    test "OBJECT ENCODING changes with the number of members and the length of a name" {
        for {set i 0} {$i < 8} {incr i} {
            r zadd z $i m$i
        }
        expect [r object encoding z] listpack
        r zadd z 8 m8
        expect [r object encoding z] skiplist
        expect [r zrange z 0 -1] {m0 m1 m2 m3 m4 m5 m6 m7 m8}
        r zadd long 1 [string repeat x 20]
        expect [r object encoding long] listpack
        r zadd long 2 [string repeat x 21]
        expect [r object encoding long] skiplist
        expect [r zrank long [string repeat x 21]] 1
    }
    test "ZUNIONSTORE and ZRANGESTORE across the limit" {
        for {set i 0} {$i < 20} {incr i} {
            r zadd a $i m$i
            r zadd b 1 m[expr {$i + 10}]
        }
        expect [r zunionstore d 2 a b] 30
        expect [r zcard d] 30
        expect [r zrank d m29] 11
        expect [r zrangestore e d 2 5] 4
        expect [r object encoding e] listpack
        expect [r zrangestore e d 2 15] 14
        expect [r object encoding e] skiplist
    }
}

# ---- a model ----

# Does one random write, and tells the model.
proc random_write {key model} {
    set member [pick {a b "" c1 c2 c3}][random_below 12]
    set score [pick [list [random_below 10] [expr {[random_below 80] / 8.0 - 5}]]]
    set order [model_order $model]
    switch [random_below 9] {
        0 - 1 - 2 - 3 {
            expect [r zadd $key $score $member] [expr {![dict exists $model $member]}]
            dict set model $member $score
        }
        4 {
            set old [expr {[dict exists $model $member] ? [dict get $model $member] : 0}]
            set score [expr {$old + $score}]
            expect_true { [r zincrby $key [expr {$score - $old}] $member] == $score }
            dict set model $member $score
        }
        5 {
            expect [r zrem $key $member] [dict exists $model $member]
            dict unset model $member
        }
        6 {
            if {$order ne ""} {
                set first [pick {0 end}]
                set member [lindex $order $first]
                expect [lindex [r [expr {$first eq "0" ? "zpopmin" : "zpopmax"}] $key] 0] $member
                dict unset model $member
            }
        }
        7 {
            set from [random_below 40]
            set gone [lrange $order $from $from+1]
            expect [r zremrangebyrank $key $from [expr {$from + 1}]] [llength $gone]
            foreach member $gone {
                dict unset model $member
            }
        }
        8 {
            set changes [expr {[dict exists $model $member] && $score > [dict get $model $member]}]
            expect [r zadd $key xx gt ch $score $member] $changes
            if {$changes} {
                dict set model $member $score
            }
        }
    }
    return $model
}

# Is the key what the model says, whichever way one asks?
proc expect_model {key model} {
    set order [model_order $model]
    set count [llength $order]
    expect [r zcard $key] $count
    expect [r zrange $key 0 -1] $order
    expect [r zrevrange $key 0 -1] [lreverse $order]
    set from [random_below [expr {$count + 1}]]
    expect [r zrange $key $from [expr {$from + 4}]] [lrange $order $from $from+4]
    set min [expr {[random_below 20] - 5}]
    set max [expr {$min + [random_below 6]}]
    set within [lmap member $order {
        set score [dict get $model $member]
        if {$score < $min || $score >= $max} continue
        set member
    }]
    expect [r zrangebyscore $key $min ($max] $within
    expect [r zrevrangebyscore $key ($max $min] [lreverse $within]
    expect [r zcount $key $min ($max] [llength $within]
    expect [r zrangebyscore $key $min ($max limit 1 2] [lrange $within 1 2]
    set rank 0
    foreach member $order {
        expect [r zrank $key $member] $rank
        expect_true { [r zscore $key $member] == [dict get $model $member] }
        incr rank
    }
}

start_server {zset-max-listpack-entries 12 appendonly yes} {
    foreach limit {12 0 40} {
        test "random writes and a model, up to $limit members packed" {
            r config set zset-max-listpack-entries $limit
            set model {}
            for {set i 0} {$i < 600} {incr i} {
                set model [random_write z $model]
                if {$i % 20 == 0} {
                    expect_model z $model
                }
            }
            expect_model z $model
            r debug reload
            expect_model z $model
        }
    }
    starling_test "random writes, kill -9, and a model" {
        set model {}
        for {set round 0} {$round < 5} {incr round} {
            for {set i 0} {$i < 120} {incr i} {
                set model [random_write z $model]
            }
            set digest [r debug digest]
            restart_server {*}[pick {{-signal KILL} {}}]
            expect [r debug digest] $digest
            expect_model z $model
        }
    }
    test "a large sorted set: ranks, ranges and removals" {
        for {set i 0} {$i < 20000} {incr i 100} {
            set words {}
            for {set k $i} {$k < $i + 100} {incr k} {
                lappend words [expr {$k * 7919 % 20000}] m:[expr {$k * 7919 % 20000}]
            }
            r zadd big {*}$words
        }
        expect [r zcard big] 20000
        foreach rank {0 1 777 9999 19998 19999} {
            expect [r zrank big m:$rank] $rank
            expect [r zrange big $rank $rank] m:$rank
            expect [r zrevrank big m:$rank] [expr {19999 - $rank}]
        }
        expect [r zrangebyscore big (5000 +inf limit 10000 2] {m:15001 m:15002}
        expect [r zremrangebyrank big 100 19899] 19800
        expect [r zcard big] 200
        expect [r zrange big 99 100] {m:99 m:19900}
        expect [r zremrangebyscore big -inf +inf] 200
        expect [r exists big] 0
    }
}
