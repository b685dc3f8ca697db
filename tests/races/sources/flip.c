/* flip OP TRIES UNIX PORT: one thread changes what a descriptor number means, between a socket of an allowed family
 * and one of a judged family, and the address in memory between an allowed and a refused one; the other makes the
 * call. OP: connect, sendto, sendmsg (datagrams for the last two). UNIX is an abstract name that somebody serves. */
#include "waiting.h"

static union { struct sockaddr any; struct sockaddr_in in; struct sockaddr_un un; } address, friendly, canary;
static volatile int tcp = -1, own = -1, over;
static int number;

static void *flipper(void *argument) {
    (void)argument;
    while (!over) {
        if (own >= 0) dup2(own, number);
        memcpy(&address, &friendly, sizeof address);
        for (volatile int i = 0; i < 50; i++) continue;
        if (tcp >= 0) dup2(tcp, number);
        memcpy(&address, &canary, sizeof address);
        for (volatile int i = 0; i < 50; i++) continue;
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    int datagrams = strcmp(argv[1], "connect") != 0, tries = atoi(argv[2]);
    number = dup(0);
    friendly.un.sun_family = AF_UNIX;
    strncpy(friendly.un.sun_path + 1, argv[3], sizeof friendly.un.sun_path - 2);
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(argv[3]);
    canary.in = local(atoi(argv[4]));
    pthread_t thread;
    if (pthread_create(&thread, NULL, flipper, NULL)) fatal("thread");
    for (int i = 0; i < tries; i++) {
        own = socket(AF_UNIX, datagrams ? SOCK_DGRAM : SOCK_STREAM, 0);
        tcp = socket(AF_INET, (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0);
        if (own < 0 || tcp < 0) fatal("socket");
        if (!datagrams) {
            connect(number, &address.any, length);
        } else if (!strcmp(argv[1], "sendto")) {
            sendto(number, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL, &address.any, length);
        } else {
            struct iovec part = {"x", 1};
            struct msghdr message = {.msg_name = &address, .msg_namelen = length, .msg_iov = &part, .msg_iovlen = 1};
            sendmsg(number, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        int a = own, b = tcp;
        own = tcp = -1;
        close(a);
        close(b);
    }
    over = 1;
    pthread_join(thread, NULL);
    return 0;
}
