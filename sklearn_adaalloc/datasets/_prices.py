"""Prices of models, from a file that lists them."""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from reprlib import repr as short_repr

from sklearn_adaalloc._utils.parameters import check_path, is_number

_FIELDS = ("input_cost_per_token", "output_cost_per_token")


def read_prices(path, models):
    """Read what tokens of models cost from a price file of LiteLLM's format.

    Such a file is a JSON object. It has an object for each model, with the dollars of a
    token under ``input_cost_per_token`` and ``output_cost_per_token``. LiteLLM calls it
    ``model_prices_and_context_window.json``. Prices change: keep a copy of the file
    that your numbers are based on.

    Parameters
    ----------
    path : str or path
        The file.
    models : list or dict
        Names of models in the file; or name of a decoder -> name of its model.

    Returns
    -------
    prices : dict
        Name of a model, or of a decoder -> price of a token of a prompt and price of a
        token of an answer. :class:`~sklearn_adaalloc.decoding.Cascade` and
        :meth:`~sklearn_adaalloc.collect.RewardStore.to_table` take it as `prices`, and
        :class:`~sklearn_adaalloc.decoding.BestOfK` takes one of its values as `price`.

    Raises
    ------
    ValueError
        If the file does not exist or is no such file, if it does not list a model, or
        if a model has no price of tokens there.

    Examples
    --------
    >>> import json
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_adaalloc.datasets import read_prices
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "prices.json"
    >>> entry = {"input_cost_per_token": 2e-7, "output_cost_per_token": 8e-7}
    >>> _ = path.write_text(json.dumps({"some/small-model": entry}))
    >>> read_prices(path, {"cheap": "some/small-model"})
    {'cheap': (2e-07, 8e-07)}
    >>> folder.cleanup()
    """
    if not isinstance(models, Mapping | list | tuple) or not models:
        raise ValueError(
            f"models={short_repr(models)} is not accepted. Expected a list of names of "
            "models, or a dict: name of a decoder -> name of its model."
        )
    entries = _read_entries(path)
    if not isinstance(models, Mapping):
        models = dict(zip(models, models, strict=True))
    return {
        name: _price_of(entries, model, str(path)) for name, model in models.items()
    }


def _read_entries(path):
    path = Path(check_path(path, "path")).expanduser()
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"path={str(path)!r} cannot be read: {error}. Expected a JSON file with "
            "the prices of models."
        ) from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"path={str(path)!r} is not JSON: {error}. Expected a price file of "
            "LiteLLM's format."
        ) from error
    if not isinstance(entries, dict):
        raise ValueError(
            f"path={str(path)!r} holds {short_repr(entries)}. Expected an object with "
            "one entry for each model."
        )
    return entries


def _price_of(entries, model, path):
    """Prices of the tokens of one model."""
    if model not in entries:
        close = get_close_matches(str(model), entries, n=3)
        hint = f" Did you mean one of {close}?" if close else ""
        raise ValueError(
            f"models has {model!r}, which {path!r} does not list. Expected one of its "
            f"{len(entries)} names.{hint}"
        )
    entry = entries[model]
    found = [entry.get(name) if isinstance(entry, dict) else None for name in _FIELDS]
    if not all(is_number(price) and price >= 0 for price in found):
        raise ValueError(
            f"{path!r} has {short_repr(entry)} for {model!r}. Expected numbers of at "
            f"least 0 under {_FIELDS[0]} and {_FIELDS[1]}. Give this price yourself, "
            "as two numbers."
        )
    return tuple(float(price) for price in found)
