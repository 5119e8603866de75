/* Owns single questions to running things. It refuses expressions that do not compile. */
#include "lib/io/platform/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/http.h"
#include "lib/io/platform/process.h"

#define PROBE_SHOWN_BYTES 120 /* of an answer, in a message */
#define PROBE_LINE_BYTES  4096

static int compile(const char *expression, regex_t *ret, struct error *e)
{
    int problem = regcomp(ret, expression, REG_EXTENDED | REG_NEWLINE);
    if (problem != 0) {
        char words[128];
        regerror(problem, ret, words, sizeof(words));
        return error_set(e, E_INVALID, "the expression \"%s\" cannot be used: %s", expression,
                         words);
    }
    return 0;
}

/* As probe_matches(); *ret_group is the text of the first group, or stays as it is. */
static int match(struct arena *arena, const char *expression, const char *text,
                 const char **ret_group, struct error *e)
{
    regex_t regex;
    int r = compile(expression, &regex, e);
    if (r < 0) {
        return r;
    }
    regmatch_t groups[2] = {{-1, -1}, {-1, -1}};
    r = regexec(&regex, text, ARRAY_SIZE(groups), groups, 0) == 0;
    if (r == 1 && arena != NULL && groups[1].rm_so >= 0) {
        *ret_group = arena_strndup(arena, text + groups[1].rm_so,
                                   (size_t)(groups[1].rm_eo - groups[1].rm_so));
    }
    regfree(&regex);
    return r;
}

int probe_matches(const char *expression, const char *text, struct error *e)
{
    return match(NULL, expression, text, NULL, e);
}

/* One line of an answer, cut, for people. */
static const char *shown(struct arena *arena, const char *text)
{
    while (*text == '\n' || *text == ' ') {
        text++;
    }
    size_t len = strcspn(text, "\r\n");
    return len > PROBE_SHOWN_BYTES ? arena_printf(arena, "%.*s...", PROBE_SHOWN_BYTES, text)
                                   : arena_strndup(arena, text, len);
}

int probe_http(struct act *act, const struct http_check *check, struct probe *ret, struct error *e)
{
    struct http_request request = {.url = check->url,
                                   .timeout_ms = check->timeout_ms > 0 ? check->timeout_ms : 5000,
                                   .insecure = check->insecure,
                                   .direct = true};
    struct http_response response;
    struct error why = {0};
    int r = http_fetch(act->arena, &request, &response, &why);
    if (r == E_INVALID) {
        return error_set(e, r, "%s", why.message);
    }
    *ret = (struct probe){.good = false, .words = arena_strdup(act->arena, why.message)};
    if (r < 0) {
        return 0;
    }
    long wanted = check->status > 0 ? (long)check->status : 200;
    const char *body = shown(act->arena, response.body);
    ret->good = response.status == wanted;
    ret->words = arena_printf(act->arena, "%s answered %ld%s%s", check->url, response.status,
                              *body != '\0' ? ": " : "", body);
    if (ret->good && check->matches != NULL) {
        r = match(act->arena, check->matches, response.body, &ret->group, e);
        ret->good = r == 1;
        if (r == 0) {
            ret->words = arena_printf(act->arena, "%s, which does not match \"%s\"", ret->words,
                                      check->matches);
        }
    }
    return r < 0 ? r : 0;
}

static int connect_within(const struct addrinfo *address, int64_t timeout_ms)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    int problem = connect(fd, address->ai_addr, address->ai_addrlen) < 0 ? errno : 0;
    if (problem == EINPROGRESS) {
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        socklen_t len = sizeof(problem);
        if (poll(&wait, 1, (int)timeout_ms) <= 0) {
            problem = ETIMEDOUT;
        } else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &len) < 0) {
            problem = errno;
        }
    }
    close(fd);
    return problem;
}

