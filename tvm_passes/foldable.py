"""Which index maps each kind of stage can read through, and why it cannot read through others."""

from __future__ import annotations

from .index_map import IndexMap
from .stage import Stage
from .translation import Translation, translation_of


def refuse_data(stage: Stage, index_map: IndexMap) -> str | None:
    """Why the stage's anchor cannot read its operand through the map; None if it can."""
    translation = _translation(index_map)
    if isinstance(translation, str):
        return translation
    if stage.kind == "convolution":
        if stage.window.padded and not index_map.is_channels_only:
            return "the convolution pads what it reads, and padding is not the map's border"
        return None
    if stage.kind == "elementwise":
        return None
    return _refuse_channelwise(stage, index_map, translation)


def _refuse_channelwise(stage: Stage, index_map: IndexMap, translation: Translation) -> str | None:
    if not index_map.is_channels_only:
        return f"a {stage.kind.replace('_', ' ')} reads whole vectors, and the map moves channels apart"
    if any(r is None for r in translation.channels):
        return f"a {stage.kind.replace('_', ' ')} has no channels of zeros to read"
    reads = [(r.source, r.channel) for r in translation.channels if r is not None]
    if len(set(reads)) != len(reads):
        return "a channel is read twice"
    return None


def refuse_operand(stage: Stage, index_map: IndexMap, per_channel: bool) -> str | None:
    """Why an element-wise operand of the epilogue cannot be read through the map; None if it can."""
    translation = _translation(index_map)
    if isinstance(translation, str):
        return translation
    if per_channel and not index_map.is_channels_only:
        return "a factor per channel has no pixels to move"
    return None


def _translation(index_map: IndexMap) -> Translation | str:
    """The map as a translation, or why it is none."""
    translation = translation_of(index_map)
    if isinstance(translation, str):
        return f"the map is not one translation per channel: {translation}"
    return translation
