# SPDX-License-Identifier: BSD-3-Clause
# The bit commands: their options, limits and errors, and random runs of each against a model that
# keeps the bits as text of 0 and 1, over short values, long ones (more than a block) and numbers.

proc to_bits {bytes} {
    binary scan $bytes B* bits
    return $bits
}

proc from_bits {bits} {
    return [binary format B* $bits]
}

# The bits from `start` to `end` as BITCOUNT and BITPOS mean them: {first bits}.
proc model_range {bits start end unit} {
    set count [string length $bits]
    if {$unit eq "byte"} {
        set count [expr {$count / 8}]
    }
    foreach name {start end} {
        if {[set $name] < 0} {
            incr $name $count
        }
        set $name [expr {max(0, [set $name])}]
    }
    set end [expr {min($end, $count - 1)}]
    if {$start > $end} {
        return {0 ""}
    }
    if {$unit eq "byte"} {
        set start [expr {$start * 8}]
        set end [expr {$end * 8 + 7}]
    }
    return [list $start [string range $bits $start $end]]
}

proc model_count {bits} {
    return [string length [string map {0 ""} $bits]]
}

# Combines strings of bits.
proc model_bitop {operation values} {
    set size [tcl::mathfunc::max {*}[lmap value $values { string length $value }]]
    set result ""
    for {set i 0} {$i < $size} {incr i} {
        set bits [lmap value $values {
            expr {$i < [string length $value] ? [string index $value $i] : 0}
        }]
        append result [switch $operation {
            and { expr {0 ni $bits} }
            or { expr {1 in $bits} }
            xor { expr {[tcl::mathop::+ {*}$bits] % 2} }
            not { expr {![lindex $bits 0]} }
        }]
    }
    return $result
}

# What a value may be: short, a number, of several blocks, at odd sizes.
proc random_value {} {
    return [switch [random_below 5] {
        0 { string cat "" }
        1 { random_below 1000000 }
        2 { random_bytes [random_below 20] }
        3 { random_bytes [random_below 300] }
        4 { string repeat [pick {"\xff" "\0" "\xff\xff\xff\x7f" "\0\0\0\0\0\0\0\1"}] \
                [random_below 200] }
    }]
}

# ---- SETBIT and GETBIT ----

