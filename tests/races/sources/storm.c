/* storm RESTART MS: six threads in waiting calls, under signals with (1) and without (0) SA_RESTART, or both (2).
 * Prints its pid, then for every call and errno how often it came, and how many signals were handled. */
#include "waiting.h"

static unsigned counts[OPS][1024];
static unsigned handled[OPS + 1];
static __thread int mine = OPS;
static volatile int over;
static pid_t tids[OPS];

static void note(int number) { (void)number; __atomic_add_fetch(&handled[mine], 1, __ATOMIC_RELAXED); }

static void *body(void *argument) {
    struct place p = place_for(mine = (int)(long)argument);
    __atomic_store_n(&tids[mine], syscall(SYS_gettid), __ATOMIC_RELEASE);
    while (!over) {
        long value = wait_once(&p);
        int code = value < 0 ? errno : 0;
        if (value < 0 && (code < 0 || code > 1000)) code = 1000;
        __atomic_add_fetch(&counts[mine][code], 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int restart = atoi(argv[1]);
    struct sigaction again = {.sa_handler = note, .sa_flags = restart >= 1 ? SA_RESTART : 0};
    struct sigaction other = {.sa_handler = note, .sa_flags = restart == 1 ? SA_RESTART : 0};
    sigaction(SIGUSR1, &again, NULL);
    sigaction(SIGUSR2, &other, NULL);
    for (long i = 0; i < OPS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, body, (void *)i)) fatal("thread");
        while (!__atomic_load_n(&tids[i], __ATOMIC_ACQUIRE)) usleep(100);
    }
    printf("%d\n", getpid());
    fflush(stdout);
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += atoi(argv[2]) % 1000 * 1000000L;
    end.tv_sec += atoi(argv[2]) / 1000 + end.tv_nsec / 1000000000L;
    end.tv_nsec %= 1000000000L;
    unsigned seed = getpid();
    do {
        int number = rand_r(&seed) & 1 ? SIGUSR1 : SIGUSR2;
        if (rand_r(&seed) % 4 == 0) kill(getpid(), number);
        else syscall(SYS_tgkill, getpid(), tids[rand_r(&seed) % OPS], number);
        usleep(rand_r(&seed) % 8000);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
    for (int i = 0; i < OPS; i++) {
        printf("%s handled %u", op_names[i], handled[i]);
        for (int code = 0; code < 1024; code++)
            if (counts[i][code]) printf(" %d=%u", code, counts[i][code]);
        printf("\n");
    }
    fflush(stdout);
    _exit(0);
}
