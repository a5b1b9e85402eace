"""Imports of optional dependencies, with a hint how to install them."""

from importlib import import_module


def import_optional(name, extra):
    """Import a module that only some users need.

    Parameters
    ----------
    name : str
        Module to import, such as ``"matplotlib.pyplot"``.
    extra : str
        Extra of this distribution that installs it.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    ImportError
        If the module is not installed. The message names the extra.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.optional import import_optional
    >>> import_optional("json", extra="plot").dumps([1])
    '[1]'
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        distribution = name.partition(".")[0]
        raise ImportError(
            f"{distribution} is needed here and is not installed. Install it with "
            f"`pip install 'sklearn-adaalloc[{extra}]'`."
        ) from error


def optional_base(name, attribute, extra):
    """Find a base class in a package that only some users need.

    Parameters
    ----------
    name, extra : str
        As for :func:`import_optional`.
    attribute : str
        Name of the class.

    Returns
    -------
    class
        The class. If the package is not installed, one that makes no instances: the
        attempt raises an ImportError with the same message.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.optional import optional_base
    >>> optional_base("json", "JSONEncoder", extra="plot").__name__
    'JSONEncoder'
    """
    try:
        return getattr(import_optional(name, extra), attribute)
    except ImportError as error:
        message = str(error)

    class Missing:
        def __new__(cls, *args, **kwargs):
            raise ImportError(message)

    return Missing
