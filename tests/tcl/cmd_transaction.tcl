# SPDX-License-Identifier: BSD-3-Clause
# MULTI, EXEC, DISCARD, WATCH, UNWATCH: what is queued, what stops a transaction, what a watch sees.

start_server {} {
    test "MULTI queues and EXEC runs" {
        expect [r multi] OK
        expect [r set k 1] QUEUED
        expect [r incr k] QUEUED
        expect [r get k] QUEUED
        set other [connect]
        expect [$other exists k] 0
        expect [r exec] {OK 2 2}
        expect [$other get k] 2
    }
    test "the bytes of a transaction" {
        r -raw "MULTI\r\nPING\r\nGET none\r\nMGET a b\r\nINCR n\r\nEXEC\r\n"
        expect [r -wire] "+OK\r\n"
        foreach i {1 2 3 4} {
            expect [r -wire] "+QUEUED\r\n"
        }
        expect [r -wire] "*4\r\n+PONG\r\n\$-1\r\n*2\r\n\$-1\r\n\$-1\r\n:1\r\n"
    }
    test "an empty transaction" {
        r multi
        expect [r -wire exec] "*0\r\n"
    }
    test "DISCARD" {
        r set k old
        r multi
        r set k new
        expect [r discard] OK
        expect [r get k] old
        expect_error "ERR EXEC without MULTI" { r exec }
    }
    test "EXEC, DISCARD without MULTI; MULTI and WATCH inside" {
        expect_error "ERR EXEC without MULTI" { r exec }
        expect_error "ERR DISCARD without MULTI" { r discard }
        r multi
        expect_error "ERR MULTI calls can not be nested" { r multi }
        expect_error "ERR WATCH inside MULTI is not allowed" { r watch k }
        r set k 1
        expect [r exec] OK
    }
    test "an error while queueing aborts" {
        foreach command {{nosuchcommand} {set k} {get}} {
            r multi
            r set k 1
            expect_error "ERR *" { r {*}$command }
            expect [r ping] QUEUED
            expect_error "EXECABORT Transaction discarded because of previous errors." { r exec }
            expect [r exists k] 0
            expect [r ping] PONG
        }
    }
    test "an error while running does not stop the rest" {
        r set k text
        r multi
        r set a 1
        r incr k
        r set b 2
        r set c 3 ex 0
        set replies [r exec]
        expect [lindex $replies 0] OK
        expect [lindex $replies 1] "-ERR value is not an integer or out of range"
        expect [lindex $replies 2] OK
        expect [lindex $replies 3] "-ERR invalid expire time in 'set' command"
        expect [r mget a b] {1 2}
    }
    test "EXEC, MULTI, DISCARD, UNWATCH take no arguments" {
        expect_error "EXECABORT Transaction discarded because of: wrong number of arguments for\
            'exec' command" { r exec x }
        foreach command {multi discard unwatch} {
            expect_error "ERR wrong number of arguments for '$command' command" { r $command x }
        }
        expect_error "ERR wrong number of arguments for 'watch' command" { r watch }
    }
    test "a transaction of 20000 commands" {
        set commands {multi}
        set expected {OK}
        for {set i 0} {$i < 20000} {incr i} {
            lappend commands [list incr k]
            lappend expected QUEUED
        }
        expect [r -pipeline $commands] $expected
        set replies [r exec]
        expect [llength $replies] 20000
        expect [lindex $replies end] 20000
    }
    test "SELECT inside a transaction" {
        r multi
        r set k 0
        r select 5
        r set k 5
        expect [r exec] {OK OK OK}
        expect [r get k] 5
        r select 0
        expect [r get k] 0
    }
    test "the transaction of a client that leaves is forgotten" {
        set c [connect]
        $c multi
        $c set k 1
        $c -close
        r ping
        expect [r exists k] 0
    }
    test "RESET inside a transaction" {
        r watch k
        r multi
        r set k 1
        expect [r reset] RESET
        expect_error "ERR EXEC without MULTI" { r exec }
        expect [r exists k] 0
    }
    test "LATENCY RESET and SLOWLOG RESET inside a transaction are queued like others" {
        r multi
        expect [r latency reset] QUEUED
        expect [r slowlog reset] QUEUED
        expect [r exec] {0 OK}
    }
    test "QUIT inside a transaction" {
        set c [connect]
        $c multi
        $c set k 1
        $c quit
        expect [$c -eof] 1
        expect [r exists k] 0
    }
    test "large values in a transaction" {
        set value [string repeat v 1500000]
        r multi
        r set k $value
        r append k w
        r strlen k
        expect [r exec] {OK 1500001 1500001}
    }
    test "EXEC in RESP3" {
        r hello 3
        r multi
        r get none
        r mget none none
        expect [r -wire exec] "*2\r\n_\r\n*2\r\n_\r\n_\r\n"
        r watch k
        set c [connect]
        $c set k 1
        r multi
        expect [r -wire exec] "_\r\n"
    }
}

