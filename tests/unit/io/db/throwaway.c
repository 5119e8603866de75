/* Owns the directory and the janitor of one throwaway server. */
#include "tests/unit/io/db/throwaway.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void become(const char *name)
{
    if (geteuid() != 0) {
        return;
    }
    const struct passwd *user = getpwnam(name);
    if (user == NULL || setgroups(0, NULL) < 0 || setgid(user->pw_gid) < 0 ||
        setuid(user->pw_uid) < 0) {
        _exit(126);
    }
}

int throwaway_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int port = 0;
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
        getsockname(fd, (struct sockaddr *)&a, &len) == 0) {
        port = ntohs(a.sin_port);
    }
    close(fd);
    return port;
}

pid_t throwaway_spawn(const struct throwaway *t, const char *const *argv, const char *log)
{
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    become(t->user);
    prctl(PR_SET_PDEATHSIG, t->stop_signal);
    setsid();
    if (chdir("/") < 0) {
        _exit(126);
    }
    int null = open("/dev/null", O_RDWR);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(null, 0);
    dup2(out, 1);
    dup2(out, 2);
    execv(argv[0], (char *const *)argv);
    _exit(127);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void clean(const struct throwaway *t)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", t->dir, t->pid_file);
    FILE *f = fopen(path, "r");
    long pid = 0;
    if (f != NULL && fscanf(f, "%ld", &pid) == 1 && pid > 1) {
        kill((pid_t)pid, t->stop_signal);
        for (int i = 0; i < THROWAWAY_TRIES && kill((pid_t)pid, 0) == 0; i++) {
            usleep(THROWAWAY_US);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    nftw(t->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int start_janitor(struct throwaway *t)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return -1;
    }
    t->janitor = fork();
    if (t->janitor == 0) {
        dup2(ends[0], STDIN_FILENO);
        close_range(STDERR_FILENO + 1, ~0u, 0); /* another server's janitor waits for its own end */
        setsid();
        signal(SIGINT, SIG_IGN);
        signal(SIGTERM, SIG_IGN);
        char byte;
        while (read(STDIN_FILENO, &byte, 1) > 0) {
        }
        if (t->before_clean != NULL) {
            t->before_clean(t->dir);
        }
        clean(t);
        _exit(0);
    }
    close(ends[0]);
    t->janitor_fd = ends[1];
    return t->janitor < 0 ? -1 : 0;
}

int throwaway_own(const struct throwaway *t, const char *path)
{
    if (geteuid() != 0) {
        return 0;
    }
    const struct passwd *user = getpwnam(t->user);
    if (user == NULL || chown(path, user->pw_uid, user->pw_gid) < 0) {
        fprintf(stderr, "there is no user %s\n", t->user);
        return -1;
    }
    return 0;
}

int throwaway_start(struct throwaway *t, const char *prefix)
{
    t->janitor_fd = -1;
    snprintf(t->dir, sizeof(t->dir), "/tmp/%s-XXXXXX", prefix);
    if (mkdtemp(t->dir) == NULL || start_janitor(t) < 0) {
        perror(t->dir);
        return -1;
    }
    return throwaway_own(t, t->dir);
}

void throwaway_end(struct throwaway *t)
{
    if (t->janitor_fd >= 0) {
        close(t->janitor_fd);
        waitpid(t->janitor, NULL, 0);
        t->janitor_fd = -1;
    }
}
