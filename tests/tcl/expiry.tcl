# SPDX-License-Identifier: BSD-3-Clause
# Keys whose time has come: no command sees them, and their memory comes back without one.
# The EXPIRE family itself is in cmd_expire.tcl.

start_server {} {
    test "an expired key is gone for every command, though nobody has removed it yet" {
        r debug set-active-expire 0
        foreach {words wire} {
            {get k} "\$-1\r\n"   {exists k} ":0\r\n"   {ttl k} ":-2\r\n"   {type k} "+none\r\n"
            {strlen k} ":0\r\n"   {getrange k 0 -1} "\$0\r\n\r\n"   {del k} ":0\r\n"
            {unlink k} ":0\r\n"   {expire k 10} ":0\r\n"   {persist k} ":0\r\n"   {touch k} ":0\r\n"
            {incr k} ":1\r\n"   {append k x} ":1\r\n"   {setnx k x} ":1\r\n"   {getset k x} "\$-1\r\n"
            {getdel k} "\$-1\r\n"   {getex k} "\$-1\r\n"   {set k v get} "\$-1\r\n"
            {set k v xx} "\$-1\r\n"   {set k v nx} "+OK\r\n"   {mget k} "*1\r\n\$-1\r\n"
            {rename k l} "-ERR no such key\r\n"   {copy k l} ":0\r\n"   {dump k} "\$-1\r\n"
            {object encoding k} "\$-1\r\n"   {getbit k 1} ":0\r\n"   {bitcount k} ":0\r\n"
            {setrange k 1 x} ":2\r\n"   {randomkey} "\$-1\r\n"   {keys *} "*0\r\n"
            {pfcount k} ":0\r\n"   {incrbyfloat k 1.5} "\$3\r\n1.5\r\n"   {msetnx k x} ":1\r\n"
            {move k 1} ":0\r\n"   {scan 0 count 100} "*2\r\n\$1\r\n0\r\n*0\r\n"
        } {
            r flushall
            r set k 12345 px 1
            after 3
            expect [list $words [r -wire {*}$words]] [list $words $wire]
        }
        r debug set-active-expire 1
    }
    test "a write after the expiry begins afresh, without the old expiry" {
        r debug set-active-expire 0
        foreach words {{incr k} {append k x} {setrange k 0 x} {setbit k 1 1} {set k v keepttl}
            {incrbyfloat k 1} {pfadd k a}} {
            r flushall
            r set k 5 px 1
            after 3
            r {*}$words
            expect [list $words [r ttl k]] [list $words -1]
        }
        r debug set-active-expire 1
    }
    test "keys that nobody asks for are removed in the background" {
        set commands {}
        for {set i 0} {$i < 5000} {incr i} {
            lappend commands [list set k:$i v px [expr {1 + $i % 300}]]
        }
        for {set i 0} {$i < 100} {incr i} {
            lappend commands [list set stays:$i v] [list set late:$i v ex 1000]
        }
        r -pipeline $commands
        set before [info_field stats expired_keys]
        wait_until {[r dbsize] == 200} 15
        expect_true {[info_field stats expired_keys] >= $before}
        expect_match [info_field keyspace db0] "keys=200,expires=100,*"
    }
    test "background removal works in every database" {
        foreach db {0 3 15} {
            r select $db
            for {set i 0} {$i < 300} {incr i} {
                r set k:$i v px 20
            }
        }
        wait_until {[r info keyspace] eq "# Keyspace\r\n"} 15
    }
    test "expired_keys counts each key once" {
        r config resetstat
        r set a v px 1
        r set b v px 1
        wait_until {[r dbsize] == 0}
        r get a
        r get b
        expect [info_field stats expired_keys] 2
    }
    test "memory of expired keys comes back" {
        set before [info_field memory used_memory]
        set commands {}
        set value [string repeat v 500]
        for {set i 0} {$i < 10000} {incr i} {
            lappend commands [list set k:$i $value px 300]
        }
        r -pipeline $commands
        wait_until {[r dbsize] == 0} 20
        wait_until {[info_field memory used_memory] < $before + 2000000} 10
    }
    test "avg_ttl is near the truth" {
        populate 100
        for {set i 0} {$i < 100} {incr i} {
            r expire key:$i 1000
        }
        wait_until {[regexp {avg_ttl=(\d+)} [info_field keyspace db0] all ttl] && $ttl > 0} 15
        expect_range $ttl 900000 1000000
    }
    test "a transaction sees one time" {
        r debug set-active-expire 0
        r set k v px 60
        r multi
        r exists k
        r debug sleep 0.1
        r exists k
        r get k
        set replies [r exec]
        if {[lindex $replies 0] == 1} {
            expect [lrange $replies 2 3] {1 v}
        }
        expect [r exists k] 0
        r debug set-active-expire 1
    }
    test "the expiry is on time to some milliseconds" {
        r set k v px 200
        set start_ms [clock milliseconds]
        while {[r exists k]} {
        }
        expect_range [expr {[clock milliseconds] - $start_ms}] 195 [expr {260 * [patience]}]
    }
    test "expiry over a restart" {
        r set short v px 300
        r set long v ex 1000
        r set plain v
        r save
        restart_server
        expect_range [r ttl long] 900 1000
        expect [r ttl plain] -1
        wait_until {[r exists short] == 0}
        expect [r mget long plain] {v v}
    }
    test "what expired while the server was down is gone" {
        r set short v px 50
        r save
        stop_server
        after 100
        start_again
        expect [r exists short] 0
        wait_until {[r dbsize] == 0}
    }
}
