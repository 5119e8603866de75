/* Owns the checks within a Fleet: names that are there twice, stages that are required, what would wait for nothing. */
#include "lib/base/str.h"
#include "lib/spec/check.h"

static const struct fleet_stage_spec *stage_at(const struct fleet_spec *fleet, size_t i)
{
    return LIST_AT(&fleet->stages, const struct fleet_stage_spec, i);
}

static void check_name(const struct checker *c, const struct fleet_spec *fleet, size_t at)
{
    const struct fleet_stage_spec *stage = stage_at(fleet, at);
    for (size_t i = 0; i < at && stage->name != NULL; i++) {
        if (str_equal(stage_at(fleet, i)->name, stage->name)) {
            check_say(c, &stage->name, "stage \"%s\" is there twice, the first is at line %d",
                      stage->name, marks_find(c->marks, &stage_at(fleet, i)->name).line);
            return;
        }
    }
}

/* Where a cluster was named first, before this place; NULL: nowhere. */
static const char *const *named_before(const struct fleet_spec *fleet, size_t stage, size_t at)
{
    const char *name = stage_at(fleet, stage)->clusters.items[at];
    for (size_t i = 0; i <= stage; i++) {
        const struct strings *clusters = &stage_at(fleet, i)->clusters;
        for (size_t j = 0; j < (i == stage ? at : clusters->count); j++) {
            if (str_equal(clusters->items[j], name)) {
                return &clusters->items[j];
            }
        }
    }
    return NULL;
}

static void check_clusters(const struct checker *c, const struct fleet_spec *fleet, size_t at,
                           size_t *members)
{
    const struct fleet_stage_spec *stage = stage_at(fleet, at);
    for (size_t i = 0; i < stage->clusters.count; i++) {
        if (++*members == LIMIT_FLEET_CLUSTERS + 1) {
            check_say(c, &stage->clusters.items[i], "a fleet may have %d clusters: make two of it",
                      LIMIT_FLEET_CLUSTERS);
        }
        if (*members > LIMIT_FLEET_CLUSTERS) {
            return; /* nor are they compared */
        }
        const char *const *first = named_before(fleet, at, i);
        if (first != NULL) {
            check_say(c, &stage->clusters.items[i],
                      "cluster \"%s\" is there twice, the first is at line %d", *first,
                      marks_find(c->marks, first).line);
        }
    }
}

static void check_requires(const struct checker *c, const struct fleet_spec *fleet, size_t at)
{
    const struct fleet_stage_spec *stage = stage_at(fleet, at);
    const char *names[LIMIT_FLEET_STAGES];
    size_t count = 0;
    for (size_t i = 0; i < at; i++) {
        names[count] = stage_at(fleet, i)->name;
        count += names[count] != NULL ? 1 : 0;
    }
    for (size_t i = 0; i < stage->requires.count; i++) {
        const char *name = stage->requires.items[i];
        bool earlier = false;
        bool later = false;
        for (size_t j = 0; j < fleet->stages.count; j++) {
            bool same = str_equal(stage_at(fleet, j)->name, name);
            earlier = earlier || (same && j < at);
            later = later || (same && j >= at);
        }
        if (!earlier) {
            check_say(c, &stage->requires.items[i],
                      later ? "stage \"%s\" is no earlier stage: it would wait for itself%s"
                            : "requires: no earlier stage \"%s\"%s",
                      name, later ? "" : check_hint(c, name, names, count));
        }
    }
}

void check_fleet(const struct checker *c, const struct fleet_spec *fleet)
{
    size_t members = 0;
    if (fleet->stages.count > LIMIT_FLEET_STAGES) {
        return; /* the table has said so */
    }
    for (size_t i = 0; i < fleet->stages.count; i++) {
        const struct fleet_stage_spec *stage = stage_at(fleet, i);
        check_name(c, fleet, i);
        check_clusters(c, fleet, i, &members);
        check_requires(c, fleet, i);
        if (i + 1 < fleet->stages.count) {
            continue;
        }
        if (stage->soak_ms > 0) {
            check_say(c, &stage->soak_ms, "soak: no stage follows that would wait for it");
        }
        if (stage->gate != NULL) {
            check_say(c, &stage->gate, "gate: no stage follows that would wait for it");
        }
    }
}
