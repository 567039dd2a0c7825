"""What is likely to go wrong with some data: each check says in a sentence that it is well, or what is not."""

from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from tools.data.part import Part

MAX_RATIO = 10  # of the most to the least frequent class
MAX_SCALES = 1000  # of the widest to the narrowest feature
MAX_SHIFT = 0.5  # standard deviations between a feature's mean in training and in the test

Check = tuple[bool, str]  # whether it is well, and the words


def checks(parts: Sequence[Part], class_name: list[str]) -> list[Check]:
    """All checks that make sense for these data."""
    return [check for find in (_missing, _leaks, _features, _balance, _shift) for check in find(parts, class_name)]


def is_classes(part: Part) -> bool:
    """Whether a part's targets are class numbers."""
    return part.target is not None and not part.target.is_floating_point() and part.target.dim() == 1


def _missing(parts: Sequence[Part], _: list[str]) -> Iterator[Check]:
    for part in parts:
        for what, values in (("data", part.data), ("targets", part.target)):
            if values is not None and (n := int((~torch.isfinite(values)).sum())):
                yield False, f"{n:,} numbers of the {what} in {part.name} are NaN or infinite; the loss will be too"
    if all(torch.isfinite(v).all() for part in parts for v in (part.data, part.target) if v is not None):
        yield True, "no NaN and no infinity"


def _leaks(parts: Sequence[Part], _: list[str]) -> Iterator[Check]:
    """Equal samples within a part and in two parts, and equal samples with different targets."""
    are_all = all(part.n_read == part.n_samples for part in parts)
    among = "" if are_all else ", among those that were looked at"
    first = parts[0]
    n_twice = first.n_read - len(set(first.hashes))
    if n_twice:
        yield False, f"{n_twice:,} of {first.n_read:,} samples to train on are equal to another one{among}"
    for i, part in enumerate(parts[1:], 1):
        for earlier in parts[:i]:
            known = set(earlier.hashes)
            if n := sum(found in known for found in part.hashes):
                yield False, f"{n:,} of {part.n_read:,} samples of {part.name} are in {earlier.name} too{among}"
    if len({found for part in parts for found in part.hashes}) == sum(part.n_read for part in parts):
        yield True, f"no sample is there twice, within a part or in two of them{among}"
    known_targets = [part for part in parts if is_classes(part)]
    pairs = {(found, label) for part in known_targets for found, label in zip(part.hashes, _numbers(part), strict=True)}
    if n := sum(count > 1 for count in Counter(found for found, _ in pairs).values()):
        yield False, f"{n:,} samples are there with different targets: no model can be right on all of them"


def _features(parts: Sequence[Part], _: list[str]) -> Iterator[Check]:
    data = parts[0].data
    if data is None or data.dim() != 2 or len(data) < 2:
        return
    spread = data.double().nan_to_num(0, 0, 0).std(dim=0)
    if n := int((spread == 0).sum()):
        yield False, f"{n:,} of {len(spread):,} features are the same in all samples: nothing can be learnt from them"
    wide = spread[spread > 0]
    if len(wide) > 1:
        ratio = float(wide.max() / wide.min())
        is_well = ratio <= MAX_SCALES
        yield (
            is_well,
            "the features have similar scales"
            if is_well
            else (f"the widest feature spreads {ratio:,.0f} times as far as the narrowest: standardize them"),
        )


def _balance(parts: Sequence[Part], class_name: list[str]) -> Iterator[Check]:
    first = parts[0]
    if not is_classes(first):
        return
    counts = Counter(_numbers(first))
    ratio = max(counts.values()) / min(counts.values())
    yield (
        ratio <= MAX_RATIO,
        f"the most frequent class is {ratio:.1f} times as frequent as the rarest"
        + ("" if ratio <= MAX_RATIO else ": accuracy says little; log macro_f1, and stratify"),
    )
    for part in parts[1:]:
        missing = sorted(set(_numbers(part)) - set(counts)) if is_classes(part) else []
        if missing:
            names = ", ".join(class_name[i] if 0 <= i < len(class_name) else str(i) for i in missing[:5])
            yield False, f"{len(missing)} classes of {part.name} are never trained on: {names}"


def _shift(parts: Sequence[Part], _: list[str]) -> Iterator[Check]:
    """Features whose mean in the test is elsewhere than in training."""
    first, last = parts[0], parts[-1]
    if first is last or first.data is None or last.data is None or first.data.shape[1:] != last.data.shape[1:]:
        return
    if first.data.dim() != 2 or min(len(first.data), len(last.data)) < 30:  # too few to tell
        return
    spread = first.data.double().std(dim=0)
    far = (first.data.double().mean(dim=0) - last.data.double().mean(dim=0)).abs() > MAX_SHIFT * spread
    n = int((far & (spread > 0)).sum())
    yield (
        n == 0,
        f"training and {last.name} have similar means"
        if n == 0
        else (f"the means of {n:,} features differ between training and {last.name} by over half a standard deviation"),
    )


def _numbers(part: Part) -> list[int]:
    return part.target.tolist() if isinstance(part.target, Tensor) else []
