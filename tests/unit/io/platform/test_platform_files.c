/* Files that are whole or not there, directories removed without following links, secrets that stay out of errors. */
#include "tests/unit/io/platform/scratch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/io/platform/layout.h"
#include "lib/io/platform/ports.h"
#include "lib/io/platform/secret.h"

static void writes_whole_files_with_their_mode(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct stat st;
    scratch_write(s, "f", "one", 0640);
    scratch_write(s, "f", "second", 0600);
    assert_string_equal(scratch_read(s, "f"), "second");
    assert_int_equal(stat(scratch_path(s, "f"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(file_write(scratch_path(s, "no/dir/f"), "x", 1, 0600, &e), E_NOT_FOUND);
    scratch_says(&e, "no/dir/f");
    assert_int_equal(file_write("/dev/full/x", "x", 1, 0600, &e), E_NOT_FOUND);
}

static void reads_up_to_its_bound_and_no_further(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    char *text;
    size_t len;
    scratch_write(s, "f", "12345", 0600);
    scratch_ok(file_read(&s->arena, scratch_path(s, "f"), 5, &text, &len, &e), &e);
    assert_int_equal(len, 5);
    assert_int_equal(file_read(&s->arena, scratch_path(s, "f"), 4, &text, &len, &e), E_LIMIT);
    assert_int_equal(file_read(&s->arena, s->dir, 100, &text, &len, &e), E_INVALID);
    assert_int_equal(file_read(&s->arena, scratch_path(s, "none"), 100, &text, &len, &e),
                     E_NOT_FOUND);
}

static void a_tail_starts_with_a_whole_line(void **state)
{
    struct scratch *s = *state;
    scratch_write(s, "f", "first line\nsecond\nthird\n", 0600);
    assert_string_equal(file_tail(&s->arena, scratch_path(s, "f"), 16), "second\nthird\n");
    assert_string_equal(file_tail(&s->arena, scratch_path(s, "f"), 1000),
                        "first line\nsecond\nthird\n");
    assert_string_equal(file_tail(&s->arena, scratch_path(s, "none"), 10), "");
}

static void removes_links_and_not_what_they_point_at(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    scratch_write(s, "precious/file", "stay", 0600);
    scratch_write(s, "tree/a/b/file", "go", 0400);
    assert_int_equal(symlink(scratch_path(s, "precious"), scratch_path(s, "tree/a/link")), 0);
    assert_int_equal(chmod(scratch_path(s, "tree/a/b"), 0555), 0);
    scratch_ok(dir_remove(scratch_path(s, "tree"), &e), &e);
    assert_false(file_exists(scratch_path(s, "tree")));
    assert_string_equal(scratch_read(s, "precious/file"), "stay");
    assert_int_equal(symlink(scratch_path(s, "precious"), scratch_path(s, "link")), 0);
    scratch_ok(dir_remove(scratch_path(s, "link"), &e), &e);
    assert_string_equal(scratch_read(s, "precious/file"), "stay");
    scratch_ok(dir_remove(scratch_path(s, "none"), &e), &e);
}

static void removes_read_only_trees_as_a_plain_user(void **state)
{
    struct scratch *s = *state;
    scratch_write(s, "tree/a/file", "go", 0400);
    assert_int_equal(chmod(s->dir, 0777), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(scratch_path(s, "tree"), 65534, 65534), 0);
        assert_int_equal(chown(scratch_path(s, "tree/a"), 65534, 65534), 0);
    }
    assert_int_equal(chmod(scratch_path(s, "tree/a"), 0), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int r = geteuid() == 0 ? setuid(65534) : 0;
        _exit(r == 0 && dir_remove(scratch_path(s, "tree"), NULL) == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_false(file_exists(scratch_path(s, "tree")));
}

static void a_secret_is_its_first_line_and_in_no_error(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    const char *value;
    scratch_write(s, "pw", "hunter2\r\nsecond line\n", 0600);
    struct secret file = {.file = scratch_path(s, "pw")};
    scratch_ok(secret_read(&s->arena, &file, &value, &e), &e);
    assert_string_equal(value, "hunter2");
    scratch_write(s, "pw", "\nhunter2\n", 0600);
    assert_int_equal(secret_read(&s->arena, &file, &value, &e), E_INVALID);
    assert_null(strstr(e.message, "hunter2"));
    struct secret env = {.env = "LOCKSTEP_TEST_SECRET"};
    unsetenv(env.env);
    assert_int_equal(secret_read(&s->arena, &env, &value, &e), E_NOT_FOUND);
    scratch_says(&e, "LOCKSTEP_TEST_SECRET");
    setenv(env.env, "from env", 1);
    scratch_ok(secret_read(&s->arena, &env, &value, &e), &e);
    assert_string_equal(value, "from env");
}

static void refuses_layouts_that_are_no_plain_paths(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "/",         "opt/app",   "/opt/../etc",
                                      "/opt//app", "/opt/app/", "/opt/./app"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(layout_check(bad[i], NULL), E_INVALID);
    }
    assert_int_equal(layout_check("/opt/app", NULL), 0);
    assert_int_equal(layout_check("/opt/..app", NULL), 0);
}

static void names_of_releases_stay_in_the_store(void **state)
{
    struct scratch *s = *state;
    assert_string_equal(layout_staged(&s->arena, "/opt/app", "../../etc", "0123456789abcdef"),
                        "/opt/app.lockstep/_._.._etc-01234567");
    assert_string_equal(layout_staged(&s->arena, "/opt/app", "1.2.3+b-rc~1", "0123456789abcdef"),
                        "/opt/app.lockstep/1.2.3+b-rc~1-01234567");
}

static void finds_who_listens_on_a_port(void **state)
{
    (void)state;
    struct error e = {0};
    struct port_listener listener;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof(address);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    getsockname(fd, (struct sockaddr *)&address, &len);
    scratch_ok(port_listener(ntohs(address.sin6_port), &listener, &e), &e);
    assert_false(listener.taken); /* bound is not listening */
    assert_int_equal(listen(fd, 1), 0);
    scratch_ok(port_listener(ntohs(address.sin6_port), &listener, &e), &e);
    assert_true(listener.taken);
    assert_int_equal(listener.pid, getpid());
    close(fd);
}

#define T(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(writes_whole_files_with_their_mode),
        T(reads_up_to_its_bound_and_no_further),
        T(a_tail_starts_with_a_whole_line),
        T(removes_links_and_not_what_they_point_at),
        T(removes_read_only_trees_as_a_plain_user),
        T(a_secret_is_its_first_line_and_in_no_error),
        T(refuses_layouts_that_are_no_plain_paths),
        T(names_of_releases_stay_in_the_store),
        T(finds_who_listens_on_a_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
