/*
 * Owns the start of a program: everything is resolved before the fork, and the child makes only calls that are safe
 * there. It refuses shells, inherited descriptors and an inherited environment.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/process.h"
#include "lib/io/platform/secret.h"

#define SPAWN_GROUPS_MAX   256
#define SPAWN_DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* All that the child needs, made before the fork. */
struct spawn {
    const char *path;
    const char *directory;
    char **argv;
    char **environment;
    bool change_user;
    uid_t uid;
    gid_t gid;
    gid_t groups[SPAWN_GROUPS_MAX];
    int group_count;
    rlim_t memory_max;
    bool dies_with_parent;
    pid_t parent;
    int output_fd;
    int error_pipe;
    int gate; /* a byte from here, or the program is never started */
    int (*record)(void *context, const struct process_id *id, struct error *e);
    void *context;
};

enum spawn_stage { STAGE_USER, STAGE_DIRECTORY, STAGE_LIMIT, STAGE_EXEC };

struct spawn_report {
    enum spawn_stage stage;
    int problem;
};

static __attribute__((noreturn)) void report(const struct spawn *s, enum spawn_stage stage)
{
    struct spawn_report text = {stage, errno};
    ssize_t written UNUSED = write(s->error_pipe, &text, sizeof(text));
    _exit(127);
}

static __attribute__((noreturn)) void run_child(const struct spawn *s)
{
    char go;
    if (read(s->gate, &go, 1) != 1) {
        _exit(127);
    }
    for (int number = 1; number < NSIG; number++) {
        signal(number, SIG_DFL);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int input = open("/dev/null", O_RDONLY);
    int output = s->output_fd >= 0 ? s->output_fd : open("/dev/null", O_WRONLY);
    if (output <= 2) {
        output = fcntl(output, F_DUPFD, 3);
    }
    dup2(input, 0);
    dup2(output, 1);
    dup2(output, 2);
    /* Close-on-exec rather than closed: the pipe that reports a failed exec must live until then. */
    syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
    umask(022);
    if (s->memory_max > 0) {
        /* Data, not address space: runtimes reserve far more addresses than they use. */
        struct rlimit limit = {s->memory_max, s->memory_max};
        if (setrlimit(RLIMIT_DATA, &limit) < 0) {
            report(s, STAGE_LIMIT);
        }
    }
    if (s->change_user && (setgroups((size_t)s->group_count, s->groups) < 0 || setgid(s->gid) < 0 ||
                           setuid(s->uid) < 0)) {
        report(s, STAGE_USER);
    }
    if (s->dies_with_parent) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != s->parent) {
            _exit(127);
        }
    }
    if (chdir(s->directory) < 0) {
        report(s, STAGE_DIRECTORY);
    }
    execve(s->path, s->argv, s->environment);
    report(s, STAGE_EXEC);
}

static const char *env_get(char *const *environment, const char *name)
{
    size_t len = strlen(name);
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=') {
            return *environment + len + 1;
        }
    }
    return NULL;
}

/* A later value of a name replaces an earlier one. */
static void env_set(struct arena *arena, char **environment, size_t *count, const char *name,
                    const char *value)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < *count; i++) {
        if (strncmp(environment[i], name, len) == 0 && environment[i][len] == '=') {
            environment[i] = arena_printf(arena, "%s=%s", name, value);
            return;
        }
    }
    environment[(*count)++] = arena_printf(arena, "%s=%s", name, value);
}

static int resolve_user(struct spawn *s, const char *user, const struct passwd **ret_account,
                        struct error *e)
{
    errno = 0;
    const struct passwd *account = user != NULL ? getpwnam(user) : getpwuid(geteuid());
    *ret_account = account;
    if (user == NULL) {
        return 0;
    }
    if (account == NULL) {
        return error_set(e, E_NOT_FOUND,
                         "there is no user \"%s\" on this machine: create it, or change `user:`",
                         user);
    }
    if (account->pw_uid == geteuid() && geteuid() != 0) {
        return 0;
    }
    if (geteuid() != 0) {
        return error_set(e, E_DENIED,
                         "running as user \"%s\" needs an agent that runs as root: leave `user:` "
                         "out, or run it as root",
                         user);
    }
    s->change_user = true;
    s->uid = account->pw_uid;
    s->gid = account->pw_gid;
    s->group_count = SPAWN_GROUPS_MAX;
    if (getgrouplist(user, s->gid, s->groups, &s->group_count) < 0) {
        return error_set(e, E_LIMIT, "user \"%s\" is in more than %d groups", user,
                         SPAWN_GROUPS_MAX);
    }
    return 0;
}

