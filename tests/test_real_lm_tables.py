"""The tables on real models: their code on a few problems, and their arithmetic."""

import csv

import numpy as np
import pytest

from benchmarks.real_lm import __main__ as command
from benchmarks.real_lm import first_answer, menu, prediction, savings, votes
from benchmarks.real_lm.experiments import (
    LAYERS,
    load_experiment,
    load_menu,
    rows_tested,
)
from benchmarks.real_lm.outcomes import load_outcomes, save_lora


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class TestExperiments:
    def test_every_problem_of_mbpp_is_tested_once_and_never_learnt_from(
        self, real_data
    ):
        experiment = load_experiment("mbpp", "0.5b", real_data)
        tested = rows_tested(experiment)
        assert sorted(tested) == list(range(len(experiment.texts)))
        assert all(not set(train) & set(test) for train, test in experiment.folds)

    @pytest.mark.parametrize("name", ["humaneval", "gsm8k"])
    def test_others_are_learnt_on_one_set_and_tested_on_the_other(
        self, real_data, name
    ):
        experiment = load_experiment(name, "1.5b", real_data)
        (train, test) = experiment.folds[0]
        last = {"humaneval": "humaneval", "gsm8k": "gsm8k_test"}[name]
        kept = load_outcomes(last, "1.5b")
        n_samples = kept.table.shape[1]
        rewards = experiment.table.rewards[test, :n_samples]
        np.testing.assert_array_equal(rewards, kept.table.rewards)
        np.testing.assert_array_equal(
            experiment.X[test], kept.features[LAYERS["1.5b"], "last"]
        )
        assert train.max() < test.min()
        assert len(experiment.texts) == len(experiment.table) == len(experiment.rows)

    def test_a_menu_has_the_problems_that_both_have_answered(self, real_data):
        tokens = load_menu("gsm8k", real_data)
        weighed = load_menu("gsm8k", real_data, per_parameter=True)
        large = load_experiment("gsm8k", "1.5b", real_data)
        assert len(tokens.table) == len(large.table)
        np.testing.assert_array_equal(tokens.table.rewards[:, 1], large.table.rewards)
        ratio = weighed.table.costs / tokens.table.costs
        np.testing.assert_allclose(np.nanmin(ratio, axis=(0, 2)), [0.49, 1.54])
        np.testing.assert_allclose(np.nanmax(ratio, axis=(0, 2)), [0.49, 1.54])


class TestArithmetic:
    def test_what_half_the_samples_would_reach_saves_half(self):
        # Means over queries of samples, tokens and success.
        equals = np.array([[0, 0, 0], [1, 10, 0.2], [2, 20, 0.3], [4, 40, 0.5]])
        policy = np.array([[0.5, 4, 0.1], [1, 8, 0.3], [2, 30, 0.6]])
        samples, tokens = savings.saved_shares(policy, equals, 2)
        assert samples == pytest.approx(1 - 1 / 2)
        assert tokens == pytest.approx(1 - 8 / 20)

    def test_a_policy_that_never_gets_there_has_no_saving(self):
        values = [(0.5, np.nan)] + [(0.4, np.nan)] * 50 + [(0.6, 0.1)] * 50
        row = savings.with_intervals(("samples", "tokens"), values)
        assert row["samples"] == 0.5
        assert (row["samples_low"], row["samples_high"]) == (0.4, 0.6)
        assert (row["tokens"], row["tokens_low"], row["tokens_high"]) == ("", "", 0.1)

    def test_shares_are_0_for_the_average_and_1_for_the_optimum(self):
        observed = np.array([0.0, 0.25, 1.0, 0.5])
        average = np.full(4, observed.mean())
        for rates, share in ((average, 0.0), (observed, 1.0)):
            losses = prediction.cross_entropies(observed, rates)
            shares = prediction.bootstrapped_shares(observed, losses)
            assert shares[0] == pytest.approx(share, abs=1e-9)

    def test_means_leave_out_what_is_not_known(self):
        losses = np.array([[1.0, np.nan, np.nan], [3.0, 4.0, np.nan]])
        np.testing.assert_array_equal(
            first_answer.mean_where_known(losses), [2.0, 4.0, np.nan]
        )

    def test_money_left_by_first_answers_is_spent_on_the_unsolved(self):
        # Two of four are solved at once; B = 2 leaves two samples for each other one.
        rewards = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        believe = {0: np.full((4, 3), 0.2)}.get
        losses, success = first_answer.play(
            believe, rewards.astype(float), np.arange(4)
        )
        assert np.isnan(losses).tolist() == [True, True, False, False]
        assert success[0].tolist() == [1, 1, 1, 0]
        assert success[1].tolist() == [1, 1, 1, 1]

    def test_rates_of_a_lora_are_those_of_the_tested_problems(
        self, real_data, tmp_path
    ):
        experiment = load_experiment("gsm8k", "0.5b", real_data, limit=3)
        assert prediction.lora_rates(experiment, tmp_path) == {}
        weights = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
        parts = {"single": weights, "average": weights[::-1]}
        kept = {"rates": np.array([0.0, 0.8]), "gsm8k_test": ([2, 0, 1], parts)}
        save_lora("0.5b", kept, folder=tmp_path)
        found = prediction.lora_rates(experiment, tmp_path)
        np.testing.assert_allclose(found["LoRA"], [0.8, 0.4, 0.0])
        np.testing.assert_allclose(found["LoRA, average of 5"], [0.8, 0.0, 0.4])


