"""The paper's experiments at a tiny size: tables, figures from tables, one page."""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[1]
FIGURES = ("figure_3.png", "figure_4.png", "chat_prediction.png", "figure_6.png")
PICTURES = (*FIGURES, "gains.png")


@pytest.fixture(scope="module")
def paper():
    """The command, importable wherever the tests are started."""
    sys.path.insert(0, str(REPOSITORY))
    try:
        from benchmarks.paper import __main__ as command
    finally:
        sys.path.remove(str(REPOSITORY))
    return command


@pytest.fixture(scope="module")
def run(paper, tmp_path_factory):
    """One best-of-k and two chat settings on a few queries each."""
    folder = tmp_path_factory.mktemp("paper")
    settings = ["math", "chat", "tranches"]
    paper.main([*settings, "--limit", "40", "--output", str(folder)])
    return folder


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def n_tested(folder):
    rows = rows_of(folder / "calibration.csv")
    first = rows[0]["target"]
    return sum(int(float(r["n_queries"])) for r in rows if r["target"] == first)


@pytest.mark.slow
def test_each_setting_compares_the_papers_methods_with_intervals(run):
    rows = rows_of(run / "embedded/math/curves.csv")
    methods = {"best-of-k", "online", "offline", "oracle"}
    methods |= {"online, plug-in", "offline, plug-in", "4 rounds, verdicts seen"}
    assert {row["method"] for row in rows} == methods
    low, gain, high = (
        np.array([float(row[name]) for row in rows])
        for name in ("gain_low", "gain", "gain_high")
    )
    assert (low <= gain + 1e-9).all()
    assert (gain <= high + 1e-9).all()


@pytest.mark.slow
def test_no_policy_of_a_batch_spends_more_than_its_budget_or_beats_the_oracle(run):
    rows = rows_of(run / "embedded/math/curves.csv")
    online = [row for row in rows if row["method"].startswith("online")]
    oracle = {r["budget"]: float(r["reward"]) for r in rows if r["method"] == "oracle"}
    assert all(float(row["spend"]) <= float(row["budget"]) for row in online)
    # Allowing for the six digits of the file.
    assert all(float(r["reward"]) <= oracle[r["budget"]] + 1e-5 for r in online)


@pytest.mark.slow
def test_table1_stands_between_average_and_optimum_beside_the_paper(run):
    row, _ = rows_of(run / "embedded/math/table1.csv")
    assert float(row["opt"]) < float(row["avg"])
    names = ("paper_ours", "paper_avg", "paper_opt", "paper_acc")
    assert [float(row[name]) for name in names] == [0.48, 0.69, 0.34, 0.84]
    assert float(row["paper_share"]) == pytest.approx(0.6)  # (.69 - .48) / (.69 - .34)


@pytest.mark.slow
def test_tranches_test_a_fifth_of_the_chat_queries(run):
    assert n_tested(run / "embedded/chat") == 40
    assert n_tested(run / "embedded/tranches") == 8


@pytest.mark.slow
def test_every_figure_and_the_page_are_redrawn_from_the_tables_alone(paper, run):
    folder = run / "embedded"
    drawn = {name: (folder / name).read_bytes() for name in PICTURES}
    page = (folder / "index.html").read_bytes()
    for name in (*PICTURES, "index.html"):
        (folder / name).unlink()
    paper.main(["all", "--redraw", "--output", str(run)])
    assert {name: (folder / name).read_bytes() for name in PICTURES} == drawn
    assert (folder / "index.html").read_bytes() == page


@pytest.mark.slow
def test_the_page_needs_nothing_but_itself(run):
    page = (run / "embedded/index.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/png;base64,') == len(PICTURES)
    assert "http" not in page


@pytest.mark.slow
def test_value_augmented_routing_is_collected_once(paper, tmp_path, monkeypatch):
    from benchmarks.paper import sources
    from benchmarks.quality import value_augmented
    from sklearn_adaalloc.datasets import embedded_model_path

    monkeypatch.setattr(value_augmented, "train_value_model", lambda *_: None)
    real = sources.ValueAugmentedSampler
    asked = []

    def sampler(model, value_model, **options):
        asked.append(value_model)
        return real(model, embedded_model_path("reward"), **options)

    monkeypatch.setattr(sources, "ValueAugmentedSampler", sampler)
    arguments = ["routing-vas", "--limit", "12", "--output", str(tmp_path)]
    paper.main(arguments)
    folder = tmp_path / "embedded"
    first = (folder / "routing-vas/curves.csv").read_bytes()
    paper.main(arguments)  # from the store
    assert (folder / "routing-vas/curves.csv").read_bytes() == first
    assert asked == [str(folder / "collected/vas/value-model")] * 2
    assert (folder / "figure_5.png").exists()


@pytest.mark.slow
def test_full_scale_collects_with_the_models_it_names(
    paper, tmp_path, monkeypatch, capsys
):
    from benchmarks.paper.settings import Full
    from sklearn_adaalloc import datasets

    def fetch_small(*, n_train=24, n_validation=10, n_test=12):
        queries = datasets.load_arithmetic("math").queries_train
        parts = np.split(np.array(queries[:46]), [n_train, n_train + n_validation])
        names = ("queries_train", "queries_validation", "queries_test")
        return dict(zip(names, map(np.ndarray.tolist, parts), strict=True))

    monkeypatch.setattr(datasets, "fetch_small", fetch_small, raising=False)
    weak, strong, reward = (
        datasets.embedded_model_path(name) for name in ("weak", "strong", "reward")
    )
    recipe = Full(
        fetch="fetch_small",
        model=weak,
        strong_model=strong,
        billions=(0.001, 0.001),
        reward=reward,
        max_new_tokens=8,
    )
    setting = replace(paper.SETTINGS["routing-size"], n_samples=2, full=recipe)
    monkeypatch.setitem(paper.SETTINGS, "routing-size", setting)
    paper.main(["routing-size", "--scale", "full", "--output", str(tmp_path)])
    assert "46       184" in capsys.readouterr().out  # 46 queries, 2 samples, 2 models
    assert (tmp_path / "full/collected/routing/rewards.sqlite").exists()
    assert n_tested(tmp_path / "full/routing-size") == 12


def test_full_scale_says_what_it_costs_before_it_starts(paper, capsys, tmp_path):
    with pytest.raises(ValueError, match=r"give --value-model"):
        paper.main(
            ["routing-vas", "--scale", "full", "--output", str(tmp_path / "new")]
        )
    printed = capsys.readouterr().out
    # 8,000 training and 400 test queries, 4 samples of each of two decoders.
    assert "8400     67200" in printed
    assert not (tmp_path / "new").exists()


def test_settings_hold_the_papers_bounds(paper):
    settings = paper.SETTINGS
    assert {name: each.max_budget for name, each in settings.items()} == {
        "code": 100,
        "math": 128,
        "chat": 8,
        "tranches": 8,
        "routing-size": 1,
        "routing-vas": 1,
    }
    assert [name for name, each in settings.items() if each.min_budget == 1] == [
        "chat",
        "tranches",
    ]
