# SPDX-License-Identifier: BSD-3-Clause
# MIGRATE: keys to another server of the same kind and to redis-server, each type and option; then
# to targets that this file plays itself: slow, silent, garbled, gone. What is served meanwhile, what
# becomes of keys that change meanwhile, and how a transfer ends.

set ours $::server_path

# The programs to move keys to: this one, and the other of the two.
proc target_programs {} {
    set programs [list $::ours]
    set redis [auto_execok redis-server]
    if {$redis ne "" && $::is_starling} {
        lappend programs [lindex $redis 0]
    }
    return $programs
}

# A client of the target server, whose data go, and whose connections with others end.
proc target {} {
    set t [connect -port $::target_port]
    $t flushall
    $t client kill type normal
    return $t
}

proc migrate {args} {
    return [r migrate 127.0.0.1 $::target_port {*}$args]
}

# ---- a target that the test plays ----

# Listens; the first connection that comes is handed out by fake_accept.
proc fake_listen {} {
    set ::fake_waiting {}
    set ::fake_listener [socket -server fake_arrived -myaddr 127.0.0.1 0]
    set ::fake_port [lindex [fconfigure $::fake_listener -sockname] 2]
}

proc fake_arrived {fd host port} {
    fconfigure $fd -translation binary -buffering full -blocking 0
    lappend ::fake_waiting $fd
}

# The next connection, as a client of the harness: `$t -receive` is a request as a list, `$t -raw`
# an answer.
proc fake_accept {} {
    set timer [after [expr {int(10000 * [patience])}] {lappend ::fake_waiting {}}]
    while {[llength $::fake_waiting] == 0} {
        vwait ::fake_waiting
    }
    after cancel $timer
    set ::fake_waiting [lassign $::fake_waiting fd]
    if {$fd eq ""} {
        fail "nobody connects"
    }
    set c ::client_[incr client::last]
    array set client::state [list $c,fd $fd $c,type {} $c,pushes {} $c,wire {} \
        $c,timeout_ms [expr {int(10000 * [patience])}]]
    interp alias {} $c {} client::call $c
    return $c
}

# The test with a fake target, which ends with it.
proc fake_test {name body} {
    starling_test $name "fake_listen\ntry {\n$body\n} finally {\ncatch {close \$::fake_listener}\n}"
}

# Sends MIGRATE of `keys` and lets the target answer SELECT: the keys are on their way then.
proc fake_begin {c timeout args} {
    $c -send migrate 127.0.0.1 $::fake_port "" 0 $timeout {*}$args
    set t [fake_accept]
    expect [$t -receive] {SELECT 0}
    $t -raw "+OK\r\n"
    return $t
}

# What stands before the payload, and behind it.
proc fake_restore {t} {
    return [lreplace [$t -receive] 3 3]
}

# ---- other servers ----

