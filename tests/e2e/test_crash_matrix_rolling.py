"""The crash matrix (test_crash_matrix.py says what it is): what moves in waves, what has a backup before it, and what is migrated by a
program of its own."""
import pytest

from crash_matrix import points_of


@pytest.mark.parametrize(
    "point", [*points_of("rolling"), *points_of("with-backup"), *points_of("external-migrator")], ids=str)
def test_ends_as_without_a_crash(point, crash_worlds):
    crash_worlds.try_point(point)
