"""A real application goes up a version and down again: unleash-server on three nodes around one
PostgreSQL, moved by its own migrator.

One site is installed once and travels through all of the tests; each begins with a site that is
whole on one version, and ends with one.  What is true is asked of the nodes, of PostgreSQL and of
the file that every start of the migrator adds a line to, never of Lockstep alone.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent / "unleash")]

from harness import Lockstep, wait_until  # noqa: E402
from pg import PostgresServer  # noqa: E402
from unleash_site import (CLUSTER_LOCK, CLUSTER_NAME, NEW, OLD, OWNER, PASSWORD,  # noqa: E402
                          ROWS, TOOL_LOCK, Twin, UnleashSite, by_hand)

EXIT_FAILED, EXIT_PAUSED = 1, 3
TRIP_S = 120
MIDDLE = "projects"  # a table that a migration in the middle changes, up and down
SMALL_DISK = "700M"  # both releases, and little more
NODES = ("u-1", "u-2", "u-3")
MIGRATING, BYSTANDER, SMALL = NODES  # the migrator runs on the first, the last has a small disk


# ---- the site ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server():
    with PostgresServer(password="of-the-superuser") as running:
        running.create_role(OWNER, PASSWORD)
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory, server):
    top = tmp_path_factory.mktemp("unleash")
    made = UnleashSite(top, server, "unleash", NODES)
    with contextlib.ExitStack() as stack:
        made.small_disk = stack.enter_context(small_disk(made.node_dir(SMALL)))
        yield made
    shutil.rmtree(top, ignore_errors=True)  # over a gigabyte


@contextlib.contextmanager
def small_disk(where):
    """A file system of its own where the machine lets us make one.  Gives whether it did."""
    argv = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "lockstep-test", str(where)]
    made = os.geteuid() == 0 and subprocess.run(argv, check=False).returncode == 0
    try:
        yield made
    finally:
        if made:
            subprocess.run(["umount", "--lazy", str(where)], check=False)


@pytest.fixture(scope="module")
def ls(site):
    with Lockstep(site.names, top=site.top, keep=True) as running:
        yield running


@pytest.fixture
def at(ls, site):
    """at(version): the whole site runs it, whatever an earlier test has left."""

    def be_at(version):
        site.partial_ok = False
        if site.problems(version):
            ls.run("abort", CLUSTER_NAME)
            if site.rows() not in (0, *ROWS.values()):
                finish_by_hand(site, "up")
            go(ls, site, version)
        return site

    return be_at


def finish_by_hand(site, *words):
    by_hand(site.staged(NEW), site.server.url(site.database, OWNER, PASSWORD), *words)


def go(ls, site, version):
    """Applies the version and proves that all of the site runs it."""
    result = ls.ok("apply", site.write(version), timeout=TRIP_S)
    assert site.problems(version) == [], ls.tails()
    return result


def ended(ls, process):
    """The words and the exit status of a `lockstep` that was started."""
    try:
        words, _ = process.communicate(timeout=TRIP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        words, _ = process.communicate()
        pytest.fail(f"no end in {TRIP_S} s:\n{words}\n{ls.tails()}")
    return process.returncode, words


def arrives(ls, site, process, version):
    """The run that `process` watches ends well, and the site is whole."""
    code, words = ended(ls, process)
    assert code == 0, f"{words}\n{ls.tails(30)}"
    assert site.problems(version) == [], f"{words}\n{ls.tails(30)}"
    return words


def services(ls):
    """{process id} of the running Unleash nodes."""
    return {pid for pid, words in ls.processes().items()
            if words.startswith("node start.js --port")}


@contextlib.contextmanager
def session(site, sql, transaction=False):
    """A foreign session that holds what `sql` takes."""
    connection = site.server.connect(site.database)
    connection.autocommit = not transaction
    try:
        connection.cursor().execute(sql)
        yield connection
    finally:
        connection.close()


def migrator_waits(site):
    """Whether a session of the migrator waits for a table."""
    return site.server.query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'migrator' "
                             "AND wait_event_type = 'Lock' AND wait_event = 'relation'")


@contextlib.contextmanager
def stopped_in_the_middle(ls, site, version):
    """Applies `version` and stands still where the migrator waits for a table that a foreign
    session has: some migrations are done, some are not.  Gives (apply, the migrator's pid)."""
    before = len(site.starts())
    with session(site, f"LOCK TABLE {MIDDLE} IN ACCESS SHARE MODE", transaction=True):
        apply = ls.start("apply", site.write(version))
        try:
            wait_until("the migrator waits in its middle",
                       lambda: apply.poll() is not None or migrator_waits(site), TRIP_S)
            assert apply.poll() is None, ended(ls, apply)
            assert len(site.starts()) == before + 1
            assert ROWS[OLD] < site.rows() < ROWS[NEW]
            yield apply, site.starts()[-1][0]
        except BaseException:
            apply.kill()
            apply.communicate()
            raise


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# ---- there and back ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twin(tmp_path_factory, server):
    """The dumps of a database that the package's migrator alone takes up and down."""
    made = Twin(tmp_path_factory.mktemp("twin"), server, "twin")
    made.migrate(OLD, "up")
    made.before = made.dump(column_order=True)
    made.migrate(NEW, "up")
    made.above = made.dump(column_order=True)
    made.migrate(NEW, "down-to", ROWS[OLD])
    made.repair()
    made.after = made.dump(column_order=True)
    return made


def test_goes_up_and_down_by_one_changed_line(ls, site, twin):
    assert site.rows() == 0 and not any(site.answers(name) for name in site.names)
    go(ls, site, OLD)
    assert [words[1:] for words in site.starts()] == [(OLD, "up")]
    before, exact = site.dump(), site.dump(column_order=True)
    names = site.ledger()
    assert exact == twin.before

    text = site.cluster_file.read_text(encoding="utf-8")
    go(ls, site, NEW)
    changed = [line for line in site.cluster_file.read_text(encoding="utf-8").splitlines()
               if line not in text.splitlines()]
    assert changed == [f'version: "{NEW}"']
    assert site.starts()[1:][0][1:] == (NEW, "up") and len(site.starts()) == 2
    assert site.dump(column_order=True) == twin.above
    assert site.dump() != before

    go(ls, site, OLD)
    assert site.cluster_file.read_text(encoding="utf-8") == text
    assert site.starts()[2:][0][1:] == (NEW, f"down-to {ROWS[OLD]}") and len(site.starts()) == 3
    assert site.ledger() == names
    assert site.dump() == before
    # The places of two columns are the migrator's own doing: alone it leaves the same.
    assert site.dump(column_order=True) == twin.after != exact


def test_apply_with_nothing_to_do_stops_nothing(ls, site, at):
    at(OLD)
    pids, starts, journal = services(ls), site.starts(), ls.journal_last("lockstepd")
    assert len(pids) == len(NODES)
    assert "nothing to do" in ls.ok("apply", site.cluster_file).words
    assert (services(ls), site.starts(), ls.journal_last("lockstepd")) == (pids, starts, journal)


# ---- crashes while the migrator runs -------------------------------------------------------


def test_the_controller_is_killed_and_the_migrator_ends_without_it(ls, site, at):
    at(OLD)
    with stopped_in_the_middle(ls, site, NEW) as (apply, pid):
        starts = site.starts()
        ls.kill("lockstepd")
        assert lives(pid)
    wait_until("the migrator ends", lambda: not lives(pid))
    assert site.rows() == ROWS[NEW]
    ls.restart("lockstepd")
    arrives(ls, site, apply, NEW)
    assert site.starts() == starts


def test_the_controller_comes_back_while_the_migrator_runs(ls, site, at, twin):
    at(NEW)
    with stopped_in_the_middle(ls, site, OLD) as (apply, pid):
        starts = site.starts()
        ls.kill("lockstepd")
        ls.restart("lockstepd")
        ls.wait_connected(site.names)
        assert lives(pid)
    arrives(ls, site, apply, OLD)
    assert site.starts() == starts
    assert site.dump(column_order=True) == twin.after


def test_the_agent_that_migrates_is_killed_with_the_controller(ls, site, at):
    at(OLD)
    with stopped_in_the_middle(ls, site, NEW) as (apply, pid):
        starts = site.starts()
        ls.kill(MIGRATING)
        ls.kill("lockstepd")
        assert lives(pid)
    wait_until("the migrator ends", lambda: not lives(pid))
    ls.restart("lockstepd")
    ls.restart(MIGRATING)
    arrives(ls, site, apply, NEW)
    assert site.starts() == starts


# ---- an agent dies between stop and start --------------------------------------------------


def test_an_agent_dies_after_every_record_of_its_journal(ls, site, at, twin):
    """One journey down in which an agent kills itself after each commit of its journal in turn.
    Where its node was at each death is looked at: several lie between stop and start."""
    at(NEW)
    starts = len(site.starts())
    first = ls.journal_last(BYSTANDER) + 1
    crash_next(ls, BYSTANDER)
    ls.wait_connected(site.names)
    apply = ls.start("apply", site.write(OLD))
    deaths = []  # whether the service ran, and the version of the tree
    while apply.poll() is None:
        child = ls.children[BYSTANDER]
        if child.poll() is not None:
            assert child.returncode == -signal.SIGKILL, ls.tails(30)
            deaths.append((runs(ls, site, BYSTANDER), site.installed(BYSTANDER)))
            crash_next(ls, BYSTANDER)
        time.sleep(0.005)
    arrives(ls, site, apply, OLD)
    ls.restart(BYSTANDER)
    ls.wait_connected(site.names)
    print(f"{len(deaths)} deaths in records {first}..{ls.journal_last(BYSTANDER)}: {deaths}")
    assert (False, NEW) in deaths and (False, OLD) in deaths
    assert deaths[0] == (True, NEW) and deaths[-1] == (True, OLD)
    assert len(deaths) >= 16
    assert len(site.starts()) == starts + 1
    assert site.dump(column_order=True) == twin.after


def crash_next(ls, who):
    ls.restart(who, env={"LOCKSTEP_CRASH_AFTER": str(ls.journal_last(who) + 1)})


def runs(ls, site, name):
    return any(words.startswith(f"node start.js --port {site.ports[name]}")
               for words in ls.processes().values())


# ---- locks ---------------------------------------------------------------------------------


def holder_state(ls):
    """What the process that takes the database's lock does now."""
    found = list((ls.controller_state / "executor" / "holders").glob("*/status.json"))
    with contextlib.suppress(OSError, ValueError, IndexError):
        return json.loads(found[0].read_text(encoding="utf-8"))["state"]
    return None


def test_postgresql_is_restarted_during_the_wait_for_the_lock(ls, site, at):
    at(OLD)
    starts = len(site.starts())
    with session(site, f"SELECT pg_advisory_lock({CLUSTER_LOCK})"):
        apply = ls.start("apply", site.write(NEW))
        wait_until("the holder waits", lambda: holder_state(ls) == "waiting", TRIP_S)
        assert len(site.starts()) == starts and site.rows() == ROWS[OLD]
        site.server.restart("immediate")
    arrives(ls, site, apply, NEW)
    assert len(site.starts()) == starts + 1


def test_the_tools_own_lock_is_awaited_and_its_holder_named(ls, site, at):
    at(NEW)
    starts = len(site.starts())
    with session(site, f"SET application_name = 'somebody else'; "
                       f"SELECT pg_advisory_lock({TOOL_LOCK})"):
        code, words = ended(ls, ls.start("apply", site.write(OLD)))
        assert code == EXIT_PAUSED, words
        assert str(TOOL_LOCK) in words and "somebody else" in words and "retry" in words
        assert len(site.starts()) == starts and site.rows() == ROWS[NEW]
    ls.ok("retry", CLUSTER_NAME)
    arrives(ls, site, ls.start("watch", CLUSTER_NAME, "--stay"), OLD)
    assert len(site.starts()) == starts + 1


# ---- a partial ledger ----------------------------------------------------------------------


def kill_migrator(ls, pid, worker):
    """kill -9; with its worker too, so that nobody has seen how it ended."""
    if worker:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            parent = int(file.read().rpartition(")")[2].split()[1])
        assert " act " in ls.processes()[parent]
        os.kill(parent, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)


def wait_sessions_end(site):
    """PostgreSQL notices a dead client when the table is free that its session waits for."""
    wait_until("the migrator's sessions end", lambda: site.server.value(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'migrator'") == "0")


def test_a_migrator_that_nobody_saw_end_stops_and_asks(ls, site, at):
    at(OLD)
    with stopped_in_the_middle(ls, site, NEW) as (apply, pid):
        starts = len(site.starts())
        kill_migrator(ls, pid, worker=True)
        code, words = ended(ls, apply)
    wait_sessions_end(site)
    assert code == EXIT_PAUSED, words
    assert "may or may not have run" in words
    assert ROWS[OLD] < site.rows() < ROWS[NEW]
    assert len(site.starts()) == starts and services(ls) == set()
    finish_by_hand(site, "up")
    ls.ok("retry", CLUSTER_NAME)
    arrives(ls, site, ls.start("watch", CLUSTER_NAME, "--stay"), NEW)
    assert len(site.starts()) == starts + 1  # a new intent, after a person's word


def test_a_partial_ledger_is_refused_until_it_is_said_to_be_fine(ls, site, at, twin):
    at(NEW)
    with stopped_in_the_middle(ls, site, OLD) as (apply, pid):
        starts = len(site.starts())
        kill_migrator(ls, pid, worker=False)
        code, words = ended(ls, apply)
    wait_sessions_end(site)
    assert code == EXIT_PAUSED and "signal 9" in words, words
    rows = site.rows()
    assert ROWS[OLD] < rows < ROWS[NEW]
    ls.ok("abort", CLUSTER_NAME)
    refused = ls.run("apply", site.cluster_file)
    assert refused.code == EXIT_FAILED, refused
    for word in ("partial ledger", f"{rows} rows", "by hand", "partial_ok"):
        assert word in refused.words, refused
    assert len(site.starts()) == starts and site.rows() == rows
    site.partial_ok = True
    go(ls, site, OLD)
    assert len(site.starts()) == starts + 1
    assert site.dump(column_order=True) == twin.after


# ---- what is known before anything is stopped ----------------------------------------------


@pytest.fixture
def unmoved(ls, site, at):
    """The site runs OLD before and after, in the same processes; the migrator was not started."""
    at(OLD)
    pids, starts = services(ls), site.starts()
    assert len(pids) == len(NODES)
    yield site
    assert services(ls) == pids
    assert site.starts() == starts
    assert site.problems(OLD) == []


def is_refused(ls, site, words, version=NEW):
    result = ls.run("apply", site.write(version), timeout=TRIP_S)
    assert result.code == EXIT_FAILED, result
    for word in words:
        assert re.search(word, result.words), f"no {word!r} in: {result}"
    return result


def test_a_wrong_database_password(ls, unmoved):
    unmoved.secret.write_text("wrong-sesame\n", encoding="ascii")
    try:
        result = is_refused(ls, unmoved, ["main", "authentication failed", "password"])
    finally:
        unmoved.secret.write_text(PASSWORD + "\n", encoding="ascii")
    assert "sesame" not in result.words


def test_an_artifact_with_a_flipped_byte(ls, unmoved, tmp_path):
    right = unmoved.artifacts[NEW]
    copy = tmp_path / "unleash.tar.gz"
    shutil.copy(right["path"], copy)
    with open(copy, "r+b") as file:
        file.seek(1000000)
        byte = file.read(1)
        file.seek(1000000)
        file.write(bytes([byte[0] ^ 1]))
    # Kept copies are found by their digest: the address is not asked again for a known one.
    forget_artifact(ls, right["sha256"])
    unmoved.artifacts[NEW] = {**right, "path": str(copy)}
    try:
        is_refused(ls, unmoved, [str(copy), right["sha256"], "damaged"])
    finally:
        unmoved.artifacts[NEW] = right


def forget_artifact(ls, sha256):
    """Removes a controller's copy, as an operator who clears the cache would."""
    for path in ls.controller_state.rglob(f"*{sha256}*"):
        path.unlink()


def test_a_full_disk(ls, unmoved):
    if not unmoved.small_disk:
        pytest.skip("this machine lets nobody but root mount a file system")
    shutil.rmtree(unmoved.staged(NEW, SMALL), ignore_errors=True)
    space = os.statvfs(unmoved.node_dir(SMALL))
    ballast = unmoved.node_dir(SMALL) / "ballast"
    with open(ballast, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - (50 << 20))
    try:
        is_refused(ls, unmoved, [SMALL, "free", "MB|MiB"])
    finally:
        ballast.unlink()


def test_a_disk_that_is_full_while_the_release_is_staged(ls, unmoved):
    """There is room, but not for that many files: only the writing can know."""
    if not unmoved.small_disk:
        pytest.skip("this machine lets nobody but root mount a file system")
    shutil.rmtree(unmoved.staged(NEW, SMALL), ignore_errors=True)
    where = unmoved.node_dir(SMALL)
    space = os.statvfs(where)
    allow_inodes(where, space.f_files - space.f_ffree + 15000)
    try:
        is_refused(ls, unmoved, [SMALL, "stage", "full|No space left"])
    finally:
        allow_inodes(where, space.f_files)
    assert not unmoved.staged(NEW, SMALL).exists()


def allow_inodes(where, count):
    subprocess.run(["mount", "-o", f"remount,nr_inodes={count}", str(where)], check=True)


def test_a_taken_port(ls, site, at):
    at(OLD)
    port = site.ports[BYSTANDER]
    before = services(ls)
    for pid, words in ls.processes().items():
        if f"node start.js --port {port}" in words:
            os.kill(pid, signal.SIGKILL)
            before.discard(pid)
    with socket.socket() as taker:
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        wait_until("the port is free", lambda: listens(taker, port))
        is_refused(ls, site, [BYSTANDER, str(port), "python"])
        assert services(ls) == before and len(before) == 2
        assert site.rows() == ROWS[OLD]
    go(ls, site, OLD)


def listens(listener, port):
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        return False
    listener.listen()
    return True


def test_a_node_that_never_enrolled(ls, unmoved):
    unmoved.names.append("u-4")
    unmoved.ports["u-4"] = 20001
    try:
        is_refused(ls, unmoved, ["u-4", "lockstep node enroll u-4"])
    finally:
        unmoved.names.pop()
        del unmoved.ports["u-4"]


def test_no_secret_is_kept_anywhere(ls, site, at):
    """After all of the above: the role's password is in no journal, log, plan or history."""
    at(OLD)
    found = [path for path in site.top.rglob("*")
             if path.is_file() and not path.is_symlink() and "nodes" not in path.parts
             and path != site.secret and path.stat().st_size < 32 << 20
             and PASSWORD.encode() in path.read_bytes()]
    assert found == []
