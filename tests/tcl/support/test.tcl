# SPDX-License-Identifier: BSD-3-Clause
# The words that test files are written in. README.md lists them.

namespace eval count {
    variable passed 0
    variable failed 0
    variable skipped 0
}
set ::test_now {}
set ::log_notes {}

proc patience {} {
    if {[info exists ::env(TEST_PATIENCE)] && $::env(TEST_PATIENCE) > 0} {
        return $::env(TEST_PATIENCE)
    }
    return 1
}

# ---- Tests ----

# test NAME BODY. With a server, it begins with empty databases and a fresh state of `r`, so that
# any test can be run alone.
proc test {name body} {
    if {![string match $::only_test $name] && $name ne $::only_test} {
        return
    }
    if {$::test_now ne ""} {
        error "test inside test: $name"
    }
    set ::test_now $name
    set ::log_notes {}
    set start_ms [clock milliseconds]
    set clients_before $client::last
    set code [catch {
        if {[llength $server::stack] > 0} {
            begin_clean
        }
        uplevel 1 $body
        require_alive
    } result opts]
    set ::test_now {}
    client::close_since $clients_before
    if {$code == 0 || $code == 2} {
        incr count::passed
        say_verbose "ok" $name $start_ms
        return
    }
    if {[lrange [dict get $opts -errorcode] 0 1] eq "TEST SKIP"} {
        incr count::skipped
        puts "    skipped: $name ($result)"
        return
    }
    test_failed $name $result $opts
    if {[catch { require_alive }]} {
        throw {SERVER CRASH} "the rest of this block did not run"
    }
}

# A test of something that redis-server does not have, or answers otherwise before 7.2.
proc starling_test {name body} {
    if {[server_is_starling]} {
        uplevel 1 [list test $name $body]
    }
}

proc require_alive {} {
    foreach id $server::stack {
        # One that the test itself has stopped has no pid.
        if {$server::of($id,pid) ne "" && [server::has_ended $id]} {
            throw {SERVER CRASH} "the server is gone\n[server::crash_lines $id]"
        }
    }
}

proc begin_clean {} {
    require_alive
    if {[server pid] eq ""} {
        start_again
    }
    foreach id $server::stack {
        set server::of($id,log_start) [file size $server::of($id,log)]
    }
    # Whatever the last test left on the connection goes with it.
    server::drop_client [server id]
    # A server may refuse it (AUTH, a limit that is tested), but it must answer.
    if {[catch { r flushall } result opts] && [lindex [dict get $opts -errorcode] 0] ne "REDIS"} {
        return -options $opts $result
    }
}

proc skip {why} {
    throw {TEST SKIP} $why
}

proc say_verbose {word name start_ms} {
    if {$::verbose} {
        puts [format "    %-4s %s (%d ms)" $word $name [expr {[clock milliseconds] - $start_ms}]]
    }
}

proc note_log {id} {
    set tail [server::log_tail $id 20]
    if {$tail ni $::log_notes && $tail ne ""} {
        lappend ::log_notes $tail
    }
}

proc test_failed {name message opts} {
    incr count::failed
    puts "\nFAILED $::file_name: $name"
    foreach line [split $message \n] {
        puts "    [string range $line 0 2000]"
    }
    # The outermost body is the test's own: errorinfo names it last.
    set trace [dict get $opts -errorinfo]
    set lines [regexp -all -inline {\("uplevel" body line (\d+)\)} $trace]
    if {[llength $lines] > 0} {
        puts "    in line [lindex $lines end] of the body"
    }
    if {[lindex [dict get $opts -errorcode] 0] ni {TEST REDIS SERVER}} {
        foreach line [lrange [split $trace \n] 1 12] {
            puts "      [string range $line 0 200]"
        }
    }
    foreach id $server::stack {
        note_log $id
    }
    foreach tail $::log_notes {
        puts "    -- what the server logged:"
        foreach line [split $tail \n] {
            puts "    | [string range $line 0 300]"
        }
    }
    set ::log_notes {}
    puts "    again: tclsh tests/tcl/run.tcl --server $::server_path --only $::file_name\
        --seed $::seed --test [shell_quote $name]"
    flush stdout
}

proc shell_quote {text} {
    return '[string map {' '\\''} $text]'
}

# ---- Expectations ----

proc fail {message} {
    throw {TEST FAIL} $message
}

