# SPDX-License-Identifier: BSD-3-Clause
# Blocking commands: BLPOP, BRPOP, BLMOVE, BRPOPLPUSH, BLMPOP, BZPOPMIN, BZPOPMAX, BZMPOP. What wakes a
# client, in which order, what does not, and what else it meets while it waits. A client that is to
# wait is a client of its own; `blocks` returns it once the server says that it is blocked.

proc blocked_clients {} {
    return [info_field clients blocked_clients]
}

# A new client that is blocked by the command.
proc blocks {args} {
    set before [blocked_clients]
    set c [connect]
    $c -send {*}$args
    wait_until { [blocked_clients] == $before + 1 }
    return $c
}

# The same on a client that is there.
proc block_on {c args} {
    set before [blocked_clients]
    $c -send {*}$args
    wait_until { [blocked_clients] == $before + 1 }
}

proc id_of {c} {
    foreach line [split [r client list] "\n"] {
        if {[string first " addr=[$c -address] " " $line"] >= 0} {
            regexp {^id=(\d+)} $line -> id
            return $id
        }
    }
}

proc client_line {c} {
    foreach line [split [r client list] "\n"] {
        if {[string first " addr=[$c -address] " " $line"] >= 0} { return $line }
    }
}

# What a command makes of a key that has nothing, as {command} with %k for the key and %t for the
# timeout; how a list or sorted set at the key is filled; the reply.
set ALL {
    {blpop %k %t}                 {rpush %k x}      {%k x}
    {brpop %k %t}                 {rpush %k x}      {%k x}
    {blmove %k other left right %t} {rpush %k x}    x
    {brpoplpush %k other %t}      {rpush %k x}      x
    {blmpop %t 1 %k left}         {rpush %k x}      {%k x}
    {bzpopmin %k %t}              {zadd %k 1.5 x}   {%k x 1.5}
    {bzpopmax %k %t}              {zadd %k 1.5 x}   {%k x 1.5}
    {bzmpop %t 1 %k max}          {zadd %k 1.5 x}   {%k {{x 1.5}}}
}

