"""A process that collects rewards, to be killed: used by test_processes.py.

    python collecting.py FOLDER SECONDS [--kills N]

Queries, answers and rewards are fixed; each sample takes SECONDS. What is asked for and
what is graded is written to FOLDER/log as it happens. With `--kills`, collecting is
done in a child that is killed so many times at random moments, then left to finish;
what the store held after each kill is printed as JSON.
"""

import argparse
import json
import os
import random
import signal
import time
from pathlib import Path

import numpy as np

from sklearn_adaalloc.collect import RewardStore, collect_rewards
from sklearn_adaalloc.sampling import TokenUsage

QUERIES = [f"query {i}" for i in range(40)]
N_SAMPLES = 25
BATCH_SIZE = 16
LONGEST_LIFE = 0.15  # seconds


def answer(prompt, sample):
    return f"answer {sample} to {prompt}"


def reward_of(text):
    return sum(text.encode()) % 7 / 7


class LoggingSampler:
    """Sampler that writes down what it is asked for."""

    settings = {"sampler": "LoggingSampler"}

    def __init__(self, log, seconds):
        self.log = log
        self.seconds = seconds

    def sample(self, prompts, budgets, *, first_sample, return_usage):
        for prompt, budget, first in zip(prompts, budgets, first_sample, strict=True):
            for sample in range(first, first + budget):
                write(self.log, "asked", answer(prompt, sample))
        time.sleep(self.seconds * sum(budgets))
        answers = [
            [answer(prompt, sample) for sample in range(first, first + budget)]
            for prompt, budget, first in zip(
                prompts, budgets, first_sample, strict=True
            )
        ]
        tokens = [np.full(budget, 3) for budget in budgets]
        return answers, TokenUsage(np.full(len(prompts), 5), tokens)


class LoggingReward:
    """Reward function that writes down what it grades."""

    settings = {"reward": "LoggingReward"}

    def __init__(self, log):
        self.log = log

    def __call__(self, queries, answers):
        for row in answers:
            for text in row:
                write(self.log, "graded", text)
        return [[reward_of(text) for text in row] for row in answers]


def write(log, *words):
    """Append a line in one piece."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (json.dumps([*words, os.getpid()]) + "\n").encode())
    os.close(file)


def collect(folder, seconds):
    return collect_rewards(
        QUERIES,
        LoggingSampler(folder / "log", seconds),
        LoggingReward(folder / "log"),
        N_SAMPLES,
        store=folder / "store.sqlite",
        batch_size=BATCH_SIZE,
        progress=False,
    )


def collect_in_child(folder, seconds):
    """Fork; return the child's id."""
    child = os.fork()
    if child:
        return child
    try:
        collect(folder, seconds)
    finally:
        os._exit(0)


def collect_under_fire(folder, seconds, n_kills):
    """Kill, look, start again; return (length of the log, stored, graded) per kill."""
    generator = random.Random(0)
    states = []
    while len(states) < n_kills:
        child = collect_in_child(folder, seconds)
        time.sleep(generator.uniform(0, LONGEST_LIFE))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            raise RuntimeError("the child had finished before it was killed")
        states.append(state(folder))
    os.waitpid(collect_in_child(folder, seconds), 0)
    return states


def state(folder):
    with RewardStore(folder / "store.sqlite", create=True) as store:
        frame = store.to_frame()
    log = folder / "log"
    return {
        "n_lines": len(log.read_text().splitlines()) if log.exists() else 0,
        "asked": list(frame["answer"]),
        "graded": list(frame["answer"][frame["reward"].notna()]),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--kills", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.kills:
        print(json.dumps(collect_under_fire(*vars(arguments).values())))
    else:
        print("collecting", flush=True)
        collect(arguments.folder, arguments.seconds)
