"""Does a JSON value fit an annotation? Annotations are read as source text: nothing is imported to answer.

Annotated[int, ">= 1"] | None       an integer >= 1 or null
Annotated[str, "a name"]            a name
Literal["epoch", "step"]            "epoch" or "step"
"""

import ast
import json
import operator
from typing import Any

Annotation = str | ast.expr
_COMPARE = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
# The types of JSON values that fit a name. A name that is not here fits anything.
_TYPES: dict[str, tuple[type, ...]] = {
    "None": (type(None),), "int": (int,), "float": (int, float), "bool": (bool,), "str": (str,), "Path": (str,),
    "dict": (dict,), "Mapping": (dict,), "list": (list,), "tuple": (list,), "Sequence": (list,), "Iterable": (list,),
    "Callable": (), "Tensor": (), "Optimizer": (), "Module": (), "Dataset": (),
}  # fmt: skip
_WORDS = {"None": "null", "int": "an integer", "float": "a number", "bool": "true or false", "str": "a text",
          "dict": "an object"}  # fmt: skip


def accepts(annotation: Annotation, value: Any) -> bool:
    """Whether a JSON value fits."""
    return any(_fits(option, value) for option in _options(annotation))


def describe(annotation: Annotation) -> str:
    """What fits, in words."""
    return " or ".join(map(_describe, _options(annotation)))


def last_name(node: ast.expr) -> str:
    """The last name of a class: Tensor of torch.Tensor, list of list[int]."""
    return ast.unparse(node).partition("[")[0].rpartition(".")[2]


def _options(annotation: Annotation) -> list[ast.expr]:
    """The alternatives of a union, however it is written."""
    match annotation:
        case str(text) | ast.Constant(value=str(text)):
            return _options(ast.parse(text, mode="eval").body)
        case ast.BinOp(left=left, right=right):
            return _options(left) + _options(right)
        case ast.Subscript() if last_name(annotation) in ("Union", "Optional"):
            null = [ast.Constant(None)] if last_name(annotation) == "Optional" else []
            return [option for part in _inside(annotation) for option in _options(part)] + null
        case _:
            return [annotation]


def _fits(option: ast.expr, value: Any) -> bool:
    name, inside = last_name(option), _inside(option)
    if name == "Annotated":
        return accepts(inside[0], value) and all(_is_within(value, bound) for bound in _constants(inside[1:]))
    if name == "Literal":
        return any(type(value) is type(choice) and value == choice for choice in _constants(inside))
    if type(value) not in _TYPES.get(name, (type(value),)):
        return False
    if name == "tuple" and inside and ... not in _constants(inside):
        return len(value) == len(inside) and all(map(accepts, inside, value))
    if list in _TYPES.get(name, ()) and inside:
        return all(accepts(inside[0], item) for item in value)
    return True


def _is_within(value: float, bound: str) -> bool:
    """Whether a bound such as ">= 1" holds; other words, as in "<= 8 (CPU cores)", are for the reader."""
    sign, _, rest = bound.partition(" ")
    return sign not in _COMPARE or _COMPARE[sign](value, float(rest.split()[0]))


def _describe(option: ast.expr) -> str:
    name, inside = last_name(option), _inside(option)
    if name == "Annotated":
        words = " and ".join(_constants(inside[1:]))
        return f"{describe(inside[0])} {words.replace('_', ',')}" if words[0] in "<>" else words
    if name == "Literal":
        return " or ".join(map(json.dumps, _constants(inside)))
    return ast.unparse(option) if inside else _WORDS.get(name, name)


def _inside(node: ast.expr) -> list[ast.expr]:
    """What stands in the brackets of a subscript."""
    inside = node.slice if isinstance(node, ast.Subscript) else ast.Tuple([])
    return inside.elts if isinstance(inside, ast.Tuple) else [inside]


def _constants(nodes: list[ast.expr]) -> list[Any]:
    return [node.value for node in nodes if isinstance(node, ast.Constant)]
