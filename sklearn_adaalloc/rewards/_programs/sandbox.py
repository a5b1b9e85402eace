"""A sandbox for programs that a language model wrote, and a verdict they cannot fake.

What we guard against
---------------------
A program may be wrong, wasteful or hostile: written by a model that has learned that
reward comes from fooling the grader. It shall neither touch anything outside nor pass
without doing what the tests ask.

*Nothing outside.* Each program runs in bubblewrap, in name spaces of its own: it sees
the system's libraries read-only, an empty ``/tmp`` of 64 MiB in memory that dies with
it, no network, no other process, no home, no environment, no ``/proc``. A filter of
system calls forbids it to start processes and to reach for kernel interfaces that a
Python program does not need. Memory, CPU time, files and their size are limited, its
output goes nowhere, and after the time limit the whole name space is killed from
outside. Without bubblewrap nothing is run.

*No faked verdict.* Tests and program are two processes that share no memory. The
program's is forked before the tests are sent, so it never holds an expected value, and
the filter forbids it to look into other processes. It has neither the pipe that carries
the verdict nor the random code word that stands for success, so ``os._exit(0)`` or a
printed line achieve nothing. The tests run outside its reach: it cannot patch
``AssertionError`` or builtins there. Names in the tests mean Python's builtins, modules
and what the prompt defines; only the function under test and what is left are the
program's.

*What crosses* is text in JSON, never a pickle, so no message can name a function to
call. Values of Python's own types cross by content: a result that is derived from one
(an ``IntEnum``, a list of the program's own class) is compared by Python's own
comparison, not by the ``__eq__`` that the program gave it. Other objects stay where
they are and have stand-ins on the other side. An object of the program is equal to no
plain value, since only its own ``__eq__`` could say so; two objects of the program are
compared by it. What would show it an expected value is not asked of it: comparisons
with, arithmetic with and containment of plain values, unless the tests name its class.
Of the tests' own objects, the program can call functions and use public attributes of
what it was handed; their code, globals, frames and modules are out of reach. A message
that makes no sense fails the program, as does an assertion of the tests that the
program passes over.

What it does not cover
----------------------
- Holes in the Linux kernel or in CPython's reader of JSON.
- Weak tests: a program that returns what they happen to accept passes. The tests
  themselves are trusted. As in one process, a program may change the lists it is
  handed, and methods of its classes answer what it likes.
- Reading what is installed: the folders of the system and of Python are visible.
- Side channels such as timing, and a noisy neighbour: programs share processor and
  memory bandwidth with everything else. `n_jobs` programs at once may take `n_jobs`
  times the memory limit, twice over (program and tests).
- With ``sandbox="unsafe-none"``: everything outside is open to the program, which may
  also fake its verdict. Only the resource limits and the time limit remain.
"""

import atexit
import functools
import marshal
import os
import platform
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from threading import Timer

from sklearn_adaalloc.rewards._programs.system_calls import MACHINES, system_call_filter

SANDBOXES = ("bubblewrap", "unsafe-none")
FOLDER = Path(__file__).parent
DRIVER = FOLDER / "driver.py"
# Modules of this folder that run in the sandbox, each after those that it imports.
MODULES = (
    *("wire", "stand_ins", "messages", "peer", "contest"),
    *("program_side", "tests_side"),
)
PACKAGES = "/packages"  # where further packages are in the sandbox
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
# Imported before tests and program part, where the program mentions them: faster.
_PRELOADED = {"collections", "functools", "heapq", "itertools", "math", "re", "typing"}
# Else the order of a set differs between runs, and numerical packages start threads.
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
_START_SECONDS = 60
_TMP_BYTES, _FILE_BYTES = 2**26, 2**24


def run_tests(
    program,
    tests,
    *,
    timeout,
    memory_mb,
    sandbox,
    reads_input=False,
    preamble="",
    packages=(),
):
    """Run a program against tests and say whether it passes them all.

    Parameters
    ----------
    program : str
        Python source that nobody trusts.
    tests : dict
        What the tests are. "setup" and "source": Python source that is trusted;
        "modules": modules that they use; "required" and "names": what the program must
        and may define for them; "cases": plain data.
    timeout : float
        Seconds of a run.
    memory_mb : int
        MiB of memory of the program.
    sandbox : {"bubblewrap", "unsafe-none"}
        Where it runs.
    reads_input : bool, default=False
        Whether the program is run afresh, with the standard input that the tests give
        it, each time they call ``run``. `timeout` then holds for each run.
    preamble : str, default=""
        Python source that is run before the program, in the same module.
    packages : tuple of str, default=()
        Packages of this environment that program and tests may import.

    Returns
    -------
    passes : bool or str
        Whether it passes; the reason, as text, if that cannot be known.

    Raises
    ------
    RuntimeError
        If the sandbox does not start.
    """
    boxed = sandbox == "bubblewrap"
    folders = package_folders(packages)
    path = ([PACKAGES] if boxed else [_linked(folders)]) if folders else []
    job = {
        "program": program,
        "reads_input": reads_input,
        "timeout": timeout,
        "preamble": preamble,
        "modules": compiled_modules(),
        "sides": [f"{__package__}.program_side", f"{__package__}.tests_side"],
        "path": path,
        "preload": sorted(_PRELOADED & set(re.findall(r"\w+", program))),
        "filter": system_call_filter() if boxed else b"",
        "limits": {
            "RLIMIT_AS": memory_mb * 2**20,
            "RLIMIT_CPU": int(timeout) + 2,
            "RLIMIT_FSIZE": _FILE_BYTES,
            "RLIMIT_NOFILE": 64,
            "RLIMIT_CORE": 0,
        },
    }
    code_word = secrets.token_bytes(16)
    n_runs = max(len(tests["cases"]), 1) if reads_input else 1
    verdict = _communicate(
        _with_packages(bubblewrap_command(), folders) if boxed else _python_command(),
        _message(job),
        _message(tests | {"code_word": code_word}),
        timeout * n_runs,
    )
    if verdict.startswith(code_word) and len(verdict) > len(code_word):
        return verdict[len(code_word) :].decode(errors="replace")
    return verdict == code_word


