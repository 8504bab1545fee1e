"""Compare the parameters and GMACs of all models with what torchvision publishes with its weights.

python examples/published_counts.py            # all, a few minutes
python examples/published_counts.py resnet     # those with "resnet" in their name

The published numbers (``num_params``, ``_ops``) are for the input that the weights' transforms make of a 512x512
image, or of 16 such frames; segmentation models have their auxiliary classifier, googlenet and inception do not. They
are rounded to three decimals.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torchvision import models

import fxviz
from fxviz._sources import empty_parameters


@dataclass(frozen=True)
class Comparison:
    """One model: its parameters and GMACs, ours and the published ones."""

    name: str
    params: int
    published_params: int
    gmacs: float
    published_gmacs: float

    @property
    def off(self) -> float:
        """Return the relative deviation of our GMACs from the published ones."""
        return abs(self.gmacs - self.published_gmacs) / self.published_gmacs


def compare(name: str) -> Comparison:
    """Build the model as its weights were published, and trace it on the input that belongs to them.

    Parameters take no memory, except for detection: some of these models have to run for real.
    """
    weights = models.get_model_weights(name).DEFAULT
    with warnings.catch_warnings(), nullcontext() if _family(name) == "detection" else empty_parameters():
        warnings.simplefilter("ignore")
        model = models.get_model(name, **_options(name)).eval()
    graph = fxviz.trace(model, _inputs(name, weights))
    return Comparison(
        name, graph.total_params, weights.meta["num_params"], graph.total_macs / 1e9, weights.meta["_ops"]
    )


def _options(name: str) -> dict[str, Any]:
    """Return options for no weights, floating point, and the auxiliary parts that the published numbers include."""
    takes = inspect.signature(models.get_model_builder(name)).parameters
    options: dict[str, Any] = {"weights": None, "weights_backbone": None, "quantize": False}
    options = {key: value for key, value in options.items() if key in takes}
    if _family(name) == "segmentation" and "aux_loss" in takes:
        options["aux_loss"] = True
    if _family(name) == "vision_transformer":
        options["image_size"] = models.get_model_weights(name).DEFAULT.meta["min_size"][0]
    if name.endswith("googlenet"):
        options["aux_logits"] = False
    return options


def _family(name: str) -> str:
    return models.get_model_builder(name).__module__.split(".")[2]


def _inputs(name: str, weights: Any) -> tuple[Any, ...]:
    """Transform a 512x512 image as the weights require."""
    transforms, family = weights.transforms(), _family(name)
    image = torch.zeros(3, 512, 512, dtype=torch.uint8)
    if family == "optical_flow":
        return tuple(transforms(image[None], image[None]))
    if family == "video":
        return (transforms(image[None].expand(max(16, weights.meta.get("min_temporal_size", 16)), -1, -1, -1))[None],)
    return ([transforms(image)],) if family == "detection" else (transforms(image)[None],)


def reason(each: Comparison) -> str:
    """Explain the deviation of our GMACs."""
    if _family(each.name) == "detection":
        return "the boxes that are kept depend on the image and the weights"
    if abs(each.gmacs - each.published_gmacs) <= 0.0005:
        return "published with three decimals"
    return "unknown"


def table(comparisons: list[Comparison]) -> Iterator[str]:
    """Write the table, its summary, and the reasons for deviations."""
    yield f"{'model':36} {'parameters':>13} {'published':>13} {'GMACs':>10} {'published':>10} {'off':>8}"
    for each in comparisons:
        params = f"{each.params:>13,} {each.published_params:>13,}"
        yield f"{each.name:36} {params} {each.gmacs:>10.3f} {each.published_gmacs:>10.3f} {each.off:>8.2%}"
    for bound in (0.005, 0.02):
        yield f"{sum(each.off <= bound for each in comparisons)} of {len(comparisons)} within {bound:.1%}"
    equal = sum(each.params == each.published_params for each in comparisons)
    yield f"{equal} of {len(comparisons)} with equal parameters"
    for each in comparisons:
        if each.off > 0.005:
            yield f"{each.name}: {reason(each)}"
        if each.params != each.published_params:
            yield f"{each.name}: published with the backbone's batch norms frozen: their scale and shift are buffers"


def main(part: str = "") -> None:
    """Print the table."""
    found = []
    for name in models.list_models():
        if part in name:
            found.append(compare(name))
    print("\n".join(table(found)))


if __name__ == "__main__":
    main(*sys.argv[1:])
