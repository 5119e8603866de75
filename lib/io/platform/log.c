/* Owns the form of a log line: written with one call, cut at its bound. */
#include "lib/io/platform/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 2048

void log_line(const char *program, const char *fmt, ...)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm utc;
    gmtime_r(&now.tv_sec, &utc);
    char line[LINE_BYTES];
    size_t len = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &utc);
    int more =
        snprintf(line + len, sizeof(line) - len, ".%03ldZ %s: ", now.tv_nsec / 1000000, program);
    len += (size_t)more;
    va_list args;
    va_start(args, fmt);
    more = vsnprintf(line + len, sizeof(line) - len - 1, fmt, args);
    va_end(args);
    len = MIN(len + (size_t)MAX(more, 0), sizeof(line) - 2);
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0) {
        return; /* nobody reads: there is nobody to tell */
    }
}
