"""Tokens that a server counts: true, or not known."""

import faulty_server as faulty
import numpy as np
import pytest
from servers import first, sampler_of

pytest.importorskip("aiohttp", reason="needs the extra openai")

pytestmark = pytest.mark.usefixtures("short_waits")

# Each answer of the server has three words and ends by itself: 4 tokens.


def sums(usage):
    return [float(row.sum()) for row in usage.answers]


def asked(server):
    """Number of answers of each request, those that find out how it counts apart."""
    return [body.get("n", 1) for body in server.bodies if body["max_tokens"] > 1]


def test_a_server_that_counts_all_answers_is_asked_for_all_at_once():
    with faulty.serving() as server:
        sampler = sampler_of(server)
        _, usage = sampler.sample(["a", "b"], [3, 0], return_usage=True)
    assert asked(server) == [3]
    assert usage.prompt.tolist() == [7, 0]
    assert [row.tolist() for row in usage.answers] == [[4, 4, 4], []]
    assert {usage.prompt.dtype, *(row.dtype for row in usage.answers)} == {
        np.dtype("float64")
    }


@pytest.mark.parametrize("completion", ["chat", "text"])
@pytest.mark.parametrize(
    "count",
    [
        faulty.count_first,
        faulty.count_last,
        faulty.count_prompt_each_time,
        faulty.count_none_of_several,
    ],
)
def test_a_server_that_counts_otherwise_is_asked_singly(count, completion):
    with faulty.serving(count=count) as server:
        sampler = sampler_of(server, completion=completion)
        _, usage = sampler.sample(["a", "b c"], [5, 3], return_usage=True)
        assert asked(server) == 8 * [1]
        sampler.sample(["d"], 2, return_usage=True)
    assert len(server.bodies) == 2 + 8 + 2  # it is remembered
    assert usage.prompt.tolist() == [5 * 7, 3 * 7]
    assert sums(usage) == [5 * 4, 3 * 5]


@pytest.mark.parametrize("count", [faulty.count_first, faulty.count_all])
def test_what_cannot_be_told_is_not_believed(count):
    # Answers of many lengths, whatever the limit: any sum may be that of one of them.
    with faulty.serving(count=count, heeds_limit=False) as server:
        _, usage = sampler_of(server).sample(["a"], [4], return_usage=True)
    assert asked(server)[-4:] == 4 * [1]
    assert sums(usage) == [16]


@pytest.mark.parametrize("count", [faulty.count_first, faulty.count_all])
def test_equal_answers_tell_though_the_limit_is_not_heeded(count):
    def faults(number, body):
        choice = {"finish_reason": "stop", "message": {"content": "ten of them"}}
        choices = body.get("n", 1) * [choice]
        return faulty.body({"choices": choices, "usage": count(choices)})

    with faulty.serving(faults) as server:
        _, usage = sampler_of(server).sample(["a"], [6], return_usage=True)
    assert sums(usage) == [24]
    n_requests = 1 if count is faulty.count_all else 6
    assert len(server.bodies) == 2 + n_requests


@pytest.mark.parametrize("count", [faulty.count_nothing, faulty.count_zeros])
@pytest.mark.parametrize("budget", [1, 4])
def test_what_a_server_does_not_count_is_unknown(count, budget):
    with faulty.serving(count=count) as server:
        _, usage = sampler_of(server).sample(["a"], budget, return_usage=True)
    assert asked(server) == [budget]
    assert np.isnan(usage.prompt).all()
    assert np.isnan(usage.answers[0]).all()
    assert usage.cached is None


def test_a_server_that_refuses_to_be_found_out_is_not_believed():
    def faults(number, body):
        return faulty.status(400) if body["max_tokens"] < 16 else None

    with faulty.serving(faults) as server:
        _, usage = sampler_of(server).sample(["a", "b"], [3, 1], return_usage=True)
    assert sorted(asked(server)) == [1, 3]
    assert np.isnan(usage.answers[0]).all()
    assert np.isnan(usage.prompt[0])
    assert (usage.prompt[1], usage.answers[1].tolist()) == (7, [4])


def test_a_refused_prompt_does_not_hide_how_it_counts():
    def faults(number, body):
        bad = body["messages"][0]["content"] == "x"
        return faulty.status(400, "filtered") if bad else None

    with faulty.serving(faults) as server:
        arrivals = list(sampler_of(server).sample_each(["long enough", "x"], [3, 2]))
    assert [each.answer_tokens for each in arrivals if each.row == 0] == [5, 5, 5]
    assert all(np.isnan(each.answer_tokens) for each in arrivals if each.row == 1)


