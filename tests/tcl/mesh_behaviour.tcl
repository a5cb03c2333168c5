# SPDX-License-Identifier: BSD-3-Clause
# How the mesh behaves over real processes: joining, cuts, kills, refusals, waiting, limits.

if {![server_is_starling]} {
    return
}

# The row of a peer in MESH NODES, by its mesh address, as a dict.
proc node_row {name address} {
    foreach row [node $name mesh nodes] {
        if {[dict get $row address] eq $address} {
            return $row
        }
    }
    return {}
}

# What a row of MESH NODES says of changes, out and in.
proc lags_in_changes {row} {
    return [expr {$row eq {} ? {} : [list [dict get $row lag-out-changes] [dict get $row \
        lag-in-changes]]}]
}

start_mesh 3 {appendonly yes} {

    mesh_test "a SET on one node is read on the others; an idle round carries no key data" {
        node A set k v
        wait_until { [node B get k] eq "v" && [node C get k] eq "v" }
        set before [mesh_field A mesh_records_out]
        after 400
        expect [mesh_field A mesh_records_out] $before
    }

    mesh_test "MESH NODES names everybody" {
        set rows [node A mesh nodes]
        expect [llength $rows] 3
        foreach name {A B C} {
            set row [node_row A [mesh_address $name]]
            expect [dict get $row state] alive
            expect_match [dict get $row id] ????????????????????????????????
            expect_true { [dict get $row generation] > 0 }
        }
        expect [dict get [node_row A [mesh_address B]] link] up
    }

    mesh_test "INFO mesh and INFO replication" {
        expect [mesh_field A mesh_enabled] 1
        expect [mesh_field A mesh_links_up] 2
        expect [mesh_field A mesh_nodes_alive] 2
        expect_match [node A info replication] "*role:master*connected_slaves:0*"
    }

    mesh_test "WAIT counts the peers that have applied" {
        node A set k v
        expect [node A wait 2 5000] 2
        cut A B
        cut A C
        node A set k w
        expect [node A wait 1 100] 0
        heal
        node A set k x
        expect [node A wait 2 10000] 2
    }

    mesh_test "a token carries one's writes to another node" {
        node A set k 1
        set token [node A mesh token]
        expect [node B mesh waittoken $token 5000] 1
        expect [node B get k] 1
        cut A
        node A set k 2
        set token [node A mesh token]
        expect [node B mesh waittoken $token 50] 0
        set c [node_connect B]
        $c -send mesh waittoken $token 20000
        heal
        expect [$c -receive] 1
        expect [$c get k] 2
        expect_error "ERR*" { node B mesh waittoken nonsense 10 }
    }

    mesh_test "a lost link: what was written meanwhile comes from the log, not from a snapshot" {
        set before [mesh_field B mesh_syncs_snapshot]
        cut A B
        cut B C
        for {set i 0} {$i < 1000} {incr i} {
            node A incr n
        }
        heal
        converged
        everywhere 1000 get n
        expect [mesh_field B mesh_syncs_snapshot] $before
    }

    mesh_test "lag in changes: what a peer has not acknowledged, none once it has" {
        proc no_lag {} {
            foreach name {A B C} {
                foreach field {mesh_lag_out_changes_max mesh_lag_in_changes_max} {
                    if {[mesh_field $name $field] != 0} {
                        return 0
                    }
                }
            }
            return 1
        }
        wait_until { [no_lag] } 10
        cut A
        for {set i 0} {$i < 100} {incr i} {
            node A set lag:$i v
        }
        node B set other v
        foreach name {B C} {
            expect [dict get [node_row A [mesh_address $name]] lag-out-changes] 100
            expect [dict get [node_row $name [mesh_address A]] lag-out-changes] 1
        }
        expect [dict get [node_row A [mesh_address A]] lag-out-changes] 0
        expect [mesh_field A mesh_lag_out_changes_max] 100
        heal
        linked
        converged
        wait_until { [no_lag] } 10
        foreach name {B C} {
            # After a new link a gossip round tells it.
            wait_until { [lags_in_changes [node_row A [mesh_address $name]]] eq {0 0} } 10
        }
    }

    mesh_test "lag in changes is -1 where nothing is known of the peer" {
        node A set k v
        converged
        # Known is what it has seen, but not what it says, as there is no link.
        stop_node B
        wait_until { [lags_in_changes [node_row A [mesh_address B]]] eq {0 -1} } 10
        node A set k w
        wait_until { [lags_in_changes [node_row A [mesh_address B]]] eq {1 -1} } 10
        # Another life of A, alone, knows that there were B and C, and no more.
        stop_node C
        stop_node A
        start_node A
        wait_until { [catch { node A get k } value] == 0 && $value eq "w" } 20
        set others 0
        foreach row [node A mesh nodes] {
            expect [lags_in_changes $row] [expr {[dict get $row self] ? {0 0} : {-1 -1}}]
            incr others [expr {![dict get $row self]}]
        }
        expect $others 2
        start_node B
        start_node C
        linked 20
        converged
        foreach {from to} {A B A C B A C A} {
            wait_until { [lags_in_changes [node_row $from [mesh_address $to]]] eq {0 0} } 10
        }
    }

    mesh_test "a relay delivers where the author cannot" {
        cut A C
        node A set k through
        wait_until { [node C get k] eq "through" } 10
        node C set back too
        wait_until { [node A get back] eq "too" } 10
    }

    mesh_test "C8, C9: acknowledged increments survive a kill, and count once" {
        node A set c 5
        node A incrby c 5
        stop_node A KILL
        start_node A
        linked
        node A incrby c 5
        converged
        everywhere 15 get c
    }

    mesh_test "C10: an old copy of the data directory loses nothing and counts nothing twice" {
        node A incrby c 10
        converged
        stop_node A
        set copy [file join $::temporary copy]
        file delete -force $copy
        file copy [node_dir A] $copy
        start_node A
        linked
        node A incrby c 7
        converged
        stop_node A KILL
        foreach file [glob -directory [node_dir A] -nocomplain *] {
            if {[file tail $file] ne "server.log"} {
                file delete -force $file
            }
        }
        foreach file [glob -directory $copy -nocomplain *] {
            if {[file tail $file] ne "server.log"} {
                file copy -force $file [node_dir A]
            }
        }
        start_node A
        linked
        node A incr c
        converged
        everywhere 18 get c
    }

    mesh_test "C12: three nodes count, one is killed in the middle" {
        foreach name {A B C} {
            set commands {}
            for {set i 0} {$i < 2000} {incr i} {
                lappend commands {incr total}
            }
            node $name -pipeline $commands
        }
        stop_node B KILL
        start_node B
        foreach name {A B C} {
            set commands {}
            for {set i 0} {$i < 1000} {incr i} {
                lappend commands {incr total}
            }
            node $name -pipeline $commands
        }
        linked
        converged
        everywhere 9000 get total
    }

    mesh_test "a value of 8 MiB and a thousand small ones" {
        set big [string repeat 0123456789abcdef 524288]
        node A set big $big
        node B -pipeline [lmap i [lrepeat 1000 x] { list set small:[incr ::small] v }]
        wait_until { [node C dbsize] >= 1000 } 10
        converged
        everywhere 8388608 strlen big
        everywhere 1001 dbsize
    }

    mesh_test "one hot counter ships few changes" {
        set before [mesh_field A mesh_bytes_out]
        set commands {}
        for {set i 0} {$i < 20000} {incr i} {
            lappend commands {incr hot}
        }
        node A -pipeline $commands
        converged
        everywhere 20000 get hot
        expect_true { [mesh_field A mesh_bytes_out] - $before < 200000 }
    }

    mesh_test "nodes that were cut say so, and mesh-min-peers-to-write refuses" {
        wait_until { [mesh_field A mesh_nodes_alive] == 2 } 10
        node A config set mesh-min-peers-to-write 1
        expect [node A set k 1] OK
        cut A
        wait_until { [mesh_field A mesh_nodes_dead] == 2 } 40
        expect_error "NOQUORUM*" { node A set k 2 }
        expect [node A get k] 1
        expect [mesh_field A mesh_has_quorum] 0
        node A config set mesh-min-peers-to-write 0
        expect [node A set k 3] OK
        heal
        converged
        everywhere 3 get k
        wait_until { [mesh_field A mesh_has_quorum] == 1 } 20
    }

    mesh_test "MESH CHECK finds no difference" {
        for {set i 0} {$i < 500} {incr i} {
            node [pick {A B C}] set key:$i $i
        }
        converged
        expect_match [node A mesh check] "*equal*"
    }

    mesh_test "MESH CHECK does not look at what deleted counters leave until they settle" {
        node A incr c
        node A hincrby h f 1
        node A del c h
        converged
        foreach name {A B C} {
            wait_until { [mesh_field $name mesh_keys_contested] == 0 } 20
        }
        # A reads its log, and mostly has them once more, for a moment; the others do not.
        stop_node A KILL
        start_node A
        converged
        for {set i 0} {$i < 20} {incr i} {
            set check [node A mesh check]
            expect [string match *DIFFERENT* $check] 0
            after 20
        }
    }

    mesh_test "MESH DIGEST, BACKLOG and CONFLICTS answer" {
        expect_true { [llength [node A mesh digest]] > 0 }
        expect_true { [llength [node A mesh backlog]] > 0 }
        concurrently {{set t a}} {{set t b}}
        set conflicts [node A mesh conflicts count 1]
        expect [llength $conflicts] 1
        expect [dict get [lindex $conflicts 0] key] t
    }
}

