"""The served graph: encoded bytes -> upright RGB -> centre view -> network -> answers.

Of classes the answers are labels and scores, of values `outputs`, as TF Serving's Regress wants.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tl.evaluation.caution import Caution
from tl.evaluation.strangeness import Strangeness
from tl.export.orientation import jpeg_orientation, turn_upright
from tl.problem import Problem

TOP_K = 5
NO_CAUTION = Caution()
_ANIMATED, _ALPHA = 0x02, 0x10  # in the head of a WebP
IMAGE_FEATURE = "image_bytes"  # of the tf.Example that `classify` and `regress` take
Run = Callable[[Any], tuple[Any, Any]]
"""float32 (batch, height, width, 3) in [0, 255] -> (logits or values (batch, n_outputs), features
(batch, n_features))."""


def decode_image(data: Any) -> Any:
    """Decode one file (scalar string) to upright RGB, uint8 (height, width, 3).

    The accurate DCT gives OpenCV's and Pillow's pixels; TensorFlow's default differs by up to 8
    levels. WebP goes its own way because `decode_image` refuses alpha in it.
    """
    # Padded, so that a few bytes of anything get the decoder's words and not those of `substr`.
    header = tf.strings.substr(tf.strings.join([data, bytes(21)]), 0, 21)
    is_jpeg = tf.strings.substr(header, 0, 3) == b"\xff\xd8\xff"
    is_webp = (tf.strings.substr(header, 0, 4) == b"RIFF") & (
        tf.strings.substr(header, 8, 4) == b"WEBP"
    )
    is_jxl = (tf.strings.substr(header, 0, 2) == b"\xff\x0a") | (
        tf.strings.substr(header, 0, 8) == b"\x00\x00\x00\x0cJXL "
    )

    def jpeg() -> Any:
        image = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
        return turn_upright(image, jpeg_orientation(data))

    def webp() -> Any:
        # The first frame, without alpha.
        return tf.io.decode_webp(_with_memory_for_alpha(data, header))[0, :, :, :3]

    def jxl() -> Any:
        image = tf.io.decode_jxl(data)
        return tf.cond(
            tf.shape(image)[-1] < 3,
            lambda: tf.repeat(image[:, :, :1], 3, axis=2),
            lambda: image[:, :, :3],
        )

    def other() -> Any:
        return tf.io.decode_image(data, channels=3, expand_animations=False)

    image = tf.case([(is_jpeg, jpeg), (is_webp, webp), (is_jxl, jxl)], default=other)
    image.set_shape([None, None, 3])
    return image


def _with_memory_for_alpha(data: Any, header: Any) -> Any:
    """Let the head of an animated WebP say that it has alpha.

    TensorFlow (2.21) decodes its frames with alpha in any case, and where the head says that there
    is none it writes beyond the memory that it has for them.

    Args:
        data: one file, scalar string.
        header: its first 21 bytes, or as many with zeros behind them.
    """
    flags = tf.io.decode_raw(tf.strings.substr(header, 20, 1), tf.uint8)[0]
    is_animated = (tf.strings.substr(header, 12, 4) == b"VP8X") & (
        tf.bitwise.bitwise_and(flags, tf.constant(_ANIMATED, tf.uint8)) > 0
    )

    def changed() -> Any:
        with_alpha = tf.constant([bytes([value | _ALPHA]) for value in range(256)])
        flag = tf.gather(with_alpha, tf.cast(flags, tf.int32))
        rest = tf.strings.substr(data, 21, tf.strings.length(data) - 21)
        return tf.strings.join([tf.strings.substr(data, 0, 20), flag, rest])

    return tf.cond(is_animated, changed, lambda: data)


def centre_view(image: Any, size: tuple[int, int]) -> Any:
    """Cut and resize one picture as `tl.data.resize.centre_view` does, uint8 in and out."""
    shape = tf.shape(image)
    height = tf.minimum(shape[0], tf.maximum(1, shape[1] * size[0] // size[1]))
    width = tf.minimum(shape[1], tf.maximum(1, shape[0] * size[1] // size[0]))
    top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
    centre = image[top : top + height, left : left + width]
    view = tf.image.resize(centre, size, method="bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(view), 0.0, 255.0), tf.uint8)


class ServedNetwork(tf.Module):  # type: ignore[misc]
    """The signatures of the SavedModel contract that do not depend on the kind of answer.

    Args:
        run: the network.
        variables: what ``run`` reads.
        image_size: (height, width).
    """

    def __init__(self, run: Run, variables: Sequence[Any], image_size: tuple[int, int]) -> None:
        super().__init__()
        self._run = run
        self._network_variables = list(variables)
        self._size = image_size

    def predict_image(self, image: Any) -> dict[str, Any]:
        """Return the answers to uint8 (batch, height, width, 3)."""
        raise NotImplementedError

    def predict_tensor(self, image: Any) -> dict[str, Any]:
        """Return the whole answer to float32 (batch, height, width, 3) in [0, 255]."""
        raise NotImplementedError

    def assess(self, image: Any) -> dict[str, Any]:
        """Return all that is said of uint8 (batch, height, width, 3): what evaluation calls."""
        raise NotImplementedError

    def by_example(self) -> dict[str, Callable[[Any], dict[str, Any]]]:
        """Return the methods that take serialised tf.Examples, by signature name."""
        raise NotImplementedError

    def signatures(self) -> dict[str, Any]:
        """Return the concrete functions by signature name."""
        height, width = self._size
        files = tf.TensorSpec([None], tf.string, name="image_bytes")
        views = tf.TensorSpec([None, height, width, 3], tf.uint8, name="image")
        tensor = tf.TensorSpec([None, height, width, 3], tf.float32, name="image")
        inputs = tf.TensorSpec([None], tf.string, name="inputs")
        methods = {
            "serving_default": (self.serve, files),
            "decode": (self.decode, files),
            "predict_image": (self.predict_image, views),
            "predict_tensor": (self.predict_tensor, tensor),
            "assess": (self.assess, views),
            "embed": (self.embed, files),
            **{name: (method, inputs) for name, method in self.by_example().items()},
        }
        return {
            name: tf.function(method).get_concrete_function(spec)
            for name, (method, spec) in methods.items()
        }

    def decode(self, image_bytes: Any) -> dict[str, Any]:
        """Turn files, string (batch,), into centre views, uint8 (batch, height, width, 3)."""
        views = tf.map_fn(
            lambda data: centre_view(decode_image(data), self._size),
            image_bytes,
            fn_output_signature=tf.TensorSpec([*self._size, 3], tf.uint8),
        )
        return {"image": views}

    def serve(self, image_bytes: Any) -> dict[str, Any]:
        """`predict_image` after `decode`."""
        return self.predict_image(self.decode(image_bytes)["image"])

    def embed(self, image_bytes: Any) -> dict[str, Any]:
        """Return the backbone's features, float32 (batch, n_features)."""
        image = tf.cast(self.decode(image_bytes)["image"], tf.float32)
        return {"features": tf.cast(self._run(image)[1], tf.float32)}

    def _views(self, inputs: Any) -> Any:
        """Return the centre views of serialised tf.Examples, string (batch,)."""
        feature = {IMAGE_FEATURE: tf.io.FixedLenFeature([], tf.string)}
        return self.decode(tf.io.parse_example(inputs, feature)[IMAGE_FEATURE])["image"]

    def _outputs(self, image: Any) -> Any:
        return tf.cast(self._run(tf.cast(image, tf.float32))[0], tf.float32)


