"""The smallest site that has all that a run does: two nodes, a service of one line of shell, an SQLite database, commands that leave
a line each time they are started.

Owns: the site's files, the ways over it that crashes are tried on, and what the end of a way is.  Refuses: to change anything that
Lockstep is meant to change.
"""
import hashlib
import io
import sqlite3
import tarfile

CLUSTER = "little"
NAMES = ("app-1", "app-2")
SCHEMA = {"1.0.0": 1, "1.1.0": 3}

APPLICATION = """\
lockstep: 1
kind: Application
name: little
versions: semver
releases:
{releases}
layout: {{ path: "${{node.dir}}/app" }}
service: {{ process: {{ command: [bin/serve], stop_within: 5s }}, within: 20s }}
health: [ {{ command: [/bin/true], consecutive: 1, every: 50ms, within: 20s }} ]
databases:
  main: {{ migrations: {migrations} }}
extra_steps:
  - name: count-on-node
    scope: node
    after: swapped
    do: [ {{ run: {{ command: [/bin/sh, -c, 'echo "${{hop.to}}" >> "${{node.dir}}/count"'], tree: none }} }} ]
  - name: count-once
    scope: once
    on: app-1
    after: migrated
    do: [ {{ run: {{ command: [/bin/sh, -c, 'echo "${{hop.to}}" >> "${{node.dir}}/count-once"'], tree: none }} }} ]
{more}"""

CLUSTER_FILE = """\
lockstep: 1
kind: Cluster
name: little
application: little.yaml
version: "{version}"
nodes: [ {nodes} ]
databases: {{ main: {{ url: "sqlite://{database}" }} }}
strategy: {strategy}
backup: {backup}
"""

DOWN_STEP = """\
  - name: only-down
    when: { direction: down }
    scope: node
    before: swapped
    do: [ { run: { command: [/bin/sh, -c, 'echo down >> "${node.dir}/count-down"'], tree: none } } ]
"""
# The way up ends at app-2, behind everything that is to be taken back.
CLOSED = """\
  - name: mark
    when: { direction: up }
    scope: node
    after: swapped
    do: [ { run: { command: [/bin/sh, -c, 'echo mark >> "${node.dir}/count-mark"'], tree: none } } ]
    undo: [ { run: { command: [/bin/sh, -c, 'echo undo >> "${node.dir}/count-mark"'], tree: none } } ]
  - name: closed
    when: { direction: up }
    scope: node
    after: start-requested
    do: [ { run: { command: [/bin/sh, -c, 'test ! -e "${node.dir}/closed"'], tree: none } } ]
    undo: [ { run: { command: [/bin/true], tree: none } } ]
"""
MIGRATE = """\
#!/usr/bin/python3
import sqlite3, sys
to = int(sys.argv[1])
open("{starts}", "a").write(f"{{to}}\\n")
with sqlite3.connect("{database}", timeout=10) as db:
    db.execute("CREATE TABLE IF NOT EXISTS changes (id integer PRIMARY KEY)")
    db.execute("DELETE FROM changes WHERE id > ?", (to,))
    db.executemany("INSERT OR IGNORE INTO changes VALUES (?)", [(i + 1,) for i in range(to)])
"""
EXTERNAL = """\
{ external: { up: { command: [bin/migrate, "${hop.schema_to}"] }, down: { command: [bin/migrate, "${hop.schema_to}"] }, \
on: app-1, ledger: { table: changes, column: id } } }"""
ROLLING = "{ rolling: { canary: 1, max_unavailable: 1 } }"

# Of each kind of plan: how the site's Cluster and Application differ.
SITES = {
    "all-at-once": {"more": DOWN_STEP},
    "rolling": {"strategy": ROLLING},
    "with-backup": {"backup": "always"},
    "external-migrator": {"external": True},
    "staged": {},
    "rolled-back": {"more": CLOSED, "strategy": "{ all_at_once: true, on_failure: rollback }"},
}