@functools.cache
def compiled_modules():
    """Code of the modules that run in the sandbox, by their full names."""
    modules = {name: compile("", name, "exec") for name in _parents(__package__)}
    for name in MODULES:
        source = (FOLDER / f"{name}.py").read_text()
        modules[f"{__package__}.{name}"] = compile(source, name, "exec")
    return modules


def _parents(package):
    parts = package.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _message(content):
    """Bytes that the driver reads as one message."""
    data = marshal.dumps(content)
    return len(data).to_bytes(8, "little") + data


def _communicate(command, job, tests, timeout):
    """What the driver says of a program; b"" if it is late."""
    with subprocess.Popen(
        command,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env=_ENVIRONMENT,
        start_new_session=True,
    ) as process:
        timer = Timer(_START_SECONDS, process.kill)
        timer.start()
        try:
            with suppress(BrokenPipeError):
                process.stdin.write(job)
            ready = process.stdout.read(5)
        finally:
            timer.cancel()
        if ready != b"ready":
            process.kill()
            reason = process.stderr.read().decode(errors="replace").strip()
            raise RuntimeError(
                f"the sandbox did not start. It said: {reason!r}. bubblewrap needs "
                "user name spaces: see to it that `bwrap --unshare-all --ro-bind / / "
                "true` works."
            )
        try:
            return process.communicate(tests, timeout)[0]
        except BaseException as error:
            # The sandbox dies with bubblewrap, which is in this group.
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return b""


@functools.cache
def package_folders(packages):
    """Find packages and what they depend on; a tuple of pairs (name, path).

    Raises
    ------
    ValueError
        If one is not installed.
    """
    found, pending, seen = {}, list(packages), set()
    distributions = metadata.packages_distributions() if packages else {}
    for name in packages:
        if name not in distributions:
            raise ValueError(
                f"packages={list(packages)} names {name!r}, which is not installed. "
                "Expected names as in `import`, of packages of this environment; "
                "install it, or leave it out."
            )
    pending = [d for name in packages for d in distributions[name]]
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # an optional dependency
            continue
        for file in distribution.files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not top.endswith(".pth"):
                found[top] = str(distribution.locate_file(top))
        for requirement in distribution.requires or ():
            if "extra ==" not in requirement:
                pending.append(re.match(r"[\w.-]+", requirement)[0])
    return tuple(sorted(found.items()))


@functools.cache
def _linked(folders):
    """A folder with links to these packages and nothing else, until Python ends."""
    folder = tempfile.mkdtemp(prefix="adaalloc-packages-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, path in folders:
        os.symlink(path, os.path.join(folder, name))
    return folder


def _with_packages(command, folders):
    """The command of the sandbox with packages in it, read-only."""
    if not folders:
        return command
    mounts = []
    for name, path in folders:
        mounts += ["--ro-bind", path, f"{PACKAGES}/{name}"]
    at = command.index("--remount-ro")
    return [*command[:at], *mounts, *command[at:]]


def _python_command():
    """Interpreter without site packages, and the driver."""
    python = os.path.realpath(sys._base_executable)
    return [python, "-s", "-S", "-B", str(DRIVER)]


@functools.cache
def bubblewrap_command():
    """Compose the command that starts the driver in an empty world.

    Raises
    ------
    RuntimeError
        If bubblewrap is missing or cannot work on this machine.
    """
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None or platform.machine() not in MACHINES:
        raise RuntimeError(
            "sandbox='bubblewrap' is not to be had: it takes Linux on x86-64 or arm64 "
            "and the program bwrap. Install it (Debian and Ubuntu: `apt install "
            "bubblewrap`). Programs are run without any protection with "
            "sandbox='unsafe-none', for code that you would run yourself."
        )
    command = [bubblewrap, "--unshare-all", "--die-with-parent", "--new-session"]
    command += ["--as-pid-1", "--cap-drop", "ALL", "--uid", "65534", "--gid", "65534"]
    command += ["--clearenv"]
    for pair in _ENVIRONMENT.items():
        command += ["--setenv", *pair]
    roots = {"/usr", "/lib", "/lib64", "/etc/ld.so.cache"}
    roots |= set(map(os.path.realpath, (sys.base_prefix, sys.base_exec_prefix)))
    for root in sorted(roots):
        if os.path.islink(root):
            command += ["--symlink", os.readlink(root), root]
        else:
            command += ["--ro-bind-try", root, root]
    for device in _DEVICES:
        command += ["--dev-bind", device, device]
    driver = "/driver/run.py"
    command += ["--ro-bind", str(DRIVER), driver]
    command += ["--size", str(_TMP_BYTES), "--tmpfs", "/tmp", "--chdir", "/tmp"]
    command += ["--remount-ro", "/"]
    return [*command, *_python_command()[:-1], driver]
