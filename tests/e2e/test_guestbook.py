"""The guestbook goes up and down again: real programs, real databases, three nodes.

Every trip is judged from outside: the nodes' own pages, the application's own ledger, the bytes of
the installed trees, and the evidence rows, which only a committed migration leaves.
"""
import json
import os
import random
import re
import signal
import socket
import time

import pytest

from guestbook_site import MIGRATIONS, VERSIONS, HealthWatch
from harness import wait_until

CLUSTER = "guestbook-demo"
EXIT_FAILED, EXIT_MOVED = 1, 6
UP = ["index_entries_by_author", "create_authors_view", "drop_author_email"]
DOWN = ["drop_author_email", "create_authors_view", "index_entries_by_author"]
TRIP_S = 60


def go(ls, site, version):
    """Applies the version and proves that all of the site runs it."""
    result = ls.ok("apply", site.write(version))
    assert site.problems(version) == [], ls.tails()
    return result


def same_items(run, wanted):
    """Once each; the order within one transaction's instant is not told by the evidence."""
    assert sorted(run) == sorted(wanted)


# ---- there and back ------------------------------------------------------------------------


def test_goes_up_two_hops_and_down_again(engine, make_site, start):
    site = make_site(engine)
    ls = start(site)
    assert site.ledger() is None
    go(ls, site, "1.0.0")
    same_items(site.migrations_run(), ["create_entries"])
    before = site.database.schema()
    site.post("app-1", "ada", "hello")
    site.post("app-2", "bob", "good morning")
    entries = site.entries()
    for name in site.names:
        (site.tree(name) / "etc").mkdir(exist_ok=True)
        (site.tree(name) / "etc/site.conf").write_text(f"of {name}\n", encoding="ascii")

    go(ls, site, "2.0.0")
    same_items(site.migrations_run(), ["create_entries", *UP])
    assert site.entries() == entries
    assert site.database.schema() != before
    status, authors = site.page("app-3", "/authors")
    assert status == 200 and [row["author"] for row in authors] == ["ada", "bob"]
    site.post("app-3", "cyd", "from above")

    go(ls, site, "1.0.0")
    same_items(site.migrations_run(), ["create_entries", *UP, *DOWN])
    assert site.entries() == [*entries, ("cyd", "from above")]
    assert site.database.schema() == before
    for name in site.names:
        kept = (site.tree(name) / "etc/site.conf").read_text(encoding="ascii")
        assert kept == f"of {name}\n"


def test_apply_with_nothing_to_do_changes_nothing(engine, make_site, start):
    site = make_site(engine)
    ls = start(site)
    go(ls, site, "1.0.0")
    journal, evidence = ls.journal_last("lockstepd"), site.database.evidence()
    pids = service_pids(ls)
    result = ls.ok("apply", site.cluster_file)
    assert "nothing to do" in result.words
    assert ls.journal_last("lockstepd") == journal
    assert site.database.evidence() == evidence
    assert service_pids(ls) == pids
    assert site.problems("1.0.0") == []


def service_pids(ls):
    return sorted(pid for pid, words in ls.processes().items() if " serve --port " in words)


# ---- rolling -------------------------------------------------------------------------------


def test_rolls_with_a_canary_and_one_node_down_at_a_time(engine, make_site, start):
    site = make_site(engine)
    ls = start(site)
    go(ls, site, "1.0.0")
    plan = json.loads(plan_file(ls, site, "1.1.0").read_text(encoding="utf-8"))
    assert plan["strategy"] == "rolling"
    canary = [nodes["nodes"] for nodes in plan["node_sets"] if nodes["name"] == "canary"]
    assert canary == [["app-1"]]
    with HealthWatch(site) as watcher:
        go(ls, site, "1.1.0")
    downs = {name: watcher.downs(name) for name in site.names}
    assert all(len(stretches) == 1 for stretches in downs.values()), downs
    assert all(len(watcher.samples[name]) > 50 for name in site.names)
    in_order = sorted((stretches[0], name) for name, stretches in downs.items())
    assert in_order[0][1] == "app-1"
    for (earlier, one), (later, other) in zip(in_order, in_order[1:]):
        assert earlier[1] < later[0], f"{one} and {other} were down together: {downs}"
    # Nobody saw a binary beside a schema that it does not know.
    for name in site.names:
        versions = [version for *_, version in watcher.samples[name] if version]
        assert versions == sorted(versions) and set(versions) == {"1.0.0", "1.1.0"}


# ---- plan files ----------------------------------------------------------------------------


def plan_file(ls, site, version):
    path = site.top / f"plan-{version}.json"
    ls.ok("plan", site.write(version), "-o", path)
    return path


