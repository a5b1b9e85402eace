"""
============================================
Programs from a server, graded by unit tests
============================================

A server writes programs, and unit tests grade them. Every attempt costs tokens and a
run of the tests. This example learns a policy from such a server and its tests. The
policy gives attempts to the tasks that they can still solve. Its features are the words
of the task.
"""

# %%
# A server
# --------
#
# Any server with the OpenAI protocol works. This page uses a mock server of a few
# lines. It writes Python, forgets each term of a formula one time in four, and confuses
# ``//`` with ``/``. So every further term makes a task harder, and tasks with ``//``
# are hopeless.

import json
import random
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from sklearn_adaalloc.sampling import OpenAISampler


class MockServer(BaseHTTPRequestHandler):
    """Answers chat completions that carry a seed."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """Write a program."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        task = request["messages"][-1]["content"]
        rng = random.Random(f"{request['seed']} {task}")
        terms = task.removeprefix("Write f(x) = ").split(" + ")
        kept = [term.replace("//", "/") for term in terms if rng.random() > 0.25]
        program = f"def f(x):\n    return {' + '.join(kept) or '0'}\n"
        message = {"role": "assistant", "content": f"```python\n{program}```"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": len(task), "completion_tokens": len(program)}
        body = {"id": "", "object": "chat.completion", "created": 0, "model": "mock"}
        reply = json.dumps(body | {"choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *args):
        """Keep quiet."""


server = ThreadingHTTPServer(("127.0.0.1", 0), MockServer)
Thread(target=server.serve_forever, daemon=True).start()
sampler = OpenAISampler(
    f"http://127.0.0.1:{server.server_port}/v1", "mock", use_n=False, api_key_env=None
)

# %%
# Tasks with tests
# ----------------
#
# The tasks are formulas of two to seven terms. The expected results are computed from
# the task.

rng = random.Random(0)
parts = ["x", "3*x", "x*x", "7*x*x", "5", "x*x*x", "20"]
tasks, tests = [], {}
while len(tasks) < 140:
    terms = rng.sample(parts, rng.randint(2, 6)) + ["x//3"] * (rng.random() < 0.35)
    formula = " + ".join(terms)
    task = f"Write f(x) = {formula}"
    if task not in tests:
        tasks.append(task)
        tests[task] = [f"assert f({x}) == {eval(formula)}" for x in (2, 7, 10)]
print(tasks[0], tests[tasks[0]], sep="\n")

# %%
# Grade in a sandbox
# ------------------
#
# Programs that a model wrote should run only in a sandbox, here bubblewrap. The
# programs of the mock server come from this page. So they may run without a sandbox
# where bubblewrap is not installed.

import shutil
import tempfile

from sklearn_adaalloc import collect_rewards
from sklearn_adaalloc.rewards import CodeVerifier

verifier = CodeVerifier(
    tests, sandbox="bubblewrap" if shutil.which("bwrap") else "unsafe-none"
)
with tempfile.TemporaryDirectory() as folder:
    rewards = collect_rewards(
        tasks[:80],
        sampler,
        verifier,
        n_samples=5,
        store=f"{folder}/rewards.sqlite",
        progress=False,
    )
print(f"success rate {rewards.mean():.2f}")

# %%
# Attempts where they help
# ------------------------
#
# The policy counts words and is told the verdict of each attempt. We compare it with
# equal budgets on new tasks, with three attempts each on average.

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import make_pipeline

from sklearn_adaalloc import DummyAllocator, RewardRegressor, SequentialAllocator
from sklearn_adaalloc.decoding import BestOfK

policy = make_pipeline(
    CountVectorizer(token_pattern=r"\S+"),
    SequentialAllocator(
        RewardRegressor(ExtraTreesRegressor(random_state=0)),
        budget=3,
        n_rounds=3,
    ),
).fit(tasks[:80], rewards)
equal = DummyAllocator("uniform", budget=3).fit(tasks[:80], rewards)

new_tasks = tasks[80:]
decoded = {
    name: BestOfK(each, sampler, verifier).decode(new_tasks)
    for name, each in {"adaptive": policy, "equal budgets": equal}.items()
}
server.shutdown()
server.server_close()
for name, run in decoded.items():
    print(
        f"{name:13} {run.budgets.sum()} attempts, {np.nansum(run.rewards):.0f} solved"
    )

# %%
# The policy leaves well over a third of the attempts unspent and solves as many tasks.
# Tasks with ``//`` get no attempts, solved tasks get no more, and tasks that failed in
# the first round get up to five. A few solvable tasks also get none. This can happen
# with only eighty tasks to learn from. Also, sixty new tasks are too few: a difference
# of one or two solved tasks means nothing.

import matplotlib.pyplot as plt

hopeless = np.array(["//" in task for task in new_tasks])
n_terms = np.array([task.count(" + ") + 1 for task in new_tasks])
budgets = decoded["adaptive"].budgets
shift = np.random.default_rng(0).uniform(-0.25, 0.25, (2, len(budgets)))
_, ax = plt.subplots(layout="constrained")
for label, rows, marker in [("solvable", ~hopeless, "o"), ("hopeless", hopeless, "x")]:
    ax.plot((n_terms + shift[0])[rows], (budgets + shift[1])[rows], marker, label=label)
ax.axhline(3, color="0.45", linestyle="--", label="equal budgets")
ax.set(
    title="Attempts at 60 new tasks (points shifted at random)",
    xlabel="terms of the formula",
    ylabel="attempts",
    ylim=(-0.5, 8),
)
_ = ax.legend(frameon=False, loc="upper left", ncols=3)
