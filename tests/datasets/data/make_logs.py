"""Make the logs that the tests read, with the tools themselves.

Each part needs an environment of its own, and is run in an empty folder outside any
repository, so that logs name neither:

    python make_logs.py inspect FOLDER   # inspect_ai 0.3.285
    python make_logs.py lm_eval FOLDER   # lm_eval 0.4.13, torch, transformers 5.23
    python make_logs.py records FOLDER   # every_eval_ever 0.3.0, inspect_ai; after the
                                         # other two

FOLDER is the folder `logs` beside this file.
"""

import gzip
import json
import random
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

SUMS = {"2+3=": "5", "9-4=": "5", "7*8=": "56", "6*17=": "102"}
TASK = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: {output_type}
doc_to_text: "{{{{query}}}}"
doc_to_target: {target}
metadata: {{version: 1}}
"""
GENERATE = """\
repeats: {repeats}
generation_kwargs:
  {{until: ["\\n"], do_sample: true, temperature: 1.2, max_gen_toks: 12}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""
FILTERS = """\
filter_list:
  - {name: first, filter: [{function: take_first}]}
  - {name: digit, filter: [{function: regex, regex_pattern: "([0-9])"},
                           {function: take_first}]}
  - {name: each, filter: [{function: take_first_k, k: 3}]}
"""


# inspect_ai


def answer(model):
    """A model that is right at random, and counts its tokens."""
    from inspect_ai.model import ModelOutput, ModelUsage

    rng = random.Random(model)
    chance = {"weak": 0.4, "strong": 0.8}[model]

    def generate(messages, *_):
        query = messages[-1].text
        text = SUMS[query] if rng.random() < chance else str(rng.randrange(2, 9))
        output = ModelOutput.from_content(f"mockllm/{model}", text)
        n_tokens = rng.randrange(5, 40)
        output.usage = ModelUsage(
            input_tokens=9, output_tokens=n_tokens, total_tokens=9 + n_tokens
        )
        return output

    return generate


def make_inspect(folder):
    from inspect_ai import Task, eval, task
    from inspect_ai.dataset import Sample
    from inspect_ai.log import read_eval_log, write_eval_log
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser, get_model
    from inspect_ai.scorer import Score, match, mean, scorer
    from inspect_ai.solver import generate, solver

    @scorer(metrics={"right": [mean()], "brevity": [mean()]})
    def report():
        async def score(state, target):
            text = state.output.completion
            right = int(text == target.text)
            return Score(value={"right": right, "brevity": 1 / len(text)}, answer=text)

        return score

    @scorer(metrics=[mean()])
    def grade():
        async def score(state, target):
            text = state.output.completion
            letter = "C" if text == target.text else "P" if text in "567" else "I"
            return Score(value="N" if text in "234" else letter)

        return score

    @solver
    def stumble():
        async def solve(state, generate):
            if state.sample_id == "7*8=" and state.epoch == 2:
                raise RuntimeError("out of luck")
            return state

        return solve

    @task
    def sums():
        samples = [Sample(id=q, input=q, target=a) for q, a in SUMS.items()]
        return Task(dataset=samples, solver=generate(), scorer=match(location="any"))

    @task
    def chats():
        samples = [
            Sample(
                id=query,
                input=[
                    ChatMessageSystem(content="Answer with a number."),
                    ChatMessageUser(content=query),
                ],
                target=target,
            )
            for query, target in SUMS.items()
        ]
        solvers = [stumble(), generate()]
        return Task(dataset=samples, solver=solvers, scorer=[report(), grade()])

    for name, model in [(sums, "weak"), (sums, "strong"), (chats, "weak")]:
        (log,) = eval(
            name(),
            model=get_model(f"mockllm/{model}", custom_outputs=answer(model)),
            epochs=3,
            max_samples=1,
            fail_on_error=False,
            log_dir="logs",
            display="none",
        )
        log = read_eval_log(log.location)
        log.eval.task_file = log.eval.revision = None  # they name this machine
        for sample in log.samples:
            sample.events = []  # larger than all else, and not read
            if sample.error is not None:  # it names files of this machine
                sample.error.traceback = sample.error.traceback_ansi = ""
        kind = "json" if name is chats else "eval"
        write_eval_log(log, str(folder / f"{name.__name__}_{model}.{kind}"))


# lm_eval


def make_lm_eval(folder):
    root = Path(__file__).resolve().parents[3]
    models = root / "sklearn_adaalloc" / "datasets" / "data"
    with TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        rows = scratch / "rows.jsonl"
        docs = [{"query": q, "answer": a, "choices": [a, "1"]} for q, a in SUMS.items()]
        rows.write_text("\n".join(json.dumps(doc) for doc in docs))
        texts = {
            "one": (GENERATE.format(repeats=1), "generate_until", '"{{answer}}"'),
            "three": (GENERATE.format(repeats=3), "generate_until", '"{{answer}}"'),
            "filters": (
                GENERATE.format(repeats=3) + FILTERS,
                "generate_until",
                '"{{answer}}"',
            ),
            "choices": ("doc_to_choice: choices\n", "multiple_choice", "0"),
        }
        for name, (text, output_type, target) in texts.items():
            head = TASK.format(
                name=name, rows=rows, output_type=output_type, target=target
            )
            (scratch / f"{name}.yaml").write_text(head + text)
        for model in ("weak", "strong"):
            names = ",".join(texts) if model == "weak" else "one"
            where = ["hf", f"pretrained={models / model},dtype=float32"]
            run_lm_eval(scratch, folder / model, names, *where, "--device", "cpu")
        with ThreadingHTTPServer(("127.0.0.1", 0), ChatServer) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_port}/v1/chat/completions"
            where = ["local-chat-completions", f"model=chat,base_url={url}"]
            run_lm_eval(
                scratch, folder / "chat", "one", *where, "--apply_chat_template"
            )
            server.shutdown()


