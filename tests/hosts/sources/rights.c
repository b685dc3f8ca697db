/* rights PATH: print the uid, then the errno of bind to port 80 and of connect to the unix socket PATH. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    strncpy(un.sun_path, argv[1], sizeof un.sun_path - 1);
    int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_UNIX, SOCK_STREAM, 0);
    int bound = bind(a, (void *)&in, sizeof in) ? errno : 0;
    int connected = connect(b, (void *)&un, sizeof un) ? errno : 0;
    printf("%d %d %d\n", (int)getuid(), bound, connected);
    return 0;
}
