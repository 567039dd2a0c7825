"""The Korean pages keep step with the English ones: section by section the same code, names, numbers and links.

A page's code blocks are those of the English page, byte by byte, and those are run: see test_docs.py.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
IN_ENGLISH_ONLY = {"docs/reference.md"}  # written from the code
PAGES = ["README.md", *sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if not page.startswith("docs/ko/") and page not in IN_ENGLISH_ONLY]
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
NUMBERS = {word: {str(number)} for number, word in enumerate(WORDS, 1)}  # which Korean may write as digits
NUMBERS |= {"first": {"1"}, "half": {"0.5", "2", "30"}, "third": {"1", "3"}, "quarter": {"1", "4"}, "fifth": {"1", "5"},
            "tenth": {"1", "10"}, "twenty": {"20"}, "thirty": {"30"}, "fifty": {"50"}, "hundred": {"100"},
            "thousand": {"1,000"}, "zeros": {"0"}}  # fmt: skip


def korean(page: str) -> Path:
    if page == "README.md":
        return PROJECT / "README.ko.md"
    return PROJECT / "docs" / "ko" / Path(page).relative_to("docs")


@dataclass
class Section:
    """What stands between two headings."""

    level: int
    title: str
    text: str  # without code blocks
    blocks: list[str]

    def prose(self) -> str:
        return re.sub(r"\]\([^)]*\)|`[^`]*`", "", f"{self.title}\n{self.text}")

    def numbers(self) -> Counter:
        return Counter(re.findall(r"(?<![A-Za-z\d.,])\d+(?:[.,]\d+)*", self.prose()))

    def numbers_in_words(self) -> set[str]:
        return set().union(*(NUMBERS.get(word, set()) for word in re.findall(r"[a-z]+", self.prose().lower())))

    def names(self) -> Counter:
        return Counter(" ".join(name.split()) for name in re.findall(r"`([^`]+)`", self.text))


def sections(text: str) -> list[Section]:
    blocks = iter(re.findall(r"^```.*?^```$", text, re.DOTALL | re.MULTILINE))
    rest = re.sub(r"^```.*?^```$", "@@", text, flags=re.DOTALL | re.MULTILINE)
    found = [Section(0, "", "", [])]
    for line in rest.splitlines():
        if heading := re.match(r"(#+) (.+)", line):
            found.append(Section(len(heading[1]), heading[2], "", []))
        elif line == "@@":
            found[-1].blocks.append(next(blocks))
        else:
            found[-1].text += line + "\n"
    return found


def files_linked(text: str, page: Path) -> Counter:
    """The files that a text links to, each as its English page."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
    files = [page if link.startswith("#") else (page.parent / link.split("#")[0]).resolve() for link in links]
    english = {korean(name): PROJECT / name for name in [*PAGES, "docs/notebook.ipynb"]}
    return Counter(english.get(file, file).relative_to(PROJECT).as_posix() for file in files)


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = [re.sub(r"[`*]|\]\([^)]*\)|\[", "", section.title) for section in sections(path.read_text("utf-8"))]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def faults(english: Section, ours: Section, pages: tuple[Path, Path]) -> list[str]:
    """In what a Korean section is out of step with the English one."""
    found = []
    if english.level != ours.level:
        found.append(f"another level than {english.title!r}")
    if english.blocks != ours.blocks:
        found.append("other code blocks")
    if missing := english.numbers() - ours.numbers():
        found.append(f"numbers missing: {sorted(missing.elements())}")
    if more := set(ours.numbers() - english.numbers()) - english.numbers_in_words():
        found.append(f"numbers that the English page does not have: {sorted(more)}")
    if english.names() != ours.names():
        missing, more = english.names() - ours.names(), ours.names() - english.names()
        found.append(f"names in backquotes missing: {[*missing]}, too many: {[*more]}")
    if english.text.count("\n|") != ours.text.count("\n|"):
        found.append("tables with another number of rows")
    theirs, links = files_linked(english.text, pages[0]), files_linked(ours.text, pages[1])
    if theirs != links:
        found.append(f"links missing: {[*(theirs - links)]}, too many: {[*(links - theirs)]}")
    return [f"{pages[1].name}, {ours.title!r} ({english.title!r}): {fault}" for fault in found]


@pytest.mark.parametrize("page", PAGES)
def test_the_korean_page_says_the_same(page):
    pages = PROJECT / page, korean(page)
    theirs, ours = (sections(path.read_text(encoding="utf-8")) for path in pages)
    if page == "README.md":  # each names the other in its first lines
        assert "(README.ko.md)" in theirs[1].text and "(README.md)" in ours[1].text
        theirs[1].text, ours[1].text = (re.sub(r".*\(README(\.ko)?\.md\).*\n", "", s[1].text) for s in (theirs, ours))
    assert [section.level for section in theirs] == [section.level for section in ours], "other headings"
    found = [fault for pair in zip(theirs, ours, strict=True) for fault in faults(*pair, pages)]
    assert not found, "\n".join(found)
    assert all(re.search("[가-힣]", section.title) or not re.search(r" [a-z]", section.title) for section in ours)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", [PROJECT.joinpath, korean])
def test_links_lead_to_headings(page, language):
    path = language(page)
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = path if not name else (path.parent / name).resolve()
        if not link.startswith("http"):
            assert target.exists(), f"{path}: {link}"
            assert not anchor or anchor in anchors(target), f"{path}: {link}; there are {sorted(anchors(target))}"


def test_the_korean_notebook_has_the_same_code():
    notebooks = (PROJECT / "docs" / "notebook.ipynb", PROJECT / "docs" / "ko" / "notebook.ipynb")
    theirs, ours = (json.loads(path.read_text(encoding="utf-8"))["cells"] for path in notebooks)
    assert [cell["cell_type"] for cell in theirs] == [cell["cell_type"] for cell in ours]
    for english, cell in zip(theirs, ours, strict=True):
        texts = ["".join(part["source"]) for part in (english, cell)]
        if cell["cell_type"] == "code":
            assert texts[0] == texts[1]
        else:
            assert faults(*(sections(text)[-1] for text in texts), notebooks) == []


def test_what_is_out_of_step_is_named():
    english = "# Title\n\nIn 10 epochs, see `trainer.epochs`.\n\n```python\n1 + 1\n```\n\n## Ten\n\n| a | 0.5 |\n"
    ours = "# 제목\n\n9 에포크 동안 `trainer.epoch`.\n\n```python\n1 + 2\n```\n\n## 10\n\n"
    path = PROJECT / "README.md"
    found = "\n".join(
        fault for pair in zip(sections(english), sections(ours), strict=True) for fault in faults(*pair, (path, path))
    )
    for words in (
        "other code",
        "missing: ['10']",
        "does not have: ['9']",
        "missing: ['trainer.epochs']",
        "rows",
        "0.5",
    ):
        assert words in found
    assert "['10']" not in found.replace("missing: ['10']", "")  # which the English title says in words
