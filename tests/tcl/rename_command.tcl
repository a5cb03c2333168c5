# SPDX-License-Identifier: BSD-3-Clause
# rename-command: commands under other names, and commands that are gone.

start_server {config_file "rename-command GET Fetch
rename-command FLUSHALL \"\"
rename-command CLIENT HIDDEN
rename-command STRLEN strlen
"} {
    test "a renamed command answers to its new name, in any case, and to no other" {
        r set k v
        expect [r fetch k] v
        expect [r FETCH k] v
        expect_error "ERR unknown command 'get'*" { r get k }
        expect_error "ERR wrong number of arguments for 'get' command" { r fetch }
        expect [r hidden getname] ""
        expect_error "ERR unknown command 'client'*" { r client getname }
    }
    test "HELP of a renamed command names it as it is called" {
        expect_error "ERR unknown subcommand 'nosuch'. Try HIDDEN HELP." { r hidden nosuch }
        expect_match [lindex [r hidden help] 0] "HIDDEN <subcommand> *"
    }
    test "a command renamed to nothing is gone" {
        expect_error "ERR unknown command 'flushall'*" { r flushall }
        expect [r exists k] 1
    }
    test "its own name is not taken" {
        expect [r strlen k] 1
        expect [r STRLEN k] 1
    }
    test "a transaction knows the new name" {
        r multi
        expect [r fetch k] QUEUED
        expect [r exec] v
    }
}
foreach {line why} {
    "rename-command NOSUCH other" "a command that does not exist"
    "rename-command GET SET" "a name that is taken"
} {
    test "$why stops the start" {
        start_server {} {
            stop_server
            lassign [start_again_fails [list config_file $line]] log status
            expect $status 1
            expect_match $log "*rename-command: there is no command*"
        }
    }
}
