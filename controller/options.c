/* Owns lockstepd's command line and its help. */
#include "controller/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"

static const char help[] =
    "Usage: lockstepd [--state DIR] [--listen HOST:PORT] [--name NAME]...\n"
    "\n"
    "The controller: keeps the specs of all clusters, plans, and carries runs out through the "
    "agents. On its first\n"
    "start it makes its own CA and, in DIR/operator, what `lockstep` needs to talk to it.\n"
    "\n"
    "  --state DIR         what it keeps (" CONTROLLER_STATE_DIR ")\n"
    "  --listen HOST:PORT  where agents and operators connect (0.0.0.0:7443); port 0 takes a free "
    "one\n"
    "  --name NAME         a further name or address for its certificate, for other gRPC clients\n"
    "  --version, --help\n"
    "\n"
    "Example:\n"
    "  lockstepd --listen 0.0.0.0:7443 &\n"
    "  lockstep node enroll app-1\n";

static int wrong(const char *what)
{
    fprintf(stderr, "lockstepd: %s; see lockstepd --help\n", what);
    return CONTROLLER_OPTIONS_WRONG;
}

static int split_listen(struct arena *arena, const char *address, struct controller_options *o)
{
    const char *colon = strrchr(address, ':');
    uint64_t port = 0;
    if (colon == NULL || colon == address || !str_to_u64(colon + 1, UINT16_MAX, &port)) {
        return wrong("--listen wants HOST:PORT");
    }
    bool brackets = address[0] == '[' && colon[-1] == ']';
    const char *host = brackets ? address + 1 : address;
    o->host = arena_strndup(arena, host, (size_t)(colon - host) - (brackets ? 1 : 0));
    o->port = (uint16_t)port;
    return 0;
}

static uint64_t crash_number(const char *name)
{
    uint64_t number = 0;
    const char *text = getenv(name);
    return text != NULL && str_to_u64(text, UINT64_MAX, &number) ? number : 0;
}

int controller_options_read(struct arena *arena, int argc, char **argv,
                            struct controller_options *ret)
{
    enum { OPT_STATE = 1, OPT_LISTEN, OPT_NAME, OPT_VERSION, OPT_HELP };
    static const struct option longs[] = {{"state", required_argument, NULL, OPT_STATE},
                                          {"listen", required_argument, NULL, OPT_LISTEN},
                                          {"name", required_argument, NULL, OPT_NAME},
                                          {"version", no_argument, NULL, OPT_VERSION},
                                          {"help", no_argument, NULL, OPT_HELP},
                                          {NULL, 0, NULL, 0}};
    struct controller_options o = {
        .state_dir = CONTROLLER_STATE_DIR, .host = "0.0.0.0", .port = CONTROLLER_PORT};
    int option;
    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (option == OPT_STATE) {
            o.state_dir = optarg;
        } else if (option == OPT_LISTEN) {
            int r = split_listen(arena, optarg, &o);
            if (r != 0) {
                return r;
            }
        } else if (option == OPT_NAME) {
            if (o.name_count == ARRAY_SIZE(o.names)) {
                return wrong("too many --name");
            }
            o.names[o.name_count++] = optarg;
        } else if (option == OPT_VERSION) {
            printf("lockstepd %s\n", LOCKSTEP_VERSION);
            return CONTROLLER_OPTIONS_DONE;
        } else if (option == OPT_HELP) {
            fputs(help, stdout);
            return CONTROLLER_OPTIONS_DONE;
        } else {
            return wrong("that is not how it is called");
        }
    }
    if (optind < argc) {
        return wrong("it takes no arguments but options");
    }
    o.crash_before = crash_number("LOCKSTEP_CRASH_BEFORE");
    o.crash_after = crash_number("LOCKSTEP_CRASH_AFTER");
    o.place_crash_before = crash_number("LOCKSTEP_PLACE_CRASH_BEFORE");
    o.place_crash_after = crash_number("LOCKSTEP_PLACE_CRASH_AFTER");
    *ret = o;
    return 0;
}
