# SPDX-License-Identifier: BSD-3-Clause
# The hash commands: every option of each, their errors, both encodings; what keys do with hashes;
# and random histories against a naive model, across the limits of packing and across restarts.
# Expiries of fields: cmd_hash_expire.tcl.

# The fields of a hash of each kind, as a dict: few, one value or name that is too long to be packed,
# and more than are packed.
proc fields_of {kind} {
    set fields {}
    for {set i 0} {$i < [expr {$kind eq "hashtable" ? 600 : 20}]} {incr i} {
        dict set fields field:$i [expr {$i % 3 == 0 ? $i * 1001 : "value:$i"}]
    }
    switch $kind {
        value { dict set fields long [string repeat v 100] }
        name { dict set fields [string repeat n 100] short }
    }
    return $fields
}
set kinds {listpack value name hashtable}
set encodings {listpack listpack value hashtable name hashtable hashtable hashtable}

# A flat list of pairs in a fixed order.
proc in_order {pairs} {
    return [lsort -stride 2 $pairs]
}

proc expect_fields {key fields} {
    expect [in_order [r hgetall $key]] [in_order $fields]
    expect [r hlen $key] [dict size $fields]
    expect [r exists $key] [expr {[dict size $fields] > 0}]
}

proc hscan_all {key args} {
    set found {}
    set cursor 0
    while 1 {
        lassign [r hscan $key $cursor {*}$args] cursor fields
        lappend found {*}$fields
        if {$cursor eq "0"} {
            return $found
        }
    }
}

