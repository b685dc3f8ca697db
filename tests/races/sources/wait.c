/* wait OP: print the pid and, for a listener, its port; then wait in the call, and print what it returned. */
#include "waiting.h"

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    struct place p = place_for(op_of(argv[1]));
    printf("%d %d\n", getpid(), p.op <= ACCEPT_LIMITED ? port_of(p.fd) : 0);
    fflush(stdout);
    long value = wait_once(&p);
    printf("%s %s\n", argv[1], value < 0 ? strerror(errno) : "done");
    return 0;
}
