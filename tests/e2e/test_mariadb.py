"""A whole cluster on MariaDB: three nodes, golang-migrate's files, up two releases and down again.

What the database holds is judged by mariadb-dump, and by a database beside it that the same scripts
were sent to by MariaDB's own client.
"""
import contextlib
import os
import signal
import subprocess

import pytest

from harness import Lockstep, wait_until
from mariadb import OWN_TABLES, USER
from shelf_site import CLUSTER_NAME, ShelfSite

EXIT_PAUSED = 3
NODES = ("n-1", "n-2", "n-3")
GOLANG_MIGRATE = "      format: golang-migrate\n      dir: db\n"
LEDGER = "schema_migrations"
# The script waits on the server for as long as a test holds this lock.
GATE = "SELECT GET_LOCK('shelf gate', 600);\n"

ONE = {"db/1_books.up.sql": "CREATE TABLE books (id int AUTO_INCREMENT PRIMARY KEY, title varchar(80) NOT NULL,"
                            " price decimal(6,2));\n",
       "db/1_books.down.sql": "DROP TABLE books;\n"}
TWO = {**ONE,
       "db/2_note.up.sql": "ALTER TABLE books ADD note text;\nUPDATE books SET note = CONCAT('about ', title);\n"
                           "CREATE INDEX books_title ON books (title);\n",
       "db/2_note.down.sql": "DROP INDEX books_title ON books;\nALTER TABLE books DROP note;\n",
       "db/3_cheap.up.sql": "CREATE VIEW cheap AS SELECT id, title FROM books WHERE price < 10;\n",
       "db/3_cheap.down.sql": "DROP VIEW cheap;\n"}
THREE = {**TWO,
         "db/4_tags.up.sql": GATE + "CREATE TABLE tags (book int NOT NULL, tag varchar(20) NOT NULL, PRIMARY KEY (book,"
                                    " tag), FOREIGN KEY (book) REFERENCES books (id));\n"
                                    "INSERT INTO tags SELECT id, 'old' FROM books;\n",
         "db/4_tags.down.sql": "DROP TABLE tags;\n",
         "db/5_count.up.sql": "CREATE PROCEDURE how_many() BEGIN SELECT COUNT(*) FROM books; SELECT COUNT(*) FROM"
                              " tags; END;\n"
                              "CREATE TRIGGER no_price BEFORE INSERT ON books FOR EACH ROW SET NEW.price ="
                              " COALESCE(NEW.price, 0);\n",
         "db/5_count.down.sql": "DROP TRIGGER no_price;\nDROP PROCEDURE how_many;\n"}
RELEASES = {"1.0.0": ONE, "1.1.0": TWO, "1.2.0": THREE}
SCHEMAS = {"1.0.0": 1, "1.1.0": 3, "1.2.0": 5}


@pytest.fixture
def site(tmp_path, mariadb):
    (tmp_path / "site").mkdir()
    site = ShelfSite(tmp_path / "site", mariadb, SCHEMAS, RELEASES, GOLANG_MIGRATE, NODES)
    site.more = '\npaths: { required: ["1.1.0"] }\n'
    site.backups = tmp_path / "backups"
    site.backup = f"{{ when: always, with: {{ mariadb_dump: {site.backups} }} }}"
    return site


def ledger(site):
    return site.server.query(f"SELECT version, dirty FROM {LEDGER}", "shelf")


def all_of_it(site):
    """Schema, rows and the tool's ledger, without Lockstep's own tables."""
    return site.server.dump("shelf", leave_out=OWN_TABLES)


def schema(site, database="shelf"):
    return site.server.dump(database, "--no-data", leave_out=[*OWN_TABLES, LEDGER])


def by_the_client(site, version):
    """The schema that the release's scripts make when MariaDB's own client runs them."""
    name = "shelf_by_hand"
    site.server.drop_database(name)
    site.server.create_database(name)
    try:
        scripts = sorted(path for path in RELEASES[version] if path.endswith(".up.sql"))
        for path in scripts:
            sql = RELEASES[version][path]
            if "BEGIN" in sql:  # its client would cut the body
                sql = "DELIMITER $$\n" + sql.replace("END;\n", "END$$\n") + "$$\n"
            subprocess.run(site.server.client(name, USER), input=sql, text=True, check=True, stdout=subprocess.DEVNULL)
        return schema(site, name)
    finally:
        site.server.drop_database(name)


def runs(site, version):
    return [site.version(name) for name in NODES] == [version] * 3


