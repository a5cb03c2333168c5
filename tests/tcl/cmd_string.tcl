# SPDX-License-Identifier: BSD-3-Clause
# The string commands: every option of each, their errors, exact arithmetic, and long values
# against a model of what each write does.

# A value of `bytes` bytes in which every 8 bytes differ, so that a shift or a lost block shows.
proc numbered {bytes} {
    set pieces {}
    for {set i 0} {$i * 8 < $bytes} {incr i} {
        lappend pieces [format %08x $i]
    }
    return [string range [join $pieces ""] 0 $bytes-1]
}

# What SETRANGE makes of a value.
proc with_range {value offset bytes} {
    if {$bytes eq ""} {
        return $value
    }
    set size [string length $value]
    if {$size < $offset} {
        append value [string repeat \0 [expr {$offset - $size}]]
    }
    return [string range $value 0 $offset-1]$bytes[string range $value \
        [expr {$offset + [string length $bytes]}] end]
}

# ---- SET and GET ----

start_server {} {
    test "SET and GET: any bytes, of any length" {
        foreach value [list "" a [string repeat x 44] [string repeat y 45] "\r\n\0\xff" \
            [random_bytes 1000] 12345678901234567890123 -0 " 1" 007 +5] {
            expect [r -wire set k $value] "+OK\r\n"
            expect [r -wire get k] "\$[string length $value]\r\n$value\r\n"
            expect [r strlen k] [string length $value]
        }
    }
    test "SET and GET: any bytes in keys" {
        foreach key [list "" " " "a b" "\r\n" "\0" "\xff\xfe" [random_bytes 300] \
            [string repeat k 100000]] {
            r set $key v$key
            expect [r get $key] v$key
            expect [r exists $key] 1
        }
        expect [r dbsize] 8
    }
    test "GET of an absent key is nil in both protocols" {
        expect [r -wire get k] "\$-1\r\n"
        r hello 3
        expect [r -wire get k] "_\r\n"
    }
    test "SET replaces a value of another length and drops its expiry" {
        r set k [string repeat x 100] ex 100
        r set k y
        expect [r get k] y
        expect [r ttl k] -1
    }
    test "SET EX, PX, EXAT, PXAT" {
        foreach {option value low high} [list \
            ex 100 99000 100000 \
            px 100000 99000 100000 \
            exat [expr {[clock seconds] + 100}] 98000 100000 \
            pxat [expr {[clock milliseconds] + 100000}] 99000 100000] {
            expect [r set k v $option $value] OK
            expect_range [r pttl k] $low $high
            expect [r set k v [string toupper $option] $value] OK
            expect_range [r pttl k] $low $high
        }
        r set k v exat 33177117420
        expect [r expiretime k] 33177117420
        r set k v pxat 33177117420123
        expect [r pexpiretime k] 33177117420123
    }
    test "SET with a time that has passed removes the key" {
        r set k v
        expect [r set k w exat 1] OK
        expect [r exists k] 0
        r set k v
        expect [r set k w pxat 1] OK
        expect_nil get k
        expect [r dbsize] 0
    }
    test "SET with times that make no sense" {
        foreach option {ex px exat pxat} {
            foreach value {0 -1 -9223372036854775808} {
                expect_error "ERR invalid expire time in 'set' command" { r set k v $option $value }
            }
            foreach value {a 1.5 "" 9223372036854775808 " 1" 1x} {
                expect_error "ERR value is not an integer or out of range" {
                    r set k v $option $value
                }
            }
        }
        foreach {option value} {ex 9223372036854775807 ex 9223372036854775 px 9223372036854775807
            exat 9223372036854775807 exat 9223372036854776} {
            expect_error "ERR invalid expire time in 'set' command" { r set k v $option $value }
        }
        expect [r exists k] 0
    }
    test "SET NX" {
        expect [r set k a nx] OK
        expect_nil set k b nx
        expect [r get k] a
        expect [r set other v NX EX 100] OK
        expect_range [r ttl other] 99 100
        expect_nil set other w EX 500 nx
        expect_range [r ttl other] 99 100
    }
    test "SET XX" {
        expect_nil set k a xx
        expect [r exists k] 0
        r set k a
        expect [r set k b XX] OK
        expect [r get k] b
        expect [r set k c px 100000 xx] OK
        expect_range [r pttl k] 99000 100000
    }
    test "SET KEEPTTL" {
        r set k a ex 100
        expect [r set k b keepttl] OK
        expect [r get k] b
        expect_range [r ttl k] 99 100
        expect [r set k c KEEPTTL xx] OK
        expect_range [r ttl k] 99 100
        r set plain a
        r set plain b keepttl
        expect [r ttl plain] -1
        r set fresh a keepttl
        expect [r ttl fresh] -1
    }
    test "SET GET" {
        expect_nil set k a get
        expect [r get k] a
        expect [r set k b GET] a
        expect [r get k] b
        expect [r set k c get ex 100] b
        expect_range [r ttl k] 99 100
        expect [r set k d get keepttl] c
        expect_range [r ttl k] 99 100
        expect [r set k e get] d
        expect [r ttl k] -1
    }
    test "SET GET with NX and XX" {
        expect_nil set k a nx get
        expect [r get k] a
        expect [r set k b get nx] a
        expect [r get k] a
        expect [r set k c xx get] a
        expect [r get k] c
        expect_nil set absent v xx get
        expect [r exists absent] 0
    }
    test "SET NX on an expired key" {
        r set k a px 1
        wait_until {[r exists k] == 0}
        expect [r set k b nx] OK
        r debug set-active-expire 0
        r set k a px 1
        after 5
        expect [r set k c nx] OK
        expect [r get k] c
        r set k a px 1
        after 5
        expect_nil set k d xx
        r debug set-active-expire 1
    }
    test "SET and GETEX: the same time option twice, and the last counts" {
        expect [r set k v ex 10 ex 100] OK
        expect_true {[r ttl k] in {99 100}}
        expect [r set k v pxat x pxat 99999999999999] OK
        expect [r pexpiretime k] 99999999999999
        expect [r getex k px 1 px 100000] v
        expect_true {[r ttl k] in {99 100}}
        expect_error "ERR syntax error" { r set k v ex 10 px 10 ex 10 }
        expect_error "ERR syntax error" { r set k v ex 10 ex }
        expect_error "ERR syntax error" { r getex k exat 99999999999 ex 10 }
    }
    test "SET with options that exclude each other" {
        foreach options {
            {nx xx} {ex 10 px 10} {ex 10 keepttl} {keepttl px 10} {exat 99999999999 ex 1}
            {pxat 1 exat 1} {foo} {ex} {px} {exat} {pxat} {keepttl keepttl ex 5} {nx get xx}
            {ex 10 ex} {persist} {get foo}
        } {
            expect_error "ERR syntax error" { r set k v {*}$options }
        }
        expect [r exists k] 0
        expect_error "ERR wrong number of arguments for 'set' command" { r set k }
        expect_error "ERR wrong number of arguments for 'set' command" { r set }
    }
    test "GET and STRLEN with a wrong number of arguments" {
        expect_error "ERR wrong number of arguments for 'get' command" { r get }
        expect_error "ERR wrong number of arguments for 'get' command" { r get a b }
        expect_error "ERR wrong number of arguments for 'strlen' command" { r strlen }
        expect [r strlen absent] 0
        r set n 12345
        expect [r strlen n] 5
        r set n -1
        expect [r strlen n] 2
    }
    test "OBJECT ENCODING of strings" {
        foreach {value encoding} [list 0 int 123456789 int -9223372036854775808 int \
            9223372036854775807 int 9223372036854775808 embstr 01 embstr "" embstr abc embstr \
            [string repeat x 44] embstr [string repeat x 45] raw [string repeat x 100000] raw] {
            r set k $value
            expect [r object encoding k] $encoding
            expect [r type k] string
        }
        r set k 10
        r append k 5
        expect [r object encoding k] raw
        r set k abc
        r setrange k 1 x
        expect [r object encoding k] raw
        r set k 5
        r incr k
        expect [r object encoding k] int
        r incrbyfloat k 1.5
        expect [r object encoding k] embstr
    }
}