int probe_tcp(struct act *act, const struct tcp_check *check, struct probe *ret, struct error *e)
{
    (void)e;
    const char *host = check->host != NULL ? check->host : "127.0.0.1";
    const char *port = arena_printf(act->arena, "%lld", (long long)check->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    int problem = getaddrinfo(host, port, &hints, &addresses);
    if (problem != 0) {
        *ret = (struct probe){.good = false,
                              .words =
                                  arena_printf(act->arena, "%s: %s", host, gai_strerror(problem))};
        return 0;
    }
    problem = ECONNREFUSED;
    for (const struct addrinfo *a = addresses; a != NULL && problem != 0; a = a->ai_next) {
        problem = connect_within(a, check->timeout_ms > 0 ? check->timeout_ms : 5000);
    }
    freeaddrinfo(addresses);
    *ret = (struct probe){
        .good = problem == 0,
        .words = arena_printf(act->arena, "%s port %s %s%s", host, port,
                              problem == 0 ? "accepts connections" : "does not answer: ",
                              problem == 0 ? "" : strerror(problem))};
    return 0;
}

int probe_command(struct act *act, const struct command_check *check, const char *directory,
                  struct probe *ret, struct error *e)
{
    struct command command = check->command;
    command.timeout_ms =
        command.timeout_ms > 0 ? MIN(command.timeout_ms, MAX(act_left_ms(act), 1)) : 30000;
    struct process_run_options options = {
        .command = &command, .directory = directory, .log_fd = -1};
    struct process_result result;
    struct error why = {0};
    int r = process_run(act->arena, &options, &result, &why);
    if (r < 0) {
        *ret = (struct probe){.good = false, .words = arena_strdup(act->arena, why.message)};
        return 0;
    }
    const char *output = shown(act->arena, result.output);
    ret->good = process_succeeded(&result);
    ret->words = arena_printf(act->arena, "%s%s%s", process_words(act->arena, &command, &result),
                              *output != '\0' ? ": " : "", output);
    if (ret->good && check->matches != NULL) {
        r = match(act->arena, check->matches, result.output, &ret->group, e);
        ret->good = r == 1;
        if (r == 0) {
            ret->words = arena_printf(act->arena, "%s, which does not match \"%s\"", ret->words,
                                      check->matches);
        }
    }
    return r < 0 ? r : 0;
}

/* ---- logs ---- */

/* The first ISO 8601 time in the first 64 bytes of a line ("2026-03-02T10:15:00Z", "2026-03-02 10:15:00,123"), as Unix
 * milliseconds; without a zone it is local time. -1: none. */
static int64_t line_time(const char *line)
{
    for (size_t i = 0; i < 64 && line[i] != '\0'; i++) {
        struct tm tm = {.tm_isdst = -1};
        int used = 0;
        if (line[i] < '0' || line[i] > '9' || (i > 0 && line[i - 1] >= '0' && line[i - 1] <= '9') ||
            sscanf(line + i, "%4d-%2d-%2d%*1[T ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon,
                   &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6 ||
            used == 0) {
            continue;
        }
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        const char *rest = line + i + used;
        int milliseconds = 0;
        if ((*rest == '.' || *rest == ',') &&
            sscanf(rest + 1, "%3d%n", &milliseconds, &used) == 1) {
            rest += 1;
            rest += strspn(rest, "0123456789");
        }
        int hours;
        int minutes;
        if (*rest == 'Z') {
            return (int64_t)timegm(&tm) * 1000 + milliseconds;
        }
        if ((*rest == '+' || *rest == '-') && sscanf(rest + 1, "%2d:%2d", &hours, &minutes) == 2) {
            int64_t offset = ((int64_t)hours * 60 + minutes) * 60;
            return ((int64_t)timegm(&tm) - (*rest == '+' ? offset : -offset)) * 1000 + milliseconds;
        }
        return (int64_t)mktime(&tm) * 1000 + milliseconds;
    }
    return -1;
}

/* The file was made after the service started: all of it counts, whatever its lines look like. */
static bool born_since(int fd, int64_t since_ms)
{
    struct statx st;
    return statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &st) == 0 &&
           (st.stx_mask & STATX_BTIME) != 0 &&
           (int64_t)st.stx_btime.tv_sec * 1000 + st.stx_btime.tv_nsec / 1000000 >= since_ms;
}

int probe_log(struct act *act, const struct log_since *check, struct probe *ret, struct error *e)
{
    regex_t regex;
    int r = compile(check->error, &regex, e);
    if (r < 0) {
        return r;
    }
    *ret = (struct probe){.good = true,
                          .words = arena_printf(act->arena, "%s has no line that matches \"%s\"",
                                                check->file, check->error)};
    FILE *file = fopen(check->file, "re");
    if (file == NULL) {
        ret->good =
            errno ==
            ENOENT; /* nothing logged is nothing wrong; another check says whether it is alive */
        ret->words = arena_printf(act->arena, "%s: %s", check->file, strerror(errno));
        regfree(&regex);
        return 0;
    }
    bool by_time =
        check->offset < 0 && check->since_ms > 0 && !born_since(fileno(file), check->since_ms);
    if (check->offset > 0 && check->offset <= file_size(check->file)) {
        fseeko(file, (off_t)check->offset, SEEK_SET);
    }
    /* Times in logs are cut to seconds; a line of the very second of the start is the service's own. */
    int64_t since_ms = check->since_ms - check->since_ms % 1000;
    bool counts = !by_time;
    char line[PROBE_LINE_BYTES];
    while (ret->good && fgets(line, sizeof(line), file) != NULL) {
        int64_t at = by_time ? line_time(line) : -1;
        counts = at >= 0 ? at >= since_ms : counts;
        if (counts && regexec(&regex, line, 0, NULL, 0) == 0) {
            ret->good = false;
            ret->words = arena_printf(act->arena, "%s has the line: %s", check->file,
                                      shown(act->arena, line));
        }
    }
    fclose(file);
    regfree(&regex);
    return 0;
}