def test_a_plan_file_is_applied_as_it_was_made(make_site, start):
    site = make_site()
    ls = start(site)
    go(ls, site, "1.0.0")
    path = plan_file(ls, site, "2.0.0")
    site.write("1.0.0")  # what stands in the tree now does not matter
    assert ls.ok("apply", path)
    assert site.problems("2.0.0") == []


def test_a_plan_file_is_refused_when_the_cluster_has_moved(make_site, start):
    site = make_site()
    ls = start(site)
    go(ls, site, "1.0.0")
    path = plan_file(ls, site, "2.0.0")
    go(ls, site, "1.1.0")
    evidence = site.database.evidence()
    result = ls.run("apply", path)
    assert result.code == EXIT_MOVED, result
    assert "1.1.0" in result.words
    assert site.problems("1.1.0") == []
    assert site.database.evidence() == evidence


def test_an_edited_plan_is_refused(make_site, start):
    site = make_site()
    ls = start(site)
    go(ls, site, "1.0.0")
    path = plan_file(ls, site, "2.0.0")
    text = path.read_text(encoding="utf-8")
    assert '"app-3"' in text
    path.write_text(text.replace('"app-3"', '"app-2"'), encoding="utf-8")
    result = ls.run("apply", path)
    assert result.code == EXIT_FAILED, result
    assert "edited" in result.words
    assert site.problems("1.0.0") == []


# ---- failing early -------------------------------------------------------------------------


def test_a_run_that_fails_in_preflight_changes_nothing(make_site, start):
    site = make_site()
    ls = start(site)
    go(ls, site, "1.0.0")
    evidence = site.database.evidence()
    port = site.ports["app-2"]
    mine = [pid for pid, words in ls.processes().items() if f"serve --port {port}" in words]
    for pid in mine:
        os.kill(pid, signal.SIGKILL)
    with socket.socket() as taker:
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        wait_until("the port is free", lambda: try_listen(taker, port))
        result = ls.run("apply", site.write("2.0.0"))
        assert result.code == EXIT_FAILED, result
        assert f"{port}" in result.words and "app-2" in result.words
        assert re.search(r"python", result.words), "it names who holds the port"
    assert site.database.evidence() == evidence
    assert site.ledger() == site.expected_ledger("1.0.0")
    for name in ("app-1", "app-3"):
        assert site.is_good(name, "1.0.0")
    for name in site.names:
        assert site.tree_problems(name, "1.0.0") == []
    go(ls, site, "2.0.0")  # with the port free again the same call goes through


def try_listen(listener, port):
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        return False
    listener.listen()
    return True


# ---- crashes -------------------------------------------------------------------------------


# Commands that can tell how often they were started: one line each time.
COUNTED = """\
  - name: count-on-node
    scope: node
    after: stopped
    do:
      - run: { command: [/bin/sh, -c, 'echo "${hop.to}" >> "${node.dir}/count"'], tree: none }
  - name: count-once
    scope: once
    on: app-1
    after: migrated
    do:
      - run: { command: [/bin/sh, -c, 'echo "${hop.to}" >> "${node.dir}/count-once"'], tree: none }
"""


def counted(site, name, file="count"):
    return (site.node_dir(name) / file).read_text(encoding="ascii").split()


def run_over(ls, watcher):
    """Whether the run has ended; keeps one `lockstep watch` going while lockstepd lives."""
    if watcher is not None and watcher.poll() is None:
        return False, watcher
    if watcher is not None and watcher.returncode in (0, 1, 3, 4):
        return True, watcher
    return False, ls.start("watch", CLUSTER)


def travel(ls, site, version, who, variable, numbers):
    """Applies `version`; whenever `who` has killed itself at a number it is started again, to be
    killed at the next one.  Returns how often that was."""
    numbers = iter(numbers)
    crashes = 0
    ls.kill(who)
    ls.restart(who, env={variable: str(next(numbers))})
    ls.wait_connected(site.names)
    apply = ls.start("apply", site.write(version))
    watcher = apply
    deadline = time.monotonic() + TRIP_S
    over = False
    while not over:
        child = ls.children[who]
        if child.poll() is not None:
            assert child.returncode == -signal.SIGKILL, ls.tails()
            crashes += 1
            number = next(numbers, None)
            env = {variable: str(number)} if number else None
            if who == "lockstepd":
                ls.start_controller(env, wait=False)
            else:
                ls.start_agent(who, env=env)
        over, watcher = run_over(ls, watcher)
        assert time.monotonic() < deadline, f"{crashes} crashes, then\n{ls.tails(40)}"
        time.sleep(0.005)
    out = watcher.stdout.read()
    if watcher is not apply:
        apply.kill()
        apply.wait()
    assert watcher.returncode == 0, f"{crashes} crashes, then {out}\n{ls.tails(40)}"
    # Without the variable from here on.
    ls.restart(who)
    ls.wait_connected(site.names)
    return crashes


