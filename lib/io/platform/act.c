/* Owns the clock and the log line of an action. */
#include "lib/io/platform/act.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int64_t act_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t act_left_ms(const struct act *act)
{
    return MAX(act->deadline_ms - act_now_ms(), 0);
}

bool act_stopped(struct act *act)
{
    return act->stopped != NULL && act->stopped(act);
}

void act_log(struct act *act, const char *fmt, ...)
{
    if (act->log_fd < 0) {
        return;
    }
    char line[2048];
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    size_t len = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%SZ ", &parts);
    va_list args;
    va_start(args, fmt);
    int wanted = vsnprintf(line + len, sizeof(line) - len - 1, fmt, args);
    va_end(args);
    if (wanted < 0) {
        return;
    }
    len = MIN(len + (size_t)wanted, sizeof(line) - 2);
    line[len++] = '\n';
    /* A log that cannot be written must not fail the action. */
    ssize_t written UNUSED = write(act->log_fd, line, len);
}