static int resolve_environment(struct spawn *s, struct arena *arena, const struct command *command,
                               const struct passwd *account, struct error *e)
{
    size_t count = 0;
    s->environment = arena_array(arena, command->env.count + 8, sizeof(char *));
    const char *path = getenv("PATH");
    env_set(arena, s->environment, &count, "PATH", str_empty(path) ? SPAWN_DEFAULT_PATH : path);
    env_set(arena, s->environment, &count, "LANG", "C.UTF-8");
    if (account != NULL) {
        env_set(arena, s->environment, &count, "HOME", account->pw_dir);
        env_set(arena, s->environment, &count, "USER", account->pw_name);
        env_set(arena, s->environment, &count, "LOGNAME", account->pw_name);
    }
    const struct env_value *values = command->env.items;
    for (size_t i = 0; i < command->env.count; i++) {
        const char *value = values[i].value != NULL ? values[i].value : "";
        if (values[i].secret != NULL && secret_read(arena, values[i].secret, &value, e) < 0) {
            return error_wrap(e, "environment %s", values[i].name);
        }
        env_set(arena, s->environment, &count, values[i].name, value);
        if (values[i].secret != NULL) {
            secret_wipe(value);
        }
    }
    return 0;
}

static int check_program(const char *path, struct error *e)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        return error_set(
            e, error_from_errno(errno),
            "the program %s cannot be started: %s: check the first word of the command", path,
            strerror(errno));
    }
    if (!S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0) {
        return error_set(
            e, E_DENIED,
            "%s is not an executable file: check the command, or its mode in the artifact", path);
    }
    return 0;
}

static int resolve_program(struct spawn *s, struct arena *arena, const char *name, struct error *e)
{
    if (strchr(name, '/') != NULL) {
        s->path = name[0] == '/' ? name : arena_printf(arena, "%s/%s", s->directory, name);
        return check_program(s->path, e);
    }
    const char *search = env_get(s->environment, "PATH");
    for (const char *part = search; part != NULL;) {
        size_t len = strcspn(part, ":");
        const char *candidate = arena_printf(arena, "%.*s/%s", (int)len, part, name);
        if (len > 0 && check_program(candidate, NULL) == 0) {
            s->path = candidate;
            return 0;
        }
        part = part[len] == ':' ? part + len + 1 : NULL;
    }
    return error_set(e, E_NOT_FOUND,
                     "the program %s is not found in PATH (%s): install it, or write its path",
                     name, search);
}

static int resolve(struct spawn *s, struct arena *arena, const struct command *command,
                   const struct process_place *place, struct error *e)
{
    if (command->argv.count == 0 || str_empty(command->argv.items[0])) {
        return error_set(e, E_INVALID, "the command is empty: write the program and its arguments");
    }
    *s = (struct spawn){.directory = place->directory,
                        .memory_max = (rlim_t)command->memory_bytes_max,
                        .dies_with_parent = place->dies_with_parent,
                        .parent = getpid(),
                        .output_fd = place->output_fd,
                        .error_pipe = -1,
                        .gate = -1,
                        .record = place->record,
                        .context = place->context};
    struct stat st;
    if (stat(place->directory, &st) < 0 || !S_ISDIR(st.st_mode)) {
        return error_set(e, E_NOT_FOUND,
                         "the working directory %s is not there: is the release installed?",
                         place->directory);
    }
    s->argv = arena_array(arena, command->argv.count + 1, sizeof(char *));
    for (size_t i = 0; i < command->argv.count; i++) {
        s->argv[i] = arena_strdup(arena, command->argv.items[i]);
    }
    const struct passwd *account = NULL;
    int r = resolve_user(s, command->user, &account, e);
    if (r == 0) {
        r = resolve_environment(s, arena, command, account, e);
    }
    return r == 0 ? resolve_program(s, arena, command->argv.items[0], e) : r;
}

static int explain(const struct spawn_report *report_, const struct spawn *s, const char *user,
                   struct error *e)
{
    int code = error_from_errno(report_->problem);
    const char *words = strerror(report_->problem);
    switch (report_->stage) {
    case STAGE_USER:
        return error_set(e, code, "cannot become user %s: %s", user != NULL ? user : "?", words);
    case STAGE_DIRECTORY:
        return error_set(e, code, "cannot enter %s: %s: may the command's user read it?",
                         s->directory, words);
    case STAGE_LIMIT:
        return error_set(e, code, "cannot set the memory limit: %s", words);
    case STAGE_EXEC:
        break;
    }
    if (report_->problem == ENOENT) {
        return error_set(e, E_NOT_FOUND,
                         "cannot start %s: the interpreter in its first line is not installed",
                         s->path);
    }
    return error_set(e, code, "cannot start %s: %s%s", s->path, words,
                     report_->problem == ENOEXEC ? ": is it built for this kind of machine?" : "");
}

