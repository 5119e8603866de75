"""`lockstep rehearse --database`: a plan's migrations on clones, through a controller; whoever is killed, no clone stays."""
import contextlib
import os
import pty
import re
import signal
import subprocess

import pytest

from harness import Lockstep, wait_until
from shelf_site import CLUSTER_NAME, ShelfSite
from test_attack import make_operator, run_as

EXIT_FAILED, EXIT_WRONG_USE, EXIT_MOVED = 1, 2, 6

MORPH = "      format: morph\n      dir: db\n"
ONE = {"db/000001_a.up.sql": "CREATE TABLE a (x int);\n", "db/000001_a.down.sql": "DROP TABLE a;\n"}
TWO = {**ONE, "db/000002_b.up.sql": "ALTER TABLE a ADD COLUMN y int;\n",
       "db/000002_b.down.sql": "ALTER TABLE a DROP COLUMN y;\n",
       "db/000003_c.up.sql": "DELETE FROM a WHERE x > 3;\n", "db/000003_c.down.sql": "SELECT 1;\n"}
# Ends when a session with such a name is there, in whatever database of the server.
GATE = ("DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE '%s') LOOP\n"
        "PERFORM pg_sleep(0.01); PERFORM pg_stat_clear_snapshot(); END LOOP; END $$;\n")
GATED = {**ONE, "db/000002_gate.up.sql": GATE % "open%", "db/000002_gate.down.sql": "SELECT 1;\n",
         "db/000003_second.up.sql": GATE % "open all", "db/000003_second.down.sql": "SELECT 1;\n"}


def shelf(tmp_path, server, files):
    (tmp_path / "site").mkdir()
    return ShelfSite(tmp_path / "site", server, {"1.0.0": 1, "1.1.0": 3}, {"1.0.0": ONE, "1.1.0": files}, MORPH)


@contextlib.contextmanager
def running(site):
    """The site at 1.0.0, with rows in its table."""
    with Lockstep(site.names, top=site.top, keep=True) as ls:
        ls.ok("apply", site.write("1.0.0"))
        for i in range(1, 6):
            site.server.query(f"INSERT INTO a VALUES ({i})", "shelf")
        yield ls


def clones(server):
    return [row[0] for row in server.query(
        "SELECT datname FROM pg_database WHERE datname LIKE '%\\_lockstep\\_rehearsal\\_%'")]


def at_the_gate(server):
    return server.query("SELECT 1 FROM pg_stat_activity WHERE datname LIKE '%\\_lockstep\\_%' AND query LIKE "
                        "'%DO $$ BEGIN WHILE%'") != []


@contextlib.contextmanager
def open_gates(site, name="open all"):
    """name="open one": what is not stopped behind the first gate waits at the second for ever."""
    with subprocess.Popen(["psql", "-qAt", "-d", site.server.url("postgres")], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, env={**os.environ, "PGAPPNAME": name}) as psql:
        yield
        psql.stdin.close()


def left_behind(state):
    """What places still have of rehearsals: directories, holders that live, observations."""
    return [path for part in ("rehearsals", "observe") for path in (state / part).glob("*")]


def workers(ls):
    return [pid for pid, words in ls.processes().items() if "lockstep-worker" in words or " act " in words]


# ---- what it tells ----

def test_a_rehearsal_through_the_controller_changes_nothing_and_the_plan_then_knows_the_times(engine, make_site, start):
    site = make_site(engine, names=("app-1",), strategy="all-at-once")
    ls = start(site)
    ls.ok("apply", site.write("1.0.0"))
    site.post("app-1", "ann", "hello")
    file = site.write("2.0.0")
    plan_file, report_file = site.top / "plan.json", site.top / "report.json"
    before = (site.database.schema(), site.ledger(), site.entries(), site.health("app-1"))
    plain = ls.ok("plan", file, "-o", plan_file).out
    assert plain.splitlines()[0].endswith(", nobody knows how long its migrations take"), plain
    done = ls.run("--json", "rehearse", "--database", plan_file, "-o", report_file)
    assert done.code == EXIT_MOVED, done  # drop_author_email does not come back
    [report] = done.json()["reports"]
    assert [m["id"] for m in report["migrations"]] == ["index_entries_by_author", "create_authors_view",
                                                       "drop_author_email"]
    assert (report["database"], report["by"], report["direction"], report["state"], report["error"]) == (
        "main", "controller", "up", "not restored", None)
    assert all(m[way]["state"] == "done" for m in report["migrations"] for way in ("up", "down"))
    assert [m["id"] for m in report["migrations"] if m["not_restored"]] == ["drop_author_email"]
    assert report_file.read_text(encoding="utf-8").startswith("{")
    assert (site.database.schema(), site.ledger(), site.entries(), site.health("app-1")) == before
    assert left_behind(ls.controller_state / "executor") == []
    timed = ls.ok("plan", file).out
    first = timed.splitlines()[0]
    assert ", rehearsed " in first and "nobody knows" not in first, first
    assert re.search(r"[0-9] up,\s+about\s+[0-9.]+\s+m?s\s+!", timed), timed  # of all its migrations
    assert first.split()[1] == plain.splitlines()[0].split()[1], "the plan is another one"
    words = ls.run("rehearse", "--database", file)
    assert words.code == EXIT_MOVED and "LOCKS THAT STOP WRITERS" in words.out and " by controller" in words.out