test "a joiner gets everything, answers LOADING meanwhile, and then only changes" {
    start_mesh 2 {} {
        set commands {}
        for {set i 0} {$i < 20000} {incr i} {
            lappend commands [list set key:$i [string repeat x 50]]
        }
        node A -pipeline $commands
        node B incrby n 3
        # Past what the log remembers.
        node A config set mesh-backlog-size 1mb
        node B config set mesh-backlog-size 1mb
        node A -pipeline $commands
        converged
        start_server [dict merge $mesh::options [list mesh-port [server::free_port] \
            mesh-seeds [list [mesh_address A] [mesh_address B]]]] {
            wait_until { ![catch { r dbsize } size] && $size == 20001 } 20
            expect [r get n] 3
            expect [r debug digest] [node A debug digest]
            set syncs [info_field mesh mesh_syncs_snapshot]
            expect_true { $syncs >= 1 }
            for {set i 0} {$i < 100} {incr i} {
                node A set more:$i v
            }
            wait_until { [r dbsize] == 20101 }
            expect [info_field mesh mesh_syncs_snapshot] $syncs
        }
    }
}

# Without a log on disk there is nothing else that a peer could read on from.
test "what a slow peer has yet to read stays in memory for a while, at nobody's cost" {
    start_mesh 2 {appendonly no mesh-backlog-size 8mb mesh-compression no} {
        set value [string repeat x 100000]
        set round {}
        for {set i 0} {$i < 20} {incr i} {
            lappend round [list set key:$i $value]
        }
        # The backlog is full, and nothing but it grows from here on.
        for {set i 0} {$i < 6} {incr i} {
            node A -pipeline $round
            converged
        }
        expect [node_field A memory mem_not_counted_for_evict] 0
        node A config set maxmemory-policy allkeys-random
        node A config set maxmemory \
            [expr {[node_field A memory used_memory] + (5 << 20)}]
        set full [mesh_field A mesh_backlog_bytes]
        set replies {}
        exec kill -STOP [node_pid B]
        # The system's buffers take some of it first.
        set beyond $full
        for {set i 0} {$i < 40 && $beyond <= 10 << 20} {incr i} {
            lappend replies {*}[node A -pipeline $round]
            set beyond [mesh_field A mesh_backlog_bytes]
        }
        set not_counted [node_field A memory mem_not_counted_for_evict]
        exec kill -CONT [node_pid B]
        converged
        expect [lsort -unique $replies] OK
        expect_true {$full <= 8 << 20}
        expect_true {$beyond > 10 << 20 && $beyond <= 17 << 20}
        expect $not_counted [expr {$beyond - (8 << 20)}]
        expect [node_field A stats evicted_keys] 0
        expect [mesh_field B mesh_syncs_snapshot] 0
        wait_until {[mesh_field A mesh_backlog_bytes] <= 8 << 20}
    }
}

