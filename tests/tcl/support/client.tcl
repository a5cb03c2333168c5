# SPDX-License-Identifier: BSD-3-Clause
# A RESP2 and RESP3 client. `connect` returns a command; README.md says what it understands.
#
# Channels never block: a reader waits in the event loop until its deadline, so that a server that
# does not answer fails one test and not the run. Values are bytes; a nil reads as the empty string
# (ask `-type`), maps as flat lists, an error inside an array as its text with the dash.

namespace eval client {
    variable state
    variable last 0
    array set state {}
}

# connect ?-host H? ?-port P? ?-protocol 3? ?-timeout SECONDS?
proc connect {args} {
    set opts [dict create -host 127.0.0.1 -port 0 -protocol 2 -timeout 10]
    set opts [dict merge $opts $args]
    if {[dict get $opts -port] == 0} {
        dict set opts -port [server port]
    }
    set fd [socket [dict get $opts -host] [dict get $opts -port]]
    fconfigure $fd -translation binary -buffering full -buffersize 65536 -blocking 0
    set c ::client_[incr client::last]
    array set client::state [list $c,fd $fd $c,type {} $c,pushes {} $c,wire {} \
        $c,timeout_ms [expr {int([dict get $opts -timeout] * 1000 * [patience])}]]
    interp alias {} $c {} client::call $c
    if {[dict get $opts -protocol] == 3} {
        $c hello 3
    }
    return $c
}

proc client::call {c args} {
    variable state
    set word [lindex $args 0]
    if {[string index $word 0] ne "-"} {
        send $c $args
        return [receive $c]
    }
    set rest [lrange $args 1 end]
    switch -- $word {
        -send { send $c $rest }
        -receive { return [receive $c] }
        -raw { write $c [lindex $rest 0] }
        -wire {
            if {[llength $rest] > 0} {
                send $c $rest
            }
            set state($c,wire) {}
            value $c
            return $state($c,wire)
        }
        -read { return [bytes $c [lindex $rest 0]] }
        -type { return $state($c,type) }
        -pushes {
            set pushes $state($c,pushes)
            set state($c,pushes) {}
            return $pushes
        }
        -push { return [push $c] }
        -pipeline { return [pipeline $c [lindex $rest 0]] }
        -eof { return [eof_reached $c] }
        -fd { return $state($c,fd) }
        -address {
            set name [fconfigure $state($c,fd) -sockname]
            return [lindex $name 0]:[lindex $name 2]
        }
        -close { close_client $c }
        default { error "client: what is $word?" }
    }
    return
}

proc client::close_client {c} {
    variable state
    catch { close $state($c,fd) }
    array unset state $c,*
    catch { interp alias {} $c {} }
}

# Closes what was connected after the client with that number, but for the servers' own clients.
proc client::close_since {number} {
    variable last
    for {set i [expr {$number + 1}]} {$i <= $last} {incr i} {
        if {![server::owns_client ::client_$i]} {
            close_client ::client_$i
        }
    }
}

proc client::write {c data} {
    variable state
    if {[catch { puts -nonewline $state($c,fd) $data; flush $state($c,fd) }]} {
        throw {CLIENT EOF} "the connection is closed"
    }
}

proc client::encode {words} {
    set out "*[llength $words]\r\n"
    foreach word $words {
        append out "\$[string length $word]\r\n$word\r\n"
    }
    return $out
}

proc client::send {c words} {
    write $c [encode $words]
}

# Sends all commands before it reads the first reply. An error comes back as its text with the dash.
proc client::pipeline {c commands} {
    set out {}
    foreach command $commands {
        append out [encode $command]
    }
    write $c $out
    set replies {}
    foreach command $commands {
        lappend replies [value $c]
    }
    return $replies
}

# Waits until the channel can be read, at the latest until the deadline.
proc client::wait_readable {c} {
    variable state
    set fd $state($c,fd)
    set state($c,ready) {}
    set timer [after $state($c,timeout_ms) [list set client::state($c,ready) timeout]]
    fileevent $fd readable [list set client::state($c,ready) readable]
    vwait client::state($c,ready)
    after cancel $timer
    fileevent $fd readable {}
    if {$state($c,ready) eq "timeout"} {
        throw {CLIENT TIMEOUT} "no answer within $state($c,timeout_ms) ms"
    }
}

