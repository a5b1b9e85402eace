"""OpenAISampler against a real server: llama.cpp's."""

import asyncio

import numpy as np
import pytest
from real_servers import QUERIES, assert_true_or_unknown, llama_cpp_serving

from sklearn_adaalloc.sampling import OpenAISampler, TransformersSampler
from sklearn_adaalloc.sampling._openai.probing import probe

pytest.importorskip("openai", reason="needs the extra openai")

pytestmark = pytest.mark.usefixtures("short_waits")


@pytest.fixture(scope="module")
def llama_cpp(tmp_path_factory):
    with llama_cpp_serving(tmp_path_factory.mktemp("served")) as address:
        yield address


@pytest.fixture
def sampler(llama_cpp):
    return OpenAISampler(llama_cpp, "m", max_new_tokens=12, max_concurrency=3)


@pytest.mark.parametrize("completion", ["chat", "text"])
@pytest.mark.parametrize("n", [1, 3, 5])
@pytest.mark.parametrize("limit", [2, 12])
def test_usage(sampler, completion, n, limit):
    sampler.set_params(completion=completion, max_new_tokens=limit)
    answers, usage = sampler.sample(QUERIES, n, return_usage=True)
    assert_true_or_unknown(answers, usage, limit)
    # Of one token, the last, it needs the logits each time.
    assert (usage.cached >= 0).all()
    assert (usage.cached < usage.prompt).all()
    assert not np.isnan(np.concatenate(usage.answers)).any()


def test_it_counts_one_of_several_answers(sampler):
    sampler.sample(QUERIES, 2, return_usage=True)
    assert sampler._memory_of_server().several == "singly"


@pytest.mark.parametrize("completion", ["chat", "text"])
def test_it_answers_as_the_model_does_in_process(sampler, completion):
    sampler.set_params(temperature=0, completion=completion)
    in_process = TransformersSampler(
        "embedded", device="cpu", max_new_tokens=12, temperature=0
    )
    assert sampler.sample(QUERIES, 1) == in_process.sample(QUERIES, 1)


@pytest.mark.parametrize("use_n", [True, False])
def test_it_heeds_seeds(sampler, use_n):
    sampler.set_params(use_n=use_n, random_state=3, max_concurrency=1)
    first, again = (sampler.sample(QUERIES, 6) for _ in range(2))
    assert first == again
    assert len(set(first[3])) > 1
    assert sampler.set_params(random_state=4).sample(QUERIES, 6) != first


def test_samples_that_follow_are_those_of_one_call(sampler):
    sampler.set_params(use_n=False, random_state=3, max_concurrency=1)
    together = sampler.sample(QUERIES, 6)
    apart = sampler.sample(QUERIES, 4, first_sample=[2] * 4)
    assert apart == [row[2:] for row in together]


def test_stop_strings(sampler):
    sampler.set_params(temperature=0, stop=["0"])
    answers, usage = sampler.sample(QUERIES[1:2], 1, return_usage=True)
    assert answers == [["2"]]
    assert not usage.cut_off[0].any()


def test_a_prompt_too_long_costs_only_itself(sampler):
    arrivals = list(sampler.sample_each([QUERIES[0], "1+" * 200, QUERIES[1]], 2))
    assert sorted(each.row for each in arrivals if each.error is None) == [0, 0, 2, 2]
    errors = [str(each.error) for each in arrivals if each.error]
    assert len(errors) == 2
    assert all("exceeds the available context size" in error for error in errors)


def test_a_parameter_that_it_refuses(sampler):
    sampler.set_params(extra_body={"response_format": {"type": "poem"}})
    [arrival] = sampler.sample_each(QUERIES[:1], 1)
    assert isinstance(arrival.error, ValueError)
    assert "response_format" in str(arrival.error)


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A server with one slot that asks for a key."""
    place = tmp_path_factory.mktemp("locked")
    with llama_cpp_serving(place, n_slots=1, key="sesame") as address:
        yield address, str(place / "model.gguf")


@pytest.mark.parametrize("name", ["m", None])
def test_a_probe(locked, name, monkeypatch):
    address, listed = locked
    sampler = OpenAISampler(address, name or listed, api_key_env="A_KEY")
    with pytest.raises(ValueError, match=r"401: Invalid API Key \(There is no key"):
        asyncio.run(probe(sampler))
    monkeypatch.setenv("A_KEY", "mellon")
    with pytest.raises(ValueError, match=r"status 401: Invalid API Key\.$"):
        asyncio.run(probe(sampler))
    monkeypatch.setenv("A_KEY", "sesame")
    asyncio.run(probe(sampler))  # it has one model, and answers to any name


def test_more_answers_than_it_gives_at_a_time(locked, monkeypatch):
    monkeypatch.setenv("A_KEY", "sesame")
    for counted in (False, True):  # with one slot, it refuses n=3 with status 400
        sampler = OpenAISampler(locked[0], "m", api_key_env="A_KEY", max_new_tokens=3)
        sampled = sampler.sample(QUERIES[:1], 3, return_usage=counted)
        assert [len(row) for row in (sampled[0] if counted else sampled)] == [3]
