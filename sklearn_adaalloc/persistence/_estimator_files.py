"""Estimators as files: skops for their structure, safetensors for their weights.

skops builds only types that it is told to trust. Some types trusted here contain
numbers that compiled code uses without a check. These numbers are checked on loading.
"""

import warnings
from copy import deepcopy
from pathlib import PurePath
from types import FunctionType, ModuleType
from zipfile import ZIP_DEFLATED

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning

from sklearn_adaalloc import allocators, features, regressors
from sklearn_adaalloc._utils.moved import earlier_names
from sklearn_adaalloc.allocators._base import BaseAllocator
from sklearn_adaalloc.curves._selection import MostVotes
from sklearn_adaalloc.curves._targets import TARGETS
from sklearn_adaalloc.language_models._reader import HiddenStateReader
from sklearn_adaalloc.persistence._manifest import damaged

# Every public estimator of these rooms. A new one is saved and loaded automatically.
_ESTIMATORS = [
    cls
    for room in (allocators, features, regressors)
    for cls in map(vars(room).get, room.__all__)
    if issubclass(cls, BaseEstimator)
]
ALLOCATORS = tuple(cls for cls in _ESTIMATORS if issubclass(cls, BaseAllocator))
# Attributes that hold trained weights, as a dict or a list of arrays.
_WEIGHTS = {
    cls: cls.weight_attributes
    for cls in _ESTIMATORS
    if hasattr(cls, "weight_attributes")
}
# Types that may be loaded, in addition to the estimators that skops trusts.
_TRUSTED = frozenset(
    name
    for cls in (*_ESTIMATORS, *TARGETS.values(), MostVotes)
    for name in (f"{cls.__module__}.{cls.__name__}", *earlier_names(cls))
) | {
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.feature_selection._univariate_selection.r_regression",
    "sklearn_adaalloc.rewards._equivalence.MathEquivalence",
}


def to_files(policy):
    """Convert a fitted estimator to files for :func:`from_files`.

    Parameters
    ----------
    policy : estimator

    Returns
    -------
    files : dict of str to bytes
        "estimator.skops", and "tensors.safetensors" if there are weights.

    Raises
    ------
    ValueError
        If a type is not trusted, for example a function. The message names it.
    """
    from safetensors.numpy import save

    parts = walk(policy)
    _check_trees(parts)
    tensors = {}
    # deepcopy does not copy these, but replaces them. Folders become strings.
    replacements = {id(p): str(p) for p in parts if isinstance(p, PurePath)}
    for i, (net, attribute) in enumerate(_nets(parts)):
        for key, array in _items(getattr(net, attribute)):
            name = f"{i}.{attribute}.{key}"
            tensors[name] = np.ascontiguousarray(array)
            replacements[id(array)] = name
    files = {"estimator.skops": _dump(deepcopy(policy, replacements))}
    return {**files, "tensors.safetensors": save(tensors)} if tensors else files


def from_files(path, files):
    """Build an estimator from the files of :func:`to_files`.

    Parameters
    ----------
    path : str or path
        Origin of the files, for messages.
    files : dict of str to bytes
        The files.

    Returns
    -------
    policy : estimator

    Raises
    ------
    ValueError
        If a type is not trusted, or if the files do not contain an estimator.
    """
    from safetensors.numpy import load

    policy = _construct(path, files["estimator.skops"])
    parts = walk(policy)
    try:
        tensors = load(files.get("tensors.safetensors", _NO_TENSORS))
        for net, attribute in _nets(parts):
            names = getattr(net, attribute)
            arrays = {key: tensors[name] for key, name in _items(names)}
            is_dict = isinstance(names, dict)
            setattr(net, attribute, arrays if is_dict else list(arrays.values()))
        _check_random_states(parts)
        _check_trees(parts)
        _check_readers(parts)
    except Exception as error:  # each kind of nonsense fails in its own way
        raise damaged(path, f"its content does not fit together ({error})") from error
    return policy


_NO_TENSORS = (2).to_bytes(8, "little") + b"{}"  # an empty safetensors file


def walk(policy):
    """A policy and everything it contains, each part once and in a fixed order.

    Parts are estimators, containers and values.
    """
    found, waiting = {}, [policy]
    while waiting:
        part = waiting.pop()
        if id(part) not in found:
            found[id(part)] = part
            waiting.extend(reversed(_children(part)))
    return list(found.values())


