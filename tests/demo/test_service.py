"""The demo's service: what it refuses, what it serves, and that its migrations come back whole."""
import hashlib
import json
import os
import pathlib
import re
import socket
import sqlite3
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "service"), str(HERE.parent / "e2e")]

import build  # noqa: E402
from pg import PostgresServer, free_port  # noqa: E402

FILE_NAME = re.compile(r"^([0-9]+)_(.*)\.(down|up)\.(.*)$")  # morph's
EMAIL = "ada@example.org"


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """{version: folder of the unpacked artifact}"""
    top = tmp_path_factory.mktemp("releases")
    trees = {}
    for version, made in build.build(top / "artifacts").items():
        trees[version] = top / version
        with tarfile.open(made["path"]) as archive:
            archive.extractall(trees[version])
    return trees


class SqliteDatabase:
    engine = "sqlite"

    def __init__(self, path):
        self.path = path
        self.url = f"sqlite://{path}"
        sqlite3.connect(path).close()

    def run(self, script):
        connection = sqlite3.connect(self.path)
        connection.executescript(f"BEGIN; {script}; COMMIT;")
        connection.close()

    def rows(self, sql):
        connection = sqlite3.connect(self.path)
        found = connection.execute(sql).fetchall()
        connection.close()
        return [tuple(str(value) if value is not None else "" for value in row) for row in found]

    def schema(self):
        return self.rows("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name")


class PostgresDatabase:
    engine = "postgres"

    def __init__(self, server, name):
        self.server, self.name = server, name
        server.create_database(name)
        self.url = server.url(name)

    def run(self, script):
        self.server.query(f"BEGIN; {script}; COMMIT;", self.name)

    def rows(self, sql):
        return [tuple(row) for row in self.server.query(sql, self.name)]

    def schema(self):
        return self.server.dump_schema(self.name)


@pytest.fixture(scope="module")
def server():
    with PostgresServer() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    if request.param == "sqlite":
        made = SqliteDatabase(tmp_path / "guestbook.db")
    else:
        made = PostgresDatabase(request.getfixturevalue("server"), f"g{time.monotonic_ns()}")
    made.run("CREATE TABLE db_migrations (version bigint NOT NULL PRIMARY KEY,"
             " name varchar NOT NULL)")
    return made


def migrations(releases, engine):
    """[(version, name, up, down)] of the newest release."""
    found = {}
    for path in (releases["2.0.0"] / "db/migrations" / engine).iterdir():
        version, name, direction, _ = FILE_NAME.match(path.name).groups()
        found.setdefault((int(version), name), {})[direction] = path.read_text()
    return [(*key, both["up"], both["down"]) for key, both in sorted(found.items())]


def migrate(database, releases, to):
    """Moves the schema as morph would: file and ledger row in one transaction."""
    at = int(database.rows("SELECT coalesce(max(version), 0) FROM db_migrations")[0][0])
    all_of_them = migrations(releases, database.engine)
    for version, name, up, _ in all_of_them:
        if at < version <= to:
            database.run(f"{up}; INSERT INTO db_migrations VALUES ({version}, '{name}')")
    for version, _, _, down in reversed(all_of_them):
        if to < version <= at:
            database.run(f"{down}; DELETE FROM db_migrations WHERE version = {version}")


def module(releases, version, verb, node):
    return subprocess.run([releases[version] / "modules" / verb, node], capture_output=True,
                          text=True, check=False)


class Node:
    """One guestbook process, stopped at the end."""

    def __init__(self, releases, version, url, node_dir):
        self.port = free_port()
        config = pathlib.Path(node_dir, "guestbook.json")
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(json.dumps({"node_dir": str(node_dir)}))
        self.argv = [str(releases[version] / "bin/guestbook"), "serve", "--port", str(self.port),
                     "--database", str(url), "--config", str(config)]
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, text=True)
        said = self.process.stdout.readline()
        if "listens on" not in said:
            self.__exit__()
            pytest.fail(f"guestbook did not start, it said: {said!r}")
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def refusal(self):
        """(exit code, what it said) of a start that has to fail."""
        done = subprocess.run(self.argv, capture_output=True, text=True, timeout=10, check=False)
        return done.returncode, done.stderr

    def ask(self, path, body=None):
        url = f"http://127.0.0.1:{self.port}{path}"
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data), timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


