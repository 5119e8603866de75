"""What a run that did not succeed left behind is taken back: real programs, real databases.

Each end is judged from outside: the nodes' own pages, the ledger, the schema, what commands wrote.
"""
import json

from guestbook_site import VERSIONS
from harness import wait_until

CLUSTER = "guestbook-demo"


def go(ls, site, version):
    """Applies the version and proves that all of the site runs it."""
    result = ls.ok("apply", site.write(version))
    assert site.problems(version) == [], ls.tails()
    return result


def node_status(ls, name):
    clusters = ls.ok("--json", "status", CLUSTER).json()["clusters"]
    return next(node for node in clusters[0]["nodes"] if node["name"] == name)


# ---- what an aborted run denied --------------------------------------------------------------


def permit_of(ls, name):
    """The stored permission of a node, or {}."""
    found = sorted(ls.agent_state(name).glob("permits/*"))
    return json.loads(found[0].read_text(encoding="utf-8")) if found else {}


KILL_AGENT = """\
  - name: kill-agent
    when: {{ direction: up, hop_to: "{version}" }}
    scope: once
    on: app-1
    before: stopped
    do: [ {{ run: {{ command: [/bin/kill, "-9", "{pid}"], tree: none }} }} ]
"""


def test_starts_that_an_aborted_run_denied_are_permitted_again(make_site, start):
    """app-2 is away while starts are denied, so that the run is aborted before anything stops."""
    site = make_site(names=("app-1", "app-2"), strategy="all-at-once")
    ls = start(site)
    go(ls, site, VERSIONS[0])
    pid = ls.children["app-2"].pid
    site.extra_steps = KILL_AGENT.format(version=VERSIONS[1], pid=pid)
    apply = ls.start("apply", site.write(VERSIONS[1]))
    wait_until("app-1 denies starts", lambda: "denied" in permit_of(ls, "app-1"))
    ls.ok("abort", CLUSTER)
    ls.children["app-2"].wait()
    ls.restart("app-2")
    assert apply.wait(timeout=60) != 0, apply.stdout.read()
    assert site.problems(VERSIONS[0]) == [], "nothing had stopped"
    status = node_status(ls, "app-1")
    assert status["running"] and status["denied"].startswith("denied by run "), status
    site.extra_steps = ""
    plan = ls.ok("plan", site.write(VERSIONS[0])).words
    assert "permit" in plan and "denied by run" in plan
    go(ls, site, VERSIONS[0])
    for name in site.names:
        assert node_status(ls, name)["denied"] == ""
        assert permit_of(ls, name)["release"] == VERSIONS[0]
    assert "nothing to do" in ls.ok("apply", site.cluster_file).words


# ---- what extra steps did --------------------------------------------------------------------


MARKS = """\
  - name: mark
    when: { direction: up, hop_to: "1.1.0" }
    scope: node
    after: swapped
    do: [ { run: { command: [/bin/sh, -c, 'echo "did ${hop.to}" >> "${node.dir}/marks"'], tree: none } } ]
    undo: [ { run: { command: [/bin/sh, -c, 'echo "undid ${hop.to}" >> "${node.dir}/marks"'], tree: none } } ]
  - name: gate
    when: { direction: up, hop_to: "1.1.0" }
    scope: node
    after: swapped
    do: [ { run: { command: [/bin/sh, -c, 'test ! -e "${node.dir}/closed"'], tree: none } } ]
"""


def marks(site, name):
    path = site.node_dir(name) / "marks"
    return path.read_text(encoding="ascii").splitlines() if path.exists() else []


def make_marked(make_site, engine="sqlite", strategy=None, closed="app-2"):
    """A rolling site whose way to 1.1.0 fails on the second node, after its swap."""
    options = {} if strategy is None else {"strategy": strategy}
    site = make_site(engine, extra_steps=MARKS, **options)
    (site.node_dir(closed) / "closed").touch()
    return site


