/* Owns the files of keys and certificates. It refuses to leave half a file, or a key that others
 * can read. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "lib/io/rpc/pki.h"

static int write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

static void sync_folder(const char *path)
{
    char copy[LIMIT_PATH_BYTES];
    snprintf(copy, sizeof(copy), "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

int pki_write_file(const char *path, const char *text, bool secret, struct error *e)
{
    char temporary[LIMIT_PATH_BYTES];
    int len = snprintf(temporary, sizeof(temporary), "%s.%ld.new", path, (long)getpid());
    if (len < 0 || (size_t)len >= sizeof(temporary)) {
        return error_set(e, E_LIMIT, "the path is longer than %d bytes", LIMIT_PATH_BYTES);
    }
    unlink(temporary); /* of a process with our number that died here */
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return error_set(e, error_from_errno(errno), "cannot write %s: %s", path, strerror(errno));
    }
    bool ok = write_all(fd, text, strlen(text)) == 0 && fchmod(fd, secret ? 0600 : 0644) == 0 &&
              fsync(fd) == 0;
    int reason = errno;
    ok = close(fd) == 0 && ok;
    if (ok && rename(temporary, path) == 0) {
        sync_folder(path);
        return 0;
    }
    reason = ok ? errno : reason;
    unlink(temporary);
    return error_set(e, error_from_errno(reason), "cannot write %s: %s", path, strerror(reason));
}

int pki_read_file(struct arena *arena, const char *path, const char **ret_pem, struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        int reason = errno;
        if (fd >= 0) {
            close(fd);
        }
        return error_set(e, error_from_errno(reason), "cannot read %s: %s", path, strerror(reason));
    }
    if (!S_ISREG(st.st_mode) || st.st_size > PKI_PEM_BYTES_MAX) {
        close(fd);
        return error_set(e, E_INVALID,
                         "%s is no PEM file: it is no regular file, or larger than %d bytes", path,
                         PKI_PEM_BYTES_MAX);
    }
    char *text = arena_alloc(arena, (size_t)st.st_size + 1);
    size_t len = 0;
    ssize_t n = 1;
    while (n > 0 && len < (size_t)st.st_size) {
        n = read(fd, text + len, (size_t)st.st_size - len);
        len += n > 0 ? (size_t)n : 0;
    }
    int reason = errno;
    close(fd);
    if (n < 0) {
        return error_set(e, error_from_errno(reason), "cannot read %s: %s", path, strerror(reason));
    }
    text[len] = '\0';
    if (strstr(text, "-----BEGIN ") == NULL) {
        return error_set(e, E_INVALID, "%s has no PEM in it (-----BEGIN …-----)", path);
    }
    *ret_pem = text;
    return 0;
}
