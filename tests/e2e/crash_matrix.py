"""The points of the crash matrix, and one crash with the real programs.

Owns: which journal writes are tried of each kind of plan, a site with its programs, and how each of its ways ends without a crash.
Refuses: to say anything of a point when the one before it left the site half-way; the site is made anew then.
"""
import shutil
import signal
import sqlite3
import tempfile
from pathlib import Path
from typing import NamedTuple

from crash_site import NAMES, LittleSite
from harness import Lockstep, wait_until

TRIP_S = 90
RUNS_REMEMBERED = 4  # LIMIT_AGENT_RUNS_OVER
OVER = ("succeeded", "failed", "aborted", "incomplete", "paused")

# Of each kind its ways, in turn, and how many records each writes at least: at the controller, at its executor, at an agent.
WAYS = {
    "all-at-once": {"up": (58, 15, 21), "down": (62, 15, 23)},
    "rolling": {"up": (52, 13, 19), "down": (52, 13, 19)},
    "with-backup": {"up": (62, 19, 21), "down": (62, 19, 21)},
    "external-migrator": {"up": (58, 13, 21), "down": (58, 13, 21)},
    "staged": {"stage": (10, 0, 5), "drop": (6, 0, 4)},
    "rolled-back": {"up-and-back": (118, 30, 44)},
}
# How many of them are tried, spread from the first to the last: a fixed sample of all the records of all the kinds, as each costs
# a run. What is staged is cheap: there, each write of the controller and of the agents is tried. The controller and the agents at once
# are tried on what moves at once and on what is staged; with the others, it is the simulator that does.
SAMPLE = {"lockstepd": 8, "executor": 4, "app-1": 3, "app-2": 3}
MORE = {"all-at-once": {**SAMPLE, "all": 3},
        "with-backup": {**SAMPLE, "all": 3},
        "staged": {"lockstepd": 10, "app-1": 5, "app-2": 5, "all": 6},
        "rolled-back": {"lockstepd": 14, "executor": 6, "app-1": 5, "app-2": 5}}


class Point(NamedTuple):
    """What is killed when: `program` just before its record `number` of the run is durable, or just after."""
    kind: str
    way: str
    program: str  # of the harness; "executor": lockstepd by the executor's journal; "all": by its own, and the agents with it
    side: str
    number: int

    def __str__(self):
        return "-".join(map(str, self))


def spread(records, points):
    """So many numbers from 1 to `records`, both ends among them."""
    points = min(points, records)
    return sorted({1 + round(i * (records - 1) / max(points - 1, 1)) for i in range(points)})


def points_of_way(kind, way, turn):
    """The sides take turns, and begin with the other one in the next way."""
    at_controller, at_executor, at_agent = WAYS[kind][way]
    records = {"lockstepd": at_controller, "all": at_controller, "executor": at_executor}
    return [Point(kind, way, program, ("before", "after")[(i + turn) % 2], number)
            for program, count in MORE.get(kind, SAMPLE).items()
            for i, number in enumerate(spread(records.get(program, at_agent), count))]


def points_of(kind):
    """The ways of a site take turns, so that each begins where the other ended."""
    ways = [points_of_way(kind, way, turn) for turn, way in enumerate(WAYS[kind])]
    return [one[i] for i in range(max(map(len, ways))) for one in ways if i < len(one)]


def row_of(path, sql, *arguments):
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    try:
        return connection.execute(sql, arguments).fetchone()
    finally:
        connection.close()


def is_quiet_at(state, run):
    """A place writes nothing more: the last record of the run is PlaceRecord.over (proto/journal.proto), unless the run had no step
    there, and of the runs that are over, no more are remembered than are to be."""
    runs = row_of(state / "place.db", "SELECT count(DISTINCT stream) FROM record WHERE stream <> 'place'")[0]
    found = row_of(state / "place.db", "SELECT data FROM record WHERE stream = ? ORDER BY number DESC", run)
    if found is None or runs > RUNS_REMEMBERED:
        return runs <= RUNS_REMEMBERED
    tag = 3  # behind `version`, two bytes, and the tag of `at_ms`; the last byte of a varint has no high bit
    while found[0][tag] & 0x80:
        tag += 1
    return found[0][tag + 1] == 7 << 3 | 2


