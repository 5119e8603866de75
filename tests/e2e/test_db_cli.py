"""`lockstep db` status, plan, up and down: migrations without a controller, on real servers."""

import contextlib
import signal
import subprocess
import threading
import time

import pytest

from db_cli import (Database, LOCKSTEP, PATIENCE_S, database, no_holder_lives, on_postgres, on_sqlite, wait_until)  # noqa: F401


# ---- up, down, status, plan ----

def test_up_runs_what_is_pending_and_says_each(database):
    database.tables(3)
    done = database.db("up")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split(" (")[0] for line in lines[:3]] == [f"up  {i:06d}_make_t{i}.up.sql" for i in (1, 2, 3)]
    assert lines[3].endswith("3 applied, the newest is 3 make_t3")
    assert database.ledger() == ["make_t1", "make_t2", "make_t3"]
    assert database.read("SELECT count(*) FROM t3") in ([(0,)], [["0"]])
    again = database.db("up")
    assert (again.returncode, "nothing to do" in again.stdout) == (0, True)
    assert no_holder_lives(database)


def test_up_to_a_number_or_a_name_and_down_to_a_number(database):
    database.tables(5)
    assert database.db("up", "--to", "2").returncode == 0
    assert database.ledger() == ["make_t1", "make_t2"]
    assert database.db("up", "--to", "make_t4").returncode == 0
    assert database.ledger() == [f"make_t{i}" for i in range(1, 5)]
    # A way up never takes anything back.
    assert "nothing to do" in database.db("up", "--to", "1").stdout
    done = database.db("down", "--to", "2", "--lossy", "ok")
    assert [line.split(" (")[0] for line in done.stdout.splitlines()[:2]] == \
        ["down  000004_make_t4.down.sql", "down  000003_make_t3.down.sql"]
    assert (done.returncode, database.ledger()) == (0, ["make_t1", "make_t2"])


def test_down_to_0_takes_everything_away(database):
    database.tables(4)
    before = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE 't_'" \
        if database.url.startswith("postgres") else "SELECT count(*) FROM sqlite_master WHERE name LIKE 't_'"
    assert database.db("up").returncode == 0
    assert str(database.read(before)[0][0]) == "4"
    assert database.db("down", "--to", "0", "--lossy", "ok").returncode == 0
    assert (database.ledger(), str(database.read(before)[0][0])) == ([], "0")


def test_up_and_down_end_with_one_document_of_json(database):
    database.tables(2)
    status, told = database.json("up")
    assert (status, told["state"], told["direction"], told["error"]) == (0, "done", "up", None)
    assert [(m["id"], m["version"], m["file"], m["direction"], m["state"]) for m in told["migrations"]] == [
        ("make_t1", 1, "000001_make_t1.up.sql", "up", "done"), ("make_t2", 2, "000002_make_t2.up.sql", "up", "done")]
    assert all(m["ms"] >= 0 for m in told["migrations"])
    assert (told["before"]["applied"], told["after"]) == (0, {"applied": 2, "newest": "make_t2", "version": 2})
    status, told = database.json("down", "--to", "1", "--lossy", "ok")
    assert (status, told["state"], [m["id"] for m in told["migrations"]]) == (0, "done", ["make_t2"])
    status, told = database.json("up", "--to", "1")
    assert (status, told["state"], told["migrations"]) == (0, "nothing to do", [])


def test_status_names_pending_late_and_unknown(database):
    database.tables(2)
    database.write(5, "five", "CREATE TABLE five (id integer);", "DROP TABLE five;")
    assert database.db("up").returncode == 0
    database.tables(1, first=3)
    database.tables(1, first=7)
    (database.migrations / "000001_make_t1.up.sql").unlink()
    (database.migrations / "000001_make_t1.down.sql").unlink()
    status, told = database.json("status")
    assert (status, told["applied_count"], told["newest"]) == (0, 3, "five")
    assert (told["pending"], told["late"], told["unknown"]) == (["make_t3", "make_t7"], ["make_t3"], ["make_t1"])
    assert (told["mark"], told["lock"]["held"], told["ledger_exists"]) == (None, False, True)
    told = database.db("status").stdout
    for part in ("3 applied, the newest is 5 five", "pending    2: 3 make_t3, 7 make_t7", "late       1: 3 make_t3",
                 "unknown    1: make_t1", "lock       free"):
        assert part in told
    # What nobody here knows is refused, with its name, before anything runs.
    done = database.db("up")
    assert (done.returncode, "make_t1" in done.stderr) == (6, True)
    assert database.ledger() == ["make_t1", "make_t2", "five"]


