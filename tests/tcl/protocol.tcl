# SPDX-License-Identifier: BSD-3-Clause
# Bytes on the wire: inline commands, requests cut at every byte, pipelines, malformed requests.

# Sends bytes and expects this error, then the end of the connection, then a server that goes on.
proc expect_protocol_error {bytes words} {
    set c [connect]
    $c -raw $bytes
    expect [list $bytes [$c -wire]] [list $bytes "-ERR Protocol error: $words\r\n"]
    expect_true {[$c -eof]} "the connection is closed after [shown $bytes]"
    $c -close
    expect [r ping] PONG
}

start_server {} {
    # ---- Inline commands ----

    test "inline commands" {
        foreach {bytes reply} {
            "PING\r\n" "+PONG\r\n"   "ping\n" "+PONG\r\n"   "  PING  \r\n" "+PONG\r\n"
            "\r\nPING\r\n" "+PONG\r\n"   "\n\n\r\n\nPING\n" "+PONG\r\n"
            "ECHO \"a b\"\r\n" "\$3\r\na b\r\n"
            "ECHO 'a b'\r\n" "\$3\r\na b\r\n"
            "ECHO \"\\x41\\n\\r\\t\\a\\b\\\\\\\"\"\r\n" "\$8\r\nA\n\r\t\a\b\\\"\r\n"
            "ECHO 'it\\'s \\n'\r\n" "\$7\r\nit's \\n\r\n"
            "ECHO \"\"\r\n" "\$0\r\n\r\n"   "ECHO a\\x41\r\n" "\$5\r\na\\x41\r\n"
            "\tECHO\tx\t\r\n" "\$1\r\nx\r\n"
            "\vECHO a\vb\fc \v\f\r\n" "\$5\r\na\vb\fc\r\n"
        } {
            set c [connect]
            $c -raw $bytes
            expect [list $bytes [$c -wire]] [list $bytes $reply]
            $c -close
        }
    }
    test "inline and multibulk requests mix" {
        r -raw "SET k inline\r\n*2\r\n\$3\r\nGET\r\n\$1\r\nk\r\nPING\r\n"
        expect [r -wire] "+OK\r\n"
        expect [r -wire] "\$6\r\ninline\r\n"
        expect [r -wire] "+PONG\r\n"
    }
    test "unbalanced quotes" {
        foreach bytes {"ECHO \"abc\r\n" "ECHO 'abc\r\n" "ECHO \"a\"b\r\n" "ECHO 'a'b\r\n" "\"\"\"\r\n"} {
            expect_protocol_error $bytes "unbalanced quotes in request"
        }
    }
    test "an inline request of more than 64 kB" {
        set c [connect]
        $c -raw "ECHO [string repeat a 60000]\r\n"
        expect [string length [$c -receive]] 60000
        expect_protocol_error [string repeat a 70000] "too big inline request"
    }

    # ---- Requests cut anywhere ----

    test "requests cut at every byte" {
        set other [connect]
        set bytes "*3\r\n\$3\r\nSET\r\n\$3\r\nk\r\n\r\n\$12\r\nvalue\r\n*1\r\nx\r\n"
        append bytes "*2\r\n\$3\r\nGET\r\n\$3\r\nk\r\n\r\n" "PING\r\n" "*0\r\n" "ECHO \"a b\"\r\n" \
            "*1\r\n\$4\r\nPING\r\n"
        set replies "+OK\r\n\$12\r\nvalue\r\n*1\r\nx\r\n+PONG\r\n\$3\r\na b\r\n+PONG\r\n"
        for {set cut 1} {$cut < [string length $bytes]} {incr cut} {
            r -raw [string range $bytes 0 $cut-1]
            # A round trip elsewhere makes the server look at what has come.
            $other ping
            r -raw [string range $bytes $cut end]
            expect [list $cut [r -read [string length $replies]]] [list $cut $replies]
        }
    }
    test "a request that comes byte by byte" {
        set other [connect]
        foreach byte [split "*2\r\n\$4\r\nECHO\r\n\$10\r\n0123456789\r\nPING\r\n" {}] {
            r -raw $byte
            $other ping
        }
        expect [r -wire] "\$10\r\n0123456789\r\n"
        expect [r -wire] "+PONG\r\n"
    }
    test "a large argument that comes in pieces of odd sizes" {
        set value [random_bytes 300000]
        set bytes "*3\r\n\$3\r\nSET\r\n\$1\r\nk\r\n\$300000\r\n$value\r\n*2\r\n\$6\r\nSTRLEN\r\n\$1\r\nk\r\n"
        set at 0
        while {$at < [string length $bytes]} {
            set size [expr {1 + [random_below 9000]}]
            r -raw [string range $bytes $at [expr {$at + $size - 1}]]
            incr at $size
        }
        expect [r -wire] "+OK\r\n"
        expect [r -wire] ":300000\r\n"
        expect [r get k] $value
    }
    test "arguments around the sizes where buffers change" {
        foreach size {0 1 1023 1024 1025 16383 16384 16385 32767 32768 32769 65535 65536 65537 262144
            1048576} {
            set value [string repeat [format %c [expr {65 + $size % 26}]] $size]
            r -raw "*2\r\n\$4\r\nECHO\r\n\$$size\r\n$value\r\n*1\r\n\$4\r\nPING\r\n"
            expect [r -receive] $value
            expect [r -receive] PONG
        }
    }

    # ---- Pipelines ----

    test "a pipeline of 100000 commands" {
        set bytes [string repeat "*2\r\n\$4\r\nINCR\r\n\$1\r\nn\r\n" 100000]
        r -raw $bytes
        for {set i 1} {$i <= 100000} {incr i} {
            if {[r -receive] != $i} {
                fail "the reply to command $i is wrong"
            }
        }
        expect [r get n] 100000
    }
    test "a pipeline of mixed commands answers in order" {
        set commands {}
        set expected {}
        for {set i 0} {$i < 5000} {incr i} {
            lappend commands [list set k:$i v:$i] [list get k:$i] [list nosuch] [list incr c] \
                [list echo [string repeat e [expr {$i % 300}]]] [list get none:$i]
            lappend expected OK v:$i "-ERR unknown command 'nosuch', with args beginning with: " \
                [expr {$i + 1}] [string repeat e [expr {$i % 300}]] {}
        }
        expect [r -pipeline $commands] $expected
    }
    test "a pipeline whose replies are large" {
        r set k [string repeat v 200000]
        set replies [r -pipeline [lrepeat 100 {get k}]]
        expect [llength $replies] 100
        foreach reply $replies {
            expect [string length $reply] 200000
        }
    }
    test "the rest of a pipeline runs though the client leaves" {
        set c [connect]
        $c -raw "[string repeat "INCR n\r\n" 1000]"
        expect [$c -receive] 1
        $c -close
        wait_until {[r get n] == 1000}
    }

    # ---- Malformed requests ----

    test "bad multibulk lengths" {
        foreach length {abc 1x " 1" 1.5 2147483648 99999999999999999999 "" +1 - "1 " 0x1} {
            expect_protocol_error "*$length\r\n" "invalid multibulk length"
        }
    }
    test "empty requests are skipped" {
        r -raw "*0\r\n*-1\r\n*-100\r\n\r\n*0\r\nPING\r\n"
        expect [r -wire] "+PONG\r\n"
    }
    test "bad bulk lengths" {
        foreach length {abc -1 -2 1x "" " 3" 536870913 9223372036854775807 9223372036854775808 3.0} {
            expect_protocol_error "*2\r\n\$3\r\nGET\r\n\$$length\r\n" "invalid bulk length"
            expect_protocol_error "*1\r\n\$$length\r\n" "invalid bulk length"
        }
    }
    test "something else where a bulk should be" {
        foreach {bytes got} {"*1\r\nPING\r\n" P "*2\r\n\$3\r\nGET\r\n:1\r\n" : "*1\r\n*1\r\n" *
            "*3\r\n\$3\r\nSET\r\n\$1\r\nx\r\nfooz\r\n" f "*1\r\n+OK\r\n" +} {
            expect_protocol_error $bytes "expected '\$', got '$got'"
        }
    }
    test "length lines that never end" {
        expect_protocol_error "*[string repeat 1 70000]" "too big mbulk count string"
        expect_protocol_error "*1\r\n\$[string repeat 1 70000]" "too big bulk count string"
    }
    test "what came before a protocol error has run and is answered" {
        set c [connect]
        $c -raw "SET k 1\r\nINCR k\r\n*1\r\n\$x\r\nINCR k\r\n"
        expect [$c -wire] "+OK\r\n"
        expect [$c -wire] ":2\r\n"
        expect [$c -wire] "-ERR Protocol error: invalid bulk length\r\n"
        expect [$c -eof] 1
        expect [r get k] 2
    }
    test "a protocol error while the client sends on" {
        set c [connect]
        $c -raw "*1\r\n\$x\r\n"
        catch {
            for {set i 0} {$i < 50} {incr i} {
                $c -raw [string repeat "PING\r\n" 1000]
            }
        }
        expect_true {[$c -eof]}
        expect [r ping] PONG
    }
    test "a client that leaves in the middle of a request" {
        foreach bytes {"*" "*3\r\n" "*3\r\n\$3" "*3\r\n\$3\r\nSE" "*2\r\n\$3\r\nGET\r\n\$1000000\r\nabc" "PIN"
            "*1\r\n\$4\r\nPING\r"} {
            set c [connect]
            $c -raw $bytes
            $c -close
        }
        expect [r ping] PONG
        wait_until {[info_field clients connected_clients] == 1}
    }
    test "random bytes harm nobody else" {
        for {set i 0} {$i < 150} {incr i} {
            set c [connect]
            set bytes [pick {"" "*" "*1\r\n" "*2\r\n\$3\r\nGET\r\n" "\$" "SET a "}]
            catch { $c -raw $bytes[random_bytes [random_below 500]] }
            $c -close
        }
        expect [r ping] PONG
        wait_until {[info_field clients connected_clients] == 1}
    }
    test "a request of a web browser ends the connection" {
        foreach bytes {"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET k 1\r\n"
            "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nSET k 1\r\n"} {
            set c [connect]
            $c -raw $bytes
            expect [$c -eof] 1
            expect [r exists k] 0
        }
    }
    test "a multibulk of a million arguments" {
        set bytes "*1000001\r\n\$3\r\nDEL\r\n[string repeat "\$1\r\nk\r\n" 1000000]"
        r set k v
        set c [connect -timeout 30]
        $c -raw $bytes
        expect [$c -receive] 1
    }
    starling_test "a huge count alone takes no memory" {
        set before [info_field memory used_memory]
        set clients {}
        for {set i 0} {$i < 50} {incr i} {
            set c [connect]
            $c -raw "*2147483647\r\n\$3\r\nDEL\r\n"
            lappend clients $c
            set c [connect]
            $c -raw "*2\r\n\$3\r\nGET\r\n\$536870912\r\nabc"
            lappend clients $c
        }
        r ping
        expect_true {[info_field memory used_memory] - $before < 50000000}
    }
    test "an error's text has no line breaks" {
        r -raw "*2\r\n\$10\r\nno\r\nsu\r\nch\r\n\$4\r\na\r\nb\r\n"
        expect [r -wire] "-ERR unknown command 'no  su  ch', with args beginning with: 'a  b' \r\n"
    }
}