# ---- SETNX, SETEX, PSETEX, GETSET, GETDEL, GETEX ----

start_server {} {
    test "SETNX" {
        expect [r setnx k a] 1
        expect [r setnx k b] 0
        expect [r get k] a
        r expire k 100
        expect [r setnx k b] 0
        expect_range [r ttl k] 99 100
        expect_error "ERR wrong number of arguments for 'setnx' command" { r setnx k }
    }
    test "SETEX and PSETEX" {
        expect [r setex k 100 v] OK
        expect_range [r ttl k] 99 100
        expect [r psetex k 100000 w] OK
        expect [r get k] w
        expect_range [r pttl k] 99000 100000
        foreach value {0 -5} {
            expect_error "ERR invalid expire time in 'setex' command" { r setex k $value v }
            expect_error "ERR invalid expire time in 'psetex' command" { r psetex k $value v }
        }
        expect_error "ERR value is not an integer or out of range" { r setex k ten v }
        expect_error "ERR value is not an integer or out of range" { r psetex k 1.0 v }
        expect_error "ERR invalid expire time in 'setex' command" { r setex k 9223372036854775807 v }
        expect_error "ERR invalid expire time in 'psetex' command" {
            r psetex k 9223372036854775807 v
        }
        expect_error "ERR wrong number of arguments for 'setex' command" { r setex k 10 }
        expect_error "ERR wrong number of arguments for 'psetex' command" { r psetex k 10 }
        expect [r get k] w
    }
    test "GETSET" {
        expect_nil getset k a
        expect [r getset k b] a
        r expire k 100
        expect [r getset k c] b
        expect [r ttl k] -1
        expect [r get k] c
        expect_error "ERR wrong number of arguments for 'getset' command" { r getset k }
    }
    test "GETDEL" {
        expect_nil getdel k
        r set k v ex 100
        expect [r getdel k] v
        expect [r exists k] 0
        r set k [numbered 2000000]
        expect [r getdel k] [numbered 2000000]
        expect_nil getdel k
        expect_error "ERR wrong number of arguments for 'getdel' command" { r getdel }
    }
    test "GETEX sets, keeps and removes the expiry" {
        r set k v
        expect [r getex k] v
        expect [r ttl k] -1
        expect [r getex k ex 100] v
        expect_range [r ttl k] 99 100
        expect [r getex k] v
        expect_range [r ttl k] 99 100
        expect [r getex k PERSIST] v
        expect [r ttl k] -1
        expect [r getex k persist] v
        r getex k px 100000
        expect_range [r pttl k] 99000 100000
        r getex k exat 33177117420
        expect [r expiretime k] 33177117420
        r getex k pxat 33177117420123
        expect [r pexpiretime k] 33177117420123
        expect_nil getex absent ex 100
        expect [r exists absent] 0
    }
    test "GETEX with a time that has passed answers the value and removes the key" {
        r set k v
        expect [r getex k exat 1] v
        expect [r exists k] 0
        r set k v
        expect [r getex k pxat 1] v
        expect [r exists k] 0
    }
    test "GETEX errors" {
        r set k v
        foreach options {{ex} {ex 1 px 1} {persist ex 1} {keepttl} {nx} {get} {foo} {ex 1 persist}} {
            expect_error "ERR syntax error" { r getex k {*}$options }
        }
        expect_error "ERR invalid expire time in 'getex' command" { r getex k ex 0 }
        expect_error "ERR invalid expire time in 'getex' command" { r getex k px -1 }
        expect_error "ERR invalid expire time in 'getex' command" { r getex k ex 9223372036854775807 }
        expect_error "ERR value is not an integer or out of range" { r getex k ex foo }
        expect_error "ERR wrong number of arguments for 'getex' command" { r getex }
        expect [r ttl k] -1
    }
}

