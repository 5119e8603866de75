/* Owns the finding of what a request is about. It refuses a plan that was not made here. */
#include "controller/subject.h"

#include "lib/base/str.h"
#include "lib/io/platform/digest.h"

int subject_bundle(struct controller *c, struct arena *arena, const Lockstep__V1__Bundle *bundle,
                   const char *cluster, const Lockstep__V1__Bundle **ret, struct error *e)
{
    struct stored_revision revision = {0};
    if (bundle != NULL && bundle->n_files > 0) {
        *ret = bundle;
        return 0;
    }
    if (str_empty(cluster)) {
        return error_set(e, E_INVALID, "there is neither a file nor a cluster's name");
    }
    int r = store_revision(c->store, arena, cluster, 0, &revision, e);
    if (r < 0) {
        return r;
    }
    *ret = REPLY_REQUEST(Bundle, bundle, arena, revision.bundle, e);
    return *ret != NULL ? 0 : e->code;
}

int subject_plan(struct controller *c, struct arena *arena, ProtobufCBinaryData json,
                 struct subject *ret, struct error *e)
{
    char id[DIGEST_HEX_BYTES];
    digest_bytes_hex(json.data, json.len, id);
    struct bytes kept = {0};
    struct bytes bundle = {0};
    int r = store_plan(c->store, arena, id, &kept, &bundle, e);
    if (r == E_NOT_FOUND) {
        return error_set(e, E_NOT_FOUND,
                         "this plan (%.8s) was not made by this controller, or was edited since: "
                         "what was proved "
                         "holds for the plan that was made. Make one with `lockstep plan -o FILE`",
                         id);
    }
    if (r == 0) {
        r = plan_from_json(arena, (const char *)kept.data, kept.len, &ret->plan, e);
    }
    if (r == 0 && ret->plan.part != PLAN_WHOLE) {
        return error_set(
            e, E_INVALID,
            "that is the plan of a `lockstep stage`: give the one that it was made from");
    }
    if (r < 0) {
        return r;
    }
    ret->bundle = REPLY_REQUEST(Bundle, bundle, arena, bundle, e);
    ret->plan_id = arena_strdup(arena, id);
    return ret->bundle != NULL ? 0 : e->code;
}
