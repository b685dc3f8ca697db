/* The measured program: calls PEER's sockets in tight loops and prints, a line a call, the nanoseconds that one call
 * took in each batch:  NAME NS NS NS ...
 *
 * usage: calls BATCHES MILLISECONDS TCP_PORT UDP_PORT UNIX_PATH ABSTRACT_NAME
 *
 * A batch is made so long that it takes about MILLISECONDS, within the call's own limit. Sockets that a batch uses up
 * are made before its clock starts. Every call must succeed: a failure ends the program.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MOST 2000
#define MOST_CONNECTIONS 200
#define MOST_TCP 50 /* each leaves a TIME_WAIT behind: a whole run has to stay well below the 28,000 local ports */

static struct sockaddr_in tcp, udp;
static struct sockaddr_un path, name;
static socklen_t path_size, name_size;
static char payload[64];

#define CHECK(what) ((what) < 0 ? (perror(#what), exit(1)) : (void)0)

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1e9 + at.tv_nsec;
}

static int make(int family, int type)
{
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    CHECK(fd);
    return fd;
}

static double socket_close(int count)
{
    double start = now();
    for (int i = 0; i < count; i++)
        close(make(AF_INET, SOCK_DGRAM));
    return now() - start;
}

static double connect_close(int family, const void *address, socklen_t size, int count)
{
    int fds[MOST_CONNECTIONS];
    for (int i = 0; i < count; i++)
        fds[i] = make(family, SOCK_STREAM);
    double start = now();
    for (int i = 0; i < count; i++) {
        CHECK(connect(fds[i], address, size));
        close(fds[i]);
    }
    return now() - start;
}

static double tcp_connect(int count) { return connect_close(AF_INET, &tcp, sizeof tcp, count); }
static double path_connect(int count) { return connect_close(AF_UNIX, &path, path_size, count); }
static double abstract_connect(int count) { return connect_close(AF_UNIX, &name, name_size, count); }

static double udp_connect(int count)
{
    int fd = make(AF_INET, SOCK_DGRAM);
    double start = now();
    for (int i = 0; i < count; i++)
        CHECK(connect(fd, (struct sockaddr *)&udp, sizeof udp));
    double took = now() - start;
    close(fd);
    return took;
}

static double get_name(int count)
{
    struct sockaddr_in address;
    int fd = make(AF_INET, SOCK_DGRAM);
    CHECK(connect(fd, (struct sockaddr *)&udp, sizeof udp));
    double start = now();
    for (int i = 0; i < count; i++) {
        socklen_t size = sizeof address;
        CHECK(getsockname(fd, (struct sockaddr *)&address, &size));
    }
    double took = now() - start;
    close(fd);
    return took;
}

static double send_to(int count)
{
    int fd = make(AF_INET, SOCK_DGRAM);
    double start = now();
    for (int i = 0; i < count; i++)
        CHECK(sendto(fd, payload, sizeof payload, 0, (struct sockaddr *)&udp, sizeof udp));
    double took = now() - start;
    close(fd);
    return took;
}

static double send_message(int count)
{
    struct iovec part = {payload, sizeof payload};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    int fd = make(AF_INET, SOCK_DGRAM);
    CHECK(connect(fd, (struct sockaddr *)&udp, sizeof udp));
    double start = now();
    for (int i = 0; i < count; i++)
        CHECK(sendmsg(fd, &message, 0));
    double took = now() - start;
    close(fd);
    return took;
}

static const struct { const char *name; int most; double (*batch)(int); } CALLS[] = {
    {"socket", MOST, socket_close},
    {"connect-tcp", MOST_TCP, tcp_connect},
    {"connect-udp", MOST, udp_connect},
    {"connect-unix-path", MOST_CONNECTIONS, path_connect},
    {"connect-unix-abstract", MOST_CONNECTIONS, abstract_connect},
    {"getsockname", MOST, get_name},
    {"sendto", MOST, send_to},
    {"sendmsg", MOST, send_message},
};

static struct sockaddr_in loopback(const char *port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(atoi(port)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

static socklen_t local(struct sockaddr_un *address, int abstract, const char *text)
{
    address->sun_family = AF_UNIX;
    strncpy(address->sun_path + abstract, text, sizeof address->sun_path - 2);
    return offsetof(struct sockaddr_un, sun_path) + strlen(text) + 1;
}

int main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    int batches = atoi(argv[1]);
    double wanted = atof(argv[2]) * 1e6;
    tcp = loopback(argv[3]);
    udp = loopback(argv[4]);
    path_size = local(&path, 0, argv[5]);
    name_size = local(&name, 1, argv[6]);
    for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
        int count = 4;
        while (CALLS[i].batch(count) < wanted / 2 && count < CALLS[i].most) /* warms up as well */
            count = count * 2 < CALLS[i].most ? count * 2 : CALLS[i].most;
        printf("%s", CALLS[i].name);
        for (int batch = 0; batch < batches; batch++)
            printf(" %.1f", CALLS[i].batch(count) / count);
        printf("\n");
    }
    return 0;
}
