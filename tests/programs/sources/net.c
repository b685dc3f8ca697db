/* A client and a server in plain C, to be linked statically.
 *
 *   net serve TCPPORT UDPPORT UNIXPATH      echoes; over the unix socket it first sends the pid and uid it sees
 *   net tcp|udp HOST PORT                   one exchange with an IPv4 address
 *   net unix PATH                           credentials, and a pipe passed with SCM_RIGHTS
 *   net blocking                            what needs no server: socketpair, options, a refused connect, a timeout
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define BIG 200000

static void check(int failed, const char *what)
{
    if (failed) {
        perror(what);
        exit(1);
    }
}

static struct sockaddr_in at(const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = inet_addr(host);
    return address;
}

static struct sockaddr_un named(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    return address;
}

static void send_all(int fd, const char *data, size_t left)
{
    while (left > 0) {
        ssize_t sent = send(fd, data, left, 0);
        check(sent < 0, "send");
        data += sent;
        left -= sent;
    }
}

static size_t receive_until(int fd, char *data, size_t wanted)
{
    size_t got = 0;
    while (got < wanted) {
        ssize_t part = recv(fd, data + got, wanted - got, 0);
        check(part < 0, "recv");
        if (part == 0)
            break;
        got += part;
    }
    return got;
}

static int send_descriptor(int fd, int passed, char byte)
{
    struct iovec iov = {&byte, 1};
    union { char space[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = {0};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &passed, sizeof(int));
    return sendmsg(fd, &message, 0);
}

static int receive_descriptor(int fd)
{
    char byte;
    struct iovec iov = {&byte, 1};
    union { char space[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = {0};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int passed = -1;
    if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message) != NULL)
        memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
    return passed;
}

/* ---- server -------------------------------------------------------------------------------------------------- */

static void end(int signal)
{
    (void)signal;
    _exit(0);
}

static void serve_unix(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    check(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0, "SO_PEERCRED");
    send_all(fd, (char *)&peer, sizeof peer);
    int passed = receive_descriptor(fd);
    if (passed >= 0) {
        check(write(passed, "through a passed pipe", 21) != 21, "write");
        close(passed);
    }
    close(fd);
}

static int serve(int tcp_port, int udp_port, const char *path)
{
    struct sockaddr_in tcp_address = at("127.0.0.1", tcp_port), udp_address = at("127.0.0.1", udp_port);
    struct sockaddr_un unix_address = named(path);
    int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0), local = socket(AF_UNIX, SOCK_STREAM, 0);
    int on = 1;
    signal(SIGTERM, end);
    signal(SIGCHLD, SIG_IGN);
    check(setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0, "SO_REUSEADDR");
    check(bind(udp, (struct sockaddr *)&udp_address, sizeof udp_address) < 0, "bind udp");
    check(bind(local, (struct sockaddr *)&unix_address, sizeof unix_address) < 0, "bind unix");
    check(listen(local, 8) < 0, "listen unix");
    check(bind(tcp, (struct sockaddr *)&tcp_address, sizeof tcp_address) < 0, "bind tcp");
    check(listen(tcp, 8) < 0, "listen tcp");
    struct pollfd ready[] = {{tcp, POLLIN, 0}, {udp, POLLIN, 0}, {local, POLLIN, 0}};
    for (;;) {
        check(poll(ready, 3, -1) < 0, "poll");
        if (ready[0].revents) {
            int fd = accept(tcp, NULL, NULL);
            check(fd < 0, "accept");
            if (fork() == 0) {
                char data[4096];
                ssize_t got;
                while ((got = recv(fd, data, sizeof data, 0)) > 0)
                    send_all(fd, data, got);
                _exit(0);
            }
            close(fd);
        }
        if (ready[1].revents) {
            char data[2048];
            struct sockaddr_in from;
            socklen_t length = sizeof from;
            ssize_t got = recvfrom(udp, data, sizeof data, 0, (struct sockaddr *)&from, &length);
            check(got < 0, "recvfrom");
            check(sendto(udp, data, got, 0, (struct sockaddr *)&from, length) != got, "sendto");
        }
        if (ready[2].revents) {
            int fd = accept4(local, NULL, NULL, SOCK_CLOEXEC);
            check(fd < 0, "accept4");
            serve_unix(fd);
        }
    }
}

/* ---- clients ------------------------------------------------------------------------------------------------- */

static int tcp_client(const char *host, int port)
{
    static char sent[BIG], received[BIG];
    struct sockaddr_in address = at(host, port), peer;
    socklen_t length = sizeof peer;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    check(connect(fd, (struct sockaddr *)&address, sizeof address) < 0, "connect");
    check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0, "TCP_NODELAY");
    check(getpeername(fd, (struct sockaddr *)&peer, &length) < 0, "getpeername");
    printf("peer %s length %u, the one asked for: %d\n", inet_ntoa(peer.sin_addr), length, peer.sin_port == address.sin_port);
    for (int i = 0; i < BIG; i++)
        sent[i] = i * 7;
    if (fork() == 0) {
        send_all(fd, sent, BIG);
        check(shutdown(fd, SHUT_WR) < 0, "shutdown");
        _exit(0);
    }
    size_t got = receive_until(fd, received, BIG);
    printf("echoed %zu, equal: %d, then end: %zd\n", got, memcmp(sent, received, BIG) == 0, recv(fd, received, 1, 0));
    check(connect(fd, (struct sockaddr *)&address, sizeof address) >= 0, "connected twice");
    perror("a second connect");
    return 0;
}

