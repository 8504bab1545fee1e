"""Choose the dummy arguments of a transformers model from its forward, and their shapes from its configuration."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from fxviz._graph import TensorInfo
from fxviz._sources.inputs import Dummy, is_required
from fxviz._sources.source import IMAGE, build

if TYPE_CHECKING:
    from torch import nn

TOKENS = 5
"""Tokens of a dummy text, as in transformers' own ``DUMMY_INPUTS``."""

_FRAMES = 100
"""Time steps of a dummy spectrogram if the configuration declares none: one second."""

_SAMPLES = 16000
"""Samples of a dummy waveform: one second."""

_PLACEHOLDER = re.compile(r"(image|video|audio|vision|speech)_token(_id|_index)?")
"""A setting that names the token of the text which represents an image or a sound."""


def arguments(cls: Any, config: Any) -> dict[str, TensorInfo]:
    """Return the keyword arguments of ``cls.forward``, by transformers' naming convention.

    These are the main input that the class declares, all arguments without a default, the decoder's ids, and the second
    input of a model of two modalities. If images or sounds replace tokens of the text, only the text is among them.

    Args:
        cls: the class of the model, which declares ``main_input_name``.
        config: the configuration of the model.

    >>> class Encoder:
    ...     main_input_name = "pixel_values"
    ...     def forward(self, pixel_values, output_attentions=None): ...
    >>> class Config:
    ...     image_size, num_channels, sub_configs = 32, 1, {}
    >>> arguments(Encoder, Config())
    {'pixel_values': TensorInfo(shape=(1, 1, 32, 32), dtype='float32')}
    """
    sizes = {name: _dummy_for(name) for name in _argument_names(cls, config)}
    settings = _Settings(config)
    return {name: size(settings) for name, size in sizes.items() if size is not None}


def image_of(config: Any) -> TensorInfo:
    """Return the image that a model of this configuration takes."""
    return _images(_Settings(config))


def _argument_names(cls: Any, config: Any) -> Iterator[str]:
    """Yield the names of the arguments to pass, in the order of the signature."""
    main = cls.main_input_name
    chosen = {main} if isinstance(main, str) else set(main)
    if not ("input_ids" in chosen and _has_placeholders(config)):
        chosen |= _OPTIONAL
    if getattr(config, "is_encoder_decoder", True):
        chosen.add("decoder_input_ids")
    for name, parameter in inspect.signature(cls.forward).parameters.items():
        if name in chosen or (is_required(parameter) and name != "self"):
            yield name


def _has_placeholders(config: Any) -> bool:
    return any(_PLACEHOLDER.fullmatch(name) for name in vars(config))


@dataclass(frozen=True)
class _Settings:
    """A configuration and its nested configurations."""

    config: Any

    def first(self, *names: str, of: str = "", default: Any = None) -> Any:
        """Return the first of these settings: in the configuration itself, then in the nested ones named ``of``."""
        for part in self._parts(self.config, of):
            for name in names:
                value = getattr(part, name, None)
                if value is not None:
                    return value
        return default

    def _parts(self, config: Any, of: str) -> Iterator[Any]:
        yield config
        inner = getattr(config, "sub_configs", {})
        for name in sorted(inner, key=lambda name: of not in name):
            part = getattr(config, name, None)
            if part is not None:
                yield from self._parts(part, of)

    def image(self) -> tuple[int, int, int]:
        """Return the channels, height and width of an image."""
        channels = self.first("num_channels", "in_channels", "in_chans", of="vision", default=3)
        size = self.first("image_size", "img_size", of="vision", default=IMAGE.shape[-1])
        if isinstance(size, dict):
            size = list(size.values())
        sides = size if isinstance(size, (list, tuple)) else [size]
        return int(channels), int(sides[-2:][0]), int(sides[-1])

    def frames(self) -> int | None:
        """Return the frames of a video clip; None for a model of images."""
        frames: int | None = self.first("num_frames", "frames_per_clip", of="vision")
        return frames


def _ids(settings: _Settings) -> TensorInfo:
    return TensorInfo((1, TOKENS), "int64")


def _embeddings(settings: _Settings) -> TensorInfo:
    return _float(TOKENS, settings.first("d_model", "hidden_size", of="text", default=1))


def _boxes(settings: _Settings) -> TensorInfo:
    return TensorInfo((1, TOKENS, 4), "int64")


def _images(settings: _Settings) -> TensorInfo:
    frames = settings.frames()
    return _float(*(() if frames is None else (frames,)), *settings.image())


def _video(settings: _Settings) -> TensorInfo:
    return _float(settings.frames() or 1, *settings.image())


def _waveform(settings: _Settings) -> TensorInfo:
    """Return samples, (channels, samples) for a codec, or a spectrogram if only its size is declared."""
    bins, length = settings.first("num_mel_bins"), settings.first("max_length")
    if bins and length:
        return _float(length, bins)
    if settings.first("sampling_rate") is not None:
        return _float(settings.first("audio_channels", default=1), _SAMPLES)
    return _float(_SAMPLES)


