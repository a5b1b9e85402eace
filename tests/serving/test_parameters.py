"""Parameters of `create_app` that are not accepted, said before anybody asks."""

import math

import faulty_server as faulty
import pytest
from answering import stream_policy
from endpoints import MODEL, ask
from sklearn.linear_model import Ridge
from starlette.testclient import TestClient

from sklearn_adaalloc import RewardRegressor, StreamAllocator
from sklearn_adaalloc.sampling import OpenAISampler
from sklearn_adaalloc.serving import create_app

NUMBERS_ONLY = StreamAllocator(RewardRegressor(Ridge()), budget=2, random_state=0).fit(
    [[0.0], [1.0]] * 20, [[0, 1], [1, 1]] * 20
)
GIVEN = {
    "policy": stream_policy(),
    "samplers": OpenAISampler("http://127.0.0.1:9/v1", "m"),
    "reward": lambda queries, answers: [[1.0] * len(row) for row in answers],
    "model": MODEL,
}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("policy", "folder", "policy='folder' is not accepted.*load_policy"),
        ("policy", None, "policy=None is not accepted"),
        ("policy", NUMBERS_ONLY, "does not take texts: .*a pipeline that starts with"),
        ("samplers", OpenAISampler("nowhere", "m"), "base_url='nowhere'"),
        ("samplers", OpenAISampler("http://a/v1", "m", temperature=-1), "temperature"),
        ("model", None, "model=None is not accepted. Expected the name"),
        ("model", " ", "model=' ' is not accepted"),
        ("default_answer", 3, "default_answer=3 is not accepted"),
        ("prices", -1, "prices=-1"),
        ("prices", (1, 2, 3), r"prices=\(1, 2, 3\)"),
        ("api_key", "", "api_key=str is not accepted.*or None"),
        ("api_key", b"sesame", "api_key=bytes is not accepted"),
        ("deadline", 0, "deadline=0 is not accepted"),
        ("deadline", math.nan, "deadline=nan is not accepted"),
        ("max_body", None, "max_body=None is not accepted"),
        ("max_in_flight", 0, "max_in_flight=0 is not accepted"),
        ("max_queue", 1.5, "max_queue=1.5 is not accepted"),
    ],
)
def test_what_is_not_accepted(name, value, message):
    with pytest.raises(ValueError, match=message):
        create_app(**{**GIVEN, name: value})


def test_a_judge_that_can_grade_nothing():
    def grade(queries, answers):
        return [[math.nan] * len(row) for row in answers]

    with faulty.serving() as server:
        sampler = OpenAISampler(server.base_url, "m")
        app = create_app(**{**GIVEN, "samplers": sampler, "reward": grade})
        with TestClient(app) as client:
            told = ask(client).json()["adaalloc"]
            counted = client.get("/metrics").text
    assert (told["reward"], told["verdict"]) == (None, "none")
    assert 'adaalloc_answers_total{verdict="none"} 1\n' in counted
