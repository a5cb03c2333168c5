# SPDX-License-Identifier: BSD-3-Clause
# TLS between nodes: who is let in and who is refused by what name, files that are replaced, options
# that cannot be used, and that an encrypted mesh does what a plain one does.

if {![server_is_starling]} {
    return
}

certificates::authority ca
certificates::authority other-ca
foreach name {a b c} {
    certificates::make ca $name
}
certificates::make other-ca stranger
certificates::make ca ended -days -1
certificates::make ca locked -pass sesame

proc file_of {name} {
    return [certificates::file $name]
}

# Options of a node with TLS that shows this certificate.
proc tls_options {name {authority ca}} {
    return [concat {mesh-tls yes} [certificates::options $name $authority]]
}

# The row of a peer in MESH NODES, by its mesh address, as a dict; `client` is {node A} or r.
proc row_of {client address} {
    foreach row [{*}$client mesh nodes] {
        if {[dict get $row address] eq $address} {
            return $row
        }
    }
    return {}
}

# What `openssl s_client` says about a connection with a mesh port.
proc handshake {port args} {
    catch { exec openssl s_client -connect 127.0.0.1:$port {*}$args << "" 2>@1 } output
    return $output
}

# Options of openssl s_client that show certificate `name`.
proc showing {name} {
    return [list -cert [file_of $name.crt] -key [file_of $name.key] -CAfile [file_of ca.crt]]
}

# The name in the certificate that a node shows to new connections.
proc shown_by {name} {
    set output [handshake $mesh::ports($name) {*}[showing c]]
    return [expr {[regexp -line {^subject=.*CN ?= ?(\S+)} $output all shown] ? $shown : $output}]
}

# Starts a further node whose seed is A, and has A dial it: neither lets the other in, both show and
# log why, by `reason` and words that match, and nothing crosses.
proc expect_refused {options reason log_of_a log_there} {
    array set ::refused [list reason $reason log_of_a $log_of_a log_there $log_there \
        port [server::free_port]]
    start_server [dict merge $mesh::options [list mesh-port $::refused(port) \
        mesh-seeds [mesh_address A]] $options] {
        node A set k v
        wait_until { [info_field mesh mesh_refused_$::refused(reason)] >= 1 }
        node A mesh meet 127.0.0.1 $::refused(port)
        wait_until { [row_of {node A} 127.0.0.1:$::refused(port)] ne {} }
        set row [row_of {node A} 127.0.0.1:$::refused(port)]
        expect [dict get $row link] refused
        expect [dict get $row reason] $::refused(reason)
        set row [row_of r [mesh_address A]]
        expect [dict get $row link] refused
        expect [dict get $row reason] $::refused(reason)
        expect_true { [mesh_field A mesh_refused_$::refused(reason)] >= 1 }
        expect_match [node_log A] $::refused(log_of_a)
        expect_match [server_log] $::refused(log_there)
        r set crossed 1
        after 200
        expect [node A get crossed] {}
        expect [node A dbsize] 1
        expect [r get k] {}
    }
}

start_mesh 3 [list A [tls_options a] B [tls_options b] C [tls_options c] appendonly yes] {

    mesh_test "nodes with certificates of one authority are a mesh like any other" {
        node A set k v
        node B incrby n 3
        node C incrby n 4
        converged
        everywhere v get k
        everywhere 7 get n
        expect [mesh_field A mesh_tls] 1
        expect_range [mesh_field A mesh_tls_certificate_seconds] [expr {29 * 86400}] \
            [expr {30 * 86400}]
        expect [mesh_field A mesh_refused_tls] 0
        expect [mesh_field A mesh_refused_certificate] 0
    }

    mesh_test "values of megabytes, and thousands of small ones" {
        set big [string repeat 0123456789abcdef 524288]
        node A set big $big
        node B -pipeline [lmap i [lrepeat 2000 x] { list set small:[incr ::small] v }]
        node C -pipeline [lmap i [lrepeat 2000 x] { list incr total }]
        converged
        everywhere 8388608 strlen big
        everywhere 2002 dbsize
        everywhere 2000 get total
    }

    mesh_test "cuts and kills heal" {
        concurrently {{set k 1} {incr n}} {{set k 2} {incr n}} {{incr n}}
        everywhere 3 get n
        stop_node B KILL
        node A incr n
        start_node B
        linked
        converged
        everywhere 4 get n
    }

    mesh_test "on the wire is TLS 1.3 or 1.2, never less" {
        expect_match [handshake $mesh::ports(A) {*}[showing c]] "*TLSv1.3, Cipher is TLS_*"
        expect_match [handshake $mesh::ports(A) -tls1_2 {*}[showing c]] \
            "*TLSv1.2, Cipher is ECDHE*"
        expect_match [handshake $mesh::ports(A) -tls1_1 -cipher DEFAULT@SECLEVEL=0 {*}[showing c]] \
            "*Cipher is (NONE)*"
    }
}

