"""`lockstep db` in the hands of the hostile and the unlucky: no crash, no secret, one document of JSON, and it ends."""

import json
import os
import pathlib
import subprocess

import pytest

from db_cli import database, no_holder_lives, on_postgres, on_sqlite, wait_until  # noqa: F401


def refused(database, verb, *more):
    """The message of a refusal that is one document of JSON."""
    done = database.db(verb, *more, "--json")
    assert done.returncode > 0, done.stdout
    return json.loads(done.stdout)["error"]["message"]


@pytest.mark.parametrize("table", ["db_migrations(version bigint, name varchar); INSERT INTO db_migrations VALUES (1, NULL)"])
def test_a_ledger_row_without_a_name_is_refused(database, table):
    database.tables(1)
    for statement in f"CREATE TABLE {table}".split(";"):
        database.read(statement)
    for verb in ("status", "up", "plan"):
        assert "NULL" in refused(database, verb)


def test_a_script_that_ends_its_own_session_is_not_tried_for_ever(on_postgres):
    on_postgres.tables(1)
    on_postgres.write(2, "killer", "SELECT pg_terminate_backend(pg_backend_pid()); CREATE TABLE h (id integer);", "DROP TABLE h;")
    on_postgres.tables(1, first=3)
    done = on_postgres.db("up")
    assert (done.returncode, "end its own session" in done.stderr) == (5, True), done.stderr
    assert on_postgres.ledger() == ["make_t1"]
    assert no_holder_lives(on_postgres)
    on_postgres.write(2, "killer", "CREATE TABLE h (id integer);", "DROP TABLE h;")
    assert on_postgres.db("up").returncode == 0
    assert on_postgres.ledger() == ["make_t1", "killer", "make_t3"]


@pytest.mark.parametrize("verb, more", [("status", ["--dir", "/nonexistent"]), ("plan", ["--to", "77"]), ("up", ["--to", "77"]),
                                        ("down", []), ("up", ["--lossy", "yes"]), ("lock", ["--wait", "5"]),
                                        ("backup", ["--to", "/dev/null"]), ("restore", ["--from", "/dev/null"]),
                                        ("retry", ["nothing"]), ("drift", ["--against", "/nonexistent"])])
def test_a_refusal_is_one_document_of_json(database, verb, more):
    database.tables(1)
    assert database.db("up").returncode == 0
    done = database.db(verb, *more, "--json")
    assert done.returncode > 0
    error = json.loads(done.stdout)["error"]
    assert error["message"] in done.stderr and error["code"] != "", done.stderr


def test_what_stands_there_is_told_also_when_the_call_fails(database):
    database.tables(1)
    database.write(2, "wrong", "CREATE TABLE t1 (id integer);", "")
    status, told = database.json("up", "--lossy", "ok")
    assert (status, told["before"]["applied"], told["after"]) == (1, 0, {"applied": 1, "newest": "make_t1", "version": 1})
    status, told = database.json("up", "--to", "77")
    assert (status, told["state"], told["after"]) == (1, "refused", told["before"])


def test_a_pipe_among_the_migrations_is_refused(on_sqlite):
    on_sqlite.tables(1)
    os.mkfifo(on_sqlite.migrations / "000002_pipe.up.sql")
    assert "neither a file nor a directory" in refused(on_sqlite, "up")
    assert not on_sqlite.path.exists()


def test_a_backup_of_sqlite_that_lacks_its_last_byte_is_refused(on_sqlite):
    on_sqlite.tables(1)
    assert on_sqlite.db("up").returncode == 0
    backup = on_sqlite.folder / "backup"
    assert on_sqlite.db("backup", "--to", backup).returncode == 0
    whole = backup.read_bytes()
    on_sqlite.read("CREATE TABLE newer (id integer)")
    backup.write_bytes(whole[:-1])
    assert "its end is missing" in refused(on_sqlite, "restore", "--from", backup, "--yes")
    assert on_sqlite.read("SELECT count(*) FROM newer") == [(0,)]
    backup.write_bytes(whole)
    assert on_sqlite.db("restore", "--from", backup, "--yes").returncode == 0


def test_a_password_in_the_url_leaves_the_list_of_processes(on_postgres):
    secret = "s3cr%40t%20word"
    on_postgres.url = on_postgres.url.replace("postgres@", f"postgres:{secret}@")
    on_postgres.write(1, "gate", "SELECT pg_sleep(1000);", "")
    run = on_postgres.start("up")
    wait_until("it runs", lambda: any("pg_sleep" in s[3] for s in on_postgres.server.sessions(on_postgres.name)))
    words = [p.read_bytes() for p in pathlib.Path("/proc").glob(f"{run.pid}/cmdline")]
    run.terminate()
    run.terminate()
    assert words and all(secret.encode() not in w and b"lockstep" in w for w in words)
    on_postgres.read("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%sleep(1000%' AND pid <> pg_backend_pid()")


@pytest.mark.skipif(os.geteuid() != 0, reason="a full disk needs a mount")
def test_a_full_disk_below_the_state_directory_ends_the_call_and_leaves_no_lock(database):
    database.tables(1)
    small = database.folder / "state"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", small], check=False).returncode != 0:
        pytest.skip("mounting is not allowed")
    try:
        done = database.db("up")
        assert (done.returncode, "is there room?" in done.stderr or "No space left" in done.stderr) == (1, True), done.stderr
        assert no_holder_lives(database)
        told = json.loads(database.db("lock", "--json").stdout)
        assert (told["lock"]["held"], told["tool_lock"]["held"]) == (False, False)
    finally:
        database.close()
        subprocess.run(["umount", "-l", small], check=True)
    assert database.db("up").returncode == 0
