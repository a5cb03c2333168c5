# SPDX-License-Identifier: BSD-3-Clause
# What concurrent operations on hashes converge to, over real processes: docs/mesh.md has the table.
# Each row with a packed hash and with one that is a table.

if {![server_is_starling]} {
    return
}

# Fields beside those of the row: none, some that are packed, or so many that they are not.
proc others {kind} {
    set fields {}
    for {set i 0} {$i < [dict get {none 0 few 3 many 600} $kind]} {incr i} {
        lappend fields other:$i $i
    }
    return $fields
}

proc in_order {pairs} {
    return [lsort -stride 2 $pairs]
}

# Exactly these fields on every node.
proc fields_everywhere {key fields} {
    foreach name {A B C} {
        expect [in_order [node $name hgetall $key]] [in_order $fields]
        # Fields that have expired count until they are removed, as keys do for DBSIZE.
        wait_until { [node $name hlen $key] == [llength $fields] / 2 }
        expect [node $name exists $key] [expr {[llength $fields] > 0}]
    }
}

proc seed {key fields} {
    if {[llength $fields] > 0} {
        node A hset $key {*}$fields
    }
    converged
}

start_mesh 3 {appendonly yes appendfsync no} {
    foreach kind {none few many} {
        set others [others $kind]

        mesh_test "H1: two fields ($kind)" {
            seed k $others
            concurrently {{hset k f1 a}} {{hset k f2 b}}
            fields_everywhere k [concat {f1 a f2 b} $others]
            # A conflict does not make a small hash a large one.
            everywhere [expr {$kind eq "many" ? "hashtable" : "listpack"}] object encoding k
        }

        mesh_test "H2: one field, two values: the later ($kind)" {
            seed k $others
            concurrently {{hset k f v1}} {{hset k f v2}}
            fields_everywhere k [concat {f v2} $others]
            concurrently {{hset k f v4 g x}} {{hset k f v5 g y}} {{hset k f v6}}
            fields_everywhere k [concat {f v6 g y} $others]
            # What saw the others wins, whatever the clocks.
            node A hset k f v7
            converged
            fields_everywhere k [concat {f v7 g y} $others]
        }

        mesh_test "H3: HDEL beside HSET ($kind)" {
            seed k [concat {f 1} $others]
            concurrently {{hdel k f}} {{hset k f 2}}
            fields_everywhere k [concat {f 2} $others]
            # Whichever is the later.
            concurrently {{hset k f 3}} {{hdel k f}}
            fields_everywhere k [concat {f 3} $others]
            # Setting what is there already is a new SET.
            concurrently {{hset k f 3}} {{hdel k f}} {{del k}}
            fields_everywhere k {f 3}
        }

        mesh_test "H4: HDEL beside HINCRBY leaves the increment ($kind)" {
            seed k [concat {f 10} $others]
            concurrently {{hdel k f}} {{hincrby k f 5}}
            fields_everywhere k [concat {f 5} $others]
            concurrently {{hincrby k f 7}} {{hdel k f}}
            fields_everywhere k [concat {f 7} $others]
            concurrently {{del k}} {{hincrby k f 4}}
            fields_everywhere k {f 4}
        }

        mesh_test "H5: increments on both sides count ($kind)" {
            seed k $others
            concurrently {{hincrby k f 2}} {{hincrby k f 3}}
            fields_everywhere k [concat {f 5} $others]
            concurrently {{hincrby k f 10}} {{hincrby k f -4} {hincrby k f -4}} {{hincrby k f 100}}
            fields_everywhere k [concat {f 107} $others]
            concurrently {{hincrbyfloat k g 0.1}} {{hincrbyfloat k g 0.2}}
            set sum [node A hget k g]
            expect_true { abs($sum - 0.3) < 1e-9 }
            everywhere $sum hget k g
        }

        mesh_test "H6: a DEL removes what its writer had seen ($kind)" {
            seed k [concat {f1 a f2 b} $others]
            concurrently {{del k}} {{hset k f3 x}}
            fields_everywhere k {f3 x}
            concurrently {{hset k f4 y}} {{unlink k}}
            fields_everywhere k {f4 y}
            concurrently {{del k}} {{del k}} {{hdel k f4}}
            fields_everywhere k {}
        }

        mesh_test "C3, C5: HSET beside HINCRBY ($kind)" {
            seed k [concat {f 10} $others]
            concurrently {{hset k f 100}} {{hincrby k f 5}}
            fields_everywhere k [concat {f 105} $others]
            concurrently {{hset k f 100}} {{hset k f 200}} {{hincrby k f 7}}
            fields_everywhere k [concat {f 207} $others]
        }

        mesh_test "C6: what is no number any more is not added to ($kind)" {
            seed k [concat {f 10} $others]
            concurrently {{hset k f abc}} {{hincrby k f 1}}
            fields_everywhere k [concat {f abc} $others]
            everywhere 0 hsetnx k f other
            node B hset k f 4
            converged
            node C hincrby k f 1
            converged
            fields_everywhere k [concat {f 5} $others]
        }

        mesh_test "C11: sums beyond the range stay at its end ($kind)" {
            seed k [concat {f 9223372036854775800} $others]
            concurrently {{hincrby k f 7}} {{hincrby k f 7}}
            fields_everywhere k [concat {f 9223372036854775807} $others]
        }

        mesh_test "S8: HSETNX on both sides: both are told so, the later stays ($kind)" {
            seed k $others
            cut A
            cut B
            expect [node A hsetnx k f a] 1
            after 5
            expect [node B hsetnx k f b] 1
            heal
            converged
            fields_everywhere k [concat {f b} $others]
        }

        mesh_test "S10: what was not seen survives a removal, in any order of arrival ($kind)" {
            seed k $others
            cut A B
            cut A C
            node A hset k f 1
            node B hset k f 2
            wait_until { [node C hget k f] == 2 }
            node C hdel k f
            heal
            converged
            fields_everywhere k [concat {f 1} $others]
        }

        mesh_test "C8, C9: a killed node counts once ($kind)" {
            seed k [concat {f 5} $others]
            cut A
            node A hincrby k f 5
            stop_node A KILL
            node B hincrby k f 100
            start_node A
            node A hincrby k f 5
            heal
            converged
            fields_everywhere k [concat {f 115} $others]
            stop_node B KILL
            node A hdel k f
            node C hset k g 1
            start_node B
            heal
            converged
            fields_everywhere k [concat {g 1} $others]
        }

        mesh_test "K4: FLUSHALL removes what its writer had seen ($kind)" {
            seed k [concat {f 1} $others]
            concurrently {{flushall}} {{hset k g 1} {hset l f 2}}
            fields_everywhere k {g 1}
            fields_everywhere l {f 2}
        }

        mesh_test "K5: a string and a hash: one type, the later ($kind)" {
            concurrently {{set k v}} [list [list hset k f 1 {*}$others]]
            everywhere hash type k
            fields_everywhere k [concat {f 1} $others]
            node A del k
            converged
            everywhere 0 exists k
            concurrently [list [list hset k f 1 {*}$others]] {{set k v}}
            everywhere string type k
            everywhere v get k
            expect_true { [mesh_field A mesh_conflicts] >= 1 }
            node C del k
            converged
            everywhere 0 exists k
        }

        mesh_test "K5: a set, a sorted set and a hash ($kind)" {
            concurrently {{sadd k m}} {{zadd k 1 m}} [list [list hset k f 1 {*}$others]]
            everywhere hash type k
            fields_everywhere k [concat {f 1} $others]
            # Who writes next has seen the hash, and the others go with it.
            node A hdel k f
            converged
            fields_everywhere k $others
            node B set k text
            converged
            everywhere text get k
        }

        mesh_test "T4: what is set while a hash expires survives, without expiry ($kind)" {
            seed k [concat {f 1} $others]
            node A pexpire k 300
            converged
            cut A
            cut B
            after 400
            node A exists k
            node B hset k g 2
            heal
            converged
            fields_everywhere k {g 2}
            everywhere -1 ttl k
        }

        mesh_test "T1, T2: a hash's expiry: the later; none beats any ($kind)" {
            seed k [concat {f 1} $others]
            concurrently {{expire k 1000}} {{expire k 5000}}
            everywhere 1 expire k 5000 xx
            foreach name {A B C} { expect_range [node $name ttl k] 4990 5000 }
            converged
            concurrently {{expire k 1000}} {{persist k}}
            everywhere -1 ttl k
        }

        mesh_test "RENAME and COPY of a hash beside a write ($kind)" {
            seed k [concat {f 1} $others]
            concurrently {{rename k k2}} {{hset k g 9}}
            fields_everywhere k {g 9}
            fields_everywhere k2 [concat {f 1} $others]
            concurrently {{copy k2 k3}} {{hset k3 h 1}}
            fields_everywhere k3 [concat {f 1 h 1} $others]
        }

        # ---- expiries of fields ----

        mesh_test "T1: two expiries of one field: the later wins, either way ($kind)" {
            seed k [concat {f 1} $others]
            concurrently {{hpexpireat k 33177117420000 fields 1 f}} \
                {{hpexpireat k 33177117990000 fields 1 f}}
            everywhere 33177117990000 hpexpiretime k fields 1 f
            node C hpersist k fields 1 f
            converged
            everywhere -1 hpexpiretime k fields 1 f
            concurrently {{hpexpireat k 33177117990000 fields 1 f}} \
                {{hpexpireat k 33177117420000 fields 1 f}}
            everywhere 33177117990000 hpexpiretime k fields 1 f
            fields_everywhere k [concat {f 1} $others]
        }

        mesh_test "T2, T3: no expiry beats one; what had seen the other replaces it ($kind)" {
            seed k [concat {f 1} $others]
            node A hpexpireat k 33177117420000 fields 1 f
            converged
            node B hpexpireat k 33177000000000 fields 1 f
            converged
            everywhere 33177000000000 hpexpiretime k fields 1 f
            concurrently {{hpexpireat k 33177117990000 fields 1 f}} {{hpersist k fields 1 f}}
            everywhere -1 hpexpiretime k fields 1 f
        }

        mesh_test "HSET removes a field's expiry, and one that it had not seen stays with none ($kind)" {
            seed k [concat {f 1} $others]
            node A hexpire k 1000 fields 1 f
            converged
            node B hset k f 2
            converged
            everywhere -1 httl k fields 1 f
            node A hexpire k 1000 fields 1 f
            converged
            node C hincrby k f 1
            converged
            foreach name {A B C} {
                expect_range [lindex [node $name httl k fields 1 f] 0] 990 1000
            }
            fields_everywhere k [concat {f 3} $others]
            concurrently {{hexpire k 1000 fields 1 f}} {{hset k f 4}}
            fields_everywhere k [concat {f 4} $others]
            set time [node A hpexpiretime k fields 1 f]
            everywhere $time hpexpiretime k fields 1 f
        }

        mesh_test "A field expires everywhere; what is set meanwhile survives ($kind)" {
            seed k [concat {f 1} $others]
            node A hpexpire k 100 fields 1 f
            converged
            wait_until { [node A hexists k f] == 0 }
            wait_until { [node B hlen k] == [llength $others] / 2 }
            converged
            fields_everywhere k $others
            node A hset k f 1
            node A hpexpire k 200 fields 1 f
            converged
            cut A
            cut B
            node B hset k f 2
            after 300
            expect [node A hexists k f] 0
            heal
            converged
            fields_everywhere k [concat {f 2} $others]
            everywhere -1 httl k fields 1 f
        }
    }

    mesh_test "S9: a field and its expiry arrive in one unit" {
        set client [node_connect B]
        node A multi
        node A hset k f 1
        node A hexpire k 100 fields 1 f
        node A exec
        wait_until { [$client hexists k f] == 1 }
        expect_range [lindex [$client httl k fields 1 f] 0] 99 100
    }

    mesh_test "Events of fields from other nodes" {
        node B config set notify-keyspace-events KEA
        set listener [node_connect B]
        $listener psubscribe __keyevent@*
        node A hset k f 1 g 2
        converged
        node A hexpire k 1000 fields 2 f g
        converged
        node A hpersist k fields 1 f
        converged
        node A hdel k f g
        converged
        node A set end 1
        set events {}
        while 1 {
            set event [lindex [split [lindex [$listener -receive] 2] :] end]
            if {$event eq "set"} break
            lappend events $event
        }
        node B config set notify-keyspace-events ""
        expect $events {hset hexpire hpersist hdel del}
    }

    mesh_test "C12: many increments of fields on all nodes, one killed in the middle" {
        for {set i 0} {$i < 300} {incr i} {
            foreach name {A B C} {
                if {$i == 150 && $name eq "C"} {
                    stop_node C KILL
                    start_node C
                    linked
                }
                node $name hincrby k f:[expr {$i % 3}] 1
            }
        }
        converged
        fields_everywhere k {f:0 300 f:1 300 f:2 300}
    }

    mesh_test "Random operations on all sides: equal on all nodes" {
        for {set round 0} {$round < 8} {incr round} {
            foreach name {A B C} { if {$round % 2} { cut $name } }
            for {set step 0} {$step < 60} {incr step} {
                foreach name {A B C} {
                    set key k:[random_below 3]
                    set field f[random_below 40]
                    switch [random_below 12] {
                        0 - 1 - 2 { node $name hset $key $field [random_below 100] g[random_below 600] 1 }
                        3 - 4 { node $name hdel $key $field f[random_below 40] }
                        5 - 6 { catch { node $name hincrby $key $field [random_below 9] } }
                        7 { catch { node $name hincrbyfloat $key $field 0.25 } }
                        8 { node $name hpexpire $key [pick {1 30 100000}] fields 1 $field }
                        9 { node $name hpersist $key fields 1 $field }
                        10 { node $name hset $key $field [pick {text 5}] }
                        11 {
                            switch [random_below 6] {
                                0 { node $name del $key }
                                1 { catch { node $name rename $key k:[random_below 3] } }
                                2 { catch { node $name copy $key k:[random_below 3] replace } }
                            }
                        }
                    }
                }
            }
            heal
            after 500 ;# fields that have expired are removed by then, on a slow machine, too
            converged
            foreach key {k:0 k:1 k:2} {
                fields_everywhere $key [node A hgetall $key]
                foreach name {B C} {
                    foreach field [node A hkeys $key] {
                        expect [node $name hpexpiretime $key fields 1 $field] \
                            [node A hpexpiretime $key fields 1 $field]
                    }
                }
            }
        }
    }
}
