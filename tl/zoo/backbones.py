"""The table of backbones: what each is called, what it takes and gives, where its weights are.

Data only. Neither TensorFlow nor Keras is imported, so that names are checked and `tl zoo` is
printed at once. Numbers are held against the installed Keras by tests/contracts.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from tl.errors import ConfigError, nearest
from tl.zoo import published
from tl.zoo.classic.style import PAPER_STYLES, Style, has_dropout, restyled
from tl.zoo.published import PublishedFile, PublishedPair

Preprocessing = Literal["tf", "tf_128", "caffe", "torch", "inside"]
"""How pixels in [0, 255] are scaled before the first convolution.

``tf``: x / 127.5 - 1. ``tf_128``: x / 128 - 1. ``caffe``: RGB to BGR, minus the ImageNet mean.
``torch``: (x / 255 - mean) / standard deviation. ``inside``: as torch, by layers that Keras builds
into the network and cannot leave out (EfficientNet of the first generation).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone:
    """One row: a pretrained feature extractor.

    Attributes:
        name: what `--backbone` takes.
        keras_class: the function of keras.applications that builds it; None where tl does.
        classic: the function of tl.zoo.classic that builds it; None where Keras does.
        image_size: (height, width) in pixels when the user names none.
        minimum_size: smallest height or width in pixels that Keras lets it take.
        preprocessing: how its input is scaled; layers of the built model do it.
        parameters: number of weights without the top, as Keras counts them.
        feature_size: length of the feature vector.
        weights_files: published ImageNet weights, without the top and with it; None where nobody
            publishes any that fit.
        style: activation, normalisation and dropout of a classic; None for those of Keras.
        arguments: what the function that builds it is called with beside the input.
        trained_sizes: sides in pixels with ImageNet files of their own; empty where one file
            serves all sizes.
        shipped_weights: file in tl/zoo/pretrained that comes with the package, if any.
        feature_layers: layers whose mean and standard deviation over all positions are the
            features; what lies beyond them is left out. Empty takes the network's own pooling.
    """

    name: str
    keras_class: str | None
    image_size: tuple[int, int]
    minimum_size: int
    preprocessing: Preprocessing
    parameters: int
    feature_size: int
    weights_files: PublishedPair | None
    classic: str | None = None
    style: Style | None = None
    # A dict cannot be hashed; the name identifies the row.
    arguments: Mapping[str, float | bool | str] = field(default_factory=dict, hash=False)
    trained_sizes: tuple[int, ...] = ()
    shipped_weights: str | None = None
    feature_layers: tuple[str, ...] = ()

    def check_size(self, image_size: tuple[int, int], *, option: str = "--image-size") -> None:
        """Refuse an input size that the network cannot take.

        Args:
            image_size: (height, width) in pixels.
            option: where the user gave it.

        Raises:
            ConfigError: below the minimum, which the message names.
        """
        height, width = image_size
        if min(height, width) < self.minimum_size:
            raise ConfigError(
                f"pictures of {height}x{width} are too small for {self.name}: it needs at least "
                f"{self.minimum_size}x{self.minimum_size}. Pass {option} {self.minimum_size} or "
                "more, or choose another backbone"
            )

    def published_files(
        self, image_size: tuple[int, int] | None = None
    ) -> tuple[PublishedFile, ...]:
        """Return the ImageNet files for an input size, without the top first; none if none are.

        Keras' rule: the file of exactly this square size where there is one, else that of 224.
        """
        height, width = image_size or self.image_size
        side = height if height == width and height in self.trained_sizes else 224
        return tuple(file.at_size(side) for file in self.weights_files or ())

    def all_published_files(self) -> tuple[PublishedFile, ...]:
        """Return the ImageNet files of every trained size, largest size first."""
        sides = sorted(self.trained_sizes or (224,), reverse=True)
        return tuple(file.at_size(side) for side in sides for file in self.weights_files or ())


def find_backbone(name: str) -> Backbone:
    """Return the row of a name.

    Args:
        name: of the table; that of a classic may be followed by options, as in
            ``alexnet:activation=elu,groups=2``, which the row's name then keeps.

    Raises:
        ConfigError: no such backbone or option; the message has the nearest names.
    """
    plain, has_options, text = name.partition(":")
    if plain not in BACKBONES:
        hint = nearest(plain, BACKBONES) or "`tl zoo` lists all names."
        raise ConfigError(f"no backbone is called '{plain}'; {hint}")
    row = BACKBONES[plain]
    return with_options(row, text) if has_options else row


