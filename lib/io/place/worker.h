/* What a place and its workers agree on beside the files of place.h. */
#ifndef LOCKSTEP_IO_PLACE_WORKER_H
#define LOCKSTEP_IO_PLACE_WORKER_H

#include "lib/wire/message.h"

#define WORKER_FD_PROGRESS 3 /* lines "done total text" */
#define WORKER_PROGRESS_FILE                                                                       \
    "progress" /* in DIR, of a step: the last such line, for who did not start the worker */
#define WORKER_FD_LOCK 4 /* the locked DIR/lock; its lock ends with the worker */

#define WORKER_FILE_BYTES_MAX (LIMIT_OBSERVED_BYTES + LIMIT_RECORD_BYTES)

/* DIR/instruction and DIR/outcome. As lib/wire/message.h. */
int worker_instruction_pack(struct arena *arena, const struct wire_instruction *instruction,
                            struct bytes *ret, struct error *e);
int worker_instruction_unpack(struct arena *arena, struct bytes bytes, struct wire_instruction *ret,
                              struct error *e);
int worker_outcome_pack(struct arena *arena, const struct outcome *outcome, size_t facts_bytes_max,
                        struct bytes *ret, struct error *e);
int worker_outcome_unpack(struct arena *arena, struct bytes bytes, struct outcome *ret);

#endif
