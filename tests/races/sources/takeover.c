/* takeover PROGRAM ARGS: every kind of waiting call is under way, the leader's among them, when another thread
 * executes PROGRAM. */
#include "waiting.h"

static char **program;
static int begun;

static void *body(void *argument) {
    struct place p = place_for((int)(long)argument);
    __atomic_add_fetch(&begun, 1, __ATOMIC_RELAXED);
    wait_once(&p);
    return NULL;
}

static void *executor(void *argument) {
    (void)argument;
    while (__atomic_load_n(&begun, __ATOMIC_RELAXED) < OPS) usleep(1000);
    usleep(20000);
    execv(program[0], program);
    fatal("execv");
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    program = argv + 1;
    pthread_t thread;
    for (long i = 1; i < OPS; i++)
        if (pthread_create(&thread, NULL, body, (void *)i)) fatal("thread");
    if (pthread_create(&thread, NULL, executor, NULL)) fatal("thread");
    body((void *)ACCEPT);
    return 1;
}
