"""Sampling and grading into a store, from the command line."""

import json
import shutil
import sys

import pytest
from answer_files import write_csv, write_lines

from sklearn_adaalloc.collect import RewardStore
from sklearn_adaalloc.command_line import _collecting
from sklearn_adaalloc.language_models._checkpoints import EMBEDDED

ROWS = [
    {"query": "2+3=", "gold": "5"},
    {"query": "9-4=", "gold": "5"},
    {"query": "12+30=", "gold": "42"},
]


@pytest.fixture
def collecting(tmp_path, run):
    """Run `collect` on three queries, in a folder of its own."""
    queries = write_csv(tmp_path / "queries.csv", ROWS)
    shared = ("--queries", queries, "--store", tmp_path / "store", "--n-samples", 2)
    shared += ("--max-new-tokens", 8)

    def collect(*words):
        return run("collect", *shared, *words)

    return collect


def test_answers_of_the_embedded_model_are_graded_and_kept(collecting, tmp_path, run):
    words = ("--reward", "sklearn_adaalloc.datasets:grade_arithmetic")
    code, printed, err = collecting(*words, "--json")
    assert (code, err) == (0, "")
    told = json.loads(printed)
    assert (told["queries"], told["graded"]) == (3, 6)
    with RewardStore(tmp_path / "store") as store:
        queries, before = store.to_arrays()
    assert queries == [row["query"] for row in ROWS]
    assert told["right"] == pytest.approx((before == 1).mean())
    assert collecting(*words)[0] == 0  # nothing is asked or graded again
    with RewardStore(tmp_path / "store") as store:
        assert store.to_arrays()[1].tolist() == before.tolist()
        assert len(store.settings("sampler")) == 1


def test_a_file_of_options_and_references_for_mathematics(tmp_path, run):
    write_lines(tmp_path / "queries.jsonl", ROWS)
    text = f"""
        [collect]
        queries = "{tmp_path / "queries.jsonl"}"
        store = "{tmp_path / "store"}"
        reward = "math"
        reference = "gold"
        n-samples = 2
        max-new-tokens = 8
    """
    (tmp_path / "collect.toml").write_text(text)
    code, printed, _ = run("collect", tmp_path / "collect.toml")
    assert code == 0
    assert "has 6 graded answers to 3 queries" in printed
    assert f"Next: adaalloc report {tmp_path / 'store'}" in printed


def test_a_function_of_the_current_folder_grades(tmp_path, collecting, monkeypatch):
    (tmp_path / "my_rewards.py").write_text(
        "import numpy as np\n"
        "def grade(queries, answers):\n"
        "    return [np.ones(len(row)) for row in answers]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    code, printed, _ = collecting("--reward", "my_rewards:grade", "--json")
    assert (code, json.loads(printed)["right"]) == (0, 1.0)


@pytest.fixture
def instructed(tmp_path):
    """The embedded model, which gets the task that it knows from its template only."""
    folder = shutil.copytree(EMBEDDED, tmp_path / "instructed")
    (folder / "chat_template.jinja").write_text(
        "{{ bos_token }}{% for m in messages %}rev {{ m['content'] }}={% endfor %}"
    )
    return folder


@pytest.mark.parametrize(
    ("words", "toml", "in_template"),
    [
        ((), "", True),
        (("--chat",), "chat = false", True),
        (("--no-chat",), "", False),
        ((), "chat = false", False),
    ],
)
def test_texts_are_put_into_the_template_of_a_model(
    words, toml, in_template, instructed, tmp_path, monkeypatch, run
):
    (tmp_path / "backwards.py").write_text(
        "def grade(queries, answers):\n"
        "    pairs = zip(queries, answers)\n"
        "    return [[float(a == query[::-1]) for a in row] for query, row in pairs]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.delitem(sys.modules, "backwards", raising=False)
    (tmp_path / "queries.txt").write_text("abc\ndef\n")
    (tmp_path / "collect.toml").write_text(
        "[collect]\nqueries='queries.txt'\nreward='backwards:grade'\nstore='store'\n"
        f"n-samples=4\nmax-new-tokens=8\nsampler='instructed'\n{toml}"
    )
    code, printed, _ = run("collect", "collect.toml", "--json", *words)
    assert code == 0
    assert (json.loads(printed)["right"] > 0.9) == in_template
    with RewardStore("store") as store:
        [settings] = store.settings("sampler")
    assert settings["chat_template"] == in_template


def test_tests_of_programs_come_from_their_column_or_the_usual_fields(monkeypatch):
    rows = [{"q": "f", "test": "assert f()", "entry_point": "f", "level": 3}]
    options = _collecting_options(reward="code", tests=None)
    reward = _collecting._reward(options, ["f"], rows)
    assert reward.tests == {"f": {"test": "assert f()", "entry_point": "f"}}
    options = _collecting_options(reward="code", tests="test")
    assert _collecting._reward(options, ["f"], rows).tests == {"f": "assert f()"}


def _collecting_options(**changes):
    from sklearn_adaalloc.command_line._main import build_parser

    parser, _ = build_parser()
    words = ["collect", "--queries", "q", "--store", "s", "--reward", "math"]
    options = parser.parse_args(words)
    vars(options).update(changes)
    return options


def test_a_url_is_a_server_of_the_openai_protocol():
    address = "http://127.0.0.1:9/v1"
    options = _collecting_options(sampler=address, model="small", max_concurrency=3)
    sampler = _collecting._sampler(options)
    assert (sampler.base_url, sampler.model) == (address, "small")
    assert (sampler.max_concurrency, sampler.api_key_env) == (3, "OPENAI_API_KEY")
    assert sampler.completion == "chat"
    options.chat = False
    assert _collecting._sampler(options).completion == "text"


def test_a_template_that_a_model_does_not_have(collecting, tiny_models, tmp_path):
    words = ("--reward", "json:dumps", "--sampler", tiny_models["llama"])
    code, _, err = collecting(*words, "--chat")
    assert code == 2
    assert f"--chat needs a chat template, and {tiny_models['llama']} has none" in err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--reward", "maths"], 2, "Expected math, code, or module:function"),
        (["--reward", "math"], 2, "Name their column with --reference"),
        (["--reward", "math", "--reference", "right"], 1, "reference='right' is no "
         "field of row 1 of"),
        (["--reward", "no_module:grade"], 1, "no_module cannot be imported"),
        (["--reward", "json:grade"], 1, "json has None as grade"),
        (["--reward", "json:dumps", "--sampler", "http://127.0.0.1:9/v1"], 2, "Name "
         "its model with --model"),
        (["--reward", "json:dumps", "--model", "small"], 2, "names the model of a "
         "server"),
        (["--reward", "json:dumps", "--queries", "no.csv"], 1, "no.csv: No such file"),
        (["--reward", "json:dumps", "--store", "/no/folder/s"], 1, "--store "
         "/no/folder/s lies in a folder that does not exist"),
    ],
)  # fmt: skip
def test_what_cannot_be_collected_makes_no_store(
    words, code, message, collecting, tmp_path
):
    found, _, err = collecting(*words)
    assert found == code
    assert message in err
    assert not (tmp_path / "store").exists()
