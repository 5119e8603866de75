"""What stands half-done, and the four words about it: each format, on each engine that its tool has, by each word.

One half is begun by Lockstep and stopped by the server in the middle of a script that no transaction holds; the other half is
left by the tool itself, in a database that Lockstep has never been to.  What the ledger says afterwards is read by the tool's own
rules, written here in SQL.
"""

import contextlib
import os
import sqlite3
import subprocess
import time

import pytest

from db_cli import Database, no_holder_lives

ENGINES = {"morph": ("postgres", "mariadb", "sqlite"), "golang-migrate": ("postgres", "mariadb", "sqlite"),
           "goose": ("postgres", "mariadb", "sqlite"), "sourcegraph": ("postgres",)}
PAIRS = [(format, engine) for format, engines in ENGINES.items() for engine in engines]

# ---- one database ----


class Settle(Database):
    """A database of one engine, with three migrations of one format: make_t1, half and make_t3."""

    FOLDER, FORMAT = [], []

    def __init__(self, folder, url, read, format, engine):
        super().__init__(folder, url, read)
        self.format, self.engine = format, engine
        self.intents = "lockstep.intent" if engine == "postgres" else "lockstep_intent"
        self.evidence = "lockstep.evidence" if engine == "postgres" else "lockstep_evidence"
        for number, name in ((1, "make_t1"), (3, "make_t3")):
            self.put(number, name, f"CREATE TABLE t{number} (x integer);\n", f"DROP TABLE t{number};\n")
        self.put(2, "half", *HALF[format, engine])

    def put(self, number, name, up, down):
        if self.format == "goose":
            bare = "NO TRANSACTION" in up
            up = up if bare else f"-- +goose Up\n{up}"
            (self.migrations / f"{number:06d}_{name}.sql").write_text(f"{up}-- +goose Down\n{down}")
        elif self.format == "sourcegraph":
            folder = self.migrations / f"{number}_{name}"
            folder.mkdir(exist_ok=True)
            (folder / "up.sql").write_text(up)
            (folder / "down.sql").write_text(down)
            concurrent = "createIndexConcurrently: true\n" if "CONCURRENTLY" in up else ""
            parents = f"parents: [{number - 1}]\n" if number > 1 else ""
            (folder / "metadata.yaml").write_text(f"name: {name}\n{parents}{concurrent}")
        else:
            self.write(number, name, up, down)

    def file(self, number, name, way="up"):
        return {"goose": f"{number:06d}_{name}.sql", "sourcegraph": f"{number}_{name}/{way}.sql"}.get(
            self.format, f"{number:06d}_{name}.{way}.sql")

    def id(self, number):
        return {1: "make_t1", 2: "half", 3: "make_t3"}[number] if self.format == "morph" else str(number)

    def words(self, verb, *more):
        return super().words(verb, "--format", self.format, "--dir", self.migrations, *more)

    def went(self, status, verb, *more):
        done = self.db(verb, *more)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def tables(self):
        sql = {"postgres": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", "mariadb": "SHOW TABLES",
               "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'"}[self.engine]
        return sorted({row[0] for row in self.read(sql)} & {"t1", "half", "late", "t3"})

    def tool_reads(self):
        """What the tool itself takes for applied, and what it stops at."""
        return READ[self.format](self)

    def open_words(self):
        status, told = self.json("status")
        assert status == (3 if told["unsettled"] else 0)
        return told["unsettled"]


def truth(cell):
    return str(cell).lower() in ("t", "true", "1")


def read_morph(db):
    return [{"make_t1": 1, "half": 2, "make_t3": 3}[row[0]] for row in db.read(
        "SELECT name FROM db_migrations ORDER BY version")], None


def read_golang_migrate(db):
    """Its Version(): the only row, or nothing; dirty stops it."""
    rows = db.read("SELECT version, dirty FROM schema_migrations")
    assert len(rows) <= 1
    version, dirty = (int(rows[0][0]), truth(rows[0][1])) if rows else (0, False)
    return list(range(1, version + 1)), "dirty" if dirty else None


