"""A small site: an application of a few lines of shell on a PostgreSQL or MariaDB database.

Owns: the directory of the site (releases, the node's own directory, the YAML) and its database.
Refuses: to change anything that Lockstep is meant to change.
"""
import hashlib
import io
import tarfile

CLUSTER_NAME = "shelf-1"

APPLICATION = """\
lockstep: 1
kind: Application
name: shelf
versions: semver
releases:
{releases}
layout: {{ path: "${{node.dir}}/app" }}
service: {{ process: {{ command: [bin/serve], stop_within: 5s }}, within: 20s }}
health:
  - command: [bin/healthy]
    consecutive: 1
    every: 100ms
    within: 20s
databases:
  main:
    migrations:
{migrations}{more}"""

CLUSTER = """\
lockstep: 1
kind: Cluster
name: shelf-1
application: shelf.yaml
version: "{version}"
nodes: [ {nodes} ]
databases: {{ main: {{ url: "{url}"{database} }} }}
strategy: all-at-once
backup: {backup}
"""


class ShelfSite:
    """schemas: {version: its number}.  files: {version: {path: text}} beside the service's own.
    migrations: YAML, with {starts} for the file that a migrator leaves a line in.
    names: the nodes.  server: of pg.py or of mariadb.py."""

    def __init__(self, top, server, schemas, files, migrations, names=("n-1",)):
        self.top, self.server, self.schemas = top, server, schemas
        self.starts_file = top / "starts"
        self.scripts = {}  # version: (path, digest) of migration files beside the artifact
        self.checks = {}    # version: YAML, a list of checks of the data
        self.more = ""      # YAML at the end of the Application
        self.database = ""  # said of the database by the Cluster, after a comma
        self.backup = "{ when: never }"
        self.names = list(names)
        self.migrations = migrations.replace("{starts}", str(self.starts_file))
        server.drop_database("shelf")
        server.create_database("shelf")
        for name in self.names:
            self.node_dir(name).mkdir()
        self.artifacts = {version: self.build(version, files[version]) for version in schemas}

    def build(self, version, files):
        path = self.top / f"shelf-{version}.tar.gz"
        files = {"bin/serve": "#!/bin/sh\necho >> ../served\nexec sleep 1000\n", "bin/healthy": "#!/bin/sh\nexit 0\n",
                 "VERSION": version + "\n", **files}
        with tarfile.open(path, "w:gz") as archive:
            for name, text in files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(text), 0o755
                archive.addfile(member, io.BytesIO(text.encode()))
        return path

    def write(self, version):
        """Both files; returns the Cluster's path."""
        releases = "\n".join(
            f'  - {{ version: "{v}", schema: {{ main: {number} }}, artifact: {{ url: "file://'
            f'{self.artifacts[v]}", sha256: {self.digest(v)} }}{self.scripts_of(v)}'
            f'{", checks: " + self.checks[v] if v in self.checks else ""} }}'
            for v, number in self.schemas.items())
        (self.top / "shelf.yaml").write_text(
            APPLICATION.format(releases=releases, migrations=self.migrations,
                               more=self.more), encoding="utf-8")
        cluster = self.top / "cluster.yaml"
        nodes = ", ".join(f'{{ name: {name}, vars: {{ dir: "{self.node_dir(name)}" }} }}'
                          for name in self.names)
        cluster.write_text(CLUSTER.format(version=version, nodes=nodes,
                                          url=self.server.url("shelf"), backup=self.backup,
                                          database=self.database), encoding="utf-8")
        return cluster

    def scripts_of(self, version):
        if version not in self.scripts:
            return ""
        path, digest = self.scripts[version]
        return f', scripts: {{ url: "file://{path}", sha256: {digest} }}'

    def digest(self, version):
        return hashlib.sha256(self.artifacts[version].read_bytes()).hexdigest()

    def node_dir(self, name):
        return self.top / ("node" if name == self.names[0] else f"node-{name}")

    def version(self, name):
        """What is installed on a node."""
        return (self.node_dir(name) / "app/VERSION").read_text(encoding="ascii").strip()

    def served(self, name=None):
        """How often the service has been started (of the first node)."""
        path = self.node_dir(name or self.names[0]) / "served"
        return len(path.read_text(encoding="ascii").splitlines())

    def starts(self):
        """What each start of the migrator was given."""
        if not self.starts_file.exists():
            return []
        return self.starts_file.read_text(encoding="ascii").splitlines()

    def value(self, sql):
        return self.server.value(sql, "shelf")
