"""How nodes move, over time: what waits for what, and what never happens in between."""
import hashlib
import json
import os
import signal
import sqlite3
import subprocess

import guestbook_site
from guestbook_site import HealthWatch
from harness import program, wait_until

TRIP_S = 60
HEARTBEATS_S = 30
EXIT_PAUSED = 3

# app-1 is not drained before somebody says so; the others are at once.
GATED = """\
drain:
  - run:
      command: [/bin/sh, -c,
                'cd "${node.dir}"; echo x >> drained; while [ ! -e go ]; do sleep 0.05; done']
      tree: none
undrain: { run: { command: [/bin/sh, -c, 'echo x >> "${node.dir}/undrained"'], tree: none } }
"""


def service_of(ls, site, name):
    found = [pid for pid, words in ls.processes().items()
             if f" serve --port {site.ports[name]} " in words + " "]
    assert len(found) == 1, ls.processes()
    return found[0]


def lines(site, name, file):
    path = site.node_dir(name) / file
    return path.read_text(encoding="ascii").split() if path.exists() else []


def test_a_rolling_run_waits_for_a_node_that_died_by_itself(make_site, start):
    site = make_site(extra_steps=GATED)
    ls = start(site)
    for name in site.names:
        site.node_dir(name).mkdir(parents=True, exist_ok=True)
        (site.node_dir(name) / "go").touch()
    ls.ok("apply", site.write("1.0.0"))
    (site.node_dir("app-1") / "go").unlink()

    apply = ls.start("apply", site.write("1.1.0"))
    wait_until("app-1 is drained", lambda: lines(site, "app-1", "drained"))
    os.kill(service_of(ls, site, "app-3"), signal.SIGKILL)
    wait_until("the controller has heard that app-3 is down",
               lambda: "the service of app-3 does not run" in ls.log_text("lockstepd"), HEARTBEATS_S)
    (site.node_dir("app-1") / "go").touch()
    wait_until("app-1 is back", lambda: site.is_good("app-1", "1.1.0"))

    said = "app-2 waits: 1 of 3 nodes are down (app-3: its service does not run)"
    wait_until("app-2 waits", lambda: said in ls.log_text("lockstepd"), HEARTBEATS_S)
    assert apply.poll() is None
    status, answer = site.health("app-2")
    assert (status, answer["version"]) == (200, "1.0.0") and not lines(site, "app-2", "drained")
    assert said in ls.ok("status", "guestbook-demo").words

    # Whoever looks after app-3 starts it again: its keeper does what the agent would.
    kept = next((ls.agent_state("app-3") / "services").glob("*/service.json")).parent
    with open(kept / "by-hand.log", "wb") as log:
        subprocess.Popen([program("lockstep-agent"), "keep", kept], stdin=subprocess.DEVNULL,
                         stdout=log, stderr=log, cwd=ls.dir, env=ls._environment(),
                         start_new_session=True)
    assert apply.wait(timeout=TRIP_S) == 0, f"{apply.stdout.read()}\n{ls.tails()}"
    assert site.problems("1.1.0") == []
    for name in site.names:
        assert lines(site, name, "drained") == ["x"], name
        assert lines(site, name, "undrained") == ["x", "x"], name


def staged(site, name):
    """{version: inode} of the trees that are kept beside the installed one."""
    store = site.node_dir(name) / "app.lockstep"
    return {tree.name.split("-")[0]: tree.stat().st_ino
            for tree in store.iterdir() if not tree.name.startswith(".")}


def test_stage_today_apply_tomorrow(make_site, start):
    site = make_site()
    ls = start(site)
    ls.ok("apply", site.write("1.0.0"))
    path = site.top / "up.json"
    ls.ok("plan", site.write("1.1.0"), "-o", path)
    pids = sorted(pid for pid, words in ls.processes().items() if " serve --port " in words)
    wanted = ls.ok("status", "guestbook-demo", "--json").json()

    ls.ok("stage", path)
    trees = {name: staged(site, name)["1.1.0"] for name in site.names}
    assert pids == sorted(pid for pid, words in ls.processes().items()
                          if " serve --port " in words)
    assert site.problems("1.0.0") == []
    run = ls.ok("history", "guestbook-demo", "--json").json()["runs"][0]
    assert run["state"] == "succeeded"
    assert run["why"] == "staged 1.1.0 for a later apply; nothing was stopped"
    now = ls.ok("status", "guestbook-demo", "--json").json()
    same = ("wanted", "revision")
    for before, after in zip(wanted.get("clusters", [wanted]), now.get("clusters", [now])):
        assert {key: before.get(key) for key in same} == {key: after.get(key) for key in same}

    ls.ok("apply", path)
    assert site.problems("1.1.0") == []
    for name in site.names:
        assert site.tree(name).stat().st_ino == trees[name], "it was unpacked again"


def test_what_was_staged_can_be_dropped(make_site, start):
    site = make_site()
    ls = start(site)
    ls.ok("apply", site.write("1.0.0"))
    ls.ok("stage", site.write("2.0.0"))
    assert all("2.0.0" in staged(site, name) for name in site.names)
    ls.ok("stage", "--drop", site.cluster_file)
    assert not any("2.0.0" in staged(site, name) for name in site.names)
    assert site.problems("1.0.0") == []
    assert "took the staged" in ls.ok("history", "guestbook-demo").words


