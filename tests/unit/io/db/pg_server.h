/*
 * A throwaway PostgreSQL server for unit tests: own directory, free port, run as the user postgres when the test is
 * root.
 */
#ifndef LOCKSTEP_TESTS_UNIT_IO_DB_PG_SERVER_H
#define LOCKSTEP_TESTS_UNIT_IO_DB_PG_SERVER_H

#include "tests/unit/io/db/throwaway.h"

struct pg_server {
    struct throwaway throwaway;
    const char *dir; /* throwaway.dir */
    int port;
    pid_t pid;
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

#endif
