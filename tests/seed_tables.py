"""The tables of the two pages that the project grew from, number by number: name, parameters, shape of the weight.

A name ending in "_total" is a sum. ``VGG16`` has the class, too.
"""

from __future__ import annotations

Sizes = tuple[int, ...] | None

VGG16: tuple[tuple[str, str | None, int, Sizes], ...] = (
    ("features.0", "Conv2d", 1792, (64, 3, 3, 3)),
    ("features.2", "Conv2d", 36928, (64, 64, 3, 3)),
    ("features.4", "MaxPool2d", 0, None),
    ("features.5", "Conv2d", 73856, (128, 64, 3, 3)),
    ("features.7", "Conv2d", 147584, (128, 128, 3, 3)),
    ("features.9", "MaxPool2d", 0, None),
    ("features.10", "Conv2d", 295168, (256, 128, 3, 3)),
    ("features.12", "Conv2d", 590080, (256, 256, 3, 3)),
    ("features.14", "Conv2d", 590080, (256, 256, 3, 3)),
    ("features.16", "MaxPool2d", 0, None),
    ("features.17", "Conv2d", 1180160, (512, 256, 3, 3)),
    ("features.19", "Conv2d", 2359808, (512, 512, 3, 3)),
    ("features.21", "Conv2d", 2359808, (512, 512, 3, 3)),
    ("features.23", "MaxPool2d", 0, None),
    ("features.24", "Conv2d", 2359808, (512, 512, 3, 3)),
    ("features.26", "Conv2d", 2359808, (512, 512, 3, 3)),
    ("features.28", "Conv2d", 2359808, (512, 512, 3, 3)),
    ("features.30", "MaxPool2d", 0, None),
    ("features_total", None, 14714688, None),
    ("classifier.0", "Linear", 102764544, (4096, 25088)),
    ("classifier.1", "ReLU", 0, None),
    ("classifier.2", "Dropout", 0, None),
    ("classifier.3", "Linear", 16781312, (4096, 4096)),
    ("classifier.4", "ReLU", 0, None),
    ("classifier.5", "Dropout", 0, None),
    ("classifier.6", "Linear", 4097000, (1000, 4096)),
    ("classifier_total", None, 123642856, None),
    ("TOTAL", None, 138357544, None),
)

RESNET18: tuple[tuple[str, int, Sizes], ...] = (
    ("conv1", 9408, (64, 3, 7, 7)),
    ("bn1", 128, (64,)),
    ("layer1.0_total", 73984, None),
    ("layer1.1_total", 73984, None),
    ("layer1_total", 147968, None),
    ("layer2.0_total", 230144, None),
    ("layer2.1_total", 295424, None),
    ("layer2_total", 525568, None),
    ("layer3.0_total", 919040, None),
    ("layer3.1_total", 1180672, None),
    ("layer3_total", 2099712, None),
    ("layer4.0_total", 3673088, None),
    ("layer4.1_total", 4720640, None),
    ("layer4_total", 8393728, None),
    ("fc", 513000, (1000, 512)),
    ("TOTAL", 11689512, None),
)
