"""Corrupting a pair, to see what a detector stands."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from mmcv.transforms import BaseTransform

from mmslg.datasets.corruptions import Statistics, corrupt, find, pair_seed
from mmslg.datasets.corruptions.catalogue import CHANNELS
from mmslg.datasets.transforms.loading import check_pair_image
from mmslg.errors import InputError
from mmslg.registry import TRANSFORMS

PATHS = {'visible': 'img_path', 'infrared': 'ir_path'}


@TRANSFORMS.register_module()
class CorruptPair(BaseTransform):
    """Corrupt a pair as it was loaded: what happens depends on seed, corruption, severity and key alone.

    It is the step ``corruption`` of a pipeline, behind the loading of both images and before all else, so
    that pixels are those of the files, of 8 bits and of the visible one's size. Boxes stay where they are:
    they belong to the image that is not moved.

    Required keys: ``img`` ``(H, W, 4)`` uint8 as B, G, R, IR, and ``file_name``, the key of the pair. Changed
    key: ``img``. Added key: ``corruption``, what was done: name, severity, the pair's seed, what was drawn,
    and the SHA-256 of the bytes of ``img``.

    Args:
        corruption: One of ``mmslg.datasets.corruptions.CORRUPTIONS``.
        severity: 0, which changes nothing, to 5.
        seed: Of the whole set.
        moved: ``visible`` or ``infrared``: the image that ``pair/...`` moves.
        mean: Of B, G, R, IR, 0-255, for ``missing/...``.
        std: Standard deviations, likewise.

    Raises:
        InputError: There is no such corruption, severity or modality, or the image has not four channels of
            8 bits or is too small.
    """

    def __init__(
        self,
        corruption: str,
        severity: int,
        seed: int = 0,
        moved: str = 'visible',
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        severities = (0, *find(corruption).severities)
        if severity not in severities:
            raise InputError(f'{corruption} has the severities 0 to {severities[-1]}, got {severity!r}')
        if moved not in CHANNELS:
            raise InputError(f'moved must be one of {", ".join(CHANNELS)}, got {moved!r}')
        default = Statistics()
        self.statistics = Statistics(tuple(mean or default.mean), tuple(std or default.std))
        if len(self.statistics.mean) != 4 or len(self.statistics.std) != 4:
            raise InputError(f'wanted mean and std of B, G, R, IR, got {mean!r} and {std!r}')
        self.corruption, self.severity, self.seed, self.moved = corruption, severity, seed, moved

    def transform(self, results: dict) -> dict:
        """Corrupt one pair."""
        image = results['img']
        check_pair_image(image, results.get('img_path'), 'CorruptPair')
        seed = pair_seed(self.seed, self.corruption, self.severity, results['file_name'])
        try:
            changed, drawn = corrupt(image, self.corruption, self.severity, seed, self.moved, self.statistics)
        except InputError as error:
            raise InputError(f'{results.get("img_path")}: {error}') from None
        results['img'] = changed
        results['corruption'] = {
            'name': self.corruption,
            'severity': self.severity,
            'seed': seed,
            **drawn,
            'sha256': hashlib.sha256(changed.tobytes()).hexdigest(),
        }
        return results


@TRANSFORMS.register_module()
class DelayImage(BaseTransform):
    """Take one image of a pair from an earlier pair: a camera whose frames come late.

    It stands before the images are loaded. Changed key: ``img_path`` or ``ir_path``. Added key:
    ``corruption``.

    Args:
        modality: ``visible`` or ``infrared``: the one that is late.
        frames: How late, in pairs.
        sources: For each pair's key, the key and the image of the pair before it; a pair that is not in it,
            the first of a sequence, keeps its own.

    Raises:
        InputError: There is no such modality.
    """

    def __init__(self, modality: str, frames: int, sources: Mapping[str, Sequence[str]]) -> None:
        if modality not in PATHS:
            raise InputError(f'modality must be one of {", ".join(PATHS)}, got {modality!r}')
        self.modality, self.frames, self.sources = modality, frames, sources

    def transform(self, results: dict) -> dict:
        """Change the path of one image."""
        key, path = self.sources.get(results['file_name'], (results['file_name'], None))
        if path is not None:
            results[PATHS[self.modality]] = path
        results['corruption'] = {
            'name': 'pair/delay',
            'severity': self.frames,
            'image': self.modality,
            'of': key,
        }
        return results
