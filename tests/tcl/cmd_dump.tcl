# SPDX-License-Identifier: BSD-3-Clause
# DUMP and RESTORE: payloads that Redis 7.0 made, byte for byte where there is one way to write
# them; every option and error; and payloads that lie.

# CRC-64 of Jones, bit by bit.
proc crc64 {bytes} {
    set crc 0
    binary scan $bytes cu* codes
    foreach code $codes {
        set crc [expr {$crc ^ $code}]
        for {set bit 0} {$bit < 8} {incr bit} {
            set crc [expr {($crc >> 1) ^ ($crc & 1 ? 0x95AC9329AC4BC9B5 : 0)}]
        }
    }
    return $crc
}

# The payload of a serialised value, with a right checksum.
proc payload {value {version 10}} {
    set bytes $value[binary format s $version]
    return $bytes[binary format w [crc64 $bytes]]
}

# Value and payload, as redis-server 7.0.15 gives it.
set redis_dumps [list \
    {} "\x00\x00\x0a\x00\x5d\x9b\x5c\x40\x0f\x7f\xa2\xda" \
    a "\x00\x01a\x0a\x00\xbf\xfe\xef\x9b\x8f6\x7d\xb4" \
    0 "\x00\xc0\x00\x0a\x00\x98\x40\xa7x\xf8P\x03\x08" \
    -1 "\x00\xc0\xff\x0a\x00\x0c\x93\x7e\x24\x85\x08\x9d\xc5" \
    127 "\x00\xc0\x7f\x0a\x00\x0d\xb5\xeb1RT\xc5\x14" \
    128 "\x00\xc1\x80\x00\x0a\x00\xebz\xb3\xb5\x10\xcfKe" \
    -128 "\x00\xc0\x80\x0a\x00\x99f2m\x2f\x0c\x5b\xd9" \
    -129 "\x00\xc1\x7f\xff\x0a\x00\x17\x60\x82\x28T\x80\x84\x80" \
    32767 "\x00\xc1\xff\x7f\x0a\x00IZ7\xda\x17\xf4\xd5\x2b" \
    32768 "\x00\xc2\x00\x80\x00\x00\x0a\x00E\xd8\x2e\xed\xd5\xbd\xa9\x10" \
    -32769 "\x00\xc2\xff\x7f\xff\xff\x0a\x00\xae\xe3LM\x06\xc6\x856" \
    2147483647 "\x00\xc2\xff\xff\xff\x7f\x0a\x00\x2ct\xe5\x9e\xe0\x2e\xad\xa1" \
    -2147483648 "\x00\xc2\x00\x00\x00\x80\x0a\x00\xc7O\x87\x3e3U\x81\x87" \
    2147483648 "\x00\x0a2147483648\x0a\x00\xe7\xb1\x29\xa3L\x1dv\xee" \
    -2147483649 "\x00\x0b\x2d2147483649\x0a\x00\xc2a7y\x08\xf2\x02\x8c" \
    9223372036854775807 \
    "\x00\x139223372036854775807\x0a\x00\x3ae\x7e\x94\x81\xe8\x5f\x22" \
    01 "\x00\x0201\x0a\x00l\xdd\xc4A\x14L\x7d\xa4" \
    -0 "\x00\x02\x2d0\x0a\x00\xd5A\x1f\xd9\xd6\xd0P\xcc" \
    [string repeat a 20] \
    "\x00\x14aaaaaaaaaaaaaaaaaaaa\x0a\x00\x83\xb4k\x5e\x1b\x11\xac\xf1"]

# The same where compression leaves a choice, so that only reading can be compared.
set redis_compressed_dumps [list \
    [string repeat a 21] "\x00\xc3\x06\x15\x01aa\xe0\x0a\x00\x0a\x00\xfd\x0c\xb3h\x07A\x3fh" \
    [string repeat abc 20] \
    "\x00\xc3\x0b\x3c\x03abca\xe0\x2d\x02\x01bc\x0a\x00o\x60\x29\xe4\xaf\xd7d\xac"]

