"""Migrations of other formats than morph, planned and run: goose with Go code that only the
application's own migrator runs, and Sourcegraph's folders."""
import base64
import hashlib
import json

import pytest

from harness import Lockstep
from shelf_site import CLUSTER_NAME, ShelfSite

EXIT_FAILED, EXIT_PAUSED = 1, 3

# What a program of the application's own does with goose's ledger.
MIGRATE = """\
#!/bin/sh
echo "$1 $2" >> "$STARTS"
[ -e "$STARTS.broken" ] && { echo "no room for the seeds"; exit 7; }
case $1 in
--up-to) psql -X -q -v ON_ERROR_STOP=1 "$DATABASE_URL" -c "SELECT pg_advisory_lock(4097083626);
  INSERT INTO a SELECT generate_series(1, 3);
  INSERT INTO goose_db_version (version_id, is_applied) VALUES ($2, true)";;
--down) psql -X -q -v ON_ERROR_STOP=1 "$DATABASE_URL" -c "DELETE FROM a;
  DELETE FROM goose_db_version WHERE version_id > $2";;
esac
"""

GOOSE = """\
      format: goose
      dir: db
      delegate:
        up: { command: [bin/migrate, --up-to, "${migration.version}"], env: ENV }
        down: { command: [bin/migrate, --down, "${migration.previous}"], env: ENV }
        on: n-1
        lock_advisory: "4097083626"
""".replace("ENV", '{ DATABASE_URL: "${database.main.url}", STARTS: "{starts}" }')


def goose(table):
    return f"-- +goose Up\nCREATE TABLE {table} (x int);\n-- +goose Down\nDROP TABLE {table};\n"


def goose_files(*names):
    known = {"db/10_a.sql": goose("a"), "db/30_c.sql": goose("c"), "db/20_seed.go": "package db\n"}
    return {"bin/migrate": MIGRATE, **{name: known[name] for name in names}}


@pytest.fixture
def make(tmp_path, postgres):
    (tmp_path / "site").mkdir()

    def make_site(files, migrations):
        schemas = {"1.0.0": 1, "1.1.0": 2}
        return ShelfSite(tmp_path / "site", postgres, schemas, files, migrations)

    return make_site


@pytest.fixture
def goose_site(make):
    return make({"1.0.0": goose_files("db/10_a.sql"),
                 "1.1.0": goose_files("db/10_a.sql", "db/20_seed.go", "db/30_c.sql")}, GOOSE)


def goose_ledger(site):
    rows = site.server.query("SELECT version_id FROM goose_db_version WHERE version_id > 0 "
                             "ORDER BY id", "shelf")
    return [int(row[0]) for row in rows]


def tables(site):
    rows = site.server.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public' "
                             "ORDER BY 1", "shelf")
    return [row[0] for row in rows]


def test_go_code_is_run_by_the_applications_own_migrator_in_its_place(goose_site):
    site = goose_site
    with Lockstep(["n-1"], top=site.top, keep=True) as ls:
        ls.ok("apply", site.write("1.0.0"))
        ls.ok("apply", site.write("1.1.0"))
        assert site.starts() == ["--up-to 20"]
        assert goose_ledger(site) == [10, 20, 30]
        assert tables(site) == ["a", "c", "goose_db_version"] and site.value(
            "SELECT count(*) FROM a") == "3"
        ls.ok("apply", site.write("1.0.0"))
        assert site.starts() == ["--up-to 20", "--down 10"]
        assert goose_ledger(site) == [10] and tables(site) == ["a", "goose_db_version"]


def test_a_retry_of_a_delegated_migration_goes_on_in_its_middle(goose_site):
    site = goose_site
    broken = site.top / "starts.broken"
    with Lockstep(["n-1"], top=site.top, keep=True) as ls:
        ls.ok("apply", site.write("1.0.0"))
        broken.touch()
        result = ls.run("apply", site.write("1.1.0"))
        assert result.code == EXIT_PAUSED and "no room for the seeds" in result.words
        assert goose_ledger(site) == [10]
        broken.unlink()
        ls.ok("retry", CLUSTER_NAME)
        assert ls.run("watch", CLUSTER_NAME, "--stay").code == 0
        assert site.starts() == ["--up-to 20", "--up-to 20"]
        assert goose_ledger(site) == [10, 20, 30]


def test_go_code_without_a_migrator_is_refused_with_its_name(make):
    site = make({"1.0.0": goose_files("db/10_a.sql"),
                 "1.1.0": goose_files("db/10_a.sql", "db/20_seed.go")},
                "      format: goose\n      dir: db\n")
    with Lockstep(["n-1"], top=site.top, keep=True) as ls:
        ls.ok("apply", site.write("1.0.0"))
        result = ls.run("plan", site.write("1.1.0"))
        assert result.code == EXIT_FAILED and "20_seed.go is no SQL" in result.words
        assert "migrations.delegate" in result.words