test "other clusters, secrets and too many databases are refused by name" {
    start_mesh 1 {mesh-auth sesame} {
        set refused 0
        foreach {options reason} {
            {mesh-cluster-id other mesh-auth sesame} cluster
            {mesh-auth wrong} secret
            {} secret
            {mesh-auth sesame databases 4} databases
        } {
            set own [dict merge $mesh::options [list mesh-port [server::free_port] \
                mesh-seeds [mesh_address A]] $options]
            set before [mesh_field A mesh_refused_$reason]
            start_server $own {
                wait_until { [info_field mesh mesh_refused_$reason] >= 1
                    || [mesh_field A mesh_refused_$reason] > $before }
                r set crossed 1
                after 200
                expect [node A dbsize] 0
                expect [node A get crossed] {}
                foreach row [concat [r mesh nodes] [node A mesh nodes]] {
                    if {[dict get $row id] eq {}} {
                        expect [dict get $row link] refused
                        expect [lags_in_changes $row] {-1 -1}
                        incr refused
                    }
                }
            }
        }
        expect_true {$refused > 0}
        # The right secret is let in.
        set own [dict merge $mesh::options [list mesh-port [server::free_port] \
            mesh-seeds [mesh_address A] mesh-auth sesame]]
        start_server $own {
            r set crossed 1
            wait_until { [node A get crossed] == 1 }
        }
    }
}

