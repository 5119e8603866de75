"""What failed is not simply tried again, and whoever watches a run follows it back: real programs, real databases."""
import contextlib
import re
import sqlite3

from harness import wait_until
from test_rollback import CLUSTER, go, make_marked, marks, newest

FAILED, PAUSED, ABORTED, ROLLED_BACK = 1, 3, 4, 8
BACK = "{ rolling: { canary: 1, max_unavailable: 1 }, on_failure: rollback }"


def begins(ls, run):
    """Why and by whom a run was begun, of its journal."""
    events = ls.run("--json", "watch", run).lines()
    return next(event for event in events if event["event"] == "state" and event["state"] == "running")


def test_what_failed_and_was_taken_back_is_refused_until_somebody_says_why(make_site, start):
    site = make_marked(make_site, strategy=BACK)
    ls = start(site)
    go(ls, site, "1.0.0")
    failed = ls.run("apply", site.write("1.1.0"))
    assert failed.code == ROLLED_BACK, failed
    first = re.search(r"run ([0-9a-f]{12})", failed.words).group(1)
    assert f"took back run {first}" in failed.words and site.problems("1.0.0") == []
    assert marks(site, "app-2") == ["did 1.1.0", "undid 1.1.0"]
    runs = len(ls.ok("--json", "history", CLUSTER).json()["runs"])

    def is_refused(result):
        assert result.code == FAILED and "in quarantine" in result.words, result
        for word in (first, "1.0.0", "1.1.0", "UTC", "app-2: gate: ", "--despite REASON"):
            assert word in result.words, result
        assert len(ls.ok("--json", "history", CLUSTER).json()["runs"]) == runs

    is_refused(ls.run("apply", site.cluster_file))
    ls.restart("lockstepd")
    ls.wait_connected(site.names)
    is_refused(ls.run("apply", site.cluster_file))
    planned = ls.ok("plan", site.cluster_file, "-o", site.top / "up.json")
    assert f"in quarantine: run {first}" in planned.out
    is_refused(ls.run("apply", site.top / "up.json"))
    assert f"in quarantine: run {first}" in ls.ok("status", CLUSTER).words
    quarantine = ls.ok("--json", "status", CLUSTER).json()["clusters"][0]["quarantine"]
    assert first in quarantine and "app-2: gate: " in quarantine

    (site.node_dir("app-2") / "closed").unlink()
    assert ls.run("apply", site.cluster_file, "--despite", "").code == 2
    ls.ok("apply", site.cluster_file, "--despite", "the gate is open now")
    assert site.problems("1.1.0") == []
    said = begins(ls, newest(ls)["run"])
    assert said["why"].endswith("the gate is open now") and first in said["why"]
    assert said["who"] == newest(ls)["who"] != ""
    # It has succeeded: the same way is free again.
    go(ls, site, "1.0.0")
    go(ls, site, "1.1.0")


def test_an_abort_after_a_failure_is_in_quarantine_and_one_without_is_not(make_site, start):
    site = make_marked(make_site)
    ls = start(site)
    go(ls, site, "1.0.0")
    # A clean abort: app-1 hangs in its gate, and nothing has failed.
    site.extra_steps += SLOW
    (site.node_dir("app-1") / "slow").touch()
    apply = ls.start("apply", site.write("1.1.0"))
    wait_until("app-1 is in its gate", lambda: (site.node_dir("app-1") / "waits").exists())
    ls.ok("abort", CLUSTER)
    (site.node_dir("app-1") / "slow").unlink()
    assert apply.wait(timeout=60) == ABORTED, apply.stdout.read()
    assert "quarantine" not in ls.ok("plan", site.cluster_file).words
    # The same way, and app-2 fails.
    assert ls.run("apply", site.cluster_file).code == PAUSED
    assert "quarantine" not in ls.ok("status", CLUSTER).words, "it may still turn out well"
    ls.ok("abort", CLUSTER)
    refused = ls.run("apply", site.cluster_file)
    assert refused.code == FAILED and "app-2: gate: " in refused.words, refused
    # Other specs are another attempt.
    (site.node_dir("app-2") / "closed").unlink()
    site.extra_steps += "# mended\n"
    go(ls, site, "1.1.0")


STUCK = """\
  - name: stuck
    when: { direction: up, hop_to: "1.1.0" }
    scope: node
    after: swapped
    do: [ { run: { command: [/bin/true], tree: none } } ]
    undo: [ { run: { command: [/bin/sh, -c, 'test ! -e "${node.dir}/stuck"'], tree: none } } ]
"""


def test_a_way_back_that_fails_is_never_in_quarantine(make_site, start):
    """What is tried once more must be possible: neither a pause of the way back nor its abort may refuse it."""
    site = make_marked(make_site)
    site.extra_steps = STUCK + site.extra_steps
    ls = start(site)
    go(ls, site, "1.0.0")
    (site.node_dir("app-2") / "stuck").touch()
    assert ls.run("apply", site.write("1.1.0")).code == PAUSED
    failed = newest(ls)["run"]
    ls.ok("rollback", failed)
    assert ls.run("watch", failed).code == PAUSED, "the undo of app-2 fails"
    back = newest(ls)
    assert back["takes_back"] == failed and back["state"] == "paused", back
    ls.ok("abort", CLUSTER)
    assert newest(ls)["run"] == back["run"] and newest(ls)["state"] == "aborted"
    with contextlib.closing(sqlite3.connect(f"file:{ls.controller_state / 'lockstep.db'}?mode=ro", uri=True)) as store:
        assert store.execute("SELECT run FROM quarantine").fetchall() == [(failed,)]
    (site.node_dir("app-2") / "stuck").unlink()
    go(ls, site, "1.0.0")


SLOW = """\
  - name: slow
    when: { direction: up, hop_to: "1.1.0" }
    scope: node
    before: stopped
    do: [ { run: { command: [/bin/sh, -c,
      'cd "${node.dir}"; touch waits; while [ -e slow ]; do sleep 0.05; done'], tree: none } } ]
"""


# ---- following the way back -------------------------------------------------------------------


def test_a_way_back_that_cannot_be_planned_is_told_to_who_watches_and_in_the_status(make_site, start):
    """app-3 is away, so that the way back cannot be planned."""
    site = make_marked(make_site)
    ls = start(site)
    go(ls, site, "1.0.0")
    assert ls.run("apply", site.write("1.1.0")).code == PAUSED
    failed = newest(ls)["run"]
    ls.kill("app-3")
    ls.ok("rollback", failed)
    watched = ls.run("watch", failed)
    assert watched.code == PAUSED, watched
    told = f"run {failed} is not taken back yet: "
    assert told in watched.words and "app-3" in watched.words.split(told)[1], watched
    assert "lockstep apply another way" in watched.words
    status = ls.ok("status", CLUSTER).words
    assert told in status and "app-3" in status.split(told)[1]
    stays = ls.start("watch", failed, "--stay")
    wait_until("who stays is told too", lambda: told in stays.stdout.readline())
    ls.restart("app-3")
    assert stays.wait(timeout=60) == ROLLED_BACK, ls.tails()
    assert "rolled back in " in stays.stdout.read()
    assert site.problems("1.0.0") == []
    # Later, too, and by whichever name.
    for name in (failed, newest(ls)["run"], CLUSTER):
        assert ls.run("watch", name).code == ROLLED_BACK
    assert ls.run("--json", "watch", failed).lines()[0]["run"] == failed
    assert newest(ls)["takes_back"] == failed
