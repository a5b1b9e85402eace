"""The command that serves a policy: its options, its end, its memory over restarts."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import faulty_server as faulty
import numpy as np
import pytest

import sklearn_adaalloc
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

openai = pytest.importorskip("openai", reason="needs the extra openai")
ROOT = Path(sklearn_adaalloc.__file__).parents[1]
GRADE = (
    "def grade(queries, answers):\n    return [[0.0] * len(row) for row in answers]\n"
)
CHAT = [{"role": "user", "content": "2+3="}]


@pytest.fixture
def policy(run, table, tmp_path):
    code, _, err = run(
        *("fit", table, "--budget", 2, "--policy", "stream"),
        *("--out", tmp_path / "policy"),
    )
    assert (code, err) == (0, "")
    return tmp_path / "policy"


def serving(policy, server, *words, **variables):
    """Run the command on a policy as a process; the process, and a client of it."""
    (policy.parent / "rewards.py").write_text(GRADE)
    command = [sys.executable, "-m", "sklearn_adaalloc", "serve", str(policy)]
    command += ["--upstream", server.base_url, "--model", "m", "--port", "0"]
    command += ["--reward", "rewards:grade", "--no-probe", *words]
    return started(command, "m", cwd=policy.parent, **variables)


@contextmanager
def started(command, model, *, cwd, **variables):
    """Run a command as a process; the process, and a client of its model."""
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        cwd=cwd,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stderr.readline()
        [address] = re.findall(rf"{model} answers at (http\S+)\n", line)
        key = variables.get("ADAALLOC_API_KEY", "-")
        with openai.OpenAI(base_url=address, api_key=key, max_retries=0) as client:
            yield process, client
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def ask(client):
    return client.chat.completions.create(model="m", messages=CHAT)


def ask_together(client, n):
    """Ask so many at a time; the replies, once all are there."""
    with ThreadPoolExecutor(n) as threads:
        return list(threads.map(lambda _: ask(client), range(n)))


def test_it_counts_on_after_it_was_killed(policy, tmp_path):
    state = str(tmp_path / "stream.sqlite")
    n_asked = []
    with faulty.serving() as server:
        for _ in range(2):
            with serving(policy, server, "--state", state) as (process, client):
                for _ in range(3):
                    assert ask(client).adaalloc["samples"] > 0
                process.send_signal(signal.SIGKILL)
                process.wait()
            n_asked.append(len(server.bodies))
        stream = sklearn_adaalloc.load_policy(policy)[-1].open(path=state)
        with stream:
            assert stream.n_queries == 6
            assert stream.mean_cost * 6 == pytest.approx(len(server.bodies))
    assert n_asked[1] > n_asked[0] > 0


def test_when_told_to_stop_it_finishes_what_is_in_flight(policy):
    asked, go = threading.Event(), threading.Event()

    def wait(handler, choices):
        asked.set()
        go.wait(20)
        handler.answer(choices)

    replies = []
    with (
        faulty.serving(lambda number, body: None if number else wait) as server,
        serving(policy, server) as (process, client),
    ):
        thread = threading.Thread(target=lambda: replies.append(ask(client)))
        thread.start()
        assert asked.wait(20)
        process.send_signal(signal.SIGTERM)
        go.set()
        thread.join()
        assert replies[0].choices[0].finish_reason == "stop"
        assert process.wait(20) in (0, -signal.SIGTERM)
        assert "Traceback" not in process.stderr.read()


def test_keys_come_from_the_environment_and_are_not_printed(policy):
    keys = {"ADAALLOC_API_KEY": "sesame", "OPENAI_API_KEY": "upstream-key"}
    with (
        faulty.serving() as server,
        serving(policy, server, **keys) as (process, client),
    ):
        ask(client)
        with pytest.raises(openai.AuthenticationError):
            ask(client.with_options(api_key="wrong"))
        assert set(server.keys) == {"Bearer upstream-key"}
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        printed = process.stderr.read()
    assert "sesame" not in printed
    assert "upstream-key" not in printed


# Several processes


def workers_of(process):
    """Numbers of the processes that answer: children of the child that starts them."""

    def children(pid):
        command = ["ps", "-o", "pid=", "--ppid", str(pid)]
        return subprocess.run(command, capture_output=True, text=True).stdout.split()

    return {int(each) for child in children(process.pid) for each in children(child)}


@pytest.mark.slow
def test_workers_count_together_and_are_replaced(policy, tmp_path):
    words = ("--state", str(tmp_path / "stream.sqlite"), "--workers", "2")
    with (
        faulty.serving() as server,
        serving(policy, server, *words) as (process, client),
    ):
        replies = ask_together(client, 12)
        before = workers_of(process)
        assert len(before) == 2
        killed = min(before)
        time.sleep(1.5)  # it has written its counts
        os.kill(killed, signal.SIGKILL)
        end = time.monotonic() + 60
        while len(workers_of(process) - {killed}) < 2:
            assert time.monotonic() < end
            time.sleep(0.1)
        replies += ask_together(client, 12)
        time.sleep(1.5)
        metrics = client.get("/../metrics", cast_to=str)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()
    n_samples = sum(reply.adaalloc["samples"] for reply in replies)
    assert len(server.bodies) == n_samples
    assert f'adaalloc_samples_total{{decoder="m"}} {n_samples}\n' in metrics
    assert "adaalloc_request_seconds_count 24\n" in metrics
    with sklearn_adaalloc.load_policy(policy)[-1].open(path=words[1]) as stream:
        assert stream.n_queries == 24
        assert stream.mean_cost * 24 == pytest.approx(n_samples)


@pytest.mark.slow
def test_all_workers_finish_what_is_in_flight(policy, tmp_path):
    go, asked = threading.Event(), threading.Semaphore(0)

    def wait(handler, choices):
        asked.release()
        go.wait(60)
        handler.answer(choices)

    words = ("--state", str(tmp_path / "stream.sqlite"), "--workers", "2")
    with (
        faulty.serving(lambda number, body: wait) as server,
        serving(policy, server, *words) as (process, client),
        ThreadPoolExecutor(1) as thread,
    ):
        replies = thread.submit(ask_together, client, 8)
        for _ in range(8):
            assert asked.acquire(timeout=60)
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        go.set()
        assert len(replies.result()) == 8
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()


@pytest.mark.slow
def test_workers_do_not_outlive_the_process_that_started_them(policy, tmp_path):
    words = ("--state", str(tmp_path / "stream.sqlite"), "--workers", "2")
    with (
        faulty.serving() as server,
        serving(policy, server, *words) as (process, client),
    ):
        ask(client)
        workers = workers_of(process)
        process.kill()
        process.wait()
        end = time.monotonic() + 60
        while any(Path(f"/proc/{each}").exists() for each in workers):
            assert time.monotonic() < end
            time.sleep(0.1)


def test_workers_need_a_file_that_they_share(policy, run):
    words = ("--upstream", "http://a/v1", "--model", "m", "--reward", "math")
    code, _, err = run("serve", policy, *words, "--workers", 2, "--no-probe")
    assert code == 2
    assert "--workers 2 needs --state FILE" in err


# The start


@pytest.mark.parametrize(
    ("models", "fault", "message"),
    [
        (["m2"], faulty.status(404, "no model m"), "no model m. Its models are m2."),
        (None, faulty.echo_key, "status 401: Incorrect API key: Bearer none"),
        (None, faulty.drop, "cannot be reached"),
    ],
)
def test_a_server_that_will_not_answer_is_found_out_first(
    models, fault, message, policy, run, tmp_path
):
    state = tmp_path / "stream.sqlite"
    with faulty.serving(lambda number, body: fault, models=models) as server:
        words = ("--upstream", server.base_url, "--model", "m", "--reward", "math")
        code, _, err = run("serve", policy, *words, "--state", state, "--port", 0)
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
    words, message, policy, run, monkeypatch
):
    monkeypatch.chdir(policy.parent)
    Path("rewards.py").write_text(GRADE)
    words = words if "--reward" in words else [*words, "--reward", "math"]
    words = [*words, "--no-probe"]
    code, _, err = run("serve", policy, "--model", "m", "--port", 0, *words)
    assert code in (1, 2)
    assert message in err


def test_ports_and_addresses_that_cannot_be_had(policy, run):
    words = ("--upstream", "http://a/v1", "--model", "m", "--reward", "math")
    words = ("serve", policy, *words, "--no-probe")
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