# Text for people: cut when long, and with what does not print escaped.
proc shown {value} {
    set size [string length $value]
    set text {}
    foreach char [split [string range $value 0 300] {}] {
        scan $char %c code
        if {$code >= 32 && $code < 127} {
            append text $char
        } elseif {$char eq "\r"} {
            append text {\r}
        } elseif {$char eq "\n"} {
            append text {\n}
        } else {
            append text [format {\x%02x} $code]
        }
    }
    return [expr {$size > 300 ? "$text... ($size bytes)" : $text}]
}

# The values are the same string.
proc expect {actual expected} {
    if {$actual ne $expected} {
        fail "expected: [shown $expected]\nactual:   [shown $actual][difference $actual $expected]"
    }
}

proc difference {a b} {
    if {[string length $a] <= 300 && [string length $b] <= 300} {
        return {}
    }
    set size [expr {min([string length $a], [string length $b])}]
    set at 0
    while {$at < $size && [string index $a $at] eq [string index $b $at]} {
        incr at
    }
    return "\nfirst difference at $at ([string length $a] and [string length $b] bytes)"
}

# The value matches the glob pattern.
proc expect_match {actual pattern} {
    if {![string match $pattern $actual]} {
        fail "expected to match: [shown $pattern]\nactual:            [shown $actual]"
    }
}

# The expression holds in the caller's scope.
proc expect_true {condition {note {}}} {
    if {![uplevel 1 [list expr $condition]]} {
        fail "not true: $condition\nwith:     [uplevel 1 [list subst -nocommands $condition]]\
            [expr {$note ne "" ? "\n$note" : ""}]"
    }
}

# low <= actual <= high
proc expect_range {actual low high} {
    if {!([string is double -strict $actual] && $actual >= $low && $actual <= $high)} {
        fail "expected: $low to $high\nactual:   [shown $actual]"
    }
}

# The same elements in any order.
proc expect_set {actual expected} {
    expect [lsort $actual] [lsort $expected]
}

# The script's reply is an error that matches the glob pattern.
proc expect_error {pattern body} {
    if {![catch { uplevel 1 $body } result opts]} {
        fail "expected an error: [shown $pattern]\nactual reply:      [shown $result]"
    }
    if {[lindex [dict get $opts -errorcode] 0] ne "REDIS"} {
        return -options $opts $result
    }
    if {![string match $pattern $result]} {
        fail "expected an error: [shown $pattern]\nactual error:      [shown $result]"
    }
}

# The reply of the command on `r` is nil.
proc expect_nil {args} {
    set value [r {*}$args]
    if {[r -type] ne "nil"} {
        fail "expected: nil\nactual:   [shown $value]"
    }
}

# Evaluates the expression again and again until it holds.
proc wait_until {condition {seconds 5}} {
    set deadline [expr {[clock milliseconds] + int($seconds * 1000 * [patience])}]
    while {![uplevel 1 [list expr $condition]]} {
        if {[clock milliseconds] > $deadline} {
            fail "waited $seconds s (times [patience]) in vain for: $condition"
        }
        after 10
    }
}

# ---- Helpers ----

# The field of INFO, empty when it is absent.
proc info_field {section field} {
    if {[regexp -line "^$field:(.*?)\r?\$" [r info $section] all value]} {
        return $value
    }
    return {}
}

proc config_get {name} {
    return [lindex [r config get $name] 1]
}

# Runs the body with options changed, and puts them back.
proc with_config {settings body} {
    set old {}
    foreach {name value} $settings {
        lappend old $name [config_get $name]
    }
    r config set {*}$settings
    set code [catch { uplevel 1 $body } result opts]
    catch { r config set {*}$old }
    return -options $opts $result
}

# `count` keys PREFIX0, PREFIX1, ... with values of `bytes` bytes.
proc populate {count {prefix key:} {bytes 8}} {
    set value [string repeat x $bytes]
    for {set from 0} {$from < $count} {incr from 1000} {
        set commands {}
        for {set i $from} {$i < min($count, $from + 1000)} {incr i} {
            lappend commands [list set $prefix$i $value]
        }
        r -pipeline $commands
    }
}

proc random_below {limit} {
    return [expr {int(rand() * $limit)}]
}

proc random_bytes {count} {
    set out {}
    for {set i 0} {$i < $count} {incr i} {
        lappend out [random_below 256]
    }
    return [binary format c* $out]
}

proc pick {list} {
    return [lindex $list [random_below [llength $list]]]
}

proc read_file {path} {
    set file [open $path rb]
    set text [read $file]
    close $file
    return $text
}

proc write_file {path text} {
    set file [open $path wb]
    puts -nonewline $file $text
    close $file
}
