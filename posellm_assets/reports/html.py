"""Pages that need nothing but themselves: the frame and the style that every report of the project shares.

A room's template extends `frame.html` and fills its blocks `title`, `style` (rules of its own) and `body`. What users
wrote (labels, captions, participants) is untrusted: templates escape everything that they are given.
"""

from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def filled(room: str, name: str, **values: Any) -> str:
    """The template `name` that lies in the package `room` (`__package__` of who calls), with `values`.

    A value that the template uses and that is not given is an error.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, "") for package in (room, __package__)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(style=asset(__package__, "page.css"), **values)


def asset(room: str, name: str) -> Markup:
    """A style or script that lies in the package `room`; it stands in a page as it is."""
    return Markup(files(room).joinpath(name).read_text(encoding="utf-8"))
