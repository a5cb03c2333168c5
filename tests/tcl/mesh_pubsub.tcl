# SPDX-License-Identifier: BSD-3-Clause
# Pub/sub across the mesh: a message reaches the subscribers of every node that can be reached, once,
# through cut and partial links as well; nodes that cannot be reached do not get it, ever.

if {![server_is_starling]} {
    return
}

# A subscriber on that node.
proc subscriber {name args} {
    set c [node_connect $name -protocol 3]
    foreach {word what} $args {
        $c -send $word $what
        $c -push
    }
    return $c
}

# The next message; marks of another node may come between.
proc next_message {c} {
    set push [$c -push]
    while {[lindex $push end-1] eq "marks"} {
        set push [$c -push]
    }
    return $push
}

# What came to the subscriber before `end`, which is published on its own node.
proc messages {name c} {
    set mark end[incr ::marks]
    node $name publish marks $mark
    set seen {}
    while 1 {
        set push [$c -push]
        if {[lindex $push end] eq $mark} {
            return $seen
        }
        if {[lindex $push end-1] ne "marks"} {
            lappend seen $push
        }
    }
}
set marks 0

# Waits for the message to come to the subscriber.
proc wait_message {c message} {
    set push {}
    while {$push ne $message} {
        set push [$c -push]
    }
}

start_mesh 3 {} {

    mesh_test "PUBLISH reaches each node once, and counts the subscribers of its own" {
        foreach name {A B C} {
            set c$name [subscriber $name subscribe marks subscribe news psubscribe n*]
        }
        expect [node A publish news hello] 2
        expect [node B publish other x] 0
        expect [node A spublish news shard] 0
        node A publish news last
        foreach name {A B C} {
            set c [set c$name]
            foreach text {hello last} {
                expect [next_message $c] [list message news $text]
                expect [next_message $c] [list pmessage n* news $text]
            }
            expect [messages $name $c] {}
        }
        expect [mesh_field A mesh_broadcasts_relayed] 0
        expect [mesh_field B mesh_broadcasts_duplicate] 0
    }

    mesh_test "SPUBLISH reaches shard channels of all nodes" {
        foreach name {A B C} {
            set c$name [subscriber $name ssubscribe shard subscribe shard subscribe marks]
        }
        expect [node B spublish shard hello] 1
        foreach name {A B C} {
            expect [next_message [set c$name]] {smessage shard hello}
            expect [messages $name [set c$name]] {}
        }
    }

    mesh_test "A publisher's messages come in its order, whatever is in them" {
        set c [subscriber B subscribe marks subscribe news]
        set sent {}
        for {set i 0} {$i < 500} {incr i} {
            set text "$i [random_bytes [random_below 200]]"
            node A -send publish news $text
            lappend sent $text
        }
        for {set i 0} {$i < 500} {incr i} {
            node A -receive
        }
        foreach text $sent {
            expect [next_message $c] [list message news $text]
        }
        node A multi
        node A publish news first
        node A set k v
        node A publish news second
        expect [node A exec] {0 OK 0}
        expect [next_message $c] {message news first}
        expect [node B get k] v
        expect [next_message $c] {message news second}
        expect [messages B $c] {}
    }

    mesh_test "A message that is longer than a frame comes whole, with writes around it" {
        set b [subscriber B subscribe marks subscribe news]
        set c [subscriber C subscribe marks subscribe news]
        set text [string repeat 0123456789abcdef 750000]
        node A set before 1
        node A publish news $text
        node A publish news short
        node A set after 1
        foreach subscriber [list $b $c] {
            set push [next_message $subscriber]
            expect_true {[lindex $push 2] eq $text} "the long message differs"
            expect [next_message $subscriber] {message news short}
        }
        converged
        everywhere 1 get after
    }

    mesh_test "With a cut link a message comes by the third node, once" {
        set a [subscriber A subscribe marks subscribe news]
        set b [subscriber B subscribe marks subscribe news]
        set c [subscriber C subscribe marks subscribe news]
        cut A C
        wait_until { [mesh_field A mesh_links_up] == 1 && [mesh_field C mesh_links_up] == 1 }
        node A publish news one
        wait_message $c {message news one}
        node C publish news two
        wait_message $a {message news two}
        expect [messages A $a] {}
        expect [messages C $c] {{message news two}}
        set seen [messages B $b]
        expect $seen {{message news one} {message news two}}
        expect_true {[mesh_field B mesh_broadcasts_relayed] >= 2}
        # Linked again, all links are used, and nothing comes twice.
        heal
        node A publish news three
        wait_message $c {message news three}
        wait_message $b {message news three}
        expect [messages C $c] {}
        expect [messages B $b] {}
    }

    mesh_test "A node that is cut off does not get it, then or later" {
        set b [subscriber B subscribe marks subscribe news]
        set c [subscriber C subscribe marks subscribe news]
        cut C
        wait_until { [mesh_field C mesh_links_up] == 0 }
        node A publish news lost
        node A set k v
        wait_message $b {message news lost}
        heal
        linked
        converged
        expect [node C get k] v
        node A publish news found
        expect [next_message $c] {message news found}
        wait_message $b {message news found}
        expect [messages C $c] {}
        expect [messages B $b] {}
    }

    mesh_test "A restarted publisher is heard" {
        set b [subscriber B subscribe marks subscribe news]
        node A publish news before
        wait_message $b {message news before}
        stop_node A KILL
        start_node A
        linked
        node A publish news after
        wait_message $b {message news after}
        expect [messages B $b] {}
    }

    mesh_test "Messages from everybody at once" {
        foreach name {A B C} {
            set c$name [subscriber $name subscribe news]
            set other$name [node_connect $name]
        }
        for {set i 0} {$i < 300} {incr i} {
            foreach name {A B C} {
                [set other$name] -send publish news $name$i
            }
        }
        foreach name {A B C} {
            set seen {}
            for {set i 0} {$i < 900} {incr i} {
                lappend seen [lindex [[set c$name] -push] 2]
            }
            expect [llength [lsort -unique $seen]] 900
            foreach from {A B C} {
                set order [lsearch -all -inline $seen $from*]
                expect $order [lsort -dictionary $order]
            }
            expect [[set c$name] ping] PONG
            expect [[set c$name] -pushes] {}
        }
    }
}

# A mesh in which one node has a link with one other only, as nodes of a very large mesh have with
# some.
start_mesh 6 {} {
    test "With partial links a message reaches all nodes, once" {
        set names {A B C D E F}
        foreach name $names {
            set c$name [subscriber $name subscribe marks subscribe news]
        }
        cut A C
        cut A D
        cut A E
        cut A F
        wait_until { [mesh_field A mesh_links_up] == 1 }
        for {set i 0} {$i < 20} {incr i} {
            node A publish news $i
            foreach name $names {
                wait_message [set c$name] [list message news $i]
            }
        }
        node F publish news back
        foreach name $names {
            wait_message [set c$name] {message news back}
        }
        foreach name $names {
            expect "$name [messages $name [set c$name]]" "$name "
        }
        expect_true {[mesh_field B mesh_broadcasts_relayed] >= 20}
    }
}