static ssize_t hear(int errors, void *text, size_t len)
{
    ssize_t n;
    do {
        n = read(errors, text, len);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* Lets the child go on once it leads a group of its own and is recorded, and hears whether it became the program. Recorded
 * before it led its group, it could not be stopped by what is recorded. */
static int open_gate(struct spawn *s, pid_t pid, int gate, int errors, const char *user,
                     struct error *e)
{
    struct process_id id;
    char leads;
    int r = hear(errors, &leads, 1) == 1
                ? 0
                : error_set(e, E_IO, "cannot start %s: the new process died at once", s->path);
    if (r == 0 && s->record != NULL) {
        r = process_identify(pid, &id, e);
    }
    if (r == 0 && s->record != NULL) {
        r = s->record(s->context, &id, e);
    }
    if (r == 0 && write(gate, "", 1) != 1) {
        r = error_set(e, E_IO, "cannot start %s: the new process died at once", s->path);
    }
    close(gate);
    struct spawn_report failed;
    if (r == 0 && hear(errors, &failed, sizeof(failed)) == (ssize_t)sizeof(failed)) {
        r = explain(&failed, s, user, e);
    }
    if (r < 0) {
        waitpid(pid, NULL, 0);
    }
    return r;
}

static int fork_child(struct spawn *s, const char *user, pid_t *ret_pid, struct error *e)
{
    int errors[2];
    int gate[2];
    if (pipe2(errors, O_CLOEXEC) < 0) {
        return error_set(e, error_from_errno(errno), "cannot make a pipe: %s", strerror(errno));
    }
    if (pipe2(gate, O_CLOEXEC) < 0) {
        close(errors[0]);
        close(errors[1]);
        return error_set(e, error_from_errno(errno), "cannot make a pipe: %s", strerror(errno));
    }
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        /* Our own copy of the far end would keep the gate from closing when the parent dies. */
        close(gate[1]);
        close(errors[0]);
        s->gate = gate[0];
        s->error_pipe = errors[1] <= 2 ? fcntl(errors[1], F_DUPFD_CLOEXEC, 3) : errors[1];
        if (write(s->error_pipe, "", 1) != 1) {
            _exit(127);
        }
        run_child(s);
    }
    int problem = errno;
    close(errors[1]);
    close(gate[0]);
    int r;
    if (pid < 0) {
        close(gate[1]);
        r = error_set(e, error_from_errno(problem), "cannot start another process: %s",
                      strerror(problem));
    } else {
        r = open_gate(s, pid, gate[1], errors[0], user, e);
    }
    close(errors[0]);
    if (r == 0) {
        *ret_pid = pid;
    }
    return r;
}

int process_spawn(const struct command *command, const struct process_place *place, pid_t *ret_pid,
                  struct error *e)
{
    struct arena arena;
    arena_init(&arena);
    struct spawn s;
    s.environment = NULL;
    int r = resolve(&s, &arena, command, place, e);
    if (r == 0) {
        r = fork_child(&s, command->user, ret_pid, e);
    }
    /* Secrets are among the values: none may stay in freed memory. */
    for (size_t i = 0; s.environment != NULL && s.environment[i] != NULL; i++) {
        secret_wipe(s.environment[i]);
    }
    arena_deinit(&arena);
    return r;
}

int process_detach(const char *program, const char *const *arguments, const char *log,
                   struct error *e)
{
    int output = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (output < 0) {
        return file_error(e, errno, "write", log);
    }
    struct arena arena;
    arena_init(&arena);
    size_t count = 0;
    while (arguments[count] != NULL) {
        count++;
    }
    char **argv = arena_array(&arena, count + 2, sizeof(char *));
    argv[0] = arena_strdup(&arena, program);
    for (size_t i = 0; i < count; i++) {
        argv[i + 1] = arena_strdup(&arena, arguments[i]);
    }
    struct spawn s = {.path = program,
                      .directory = "/",
                      .argv = argv,
                      .environment = environ,
                      .output_fd = output};
    pid_t middle = fork();
    if (middle == 0) {
        /* The middle one only starts the other and goes: the other has no parent that could wait for it. */
        pid_t pid = -1;
        _exit(fork_child(&s, NULL, &pid, NULL) == 0 ? 0 : 1);
    }
    int status = -1;
    int r = 0;
    if (middle < 0) {
        r = error_set(e, error_from_errno(errno), "cannot start another process: %s",
                      strerror(errno));
    } else if (waitpid(middle, &status, 0) < 0 || status != 0) {
        r = error_set(e, E_IO, "cannot start %s in the background: is the program still there?",
                      program);
    }
    close(output);
    arena_deinit(&arena);
    return r;
}
