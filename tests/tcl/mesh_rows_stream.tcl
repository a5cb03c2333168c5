# SPDX-License-Identifier: BSD-3-Clause
# What concurrent operations on streams converge to, over real processes: the rows X1 to X6 of
# docs/mesh.md, and groups beside them.

if {![server_is_starling]} {
    return
}

proc ids {entries} {
    lmap entry $entries { lindex $entry 0 }
}

# The ids of what the group delivers now at that node; all are acknowledged.
proc read_group {name key {count 1000}} {
    set got [ids [lindex [node $name xreadgroup group g reader count $count streams $key >] 0 1]]
    if {[llength $got] > 0} {
        expect [node $name xack $key g {*}$got] [llength $got]
    }
    return $got
}

proc lag {name key} {
    return [dict get [lindex [node $name xinfo groups $key] 0] lag]
}

# A's group has read 10-0 and 100-0; B, which is cut off, has seen neither 100-0 nor that reading.
proc read_while_b_is_cut {} {
    node A xadd x 10-0 f v
    node A xgroup create x g 0
    converged
    cut B
    node A xadd x 100-0 f v
    expect [read_group A x] {10-0 100-0}
}

start_mesh 3 {appendonly no} {

    mesh_test "X1: additions on both sides: all, with ids of their own, in one order" {
        # The same milliseconds and many of them: only the replica tells the ids apart.
        set adds {}
        for {set i 0} {$i < 20} {incr i} {
            lappend adds {xadd m 5-* f v}
        }
        concurrently $adds $adds
        everywhere 40 xlen m
        expect [llength [lsort -unique [ids [node A xrange m - +]]]] 40
        everywhere [node A xrange m - +] xrange m - +
        concurrently {{xadd n * f a}} {{xadd n * f b}}
        everywhere 2 xlen n
        # And ids still grow where they are made.
        foreach name {A B C} {
            set last [lindex [node $name xrevrange m + - count 1] 0 0]
            set id [node $name xadd m 5-* f v]
            expect_true { [lindex [split $id -] 1] > [lindex [split $last -] 1] }
            converged
        }
        expect [dict get [node C xinfo stream m] entries-added] 43
    }

    mesh_test "X2: an addition survives a deletion that had not seen it" {
        node A xadd m 1-1 f v
        converged
        concurrently {{del m}} {{xadd m 2-2 f v}}
        everywhere {{2-2 {f v}}} xrange m - +
    }

    mesh_test "X3: one id chosen twice is one entry, and counts as a conflict" {
        set before [mesh_field A mesh_conflicts]
        concurrently {{xadd x 100-1 f a}} {{xadd x 100-1 f b}}
        everywhere {{100-1 {f b}}} xrange x - +
        everywhere 1 xlen x
        expect [expr {[mesh_field A mesh_conflicts] - $before}] 1
    }

    mesh_test "X4: a trim takes what it saw" {
        foreach i {1 2 3 4 5} {
            node A xadd x $i-0 f v
        }
        converged
        concurrently {{xtrim x maxlen 2}} {{xadd x 6-0 f v}}
        everywhere {{4-0 {f v}} {5-0 {f v}} {6-0 {f v}}} xrange x - +
        concurrently {{xtrim x maxlen 1}} {{xtrim x maxlen 1}}
        everywhere {{6-0 {f v}}} xrange x - +
        foreach name {A B C} {
            expect [dict get [node $name xinfo stream x] entries-added] 6
        }
    }

    mesh_test "X5: groups made on both sides" {
        node A xadd x 1-0 f v
        converged
        concurrently {{xgroup create x g1 0}} {{xgroup create x g2 0}}
        foreach name {A B C} {
            expect [lmap group [node $name xinfo groups x] { dict get $group name }] {g1 g2}
        }
        concurrently {{xgroup create x g 0}} {{xgroup create x g 1-0}}
        foreach name {A B C} {
            expect [dict get [lindex [node $name xinfo groups x] 0] last-delivered-id] 1-0
            expect [llength [node $name xinfo groups x]] 3
        }
    }

    mesh_test "X6: what is pending is the same everywhere, and acknowledged anywhere" {
        foreach i {1 2 3 4} {
            node A xadd x $i-0 f v
        }
        node A xgroup create x g 0
        node A xreadgroup group g alice count 3 streams x >
        node A xack x g 1-0 2-0
        converged
        everywhere {1 3-0 3-0 {{alice 1}}} xpending x g
        expect [node B xack x g 3-0] 1
        converged
        everywhere {0 {} {} {}} xpending x g
        # The group goes on behind what others have read.
        expect [ids [lindex [node B xreadgroup group g bob streams x >] 0 1]] 4-0
    }

    mesh_test "An entry that was read on both sides is pending until both are done" {
        node A xadd x 1-0 f v
        node A xgroup create x g 0
        converged
        concurrently {{xreadgroup group g alice streams x >}} {{xreadgroup group g bob streams x >}}
        everywhere [node A xpending x g] xpending x g
        expect [lindex [node A xpending x g] 0] 1
        concurrently {{xack x g 1-0}} {{xclaim x g bob 0 1-0}}
        everywhere {1 1-0 1-0 {{bob 1}}} xpending x g
        node C xack x g 1-0
        converged
        everywhere {0 {} {} {}} xpending x g
    }

    mesh_test "A read survives a removal of the group that had not seen it; a poll does not" {
        foreach i {1 2} {
            node A xadd x $i-0 f v
        }
        node A xgroup create x g 0
        node A xreadgroup group g alice count 1 streams x >
        converged
        concurrently {{xgroup destroy x g}} {{xreadgroup group g alice count 1 streams x >}}
        everywhere {1 2-0 2-0 {{alice 1}}} xpending x g
        concurrently {{xgroup destroy x g}} {{xreadgroup group g alice count 1 streams x >}}
        everywhere {} xinfo groups x
        node A del x
        converged
        everywhere 0 exists x
    }

    mesh_test "The last id joins by maximum, and goes back when that is said" {
        foreach i {1 2 3} {
            node A xadd x $i-0 f v
        }
        node A xgroup create x g 0
        converged
        concurrently {{xreadgroup group g a count 1 streams x >}} {{xreadgroup group g b count 2 streams x >}}
        foreach name {A B C} {
            expect [dict get [lindex [node $name xinfo groups x] 0] last-delivered-id] 2-0
        }
        node C xgroup setid x g 0
        converged
        foreach name {A B C} {
            expect [dict get [lindex [node $name xinfo groups x] 0] last-delivered-id] 0-0
        }
    }

    mesh_test "The last id of a stream outlives its entries" {
        node A xadd x 5-0 f v
        converged
        node B xdel x 5-0
        converged
        foreach name {A B C} {
            expect_error "ERR The ID specified in XADD is equal or smaller*" { node $name xadd x 5-0 f v }
        }
        everywhere 1 exists x
    }

    mesh_test "Events of streams from other nodes" {
        node B config set notify-keyspace-events KEA
        set listener [node_connect B]
        $listener psubscribe __keyevent@*
        foreach command {{xadd k 1-0 f v} {xgroup create k g 0} {xreadgroup group g c streams k >}
            {xack k g 1-0} {xgroup delconsumer k g c} {xgroup destroy k g} {xdel k 1-0} {del k}} {
            node A {*}$command
            converged
        }
        node A set end 1
        set events {}
        while 1 {
            set event [lindex [split [lindex [$listener -receive] 2] :] end]
            if {$event eq "set"} break
            lappend events $event
        }
        node B config set notify-keyspace-events ""
        expect $events {xadd xgroup-create xgroup-createconsumer xgroup-delconsumer xgroup-destroy xdel del}
    }

    mesh_test "A client that waits at one node is woken by an entry from another" {
        node A xgroup create x g 0 mkstream
        converged
        set reader [node_connect B]
        set consumer [node_connect C]
        $reader -send xread block 0 streams x $
        $consumer -send xreadgroup group g one block 0 streams x >
        wait_until { [regexp {blocked_clients:1\r} [node B info clients]] && [regexp {blocked_clients:1\r} [node C info clients]] }
        node A xadd x 1-0 f v
        expect [$reader -receive] {{x {{1-0 {f v}}}}}
        expect [$consumer -receive] {{x {{1-0 {f v}}}}}
        converged
        everywhere {1 1-0 1-0 {{one 1}}} xpending x g
        $consumer -send xreadgroup group g one block 0 streams x >
        wait_until { [regexp {blocked_clients:1\r} [node C info clients]] }
        node A xgroup destroy x g
        expect_error "NOGROUP*" { $consumer -receive }
    }

    mesh_test "X7: what arrives behind others is delivered, the lowest first" {
        read_while_b_is_cut
        foreach id {50-0 60-0 70-0} {
            node B xadd x $id f v
        }
        node A xadd x 110-0 f v
        heal
        converged
        foreach name {A B C} {
            expect [dict get [lindex [node $name xinfo groups x] 0] last-delivered-id] 100-0
            expect [lag $name x] 4
        }
        expect [read_group A x 2] {50-0 60-0}
        expect [read_group A x] {70-0 110-0}
        expect [read_group A x] {}
        converged
        foreach name {A B C} {
            expect [read_group $name x] {}
            expect [lag $name x] 0
            expect [dict get [lindex [node $name xinfo groups x] 0] last-delivered-id] 110-0
        }
        everywhere {0 {} {} {}} xpending x g
    }

    mesh_test "X7: whoever waits for a group wakes for what arrives behind others" {
        read_while_b_is_cut
        node B xadd x 50-0 f late
        set consumer [node_connect A]
        $consumer -send xreadgroup group g one block 0 streams x >
        wait_until { [regexp {blocked_clients:1\r} [node A info clients]] }
        heal
        expect [$consumer -receive] {{x {{50-0 {f late}}}}}
        converged
        everywhere {1 50-0 50-0 {{one 1}}} xpending x g
    }

    mesh_test "X7: all writers' entries come once to who reads at one node, whatever comes when" {
        node A xgroup create x g 0 mkstream
        converged
        set acknowledged {}
        set delivered {}
        for {set round 0} {$round < 6} {incr round} {
            cut A B
            cut B C
            if {$round % 2 == 0} { cut A C }
            foreach name {A B C} {
                for {set i 0} {$i < 5} {incr i} {
                    lappend acknowledged [node $name xadd x * f v]
                }
            }
            # An id that a client chose.
            set last [lindex [node B xrevrange x + - count 1] 0 0]
            lappend acknowledged [node B xadd x [lindex [split $last -] 0]-[expr {[lindex [split $last -] 1] + 1 + $round}] f v]
            lappend delivered {*}[read_group A x 7]
            heal
            lappend delivered {*}[read_group A x 7]
            if {$round == 3} {
                # Where a walk may begin is not remembered.
                converged
                stop_node A
                start_node A
                converged
            }
        }
        converged
        while {[llength [set got [read_group A x 7]]] > 0} {
            lappend delivered {*}$got
        }
        expect_set $delivered $acknowledged
        converged
        foreach name {A B C} {
            expect [lag $name x] 0
        }
    }

    mesh_test "X7: with readers on both sides of a cut nothing is left out" {
        node A xgroup create x g 0 mkstream
        converged
        set acknowledged {}
        set delivered {}
        for {set round 0} {$round < 4} {incr round} {
            cut B
            foreach name {A B C} {
                for {set i 0} {$i < 3} {incr i} {
                    lappend acknowledged [node $name xadd x * f v]
                }
                lappend delivered {*}[read_group $name x 2]
            }
            heal
        }
        converged
        lappend delivered {*}[read_group C x]
        expect [lsort -unique $delivered] [lsort $acknowledged]
        converged
        everywhere {} xreadgroup group g reader streams x >
    }

    mesh_test "A new group for \"$\" gets what its maker had not seen; one for an id does not" {
        node A xadd x 10-0 f v
        converged
        cut B
        node A xadd x 100-0 f v
        node A xgroup create x g $
        node A xgroup create x h 100-0
        node B xadd x 50-0 f v
        heal
        converged
        expect [read_group C x] 50-0
        everywhere {} xreadgroup group h reader streams x >
        # SETID is for all writers, too.
        node C xgroup setid x g 50-0
        converged
        expect [read_group B x] 100-0
    }

    mesh_test "A node that was away gets what it missed" {
        node A xadd x 1-0 f v
        node A xgroup create x g 0
        converged
        stop_node C
        node A xreadgroup group g alice streams x >
        node B xadd x 2-0 f v
        node A xadd x 3-0 f v
        node A xdel x 1-0
        start_node C
        converged
        everywhere {1 1-0 1-0 {{alice 1}}} xpending x g
        everywhere {{2-0 {f v}} {3-0 {f v}}} xrange x - +
        everywhere [node A debug digest] debug digest
    }
}