static int udp_client(const char *host, int port)
{
    struct sockaddr_in address = at(host, port), from;
    socklen_t length = sizeof from;
    char data[64] = "";
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    check(sendto(fd, "datagram", 8, 0, (struct sockaddr *)&address, sizeof address) != 8, "sendto");
    check(recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &length) < 0, "recvfrom");
    printf("%s, from the one asked: %d\n", data, from.sin_port == address.sin_port);
    check(connect(fd, (struct sockaddr *)&address, sizeof address) < 0, "connect udp");
    struct mmsghdr several[3] = {0};
    struct iovec parts[3];
    char texts[3][16] = {"one", "second", "and third"};
    for (int i = 0; i < 3; i++) {
        parts[i] = (struct iovec){texts[i], strlen(texts[i])};
        several[i].msg_hdr.msg_iov = &parts[i];
        several[i].msg_hdr.msg_iovlen = 1;
    }
    int sent = sendmmsg(fd, several, 3, 0);
    printf("sendmmsg %d: %u %u %u\n", sent, several[0].msg_len, several[1].msg_len, several[2].msg_len);
    for (int i = 0; i < 3; i++)
        parts[i] = (struct iovec){texts[i], sizeof texts[i]};
    for (int got = 0; got < 3;) {
        int part = recvmmsg(fd, several + got, 3 - got, MSG_WAITFORONE, NULL);
        check(part < 0, "recvmmsg");
        got += part;
    }
    printf("recvmmsg: %u %u %u\n", several[0].msg_len, several[1].msg_len, several[2].msg_len);
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    printf("dissolved: %d\n", connect(fd, &nobody, sizeof nobody));
    return 0;
}

static int unix_client(const char *path)
{
    struct sockaddr_un address = named(path);
    struct ucred seen = {0};
    char data[64] = "";
    int pipes[2], fd = socket(AF_UNIX, SOCK_STREAM, 0);
    check(pipe(pipes) < 0, "pipe");
    check(connect(fd, (struct sockaddr *)&address, sizeof address) < 0, "connect unix");
    check(receive_until(fd, (char *)&seen, sizeof seen) != sizeof seen, "credentials");
    printf("the server sees our pid: %d, uid: %d, gid: %d\n", seen.pid == getpid(), seen.uid == getuid(), seen.gid == getgid());
    check(send_descriptor(fd, pipes[1], 'x') != 1, "sendmsg");
    close(pipes[1]);
    check(read(pipes[0], data, sizeof data - 1) < 0, "read");
    printf("%s; end of the stream: %zd\n", data, recv(fd, data, 1, 0));
    return 0;
}

static void on_alarm(int signal)
{
    (void)signal;
}

static int blocking(void)
{
    struct sockaddr_in address = at("127.0.0.1", 1);
    struct timeval short_time = {0, 50000};
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval soon = {{0, 0}, {0, 50000}};
    char byte;
    int pair[2], value = 0;
    socklen_t length = sizeof value;
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0, "socketpair");
    check(sigaction(SIGALRM, &action, NULL) < 0, "sigaction");
    check(setitimer(ITIMER_REAL, &soon, NULL) < 0, "setitimer");
    printf("interrupted recv: %zd", recv(pair[0], &byte, 1, 0));
    printf(" EINTR: %d\n", errno == EINTR);
    check(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time) < 0, "SO_RCVTIMEO");
    printf("timed recv: %zd", recv(pair[0], &byte, 1, 0));
    printf(" EAGAIN: %d\n", errno == EAGAIN);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    printf("connect to a closed port: %d", connect(fd, (struct sockaddr *)&address, sizeof address));
    printf(" ECONNREFUSED: %d\n", errno == ECONNREFUSED);
    check(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &length) < 0, "SO_ERROR");
    printf("SO_ERROR %d length %u\n", value, length);
    signal(SIGPIPE, SIG_DFL);
    close(pair[1]);
    fflush(stdout);
    send(pair[0], "x", 1, 0); /* ends this process by SIGPIPE */
    printf("not reached\n");
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0); /* before a fork, whose child would print it again */
    if (!strcmp(what, "serve") && argc == 5)
        return serve(atoi(argv[2]), atoi(argv[3]), argv[4]);
    if (!strcmp(what, "tcp") && argc == 4)
        return tcp_client(argv[2], atoi(argv[3]));
    if (!strcmp(what, "udp") && argc == 4)
        return udp_client(argv[2], atoi(argv[3]));
    if (!strcmp(what, "unix") && argc == 3)
        return unix_client(argv[2]);
    if (!strcmp(what, "blocking"))
        return blocking();
    fputs("usage: see the top of net.c\n", stderr);
    return 2;
}
