"""The library's own training of faces and voices together, on a miniature RAVDESS."""

import pytest
import torch
from torch_geometric.loader import DataLoader

pytest.importorskip("opensmile")
pytest.importorskip("av")

from corpora import NTSC, write

from lgrin import LGrIN, MultimodalLGrIN
from lgrin.datasets import RAVDESS, join
from lgrin.features import OpenFace, Speech
from lgrin.training import SequenceClassifier, evaluate, fit, hold_out, train_and_test
from lgrin.transforms import Resample

FRAMES = {"face": 4, "voice": 6}
QUIET = {"workers": 1, "progress": False, "channel": "speech"}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Sixteen recordings of four actors, one without sound, one without a face."""
    root = tmp_path_factory.mktemp("ravdess")
    for actor in range(1, 5):
        for emotion in ("03", "05"):
            for sentence in ("01", "02"):
                name = f"01-{emotion}-01-{sentence}-01-{actor:02}"
                if name != "01-03-01-01-01-01":
                    write(root / f"FacialTracking_Actor_{actor:02}" / f"01-{name}.csv", 3 + actor, NTSC)
                if name != "01-05-01-02-01-02":
                    write(root / f"Actor_{actor:02}" / f"03-{name}.wav", 5 + 3 * int(emotion))
    datasets = {"face": RAVDESS(root, OpenFace(min_confidence=0.5), **QUIET), "voice": RAVDESS(root, Speech(), **QUIET)}
    for name, dataset in datasets.items():
        dataset.transform = Resample(FRAMES[name])
    assert {name: len(dataset) for name, dataset in datasets.items()} == {"face": 15, "voice": 15}
    return join(datasets)


def network(**options):
    torch.manual_seed(0)
    parts = {
        "face": {"in_channels": 136, "num_nodes": FRAMES["face"], "branch_channels": (8, 4)},
        "voice": {"in_channels": 34, "num_nodes": FRAMES["voice"], "branch_channels": (8, 4)},
    }
    return MultimodalLGrIN(parts, num_classes=8, **options)


def test_the_corpus_joins_by_what_was_recorded(recordings):
    assert len(recordings) == 16
    lacking = {data.recording: [name for name in data.node_types if not data[name].num_nodes] for data in recordings}
    assert {name: missing for name, missing in lacking.items() if missing} == {
        "01-03-01-01-01-01": ["face"],
        "01-05-01-02-01-02": ["voice"],
    }
    assert not recordings[0]["face"].mask.all(), "a frame without a face is missing"


def test_two_epochs_reach_both_parts_and_the_checkpoint_holds_everything(recordings, tmp_path):
    train, test = hold_out(recordings)
    assert not {int(data.group) for data in train} & {int(data.group) for data in test}
    model = network(modality_dropout=0.2)
    before = {name: value.clone() for name, value in model.named_parameters()}
    classifier = SequenceClassifier(model, len(train))
    best = fit(classifier, train, test, tmp_path, epochs=2, batch_size=4, averaging=0.5, progress=False)
    moved = {name for name, value in model.named_parameters() if not torch.equal(before[name], value)}
    for part in ("modalities.face.layers", "modalities.face.adjacency", "modalities.voice.layers", "head"):
        assert any(name.startswith(part) for name in moved), part
    again = SequenceClassifier.load_from_checkpoint(best, weights_only=True).eval()
    assert isinstance(again.model, MultimodalLGrIN)
    frames = torch.cat([data["voice"].x for data in train])
    assert torch.allclose(again.normalize["voice"].mean, frames.mean(0), atol=1e-4)
    assert evaluate(again, test).probabilities.shape == (len(test), 8)


def test_a_run_resumes_and_the_short_way_works_too(recordings, tmp_path):
    options = {"batch_size": 4, "progress": False}
    train, test = hold_out(recordings)
    fit(SequenceClassifier(network(), len(train)), train, test, tmp_path / "a", epochs=1, **options)
    fit(SequenceClassifier(network(), len(train)), train, test, tmp_path / "a", epochs=2, resume=True, **options)
    _, evaluation = train_and_test(network(), train, test, tmp_path / "b", epochs=1, **options)
    assert 0 <= evaluation.accuracy <= 1


def test_gradients_reach_both_parts(recordings):
    classifier = SequenceClassifier(network(), len(recordings))
    classifier.fit_normalization(recordings)
    batch = next(iter(DataLoader(recordings, 16)))
    torch.nn.functional.cross_entropy(classifier(batch), batch.y).backward()
    for name, part in classifier.model.modalities.items():
        assert part.adjacency.weight.grad.abs().sum() > 0, name
        assert all(p.grad.isfinite().all() for p in part.parameters()), name


def test_it_predicts_with_one_modality_missing_whatever_stands_in_its_place(recordings):
    classifier = SequenceClassifier(network(), len(recordings))
    classifier.fit_normalization(recordings)
    classifier.eval()
    batch, silent = (next(iter(DataLoader(recordings, 16))) for _ in range(2))
    silent["voice"].x = torch.full_like(silent["voice"].x, torch.nan)
    silent["voice"].mask = torch.zeros(len(silent["voice"].x), dtype=torch.bool)
    alone = classifier(silent)
    assert alone.isfinite().all()
    voiceless = torch.tensor([data["voice"].num_nodes == 0 for data in recordings])
    assert torch.allclose(alone[voiceless], classifier(batch)[voiceless], atol=1e-6)
    assert not torch.allclose(alone[~voiceless], classifier(batch)[~voiceless], atol=1e-3)
    face = {"face": {"x": classifier.normalize["face"](batch["face"].x), "frame": batch["face"].frame}}
    face["face"] |= {"batch": batch["face"].batch, "mask": batch["face"].mask, "batch_size": 16}
    assert torch.allclose(classifier.model(face), alone, atol=1e-6)


def test_each_modality_is_validated_and_named(recordings, tmp_path):
    broken = [data.clone() for data in recordings]
    broken[3]["voice"].x[1, 2] = torch.inf
    lost = [data.clone() for data in recordings]
    for name in lost[2].node_types:
        for field in list(lost[2][name].keys()):
            lost[2][name][field] = lost[2][name][field][:0]
    half = [data.clone() for data in recordings]
    del half[1]["voice"]
    for message, data in {
        r"dataset\[3\]: voice: x\[1, 2\] is inf": broken,
        r"dataset\[2\]: sequence 0 has no present frame": lost,
        r"dataset\[1\]: data has the modalities \['face'\], but the model has \['face', 'voice'\]": half,
    }.items():
        with pytest.raises(ValueError, match=message):
            fit(SequenceClassifier(network(), 16), data, recordings, tmp_path, progress=False)


def test_models_of_one_modality_and_of_several_do_not_take_each_others_data(recordings):
    with pytest.raises(ValueError, match="train a MultimodalLGrIN on them"):
        evaluate(SequenceClassifier(LGrIN(34, 6, 8), 16), recordings)
    with pytest.raises(ValueError, match=r"data has no modalities, but the model has .*see lgrin.datasets.join"):
        evaluate(SequenceClassifier(network(), 16), [recordings[0].get_node_store("voice")])
