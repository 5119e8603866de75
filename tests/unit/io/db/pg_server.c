/* Owns one server process and its directory. */
#include "tests/unit/io/db/pg_server.h"

#include <glob.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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
    server->pid = throwaway_spawn(&server->throwaway, argv, log);
    char conninfo[128];
    snprintf(conninfo, sizeof(conninfo), "host=%s port=%d user=postgres dbname=postgres",
             server->dir, server->port);
    for (int i = 0; i < THROWAWAY_TRIES; i++) {
        if (PQping(conninfo) == PQPING_OK) {
            return 0;
        }
        if (waitpid(server->pid, NULL, WNOHANG) > 0) {
            break;
        }
        usleep(THROWAWAY_US);
    }
    fprintf(stderr, "PostgreSQL did not start; see %s\n", log);
    return -1;
}

int pg_server_start(struct pg_server *server, void (*before_clean)(const char *dir))
{
    *server = (struct pg_server){.port = throwaway_port(),
                                 .throwaway = {.user = "postgres",
                                               .pid_file = "data/postmaster.pid",
                                               .stop_signal = SIGQUIT,
                                               .before_clean = before_clean}};
    char bin[256], program[280], data[80], log[80], word[96], pwfile[112];
    if (find_bin(bin, sizeof(bin)) < 0 || throwaway_start(&server->throwaway, "ls-pgu") < 0) {
        return -1;
    }
    server->dir = server->throwaway.dir;
    snprintf(word, sizeof(word), "%s/word", server->dir);
    FILE *f = fopen(word, "w");
    fputs(PG_PASSWORD "\n", f);
    fclose(f);
    if (throwaway_own(&server->throwaway, word) < 0) {
        return -1;
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
    pid_t pid = throwaway_spawn(&server->throwaway, argv, log);
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
    throwaway_end(&server->throwaway);
}
