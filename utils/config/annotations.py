"""Does a JSON value fit an annotation? Annotations are read as source text: nothing is imported to answer.

Annotated[int, ">= 1"] | None       an integer >= 1 or null
Annotated[str, "a name"]            a name
Literal["epoch", "step"]            "epoch" or "step"
"""

import ast
import json
import operator
from typing import Any

_COMPARE = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
# What fits a name: types of JSON values, and the words for them. A name that is not here fits anything.
_NAMES: dict[str, tuple[list[type], str]] = {
    "None": ([type(None)], "null"), "int": ([int], "an integer"), "float": ([int, float], "a number"),
    "bool": ([bool], "true or false"), "str": ([str], "a text"), "Path": ([str], "a path"),
    **dict.fromkeys(("dict", "Mapping"), ([dict], "an object")),
    **dict.fromkeys(("list", "tuple", "Sequence", "Iterable"), ([list], "a list")),
    **{name: ([], name) for name in ("Callable", "Tensor", "Optimizer", "Module", "Dataset")},
}  # fmt: skip


def check(annotation: str | ast.expr, value: Any) -> tuple[bool, str]:
    """Whether a JSON value fits, and what would fit, in words."""
    match ast.parse(annotation, mode="eval").body if isinstance(annotation, str) else annotation:
        case ast.BinOp(left=left, right=right):
            (fits_left, left_words), (fits_right, right_words) = check(left, value), check(right, value)
            return fits_left or fits_right, f"{left_words} or {right_words}"
        case ast.Subscript(value=ast.Name("Annotated"), slice=ast.Tuple(elts=[kind, *rest])):
            fits, words = check(kind, value)
            bounds = [ast.literal_eval(node) for node in rest]
            words = f"{words} {' and '.join(bounds).replace('_', ',')}" if bounds[0][0] in "<>" else bounds[0]
            return fits and all(_is_within(value, bound) for bound in bounds), words
        case ast.Subscript(value=ast.Name("Literal"), slice=inside):
            choices = [node.value for node in ast.walk(inside) if isinstance(node, ast.Constant)]
            fits = any(type(value) is type(choice) and value == choice for choice in choices)
            return fits, " or ".join(map(json.dumps, choices))
        case ast.Subscript(value=container, slice=inside) as node:
            item = inside.elts[0] if isinstance(inside, ast.Tuple) else inside
            items_fit = not isinstance(value, list) or all(check(item, part)[0] for part in value)
            return check(container, value)[0] and items_fit, ast.unparse(node)
        case node:
            name = ast.unparse(node).rpartition(".")[2]
            types, words = _NAMES.get(name, ([type(value)], name))
            return type(value) in types, words


def _is_within(value: float, bound: str) -> bool:
    """Whether a bound such as ">= 1" holds; other words, as in "<= 8 (CPU cores)", are for the reader."""
    sign, _, rest = bound.partition(" ")
    return sign not in _COMPARE or _COMPARE[sign](value, float(rest.split()[0]))
