/* rebind ROUNDS: a child waits in accept and is killed; its parent reaps it and takes the same port at once.
 * Prints how often that failed. */
#include "waiting.h"

static int in_call(pid_t pid) {
    char path[64], line[64] = "";
    snprintf(path, sizeof path, "/proc/%d/wchan", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    if (!fgets(line, sizeof line, file)) line[0] = 0;
    fclose(file);
    return strstr(line, "seccomp") || strstr(line, "accept");
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int failed = 0, first = tcp_listener(0, 8), port = port_of(first);
    close(first);
    for (int i = 0; i < atoi(argv[1]); i++) {
        int tell[2];
        char byte;
        if (pipe(tell)) fatal("pipe");
        pid_t child = fork();
        if (!child) {
            int fd = tcp_listener(port, 8);
            if (fd < 0) _exit(1);
            if (write(tell[1], "x", 1) != 1) _exit(1);
            accept(fd, NULL, NULL);
            _exit(0);
        }
        close(tell[1]);
        if (read(tell[0], &byte, 1) != 1) fatal("the child cannot listen");
        close(tell[0]);
        while (!in_call(child)) usleep(500);
        usleep(i % 4 * 5000);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        int again = tcp_listener(port, 8);
        if (again < 0) failed++;
        while (again < 0) again = tcp_listener(port, 8);
        close(again);
    }
    printf("failed %d\n", failed);
    return 0;
}
