/*
 * Fetches an artifact and proves it: resumes a broken transfer, checks the digest before the file gets its name.
 */
#ifndef LOCKSTEP_IO_ARTIFACT_DOWNLOAD_H
#define LOCKSTEP_IO_ARTIFACT_DOWNLOAD_H

#include <stdint.h>

#include "lib/base/error.h"

typedef void artifact_progress(void *context, uint64_t done, uint64_t total);

struct artifact_download {
    const char *url;             /* https, http or file */
    const char *sha256;          /* what the spec says */
    const char *path;            /* of the file; PATH.part while it comes */
    artifact_progress *progress; /* may be NULL; total 0: not known */
    void *context;
};
/* 0: `path` is there, whole, with that digest (also when it was before). E_CONFLICT: the bytes are others than the spec
 * says (the part is deleted); E_LIMIT: the disk is full; else as http_download(). The part stays for the next try. */
int artifact_download(const struct artifact_download *download, struct error *e);

#endif
