"""CSV files: numbers stay numbers, and of texts each one is kept once."""

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from utils.errors import did_you_mean

SIGN = re.compile(r"\s*[$€£¥₩%]\s*")
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
    """The number that each text is, float64, without a sign such as in "$1,200.50" or "12 %"; NaN where it is none."""
    import pandas as pd

    series = pd.Series([_without_sign(text, decimal) for text in texts], dtype=object)
    if decimal != ".":
        series = series.where(~series.str.contains(".", regex=False)).str.replace(decimal, ".", regex=False)
    return np.asarray(pd.to_numeric(series, errors="coerce"), np.float64)


def _without_sign(text: str, decimal: str) -> str:
    """The number beside one sign of money or percent; only there it is clear what parts thousands."""
    number, n_signs = SIGN.subn("", text)
    comma = "." if decimal == "," else ","
    if n_signs == 1 and re.fullmatch(rf"[+-]?\d{{1,3}}(\{comma}\d{{3}})+(\{decimal}\d*)?", number):
        return number.replace(comma, "")
    return number if n_signs == 1 else text


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
        head = self._frame(nrows=N_LOOKED_AT)
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
        frame = self._frame(usecols=names, dtype=dict.fromkeys(texts, object))
        if more := {name for name in names if name not in texts and not _is_numeric(frame[name])}:
            return self.read(names, texts | more)  # what was read of them as numbers is no longer what the file says
        return {name: _column(name, frame.pop(name), name in texts) for name in names}

    def _frame(self, **options: Any) -> Any:
        """A DataFrame. Rows longer than the header are an error: values would be lost."""
        import pandas as pd

        if not isinstance(self.source, Path):
            self.source.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)
                warnings.simplefilter("ignore", pd.errors.DtypeWarning)  # of columns that are read again, as texts
                return pd.read_csv(self.source, **self.options, **options)
        except UnicodeDecodeError as error:
            raise ValueError(f"path: {self.name} is not UTF-8 text; save it so, in Excel as 'CSV UTF-8'") from error
        except (ValueError, pd.errors.ParserWarning) as error:
            raise ValueError(f"path: {self.name} is not a CSV file: {str(error).strip()}") from error


def _column(name: str, values: Any, is_text: bool) -> Column:
    """A pandas Series as a column."""
    if not is_text:
        return Column(name, values.to_numpy(np.float64), is_integer=values.dtype.kind in "iu")
    places, texts = values.factorize()
    return Column(name, places.astype(np.int32), texts.tolist(), is_text=True)


def shorten(names: Sequence[str], most: int = 20) -> str:
    """The first of some names, in words."""
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])} and {len(names) - most} more"


def _is_numeric(column: Any) -> bool:
    return column.dtype.kind in "iuf"