start_server {} {
    test "SETBIT and GETBIT: bit 0 is the highest of the first byte" {
        expect [r setbit k 1 1] 0
        expect [r get k] "\x40"
        expect [r setbit k 7 1] 0
        expect [r setbit k 8 1] 0
        expect [r get k] "\x41\x80"
        expect [r setbit k 1 0] 1
        expect [r setbit k 1 0] 0
        expect [r get k] "\x01\x80"
        expect [lmap i {0 1 7 8 9 15 16 4294967295} { r getbit k $i }] {0 0 1 1 0 0 0 0}
    }
    test "SETBIT of 0 in an absent key makes zeros up to there" {
        expect [r setbit k 23 0] 0
        expect [r get k] "\0\0\0"
        expect [r getbit absent 100] 0
        expect [r exists absent] 0
    }
    test "SETBIT and GETBIT of a value that is a number" {
        r set k 5
        expect [r object encoding k] int
        expect [r getbit k 3] 1
        expect [r setbit k 6 1] 0
        expect [r get k] 7
        expect [r object encoding k] raw
        r set counter 10
        r incrby counter 2
        expect [r setbit counter 15 1] 0
        expect [r get counter] 13
    }
    test "SETBIT keeps the expiry" {
        r set k a ex 100
        r setbit k 100 1
        expect_range [r ttl k] 98 100
        r set long [string repeat x 100000] ex 100
        r setbit long 100 1
        expect_range [r ttl long] 98 100
    }
    test "SETBIT and GETBIT errors" {
        foreach offset {-1 a "" 1x 01 " 1" 1.0 4294967296 9223372036854775807 9223372036854775808
            18446744073709551615} {
            expect_error "ERR bit offset is not an integer or out of range" { r setbit k $offset 1 }
            expect_error "ERR bit offset is not an integer or out of range" { r getbit k $offset }
        }
        foreach bit {2 -1 a "" 01 9223372036854775808} {
            expect_error "ERR bit is not an integer or out of range" { r setbit k 1 $bit }
        }
        expect_error "ERR wrong number of arguments for 'setbit' command" { r setbit k 1 }
        expect_error "ERR wrong number of arguments for 'getbit' command" { r getbit k }
        expect [r exists k] 0
    }
    test "the farthest bit is bounded by proto-max-bulk-len" {
        with_config {proto-max-bulk-len 1048576} {
            expect [r setbit k [expr {1048576 * 8 - 1}] 1] 0
            expect [r strlen k] 1048576
            expect_error "ERR bit offset is not*" { r setbit k [expr {1048576 * 8}] 1 }
            expect_error "ERR bit offset is not*" { r getbit k [expr {1048576 * 8}] }
            expect_error "ERR bit offset is not*" { r bitfield k get u8 [expr {1048576 * 8}] }
        }
    }
    test "SETBIT counts as a change when the value changed" {
        set changes { info_field persistence rdb_changes_since_last_save }
        set before [eval $changes]
        r setbit k 0 0
        expect [expr {[eval $changes] - $before}] 1
        r setbit k 0 0
        expect [expr {[eval $changes] - $before}] 1
        r setbit k 0 1
        r setbit k 0 1
        expect [expr {[eval $changes] - $before}] 2
        r setbit k 100 0
        expect [expr {[eval $changes] - $before}] 3
    }
    test "SETBIT at random against a model, short and long" {
        foreach size {30 5000 40000 200000} {
            r del k
            set bytes [random_bytes $size]
            r set k $bytes
            set bits [to_bits $bytes]
            for {set i 0} {$i < 300} {incr i} {
                set at [random_below [expr {$size * 8}]]
                set bit [random_below 2]
                expect [r setbit k $at $bit] [string index $bits $at]
                set bits [string replace $bits $at $at $bit]
                set at [random_below [expr {$size * 8}]]
                expect [r getbit k $at] [string index $bits $at]
            }
            expect_true {[r get k] eq [from_bits $bits]} "size $size"
        }
    }
    test "SETBIT grows a value past the length of short ones, a bit at a time" {
        set bits ""
        foreach at {3 100 7999 32000 32007 32008 40000 100000 1000000} {
            expect [r setbit k $at 1] 0
            append bits [string repeat 0 [expr {$at - [string length $bits]}]]1
            expect [r strlen k] [expr {$at / 8 + 1}]
            expect [r bitcount k] [model_count $bits]
            set size [expr {($at / 8 + 1) * 8}]
            set whole $bits[string repeat 0 [expr {$size - [string length $bits]}]]
            expect_true {[r get k] eq [from_bits $whole]} "bit $at"
        }
    }
}

# ---- BITCOUNT ----

