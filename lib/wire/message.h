/*
 * What agents and the controller say to each other, as plain C values (proto/agent.proto). Packing takes nothing over;
 * what is unpacked lives in the arena. Raw numbers from outside become enums here, and nowhere else.
 */
#ifndef LOCKSTEP_WIRE_MESSAGE_H
#define LOCKSTEP_WIRE_MESSAGE_H

#include "lib/core/agent.h"
#include "lib/core/outcome.h"
#include "lib/wire/pack.h"
#include "proto/agent.pb-c.h"

struct wire_instruction {
    struct instruction_key key;
    uint64_t fence;
    const char *cluster;
    const char *name;
    const char *state_name;
    struct bytes action; /* canonical JSON */
    uint32_t known;      /* attempts up to it are not taken over: see lib/core/agent.h */
    struct agent_step_key
        last;            /* of its run, the last DONE that the controller has from the place */
    int64_t left_ms;     /* on the way to a place: how long the controller will still wait */
    int64_t deadline_ms; /* at the place: the same by its own clock, Unix milliseconds */
};

enum wire_report_type {
    WIRE_REPORT_HELLO,
    WIRE_REPORT_BUSY,
    WIRE_REPORT_PROGRESS,
    WIRE_REPORT_ENDED,
    WIRE_REPORT_OBSERVED,
    WIRE_REPORT_HEARTBEAT,
    WIRE_REPORT_SERVING,
};
struct wire_hello {
    const char *node, *version, *boot_id, *os, *arch;
    uint64_t fence;
};
struct wire_report {
    enum wire_report_type type;
    struct wire_hello hello;
    struct instruction_key key; /* BUSY, PROGRESS, ENDED */
    struct outcome outcome;     /* ENDED, OBSERVED */
    uint64_t id;                /* OBSERVED; PROGRESS: of an observation, 0 of a step */
    uint64_t done, total;       /* PROGRESS */
    const char *text;           /* PROGRESS, SERVING */
    char run[AGENT_RUN_BYTES];  /* SERVING */
    bool running;               /* SERVING */
    uint32_t under_way;         /* HEARTBEAT */
};

enum wire_order_type {
    WIRE_ORDER_WELCOME,
    WIRE_ORDER_INSTRUCTION,
    WIRE_ORDER_OBSERVE,
    WIRE_ORDER_UNOBSERVE,
    WIRE_ORDER_FORGET,
    WIRE_ORDER_WATCH,
};
struct wire_order {
    enum wire_order_type type;
    uint64_t fence;        /* WELCOME, FORGET */
    uint32_t heartbeat_ms; /* WELCOME */
    struct wire_instruction instruction;
    uint64_t id;                      /* OBSERVE, UNOBSERVE */
    int64_t left_ms;                  /* OBSERVE; 0: as long as a look takes */
    struct bytes action;              /* OBSERVE, WATCH */
    const char *cluster, *state_name; /* OBSERVE; WATCH: state_name */
    char run[AGENT_RUN_BYTES];        /* FORGET, WATCH */
};

/* 0, E_LIMIT (a frame too large) or E_INVALID (a run's name too long; what is received is refused whole when its kind or
 * a number in it is unknown, or when a part is missing). */
int wire_report_pack(struct arena *arena, const struct wire_report *report, struct bytes *ret,
                     struct error *e);
int wire_report_unpack(struct arena *arena, struct bytes bytes, struct wire_report *ret,
                       struct error *e);
int wire_order_pack(struct arena *arena, const struct wire_order *order, struct bytes *ret,
                    struct error *e);
int wire_order_unpack(struct arena *arena, struct bytes bytes, struct wire_order *ret,
                      struct error *e);

/* ---- the parts, for records ---- */
/* Strings are cut to their limits (the log keeps its end, facts of `facts_bytes_max` or more go) and made valid UTF-8. */
void wire_outcome_to(struct arena *arena, const struct outcome *outcome, size_t facts_bytes_max,
                     Lockstep__V1__Outcome *ret);
/* `message` is never NULL afterwards; an empty log or facts are NULL. Borrows the message's strings. */
int wire_outcome_from(const Lockstep__V1__Outcome *outcome, struct outcome *ret, struct error *e);
void wire_key_to(const struct instruction_key *key, Lockstep__V1__Key *ret); /* borrows key->run */
int wire_key_from(const Lockstep__V1__Key *key, struct instruction_key *ret, struct error *e);
/* `ret->key` must point at a Key for the call; the last step's comes from the arena. */
void wire_instruction_to(struct arena *arena, const struct wire_instruction *instruction,
                         Lockstep__V1__Instruction *ret);
int wire_instruction_from(const Lockstep__V1__Instruction *instruction,
                          struct wire_instruction *ret, struct error *e);
/* Copies a run's id; E_INVALID when it is too long. */
int wire_run_from(const char *run, char ret[AGENT_RUN_BYTES], struct error *e);

#endif
