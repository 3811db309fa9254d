"""How long the tests wait for what should come: a limit for what hangs, never for what is slow on a busy machine."""

HANG_S = 1800.0
"""Less than pytest's own limit (`timeout` in pyproject.toml), so that the test that hangs says what it waited for."""
