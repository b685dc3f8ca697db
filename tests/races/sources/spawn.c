/* spawn PORT OTHER PROGRAM ARGS: connects in a vfork child, then runs PROGRAM with posix_spawn. Prints each errno. */
#include "waiting.h"
#include <spawn.h>

extern char **environ;

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    volatile int codes[2] = {-1, -1};
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in a = local(atoi(argv[1 + i]));
        pid_t child = vfork();
        if (child == 0) {
            int fd = socket(AF_INET, SOCK_STREAM, 0);
            codes[i] = connect(fd, (void *)&a, sizeof a) ? errno : 0;
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    printf("vfork %d %d\n", codes[0], codes[1]);
    fflush(stdout);
    pid_t child;
    int status = 0, code = posix_spawn(&child, argv[3], NULL, NULL, argv + 3, environ);
    if (!code) waitpid(child, &status, 0);
    printf("posix_spawn %d %d\n", code, status);
    return 0;
}
