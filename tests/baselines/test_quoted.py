"""The numbers of the paper, as far as its text repeats them."""

from lgrin.baselines import PAPER, QUOTED
from lgrin.baselines.quoted import quoted_scores


def best(table, column=0):
    rows = PAPER[table]["rows"]
    return max(rows, key=lambda name: rows[name][column] or 0)


def test_every_row_has_one_number_a_column():
    assert list(PAPER) == [f"table{number}" for number in range(1, 9)]
    for table in PAPER.values():
        for row in table["rows"].values():
            assert len(row) == len(table["columns"])
            for column, value in zip(table["columns"], row, strict=True):
                assert value is None or (value >= 50_000 if "parameters" in column else 40 < value < 100)


def test_lgrin_is_best_everywhere():
    for table in ("table1", "table2", "table3"):
        for column in range(len(PAPER[table]["columns"]) - 1):
            assert best(table, column) == "L-GrIN"


def test_the_tables_repeat_each_other():
    lgrin = PAPER["table1"]["rows"]["L-GrIN"][0]
    ablation = PAPER["table6"]["rows"]
    assert ablation[True, True, True, True][0] == PAPER["table7"]["rows"][64, 128][0] == PAPER["table7"]["rows"][2][0]
    assert lgrin == ablation[True, True, True, True][0]
    assert ablation[False, False, False, False][0] == PAPER["table1"]["rows"]["GCN"][0]
    for without in ((True, True, False, True), (True, True, True, False)):
        assert abs(lgrin - ablation[without][0] - 2.61) < 0.005, "removing either costs 2.61 %"
    assert ablation[True, True, False, True] == PAPER["table4"]["rows"]["Learnable pool"]
    sizes = tuple(PAPER[f"table{number}"]["rows"]["L-GrIN"][-1] for number in (1, 2, 3))
    assert PAPER["table5"]["rows"]["Learnable"][3:] == sizes


def test_quoted_competitors_are_marked():
    assert list(QUOTED) == ["AVEF", "KCFA", "OKL", "TJE", "Representation learning", "Trajectory learning"]
    assert {one.status for one in QUOTED.values()} == {"quoted, not run"}
    assert quoted_scores("TJE") == {"RAVDESS": 72.30}
    for name, one in QUOTED.items():
        assert PAPER[one.table]["rows"][name][-1] is None, "the paper gives no parameters"