start_server {} {
    test "BITCOUNT of a whole value, of ranges of bytes and of bits" {
        r set k foobar
        expect [r bitcount k] 26
        expect [r bitcount k 0 0] 4
        expect [r bitcount k 1 1] 6
        expect [r bitcount k 1 1 BYTE] 6
        expect [r bitcount k 5 30 bit] 17
        expect [r bitcount k 0 -1] 26
        expect [r bitcount k -1 -1 bit] 0
        expect [r bitcount k -2 -2 bit] 1
        expect [r bitcount k 6 100] 0
        expect [r bitcount k 3 2] 0
        expect [r bitcount k -100 100] 26
        expect [r bitcount k -9223372036854775808 9223372036854775807] 26
        r set number 7
        expect [r bitcount number] 5
    }
    test "BITCOUNT with two negative bounds in the wrong order is 0" {
        r set k xxxx
        expect [r bitcount k -6 -7] 0
        expect [r bitcount k -6 -15 bit] 0
        expect [r bitcount k -7 -6] 4
    }
    test "BITCOUNT of an absent key and of an empty one" {
        r set empty ""
        foreach key {absent empty} {
            expect [r bitcount $key] 0
            expect [r bitcount $key 0 -1] 0
            expect [r bitcount $key 0 1000 bit] 0
        }
    }
    test "BITCOUNT errors" {
        r set k x
        expect_error "ERR syntax error" { r bitcount k 0 }
        expect_error "ERR syntax error" { r bitcount k 0 1 bits }
        expect_error "ERR syntax error" { r bitcount k 0 1 bit more }
        expect_error "ERR value is not an integer or out of range" { r bitcount k a 1 }
        expect_error "ERR value is not an integer or out of range" { r bitcount k 0 1.5 }
        expect_error "ERR value is not an integer or out of range" {
            r bitcount k 0 9223372036854775808
        }
    }
    starling_test "BITCOUNT and BITPOS look at their arguments also when the key is absent" {
        expect_error "ERR syntax error" { r bitcount absent 0 }
        expect_error "ERR syntax error" { r bitcount absent 0 1 hello }
        expect_error "ERR value is not an integer or out of range" { r bitcount absent a b }
        expect_error "ERR value is not an integer or out of range" { r bitpos absent 1 a }
        expect_error "ERR syntax error" { r bitpos absent 1 0 1 hello }
        expect_error "ERR syntax error" { r bitpos absent 1 0 1 bit hello }
    }
    test "BITCOUNT and BITPOS: which of two mistakes is told" {
        r set k x
        expect_error "ERR value is not an integer or out of range" { r bitcount k 0 x wrong }
        expect_error "ERR syntax error" { r bitpos k 1 0 x wrong }
    }
    test "BITCOUNT and BITPOS at random against a model" {
        for {set i 0} {$i < 400} {incr i} {
            set value [random_value]
            set bits [to_bits $value]
            r set k $value
            expect [r bitcount k] [model_count $bits]
            set unit [pick {byte bit}]
            set count [expr {$unit eq "bit" ? [string length $bits] : [string length $value]}]
            set start [expr {[random_below [expr {$count * 2 + 3}]] - $count - 1}]
            set end [expr {[random_below [expr {$count * 2 + 3}]] - $count - 1}]
            lassign [model_range $bits $start $end $unit] first part
            if {$start >= 0 || $end >= 0 || $start <= $end} {
                expect [r bitcount k $start $end $unit] [model_count $part]
            }
            foreach bit {0 1} {
                set at [string first $bit $part]
                expect [r bitpos k $bit $start $end $unit] [expr {$at < 0 ? -1 : $at + $first}]
                set at [string first $bit $bits]
                if {$at < 0 && !$bit && $value ne ""} {
                    set at [string length $bits]
                }
                expect [r bitpos k $bit] $at
            }
        }
    }
}

# ---- BITPOS ----

