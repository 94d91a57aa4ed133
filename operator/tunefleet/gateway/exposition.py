"""Numbers as Prometheus' text format 0.0.4, piece by piece.

The client library's own renderer makes an object for each line and everything at once; with thousands of versions the
requests of that second would wait for it. Pieces are small, so whoever asks for them can let others go in between.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from .names import Family
from .series import Histogram

Sample = tuple[tuple[str, ...], float]
"""Label values in the order of the family's labels, and the value."""

_LABELS = "\0"
"""Stands for the labels in a prepared text."""
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def head(family: Family) -> str:
    """The lines that introduce a metric."""
    text = family.help.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {family.name} {text}\n# TYPE {family.name} {family.kind}\n"


def labelled(names: Iterable[str], values: Iterable[str]) -> str:
    """Label pairs without their braces."""
    return ",".join(f'{name}="{value.translate(_ESCAPED)}"' for name, value in zip(names, values, strict=True))


def sample_lines(family: Family, samples: Iterable[Sample]) -> Iterator[str]:
    """A line for each sample of a counter or a gauge."""
    name = family.name
    for values, value in samples:
        labels = labelled(family.labels, values)
        yield f"{name}{{{labels}}} {value}\n" if labels else f"{name} {value}\n"


class HistogramText:
    """All lines of a histogram, prepared but for its labels and numbers: there may be thousands of it."""

    def __init__(self, family: Family, bounds: Iterable[float]) -> None:
        name, labels = family.name, _LABELS if family.labels else ""
        comma, braced = ("," if labels else ""), (f"{{{labels}}}" if labels else "")
        buckets = [f'{name}_bucket{{{labels}{comma}le="{bound}"}} %d\n' for bound in (*bounds, "+Inf")]
        self._text = "".join(buckets) + f"{name}_sum{braced} %r\n{name}_count{braced} %d\n"

    def of(self, labels: str, histogram: Histogram) -> str:
        """The lines. `labels`: as `labelled` makes them."""
        upto = tuple(accumulate(histogram.counts))
        return (self._text % (*upto, histogram.total, upto[-1])).replace(_LABELS, labels)
