/* Owns one listening socket in a child; one connection at a time, one request each. */
#include "tests/unit/io/platform/http_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void answer(int fd, const char *status, const char *headers, const char *body, size_t len)
{
    dprintf(fd, "HTTP/1.1 %s\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n", status,
            headers, len);
    size_t done = 0;
    while (done < len) {
        ssize_t n = write(fd, body + done, len - done);
        if (n <= 0) {
            return;
        }
        done += (size_t)n;
    }
}

static void answer_range(int fd, const char *request, const char *body, size_t len, size_t sent_max)
{
    const char *range = strstr(request, "Range: bytes=");
    size_t from = range != NULL ? (size_t)strtoull(range + 13, NULL, 10) : 0;
    if (range != NULL && from >= len) {
        answer(fd, "416 Range Not Satisfiable", "", "", 0);
        return;
    }
    size_t part = len - from;
    dprintf(fd, "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %zu\r\n",
            range != NULL ? "206 Partial Content" : "200 OK", part);
    if (range != NULL) {
        dprintf(fd, "Content-Range: bytes %zu-%zu/%zu\r\n", from, len - 1, len);
    }
    dprintf(fd, "\r\n");
    size_t sent = range == NULL && part > sent_max ? sent_max : part;
    ssize_t n = write(fd, body + from, sent);
    assert(n == (ssize_t)sent);
}

static void store_post(int fd, const char *request, const char *posted)
{
    const char *body = strstr(request, "\r\n\r\n");
    FILE *file = fopen(posted, "w");
    fputs(body != NULL ? body + 4 : "", file);
    fclose(file);
    answer(fd, "200 OK", "", "ok", 2);
}

static size_t read_request(int fd, char *request, size_t room)
{
    size_t len = 0;
    for (;;) {
        ssize_t n = read(fd, request + len, room - 1 - len);
        if (n <= 0) {
            break;
        }
        len += (size_t)n;
        request[len] = '\0';
        const char *end = strstr(request, "\r\n\r\n");
        const char *length = strstr(request, "Content-Length: ");
        size_t wanted = length != NULL ? (size_t)strtoull(length + 16, NULL, 10) : 0;
        if (end != NULL && len >= (size_t)(end + 4 - request) + wanted) {
            break;
        }
    }
    request[len] = '\0';
    return len;
}

static void serve(int listener, const char *body, const char *posted)
{
    size_t len = strlen(body);
    int flaky = 0;
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        char request[8192];
        if (fd < 0 || read_request(fd, request, sizeof(request)) == 0) {
            close(fd);
            continue;
        }
        if (strncmp(request, "POST ", 5) == 0) {
            store_post(fd, request, posted);
        } else if (strncmp(request, "GET /file ", 10) == 0) {
            answer_range(fd, request, body, len, len);
        } else if (strncmp(request, "GET /cut ", 9) == 0) {
            answer_range(fd, request, body, len, len / 2);
        } else if (strncmp(request, "GET /whole ", 11) == 0) {
            answer(fd, "200 OK", "", body, len);
        } else if (strncmp(request, "GET /teapot ", 12) == 0) {
            answer(fd, "418 Teapot", "", "short and stout", 15);
        } else if (strncmp(request, "GET /hop ", 9) == 0) {
            answer(fd, "302 Found", "Location: /file\r\n", "moved", 5);
        } else if (strncmp(request, "GET /round ", 11) == 0) {
            answer(fd, "302 Found", "Location: /round\r\n", "", 0);
        } else if (strncmp(request, "GET /out ", 9) == 0) {
            answer(fd, "302 Found", "Location: file:///etc/passwd\r\n", "", 0);
        } else if (strncmp(request, "GET /flaky ", 11) == 0) {
            flaky++;
            answer(fd, flaky > 2 ? "200 OK" : "503 Not yet", "", flaky > 2 ? "good" : "wait", 4);
        } else {
            answer(fd, "404 Not Found", "", "", 0);
        }
        close(fd);
    }
}

void http_server_start(struct http_server *s, const char *body, const char *posted)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int r = bind(listener, (struct sockaddr *)&address, sizeof(address));
    assert(r == 0);
    r = listen(listener, 16);
    assert(r == 0);
    getsockname(listener, (struct sockaddr *)&address, &len);
    s->port = ntohs(address.sin_port);
    s->pid = fork();
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        serve(listener, body, posted);
    }
    close(listener);
}

void http_server_stop(struct http_server *s)
{
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
        s->pid = 0;
    }
}
