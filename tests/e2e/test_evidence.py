"""`lockstep evidence RUN`: one file with all that is known of a run, and without secrets."""
import json
import os
import tarfile

CLUSTER = "guestbook-demo"

FAILS = """\
  - name: gate
    when: { direction: up, hop_to: "1.1.0" }
    scope: node
    after: swapped
    do:
      - run:
          command: [/bin/sh, -c, 'echo "PGPASSWORD=hunter2 postgres://me:hunter3@db/x is not there"; exit 3']
          tree: none
"""


def read(path):
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read().decode() for member in archive}


def test_a_failed_run_is_packed_whole_and_without_secrets(make_site, start, tmp_path):
    site = make_site(strategy="all-at-once", extra_steps=FAILS)
    ls = start(site)
    ls.ok("apply", site.write("1.0.0"))
    assert ls.run("apply", site.write("1.1.0")).code != 0
    run = ls.ok("--json", "history", CLUSTER).json()["runs"][0]
    packed = tmp_path / "packed.tar.gz"
    words = ls.ok("evidence", CLUSTER, "-o", packed).words
    assert str(packed) in words and packed.stat().st_mode & 0o077 == 0

    found = read(packed)
    top = f"lockstep-{run['run']}/"
    assert all(name.startswith(top) for name in found)
    found = {name[len(top):]: text for name, text in found.items()}
    assert json.loads(found["run.json"])["state"] == run["state"] == "paused"
    assert "1.0.0 -> 1.1.0" in found["plan.txt"] and json.loads(found["plan.json"])["to"] == "1.1.0"
    assert found["specs/1-cluster.yaml"] == site.cluster_file.read_text(encoding="utf-8")
    logs = {name: text for name, text in found.items() if name.startswith("logs/")}
    gates = [text for name, text in logs.items() if "gate" in name and "app-1" in name]
    assert gates and "PGPASSWORD=[left out] postgres://me:[left out]@db/x is not there" in gates[0]
    assert "hunter" not in "".join(found.values())
    assert {node["name"] for node in json.loads(found["nodes.json"])} == set(site.names)
    assert json.loads(found["status.json"])["clusters"][0]["run"] == run["run"]
    facts = [json.loads(line) for line in found["facts.jsonl"].splitlines()]
    assert any("fingerprint" in json.dumps(fact) for fact in facts), facts

    # The journal is the one that the controller has: as many records as the file that it keeps.
    import sqlite3
    journal = sqlite3.connect(ls.controller_state / "journal.db")
    (count,) = journal.execute("SELECT count(*) FROM record WHERE stream = ?", [run["run"]]).fetchone()
    lines = found["journal.txt"].splitlines()
    assert len(lines) == count, found["journal.txt"]
    assert any("gate @app-1 attempt 1: failed" in line for line in lines)


def test_a_run_that_is_not_there_and_a_place_that_cannot_be_written(make_site, start, tmp_path):
    site = make_site(names=("app-1",), strategy="all-at-once")
    ls = start(site)
    missing = ls.run("evidence", "no-such-run")
    assert missing.code != 0 and "no-such-run" in missing.words
    ls.ok("apply", site.write("1.0.0"))
    denied = ls.run("evidence", CLUSTER, "-o", tmp_path / "no" / "such" / "folder.tar.gz")
    assert denied.code != 0 and "cannot be written" in denied.words
    assert list(tmp_path.glob("*.part")) == []

    # What is there and no file is not replaced by one, and a link leads to its file: --output may name /dev/stdout.
    pipe, link, file = (tmp_path / name for name in ("pipe", "link", "file"))
    os.mkfifo(pipe)
    file.touch()
    link.symlink_to(file)
    for words in (("evidence", CLUSTER), ("plan", site.write("1.1.0"))):
        denied = ls.run(*words, "-o", pipe)
        assert denied.code != 0 and "no regular file" in denied.words and pipe.is_fifo(), denied
        ls.ok(*words, "-o", link)
        assert link.is_symlink() and file.stat().st_size > 0
        file.write_bytes(b"")