start_server {} {
    # ---- setting, asking, deleting ----

    foreach kind $kinds {
        set fields [fields_of $kind]
        set names [dict keys $fields]
        set count [dict size $fields]
        test "HSET, HGET, HMGET, HEXISTS, HSTRLEN, HLEN, HGETALL, HKEYS, HVALS: $kind" {
            expect [r hset k {*}$fields] $count
            expect [r hset k {*}$fields] 0
            expect [r type k] hash
            expect_fields k $fields
            expect_set [r hkeys k] $names
            expect_set [r hvals k] [dict values $fields]
            foreach name [lrange $names end-30 end] {
                expect [r hget k $name] [dict get $fields $name]
                expect [r hexists k $name] 1
                expect [r hexists k ${name}x] 0
                expect_nil hget k ${name}x
                expect [r hstrlen k $name] [string length [dict get $fields $name]]
                expect [r hstrlen k ${name}x] 0
            }
            expect [r hmget k [lindex $names end] other [lindex $names 1] [lindex $names 1]] \
                [list [dict get $fields [lindex $names end]] {} value:1 value:1]
            expect [r hset k field:1 other new 1 field:2 other] 1
            expect [r hget k field:1] other
            expect [r hset k twice 1 twice 2] 1
            expect [r hget k twice] 2
        }
        test "HMSET and HSETNX: $kind" {
            expect [r hmset k {*}$fields] OK
            expect_fields k $fields
            expect [r hsetnx k field:3 other] 0
            expect [r hget k field:3] 3003
            expect [r hsetnx k new value] 1
            expect [r hget k new] value
            expect [r hlen k] [expr {$count + 1}]
        }
        test "HDEL: $kind" {
            r hset k {*}$fields
            expect [r hdel k field:2 other field:2] 1
            expect [r hexists k field:2] 0
            expect [r hlen k] [expr {$count - 1}]
            expect [r hdel k other] 0
            expect [r hdel k {*}$names] [expr {$count - 1}]
            expect [r exists k] 0
            expect [r dbsize] 0
            expect [r hdel k a] 0
        }
        test "HINCRBY and HINCRBYFLOAT: $kind" {
            r hset k {*}$fields
            expect [r hincrby k field:3 7] 3010
            expect [r hincrby k field:3 -3010] 0
            expect [r hget k field:3] 0
            expect [r hincrby k counter 5] 5
            expect [r hlen k] [expr {$count + 1}]
            expect_error "ERR hash value is not an integer" { r hincrby k field:1 1 }
            expect_error "ERR hash value is not a float" { r hincrbyfloat k field:1 1 }
            expect [r hincrbyfloat k float 1.5] 1.5
            expect [r hincrbyfloat k float -0.25] 1.25
            expect [r hincrbyfloat k float 1e2] 101.25
            expect [r hincrbyfloat k field:3 0.5] 0.5
            expect_error "ERR hash value is not an integer" { r hincrby k field:3 1 }
            expect [r hincrbyfloat k counter 1] 6
            expect [r hincrby k counter 1] 7
            expect [r hset k counter text] 0
            expect [r hget k counter] text
            expect [r hstrlen k float] 6
            expect [r hdel k float] 1
            expect [r hincrbyfloat k float 2] 2
        }
        starling_test "OBJECT ENCODING: $kind" {
            r hset k {*}$fields
            expect [r object encoding k] [dict get $encodings $kind]
        }
        test "Keys do with hashes what they do with strings: $kind" {
            r hset k {*}$fields
            expect [r copy k c] 1
            expect_fields c $fields
            expect [r copy k c] 0
            r hset c another 1
            expect [r copy k c replace] 1
            expect_fields c $fields
            expect [r rename c d] OK
            expect_fields d $fields
            expect [r move d 1] 1
            expect [r exists d] 0
            r select 1
            expect_fields d $fields
            r select 0
            expect [r expire k 100] 1
            expect [r copy k e] 1
            expect_range [r ttl e] 99 100
            r hset k another 1
            r hincrby k counter 1
            r hdel k field:2
            expect_range [r ttl k] 99 100
            expect [r persist k] 1
            r set s text
            expect_set [lindex [r scan 0 type hash count 100] 1] {e k}
            expect [r del k e s] 3
            expect [r exists k e] 0
            r hset k {*}$fields
            expect [r pexpire k 1] 1
            wait_until { [r exists k] == 0 }
            expect [r hset k a b] 1
            expect_fields k {a b}
            expect [r ttl k] -1
            r hset k {*}$fields
            expect [r unlink k] 1
            expect [r hgetall k] {}
            r hset k {*}$fields
            expect [r set k text] OK
            expect [r get k] text
        }
    }
    test "Any bytes are a field and a value" {
        set texts [list "" " " a\nb "\0" "\xff\xfe" "\r\n" 007 +5 -0 " 1" 1e3 9223372036854775807 \
            -9223372036854775808 9223372036854775808 18446744073709551615 [random_bytes 5000]]
        set fields {}
        foreach name $texts value [lreverse $texts] {
            dict set fields $name $value
        }
        foreach big {0 1} {
            if {$big} {
                r hset k {*}[fields_of hashtable]
            }
            expect [r hset k {*}$fields] [llength $texts]
            dict for {name value} $fields {
                expect [r hget k $name] $value
                expect [r hstrlen k $name] [string length $value]
                expect [r hdel k $name] 1
                expect [r hexists k $name] 0
            }
        }
        r del k
        expect [r hset k "" ""] 1
        expect [r -wire hgetall k] "*2\r\n\$0\r\n\r\n\$0\r\n\r\n"
        expect [r -wire hget k ""] "\$0\r\n\r\n"
    }
    test "Values that look like integers keep their bytes" {
        foreach value {007 +5 -0 0 -1 127 128 -129 32767 32768 65536 2147483648 9223372036854775807} {
            r hset k f $value
            expect [r hget k f] $value
            expect [r hstrlen k f] [string length $value]
        }
    }
    test "Absent keys are empty hashes" {
        expect_nil hget k f
        expect [r -wire hmget k a b] "*2\r\n\$-1\r\n\$-1\r\n"
        expect [r hexists k f] 0
        expect [r hstrlen k f] 0
        expect [r hlen k] 0
        foreach command {hgetall hkeys hvals} {
            expect [r -wire $command k] "*0\r\n"
        }
        expect [r hdel k a b] 0
        expect_nil hrandfield k
        expect [r -wire hrandfield k 3] "*0\r\n"
        expect [r -wire hrandfield k -3 withvalues] "*0\r\n"
        expect [r hscan k 0] {0 {}}
        expect [r dbsize] 0
    }
    test "Replies in RESP3" {
        r hello 3
        expect [r -wire hgetall k] "%0\r\n"
        expect [r -wire hkeys k] "*0\r\n"
        expect [r -wire hget k f] "_\r\n"
        expect [r -wire hmget k f] "*1\r\n_\r\n"
        expect [r -wire hrandfield k] "_\r\n"
        expect [r -wire hrandfield k 1] "*0\r\n"
        expect [r -wire hrandfield k 1 withvalues] "*0\r\n"
        r hset k f 1
        expect [r -wire hgetall k] "%1\r\n\$1\r\nf\r\n\$1\r\n1\r\n"
        expect [r -wire hkeys k] "*1\r\n\$1\r\nf\r\n"
        expect [r -wire hvals k] "*1\r\n\$1\r\n1\r\n"
        expect [r -wire hrandfield k] "\$1\r\nf\r\n"
        expect [r -wire hrandfield k 2] "*1\r\n\$1\r\nf\r\n"
        expect [r -wire hrandfield k 2 withvalues] "*1\r\n*2\r\n\$1\r\nf\r\n\$1\r\n1\r\n"
        expect [r -wire hrandfield k -2 withvalues] \
            "*2\r\n*2\r\n\$1\r\nf\r\n\$1\r\n1\r\n*2\r\n\$1\r\nf\r\n\$1\r\n1\r\n"
        expect [r -wire hincrbyfloat k f 0.5] "\$3\r\n1.5\r\n"
        expect [r -wire hscan k 0] "*2\r\n\$1\r\n0\r\n*2\r\n\$1\r\nf\r\n\$3\r\n1.5\r\n"
        expect [r -wire hmset k f 1] "+OK\r\n"
        expect [r -wire hexists k f] ":1\r\n"
    }
    test "Replies in RESP2" {
        r hset k f 1
        expect [r -wire hgetall k] "*2\r\n\$1\r\nf\r\n\$1\r\n1\r\n"
        expect [r -wire hrandfield k -2 withvalues] "*4\r\n[string repeat "\$1\r\nf\r\n\$1\r\n1\r\n" 2]"
        expect [r -wire hrandfield k 2 withvalues] "*2\r\n\$1\r\nf\r\n\$1\r\n1\r\n"
    }
    test "WRONGTYPE both ways" {
        r set s text
        r hset k f 1
        foreach command {{hset s f 1} {hmset s f 1} {hsetnx s f 1} {hdel s f} {hget s f} {hmget s f}
            {hexists s f} {hstrlen s f} {hlen s} {hgetall s} {hkeys s} {hvals s} {hincrby s f 1}
            {hincrbyfloat s f 1} {hscan s 0} {hrandfield s} {hrandfield s 2}
            {hrandfield s 2 withvalues} {hrandfield s 0}
            {get k} {append k a} {incr k} {setrange k 0 a} {getset k a} {strlen k} {setbit k 0 1}
            {pfadd k a} {bitcount k} {scard k} {zcard k} {sadd k a} {zadd k 1 a} {set k a get}} {
            expect_error WRONGTYPE* { r {*}$command }
        }
        expect [r get s] text
        expect_fields k {f 1}
        expect [r mget k] {{}}
        r sadd set a
        r zadd zset 1 a
        expect_error WRONGTYPE* { r hset set f 1 }
        expect_error WRONGTYPE* { r hget zset f }
    }
    test "Errors of arguments" {
        foreach command {hset hmset hsetnx hdel hget hmget hexists hstrlen hlen hgetall hkeys hvals
            hincrby hincrbyfloat hscan hrandfield} {
            expect_error "ERR wrong number of arguments for '$command' command" { r $command }
        }
        foreach command {{hset k} {hset k f} {hset k f 1 g} {hmset k f} {hmset k f 1 g} {hsetnx k f}
            {hsetnx k f 1 2} {hdel k} {hget k} {hget k f g} {hmget k} {hexists k f g} {hlen k f}
            {hgetall k f} {hincrby k f} {hincrby k f 1 2} {hscan k}} {
            expect_error "ERR wrong number of arguments for '[lindex $command 0]' command" {
                r {*}$command
            }
        }
        expect [r exists k] 0
        r set s text
        expect_error "ERR wrong number*" { r hset s f 1 g }
        foreach number {a 1.5 "" " 1" 9223372036854775808} {
            expect_error "ERR value is not an integer or out of range" { r hincrby k f $number }
        }
        foreach number {a "" " 1" 1x} {
            expect_error "ERR value is not a valid float" { r hincrbyfloat k f $number }
        }
        foreach number {inf -inf +infinity} {
            expect_error "ERR value is NaN or Infinity" { r hincrbyfloat k f $number }
        }
        expect_error "ERR value is not an integer or out of range" { r hrandfield k a }
        expect_error "ERR syntax error" { r hrandfield k 1 other }
        expect_error "ERR syntax error" { r hrandfield k 1 withvalues more }
        expect_error "ERR value is out of range*" { r hrandfield k -9223372036854775808 }
        expect_error "ERR value is out of range*" { r hrandfield k -9223372036854775808 withvalues }
        expect_error "ERR value is out of range" { r hrandfield k 9223372036854775807 withvalues }
        expect_error "ERR value is out of range" { r hrandfield k -9223372036854775807 withvalues }
        expect [r dbsize] 1
    }
    test "Increments at the ends of the range" {
        foreach kind $kinds {
            r del k
            r hset k {*}[fields_of $kind] max 9223372036854775806 min -9223372036854775807
            expect [r hincrby k max 1] 9223372036854775807
            expect_error "ERR increment or decrement would overflow" { r hincrby k max 1 }
            expect [r hget k max] 9223372036854775807
            expect [r hincrby k min -1] -9223372036854775808
            expect_error "ERR increment or decrement would overflow" { r hincrby k min -1 }
            expect_error "ERR increment or decrement would overflow" {
                r hincrby k min -9223372036854775808
            }
            expect [r hget k min] -9223372036854775808
            foreach value {" 1" "1 " 1.0 007 ""} {
                r hset k f $value
                expect_error "ERR hash value is not an integer" { r hincrby k f 1 }
                expect [r hget k f] $value
            }
            foreach value {" 1" "1 " "" x} {
                r hset k f $value
                expect_error "ERR hash value is not a float" { r hincrbyfloat k f 1 }
                expect [r hget k f] $value
            }
        }
    }
    test "A failed increment leaves no trace" {
        r hset s f x
        expect_error "*" { r hincrby s f 1 }
        expect_error "*" { r hincrbyfloat s f 1 }
        expect_fields s {f x}
        expect_error "*" { r hincrby k f x }
        expect_error "*" { r hincrbyfloat k f inf }
        expect [r exists k] 0
    }

    # ---- encodings ----

    starling_test "A hash changes its form as it grows, and keeps it" {
        for {set i 0} {$i < 512} {incr i} { r hset k f$i $i }
        expect [r object encoding k] listpack
        r hset k f5 other
        expect [r object encoding k] listpack
        r hset k another 1
        expect [r object encoding k] hashtable
        r hdel k {*}[lrange [r hkeys k] 0 504]
        expect [r object encoding k] hashtable
        expect [r hlen k] 8
        r del k
        r hset k [string repeat n 64] [string repeat v 64]
        expect [r object encoding k] listpack
        r hset k f [string repeat v 65]
        expect [r object encoding k] hashtable
        r hdel k f
        expect [r object encoding k] hashtable
        r del k
        r hset k [string repeat n 65] 1
        expect [r object encoding k] hashtable
        r del k
        r hsetnx k f [string repeat v 65]
        expect [r object encoding k] hashtable
        expect [r hget k f] [string repeat v 65]
    }
    starling_test "Increments leave a small hash packed where nobody else counts" {
        r hset k a 1 b 2
        r hincrby k a 5
        r hincrby k new 1
        r hincrbyfloat k b 0.5
        expect [r object encoding k] listpack
        expect_fields k {a 6 b 2.5 new 1}
    }
    starling_test "Limits of the forms are options" {
        with_config {hash-max-listpack-entries 3 hash-max-listpack-value 4} {
            r hset k a 1 b 2 c 3
            expect [r object encoding k] listpack
            r hset k d 4
            expect [r object encoding k] hashtable
            r hset v a abcd
            expect [r object encoding v] listpack
            r hset v a abcde
            expect [r object encoding v] hashtable
            r hset n abcde 1
            expect [r object encoding n] hashtable
        }
        with_config {hash-max-ziplist-entries 0} {
            r hset u a b
            expect [r object encoding u] hashtable
            expect_fields u {a b}
        }
    }
    starling_test "DEBUG RELOAD keeps hashes and what OBJECT ENCODING says" {
        foreach kind $kinds {
            r hset $kind {*}[fields_of $kind]
            r hincrby $kind counter 5
            r hincrbyfloat $kind float 2.5
        }
        set digest [r debug digest]
        r debug reload
        expect [r debug digest] $digest
        foreach kind $kinds {
            expect_fields $kind [concat [fields_of $kind] {counter 5 float 2.5}]
            expect [r object encoding $kind] [dict get $encodings $kind]
        }
    }

    # ---- HRANDFIELD ----

    foreach kind $kinds {
        set fields [fields_of $kind]
        set names [lsort [dict keys $fields]]
        set size [dict size $fields]
        test "HRANDFIELD: $kind" {
            r hset k {*}$fields
            for {set i 0} {$i < 20} {incr i} {
                expect_true { [dict exists $fields [r hrandfield k]] }
            }
            foreach count [list 1 2 5 10 19 20 200 $size 100000 4611686018427387903] {
                set got [r hrandfield k $count]
                expect [llength $got] [expr {min($count, $size)}]
                expect [llength [lsort -unique $got]] [llength $got]
                expect [lsort -unique [concat $got $names]] $names
                set got [r hrandfield k $count withvalues]
                expect [llength $got] [expr {min($count, $size) * 2}]
                foreach {name value} $got {
                    expect $value [dict get $fields $name]
                }
                expect [dict size $got] [expr {min($count, $size)}]
            }
            foreach count {1 2 50 2000} {
                set got [r hrandfield k -$count]
                expect [llength $got] $count
                expect [lsort -unique [concat $got $names]] $names
                set got [r hrandfield k -$count WithValues]
                expect [llength $got] [expr {2 * $count}]
                foreach {name value} $got {
                    expect $value [dict get $fields $name]
                }
            }
            expect [r hrandfield k 0] {}
            expect [r hrandfield k 0 withvalues] {}
            # All fields come in time.
            set seen {}
            for {set i 0} {$i < 100} {incr i} {
                foreach name [r hrandfield k [expr {$i % 2 ? -$size : ($size / 2)}]] {
                    dict set seen $name 1
                }
            }
            expect [dict size $seen] $size
            expect_fields k $fields
        }
    }

    test "HRANDFIELD: a count that cannot be negated, before the other arguments" {
        r hset k f v
        set lowest "ERR value is out of range, value must between -9223372036854775807 and\
            9223372036854775807"
        expect_error $lowest { r hrandfield k -9223372036854775808 }
        expect_error $lowest { r hrandfield k -9223372036854775808 wrong }
    }

    # ---- HSCAN ----

    test "HSCAN, SSCAN and ZSCAN look at the key before the options" {
        r set text x
        foreach {add command} {{hset k f v} hscan {sadd k m} sscan {zadd k 1 m} zscan} {
            r del k
            foreach options {{count 0} {count x} {match} {wrong 1} {match a count -1}} {
                expect [r $command absent 0 {*}$options] {0 {}}
                expect_error WRONGTYPE* { r $command text 0 {*}$options }
                expect_error "ERR invalid cursor" { r $command absent x {*}$options }
            }
            r {*}$add
            expect_error "ERR syntax error" { r $command k 0 count 0 }
            expect_error "ERR value is not an integer or out of range" { r $command k 0 count x }
        }
    }

    foreach kind $kinds {
        set fields [fields_of $kind]
        test "HSCAN: $kind" {
            r hset k {*}$fields
            foreach options {{} {count 1} {count 100000} {match *} {COUNT 7 MATCH *}} {
                set found [hscan_all k {*}$options]
                expect [in_order $found] [in_order $fields]
            }
            set ending [dict filter $fields key *5]
            expect [in_order [hscan_all k match *5]] [in_order $ending]
            expect [hscan_all k match nothing count 3] {}
            # The pattern is about names.
            expect [hscan_all k match value:*] {}
        }
        starling_test "HSCAN NOVALUES: $kind" {
            r hset k {*}$fields
            expect [lsort [hscan_all k novalues]] [lsort [dict keys $fields]]
            expect [lsort [hscan_all k match *5 NOVALUES count 3]] \
                [lsort [dict keys [dict filter $fields key *5]]]
        }
    }
    test "HSCAN while the hash grows and shrinks: what stays is seen" {
        for {set i 0} {$i < 1000} {incr i} { r hset k stays:$i $i goes:$i $i }
        set found {}
        set cursor 0
        set step 0
        while 1 {
            lassign [r hscan k $cursor] cursor fields
            foreach {name value} $fields {
                if {[string match stays:* $name]} {
                    expect stays:$value $name
                    dict set found $name 1
                }
            }
            if {$cursor eq "0"} break
            if {[incr step] < 50} {
                for {set i 0} {$i < 20} {incr i} { r hset k new:$step:$i 1 }
                for {set i 0} {$i < 20} {incr i} { r hdel k goes:[expr {$step * 20 + $i}] }
            }
        }
        expect [dict size $found] 1000
    }
    test "HSCAN: errors" {
        r hset k a 1
        expect_error "ERR invalid cursor" { r hscan k x }
        expect_error "ERR syntax error" { r hscan k 0 count 0 }
        expect_error "ERR value is not an integer or out of range" { r hscan k 0 count x }
        expect_error "ERR syntax error" { r hscan k 0 count }
        expect_error "ERR syntax error" { r hscan k 0 other 1 }
        expect_error "ERR syntax error" { r hscan k 0 type hash }
    }

    # ---- transactions, events ----

    test "Hashes in a transaction, and WATCH of one" {
        r hset k a 1
        r multi
        r hset k b 2
        r hincrby k a 1
        r hdel k b
        r hgetall k
        expect [r exec] {1 2 1 {a 2}}
        r watch k
        [connect] hset k a 3
        r multi
        r hlen k
        expect_nil exec
        r watch k
        [connect] hdel k other
        r multi
        r hlen k
        expect [r exec] 1
    }
    test "Events of hashes" {
        with_config {notify-keyspace-events KEA} {
            set listener [connect]
            $listener psubscribe __keyevent@*
            r hset k a 1 b 2
            r hmset k a 1
            r hsetnx k a 1
            r hsetnx k c 1
            r hincrby k a 1
            r hincrbyfloat k a 1.5
            r hdel k other
            r hdel k a b
            r hdel k c
            r hdel k c
            catch { r hincrby k a x }
            r set end 1
            set events {}
            while 1 {
                set event [lindex [split [lindex [$listener -receive] 2] :] end]
                if {$event eq "set"} break
                lappend events $event
            }
            expect $events {hset hset hset hincrby hincrbyfloat hdel hdel del}
        }
    }
}

