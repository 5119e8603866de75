"""`lockstep db` on what real trees of migrations hold, on real servers, over scripts made here."""

import contextlib
import os
import subprocess

import pytest

from db_cli import no_holder_lives, on_postgres, on_sqlite, wait_until  # noqa: F401


# ---- scripts that commit in between ----

def sourcegraph_folder(database, number, up, down, parents=()):
    folder = database.migrations / f"{number}_step"
    folder.mkdir(exist_ok=True)
    (folder / "up.sql").write_text(up)
    (folder / "down.sql").write_text(down)
    (folder / "metadata.yaml").write_text(f"name: step\nparents: [{', '.join(map(str, parents))}]\n")


def test_commit_and_chain_keeps_each_part_and_goes_on_behind_it(on_postgres):
    """The locks of one table are gone before the next one is changed; what ran does not run again."""
    tables = ["a", "b", "c", "d"]
    sourcegraph_folder(on_postgres, 1, "".join(f"CREATE TABLE {t} (id integer);\n" for t in tables[:3]),
                       "".join(f"DROP TABLE {t};\n" for t in tables[:3]))
    sourcegraph_folder(on_postgres, 2, "BEGIN;\n" + "".join(
        f"ALTER TABLE {t} ADD COLUMN tenant integer;\nINSERT INTO a VALUES ({i}, {i}); COMMIT AND CHAIN;\n"
        for i, t in enumerate(tables)) + "ALTER TABLE a ADD COLUMN last integer;\nCOMMIT;\n",
        "COMMIT AND CHAIN;\n" + "".join(f"ALTER TABLE {t} DROP COLUMN tenant; COMMIT AND CHAIN;\n" for t in tables)
        + "ALTER TABLE a DROP COLUMN last;\n", [1])
    words = ["--format", "sourcegraph", "--lossy", "ok"]
    done = on_postgres.db("up", *words)
    assert done.returncode == 1 and "2_step/up.sql:8" in done.stderr and 'relation "d" does not exist' in done.stderr
    assert on_postgres.read("SELECT * FROM a ORDER BY id") == [["0", "0"], ["1", "1"], ["2", "2"]]

    on_postgres.read("CREATE TABLE d (id integer)")
    done = on_postgres.db("up", *words)
    assert done.returncode == 0, done.stderr
    assert on_postgres.read("SELECT * FROM a ORDER BY id") == [[str(i), str(i), ""] for i in range(4)]
    assert on_postgres.read("SELECT version, up, success FROM migration_logs WHERE success ORDER BY id") == [
        ["1", "t", "t"], ["2", "t", "t"]]
    done = on_postgres.db("down", "--to", "1", *words)
    assert done.returncode == 0, done.stderr
    columns = on_postgres.read("SELECT table_name || '.' || column_name FROM information_schema.columns "
                               "WHERE table_schema = 'public' AND table_name <> 'migration_logs' ORDER BY 1")
    assert columns == [["a.id"], ["b.id"], ["c.id"], ["d.id"]]


# ---- migrations that are no SQL ----

MIGRATOR = '''#!/usr/bin/python3
"""Stands for an application's own migrator: wants goose's lock, runs one migration, writes the ledger."""
import os, sys, time
import psycopg2

direction, number, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with open(os.environ["STARTS"], "a") as starts:
    starts.write(f"{direction} {number}\\n")
db = psycopg2.connect(os.environ["DATABASE_URL"])
db.autocommit = True
c = db.cursor()
c.execute("SELECT pg_try_advisory_lock(4097083626)")
if not c.fetchone()[0]:
    sys.exit("another migrator has goose's lock")
if mode == "fail":
    print("it will not")
    sys.exit(3)
if mode == "slow":
    c.execute("SELECT pg_sleep(1000)")
if mode == "idle":
    sys.exit(0)
if direction == "--up-to":
    c.execute(f"CREATE TABLE by_code_{number} (id integer)")
    c.execute("INSERT INTO goose_db_version (version_id, is_applied) VALUES (%s, true)", [number])
    if mode == "more":
        c.execute("INSERT INTO goose_db_version (version_id, is_applied) VALUES (%s, true)", [number + 1])
else:
    c.execute("SELECT max(version_id) FROM goose_db_version")
    last = c.fetchone()[0]
    assert last > number
    c.execute(f"DROP TABLE by_code_{last}")
    c.execute("DELETE FROM goose_db_version WHERE version_id = %s", [last])
'''


