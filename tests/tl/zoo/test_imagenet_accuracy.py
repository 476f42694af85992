from tl.zoo.backbones import BACKBONES
from tl.zoo.imagenet_accuracy import ACCURACY, MILESTONES


def test_every_accuracy_is_of_a_backbone_and_possible() -> None:
    assert set(ACCURACY) <= set(BACKBONES)
    for one in ACCURACY.values():
        assert 70 < one.top_1 < 87
        assert one.top_5 is None or one.top_1 < one.top_5 < 98


def test_what_was_never_published_has_no_figure() -> None:
    assert not {"tl_small", "mobilenet_0.5", "mobilenet_v3_small", "alexnet"} & set(ACCURACY)
    assert ACCURACY["convnext_tiny"].top_5 is None


def test_the_milestones_are_those_of_the_lectures() -> None:
    assert [one.top_5_error for one in MILESTONES] == [26, 16, 11.7, 6.6, 4.5]
