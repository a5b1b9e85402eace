"""A sandbox for programs that a language model wrote, with verdicts that are not faked.

Attacks that it prevents
------------------------
A program may be wrong, wasteful or hostile, because a model may have learned to fool
the grader. It must not change anything outside, and it must not pass without doing what
the tests ask.

*No access to the outside.* Each program runs in bubblewrap, in its own name spaces. It
sees the system's libraries read-only, and an empty ``/tmp`` of 64 MiB in memory, which
is deleted afterwards. It has no network, no other process, no home, no environment and
no ``/proc``. A filter of system calls prevents new processes and the use of kernel
interfaces that a Python program does not need. Memory, CPU time, files and their size
are limited, and output is discarded. After the time limit, the whole name space is
killed from outside. Without bubblewrap, nothing is run.

*No faked verdict.* Tests and program are two processes without shared memory. The
program's process is forked before the tests are sent, so it never holds an expected
value. The filter prevents it from reading other processes. It has neither the pipe for
the verdict nor the random code word that means success. So ``os._exit(0)`` or a printed
line have no effect. The program cannot reach the process of the tests, for example to
patch ``AssertionError`` or builtins there. Names in the tests refer to Python's
builtins and modules and to definitions of the prompt. Only the function under test and
names not defined elsewhere refer to the program.

*Messages* between the processes are JSON, never pickles, so no message can name a
function to call. Values of Python's own types are passed by content. A result may
derive from such a type (an ``IntEnum``, or a list of the program's own class). It is
compared by Python's own comparison, not by the program's ``__eq__``. Other objects stay
in their process and have stand-ins on the other side. An object of the program equals
no plain value, since only its own ``__eq__`` could say so. Two objects of the program
are compared by its ``__eq__``. Requests that would show it an expected value are not
sent. These are comparisons and arithmetic with plain values, and ``in``, unless the
tests name its class. The program can call functions of the tests and use public
attributes of objects that it was passed. It cannot reach their code, globals, frames
and modules. A program fails if it sends an invalid message, or if it ignores a failed
assertion of the tests.

Limits
------
- Holes in the Linux kernel or in CPython's reader of JSON.
- Weak tests: a program passes if it returns what they accept. The tests themselves are
  trusted. As in one process, a program may change lists that it is passed, and methods
  of its classes may return anything.
- Installed files: the folders of the system and of Python can be read.
- Side channels such as timing, and effects on other work: programs share processor and
  memory bandwidth with everything else. `n_jobs` programs at once may use `n_jobs`
  times the memory limit, twice (program and tests).
- With ``sandbox="unsafe-none"``, the program can reach everything outside and can fake
  its verdict. Only the resource limits and the time limit remain.
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
PACKAGES = "/packages"  # folder of additional packages in the sandbox
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
# Imported once before the process is forked, if the program mentions them: faster.
_PRELOADED = {"collections", "functools", "heapq", "itertools", "math", "re", "typing"}
# Without these, the order of a set differs between runs, and numerical packages start
# threads.
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
        Python source that is not trusted.
    tests : dict
        The tests. "setup" and "source" are trusted Python source. "modules" are modules
        that they use. "required" and "names" are names that the program must and may
        define. "cases" is plain data.
    timeout : float
        Time limit of a run, in seconds.
    memory_mb : int
        Memory of the program, in MiB.
    sandbox : {"bubblewrap", "unsafe-none"}
        Where the program runs.
    reads_input : bool, default=False
        Whether the program is run anew each time the tests call ``run``, with the
        standard input that they give. Then `timeout` applies to each run.
    preamble : str, default=""
        Python source that is run before the program, in the same module.
    packages : tuple of str, default=()
        Packages of this environment that program and tests may import.

    Returns
    -------
    passes : bool or str
        Whether it passes; the reason as text if this is unknown.

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
    """Encode one message for the driver."""
    data = marshal.dumps(content)
    return len(data).to_bytes(8, "little") + data


def _communicate(command, job, tests, timeout):
    """Verdict of the driver on a program; b"" after the time limit."""
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
                f"the sandbox did not start. Its message: {reason!r}. bubblewrap needs "
                "user name spaces: make sure that `bwrap --unshare-all --ro-bind / / "
                "true` works."
            )
        try:
            return process.communicate(tests, timeout)[0]
        except BaseException as error:
            # The sandbox ends with bubblewrap, which is in this process group.
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return b""


@functools.cache
def package_folders(packages):
    """Find packages and their dependencies; a tuple of pairs (name, path).

    Raises
    ------
    ValueError
        If a package is not installed.
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
    """A temporary folder with links to only these packages; deleted at exit."""
    folder = tempfile.mkdtemp(prefix="adaalloc-packages-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, path in folders:
        os.symlink(path, os.path.join(folder, name))
    return folder


def _with_packages(command, folders):
    """The command of the sandbox with read-only packages added."""
    if not folders:
        return command
    mounts = []
    for name, path in folders:
        mounts += ["--ro-bind", path, f"{PACKAGES}/{name}"]
    at = command.index("--remount-ro")
    return [*command[:at], *mounts, *command[at:]]


def _python_command():
    """Command of an interpreter without site packages, with the driver."""
    python = os.path.realpath(sys._base_executable)
    return [python, "-s", "-S", "-B", str(DRIVER)]


@functools.cache
def bubblewrap_command():
    """Compose the command that starts the driver in an empty environment.

    Raises
    ------
    RuntimeError
        If bubblewrap is missing or cannot work on this machine.
    """
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None or platform.machine() not in MACHINES:
        raise RuntimeError(
            "sandbox='bubblewrap' is not available: it needs Linux on x86-64 or arm64 "
            "and the program bwrap. Install it (Debian and Ubuntu: `apt install "
            "bubblewrap`). sandbox='unsafe-none' runs programs without any protection: "
            "use it only for code that you would run yourself."
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
