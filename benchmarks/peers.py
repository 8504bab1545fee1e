"""Show resnet18 with other libraries, as their documentation describes it."""

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
"""The output formats of each, the preferred one first. An SVG needs the program ``dot``."""


def peers(python: str) -> tuple[list[Process], list[str]]:
    """Return the processes of the peers that a Python has installed, and a remark for each that is left out."""
    processes = [Process(BASE, (python, "-c", IMPORTS), BASE)]
    remarks = [] if shutil.which("dot") else ["The peers draw no SVG because the program 'dot' is not installed."]
    for name, forms in PEERS.items():
        if _installed(python, name):
            form = next(form for form in forms if form != "SVG" or shutil.which("dot"))
            processes.append(Process(f"{name}: resnet18 as {form}", (python, "-c", forms[form]), BASE))
        else:
            remarks.append(f"{name} is left out: it is not installed.")
    return processes, remarks


def _installed(python: str, library: str) -> bool:
    """Return whether a Python has a library, without importing it."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({library!r}) is None)"
    return subprocess.run((python, "-c", code)).returncode == 0
