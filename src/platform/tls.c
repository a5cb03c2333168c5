/* SPDX-License-Identifier: BSD-3-Clause */
/* What an operator's files say becomes two contexts of OpenSSL, one for each role, since the two
 * may show different certificates. A reload builds both anew and exchanges them; sessions hold on
 * to the context that they began with. */
#include "platform/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/memory.h"

enum {
    RECORD_HANDSHAKE = 0x16, /* the first byte of whoever speaks TLS, or ... */
    RECORD_ALERT = 0x15,     /* ... of one who refuses; then a 3 */
    RECORD_MAJOR = 3,
    SUBJECT_BYTES_MAX = 64,
    /* Alerts (RFC 8446, 6) that are about this side's certificate. */
    ALERT_NO_CERTIFICATE = 41,
    ALERT_CERTIFICATE_UNKNOWN = 46,
    ALERT_UNKNOWN_CA = 48,
    ALERT_CERTIFICATE_REQUIRED = 116,
};

/* What tells that a file is another one, or has other content. */
struct file_mark {
    bool is_there;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

enum { FILES_COUNT = 6 };
static const enum tls_part FILES[FILES_COUNT] = {
    TLS_CERT_FILE,       TLS_KEY_FILE,     TLS_CLIENT_CERT_FILE,
    TLS_CLIENT_KEY_FILE, TLS_CA_CERT_FILE, TLS_CA_CERT_DIR,
};

struct tls_contexts {
    SSL_CTX *dialler, *acceptor;
};

struct tls {
    struct tls_contexts contexts; /* NULL: nothing is loaded */
    char *texts[TLS_PARTS_COUNT]; /* copies */
    bool prefers_server_ciphers, needs_no_authority;
    struct file_mark marks[FILES_COUNT];     /* when last loaded, or found bad */
    struct file_mark candidate[FILES_COUNT]; /* at the look before, when that differed */
    bool has_candidate;
};

struct tls_session {
    SSL *ssl;
    int descriptor;
    bool is_dialler;
    bool is_peer_known; /* it was seen to speak TLS */
    bool is_up;
    bool is_drained; /* the last read took all that there was */
    struct tls_failure failure;
};

/* ---- words ---- */

/* The most telling of OpenSSL's errors: the first one. */
static const char *error_words(void) {
    unsigned long code;
    const char *words = NULL;
    while (words == NULL && (code = ERR_get_error()) != 0) {
        words = ERR_GET_LIB(code) == ERR_LIB_SYS ? strerror(ERR_GET_REASON(code))
                                                 : ERR_reason_error_string(code);
    }
    ERR_clear_error();
    return words != NULL ? words : "not understood";
}

static bool fail(struct buffer *error, enum tls_part *part, enum tls_part guilty, const char *path,
                 const char *words) {
    *part = guilty;
    if (path != NULL) {
        buffer_printf(error, "%s: %s", path, words);
    } else {
        buffer_printf(error, "%s", words);
    }
    return false;
}

/* ---- loading ---- */

struct pass_phrase {
    const char *text;
    bool was_asked;
};

/* Without it OpenSSL would ask on the terminal. */
static int give_pass_phrase(char *into, int room, int is_for_writing, void *udata) {
    struct pass_phrase *phrase = (struct pass_phrase *)udata;
    size_t size = strlen(phrase->text);
    (void)is_for_writing;
    phrase->was_asked = true;
    if (size == 0 || room < 0 || size > (size_t)room) {
        return -1;
    }
    memcpy(into, phrase->text, size);
    return (int)size;
}

/* "path: what is wrong (OpenSSL's words)" */
static bool fail_by_library(struct buffer *error, enum tls_part *part, enum tls_part guilty,
                            const char *path, const char *what) {
    *part = guilty;
    buffer_printf(error, "%s: %s (%s)", path, what, error_words());
    return false;
}

static bool is_readable(const char *path, struct buffer *error, enum tls_part *part,
                        enum tls_part guilty) {
    struct stat about;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
        return fail(error, part, guilty, path, strerror(errno));
    }
    bool is_dir = fstat(descriptor, &about) == 0 && S_ISDIR(about.st_mode);
    bool is_file = fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode);
    (void)close(descriptor);
    if (guilty == TLS_CA_CERT_DIR ? !is_dir : !is_file) {
        return fail(error, part, guilty, path,
                    guilty == TLS_CA_CERT_DIR ? "not a directory" : "not a file");
    }
    return true;
}