start_mesh 3 [list A [tls_options a] B [tls_options b] C [tls_options c]] {

    mesh_test "a joiner takes over the state" {
        set commands [lmap i [lrepeat 20000 x] { list set key:[incr ::key] [string repeat x 50] }]
        node A -pipeline $commands
        stop_node B KILL
        foreach file [glob -directory [node_dir B] -nocomplain *] {
            if {[file tail $file] ne "server.log"} {
                file delete -force $file
            }
        }
        # The log no longer reaches back to the first change. C has them all before: a node that
        # falls behind what the log remembers takes over a snapshot too, and answers LOADING.
        node A -pipeline $commands
        converged
        node A config set mesh-backlog-size 64kb
        node C config set mesh-backlog-size 64kb
        node A set key:1 last
        start_node B
        wait_until { ![catch { node B dbsize } size] && $size == 20000 } 30
        linked
        converged
        expect_true { [mesh_field B mesh_syncs_snapshot] >= 1 }
    }
}

test "a certificate of another authority is refused, named" {
    start_mesh 1 [tls_options a] {
        # Each side trusts its own authority alone, so who dials refuses.
        expect_refused [tls_options stranger other-ca] certificate \
            "*is refused: certificate: *(/CN=stranger)*" "*is refused: certificate: *(/CN=a)*"
    }
}

test "a certificate of another authority is refused by one side alone, named on both" {
    start_mesh 1 [tls_options a] {
        expect_refused [tls_options stranger ca] certificate \
            "*is refused: certificate: *(/CN=stranger)*" \
            "*refuses this node: certificate: unknown ca*"
    }
}

test "a certificate that has ended is refused, named" {
    start_mesh 1 [tls_options a] {
        expect_refused [tls_options ended] certificate \
            "*is refused: certificate: certificate has expired (/CN=ended)*" \
            "*refuses this node: certificate: certificate expired*"
    }
}

test "a node without TLS is refused, named on both sides" {
    start_mesh 1 [tls_options a] {
        expect_refused {} tls "*is refused: tls: it speaks no TLS*" "*refuses this node: tls*"
    }
}

test "a node without TLS refuses those with it, named on both sides" {
    start_mesh 1 {} {
        expect_refused [tls_options b] tls "*is refused: tls: it speaks TLS, this node does not*" \
            "*is refused: tls: it speaks no TLS*"
    }
}

test "a secret is needed beside the certificate, where there is one" {
    start_mesh 1 [concat [tls_options a] {mesh-auth sesame}] {
        expect_refused [tls_options b] secret "*is refused: secret*" "*is refused: secret*"
    }
}

start_mesh 1 [tls_options a] {

    mesh_test "one without a certificate is refused, named" {
        set before [mesh_field A mesh_refused_certificate]
        # Its alert comes after the handshake: the client has to wait for it.
        expect_match [handshake $mesh::ports(A) -ign_eof -CAfile [file_of ca.crt]] \
            "*certificate required*"
        wait_until { [mesh_field A mesh_refused_certificate] > $before }
        expect [dict get [row_of {node A} 127.0.0.1] reason] certificate
        expect_match [node_log A] "*127.0.0.1 is refused: certificate: it shows none*"
    }

    mesh_test "garbage and silence lose their connection, not the server" {
        set before [mesh_field A mesh_refused_tls]
        foreach bytes [list "GET / HTTP/1.1\r\n\r\n" [string repeat "\xff" 100] \
            "\x16\x03\x01\xff\xff" "\x16\x03\x01\x00\x05hello" "\x80\x80\x01\x03\x01"] {
            set fd [socket 127.0.0.1 $mesh::ports(A)]
            fconfigure $fd -translation binary -blocking 0
            puts -nonewline $fd $bytes
            flush $fd
            wait_until { [catch { read $fd }] || [eof $fd] } 20
            close $fd
        }
        expect [expr {[mesh_field A mesh_refused_tls] - $before}] 5
        set start [clock milliseconds]
        set silent [lmap i {1 2 3} { socket 127.0.0.1 $mesh::ports(A) }]
        foreach fd $silent {
            fconfigure $fd -translation binary -blocking 0
        }
        # The rest of a hello never comes.
        puts -nonewline [lindex $silent 0] "\x16\x03\x01\x02\x00\x01"
        flush [lindex $silent 0]
        foreach fd $silent {
            wait_until { [catch { read $fd }] || [eof $fd] } 20
            close $fd
        }
        expect_true { [clock milliseconds] - $start >= 4500 }
        expect [node A ping] PONG
    }
}