def test_a_node_that_via_names_makes_the_clone_and_says_so(tmp_path, postgres):
    site = shelf(tmp_path, postgres, TWO)
    site.database = ", via: n-1"
    with running(site) as ls:
        done = ls.run("--json", "rehearse", "--database", site.write("1.1.0"))
        [report] = done.json()["reports"]
        assert (done.code, report["by"]) == (EXIT_MOVED, "n-1")
        assert {m["id"]: m["not_restored"] for m in report["migrations"]} == {
            "b": [], "c": ["rows of public.a: were 5, are 3"]}
        assert clones(postgres) == [] and left_behind(ls.agent_state("n-1")) == []
        assert site.value("SELECT count(*) FROM a") == "5"
        # Down again, as a plan to another version: the same release's scripts, the other way round.
        ls.ok("apply", site.write("1.1.0"))
        [down] = ls.run("--json", "rehearse", "--database", site.write("1.0.0")).json()["reports"]
        assert (down["direction"], down["state"]) == ("down", "done"), down


def test_the_cluster_may_name_an_empty_database_for_the_clone(tmp_path, postgres):
    site = shelf(tmp_path, postgres, TWO)
    postgres.drop_database("spare")
    postgres.create_database("spare")
    site.database = f', rehearse_on: "{postgres.url("spare")}"'
    with running(site) as ls:
        [report] = ls.run("--json", "rehearse", "--database", site.write("1.1.0"), "--one-way").json()["reports"]
        assert "spare" in report["clone"]["name"] and report["one_way"] and report["state"] == "done"
        assert clones(postgres) == []
        assert postgres.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace", "spare") == "0"


def test_a_migration_that_fails_on_the_clone_is_a_report_and_no_time(tmp_path, postgres):
    site = shelf(tmp_path, postgres, {**TWO, "db/000003_c.up.sql": "SELECT 1;\nINSERT INTO nowhere VALUES (1);\n"})
    with running(site) as ls:
        file = site.write("1.1.0")
        done = ls.run("rehearse", "--database", file)
        assert done.code == EXIT_FAILED and "000003_c.up.sql" in done.err and "nowhere" in done.err
        assert "failed" in done.out and clones(postgres) == []
        # Beside the step that migrates: the script that failed has no time.
        assert " for 1 of 2" in ls.ok("plan", file).out


# ---- who may, and when ----

def test_what_is_refused_says_why(tmp_path, postgres):
    site = shelf(tmp_path, postgres, TWO)
    with running(site) as ls:
        file = site.write("1.1.0")
        plan_file = site.top / "plan.json"
        bare = ls.run("rehearse", file, "--one-way")
        assert bare.code == EXIT_WRONG_USE and "--one-way goes with --database" in bare.err
        refused = run_as(make_operator(ls, "viewer", tmp_path / "viewer"), "rehearse", "--database", CLUSTER_NAME)
        assert refused.returncode == EXIT_FAILED and "role viewer" in refused.stderr
        unknown = ls.run("rehearse", "--database", file, "--only", "other")
        assert unknown.code == EXIT_FAILED and 'no database "other"' in unknown.err
        ls.ok("plan", file, "-o", plan_file)
        ls.ok("apply", file)
        moved = ls.run("rehearse", "--database", plan_file)
        assert moved.code == EXIT_MOVED and "moved since the plan was made" in moved.err
        nothing = ls.ok("rehearse", "--database", file)
        assert "nothing to rehearse" in nothing.out


