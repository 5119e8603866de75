"""`lockstep schema` against the same files that the parser is tested with: the good ones validate; the bad ones whose
first line says "schema: refuses" do not. Relations between values are the parser's alone ("schema: cannot see")."""

import json
import pathlib
import re
import subprocess

import pytest

jsonschema = pytest.importorskip("jsonschema")
yaml = pytest.importorskip("yaml")

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOCKSTEP = ROOT / "build" / "bin" / "lockstep"
SPECS = ROOT / "tests" / "specs"


class Yaml12Loader(yaml.SafeLoader):
    """YAML 1.2, as editors read it: no dates, and `on` is a word (PyYAML's 1.1 makes a boolean of it)."""


OLD_TYPES = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")
Yaml12Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in OLD_TYPES]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Yaml12Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))


def documents(path):
    return list(yaml.load_all(path.read_text(encoding="utf-8"), Loader=Yaml12Loader))


@pytest.fixture(scope="module")
def validator():
    printed = subprocess.run([LOCKSTEP, "schema"], check=True, capture_output=True, timeout=20).stdout
    schema = json.loads(printed)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def bad_files():
    files = sorted(SPECS.joinpath("bad").glob("*.yaml"))
    return [f for f in files if f.read_bytes().startswith(b"# schema: refuses")]


@pytest.mark.parametrize("path", sorted(SPECS.joinpath("good").glob("*.yaml")), ids=lambda p: p.name)
def test_accepts_every_good_file(validator, path):
    for document in documents(path):
        validator.validate(document)


@pytest.mark.parametrize("path", bad_files(), ids=lambda p: p.name)
def test_refuses_what_one_value_says_wrong(validator, path):
    assert not all(validator.is_valid(document) for document in documents(path))


def test_there_are_files_of_both_sorts():
    assert len(bad_files()) >= 4
    assert len(list(SPECS.joinpath("good").glob("*.yaml"))) >= 3


def test_an_unquoted_version_is_no_text(validator):
    cluster = {"lockstep": 1, "kind": "Cluster", "name": "c", "application": "a", "nodes": [{"name": "n"}]}
    assert validator.is_valid({**cluster, "version": "10.10"})
    assert not validator.is_valid({**cluster, "version": 10.10})


def test_each_kind_of_action_under_do_has_its_short_form(validator):
    def application(action):
        step = {"name": "s", "scope": "node", "after": "healthy", "do": [action]}
        return {
            "lockstep": 1,
            "kind": "Application",
            "name": "a",
            "releases": [{"version": "1.0.0"}],
            "layout": {"path": "/x"},
            "service": {"systemd": "x"},
            "extra_steps": [step],
        }

    for action in ({"run": ["x"]}, {"service": "stop"}, {"sql": "SELECT 1"}, {"health": {}}, {"wait": {"file": "x"}}):
        assert validator.is_valid(application(action)), action
    for action in ({"run": "x"}, {"service": "halt"}, {"package": {}}, {}, {"service": "stop", "run": ["x"]}):
        assert not validator.is_valid(application(action)), action
