"""A GPU against the CPU: the same features, answers, training and scores.

    python -m benchmarks.real_lm.cuda [MODEL] [--reward FOLDER]

Each part runs on both devices and compares. Then: out-of-memory halving under a memory
limit, sampling at batch sizes up to saturation, and ``torch.compile``. A part that
fails is reported as failed, and the others still run; the exit status says so. Writes
``results/real_lm/cuda_CARD.csv``, whose rows for parts not run stay. With
``--device cpu`` it rehearses: the CPU takes the part of the GPU.
"""

import argparse
import csv
import gc
import time
import traceback
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import RESULTS, write_csv
from sklearn_adaalloc import HiddenStateFeaturizer, LoRARewardRegressor
from sklearn_adaalloc.datasets import embedded_model_path, load_arithmetic
from sklearn_adaalloc.language_models import load_language_model
from sklearn_adaalloc.rewards import RewardModel
from sklearn_adaalloc.sampling import TransformersSampler

HALF = ("bfloat16", "float16")
WIDE = 10**7  # tokens of a batch: as many as there are


def features(model, device, options):
    """Yield how far hidden states are from those of the CPU in float32."""
    texts = queries(options.n)

    def states(device, dtype, **others):
        return HiddenStateFeaturizer(
            model, device=device, dtype=dtype, **others
        ).fit_transform(texts)

    exact = states("cpu", "float32")
    for dtype in ("float32", *HALF):
        ours = states(device, dtype)
        yield f"features, {dtype}, against CPU float32", distance(ours, exact)
        alone = states(device, dtype, batch_tokens=1)
        yield f"features, {dtype}, one by one, against a batch", distance(alone, ours)


