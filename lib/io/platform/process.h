/*
 * Starts programs: an argument vector, never a shell; a clean environment; a session of its own; no descriptor but
 * 0, 1 and 2. It proves that a pid is still the process it was (start time and boot id). It refuses a program
 * that is not there before it forks.
 */
#ifndef LOCKSTEP_IO_PLATFORM_PROCESS_H
#define LOCKSTEP_IO_PLATFORM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/spec/action.h"

/* A process, told apart from a later one with the same pid, on this boot and the next. */
struct process_id {
    pid_t pid;
    uint64_t start_ticks; /* field 22 of /proc/PID/stat */
    char boot_id[40];     /* /proc/sys/kernel/random/boot_id */
};

/* E_NOT_FOUND when there is no such process. */
int process_identify(pid_t pid, struct process_id *ret_id, struct error *e);
/* It runs still, and is not a zombie. */
bool process_alive(const struct process_id *id);
/* Unix milliseconds when it started. */
int64_t process_started_ms(const struct process_id *id);
/* "PID TICKS BOOT", and back (false: not such a text). */
const char *process_id_text(struct arena *arena, const struct process_id *id);
bool process_id_parse(const char *text, struct process_id *ret_id);
/* `pid` is `ancestor` or descends from it, or is in the session that it leads. */
bool process_descends(pid_t pid, pid_t ancestor);
/* The name in /proc/PID/comm; "?" when it is gone. */
const char *process_name(struct arena *arena, pid_t pid);

/* Where a command runs. */
struct process_place {
    const char
        *directory; /* working directory, and what a relative program starts from; absolute */
    int output_fd;  /* becomes 1 and 2 of the program; -1: /dev/null */
    bool dies_with_parent; /* KILL for the program when the thread that started it ends */
    /* Called with the new process, which waits for the return before it becomes the program: what is recorded here is
     * recorded before anything has run. A negative return (with *e), or our death, ends it unstarted. May be NULL. */
    int (*record)(void *context, const struct process_id *id, struct error *e);
    void *context;
};

/* Starts the command and returns at once; the caller waits for *ret_pid, which leads its own session. Reads the secrets
 * of its environment. E_NOT_FOUND (program, directory, user, secret), E_DENIED, E_IO, before anything has run. */
int process_spawn(const struct command *command, const struct process_place *place, pid_t *ret_pid,
                  struct error *e);

struct process_result {
    int status;            /* of waitpid(); meaningless when timed_out */
    bool stopped;          /* `enough` ended it, in the same way */
    bool timed_out;        /* it was ended by us: TERM to its group, KILL after PROCESS_GRACE_MS */
    const char *output;    /* the last PROCESS_TAIL_BYTES at most, NUL-terminated; arena */
    uint64_t output_bytes; /* all it wrote */
};
#define PROCESS_GRACE_MS   5000
#define PROCESS_TAIL_BYTES (64 * 1024)

struct process_run_options {
    const struct command *command;
    const char *directory;
    int log_fd; /* its output goes here, up to command->output_bytes_max, then the last bytes; -1: nowhere */
    int64_t timeout_ms; /* 0: the command's own, or none */
    const char *
        pid_file; /* "PID TICKS BOOT\n" before it is waited for, removed at its end; NULL: none. It lets
                              another process kill the group when this one is dead */
    void (*tick)(void *context);   /* about once a second; may be NULL */
    bool (*enough)(void *context); /* asked as often: true ends it; may be NULL */
    void *context;
};
/* Runs it to its end. 0 when it ran, whatever its exit status; else as process_spawn(): it has not run. */
int process_run(struct arena *arena, const struct process_run_options *options,
                struct process_result *ret, struct error *e);
/* "bin/x ended with status 3", "bin/x was killed by signal 9 (Killed)", "bin/x did not end within 10 min and was killed". */
const char *process_words(struct arena *arena, const struct command *command,
                          const struct process_result *result);
const char *process_status_words(struct arena *arena, const char *name, int status);
bool process_succeeded(const struct process_result *result);

/* Ends the group that the process leads: `stop_signal`, KILL after grace_ms; returns when it is proved gone. E_TIMEOUT
 * when it is not, even so. Other sessions that the process started are not followed. */
int process_end_group(const struct process_id *leader, int stop_signal, int64_t grace_ms,
                      struct error *e);
/* What a dead worker left: kills the group named in a pid_file of process_run() when that process is still the same. No
 * such file: 0. */
int process_end_recorded(const char *pid_file, struct error *e);

/* Detaches: PROGRAM with `arguments` (NULL-terminated, without argv[0]) in a session of its own, child of nobody here,
 * descriptors 0 /dev/null and 1, 2 the file `log` (appended). Returns when it has been started. */
int process_detach(const char *program, const char *const *arguments, const char *log,
                   struct error *e);

/* Monotonic milliseconds, and a sleep that a signal does not cut short. */
int64_t process_clock_ms(void);
void process_sleep_ms(int64_t ms);

#endif
