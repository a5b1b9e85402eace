"""Several samplers fill one table, and a store hands it out with prices."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_adaalloc import collect_rewards
from sklearn_adaalloc.collect import RewardStore
from sklearn_adaalloc.sampling import TokenUsage

QUERIES = ["a", "bb", "a"]


class Lengths:
    """Sampler whose answers have a length of their own; prompts have 10 tokens."""

    def __init__(self, name, n_tokens, failing=()):
        self.settings = {"sampler": "Lengths", "name": name}
        self.n_tokens, self.failing, self.n_asked = n_tokens, failing, 0

    def sample(self, prompts, budgets, *, first_sample, return_usage):
        self.n_asked += sum(budgets)
        answers = [
            [None if p in self.failing else "x" * (first + j) for j in range(n)]
            for p, n, first in zip(prompts, budgets, first_sample, strict=True)
        ]
        tokens = [np.full(n, float(self.n_tokens)) for n in budgets]
        return answers, TokenUsage(np.full(len(prompts), 10.0), tokens)


def odd(queries, answers):
    return [[float(len(text) % 2) for text in row] for row in answers]


def silent(prompts, budgets):
    return [["x"] * n for n in budgets]


@pytest.fixture
def samplers():
    return {"cheap": Lengths("small", 2), "dear": Lengths("large", 7)}


def collect(samplers, store, n_samples=3, **options):
    options = {"progress": False} | options
    return collect_rewards(QUERIES, samplers, odd, n_samples, store=store, **options)


@pytest.mark.parametrize("as_list", [False, True])
def test_one_table_with_an_axis_of_decoders(samplers, store, as_list):
    given = list(samplers.values()) if as_list else samplers
    rewards = collect(given, store)
    assert_array_equal(rewards, np.tile([0.0, 1, 0], (3, 2, 1)))
    assert [each.n_asked for each in samplers.values()] == [6, 6]
    collect(given, store)  # nothing is asked for twice
    assert [each.n_asked for each in samplers.values()] == [6, 6]


@pytest.mark.parametrize("n_samples", [{"dear": 1, "cheap": 3}, [3, 1]])
def test_numbers_of_samples_may_differ(samplers, store, n_samples):
    rewards = collect(samplers, store, n_samples)
    assert_array_equal(rewards[1], [[0, 1, 0], [0, np.nan, np.nan]])


def test_each_decoder_is_a_table_of_its_own_in_the_store(samplers, store):
    collect(samplers, store)
    collect(samplers["cheap"], store, 4)
    assert samplers["cheap"].n_asked == 8  # one more of two queries
    with RewardStore(store) as file:
        _, rewards = file.to_arrays(settings=samplers["dear"].settings)
    assert_array_equal(rewards, [[0, 1, 0]] * 2)


def test_one_bar_counts_the_samples_of_all(samplers, store, capsys):
    collect(samplers["cheap"], store)
    capsys.readouterr()
    collect(samplers, store, progress=True)
    bar = capsys.readouterr().err
    assert "6/12" in bar
    assert "12/12" in bar.splitlines()[-1].rpartition("\r")[2]


def test_a_decoder_that_fails_is_missing(samplers, store):
    samplers["dear"] = Lengths("large", 7, failing=["bb"])
    with pytest.warns(UserWarning, match="3 samples failed for good"):
        rewards = collect(samplers, store)
    assert_array_equal(
        np.isnan(rewards).any(axis=2),
        [[False, False], [False, True], [False, False]],
    )
    with RewardStore(store) as file:
        queries, table = file.to_table(decoders=samplers)
    assert queries == ["a", "bb"]
    assert_array_equal(table.rewards, rewards[:2])


class TestToTable:
    def test_names_tokens_and_order(self, samplers, store):
        collect(samplers, store)
        with RewardStore(store) as file:
            queries, table = file.to_table(decoders=samplers)
            turned = file.to_table(
                decoders={name: samplers[name].settings for name in ("dear", "cheap")}
            )[1]
        assert queries == ["a", "bb"]
        assert table.decoders == ["cheap", "dear"]
        assert_array_equal(table.costs, np.tile([[[2.0], [7.0]]], (2, 1, 3)))
        assert turned.decoders == ["dear", "cheap"]
        assert_array_equal(turned.costs, table.costs[:, ::-1])

    def test_prices_of_tokens_and_of_answers(self, samplers, store):
        collect(samplers, store)
        prices = {"cheap": (0.5, 2.0), "dear": 30.0}
        with RewardStore(store) as file:
            _, table = file.to_table(decoders=samplers, prices=prices)
            _, cheap = file.to_table(
                settings=samplers["cheap"].settings, prices=(0.5, 2.0)
            )
        # Each sample is charged the prompt that it shared with others.
        assert_array_equal(table.costs[0], [[9, 9, 9], [30, 30, 30]])
        assert_array_equal(cheap.costs, table.costs[:, 0])

    def test_without_tokens(self, samplers, store):
        samplers["dear"] = silent
        collect(samplers, store)
        with RewardStore(store) as file:
            assert file.to_table(decoders=samplers)[1].costs is None
            with pytest.raises(
                ValueError, match=r"not known of 6 samples of decoder 'dear'"
            ):
                file.to_table(decoders=samplers, prices=[(0, 1), (0, 5)])
            _, table = file.to_table(decoders=samplers, prices=[(0, 1), 5])
        assert_array_equal(table.costs[0], [[2, 2, 2], [5, 5, 5]])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"decoders": []}, r"decoders=\[\] is not accepted"),
            ({"decoders": {"a": {}}, "settings": {}}, "exclude each other"),
            ({"decoders": {"a": {"b": 1}}}, r"settings \{'b': 1\} are not among"),
            ({"settings": {"b": 1}, "prices": -1}, r"prices=-1 is not accepted"),
        ],
    )
    def test_bad_input(self, samplers, store, options, message):
        collect(samplers, store)
        with RewardStore(store) as file, pytest.raises(ValueError, match=message):
            file.to_table(**options)

    def test_prices_of_other_decoders(self, samplers, store):
        collect(samplers, store)
        with (
            RewardStore(store) as file,
            pytest.raises(ValueError, match=r"prices are those of \['cheap'\]"),
        ):
            file.to_table(decoders=samplers, prices={"cheap": 1.0})

    def test_a_decoder_without_a_reward(self, samplers, store):
        collect(samplers, store)
        never = Lengths("large", 7)
        never.settings = {"sampler": "other"}
        with RewardStore(store) as file:
            file.settings_id("sampler", never.settings)
            with pytest.raises(
                ValueError, match=r"no reward by these settings, \{'sam"
            ):
                file.to_table(decoders=samplers | {"dear": never})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_samples": [3]}, r"n_samples=\[3\] does not fit the decoders \['cheap'"),
        ({"n_samples": {"cheap": 3}}, r"n_samples=\{'cheap': 3\} does not fit"),
        ({"n_samples": [3, 0]}, r"n_samples=0"),
        ({"settings": {"cheap": {}}}, r"settings=\{'cheap': \{\}\} does not fit"),
        ({"settings": [{}, {}]}, r"'cheap' and 'dear' have equal settings, \{\}"),
    ],
)
def test_bad_input(samplers, store, options, message):
    with pytest.raises(ValueError, match=message):
        collect(samplers, store, **options)
    assert not store.exists()


@pytest.mark.parametrize("samplers", [{}, []])
def test_no_decoder(store, samplers):
    with pytest.raises(ValueError, match=r"has no decoder"):
        collect(samplers, store)
