"""Find classes and functions by name, and read their parameters, without importing the code that defines them.

A config names code through `type`. Importing torch takes over a second and importing a stranger's choice of module
would run it; reading the source does neither. So a wrong name or argument is refused at once, and only the one file
that defines the right one is imported.
"""

import ast
import importlib
import importlib.util
import re
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
_TOP_LEVEL = re.compile(r"^(class|def) ([A-Za-z]\w*)(?:\(([^)]*)\))?", re.MULTILINE)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function or constructor, as written in the source."""

    name: str
    required: bool
    annotation: ast.expr | None


@dataclass(frozen=True)
class Definition:
    """A public class or function at the top level of a source file. `bases` is empty for a function."""

    name: str
    package: str
    module: str
    path: Path
    is_function: bool
    bases: tuple[str, ...]
    also_in: Path | None = None  # another file of the package that defines the same name

    def load(self) -> Any:
        """Import the one module that defines it and return it."""
        return getattr(importlib.import_module(self.module), self.name)

    @cached_property
    def parent(self) -> "Definition | None":
        """The definition of the first base that its own package or `base` holds."""
        for base in self.bases:
            for package in (self.package, "base"):
                definition = definitions(package).get(base)
                if definition not in (None, self):
                    return definition
        return None

    def is_a(self, kind: str) -> bool:
        """Whether it is a class that descends from the class called `kind`, or, for "function", a function."""
        if kind == "function":
            return self.is_function
        return kind in self.bases or (self.parent is not None and self.parent.is_a(kind))

    def names_itself(self, parameter: str) -> bool:
        """Whether its constructor, or one that it inherits within its package, spells a parameter out."""
        own, _ = self._own_constructor
        if parameter in {p.name for p in own}:
            return True
        return self.parent is not None and self.parent.package == self.package and self.parent.names_itself(parameter)

    @cached_property
    def parameters(self) -> tuple[list[Parameter], bool]:
        """What a call accepts, and whether it may accept more than the source shows.

        A constructor's **kwargs stands for the parameters of its base class that `super().__init__(...)` leaves open.
        """
        own, init = self._own_constructor
        if self.is_function:
            return own, init.args.kwarg is not None
        if init is None:
            return self.parent.parameters if self.parent else ([], not {*self.bases} <= {"Module", "ABC"})
        if init.args.kwarg is None:
            return own, False
        call = _super_init_call(init)
        if self.parent is None or call is None:
            return own, True
        inherited, is_open = self.parent.parameters
        given = {k.arg for k in call.keywords} | {p.name for p in inherited[: len(call.args)]} | {p.name for p in own}
        return own + [p for p in inherited if p.name not in given], is_open

    @cached_property
    def _own_constructor(self) -> tuple[list[Parameter], ast.FunctionDef | None]:
        """Parameters, without self, and source of the function or of the class's own __init__, if it has one."""
        tree = ast.parse(self.path.read_text(encoding="utf-8"), filename=str(self.path))
        node = next(n for n in tree.body if getattr(n, "name", None) == self.name)
        if self.is_function:
            return _own_parameters(node), node
        init = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
        return (_own_parameters(init)[1:] if init else []), init


@cache
def definitions(package: str) -> dict[str, Definition]:
    """Every public class and function at the top level of a package's files, or of one module, by name."""
    found: dict[str, Definition] = {}
    for module, path in _files(package).items():
        for keyword, name, inside in _TOP_LEVEL.findall(path.read_text(encoding="utf-8")):
            bases = tuple(base.split(".")[-1].strip() for base in inside.split(",")) if keyword == "class" else ()
            definition = Definition(name, package, module, path, keyword == "def", bases)
            found[name] = replace(found[name], also_in=path) if name in found else definition
    return found


def accepts(annotation: ast.expr | None, value: Any) -> bool:
    """Whether a JSON value fits a parameter's annotation. A list fits a tuple; an int fits a float."""
    match annotation:
        case None:
            return True
        case ast.BinOp(left=left, right=right):
            return accepts(left, value) or accepts(right, value)
        case ast.Constant(value=None):
            return value is None
        case ast.Constant(value=str(text)):
            return accepts(ast.parse(text, mode="eval").body, value)
        case ast.Subscript(value=outer, slice=inner):
            return _accepts_subscript(_last_name(outer), inner, value)
        case _:
            return _accepts_name(_last_name(annotation), value)


def fits_json(annotation: ast.expr | None) -> bool:
    """Whether any JSON value but null could fit: not for a parameter that only code can give, such as a function."""
    match annotation:
        case ast.BinOp(left=left, right=right):
            return fits_json(left) or fits_json(right)
        case ast.Constant(value=None):
            return False
        case ast.Subscript(value=outer):
            return _last_name(outer) not in _NOT_IN_JSON
        case _:
            return annotation is None or _last_name(annotation) not in _NOT_IN_JSON


def unparse(annotation: ast.expr) -> str:
    """An annotation as text, in the words of JSON's readers."""
    return ast.unparse(annotation).replace("None", "null").strip("'")


_JSON_TYPES = {
    "int": int, "float": (int, float), "bool": bool, "str": str, "Path": str, "dict": dict, "Mapping": dict,
    "list": list, "tuple": list, "Sequence": list, "Iterable": list,
}  # fmt: skip
_NOT_IN_JSON = {"Callable", "Tensor", "Optimizer", "Module", "Dataset"}


def _accepts_name(name: str, value: Any) -> bool:
    if name in _NOT_IN_JSON:
        return False
    if isinstance(value, bool) and name in ("int", "float"):
        return False
    return isinstance(value, _JSON_TYPES.get(name, object))


def _accepts_subscript(outer: str, inner: ast.expr, value: Any) -> bool:
    options = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if outer == "Union":
        return any(accepts(option, value) for option in options)
    if outer == "Optional":
        return value is None or accepts(inner, value)
    if outer == "Literal":
        return value in [option.value for option in options if isinstance(option, ast.Constant)]
    if not _accepts_name(outer, value):
        return False
    if outer in ("list", "Sequence", "Iterable"):
        return all(accepts(inner, item) for item in value)
    if outer == "tuple" and not isinstance(options[-1], ast.Constant):
        return len(value) == len(options) and all(map(accepts, options, value))
    return True


def _files(package: str) -> dict[str, Path]:
    """The source files of a package's folder, or of one module: module -> file."""
    top, *rest = package.split(".")
    root = PROJECT / top
    if not root.exists():  # an installed library: find_spec locates a top-level package without importing it
        root = Path(importlib.util.find_spec(top).submodule_search_locations[0])
    place = root.joinpath(*rest)
    if place.is_dir():
        return {f"{package}.{path.stem}": path for path in sorted(place.glob("*.py")) if path.stem != "__init__"}
    return {package: place.with_suffix(".py")}


def _own_parameters(function: ast.FunctionDef) -> list[Parameter]:
    arguments = function.args
    positional = arguments.posonlyargs + arguments.args
    n_required = len(positional) - len(arguments.defaults)
    parameters = [Parameter(a.arg, i < n_required, a.annotation) for i, a in enumerate(positional)]
    keyword_only = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return parameters + [Parameter(a.arg, default is None, a.annotation) for a, default in keyword_only]


def _super_init_call(function: ast.FunctionDef) -> ast.Call | None:
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Attribute(attr="__init__", value=ast.Call(func=ast.Name(id="super")))):
                return node
    return None


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
