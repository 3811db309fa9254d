"""`python -m posellm_assets`: the command line where the script `posellm` is not on the path."""

from posellm_assets.cli import main

main()
