/*
 * A throwaway PostgreSQL server for unit tests: own directory, free port, run as the user postgres when the test is
 * root. A janitor process ends the server and removes the directory however the test ends.
 */
#ifndef LOCKSTEP_TESTS_UNIT_IO_DB_PG_SERVER_H
#define LOCKSTEP_TESTS_UNIT_IO_DB_PG_SERVER_H

#include <sys/types.h>

struct pg_server {
    char dir[64];
    int port;
    pid_t pid;
    int janitor_fd;                        /* the janitor acts when its other end closes */
    void (*before_clean)(const char *dir); /* called by the janitor first; may be NULL */
};

/* Over TCP the superuser "postgres" needs this password; over the socket nobody needs one. */
#define PG_PASSWORD "s3cret-word"

/* 0, or -1 with words on stderr. */
int pg_server_start(struct pg_server *server, void (*before_clean)(const char *dir));
/* SIGQUIT: at once; SIGINT: fast. Returns when it is gone. */
void pg_server_stop(struct pg_server *server, int signal_number);
/* The same data, the same port. */
int pg_server_up(struct pg_server *server);
void pg_server_free(struct pg_server *server);

/* For what stands before a server: a port of loopback that was free just now, and a program as the server's user, which
 * ends with this process. argv ends with NULL. */
int pg_free_port(void);
pid_t pg_spawn(const char *const *argv, const char *log);

#endif
