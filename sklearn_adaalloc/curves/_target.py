"""Targets: what a regressor predicts, and how this becomes marginal rewards.

A target has ten small methods on arrays. Regressors use nothing else of it:

===================  ==========================================================
``learn``            reward table -> what predictions refer to, kept by the target
``count_steps``      reward table -> default number of steps of marginal rewards
``labels``           reward table -> labels of the training loss
``values``           reward table -> labels of a plain least-squares regressor
``initial_outputs``  labels -> outputs of the average predictor
``decode``           raw outputs of a net -> prediction
``repair_values``    outputs of a plain regressor -> prediction
``native``           prediction -> result of ``predict``
``observed``         reward table -> values that ``predict`` should return
``marginals``        prediction -> marginal rewards (n_queries, max_budget)
===================  ==========================================================

A prediction is an array (n_queries, n_outputs). Predictions of several nets can be
averaged. A new target is a subclass of `Target`. Regressors accept it as ``target=``.
"""

from abc import ABC, abstractmethod

import numpy as np
from scipy.special import softmax


class Target(ABC):
    """Base class of targets: what a regressor predicts about a query.

    A target must implement `values` and `marginals`. The defaults of the other methods
    suit real numbers that are learnt by squared error.

    Parameters
    ----------
    empty_reward : float, default=0.0
        Reward of a query that gets no sample.
    max_budget : int, default=None
        Number of steps of the predicted curves. None means the number of samples in
        the table.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples of a query.

    Attributes
    ----------
    name : str
        Value of `target_` of a fitted regressor.
    loss : {"squared_error", "cross_entropy", "mixture_likelihood"}
        Loss that training minimises.
    score_loss : {"squared_error", "cross_entropy"}
        Loss by which `score` compares `native` predictions with `observed` values.
    binary : bool
        Whether rewards must be 0 or 1.
    takes_table : bool
        Whether `values`, `labels` and `observed` get a
        :class:`~sklearn_adaalloc.RewardTable`, with all that is known of samples, and
        not its rewards alone.
    routing : bool
        Whether the target needs a table with a decoder axis. If False, it needs a table
        without one.
    rates : ndarray or None
        Grid of success rates, if the target predicts a distribution over them.
    profiles : ndarray of shape (n_profiles, n_decoders) or None
        Rate profiles, if the target predicts weights of them. `learn` sets them.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves import Target, concave_repair
    >>> class BestOfTwo(Target):
    ...     def values(self, rewards):
    ...         return rewards[:, :2].max(axis=1, keepdims=True)
    ...     def marginals(self, prediction, max_budget, min_budget=0):
    ...         return np.repeat(prediction / max_budget, max_budget, axis=1)
    >>> BestOfTwo().native(BestOfTwo().values(np.array([[0.0, 3.0]])))
    array([3.])
    """

    name = None
    loss = "squared_error"
    score_loss = "squared_error"
    binary = False
    routing = False
    takes_table = False
    rates = None
    profiles = None
    selection = "reward"  # default for targets that were pickled by earlier versions

    def __init__(self, *, empty_reward=0.0, max_budget=None, selection="reward"):
        self.empty_reward = empty_reward
        self.max_budget = max_budget
        self.selection = selection

    def learn(self, rewards):
        """Learn what predictions refer to. By default, there is nothing to learn.

        Parameters
        ----------
        rewards : ndarray of shape (n_queries, n_samples)
            Checked reward table.
        """
        self.profiles = None

    def count_steps(self, rewards):
        """Default number of steps of marginal rewards.

        Parameters
        ----------
        rewards : ndarray of shape (n_queries, n_samples)
            Checked reward table.

        Returns
        -------
        n_steps : int
            `max_budget`, or else the number of samples in the table.
        """
        return self.max_budget or rewards.shape[-1]

    @abstractmethod
    def values(self, rewards):
        """Compute what a plain least-squares regressor is fitted to.

        Parameters
        ----------
        rewards : ndarray of shape (n_queries, n_samples)
            Checked reward table.

        Returns
        -------
        values : ndarray of shape (n_queries, n_outputs)
        """

    @abstractmethod
    def marginals(self, prediction, max_budget, min_budget=0):
        """Compute the marginal rewards that follow from a prediction.

        Parameters
        ----------
        prediction : ndarray of shape (n_queries, n_outputs)
            What `decode` or `repair_values` returned.
        max_budget : int
            Number of steps.
        min_budget : int, default=0
            Number of mandatory first steps. After them, rows must be non-increasing.

        Returns
        -------
        marginals : ndarray of shape (n_queries, max_budget)
        """

    def labels(self, rewards):
        """Compute the labels of the training loss: standardised values.

        Parameters
        ----------
        rewards : ndarray of shape (n_queries, n_samples)
            Checked reward table.

        Returns
        -------
        labels : ndarray of shape (n_queries, n_outputs)
            Values minus their means, divided by their common standard deviation.
        """
        values = self.values(rewards)
        self.center_ = values.mean(axis=0)
        self.scale_ = np.sqrt(values.var(axis=0).mean()) or 1.0
        return (values - self.center_) / self.scale_

    def initial_outputs(self, labels):
        """Compute the outputs of the average predictor, from which training starts.

        Parameters
        ----------
        labels : ndarray of shape (n_queries, n_outputs)
            What `labels` returned.

        Returns
        -------
        outputs : ndarray of shape (n_outputs,)
        """
        return labels.mean(axis=0)

    def decode(self, outputs):
        """Turn raw outputs of a net into a prediction.

        Parameters
        ----------
        outputs : ndarray of shape (n_queries, n_outputs)
            What the net returned.

        Returns
        -------
        prediction : ndarray of shape (n_queries, n_outputs)
        """
        return outputs * self.scale_ + self.center_

    def repair_values(self, values):
        """Turn the output of a plain regressor into a prediction.

        Parameters
        ----------
        values : ndarray of shape (n_queries, n_outputs)
            What the regressor returned. Any real numbers are possible.

        Returns
        -------
        prediction : ndarray of shape (n_queries, n_outputs)
            By default unchanged.
        """
        return values

    def native(self, prediction):
        """Turn a prediction into the result of `predict`.

        Parameters
        ----------
        prediction : ndarray of shape (n_queries, n_outputs)
            What `decode` or `repair_values` returned.

        Returns
        -------
        native : ndarray of shape (n_queries,) or (n_queries, n_values)
            By default the prediction. If it has one column, one number per query.
        """
        return prediction[:, 0] if prediction.shape[1] == 1 else prediction

    def observed(self, rewards, native):
        """Compute the observed values that `score` compares with `native`.

        Parameters
        ----------
        rewards : ndarray of shape (n_queries, n_samples)
            Checked reward table.
        native : ndarray of shape (n_queries,) or (n_queries, n_values)
            What `predict` returned.

        Returns
        -------
        observed : ndarray of the shape of `native`
        """
        return self.native(self.values(rewards))


class MixtureTarget(Target):
    """Base class of targets that predict weights of a mixture of success rates.

    Weights are learnt by the likelihood of the mixture.
    """

    loss = "mixture_likelihood"
    score_loss = "cross_entropy"
    binary = True

    def decode(self, outputs):
        """Logits -> weights."""
        return softmax(outputs, axis=-1)

    def repair_values(self, values):
        """Set negative weights to 0 and rescale, so that weights sum to 1."""
        weights = np.maximum(values, 0)
        total = weights.sum(axis=1, keepdims=True)
        even = np.full_like(weights, 1 / weights.shape[1])
        return np.divide(weights, total, out=even, where=total > 0)