# ---- MGET, MSET, MSETNX ----

start_server {} {
    test "MGET" {
        r mset a 1 b two
        expect [r -wire mget a none b a] "*4\r\n\$1\r\n1\r\n\$-1\r\n\$3\r\ntwo\r\n\$1\r\n1\r\n"
        expect [r mget none] {{}}
        expect_error "ERR wrong number of arguments for 'mget' command" { r mget }
    }
    test "MSET" {
        r set a old ex 100
        expect [r mset a 1 b 2 a 3] OK
        expect [r mget a b] {3 2}
        expect [r ttl a] -1
        expect_error "ERR wrong number of arguments for 'mset' command" { r mset }
        expect_error "ERR wrong number of arguments for 'mset' command" { r mset a }
        expect_error "ERR wrong number of arguments for*mset*" { r mset a 9 b }
        expect [r get a] 3
    }
    test "MSETNX sets all or none" {
        expect [r msetnx a 1 b 2] 1
        expect [r msetnx c 3 a 4] 0
        expect [r exists c] 0
        expect [r msetnx c 5 c 6] 1
        expect [r get c] 6
        r set gone v px 1
        wait_until {[r exists gone] == 0}
        expect [r msetnx gone 1 d 2] 1
        expect_error "ERR wrong number of arguments for*msetnx*" { r msetnx a }
        expect_error "ERR wrong number of arguments for*msetnx*" { r msetnx a 1 b }
    }
    test "MSET and MGET of 20000 keys" {
        set pairs {}
        set keys {}
        set values {}
        for {set i 0} {$i < 20000} {incr i} {
            lappend pairs key:$i value:$i
            lappend keys key:$i
            lappend values value:$i
        }
        expect [r mset {*}$pairs] OK
        expect [r mget {*}$keys] $values
        expect [r dbsize] 20000
    }
}

