"""Which members of a class its API page lists."""

import importlib
import inspect
import pkgutil

_INHERITED = {"fit_transform", "get_params", "set_params"}  # what one calls by hand


def public_members(package):
    """Methods and properties to list, by full name of each public class.

    Methods are those that the package defines, and of scikit-learn's some; properties
    that end in an underscore are fitted attributes, which the class's docstring lists.
    """
    rooms = [room.name for room in pkgutil.iter_modules(package.__path__)]
    names = [f"{package.__name__}.{room}" for room in rooms if room[0] != "_"]
    modules = [package, *map(importlib.import_module, names)]
    public = {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in modules
        for name in module.__all__
    }
    return {
        name: _members(value, package.__name__)
        for name, value in public.items()
        if inspect.isclass(value)
    }


def _members(cls, package):
    public = [name for name in dir(cls) if not name.startswith("_")]
    methods = [
        name
        for name in public
        if callable(getattr(cls, name))
        and (name in _INHERITED or _origin(getattr(cls, name)) == package)
    ]
    properties = [
        name
        for name in public
        if isinstance(inspect.getattr_static(cls, name), property)
        and not name.endswith("_")
    ]
    return {"methods": methods, "properties": properties}


def _origin(method):
    return (getattr(method, "__module__", None) or "").partition(".")[0]
