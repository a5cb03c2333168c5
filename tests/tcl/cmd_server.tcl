# SPDX-License-Identifier: BSD-3-Clause
# The server's own commands: INFO, CONFIG, COMMAND, MEMORY, SLOWLOG, LATENCY, MODULE, MONITOR, TIME,
# DEBUG, WAIT, LOLWUT, SHUTDOWN and the commands that later issues will fill. Saving is in persistence.tcl.

# The fields of CLIENT LIST for a client that cannot be asked itself.
proc client_of {c} {
    foreach line [split [string trim [r client list]] \n] {
        set fields {}
        foreach word [split $line " "] {
            regexp {^([^=]+)=(.*)$} $word all name value
            dict set fields $name $value
        }
        if {[dict get $fields addr] eq [$c -address]} {
            return $fields
        }
    }
    fail "no such client"
}

# ---- INFO ----

start_server {} {
    test "INFO has Redis's sections" {
        set text [r info]
        foreach section {Server Clients Memory Persistence Stats Replication CPU Errorstats Cluster
            Keyspace} {
            expect_match $text "*# $section\r\n*"
        }
        expect_true {![string match "*# Commandstats*" $text]}
        foreach section {server clients memory persistence stats replication cpu cluster keyspace} {
            set part [r info $section]
            expect_match [string tolower $part] "# $section\r\n*"
            expect [regexp -all {# } $part] 1
            expect_match [string tolower [r info [string toupper $section]]] "# $section\r\n*"
        }
        expect [r info nosuchsection] ""
        expect_match [r info all] "*# Commandstats\r\n*"
        expect_match [r info everything] "*# Commandstats\r\n*"
        expect [regexp -all -line {^# } [r info default]] [regexp -all -line {^# } $text]
        expect [regexp -all -line {^# } [r info server clients server]] 2
        expect_match [r info commandstats clients] "# Clients*# Commandstats*"
    }
    test "INFO has the fields that tools read" {
        foreach {section fields} {
            server {redis_version redis_mode os arch_bits multiplexing_api process_id run_id tcp_port
                uptime_in_seconds uptime_in_days hz configured_hz lru_clock executable config_file
                server_time_usec}
            clients {connected_clients maxclients blocked_clients cluster_connections
                client_recent_max_input_buffer client_recent_max_output_buffer tracking_clients
                clients_in_timeout_table}
            memory {used_memory used_memory_human used_memory_rss used_memory_peak
                used_memory_peak_human used_memory_peak_perc used_memory_overhead
                used_memory_startup used_memory_dataset allocator_allocated total_system_memory
                maxmemory maxmemory_human maxmemory_policy mem_fragmentation_ratio mem_allocator
                lazyfree_pending_objects lazyfreed_objects mem_clients_normal}
            persistence {loading rdb_changes_since_last_save rdb_bgsave_in_progress
                rdb_last_save_time rdb_last_bgsave_status rdb_last_bgsave_time_sec aof_enabled
                aof_rewrite_in_progress aof_rewrite_scheduled aof_last_bgrewrite_status
                aof_last_write_status async_loading}
            stats {total_connections_received total_commands_processed instantaneous_ops_per_sec
                total_net_input_bytes total_net_output_bytes rejected_connections expired_keys
                expired_stale_perc evicted_keys keyspace_hits keyspace_misses pubsub_channels
                total_error_replies total_reads_processed total_writes_processed latest_fork_usec}
            replication {role connected_slaves master_replid master_repl_offset}
            cpu {used_cpu_sys used_cpu_user}
            cluster {cluster_enabled}
        } {
            set text [r info $section]
            foreach field $fields {
                expect_true {[regexp -line "^$field:" $text]} "$section $field"
            }
        }
        expect [info_field server tcp_port] [server port]
        expect [info_field server process_id] [server pid]
        expect [info_field replication role] master
        expect [info_field server redis_mode] standalone
        expect [info_field cluster cluster_enabled] 0
        expect [string length [info_field server run_id]] 40
    }
    starling_test "INFO counts the turns of the event loop" {
        r config resetstat
        for {set i 0} {$i < 50} {incr i} {
            r ping
        }
        expect_range [info_field stats eventloop_cycles] 50 1000
    }
    starling_test "INFO tells how long the turns of the event loop take, and of what" {
        r config resetstat
        r debug sleep 0.02
        r multi
        r debug sleep 0.02
        r exec
        foreach field {eventloop_duration_sum eventloop_duration_cmd_sum} {
            expect_range [info_field stats $field] 40000 2000000
        }
        expect_range [info_field debug eventloop_duration_max] 20000 2000000
        r -send ping
        r -send ping
        expect [list [r -receive] [r -receive]] {PONG PONG}
        expect_range [info_field debug eventloop_cmd_per_cycle_max] 1 4
        expect [info_field debug eventloop_duration_aof_sum] 0
        wait_until { [info_field debug eventloop_duration_cron_sum] > 0 }
        wait_until { [info_field stats instantaneous_eventloop_cycles_per_sec] > 0 }
        wait_until { [info_field stats instantaneous_eventloop_duration_usec] > 0 }
        foreach section {all everything default {}} {
            expect_true { ![string match *eventloop_duration_max* [r info {*}$section]] }
        }
    }
    starling_test "INFO says which Redis this is like, and which Starling it is" {
        expect [info_field server redis_version] 7.2.4
        expect_match [info_field server starling_version] *.*.*
    }
    test "INFO keyspace" {
        expect [r info keyspace] "# Keyspace\r\n"
        r set a 1
        r set b 2 ex 100
        r select 3
        r set c 3
        expect_match [info_field keyspace db0] "keys=2,expires=1,avg_ttl=*"
        expect_match [info_field keyspace db3] "keys=1,expires=0,avg_ttl=0*"
        expect [info_field keyspace db1] {}
    }
    test "INFO commandstats, errorstats and their reset" {
        r config resetstat
        r set k v
        r set k v
        catch { r set k }
        catch { r incr k }
        catch { r nosuchcommand }
        r client getname
        expect_match [info_field commandstats cmdstat_set] \
            "calls=2,usec=*,usec_per_call=*,rejected_calls=1,failed_calls=0"
        expect_match [info_field commandstats cmdstat_incr] \
            "calls=1,usec=*,usec_per_call=*,rejected_calls=0,failed_calls=1"
        expect_match [info_field commandstats {cmdstat_client\|getname}] "calls=1,*"
        expect [info_field errorstats errorstat_ERR] count=3
        expect [info_field stats total_error_replies] 3
        r config resetstat
        expect [info_field commandstats cmdstat_set] {}
        expect [info_field errorstats errorstat_ERR] {}
        expect [info_field stats total_error_replies] 0
    }
    test "INFO stats count" {
        r config resetstat
        r set k v
        r get k
        r get none
        r mget k none none
        expect [info_field stats keyspace_hits] 2
        expect [info_field stats keyspace_misses] 3
        set before [info_field stats total_commands_processed]
        r ping
        r ping
        expect_range [expr {[info_field stats total_commands_processed] - $before}] 3 5
        set before [info_field stats total_connections_received]
        connect
        connect
        expect [expr {[info_field stats total_connections_received] - $before}] 2
        expect [info_field clients connected_clients] 3
        set before [info_field stats total_net_input_bytes]
        r set k [string repeat x 100000]
        expect_range [expr {[info_field stats total_net_input_bytes] - $before}] 100000 101000
        set before [info_field stats total_net_output_bytes]
        r get k
        expect_true {[info_field stats total_net_output_bytes] - $before >= 100000}
    }
    test "INFO memory follows the data" {
        set before [info_field memory used_memory]
        populate 2000 k: 1000
        expect_range [expr {[info_field memory used_memory] - $before}] 1800000 4000000
        r flushall
        wait_until {[info_field memory used_memory] < $before + 600000}
        expect_true {[info_field memory used_memory_peak] >= $before + 1800000}
        expect_true {[info_field memory used_memory_rss] > 500000}
    }
    test "A request of many arguments leaves no memory in use" {
        set before [info_field memory used_memory]
        expect [r exists {*}[lrepeat 100000 k]] 0
        wait_until {[info_field memory used_memory] < $before + 200000}
    }
    test "INFO latencystats" {
        r config resetstat
        r set k v
        expect_match [info_field latencystats latency_percentiles_usec_set] "p50=*,p99=*,p99.9=*"
        r config set latency-tracking no
        r config resetstat
        r set k v
        expect [info_field latencystats latency_percentiles_usec_set] {}
        r config set latency-tracking yes
    }
    test "DBSIZE, LASTSAVE and TIME" {
        expect [r dbsize] 0
        r set k v
        expect [r dbsize] 1
        set now [clock seconds]
        expect_range [r lastsave] [expr {$now - 1000}] $now
        lassign [r time] seconds micros
        expect_range $seconds $now [expr {$now + 2}]
        expect_range $micros 0 999999
        expect [llength [r time]] 2
        expect_error "ERR wrong number of arguments for 'time' command" { r time x }
        expect_error "ERR wrong number of arguments for 'dbsize' command" { r dbsize x }
        expect_error "ERR wrong number of arguments for 'lastsave' command" { r lastsave x }
    }
}

# ---- CONFIG ----

start_server {} {
    test "CONFIG GET: names, patterns, several at once" {
        expect [r config get port] [list port [server port]]
        expect [r config get nosuchoption] {}
        set all [r config get *]
        expect_true {[llength $all] > 200}
        expect [dict get $all maxmemory-policy] noeviction
        expect_set [dict keys [r config get maxmemory*]] [lsearch -all -inline [dict keys $all] maxmemory*]
        expect_set [dict keys [r config get maxclients port nothing m?xclients]] {maxclients port}
        expect [r config get PORT] [list PORT [server port]]
        expect_error "ERR wrong number of arguments for 'config|get' command" { r config get }
    }
    test "CONFIG SET and GET of each kind" {
        foreach {name value shown} {
            maxmemory 100mb 104857600   maxmemory 1gb 1073741824   maxmemory 1k 1000
            maxmemory 1kb 1024   maxmemory 2G 2000000000   maxmemory 0 0
            appendfsync ALWAYS always   appendfsync everysec everysec
            lazyfree-lazy-expire YES yes   lazyfree-lazy-expire no no
            timeout 100 100   timeout 0 0
            maxmemory-policy allkeys-lru allkeys-lru   maxmemory-policy noeviction noeviction
            save "100 10 60 1000" "100 10 60 1000"   save "" ""
            notify-keyspace-events KEA AKE   notify-keyspace-events "" ""
            client-output-buffer-limit "normal 1mb 2mb 60"
                "normal 1048576 2097152 60 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
            client-output-buffer-limit "normal 0 0 0"
                "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
            slowlog-log-slower-than -1 -1   slowlog-log-slower-than 10000 10000
            latency-tracking-info-percentiles "50 90" "50 90"
            latency-tracking-info-percentiles "50 99 99.9" "50 99 99.9"
            loglevel warning warning   loglevel notice notice
        } {
            expect [r config set $name $value] OK
            expect [list $name [config_get $name]] [list $name $shown]
        }
    }
    test "CONFIG SET of several options is all or none" {
        expect [r config set maxmemory 100mb timeout 30] OK
        expect [list [config_get maxmemory] [config_get timeout]] {104857600 30}
        foreach {second value error} {
            timeout -1 "ERR CONFIG SET failed (possibly related to argument 'timeout') - *"
            nosuchoption 1 "ERR Unknown option or number of arguments for CONFIG SET - 'nosuchoption'"
            maxmemory 7 "ERR CONFIG SET failed (possibly related to argument 'maxmemory') -\
                duplicate parameter"
            port abc "ERR CONFIG SET failed (possibly related to argument 'port') - *"
        } {
            expect_error $error { r config set maxmemory 5mb $second $value }
            expect [list [config_get maxmemory] [config_get timeout]] {104857600 30}
        }
        r config set maxmemory 0 timeout 0
    }
    test "CONFIG SET refuses values out of bounds, with Redis's words" {
        foreach {name value words} {
            maxmemory abc "argument must be a memory value"
            maxmemory 1xb "argument must be a memory value"
            timeout abc "argument couldn't be parsed into an integer"
            timeout -5 "argument must be between 0 and 2147483647 inclusive"
            maxmemory-samples 0 "argument must be between 1 and * inclusive"
            hz x "argument couldn't be parsed into an integer"
            appendonly maybe "argument must be 'yes' or 'no'"
            maxmemory-policy lru "argument(s) must be one of the following: *allkeys-lru*"
            appendfsync sometimes "argument(s) must be one of the following: *everysec*"
            save "1" "Invalid save parameters"
            save "a b" "Invalid save parameters"
            client-output-buffer-limit "foo 1 2 3" "*"
            client-output-buffer-limit "normal 1 2" "*"
            notify-keyspace-events zq "Invalid event class character. Use *"
        } {
            expect_error "ERR CONFIG SET failed (possibly related to argument '$name') - $words" {
                r config set $name $value
            }
        }
        expect_error "ERR CONFIG SET failed (possibly related to argument 'databases') - can't set\
            immutable config" { r config set databases 20 }
        expect_error "ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'" {
            r config set nosuch 1
        }
        expect_error "ERR wrong number of arguments for 'config|set' command" { r config set timeout }
        expect_error "ERR*" { r config set timeout 1 maxmemory }
    }
    test "CONFIG SET of what GET shows changes nothing" {
        foreach {name value} [r config get *] {
            if {[catch { r config set $name $value } error]} {
                # Immutable, protected, or refused because another option belongs to it.
                expect_true {[regexp {immutable|protected|bind|port|TLS|directory|oom} $error]} \
                    "$name $value: $error"
            } else {
                expect [list $name [config_get $name]] [list $name $value]
            }
        }
    }
    test "CONFIG SET port moves the server; bind listens elsewhere" {
        set old [server port]
        set new [server::free_port]
        r config set port $new
        set c [connect -port $new]
        expect [$c ping] PONG
        expect [r ping] PONG
        expect_true {[catch { connect -port $old }]}
        $c config set port $old
        expect [[connect -port $old] ping] PONG
        $c config set bind "127.0.0.1 127.0.0.2"
        expect [[connect -host 127.0.0.2] ping] PONG
        expect_error "ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to\
            specified addresses." { $c config set bind 999.1.1.1 }
        expect [[connect -host 127.0.0.2] ping] PONG
        $c config set bind 127.0.0.1
        expect_true {[catch { connect -host 127.0.0.2 }]}
    }
    test "CONFIG SET of protected options" {
        foreach {name value} {dir /tmp dbfilename other.rdb} {
            expect_error "ERR CONFIG SET failed (possibly related to argument '$name') - can't set\
                protected config" { r config set $name $value }
        }
    }
    test "CONFIG HELP and unknown sub-commands" {
        expect_match [join [r config help] \n] "CONFIG <subcommand> *GET*REWRITE*"
        expect_error "ERR unknown subcommand 'foo'. Try CONFIG HELP." { r config foo }
        expect_error "ERR wrong number of arguments for 'config' command" { r config }
        expect_error "ERR The server is running without a config file" { r config rewrite }
        expect_error "ERR wrong number of arguments for 'config|rewrite' command" {
            r config rewrite x
        }
        expect_error "ERR wrong number of arguments for 'config|resetstat' command" {
            r config resetstat x
        }
    }
}

start_server {config_file "# a comment\nmaxmemory 100mb\n\ntimeout 17\nsave 900 1\n" save unset} {
    test "CONFIG REWRITE keeps comments and order, and what was set survives a restart" {
        expect [config_get maxmemory] 104857600
        expect [config_get timeout] 17
        expect [config_get save] "900 1"
        r config set maxmemory 200mb maxmemory-policy allkeys-lfu slowlog-max-len 77
        r config set save "100 5 10 500" requirepass "with \"quotes\" and \\"
        expect [r config rewrite] OK
        set text [read_file [server dir]/server.conf]
        expect_match $text "# a comment\nmaxmemory 200mb\n\ntimeout 17\nsave 100 5*"
        expect_match $text "*\nmaxmemory-policy allkeys-lfu\n*"
        r config rewrite
        expect [string trim [read_file [server dir]/server.conf]] [string trim $text]
        stop_server
        start_again
        r auth "with \"quotes\" and \\"
        expect [config_get maxmemory] 209715200
        expect [config_get maxmemory-policy] allkeys-lfu
        expect [config_get slowlog-max-len] 77
        expect [config_get save] "100 5 10 500"
        expect [config_get timeout] 17
        r config set requirepass "" save ""
        r config rewrite
        restart_server
        expect [r ping] PONG
        expect [config_get save] ""
    }
}

test "a log file that can't be written stops the start" {
    start_server {} {
        stop_server
        lassign [start_again_fails [list logfile /nonexistent/dir/log]] log status
        expect $status 1
        expect_match $log "*Can't open the log file '/nonexistent/dir/log': No such file or directory*"
    }
}

test "configuration files: errors name the file's line" {
    start_server {config_file "timeout 10\n"} {
        set path [server dir]/server.conf
        stop_server
        foreach {text words} {
            "timeout 10\nnosuchoption 1\n" "*2*nosuchoption*"
            "timeout abc\n" "*1*timeout abc*"
            "timeout 1 2 3\n" "*1*timeout 1 2 3*"
            "save \"900 1\n" "*1*save*"
            "maxmemory-policy lru\n" "*1*maxmemory-policy lru*"
            "include /nonexistent/file.conf\n" "*/nonexistent/file.conf*"
        } {
            write_file $path $text
            lassign [start_again_fails] log status
            expect $status 1
            expect_match $log $words
        }
        write_file $path "timeout 33\ninclude [server dir]/more.conf\n"
        write_file [server dir]/more.conf "  maxmemory   5mb\r\n\n# x\nrequirepass \"\\x61b\"\n"
        start_again
        expect [r auth ab] OK
        expect [config_get timeout] 33
        expect [config_get maxmemory] 5242880
    }
}

test "options on the command line win, and come in Redis's forms" {
    start_server {config_file "timeout 10\nmaxmemory 1mb\n" timeout 20
        arguments {--maxmemory-policy allkeys-lru --save 3600 1 60 5 --loglevel warning}} {
        expect [config_get timeout] 20
        expect [config_get maxmemory] 1048576
        expect [config_get maxmemory-policy] allkeys-lru
        expect [config_get save] "3600 1 60 5"
        r config set save ""
    }
}

# ---- MODULE ----

start_server {} {
    test "MODULE LIST has nothing" {
        foreach protocol {2 3} {
            expect [[connect -protocol $protocol] -wire module list] "*0\r\n"
        }
        expect [dict get [r hello] modules] {}
    }
    starling_test "MODULE LOAD, LOADEX and UNLOAD: modules are not supported" {
        foreach request {{module load /tmp/x.so} {module load /tmp/x.so a b} {module unload x}
            {module loadex /tmp/x.so} {module loadex /tmp/x.so config a b args c}} {
            expect_error "ERR Modules are not supported" { r {*}$request }
        }
    }
    test "MODULE HELP, and what is no subcommand" {
        set help [r module help]
        expect [lindex $help 0] {MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:}
        foreach line {LIST {LOAD <path> [<arg> ...]} {UNLOAD <name>} HELP} {
            expect_true {$line in $help} $line
        }
        expect_error "ERR unknown subcommand 'nosuch'. Try MODULE HELP." { r module nosuch }
        expect_error "ERR wrong number of arguments for 'module' command" { r module }
    }
    test "MODULE in COMMAND INFO" {
        set info [lindex [r command info module] 0]
        expect [lrange $info 0 2] {module -2 {}}
        expect_set [lmap child [lindex $info 9] { lindex $child 0 }] {module|help module|list
            module|load module|loadex module|unload}
        foreach {name arity flags} {load -3 {admin noscript no_async_loading} loadex -3 {admin noscript
            no_async_loading} unload 3 {admin noscript no_async_loading} list 2 {admin noscript} help 2
            {loading stale}} {
            set child [lindex [r command info module|$name] 0]
            expect [list [lindex $child 1] [lsort [lindex $child 2]]] [list $arity [lsort $flags]]
        }
    }
}

# ---- CLUSTER ----

start_server {} {
    set refusal "ERR This instance has cluster support disabled"
    test "CLUSTER, READONLY, READWRITE and ASKING: this server is no part of a cluster" {
        foreach request {{cluster info} {cluster nodes} {cluster slots} {cluster shards} {cluster myid}
            {cluster keyslot a} {cluster countkeysinslot 1} {cluster getkeysinslot 1 10}
            {cluster help} {CLUSTER Reset hard} {cluster links} {cluster replicas x}
            {cluster slaves x} {cluster meet 127.0.0.1 1} {cluster meet a b c d}
            {cluster failover} {cluster forget x} {cluster replicate x} {cluster saveconfig}
            {cluster addslots 1 2} {cluster addslotsrange 1 2} {cluster delslots 1}
            {cluster delslotsrange 1 2} {cluster flushslots} {cluster bumpepoch}
            {cluster set-config-epoch 1} {cluster setslot 1 stable}
            {cluster count-failure-reports x} readonly readwrite asking} {
            expect_error $refusal { r {*}$request }
        }
        expect_error "ERR unknown subcommand 'nosuch'. Try CLUSTER HELP." { r cluster nosuch }
        expect_error "ERR wrong number of arguments for 'cluster' command" { r cluster }
        expect_error "ERR wrong number of arguments for 'cluster|keyslot' command" {
            r cluster keyslot
        }
        expect_error "ERR wrong number of arguments for 'readonly' command" { r readonly x }
    }
    starling_test "CLUSTER MYSHARDID" {
        expect_error $refusal { r cluster myshardid }
    }
    test "CLUSTER and READONLY in a transaction are queued, and refused then" {
        r multi
        expect [r cluster info] QUEUED
        expect [r readonly] QUEUED
        expect [r set k v] QUEUED
        expect [r -wire exec] "*3\r\n-$refusal\r\n-$refusal\r\n+OK\r\n"
        r multi
        expect_error "ERR unknown subcommand 'nosuch'*" { r cluster nosuch }
        expect_error "EXECABORT *" { r exec }
    }
    test "CLUSTER in COMMAND INFO, DOCS and LIST, and in ACL CAT" {
        expect [lrange [lindex [r command info cluster] 0] 0 2] {cluster -2 {}}
        foreach {name arity flags} {cluster|addslots -3 {admin stale no_async_loading}
            cluster|replicas 3 {admin stale} cluster|keyslot 3 stale cluster|help 2 {loading stale}
            cluster|reset -2 {admin noscript stale} readonly 1 {fast loading stale}
            readwrite 1 {fast loading stale} asking 1 fast} {
            set info [lindex [r command info $name] 0]
            expect [list [lindex $info 1] [lsort [lindex $info 2]]] [list $arity [lsort $flags]]
        }
        expect [dict get [r command docs readonly] readonly group] cluster
        set docs [dict get [r command docs cluster] cluster subcommands]
        expect [dict get $docs cluster|slots deprecated_since] 7.0.0
        expect [dict get [lindex [dict get $docs cluster|keyslot arguments] 0] type] string
        expect [dict get [lindex [dict get $docs cluster|addslots arguments] 0] type] integer
        expect_set [r command list filterby pattern cluster|set*] {cluster|set-config-epoch
            cluster|setslot}
        expect_true {"readonly" in [r acl cat connection]}
        expect_true {"cluster|meet" in [r acl cat admin]}
    }
}

# ---- the program ----

test "the program: --version, --help, unknown options" {
    lassign [run_program --version] status text
    expect $status 0
    expect_match $text "*v=*.*"
    lassign [run_program -v] status same
    expect $same $text
    lassign [run_program --help] status text
    expect_match $text "*Usage: *"
    lassign [run_program --nosuchoption 1] status text
    expect $status 1
    expect_match $text "*nosuchoption*"
    lassign [run_program /nonexistent.conf] status text
    expect $status 1
    expect_match $text "*/nonexistent.conf*"
}

test "--version says what INFO says, in Redis's form" {
    lassign [run_program --version] status text
    expect_true {[regexp {^\S+ server v=(\d+\.\d+\.\d+) sha=([0-9a-f]{8}):(\d+) malloc=(\S+)\
        bits=(\d+) build=\S+} $text all version sha dirty malloc bits]} $text
    start_server {} {
        expect $version [info_field server redis_version]
        expect $version [dict get [r hello] version]
        expect [list $sha $dirty] [list [info_field server redis_git_sha1] [info_field server\
            redis_git_dirty]]
        expect $malloc [info_field memory mem_allocator]
        expect $bits [info_field server arch_bits]
        if {[server_is_starling]} {
            expect_match $text "Starling server * starling_version=[info_field server starling_version]"
        }
    }
}

starling_test "an unknown option is answered with the nearest known one" {
    lassign [run_program --maxmemori 1] status text
    expect $status 1
    expect_match $text "*maxmemory*"
}

test "configuration from standard input" {
    set path $::temporary/stdin.conf
    write_file $path "timeout 10\nnosuchoption 1\n"
    expect_true {[catch { exec $::server_path - <$path 2>@1 } output]}
    expect_match $output "*2*nosuchoption*"
    start_server {} {
        stop_server
        set pid [exec $::server_path - --port [server port] --dir [server dir] \
            << "timeout 44\nsave \"\"\n" >>[server log] 2>@1 &]
        wait_until {![catch { set c [connect] }] && ![catch { $c ping }]}
        expect [lindex [$c config get timeout] 1] 44
        catch { $c shutdown nosave }
        expect_true {[$c -eof]}
        # Only when it has ended does it give up its directory.
        wait_until {[catch { read_file /proc/$pid/stat } state] || [string match "* Z *" $state]}
        start_again
    }
}

test "include takes patterns, relative names, and what comes later wins" {
    set dir $::temporary/included
    file mkdir $dir
    write_file $dir/a.conf "timeout 1\nmaxmemory 1mb\n"
    write_file $dir/b.conf "timeout 2\n"
    start_server [list config_file "timeout 9\ninclude $dir/*.conf\nslowlog-max-len 5\n"] {
        expect [config_get timeout] 2
        expect [config_get maxmemory] 1048576
        expect [config_get slowlog-max-len] 5
    }
}

# ---- COMMAND ----

start_server {} {
    test "COMMAND COUNT, LIST and its filters" {
        expect_true {[r command count] > 80}
        expect_true {"get" in [r command list]}
        expect_true {"config|get" in [r command list filterby pattern config*]}
        expect_set [r command list filterby pattern xyz*] {}
        expect_true {"getrange" in [r command list filterby pattern get*]}
        expect_true {"set" ni [r command list filterby pattern get*]}
        set reads [r command list filterby aclcat read]
        expect_true {"get" in $reads && "set" ni $reads}
        expect [r command list filterby aclcat nosuch] {}
        expect [r command list filterby module nosuch] {}
        expect_error "ERR syntax error" { r command list foo }
        expect_error "ERR syntax error" { r command list filterby foo bar }
        expect_error "ERR syntax error" { r command list filterby pattern }
    }
    test "COMMAND INFO" {
        lassign [r command info get nosuch SET config|get] get none set sub
        expect [lrange $get 0 5] {get 2 {readonly fast} 1 1 1}
        expect_set [lindex $get 6] {@read @string @fast}
        expect $none {}
        expect [lindex $set 0] set
        expect [lindex $set 1] -3
        expect_set [lindex $set 2] {write denyoom}
        expect [lindex $sub 0] config|get
        expect_match [r -wire command info nosuch] "\\*1\r\n?-1\r\n"
        expect [llength [r command info]] [r command count]
        expect [lrange [lindex [r command info mset] 0] 3 5] {1 -1 2}
        expect [lrange [lindex [r command info bitop] 0] 3 5] {2 -1 1}
        expect [lrange [lindex [r command info ping] 0] 3 5] {0 0 0}
    }
    test "COMMAND DOCS" {
        set docs [r command docs get set nosuch]
        expect [dict keys $docs] {get set}
        expect [dict get $docs get group] string
        expect [dict get $docs get since] 1.0.0
        expect [dict get $docs get complexity] O(1)
        expect_true {[string length [dict get $docs get summary]] > 5}
        expect_true {[dict exists $docs get arguments]}
        set argument [lindex [dict get $docs get arguments] 0]
        expect [dict get $argument name] key
        expect [dict get $argument type] key
        # Types of arguments, by their names.
        foreach {command wanted} {
            zadd {key key score double member string}
            zrange {key key start string stop string}
            zcount {key key min double max double}
            zlexcount {key key min string max string}
            zrangestore {dst key src key min string max string}
            geoadd {key key longitude double latitude double member string}
            lrange {key key start integer stop integer}
            scan {cursor integer pattern pattern count integer}
            hincrbyfloat {key key field string increment double}
            zincrby {key key increment integer member string}
            lmpop {numkeys integer key key}
            blpop {key key timeout double}
            wait {numreplicas integer timeout integer}
            xrange {key key start string end string}
        } {
            set arguments [dict get [lindex [r command docs $command] 1] arguments]
            foreach {name type} $wanted {
                expect_match $arguments "*name $name *type $type*"
            }
        }
        # What is not to be used any more says so, and what is for tests.
        set docs [r command docs getset pfdebug get]
        expect [dict get $docs getset doc_flags] deprecated
        expect [dict get $docs getset deprecated_since] 6.2.0
        expect_true {[dict exists $docs getset replaced_by]}
        expect [dict get $docs pfdebug doc_flags] syscmd
        expect_true {![dict exists $docs get doc_flags]}
        r hello 3
        r command docs get
        expect [r -type] %
    }
    test "COMMAND GETKEYS" {
        foreach {words keys} {
            {get a} a   {set k v ex 10} k   {mget a b c} {a b c}   {mset a 1 b 2} {a b}
            {bitop and d s1 s2} {d s1 s2}   {object encoding k} k   {rename a b} {a b}
            {memory usage k} k   {pfcount a b} {a b}   {copy a b} {a b}   {lcs a b} {a b}
        } {
            expect [r command getkeys {*}$words] $keys
        }
        expect_error "ERR The command has no key arguments" { r command getkeys ping x }
        expect_error "ERR Invalid command specified" { r command getkeys nosuch a }
        expect_error "ERR Invalid number of arguments specified for command" {
            r command getkeys get a b
        }
        expect_error "ERR wrong number of arguments for 'command|getkeys' command" {
            r command getkeys
        }
    }
    test "COMMAND GETKEYSANDFLAGS" {
        expect [r command getkeysandflags get a] {{a {RO access}}}
        expect [r command getkeysandflags set a b] {{a {OW update}}}
        expect [r command getkeysandflags set get get ex 10] {{get {OW update}}}
        expect [r command getkeysandflags set a b ex 10 GET] {{a {RW access update}}}
        expect [r command getkeysandflags bitfield set get u8 0] {{set {RO access}}}
        expect [r command getkeysandflags bitfield a get u8 0 set u8 0 1] \
            {{a {RW access update}}}
        foreach words {{other} {get u8} {get u8 0 incrby u8 0 1} {overflow sat set u8 0 1}} {
            expect [r command getkeysandflags bitfield a {*}$words] {{a {RW access update}}}
        }
        expect [r command getkeysandflags bitfield a get u8 0 overflow fail get u8 set] \
            {{a {RO access}}}
        expect [r command getkeysandflags del a b] {{a {RM delete}} {b {RM delete}}}
        expect [r command getkeysandflags rename a b] {{a {RW access delete}} {b {OW update}}}
        expect [r command getkeysandflags incr a] {{a {RW access update}}}
        expect [r command getkeysandflags sort k by w* store d] \
            {{k {RO access}} {d {OW update}}}
        expect [r command getkeysandflags georadius k 0 0 1 m store d] \
            {{k {RO access}} {d {OW update}}}
        expect [r command getkeysandflags zunionstore d 2 a b] \
            {{d {OW update}} {a {RO access}} {b {RO access}}}
        expect [r command getkeysandflags zmpop 2 a b min] \
            {{a {RW access delete}} {b {RW access delete}}}
    }
    test "COMMAND INFO: where keys are" {
        # Flags, how keys are searched for, and what is found there, of each run of keys.
        proc key_specs {command} {
            lmap spec [lindex [r command info $command] 0 8] {
                set begin [dict get $spec begin_search]
                set find [dict get $spec find_keys]
                list [dict get $spec flags] [dict get $begin type] [dict get $begin spec] \
                    [dict get $find type] [dict get $find spec]
            }
        }
        set one {range {lastkey 0 keystep 1 limit 0}}
        set counted {keynum {keynumidx 0 firstkey 1 keystep 1}}
        expect [key_specs get] [list [list {RO access} index {index 1} {*}$one]]
        expect [key_specs hlen] [list [list RO index {index 1} {*}$one]]
        expect [key_specs set] \
            [list [list {RW access update variable_flags} index {index 1} {*}$one]]
        expect [key_specs mset] {{{OW update} index {index 1} range {lastkey -1 keystep 2 limit 0}}}
        expect [key_specs ping] {}
        expect [key_specs zinter] [list [list {RO access} index {index 1} {*}$counted]]
        expect [key_specs lmpop] [list [list {RW access delete} index {index 1} {*}$counted]]
        expect [key_specs zinterstore] [list [list {OW update} index {index 1} {*}$one] \
            [list {RO access} index {index 2} {*}$counted]]
        expect [key_specs georadius] [list [list {RO access} index {index 1} {*}$one] \
            [list {OW update} keyword {keyword STORE startfrom 6} {*}$one] \
            [list {OW update} keyword {keyword STOREDIST startfrom 6} {*}$one]]
        expect [key_specs sort] [list [list {RO access} index {index 1} {*}$one] \
            {{RO access} unknown {} unknown {}} {{OW update} unknown {} unknown {}}]
        set halves {range {lastkey -1 keystep 1 limit 2}}
        expect [key_specs xread] \
            [list [list {RO access} keyword {keyword STREAMS startfrom 1} {*}$halves]]
        expect [key_specs xreadgroup] \
            [list [list {RO access} keyword {keyword STREAMS startfrom 4} {*}$halves]]
    }
    test "COMMAND HELP and unknown sub-commands" {
        expect_match [join [r command help] \n] "COMMAND <subcommand> *GETKEYS*"
        expect_error "ERR unknown subcommand 'foo'. Try COMMAND HELP." { r command foo }
        expect_error "ERR wrong number of arguments for 'command|count' command" {
            r command count x
        }
    }
}

# ---- MEMORY, SLOWLOG, LATENCY ----

start_server {} {
    test "MEMORY USAGE" {
        expect_nil memory usage none
        r set k v
        expect_range [r memory usage k] 20 200
        r set k [string repeat x 100000]
        expect_range [r memory usage k] 100000 140000
        expect_range [r memory usage k samples 5] 100000 140000
        expect_error "ERR syntax error" { r memory usage k foo }
        expect_error "ERR syntax error" { r memory usage k samples }
        expect_error "ERR *" { r memory usage k samples abc }
        expect_error "ERR *" { r memory usage k samples -1 }
        expect_error "ERR wrong number of arguments for 'memory|usage' command" { r memory usage }
    }
    test "MEMORY STATS, DOCTOR, PURGE, MALLOC-STATS, HELP" {
        set stats [r memory stats]
        foreach field {peak.allocated total.allocated startup.allocated clients.normal
            overhead.total keys.count keys.bytes-per-key dataset.bytes dataset.percentage
            peak.percentage fragmentation} {
            expect_true {[dict exists $stats $field]} $field
        }
        r set k v
        r select 2
        r set k v
        set stats [r memory stats]
        expect [dict get $stats keys.count] 2
        expect_true {[dict exists $stats db.0] && [dict exists $stats db.2]}
        expect_true {[string length [r memory doctor]] > 10}
        expect [r memory purge] OK
        expect_true {[string length [r memory malloc-stats]] > 10}
        expect_match [join [r memory help] \n] "MEMORY <subcommand> *USAGE*"
        expect_error "ERR unknown subcommand 'foo'. Try MEMORY HELP." { r memory foo }
    }
    test "SLOWLOG keeps what was slow" {
        with_config {slowlog-log-slower-than 0 slowlog-max-len 10} {
            r slowlog reset
            set c [connect]
            $c client setname slow
            $c set key value
            set entry [lindex [r slowlog get] 0]
            lassign $entry id time micros words address name
            expect [llength $entry] 6
            expect_range $time [expr {[clock seconds] - 5}] [clock seconds]
            expect_range $micros 0 1000000
            expect $words {set key value}
            expect $address [$c -address]
            expect $name slow
            set newer [lindex [r slowlog get 1] 0]
            expect [lindex $newer 3] {slowlog get}
            expect_true {[lindex $newer 0] > $id}
            for {set i 0} {$i < 20} {incr i} {
                r ping
            }
            expect [r slowlog len] 10
            expect [llength [r slowlog get -1]] 10
            expect [llength [r slowlog get 3]] 3
            r config set slowlog-max-len 2
            r ping
            expect [r slowlog len] 2
        }
        r config set slowlog-log-slower-than -1
        r slowlog reset
        r ping
        expect [r slowlog len] 0
        expect [r slowlog get] {}
        r config set slowlog-log-slower-than 10000
    }
    test "SLOWLOG cuts long commands" {
        with_config {slowlog-log-slower-than 0} {
            r slowlog reset
            r del {*}[lrepeat 40 key]
            set words [lindex [r slowlog get 1] 0 3]
            expect [llength $words] 32
            expect [lindex $words end] "... (10 more arguments)"
            r set k [string repeat A 129]
            set words [lindex [r slowlog get 1] 0 3]
            expect [lindex $words 2] "[string repeat A 128]... (1 more bytes)"
        }
    }
    test "SLOWLOG finds a slow command" {
        r slowlog reset
        r debug sleep 0.05
        set entry [lindex [r slowlog get] 0]
        expect [lindex $entry 3] {debug sleep 0.05}
        expect_range [lindex $entry 2] 50000 1000000
        expect [r slowlog reset] OK
        expect [r slowlog len] 0
    }
    test "SLOWLOG errors" {
        expect_error "ERR *" { r slowlog get abc }
        expect_error "ERR count should be greater than or equal to -1" { r slowlog get -2 }
        expect_error "ERR unknown subcommand 'foo'. Try SLOWLOG HELP." { r slowlog foo }
        expect_error "ERR wrong number of arguments for 'slowlog|len' command" { r slowlog len x }
        expect_match [join [r slowlog help] \n] "SLOWLOG <subcommand> *RESET*"
    }
    test "LATENCY LATEST, HISTORY, RESET, GRAPH, DOCTOR" {
        r config set latency-monitor-threshold 20
        r latency reset
        expect [r latency latest] {}
        r debug sleep 0.03
        after 1100
        r debug sleep 0.06
        set event [lindex [r latency latest] 0]
        lassign $event name time latest max
        expect $name command
        expect_range $time [expr {[clock seconds] - 5}] [clock seconds]
        expect_range $latest 60 1000
        expect_range $max 60 1000
        set history [r latency history command]
        expect [llength $history] 2
        expect_range [lindex $history 0 1] 30 1000
        expect_match [r latency graph command] "command - high * ms, low * ms*"
        expect_true {[string length [r latency doctor]] > 20}
        expect [r latency history nosuch] {}
        expect_error "ERR No samples available for event 'nosuch'" { r latency graph nosuch }
        expect [r latency reset nosuch] 0
        expect [r latency reset command nosuch] 1
        expect [r latency latest] {}
        r config set latency-monitor-threshold 0
        r debug sleep 0.03
        expect [r latency latest] {}
    }
    test "LATENCY HISTOGRAM" {
        r config resetstat
        r set k v
        r set k v
        r get k
        set histogram [r latency histogram set get nosuch]
        expect_set [dict keys $histogram] {set get}
        expect [dict get $histogram set calls] 2
        set counts [dict get $histogram set histogram_usec]
        expect [lindex $counts end] 2
        expect_true {"set" in [dict keys [r latency histogram]]}
        expect [r latency histogram nosuch] {}
    }
    test "LATENCY HELP and unknown sub-commands" {
        expect_match [join [r latency help] \n] "LATENCY <subcommand> *DOCTOR*"
        expect_error "ERR unknown subcommand 'foo'. Try LATENCY HELP." { r latency foo }
        expect_error "ERR wrong number of arguments for 'latency|latest' command" {
            r latency latest x
        }
    }
}

# ---- MONITOR ----

start_server {} {
    test "MONITOR shows commands as they come" {
        set m [connect]
        expect [$m monitor] OK
        set c [connect]
        $c set k "a \"b\"\r\n\x01\xff"
        set line [$m -receive]
        expect_true {[regexp {^\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] "set" "k" "a \\"b\\"\\r\\n\\x01\\xff"$} \
            $line]} $line
        $c select 5
        $m -receive
        $c get k
        expect_match [$m -receive] {* \[5 *] "get" "k"}
        $c multi
        $c incr n
        $c exec
        expect_match [$m -receive] {*"multi"}
        expect_match [$m -receive] {*"incr" "n"}
        expect_match [$m -receive] {*"exec"}
        expect_match [dict get [client_of $m] flags] *O*
    }
    test "MONITOR shows how a transaction ends whose EXEC is refused" {
        set m [connect]
        $m monitor
        set other [connect]
        r multi
        r incr n
        expect_error "EXECABORT Transaction discarded because of: wrong number*" { r exec x }
        r set n v
        $other echo end
        foreach seen {{*"multi"} {*"exec" "x"} {*"set" "n" "v"} {*"echo" "end"}} {
            expect_match [$m -receive] $seen
        }
    }
    test "MONITOR hides secrets and admin commands" {
        set m [connect]
        $m monitor
        r config set timeout 0
        catch { r auth secret-word }
        catch { r hello 3 auth default secret-word }
        r slowlog len
        r echo end
        set seen {}
        while {![string match {*"echo" "end"} $seen]} {
            set seen [$m -receive]
            expect_true {![string match *secret-word* $seen]}
            expect_true {![string match *timeout* $seen]} $seen
        }
    }
    test "a client in MONITOR has no keys and publishes nothing" {
        set m [connect]
        $m monitor
        foreach request {{get k} {set k v} {pfcount k} {publish c m} {spublish c m}} {
            expect_error "ERR Replica can't interact with the keyspace" { $m {*}$request }
        }
    }
    test "a MONITOR that leaves costs nothing" {
        set m [connect]
        $m monitor
        $m -close
        for {set i 0} {$i < 100} {incr i} {
            r ping
        }
        expect [info_field clients connected_clients] 1
    }
}

# ---- DEBUG, WAIT, LOLWUT and the rest ----

start_server {} {
    test "DEBUG SLEEP, OBJECT, DIGEST, DIGEST-VALUE, JMAP and their kin" {
        set start_ms [clock milliseconds]
        expect [r debug sleep 0.1] OK
        expect_true {[clock milliseconds] - $start_ms >= 100}
        r set k v
        expect_match [r debug object k] "Value at:* refcount:1 encoding:embstr serializedlength:2*"
        expect_error "ERR no such key" { r debug object none }
        expect_match [r debug sdslen k] "key_sds_len:1, * val_sds_len:1, *"
        r rpush list a
        expect_error "ERR Not an sds encoded string." { r debug sdslen list }
        expect [r debug set-active-expire 1] OK
        expect_match [join [r debug help] \n] "DEBUG <subcommand> *SLEEP*"
        expect_error "ERR unknown subcommand*Try DEBUG HELP." { r debug foo }
    }
    test "DEBUG DIGEST: equal for equal data, in any order" {
        expect [r debug digest] [string repeat 0 40]
        r mset a 1 b 2
        set digest [r debug digest]
        expect [string length $digest] 40
        r set a 3
        expect_true {[r debug digest] ne $digest}
        r flushall
        r set b 2
        r set a 1
        expect [r debug digest] $digest
        r select 1
        r set a 1
        expect_true {[r debug digest] ne $digest}
        lassign [r debug digest-value a none] one none
        expect $none [string repeat 0 40]
        r set c 1
        expect [r debug digest-value c] [list $one]
    }
    test "DEBUG RELOAD and LOADAOF keep the data" {
        r mset a 1 b 2
        r set c 3 ex 1000
        r select 4
        r set d [string repeat x 100000]
        r select 0
        set digest [r debug digest]
        expect [r debug reload] OK
        expect [r debug digest] $digest
        expect_range [r ttl c] 900 1000
        r flushall
    }
    test "DEBUG POPULATE and STRINGMATCH-LEN" {
        expect [r debug populate 1000] OK
        expect [r dbsize] 1000
        expect [r get key:7] value:7
        r debug populate 10 other: 500
        expect [r strlen other::3] 500
    }
    test "DEBUG CHANGE-REPL-ID, JMAP, QUICKLIST-PACKED-THRESHOLD and PROTOCOL" {
        expect_match [r debug protocol string] "Hello World"
        expect [r debug protocol integer] 12345
        expect [r debug protocol array] {0 1 2}
        expect [r -wire debug protocol null] "\$-1\r\n"
        r hello 3
        expect [r -wire debug protocol null] "_\r\n"
        expect [r -wire debug protocol true] "#t\r\n"
        expect [r -wire debug protocol false] "#f\r\n"
        expect [r -wire debug protocol double] ",3.141\r\n"
        expect_match [r -wire debug protocol bignum] "(1234567999999999999999999999999999999\r\n"
        expect_match [r -wire debug protocol verbatim] "=29\r\ntxt:This is a verbatim\nstring\r\n"
        expect [r -wire debug protocol map] "%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n"
        expect [r -wire debug protocol set] "~3\r\n:0\r\n:1\r\n:2\r\n"
    }
    test "WAIT: there are no replicas" {
        expect [r wait 0 0] 0
        r set k v
        set start_ms [clock milliseconds]
        expect [r wait 1 100] 0
        expect_true {[clock milliseconds] - $start_ms >= 95}
        expect_error "ERR timeout is negative" { r wait 1 -1 }
        expect_error "ERR value is not an integer or out of range" { r wait a 1 }
        expect_error "ERR timeout is not an integer or out of range" { r wait 1 a }
        expect_error "ERR wrong number of arguments for 'wait' command" { r wait 1 }
        r multi
        r wait 1 0
        expect [r exec] 0
        set c [connect]
        $c -send wait 1 0
        wait_until {[info_field clients blocked_clients] == 1}
        expect [r client unblock [dict get [client_of $c] id]] 1
        expect [$c -receive] 0
        $c -send wait 1 0
        wait_until {[info_field clients blocked_clients] == 1}
        r client unblock [dict get [client_of $c] id] error
        expect_error "UNBLOCKED client unblocked via CLIENT UNBLOCK" { $c -receive }
        expect [$c ping] PONG
    }
    test "LOLWUT says who this is" {
        expect_match [r lolwut] "*[info_field server redis_version]*"
        expect_true {[string length [r lolwut version 5 10 10]] > 5}
    }
    test "FUNCTION FLUSH has nothing to flush" {
        expect [r function flush] OK
    }
    test "SWAPDB, FLUSHDB, FLUSHALL options" {
        r set a 0
        r select 1
        r set b 1
        r swapdb 0 1
        expect [r get a] 0
        expect [r flushdb async] OK
        expect [r dbsize] 0
        r select 0
        expect [r get b] 1
        expect [r flushall sync] OK
        expect [r dbsize] 0
        expect_error "ERR syntax error" { r flushall foo }
        expect_error "ERR syntax error" { r flushdb async sync }
        expect_error "ERR invalid first DB index" { r swapdb a 1 }
        expect_error "ERR invalid second DB index" { r swapdb 0 a }
        expect_error "ERR DB index is out of range" { r swapdb 0 99 }
    }
    test "oom-score-adj: added to what there was, in place of it, and back" {
        set path /proc/[server pid]/oom_score_adj
        set before [string trim [read_file $path]]
        r config set oom-score-adj-values "7 20 30"
        expect [string trim [read_file $path]] $before
        foreach {option value score} [list oom-score-adj yes [expr {$before + 7}] \
            oom-score-adj-values "9 20 30" [expr {$before + 9}] oom-score-adj absolute 9 \
            oom-score-adj relative [expr {$before + 9}] oom-score-adj no $before \
            oom-score-adj-values "0 200 800" $before] {
            expect [r config set $option $value] OK
            expect [string trim [read_file $path]] $score
        }
        expect_error "ERR *must be between -2000 and 2000*" {
            r config set oom-score-adj-values "-2001 0 0"
        }
    }
    test "REPLICAOF NO ONE and ROLE: a node is a primary" {
        if {![server_is_starling]} {
            expect [r role] {master 0 {}}
        } else {
            catch { r role } reply
            expect_true {[lindex $reply 0] eq "master" || [string match "ERR unknown*" $reply]}
        }
    }
}

start_server {enable-debug-command no} {
    test "DEBUG needs enable-debug-command" {
        expect_error "ERR DEBUG command not allowed. If the enable-debug-command option is set to\
            \"local\", *" { r debug sleep 0 }
        expect_error "ERR CONFIG SET failed*immutable*" {
            r config set enable-debug-command yes
        }
    }
}
start_server {enable-debug-command local} {
    test "enable-debug-command local allows the same machine" {
        expect [r debug sleep 0] OK
    }
}

# ---- SHUTDOWN ----

foreach {words signal} {{shutdown nosave} {} {shutdown save} {} {shutdown} {} {} TERM {} INT
    {shutdown now} {} {shutdown nosave now force} {}} {
    test "the server ends by '$words' $signal" {
        start_server {} {
            r set k v
            if {$signal ne ""} {
                exec kill -$signal [server pid]
            } else {
                catch { r {*}$words }
            }
            expect [wait_server_end] {}
            start_again
            expect [r exists k] [expr {$words eq "shutdown save"}]
        }
    }
}

start_server {} {
    test "SHUTDOWN errors" {
        expect_error "ERR syntax error" { r shutdown foo }
        expect_error "ERR syntax error" { r shutdown save nosave }
        expect_error "ERR syntax error" { r shutdown abort now }
        expect_error "ERR No shutdown in progress." { r shutdown abort }
        expect [r ping] PONG
    }
}