start_server {} {
    test "DUMP writes what Redis writes" {
        foreach {value dump} $redis_dumps {
            r set k $value
            expect [r dump k] $dump
        }
        expect_nil dump none
        expect_error "ERR wrong number of arguments for 'dump' command" { r dump }
    }
    test "RESTORE reads what Redis writes" {
        foreach {value dump} [concat $redis_dumps $redis_compressed_dumps] {
            r del k
            expect [r restore k 0 $dump] OK
            expect [r get k] $value
            expect [r ttl k] -1
        }
    }
    test "DUMP and RESTORE of values of every form and size" {
        r incrby counter 3
        r set register 100
        r incrby register 23
        r incrbyfloat float 1.25
        r set edited hello
        r setrange edited 1 a
        r set bits x
        r setbit bits 70000 1
        foreach size {1 63 64 65 16383 16384 100000 2000000} {
            r set repeated:$size [string repeat ab [expr {$size / 2 + 1}]]
            r set random:$size [random_bytes [expr {min($size, 20000)}]]
        }
        foreach key [r keys *] {
            set value [r get $key]
            set dump [r dump $key]
            r del $key
            expect [r restore $key 0 $dump] OK
            expect [r get $key] $value
        }
        expect [r incr register] 124
        expect [r object encoding register] int
    }
    test "DUMP compresses" {
        r set k [string repeat x 100000]
        expect_range [string length [r dump k]] 20 2000
    }

    # ---- options ----

    test "RESTORE with a time to live" {
        set dump [payload "\x00\x01v"]
        expect [r restore k 100000 $dump] OK
        expect_range [r pttl k] 90000 100000
        expect [r restore k 0 $dump replace] OK
        expect [r ttl k] -1
        set time [expr {[clock milliseconds] + 100000}]
        expect [r restore k $time $dump replace absttl] OK
        expect [r pexpiretime k] $time
        expect [r restore k 0 $dump ABSTTL REPLACE] OK
        expect [r ttl k] -1
        expect [r restore k 2569591501 $dump replace] OK
        expect_range [r pttl k] 2569581501 2569591501
    }
    test "RESTORE with a time that has passed leaves no key" {
        set dump [payload "\x00\x01v"]
        expect [r restore k 1000 $dump absttl] OK
        expect [r exists k] 0
        r set k old
        expect [r restore k 1000 $dump absttl replace] OK
        expect [r exists k] 0
        expect [r dbsize] 0
    }
    test "RESTORE keeps what is there, unless told to REPLACE" {
        r set k old ex 100
        expect_error "BUSYKEY Target key name already exists." { r restore k 0 [payload "\x00\x01v"] }
        expect_error "BUSYKEY Target key name already exists." { r restore k 0 rubbish }
        expect [r get k] old
        expect_error "ERR DUMP payload version or checksum are wrong" {
            r restore k 0 rubbish replace
        }
        expect_error "ERR Bad data format" { r restore k 0 [payload "\x00\xc4v"] replace }
        expect [r get k] old
        expect_range [r ttl k] 98 100
        expect [r restore k 0 [payload "\x00\x01v"] Replace] OK
        expect [r get k] v
        expect [r ttl k] -1
        r set gone old px 1
        after 5
        expect [r restore gone 0 [payload "\x00\x01v"]] OK
    }
    test "RESTORE IDLETIME and FREQ" {
        set dump [payload "\x00\x01v"]
        expect [r restore k 0 $dump idletime 1000] OK
        expect_range [r object idletime k] 1000 1002
        expect [r restore k 0 $dump replace freq 100] OK
        expect [r restore k 0 $dump replace idletime 99999999999] OK
        expect [r get k] v
        with_config {maxmemory-policy allkeys-lfu} {
            expect [r restore k 0 $dump replace freq 100] OK
            expect_range [r object freq k] 99 100
            expect [r restore k 0 $dump replace freq 0 freq 255] OK
            expect_range [r object freq k] 254 255
            expect [r restore k 0 $dump replace idletime 10] OK
        }
    }
    test "RESTORE-ASKING, which nodes of a cluster send, is RESTORE" {
        set dump [payload "\x00\x01v"]
        expect [r restore-asking k 100000 $dump] OK
        expect [r get k] v
        expect_range [r pttl k] 90000 100000
        expect_error "BUSYKEY Target key name already exists." { r restore-asking k 0 $dump }
        expect [r restore-asking k 0 $dump replace] OK
        expect [r command getkeys restore-asking k 0 x] k
        expect_true {"asking" in [lindex [r command info restore-asking] 0 2]}
    }
    test "RESTORE: errors of arguments" {
        set dump [payload "\x00\x01v"]
        expect_error "ERR Invalid TTL value, must be >= 0" { r restore k -1 $dump }
        expect_error "ERR Invalid TTL value, must be >= 0" { r restore k -1 rubbish absttl }
        expect_error "ERR value is not an integer or out of range" { r restore k x $dump }
        foreach idle {-1 -1000} {
            expect_error "ERR Invalid IDLETIME value, must be >= 0" {
                r restore k 0 $dump idletime $idle
            }
        }
        foreach frequency {-1 256} {
            expect_error "ERR Invalid FREQ value, must be >= 0 and <= 255" {
                r restore k 0 $dump freq $frequency
            }
        }
        expect_error "ERR value is not an integer or out of range" { r restore k 0 $dump idletime x }
        expect_error "ERR value is not an integer or out of range" { r restore k 0 $dump freq x }
        foreach options {foo idletime freq {replace foo} {freq 1 idletime 1} {idletime 1 freq 1}} {
            expect_error "ERR syntax error" { r restore k 0 $dump {*}$options }
        }
        expect_error "ERR wrong number of arguments for 'restore' command" { r restore k 0 }
        expect [r exists k] 0
    }
    starling_test "RESTORE refuses a time to live that leaves 64 bits" {
        expect_error "ERR invalid expire time in 'restore' command" {
            r restore k 9223372036854775807 [payload "\x00\x01v"]
        }
        expect_error "ERR invalid expire time in 'restore-asking' command" {
            r restore-asking k 9223372036854775807 [payload "\x00\x01v"]
        }
        expect [r exists k] 0
    }

    # ---- payloads that are not right ----

    test "RESTORE refuses a payload with any bit changed or any length cut" {
        r set k [string repeat abc 10]
        set dump [r dump k]
        r del k
        set size [string length $dump]
        for {set cut 0} {$cut < $size} {incr cut} {
            expect_error "ERR DUMP payload version or checksum are wrong" {
                r restore k 0 [string range $dump 0 $cut-1]
            }
        }
        for {set at 0} {$at < $size} {incr at} {
            binary scan [string index $dump $at] cu code
            set bad [string replace $dump $at $at [binary format c [expr {$code ^ 1 << $at % 8}]]]
            expect_error "ERR DUMP payload version or checksum are wrong" { r restore k 0 $bad }
        }
        expect [r exists k] 0
        expect [r restore k 0 $dump] OK
    }
    test "RESTORE accepts older versions and no later ones" {
        foreach version {0 1 6 9 10} {
            expect [r restore k 0 [payload "\x00\x01v" $version] replace] OK
        }
        foreach version {13 80 255 256 65535} {
            expect_error "ERR DUMP payload version or checksum are wrong" {
                r restore k 0 [payload "\x00\x01v" $version] replace
            }
        }
    }
    starling_test "RESTORE accepts version 11, of Redis 7.2" {
        expect [r restore k 0 [payload "\x00\x01v" 11]] OK
        expect [r get k] v
    }
    test "RESTORE reads each way to write a length" {
        foreach value [list "\x00\x01v" "\x00\x40\x01v" "\x00\x80\0\0\0\x01v" \
            "\x00\x81\0\0\0\0\0\0\0\x01v" "\x00\xc3\x02\x01\x00v" "\x00\xc3\x40\x02\x40\x01\x00v"] {
            expect [r restore k 0 [payload $value] replace] OK
            expect [r get k] v
        }
        foreach {value number} [list "\x00\xc0\x05" 5 "\x00\xc1\xfb\xff" -5 "\x00\xc2\0\0\0\x80" \
            -2147483648] {
            expect [r restore k 0 [payload $value] replace] OK
            expect [r get k] $number
            expect [r object encoding k] int
        }
    }
    starling_test "RESTORE refuses values that are not what they claim" {
        foreach value [list \
            "" "\x00" "\x00\x02v" "\x00\x01vv" "\x00\x40" "\x00\x40\x02v" \
            "\x00\x80\0\0\0" "\x00\x80\0\0\0\x02v" "\x00\x80\xff\xff\xff\xffv" \
            "\x00\x81\0\0\0\0\0\0\0" "\x00\x81\xff\xff\xff\xff\xff\xff\xff\xffv" \
            "\x00\x82\0\0\0\x01v" "\x00\xbf\0" "\x00\xc4v" "\x00\xff" \
            "\x00\xc0" "\x00\xc1\x01" "\x00\xc2\x01\x01\x01" "\x00\xc0\x01\x01" \
            "\x00\xc3" "\x00\xc3\x02" "\x00\xc3\x02\x01" "\x00\xc3\x02\x01\x00" \
            "\x00\xc3\x02\x02\x00v" "\x00\xc3\x02\x00\x00v" "\x00\xc3\x00\x00" "\x00\xc3\xc0\x01\x00v" \
            "\x00\xc3\x04\x05\x00v\x20\x01" "\x00\xc3\x02\x81\x00\x00\x00\xff\xff\xff\xff\xff\x00v" \
            "\x00\xc3\x02\x80\x20\x00\x00\x00\x00v" \
            "\x0e\x01\x01v" "\x7f\x01v" "\xff\x01v" \
            "\x02\x00" "\x02\x02\x01v" "\x02\x02\x01v\x01v" "\x02\x01\x01vx" "\x04\x01\x01f" \
            "\x04\x02\x01f\x01v\x01f\x01w" "\x0b\x04\x02\x00\x00\x00" "\x05\x01\x01m\0\0\0\0\0\0\xf8\x7f" \
            "\x11\x01\x00" "\x10\x01\x00" "\x14\x01\x00"] {
            expect_error "ERR Bad data format" { r restore k 0 [payload $value] }
            expect [r exists k] 0
        }
    }
    starling_test "RESTORE refuses a string beyond proto-max-bulk-len" {
        r set k [string repeat x 3000000]
        set dump [r dump k]
        with_config {proto-max-bulk-len 1048576} {
            expect_error "ERR Bad data format" { r restore small 0 $dump }
            expect [r exists small] 0
        }
        expect [r restore small 0 $dump] OK
    }
}

