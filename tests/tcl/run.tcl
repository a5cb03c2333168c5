# SPDX-License-Identifier: BSD-3-Clause
# tclsh tests/tcl/run.tcl --server PATH [--only NAME] [--test PATTERN] [--keep] [--verbose]
#                         [--port BASE] [--seed N]
#
# Runs the test files of this directory against real servers. Each file runs in a process of its
# own, so that one that hangs or dies is one failure and leaves no server behind. The last line is
# `N passed, N failed`; the status is 0 when something ran and nothing failed.

set here [file dirname [file normalize [info script]]]

proc usage {message} {
    puts stderr "run.tcl: $message"
    puts stderr "usage: tclsh run.tcl --server PATH \[--only NAME\] \[--test PATTERN\] \[--keep\]\
        \[--verbose\] \[--port BASE\] \[--seed N\]"
    exit 2
}

set server_path {}
set only_file {}
set only_test *
set keep_files 0
set verbose 0
set port_base [expr {21000 + ([pid] * 37) % 10000}]
set seed [expr {[clock milliseconds] % 1000000}]
set child {}
set temporary {}
for {set i 0} {$i < [llength $argv]} {incr i} {
    set word [lindex $argv $i]
    switch -- $word {
        --keep { set keep_files 1 }
        --verbose { set verbose 1 }
        default {
            if {$i + 1 >= [llength $argv]} {
                usage "$word needs a value, or is unknown"
            }
            set value [lindex $argv [incr i]]
            switch -- $word {
                --server { set server_path [file normalize $value] }
                --only { set only_file [file rootname [file tail $value]] }
                --test { set only_test $value }
                --port { set port_base $value }
                --seed { set seed $value }
                --child { set child $value }
                --temporary { set temporary $value }
                default { usage "unknown option $word" }
            }
        }
    }
}
if {$server_path eq "" || ![file executable $server_path]} {
    usage "--server wants the path of a server"
}

# ---- One test file, in a process of its own ----

if {$child ne ""} {
    foreach support {client server test mesh certificates} {
        source $here/support/$support.tcl
    }
    fconfigure stdout -buffering line
    set file_name $child
    set server::port_next $port_base
    expr {srand($seed)}
    set is_starling [string match -nocase "*starling*" [lindex [run_program --version] 1]]
    if {[catch { source $here/$child.tcl } message opts]} {
        test_failed "the file itself" $message $opts
    }
    puts "counted: $count::passed $count::failed $count::skipped"
    exit 0
}

# ---- All of them ----

foreach support {test} {
    source $here/support/$support.tcl
}

# Runs a file and returns {passed failed skipped}.
proc run_file {name} {
    set dir [file join $::temporary $name]
    file mkdir $dir
    set command [list [info nameofexecutable] $::here/run.tcl --server $::server_path \
        --child $name --temporary $dir --test $::only_test --port $::port_base --seed $::seed]
    if {$::keep_files} {
        lappend command --keep
    }
    if {$::verbose} {
        lappend command --verbose
    }
    set ::counts {}
    set ::ended {}
    set pipe [open |[concat $command [list </dev/null 2>@1]] r]
    fconfigure $pipe -blocking 0 -buffering line
    fileevent $pipe readable [list read_child $pipe]
    set timer [after [expr {int(300000 * [patience])}] {set ::ended {took too long}}]
    vwait ::ended
    after cancel $timer
    if {$::ended ne "eof"} {
        exec kill -KILL [pid $pipe]
    }
    fconfigure $pipe -blocking 1
    catch { close $pipe }
    kill_leftovers $dir
    if {$::ended ne "eof" || $::counts eq ""} {
        set why [expr {$::ended eq "eof" ? "died" : $::ended}]
        puts "\nFAILED $name: the test file $why"
        puts "    again: tclsh tests/tcl/run.tcl --server $::server_path --only $name --verbose"
        return {0 1 0}
    }
    return $::counts
}

proc read_child {pipe} {
    while {[gets $pipe line] >= 0} {
        if {[regexp {^counted: (\d+) (\d+) (\d+)$} $line all passed failed skipped]} {
            set ::counts [list $passed $failed $skipped]
        } else {
            puts $line
            flush stdout
        }
    }
    if {[eof $pipe]} {
        set ::ended eof
    }
}

proc kill_leftovers {dir} {
    if {[catch { read_file $dir/pids } pids]} {
        return
    }
    foreach pid $pids {
        catch { exec kill -KILL $pid }
    }
}

set base /tmp
if {[info exists env(TMPDIR)]} {
    set base $env(TMPDIR)
}
set temporary [file join $base starling-tcl.[pid]]
file mkdir $temporary
set names {}
foreach path [lsort [glob $here/*.tcl]] {
    set name [file rootname [file tail $path]]
    if {$name ne "run" && ($only_file eq "" || [string match $only_file $name])} {
        lappend names $name
    }
}
set total {0 0 0}
foreach name $names {
    set start_ms [clock milliseconds]
    set counts [run_file $name]
    lassign $counts passed failed skipped
    puts [format "%-24s %5d passed%s%s  %.1f s" $name $passed \
        [expr {$failed > 0 ? ", $failed FAILED" : ""}] \
        [expr {$skipped > 0 ? ", $skipped skipped" : ""}] \
        [expr {([clock milliseconds] - $start_ms) / 1000.0}]]
    flush stdout
    set total [lmap a $total b $counts {expr {$a + $b}}]
}
if {$keep_files} {
    puts "files are in $temporary"
} else {
    file delete -force $temporary
}
lassign $total passed failed
puts "$passed passed, $failed failed"
exit [expr {$failed > 0 || $passed == 0}]
