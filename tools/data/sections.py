"""The parts of the page on data."""

import base64
import io
import itertools
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tools.data.checks import Check, is_classes
from tools.data.part import Part
from tools.page import Html, bar_chart, element, join, section, sentence, table
from tools.page.charts import round_step

MAX_BARS = 30
MAX_FEATURES = 60
N_IMAGES = 32


def story(parts: Sequence[Part], classes: list[str]) -> Html:
    """What there is, in a few sentences."""
    counts = [
        f"{part.n_samples:,} {'to train on' if part.name == 'training' else f'for {part.name}'}" for part in parts
    ]
    first = parts[0]
    words = [
        element("b", f"{sum(part.n_samples for part in parts):,} samples"),
        f": {', '.join(counts)}. Each is {first.example}",
    ]
    if is_classes(first):
        words.append(f", in {len(classes) or len(set(_labels(first)))} classes.")
    elif first.target is not None:
        n_values = math.prod(first.target.shape[1:])
        words.append(f"; to predict {'is one value' if n_values == 1 else f'are {n_values:,} values'}.")
    else:
        words.append(".")
    return join(*words)


def check_list(found: Sequence[Check], faults: Sequence[str]) -> Html:
    lines = [element("li", sentence(words), class_=None if is_well else "bad")
             for is_well, words in [*((False, fault) for fault in faults), *sorted(found)]]  # fmt: skip
    return section("Checks", element("ul", *lines, class_="notes"), note="A diamond asks for a look; a dot is well.")


def parts_table(parts: Sequence[Part]) -> Html:
    """The size and the range of each part."""
    rows = [[part.name, part.n_samples, *_range(part.data)] for part in parts]
    read = [f"{part.n_read:,} of {part.name}" for part in parts if part.n_read < part.n_samples]
    note = f"Looked at, drawn at random: {', '.join(read)}." if read else None
    return section("Parts", table(["", "samples", "NaN", "smallest", "mean", "largest", "std"], rows), note=note)


def _range(values: Tensor | None) -> list[Any]:
    if values is None or values.numel() == 0:
        return [None] * 5
    known = values.double()[torch.isfinite(values)]
    spread = float(known.std(correction=0)) if len(known) else None
    low, mean, high = [float(f(known)) for f in (torch.min, torch.mean, torch.max)] if len(known) else [None] * 3
    return [values.numel() - len(known), low, _without_noise(mean, spread), high, spread]


def _without_noise(value: float | None, spread: float | None) -> float | None:
    """0 for what only float32's rounding keeps from it, such as the mean of a feature that is standardized."""
    return 0.0 if value is not None and spread is not None and abs(value) < 1e-6 * spread else value


def targets(parts: Sequence[Part], classes: list[str], in_original_units: Any) -> Html | None:
    """How frequent each class is, or how the values to predict are distributed."""
    known = [part for part in parts if part.target is not None]
    if not known:
        return None
    if all(is_classes(part) for part in known):
        return _class_counts(known, classes)
    if all(
        part.target is not None and part.target.is_floating_point() and part.target.shape[1:].numel() == 1
        for part in known
    ):
        values = [in_original_units(part.target).double().flatten() for part in known]
        rows = []
        for part, v in zip(known, values, strict=True):
            _, *ends, spread = _range(v)
            rows.append([part.name, *ends, spread, _without_noise(float(v.nanmedian()), spread)])
        head = ["", "smallest", "mean", "largest", "std", "median"]
        return section("Target", _histogram("The values to predict, in training", values[0]), table(head, rows))
    return None


