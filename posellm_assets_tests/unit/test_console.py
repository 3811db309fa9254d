"""What a terminal gets to see of words that anybody may have written."""

import json
import re

import pytest
from rich.text import Text

from posellm_assets.commands.console import console, print_error, print_json, print_table

HOSTILE = [
    "[/]",
    "[h264] @ 0x55",
    "[red]x[/red]",
    "a\x1b[2Jb",
    "\x9b31m",
    "a\rb",
    ":smile:",
    "\u202egpj.x",
    "\x07",
    "\ud800",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_words_are_shown_as_they_stand_and_command_nothing(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.print(text, soft_wrap=True)
    print_table(text, ["what", text], [[text, 1], [Text("ok", "green"), text]])
    print_error(ValueError(text))
    said = "".join(capsys.readouterr())
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800]", said)
    written = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    assert said.count(written) == 6 and "ok" in said and "error: " in said


@pytest.mark.parametrize("text", HOSTILE[:-1])
def test_json_is_the_same_value_without_a_command_in_it(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_json({text: [text, "é 刷冰"]})
    said = capsys.readouterr().out
    assert json.loads(said) == {text: [text, "é 刷冰"]} and "刷冰" in said
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said)