class ServedClassifier(ServedNetwork):
    """Labels with their probabilities.

    Args:
        run: the network, which gives logits.
        variables: what ``run`` reads.
        class_names: in label order.
        image_size: (height, width).
        link: logits -> probabilities: of one class that excludes the others, or of each for itself.
        caution: temperature of the logits, and what is said beside the probabilities.
    """

    def __init__(
        self,
        run: Run,
        variables: Sequence[Any],
        class_names: Sequence[str],
        image_size: tuple[int, int],
        link: Callable[[Any], Any] = tf.nn.softmax,
        caution: Caution = NO_CAUTION,
    ) -> None:
        super().__init__(run, variables, image_size)
        self._caution = caution
        self._class_names = tf.constant(list(class_names))
        self._top = min(TOP_K, len(class_names))
        self._link = link

    def predict_image(self, image: Any) -> dict[str, Any]:
        """Return the best labels, string, and their scores, float32, both (batch, k).

        And, (batch,), where the model has them: ``abstain``, bool, whether the answer is better
        left to a person, and ``ood_score``, float32, how unlike the known pictures this one is.
        """
        probabilities, cautions = self._judged(image)
        scores, places = tf.math.top_k(probabilities, k=self._top)
        return {"labels": tf.gather(self._class_names, places), "scores": scores, **cautions}

    def predict_tensor(self, image: Any) -> dict[str, Any]:
        """Return the probabilities of all classes, float32 (batch, n_classes)."""
        return {"probabilities": self._judged(image)[0]}

    def assess(self, image: Any) -> dict[str, Any]:
        """Return the probabilities of all classes, and what `predict_image` says beside scores."""
        probabilities, cautions = self._judged(image)
        return {"probabilities": probabilities, **cautions}

    def by_example(self) -> dict[str, Callable[[Any], dict[str, Any]]]:
        """Return `classify`."""
        return {"classify": self.classify}

    def classify(self, inputs: Any) -> dict[str, Any]:
        """Classify serialised tf.Examples, string (batch,), as TF Serving's Classify wants."""
        probabilities = self._judged(self._views(inputs))[0]
        classes = tf.tile(self._class_names[None, :], [tf.shape(probabilities)[0], 1])
        return {"classes": classes, "scores": probabilities}

    def _judged(self, image: Any) -> tuple[Any, dict[str, Any]]:
        logits, features = self._run(tf.cast(image, tf.float32))
        probabilities = self._link(tf.cast(logits, tf.float32) / self._caution.temperature)
        cautions = {}
        if self._caution.abstain_below is not None:
            cautions["abstain"] = tf.reduce_max(probabilities, axis=1) < self._caution.abstain_below
        if self._caution.strangeness is not None:
            cautions["ood_score"] = strangeness_of(
                tf.cast(features, tf.float32), self._caution.strangeness
            )
        return probabilities, cautions


