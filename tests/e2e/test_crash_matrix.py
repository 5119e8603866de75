"""The crash matrix with the real programs: one run of each kind, again and again, each time with one crash (kill -9) at another
journal write of the controller, of its executor, of an agent, or of all; just before that record is durable, or just after it.

Here: what moves all at once, what is staged, and what is rolled back. test_crash_matrix_rolling.py has the others.
"""
import pytest

from crash_matrix import WAYS, points_of


@pytest.mark.parametrize("point", [*points_of("all-at-once"), *points_of("staged"), *points_of("rolled-back")], ids=str)
def test_ends_as_without_a_crash(point, crash_worlds):
    crash_worlds.try_point(point)


def test_the_sample_is_of_two_hundred_points_and_more():
    points = [point for kind in WAYS for point in points_of(kind)]
    assert len(set(map(str, points))) == len(points) >= 200
    for program in ("lockstepd", "executor", "app-1", "app-2", "all"):
        assert {point.side for point in points if point.program == program} == {"before", "after"}