start_server {} {
    test "With something there, none of them blocks" {
        foreach {command fill reply} $ALL {
            r del k other
            r {*}[string map {%k k} $fill]
            expect [r {*}[string map {%k k %t 0} $command]] [string map {%k k} $reply]
            expect [r exists k] 0
        }
        r rpush l a b c d e
        expect [r blpop none l 0] {l a}
        expect [r brpop none l 0] {l e}
        expect [r blmove l m right left 0] d
        expect [r brpoplpush l m 0] c
        expect [r lrange m 0 -1] {c d}
        expect [r blmpop 0 2 none m right count 5] {m {d c}}
        r zadd z 1 a 2 b 3 c 4 d
        expect [r bzpopmin none z 0] {z a 1}
        expect [r bzpopmax none z 0] {z d 4}
        expect [r bzmpop 0 2 none z min count 9] {z {{b 2} {c 3}}}
    }
    test "Each waits, and is woken" {
        foreach {command fill reply} $ALL {
            r del k other
            set c [blocks {*}[string map {%k k %t 0} $command]]
            r {*}[string map {%k k} $fill]
            expect [$c -receive] [string map {%k k} $reply]
            expect [r exists k] 0
            expect [blocked_clients] 0
            # The client goes on as any other.
            expect [$c ping] PONG
        }
    }
    test "A timeout gives null, and not before its time" {
        foreach protocol {2 3} null {"*-1\r\n" "_\r\n"} {
            set c [connect -protocol $protocol]
            foreach {command fill reply} $ALL {
                foreach timeout {0.05 .02 5e-2} {
                    set began [clock microseconds]
                    expect [$c -wire {*}[string map [list %k k %t $timeout] $command]] $null
                    expect_range [expr {[clock microseconds] - $began}] \
                        [expr {int($timeout * 1e6)}] 4000000
                }
            }
        }
        # Timeouts are rounded up, so this one is a millisecond.
        expect_nil blpop k 0.00001
        expect [blocked_clients] 0
        expect [r exists k] 0
    }
    test "Replies in RESP3" {
        set c [connect -protocol 3]
        r zadd z 1.5 a 2 b
        expect [$c -wire bzpopmin z 0] "*3\r\n\$1\r\nz\r\n\$1\r\na\r\n,1.5\r\n"
        expect [$c -wire bzmpop 0 1 z min] "*2\r\n\$1\r\nz\r\n*1\r\n*2\r\n\$1\r\nb\r\n,2\r\n"
        block_on $c bzpopmax z 0
        r zadd z 3.25 c
        expect [$c -wire] "*3\r\n\$1\r\nz\r\n\$1\r\nc\r\n,3.25\r\n"
    }
    starling_test "Timeouts that are none" {
        foreach {command fill reply} $ALL {
            foreach {timeout error} {
                x       "ERR timeout is not a float or out of range"
                ""      "ERR timeout is not a float or out of range"
                1s      "ERR timeout is not a float or out of range"
                nan     "ERR timeout is not a float or out of range"
                -1      "ERR timeout is negative"
                -0.002  "ERR timeout is negative"
                -inf    "ERR timeout is negative"
                inf     "ERR timeout is out of range"
                1e30    "ERR timeout is out of range"
                9223372036854775    "ERR timeout is out of range"
                0x7FFFFFFFFFFFFFFF  "ERR timeout is out of range"
            } {
                expect_error $error { r {*}[string map [list %k k %t [list $timeout]] $command] }
            }
        }
        # As long as there is time.
        set c [blocks blpop k 9000000000000]
        r rpush k x
        expect [$c -receive] {k x}
    }
    test "Arguments" {
        foreach command {blpop brpop blmove brpoplpush blmpop bzpopmin bzpopmax bzmpop} {
            expect_error "ERR wrong number of arguments for '$command' command" { r $command k }
        }
        foreach {command word} {blmpop left bzmpop min} {
            foreach numkeys {0 -1 x 1.5 ""} {
                expect_error "ERR numkeys should be greater than 0" { r $command 1 $numkeys k $word }
            }
            foreach count {0 -1 x} {
                expect_error "ERR count should be greater than 0" {
                    r $command 1 1 k $word count $count
                }
            }
            foreach rest {{2 k left} {1 k up} {1 k left count} {1 k min count 1 count 1} {1 k left x 1}
                {9223372036854775807 k left}} {
                expect_error "ERR syntax error" { r $command 1 {*}$rest }
            }
            # Of several errors that of the timeout comes last.
            expect_error "ERR numkeys*" { r $command x 0 k up }
            expect_error "ERR syntax error" { r $command x 1 k up }
            expect_error "ERR timeout*" { r $command x 1 k $word }
        }
        expect_error "ERR syntax error" { r blmove a b up left 0 }
        expect_error "ERR syntax error" { r blmove a b left up x }
    }
    test "A key of another type: an error at once" {
        r set s x
        r rpush l a
        r zadd z 1 a
        foreach command {{blpop s l 0} {brpop none s l 0} {blmove s l left left 0} {brpoplpush s l 0}
            {blmpop 0 2 s l left} {bzpopmin s z 0} {bzpopmax none s z 0} {bzmpop 0 2 s z min}
            {blpop z 0} {bzpopmin l 0} {blmove l s left left 0}} {
            expect_error "WRONGTYPE*" { r {*}$command }
        }
        # A key before it that has something is all that is looked at.
        expect [r blpop l s 0] {l a}
    }
    test "A key of another type that comes meanwhile does not disturb" {
        set c [blocks blpop k 0]
        set z [blocks bzpopmin k 0]
        r set k x
        r set k y
        r del k
        r sadd k x
        expect [blocked_clients] 2
        r del k
        r zadd k 1 a
        expect [$z -receive] {k a 1}
        expect [blocked_clients] 1
        r rpush k b
        expect [$c -receive] {k b}
    }
    test "The first key that has something, then the first that gets it" {
        r rpush l2 a
        r rpush l3 b
        expect [r blpop l1 l2 l3 0] {l2 a}
        r del l3
        foreach first {l1 l2 l3} {
            set c [blocks blpop l1 l2 l3 0]
            r rpush $first x
            expect [$c -receive] [list $first x]
        }
    }
    test "The same key more than once" {
        set c [blocks blpop l m l l m 0]
        r rpush l a b
        expect [$c -receive] {l a}
        expect [r lrange l 0 -1] b
        set c [blocks bzpopmin z z 0]
        r zadd z 1 a 2 b
        expect [$c -receive] {z a 1}
        expect [r zcard z] 1
    }
    test "Clients are served in the order in which they blocked" {
        set clients {}
        for {set i 0} {$i < 6} {incr i} {
            lappend clients [blocks [pick {blpop brpop}] k 0]
        }
        # One command that fills for three, then one each.
        r rpush k a b c
        for {set i 0} {$i < 3} {incr i} {
            expect_match [[lindex $clients $i] -receive] "k *"
        }
        expect [blocked_clients] 3
        for {set i 3} {$i < 6} {incr i} {
            r rpush k $i
            expect [[lindex $clients $i] -receive] "k $i"
        }
        expect [r exists k] 0
    }
    test "Who blocks again comes behind the others" {
        set a [blocks blpop k 0]
        set b [blocks blpop k 0]
        r rpush k 1
        expect [$a -receive] {k 1}
        block_on $a blpop k 0
        r rpush k 2
        expect [$b -receive] {k 2}
        r rpush k 3
        expect [$a -receive] {k 3}
    }
    test "Who cannot be served keeps its place" {
        set z [blocks bzpopmin k 0]
        set a [blocks blpop k 0]
        set b [blocks blpop k 0]
        r rpush k 1
        expect [$a -receive] {k 1}
        block_on $a bzpopmin k 0
        r zadd k 1 x
        expect [$z -receive] {k x 1}
        r zadd k 2 y
        expect [$a -receive] {k y 2}
        r rpush k 2
        expect [$b -receive] {k 2}
    }
    test "Pushes of many elements, by LPUSH and RPUSH" {
        set c [blocks blpop k 0]
        expect [r lpush k a b] 2
        expect [$c -receive] {k b}
        expect [r lrange k 0 -1] a
        r del k
        set c [blocks brpop k 0]
        expect [r lpush k a b c] 3
        expect [$c -receive] {k a}
        expect [r lrange k 0 -1] {c b}
        r del k
        set a [blocks blmpop 0 1 k left count 2]
        set b [blocks blmpop 0 1 k right count 10]
        r rpush k 1 2 3 4 5
        expect [$a -receive] {k {1 2}}
        expect [$b -receive] {k {5 4 3}}
        expect [r exists k] 0
    }
    test "BLMOVE: a chain of clients" {
        set c [blocks blpop end 0]
        set b [blocks blmove middle end left right 0]
        set a [blocks brpoplpush start middle 0]
        r rpush start x
        expect [$a -receive] x
        expect [$b -receive] x
        expect [$c -receive] {end x}
        expect [r dbsize] 0
    }
    test "BLMOVE: a circle, and one list" {
        set a [blocks blmove x y left right 0]
        set b [blocks blmove y x left right 0]
        r rpush x 1
        expect [$a -receive] 1
        expect [$b -receive] 1
        expect [r lrange x 0 -1] 1
        expect [r exists y] 0
        r del x
        set a [blocks blmove x x left right 0]
        set b [blocks brpoplpush x x 0]
        set c [blocks blpop x 0]
        r rpush x 1 2
        expect [$a -receive] 1
        expect [$b -receive] 1
        expect [$c -receive] {x 1}
        expect [r lrange x 0 -1] 2
    }
    test "BLMOVE to a key that is no list" {
        set c [blocks blmove a b left left 0]
        set d [blocks blpop a 0]
        r set b x
        r rpush a 1
        expect_error "WRONGTYPE*" { $c -receive }
        # The element is still there, and is for the next one.
        expect [$d -receive] {a 1}
        expect [r get b] x
    }
    test "Every way in which a list or sorted set can come into being" {
        r rpush src a
        r zadd zsrc 1 a
        set dump [r dump src]
        set zdump [r dump zsrc]
        foreach {script reply} {
            {r rpush k a}                       {k a}
            {r lpush k a}                       {k a}
            {r rpush t a; r rename t k}         {k a}
            {r rpush t a; r renamenx t k}       {k a}
            {r copy src k}                      {k a}
            {r set k s; r copy src k replace}   {k a}
            {r restore k 0 $dump}               {k a}
            {r sort src alpha store k}          {k a}
            {r lmove src k left left; r rpush src a} {k a}
            {r rpoplpush src k; r rpush src a}  {k a}
            {r select 5; r rpush k a; r move k 9; r select 9} {k a}
            {r select 5; r rpush k a; r swapdb 5 9; r select 9} {k a}
            {r multi; r rpush k a; r exec}      {k a}
        } {
            r flushall
            r select 9
            r rpush src a
            set c [connect]
            $c select 9
            block_on $c blpop k 0
            eval $script
            expect [$c -receive] $reply
        }
        foreach {script reply} {
            {r zadd k 1 a}                          {k a 1}
            {r zincrby k 1 a}                       {k a 1}
            {r rename zsrc k}                       {k a 1}
            {r copy zsrc k}                         {k a 1}
            {r restore k 0 $zdump}                  {k a 1}
            {r zunionstore k 1 zsrc}                {k a 1}
            {r zrangestore k zsrc 0 -1}             {k a 1}
            {r geoadd k 0 0 a}                      {k a 3377699720527872}
        } {
            r flushall
            r zadd zsrc 1 a
            set c [connect]
            $c select 9
            block_on $c bzpopmax k 0
            eval $script
            expect [$c -receive] $reply
        }
        r select 0
    }
    test "A transaction is seen at its end" {
        set c [blocks blpop k 0]
        r multi
        r rpush k a
        r del k
        r exec
        r multi
        r rpush k a
        r del k
        r set k x
        r exec
        expect [blocked_clients] 1
        r multi
        r del k
        r rpush k a b
        r lpop k
        r exec
        expect [$c -receive] {k b}
        # Of several keys the one written first.
        set c [blocks blpop k1 k2 0]
        r multi
        r lpush k2 x
        r lpush k1 y
        r exec
        expect [$c -receive] {k2 x}
        expect [r exists k1] 1
    }
    test "In a transaction nobody blocks" {
        r multi
        r blpop k 0
        r brpop k 0
        r blmove k l left left 0
        r brpoplpush k l 0
        r blmpop 0 1 k left
        r bzpopmin k 0
        r bzpopmax k 0
        r bzmpop 0 1 k min
        expect [r -wire exec] "*8\r\n*-1\r\n*-1\r\n\$-1\r\n\$-1\r\n*-1\r\n*-1\r\n*-1\r\n*-1\r\n"
        r rpush k a b
        r multi
        r blpop k 0
        r blpop k 0
        r blpop k 0
        expect [r exec] {{k a} {k b} {}}
    }
    test "WATCH sees what a served client does" {
        r watch dst
        set c [blocks brpoplpush src dst 0]
        set other [connect]
        $other rpush src x
        expect [$c -receive] x
        r multi
        r ping
        expect [r -wire exec] "*-1\r\n"
        # Not while it waits.
        r del dst
        r watch dst
        set c [blocks brpoplpush src dst 0]
        r multi
        r ping
        expect [r exec] PONG
    }
    test "What a client sent behind its blocking command is executed after it" {
        set c [connect]
        $c -send blpop k 0
        $c -send llen k
        $c -send rpush other done
        $c -send ping
        wait_until { [blocked_clients] == 1 }
        expect [r exists other] 0
        r rpush k a b
        expect [$c -receive] {k a}
        expect [$c -receive] 1
        expect [$c -receive] 1
        expect [$c -receive] PONG
        # All in one piece, also where it blocks again.
        set c [connect]
        set before [blocked_clients]
        $c -raw "blpop q 0\r\nblpop q 0\r\nreset\r\n"
        wait_until { [blocked_clients] == $before + 1 }
        r rpush q 1
        expect [$c -receive] {q 1}
        r rpush q 2
        expect [$c -receive] {q 2}
        expect [$c -receive] RESET
        # And where both come in one turn.
        set c [connect]
        expect [$c -pipeline {{rpush p 1} {blpop p 0} {rpush p 2 3} {brpop p 0} {lrange p 0 -1}}] \
            {1 {p 1} 2 {p 3} 2}
    }
    test "CLIENT UNBLOCK" {
        foreach {command fill reply} $ALL {
            set c [blocks {*}[string map {%k k %t 0} $command]]
            expect [r client unblock [id_of $c]] 1
            expect [$c -wire] "*-1\r\n"
            block_on $c {*}[string map {%k k %t 100} $command]
            expect [r client unblock [id_of $c] timeout] 1
            expect [$c -wire] "*-1\r\n"
            block_on $c {*}[string map {%k k %t 0} $command]
            expect [r client unblock [id_of $c] error] 1
            expect_error "UNBLOCKED client unblocked via CLIENT UNBLOCK" { $c -receive }
            expect [r client unblock [id_of $c]] 0
            # It is in no queue any more.
            r {*}[string map {%k k} $fill]
            expect [r exists k] 1
            r del k
            expect [$c ping] PONG
        }
    }
    test "CLIENT LIST, INFO" {
        set c [blocks blpop a b a 0]
        set d [blocks bzpopmin b c 100]
        expect_match [client_line $c] "* flags=b * cmd=blpop *"
        expect [blocked_clients] 2
        if {[server_is_starling]} {
            expect [info_field clients total_blocking_keys] 3
            expect [info_field clients total_blocking_keys_on_nokey] 0
        }
        expect [info_field clients clients_in_timeout_table] 1
        r rpush a x
        $c -receive
        expect [info_field clients blocked_clients] 1
        if {[server_is_starling]} { expect [info_field clients total_blocking_keys] 2 }
        expect_match [client_line $c] "* flags=N * cmd=blpop *"
        $d -close
        wait_until { [blocked_clients] == 0 }
        expect [info_field clients clients_in_timeout_table] 0
        if {[server_is_starling]} { expect [info_field clients total_blocking_keys] 0 }
    }
    test "A client that is gone, or killed, takes nothing" {
        set a [blocks blpop k 0]
        set b [blocks blpop k 0]
        set c [blocks blpop k 0]
        expect [r client kill id [id_of $a]] 1
        expect_true { [$a -eof] }
        $b -close
        wait_until { [blocked_clients] == 1 }
        r rpush k 1
        expect [$c -receive] {k 1}
        expect [r exists k] 0
        # Killed in the transaction that pushes.
        set a [blocks blpop k 0]
        set id [id_of $a]
        r multi
        r rpush k 1
        r client kill id $id
        r exec
        expect [r lrange k 0 -1] 1
        expect_true { [$a -eof] }
    }
    starling_test "CLIENT PAUSE WRITE: nobody is served" {
        set c [blocks blpop k 0]
        set other [connect]
        $other multi
        $other rpush k a
        $other client pause 100000 write
        $other exec
        expect [r lrange k 0 -1] a
        expect [r client list id [id_of $c]] [r client list id [id_of $c]]
        expect_match [client_line $c] "* flags=b *"
        r client unpause
        expect [$c -receive] {k a}
    }
    test "CLIENT REPLY: what a blocked client gets" {
        set c [connect]
        $c -send client reply skip
        block_on $c blpop k 0
        r rpush k a
        expect [$c echo next] next
        expect [r exists k] 0
        $c -send client reply skip
        $c -send blpop k 0.01
        expect [$c echo next] next
        $c -send client reply off
        block_on $c blpop k 0
        r rpush k a
        expect [$c client reply on] OK
    }
    test "Events" {
        with_config {notify-keyspace-events KEA} {
            set listener [connect]
            $listener psubscribe __keyevent@0__:*
            set c [blocks blpop k 0]
            set d [blocks blmove l m left right 0]
            set z [blocks bzpopmin z 0]
            r rpush k a
            r rpush l a
            r zadd z 1 a
            r set end 1
            set events {}
            while 1 {
                set event [$listener -receive]
                set word [lindex [split [lindex $event 2] :] end]
                if {$word eq "set"} break
                lappend events $word [lindex $event 3]
            }
        }
        expect [lsearch -all -inline -not $events new] \
            {rpush k lpop k del k rpush l rpush m lpop l del l zadd z zpopmin z del z}
    }
    starling_test "One call each in the statistics; the time of waiting does not count" {
        r config resetstat
        r slowlog reset
        with_config {slowlog-log-slower-than 50000} {
            set c [blocks blpop k 0]
            after 120
            r rpush k a
            expect [$c -receive] {k a}
            set c [blocks brpop k 0]
            r client unblock [id_of $c] error
            catch { $c -receive }
            expect_nil bzpopmin k 0.1
            expect [r slowlog len] 0
        }
        set stats [r info commandstats]
        foreach command {blpop brpop bzpopmin} failed {0 1 0} {
            expect_true { [regexp "cmdstat_$command:calls=1,usec=(\\d+),.*rejected_calls=0,failed_calls=$failed" $stats -> usec] } $stats
            expect_range $usec 0 50000
        }
        expect_match [r info errorstats] "*errorstat_UNBLOCKED:count=1*"
        # With everything logged it is there, once.
        with_config {slowlog-log-slower-than 0} {
            r slowlog reset
            set c [blocks blpop k 0]
            r rpush k a
            $c -receive
            set count 0
            foreach entry [r slowlog get -1] {
                incr count [expr {[lindex $entry 3] eq "blpop k 0"}]
            }
            expect $count 1
        }
        expect_match [r latency histogram blpop] "blpop ?calls 2 *"
    }
    test "MONITOR shows the request once" {
        set monitor [connect]
        $monitor monitor
        set c [blocks blpop k 0]
        r rpush k a
        $c -receive
        r echo end
        set lines {}
        while {![string match "*end*" [set line [$monitor -receive]]]} {
            if {![string match "*\"info\"*" $line]} { lappend lines $line }
        }
        expect [llength $lines] 2
        expect_match [lindex $lines 0] {*"blpop" "k" "0"}
        expect_match [lindex $lines 1] {*"rpush" "k" "a"}
    }
    test "Access times follow the client's own NO-TOUCH" {
        if {[server_is_starling]} {
            set c [connect]
            $c client no-touch on
            block_on $c blpop k 0
            r rpush k a b
            expect [$c -receive] {k a}
        }
        expect [blocked_clients] 0
    }
    test "Databases: a key waits in its own" {
        set c [connect]
        $c select 3
        block_on $c blpop k 0
        r rpush k a
        expect [blocked_clients] 1
        r select 3
        r rpush k b
        expect [$c -receive] {k b}
        r select 0
        expect [r lrange k 0 -1] a
    }
    test "SWAPDB with a key that has expired" {
        r debug set-active-expire 0
        set c [connect]
        $c select 3
        block_on $c blpop k 0
        r rpush k a
        r pexpire k 5
        after 20
        r swapdb 0 3
        expect [blocked_clients] 1
        r select 3
        r rpush k b
        expect [$c -receive] {k b}
        r debug set-active-expire 1
        r select 0
    }
    test "Flushes wake nobody and forget nobody" {
        set c [blocks blpop k 0]
        r rpush other x
        r flushdb
        r flushall
        expect [blocked_clients] 1
        r rpush k a
        expect [$c -receive] {k a}
    }
    test "Keys of any bytes, and long ones" {
        foreach key [list "" "\0\r\n\xff" [string repeat k 100000]] {
            set c [blocks blpop $key 0]
            r rpush $key [random_bytes 300000]
            expect [string length [lindex [$c -receive] 1]] 300000
            expect [r exists $key] 0
        }
    }
    test "Many clients, many keys, random pops: nothing is lost, nothing comes twice" {
        set clients {}
        for {set i 0} {$i < 30} {incr i} { lappend clients [connect] }
        set sent 0
        set got {}
        for {set round 0} {$round < 20} {incr round} {
            foreach c $clients {
                set keys {}
                for {set i 0} {$i < 3} {incr i} { lappend keys k[random_below 4] }
                $c -send [pick {blpop brpop}] {*}$keys 0
            }
            # Until all are served, wherever they wait; the last pushes are enough for any.
            set pushes 60
            while {$pushes > 0} {
                set counts [expr {[incr pushes -1] < 4 ? 30 : [random_below 3] + 1}]
                set key k[expr {$pushes < 4 ? $pushes : [random_below 4]}]
                set values {}
                for {set i 0} {$i < $counts} {incr i} { lappend values [incr sent] }
                r [pick {lpush rpush}] $key {*}$values
            }
            foreach c $clients { lappend got [lindex [$c -receive] 1] }
            foreach key {k0 k1 k2 k3} { lappend got {*}[r lrange $key 0 -1] }
            r del k0 k1 k2 k3
        }
        expect [llength $got] $sent
        expect [llength [lsort -unique $got]] $sent
    }
    test "DEBUG RELOAD with clients that wait" {
        set c [blocks blpop k 0]
        r rpush other x
        r debug reload
        expect [blocked_clients] 1
        r rpush k a
        expect [$c -receive] {k a}
    }
}

