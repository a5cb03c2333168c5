# SPDX-License-Identifier: BSD-3-Clause
# The commands about a connection: AUTH, HELLO, RESET, QUIT, SELECT, PING, ECHO and CLIENT.

# The fields of one line of CLIENT LIST as a dictionary.
proc client_fields {line} {
    set fields {}
    foreach word [split [string trim $line] " "] {
        regexp {^([^=]+)=(.*)$} $word all name value
        dict set fields $name $value
    }
    return $fields
}

# The fields of the client with that name in CLIENT LIST; empty when there is none.
proc client_named {name} {
    foreach line [split [string trim [r client list]] \n] {
        set fields [client_fields $line]
        if {[dict get $fields name] eq $name} {
            return $fields
        }
    }
    return {}
}

start_server {} {
    test "PING and ECHO" {
        expect [r -wire ping] "+PONG\r\n"
        expect [r -wire ping hello] "\$5\r\nhello\r\n"
        expect [r echo "a\0b\r\n"] "a\0b\r\n"
        expect_error "ERR wrong number of arguments for 'ping' command" { r ping a b }
        expect_error "ERR wrong number of arguments for 'echo' command" { r echo }
        expect_error "ERR wrong number of arguments for 'echo' command" { r echo a b }
    }
    test "commands are found in any case" {
        expect [r PiNg] PONG
        expect [r CLIENT getNAME] ""
        expect [r Set k v Ex 100] OK
    }
    test "SELECT" {
        foreach db {0 1 9 15} {
            expect [r select $db] OK
            r set here $db
        }
        r select 9
        expect [r get here] 9
        expect_error "ERR DB index is out of range" { r select 16 }
        expect_error "ERR DB index is out of range" { r select -1 }
        expect_error "ERR value is not an integer or out of range" { r select a }
        expect_error "ERR value is not an integer or out of range" { r select 9223372036854775808 }
        expect_error "ERR wrong number of arguments for 'select' command" { r select }
        expect [r get here] 9
        expect_match [r client info] "* db=9 *"
    }
    test "QUIT answers OK, runs what came before and nothing after" {
        set c [connect]
        $c -raw "SET a 1\r\nQUIT\r\nSET b 1\r\n"
        expect [$c -wire] "+OK\r\n"
        expect [$c -wire] "+OK\r\n"
        expect [$c -eof] 1
        expect [r exists a b] 1
    }
    test "RESET" {
        r select 5
        r client setname somebody
        r hello 3
        r multi
        expect [r -wire reset] "+RESET\r\n"
        expect_nil get none
        expect [r -wire get none] "\$-1\r\n"
        expect [r client getname] ""
        expect_match [r client info] "* db=0 *"
        expect_error "ERR EXEC without MULTI" { r exec }
        expect_error "ERR wrong number of arguments for 'reset' command" { r reset x }
    }
    test "RESET ends MONITOR and CLIENT REPLY OFF" {
        r -send monitor
        expect [r -receive] OK
        r -send reset
        set reply {}
        while {$reply ne "RESET"} {
            set reply [r -receive]
        }
        expect [r ping] PONG
        r -send client reply off
        r -send ping
        r -send reset
        r -send echo back
        wait_until {[string match "*back" [r -receive]]}
        expect [r ping] PONG
    }
}

# ---- HELLO ----