def with_options(row: Backbone, text: str) -> Backbone:
    """Return the row of a classic built in another way.

    ``parameters`` stays that of the paper's form.

    Args:
        row: of the table.
        text: ``key=value`` pairs with commas between them; the keys are attributes of
            `tl.zoo.classic.style.Style` and the row's ``arguments``.

    Raises:
        ConfigError: no such option or value, or a backbone that has none.
    """
    if row.classic is None:
        raise ConfigError(
            f"{row.name} takes no options ('{text}'): Keras builds it. Leave out what follows ':'"
        )
    style: dict[str, Any] = {}
    arguments = dict(row.arguments)
    known = {**asdict(PAPER_STYLES[row.classic]), **arguments}
    seen: set[str] = set()
    for pair in text.split(","):
        key, _, value = (part.strip() for part in pair.partition("="))
        if key not in known:
            valid = [one for one in known if one != "dropout" or has_dropout(row.classic)]
            raise ConfigError(f"{row.name} has no option '{key}'; {nearest(key, valid)}")
        if key in seen:
            raise ConfigError(f"{row.name} is given '{key}' twice; give it once")
        seen.add(key)
        (arguments if key in arguments else style)[key] = _read_option(key, value, known[key])
    if row.classic == "alexnet" and arguments["groups"] not in (1, 2):
        raise ConfigError(f"alexnet has 1 group or the 2 of its paper, not {arguments['groups']}")
    changed = restyled(row.classic, style)
    options = {**asdict(changed), **arguments}
    named = ",".join(f"{key}={options[key]}" for key in known if options[key] != known[key])
    name = f"{row.name}:{named}" if named else row.name
    return replace(row, name=name, style=changed, arguments=arguments)


def _read_option(key: str, value: str, example: float | bool | str) -> float | bool | str:
    """Read a value of the kind of another one."""
    if isinstance(example, str):
        return value
    if isinstance(example, bool):
        words = {"true": True, "false": False}
        if value.lower() not in words:
            raise ConfigError(f"{key}={value}: give true or false")
        return words[value.lower()]
    try:
        return type(example)(value)
    except ValueError:
        kind = "a whole number" if isinstance(example, int) else "a number"
        raise ConfigError(f"{key}={value}: give {kind}") from None


def _row(
    name: str,
    keras_class: str,
    side: int,
    preprocessing: Preprocessing,
    parameters: int,
    feature_size: int,
    weights_files: PublishedPair,
    minimum_size: int = 32,
) -> Backbone:
    return Backbone(
        name=name,
        keras_class=keras_class,
        image_size=(side, side),
        minimum_size=minimum_size,
        preprocessing=preprocessing,
        parameters=parameters,
        feature_size=feature_size,
        weights_files=weights_files,
    )


def _vgg(name: str, keras_class: str, parameters: int) -> Backbone:
    files = published.tf_kernels(keras_class, name, name)
    return _row(name, keras_class, 224, "caffe", parameters, 512, files)


def _resnet(name: str, keras_class: str, parameters: int) -> Backbone:
    files = published.tf_kernels(keras_class, "resnet", keras_class.lower())
    scaling: Preprocessing = "tf" if name.endswith("_v2") else "caffe"
    return _row(name, keras_class, 224, scaling, parameters, 2048, files)


def _inception(
    name: str, keras_class: str, parameters: int, feature_size: int, minimum_size: int
) -> Backbone:
    files = published.tf_kernels(keras_class, name, name)
    return _row(name, keras_class, 299, "tf", parameters, feature_size, files, minimum_size)


def _mobilenet(name: str, width: float, parameters: int, feature_size: int) -> Backbone:
    return Backbone(
        name=name,
        keras_class="MobileNet",
        image_size=(224, 224),
        minimum_size=32,
        preprocessing="tf",
        parameters=parameters,
        feature_size=feature_size,
        weights_files=published.mobilenet(width),
        arguments={"alpha": width},
        trained_sizes=(128, 160, 192, 224),
    )


