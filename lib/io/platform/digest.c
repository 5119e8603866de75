/* Owns SHA-256 through OpenSSL. It refuses what is no regular file. */
#include "lib/io/platform/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES 65536

static void to_hex(const uint8_t digest[DIGEST_SHA256_BYTES], char ret_hex[DIGEST_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < DIGEST_SHA256_BYTES; i++) {
        ret_hex[2 * i] = digits[digest[i] >> 4U];
        ret_hex[2 * i + 1] = digits[digest[i] & 15U];
    }
    ret_hex[DIGEST_HEX_BYTES - 1] = '\0';
}

int digest_init(struct digest *d, struct error *e)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(context);
        d->context = NULL;
        return error_set(e, E_LIMIT, "out of memory for a digest");
    }
    d->context = context;
    return 0;
}

void digest_update(struct digest *d, const void *data, size_t len)
{
    assert(d->context != NULL);
    int ok = EVP_DigestUpdate(d->context, data, len);
    assert(ok == 1); /* SHA-256 under way cannot fail */
    (void)ok;
}

void digest_final(struct digest *d, uint8_t ret_digest[DIGEST_SHA256_BYTES])
{
    assert(d->context != NULL);
    int ok = EVP_DigestFinal_ex(d->context, ret_digest, NULL);
    assert(ok == 1);
    (void)ok;
    digest_deinit(d);
}

void digest_final_hex(struct digest *d, char ret_hex[DIGEST_HEX_BYTES])
{
    uint8_t digest[DIGEST_SHA256_BYTES];
    digest_final(d, digest);
    to_hex(digest, ret_hex);
}

void digest_deinit(struct digest *d)
{
    EVP_MD_CTX_free(d->context);
    d->context = NULL;
}

void digest_bytes(const void *data, size_t len, uint8_t ret_digest[DIGEST_SHA256_BYTES])
{
    int ok = EVP_Digest(data, len, ret_digest, NULL, EVP_sha256(), NULL);
    assert(ok == 1);
    (void)ok;
}

void digest_bytes_hex(const void *data, size_t len, char ret_hex[DIGEST_HEX_BYTES])
{
    uint8_t digest[DIGEST_SHA256_BYTES];
    digest_bytes(data, len, digest);
    to_hex(digest, ret_hex);
}

static int digest_descriptor(int fd, struct digest *d, uint64_t *ret_size)
{
    uint8_t data[READ_BYTES];
    for (;;) {
        ssize_t n = read(fd, data, sizeof(data));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -1 : 0;
        }
        digest_update(d, data, (size_t)n);
        *ret_size += (uint64_t)n;
    }
}

int digest_file_hex(const char *path, char ret_hex[DIGEST_HEX_BYTES], uint64_t *ret_size,
                    struct error *e)
{
    struct digest d = {0};
    struct stat st;
    uint64_t size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int reason = errno;
        if (fd >= 0) {
            close(fd);
        }
        return error_set(e, error_from_errno(reason), "cannot read %s: %s", path, strerror(reason));
    }
    int r = S_ISREG(st.st_mode)
                ? digest_init(&d, e)
                : error_set(e, E_INVALID, "%s is no regular file: it has no digest", path);
    if (r == 0 && digest_descriptor(fd, &d, &size) < 0) {
        r = error_set(e, error_from_errno(errno), "cannot read %s: %s", path, strerror(errno));
        digest_deinit(&d);
    }
    close(fd);
    if (r == 0) {
        digest_final_hex(&d, ret_hex);
        if (ret_size != NULL) {
            *ret_size = size;
        }
    }
    return r;
}
