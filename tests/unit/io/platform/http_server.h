/* A small HTTP server for tests, in a child process on a free port of loopback. */
#ifndef LOCKSTEP_TESTS_HTTP_SERVER_H
#define LOCKSTEP_TESTS_HTTP_SERVER_H

#include <stdint.h>
#include <sys/types.h>

struct http_server {
    pid_t pid;
    uint16_t port;
};

/*
 * /file       `body`, ranges honoured          /whole    `body`, ranges not known
 * /cut        the first half of `body`, then the connection breaks (a range from there on is served whole)
 * /teapot     418 "short and stout"            /missing  404
 * /hop        redirects to /file               /round    redirects to itself       /out  redirects to file:///etc/passwd
 * /flaky      503 the first two times, then 200 "good"   POST anywhere: 200, and the body into `posted`
 */
void http_server_start(struct http_server *s, const char *body, const char *posted);
void http_server_stop(struct http_server *s);

#endif
