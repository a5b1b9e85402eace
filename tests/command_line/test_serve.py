"""The command that serves a policy: its options, and what it refuses at the start."""

import socket
import sys
from argparse import Namespace
from pathlib import Path

import faulty_server as faulty
import numpy as np
import pytest
from serve_processes import GRADE, started

from sklearn_adaalloc import collect_rewards, load_policy
from sklearn_adaalloc.command_line._configuration import (
    UsageError,
    apply_configuration,
)
from sklearn_adaalloc.command_line._main import build_parser
from sklearn_adaalloc.command_line._serving import (
    demonstration_policy,
    grade_tasks,
    prices_of,
    samplers_of,
)
from sklearn_adaalloc.datasets import load_arithmetic
from sklearn_adaalloc.metrics import expected_reward_score
from sklearn_adaalloc.serving import create_app

pytest.importorskip("openai", reason="needs the extra openai")


def test_workers_need_a_file_that_they_share(stream_policy, run):
    words = ("--upstream", "http://a/v1", "--model", "m", "--reward", "math")
    code, _, err = run("serve", stream_policy, *words, "--workers", 2, "--no-probe")
    assert code == 2
    assert "--workers 2 needs --state FILE" in err


@pytest.mark.parametrize(
    ("models", "fault", "message"),
    [
        (["m2"], faulty.status(404, "no model m"), "no model m. Its models are m2."),
        (None, faulty.echo_key, "status 401: Incorrect API key: Bearer none"),
        (None, faulty.drop, "cannot be reached"),
    ],
)
def test_a_server_that_will_not_answer_is_found_out_first(
    models, fault, message, stream_policy, run, tmp_path
):
    state = tmp_path / "stream.sqlite"
    with faulty.serving(lambda number, body: fault, models=models) as server:
        words = ("--upstream", server.base_url, "--model", "m", "--reward", "math")
        code, _, err = run(
            "serve", stream_policy, *words, "--state", state, "--port", 0
        )
    assert code == 1
    assert message in err
    assert len(err.splitlines()) == 1
    assert "answers at" not in err


OPTIONS = {
    "upstream": None,
    "decoder": None,
    "model": "m",
    "reward": "math",
    "temperature": 0.7,
    "max_new_tokens": 8,
    "max_concurrency": 4,
    "timeout": 1.0,
    "max_retries": 0,
    "api_key_env": "OPENAI_API_KEY",
}


def test_each_decoder_has_a_server_and_a_key_of_its_own():
    places = ["small=http://a/v1,m1", "very-large=http://b/v1,org/m2"]
    samplers = samplers_of(Namespace(**{**OPTIONS, "decoder": places}))
    assert list(samplers) == ["small", "very-large"]
    large = samplers["very-large"]
    assert (large.base_url, large.model) == ("http://b/v1", "org/m2")
    assert large.api_key_env == "OPENAI_API_KEY_VERY_LARGE"


def test_decoders_may_stand_in_a_file(tmp_path):
    path = tmp_path / "serve.toml"
    path.write_text('[serve]\ndecoder = ["a=http://a/v1,m", "b=http://b/v1,m"]\n')
    parser, commands = build_parser()
    apply_configuration(str(path), "serve", commands)
    options = parser.parse_args(["serve", "policy", "--model", "m", "--reward", "math"])
    assert list(samplers_of(options)) == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Expected either --upstream"),
        ({"upstream": "http://a/v1", "decoder": ["a=http://a/v1,m"]}, "either"),
        ({"decoder": ["a"]}, "--decoder a is not accepted"),
        ({"decoder": ["a=http://a/v1"]}, "NAME=URL,MODEL"),
        ({"decoder": ["a=http://a/v1,m", "a=http://b/v1,m"]}, "each name once"),
        ({"model": None, "upstream": "http://a/v1"}, "--model is missing"),
        ({"reward": None, "upstream": "http://a/v1"}, "--reward is missing"),
    ],
)
def test_servers_that_are_not_accepted(options, message):
    with pytest.raises(UsageError, match=message):
        samplers_of(Namespace(**{**OPTIONS, **options}))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--upstream", "ftp://a"], "base_url='ftp://a' is not accepted"),
        (["--upstream", "./no-model"], "./no-model"),
        (["--upstream", "http://a/v1", "--reward", "model:embedded"], "gives scores"),
        (["--upstream", "http://a/v1", "--price", "dear"], "--price dear is not"),
        (
            ["--upstream", "http://a/v1", "--reward", "magic"],
            "model:NAME, or mod",
        ),
        (["--upstream", "http://a/v1", "--state", "rewards.py"], "rewards.py"),
    ],
)
def test_what_is_wrong_is_said_before_it_listens(
    words, message, stream_policy, run, monkeypatch
):
    monkeypatch.chdir(stream_policy.parent)
    Path("rewards.py").write_text(GRADE)
    words = words if "--reward" in words else [*words, "--reward", "math"]
    words = [*words, "--no-probe"]
    code, _, err = run("serve", stream_policy, "--model", "m", "--port", 0, *words)
    assert code in (1, 2)
    assert message in err


