/* A pretended cluster for the tests of the plan: a spec from YAML text and an inventory to change. */
#ifndef LOCKSTEP_TESTS_UNIT_PLAN_WORLD_H
#define LOCKSTEP_TESTS_UNIT_PLAN_WORLD_H

#include "lib/plan/plan.h"

struct world {
    struct arena arena;
    struct spec spec;
    struct inventory inventory;
    struct complaints complaints;
    struct plan plan;
    struct plan_restore restores[2]; /* what the next compilation puts back */
    size_t restore_count;
    const struct known_durations *known; /* for the rendering; NULL */
};

/* The guestbook: three releases over one morph database, three nodes, no strategy. */
extern const char guestbook_application[];
/* The cluster of the guestbook; `more` is added to it (strategy:, backup: …). */
const char *guestbook_cluster(struct world *w, const char *version, const char *more);
/* One release each way by an external migrator: 5.6.0 has 210 rows, 5.12.8 has 276. */
extern const char external_application[];

void world_init(struct world *w);
void world_deinit(struct world *w);
/* Reads the spec, fails the test on a complaint, and makes an inventory: every node enrolled and connected. */
void world_read(struct world *w, const char *cluster, const char *application);
/* All nodes run `version` (NULL: nothing is installed). */
void world_runs(struct world *w, const char *version);
/* The ledger of the only database holds the guestbook's first `count` migrations. */
void world_ledger(struct world *w, size_t count);
/* The ledger of the only database holds `count` rows of somebody else. */
void world_rows(struct world *w, size_t count);
/* A release whose artifact brings the guestbook's first `count` migrations. */
void world_release(struct world *w, const char *version, size_t count);
/* A release whose artifact brings these files for the only database; `files` ends with a NULL name. */
void world_release_files(struct world *w, const char *version, const struct migration_file *files);
/* The ledger of the only database holds these ids; `ids` has blanks between them. */
void world_ids(struct world *w, const char *ids);
int world_compile(struct world *w, const char *to);
/* Compiles and renders; fails the test on a complaint. */
const char *world_render(struct world *w, const char *to);
/* Compiles, expects a refusal, and returns all complaints, one a line. */
const char *world_refusal(struct world *w, const char *to);
const char *world_json(struct world *w);

#define GUESTBOOK_MIGRATIONS 4
#define SHA(letter)                                                                                \
    letter letter letter letter letter letter letter letter letter letter letter letter letter     \
        letter letter letter

#endif
