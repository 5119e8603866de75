"""Every include points to the own folder or to a floor below; programs never include each other."""

import re

import pytest
from tree import FLOORS, PLACE, PLATFORM, PROGRAMS, ROOMS, ROOT, code_files, files, folder_of

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]*)"', re.MULTILINE)


def may_see(folder):
    """The folders whose headers a file in `folder` may include."""
    if folder in FLOORS:
        seen = FLOORS[:FLOORS.index(folder) + 1]
    elif folder == PLACE:
        seen = FLOORS + ROOMS
    elif folder in ROOMS:
        seen = [*FLOORS, PLATFORM, folder]
    else:
        seen = [*FLOORS, *ROOMS, folder]
    # The generated messages stand beside wire.
    return seen + ["proto"] if "lib/wire" in seen else seen


def complaint(name, included, known):
    """Why a file may not include this, or None."""
    folder = folder_of(name)
    if included.startswith("proto/") and included.endswith(".pb-c.h"):
        target, exists = "proto", included.replace(".pb-c.h", ".proto") in known
    else:
        target, exists = folder_of(included), included in known
    if not exists:
        return f'{name}: "{included}" is no path from the root'
    if target not in may_see(folder):
        return f'{name}: "{included}" is not below {folder}'
    return None


def test_every_include_points_to_its_own_folder_or_below():
    known = set(files())
    found = [complaint(name, included, known) for name in code_files()
             for included in INCLUDE.findall((ROOT / name).read_text())]
    assert found, "no include was looked at"
    assert [words for words in found if words] == []


@pytest.mark.parametrize("name, included", [
    ("lib/base/a.c", "lib/spec/b.h"),
    ("lib/core/a.c", "lib/wire/b.h"),
    ("lib/core/a.c", "proto/b.pb-c.h"),
    ("lib/wire/a.c", "lib/io/platform/b.h"),
    ("lib/io/platform/a.c", "lib/io/rpc/b.h"),
    ("lib/io/store/a.c", "lib/io/db/b.h"),
    ("lib/io/db/a.c", "lib/io/place/b.h"),
    ("lib/io/place/a.c", "controller/b.h"),
    ("controller/a.c", "cli/b.h"),
    ("cli/a.c", "node-agent/b.h"),
    ("cli/a.c", "tests/b.h"),
    ("lib/base/a.c", "b.h"),
])
def test_refuses(name, included):
    assert complaint(name, included, {included, "proto/b.proto"})


@pytest.mark.parametrize("name, included", [
    ("lib/base/a.c", "lib/base/b.h"),
    ("lib/core/a.c", "lib/plan/b.h"),
    ("lib/wire/a.c", "proto/b.pb-c.h"),
    ("lib/io/store/a.c", "lib/io/platform/b.h"),
    ("lib/io/place/a.c", "lib/io/db/b.h"),
    ("controller/a.c", "lib/io/place/b.h"),
    ("cli/a.c", "cli/b.h"),
])
def test_allows(name, included):
    assert complaint(name, included, {included, "proto/b.proto"}) is None


def test_every_c_file_belongs_to_a_floor_a_room_a_program_or_the_tests():
    homeless = [name for name in files() if name.endswith((".c", ".h"))
                and not folder_of(name) and not name.startswith("tests/")]
    assert homeless == []


def test_programs_are_the_three_that_are_named():
    assert sorted(PROGRAMS.values()) == ["lockstep", "lockstep-agent", "lockstepd"]