def test_a_revert_takes_a_half_done_run_back_with_what_its_extra_steps_did(make_site, start):
    site = make_marked(make_site)
    ls = start(site)
    go(ls, site, "1.0.0")
    schema = site.database.schema()
    assert ls.run("apply", site.write("1.1.0")).code != 0
    assert site.is_good("app-1", "1.1.0") is False or marks(site, "app-1") == ["did 1.1.0"]
    assert marks(site, "app-2") == ["did 1.1.0"] and marks(site, "app-3") == []
    ls.ok("abort", CLUSTER)
    plan = ls.ok("plan", site.write("1.0.0")).words
    assert "undo mark: run " in plan and "did it, 1.0.0 -> 1.1.0" in plan, plan
    assert "undo gate (run " in plan, plan
    go(ls, site, "1.0.0")
    assert site.database.schema() == schema
    for name in ("app-1", "app-2"):
        assert marks(site, name) == ["did 1.1.0", "undid 1.1.0"]
    assert marks(site, "app-3") == []
    assert "nothing to do" in ls.ok("apply", site.cluster_file).words


# ---- the word rollback -----------------------------------------------------------------------


def newest(ls):
    return ls.ok("--json", "history", CLUSTER).json()["runs"][0]


def wait_taken_back(ls, site, failed, schema):
    def over():
        run = newest(ls)
        return run["who"] == f"rollback of {failed}" and run["state"] in ("succeeded", "paused")

    wait_until("the rollback's run ends", over, timeout_s=60)
    assert newest(ls)["state"] == "succeeded", ls.tails()
    assert newest(ls)["to"] == "1.0.0"
    assert site.problems("1.0.0") == [], ls.tails()
    assert site.database.schema() == schema
    for name in site.names:
        assert marks(site, name) in ([], ["did 1.1.0", "undid 1.1.0"]), name
    assert marks(site, "app-2") == ["did 1.1.0", "undid 1.1.0"]


def test_the_word_rollback_takes_a_paused_all_at_once_run_back_after_its_migration(make_site,
                                                                                   start):
    site = make_marked(make_site, strategy="all-at-once")
    ls = start(site)
    go(ls, site, "1.0.0")
    schema = site.database.schema()
    assert ls.run("apply", site.write("1.1.0")).code != 0
    failed = newest(ls)
    assert failed["state"] == "paused" and site.database.schema() != schema
    ls.ok("rollback", CLUSTER)
    wait_taken_back(ls, site, failed["run"], schema)


def test_a_run_that_fails_on_its_second_wave_goes_back_by_itself(make_site, start):
    site = make_marked(make_site, engine="postgres",
                       strategy="{ rolling: { canary: 1, max_unavailable: 1 }, on_failure: rollback }")
    ls = start(site)
    go(ls, site, "1.0.0")
    schema = site.database.schema()
    assert ls.run("apply", site.write("1.1.0")).code != 0
    failed = ls.ok("--json", "history", CLUSTER).json()["runs"]
    failed = next(run for run in failed if run["to"] == "1.1.0")
    assert failed["state"] == "aborted" and "app-2" in failed["why"], failed
    wait_taken_back(ls, site, failed["run"], schema)


def test_a_rollback_goes_on_after_the_controller_died_between_the_two_runs(make_site, start):
    """app-3 is away, so that the way back cannot be planned before the controller is killed."""
    site = make_marked(make_site)
    ls = start(site)
    go(ls, site, "1.0.0")
    schema = site.database.schema()
    assert ls.run("apply", site.write("1.1.0")).code != 0
    failed = newest(ls)["run"]
    ls.kill("app-3")
    ls.ok("rollback", failed)
    wait_until("the run has ended", lambda: newest(ls)["state"] == "aborted")
    ls.kill("lockstepd")
    ls.restart("lockstepd")
    assert newest(ls)["run"] == failed
    ls.restart("app-3")
    wait_taken_back(ls, site, failed, schema)


def test_past_the_point_of_no_return_the_word_rollback_offers_the_restore(make_site, start):
    site = make_site(names=("app-1", "app-2"), extra_steps=MARKS.replace("1.1.0", "2.0.0"))
    (site.node_dir("app-2") / "closed").touch()
    ls = start(site)
    go(ls, site, "1.1.0")
    assert ls.run("apply", site.write("2.0.0")).code != 0
    failed = newest(ls)
    assert failed["state"] == "paused"
    result = ls.run("rollback", failed["run"])
    assert result.code != 0 and "point of no return" in result.words, result
    assert f"lockstep restore {CLUSTER}" in result.words
    assert newest(ls)["state"] == "paused"
