/* SPDX-License-Identifier: BSD-3-Clause */
/* The server's own log for people: one line a message, to a file or to standard output. */
#ifndef SERVER_MESSAGE_LOG_H
#define SERVER_MESSAGE_LOG_H

#include "config/options.h"
#include "log/log.h"

/* Whether messages can be written; errno says why they cannot. Makes the file. */
bool message_log_is_writable(const struct options *options);
/* Writes "pid:M day month year time mark text" if `level` is loud enough for the options. */
void message_log_write(const struct options *options, enum log_level level, const char *text);

#endif
