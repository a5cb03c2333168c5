/* SPDX-License-Identifier: BSD-3-Clause */
/* Ten thousand connections that have been used once and now idle: what each costs the server in
 * resident memory, and that it serves all of them and lets go of them again. */
#include "clients/server_process.h"

#include <sys/resource.h>

enum { CONNECTIONS = 10000, CONNECTION_BYTES_MAX = 4096 };

static struct server_process server;
static int fds[CONNECTIONS];
static int64_t idle_bytes;

static int64_t resident_bytes(void) {
    char path[64];
    long long pages = 0, resident = 0;
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)server.pid);
    FILE *file = fopen(path, "r");
    REQUIRE(file != NULL);
    REQUIRE(fscanf(file, "%lld %lld", &pages, &resident) == 2);
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

static int connect_once(void) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(0x7f000001),
                                  .sin_port = htons((uint16_t)server.port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(fd >= 0);
    REQUIRE(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

static bool pings(int fd) {
    char reply[7];
    return write(fd, "PING\r\n", 6) == 6 && recv(fd, reply, 7, MSG_WAITALL) == 7 &&
           memcmp(reply, "+PONG\r\n", 7) == 0;
}

static void each_is_served(void) {
    int wrong = 0;
    idle_bytes = resident_bytes();
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = connect_once();
        wrong += !pings(fds[i]);
    }
    CHECK(wrong == 0);
}

static void each_costs_little(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    printf("memory is not measured in a sanitizer build\n");
#else
    int64_t each = 0;
    int64_t deadline = server_now_ms() + 10000;
    do {
        server_sleep_ms(200);
        each = (resident_bytes() - idle_bytes) / CONNECTIONS;
    } while (each > CONNECTION_BYTES_MAX && server_now_ms() < deadline);
    printf("an idle connection costs %lld bytes\n", (long long)each);
    CHECK(each <= CONNECTION_BYTES_MAX);
#endif
}

static void each_is_served_again(void) {
    int wrong = 0;
    for (int i = CONNECTIONS - 1; i >= 0; i--) {
        wrong += !pings(fds[i]);
    }
    CHECK(wrong == 0);
}

static void all_leave(void) {
    for (int i = 0; i < CONNECTIONS; i++) {
        close(fds[i]);
    }
    int fd = connect_once();
    int64_t deadline = server_now_ms() + (int64_t)(10000 * server_patience());
    bool are_gone = false;
    while (!are_gone && server_now_ms() < deadline) {
        char text[4096] = "";
        REQUIRE(write(fd, "INFO clients\r\n", 14) == 14);
        REQUIRE(read(fd, text, sizeof(text) - 1) > 0);
        are_gone = strstr(text, "connected_clients:1\r\n") != NULL;
        server_sleep_ms(20);
    }
    CHECK(are_gone);
    CHECK(pings(fd));
    close(fd);
}

int main(int argc, char **argv) {
    struct rlimit limit;
    server_program(argc, argv);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < CONNECTIONS + 200) {
        printf("only %llu open files are allowed here\n", (unsigned long long)limit.rlim_max);
        server_state.failed++;
        return server_summary();
    }
    server_start(&server, (const char *const[]){"--save", "", "--appendonly", "no", "--maxclients",
                                                "10100", NULL});
    RUN(each_is_served);
    RUN(each_costs_little);
    RUN(each_is_served_again);
    RUN(all_leave);
    server_stop(&server, SIGTERM);
    server_remove(&server);
    return server_summary();
}