def _class_counts(parts: Sequence[Part], classes: list[str]) -> Html:
    counts = [Counter(_labels(part)) for part in parts]
    numbers = sorted(set().union(*counts), key=lambda number: -counts[0][number])
    shown = numbers if len(numbers) <= MAX_BARS else [*numbers[: MAX_BARS // 2], *numbers[-MAX_BARS // 2 :]]
    shown = sorted(shown) if len(numbers) <= MAX_BARS else shown

    def name(number: int) -> str:
        return classes[number] if 0 <= number < len(classes) else str(number)

    bars = [(name(number), counts[0][number]) for number in shown]
    rows = [[name(number), *(count[number] for count in counts)] for number in shown]
    left_out = (
        f"Of {len(numbers):,} classes, the {MAX_BARS // 2} most frequent and the {MAX_BARS // 2} rarest."
        if len(numbers) > MAX_BARS
        else None
    )
    total = sum(counts[0].values())
    return section(
        "Classes",
        bar_chart(f"In {parts[0].name}", bars, total=total),
        table(["", *(part.name for part in parts)], rows),
        note=left_out,
    )


def _histogram(title: str, values: Tensor) -> Html:
    """A bar for each value or, of many, for each part of their range, with round ends."""
    known = values[torch.isfinite(values)].numpy()
    different, counts = np.unique(known, return_counts=True)
    names = [f"{value:.6g}" for value in different]
    if len(different) > MAX_BARS:
        step = round_step((different[-1] - different[0]) / MAX_BARS)
        edges = np.arange(np.floor(different[0] / step), np.ceil(different[-1] / step) + 1) * step
        counts, _ = np.histogram(known, edges.astype(np.float32))  # as the targets are, so that an end is its bar's
        names = [f"{low:.6g} to {high:.6g}" for low, high in itertools.pairwise(edges)]
    return bar_chart(title, list(zip(names, counts.tolist(), strict=True)), total=max(1, len(known)))


def features(part: Part, names: Sequence[str]) -> Html | None:
    """Each feature's range and its correlation with the target, the strongest first."""
    if part.data is None or part.data.dim() != 2 or len(part.data) < 3:
        return None
    links = _correlations(part)
    order = sorted(range(part.data.shape[1]), key=lambda i: -abs(links[i]) if math.isfinite(links[i]) else 0)
    rows = []
    for i in order[:MAX_FEATURES]:
        name = names[i] if i < len(names) else f"feature {i}"
        rows.append([name, links[i] if math.isfinite(links[i]) else None, *_range(part.data[:, i])])
    kind = "the share of its spread that the classes explain, as a root (the correlation ratio)"
    kind = kind if is_classes(part) else "Pearson's correlation"
    note = f"As the model sees them, in training. With the target: {kind}."
    more = f" {MAX_FEATURES} of {len(order):,} are shown." if len(order) > MAX_FEATURES else ""
    return section(
        "Features", table(["", "with target", "NaN", "smallest", "mean", "largest", "std"], rows), note=note + more
    )


def _correlations(part: Part) -> list[float]:
    """Of each feature with the target; NaN where there is none. Source of the ratio: Fisher 1925, eta."""
    assert part.data is not None
    data = part.data.double().nan_to_num(0, 0, 0)
    centered = data - data.mean(dim=0)
    total = (centered**2).sum(dim=0)
    if part.target is not None and is_classes(part):
        _, numbers = part.target.unique(return_inverse=True)
        sums = torch.zeros(int(numbers.max()) + 1, data.shape[1], dtype=torch.float64).index_add_(0, numbers, centered)
        between = (sums**2 / numbers.bincount()[:, None]).sum(dim=0)
        return (between / total).sqrt().tolist()
    if part.target is None or part.target.shape[1:].numel() != 1 or len(part.target) != len(data):
        return [math.nan] * data.shape[1]
    target = part.target.double().flatten().nan_to_num(0, 0, 0)
    target = target - target.mean()
    return ((centered * target[:, None]).sum(dim=0) / (total * (target**2).sum()).sqrt()).tolist()


def raw_table(path: Path, arguments: dict[str, Any]) -> Html:
    """The columns of a CSV file as they are: their types, gaps and values."""
    import pandas as pd

    options = {
        "sep": arguments.get("separator", ","),
        "decimal": arguments.get("decimal", "."),
        "na_values": [*arguments.get("na_values", ())],
    }
    frame = pd.read_csv(path, **options, nrows=1_000_000, index_col=False)
    rows = []
    for name in frame.columns[:MAX_FEATURES]:
        column, known = frame[name], frame[name].dropna()
        is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        common = "" if is_number or known.empty else str(known.value_counts().index[0])[:60]
        ends = [float(known.min()), float(known.max())] if is_number and len(known) else [None, None]
        ends = [int(end) if end is not None and end.is_integer() else end for end in ends]
        rows.append(
            [
                str(name),
                "number" if is_number else "text",
                int(column.isna().sum()),
                f"{column.isna().mean():.1%}",
                int(known.nunique()),
                *ends,
                common,
            ]
        )
    head = ["", "kind", "gaps", "share", "different", "smallest", "largest", "most frequent"]
    return section(
        "The file",
        table(head, rows),
        note=f"{path.name}: {len(frame):,} rows, {len(frame.columns):,} columns, as they are in the file.",
    )


def images(part: Part, classes: list[str]) -> Html | None:
    """Some images, as the model sees them."""
    from logger.figures import image_grid, in_style, is_images

    if part.data is None or not is_images(part.data):
        return None
    labels = _labels(part)[:N_IMAGES] if is_classes(part) else []
    titles = [(classes[label] if 0 <= label < len(classes) else str(label))[:14] for label in labels]
    file = io.BytesIO()
    with in_style():
        image_grid(part.data[:N_IMAGES], titles).savefig(file, format="png", dpi=144)
    source = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    shown = f"{min(N_IMAGES, len(part.data))} images to train on, as the model sees them"
    picture = element("figure", element("img", src=source, alt=shown), class_="picture wide")
    return section("Samples", element("div", picture, class_="grid"), note=sentence(shown))


def image_sizes(paths: Sequence[str]) -> Html:
    """How large the images are in their files."""
    from PIL import Image

    sizes: Counter[str] = Counter()
    for path in paths:
        with Image.open(path) as image:
            sizes[f"{image.width} x {image.height}"] += 1
    more = f" The {MAX_BARS} most frequent of {len(sizes):,} sizes." if len(sizes) > MAX_BARS else ""
    chart = bar_chart("Width x height", sizes.most_common(MAX_BARS), total=len(paths))
    return section("Image sizes", chart, note=f"In the files, before the transforms.{more}")


def _labels(part: Part) -> list[int]:
    return part.target.tolist() if part.target is not None else []