def read_goose(db):
    """Of each version the newest row; the row of version 0 must be there."""
    newest = {}
    for version, applied in db.read("SELECT version_id, is_applied FROM goose_db_version ORDER BY id DESC"):
        newest.setdefault(int(version), truth(applied))
    assert newest.pop(0)
    return sorted(version for version, applied in newest.items() if applied), None


def read_sourcegraph(db):
    rows = db.read("""
        WITH ranked AS (SELECT version, up, success, row_number() OVER (PARTITION BY schema, version
                        ORDER BY backfilled, started_at DESC) AS place FROM migration_logs WHERE schema = 'schema_migrations')
        SELECT version, CASE WHEN success IS NULL THEN 'pending' WHEN NOT success THEN 'failed' WHEN up THEN 'applied' END
        FROM ranked WHERE place = 1 ORDER BY version""")
    marks = [row[1] for row in rows if row[1] in ("pending", "failed")]
    return [int(row[0]) for row in rows if row[1] == "applied"], marks[0] if marks else None


READ = {"morph": read_morph, "golang-migrate": read_golang_migrate, "goose": read_goose, "sourcegraph": read_sourcegraph}

# ---- what stops in its middle: half stands, late is missing ----

OWN = "BEGIN;\nCREATE TABLE half (x integer);\nCOMMIT;\n"
BARE = "CREATE TABLE half (x integer);\n"
LATE = "INSERT INTO late VALUES (1);\n"
GOOSE = "-- +goose NO TRANSACTION\n-- +goose Up\n"
DROP = "DROP TABLE IF EXISTS half;\n"
HALF = {
    ("morph", "postgres"): ("-- morph:nontransactional\n" + OWN + LATE, DROP),
    ("morph", "mariadb"): (BARE + LATE, DROP),
    ("morph", "sqlite"): ("-- morph:nontransactional\n" + OWN + LATE, DROP),
    ("golang-migrate", "postgres"): (OWN + LATE, DROP),
    ("golang-migrate", "mariadb"): (BARE + LATE, DROP),
    ("golang-migrate", "sqlite"): (OWN + LATE, DROP),
    ("goose", "postgres"): (GOOSE + BARE + LATE, DROP),
    ("goose", "mariadb"): (GOOSE + BARE + LATE, DROP),
    ("goose", "sqlite"): (GOOSE + BARE + LATE, DROP),
    ("sourcegraph", "postgres"): ("BEGIN;\nCREATE TABLE half (x integer); COMMIT AND CHAIN;\n" + LATE + "COMMIT;\n", DROP),
}


def line_of_late(db):
    return HALF[db.format, db.engine][0].split(LATE)[0].count("\n") + 1


# ---- servers: one of each, the databases made empty again ----

@pytest.fixture
def make(tmp_path, request):
    """make(format, engine) -> a Settle on an empty database."""
    with contextlib.ExitStack() as after:
        def begin(format, engine):
            name = f"rehearse_settle_{os.getpid()}_{abs(hash(str(tmp_path))) % 10 ** 9}"
            if engine == "sqlite":
                path = tmp_path / "app.db"
                url = f"sqlite://{path}"

                def read(sql):
                    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
                        cursor = None
                        for one in filter(str.strip, sql.split(";")):
                            cursor = connection.execute(one)
                        return [[str(cell) for cell in row] for row in cursor.fetchall()]
            else:
                server = request.getfixturevalue(engine)
                server.create_database(name)
                after.callback(server.drop_database, name)
                url = server.url(name)

                if engine == "postgres":
                    connection = after.enter_context(contextlib.closing(server.connect(name)))

                def read(sql):
                    if engine == "mariadb":
                        return server.query(sql, name)
                    with connection.cursor() as cursor:
                        cursor.execute(sql)
                        return [[str(cell) for cell in row] for row in cursor.fetchall()] if cursor.description else []
            db = Settle(tmp_path, url, read, format, engine)
            db.name = name
            after.callback(db.close)
            return db
        yield begin


