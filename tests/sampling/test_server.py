"""What is said of a server: never its key."""

import pytest

from sklearn_adaalloc.sampling._openai.server import Server

openai = pytest.importorskip("openai", reason="needs the extra openai")

SERVER = Server("http://localhost:8000/v1", "secret-key", "MY_KEY", 1.5)


def test_the_key_is_not_shown():
    assert repr(SERVER) == "Server(base_url='http://localhost:8000/v1')"
    assert "secret-key" not in f"{SERVER} {SERVER!r}"


@pytest.mark.parametrize(
    "error", [openai.OpenAIError("bad secret-key"), ValueError("bad secret-key")]
)
def test_an_unknown_error_ends_all_without_telling_the_key(error):
    problem = SERVER.diagnose(error)
    assert problem.kind == "fatal"
    assert problem.message == f"{type(error).__name__}: bad ***"


def test_a_late_reply_may_be_asked_for_again():
    problem = SERVER.diagnose(TimeoutError())
    assert problem.kind == "passing"
    assert problem.message.endswith("took over 1.5 s")