# ---- hashes, sets and sorted sets ----

# What redis-server 7.0.15 gives for them: the command that makes the value, TYPE, and the payload.
set redis_collection_dumps [list \
    {sadd k a} set "\x02\x01\x01a\x0a\x00\x62\x96\xe9\x7e\x44\xd2\x1a\x6d" \
    {sadd k 1 2 3 -5} set \
    "\x0b\x10\x02\0\0\0\x04\0\0\0\xfb\xff\x01\0\x02\0\x03\0\x0a\0\xc8\xe4\xdf\xb6\x6f\x73\x96\xf0" \
    {sadd k 100000 5000000000} set \
    "\x0b\x18\x08\0\0\0\x02\0\0\0\xa0\x86\x01\0\0\0\0\0\0\xf2\x05\x2a\x01\0\0\0\x0a\0\xed\x36\x91\xac\xd9\xef\x01\x3c" \
    {hset k f v g 12345} hash \
    "\x10\x14\x14\0\0\0\x04\0\x81f\x02\x81v\x02\x81g\x02\xf1\x39\x30\x03\xff\x0a\0\xad\x0f\x49\xdb\x38\x8a\xfd\xb4" \
    {zadd k 1 a 2.5 b} zset \
    "\x11\x14\x14\0\0\0\x04\0\x81a\x02\x01\x01\x81b\x02\x832.5\x04\xff\x0a\0\xd4\x4c\x6e\xa4\xf6\x44\xd9\xd7"]