# ---- begun by Lockstep, stopped by the server ----

def stop_in_the_middle(db):
    said = db.went(1, "up")
    place = f"{db.file(2, 'half')}:{line_of_late(db)}"
    assert place in said and "late" in said, said
    assert db.tables() == ["half", "t1"]
    return place


def finish_by_hand(db):
    db.read("CREATE TABLE late (x integer)")


def last_evidence(db, number):
    rows = db.read(f"SELECT how FROM {db.evidence} WHERE item = '{db.id(number)}' ORDER BY number DESC LIMIT 1")
    return rows[0][0] if rows else None


WORDS = {  # word: what the tool takes for applied afterwards, the evidence, what `up` then has to run
    "retry": ([1], "a person said: retry", [2, 3]),
    "mark-applied": ([1, 2], "a person said: mark-applied", [3]),
    "mark-reverted": ([1], "a person said: mark-reverted", [2, 3]),
    "down": ([1], "ran", [2, 3]),
}


def give(db, word, number, to):
    if word == "down":
        db.went(0, "down", "--to", to, "--lossy", "ok")
        return
    status, told = db.json(word, str(number))
    assert (status, told["id"], told["answer"], told["unsettled"]) == (0, db.id(number), word, 0)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(("format", "engine"), PAIRS)
def test_a_word_about_what_lockstep_began_is_written_as_the_tool_would_write_it(make, format, engine, word):
    db = make(format, engine)
    place = stop_in_the_middle(db)
    [u] = db.open_words()
    assert (u["id"], u["direction"], u["ours"], u["file"], u["line"]) == (
        db.id(2), "up", True, db.file(2, "half"), line_of_late(db))
    assert u["statement"] == LATE.strip()
    assert [answer["word"] for answer in u["answers"]] == list(WORDS)
    if word == "retry":
        text = db.went(3, "status")
        assert f"it stopped at {place}: {LATE.strip()}" in text, text
        assert all(answer["means"] in text and answer["when"] in text for answer in u["answers"])
    applied, how, pending = WORDS[word]
    if word in ("retry", "mark-reverted"):
        db.read("DROP TABLE half")
    give(db, word, 2, "1")
    assert db.tool_reads() == (applied, None)
    assert (db.read(f"SELECT * FROM {db.intents}"), last_evidence(db, 2)) == ([], how)
    assert db.tables() == (["half", "t1"] if word == "mark-applied" else ["t1"])
    finish_by_hand(db)
    status, told = db.json("up")
    assert (status, [m["id"] for m in told["migrations"]]) == (0, [db.id(n) for n in pending]), told
    assert db.tool_reads() == ([1, 2, 3], None)
    assert db.read("SELECT count(*) FROM late") == [["0" if word == "mark-applied" else "1"]]


@pytest.mark.parametrize("format", ENGINES)
def test_a_concurrent_index_that_fails_leaves_no_index_and_what_ran_before_it_is_asked_about(make, format):
    db = make(format, "postgres")
    index = "CREATE UNIQUE INDEX CONCURRENTLY i ON t1 (x);\n"
    before = BARE if format == "goose" else ""
    lead = {"morph": "-- morph:nontransactional\n", "goose": GOOSE + BARE}.get(format, "")
    db.put(2, "half", lead + index, "DROP INDEX IF EXISTS i;\n" + (DROP if before else ""))
    db.went(0, "up", "--to", "1")
    db.read("INSERT INTO t1 VALUES (1), (1)")
    said = db.went(1, "up")
    assert f"{db.file(2, 'half')}" in said and "could not create unique index" in said
    assert db.read("SELECT * FROM pg_class WHERE relname = 'i'") == []
    assert [(u["id"], u["statement"]) for u in db.open_words()] == ([(db.id(2), index.strip())] if before else [])
    assert db.tool_reads() == ([1], None)
    db.read("DELETE FROM t1")
    db.went(0, "up")
    assert db.tool_reads() == ([1, 2, 3], None)
    assert db.read("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass") == [["True"]]


