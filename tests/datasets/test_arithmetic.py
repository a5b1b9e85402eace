"""The embedded tasks: what is shipped, what is true, and that it loads."""

import zlib
from pathlib import Path

import numpy as np
import pytest

from sklearn_adaalloc.datasets import (
    embedded_model_path,
    grade_arithmetic,
    load_arithmetic,
)

TASKS = ["math", "code", "chat", "routing"]


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("27+48=", "75"),
        ("7-48=", "-41"),
        ("12*34=", "408"),
        ("85/7=", "12"),
        ("85%7=", "1"),
        ("(3*17)%5=", "1"),
        ("6+32-13=", "25"),
        ("7*8+5=", "61"),
        ("gcd 84 30=", "6"),
        ("lcm 4 6=", "12"),
        ("max 3 41 7=", "41"),
        ("min 3 41 7=", "3"),
        ("mid 9 2 5=", "5"),
        ("mid 9 2 5 4=", "4"),
        ("sqrt 50=", "7"),
        ("factor 91=", "7"),
        ("factor 97=", "97"),
        ("digits 549=", "18"),
        ("sort 5302=", "0235"),
        ("rev abcd=", "dcba"),
        ("uniq abacb=", "abc"),
        ("count b abcb=", "2"),
        ("shift 3 xyz=", "abc"),
        ("bin 10=", "1010"),
        ("hex 255=", "ff"),
        ("dec 1101=", "13"),
    ],
)
def test_answer_is_the_one_worked_out_by_hand(query, answer):
    (rewards,) = grade_arithmetic([query], [[answer, f"{answer}0", ""]])
    assert rewards.tolist() == [1, 0, 0]


def test_keyed_hash_has_three_digits_and_does_not_change():
    (rewards,) = grade_arithmetic(["hash 4821="], [["610", "611", "61"]])
    assert rewards.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    "query",
    ["27+48", "", "=", "27", "5/0=", "2**9=", "f(2)=", "gcd a b=", "rev=", "sqrt -4="],
)
def test_what_is_no_query_is_refused(query):
    with pytest.raises(ValueError, match="is not a query of the embedded tasks"):
        grade_arithmetic([query], [["1"]])


def test_grade_gives_one_array_per_query():
    rewards = grade_arithmetic(
        ["27+48=", "rev ab=", "2+2="], [["75", "57"], [], [" 4"]]
    )
    assert [row.tolist() for row in rewards] == [[1.0, 0.0], [], [1.0]]
    assert {row.dtype for row in rewards} == {np.dtype(np.float64)}


def test_grade_does_not_take_a_prefix_or_another_spelling():
    (rewards,) = grade_arithmetic(["sort 5302="], [["235", "02355", "0 235", ""]])
    np.testing.assert_array_equal(rewards, 0.0)


def test_grade_refuses_a_different_number_of_rows():
    with pytest.raises(ValueError, match="inconsistent lengths: 2 and 1"):
        grade_arithmetic(["1+1=", "2+2="], [["2"]])


@pytest.mark.parametrize(
    ("queries", "answers", "message"),
    [
        (None, [], "X=None is not a sequence of queries"),
        (["1+1="], None, "answers=None is not accepted"),
        (["1+1="], ["2"], "put a single answer in a list"),
        (["1+1="], [[2]], "an answer to query '1\\+1=' is 2"),
        (["(" * 9999 + "="], [["2"]], "is not a query of the embedded tasks"),
        (["9**9="], [["2"]], "is not a query of the embedded tasks"),
    ],
)
def test_what_cannot_be_graded(queries, answers, message):
    with pytest.raises(ValueError, match=message):
        grade_arithmetic(queries, answers)


@pytest.mark.parametrize(
    ("task", "n_train", "shape"),
    [
        ("math", 2000, (1000, 64)),
        ("code", 2000, (1000, 64)),
        ("chat", 2000, (1000, 16)),
        ("routing", 4000, (2000, 2, 64)),
    ],
)
def test_shapes(task, n_train, shape):
    table = load_arithmetic(task)
    assert table.rewards_train.shape == (n_train, *shape[1:])
    assert table.rewards_test.shape == shape
    assert len(table.queries_train) == len(table.answers_train) == n_train
    assert len(table.queries_test) == len(table.answers_test) == shape[0]
    assert table.DESCR.strip().startswith("Arithmetic")


@pytest.mark.parametrize("task", TASKS)
def test_queries_are_distinct_and_none_is_in_both_splits(task):
    table = load_arithmetic(task)
    queries = table.queries_train + table.queries_test
    assert len(set(queries)) == len(queries)


@pytest.mark.parametrize("task", TASKS)
def test_no_query_can_have_been_trained_on(task):
    """The training stream leaves out every query whose checksum is a multiple of 8."""
    table = load_arithmetic(task)
    checksums = [zlib.crc32(query.encode()) for query in table.queries_test]
    assert {checksum % 8 for checksum in checksums} == {0}


@pytest.mark.parametrize("task", TASKS)
def test_stored_answers_are_right(task):
    table = load_arithmetic(task)
    rewards = grade_arithmetic(table.queries_test, [[a] for a in table.answers_test])
    np.testing.assert_array_equal(rewards, 1.0)


@pytest.mark.parametrize("task", ["math", "code", "routing"])
def test_verified_rewards_are_zero_or_one(task):
    table = load_arithmetic(task)
    assert set(np.unique(table.rewards_train)) == {0.0, 1.0}
    assert table.rewards_train.dtype == np.float64


