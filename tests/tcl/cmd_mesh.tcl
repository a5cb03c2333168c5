# SPDX-License-Identifier: BSD-3-Clause
# MESH, WAIT and what else a node says about its mesh: the forms of requests and replies, on a node
# that knows nobody yet. What several nodes do is in mesh_behaviour.tcl and mesh_rows.tcl.

if {![server_is_starling]} {
    return
}

start_server [list mesh-port [server::free_port] mesh-bind 127.0.0.1 mesh-gossip-interval 100] {

    test "MESH HELP, an unknown subcommand, wrong numbers of arguments" {
        expect_match [r mesh help] "*WAITTOKEN <token> <milliseconds>*"
        expect_error "ERR unknown subcommand 'nosuch'. Try MESH HELP." { r mesh nosuch }
        foreach request {meet forget waittoken {meet 127.0.0.1} {nodes x} {check x} {token x}} {
            expect_error "ERR wrong number of arguments for 'mesh|*" { r mesh {*}$request }
        }
    }

    test "MESH NODES shows this node" {
        set rows [r mesh nodes]
        expect [llength $rows] 1
        set row [lindex $rows 0]
        expect [dict get $row self] 1
        expect [dict get $row link] self
        expect [list [dict get $row lag-out-changes] [dict get $row lag-in-changes]] {0 0}
        expect [dict get $row id] [info_field server starling_node_id]
        expect [dict get $row generation] [info_field server starling_generation]
        expect [dict get $row address] 127.0.0.1:[config_get mesh-port]
    }

    test "MESH INFO is INFO mesh" {
        set fields [r mesh info]
        expect [dict get $fields enabled] 1
        expect [dict get $fields cluster_id] starling
        expect [dict get $fields address] [info_field mesh mesh_address]
        foreach field {lag_out_changes_max lag_in_changes_max refused_secret syncs_log syncs_snapshot bytes_out has_quorum} {
            expect [dict get $fields $field] [info_field mesh mesh_$field]
        }
        expect_match [r info] "*# Mesh*mesh_enabled:1*"
    }

    test "MESH MEET refuses what is no address" {
        expect_error "ERR Invalid port" { r mesh meet 127.0.0.1 0 }
        expect_error "ERR Invalid port" { r mesh meet 127.0.0.1 65536 }
        expect_error "ERR Invalid port" { r mesh meet 127.0.0.1 x }
        expect_error "ERR Invalid host" { r mesh meet "" 1 }
        expect_error "ERR Invalid host" { r mesh meet "a b" 1 }
    }

    test "MESH FORGET refuses what is no node" {
        expect_error "ERR Invalid node id*" { r mesh forget abc }
        expect_error "ERR Invalid node id*" { r mesh forget [string repeat g 32] }
        expect_error "ERR There is no such node*" { r mesh forget [string repeat a 32] }
        expect_error "ERR wrong number of arguments*" { r mesh forget [string repeat a 32] now }
    }

    test "MESH DIGEST shows how far this node has seen itself" {
        r set k v
        set own {}
        foreach row [r mesh digest] {
            if {[dict get $row self]} {
                set own $row
            }
        }
        expect [dict get $own id] [info_field server starling_node_id]
        expect_range [dict get $own seen-ms] [expr {[clock milliseconds] - 5000}] \
            [expr {[clock milliseconds] + 1000}]
        set before [dict get $own seen-ticks]
        r set k w
        expect_true { [dict get [lindex [r mesh digest] 0] seen-ticks] > $before }
    }

    test "MESH BACKLOG grows with writes, up to its size" {
        set before [dict get [r mesh backlog] records]
        r set k [string repeat x 1000]
        expect [dict get [r mesh backlog] records] [expr {$before + 1}]
        expect [dict get [r mesh backlog] bytes-max] 67108864
        r config set mesh-backlog-size 64kb
        for {set i 0} {$i < 400} {incr i} {
            r set k [string repeat x 1000]
        }
        expect_range [dict get [r mesh backlog] bytes] 1000 150000
        expect_range [dict get [r mesh backlog] records] 1 150
        r config set mesh-backlog-size 64mb
    }

    test "what is kept for peers is no data, in INFO memory and MEMORY STATS" {
        r set large [string repeat x 100000]
        expect [expr {[info_field memory mem_replication_backlog] > 100000}] 1
        expect [expr {[dict get [r memory stats] replication.backlog] > 100000}] 1
        expect [expr {[dict get [r memory stats] overhead.total] > 100000}] 1
        r del large
    }

    test "MESH CONFLICTS is empty, and its COUNT is checked" {
        expect [r mesh conflicts] {}
        expect [r mesh conflicts count 5] {}
        expect_error "ERR syntax error" { r mesh conflicts 5 }
        expect_error "ERR syntax error" { r mesh conflicts some 5 }
        expect_error "ERR value is not an integer*" { r mesh conflicts count x }
        expect_error "ERR COUNT must not be negative" { r mesh conflicts count -1 }
    }

    test "MESH TOKEN and WAITTOKEN: one's own token is seen at once" {
        r set k v
        set token [r mesh token]
        expect_match $token {[A-Za-z0-9_-]*}
        expect [r mesh waittoken $token 0] 1
        r multi
        r set k w
        r mesh token
        set token [lindex [r exec] 1]
        expect [r mesh waittoken $token 10] 1
        foreach bad [list "" nonsense $token= [string range $token 0 end-1] [string toupper $token]] {
            expect_error "ERR Invalid token" { r mesh waittoken $bad 10 }
        }
        expect_error "ERR timeout is negative" { r mesh waittoken $token -1 }
        expect_error "ERR timeout is not an integer*" { r mesh waittoken $token x }
    }

    test "MESH WAITTOKEN waits for what another node has seen, until its time is over" {
        start_server [list mesh-port [server::free_port] mesh-bind 127.0.0.1] {
            r set other 1
            set token [r mesh token]
        }
        set began [clock milliseconds]
        expect [r mesh waittoken $token 120] 0
        expect_range [expr {[clock milliseconds] - $began}] 100 2000
        set c [connect -port [server port]]
        set id [$c client id]
        $c -send mesh waittoken $token 0
        wait_until { [r client unblock $id] == 1 }
        expect [$c -receive] 0
        $c -send mesh waittoken $token 0
        wait_until { [r client unblock $id error] == 1 }
        expect_match [catch { $c -receive } message]$message "1UNBLOCKED*"
        r multi
        r mesh waittoken $token 0
        expect [r exec] 0
    }

    test "WAIT: nobody acknowledges" {
        r set k v
        expect [r wait 0 0] 0
        expect [r wait 1 50] 0
    }

    test "mesh-min-peers-to-write refuses writes, and nothing else" {
        r set k v
        r config set mesh-min-peers-to-write 1
        expect_error "NOQUORUM Not enough good peers to write." { r set k w }
        expect_error "NOQUORUM*" { r del k }
        expect [r get k] v
        r multi
        expect_error "NOQUORUM*" { r set k w }
        expect_error "EXECABORT*" { r exec }
        r config set mesh-min-peers-to-write 0
        expect [r set k w] OK
    }

    test "options of the mesh: live, bounded, secret" {
        foreach {name value} {
            mesh-cluster-id other mesh-gossip-interval 200 mesh-forget-after 60
            mesh-max-clock-drift 100 mesh-max-frame 16384 mesh-max-waiting 1048576 mesh-full-links 5
            mesh-compression yes mesh-auth secret mesh-seeds "127.0.0.1:1 localhost:2"
            mesh-announce-addr 127.0.0.9
        } {
            expect [r config set $name $value] OK
            expect [config_get $name] $value
        }
        wait_until { [info_field mesh mesh_address] eq "127.0.0.9:[config_get mesh-port]" }
        expect_error "ERR CONFIG SET failed*host:port*" { r config set mesh-seeds nowhere }
        expect_error "ERR CONFIG SET failed*" { r config set mesh-max-frame 1kb }
        r config set slowlog-log-slower-than 0
        r config set mesh-auth hidden
        r config set slowlog-log-slower-than 10000
        expect [string first hidden [r slowlog get]] -1
        r config set mesh-auth "" mesh-seeds "" mesh-announce-addr "" mesh-cluster-id starling
    }

    test "mesh-port moves the listener" {
        set old [config_get mesh-port]
        set new [server::free_port]
        expect [r config set mesh-port $new] OK
        close [socket 127.0.0.1 $new]
        expect_true { [catch { close [socket 127.0.0.1 $old] }] }
        expect_error "ERR CONFIG SET failed*MESH LEAVE*" { r config set mesh-port 0 }
        expect [config_get mesh-port] $new
        expect_error "ERR CONFIG SET failed*" { r config set mesh-port [server port] }
        expect [config_get mesh-port] $new
        close [socket 127.0.0.1 $new]
    }

    test "DEBUG MESH and DEBUG CLOCK-OFFSET" {
        expect [r debug mesh cut 127.0.0.1:1] OK
        expect [r debug mesh heal all] OK
        expect_error "ERR syntax error" { r debug mesh break all }
        r debug clock-offset 100000000
        expect_range [expr {[lindex [r time] 0] - [clock seconds]}] 99998 100002
        r debug clock-offset 0
        expect_range [expr {[lindex [r time] 0] - [clock seconds]}] -2 2
    }

    test "MESH CHECK and MESH LEAVE answer when nobody is there" {
        expect_match [r mesh check] "*"
        r multi
        expect_error "ERR Command not allowed inside a transaction" { r mesh leave }
        r discard
        expect [r mesh leave] OK
    }
}

start_server {} {
    test "without a mesh the subcommands say so" {
        expect_match [r info mesh] "*mesh_enabled:0*"
        foreach request {nodes leave digest backlog conflicts token check {meet 127.0.0.1 1}
            {forget aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa} {waittoken x 1}} {
            expect_error "ERR This node is in no mesh*" { r mesh {*}$request }
        }
        expect [dict get [r mesh info] enabled] 0
        expect_error "ERR CONFIG SET failed*restart*" { r config set mesh-seeds 127.0.0.1:1 }
        expect [config_get mesh-seeds] ""
    }
}

test "seeds without a mesh-port: port + 10000, or no start" {
    start_server {mesh-seeds 127.0.0.1:1 bind 127.0.0.1} {
        expect [info_field mesh mesh_address] 127.0.0.1:[expr {[server port] + 10000}]
        stop_server
        # Not one that the system gives to outgoing connections.
        lassign [start_again_fails {port 61500}] log status
        expect $status 1
        expect_match $log "*set mesh-port*"
    }
}
