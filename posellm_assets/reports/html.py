"""Pages that need nothing but themselves: the frame and the style that every report of the project shares.

A room's template extends `frame.html` and fills its blocks `title`, `style` (rules of its own) and `body`. What users
wrote (labels, captions, participants) is untrusted: templates escape everything that they are given.
"""

from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_FRAME = "reports"


def filled(room: str, name: str, **values: Any) -> str:
    """The template `name` of a room, such as `coaching/live`, with `values`; one that is missing is an error."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("posellm_assets", folder) for folder in (room, _FRAME)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(style=asset(_FRAME, "page.css"), **values)


def asset(room: str, name: str) -> Markup:
    """A style or script of a room, which stands in a page as it is."""
    return Markup(files("posellm_assets").joinpath(room, name).read_text(encoding="utf-8"))
