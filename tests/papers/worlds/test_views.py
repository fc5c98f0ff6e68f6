import pytest
import torch

from modelweave.papers.worlds.views import VIEWS, LabelledImages, all_views, train_and_test, view


def test_views_by_hand() -> None:
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    shown = {name: view(image, name).tolist() for name in VIEWS}
    assert shown["upright"] == [[1, 2], [3, 4]]
    assert shown["turned"] == [[2, 4], [1, 3]]
    assert shown["mirrored"] == [[2, 1], [4, 3]]
    assert shown["upside-down"] == [[4, 3], [2, 1]]


def test_splits_share_no_image_and_repeat_with_the_seed() -> None:
    train, test = train_and_test(1000, 797, seed=0)
    assert train.images.shape == (1000, 1, 8, 8) and len(test.labels) == 797
    assert float(train.images.min()) == 0.0 and float(train.images.max()) == 1.0
    again, _ = train_and_test(1000, 797, seed=0)
    other, _ = train_and_test(1000, 797, seed=1)
    assert torch.equal(train.images, again.images) and not torch.equal(train.images, other.images)
    whole = torch.cat([train.images, test.images]).flatten(1).sort(0).values
    everything, _ = train_and_test(1797, 0, seed=5)
    assert torch.equal(whole, everything.images.flatten(1).sort(0).values)


def test_all_views_keep_labels_with_images() -> None:
    split = LabelledImages(torch.rand(3, 1, 8, 8), torch.tensor([4, 5, 6]))
    both = all_views(split)
    assert both.labels.tolist() == [4, 5, 6] * len(VIEWS)
    assert torch.equal(both.images[3:6], view(split.images, VIEWS[1]))


def test_unknown_view() -> None:
    with pytest.raises(KeyError):
        view(torch.zeros(2, 2), "sideways")
