/*
 * The journal: records in order, durable in groups. Appending never blocks: a thread of its own
 * commits what has gathered since the last commit in one transaction, and the loop is told the
 * highest durable number.
 *
 * A record belongs to a stream (a run's id, or "place"). Numbers count over all streams, from 1,
 * without gaps. When the disk says no, nothing later is written either: `failed` is called once and
 * the program stops; after a restart it goes on from what is durable.
 */
#ifndef LOCKSTEP_IO_STORE_JOURNAL_H
#define LOCKSTEP_IO_STORE_JOURNAL_H

#include <stdint.h>

#include <uv.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"

struct journal;

/* Of the file; its records have versions of their own (lib/wire). See struct sqlite_format. */
#define JOURNAL_VERSION 1

struct journal_options {
    const char *path;
    void (*durable)(void *context, uint64_t number); /* on the loop; numbers only grow */
    void (*failed)(void *context, const struct error *e);
    void *context; /* borrowed */
    /* For the crash tests, which go through every number in turn: the process kills itself
     * (SIGKILL) just before the commit that holds this number, or just after it. 0: never. */
    uint64_t crash_before;
    uint64_t crash_after;
};

/* E_INVALID: the file is of another version; nothing in it is changed. */
int journal_open(uv_loop_t *loop, const struct journal_options *options, struct journal **ret,
                 struct error *e);
/* Writes what has been appended, stops the thread and frees. Call before the loop ends. NULL is
 * fine; returns NULL. */
struct journal *journal_close(struct journal *j);

/* Copies `data` (at most LIMIT_RECORD_BYTES). Returns the record's number. */
uint64_t journal_append(struct journal *j, const char *stream, struct bytes data);
/* The last number given out. */
uint64_t journal_last(const struct journal *j);
/* The highest number that `durable` has been called with, or that was there at the start. */
uint64_t journal_durable(const struct journal *j);

/* Reads the durable records of one stream (NULL: of all) in order, those after a number (0: all). `seen` returns 0 to go on; anything else ends
 * the reading and is returned. */
int journal_read(struct journal *j, const char *stream, uint64_t after,
                 int (*seen)(void *context, uint64_t number, struct bytes data, struct error *e),
                 void *context, struct error *e);
/* Removes a stream whose run is over and kept elsewhere. Asynchronous, in order with the appends.
 */
void journal_forget(struct journal *j, const char *stream);

#endif
