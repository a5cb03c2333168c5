# SPDX-License-Identifier: BSD-3-Clause
# Clients over TLS (tls-port), by the openssl command as their end: who is let in, large requests and
# replies, pipelines, ends, and what CONFIG SET changes.

if {![server_is_starling]} {
    return
}

certificates::authority ca
certificates::authority other-ca
certificates::make ca server
certificates::make ca client
certificates::make other-ca stranger

proc trusting {} {
    return [list -CAfile [certificates::file ca.crt] -verify_return_error]
}

proc showing {name} {
    return [list -cert [certificates::file $name.crt] -key [certificates::file $name.key]]
}

# What the server answers to these bytes, until it closes the connection, or an error of the
# handshake.
proc answer {bytes args} {
    catch {
        exec timeout 20 openssl s_client -quiet -connect 127.0.0.1:$::tls_port {*}[trusting] {*}$args \
            << $bytes 2>/dev/null
    } output
    return $output
}

# A connection as a channel.
proc open_tls {args} {
    set fd [open |[list timeout 60 openssl s_client -quiet -connect 127.0.0.1:$::tls_port {*}[trusting] \
        {*}$args 2>/dev/null] r+]
    fconfigure $fd -translation binary -buffering full
    return $fd
}

# What the openssl command tells about the connection.
proc shown {} {
    catch {
        exec openssl s_client -connect 127.0.0.1:$::tls_port {*}[trusting] {*}[showing client] \
            << "" 2>@1
    } output
    return $output
}

proc ask {fd bytes count} {
    puts -nonewline $fd $bytes
    flush $fd
    return [read $fd $count]
}

# The openssl command ends when the server closes the connection, which it does upon QUIT.
proc close_tls {fd} {
    catch { ask $fd "QUIT\r\n" 5 }
    catch { close $fd }
}

proc array_of {args} {
    set bytes "*[llength $args]\r\n"
    foreach word $args {
        append bytes "$[string length $word]\r\n$word\r\n"
    }
    return $bytes
}

