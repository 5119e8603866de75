"""`lockstep rehearse PLAN`: what it tells of a step's failure is what the real run then comes to."""

from harness import wait_until

CLUSTER = "guestbook-demo"

# Fails where the file `closed` lies, and waits where `hold` does; app-1 is the first of its set, as in a rehearsal.
GATE = """\
  - name: gate
    when: { direction: up, hop_to: "1.1.0" }
    scope: node
    after: swapped
    do:
      - run: { command: [/bin/sh, -c, 'cd "${node.dir}"; [ ! -e closed ] || exit 1; while [ -e hold ]; do sleep 0.05; done'], tree: none }
"""
WORDS = {"retry": (), "skip": ("--at", "app-1"), "exclude": ("app-1",), "rollback": (), "abort": ()}


def rehearsed(ls, plan, *options):
    return ls.ok("rehearse", plan, *options, "--json").json()


def newest(ls):
    return ls.ok("--json", "history", CLUSTER).json()["runs"][0]


def find(rehearsal, step, hop=0):
    return next(case for case in rehearsal["steps"] if (case["step"], case["hop"]) == (step, hop))


def test_a_failure_comes_to_what_its_rehearsal_said(make_site, start, tmp_path):
    site = make_site(strategy="all-at-once", extra_steps=GATE)
    ls = start(site)
    ls.ok("apply", site.write("1.0.0"))
    plan = tmp_path / "up.json"
    ls.ok("plan", site.write("1.1.0"), "-o", plan)
    told = find(rehearsed(ls, plan), "gate")
    assert told["place"] == "app-1" and told["databases"][0]["schema"] == "2"

    (site.node_dir("app-1") / "closed").touch()
    for name in ("app-2", "app-3"):
        (site.node_dir(name) / "hold").touch()  # as in a rehearsal, they are no further when app-1 fails
    apply = ls.start("apply", plan)
    wait_until("the run is paused", lambda: newest(ls)["state"] == told["state"] == "paused")
    for name in ("app-2", "app-3"):
        (site.node_dir(name) / "hold").unlink()
    assert apply.wait(timeout=60) == 3, apply.stdout.read()
    assert len(site.ledger()) == 2
    for node in told["nodes"]:
        status, _ = site.health(node["name"])
        assert (status == 200) == node["running"], node
        assert site.tree_problems(node["name"], node["release"]) == [], node
        assert not node["may_start"], node
    for word in told["words"]:
        if not word["taken"]:
            refused = ls.run(word["word"], CLUSTER, *WORDS[word["word"]])
            assert refused.code != 0 and word["why"] in refused.words, (word, refused)
    (site.node_dir("app-1") / "closed").unlink()
    assert "retry" in [word["word"] for word in told["words"] if word["taken"]]
    ls.ok("retry", CLUSTER)


def test_what_was_not_touched_fails_and_what_is_never_answered_is_waited_for(make_site, start,
                                                                           tmp_path):
    site = make_site(names=("app-1", "app-2"))
    ls = start(site)
    ls.ok("apply", site.write("1.0.0"))
    plan = tmp_path / "up.json"
    ls.ok("plan", site.write("2.0.0"), "-o", plan)
    ls.stop("lockstepd")  # a plan in a file needs no controller
    fails, silent = rehearsed(ls, plan), rehearsed(ls, plan, "--no-answer")
    assert len(fails["steps"]) == len(silent["steps"]) > 20
    first = find(fails, "preflight", -1)
    assert first["state"] == "failed" and first["words"] == []
    assert all(node["release"] == "1.0.0" and node["running"] for node in first["nodes"])
    assert find(fails, "stage", -1)["attempts"] == 3
    assert find(silent, "stage", -1)["attempts"] == 1
    assert find(silent, "lock")["waited_ms"] == 150 * 1000
    lossy = find(fails, "migrate", 1)
    assert lossy["databases"][0] == {"name": "main", "schema": "2", "toward": "4",
                                     "restoring": False, "locked": True}
    rollback = next(word for word in find(fails, "checkpoint", 1)["words"]
                    if word["word"] == "rollback")
    assert not rollback["taken"] and "point of no return" in rollback["why"]
    words = ls.ok("rehearse", plan).words
    assert "when this fails" in words and "nothing was touched" in words
