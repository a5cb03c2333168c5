/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of TLS, as a struct tls that follows them and their files. */
#ifndef SERVER_CERTIFICATES_H
#define SERVER_CERTIFICATES_H

#include "base/buffer.h"
#include "config/config.h"
#include "log/log.h"
#include "platform/tls.h"

struct certificates;

typedef void (*certificates_say_fn)(void *udata, enum log_level level, const char *text);

/* `options` outlive it. */
struct certificates *certificates_new(const struct options *options, certificates_say_fn say,
                                      void *udata);
void certificates_free(struct certificates *certificates);
/* Loads what the options name, if anything uses TLS and it is not loaded yet. False, with words in
 * `error` and the option that is to blame in `*guilty`; then what was loaded before stays. */
bool certificates_follow_options(struct certificates *certificates, struct buffer *error,
                                 enum option_id *guilty);
/* To be called now and then: loads files that have changed. */
void certificates_tick(struct certificates *certificates, uint64_t now_us);
/* Its address never changes; nothing is loaded in it while nothing uses TLS. */
const struct tls *certificates_tls(const struct certificates *certificates);

#endif