proc client::line {c} {
    variable state
    set fd $state($c,fd)
    while 1 {
        if {[catch { gets $fd text } size]} {
            throw {CLIENT EOF} "the connection broke: $size"
        }
        if {$size >= 0} {
            break
        }
        if {[eof $fd]} {
            throw {CLIENT EOF} "the server closed the connection"
        }
        wait_readable $c
    }
    append state($c,wire) $text "\n"
    if {[string index $text end] ne "\r"} {
        throw {CLIENT PROTOCOL} "a line ends without CR: [string range $text 0 80]"
    }
    return [string range $text 0 end-1]
}

proc client::bytes {c count} {
    variable state
    set fd $state($c,fd)
    set pieces {}
    while {$count > 0} {
        if {[catch { read $fd $count } piece]} {
            throw {CLIENT EOF} "the connection broke: $piece"
        }
        set size [string length $piece]
        if {$size > 0} {
            append pieces $piece
            incr count -$size
        } elseif {[eof $fd]} {
            throw {CLIENT EOF} "the server closed the connection"
        } else {
            wait_readable $c
        }
    }
    append state($c,wire) $pieces
    return $pieces
}

# One value of any type. Its type is left in state(c,type): the first byte of the reply, or nil.
proc client::value {c} {
    variable state
    set line [line $c]
    set type [string index $line 0]
    set rest [string range $line 1 end]
    set state($c,type) $type
    switch -exact -- $type {
        + - : - , - ( { return $rest }
        - { return "-$rest" }
        # { return [expr {$rest eq "t"}] }
        _ {
            set state($c,type) nil
            return {}
        }
        $ - = - ! {
            if {$rest == -1} {
                set state($c,type) nil
                return {}
            }
            set text [bytes $c $rest]
            if {[bytes $c 2] ne "\r\n"} {
                throw {CLIENT PROTOCOL} "a bulk string does not end with CR LF"
            }
            if {$type eq "="} {
                return [string range $text 4 end]
            } elseif {$type eq "!"} {
                return "-$text"
            }
            return $text
        }
        * - ~ - > - % {
            if {$rest == -1} {
                set state($c,type) nil
                return {}
            }
            set list {}
            set count [expr {$type eq "%" ? 2 * $rest : $rest}]
            for {set i 0} {$i < $count} {incr i} {
                lappend list [value $c]
            }
            set state($c,type) $type
            return $list
        }
    }
    throw {CLIENT PROTOCOL} "not a reply: [string range $line 0 80]"
}

# The next reply; pushes that come before it are kept for -pushes. Throws {REDIS code} for an error.
proc client::receive {c} {
    variable state
    while 1 {
        set value [value $c]
        if {$state($c,type) ne ">"} {
            break
        }
        lappend state($c,pushes) $value
    }
    if {$state($c,type) in {- !}} {
        set text [string range $value 1 end]
        throw [list REDIS [lindex [split $text " "] 0]] $text
    }
    return $value
}

# The next push: one that is kept, or the next message, which must be one.
proc client::push {c} {
    variable state
    if {[llength $state($c,pushes)] > 0} {
        set state($c,pushes) [lassign $state($c,pushes) push]
        return $push
    }
    set push [value $c]
    if {$state($c,type) ne ">"} {
        throw {CLIENT PROTOCOL} "expected a push, not: $push"
    }
    return $push
}

# True when the server closes the connection before the timeout; skips what it still sends.
proc client::eof_reached {c} {
    variable state
    set fd $state($c,fd)
    while 1 {
        if {[catch { read $fd 65536 } piece]} {
            return 1
        }
        if {[eof $fd]} {
            return 1
        }
        if {$piece eq "" && [catch { wait_readable $c }]} {
            return 0
        }
    }
}