# Compressed there, so only reading can be compared.
set redis_large_dumps [list \
    [list hset k f [string repeat x 65]] hash \
    "\x04\x01\x01f\xc3\x09\x40\x41\x01xx\xe0\x34\0\x01xx\x0a\0\xf1\x06\xd1\x07\x1b\x26\x5c\x18" \
    [list zadd k 1.5 [string repeat y 65]] zset \
    "\x05\x01\xc3\x09\x40\x41\x01yy\xe0\x34\0\x01yy\0\0\0\0\0\0\xf8\x3f\x0a\0\xe9\x3a\x5a\xff\x8f\xbc\x2e\x83"]

# Values of every form: name, command.
proc collections {} {
    set made {}
    foreach {name count bytes} {one 1 1 few 20 10 long 3 200 many 300 8 huge 3 100000} {
        set members {}
        for {set i 0} {$i < $count} {incr i} {
            lappend members [string range "$i:[string repeat ab $bytes]" 0 [expr {$bytes + 3}]]
        }
        set integers [lmap member $members {incr n}]
        lappend made set:$name [list sadd k {*}$members] set:int:$name [list sadd k {*}$integers]
        lappend made hash:$name [list hset k {*}[concat {*}[lmap m $members {list $m v$m}]]]
        lappend made hash:int:$name [list hset k {*}[concat {*}[lmap i $integers {list $i $i}]]]
    }
    return $made
}

