"""From a plan to the way its training pictures are read: how large, kept where, by whom."""

from pipelines.plan import Plan
from tl.augment.needed_side import needed_side
from tl.augment.recipes import find_recipe
from tl.data.batches import Feed
from tl.data.decode import reduced_shape
from tl.data.decoded_cache import make_cache
from tl.data.inspect import cache_folder
from tl.errors import ConfigError


def make_feed(plan: Plan) -> Feed:
    """Return how a run reads its training pictures.

    Raises:
        ConfigError: a cache that does not fit, or whose size cannot be known.
    """
    config, pictures = plan.config.data, plan.data.pictures
    transforms = plan.config.augment.transforms or find_recipe(plan.recipe)
    at_least = needed_side(transforms, plan.image_size)
    is_auto, has_sizes = config.cache == "auto", pictures.sizes is not None
    # Processes share no memory, and what is not asked for should not need what is not known.
    if config.cache == "none" or (is_auto and (config.workers or not has_sizes)):
        return Feed(at_least=at_least, processes=config.workers)
    if pictures.sizes is None or pictures.kinds is None:
        raise ConfigError(
            f"--cache {config.cache} has to know the size of every picture before training; pass "
            "--identity content"
        )
    shapes: dict[str, tuple[int, int]] = {}
    identities: dict[str, str] = {}
    for key, identity, size, kind, side in zip(
        pictures.examples.keys,
        pictures.identities,
        pictures.sizes.tolist(),
        pictures.kinds,
        plan.data.sides,
        strict=True,
    ):
        if side == "train":
            smaller = reduced_shape(size[0], size[1], at_least if kind == "jpeg" else None)
            shapes[key], identities[key] = smaller[:2], identity
    cache = make_cache(config.cache, cache_folder() / "decoded", shapes, identities)
    return Feed(at_least=at_least, cache=cache, processes=config.workers)
