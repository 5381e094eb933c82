/* Runs a command with io_uring forbidden, as container runtimes and hardened kernels forbid it: a seccomp filter
 * answers io_uring_setup, io_uring_enter and io_uring_register with an error. Single-threaded, needs no rights.
 *
 *     deny_io_uring [--errno EPERM|ENOSYS] COMMAND [ARGUMENT...]
 *     deny_io_uring --probe      exit code 0 when io_uring can be used here, 1 (and the reason) when not
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same numbers on every architecture that numbers its newer calls like the others. */
#ifndef __NR_io_uring_setup
#define __NR_io_uring_setup 425
#define __NR_io_uring_enter 426
#define __NR_io_uring_register 427
#endif

static int probe(void)
{
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    long fd = syscall(__NR_io_uring_setup, 2, &params);
    if (fd < 0)
    {
        printf("io_uring is not available: %s\n", strerror(errno));
        return 1;
    }
    close((int)fd);
    printf("io_uring is available\n");
    return 0;
}

/* One filter for every architecture's calling convention: the numbers are compared, the convention is not, because
 * the filter's purpose is to imitate a policy, not to enforce one. */
static int forbid_io_uring(unsigned int error)
{
    const unsigned int answer = SECCOMP_RET_ERRNO | (error & SECCOMP_RET_DATA);
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_enter, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_register, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, answer),
    };
    struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);
}

int main(int argc, char** argv)
{
    unsigned int error = EPERM;
    int first = 1;
    if (argc == 2 && strcmp(argv[1], "--probe") == 0)
        return probe();
    if (argc > 2 && strcmp(argv[1], "--errno") == 0)
    {
        if (strcmp(argv[2], "ENOSYS") == 0)
            error = ENOSYS;
        else if (strcmp(argv[2], "EPERM") != 0)
        {
            fprintf(stderr, "deny_io_uring: unknown errno '%s'\n", argv[2]);
            return 2;
        }
        first = 3;
    }
    if (first >= argc)
    {
        fprintf(stderr,
                "usage: deny_io_uring [--errno EPERM|ENOSYS] COMMAND [ARGUMENT...] | --probe\n");
        return 2;
    }
    if (forbid_io_uring(error) != 0)
    {
        fprintf(stderr, "deny_io_uring: the filter was not accepted: %s\n", strerror(errno));
        return 2;
    }
    execvp(argv[first], argv + first);
    fprintf(stderr, "deny_io_uring: %s: %s\n", argv[first], strerror(errno));
    return 127;
}
