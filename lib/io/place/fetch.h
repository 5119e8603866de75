/* Brings a blob from the controller, range by range, into a directory by its digest. Blocks; for
 * workers only. */
#ifndef LOCKSTEP_IO_PLACE_FETCH_H
#define LOCKSTEP_IO_PLACE_FETCH_H

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/io/place/place.h"

struct fetch_options {
    const struct place_worker_config *from;
    const char *sha256;
    int64_t deadline_ms; /* wall clock: a lost connection is tried again until then */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

/* Resumes SHA256.part, checks the digest of the whole, then names it SHA256. *ret_path is in the
 * arena. E_NOT_FOUND: the controller has no such blob. */
int fetch_blob(struct arena *arena, const struct fetch_options *options, const char **ret_path,
               struct error *e);

#endif