# ---- left by the tool itself ----

def tool_s_ledger(db):
    """The first one applied as the tool does it; Lockstep has never been here."""
    db.read("CREATE TABLE t1 (x integer)")
    if db.format == "golang-migrate":
        db.read({"sqlite": "CREATE TABLE schema_migrations (version uint64, dirty bool);"
                           "CREATE UNIQUE INDEX version_unique ON schema_migrations (version)"}.get(
            db.engine, "CREATE TABLE schema_migrations (version bigint not null primary key, dirty boolean not null)"))
    else:
        db.read("CREATE TABLE migration_logs (id SERIAL PRIMARY KEY, migration_logs_schema_version integer NOT NULL,"
                " schema text NOT NULL, version integer NOT NULL, up bool NOT NULL, started_at timestamptz NOT NULL,"
                " finished_at timestamptz, success boolean, error_message text, backfilled boolean NOT NULL DEFAULT FALSE)")
        log(db, 1, "true", "true")


def dirty(db, version):
    value = "1" if db.engine == "sqlite" else "true"
    db.read(f"INSERT INTO schema_migrations (version, dirty) VALUES ({version}, {value})")


def log(db, version, up, success, error=None):
    db.read("INSERT INTO migration_logs (migration_logs_schema_version, schema, version, up, started_at, finished_at, success,"
            f" error_message) VALUES (2, 'schema_migrations', {version}, {up}, clock_timestamp(),"
            f" {'NULL' if success == 'NULL' else 'clock_timestamp()'}, {success}, {'NULL' if error is None else repr(error)})")


def both_applied(db):
    log(db, 2, "true", "true")


WENT_WRONG = 'relation "late" does not exist'
MARKS = {  # what the tool was at: its rows, the migration that it was at, its direction, and what stops the tool
    "dirty, up": ("golang-migrate", lambda db: dirty(db, 2), 2, "up", "dirty"),
    "dirty, down to 1": ("golang-migrate", lambda db: dirty(db, 1), 2, "down", "dirty"),
    "dirty, down to none": ("golang-migrate", lambda db: dirty(db, -1), 1, "down", "dirty"),
    "pending, up": ("sourcegraph", lambda db: log(db, 2, "true", "NULL"), 2, "up", "pending"),
    "failed, up": ("sourcegraph", lambda db: log(db, 2, "true", "false", WENT_WRONG), 2, "up", "failed"),
    "pending, down": ("sourcegraph", lambda db: (both_applied(db), log(db, 2, "false", "NULL")), 2, "down", "pending"),
    "failed, down": ("sourcegraph", lambda db: (both_applied(db), log(db, 2, "false", "false", WENT_WRONG)), 2, "down", "failed"),
}
LEFT = [(mark, engine) for mark, (format, *_) in MARKS.items() for engine in ENGINES[format]]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(("mark", "engine"), LEFT)
def test_a_word_about_what_the_tool_left_is_written_as_the_tool_would_write_it(make, mark, engine, word):
    format, leave, number, way, state = MARKS[mark]
    db = make(format, engine)
    tool_s_ledger(db)
    leave(db)
    db.read("CREATE TABLE half (x integer)")
    assert db.tool_reads()[1] == state
    [u] = db.open_words()
    in_the_row = 1 if mark == "dirty, down to 1" else number  # it does not say which one came down to it
    assert (u["ours"], u["id"], u["direction"]) == (False, db.id(in_the_row), "up" if in_the_row != number else way)
    assert u["file"] == db.file(in_the_row, {1: "make_t1", 2: "half"}[in_the_row], u["direction"])
    assert u["or_down"] == {"dirty, up": "3", "dirty, down to 1": "2"}.get(mark, "")
    assert (WENT_WRONG if state == "failed" else state) in u["mark"]
    if word == "retry":
        said = db.went(3, "up")  # nothing is built on it
        assert u["file"] in said and u["mark"] in said and f"mark-reverted {u['id']}" in said and "t3" not in db.tables()
    if word == "down" and mark == "dirty, down to 1":
        give(db, "mark-applied", 2, None)  # the row alone cannot tell that 2 is meant: its down needs to be said
    give(db, word, number, str(number - 1))
    below = list(range(1, number))
    applied = below + [number] if word == "mark-applied" or (word == "retry" and way == "down") else below
    assert db.tool_reads() == (applied, None)
    assert (db.read(f"SELECT * FROM {db.intents}"), last_evidence(db, number)) == ([], WORDS[word][1])
    if number == 2:
        assert ("half" in db.tables()) == (word != "down")
        if word != "down":
            db.read("DROP TABLE half")
    elif word == "mark-reverted":
        db.read("DROP TABLE t1")
    finish_by_hand(db)
    if number == 1:
        db.read(DROP)
    status, told = db.json("up")
    assert (status, [m["id"] for m in told["migrations"]]) == (0, [str(n) for n in (1, 2, 3) if n not in applied]), told
    assert db.tool_reads() == ([1, 2, 3], None)


