/* lockstep: the operator's command. This file owns the order of one call; what the verbs do is in verb_*.c. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/help.h"
#include "cli/output.h"
#include "cli/verb.h"
#include "lib/base/str.h"
#include "lib/io/db/db.h"

static int dispatch(struct context *c)
{
    const struct args *args = &c->args;
    if (args->version) {
        printf("lockstep %s\n", LOCKSTEP_VERSION);
        return CLI_DONE;
    }
    if (args->help && args->verb != NULL) {
        help_verb(stdout, c->arena, args->verb);
        return CLI_DONE;
    }
    if (args->help) {
        help_all(stdout, c->arena, args->group);
        return CLI_DONE;
    }
    if (args->verb == NULL) {
        help_all(stderr, c->arena, args->group);
        return CLI_WRONG_USE;
    }
    c->json = args_flag(args, "json");
    int status = args->verb->run(c);
    if (c->json && status != CLI_DONE && str_starts(args->verb->name, "db ")) {
        print_refusal();
    }
    return status;
}

/* Where the words could not be read. */
static bool db_asks_for_json(int argc, char **argv)
{
    bool json = false;
    for (int i = 2; i < argc; i++) {
        json = json || strcmp(argv[i], "--json") == 0;
    }
    return json && strcmp(argv[1], "db") == 0;
}

/* A caller may have closed them; what is opened next must not take their place. They stay useless: an answer that nobody
 * can read is no success. */
static void open_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) {
            _exit(CLI_FAILED);
        }
    }
}

int main(int argc, char **argv)
{
    open_standard();
    if (argc == 3 && strcmp(argv[1], "hold") == 0) { /* started by `lockstep db`, by nobody else */
        return db_hold_main(argv[2]);
    }
    signal(SIGPIPE, SIG_IGN);
    struct arena arena;
    arena_init(&arena);
    struct context context = {.arena = &arena};
    struct error e = {0};
    int status = CLI_WRONG_USE;
    if (args_read(&arena, argc, argv, &context.args, &e) < 0) {
        say_error(&e);
        if (db_asks_for_json(argc, argv)) {
            print_refusal();
        }
    } else {
        status = dispatch(&context);
    }
    /* A full disk or a closed pipe must not look like success. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (errno != EPIPE) {
            say("cannot write the answer: %s", strerror(errno));
        }
        status = status == CLI_DONE ? CLI_FAILED : status;
    }
    arena_deinit(&arena);
    return status;
}
