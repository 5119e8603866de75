"""The site of the real application: one PostgreSQL database, three Unleash nodes, two YAML files.

Owns: the site's directory, its database, and how it is looked at from outside: the nodes' own
pages, the package's ledger, the schema's dump, the lines that every start of the migrator leaves.
Refuses: to change anything that Lockstep is meant to change.
"""
import json
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import make_artifacts  # noqa: E402

OLD, NEW = "5.6.0", "5.12.8"
ROWS = make_artifacts.VERSIONS
OWNER = "unleash"
CLUSTER_NAME = "unleash-e2e"
PASSWORD = "open-sesame-unleash"
CLUSTER_LOCK = 5507730182447064432  # the advisory lock of lib/io/db/postgres.h
TOOL_LOCK = 479341  # the package's own
PAGE_TIMEOUT_S = 5

CLUSTER = """\
lockstep: 1
kind: Cluster
name: {name}
application: unleash.yaml
version: "{version}"
nodes:
{nodes}
databases:
  main: {{ url: "{url}", password: {{ file: "{secret}" }}, writers: {{ policy: wait, except: [postgres] }} }} # the tests' own sessions
strategy: all-at-once
"""


def repair_sql():
    """after-down.sql without its transaction: Lockstep's own holds the evidence too."""
    text = (HERE / "after-down.sql").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not re.fullmatch(r"BEGIN;|COMMIT;", line)]
    assert len(lines) == len(text.splitlines()) - 2
    return "\n".join(lines)


def indented(text, blanks):
    return "\n".join(blanks + line for line in text.splitlines())