def expanding(site):
    """2.0.0 as a release that runs with 3, too: only migration 4 has to wait for the last wave."""
    release = {**guestbook_site.build.RELEASES[2], "schema_min": 3}
    data = guestbook_site.build.pack(release)
    path = site.top / "artifacts/guestbook-2.0.0-expanding.tar.gz"
    path.write_bytes(data)
    site.artifacts["2.0.0"] = {"path": str(path), "sha256": hashlib.sha256(data).hexdigest()}
    text = site.application_text()
    old = 'schema: { main: 4 }\n    runs_with: { main: "4" }'
    assert text.count(old) == 1
    new = text.replace(old, 'schema: { main: 4 }\n    runs_with: { main: "3..4" }\n'
                            '    expand: { main: 3 }')
    site.application_text = lambda: new


def moves(plan):
    """The plan's migrations and waves, in their order."""
    return [phase["part"] if phase["name"] == "migrate main" else "wave"
            for phase in plan["phases"]
            if phase["name"] == "migrate main" or phase.get("takes_down")]


def test_what_contracts_runs_when_the_last_node_has_moved_and_goes_first_on_the_way_back(
        make_site, start):
    site = make_site()
    expanding(site)
    ls = start(site)
    ls.ok("apply", site.write("1.1.0"))
    site.post("app-1", "ada", "hello")
    path = site.top / "plan.json"
    ran = ["create_entries", "index_entries_by_author"]
    for version, order, items in [
            ("2.0.0", ["expand", *["wave"] * 3, "contract"],
             ["create_authors_view", "drop_author_email"]),
            ("1.1.0", ["contract", *["wave"] * 3, "expand"],
             ["drop_author_email", "create_authors_view"])]:
        ls.ok("plan", site.write(version), "-o", path)
        plan = json.loads(path.read_text(encoding="utf-8"))
        assert plan["strategy"] == "rolling" and moves(plan) == order
        with HealthWatch(site) as watcher:
            ls.ok("apply", path)
        assert site.problems(version) == [], ls.tails()
        ran += items
        assert site.migrations_run() == ran
        # A node beside a schema that it does not know would have said so: each was away once, for its swap.
        stretches = sorted(watcher.downs(name) for name in site.names)
        assert [len(downs) for downs in stretches] == [1, 1, 1], stretches
        for (earlier,), (later,) in zip(stretches, stretches[1:]):
            assert earlier[1] < later[0], stretches
    assert site.entries() == [("ada", "hello")]


ONE_FIRST = "{ all_at_once: true, one_first: true }"


def between(site, words):
    """What the vendor says of a release that lies between the ends of a way. One that is not started has nobody who could take
    the newer module off: the hop after it does."""
    text = type(site).application_text(site)
    old = 'hop_from: ">=2.0.0", hop_to: "<2.0.0"'
    assert text.count("paths:\n") == 1 and text.count(old) == 2
    if words == "migrate-only":
        text = text.replace(old, 'hop_from: ">=1.1.0", hop_to: "<1.1.0"')
    site.application_text = lambda: text.replace("paths:\n", f"paths:\n  between: {words}\n")


def test_a_release_between_is_started_or_only_migrated_through(make_site, start):
    site = make_site(strategy="all-at-once", names=("app-1", "app-2"))
    ls = start(site)
    ls.ok("apply", site.write("1.0.0"))
    for words, version, seen in [("start", "2.0.0", {"1.0.0", "1.1.0", "2.0.0"}),
                                 ("migrate-only", "1.0.0", {"1.0.0", "2.0.0"}),
                                 ("migrate-only", "2.0.0", {"1.0.0", "2.0.0"}),
                                 ("start", "1.0.0", {"1.0.0", "1.1.0", "2.0.0"})]:
        between(site, words)
        with HealthWatch(site) as watcher:
            ls.ok("apply", site.write(version))
        assert site.problems(version) == [], ls.tails()
        for name in site.names:
            found = {version for *_, version in watcher.samples[name] if version}
            assert found == seen, (words, version, name)


def test_the_rest_is_not_started_before_the_first_node_is_healthy(make_site, start):
    site = make_site(strategy=ONE_FIRST)
    ls = start(site)
    ls.ok("apply", site.write("1.0.0"))
    config = site.node_dir("app-1") / "guestbook.json"
    good = config.read_text(encoding="utf-8")
    config.write_text("not what it was\n", encoding="utf-8")

    assert ls.run("apply", site.write("1.1.0")).code == EXIT_PAUSED
    assert [site.health(name)[0] for name in site.names] == [0, 0, 0]
    assert not [words for words in ls.processes().values() if " serve --port " in words]

    config.write_text(good, encoding="utf-8")
    ls.ok("abort", "guestbook-demo")
    with HealthWatch(site) as watcher:
        ls.ok("apply", site.cluster_file, "--despite", "the configuration is mended")
    assert site.problems("1.1.0") == []
    first = {name: min(begin for begin, _, version in watcher.samples[name] if version)
             for name in site.names}
    assert first["app-1"] < min(first["app-2"], first["app-3"])


def test_the_pace_of_starts_goes_on_from_run_to_run(make_site, start):
    """Two nodes were started by the run before: the third start within the time waits."""
    site = make_site(names=("app-1", "app-2"),
                     strategy="{ rolling: { canary: 1, max_unavailable: 1 }, "
                              "starts: { at_most: 2, within: 10s }, if_not_rolling: all-at-once }")
    ls = start(site)
    ls.ok("apply", site.write("1.0.0"))
    apply = ls.start("apply", site.write("1.1.0"))
    wait_until("a node waits for the pace",
               lambda: "no more than 2 starts within" in ls.ok("status", "guestbook-demo").words)
    assert apply.wait(timeout=TRIP_S) == 0, f"{apply.stdout.read()}\n{ls.tails()}"
    assert site.problems("1.1.0") == []
    journal = sqlite3.connect(ls.controller_state / "journal.db")
    assert journal.execute("SELECT count(DISTINCT stream) FROM record").fetchone() == (2,)