class World:
    """A site with its programs, and of each way how it is without a crash."""

    def __init__(self, kind, top):
        self.kind, self.site, self.ways = kind, LittleSite(top, kind), WAYS[kind]
        self.ls = Lockstep(NAMES, top=top, keep=True).__enter__()
        self.at = None  # the last way, when it ended well
        self.undisturbed = {}
        try:
            self.begin()
        except BaseException:
            self.close()
            raise

    def begin(self):
        self.ls.ok("apply", self.site.write("1.0.0"))
        self.wait_idle()
        if self.kind == "rolled-back":
            self.site.close_the_way_up()
        for way in self.ways:
            before, records = self.site.counts(), self.ls.journal_last("lockstepd")
            self.go(way)
            self.wait_idle()
            written = self.ls.journal_last("lockstepd") - records
            assert written >= self.ways[way][0], f"{way} writes {written} records: put WAYS right"
            self.undisturbed[way] = (self.site.end(), self.since(before), self.processes())

    def close(self):
        self.ls.close()
        shutil.rmtree(self.site.top, ignore_errors=True)

    def argv(self, way):
        version = "1.0.0" if way == "down" else "1.1.0"
        verb = {"stage": ["stage"], "drop": ["stage", "--drop"],
                "up-and-back": ["apply", "--despite", "the next crash"]}.get(way, ["apply"])
        return [*verb, self.site.write(version)]

    def since(self, before):
        return {what: count - before[what] for what, count in self.site.counts().items()}

    def processes(self):
        """What runs, without what differs from start to start."""
        return sorted(words.split()[0].rsplit("/", 1)[-1] + (" keep" if " keep " in words else "")
                      for words in self.ls.processes().values())

    def wait_idle(self):
        """The run is over at its places too, and its workers have ended: both come by themselves. Then no record follows."""
        run = self.newest()[0]
        wait_until("the places have ended the run", lambda: all(
            is_quiet_at(path, run) for path in (self.ls.controller_state / "executor", *map(self.ls.agent_state, NAMES))))
        wait_until("no worker is left", lambda: not any(
            f" {verb} " in words for words in self.ls.processes().values() for verb in ("act", "hold")))

    def newest(self):
        """(run, state, why, the run that it takes back), as the controller keeps them: to ask it costs a process each time."""
        return row_of(self.ls.controller_state / "lockstep.db",
                      "SELECT run, state, why, takes_back FROM run ORDER BY started_ms DESC, rowid DESC")

    def go(self, way):
        """The way without a crash."""
        result = self.ls.run(*self.argv(way))
        assert result.code == (8 if way == "up-and-back" else 0), result
        self.at = way

    def stand_before(self, way):
        """Where the way begins: behind the other one."""
        if len(self.ways) > 1 and self.at == way:
            self.go(next(other for other in self.ways if other != way))
            self.wait_idle()

    # ---- one crash ---------------------------------------------------------------------------

    def arm(self, point):
        """Starts what is to die at the record, counted from now on, and waits for the agents; returns its name."""
        who = point.program if point.program in NAMES else "lockstepd"
        executor = point.program == "executor"
        variable = ("LOCKSTEP_PLACE_CRASH_" if executor else "LOCKSTEP_CRASH_") + point.side.upper()
        self.ls.kill(who)
        begins = 1 if executor else 0  # its first record is the fence of the start itself
        last = self.ls.journal_last("place" if executor else who)
        self.ls.restart(who, env={variable: str(last + begins + point.number)})
        self.ls.wait_connected(NAMES)
        return who

    def revive(self, point, who):
        killed = self.ls.children[who].returncode
        assert killed == -signal.SIGKILL, f"{who} ended with {killed}"
        names = NAMES if point.program == "all" else [who] if who in NAMES else []
        for name in names:
            self.ls.kill(name)
        if who == "lockstepd":
            self.ls.start_controller(wait=False)
        for name in names:
            self.ls.start_agent(name)

    def wait_over(self, way, before):
        """The way's run is over (its way back, too); `before`: the run before it."""
        def over():
            run, state, why, takes_back = self.newest()
            if run == before or state not in OVER or (way == "up-and-back" and state == "aborted" and not takes_back):
                return None
            return state, why

        state, why = wait_until("the run is over", over, TRIP_S)
        assert state == "succeeded", f"{state}: {why}"

    def travel(self, point):
        before = self.newest()[0]
        who = self.arm(point)
        child = self.ls.children[who]
        apply = self.ls.start(*self.argv(point.way))
        try:
            wait_until(f"{who} writes record {point.number} of the run", lambda: child.poll() is not None, TRIP_S)
            self.revive(point, who)
            self.wait_over(point.way, before)
        finally:
            apply.kill()
            apply.communicate()

    def point(self, point):
        self.stand_before(point.way)
        self.at = None
        before = self.site.counts()
        self.travel(point)
        self.ls.wait_connected(NAMES)
        self.wait_idle()
        end, counts, processes = self.undisturbed[point.way]
        assert self.site.end() == end
        assert self.since(before) == counts
        assert self.processes() == processes
        self.at = point.way


class Worlds:
    """One at a time; it is made anew when a point did not end well."""

    def __init__(self):
        self.world = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.world is not None:
            self.world.close()
            self.world = None

    def try_point(self, point):
        """It ends as the undisturbed run of its way did: the same versions, trees, schema and ledger, what happens once happened
        once, the run has succeeded, and no process is left."""
        if self.world is None or self.world.kind != point.kind or self.world.at is None:
            self.__exit__()
            self.world = World(point.kind, Path(tempfile.mkdtemp(prefix="lockstep-crash-")))
        try:
            self.world.point(point)
        except AssertionError:
            print(self.world.ls.tails(40))
            raise
