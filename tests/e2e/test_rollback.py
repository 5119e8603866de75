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
