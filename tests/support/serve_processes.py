"""The command `serve` as a process, and clients of it."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import sklearn_adaalloc

ROOT = Path(sklearn_adaalloc.__file__).parents[1]
GRADE = (
    "def grade(queries, answers):\n    return [[0.0] * len(row) for row in answers]\n"
)
CHAT = [{"role": "user", "content": "2+3="}]


def serving(policy, server, *words, **variables):
    """Run the command on a policy as a process; the process, and a client of it."""
    (policy.parent / "rewards.py").write_text(GRADE)
    command = [sys.executable, "-m", "sklearn_adaalloc", "serve", str(policy)]
    command += ["--upstream", server.base_url, "--model", "m", "--port", "0"]
    command += ["--reward", "rewards:grade", "--no-probe", *words]
    return started(command, "m", cwd=policy.parent, **variables)


@contextmanager
def started(command, model, *, cwd, **variables):
    """Run a command as a process; the process, and a client of its model."""
    import openai

    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        cwd=cwd,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stderr.readline()
        [address] = re.findall(rf"{model} answers at (http\S+)\n", line)
        key = variables.get("ADAALLOC_API_KEY", "-")
        with openai.OpenAI(base_url=address, api_key=key, max_retries=0) as client:
            yield process, client
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def ask(client):
    return client.chat.completions.create(model="m", messages=CHAT)


def ask_together(client, n):
    """Ask so many at a time; the replies, once all are there."""
    with ThreadPoolExecutor(n) as threads:
        return list(threads.map(lambda _: ask(client), range(n)))


def workers_of(process):
    """Numbers of the processes that answer: children of the child that starts them."""

    def children(pid):
        command = ["ps", "-o", "pid=", "--ppid", str(pid)]
        return subprocess.run(command, capture_output=True, text=True).stdout.split()

    return {int(each) for child in children(process.pid) for each in children(child)}
