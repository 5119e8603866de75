/* How connections begin and end: who is trusted, what a failure says, silence, idleness, and
 * strangers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "tests/unit/io/rpc/rpc_world.h"

static void expect_failure(struct world *w, const struct rpc_client_options *o, int code,
                           const char *words)
{
    struct seen s = {.world = w};
    size_t gone = w->gone;
    struct rpc_client *client = world_connect(w, o);
    struct rpc_call *call = rpc_client_call(client, "/t/Echo", &seen_handlers, &s);
    assert_non_null(call);
    world_until(w, &w->gone, gone + 1);
    assert_int_equal(s.closes, 1);
    assert_int_equal(s.status, RPC_UNAVAILABLE);
    if (strstr(w->gone_error.message, words) == NULL || w->gone_error.code != code) {
        fail_msg("\"%s\" (%s) does not say \"%s\"", w->gone_error.message,
                 error_name(w->gone_error.code), words);
    }
    assert_string_equal(s.message, w->gone_error.message);
    assert_null(rpc_client_call(client, "/t/Echo", &seen_handlers, &s));
    rpc_client_close(client);
}

static void expect_echo(struct world *w, const struct rpc_client_options *o)
{
    struct bytes reply = {0};
    struct error e = {0};
    struct rpc_client *client = world_connect(w, o);
    if (rpc_client_unary(client, "/t/Echo", text_bytes("x"), 5000, &w->arena, &reply, &e) < 0) {
        fail_msg("%s", e.message);
    }
    rpc_client_close_wait(client);
}

static void says_that_nobody_listens(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    rpc_server_stop(w->server, 0, NULL, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    w->server = NULL;
    expect_failure(w, &o, E_UNAVAILABLE, "connection refused; is the controller running there");
}

static void says_that_a_name_is_not_known(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    o.host = "no-such-name.invalid";
    expect_failure(w, &o, E_NOT_FOUND, "the name is not known");
}

static void finds_a_server_by_name(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    o.host = "localhost";
    o.server_name = "127.0.0.1";
    expect_echo(w, &o);
}

static void refuses_a_controller_of_another_ca(void **state)
{
    struct world *w = *state;
    struct pki_identity other = {0};
    struct error e = {0};
    world_serve(w);
    assert_int_equal(pki_make_ca(&w->arena, "Lockstep CA", &other, &e), 0);
    struct rpc_client_options o = world_options(w);
    o.ca_pem = other.certificate_pem;
    expect_failure(w, &o, E_DENIED, "certificate is not signed by the CA this agent enrolled with");
    o.self = "command";
    expect_failure(w, &o, E_DENIED, "the CA this command enrolled with");
}

static void refuses_a_certificate_for_another_name(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    o.server_name = "elsewhere.test";
    expect_failure(w, &o, E_DENIED, "for another name");
    o.server_name = "127.0.0.2";
    expect_failure(w, &o, E_DENIED, "for another name");
}

static void trusts_a_pinned_ca_and_no_other(void **state)
{
    struct world *w = *state;
    char fingerprint[PKI_FINGERPRINT_BYTES];
    struct error e = {0};
    world_serve(w);
    assert_int_equal(pki_fingerprint(w->ca.certificate_pem, fingerprint, &e), 0);
    struct rpc_client_options o = world_options(w);
    o.ca_pem = NULL;
    o.certificate_pem = o.key_pem = NULL;
    o.ca_fingerprint = fingerprint;
    o.server_name = "controller.test";
    expect_echo(w, &o);
    assert_string_equal(w->last_peer, "-|-|controller.test|-");
    o.server_name = "elsewhere.test"; /* the pin does not replace the name */
    expect_failure(w, &o, E_DENIED, "for another name");
    o.server_name = "controller.test";
    fingerprint[0] = fingerprint[0] == 'a' ? 'b' : 'a';
    expect_failure(w, &o, E_DENIED, "does not have the fingerprint");
    /* The fingerprint of the server's own certificate is no CA's. */
    assert_int_equal(pki_fingerprint(w->server_identity.certificate_pem, fingerprint, &e), 0);
    expect_failure(w, &o, E_DENIED, "does not have the fingerprint");
}

