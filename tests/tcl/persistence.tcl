# SPDX-License-Identifier: BSD-3-Clause
# What is on disk: the log, snapshots, restarts, kills, damaged files, --check and --repair.
# tests/kill does the same under load and at every byte; here is what a user sees.

# Data of every kind of string in three databases; returns the digest.
proc write_data {} {
    r select 0
    r mset int 12345 embstr hello raw [string repeat x 100] empty "" binary "\0\r\n\xff"
    r set big [string repeat 0123456789abcdef 200000]
    r set volatile v ex 10000
    r append appended [string repeat y 5000]
    r append appended z
    r setrange range 100 middle
    r setrange big 4090 [string repeat P 10]
    r setbit bits 100000 1
    r pfadd hll a b c d e f
    r incr counter
    r incrby counter 41
    r incrbyfloat float 1.5
    r set deleted 1
    r del deleted
    r rename empty renamed
    r select 3
    r set three 3
    r copy three four
    r select 15
    populate 1000
    r expire key:5 5000
    r multi
    r set t1 1
    r set t2 2
    r exec
    r select 0
    return [r debug digest]
}

proc data_files {pattern} {
    return [lsort [glob -nocomplain -directory [server dir] $pattern]]
}

proc segments {} {
    return [data_files log-*.segment]
}

proc snapshots {} {
    return [data_files snapshot-*.snapshot]
}

# ---- The log ----

foreach fsync {always everysec no} {
    foreach signal {TERM KILL} {
        test "appendonly, appendfsync $fsync: all is there after SIG$signal" {
            start_server [list appendonly yes appendfsync $fsync] {
                set digest [write_data]
                restart_server -signal $signal
                expect [r debug digest] $digest
                expect [r get counter] 42
                expect_range [r ttl volatile] 9000 10000
                expect [r getrange big 4088 4101] 89PPPPPPPPPP45
                r incr counter
                set digest [r debug digest]
                restart_server -signal $signal
                expect [r debug digest] $digest
                expect [r get counter] 43
            }
        }
    }
}

test "appendonly: FLUSHALL, FLUSHDB, SWAPDB, RENAME, MOVE, COPY, PERSIST and expiries are replayed" {
    start_server {appendonly yes} {
        write_data
        r flushall
        write_data
        r select 3
        r flushdb
        r swapdb 0 15
        r select 0
        r move key:1 5
        r rename key:2 renamed
        r copy key:3 copied
        r persist key:5
        r expire key:6 5000
        r pexpireat key:7 [expr {[clock milliseconds] + 5000000}]
        r getdel key:8
        r getex key:9 ex 9000
        r unlink key:10 key:11
        r set key:12 v px 1
        after 5
        r get key:12
        set digest [r debug digest]
        set size [r dbsize]
        restart_server -signal KILL
        expect [r debug digest] $digest
        expect [r dbsize] $size
        expect [r ttl key:5] -1
        expect_range [r ttl key:6] 4000 5000
        expect [r get copied] xxxxxxxx
    }
}

