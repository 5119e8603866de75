/*
 * The versions of DataMiner: two tracks of releases, with the forms in which its tools write them. Used by the files of
 * this folder only; version.h is the door.
 *
 *   Main Release     10.3.0   10.3.0 [CU5]   10.3.0 CU5   10.4.0-CU4   10.0.0.0-11025-CU19
 *   Feature Release  10.3.8   10.3.8.0   10.5.2.0 - 15323
 *   with its build   10.4.0.0-14772-20240821-release: the date and the word behind it say nothing about the order
 *
 * Its majors are pairs of numbers (9.6, 10.0, 10.3). Across majors the order is theirs, whatever the track. Inside of
 * one the tracks are beside each other: 10.3.0 [CU5] and 10.3.8 are incomparable. Builds decide where both
 * have one and the rest is the same. A Main Release that names a build and no CU is some CU of its major: it can be
 * compared with other builds, and not with a CU whose build is not named.
 *
 * Sources: the vendor's upgrade and downgrade procedures, its release notes, what its packages are called.
 */
#ifndef LOCKSTEP_SPEC_VERSION_DATAMINER_H
#define LOCKSTEP_SPEC_VERSION_DATAMINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/spec/version.h"

#define DATAMINER_CU_UNKNOWN (-1)

struct dataminer {
    uint64_t parts[4]; /* x.y.z and the fourth, which is 0 where it is not written */
    int64_t cu;        /* of a Main Release; 0 on the Feature track */
    bool has_build;
    uint64_t build;
};

/* NULL, or why the text is no version. */
const char *dataminer_parse(const char *text, struct dataminer *ret);
bool dataminer_is_main(const struct dataminer *v);
enum version_order dataminer_compare(const struct dataminer *a, const struct dataminer *b);
/* A total order for sorting: inside of one major the Main Releases stand behind the Feature Releases, and a build whose CU is
 * not known before all of which it is. Else it agrees with the other where that one says something. -1, 0, 1. */
int dataminer_sort(const struct dataminer *a, const struct dataminer *b);
/* How many bytes of a range's text one version takes: its forms hold blanks. */
size_t dataminer_word(const char *s);

#endif
