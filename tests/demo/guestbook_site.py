"""The guestbook's site: one database, three nodes, and the two files that describe them.

Owns: the directory of the site (database, artifacts, the nodes' own directories, the YAML) and how
it is looked at from outside: pages, ledger, schema, evidence.  Refuses: to change anything that
Lockstep is meant to change.  The demo and the tests in tests/e2e share it.
"""
import contextlib
import json
import pathlib
import random
import re
import socket
import sqlite3
import sys
import threading
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "service"), str(HERE.parent / "e2e")]

import build  # noqa: E402
from pg import PgError, PostgresServer  # noqa: E402

VERSIONS = ("1.0.0", "1.1.0", "2.0.0")
SCHEMA = {"1.0.0": 1, "1.1.0": 2, "2.0.0": 4}
RUNS_WITH = {"1.0.0": "1..2", "1.1.0": "2..3", "2.0.0": "4"}
STORAGE_MAJOR = {"1.0.0": "1", "1.1.0": "1", "2.0.0": "2"}
MIGRATIONS = ("create_entries", "index_entries_by_author", "create_authors_view",
              "drop_author_email")
PAGE_TIMEOUT_S = 5

APPLICATION = """\
# What the vendor knows: the releases of guestbook, and how one becomes another.
lockstep: 1
kind: Application
name: guestbook
versions: semver
observe: {{ command: [bin/guestbook, version], matches: "Version: (\\\\S+)" }}
paths:
  required: ["1.1.0"]                # a way across it visits it: 1.0.0 -> 1.1.0 -> 2.0.0
releases:
{releases}
layout: {{ path: "${{node.dir}}/app", keep: [etc] }}
service:
  process:
    command: [bin/guestbook, serve, --port, "${{node.port}}", --database, "${{database.main.url}}",
              --config, "${{node.dir}}/guestbook.json"]
    stop_within: 5s
  within: 20s
ports: "${{node.port}}"
health:
  - http: {{ url: "http://127.0.0.1:${{node.port}}/health", matches: "GOOD", timeout: 2s }}
    consecutive: 2
    every: 100ms
    within: 20s
databases:
  main: {{ migrations: {{ format: morph, dir: db/migrations/{engine} }} }}
extra_steps:
  - name: install-module             # the storage module belongs to the node, not to the release
    when: {{ direction: up }}
    scope: node
    after: swapped
    do: [ {{ run: [modules/install, "${{node.dir}}"] }} ]
  - name: remove-newer-module        # 1.x refuses to start beside the module of 2.0.0, and only
    when: {{ direction: down, hop_from: ">=2.0.0", hop_to: "<2.0.0" }}
    scope: node
    before: swapped                  # 2.0.0 knows how to take it off
    do: [ {{ run: [modules/remove, "${{node.dir}}"] }} ]
  - name: reinstall-older-module
    when: {{ direction: down, hop_from: ">=2.0.0", hop_to: "<2.0.0" }}
    scope: node
    after: swapped
    do: [ {{ run: [modules/install, "${{node.dir}}"] }} ]
"""

RELEASE = """\
  - version: "{version}"
    artifact: {{ url: "file://{path}", sha256: "{sha256}" }}
    schema: {{ main: {schema} }}
    runs_with: {{ main: "{runs_with}" }}"""

CLUSTER = """\
# What the site knows: nodes, database, strategy, and the one line that a commit changes.
lockstep: 1
kind: Cluster
name: guestbook-demo
application: guestbook.yaml
version: "{version}"
nodes:
{nodes}
databases:
  main: {{ url: "{url}"{password} }}
strategy: {strategy}
backup: {{ when: lossy, with: {{ {dump}: {backups} }} }}
"""

ROLLING = "{ rolling: { canary: 1, max_unavailable: 1 }, if_not_rolling: all-at-once }"


