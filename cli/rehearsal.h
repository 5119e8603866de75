/* How a rehearsal's report (lib/io/db/rehearse.h: rehearse_json) is told to people and to files, whoever rehearsed. */
#ifndef LOCKSTEP_CLI_REHEARSAL_H
#define LOCKSTEP_CLI_REHEARSAL_H

#include <jansson.h>

#include "cli/verb.h"

void rehearsal_print(struct arena *arena, const json_t *report);
/* "at": when it began, Unix milliseconds. */
void rehearsal_set_at(struct arena *arena, json_t *report, int64_t at_ms);
/* CLI_DONE, CLI_MOVED (something was not restored) or CLI_FAILED, by its state. */
int rehearsal_status(const json_t *report);
/* "500MB", "2GB"; false: no such size. */
bool rehearsal_read_bytes(const char *text, uint64_t *ret);
int rehearsal_write(const char *path, const json_t *json, struct error *e);

#endif
