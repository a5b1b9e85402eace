r"""Correction of predictions for 0/1 rewards that a stream learns from its verdicts.

The correction is that of :func:`~sklearn_adaalloc.planning._success.fit_correction`: a
predicted cumulative hazard H becomes :math:`\theta H^\gamma`. A stream cannot keep all
its verdicts. Therefore the log likelihood of what each closed query showed is replaced
by a quadratic function of :math:`(\log \theta, \log \gamma)`, around the correction in
use. Five numbers hold the sum of all these functions (an information filter). At each
closed query, the sum loses a share, so that old verdicts are forgotten.

While nothing changes, a correction is noise, and costs success: .001 on the mean of 8
cells of the MATH sets. Therefore it applies only as far as its evidence exceeds what
noise alone would give (positive-part shrinkage, as of James and Stein). That costs
nothing there, and keeps nearly all that a correction gains after another model was
swapped in.

All functions are pure.
"""

import math

from sklearn_adaalloc.planning._success import _LEAST_STEP, _SPREADS

NOTHING_LEARNT = (0.0, 0.0, 0.0, 0.0, 0.0)
_CHANCE = 9.2  # evidence that noise alone exceeds in 1 % of cases: chi2, two degrees
_PRIOR = tuple((_SPREADS**-2.0).tolist())
_LARGEST = 40.0  # of a hazard: a success after it says nothing more
_SCALES, _SHAPES = 4.0, 2.0  # largest logarithms of θ and γ, up or down


def learn_correction(learnt, before, after, *, forgetting):
    """Add what closed queries showed to what a stream has learnt.

    Parameters
    ----------
    learnt : sequence of five float
        Second derivatives (of log θ, mixed, of log γ) and first ones (log θ, log γ, at
        no correction) of the log likelihood, with their signs changed so that
        they are precisions and their pull. :data:`NOTHING_LEARNT` at first.
    before, after : sequence of float
        As of :func:`~sklearn_adaalloc.planning._success.fit_correction`, one per query.
    forgetting : float
        Share that is forgotten at each query.

    Returns
    -------
    learnt : tuple of five float

    Examples
    --------
    The predicted chance of success is 0.8, but each sample of 50 queries fails:

    >>> import math
    >>> from sklearn_adaalloc.planning import _learning
    >>> learnt, hazard = _learning.NOTHING_LEARNT, -math.log(0.2)
    >>> for _ in range(50):
    ...     learnt = _learning.learn_correction(
    ...         learnt, [hazard], [math.inf], forgetting=0.002
    ...     )
    >>> scale, shape = _learning.correction_of(learnt)
    >>> scale < 0.5
    True
    """
    kept = 1 - forgetting
    for failed, reached in zip(before, after, strict=True):
        log_scale, log_shape = (math.log(each) for each in correction_of(learnt))
        x = z = 0.0  # corrected hazard, which is its slope in log θ; slope in log γ
        first = mixed = second = pull = shape_pull = 0.0
        if failed > 0:
            x, z = _slopes(failed, log_scale, log_shape)
            # Of log likelihood -x, whose second derivative in log x is also -x.
            first, mixed, second, pull, shape_pull = x, z, z * z / x, -x, -z
        if math.isfinite(reached):
            reached = max(reached, failed + _LEAST_STEP * (1 + failed))
            there = _slopes(reached, log_scale, log_shape)
            x, z = there[0] - x, there[1] - z
            slope, weight = _of_success(x)
            first += weight * x * x
            mixed += weight * x * z
            second += weight * z * z
            pull, shape_pull = pull + slope * x, shape_pull + slope * z
        pull += first * log_scale + mixed * log_shape
        shape_pull += mixed * log_scale + second * log_shape
        new = first, mixed, second, pull, shape_pull
        learnt = tuple(kept * old + add for old, add in zip(learnt, new, strict=True))
    return learnt


def correction_of(learnt):
    """Scale θ and shape γ that are most probable after what a stream has learnt.

    Parameters
    ----------
    learnt : sequence of five float
        From :func:`learn_correction`.

    Returns
    -------
    scale, shape : float

    Examples
    --------
    >>> from sklearn_adaalloc.planning._learning import NOTHING_LEARNT, correction_of
    >>> correction_of(NOTHING_LEARNT)
    (1.0, 1.0)
    """
    first, mixed, second, pull, shape_pull = learnt
    first, second = first + _PRIOR[0], second + _PRIOR[1]
    determinant = first * second - mixed**2
    scale = (second * pull - mixed * shape_pull) / determinant
    shape = (first * shape_pull - mixed * pull) / determinant
    evidence = scale * pull + shape * shape_pull
    if evidence <= _CHANCE:
        return 1.0, 1.0
    kept = 1 - _CHANCE / evidence
    scale, shape = kept * scale, kept * shape
    return (
        math.exp(min(max(scale, -_SCALES), _SCALES)),
        math.exp(min(max(shape, -_SHAPES), _SHAPES)),
    )


def _slopes(hazard, log_scale, log_shape):
    """Corrected hazard, which is its slope in log θ, and its slope in log γ."""
    shape = math.exp(log_shape)
    corrected = math.exp(log_scale + shape * math.log(hazard))
    return corrected, corrected * shape * math.log(hazard)


def _of_success(hazard):
    """Derivative of log(1 - exp(-x)) in x, and its weight.

    The weight, times the squared slope of x in a parameter, is the precision of that
    parameter. It is minus the second derivative in log x, divided by squared x.
    """
    x = min(max(hazard, 1e-12), _LARGEST)
    odds = 1 / math.expm1(x)
    if x < 1e-4:  # the difference below cancels
        return odds, 1 / (2 * x)
    return odds, odds * (1 + odds - 1 / x)