def test_a_late_file_is_applied(database):
    database.tables(3)
    assert database.db("up").returncode == 0
    database.write(9, "nine", "CREATE TABLE nine (id integer);", "DROP TABLE nine;")
    assert database.db("up").returncode == 0
    database.write(4, "late", "CREATE TABLE late (id integer);", "DROP TABLE late;")
    assert database.db("up").returncode == 0
    assert "late" in database.ledger()


def test_plan_and_dry_run_show_the_way_and_change_nothing(database):
    database.tables(3)
    assert database.db("up", "--to", "2").returncode == 0
    before = database.read("SELECT * FROM db_migrations")
    status, told = database.json("plan")
    assert (status, told["direction"], [m["file"] for m in told["migrations"]]) == (0, "up", ["000003_make_t3.up.sql"])
    status, told = database.json("plan", "--to", "1")
    assert (status, told["direction"], [m["loses"] for m in told["migrations"]]) == (0, "down", ["drops table t2"])
    assert database.db("up", "--dry-run").stdout == database.db("plan").stdout
    assert "000002_make_t2.down.sql" in database.db("down", "--to", "0", "--dry-run").stdout
    assert database.read("SELECT * FROM db_migrations") == before


def test_nothing_is_made_by_looking(on_postgres):
    on_postgres.tables(1)
    assert on_postgres.db("status").returncode == 0
    assert on_postgres.db("plan").returncode == 0
    assert on_postgres.read("SELECT nspname FROM pg_namespace WHERE nspname = 'lockstep'") == []
    assert on_postgres.read("SELECT 1 FROM pg_tables WHERE schemaname = 'public'") == []


def test_the_ledger_is_as_morph_leaves_it(on_postgres):
    on_postgres.tables(2)
    assert on_postgres.db("up").returncode == 0
    assert on_postgres.read("SELECT version, name FROM db_migrations ORDER BY 1") == [["1", "make_t1"], ["2", "make_t2"]]
    assert on_postgres.read("SELECT * FROM db_lock") == []
    columns = on_postgres.read("SELECT column_name, data_type, is_nullable FROM information_schema.columns "
                               "WHERE table_name = 'db_migrations' ORDER BY ordinal_position")
    assert columns == [["version", "bigint", "NO"], ["name", "character varying", "NO"]]


# ---- what is lost ----

def test_what_loses_data_is_refused_before_anything_runs(database):
    database.tables(2)
    assert database.db("up").returncode == 0
    database.write(3, "harmless", "CREATE TABLE h (id integer);", "-- nothing")
    database.write(4, "lossy", "DROP TABLE t1;", "CREATE TABLE t1 (id integer PRIMARY KEY);")
    done = database.db("up")
    assert done.returncode == 1
    assert "000004_lossy.up.sql: drops table t1" in done.stderr and "--lossy ok" in done.stderr
    assert database.ledger() == ["make_t1", "make_t2"]
    assert database.db("up", "--lossy", "ok").returncode == 0
    done = database.db("down", "--to", "2")
    assert done.returncode == 1
    assert "000003_harmless.down.sql: takes nothing back" in done.stderr
    assert "000004_lossy.down.sql" not in done.stderr
    assert len(database.ledger()) == 4
    assert database.db("down", "--to", "2", "--lossy", "ok").returncode == 0
    assert database.ledger() == ["make_t1", "make_t2"]


def test_on_an_empty_database_nothing_can_be_lost(database):
    database.tables(1)
    database.write(2, "drop", "DROP TABLE t1;", "CREATE TABLE t1 (id integer);")
    assert database.db("up").returncode == 0


