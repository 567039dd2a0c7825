"""Find classes and functions by name and read their parameters in the source: to import would run it, and is slow."""

import ast
import importlib
import sys
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from utils.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]
REQUIRED = object()
CALLED = ("loss", "metric")  # kinds of functions, and of classes, which are made with the config's arguments first


@dataclass(frozen=True)
class Parameter:
    """What is accepted, as an annotation (see `accepts` in check.py), and the default."""

    annotation: str
    default: Any = REQUIRED  # ... if only the code itself knows it
    package: str = ""  # of a key that names code: where to look; the last of several wins
    kind: str = ""  # ... the kind it must be
    n_given: int = 0  # ... how many arguments the code gives it


@dataclass(frozen=True)
class Definition:
    """A public class or function at the top level of a source file."""

    node: ast.ClassDef | ast.FunctionDef
    package: str
    module: str
    path: Path
    also_in: "Definition | None"  # of the same name, in another file of the package

    def load(self) -> Any:
        """Import the one module that defines it and return it."""
        return getattr(importlib.import_module(self.module), self.node.name)

    @cached_property
    def parent(self) -> "Definition | None":
        """The definition of its first base class that its own package or `base` holds."""
        nodes = self.node.bases if isinstance(self.node, ast.ClassDef) else []
        names = [ast.unparse(node).rpartition(".")[2] for node in nodes]
        found = [definitions(package).get(name) for name in names for package in (self.package, "base")]
        return next((definition for definition in found if definition not in (None, self)), None)

    def is_a(self, kind: str) -> bool:
        """Whether it is a class that descends from the class called `kind`; or see CALLED."""
        if kind in CALLED:
            return True
        return self.parent is not None and (self.parent.node.name == kind or self.parent.is_a(kind))

    def given(self, expected: Parameter) -> list[str]:
        """The parameters that get what the code gives, such as an output and a target, and no config may name."""
        is_made_first = isinstance(self.node, ast.ClassDef) and expected.kind in CALLED
        return list(self.parameters[0])[: 0 if is_made_first else expected.n_given]

    @cached_property
    def parameters(self) -> tuple[dict[str, Parameter], bool]:
        """By name, with those that **kwargs hands to the base class; and whether there may be more."""
        function = self.node
        if isinstance(function, ast.ClassDef):
            methods = [node for node in function.body if isinstance(node, ast.FunctionDef)]
            function = next((method for method in methods if method.name == "__init__"), None)
        if function is None:
            return self.parent.parameters if self.parent else ({}, self.package != "base")
        arguments = function.args
        positional = arguments.posonlyargs + arguments.args
        defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults + arguments.kw_defaults
        own = {}
        for argument, node in zip(positional + arguments.kwonlyargs, defaults, strict=True):
            annotation = "Any" if argument.annotation is None else ast.unparse(argument.annotation)
            default = REQUIRED if node is None else node.value if isinstance(node, ast.Constant) else ...
            own[argument.arg] = Parameter(annotation, default)
        own.pop("self", None)
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        call = next((node for node in calls if ast.unparse(node.func) == "super().__init__"), None)
        if arguments.kwarg is None or self.parent is None or call is None:
            return own, arguments.kwarg is not None
        inherited, is_open = self.parent.parameters
        given = {keyword.arg for keyword in call.keywords} | {*list(inherited)[: len(call.args)], *own}
        return own | {name: inherited[name] for name in inherited if name not in given}, is_open


@cache
def definitions(package: str) -> dict[str, Definition]:
    """The public classes and functions of a package's files (also in its folders), or of one module, by name.

    package: of several, parted by spaces, the last that has a name wins.
    """
    if " " in package:
        return {name: found for part in package.split() for name, found in definitions(part).items()}
    folder = package.replace(".", "/")
    places = (PROJECT, *map(Path, sys.path))  # the project, or where libraries are installed
    root = next(place for place in places if (place / folder).is_dir() or (place / f"{folder}.py").is_file())
    found: dict[str, Definition] = {}
    for path in sorted((root / folder).rglob("*.py")) or [root / f"{folder}.py"]:
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        if ".." in module or path.name == "__init__.py":  # in a hidden folder, or imports of the rest
            continue
        try:
            nodes = ast.parse(path.read_bytes()).body
        except SyntaxError as error:
            raise UserError(f"{path}:{error.lineno}: not valid Python: {error.msg}") from None
        for node in nodes:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                found[node.name] = Definition(node, package, module, path, also_in=found.get(node.name))
    return found
