/* Owns the lookups in an inventory. */
#include "lib/plan/inventory.h"

#include "lib/base/str.h"

const struct observed_node *inventory_node(const struct inventory *inventory, const char *name)
{
    for (size_t i = 0; i < inventory->node_count; i++) {
        if (str_equal(inventory->nodes[i].name, name)) {
            return &inventory->nodes[i];
        }
    }
    return NULL;
}

const struct observed_database *inventory_database(const struct inventory *inventory,
                                                   const char *name)
{
    for (size_t i = 0; i < inventory->database_count; i++) {
        if (str_equal(inventory->databases[i].name, name)) {
            return &inventory->databases[i];
        }
    }
    return NULL;
}

/* `have` fits `want` when either does not say. */
static bool fits(const char *have, const char *want)
{
    return have == NULL || want == NULL || str_equal(have, want);
}

const struct known_release *inventory_release(const struct inventory *inventory,
                                              const char *version, const char *os, const char *arch)
{
    for (size_t i = 0; i < inventory->release_count; i++) {
        const struct known_release *r = &inventory->releases[i];
        if (str_equal(r->version, version) && fits(r->os, os) && fits(r->arch, arch)) {
            return r;
        }
    }
    return NULL;
}