def _spectrogram(settings: _Settings) -> TensorInfo:
    """Return (time, features), (features, time) for an encoder with a fixed number of positions, or an image of one."""
    features = settings.first("feature_projection_input_dim", of="audio")
    per_channel = settings.first("input_feat_per_channel", of="audio")
    if features or per_channel:
        return _float(_FRAMES, features or per_channel * settings.first("input_channels", default=1))
    bins = settings.first("num_mel_bins", of="audio", default=80)
    side, positions = settings.first("spec_size", of="audio"), settings.first("max_source_positions", of="audio")
    if side:
        return _float(1, side * (side // bins), bins)
    return _float(bins, 2 * positions) if positions else _float(_FRAMES, bins)


def _past(settings: _Settings) -> TensorInfo:
    lags = settings.first("lags_sequence")
    length = settings.first("context_length", "prediction_length", default=1)
    return _float(length + max(lags)) if lags else _float(length, settings.first("num_input_channels", default=1))


def _past_features(settings: _Settings) -> TensorInfo:
    return _float(_past(settings).shape[1], settings.first("num_time_features", default=1))


def _regions(settings: _Settings) -> TensorInfo:
    return _float(TOKENS, settings.first("visual_feat_dim", default=4))


def _region_boxes(settings: _Settings) -> TensorInfo:
    return _float(TOKENS, 4)


def _float(*sizes: int) -> TensorInfo:
    return TensorInfo((1, *sizes), "float32")


_OPTIONAL = {"bbox", "input_features", "input_ids", "input_values", "pixel_values", "visual_feats", "visual_pos"}
"""Arguments that belong to a full run although they have a default."""


def _spectrogram_mask(settings: _Settings) -> TensorInfo:
    return TensorInfo((1, _spectrogram(settings).shape[-1]), "int64")


_DUMMIES: dict[str, Callable[[_Settings], TensorInfo]] = {
    "bbox": _boxes,
    "hidden_states": _embeddings,
    "input_features": _spectrogram,
    "input_features_mask": _spectrogram_mask,
    "input_values": _waveform,
    "inputs": _embeddings,
    "past_observed_mask": _past,
    "past_time_features": _past_features,
    "past_values": _past,
    "pixel_values": _images,
    "pixel_values_videos": _video,
    "visual_feats": _regions,
    "visual_pos": _region_boxes,
}
"""The dummy tensor for each argument name of transformers."""


def _dummy_for(name: str) -> Callable[[_Settings], TensorInfo] | None:
    if name.endswith(("input_ids", "attention_mask")):
        return _ids
    return _embeddings if name.endswith("_embeds") else _DUMMIES.get(name)


_IMAGE_TOKENS = ("image_token_id", "image_token_index")
"""Settings that name the token which represents a part of an image, in the order in which they are tried."""


def with_picture(
    text: dict[str, TensorInfo], config: Any, image: TensorInfo, make: Callable[[], nn.Module]
) -> dict[str, TensorInfo]:
    """Return the arguments of a run on an image and a text that ends with a token for each feature of the image.

    Args:
        text: the arguments of a run on a text alone.
        config: the configuration of the model.
        image: the image.
        make: builds the model.

    Returns:
        The arguments; ``text`` itself if the model takes no image in its text, or needs more than an image to tell the
        number of its features.

    >>> text = {"input_ids": TensorInfo((1, 5), "int64")}
    >>> with_picture(text, object(), TensorInfo((1, 3, 32, 32), "float32"), make=None) is text
    True
    """
    token = next((value for name in _IMAGE_TOKENS if isinstance(value := getattr(config, name, None), int)), None)
    if token is None or "input_ids" not in text or "pixel_values" in text:
        return text
    count = _features(make, image)
    if not count:
        return text
    words = text["input_ids"].shape[1]
    longer = {
        name: TensorInfo((1, words + count), info.dtype) if info.shape == (1, words) else info
        for name, info in text.items()
    }
    ids = Dummy((1, words + count), "int64", ends=(token,) * count)
    return {**longer, "input_ids": ids, "pixel_values": image}


def _features(make: Callable[[], nn.Module], image: TensorInfo) -> int:
    """Count the features that take the place of tokens, on tensors without memory; 0 if that cannot be found out."""
    import torch

    def without_memory() -> nn.Module:
        with torch.device("meta"):
            return make()

    model: Any = build(without_memory, allocate=False)
    try:
        with torch.device("meta"), torch.no_grad():
            result = model.get_image_features(pixel_values=torch.empty(image.shape))
    except Exception:  # it has no such method, or needs more arguments, or values
        return 0
    features = getattr(result, "pooler_output", result)
    parts = [features] if isinstance(features, torch.Tensor) else features
    return sum(prod(part.shape[:-1]) for part in parts)
