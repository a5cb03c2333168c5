# SPDX-License-Identifier: BSD-3-Clause
# maxmemory: what each policy evicts, what is refused, and that the limit holds.

# Sets `count` keys of 1000 bytes below a limit of `room` bytes above what is used now, some at a
# time: what waits in a client's buffers counts as used memory, too.
proc fill {room count {extra {}} {at_once 50}} {
    # What the last test left is freed in the background: the limit is set when that is over.
    set before -1
    while {abs([info_field memory used_memory] - $before) > 20000} {
        set before [info_field memory used_memory]
        after 150
    }
    r config set maxmemory [expr {[info_field memory used_memory] + $room}]
    set value [string repeat v 1000]
    set replies {}
    for {set from 0} {$from < $count} {incr from $at_once} {
        set commands {}
        for {set i $from} {$i < min($count, $from + $at_once)} {incr i} {
            lappend commands [list set k:$i $value {*}$extra]
        }
        lappend replies {*}[r -pipeline $commands]
    }
    return $replies
}

proc reset_limit {} {
    r config set maxmemory 0 maxmemory-policy noeviction
    r config resetstat
}

start_server {} {
    test "noeviction refuses writes that need memory, and serves the rest" {
        reset_limit
        set replies [fill 2000000 4000]
        expect [lindex $replies 0] OK
        expect [lindex $replies end] "-OOM command not allowed when used memory > 'maxmemory'."
        expect [info_field stats evicted_keys] 0
        r config set maxmemory [expr {[info_field memory used_memory] - 500000}]
        foreach words {{set x v} {append k:1 x} {incr n} {setrange k:1 0 x} {mset a 1} {setbit b 1 1}
            {getset k:1 x} {setex e 10 v} {incrbyfloat f 1} {pfadd h x} {copy k:1 k:2 replace}
            {setnx z v}} {
            expect_error "OOM command not allowed when used memory > 'maxmemory'." { r {*}$words }
        }
        expect [string length [r get k:1]] 1000
        expect [r exists k:1] 1
        expect [r expire k:1 100] 1
        expect [r ping] PONG
        expect [r del k:1] 1
        for {set i 0} {$i < 1500} {incr i} {
            r del k:$i
        }
        wait_until {![catch { r set x v }]}
        reset_limit
    }
    # What the allocator keeps for its next blocks is not in use: it comes and goes by 100 kB.
    test "a limit that is close to what is used is kept, too" {
        reset_limit
        foreach round {1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20} {
            r config set maxmemory 0
            r flushall
            r config set maxmemory [expr {[info_field memory used_memory] + 100000}] \
                maxmemory-policy allkeys-lru
            set commands {}
            for {set i 0} {$i < 3000} {incr i} {
                lappend commands [list setex k:[random_below 100000] 10000 x]
                if {[llength $commands] == 50} {
                    expect [lsort -unique [r -pipeline $commands]] OK
                    set commands {}
                }
            }
        }
        reset_limit
    }
    foreach policy {allkeys-lru allkeys-lfu allkeys-random volatile-lru volatile-lfu volatile-random
        volatile-ttl} {
        test "$policy keeps below the limit and accepts every write" {
            reset_limit
            r config set maxmemory-policy $policy
            set replies [fill 3000000 8000 [expr {[string match volatile* $policy] ? {ex 1000} : {}}]]
            expect [lsort -unique $replies] OK
            expect_true {[info_field memory used_memory] <= [config_get maxmemory] + 300000}
            expect_range [r dbsize] 1000 5000
            expect [expr {[info_field stats evicted_keys] + [r dbsize]}] 8000
            reset_limit
        }
    }
    foreach policy {volatile-lru volatile-lfu volatile-random volatile-ttl} {
        test "$policy leaves keys without expiry alone" {
            reset_limit
            populate 500 stays: 1000
            r config set maxmemory-policy $policy
            set replies [fill 1500000 4000 {ex 1000}]
            expect [lsort -unique $replies] OK
            for {set i 0} {$i < 500} {incr i} {
                expect [r exists stays:$i] 1
            }
            reset_limit
            r flushall
            r config set maxmemory-policy $policy
            set replies [fill 1500000 4000]
            expect_match [lindex $replies end] "-OOM *"
            expect [info_field stats evicted_keys] 0
            reset_limit
        }
    }
    test "allkeys-lru keeps what is read" {
        reset_limit
        r config set maxmemory-policy allkeys-lru maxmemory-samples 10
        populate 1000 hot: 1000
        populate 1000 cold: 1000
        # The clock of LRU may have a resolution of a second.
        after 1100
        for {set i 0} {$i < 1000} {incr i} {
            r get hot:$i
        }
        fill 600000 1000
        set hot 0
        set cold 0
        for {set i 0} {$i < 1000} {incr i} {
            incr hot [r exists hot:$i]
            incr cold [r exists cold:$i]
        }
        expect_true {[info_field stats evicted_keys] >= 200}
        expect_true {$hot > $cold} "hot: $hot, cold: $cold"
        expect_true {$hot >= 900} "hot: $hot, cold: $cold"
        r config set maxmemory-samples 5
        reset_limit
    }
    test "allkeys-lfu keeps what is read often" {
        reset_limit
        r config set maxmemory-policy allkeys-lfu maxmemory-samples 10
        populate 500 often: 1000
        populate 1000 once: 1000
        for {set round 0} {$round < 30} {incr round} {
            set commands {}
            for {set i 0} {$i < 500} {incr i} {
                lappend commands [list get often:$i]
            }
            r -pipeline $commands
        }
        fill 500000 900
        set often 0
        for {set i 0} {$i < 500} {incr i} {
            incr often [r exists often:$i]
        }
        expect_true {[info_field stats evicted_keys] >= 200}
        expect_true {$often >= 470} "often: $often"
        r config set maxmemory-samples 5
        reset_limit
    }
    test "volatile-ttl evicts what ends soonest" {
        reset_limit
        r config set maxmemory-policy volatile-ttl maxmemory-samples 10
        set value [string repeat v 1000]
        set commands {}
        for {set i 0} {$i < 1000} {incr i} {
            lappend commands [list set soon:$i $value ex [expr {1000 + $i}]]
            lappend commands [list set late:$i $value ex [expr {1000000 + $i}]]
        }
        r -pipeline $commands
        fill 400000 800 {ex 2000000}
        set late 0
        for {set i 0} {$i < 1000} {incr i} {
            incr late [r exists late:$i]
        }
        expect_true {[info_field stats evicted_keys] >= 200}
        expect_true {$late >= 950} "late: $late"
        r config set maxmemory-samples 5
        reset_limit
    }
    test "a deep pipeline does not evict much more than single commands do" {
        reset_limit
        r config set maxmemory-policy allkeys-random
        set replies [fill 8000000 16000 {} 16000]
        expect [lsort -unique $replies] OK
        expect_range [r dbsize] 4000 10000
        reset_limit
    }
    test "lowering maxmemory evicts at once or soon" {
        reset_limit
        populate 5000 k: 1000
        set used [info_field memory used_memory]
        r config set maxmemory-policy allkeys-random
        r config set maxmemory [expr {$used - 3000000}]
        wait_until {[catch { r set x v }] == 0 &&
            [info_field memory used_memory] <= $used - 2700000}
        expect_true {[r dbsize] < 3000}
        reset_limit
    }
    test "eviction reaches every database" {
        reset_limit
        r select 7
        populate 2000 k: 1000
        r select 0
        r config set maxmemory-policy allkeys-lru
        set replies [fill 300000 1500]
        expect [lsort -unique $replies] OK
        r select 7
        expect_true {[r dbsize] < 2000}
        reset_limit
    }
    test "OBJECT FREQ and IDLETIME follow the policy" {
        reset_limit
        r set k v
        expect [r object idletime k] 0
        expect_error "ERR An LFU maxmemory policy is not selected*" { r object freq k }
        r config set maxmemory-policy allkeys-lfu
        r del k
        r set k v
        expect_range [r object freq k] 1 10
        expect_error "ERR An LFU maxmemory policy is selected*" { r object idletime k }
        for {set i 0} {$i < 2000} {incr i} {
            r get k
        }
        expect_true {[r object freq k] > 10}
        reset_limit
    }
    if {[server_is_starling]} {
        test "a key that nobody uses for weeks does not look fresh" {
            reset_limit
            r set idle v
            # The clock of accesses comes round after six days; a walk that passes all keys before
            # that gives old ones another.
            foreach days {2 5 11} {
                r debug clock-offset [expr {$days * 86400000}]
                after 2500
                set seconds [expr {$days * 86400}]
                expect_range [r object idletime idle] [expr {$seconds - 20}] [expr {$seconds + 60}]
            }
            r get idle
            expect_range [r object idletime idle] 0 1
            r debug clock-offset 0
        }
    }
    test "one value above the limit: the server evicts it and goes on" {
        reset_limit
        r config set maxmemory-policy allkeys-lru
        r config set maxmemory [expr {[info_field memory used_memory] + 1000000}]
        # Redis refuses it when the request itself is above the limit.
        catch { r set big [string repeat v 3000000] }
        wait_until {![catch { r set k v }]}
        wait_until {[info_field memory used_memory] <= [config_get maxmemory]}
        expect [r exists big] 0
        reset_limit
    }
    # Clients that ask for much and read nothing, until one is evicted: they take more than there is
    # room for, but never together.
    test "maxmemory-clients: clients go before keys do, the largest first" {
        reset_limit
        r config set maxmemory-policy allkeys-lru
        r client no-evict on
        for {set i 0} {$i < 20} {incr i} {
            r setrange k:$i 200000 x
        }
        r config set maxmemory [expr {[info_field memory used_memory] + 6000000}] \
            maxmemory-clients 3mb
        set small [connect]
        $small set x y
        set clients [lmap i {1 2 3 4 5 6 7 8} { connect }]
        foreach round {1 2 3 4 5 6 7 8 9 10} {
            foreach c $clients {
                catch { $c -raw [string repeat "GET k:0\r\n" 5] }
            }
        }
        wait_until {[info_field stats evicted_clients] >= 7}
        expect [info_field stats evicted_keys] 0
        expect [r dbsize] 21
        expect [$small get x] y
        r config set maxmemory-clients 0
        r client no-evict off
        reset_limit
    }
}
