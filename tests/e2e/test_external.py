"""A migrator of the application's own that fails: what `retry` proves before it starts it again.

The application is a few lines of shell, its database a real one, and every start of its migrator
leaves a line in a file.
"""
import hashlib
import io
import json
import os
import shutil
import signal
import tarfile

import pytest

from harness import Lockstep, wait_until
from shelf_site import ShelfSite

EXIT_PAUSED = 3
TOOL_LOCK = 774411
ROWS = {"1.0.0": 1, "1.1.0": 3}

# Adds the ledger's rows up to the number, or takes them away down to it.
MIGRATE = """\
#!/bin/sh
echo "$1" >> "$STARTS"
[ -e "$STARTS.hangs" ] && exec sleep 1111
[ -e "$STARTS.broken" ] && { echo "no room for the index"; exit 7; }
psql -X -q -v ON_ERROR_STOP=1 "$DATABASE_URL" <<SQL
CREATE TABLE IF NOT EXISTS changes (id int PRIMARY KEY);
INSERT INTO changes SELECT * FROM generate_series(1, $1) ON CONFLICT DO NOTHING;
DELETE FROM changes WHERE id > $1;
SQL
"""


MIGRATIONS = f"""\
      external:
        up: {{ command: [bin/migrate, "${{hop.schema_to}}"], env: ENV }}
        down: {{ command: [bin/migrate, "${{hop.schema_to}}"], env: ENV }}
        on: n-1
        ledger: {{ table: changes, column: id }}
        lock_advisory: ["{TOOL_LOCK}"]
""".replace("ENV", '{ DATABASE_URL: "${database.main.url}", STARTS: "{starts}" }')


class Site(ShelfSite):
    def __init__(self, top, server):
        files = {version: {"bin/migrate": MIGRATE} for version in ROWS}
        super().__init__(top, server, ROWS, files, MIGRATIONS)
        self.broken = top / "starts.broken"
        self.hangs = top / "starts.hangs"

    def rows(self):
        return int(self.value("SELECT count(*) FROM changes"))


@pytest.fixture
def site(tmp_path, postgres):
    (tmp_path / "site").mkdir()
    return Site(tmp_path / "site", postgres)


@pytest.fixture
def ls(site):
    with Lockstep(["n-1"], top=site.top, keep=True) as running:
        running.ok("apply", site.write("1.0.0"))
        assert site.starts() == ["1"] and site.rows() == 1
        yield running


def steps_of(ls):
    """["name#attempt outcome"] of the steps that have ended in the phase that migrates, and of the
    one that is under way, as the newest run's journal has them; without the look at the sessions."""
    events = [json.loads(line) for line in ls.run("--json", "watch", "shelf-1").out.splitlines()]
    steps = [one for one in events if one["event"] == "step"]
    phase = next(one["phase"] for one in steps if one["name"] == "lock")
    steps = [one for one in steps if one["phase"] == phase and one["name"] != "writers"]
    return [f"{one['name']}#{one['attempt']} {one['state']}" for one in steps
            if one["state"] != "under-way"]


def arrives(ls, site):
    """The paused run that was told to go on ends well."""
    watch = ls.run("watch", "shelf-1", "--stay")
    assert watch.code == 0, watch
    assert site.rows() == ROWS["1.1.0"]


def fails(ls, site):
    """A run up whose migrator has failed before it did anything."""
    site.broken.touch()
    result = ls.run("apply", site.write("1.1.0"))
    assert result.code == EXIT_PAUSED and "no room for the index" in result.words
    assert site.starts() == ["1", "3"] and site.rows() == 1
    site.broken.unlink()


PROOFS = ["lock#1 done", "tool lock#1 done", "ledger#1 done"]


def test_a_retry_of_a_failed_migrator_begins_with_its_lock_and_its_ledger(ls, site):
    fails(ls, site)
    assert steps_of(ls) == [*PROOFS, "migrate#1 failed"]
    ls.ok("retry", "shelf-1")
    arrives(ls, site)
    assert steps_of(ls) == [*PROOFS, "migrate#1 failed", "tool lock#2 done", "ledger#2 done",
                            "migrate#2 done", "ledger#1 done", "checkpoint#1 done",
                            "unlock#1 done"]
    assert site.starts() == ["1", "3", "3"]


