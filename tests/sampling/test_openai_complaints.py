"""Servers that say what is wrong: in which words, and whom it concerns."""

import faulty_server as faulty
import numpy as np
import pytest
from servers import first, sampler_of

pytest.importorskip("aiohttp", reason="needs the extra openai")

pytestmark = pytest.mark.usefixtures("short_waits")


def always(fault):
    return lambda number, body: fault


def only(prompt, fault):
    """Fail on one prompt."""
    return lambda number, body: (
        fault if body["messages"][-1]["content"] == prompt else None
    )


def outcomes(arrivals):
    """Answered and failed (row, sample) pairs, and the errors."""
    arrivals = list(arrivals)
    failed = [each for each in arrivals if each.error]
    return (
        sorted((each.row, each.sample) for each in arrivals if not each.error),
        sorted((each.row, each.sample) for each in failed),
        [str(each.error) for each in failed],
    )


# Errors in the body of a reply with status 200

COMPLAINTS = {
    "a message with a code": {"error": {"message": "it is late", "code": 503}},
    "a text": {"error": "it is late"},
    "a list": [{"error": {"message": "it is late", "status": "UNAVAILABLE"}}],
    "errors": {"errors": [{"message": "it is late"}]},
    "a detail": {"detail": "it is late"},
    "a list of details": {"detail": [{"loc": ["body"], "msg": "it is late"}]},
    "an object": {"object": "error", "message": "it is late", "code": 500},
    "beside null choices": {"choices": None, "error": {"message": "it is late"}},
    "beside no choices": {"choices": [], "message": "it is late"},
    "in a choice": {
        "choices": [
            {"finish_reason": "error", "error": {"code": 502, "message": "it is late"}}
        ]
    },
    "true and a message": {"error": True, "message": "it is late"},
    "JSON text": "it is late",
}


@pytest.mark.parametrize("content", COMPLAINTS.values(), ids=COMPLAINTS)
def test_the_reason_in_a_reply_with_status_200_is_passed_on(content):
    with faulty.serving(always(faulty.body(content))) as server:
        sampler = sampler_of(server, max_retries=1)
        with pytest.raises(ConnectionError, match=r"it is late \(2 attempts\)"):
            sampler.sample(["a"], 1)
    assert len(server.bodies) == 2


@pytest.mark.parametrize("content", COMPLAINTS.values(), ids=COMPLAINTS)
def test_what_passes_is_tried_again_with_status_200_too(content):
    with faulty.serving(first(faulty.body(content))) as server:
        assert sampler_of(server).sample(["a"], 2) == [["a None 0", "a None 1"]]


@pytest.mark.parametrize(
    ("error", "n_requests"),
    [
        ({"message": "no credits", "code": 402}, 1),
        ({"message": "no credits", "code": "402"}, 1),
        ({"message": "no credits", "code": "insufficient_quota"}, 1),
        ({"message": "no credits", "type": "authentication_error"}, 1),
        ({"message": "no credits", "status": "UNAUTHENTICATED"}, 1),
    ],
)
def test_a_fatal_error_with_status_200_ends_all(error, n_requests):
    with (
        faulty.serving(always(faulty.body({"error": error}))) as server,
        pytest.raises(ValueError, match="no credits"),
    ):
        sampler_of(server, max_concurrency=1).sample(["a", "b"], 2)
    assert len(server.bodies) == n_requests


@pytest.mark.parametrize(
    "error",
    [
        {"message": "filtered", "code": 400},
        {"message": "filtered", "code": "content_filter"},
        {"message": "filtered", "type": "invalid_request_error", "code": None},
        {"message": "filtered", "status": "INVALID_ARGUMENT"},
    ],
)
def test_a_refusal_with_status_200_costs_only_its_prompt(error):
    with faulty.serving(only("b", faulty.body({"error": error}))) as server:
        answered, failed, errors = outcomes(
            sampler_of(server, use_n=False).sample_each(["a", "b", "c"], [2, 1, 1])
        )
    assert (answered, failed) == ([(0, 0), (0, 1), (2, 0)], [(1, 0)])
    assert "filtered" in errors[0]
    assert len(server.bodies) == 4


