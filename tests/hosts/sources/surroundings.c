/* Prints what a process inherits besides descriptors, one line each. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
    char line[4096];
    for (int i = 1; i < argc; i++) printf("argument %s\n", argv[i]);
    for (char **e = environ; *e; e++) printf("environment %s\n", *e);
    if (getcwd(line, sizeof line)) printf("cwd %s\n", line);
    mode_t mask = umask(0);
    printf("umask %o nice %d\n", mask, getpriority(PRIO_PROCESS, 0));
    for (int i = 0; i < RLIMIT_NLIMITS; i++) {
        struct rlimit limit;
        getrlimit(i, &limit);
        printf("limit %d %llx %llx\n", i, (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
    }
    for (int i = 1; i < 65; i++) {
        struct sigaction action;
        if (i == 32 || i == 33 || sigaction(i, NULL, &action)) continue;
        printf("signal %d %s\n", i, action.sa_handler == SIG_IGN ? "ignored" : "default");
    }
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "SigBlk", 6) || !strncmp(line, "ShdPnd", 6) || !strncmp(line, "Cap", 3)
            || !strncmp(line, "Uid", 3) || !strncmp(line, "Gid", 3) || !strncmp(line, "Groups", 6)
            || !strncmp(line, "Cpus_allowed_list", 17) || !strncmp(line, "Threads", 7)) fputs(line, stdout);
    if (status) fclose(status);
    FILE *score = fopen("/proc/self/oom_score_adj", "r");
    if (score && fgets(line, sizeof line, score)) printf("oom %s", line);
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    printf("scheduler %d cpus %d\n", sched_getscheduler(0), CPU_COUNT(&set));
    printf("personality %x dumpable %d slack %d subreaper-is-inherited no\n", personality(0xffffffff),
           prctl(PR_GET_DUMPABLE), prctl(PR_GET_TIMERSLACK));
    printf("leads its group %d, its session %d\n", getpgrp() == getpid(), getsid(0) == getpid());
    return 0;
}
