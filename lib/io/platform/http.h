/*
 * One HTTP request at a time over libcurl, blocking. It owns redirects: at most HTTP_REDIRECTS_MAX, never from https to
 * http, never to another protocol. It refuses protocols other than http, https and (for downloads) file.
 */
#ifndef LOCKSTEP_IO_PLATFORM_HTTP_H
#define LOCKSTEP_IO_PLATFORM_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"

#define HTTP_REDIRECTS_MAX  5
#define HTTP_BODY_BYTES_MAX (1024 * 1024)

struct http_request {
    const char *url;
    const char *post;   /* JSON text to POST; NULL: GET */
    int64_t timeout_ms; /* for all of it; 0: 30 s */
    bool insecure;      /* do not verify the certificate */
    bool direct;        /* never through a proxy: what is asked is on this network */
    const bool *
        stop; /* another thread sets it, atomically, and the call ends within a second or two; NULL: none does */
};
struct http_response {
    long status;
    const char *body; /* NUL-terminated, arena; cut at HTTP_BODY_BYTES_MAX */
    size_t body_bytes;
};
/* 0 for any HTTP answer. E_UNAVAILABLE, E_TIMEOUT, E_DENIED (certificate, redirect), E_INVALID (URL): no answer. */
int http_fetch(struct arena *arena, const struct http_request *request, struct http_response *ret,
               struct error *e);

/* A body of any size, in pieces as they come. */
struct http_download {
    const char *url;      /* http, https or file */
    uint64_t resume_from; /* bytes that the caller has; 0: from the start */
    int64_t stall_ms;     /* no byte for that long is a failure; 0: 60 s */
    /* Before the first piece: where it starts (0 when the server does not know ranges: begin anew), and the whole size
     * (0: not known). A negative return stops. */
    int (*begin)(void *context, uint64_t offset, uint64_t total, struct error *e);
    /* A negative return (with *e) stops the transfer and is returned. */
    int (*piece)(void *context, const void *data, size_t len, struct error *e);
    void *context;
};
/* 0 when all came. E_NOT_FOUND (404, 410, no file), E_DENIED (401, 403), E_UNAVAILABLE (others, no answer, broken off),
 * E_TIMEOUT (stalled), or what the callbacks returned. */
int http_download(const struct http_download *download, struct error *e);

#endif