def _children(part):
    if isinstance(part, BaseEstimator):  # without attributes left out of pickles
        return list(part.__getstate__().values())
    if isinstance(part, dict):
        return list(part.values())
    if isinstance(part, list | tuple | set | frozenset):
        return list(part)
    if isinstance(part, np.ndarray) and part.dtype == object:
        return part.ravel().tolist()
    if isinstance(part, type | FunctionType | ModuleType):
        return []
    return list(getattr(part, "__dict__", {}).values())


def _nets(parts):
    """Each fitted net with the attributes that hold its weights."""
    return [
        (part, attribute)
        for part in parts
        for attribute in _WEIGHTS.get(type(part), ())
        if hasattr(part, attribute)
    ]


def _items(weights):
    return weights.items() if isinstance(weights, dict) else enumerate(weights)


def _dump(structure):
    from skops.io import dumps, get_untrusted_types

    try:
        data = dumps(structure, compression=ZIP_DEFLATED)
        refused = set(get_untrusted_types(data=data)) - _TRUSTED
    except Exception as error:  # skops raises many kinds of errors
        raise ValueError(
            f"policy={type(structure).__name__} has parts that skops cannot save: "
            f"{error} Expected estimators of scikit-learn and sklearn-adaalloc with "
            "plain parameters. Remove everything else, or use joblib."
        ) from error
    if refused:
        raise ValueError(
            f"policy={type(structure).__name__} holds {sorted(refused)}, which "
            "load_policy would not trust. Expected estimators of scikit-learn (no "
            "trees but histogram gradient boosting) and of sklearn-adaalloc, with "
            "plain parameters: no functions or classes of your own. Take them out (of "
            "a search, save best_estimator_), or use joblib for files that nobody "
            "else can write."
        )
    return data


def _construct(path, data):
    from skops.io import get_untrusted_types, loads

    try:
        untrusted = set(get_untrusted_types(data=data))
        refused = untrusted - _TRUSTED
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InconsistentVersionWarning)  # given once
            policy = None if refused else loads(data, trusted=sorted(untrusted))
    except Exception as error:  # each kind of nonsense fails in its own way
        raise damaged(path, f"its estimators cannot be read ({error})") from error
    if refused:
        raise ValueError(
            f"path={str(path)!r} holds a policy with {sorted(refused)}, which are not "
            "trusted. Expected estimators of scikit-learn and sklearn-adaalloc alone, "
            "as save_policy writes them. Do not use this policy unless you know who "
            "wrote it; then save it again from its source."
        )
    if not isinstance(policy, BaseEstimator):
        raise damaged(path, f"it is a {type(policy).__name__}, not an estimator")
    return policy


def _check_trees(parts):
    """Check the indices of histogram trees. scikit-learn does not check them."""
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    for model in [part for part in parts if hasattr(part, "_predictors")]:
        if model._preprocessor is not None:
            raise ValueError(
                f"policy holds a {type(model).__name__} with categorical features. "
                "Expected numbers alone. Encode categories before it, as with "
                "OneHotEncoder."
            )
        for tree in [tree for trees in model._predictors for tree in trees]:
            nodes = tree.nodes
            if nodes.dtype != PREDICTOR_RECORD_DTYPE or nodes.ndim != 1:
                raise ValueError("a tree's nodes are of another type")
            inner = np.flatnonzero(nodes["is_leaf"] == 0)
            children = np.stack([nodes["left"][inner], nodes["right"][inner]])
            features = nodes["feature_idx"][inner]
            sound = (
                len(nodes) > 0
                and (children > inner).all()  # so every path ends
                and (children < len(nodes)).all()
                and ((features >= 0) & (features < model.n_features_in_)).all()
                and not nodes["is_categorical"].any()
            )
            if not sound:
                raise ValueError("a tree leads outside itself")


def _check_random_states(parts):
    """Check positions in generators. NumPy does not check them."""
    for part in parts:
        if isinstance(part, np.random.RandomState):
            state = part.get_state(legacy=False)
            if not 0 <= state["state"].get("pos", 0) <= 624:
                raise ValueError("a random state points outside itself")


def _check_readers(parts):
    for reader in [part for part in parts if isinstance(part, HiddenStateReader)]:
        names = [
            reader.model,
            reader.revision or "",
            vars(reader).get("fingerprint_", ""),
            vars(reader).get("commit_") or "",
        ]
        if not all(isinstance(name, str) for name in names):
            raise ValueError("a language model has no name")