set ::tls_port [server::free_port]
start_server [concat [list tls-port $::tls_port loglevel verbose] [certificates::options server]] {

    test "a client with a certificate of the authority is served" {
        expect_match [answer "PING\r\nSET k v\r\nQUIT\r\n" {*}[showing client]] "+PONG*+OK*+OK*"
        expect [r get k] v
        expect_match [r info server] "*listener1:name=tls,bind=127.0.0.1,port=$::tls_port*"
    }

    test "others are not, unless tls-auth-clients lets them" {
        set before [info_field stats rejected_connections]
        expect_true { ![string match "*PONG*" [answer "PING\r\nQUIT\r\n"]] }
        expect_true { ![string match "*PONG*" [answer "PING\r\nQUIT\r\n" {*}[showing stranger]]] }
        expect [expr {[info_field stats rejected_connections] - $before}] 2
        expect_match [server_log] "*Error accepting a client connection: it shows none (addr=127.0.0.1:*"
        expect_match [server_log] "*Error accepting a client connection: *(/CN=stranger) (addr=*"
        with_config {tls-auth-clients optional} {
            expect_match [answer "PING\r\nQUIT\r\n"] "+PONG*"
            expect_match [answer "PING\r\nQUIT\r\n" {*}[showing client]] "+PONG*"
            expect_true { ![string match "*PONG*" [answer "PING\r\nQUIT\r\n" {*}[showing stranger]]] }
        }
        with_config {tls-auth-clients no} {
            expect_match [answer "PING\r\nQUIT\r\n"] "+PONG*"
            expect_match [answer "PING\r\nQUIT\r\n" {*}[showing stranger]] "+PONG*"
        }
        expect_true { ![string match "*PONG*" [answer "PING\r\nQUIT\r\n"]] }
    }

    test "a client without TLS is closed" {
        set fd [socket 127.0.0.1 $::tls_port]
        fconfigure $fd -translation binary
        puts -nonewline $fd "PING\r\n"
        flush $fd
        expect [read $fd] {}
        close $fd
        expect_match [server_log] "*Error accepting a client connection: it speaks no TLS*"
    }

    test "values of megabytes both ways" {
        set big [string repeat [random_bytes 30000] 100]
        set fd [open_tls {*}[showing client]]
        expect [ask $fd [array_of SET big $big] 5] "+OK\r\n"
        expect [r get big] $big
        expect [ask $fd [array_of GET big] 3000012] "\$3000000\r\n$big\r\n"
        close_tls $fd
    }

    test "a pipeline of thousands" {
        set fd [open_tls {*}[showing client]]
        set bytes {}
        set replies {}
        # The replies fit into the pipe of the openssl command: they are read once all is sent.
        for {set i 1} {$i <= 8000} {incr i} {
            append bytes [array_of INCR n]
            append replies ":$i\r\n"
        }
        expect [ask $fd $bytes [string length $replies]] $replies
        expect [r get n] 8000
        close_tls $fd
    }

    test "many at once" {
        set channels [lmap i [lrepeat 30 x] { open_tls {*}[showing client] }]
        foreach fd $channels {
            puts -nonewline $fd "INCR shared\r\n"
            flush $fd
            expect [gets $fd] ":[incr ::shared]\r"
        }
        expect [info_field clients connected_clients] 31
        foreach fd $channels {
            close_tls $fd
        }
        wait_until { [info_field clients connected_clients] == 1 }
    }

    test "a refusal is readable" {
        with_config {maxclients 1} {
            expect_match [answer "PING\r\n" {*}[showing client]] "-ERR max number of clients reached*"
        }
    }

    test "CLIENT KILL ends it" {
        set fd [open_tls {*}[showing client]]
        expect [ask $fd "PING\r\n" 7] "+PONG\r\n"
        expect [r client kill laddr 127.0.0.1:$::tls_port] 1
        expect [read $fd] {}
        catch { close $fd }
    }

    test "CONFIG SET tls-port, and certificates that are replaced" {
        set old $::tls_port
        set ::tls_port [server::free_port]
        expect [r config set tls-port $::tls_port] OK
        expect_match [answer "PING\r\nQUIT\r\n" {*}[showing client]] "+PONG*"
        expect_true { [catch { socket 127.0.0.1 $old }] }
        set taken [socket -server {} -myaddr 127.0.0.1 0]
        expect_error "ERR CONFIG SET failed (possibly related to argument 'tls-port') - Unable to\
            listen on this port. Check server logs." {
            r config set tls-port [lindex [fconfigure $taken -sockname] 2]
        }
        close $taken
        expect_match [answer "PING\r\nQUIT\r\n" {*}[showing client]] "+PONG*"
        expect_error "ERR CONFIG SET failed (possibly related to argument 'tls-ca-cert-file') - *" {
            r config set tls-ca-cert-file /nonexistent
        }
        certificates::make ca server -subject replaced
        wait_until { [string match "*subject=*CN*replaced*" [shown]] } 20
        expect [r config set tls-port 0] OK
        expect_true { [catch { socket 127.0.0.1 $::tls_port }] }
        expect [r config set tls-port $::tls_port] OK
        expect_match [answer "PING\r\nQUIT\r\n" {*}[showing client]] "+PONG*"
    }
}

test "tls-port needs its files at the start" {
    set ::tls_port [server::free_port]
    start_server [concat [list tls-port $::tls_port] [certificates::options server]] {
        stop_server
        lassign [start_again_fails {tls-key-file ""}] log status
        expect $status 1
        expect_match $log "*TLS cannot be set up: tls-key-file: *"
        lassign [start_again_fails {tls-ca-cert-file ""}] log status
        expect_match $log "*TLS cannot be set up: tls-ca-cert-file: *"
        # Whose certificate is never checked needs no authority.
        start_again {tls-ca-cert-file "" tls-auth-clients no}
        expect_match [answer "PING\r\nQUIT\r\n"] "+PONG*"
    }
}
