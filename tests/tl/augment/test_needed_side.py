import pytest

from tl.augment.needed_side import needed_side
from tl.augment.recipes import RECIPES
from tl.transforms import transform


@pytest.mark.parametrize(
    ("transforms", "side"),
    [
        ((), 224),
        ((transform("centre"),), 224),
        ((transform("horizontal_flip"), transform("resnet_crop", max_short_side=480)), 480),
        ((transform("random_resized_crop", min_area=0.25, min_ratio=1, max_ratio=1),), 448),
        ((transform("random_resized_crop", min_area=0.25, min_ratio=0.5, max_ratio=1),), 634),
        ((transform("random_resized_crop", min_area=0.25, min_ratio=1, max_ratio=2),), 634),
        ((transform("gaussian_noise"), transform("centre")), None),
        ((transform("centre"), transform("gaussian_noise")), 224),
    ],
)
def test_side_is_that_of_the_smallest_crop(transforms: tuple[object, ...], side: int) -> None:
    assert needed_side(transforms, (224, 200)) == side  # type: ignore[arg-type]


def test_every_recipe_can_be_fed_with_smaller_pictures() -> None:
    assert all(needed_side(make(), (224, 224)) is not None for make in RECIPES.values())