start_server {} {
    starling_test "OOM: told when the request is executed again" {
        set c [blocks blmove a b left left 0]
        set d [blocks blpop a 0]
        r multi
        r rpush a 1
        r config set maxmemory 1
        r exec
        expect_error "OOM*" { $c -receive }
        # Whoever takes memory away may go on.
        expect [$d -receive] {a 1}
        r config set maxmemory 0
        expect_match [r info commandstats] "*cmdstat_blmove:calls=0,*,rejected_calls=1,*"
    }
}

start_server {} {
    starling_test "NOQUORUM: likewise" {
        set c [blocks bzpopmin z 0]
        r multi
        r zadd z 1 a
        r config set mesh-min-peers-to-write 1
        r exec
        expect_error "NOQUORUM*" { $c -receive }
        r config set mesh-min-peers-to-write 0
        expect [r zrange z 0 -1] a
    }
}

start_server {appendonly yes appendfsync always} {
    test "appendfsync always: what was popped stays popped" {
        set c [blocks blpop k 0]
        set d [blocks blmove l m left left 0]
        r rpush k a b
        r rpush l a b
        expect [$c -receive] {k a}
        expect [$d -receive] a
        restart_server -signal KILL
        expect [r lrange k 0 -1] b
        expect [r lrange l 0 -1] b
        expect [r lrange m 0 -1] a
    }
    test "The end of the server ends those who wait" {
        set c [blocks blpop k 0]
        set d [blocks bzpopmin k 100]
        stop_server
        expect_true { [$c -eof] }
        expect_true { [$d -eof] }
        start_again
        r rpush k a
        expect [r lrange k 0 -1] a
    }
}

