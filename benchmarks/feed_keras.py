"""A Keras PyDataset for benchmarks/feed.py, in a module of its own so that processes find it."""

from typing import Any

import keras
import numpy as np

from tl.augment.recipes import Augmentation
from tl.data.decode import NO_LIMIT, decode_picture
from tl.data.example import Dataset


class Views(keras.utils.PyDataset):  # type: ignore[misc]
    """Whole batches of augmented views; Keras shuffles the batches."""

    def __init__(
        self, dataset: Dataset, augment: Augmentation, batch_size: int, **options: Any
    ) -> None:
        super().__init__(**options)
        self._dataset, self._augment, self._batch_size = dataset, augment, batch_size

    def __len__(self) -> int:
        """Return the number of whole batches."""
        return len(self._dataset) // self._batch_size

    def __getitem__(self, index: int) -> Any:
        """Decode and augment one batch."""
        places = range(index * self._batch_size, (index + 1) * self._batch_size)
        views = [
            self._augment(decode_picture(self._dataset[place].read(), NO_LIMIT), place)
            for place in places
        ]
        return np.stack(views), np.zeros(self._batch_size, np.int32)