@contextlib.contextmanager
def session(site, sql, database="mysql", user="root"):
    """One that has run this when it begins, and stays until it ends."""
    with subprocess.Popen(site.server.client(database, user), text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        process.stdin.write(sql + ";\nSELECT 'here';\n")
        process.stdin.flush()
        while process.stdout.readline() != "here\n":
            assert process.poll() is None
        yield process
        process.stdin.close()


def test_goes_up_two_releases_and_down_again(site):
    with Lockstep(NODES, top=site.top, keep=True) as ls:
        ls.ok("apply", site.write("1.0.0"))
        assert runs(site, "1.0.0") and ledger(site) == [["1", "0"]]
        assert schema(site) == by_the_client(site, "1.0.0")
        site.server.query("INSERT INTO books (title, price) VALUES ('It''s \\\\ \"so\"', 9.5), ('Zauberberg', 24)",
                          "shelf")
        before = all_of_it(site)

        ls.ok("apply", site.write("1.2.0"))
        assert runs(site, "1.2.0") and ledger(site) == [["5", "0"]]
        assert schema(site) == by_the_client(site, "1.2.0")
        assert site.value("SELECT COUNT(*) FROM tags") == "2"
        assert site.value("SELECT COUNT(*) FROM books WHERE note = CONCAT('about ', title)") == "2"
        assert [site.served(name) for name in NODES] == [3, 3, 3]  # each of the three releases once
        [backup] = site.backups.glob("*.backup")
        assert "Zauberberg" in backup.read_text(encoding="utf-8") and "lockstep_" not in backup.read_text(encoding="utf-8")

        ls.ok("apply", site.write("1.0.0"))
        assert runs(site, "1.0.0") and all_of_it(site) == before
        assert site.value("SELECT COUNT(*) FROM lockstep_intent") == "0"
        assert site.value("SELECT COUNT(*) FROM lockstep_evidence WHERE how = 'ran'") == "9"


def kill_worker(ls):
    """The process that runs the migration, which outlives its controller."""
    mine = [pid for pid, words in ls.processes().items() if " act " in words]
    assert len(mine) == 1, ls.processes()
    os.kill(mine[0], signal.SIGKILL)


@pytest.mark.parametrize("worker_too", [False, True], ids=["controller", "controller and worker"])
def test_a_controller_that_is_killed_during_a_migration_comes_to_the_same_end(site, worker_too):
    with Lockstep(NODES, top=site.top, keep=True) as ls:
        ls.ok("apply", site.write("1.1.0"))
        site.server.query("INSERT INTO books (title) VALUES ('one'), ('two')", "shelf")
        before = all_of_it(site)
        with session(site, "SELECT GET_LOCK('shelf gate', 0)"):
            apply = ls.start("apply", site.write("1.2.0"))
            wait_until("the migration is at its gate", lambda: any(
                "shelf gate" in statement for *_, statement in site.server.sessions("shelf")), 60)
            ls.kill("lockstepd")
            if worker_too:
                kill_worker(ls)
        apply.wait()
        apply.stdout.close()
        ls.restart("lockstepd")
        assert ls.run("watch", CLUSTER_NAME, "--stay").code == 0, ls.tails()
        assert runs(site, "1.2.0") and ledger(site) == [["5", "0"]]
        assert schema(site) == by_the_client(site, "1.2.0")
        assert site.value("SELECT COUNT(*) FROM tags") == "2"
        assert site.value("SELECT COUNT(*) FROM lockstep_intent") == "0"
        ls.ok("apply", site.write("1.1.0"))
        assert all_of_it(site) == before


def test_a_session_that_is_left_is_named_before_the_database_moves(site):
    site.database = ", writers: { policy: wait, wait: 1s }"
    site.server.query("DROP USER IF EXISTS nightly")
    site.server.create_user("nightly")
    site.server.query("GRANT SELECT ON shelf.* TO nightly@'%'")
    with Lockstep(NODES, top=site.top, keep=True) as ls:
        ls.ok("apply", site.write("1.0.0"))
        before = all_of_it(site)
        with session(site, "SELECT 1", "shelf", "nightly"):
            result = ls.run("apply", site.write("1.1.0"))
            assert result.code == EXIT_PAUSED and "nightly@" in result.words, result
            assert all_of_it(site) == before and not list(site.backups.glob("*"))
        ls.ok("retry", CLUSTER_NAME)
        assert ls.run("watch", CLUSTER_NAME, "--stay").code == 0
        assert ledger(site) == [["3", "0"]] and runs(site, "1.1.0")
