/*
 * Owns the table of recorded fingerprints: each text once, named by its digest, which checkpoints refer to. Its triggers
 * refuse an old fence.
 */
#include "lib/base/str.h"
#include "lib/io/db/evidence.h"
#include "lib/io/db/fingerprint.h"

static const char *table(const struct db_session *s)
{
    return arena_printf(s->arena, "%sfingerprint", s->engine->prefix);
}

static int add_once(struct db_session *s, const struct db_fingerprint *fingerprint,
                    const struct db_checkpoint *checkpoint, struct error *e)
{
    const char *found = NULL;
    int rc = db_value(s, s->arena,
                      arena_printf(s->arena, "SELECT digest FROM %s WHERE digest = $1", table(s)),
                      &fingerprint->digest, 1, &found, e);
    if (rc < 0 || found != NULL) {
        return rc;
    }
    const char *params[] = {fingerprint->digest, db_fingerprint_text(s->arena, fingerprint),
                            checkpoint->run,
                            arena_printf(s->arena, "%llu", (unsigned long long)checkpoint->fence)};
    return db_query(
        s, s->arena,
        arena_printf(s->arena,
                     "INSERT INTO %s (digest, objects, run, fence) VALUES ($1, $2, $3, $4)",
                     table(s)),
        params, ARRAY_SIZE(params), NULL, e);
}

int db_fingerprint_record(struct db_session *s, const struct db_fingerprint *fingerprint,
                          struct db_checkpoint *checkpoint, struct error *e)
{
    checkpoint->fingerprint = fingerprint->digest;
    int rc = db_begin(s, e);
    if (rc == 0) {
        rc = add_once(s, fingerprint, checkpoint, e);
    }
    if (rc == 0) {
        rc = db_checkpoint_write(s, checkpoint, e);
    }
    if (rc == 0) {
        rc = db_commit(s, e);
    }
    if (rc < 0) {
        db_rollback(s);
    }
    return rc;
}

int db_fingerprint_of(struct db_session *s, struct arena *arena, const char *release,
                      struct db_checkpoint *ret_checkpoint, struct db_fingerprint *ret,
                      struct error *e)
{
    struct db_checkpoint checkpoint = {0};
    int rc = db_checkpoint_latest(s, arena, release, &checkpoint, e);
    const char *text = NULL;
    if (rc == 0 && checkpoint.run != NULL) {
        rc = db_value(s, arena,
                      arena_printf(s->arena, "SELECT objects FROM %s WHERE digest = $1", table(s)),
                      &checkpoint.fingerprint, 1, &text, e);
    }
    if (rc < 0) {
        return rc;
    }
    /* One that another version of Lockstep wrote in another way is none: it is recorded anew. */
    if (text == NULL || db_fingerprint_parse(arena, text, ret, NULL) < 0 ||
        !str_equal(ret->digest, checkpoint.fingerprint)) {
        checkpoint = (struct db_checkpoint){0};
        *ret = (struct db_fingerprint){0};
    }
    *ret_checkpoint = checkpoint;
    return 0;
}
