"""Find classes and functions by name, and read their parameters, without importing the code that defines them.

A config names code through `type`. Importing torch takes over a second and importing a stranger's choice of module
would run it; reading the source does neither. So a wrong name or argument is refused at once, and only the one file
that defines the right one is imported.
"""

import ast
import importlib
import importlib.util
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from utils.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]
REQUIRED = object()


@dataclass(frozen=True)
class Parameter:
    """What is accepted, as an annotation (see annotations.py), and the default."""

    annotation: str
    default: Any = REQUIRED  # ... if only the code itself knows it
    package: str = ""  # where the function or constructor stands that has it


@dataclass(frozen=True)
class Definition:
    """A public class or function at the top level of a source file."""

    node: ast.ClassDef | ast.FunctionDef
    package: str
    module: str
    path: Path
    also_in: Path | None = None  # another file of the package that defines the same name

    def load(self) -> Any:
        """Import the one module that defines it and return it."""
        return getattr(importlib.import_module(self.module), self.node.name)

    @cached_property
    def bases(self) -> list[str]:
        nodes = self.node.bases if isinstance(self.node, ast.ClassDef) else []
        return [ast.unparse(node).rpartition(".")[2] for node in nodes]

    @cached_property
    def parent(self) -> "Definition | None":
        """The definition of the first base that its own package or `base` holds."""
        found = [definitions(package).get(base) for base in self.bases for package in (self.package, "base")]
        return next((definition for definition in found if definition not in (None, self)), None)

    def is_a(self, kind: str) -> bool:
        """Whether it is a class that descends from the class called `kind`, or, for "function", a function."""
        if isinstance(self.node, ast.FunctionDef):
            return kind == "function"
        return kind in self.bases or (self.parent is not None and self.parent.is_a(kind))

    @cached_property
    def parameters(self) -> tuple[dict[str, Parameter], bool]:
        """What a call accepts by name, and whether it may accept more than the source shows.

        A constructor's **kwargs stands for the parameters of its base class that `super().__init__(...)` leaves open.
        """
        if isinstance(self.node, ast.FunctionDef):
            return _parameters(self.node, self.package), self.node.args.kwarg is not None
        init = next((n for n in self.node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
        if init is None:
            return self.parent.parameters if self.parent else ({}, not {*self.bases} <= {"Module", "ABC"})
        own = _parameters(init, self.package)
        del own[init.args.args[0].arg]  # self
        calls = [node for node in ast.walk(init) if isinstance(node, ast.Call)]
        call = next((node for node in calls if ast.unparse(node.func) == "super().__init__"), None)
        if init.args.kwarg is None or self.parent is None or call is None:
            return own, init.args.kwarg is not None
        inherited, is_open = self.parent.parameters
        given = {keyword.arg for keyword in call.keywords} | {*list(inherited)[: len(call.args)], *own}
        return own | {name: inherited[name] for name in inherited if name not in given}, is_open


@cache
def definitions(package: str) -> dict[str, Definition]:
    """Every public class and function at the top level of a package's files, or of one module, by name.

    Raises UserError for a file that is not valid Python.
    """
    found: dict[str, Definition] = {}
    for module, path in _files(package).items():
        try:
            nodes = ast.parse(path.read_bytes()).body
        except SyntaxError as error:
            raise UserError(f"{path}:{error.lineno}: not valid Python: {error.msg}") from None
        for node in nodes:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                first = found.setdefault(node.name, Definition(node, package, module, path))
                found[node.name] = first if first.node is node else replace(first, also_in=path)
    return found


def _files(package: str) -> dict[str, Path]:
    """The source files of a package's folder and of the folders in it, or of one module: module -> file."""
    top, *rest = package.split(".")
    root = PROJECT / top
    if not root.exists():  # an installed library: find_spec locates a top-level package without importing it
        spec = importlib.util.find_spec(top)
        assert spec is not None and spec.origin is not None
        root = Path(spec.origin).parent
    place = root.joinpath(*rest)
    if not place.is_dir():
        return {package: place.with_suffix(".py")}
    found = {}
    for path in sorted(place.rglob("*.py")):
        names = path.relative_to(place).with_suffix("").parts
        if not any(name.startswith((".", "__")) for name in names):  # hidden; __init__.py, which defines nothing
            found[".".join([package, *names])] = path
    return found


def _parameters(function: ast.FunctionDef, package: str) -> dict[str, Parameter]:
    arguments = function.args
    positional = arguments.posonlyargs + arguments.args
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults + arguments.kw_defaults
    found = {}
    for argument, node in zip(positional + arguments.kwonlyargs, defaults, strict=True):
        annotation = "Any" if argument.annotation is None else ast.unparse(argument.annotation)
        default = REQUIRED if node is None else node.value if isinstance(node, ast.Constant) else ...
        found[argument.arg] = Parameter(annotation, default, package)
    return found
