"""The JSON schema of a config, from the code: with it an editor completes and checks the keys.

The check of train.py knows more; what this one refuses, that one refuses too.
"""

import ast
import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from tools.meanings import argument_meanings, arguments_of, meanings, named_by
from utils.config import LAYER_KEYS, OBJECTS, RANGES, REQUIRED, TOP, Definition, Parameter, trainer_keys

_TYPES = {"None": "null", "int": "integer", "float": "number", "bool": "boolean", "str": "string", "Path": "string",
          "dict": "object", "Mapping": "object", "list": "array", "tuple": "array", "Sequence": "array",
          "Iterable": "array"}  # fmt: skip
COMMENTS = {"^_": {}}
_BOUNDS = {">=": "minimum", ">": "exclusiveMinimum", "<=": "maximum", "<": "exclusiveMaximum"}


def config_schema() -> dict[str, Any]:
    """The schema as a dict, of draft 7, which editors know best."""
    words = meanings()
    parts = {name: _entry(name) for name in OBJECTS}
    entries = {name: parts[name] for name in ("arch", "optimizer", "loss", "lr_scheduler")}
    parts |= {name: _one_or_several(f"#/definitions/{name}") for name in entries}
    parts["loss"] = {"anyOf": [{"enum": list(named_by("loss"))}, parts["loss"]]}
    metric = {"anyOf": [{"enum": list(named_by("metrics"))}, parts["metrics"]]}
    parts["metrics"] = {"type": "array", "items": metric}
    parts["lr_scheduler"] = {"anyOf": [{"type": "null"}, parts["lr_scheduler"]]}
    options = {name: key for name, key in trainer_keys().items() if name not in ("type", "args")}
    of_trainer = {name: words[f"trainer.{name}"] for name in options}
    trainer = _object(options, of_trainer, "trainer.")
    trainer["properties"] |= parts["trainer"].pop("properties")
    parts["trainer"] |= trainer

    plain = _object({name: key for name, key in TOP.items() if name not in OBJECTS}, words)
    properties = {"$schema": {"type": "string"}} | plain["properties"]
    properties |= {name: {"description": words[name]} | part for name, part in parts.items()}
    required = [name for name, key in TOP.items() if key.default is REQUIRED]
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "A config of train.py"}
    head["$comment"] = "of torch " + ".".join(version("torch").split(".")[:2])
    return head | {"definitions": entries} | plain | {"properties": properties, "required": [*required, "trainer"]}


def _one_or_several(entry: str) -> dict[str, Any]:
    """An entry, or several by name."""
    is_one = {"anyOf": [{"required": ["type"]}, {"required": ["args"]}, {"maxProperties": 0}]}
    several = {"patternProperties": COMMENTS, "additionalProperties": {"$ref": entry}}
    return {"type": "object", "if": is_one, "then": {"$ref": entry}, "else": several}


def _entry(key: str) -> dict[str, Any]:
    """{"type": ..., "args": {...}}, where the type decides on the args."""
    named = named_by(key)
    properties: dict[str, Any] = {"type": {"enum": list(named)}, "args": {"type": "object"}}
    entry: dict[str, Any] = {"type": "object", "properties": properties}
    entry |= {"patternProperties": COMMENTS, "additionalProperties": False}
    if key == "optimizer":
        properties |= _object(LAYER_KEYS, meanings(), "optimizer.")["properties"]
    if key == "trainer":
        properties["type"]["default"] = "Trainer"
    else:
        entry["required"] = ["type"]
    entry["allOf"] = [
        {"if": {"properties": {"type": {"const": name}}, "required": ["type"]}, "then": _arguments(key, definition)}
        for name, definition in named.items()
    ]
    return entry


def _arguments(key: str, definition: Definition) -> dict[str, Any]:
    """What must hold of an entry of this type."""
    words = meanings() if key == "data_loader" else {}
    arguments = arguments_of(key, definition)
    part = _object(arguments, words | argument_meanings(definition), f"{key}.args.")
    part["additionalProperties"] = definition.parameters[1]
    if key == "arch":
        part["properties"] = {name: _or_auto(value) for name, value in part["properties"].items()}
    return {"properties": {"args": part}} | ({"required": ["args"]} if part["required"] else {})


def _or_auto(part: dict[str, Any]) -> dict[str, Any]:
    """A number may be "auto", where the data will put one: see data_loader/sizes.py."""
    if part.get("type") == "array" and "items" in part:
        return part | {"items": _or_auto(part["items"])}
    described = {name: part[name] for name in ("description", "default") if name in part}
    return described | {"anyOf": [part, {"const": "auto"}]} if part.get("type") == "integer" else part


def _object(keys: Mapping[str, Parameter], words: Mapping[str, str], prefix: str = "") -> dict[str, Any]:
    properties = {}
    for name, key in keys.items():
        properties[name] = _of(ast.parse(RANGES.get(prefix + name, key.annotation), mode="eval").body)
        if name in words:
            properties[name]["description"] = words[name].replace("`", "")
        if key.default not in (REQUIRED, ...):
            properties[name]["default"] = key.default
    required = [name for name, key in keys.items() if key.default is REQUIRED]
    part = {"type": "object", "properties": properties, "required": required}
    return part | {"patternProperties": COMMENTS, "additionalProperties": False}


def _of(annotation: ast.expr) -> dict[str, Any]:
    """The schema of what an annotation accepts, as `accepts` in utils/config/check.py reads it."""
    match annotation:
        case ast.BinOp(left=left, right=right):
            return {"anyOf": [_of(left), _of(right)]}
        case ast.Subscript(value=ast.Name("Annotated"), slice=ast.Tuple(elts=[kind, *rest])):
            signs = [ast.literal_eval(node).partition(" ")[::2] for node in rest]
            bounds = {_BOUNDS[sign]: json.loads(value.replace("_", "")) for sign, value in signs if sign in _BOUNDS}
            patterns = [f"^(?:{text})$" for sign, text in signs if sign == "like"]
            return _of(kind) | bounds | ({"pattern": patterns[0]} if patterns else {})
        case ast.Subscript(value=ast.Name("Literal"), slice=inside):
            return {"enum": [node.value for node in ast.walk(inside) if isinstance(node, ast.Constant)]}
        case ast.Subscript(value=container, slice=inside):
            of_items = _of(container)
            if of_items.get("type") == "array":
                of_items["items"] = _of(inside.elts[0] if isinstance(inside, ast.Tuple) else inside)
            return of_items
        case node:
            name = ast.unparse(node).rpartition(".")[2]
            return {"type": _TYPES[name]} if name in _TYPES else {}