start_server {} {
    test "HELLO tells about the server" {
        set reply [r hello]
        expect [dict keys $reply] {server version proto id mode role modules}
        expect [dict get $reply server] redis
        expect [dict get $reply proto] 2
        expect [dict get $reply mode] standalone
        expect [dict get $reply role] master
        expect [dict get $reply id] [r client id]
        expect [dict get $reply modules] {}
        r hello
        expect [r -type] *
    }
    starling_test "HELLO says 7.2.4" {
        expect [dict get [r hello] version] 7.2.4
    }
    test "HELLO 3 and back" {
        r set k v
        set reply [r hello 3]
        expect [r -type] %
        expect [dict get $reply proto] 3
        expect [r -wire get none] "_\r\n"
        expect_match [r -wire config get maxmemory] "%1\r\n*"
        r hello
        expect [r -type] %
        expect [dict get [r hello 2] proto] 2
        expect [r -type] *
        expect [r -wire get none] "\$-1\r\n"
        expect_match [r -wire config get maxmemory] "*2\r\n*"
    }
    test "HELLO with options" {
        r hello 3 setname me
        expect [r client getname] me
        r hello 2 auth default whatever
        expect [r -type] *
        r hello 3 auth default any setname other
        expect [r client getname] other
    }
    test "HELLO errors" {
        foreach version {0 1 4 -1 99999} {
            expect_error "NOPROTO unsupported protocol version" { r hello $version }
        }
        expect_error "ERR Protocol version is not an integer or out of range" { r hello abc }
        expect_error "ERR Protocol version is not an integer or out of range" { r hello "" }
        expect_error "ERR Syntax error in HELLO option 'foo'" { r hello 3 foo }
        expect_error "ERR Syntax error in HELLO option 'auth'" { r hello 3 auth default }
        expect_error "ERR Syntax error in HELLO option 'setname'" { r hello 3 setname }
        expect_error "WRONGPASS *" { r hello 3 auth nobody x }
        expect_error "ERR Client names cannot *" { r hello 3 setname "a b" auth x }
        expect_error "ERR Client names cannot contain spaces, newlines or special characters." {
            r hello 3 setname "a b"
        }
        expect [r -wire get none] "\$-1\r\n"
    }
    test "RESP3 types of replies" {
        r hello 3
        r set k v
        expect [r -wire exists k] ":1\r\n"
        expect_match [r -wire info server] "=*\r\ntxt:# Server\r\n*"
        r command count
        expect [r -type] :
        r memory stats
        expect [r -type] %
        r config get *
        expect [r -type] %
        expect_match [r -wire time] "*2\r\n\$10\r\n*"
    }
}

# ---- AUTH ----

start_server {} {
    test "AUTH without a password set" {
        expect_error "ERR AUTH <password> called without any password configured for the default user.\
            Are you sure your configuration is correct?" { r auth whatever }
        expect [r auth default whatever] OK
        expect_error "WRONGPASS invalid username-password pair or user is disabled." {
            r auth nobody whatever
        }
        expect_error "ERR wrong number of arguments for 'auth' command" { r auth }
        expect_error "ERR syntax error" { r auth a b c }
    }
}

start_server {requirepass s3cret} {
    test "before AUTH nothing is served" {
        set c [connect]
        foreach command {{get k} {set k v} {ping} {info} {config get *} {client list} {multi}
            {discard} {select 1} {command} {shutdown} {keys *} {echo x}} {
            expect_error "NOAUTH Authentication required." { $c {*}$command }
        }
        expect_error "EXECABORT Transaction discarded because of: NOAUTH Authentication required." {
            $c exec
        }
        expect_error "NOAUTH HELLO must be called with the client already authenticated, *" {
            $c hello 3
        }
        expect_error "WRONGPASS invalid username-password pair or user is disabled." {
            $c auth wrong
        }
        expect_error "WRONGPASS *" { $c auth nobody s3cret }
        expect_error "WRONGPASS *" { $c auth default wrong }
        expect_error "WRONGPASS *" { $c auth s3cre }
        expect_error "WRONGPASS *" { $c auth s3crett }
        expect_error "NOAUTH*" { $c ping }
        expect [$c auth s3cret] OK
        expect [$c set k v] OK
        expect_error "WRONGPASS*" { $c auth wrong }
        expect [$c get k] v
        expect [$c reset] RESET
        expect_error "NOAUTH*" { $c get k }
        expect [$c auth default s3cret] OK
        expect [$c get k] v
    }
    test "HELLO AUTH" {
        set c [connect]
        expect_error "WRONGPASS*" { $c hello 3 auth default wrong }
        expect_error "NOAUTH*" { $c ping }
        expect [dict get [$c hello 3 auth default s3cret setname me] proto] 3
        expect [$c client getname] me
        expect [$c -wire get none] "_\r\n"
    }
    test "QUIT, RESET are served before AUTH" {
        set c [connect]
        expect [$c reset] RESET
        expect [$c quit] OK
        expect [$c -eof] 1
    }
    test "what an unauthenticated client may send is limited" {
        set c [connect]
        $c -raw "*11\r\n"
        expect_error "ERR Protocol error: unauthenticated multibulk length" { $c -receive }
        expect [$c -eof] 1
        set c [connect]
        $c -raw "*1\r\n\$16385\r\n"
        expect_error "ERR Protocol error: unauthenticated bulk length" { $c -receive }
        expect [$c -eof] 1
    }
    test "a password that changes at run time" {
        r auth s3cret
        r config set requirepass other
        expect [r ping] PONG
        set c [connect]
        expect_error "WRONGPASS*" { $c auth s3cret }
        expect [$c auth other] OK
        r config set requirepass ""
        expect [[connect] ping] PONG
        r config set requirepass s3cret
        expect_error "NOAUTH*" { [connect] ping }
        expect [r config get requirepass] {requirepass s3cret}
    }
}

