# SPDX-License-Identifier: BSD-3-Clause
# The command table as a whole: each row has a test, and says what clients ask of it.

# All test files as one text in lower case.
proc all_tests {} {
    set text {}
    foreach path [glob $::here/*.tcl] {
        append text [string tolower [read_file $path]]
    }
    return $text
}

# Every command, sub-commands as "parent|child".
proc all_commands {} {
    set names {}
    foreach info [r command] {
        lappend names [lindex $info 0]
        foreach child [lindex $info 9] {
            lappend names [lindex $child 0]
        }
    }
    return $names
}

start_server {} {
    starling_test "each command is mentioned in a test" {
        set text [all_tests]
        set missing {}
        foreach name [all_commands] {
            set words [string map {| {\s+}} $name]
            if {![regexp "\\m$words\\M" $text]} {
                lappend missing $name
            }
        }
        expect $missing {}
    }
    test "COMMAND LIST, COUNT and COMMAND agree" {
        set names [lmap info [r command] { lindex $info 0 }]
        expect [r command count] [llength $names]
        set top [lmap name [r command list] {
            if {[string match *|* $name]} continue
            set name
        }]
        expect_set $top $names
        expect_set [lsort -unique $names] $names
    }
    test "each row of COMMAND has ten fields of the right shape" {
        foreach info [r command] {
            lassign $info name arity flags first last step categories tips specs children
            expect [llength $info] 10
            expect_true {[string is integer -strict $arity] && ($arity != 0 || $name eq "")} $name
            expect_true {[string is integer -strict $first]} $name
            expect_true {$first == 0 || ($step >= 1 && ($last < 0 || $last >= $first))} $name
            foreach category $categories {
                expect_match $category @*
            }
            # Each command is fast or slow, and never both.
            expect_true {("@fast" in $categories) + ("@slow" in $categories) == 1} $name
            expect_true {("fast" in $flags) == ("@fast" in $categories)} $name
            expect_true {("write" in $flags) == ("@write" in $categories)} $name
            expect_true {!("write" in $flags && "readonly" in $flags)} $name
            foreach child $children {
                expect_match [lindex $child 0] $name|*
                expect [llength $child] 10
            }
        }
    }
    test "each row of COMMAND DOCS has a summary, a group, a version and a complexity" {
        set docs [r command docs]
        expect [expr {[llength $docs] / 2}] [r command count]
        foreach {name doc} $docs {
            foreach field {summary since group complexity} {
                # Redis leaves a few without their complexity.
                if {$field eq "complexity" && ([dict exists $doc subcommands] ||
                    ![server_is_starling])} {
                    continue
                }
                expect_true {[dict exists $doc $field]} "$name $field"
            }
            expect_match [dict get $doc since] *.*.*
        }
    }
    test "each command refuses too few and too many arguments" {
        foreach info [r command] {
            lassign $info name arity flags
            if {$name in {quit reset shutdown exec sync psync debug replconf monitor hello}} {
                continue
            }
            set least [expr {abs($arity)}]
            if {$least > 1} {
                set words [lrepeat [expr {$least - 1}] x]
                lset words 0 $name
                expect_error "ERR wrong number of arguments for '$name' command" { r {*}$words }
            }
            if {$arity > 0} {
                set words [lrepeat [expr {$arity + 1}] x]
                lset words 0 $name
                expect_error "ERR wrong number of arguments for '$name' command" { r {*}$words }
            }
        }
    }
    test "each sub-command refuses too few and too many arguments" {
        foreach info [r command] {
            foreach child [lindex $info 9] {
                lassign $child name arity
                set parent [split $name |]
                set least [expr {abs($arity)}]
                if {$least > 2} {
                    set words [concat $parent [lrepeat [expr {$least - 2}] x]]
                    set words [lrange $words 0 [expr {$least - 2}]]
                    expect_error "ERR wrong number of arguments for '$name' command" { r {*}$words }
                }
                if {$arity > 0} {
                    set words [concat $parent [lrepeat [expr {$arity - 1}] x]]
                    expect_error "ERR wrong number of arguments for '$name' command" { r {*}$words }
                }
            }
        }
    }
    test "no command with random arguments kills the server" {
        set skip {shutdown debug sync psync replicaof slaveof failover cluster monitor subscribe
            psubscribe ssubscribe bgsave bgrewriteaof save quit client replconf module acl eval
            script function wait waitaof}
        foreach info [r command] {
            lassign $info name arity
            if {$name in $skip} {
                continue
            }
            set c [connect]
            # PFSELFTEST takes seconds whatever its arguments are.
            for {set i 0} {$i < ($name eq "pfselftest" ? 1 : 30)} {incr i} {
                set words [list $name]
                set count [expr {abs($arity) - 1 + ($arity < 0 ? [random_below 4] : 0)}]
                for {set k 0} {$k < $count} {incr k} {
                    lappend words [pick {0 1 -1 a "" 9223372036854775807 -9223372036854775808 1e400
                        nan * ex get 0.5 key "\0\xff" 4294967296 count match type string}]
                }
                if {[string match b?pop* $name] || [string match bz* $name] || $name in {blmove
                    brpoplpush blmpop xread xreadgroup}} {
                    continue
                }
                if {[catch { $c {*}$words } reply opts] &&
                    [lindex [dict get $opts -errorcode] 0] eq "CLIENT"} {
                    fail "$words: $reply"
                }
            }
            $c -close
        }
        expect [r ping] PONG
    }
}
