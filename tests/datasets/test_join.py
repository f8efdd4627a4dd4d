import pytest
import torch
from torch_geometric.loader import DataLoader

from lgrin.datasets import from_arrays, join
from lgrin.transforms import Resample


def dataset(width, labels=("calm", "glad", "calm"), groups=("anna", "bert", "bert"), **options):
    arrays = [torch.full((index + 2, width), float(index)) for index in range(len(labels))]
    return from_arrays(arrays, labels=labels, groups=groups, **options)


def test_sequences_of_one_name_become_one_object():
    joined = join({"face": dataset(2), "voice": dataset(4)}, by="name")
    assert [data.name for data in joined] == ["0", "1", "2"]
    assert [int(data.y) for data in joined] == [0, 1, 0]
    assert [int(data.group) for data in joined] == [0, 1, 1]
    for index, data in enumerate(joined):
        assert data["face"].x.tolist() == [[index] * 2] * (index + 2)
        assert data["voice"].x.tolist() == [[index] * 4] * (index + 2)


def test_a_missing_modality_is_no_rows_in_its_place_in_a_batch():
    joined = join({"face": dataset(2)[1:], "voice": dataset(4)[:2]}, by="name")
    assert [data.name for data in joined] == ["1", "2", "0"]
    batch = next(iter(DataLoader(joined, 3)))
    assert torch.bincount(batch["face"].batch, minlength=3).tolist() == [3, 4, 0]
    assert torch.bincount(batch["voice"].batch, minlength=3).tolist() == [3, 0, 2]
    assert batch.y.tolist() == [1, 0, 0]


def test_masks_and_transforms_stay_with_their_modality():
    face, voice = dataset(2), dataset(4)
    face.transform = Resample(6)
    voice = from_arrays([torch.tensor([[1.0], [torch.nan]]), torch.ones(3, 1)], labels=["calm", "glad"])
    first, second, third = join({"face": face, "voice": voice}, by="name")
    assert [data["face"].num_nodes for data in (first, second, third)] == [6, 6, 6]
    assert first["voice"].mask.tolist() == [True, False]
    assert third["voice"].mask.shape == (0,)
    assert "mask" not in first["face"]


def test_groups_are_numbered_alike_where_a_modality_lacks_one():
    joined = join({"face": dataset(2), "voice": dataset(4, groups=("zoe", "bert", "bert"))[1:]}, by="name")
    assert [int(data.group) for data in joined] == [0, 1, 1]
    with pytest.raises(ValueError, match="name '0' has unlike group in its modalities"):
        join({"face": dataset(2), "voice": dataset(4, groups=("zoe", "bert", "bert"))}, by="name")


def test_joining_leaves_the_datasets_as_they_were():
    voice = dataset(4, groups=("bert", "cora", "cora"))[1:]
    before = [int(data.group) for data in voice]
    join({"face": dataset(2, groups=("anna", "cora", "cora")), "voice": voice}, by="name")
    assert [int(data.group) for data in voice] == before


def named(*names):
    """A dataset whose sequences say what they are a recording of."""
    data = dataset(2)
    data._data_list = [data.get(index).clone() for index in range(len(names))]
    for one, name in zip(data._data_list, names, strict=True):
        one.recording = name
    return data[: len(names)]


ERRORS = {
    "none": (lambda: join({}), "modalities is empty"),
    "classes": (lambda: join({"face": dataset(2), "voice": dataset(2, labels=("a", "b", "a"))}), "have the classes"),
    "attribute": (lambda: join({"face": dataset(2)}), "face has a sequence whose recording is None; name another"),
    "tensor": (lambda: join({"face": dataset(2)}, by="frame_rate"), "whose frame_rate is None"),
    "twice": (lambda: join({"face": named("a", "b", "a")}), "face holds recording 'a' twice; leave one out"),
    "empty": (lambda: join({"face": dataset(2), "voice": dataset(2)[:0]}, by="name"), "voice is empty; leave it out"),
    "labels": (
        lambda: join({"face": dataset(2), "voice": dataset(2, labels=("glad", "glad", "calm"))}, by="name"),
        "name '0' has unlike y in its modalities",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_does_not_belong_together_is_named(name):
    call, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        call()
