"""The ImageNet weights that Keras publishes: file names, addresses and digests.

Receives the name of a Keras class, gives the two files of it. Kept here as data, so that
`tl zoo` and the message of an offline machine can name the exact file without importing Keras.
"""

from dataclasses import dataclass, replace

_ROOT = "https://storage.googleapis.com/tensorflow/keras-applications"
# EfficientNet (the first) lies in a bucket of its own.
_EFFICIENTNET_ROOT = "https://storage.googleapis.com/keras-applications"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """One file that Keras publishes.

    Attributes:
        name: its name in Keras' cache; ``{size}`` stands for the side of the square pictures,
            in pixels, it was trained on.
        url: its address, with the same ``{size}``.
        digest: md5 (32 digits) or sha256 (64 digits) in hex as Keras knows it; None where Keras
            publishes the file without one.
    """

    name: str
    url: str
    digest: str | None = None

    def at_size(self, side: int) -> "PublishedFile":
        """Return the file trained on square pictures of this many pixels a side."""
        return replace(self, name=self.name.format(size=side), url=self.url.format(size=side))


PublishedPair = tuple[PublishedFile, PublishedFile]
"""The file without the top, which is smaller and tried first, and the one with it."""


def tf_kernels(keras_class: str, folder: str, stem: str) -> PublishedPair:
    """Return the files of the older families, ``<stem>_weights_tf_dim_ordering_tf_kernels*.h5``."""
    stem = f"{stem}_weights_tf_dim_ordering_tf_kernels"
    return _pair(keras_class, f"{_ROOT}/{folder}", f"{stem}_notop.h5", f"{stem}.h5")


def plain(keras_class: str, folder: str, stem: str) -> PublishedPair:
    """Return the files of the newer families, ``<stem>_notop.h5`` and ``<stem>.h5``."""
    return _pair(keras_class, f"{_ROOT}/{folder}", f"{stem}_notop.h5", f"{stem}.h5")


def efficientnet(keras_class: str, stem: str) -> PublishedPair:
    """Return the files of an EfficientNet of the first generation."""
    return _pair(keras_class, _EFFICIENTNET_ROOT, f"{stem}_notop.h5", f"{stem}.h5")


def nasnet(keras_class: str, size: str) -> PublishedPair:
    """Return the files of a NASNet, which Keras renames when it caches them."""
    no_top, with_top = _DIGESTS[keras_class]
    url = f"{_ROOT}/nasnet/NASNet-{size}"
    return (
        PublishedFile(name=f"nasnet_{size}_no_top.h5", url=f"{url}-no-top.h5", digest=no_top),
        PublishedFile(name=f"nasnet_{size}.h5", url=f"{url}.h5", digest=with_top),
    )


def mobilenet(width: float) -> PublishedPair:
    """Return the files of MobileNet at a width; one pair for each size, none with a digest."""
    text = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}[width]
    stem = f"mobilenet_{text}"
    return _pair(
        "", f"{_ROOT}/mobilenet", f"{stem}_{{size}}_tf_no_top.h5", f"{stem}_{{size}}_tf.h5"
    )


def mobilenet_v2(width: float) -> PublishedPair:
    """Return the files of MobileNetV2 at a width; one pair for each size, none with a digest."""
    stem = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{width}_{{size}}"
    return _pair("", f"{_ROOT}/mobilenet_v2", f"{stem}_no_top.h5", f"{stem}.h5")


def mobilenet_v3(keras_class: str, size: str) -> PublishedPair:
    """Return the files of a MobileNetV3 at width 1."""
    stem = f"weights_mobilenet_v3_{size}_224_1.0_float"
    return _pair(keras_class, f"{_ROOT}/mobilenet_v3", f"{stem}_no_top_v2.h5", f"{stem}.h5")


def _pair(keras_class: str, folder: str, no_top: str, with_top: str) -> PublishedPair:
    digests = _DIGESTS.get(keras_class, (None, None))
    return (
        PublishedFile(name=no_top, url=f"{folder}/{no_top}", digest=digests[0]),
        PublishedFile(name=with_top, url=f"{folder}/{with_top}", digest=digests[1]),
    )