static bool load_identity(SSL_CTX *context, const char *const texts[], enum tls_part cert,
                          struct buffer *error, enum tls_part *part) {
    enum tls_part key = (enum tls_part)(cert + 1), pass = (enum tls_part)(cert + 2);
    if (texts[cert][0] == '\0' || texts[key][0] == '\0') {
        return fail(error, part, texts[cert][0] == '\0' ? cert : key, NULL,
                    "TLS needs a certificate and its key");
    }
    if (!is_readable(texts[cert], error, part, cert) ||
        !is_readable(texts[key], error, part, key)) {
        return false;
    }
    if (SSL_CTX_use_certificate_chain_file(context, texts[cert]) != 1) {
        return fail_by_library(error, part, cert, texts[cert], "it holds no usable certificate");
    }
    struct pass_phrase phrase = {.text = texts[pass]};
    SSL_CTX_set_default_passwd_cb(context, give_pass_phrase);
    SSL_CTX_set_default_passwd_cb_userdata(context, &phrase);
    bool is_loaded = SSL_CTX_use_PrivateKey_file(context, texts[key], SSL_FILETYPE_PEM) == 1 &&
                     SSL_CTX_check_private_key(context) == 1;
    SSL_CTX_set_default_passwd_cb(context, NULL);
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    if (!is_loaded && phrase.was_asked) {
        return fail_by_library(error, part, pass, texts[key],
                               phrase.text[0] == '\0' ? "the key needs a pass phrase"
                                                      : "the pass phrase does not fit");
    }
    if (!is_loaded) {
        return fail_by_library(error, part, key, texts[key], "it holds no key of the certificate");
    }
    return true;
}

static bool load_authorities(SSL_CTX *context, const struct tls_opts *opts, struct buffer *error,
                             enum tls_part *part) {
    const char *file = opts->texts[TLS_CA_CERT_FILE];
    const char *directory = opts->texts[TLS_CA_CERT_DIR];
    if (file[0] == '\0' && directory[0] == '\0') {
        if (opts->needs_no_authority) {
            return true;
        }
        return fail(error, part, TLS_CA_CERT_FILE, NULL,
                    "TLS needs an authority to trust: tls-ca-cert-file or tls-ca-cert-dir");
    }
    if ((file[0] != '\0' && !is_readable(file, error, part, TLS_CA_CERT_FILE)) ||
        (directory[0] != '\0' && !is_readable(directory, error, part, TLS_CA_CERT_DIR))) {
        return false;
    }
    if (SSL_CTX_load_verify_locations(context, file[0] != '\0' ? file : NULL,
                                      directory[0] != '\0' ? directory : NULL) != 1) {
        return fail_by_library(error, part, file[0] != '\0' ? TLS_CA_CERT_FILE : TLS_CA_CERT_DIR,
                               file[0] != '\0' ? file : directory,
                               "it holds no usable certificate");
    }
    return true;
}

