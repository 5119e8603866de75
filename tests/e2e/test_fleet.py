"""A fleet of three small clusters with real programs: up stage by stage, paused by a surprise, resumed, down again.

Each end is judged from outside: the nodes' own pages and ledgers, and the runs that were begun.
"""
import pytest

from guestbook_site import Site
from harness import Lockstep, wait_until

FLEET = """\
lockstep: 1
kind: Fleet
name: boards
version: "{version}"
stages:
{stages}
"""
STAGES = """\
  - { name: staging, clusters: eu-test }
  - { name: rest, clusters: [eu-1, us-1] }
"""


class Member(Site):
    """A cluster of one node, of the same application as the others."""

    def __init__(self, top, name, artifacts=None):
        top.mkdir()
        super().__init__(top, names=(f"{name}-app",), strategy="all-at-once")
        self.name = name
        self.node = self.names[0]
        self.artifacts = artifacts or self.artifacts

    def cluster_text(self, version):
        return super().cluster_text(version).replace("name: guestbook-demo", f"name: {self.name}")


class Fleet:
    def __init__(self, top):
        self.top = top
        test = Member(top / "eu-test", "eu-test")
        self.members = [test] + [Member(top / name, name, test.artifacts)
                                 for name in ("eu-1", "us-1")]
        self.ls = Lockstep([member.node for member in self.members], top=top, keep=True)

    def __getitem__(self, name):
        return next(member for member in self.members if member.name == name)

    def write(self, version, stages=STAGES):
        path = self.top / "fleet.yaml"
        path.write_text(FLEET.format(version=version, stages=stages), encoding="utf-8")
        return path

    def apply(self, version, *options, stages=STAGES):
        return self.ls.run("fleet", "apply", self.write(version, stages), *options)

    def run(self, *words):
        return self.ls.run("fleet", *words)

    def status(self):
        return self.ls.ok("--json", "fleet", "status", "boards").json()["fleets"][0]

    def states(self):
        return {member["cluster"]: member["state"] for member in self.status()["members"]}

    def runs(self, name):
        """[(from, to, state)] of a cluster, oldest first."""
        runs = self.ls.ok("--json", "history", name).json()["runs"]
        return [(run["from"], run["to"], run["state"]) for run in reversed(runs)]

    def is_at(self, *versions):
        for member, version in zip(self.members, versions):
            assert member.problems(version) == [], self.ls.tails()


@pytest.fixture
def fleet(tmp_path):
    """Three clusters that the controller holds, with nothing installed."""
    made = Fleet(tmp_path)
    try:
        made.ls.__enter__()
        for member in made.members:
            made.ls.ok("cluster", "put", member.write("1.0.0"))
        yield made
    finally:
        made.ls.close()


INSTALLED = [("", "1.0.0", "succeeded")]


def test_a_surprise_pauses_the_fleet_and_a_downgrade_touches_only_what_was_reached(fleet):
    """us-1's agent is away when its turn comes."""
    first = fleet.apply("1.0.0")
    assert first.code == 0, f"{first!r}\n{fleet.ls.tails()}"
    fleet.is_at("1.0.0", "1.0.0", "1.0.0")
    fleet.ls.kill("us-1-app")
    up = fleet.apply("1.1.0")
    assert up.code == 3, up
    assert "staging: eu-test is done" in up.out and "fleet boards to 1.1.0 is paused" in up.out, up
    status = fleet.status()
    assert status["state"] == "paused" and "us-1: " in status["why"] and "us-1-app" in status["why"]
    assert fleet.states() == {"eu-test": "done", "eu-1": "done", "us-1": "failed"}
    assert fleet.run("resume", "boards").code == 0
    assert fleet.run("watch").code == 3, "it is still away"
    again = fleet.apply("1.0.0")
    assert again.code == 1 and "lockstep fleet abort boards" in again.err, again
    assert fleet.run("abort", "boards", "--why", "not today").code == 0
    assert fleet.run("watch").code == 4

    fleet.ls.restart("us-1-app")
    fleet.ls.wait_connected(["us-1-app"])
    down = fleet.apply("1.0.0")
    assert down.code == 0, down
    fleet.is_at("1.0.0", "1.0.0", "1.0.0")
    assert fleet.runs("eu-1") == INSTALLED + [("1.0.0", "1.1.0", "succeeded"),
                                              ("1.1.0", "1.0.0", "succeeded")]
    assert fleet.runs("us-1") == INSTALLED, "it was not reached, and is not touched"


