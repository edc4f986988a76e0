"""Batch geometry equals the plain formulas, row by row, whatever the numbers."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.answers.geometry import above_chance, box_iou, closeness, match_distance, row_means, span_iou

odd = st.one_of(st.floats(-100, 1100), st.floats(allow_nan=True, allow_infinity=True), st.integers(-3, 3).map(float))
spans = st.lists(st.tuples(*[odd] * 4), min_size=1, max_size=6)
boxes = st.lists(st.tuples(*[odd] * 8), min_size=1, max_size=6)


def plain_span_iou(s1, e1, s2, e2):
    covered = max(e1, e2) - min(s1, s2)
    return max(0.0, min(e1, e2) - max(s1, s2)) / covered if covered > 1e-12 else 0.0


def plain_box_iou(x1, y1, x2, y2, a1, b1, a2, b2):
    shared = max(0.0, min(x2, a2) - max(x1, a1)) * max(0.0, min(y2, b2) - max(y1, b1))
    either = max(0.0, x2 - x1) * max(0.0, y2 - y1) + max(0.0, a2 - a1) * max(0.0, b2 - b1) - shared
    return shared / either if either > 1e-12 else 0.0


@given(spans)
def test_span_iou_is_the_plain_formula_nan_and_all(rows):
    table = np.array(rows)
    expected = [plain_span_iou(*row) for row in rows]
    np.testing.assert_allclose(span_iou(table[:, :2], table[:, 2:]), expected, rtol=1e-12)


@given(boxes)
def test_box_iou_is_the_plain_formula_nan_and_all(rows):
    table = np.array(rows)
    expected = [plain_box_iou(*row) for row in rows]
    np.testing.assert_allclose(box_iou(table[:, :4], table[:, 4:]), expected, rtol=1e-12)


@given(st.lists(st.tuples(*[st.floats(-2000, 2000)] * 12), min_size=1, max_size=5))
def test_points_are_matched_by_the_best_assignment(rows):
    table = np.array(rows).reshape(-1, 2, 3, 2)
    expected = [
        min(sum(math.dist(a[i], b[j]) for i, j in enumerate(order)) for order in itertools.permutations(range(3))) / 3
        for a, b in table.tolist()
    ]
    np.testing.assert_allclose(match_distance(table[:, 0], table[:, 1]), expected, rtol=1e-9)


def test_points_without_a_finite_assignment_are_infinitely_far():
    far = match_distance(np.full((1, 3, 2), np.nan), np.zeros((1, 3, 2)))
    assert far.tolist() == [math.inf]
    assert closeness(far, 50).tolist() == [0]


def test_closeness_of_a_sigma():
    assert closeness(np.array([0.0, 50.0, 1e200]), 50).tolist() == pytest.approx([1, math.exp(-0.5), 0])


def test_means_by_row_and_overlaps_above_chance():
    assert row_means(np.array([1.0, 0.0, 0.5]), np.array([0, 0, 2]), 4).tolist() == [0.5, 0, 0.5, 0]
    assert above_chance(np.array([0.05, 0.1, 0.9]), 0.1).tolist() == [0, 0.1, 0.9]


def test_no_rows_are_no_trouble():
    assert span_iou(np.zeros((0, 2)), np.zeros((0, 2))).shape == (0,)
    assert box_iou(np.zeros((0, 4)), np.zeros((0, 4))).shape == (0,)
    assert match_distance(np.zeros((0, 3, 2)), np.zeros((0, 3, 2))).shape == (0,)
