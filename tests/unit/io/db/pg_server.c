/* Owns one server process and its directory. */
#include "tests/unit/io/db/pg_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define UP_TRIES 400
#define UP_US    25000

static void become_postgres(void)
{
    if (geteuid() != 0) {
        return;
    }
    const struct passwd *user = getpwnam("postgres");
    if (user == NULL || setgroups(0, NULL) < 0 || setgid(user->pw_gid) < 0 ||
        setuid(user->pw_uid) < 0) {
        _exit(126);
    }
}

static int find_bin(char *ret, size_t bytes)
{
    glob_t found;
    if (glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &found) != 0) {
        fprintf(stderr, "no PostgreSQL server is installed: apt-get install postgresql\n");
        return -1;
    }
    snprintf(ret, bytes, "%s", found.gl_pathv[found.gl_pathc - 1]);
    *strrchr(ret, '/') = '\0';
    globfree(&found);
    return 0;
}

int pg_free_port(void)
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

pid_t pg_spawn(const char *const *argv, const char *log)
{
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    become_postgres();
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
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

static void clean(const char *dir)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/data/postmaster.pid", dir);
    FILE *f = fopen(path, "r");
    long pid = 0;
    if (f != NULL && fscanf(f, "%ld", &pid) == 1 && pid > 1) {
        kill((pid_t)pid, SIGQUIT);
        for (int i = 0; i < UP_TRIES && kill((pid_t)pid, 0) == 0; i++) {
            usleep(UP_US);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int start_janitor(struct pg_server *server)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[1]);
        setsid();
        signal(SIGINT, SIG_IGN);
        signal(SIGTERM, SIG_IGN);
        char byte;
        while (read(ends[0], &byte, 1) > 0) {
        }
        if (server->before_clean != NULL) {
            server->before_clean(server->dir);
        }
        clean(server->dir);
        _exit(0);
    }
    close(ends[0]);
    server->janitor_fd = ends[1];
    return pid < 0 ? -1 : 0;
}

int pg_server_up(struct pg_server *server)
{
    char bin[256], data[80], port[16], log[80], program[280];
    if (find_bin(bin, sizeof(bin)) < 0) {
        return -1;
    }
    snprintf(program, sizeof(program), "%s/postgres", bin);
    snprintf(data, sizeof(data), "%s/data", server->dir);
    snprintf(log, sizeof(log), "%s/log", server->dir);
    snprintf(port, sizeof(port), "%d", server->port);
    const char *argv[] = {program,
                          "-D",
                          data,
                          "-p",
                          port,
                          "-k",
                          server->dir,
                          "-c",
                          "listen_addresses=127.0.0.1",
                          "-c",
                          "fsync=off",
                          "-c",
                          "max_connections=60",
                          NULL};
    server->pid = pg_spawn(argv, log);
    char conninfo[128];
    snprintf(conninfo, sizeof(conninfo), "host=%s port=%d user=postgres dbname=postgres",
             server->dir, server->port);
    for (int i = 0; i < UP_TRIES; i++) {
        if (PQping(conninfo) == PQPING_OK) {
            return 0;
        }
        if (waitpid(server->pid, NULL, WNOHANG) > 0) {
            break;
        }
        usleep(UP_US);
    }
    fprintf(stderr, "PostgreSQL did not start; see %s\n", log);
    return -1;
}

int pg_server_start(struct pg_server *server, void (*before_clean)(const char *dir))
{
    *server =
        (struct pg_server){.janitor_fd = -1, .port = pg_free_port(), .before_clean = before_clean};
    char bin[256], program[280], data[80], log[80], word[96], pwfile[112];
    snprintf(server->dir, sizeof(server->dir), "/tmp/ls-pgu-XXXXXX");
    if (find_bin(bin, sizeof(bin)) < 0 || mkdtemp(server->dir) == NULL ||
        start_janitor(server) < 0) {
        return -1;
    }
    snprintf(word, sizeof(word), "%s/word", server->dir);
    FILE *f = fopen(word, "w");
    fputs(PG_PASSWORD "\n", f);
    fclose(f);
    if (geteuid() == 0) {
        const struct passwd *user = getpwnam("postgres");
        if (user == NULL || chown(server->dir, user->pw_uid, user->pw_gid) < 0 ||
            chown(word, user->pw_uid, user->pw_gid) < 0) {
            return -1;
        }
    }
    snprintf(program, sizeof(program), "%s/initdb", bin);
    snprintf(data, sizeof(data), "%s/data", server->dir);
    snprintf(log, sizeof(log), "%s/log", server->dir);
    snprintf(pwfile, sizeof(pwfile), "--pwfile=%s", word);
    const char *argv[] = {program,
                          "-D",
                          data,
                          "-N",
                          "-U",
                          "postgres",
                          "-E",
                          "UTF8",
                          "--no-locale",
                          "--auth-local=trust",
                          "--auth-host=scram-sha-256",
                          pwfile,
                          NULL};
    int status = -1;
    pid_t pid = pg_spawn(argv, log);
    if (waitpid(pid, &status, 0) < 0 || status != 0) {
        fprintf(stderr, "initdb failed; see %s\n", log);
        return -1;
    }
    return pg_server_up(server);
}

void pg_server_stop(struct pg_server *server, int signal_number)
{
    if (server->pid > 0) {
        kill(server->pid, signal_number);
        waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
}

void pg_server_free(struct pg_server *server)
{
    pg_server_stop(server, SIGQUIT);
    if (server->janitor_fd >= 0) {
        close(server->janitor_fd);
        wait(NULL);
    }
}
