"""Labels that were flipped are found, and hard classes are not suspected as a whole."""

import numpy as np

from tl.evaluation.label_errors import find_suspects


def test_flipped_labels_come_first() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    probabilities = rng.dirichlet([1, 1, 1], 300) * 0.3
    probabilities[np.arange(300), truth] += 0.7
    labels = truth.copy()
    labels[:15] = (labels[:15] + 1) % 3

    found = find_suspects(probabilities, labels.tolist())

    # Those whose true class is as probable as usual; who is listed at all was flipped.
    assert len(found) >= 7
    assert {one.place for one in found} <= set(range(15))
    for one in found:
        assert one.given == labels[one.place]
        assert one.proposed == truth[one.place]
        assert 0 < one.doubt <= 1
    assert [one.doubt for one in found] == sorted((one.doubt for one in found), reverse=True)


def test_class_of_low_probabilities_is_not_suspected_as_a_whole() -> None:
    """Class 1 is hard: 0.4 is usual for it, and 0.45 for class 0 in its place is no sign."""
    easy, hard = [[0.9, 0.1]] * 20, [[0.45, 0.55], [0.6, 0.4]] * 10
    labels = [0] * 20 + [1] * 20
    assert find_suspects(np.array(easy + hard), labels) == []


def test_class_without_pictures_is_nobodys_proposal() -> None:
    probabilities = np.array([[0.2, 0.1, 0.7], [0.9, 0.05, 0.05], [0.1, 0.8, 0.1]])
    assert [one.proposed for one in find_suspects(probabilities, [0, 0, 1])] == []
