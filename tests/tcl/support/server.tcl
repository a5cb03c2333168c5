# SPDX-License-Identifier: BSD-3-Clause
# Server processes: each has a port and a directory of its own and ends with its block.
#
# A server is started through a pipe, so that closing the pipe tells how it ended. Its pid is noted
# in a file while it runs; the parent kills what is left there when a test file itself dies.

namespace eval server {
    variable stack {}
    variable of
    variable count 0
    variable port_next 0
    variable defaults {
        bind 127.0.0.1 save "" appendonly no enable-debug-command yes daemonize no
    }
    array set of {}
}

# server FIELD ?DEPTH?: port, pid, dir, log (its path) or id of the innermost server, or of one
# DEPTH levels further out.
proc server {field {depth 0}} {
    if {[llength $server::stack] <= $depth} {
        error "no server is running here"
    }
    return $server::of([lindex $server::stack end-$depth],$field)
}

proc server_is_starling {} {
    return $::is_starling
}

# A port that nobody listens on.
proc server::free_port {} {
    variable port_next
    for {set tries 0} {$tries < 500} {incr tries} {
        set port $port_next
        incr port_next
        if {![catch { socket -server {} -myaddr 127.0.0.1 $port } probe]} {
            close $probe
            return $port
        }
    }
    error "no free port from $port_next on"
}

proc server::note_pids {} {
    variable stack
    variable of
    set file [open $::temporary/pids w]
    foreach id $stack {
        if {$of($id,pid) ne ""} {
            puts $file $of($id,pid)
        }
    }
    close $file
}

# The command line. Pseudo options: config_file (lines of a configuration file that is written and
# passed first), arguments (further words, verbatim). An option with the value `unset` is left out.
proc server::command_line {id} {
    variable of
    variable defaults
    set options [dict merge $defaults $of($id,options)]
    set words [list $::server_path]
    if {[dict exists $options config_file]} {
        set path $of($id,dir)/server.conf
        if {![file exists $path]} {
            write_file $path [dict get $options config_file]
        }
        lappend words $path
        dict unset options config_file
    }
    set more {}
    if {[dict exists $options arguments]} {
        set more [dict get $options arguments]
        dict unset options arguments
    }
    if {![dict exists $options dir]} {
        dict set options dir $of($id,dir)
    }
    lappend words --port $of($id,port)
    dict for {name value} $options {
        if {$value ne "unset"} {
            lappend words --$name $value
        }
    }
    return [concat $words $more]
}

proc server::create {options} {
    variable of
    variable count
    set id [incr count]
    set dir $::temporary/server$id
    file mkdir $dir
    array set of [list $id,id $id $id,dir $dir $id,log $dir/server.log $id,options $options \
        $id,pid {} $id,pipe {} $id,client {} $id,expected_end 0 $id,log_start 0 $id,port [free_port]]
    if {[dict exists $options port]} {
        set of($id,port) [dict get $options port]
        dict unset of($id,options) port
    }
    return $id
}

proc server::spawn {id} {
    variable of
    set words [command_line $id]
    set of($id,log_start) [expr {[file exists $of($id,log)] ? [file size $of($id,log)] : 0}]
    set of($id,pipe) [open |[concat $words [list >>$of($id,log) 2>@1]] w]
    set of($id,pid) [pid $of($id,pipe)]
    set of($id,expected_end) 0
    note_pids
}

# Has the process ended? It stays a zombie until its pipe is closed.
proc server::has_ended {id} {
    variable of
    if {$of($id,pid) eq "" || [catch { open /proc/$of($id,pid)/stat } file]} {
        return 1
    }
    set stat [read $file]
    close $file
    return [regexp {\) [ZX]} $stat]
}

# Waits until it answers PING (any answer but LOADING will do: AUTH may be needed).
proc server::wait_ready {id} {
    variable of
    set deadline [expr {[clock milliseconds] + int(20000 * [patience])}]
    while {[clock milliseconds] < $deadline} {
        if {[has_ended $id]} {
            throw {SERVER START} "the server ended while starting:\n[log_tail $id 15]"
        }
        set c {}
        if {![catch { connect -port $of($id,port) -timeout 5 } c]} {
            set failed [catch { $c ping } reply]
            $c -close
            if {!$failed || ![string match "LOADING*" $reply]} {
                if {$failed && [string match "*closed*" $reply]} {
                    after 20
                    continue
                }
                return
            }
        }
        after 20
    }
    throw {SERVER START} "the server does not answer on port $of($id,port)"
}

# Closes the pipe and says how the process ended: {} for status 0, a number, or a signal's name.
proc server::reap {id} {
    variable of
    set end {}
    if {$of($id,pipe) ne ""} {
        if {[catch { close $of($id,pipe) } message opts]} {
            set code [dict get $opts -errorcode]
            set end [expr {[lindex $code 0] in {CHILDSTATUS CHILDKILLED} ? [lindex $code 2] : {}}]
        }
    }
    set of($id,pipe) {}
    set of($id,pid) {}
    drop_client $id
    note_pids
    return $end
}

proc server::owns_client {c} {
    variable stack
    variable of
    foreach id $stack {
        if {$of($id,client) eq $c} {
            return 1
        }
    }
    return 0
}

proc server::drop_client {id} {
    variable of
    if {$of($id,client) ne ""} {
        catch { $of($id,client) -close }
        set of($id,client) {}
    }
}

proc server::wait_end {id seconds} {
    set deadline [expr {[clock milliseconds] + int($seconds * 1000 * [patience])}]
    while {![has_ended $id]} {
        if {[clock milliseconds] > $deadline} {
            return 0
        }
        after 5
    }
    return 1
}

