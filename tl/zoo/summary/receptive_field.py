"""Which pixels of the picture one position of a map depends on.

Source: Araujo, Norris and Sim 2019, "Computing receptive fields of convolutional neural networks",
Distill, equations 1 to 5, run from the pixels upwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tl.zoo.summary.arithmetic import effective_kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Along one axis, in pixels of the input.

    Attributes:
        size: pixels that a position depends on; those that lie in the padding count, too.
        stride: pixels from one position to the next.
        offset: the first pixel that the first position depends on; below 0 in the padding.
    """

    size: int = 1
    stride: int = 1
    offset: int = 0

    @property
    def centre(self) -> float:
        """The pixel on which the first position is centred; 0 is the middle of the first one."""
        return self.offset + (self.size - 1) / 2

    def through(
        self, kernel: int, stride: int = 1, padding_before: int = 0, dilation: int = 1
    ) -> "Span":
        """Return the span after one more window.

        Without strides below it, each window of F adds F - 1: L of them see 1 + L * (F - 1).
        """
        return Span(
            size=self.size + (effective_kernel(kernel, dilation) - 1) * self.stride,
            stride=self.stride * stride,
            offset=self.offset - padding_before * self.stride,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceptiveField:
    """Along both axes.

    Attributes:
        height: along the first.
        width: along the second.
        whole: every position depends on the whole picture, by global pooling, by a fully
            connected layer, or by a gate that is computed from either (squeeze and excitation).
            The spans then say what it sees by its convolutions and pooling alone.
    """

    height: Span = Span()
    width: Span = Span()
    whole: bool = False


def joined(fields: Sequence[ReceptiveField]) -> ReceptiveField | None:
    """Return what branches see together: the largest field, if they are centred on one another.

    Returns:
        None where branches have different strides, so that their positions do not match.
    """
    if len({field.height.stride for field in fields}) > 1 and all(one.whole for one in fields):
        # Pooled maps of several stages side by side: there is one position, which sees all.
        return max(fields, key=lambda field: field.height.size)
    height = _hull([field.height for field in fields])
    width = _hull([field.width for field in fields])
    if height is None or width is None:
        return None
    return ReceptiveField(height=height, width=width, whole=any(one.whole for one in fields))


def _hull(spans: Sequence[Span]) -> Span | None:
    if len({span.stride for span in spans}) != 1:
        return None
    first = min(span.offset for span in spans)
    end = max(span.offset + span.size for span in spans)
    return Span(size=end - first, stride=spans[0].stride, offset=first)
