# SPDX-License-Identifier: BSD-3-Clause
# Certificates for tests, made by the openssl command in the test's temporary directory.
#
#   certificates::authority ca
#   certificates::make ca node-a ?-days 30? ?-subject NAME? ?-pass WORD?
#   certificates::file node-a.crt
#   certificates::options node-a ?ca?      the options of a server that shows it

namespace eval certificates {}

proc certificates::file {name} {
    set directory [::file join $::temporary certificates]
    ::file mkdir $directory
    return [::file join $directory $name]
}

# The command may write progress to its error channel; only its status counts.
proc certificates::openssl {args} {
    if {[catch { exec -ignorestderr openssl {*}$args 2>@1 } output]} {
        error "openssl [lindex $args 0]: $output"
    }
    return $output
}

proc certificates::authority {name} {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
        -subj /CN=$name -keyout [file $name.key] -out [file $name.crt]
}

# name.crt and name.key, signed by the authority. Negative days: it has ended already. Files are
# written beside and moved into place, the key first.
proc certificates::make {authority name args} {
    array set with [list -days 30 -subject $name -pass {}]
    array set with $args
    set lock [expr {$with(-pass) eq {} ? {-nodes} : [list -passout pass:$with(-pass)]}]
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 {*}$lock -subj /CN=$with(-subject) \
        -keyout [file new.key] -out [file new.csr]
    openssl x509 -req -in [file new.csr] -CA [file $authority.crt] -CAkey [file $authority.key] \
        -CAcreateserial -days $with(-days) -out [file new.crt]
    ::file rename -force [file new.key] [file $name.key]
    ::file rename -force [file new.crt] [file $name.crt]
}

proc certificates::options {name {authority ca}} {
    return [list tls-cert-file [file $name.crt] tls-key-file [file $name.key] \
        tls-ca-cert-file [file $authority.crt]]
}
