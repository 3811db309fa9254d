"""What the commands of `posellm` do, one module each, over the rooms; `cli.py` reads arguments and prints."""
