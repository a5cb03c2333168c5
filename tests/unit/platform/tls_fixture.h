/* SPDX-License-Identifier: BSD-3-Clause */
/* Certificates for tests, made in a directory of their own by OpenSSL's functions. */
#ifndef TESTS_UNIT_PLATFORM_TLS_FIXTURE_H
#define TESTS_UNIT_PLATFORM_TLS_FIXTURE_H

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A certificate and its key. */
struct identity {
    X509 *certificate;
    EVP_PKEY *key;
};

static char fixture_directory[64];

static inline const char *fixture_path(const char *name) {
    static char paths[8][192];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", fixture_directory, name);
    return path;
}

static inline void fixture_begin(void) {
    (void)snprintf(fixture_directory, sizeof(fixture_directory), "/tmp/starling-tls-XXXXXX");
    assert_non_null(mkdtemp(fixture_directory));
}

static inline void fixture_end(void) {
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", fixture_directory);
    assert_int_equal(system(command), 0);
}

/* Signed by `authority`, or by itself when that is NULL; good from an hour ago for so long. */
static inline struct identity identity_new(const char *name, const struct identity *authority,
                                           long seconds) {
    struct identity identity = {.certificate = X509_new(), .key = EVP_EC_gen("P-256")};
    X509 *certificate = identity.certificate;
    static long serial;
    assert_non_null(identity.key);
    assert_int_equal(X509_set_version(certificate, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), -7200));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), seconds));
    assert_int_equal(X509_set_pubkey(certificate, identity.key), 1);
    assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN",
                                                MBSTRING_ASC, (const unsigned char *)name, -1, -1,
                                                0),
                     1);
    const X509 *issuer = authority != NULL ? authority->certificate : certificate;
    assert_int_equal(X509_set_issuer_name(certificate, X509_get_subject_name(issuer)), 1);
    if (authority == NULL) {
        X509_EXTENSION *constraint =
            X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
        assert_int_equal(X509_add_ext(certificate, constraint, -1), 1);
        X509_EXTENSION_free(constraint);
    }
    assert_true(X509_sign(certificate, authority != NULL ? authority->key : identity.key,
                          EVP_sha256()) > 0);
    return identity;
}

static inline void identity_free(struct identity *identity) {
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
}

/* Writes name.crt and name.key, replacing what was there; the key under a pass phrase if any. */
static inline void identity_write(const struct identity *identity, const char *name,
                                  const char *pass) {
    char file[96];
    (void)snprintf(file, sizeof(file), "%s.crt", name);
    FILE *out = fopen(fixture_path(file), "w");
    assert_non_null(out);
    assert_int_equal(PEM_write_X509(out, identity->certificate), 1);
    assert_int_equal(fclose(out), 0);
    (void)snprintf(file, sizeof(file), "%s.key", name);
    out = fopen(fixture_path(file), "w");
    assert_non_null(out);
    assert_int_equal(PEM_write_PrivateKey(out, identity->key,
                                          pass != NULL ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
                                          (void *)pass),
                     1);
    assert_int_equal(fclose(out), 0);
}

#endif
