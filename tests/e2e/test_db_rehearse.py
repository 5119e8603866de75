"""`lockstep db rehearse`: migrations there and back on a clone, on real servers, and a live database that nobody touched."""

import contextlib
import hashlib
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOCKSTEP = pathlib.Path(os.environ.get("LOCKSTEP_BIN") or ROOT / "build" / "bin").resolve() / "lockstep"
PATIENCE_S = 60
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
NOT_RESTORED = 6
# Ends when a session named so is there, in whatever database of the server.
POSTGRES_GATE = ("DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'open') LOOP\n"
        "PERFORM pg_sleep(0.01); PERFORM pg_stat_clear_snapshot(); END LOOP; END $$;\n")
# Ends when the test gives this lock back.
MARIADB_GATE = "SELECT GET_LOCK('rehearse gate', 600);\n"

BASE = ("CREATE TABLE users (id integer PRIMARY KEY, name text NOT NULL, age integer);\n"
        "CREATE TABLE posts (id integer PRIMARY KEY, author integer, body text);\n")


class Site:
    """A live database with two tables and some rows, at migration 1, and a folder of migrations."""

    where = ""  # how a rehearsal begins the name of a table

    def __init__(self, folder, url):
        self.folder, self.url = folder, url
        self.migrations = folder / "migrations"
        self.migrations.mkdir()
        self.write(1, "base", BASE, "DROP TABLE posts;\nDROP TABLE users;\n")

    def write(self, number, name, up, down=None):
        (self.migrations / f"{number:06d}_{name}.up.sql").write_text(up)
        if down is not None:
            (self.migrations / f"{number:06d}_{name}.down.sql").write_text(down)

    def words(self, verb, *more, state="state"):
        return [LOCKSTEP, "db", verb, "--url", self.url, "--state", self.folder / state, "--format", "morph",
                "--dir", self.migrations, *more]

    def db(self, verb, *more, **others):
        return subprocess.run(self.words(verb, *more, **others), capture_output=True, text=True, timeout=PATIENCE_S,
                              check=False, env=ENVIRONMENT)

    def rehearse(self, *more, **others):
        done = self.db("rehearse", "--json", *more, **others)
        assert done.stdout, done.stderr
        report = json.loads(done.stdout)
        return done.returncode, report, {m["id"]: m for m in report["migrations"]}

    def left_behind(self, state="state"):
        """What is still there of rehearsals: directories, and holders that live."""
        folder = self.folder / state / "rehearsals"
        return sorted(path.name for path in folder.glob("*")) if folder.exists() else []


