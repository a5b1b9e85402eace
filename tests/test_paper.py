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


def test_settings_hold_the_papers_predictors(paper):
    # Section 4: code and chat on hidden states, math by LoRA, routing by either.
    settings = paper.SETTINGS
    assert {name: each.predictor for name, each in settings.items()} == {
        "code": "mlp",
        "math": "lora",
        "chat": "mlp",
        "tranches": "mlp",
        "routing-size": "lora",
        "routing-vas": "lora",
    }


def test_another_predictor_takes_the_place_of_the_papers(paper, monkeypatch):
    asked = []
    monkeypatch.setattr(paper.sources, "embedded", lambda setting, *_: setting)
    monkeypatch.setattr(
        paper, "predict", lambda setting, *_: asked.append(setting.predictor)
    )
    for arguments in (["math"], ["math", "--predictor", "mlp"]):
        options = paper.parse(arguments)
        assert len(list(paper.experiments(options, Path("nowhere")))) == 1
    assert asked == ["lora", "mlp"]


def test_a_setting_read_by_lora_costs_passes_over_its_queries(paper):
    from benchmarks.paper.estimate import estimate

    hours = {
        predictor: estimate(replace(paper.SETTINGS["math"], predictor=predictor), 10)[2]
        for predictor in ("mlp", "lora")
    }
    assert hours["lora"]["predictor"] == pytest.approx(31 * hours["mlp"]["predictor"])
    assert hours["lora"]["sampling"] == hours["mlp"]["sampling"]


@pytest.fixture(scope="module")
def vas_predictors(paper):
    """The comparison of predictors for value-augmented sampling."""
    from benchmarks.paper import vas_predictors

    return vas_predictors


def test_the_share_that_is_not_noise(vas_predictors):
    rng = np.random.default_rng(0)
    gaps = rng.normal(size=4000)
    sure = np.stack([np.zeros((4000, 4)), np.repeat(gaps[:, None], 4, axis=1)], axis=1)
    noise = rng.normal(size=(4000, 2, 4))
    shares = [vas_predictors.signal_share(table) for table in (sure, noise)]
    assert shares[0] == pytest.approx(1)
    assert shares[1] == pytest.approx(0, abs=0.05)
    assert 0.2 < vas_predictors.signal_share(sure + noise) < 0.9


def test_scores_of_a_predictor_that_knows_and_of_one_that_does_not(vas_predictors):
    rng = np.random.default_rng(0)
    gaps = rng.permutation(np.linspace(-1, 1, 400))
    rewards = np.stack([np.zeros((400, 4)), np.repeat(gaps[:, None], 4, axis=1)], 1)
    known = vas_predictors.scores(rewards, 1 / (1 + np.exp(-gaps)))
    assert known["share"] == pytest.approx(1)
    assert known["gain"] == pytest.approx(known["oracle_gain"])
    # The half with the larger gaps: the mean of [0, 1] for half the queries.
    assert known["gain"] == pytest.approx(0.25, abs=0.01)
    blind = vas_predictors.scores(rewards, np.full(400, 0.5))
    assert blind["share"] == pytest.approx(0, abs=0.01)
    assert blind["gain_low"] < 0 < blind["gain_high"]


def test_training_stops_where_the_held_out_loss_is_least(vas_predictors):
    for name in ("held_out_loss", "out_of_fold_loss"):
        losses = [0.7, 0.5, 0.6]
        regressor = type("Regressor", (), {"history_": [{name: x} for x in losses]})
        assert vas_predictors.stopped(regressor) == {
            "n_epochs": 2,
            "held_out_loss": 0.5,
        }


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
