/* The other side, never supervised: accepts and closes on TCP and on two unix sockets. Ends with its standard input.
 *
 * usage: peer UNIX_PATH ABSTRACT_NAME      prints: TCP_PORT UDP_PORT
 *
 * The UDP socket is never read: its small buffer is full after a moment, every later datagram is dropped, and so a
 * measured send wakes nobody.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CHECK(what) ((what) < 0 ? (perror(#what), exit(1)) : (void)0)

static void *serve(void *listener)
{
    for (;;) {
        int fd = accept((int)(long)listener, NULL, NULL);
        if (fd >= 0)
            close(fd);
    }
    return NULL;
}

static int bound(int family, int type, void *address, socklen_t size)
{
    int fd = socket(family, type, 0);
    CHECK(fd);
    CHECK(bind(fd, address, size));
    if (type == SOCK_STREAM) {
        pthread_t thread;
        CHECK(listen(fd, 4096));
        CHECK(-pthread_create(&thread, NULL, serve, (void *)(long)fd));
    }
    return fd;
}

static int port_of(int fd)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    CHECK(getsockname(fd, (struct sockaddr *)&address, &size));
    return ntohs(address.sin_port);
}

static void local(int abstract, const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path + abstract, text, sizeof address.sun_path - 2);
    bound(AF_UNIX, SOCK_STREAM, &address, offsetof(struct sockaddr_un, sun_path) + strlen(text) + 1);
}

int main(int argc, char **argv)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char byte;
    int small = 1;
    if (argc != 3)
        return 2;
    int tcp = bound(AF_INET, SOCK_STREAM, &any, sizeof any), udp = bound(AF_INET, SOCK_DGRAM, &any, sizeof any);
    CHECK(setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &small, sizeof small));
    local(0, argv[1]);
    local(1, argv[2]);
    printf("%d %d\n", port_of(tcp), port_of(udp));
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
    return 0;
}