static bool set_protocols(SSL_CTX *context, const char *text, struct buffer *error,
                          enum tls_part *part) {
    static const char BLANKS[] = " \t,";
    bool has_2 = text[0] == '\0', has_3 = text[0] == '\0';
    for (const char *at = text + strspn(text, BLANKS); *at != '\0'; at += strspn(at, BLANKS)) {
        size_t size = strcspn(at, BLANKS);
        bool is_2 = size == 7 && strncasecmp(at, "TLSv1.2", size) == 0;
        bool is_3 = size == 7 && strncasecmp(at, "TLSv1.3", size) == 0;
        if (!is_2 && !is_3) {
            return fail(error, part, TLS_PROTOCOLS, NULL,
                        "the protocols are TLSv1.2 and TLSv1.3; older ones are not offered");
        }
        has_2 = has_2 || is_2;
        has_3 = has_3 || is_3;
        at += size;
    }
    if (!has_2 && !has_3) {
        return fail(error, part, TLS_PROTOCOLS, NULL, "the protocols are TLSv1.2 and TLSv1.3");
    }
    if (SSL_CTX_set_min_proto_version(context, has_2 ? TLS1_2_VERSION : TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(context, has_3 ? TLS1_3_VERSION : TLS1_2_VERSION) != 1) {
        return fail(error, part, TLS_PROTOCOLS, NULL, error_words());
    }
    return true;
}

static bool set_ciphers(SSL_CTX *context, const char *const texts[], struct buffer *error,
                        enum tls_part *part) {
    if (texts[TLS_CIPHERS][0] != '\0' &&
        SSL_CTX_set_cipher_list(context, texts[TLS_CIPHERS]) != 1) {
        return fail(error, part, TLS_CIPHERS, NULL, error_words());
    }
    if (texts[TLS_CIPHERSUITES][0] != '\0' &&
        SSL_CTX_set_ciphersuites(context, texts[TLS_CIPHERSUITES]) != 1) {
        return fail(error, part, TLS_CIPHERSUITES, NULL, error_words());
    }
    return true;
}

static int on_verify(int is_good, X509_STORE_CTX *chain);

/* `cert` is the certificate to show; its key and pass phrase are the next two parts. */
static SSL_CTX *build_context(const struct tls_opts *opts, enum tls_part cert, struct buffer *error,
                              enum tls_part *part) {
    const char *const *texts = opts->texts;
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    if (context == NULL) {
        (void)fail(error, part, cert, NULL, error_words());
        return NULL;
    }
    (void)SSL_CTX_set_options(
        context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
                     (opts->prefers_server_ciphers ? SSL_OP_CIPHER_SERVER_PREFERENCE : 0));
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(context, 0);
    (void)SSL_CTX_set_dh_auto(context, 1);
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_verify);
    if (!load_identity(context, texts, cert, error, part) ||
        !load_authorities(context, opts, error, part) ||
        !set_protocols(context, texts[TLS_PROTOCOLS], error, part) ||
        !set_ciphers(context, texts, error, part)) {
        SSL_CTX_free(context);
        context = NULL;
    }
    ERR_clear_error();
    return context;
}

static void contexts_free(struct tls_contexts *contexts) {
    SSL_CTX_free(contexts->dialler);
    SSL_CTX_free(contexts->acceptor);
    *contexts = (struct tls_contexts){0};
}

static bool contexts_build(struct tls_contexts *contexts, const struct tls_opts *opts,
                           struct buffer *error, enum tls_part *part) {
    bool has_client =
        opts->texts[TLS_CLIENT_CERT_FILE][0] != '\0' || opts->texts[TLS_CLIENT_KEY_FILE][0] != '\0';
    *contexts = (struct tls_contexts){0};
    contexts->acceptor = build_context(opts, TLS_CERT_FILE, error, part);
    if (contexts->acceptor != NULL) {
        contexts->dialler =
            build_context(opts, has_client ? TLS_CLIENT_CERT_FILE : TLS_CERT_FILE, error, part);
    }
    if (contexts->dialler == NULL) {
        contexts_free(contexts);
        return false;
    }
    return true;
}

static void take_marks(const char *const texts[], struct file_mark marks[FILES_COUNT]) {
    for (size_t i = 0; i < FILES_COUNT; i++) {
        struct stat about;
        marks[i] = (struct file_mark){0};
        if (texts[FILES[i]][0] != '\0' && stat(texts[FILES[i]], &about) == 0) {
            marks[i] = (struct file_mark){.is_there = true,
                                          .device = about.st_dev,
                                          .inode = about.st_ino,
                                          .size = about.st_size,
                                          .modified = about.st_mtim,
                                          .changed = about.st_ctim};
        }
    }
}

