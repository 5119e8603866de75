/*
 * A throwaway MariaDB server for unit tests: own directory, free port, run as the user mysql when the test is root.
 */
#ifndef LOCKSTEP_TESTS_UNIT_IO_DB_MARIADB_SERVER_H
#define LOCKSTEP_TESTS_UNIT_IO_DB_MARIADB_SERVER_H

#include "tests/unit/io/db/throwaway.h"

struct mariadb_server {
    struct throwaway throwaway;
    int port;
    pid_t pid; /* 0: not running */
};

/* The users "root" (all rights) and "app" (all on each test's own database, and PROCESS) need this password over TCP. */
#define MARIADB_PASSWORD "maria's-s3cret"

/* 0, or -1 with words on stderr. */
int mariadb_server_start(struct mariadb_server *server, void (*before_clean)(const char *dir));
/* Returns when it is gone. */
void mariadb_server_stop(struct mariadb_server *server, int signal_number);
/* The same data, the same port. */
int mariadb_server_up(struct mariadb_server *server);
void mariadb_server_free(struct mariadb_server *server);

#endif
