/* tables PORT OTHER: a thread with a descriptor table of its own connects number N to PORT, the leader N to OTHER.
 * Prints the peer's port of N in each table, or its errno. */
#include "waiting.h"

static int number;
static pthread_barrier_t barrier;

static void attempt(const char *who, int port) {
    struct sockaddr_in a = local(port), peer;
    socklen_t n = sizeof peer;
    int code = connect(number, (void *)&a, sizeof a) ? errno : 0;
    pthread_barrier_wait(&barrier);
    int seen = getpeername(number, (void *)&peer, &n) ? -errno : ntohs(peer.sin_port);
    pthread_barrier_wait(&barrier);
    printf("%s %d %d\n", who, code, seen);
}

static void *body(void *argument) {
    if (unshare(CLONE_FILES)) fatal("unshare");
    int fresh = socket(AF_INET, SOCK_STREAM, 0);
    if (dup2(fresh, number) < 0) fatal("dup2");
    pthread_barrier_wait(&barrier);
    attempt("thread", atoi(argument));
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    number = socket(AF_INET, SOCK_STREAM, 0);
    if (pthread_create(&thread, NULL, body, argv[1])) fatal("thread");
    pthread_barrier_wait(&barrier);
    attempt("leader", atoi(argv[2]));
    pthread_join(thread, NULL);
    return 0;
}