# Sends a signal and waits; a server that ignores TERM is killed and reported.
proc server::end {id signal} {
    variable of
    if {$of($id,pid) eq ""} {
        return
    }
    set was_alive [expr {![has_ended $id]}]
    if {$was_alive} {
        catch { exec kill -CONT $of($id,pid) }
        exec kill -$signal $of($id,pid)
        if {![wait_end $id 15]} {
            exec kill -KILL $of($id,pid)
            wait_end $id 5
            reap $id
            throw {SERVER HANGS} "the server did not end after SIG$signal"
        }
    }
    set status [reap $id]
    if {$status ne "" && !($was_alive && $signal eq "KILL") && !$of($id,expected_end)} {
        throw {SERVER CRASH} "the server ended with $status\n[crash_lines $id]"
    }
    if {!$was_alive && !$of($id,expected_end)} {
        throw {SERVER CRASH} "the server ended by itself\n[crash_lines $id]"
    }
    require_no_report $id
}

proc server::require_no_report {id} {
    set lines [crash_lines $id]
    if {$lines ne ""} {
        throw {SERVER CRASH} "the server's log has a report:\n$lines"
    }
}

# What a sanitizer or a failed assertion wrote into the log.
proc server::crash_lines {id} {
    variable of
    set text [read_file $of($id,log)]
    set found {}
    set pattern {(AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer)\
: |runtime error: |assertion failed|require\(|ensure\(|=== .* BUG REPORT START}
    foreach line [split $text \n] {
        if {[llength $found] > 0 ? [llength $found] < 30 : [regexp $pattern $line]} {
            lappend found $line
        }
    }
    return [join $found \n]
}

# The last lines that it wrote since the test began.
proc server::log_tail {id lines} {
    variable of
    if {![file exists $of($id,log)]} {
        return {}
    }
    set text [string trimright [string range [read_file $of($id,log)] $of($id,log_start) end]]
    return [join [lrange [split $text \n] end-[expr {$lines - 1}] end] \n]
}

# ---- For test files ----

# start_server {option value ...} body
proc start_server {options body} {
    set id [server::create $options]
    set code 0
    set result {}
    if {[catch {
        lappend server::stack $id
        server::spawn $id
        server::wait_ready $id
        set code [catch { uplevel 1 $body } result opts]
    } problem problem_opts]} {
        set code 1
        set result $problem
        set opts $problem_opts
    }
    if {$code == 1} {
        note_log $id
    }
    set ended [catch { server::end $id TERM } problem problem_opts]
    if {$ended && $code == 0} {
        note_log $id
        set code 1
        set result $problem
        set opts $problem_opts
    } elseif {$ended} {
        append result "\n(and then: $problem)"
    }
    set server::stack [lrange $server::stack 0 end-1]
    server::note_pids
    if {!$::keep_files} {
        file delete -force $server::of($id,dir)
    }
    array unset server::of $id,*
    if {$code == 1 && $::test_now eq ""} {
        # Not inside a test: the block as a whole is what failed.
        test_failed "start_server {$options}" $result $opts
        return
    }
    if {$code != 0} {
        return -options $opts $result
    }
}

# The client of the innermost server, made when first used.
proc r {args} {
    set id [server id]
    if {$server::of($id,client) eq ""} {
        set server::of($id,client) [connect]
    }
    $server::of($id,client) {*}$args
}

# Ends the server (TERM unless `-signal KILL`) and leaves its block and directory.
proc stop_server {args} {
    set opts [dict merge {-signal TERM} $args]
    server::end [server id] [dict get $opts -signal]
}

# After a SHUTDOWN or for a server that is meant to die: waits for the end, returns its status
# ({} for 0, a number, or a signal's name).
proc wait_server_end {{seconds 15}} {
    set id [server id]
    set server::of($id,expected_end) 1
    if {![server::wait_end $id $seconds]} {
        throw {SERVER HANGS} "the server still runs"
    }
    return [server::reap $id]
}

# Starts the stopped server again on its directory and port, with options added or changed.
proc start_again {{options {}}} {
    set id [server id]
    set server::of($id,options) [dict merge $server::of($id,options) $options]
    server::spawn $id
    server::wait_ready $id
}

# The same for a start that must fail, with options for this time only: returns what the server wrote meanwhile, and its status.
proc start_again_fails {{options {}}} {
    set id [server id]
    set kept $server::of($id,options)
    set server::of($id,options) [dict merge $kept $options]
    server::spawn $id
    set server::of($id,options) $kept
    set status [wait_server_end 20]
    if {$status eq ""} {
        fail "the server ended with status 0"
    }
    return [list [string range [server_log] $server::of($id,log_start) end] $status]
}

proc restart_server {args} {
    set opts [dict merge {-signal TERM -options {}} $args]
    stop_server -signal [dict get $opts -signal]
    start_again [dict get $opts -options]
}

proc server_log {} {
    return [read_file [server log]]
}

# Runs the server's program with these arguments to its end: {status output}.
proc run_program {args} {
    set status 0
    if {[catch { exec {*}[list $::server_path] {*}$args </dev/null 2>@1 } output opts]} {
        set code [dict get $opts -errorcode]
        if {[lindex $code 0] in {CHILDSTATUS CHILDKILLED}} {
            set status [lindex $code 2]
            regsub {\nchild (process exited abnormally|killed: .*)$} $output {} output
        } else {
            set status 1
        }
    }
    return [list $status $output]
}
