# SPDX-License-Identifier: BSD-3-Clause
# What concurrent operations on sets converge to, over real processes: docs/mesh.md has the table.
# Each row with a packed set, with one that is a table, and with one of integers.

if {![server_is_starling]} {
    return
}

# Members beside those of the row: none, so many that they are not packed, or integers.
proc others {kind} {
    set members {}
    for {set i 0} {$i < [dict get {few 3 many 200 integers 300} $kind]} {incr i} {
        lappend members [expr {$kind eq "integers" ? $i + 1000 : "other:$i"}]
    }
    return $members
}

# The members on every node, in any order.
proc members_everywhere {key members} {
    foreach name {A B C} {
        expect_set [node $name smembers $key] $members
        expect [node $name scard $key] [llength $members]
        expect [node $name exists $key] [expr {[llength $members] > 0}]
    }
}

start_mesh 3 {appendonly yes appendfsync no} {
    foreach kind {few many integers} {
        set others [others $kind]

        mesh_test "E1: adding what is there is a new add ($kind)" {
            node A sadd k 7 {*}$others
            converged
            concurrently {{srem k 7}} {{sadd k 7}}
            members_everywhere k [concat 7 $others]
            concurrently {{sadd k 7}} {{srem k 7}}
            members_everywhere k [concat 7 $others]
            # A conflict does not make a small set a large one.
            everywhere [dict get {few listpack many hashtable integers intset} $kind] object encoding k
        }

        mesh_test "E1: a set of one member ($kind)" {
            node A sadd k 7
            converged
            concurrently {{srem k 7}} {{sadd k 7}}
            members_everywhere k 7
            concurrently {{del k}} {{sadd k 7}}
            members_everywhere k 7
            concurrently {{spop k}} {{smove k other 7}}
            members_everywhere k {}
            members_everywhere other 7
        }

        mesh_test "E1: what was seen to be removed stays removed ($kind)" {
            node A sadd k 7 {*}$others
            converged
            concurrently {{srem k 7}} {{sismember k 7} {sadd k 8}}
            members_everywhere k [concat 8 $others]
        }

        mesh_test "E2: a DEL removes what its writer had seen ($kind)" {
            node A sadd s e1 {*}$others
            converged
            concurrently {{sadd s e2}} {{del s}}
            members_everywhere s e2
            node B sadd s {*}$others
            converged
            concurrently {{del s}} {{sadd s e3 e4}} {{srem s e2}}
            members_everywhere s {e3 e4}
        }

        mesh_test "E3: a member that both pop goes, handed out twice ($kind)" {
            node A sadd k 7
            converged
            cut A
            cut B
            expect [node A spop k] 7
            expect [node B spop k] 7
            heal
            converged
            members_everywhere k {}
            node A sadd k {*}$others
            converged
            concurrently {{spop k 1000}} {{sadd k new}}
            members_everywhere k new
        }

        mesh_test "E4: SMOVE against SREM ($kind)" {
            node A sadd src x {*}$others
            node A sadd d {*}$others
            converged
            concurrently {{smove src d x}} {{srem src x}}
            members_everywhere src $others
            members_everywhere d [concat x $others]
        }

        mesh_test "E4: SMOVE to two sets ($kind)" {
            node A sadd src x {*}$others
            converged
            concurrently {{smove src d1 x}} {{smove src d2 x}}
            members_everywhere src $others
            members_everywhere d1 x
            members_everywhere d2 x
        }

        mesh_test "E5: two adds, each removed by who saw it: absent ($kind)" {
            node A sadd k {*}$others
            converged
            cut A B
            cut B C
            node A sadd k x
            node B sadd k x
            wait_until { [node C sismember k x] == 1 }
            # A removes x; C, which saw only A's, hears of it.
            node A srem k x
            wait_until { [node C sismember k x] == 0 }
            cut A C
            node B srem k x
            heal
            converged
            members_everywhere k $others
        }

        mesh_test "E5: a removal by who saw one of two adds leaves the other ($kind)" {
            node A sadd k {*}$others
            converged
            cut A B
            cut B C
            node A sadd k x
            node B sadd k x
            wait_until { [node C sismember k x] == 1 }
            node C srem k x
            heal
            converged
            members_everywhere k [concat x $others]
        }

        mesh_test "H6: what is added beside a DEL, a SET or a FLUSHALL ($kind)" {
            node A sadd k 1 2 {*}$others
            converged
            concurrently {{del k}} {{sadd k 3}}
            members_everywhere k 3
            node A sadd k {*}$others
            converged
            concurrently {{set k text}} {{sadd k 4}}
            # Two types: the later is shown.
            everywhere set type k
            expect_true { [node A sismember k 4] }
        }

        mesh_test "A result that is stored supersedes what its writer had seen ($kind)" {
            node A sadd a 1 2 3 {*}$others
            node A sadd b 2 3 4
            node A sadd to x y {*}$others
            converged
            concurrently {{sinterstore to a b}} {{sadd to z}}
            members_everywhere to {2 3 z}
            concurrently {{sdiffstore to b b}} {{sadd to w}}
            members_everywhere to w
            concurrently {{sunionstore to a b}} {{sunionstore to b}}
            members_everywhere to [lsort -unique [concat 1 2 3 4 $others]]
        }

        mesh_test "K4: FLUSHALL removes what its writer had seen ($kind)" {
            node A sadd a 1 {*}$others
            converged
            concurrently {{flushall}} {{sadd b 1} {sadd a 2}}
            members_everywhere b 1
            members_everywhere a 2
        }

        mesh_test "K5: a string and a set: one type, the later ($kind)" {
            concurrently {{set k v}} [list [list sadd k m {*}$others]]
            everywhere set type k
            members_everywhere k [concat m $others]
            node A del k
            converged
            everywhere 0 exists k
            concurrently [list [list sadd k m {*}$others]] {{set k v}}
            everywhere string type k
            everywhere v get k
            expect_true { [mesh_field A mesh_conflicts] >= 1 }
            # Who writes next has seen the shown one, and the other goes.
            node C del k
            converged
            everywhere 0 exists k
        }

        mesh_test "T4: what is added while a set expires survives, without expiry ($kind)" {
            node A sadd k {*}$others
            node A pexpire k 300
            converged
            cut A
            cut B
            after 400
            node A exists k
            node B sadd k m
            heal
            converged
            members_everywhere k m
            everywhere -1 ttl k
        }

        mesh_test "RENAME and COPY of a set beside an add ($kind)" {
            node A sadd k {*}$others
            converged
            concurrently {{rename k k2}} {{sadd k 9}}
            members_everywhere k 9
            members_everywhere k2 $others
            concurrently {{copy k2 k3}} {{sadd k3 1}}
            members_everywhere k3 [concat 1 $others]
        }

        mesh_test "Restarts in the middle, by a kill ($kind)" {
            node A sadd k 1 2 3 {*}$others
            converged
            cut A
            node A srem k 1
            node A sadd k a
            node B sadd k 1 b
            stop_node A KILL
            node B srem k 2
            start_node A
            heal
            converged
            members_everywhere k [concat 1 3 a b $others]
        }
    }

    mesh_test "E1: a set that is emptied and refilled on both sides, many times" {
        for {set round 0} {$round < 5} {incr round} {
            node A sadd k a b c
            converged
            concurrently {{srem k a b c} {sadd k a}} {{del k} {sadd k b}} {{spop k 3} {sadd k c}}
            members_everywhere k {a b c}
            concurrently {{del k}} {{srem k a b c}} {{spop k 10}}
            members_everywhere k {}
            everywhere 0 dbsize
        }
    }

    mesh_test "Random operations on both sides: equal on all nodes" {
        for {set round 0} {$round < 6} {incr round} {
            foreach name {A B C} { if {$round % 2} { cut $name } }
            for {set step 0} {$step < 60} {incr step} {
                foreach name {A B C} {
                    set key k:[random_below 3]
                    set member [pick {a b c 1 2 3 4}][random_below 60]
                    switch [random_below 9] {
                        0 - 1 - 2 - 3 { node $name sadd $key $member [random_below 500] }
                        4 - 5 { node $name srem $key $member }
                        6 { node $name spop $key }
                        7 { node $name smove $key k:[random_below 3] $member }
                        8 {
                            if {[random_below 6] == 0} {
                                node $name [pick {sunionstore sinterstore sdiffstore}] $key \
                                    k:[random_below 3] k:[random_below 3]
                            }
                        }
                    }
                }
            }
            heal
            converged
            foreach key {k:0 k:1 k:2} {
                members_everywhere $key [node A smembers $key]
            }
        }
    }
}
