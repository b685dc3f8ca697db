/* stuck N OTHERS PORT: N threads in connects that wait; then OTHERS connects to PORT, one after the other.
 * Prints how many of the others worked, and the errno of the last that did not. */
#include "waiting.h"

static struct sockaddr_un name;
static struct sockaddr_in silent;
static int begun;

static void *body(void *argument) {
    int tcp = (long)argument & 1;
    int fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
    __atomic_add_fetch(&begun, 1, __ATOMIC_RELAXED);
    int result = tcp ? connect(fd, (void *)&silent, sizeof silent) : connect(fd, (void *)&name, sizeof name);
    fprintf(stderr, "a stuck connect returned %d: %s\n", result, strerror(errno));
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int stuck = atoi(argv[1]), others = atoi(argv[2]), worked = 0, code = 0;
    name = full_name();
    silent = silent_port();
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    for (long i = 0; i < stuck; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &small, body, (void *)i)) fatal("thread");
    }
    while (__atomic_load_n(&begun, __ATOMIC_RELAXED) < stuck) usleep(1000);
    struct sockaddr_in address = local(atoi(argv[3]));
    for (int i = 0; i < others; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd >= 0 && connect(fd, (void *)&address, sizeof address) == 0) worked++;
        else code = errno;
        if (fd >= 0) close(fd);
    }
    printf("worked %d errno %d\n", worked, code);
    fflush(stdout);
    _exit(0);
}