# Keras class -> digests of the file without the top and of the one with it.
# Source: keras/src/applications/*.py of Keras 3.15; a test compares them with the installed one.
_DIGESTS: dict[str, tuple[str, str]] = {
    "ConvNeXtBase": (
        "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
        "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
    ),
    "ConvNeXtLarge": (
        "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
        "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
    ),
    "ConvNeXtSmall": (
        "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
        "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c",
    ),
    "ConvNeXtTiny": (
        "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
        "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
    ),
    "ConvNeXtXLarge": (
        "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
        "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
    ),
    "DenseNet121": (
        "30ee3e1110167f948a6b9946edeeb738",
        "9d60b8095a5708f2dcce2bca79d332c7",
    ),
    "DenseNet169": (
        "b8c4d4c20dd625c148057b9ff1c1176b",
        "d699b8f76981ab1b30698df4c175e90b",
    ),
    "DenseNet201": (
        "c13680b51ded0fb44dff2d8f86ac8bb1",
        "1ceb130c1ea1b78c3bf6114dbdfd8807",
    ),
    "EfficientNetB0": (
        "50bc09e76180e00e4465e1a485ddc09d",
        "902e53a9f72be733fc0bcb005b3ebbac",
    ),
    "EfficientNetB1": (
        "74c4e6b3e1f6a1eea24c589628592432",
        "1d254153d4ab51201f1646940f018540",
    ),
    "EfficientNetB2": (
        "111f8e2ac8aa800a7a99e3239f7bfb39",
        "b15cce36ff4dcbd00b6dd88e7857a6ad",
    ),
    "EfficientNetB3": (
        "af6d107764bb5b1abb91932881670226",
        "ffd1fdc53d0ce67064dc6a9c7960ede0",
    ),
    "EfficientNetB4": (
        "ebc24e6d6c33eaebbd558eafbeedf1ba",
        "18c95ad55216b8f92d7e70b3a046e2fc",
    ),
    "EfficientNetB5": (
        "38879255a25d3c92d5e44e04ae6cec6f",
        "ace28f2a6363774853a83a0b21b9421a",
    ),
    "EfficientNetB6": (
        "9ecce42647a20130c1f39a5d4cb75743",
        "165f6e37dce68623721b423839de8be5",
    ),
    "EfficientNetB7": (
        "cbcfe4450ddf6f3ad90b1b398090fe4a",
        "8c03f828fec3ef71311cd463b6759d99",
    ),
    "EfficientNetV2B0": (
        "893217f2bb855e2983157299931e43ff",
        "21ecbf6da12460d5c40bb2f29ceb2188",
    ),
    "EfficientNetV2B1": (
        "0e80663031ca32d657f9caa404b6ec37",
        "069f0534ff22adf035c89e2d9547a9dc",
    ),
    "EfficientNetV2B2": (
        "1dfe2e7a5d45b6632553a8961ea609eb",
        "424e49f28180edbde1e94797771950a7",
    ),
    "EfficientNetV2B3": (
        "f6abf7b5849ac99a89b50dd3fd532856",
        "1f1fc43bd98a6e4fd8fdfd551e02c7a0",
    ),
    "EfficientNetV2L": (
        "b0b66b5c863aef5b46e8608fe1711615",
        "27e6d408b53c7ebc868fefa357689935",
    ),
    "EfficientNetV2M": (
        "1b8dc055df72dde80d614482840fe342",
        "a3bf6aa3276309f4fc6a34aa114c95cd",
    ),
    "EfficientNetV2S": (
        "af0682fb74e8c54910f2d4393339c070",
        "e1d88a8495beba45748fedd0cecbe016",
    ),
    "InceptionResNetV2": (
        "d19885ff4a710c122648d3b5c3b684e4",
        "e693bd0210a403b3192acc6073ad2e96",
    ),
    "InceptionV3": (
        "bcbd6486424b2319ff4ef7d526e38f63",
        "9a0d58056eeedaa3f26cb7ebd46da564",
    ),
    "MobileNetV3Large": (
        "07fb09a5933dd0c8eaafa16978110389",
        "59e551e166be033d707958cf9e29a6a7",
    ),
    "MobileNetV3Small": (
        "d3e8ec802a04aa4fc771ee12a9a9b836",
        "8768d4c2e7dee89b9d02b2d03d65d862",
    ),
    "NASNetLarge": (
        "d81d89dc07e6e56530c4e77faddd61b5",
        "11577c9a518f0070763c2b964a382f17",
    ),
    "NASNetMobile": (
        "1ed92395b5b598bdda52abe5c0dbfd63",
        "020fb642bf7360b370c678b08e0adf61",
    ),
    "ResNet101": (
        "88cf7a10940856eca736dc7b7e228a21",
        "f1aeb4b969a6efcfb50fad2f0c20cfc5",
    ),
    "ResNet101V2": (
        "c0ed64b8031c3730f411d2eb4eea35b5",
        "6343647c601c52e1368623803854d971",
    ),
    "ResNet152": (
        "ee4c566cf9a93f14d82f913c2dc6dd0c",
        "100835be76be38e30d865e96f2aaae62",
    ),
    "ResNet152V2": (
        "ed17cf2e0169df9d443503ef94b23b33",
        "a49b44d1979771252814e80f8ec446f9",
    ),
    "ResNet50": (
        "4d473c1dd8becc155b73f8504c6f6626",
        "2cb95161c43110f7111970584f804107",
    ),
    "ResNet50V2": (
        "fac2f116257151a9d068a22e544a4917",
        "3ef43a0b657b3be2300d5770ece849e0",
    ),
    "VGG16": (
        "6d6bbae143d832006294945121d1f1fc",
        "64373286793e3c8b2b4e3219cbf3544b",
    ),
    "VGG19": (
        "253f8cb515780f3b799900260a226db6",
        "cbe5617147190e668d6c5d5026f83318",
    ),
    "Xception": (
        "b0042744bf5b25fce3cb969f33bebb97",
        "0a58e3b7378bc2990ea3b43d5981f1f6",
    ),
}
