"""Options from a TOML file: a section for each command, keys are names of options."""

import argparse
from difflib import get_close_matches
from reprlib import repr as short_repr

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

_LARGEST_FILE = 2**24  # bytes

CONFIGURATION = "configuration"
"""Name of a positional argument that is the file, as ``--config`` is."""


class UsageError(Exception):
    """A command was used in a wrong way."""


def find_configuration(words, commands):
    """Find the command and the file that a command line names.

    Parameters
    ----------
    words : list of str
        Words of the command line.
    commands : dict of str to ArgumentParser
        Parsers of the commands.

    Returns
    -------
    name : str or None
        The command.
    path : str or None
        The file after its ``--config``.

    Examples
    --------
    >>> import argparse
    >>> from sklearn_adaalloc.command_line._configuration import find_configuration
    >>> commands = {"report": argparse.ArgumentParser()}
    >>> find_configuration(["report", "--config", "a.toml"], commands)
    ('report', 'a.toml')
    """
    if not words or words[0] not in commands:
        return None, None
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config", nargs="?")
    known, rest = finder.parse_known_args(words[1:])
    place = [a.dest for a in commands[words[0]]._actions if a.dest == CONFIGURATION]
    if place and known.config is None and rest and not rest[0].startswith("-"):
        return words[0], rest[0]  # its first positional argument is the file
    return words[0], known.config


def apply_configuration(path, command, commands):
    r"""Make the values of a file the defaults of a command's options.

    Parameters
    ----------
    path : str
        TOML file.
    command : str
        Name of the command whose section is used. Other sections are only checked for
        their names.
    commands : dict of str to ArgumentParser
        Parsers of the commands. That of `command` is changed.

    Raises
    ------
    UsageError
        If the file cannot be read, a section or key is not known, or a value does not
        fit its option.

    Examples
    --------
    >>> import argparse
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_adaalloc.command_line._configuration import apply_configuration
    >>> parser = argparse.ArgumentParser()
    >>> _ = parser.add_argument("--budget", type=float)
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "adaalloc.toml")
    ...     _ = path.write_text("[fit]\nbudget = 4")
    ...     apply_configuration(str(path), "fit", {"fit": parser})
    >>> parser.parse_args([]).budget
    4.0
    """
    content = _read(path)
    for section, values in content.items():
        if not isinstance(values, dict):
            raise UsageError(
                f"{path} has {section!r} before any section. Expected a section for "
                f"each command, such as [{command}], and options in it."
            )
        if section not in commands:
            raise UsageError(
                f"{path} has the unknown section [{section}]. Expected sections with "
                f"the names of commands{_nearest(section, commands)}."
            )
    known = _options(commands[command])
    for key, value in content.get(command, {}).items():
        name = key.replace("_", "-")
        if name not in known:
            raise UsageError(
                f"{path} has the unknown key {key!r} in [{command}]. Expected names of "
                f"options, as `adaalloc {command} --help` lists them"
                f"{_nearest(name, known)}."
            )
        where = f"{path}: {key} = {short_repr(value)} in [{command}]"
        _set_default(known[name], _convert(known[name], value, where))


def _read(path):
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_FILE + 1)  # a device may never end
        if len(content) > _LARGEST_FILE:
            raise UsageError(
                f"--config {path} is larger than {_LARGEST_FILE // 2**20} MiB. "
                "Expected a file of options."
            )
        return tomllib.loads(content.decode())
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path} is no TOML: {error}.") from error


def _nearest(name, known):
    """The known name that is most like a wrong one, as the end of a sentence."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; the nearest is {near[0]!r}" if near else f": {', '.join(sorted(known))}"


def _options(parser):
    """Actions of a parser by the names that a file may use."""
    actions = {}
    for action in parser._actions:
        names = [name[2:] for name in action.option_strings if name.startswith("--")]
        if action.dest not in ("help", "config", CONFIGURATION):
            actions[names[0] if names else action.dest.replace("_", "-")] = action
    return actions


def _convert(action, value, where):
    """A value as the command line would give it."""
    if action.nargs == 0:  # a switch
        if not isinstance(value, bool):
            raise UsageError(f"{where} is not accepted. Expected true or false.")
        return value
    several = action.nargs in ("+", "*")
    values = value if several and isinstance(value, list) else [value]
    converted = [_convert_one(action, each, where) for each in values]
    if several and not converted:
        raise UsageError(f"{where} is not accepted. Expected at least one value.")
    return converted if several else converted[0]


def _convert_one(action, value, where):
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"{where} is not accepted. Expected a text or a number.")
    try:
        converted = str(value) if action.type is None else action.type(str(value))
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise UsageError(f"{where} is not accepted: {error}.") from error
    if action.choices is not None and converted not in action.choices:
        choices = ", ".join(map(str, action.choices))
        raise UsageError(f"{where} is not accepted. Expected one of {choices}.")
    return converted


def _set_default(action, value):
    action.default = value
    action.required = False
    if not action.option_strings:  # a positional one may now be left out
        action.nargs = "*" if action.nargs == "+" else "?"