def answers(model, device, options):
    """Yield how many answers are those of the CPU in float32, greedy and drawn."""
    texts = queries(options.n // 4)

    def sample(device, dtype, temperature):
        sampler = TransformersSampler(
            model,
            temperature=temperature,
            max_new_tokens=48,
            device=device,
            dtype=dtype,
        )
        n_samples = 1 if temperature == 0 else 2
        return list(chain.from_iterable(sampler.sample(texts, n_samples)))

    for temperature in (0, 0.8):
        exact = sample("cpu", "float32", temperature)
        for dtype in ("float32", "bfloat16"):
            same = same_answers(sample(device, dtype, temperature), exact)
            what = f"answers of CPU float32 at temperature {temperature}, {dtype}"
            yield what, same


def lora(model, device, options):
    """Yield losses of LoRA training beside those of the CPU in float32."""
    data = load_arithmetic("math")
    X, y = data.queries_train[: options.n], data.rewards_train[: options.n]

    def losses(device, dtype):
        regressor = LoRARewardRegressor(
            model,
            device=device,
            dtype=dtype,
            max_epochs=2,
            random_state=0,
        ).fit(X, y)
        kinds = ("train_loss", "held_out_loss")
        history = [[epoch[kind] for kind in kinds] for epoch in regressor.history_]
        return np.array(history), regressor.predict(X)

    exact, predicted = losses("cpu", "float32")
    for dtype in ("float32", "bfloat16"):
        ours, rates = losses(device, dtype)
        if not (np.isfinite(ours).all() and np.isfinite(rates).all()):
            raise FloatingPointError(f"{dtype}: losses {ours.tolist()}")
        what = f"LoRA, {dtype}, against CPU float32, largest difference of"
        yield f"{what} losses", f"{np.abs(ours - exact).max():.2g}"
        yield f"{what} predicted rates", f"{np.abs(rates - predicted).max():.2g}"


def reward(model, device, options):
    """Yield how far the scores of a reward model are from those of the CPU."""
    texts = queries(options.n)
    pairs = [["1", "23", "a longer answer: 4096"]] * len(texts)

    def scores(device, dtype):
        return np.concatenate(
            RewardModel(options.reward, device=device, dtype=dtype)(texts, pairs)
        )

    exact = scores("cpu", "float32")
    for dtype in ("float32", *HALF):
        gap = np.abs(scores(device, dtype) - exact).max() / exact.std()
        what = f"reward model, {dtype}, against CPU float32, in standard deviations"
        yield what, f"{gap:.2g}"


def memory(model, device, options):
    """Yield that results stay the same where memory for most batches is missing.

    The limit is what the weights take and a tenth of what the work took without it.
    Weights that other parts left in memory would count against it.
    """
    texts = [" ".join(queries(8)) + f" {i}" for i in range(8 * options.n)]

    def featurize(batch_tokens):
        return HiddenStateFeaturizer(
            model, device=device, dtype="float32", batch_tokens=batch_tokens
        ).fit_transform(texts)

    def sample(batch_tokens):
        sampler = TransformersSampler(
            model,
            temperature=0.8,
            max_new_tokens=24,
            device=device,
            dtype="float32",
            batch_tokens=batch_tokens,
        )
        return list(chain.from_iterable(sampler.sample(texts, 4)))

    for name, run, compare in (
        ("featurizer", featurize, distance),
        ("sampler", sample, same_answers),
    ):
        run(8192)  # the weights, and what libraries keep
        free_cuda()
        weights = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        expected = run(WIDE)
        peak = torch.cuda.max_memory_allocated()
        limit = weights + (peak - weights) // 10
        free_cuda()
        before = torch.cuda.memory_stats()["num_ooms"]
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(limit / total)
        try:
            result = run(WIDE)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        halved = torch.cuda.memory_stats()["num_ooms"] - before
        if not halved:
            raise RuntimeError(f"{name}: {limit} bytes were enough")
        sizes = [f"{size / 2**30:.2f} GiB" for size in (limit, weights, peak)]
        yield (
            f"{name}, {sizes[0]} allowed, {sizes[1]} of weights, {sizes[2]} if not "
            "limited, against no limit",
            f"{halved} times out of memory; {compare(result, expected)}",
        )


def throughput(model, device, options):
    """Yield tokens per second by the number of answers that are sampled together."""
    prompt = " ".join(queries(8))
    for n_rows in (1, 16, 256, 1024, 2048)[: None if device != "cpu" else 2]:
        sampler = TransformersSampler(
            model,
            temperature=1.0,
            max_new_tokens=96,
            batch_tokens=WIDE,
            device=device,
            dtype="bfloat16",
        )
        prompts = [f"{prompt} {i}" for i in range(-(-n_rows // 16))]
        sampler.sample(prompts[:1], 1)
        synchronize()
        start = time.perf_counter()
        _, usage = sampler.sample(prompts, min(16, n_rows), return_usage=True)
        seconds = time.perf_counter() - start
        n_tokens = sum(float(each.sum()) for each in usage.answers)
        yield (
            f"sampling, bfloat16, {n_rows} rows, tokens/s",
            f"{n_tokens / seconds:.0f}",
        )


def compiled(model, device, options):
    """Yield milliseconds of a forward pass with and without ``torch.compile``."""
    network = load_language_model(model, device=device, dtype="bfloat16").backbone
    fast = torch.compile(network, dynamic=True)
    start = time.perf_counter()
    milliseconds(fast, torch.randint(5, 10, (8, 64), device=device), repeats=1)
    yield "torch.compile(dynamic=True), s", f"{time.perf_counter() - start:.0f}"
    for shape in ((8, 64), (64, 128)):
        ids = torch.randint(5, 10, shape, device=device)
        times = [f"{milliseconds(each, ids):.1f}" for each in (network, fast)]
        yield f"forward pass of {shape} tokens, ms eager / compiled", " / ".join(times)


@torch.inference_mode()
def milliseconds(network, ids, repeats=10):
    """Median time of a forward pass, the first three left out."""
    taken = []
    for _ in range(repeats + 3):
        synchronize()
        start = time.perf_counter()
        network(input_ids=ids, use_cache=False)
        synchronize()
        taken.append(1e3 * (time.perf_counter() - start))
    return float(np.median(taken[3:]))


def synchronize():
    """Wait for the GPU, so that a clock can be read."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def free_cuda():
    """Give back what is cached, so that only what is in use counts."""
    gc.collect()
    torch.cuda.empty_cache()


def queries(n):
    """Short texts, the same ones each time."""
    return list(load_arithmetic("math").queries_train[:n])


def distance(ours, exact):
    """Largest relative difference of a row, as text."""
    gap = np.linalg.norm(ours - exact, axis=1) / np.linalg.norm(exact, axis=1)
    if not np.isfinite(gap).all():
        raise FloatingPointError(f"features are {ours[~np.isfinite(gap)]}")
    return f"{gap.max():.2g}"


def same_answers(ours, exact):
    """How many answers are equal, as text."""
    same = sum(a == b for a, b in zip(ours, exact, strict=True))
    return f"{same} of {len(exact)}"


PARTS = {
    part.__name__: part
    for part in (features, answers, lora, reward, memory, throughput, compiled)
}
CUDA_ONLY = {"memory"}


def measure(options):
    """Yield one row per figure, and one per part that failed or cannot be run."""
    cuda = options.device.startswith("cuda")
    card = torch.cuda.get_device_name(options.device) if cuda else "CPU (rehearsal)"
    for name in options.parts:
        row = {"card": card, "model": options.label, "part": name}
        if name in CUDA_ONLY and not cuda:
            yield row | {"what": "not run", "value": "needs CUDA"}
            continue
        try:
            for what, value in PARTS[name](options.model, options.device, options):
                yield row | {"what": what, "value": value}
        except Exception as error:  # the other parts still run
            traceback.print_exc()
            yield row | {"what": "FAILED", "value": repr(error)[:300]}
        gc.collect()


def main():
    """Run the parts, print each figure as it comes, and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("model", nargs="?", default="embedded", help="a causal LM")
    parser.add_argument("--label", help="name of the model in the table")
    parser.add_argument("--reward", default=embedded_model_path("reward"))
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--n", type=int, default=64, help="number of queries")
    parser.add_argument("--output", type=Path, default=RESULTS / "real_lm")
    options = parser.parse_args()
    options.label = options.label or Path(options.model).name
    torch.zeros(1, device=options.device)  # fails at once if there is no such device
    rows = []
    for row in measure(options):
        print(
            f"{row['card']}  {row['part']}  {row['what']}: {row['value']}", flush=True
        )
        rows.append(row)
    card = rows[0]["card"].lower().removeprefix("nvidia ")
    short = "".join(letter if letter.isalnum() else "_" for letter in card)
    file = options.output / f"cuda_{short}.csv"
    run = {(row["model"], row["part"]) for row in rows}
    write_csv(
        [r for r in read_csv(file) if (r["model"], r["part"]) not in run] + rows, file
    )
    if any(row["what"] == "FAILED" for row in rows):
        raise SystemExit("some parts failed, see above")


def read_csv(file):
    """Rows of a table written before, or none."""
    if not file.exists():
        return []
    with open(file, newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


if __name__ == "__main__":
    main()