test "replaced files serve new links without a restart; those that cannot be used do not" {
    certificates::make ca changing -subject first
    start_mesh 2 [list A [tls_options a] B [tls_options changing]] {
        expect [shown_by B] first
        write_file [file_of changing.crt] "this is no certificate\n"
        set words "*but cannot be used: *changing.crt: *What was loaded before stays.*"
        wait_until { [string match $words [node_log B]] } 20
        expect [shown_by B] first
        cut A B
        wait_until { [mesh_field A mesh_links_up] == 0 }
        heal
        node A set k v
        converged
        after 2500
        expect [regexp -all {cannot be used} [node_log B]] 1

        certificates::make ca changing -subject second
        wait_until { [shown_by B] eq "second" } 20
        # A link that is up stays.
        expect [mesh_field A mesh_links_up] 1
        cut A B
        heal

        # One that has ended is what A refuses, until it is replaced.
        certificates::make ca changing -subject third -days -1
        wait_until { [shown_by B] eq "third" } 20
        expect_match [node_log B] "*has ended on *: others will refuse it*"
        expect_true { [mesh_field B mesh_tls_certificate_seconds] < 0 }
        cut A B
        node A debug mesh heal ALL
        node B debug mesh heal ALL
        wait_until { [dict get [row_of {node A} [mesh_address B]] reason] eq "certificate" } 20
        expect [mesh_field A mesh_links_up] 0
        certificates::make ca changing -subject fourth
        linked 30
        expect [dict get [row_of {node A} [mesh_address B]] link] up
        expect [row_of {node A} 127.0.0.1] {}
        node B set k w
        converged
    }
}

test "an authority is replaced without a restart, by a file with both in between" {
    certificates::authority first-ca
    certificates::authority second-ca
    file copy -force [file_of first-ca.crt] [file_of trusted.crt]
    certificates::make first-ca moving-a
    certificates::make first-ca moving-b
    start_mesh 2 [list A [tls_options moving-a trusted] B [tls_options moving-b trusted]] {
        proc relinked {} {
            cut A B
            wait_until { [mesh_field A mesh_links_up] == 0 }
            heal
        }
        proc loaded {count} {
            foreach name {A B} {
                wait_until { [regexp -all {new connections use what is in them now} \
                    [node_log $name]] >= $count } 20
            }
        }
        write_file [file_of trusted.crt] \
            "[read_file [file_of first-ca.crt]][read_file [file_of second-ca.crt]]"
        loaded 1
        relinked
        certificates::make second-ca moving-a
        wait_until { [regexp -all {new connections use} [node_log A]] >= 2 } 20
        relinked
        certificates::make second-ca moving-b
        loaded 2
        relinked
        file copy -force [file_of second-ca.crt] [file_of trusted.crt]
        loaded 3
        relinked
        node A set k v
        converged
    }
}

test "what cannot be used stops a start, with the option named" {
    start_server [dict merge $mesh::options [list mesh-port [server::free_port]]] {
        stop_server
        set good [tls_options a]
        foreach {options words} [list \
            {mesh-tls yes} "tls-cert-file: TLS needs a certificate and its key" \
            [dict merge $good {tls-cert-file /nonexistent.crt}] \
                "tls-cert-file: /nonexistent.crt: No such file or directory" \
            [dict merge $good [list tls-key-file [file_of b.key]]] "tls-key-file: *b.key: it holds no key of the certificate*" \
            [dict merge $good {tls-ca-cert-file ""}] "tls-ca-cert-file: TLS needs an authority*" \
            [dict merge $good {tls-ca-cert-dir /nonexistent}] \
                "tls-ca-cert-dir: /nonexistent: No such file*" \
            [tls_options locked] "tls-key-file-pass: *locked.key: the key needs a pass phrase*" \
            [concat [tls_options locked] {tls-key-file-pass barley}] \
                "tls-key-file-pass: *locked.key: the pass phrase does not fit*" \
            [dict merge $good {tls-protocols TLSv1.1}] "tls-protocols: *TLSv1.2 and TLSv1.3*" \
            [dict merge $good {tls-ciphers nonsense}] "tls-ciphers: *cipher*" \
            [dict merge $good {tls-ciphersuites nonsense}] "tls-ciphersuites: *cipher*"] {
            lassign [start_again_fails $options] log status
            expect $status 1
            expect_match $log "*TLS cannot be set up: $words*"
        }
        # Without a use nothing is looked at, as in Redis.
        start_again [dict merge $good {mesh-tls no tls-cert-file /nonexistent.crt}]
        expect [r ping] PONG
        expect_error "ERR CONFIG SET failed (possibly related to argument 'tls-cert-file') -\
            /nonexistent.crt: No such file or directory" { r config set mesh-tls yes }
        expect [config_get mesh-tls] no
        expect [r config set mesh-tls yes tls-cert-file [file_of a.crt]] OK
        stop_server
        start_again [concat [tls_options locked] {tls-key-file-pass sesame}]
        expect [r ping] PONG
    }
}

