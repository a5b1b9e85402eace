"""Save and load policies without pickle, for production and for sharing."""

import platform
import warnings
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from numbers import Number
from reprlib import repr as short_repr

import numpy as np
import sklearn
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.utils.validation import check_is_fitted

from sklearn_adaalloc._version import __version__
from sklearn_adaalloc.language_models._checkpoints import require_checkpoint
from sklearn_adaalloc.language_models._options import resolve_device, resolve_dtype
from sklearn_adaalloc.language_models._reader import HiddenStateReader
from sklearn_adaalloc.persistence._estimator_files import (
    ALLOCATORS,
    from_files,
    to_files,
    walk,
)
from sklearn_adaalloc.persistence._manifest import damaged, read_folder, write_folder

__all__ = ["load_policy", "save_policy"]

_RECORDED = (
    "scikit-learn",
    "numpy",
    "scipy",
    "skorch",
    "torch",
    "transformers",
    "peft",
    "skops",
    "safetensors",
)


def save_policy(policy, path):
    """Save a fitted policy as a folder that is safe to load.

    The folder contains `manifest.json`, which people and monitoring tools can read, and
    a skops file with the estimators. If there are nets, a safetensors file holds the
    weights of nets, adapters and heads. The weights of a language model are not saved.
    The policy stores its name, and `load_policy` checks its fingerprint.

    Saving is atomic. At any moment, even after a crash, the folder holds the old policy
    or the new one.

    Parameters
    ----------
    policy : estimator
        Fitted allocator or reward regressor, or a pipeline or other scikit-learn
        estimator that contains one.
    path : str or path
        Folder to write. It must be new, empty, or contain a policy, which is replaced.

    Raises
    ------
    ValueError
        If the policy is not fitted, or contains anything that cannot be loaded without
        pickle, such as functions or classes of your own. Also if the folder contains
        anything but a policy, or if the language model has changed since `fit`.

    See Also
    --------
    load_policy : Load it again.

    Notes
    -----
    joblib saves policies too, including functions and classes of your own. But loading
    a joblib file runs any code that its author put there.

    Of the tree models of scikit-learn, only histogram gradient boosting without
    categorical features is accepted.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_adaalloc import AdaptiveAllocator, RewardRegressor
    >>> from sklearn_adaalloc.datasets import make_reward_table
    >>> from sklearn_adaalloc.persistence import load_policy, save_policy
    >>> X, rewards = make_reward_table(300, 8, random_state=0, return_X_y=True)
    >>> policy = AdaptiveAllocator(RewardRegressor(Ridge()), budget=2).fit(X, rewards)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_policy(policy, f"{folder}/policy")
    ...     restored = load_policy(f"{folder}/policy")
    >>> bool((restored.predict(X) == policy.predict(X)).all())
    True
    """
    if not isinstance(policy, BaseEstimator) or not hasattr(policy, "predict"):
        raise ValueError(
            f"policy={short_repr(policy)} is no policy. Expected a fitted allocator, a "
            "reward regressor, or a pipeline that ends in one."
        )
    check_is_fitted(policy)
    parts = walk(policy)
    for reader in _fitted_readers(parts):
        _find_model(reader)
    write_folder(path, _describe(policy, parts), to_files(policy))


def load_policy(path, *, models=None):
    """Load a policy that :func:`save_policy` wrote, without running any code from it.

    Nothing is unpickled. Only estimators of this package and of scikit-learn are built,
    from a fixed list of types. Each file is checked against its hash, and each language
    model against its fingerprint.

    Parameters
    ----------
    path : str or path
        Folder of a policy.
    models : dict, default=None
        New places of language models: name or folder when saved -> name or folder here.
        None if no place has changed.

    Returns
    -------
    policy : estimator
        Predicts like the saved policy. The `cache` of a featurizer is set to None,
        because it is a folder of the machine that saved the policy.

    Raises
    ------
    ValueError
        If there is no policy, or if it is damaged, incomplete, of a newer schema or of
        types that are not trusted. Also if a language model differs from that of `fit`.

    Warns
    -----
    InconsistentVersionWarning
        If the policy was saved with another version of scikit-learn. For another
        version of this package, there is a UserWarning.

    See Also
    --------
    save_policy : Saves a policy; has a longer example.

    Notes
    -----
    No code from the folder is run. But hashes detect damage only, and not who wrote the
    policy. Anybody who can write to the folder can replace the policy by a bad one, or
    by one that makes transformers load another language model.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn_adaalloc import DummyAllocator
    >>> from sklearn_adaalloc.persistence import load_policy, save_policy
    >>> policy = DummyAllocator(budget=1.5).fit([[0.0]] * 2, [[1, 0], [0, 1]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_policy(policy, folder)
    ...     load_policy(folder).predict([[0.0]] * 4)
    array([1, 2, 1, 2])
    """
    manifest, files = read_folder(path)
    _warn_versions(path, manifest)
    policy = from_files(path, files)
    _find_models(walk(policy), models)
    return policy


