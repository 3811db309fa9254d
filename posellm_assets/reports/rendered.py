"""What a report says where it was measured on rendered figures."""


def about_rendered(rendered: int, clips: int) -> str:
    """That `rendered` of the held-out clips show no people, and what figures on them mean; empty where all do.

    >>> about_rendered(0, 30)
    ''
    >>> about_rendered(30, 30)[:56]
    'The 30 held-out clips show rendered athletes, no people:'
    """
    if not rendered:
        return ""
    which = f"The {clips}" if rendered == clips else f"{rendered} of the {clips}"
    return (
        f"{which} held-out clips show rendered athletes, no people: figures on them say that the machinery works, not "
        "how well it does on footage of people."
    )
