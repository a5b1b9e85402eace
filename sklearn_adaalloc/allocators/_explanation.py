"""Why each query gets its budget: a frame with one row per query, or per decoder.

The functions are pure and expect checked arrays.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from sklearn_adaalloc._utils.optional import import_optional

LOW, HIGH = 0.1, 0.9  # quantiles: the range in between holds 80 %
_NOTHING = 1e-9  # a marginal reward that is rounding alone
_NO_RANGE = " There is no range: the regressor predicts no distribution."


class Decision(NamedTuple):
    """Budgets of queries, and what they were decided by.

    If decoders have budgets of their own, each decoder of a query is a row, and
    n_queries stands for the number of rows. Rows of a query follow each other.

    Parameters
    ----------
    budgets : ndarray of shape (n_queries,)
        Samples of each query; in routing 0 = weak, 1 = strong.
    expected, low, high : ndarrays of shape (n_queries,)
        Predicted reward at these budgets and its 80 % range; NaN where not known.
    values : ndarray of shape (n_queries, max_budget)
        Marginal rewards that the allocator goes by; NaN beyond the largest budget of a
        row.
    offered : ndarray of shape (n_queries, max_budget)
        The same per cost, which it compares with the price.
    costs : ndarray of shape (n_queries, max_budget) or None
        Predicted costs of the samples. None if each costs 1.
    price : float
        Marginal reward per cost at which the budget is spent; NaN for a rule without.
    tie : float
        Relative difference up to which a value counts as the price.
    min_budget : int or ndarray of shape (n_queries,)
        Number of mandatory samples.
    routing : bool
        Whether budgets stand for decoders.
    decoders : sequence of n_decoders str or int
        Names or numbers of decoders that have budgets of their own.
    reward : str
        What samples raise.
    rule : str
        How a rule without a price decides; "" for others.
    plan, among : str
        What is special of the plan, and of the values; "" for nothing.
    rest : str
        How a sample that is not worth the price was bought.
    """

    budgets: np.ndarray
    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray
    values: np.ndarray
    offered: np.ndarray
    costs: np.ndarray | None = None
    price: float = np.nan
    tie: float = 1e-9
    min_budget: int | np.ndarray = 0
    routing: bool = False
    decoders: Sequence = ()
    reward: str = "the expected reward"
    rule: str = ""
    plan: str = ""
    among: str = ""
    rest: str = "but a coin gave it some of the rest of the budget"


def explanation_frame(decision, *, bounds=(-np.inf, np.inf)):
    """Explain budgets in numbers and words.

    Parameters
    ----------
    decision : Decision
    bounds : tuple of two float, default=(-inf, inf)
        Lowest and highest reward of a sample. What is predicted of queries with a
        sample is shown within them: linear regressors predict any number.

    Returns
    -------
    frame : DataFrame
        See :meth:`~sklearn_adaalloc.AdaptiveAllocator.explain`.
    """
    pandas = import_optional("pandas", extra="plot")
    budgets = decision.budgets
    rows = np.arange(len(budgets))
    costs = decision.costs
    costs = np.ones_like(decision.values) if costs is None else costs
    columns = {}
    if decision.decoders:
        columns["query"] = rows // len(decision.decoders)
        columns["decoder"] = [_decoder(decision, row) for row in rows]
    columns["budget"] = budgets
    if decision.routing:
        columns["decoder"] = np.array(["weak", "strong"], dtype=object)[budgets]
    predicted = {
        name: np.where(_has_sample(decision), np.clip(each, *bounds), each)
        for name, each in (
            ("expected_reward", decision.expected),
            ("low", decision.low),
            ("high", decision.high),
        )
    }
    columns |= predicted
    columns |= {
        "next_value": _column_after(decision.values)[rows, budgets],
        "cost": _sums(costs)[rows, budgets],
        "price": np.full(len(budgets), decision.price),
        "why": [_sentence(decision, row) for row in rows],
    }
    return pandas.DataFrame(columns)


def expected_at(marginals, budgets, *, empty_reward=0.0):
    """Predicted reward at each query's budget.

    Parameters
    ----------
    marginals : ndarray of shape (n_queries, max_budget)
        Predicted marginal rewards.
    budgets : ndarray of shape (n_queries,)
        Samples of each query.
    empty_reward : float, default=0.0
        Reward of a query without a sample.

    Returns
    -------
    expected : ndarray of shape (n_queries,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._explanation import expected_at
    >>> expected_at(np.array([[0.5, 0.25], [0.5, 0.25]]), np.array([2, 0]))
    array([0.75, 0.  ])
    """
    return empty_reward + _sums(marginals)[np.arange(len(budgets)), budgets]


def success_range(weights, rates, budgets):
    """80 % range of the success chance at each query's budget, 1 − (1 − λ)^b.

    Parameters
    ----------
    weights : ndarray of shape (n_queries, n_rates)
        Predicted distribution over success rates.
    rates : ndarray of shape (n_rates,)
        Success rates, ascending.
    budgets : ndarray of shape (n_queries,)
        Samples of each query.

    Returns
    -------
    low, high : ndarrays of shape (n_queries,)
        The chances at the 10th and 90th percentile of the success rate.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._explanation import success_range
    >>> low, high = success_range(np.full((1, 3), 1 / 3), np.array([0, 0.5, 1]), [2])
    >>> low, high
    (array([0.]), array([1.]))
    """
    return weighted_range(weights, 1 - (1 - rates) ** np.reshape(budgets, (-1, 1)))


def weighted_range(weights, values):
    """80 % range of each query's value under a predicted distribution.

    Parameters
    ----------
    weights : ndarray of shape (n_queries, n_values)
        Predicted distribution over the values.
    values : ndarray of shape (n_queries, n_values)
        Values, in any order.

    Returns
    -------
    low, high : ndarrays of shape (n_queries,)
        10th and 90th percentile.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._explanation import weighted_range
    >>> weighted_range(np.array([[0.3, 0.05, 0.65]]), np.array([[0.5, 0.9, 0.2]]))
    (array([0.2]), array([0.5]))
    """
    order = np.argsort(values, axis=1, kind="stable")
    values = np.take_along_axis(values, order, axis=1)
    below = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
    places = [(below < quantile).sum(axis=1) for quantile in (LOW, HIGH)]
    rows, last = np.arange(len(values)), values.shape[1] - 1
    low, high = (values[rows, np.minimum(place, last)] for place in places)
    return low, high


def reward_range(means, deviations, budgets):
    """80 % range of the best of b normal rewards at each query's budget.

    Parameters
    ----------
    means, deviations : ndarrays of shape (n_queries,)
        Mean and standard deviation of each query's rewards.
    budgets : ndarray of shape (n_queries,)
        Samples of each query, at least 1.

    Returns
    -------
    low, high : ndarrays of shape (n_queries,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._explanation import reward_range
    >>> low, high = reward_range(np.zeros(1), np.ones(1), np.array([1]))
    >>> low.round(2), high.round(2)
    (array([-1.28]), array([1.28]))
    """
    low, high = (ndtri(quantile ** (1 / budgets)) for quantile in (LOW, HIGH))
    return means + deviations * low, means + deviations * high


def price_paid(values, budgets, *, min_budget=0):
    """Value of the last sample that a budget bought.

    Parameters
    ----------
    values : ndarray of shape (n_queries, max_budget)
        Marginal rewards, per cost if samples differ in cost.
    budgets : ndarray of shape (n_queries,)
        Samples of each query.
    min_budget : int, default=0
        Number of mandatory samples of every query, which have no price.

    Returns
    -------
    price : float
        Smallest value that was bought. If none was, the largest that could have been.
        0.0 if no sample is left that adds something.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._explanation import price_paid
    >>> price_paid(np.array([[0.5, 0.25], [0.9, 0.09]]), np.array([2, 1]))
    0.25
    """
    steps = np.arange(values.shape[1])
    bought = (steps >= min_budget) & (steps < budgets[:, None])
    left = values[steps >= budgets[:, None]].max(initial=0.0)
    if left <= 0:
        return 0.0
    return float(values[bought].min() if bought.any() else left)


def _has_sample(decision):
    """Whether the query of each row gets a sample; in routing, all do."""
    n_decoders = max(len(decision.decoders), 1)
    any_sample = decision.budgets.reshape(-1, n_decoders).any(axis=1)
    return np.repeat(any_sample, n_decoders) | decision.routing


def _sums(steps):
    """Sums of the first b columns, for b = 0..max_budget."""
    sums = np.zeros((len(steps), steps.shape[1] + 1))
    np.cumsum(steps, axis=1, out=sums[:, 1:])
    return sums


def _column_after(values):
    """Values with a column of NaN after them: there is none beyond max_budget."""
    return np.pad(
        np.asarray(values, dtype=float), ((0, 0), (0, 1)), constant_values=np.nan
    )


def _sentence(decision, row):
    """Why a query gets its budget."""
    budget, most = decision.budgets[row], _most(decision, row)
    if decision.decoders and most == 0:
        return f"{_subject(decision, row)} is not available."
    if decision.routing:
        opening = f"Goes to the {['weak', 'strong'][budget]} decoder"
    else:
        count = {0: "no sample", 1: "1 sample"}.get(budget, f"{budget} samples")
        gets = f"{_subject(decision, row)} gets" if decision.decoders else "Gets"
        opening = f"{gets} {count}{decision.plan}"
    if decision.rule:
        return f"{opening}, {decision.rule}."
    if decision.routing:
        return f"{opening}: {_routing(decision, row)}."
    if budget and budget == most:
        opening += ", which is max_budget"
    elif budget and budget == _least(decision, row):
        opening += ", which is min_budget"
    no_range = _NO_RANGE if np.isnan(decision.low[row]) else ""
    return f"{opening}: {_samples(decision, row)}.{no_range}"


def _decoder(decision, row):
    return decision.decoders[row % len(decision.decoders)]


def _subject(decision, row):
    """Name of a decoder, to begin a sentence."""
    decoder = _decoder(decision, row)
    return decoder if isinstance(decoder, str) else f"Decoder {decoder}"


def _least(decision, row):
    """Number of mandatory samples of a row."""
    return np.broadcast_to(decision.min_budget, decision.budgets.shape)[row]


def _most(decision, row):
    """Largest budget of a row."""
    return np.count_nonzero(~np.isnan(decision.values[row]))


def _routing(decision, row):
    """Why a query goes to the weak or to the strong decoder."""
    if decision.min_budget:
        return "min_budget leaves no choice"
    if decision.budgets[row]:
        return f"that adds {_amount(decision, row, 0)}, {_why_bought(decision, row, 0)}"
    if decision.values[row, 0] <= _NOTHING:
        return "the strong one is not expected to be better"
    amount = _amount(decision, row, 0)
    return f"the strong one would add {amount}, {_why_not(decision, row, 0)}"


def _samples(decision, row):
    """Why a query gets its number of samples."""
    budget, min_budget = decision.budgets[row], _least(decision, row)
    max_budget = _most(decision, row)
    if min_budget == max_budget:
        return "min_budget leaves no choice"
    forced = budget == min_budget
    clauses = []
    if not forced:
        clauses.append(
            f"sample {budget} raises {decision.reward} by "
            f"{_amount(decision, row, budget - 1)}, "
            f"{_why_bought(decision, row, budget - 1)}"
        )
    if budget < max_budget:
        clauses.append(f"sample {budget + 1} {_further(decision, row, forced)}")
    return decision.among + "; ".join(clauses)


def _further(decision, row, first_clause):
    """What one more sample would do; shorter after a clause that names the price."""
    step = decision.budgets[row]
    value, amount = decision.values[row, step], _amount(decision, row, step)
    if abs(value) <= _NOTHING:
        return "is not expected to add anything"
    reward = decision.reward if first_clause else "it"
    if value < 0:
        return f"would lower {reward} by {_number(-value)}"
    if first_clause or not _is_cheap(decision, row, step):
        return f"would raise {reward} by {amount}, {_why_not(decision, row, step)}"
    return f"would add only {amount}"


def _why_bought(decision, row, step):
    price = decision.price
    if price == 0:
        return "and the budget pays for all that adds something"
    if _is_cheap(decision, row, step):
        return f"less than the price of {_number(price)}, {decision.rest}"
    return f"which is worth the price of {_number(price)}"


def _why_not(decision, row, step):
    if _is_cheap(decision, row, step) and np.isfinite(decision.price):
        return f"less than the price of {_number(decision.price)}"
    return "but the budget is spent"


def _is_cheap(decision, row, step):
    """Whether a sample adds less per cost than the price."""
    return decision.offered[row, step] < decision.price * (1 - decision.tie)


def _amount(decision, row, step):
    amount = _number(decision.values[row, step])
    if decision.costs is None:
        return amount
    return f"{amount} ({_number(decision.offered[row, step])} per unit of cost)"


def _number(value):
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
