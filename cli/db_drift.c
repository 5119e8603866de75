/*
 * Owns `lockstep db drift`: the schema now beside a recorded one. Where nothing is recorded it records what is there, and
 * says so. It repairs nothing.
 */
#include <string.h>

#include "cli/db_run.h"
#include "cli/output.h"
#include "lib/base/str.h"
#include "lib/io/db/fingerprint.h"
#include "lib/io/platform/files.h"

struct drift {
    struct db_call call; /* first: the act's shell is the call */
    const char *against; /* a file, a release, or NULL: the last checkpoint */
    const char *subject; /* what it was compared with, for people */
    bool known;          /* there was something to compare with */
    struct db_fingerprint was, now;
    struct strings words;
};

static int read_file(struct drift *d, struct error *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc = file_read(d->call.arena, d->against, DB_FINGERPRINT_BYTES_MAX, &text, &len, e);
    if (rc == 0) {
        rc = db_fingerprint_parse(d->call.arena, text, &d->was, e);
        d->subject = d->against;
        d->known = rc == 0;
    }
    if (rc < 0) {
        error_wrap(e, "%s", d->against);
    }
    return rc;
}

static int read_recorded(struct drift *d, struct db_session *s, struct error *e)
{
    struct db_checkpoint checkpoint = {0};
    bool there = false;
    int rc = db_evidence_exists(s, &there, e);
    if (rc == 0 && there) {
        rc = db_fingerprint_of(s, d->call.arena, d->against, &checkpoint, &d->was, e);
    }
    d->known = rc == 0 && checkpoint.run != NULL;
    if (d->known) {
        d->subject = arena_printf(d->call.arena, "the checkpoint of %s, recorded %s",
                                  checkpoint.release, checkpoint.at);
    }
    return rc;
}

static int compare(struct drift *d, struct error *e)
{
    struct db_session s = {0};
    int rc = db_look_open(&d->call, &s, e);
    if (rc == 0) {
        rc = d->against != NULL && file_exists(d->against) ? read_file(d, e)
                                                           : read_recorded(d, &s, e);
    }
    rc = rc < 0 ? rc : db_fingerprint_read(&s, d->call.arena, &d->now, e);
    db_close(&s);
    if (rc == 0 && d->known) {
        db_fingerprint_differences(d->call.arena, &d->was, &d->now, &d->words);
    }
    return rc;
}

static int record(struct drift *d, struct error *e)
{
    struct db_call *call = &d->call;
    struct db_checkpoint_action checkpoint = {.database = call->ref,
                                              .format = (int)call->format->kind,
                                              .release =
                                                  d->against != NULL ? d->against : "recorded"};
    struct action action = {.db_checkpoint = &checkpoint};
    int rc = db_claim(call, "drift", e);
    bool claimed = rc == 0;
    rc = rc < 0 ? rc : db_take_lock(call, e);
    rc = rc < 0 ? rc : act_db_checkpoint(&call->act, &action, e);
    struct error second = {0};
    int released = claimed ? db_give_lock(call, &second) : 0;
    if (rc == 0 && released < 0) {
        *e = second;
        rc = released;
    }
    db_disclaim(call, claimed && released == 0);
    return rc;
}

static void print_document(const struct drift *d, bool recorded)
{
    json_t *words = json_array();
    for (size_t i = 0; i < d->words.count; i++) {
        json_array_append_new(words, json_text(d->words.items[i]));
    }
    print_json(json_pack("{s:s, s:o, s:b, s:o, s:b, s:s}", "database", d->call.ref.name, "against",
                         json_text(d->subject), "drift", (int)(d->words.count > 0), "differences",
                         words, "recorded", (int)recorded, "fingerprint", d->now.digest));
}

static void print_drift(const struct drift *d, bool recorded)
{
    for (size_t i = 0; i < d->words.count; i++) {
        puts(d->words.items[i]);
    }
    if (d->known && d->words.count == 0) {
        printf("database %s: the schema is as %s says (%zu objects)\n", d->call.ref.name,
               d->subject, d->now.count);
    }
    if (recorded) {
        printf("database %s: %sthe schema is recorded now (%zu objects, %.16s)\n", d->call.ref.name,
               d->known ? "" : "nothing was recorded to compare with; ", d->now.count,
               d->now.digest);
    }
    fflush(stdout);
    if (d->words.count > 0) {
        say("database %s: %zu differences from %s", d->call.ref.name, d->words.count, d->subject);
    }
}

static int write_now(const struct drift *d, struct error *e)
{
    const char *path = args_text(&d->call.c->args, "output");
    if (path == NULL) {
        return 0;
    }
    const char *text = db_fingerprint_text(d->call.arena, &d->now);
    return write_output(path, text, strlen(text), e);
}

int db_show_drift(struct context *c)
{
    struct drift d = {.against = args_text(&c->args, "against")};
    int status = CLI_WRONG_USE;
    if (!db_call_read(c, DB_NEEDS_FORMAT, &d.call, &status)) {
        return status;
    }
    struct error e = {0};
    bool asked = args_flag(&c->args, "record");
    bool file = d.against != NULL && file_exists(d.against);
    if (asked && file) {
        say("--record keeps the schema in the database, under a release's name; for a file say "
            "--output %s",
            d.against);
        return CLI_WRONG_USE;
    }
    if (d.against != NULL && !file && strchr(d.against, '/') != NULL) {
        say("there is no file %s: --against names one, or a release", d.against);
        return CLI_FAILED;
    }
    int rc = compare(&d, &e);
    rc = rc < 0 ? rc : write_now(&d, &e);
    bool records = rc == 0 && (asked || !d.known);
    if (records) {
        rc = record(&d, &e);
    }
    if (rc < 0) {
        return db_fail_with(&e);
    }
    if (c->json) {
        print_document(&d, records);
    } else {
        print_drift(&d, records);
    }
    return d.words.count > 0 && !asked ? CLI_MOVED : CLI_DONE;
}