def test_a_table_of_the_application_makes_it_not_empty(on_postgres):
    on_postgres.read("CREATE TABLE mine (id integer)")
    on_postgres.write(1, "drop", "DROP TABLE mine;", "")
    assert on_postgres.db("up").returncode == 1
    assert on_postgres.read("SELECT count(*) FROM mine") == [["0"]]


# ---- what is refused, with what to do ----

def test_wrong_use_ends_with_2(database):
    database.tables(1)
    for words, part in [((), "--to"), (("--to", "0", "--lossy", "yes"), "--lossy wants the word ok"),
                        (("--to", "0", "--wait", "5"), "--wait wants a duration")]:
        done = database.db("down", *words)
        assert (done.returncode, part in done.stderr, len(done.stderr.splitlines())) == (2, True, 1), done.stderr
    done = database.db("up", "--format", "liquibase", "--dir", "x")
    assert (done.returncode, "morph" in done.stderr) == (2, True)
    done = subprocess.run([LOCKSTEP, "db", "status", "--format", "morph"], capture_output=True, text=True, check=False)
    assert (done.returncode, "--url-env" in done.stderr) == (2, True)


@pytest.mark.parametrize("make, part", [
    (lambda d: d.rmdir(), "there is no directory"),
    (lambda d: None, "holds no migrations"),
    (lambda d: (d / "readme.md").write_text("x"), "readme.md"),
    (lambda d: [(d / n).write_text("x") for n in ("1_a.up.sql", "01_b.up.sql")], "the same number"),
], ids=["missing", "empty", "another file", "a number twice"])
def test_a_wrong_directory_is_refused_in_one_line(on_sqlite, make, part):
    make(on_sqlite.migrations)
    done = on_sqlite.db("up")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert part in done.stderr
    assert not (on_sqlite.folder / "app.db").exists()


def test_a_version_that_is_not_there_is_refused(database):
    database.tables(2)
    done = database.db("up", "--to", "7")
    assert (done.returncode, "there is no migration \"7\"" in done.stderr) == (1, True)


def test_an_absent_server_ends_with_5_and_a_wrong_password_with_1(tmp_path):
    from pg import PostgresServer, free_port

    gone = Database(tmp_path, f"postgres://me@127.0.0.1:{free_port()}/x", None)
    gone.tables(1)
    assert gone.db("up").returncode == 5
    with PostgresServer(password="right one") as server:
        bare = f"postgres://postgres@127.0.0.1:{server.port}/postgres"
        gone.url = bare
        done = gone.db("up", "--password-env", "PW", PW="n0tit")
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
        assert "password" in done.stderr and "n0tit" not in done.stderr
        assert gone.db("up", "--password-env", "PW", PW="right one").returncode == 0
        secret = tmp_path / "secret"
        secret.write_text("right one\n")
        assert gone.db("status", "--password-file", secret).returncode == 0
        # A password in the URL is in no file of ours, and is no longer in the holder's words.
        gone.url = server.url("postgres")
        gone.tables(2)
        assert gone.db("up").returncode == 0
        for path in (tmp_path / "state").rglob("*"):
            assert path.is_dir() or b"right" not in path.read_bytes(), path
        gone.url = "nothing"
        words = [w for w in gone.words("status") if w not in ("--url", "nothing")]
        done = subprocess.run([*words, "--url-env", "THE_URL"], capture_output=True, text=True, check=False,
                              env={"HOME": "/", "THE_URL": server.url("postgres")})
        assert (done.returncode, "2 applied" in done.stdout) == (0, True)


def test_the_state_directory_is_private(on_sqlite):
    on_sqlite.tables(1)
    assert on_sqlite.db("up").returncode == 0
    assert (on_sqlite.folder / "state").stat().st_mode & 0o777 == 0o700


def test_a_url_may_bring_a_search_path(on_postgres):
    on_postgres.read("CREATE SCHEMA app")
    on_postgres.tables(1)
    on_postgres.url += "?search_path=app"
    assert on_postgres.db("up").returncode == 0
    assert on_postgres.read("SELECT schemaname, tablename FROM pg_tables WHERE tablename IN ('t1', 'db_migrations') "
                            "ORDER BY 2") == [["app", "db_migrations"], ["app", "t1"]]
    on_postgres.url += "&x-lock-strategy=table"
    done = on_postgres.db("up")
    assert (done.returncode, "x-lock-strategy" in done.stderr) == (2, True)