test "appendonly: BGREWRITEAOF keeps the data and makes the log small" {
    start_server {appendonly yes} {
        r set k 0
        r -pipeline [lrepeat 20000 {incr k}]
        set digest [write_data]
        expect_match [r bgrewriteaof] "Background append only file rewriting*"
        wait_until {[info_field persistence aof_rewrite_in_progress] == 0 &&
            [info_field persistence aof_rewrite_scheduled] == 0} 20
        expect [info_field persistence aof_last_bgrewrite_status] ok
        expect [r debug digest] $digest
        r set after 1
        set digest [r debug digest]
        restart_server -signal KILL
        expect [r debug digest] $digest
        expect [r get k] 20000
        set bytes 0
        foreach path [concat [data_files *] [data_files */*]] {
            if {[file isfile $path] && [file tail $path] ne "server.log"} {
                incr bytes [file size $path]
            }
        }
        # The value of 3.2 MB does not compress in every format; 20000 commands would be 500 kB more.
        expect_true {$bytes < 8000000} "$bytes bytes"
    }
}

test "appendonly: writes during a rewrite are not lost" {
    start_server {appendonly yes} {
        populate 20000 k: 100
        r bgrewriteaof
        set commands {}
        for {set i 0} {$i < 20000} {incr i} {
            lappend commands [list set k:$i new:$i]
        }
        r -pipeline $commands
        wait_until {[info_field persistence aof_rewrite_in_progress] == 0} 30
        set digest [r debug digest]
        restart_server -signal KILL
        expect [r debug digest] $digest
        expect [r get k:19999] new:19999
    }
}

test "appendonly switched on while running" {
    start_server {} {
        set digest [write_data]
        r config set appendonly yes
        wait_until {[info_field persistence aof_enabled] == 1 &&
            [info_field persistence aof_rewrite_in_progress] == 0 &&
            [info_field persistence aof_rewrite_scheduled] == 0} 20
        expect [config_get appendonly] yes
        r set more 1
        set digest [r debug digest]
        stop_server -signal KILL
        start_again {appendonly yes}
        expect [r debug digest] $digest
        r config set appendonly no
        expect [info_field persistence aof_enabled] 0
        r set lost 1
    }
}

test "a transaction is one unit: all of it or nothing is there after a kill" {
    start_server {appendonly yes} {
        set c [connect]
        for {set round 0} {$round < 5} {incr round} {
            set bytes {}
            for {set i 0} {$i < 2000} {incr i} {
                append bytes "MULTI\r\nINCR a\r\nINCR b\r\nINCR c\r\nEXEC\r\n"
            }
            set c [connect]
            $c -raw $bytes
            for {set i 0} {$i < 5} {incr i} {
                $c -receive
            }
            restart_server -signal KILL
            lassign [r mget a b c] a b c_value
            expect [list $a $b $c_value] [list $a $a $a]
            expect_true {$a >= 1}
        }
    }
}

# ---- Snapshots ----

test "FLUSHALL with save points, and without a log, makes a snapshot" {
    start_server {save "3600 1"} {
        r set k v
        expect [r save] OK
        r flushall
        wait_until {[info_field persistence rdb_changes_since_last_save] == 0}
        restart_server -signal KILL
        expect [r dbsize] 0
    }
    start_server {save ""} {
        r set k v
        expect [r save] OK
        r flushall
        after 300
        restart_server -signal KILL
        expect [r dbsize] 1
    }
}

# ---- The start ----

# Starts the stopped server again, so slowly that it still reads its files; a client of it.
proc start_reading {} {
    set id [server id]
    dict set server::of($id,options) key-load-delay 50000
    server::spawn $id
    wait_until { ![catch { connect } ::reading] } 10
    return $::reading
}

foreach {kind options} {log {appendonly yes} snapshot {save "3600 1" rdbcompression no}} {
    starling_test "While a $kind is read, clients are told LOADING" {
        start_server $options {
            populate 10000 k: 1000
            set digest [r debug digest]
            stop_server
            set c [start_reading]
            foreach command {{get k:1} {set a b} ping dbsize {config set appendonly no} {mesh nodes}
                             {debug reload} bgsave} {
                expect_error "LOADING Redis is loading the dataset in memory" { $c {*}$command }
            }
            $c multi
            expect_error "LOADING *" { $c get k:1 }
            expect_error "EXECABORT *" { $c exec }
            expect [$c config get port] [list port [server port]]
            set info [$c info persistence]
            expect [regexp {\nloading:1\r} $info] 1
            expect [regexp {loading_total_bytes:(\d+)} $info -> total] 1
            expect_range $total 10000000 11000000
            wait_until { [regexp {loading_loaded_perc:([1-9][0-9.]*)} [$c info persistence]] }
            # Both ways to end it in the middle change nothing.
            catch { $c shutdown }
            expect [wait_server_end] {}
            set c [start_reading]
            expect_error "LOADING *" { $c get k:1 }
            exec kill -TERM [server pid]
            expect [wait_server_end] {}
            start_again {key-load-delay 0}
            expect [r debug digest] $digest
            expect [info_field persistence loading] 0
        }
    }
}

starling_test "SIGTERM and SIGINT at any moment of a start end it in order" {
    start_server {appendonly yes} {
        populate 2000 k: 1000
        set digest [r debug digest]
        stop_server
        foreach signal {TERM INT} {
            foreach ms {2 5 10 20 40 80} {
                set said [file size [server log]]
                server::spawn [server id]
                after $ms
                set has_begun [expr {[file size [server log]] > $said}]
                exec kill -$signal [server pid]
                set end [wait_server_end]
                # Before the program has begun, nobody can listen to it.
                if {$has_begun} {
                    expect $end {}
                }
            }
        }
        start_again
        expect [r debug digest] $digest
    }
}

test "SAVE: all is there after a restart, and after a kill" {
    start_server {} {
        set digest [write_data]
        expect [r save] OK
        expect [info_field persistence rdb_changes_since_last_save] 0
        expect_range [r lastsave] [expr {[clock seconds] - 3}] [clock seconds]
        restart_server
        expect [r debug digest] $digest
        r set lost 1
        restart_server -signal KILL
        expect [r debug digest] $digest
        expect [r exists lost] 0
        expect_range [r ttl volatile] 9000 10000
    }
}

test "BGSAVE and LASTSAVE" {
    start_server {} {
        set digest [write_data]
        set before [r lastsave]
        after 1100
        expect [r bgsave] "Background saving started"
        wait_until {[r lastsave] > $before && [info_field persistence rdb_bgsave_in_progress] == 0} 20
        expect [info_field persistence rdb_last_bgsave_status] ok
        expect [info_field persistence rdb_changes_since_last_save] 0
        restart_server -signal KILL
        expect [r debug digest] $digest
        expect_error "ERR syntax error" { r bgsave foo }
        expect_error "ERR wrong number of arguments for 'save' command" { r save x }
        expect [r bgsave schedule] "Background saving started"
    }
}

test "BGSAVE is the state of one moment, whatever is written meanwhile" {
    start_server {} {
        populate 30000 k: 50
        set digest [r debug digest]
        set commands {}
        expect [r bgsave] "Background saving started"
        for {set i 0} {$i < 30000} {incr i} {
            lappend commands [list set k:$i changed:$i] [list set new:$i v]
        }
        for {set i 0} {$i < 30000} {incr i 3} {
            lappend commands [list del k:$i]
        }
        r -pipeline $commands
        wait_until {[info_field persistence rdb_bgsave_in_progress] == 0} 30
        expect [info_field persistence rdb_last_bgsave_status] ok
        restart_server -signal KILL
        expect [r dbsize] 30000
        expect [r debug digest] $digest
    }
}

# Twenty thousand elements of each kind, in commands of a hundred.
proc fill_large {} {
    set commands {}
    for {set i 0} {$i < 20000} {incr i 100} {
        set hash [list hset h]
        set set [list sadd s]
        set sorted [list zadd z]
        set list [list rpush l]
        for {set j $i} {$j < $i + 100} {incr j} {
            lappend hash f:$j v:$j
            lappend set m:$j
            lappend sorted [expr {$j % 977}] m:$j
            lappend list v:$j
            lappend commands [list xadd x [expr {$j + 1}]-0 f v:$j]
        }
        lappend commands $hash $set $sorted $list
    }
    r -pipeline $commands
}

# Elements that are changed, come and go; half of the keys go as a whole.
proc change_large {} {
    set commands {}
    for {set i 0} {$i < 20000} {incr i 7} {
        lappend commands [list hset h f:$i changed new:$i v] [list hdel h f:[expr {$i + 1}]] \
            [list srem s m:$i] [list zadd z 1.5 m:$i] [list zrem z m:[expr {$i + 2}]] \
            [list lset l [expr {$i / 4}] changed] [list lpop l] [list rpush l new] \
            [list xdel x [expr {$i + 1}]-0]
    }
    lappend commands {xtrim x maxlen 9000} {del s} {set l x} {unlink z} {zadd z 1 again}
    r -pipeline $commands
}

foreach appendonly {no yes} {
    test "BGSAVE of large collections while they change and go, appendonly $appendonly" {
        start_server [list appendonly $appendonly] {
            r config resetstat
            fill_large
            set digest [r debug digest]
            expect [r bgsave] "Background saving started"
            change_large
            if {$appendonly} {
                set digest [r debug digest]
            }
            wait_until {[info_field persistence rdb_bgsave_in_progress] == 0} 30
            expect [info_field persistence rdb_last_bgsave_status] ok
            wait_until {[info_field memory lazyfree_pending_objects] == 0} 10
            expect_true {[info_field memory lazyfreed_objects] >= 2}
            restart_server -signal KILL
            expect [r debug digest] $digest
            if {!$appendonly} {
                expect [list [r hlen h] [r scard s] [r zcard z] [r llen l] [r xlen x]] \
                    {20000 20000 20000 20000 20000}
                expect [list [r hget h f:7] [r lindex l 0] [r lindex l -1] [r zscore z m:14]] \
                    {v:7 v:0 v:19999 14}
            }
        }
    }
}

test "a second BGSAVE while one runs" {
    start_server {} {
        populate 100000 k: 50
        set replies [r -pipeline {bgsave bgsave {bgsave schedule} save}]
        expect [lindex $replies 0] "Background saving started"
        expect [lindex $replies 1] "-ERR Background save already in progress"
        expect [lindex $replies 3] "-ERR Background save already in progress"
        wait_until {[info_field persistence rdb_bgsave_in_progress] == 0} 30
        expect [info_field persistence rdb_last_bgsave_status] ok
    }
}

test "a snapshot that a transaction asks for comes behind it" {
    start_server {} {
        r set k 1
        expect [r -pipeline {multi {incr k} bgsave {incr k} exec}] \
            {OK QUEUED QUEUED QUEUED {2 {Background saving scheduled} 3}}
        wait_until {[info_field persistence rdb_changes_since_last_save] == 0 &&
            [info_field persistence rdb_bgsave_in_progress] == 0} 15
        expect [r -pipeline {multi bgrewriteaof exec}] \
            {OK QUEUED {{Background append only file rewriting scheduled}}}
        restart_server -signal KILL
        expect [r get k] 3
    }
}

test "save points take snapshots by themselves" {
    start_server {save "1 10"} {
        set before [info_field persistence rdb_changes_since_last_save]
        for {set i 0} {$i < 20} {incr i} {
            r set k:$i v
        }
        expect_true {[info_field persistence rdb_changes_since_last_save] >= 20}
        wait_until {[info_field persistence rdb_changes_since_last_save] == 0 &&
            [info_field persistence rdb_bgsave_in_progress] == 0} 15
        restart_server -signal KILL
        expect [r dbsize] 20
    }
}

test "with save points a shutdown saves; with none it does not" {
    start_server {save "900 1"} {
        r set k v
        restart_server
        expect [r get k] v
        r set k w
        stop_server
        start_again {save ""}
        expect [r get k] w
        r set k lost
        restart_server
        expect [r get k] w
        catch { r shutdown save }
        wait_server_end
        start_again
        expect [r get k] w
    }
}

test "a large data set over SAVE and over the log" {
    start_server {appendonly yes} {
        populate 50000 a: 20
        populate 2000 b: 5000
        set digest [r debug digest]
        restart_server
        expect [r debug digest] $digest
        r save
        restart_server -signal KILL
        expect [r debug digest] $digest
        expect [r dbsize] 52000
    }
}

test "DEBUG RELOAD and DEBUG LOADAOF" {
    start_server {appendonly yes} {
        set digest [write_data]
        expect [r debug reload] OK
        expect [r debug digest] $digest
        expect [r debug loadaof] OK
        expect [r debug digest] $digest
        r set more 1
        set digest [r debug digest]
        restart_server -signal KILL
        expect [r debug digest] $digest
    }
}

# ---- A disk that fails ----

test "snapshots that fail are told, and refuse writes until it is allowed" {
    set dir $::temporary/vanishes
    file mkdir $dir
    start_server [list dir $dir save "3600 1"] {
        r set k v
        file delete -force $dir
        expect_error "ERR*" { r save }
        catch { r bgsave }
        wait_until {[info_field persistence rdb_last_bgsave_status] eq "err"}
        foreach words {{set k w} {incr n} {del k}} {
            expect_error "MISCONF *stop-writes-on-bgsave-error*" { r {*}$words }
        }
        expect [r get k] v
        r config set stop-writes-on-bgsave-error no
        expect [r set k w] OK
        expect_error "ERR Errors trying to SHUTDOWN. Check logs." { r shutdown save }
        expect [r ping] PONG
        r config set save ""
    }
}

# ---- Damage: Starling's own files ----

if {[server_is_starling]} {
    test "the files of a data directory" {
        start_server {appendonly yes} {
            r set k v
            expect_true {[llength [segments]] >= 1}
            expect [file exists [server dir]/node.state] 1
            r save
            expect [llength [snapshots]] 1
            expect [data_files *.tmp] {}
        }
    }
    test "WAITAOF waits until the connection's writes are on the disk" {
        start_server {appendonly yes appendfsync everysec} {
            # On new connections, and on one that has waited for something else.
            for {set i 0} {$i < 3} {incr i} {
                set c [connect]
                $c set k $i
                expect [$c waitaof 1 0 0] {1 0}
                $c set k again
                expect [$c wait 1 1] 0
                expect [$c waitaof 1 0 0] {1 0}
                $c set k again
                expect [$c blpop none 0.001] {}
                expect [$c waitaof 1 0 0] {1 0}
            }
            expect [r waitaof 0 0 0] {1 0}
            r config set appendfsync no
            r set k unsynced
            expect [r waitaof 1 0 20] {0 0}
            expect [r waitaof 0 1 20] {0 0}
            set c [connect]
            $c set k unsynced
            $c -send waitaof 1 0 0
            wait_until { [info_field clients blocked_clients] == 1 }
            r config set appendonly no
            expect_error "ERR WAITAOF cannot be used when numlocal is set*" { r waitaof 1 0 0 }
            expect_error "ERR WAITAOF cannot be used when numlocal is set*" { $c -receive }
        }
    }
    test "segments are closed at log-segment-size and dropped after a snapshot" {
        start_server {appendonly yes log-segment-size 65536 log-retention-size 0} {
            for {set i 0} {$i < 50} {incr i} {
                r set k:$i [random_bytes 10000]
            }
            expect_true {[llength [segments]] >= 5}
            set digest [r debug digest]
            restart_server -signal KILL
            expect [r debug digest] $digest
            r bgrewriteaof
            wait_until {[info_field persistence aof_rewrite_in_progress] == 0 &&
                [llength [segments]] <= 2} 20
            restart_server -signal KILL
            expect [r debug digest] $digest
        }
    }
    test "two servers cannot share a directory" {
        start_server {appendonly yes} {
            set dir [server dir]
            r set k v
            start_server {} {
                stop_server
                lassign [start_again_fails [list dir $dir appendonly yes]] log status
                expect_match $log "*$dir*"
            }
            expect [r get k] v
        }
    }
    test "a torn tail is cut off, with a message, and everything before it is there" {
        foreach cut {1 3 20} {
            start_server {appendonly yes} {
                for {set i 0} {$i < 100} {incr i} {
                    r set k:$i v:$i
                }
                stop_server -signal KILL
                set path [lindex [segments] end]
                set text [read_file $path]
                write_file $path [string range $text 0 end-$cut]
                start_again
                expect [r dbsize] 99
                expect [r get k:98] v:98
                expect_match [server_log] "*[file tail $path]*"
                r set more 1
                set digest [r debug digest]
                restart_server -signal KILL
                expect [r debug digest] $digest
            }
        }
    }
    test "damage in the middle stops the start, names file and offset; --check and --repair" {
        start_server {appendonly yes} {
            for {set i 0} {$i < 1000} {incr i} {
                r set k:$i value:$i
            }
            stop_server -signal KILL
            set path [lindex [segments] end]
            set text [read_file $path]
            set at [expr {[string length $text] / 2}]
            set byte [scan [string index $text $at] %c]
            set damaged [string replace $text $at $at [format %c [expr {$byte ^ 0x55}]]]
            write_file $path $damaged

            lassign [start_again_fails] log status
            expect $status 1
            expect_match $log "*[file tail $path]*"
            expect_match $log "*offset*"
            expect_match $log "*--repair*"
            expect [read_file $path] $damaged

            lassign [run_program --check [server dir]] status output
            expect $status 1
            expect_match $output "*[file tail $path]*offset*"
            expect [read_file $path] $damaged

            lassign [run_program --repair [server dir]] status output
            expect $status 0
            expect_match $output "*[file tail $path]*"
            lassign [run_program --check [server dir]] status output
            expect $status 0

            start_again
            set size [r dbsize]
            expect_range $size 300 700
            # An honest prefix.
            expect [r get k:0] value:0
            expect [r get k:[expr {$size - 1}]] value:[expr {$size - 1}]
            expect [r exists k:$size] 0
            r set more 1
            set digest [r debug digest]
            restart_server -signal KILL
            expect [r debug digest] $digest
        }
    }
    test "a damaged snapshot stops the start and is named" {
        start_server {} {
            populate 1000
            r save
            stop_server
            set path [lindex [snapshots] end]
            set text [read_file $path]
            foreach at [list 10 [expr {[string length $text] / 2}] [expr {[string length $text] - 3}]] {
                set byte [scan [string index $text $at] %c]
                write_file $path [string replace $text $at $at [format %c [expr {$byte ^ 0xff}]]]
                lassign [start_again_fails] log status
                expect $status 1
                expect_match $log "*[file tail $path]*"
                lassign [run_program --check [server dir]] status output
                expect $status 1
            }
            write_file $path [string range $text 0 end-1]
            lassign [start_again_fails] log status
            expect_match $log "*[file tail $path]*"
            write_file $path $text
            lassign [run_program --check [server dir]] status output
            expect $status 0
            start_again
            expect [r dbsize] 1000
        }
    }
    test "--check of a good directory, of an empty one and of none" {
        start_server {appendonly yes} {
            write_data
            stop_server
            lassign [run_program --check [server dir]] status output
            expect $status 0
            file mkdir [server dir]/empty
            lassign [run_program --check [server dir]/empty] status output
            expect $status 0
            lassign [run_program --check /nonexistent/dir] status output
            expect $status 1
            expect_match $output "*/nonexistent/dir*"
            lassign [run_program --check] status output
            expect $status 1
            start_again
        }
    }
    test "an unfinished snapshot is ignored and removed" {
        start_server {} {
            r set k v
            r save
            stop_server
            write_file [server dir]/snapshot-00000000000000ff.tmp garbage
            start_again
            expect [r get k] v
            expect [data_files *.tmp] {}
        }
    }
    test "the clock does not go back over a restart" {
        start_server {appendonly yes} {
            r set k 1
            restart_server -signal KILL
            r set k 2
            restart_server -signal KILL
            expect [r get k] 2
        }
    }
}
