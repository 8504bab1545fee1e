"""The command line as a module: ``python -m fxviz render resnet18 -o out.svg``."""

from fxviz.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