def run_lm_eval(scratch, folder, names, kind, arguments, *options):
    command = [sys.executable, "-m", "lm_eval", "--model", kind]
    command += ["--model_args", arguments, "--tasks", names]
    command += ["--include_path", str(scratch), "--log_samples", "--seed", "0"]
    command += ["--output_path", str(scratch / folder.name), *options]
    subprocess.run(command, check=True)
    folder.mkdir(exist_ok=True)
    for path in (scratch / folder.name).glob("*/samples_*.jsonl"):
        shutil.copy(path, folder)


class ChatServer(BaseHTTPRequestHandler):
    """Right answers to all queries but the last."""

    def do_POST(self):
        fields = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        query = fields["messages"][-1]["content"]
        message = {"role": "assistant", "content": SUMS[query].replace("102", "92")}
        reply = json.dumps({"choices": [{"index": 0, "message": message}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)


# every_eval_ever


def make_records(folder):
    from every_eval_ever.converters.inspect.instance_level_adapter import (
        InspectInstanceLevelDataAdapter,
    )
    from every_eval_ever.converters.lm_eval.instance_level_adapter import (
        LMEvalInstanceLevelAdapter,
    )
    from inspect_ai.log import read_eval_log

    for model in ("weak", "strong"):
        log = read_eval_log(str(folder / f"sums_{model}.eval"))
        adapter = InspectInstanceLevelDataAdapter(
            f"sums/{model}/1", f"records_{model}", "jsonl", "sha256", str(folder)
        )
        results = {"match": ["match:accuracy", "match:stderr"]}
        for name, reductions in (("epochs", log.reductions), ("samples", None)):
            adapter.path = str(folder / f"records_{name}_{model}.jsonl")
            adapter.convert_instance_level_logs(
                "sums", log.eval.model, log.samples, reductions, results
            )
            compress(adapter.path)
    (path,) = folder.glob("weak/samples_one_*.jsonl")
    records = LMEvalInstanceLevelAdapter().transform_samples(
        path, "one/weak/1", "project/weak", "one"
    )
    lines = [record.model_dump_json() for record in records]
    Path(folder, "records_one.jsonl").write_text("\n".join(lines) + "\n")


def compress(path):
    with gzip.GzipFile(f"{path}.gz", "wb", mtime=0) as file:
        file.write(Path(path).read_bytes())
    Path(path).unlink()


if __name__ == "__main__":
    MAKERS = {"inspect": make_inspect, "lm_eval": make_lm_eval, "records": make_records}
    part, folder = sys.argv[1:]
    MAKERS[part](Path(folder).resolve())
