# SPDX-License-Identifier: BSD-3-Clause
# LCS: its options, replies and errors, and random texts against the table by the book.

# The table of lengths: table(i,j) for the first i bytes of a and j of b.
proc lcs_table {a b table} {
    upvar 1 $table lengths
    for {set i 0} {$i <= [string length $a]} {incr i} {
        for {set j 0} {$j <= [string length $b]} {incr j} {
            set lengths($i,$j) [expr {
                $i == 0 || $j == 0 ? 0
                : [string index $a $i-1] eq [string index $b $j-1]
                    ? $lengths([expr {$i - 1}],[expr {$j - 1}]) + 1
                    : max($lengths([expr {$i - 1}],$j), $lengths($i,[expr {$j - 1}]))
            }]
        }
    }
}

# What the options reply: {text matches}, the matches from the end to the front with their lengths.
proc lcs_model {a b} {
    lcs_table $a $b lengths
    set i [string length $a]
    set j [string length $b]
    set text ""
    set matches {}
    set run 0
    while {$i > 0 && $j > 0} {
        set is_match [expr {[string index $a $i-1] eq [string index $b $j-1]}]
        if {$is_match} {
            incr i -1
            incr j -1
            incr run
            set text [string index $a $i]$text
        }
        if {$run > 0 && (!$is_match || $i == 0 || $j == 0)} {
            lappend matches [list [list $i [expr {$i + $run - 1}]] \
                [list $j [expr {$j + $run - 1}]] $run]
            set run 0
        }
        if {!$is_match} {
            if {$lengths([expr {$i - 1}],$j) > $lengths($i,[expr {$j - 1}])} {
                incr i -1
            } else {
                incr j -1
            }
        }
    }
    return [list $text $matches]
}

start_server {} {
    test "LCS: the text, its length, the matches" {
        r mset a ohmytext b mynewtext
        expect [r lcs a b] mytext
        expect [r lcs a b LEN] 6
        expect [r lcs a b IDX] {matches {{{4 7} {5 8}} {{2 3} {0 1}}} len 6}
        expect [r lcs a b idx withmatchlen] {matches {{{4 7} {5 8} 4} {{2 3} {0 1} 2}} len 6}
        expect [r lcs a b idx minmatchlen 4] {matches {{{4 7} {5 8}}} len 6}
        expect [r lcs a b idx minmatchlen 5] {matches {} len 6}
        expect [r lcs a b minmatchlen 4 idx withmatchlen] {matches {{{4 7} {5 8} 4}} len 6}
        expect [r lcs a b idx minmatchlen -5] {matches {{{4 7} {5 8}} {{2 3} {0 1}}} len 6}
    }
    test "LCS: options that only IDX looks at" {
        r mset a ohmytext b mynewtext
        expect [r lcs a b minmatchlen 100] mytext
        expect [r lcs a b withmatchlen] mytext
        expect [r lcs a b len minmatchlen 100 withmatchlen] 6
    }
    test "LCS IDX is a map in RESP3 and a flat array in RESP2" {
        r mset a xa b ya
        expect [r -wire lcs a b idx] "*4\r\n\$7\r\nmatches\r\n*1\r\n*2\r\n*2\r\n:1\r\n:1\r\n*2\r\n:1\r\n:1\r\n\$3\r\nlen\r\n:1\r\n"
        r hello 3
        expect [r -wire lcs a b idx] "%2\r\n\$7\r\nmatches\r\n*1\r\n*2\r\n*2\r\n:1\r\n:1\r\n*2\r\n:1\r\n:1\r\n\$3\r\nlen\r\n:1\r\n"
    }
    test "LCS of absent, empty, equal and disjoint values, and of numbers" {
        r mset a abc empty "" other xyz number 12345 same 13579
        foreach {first second} {absent a a absent absent other empty a a other} {
            expect [r -wire lcs $first $second] "\$0\r\n\r\n"
            expect [r lcs $first $second len] 0
            expect [r lcs $first $second idx] {matches {} len 0}
        }
        expect [r lcs a a] abc
        expect [r lcs a a idx withmatchlen] {matches {{{0 2} {0 2} 3}} len 3}
        expect [r lcs number same] 135
        r incr number
        expect [r lcs number number] 12346
        r set bytes "\0\xff\r\n"
        expect [r lcs bytes bytes] "\0\xff\r\n"
    }
    test "LCS errors" {
        r mset a abc b abd
        expect_error "ERR If you want both the length and indexes, please just use IDX." {
            r lcs a b len idx
        }
        foreach words {foo minmatchlen {idx minmatchlen} {len foo} ""} {
            expect_error "ERR syntax error" { r lcs a b {*}[expr {$words eq "" ? {{}} : $words}] }
        }
        foreach value {a 1.5 9223372036854775808} {
            expect_error "ERR value is not an integer or out of range" {
                r lcs a b idx minmatchlen $value
            }
        }
        expect_error "ERR wrong number of arguments for 'lcs' command" { r lcs a }
    }
    test "LCS: the table is bounded by proto-max-bulk-len" {
        with_config {proto-max-bulk-len 1048576} {
            r set a [string repeat x 511]
            r set b [string repeat x 512]
            expect [r lcs a a len] 511
            expect_error "ERR Insufficient memory, transient memory for LCS exceeds\
                proto-max-bulk-len" { r lcs a b len }
            expect_error "ERR Insufficient memory*" { r lcs b a }
            expect_error "ERR Insufficient memory*" { r lcs b a idx }
            expect [r lcs b absent len] 0
        }
    }
    test "LCS at random against the table" {
        for {set i 0} {$i < 80} {incr i} {
            set letters [pick {ab abc abcdefgh}]
            foreach name {a b} {
                set $name ""
                for {set j [random_below 30]} {$j > 0} {incr j -1} {
                    append $name [pick [split $letters ""]]
                }
                r set $name [set $name]
            }
            lassign [lcs_model $a $b] text matches
            set size [string length $text]
            expect [r lcs a b] $text
            expect [r lcs a b len] $size
            expect [r lcs a b idx withmatchlen] [list matches $matches len $size]
            set least [random_below 4]
            set long [lmap match $matches {
                if {[lindex $match 2] < $least} continue
                lrange $match 0 1
            }]
            expect [r lcs a b idx minmatchlen $least] [list matches $long len $size]
        }
    }
    test "LCS of long texts" {
        set a [random_bytes 3000]
        r set a $a
        r set b [string range $a 0 999]xyz[string range $a 1500 end]
        set text [r lcs a b]
        expect_true {[string length $text] >= 2500} "the common parts"
        expect [r lcs a b len] [string length $text]
        r set text $text
        expect [r lcs a text len] [string length $text]
        expect [r lcs b text len] [string length $text]
    }
}
