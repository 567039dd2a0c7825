"""Is this what a loader learnt? A checkpoint may be damaged, or a stranger's."""

import math
from typing import Any

POSITIVE = object()  # a form: a finite number above zero


def matches(value: Any, form: Any) -> bool:
    """Whether a value is plain and of a form: a dict of forms, a list of one, POSITIVE, `float` (finite), or a type."""
    if isinstance(form, dict):
        return isinstance(value, dict) and value.keys() == form.keys() and all(matches(value[k], form[k]) for k in form)
    if isinstance(form, list):
        return isinstance(value, list) and all(matches(item, form[0]) for item in value)
    if form in (float, POSITIVE):
        is_number = type(value) in (int, float) and math.isfinite(value)
        return is_number and (form is float or value > 0)
    return type(value) is form