def strangeness_of(features: Any, strangeness: Strangeness) -> Any:
    """Compute in the graph what `Strangeness.scores` does, float32 (batch,)."""
    features = tf.math.l2_normalize(features, axis=1)
    best = None
    for mean in strangeness.means:
        away = features - mean
        along = tf.linalg.matmul(away, strangeness.directions, transpose_b=True)
        distance = tf.reduce_sum(away * away, axis=1) / strangeness.noise - tf.linalg.matvec(
            along * along, strangeness.shares
        )
        best = distance if best is None else tf.minimum(best, distance)
    return tf.maximum(best, 0.0) / strangeness.unit


class ServedRegressor(ServedNetwork):
    """One value a picture, `outputs`, in the user's unit; arguments as `ServedNetwork`."""

    def predict_image(self, image: Any) -> dict[str, Any]:
        """Return the values, float32 (batch,)."""
        return {"outputs": self._outputs(image)[:, 0]}

    def predict_tensor(self, image: Any) -> dict[str, Any]:
        """Return the values, float32 (batch,)."""
        return self.predict_image(image)

    def assess(self, image: Any) -> dict[str, Any]:
        """Return the values, float32 (batch,)."""
        return self.predict_image(image)

    def by_example(self) -> dict[str, Callable[[Any], dict[str, Any]]]:
        """Return `regress`."""
        return {"regress": self.regress}

    def regress(self, inputs: Any) -> dict[str, Any]:
        """Answer serialised tf.Examples, string (batch,), as TF Serving's Regress wants."""
        return self.predict_image(self._views(inputs))


def served_network(
    problem: Problem,
    run: Run,
    variables: Sequence[Any],
    class_names: Sequence[str],
    image_size: tuple[int, int],
    caution: Caution = NO_CAUTION,
) -> ServedNetwork:
    """Return the signatures for a problem around a network; arguments as `ServedClassifier`."""
    if problem == "regression":
        return ServedRegressor(run, variables, image_size)
    return ServedClassifier(run, variables, class_names, image_size, _LINKS[problem], caution)


_LINKS: Mapping[Problem, Callable[[Any], Any]] = {
    "single_label": tf.nn.softmax,
    "multi_label": tf.sigmoid,
}
