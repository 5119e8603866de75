/*
 * What `plan` and `apply` are given: a cluster's file with its Application, a plan that was made
 * before, or the name of a cluster that the controller holds.
 */
#ifndef LOCKSTEP_CLI_SUBJECT_H
#define LOCKSTEP_CLI_SUBJECT_H

#include "cli/verb.h"
#include "lib/base/buf.h"
#include "proto/operator.pb-c.h"

struct subject {
    Lockstep__V1__Bundle *bundle; /* or … */
    struct bytes plan;            /* … or … */
    const char *cluster;          /* … */
};

/* 0, or an enum cli_exit: what is wrong has been said. */
int subject_read(struct context *c, const char *operand, struct subject *ret);

#endif
