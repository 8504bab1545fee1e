"""What other libraries that show a PyTorch model make of resnet18, as their documentation shows it."""

from __future__ import annotations

import shutil
import subprocess

from processes import IMPORTS, Process

BASE = f"{IMPORTS} (peers)"

_MODEL = f"{IMPORTS}; model = torchvision.models.resnet18().eval(); "
_TORCHVIEW = (
    f"{_MODEL}from torchview import draw_graph; "
    "graph = draw_graph(model, input_size=(1, 3, 224, 224), device='meta').visual_graph; "
)
_TORCHLENS = f"{_MODEL}import torchlens; log = torchlens.trace(model, torch.rand(1, 3, 224, 224)); "

PEERS = {
    "torchview": {
        "SVG": f"{_TORCHVIEW}graph.render('torchview', format='svg')",
        "DOT": f"{_TORCHVIEW}graph.save('torchview.dot')",
    },
    "torchlens": {
        "SVG": f"{_TORCHLENS}log.draw(vis_fileformat='svg', vis_outpath='torchlens')",
        "table": f"{_TORCHLENS}print(log.summary())",
    },
    "torchinfo": {"table": f"{_MODEL}from torchinfo import summary; summary(model, input_size=(1, 3, 224, 224))"},
}
"""The forms in which each shows it, the first choice first. An SVG needs the program ``dot``."""


def peers(python: str) -> tuple[list[Process], list[str]]:
    """The calls of those that a Python has installed, after its bare imports; and a sentence for what is left out."""
    processes = [Process(BASE, (python, "-c", IMPORTS), BASE)]
    remarks = [] if shutil.which("dot") else ["The peers draw no SVG, as the program 'dot' is not installed."]
    for name, forms in PEERS.items():
        if _installed(python, name):
            form = next(form for form in forms if form != "SVG" or shutil.which("dot"))
            processes.append(Process(f"{name}: resnet18 as {form}", (python, "-c", forms[form]), BASE))
        else:
            remarks.append(f"{name}: left out, it is not installed.")
    return processes, remarks


def _installed(python: str, library: str) -> bool:
    """Whether a Python has a library, which is not imported."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({library!r}) is None)"
    return subprocess.run((python, "-c", code)).returncode == 0
