/* SPDX-License-Identifier: BSD-3-Clause */
/* TLS by OpenSSL: what the files of an operator say, and one connection's encryption.
 *
 * A `struct tls` is this side's identity and rules: certificate, key, trusted authorities, versions
 * and ciphers, loaded from files and loaded anew when those change. A session is one connection: it
 * reads and writes a non-blocking socket itself, and keeps the rules that it began with. Versions
 * below 1.2, renegotiation and the resuming of sessions are off. One thread.
 *
 * SIGPIPE must be ignored: OpenSSL writes to sockets without MSG_NOSIGNAL.
 *
 * Limits: a session holds a record (16 KiB) each way at most, and 100 KiB of the other side's
 * certificates during the handshake; idle ones give their buffers back. */
#ifndef PLATFORM_TLS_H
#define PLATFORM_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

struct tls;
struct tls_session;

/* What is named by an operator; an empty text means "not given". */
enum tls_part {
    TLS_CERT_FILE,
    TLS_KEY_FILE,
    TLS_KEY_FILE_PASS,
    TLS_CLIENT_CERT_FILE, /* for connections made here; not given: the same as for those taken */
    TLS_CLIENT_KEY_FILE,
    TLS_CLIENT_KEY_FILE_PASS,
    TLS_CA_CERT_FILE,
    TLS_CA_CERT_DIR,
    TLS_PROTOCOLS, /* of "TLSv1.2 TLSv1.3"; not given: both */
    TLS_CIPHERS,   /* of TLS 1.2 */
    TLS_CIPHERSUITES,
    TLS_PARTS_COUNT
};

struct tls_opts {
    const char *texts[TLS_PARTS_COUNT]; /* never NULL; copied */
    bool prefers_server_ciphers;
    bool needs_no_authority; /* only TLS_ACCEPTOR_OPEN is used: nobody's certificate is checked */
};

struct tls *tls_new(void);
/* Sessions that still run are not harmed. */
void tls_free(struct tls *tls);
/* Loads all that the options name. False, with words in `error` and the part that is to blame in
 * `*part`; then everything is as it was before. */
bool tls_load(struct tls *tls, const struct tls_opts *opts, struct buffer *error,
              enum tls_part *part);
/* Was it loaded, with equal options? */
bool tls_is_loaded(const struct tls *tls, const struct tls_opts *opts);

enum tls_look { TLS_LOOK_SAME, TLS_LOOK_LOADED, TLS_LOOK_BAD };
/* Looks whether the files have changed since they were last loaded or found bad; to be called about
 * once a second. Changed files are loaded once they have been the same for two looks, since whoever
 * replaces them replaces one after the other. BAD comes once, with words in `error`: what was
 * loaded before stays. */
enum tls_look tls_look(struct tls *tls, struct buffer *error);
/* When this side's certificate ends, as Unix time; 0 when none is loaded. */
int64_t tls_ends_unix_seconds(const struct tls *tls);

/* ---- one connection ---- */

enum tls_role {
    TLS_DIALLER,           /* connected to the other side, whose certificate is checked */
    TLS_ACCEPTOR,          /* was connected to, and needs a certificate that is checked */
    TLS_ACCEPTOR_OPTIONAL, /* ... checks one if there is one */
    TLS_ACCEPTOR_OPEN,     /* ... asks for none */
};

/* What made a session end. */
enum tls_fault {
    TLS_FAULT_NONE,
    TLS_FAULT_CLOSED,      /* the other side, or the network */
    TLS_FAULT_NOT_TLS,     /* the other side speaks something else */
    TLS_FAULT_PROTOCOL,    /* no common version or cipher, or bytes that make no sense */
    TLS_FAULT_CERTIFICATE, /* none, or one that is not accepted */
};

enum { TLS_FAILURE_BYTES = 160 };
struct tls_failure {
    enum tls_fault fault;
    bool is_by_peer;              /* the other side has refused this one */
    char text[TLS_FAILURE_BYTES]; /* printable, whatever the other side sent */
};

/* A session on a connected, non-blocking socket, which stays the caller's. NULL when nothing is
 * loaded or memory is out. Names in certificates are not compared with addresses: whoever has a
 * certificate of a trusted authority is let in. */
struct tls_session *tls_session_new(const struct tls *tls, int descriptor, enum tls_role role);
/* Tells the other side that this is the end, if there is room, and frees it. */
void tls_session_free(struct tls_session *session);

enum tls_step { TLS_DONE, TLS_WANTS_READ, TLS_WANTS_WRITE, TLS_FAILED };
/* Goes on with the handshake: call again when the socket has what is wanted. */
enum tls_step tls_session_shake(struct tls_session *session);

/* Reads as much as there is, up to `room`; or sends as much as the socket takes. Returns how many
 * bytes, or 0 with the reason in `*step`: what is wanted, or FAILED. After a send that returned
 * less than `size` the next one begins with the same bytes. */
size_t tls_session_read(struct tls_session *session, char *at, size_t room, enum tls_step *step);
size_t tls_session_send(struct tls_session *session, const char *bytes, size_t size,
                        enum tls_step *step);
/* Is there something to read, or the end, that the socket will not tell of? */
bool tls_session_has_pending(const struct tls_session *session);
/* Why it ended; lives as long as the session. */
const struct tls_failure *tls_session_failure(const struct tls_session *session);

#endif