def test_the_shortest_prompt_finds_out_and_only_where_counts_are_wanted():
    with faulty.serving() as server:
        sampler = sampler_of(server, extra_body={"max_completion_tokens": 99})
        sampler.sample(["aaa", "bb", "c"], [2, 2, 1])
        assert asked(server) == [2, 2, 1]
        assert len(server.bodies) == 3
        list(sampler.sample_each(["aaa", "bb", "c"], [2, 2, 1]))
    probes = [body for body in server.bodies if body["max_tokens"] == 1]
    assert [body.get("n", 1) for body in probes] == [1, 2]
    assert {body["messages"][0]["content"] for body in probes} == {"bb"}
    assert {body["max_completion_tokens"] for body in probes} == {1}


def test_another_server_is_found_out_anew():
    with faulty.serving() as true, faulty.serving(count=faulty.count_first) as false:
        sampler = sampler_of(true)
        for server in (true, false, true):
            sampler.set_params(base_url=server.base_url)
            _, usage = sampler.sample(["a"], 3, return_usage=True)
            assert sums(usage) == [12]


def test_of_a_reply_with_a_half_answer_the_tokens_are_unknown():
    def faults(number, body):
        return faulty.spoil(finish_reason=None) if body.get("n") == 4 else None

    with faulty.serving(faults) as server:
        _, usage = sampler_of(server).sample(["a"], 4, return_usage=True)
    assert np.isnan(usage.answers[0][:3]).all()
    assert usage.answers[0][3] == 4
    assert usage.prompt.tolist() == [14]


def test_fewer_tokens_than_answers_are_not_believed():
    # As where another machine answers behind the same address.
    def count(choices):
        return {
            **faulty.count_all(choices),
            **({"completion_tokens": 5} if many else {}),
        }

    with faulty.serving(count=count) as server:
        sampler, many = sampler_of(server), False
        sampler.sample(["a"], 2, return_usage=True)
        many = True
        _, usage = sampler.sample(["a"], 6, return_usage=True)
    assert np.isnan(usage.answers[0]).all()


def test_surplus_answers_make_the_tokens_unknown():
    choices = [{"finish_reason": "stop", "message": {"content": c}} for c in "xyz"]
    content = {"choices": choices, "usage": faulty.count_all(choices)}
    with faulty.serving(lambda *request: faulty.body(content)) as server:
        _, usage = sampler_of(server).sample(["a"], 1, return_usage=True)
    assert np.isnan(usage.answers[0][0])


def test_cached_tokens_add_up():
    usage = {"prompt_tokens": 9, "completion_tokens": 5}
    usage["prompt_tokens_details"] = {"cached_tokens": 8}

    def faults(number, body):
        choice = {"finish_reason": "stop", "message": {"content": "7"}}
        known = usage if body["messages"][0]["content"] == "a" else {}
        return faulty.body({"choices": [choice], "usage": known})

    with faulty.serving(faults) as server:
        sampler = sampler_of(server, use_n=False)
        _, counts = sampler.sample(["a", "b", "c"], [3, 1, 0], return_usage=True)
    np.testing.assert_array_equal(counts.prompt, [27, np.nan, 0])
    np.testing.assert_array_equal(counts.cached, [24, np.nan, 0])


# Answers that were cut off


@pytest.mark.parametrize(
    ("finish", "expected"),
    [
        ("stop", False),
        ("length", True),
        ("max_tokens", True),
        ("MAX_TOKENS", True),
        ("model_length", True),
        ("eos", False),
    ],
)
def test_why_an_answer_finished(finish, expected):
    with faulty.serving(first(faulty.spoil(finish_reason=finish))) as server:
        (arrival,) = sampler_of(server).sample_each(["a"], 1)
    assert arrival.cut_off is expected


def test_each_answer_of_a_reply_says_whether_it_was_cut_off():
    def faults(number, body):
        return faulty.spoil(finish_reason="length") if body.get("n") == 3 else None

    with faulty.serving(faults) as server:
        _, usage = sampler_of(server).sample(["a", "b"], [3, 1], return_usage=True)
    assert [row.tolist() for row in usage.cut_off] == [[True, False, False], [False]]
    assert {row.dtype for row in usage.cut_off} == {np.dtype("bool")}


def test_a_limit_of_two_words_cuts_all_off():
    with faulty.serving() as server:
        sampler = sampler_of(server, max_new_tokens=2)
        _, usage = sampler.sample(["a", "b"], [3, 0], return_usage=True)
    assert [row.tolist() for row in usage.cut_off] == [[True] * 3, []]
    assert sums(usage) == [6, 0]