static bool is_same_time(const struct timespec *a, const struct timespec *b) {
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool marks_are_equal(const struct file_mark a[FILES_COUNT],
                            const struct file_mark b[FILES_COUNT]) {
    for (size_t i = 0; i < FILES_COUNT; i++) {
        if (a[i].is_there != b[i].is_there || a[i].device != b[i].device ||
            a[i].inode != b[i].inode || a[i].size != b[i].size ||
            !is_same_time(&a[i].modified, &b[i].modified) ||
            !is_same_time(&a[i].changed, &b[i].changed)) {
            return false;
        }
    }
    return true;
}

struct tls *tls_new(void) {
    struct tls *tls = memory_alloc_zero(sizeof(*tls));
    for (size_t i = 0; i < TLS_PARTS_COUNT; i++) {
        tls->texts[i] = memory_copy_text("");
    }
    return tls;
}

void tls_free(struct tls *tls) {
    contexts_free(&tls->contexts);
    for (size_t i = 0; i < TLS_PARTS_COUNT; i++) {
        memory_free(tls->texts[i]);
    }
    memory_free(tls);
}

bool tls_load(struct tls *tls, const struct tls_opts *opts, struct buffer *error,
              enum tls_part *part) {
    struct file_mark marks[FILES_COUNT];
    struct tls_contexts contexts;
    /* Before they are read: a change meanwhile is seen by the next look. */
    take_marks(opts->texts, marks);
    if (!contexts_build(&contexts, opts, error, part)) {
        return false;
    }
    contexts_free(&tls->contexts);
    tls->contexts = contexts;
    tls->prefers_server_ciphers = opts->prefers_server_ciphers;
    tls->needs_no_authority = opts->needs_no_authority;
    for (size_t i = 0; i < TLS_PARTS_COUNT; i++) {
        char *copy = memory_copy_text(opts->texts[i]);
        memory_free(tls->texts[i]);
        tls->texts[i] = copy;
    }
    memcpy(tls->marks, marks, sizeof(marks));
    tls->has_candidate = false;
    return true;
}

bool tls_is_loaded(const struct tls *tls, const struct tls_opts *opts) {
    bool is_equal = tls->contexts.acceptor != NULL &&
                    tls->prefers_server_ciphers == opts->prefers_server_ciphers &&
                    tls->needs_no_authority == opts->needs_no_authority;
    for (size_t i = 0; i < TLS_PARTS_COUNT; i++) {
        is_equal = is_equal && strcmp(tls->texts[i], opts->texts[i]) == 0;
    }
    return is_equal;
}

enum tls_look tls_look(struct tls *tls, struct buffer *error) {
    struct file_mark marks[FILES_COUNT];
    struct tls_opts opts = {.prefers_server_ciphers = tls->prefers_server_ciphers,
                            .needs_no_authority = tls->needs_no_authority};
    memcpy(opts.texts, tls->texts, sizeof(opts.texts));
    if (tls->contexts.acceptor == NULL) {
        return TLS_LOOK_SAME;
    }
    take_marks(opts.texts, marks);
    if (marks_are_equal(marks, tls->marks)) {
        tls->has_candidate = false;
        return TLS_LOOK_SAME;
    }
    if (!tls->has_candidate || !marks_are_equal(marks, tls->candidate)) {
        tls->has_candidate = true;
        memcpy(tls->candidate, marks, sizeof(marks));
        return TLS_LOOK_SAME;
    }
    tls->has_candidate = false;
    memcpy(tls->marks, marks, sizeof(marks));
    struct tls_contexts contexts;
    enum tls_part part;
    if (!contexts_build(&contexts, &opts, error, &part)) {
        return TLS_LOOK_BAD;
    }
    contexts_free(&tls->contexts);
    tls->contexts = contexts;
    return TLS_LOOK_LOADED;
}

int64_t tls_ends_unix_seconds(const struct tls *tls) {
    struct tm time = {0};
    const X509 *certificate =
        tls->contexts.acceptor != NULL ? SSL_CTX_get0_certificate(tls->contexts.acceptor) : NULL;
    if (certificate == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) != 1) {
        return 0;
    }
    return (int64_t)timegm(&time);
}

/* ---- why a session ended ---- */

static void set_failure(struct tls_session *session, enum tls_fault fault, bool is_by_peer,
                        const char *text) {
    struct tls_failure *failure = &session->failure;
    if (failure->fault != TLS_FAULT_NONE) {
        return;
    }
    failure->fault = fault;
    failure->is_by_peer = is_by_peer;
    if (text != NULL) {
        (void)snprintf(failure->text, sizeof(failure->text), "%s", text);
    }
}

