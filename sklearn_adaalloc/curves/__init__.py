"""From reward tables to curves: rates, marginal rewards, targets, rules of selection.

The functions are pure and expect checked arrays. `Selection` and `Target` are the base
classes of extensions.
"""

from sklearn_adaalloc.curves._best_of import best_of_weights
from sklearn_adaalloc.curves._decoders import preferences
from sklearn_adaalloc.curves._rates import (
    mixture_marginals,
    rate_marginals,
    success_rates,
)
from sklearn_adaalloc.curves._repair import concave_repair
from sklearn_adaalloc.curves._reward_curves import (
    expected_rewards,
    extended_marginals,
    marginal_rewards,
    reward_curves,
)
from sklearn_adaalloc.curves._selection import MostVotes, Selection
from sklearn_adaalloc.curves._table import RewardTable
from sklearn_adaalloc.curves._target import Target

__all__ = [
    "MostVotes",
    "RewardTable",
    "Selection",
    "Target",
    "best_of_weights",
    "concave_repair",
    "expected_rewards",
    "extended_marginals",
    "marginal_rewards",
    "mixture_marginals",
    "preferences",
    "rate_marginals",
    "reward_curves",
    "success_rates",
]
