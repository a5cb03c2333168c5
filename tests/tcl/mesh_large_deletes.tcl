# SPDX-License-Identifier: BSD-3-Clause
# Large collections in which several nodes count, deleted as a whole: what is taken off is asked for
# only where somebody has counted on, over real processes.

if {![server_is_starling]} {
    return
}

# All nodes count each of so many members.
proc counted_by_all {count} {
    foreach name {A B C} by {1 2 4} {
        set client [node_connect $name]
        set commands {}
        for {set i 0} {$i < $count} {incr i} {
            lappend commands [list hincrby h f$i $by] [list zincrby z $by.5 m$i]
        }
        client::pipeline $client $commands
        client::close_client $client
    }
    converged
    everywhere $count hlen h
    everywhere 7 hget h f[expr {$count - 1}]
    everywhere 8.5 zscore z m0
}

proc asked {} {
    set sum 0
    foreach name [mesh::names] {
        incr sum [mesh_field $name mesh_questions_out]
    }
    return $sum
}

start_mesh 3 {appendonly yes appendfsync no} {

    mesh_test "a DEL that has seen all takes off all, and nobody has to ask" {
        counted_by_all 3000
        set before [asked]
        expect [node A del h z] 2
        converged
        everywhere 0 exists h z
        expect [asked] $before
        # What comes next counts from nothing, also where the old one is still in its grave.
        expect [node B hincrby h f7 5] 5
        expect [node C zincrby z 2 m1] 2
        converged
        everywhere {f7 5} hgetall h
        everywhere {m1 2} zrange z 0 -1 withscores
    }

    mesh_test "increments that a DEL had not seen stay, alone" {
        counted_by_all 2000
        set before [asked]
        concurrently {{del h} {unlink z}} {{hincrby h f1 100} {zincrby z 10 m5}} \
            {{hincrby h f1 1000} {hincrby h f9 1000}}
        everywhere 1100 hget h f1
        everywhere 1000 hget h f9
        everywhere 2 hlen h
        everywhere {m5 10} zrange z 0 -1 withscores
        expect [expr {[asked] > $before}] 1
    }

    mesh_test "and so beside SET, FLUSHALL, RENAME and an expiry" {
        counted_by_all 1500
        node A rename z z2
        converged
        everywhere 1500 zcard z2
        everywhere 8.5 zscore z2 m3
        concurrently {{flushall}} {{hincrby h f3 20}}
        everywhere {f3 20} hgetall h
        counted_by_all 1500
        concurrently {{set h text}} {{zincrby z 1 m0}}
        everywhere text get h
        everywhere 9.5 zscore z m0
        node A pexpire z 200
        converged
        wait_until { [node A exists z] == 0 }
        converged
        everywhere 0 exists z
        node C zincrby z 3 m0
        converged
        everywhere {m0 3} zrange z 0 -1 withscores
    }

    mesh_test "many concurrent increments: more than are remembered by name" {
        counted_by_all 2500
        set commands {}
        for {set i 0} {$i < 2500} {incr i 2} {
            lappend commands [list hincrby h f$i 10]
        }
        concurrently {{del h}} $commands
        everywhere 1250 hlen h
        everywhere 10 hget h f0
        everywhere {} hget h f1
    }

    mesh_test "deleted, filled and deleted again before anybody hears of it" {
        counted_by_all 2000
        cut A B
        cut A C
        node A del h
        for {set i 0} {$i < 1200} {incr i} {
            node A hincrby h f$i 3
        }
        node A del h
        node A hincrby h f1 9
        node B hincrby h f1 100
        node C hincrby h f1 1000
        heal
        converged
        everywhere {f1 1109} hgetall h
    }

    mesh_test "who asked, and who was asked, come back from their logs with it" {
        counted_by_all 2000
        concurrently {{del h}} {{hincrby h f1 100}} {{hincrby h f2 100}}
        foreach name {A B C} {
            stop_node $name KILL
        }
        foreach name {A B C} {
            start_node $name
        }
        linked
        converged
        everywhere 100 hget h f1
        everywhere 100 hget h f2
        everywhere 2 hlen h
        node C hincrby h f1 1
        converged
        everywhere 101 hget h f1
    }

    mesh_test "a snapshot right after a DEL has what others may still need" {
        counted_by_all 2000
        cut A B
        node B hincrby h f1 100
        node A del h
        node A bgrewriteaof
        wait_until { [node_field A persistence aof_rewrite_in_progress] == 0 }
        stop_node A KILL
        start_node A
        heal
        linked
        converged
        everywhere {f1 100} hgetall h
    }
}