# ---- APPEND, SETRANGE, GETRANGE, SUBSTR ----

start_server {} {
    test "APPEND" {
        expect [r append k foo] 3
        expect [r append k ""] 3
        expect [r append k bar] 6
        expect [r get k] foobar
        expect [r append empty ""] 0
        expect [r exists empty] 1
        r set n 12
        expect [r append n 34] 4
        expect [r incr n] 1235
        r set t v ex 100
        r append t w
        expect_range [r ttl t] 99 100
        expect_error "ERR wrong number of arguments for 'append' command" { r append k }
    }
    test "SETRANGE" {
        expect [r setrange k 0 foo] 3
        expect [r setrange k 5 x] 6
        expect [r get k] "foo\0\0x"
        expect [r setrange k 1 AB] 6
        expect [r get k] "fAB\0\0x"
        expect [r setrange k 5 yz] 7
        expect [r get k] "fAB\0\0yz"
        r set n 1234
        expect [r setrange n 1 5] 4
        expect [r incr n] 1535
        r set t v ex 100
        r setrange t 3 w
        expect_range [r ttl t] 99 100
    }
    test "SETRANGE with nothing to write" {
        expect [r setrange absent 0 ""] 0
        expect [r setrange absent 10 ""] 0
        expect [r exists absent] 0
        r set k abc
        expect [r setrange k 10 ""] 3
        expect [r get k] abc
    }
    test "SETRANGE errors" {
        expect_error "ERR offset is out of range" { r setrange k -1 x }
        expect_error "ERR offset is out of range" { r setrange k -9223372036854775808 x }
        expect_error "ERR value is not an integer or out of range" { r setrange k a x }
        expect_error "ERR value is not an integer or out of range" { r setrange k 9223372036854775808 x }
        expect_error "ERR string exceeds maximum allowed size*" { r setrange k 536870912 x }
        expect_error "ERR string exceeds maximum allowed size*" { r setrange k 536870911 xx }
        expect_error "ERR string exceeds maximum allowed size*" { r setrange k 9223372036854775807 x }
        expect_error "ERR wrong number of arguments for 'setrange' command" { r setrange k 0 }
        expect [r exists k] 0
    }
    test "values are no longer than proto-max-bulk-len" {
        with_config {proto-max-bulk-len 2mb} {
            r set k [string repeat x 2097152]
            expect_error "ERR string exceeds maximum allowed size*" { r append k y }
            expect_error "ERR string exceeds maximum allowed size*" { r setrange k 2097152 y }
            expect [r setrange k 2097151 y] 2097152
            expect [r append k ""] 2097152
            expect [r append other y] 1
        }
    }
    test "GETRANGE and SUBSTR" {
        r set k "Hello World"
        foreach command {getrange substr} {
            foreach {start end part} {
                0 4 Hello   0 -1 "Hello World"   -5 -1 World   -5 -2 Worl   3 1 ""   20 30 ""
                6 100 World   -100 4 Hello   -100 -101 ""   -100 -100 H   0 0 H   10 10 d   11 11 ""
                -1 0 ""   5 5 " "   0 9223372036854775807 "Hello World"
                -9223372036854775808 9223372036854775807 "Hello World"
                -9223372036854775808 -9223372036854775808 H
            } {
                expect [list $start $end [r $command k $start $end]] [list $start $end $part]
            }
            expect [r -wire $command absent 0 -1] "\$0\r\n\r\n"
            expect_error "ERR value is not an integer or out of range" { r $command k a 1 }
            expect_error "ERR value is not an integer or out of range" { r $command k 0 1.5 }
            expect_error "ERR wrong number of arguments for '$command' command" { r $command k 0 }
        }
        r set k 12345
        expect [r getrange k 1 3] 234
        r set k ""
        expect [r getrange k 0 -1] ""
    }
    test "GETRANGE at random against a model" {
        set value [numbered 20000]
        r set k $value
        set commands {}
        set expected {}
        for {set i 0} {$i < 500} {incr i} {
            set start [random_below 21000]
            # An end below zero would count from the back.
            set end [expr {max(0, $start + [random_below 9000] - 100)}]
            lappend commands [list getrange k $start $end]
            lappend expected [string range $value $start $end]
        }
        expect [r -pipeline $commands] $expected
    }
}

