import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_adaalloc._utils.queries import (
    check_answers,
    check_queries,
    check_unicode,
    query_keys,
)

TEXTS = ["27+48=", "gcd 84 30="]
CHAT = [{"role": "user", "content": "27+48="}]


@pytest.mark.parametrize(
    "X",
    [
        TEXTS,
        tuple(TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, dtype=object),
        pd.Series(TEXTS, index=[7, 3]),
        pl.Series(TEXTS),
        iter(TEXTS),
    ],
)
def test_every_sequence_of_texts_gives_a_list_of_str(X):
    queries = check_queries(X)
    assert queries == TEXTS
    assert {type(query) for query in queries} == {str}


def test_chats_and_texts_may_be_mixed():
    assert check_queries([CHAT, "27+48="]) == [CHAT, "27+48="]


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([], "X is empty: 0 queries"),
        (np.array([], dtype=object), "X is empty: 0 queries"),
        ("27+48=", "X='27\\+48=' is not a sequence of queries"),
        (3, "X=3 is not a sequence of queries"),
        (None, "X=None is not a sequence of queries"),
        (np.ones((3, 2)), r"X has shape \(3, 2\). Expected one text per query"),
        (pd.DataFrame({"query": TEXTS}), r"X has shape \(2, 1\)"),
        (pl.DataFrame({"query": TEXTS}), r"X has shape \(2, 1\)"),
        (["27+48=", 3], "query 1 is 3, neither a text nor a chat"),
        (["27+48=", None], "query 1 is None, neither"),
        ([b"27+48="], "query 0 is b'27\\+48=', neither"),
        ([1.0, 2.0], "query 0 is 1.0, neither"),
        ([[]], r"query 0 is \[\], neither"),
        ([[{"role": "user"}]], r"query 0 is \[{'role': 'user'}\], neither"),
        ({"27+48="}, "is not a sequence of queries"),
        ([[{"role": "user", "content": object()}]], "neither a text.*JSON can hold"),
        ([TEXTS], "query 0 is .*, neither a text nor a chat"),
    ],
)
def test_what_is_no_sequence_of_queries_is_named(X, message):
    with pytest.raises(ValueError, match=message):
        check_queries(X)


def test_a_long_query_is_shortened_in_the_message():
    with pytest.raises(ValueError, match=r"query 0 is .*\.\.\..*neither") as error:
        check_queries([list(range(10_000))])
    assert len(str(error.value)) < 300


def test_keys_are_equal_for_equal_queries_only():
    other_order = [{"content": "27+48=", "role": "user"}]
    keys = query_keys([CHAT, other_order, "27+48=", "27+48= ", '"27+48="'])
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


def test_answers_that_come_one_by_one_are_not_lost():
    assert check_answers(["a"], [iter(["75", "65"])]) == (["a"], [["75", "65"]])


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ("75", "answers='75' is not accepted"),
        ({"a": ["75"]}, "is not accepted. Expected one list of str per query"),
        (3, "answers=3 is not accepted"),
        (np.array("75"), r"answers=array\('75'.* is not accepted"),
        ([np.array(75)], r"the answers to query 'a' are array\(75\)"),
        ([["75"], []], "inconsistent lengths: 1 and 2"),
        (["75"], "the answers to query 'a' are '75'.*in a list"),
        ([None], "the answers to query 'a' are None"),
        ([{"75"}], "the answers to query 'a' are {'75'}"),
        ([["75", 3]], "an answer to query 'a' is 3.*leave out"),
    ],
)
def test_what_is_no_list_of_answers(answers, message):
    with pytest.raises(ValueError, match=message):
        check_answers(["a"], answers)


def test_half_a_surrogate_pair_is_no_text_for_a_tokenizer():
    check_unicode(["", "\U0001f469", "\x00"])
    with pytest.raises(ValueError, match=r"half a surrogate pair at character 1"):
        check_unicode(["a", "a\ud83d"])
