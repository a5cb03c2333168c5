# SPDX-License-Identifier: BSD-3-Clause
# Expiry: EXPIRE PEXPIRE EXPIREAT PEXPIREAT with their options, TTL PTTL EXPIRETIME PEXPIRETIME,
# PERSIST; limits of time; and that expired keys are gone for every command.

# The four commands: the argument that means "in `seconds` seconds" for each.
proc expire_argument {command seconds} {
    switch $command {
        expire { return $seconds }
        pexpire { return [expr {$seconds * 1000}] }
        expireat { return [expr {[clock seconds] + $seconds}] }
        pexpireat { return [expr {[clock milliseconds] + $seconds * 1000}] }
    }
}

start_server {} {
    foreach command {expire pexpire expireat pexpireat} {
        set name [string toupper $command]
        test "$name sets, changes and reports the time" {
            r set k v
            expect [r $command k [expire_argument $command 100]] 1
            expect_range [r ttl k] 98 100
            expect_range [r pttl k] 98000 100000
            expect_range [r expiretime k] [expr {[clock seconds] + 98}] \
                [expr {[clock seconds] + 101}]
            expect_range [r pexpiretime k] [expr {[clock milliseconds] + 98000}] \
                [expr {[clock milliseconds] + 100000}]
            expect [r $command k [expire_argument $command 1000]] 1
            expect_range [r ttl k] 998 1000
            expect [r get k] v
        }
        test "$name of an absent key" {
            expect [r $command none [expire_argument $command 100]] 0
            expect [r exists none] 0
        }
        test "$name with a past, zero or negative time removes the key" {
            foreach time [list 0 -1 -1000000 [expire_argument $command -1]] {
                r set k v
                expect [r $command k $time] 1
                expect [r exists k] 0
                expect [r dbsize] 0
            }
        }
        test "$name NX, XX, GT, LT" {
            set sooner [expire_argument $command 50]
            set middle [expire_argument $command 100]
            set later [expire_argument $command 200]
            r set k v
            expect [r $command k $middle xx] 0
            expect [r $command k $middle gt] 0
            expect [r $command k $middle xx gt] 0
            expect [r $command k $middle xx lt] 0
            expect [r ttl k] -1
            expect [r $command k $middle nx] 1
            expect [r $command k $later NX] 0
            expect_range [r ttl k] 98 100
            expect [r $command k $sooner gt] 0
            expect [r $command k $later GT] 1
            expect_range [r ttl k] 198 200
            expect [r $command k $middle LT] 1
            expect [r $command k $later lt] 0
            expect_range [r ttl k] 98 100
            expect [r $command k $sooner xx lt] 1
            expect [r $command k $middle xx gt] 1
            expect [r $command k $later XX] 1
            expect_range [r ttl k] 198 200
            r persist k
            expect [r $command k $middle lt] 1
            expect_range [r ttl k] 98 100
            expect [r $command k $later nx nx] 0
        }
        test "$name: a past time still obeys the options" {
            r set k v
            expect [r $command k -1 xx] 0
            expect [r $command k -1 gt] 0
            expect [r exists k] 1
            expect [r $command k -1 lt] 1
            expect [r exists k] 0
            r set k v ex 100
            expect [r $command k -1 nx] 0
            expect [r $command k -1 gt] 0
            expect [r $command k 0 lt] 1
            expect [r exists k] 0
        }
        test "$name: errors" {
            r set k v
            foreach options {{nx xx} {nx gt} {nx lt} {gt nx} {xx gt nx}} {
                expect_error "ERR NX and XX, GT or LT options at the same time are not compatible" {
                    r $command k 1 {*}$options
                }
            }
            expect_error "ERR GT and LT options at the same time are not compatible" {
                r $command k 1 gt lt
            }
            expect_error "ERR Unsupported option foo" { r $command k 1 foo }
            expect_error "ERR Unsupported option FOO" { r $command k x nx FOO xx }
            foreach bad {x 1.5 "" " 1" 99999999999999999999} {
                expect_error "ERR value is not an integer or out of range" { r $command k $bad }
                expect_error "ERR value is not an integer or out of range" { r $command none $bad }
            }
            expect_error "ERR wrong number of arguments for '$command' command" { r $command k }
            expect [r ttl k] -1
        }
        test "$name: times that leave 64 bits" {
            r set k v
            set bad [dict get {
                expire {9223372036854775807 -9223372036854775808 9223372036854776 9223372036854775}
                pexpire {9223372036854775807 9223372036854770000}
                expireat {9223372036854775807 -9223372036854775808 9223372036854776}
                pexpireat {}
            } $command]
            foreach time $bad {
                expect_error "ERR invalid expire time in '$command' command" { r $command k $time }
                expect_error "ERR invalid expire time in '$command' command" { r $command none $time }
            }
            expect [r ttl k] -1
        }
    }
    test "The latest time there is" {
        r set k v
        expect [r pexpireat k 9223372036854775807] 1
        expect [r pexpiretime k] 9223372036854775807
        expect [r expiretime k] 9223372036854776
        expect_true {[r pttl k] > 9223370000000000000}
        expect [r expireat k 9223372036854775] 1
        expect [r pexpiretime k] 9223372036854775000
        expect [r get k] v
    }
    test "TTL and its kin without key or expiry" {
        r set k v
        foreach command {ttl pttl expiretime pexpiretime} {
            expect [r $command none] -2
            expect [r $command k] -1
            expect_error "ERR wrong number of arguments for '$command' command" { r $command }
        }
    }
    test "TTL and EXPIRETIME round to the nearest second" {
        r set k v
        set base [expr {([clock seconds] + 1000) * 1000}]
        foreach {extra seconds} {0 0 499 0 500 1 999 1} {
            r pexpireat k [expr {$base + $extra}]
            expect [r expiretime k] [expr {$base / 1000 + $seconds}]
        }
        r pexpire k 1600
        expect_range [r ttl k] 1 2
    }
    test "PERSIST" {
        r set k v ex 100
        expect [r persist k] 1
        expect [r ttl k] -1
        expect [r persist k] 0
        expect [r persist none] 0
        expect [r get k] v
    }
    test "Expiry of values of every form leaves the value" {
        r set short abc
        r set long [string repeat l 1000]
        r set number 12345
        r incrby counter 3
        r incrbyfloat float 1.5
        r set large [string repeat L 100000]
        r setrange large 50000 patched
        foreach name {short long number counter float large} {
            set value [r get $name]
            set encoding [r object encoding $name]
            r expire $name 100
            r expire $name 200
            expect [r get $name] $value
            r persist $name
            expect [r get $name] $value
            expect [r object encoding $name] $encoding
        }
        r expire counter 100
        expect [r incr counter] 4
        expect_range [r ttl counter] 98 100
        expect [r append short d] 4
        r expire large 100
        r setrange large 0 begin
        expect [r getrange large 0 6] beginLL
        expect_range [r ttl large] 98 100
    }

    # ---- what is expired is gone ----

    test "An expired key is absent for every command" {
        foreach {command answer} {
            {get k} {} {exists k} 0 {type k} none {ttl k} -2 {persist k} 0 {strlen k} 0
            {expire k 10} 0 {del k} 0 {getrange k 0 -1} {} {object encoding k} {} {dump k} {}
            {touch k} 0 {keys *} {} {randomkey} {} {append k x} 1 {incr k} 1 {setnx k v} 1
            {copy k z} 0 {getdel k} {} {set k v xx} {} {mget k} {{}}
        } {
            r flushall
            r set k 100 px 1
            after 5
            expect "$command: [r {*}$command]" "$command: $answer"
            expect [r ttl k] [expr {[r exists k] ? -1 : -2}]
        }
    }
    test "Keys go by themselves when nobody asks" {
        set commands {}
        for {set i 0} {$i < 2000} {incr i} {
            lappend commands [list set key:$i v px [expr {1 + $i % 50}]]
        }
        lappend commands {set stays v}
        r -pipeline $commands
        wait_until {[r dbsize] == 1} 10
        expect_true {[info_field stats expired_keys] >= 2000}
        expect [r get stays] v
    }
    test "With active expiry off, expired keys stay hidden until asked for" {
        r debug set-active-expire 0
        r set k v px 1
        r set other v
        after 20
        expect [r dbsize] 2
        expect [r keys *] other
        expect [r exists k] 0
        expect [r dbsize] 1
        r debug set-active-expire 1
    }
    test "Setting a value again drops the expiry, changing it does not" {
        r set k 1 ex 100
        r incr k
        r append k 0
        r setrange k 0 3
        r setbit k 0 0
        expect_range [r ttl k] 98 100
        r set k 1
        expect [r ttl k] -1
        r set k 1 ex 100
        r getset k 2
        expect [r ttl k] -1
    }
}