static void does_not_trust_a_pinned_ca_that_did_not_sign(void **state)
{
    struct world *w = *state;
    static const char *const addresses[] = {"127.0.0.1"};
    struct pki_server_options names = {.addresses = addresses, .address_count = 1};
    struct pki_identity evil_ca = {0};
    struct pki_identity evil = {0};
    struct error e = {0};
    char fingerprint[PKI_FINGERPRINT_BYTES];
    assert_int_equal(pki_make_ca(&w->arena, "Lockstep CA", &evil_ca, &e), 0);
    assert_int_equal(pki_make_server(&w->arena, &evil_ca, &names, &evil, &e), 0);
    assert_int_equal(pki_fingerprint(w->ca.certificate_pem, fingerprint, &e), 0);
    /* An impostor shows his own certificate and, beside it, the true CA's, which is public. */
    w->options.chain_pem =
        arena_printf(&w->arena, "%s%s", evil.certificate_pem, w->ca.certificate_pem);
    w->options.key_pem = evil.key_pem;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    o.ca_pem = NULL;
    o.ca_fingerprint = fingerprint;
    expect_failure(w, &o, E_DENIED, "does not have the fingerprint");
}

static void refuses_a_client_of_another_ca(void **state)
{
    struct world *w = *state;
    struct pki_subject subject = {.name = "app-1", .role = "admin", .valid_seconds = 60};
    struct pki_identity other = {0};
    struct pki_identity stranger = {0};
    struct error e = {0};
    world_serve(w);
    assert_int_equal(pki_make_ca(&w->arena, "Lockstep CA", &other, &e), 0);
    assert_int_equal(pki_make_client(&w->arena, &other, &subject, &stranger, &e), 0);
    struct rpc_client_options o = world_options(w);
    o.certificate_pem = stranger.certificate_pem;
    o.key_pem = stranger.key_pem;
    expect_failure(w, &o, E_DENIED, "the controller refused the certificate of this agent");
    assert_int_equal(w->connected, 0);
    assert_int_equal(w->opened, 0);
    assert_non_null(strstr(w->trouble, "the client's certificate was refused"));
}

static void refuses_a_server_certificate_as_a_client(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    o.certificate_pem = w->server_identity.certificate_pem;
    o.key_pem = w->server_identity.key_pem;
    expect_failure(w, &o, E_DENIED, "refused the certificate of this agent");
}

static void takes_clients_without_a_certificate(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    o.certificate_pem = o.key_pem = NULL;
    o.token = "t0ken";
    expect_echo(w, &o);
    assert_string_equal(w->last_peer, "-|-|-|t0ken");
}

static void serves_a_renewed_certificate(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"renewed.test"};
    struct pki_server_options server = {.dns_names = names, .dns_count = 1};
    struct pki_identity renewed = {0};
    struct error e = {0};
    world_serve(w);
    assert_int_equal(pki_make_server(&w->arena, &w->ca, &server, &renewed, &e), 0);
    assert_int_equal(
        rpc_server_set_certificate(w->server, renewed.certificate_pem, w->agent.key_pem, &e),
        E_INVALID);
    struct rpc_client_options o = world_options(w);
    o.server_name = "controller.test";
    expect_echo(w, &o);
    assert_int_equal(
        rpc_server_set_certificate(w->server, renewed.certificate_pem, renewed.key_pem, &e), 0);
    o.server_name = "renewed.test";
    expect_echo(w, &o);
}

