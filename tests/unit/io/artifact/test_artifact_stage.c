/* Archives, good and hostile; staging; fetching; the look before a run. */
#include "tests/unit/io/platform/scratch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "lib/io/artifact/archive.h"
#include "lib/io/artifact/artifact.h"
#include "lib/io/artifact/download.h"
#include "lib/io/artifact/tree.h"
#include "lib/io/platform/digest.h"
#include "tests/unit/io/platform/http_server.h"

#define SHA "3333333333333333333333333333333333333333333333333333333333333333"

struct entry {
    const char *name;
    unsigned type;
    unsigned mode;
    const char *text; /* a file's bytes, a link's target; "=x": a hard link to x */
};

enum packing { TAR, TAR_GZ, TAR_ZST, ZIP };

static const char *pack(struct scratch *s, enum packing packing, const struct entry *entries,
                        size_t count)
{
    const char *path = scratch_path(s, "archive");
    struct archive *a = archive_write_new();
    if (packing == TAR_GZ) {
        archive_write_add_filter_gzip(a);
    } else if (packing == TAR_ZST) {
        archive_write_add_filter_zstd(a);
    }
    if (packing == ZIP) {
        archive_write_set_format_zip(a);
    } else {
        archive_write_set_format_pax_restricted(a);
    }
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    for (size_t i = 0; i < count; i++) {
        struct archive_entry *entry = archive_entry_new();
        const char *text = entries[i].text != NULL ? entries[i].text : "";
        archive_entry_set_pathname(entry, entries[i].name);
        archive_entry_set_filetype(entry, entries[i].type);
        archive_entry_set_perm(entry, entries[i].mode);
        archive_entry_set_mtime(entry, 1000000000, 0);
        archive_entry_set_uid(entry, 12345);
        if (text[0] == '=') {
            archive_entry_set_hardlink(entry, text + 1);
            archive_entry_set_size(entry, 0);
        } else if (entries[i].type == AE_IFLNK) {
            archive_entry_set_symlink(entry, text);
        } else if (entries[i].type == AE_IFREG) {
            archive_entry_set_size(entry, (la_int64_t)strlen(text));
        }
        assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
        if (entries[i].type == AE_IFREG && text[0] != '=') {
            archive_write_data(a, text, strlen(text));
        }
        archive_entry_free(entry);
    }
    archive_write_close(a);
    archive_write_free(a);
    return path;
}

static int unpack(struct scratch *s, const char *path, bool special, struct error *e)
{
    struct archive_unpack options = {.path = path,
                                     .directory = scratch_path(s, "out"),
                                     .allow_special = special,
                                     .uid = -1,
                                     .gid = -1};
    struct archive_summary summary;
    dir_remove(options.directory, NULL);
    return archive_unpack(&s->arena, &options, &summary, e);
}

static const struct entry good[] = {
    {"app-1.0", AE_IFDIR, 0755, NULL},
    {"app-1.0/bin/app", AE_IFREG, 0755, "#!/bin/sh\necho version 1.0.0\n"},
    {"app-1.0/db/migrations/sqlite/000002_b.up.sql", AE_IFREG, 0644, "select 2;"},
    {"app-1.0/db/migrations/sqlite/000001_a.up.sql", AE_IFREG, 0644, "select 1;"},
    {"app-1.0/bin/link", AE_IFLNK, 0777, "../bin/app"},
    {"app-1.0/locked", AE_IFDIR, 0555, NULL},
    {"app-1.0/locked/file", AE_IFREG, 0400, "read only"},
};

