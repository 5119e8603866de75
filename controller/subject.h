/* What an operator's request is about: files, a known cluster, or a plan. */
#ifndef LOCKSTEP_CONTROLLER_SUBJECT_H
#define LOCKSTEP_CONTROLLER_SUBJECT_H

#include "controller/reply.h"
#include "lib/plan/plan.h"

struct subject {
    const Lockstep__V1__Bundle *bundle;
    const char *plan_id; /* NULL: no plan was given */
    struct plan plan;
};

/* The bundle of a request, borrowed, or of the newest revision of the cluster that it names. */
int subject_bundle(struct controller *c, struct arena *arena, const Lockstep__V1__Bundle *bundle,
                   const char *cluster, const Lockstep__V1__Bundle **ret, struct error *e);
/* A plan file: it must be one that this controller made, byte for byte, and a whole one. */
int subject_plan(struct controller *c, struct arena *arena, ProtobufCBinaryData json,
                 struct subject *ret, struct error *e);

#endif