def dump(url):
    done = subprocess.run(["pg_dump", "-d", url], capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    return [line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]


class PostgresSite(Site):
    where, gate = "public.", POSTGRES_GATE
    makes_more = ("CREATE TYPE mood AS ENUM ('a');\nCREATE TABLE a (m mood);\nCREATE SCHEMA s;\n"
                  "CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1';\n",
                  "DROP FUNCTION f();\nDROP SCHEMA s;\nDROP TABLE a;\nDROP TYPE mood;\n")

    def __init__(self, folder, server, name):
        super().__init__(folder, server.url(name))
        self.server, self.name = server, name

    def fill(self):
        assert self.db("up", "--to", "1").returncode == 0
        self.server.query("INSERT INTO users SELECT i, 'user ' || i, 20 + i FROM generate_series(1, 5) i", self.name)
        self.server.query("INSERT INTO posts SELECT i, i, 'post ' || i FROM generate_series(1, 5) i", self.name)

    def picture(self, database=None):
        """All of it as pg_dump writes it, Lockstep's own schema too."""
        return dump(self.server.url(database or self.name))

    def has_table(self, name, database):
        return self.server.query(f"SELECT to_regclass('{name}') IS NOT NULL", database) == [["t"]]

    def marks(self, database):
        """What a rehearsal has left in a database that a person made."""
        return self.server.query("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'lockstep%'", database)

    def clones(self):
        return [row[0] for row in self.server.query(
            f"SELECT datname FROM pg_database WHERE datname LIKE '{self.name}\\_lockstep\\_%' ORDER BY 1")]

    def start_at_the_gate(self, *more):
        """A rehearsal that waits in the middle of a migration on its clone."""
        process = subprocess.Popen(self.words("rehearse", *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env=ENVIRONMENT)
        wait_until("the rehearsal comes to the gate", lambda: self.server.query(
            "SELECT 1 FROM pg_stat_activity WHERE datname LIKE '%\\_lockstep\\_%' AND query LIKE '%DO $$ BEGIN WHILE%'"))
        return process

    @contextlib.contextmanager
    def open_gate(self):
        with subprocess.Popen(["psql", "-qAt", "-d", self.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "PGAPPNAME": "open"}) as psql:
            yield
            psql.stdin.close()


class MariadbSite(Site):
    gate = MARIADB_GATE
    makes_more = ("CREATE TABLE a (m enum('a'));\nCREATE VIEW v AS SELECT m FROM a;\nCREATE SEQUENCE q;\n"
                  "CREATE PROCEDURE p() SELECT 1;\n",
                  "DROP PROCEDURE p;\nDROP SEQUENCE q;\nDROP VIEW v;\nDROP TABLE a;\n")

    def __init__(self, folder, server, name):
        super().__init__(folder, server.url(name))
        self.server, self.name, self.keeper = server, name, None

    def fill(self):
        assert self.db("up", "--to", "1").returncode == 0
        self.server.query("INSERT INTO users SELECT seq, CONCAT('user ', seq), 20 + seq FROM seq_1_to_5", self.name)
        self.server.query("INSERT INTO posts SELECT seq, seq, CONCAT('post ', seq) FROM seq_1_to_5", self.name)

    def picture(self, database=None):
        """All of it as mariadb-dump writes it, Lockstep's own tables too."""
        return self.server.dump(database or self.name).splitlines()

    def has_table(self, name, database):
        return self.server.query("SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = "
                                 f"'{database}' AND TABLE_NAME = '{name}'") == [["1"]]

    def marks(self, database):
        return self.server.query("SELECT SCHEMA_COMMENT FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = "
                                 f"'{database}' AND SCHEMA_COMMENT <> ''")

    def clones(self):
        return [row[0] for row in self.server.query(
            f"SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '{self.name}\\_lockstep\\_%' "
            "ORDER BY 1")]

    def start_at_the_gate(self, *more):
        self.close_gate()
        process = subprocess.Popen(self.words("rehearse", *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env=ENVIRONMENT)
        wait_until("the rehearsal comes to the gate", lambda: self.server.query(
            "SELECT 1 FROM information_schema.PROCESSLIST WHERE DB LIKE '%\\_lockstep\\_%' AND INFO LIKE "
            "'SELECT GET_LOCK(''rehearse gate''%'"))
        return process

    def close_gate(self):
        self.keeper = subprocess.Popen(self.server.client(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.keeper.stdin.write("SELECT GET_LOCK('rehearse gate', 60);\n")
        self.keeper.stdin.flush()
        assert self.keeper.stdout.readline() == "1\n"

    def end_gate(self):
        if self.keeper is not None:
            self.keeper.stdin.close()
            self.keeper.wait()
            self.keeper.stdout.close()
            self.keeper = None

    @contextlib.contextmanager
    def open_gate(self):
        self.end_gate()
        yield


class SqliteSite(Site):
    def __init__(self, folder):
        self.path = folder / "app.db"
        super().__init__(folder, f"sqlite://{self.path}")

    def fill(self):
        assert self.db("up", "--to", "1").returncode == 0
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            db.executemany("INSERT INTO users VALUES (?, ?, ?)", [(i, f"user {i}", 20 + i) for i in range(1, 6)])
            db.executemany("INSERT INTO posts VALUES (?, ?, ?)", [(i, i, f"post {i}") for i in range(1, 6)])
            db.commit()

    def picture(self):
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def wait_until(what, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.fixture
def on_postgres(tmp_path, request):
    server = request.getfixturevalue("postgres")
    name = f"rehearse_{os.getpid()}_{abs(hash(str(tmp_path))) % 10 ** 9}"
    server.create_database(name)
    site = PostgresSite(tmp_path, server, name)
    site.fill()
    yield site
    for clone in site.clones():
        server.drop_database(clone)
    server.drop_database(name)


@pytest.fixture
def on_mariadb(tmp_path, request):
    server = request.getfixturevalue("mariadb")
    name = f"rehearse_{os.getpid()}_{abs(hash(str(tmp_path))) % 10 ** 9}"
    server.create_database(name)
    site = MariadbSite(tmp_path, server, name)
    site.fill()
    yield site
    site.end_gate()
    for clone in site.clones():
        server.drop_database(clone)
    server.drop_database(name)


@pytest.fixture
def on_sqlite(tmp_path):
    site = SqliteSite(tmp_path)
    site.fill()
    return site


@pytest.fixture(params=["on_postgres", "on_sqlite", "on_mariadb"])
def site(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["on_postgres", "on_mariadb"])
def on_server(request):
    return request.getfixturevalue(request.param)


# ---- what a way back does not restore ----

def test_each_loss_is_the_migrations_that_made_it(site):
    site.write(2, "forgets_rows", "ALTER TABLE users DROP COLUMN age;\n", "ALTER TABLE users ADD COLUMN age integer;\n")
    site.write(3, "forgets_an_index", "CREATE INDEX posts_author ON posts (author);\n", "SELECT 1;\n")
    site.write(4, "comes_back", "CREATE TABLE extra (id integer);\nINSERT INTO extra VALUES (1);\n",
               "DROP TABLE extra;\n")
    site.write(5, "deletes", "DELETE FROM posts WHERE id > 3;\n", "SELECT 1;\n")
    site.write(6, "overwrites", "UPDATE users SET name = 'x' WHERE id = 1;\n", "SELECT 1;\n")
    before = site.picture()
    status, report, by_id = site.rehearse()
    where = site.where
    index = "posts.posts_author" if isinstance(site, MariadbSite) else f"{where}posts_author"
    assert {name: m["not_restored"] for name, m in by_id.items()} == {
        "forgets_rows": [f"values of {where}users.age are not what they were"],
        "forgets_an_index": [f"new index {index}"],
        "comes_back": [],
        "deletes": [f"rows of {where}posts: were 5, are 3"],
        "overwrites": [f"values of {where}users.name are not what they were"],
    }
    assert (status, report["state"], report["error"], report["not_compared"]) == (NOT_RESTORED, "not restored", None, [])
    assert all(m[way]["state"] == "done" and m[way]["ms"] > 0 for m in by_id.values() for way in ("up", "down"))
    assert site.picture() == before
    assert site.left_behind() == []


def test_a_way_that_comes_back_ends_well(site):
    on = " ON users" if isinstance(site, MariadbSite) else ""
    site.write(2, "adds", "ALTER TABLE users ADD COLUMN mail varchar(80);\nCREATE INDEX users_mail ON users (mail);\n",
               f"DROP INDEX users_mail{on};\nALTER TABLE users DROP COLUMN mail;\n")
    before = site.picture()
    done = site.db("rehearse")
    assert (done.returncode, done.stderr) == (0, "")
    assert "not restored" not in done.stdout
    assert site.picture() == before


def test_a_column_that_comes_back_last_is_the_same_column(site):
    site.write(2, "moves", "CREATE TABLE kept AS SELECT id, name FROM users;\nALTER TABLE users DROP COLUMN name;\n",
               "ALTER TABLE users ADD COLUMN name text NOT NULL DEFAULT '';\n"
               "UPDATE users SET name = (SELECT name FROM kept WHERE kept.id = users.id);\nDROP TABLE kept;\n"
               + ("" if isinstance(site, SqliteSite) else "ALTER TABLE users ALTER COLUMN name DROP DEFAULT;\n"))
    _, _, by_id = site.rehearse()
    lost = by_id["moves"]["not_restored"]
    assert [words for words in lost if words.startswith(("values", "rows"))] == []
    assert lost == [] or isinstance(site, SqliteSite)  # SQLite cannot take a default away again


def test_values_that_changed_places_are_seen(site):
    site.write(2, "swaps", "UPDATE users SET age = 43 - age WHERE id IN (1, 2);\n", "SELECT 1;\n")
    _, _, by_id = site.rehearse()
    [words] = by_id["swaps"]["not_restored"]
    assert "users: values belong to other rows than they did" in words


def test_a_way_down_is_rehearsed_too_and_says_what_its_downs_lose(site):
    before = site.picture()
    status, report, by_id = site.rehearse("--to", "0")
    where = site.where
    assert (status, report["direction"]) == (NOT_RESTORED, "down")
    assert sorted(by_id["base"]["not_restored"]) == [f"rows of {where}posts: were 5, are 0",
                                                     f"rows of {where}users: were 5, are 0"]
    assert site.picture() == before


def test_what_is_too_large_is_counted_and_said(site):
    site.write(2, "overwrites", "UPDATE users SET name = 'x' WHERE id = 1;\n", "SELECT 1;\n")
    site.write(3, "deletes", "DELETE FROM posts WHERE id = 1;\n", "SELECT 1;\n")
    _, report, by_id = site.rehearse("--rows-up-to", "1")
    assert [by_id["overwrites"]["not_restored"], len(by_id["deletes"]["not_restored"])] == [[], 1]
    assert len(report["not_compared"]) == 2
    assert all("its rows were counted, not compared" in words for words in report["not_compared"])


def test_a_migration_without_a_way_back_is_named(site):
    site.write(2, "adds", "CREATE TABLE a (id integer);\n", "DROP TABLE a;\n")
    site.write(3, "stays", "CREATE TABLE b (id integer);\n")
    site.write(4, "goes", "CREATE TABLE c (id integer);\n", "DROP TABLE c;\n")
    status, _, by_id = site.rehearse()
    assert status == NOT_RESTORED
    assert {name: m["not_restored"] for name, m in by_id.items()} == {
        "adds": [], "stays": ["there is no script for the way back"], "goes": []}
    assert (by_id["goes"]["down"]["state"], by_id["stays"]["down"], by_id["adds"]["down"]) == ("done", None, None)


# ---- failures ----

def test_a_failure_is_told_with_file_and_line_and_leaves_no_clone(site):
    site.write(2, "adds", "CREATE TABLE a (id integer);\n", "DROP TABLE a;\n")
    site.write(3, "breaks", "CREATE TABLE b (id integer);\nINSERT INTO nowhere VALUES (1);\n", "DROP TABLE b;\n")
    before = site.picture()
    status, report, by_id = site.rehearse()
    assert (status, report["state"]) == (1, "failed")
    assert "000003_breaks.up.sql:2" in report["error"]["message"]
    assert (by_id["adds"]["up"]["state"], by_id["breaks"]["up"]["state"]) == ("done", "failed")
    assert by_id["adds"]["down"]["state"] == "not run"
    assert site.picture() == before
    assert site.left_behind() == []


def test_a_way_back_that_fails_is_a_failure(site):
    site.write(2, "adds", "CREATE TABLE a (id integer);\n", "DROP TABLE b;\n")
    status, report, by_id = site.rehearse()
    assert (status, by_id["adds"]["up"]["state"], by_id["adds"]["down"]["state"]) == (1, "done", "failed")
    assert "000002_adds.down.sql" in report["error"]["message"]


def test_nothing_pending_makes_no_clone(site):
    status, report, _ = site.rehearse()
    assert (status, report["state"], report["clone"]) == (0, "nothing to do", None)


def test_the_report_is_a_file_too(site):
    site.write(2, "adds", "CREATE TABLE a (id integer);\n", "DROP TABLE a;\n")
    _, report, _ = site.rehearse("-o", str(site.folder / "report.json"))
    assert json.loads((site.folder / "report.json").read_text()) == report


def test_a_plan_shows_the_times_of_a_rehearsal(site):
    site.write(2, "adds", "CREATE TABLE a (id integer);\n", "DROP TABLE a;\n")
    site.write(3, "changes", "CREATE TABLE b (id integer);\n", "DROP TABLE b;\n")
    file = site.folder / "report.json"
    site.rehearse("-o", str(file))
    report = json.loads(file.read_text())
    report["migrations"][0]["up"]["ms"] = 40000
    report["clone"]["bytes"] = 12_000_000_000
    file.write_text(json.dumps(report))
    site.write(3, "changes", "CREATE TABLE c (id integer);\n", "DROP TABLE c;\n")
    plan = json.loads(site.db("plan", "--rehearsal", file, "--json").stdout)
    assert [m["expected_ms"] for m in plan["migrations"]] == [40000, None]
    words = site.db("plan", "--rehearsal", file).stdout
    assert f"about 40.0 s (rehearsed {report['at']} on 12 GB), without 1 that were not rehearsed so" in words
    file.write_text("{}")
    assert "is no report of a rehearsal" in site.db("plan", "--rehearsal", file).stderr


# ---- PostgreSQL: locks, rewrites, the clone ----

def test_locks_and_rewrites_are_the_servers_own(on_postgres):
    site = on_postgres
    site.write(2, "widens", "ALTER TABLE posts ALTER COLUMN author TYPE bigint;\n",
               "ALTER TABLE posts ALTER COLUMN author TYPE integer;\n")
    site.write(3, "builds", "-- morph:nontransactional\nCREATE INDEX CONCURRENTLY posts_body ON posts (body);\n",
               "-- morph:nontransactional\nDROP INDEX CONCURRENTLY posts_body;\n")
    site.write(4, "refers", "ALTER TABLE posts ADD CONSTRAINT posts_author FOREIGN KEY (author) REFERENCES users;\n",
               "ALTER TABLE posts DROP CONSTRAINT posts_author;\n")
    site.write(5, "writes", "INSERT INTO users VALUES (9, 'nine', 9);\n", "DELETE FROM users WHERE id = 9;\n")
    site.write(6, "makes", "CREATE TABLE extra (id integer PRIMARY KEY);\n", "DROP TABLE extra;\n")
    status, _, by_id = site.rehearse()
    assert status == 0

    def locks(name, way="up"):
        return {(lock["table"], lock["mode"]) for lock in by_id[name][way]["locks"]}

    assert locks("widens") == {("public.posts", "ACCESS EXCLUSIVE")}
    assert [r["table"] for r in by_id["widens"]["up"]["rewritten"]] == ["public.posts"]
    assert by_id["widens"]["up"]["rewritten"][0]["bytes"] > 0
    # PostgreSQL 15, ALTER TABLE: a foreign key takes SHARE ROW EXCLUSIVE on both tables.
    assert locks("refers") == {("public.posts", "SHARE ROW EXCLUSIVE"), ("public.users", "SHARE ROW EXCLUSIVE")}
    assert locks("writes") == {("public.users", "ROW EXCLUSIVE")}
    assert locks("makes") == set()
    assert locks("makes", "down") == {("public.extra", "ACCESS EXCLUSIVE")}
    assert all(strong not in mode for _, mode in locks("builds") for strong in ("ACCESS EXCLUSIVE", "ROW EXCLUSIVE"))
    assert all(m[way]["rewritten"] == [] for name, m in by_id.items() if name != "widens" for way in ("up", "down"))


def test_the_clone_has_the_settings_of_the_live_database(on_postgres):
    site = on_postgres
    site.server.query(f"ALTER DATABASE {site.name} SET search_path TO app, public", site.name)
    site.server.query("CREATE SCHEMA app; CREATE TABLE app.things (id integer)", site.name)
    site.write(2, "relies_on_it", "ALTER TABLE things ADD COLUMN more text;\n", "ALTER TABLE things DROP COLUMN more;\n")
    status, report, by_id = site.rehearse("--ledger", "public.db_migrations")
    assert (status, report["error"]) == (0, None)
    assert [lock["table"] for lock in by_id["relies_on_it"]["up"]["locks"]] == ["app.things"]


def test_on_mariadb_rewrites_are_told_and_locks_are_not(on_mariadb):
    site = on_mariadb
    site.write(2, "widens", "ALTER TABLE posts MODIFY author bigint;\n", "ALTER TABLE posts MODIFY author integer;\n")
    site.write(3, "adds", "ALTER TABLE users ADD COLUMN mail varchar(80);\n", "ALTER TABLE users DROP COLUMN mail;\n")
    site.write(4, "is odd", "CREATE TABLE `odd-name#1` (id integer PRIMARY KEY);\nINSERT INTO `odd-name#1` VALUES (1);\n",
               "DROP TABLE `odd-name#1`;\n")
    site.write(5, "widens_it", "ALTER TABLE `odd-name#1` MODIFY id bigint, ENGINE=InnoDB;\n",
               "ALTER TABLE `odd-name#1` MODIFY id integer;\n")
    status, report, by_id = site.rehearse()
    assert (status, report["error"]) == (0, None)
    # MariaDB, "ALTER TABLE ... ALGORITHM": a column's type is changed by a copy, a column is added in place (INSTANT).
    assert [r["table"] for r in by_id["widens"]["up"]["rewritten"]] == ["posts"]
    assert by_id["widens"]["up"]["rewritten"][0]["bytes"] > 0
    assert by_id["adds"]["up"]["rewritten"] == []
    assert [r["table"] for r in by_id["widens_it"]["up"]["rewritten"]] == ["odd-name#1"]
    assert all(m[way]["locks"] == [] for m in by_id.values() for way in ("up", "down"))
    assert [words.split(":")[0] for words in report["not_measured"]] == ["locks"]
    assert "not measured: locks: " in site.db("rehearse").stdout


def test_an_event_of_the_application_does_not_run_on_a_mariadb_clone(on_mariadb):
    site = on_mariadb
    site.server.query("CREATE EVENT tidy ON SCHEDULE EVERY 1 DAY DO DELETE FROM posts", site.name, user="app")
    site.write(2, "adds", "CREATE TABLE a AS SELECT STATUS AS s FROM information_schema.EVENTS WHERE EVENT_SCHEMA = "
               "DATABASE();\n", "DROP TABLE a;\n")
    status, report, _ = site.rehearse("--keep", "--one-way")
    assert (status, report["error"]) == (0, None)
    [clone] = site.clones()
    assert site.server.query("SELECT s FROM a", clone) == [["DISABLED"]]
    assert site.server.query("SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = "
                             f"'{site.name}'") == [["ENABLED"]]


def test_a_killed_rehearsal_leaves_no_clone_after_the_next(on_server):
    site = on_server
    site.write(2, "waits", site.gate, "SELECT 1;\n")
    before = site.picture()
    victim = site.start_at_the_gate()
    victim.send_signal(signal.SIGKILL)
    victim.wait(PATIENCE_S)
    assert len(site.clones()) == 1
    # Another machine's state directory, so to say: the mark on the database is all it knows.
    site.write(2, "waits", "SELECT 1;\n", "SELECT 1;\n")
    assert site.rehearse(state="elsewhere")[0] == 0
    assert site.clones() == []
    # What is left in the first one's directory goes with its own next rehearsal, the lock's holder too.
    assert site.rehearse()[0] == 0
    assert site.left_behind() == []
    assert not subprocess.run(["pgrep", "-f", f"hold {site.folder}/state/rehearsals"], capture_output=True, text=True,
                              check=False).stdout
    assert site.picture() == before


def test_the_clones_of_others_stay(on_server):
    site = on_server
    site.write(2, "waits", site.gate, "SELECT 1;\n")
    alike = f"{site.name}_lockstep_rehearsal_mine"
    site.server.create_database(alike)
    living = site.start_at_the_gate()
    there = site.clones()
    assert len(there) == 2
    site.write(2, "waits", "SELECT 1;\n", "SELECT 1;\n")
    assert site.rehearse()[0] == 0
    assert site.rehearse(state="elsewhere")[0] == 0
    assert site.clones() == there
    with site.open_gate():
        out, err = living.communicate(timeout=PATIENCE_S)
    assert (living.returncode, err) == (0, ""), out
    assert site.clones() == [alike]


def test_a_stop_ends_after_the_migration_and_removes_the_clone(on_server):
    site = on_server
    site.write(2, "waits", site.gate, "SELECT 1;\n")
    site.write(3, "never", "CREATE TABLE never (id integer);\n", "DROP TABLE never;\n")
    process = site.start_at_the_gate()
    process.send_signal(signal.SIGINT)
    with site.open_gate():
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert site.clones() == []
    assert site.left_behind() == []


def test_a_kept_clone_stays_for_good(on_server):
    site = on_server
    site.write(2, "adds", "CREATE TABLE a (id integer);\n", "DROP TABLE a;\n")
    assert site.rehearse("--keep", "--one-way")[0] == 0
    [clone] = site.clones()
    assert site.has_table("a", clone)
    assert site.rehearse()[0] == 0
    assert site.clones() == [clone]


def test_a_named_clone_is_used_and_is_empty_again(on_server):
    site = on_server
    name = f"{site.name}_empty"
    site.server.create_database(name)
    try:
        url = site.server.url(name)
        empty = site.picture(name)
        site.write(2, "adds", *site.makes_more)
        status, report, _ = site.rehearse("--clone-url", url)
        assert (status, name in report["clone"]["name"]) == (0, True)
        assert site.clones() == []
        site.rehearse("--clone-url", url, "--one-way")
        assert site.picture(name) == empty
        site.server.query("CREATE TABLE somebodys (id integer)", name)
        status, report, _ = site.rehearse("--clone-url", url)
        assert (status, "is not empty (somebodys)" in report["error"]["message"]) == (1, True)
        assert site.has_table("somebodys", name)
        assert site.marks(name) == []
    finally:
        site.server.drop_database(name)


def test_a_named_clone_that_a_killed_rehearsal_left_is_emptied_by_the_next(on_server):
    site = on_server
    name = f"{site.name}_lockstep_clone"
    site.server.create_database(name)
    try:
        url = site.server.url(name)
        site.write(2, "waits", site.gate, "SELECT 1;\n")
        victim = site.start_at_the_gate("--clone-url", url)
        status, report, _ = site.rehearse("--clone-url", url, state="elsewhere")
        assert (status, "another rehearsal" in report["error"]["message"]) == (1, True)
        victim.send_signal(signal.SIGKILL)
        victim.wait(PATIENCE_S)
        assert site.has_table("users", name)
        site.write(2, "waits", "SELECT 1;\n", "SELECT 1;\n")
        assert site.rehearse("--clone-url", url)[0] == 0
        assert not site.has_table("users", name)
    finally:
        site.server.drop_database(name)


def test_a_role_that_may_make_no_database_is_told_what_to_do(on_postgres):
    site = on_postgres
    role = f"{site.name}_role"
    site.server.create_role(role)
    try:
        site.server.query(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; GRANT ALL ON SCHEMA lockstep TO {role};"
                          f"GRANT ALL ON ALL TABLES IN SCHEMA lockstep TO {role}", site.name)
        site.url = site.server.url(site.name, user=role)
        site.write(2, "adds", "CREATE TABLE a (id integer);\n", "DROP TABLE a;\n")
        status, report, _ = site.rehearse()
        assert status == 1
        assert "ALTER ROLE … CREATEDB" in report["error"]["message"]
        assert "--clone-url" in report["error"]["message"]
        assert site.left_behind() == []
        site.server.query(f"ALTER ROLE {role} CREATEDB")
        status, report, _ = site.rehearse()
        assert (status, report["error"]) == (0, None)
        assert site.clones() == []
    finally:
        site.server.query(f"DROP OWNED BY {role}", site.name)
        site.server.query(f"DROP ROLE {role}")


def test_a_user_of_mariadb_that_may_make_no_database_is_told_what_to_do(on_mariadb):
    site = on_mariadb
    user = f"{site.name}_user"[-32:].lstrip("_")
    site.server.query(f"CREATE USER {user}@'%'; GRANT ALL ON {site.name}.* TO {user}@'%'; "
                      f"GRANT PROCESS ON *.* TO {user}@'%'")
    try:
        site.url = site.server.url(site.name, user=user)
        site.write(2, "adds", "CREATE TABLE a (id integer);\n", "DROP TABLE a;\n")
        status, report, _ = site.rehearse()
        assert status == 1
        assert "GRANT ALL ON `%_lockstep_rehearsal_%`.*" in report["error"]["message"]
        assert "--clone-url" in report["error"]["message"]
        assert site.left_behind() == []
        site.server.query(f"GRANT ALL ON `%\\_lockstep\\_rehearsal\\_%`.* TO {user}@'%'")
        status, report, _ = site.rehearse()
        assert (status, report["error"]) == (0, None)
        assert site.clones() == []
    finally:
        site.server.query(f"DROP USER {user}@'%'")


def test_the_live_database_is_no_clone(on_server):
    site = on_server
    site.write(2, "adds", "CREATE TABLE a (id integer);\n", "DROP TABLE a;\n")
    before = site.picture()
    status, report, _ = site.rehearse("--clone-url", site.url)
    assert (status, "the live database itself" in report["error"]["message"]) == (1, True)
    assert site.picture() == before