def free_port(taken=()):
    """One that no outgoing connection is given by chance while its service is stopped."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                if port not in taken:
                    return port


class SqliteDatabase:
    engine = "sqlite"
    dump = "sqlite"

    def __init__(self, top):
        self.path = top / "guestbook.db"
        self.url = f"sqlite://{self.path}"
        self.close = lambda: None
        sqlite3.connect(self.path).close()

    def query(self, sql):
        connection = sqlite3.connect(self.path, timeout=10)
        try:
            return [tuple(row) for row in connection.execute(sql).fetchall()]
        finally:
            connection.close()

    def schema(self):
        """Comparable text, without Lockstep's own tables."""
        rows = self.query("SELECT type, name, tbl_name, sql FROM sqlite_master "
                          "WHERE tbl_name NOT LIKE 'lockstep%' ORDER BY type, name")
        return "\n".join(" ".join(str(word) for word in row) for row in rows)

    def evidence(self):
        """[(run, step, item)] of Lockstep's own table, in the order in which they committed."""
        return self.query("SELECT run, step, item FROM lockstep_evidence ORDER BY rowid")

    def has_evidence(self):
        return self.query("SELECT 1 FROM sqlite_master WHERE name = 'lockstep_evidence'") != []


class PostgresDatabase:
    engine = "postgres"
    dump = "pg_dump"
    name = "guestbook"

    def __init__(self, server=None):
        self.own = PostgresServer().start() if server is None else None
        self.server = server or self.own
        self.server.drop_database(self.name)
        self.server.create_database(self.name)
        self.url = f"postgres://postgres@{self.server.host}:{self.server.port}/{self.name}"

    def close(self):
        if self.own is not None:
            self.own.close()

    def query(self, sql):
        def typed(text):
            return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text

        return [tuple(typed(word) for word in row) for row in self.server.query(sql, self.name)]

    def schema(self):
        # A down that adds a column back can only add it last.
        return self.server.dump_schema(self.name, column_order=False)

    def evidence(self):
        return self.query("SELECT run, step, item FROM lockstep.evidence ORDER BY at, item")

    def has_evidence(self):
        return self.query("SELECT to_regclass('lockstep.evidence') IS NOT NULL")[0][0] == "t"