# ---- Numbers ----

start_server {} {
    test "INCR, DECR, INCRBY, DECRBY" {
        expect [r incr k] 1
        expect [r incr k] 2
        expect [r incrby k 40] 42
        expect [r incrby k -2] 40
        expect [r decr k] 39
        expect [r decrby k 9] 30
        expect [r decrby k -5] 35
        expect [r get k] 35
        expect [r decr fresh] -1
        expect [r decrby fresh2 10] -10
        r set k -5
        expect [r incrby k 0] -5
        expect [r -wire incr k] ":-4\r\n"
    }
    test "INCR keeps the expiry" {
        r set k 5 ex 100
        r incr k
        r incrbyfloat k 0.5
        expect_range [r ttl k] 99 100
    }
    test "INCR at the borders of 64 bits" {
        r set k 9223372036854775806
        expect [r incr k] 9223372036854775807
        expect_error "ERR increment or decrement would overflow" { r incr k }
        expect_error "ERR increment or decrement would overflow" { r incrby k 1 }
        expect_error "ERR increment or decrement would overflow" { r decrby k -1 }
        expect [r get k] 9223372036854775807
        r set k -9223372036854775807
        expect [r decr k] -9223372036854775808
        expect_error "ERR increment or decrement would overflow" { r decr k }
        expect_error "ERR increment or decrement would overflow" { r incrby k -1 }
        expect_error "ERR increment or decrement would overflow" { r decrby k 1 }
        expect [r incrby k 9223372036854775807] -1
        expect [r incrby k -9223372036854775807] -9223372036854775808
        expect_error "ERR decrement would overflow" { r decrby k -9223372036854775808 }
        r set k 1
        expect_error "ERR increment or decrement would overflow" { r incrby k 9223372036854775807 }
        expect [r incrby k -9223372036854775808] -9223372036854775807
    }
    test "INCR of what is no integer" {
        foreach value {"" " " " 1" "1 " 1.0 abc 9223372036854775808 -9223372036854775809 01 +1 -0 0x10
            1e3 -} {
            r set k $value
            expect_error "ERR value is not an integer or out of range" { r incr k }
            expect_error "ERR value is not an integer or out of range" { r decrby k 2 }
            expect [r get k] $value
        }
        r set k 1
        foreach value {"" " 1" 1.0 abc 9223372036854775808} {
            expect_error "ERR value is not an integer or out of range" { r incrby k $value }
            expect_error "ERR value is not an integer or out of range" { r decrby k $value }
        }
        foreach command {incr decr} {
            expect_error "ERR wrong number of arguments for '$command' command" { r $command }
        }
        foreach command {incrby decrby incrbyfloat} {
            expect_error "ERR wrong number of arguments for '$command' command" { r $command k }
        }
    }
    test "INCRBY at random against wide arithmetic" {
        r set k 0
        set sum 0
        for {set i 0} {$i < 300} {incr i} {
            set by [expr {entier(rand() * 0x7ffffffffffffc00) >> [random_below 63]}]
            set by [expr {[random_below 2] ? $by : -$by}]
            set next [expr {$sum + $by}]
            if {$next > 9223372036854775807 || $next < -9223372036854775808} {
                expect_error "ERR increment or decrement would overflow" { r incrby k $by }
            } else {
                set sum $next
                expect [r incrby k $by] $sum
            }
        }
        expect [r get k] $sum
    }
    test "INCRBYFLOAT" {
        expect [r incrbyfloat k 1] 1
        expect [r incrbyfloat k 0.25] 1.25
        expect [r get k] 1.25
        expect [r -wire incrbyfloat k 0.25] "\$3\r\n1.5\r\n"
        expect [r incrbyfloat k -1.5] 0
        expect [r incrbyfloat k 1e2] 100
        expect [r incrbyfloat k 5.0e3] 5100
        expect [r incrbyfloat k -.5] 5099.5
        r set k 10.50
        expect [r incrbyfloat k 0.1] 10.6
        r set k 3.0e3
        expect [r incrbyfloat k 200] 3200
        r set k 17179869184
        expect [r incrbyfloat k 1.5] 17179869185.5
        r set k 0.1
        expect [r incrbyfloat k 0.2] 0.3
        r set k 1.1
        expect [r incrbyfloat k 2.2] 3.3
        r set k 1
        expect [r incrbyfloat k 1.797e308] \
            [r get k]
        expect_range [string length [r get k]] 309 309
        r set k 3
        expect [r incrbyfloat k 1.1] 4.1
        expect [r incrby other 3] 3
        expect [r incrbyfloat other 0] 3
        expect [r incr other] 4
        r set small 0
        expect [r incrbyfloat small 0.00000000000000001] 0.00000000000000001
        expect [r incrbyfloat small 1e-18] 0.00000000000000001
        r set neg 0
        expect [r incrbyfloat neg -0] 0
    }
    test "INCRBYFLOAT errors" {
        foreach value {abc "" " 1" "1 " 1x 0x nan} {
            r set k $value
            expect_error "ERR value is not a valid float" { r incrbyfloat k 1 }
            r set k 1
            expect_error "ERR value is not a valid float" { r incrbyfloat k $value }
            expect [r get k] 1
        }
        foreach value {inf +inf -inf infinity} {
            expect_error "ERR increment would produce NaN or Infinity" { r incrbyfloat k $value }
        }
        r set k "1\0"
        expect_error "ERR value is not a valid float" { r incrbyfloat k 1 }
        r set k 1e5000
        expect_error "ERR *" { r incrbyfloat k 1e5000 }
    }
}