class LittleSite:
    def __init__(self, top, kind):
        options = SITES[kind]
        self.top, self.names, self.kind = top, list(NAMES), kind
        self.strategy = options.get("strategy", "all-at-once")
        self.backup = options.get("backup", "never")
        self.more = options.get("more", "")
        self.external = options.get("external", False)
        self.database = top / "little.db"
        self.starts = top / "starts"
        sqlite3.connect(self.database).close()
        (top / "backups").mkdir()
        for name in self.names:
            self.node_dir(name).mkdir(parents=True)
        self.artifacts = {version: self.build(version) for version in SCHEMA}

    def close_the_way_up(self):
        """From here on a way up of the site that is rolled back fails at app-2."""
        (self.node_dir("app-2") / "closed").touch()

    def node_dir(self, name):
        return self.top / "nodes" / name

    def build(self, version):
        path = self.top / f"little-{version}.tar.gz"
        files = {"bin/serve": "#!/bin/sh\nexec sleep 1000\n", "VERSION": version + "\n",
                 "bin/migrate": MIGRATE.format(starts=self.starts, database=self.database)}
        for i in range(SCHEMA[version]):
            files[f"db/{i + 1:06}_t{i}.up.sql"] = f"CREATE TABLE t{i} (id integer);\n"
            files[f"db/{i + 1:06}_t{i}.down.sql"] = f"DROP TABLE t{i};\n"
        with tarfile.open(path, "w:gz") as archive:
            for name, text in files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(text), 0o755
                archive.addfile(member, io.BytesIO(text.encode()))
        return path

    def write(self, version):
        """Both files; returns the Cluster's path."""
        releases = "\n".join(
            f'  - {{ version: "{v}", schema: {{ main: {number} }}, runs_with: {{ main: "{number}..3" }}, artifact: {{ '
            f'url: "file://{self.artifacts[v]}", sha256: {hashlib.sha256(self.artifacts[v].read_bytes()).hexdigest()} }} }}'
            for v, number in SCHEMA.items())
        migrations = EXTERNAL if self.external else "{ format: morph, dir: db }"
        (self.top / "little.yaml").write_text(
            APPLICATION.format(releases=releases, migrations=migrations, more=self.more), encoding="utf-8")
        nodes = ", ".join(f'{{ name: {name}, vars: {{ dir: "{self.node_dir(name)}" }} }}' for name in self.names)
        path = self.top / "cluster.yaml"
        backup = f"{{ when: {self.backup}, with: {{ sqlite: {self.top / 'backups'} }} }}"
        path.write_text(CLUSTER_FILE.format(version=version, nodes=nodes, database=self.database, backup=backup,
                                            strategy=self.strategy), encoding="utf-8")
        return path

    # ---- looking -------------------------------------------------------------------------

    def query(self, sql):
        connection = sqlite3.connect(self.database, timeout=10)
        try:
            return [tuple(row) for row in connection.execute(sql).fetchall()]
        finally:
            connection.close()

    def has_table(self, name):
        return self.query(f"SELECT 1 FROM sqlite_master WHERE name = '{name}'") != []

    def counts(self):
        """How often what must happen once has happened, since ever: {what: count}."""
        files = {f"{file} of {name}": self.node_dir(name) / file
                 for name in self.names for file in ("count", "count-once", "count-down", "count-mark")}
        found = {"starts of the migrator": self.starts, **files}
        found = {what: path.read_text(encoding="ascii").count("\n") if path.exists() else 0
                 for what, path in found.items()}
        evidence = self.query("SELECT count(*) FROM lockstep_evidence") if self.has_table("lockstep_evidence") else [(0,)]
        return {**found, "migrations in the evidence": evidence[0][0]}

    def end(self):
        """What is there, as it can be compared."""
        ledger = "changes" if self.external else "db_migrations"
        rows = self.query(f"SELECT * FROM {ledger}") if self.has_table(ledger) else None
        found = {"ledger": [row[:2] for row in rows] if rows is not None else None,
                 "schema": self.query("SELECT name, sql FROM sqlite_master WHERE tbl_name NOT LIKE 'lockstep%' ORDER BY name")}
        for name in self.names:
            app = self.node_dir(name) / "app"
            store = self.node_dir(name) / "app.lockstep"
            found[f"{name} has"] = (app / "VERSION").read_text(encoding="ascii").strip()
            found[f"{name} keeps"] = sorted(one.name.split("-")[0] for one in store.iterdir() if not one.name.startswith("."))
        return found