# ---- folders -------------------------------------------------------------------------------


def folder(number, parents, table):
    name = f"db/frontend/{number}_{table}"
    return {f"{name}/up.sql": f"CREATE TABLE {table} (x int);\n",
            f"{name}/down.sql": f"DROP TABLE {table};\n",
            f"{name}/metadata.yaml": f"name: {table}\nparents: {parents}\n"}


def test_sourcegraphs_folders_are_read_from_the_artifact(make):
    old = {**folder(1000, "[]", "a"), "db/frontend/README.md": "not a migration\n"}
    site = make({"1.0.0": old, "1.1.0": {**old, **folder(1001, "[1000]", "b")}},
                "      format: sourcegraph\n      dir: db/frontend\n")
    with Lockstep(["n-1"], top=site.top, keep=True) as ls:
        ls.ok("apply", site.write("1.0.0"))
        assert tables(site) == ["a", "migration_logs"]
        ls.ok("apply", site.write("1.1.0"))
        assert tables(site) == ["a", "b", "migration_logs"]
        ls.ok("apply", site.write("1.0.0"))
        assert tables(site) == ["a", "migration_logs"]
        assert site.server.query("SELECT version, up, success FROM migration_logs ORDER BY id",
                                 "shelf") == [["1000", "t", "t"], ["1001", "t", "t"],
                                              ["1001", "f", "t"]]


# ---- files that are not in the artifact -----------------------------------------------------


def saved_plan(names):
    """As Mattermost writes it: what goes up, and the same back."""
    def one(name, direction):
        number, _, rest = name.partition("_")
        sql = f"CREATE TABLE {rest} (x int);" if direction == "up" else f"DROP TABLE {rest};"
        return {"Bytes": base64.b64encode(sql.encode()).decode(), "Name": rest,
                "RawName": f"{name}.{direction}.sql", "Version": int(number),
                "Direction": direction}

    return json.dumps({"Version": 1, "Auto": True,
                       "Migrations": [one(name, "up") for name in names],
                       "RevertMigrations": [one(name, "down") for name in reversed(names)]})


def test_a_saved_plan_brings_the_scripts_that_the_artifact_lacks(make):
    """The newer release's artifact has no migrations at all: up and down come from the plan."""
    old = {"db/000001_a.up.sql": "CREATE TABLE a (x int);",
           "db/000001_a.down.sql": "DROP TABLE a;"}
    site = make({"1.0.0": old, "1.1.0": {}}, "      format: morph\n      dir: db\n")
    plan = site.top / "migration_plan_1_3.json"
    with Lockstep(["n-1"], top=site.top, keep=True) as ls:
        ls.ok("apply", site.write("1.0.0"))
        result = ls.run("plan", site.write("1.1.0"))
        assert result.code == EXIT_FAILED and "1.1.0" in result.words and "db" in result.words
        plan.write_text(saved_plan(["000001_a", "000002_b", "000003_c"]), encoding="utf-8")
        site.scripts["1.1.0"] = (plan, hashlib.sha256(plan.read_bytes()).hexdigest())
        ls.ok("apply", site.write("1.1.0"))
        plan.unlink()  # kept by its digest
        assert tables(site) == ["a", "b", "c", "db_lock", "db_migrations"]
        ls.ok("apply", site.write("1.0.0"))
        assert tables(site) == ["a", "db_lock", "db_migrations"]
        assert site.server.query("SELECT * FROM db_migrations", "shelf") == [["1", "a"]]


def test_an_archive_of_its_own_brings_a_releases_scripts(make):
    site = make({"1.0.0": {}, "1.1.0": {}}, "      format: morph\n      dir: src/db\n")
    up = {"src/db/000001_a.up.sql": "CREATE TABLE a (x int);",
          "src/db/000001_a.down.sql": "DROP TABLE a;"}
    more = {**up, "src/db/000002_b.up.sql": "CREATE TABLE b (x int);",
            "src/db/000002_b.down.sql": "DROP TABLE b;"}
    for version, files in (("1.0.0", up), ("1.1.0", more)):
        path = site.build(f"scripts-{version}", files)
        site.scripts[version] = (path, hashlib.sha256(path.read_bytes()).hexdigest())
    with Lockstep(["n-1"], top=site.top, keep=True) as ls:
        ls.ok("apply", site.write("1.1.0"))
        assert tables(site) == ["a", "b", "db_lock", "db_migrations"]
        ls.ok("apply", site.write("1.0.0"))
        assert tables(site) == ["a", "db_lock", "db_migrations"]
