import doctest
import html
import re

import pytest
from markdown_it import MarkdownIt

from posellm_assets.reports import markdown
from posellm_assets.reports.markdown import escaped, table

HOSTILE = [
    "![a picture](https://example.org/tracker.png)",
    "[a link](javascript:alert(1))",
    "<img src=https://example.org/a.png>",
    "<https://example.org>",
    "a | b || c",
    "`code` and ``more`` code`",
    "two\nlines\r\nand\u2028a third",
    "*stars*, **more**, _under_ snake_case __init__ ~~gone~~",
    "back\\slash at the end\\",
    "&lt;b&gt; &amp; &#124;",
    "[a]: https://example.org",
    "[x][y] ![z]",
    "",
]


def cells(text: str) -> list[list[str]]:
    """What a reader sees in the cells of a table."""
    shown = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)
    assert not re.search(r"<(img|a|code|em|strong|s|br)\b", shown)
    rows = re.findall(r"<tr>(.*?)</tr>", shown, re.DOTALL)
    return [[html.unescape(cell) for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", row)] for row in rows]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_shows_what_it_holds_and_nothing_else(text: str) -> None:
    seen = " ".join(text.split())
    assert cells(table(["head", text], [[text, 1], [2, text]])) == [["head", seen], [seen, "1"], ["2", seen]]
    shown = MarkdownIt("commonmark").render(f"- {escaped(text)}")
    assert html.unescape(re.sub(r"</?(ul|li)>|\n", "", shown)) == seen


def test_the_examples_in_its_documentation_are_true() -> None:
    assert doctest.testmod(markdown).failed == 0
