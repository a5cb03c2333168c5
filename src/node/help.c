/* SPDX-License-Identifier: BSD-3-Clause */
#include "node/help.h"

void help_reply(struct command_context *ctx, const char *const *lines, size_t count) {
    /* The name it was called by: it may be a new one. */
    char upper[128];
    size_t size = 0;
    for (; size < sizeof(upper) - 1 && size < ctx->args[0].size; size++) {
        char c = ctx->args[0].data[size];
        upper[size] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    upper[size] = '\0';
    reply_array(ctx->reply, count + 3);
    struct buffer *out = ctx->reply->out;
    buffer_printf(out, "+%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n", upper);
    for (size_t i = 0; i < count; i++) {
        reply_simple(ctx->reply, lines[i]);
    }
    reply_simple(ctx->reply, "HELP");
    reply_simple(ctx->reply, "    Print this help.");
}