foreach program [target_programs] {
    set ::server_path $program
    set kind [file tail $program]
    start_server {} {
        set ::server_path $ours
        set ::target_port [server port]
        start_server {} {
            test "to $kind: a key of each type moves" {
                set t [target]
                r set string [random_bytes 300]
                r set number 12345
                r rpush list a b [string repeat c 300] 4
                r sadd set a b c
                r sadd integers 1 2 300
                r hset hash f v g [string repeat w 300]
                r zadd zset 1 a 2.5 b inf c
                r xadd stream 1-1 f v
                r xadd stream 2-1 f w
                r xgroup create stream g 0
                r xreadgroup group g consumer count 1 streams stream >
                r pfadd hll a b c
                set readings {
                    {get string} {get number} {lrange list 0 -1} {smembers integers}
                    {hget hash f} {hget hash g} {zrange zset 0 -1 withscores}
                    {xrange stream - +} {pfcount hll}
                }
                set keys [lsort [r keys *]]
                set before [lmap reading $readings { r {*}$reading }]
                foreach key $keys {
                    expect [migrate $key 0 5000] OK
                    expect [r exists $key] 0
                }
                expect [r dbsize] 0
                expect [lsort [$t keys *]] $keys
                expect [lmap reading $readings { $t {*}$reading }] $before
                expect_set [$t smembers set] {a b c}
                expect [lindex [$t xpending stream g] 0] 1
                expect [$t ttl string] -1
                # And back, as the other one does it.
                expect [$t migrate 127.0.0.1 [server port] "" 0 5000 KEYS {*}$keys] OK
                expect [$t dbsize] 0
                expect [lsort [r keys *]] $keys
                expect [lmap reading $readings { r {*}$reading }] $before
            }
            test "to $kind: the time to live goes along" {
                set t [target]
                r set k v px 100000
                expect [migrate k 0 5000] OK
                expect_range [$t pttl k] 90000 100000
                # One that has none does not take over that of the key it replaces.
                r set k w
                expect [migrate k 0 5000 replace] OK
                expect [$t get k] w
                expect [$t pttl k] -1
            }
            test "to $kind: COPY, REPLACE, and a key that is there" {
                set t [target]
                r set k v
                expect [migrate k 0 5000 copy] OK
                expect [r get k] v
                expect [$t get k] v
                expect_error "ERR Target instance replied with error: BUSYKEY *" { migrate k 0 5000 }
                expect_error "ERR Target instance replied with error: BUSYKEY *" {
                    migrate k 0 5000 COPY
                }
                expect [r get k] v
                r set k w
                expect [migrate k 0 5000 COPY REPLACE] OK
                expect [$t get k] w
                expect [migrate k 0 5000 replace] OK
                expect [r exists k] 0
                expect [$t get k] w
            }
            test "to $kind: NOKEY, KEYS" {
                set t [target]
                expect [migrate none 0 5000] NOKEY
                expect [migrate "" 0 5000 KEYS none other] NOKEY
                expect [migrate "" 0 5000 KEYS] NOKEY
                r mset a 1 b 2 c 3 "" 4
                expect [migrate "" 0 5000 KEYS a none b] OK
                expect_set [r keys *] {c {}}
                expect_set [$t keys *] {a b}
                # Without KEYS the empty string is a name.
                expect [migrate "" 0 5000] OK
                expect [r keys *] c
                expect [$t get ""] 4
            }
            test "to $kind: each key that is taken goes, even if another one is refused" {
                set t [target]
                r mset a 1 b 2 c 3
                $t set b theirs
                expect_error "ERR Target instance replied with error: BUSYKEY *" {
                    migrate "" 0 5000 KEYS a b c
                }
                expect [r keys *] b
                expect [r get b] 2
                expect [$t mget a b c] {1 theirs 3}
            }
            test "to $kind: databases" {
                set t [target]
                r select 5
                r set k five
                expect [migrate k 3 5000] OK
                r select 0
                r set k zero
                expect [migrate k 0 5000] OK
                expect [$t get k] zero
                $t select 3
                expect [$t get k] five
                r set k v
                expect_error "ERR Target instance replied with error: ERR DB index is out of range" {
                    migrate k 999 5000
                }
                expect [r get k] v
                # Nothing got into the database of the transfer before.
                expect [$t dbsize] 1
                $t select 0
                expect [$t dbsize] 1
            }
            test "to $kind: AUTH and AUTH2" {
                set t [target]
                $t config set requirepass secret
                r mset a 1 b 2 c 3
                expect_error "ERR Target instance replied with error: NOAUTH *" { migrate a 7 5000 }
                expect_error "ERR Target instance replied with error: WRONGPASS *" {
                    migrate a 0 5000 AUTH wrong
                }
                expect_error "ERR Target instance replied with error: WRONGPASS *" {
                    migrate a 0 5000 AUTH2 nobody secret
                }
                expect [r exists a] 1
                expect [migrate a 0 5000 AUTH secret] OK
                expect [migrate "" 0 5000 AUTH2 default secret KEYS b] OK
                # The last one counts.
                expect [migrate c 0 5000 AUTH wrong COPY AUTH2 default secret] OK
                expect [r keys *] c
                # A password that was the right one on the same connection.
                $t config set requirepass another
                expect_error "ERR Target instance replied with error: WRONGPASS *" {
                    migrate c 0 5000 AUTH secret
                }
                $t config set requirepass ""
                expect [$t mget a b c] {1 2 3}
            }
            starling_test "to $kind: a connection with a password is not for those who give none" {
                set t [target]
                $t config set requirepass secret
                r mset a 1 b 2
                expect [migrate a 0 5000 AUTH secret] OK
                set failed [catch { migrate b 0 5000 } message]
                $t config set requirepass ""
                expect_match $message "ERR Target instance replied with error: NOAUTH *"
                expect [r exists b] 1
            }
            test "to $kind: a value of 20 MB" {
                set t [target]
                set value [string repeat 0123456789 2000000]
                r set k $value
                expect [migrate k 0 20000] OK
                expect [r exists k] 0
                expect [$t strlen k] 20000000
                expect [$t getrange k 10000000 10000009] 0123456789
            }
            test "to $kind: 20,000 keys at once" {
                set t [target]
                populate 20000
                set names [r keys *]
                expect [migrate "" 0 20000 KEYS {*}$names] OK
                expect [r dbsize] 0
                expect [$t dbsize] 20000
            }
            starling_test "to $kind: a name is looked up" {
                set t [target]
                r set k v
                expect [r migrate localhost $::target_port k 0 5000] OK
                expect [$t get k] v
                foreach address {::ffff:127.0.0.1 \[::ffff:127.0.0.1\]} {
                    r set k $address
                    expect [r migrate $address $::target_port k 0 5000 REPLACE] OK
                    expect [$t get k] $address
                }
            }
        }
    }
    set ::server_path $ours
}