def _mobilenet_v2(name: str, width: float, parameters: int, feature_size: int) -> Backbone:
    return Backbone(
        name=name,
        keras_class="MobileNetV2",
        image_size=(224, 224),
        minimum_size=32,
        preprocessing="tf",
        parameters=parameters,
        feature_size=feature_size,
        weights_files=published.mobilenet_v2(width),
        arguments={"alpha": width},
        # Google trained the two widest at 224 only.
        trained_sizes=(96, 128, 160, 192, 224) if width <= 1 else (224,),
    )


def _without_scaling(row: Backbone) -> Backbone:
    """Leave out the scaling that Keras builds in by default.

    Under mixed precision Keras' layers scale in float16; ours always do in float32.
    """
    return replace(row, arguments={"include_preprocessing": False})


def _mobilenet_v3(size: str, parameters: int, feature_size: int) -> Backbone:
    keras_class = f"MobileNetV3{size.title()}"
    files = published.mobilenet_v3(keras_class, size)
    name = f"mobilenet_v3_{size}"
    return _without_scaling(_row(name, keras_class, 224, "tf", parameters, feature_size, files))


def _densenet(depth: int, parameters: int, feature_size: int) -> Backbone:
    name = f"densenet{depth}"
    files = published.tf_kernels(f"DenseNet{depth}", "densenet", name)
    return _row(name, f"DenseNet{depth}", 224, "torch", parameters, feature_size, files)


def _nasnet(size: str, side: int, parameters: int, feature_size: int) -> Backbone:
    keras_class = f"NASNet{size.title()}"
    files = published.nasnet(keras_class, size)
    return _row(f"nasnet_{size}", keras_class, side, "tf", parameters, feature_size, files)


def _efficientnet(variant: str, side: int, parameters: int, feature_size: int) -> Backbone:
    keras_class = f"EfficientNet{variant.upper()}"
    files = published.efficientnet(keras_class, f"efficientnet{variant}")
    name = f"efficientnet_{variant}"
    return _row(name, keras_class, side, "inside", parameters, feature_size, files)


def _efficientnet_v2(variant: str, side: int, parameters: int, feature_size: int) -> Backbone:
    keras_class = f"EfficientNetV2{variant.upper()}"
    files = published.plain(keras_class, "efficientnet_v2", f"efficientnetv2-{variant}")
    scaling: Preprocessing = "torch" if variant.startswith("b") else "tf_128"
    name = f"efficientnet_v2_{variant}"
    return _without_scaling(_row(name, keras_class, side, scaling, parameters, feature_size, files))


def _convnext(variant: str, parameters: int, feature_size: int) -> Backbone:
    keras_class = f"ConvNeXt{'XLarge' if variant == 'xlarge' else variant.title()}"
    name = f"convnext_{variant}"
    files = published.plain(keras_class, "convnext", name)
    return _without_scaling(_row(name, keras_class, 224, "torch", parameters, feature_size, files))


def _classic(
    name: str, side: int, minimum_size: int, parameters: int, feature_size: int, **options: float
) -> Backbone:
    # TF-slim, where Inception-v4 comes from, scales to -1 to 1.
    scaling: Preprocessing = "tf" if name == "inception_v4" else "torch"
    return Backbone(
        name=name,
        keras_class=None,
        classic=name,
        image_size=(side, side),
        minimum_size=minimum_size,
        preprocessing=scaling,
        parameters=parameters,
        feature_size=feature_size,
        weights_files=None,
        style=PAPER_STYLES[name],
        arguments=options,
    )


# The project's own: the first seven blocks of a MobileNet, small enough to ship its weights. What
# ten classes of 32-pixel pictures taught the deeper blocks does not transfer: a linear probe on
# flower photographs falls from block to block beyond the fifth (docs/pretrain.md).
_TL_SMALL = replace(
    _mobilenet("tl_small", 1.0, 544_448, 1920),
    image_size=(128, 128),
    shipped_weights="tl_small.npz",
    feature_layers=tuple(f"conv_pw_{block}_relu" for block in (1, 3, 5, 7)),
)

