"""What earlier runs took: the plan's estimate, the time that is left, and `history --steps`."""
import json
import re
import sqlite3

CLUSTER = "guestbook-demo"
DONE = 0


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """One protobuf message, as {number: value}: enough for the journal's records."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 2:
            size, at = varint(data, at)
            found[key >> 3] = data[at:at + size]
            at += size
        else:
            found[key >> 3], at = varint(data, at)
    return found


def outcomes(ls, run):
    """{(phase, step): (ms, facts)} of what the journal has as done; one node and the controller, so a key is a place too."""
    journal = sqlite3.connect(ls.controller_state / "journal.db")
    found = {}
    for (data,) in journal.execute("SELECT data FROM record WHERE stream = ? ORDER BY number", [run]):
        record = fields(data)
        if 4 not in record:
            continue
        ended = fields(record[4])
        step, outcome = fields(ended.get(1, b"")), fields(ended[2])
        if outcome.get(1, 0) == DONE:
            facts = json.loads(outcome[5]) if outcome.get(5) else {}
            found[step.get(1, 0), step.get(2, 0)] = (outcome[7] - outcome[6], facts)
    return found


def measured_ms(ls, run):
    """How long the run's steps took, phase after phase; migrations by their own times."""
    store = sqlite3.connect(ls.controller_state / "lockstep.db")
    (text,) = store.execute("SELECT p.json FROM plan AS p JOIN run AS r ON r.plan_id = p.id WHERE r.run = ?",
                            [run]).fetchone()
    phases, done = json.loads(text)["phases"], outcomes(ls, run)
    assert set(done) == {(p, s) for p, phase in enumerate(phases) for s in range(len(phase["steps"]))}
    total = 0
    for key, (ms, facts) in done.items():
        migrates = "db_migrate" in phases[key[0]]["steps"][key[1]]["action"]
        total += sum(facts["ms"]) if migrates else ms
    return total, len(done), phases


def words_ms(words):
    units = {"ms": 1, "s": 1000, "min": 60000}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([0-9.]+) (ms|s|min)", words))


def test_a_second_run_of_the_same_way_is_estimated_by_what_the_first_one_took(make_site, start):
    site = make_site(names=("app-1",), strategy="all-at-once")
    ls = start(site)
    first = ls.ok("plan", site.write("1.0.0")).out.splitlines()[0]
    assert "about" not in first and "nobody" not in first, "nothing is known yet, and nothing is said"
    ls.ok("apply", site.write("1.0.0"))
    before = ls.ok("plan", site.write("1.1.0")).out.splitlines()[0]
    assert " steps" in before and "service down at least" in before, before
    assert before.endswith(", nobody knows how long its migrations take"), before
    ls.ok("apply", site.write("1.1.0"))
    way = ls.ok("--json", "history", CLUSTER).json()["runs"][0]["run"]
    ls.ok("apply", site.write("1.0.0"))

    total, steps, phases = measured_ms(ls, way)
    file = site.write("1.1.0")
    plan = ls.ok("plan", file).out.splitlines()[0]
    found = re.search(r", about (.+?), service down about (.+?) \(as in runs until ", plan)
    assert found and " for " not in found[1], plan
    assert abs(words_ms(found[1]) - total) <= 100 + steps, (plan, total)
    assert words_ms(found[2]) < words_ms(found[1])
    assert json.loads(ls.ok("plan", file, "--json").out)["kind"] == "Plan"

    events = ls.ok("--json", "apply", file).lines()
    [run] = [event for event in events if event["event"] == "run"]
    # Steps of one name and release share their mean: each may lose a fraction of a millisecond.
    assert total - steps <= run["left_ms"] <= total, (run["left_ms"], total)
    assert (run["unmeasured"], run["longer_than_usual"]) == (0, False)
    begun = [event for event in events if event["event"] == "phase"]
    assert len(begun) == len(phases)
    left = [event["left_ms"] for event in begun if not event["longer_than_usual"]]
    assert left == sorted(left, reverse=True) and all(0 <= ms <= total for ms in left), left


def test_a_pipe_says_the_time_left_at_each_phase_and_history_lists_the_steps(make_site, start):
    site = make_site(names=("app-1", "app-2"), strategy="all-at-once")
    ls = start(site)
    assert ls.ok("history", "--steps").out == "no run has ended yet\n"
    ls.ok("apply", site.write("1.0.0"))
    ls.ok("apply", site.write("1.1.0"))
    ls.ok("apply", site.write("1.0.0"))
    lines = ls.ok("apply", site.write("1.1.0")).out.splitlines()
    [hop] = [line for line in lines if "hop 1: " in line]
    assert re.search(r"hop 1: 1\.0\.0 -> 1\.1\.0: (about .+ left|longer than usual)$", hop), lines
    assert any(re.search(r"  stop: (about .+ left|longer than usual)$", line) for line in lines), lines

    steps = ls.ok("--json", "history", "--steps", CLUSTER).json()["steps"]
    swaps = {row["release"]: row["done"] for row in steps if row["step"] == "swap"}
    assert swaps == {"1.0.0": 4, "1.1.0": 4}, steps  # two nodes, two runs each
    store = sqlite3.connect(ls.controller_state / "lockstep.db")
    runs = [run for (run,) in store.execute("SELECT run FROM run WHERE to_version = '1.1.0'")]
    times = []
    for run in runs:
        (text,) = store.execute("SELECT p.json FROM plan AS p JOIN run AS r ON r.plan_id = p.id WHERE r.run = ?",
                                [run]).fetchone()
        names = {(p, s): step["name"] for p, phase in enumerate(json.loads(text)["phases"])
                 for s, step in enumerate(phase["steps"])}
        journal = sqlite3.connect(ls.controller_state / "journal.db")
        for (data,) in journal.execute("SELECT data FROM record WHERE stream = ?", [run]):
            ended = fields(fields(data).get(4, b""))
            step = fields(ended.get(1, b""))
            if ended and names[step.get(1, 0), step.get(2, 0)] == "swap":
                outcome = fields(ended[2])
                times.append(outcome[7] - outcome[6])
    [row] = [row for row in steps if (row["step"], row["release"]) == ("swap", "1.1.0")]
    assert (row["median_ms"], row["longest_ms"]) == (sorted(times)[(len(times) - 1) // 2], max(times)), (row, times)
    words = ls.ok("history", "--steps").out
    assert re.search(rf"^{CLUSTER} +1\.1\.0 +swap +4 ", words, re.M), words
    wrong = ls.run("history", "--steps", "--limit", "3")
    assert wrong.code == 2 and "--limit is for runs" in wrong.err