start_server {maxmemory-clients 0} {
    starling_test "A client that waits has no buffers" {
        set c [blocks blpop k 0]
        expect_match [client_line $c] "* qbuf=0 qbuf-free=0 * rbs=0 *"
        regexp {tot-mem=(\d+)} [client_line $c] -> memory
        expect_range $memory 1 2000
    }
    test "What expired before its transaction ended wakes nobody" {
        set c [blocks blpop k 0]
        expect [r -pipeline {{multi} {rpush k a} {pexpire k 20} {debug sleep 0.05} {exec}}] \
            {OK QUEUED QUEUED QUEUED {1 1 OK}}
        expect [blocked_clients] 1
        r rpush k b
        expect [$c -receive] {k b}
    }
    starling_test "What a blocked client keeps is counted as its memory" {
        regexp {tot-mem=(\d+)} [client_line [connect]] -> plain
        set keys {}
        for {set i 0} {$i < 1000} {incr i} { lappend keys [string repeat k 100]$i }
        set c [blocks blpop {*}$keys 0]
        regexp {tot-mem=(\d+)} [client_line $c] -> memory
        expect_true { $memory > $plain + 200000 }
        r config set maxmemory-clients 100kb
        expect_true { [$c -eof] }
        expect [info_field clients total_blocking_keys] 0
        r config set maxmemory-clients 0
    }
}
