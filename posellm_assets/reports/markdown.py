"""Markdown in which words that anybody may have written stay words."""

import re
from collections.abc import Iterable, Sequence

from posellm_assets.reports.plain import visible

_MARKUP = re.compile(r"[\\`*\[\]<>|~#&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def escaped(text: object) -> str:
    """A text as one line that Markdown shows as it stands: nothing in it becomes a picture, a link, HTML or a new cell.

    >>> escaped("a_b ![x](http://y/z.png)\\n| c")
    'a_b !\\\\[x\\\\](http://y/z.png) \\\\| c'
    """
    return _MARKUP.sub(r"\\\g<0>", visible(" ".join(str(text).split())))


def table(heads: Sequence[object], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table, every cell as it stands; without rows the heads alone.

    >>> print(table(["split", "clips"], [["train", 3]]))
    | split | clips |
    | --- | --- |
    | train | 3 |
    """
    lines = [[escaped(cell) for cell in row] for row in (heads, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], ["---"] * len(lines[0]), *lines[1:]])