proc whole_value {key} {
    return [expr {[r type $key] eq "set" ? [lsort [r smembers $key]] : [lsort -stride 2 [r hgetall $key]]}]
}

# The serialised hash of fields that expire, as Redis 7.4 writes it: {name value milliseconds-from-now}.
proc expiring_hash {fields} {
    set base [expr {[clock milliseconds] - 1000}]
    set value "\x18[binary format wc $base [llength $fields]]"
    foreach field $fields {
        lassign $field name text ms
        set told [expr {$ms eq "never" ? 0 : $ms + 1001}]
        append value "\x80[binary format I $told]" [binary format c [string length $name]]$name \
            [binary format c [string length $text]]$text
    }
    return [payload $value 12]
}

start_server {} {
    starling_test "DUMP writes what Redis writes: hashes, sets, sorted sets" {
        foreach {command type dump} [concat $redis_collection_dumps $redis_large_dumps] {
            expect [r restore k 0 $dump replace] OK
            expect [r type k] $type
            if {$command in $redis_collection_dumps} {
                expect [r dump k] $dump
            }
            if {$type ne "zset"} {
                set value [whole_value k]
                r del k
                r {*}$command
                expect [whole_value k] $value
                if {$command in $redis_collection_dumps} {
                    expect [r dump k] $dump
                }
            } else {
                expect [r zcard k] [expr {([llength $command] - 2) / 2}]
            }
            # And what we write, we read.
            set digest [r debug digest-value k]
            expect [r restore k 0 [r dump k] replace] OK
            expect [r debug digest-value k] $digest
        }
    }
    test "DUMP and RESTORE of hashes and sets of every form and size" {
        foreach {name command} [collections] {
            r del k
            r {*}$command
            set value [whole_value k]
            set encoding [r object encoding k]
            set dump [r dump k]
            expect [r restore other 0 $dump replace] OK
            expect [whole_value other] $value
            expect [r object encoding other] $encoding
            expect [r type other] [r type k]
            # In the place of another type, and of the same.
            r set other text
            expect_error BUSYKEY* { r restore other 0 $dump }
            expect [r get other] text
            expect [r restore other 100000 $dump replace] OK
            expect [whole_value other] $value
            expect_range [r pttl other] 99000 100000
            expect [r restore other [expr {[clock milliseconds] + 100000}] $dump replace absttl] OK
            expect_range [r pttl other] 98000 100000
            expect [r restore other 0 $dump replace idletime 1000] OK
            expect_range [r object idletime other] 1000 1010
            expect [r restore other 1 $dump replace absttl] OK
            expect [r exists other] 0
            r sadd other x y
            expect [r restore other 0 $dump replace] OK
            expect [whole_value other] $value
        }
    }
    starling_test "Restored values are there after a restart" {
        foreach {name command} [collections] {
            r {*}$command
            set values($name) [whole_value k]
            r restore $name 0 [r dump k]
            r del k
        }
        foreach {command type dump} $redis_large_dumps {
            r restore large:$type 0 $dump
        }
        set digest [r debug digest]
        r debug reload
        expect [r debug digest] $digest
        foreach name [array names values] {
            expect [whole_value $name] $values($name)
        }
    }
    starling_test "RESTORE and DUMP keep when fields of a hash expire" {
        set dump [expiring_hash {{a 1 never} {b 22 100000} {c 3 50000} {past 0 -500}}]
        expect [r restore k 0 $dump] OK
        expect [r hgetall k] {a 1 b 22 c 3}
        expect [r hlen k] 3
        set again [r dump k]
        expect [string index $again 0] "\x18"
        expect [r restore k2 0 $again] OK
        expect_set [lsort [r hgetall k2]] [lsort {a 1 b 22 c 3}]
        expect [r debug digest-value k] [r debug digest-value k2]
        r debug reload
        expect [r debug digest-value k] [r debug digest-value k2]
        expect [r dump k] $again
        expect [r restore soon 0 [expiring_hash {{a 1 never} {b 2 150}}]] OK
        expect [r hget soon b] 2
        wait_until { [r hgetall soon] eq {a 1} }
        expect [string index [r dump soon] 0] "\x10"
        # Nothing is left of these.
        expect [r restore none 0 [expiring_hash {{a 1 -500} {b 2 0}}]] OK
        expect [r exists none] 0
        r set none text
        expect [r restore none 0 [expiring_hash {{a 1 -500}}] replace] OK
        expect [r exists none] 0
    }
    test "RESTORE refuses a collection with any bit changed or any length cut" {
        foreach command {{sadd k a b 3} {sadd k 1 2 3} {hset k f v g 2}} {
            r del k
            r {*}$command
            set dump [r dump k]
            for {set i 0} {$i < [string length $dump]} {incr i} {
                scan [string index $dump $i] %c code
                for {set bit 1} {$bit < 256} {incr bit $bit} {
                    set wrong [string replace $dump $i $i [format %c [expr {$code ^ $bit}]]]
                    expect_error "ERR *" { r restore wrong 0 $wrong }
                }
                expect_error "ERR *" { r restore wrong 0 [string range $dump 0 $i-1] }
            }
            expect [r exists wrong] 0
        }
    }
    starling_test "A refused payload leaves what was there" {
        r sadd k a b
        foreach value {"\x02\x02\x01v\x01v" "\x04\x01\x01f"} {
            expect_error "ERR Bad data format" { r restore k 0 [payload $value] replace }
            expect_set [r smembers k] {a b}
        }
    }
    starling_test "DEBUG OBJECT and MEMORY USAGE of collections" {
        foreach {name command} [collections] {
            r del k
            r {*}$command
            set bytes [expr {[string length [r dump k]] - 11}]
            expect_match [r debug object k] "*encoding:[r object encoding k] serializedlength:$bytes *"
            set held 0
            foreach word [lrange $command 2 end] { incr held [string length $word] }
            expect_range [r memory usage k] $held [expr {3 * $held + 100 * [llength $command] + 1000}]
            set exact [r memory usage k samples 0]
            expect [r memory usage k samples 1000000] $exact
            expect_range [r memory usage k samples 1] [expr {$exact / 2}] [expr {$exact * 2}]
        }
        expect_error "ERR *" { r memory usage k samples -1 }
    }
}