# ---- Long values ----

# Puts each value there and checks it from several sides.
proc check_long {key value} {
    set size [string length $value]
    expect [r strlen $key] $size
    expect [r get $key] $value
    foreach {start end} [list 0 10 4090 4100 4095 4096 8191 8192 [expr {$size - 10}] $size] {
        expect [r getrange $key $start $end] [string range $value $start $end]
    }
}

start_server {} {
    foreach size {4000 4080 4095 4096 4097 8191 8192 8193 65535 65536 1048575 1048577 5000000} {
        test "a value of $size bytes: SET, GET, APPEND, SETRANGE, COPY, GETDEL" {
            set value [numbered $size]
            r set k $value
            check_long k $value
            r append k tail
            append value tail
            check_long k $value
            r setrange k 100 patch
            set value [with_range $value 100 patch]
            check_long k $value
            expect [r copy k l] 1
            r setrange k [expr {$size - 2}] [string repeat z 5000]
            check_long l $value
            set value [with_range $value [expr {$size - 2}] [string repeat z 5000]]
            check_long k $value
            r rename k m
            check_long m $value
            expect [r getset m short] $value
            expect [r get m] short
            expect [string length [r getdel l]] [expr {$size + 4}]
        }
    }
    test "patches at the borders of blocks" {
        foreach size {4096 8192 20000 1000000} {
            set value [numbered $size]
            r set k $value
            foreach {offset bytes} {
                0 A   4095 BC   4096 D   4094 EFGHIJ   8191 K   8191 LM   8192 N   8190 OPQRST
                12287 UV   4096 W   0 XYZ
            } {
                r setrange k $offset $bytes
                set value [with_range $value $offset $bytes]
            }
            check_long k $value
            # Whole blocks, and one byte less and more.
            foreach {offset count} {0 4096 4096 4096 4095 4097 4097 4095 1 8191 0 8193 4000 12384} {
                set bytes [string repeat [format %c [expr {97 + $count % 26}]] $count]
                r setrange k $offset $bytes
                set value [with_range $value $offset $bytes]
            }
            check_long k $value
        }
    }
    test "a value that grows over every border, by SETRANGE beyond its end" {
        set value ""
        foreach offset {1 4000 4095 4096 8190 8192 20000 65536 1048570 1048576 3000000} {
            r setrange k $offset xy
            set value [with_range $value $offset xy]
            check_long k $value
        }
    }
    test "a value that grows by APPEND from nothing to 300 kB" {
        set value ""
        set commands {}
        for {set i 0} {$i < 3000} {incr i} {
            set piece [string repeat [format %c [expr {65 + $i % 26}]] [expr {$i % 199 + 1}]]
            lappend commands [list append k $piece]
            append value $piece
        }
        r -pipeline $commands
        check_long k $value
    }
    test "random patches of a long value against a model" {
        foreach size {3000 70000 1200000} {
            set value [numbered $size]
            r set k $value
            for {set i 0} {$i < 120} {incr i} {
                set offset [random_below [expr {$size + 5000}]]
                if {[random_below 3] == 0} {
                    set offset [expr {$offset / 4096 * 4096 + [random_below 3] - 1}]
                    set offset [expr {max($offset, 0)}]
                }
                set bytes [string repeat [format %c [expr {33 + $i % 90}]] \
                    [expr {1 << [random_below 14]}]]
                if {[random_below 4] == 0} {
                    r append k $bytes
                    append value $bytes
                } else {
                    r setrange k $offset $bytes
                    set value [with_range $value $offset $bytes]
                }
            }
            check_long k $value
        }
    }
    test "a long value of one kind of byte, replaced by a short one and back" {
        foreach round {1 2 3} {
            r set k [string repeat \0 2000000]
            expect [r get k] [string repeat \0 2000000]
            r set k 1
            expect [r incr k] 2
            r append k [string repeat 0 10000]
            expect [r strlen k] 10001
            expect_error "ERR value is not an integer or out of range" { r incr k }
            expect_error "ERR value is not a valid float" { r incrbyfloat k 1 }
        }
    }
    # A large value may go on living in the block that it came in.
    test "large values: whatever came with them, and whatever becomes of them" {
        foreach size {33000 100000 300000 1200000} {
            set value [numbered $size]
            r del k j
            expect [r set k $value] OK
            expect [r get k] $value
            expect [r strlen k] $size
            expect_true {[r memory usage k] >= $size && [r memory usage k] < $size * 1.3 + 400}
            expect [r set k $value get] $value
            expect [r set k $value ex 100] OK
            expect_true {[r ttl k] > 90}
            expect [r set k $value keepttl] OK
            expect_true {[r ttl k] > 90}
            expect [r set k $value xx get px 100000] $value
            expect [r getset k $value] $value
            expect [r ttl k] -1
            expect [r setnx j $value] 1
            expect [r setnx j small] 0
            expect [r append j tail] [expr {$size + 4}]
            expect [r get j] ${value}tail
            expect [r setrange j 5 middle] [expr {$size + 4}]
            expect [r getrange j 0 15] [string range [with_range $value 5 middle] 0 15]
            expect [r setbit k 0 1] 0
            expect [r setbit k 0 0] 1
            expect [r get k] $value
            expect [r setex k 100 $value] OK
            expect [r copy k j replace] 1
            r restore restored 0 [r dump k] replace
            foreach key {k j restored} {
                expect [r get $key] $value
            }
            expect [r rename k renamed] OK
            expect [r getdel renamed] $value
            expect [r append k $value] $size
            expect [r get k] $value
            # What comes in one piece, and deletes what came before it in there.
            set other [numbered 40000]
            expect [r -pipeline [list [list set k $value] {del k} [list set k $other] {strlen k} \
                [list mset k $value j $value] {strlen k} [list set k $value] [list get k] \
                [list set k $value] {set k small} {get k}]] \
                [list OK 1 OK 40000 OK $size OK $value OK OK small]
            expect [r -pipeline [list {multi} [list set k $value] {strlen k} [list set k $other] \
                {exec}]] [list OK QUEUED QUEUED QUEUED [list OK $size OK]]
            r multi
            r set k $value
            r append k x
            expect [r exec] [list OK [expr {$size + 1}]]
            # Seen by others while it happens.
            set watcher [connect]
            $watcher subscribe __keyspace@0__:k
            with_config {notify-keyspace-events KEA slowlog-log-slower-than 0} {
                r slowlog reset
                expect [r set k $value px 100000] OK
                expect [$watcher -receive] {message __keyspace@0__:k set}
                expect [$watcher -receive] {message __keyspace@0__:k expire}
                expect [lrange [lindex [r slowlog get 1] 0 3] 0 1] {set k}
            }
            $watcher -close
            expect [r get k] $value
        }
        r -raw "set k [string repeat v 60000]\r\n"
        expect [r -receive] OK
        expect [r strlen k] 60000
        r flushall
    }
    test "100 MB by SETRANGE, and a small change to it" {
        expect [r setrange k 104857599 x] 104857600
        expect [r setrange k 52428800 middle] 104857600
        expect [r getrange k 52428798 52428807] "\0\0middle\0\0"
        expect [r getrange k 104857590 -1] "\0\0\0\0\0\0\0\0\0x"
        expect [r append k yz] 104857602
        expect [r getrange k -4 -1] "\0xyz"
        expect [r del k] 1
    }
}