def test_math_is_spread_flat():
    rates = load_arithmetic("math").rewards_test.mean(axis=1)
    assert 0.3 < rates.mean() < 0.5
    assert np.histogram(rates, bins=10, range=(0, 1))[0].min() > 0.02 * len(rates)


def test_many_code_queries_are_never_solved():
    rates = load_arithmetic("code").rewards_test.mean(axis=1)
    assert (rates == 0).mean() >= 0.35
    assert 0.1 < rates.mean() < 0.3


@pytest.mark.parametrize("task", ["math", "code"])
def test_strong_model_is_clearly_better_but_not_everywhere(task):
    first = ["math", "code"].index(task)
    weak, strong = load_arithmetic("routing").rewards_test[first::2].mean(axis=2).T
    assert strong.mean() > weak.mean() + 0.1
    assert (weak > strong).mean() > 0.02


def test_routing_takes_math_and_code_in_turn():
    routing, math, code = (
        load_arithmetic(task) for task in ("routing", "math", "code")
    )
    assert routing.queries_train[:4:2] == math.queries_train[:2]
    assert routing.queries_train[1:4:2] == code.queries_train[:2]
    np.testing.assert_array_equal(routing.rewards_train[::2, 0], math.rewards_train)
    np.testing.assert_array_equal(routing.rewards_train[1::2, 0], code.rewards_train)
    assert routing.answers_test[1::2] == code.answers_test


def test_chat_queries_differ_in_the_spread_of_their_rewards():
    spread = load_arithmetic("chat").rewards_train.std(axis=1)
    low, high = np.percentile(spread, [10, 90])
    assert high > 5 * low


def test_return_X_y_comes_in_the_order_of_train_test_split():
    table = load_arithmetic("code")
    queries_train, queries_test, rewards_train, rewards_test = load_arithmetic(
        "code", return_X_y=True
    )
    assert queries_train == table.queries_train
    assert queries_test == table.queries_test
    np.testing.assert_array_equal(rewards_train, table.rewards_train)
    np.testing.assert_array_equal(rewards_test, table.rewards_test)


def test_unknown_task_is_refused():
    with pytest.raises(
        ValueError, match=r"task='maths' is not accepted. Expected one of"
    ):
        load_arithmetic("maths")


def test_unknown_model_is_refused():
    with pytest.raises(ValueError, match="name='medium' is not accepted"):
        embedded_model_path("medium")


def test_data_stay_small():
    files = [f for f in Path(embedded_model_path()).parent.rglob("*") if f.is_file()]
    assert sum(file.stat().st_size for file in files) < 8_000_000


def load_language_model(name):
    """Model in float32 and tokenizer; imported late, most tests here need neither."""
    transformers = pytest.importorskip("transformers")
    folder = embedded_model_path(name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    return model.eval(), tokenizer


@pytest.mark.parametrize("name", ["weak", "strong", "reward"])
def test_tokenizer_has_one_token_per_character_and_loses_none(name):
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(embedded_model_path(name))
    tokens = tokenizer("(3*17)%5=")["input_ids"]
    assert tokens[0] == tokenizer.bos_token_id
    assert len(tokens) == 1 + len("(3*17)%5=")
    assert tokenizer.decode(tokens, skip_special_tokens=True) == "(3*17)%5="
    message = [{"role": "user", "content": "gcd 84 30="}]
    assert tokenizer.apply_chat_template(message, tokenize=False) == "<bos>gcd 84 30="
    assert tokenizer("1+1=", "2")["input_ids"][-1] == tokenizer.eos_token_id


@pytest.mark.slow
@pytest.mark.parametrize(("name", "column"), [("weak", 0), ("strong", 1)])
def test_models_are_the_ones_that_filled_the_tables(name, column):
    """Fresh samples of transformers' own `generate` succeed as often as the stored."""
    import torch

    model, tokenizer = load_language_model(name)
    table = load_arithmetic("routing")
    queries, rewards = table.queries_test[:200], table.rewards_test[:200, column]
    torch.manual_seed(0)
    batch = tokenizer(queries, return_tensors="pt", padding=True)
    output = model.generate(
        **batch,
        do_sample=True,
        temperature=0.7,
        top_k=0,
        max_new_tokens=24,
        num_return_sequences=8,
    )
    prompt_length = batch["input_ids"].shape[1]
    texts = tokenizer.batch_decode(output[:, prompt_length:], skip_special_tokens=True)
    answers = [texts[8 * i : 8 * i + 8] for i in range(200)]
    fresh = np.array(grade_arithmetic(queries, answers)).mean(axis=1)
    # Standard errors: at most .5 / sqrt(8 * 200) = .0125 of the mean.
    assert abs(fresh.mean() - rewards.mean()) < 0.04
    assert np.corrcoef(fresh, rewards.mean(axis=1))[0, 1] > 0.9


def test_reward_model_prefers_right_answers_to_far_ones():
    """It scores about 3 for all digits right and about 0 for none."""
    import torch

    transformers = pytest.importorskip("transformers")
    folder = embedded_model_path("reward")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, dtype="float32"
    ).eval()
    table = load_arithmetic("chat")
    queries, answers = table.queries_test[:100], table.answers_test[:100]
    far = [f"{3 * int(answer) + 5}" for answer in answers]
    with torch.inference_mode():
        right, wrong = (
            model(**tokenizer(queries, texts, padding=True, return_tensors="pt"))
            .logits[:, 0]
            .numpy()
            for texts in (answers, far)
        )
    assert (right > wrong).mean() > 0.9
    assert right.mean() > 2
