/* Owns the agent's command line and its help. */
#include "node-agent/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"

static const char help[] =
    "Usage: lockstep-agent --controller HOST:PORT [--state DIR] [--token TOKEN | --token-file "
    "FILE]\n"
    "\n"
    "Runs the steps of a rollout on this node, as the controller (lockstepd) instructs it over "
    "mutual TLS.\n"
    "\n"
    "  --controller HOST:PORT  where lockstepd listens (also: LOCKSTEP_CONTROLLER)\n"
    "  --state DIR             what the agent keeps: its certificate, its journal (" AGENT_STATE_DIR
    ")\n"
    "  --token TOKEN           enroll with the one-use token of `lockstep node enroll NAME`; "
    "needed once\n"
    "  --token-file FILE       the same, read from a file\n"
    "  --version, --help\n"
    "\n"
    "Example, once on each node:\n"
    "  lockstep-agent --controller lockstep.example:7443 --token-file /root/token\n"
    "From then on:\n"
    "  lockstep-agent --controller lockstep.example:7443\n";

static int wrong(const char *what)
{
    fprintf(stderr, "lockstep-agent: %s; see lockstep-agent --help\n", what);
    return -102;
}

static const char *read_token(struct arena *arena, const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return NULL;
    }
    char line[LIMIT_ERROR_BYTES];
    const char *token = NULL;
    if (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        token = arena_strdup(arena, line);
    }
    fclose(file);
    return token;
}

static int split_address(struct arena *arena, const char *address, struct agent_options *o)
{
    const char *colon = address == NULL ? NULL : strrchr(address, ':');
    uint64_t port = 0;
    if (colon == NULL || colon == address || !str_to_u64(colon + 1, UINT16_MAX, &port) ||
        port == 0) {
        return wrong("--controller wants HOST:PORT");
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

int agent_options_read(struct arena *arena, int argc, char **argv, struct agent_options *ret)
{
    enum { OPT_CONTROLLER = 1, OPT_STATE, OPT_TOKEN, OPT_TOKEN_FILE, OPT_VERSION, OPT_HELP };
    static const struct option longs[] = {{"controller", required_argument, NULL, OPT_CONTROLLER},
                                          {"state", required_argument, NULL, OPT_STATE},
                                          {"token", required_argument, NULL, OPT_TOKEN},
                                          {"token-file", required_argument, NULL, OPT_TOKEN_FILE},
                                          {"version", no_argument, NULL, OPT_VERSION},
                                          {"help", no_argument, NULL, OPT_HELP},
                                          {NULL, 0, NULL, 0}};
    struct agent_options o = {.state_dir = AGENT_STATE_DIR};
    const char *address = getenv("LOCKSTEP_CONTROLLER");
    int option;
    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (option == OPT_CONTROLLER) {
            address = optarg;
        } else if (option == OPT_STATE) {
            o.state_dir = optarg;
        } else if (option == OPT_TOKEN) {
            o.token = optarg;
        } else if (option == OPT_TOKEN_FILE) {
            o.token = read_token(arena, optarg);
            if (o.token == NULL) {
                return wrong("the token file cannot be read");
            }
        } else if (option == OPT_VERSION) {
            printf("lockstep-agent %s\n", LOCKSTEP_VERSION);
            return -100;
        } else if (option == OPT_HELP) {
            fputs(help, stdout);
            return -100;
        } else {
            return wrong("that is not how it is called");
        }
    }
    if (optind < argc) {
        return wrong("it takes no arguments but options");
    }
    int r = split_address(arena, address, &o);
    if (r < 0) {
        return r;
    }
    o.crash_before = crash_number("LOCKSTEP_CRASH_BEFORE");
    o.crash_after = crash_number("LOCKSTEP_CRASH_AFTER");
    *ret = o;
    return 0;
}
