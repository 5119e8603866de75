"""House rules that a glance at the files can prove."""

import re

import pytest
from tree import PROGRAMS, ROOT, code_files, files, folder_of

LINES_MAX = 800
# Written by a tool or taken from an application: their length is not ours.
NOT_OURS = re.compile(r"(^|/)package-lock\.json$|\.sql$|\.svg$|^LICENSE")

# Spelled with brackets, so that this file does not find itself.
LEFT_OVER = re.compile(r"\b([T]ODO|[F]IXME|[X]XX|[H]ACK)\b")
MACHINE_PATH = re.compile(r"""(^|[\s"'`=(,:])/([w]ork|[h]ome)/""")
REGISTRY = re.compile(r"\b(registry[.](npmjs|yarnpkg)|pypi[.]org|files[.]pythonhosted|(deb|security|snapshot|ftp)"
                      r"(\.\w+)?[.]debian[.]org|archive[.]ubuntu|proxy[.]golang|crates[.]io|repo1?[.]maven)")
UNBOUNDED = re.compile(r"\b(sprintf|vsprintf|strcpy|strcat|strncat|gets)\s*\(")


def texts():
    """Every file that is text."""
    for name in files():
        try:
            yield name, (ROOT / name).read_text()
        except UnicodeDecodeError:
            continue


def found(pattern, names=None):
    return [f"{name}:{number}: {line.strip()}" for name, text in texts() if names is None or name in names
            for number, line in enumerate(text.splitlines(), 1) if pattern.search(line)]


def test_no_file_is_longer_than_a_sitting():
    long = [f"{name}: {len(text.splitlines())} lines" for name, text in texts()
            if len(text.splitlines()) > LINES_MAX and not NOT_OURS.search(name)]
    assert long == []


def test_nothing_is_left_over():
    assert found(LEFT_OVER) == []


def test_no_path_of_one_machine():
    assert found(MACHINE_PATH) == []


def test_no_host_of_a_registry():
    assert found(REGISTRY) == []


def test_no_call_that_writes_without_a_bound():
    c_files = {name for name in files() if name.endswith((".c", ".h"))}
    assert c_files
    assert found(UNBOUNDED, c_files) == []


def test_every_file_of_code_opens_with_what_it_is_for():
    silent = [name for name in code_files() if not (ROOT / name).read_text().startswith("/*")]
    assert silent == []


def test_every_source_is_named_by_the_build_of_its_folder():
    forgotten = []
    for name in code_files():
        path = ROOT / name
        build = path.parent / "meson.build"
        if name.endswith(".c") and (not build.is_file() or f"'{path.name}'" not in build.read_text()):
            forgotten.append(name)
    assert forgotten == []


def test_every_test_in_c_is_named_by_the_build_of_its_folder():
    forgotten = []
    for name in files():
        path = ROOT / name
        if re.match(r"tests/(unit|sim)/.*test_\w+\.c$", name):
            if f"'{path.stem}'" not in (path.parent / "meson.build").read_text():
                forgotten.append(name)
    assert forgotten == []


def test_every_test_that_runs_under_the_thread_sanitizer_exists():
    lines = (ROOT / "tests" / "thread-tests").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#") and not (ROOT / line).is_file()] == []


@pytest.mark.parametrize("folder, program", PROGRAMS.items())
def test_a_program_is_built_under_its_name(folder, program):
    assert f"program = '{program}'" in (ROOT / folder / "meson.build").read_text()
    if (ROOT / folder / "main.c").exists():
        assert (ROOT / "build" / "bin" / program).is_file()


@pytest.mark.parametrize("pattern, line", [
    (LEFT_OVER, "/* " + "TO" + "DO: later */"),
    (MACHINE_PATH, "cd /wo" + "rk/main"),
    (MACHINE_PATH, 'open("/ho' + 'me/me/x")'),
    (REGISTRY, "https://registry" + ".npmjs.org/x"),
    (REGISTRY, "http://deb" + ".debian.org/debian"),
    (UNBOUNDED, "sprintf" + "(text, 1);"),
], ids=["left-over", "work", "home", "npm", "debian", "sprintf"])
def test_finds(pattern, line):
    assert pattern.search(line)


@pytest.mark.parametrize("pattern, line", [
    (MACHINE_PATH, "build/work/x"),
    (MACHINE_PATH, "<state>/wo" + "rk/RUN"),
    (UNBOUNDED, "snprintf(text, sizeof(text), 1);"),
], ids=["build-folder", "placeholder", "snprintf"])
def test_leaves_alone(pattern, line):
    assert not pattern.search(line)


def test_folders_of_files_are_known():
    assert folder_of("lib/io/db/x.c") == "lib/io/db"
    assert folder_of("node-agent/main.c") == "node-agent"
    assert folder_of("tests/unit/x.c") is None
