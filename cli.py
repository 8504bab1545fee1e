"""The command line from a clone: ``python cli.py render resnet18 -o out.svg``."""

from fxviz.__main__ import main

if __name__ == "__main__":
    raise SystemExit(main())