# ---- wrong use ----

@contextlib.contextmanager
def held_by_another(db, request):
    """The tool's own lock, or on SQLite, where there is none, Lockstep's, held by somebody else."""
    server = request.getfixturevalue(db.engine)
    if db.engine == "mariadb":
        key = db.read(f"SELECT CRC32('{db.name}:schema_migrations') * 1486364155 & 0xffffffff")[0][0]
        with subprocess.Popen(server.client(db.name), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            other.stdin.write(f"SELECT GET_LOCK('{key}', 10);\n")
            other.stdin.flush()
            assert other.stdout.readline().strip() == "1"
            yield
            other.stdin.close()
        return
    with contextlib.closing(server.connect(db.name)) as other:
        cursor = other.cursor()
        if db.format == "morph":
            cursor.execute("CREATE TABLE IF NOT EXISTS db_lock (id varchar(64) PRIMARY KEY, expireat bigint)")
            cursor.execute("INSERT INTO db_lock VALUES ('mm-lock-key', %s)", [int(time.time()) + 3600])
        elif db.format == "golang-migrate":
            cursor.execute("SELECT pg_advisory_lock(%s)", [golang_migrate_key(db.name)])
        else:
            cursor.execute("SELECT pg_advisory_lock(%s)" if db.format == "goose" else "SELECT pg_advisory_lock(%s, 0)",
                           [4097083626 if db.format == "goose" else 1308612253])
        yield


def golang_migrate_key(name):
    import zlib
    return zlib.crc32(f"public\0schema_migrations\0{name}".encode()) * 1486364155 % 2 ** 32


@pytest.mark.parametrize(("format", "engine"), PAIRS)
def test_a_word_that_is_wrong_is_refused_and_changes_nothing(make, request, format, engine):
    db = make(format, engine)
    stop_in_the_middle(db)
    stands = db.tool_reads(), db.read(f"SELECT item, how FROM {db.evidence}"), db.read(f"SELECT item FROM {db.intents}")
    for word, id, why in (("retry", "99", "there is no migration 99 in "),
                          ("mark-reverted", "nowhere", "there is no migration nowhere in "),
                          ("mark-applied", "1", f"nothing of migration {db.id(1)} stands open in database")):
        said = db.went(1, word, id)
        assert why in said and said.count("\n") == 1, said
    if engine == "postgres" or (format, engine) == ("golang-migrate", "mariadb"):
        with held_by_another(db, request):
            done = db.db("mark-applied", "2", "--wait", "300ms")
            assert done.returncode == 1 and "lock" in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert stands == (db.tool_reads(), db.read(f"SELECT item, how FROM {db.evidence}"),
                      db.read(f"SELECT item FROM {db.intents}"))
    assert no_holder_lives(db)