test "CONFIG SET of files and rules: at once, or an error and nothing changed" {
    start_mesh 2 [list A [tls_options a] B [tls_options b]] {
        expect_error "ERR CONFIG SET failed (possibly related to argument 'tls-cert-file') -\
            /nonexistent: No such file or directory" { node A config set tls-cert-file /nonexistent }
        expect_error "ERR CONFIG SET failed (possibly related to argument 'tls-key-file') - *" {
            node A config set tls-cert-file [file_of c.crt]
        }
        expect_error "ERR CONFIG SET failed (possibly related to argument 'tls-protocols') - *" {
            node A config set tls-protocols SSLv3
        }
        expect [lindex [node A config get tls-cert-file] 1] [file_of a.crt]
        expect [lindex [node A config get tls-protocols] 1] {}
        expect [shown_by A] a
        expect [node A config set tls-cert-file [file_of c.crt] tls-key-file [file_of c.key]] OK
        expect [shown_by A] c
        expect [mesh_field A mesh_links_up] 1
        expect [node A config set tls-protocols TLSv1.2] OK
        expect_match [handshake $mesh::ports(A) -tls1_3 {*}[showing c]] "*Cipher is (NONE)*"
        expect_match [handshake $mesh::ports(A) {*}[showing c]] "*TLSv1.2, Cipher is ECDHE*"
        node B config set tls-protocols TLSv1.3
        cut A B
        node A debug mesh heal ALL
        node B debug mesh heal ALL
        wait_until { [dict get [row_of {node A} [mesh_address B]] reason] eq "tls" } 20
        node B config set tls-protocols "TLSv1.2 TLSv1.3"
        linked
        # Those that dial may show another certificate.
        expect [node A config set tls-client-cert-file [file_of stranger.crt] \
            tls-client-key-file [file_of stranger.key]] OK
        # Only a link that A dials tells: B tries in vain, then it is A's turn; else once more.
        proc dialled_by_A {} {
            if {[mesh_field A mesh_links_up] > 0} {
                cut A B
                node B debug mesh heal ALL
                after 100
                node A debug mesh heal ALL
            }
            return [string match "*(/CN=stranger)*" [node_log B]]
        }
        node A mesh meet 127.0.0.1 $mesh::ports(B)
        wait_until { [dialled_by_A] } 20
        node A config set tls-client-cert-file "" tls-client-key-file ""
        linked
        node A set k v
        converged
    }
}

test "mesh-tls is turned on and off on running nodes" {
    start_mesh 2 [list A [certificates::options a] B [certificates::options b]] {
        node A set k plain
        converged
        node A config set mesh-tls yes
        expect [mesh_field A mesh_links_up] 0
        wait_until { [dict get [row_of {node A} [mesh_address B]] reason] eq "tls" } 20
        wait_until { [dict get [row_of {node B} [mesh_address A]] reason] eq "tls" } 20
        node A set k apart
        node B config set mesh-tls yes
        linked
        converged
        everywhere apart get k
        expect_match [handshake $mesh::ports(B) {*}[showing c]] "*TLSv1.3, Cipher is TLS_*"
        node B config set mesh-tls no
        node A config set mesh-tls no
        linked
        node B set k plain
        converged
        expect_match [handshake $mesh::ports(B) {*}[showing c]] "*Cipher is (NONE)*"
    }
}

# An address of this machine that is not its loopback.
proc outer_address {} {
    foreach address [exec hostname -I] {
        if {[regexp {^\d+\.\d+\.\d+\.\d+$} $address]} {
            return $address
        }
    }
    return {}
}

test "protected mode lets nodes from elsewhere in by their certificates" {
    set ::outer [outer_address]
    if {$::outer eq ""} {
        skip "this machine has no address but its loopback"
    }
    start_mesh 1 [concat [certificates::options a] [list mesh-bind $::outer bind "127.0.0.1 $::outer"]] {
        set port [server::free_port]
        start_server [dict merge $mesh::options [certificates::options b] [list mesh-port $port \
            mesh-bind $::outer bind "127.0.0.1 $::outer" mesh-seeds $::outer:$mesh::ports(A)]] {
            wait_until { [string match "*was refused: protected-mode is on*" [node_log A]] }
            expect [mesh_field A mesh_links_up] 0
            r config set mesh-tls yes
            node A config set mesh-tls yes
            wait_until { [info_field mesh mesh_links_up] == 1 } 20
            r set k v
            wait_until { [node A get k] eq "v" }
        }
    }
}
