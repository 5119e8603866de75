/*
 * The jobs of a place: what is under way here, each in a worker process of its own (worker.h).
 */
#ifndef LOCKSTEP_IO_PLACE_JOB_H
#define LOCKSTEP_IO_PLACE_JOB_H

#include <uv.h>

#include "lib/wire/message.h"

#define JOB_OBSERVATION_MS 20000 /* then its worker is killed */
#define JOB_CLEARING_MS                                                                            \
    90000 /* … one with a deadline of its own, which it keeps itself: so much later */
#define JOB_OBSERVATIONS   64 /* at once */
#define JOB_PROGRESS_BYTES 512

enum job_kind { JOB_INSTRUCTION, JOB_OBSERVATION };

struct job;

struct jobs {
    uv_loop_t *loop;       /* borrowed */
    const char *program;   /* borrowed */
    const char *state_dir; /* borrowed */
    /* From the loop, never from inside a function of this header, but for job_end(). The outcome is borrowed. */
    void (*ended)(struct job *job, const struct outcome *outcome);
    void (*lost)(struct job *job,
                 bool once); /* neither worker nor outcome; once: acting again could double it */
    /* Of a step, or of an observation. */
    void (*progress)(struct job *job, uint64_t done, uint64_t total, const char *text);
    struct job *first; /* owned */
    size_t observations;
};

struct job {
    struct jobs *jobs; /* borrowed */
    struct job *next;  /* owned by jobs->first */
    enum job_kind kind;
    struct instruction_key key; /* JOB_INSTRUCTION */
    uint64_t observation;       /* JOB_OBSERVATION: the order's id */
    struct arena arena;         /* of the instruction */
    struct wire_instruction instruction;
    bool once;
    bool unheard;    /* nobody waits for this observation any more */
    int64_t kill_ms; /* JOB_OBSERVATION: after its start */
    const char *dir; /* in the arena */
    uv_process_t process;
    uv_pipe_t progress;
    uv_timer_t timer; /* start or look soon; look again; an observation's deadline */
    int handles;      /* open; the job is freed with the last */
    bool removed;
    char line[JOB_PROGRESS_BYTES];
    size_t line_len;
};

/* Copies the instruction. */
struct job *job_new(struct jobs *jobs, enum job_kind kind,
                    const struct wire_instruction *instruction, const char *dir);
/* A worker that is still to be started has the fence and the deadline of who asks for it now. */
void job_renew(struct job *job, const struct wire_instruction *instruction);
/* Would acting again double it? */
bool job_is_once(const struct wire_instruction *instruction);
struct job *job_find(const struct jobs *jobs, const struct instruction_key *key);
/* Starts its worker, or looks for the one of an earlier life, in the loop's next turn. */
void job_start(struct job *job);
void job_look(struct job *job);
/* An observation that nobody waits for: its worker sees that, and ends when it has cleared up. */
void job_unhear(struct job *job);
/* Ends it with words of ours. */
void job_end(struct job *job, enum outcome_status status, int code, const char *message);
/* Lets go of its worker, which lives on. Frees when the handles are closed. */
void job_remove(struct job *job);

#endif