def test_two_builds_are_the_same_bytes(tmp_path):
    first, second = build.build(tmp_path / "a"), build.build(tmp_path / "b")
    assert [made["sha256"] for made in first.values()] == \
        [made["sha256"] for made in second.values()]
    for made in first.values():
        data = pathlib.Path(made["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == made["sha256"]
        assert data[4:8] == bytes(4)  # gzip's own time


def test_each_release_says_its_version(releases):
    for version, tree in releases.items():
        said = subprocess.run([tree / "bin/guestbook", "version"], capture_output=True, text=True,
                              check=True).stdout
        assert said == f"Version: {version}\n"


def test_a_release_carries_its_own_migrations_only(releases):
    for version, count in (("1.0.0", 1), ("1.1.0", 2), ("2.0.0", 4)):
        for engine in build.ENGINES:
            names = sorted(os.listdir(releases[version] / "db/migrations" / engine))
            assert len(names) == 2 * count
            assert all(FILE_NAME.match(name) for name in names)


def test_every_down_restores_the_schema_before_its_up(database, releases):
    seen = [database.schema()]
    for version in range(1, 5):
        migrate(database, releases, version)
        seen.append(database.schema())
    assert len({str(schema) for schema in seen}) == 5
    for version in range(3, -1, -1):
        migrate(database, releases, version)
        assert database.schema() == seen[version]
    migrate(database, releases, 4)
    assert database.schema() == seen[4]


def test_migration_4_loses_the_addresses_and_nothing_else(database, releases):
    migrate(database, releases, 3)
    for author in ("ada", "bob"):
        database.run("INSERT INTO entries (author, message, created_at, author_email)"
                     f" VALUES ('{author}', 'hello', 7, '{EMAIL}')")
    migrate(database, releases, 4)
    assert database.rows("SELECT * FROM authors ORDER BY author") == [("ada", "1", "7"),
                                                                     ("bob", "1", "7")]
    migrate(database, releases, 1)
    assert database.rows("SELECT id, author, message, created_at, author_email FROM entries"
                         " ORDER BY id") == [("1", "ada", "hello", "7", ""),
                                             ("2", "bob", "hello", "7", "")]


@pytest.mark.parametrize("version, runs_with", [("1.0.0", {1, 2}), ("1.1.0", {2, 3}),
                                                ("2.0.0", {4})])
def test_starts_only_beside_a_schema_it_knows(database, releases, tmp_path, version, runs_with):
    node = tmp_path / "node"
    module(releases, version, "install", node)
    for schema in range(5):
        migrate(database, releases, schema)
        one = Node(releases, version, database.url, node)
        if schema in runs_with:
            with one:
                assert one.ask("/health") == (200, {"status": "GOOD", "version": version,
                                                    "schema": schema})
                assert one.ask("/entries")[0] == 200
        else:
            code, said = one.refusal()
            assert code == 3
            assert f"schema {schema}, this release runs with " \
                   f"{min(runs_with)}..{max(runs_with)}" in said


def test_refuses_a_database_without_a_ledger(database, releases, tmp_path):
    database.run("DROP TABLE db_migrations")
    module(releases, "1.0.0", "install", tmp_path)
    code, said = Node(releases, "1.0.0", database.url, tmp_path).refusal()
    assert code == 3 and "migrate it first" in said


def test_health_is_bad_when_the_schema_moves_under_a_running_node(database, releases, tmp_path):
    migrate(database, releases, 2)
    module(releases, "1.1.0", "install", tmp_path)
    with Node(releases, "1.1.0", database.url, tmp_path) as node:
        assert node.ask("/health")[0] == 200
        migrate(database, releases, 4)
        code, answer = node.ask("/health")
        assert (code, answer["status"], answer["schema"]) == (503, "BAD", 4)


def test_serves_what_its_release_has(database, releases, tmp_path):
    entry = {"author": "ada", "message": "it's %s?", "author_email": EMAIL}
    for version, schema in (("1.0.0", 1), ("1.1.0", 2), ("2.0.0", 4)):
        migrate(database, releases, schema)
        module(releases, version, "install", tmp_path)
        with Node(releases, version, database.url, tmp_path) as node:
            assert node.ask("/entries", entry)[0] == 201
            code, entries = node.ask("/entries")
            assert code == 200 and entries[0]["message"] == "it's %s?"
            assert entries[0].get("author_email") == (EMAIL if schema < 4 else None)
            assert node.ask("/entries?author=bob")[0] == (200 if schema > 1 else 400)
            assert node.ask("/authors")[0] == (200 if schema == 4 else 404)
            assert node.ask("/entries", {"author": "nobody"})[0] == 400


def test_the_module_has_to_be_reinstalled_on_the_way_down(releases, tmp_path):
    database = SqliteDatabase(tmp_path / "guestbook.db")
    database.run("CREATE TABLE db_migrations (version bigint PRIMARY KEY, name varchar)")
    node = tmp_path / "node"
    installed = node / "modules/storage/VERSION"
    migrate(database, releases, 2)

    code, said = Node(releases, "1.1.0", database.url, node).refusal()
    assert code == 4 and "is not installed" in said
    assert module(releases, "1.0.0", "install", node).returncode == 0
    with Node(releases, "1.1.0", database.url, node):
        assert installed.read_text() == "1.1\n"  # an older one is brought up to date
    migrate(database, releases, 4)
    with Node(releases, "2.0.0", database.url, node):
        assert installed.read_text() == "2.0\n"
    migrate(database, releases, 2)

    code, said = Node(releases, "1.1.0", database.url, node).refusal()
    assert code == 4 and "storage module 2.0 is too new, need <=1.x" in said
    over = module(releases, "1.1.0", "install", node)
    assert over.returncode == 1 and "remove it first" in over.stderr
    for verb, version, leaves in (("remove", "2.0.0", None), ("install", "1.1.0", "1.1\n")):
        for _ in range(2):  # both are idempotent
            assert module(releases, version, verb, node).returncode == 0
            assert (installed.read_text() if installed.exists() else None) == leaves
    with Node(releases, "1.0.0", database.url, node):
        pass  # 1.0.0 does not mind 1.1 of the module


def test_starts_and_stops_at_once_and_gives_its_port_back(database, releases, tmp_path):
    migrate(database, releases, 1)
    module(releases, "1.0.0", "install", tmp_path)
    node = Node(releases, "1.0.0", database.url, tmp_path)
    starts, stops = [], []
    for _ in range(5):
        began = time.monotonic()
        with node:
            starts.append(time.monotonic() - began)
            assert node.ask("/health")[0] == 200
            with socket.create_connection(("127.0.0.1", node.port)) as idle:
                idle.sendall(b"GET /hea")  # a request half-way does not hold it up
                began = time.monotonic()
                node.process.terminate()
                assert node.process.wait(timeout=5) == 0
                stops.append(time.monotonic() - began)
    assert min(starts) < 0.3 and min(stops) < 0.05


def test_says_what_is_wrong_with_a_port_a_config_or_a_database(releases, tmp_path):
    database = SqliteDatabase(tmp_path / "guestbook.db")
    database.run("CREATE TABLE db_migrations (version bigint PRIMARY KEY, name varchar)")
    migrate(database, releases, 1)
    module(releases, "1.0.0", "install", tmp_path)
    with Node(releases, "1.0.0", database.url, tmp_path) as first:
        second = Node(releases, "1.0.0", database.url, tmp_path)
        second.argv[3] = str(first.port)
        code, said = second.refusal()
        assert code == 5 and f"127.0.0.1:{first.port}: Address already in use" in said
    missing = Node(releases, "1.0.0", tmp_path / "nowhere.db", tmp_path)
    assert missing.refusal()[0] == 6
    assert not (tmp_path / "nowhere.db").exists()
    gone = Node(releases, "1.0.0", f"postgres://nobody@127.0.0.1:{free_port()}/x", tmp_path)
    assert gone.refusal()[0] == 6
    bad = Node(releases, "1.0.0", database.url, tmp_path)
    (tmp_path / "guestbook.json").write_text("{")
    assert bad.refusal()[0] == 2