start_server {} {
    test "BITPOS finds the first bit, in bytes or in bits" {
        r set k "\xff\xf0\x00"
        expect [r bitpos k 0] 12
        expect [r bitpos k 0 1] 12
        expect [r bitpos k 0 2] 16
        expect [r bitpos k 1 2] -1
        expect [r bitpos k 1 9 -1 BIT] 9
        expect [r bitpos k 1 12 -1 bit] -1
        expect [r bitpos k 0 -3 -2 byte] 12
        expect [r bitpos k 0 -3 -3 byte] -1
    }
    test "BITPOS of a value of ones: the zeros behind count while no end is given" {
        r set k "\xff\xff\xff"
        expect [r bitpos k 0] 24
        expect [r bitpos k 0 1] 24
        expect [r bitpos k 0 0 -1] -1
        expect [r bitpos k 0 0 100] -1
        expect [r bitpos k 0 0 -1 bit] -1
        expect [r bitpos k 0 3] -1
    }
    test "BITPOS of an absent key and of an empty one" {
        expect [r bitpos absent 0] 0
        expect [r bitpos absent 1] -1
        expect [r bitpos absent 0 5 9] 0
        expect [r bitpos absent 1 5 9 bit] -1
        r set empty ""
        expect [r bitpos empty 0] -1
        expect [r bitpos empty 1] -1
    }
    test "BITPOS errors" {
        r set k x
        foreach bit {2 -1 10} {
            expect_error "ERR The bit argument must be 1 or 0." { r bitpos k $bit }
        }
        expect_error "ERR value is not an integer or out of range" { r bitpos k a }
        expect_error "ERR value is not an integer or out of range" { r bitpos k 1 a }
        expect_error "ERR value is not an integer or out of range" { r bitpos k 1 0 a }
        expect_error "ERR syntax error" { r bitpos k 1 0 1 bits }
        expect_error "ERR syntax error" { r bitpos k 1 0 1 bit more }
        expect_error "ERR wrong number of arguments for 'bitpos' command" { r bitpos k }
    }
    test "BITPOS at each place of a long value" {
        foreach size {8 9 100 5000} {
            for {set at 0} {$at < $size * 8} {incr at [expr {1 + $size * 8 / 40}]} {
                r del k
                r setbit k [expr {$size * 8 - 1}] 0
                r setbit k $at 1
                expect [r bitpos k 1] $at
                expect [r bitpos k 1 0 -1 bit] $at
                expect [r bitcount k] 1
                r bitop not k k
                expect [r bitpos k 0] $at
                expect [r bitpos k 0 $at $at bit] $at
                expect [r bitcount k] [expr {$size * 8 - 1}]
            }
        }
    }
}

# ---- BITOP ----

start_server {} {
    test "BITOP AND, OR, XOR, NOT" {
        r set a "\xff\x0f\x01"
        r set b "\x0f\xff"
        expect [r bitop and k a b] 3
        expect [r get k] "\x0f\x0f\0"
        expect [r bitop OR k a b] 3
        expect [r get k] "\xff\xff\x01"
        expect [r bitop xor k a b] 3
        expect [r get k] "\xf0\xf0\x01"
        expect [r bitop not k a] 3
        expect [r get k] "\0\xf0\xfe"
    }
    test "BITOP: absent sources are zeros; without any bytes the target goes" {
        r set a abc
        r set k old
        expect [r bitop or k a absent] 3
        expect [r get k] abc
        expect [r bitop and k absent a] 3
        expect [r get k] "\0\0\0"
        expect [r bitop or k absent other] 0
        expect [r exists k] 0
        expect [r bitop not k absent] 0
        r set empty ""
        expect [r bitop not k empty] 0
        expect [r exists k] 0
    }
    test "BITOP: the target may be a source; its expiry goes" {
        r set k abc ex 100
        r set a "   "
        expect [r bitop xor k k a] 3
        expect [r get k] ABC
        expect [r ttl k] -1
        expect [r bitop not k k] 3
        expect [r bitop not k k] 3
        expect [r get k] ABC
        expect [r bitop xor k k k] 3
        expect [r get k] "\0\0\0"
    }
    test "BITOP of numbers" {
        r set a 12
        r set b 3
        r incr a
        expect [r bitop or k a b] 2
        expect [r get k] 33
        expect [r bitop and k a] 2
        expect [r get k] 13
    }
    test "BITOP errors" {
        r set a x
        expect_error "ERR syntax error" { r bitop nand k a a }
        expect_error "ERR syntax error" { r bitop "" k a }
        expect_error "ERR BITOP NOT must be called with a single source key." { r bitop not k a a }
        expect_error "ERR wrong number of arguments for 'bitop' command" { r bitop and k }
        expect [r exists k] 0
    }
    test "BITOP at random against a model" {
        for {set i 0} {$i < 150} {incr i} {
            set operation [pick {and or xor not}]
            set keys {}
            set values {}
            set count [expr {$operation eq "not" ? 1 : 1 + [random_below 5]}]
            for {set j 0} {$j < $count} {incr j} {
                set value [random_value]
                r set v$j $value
                lappend keys v$j
                lappend values [to_bits $value]
            }
            set expected [from_bits [model_bitop $operation $values]]
            expect [r bitop $operation k {*}$keys] [string length $expected]
            expect_true {[r get k] eq $expected} "$operation of $values"
        }
    }
    test "BITOP of long values" {
        set a [random_bytes 100003]
        set b [random_bytes 70001]
        r set a $a
        r set b $b
        expect [r bitop xor k a b] 100003
        expect [r bitop xor back k b] 100003
        expect_true {[r get back] eq $a} "twice the same gives the first"
        expect [r bitcount k 70001 -1] [r bitcount a 70001 -1]
        expect [r bitop and k a b] 100003
        expect [r bitop or other a b] 100003
        expect [expr {[r bitcount k] + [r bitcount other]}] \
            [expr {[r bitcount a] + [r bitcount b]}]
    }
}

