"""Money of a session with several decoders, counted in cost."""

import numpy as np

from sklearn_adaalloc.planning._money import CostMoney

_CAUTION = 3.0  # standard errors of a round's cost that are kept back
_EXACT = 1e-8  # relative variance of costs that are the same for each sample
_OUT_OF_REACH = 1e6  # factor on the cost of a sample that the money left cannot pay
_TRIES = 5  # smaller and smaller plans until one is safe


class MenuMoney(CostMoney):
    """Money counted in cost, where several decoders with their own costs answer.

    A cell is a decoder of a query. Cells are numbered query by query. As long as each
    decoder's samples cost what is predicted, as they did in training, nothing is kept
    back.

    Parameters
    ----------
    budget : float
        Mean cost per query.
    predicted : ndarray of shape (n_queries, n_decoders)
        Predicted cost of a sample.
    spreads : list of n_decoders CostSpread
        How well such predictions agree with costs.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._menu_money import MenuMoney
    >>> from sklearn_adaalloc.planning._money import CostSpread
    >>> spreads = [CostSpread(0.0, 2, 0.0, 2, cost) for cost in (1.0, 5.0)]
    >>> money = MenuMoney(3.0, np.array([[1.0, 5.0]] * 4), spreads)
    >>> money.left, money.predicted
    (12.0, array([1., 5., 1., 5., 1., 5., 1., 5.]))
    """

    def __init__(self, budget, predicted, spreads):
        super().__init__(budget, predicted.ravel(), _Spreads(spreads))
        self.left = float(budget * len(predicted))
        self._n_decoders = predicted.shape[1]
        self._exact = bool(self._variances.max() < _EXACT)

    @property
    def predicted(self):
        """Expected cost of the next sample of each cell (n_cells,)."""
        return self._prior if self._exact else super().predicted

    def pay(self, paid, n_samples):
        """Count the cost of a round."""
        super().pay(paid, n_samples)
        as_predicted = np.allclose(paid, n_samples * self._prior, rtol=_EXACT**0.5)
        self._exact = self._exact and as_predicted

    def _place(self, row):
        query, decoder = divmod(int(row), self._n_decoders)
        return f"for decoder {decoder} of query {query}"

    def plan(self, belief, n_rounds, min_budget):
        """Plan a round that the money left pays for with near certainty."""
        if self._exact:
            return belief.plan(self.left, n_rounds, min_budget, self._prior)
        means, variance_of, shared_variance = self._estimate()
        if n_rounds == 1 and not self._n_samples.any():
            shared_variance = 0.0  # predictions are all that such a session has
        # The last round spends what the others keep back.
        n_rounds = n_rounds if n_rounds is None else max(n_rounds - 1, 1)
        alone = means + _CAUTION * np.sqrt(variance_of(1))
        means = np.where(alone > self.left, _OUT_OF_REACH * means, means)
        money = self.left
        for _ in range(_TRIES):
            counts = belief.plan(money, n_rounds, min_budget, means)
            cost = means @ counts
            variance = variance_of(counts).sum() + shared_variance * cost**2
            most = cost + _CAUTION * np.sqrt(variance)
            if most <= self.left:
                return counts
            money = 0.99 * min(money, cost) * self.left / most
        return np.zeros_like(counts)


class _Spreads:
    """Spreads of several decoders, for costs of cells."""

    def __init__(self, spreads):
        self._spreads = spreads

    def relative(self, predicted):
        columns = predicted.reshape(-1, len(self._spreads)).T
        variances = [
            spread.relative(column)
            for spread, column in zip(self._spreads, columns, strict=True)
        ]
        return np.stack(variances, axis=-1).reshape(2, -1)
