"""What our own transforms are built on: albumentations' class without its costly call."""

from typing import Any

import albumentations as A


class ImageTransform(A.ImageOnlyTransform):  # type: ignore[misc]
    """An albumentations transform of one picture.

    albumentations' own call copies parameters and looks through targets for 30 us, twice what
    the whole change of colour takes; here there is one target.
    """

    def __call__(self, *args: Any, image: Any, **data: Any) -> dict[str, Any]:
        """Return ``{"image": ...}``, changed with probability ``p``."""
        if self.p < 1 and self.py_random.random() >= self.p:
            return {"image": image}
        params = {
            **self.get_params(),
            **self.get_params_dependent_on_data({}, {"image": image}),
        }
        return {"image": self.apply(image, **params)}