# ---- BITFIELD ----

# One BITFIELD operation on {bits} as Tcl's integers do it: {reply new-bits}.
proc model_field {bits kind type offset operand rule} {
    set width [string range $type 1 end]
    set is_signed [string match i* $type]
    if {$kind ne "get"} {
        set size [expr {($offset + $width + 7) / 8 * 8}]
        append bits [string repeat 0 [expr {max(0, $size - [string length $bits])}]]
    }
    set field [string range $bits $offset [expr {$offset + $width - 1}]]
    append field [string repeat 0 [expr {$width - [string length $field]}]]
    set span [expr {1 << $width}]
    set least [expr {$is_signed ? -$span / 2 : 0}]
    set most [expr {$least + $span - 1}]
    set old [expr "0b$field"]
    if {$old > $most} {
        incr old -$span
    }
    if {$kind eq "get"} {
        return [list $old $bits]
    }
    set wanted $operand
    if {$kind eq "incrby"} {
        incr wanted $old
    } elseif {!$is_signed && $wanted < 0} {
        set wanted [expr {$wanted + (1 << 64)}]
    }
    if {$wanted < $least || $wanted > $most} {
        switch $rule {
            fail { return [list {} $bits] }
            sat { set wanted [expr {$wanted < $least ? $least : $most}] }
            wrap { set wanted [expr {($wanted - $least) % $span + $least}] }
        }
    }
    set text [format %0${width}llb [expr {$wanted < 0 ? $wanted + $span : $wanted}]]
    set bits [string replace $bits $offset [expr {$offset + $width - 1}] $text]
    return [list [expr {$kind eq "set" ? $old : $wanted}] $bits]
}

