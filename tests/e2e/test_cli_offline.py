"""`lockstep` without a controller: what it prints, where, and how it ends."""

import json
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOCKSTEP = ROOT / "build" / "bin" / "lockstep"
SPECS = ROOT / "tests" / "specs"

APPLICATION = """\
lockstep: 1
kind: Application
name: board
versions: semver
releases:
  - version: "1.0.0"
  - version: "1.1.0"
  - version: "2.0.0"
paths: { required: ["1.1.0"] }
layout: { path: /opt/board }
service: { systemd: board }
"""
CLUSTER = """\
lockstep: 1
kind: Cluster
name: demo
application: APPLICATION
version: "1.1.0"
nodes: [ { name: app-1 } ]
"""


def lockstep(*words, cwd=None, **environment):
    return subprocess.run([LOCKSTEP, *words], cwd=cwd, capture_output=True, text=True, timeout=20,
                          env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment})


def write(folder, application):
    (folder / "board.yaml").write_text(APPLICATION, encoding="utf-8")
    (folder / "demo.yaml").write_text(CLUSTER.replace("APPLICATION", application), encoding="utf-8")


def test_validate_reads_the_application_beside_the_cluster_along(tmp_path):
    (tmp_path / "site").mkdir()
    write(tmp_path / "site", "./board.yaml")
    done = lockstep("validate", "site/demo.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 files are right\n", "")
    done = lockstep("validate", "site/board.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "1 file is right\n")


def test_validate_looks_into_the_catalog(tmp_path):
    write(tmp_path, "board")
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    shutil.move(tmp_path / "board.yaml", catalog / "board.yaml")
    done = lockstep("validate", "demo.yaml", cwd=tmp_path, LOCKSTEP_CATALOG=str(catalog))
    assert (done.returncode, done.stdout) == (0, "2 files are right\n")
    done = lockstep("validate", "demo.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith('demo.yaml:4:14: no application "board": ')


def test_validate_names_the_file_that_is_not_there(tmp_path):
    write(tmp_path, "./other.yaml")
    done = lockstep("validate", "demo.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "demo.yaml:4:14: application ./other.yaml: there is no file ./other.yaml\n"
    assert lockstep("validate", "no.yaml", cwd=tmp_path).returncode == 1


def test_validate_says_a_shared_mistake_once(tmp_path):
    write(tmp_path, "board")
    (tmp_path / "board.yaml").write_text(APPLICATION + "colour: red\n", encoding="utf-8")
    shutil.copy(tmp_path / "demo.yaml", tmp_path / "second.yaml")
    done = lockstep("validate", "demo.yaml", "second.yaml", "board.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("colour") == 1


def test_validate_prints_every_mistake_at_its_place():
    expected = (SPECS / "bad" / "types.expected").read_text(encoding="utf-8").splitlines()
    done = lockstep("validate", "types.yaml", cwd=SPECS / "bad")
    assert done.returncode == 1
    assert len(expected) > 3
    assert [line for line in expected if line not in done.stderr.splitlines()] == []
    found = json.loads(lockstep("validate", "types.yaml", "--json", cwd=SPECS / "bad").stdout)
    assert not found["right"]
    assert {"file", "line", "column", "message"} == set(found["complaints"][0])


@pytest.mark.parametrize(("words", "answer"), [
    (("semver", "1.9.0", "1.10.0"), "-1"),
    (("semver", "1.0.0", "1.0.0+build"), "0"),
    (("dotted", "10.4", "10.3.8"), "1"),
    (("listed", "alpine", "cedar", "--list", "alpine, birch,cedar"), "-1"),
    (("listed", "alpine", "oak", "--list=alpine,birch"), "incomparable"),
    (("listed", "cedar", "birch", "--application", str(SPECS / "good" / "listed.yaml")), "1"),
    (("dataminer", "10.3.0 [CU5]", "10.3.0-CU12"), "-1"),
    (("dataminer", "10.3.0 [CU5]", "10.3.8"), "incomparable"),
    (("dataminer", "10.4.0.0-14772-20240821-release", "10.4.0.0-14003"), "1"),
    (("dataminer", "10.5.2.0 - 15323", "10.5.2"), "0"),
])
def test_version_compare(words, answer):
    done = lockstep("version", "compare", *words)
    assert (done.returncode, done.stdout) == (0, answer + "\n")
    shown = json.loads(lockstep("--json", "version", "compare", *words).stdout)
    assert str(shown["order"]) == answer


@pytest.mark.parametrize(("words", "status"), [
    (("dotted", "10.3.9", ">=10.3.8 <10.4"), 0),
    (("dotted", "10.4", ">=10.3.8 <10.4"), 1),
    (("semver", "10.3.4", "10.3.4..10.3.7"), 0),
    (("semver", "10.3.8", "10.3.4..10.3.7 || 10.3.8"), 0),
    (("listed", "birch", "birch..cedar", "--list", "alpine,birch,cedar"), 0),
    (("listed", "alpine", "birch..cedar", "--list", "alpine,birch,cedar"), 1),
    (("dataminer", "10.4.0 [CU6]", ">=10.4.0 [CU6] <10.5 main"), 0),
    (("dataminer", "10.4.9", ">=10.4.0 [CU6] <10.5 main"), 1),
    (("dataminer", "10.4", "*"), 2),
    (("semver", "ten", "*"), 2),
    (("semver", "1.0.0", ">=>"), 2),
    (("semvr", "1.0.0", "*"), 2),
    (("listed", "a", "*"), 2),
])
def test_version_in(words, status):
    done = lockstep("version", "in", *words)
    assert (done.returncode, done.stdout) == (status, "")
    assert (done.stderr != "") == (status == 2)


def test_path_prints_one_release_a_line(tmp_path):
    write(tmp_path, "board")
    done = lockstep("path", "board.yaml", "--from", "1.0.0", "--to", "2.0.0", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "1.0.0\n1.1.0\n2.0.0\n")
    done = lockstep("path", "board.yaml", "--to=1.0.0", "--from=2.0.0", "--json", cwd=tmp_path)
    assert json.loads(done.stdout) == {
        "path": ["2.0.0", "1.1.0", "1.0.0"],
        "why": {"1.1.0": "2.0.0 to 1.0.0 must visit 1.1.0 (paths.required)"},
    }
    done = lockstep("path", "board.yaml", "--from", "1.0.0", "--to", "9.9.9", cwd=tmp_path)
    assert done.returncode == 1
    assert "9.9.9" in done.stderr
    assert lockstep("path", "board.yaml", "--from", "1.0.0", cwd=tmp_path).returncode == 2


def test_path_says_why_and_what_is_missing():
    spec = str(SPECS / "good" / "dataminer.yaml")
    done = lockstep("path", spec, "--from", "9.6.0", "--to", "10.3.4", "--explain")
    assert done.stderr == ""
    assert done.stdout == (
        "9.6.0\n"
        "10.0.0 [CU19]  9.6.0 to 10.2.0 must visit each major (paths.up[0].visit)\n"
        "10.2.0         10.0.0 [CU19] to 10.3.4 must visit each major (paths.up[0].visit)\n"
        "10.3.4\n")
    done = lockstep("path", spec, "--from", "10.3.8.0-13272-20230824-release", "--to", "10.3.4")
    assert (done.returncode, done.stdout) == (0, "10.3.8\n10.3.4\n")
    done = lockstep("path", spec, "--from", "10.5.2.0 - 15323", "--to", "10.2.0")
    assert (done.returncode, done.stdout) == (
        0, "10.5.2.0 - 15323\n10.4.0-CU4\n10.3.0 [CU5]\n10.2.0\n")
    done = lockstep("path", spec, "--from", "10.0.0 [CU19]", "--to", "9.0.0")
    assert done.returncode == 1
    assert "9.0.0 is not a release of dataminer" in done.stderr


def test_wrong_use_is_told_with_the_nearest_word():
    done = lockstep("valdate", "x.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == 'lockstep: unknown verb "valdate", did you mean "validate"?\n'
    done = lockstep("plan", "x.yaml", "--too", "1")
    assert done.returncode == 2
    assert "did you mean --to?" in done.stderr
    assert lockstep().returncode == 2


def test_every_verb_has_help_with_an_example():
    listed = [line.strip() for line in lockstep("--help").stdout.splitlines() if line.startswith("  ")]
    verbs = ["validate", "plan", "apply", "status", "watch", "cluster list", "cluster get", "cluster history",
             "cluster diff", "node list", "node enroll", "history", "schema", "version compare", "version in",
             "path", "abort", "retry", "skip", "exclude", "rollback", "claim", "unclaim", "approve", "db status", "db plan", "db up", "db down",
             "db lock", "db backup", "db restore", "db drift", "db export-plan", "db retry", "db mark-applied", "db mark-reverted"]
    for verb in verbs:
        assert any(line.startswith(verb) for line in listed), verb
        done = lockstep(*verb.split(), "--help")
        assert done.returncode == 0
        assert f"usage: lockstep {verb}" in done.stdout
        assert f"Example:\n  lockstep {verb}" in done.stdout


def test_the_help_fits_a_terminal_of_80_columns():
    """But for what is written to be copied: the line of usage, and the examples."""
    text = lockstep("--help").stdout
    verbs = re.findall(r"^  ([a-z]+(?: [a-z-]+)?)  ", text, re.MULTILINE)
    assert len(verbs) >= 50
    for words in ["", "db", "fleet", *verbs]:
        text = lockstep(*words.split(), "--help").stdout
        assert text
        long = [line for line in text.splitlines() if len(line) > 80]
        assert [line for line in long if not re.match(r"usage: |  lockstep ", line)] == [], words


def test_without_an_identity_it_says_what_to_do(tmp_path):
    done = lockstep("status", "--identity", str(tmp_path / "nobody"))
    assert done.returncode == 1
    assert "--identity" in done.stderr


def test_an_answer_that_cannot_be_written_is_no_success():
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([LOCKSTEP, "schema"], stdout=full, stderr=subprocess.PIPE, text=True,
                              timeout=20, check=False)
    assert done.returncode == 1
    assert "cannot write the answer" in done.stderr
