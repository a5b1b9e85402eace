"""Two ways to make inputs of the same properties, each target in a child process.

Hypothesis draws from the strategies. atheris (libFuzzer) changes bytes that Hypothesis
reads its draws from (``fuzz_one_input``), and keeps those that reach new code.
"""

import mmap
import os
import random
import re
import struct
import sys
import tempfile
import time
import traceback
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from hypothesis import seed as seeded

from benchmarks.fuzz.outcomes import TALLY

_COUNTS = ("inputs", "results", "refused")
_LIMIT = 600  # seconds for one target and engine


def engines():
    """Names of the engines that can run here."""
    return ["hypothesis", "atheris"] if find_spec("atheris") else ["hypothesis"]


def instrument():
    """Import the package with counters of the code that is reached, if possible.

    What it imports late is imported here, too: children of this process have it.
    """
    for name in ("skops.io", "torch", "transformers"):
        import_module(name)
    if not find_spec("atheris"):
        print("atheris is not installed: inputs are not guided by coverage.")
        return
    import atheris

    with atheris.instrument_imports(include=["sklearn_adaalloc"]):
        import_module("benchmarks.fuzz.entries")


def run(target, engine, n_inputs, seed):
    """Put inputs to a target, in a child process.

    Parameters
    ----------
    target : Target
        What is tried.
    engine : {"hypothesis", "atheris"}
        Who makes inputs.
    n_inputs : int
        How many.
    seed : int
        Of the engine.

    Returns
    -------
    row : dict
        Counts: inputs, results, refused (documented errors), failures, coverage
        (counters that atheris saw reached; 0 for Hypothesis), seconds.
    log : str
        What the child has printed, with the failure if there is one.
    """
    counts = mmap.mmap(-1, 64)  # shared with the child
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        child = os.fork()
        if not child:
            _live(log, counts, _ENGINES[engine], target, n_inputs, seed, folder)
        failed = _wait(child, start + _LIMIT)
        text = log.read_text(errors="replace")
    found = dict(zip(_COUNTS, struct.unpack("3q", counts[:24]), strict=True))
    reached = re.findall(r"cov: (\d+)", text)
    return {
        "entry": target.name,
        "engine": engine,
        **found,
        "failures": int(failed),
        "coverage": int(reached[-1]) if reached else 0,
        "seconds": time.monotonic() - start,
    }, text


def _live(log, counts, engine, target, n_inputs, seed, folder):
    """The child's life: run, and leave without the parent's business."""
    code = 1
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, 1)
        os.dup2(file, 2)
        TALLY.clear()

        def write():
            counts[:24] = struct.pack("3q", *(TALLY[name] for name in _COUNTS))

        engine(target, n_inputs, seed, folder, write)
        code = 0
    except BaseException:
        print("last input:", target.last, file=sys.stderr)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wait(child, until):
    """Wait for a child; whether it failed, or had to be stopped."""
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) != 0
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return True


def _hypothesis(target, n_inputs, seed, folder, write):
    seeded(seed)(target.property(n_inputs, after=write))()


def _atheris(target, n_inputs, seed, folder, write):
    import atheris

    test = target.property(n_inputs, after=write).hypothesis.fuzz_one_input

    def one_input(data):
        try:
            test(data)
        except BaseException:
            print("last input:", target.last, file=sys.stderr)
            raise
        if TALLY["inputs"] >= n_inputs:
            atheris_done()

    corpus = Path(folder, "corpus")
    corpus.mkdir()
    generator = random.Random(seed)
    for i in range(20):
        size = generator.choice([64, 256, 1024])
        Path(corpus, str(i)).write_bytes(generator.randbytes(size))
    atheris.Setup(
        [
            "fuzz",
            f"-seed={seed + 1}",
            f"-runs={20 * n_inputs}",  # not all bytes are inputs: `one_input` counts
            "-max_len=2048",
            "-len_control=0",
            "-timeout=300",
            "-rss_limit_mb=0",
            f"-artifact_prefix={folder}/",
            str(corpus),
        ],
        one_input,
    )
    atheris.Fuzz()


def atheris_done():
    """Leave in the middle of libFuzzer's loop."""
    sys.stderr.flush()
    os._exit(0)


_ENGINES = {"hypothesis": _hypothesis, "atheris": _atheris}