static void refuses_wrong_options_at_once(void **state)
{
    struct world *w = *state;
    struct rpc_client *client = NULL;
    struct rpc_server *server = NULL;
    struct error e = {0};
    world_serve(w);
    struct rpc_client_options good = world_options(w);
    struct rpc_client_options o = good;
    o.ca_pem = NULL;
    assert_int_equal(rpc_client_new(&w->loop, &o, NULL, NULL, &client, &e), E_INVALID);
    o = good;
    o.ca_pem = "no certificate";
    assert_int_equal(rpc_client_new(&w->loop, &o, NULL, NULL, &client, &e), E_INVALID);
    o = good;
    o.key_pem = w->server_identity.key_pem;
    assert_int_equal(rpc_client_new(&w->loop, &o, NULL, NULL, &client, &e), E_INVALID);
    assert_non_null(strstr(e.message, "does not belong"));
    o = good;
    o.token = "two words\r\nx: y";
    assert_int_equal(rpc_client_new(&w->loop, &o, NULL, NULL, &client, &e), E_INVALID);
    o = good;
    o.ca_pem = NULL;
    o.ca_fingerprint = "AB";
    assert_int_equal(rpc_client_new(&w->loop, &o, NULL, NULL, &client, &e), E_INVALID);
    assert_null(client);
    struct rpc_server_options taken = w->options;
    taken.port = rpc_server_port(w->server);
    assert_int_equal(rpc_server_start(&w->loop, &taken, NULL, 0, NULL, &server, &e), E_EXISTS);
    assert_non_null(strstr(e.message, "another program has it"));
    assert_null(server);
}

/* ---- peers that are no gRPC peers ---- */

struct raw {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    const char *text;
    size_t ended;
    size_t closed;
    char bytes[4096];
};

static void raw_closed(uv_handle_t *handle)
{
    struct raw *r = handle->data;
    r->closed = 1;
}

static void raw_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct raw *r = handle->data;
    (void)suggested;
    *buffer = uv_buf_init(r->bytes, sizeof(r->bytes));
}

static void raw_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct raw *r = stream->data;
    (void)buffer;
    if (n < 0) {
        r->ended = 1;
        uv_close((uv_handle_t *)stream, raw_closed);
    }
}

static void raw_connected(uv_connect_t *connect, int status)
{
    struct raw *r = CONTAINER_OF(connect, struct raw, connect);
    assert_int_equal(status, 0);
    uv_read_start((uv_stream_t *)&r->tcp, raw_alloc, raw_read);
    if (r->text != NULL) {
        uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)r->text, (unsigned int)strlen(r->text));
        uv_write(&r->write, (uv_stream_t *)&r->tcp, &buffer, 1, NULL);
    }
}

static void raw_start(struct world *w, struct raw *r, const char *text)
{
    struct sockaddr_in address;
    *r = (struct raw){.text = text};
    uv_ip4_addr("127.0.0.1", rpc_server_port(w->server), &address);
    uv_tcp_init(&w->loop, &r->tcp);
    r->tcp.data = r;
    assert_int_equal(
        uv_tcp_connect(&r->connect, &r->tcp, (const struct sockaddr *)&address, raw_connected), 0);
}

