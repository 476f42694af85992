"""A dataset's labels as the problem wants them: one class, several, or a number a picture."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from tl.data.example import Dataset, column
from tl.data.formats.labels import read_numbers
from tl.errors import DatasetError, nearest
from tl.problem import Problem
from tl.words import counted

Asked = Literal["auto"] | Problem


def settle_problem(dataset: Dataset, asked: Asked) -> Dataset:
    """Return a dataset with the columns of the problem that is asked for.

    Args:
        dataset: as a source gave it.
        asked: ``auto`` takes it as it is. Class names that are numbers can be asked for as
            ``regression``, whatever the source: class folders called ``1.5``, digits.

    Raises:
        DatasetError: its labels cannot be taken so.
    """
    return _SETTLED[asked](dataset)


def refuse_unlearnable(training: Dataset, spec: str) -> None:
    """Refuse training pictures that are all labelled alike.

    Args:
        training: the pictures to learn from.
        spec: what the user called the dataset.

    Raises:
        DatasetError: one class or one value only.
    """
    names = training.class_names
    if training.values is not None:
        different = np.unique(training.values)
        if len(different) < 2:
            only = ", ".join(f"{value:g}" for value in different)
            raise DatasetError(
                f"{spec}: all {counted(len(training), 'training picture')} have the one value "
                f"{only} of {names[0]!r}; learning a number needs two or more different ones"
            )
    elif len(names) < 2:
        raise DatasetError(
            f"{spec} has one class only ({', '.join(names)}); telling pictures apart needs two or "
            "more sub-folders with pictures"
        )


def answer_words(dataset: Dataset) -> str:
    """Say what the pictures are labelled with, to follow their number."""
    names = dataset.class_names
    if dataset.values is not None:
        low, high = dataset.values.min(), dataset.values.max()
        return f"with {names[0]!r} from {low:g} to {high:g}"
    if dataset.label_sets is not None:
        mean = sum(map(len, dataset.label_sets)) / max(1, len(dataset))
        return f"in {counted(len(names), 'class')}, {mean:.1f} of them a picture"
    return f"in {counted(len(names), 'class')}"


def value_facts(training: Dataset) -> dict[str, float]:
    """Return mean, deviation, least and largest of the values to learn from; of classes nothing."""
    if training.values is None:
        return {}
    values = training.values.astype(np.float64)
    return {
        "mean": float(values.mean()),
        "deviation": float(values.std()),
        "least": float(values.min()),
        "largest": float(values.max()),
    }


def with_classes(dataset: Dataset, class_names: tuple[str, ...]) -> Dataset:
    """Return a dataset labelled with the classes of a model.

    Args:
        dataset: of the model's problem.
        class_names: of the model, in label order.

    Raises:
        DatasetError: a class that the model does not know.
    """
    if dataset.values is not None:
        return dataset
    labels = {name: label for label, name in enumerate(class_names)}
    for name in sorted(set(dataset.class_names) - set(class_names)):
        raise DatasetError(f"the model has no class {name!r}; {nearest(name, class_names)}")
    number = np.array([labels[name] for name in dataset.class_names], np.int32)
    sets = dataset.label_sets
    return replace(
        dataset,
        class_names=class_names,
        labels=number[dataset.labels],
        label_sets=None
        if sets is None
        else column([tuple(number[list(one)].tolist()) for one in sets]),
    )


def _as_given(dataset: Dataset) -> Dataset:
    return dataset


def _one_class(dataset: Dataset) -> Dataset:
    if dataset.label_sets is None:
        return dataset
    for key, labels in zip(dataset.keys, dataset.label_sets, strict=True):
        if len(labels) > 1:
            names = " and ".join(dataset.class_names[label] for label in labels)
            raise DatasetError(
                f"data.problem = 'single_label', but {key} of {dataset.name} is {names}; leave "
                "the problem out or make it multi_label"
            )
    return replace(dataset, label_sets=None)


def _several_classes(dataset: Dataset) -> Dataset:
    if dataset.label_sets is not None:
        return dataset
    return replace(dataset, label_sets=column([(label,) for label in dataset.labels.tolist()]))


def _numbers(dataset: Dataset) -> Dataset:
    if dataset.values is not None:
        return dataset
    names = dataset.class_names
    try:
        if dataset.label_sets is not None:
            raise DatasetError("pictures have several labels")
        of_class = read_numbers(names, lambda place: f"class {names[place]!r}")
    except DatasetError as error:
        raise DatasetError(
            f"data.problem = 'regression', but the labels of {dataset.name} are no numbers: "
            f"{error}. Give a table with a column of numbers, or folders that are named by their "
            "value"
        ) from error
    return replace(
        dataset,
        class_names=("value",),
        labels=np.zeros(len(dataset), np.int32),
        values=of_class[dataset.labels],
    )


_SETTLED: Mapping[Asked, Callable[[Dataset], Dataset]] = {
    "auto": _as_given,
    "single_label": _one_class,
    "multi_label": _several_classes,
    "regression": _numbers,
}
