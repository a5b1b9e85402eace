"""LlamaIndex's class for servers like OpenAI's, as it is, against a running server."""

import asyncio

import pytest
from endpoints import MODEL, half_right

openai_like = pytest.importorskip(
    "llama_index.llms.openai_like",
    reason="needs llama-index-llms-openai-like: `make test-integrations` has it",
)
KEY = "sesame"
ANSWER = "2+3= None 0"


@pytest.fixture(scope="module")
def served():
    with half_right(KEY) as served:
        yield served


@pytest.fixture(scope="module")
def server(served):
    return served[0]


@pytest.fixture(scope="module")
def address(served):
    return served[1]


def model_of(address, **parameters):
    return openai_like.OpenAILike(
        model=MODEL,
        api_base=address,
        **{"api_key": KEY, "max_retries": 0, **parameters},
    )


@pytest.fixture(params=[True, False], ids=["chat", "text"])
def model(address, request):
    return model_of(address, is_chat_model=request.param)


def test_complete(model):
    reply = model.complete("2+3=")
    assert reply.text == ANSWER
    assert reply.additional_kwargs["completion_tokens"] > 0
    assert reply.raw.adaalloc["verdict"] == "grade"


def test_stream(model):
    parts = list(model.stream_complete("2+3="))
    assert "".join(part.delta for part in parts) == ANSWER
    assert parts[-1].text == ANSWER


def test_a_conversation(address, server):
    from llama_index.core.llms import ChatMessage

    sent = [("system", "Be brief."), ("user", "2+3=")]
    messages = [ChatMessage(role=role, content=text) for role, text in sent]
    model = model_of(address, is_chat_model=True)
    assert model.chat(messages).message.content == ANSWER
    parts = [part.delta for part in model.stream_chat(messages)]
    assert "".join(parts) == ANSWER
    seen = [(each["role"], each["content"]) for each in server.bodies[-1]["messages"]]
    assert seen == sent


def test_awaited(address):
    async def main():
        model = model_of(address, is_chat_model=True)
        reply = await model.acomplete("2+3=")
        parts = await model.astream_complete("2+3=")
        return reply.text, [part.delta async for part in parts]

    text, parts = asyncio.run(main())
    assert text == "".join(parts) == ANSWER


def test_wishes(address, server):
    wishes = {"extra_body": {"adaalloc": {"max_samples": 1}}}
    model = model_of(address, is_chat_model=True, additional_kwargs=wishes)
    before = len(server.bodies)
    assert model.complete("never asked before").raw.adaalloc["samples"] == 1
    assert len(server.bodies) == before + 1


def test_errors_are_those_of_the_client(address):
    openai = pytest.importorskip("openai")
    with pytest.raises(openai.AuthenticationError, match="missing or wrong"):
        model_of(address, api_key="wrong").complete("2+3=")