# ---- random histories ----

proc random_field {universe} {
    set i [random_below $universe]
    return [expr {$i % 17 == 5 ? "[string repeat long: 20]$i" : "f$i"}]
}

proc random_value {} {
    switch [random_below 12] {
        0 { return [string repeat v [random_below 200]] }
        1 { return "" }
        2 { return text:[random_below 100] }
        default { return [expr {[random_below 100000] - 50000}] }
    }
}

proc check_hashes {} {
    upvar #0 hash_model model
    foreach key [array names model] {
        expect_fields $key $model($key)
    }
}

proc random_hash_step {universe} {
    upvar #0 hash_model model
    set key h:[random_below 4]
    set other h:[random_below 4]
    set fields {}
    for {set i [expr {1 + [random_below [expr {1 + [random_below 20]}]]}]} {$i > 0} {incr i -1} {
        lappend fields [random_field $universe] [random_value]
    }
    set old $model($key)
    set field [lindex $fields 0]
    set value [lindex $fields 1]
    switch [random_below 13] {
        0 - 1 - 2 - 3 {
            foreach {name value} $fields { dict set model($key) $name $value }
            expect [r hset $key {*}$fields] [expr {[dict size $model($key)] - [dict size $old]}]
        }
        4 - 5 - 6 {
            foreach {name value} $fields { dict unset model($key) $name }
            expect [r hdel $key {*}[dict keys $fields]] \
                [expr {[dict size $old] - [dict size $model($key)]}]
        }
        7 {
            expect [r hsetnx $key $field $value] [expr {![dict exists $old $field]}]
            if {![dict exists $old $field]} { dict set model($key) $field $value }
        }
        8 - 9 {
            set delta [expr {[random_below 2000] - 1000}]
            set now [expr {[dict exists $old $field] ? [dict get $old $field] : 0}]
            if {[string is entier -strict $now]} {
                dict set model($key) $field [expr {$now + $delta}]
                expect [r hincrby $key $field $delta] [expr {$now + $delta}]
            } elseif {![string is double -strict $now]} {
                expect_error "ERR hash value is not an integer" { r hincrby $key $field $delta }
            }
        }
        10 {
            foreach {name value} $fields {
                expect [r hexists $key $name] [dict exists $old $name]
                if {[dict exists $old $name]} { expect [r hget $key $name] [dict get $old $name] }
            }
        }
        11 {
            # Multiples of a quarter are exact.
            set delta [expr {[random_below 80] * 0.25}]
            set now [expr {[dict exists $old $field] ? [dict get $old $field] : 0}]
            if {[string is double -strict $now]} {
                set sum [expr {$now + $delta}]
                set sum [expr {$sum == int($sum) ? int($sum) : $sum}]
                dict set model($key) $field $sum
                expect [r hincrbyfloat $key $field $delta] $sum
            }
        }
        12 {
            switch [random_below 6] {
                0 {
                    r del $key
                    set model($key) {}
                }
                1 {
                    if {$key ne $other && [dict size $old] > 0} {
                        expect [r copy $key $other replace] 1
                        set model($other) $old
                    }
                }
                2 {
                    if {$key ne $other && [dict size $old] > 0} {
                        expect [r rename $key $other] OK
                        set model($other) $old
                        set model($key) {}
                    }
                }
            }
        }
    }
}

foreach {universe settings} {
    12 {}
    150 {}
    1500 {}
    40 {hash-max-listpack-entries 10}
    40 {hash-max-listpack-value 8}
} {
    start_server [list appendonly yes appendfsync no {*}$settings] {
        test "Random histories of $universe fields against a model ($settings)" {
            for {set i 0} {$i < 4} {incr i} { set hash_model(h:$i) {} }
            for {set round 0} {$round < 3} {incr round} {
                for {set step 0} {$step < 400} {incr step} {
                    random_hash_step $universe
                }
                check_hashes
                if {[server_is_starling]} {
                    r debug reload
                    check_hashes
                }
                restart_server -signal KILL
                check_hashes
            }
        }
    }
}
