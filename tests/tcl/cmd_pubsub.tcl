# SPDX-License-Identifier: BSD-3-Clause
# Pub/sub on one node: SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE and their ends, PUBLISH, SPUBLISH, PUBSUB,
# in both versions of the protocol, and what subscriptions mean to CLIENT, INFO, MULTI and RESET.
# What reaches other nodes is in mesh_pubsub.tcl, events about keys in keyspace_events.tcl.

# Sends a command to a subscriber of RESP2 and reads `count` messages.
proc told {c count args} {
    $c -send {*}$args
    set messages {}
    for {set i 0} {$i < $count} {incr i} {
        lappend messages [$c -receive]
    }
    return $messages
}

start_server {} {

    test "SUBSCRIBE and UNSUBSCRIBE answer once for each channel" {
        set c [connect]
        expect [told $c 3 subscribe a b a] {{subscribe a 1} {subscribe b 2} {subscribe a 2}}
        expect [told $c 2 psubscribe x* a] {{psubscribe x* 3} {psubscribe a 4}}
        expect [told $c 2 unsubscribe nosuch a] {{unsubscribe nosuch 4} {unsubscribe a 3}}
        expect [told $c 1 unsubscribe] {{unsubscribe b 2}}
        expect [$c -wire unsubscribe] "*3\r\n\$11\r\nunsubscribe\r\n\$-1\r\n:2\r\n"
        expect_set [told $c 2 punsubscribe] {{punsubscribe x* 1} {punsubscribe a 0}}
        expect [$c -wire punsubscribe] "*3\r\n\$12\r\npunsubscribe\r\n\$-1\r\n:0\r\n"
        expect [$c ping] PONG
    }

    test "Channels may have any name, the empty one included" {
        set c [connect]
        set name "\x00\r\n*\xff"
        expect [told $c 2 subscribe "" $name] [list {subscribe {} 1} [list subscribe $name 2]]
        expect [r publish "" x] 1
        expect [$c -receive] {message {} x}
        expect [r publish $name y] 1
        expect [$c -receive] [list message $name y]
        expect [told $c 1 psubscribe ""] {{psubscribe {} 3}}
        expect [r publish "" z] 2
        expect [$c -receive] {message {} z}
        expect [$c -receive] {pmessage {} {} z}
        expect [lindex [lindex [told $c 2 unsubscribe] 1] 2] 1
        expect [told $c 1 punsubscribe] {{punsubscribe {} 0}}
    }

    test "SSUBSCRIBE and SUNSUBSCRIBE count for themselves" {
        set c [connect]
        expect [told $c 2 ssubscribe a b] {{ssubscribe a 1} {ssubscribe b 2}}
        expect [told $c 1 subscribe a] {{subscribe a 1}}
        expect [told $c 1 sunsubscribe a] {{sunsubscribe a 1}}
        expect [told $c 1 sunsubscribe] {{sunsubscribe b 0}}
        expect [$c -wire sunsubscribe] "*3\r\n\$12\r\nsunsubscribe\r\n\$-1\r\n:0\r\n"
        expect_error "ERR Can't execute 'get'*" { $c get k }
    }

    test "SSUBSCRIBE is refused inside MULTI, SUBSCRIBE is not" {
        r multi
        r ssubscribe a
        expect [r exec] {{-ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client}}
        r multi
        r subscribe a
        r ping
        # From its subscription on, PING answers as subscribers are answered.
        expect [r exec] {{subscribe a 1} {pong {}}}
    }

    test "PUBLISH reaches subscribers and tells how many there are" {
        set one [connect]
        set two [connect]
        expect [r publish a nobody] 0
        told $one 2 subscribe a b
        told $two 1 subscribe a
        expect [r publish a hello] 2
        expect [$one -receive] {message a hello}
        expect [$two -receive] {message a hello}
        expect [r publish b more] 1
        expect [$one -receive] {message b more}
        told $one 1 unsubscribe a
        expect [r publish a "\x00\r\n\xff"] 1
        expect [$two -receive] [list message a "\x00\r\n\xff"]
        expect [r publish a ""] 1
        expect [$two -receive] {message a {}}
    }

    test "PSUBSCRIBE gets what matches, once for each pattern, after the channel's own" {
        set c [connect]
        told $c 1 subscribe news.art
        told $c 3 psubscribe news.* n?ws.art {h[ae]llo}
        expect [r publish news.art x] 3
        expect [$c -receive] {message news.art x}
        expect_set [list [$c -receive] [$c -receive]] \
            {{pmessage news.* news.art x} {pmessage n?ws.art news.art x}}
        expect [r publish hallo y] 1
        expect [$c -receive] {pmessage {h[ae]llo} hallo y}
        expect [r publish hillo y] 0
        expect [r publish NEWS.art y] 0
    }

    test "SPUBLISH reaches shard channels alone" {
        set c [connect]
        told $c 1 ssubscribe a
        told $c 1 subscribe a
        told $c 1 psubscribe *
        expect [r spublish a shard] 1
        expect [$c -receive] {smessage a shard}
        expect [r publish a other] 2
        expect [$c -receive] {message a other}
        expect [$c -receive] {pmessage * a other}
    }

    test "A subscriber of RESP2 may give few commands" {
        set c [connect]
        told $c 1 subscribe a
        set allowed "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in\
            this context"
        expect_error "ERR Can't execute 'get': $allowed" { $c get k }
        expect_error "ERR Can't execute 'publish': $allowed" { $c publish a b }
        expect_error "ERR Can't execute 'client|list': $allowed" { $c client list }
        expect_error "ERR Can't execute 'multi': $allowed" { $c multi }
        expect_error "ERR Can't execute 'latency|reset': $allowed" { $c latency reset }
        expect_error "ERR unknown command 'nosuch'*" { $c nosuch }
        expect_error "ERR wrong number of arguments for 'get' command" { $c get }
        expect [$c -wire ping] "*2\r\n\$4\r\npong\r\n\$0\r\n\r\n"
        expect [$c -wire ping hi] "*2\r\n\$4\r\npong\r\n\$2\r\nhi\r\n"
        told $c 1 unsubscribe
        expect [$c -wire ping] "+PONG\r\n"
        expect [$c get k] {}
        told $c 1 psubscribe a
        expect_error "ERR Can't execute 'get'*" { $c get k }
        expect [$c quit] OK
        expect [$c -eof] 1
    }

    test "RESET ends all subscriptions" {
        set c [connect]
        told $c 2 subscribe a b
        told $c 1 psubscribe c
        told $c 1 ssubscribe d
        expect [$c reset] RESET
        expect [$c -wire ping] "+PONG\r\n"
        expect [r publish a x] 0
        expect [r spublish d x] 0
        expect [r pubsub channels] {}
        expect [r pubsub numpat] 0
    }

    test "Disconnecting ends all subscriptions" {
        set c [connect]
        told $c 2 subscribe a b
        told $c 1 psubscribe c
        told $c 1 ssubscribe d
        $c -close
        wait_until { [r pubsub channels] eq "" && [r pubsub shardchannels] eq "" }
        expect [r pubsub numpat] 0
        expect [r publish a x] 0
    }

    test "PUBSUB CHANNELS, NUMSUB, NUMPAT, SHARDCHANNELS, SHARDNUMSUB" {
        expect [r pubsub channels] {}
        expect [r pubsub numsub] {}
        expect [r pubsub numsub a b] {a 0 b 0}
        set one [connect]
        set two [connect]
        told $one 3 subscribe a1 a2 b1
        told $two 1 subscribe a1
        told $one 2 psubscribe p* q*
        told $two 1 psubscribe p*
        told $two 2 ssubscribe s1 s2
        expect_set [r pubsub channels] {a1 a2 b1}
        expect_set [r pubsub channels a*] {a1 a2}
        expect [r pubsub channels z*] {}
        expect [r pubsub numsub a1 nosuch a2 a1] {a1 2 nosuch 0 a2 1 a1 2}
        expect [r pubsub numpat] 2
        expect_set [r pubsub shardchannels] {s1 s2}
        expect [r pubsub shardchannels *2] s2
        expect [r pubsub shardnumsub s1 a1] {s1 1 a1 0}
        expect_match [r pubsub help] "*PUBSUB <subcommand> *SHARDNUMSUB*"
        expect_error "ERR unknown subcommand 'nosuch'. Try PUBSUB HELP." { r pubsub nosuch }
        expect_error "ERR wrong number of arguments for 'pubsub' command" { r pubsub }
        expect_error "ERR wrong number of arguments for 'pubsub|numpat' command" { r pubsub numpat x }
        expect_error "ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB\
            HELP." { r pubsub CHANNELS a b }
    }

    test "Wrong numbers of arguments" {
        foreach command {subscribe psubscribe ssubscribe {publish a} {spublish a} {publish a b c}} {
            expect_error "ERR wrong number of arguments for '[lindex $command 0]' command" {
                r {*}$command
            }
        }
    }

    test "RESP3: subscriptions and messages are pushes, and all commands are allowed" {
        set c [connect -protocol 3]
        $c -send subscribe a
        expect [$c -wire] ">3\r\n\$9\r\nsubscribe\r\n\$1\r\na\r\n:1\r\n"
        $c -send psubscribe a*
        expect [$c -push] {psubscribe a* 2}
        expect [$c set k v] OK
        expect [r publish a hello] 2
        expect [$c get k] v
        expect [$c -push] {message a hello}
        expect [$c -push] {pmessage a* a hello}
        expect [$c -wire ping] "+PONG\r\n"
        expect [$c ping text] text
        $c -send unsubscribe
        expect [$c -push] {unsubscribe a 1}
        $c -send unsubscribe
        expect [$c -wire] ">3\r\n\$11\r\nunsubscribe\r\n_\r\n:1\r\n"
    }

    starling_test "RESP3: a message to the publisher itself follows the reply" {
        set c [connect -protocol 3]
        $c -send subscribe a
        expect [$c -push] {subscribe a 1}
        $c -send publish a one
        expect [$c -wire] ":1\r\n"
        expect [$c -push] {message a one}
        expect [$c multi] OK
        $c ping first
        $c publish a two
        $c publish a three
        $c ping last
        $c -send exec
        expect [$c -receive] {first 1 1 last}
        expect [$c -push] {message a two}
        expect [$c -push] {message a three}
    }

    test "CLIENT REPLY OFF and SKIP do not keep messages back" {
        set c [connect -protocol 3]
        $c -send client reply off
        $c -send subscribe a
        expect [$c -push] {subscribe a 1}
        $c -send ping
        $c -send publish a own
        expect [$c -push] {message a own}
        r publish a other
        expect [$c -push] {message a other}
        $c -send unsubscribe a
        expect [$c -push] {unsubscribe a 0}
        expect [$c client reply on] OK
        $c -send client reply skip
        $c -send subscribe b
        expect [$c -push] {subscribe b 1}
        expect [$c ping] PONG
        expect [$c -pushes] {}
    }

    test "HELLO changes the form of messages from then on" {
        set c [connect -protocol 3]
        $c -send subscribe a
        $c -push
        $c hello 2
        r publish a x
        expect [$c -wire] "*3\r\n\$7\r\nmessage\r\n\$1\r\na\r\n\$1\r\nx\r\n"
        expect_error "ERR Can't execute 'get'*" { $c get k }
    }

    test "CLIENT LIST and INFO tell of subscriptions" {
        set id [r client id]
        set c [connect -protocol 3]
        $c client setname subscriber
        $c -send subscribe a b
        $c -push
        $c -push
        $c -send psubscribe p
        $c -push
        $c -send ssubscribe s
        $c -push
        expect_match [$c client info] "*name=subscriber *flags=P * sub=2 psub=1 ssub=1 multi=-1 *"
        expect_match [r client list type pubsub] "*name=subscriber*"
        expect [llength [split [string trim [r client list type pubsub]] \n]] 1
        expect_true {![string match *name=subscriber* [r client list type normal]]}
        expect [info_field stats pubsub_channels] 2
        expect [info_field stats pubsub_patterns] 1
        if {[server_is_starling]} {
            expect [info_field stats pubsubshard_channels] 1
            expect [info_field clients pubsub_clients] 1
        }
        $c reset
        expect_match [r client list] "*flags=N *"
        expect [r client list type pubsub] {}
        expect [info_field stats pubsub_channels] 0
    }

    test "CLIENT KILL TYPE pubsub closes subscribers alone" {
        set one [connect]
        set two [connect]
        told $one 1 subscribe a
        expect [r client kill type pubsub] 1
        expect [$one -eof] 1
        expect [$two ping] PONG
        wait_until { [r pubsub numsub a] eq "a 0" }
    }
    test "a subscriber that CLIENT KILL has ended gets and counts nothing more" {
        set c [connect]
        set id [$c client id]
        $c -send subscribe a
        $c -read
        r multi
        r publish a x
        r client kill id $id
        r publish a x
        r pubsub numsub a
        expect [r exec] {1 1 0 {a 0}}
        $c -close
    }

    test "A slow subscriber is cut by its output limit" {
        with_config {client-output-buffer-limit "pubsub 100000 0 0"} {
            set slow [connect]
            set other [connect]
            told $slow 1 subscribe a
            told $other 1 subscribe b
            set text [string repeat x 20000]
            # What the sockets hold goes out; then the limit is reached.
            set count 0
            while {[r publish a $text] > 0 && $count < 10000} {
                incr count
            }
            expect_true {$count < 10000}
            wait_until { [r pubsub numsub a] eq "a 0" }
            expect [r publish b $text] 1
            expect [$other -receive] [list message b $text]
            if {[server_is_starling]} {
                expect_true {[info_field stats client_output_buffer_limit_disconnections] > 0}
            }
        }
    }

    test "The soft limit cuts a slow subscriber after its time" {
        with_config {client-output-buffer-limit "pubsub 0 100000 1"} {
            set slow [connect]
            told $slow 1 subscribe a
            set text [string repeat x 100000]
            for {set i 0} {$i < 100} {incr i} {
                r publish a $text
            }
            wait_until { [r pubsub numsub a] eq "a 0" } 15
        }
    }

    test "A subscriber may be idle for as long as it likes" {
        r config set timeout 1
        try {
            set idle [connect]
            set c [connect]
            told $c 1 subscribe a
            expect [$idle -eof] 1
            set late [connect]
            expect [$late publish a x] 1
            expect [$c -receive] {message a x}
        } finally {
            [connect] config set timeout 0
        }
    }

    starling_test "CLIENT REPLY OFF inside a transaction keeps no messages back" {
        set c [connect -protocol 3]
        $c -send client reply off
        $c -send multi
        $c -send subscribe a
        $c -send publish a own
        $c -send exec
        expect [$c -push] {subscribe a 1}
        expect [$c -push] {message a own}
        expect [$c client reply on] OK
    }

    test "MONITOR shows what is published" {
        set m [connect]
        $m monitor
        r publish a text
        expect_match [$m -receive] {*"publish" "a" "text"}
    }

    test "Many subscribers of a channel, many channels of a subscriber" {
        set clients {}
        for {set i 0} {$i < 200} {incr i} {
            set c [connect]
            $c -send subscribe all own$i
            lappend clients $c
        }
        foreach c $clients {
            $c -receive
            $c -receive
        }
        expect [r publish all x] 200
        foreach c $clients {
            expect [$c -receive] {message all x}
        }
        set many [connect]
        set names {}
        for {set i 0} {$i < 5000} {incr i} {
            lappend names channel$i
        }
        $many -send subscribe {*}$names
        for {set i 0} {$i < 5000} {incr i} {
            set last [$many -receive]
        }
        expect $last {subscribe channel4999 5000}
        expect [r publish channel4321 x] 1
        expect [$many -receive] {message channel4321 x}
        expect [llength [told $many 5000 unsubscribe]] 5000
        expect [llength [r pubsub channels]] 201
    }

    test "Random subscriptions behave as a table of them says" {
        set clients {}
        for {set i 0} {$i < 4} {incr i} {
            lappend clients [connect -protocol 3]
        }
        array unset model
        for {set step 0} {$step < 400} {incr step} {
            set c [pick $clients]
            set name c[random_below 6]
            switch [random_below 3] {
                0 {
                    $c -send subscribe $name
                    $c -push
                    set model($c,$name) 1
                }
                1 {
                    $c -send unsubscribe $name
                    $c -push
                    unset -nocomplain model($c,$name)
                }
                2 {
                    set wanted {}
                    foreach other $clients {
                        if {[info exists model($other,$name)]} {
                            lappend wanted $other
                        }
                    }
                    expect [r publish $name $step] [llength $wanted]
                    foreach other $wanted {
                        expect [$other -push] [list message $name $step]
                    }
                }
            }
        }
        foreach c $clients {
            expect [$c ping] PONG
            expect [$c -pushes] {}
        }
    }

    starling_test "COMMAND tells of them as Redis does" {
        set info [dict create]
        foreach row [r command info subscribe unsubscribe psubscribe punsubscribe ssubscribe \
            sunsubscribe publish spublish] {
            dict set info [lindex $row 0] $row
        }
        foreach name {subscribe unsubscribe psubscribe punsubscribe ssubscribe sunsubscribe} {
            set row [dict get $info $name]
            expect_set [lindex $row 2] {pubsub noscript loading stale}
            expect_set [lindex $row 6] {@pubsub @slow}
        }
        foreach name {publish spublish} {
            set row [dict get $info $name]
            expect [lindex $row 1] 3
            expect_set [lindex $row 2] {pubsub loading stale fast}
            expect_set [lindex $row 6] {@pubsub @fast}
        }
        expect [lrange [dict get $info ssubscribe] 3 5] {1 -1 1}
        expect_error "ERR The command has no key arguments" { r command getkeys spublish a b }
    }
}

start_server {requirepass secret} {
    test "Subscribing needs a password where there is one" {
        set c [connect]
        expect_error "NOAUTH*" { $c subscribe a }
        expect_error "NOAUTH*" { $c publish a b }
        $c auth secret
        expect [$c subscribe a] {subscribe a 1}
        expect [$c reset] RESET
        expect_error "NOAUTH*" { $c subscribe a }
        expect [r auth secret] OK
        expect [r pubsub numsub a] {a 0}
    }
}