_ROWS = (
    _TL_SMALL,
    _mobilenet("mobilenet_0.25", 0.25, 218_544, 256),
    _mobilenet("mobilenet_0.5", 0.5, 829_536, 512),
    _mobilenet("mobilenet_0.75", 0.75, 1_832_976, 768),
    _mobilenet("mobilenet", 1.0, 3_228_864, 1024),
    _mobilenet_v2("mobilenet_v2_0.35", 0.35, 410_208, 1280),
    _mobilenet_v2("mobilenet_v2_0.5", 0.5, 706_224, 1280),
    _mobilenet_v2("mobilenet_v2_0.75", 0.75, 1_382_064, 1280),
    _mobilenet_v2("mobilenet_v2", 1.0, 2_257_984, 1280),
    _mobilenet_v2("mobilenet_v2_1.3", 1.3, 3_766_048, 1664),
    _mobilenet_v2("mobilenet_v2_1.4", 1.4, 4_363_712, 1792),
    _mobilenet_v3("small", 939_120, 576),
    _mobilenet_v3("large", 2_996_352, 960),
    _efficientnet_v2("b0", 224, 5_919_312, 1280),
    _efficientnet_v2("b1", 240, 6_931_124, 1280),
    _efficientnet_v2("b2", 260, 8_769_374, 1408),
    _efficientnet_v2("b3", 300, 12_930_622, 1536),
    _efficientnet_v2("s", 384, 20_331_360, 1280),
    _efficientnet_v2("m", 480, 53_150_388, 1280),
    _efficientnet_v2("l", 480, 117_746_848, 1280),
    _efficientnet("b0", 224, 4_049_571, 1280),
    _efficientnet("b1", 240, 6_575_239, 1280),
    _efficientnet("b2", 260, 7_768_569, 1408),
    _efficientnet("b3", 300, 10_783_535, 1536),
    _efficientnet("b4", 380, 17_673_823, 1792),
    _efficientnet("b5", 456, 28_513_527, 2048),
    _efficientnet("b6", 528, 40_960_143, 2304),
    _efficientnet("b7", 600, 64_097_687, 2560),
    _nasnet("mobile", 224, 4_269_716, 1056),
    _nasnet("large", 331, 84_916_818, 4032),
    _densenet(121, 7_037_504, 1024),
    _densenet(169, 12_642_880, 1664),
    _densenet(201, 18_321_984, 1920),
    _resnet("resnet50", "ResNet50", 23_587_712),
    _resnet("resnet101", "ResNet101", 42_658_176),
    _resnet("resnet152", "ResNet152", 58_370_944),
    _resnet("resnet50_v2", "ResNet50V2", 23_564_800),
    _resnet("resnet101_v2", "ResNet101V2", 42_626_560),
    _resnet("resnet152_v2", "ResNet152V2", 58_331_648),
    _inception("inception_v3", "InceptionV3", 21_802_784, 2048, 75),
    _inception("inception_resnet_v2", "InceptionResNetV2", 54_336_736, 1536, 75),
    _inception("xception", "Xception", 20_861_480, 2048, 71),
    _vgg("vgg16", "VGG16", 14_714_688),
    _vgg("vgg19", "VGG19", 20_024_384),
    _convnext("tiny", 27_820_128, 768),
    _convnext("small", 49_454_688, 768),
    _convnext("base", 87_566_464, 1024),
    _convnext("large", 196_230_336, 1536),
    _convnext("xlarge", 348_147_968, 2048),
    _classic("lenet5", 32, 32, 50_992, 120),
    _classic("alexnet", 227, 67, 3_747_200, 256, groups=1),
    _classic("zfnet", 224, 53, 3_726_464, 256),
    _classic("googlenet", 224, 32, 5_973_552, 1024),
    _classic("allconv", 32, 16, 1_367_808, 192, pooling=False),
    _classic("plain34", 224, 32, 21_126_080, 512),
    _classic("resnet18", 224, 32, 11_186_112, 512),
    _classic("resnet34", 224, 32, 21_301_696, 512),
    _classic("resnext50", 224, 32, 23_048_128, 2048),
    _classic("inception_v4", 299, 75, 41_205_984, 1536),
)

BACKBONES: dict[str, Backbone] = {row.name: row for row in _ROWS}
"""Every backbone by name: tl_small, all of keras.applications, more widths, the classics."""