/* Appends the name in a certificate, which anybody may have made. */
static void append_subject(char *text, size_t room, const X509 *certificate) {
    char name[SUBJECT_BYTES_MAX + 1] = "";
    size_t used = strlen(text);
    (void)X509_NAME_oneline(X509_get_subject_name(certificate), name, sizeof(name));
    for (char *at = name; *at != '\0'; at++) {
        *at = *at >= ' ' && *at < 0x7F ? *at : '?';
    }
    (void)snprintf(text + used, room - used, " (%s)", name);
}

/* Notes what is wrong with a chain; OpenSSL goes on to end the handshake. */
static int on_verify(int is_good, X509_STORE_CTX *chain) {
    const SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *session = (struct tls_session *)SSL_get_app_data(ssl);
    const X509 *certificate = X509_STORE_CTX_get0_cert(chain);
    if (!is_good && session->failure.text[0] == '\0') {
        char *text = session->failure.text;
        (void)snprintf(text, sizeof(session->failure.text), "%s",
                       X509_verify_cert_error_string(X509_STORE_CTX_get_error(chain)));
        if (certificate != NULL) {
            append_subject(text, sizeof(session->failure.text), certificate);
        }
    }
    return is_good;
}

static bool is_about_certificate(int alert) {
    return (alert >= ALERT_NO_CERTIFICATE && alert <= ALERT_CERTIFICATE_UNKNOWN) ||
           alert == ALERT_UNKNOWN_CA || alert == ALERT_CERTIFICATE_REQUIRED;
}

static void fail_by_alert(struct tls_session *session, int alert, const char *words) {
    /* "tlsv1 alert unknown ca" */
    const char *name = strstr(words, "alert ");
    bool is_certificate = is_about_certificate(alert);
    set_failure(session, is_certificate ? TLS_FAULT_CERTIFICATE : TLS_FAULT_PROTOCOL, true,
                name != NULL ? name + strlen("alert ") : words);
}

static void fail_by_error(struct tls_session *session) {
    unsigned long code = ERR_peek_error();
    const char *words = ERR_reason_error_string(code);
    int reason = ERR_GET_REASON(code);
    words = words != NULL ? words : "an error of the library";
    if (ERR_GET_LIB(code) != ERR_LIB_SSL) {
        set_failure(session, TLS_FAULT_PROTOCOL, false, words);
        return;
    }
    if (reason > SSL_AD_REASON_OFFSET) {
        fail_by_alert(session, reason - SSL_AD_REASON_OFFSET, words);
        return;
    }
    switch (reason) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        /* The words came with on_verify(). */
        set_failure(session, TLS_FAULT_CERTIFICATE, false,
                    session->failure.text[0] == '\0' ? words : NULL);
        return;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        set_failure(session, TLS_FAULT_CERTIFICATE, false, "it shows none");
        return;
#ifdef SSL_R_UNEXPECTED_EOF_WHILE_READING
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        set_failure(session, TLS_FAULT_CLOSED, false, "closed");
        return;
#endif
    default:
        set_failure(session, TLS_FAULT_PROTOCOL, false, words);
        return;
    }
}

/* What OpenSSL wants after `result`, or how it failed. */
static enum tls_step step_of(struct tls_session *session, int result) {
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANTS_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANTS_WRITE;
    case SSL_ERROR_SSL:
        fail_by_error(session);
        break;
    default: /* an end, in order or not */
        set_failure(session, TLS_FAULT_CLOSED, false, "closed");
        break;
    }
    ERR_clear_error();
    return TLS_FAILED;
}

/* ---- sessions ---- */

