/*
 * Owns the transfer of one blob: a partial file that only grows, a lock so that two workers do not
 * write the same one, and the digest before the final name. It refuses a blob whose digest differs.
 */
#include "lib/io/place/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "lib/base/str.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/digest.h"
#include "lib/io/rpc/pki.h"
#include "lib/io/rpc/rpc.h"

#define RETRY_FIRST_MS 200
#define RETRY_MOST_MS  5000
#define CONNECT_MS     10000

struct transfer {
    const struct fetch_options *options;
    int fd;
    uint64_t offset; /* bytes in the partial file */
    uint64_t total;
    bool over;
    int result; /* of the call: 0, or a code with *e */
    struct error *e;
};

static void on_message(struct rpc_call *call, struct bytes message)
{
    struct transfer *t = rpc_call_get_data(call);
    Lockstep__V1__FetchChunk *chunk =
        lockstep__v1__fetch_chunk__unpack(NULL, message.len, message.data);
    if (chunk == NULL || chunk->offset != t->offset) {
        t->result = error_set(t->e, E_IO, "the controller sent a range that was not asked for");
        rpc_call_cancel(call);
    } else if (pwrite(t->fd, chunk->data.data, chunk->data.len, (off_t)t->offset) !=
               (ssize_t)chunk->data.len) {
        t->result = error_set(t->e, error_from_errno(errno), "cannot keep what arrives: %s",
                              strerror(errno));
        rpc_call_cancel(call);
    } else {
        t->offset += chunk->data.len;
        t->total = chunk->total;
        if (t->options->progress != NULL) {
            t->options->progress(t->options->context, t->offset, t->total);
        }
    }
    if (chunk != NULL) {
        lockstep__v1__fetch_chunk__free_unpacked(chunk, NULL);
    }
}

static void on_close(struct rpc_call *call, enum rpc_status status, const char *message)
{
    struct transfer *t = rpc_call_get_data(call);
    t->over = true;
    if (t->result == 0 && status != RPC_OK) {
        t->result = error_set(t->e, rpc_status_to_error(status), "the controller: %s", message);
    }
}

static const struct rpc_handlers handlers = {.on_message = on_message, .on_close = on_close};

static int connect_to(struct arena *arena, uv_loop_t *loop, const struct place_worker_config *from,
                      struct rpc_client **ret, struct error *e)
{
    struct rpc_client_options options = {.host = from->host,
                                         .port = from->port,
                                         .server_name = from->server_name,
                                         .connect_ms = CONNECT_MS};
    int r = pki_read_file(arena, from->ca_file, &options.ca_pem, e);
    if (r == 0) {
        r = pki_read_file(arena, from->certificate_file, &options.certificate_pem, e);
    }
    if (r == 0) {
        r = pki_read_file(arena, from->key_file, &options.key_pem, e);
    }
    return r < 0 ? r : rpc_client_new(loop, &options, NULL, NULL, ret, e);
}

/* One connection's worth of the transfer. */
static int transfer_once(struct arena *arena, struct transfer *t, struct error *e)
{
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0) {
        return error_set(e, E_LIMIT, "no event loop could be made");
    }
    struct rpc_client *client = NULL;
    int r = connect_to(arena, &loop, t->options->from, &client, e);
    if (r == 0) {
        Lockstep__V1__FetchRequest request = LOCKSTEP__V1__FETCH_REQUEST__INIT;
        request.sha256 = (char *)t->options->sha256;
        request.offset = t->offset;
        uint8_t packed[256];
        assert(lockstep__v1__fetch_request__get_packed_size(&request) <= sizeof(packed));
        size_t len = lockstep__v1__fetch_request__pack(&request, packed);
        t->over = false;
        t->result = 0;
        t->e = e;
        struct rpc_call *call = rpc_client_call(client, "/lockstep.v1.Agents/Fetch", &handlers, t);
        r = call == NULL ? error_set(e, E_UNAVAILABLE, "the connection to the controller closed")
                         : rpc_call_send(call, (struct bytes){.data = packed, .len = len});
        if (call != NULL) {
            rpc_call_half_close(call);
        }
        while (r == 0 && !t->over && uv_run(&loop, UV_RUN_ONCE) != 0) {
        }
        r = r == 0 ? t->result : r;
        rpc_client_close_wait(client);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return r;
}

static bool worth_another_try(int code)
{
    return code == E_UNAVAILABLE || code == E_TIMEOUT || code == E_CANCELLED;
}

static int transfer_all(struct arena *arena, struct transfer *t, struct error *e)
{
    int64_t pause_ms = RETRY_FIRST_MS;
    for (;;) {
        uint64_t before = t->offset;
        int r = transfer_once(arena, t, e);
        if (r == 0 && t->offset == t->total) {
            return 0;
        }
        if (r == 0) {
            r = error_set(e, E_UNAVAILABLE, "the controller stopped at %llu of %llu bytes",
                          (unsigned long long)t->offset, (unsigned long long)t->total);
        }
        pause_ms = t->offset > before ? RETRY_FIRST_MS : MIN(pause_ms * 2, RETRY_MOST_MS);
        if (r == E_INVALID && t->offset > 0) {
            /* More than the whole, or not of it: begin anew. */
            t->offset = 0;
            if (ftruncate(t->fd, 0) == 0) {
                continue;
            }
        }
        if (!worth_another_try(r) || act_now_ms() + pause_ms >= t->options->deadline_ms) {
            return r;
        }
        uv_sleep((unsigned int)pause_ms);
    }
}

static int fetch_locked(struct arena *arena, const struct fetch_options *options, int fd,
                        const char *part, const char *path, struct error *e)
{
    struct stat st;
    if (stat(path, &st) == 0) {
        return 0; /* another worker brought it while we waited for the lock */
    }
    if (fstat(fd, &st) < 0) {
        return error_set(e, error_from_errno(errno), "%s: %s", part, strerror(errno));
    }
    struct transfer t = {.options = options, .fd = fd, .offset = (uint64_t)st.st_size};
    int r = transfer_all(arena, &t, e);
    if (r < 0) {
        return r;
    }
    char digest[DIGEST_HEX_BYTES];
    r = digest_file_hex(part, digest, NULL, e);
    if (r == 0 && !str_equal(digest, options->sha256)) {
        unlink(part);
        r = error_set(
            e, E_INVALID,
            "what arrived has SHA-256 %.12s, not %.12s: the transfer was damaged, try again",
            digest, options->sha256);
    }
    if (r == 0 && (fsync(fd) < 0 || rename(part, path) < 0)) {
        r = error_set(e, error_from_errno(errno), "cannot keep %s: %s", path, strerror(errno));
    }
    return r;
}

int fetch_blob(struct arena *arena, const struct fetch_options *options, const char **ret_path,
               struct error *e)
{
    const char *path = arena_printf(arena, "%s/%s", options->from->blobs, options->sha256);
    const char *part = arena_printf(arena, "%s.part", path);
    *ret_path = path;
    if (access(path, R_OK) == 0) {
        return 0;
    }
    if (options->from->host == NULL) {
        return error_set(e, E_NOT_FOUND, "blob %.12s is not in %s", options->sha256,
                         options->from->blobs);
    }
    int fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) < 0) {
        int r = error_set(e, error_from_errno(errno), "cannot write %s: %s", part, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return r;
    }
    int r = fetch_locked(arena, options, fd, part, path, e);
    close(fd);
    return r;
}
