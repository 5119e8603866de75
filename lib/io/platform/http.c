/* Owns libcurl. It refuses redirects to a weaker protocol, and every protocol but http, https and file. */
#include "lib/io/platform/http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/platform/files.h"

#define HTTP_CONNECT_MS 15000L

static bool has_scheme(const char *url, const char *scheme)
{
    return strncasecmp(url, scheme, strlen(scheme)) == 0;
}

static int check_url(const char *url, bool file_ok, struct error *e)
{
    if (has_scheme(url, "https://") || has_scheme(url, "http://") ||
        (file_ok && has_scheme(url, "file:///"))) {
        return 0;
    }
    return error_set(e, E_INVALID, "%s is not %sa http: or https: URL", url,
                     file_ok ? "a file:, " : "");
}

/* A redirect may not leave HTTP, nor go from the protected protocol to the open one. */
static int check_redirect(const char *from, const char *to, struct error *e)
{
    if (has_scheme(to, "https://") ||
        (has_scheme(to, "http://") && !has_scheme(from, "https://"))) {
        return 0;
    }
    return error_set(e, E_DENIED,
                     "%s redirects to %s, which is refused: write the right URL into the spec",
                     from, to);
}

static int explain(CURLcode code, const char *url, const char *detail, struct error *e)
{
    const char *words = *detail != '\0' ? detail : curl_easy_strerror(code);
    int kind = E_UNAVAILABLE;
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return error_set(e, E_TIMEOUT, "%s did not answer in time: %s", url, words);
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
        return error_set(
            e, E_DENIED,
            "the certificate of %s is not trusted here: %s: install its CA on this machine", url,
            words);
    }
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) {
        kind = E_INVALID;
    } else if (code == CURLE_FILE_COULDNT_READ_FILE) {
        return error_set(e, E_NOT_FOUND,
                         "%s cannot be read: is the file there, and readable for this user?", url);
    }
    return error_set(e, kind, "%s: %s", url, words);
}

static CURL *new_handle(const char *protocols, char *detail)
{
    /* Counted and thread-safe: one call for each handle, undone when it is freed. */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return NULL;
    }
    CURL *curl = curl_easy_init();
    if (curl == NULL) {
        curl_global_cleanup();
        return NULL;
    }
    detail[0] = '\0';
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocols);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, HTTP_CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "lockstep/" LOCKSTEP_VERSION);
    return curl;
}

static void free_handle(CURL *curl)
{
    curl_easy_cleanup(curl);
    curl_global_cleanup();
}

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* After a transfer: 1 and the next URL in the arena when it was a redirect that may be followed, 0 when it was none. */
static int next_url(CURL *curl, struct arena *arena, const char **url, int *hops, struct error *e)
{
    long status = 0;
    const char *next = NULL;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &next);
    if (!is_redirect(status) || next == NULL) {
        return 0;
    }
    if (++*hops > HTTP_REDIRECTS_MAX) {
        return error_set(e, E_LIMIT,
                         "%s redirects more than %d times: write the last URL into the spec", *url,
                         HTTP_REDIRECTS_MAX);
    }
    int r = check_redirect(*url, next, e);
    if (r < 0) {
        return r;
    }
    *url = arena_strdup(arena, next);
    return 1;
}

static size_t take_body(const char *data, size_t size, size_t count, void *context)
{
    buf_append(context, data, size * count);
    return size * count;
}

static int is_stopped(void *context, curl_off_t down_total UNUSED, curl_off_t down UNUSED,
                      curl_off_t up_total UNUSED, curl_off_t up UNUSED)
{
    const bool *stop = context;
    return __atomic_load_n(stop, __ATOMIC_RELAXED) ? 1 : 0;
}

int http_fetch(struct arena *arena, const struct http_request *request, struct http_response *ret,
               struct error *e)
{
    int r = check_url(request->url, false, e);
    if (r < 0) {
        return r;
    }
    char detail[CURL_ERROR_SIZE];
    CURL *curl = new_handle("http,https", detail);
    if (curl == NULL) {
        return error_set(e, E_LIMIT, "cannot make an HTTP client: out of memory");
    }
    struct curl_slist *headers = NULL;
    struct buf body;
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                     (long)(request->timeout_ms > 0 ? request->timeout_ms : 30000));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    if (request->insecure) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (request->direct) {
        curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    }
    if (request->stop != NULL) {
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, is_stopped);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, (void *)(uintptr_t)request->stop);
    }
    if (request->post != NULL) {
        headers = curl_slist_append(headers, "Content-Type: application/json");
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->post);
    }
    const char *url = request->url;
    for (int hops = 0;;) {
        buf_init(&body, arena, HTTP_BODY_BYTES_MAX);
        curl_easy_setopt(curl, CURLOPT_URL, url);
        CURLcode code = curl_easy_perform(curl);
        if (code != CURLE_OK) {
            r = explain(code, url, detail, e);
            break;
        }
        r = next_url(curl, arena, &url, &hops, e);
        if (r <= 0) {
            break;
        }
    }
    if (r == 0) {
        *ret = (struct http_response){.body = buf_text(&body), .body_bytes = body.len};
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret->status);
    }
    curl_slist_free_all(headers);
    free_handle(curl);
    return r;
}

