"""Texts: features and rewards by models, verifiers, and the cache of features."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import strategies as st

from benchmarks.fuzz.damage import damages
from benchmarks.fuzz.outcomes import REFUSED, attempt
from benchmarks.fuzz.strategies import (
    asked_and_answered,
    number,
    queries,
    rarely,
    scalars,
    texts,
)
from benchmarks.fuzz.targets import target
from sklearn_adaalloc import HiddenStateFeaturizer
from sklearn_adaalloc._utils.queries import check_answers, check_queries
from sklearn_adaalloc.datasets import embedded_model_path
from sklearn_adaalloc.rewards import CodeVerifier, MathVerifier, RewardModel

few_texts = st.lists(texts, min_size=1, max_size=3)
model_options = {
    "max_length": st.none() | number(st.integers(3, 9)),
    "chat_template": rarely(scalars, st.just(False)),
    "batch_tokens": number(st.just(64)),
    "device": rarely(scalars, st.just("cpu")),
    "dtype": rarely(scalars, st.just("float32")),
    "model": texts | scalars,
    "revision": scalars,
}


@target("queries.check_queries", inputs=4000, asked=rarely(few_texts, queries))
def check_any_queries(asked):
    checked = attempt(check_queries, asked)
    if checked is not REFUSED:
        assert len(checked) == len(asked) > 0


@target("queries.check_answers", inputs=4000, pair=asked_and_answered())
def check_any_answers(pair):
    checked = attempt(check_answers, *pair)
    if checked is not REFUSED:
        asked, answers = checked
        assert len(asked) == len(answers)
        assert all(isinstance(answer, str) for row in answers for answer in row)


@target(
    "features.HiddenStateFeaturizer",
    inputs=200,
    asked=rarely(queries, few_texts),
    options=st.fixed_dictionaries(
        {},
        optional={
            **model_options,
            "layer": rarely(
                scalars | st.lists(scalars), st.sampled_from(["auto", -1, [0, 1]])
            ),
            "pooling": rarely(scalars, st.sampled_from(["last", "mean", "first"])),
        },
    ).flatmap(lambda options: rarely(st.just(options), st.just({}))),
)
def hidden_states(asked, options):
    featurizer = HiddenStateFeaturizer(**{"device": "cpu", **options})
    if attempt(featurizer.fit, asked) is REFUSED:
        return
    features = attempt(featurizer.transform, asked)
    if features is not REFUSED:
        assert features.shape == (len(asked), featurizer.n_features_out_)
        assert features.dtype == np.float32
        assert np.isfinite(features).all()
        assert len(featurizer.get_feature_names_out()) == features.shape[1]


_CACHED = ["27+48=", "gcd 84 30=", "rev abc="]


@cache
def _cache_and_features():
    """Bytes of a whole cache, and the features in it."""
    with TemporaryDirectory() as folder:
        featurizer = HiddenStateFeaturizer(device="cpu", cache=folder)
        features = featurizer.fit_transform(_CACHED)
        return Path(folder, "features.sqlite").read_bytes(), features


@target("features.damaged_cache", inputs=400, damage=damages)
def damaged_cache(damage):
    data, features = _cache_and_features()
    with TemporaryDirectory() as folder:
        Path(folder, "features.sqlite").write_bytes(damage(data))
        featurizer = HiddenStateFeaturizer(device="cpu", cache=folder)
        found = attempt(featurizer.fit_transform, _CACHED)
        if found is not REFUSED:
            assert np.allclose(found, features, atol=1e-4)


@target(
    "rewards.MathVerifier",
    inputs=80,
    pair=asked_and_answered(rarely(texts, st.just("q"))),
    references=rarely(scalars, rarely(texts, st.sampled_from(["2", "\\frac{1}{2}"]))),
    timeout=number(st.just(1.0)),
    answers=st.lists(
        st.sampled_from(["2", "$2$", "\\boxed{2}", "\\boxed{", "1/2", "2^{9^{9^9}}"])
        | st.text("0123456789{}\\boxedfrac$^+-/. ", max_size=20).map(
            "\\boxed{{{}}}".format
        ),
        max_size=2,
    ),
)
def math_verifier(pair, references, timeout, answers):
    asked, given = pair
    if asked == ["q"]:
        given = [answers]
    verifier = _math_verifier(references) if timeout == 1.0 else None
    if verifier is None:
        verifier = MathVerifier(lambda query: references, timeout=timeout, n_jobs=1)
    grades = attempt(verifier, asked, given)
    if grades is not REFUSED:
        _assert_grades(grades, given)
        assert all(np.isin(row, [0.0, 1.0]).all() for row in grades)


def _math_verifier(references):
    """A verifier whose reference is the same for all queries."""
    return MathVerifier(lambda query: references, timeout=1.0, n_jobs=1)


def _assert_grades(grades, answers):
    assert [len(row) for row in grades] == [len(row) for row in answers]
    assert all(np.isfinite(row).all() for row in grades)


_tests = rarely(
    st.dictionaries(st.sampled_from(["test", "entry_point", "inputs"]), scalars | texts)
    | st.lists(texts)
    | scalars
    | texts,
    st.just(["assert f(1) == 1"]),
)


@target(
    "rewards.CodeVerifier",
    inputs=60,
    pair=asked_and_answered(),
    tests=_tests,
    options=st.fixed_dictionaries(
        {},
        optional={
            "timeout": number(st.just(2.0)),
            "memory_mb": number(st.just(256)),
            "sandbox": scalars,
            "n_jobs": st.just(1),
        },
    ),
)
def code_verifier(pair, tests, options):
    verifier = CodeVerifier(lambda query: tests, **{"timeout": 2.0, **options})
    grades = attempt(verifier, *pair, accepted=(ValueError, TypeError, RuntimeError))
    if grades is not REFUSED:
        _assert_grades(grades, pair[1])


@target(
    "rewards.RewardModel",
    inputs=500,
    pair=asked_and_answered(),
    options=st.fixed_dictionaries({}, optional=model_options).flatmap(
        lambda options: rarely(st.just(options), st.just({}))
    ),
)
def reward_model(pair, options):
    common = {"model": embedded_model_path("reward"), "device": "cpu"}
    scores = attempt(RewardModel(**{**common, **options}), *pair)
    if scores is not REFUSED:
        _assert_grades(scores, pair[1])