static void closes_plaintext_and_garbage(void **state)
{
    struct world *w = *state;
    struct raw r;
    world_serve(w);
    raw_start(w, &r, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    world_until(w, &r.closed, 1);
    assert_non_null(strstr(w->trouble, "does not speak TLS"));
    raw_start(w, &r, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    world_until(w, &r.closed, 1);
    raw_start(w, &r,
              "\x16\x03\x01\xff\xff garbage that is no handshake at all, however long it is");
    world_until(w, &r.closed, 1);
    struct rpc_client_options o = world_options(w);
    expect_echo(w, &o); /* and nobody else is disturbed */
}

static void closes_a_handshake_that_never_ends(void **state)
{
    struct world *w = *state;
    struct raw r;
    w->options.limits.handshake_ms = 150;
    world_serve(w);
    raw_start(w, &r, NULL);
    world_until(w, &r.closed, 1);
    assert_non_null(strstr(w->trouble, "150 ms"));
    raw_start(w, &r, "\x16\x03\x01\x02"); /* half a record */
    world_until(w, &r.closed, 1);
}

static void closes_connections_past_the_limit(void **state)
{
    struct world *w = *state;
    struct raw r;
    w->options.limits.connections_max = 1;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    struct rpc_client *client = world_connect(w, &o);
    world_until(w, &w->connected, 1);
    raw_start(w, &r, NULL);
    world_until(w, &r.closed, 1);
    assert_int_equal(w->gone, 0);
    rpc_client_close_wait(client);
}

static void lets_idle_connections_go(void **state)
{
    struct world *w = *state;
    w->options.limits.idle_ms = 100;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    struct rpc_client *client = world_connect(w, &o);
    world_until(w, &w->connected, 1);
    struct seen s = {.world = w};
    struct rpc_call *call = rpc_client_call(client, "/t/Hang", &seen_handlers, &s);
    assert_non_null(call);
    world_run_ms(w, 300);
    assert_int_equal(w->gone, 0); /* a call keeps it */
    rpc_call_cancel(call);
    world_until(w, &w->gone, 1);
    assert_int_equal(w->gone_error.code, E_UNAVAILABLE);
    rpc_client_close(client);
}

static void keeps_a_quiet_connection_with_pings(void **state)
{
    struct world *w = *state;
    w->options.limits.keepalive_ms = 100;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    struct rpc_client *client = world_connect(w, &o);
    world_until(w, &w->connected, 1);
    world_run_ms(w, 500);
    assert_int_equal(w->gone, 0);
    rpc_client_close_wait(client);
}

static void gives_up_on_a_server_that_never_answers(void **state)
{
    struct world *w = *state;
    uv_tcp_t silent;
    struct sockaddr_in address;
    int len = sizeof(address);
    world_serve(w);
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(&w->loop, &silent);
    uv_tcp_bind(&silent, (const struct sockaddr *)&address, 0);
    uv_tcp_getsockname(&silent, (struct sockaddr *)&address, &len);
    uv_os_fd_t fd = -1;
    uv_fileno((uv_handle_t *)&silent, &fd);
    assert_int_equal(listen(fd, 8),
                     0); /* the kernel completes the handshake of TCP, nobody speaks TLS */
    struct rpc_client_options o = world_options(w);
    o.port = ntohs(address.sin_port);
    o.connect_ms = 150;
    expect_failure(w, &o, E_TIMEOUT, "150 ms");
    uv_close((uv_handle_t *)&silent, NULL);
    uv_run(&w->loop, UV_RUN_NOWAIT);
}

static void can_be_closed_at_every_moment(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    for (int turns = 0; turns < 12; turns++) {
        struct rpc_client *client = world_connect(w, &o);
        struct seen s = {.world = w};
        size_t gone = w->gone;
        assert_non_null(rpc_client_call(client, "/t/Hang", &seen_handlers, &s));
        for (int i = 0; i < turns; i++) {
            uv_run(&w->loop, UV_RUN_NOWAIT);
        }
        rpc_client_close_wait(client);
        assert_int_equal(w->gone, gone + 1);
        assert_int_equal(s.closes, 1);
        assert_int_equal(s.status, RPC_CANCELLED);
    }
    o.host = "localhost"; /* while the name is looked up */
    o.server_name = "127.0.0.1";
    struct rpc_client *client = world_connect(w, &o);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    rpc_client_close_wait(client);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        CASE(says_that_nobody_listens),
        CASE(says_that_a_name_is_not_known),
        CASE(finds_a_server_by_name),
        CASE(refuses_a_controller_of_another_ca),
        CASE(refuses_a_certificate_for_another_name),
        CASE(trusts_a_pinned_ca_and_no_other),
        CASE(does_not_trust_a_pinned_ca_that_did_not_sign),
        CASE(refuses_a_client_of_another_ca),
        CASE(refuses_a_server_certificate_as_a_client),
        CASE(takes_clients_without_a_certificate),
        CASE(serves_a_renewed_certificate),
        CASE(refuses_wrong_options_at_once),
        CASE(closes_plaintext_and_garbage),
        CASE(closes_a_handshake_that_never_ends),
        CASE(closes_connections_past_the_limit),
        CASE(lets_idle_connections_go),
        CASE(keeps_a_quiet_connection_with_pings),
        CASE(gives_up_on_a_server_that_never_answers),
        CASE(can_be_closed_at_every_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
