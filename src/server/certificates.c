/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/certificates.h"

#include <stdarg.h>
#include <time.h>

#include "base/memory.h"
#include "platform/process.h"

enum {
    LOOK_US = 1000000,
    DAY_SECONDS = 86400,
    EXPIRES_SOON_SECONDS = 14 * DAY_SECONDS,
};

struct certificates {
    const struct options *options;
    struct tls *tls;
    uint64_t looked_us;
    int64_t warned_day; /* about the end of the certificate, in days since 1970 */
    certificates_say_fn say;
    void *udata;
};

static const enum option_id OPTION_OF_PART[TLS_PARTS_COUNT] = {
    [TLS_CERT_FILE] = OPTION_tls_cert_file,
    [TLS_KEY_FILE] = OPTION_tls_key_file,
    [TLS_KEY_FILE_PASS] = OPTION_tls_key_file_pass,
    [TLS_CLIENT_CERT_FILE] = OPTION_tls_client_cert_file,
    [TLS_CLIENT_KEY_FILE] = OPTION_tls_client_key_file,
    [TLS_CLIENT_KEY_FILE_PASS] = OPTION_tls_client_key_file_pass,
    [TLS_CA_CERT_FILE] = OPTION_tls_ca_cert_file,
    [TLS_CA_CERT_DIR] = OPTION_tls_ca_cert_dir,
    [TLS_PROTOCOLS] = OPTION_tls_protocols,
    [TLS_CIPHERS] = OPTION_tls_ciphers,
    [TLS_CIPHERSUITES] = OPTION_tls_ciphersuites,
};

static void say(const struct certificates *certificates, enum log_level level, const char *format,
                ...) __attribute__((format(printf, 3, 4)));

static void say(const struct certificates *certificates, enum log_level level, const char *format,
                ...) {
    struct buffer text = {0};
    va_list args;
    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    certificates->say(certificates->udata, level, buffer_text(&text));
    buffer_deinit(&text);
}

static struct tls_opts opts_of(const struct options *options) {
    return (struct tls_opts){
        .texts = {[TLS_CERT_FILE] = options->tls_cert_file,
                  [TLS_KEY_FILE] = options->tls_key_file,
                  [TLS_KEY_FILE_PASS] = options->tls_key_file_pass,
                  [TLS_CLIENT_CERT_FILE] = options->tls_client_cert_file,
                  [TLS_CLIENT_KEY_FILE] = options->tls_client_key_file,
                  [TLS_CLIENT_KEY_FILE_PASS] = options->tls_client_key_file_pass,
                  [TLS_CA_CERT_FILE] = options->tls_ca_cert_file,
                  [TLS_CA_CERT_DIR] = options->tls_ca_cert_dir,
                  [TLS_PROTOCOLS] = options->tls_protocols,
                  [TLS_CIPHERS] = options->tls_ciphers,
                  [TLS_CIPHERSUITES] = options->tls_ciphersuites},
        .prefers_server_ciphers = options->tls_prefer_server_ciphers,
        .needs_no_authority =
            !options->mesh_tls && options->tls_auth_clients == OPTION_TLS_AUTH_CLIENTS_NO};
}

static bool is_used(const struct options *options) {
    return options->mesh_tls || options->tls_port != 0;
}

/* Until when the certificate is good; a warning, once a day, when that is soon or past. */
static void tell_end(struct certificates *certificates, bool is_new) {
    int64_t end = tls_ends_unix_seconds(certificates->tls);
    int64_t now = process_unix_ms() / 1000;
    char date[32] = "?";
    struct tm utc;
    time_t seconds = (time_t)end;
    if (gmtime_r(&seconds, &utc) != NULL) {
        (void)strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S UTC", &utc);
    }
    if (is_new) {
        say(certificates, LOG_LEVEL_NOTICE, "TLS: the certificate in %s is good until %s",
            certificates->options->tls_cert_file, date);
        certificates->warned_day = 0;
    }
    if (end - now < EXPIRES_SOON_SECONDS && certificates->warned_day != now / DAY_SECONDS) {
        certificates->warned_day = now / DAY_SECONDS;
        say(certificates, LOG_LEVEL_WARNING,
            end > now ? "TLS: the certificate in %s ends on %s: replace it, no restart is needed"
                      : "TLS: the certificate in %s has ended on %s: others will refuse it",
            certificates->options->tls_cert_file, date);
    }
}

struct certificates *certificates_new(const struct options *options, certificates_say_fn say_fn,
                                      void *udata) {
    struct certificates *certificates = memory_alloc_zero(sizeof(*certificates));
    certificates->options = options;
    certificates->tls = tls_new();
    certificates->say = say_fn;
    certificates->udata = udata;
    return certificates;
}

void certificates_free(struct certificates *certificates) {
    tls_free(certificates->tls);
    memory_free(certificates);
}

bool certificates_follow_options(struct certificates *certificates, struct buffer *error,
                                 enum option_id *guilty) {
    struct tls_opts opts = opts_of(certificates->options);
    enum tls_part part;
    if (!is_used(certificates->options) || tls_is_loaded(certificates->tls, &opts)) {
        return true;
    }
    if (!tls_load(certificates->tls, &opts, error, &part)) {
        *guilty = OPTION_OF_PART[part];
        return false;
    }
    tell_end(certificates, true);
    return true;
}

void certificates_tick(struct certificates *certificates, uint64_t now_us) {
    if (!is_used(certificates->options) || now_us - certificates->looked_us < LOOK_US) {
        return;
    }
    certificates->looked_us = now_us;
    struct buffer error = {0};
    enum tls_look look = tls_look(certificates->tls, &error);
    if (look == TLS_LOOK_LOADED) {
        say(certificates, LOG_LEVEL_NOTICE,
            "TLS: the files have changed: new connections use what is in them now");
    } else if (look == TLS_LOOK_BAD) {
        say(certificates, LOG_LEVEL_WARNING,
            "TLS: the files have changed, but cannot be used: %s. What was loaded before stays.",
            buffer_text(&error));
    }
    tell_end(certificates, look == TLS_LOOK_LOADED);
    buffer_deinit(&error);
}

const struct tls *certificates_tls(const struct certificates *certificates) {
    return certificates->tls;
}
