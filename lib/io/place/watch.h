/*
 * The services that runs asked to watch. Each look is done on a thread of the loop's pool, for a service manager may take
 * its time to answer; the loop is told what has changed. Nothing is kept: a connection that ends ends the watching too.
 */
#ifndef LOCKSTEP_IO_PLACE_WATCH_H
#define LOCKSTEP_IO_PLACE_WATCH_H

#include "lib/io/place/place.h"

struct watches;

/* `options` is borrowed until watches_free(). */
struct watches *watches_new(uv_loop_t *loop, const struct place_options *options);
/* A look that is under way ends by itself, and reports nothing. */
void watches_free(struct watches *w);

/* A watch order: looks at once, and reports in any case. One of the same run takes its place. */
void watches_take(struct watches *w, const struct wire_order *order);
/* NULL: of every run. */
void watches_forget(struct watches *w, const char *run);
/* Looks at all of them. Reports what has changed, and again what does not run. */
void watches_look(struct watches *w);

#endif