def free_port(taken):
    """One that no outgoing connection is given by chance while its service is stopped."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in taken:
            return port


class UnleashSite:
    """server: a PostgresServer.  database: its name, made here from `template`."""

    def __init__(self, top, server, database, names=("u-1", "u-2", "u-3"), template="template1"):
        self.top = pathlib.Path(top).resolve()
        self.server = server
        self.database = database
        self.names = list(names)
        self.artifacts = {version: dict(make_artifacts.artifact(version)) for version in ROWS}
        self.partial_ok = False
        self.secret = self.top / "password"  # of the role; no file but this one holds it
        self.secret.write_text(PASSWORD + "\n", encoding="ascii")
        self.url = server.url(database, OWNER)
        self.ports = {}
        for name in self.names:
            self.ports[name] = free_port(self.ports.values())
            self.node_dir(name).mkdir(parents=True)
        self.config = self.top / "config"
        self.config.mkdir()
        self.starts_file = self.top / "migrator-starts"
        server.create_database(database, OWNER, template)

    def node_dir(self, name):
        return self.top / "nodes" / name

    def tree(self, name):
        return self.node_dir(name) / "app"

    def staged(self, version, name=None):
        """A release's tree that lies beside the installed one."""
        beside = self.tree(name or self.names[0]).with_name("app.lockstep")
        for path in beside.glob(f"{version}-*"):
            return path
        return beside / version

    def installed(self, name):
        """The version of a node's tree, by the tree itself."""
        package = self.tree(name) / "node_modules/unleash-server/package.json"
        try:
            return json.loads(package.read_text(encoding="utf-8"))["version"]
        except FileNotFoundError:
            return None

    @property
    def cluster_file(self):
        return self.config / "cluster.yaml"

    # ---- the files -----------------------------------------------------------------------

    def application_text(self):
        text = (HERE / "application.yaml").read_text(encoding="utf-8")
        filled = {"STARTS": str(self.starts_file), "PARTIAL_OK": str(self.partial_ok).lower()}
        for version, artifact in self.artifacts.items():
            filled[f"PATH_{version}"] = artifact["path"]
            filled[f"SHA256_{version}"] = artifact["sha256"]
        for name, value in filled.items():
            text = text.replace(f"@{name}@", value)
        text = re.sub(r"( *)@DATABASE@", lambda at: indented(self.environment(), at[1]), text)
        return text.replace("@REPAIR@", indented(repair_sql(), " " * 10))

    def environment(self):
        """Of the package, as YAML."""
        return (f"DATABASE_HOST: {self.server.host}\n"
                f'DATABASE_PORT: "{self.server.port}"\n'
                f"DATABASE_NAME: {self.database}\n"
                f"DATABASE_USERNAME: {OWNER}\n"
                f'DATABASE_PASSWORD: {{ file: "{self.secret}" }}')

    def write(self, version):
        """Both files; returns the Cluster's path."""
        nodes = [f"  - {{ name: {name}, vars: {{ port: {self.ports[name]}, "
                 f"dir: {self.node_dir(name)} }} }}" for name in self.names]
        (self.config / "unleash.yaml").write_text(self.application_text(), encoding="utf-8")
        self.cluster_file.write_text(
            CLUSTER.format(name=CLUSTER_NAME, version=version, nodes="\n".join(nodes),
                           url=self.url, secret=self.secret), encoding="utf-8")
        return self.cluster_file

    # ---- looking -------------------------------------------------------------------------

    def health(self, name):
        """(answer, version) of /health; (reason, None) without an answer."""
        url = f"http://127.0.0.1:{self.ports[name]}/health"
        try:
            with urllib.request.urlopen(url, timeout=PAGE_TIMEOUT_S) as reply:
                return reply.read().decode(), reply.headers.get("X-Unleash-Version")
        except (urllib.error.URLError, OSError, ValueError) as error:
            return str(error), None

    def answers(self, name):
        return self.health(name)[1] is not None

    def rows(self):
        """How many rows the package's ledger has."""
        if not self.server.value("SELECT to_regclass('public.migrations')", self.database):
            return 0
        return int(self.server.value("SELECT count(*) FROM migrations", self.database))

    def ledger(self):
        return [row[0] for row in
                self.server.query("SELECT name FROM migrations ORDER BY name", self.database)]

    def starts(self):
        """[(pid, version, words)]: one for each start of the migrator, ever."""
        if not self.starts_file.exists():
            return []
        lines = [line.split(" ", 3) for line in
                 self.starts_file.read_text(encoding="ascii").splitlines()]
        return [(int(line[1]), line[2], line[3]) for line in lines]

    def dump(self, column_order=False):
        return self.server.dump_schema(self.database, column_order=column_order)

    def problems(self, version):
        """Everything that is not as it is when the whole site runs `version`; [] when all is."""
        found = []
        for name in self.names:
            answer, seen = self.health(name)
            if seen != version or '"GOOD"' not in answer:
                found.append(f"{name} does not run {version}: {answer} {seen}")
        if self.rows() != ROWS[version]:
            found.append(f"the ledger has {self.rows()} rows, not {ROWS[version]}")
        return found


def by_hand(tree, url, *words, starts=None):
    """The migrator of a tree, as an operator calls it."""
    env = {**os.environ, "DATABASE_URL": url}
    if starts is not None:
        env["MIGRATOR_STARTS"] = str(starts)
    done = subprocess.run(["node", "migrate.js", *map(str, words)], cwd=tree, capture_output=True,
                          text=True, check=False, stdin=subprocess.DEVNULL, env=env)
    assert done.returncode == 0, done.stderr


class Twin:
    """A database that the package's migrator alone moves, without Lockstep."""

    def __init__(self, top, server, database):
        self.server = server
        self.database = database
        self.top = pathlib.Path(top)
        server.create_database(database, OWNER)
        for version in ROWS:
            tree = self.top / version
            tree.mkdir(parents=True)
            for script in make_artifacts.SCRIPTS:
                shutil.copy(HERE / script, tree / script)
            (tree / "node_modules").symlink_to(make_artifacts.tree(version) / "node_modules")

    def migrate(self, version, *words):
        by_hand(self.top / version, self.server.url(self.database, OWNER, PASSWORD), *words)

    def repair(self):
        self.server.query(repair_sql(), self.database, user=OWNER)

    def dump(self, column_order=False):
        return self.server.dump_schema(self.database, column_order=column_order)