# ---- arguments, and what is said about the command ----

start_server {} {
    test "syntax" {
        r set k v
        set arity "ERR wrong number of arguments for 'migrate' command"
        expect_error $arity { r migrate 127.0.0.1 1 k 0 }
        foreach {words error} {
            {k 0 1000 none} "ERR syntax error"
            {k 0 1000 auth} "ERR syntax error"
            {k 0 1000 auth2 user} "ERR syntax error"
            {k 0 x none} "ERR syntax error"
            {k 0 1000 keys a}
            "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"
            {k 0 x} "ERR value is not an integer or out of range"
            {k x 1000} "ERR value is not an integer or out of range"
            {k x y} "ERR value is not an integer or out of range"
        } {
            expect_error $error { r migrate 127.0.0.1 1 {*}$words }
        }
        # Only then is looked for the keys, and then for the target.
        expect [r migrate 127.0.0.1 none none 0 1000] NOKEY
        foreach port {none 0 65536 -1} {
            expect_error "IOERR error or timeout *" { r migrate 127.0.0.1 $port k 0 1000 }
        }
        expect [r get k] v
    }
    test "nobody there" {
        r set k v
        set port [server::free_port]
        expect_error "IOERR error or timeout *" { r migrate 127.0.0.1 $port k 0 1000 }
        expect_error "IOERR error or timeout connecting to the client" {
            r migrate nosuchname.invalid $port k 0 1000
        }
        expect_error "IOERR error or timeout connecting to the client" {
            r migrate "" $port k 0 1000
        }
        expect [r get k] v
    }
    starling_test "COMMAND INFO, GETKEYS, DOCS, categories" {
        lassign [lindex [r command info migrate] 0] name arity flags first last step categories tips \
            specs
        expect "$name $arity $first $last $step" {migrate -6 3 3 1}
        expect_set $flags {write movablekeys no_multi}
        expect_set $categories {@keyspace @write @slow @dangerous}
        expect [lindex $specs 0] {flags {RW access delete} begin_search {type index spec {index 3}}\
            find_keys {type range spec {lastkey 0 keystep 1 limit 0}}}
        expect [lindex $specs 1] {flags {RW access delete incomplete} begin_search\
            {type keyword spec {keyword KEYS startfrom -2}} find_keys\
            {type range spec {lastkey -1 keystep 1 limit 0}}}
        expect [r command getkeys migrate h 1 k 0 1 copy] k
        expect [r command getkeys migrate h 1 "" 0 1 replace keys a b] {a b}
        expect [r command getkeys migrate h 1 "" 0 1 auth keys auth2 keys keys keys a b] {a b}
        expect [r command getkeysandflags migrate h 1 k 0 1] {{k {RW access delete}}}
        expect_error "ERR Invalid arguments *" { r command getkeys migrate h 1 k 0 1 keys a }
        expect [dict get [lindex [r command docs migrate] 1] group] generic
        expect_true {"migrate" in [r acl cat dangerous]}
    }
    starling_test "it cannot wait inside a transaction" {
        r set k v
        expect [r multi] OK
        expect_error "ERR Command not allowed inside a transaction" {
            r migrate 127.0.0.1 1 k 0 1000
        }
        expect_error "EXECABORT *" { r exec }
        expect [r get k] v
    }
}

# ---- targets that the test plays ----

