/* SPDX-License-Identifier: BSD-3-Clause */
/* The server: one node wired to the outside world. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "config/config.h"

/* Serves until a shutdown is asked for; returns the process's exit status. `argv` is for starting
 * anew on request. */
int server_run(struct options *options, char **argv);

#endif
