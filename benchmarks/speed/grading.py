"""How many answers are graded in a second.

    python -m benchmarks.speed.grading [--quick] [--n-jobs N] [--output DIR]

- Code: 1,000 distinct completions of HumanEval-style prompts, half of them right, by
  `CodeVerifier` in bubblewrap. Every verdict is checked. Beside it stands what bounds
  it: starting an interpreter that does nothing, bare and in the same sandbox.
- The canonical solutions of HumanEval (164) and MBPP (974, of which 14 fail their own
  tests under plain Python), where their problems are at hand.
- Math: 1,000 distinct pairs of formulas by `MathVerifier`, its workers running.

Rates are by the clock with `--n-jobs` (2) at once, and by processor time, which a busy
machine does not slow down: answers per second of two processors that had nothing else
to do. Writes `grading.csv`. `--quick` takes 40 of each.
"""

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.quality.outcome_sets import DEFAULT_DATA
from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc.rewards import CodeVerifier, MathVerifier
from sklearn_adaalloc.rewards._programs.sandbox import bubblewrap_command

# Signature, what it does, a right body, a wrong body, a test; N is a number.
TASKS = [
    (
        "def has_close_elements(numbers: List[float], threshold: float) -> bool:",
        "Whether two of the numbers are closer than threshold plus N.",
        "return any(abs(a - b) < threshold + N for i, a in enumerate(numbers)"
        " for b in numbers[:i])",
        "return any(abs(a - b) < threshold for a in numbers for b in numbers)",
        "candidate([1.0, 9.0 + N], 8.5) and not candidate([0.0, 9.0 + N], 9.0)",
    ),
    (
        "def separate(text: str) -> List[str]:",
        "Split at commas, leave out empty parts, repeat the list N times.",
        "return [part for part in text.split(',') if part] * N",
        "return text.split(',') * N",
        "candidate('a,,b') == ['a', 'b'] * N",
    ),
    (
        "def largest_prime(limit: int) -> int:",
        "Largest prime up to limit plus N.",
        "return max(n for n in range(2, limit + N + 1)"
        " if all(n % d for d in range(2, n)))",
        "return limit + N",
        "candidate(200) == max(n for n in range(200 + N + 1)"
        " if n > 1 and all(n % d for d in range(2, n))) and candidate(2) != 2 + N + 1"
        " and candidate(1000 - N) == 997",
    ),
    (
        "def count_words(text: str) -> dict:",
        "How often each word occurs, times N.",
        "return {word: N * text.split().count(word) for word in text.split()}",
        "return {word: N for word in text.split()}",
        "candidate('a b a') == {'a': 2 * N, 'b': N}",
    ),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="40 answers")
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS / "speed")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("ADAALLOC_DATA", DEFAULT_DATA)),
        help="folder of the problems (default: $ADAALLOC_DATA or ../shared/data)",
    )
    options = parser.parse_args()
    n_answers = 40 if options.quick else 1000
    rows = []
    for part in (code_row, *canonical(options.data), *bounds(), math_row):
        rows.append(part(n_answers, options.n_jobs))
        print_table([rows[-1]])
    write_csv(rows, options.output / "grading.csv")


def code_row(n_answers, n_jobs):
    """Grade programs."""
    entries, completions, right = {}, [], []
    for i in range(n_answers // 2):
        signature, text, *bodies, test = (
            line.replace("N", str(i + 1)) for line in TASKS[i % len(TASKS)]
        )
        name = signature[4 : signature.index("(")]
        prompt = f'from typing import List\n\n\n{signature}\n    """{text}"""\n'
        check = f"def check(candidate):\n    assert {test}\n"
        entries[prompt] = {"prompt": prompt, "test": check, "entry_point": name}
        completions.append([f"    {body}\n" for body in bodies])
        right.append([1.0, 0.0])
    verifier = CodeVerifier(entries, n_jobs=n_jobs)
    row, rewards = measure(
        "HumanEval-style programs, CodeVerifier in bubblewrap",
        ">= 20",
        lambda: verifier(list(entries), completions),
        n_answers,
    )
    assert [reward.tolist() for reward in rewards] == right
    return row


def canonical(data):
    """Functions that grade the canonical solutions of each set that is there."""
    for name, n_right in (("humaneval", 164), ("mbpp", 960)):
        path = data / "problems" / f"{name}.jsonl.gz"
        if not path.exists():
            print(f"{name}: no problems at {path}, not graded")
            continue
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            problems = [json.loads(line) for line in lines]

        def grade(n_answers, n_jobs, name=name, problems=problems, n_right=n_right):
            whole = n_answers >= len(problems)
            problems = problems[:n_answers]
            keys = ("prompt", "test", "entry_point")
            verifier = CodeVerifier(
                {each["prompt"]: {key: each[key] for key in keys} for each in problems},
                n_jobs=n_jobs,
            )
            prompts = [each["prompt"] for each in problems]
            solutions = [[each["canonical_solution"]] for each in problems]
            row, rewards = measure(
                f"canonical solutions of {name}, CodeVerifier in bubblewrap",
                ">= 20",
                lambda: verifier(prompts, solutions),
                len(problems),
            )
            n_passed = sum(reward[0] == 1 for reward in rewards)
            assert not whole or n_passed == n_right, f"{n_passed} of {n_right} pass"
            return row

        yield grade


def bounds():
    """Functions that start interpreters that do nothing."""
    *sandbox, python, _, _, _, _ = bubblewrap_command()
    bare = [python, "-I", "-S", "-c", "pass"]
    for what, command in (
        ("bound: python -I -S -c pass", bare),
        ("bound: the same in the sandbox", [*sandbox, *bare]),
    ):

        def start(n_answers, n_jobs, what=what, command=command):
            with ThreadPoolExecutor(n_jobs) as pool:
                return measure(
                    what,
                    "",
                    lambda: list(
                        pool.map(subprocess.check_call, [command] * n_answers)
                    ),
                    n_answers,
                )[0]

        yield start


def math_row(n_answers, n_jobs):
    """Compare formulas."""
    golds = [rf"\frac{{{i}}}{{7}}" for i in range(n_answers // 2)]
    answers = [
        [rf"\boxed{{{i}/7}}", rf"So it is \boxed{{{i}/7 + \sqrt{{2}}}}."]
        for i in range(n_answers // 2)
    ]
    verifier = MathVerifier(lambda query: query, n_jobs=n_jobs)
    verifier(["1", "2"], [["1.0"], ["2.0"]])  # starts the workers
    row, rewards = measure(
        "pairs of formulas, MathVerifier",
        "reported",
        lambda: verifier(golds, answers),
        n_answers,
        children=False,
    )
    assert [reward.tolist() for reward in rewards] == [[1.0, 0.0]] * len(golds)
    return row


def measure(what, asked, run, n_answers, children=True):
    """Make a row and return the result of `run` as well."""
    start, cpu_start = time.perf_counter(), processor_seconds()
    result = run()
    seconds, cpu = time.perf_counter() - start, processor_seconds() - cpu_start
    return {
        "what": what,
        "asked": asked,
        "per_second": n_answers / seconds,
        "per_second_of_two_free_processors": 2 * n_answers / cpu if children else "",
        "processor_ms_each": 1000 * cpu / n_answers if children else "",
        "load": os.getloadavg()[0],
        "python": sys.version.split()[0],
    }, result


def processor_seconds():
    """Processor time of this process and of all its children that have ended."""
    usage = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in usage)


if __name__ == "__main__":
    main()
