"""OpenAISampler against a real server: `transformers serve`."""

import asyncio

import pytest
from real_servers import (
    QUERIES,
    assert_true_or_unknown,
    transformers_serving,
    write_served_model,
)

from sklearn_adaalloc.sampling import OpenAISampler, TransformersSampler
from sklearn_adaalloc.sampling._openai.probing import probe

pytest.importorskip("aiohttp", reason="needs the extra openai")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("short_waits")]


@pytest.fixture(scope="module")
def transformers_serve():
    with transformers_serving() as address:
        yield address


@pytest.fixture(scope="module")
def served_model(tmp_path_factory):
    return write_served_model(tmp_path_factory.mktemp("served"))


@pytest.fixture
def real_sampler(transformers_serve, served_model):
    return OpenAISampler(
        transformers_serve, served_model, max_new_tokens=12, max_concurrency=2
    )


def test_a_probe(real_sampler):
    # Without a cache of the hub, its list of models is an error, and it hangs up.
    asyncio.run(probe(real_sampler))


def test_a_real_server_that_ignores_n(real_sampler):
    answers, usage = real_sampler.sample(QUERIES, [5, 1, 0, 8], return_usage=True)
    assert [len(row) for row in answers] == [5, 1, 0, 8]
    assert len(set(answers[3])) > 1
    # One request per sample; the prompts' characters, with one token to begin with.
    assert usage.prompt.tolist() == [5 * 12, 7, 0, 8 * 9]
    # Each answer's characters, and one token to end with.
    assert [row.tolist() for row in usage.answers] == [
        [len(answer) + 1 for answer in row] for row in answers
    ]


@pytest.mark.parametrize("completion", ["chat", "text"])
def test_a_real_server_answers_as_the_model_does_in_process(real_sampler, completion):
    real_sampler.set_params(completion=completion, temperature=0.0)
    in_process = TransformersSampler(
        real_sampler.model, temperature=0, max_new_tokens=12, dtype="float16"
    ).set_params(device="cpu")
    assert real_sampler.sample(QUERIES, 1) == in_process.sample(QUERIES, 1)


def test_a_real_server_heeds_seeds_one_request_at_a_time(real_sampler):
    real_sampler.set_params(use_n=False, max_concurrency=1)
    together = real_sampler.sample(QUERIES, 6)
    apart = real_sampler.sample(QUERIES, 4, first_sample=[2] * 4)
    assert apart == [row[2:] for row in together]


def test_a_model_that_a_real_server_does_not_have(real_sampler):
    real_sampler.set_params(model="no/such-model", max_retries=1)
    with pytest.raises(ConnectionError, match=r"The server .* \(2 attempts\)"):
        real_sampler.sample(["2+3="], 1)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("limit", [2, 12])
def test_usage_of_transformers_serve(real_sampler, n, limit):
    real_sampler.set_params(max_new_tokens=limit)
    assert_true_or_unknown(*real_sampler.sample(QUERIES, n, return_usage=True), limit)


def test_stop_strings_of_transformers_serve(real_sampler):
    real_sampler.set_params(temperature=0.0, stop=["0"])
    # It ends there, but leaves the string in the text.
    assert real_sampler.sample(QUERIES[1:2], 1) == [["2"]]
