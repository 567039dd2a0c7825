"""CSV files, read a part at a time: numbers stay numbers, and of texts each one is kept once."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from utils.errors import did_you_mean

CHUNK = 1 << 16  # rows that are read at once
N_LOOKED_AT = 1000  # rows that decide which columns are read as numbers, until a row says otherwise


@dataclass
class Column:
    """A column, row by row: numbers, float64, NaN for a gap; or the place of each text in `texts`, -1 for a gap."""

    name: str
    values: np.ndarray
    texts: list[str] = field(default_factory=list)
    is_text: bool = False
    is_integer: bool = False

    @property
    def gaps(self) -> np.ndarray:
        """Which rows have no value: bool, (rows,)."""
        return self.values < 0 if self.is_text else np.isnan(self.values)

    def without_gaps(self, argument: str) -> "Column":
        """The column itself. Raises ValueError, naming the argument, if a row has no value."""
        missing = np.flatnonzero(self.gaps)
        if len(missing):
            where = f"{len(missing)} of {len(self.values)} rows, first in row {missing[0] + 1}"
            raise ValueError(f"{argument}: {self.name!r} is missing in {where}; fill the gaps or remove the rows")
        return self

    def of_rows(self, rows: np.ndarray) -> "Column":
        """The column of some rows only, and of their texts."""
        values = self.values[rows]
        if not self.is_text:
            return replace(self, values=values)
        used = np.unique(values[values >= 0])
        places = np.full(len(self.texts) + 1, -1, np.int32)  # the last one is that of a gap
        places[used] = np.arange(len(used))
        return replace(self, values=places[values], texts=[self.texts[place] for place in used])

    def text(self, row: int) -> str:
        """What stands in a row."""
        if self.is_text:
            return self.texts[self.values[row]]
        return str(int(self.values[row]) if self.is_integer else self.values[row])

    def as_numbers(self, decimal: str) -> "Column":
        """A column of texts as one of numbers; what is no number is a gap."""
        if not self.is_text:
            return self
        return Column(self.name, np.append(numbers_of(self.texts, decimal), np.nan)[self.values])


def numbers_of(texts: Sequence[str], decimal: str) -> np.ndarray:
    """The number that each text is, float64; NaN where it is none."""
    import pandas as pd

    series = pd.Series(texts, dtype=object)
    if decimal != ".":
        series = series.where(~series.str.contains(".", regex=False)).str.replace(decimal, ".", regex=False)
    return np.asarray(pd.to_numeric(series, errors="coerce"), np.float64)


class CsvFile:
    """A CSV file whose first line names the columns, or an open one.

    separator, decimal: what stands between two values, and within a number. na_values: texts that mean a gap, beside
    pandas's own, such as "NA". Raises FileNotFoundError without the file, ValueError if it is not such a table.
    """

    def __init__(self, source: str | Path | TextIO, separator: str, decimal: str, na_values: Sequence[str]):
        self.source: Any = Path(source) if isinstance(source, str | Path) else source
        self.name = str(source) if isinstance(source, str | Path) else "the table"
        if isinstance(self.source, Path) and not self.source.is_file():
            neighbours = [file.name for file in self.source.parent.glob("*.csv")]
            nearest = did_you_mean(self.source.name, neighbours)
            raise FileNotFoundError(f"path: there is no file {self.source}{nearest}")
        self.decimal = decimal
        self.options = {"sep": separator, "decimal": decimal, "na_values": list(na_values), "index_col": False}
        [head] = self._chunks(nrows=N_LOOKED_AT)
        self.columns = [str(name) for name in head.columns]
        if head.empty:
            raise ValueError(f"path: {self.name} has no row below its header")
        if len(self.columns) == 1 and (others := [other for other in ";\t|,:" if other in self.columns[0]]):
            raise ValueError(f"path: {self.name} has one column only; is the separator {others[0]!r}?")
        self._texts = {name for name in self.columns if not _is_numeric(head[name])}

    def require(self, argument: str, names: Iterable[str]) -> None:
        """Raises ValueError, naming the argument, for a column that the file does not have."""
        for name in names:
            if name not in self.columns:
                nearest = did_you_mean(name, self.columns)
                raise ValueError(f"{argument}: there is no column {name!r}{nearest}; there are {shorten(self.columns)}")

    def read(self, names: Iterable[str], as_text: Iterable[str] = ()) -> dict[str, Column]:
        """Some of the columns; those in `as_text` are texts even if all of them are numbers."""
        names = [name for name in self.columns if name in {*names}]
        texts = (self._texts | {*as_text}) & {*names}
        while True:
            parts: dict[str, _Parts] = {name: _Texts() if name in texts else _Numbers() for name in names}
            for chunk in self._chunks(usecols=names, dtype=dict.fromkeys(texts, str), chunksize=CHUNK):
                if more := {name for name in names if name not in texts and not _is_numeric(chunk[name])}:
                    texts |= more  # what was read of them as numbers is no longer what the file says
                    break
                for name in names:
                    parts[name].add(chunk[name])
            else:
                return {name: parts.pop(name).column(name) for name in names}

    def _chunks(self, **options: Any) -> Any:
        """DataFrames. Rows longer than the header are an error: values would be lost."""
        import pandas as pd

        if not isinstance(self.source, Path):
            self.source.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)
                chunks = pd.read_csv(self.source, **self.options, **options)
                yield from [chunks] if isinstance(chunks, pd.DataFrame) else chunks
        except UnicodeDecodeError as error:
            raise ValueError(f"path: {self.name} is not UTF-8 text; save it so, in Excel as 'CSV UTF-8'") from error
        except (ValueError, pd.errors.ParserWarning) as error:
            raise ValueError(f"path: {self.name} is not a CSV file: {str(error).strip()}") from error


class _Numbers:
    """A column of numbers, read in parts."""

    def __init__(self):
        self.parts: list[np.ndarray] = []
        self.is_integer = True

    def add(self, part: Any) -> None:
        self.is_integer &= part.dtype.kind in "iu"
        self.parts.append(part.to_numpy(np.float64, copy=True))

    def column(self, name: str) -> Column:
        return Column(name, np.concatenate(self.parts), is_integer=self.is_integer)


class _Texts:
    """A column of texts, read in parts."""

    def __init__(self):
        self.parts: list[np.ndarray] = []
        self.places: dict[str, int] = {}  # of each text

    def add(self, part: Any) -> None:
        codes, texts = part.factorize()
        places = [self.places.setdefault(text, len(self.places)) for text in texts.tolist()]
        self.parts.append(np.array([*places, -1], np.int32)[codes])

    def column(self, name: str) -> Column:
        return Column(name, np.concatenate(self.parts), list(self.places), is_text=True)


_Parts = _Numbers | _Texts


def shorten(names: Sequence[str], most: int = 20) -> str:
    """The first of some names, in words."""
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])} and {len(names) - most} more"


def _is_numeric(column: Any) -> bool:
    return column.dtype.kind in "iuf"
