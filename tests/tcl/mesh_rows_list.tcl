# SPDX-License-Identifier: BSD-3-Clause
# What concurrent operations on lists converge to, over real processes: the rows L1 to L9 of
# docs/mesh.md.

if {![server_is_starling]} {
    return
}

start_mesh 3 {appendonly no} {

    mesh_test "L1: two insertions at one place: both, in one order" {
        node A rpush l x
        converged
        concurrently {{linsert l after x y1}} {{linsert l after x y2}}
        expect_true { [node A lrange l 0 -1] in {{x y1 y2} {x y2 y1}} }
        everywhere [node A lrange l 0 -1] lrange l 0 -1
    }

    mesh_test "L2: a push survives a deletion that had not seen it" {
        node A rpush l x
        converged
        concurrently {{lpush l y}} {{del l}}
        everywhere y lrange l 0 -1
    }

    mesh_test "L3: two pops of one element: it is gone once" {
        node A rpush l x y z
        converged
        concurrently {{rpop l}} {{rpop l}}
        everywhere {x y} lrange l 0 -1
    }

    mesh_test "L4, L5: runs of pushes are not mixed" {
        concurrently {{rpush l a1} {rpush l a2} {rpush l a3}} {{rpush l b1} {rpush l b2} {rpush l b3}}
        expect_true { [node A lrange l 0 -1] in {{a1 a2 a3 b1 b2 b3} {b1 b2 b3 a1 a2 a3}} }
        everywhere [node A lrange l 0 -1] lrange l 0 -1
        concurrently {{lpush k a1} {lpush k a2} {lpush k a3}} {{lpush k b1} {lpush k b2} {lpush k b3}}
        expect_true { [node A lrange k 0 -1] in {{a3 a2 a1 b3 b2 b1} {b3 b2 b1 a3 a2 a1}} }
        everywhere [node A lrange k 0 -1] lrange k 0 -1
    }

    mesh_test "L6: a trim takes what it saw" {
        node A rpush l 1 2 3 4 5
        converged
        concurrently {{ltrim l 0 2}} {{rpush l 6}}
        everywhere {1 2 3 6} lrange l 0 -1
    }

    mesh_test "L7: an update that was not seen survives a removal" {
        node A rpush l a b
        converged
        concurrently {{lset l 0 x}} {{lrem l 1 a}}
        everywhere {x b} lrange l 0 -1
    }

    mesh_test "Events of lists from other nodes" {
        node B config set notify-keyspace-events KEA
        set listener [node_connect B]
        $listener psubscribe __keyevent@*
        node A rpush k 1 2
        converged
        node A lset k 0 3
        converged
        node A lrem k 0 2
        converged
        node A lpop k
        converged
        node A set end 1
        set events {}
        while 1 {
            set event [lindex [split [lindex [$listener -receive] 2] :] end]
            if {$event eq "set"} break
            lappend events $event
        }
        node B config set notify-keyspace-events ""
        expect $events {rpush lset lrem lrem del}
    }

    mesh_test "L8: the same element is removed once" {
        node A rpush l a a
        converged
        concurrently {{lrem l 1 a}} {{lrem l 1 a}}
        everywhere a lrange l 0 -1
    }

    mesh_test "L9: a client that waits at one node is woken by a push at another" {
        foreach {command fill reply} {
            {blpop none l 0}            {rpush l x y}   {l x}
            {brpop l 0}                 {rpush l x y}   {l y}
            {blmove l m left right 0}   {lpush l y x}   x
            {blmpop 0 1 l left count 5} {rpush l x y}   {l {x y}}
            {blpop l 0}                 {copy other l}  {l x}
            {blpop l 0}                 {rename other l} {l x}
        } {
            node A flushall
            node A rpush other x
            converged
            set c [node_connect B]
            $c -send {*}$command
            wait_until { [regexp {blocked_clients:1\r} [node B info clients]] }
            node A {*}$fill
            expect [$c -receive] $reply
            # The pop is a write like any other.
            converged
            everywhere [node B lrange l 0 -1] lrange l 0 -1
            everywhere [node B lrange m 0 -1] lrange m 0 -1
        }
        # A transaction of another node is seen at its end.
        node A flushall
        converged
        set c [node_connect B]
        $c -send blpop l 0
        wait_until { [regexp {blocked_clients:1\r} [node B info clients]] }
        set a [node_connect A]
        $a -pipeline {multi {rpush l x} {del l} {rpush l y z} {lpop l} exec}
        expect [$c -receive] {l z}
        converged
        everywhere 0 exists l
    }

    mesh_test "A push at one node, a client that waits at each of two: handed out twice, gone once" {
        cut B C
        set b [node_connect B]
        set c [node_connect C]
        foreach client [list $b $c] name {B C} {
            $client -send blpop l 0
            wait_until { [regexp {blocked_clients:1\r} [node $name info clients]] }
        }
        node A rpush l x
        expect [$b -receive] {l x}
        expect [$c -receive] {l x}
        heal
        converged
        everywhere 0 exists l
    }

    mesh_test "Clients that wait at one node are served in their order by pushes of others" {
        set clients {}
        for {set i 0} {$i < 6} {incr i} {
            lappend clients [node_connect C]
            [lindex $clients end] -send [pick {blpop brpop}] l 0
            wait_until { [regexp "blocked_clients:[expr {$i + 1}]\r" [node C info clients]] }
        }
        for {set i 0} {$i < 6} {incr i} {
            node [pick {A B}] rpush l $i
            expect [[lindex $clients $i] -receive] "l $i"
        }
        converged
        everywhere 0 exists l
    }
}

start_mesh 2 {appendonly no mesh-backlog-size 64kb} {
    mesh_test "A client waits while its node takes over the state of others" {
        node A set before 1
        converged
        set syncs [mesh_field B mesh_syncs_snapshot]
        set c [node_connect B]
        set other [node_connect B]
        $c -send blpop l 0
        $other -send bzpopmin l none 0
        wait_until { [regexp {blocked_clients:2\r} [node B info clients]] }
        cut A
        # More than the log remembers.
        node A rpush l x y
        for {set i 0} {$i < 40} {incr i} {
            node A set key:$i [string repeat $i 5000]
        }
        heal
        expect [$c -receive] {l x}
        converged
        expect_true { [mesh_field B mesh_syncs_snapshot] > $syncs }
        everywhere y lrange l 0 -1
        expect_match [node B info clients] "*blocked_clients:1\r*"
        # The other one is still found, also if names have other hashes now.
        node A del l
        node A zadd l 1 m
        expect [$other -receive] {l m 1}
        converged
        everywhere 0 exists l
    }
}
