"""A plan that says how long its migrations took in a rehearsal: by the script, and never as a part of the plan."""
import tarfile


def unpacked(site, version):
    """The migrations of a release, as they lie in its artifact."""
    folder = site.top / f"unpacked-{version}"
    with tarfile.open(site.artifacts[version]["path"]) as archive:
        archive.extractall(folder)
    return folder / "db" / "migrations" / site.database.engine


def test_a_plan_shows_what_a_rehearsal_took_and_stays_the_same_plan(engine, make_site, start):
    site = make_site(engine, names=("app-1",), strategy="all-at-once")
    ls = start(site)
    ls.ok("apply", site.write("1.0.0"))
    report = site.top / "report.json"
    rehearsed = ls.run("db", "rehearse", "--url", site.database.url, "--format", "morph", "--dir",
                       unpacked(site, "2.0.0"), "--state", site.top / "state", "-o", report)
    assert report.exists(), rehearsed
    file = site.write("2.0.0")
    plain = ls.ok("plan", file).out
    timed = ls.ok("plan", file, "--rehearsal", report).out
    first, rest = timed.splitlines()[0], timed.splitlines()[1:]
    assert "about" not in plain
    assert ", migrations about " in first and "(rehearsed " in first and " for " not in first, first
    assert first.split()[1] == plain.split()[1], "the plan is another one"
    assert any("migrate main" in line and "about " in line for line in rest) or \
        any("up, about " in line for line in rest), timed
    other = site.top / "other.json"
    other.write_text('{"migrations": 7}', encoding="ascii")
    refused = ls.run("plan", file, "--rehearsal", other)
    assert refused.code == 1 and "is no report of a rehearsal" in refused.err
