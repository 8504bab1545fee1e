"""Files of weights: tensors by name, read without running anything that is in them."""

from fxviz._sources.checkpoints.reading import SUFFIXES, check_file, is_checkpoint, parts, read

__all__ = ["SUFFIXES", "check_file", "is_checkpoint", "parts", "read"]
