"""`lockstep restore`: past the point of no return, back to the backup of a run.

The guestbook drops a column with its people's addresses on the way to 2.0.0, and the run that does it makes a backup first.
What came of a restore is asked of the database, of the nodes' pages and of the installed trees.
"""
import json
import os

import pytest

from harness import wait_until
from test_attack import make_operator, run_as

CLUSTER = "guestbook-demo"
EXIT_FAILED, EXIT_WRONG_USE = 1, 2


def at_the_top(site, ls):
    """Goes 1.0.0, 1.1.0, 2.0.0; returns (run with the backup, schema, rows) of what the backup holds."""
    ls.ok("apply", site.write("1.0.0"))
    site.post("app-1", "ada", "hello")
    held = site.database.schema(), rows(site)
    ls.ok("apply", site.write("2.0.0"))
    assert site.problems("2.0.0") == []
    site.post("app-1", "bob", "written after the backup")
    run = ls.ok("--json", "history", CLUSTER).json()["runs"][0]["run"]
    return run, *held


def rows(site):
    return site.database.query("SELECT author, message, author_email FROM entries ORDER BY id")


def fence(site):
    table = "lockstep.fence" if site.database.engine == "postgres" else "lockstep_fence"
    return site.database.query(f"SELECT value FROM {table}")[0][0]


def facts_of(event):
    facts = event.get("facts") or {}
    return json.loads(facts) if isinstance(facts, str) else facts


def backup_of(ls, run):
    """Where the run's backup lies, by its own step."""
    for event in ls.ok("--json", "watch", run).lines():
        facts = facts_of(event)
        if "fingerprint" in facts and "bytes" in facts:
            return facts["path"]
    raise AssertionError("the run has no backup")


def test_a_restore_is_shown_then_puts_back_database_and_nodes(engine, make_site, start):
    site = make_site(engine)
    ls = start(site)
    run, schema, kept = at_the_top(site, ls)
    before = fence(site)

    shown = ls.run("restore", run)
    assert shown.code == EXIT_WRONG_USE and "say --yes" in shown.err
    assert "restore main" in shown.out and f"of run {run[:8]}" in shown.out
    assert "POINT OF NO RETURN" in shown.out and "2.0.0 -> 1.0.0" in shown.out
    assert site.problems("2.0.0") == [] and len(site.entries()) == 2

    ls.ok("restore", run, "--yes")
    assert site.problems("1.0.0") == [], ls.tails()
    assert site.database.schema() == schema
    assert rows(site) == kept == [("ada", "hello", "ada@example.org")]
    assert fence(site) >= before
    # Nothing is left over for a plan to do, and the way up is open again.
    assert "nothing to do" in ls.ok("plan", site.write("1.0.0")).words
    ls.ok("apply", site.write("2.0.0"))
    assert site.problems("2.0.0") == []


def test_a_flipped_byte_or_a_missing_file_is_refused_before_anything_stops(make_site, start):
    site = make_site("postgres", names=("app-1",), strategy="all-at-once")
    ls = start(site)
    run, _, _ = at_the_top(site, ls)
    path = backup_of(ls, run)
    with open(path, "r+b") as file:
        file.seek(1000)
        byte = file.read(1)[0]
        file.seek(1000)
        file.write(bytes([byte ^ 1]))
    refused = ls.run("restore", run, "--yes")
    assert refused.code == EXIT_FAILED and "its SHA-256 is another one" in refused.words
    assert site.problems("2.0.0") == [] and len(site.entries()) == 2
    os.unlink(path)
    refused = ls.run("restore", run, "--yes")
    assert refused.code == EXIT_FAILED and path in refused.words
    assert site.problems("2.0.0") == [] and len(site.entries()) == 2


def test_what_has_no_backup_is_not_restored(make_site, start, tmp_path):
    site = make_site("sqlite", names=("app-1",), strategy="all-at-once")
    ls = start(site)
    run, _, _ = at_the_top(site, ls)
    first = ls.ok("--json", "history", CLUSTER).json()["runs"][-1]["run"]
    refused = ls.run("restore", first, "--yes")
    assert refused.code == EXIT_FAILED and "made no backup" in refused.err
    refused = ls.run("restore", run, "--only", "other", "--yes")
    assert refused.code == EXIT_FAILED and "made no backup of database other" in refused.err
    viewer = make_operator(ls, "viewer", tmp_path / "viewer")
    refused = run_as(viewer, "restore", run, "--yes")
    assert refused.returncode == EXIT_FAILED and "role viewer" in refused.stderr
    assert site.problems("2.0.0") == [] and len(site.entries()) == 2


def records_of_the_restore(ls, run, journal):
    """The numbers of its intent and its outcome, from the run's first record on in that journal."""
    events = [event for event in ls.ok("--json", "watch", run).lines()
              if event["event"] in ("step", "state") and event["number"] > 0]
    if journal == "place":
        events = [event for event in events if event.get("place") == "controller"]
    ours = [number for number, event in enumerate(events, 1)
            if event["event"] == "step" and event["name"] == "restore"]
    assert len(ours) == 2, events
    return ours


@pytest.mark.parametrize("variable", ["LOCKSTEP_CRASH_AFTER", "LOCKSTEP_PLACE_CRASH_AFTER"])
def test_a_controller_that_is_killed_at_the_restore_restores_once(variable, make_site, start):
    """At the record of its intent and at the one of its outcome."""
    site = make_site("postgres", names=("app-1",), strategy="all-at-once")
    ls = start(site)
    run, schema, kept = at_the_top(site, ls)
    journal = "place" if "PLACE" in variable else "lockstepd"
    ls.ok("restore", run, "--yes")
    assert rows(site) == kept
    quiet = ls.ok("--json", "history", CLUSTER).json()["runs"][0]["run"]
    for offset in records_of_the_restore(ls, quiet, journal):
        ls.ok("apply", site.write("2.0.0"))
        # A start of the controller writes its fence into the executor's journal.
        number = ls.journal_last(journal) + offset + (1 if journal == "place" else 0)
        ls.restart("lockstepd", env={variable: str(number)})
        ls.wait_connected(site.names)
        ls.run("restore", run, "--yes", "--detach")
        ls.wait_dead("lockstepd")
        ls.restart("lockstepd")
        newest = wait_until("the restore ends", lambda: ended(ls), 60)
        assert newest["state"] == "succeeded", (newest, ls.tails())
        assert site.problems("1.0.0") == [] and rows(site) == kept
        assert site.database.schema() == schema
        assert [item for by, _, item in site.database.evidence() if by == newest["run"]] == ["restore"]


def ended(ls):
    newest = ls.ok("--json", "history", CLUSTER).json()["runs"][0]
    return newest if newest["ended_ms"] else None