class TestTables:
    """On a few problems, where a net learns next to nothing."""

    def test_savings(self, real_data):
        experiment = load_experiment("humaneval", "0.5b", real_data, limit=24)
        rows = savings.measure(experiment, n_plays=24)
        assert {row["budget"] for row in rows} == {2, 4, 8}
        assert {row["policy"] for row in rows} == {
            *("up front", "up front, oracle", "stream", "4 rounds", "one by one"),
            *("unlearned, 4 rounds", "unlearned, one by one"),
        }
        for row in rows:
            assert row["gain"] == pytest.approx(row["success"] - row["equal"])
            if row["policy"] != "stream":
                assert row["samples"] <= row["budget"] + 1e-9

    def test_votes(self, real_data):
        rows = list(votes.measure("1.5b", real_data, limit=24, n_draws=1))
        equal = [row for row in rows if row["policy"] == "equal"]
        assert [row["budget"] for row in equal] == [2, 4]  # of 8
        assert all(row["gain"] == 0 for row in equal)
        assert all(row["votes"] <= row["budget"] + 1e-9 for row in rows)

    @pytest.mark.slow
    def test_predictions(self, real_data):
        experiment = load_experiment("mbpp", "0.5b", real_data, limit=24)
        rows = list(prediction.measure(experiment, n_seeds=1))
        features = {row["features"] for row in rows}
        assert {"MiniLM", "TF-IDF", "length", "layer 16, last"} <= features
        assert {row["paper_ours"] for row in rows} == {0.33}

    @pytest.mark.slow
    def test_first_answers(self, real_data):
        experiment = load_experiment("gsm8k", "0.5b", real_data, limit=24)
        rows = first_answer.measure(experiment, n_plays=24)
        beliefs = {row["belief"] for row in rows}
        assert {"verdict", "corrected", "+ both", "+ state, of first"} <= beliefs

    @pytest.mark.slow
    def test_menus(self, real_data):
        rows = menu.measure("humaneval", real_data, 24, n_plays=24)
        assert {row["cost"] for row in rows} == {"tokens", "tokens x parameters"}

    @pytest.mark.slow
    def test_one_command_makes_tables_and_figures(self, real_data, tmp_path, capsys):
        arguments = ["votes", "figures", "--limit", "24", "--output", str(tmp_path)]
        command.main([*arguments, "--data", str(real_data)])
        assert "minutes" in capsys.readouterr().out
        assert {row["model"] for row in rows_of(tmp_path / "votes.csv")} == {
            *("0.5b", "1.5b")
        }
        for number in (3, 5, 6):
            assert (tmp_path / f"paper/figure_{number}.png").exists()