def test_a_retry_of_a_migrator_that_nobody_saw_end_proves_again_too(ls, site):
    site.hangs.touch()
    apply = ls.start("apply", site.write("1.1.0"))
    wait_until("the migrator hangs", lambda: hanging(ls))
    killed = [pid for pid, words in ls.processes().items() if " act " in words + " "]
    for pid in [*killed, *hanging(ls)]:
        os.kill(pid, signal.SIGKILL)
    words, _ = apply.communicate(timeout=60)
    assert apply.returncode == EXIT_PAUSED and "may or may not have run" in words
    assert steps_of(ls) == [*PROOFS, "migrate#1 unknown"]
    site.hangs.unlink()
    ls.ok("retry", "shelf-1")
    arrives(ls, site)
    assert steps_of(ls)[4:7] == ["tool lock#2 done", "ledger#2 done", "migrate#2 done"]
    assert site.starts() == ["1", "3", "3"]


@pytest.mark.parametrize("ahead", [1, 1000])
def test_a_run_goes_above_the_fence_that_the_database_has_seen(ls, site, ahead):
    """A controller that lost its own store counts from 1 again; 1 ahead is the very number that
    the restarted controller gives itself."""
    def seen():
        return int(site.server.value("SELECT value FROM lockstep.fence", "shelf"))

    raised = seen() + ahead
    site.server.query(f"UPDATE lockstep.fence SET value = {raised}", "shelf")
    ls.restart("lockstepd")
    ls.wait_connected(["n-1"])
    ls.ok("apply", site.write("1.1.0"))
    assert seen() > raised and site.rows() == ROWS["1.1.0"]


def hanging(ls):
    return [pid for pid, words in ls.processes().items() if words == "sleep 1111"]


def test_a_retry_waits_for_the_tools_lock_whoever_dies_meanwhile(ls, site):
    fails(ls, site)
    connection = site.server.connect("shelf")
    connection.autocommit = True
    connection.cursor().execute(f"SELECT pg_advisory_lock({TOOL_LOCK})")
    before = ls.journal_last("lockstepd")
    ls.ok("retry", "shelf-1")
    wait_until("the retry is journalled", lambda: ls.journal_last("lockstepd") >= before + 2)
    ls.kill("lockstepd")
    ls.restart("lockstepd")
    ls.wait_connected(["n-1"])
    assert site.starts() == ["1", "3"]
    connection.close()
    arrives(ls, site)
    assert steps_of(ls)[4:7] == ["tool lock#2 done", "ledger#2 done", "migrate#2 done"]
    assert site.starts() == ["1", "3", "3"]


def test_a_retry_looks_at_the_ledger_before_it_starts_anything(ls, site):
    fails(ls, site)
    site.server.query("INSERT INTO changes VALUES (2)", "shelf")
    ls.ok("retry", "shelf-1")
    watch = ls.run("watch", "shelf-1")
    assert watch.code == EXIT_PAUSED and "stopped half-way" in watch.words
    assert site.starts() == ["1", "3"]
    site.server.query("DELETE FROM changes WHERE id = 2", "shelf")
    ls.ok("retry", "shelf-1")
    arrives(ls, site)
    assert steps_of(ls)[3:8] == ["migrate#1 failed", "tool lock#2 done", "ledger#2 unknown",
                                 "ledger#3 done", "migrate#2 done"]
    assert site.starts() == ["1", "3", "3"]


# ---- a migrator with a version and an artifact of its own ----

TOOL = "5.0.3"