struct tls_session *tls_session_new(const struct tls *tls, int descriptor, enum tls_role role) {
    SSL_CTX *context = role == TLS_DIALLER ? tls->contexts.dialler : tls->contexts.acceptor;
    SSL *ssl = context != NULL ? SSL_new(context) : NULL;
    if (ssl == NULL || SSL_set_fd(ssl, descriptor) != 1) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    struct tls_session *session = memory_alloc_zero(sizeof(*session));
    session->ssl = ssl;
    session->descriptor = descriptor;
    session->is_dialler = role == TLS_DIALLER;
    SSL_set_app_data(ssl, session);
    switch (role) {
    case TLS_DIALLER:
        SSL_set_connect_state(ssl);
        return session;
    case TLS_ACCEPTOR:
        break;
    case TLS_ACCEPTOR_OPTIONAL:
        SSL_set_verify(ssl, SSL_VERIFY_PEER, on_verify);
        break;
    case TLS_ACCEPTOR_OPEN:
        SSL_set_verify(ssl, SSL_VERIFY_NONE, on_verify);
        break;
    }
    SSL_set_accept_state(ssl);
    return session;
}

void tls_session_free(struct tls_session *session) {
    if (session->is_up && session->failure.fault == TLS_FAULT_NONE) {
        (void)SSL_shutdown(session->ssl);
    }
    ERR_clear_error();
    SSL_free(session->ssl);
    memory_free(session);
}

/* Looks at the first bytes of the other side, which stay in the socket. What is no TLS is told from
 * bad TLS here, since OpenSSL has many names for it. */
static enum tls_step look_at_peer(struct tls_session *session) {
    uint8_t first[2];
    ssize_t size = recv(session->descriptor, first, sizeof(first), MSG_PEEK);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return TLS_WANTS_READ;
    }
    if (size <= 0) {
        set_failure(session, TLS_FAULT_CLOSED, false, "closed");
        return TLS_FAILED;
    }
    if ((first[0] != RECORD_HANDSHAKE && first[0] != RECORD_ALERT) ||
        (size > 1 && first[1] != RECORD_MAJOR)) {
        set_failure(session, TLS_FAULT_NOT_TLS, false, "it speaks no TLS");
        return TLS_FAILED;
    }
    session->is_peer_known = true;
    return TLS_DONE;
}

enum tls_step tls_session_shake(struct tls_session *session) {
    if (session->failure.fault != TLS_FAULT_NONE) {
        return TLS_FAILED;
    }
    if (!session->is_peer_known) {
        enum tls_step step = look_at_peer(session);
        /* A dialler speaks first. */
        if (step == TLS_FAILED || (step == TLS_WANTS_READ && !session->is_dialler)) {
            return step;
        }
    }
    ERR_clear_error();
    int result = SSL_do_handshake(session->ssl);
    if (result != 1) {
        return step_of(session, result);
    }
    session->is_up = true;
    return TLS_DONE;
}

size_t tls_session_read(struct tls_session *session, char *at, size_t room, enum tls_step *step) {
    size_t total = 0;
    *step = TLS_DONE;
    while (total < room) {
        if (session->failure.fault != TLS_FAULT_NONE) {
            *step = TLS_FAILED;
            break;
        }
        int wanted = room - total < INT_MAX ? (int)(room - total) : INT_MAX;
        ERR_clear_error();
        int size = SSL_read(session->ssl, at + total, wanted);
        session->is_drained = size <= 0;
        if (size <= 0) {
            *step = step_of(session, size);
            break;
        }
        total += (size_t)size;
    }
    if (total > 0) {
        *step = TLS_DONE; /* an end is told by the next read */
    }
    return total;
}

size_t tls_session_send(struct tls_session *session, const char *bytes, size_t size,
                        enum tls_step *step) {
    size_t total = 0;
    *step = TLS_DONE;
    while (total < size) {
        if (session->failure.fault != TLS_FAULT_NONE) {
            *step = TLS_FAILED;
            break;
        }
        int wanted = size - total < INT_MAX ? (int)(size - total) : INT_MAX;
        ERR_clear_error();
        int sent = SSL_write(session->ssl, bytes + total, wanted);
        if (sent <= 0) {
            *step = step_of(session, sent);
            break;
        }
        total += (size_t)sent;
    }
    if (total > 0) {
        *step = TLS_DONE;
    }
    return total;
}

bool tls_session_has_pending(const struct tls_session *session) {
    return session->failure.fault != TLS_FAULT_NONE ||
           (!session->is_drained && SSL_has_pending(session->ssl));
}

const struct tls_failure *tls_session_failure(const struct tls_session *session) {
    return &session->failure;
}
