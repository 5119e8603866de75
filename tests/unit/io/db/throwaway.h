/*
 * What throwaway servers of tests have in common: an own directory, a free port, an unprivileged user when the test is
 * root, and a janitor: a process that ends the server and removes the directory however the test ends.
 */
#ifndef LOCKSTEP_TESTS_UNIT_IO_DB_THROWAWAY_H
#define LOCKSTEP_TESTS_UNIT_IO_DB_THROWAWAY_H

#include <sys/types.h>

struct throwaway {
    const char *user;     /* whom the server runs as when the test is root */
    const char *pid_file; /* below dir; its first line begins with the server's pid */
    int stop_signal;      /* ends it at once */
    void (*before_clean)(const char *dir); /* called by the janitor first; may be NULL */
    char dir[64];
    pid_t janitor;
    int janitor_fd; /* the janitor acts when its other end closes */
};

#define THROWAWAY_TRIES 400
#define THROWAWAY_US    25000 /* between two tries */

/* Makes the directory /tmp/PREFIX-… and starts the janitor. 0, or -1 with words on stderr. */
int throwaway_start(struct throwaway *t, const char *prefix);
/* Hands the path to the server's user. */
int throwaway_own(const struct throwaway *t, const char *path);
/* A port of loopback that was free just now. */
int throwaway_port(void);
/* Starts a program as the user; it ends with the test. argv ends with NULL. */
pid_t throwaway_spawn(const struct throwaway *t, const char *const *argv, const char *log);
/* The server is stopped already: removes the directory, and returns when it is gone. */
void throwaway_end(struct throwaway *t);

#endif