test "garbage on the mesh port loses its link, not the server" {
    start_mesh 2 {} {
        foreach bytes [list "GET / HTTP/1.1\r\n\r\n" [string repeat "\xff" 100] \
            [binary format iica* 300000000 0 1 x] [binary format iica* 5 0 6 hello]] {
            set fd [socket 127.0.0.1 $mesh::ports(A)]
            fconfigure $fd -translation binary -blocking 0
            puts -nonewline $fd $bytes
            flush $fd
            wait_until { [catch { read $fd }] || [eof $fd] } 20
            close $fd
        }
        node A set k v
        wait_until { [node B get k] eq "v" }
    }
}

test "MESH LEAVE loses nothing, MESH FORGET and a return under a new generation" {
    start_mesh 3 {appendonly yes} {
        node C set last word
        set id [dict get [node_row A [mesh_address C]] id]
        expect_error "ERR There is no such node, or it is alive*" { node A mesh forget $id }
        expect [node C mesh leave] OK
        wait_until { [node A get last] eq "word" && [node B get last] eq "word" }
        stop_node C
        foreach name {A B} {
            wait_until { [dict get [node_row $name [mesh_address C]] state] eq "left" }
        }
        node A mesh forget $id
        node B mesh forget $id
        wait_until { [node_row A [mesh_address C]] eq {} }
        node A del last
        start_node C
        wait_until { [node_row A [mesh_address C]] ne {} } 20
        linked
        converged
        everywhere 0 exists last
    }
}

# The row of C on a node, once that has forgotten C's address.
proc state_by_id {name id} {
    foreach row [node $name mesh nodes] {
        if {[dict get $row id] eq $id} {
            return [dict get $row state]
        }
    }
    return gone
}

# All that write are killed at the same time, in the moment after they heard of it.
foreach {how expected} {leave left forget gone} {
    test "MESH [string toupper $how] is known though all others are killed and start again" {
        start_mesh 4 {appendonly yes} {
            node C set last word
            set id [dict get [node_row A [mesh_address C]] id]
            converged
            if {$how eq "leave"} {
                expect [node C mesh leave] OK
                stop_node C KILL
            } else {
                stop_node C KILL
                wait_until { [state_by_id A $id] eq "dead" } 60
                expect [node A mesh forget $id] OK
            }
            foreach name {A B D} {
                wait_until { [state_by_id $name $id] eq $expected }
            }
            foreach name {A B D} {
                stop_node $name KILL
            }
            foreach name {A B D} {
                start_node $name
            }
            foreach name {A B D} {
                wait_until { [mesh_field $name mesh_nodes_alive] == 2 } 30
                expect [state_by_id $name $id] $expected
            }
            node A set first word
            foreach name {A B D} {
                wait_until { [mesh_field $name mesh_frontier_age_ms] == 0 } 30
                expect [state_by_id $name $id] $expected
                expect [node $name get last] word
            }
            start_node C
            wait_until { [state_by_id A $id] eq "alive" } 60
            linked 30
            converged
            everywhere word get first
        }
    }
}

# D was out of reach while C, forgotten, made again what the others lacked: it has the originals.
test "What a forgotten node makes again counts once, though another brings the originals" {
    start_mesh 4 {appendonly yes} {
        node C incrby n 1
        node C hincrby h f 1
        converged
        foreach side {C D} {
            cut A $side
            cut B $side
        }
        node C incrby n 10
        node C hincrby h f 2
        wait_until { [node D get n] == 11 && [node D hget h f] == 3 }
        cut C D
        node D incrby n 100000
        set id [dict get [node_row A [mesh_address C]] id]
        wait_until { [dict get [node_row A [mesh_address C]] state] eq "dead" } 60
        node A mesh forget $id
        wait_until { [node_row B [mesh_address C]] eq {} } 30
        node A incrby n 1000
        foreach peer {A B} {
            node $peer debug mesh heal [mesh_address C]
            node C debug mesh heal [mesh_address $peer]
        }
        wait_until { [node A get n] == 1011 && [node B hget h f] == 3 } 90
        heal
        foreach name {A B C D} {
            wait_until { ![catch { node $name get n } n] && $n == 101011 } 90
        }
        converged 60
        everywhere 101011 get n
        everywhere 3 hget h f
        node D incrby n 1
        converged
        everywhere 101012 get n
    }
}