class Site:
    """names: the nodes.  database: one of the two above; an SQLite one is made otherwise.
    extra_steps: further ones, as YAML, for the Application."""

    def __init__(self, top, names=("app-1", "app-2", "app-3"), database=None, strategy=ROLLING,
                 extra_steps=""):
        self.top = pathlib.Path(top).resolve()
        self.names = list(names)
        self.strategy = strategy
        self.extra_steps = extra_steps
        self.artifacts = build.build(self.top / "artifacts")
        self.database = database or SqliteDatabase(self.top)
        self.password = ""  # what stands behind the url in the Cluster file
        self.ports = {}
        for name in self.names:
            self.ports[name] = free_port(self.ports.values())
            folder = self.node_dir(name)
            folder.mkdir(parents=True)
            (folder / "guestbook.json").write_text(json.dumps({"node_dir": str(folder)}) + "\n",
                                                   encoding="utf-8")
        self.config = self.top / "config"
        self.config.mkdir()
        (self.top / "backups").mkdir()

    @property
    def cluster_file(self):
        return self.config / "cluster.yaml"

    def node_dir(self, name):
        return self.top / "nodes" / name

    def tree(self, name):
        """The installed release of a node."""
        return self.node_dir(name) / "app"

    # ---- the files -----------------------------------------------------------------------

    def application_text(self):
        releases = [RELEASE.format(version=version, schema=SCHEMA[version],
                                   runs_with=RUNS_WITH[version], **self.artifacts[version])
                    for version in VERSIONS]
        text = APPLICATION.format(releases="\n".join(releases), engine=self.database.engine)
        return text + self.extra_steps

    def cluster_text(self, version):
        nodes = [f"  - {{ name: {name}, vars: {{ port: {self.ports[name]}, "
                 f"dir: {self.node_dir(name)} }} }}" for name in self.names]
        return CLUSTER.format(version=version, nodes="\n".join(nodes), url=self.database.url,
                              password=self.password, strategy=self.strategy,
                              dump=self.database.dump, backups=self.top / "backups")

    def write(self, version):
        """Both files; returns the Cluster's path."""
        (self.config / "guestbook.yaml").write_text(self.application_text(), encoding="utf-8")
        self.cluster_file.write_text(self.cluster_text(version), encoding="utf-8")
        return self.cluster_file

    # ---- looking -------------------------------------------------------------------------

    def page(self, name, path, body=None):
        """(status, JSON) of a node's page; (0, reason) when it does not answer."""
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.ports[name]}{path}"
        try:
            with urllib.request.urlopen(url, data=data, timeout=PAGE_TIMEOUT_S) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except (OSError, ValueError) as error:
            return 0, str(error)

    def health(self, name):
        return self.page(name, "/health")

    def is_good(self, name, version):
        status, answer = self.health(name)
        return (status == 200 and answer["status"] == "GOOD" and answer["version"] == version
                and answer["schema"] == SCHEMA[version])

    def post(self, name, author, message):
        status, answer = self.page(name, "/entries", {
            "author": author, "message": message, "author_email": f"{author}@example.org"})
        assert status == 201, answer

    def entries(self):
        """[(author, message)] as the database has them."""
        return [(row[0], row[1]) for row in
                self.database.query("SELECT author, message FROM entries ORDER BY id")]

    def ledger(self):
        """[(version, name)] of the application's own table; None when there is none."""
        try:
            return [(int(row[0]), row[1]) for row in
                    self.database.query("SELECT version, name FROM db_migrations ORDER BY version")]
        except (sqlite3.Error, PgError) as error:
            if "db_migrations" in str(error):
                return None
            raise

    def expected_ledger(self, version):
        return [(i + 1, MIGRATIONS[i]) for i in range(SCHEMA[version])]

    def module(self, name):
        """The version of a node's storage module, or None."""
        path = self.node_dir(name) / "modules/storage/VERSION"
        return path.read_text(encoding="ascii").strip() if path.exists() else None

    def problems(self, version):
        """Everything that is not as it is when the whole site runs `version`; [] when all is."""
        found = []
        for name in self.names:
            if not self.is_good(name, version):
                found.append(f"{name} does not run {version}: {self.health(name)}")
            # An older module is brought up to date, a newer one of the same major is good enough.
            if (self.module(name) or "none").split(".")[0] != STORAGE_MAJOR[version]:
                found.append(f"{name} has storage module {self.module(name)}")
            found += [f"{name}: {words}" for words in self.tree_problems(name, version)]
        if self.ledger() != self.expected_ledger(version):
            found.append(f"the ledger holds {self.ledger()}")
        return found

    def tree_problems(self, name, version):
        """How the installed tree differs from the artifact; `keep:` and Lockstep's marker are no
        part of it."""
        import tarfile

        with tarfile.open(self.artifacts[version]["path"]) as archive:
            wanted = {member.name: archive.extractfile(member).read()
                      for member in archive if member.isfile()}
        tree = self.tree(name)
        found = {str(path.relative_to(tree)): path.read_bytes()
                 for path in tree.rglob("*") if path.is_file()}
        found = {path: data for path, data in found.items()
                 if not path.startswith((".lockstep", "etc/"))}
        names = sorted(path for path in {**wanted, **found} if wanted.get(path) != found.get(path))
        return [f"{path} is not as in the artifact of {version}" for path in names]

    def migrations_run(self):
        """[item] of the evidence, in their order: what really committed."""
        if not self.database.has_evidence():
            return []
        return [str(row[2]) for row in self.database.evidence()]

    def close(self):
        self.database.close()


class HealthWatch:
    """Asks every node for its /health all the time; a thread each."""

    def __init__(self, site):
        self.site = site
        self.over = threading.Event()
        self.samples = {name: [] for name in site.names}  # (begin, end, version or None)
        self.threads = [threading.Thread(target=self._look, args=(name,)) for name in site.names]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def _look(self, name):
        while not self.over.is_set():
            begin = time.monotonic()
            status, answer = self.site.health(name)
            version = answer["version"] if status == 200 and answer["status"] == "GOOD" else None
            self.samples[name].append((begin, time.monotonic(), version))
            time.sleep(0.003)

    def downs(self, name):
        """[(from, to)]: each stretch without a good answer, by its outermost bad samples."""
        found, since, last = [], None, None
        for begin, end, version in self.samples[name]:
            if version is None:
                since, last = since or begin, end
            elif since is not None:
                found.append((since, last))
                since = None
        return found + ([(since, last)] if since is not None else [])