static void unpacks_every_format_with_modes_and_times(void **state)
{
    struct scratch *s = *state;
    for (enum packing p = TAR; p <= ZIP; p++) {
        struct error e = {0};
        scratch_ok(unpack(s, pack(s, p, good, ARRAY_SIZE(good)), false, &e), &e);
        struct stat st;
        assert_string_equal(scratch_read(s, "out/app-1.0/locked/file"), "read only");
        assert_int_equal(stat(scratch_path(s, "out/app-1.0/bin/app"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0755);
        assert_int_equal(st.st_mtime, 1000000000);
        assert_int_equal(st.st_uid, getuid());
        assert_int_equal(stat(scratch_path(s, "out/app-1.0/locked"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0555);
        assert_int_equal(st.st_mtime, 1000000000);
    }
}

static void refuses_entries_that_leave_their_directory(void **state)
{
    struct scratch *s = *state;
    static const struct entry bad[][3] = {
        {{"../escape", AE_IFREG, 0644, "x"}},
        {{"a/../../escape", AE_IFREG, 0644, "x"}},
        {{"/tmp/escape", AE_IFREG, 0644, "x"}},
        {{"link", AE_IFLNK, 0777, "/etc"}},
        {{"link", AE_IFLNK, 0777, "../.."}},
        {{"d/link", AE_IFLNK, 0777, "../../x"}},
        {{"d", AE_IFLNK, 0777, "sub"}, {"link", AE_IFLNK, 0777, "d/../.."}},
        {{"real", AE_IFDIR, 0755, NULL},
         {"l", AE_IFLNK, 0777, "real"},
         {"l/through", AE_IFREG, 0644, "x"}},
        /* Lexically d/e/z stays inside; followed, it is the directory above "top". */
        {{"top", AE_IFDIR, 0755, NULL},
         {"d/e/ln", AE_IFLNK, 0777, "../../top"},
         {"d/e/z", AE_IFLNK, 0777, "ln/../.."}},
        {{"hard", AE_IFREG, 0644, "=../../etc/passwd"}},
        {{"hard", AE_IFREG, 0644, "=/etc/passwd"}},
        {{"l", AE_IFLNK, 0777, "x"}, {"hard", AE_IFREG, 0644, "=l"}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        size_t count = 1 + (bad[i][1].name != NULL) + (bad[i][2].name != NULL);
        struct error e = {0};
        int r = unpack(s, pack(s, TAR, bad[i], count), true, &e);
        if (r != E_DENIED) {
            fail_msg("case %zu: %d %s", i, r, e.message);
        }
    }
    assert_false(file_exists(scratch_path(s, "escape")));
}

static void refuses_special_files_unless_allowed(void **state)
{
    struct scratch *s = *state;
    static const struct entry setuid[] = {{"su", AE_IFREG, 04755, "x"}};
    static const struct entry fifo[] = {{"pipe", AE_IFIFO, 0644, NULL}};
    struct error e = {0};
    struct stat st;
    assert_int_equal(unpack(s, pack(s, TAR, setuid, 1), false, &e), E_DENIED);
    scratch_says(&e, "setuid");
    scratch_ok(unpack(s, pack(s, TAR, setuid, 1), true, &e), &e);
    assert_int_equal(stat(scratch_path(s, "out/su"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 04755);
    assert_int_equal(unpack(s, pack(s, TAR, fifo, 1), false, &e), E_DENIED);
    scratch_says(&e, "fifo");
    scratch_ok(unpack(s, pack(s, TAR, fifo, 1), true, &e), &e);
    assert_int_equal(stat(scratch_path(s, "out/pipe"), &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
}

static void refuses_what_is_no_archive(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    scratch_write(s, "archive",
                  "this is no archive, only a text that is long enough to be looked at\n", 0644);
    assert_int_equal(unpack(s, scratch_path(s, "archive"), false, &e), E_INVALID);
    scratch_says(&e, "damaged");
}

static int note_file(void *context, const char *name, const void *data, size_t len, struct error *e)
{
    (void)e;
    char *text = context;
    size_t at = strlen(text);
    snprintf(text + at, 512 - at, "%s=%.*s|", name, (int)len, (const char *)data);
    return 0;
}

static void reads_a_folder_in_order_with_and_without_a_wrapper(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct archive_summary summary;
    char text[512] = "";
    const char *path = pack(s, TAR_GZ, good, ARRAY_SIZE(good));
    scratch_ok(
        archive_read_folder(&s->arena, path, "db/migrations/sqlite", note_file, text, &summary, &e),
        &e);
    assert_string_equal(text, "000001_a.up.sql=select 1;|000002_b.up.sql=select 2;|");
    assert_string_equal(summary.top, "app-1.0");
    assert_int_equal(summary.bytes, 29 + 9 + 9 + 9);
    static const struct entry bare[] = {{"./db/migrations/sqlite/1.sql", AE_IFREG, 0644, "x"}};
    text[0] = '\0';
    path = pack(s, ZIP, bare, 1);
    scratch_ok(archive_read_folder(&s->arena, path, "./db/migrations/sqlite/", note_file, text,
                                   &summary, &e),
               &e);
    assert_string_equal(text, "1.sql=x|");
    assert_null(summary.top);
    assert_int_equal(
        archive_read_folder(&s->arena, path, "db/other", note_file, text, &summary, &e),
        E_NOT_FOUND);
}

/* ---- stage ---- */

static int blobs_asked;

static int blob(struct act *act, const char *sha256, const char **ret_path, struct error *e)
{
    (void)sha256;
    (void)e;
    blobs_asked++;
    *ret_path = arena_printf(act->arena, "%s/../archive", act->state_dir);
    return 0;
}

static int stage(struct scratch *s, const char *version, struct error *e)
{
    struct stage_action stage = {.artifact = {SHA, 0, version},
                                 .layout = scratch_path(s, "opt/app")};
    struct action action = {.stage = &stage};
    s->act.blob = blob;
    return act_stage(&s->act, &action, e);
}

static void the_owner_is_who_the_spec_names(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    int64_t uid = 0;
    int64_t gid = 0;
    const char *layout = scratch_path(s, "opt/app");
    assert_int_equal(tree_owner(layout, "nobody-of-that-name", &uid, &gid, &e), E_NOT_FOUND);
    scratch_says(&e, "nobody-of-that-name");
    assert_int_equal(tree_owner(layout, "root:no-such-group", &uid, &gid, &e), E_NOT_FOUND);
    scratch_says(&e, "no-such-group");
    if (geteuid() == 0) {
        scratch_ok(tree_owner(layout, "daemon:bin", &uid, &gid, &e), &e);
        assert_int_equal(uid, 1);
        assert_int_equal(gid, 2);
    } else {
        assert_int_equal(tree_owner(layout, "daemon", &uid, &gid, &e), E_DENIED);
    }
}

static void stages_once_and_finds_it_again(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct layout_release release;
    const char *tree;
    pack(s, TAR_ZST, good, ARRAY_SIZE(good));
    blobs_asked = 0;
    scratch_ok(stage(s, "1.0.0", &e), &e);
    scratch_ok(stage(s, "1.0.0", &e), &e);
    assert_int_equal(blobs_asked, 1);
    scratch_ok(layout_find(&s->arena, scratch_path(s, "opt/app"), "1.0.0", NULL, &tree, &e), &e);
    assert_string_equal(tree, scratch_path(s, "opt/app.lockstep/1.0.0-33333333"));
    scratch_ok(layout_read_marker(&s->arena, tree, &release, &e), &e);
    assert_string_equal(release.sha256, SHA);
    assert_string_equal(scratch_read(s, "opt/app.lockstep/1.0.0-33333333/locked/file"),
                        "read only");
    struct swap_action swap = {.artifact = {SHA, 0, "1.0.0"}, .layout = scratch_path(s, "opt/app")};
    struct action action = {.swap = &swap};
    scratch_ok(act_swap(&s->act, &action, &e), &e);
    scratch_ok(artifact_installed(&s->arena, scratch_path(s, "opt/app"), &release, &e), &e);
    assert_string_equal(release.version, "1.0.0");
    scratch_ok(stage(s, "1.0.0", &e), &e);
    assert_int_equal(blobs_asked, 1);
}

static void leaves_no_tree_behind_when_the_archive_is_refused(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    static const struct entry bad[] = {{"app/fine", AE_IFREG, 0644, "x"},
                                       {"app/../../bad", AE_IFREG, 0644, "x"}};
    pack(s, TAR, bad, 2);
    assert_int_equal(stage(s, "1.0.0", &e), E_DENIED);
    scratch_says(&e, "stage 1.0.0");
    assert_true(dir_is_empty(scratch_path(s, "opt/app.lockstep")));
    /* What a killed stage left is no obstacle. */
    scratch_write(s, "opt/app.lockstep/.tmp-1.0.0-33333333/half", "x", 0600);
    pack(s, TAR, good, ARRAY_SIZE(good));
    scratch_ok(stage(s, "1.0.0", &e), &e);
    assert_false(file_exists(scratch_path(s, "opt/app.lockstep/.tmp-1.0.0-33333333")));
}

/* ---- fetch ---- */

static int fetch(struct scratch *s, const char *url, const char *sha256, struct error *e)
{
    struct artifact_download d = {.url = url, .sha256 = sha256, .path = scratch_path(s, "fetched")};
    return artifact_download(&d, e);
}

static const char *url_of(struct scratch *s, const struct http_server *server, const char *path)
{
    return arena_printf(&s->arena, "http://127.0.0.1:%u%s", server->port, path);
}

static void fetches_resumes_and_proves(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct http_server server;
    char body[100001];
    for (size_t i = 0; i < sizeof(body) - 1; i++) {
        body[i] = (char)('a' + i % 23);
    }
    body[sizeof(body) - 1] = '\0';
    char hex[DIGEST_HEX_BYTES];
    digest_bytes_hex(body, strlen(body), hex);
    http_server_start(&server, body, scratch_path(s, "posted"));
    assert_int_equal(fetch(s, url_of(s, &server, "/cut"), hex, &e), E_UNAVAILABLE);
    assert_int_equal(file_size(scratch_path(s, "fetched.part")), 50000);
    assert_false(file_exists(scratch_path(s, "fetched")));
    scratch_ok(fetch(s, url_of(s, &server, "/cut"), hex, &e), &e);
    assert_int_equal(file_size(scratch_path(s, "fetched")), 100000);
    unlink(scratch_path(s, "fetched"));
    scratch_write(s, "fetched.part", "of another file", 0600);
    scratch_ok(fetch(s, url_of(s, &server, "/file"), hex, &e), &e);
    unlink(scratch_path(s, "fetched"));
    scratch_write(s, "fetched.part", "a server without ranges", 0600);
    scratch_ok(fetch(s, url_of(s, &server, "/whole"), hex, &e), &e);
    unlink(scratch_path(s, "fetched"));
    scratch_ok(fetch(s, url_of(s, &server, "/hop"), hex, &e), &e);
    unlink(scratch_path(s, "fetched"));
    const char *all = arena_printf(&s->arena, "%sX", body);
    scratch_write(s, "fetched.part", all, 0600);
    scratch_ok(fetch(s, url_of(s, &server, "/file"), hex, &e), &e);
    unlink(scratch_path(s, "fetched"));
    assert_int_equal(fetch(s, url_of(s, &server, "/file"), SHA, &e), E_CONFLICT);
    scratch_says(&e, "the artifact is damaged or the spec is wrong");
    assert_false(file_exists(scratch_path(s, "fetched")));
    assert_false(file_exists(scratch_path(s, "fetched.part")));
    assert_int_equal(fetch(s, url_of(s, &server, "/missing"), hex, &e), E_NOT_FOUND);
    scratch_says(&e, "answered 404");
    assert_int_equal(fetch(s, url_of(s, &server, "/round"), hex, &e), E_LIMIT);
    assert_int_equal(fetch(s, url_of(s, &server, "/out"), hex, &e), E_DENIED);
    http_server_stop(&server);
    assert_int_equal(fetch(s, url_of(s, &server, "/file"), hex, &e), E_UNAVAILABLE);
    assert_int_equal(fetch(s, "gopher://127.0.0.1/", hex, &e), E_INVALID);
    scratch_write(s, "source", body, 0600);
    scratch_ok(fetch(s, arena_printf(&s->arena, "file://%s/source", s->dir), hex, &e), &e);
    assert_int_equal(file_size(scratch_path(s, "fetched")), 100000);
    unlink(scratch_path(s, "fetched"));
    scratch_write(s, "fetched.part", "abc", 0600);
    scratch_ok(fetch(s, arena_printf(&s->arena, "file://%s/source", s->dir), hex, &e), &e);
    unlink(scratch_path(s, "fetched"));
    assert_int_equal(fetch(s, arena_printf(&s->arena, "file://%s/none", s->dir), hex, &e),
                     E_NOT_FOUND);
}

/* ---- preflight ---- */

static void finds_everything_at_once(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 1), 0);
    getsockname(listener, (struct sockaddr *)&address, &len);
    const char *port = arena_printf(&s->arena, "%u", ntohs(address.sin_port));
    const char *ports[] = {port};
    const char *users[] = {"root", "no-such-user"};
    struct preflight_action preflight = {.layout = scratch_path(s, "opt/app"),
                                         .bytes_needed = INT64_MAX,
                                         .ports = {ports, 1},
                                         .users = {users, 2}};
    struct action action = {.preflight = &preflight};
    assert_int_equal(act_preflight(&s->act, &action, &e), E_LIMIT);
    scratch_says(&e, "are needed");
    scratch_says(&e, arena_printf(&s->arena, "port %s is taken by pid %d (", port, (int)getpid()));
    scratch_says(&e, "there is no user \"no-such-user\"");
    close(listener);
    preflight.bytes_needed = 1000;
    preflight.users.count = 1;
    scratch_ok(act_preflight(&s->act, &action, &e), &e);
    assert_non_null(strstr(s->act.facts, "disk_free_bytes"));
    /* A link in the layout's place, and a file. */
    dir_make(scratch_path(s, "opt"), 0755, NULL);
    assert_int_equal(symlink("/tmp", scratch_path(s, "opt/app")), 0);
    assert_int_equal(act_preflight(&s->act, &action, &e), E_INVALID);
    scratch_says(&e, "symbolic link");
}

#define T(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    unsetenv("http_proxy");
    const struct CMUnitTest tests[] = {
        T(unpacks_every_format_with_modes_and_times),
        T(refuses_entries_that_leave_their_directory),
        T(refuses_special_files_unless_allowed),
        T(refuses_what_is_no_archive),
        T(reads_a_folder_in_order_with_and_without_a_wrapper),
        T(the_owner_is_who_the_spec_names),
        T(stages_once_and_finds_it_again),
        T(leaves_no_tree_behind_when_the_archive_is_refused),
        T(fetches_resumes_and_proves),
        T(finds_everything_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
