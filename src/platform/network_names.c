/* SPDX-License-Identifier: BSD-3-Clause */
/* Names and addresses. */
#include "platform/network_internal.h"

#include <arpa/inet.h>
#include <event2/util.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/memory.h"

enum { ADDRESS_BYTES = 64 }; /* of a numeric address with its port */

static void lookup_end(struct lookup *lookup) {
    struct lookup **at = &lookup->network->lookups;
    while (*at != lookup) {
        at = &(*at)->next;
    }
    *at = lookup->next;
    memory_free(lookup);
}

static void lookup_done(int status, struct evutil_addrinfo *found, void *udata) {
    struct lookup *lookup = (struct lookup *)udata;
    char texts[NETWORK_ADDRESSES_MAX][ADDRESS_BYTES];
    const char *addresses[NETWORK_ADDRESSES_MAX];
    size_t count = 0;
    for (const struct evutil_addrinfo *at = found; at != NULL && count < NETWORK_ADDRESSES_MAX;
         at = at->ai_next) {
        char host[INET6_ADDRSTRLEN];
        bool is_ipv6 = at->ai_family == AF_INET6;
        const void *bytes = is_ipv6 ? (const void *)&((struct sockaddr_in6 *)at->ai_addr)->sin6_addr
                                    : (const void *)&((struct sockaddr_in *)at->ai_addr)->sin_addr;
        if ((is_ipv6 || at->ai_family == AF_INET) &&
            inet_ntop(at->ai_family, bytes, host, sizeof(host)) != NULL) {
            (void)snprintf(texts[count], ADDRESS_BYTES, is_ipv6 ? "[%s]:%u" : "%s:%u", host,
                           lookup->port);
            addresses[count] = texts[count];
            count++;
        }
    }
    if (found != NULL) {
        evutil_freeaddrinfo(found);
    }
    if (!lookup->is_cancelled) {
        lookup->resolved(lookup->udata, lookup->name, lookup->port, addresses, count,
                         count > 0 ? NULL : evutil_gai_strerror(status));
    }
    lookup_end(lookup);
}

/* The resolver as the system is configured now, or NULL. */
static struct evdns_base *lookups_resolver(struct network *network) {
    if (network->dns != NULL && network->lookups == NULL) {
        evdns_base_free(network->dns, 0);
        network->dns = NULL;
    }
    if (network->dns == NULL) {
        network->dns = evdns_base_new(network->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
        if (network->dns != NULL) {
            /* What fails to be read leaves the defaults: a resolver on this machine. */
            (void)evdns_base_resolv_conf_parse(network->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
        }
    }
    return network->dns;
}

void network_resolve(struct network *network, const char *name, unsigned port,
                     network_resolved_fn resolved, void *udata) {
    struct evdns_base *dns =
        strlen(name) <= NETWORK_NAME_BYTES_MAX ? lookups_resolver(network) : NULL;
    if (dns == NULL) {
        resolved(udata, name, port, NULL, 0, evutil_gai_strerror(EVUTIL_EAI_FAIL));
        return;
    }
    struct lookup *lookup = memory_alloc_zero(sizeof(*lookup));
    lookup->network = network;
    lookup->resolved = resolved;
    lookup->udata = udata;
    lookup->port = port;
    (void)snprintf(lookup->name, sizeof(lookup->name), "%s", name);
    lookup->next = network->lookups;
    network->lookups = lookup;
    struct evutil_addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    struct evdns_getaddrinfo_request *request =
        evdns_getaddrinfo(dns, name, NULL, &hints, lookup_done, lookup);
    /* NULL: answered from within, and the lookup is gone. */
    if (request != NULL) {
        lookup->request = request;
    }
}

void network_cancel_lookups(struct network *network) {
    for (struct lookup *lookup = network->lookups; lookup != NULL; lookup = lookup->next) {
        lookup->is_cancelled = true;
        if (lookup->request != NULL) {
            evdns_getaddrinfo_cancel(lookup->request);
        }
    }
    for (int i = 0; i < 4 && network->lookups != NULL; i++) {
        (void)event_base_loop(network->base, EVLOOP_NONBLOCK);
    }
    if (network->dns != NULL) {
        evdns_base_free(network->dns, 0);
    }
}

void network_own_address(const char *address, char *text, size_t text_bytes) {
    /* A datagram socket that is connected sends nothing, but knows its way. The address of the
     * default is one that is reserved for documentation. */
    struct sockaddr_storage there, here;
    int size = sizeof(there);
    socklen_t here_size = sizeof(here);
    char host[INET6_ADDRSTRLEN];
    (void)snprintf(text, text_bytes, "127.0.0.1");
    if (evutil_parse_sockaddr_port(address != NULL ? address : "192.0.2.1:9",
                                   (struct sockaddr *)&there, &size) != 0) {
        return;
    }
    int descriptor = socket(there.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return;
    }
    bool is_known = connect(descriptor, (struct sockaddr *)&there, (socklen_t)size) == 0 &&
                    getsockname(descriptor, (struct sockaddr *)&here, &here_size) == 0;
    (void)close(descriptor);
    bool is_ipv6 = is_known && here.ss_family == AF_INET6;
    const void *bytes = is_ipv6 ? (const void *)&((struct sockaddr_in6 *)&here)->sin6_addr
                                : (const void *)&((struct sockaddr_in *)&here)->sin_addr;
    if (is_known && inet_ntop(here.ss_family, bytes, host, sizeof(host)) != NULL) {
        (void)snprintf(text, text_bytes, is_ipv6 ? "[%s]" : "%s", host);
    }
}
