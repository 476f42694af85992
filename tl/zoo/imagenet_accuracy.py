"""What backbones reached on ImageNet, as published; data only.

Nothing here was measured by tl, and what has no published figure has no row.
"""

from dataclasses import dataclass

SOURCE = "https://keras.io/api/applications/"
"""Table "Available models": single centre crop of the validation pictures of ImageNet 2012."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Of Keras' published weights on the validation pictures of ImageNet, in percent.

    Attributes:
        top_1: pictures whose class had the highest score.
        top_5: pictures whose class was among the five highest; None where not published.
    """

    top_1: float
    top_5: float | None


ACCURACY: dict[str, Accuracy] = {
    name: Accuracy(top_1=top_1, top_5=top_5)
    for name, top_1, top_5 in (
        ("xception", 79.0, 94.5),
        ("vgg16", 71.3, 90.1),
        ("vgg19", 71.3, 90.0),
        ("resnet50", 74.9, 92.1),
        ("resnet50_v2", 76.0, 93.0),
        ("resnet101", 76.4, 92.8),
        ("resnet101_v2", 77.2, 93.8),
        ("resnet152", 76.6, 93.1),
        ("resnet152_v2", 78.0, 94.2),
        ("inception_v3", 77.9, 93.7),
        ("inception_resnet_v2", 80.3, 95.3),
        ("mobilenet", 70.4, 89.5),
        ("mobilenet_v2", 71.3, 90.1),
        ("densenet121", 75.0, 92.3),
        ("densenet169", 76.2, 93.2),
        ("densenet201", 77.3, 93.6),
        ("nasnet_mobile", 74.4, 91.9),
        ("nasnet_large", 82.5, 96.0),
        ("efficientnet_b0", 77.1, 93.3),
        ("efficientnet_b1", 79.1, 94.4),
        ("efficientnet_b2", 80.1, 94.9),
        ("efficientnet_b3", 81.6, 95.7),
        ("efficientnet_b4", 82.9, 96.4),
        ("efficientnet_b5", 83.6, 96.7),
        ("efficientnet_b6", 84.0, 96.8),
        ("efficientnet_b7", 84.3, 97.0),
        ("efficientnet_v2_b0", 78.7, 94.3),
        ("efficientnet_v2_b1", 79.8, 95.0),
        ("efficientnet_v2_b2", 80.5, 95.1),
        ("efficientnet_v2_b3", 82.0, 95.8),
        ("efficientnet_v2_s", 83.9, 96.7),
        ("efficientnet_v2_m", 85.3, 97.4),
        ("efficientnet_v2_l", 85.7, 97.5),
        ("convnext_tiny", 81.3, None),
        ("convnext_small", 82.3, None),
        ("convnext_base", 85.3, None),
        ("convnext_large", 86.3, None),
        ("convnext_xlarge", 86.7, None),
    )
}
"""By backbone. Keras publishes none of MobileNetV3 and of the narrow and wide MobileNets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Milestone:
    """A step of the ImageNet challenge (ILSVRC).

    Attributes:
        when: year, or what the lectures say of it.
        what: the network.
        top_5_error: in percent, as lectures round it.
        exact: what its paper or the challenge's has, and for what.
    """

    when: str
    what: str
    top_5_error: float
    exact: str


MILESTONES = (
    Milestone(
        when="before 2012",
        what="hand-made features",
        top_5_error=26.0,
        exact="25.8 won in 2011; 26.2 came second in 2012",
    ),
    Milestone(
        when="2012",
        what="AlexNet",
        top_5_error=16.0,
        exact="16.4 for 5 networks, 15.3 with 2 more that were trained on other pictures first",
    ),
    Milestone(
        when="2013",
        what="Clarifai, after ZFNet",
        top_5_error=11.7,
        exact="11.7; 11.2 with other pictures",
    ),
    Milestone(
        when="2014",
        what="GoogLeNet",
        top_5_error=6.6,
        exact="6.67 for 7 networks and 144 crops",
    ),
    Milestone(
        when="2015",
        what="ResNet",
        top_5_error=4.5,
        exact="4.49 for one network of 152 layers, on validation pictures; 3.57 for 6, which won",
    ),
)
"""Sources: Russakovsky et al. 2015, "ImageNet large scale visual recognition challenge", table 5;
Krizhevsky et al. 2012, table 2; Zeiler and Fergus 2014, table 2; Szegedy et al. 2015, section 7;
He et al. 2015, tables 4 and 5."""