class OwnTool(ShelfSite):
    """The releases carry no migrator: one archive beside them moves the ledger up and down."""

    def __init__(self, top, server):
        self.top = top
        self.tool = self.archive()
        migrations = MIGRATIONS.replace("      external:\n", "\n".join([
            "      external:", f'        version: "{TOOL}"',
            f'        artifact: {{ url: "file://{self.tool}", sha256: {self.tool_digest()} }}', ""]))
        super().__init__(top, server, ROWS, {version: {} for version in ROWS}, migrations)

    def archive(self):
        path = self.top / "migrator.tar.gz"
        where = 'echo "$PWD" >> "$STARTS.where"\n'
        text = MIGRATE.replace("#!/bin/sh\n", "#!/bin/sh\n" + where).encode()
        with tarfile.open(path, "w:gz") as archive:
            member = tarfile.TarInfo("bin/migrate")
            member.size, member.mode = len(text), 0o755
            archive.addfile(member, io.BytesIO(text))
        return path

    def tool_digest(self):
        return hashlib.sha256(self.tool.read_bytes()).hexdigest()

    def rows(self):
        return int(self.value("SELECT count(*) FROM changes"))

    @property
    def store(self):
        return self.top / "node" / "app.migrators.lockstep"


@pytest.fixture
def own(tmp_path, postgres):
    (tmp_path / "site").mkdir()
    return OwnTool(tmp_path / "site", postgres)


def test_a_migrator_of_its_own_runs_in_a_tree_of_its_own_both_ways(own):
    with Lockstep(["n-1"], top=own.top, keep=True) as ls:
        shown = ls.ok("plan", own.write("1.0.0")).out
        assert f"stage migrator {TOOL}" in shown and f"SHA-256 {own.tool_digest()[:8]}" in shown
        for version in ("1.0.0", "1.1.0", "1.0.0"):
            ls.ok("apply", own.write(version))
            assert own.rows() == ROWS[version]
        assert own.starts() == ["1", "3", "1"]
        tree = own.store / f"{TOOL}-{own.tool_digest()[:8]}"
        where = (own.top / "starts.where").read_text(encoding="ascii").split()
        assert where == [str(tree)] * 3 and tree.is_dir()
        # Neither the installed release nor the staged ones have anything of it.
        releases = (own.top / "node" / "app.lockstep").iterdir()
        assert not any(path.name.startswith(TOOL) for path in releases)
        assert not (own.top / "node" / "app" / "bin" / "migrate").exists()
        # A plan that moves no ledger has nothing to do with it.
        assert "nothing to do" in ls.ok("apply", own.top / "cluster.yaml").words


def test_a_flipped_byte_of_the_migrator_is_refused_before_anything_stops(own):
    with Lockstep(["n-1"], top=own.top, keep=True) as ls:
        ls.ok("apply", own.write("1.0.0"))
        served = (own.top / "node" / "served").read_text(encoding="ascii")
        # Where it comes from …
        plan = own.top / "plan.json"
        ls.ok("plan", own.write("1.1.0"), "-o", plan)
        blob = ls.controller_state / "blobs" / own.tool_digest()
        staged = own.store / f"{TOOL}-{own.tool_digest()[:8]}"
        shutil.rmtree(staged)
        for kept in ls.agent_state("n-1").rglob(own.tool_digest()):
            kept.unlink()
        flip(blob)
        # … and where the controller keeps it.
        refused = ls.run("apply", plan)
        assert refused.code == 1 and "SHA-256" in refused.words
        assert own.starts() == ["1"] and own.rows() == 1
        assert (own.top / "node" / "served").read_text(encoding="ascii") == served
        blob.unlink()
        flip(own.tool)
        refused = ls.run("plan", own.top / "cluster.yaml")
        assert refused.code == 1 and f"migrator {TOOL}" in refused.words


def test_a_retry_of_a_migrator_of_its_own_is_proved_anew(own):
    with Lockstep(["n-1"], top=own.top, keep=True) as ls:
        ls.ok("apply", own.write("1.0.0"))
        broken = own.top / "starts.broken"
        broken.touch()
        assert ls.run("apply", own.write("1.1.0")).code == EXIT_PAUSED
        broken.unlink()
        ls.ok("retry", "shelf-1")
        assert ls.run("watch", "shelf-1", "--stay").code == 0
        assert own.rows() == 3 and own.starts() == ["1", "3", "3"]
        assert steps_of(ls)[:6] == [*PROOFS, "migrate#1 failed", "tool lock#2 done", "ledger#2 done"]


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
