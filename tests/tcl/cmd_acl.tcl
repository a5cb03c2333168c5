# SPDX-License-Identifier: BSD-3-Clause
# ACL where there is only the user "default": what is asked about users gets Redis's replies, what
# would make or change one is refused.

# The SHA-256 of "s3cret".
set hash 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0

# ---- ACL: the user ----

start_server {} {
    test "ACL WHOAMI and ACL USERS" {
        expect [r acl whoami] default
        expect [r acl users] default
        foreach protocol {2 3} {
            set c [connect -protocol $protocol]
            expect [$c -wire acl whoami] "\$7\r\ndefault\r\n"
            expect [$c -wire acl users] "*1\r\n\$7\r\ndefault\r\n"
        }
    }
    starling_test "ACL LIST" {
        set line "user default on nopass sanitize-payload ~* &* +@all"
        foreach protocol {2 3} {
            set c [connect -protocol $protocol]
            expect [$c -wire acl list] "*1\r\n\$[string length $line]\r\n$line\r\n"
        }
    }
    starling_test "ACL GETUSER default" {
        set c [connect]
        expect [$c acl getuser default] {flags {on nopass sanitize-payload} passwords {} commands\
            +@all keys ~* channels &* selectors {}}
        set flags "\r\n\$2\r\non\r\n\$6\r\nnopass\r\n\$16\r\nsanitize-payload\r\n"
        set rest "\$9\r\npasswords\r\n*0\r\n\$8\r\ncommands\r\n\$5\r\n+@all\r\n\$4\r\nkeys\r\n\$2\r\n~*\r\n\$8"
        append rest "\r\nchannels\r\n\$2\r\n&*\r\n\$9\r\nselectors\r\n*0\r\n"
        expect [$c -wire acl getuser default] "*12\r\n\$5\r\nflags\r\n*3$flags$rest"
        set c [connect -protocol 3]
        expect [$c -wire acl getuser default] "%6\r\n\$5\r\nflags\r\n~3$flags$rest"
    }
    test "ACL GETUSER of nobody is nil, and names have a case" {
        foreach name {nobody Default "" default2} {
            expect [[connect] -wire acl getuser $name] "\$-1\r\n"
            expect [[connect -protocol 3] -wire acl getuser $name] "_\r\n"
        }
    }
    starling_test "a password is shown as its hash" {
        r config set requirepass s3cret
        expect [r acl list] [list "user default on sanitize-payload #$hash ~* &* +@all"]
        set user [r acl getuser default]
        expect [dict get $user flags] {on sanitize-payload}
        expect [dict get $user passwords] $hash
        set c [connect]
        $c auth s3cret
        $c hello 3
        expect_match [$c -wire acl getuser default] "%6\r\n*~2\r\n*passwords\r\n*1\r\n\$64\r\n$hash\r\n*"
        r config set requirepass ""
        expect_match [r acl list] "*nopass*"
        expect [dict get [r acl getuser default] passwords] {}
    }
    test "nobody is told before AUTH" {
        r config set requirepass s3cret
        set c [connect]
        foreach request {whoami users list {getuser default} cat genpass log help} {
            expect_error "NOAUTH Authentication required." { $c acl {*}$request }
        }
        $c auth default s3cret
        expect [$c acl whoami] default
        r config set requirepass ""
    }
    starling_test "ACL SETUSER, DELUSER, DRYRUN, LOAD and SAVE: there is only the user default" {
        foreach request {{acl setuser alice} {acl setuser alice on >secret} {acl setuser default off}
            {acl deluser alice} {acl deluser alice default} {acl dryrun default get key} {acl load}
            {acl save}} {
            expect_error "ERR ACL users are not supported: there is only the user 'default'*" {
                r {*}$request
            }
        }
        expect [r acl users] default
        expect_error "WRONGPASS*" { r auth alice secret }
    }
    test "ACL SETUSER is not kept with its password" {
        with_config {slowlog-log-slower-than 0} {
            r slowlog reset
            catch { r acl setuser alice on >secret }
            set entry [lindex [r slowlog get 1] 0]
            expect [lindex $entry 3] {acl setuser (redacted) (redacted) (redacted)}
        }
        catch { r acl deluser alice }
    }
}

# ---- ACL: CAT, GENPASS, LOG, HELP ----

