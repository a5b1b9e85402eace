"""Options from a TOML file."""

import pytest

from sklearn_adaalloc.command_line import _main
from sklearn_adaalloc.command_line.commands import collect, report


@pytest.fixture
def received(monkeypatch):
    """Options with which a command was run."""
    found = []
    monkeypatch.setattr(report, "run", found.append)
    monkeypatch.setattr(collect, "run", found.append)
    return found


@pytest.fixture
def configured(tmp_path, run):
    def run_configured(text, *words, command="report"):
        path = tmp_path / "adaalloc.toml"
        path.write_text(text, encoding="utf-8")
        return run(command, *words, "--config", path)

    return run_configured


def test_keys_are_names_of_options_and_the_command_line_wins(received, configured):
    text = """
        [report]
        table = ["a.jsonl", "b.jsonl"]
        budget = [2, 4.5]
        random-state = 3
        random_state = 4
        json = true
        cost = "tokens"
        [fit]
        budget = 8
    """.replace("random_state = 4", "html = 'page.html'")
    assert configured(text, "--budget", "8", "--cost", "dollars")[0] == 0
    (options,) = received
    assert options.table == ["a.jsonl", "b.jsonl"]
    assert (options.budget, options.cost) == ([8.0], "dollars")
    assert (options.random_state, options.json, options.html) == (3, True, "page.html")


def test_values_of_the_file_are_converted_as_on_the_command_line(received, configured):
    assert (
        configured("[report]\ntable = 'a'\nbudget = [2, 4.5]\nrandom_state = 3")[0] == 0
    )
    assert received[0].budget == [2.0, 4.5]
    assert (received[0].table, received[0].random_state) == (["a"], 3)


def test_collect_takes_its_file_as_first_argument(received, tmp_path, run):
    path = tmp_path / "collect.toml"
    path.write_text("[collect]\nqueries='q'\nreward='math'\nstore='s'\nn-samples=2")
    assert run("collect", path, "--n-samples", "3")[0] == 0
    assert (received[0].queries, received[0].n_samples) == ("q", 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[report]\nbudgt = 2", "unknown key 'budgt' in [report]. Expected names of "
         "options, as `adaalloc report --help` lists them; the nearest is 'budget'."),
        ("[reprot]\nbudget = 2", "unknown section [reprot]. Expected sections with the "
         "names of commands; the nearest is 'report'."),
        ("budget = 2", "has 'budget' before any section. Expected a section for each "
         "command, such as [report]"),
        ("report = 2", "has 'report' before any section"),
        ("[report]\nbudget = 'many'", "'many' is no positive number"),
        ("[report]\nbudget = []", "Expected at least one value."),
        ("[report]\nbudget = [[1]]", "Expected a text or a number."),
        ("[report]\njson = 1", "Expected true or false."),
        ("[report]\nselection = 'best'", "Expected one of reward, score, vote."),
        ("[report]\nconfig = 'x'", "unknown key 'config'"),
        ("[report", "is no TOML"),
    ],
)  # fmt: skip
def test_what_is_not_accepted_is_wrong_use(text, message, received, configured):
    code, _, err = configured(text, "a.jsonl")
    assert code == 2
    assert message in err
    assert received == []


def test_a_missing_file_is_named(run, tmp_path):
    code, _, err = run("report", "a", "--config", tmp_path / "no.toml")
    assert code == 2
    assert "no.toml: No such file" in err


@pytest.mark.parametrize("command", _main.COMMANDS)
def test_an_empty_file_changes_nothing(command, tmp_path, run):
    (tmp_path / "empty.toml").write_text("")
    code, out, _ = run(command, "--config", tmp_path / "empty.toml", "--help")
    assert (code, out) == (0, run(command, "--help")[1])
