"""BLSTM, CNN, CNN-LSTM and LSTM-CTC against simple loops."""

import pytest
import torch
from competitors import build, ragged

from lgrin.baselines.lstm_ctc import one_label_likelihood
from lgrin.baselines.recurrent import compact


def packed(lstm, x, mask):
    """PyTorch's own bidirectional LSTM with the same weights over packed sequences."""
    one = torch.nn.LSTM(x.size(-1), lstm.forwards.hidden_size, batch_first=True, bidirectional=True).to(x.dtype)
    weights = dict(lstm.forwards.named_parameters())
    weights |= {f"{name}_reverse": value for name, value in lstm.backwards.named_parameters()}
    one.load_state_dict(weights)
    sequences = [frames[present] for frames, present in zip(x, mask, strict=True)]
    return one, torch.nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)


def test_blstm_leaves_missing_frames_out():
    model, (x, mask) = build("BLSTM").double(), ragged()
    lstm, sequences = packed(model.lstm, x, mask)
    ends = torch.cat([*lstm(sequences)[1][0]], dim=-1)
    assert torch.allclose(model(x, mask=mask), model.head(ends), rtol=1e-10)


def test_lstm_ctc_leaves_missing_frames_out():
    model, (x, mask) = build("LSTMCTC").double(), ragged()
    lstm, sequences = packed(model.lstm, x, mask)
    states, lengths = torch.nn.utils.rnn.pad_packed_sequence(lstm(sequences)[0], batch_first=True)
    present = torch.arange(states.size(1)) < lengths[:, None]
    expected = one_label_likelihood(model.head(states).log_softmax(-1), present)
    assert torch.allclose(model(x, mask=mask), expected, rtol=1e-10)


@pytest.mark.parametrize("name", ["BLSTM", "LSTMCTC"])
def test_an_empty_sequence_counts_as_one_frame(name):
    model, (x, mask) = build(name).eval(), ragged()
    x, mask = x.float(), mask.clone()
    x[0], mask[0] = 0, False
    one = mask.clone()
    one[0, 0] = True
    assert torch.isfinite(model(x, mask=mask)).all()
    assert torch.allclose(model(x, mask=mask), model(x, mask=one), atol=1e-5)


def test_compact_keeps_the_order():
    x = torch.arange(5.0).view(1, 5, 1)
    moved, mask = compact(x, torch.tensor([[False, True, False, True, True]]))
    assert moved.flatten()[:3].tolist() == [1, 3, 4]
    assert mask.tolist() == [[True, True, True, False, False]]


def test_scores_are_the_ctc_loss_of_torch():
    torch.manual_seed(0)
    lengths, num_classes = torch.tensor([9, 1, 5]), 4
    log_probs = (3 * torch.randn(3, 9, 1 + num_classes, dtype=torch.float64)).log_softmax(-1).requires_grad_()
    found = one_label_likelihood(log_probs, torch.arange(9) < lengths[:, None])
    for label in range(num_classes):
        target = torch.full((3, 1), 1 + label)
        one = torch.ones(3, dtype=torch.long)
        loss = torch.nn.functional.ctc_loss(log_probs.transpose(0, 1), target, lengths, one, reduction="none")
        assert torch.allclose(found[:, label], -loss, rtol=1e-10)
    (gradient,) = torch.autograd.grad(found.sum(), log_probs)
    assert torch.isfinite(gradient).all()
    assert not gradient[1, 1:].any()


def test_scores_stay_exact_over_many_certain_frames():
    log_probs = (20 * torch.randn(2, 120, 5)).log_softmax(-1)
    present = torch.ones(2, 120, dtype=torch.bool)
    exact = one_label_likelihood(log_probs.double(), present)
    assert torch.allclose(one_label_likelihood(log_probs, present).double(), exact, rtol=1e-5)


def test_cnn_takes_the_maximum_over_present_frames():
    model, (x, mask) = build("CNN").double().eval(), ragged()
    filled = x.masked_fill(~mask.unsqueeze(-1), 0)
    found = torch.cat([conv(filled.mT) for conv in model.convolutions.parallel], dim=1).relu() * mask.unsqueeze(1)
    steps = model.convolutions.joint(found).relu().masked_fill(~mask.unsqueeze(1), -torch.inf)
    assert torch.allclose(model(x, mask=mask), model.head(steps.amax(-1)), rtol=1e-10)


def test_cnn_lstm_reads_present_frames():
    model, (x, mask) = build("CNNLSTM").double().eval(), ragged()
    steps = model.convolutions(x.masked_fill(~mask.unsqueeze(-1), 0), mask)
    for sequence, present, logits in zip(steps, mask, model(x, mask=mask), strict=True):
        states = model.lstm(sequence[present][None])[0][0]
        assert torch.allclose(logits, model.head(states[-1]), rtol=1e-10)
