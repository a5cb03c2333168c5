# SPDX-License-Identifier: BSD-3-Clause
# tclsh tests/tcl/run.tcl --server PATH [--only NAME] [--test PATTERN] [--keep] [--verbose]
#                         [--port BASE] [--seed N] [--jobs N]
#
# Runs the test files of this directory against real servers. Each file runs in a process of its
# own, so that one that hangs or dies is one failure and leaves no server behind; up to `--jobs` of
# them at a time, and what one says is shown when it is through. The last line is
# `N passed, N failed`; the status is 0 when something ran and nothing failed.

set here [file dirname [file normalize [info script]]]

proc usage {message} {
    puts stderr "run.tcl: $message"
    puts stderr "usage: tclsh run.tcl --server PATH \[--only NAME\] \[--test PATTERN\] \[--keep\]\
        \[--verbose\] \[--port BASE\] \[--seed N\] \[--jobs N\]"
    exit 2
}

set server_path {}
set only_file {}
set only_test *
set keep_files 0
set verbose 0
# A port + 10000 stays below those that the system hands out.
set port_base [expr {12000 + ([pid] * 37) % 8000}]
set seed [expr {[clock milliseconds] % 1000000}]
set jobs 1
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
                --jobs { set jobs $value }
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

# Begins a file in one of the places for jobs; each place has ports of its own.
proc begin_file {place name} {
    global running
    set dir [file join $::temporary $name]
    file mkdir $dir
    set command [list [info nameofexecutable] $::here/run.tcl --server $::server_path \
        --child $name --temporary $dir --test $::only_test --seed $::seed \
        --port [expr {$::port_base + 1500 * $place}]]
    if {$::keep_files} {
        lappend command --keep
    }
    if {$::verbose} {
        lappend command --verbose
    }
    set pipe [open |[concat $command [list </dev/null 2>@1]] r]
    fconfigure $pipe -blocking 0 -buffering line
    set running($place,name) $name
    set running($place,dir) $dir
    set running($place,pipe) $pipe
    set running($place,counts) {}
    set running($place,lines) {}
    set running($place,start_ms) [clock milliseconds]
    set running($place,timer) \
        [after [expr {int(300000 * [patience])}] [list end_file $place {took too long}]]
    fileevent $pipe readable [list read_child $place]
}

# With one job its lines are shown as they come.
proc show_line {place line} {
    if {$::jobs == 1} {
        puts $line
        flush stdout
    } else {
        lappend ::running($place,lines) $line
    }
}

proc read_child {place} {
    global running
    set pipe $running($place,pipe)
    while {[gets $pipe line] >= 0} {
        if {[regexp {^counted: (\d+) (\d+) (\d+)$} $line all passed failed skipped]} {
            set running($place,counts) [list $passed $failed $skipped]
        } else {
            show_line $place $line
        }
    }
    if {[eof $pipe]} {
        end_file $place {}
    }
}

# Counts and shows a file that ended, or did not: `why`; and begins the next one.
proc end_file {place why} {
    global running total
    set name $running($place,name)
    set pipe $running($place,pipe)
    after cancel $running($place,timer)
    if {$why ne ""} {
        exec kill -KILL [pid $pipe]
    }
    fconfigure $pipe -blocking 1
    catch { close $pipe }
    kill_leftovers $running($place,dir)
    set counts $running($place,counts)
    if {$why ne "" || $counts eq ""} {
        show_line $place "\nFAILED $name: the test file [expr {$why eq "" ? "died" : $why}]"
        show_line $place \
            "    again: tclsh tests/tcl/run.tcl --server $::server_path --only $name --verbose"
        set counts {0 1 0}
    }
    foreach line $running($place,lines) {
        puts $line
    }
    lassign $counts passed failed skipped
    puts [format "%-24s %5d passed%s%s  %.1f s" $name $passed \
        [expr {$failed > 0 ? ", $failed FAILED" : ""}] \
        [expr {$skipped > 0 ? ", $skipped skipped" : ""}] \
        [expr {([clock milliseconds] - $running($place,start_ms)) / 1000.0}]]
    flush stdout
    set total [lmap a $total b $counts {expr {$a + $b}}]
    begin_next $place
}

proc begin_next {place} {
    if {[llength $::names] > 0} {
        set name [lindex $::names 0]
        set ::names [lrange $::names 1 end]
        begin_file $place $name
    } elseif {[incr ::busy -1] == 0} {
        set ::is_done 1
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
# Those of meshes take longest: they begin, so that no job is left with one in the end.
set names {}
set later {}
foreach path [lsort [glob $here/*.tcl]] {
    set name [file rootname [file tail $path]]
    if {$name ne "run" && ($only_file eq "" || [string match $only_file $name])} {
        lappend [expr {[string match mesh_* $name] ? "names" : "later"}] $name
    }
}
lappend names {*}$later
set total {0 0 0}
set busy 0
for {set place 0} {$place < $jobs && [llength $names] > 0} {incr place} {
    incr busy
    begin_next $place
}
if {$busy > 0} {
    vwait is_done
}
if {$keep_files} {
    puts "files are in $temporary"
} else {
    file delete -force $temporary
}
lassign $total passed failed
puts "$passed passed, $failed failed"
exit [expr {$failed > 0 || $passed == 0}]
