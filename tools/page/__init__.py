"""Pages to look at and to send on: one HTML file each that needs no network, and in which all text is escaped."""

from tools.page.charts import Series, bar_chart, line_chart
from tools.page.html import Html, element, join, number, page, section, sentence, table

__all__ = ["Html", "Series", "bar_chart", "element", "join", "line_chart", "number", "page", "section", "sentence",
           "table"]  # fmt: skip