# ---- CLIENT ----

start_server {} {
    test "CLIENT ID" {
        set c [connect]
        set first [r client id]
        expect_true {[$c client id] > $first}
        expect [r client id] $first
    }
    test "CLIENT SETNAME and GETNAME" {
        expect_nil client getname
        expect [r client setname me] OK
        expect [r client getname] me
        expect_match [r client info] "* name=me *"
        foreach name {"a b" "a\n" "a\tb" "\x7f" "\xff"} {
            expect_error "ERR Client names cannot contain spaces, newlines or special characters." {
                r client setname $name
            }
        }
        expect [r client getname] me
        expect [r client setname ""] OK
        expect_nil client getname
        expect_error "ERR wrong number of arguments for 'client|setname' command" {
            r client setname
        }
        expect_error "ERR wrong number of arguments for 'client|getname' command" {
            r client getname x
        }
    }
    starling_test "CLIENT SETINFO" {
        expect [r client setinfo lib-name redis-py] OK
        expect [r client setinfo LIB-VER 5.0.1] OK
        expect_match [r client info] "* lib-name=redis-py lib-ver=5.0.1*"
        expect_error "ERR lib-name cannot contain spaces, newlines or special characters." {
            r client setinfo lib-name "a b"
        }
        expect_error "ERR lib-ver cannot contain spaces, newlines or special characters." {
            r client setinfo lib-ver "1\n"
        }
        expect_error "ERR Unrecognized option 'foo'" { r client setinfo foo bar }
        expect [r client setinfo lib-name ""] OK
        expect_match [r client info] "* lib-name= lib-ver=5.0.1*"
        expect_error "ERR wrong number of arguments for 'client|setinfo' command" {
            r client setinfo lib-name
        }
    }
    test "CLIENT INFO and LIST have Redis's fields in Redis's order" {
        r client setname me
        set fields [client_fields [r client info]]
        expect [lrange [dict keys $fields] 0 13] {id addr laddr fd name age idle flags db sub psub\
            ssub multi qbuf}
        foreach name {qbuf-free argv-mem multi-mem rbs rbp obl oll omem tot-mem events cmd user\
            redir resp} {
            expect_true {[dict exists $fields $name]} $name
        }
        expect [dict get $fields addr] [r -address]
        expect [dict get $fields laddr] 127.0.0.1:[server port]
        expect [dict get $fields name] me
        expect [dict get $fields flags] N
        expect [dict get $fields db] 0
        expect [dict get $fields multi] -1
        expect [dict get $fields cmd] client|info
        expect [dict get $fields user] default
        expect [dict get $fields resp] 2
        expect_true {[dict get $fields tot-mem] > 0}
    }
    test "CLIENT LIST shows databases, transactions, protocols and the last command" {
        set c [connect -protocol 3]
        $c client setname other
        $c select 7
        $c watch a b
        $c multi
        $c set k v
        $c get k
        set fields [client_named other]
        expect [dict get $fields db] 7
        expect [dict get $fields multi] 2
        expect [dict get $fields flags] x
        expect [dict get $fields resp] 3
        expect [dict get $fields cmd] get
        $c discard
        expect [dict get [client_named other] flags] N
        expect [dict get [client_named other] multi] -1
    }
    test "CLIENT LIST TYPE and ID" {
        set c [connect]
        set id [$c client id]
        expect [llength [split [string trim [r client list]] \n]] 2
        expect [llength [split [string trim [r client list type normal]] \n]] 2
        foreach type {master replica slave pubsub} {
            expect [string trim [r client list type $type]] ""
        }
        expect_error "ERR Unknown client type 'foo'" { r client list type foo }
        expect [dict get [client_fields [r client list id $id]] addr] [$c -address]
        expect [llength [split [string trim [r client list id $id [r client id] 999999]] \n]] 2
        expect [string trim [r client list id 999999]] ""
        expect_error "ERR Invalid client ID" { r client list id abc }
        expect_error "ERR syntax error" { r client list foo }
        expect_error "ERR syntax error" { r client list type }
        $c -close
        wait_until {[llength [split [string trim [r client list]] \n]] == 1}
    }
    test "CLIENT LIST names the last command, also one that was refused" {
        set c [connect]
        set id [$c client id]
        foreach {command name} {
            {get k} get  {setrange k 1} setrange  {client caching} client|caching  {nosuchcommand} NULL
            {client nosuchcommand} NULL  {subscribe channel} subscribe  {get k} get
        } {
            catch { $c {*}$command }
            expect [dict get [client_fields [r client list id $id]] cmd] $name
        }
        $c -close
    }
    test "CLIENT LIST counts what a transaction will execute" {
        set c [connect]
        set id [$c client id]
        $c watch k
        $c multi
        $c get k
        expect [dict get [client_fields [r client list id $id]] multi] 1
        r set k 1
        $c get k
        expect [dict get [client_fields [r client list id $id]] multi] 1
        expect [$c exec] {}
        $c multi
        catch { $c nosuchcommand }
        $c get k
        expect [dict get [client_fields [r client list id $id]] multi] 0
        $c -close
    }
    test "CLIENT LIST: age and idle count seconds" {
        set c [connect]
        $c client setname other
        after 1200
        set fields [client_named other]
        expect_range [dict get $fields age] 1 3
        expect_range [dict get $fields idle] 1 3
        $c ping
        expect_range [dict get [client_named other] idle] 0 1
    }
    test "CLIENT KILL by address, the old form" {
        set c [connect]
        expect [r client kill [$c -address]] OK
        expect [$c -eof] 1
        expect_error "ERR No such client" { r client kill 1.2.3.4:5 }
        expect_error "ERR wrong number of arguments for 'client|kill' command" { r client kill }
    }
    test "CLIENT KILL with filters" {
        foreach filter {{id [$c client id]} {addr [$c -address]}} {
            set c [connect]
            expect [r client kill {*}[subst $filter]] 1
            expect [$c -eof] 1
        }
        expect [r client kill id 999999] 0
        expect [r client kill addr 1.2.3.4:5] 0
        set c [connect]
        expect [r client kill laddr 127.0.0.1:[server port]] 1
        expect [$c -eof] 1
        set c [connect]
        set d [connect]
        expect [r client kill type normal] 2
        expect [$c -eof] 1
        expect [$d -eof] 1
        set c [connect]
        expect [r client kill user default] 1
        expect [$c -eof] 1
        set c [connect]
        expect [r client kill id [$c client id] addr 1.2.3.4:5] 0
        expect [r client kill id [$c client id] addr [$c -address] user default type normal] 1
        expect [$c -eof] 1
        expect [r ping] PONG
    }
    test "CLIENT KILL errors" {
        expect_error "ERR syntax error" { r client kill id 1 addr }
        expect_error "ERR client-id should be greater than 0" { r client kill id 0 }
        expect_error "ERR client-id should be greater than 0" { r client kill id abc }
        expect_error "ERR Unknown client type 'foo'" { r client kill type foo }
        expect_error "ERR No such user 'nobody'" { r client kill user nobody }
        expect_error "ERR syntax error" { r client kill skipme maybe }
        expect_error "ERR syntax error" { r client kill foo bar }
    }
    test "CLIENT KILL SKIPME no takes the caller after its reply" {
        set c [connect]
        expect [$c client kill id [$c client id] skipme yes] 0
        expect [$c client kill id [$c client id] skipme no] 1
        expect [$c -eof] 1
    }
    starling_test "CLIENT KILL MAXAGE, as since 7.4, takes connections that are old enough" {
        expect_error "ERR maxage is not an integer or out of range" { r client kill maxage abc }
        expect_error "ERR maxage is not an integer or out of range" {
            r client kill maxage 9223372036854775808
        }
        foreach age {0 -1} {
            expect_error "ERR maxage should be greater than 0" { r client kill maxage $age }
        }
        expect_error "ERR syntax error" { r client kill id 1 maxage }
        set old [connect]
        set other [connect]
        after 1100
        set new [connect]
        expect [r client kill maxage 1000] 0
        expect [r client kill maxage 1 addr [$other -address]] 1
        expect [r client kill maxage 1] 1
        expect [$old -eof] 1
        expect [$new ping] PONG
        expect [r ping] PONG
    }
    test "CLIENT REPLY OFF, ON and SKIP" {
        r -send client reply off
        r -send set k 1
        r -send nosuchcommand
        expect [r client reply on] OK
        expect [r get k] 1
        r -send client reply skip
        r -send incr k
        expect [r incr k] 3
        r -send client reply off
        r -send client reply skip
        r -send incr k
        expect [r client reply on] OK
        expect [r get k] 4
        expect_error "ERR syntax error" { r client reply foo }
        expect_error "ERR wrong number of arguments for 'client|reply' command" { r client reply }
    }
    test "CLIENT NO-EVICT" {
        expect [r client no-evict on] OK
        expect_match [r client info] "* flags=e *"
        expect [r client no-evict off] OK
        expect_match [r client info] "* flags=N *"
        expect_error "ERR syntax error" { r client no-evict foo }
    }
    starling_test "CLIENT NO-TOUCH leaves the access time alone" {
        r set k v
        after 1100
        expect [r client no-touch on] OK
        expect_match [r client info] "* flags=T *"
        r get k
        expect_true {[r object idletime k] >= 1}
        expect [r client no-touch off] OK
        r get k
        expect [r object idletime k] 0
        expect_error "ERR syntax error" { r client no-touch foo }
    }
    test "CLIENT PAUSE and UNPAUSE" {
        r set k 1
        expect [r client pause 100000 write] OK
        set c [connect]
        expect [$c get k] 1
        $c -send incr k
        set d [connect]
        $d multi
        $d get k
        $d -send incr k
        after 100
        expect [r get k] 1
        expect [r client unpause] OK
        expect [$c -receive] 2
        expect [$d -receive] QUEUED
        expect [$d exec] {2 3}
        expect [r client pause 150] OK
        set start_ms [clock milliseconds]
        expect [$c ping] PONG
        expect_true {[clock milliseconds] - $start_ms >= 100}
    }
    test "CLIENT PAUSE errors" {
        expect_error "ERR timeout is not an integer or out of range" { r client pause abc }
        expect_error "ERR timeout is negative" { r client pause -1 }
        expect_error "ERR *CLIENT PAUSE mode must be WRITE or ALL*" { r client pause 1 foo }
        expect_error "ERR wrong number of arguments for 'client|pause' command" { r client pause }
        expect_error "ERR wrong number of arguments for 'client|unpause' command" {
            r client unpause x
        }
    }
    test "CLIENT PAUSE keeps expired keys, but hides them" {
        r set k v px 20
        r client pause 100000 write
        after 40
        expect_nil get k
        expect [r exists k] 0
        r client unpause
        wait_until {[r dbsize] == 0}
    }
    test "CLIENT UNBLOCK: nobody is blocked" {
        set c [connect]
        expect [r client unblock [$c client id]] 0
        expect [r client unblock 999999 timeout] 0
        expect [r client unblock 999999 error] 0
        expect_error "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR" {
            r client unblock 999999 foo
        }
        expect_error "ERR value is not an integer or out of range" { r client unblock abc }
    }
    test "CLIENT TRACKINGINFO, GETREDIR: tracking is off" {
        expect [r client getredir] -1
        expect [dict get [r client trackinginfo] flags] off
        expect [dict get [r client trackinginfo] redirect] -1
    }
    test "CLIENT CACHING, and CLIENT TRACKING off" {
        expect_error "ERR CLIENT CACHING can be called only when the client is in tracking mode*" {
            r client caching yes
        }
        expect [r client tracking off] OK
        expect_error "ERR syntax error" { r client tracking maybe }
    }
    test "CLIENT HELP and unknown sub-commands" {
        expect_match [join [r client help] \n] "CLIENT <subcommand> *KILL*SETNAME*"
        expect_error "ERR unknown subcommand 'foo'. Try CLIENT HELP." { r client foo }
        expect_error "ERR wrong number of arguments for 'client' command" { r client }
    }
}

# ---- Unknown commands ----

start_server {} {
    test "unknown commands" {
        expect_error "ERR unknown command 'foo', with args beginning with: " { r foo }
        expect_error "ERR unknown command 'foo', with args beginning with: 'a' 'b c' " {
            r foo a "b c"
        }
        expect_error "ERR unknown command '*', with args beginning with: '*" {
            r [string repeat f 1000] [string repeat a 1000] b
        }
        expect_error "ERR unknown command 'a  b', with args beginning with: 'c  d' " {
            r "a\r\nb" "c\r\nd"
        }
        expect [r ping] PONG
    }
}
