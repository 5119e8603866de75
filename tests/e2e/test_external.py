"""A migrator of the application's own that fails: what `retry` proves before it starts it again.

The application is a few lines of shell, its database a real one, and every start of its migrator
leaves a line in a file.
"""
import json
import os
import signal

import pytest

from harness import Lockstep, wait_until
from shelf_site import ShelfSite

EXIT_PAUSED = 3
TOOL_LOCK = 774411
ROWS = {"1.0.0": 1, "1.1.0": 3}

# Adds the ledger's rows up to the number, or takes them away down to it.
MIGRATE = """\
#!/bin/sh
echo "$1" >> "$STARTS"
[ -e "$STARTS.hangs" ] && exec sleep 1111
[ -e "$STARTS.broken" ] && { echo "no room for the index"; exit 7; }
psql -X -q -v ON_ERROR_STOP=1 "$DATABASE_URL" <<SQL
CREATE TABLE IF NOT EXISTS changes (id int PRIMARY KEY);
INSERT INTO changes SELECT * FROM generate_series(1, $1) ON CONFLICT DO NOTHING;
DELETE FROM changes WHERE id > $1;
SQL
"""


MIGRATIONS = f"""\
      external:
        up: {{ command: [bin/migrate, "${{hop.schema_to}}"], env: ENV }}
        down: {{ command: [bin/migrate, "${{hop.schema_to}}"], env: ENV }}
        on: n-1
        ledger: {{ table: changes, column: id }}
        lock_advisory: ["{TOOL_LOCK}"]
""".replace("ENV", '{ DATABASE_URL: "${database.main.url}", STARTS: "{starts}" }')


class Site(ShelfSite):
    def __init__(self, top, server):
        files = {version: {"bin/migrate": MIGRATE} for version in ROWS}
        super().__init__(top, server, ROWS, files, MIGRATIONS)
        self.broken = top / "starts.broken"
        self.hangs = top / "starts.hangs"

    def rows(self):
        return int(self.value("SELECT count(*) FROM changes"))


@pytest.fixture
def site(tmp_path, postgres):
    (tmp_path / "site").mkdir()
    return Site(tmp_path / "site", postgres)


@pytest.fixture
def ls(site):
    with Lockstep(["n-1"], top=site.top, keep=True) as running:
        running.ok("apply", site.write("1.0.0"))
        assert site.starts() == ["1"] and site.rows() == 1
        yield running


def steps_of(ls):
    """["name#attempt outcome"] of the steps that have ended in the phase that migrates, and of the
    one that is under way, as the newest run's journal has them; without the look at the sessions."""
    events = [json.loads(line) for line in ls.run("--json", "watch", "shelf-1").out.splitlines()]
    steps = [one for one in events if one["event"] == "step"]
    phase = next(one["phase"] for one in steps if one["name"] == "lock")
    steps = [one for one in steps if one["phase"] == phase and one["name"] != "writers"]
    return [f"{one['name']}#{one['attempt']} {one['state']}" for one in steps
            if one["state"] != "under-way"]


def arrives(ls, site):
    """The paused run that was told to go on ends well."""
    watch = ls.run("watch", "shelf-1", "--stay")
    assert watch.code == 0, watch
    assert site.rows() == ROWS["1.1.0"]


def fails(ls, site):
    """A run up whose migrator has failed before it did anything."""
    site.broken.touch()
    result = ls.run("apply", site.write("1.1.0"))
    assert result.code == EXIT_PAUSED and "no room for the index" in result.words
    assert site.starts() == ["1", "3"] and site.rows() == 1
    site.broken.unlink()


PROOFS = ["lock#1 done", "tool lock#1 done", "ledger#1 done"]


def test_a_retry_of_a_failed_migrator_begins_with_its_lock_and_its_ledger(ls, site):
    fails(ls, site)
    assert steps_of(ls) == [*PROOFS, "migrate#1 failed"]
    ls.ok("retry", "shelf-1")
    arrives(ls, site)
    assert steps_of(ls) == [*PROOFS, "migrate#1 failed", "tool lock#2 done", "ledger#2 done",
                            "migrate#2 done", "ledger#1 done", "checkpoint#1 done",
                            "unlock#1 done"]
    assert site.starts() == ["1", "3", "3"]


def test_a_retry_of_a_migrator_that_nobody_saw_end_proves_again_too(ls, site):
    site.hangs.touch()
    apply = ls.start("apply", site.write("1.1.0"))
    wait_until("the migrator hangs", lambda: hanging(ls))
    killed = [pid for pid, words in ls.processes().items() if " act " in words + " "]
    for pid in [*killed, *hanging(ls)]:
        os.kill(pid, signal.SIGKILL)
    words, _ = apply.communicate(timeout=60)
    assert apply.returncode == EXIT_PAUSED and "may or may not have run" in words
    assert steps_of(ls) == [*PROOFS, "migrate#1 unknown"]
    site.hangs.unlink()
    ls.ok("retry", "shelf-1")
    arrives(ls, site)
    assert steps_of(ls)[4:7] == ["tool lock#2 done", "ledger#2 done", "migrate#2 done"]
    assert site.starts() == ["1", "3", "3"]


@pytest.mark.parametrize("ahead", [1, 1000])
def test_a_run_goes_above_the_fence_that_the_database_has_seen(ls, site, ahead):
    """A controller that lost its own store counts from 1 again; 1 ahead is the very number that
    the restarted controller gives itself."""
    def seen():
        return int(site.server.value("SELECT value FROM lockstep.fence", "shelf"))

    raised = seen() + ahead
    site.server.query(f"UPDATE lockstep.fence SET value = {raised}", "shelf")
    ls.restart("lockstepd")
    ls.wait_connected(["n-1"])
    ls.ok("apply", site.write("1.1.0"))
    assert seen() > raised and site.rows() == ROWS["1.1.0"]


def hanging(ls):
    return [pid for pid, words in ls.processes().items() if words == "sleep 1111"]


def test_a_retry_waits_for_the_tools_lock_whoever_dies_meanwhile(ls, site):
    fails(ls, site)
    connection = site.server.connect("shelf")
    connection.autocommit = True
    connection.cursor().execute(f"SELECT pg_advisory_lock({TOOL_LOCK})")
    before = ls.journal_last("lockstepd")
    ls.ok("retry", "shelf-1")
    wait_until("the retry is journalled", lambda: ls.journal_last("lockstepd") >= before + 2)
    ls.kill("lockstepd")
    ls.restart("lockstepd")
    ls.wait_connected(["n-1"])
    assert site.starts() == ["1", "3"]
    connection.close()
    arrives(ls, site)
    assert steps_of(ls)[4:7] == ["tool lock#2 done", "ledger#2 done", "migrate#2 done"]
    assert site.starts() == ["1", "3", "3"]


def test_a_retry_looks_at_the_ledger_before_it_starts_anything(ls, site):
    fails(ls, site)
    site.server.query("INSERT INTO changes VALUES (2)", "shelf")
    ls.ok("retry", "shelf-1")
    watch = ls.run("watch", "shelf-1")
    assert watch.code == EXIT_PAUSED and "stopped half-way" in watch.words
    assert site.starts() == ["1", "3"]
    site.server.query("DELETE FROM changes WHERE id = 2", "shelf")
    ls.ok("retry", "shelf-1")
    arrives(ls, site)
    assert steps_of(ls)[3:8] == ["migrate#1 failed", "tool lock#2 done", "ledger#2 unknown",
                                 "ledger#3 done", "migrate#2 done"]
    assert site.starts() == ["1", "3", "3"]