start_server {appendonly yes notify-keyspace-events AKE} {
    fake_test "others are served meanwhile, and the key is there until it was taken" {
        r set k v px 100000
        set c [connect]
        set t [fake_begin $c 5000 KEYS k]
        lassign [fake_restore $t] word name ttl
        expect "$word $name" "RESTORE k"
        expect_range $ttl 90000 100000
        expect [r get k] v
        expect [info_field clients blocked_clients] 1
        for {set i 0} {$i < 1000} {incr i} {
            r set other $i
        }
        expect [r client unblock [lindex [regexp -inline {id=(\d+)[^\n]*cmd=migrate} [r client list]] 1]] 0
        $t -raw "+O"
        expect [r exists k] 1
        $t -raw "K\r\n"
        expect [$c -receive] OK
        expect [r exists k] 0
        expect [info_field clients blocked_clients] 0
        expect [info_field stats migrate_cached_sockets] 1
        # The next one uses the same connection; what else its client sent comes afterwards.
        r set k v
        $c -send migrate 127.0.0.1 $::fake_port k 1 5000
        $c -send get k
        expect [$t -receive] {SELECT 1}
        $t -raw "+OK\r\n"
        expect [fake_restore $t] {RESTORE k 0}
        $t -raw "+OK\r\n"
        expect [$c -receive] OK
        expect [$c -receive] {}
    }
    fake_test "a key that is changed meanwhile is sent again" {
        r mset a 1 b 2 c 3
        set c [connect]
        set t [fake_begin $c 5000 KEYS a b c]
        foreach key {a b c} {
            expect [fake_restore $t] "RESTORE $key 0"
        }
        r incr b
        r expire c 1000
        $t -raw "+OK\r\n+OK\r\n+OK\r\n"
        lassign [$t -receive] word name ttl payload replace
        expect "$word $name $ttl $replace" "RESTORE b 0 REPLACE"
        expect $payload [r dump b]
        lassign [fake_restore $t] word name ttl replace
        expect "$word $name $replace" "RESTORE c REPLACE"
        expect_range $ttl 900000 1000000
        expect [r mget a b c] {{} 3 3}
        r append b 4
        $t -raw "+OK\r\n+OK\r\n"
        expect [fake_restore $t] {RESTORE b 0 REPLACE}
        expect [r mget a b c] {{} 34 {}}
        $t -raw "+OK\r\n"
        expect [$c -receive] OK
        expect [r dbsize] 0
    }
    fake_test "a key that is changed each time stays" {
        r mset a 1 b 2
        set c [connect]
        set t [fake_begin $c 5000 KEYS a b]
        fake_restore $t
        fake_restore $t
        r incr a
        $t -raw "+OK\r\n+OK\r\n"
        for {set i 1} {$i < 16} {incr i} {
            expect [fake_restore $t] {RESTORE a 0 REPLACE}
            r incr a
            $t -raw "+OK\r\n"
        }
        expect_error "IOERR a key was changed here each time it was sent: *" { $c -receive }
        expect [r mget a b] {17 {}}
    }
    fake_test "a key that is removed meanwhile is told of" {
        r set k v
        set c [connect]
        set t [fake_begin $c 5000 KEYS k]
        fake_restore $t
        r del k
        $t -raw "+OK\r\n"
        expect_error "IOERR a key was removed here while it was sent: *" { $c -receive }
        # One that expires is no loss: there it does, too.
        r set k v px 300
        $c -send migrate 127.0.0.1 $::fake_port k 0 5000
        fake_restore $t
        wait_until {[r exists k] == 0}
        $t -raw "+OK\r\n"
        expect [$c -receive] OK
        # All of them, by FLUSHALL.
        r mset a 1 b 2
        $c -send migrate 127.0.0.1 $::fake_port "" 0 5000 KEYS a b
        fake_restore $t
        fake_restore $t
        r flushall
        r set b new
        $t -raw "+OK\r\n+OK\r\n"
        expect [fake_restore $t] {RESTORE b 0 REPLACE}
        $t -raw "+OK\r\n"
        expect_error "IOERR a key was removed *" { $c -receive }
        expect [r dbsize] 0
    }
    fake_test "a target that stops answering" {
        r set k v
        set c [connect]
        foreach answers {0 1} {
            $c -send migrate 127.0.0.1 $::fake_port k 0 200
            set t [fake_accept]
            expect [$t -receive] {SELECT 0}
            if {$answers > 0} {
                $t -raw "+OK\r\n"
                expect [fake_restore $t] {RESTORE k 0}
                $t -raw "+O"
            }
            expect_error "IOERR error or timeout reading to target instance" { $c -receive }
            expect [$t -eof] 1
            expect [r get k] v
        }
        expect [info_field stats migrate_cached_sockets] 0
    }
    fake_test "a target that does not even read" {
        # More than sockets hold, and nothing that can be compressed.
        r set k [string repeat [random_bytes 50000] 600]
        set c [connect]
        set t [fake_begin $c 500 KEYS k]
        expect_error "IOERR error or timeout writing to target instance" { $c -receive }
        expect [r strlen k] 30000000
    }
    fake_test "a target that is slow has its time for each part" {
        r mset a 1 b 2 c 3
        set c [connect]
        set t [fake_begin $c [expr {int(600 * [patience])}] KEYS a b c]
        foreach key {a b c} {
            fake_restore $t
            after [expr {int(400 * [patience])}]
            $t -raw "+OK\r\n"
        }
        expect [$c -receive] OK
    }
    fake_test "a target that closes the connection" {
        r mset a 1 b 2 c 3
        set c [connect]
        $c -send migrate 127.0.0.1 $::fake_port a 0 5000
        [fake_accept] -close
        expect_error "IOERR error or timeout *" { $c -receive }
        set t [fake_begin $c 5000 KEYS a b c]
        fake_restore $t
        $t -raw "+OK\r\n-ERR no\r\n"
        $t -close
        # What it took is there; the first error is told.
        expect_error "ERR Target instance replied with error: ERR no" { $c -receive }
        expect [r mget a b c] {{} 2 3}
        set t [fake_begin $c 5000 KEYS b c]
        fake_restore $t
        $t -raw "+OK\r\n"
        wait_until {[r exists b] == 0}
        $t -close
        expect_error "IOERR error or timeout *" { $c -receive }
        expect [r mget b c] {{} 3}
        # The last answer and the end at once.
        set t [fake_begin $c 5000 KEYS c]
        fake_restore $t
        $t -raw "+OK\r\n"
        $t -close
        expect [$c -receive] OK
        expect [r dbsize] 0
    }
    fake_test "a connection that ended while it was idle is replaced" {
        r mset a 1 b 2
        set c [connect]
        set t [fake_begin $c 5000 KEYS a]
        fake_restore $t
        $t -raw "+OK\r\n"
        expect [$c -receive] OK
        $t -close
        set t [fake_begin $c 5000 KEYS b]
        fake_restore $t
        $t -raw "+OK\r\n"
        expect [$c -receive] OK
    }
    fake_test "answers that make no sense" {
        r set k v
        set c [connect]
        foreach answer [list "garbage\r\n" ":1\r\n" "*1\r\n+OK\r\n" "+QUEUED\r\n" "\r\n" "+OK\n" \
                [string repeat - 20000] [random_bytes 3]\r\n] {
            foreach greets {0 1} {
                if {$greets} {
                    $c -send migrate 127.0.0.1 $::fake_port k 0 5000
                    set t [fake_accept]
                    $t -receive
                } else {
                    set t [fake_begin $c 5000 KEYS k]
                    fake_restore $t
                }
                $t -raw $answer
                expect_error "IOERR error or timeout reading to target instance" { $c -receive }
                expect [$t -eof] 1
            }
        }
        # It talks without having been asked.
        $c -send migrate 127.0.0.1 $::fake_port k 0 5000
        set t [fake_accept]
        $t -raw "+OK\r\n+OK\r\n+OK\r\n"
        expect_error "IOERR error or timeout reading to target instance" { $c -receive }
        expect [r get k] v
    }
    fake_test "what a target refuses is told in its words" {
        r set k v
        set c [connect]
        set t [fake_begin $c 5000 KEYS k]
        fake_restore $t
        $t -raw "-LOADING Redis is loading the dataset in memory\r\n"
        expect_error "ERR Target instance replied with error: LOADING Redis is loading *" {
            $c -receive
        }
        expect [r get k] v
        # The connection is whole: it serves again.
        $c -send migrate 127.0.0.1 $::fake_port k 0 5000
        expect [fake_restore $t] {RESTORE k 0}
        $t -raw "+OK\r\n"
        expect [$c -receive] OK
    }
    fake_test "a client that goes ends its transfer" {
        r mset a 1 b 2
        foreach how {close kill} {
            set c [connect]
            set t [fake_begin $c 60000 KEYS a b]
            fake_restore $t
            if {$how eq "close"} {
                $c -close
            } else {
                expect [r client kill addr [$c -address]] 1
            }
            # Its connection to the target ends, the keys are here, and may be there.
            fake_restore $t
            expect [$t -eof] 1
            wait_until {[info_field clients blocked_clients] == 0}
            expect [r mget a b] {1 2}
        }
    }
    fake_test "transfers come one after the other, and who waits may go" {
        r mset a 1 b 2 c 3
        set first [connect]
        set second [connect]
        set third [connect]
        set t [fake_begin $first 5000 KEYS a]
        fake_restore $t
        $second -send migrate 127.0.0.1 $::fake_port a 0 5000 REPLACE
        $third -send migrate 127.0.0.1 $::fake_port "" 0 5000 KEYS a b
        wait_until {[info_field clients blocked_clients] == 3}
        $second -close
        wait_until {[info_field clients blocked_clients] == 2}
        $t -raw "+OK\r\n"
        expect [$first -receive] OK
        expect [fake_restore $t] {RESTORE b 0}
        $t -raw "+OK\r\n"
        expect [$third -receive] OK
        expect [r keys *] c
    }
    fake_test "nothing leaves while clients are paused" {
        r set k v
        set c [connect]
        set t [fake_begin $c 500 KEYS k]
        fake_restore $t
        r client pause 60000 write
        $t -raw "+OK\r\n"
        after [expr {int(700 * [patience])}]
        expect [r exists k] 1
        r client unpause
        expect [$c -receive] OK
        expect [r exists k] 0
    }
    fake_test "nothing leaves while writes are refused" {
        r mset a 1 b 2
        set c [connect]
        set t [fake_begin $c 5000 KEYS a b]
        fake_restore $t
        fake_restore $t
        with_config {mesh-min-peers-to-write 1} {
            $t -raw "+OK\r\n"
            $t -raw "+OK\r\n"
            expect_error "NOQUORUM *" { $c -receive }
            expect [r mget a b] {1 2}
        }
    }
    fake_test "events, statistics, MONITOR, SLOWLOG" {
        r mset a 1 b 2
        set events [connect -protocol 3]
        $events -send psubscribe __keyevent*
        $events -push
        set monitor [connect]
        $monitor monitor
        r config resetstat
        with_config {slowlog-log-slower-than 0} {
            r slowlog reset
            set c [connect]
            $c -send migrate 127.0.0.1 $::fake_port "" 0 5000 AUTH2 me secret KEYS a b
            set t [fake_accept]
            expect [$t -receive] {AUTH me secret}
            expect [$t -receive] {SELECT 0}
            $t -raw "+OK\r\n+OK\r\n"
            fake_restore $t
            fake_restore $t
            expect [info_field commandstats cmdstat_migrate] {}
            $t -raw "+OK\r\n-ERR no\r\n"
            expect_error "ERR Target *" { $c -receive }
            set shown [lsearch -inline -index {3 0} [r slowlog get -1] migrate]
            expect [lrange [lindex $shown 3] 4 8] {0 5000 AUTH2 (redacted) (redacted)}
        }
        expect_match [info_field commandstats cmdstat_migrate] calls=1,*failed_calls=1
        expect [info_field errorstats errorstat_ERR] count=1
        expect [lrange [$events -push] 2 3] {__keyevent@0__:del a}
        set line [$monitor -receive]
        while {![string match *migrate* $line]} {
            set line [$monitor -receive]
        }
        expect_match $line {*"AUTH2" "(redacted)" "(redacted)" "KEYS" "a" "b"}
    }
    fake_test "CLIENT REPLY" {
        r mset a 1 b 2
        set c [connect]
        $c -send client reply skip
        set t [fake_begin $c 5000 KEYS a]
        fake_restore $t
        $t -raw "+OK\r\n"
        expect [$c ping] PONG
        $c -send client reply off
        $c -send migrate 127.0.0.1 $::fake_port b 0 5000
        fake_restore $t
        $t -raw "+OK\r\n"
        $c -send client reply on
        expect [$c -receive] OK
        expect [r dbsize] 0
    }
    fake_test "what was taken does not come back with a restart, what was not does" {
        r mset a 1 b 2
        set c [connect]
        set t [fake_begin $c 5000 KEYS a b]
        fake_restore $t
        fake_restore $t
        $t -raw "+OK\r\n"
        wait_until {[r exists a] == 0}
        restart_server -signal KILL
        expect [r mget a b] {{} 2}
    }
    fake_test "an orderly end does not wait for a transfer" {
        r mset a 1 b 2
        set c [connect]
        set other [connect]
        set t [fake_begin $c 60000 KEYS a b]
        fake_restore $t
        $other -send migrate 127.0.0.1 $::fake_port b 0 60000
        wait_until {[info_field clients blocked_clients] == 2}
        $t -raw "+OK\r\n"
        wait_until {[r exists a] == 0}
        restart_server
        expect [$c -eof] 1
        fake_restore $t
        expect [$t -eof] 1
        expect [r mget a b] {{} 2}
    }
    starling_test "an end while a name is looked up" {
        r set k v
        foreach how {close restart} {
            set c [connect]
            # A name of its own for each, so that nobody knows the answer already.
            $c -send migrate $how[clock microseconds].invalid 1 k 0 60000
            if {$how eq "close"} {
                $c -close
            } else {
                restart_server
            }
            expect [r get k] v
        }
    }
    fake_test "a key goes from one database to another of the same server" {
        r set k v
        expect [r migrate 127.0.0.1 [server port] k 1 5000] OK
        expect [r exists k] 0
        r select 1
        expect [r get k] v
        # To where it is: not lost.
        expect_error "*BUSYKEY*" { r migrate 127.0.0.1 [server port] k 1 5000 }
        expect_error "IOERR a key was changed *" {
            r migrate 127.0.0.1 [server port] k 1 5000 REPLACE
        }
        expect [r get k] v
    }
    fake_test "many transfers of keys that change: none is lost" {
        set c [connect]
        set writer [connect]
        for {set i 0} {$i < 20} {incr i} {
            r set n:$i 0
        }
        for {set round 0} {$round < 10} {incr round} {
            for {set i 0} {$i < 20} {incr i} {
                $c -send migrate 127.0.0.1 [server port] n:$i 1 5000 REPLACE
                $writer -send incr n:$i
            }
            for {set i 0} {$i < 20} {incr i} {
                set value [$writer -receive]
                catch { $c -receive } reply
                # It was there before, and is 1 anew afterwards, or was kept.
                expect_true {$value >= 1} "$reply"
                if {$reply eq "OK" && $value > 1} {
                    r select 1
                    expect [r get n:$i] $value
                    r select 0
                    expect [r exists n:$i] 0
                }
                r set n:$i 5
            }
        }
    }
}

