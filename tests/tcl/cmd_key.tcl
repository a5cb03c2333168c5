# SPDX-License-Identifier: BSD-3-Clause
# Commands on whole keys: DEL UNLINK EXISTS TOUCH TYPE RENAME RENAMENX MOVE COPY and OBJECT.

# Keys of every form that a string is kept in, each with its value.
proc make_forms {} {
    r set short abc
    r set long [string repeat l 1000]
    r set number 12345
    r set counter 5
    r incrby counter 2
    r incrby fresh_counter 3
    r incrbyfloat float 1.5
    r set edited hello
    r setrange edited 1 a
    r set large [string repeat L 100000]
    r setrange large 50000 patched
}

proc forms_values {{prefix ""}} {
    set values {}
    foreach name {short long number counter fresh_counter float edited large} {
        lappend values [r get $prefix$name]
    }
    return $values
}

set form_names {short long number counter fresh_counter float edited large}

start_server {} {
    foreach command {del unlink} {
        test "[string toupper $command] counts what was there" {
            r set a 1
            r set b 2
            expect [r $command a b a none] 2
            expect [r exists a b] 0
            expect [r $command a] 0
            expect_error "ERR wrong number of arguments for '$command' command" { r $command }
        }
        test "[string toupper $command] removes values of every form" {
            make_forms
            expect [r $command {*}$form_names] 8
            expect [r dbsize] 0
        }
        test "[string toupper $command] does not count an expired key" {
            r set a 1 px 1
            r set b 1
            after 5
            expect [r $command a b] 1
        }
    }

    test "EXISTS counts a key as often as it is named" {
        r set a 1
        r set "" 1
        expect [r exists a] 1
        expect [r exists a a none "" A] 3
        expect [r exists none] 0
        expect_error "ERR wrong number of arguments for 'exists' command" { r exists }
    }
    test "TOUCH counts what is there" {
        r set a 1
        r set b 2
        expect [r touch a b none a] 3
        expect [r touch none] 0
        expect_error "ERR wrong number of arguments for 'touch' command" { r touch }
    }
    test "TYPE" {
        make_forms
        foreach name $form_names {
            expect [r -wire type $name] "+string\r\n"
        }
        expect [r -wire type none] "+none\r\n"
    }
    test "EXISTS, TYPE, TTL and OBJECT count as reads" {
        r set a 1
        r config resetstat
        r exists a none
        r type a
        r ttl a
        r touch a
        expect [info_field stats keyspace_hits] 4
        expect [info_field stats keyspace_misses] 1
    }

    # ---- RENAME ----

    test "RENAME moves values of every form, with their expiry" {
        make_forms
        set values [forms_values]
        foreach name $form_names {
            r pexpire $name 100000
            expect [r rename $name new_$name] OK
            expect [r exists $name] 0
            expect_range [r pttl new_$name] 90000 100000
        }
        expect [forms_values new_] $values
        expect [r dbsize] 8
    }
    test "RENAME replaces the target and its expiry" {
        r set a 1
        r set b 2 ex 100
        expect [r rename a b] OK
        expect [r get b] 1
        expect [r ttl b] -1
        expect [r dbsize] 1
    }
    test "RENAME of a counter goes on counting" {
        r incrby c 5
        r rename c d
        expect [r incr d] 6
        r incr c
        r rename c d
        expect [r incr d] 2
    }
    test "RENAME to itself, of an absent key" {
        r set a 1 ex 100
        expect [r rename a a] OK
        expect [r get a] 1
        expect_range [r ttl a] 90 100
        expect_error "ERR no such key" { r rename none other }
        expect_error "ERR no such key" { r rename none none }
        r set gone 1 px 1
        after 5
        expect_error "ERR no such key" { r rename gone other }
        expect_error "ERR wrong number of arguments for 'rename' command" { r rename a }
    }
    test "RENAMENX leaves a name that is taken" {
        r set a 1
        r set b 2
        expect [r renamenx a b] 0
        expect [r get b] 2
        expect [r renamenx a c] 1
        expect [r get c] 1
        expect [r exists a] 0
        expect [r renamenx c c] 0
        expect_error "ERR no such key" { r renamenx none b }
        expect_error "ERR no such key" { r renamenx none none }
        r set taken 1 px 1
        after 5
        expect [r renamenx c taken] 1
    }

    # ---- MOVE ----

    test "MOVE takes a key to another database, with its expiry" {
        make_forms
        set values [forms_values]
        foreach name $form_names {
            r expire $name 100
            expect [r move $name 3] 1
            expect [r move $name 3] 0
        }
        expect [r dbsize] 0
        r select 3
        expect [forms_values] $values
        foreach name $form_names {
            expect_range [r ttl $name] 90 100
        }
        expect [r dbsize] 8
    }
    test "MOVE leaves a key that is there already" {
        r set a 0
        r select 1
        r set a 1
        expect [r move a 0] 0
        expect [r get a] 1
        r select 0
        expect [r get a] 0
    }
    test "MOVE: errors" {
        r set a 1
        expect_error "ERR source and destination objects are the same" { r move a 0 }
        expect_error "ERR source and destination objects are the same" { r move none 0 }
        expect_error "ERR DB index is out of range" { r move a 16 }
        expect_error "ERR DB index is out of range" { r move a -1 }
        expect_error "ERR value is not an integer or out of range" { r move a x }
        expect_error "ERR value is out of range, value must between -2147483648 and 2147483647" {
            r move a 99999999999
        }
        expect [r move none 1] 0
    }

    # ---- COPY ----

    test "COPY copies values of every form, with their expiry" {
        make_forms
        set values [forms_values]
        foreach name $form_names {
            r expire $name 100
            expect [r copy $name copy_$name] 1
            expect_range [r ttl copy_$name] 90 100
        }
        expect [forms_values copy_] $values
        foreach name $form_names {
            r append $name x
        }
        expect [forms_values copy_] $values
    }
    test "COPY and original go separate ways" {
        r incrby c 5
        r copy c d
        r incrby c 1
        expect [r incrby d 10] 15
        expect [r get c] 6
        r set big [string repeat a 100000]
        r copy big big2
        r setrange big 10 zz
        r setrange big2 20 yy
        expect [r getrange big 8 23] aazzaaaaaaaaaaaa
        expect [r getrange big2 8 23] aaaaaaaaaaaayyaa
    }
    test "COPY REPLACE" {
        r set a 1
        r set b 2 ex 100
        expect [r copy a b] 0
        expect [r get b] 2
        expect [r copy a b replace] 1
        expect [r get b] 1
        expect [r ttl b] -1
        expect [r copy none b replace] 0
        expect [r get b] 1
    }
    starling_test "COPY REPLACE of what has expired in a pause" {
        r debug set-active-expire 0
        foreach {fill type} {{zadd k 1 a} zset {rpush k a} list {sadd k a} set {hset k a 1} hash} {
            r flushall
            r {*}$fill
            r set t x
            r pexpire t 1
            after 5
            r multi
            r client pause 1000 write
            r copy k t replace
            r client unpause
            expect_match [lindex [r exec] 1] "*WRONGTYPE*"
            expect [r copy k t replace] 1
            expect [r type t] $type
        }
        r debug set-active-expire 1
    }
    test "COPY DB" {
        r set a 1
        expect [r copy a a db 2] 1
        expect [r copy a a DB 2] 0
        r set a 2
        expect [r copy a a replace db 2] 1
        expect [r copy a b db 1 db 2] 1
        r select 2
        expect [r mget a b] {2 2}
        r select 1
        expect [r dbsize] 0
    }
    test "COPY: errors" {
        r set a 1
        expect_error "ERR source and destination objects are the same" { r copy a a }
        expect_error "ERR source and destination objects are the same" { r copy a a replace }
        expect_error "ERR source and destination objects are the same" { r copy none none db 0 }
        expect_error "ERR syntax error" { r copy a b foo }
        expect_error "ERR syntax error" { r copy a b db }
        expect_error "ERR DB index is out of range" { r copy a b db 16 }
        expect_error "ERR DB index is out of range" { r copy a b db -1 }
        expect_error "ERR value is not an integer or out of range" { r copy a b db x }
        expect_error "ERR value is out of range, value must between *" { r copy a b db 99999999999 }
        expect [r copy none b] 0
        expect [r exists b] 0
    }

    # ---- OBJECT ----

    test "OBJECT ENCODING" {
        foreach {value encoding} [list 0 int -1 int 9223372036854775807 int \
            9223372036854775808 embstr 01 embstr -0 embstr 1.0 embstr "" embstr \
            [string repeat x 44] embstr [string repeat x 45] raw \
            [string repeat x 100000] raw] {
            r set k $value
            expect [r object encoding k] $encoding
        }
        expect_nil object encoding none
    }
    test "OBJECT ENCODING after a change in part" {
        r set k abc
        r append k d
        expect [r object encoding k] raw
        r set k 12
        r setrange k 0 3
        expect [r object encoding k] raw
        r set k 32
        expect [r object encoding k] int
        r incr k
        expect [r object encoding k] int
        r incr fresh
        expect [r object encoding fresh] int
        r incrbyfloat k 1
        expect [r get k] 34
        expect [r object encoding k] embstr
        r set k abc
        r append k d
        r copy k copy
        r rename k renamed
        expect [r get copy] abcd
        expect [r object encoding renamed] raw
        r setbit bits 0 1
        expect [r object encoding bits] raw
    }
    test "a write is an access, also one that changes nothing" {
        set cases {
            s {set k 1} {setnx k 2} {incr k} {set k 3 nx} {append k 1} {expire k 1000} {persist k}
              {rename k k} {setbit k 9 1} {setrange k 0 1} {bitfield k set u8 0 1} {mset k 1}
              {incrbyfloat k 1} {msetnx k 1}
            h {hset k a 1} {hset k a 1} {hsetnx k a 2} {hdel k none} {hincrby k a 1}
            t {sadd k a} {sadd k a} {srem k none}
            z {zadd k 1 a} {zadd k 1 a} {zincrby k 1 a} {zrem k none}
            l {rpush k a} {rpush k b} {lset k 0 c} {lrem k 0 none} {rpoplpush k k}
            x {xadd k 1-1 f v} {xadd k * f v} {xdel k 0-1} {xtrim k maxlen 1000}
            p {pfadd k a} {pfadd k a}
        }
        foreach word $cases {
            if {[llength $word] == 1} {
                set make {}
            } elseif {$make eq ""} {
                set make $word
            } else {
                r del k
                r {*}$make
                set dump [r dump k]
                r restore k 0 $dump replace idletime 1000
                r {*}$word
                expect [list $word [expr {[r object idletime k] < 100}]] [list $word 1]
                with_config {maxmemory-policy allkeys-lfu lfu-log-factor 1} {
                    r restore k 0 $dump replace freq 5
                    for {set i 0} {$i < 30} {incr i} { r {*}$word }
                    expect [list $word [expr {[r object freq k] > 6}]] [list $word 1]
                }
            }
        }
    }
    test "OBJECT IDLETIME and FREQ follow the policy" {
        r set a 1
        expect_range [r object idletime a] 0 1
        expect_error "ERR An LFU maxmemory policy is not selected, access frequency not\
            tracked. Please note *" { r object freq a }
        expect_nil object idletime none
        expect_nil object freq none
        with_config {maxmemory-policy allkeys-lfu} {
            r set b v
            expect_range [r object freq b] 1 10
            expect_error "ERR An LFU maxmemory policy is selected, idle time not tracked. Please\
                note *" { r object idletime b }
        }
    }
    test "Asking about a key is not using it; TOUCH and GET are" {
        r set a 1
        set dump [r dump a]
        foreach question {{exists a} {type a} {ttl a} {pttl a} {object encoding a}
            {object idletime a} {expiretime a}} {
            r restore a 0 $dump replace idletime 1000
            r {*}$question
            expect_range [r object idletime a] 1000 1002
        }
        foreach use {{touch a} {get a} {strlen a}} {
            r restore a 0 $dump replace idletime 1000
            r {*}$use
            expect_range [r object idletime a] 0 1
        }
    }
    starling_test "TOUCH uses a key even under CLIENT NO-TOUCH" {
        r set a 1
        set dump [r dump a]
        r client no-touch on
        r restore a 0 $dump replace idletime 1000
        r get a
        expect_range [r object idletime a] 1000 1002
        r touch a
        expect_range [r object idletime a] 0 1
        r client no-touch off
    }
    test "OBJECT REFCOUNT" {
        r set a abc
        expect [r object refcount a] 1
        r set a 10000
        expect [r object refcount a] 1
        r set a -1
        expect [r object refcount a] 1
        r incr a
        expect [r object refcount a] 2147483647
        r set a 9999
        expect [r object refcount a] 2147483647
        with_config {maxmemory-policy allkeys-lru maxmemory 1gb} {
            r set b 1
            expect [r object refcount b] 1
        }
        expect_nil object refcount none
    }
    test "OBJECT HELP and errors" {
        set help [r object help]
        expect_match [lindex $help 0] "OBJECT <subcommand>*"
        foreach word {ENCODING FREQ IDLETIME REFCOUNT HELP} {
            expect_true {[lsearch -glob $help $word*] > 0} $word
        }
        expect_error "ERR unknown subcommand 'foo'. Try OBJECT HELP." { r object foo k }
        expect_error "ERR wrong number of arguments for 'object' command" { r object }
        expect_error "ERR wrong number of arguments for 'object|encoding' command" {
            r object encoding
        }
        expect_error "ERR wrong number of arguments for 'object|freq' command" { r object freq a b }
        expect_error "ERR wrong number of arguments for 'object|help' command" { r object help me }
    }
    test "WATCH sees RENAME, COPY, MOVE, DEL and the like" {
        set other [connect]
        foreach change {{del a} {unlink a} {rename a b} {rename c a} {copy c a replace} {move a 1}
            {persist a} {expire a 100} {flushdb} {flushall} {swapdb 0 1}} {
            r flushall
            r set a 1 ex 50
            r set c 2
            r watch a
            $other {*}$change
            r multi
            r ping
            expect "$change [r -wire exec]" "$change *-1\r\n"
        }
        foreach nothing {{del none} {copy c d} {touch a} {renamenx c a} {exists a}} {
            r flushall
            r set a 1
            r set c 2
            r watch a
            $other {*}$nothing
            r multi
            r ping
            expect "$nothing [r exec]" "$nothing PONG"
        }
    }
}
