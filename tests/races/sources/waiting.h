/* Sockets on which a call waits: a listener that nobody connects to, full backlogs, full and silent streams. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline void fatal(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(99);
}

static inline struct sockaddr_in local(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static inline int port_of(int fd) {
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    if (getsockname(fd, (void *)&a, &n)) fatal("getsockname");
    return ntohs(a.sin_port);
}

static inline int tcp_listener(int port, int backlog) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = local(port);
    if (fd < 0 || bind(fd, (void *)&a, sizeof a) || listen(fd, backlog)) return -1;
    return fd;
}

static inline void limit_time(int fd, int option, int ms) {
    struct timeval t = {ms / 1000, ms % 1000 * 1000};
    if (setsockopt(fd, SOL_SOCKET, option, &t, sizeof t)) fatal("setsockopt");
}

/* An address where connect(2) of a stream socket waits. */
static inline struct sockaddr_in silent_port(void) {
    int fd = tcp_listener(0, 0);
    if (fd < 0) fatal("listener");
    struct sockaddr_in a = local(port_of(fd));
    for (int i = 0; i < 4; i++) {
        int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(c, (void *)&a, sizeof a) && errno != EINPROGRESS) fatal("filling");
    }
    return a;
}

static inline struct sockaddr_un full_name(void) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "full-%d-%d", getpid(), fd);
    if (bind(fd, (void *)&a, sizeof a) || listen(fd, 0)) fatal("unix listener");
    for (int i = 0; i < 8; i++) {
        int c = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(c, (void *)&a, sizeof a)) {  // EAGAIN: test_waiting.py asks for that
            close(c);
            return a;
        }
    }
    fatal("a backlog without end");
    return a;
}

static inline int full_stream(void) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) fatal("socketpair");
    char data[4096] = {0};
    while (send(pair[0], data, sizeof data, MSG_DONTWAIT) > 0) continue;
    while (send(pair[0], data, 1, MSG_DONTWAIT) > 0) continue;
    return pair[0];
}

static inline int silent_stream(void) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) fatal("socketpair");
    return pair[0];
}

/* The waiting calls by name. Each makes its socket once and waits as often as `wait_once` is called. */
enum op { ACCEPT, ACCEPT_LIMITED, CONNECT_UNIX, CONNECT_TCP, SEND, RECV, OPS };
static const char *const op_names[OPS] = {"accept", "accept-limited", "connect-unix", "connect-tcp", "send", "recv"};

struct place {
    enum op op;
    int fd;
    struct sockaddr_in in;
    struct sockaddr_un un;
};

static inline struct place place_for(enum op op) {
    struct place p = {.op = op};
    switch (op) {
    case ACCEPT: p.fd = tcp_listener(0, 8); break;
    case ACCEPT_LIMITED: p.fd = tcp_listener(0, 8); limit_time(p.fd, SO_RCVTIMEO, 60000); break;
    case CONNECT_UNIX: p.un = full_name(); p.fd = socket(AF_UNIX, SOCK_STREAM, 0); break;
    case CONNECT_TCP: p.in = silent_port(); p.fd = socket(AF_INET, SOCK_STREAM, 0); break;
    case SEND: p.fd = full_stream(); break;
    default: p.fd = silent_stream();
    }
    if (p.fd < 0) fatal(op_names[op]);
    return p;
}

static inline long wait_once(struct place *p) {
    char data[4096] = {0};
    switch (p->op) {
    case ACCEPT:
    case ACCEPT_LIMITED: return accept(p->fd, NULL, NULL);
    case CONNECT_UNIX: return connect(p->fd, (void *)&p->un, sizeof p->un);
    case CONNECT_TCP: return connect(p->fd, (void *)&p->in, sizeof p->in);
    case SEND: return send(p->fd, data, sizeof data, 0);
    default: return recv(p->fd, data, sizeof data, 0);
    }
}

static inline enum op op_of(const char *name) {
    for (int i = 0; i < OPS; i++)
        if (!strcmp(op_names[i], name)) return i;
    errno = EINVAL;
    fatal(name);
    return 0;
}