# A partition that lasts longer than mesh-forget-after: all write, all settle without the other side,
# and what only one side knows is there afterwards, once.
test "Two sides that forgot each other while both wrote lose nothing" {
    start_mesh 3 {appendonly yes mesh-forget-after 1} {
        set large [string repeat . 40000]
        foreach key {n gone set} { node A incrby $key 10 }
        node B hincrby h f 10
        node B zincrby z 10 m
        node A set large $large
        node A pfadd hll a
        node A sadd s both gone
        converged
        foreach name {B C} { node $name incrby n 100 }
        converged
        cut A
        node A incrby n 1000
        node B incrby n 10000
        node C incrby n 100000
        foreach {name delta} {A 1 B 2 C 4} {
            node $name hincrby h f $delta
            node $name zincrby z $delta m
            node $name setrange large [expr {$delta * 100}] $name
            node $name pfadd hll $name
            node $name sadd s only-$name
            node $name incrby new $delta
            node $name rpush l $name
        }
        node A del gone
        node C incrby gone 5
        node B set set 500
        node A incrby set 7
        node B srem s gone
        foreach {name other} {A B A C B A C A} {
            wait_until { [node_row $name [mesh_address $other]] eq {} } 60
        }
        foreach name {A B C} {
            node $name incrby n 1000000
            node $name setrange large [expr {[scan $name %c] * 10}] late
        }
        heal
        foreach name {A B C} {
            wait_until { [catch { node $name ping }] == 0 && [mesh_field $name mesh_joining] == 0 } 90
            wait_until { [catch { node $name get n } n] == 0 && $n == 3111210 } 90
        }
        linked 30
        converged 30
        everywhere 3111210 get n
        everywhere 17 hget h f
        everywhere 17 zscore z m
        everywhere 5 get gone
        everywhere 507 get set
        everywhere 7 get new
        everywhere 4 pfcount hll
        everywhere {both only-A only-B only-C} sort s alpha
        everywhere {A B C} sort l alpha
        foreach {delta name} {1 A 2 B 4 C} {
            everywhere $name getrange large [expr {$delta * 100}] [expr {$delta * 100}]
            set at [expr {[scan $name %c] * 10}]
            everywhere late getrange large $at [expr {$at + 3}]
        }
        everywhere 40000 strlen large
    }
}

test "DEBUG RELOAD keeps what several nodes count, and ghosts" {
    start_mesh 3 {appendonly yes} {
        # C is away, so nothing settles.
        cut C
        foreach name {A B} {
            node $name incrby n 3
            node $name incrby gone 3
            node $name hincrby h f 5
            node $name zincrby z 2 m
        }
        foreach name {A B} {
            wait_until { [node $name mget n gone] eq "6 6" && [node $name hget h f] == 10 }
        }
        node A del gone
        wait_until { [node B exists gone] == 0 }
        set digest [node A debug digest]
        expect [node A debug reload] OK
        expect [node A debug digest] $digest
        expect [node A mget n gone] {6 {}}
        expect [node A dbsize] 3
        heal
        linked
        converged
        everywhere 6 get n
        everywhere 10 hget h f
        everywhere 0 exists gone
        node B incrby gone 1
        converged
        everywhere 1 get gone
    }
}

test "MESH MEET brings a lone node in" {
    start_mesh 1 {} {
        node A set a 1
        set own [dict merge $mesh::options [list mesh-port [server::free_port]]]
        start_server $own {
            expect [r mesh meet 127.0.0.1 $mesh::ports(A)] OK
            wait_until { ![catch { r get a } value] && $value == 1 } 10
            r set b 2
            wait_until { [node A get b] == 2 }
        }
    }
}

test "a clock five minutes ahead is named, and the others do not follow it" {
    start_mesh 3 {} {
        node C debug clock-offset 300000
        wait_until { [dict get [node_row A [mesh_address C]] reason] eq "clock" } 20
        node C set far future
        node A set near now
        after 300
        expect [node A get far] {}
        expect_match [node_log A] "*clock*"
        node C debug clock-offset 0
        expect [lindex [node A time] 0] [lindex [node B time] 0]
    }
}

test "without a mesh the commands say so" {
    start_server {} {
        expect_match [r info mesh] "*mesh_enabled:0*"
        expect_error "ERR*" { r mesh meet 127.0.0.1 1 }
    }
}
