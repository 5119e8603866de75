/* Owns nghttp2's memory. A session takes one frame buffer of 16 KiB at its start and, while it is
 * idle, uses a few bytes of it: as pages of its own it costs what is used, not what was asked. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/io/rpc/connection.h"

#define MAPPED_FROM_BYTES 16384

struct block {
    size_t size; /* of data */
    size_t mapped;
    _Alignas(max_align_t) uint8_t data[];
};

static void *allocate(size_t size, void *user_data)
{
    (void)user_data;
    bool mapped = size >= MAPPED_FROM_BYTES;
    struct block *b = NULL;
    if (size > SIZE_MAX - sizeof(*b)) {
        return NULL;
    }
    if (mapped) {
        b = mmap(NULL, sizeof(*b) + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                 0);
        b = b == MAP_FAILED ? NULL : b;
    } else {
        b = malloc(sizeof(*b) + size);
    }
    if (b == NULL) {
        return NULL;
    }
    b->size = size;
    b->mapped = mapped;
    return b->data;
}

static void release(void *data, void *user_data)
{
    (void)user_data;
    if (data == NULL) {
        return;
    }
    struct block *b = CONTAINER_OF(data, struct block, data);
    if (b->mapped != 0) {
        munmap(b, sizeof(*b) + b->size);
    } else {
        free(b);
    }
}

static void *allocate_zeroed(size_t count, size_t size, void *user_data)
{
    if (size != 0 && count > SIZE_MAX / size) {
        return NULL;
    }
    void *data = allocate(count * size, user_data);
    if (data != NULL) {
        memset(data, 0, count * size);
    }
    return data;
}

static void *reallocate(void *old, size_t size, void *user_data)
{
    void *data = allocate(size, user_data);
    if (data != NULL && old != NULL) {
        memcpy(data, old, MIN(size, CONTAINER_OF(old, struct block, data)->size));
        release(old, user_data);
    }
    return data;
}

nghttp2_mem http2_memory(void)
{
    return (nghttp2_mem){
        .malloc = allocate, .free = release, .calloc = allocate_zeroed, .realloc = reallocate};
}
