"""Ask the endpoint in front of a real server with the real 0.5B model.

``python -m benchmarks.real_lm.endpoint WEIGHTS --server llama.cpp [--sets gsm8k mbpp]
[--problems 40]``. WEIGHTS is the folder of ``fetch_weights``, or a GGUF file of the
model.

A stream is learnt from the kept outcomes, without features. The command ``adaalloc
serve`` stands in front of the server, llama.cpp's or `transformers serve`, on a CPU.
The client of OpenAI asks problems that the policy did not learn from, one after
another, and sends the right answers or the tests along. Prompts, limits of tokens and
temperature are those of the kept outcomes.

`promised` and `promised_samples` are what the policy reaches on the kept outcomes of
the same problems in the same order: means over many orders of the answers, with
standard deviations (`_sd`) of a single run. `right` and `samples` are what clients got.
`misjudged` counts replies whose `reward` differs from the grade of the answer they
contain, and `improper` replies that are neither an answer nor an error in OpenAI's
form, or whose samples, tokens and costs do not fit together. Writes the rows of this
server and these sets to ``results/real_lm/endpoint.csv``, beside those of others.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tqdm.auto import tqdm

from benchmarks.quality.outcome_sets import add_data_option
from benchmarks.quality.stream import play
from benchmarks.real_lm import servers
from benchmarks.real_lm.experiments import PARTS, load_experiment
from benchmarks.real_lm.fetch_weights import fetch
from benchmarks.real_lm.problems import (
    LIMITS,
    TEMPERATURE,
    chat,
    is_math,
    read_problems,
    verifier,
)
from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import load_policy
from sklearn_adaalloc._utils.queries import text_of
from sklearn_adaalloc.command_line import main as command_line

ROOT = Path(__file__).resolve().parents[2]
SETS = ("gsm8k", "mbpp")
MODEL = "qwen2.5-coder-0.5b"
N_ORDERS = 200  # of the kept answers
SECONDS = 600  # that a request may take


def measure(name, upstream, folder, options):
    """Ask problems of a set; a row of what came of them."""
    learnt, (part, rows, table) = split(name, options.data, options.problems)
    problems = read_problems(options.data, part)
    chats = [chat(part, problems[row]) for row in rows]
    policy = fit(*learnt, folder, options)
    judge = "math" if is_math(part) else "code"
    asked, end = [], time.monotonic() + 60 * options.minutes
    with serving(folder / "policy", upstream, judge) as client:
        for row, query in tqdm(list(zip(rows, chats, strict=True)), desc=name):
            wishes = wishes_of(part, problems[row])
            asked.append(ask(client, upstream, query, wishes, LIMITS[part]))
            if time.monotonic() > end:
                break
    rows, chats, table = rows[: len(asked)], chats[: len(asked)], table[: len(asked)]
    errors = Counter(reply for reply, _ in asked if isinstance(reply, str))
    answered = [i for i, (reply, _) in enumerate(asked) if not isinstance(reply, str)]
    if not answered:
        raise RuntimeError(f"nothing was answered: {dict(errors)}")
    seen = [asked[i][0] for i in answered]
    texts = [[reply.choices[0].message.content] for reply in seen]
    grade = verifier(part, [problems[row] for row in rows])
    right = [row[0] == 1 for row in grade([chats[i] for i in answered], texts)]
    told = [reply.adaalloc for reply in seen]
    samples = np.array([each["samples"] for each in told])
    seconds = [each for _, each in asked]
    return {
        "set": name,
        "problems": len(asked),
        "answered": len(seen),
        "errors": " ".join(f"{error}:{n}" for error, n in errors.items()),
        "improper": errors["improper"] + sum(not fits(reply) for reply in seen),
        "misjudged": sum(
            (each["reward"] == 1) != is_right
            for each, is_right in zip(told, right, strict=True)
        ),
        "right": float(np.sum(right) / len(asked)),
        **replay(policy, chats, table.rewards, options.budget),
        "budget": options.budget,
        "samples": float(samples.mean()),
        "tokens_per_sample": float(sum(t["cost"] for t in told) / samples.sum()),
        "cut_off": sum(r.choices[0].finish_reason == "length" for r in seen),
        "median_s": float(np.median(seconds)),
        "p95_s": float(np.quantile(seconds, 0.95)),
        "minutes": sum(seconds) / 60,
    }


def split(name, data, n_problems):
    """What to learn from, and what to ask: a seeded draw of the test part.

    Each is the name of a set, rows of its problems and their table.
    """
    experiment = load_experiment(name, "0.5b", data)
    train, test = experiment.folds[0]
    test = np.random.default_rng(0).permutation(test)[:n_problems]
    return [
        (PARTS[name][end], experiment.rows[rows], experiment.table[rows])
        for end, rows in ((0, train), (-1, test))
    ]


def fit(part, rows, table, folder, options):
    """Learn a stream from the kept outcomes, by the command."""
    problems = read_problems(options.data, part)
    with open(folder / "kept.jsonl", "w") as file:
        for row, rewards in zip(rows, table.rewards, strict=True):
            line = {"query": chat(part, problems[row]), "rewards": rewards.tolist()}
            file.write(json.dumps(line) + "\n")
    words = ["fit", folder / "kept.jsonl", "--policy", "stream", "--features", "none"]
    words += ["--budget", options.budget, "--out", folder / "policy"]
    if command_line([str(word) for word in words]):
        raise RuntimeError("the policy was not learnt")
    return load_policy(folder / "policy")


def replay(policy, chats, rewards, budget):
    """What the policy reaches on kept answers, in a stream as short as this one."""
    rng = np.random.default_rng(0)
    X = policy[:-1].transform([text_of(query) for query in chats])  # as the endpoint
    drawn = (rng.permuted(rewards, axis=1) for _ in range(N_ORDERS))
    runs = [
        [each.mean() for each in play(policy[-1], budget, X, order)] for order in drawn
    ]
    (right, samples), (right_sd, samples_sd) = np.mean(runs, 0), np.std(runs, 0)
    return {
        "promised": float(right),
        "promised_sd": float(right_sd),
        "promised_samples": float(samples),
        "promised_samples_sd": float(samples_sd),
    }


def wishes_of(part, problem):
    """What a request says of the right answer."""
    if is_math(part):
        return {"reference": problem["answer"].rpartition("####")[2].strip()}
    return {"tests": {key: problem[key] for key in ("test", "entry_point", "prompt")}}


@contextmanager
def serving(policy, upstream, judge):
    """Run the command ``adaalloc serve`` as a process; a client of it."""
    import openai

    command = [sys.executable, "-m", "sklearn_adaalloc", "serve", policy]
    command += ["--upstream", upstream.address, "--model", upstream.model]
    command += ["--reward", judge, "--temperature", TEMPERATURE, "--port", 0]
    command += ["--max-concurrency", 1, "--deadline", SECONDS, "--timeout", SECONDS]
    process = subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        line = process.stderr.readline()
        if "answers at" not in line:
            raise RuntimeError(line + process.stderr.read())
        url = line.rpartition(" at ")[2].strip()
        with openai.OpenAI(base_url=url, api_key="-", timeout=SECONDS) as client:
            yield client
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()


def ask(client, upstream, messages, wishes, limit):
    """Ask once: the reply or the name of an error, and the seconds it took."""
    import openai

    start = time.perf_counter()
    try:
        reply = client.chat.completions.create(
            model=upstream.model,
            messages=messages,
            max_tokens=limit,
            extra_body={"adaalloc": wishes, **upstream.fields},
        )
    except openai.APIStatusError as error:
        reply = error.code or "improper"
    return reply, time.perf_counter() - start


def fits(reply):
    """Whether samples, tokens and costs of a reply fit together."""
    told, usage = reply.adaalloc, reply.usage
    return (
        told["samples"] >= told["rounds"] > 0
        and usage.completion_tokens == told["cost"] >= told["samples"]
        and usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
        and usage.prompt_tokens % told["samples"] == 0
    )


def other_rows(path, rows):
    """Rows of a file that are of other servers or sets."""
    if not path.exists():
        return []
    now = {(row["server"], row["set"]) for row in rows}
    with open(path, newline="", encoding="utf-8") as file:
        kept = list(csv.DictReader(file))
    return [row for row in kept if (row["server"], row["set"]) not in now]


def main(arguments=None):
    """Read the command line, and ask all sets of one server."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--server", choices=servers.SERVERS, required=True)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--problems", type=int, default=40)
    parser.add_argument("--budget", type=float, default=2)
    parser.add_argument("--minutes", type=float, default=60, help="at most, of each")
    parser.add_argument("--output", type=Path, default=RESULTS / "real_lm")
    add_data_option(parser)
    options = parser.parse_args(arguments)
    path, rows = options.weights, []
    if not path.is_file():
        path = fetch(MODEL, path)
    with (
        TemporaryDirectory() as folder,
        servers.started(options.server, path, folder) as upstream,
    ):
        for name in options.sets:
            place = Path(folder) / name
            place.mkdir()
            row = measure(name, upstream, place, options)
            rows.append({"server": options.server, **row})
            print_table(rows)
    table = options.output / "endpoint.csv"
    write_csv(other_rows(table, rows) + rows, table)
    return rows


if __name__ == "__main__":
    main()
