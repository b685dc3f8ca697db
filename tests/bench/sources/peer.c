/* The other side, never supervised: accepts and closes on TCP and on two unix sockets. Ends with its standard input.
 *
 * usage: peer UNIX_PATH ABSTRACT_NAME      prints: TCP_PORT UDP_PORT
 *
 * No measured call wakes it, because a wake-up on another CPU costs more than the calls do and varies more. It looks
 * for connections every 2 ms, which the backlog bridges. It never reads the UDP socket, whose small buffer is full
 * after a moment; datagrams are dropped from then on.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CHECK(what) ((what) < 0 ? (perror(#what), exit(1)) : (void)0)

static int bound(int family, int type, void *address, socklen_t size)
{
    int fd = socket(family, type | SOCK_NONBLOCK, 0);
    CHECK(fd);
    CHECK(bind(fd, address, size));
    if (type == SOCK_STREAM)
        CHECK(listen(fd, 4096));
    return fd;
}

static int port_of(int fd)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    CHECK(getsockname(fd, (struct sockaddr *)&address, &size));
    return ntohs(address.sin_port);
}

static int local(int abstract, const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path + abstract, text, sizeof address.sun_path - 2);
    return bound(AF_UNIX, SOCK_STREAM, &address, offsetof(struct sockaddr_un, sun_path) + strlen(text) + 1);
}

int main(int argc, char **argv)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct pollfd ours = {.fd = 0, .events = POLLIN};
    int small = 1;
    if (argc != 3)
        return 2;
    int udp = bound(AF_INET, SOCK_DGRAM, &any, sizeof any);
    CHECK(setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &small, sizeof small));
    int listeners[] = {bound(AF_INET, SOCK_STREAM, &any, sizeof any), local(0, argv[1]), local(1, argv[2])};
    printf("%d %d\n", port_of(listeners[0]), port_of(udp));
    fflush(stdout);
    while (poll(&ours, 1, 2) == 0)
        for (int i = 0; i < 3; i++)
            for (int fd; (fd = accept(listeners[i], NULL, NULL)) >= 0;)
                close(fd);
    return 0;
}