class Goose:
    """A folder with code at 2 and 4, and a migrator for it."""

    def __init__(self, database):
        self.database, self.starts = database, database.folder / "starts"
        self.environment = {"DATABASE_URL": database.url, "STARTS": str(self.starts)}
        self.tool = database.folder / "migrator"
        self.tool.write_text(MIGRATOR)
        self.tool.chmod(0o755)
        for i in (1, 3, 5):
            (database.migrations / f"{i}_sql.sql").write_text(
                f"-- +goose Up\nCREATE TABLE by_sql_{i} (id integer);\n-- +goose Down\nDROP TABLE by_sql_{i};\n")
        for i in (2, 4):
            (database.migrations / f"{i}_code.go").write_text("package migrations\n")

    def words(self, verb, mode="well", *more):
        number = "--up-to {version}" if verb == "up" else "--down {previous}"
        return [verb, "--format", "goose", "--lossy", "ok", "--delegate", f"{self.tool} {number} {mode}", *more]

    def run(self, verb, mode="well", *more):
        return self.database.db(*self.words(verb, mode, *more), **self.environment)

    def tables(self):
        return [row[0] for row in self.database.read(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'by%' ORDER BY right(relname, 1)")]

    def ledger(self):
        return [int(row[0]) for row in self.database.read("SELECT version_id FROM goose_db_version WHERE version_id > 0 ORDER BY id")]


@pytest.fixture
def goose(on_postgres):
    return Goose(on_postgres)


def test_code_is_refused_with_what_to_do_and_the_way_by_hand_is_plain(goose):
    words = ["--format", "goose"]
    done = goose.database.db("up", *words)
    assert done.returncode == 1 and "2_code.go is not SQL" in done.stderr and "nothing has run" in done.stderr
    assert "Go up --to 1," in done.stderr and "--delegate" in done.stderr
    assert goose.database.db("up", *words, "--to", "1").returncode == 0
    subprocess.run([goose.tool, "--up-to", "2", "well"], check=True, env={**os.environ, **goose.environment})
    done = goose.database.db("up", *words, "--to", "3")
    assert (done.returncode, goose.ledger()) == (0, [1, 2, 3]), done.stderr


def test_the_delegate_runs_code_at_its_place_in_the_order(goose):
    done = goose.run("up")
    assert done.returncode == 0, done.stderr
    assert goose.ledger() == [1, 2, 3, 4, 5]
    assert goose.tables() == ["by_sql_1", "by_code_2", "by_sql_3", "by_code_4", "by_sql_5"]
    assert [line.split(" (")[0] for line in done.stdout.splitlines()[:5]] == [
        f"up  {i}_{'code.go' if i % 2 == 0 else 'sql.sql'}" for i in range(1, 6)]
    done = goose.run("down", "well", "--to", "1")
    assert (done.returncode, goose.ledger(), goose.tables()) == (0, [1], ["by_sql_1"]), done.stderr
    assert goose.starts.read_text() == "--up-to 2\n--up-to 4\n--down 3\n--down 1\n"
    done = goose.run("up", "well", "--to", "4")
    assert (done.returncode, goose.ledger()) == (0, [1, 2, 3, 4]), done.stderr
    assert no_holder_lives(goose.database)


@pytest.mark.parametrize(("mode", "status", "words", "ledger"), [
    ("fail", 1, ["2_code.go: ", "ended with status 3: it will not", "1 of 5 have run"], [1]),
    ("idle", 6, ["up to 2_code.go has run, and no more", "1 of 5 have run"], [1]),
    ("more", 6, ["up to 2_code.go has run, and no more"], [1, 2, 3]),
])
def test_the_ledger_must_show_what_the_delegate_did_and_no_more(goose, mode, status, words, ledger):
    done = goose.run("up", mode)
    assert (done.returncode, goose.ledger()) == (status, ledger)
    assert all(word in done.stderr for word in words), done.stderr
    if mode != "more":
        done = goose.run("up")
        assert (done.returncode, goose.ledger()) == (0, [1, 2, 3, 4, 5]), done.stderr
        assert goose.starts.read_text() == "--up-to 2\n--up-to 2\n--up-to 4\n"


def test_a_killed_call_takes_its_delegate_with_it_and_the_ledger_decides(goose):
    first = subprocess.Popen([str(word) for word in goose.database.words(*goose.words("up", "slow"))],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **goose.environment})
    asleep = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1000)' AND pid <> pg_backend_pid()"
    wait_until("it sleeps", lambda: goose.database.read(asleep))
    first.kill()
    first.communicate()
    # What it had sent goes on in the server, and the migrator's own lock keeps a second one out.
    done = goose.run("up")
    assert done.returncode == 1 and "another migrator has goose's lock" in done.stderr, done.stderr
    goose.database.read(f"SELECT pg_terminate_backend(({asleep}))")
    done = goose.run("up")
    assert (done.returncode, goose.ledger()) == (0, [1, 2, 3, 4, 5]), done.stderr
    assert goose.starts.read_text() == "--up-to 2\n--up-to 2\n--up-to 2\n--up-to 4\n"
    assert no_holder_lives(goose.database)


