from posellm_assets.commands.settings_page import settings_page
from posellm_assets.settings import Settings


def test_every_setting_is_described_and_on_the_page() -> None:
    page = settings_page()
    assert [line for line in page.splitlines() if line.startswith("| `") and line.endswith("|  |")] == []
    for path, default in (
        ("language.stages[].tasks", "needed"),
        ("automation.rules.*.min_new_videos", "12"),
        ("coaching.teachers[].url", "needed"),
        ("poses.max_people", "4"),
    ):
        assert f"| `{path}` | `{default}` |" in page
    assert page.count("\n## ") == len(Settings.model_fields)