# ---- in a mesh ----

if {[server_is_starling]} {
    start_mesh 2 {appendonly yes} {
        mesh_test "The mesh goes on while a transfer is under way, and learns of its end" {
            fake_listen
            node A mset a 1 b 2
            converged
            set c [node_connect A]
            set t [fake_begin $c 60000 KEYS a b]
            fake_restore $t
            fake_restore $t
            # From another node, while the target has the older value.
            node B append b x
            converged
            $t -raw "+OK\r\n+OK\r\n"
            expect [fake_restore $t] {RESTORE b 0 REPLACE}
            node A set other 1
            converged
            everywhere 1 get other
            everywhere 2x get b
            everywhere {} get a
            $t -raw "+OK\r\n"
            expect [$c -receive] OK
            converged
            everywhere other keys *
            close $::fake_listener
        }
        mesh_test "What another node writes unseen is not removed" {
            fake_listen
            node A incrby n 10
            converged
            set c [node_connect A]
            set t [fake_begin $c 60000 KEYS n]
            fake_restore $t
            cut A B
            node B incrby n 5
            $t -raw "+OK\r\n"
            expect [$c -receive] OK
            expect [node A exists n] 0
            heal
            converged
            # The ten went to the target, the five are here.
            everywhere 5 get n
            close $::fake_listener
        }
        mesh_test "To another node of the mesh itself: not lost" {
            node A set k v
            converged
            set port [server port]
            expect_error "*BUSYKEY*" { node A migrate 127.0.0.1 $port k 0 5000 }
            catch { node A migrate 127.0.0.1 $port k 0 5000 REPLACE }
            converged
            everywhere v get k
            # Before the other one has it.
            cut A B
            node A set k w
            catch { node A migrate 127.0.0.1 $port k 0 5000 REPLACE }
            heal
            converged
            everywhere w get k
        }
    }
}
