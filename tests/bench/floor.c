/* The floor: the least that a supervisor in another process can do, in C, with no policy, record or care.
 *
 * usage: floor continue|emulate PROGRAM [ARGS]
 *
 * All 18 socket calls are trapped. `continue` answers CONTINUE to each. `emulate` performs connect, getsockname, sendto
 * and sendmsg on its own duplicate of the socket (read the arguments, take the descriptor, call, answer) and continues
 * the others. One notification at a time; the pidfd is kept; what PROGRAM starts is not looked after.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#define SYNC_WAKE_UP 1UL
#define CHECK(what) ((what) < 0 ? (perror(#what), exit(125)) : (void)0)

static const int CALLS[] = {
    __NR_socket, __NR_connect, __NR_accept, __NR_sendto, __NR_recvfrom, __NR_sendmsg, __NR_recvmsg, __NR_shutdown,
    __NR_bind, __NR_listen, __NR_getsockname, __NR_getpeername, __NR_socketpair, __NR_setsockopt, __NR_getsockopt,
    __NR_accept4, __NR_recvmmsg, __NR_sendmmsg,
};
#define COUNT (int)(sizeof CALLS / sizeof *CALLS)

static int load_filter(void)
{
    struct sock_filter code[COUNT + 3];
    int at = 0;
    code[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < COUNT; i++) /* a match jumps over the rest and over "allow" */
        code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALLS[i], COUNT - i, 0);
    code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    struct sock_fprog program = {at, code};
    unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static int program_pid, pidfd = -1, pidfd_of;

static int take(int pid, int number)
{
    if (pidfd_of != pid) {
        if (pidfd >= 0)
            close(pidfd);
        pidfd = syscall(SYS_pidfd_open, pid, 0);
        pidfd_of = pid;
    }
    return syscall(SYS_pidfd_getfd, pidfd, number, 0);
}

static long copy_in(int pid, void *to, unsigned long from, size_t size)
{
    struct iovec here = {to, size}, there = {(void *)from, size};
    return size ? process_vm_readv(pid, &here, 1, &there, 1, 0) : 0;
}

static void copy_out(int pid, unsigned long to, void *from, size_t size)
{
    struct iovec here = {from, size}, there = {(void *)to, size};
    process_vm_writev(pid, &here, 1, &there, 1, 0);
}

static long perform(const struct seccomp_data *call, int pid, int fd)
{
    static char data[65536];
    struct sockaddr_storage address;
    struct msghdr message;
    struct iovec part;
    const unsigned long long *arg = (const void *)call->args;
    socklen_t size;
    switch (call->nr) {
    case __NR_connect:
        copy_in(pid, &address, arg[1], arg[2]);
        return connect(fd, (void *)&address, arg[2]);
    case __NR_getsockname:
        copy_in(pid, &size, arg[2], sizeof size);
        if (getsockname(fd, (void *)&address, &size))
            return -1;
        copy_out(pid, arg[1], &address, size);
        copy_out(pid, arg[2], &size, sizeof size);
        return 0;
    case __NR_sendto:
        copy_in(pid, data, arg[1], arg[2]);
        copy_in(pid, &address, arg[4], arg[5]);
        return sendto(fd, data, arg[2], arg[3], arg[4] ? (void *)&address : NULL, arg[5]);
    default: /* sendmsg of one part, without a name and control data: all that calls.c sends */
        copy_in(pid, &message, arg[1], sizeof message);
        copy_in(pid, &part, (unsigned long)message.msg_iov, sizeof part);
        copy_in(pid, data, (unsigned long)part.iov_base, part.iov_len);
        part.iov_base = data;
        message.msg_iov = &part;
        return sendmsg(fd, &message, arg[2]);
    }
}

static void answer(int listener, struct seccomp_notif *call, int emulate)
{
    struct seccomp_notif_resp reply = {.id = call->id};
    int nr = call->data.nr;
    if (emulate && (nr == __NR_connect || nr == __NR_getsockname || nr == __NR_sendto || nr == __NR_sendmsg)) {
        int fd = take(call->pid, call->data.args[0]);
        reply.val = fd < 0 ? -1 : perform(&call->data, call->pid, fd);
        if (reply.val < 0) {
            reply.error = -errno;
            reply.val = 0;
        }
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call->id))
            reply.error = -EINTR;
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
        close(fd);
        return;
    }
    reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
}

static void ended(int number)
{
    int status = 0;
    if (number && waitpid(program_pid, &status, WNOHANG) == program_pid)
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int main(int argc, char **argv)
{
    int out[2], back[2], number;
    if (argc < 3)
        return 125;
    CHECK(pipe(out));
    CHECK(pipe(back));
    program_pid = fork();
    CHECK(program_pid);
    if (program_pid == 0) {
        number = load_filter();
        CHECK(number);
        CHECK(write(out[1], &number, sizeof number));
        CHECK(read(back[0], &number, sizeof number)); /* taken */
        close(number);
        for (int i = 0; i < 2; i++) {
            close(out[i]);
            close(back[i]);
        }
        execv(argv[2], argv + 2);
        _exit(127);
    }
    close(out[1]);
    struct sigaction action = {.sa_handler = ended};
    sigaction(SIGCHLD, &action, NULL);
    if (read(out[0], &number, sizeof number) != sizeof number)
        return 125;
    int listener = take(program_pid, number);
    CHECK(listener);
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP);
    CHECK(write(back[1], &number, sizeof number));
    int emulate = !strcmp(argv[1], "emulate");
    for (struct seccomp_notif call;;) {
        memset(&call, 0, sizeof call);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) == 0)
            answer(listener, &call, emulate);
    }
}
