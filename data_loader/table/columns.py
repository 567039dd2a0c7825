"""From one column to features: what is learnt of it, in plain values, and its use."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_loader.fitted import POSITIVE, matches
from data_loader.table.reading import Column, numbers_of, shorten

MAX_CATEGORIES = 100  # of a column; the most frequent ones
MAX_ODD = 5  # different texts in a column that is one of numbers all the same
DATE_FORMATS = ("ISO8601", *(f"{day}{time}" for day in ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d")
                             for time in ("", " %H:%M", " %H:%M:%S")))  # fmt: skip
DATE_PARTS = ("year", "month", "day", "weekday", "hour")
LIKE_A_DATE = re.compile(r"\d{4}[-/]\d|\d{1,2}[./]\d{1,2}[./]\d{4}")
LIKE_AN_ID = re.compile(r"(^|[^A-Za-z])(uu|gu)?id$|[a-z]Id$|ID$|^unnamed: 0$|^index$", re.IGNORECASE)

NUMBER = {"kind": str, "median": float, "mean": float, "std": POSITIVE}
FORMS = {
    "number": NUMBER,
    "category": {"kind": str, "categories": [str], "most_frequent": str, "others": bool},
    "date": {"kind": str, "format": str, "parts": dict},
}


def is_learnt(learnt: Any) -> bool:
    """Whether this is what `learn` gives of a column."""
    kind = learnt.get("kind") if isinstance(learnt, dict) else None
    if not isinstance(kind, str) or not matches(learnt, FORMS.get(kind)):
        return False
    if kind == "category":
        return len(learnt["categories"]) <= MAX_CATEGORIES and learnt["most_frequent"] in learnt["categories"]
    parts = learnt.get("parts", {})
    known = {*parts} <= {*DATE_PARTS} and learnt.get("format", "ISO8601") in DATE_FORMATS
    return known and all(matches(part, NUMBER) for part in parts.values())


# ---------------------------------------------------------------------------------------------------- what is learnt


def why_left_out(column: Column) -> str:
    """Why a column that nobody asked for is left out; empty if it is not. Looks at all rows."""
    present = column.values[~column.gaps]
    if not column.is_text:
        differ = column.is_integer and len(present) == len(column.values) > 1
        if differ and (np.diff(present) == 1).all():
            return "numbers the rows"
        if differ and LIKE_AN_ID.search(column.name) and len(np.unique(present)) == len(present):
            return "is another number in each row"
    elif len(column.texts) > len(present) / 2 and len(present) > 2 and _date_format(column) is None:
        return f"has {len(column.texts)} different texts in {len(present)} rows, such as {column.texts[0]!r}"
    return ""


def odd_texts(texts: Sequence[str], decimal: str) -> list[str] | None:
    """Those that are no numbers, if nearly all others are; else None."""
    is_odd = np.isnan(numbers_of(texts, decimal))
    n_odd = int(is_odd.sum())
    if n_odd > MAX_ODD or len(is_odd) - n_odd < max(3, 2 * n_odd):
        return None
    return [text for text, odd in zip(texts, is_odd, strict=True) if odd]


def are_numbers(column: Column, decimal: str) -> bool:
    """Whether all texts are numbers, such as prices with their sign."""
    return column.is_text and len(column.texts) > 0 and not np.isnan(numbers_of(column.texts, decimal)).any()


def refuse_odd_values(column: Column, decimal: str) -> None:
    """Raises ValueError for texts that are numbers, but for a few: a `?` for a gap, or a decimal comma."""
    for comma in dict.fromkeys((decimal, ",")):
        odd = odd_texts(column.texts, comma)
        if odd is None or (comma == decimal and not odd):
            continue
        advice = []
        if comma != decimal:
            example = next(text for text in column.texts if comma in text and text not in odd)
            advice.append(f'for a decimal comma, as in {example!r}, say "decimal": ","')
        if odd:
            row = np.flatnonzero(column.values == column.texts.index(odd[0]))[0] + 1
            advice.append(f"if {shorten([repr(text) for text in odd])} (first in row {row}) is a gap, name it in "
                          "na_values")  # fmt: skip
        raise ValueError(f"features: {column.name!r} holds numbers, but not all can be read: {'; '.join(advice)}; if "
                         "it holds codes, name it in categories")  # fmt: skip


def learn(column: Column, rows: np.ndarray) -> dict[str, Any] | str:
    """What the encoding of a column needs, from the rows trained on; or why nothing can be learnt from it."""
    if not column.is_text:
        return _learn_number(column.name, column.values[rows])
    if format := _date_format(column):
        if format == "ambiguous":
            return "has dates that can be read as day/month or month/day; write 2024-12-31"
        found = {part: _learn_number(column.name, values[rows]) for part, values in _date_parts(column, format).items()}
        parts = {part: learnt for part, learnt in found.items() if isinstance(learnt, dict)}
        return {"kind": "date", "format": format, "parts": parts} if parts else "is the same date in each row"
    codes = column.values[rows]
    counts = np.bincount(codes[codes >= 0], minlength=len(column.texts))
    if not counts.any():
        return "has no value in any row to train on"
    by_frequency = sorted(np.flatnonzero(counts).tolist(), key=lambda i: (-counts[i], column.texts[i]))
    counts[by_frequency[0]] += np.count_nonzero(codes < 0)  # gaps are filled with it
    kept = [i for i in by_frequency[:MAX_CATEGORIES] if counts[i] > 1]  # a text seen once teaches nothing
    others = len(kept) < len(by_frequency)
    if not kept:
        return "is another text in each row to train on"
    if len(by_frequency) == 1:
        return "is the same in each row to train on"
    texts = [column.texts[i] for i in kept]
    return {"kind": "category", "categories": sorted(texts), "most_frequent": texts[0], "others": others}


def _learn_number(name: str, values: np.ndarray) -> dict[str, Any] | str:
    gaps = np.isnan(values)
    if gaps.all():
        return "has no value in any row to train on"
    if np.isinf(values).any():
        raise ValueError(f"features: there are infinite values in {name}")
    median = float(np.median(values[~gaps]))
    values = np.where(gaps, median, values)
    mean, std = float(values.mean()), float(values.std())
    if values.min() == values.max():
        return "is the same in each row to train on"
    return {"kind": "number", "median": median, "mean": mean, "std": std}


# ------------------------------------------------------------------------------------------------------------- dates


def _date_format(column: Column) -> str | None:
    """One of DATE_FORMATS that all texts have, "ambiguous" for two, or None."""
    if not column.texts or not all(map(LIKE_A_DATE.match, column.texts[:100])):
        return None
    texts = np.array(column.texts, object)
    found = [format for format in DATE_FORMATS
             if all(_dates(part, format).notna().all() for part in (texts[:100], texts))]  # fmt: skip
    return "ambiguous" if len(found) > 1 else found[0] if found else None


def _dates(texts: Any, format: str) -> Any:
    """A pandas Series of UTC times; of a text that is no date, NaT."""
    import pandas as pd

    return pd.to_datetime(pd.Series(texts, dtype=object), format=format, errors="coerce", utc=True)


def _date_parts(column: Column, format: str) -> dict[str, np.ndarray]:
    """By DATE_PARTS, numbers row by row; NaN for a gap and for what is no date."""
    dates = _dates(column.texts, format).dt
    of_texts = (dates.year, dates.month, dates.day, dates.day_of_week, dates.hour)
    parts = zip(DATE_PARTS, of_texts, strict=True)
    return {part: np.append(np.asarray(values, np.float64), np.nan)[column.values] for part, values in parts}


# ---------------------------------------------------------------------------------------------------------- encoding


def feature_names(name: str, learnt: dict[str, Any]) -> list[str]:
    """What the features of a column are called."""
    if learnt["kind"] == "number":
        return [name]
    parts = learnt["parts"] if learnt["kind"] == "date" else learnt["categories"] + ["other"] * learnt["others"]
    return [f"{name}_{part}" for part in parts]


def encode(column: Column, learnt: dict[str, Any], rows: np.ndarray, features: np.ndarray) -> None:
    """Write the features of some rows: float32 (rows, features), zeros before."""
    if learnt["kind"] == "number":
        features[:, 0] = _scaled(column.name, column.values[rows], learnt)
    elif learnt["kind"] == "date":
        found = _date_parts(column, learnt["format"])
        for number, (part, of_part) in enumerate(learnt["parts"].items()):
            features[:, number] = _scaled(column.name, found[part][rows], of_part)
    else:
        places = _places(column, learnt)[column.values[rows]]
        known = np.flatnonzero(places >= 0)
        features[known, places[known]] = 1


def _scaled(name: str, values: np.ndarray, learnt: dict[str, Any]) -> np.ndarray:
    if np.isinf(values).any():
        raise ValueError(f"features: there are infinite values in {name}")
    return (np.nan_to_num(values, nan=learnt["median"]) - learnt["mean"]) / learnt["std"]


def _places(column: Column, learnt: dict[str, Any]) -> np.ndarray:
    """The feature of each text, -1 for none; the last one is that of a gap."""
    categories = {text: i for i, text in enumerate(learnt["categories"])}
    other = len(categories) if learnt["others"] else -1
    places = [categories.get(text, other) for text in column.texts or ()]
    return np.array([*places, categories.get(learnt["most_frequent"], other)])


def odd_rows(column: Column, learnt: dict[str, Any], decimal: str) -> tuple[np.ndarray, str]:
    """The rows whose text is no known category, no date or no number, and in words what it is not."""
    if not column.is_text:
        return np.arange(0), ""
    if learnt["kind"] == "category":
        is_odd, what = np.isin(column.texts, learnt["categories"], invert=True), "is no category that training knows"
    elif learnt["kind"] == "date":
        dates = _dates(column.texts, learnt["format"])
        is_odd, what = np.asarray(dates.isna()), "is no date as those of the training"
    else:
        is_odd, what = np.isnan(numbers_of(column.texts, decimal)), "is no number"
    return np.flatnonzero(np.append(is_odd, False)[column.values]), what