def trip(ls, site, version, who, variable, numbers, migrations):
    """One journey with crashes; the end must be as without any, and nothing twice."""
    done = len(site.database.evidence())
    crashes = travel(ls, site, version, who, variable, numbers)
    assert site.problems(version) == [], f"{variable} {crashes}\n{ls.tails(40)}"
    same_items(site.migrations_run()[done:], migrations)
    return crashes


@pytest.mark.parametrize("who", ["lockstepd", "app-1"])
@pytest.mark.parametrize("variable, version, migrations",
                         [("LOCKSTEP_CRASH_AFTER", "2.0.0", UP),
                          ("LOCKSTEP_CRASH_BEFORE", "1.0.0", DOWN)])
def test_comes_to_the_same_end_with_a_crash_at_every_journal_number(who, variable, version,
                                                                    migrations, make_site, start):
    """In one journey `who` dies at each number of its journal in turn: after the commit on the way
    up, before it on the way down."""
    site = make_site(names=("app-1", "app-2"), extra_steps=COUNTED)
    ls = start(site)
    go(ls, site, "1.0.0")
    schema = site.database.schema()
    site.post("app-1", "ada", "hello")
    visited = ["1.0.0", "1.1.0", "2.0.0", "1.1.0", "1.0.0"]
    if version == "1.0.0":
        go(ls, site, "2.0.0")
    first = ls.journal_last(who) + 1
    crashes = trip(ls, site, version, who, variable, range(first, first + 10000), migrations)
    written = ls.journal_last(who) + 1 - first
    print(f"{who} {variable} {version}: {crashes} crashes, {written} records")
    assert crashes >= written - 1 >= 20
    go(ls, site, "1.0.0")
    assert site.database.schema() == schema
    assert site.entries() == [("ada", "hello")]
    assert counted(site, "app-1") == counted(site, "app-2") == visited
    assert counted(site, "app-1", "count-once") == visited


@pytest.mark.parametrize("variable", ["LOCKSTEP_CRASH_AFTER", "LOCKSTEP_CRASH_BEFORE",
                                      "LOCKSTEP_PLACE_CRASH_AFTER", "LOCKSTEP_PLACE_CRASH_BEFORE"])
def test_comes_to_the_same_end_with_one_crash_of_the_controller(variable, make_site, start):
    """Single crashes at sampled numbers, each journey's only one, on both ways."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    site = make_site(engine="postgres", names=("app-1", "app-2"))
    ls = start(site)
    go(ls, site, "1.0.0")
    journal = "place" if "PLACE" in variable else "lockstepd"
    first = ls.journal_last(journal) + 1
    go(ls, site, "2.0.0")
    length = ls.journal_last(journal) + 1 - first
    for version, migrations in (("1.0.0", DOWN), ("2.0.0", UP)):
        # The way down loses nothing on PostgreSQL, so it has no backup: two records less than the way up.
        # The executor's first record is the fence of the start itself: the others die under way.
        first_record = 2 if journal == "place" else 1
        number = ls.journal_last(journal) + draw.randint(first_record, length - 2)
        assert trip(ls, site, version, "lockstepd", variable, [number], migrations) == 1, number


SLOW = """\
  - name: slow
    scope: node
    after: stopped
    do:
      - run:
          command: [/bin/sh, -c,
                    'cd "${node.dir}"; echo "${hop.to}" >> count; sleep 1.5; echo x >> end']
          tree: none
"""


@pytest.mark.parametrize("killed", [["app-1"], ["lockstepd"], ["app-1", "lockstepd"]],
                         ids=["agent", "controller", "both"])
def test_a_long_command_outlives_who_started_it(killed, make_site, start):
    """kill -9 while the command runs: it is found again, and not started a second time."""
    site = make_site(names=("app-1",), strategy="all-at-once", extra_steps=SLOW)
    ls = start(site)
    apply = ls.start("apply", site.write("1.0.0"))
    wait_until("the command runs", lambda: (site.node_dir("app-1") / "count").exists())
    for name in killed:
        ls.kill(name)
    for name in reversed(killed):
        ls.restart(name)
    assert not (site.node_dir("app-1") / "end").exists()
    assert apply.wait(timeout=TRIP_S) == 0, f"{apply.stdout.read()}\n{ls.tails()}"
    assert site.problems("1.0.0") == []
    assert counted(site, "app-1") == ["1.0.0"]
    assert counted(site, "app-1", "end") == ["x"]


def test_the_ledger_and_the_files_agree():
    """The constants above are the service's own."""
    assert [*VERSIONS] == ["1.0.0", "1.1.0", "2.0.0"]
    assert set(UP) == set(MIGRATIONS[1:])