/* ---- downloads ---- */

struct transfer {
    const struct http_download *download;
    CURL *curl;
    struct error *e;
    bool is_file;
    bool begun;
    int stopped; /* what a callback returned */
};

static int begin(struct transfer *t)
{
    long status = 0;
    curl_off_t length = -1;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    uint64_t offset = t->is_file || status == 206 ? t->download->resume_from : 0;
    t->begun = true;
    return t->download->begin(t->download->context, offset,
                              length > 0 ? offset + (uint64_t)length : 0, t->e);
}

static size_t take_piece(const char *data, size_t size, size_t count, void *context)
{
    struct transfer *t = context;
    size_t len = size * count;
    long status = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (!t->is_file && (status < 200 || status > 299)) {
        return len; /* the body of a refusal or a redirect is of no interest */
    }
    if (!t->begun) {
        t->stopped = begin(t);
    }
    if (t->stopped >= 0) {
        t->stopped = t->download->piece(t->download->context, data, len, t->e);
    }
    return t->stopped < 0 ? 0 : len;
}

static int explain_status(long status, const char *url, struct error *e)
{
    if (status == 404 || status == 410) {
        return error_set(e, E_NOT_FOUND,
                         "%s answered %ld: the artifact is not there: check the URL in the spec",
                         url, status);
    }
    if (status == 401 || status == 403 || status == 407) {
        return error_set(
            e, E_DENIED,
            "%s answered %ld: this machine may not fetch it: check the URL and its access", url,
            status);
    }
    return error_set(e, E_UNAVAILABLE, "%s answered %ld: try again, or check the server", url,
                     status);
}

/* One URL; 1 when it redirected. */
static int transfer_once(struct transfer *t, struct arena *arena, const char **url, int *hops,
                         const char *detail)
{
    curl_easy_setopt(t->curl, CURLOPT_URL, *url);
    CURLcode code = curl_easy_perform(t->curl);
    long status = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (t->stopped < 0) {
        return t->stopped;
    }
    /* The server has no more than what we have: the caller's digest decides whether that is all. */
    if (status == 416 && t->download->resume_from > 0) {
        return t->download->begin(t->download->context, t->download->resume_from,
                                  t->download->resume_from, t->e);
    }
    if (code != CURLE_OK && !(t->is_file && code == CURLE_BAD_DOWNLOAD_RESUME)) {
        return explain(code, *url, detail, t->e);
    }
    int r = t->is_file ? 0 : next_url(t->curl, arena, url, hops, t->e);
    if (r != 0) {
        return r;
    }
    if (!t->is_file && (status < 200 || status > 299)) {
        return explain_status(status, *url, t->e);
    }
    return t->begun ? 0 : begin(t);
}

/* A device or a pipe has no end, a directory no bytes. */
static bool is_regular(CURL *curl, const char *url)
{
    char *path = curl_easy_unescape(curl, url + strlen("file://"), 0, NULL);
    bool regular = path != NULL && (file_size(path) >= 0 || !file_exists(path));
    curl_free(path);
    return regular;
}

int http_download(const struct http_download *download, struct error *e)
{
    int r = check_url(download->url, true, e);
    if (r < 0) {
        return r;
    }
    char detail[CURL_ERROR_SIZE];
    bool is_file = has_scheme(download->url, "file:");
    CURL *curl = new_handle(is_file ? "file" : "http,https", detail);
    if (curl == NULL) {
        return error_set(e, E_LIMIT, "cannot make an HTTP client: out of memory");
    }
    if (is_file && !is_regular(curl, download->url)) {
        curl_easy_cleanup(curl);
        return error_set(e, E_INVALID, "%s is no regular file", download->url);
    }
    struct transfer t = {.download = download, .curl = curl, .e = e, .is_file = is_file};
    long stall_s = (long)((download->stall_ms > 0 ? download->stall_ms : 60000) / 1000);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, MAX(stall_s, 1L));
    /* Over HTTP a plain range: libcurl's own resume fails on servers that know no ranges, and those start anew here. */
    char range[32];
    snprintf(range, sizeof(range), "%llu-", (unsigned long long)download->resume_from);
    if (is_file) {
        curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)download->resume_from);
    } else if (download->resume_from > 0) {
        curl_easy_setopt(curl, CURLOPT_RANGE, range);
    }
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_piece);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &t);
    struct arena arena;
    arena_init(&arena);
    const char *url = download->url;
    int hops = 0;
    do {
        r = transfer_once(&t, &arena, &url, &hops, detail);
    } while (r == 1);
    arena_deinit(&arena);
    free_handle(curl);
    return r;
}
