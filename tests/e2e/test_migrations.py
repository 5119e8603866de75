"""What a plan asks of a real database before and while it moves: sessions, drift, the data, locks; and
work beside the migrations that is followed to its end."""
import subprocess

import pytest

from harness import Lockstep
from shelf_site import CLUSTER_NAME, ShelfSite

EXIT_FAILED, EXIT_PAUSED = 1, 3

MORPH = "      format: morph\n      dir: db\n"
ONE = {"db/000001_a.up.sql": "CREATE TABLE a (x int);\n",
       "db/000001_a.down.sql": "DROP TABLE a;\n"}
TWO = {**ONE, "db/000002_b.up.sql": "ALTER TABLE a ALTER COLUMN x TYPE bigint;\n",
       "db/000002_b.down.sql": "ALTER TABLE a ALTER COLUMN x TYPE int;\n"}

WORK = """\
#!/bin/sh
echo "$1" >> "$STARTS"
for done in 0.3 0.6; do psql -X -q "$DATABASE_URL" -c "UPDATE work SET done = $done"; done
[ "$(wc -l < "$STARTS")" = 1 ] && kill -9 $$
psql -X -q "$DATABASE_URL" -c "UPDATE work SET done = 1"
"""
FOLLOW = """
extra_steps:
  - name: embed
    scope: once
    after: healthy
    when: { direction: up, hop_from: ">=1.0.0" }
    do:
      - follow:
          run: { command: [bin/work, "${hop.to}"], env: { DATABASE_URL: "${database.main.url}", STARTS: "{starts}" } }
          database: main
          sql: "SELECT done FROM work"
          every: 100ms
"""


@pytest.fixture
def site(tmp_path, postgres):
    (tmp_path / "site").mkdir()
    files = {"1.0.0": {**ONE, "bin/work": WORK}, "1.1.0": {**TWO, "bin/work": WORK}}
    return ShelfSite(tmp_path / "site", postgres, {"1.0.0": 1, "1.1.0": 2}, files, MORPH)


def applied(site):
    return int(site.value("SELECT count(*) FROM db_migrations"))


def straggler(site):
    """A session that nobody thought of; it has run something when this returns."""
    process = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", site.server.url("shelf")], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write("SET application_name = 'nightly-report';\nSELECT 1;\n")
    process.stdin.flush()
    assert process.stdout.readline() == "1\n"
    return process


def end(process):
    process.stdin.close()
    process.wait()
    process.stdout.close()


def test_a_session_that_is_left_is_named_before_the_database_moves(site):
    site.database = ", writers: { policy: wait, wait: 1s }"
    with Lockstep(["n-1"], top=site.top, keep=True) as ls:
        ls.ok("apply", site.write("1.0.0"))
        left = straggler(site)
        try:
            result = ls.run("apply", site.write("1.1.0"))
            assert result.code == EXIT_PAUSED and "nightly-report" in result.words
            assert applied(site) == 1
        finally:
            end(left)
        ls.ok("retry", CLUSTER_NAME)
        assert ls.run("watch", CLUSTER_NAME, "--stay").code == 0
        assert applied(site) == 2


def test_a_session_that_may_not_stay_is_ended(site):
    site.database = ", writers: { policy: terminate, wait: 1s }"
    with Lockstep(["n-1"], top=site.top, keep=True) as ls:
        ls.ok("apply", site.write("1.0.0"))
        left = straggler(site)
        try:
            ls.ok("apply", site.write("1.1.0"))
        finally:
            end(left)
        assert applied(site) == 2


def test_an_index_made_by_hand_is_refused_or_only_told(site):
    site.database = ", drift: refuse"
    with Lockstep(["n-1"], top=site.top, keep=True) as ls:
        ls.ok("apply", site.write("1.0.0"))
        site.server.query("CREATE INDEX by_hand ON a (x)", "shelf")
        result = ls.run("apply", site.write("1.1.0"))
        assert result.code == EXIT_FAILED and "index public.by_hand" in result.words
        assert applied(site) == 1
        site.database = ""
        ls.ok("apply", site.write("1.1.0"))
        assert applied(site) == 2


def test_data_that_a_release_cannot_hold_stops_the_run_before_the_nodes(site):
    site.checks["1.1.0"] = ('[ { database: main, sql: "SELECT count(*) FROM a WHERE x < 0", '
                            'expect: "0", says: "a number below zero" } ]')
    with Lockstep(["n-1"], top=site.top, keep=True) as ls:
        ls.ok("apply", site.write("1.0.0"))
        site.server.query("INSERT INTO a VALUES (-1)", "shelf")
        result = ls.run("apply", site.write("1.1.0"))
        assert result.code == EXIT_FAILED and "a number below zero" in result.words
        assert site.served() == 1
        assert (site.top / "node/app/VERSION").read_text() == "1.0.0\n" and applied(site) == 1
        site.server.query("DELETE FROM a", "shelf")
        ls.ok("apply", site.write("1.1.0"))
        assert applied(site) == 2 and site.served() == 2


def test_a_plan_says_how_large_the_tables_are_that_it_locks(site):
    with Lockstep(["n-1"], top=site.top, keep=True) as ls:
        ls.ok("apply", site.write("1.0.0"))
        site.server.query("INSERT INTO a SELECT generate_series(1, 100000)", "shelf")
        words = ls.run("plan", site.write("1.1.0")).words
        assert "ACCESS EXCLUSIVE on a (3.6 MB), rewrites it: 000002_b.up.sql" in words
        assert "back: 2 changes the type of a.x to int" in words


def test_work_beside_the_migrations_is_followed_to_its_end(site):
    site.more = FOLLOW.replace("{starts}", str(site.starts_file))
    with Lockstep(["n-1"], top=site.top, keep=True) as ls:
        ls.ok("apply", site.write("1.0.0"))
        site.server.query("CREATE TABLE work AS SELECT 0.0::float AS done", "shelf")
        ls.ok("apply", site.write("1.1.0"))
        assert site.starts() == ["1.1.0", "1.1.0"]
        assert site.value("SELECT done FROM work") == "1"
