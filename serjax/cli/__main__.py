"""Runs a command without the console script: `python -m serjax.cli train`."""

from serjax.cli import main

if __name__ == "__main__":
    main()
