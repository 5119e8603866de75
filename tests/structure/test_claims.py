"""Every claim in docs/CLAIMS.md names a test that exists. That it ran and passed is checked by `./dev test`."""

import claims
import pytest
from tree import ROOT


def table(tmp_path, *rows):
    path = tmp_path / "CLAIMS.md"
    path.write_text("# Claims\n\n| claim | test |\n|---|---|\n" + "\n".join(rows) + "\n")
    return path


def test_every_claim_names_a_test_that_exists():
    listed = claims.read(ROOT / "docs" / "CLAIMS.md")
    missing = [f"{c.line}: {c.test}" for c in listed if not claims.exists(ROOT, c.test)]
    assert missing == []


def test_reads_a_claim(tmp_path):
    path = table(tmp_path, "| an arena \\| stops | `tests/unit/base/test_arena.c::gives` |")
    assert claims.read(path) == [("an arena | stops", "tests/unit/base/test_arena.c::gives", 5)]


@pytest.mark.parametrize("row", ["| only one cell |", "| a claim | a path without a name |", "| | a.c::b |"])
def test_refuses_a_line_that_is_no_claim(tmp_path, row):
    with pytest.raises(ValueError, match="CLAIMS.md:5"):
        claims.read(table(tmp_path, row))


def test_knows_tests_in_c_and_in_python():
    here = "tests/structure/test_claims.py"
    assert claims.exists(ROOT, f"{here}::test_reads_a_claim")
    assert claims.exists(ROOT, f"{here}::test_refuses_a_line_that_is_no_claim[x]")
    assert claims.exists(ROOT, "tests/unit/base/test_arena.c::copies_strings")
    assert not claims.exists(ROOT, f"{here}::table")
    assert not claims.exists(ROOT, f"{here}::test_that_nobody_wrote")
    assert not claims.exists(ROOT, "tests/unit/base/test_arena.c::that_nobody_wrote")
    assert not claims.exists(ROOT, "tests/unit/base/test_nothing.c::copies_strings")
