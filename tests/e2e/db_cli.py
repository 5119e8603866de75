"""What the tests of `lockstep db` share: one fresh database each, and a folder of migrations made here."""

import contextlib
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


class Database:
    """One database and a folder of migrations for it."""

    FOLDER, FORMAT = ["status", "plan", "up", "down", "retry", "mark-applied", "mark-reverted"], ["lock", "restore", "drift"]

    def __init__(self, folder, url, read):
        self.folder, self.url, self.read, self.started = folder, url, read, []
        self.migrations = folder / "migrations"
        self.migrations.mkdir()

    def write(self, number, name, up, down=None):
        (self.migrations / f"{number:06d}_{name}.up.sql").write_text(up)
        if down is not None:
            (self.migrations / f"{number:06d}_{name}.down.sql").write_text(down)

    def tables(self, count, first=1):
        """`count` migrations that make one table each: t1, t2 …"""
        for i in range(first, first + count):
            self.write(i, f"make_t{i}", f"CREATE TABLE t{i} (id integer PRIMARY KEY);\n", f"DROP TABLE t{i};\n")

    def words(self, verb, *more):
        return [LOCKSTEP, "db", verb, "--url", self.url, "--state", self.folder / "state",
                *(["--format", "morph"] if verb in self.FORMAT + self.FOLDER and "--format" not in more else []),
                *(["--dir", self.migrations] if verb in self.FOLDER and "--dir" not in more else []), *more]

    def db(self, verb, *more, **environment):
        return subprocess.run(self.words(verb, *more), capture_output=True, text=True, timeout=PATIENCE_S, check=False,
                              env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment})

    def json(self, verb, *more):
        done = self.db(verb, *more, "--json")
        return done.returncode, json.loads(done.stdout)

    def ledger(self):
        return [row[0] for row in self.read("SELECT name FROM db_migrations ORDER BY version")]

    def start(self, verb, *more):
        run = subprocess.Popen(self.words(verb, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"})
        self.started.append(run)
        return run

    def close(self):
        """Ends what a failed test left at work."""
        for run in self.started:
            if run.poll() is None:
                run.kill()
                run.communicate()
        for status in (self.folder / "state" / "holders").glob("*/status.json"):
            if subprocess.run(["flock", "-n", status.parent / "alive", "true"], check=False).returncode != 0:
                with contextlib.suppress(OSError):
                    os.kill(int(json.loads(status.read_text())["process"].split()[0]), signal.SIGTERM)


@pytest.fixture
def on_postgres(tmp_path, request):
    server = request.getfixturevalue("postgres")
    name = f"db_{os.getpid()}_{abs(hash(str(tmp_path))) % 10 ** 9}"
    server.create_database(name)
    database = Database(tmp_path, server.url(name), lambda sql: server.query(sql, name))
    database.server, database.name = server, name
    yield database
    database.close()
    server.drop_database(name)


@pytest.fixture
def on_sqlite(tmp_path):
    path = tmp_path / "app.db"

    def read(sql):
        with contextlib.closing(sqlite3.connect(path)) as db:
            rows = db.execute(sql).fetchall()
            db.commit()
            return rows

    database = Database(tmp_path, f"sqlite://{path}", read)
    database.path = path
    return database


@pytest.fixture(params=["on_postgres", "on_sqlite"])
def database(request):
    return request.getfixturevalue(request.param)


def no_holder_lives(database):
    """Every holder of this state directory has ended."""
    for alive in (database.folder / "state" / "holders").glob("*/alive"):
        if subprocess.run(["flock", "-n", alive, "true"], check=False).returncode != 0:
            return False
    return True


def wait_until(what, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
