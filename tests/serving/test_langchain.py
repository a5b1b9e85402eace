"""LangChain's class for OpenAI, as it is, against a running server."""

import asyncio

import pytest
from endpoints import MODEL, half_right

langchain_openai = pytest.importorskip(
    "langchain_openai", reason="needs langchain-openai: `make test-integrations` has it"
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
    return langchain_openai.ChatOpenAI(
        model=MODEL,
        base_url=address,
        **{"api_key": KEY, "max_retries": 0, **parameters},
    )


@pytest.fixture(scope="module")
def model(address):
    return model_of(address)


def test_invoke(model):
    message = model.invoke("2+3=")
    assert message.content == ANSWER
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.response_metadata["model_name"] == MODEL
    # Two samples were drawn, of 7 tokens of a prompt and 4 of an answer each.
    usage = message.usage_metadata
    assert (usage["input_tokens"], usage["output_tokens"]) == (14, 8)


def test_a_conversation(model, server):
    messages = [("system", "Be brief."), ("user", "2+3=")]
    assert model.invoke(messages).content == ANSWER
    sent = [(each["role"], each["content"]) for each in server.bodies[-1]["messages"]]
    assert sent == messages


def test_stream(model):
    chunks = list(model.stream("2+3=", stream_usage=True))
    assert "".join(chunk.content for chunk in chunks) == ANSWER
    [usage] = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert usage["total_tokens"] > 0


def test_many_at_a_time(model):
    texts = [f"q{i}" for i in range(20)]
    expected = [f"{text} None 0" for text in texts]
    assert [message.content for message in model.batch(texts)] == expected


def test_awaited(address):
    async def main():
        model = model_of(address)
        message = await model.ainvoke("2+3=")
        return message.content, [chunk.content async for chunk in model.astream("2+3=")]

    content, parts = asyncio.run(main())
    assert content == "".join(parts) == ANSWER


def test_n_and_parameters(address, server):
    from langchain_core.messages import HumanMessage

    model = model_of(address, n=3, temperature=0.5, max_tokens=9, seed=4)
    [choices] = model.generate([[HumanMessage("4+4=")]]).generations
    assert len({choice.text for choice in choices}) == 3  # each has its own seeds
    body = server.bodies[-1]
    assert (body["temperature"], body["max_tokens"]) == (0.5, 9)


def test_wishes(address, server):
    model = model_of(address, extra_body={"adaalloc": {"max_samples": 1}})
    before = len(server.bodies)
    model.invoke("never asked before")
    assert len(server.bodies) == before + 1


def test_texts(address):
    model = langchain_openai.OpenAI(
        model=MODEL, base_url=address, api_key=KEY, max_retries=0
    )
    assert model.invoke("2+3=") == ANSWER
    assert "".join(model.stream("2+3=")) == ANSWER


def test_errors_are_those_of_the_client(address, model):
    openai = pytest.importorskip("openai")
    with pytest.raises(openai.AuthenticationError, match="missing or wrong"):
        model_of(address, api_key="wrong").invoke("2+3=")
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    with pytest.raises(openai.BadRequestError, match="tools is not supported"):
        model.bind_tools([tool]).invoke("2+3=")
