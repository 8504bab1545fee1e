"""From what a user names to a model that can be traced: ``"resnet18"`` or an ``nn.Module``.

torch is imported when a model is looked up or built, not before.
"""

from fxviz.loading.empty import empty_parameters
from fxviz.loading.resolving import names, resolve
from fxviz.loading.source import IMAGE, Source

__all__ = ["IMAGE", "Source", "empty_parameters", "names", "resolve"]
