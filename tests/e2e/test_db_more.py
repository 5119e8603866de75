"""`lockstep db` lock, backup, restore, drift, saved plans, the other formats, and what a person settles."""

import base64
import contextlib
import hashlib
import json
import signal
import sqlite3
import subprocess
import time

import pytest

from db_cli import (LOCKSTEP, database, no_holder_lives, on_postgres, on_sqlite, wait_until)  # noqa: F401


# ---- lock, backup ----

def test_lock_names_a_run_and_the_tool_s_session(on_postgres):
    on_postgres.tables(1)
    free = on_postgres.db("lock")
    assert (free.returncode, free.stdout) == (0, "lockstep   free\nmorph      free\n")
    on_postgres.read("CREATE TABLE db_lock (id varchar(64) PRIMARY KEY, expireat bigint)")
    on_postgres.read(f"INSERT INTO db_lock VALUES ('mm-lock-key', {int(time.time()) + 3600})")
    with contextlib.closing(on_postgres.server.connect(on_postgres.name)) as other:
        other.cursor().execute("SET application_name = 'mattermost-7'")
        status, told = on_postgres.json("lock")
    assert (status, told["lock"]["held"], told["tool_lock"]["held"]) == (0, False, True)
    assert "mattermost-7" in told["tool_lock"]["words"]


def test_a_killed_call_s_lock_is_named_and_can_be_let_go(on_postgres):
    on_postgres.write(1, "slow", "SELECT pg_sleep(1000)", "")
    run = on_postgres.start("up")
    wait_until("it sleeps", lambda: any("pg_sleep" in s[3] for s in on_postgres.server.sessions(on_postgres.name)))
    status, told = on_postgres.json("lock")
    assert (told["lock"]["held"], told["tool_lock"]["held"]) == (True, True)
    assert "run db-" in told["lock"]["words"] and "run db-" in told["tool_lock"]["words"]
    # While it is at work it is left alone.
    done = on_postgres.db("lock", "--let-go")
    assert (done.returncode, str(run.pid) in done.stderr) == (1, True)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert on_postgres.json("lock")[1]["lock"]["held"]  # its statement is still at work on the server
    done = on_postgres.db("lock", "--let-go")
    assert (done.returncode, done.stdout) == (0, "lockstep   free\nmorph      free\n"), done.stderr
    assert on_postgres.read("SELECT * FROM db_lock") == []
    assert not any("pg_sleep" in s[3] for s in on_postgres.server.sessions(on_postgres.name))
    assert no_holder_lives(on_postgres)


def test_a_killed_call_s_lock_goes_by_itself_when_nothing_of_it_is_at_work(on_postgres):
    on_postgres.write(1, "slow", "SELECT pg_sleep(1000)", "")
    run = on_postgres.start("up")
    wait_until("it sleeps", lambda: any("pg_sleep" in s[3] for s in on_postgres.server.sessions(on_postgres.name)))
    run.send_signal(signal.SIGKILL)
    run.communicate()
    on_postgres.read("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
                     " OR query LIKE 'BEGIN; %pg_sleep(1000)%'")
    wait_until("the lock is free", lambda: not on_postgres.json("lock")[1]["lock"]["held"])
    assert on_postgres.read("SELECT * FROM db_lock") == []
    wait_until("its holder has ended", lambda: no_holder_lives(on_postgres))
    on_postgres.write(1, "slow", "CREATE TABLE quick (id integer)", "")
    assert on_postgres.db("up").returncode == 0
    assert on_postgres.ledger() == ["slow"]