start_server {} {
    test "BITFIELD GET, SET, INCRBY" {
        expect [r bitfield k set i8 0 -100 get i8 0 get u8 0] {0 -100 156}
        expect [r bitfield k set u8 0 255 incrby u8 0 100 get u8 0] {156 99 99}
        expect [r bitfield k incrby i5 100 1 get u4 0] {1 6}
        expect [r strlen k] 14
        expect [r bitfield k get i64 0 set i64 0 -9223372036854775808 get i64 0] \
            {7133701809754865664 7133701809754865664 -9223372036854775808}
        expect [r bitfield k get u63 1] 0
        expect [r bitfield k set u63 1 9223372036854775807 get i64 0] {0 -1}
    }
    test "BITFIELD without operations" {
        expect [r -wire bitfield k] "*0\r\n"
        expect [r -wire bitfield k overflow sat] "*0\r\n"
        expect [r exists k] 0
    }
    test "BITFIELD: GET alone makes no key, a write that fails does" {
        expect [r bitfield k get u8 100] 0
        expect [r exists k] 0
        expect [r -wire bitfield k overflow fail incrby u4 100 16] "*1\r\n\$-1\r\n"
        expect [r get k] [string repeat "\0" 13]
    }
    test "BITFIELD offsets by fields" {
        expect [r bitfield k set u8 #0 65 set u8 #1 66 set u8 "#2" 67] {0 0 0}
        expect [r get k] ABC
        expect [r bitfield k get u4 #1 get u4 4] {1 1}
        expect [r bitfield k get u12 #1 get i6 #1] {579 20}
    }
    test "BITFIELD OVERFLOW holds for what follows it" {
        r bitfield k set u8 0 250
        expect [r bitfield k incrby u8 0 10 overflow sat incrby u8 0 300 incrby u8 0 1 \
            overflow fail incrby u8 0 1 get u8 0 overflow WRAP incrby u8 0 1] {4 255 255 {} 255 0}
        expect [r bitfield s overflow sat incrby i8 0 -129 incrby i8 0 1000 overflow wrap \
            incrby i8 0 1] {-128 127 -128}
        expect [r bitfield t overflow sat set u8 0 -1 set i8 0 -129 overflow fail set u8 0 256 \
            get i8 0] {0 -1 {} -128}
        expect [r bitfield u overflow sat incrby u63 0 -9223372036854775808 \
            set u63 0 -1 get u63 0] {0 0 9223372036854775807}
        expect [r bitfield v incrby i64 0 9223372036854775807 incrby i64 0 1 \
            incrby i64 0 -1] {9223372036854775807 -9223372036854775808 9223372036854775807}
    }
    test "BITFIELD sees its own writes, near and far" {
        set far [expr {10000 * 8}]
        expect [r bitfield k set u8 0 1 set u8 $far 2 get u8 0 incrby u8 $far 1 incrby u8 0 1 \
            get u16 [expr {$far - 8}] get u16 0] {0 0 1 3 2 3 512}
        expect [r strlen k] 10001
        expect [r getbit k [expr {$far + 7}]] 1
    }
    starling_test "BITFIELD with the greatest and least operands" {
        set least -9223372036854775808
        set most 9223372036854775807
        foreach {type low high} {i8 -128 127 i63 -4611686018427387904 4611686018427387903} {
            expect [r bitfield k overflow sat set $type 0 $least get $type 0 set $type 0 $most \
                get $type 0 incrby $type 0 $least incrby $type 0 $most] \
                [list 0 $low $low $high $low $high]
            r del k
        }
        # Of an unsigned field the operand of SET is unsigned, that of INCRBY is not.
        expect [r bitfield k overflow sat set u8 0 $least incrby u8 0 $least incrby u8 0 $most \
            get u8 0] {0 0 255 255}
    }
    test "BITFIELD types and errors" {
        foreach type {u64 i65 u0 i0 x8 8 i u "" u8x U8 I8 "i 8" u08 u+8 i-8} {
            expect_error "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is\
                not supported but i64 is." { r bitfield k get $type 0 }
        }
        foreach offset {-1 a "" # #-1 #a 1x 4294967296 #536870912 #1152921504606846976
            9223372036854775807 18446744073709551615} {
            expect_error "ERR bit offset is not an integer or out of range" {
                r bitfield k get u8 $offset
            }
        }
        expect_error "ERR Invalid OVERFLOW type specified" { r bitfield k overflow clip }
        foreach value {a 1.5 "" 9223372036854775808} {
            expect_error "ERR value is not an integer or out of range" { r bitfield k set u8 0 $value }
            expect_error "ERR value is not an integer or out of range" {
                r bitfield k incrby u8 0 $value
            }
        }
        foreach words {get {get u8} set {set u8} {set u8 0} {incrby u8 0} overflow {add u8 0 1} 7} {
            expect_error "ERR syntax error" { r bitfield k {*}$words }
        }
        # One that is wrong spoils all.
        expect_error "ERR syntax error" { r bitfield k set u8 0 1 bad }
        expect [r exists k] 0
        expect_error "ERR wrong number of arguments for 'bitfield' command" { r bitfield }
    }
    test "BITFIELD at the farthest offset" {
        expect [r bitfield k get u63 4294967295 get i64 4294967295] {0 0}
        expect [r exists k] 0
    }
    test "BITFIELD counts as one change, or none when it sets what is there" {
        set changes { info_field persistence rdb_changes_since_last_save }
        set before [eval $changes]
        r bitfield k set i5 0 0
        expect [expr {[eval $changes] - $before}] 1
        r bitfield k set i5 0 0
        expect [expr {[eval $changes] - $before}] 1
        r bitfield k set i5 0 1
        r bitfield k incrby i5 0 1
        expect [expr {[eval $changes] - $before}] 3
        r bitfield k set i5 90 0
        expect [expr {[eval $changes] - $before}] 4
        r bitfield k get i5 90
        expect [expr {[eval $changes] - $before}] 4
    }
    test "BITFIELD keeps the expiry and takes numbers" {
        r set k 100 ex 100
        expect [r bitfield k incrby u8 0 1] 50
        expect [r get k] 200
        expect_range [r ttl k] 98 100
    }
    test "BITFIELD at random against a model" {
        foreach {size steps} {0 150 20 150 6000 40} {
            set bytes [random_bytes $size]
            r set k $bytes
            set bits [to_bits $bytes]
            for {set i 0} {$i < $steps} {incr i} {
                set words {}
                set expected {}
                set rule wrap
                for {set j [random_below 6]} {$j >= 0} {incr j -1} {
                    set kind [pick {get set incrby}]
                    set type [pick {u i}]
                    append type [expr {1 + [random_below [expr {$type eq "u" ? 63 : 64}]]}]
                    set offset [random_below [expr {$size * 8 + 200}]]
                    # Operands near 2^63 are apart, below: Redis saturates them to the wrong end.
                    set operand [pick [list [expr {[random_below 300] - 150}] [expr {
                        [random_below 4611686018427387904] * 2 - 4611686018427387904}]]]
                    if {[random_below 3] == 0} {
                        set rule [pick {wrap sat fail}]
                        lappend words overflow $rule
                    }
                    lappend words $kind $type $offset
                    if {$kind ne "get"} {
                        lappend words $operand
                    }
                    lassign [model_field $bits $kind $type $offset $operand $rule] reply bits
                    lappend expected $reply
                }
                set actual [r bitfield k {*}$words]
                expect_true {$actual eq $expected} "$words: $actual, not $expected"
                expect_true {[r get k] eq [from_bits $bits]} $words
            }
        }
    }
    test "BITFIELD_RO reads" {
        r set k ABC
        expect [r bitfield_ro k get u8 0 get u8 #2 get i4 100] {65 67 0}
        expect [r -wire bitfield_ro k] "*0\r\n"
        expect [r bitfield_ro k overflow sat get u8 0] 65
        expect [r bitfield_ro absent get u8 0] 0
        expect [r exists absent] 0
    }
    test "BITFIELD_RO errors" {
        foreach words {{set u8 0 1} {incrby u8 0 1} {get u8 0 set u8 0 1}} {
            expect_error "ERR BITFIELD_RO only supports the GET subcommand" {
                r bitfield_ro k {*}$words
            }
        }
        expect_error "ERR syntax error" { r bitfield_ro k get u8 }
        expect_error "ERR value is not an integer or out of range" { r bitfield_ro k set u8 0 x }
        expect_error "ERR Invalid bitfield type*" { r bitfield_ro k get u64 0 }
        expect [r exists k] 0
    }
}

# ---- durability ----

start_server {appendonly yes} {
    starling_test "bits written in all ways are there after a kill" {
        r set number 5
        r setbit number 6 1
        r setbit long 900000 1
        r set k [string repeat x 9000]
        r bitfield k set u16 70000 12345 incrby i7 3 1
        r bitop not inverted k
        set keys {number long k inverted}
        set before [lmap key $keys { r get $key }]
        restart_server -signal KILL
        expect_true {[lmap key $keys { r get $key }] eq $before} "values as before"
    }
}