start_server {} {
    test "ACL CAT names the categories" {
        expect [r acl cat] {keyspace read write set sortedset list hash string bitmap hyperloglog geo\
            stream pubsub admin fast slow blocking dangerous connection transaction scripting}
    }
    test "ACL CAT of a category has the commands that say they are in it" {
        set said {}
        foreach info [r command] {
            foreach row [concat [list $info] [lindex $info 9]] {
                foreach category [lindex $row 6] {
                    dict lappend said [string range $category 1 end] [lindex $row 0]
                }
            }
        }
        foreach category [r acl cat] {
            set names [r acl cat $category]
            expect_true {[llength $names] > 0} $category
            expect_set $names [dict get $said $category]
            expect_set $names [r command list filterby aclcat $category]
            expect [r acl cat [string toupper $category]] $names
        }
        expect_true {"get" in [r acl cat read] && "config|get" in [r acl cat dangerous]}
        expect_true {"xgroup|create" in [r acl cat stream] && "xgroup" ni [r acl cat stream]}
        expect_true {"acl|whoami" in [r acl cat slow] && "acl|whoami" ni [r acl cat admin]}
        expect [string index [[connect -protocol 3] -wire acl cat string] 0] *
    }
    test "ACL CAT of what is none" {
        expect_error "ERR Unknown category 'nosuch'" { r acl cat nosuch }
        expect_error "ERR Unknown category '@read'" { r acl cat @read }
        expect_error "ERR Unknown category ''" { r acl cat "" }
        expect_error "ERR Unknown category '[string repeat x 128]'" {
            r acl cat [string repeat x 1000]
        }
        expect_error "ERR unknown subcommand or wrong number of arguments for 'cat'. Try ACL HELP." {
            r acl cat read write
        }
    }
    test "ACL GENPASS" {
        expect_true {[regexp {^[0-9a-f]{64}$} [r acl genpass]]}
        foreach {bits digits} {1 1 4 1 5 2 8 2 12 3 256 64 257 65 4093 1024 4096 1024} {
            for {set i 0} {$i < 5} {incr i} {
                expect_true {[regexp {^[0-9a-f]+$} [r acl genpass $bits]]}
                expect [string length [r acl genpass $bits]] $digits
            }
        }
        set passwords {}
        for {set i 0} {$i < 100} {incr i} {
            lappend passwords [r acl genpass 64]
        }
        expect [llength [lsort -unique $passwords]] 100
        # Each digit comes, in the first place and in the last.
        foreach place {0 end} {
            set digits [lmap i [lrepeat 500 x] { string index [r acl genpass 20] $place }]
            expect [lsort -unique $digits] [split 0123456789abcdef ""]
        }
        foreach bits {0 -1 4097 9223372036854775807} {
            expect_error "ERR ACL GENPASS argument must be the number of bits for the output password, a\
                positive number up to 4096" { r acl genpass $bits }
        }
        expect_error "ERR value is not an integer or out of range" { r acl genpass x }
        expect_error "ERR unknown subcommand or wrong number of arguments for 'genpass'. Try ACL\
            HELP." { r acl genpass 8 8 }
    }
    test "ACL LOG has nothing" {
        foreach protocol {2 3} {
            set c [connect -protocol $protocol]
            foreach request {{} 5 0 -1} {
                expect [$c -wire acl log {*}$request] "*0\r\n"
            }
            expect [$c -wire acl log reset] "+OK\r\n"
            expect [$c -wire acl LOG RESET] "+OK\r\n"
        }
        expect_error "ERR value is not an integer or out of range" { r acl log x }
        expect_error "ERR unknown subcommand or wrong number of arguments for 'log'. Try ACL HELP." {
            r acl log 1 2
        }
    }
    test "ACL HELP, and what is no subcommand" {
        set help [r acl help]
        expect [lindex $help 0] {ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:}
        foreach line {{CAT [<category>]} {GENPASS [<bits>]} {GETUSER <username>} LIST WHOAMI HELP} {
            expect_true {$line in $help} $line
        }
        expect_error "ERR unknown subcommand 'nosuch'. Try ACL HELP." { r acl nosuch }
        expect_error "ERR wrong number of arguments for 'acl' command" { r acl }
    }
    test "ACL in COMMAND INFO and COMMAND DOCS" {
        set info [lindex [r command info acl] 0]
        expect [lrange $info 0 2] {acl -2 {}}
        expect_set [lmap child [lindex $info 9] { lindex $child 0 }] {acl|cat acl|deluser acl|dryrun
            acl|genpass acl|getuser acl|help acl|list acl|load acl|log acl|save acl|setuser acl|users
            acl|whoami}
        foreach {name arity} {cat -2 genpass -2 whoami 2} {
            set child [lindex [r command info acl|$name] 0]
            expect [lrange $child 0 1] [list acl|$name $arity]
            expect_set [lindex $child 2] {noscript loading stale}
        }
        foreach {name arity} {deluser -3 dryrun -4 getuser 3 list 2 load 2 log -2 save 2 setuser -3
            users 2} {
            set child [lindex [r command info acl|$name] 0]
            expect [lrange $child 0 1] [list acl|$name $arity]
            expect_set [lindex $child 2] {admin noscript loading stale}
            expect_set [lindex $child 6] {@admin @slow @dangerous}
        }
        set docs [dict get [r command docs acl] acl]
        expect [list [dict get $docs group] [dict get $docs since]] {server 6.0.0}
        set docs [dict get $docs subcommands]
        expect [dict get $docs acl|dryrun since] 7.0.0
        expect [dict get [lindex [dict get $docs acl|genpass arguments] 0] type] integer
    }
}
