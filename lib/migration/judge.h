/*
 * What to do about a migration that was begun and whose end nobody knows: the table of docs/MIGRATIONS.md ("Once") as
 * one pure function. It never guesses: what cannot be told from what stands there is asked.
 */
#ifndef LOCKSTEP_MIGRATION_JUDGE_H
#define LOCKSTEP_MIGRATION_JUDGE_H

#include "lib/migration/units.h"

enum judge_seen {
    JUDGE_BLIND,   /* the schema's state before it, or now, is not known */
    JUDGE_SAME,    /* nothing in the schema has changed since */
    JUDGE_CHANGED, /* something has */
};

struct judge_case {
    /* of the intent */
    bool other_text; /* the script is not the one that was begun */
    bool unknown;    /* it was seen that the unit may have run in part */
    bool
        session_lost; /* a unit before it left something in the session that cannot be said again */
    bool answered;    /* a person was asked, and said: retry */
    bool not_begun;   /* the units before it are done, and it was not sent */
    /* of the unit at which it stopped */
    enum unit_kind kind;
    bool atomic, schema_only, surely, repeatable;
    enum judge_seen seen;
    bool index, index_drop; /* one index is all that it makes, or drops */
    bool index_was, index_is, index_valid;
    bool index_same; /* what is there is what was there */
};

enum judge_verdict {
    JUDGE_RUN,     /* it did not run, or doing it again does no harm */
    JUDGE_RAN,     /* it ran: go on behind it */
    JUDGE_CLEAN,   /* an invalid index is left of it: drop that, then run it */
    JUDGE_RESTART, /* another text, and a person said so: from its beginning */
    JUDGE_ASK,
};

/* *ret_why: one clause, for the log and for who is asked. */
enum judge_verdict judge(const struct judge_case *c, const char **ret_why);

/* What a row of evidence says of its migration. */
enum judge_says {
    JUDGE_SAYS_NOTHING, /* a person said that it may run: `retry` */
    JUDGE_SAYS_APPLIED,
    JUDGE_SAYS_REVERTED,
};

/* The ledger does not have it and no intent stands: was its script run by an earlier run, and is that still so? */
struct judge_claim {
    enum judge_says says; /* the newest evidence since the last restore; NOTHING without one */
    bool answered;        /* a person was asked, and said: retry */
    bool bare;            /* nothing of any migration stands in the database */
    bool as_left;         /* the schema is that of the newest checkpoint, written after it ran */
    bool as_before;       /* schema and ledger are those of a checkpoint from before it ran */
    bool moved;           /* the first checkpoint after it ran has another schema than that one */
};

/* JUDGE_RUN or JUDGE_ASK. */
enum judge_verdict judge_claim(const struct judge_claim *c, const char **ret_why);

#endif