def test_a_run_goes_first_and_ends_the_rehearsal(tmp_path, postgres):
    site = shelf(tmp_path, postgres, GATED)
    with running(site) as ls:
        file = site.write("1.1.0")
        rehearsal = ls.start("rehearse", "--database", file)
        wait_until("the rehearsal comes to the gate", lambda: at_the_gate(postgres))
        second = ls.run("rehearse", "--database", file)
        assert second.code == EXIT_FAILED and "rehearses shelf-1 right now" in second.err
        run = ls.start("apply", file)
        words = rehearsal.communicate(timeout=60)[0]
        assert rehearsal.returncode == EXIT_FAILED and "began, and goes first" in words
        beside = ls.run("rehearse", "--database", file)
        assert beside.code == EXIT_FAILED and "is not over" in beside.err
        with open_gates(site):
            assert run.wait(timeout=60) == 0, run.stdout.read()
            wait_until("the clone goes", lambda: clones(postgres) == [])
        run.stdout.close()


# ---- whoever is killed ----

@pytest.fixture(params=["controller", "n-1"])
def gated(tmp_path, postgres, request):
    site = shelf(tmp_path, postgres, GATED)
    site.database = f", via: {request.param}"
    with running(site) as ls:
        ls.place_state = (ls.controller_state / "executor" if request.param == "controller"
                          else ls.agent_state("n-1"))
        ls.place = "lockstepd" if request.param == "controller" else "n-1"
        yield site, ls


def test_a_killed_command_leaves_no_clone_and_a_terminal_sees_how_far_it_is(gated):
    site, ls = gated
    terminal, end = pty.openpty()
    command = subprocess.Popen(ls.command("rehearse", "--database", site.write("1.1.0")), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=end, cwd=ls.dir)
    os.close(end)
    seen = b""
    while b"main: 1 of 4  000002_gate.up.sql" not in seen:
        seen += os.read(terminal, 4096)
    assert b"main: making the clone (at " in seen
    wait_until("the rehearsal comes to the gate", lambda: at_the_gate(site.server))
    command.send_signal(signal.SIGKILL)
    command.wait()
    os.close(terminal)
    with open_gates(site, "open one"):
        wait_until("the clone goes", lambda: clones(site.server) == [])
        wait_until("the directories go", lambda: left_behind(ls.place_state) == [])


def test_a_killed_place_leaves_no_clone(gated):
    site, ls = gated
    rehearsal = ls.start("rehearse", "--database", site.write("1.1.0"))
    wait_until("the rehearsal comes to the gate", lambda: at_the_gate(site.server))
    ls.kill(ls.place)
    words = rehearsal.communicate(timeout=60)[0]
    assert rehearsal.returncode != 0 and words
    with open_gates(site, "open one"):
        wait_until("the clone goes", lambda: clones(site.server) == [])
    ls.restart(ls.place)
    ls.wait_connected(["n-1"])
    assert left_behind(ls.place_state) == []


def test_what_a_killed_worker_left_the_next_rehearsal_removes(tmp_path, postgres):
    site = shelf(tmp_path, postgres, GATED)
    with running(site) as ls:
        rehearsal = ls.start("rehearse", "--database", site.write("1.1.0"))
        wait_until("the rehearsal comes to the gate", lambda: at_the_gate(postgres))
        [worker] = workers(ls)
        os.kill(worker, signal.SIGKILL)
        words = rehearsal.communicate(timeout=60)[0]
        assert rehearsal.returncode == EXIT_FAILED and "killed by signal 9" in words
        [left] = clones(postgres)
        with open_gates(site):
            done = ls.run("--json", "rehearse", "--database", site.write("1.1.0"))
            assert done.code == 0, done
        assert done.json()["reports"][0]["clone"]["name"] not in (left,) and clones(postgres) == []
        assert left_behind(ls.controller_state / "executor") == []


# ---- how large ----

def test_a_ledger_of_ten_thousand_names_is_observed(tmp_path, postgres):
    site = shelf(tmp_path, postgres, TWO)
    with running(site) as ls:
        postgres.query("INSERT INTO db_migrations (version, name) SELECT i, repeat('long_name_', 6) || i FROM "
                       "generate_series(1000, 10998) i", "shelf")
        status = ls.ok("--json", "status", CLUSTER_NAME).json()
        [database] = status["clusters"][0]["databases"] if "clusters" in status else status["databases"]
        assert (database["applied"], database["problem"]) == (10000, ""), database
