# SPDX-License-Identifier: BSD-3-Clause
# Limits and addresses: maxclients, timeout, buffers, sizes, protected mode, IPv6.

# How many clients the server has, the asking one included.
proc clients_count {} {
    return [llength [split [string trim [r client list]] \n]]
}

start_server {} {
    test "maxclients: one too many is told so and closed" {
        with_config {maxclients 10} {
            set clients {}
            for {set i 0} {$i < 9} {incr i} {
                set c [connect]
                $c ping
                lappend clients $c
            }
            set before [info_field stats rejected_connections]
            set c [connect]
            expect_error "ERR max number of clients reached" { $c -receive }
            expect [$c -eof] 1
            expect [expr {[info_field stats rejected_connections] - $before}] 1
            [lindex $clients 0] -close
            wait_until {[clients_count] == 9}
            expect [[connect] ping] PONG
            # Those that are there stay when the limit sinks.
            r config set maxclients 5
            expect [[lindex $clients 5] ping] PONG
        }
    }
    test "maxclients from the command line" {
        start_server {maxclients 3} {
            expect [config_get maxclients] 3
            expect [info_field clients maxclients] 3
            set a [connect]
            set b [connect]
            $a ping
            $b ping
            set c [connect]
            expect_error "ERR max number of clients reached" { $c -receive }
        }
    }
    test "timeout closes idle clients and no others" {
        with_config {timeout 1} {
            set c [connect]
            $c ping
            set waiting [connect]
            $waiting -send wait 1 0
            wait_until {[clients_count] == 2} 8
            expect [$c -eof] 1
            expect [r ping] PONG
            $waiting -close
        }
    }
    test "timeout 0 keeps idle clients" {
        set c [connect]
        $c ping
        after 1500
        expect [$c ping] PONG
    }
    test "client-query-buffer-limit" {
        with_config {client-query-buffer-limit 1mb} {
            set c [connect]
            catch {
                $c -raw "*3\r\n\$3\r\nSET\r\n\$1\r\nk\r\n\$3000000\r\n"
                for {set i 0} {$i < 30} {incr i} {
                    $c -raw [string repeat x 100000]
                }
            }
            expect_true {[$c -eof]}
            expect [r exists k] 0
            r set k [string repeat x 500000]
            expect [r strlen k] 500000
        }
    }
    test "proto-max-bulk-len" {
        with_config {proto-max-bulk-len 1mb} {
            r set k [string repeat x 1048576]
            expect [r strlen k] 1048576
            set c [connect]
            $c -raw "*3\r\n\$3\r\nSET\r\n\$1\r\nk\r\n\$1048577\r\n"
            expect_error "ERR Protocol error: invalid bulk length" { $c -receive }
            expect [$c -eof] 1
        }
        expect [r set k [string repeat x 1100000]] OK
    }
    test "client-output-buffer-limit, hard: a client that does not read is closed" {
        with_config {client-output-buffer-limit "normal 1mb 0 0"} {
            r set k [string repeat x 200000]
            set c [connect]
            set address [$c -address]
            $c -raw [string repeat "GET k\r\n" 1000]
            wait_until {![string match "*addr=$address *" [r client list]]} 10
            expect [r ping] PONG
        }
    }
    test "client-output-buffer-limit, hard: a reply of repeated elements ends where the limit does" {
        r hset h f v
        r sadd s m
        r zadd z 1 m
        with_config {client-output-buffer-limit "normal 1mb 0 0"} {
            foreach command {{hrandfield h -1000000000} {hrandfield h -1000000000 withvalues}} {
                set c [connect]
                $c -send {*}$command
                expect_true {[$c -eof]}
            }
            if {[server_is_starling]} {
                foreach command {{srandmember s -1000000000} {zrandmember z -1000000000}} {
                    set c [connect]
                    $c -send {*}$command
                    expect_true {[$c -eof]}
                }
            }
            expect [llength [r hrandfield h -1000]] 1000
        }
    }
    test "client-output-buffer-limit, soft: only after its time" {
        with_config {client-output-buffer-limit "normal 0 1mb 2"} {
            r set k [string repeat x 200000]
            set c [connect]
            set address [$c -address]
            set start_ms [clock milliseconds]
            $c -raw [string repeat "GET k\r\n" 500]
            r ping
            expect_match [r client list] "*addr=$address *"
            wait_until {![string match "*addr=$address *" [r client list]]} 15
            expect_true {[clock milliseconds] - $start_ms >= 1000}
        }
    }
    test "no output limit: all that was asked for arrives" {
        r set k [string repeat x 200000]
        set c [connect]
        $c -raw [string repeat "GET k\r\n" 300]
        after 200
        for {set i 0} {$i < 300} {incr i} {
            expect [string length [$c -receive]] 200000
        }
    }
    test "omem of CLIENT LIST grows with what waits" {
        r set k [string repeat x 500000]
        set c [connect]
        set address [$c -address]
        $c -raw [string repeat "GET k\r\n" 100]
        wait_until {
            [regexp "addr=$address .* tot-mem=(\\d+)" [r client list] all memory] &&
            $memory > 10000000
        }
        $c -close
        wait_until {[clients_count] == 1}
    }
    test "the other clients are served while one floods" {
        set flood [connect]
        $flood -raw [string repeat "SET flood [string repeat x 100]\r\n" 100000]
        set start_ms [clock milliseconds]
        for {set i 0} {$i < 20} {incr i} {
            expect [r ping] PONG
        }
        expect_true {[clock milliseconds] - $start_ms < 5000 * [patience]}
    }
}

