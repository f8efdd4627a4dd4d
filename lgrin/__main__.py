"""Runs the commands as ``python -m lgrin``."""

from lgrin.command import main

if __name__ == "__main__":
    main()