GATED = """\
  - { name: staging, clusters: eu-test, soak: 1s, gate: 1 }
  - { name: rest, clusters: [eu-1, us-1], parallel: 2, requires: staging }
"""


def test_what_somebody_moves_takes_the_fleet_back_before_the_gate(fleet):
    """And what is skipped after it failed is left behind."""
    first = fleet.apply("1.0.0", "--json", stages=GATED)
    states = [line["state"] for line in first.lines()]
    assert first.code == 3 and "soaking" in states and states[-1] == "at-gate", first
    fleet.ls.ok("apply", "eu-test", "--to", "1.1.0")
    status = fleet.status()
    assert status["state"] == "paused" and "moves it: 1.0.0 -> 1.1.0" in status["why"], status
    assert fleet.run("approve", "boards").code == 1, "a paused fleet is at no gate"
    assert fleet.run("resume", "boards").code == 0
    assert fleet.run("watch", "boards").code == 3
    assert fleet.status()["state"] == "at-gate"
    assert fleet["eu-test"].problems("1.0.0") == []
    fleet.ls.kill("us-1-app")
    approved = fleet.run("approve", "boards", "--why", "looks well")
    assert approved.code == 0, approved
    assert fleet.run("watch", "boards").code == 3
    assert fleet.run("skip", "boards", "us-1", "--why", "next week").code == 0
    assert fleet.run("resume", "boards").code == 0
    watch = fleet.run("watch", "boards")
    assert watch.code == 7 and "1 of 3 clusters is left behind" in watch.out, watch
    assert fleet["eu-1"].problems("1.0.0") == []
    assert fleet.runs("us-1") == []


def test_what_is_wrong_or_not_shown_by_staging_is_refused(fleet):
    wrong = fleet.apply("9.9.9", stages=STAGES.replace("us-1", "us-l"))
    path = fleet.top / "fleet.yaml"
    assert wrong.code == 1, wrong
    assert f'{path}:7:36: the controller holds no cluster "us-l": lockstep cluster put FILE' in wrong.err
    assert f'{path}:6:32: the application of cluster "eu-test" (revision 1) lists no release 9.9.9' in wrong.err
    single = fleet.ls.run("apply", path)
    assert single.code == 1 and f"holds a Fleet: lockstep fleet apply {path}" in single.err, single
    assert fleet.run("resume", "nobody").code == 1

    fleet.ls.ok("apply", "eu-test")
    up = fleet.apply("1.0.0", stages=GATED.replace(", soak: 1s, gate: 1", ""))
    assert up.code == 3, up
    assert "requires evidence of stage staging" in up.out and "from nothing to 1.0.0" in up.out, up
    assert fleet.runs("eu-1") == [] and fleet.runs("us-1") == []


def test_a_controller_that_dies_around_an_intent_and_in_a_run_starts_each_run_once(fleet):
    ls = fleet.ls
    ls.stop("lockstepd")
    # The first record is that the fleet runs, the second that its first run will be started.
    ls.start_controller({"LOCKSTEP_CRASH_BEFORE": str(ls.journal_last("lockstepd") + 2)})
    ls.wait_connected([member.node for member in fleet.members])
    assert fleet.apply("1.0.0", "--detach").code == 0
    assert ls.wait_dead("lockstepd")
    assert ls.journal_last("lockstepd") > 0
    ls.start_controller({"LOCKSTEP_CRASH_AFTER": str(ls.journal_last("lockstepd") + 1)}, wait=False)
    assert ls.wait_dead("lockstepd"), "the intent is kept, the run is not started"
    ls.restart("lockstepd")
    wait_until("the second stage begins", lambda: fleet.states()["eu-1"] not in ("waiting", "planning"),
               timeout_s=120)
    ls.kill("lockstepd")
    ls.restart("lockstepd")
    watch = fleet.run("watch", "boards", "--stay")
    assert watch.code == 0, f"{watch!r}\n{ls.tails()}"
    fleet.is_at("1.0.0", "1.0.0", "1.0.0")
    for member in fleet.members:
        assert fleet.runs(member.name) == INSTALLED
