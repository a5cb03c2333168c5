# SPDX-License-Identifier: BSD-3-Clause
# notify-keyspace-events: which event each command makes, in which class, in which database; what
# expiry and eviction make; and what changes from other nodes make. The last part needs a mesh.

# A subscriber to all events, and what came to it since the last call.
proc listen {} {
    set c [connect -protocol 3]
    $c -send psubscribe __key*
    $c -push
    return $c
}

# All events so far as {event key}, in order: a message of our own marks their end. It reaches other
# nodes as well, so each one is different.
set marks 0
proc events {c {publish {r publish}}} {
    set mark [incr ::marks]
    {*}$publish __keymark__ $mark
    set seen {}
    while 1 {
        set push [$c -push]
        if {[lrange $push 2 3] eq "__keymark__ $mark"} {
            return $seen
        }
        if {[regexp {^__keyevent@(\d+)__:(.*)$} [lindex $push 2] all db event]} {
            lappend seen [list $event [lindex $push 3]]
        }
    }
}

# The events of a command.
proc events_of {c args} {
    {*}$args
    return [events $c]
}

start_server {notify-keyspace-events AE} {

    test "Each command on strings makes its event" {
        set c [listen]
        foreach {command wanted} {
            {set k 1} {{set k}}
            {set k 1 ex 100} {{set k} {expire k}}
            {set k 1 keepttl} {{set k}}
            {set k 1 nx} {}
            {set other 1 xx} {}
            {set k 2 get} {{set k}}
            {setex k 100 1} {{set k} {expire k}}
            {psetex k 100000 1} {{set k} {expire k}}
            {setnx k 1} {}
            {setnx n 1} {{set n}}
            {getset k 5} {{set k}}
            {get k} {}
            {mset a 1 b 2} {{set a} {set b}}
            {msetnx a 1 z 2} {}
            {msetnx y 1 z 2} {{set y} {set z}}
            {incr k} {{incrby k}}
            {incrby k 3} {{incrby k}}
            {decr k} {{incrby k}}
            {decrby k 3} {{incrby k}}
            {incrbyfloat k 1.5} {{incrbyfloat k}}
            {append k x} {{append k}}
            {append fresh x} {{append fresh}}
            {setrange k 2 yy} {{setrange k}}
            {setrange k 2 ""} {}
            {strlen k} {}
            {getex k} {}
            {getex k ex 100} {{expire k}}
            {getex k persist} {{persist k}}
            {getex k persist} {}
            {getdel k} {{del k}}
            {getdel k} {}
        } {
            expect "$command: [events_of $c r {*}$command]" "$command: $wanted"
        }
    }

    test "Each command on bits and HyperLogLogs makes its event" {
        set c [listen]
        foreach {command wanted} {
            {setbit k 7 1} {{setbit k}}
            {setbit k 7 1} {}
            {getbit k 7} {}
            {bitcount k} {}
            {bitop not t k} {{set t}}
            {bitop and t nosuch} {{del t}}
            {bitop and t nosuch} {}
            {bitfield k set u8 0 3} {{setbit k}}
            {bitfield k get u8 0} {}
            {bitfield k incrby u8 0 0} {}
            {bitfield k set u8 0 3} {}
            {bitfield k overflow fail incrby u8 0 255} {}
            {bitfield k overflow fail incrby u8 4000 -1} {}
            {bitfield k overflow fail incrby u8 0 255 set u8 8 1} {{setbit k}}
            {bitfield k incrby u8 0 1} {{setbit k}}
            {pfadd h a b} {{pfadd h}}
            {pfadd h a} {}
            {pfcount h} {}
            {pfmerge g h} {{pfadd g}}
        } {
            expect "$command: [events_of $c r {*}$command]" "$command: $wanted"
        }
    }

    test "Each command on sets makes its event" {
        set c [listen]
        foreach {command wanted} {
            {sadd s 1 2 3 a} {{sadd s}}
            {sadd s 1} {}
            {sadd t 1 2} {{sadd t}}
            {srem s 9} {}
            {srem s a} {{srem s}}
            {srem nosuch a} {}
            {smembers s} {}
            {srandmember s} {}
            {sinter s t} {}
            {smove s t 3} {{srem s} {sadd t}}
            {smove s t 1} {{srem s}}
            {smove s t 9} {}
            {smove t t 1} {}
            {smove s t 2} {{srem s} {del s}}
            {sinterstore d t t} {{sinterstore d}}
            {sunionstore d t s} {{sunionstore d}}
            {sdiffstore d t s} {{sdiffstore d}}
            {sdiffstore d t t} {{del d}}
            {sinterstore d t s} {}
            {spop t} {{spop t}}
            {spop t 0} {}
            {spop t 1} {{spop t}}
            {spop t 1} {{spop t} {del t}}
            {spop t} {}
            {sadd t 1 2} {{sadd t}}
            {spop t 5} {{spop t} {del t}}
            {sadd t 1} {{sadd t}}
            {spop t} {{spop t} {del t}}
            {sadd t 1 2} {{sadd t}}
            {srem t 1 2 3} {{srem t} {del t}}
            {sadd t 1 2} {{sadd t}}
            {rename t u} {{rename_from t} {rename_to u}}
            {copy u v} {{copy_to v}}
            {del u v} {{del u} {del v}}
        } {
            expect "$command: [events_of $c r {*}$command]" "$command: $wanted"
        }
        $c -close
    }
    test "Each command on keys makes its event" {
        set c [listen]
        r mset k 1 l 2 m 3
        events $c
        foreach {command wanted} {
            {del k nosuch l} {{del k} {del l}}
            {del k} {}
            {unlink m} {{del m}}
            {set k 1} {{set k}}
            {expire k 100} {{expire k}}
            {pexpire k 100000} {{expire k}}
            {expireat k 9999999999} {{expire k}}
            {pexpireat k 9999999999999} {{expire k}}
            {expire k 100 nx} {}
            {expire nosuch 100} {}
            {persist k} {{persist k}}
            {persist k} {}
            {expire k -1} {{del k}}
            {set k 1} {{set k}}
            {rename k l} {{rename_from k} {rename_to l}}
            {rename l l} {}
            {set k 1} {{set k}}
            {renamenx k l} {}
            {renamenx k n} {{rename_from k} {rename_to n}}
            {copy n o} {{copy_to o}}
            {copy n o} {}
            {copy n o replace} {{copy_to o}}
            {touch n} {}
            {move n 3} {{move_from n} {move_to n}}
            {move o 3} {{move_from o} {move_to o}}
            {flushdb} {}
            {flushall} {}
        } {
            expect "$command: [events_of $c r {*}$command]" "$command: $wanted"
        }
        r set k 1
        set dump [r dump k]
        events $c
        expect [events_of $c r restore n 0 $dump] {{restore n}}
        expect [events_of $c r restore n 0 $dump replace] {{restore n}}
        expect [events_of $c r restore n 1 $dump replace absttl] {{del n}}
        expect [events_of $c r restore n 1 $dump replace absttl] {}
    }

    test "Both channels name the database, and each says what the other's name says" {
        with_config {notify-keyspace-events KEA} {
            set c [listen]
            r select 3
            r set some-key 1
            expect [$c -push] {pmessage __key* __keyspace@3__:some-key set}
            expect [$c -push] {pmessage __key* __keyevent@3__:set some-key}
            r move some-key 5
            foreach {db event} {3 move_from 5 move_to} {
                expect [$c -push] [list pmessage __key* __keyspace@${db}__:some-key $event]
                expect [$c -push] [list pmessage __key* __keyevent@${db}__:$event some-key]
            }
            set one [connect]
            $one subscribe __keyspace@5__:some-key
            r select 5
            r del some-key
            expect [$one -receive] {message __keyspace@5__:some-key del}
        }
    }

    test "K, E and the classes choose what is told" {
        foreach {flags wanted} {
            "" {}
            A {}
            KE {}
            K$ {__keyspace@0__:k set}
            E$ {__keyevent@0__:set k}
            Eg {__keyevent@0__:expire k __keyevent@0__:del k}
            Kg {__keyspace@0__:k expire __keyspace@0__:k del}
            Exlz {}
            E$g {__keyevent@0__:set k __keyevent@0__:expire k __keyevent@0__:del k}
        } {
            with_config [list notify-keyspace-events $flags] {
                set c [listen]
                r set k 1 ex 100
                r del k
                r publish __keymark__ end
                set seen {}
                while {[lindex [set push [$c -push]] 2] ne "__keymark__"} {
                    lappend seen {*}[lrange $push 2 3]
                }
                expect "$flags: $seen" "$flags: $wanted"
                $c -close
            }
        }
    }

    test "CONFIG GET shows the flags as Redis does" {
        foreach {flags shown} {
            KEA AKE Kg gK gKE gKE KE$lshzxetdg AKE KEAm AKEm EKxeg$ g$xeKE Em Em A A "" ""
        } {
            with_config [list notify-keyspace-events $flags] {
                expect [config_get notify-keyspace-events] $shown
            }
        }
        expect_error "*Invalid event class character*" { r config set notify-keyspace-events KEQ }
    }

    test "A key that expires makes its event when it is removed" {
        set c [listen]
        r set looked 1 px 30
        r set walked 1 px 30
        events $c
        wait_until { [r dbsize] == 0 }
        expect_set [events $c] {{expired looked} {expired walked}}
        r debug set-active-expire 0
        r set k 1 px 20
        events $c
        after 40
        expect [r get k] {}
        expect [events $c] {{expired k}}
        r set k 1 px 20
        after 40
        events $c
        r set k 2
        set seen [events $c]
        r debug set-active-expire 1
        expect $seen {{expired k} {set k}}
        with_config {notify-keyspace-events Ex} {
            r set k 1 px 20
            wait_until { [r exists k] == 0 }
            expect [events $c] {{expired k}}
        }
    }

    test "An evicted key makes its event" {
        with_config {notify-keyspace-events Ee maxmemory-policy allkeys-lru} {
            set c [listen]
            populate 200 k 1000
            expect [events $c] {}
            r config set maxmemory 1
            r get nosuch
            r config set maxmemory 0
            set seen [events $c]
            expect_true {[llength $seen] > 0}
            foreach event $seen {
                expect_match $event "evicted k*"
            }
        }
    }

    test "n tells of new keys, m of reads that miss; neither is part of A" {
        with_config {notify-keyspace-events Em} {
            set c [listen]
            foreach {command wanted} {
                {get k} {{keymiss k}}
                {mget k l} {{keymiss k} {keymiss l}}
                {ttl k} {{keymiss k}}
                {exists k} {{keymiss k}}
                {type k} {{keymiss k}}
                {strlen k} {{keymiss k}}
                {getrange k 0 1} {{keymiss k}}
                {getex k} {{keymiss k}}
                {getdel k} {{keymiss k}}
                {set k 1} {}
                {get k} {}
                {object encoding nosuch} {}
                {del nosuch} {}
                {incr nosuch} {}
                {memory usage absent} {}
                {lcs k absent} {{keymiss absent}}
                {copy absent l} {{keymiss absent}}
                {pfmerge m n} {{keymiss m} {keymiss n}}
                {xack absent g 1-1} {{keymiss absent}}
                {xdel absent 1-1} {}
                {smove absent l a} {}
                {spop absent} {}
                {zpopmin absent} {}
                {zmpop 2 absent l max} {}
                {xread block 1 streams absent $} {{keymiss absent} {keymiss absent}}
            } {
                expect "$command: [events_of $c r {*}$command]" "$command: $wanted"
            }
            $c -close
        }
        with_config {notify-keyspace-events Enzl} {
            r flushall
            set c [listen]
            foreach {command wanted} {
                {zadd z 1 a 2 b} {{new z} {zadd z}}
                {zrangestore y z 0 0} {{new y} {zrangestore y}}
                {zrangestore y z 0 -1} {{zrangestore y}}
                {zunionstore y 2 y z} {{zunionstore y}}
                {zinterstore y 1 z} {{zinterstore y}}
                {rpush l 2 1} {{new l} {rpush l}}
                {sort l store l} {{sortstore l}}
                {sort l store m} {{new m} {sortstore m}}
            } {
                expect "$command: [events_of $c r {*}$command]" "$command: $wanted"
            }
            $c -close
        }
        with_config {notify-keyspace-events Ensg} {
            r flushall
            set c [listen]
            foreach {command wanted} {
                {sadd s 1 2 3} {{new s} {sadd s}}
                {sadd s 4} {{sadd s}}
                {smove s t 1} {{srem s} {new t} {sadd t}}
                {sunionstore u s t} {{new u} {sunionstore u}}
                {sunionstore u s t} {{sunionstore u}}
                {copy u v} {{new v} {copy_to v}}
                {copy u v replace} {{new v} {copy_to v}}
                {rename u v} {{new v} {rename_from u} {rename_to v}}
                {rename v u} {{new u} {rename_from v} {rename_to u}}
                {spop u 100} {{spop u} {del u}}
            } {
                expect "$command: [events_of $c r {*}$command]" "$command: $wanted"
            }
            set big {}
            for {set i 0} {$i < 200} {incr i} { lappend big m$i }
            expect [events_of $c r sadd big {*}$big] {{new big} {sadd big}}
            expect [events_of $c r sadd big more] {{sadd big}}
            expect [events_of $c r copy big other] {{new other} {copy_to other}}
            expect [events_of $c r sunionstore other big s] {{sunionstore other}}
            $c -close
        }
        with_config {notify-keyspace-events En$g} {
            r flushall
            set c [listen]
            foreach {command wanted} {
                {set k 1} {{new k} {set k}}
                {set k 2} {{set k}}
                {incr k} {{incrby k}}
                {incr i} {{new i} {incrby i}}
                {append a x} {{new a} {append a}}
                {setbit b 1 1} {{new b} {setbit b}}
                {pfadd h x} {{new h} {pfadd h}}
                {incrbyfloat f 1.5} {{new f} {incrbyfloat f}}
                {rename k l} {{new l} {rename_from k} {rename_to l}}
                {copy l k} {{new k} {copy_to k}}
                {copy l k replace} {{new k} {copy_to k}}
                {rename l k} {{new k} {rename_from l} {rename_to k}}
            } {
                expect "$command: [events_of $c r {*}$command]" "$command: $wanted"
            }
        }
    }

    test "Events of a transaction come in its order, also to who runs it" {
        set c [listen]
        r multi
        r set a 1
        r incr a
        r del a
        r exec
        expect [events $c] {{set a} {incrby a} {del a}}
        if {[server_is_starling]} {
            $c multi
            $c set b 1
            $c del b
            $c -send exec
            expect [$c -receive] {OK 1}
            expect [lrange [$c -push] 2 3] {__keyevent@0__:set b}
            expect [lrange [$c -push] 2 3] {__keyevent@0__:del b}
        }
    }

    starling_test "DEBUG RELOAD tells nothing" {
        with_config {notify-keyspace-events KEAmn} {
            r set k 1
            r set l 1 ex 1000
            set c [listen]
            r debug reload
            expect [events $c] {}
        }
    }
}