def test_a_delegate_that_names_no_migration_is_wrong_use(goose):
    done = goose.database.db("up", "--format", "goose", "--delegate", f"{goose.tool} --up")
    assert done.returncode == 2 and "{version}" in done.stderr


# ---- before the first, and before there is a database ----

def test_the_number_0_stays_where_a_migration_has_it(on_postgres):
    words = ["--format", "golang-migrate", "--lossy", "ok"]
    for i in range(3):
        on_postgres.write(i, f"make_t{i}", f"CREATE TABLE t{i} (id integer);", f"DROP TABLE t{i};")
    ledger = "SELECT version, dirty FROM schema_migrations"
    assert on_postgres.db("up", *words).returncode == 0
    assert on_postgres.db("down", "--to", "0", *words).returncode == 0
    assert on_postgres.read(ledger) == [["0", "f"]]
    assert on_postgres.db("down", "--to", "none", *words).returncode == 0
    assert on_postgres.read(ledger) == []


@pytest.mark.parametrize("verb", [["plan"], ["plan", "--to", "1"], ["up", "--dry-run"]])
def test_a_sqlite_file_that_up_would_make_is_planned_for_and_not_made(on_sqlite, verb):
    on_sqlite.tables(1)
    status, told = on_sqlite.json(*verb)
    assert (status, [m["file"] for m in told["migrations"]]) == (0, ["000001_make_t1.up.sql"])
    assert not on_sqlite.path.exists()
    on_sqlite.url = on_sqlite.url.replace("app.db", "nowhere/app.db")
    assert on_sqlite.db(*verb).returncode == 1


def test_a_server_s_detail_and_hint_are_sentences(on_postgres):
    make = "CREATE OR REPLACE FUNCTION f(OUT a integer, OUT b {}) LANGUAGE sql AS $$ SELECT 1, NULL::{} $$;"
    on_postgres.write(1, "one", make.format("text", "text"), "")
    on_postgres.write(2, "two", make.format("date", "date"), "")
    done = on_postgres.db("up")
    assert done.returncode == 1
    assert "existing function. Row type defined by OUT parameters is different. Use DROP FUNCTION f() first. (" in done.stderr


# ---- killed in what has no transaction ----

def killed_while_it_waits(database, statement, sql, *words):
    """Kills lockstep while `sql` waits in the server for another transaction, then ends that transaction."""
    with contextlib.closing(database.server.connect(database.name)) as other:
        cursor = other.cursor()
        cursor.execute(f"BEGIN; {statement}")
        run = database.start(*words)
        wait_until("it waits", lambda: any(s[3].startswith(sql) for s in database.server.sessions(database.name)))
        run.kill()
        run.communicate()
        cursor.execute("ROLLBACK")


@pytest.mark.parametrize("way", ["up again", "up, then down", "down again"])
def test_killed_in_a_concurrent_index_under_a_ledger_of_one_row_the_same_command_goes_on(on_postgres, way):
    words = ["--format", "golang-migrate", "--lossy", "ok"]
    on_postgres.tables(1)
    on_postgres.write(2, "index", "CREATE INDEX CONCURRENTLY i ON t1 (id);", "DROP INDEX CONCURRENTLY IF EXISTS i;")
    assert on_postgres.db("up", "--to", "1", *words).returncode == 0
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('i')"
    ledger = "SELECT version, dirty FROM schema_migrations"
    if way == "down again":
        assert on_postgres.db("up", *words).returncode == 0
        killed_while_it_waits(on_postgres, "SELECT * FROM t1", "DROP INDEX", "down", "--to", "1", *words)
    else:
        killed_while_it_waits(on_postgres, "INSERT INTO t1 VALUES (1)", "CREATE INDEX", "up", *words)
        assert on_postgres.read(ledger) == [["2", "t"]]
    if way == "up again":
        done = on_postgres.db("up", *words)
        assert (done.returncode, on_postgres.read(ledger), on_postgres.read(valid)) == (0, [["2", "f"]], [["t"]]), done.stderr
    else:
        done = on_postgres.db("down", "--to", "1", *words)
        assert (done.returncode, on_postgres.read(ledger), on_postgres.read(valid)) == (0, [["1", "f"]], []), done.stderr
    assert no_holder_lives(on_postgres)
