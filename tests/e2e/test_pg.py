"""The throwaway PostgreSQL of the other tests keeps its own promises."""
import contextlib
import os
import socket
import time

import pytest

from pg import PgError, PostgresServer, free_port

psycopg2 = pytest.importorskip("psycopg2")


@pytest.fixture(scope="module")
def server():
    with PostgresServer() as running:
        yield running


def test_query_returns_rows_as_text(server):
    rows = server.query("SELECT 1, 'a' UNION ALL SELECT 2, NULL ORDER BY 1")
    assert rows == [["1", "a"], ["2", ""]]
    assert server.query("SELECT 1 WHERE false") == []
    assert server.value("SELECT 'two\nlines|and a bar'") == "two\nlines|and a bar"
    with pytest.raises(PgError, match="nowhere"):
        server.query("SELECT * FROM nowhere")


def test_listens_on_loopback_only(server):
    assert server.value("SHOW listen_addresses") == "127.0.0.1"
    assert os.path.exists(f"{server.socket_dir}/.s.PGSQL.{server.port}")


def test_two_servers_do_not_meet(server):
    with PostgresServer() as other:
        assert other.port != server.port
        other.create_database("only_here")
        assert server.value("SELECT count(*) FROM pg_database WHERE datname = 'only_here'") == "0"


@pytest.mark.parametrize("mode", ["fast", "immediate", "kill"])
def test_keeps_port_and_data_over_a_restart(server, mode):
    name = f"kept_{mode}"
    server.create_database(name)
    port, pid = server.port, server.pid
    with contextlib.closing(server.connect(name)) as session:
        server.restart(mode)
        with pytest.raises(psycopg2.OperationalError):
            session.cursor().execute("SELECT 1")
    assert (server.port, server.pid != pid) == (port, True)
    assert server.value(f"SELECT count(*) FROM pg_database WHERE datname = '{name}'") == "1"


def test_a_wrong_password_fails_and_the_right_one_does_not():
    with PostgresServer(password="owner's secret/1") as server:
        server.create_role("app", "right:@'1")
        server.create_database("app", owner="app")
        server.connect("app", "app", "right:@'1").close()
        server.connect("app").close()
        for wrong in ("wrong", None):
            with pytest.raises(psycopg2.OperationalError, match="password"):
                server.connect("app", "app", wrong)


def test_dump_schema_is_repeatable_and_leaves_lockstep_out(server):
    server.create_database("dumped")
    server.query("CREATE TABLE seen (id int); CREATE SCHEMA lockstep;"
                 "CREATE TABLE lockstep.evidence (id int)", "dumped")
    first = server.dump_schema("dumped")
    assert first == server.dump_schema("dumped")
    assert "CREATE TABLE public.seen" in first
    assert "lockstep" not in first and "restrict" not in first.replace("RESTRICT", "")
    assert "lockstep.evidence" in server.dump_schema("dumped", leave_out=())
    server.query("ALTER TABLE seen ADD COLUMN more text", "dumped")
    assert server.dump_schema("dumped") != first


def test_dump_schema_can_ignore_the_order_of_columns_and_nothing_else(server):
    server.create_database("ordered")
    server.query("CREATE TABLE one (a int, b text, c int)", "ordered")
    first = [server.dump_schema("ordered", column_order=order) for order in (True, False)]
    server.query("ALTER TABLE one DROP COLUMN b; ALTER TABLE one ADD COLUMN b text", "ordered")
    assert server.dump_schema("ordered") != first[0]
    assert server.dump_schema("ordered", column_order=False) == first[1]
    server.query("ALTER TABLE one ALTER COLUMN b SET NOT NULL", "ordered")
    assert server.dump_schema("ordered", column_order=False) != first[1]


def test_sessions_are_seen_by_their_application_name(server):
    server.create_database("watched")
    assert server.sessions("watched") == []
    session = server.connect("watched")
    session.cursor().execute("SET application_name = 'someone'")
    assert [row[1] for row in server.sessions("watched")] == ["someone"]
    session.close()
    server.drop_database("watched")


def test_a_taken_fixed_port_is_an_error_that_names_it():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        server = PostgresServer(port=port)
        try:
            with pytest.raises(PgError, match=str(port)):
                server.start()
        finally:
            server.close()


def test_close_leaves_neither_process_nor_directory():
    server = PostgresServer(port=free_port()).start()
    pid = server.pid
    server.close()
    server.close()
    assert not os.path.exists(server.dir)
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not os.path.exists(f"/proc/{pid}")