def test_an_archive_is_read_as_its_directory(on_sqlite):
    on_sqlite.tables(2)
    archive = on_sqlite.folder / "app.tar.gz"
    subprocess.run(["tar", "-C", on_sqlite.folder, "-czf", archive, "--transform=s,^,app-1/db/,", "migrations"],
                   check=True)
    done = on_sqlite.db("up", "--format", "morph", "--dir", f"{archive}:db/migrations")
    assert (done.returncode, on_sqlite.ledger()) == (0, ["make_t1", "make_t2"]), done.stderr


# ---- failures, kills, locks ----

def test_a_failing_script_is_told_with_its_line_and_nothing_of_it_stays(database):
    database.tables(1)
    database.write(2, "wrong", "CREATE TABLE two (id integer);\nCREATE TABLE t1 (id integer);\n", "DROP TABLE two;")
    database.tables(1, first=3)
    done = database.db("up")
    assert done.returncode == 1
    assert "000002_wrong.up.sql" in done.stderr and "1 of 3 have run" in done.stderr
    assert database.ledger() == ["make_t1"]
    database.write(2, "wrong", "CREATE TABLE two (id integer);\n", "DROP TABLE two;")
    assert database.db("up").returncode == 0
    assert database.ledger() == ["make_t1", "wrong", "make_t3"]
    assert no_holder_lives(database)


def test_killed_anywhere_the_same_command_ends_well(on_postgres):
    count = 40
    for i in range(1, count + 1):
        on_postgres.write(i, f"m{i}", f"CREATE TABLE k{i} (id integer); INSERT INTO k{i} VALUES ({i});",
                          f"DROP TABLE k{i};")
    kills = 0
    for wanted in (1, 9, 20, 33):
        run = on_postgres.start("up")
        seen = 0
        for line in run.stdout:
            seen += line.startswith("up ")
            if seen and int(line.split()[1][:6]) >= wanted:
                run.send_signal(signal.SIGKILL)
                kills += 1
                break
        run.communicate()
    assert kills == 4
    done = on_postgres.db("up")
    assert done.returncode == 0, done.stderr
    assert on_postgres.ledger() == [f"m{i}" for i in range(1, count + 1)]
    rows = " UNION ALL ".join(f"SELECT id FROM k{i}" for i in range(1, count + 1))
    assert on_postgres.read(f"SELECT count(*), sum(id) FROM ({rows}) AS all_rows") == [[str(count), "820"]]
    assert no_holder_lives(on_postgres)


def test_killed_before_an_up_a_down_goes_on_from_there(on_postgres):
    on_postgres.tables(2)
    on_postgres.write(3, "slow", "SELECT pg_sleep(1000); CREATE TABLE slow (id integer);", "DROP TABLE slow;")
    run = on_postgres.start("up")
    wait_until("the slow one runs", lambda: any("pg_sleep" in s[3] for s in on_postgres.server.sessions(on_postgres.name)))
    run.send_signal(signal.SIGKILL)
    run.communicate()
    done = on_postgres.db("down", "--to", "0", "--lossy", "ok")
    assert (done.returncode, on_postgres.ledger()) == (0, []), done.stderr
    assert not any("pg_sleep" in s[3] for s in on_postgres.server.sessions(on_postgres.name))
    assert no_holder_lives(on_postgres)


