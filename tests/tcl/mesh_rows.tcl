# SPDX-License-Identifier: BSD-3-Clause
# What concurrent operations converge to, over real processes: docs/mesh.md has the table. The names
# of the tests are those of its rows.

if {![server_is_starling]} {
    return
}

start_mesh 3 {appendonly no} {

    mesh_test "S1: two SETs of one key: the later one" {
        concurrently {{set t a}} {{set t b}}
        everywhere b get t
        expect_true { [mesh_field A mesh_conflicts] >= 1 }
    }

    mesh_test "S1, KeyDB 247: replicas end with one value, whoever is asked" {
        for {set i 0} {$i < 50} {incr i} {
            node A -send set k:$i a
            node B -send set k:$i b
            node A -receive
            node B -receive
        }
        converged
        for {set i 0} {$i < 50} {incr i} {
            everywhere [node A get k:$i] get k:$i
        }
    }

    mesh_test "S3: what saw the other wins" {
        node A set t a
        converged
        node B set t b
        converged
        everywhere b get t
    }

    mesh_test "S4: two APPENDs: exactly one of them" {
        node A set k base
        converged
        concurrently {{append k x}} {{append k y}}
        expect_true { [node A get k] in {basex basey} }
        everywhere [node A get k] get k
    }

    mesh_test "S5: two bits far apart in a large bitmap: both" {
        node A setbit b 8388607 0
        converged
        concurrently {{setbit b 0 1}} {{setbit b 8000000 1}}
        everywhere 1 getbit b 0
        everywhere 1 getbit b 8000000
        everywhere 2 bitcount b
        everywhere 1048576 strlen b
    }

    mesh_test "S5: patches of a large string: other bytes both, the same bytes the later" {
        node A set big [string repeat . 20000]
        converged
        concurrently {{setrange big 10000 aaaa} {setrange big 5 A}} {{setrange big 10002 bbbb} {setrange big 15000 B}}
        everywhere aabbbb getrange big 10000 10005
        everywhere A getrange big 5 5
        everywhere B getrange big 15000 15000
    }

    mesh_test "S6: a DEL that had not seen the SET leaves it" {
        node A set k 1
        converged
        concurrently {{set k 2}} {{del k}}
        everywhere 2 get k
    }

    mesh_test "S7: two DELs: absent" {
        node A set k 1
        converged
        concurrently {{del k}} {{del k}}
        everywhere 0 exists k
        everywhere 0 dbsize
    }

    mesh_test "S8: two SET NX: both are told OK, one value" {
        cut A B
        expect [node A set k a nx] OK
        after 3
        cut A C
        cut B C
        expect [node B set k b nx] OK
        heal
        converged
        expect_true { [node A get k] in {a b} }
        everywhere [node A get k] get k
    }

    mesh_test "S9: value and expiry arrive together" {
        node A set k w ex 100
        converged
        everywhere w get k
        foreach name {A B C} {
            expect_range [node $name ttl k] 90 100
        }
    }

    mesh_test "S10: a delete takes what it has seen, in every order of arrival" {
        cut A B
        cut A C
        node A set k 1
        after 3
        node B set k 2
        wait_until { [node C get k] eq "2" }
        node C del k
        heal
        converged
        everywhere 1 get k
    }

    mesh_test "C1, KeyDB 111: increments on both sides add up" {
        concurrently {{incrby c 7}} {{incrby c 3}}
        everywhere 10 get c
    }

    mesh_test "C2: with decrements" {
        node A set c 10
        converged
        concurrently {{decrby c 3}} {{incrby c 6}}
        everywhere 13 get c
    }

    mesh_test "C3: a SET takes what it has seen, an unseen increment counts" {
        node A set c 10
        converged
        concurrently {{set c 100}} {{incrby c 5}}
        everywhere 105 get c
    }

    mesh_test "C4: so does a DEL" {
        node A set c 10
        converged
        concurrently {{del c}} {{incrby c 5}}
        everywhere 5 get c
    }

    mesh_test "C4: of increments, too" {
        node A incrby c 4
        node B incrby c 6
        converged
        concurrently {{del c}} {{incrby c 5}} {{incrby c 7}}
        everywhere 12 get c
        node C del c
        converged
        everywhere 0 exists c
        node B incr c
        converged
        everywhere 1 get c
    }

    mesh_test "C5: two SETs and an increment" {
        node A set c 10
        converged
        concurrently {{set c 100}} {{set c 200}} {{incrby c 7}}
        everywhere 207 get c
    }

    mesh_test "C6: a text hides increments" {
        node A set c 10
        converged
        concurrently {{set c abc}} {{incr c}}
        everywhere abc get c
    }

    mesh_test "C7: floats have the same bytes everywhere" {
        node A set c 0
        converged
        concurrently {{incrbyfloat c 0.1}} {{incrbyfloat c 0.2}} {{incrbyfloat c 0.7}}
        everywhere [node A get c] get c
        expect_true { abs([node A get c] - 1.0) < 1e-9 }
    }

    mesh_test "C11: the range is exact at home, and saturates in a merge" {
        node A set c 9223372036854775806
        converged
        cut A
        cut B
        expect [node A incr c] 9223372036854775807
        expect_error "ERR increment or decrement would overflow" { node A incr c }
        expect [node B incr c] 9223372036854775807
        heal
        converged
        everywhere 9223372036854775807 get c
    }

    mesh_test "P1: two HyperLogLogs join" {
        concurrently {{pfadd h x}} {{pfadd h y}}
        everywhere 2 pfcount h
    }

    mesh_test "P2: PFADD that a DEL had not seen" {
        node A pfadd h e1
        converged
        concurrently {{pfadd h e2}} {{del h}}
        everywhere 1 exists h
        expect_true { [node A pfcount h] >= 1 }
    }

    mesh_test "T1: two expiries: the later time" {
        node A set k v
        converged
        concurrently {{expire k 1000}} {{expire k 5000}}
        foreach name {A B C} {
            expect_range [node $name ttl k] 4900 5000
        }
    }

    mesh_test "T1: whoever came first" {
        node A set k v
        converged
        concurrently {{expire k 5000}} {{expire k 1000}}
        foreach name {A B C} {
            expect_range [node $name ttl k] 4900 5000
        }
    }

    mesh_test "T2: PERSIST counts as never" {
        node A set k v ex 1000
        converged
        concurrently {{expire k 5000}} {{persist k}}
        everywhere -1 ttl k
    }

    mesh_test "T3: the longer one wins only when concurrent" {
        node A set k v
        node A expire k 5000
        converged
        node B expire k 1000
        converged
        foreach name {A B C} {
            expect_range [node $name ttl k] 900 1000
        }
    }

    mesh_test "T5: one instant for all, however late it arrives" {
        cut A B
        cut A C
        node A set k v px 3000
        after 500
        heal
        converged
        foreach name {A B C} {
            expect_range [node $name pttl k] 1 2600
        }
        wait_until { [node A exists k] + [node B exists k] + [node C exists k] == 0 } 10
    }

    mesh_test "K1, KeyDB 83, 142, 390: what was deleted while a node was down stays deleted" {
        node C config set appendonly yes
        for {set i 0} {$i < 100} {incr i} {
            node A set key:$i v
        }
        converged
        stop_node C
        for {set i 0} {$i < 100} {incr i} {
            node A del key:$i
        }
        node B set other 1
        start_node C
        linked
        converged
        everywhere 1 dbsize
        everywhere 0 exists key:5
        node C config set appendonly no
    }

    mesh_test "K3: RENAME and a SET of the old name" {
        node A set k v
        converged
        concurrently {{rename k k2}} {{set k 9}}
        everywhere 9 get k
        everywhere v get k2
    }

    mesh_test "K4: FLUSHALL removes what it has seen" {
        node A set a 1
        node A incrby n 5
        converged
        concurrently {{flushall}} {{set b 1} {incrby n 2}}
        everywhere 1 get b
        everywhere 2 get n
        everywhere 0 exists a
        everywhere 2 dbsize
    }

    mesh_test "K6: a transaction is never half seen" {
        set reader [node_connect B]
        for {set i 0} {$i < 200} {incr i} {
            node A -pipeline [list multi [list set x $i] [list set y $i] exec]
            $reader -pipeline {multi {get x} {get y}}
            set pair [$reader exec]
            expect [lindex $pair 0] [lindex $pair 1]
        }
    }

    mesh_test "K7: WATCH notices a change that arrives" {
        node A set k 0
        converged
        set c [node_connect B]
        $c watch k
        node A set k 1
        wait_until { [node B get k] eq "1" }
        $c multi
        $c set k 2
        $c exec
        expect [$c -type] nil
        everywhere 1 get k
    }

    mesh_test "K9: no effect without its cause" {
        cut A C
        node A set k 1
        wait_until { [node B get k] eq "1" }
        node B set k2 2
        # C is told of both by B, or of none.
        set c [node_connect C]
        wait_until { [$c get k2] eq "2" }
        expect [$c get k] 1
    }

    mesh_test "K10: what changes nothing is not sent" {
        set before [mesh_field A mesh_records_out]
        expect [node A del absent] 0
        expect [node A persist absent] 0
        expect [node A expire absent 10] 0
        after 300
        expect [mesh_field A mesh_records_out] $before
    }

    mesh_test "SWAPDB: a write that had not seen it follows its database" {
        node A set a 1
        converged
        concurrently {{swapdb 0 5}} {{set b 2}}
        everywhere 0 dbsize
        foreach name {A B C} {
            set c [node_connect $name]
            $c select 5
            expect [$c get a] 1
            expect [$c get b] 2
        }
        node B swapdb 0 5
        converged
        everywhere 2 dbsize
    }

    mesh_test "MOVE and COPY, seen everywhere" {
        node A set a 1
        node A copy a b
        node A set c 3
        node A move c 7
        converged
        everywhere 1 get b
        everywhere 2 dbsize
    }

    mesh_test "a write reaches the others, both ways, and types are told" {
        foreach {from value} {A one B two C three} {
            node $from set key:$from $value
        }
        converged
        everywhere {one two three} mget key:A key:B key:C
    }
}
