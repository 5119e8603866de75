/* The kill matrix (matrix.c): every kind of migration, broken at every statement. */
#ifndef LOCKSTEP_TESTS_UNIT_IO_DB_MATRIX_H
#define LOCKSTEP_TESTS_UNIT_IO_DB_MATRIX_H

#include "tests/unit/io/db/fixture.h"

enum how {
    KILL_PROCESS, /* the runner's, with -9 */
    END_SESSION,  /* the server's process of its session; the runner lives on */
};

/* Fails the test where what is left is not what an undisturbed run leaves, or where it asked though it could tell. */
void matrix_run(enum how how);

#endif
