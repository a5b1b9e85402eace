"""Regressors: fitted to a table, asked, and scored."""

import numpy as np
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from benchmarks.fuzz.outcomes import REFUSED, attempt
from benchmarks.fuzz.strategies import (
    BEYOND,
    BINARY,
    EXTREMES,
    GAPS,
    ODD,
    REAL,
    arrays,
    number,
    odd_arrays,
    queries,
    ragged,
    rarely,
    scalars,
    texts,
)
from benchmarks.fuzz.targets import target
from sklearn_adaalloc import LoRARewardRegressor, MLPRewardRegressor, RewardRegressor

targets = rarely(
    scalars,
    st.sampled_from(
        ["auto", "rate_distribution", "success_rate", "marginal_rewards", "preference"]
    ),
)
largest_budgets = number(st.none() | st.integers(1, 8))
empty_rewards = number(st.sampled_from([0.0, 0.0, -1.0, 0.5, 1e30, -1e300]))
seeds = number(st.integers(0, 3))


@st.composite
def batches(draw, wild=False):
    """Features and a reward table of as many queries, or nearly so."""
    n_queries = draw(st.integers(1, 16))
    n_features, n_samples = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    cells = [*REAL, *EXTREMES, 1e300, -1e300] if wild else REAL
    X = arrays((n_queries, n_features), cells)
    X = draw(rarely(odd_arrays | arrays((n_queries, n_features), ODD), X))
    tables = draw(st.sampled_from([BINARY, BINARY, REAL, GAPS, [*REAL, *BEYOND]]))
    shape = draw(st.sampled_from([(n_samples,), (n_samples,), (), (2, n_samples)]))
    rewards = arrays((n_queries, *shape), tables)
    return X, draw(rarely(odd_arrays | ragged, rewards))


def assert_falling(marginals, n_queries, max_budget):
    """Marginals have their shape, are finite, and never rise."""
    assert marginals.shape == (n_queries, max_budget)
    assert np.isfinite(marginals).all()
    assert (np.diff(marginals, axis=1) <= 0).all()


def use_regressor(regressor, batch, later, max_budget):
    """Fit, and ask all there is to ask."""
    X, rewards = batch
    if attempt(regressor.fit, X, rewards) is REFUSED:
        return
    steps = attempt(regressor.predict_marginals, X)
    assert_falling(steps, len(steps), regressor.n_steps_)
    assert np.isfinite(attempt(regressor.predict, X)).all()
    chosen = attempt(regressor.predict_marginals, X, max_budget)
    if chosen is not REFUSED and max_budget is not None:
        limit = regressor.n_steps_ if regressor.target_ == "marginal_rewards" else None
        assert_falling(chosen, len(steps), max_budget)
        assert limit is None or chosen.shape[1] <= max(limit, max_budget)
    attempt(regressor.predict, later)
    share = attempt(regressor.score, X, rewards)
    assert share is REFUSED or share <= 1 + 1e-6 or np.isnan(share)


@target(
    "regressors.RewardRegressor",
    inputs=5000,
    batch=batches(),
    later=odd_arrays,
    of=targets,
    max_budget=largest_budgets,
    empty_reward=empty_rewards,
    asked=largest_budgets,
)
def reward_regressor(batch, later, of, max_budget, empty_reward, asked):
    options = {"max_budget": max_budget, "empty_reward": empty_reward}
    use_regressor(RewardRegressor(Ridge(), of, **options), batch, later, asked)


@target(
    "regressors.MLPRewardRegressor",
    inputs=400,
    batch=batches(wild=True),
    later=odd_arrays,
    of=targets,
    options=st.fixed_dictionaries(
        {
            "hidden_units": number(st.integers(1, 4)),
            "dropout": number(st.floats(0, 0.9)),
            "n_members": number(st.integers(1, 3)),
            "learning_rate": number(st.floats(1e-5, 1)),
            "weight_decay": number(st.floats(0, 1)),
            "batch_size": number(st.integers(1, 9)),
            "max_epochs": number(st.integers(1, 2)),
            "max_budget": largest_budgets,
            "empty_reward": empty_rewards,
            "device": rarely(scalars, st.just("cpu")),
            "random_state": seeds,
        }
    ),
    asked=largest_budgets,
)
def mlp_reward_regressor(batch, later, of, options, asked):
    use_regressor(MLPRewardRegressor(of, **options), batch, later, asked)


@target(
    "regressors.LoRARewardRegressor",
    inputs=20,
    asked=rarely(queries, st.lists(texts, min_size=2, max_size=3)),
    cells=arrays((3, 2), GAPS),
    options=st.fixed_dictionaries(
        {},
        optional={
            "target": targets,
            "r": number(st.just(1)),
            "alpha": number(st.just(2)),
            "dropout": number(st.just(0.0)),
            "learning_rate": number(st.just(1e-3)),
            "batch_size": number(st.just(2)),
            "validation_fraction": number(st.just(0.4)),
            "max_length": number(st.just(5)),
            "target_modules": scalars,
            "chat_template": scalars,
            "layer": scalars,
            "device": scalars,
        },
    ),
)
def lora_reward_regressor(asked, cells, options):
    common = {"max_epochs": 1, "device": "cpu", "random_state": 0}
    regressor = LoRARewardRegressor(**{**common, **options})
    rewards = cells[: len(asked)] if isinstance(asked, list) else cells
    if attempt(regressor.fit, asked, rewards) is not REFUSED:
        marginals = attempt(regressor.predict_marginals, asked)
        assert_falling(marginals, len(asked), regressor.n_steps_)