def test_ports_and_addresses_that_cannot_be_had(stream_policy, run):
    words = ("--upstream", "http://a/v1", "--model", "m", "--reward", "math")
    words = ("serve", stream_policy, *words, "--no-probe")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = run(*words, "--port", port)
    assert code == 1
    assert f"error: 127.0.0.1:{port}: Address already in use" in err
    code, _, err = run(*words, "--port", 70_000)
    assert code == 2
    assert "'70000' is no whole number of at least 0 and at most 65535" in err


def test_a_policy_for_batches_is_refused_at_the_start(run, table, tmp_path):
    out = tmp_path / "policy"
    run("fit", table, "--budget", 2, "--out", out)
    words = ("--upstream", "http://a/v1", "--model", "m", "--reward", "math")
    code, _, err = run("serve", out, *words, "--port", 0, "--no-probe")
    assert code == 1
    assert "decides jointly for a batch" in err


def test_the_demonstration_needs_nothing(tmp_path):
    command = [sys.executable, "-m", "sklearn_adaalloc", "serve", "--demo", "--port=0"]
    with started(command, "embedded", cwd=tmp_path) as (_, client):
        reply = client.chat.completions.create(
            model="embedded", messages=[{"role": "user", "content": "rev abc="}]
        )
        other = client.chat.completions.create(
            model="embedded", messages=[{"role": "user", "content": "Who are you?"}]
        )
    assert reply.choices[0].message.content == "cba"
    assert reply.adaalloc["reward"] == 1.0
    assert 0 < reply.adaalloc["predicted_success"] <= 1
    assert reply.usage.completion_tokens >= 4
    assert other.adaalloc["reward"] is None


def test_the_policy_of_the_demonstration_beats_equal_budgets():
    data = load_arithmetic("math")
    policy = demonstration_policy()
    X = policy[:-1].transform(data.queries_test)
    budgets, spent = policy[-1]._replay(X, data.rewards_test)
    taken = np.arange(data.rewards_test.shape[1]) < budgets[:, None]
    solved = (data.rewards_test * taken).max(axis=1)
    equal = expected_reward_score(data.rewards_test, float(spent.mean()))
    assert spent.mean() == pytest.approx(4, rel=0.02)
    assert solved.mean() > equal + 0.03


def test_what_is_no_task_is_not_graded():
    graded = grade_tasks(["2+3=", "Hello"], [["5", "7"], ["Hello."]])
    np.testing.assert_array_equal(graded[0], [1.0, 0.0])
    np.testing.assert_array_equal(graded[1], [np.nan])


@pytest.mark.parametrize(
    ("decoder", "price", "expected"),
    [
        (None, None, None),
        (None, ["0.1,0.4"], (0.1, 0.4)),
        (None, ["3"], 3.0),
        (["..."], ["org/a=0.1,0.4", "b=3"], {"org/a": (0.1, 0.4), "b": 3.0}),
    ],
)
def test_prices(decoder, price, expected):
    assert prices_of(Namespace(decoder=decoder, price=price)) == expected


@pytest.mark.parametrize(
    ("decoder", "price", "message"),
    [
        (None, ["a=3"], "--price a=3 is not accepted"),
        (None, ["1,2,3"], "PROMPT,ANSWER"),
        (None, ["1", "2"], "--price 2 is the second for it"),
        (["..."], ["3"], "with --decoder, NAME= before it"),
        (["..."], ["a=3", "a=4"], "--price a=4 is the second"),
    ],
)
def test_prices_that_are_not_accepted(decoder, price, message):
    with pytest.raises(UsageError, match=message):
        prices_of(Namespace(decoder=decoder, price=price))


def test_prices_may_stand_in_a_file(tmp_path):
    path = tmp_path / "serve.toml"
    path.write_text('[serve]\nupstream = "http://a/v1"\nprice = "0.5,2"\n')
    parser, commands = build_parser()
    apply_configuration(str(path), "serve", commands)
    assert prices_of(parser.parse_args(["serve", "policy"])) == (0.5, 2.0)


def test_without_a_policy(run):
    words = ("--upstream", "http://a/v1", "--model", "m", "--reward", "math")
    code, _, err = run("serve", *words)
    assert code == 2
    assert "POLICY is missing" in err


def test_a_policy_of_another_model_is_refused_at_the_start(run, tmp_path):
    """A store says who answered, and the policy that is fitted on it remembers."""
    store, out = tmp_path / "store.sqlite", tmp_path / "policy"

    def answer(prompts, budgets):
        return [["0", "1"][:n] for n in budgets]

    def grade(queries, answers):
        return [[float(text == "1") for text in row] for row in answers]

    collect_rewards(
        [f"query {i}" for i in range(60)],
        answer,
        grade,
        2,
        store=store,
        settings={"sampler": "OpenAISampler", "model": "large"},
        progress=False,
    )
    words = ("--budget", 1, "--policy", "stream", "--features", "text")
    code, _, err = run("fit", store, *words, "--out", out)
    assert (code, err) == (0, "")
    words = ("--reward", "math", "--port", 0, "--no-probe")
    code, _, err = run(
        "serve", out, "--upstream", "http://a/v1", "--model", "m", *words
    )
    assert code == 1
    assert "policy learnt from answers of 'large', but 'm' is to answer" in err
    assert "--decoder 'large=URL,MODEL'" in err
    accepted = samplers_of(Namespace(**{**OPTIONS, "decoder": ["large=http://a/v1,m"]}))
    app = create_app(load_policy(out), accepted, "math", model="m")
    assert list(app.state.answerer._upstreams) == ["large"]