def _fitted_readers(parts):
    return [
        p
        for p in parts
        if isinstance(p, HiddenStateReader) and hasattr(p, "fingerprint_")
    ]


def _find_models(parts, models):
    """Set the new places of language models in readers, and check the models."""
    readers = [part for part in parts if isinstance(part, HiddenStateReader)]
    known = sorted({reader.model for reader in readers})
    models = {} if models is None else models
    if not isinstance(models, dict) or not set(map(str, models)) <= set(known):
        raise ValueError(
            f"models={models!r} is not accepted. Expected a dict from names or folders "
            f"that the policy uses, {known}, to names or folders here."
        )
    moved = {str(name): str(here) for name, here in models.items()}
    for reader in readers:
        reader.model = moved.get(reader.model, reader.model)
        if hasattr(reader, "cache"):
            reader.cache = None
    for reader in _fitted_readers(parts):
        found = _find_model(reader)
        reader.fingerprint_, reader.commit_ = found.fingerprint, found.commit


def _find_model(reader):
    """The checkpoint that a reader was fitted with, at its present place."""
    return require_checkpoint(
        reader.model,
        reader.fingerprint_,
        revision=reader.revision,
        commit=getattr(reader, "commit_", None),  # older policies have no commit
    )


def _warn_versions(path, manifest):
    """Warn about other versions, as scikit-learn does when it unpickles."""
    saved = manifest.get("versions")
    if not isinstance(saved, dict):
        raise damaged(path, f"its manifest names no versions but {saved!r}")
    if saved.get("scikit-learn") != sklearn.__version__:
        warnings.warn(
            InconsistentVersionWarning(
                estimator_name=manifest.get("class"),
                current_sklearn_version=sklearn.__version__,
                original_sklearn_version=saved.get("scikit-learn"),
            ),
            stacklevel=3,
        )
    if saved.get("sklearn-adaalloc") != __version__:
        warnings.warn(
            f"path={str(path)!r} was saved with sklearn-adaalloc "
            f"{saved.get('sklearn-adaalloc')!r} and is loaded with {__version__!r}. "
            "Compare its predictions on known queries, or save it again.",
            stacklevel=3,
        )


def _describe(policy, parts):
    """Content of the manifest of a policy."""
    fitted = [p for p in parts if isinstance(p, ALLOCATORS) and hasattr(p, "n_steps_")]
    return {
        "class": f"{type(policy).__module__}.{type(policy).__qualname__}",
        "parameters": {k: _plain(v) for k, v in policy.get_params().items()},
        "saved": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": _versions(),
        "language_models": [_describe_reader(r) for r in _fitted_readers(parts)],
        "calibration": [_describe_allocator(allocator) for allocator in fitted],
    }


def _describe_reader(reader):
    return {
        "estimator": type(reader).__name__,
        "model": str(reader.model),
        "revision": reader.revision,
        "commit": getattr(reader, "commit_", None),
        "fingerprint": reader.fingerprint_,
        "layers": [int(layer) for layer in reader.layers_],
        "pooling": reader.pooling,
        "max_length": _plain(reader.max_length),
        "chat_template": reader.chat_template,
        "dtype": resolve_dtype(reader.dtype, resolve_device(reader.device)),
    }


def _describe_allocator(allocator):
    return {
        "allocator": type(allocator).__name__,
        "n_queries": allocator.n_queries_,
        "n_samples": allocator.n_steps_,
        "budget": _plain(allocator.budget),
        "realised_budget": getattr(allocator, "realised_budget_", None),
    }


def _versions():
    found = {"python": platform.python_version(), "sklearn-adaalloc": __version__}
    for name in _RECORDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _plain(value):
    """A value in JSON types, for people to read."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Number) and not isinstance(value, complex):
        return value if np.isfinite(value) else repr(value)
    if isinstance(value, BaseEstimator):
        return type(value).__name__
    return short_repr(value)