# ---- Addresses ----

test "several bind addresses" {
    start_server {config_file "bind 127.0.0.1 127.0.0.3\n" bind unset} {
        expect [[connect -host 127.0.0.3] ping] PONG
        expect [r ping] PONG
        expect_true {[catch { connect -host 127.0.0.2 }]}
        expect_match [[connect -host 127.0.0.3] client info] "*laddr=127.0.0.3:[server port] *"
    }
}

proc has_ipv6 {} {
    return [expr {![catch { close [socket -server {} -myaddr ::1 0] }]}]
}

test "IPv6" {
    if {![has_ipv6]} {
        skip "no IPv6 here"
    }
    start_server {config_file "bind 127.0.0.1 ::1\n" bind unset} {
        set c [connect -host ::1]
        expect [$c ping] PONG
        expect_match [$c client info] {*addr=\[::1\]:* laddr=\[::1\]:*}
        regexp {addr=(\S+)} [$c client info] all address
        expect [r client kill $address] OK
        expect [$c -eof] 1
    }
}

test "an address that may be missing, and one that may not" {
    start_server {config_file "bind 127.0.0.1 -240.0.0.1\n" bind unset} {
        expect [r ping] PONG
        stop_server
        write_file [server dir]/server.conf "bind 127.0.0.1 240.0.0.1\n"
        lassign [start_again_fails] log status
        expect_match $log "*240.0.0.1*"
    }
}

test "a port that is taken" {
    start_server {} {
        set port [server port]
        start_server {} {
            stop_server
            lassign [start_again_fails [list port $port]] log status
            expect $status 1
            expect_match $log "*in use*"
        }
        expect [r ping] PONG
    }
}

# An address of this machine that is not its loopback.
proc outer_address {} {
    if {[catch { exec hostname -I } addresses]} {
        return {}
    }
    foreach address $addresses {
        if {[regexp {^\d+\.\d+\.\d+\.\d+$} $address]} {
            return $address
        }
    }
    return {}
}

test "protected mode refuses strangers until there is a password" {
    set address [outer_address]
    if {$address eq ""} {
        skip "this machine has no address but its loopback"
    }
    start_server [list bind "*" protected-mode yes] {
        set c [connect -host $address]
        expect_error "DENIED * is running in protected mode *" { $c -receive }
        expect [$c -eof] 1
        expect [r ping] PONG
        r config set protected-mode no
        expect [[connect -host $address] ping] PONG
        r config set protected-mode yes
        r config set requirepass secret
        set c [connect -host $address]
        expect_error "NOAUTH*" { $c ping }
        expect [$c auth secret] OK
    }
}

# ---- Files ----

test "pidfile and logfile" {
    start_server {} {
        set dir [server dir]
        stop_server
        start_again [list pidfile $dir/pid logfile $dir/own.log]
        expect [string trim [read_file $dir/pid]] [server pid]
        expect_match [read_file $dir/own.log] "*Ready to accept connections*"
        stop_server
        expect [file exists $dir/pid] 0
    }
}

test "daemonize" {
    start_server {} {
        stop_server
        set pidfile [server dir]/daemon.pid
        lassign [run_program --port [server port] --dir [server dir] --daemonize yes --save "" \
            --pidfile $pidfile --logfile [server dir]/daemon.log] status output
        expect $status 0
        wait_until {![catch { set c [connect] }] && ![catch { $c ping }]}
        wait_until {[file exists $pidfile] && [string trim [read_file $pidfile]] ne ""}
        set pid [string trim [read_file $pidfile]]
        regexp {process_id:(\d+)} [$c info server] all process_id
        expect $process_id $pid
        catch { $c shutdown nosave }
        wait_until {![file exists /proc/$pid]} 15
        expect [file exists $pidfile] 0
        start_again
    }
}

test "what a start prints: its process, and when it is ready" {
    start_server {} {
        expect_true {[regexp "(PID: |pid=)[server pid]\\M.*Ready to accept connections" [server_log]]}
    }
}

test "dir that does not exist" {
    start_server {} {
        stop_server
        lassign [start_again_fails {dir /nonexistent/dir}] log status
        expect $status 1
        expect_match $log "*/nonexistent/dir*"
    }
}