def test_a_backup_is_whole_and_never_written_over(database):
    database.tables(2)
    assert database.db("up").returncode == 0
    file = database.folder / "a.backup"
    status, told = database.json("backup", "--to", file)
    assert (status, told["path"], told["bytes"]) == (0, str(file), file.stat().st_size)
    assert told["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    if database.url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(file)) as copy:
            tables = {row[0] for row in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    else:
        from pg import bin_dir

        listed = subprocess.run([f"{bin_dir()}/pg_restore", "-l", file], capture_output=True, text=True, check=True)
        tables = {line.split()[5] for line in listed.stdout.splitlines() if " TABLE public " in line}
    assert {"t1", "t2", "db_migrations"} <= tables and not any("lockstep" in t for t in tables)
    done = database.db("backup", "--to", file)
    assert (done.returncode, "never written over" in done.stderr) == (1, True)
    assert [p.name for p in database.folder.glob(".*")] == []


# ---- drift, saved plans ----

def test_drift_says_what_differs_from_the_last_checkpoint(database):
    database.tables(2)
    assert database.db("up").returncode == 0
    status, told = database.json("drift")
    assert (status, told["drift"], told["differences"], told["recorded"]) == (0, False, [], False)
    database.read("CREATE TABLE by_hand (id integer)")
    done = database.db("drift")
    assert (done.returncode, "by_hand" in done.stdout, "1 differences" in done.stderr) == (6, True, True)
    database.read("DROP TABLE by_hand")
    file = database.folder / "schema.txt"
    assert database.db("drift", "-o", file).returncode == 0
    database.read("ALTER TABLE t1 ADD COLUMN extra integer")
    status, told = database.json("drift", "--against", file)
    assert (status, told["against"], [("extra" in w) for w in told["differences"]]) == (6, str(file), [True])
    # What is there now may be made the rule.
    assert database.db("drift", "--record").returncode == 0
    assert database.db("drift").returncode == 0
    done = database.db("drift", "--against", "/nowhere/schema.txt")
    assert (done.returncode, "there is no file" in done.stderr) == (1, True)
    assert no_holder_lives(database)


def test_drift_records_where_nothing_is_recorded(on_postgres):
    on_postgres.read("CREATE TABLE mine (id integer)")
    status, told = on_postgres.json("drift")
    assert (status, told["recorded"], told["against"]) == (0, True, "")
    status, told = on_postgres.json("drift")
    assert (status, told["recorded"], told["drift"]) == (0, False, False)


def test_a_plan_is_exported_with_digests_and_runs_in_place_of_the_directory(database):
    database.tables(5)
    plan = database.folder / "way.sql"
    words = ["db", "export-plan", "--format", "morph", "--dir", database.migrations]
    done = subprocess.run([LOCKSTEP, *words, "--from", "1", "--to", "4", "-o", plan], capture_output=True, text=True,
                          check=False)
    assert (done.returncode, done.stdout) == (0, f"{plan}: 3 up, from 1 to 4\n"), done.stderr
    text = plan.read_text()
    sql = "CREATE TABLE t3 (id integer PRIMARY KEY);\n"
    assert f"sha256={hashlib.sha256(sql.encode()).hexdigest()} name=000003_make_t3.up.sql\n{sql}" in text
    assert "-- runs 000002_make_t2.up.sql\n-- runs 000003_make_t3.up.sql\n-- runs 000004_make_t4.up.sql\n" in text
    assert "t5" not in text
    database.FOLDER = ["status"]
    database.FORMAT = []
    assert database.db("up", "--plan", plan).returncode == 0
    assert database.ledger() == ["make_t1", "make_t2", "make_t3", "make_t4"]
    assert database.db("down", "--plan", plan, "--lossy", "ok").returncode == 0
    assert database.ledger() == ["make_t1"]
    plan.write_text(text.replace("CREATE TABLE t3 (id", "CREATE TABLE t3 (no"))
    done = database.db("up", "--plan", plan)
    assert (done.returncode, "000003_make_t3.up.sql was changed" in done.stderr) == (1, True)
    plan.write_text(text[:len(text) // 2])
    assert database.db("up", "--plan", plan).returncode == 1


def test_mattermost_s_form_is_written_and_read(on_postgres):
    on_postgres.tables(4)
    assert on_postgres.db("up").returncode == 0
    plan = on_postgres.folder / "migration_plan_4_2.json"
    done = subprocess.run([LOCKSTEP, "db", "export-plan", "--format", "morph", "--dir", on_postgres.migrations, "--from",
                           "4", "--to", "2", "--mattermost", "-o", plan], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(plan.read_text())
    assert told["Version"] == 1
    assert [(m["RawName"], m["Direction"], base64.b64decode(m["Bytes"])) for m in told["Migrations"]] == [
        ("000004_make_t4.down.sql", "down", b"DROP TABLE t4;\n"), ("000003_make_t3.down.sql", "down", b"DROP TABLE t3;\n")]
    assert [m["RawName"] for m in told["RevertMigrations"]] == ["000003_make_t3.up.sql", "000004_make_t4.up.sql"]
    on_postgres.FOLDER = on_postgres.FORMAT = []
    assert on_postgres.db("down", "--plan", plan, "--lossy", "ok").returncode == 0
    assert on_postgres.ledger() == ["make_t1", "make_t2"]
    assert on_postgres.db("up", "--plan", plan).returncode == 0
    assert on_postgres.ledger() == ["make_t1", "make_t2", "make_t3", "make_t4"]


# ---- the other formats ----

def write_goose(folder, count):
    for i in range(1, count + 1):
        (folder / f"{i:05d}_g{i}.sql").write_text(
            f"-- +goose Up\nCREATE TABLE g{i} (id integer);\n\n-- +goose Down\nDROP TABLE g{i};\n")


def write_sourcegraph(folder, count):
    for i in range(1, count + 1):
        one = folder / f"{1000 + i}_s{i}"
        one.mkdir()
        (one / "up.sql").write_text(f"CREATE TABLE s{i} (id integer);\n")
        (one / "down.sql").write_text(f"DROP TABLE s{i};\n")
        (one / "metadata.yaml").write_text(f"name: s{i}\n" + (f"parents: [{999 + i}]\n" if i > 1 else ""))


@pytest.mark.parametrize("format, write, numbers, ledger, after_2", [
    ("golang-migrate", lambda folder, count: [(folder / f"{i}_x.{way}.sql").write_text(sql) for i in range(1, count + 1)
                                              for way, sql in (("up", f"CREATE TABLE x{i} (id integer);"),
                                                               ("down", f"DROP TABLE x{i};"))],
     ["2", "4"], "SELECT version, dirty FROM schema_migrations", [["2", "f"]]),
    ("goose", write_goose, ["2", "4"], "SELECT version_id, is_applied FROM goose_db_version ORDER BY id",
     [["0", "t"], ["1", "t"], ["2", "t"]]),
    ("sourcegraph", write_sourcegraph, ["1002", "1004"],
     "SELECT version, up, success FROM migration_logs ORDER BY id", [["1001", "t", "t"], ["1002", "t", "t"]]),
], ids=["golang-migrate", "goose", "sourcegraph"])
def test_the_other_formats_go_up_and_down(on_postgres, format, write, numbers, ledger, after_2):
    write(on_postgres.migrations, 4)
    on_postgres.FORMAT = []
    on_postgres.FOLDER = []
    said = ("--format", format, "--dir", on_postgres.migrations)
    done = on_postgres.db("up", *said, "--to", numbers[0])
    assert done.returncode == 0, done.stderr
    assert on_postgres.read(ledger) == after_2
    assert on_postgres.db("up", *said).returncode == 0
    status, told = on_postgres.json("status", *said)
    assert (status, told["applied_count"], told["newest"], told["pending"]) == (0, 4, numbers[1], [])
    done = on_postgres.db("down", *said, "--to", numbers[0], "--lossy", "ok")
    assert done.returncode == 0, done.stderr
    done = on_postgres.db("down", *said, "--to", "0", "--lossy", "ok")
    assert done.returncode == 0, done.stderr
    assert on_postgres.json("status", *said)[1]["applied_count"] == 0
    assert on_postgres.read("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename ~ '^[xgs][0-9]'") == []


def test_go_code_is_refused_with_the_place_to_stop_at(on_postgres):
    write_goose(on_postgres.migrations, 2)
    (on_postgres.migrations / "00003_code.go").write_text("package migrations\n")
    on_postgres.FORMAT = []
    said = ("--format", "goose")
    done = on_postgres.db("up", *said)
    assert done.returncode == 1
    assert "00003_code.go is not SQL" in done.stderr and "--to 2" in done.stderr
    assert on_postgres.db("up", *said, "--to", "2").returncode == 0


# ---- what is begun and not ended ----

@pytest.fixture
def half_done(on_postgres):
    """An `up` that was killed in the middle of a statement that no transaction holds together with the ledger."""
    on_postgres.tables(1)
    on_postgres.write(1, "make_t1", "CREATE TABLE t1 (id integer PRIMARY KEY); CREATE PROCEDURE halfway() LANGUAGE plpgsql "
                      "AS $$ BEGIN INSERT INTO t1 VALUES (1); COMMIT; PERFORM pg_sleep(1000); END $$;", "DROP TABLE t1;")
    on_postgres.write(2, "half", "-- morph:nontransactional\nCALL halfway();\n", "DELETE FROM t1;")
    on_postgres.tables(1, first=3)
    run = on_postgres.start("up")
    wait_until("it sleeps", lambda: any("CALL" in s[3] for s in on_postgres.server.sessions(on_postgres.name)))
    run.send_signal(signal.SIGKILL)
    run.communicate()
    done = on_postgres.db("up")
    assert done.returncode == 3, done.stderr
    assert "000002_half.up.sql" in done.stderr and "lockstep db retry, mark-applied or mark-reverted half" in done.stderr
    assert on_postgres.ledger() == ["make_t1"]
    return on_postgres


def test_what_may_have_run_is_asked_about_and_not_run_again(half_done):
    status, told = half_done.json("status")
    assert status == 3
    assert [(u["id"], u["direction"], u["ours"]) for u in told["unsettled"]] == [("half", "up", True)]
    assert "CALL halfway()" in told["unsettled"][0]["statement"]
    text = half_done.db("status").stdout
    assert "it stopped at 000002_half.up.sql:2: CALL halfway()" in text and "  mark-reverted half\n" in text
    # Asked again, the answer is not made up.
    assert half_done.db("up").returncode == 3
    assert half_done.read("SELECT * FROM t1") == [["1"]]


def test_mark_applied_goes_on_behind_it(half_done):
    done = half_done.db("mark-applied", "2")
    assert (done.returncode, "settled (mark-applied)" in done.stdout) == (0, True), done.stderr
    assert half_done.db("up").returncode == 0
    assert half_done.ledger() == ["make_t1", "half", "make_t3"]
    assert half_done.read("SELECT * FROM t1") == [["1"]]


@pytest.mark.parametrize("answer", ["retry", "mark-reverted"])
def test_retry_and_mark_reverted_let_it_run_from_its_beginning(half_done, answer):
    assert half_done.db(answer, "half").returncode == 0
    assert half_done.ledger() == ["make_t1"]
    half_done.write(2, "half", "-- morph:nontransactional\nINSERT INTO t1 VALUES (2);\n", "DELETE FROM t1 WHERE id = 2;")
    done = half_done.db("up")
    assert done.returncode == 0, done.stderr
    assert half_done.ledger() == ["make_t1", "half", "make_t3"]
    assert half_done.read("SELECT * FROM t1 ORDER BY 1") == [["1"], ["2"]]


def test_down_is_an_answer_too(half_done):
    done = half_done.db("down", "--to", "1", "--lossy", "ok")
    assert done.returncode == 0, done.stderr
    assert (half_done.ledger(), half_done.read("SELECT * FROM t1")) == (["make_t1"], [])
    assert half_done.db("status").returncode == 0


def test_what_is_not_open_cannot_be_settled(on_postgres):
    on_postgres.tables(1)
    assert on_postgres.db("up").returncode == 0
    done = on_postgres.db("retry", "1")
    assert (done.returncode, "stands open" in done.stderr) == (1, True)
    assert on_postgres.db("retry", "9").returncode == 1
    assert no_holder_lives(on_postgres)


def test_restore_asks_and_then_makes_the_database_what_the_backup_holds(database):
    database.tables(2)
    assert database.db("up").returncode == 0
    database.read("INSERT INTO t1 VALUES (7)")
    file = database.folder / "a.backup"
    assert database.db("backup", "--to", file).returncode == 0
    fence = database.json("status")[1]["fence"]
    database.read("DELETE FROM t1")
    database.tables(1, first=3)
    assert database.db("up").returncode == 0
    done = database.db("restore", "--from", file)
    assert (done.returncode, "--yes" in done.stderr) == (2, True)
    assert database.ledger() == ["make_t1", "make_t2", "make_t3"]
    done = database.db("restore", "--from", file, "--yes")
    assert done.returncode == 0, done.stderr
    assert database.ledger() == ["make_t1", "make_t2"]
    assert [str(row[0]) for row in database.read("SELECT id FROM t1")] == ["7"]
    assert database.json("status")[1]["fence"] > fence
    broken = database.folder / "broken.backup"
    broken.write_bytes(file.read_bytes()[:1000])
    done = database.db("restore", "--from", broken, "--yes")
    assert (done.returncode, database.ledger()) == (1, ["make_t1", "make_t2"]), done.stderr
    assert database.db("up").returncode == 0
    assert no_holder_lives(database)


def test_a_plan_says_what_its_locks_make_wait(on_postgres):
    on_postgres.tables(1)
    assert on_postgres.db("up").returncode == 0
    on_postgres.write(2, "widen", "ALTER TABLE t1 ALTER COLUMN id TYPE bigint;", "")
    told = on_postgres.db("plan").stdout
    assert "t1: ACCESS EXCLUSIVE lock, waited for by readers and writers; may write the whole table anew" in told
    assert "t1: ACCESS EXCLUSIVE" in on_postgres.json("plan")[1]["migrations"][0]["locks"][0]
