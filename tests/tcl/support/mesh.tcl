# SPDX-License-Identifier: BSD-3-Clause
# Several servers that are one mesh. Nodes are called A, B, C, ... in the order of starting.
#
#   start_mesh 3 {option value ...} { mesh_test "name" { node A set k 1; converged; ... } }
#
# Wait for conditions, never for durations: `linked`, `converged`, `wait_until`.

namespace eval mesh {
    # By name of node: the id of its server (server.tcl), and the port of its mesh.
    variable ids
    variable ports
    variable options {
        mesh-gossip-interval 100 mesh-cluster-id test mesh-bind 127.0.0.1 save ""
    }
    array set ids {}
    array set ports {}
}

proc mesh::names {} {
    variable ids
    return [lsort [array names ids]]
}

# start_mesh COUNT {option value ...} BODY: every node has the others as its seeds. Options of one
# node alone: `A {option value ...}` among them.
proc start_mesh {count options body} {
    set names [lrange {A B C D E F G H} 0 $count-1]
    set ports {}
    foreach name $names {
        lappend ports [server::free_port]
    }
    set code [catch { mesh::start_next $names $ports $ports $options [list uplevel #0 $body] } result opts]
    array unset ::mesh::ids *
    array unset ::mesh::ports *
    return -options $opts $result
}

proc mesh::start_next {names left ports options body} {
    variable ids
    set index [expr {[llength $ports] - [llength $left]}]
    if {[llength $left] == 0} {
        if {[llength $names] > 0} {
            linked
        }
        uplevel #0 $body
        return
    }
    set name [lindex $names $index]
    set seeds {}
    foreach port $ports {
        if {$port != [lindex $left 0]} {
            lappend seeds 127.0.0.1:$port
        }
    }
    set own [dict merge $mesh::options [list mesh-port [lindex $left 0] mesh-seeds [join $seeds]]]
    dict for {key value} $options {
        if {$key eq $name} {
            set own [dict merge $own $value]
        } elseif {![regexp {^[A-H]$} $key]} {
            dict set own $key $value
        }
    }
    set ::mesh::ports($name) [lindex $left 0]
    start_server $own [list mesh::started $name [list mesh::start_next $names [lrange $left 1 end] \
        $ports $options $body]]
}

proc mesh::started {name next} {
    set ::mesh::ids($name) [server id]
    uplevel #0 $next
}

# A test that begins with all nodes running, all links healed and no keys anywhere.
proc mesh_test {name body} {
    uplevel 1 [list test $name "
        mesh::begin
        $body
    "]
}

proc mesh::begin {} {
    foreach name [names] {
        if {$::server::of($::mesh::ids($name),pid) eq ""} {
            start_node $name
        }
        server::drop_client $::mesh::ids($name)
        set ::server::of($::mesh::ids($name),log_start) [file size $::server::of($::mesh::ids($name),log)]
    }
    foreach name [names] {
        node $name debug mesh heal ALL
    }
    linked
    converged
    node A flushall
    converged
}

# node NAME command args...: the reply of that node.
proc node {name args} {
    set id $::mesh::ids($name)
    if {$::server::of($id,client) eq ""} {
        set ::server::of($id,client) [connect -port $::server::of($id,port)]
    }
    return [$::server::of($id,client) {*}$args]
}

# Another client of a node.
proc node_connect {name args} {
    return [connect -port $::server::of($::mesh::ids($name),port) {*}$args]
}

proc node_log {name} {
    return [read_file $::server::of($::mesh::ids($name),log)]
}

proc node_dir {name} {
    return $::server::of($::mesh::ids($name),dir)
}

proc node_pid {name} {
    return $::server::of($::mesh::ids($name),pid)
}

proc stop_node {name {signal TERM}} {
    server::end $::mesh::ids($name) $signal
}

# Starts a stopped node again, with options added or changed.
proc start_node {name {options {}}} {
    set id $::mesh::ids($name)
    set ::server::of($id,options) [dict merge $::server::of($id,options) $options]
    server::spawn $id
    server::wait_ready $id
}

# The address that others reach this node's mesh by.
proc mesh_address {name} {
    return 127.0.0.1:$::mesh::ports($name)
}

# cut A B: no link between the two any more. cut A: A has no link with anybody.
proc cut {a {b {}}} {
    if {$b eq ""} {
        foreach name [mesh::names] {
            if {$name ne $a} {
                cut $a $name
            }
        }
        return
    }
    node $a debug mesh cut [mesh_address $b]
    node $b debug mesh cut [mesh_address $a]
}

proc heal {args} {
    foreach name [mesh::names] {
        if {$::server::of($::mesh::ids($name),pid) ne ""} {
            node $name debug mesh heal ALL
        }
    }
    linked
}

# The fields of a section of INFO as a dict.
proc node_info {name section} {
    set fields {}
    foreach line [split [node $name info $section] \n] {
        if {[regexp {^([a-z0-9_]+):(.*?)\r?$} $line all key value]} {
            dict set fields $key $value
        }
    }
    return $fields
}

proc mesh_info {name} {
    return [node_info $name mesh]
}

proc node_field {name section field} {
    set fields [node_info $name $section]
    return [expr {[dict exists $fields $field] ? [dict get $fields $field] : ""}]
}

proc mesh_field {name field} {
    return [node_field $name mesh $field]
}

# Waits until each running node has a link with each other one.
proc linked {{seconds 15}} {
    set running {}
    foreach name [mesh::names] {
        if {$::server::of($::mesh::ids($name),pid) ne ""} {
            lappend running $name
        }
    }
    set wanted [expr {[llength $running] - 1}]
    foreach name $running {
        wait_until { [mesh_field $name mesh_links_up] >= $wanted } $seconds
    }
}

# Every running node has seen what every other one has: a token of each is waited for at all, twice,
# since what was under way at the first time may carry more. Then their digests must be equal.
proc converged {{seconds 15}} {
    set running {}
    foreach name [mesh::names] {
        if {$::server::of($::mesh::ids($name),pid) ne ""} {
            lappend running $name
        }
    }
    foreach from $running {
        set token [node $from mesh token]
        foreach to $running {
            if {[node $to mesh waittoken $token [expr {int($seconds * 1000 * [patience])}]] != 1} {
                fail "$to has not seen all of $from's changes after $seconds s"
            }
        }
    }
    set digest [node [lindex $running 0] debug digest]
    foreach name $running {
        expect "$name [node $name debug digest]" "$name $digest"
    }
}

# The command has this reply on every running node.
proc everywhere {expected args} {
    foreach name [mesh::names] {
        if {$::server::of($::mesh::ids($name),pid) ne ""} {
            expect "$name: [node $name {*}$args]" "$name: $expected"
        }
    }
}

# What both sides do while they cannot hear each other: cuts A from B (C, if there is one, hears
# neither), does one after the other, heals and waits.
proc concurrently {script_a script_b {script_c {}}} {
    foreach pair {{A B} {A C} {B C}} {
        if {[info exists ::mesh::ids([lindex $pair 0])] && [info exists ::mesh::ids([lindex $pair 1])]} {
            cut {*}$pair
        }
    }
    foreach {name script} [list A $script_a B $script_b C $script_c] {
        foreach command $script {
            node $name {*}$command
        }
        after 3
    }
    heal
    converged
}
