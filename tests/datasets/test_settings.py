"""What the names of processed files depend on."""

import subprocess
import sys
from collections import namedtuple

import torch
from torch_geometric.transforms import BaseTransform, NormalizeFeatures

from lgrin.datasets.sequences import describe

LIMIT = 0


class Scale(BaseTransform):
    def __init__(self, factor):
        self.factor = factor

    def forward(self, data):
        return data


def longer(data):
    return len(data.x) > LIMIT


def closing_over(value):
    def keep(data):
        return value is not None

    return keep


def test_transforms_are_told_apart_by_their_attributes():
    assert describe("t", Scale(1)) == describe("t", Scale(1)) != describe("t", Scale(100))
    assert describe("t", NormalizeFeatures(["x"])) != describe("t", NormalizeFeatures(["pos"]))


def test_functions_are_told_apart_by_what_they_read(monkeypatch):
    before = describe("f", longer)
    monkeypatch.setitem(longer.__globals__, "LIMIT", 60)
    assert describe("f", longer) != before
    big = torch.zeros(5000)
    other = big.clone()
    other[2500] = 1
    assert describe("f", closing_over(big)) != describe("f", closing_over(other))
    assert describe("f", closing_over(big)) == describe("f", closing_over(big.clone()))


def test_a_function_that_calls_itself_can_be_described():
    def again(data):
        return again(data)

    assert describe("f", again) == describe("f", again)


def test_words_are_the_same_in_every_process():
    program = (
        "from lgrin.datasets.sequences import describe; "
        "print(describe('f', lambda d: d.name in {'a', 'b', 'c', 'd', 'e'}))"
    )
    shown = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        for _ in range(3)
    }
    assert len(shown) == 1


def test_plain_values_stay_readable():
    Point = namedtuple("Point", "x y")
    assert "3" in describe("p", Point(3, 4))
