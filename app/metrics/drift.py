"""Drift: how far the last answers of a version are from those that it gave on validation data.

The distance is Jensen and Shannon's, with logarithms to the base 2: 0 where two distributions are
the same, 1 where nothing that occurs in one occurs in the other. Without NumPy: it is of a dozen
numbers, and computed when somebody asks.
"""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Distribution = Literal["labels", "top_probability"]
DISTRIBUTIONS: Final[tuple[Distribution, ...]] = ("labels", "top_probability")


@dataclass(frozen=True, slots=True)
class Reference:
    """What a version answered on validation data: clips that the models had not been fitted on.

    Attributes:
        clips_by_label: for each label, in the model's order, how many clips were taken for it.
        upper_edges: of bins of top probability, ascending; a bin holds its upper edge.
        clips_by_bin: how many answers lay in each; None where the version does not say.
    """

    clips_by_label: tuple[int, ...]
    upper_edges: tuple[float, ...] = ()
    clips_by_bin: tuple[int, ...] | None = None


class DriftWindow:
    """The last answers of a version, beside a reference.

    Args:
        reference: what they are compared with.
        size: how many answers count.
    """

    def __init__(self, reference: Reference, size: int) -> None:
        self._reference = reference
        self._size = size
        self._places: deque[tuple[int, int]] = deque()
        self._by_label = [0] * len(reference.clips_by_label)
        self._by_bin = [0] * len(reference.upper_edges)

    @property
    def n_clips(self) -> int:
        """How many answers there are."""
        return len(self._places)

    def add(self, label: int, top_probability: float) -> None:
        """Count an answer, and forget the oldest where there are too many.

        Args:
            label: index of the most probable label.
            top_probability: its probability.
        """
        last_bin = len(self._by_bin) - 1
        place = label, min(bisect_left(self._reference.upper_edges, top_probability), last_bin)
        self._places.append(place)
        self._count(place, 1)
        if len(self._places) > self._size:
            self._count(self._places.popleft(), -1)

    def distances(self) -> dict[Distribution, float]:
        """Return the distance of each distribution that the reference knows; none of no answer."""
        if not self._places:
            return {}
        distances: dict[Distribution, float] = {
            "labels": jensen_shannon_distance(self._by_label, self._reference.clips_by_label)
        }
        if self._reference.clips_by_bin is not None:
            distances["top_probability"] = jensen_shannon_distance(
                self._by_bin, self._reference.clips_by_bin
            )
        return distances

    def _count(self, place: tuple[int, int], change: int) -> None:
        label, bin_index = place
        self._by_label[label] += change
        if bin_index >= 0:
            self._by_bin[bin_index] += change


def jensen_shannon_distance(counts: Sequence[float], others: Sequence[float]) -> float:
    """Return the distance of two distributions, given as counts of the same things.

    The square root of the Jensen-Shannon divergence in bits (Endres and Schindelin, "A New Metric
    for Probability Distributions", IEEE Transactions on Information Theory 49, 2003).

    Raises:
        ValueError: there are no counts, or different numbers of them.
    """
    total, other_total = sum(counts), sum(others)
    if not total or not other_total:
        raise ValueError("a distribution of nothing")
    divergence = 0.0
    for count, other in zip(counts, others, strict=True):
        p, q = count / total, other / other_total
        divergence += _bits(p, (p + q) / 2) + _bits(q, (p + q) / 2)
    return math.sqrt(min(1.0, max(0.0, divergence / 2)))


def _bits(p: float, mean: float) -> float:
    return p * math.log2(p / mean) if p else 0.0