def test_a_page_in_place_of_json_is_quoted():
    def page(handler, choices):
        text = b"<html><script>x</script><h1>Sign in</h1>\n to go on</html>"
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    with (
        faulty.serving(always(page)) as server,
        pytest.raises(ConnectionError, match="no JSON, but 'x Sign in to go on'"),
    ):
        sampler_of(server, max_retries=0).sample(["a"], 1)


def test_a_reply_nested_beyond_reading_is_quoted():
    def nested(handler, choices):
        handler.send_response(200)
        handler.send_header("Content-Length", "200000")
        handler.end_headers()
        handler.wfile.write(b"[" * 200_000)

    with (
        faulty.serving(always(nested)) as server,
        pytest.raises(ConnectionError, match=r"no JSON, but '\[\["),
    ):
        sampler_of(server, max_retries=0).sample(["a"], 1)


def test_a_key_in_a_reply_with_status_200_is_blotted_out(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")

    def fault(handler, choices):
        key = handler.headers["Authorization"]
        handler.reply(200, {"error": f"bad key {key}"})

    with (
        faulty.serving(always(fault)) as server,
        pytest.raises(ConnectionError, match=r"bad key Bearer \*\*\*") as caught,
    ):
        sampler_of(server, max_retries=0).sample(["a"], 1)
    assert "secret" not in str(caught.value)


# One prompt is refused


@pytest.mark.parametrize(
    "fault",
    [
        faulty.status(400, "filtered"),
        faulty.status(413, "filtered"),
        faulty.status(422, "filtered"),
        faulty.status(451, "filtered"),
        faulty.status(403, "Your input was flagged: filtered"),
    ],
)
@pytest.mark.parametrize("budget", [1, 3])
def test_a_refused_prompt_fails_alone_wherever_it_stands(fault, budget):
    for prompts in (["b", "a", "c"], ["a", "b", "c"]):
        with faulty.serving(only("b", fault)) as server:
            answered, failed, errors = outcomes(
                sampler_of(server).sample_each(prompts, budget)
            )
        row = prompts.index("b")
        assert failed == [(row, j) for j in range(budget)]
        assert len(answered) == 2 * budget
        assert all("filtered" in error for error in errors)
        # The others are asked for all their samples at once all the same.
        of_others = [
            body.get("n", 1)
            for body in server.bodies
            if body["messages"][0]["content"] != "b" and body["max_tokens"] > 1
        ]
        assert of_others == [budget, budget]


def test_a_prompt_is_not_asked_for_again_sample_by_sample():
    with faulty.serving(only("b", faulty.status(400))) as server:
        list(sampler_of(server).sample_each(["b", "a"], [50, 1]))
    of_b = [body for body in server.bodies if body["messages"][0]["content"] == "b"]
    assert len(of_b) == 3  # how it counts, fifty, one


def test_a_forbidden_prompt_is_one_once_others_were_answered():
    with faulty.serving(only("b", faulty.status(403, "no"))) as server:
        sampler = sampler_of(server, max_concurrency=1)
        answered, failed, _ = outcomes(sampler.sample_each(["a", "b", "c"], 1))
    assert (answered, failed) == ([(0, 0), (2, 0)], [(1, 0)])


def test_a_reply_with_429_for_want_of_money_is_not_tried_again():
    def fault(handler, choices):
        error = {"message": "pay first", "code": "insufficient_quota"}
        handler.reply(429, {"error": error})

    with (
        faulty.serving(always(fault)) as server,
        pytest.raises(ValueError, match=r"(?s)429.*pay first"),
    ):
        sampler_of(server, max_concurrency=1).sample(["a", "b"], 1)
    assert len(server.bodies) == 1


@pytest.mark.parametrize("budget", [1, 2])
def test_a_server_that_refuses_all_prompts_says_so(budget):
    with faulty.serving(always(faulty.status(400, "unknown field top_k"))) as server:
        arrivals = sampler_of(server).sample_each(["a", "b", "c"], budget)
        with pytest.raises(
            ValueError, match=r"None of 3 prompts was answered\. .*unknown field top_k"
        ):
            list(arrivals)


def test_two_refused_prompts_of_a_server_that_has_answered_do_not_end_it():
    faults = [None, faulty.status(400), faulty.status(400)]
    with faulty.serving(first(*faults)) as server:
        sampler = sampler_of(server)
        assert sampler.sample(["a"], 1)
        assert len(outcomes(sampler.sample_each(["b", "c"], 1))[1]) == 2


def test_a_single_refused_prompt_is_an_arrival():
    with faulty.serving(always(faulty.status(400, "too long"))) as server:
        answered, failed, errors = outcomes(sampler_of(server).sample_each(["a"], 2))
    assert (answered, failed) == ([], [(0, 0), (0, 1)])
    assert "too long" in errors[0]


# Texts that are withheld, or stand elsewhere


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"finish_reason": "content_filter"}, "content filter withheld"),
        (
            {"finish_reason": "content_filter", "message": {"content": None}},
            "content filter withheld",
        ),
        ({"finish_reason": "content_filter: SAFETY"}, "content filter withheld"),
        ({"finish_reason": "SAFETY"}, "content filter withheld"),
        (
            {
                "finish_reason": "tool_calls",
                "message": {"content": None, "tool_calls": [{"id": "1"}]},
            },
            "called a tool",
        ),
    ],
)
def test_a_withheld_text_fails_alone(changes, reason):
    def faults(number, body):
        return faulty.spoil(**changes) if body.get("n") == 3 else None

    with faulty.serving(faults) as server:
        arrivals = list(sampler_of(server).sample_each(["a", "b"], [3, 1]))
    (failed,) = [each for each in arrivals if each.error]
    assert (failed.row, failed.sample, failed.answer) == (0, 0, None)
    assert reason in str(failed.error)
    assert np.isnan(failed.answer_tokens)
    assert len(arrivals) == 4
    # The prompt was paid for; how the sum of the answers' tokens divides is unknown.
    assert sum(each.prompt_tokens for each in arrivals if each.answer) == 14
    assert all(np.isnan(each.answer_tokens) for each in arrivals if each.row == 0)
    assert len(server.bodies) == 4  # none of them again


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": ""}, ""),
        ({"content": "75", "reasoning_content": "70 + 5"}, "75"),
        ({"content": None, "reasoning_content": "70 + 5"}, ""),
        ({"content": None, "reasoning": "70 + 5"}, ""),
        ({"content": None, "refusal": "I cannot help."}, "I cannot help."),
        ({"content": "75", "refusal": None, "tool_calls": None}, "75"),
        ({"content": "75", "tool_calls": [{"id": "1"}]}, "75"),
        ({"content": [{"type": "text", "text": "7"}, {"text": "5"}]}, "75"),
        (
            {"content": [{"type": "thinking", "text": "?"}, {"text": "75"}]},
            "75",
        ),
    ],
)
def test_where_the_text_of_a_message_stands(message, text):
    with faulty.serving(first(faulty.spoil(message=message))) as server:
        assert sampler_of(server).sample(["a"], 1) == [[text]]
    assert len(server.bodies) == 1


@pytest.mark.parametrize("finish", ["error", "abort", ""])
def test_an_answer_that_broke_off_is_asked_for_again(finish):
    with faulty.serving(first(faulty.spoil(finish_reason=finish))) as server:
        assert sampler_of(server).sample(["a"], 2)[0][0] == "a None 1"
    assert [body.get("n", 1) for body in server.bodies] == [2, 1]
