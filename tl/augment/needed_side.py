"""How large a training picture has to be for a recipe: JPEGs much larger are decoded smaller."""

import math
from collections.abc import Sequence

from tl.transforms import VIEWS, TransformSettings


def needed_side(transforms: Sequence[TransformSettings], size: tuple[int, int]) -> int | None:
    """Return the short side, in pixels, from which no view of a picture has to be enlarged.

    Args:
        transforms: complete settings, in their order.
        size: (height, width) of the views.

    Returns:
        Pixels; None where something before the crop works in pixels of the picture itself.
    """
    target = max(size)
    for one in transforms:
        if one["name"] == "resnet_crop":
            return math.ceil(target * float(one["max_short_side"]) / 224)
        if one["name"] == "random_resized_crop":
            # The narrowest crop of a square picture: the least area in the most extreme shape.
            shape = min(float(one["min_ratio"]), 1 / float(one["max_ratio"]))
            return math.ceil(target / math.sqrt(float(one["min_area"]) * min(1.0, shape)))
        if one["name"] in VIEWS:
            return target
        if one["name"] not in ("horizontal_flip", "vertical_flip"):
            return None
    return target
