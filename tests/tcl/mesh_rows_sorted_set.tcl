# SPDX-License-Identifier: BSD-3-Clause
# What concurrent operations on sorted sets converge to, over real processes: docs/mesh.md has the
# table. The names of the tests are those of its rows.

if {![server_is_starling]} {
    return
}

# A list of members and scores in the order of scores, whatever the node.
proc everywhere_members {expected key} {
    everywhere $expected zrange $key 0 -1 withscores
    everywhere [expr {[llength $expected] / 2}] zcard $key
}

foreach {form entries} {packed 128 table 0} {
    start_mesh 3 [list appendonly no zset-max-listpack-entries $entries] {

        mesh_test "Z1: two ZINCRBYs add up, and show as few digits as they have ($form)" {
            node A zadd Z 1.1 x
            converged
            concurrently {{zincrby Z 1 x}} {{zincrby Z 1 x}}
            everywhere 3.1 zscore Z x
            everywhere {x 3.1} zrange Z 0 -1 withscores
        }

        mesh_test "Z2: an increment that a ZREM had not seen counts from nothing ($form)" {
            node A zadd Z 4.1 x
            converged
            concurrently {{zrem Z x}} {{zincrby Z 2.0 x}}
            everywhere_members {x 2} Z
        }

        mesh_test "Z3: a ZADD takes what it has seen, an unseen increment counts ($form)" {
            node A zadd Z 1 x
            converged
            concurrently {{zadd Z 10 x}} {{zincrby Z 5 x}}
            everywhere_members {x 15} Z
        }

        mesh_test "Z4: two ZADDs of one member: the later score ($form)" {
            concurrently {{zadd Z 1.1 x}} {{zadd Z 2.1 x}}
            everywhere_members {x 2.1} Z
        }

        mesh_test "Z4: other members are added side by side ($form)" {
            node A zadd Z 5 base
            converged
            concurrently {{zadd Z 1 a 9 d}} {{zadd Z 2 b}} {{zadd Z 3 c -inf first}}
            everywhere_members {first -inf a 1 b 2 c 3 base 5 d 9} Z
            everywhere 2 zrank Z b
            everywhere 3 zcount Z (1 5
        }

        mesh_test "Z5: a place is where the later GEOADD has it ($form)" {
            concurrently {{geoadd g 13.361389 38.115556 m}} {{geoadd g 15.087269 37.502669 m}}
            everywhere {{15.08726745843887329 37.50266842333162032}} geopos g m
            everywhere m geosearch g fromlonlat 15.087269 37.502669 byradius 1 km
        }

        mesh_test "a ZADD beside a ZREM of the same member stays ($form)" {
            node A zadd Z 1 x 2 y
            converged
            concurrently {{zrem Z x}} {{zadd Z 1 x}}
            everywhere_members {x 1 y 2} Z
        }

        mesh_test "a DEL takes what it had seen ($form)" {
            node A zadd Z 1 x 2 y
            converged
            concurrently {{del Z}} {{zadd Z 3 z}}
            everywhere_members {z 3} Z
            concurrently {{del Z}} {{del Z}}
            everywhere 0 exists Z
        }

        mesh_test "a range that is removed, and a member that comes into it ($form)" {
            node A zadd Z 1 a 2 b 3 c 4 d
            converged
            concurrently {{zremrangebyscore Z 2 3}} {{zadd Z 2.5 n}} {{zincrby Z 10 a}}
            everywhere_members {n 2.5 d 4 a 11} Z
        }

        mesh_test "the lowest is popped twice, and goes once ($form)" {
            node A zadd Z 1 a 2 b
            converged
            concurrently {{zpopmin Z}} {{zpopmin Z}}
            everywhere_members {b 2} Z
        }

        mesh_test "increments on three sides, and some of them taken back ($form)" {
            node A zincrby Z 1 x
            node B zincrby Z 2 x
            converged
            concurrently {{zincrby Z 0.25 x}} {{zincrby Z 0.5 x}} {{zadd Z 100 x}}
            everywhere_members {x 100.75} Z
            concurrently {{zrem Z x}} {{zincrby Z 7 x}} {{zincrby Z 8 x}}
            everywhere_members {x 15} Z
            node A zrem Z x
            converged
            everywhere 0 exists Z
        }

        mesh_test "infinities are scores that are set ($form)" {
            node A zadd Z 1 x
            converged
            concurrently {{zincrby Z +inf x}} {{zincrby Z 5 y}}
            everywhere_members {y 5 x inf} Z
            node B zincrby Z 1 x
            converged
            everywhere_members {y 5 x inf} Z
            foreach name {A B C} {
                expect_error "ERR resulting score is not a number (NaN)" {
                    node $name zincrby Z -inf x
                }
            }
        }

        mesh_test "K5: a string and a sorted set at one key: the later type ($form)" {
            set before [mesh_field A mesh_conflicts]
            concurrently {{set k v}} {{zadd k 1 m}}
            everywhere zset type k
            everywhere_members {m 1} k
            expect_true { [mesh_field A mesh_conflicts] > $before }
            concurrently {{zadd k2 1 m}} {{set k2 v}}
            everywhere string type k2
            everywhere v get k2
            node C del k k2
            converged
            everywhere 0 dbsize
        }

        mesh_test "T4: an expiry and a member that it had not seen ($form)" {
            node A zadd Z 1 x
            node A pexpire Z 400
            converged
            cut B
            node B zadd Z 2 y
            wait_until { [node A exists Z] == 0 }
            heal
            converged
            wait_until { [node C zrange Z 0 -1] ne "x y" }
            everywhere [node A zrange Z 0 -1 withscores] zrange Z 0 -1 withscores
        }

        mesh_test "stored results overwrite what they had seen ($form)" {
            node A zadd src 1 a 2 b
            node A zadd dst 9 old
            converged
            concurrently {{zunionstore dst 1 src}} {{zadd dst 5 new}}
            everywhere_members {a 1 b 2 new 5} dst
        }

        mesh_test "random writes on three nodes end equal, ranks and all ($form)" {
            for {set round 0} {$round < 4} {incr round} {
                if {$round % 2} { cut A }
                for {set i 0} {$i < 150} {incr i} {
                    set name [pick {A B C}]
                    set member m[random_below 12]
                    switch [random_below 8] {
                        0 - 1 - 2 { node $name zadd Z [random_below 50] $member }
                        3 - 4 { node $name zincrby Z [expr {[random_below 40] / 8.0}] $member }
                        5 { node $name zrem Z $member }
                        6 { node $name zpopmax Z }
                        7 { node $name zadd Z gt [random_below 90] $member }
                    }
                }
                heal
                converged
                set members [node A zrange Z 0 -1 withscores]
                everywhere $members zrange Z 0 -1 withscores
                set rank 0
                foreach {member score} $members {
                    everywhere $rank zrank Z $member
                    everywhere $score zscore Z $member
                    incr rank
                }
            }
        }
    }
}

start_mesh 2 {appendonly yes} {
    mesh_test "a client that waits at one node is woken by members that another adds" {
        foreach {command fill reply} {
            {bzpopmin none Z 0}     {zadd Z 1 x 2 y}            {Z x 1}
            {bzpopmax Z 0}          {zincrby Z 2.5 x}           {Z x 2.5}
            {bzmpop 0 1 Z min}      {zunionstore Z 1 other}     {Z {{x 7}}}
            {bzpopmin Z 0}          {rename other Z}            {Z x 7}
        } {
            node A flushall
            node A zadd other 7 x
            converged
            set c [node_connect B]
            $c -send {*}$command
            wait_until { [regexp {blocked_clients:1\r} [node B info clients]] }
            # Another type does not disturb it.
            node A set Z text
            node A del Z
            node A {*}$fill
            expect [$c -receive] $reply
            converged
            everywhere [node B zrange Z 0 -1 withscores] zrange Z 0 -1 withscores
        }
    }

    mesh_test "a node that is killed comes back with scores and increments" {
        node A zadd Z 1 x 2 y
        converged
        node B zincrby Z 1.5 x
        node B zincrby Z 1.5 x
        node B zadd Z -inf low
        converged
        stop_node B KILL
        node A zincrby Z 10 x
        start_node B
        linked
        node B zincrby Z 0.5 y
        converged
        everywhere {low -inf y 2.5 x 14} zrange Z 0 -1 withscores
    }
}