if {![server_is_starling]} {
    return
}

# ---- changes from other nodes ----

# The events on node `name` that came to `c` since the last call, all nodes having seen all.
proc events_on {name c} {
    converged
    return [events $c [list node $name publish]]
}

proc listen_on {name} {
    set c [node_connect $name -protocol 3]
    $c -send psubscribe __key*
    $c -push
    return $c
}

start_mesh 2 {notify-keyspace-events KEA} {

    mesh_test "Changes from a peer make the event of their kind" {
        set c [listen_on B]
        foreach {command wanted} {
            {set k v} {{set k}}
            {set k v} {{set k}}
            {set k v ex 1000} {{set k} {expire k}}
            {expire k 2000} {{expire k}}
            {persist k} {{persist k}}
            {append k w} {{set k}}
            {del k} {{del k}}
            {del k} {}
            {incr n} {{incrby n}}
            {incrby n 5} {{incrby n}}
            {incrbyfloat f 1.5} {{incrbyfloat f}}
            {pfadd h a b c} {{pfadd h}}
            {mset a 1 b 2} {{set a} {set b}}
            {rename a c} {{set c} {del a}}
            {getdel b} {{del b}}
            {flushall} {}
        } {
            node A {*}$command
            expect "$command: [events_on B $c]" "$command: $wanted"
        }
        node A set large [string repeat x 10000]
        expect [events_on B $c] {{set large}}
        node A setrange large 5000 yyy
        expect [events_on B $c] {{setrange large}}
        node A setbit large 80000 1
        expect [events_on B $c] {{setrange large}}
    }

    mesh_test "What is overwritten with another's increments is set, not deleted first" {
        set c [listen_on B]
        node B incrby n 3
        converged
        node A incrby n 4
        converged
        events_on B $c
        node A set n 7
        expect [events_on B $c] {{set n}}
        node A incrby n 1
        node B incrby n 1
        events_on B $c
        node A del n
        expect [events_on B $c] {{del n}}
    }

    mesh_test "A change that loses shows nothing and tells nothing" {
        set c [listen_on B]
        cut A B
        node A set k older
        after 5
        node B set k newer
        events $c {node B publish}
        heal
        expect [events_on B $c] {}
        expect [node B get k] newer
        set a [listen_on A]
        cut A B
        node A set k again
        after 5
        node B set k last
        events $a {node A publish}
        heal
        expect [events_on A $a] {{set k}}
        # A delete that had not seen the newest value takes nothing away.
        events_on B $c
        cut A B
        node A del k
        after 5
        node B set k survives
        events $c {node B publish}
        heal
        expect [events_on B $c] {}
        expect [node A get k] survives
    }

    mesh_test "A key expires where its expiry was written, and is deleted elsewhere" {
        set a [listen_on A]
        set b [listen_on B]
        node A set k v px 100
        converged
        expect [events_on A $a] {{set k} {expire k}}
        expect [events_on B $b] {{set k} {expire k}}
        wait_until { [node A dbsize] == 0 && [node B dbsize] == 0 }
        expect [events_on A $a] {{expired k}}
        expect [events_on B $b] {{del k}}
    }

    mesh_test "Events stay on their node" {
        set b [node_connect B -protocol 3]
        $b -send psubscribe __key*
        $b -push
        node A config set notify-keyspace-events KEA
        node B config set notify-keyspace-events ""
        node A set k v
        converged
        node B publish __keymark__ end
        expect [lindex [$b -push] 3] end
        node B config set notify-keyspace-events KEA
    }
}
