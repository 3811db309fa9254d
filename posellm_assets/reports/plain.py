"""Words that anybody may have written, shown: nothing in them is a command to a terminal or a page."""

import re

# C0 and C1 without tab and new line, what turns the direction of writing around, and halves of a character.
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: object) -> str:
    r"""A text in which control sequences are written out, as `\x1b`, so that a terminal shows them.

    >>> visible("left\x1b[2J")
    'left\\x1b[2J'
    """
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))