# ---- WATCH ----

# Does a transaction of `r` that watches `keys` run, when `body` (with the other client `o`)
# comes in between?
proc survives {keys body} {
    upvar 1 o o
    set o [connect]
    r watch {*}$keys
    uplevel 1 $body
    r multi
    r ping
    set wire [r -wire exec]
    $o -close
    if {$wire eq "*-1\r\n"} {
        return no
    }
    expect $wire "*1\r\n+PONG\r\n"
    return yes
}

start_server {} {
    test "WATCH: a write to a watched key stops the transaction" {
        r set k 1
        foreach command {
            {set k 1} {append k x} {setrange k 0 y} {del k} {set k 1} {incr k} {expire k 100}
            {persist k} {rename k other} {set k 1} {getdel k} {mset a 1 k 2} {setbit k 100 1}
            {getex k ex 100} {getset k 2} {unlink k} {copy other k} {flushdb} {pfadd hll x} {set k 1}
            {flushall} {set k 2 ex 100} {expireat k 1}
        } {
            set keys [expr {[lindex $command 0] eq "pfadd" ? "hll" : "k"}]
            expect [list $command [survives $keys { $o {*}$command }]] [list $command no]
        }
    }
    test "WATCH: what changes nothing leaves it alone" {
        r set k 1
        foreach command {
            {get k} {ping} {set other 1} {setnx k 2} {set k 3 nx} {del absent} {exists k} {ttl k}
            {persist k} {touch k} {strlen k} {getex k} {setrange k 0 ""} {expire absent 10}
            {msetnx k 1 l 2} {randomkey} {dbsize} {keys *} {scan 0} {object encoding k} {dump k}
        } {
            expect [list $command [survives k { $o {*}$command }]] [list $command yes]
        }
    }
    test "WATCH: a stream changes with its entries, not with who reads it" {
        foreach {command wanted} {
            {xgroup create s g 0 mkstream} no   {xadd s 1-1 f v} no   {xadd s 2-1 f v} no
            {xgroup create s h 0} yes   {xreadgroup group g c streams s >} yes
            {xreadgroup group g c streams s 0} yes   {xclaim s g d 0 1-1} yes
            {xautoclaim s g e 0 0} yes   {xack s g 1-1} yes   {xgroup setid s g 0} yes
            {xgroup createconsumer s g f} yes   {xgroup delconsumer s g f} yes
            {xgroup destroy s h} yes   {xdel s 1-1} no   {xtrim s maxlen 0} no   {del s} no
        } {
            expect [list $command [survives s { $o {*}$command }]] [list $command $wanted]
        }
    }
    test "WATCH: one of many keys is enough" {
        expect [survives {a b c d} { $o set c 1 }] no
        expect [survives {a b c d} { $o set e 1 }] yes
        expect [survives {a a a} { $o set a 1 }] no
    }
    test "WATCH: the same client's own write counts" {
        expect [survives k { r set k 2 }] no
    }
    test "WATCH: the key of another database is another key" {
        expect [survives k { $o select 3; $o set k 1 }] yes
        expect [survives k { $o select 3; $o set k 2; $o select 0; $o set k 1 }] no
    }
    test "WATCH: SWAPDB and FLUSHALL" {
        r set k 1
        expect [survives k { $o swapdb 0 1 }] no
        r flushall
        expect [survives k { $o flushall }] yes
        expect [survives k { $o swapdb 0 1 }] yes
        expect [survives k { $o select 1; $o set k 1; $o swapdb 0 1 }] no
        r flushall
        r set k 1
        expect [survives k { $o flushdb async }] no
        r set k 1
        expect [survives k { $o select 1; $o flushdb }] yes
    }
    test "WATCH: ends with EXEC, DISCARD, UNWATCH and RESET" {
        set o [connect]
        r watch k
        r multi
        r exec
        $o set k 1
        r multi
        r ping
        expect [r exec] PONG
        r watch k
        r multi
        r discard
        $o set k 2
        r multi
        r ping
        expect [r exec] PONG
        r watch k
        $o set k 3
        expect [r unwatch] OK
        r multi
        r ping
        expect [r exec] PONG
        r watch k
        $o set k 4
        r reset
        r multi
        r ping
        expect [r exec] PONG
    }
    test "WATCH: UNWATCH inside a transaction is queued" {
        set o [connect]
        r watch k
        $o set k 1
        r multi
        expect [r unwatch] QUEUED
        expect [r -wire exec] "*-1\r\n"
    }
    test "WATCH: a key that expires meanwhile" {
        r set k 1 px 1
        after 5
        # Already gone when it is watched: its removal is no change.
        expect [survives k { $o get k }] yes
        r set k 1 px 200
        expect [survives k { wait_until {[$o exists k] == 0} }] no
    }
    test "WATCH: several clients race for one counter" {
        r set k 0
        set clients {}
        for {set i 0} {$i < 5} {incr i} {
            lappend clients [connect]
        }
        set done 0
        for {set round 0} {$round < 40} {incr round} {
            foreach c $clients {
                $c watch k
            }
            set value [r get k]
            set winners 0
            foreach c $clients {
                $c multi
                $c set k [expr {$value + 1}]
                $c exec
                if {[$c -type] ne "nil"} {
                    incr winners
                }
            }
            expect $winners 1
        }
        expect [r get k] 40
    }
    test "WATCH: a dirty watch does not outlive its EXEC" {
        set o [connect]
        r watch k
        $o set k 1
        r multi
        r set k 2
        expect [r -wire exec] "*-1\r\n"
        expect [r get k] 1
        r multi
        r set k 3
        expect [r exec] OK
    }
    test "the time that DEBUG SLEEP takes passes behind a transaction, not in it" {
        expect [r -pipeline {{multi} {set k v px 20} {debug sleep 0.05} {get k} {exec} {get k}
            {set k v px 20} {get k} {debug sleep 0.05} {get k}}] \
            {OK QUEUED QUEUED QUEUED {OK OK v} {} OK v OK {}}
    }
    test "WATCH: an error while queueing wins over a changed key" {
        set o [connect]
        r watch k
        $o set k 1
        r multi
        expect_error "ERR *" { r nosuchcommand }
        expect_error "EXECABORT*" { r exec }
    }
}

start_server {maxmemory-policy noeviction} {
    test "out of memory while queueing aborts" {
        r set k 1
        with_config {maxmemory 1} {
            r multi
            expect_error "OOM command not allowed when used memory > 'maxmemory'." { r set k 2 }
            expect_error "EXECABORT*" { r exec }
            expect [r get k] 1
            # Even a read takes memory when it is queued.
            r multi
            expect_error "OOM *" { r get k }
            expect [r discard] OK
            r multi
            expect [r -wire exec] "*0\r\n"
            expect [r del k] 1
        }
    }
}