def test_ctrl_c_ends_after_the_migration_that_runs(on_postgres):
    on_postgres.tables(1)
    on_postgres.write(2, "gate", "SELECT pg_advisory_xact_lock(4711); CREATE TABLE gate (id integer);", "DROP TABLE gate;")
    on_postgres.tables(1, first=3)
    with contextlib.closing(on_postgres.server.connect(on_postgres.name)) as other:
        cursor = other.cursor()
        cursor.execute("SELECT pg_advisory_lock(4711)")
        run = on_postgres.start("up")
        wait_until("it waits", lambda: on_postgres.read(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == [["1"]])
        run.send_signal(signal.SIGINT)
        told = run.stderr.readline() + run.stderr.readline()
        cursor.execute("SELECT pg_advisory_unlock(4711)")
    out, err = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 130, err
    assert "stopping after this migration" in told
    assert "2 of 3 have run; the ledger stands at: 2 applied, the newest is 2 gate" in err
    assert on_postgres.ledger() == ["make_t1", "gate"]
    assert no_holder_lives(on_postgres)
    assert on_postgres.db("up").returncode == 0
    assert on_postgres.ledger() == ["make_t1", "gate", "make_t3"]


def test_a_second_call_waits_for_the_first_and_names_it(on_postgres):
    on_postgres.write(1, "gate", "SELECT pg_advisory_xact_lock(4712); CREATE TABLE gate (id integer);", "DROP TABLE gate;")
    with contextlib.closing(on_postgres.server.connect(on_postgres.name)) as other:
        cursor = other.cursor()
        cursor.execute("SELECT pg_advisory_lock(4712)")
        first = on_postgres.start("up")
        wait_until("it waits", lambda: on_postgres.read(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == [["1"]])
        # From the same state directory.
        done = on_postgres.db("up", "--wait", "300ms")
        assert (done.returncode, str(first.pid) in done.stderr) == (1, True), done.stderr
        # From another one: the database's own lock.
        words = [str(w).replace("/state", "/elsewhere") for w in on_postgres.words("up", "--wait", "300ms")]
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert (done.returncode, "run db-" in done.stderr) == (1, True), done.stderr
        status, told = on_postgres.json("status")
        assert (told["lock"]["held"], told["lock"]["holder"]["run"][:3]) == (True, "db-")
        cursor.execute("SELECT pg_advisory_unlock(4712)")
    out, err = first.communicate(timeout=PATIENCE_S)
    assert (first.returncode, on_postgres.ledger()) == (0, ["gate"]), err


def test_the_tool_s_own_lock_is_waited_for_and_named(on_postgres):
    on_postgres.tables(1)
    on_postgres.read("CREATE TABLE db_lock (id varchar(64) PRIMARY KEY, expireat bigint)")
    until = int(time.time()) + 3600
    on_postgres.read(f"INSERT INTO db_lock VALUES ('mm-lock-key', {until})")
    done = on_postgres.db("up", "--wait", "300ms")
    assert (done.returncode, "morph's own lock" in done.stderr) == (1, True), done.stderr
    assert on_postgres.read("SELECT * FROM db_lock") == [["mm-lock-key", str(until)]]
    timer = threading.Timer(0.5, lambda: on_postgres.read("DELETE FROM db_lock"))
    timer.start()
    done = on_postgres.db("up", "--wait", "30s")
    timer.join()
    assert (done.returncode, on_postgres.ledger()) == (0, ["make_t1"]), done.stderr
    assert on_postgres.read("SELECT * FROM db_lock") == []


def test_one_that_waits_does_not_fence_out_the_one_that_works(on_postgres):
    for i in range(1, 4):
        on_postgres.write(i, f"g{i}", f"SELECT pg_advisory_xact_lock(4713); CREATE TABLE g{i} (id integer);",
                          f"DROP TABLE g{i};")
    with contextlib.closing(on_postgres.server.connect(on_postgres.name)) as other:
        cursor = other.cursor()
        cursor.execute("SELECT pg_advisory_lock(4713)")
        first = on_postgres.start("up")
        wait_until("it waits", lambda: on_postgres.read(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == [["1"]])
        words = [str(w).replace("/state", "/elsewhere") for w in on_postgres.words("up")]
        second = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert "waiting up to" in second.stderr.readline()
        cursor.execute("SELECT pg_advisory_unlock(4713)")
    for run in (first, second):
        out, err = run.communicate(timeout=PATIENCE_S)
        assert run.returncode == 0, err
    assert on_postgres.ledger() == ["g1", "g2", "g3"]


def test_a_tree_of_300_goes_up_and_down(database):
    database.tables(300)
    status, told = database.json("up")
    assert (status, len(told["migrations"]), told["after"]["applied"]) == (0, 300, 300)
    status, told = database.json("down", "--to", "0", "--lossy", "ok")
    assert (status, len(told["migrations"]), database.ledger()) == (0, 300, [])
