"""The pairs of one or two folders, told by the names of folders and files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mmslg.conversion.layout import common_folder, is_image, scan
from mmslg.conversion.pairs.pairing import match_sides, pair_images
from mmslg.conversion.pairs.places import INFRARED, VISIBLE, Place, place_of
from mmslg.errors import InputError


class PairFiles(NamedTuple):
    """The two files of a pair.

    Attributes:
        name: Path of the visible image below the folder of all visible images, with ``/``: its key in caption
            stores that were written for converted annotations.
        visible: Path of the visible image.
        infrared: Path of the infrared image.
    """

    name: str
    visible: str
    infrared: str


class Found(NamedTuple):
    """What folders hold.

    Attributes:
        pairs: The pairs, sorted by name.
        unpaired: (path, reason) of every image without a partner.
    """

    pairs: list[PairFiles]
    unpaired: list[tuple[str, str]]


def find_pairs(
    visible: str | os.PathLike,
    infrared: str | os.PathLike | None = None,
    without: str | os.PathLike | None = None,
) -> Found:
    """Pair the images of two folders, or of one that holds both modalities, by their names.

    Names may differ by what names a modality (``x_RGB``, ``x_PreviewData``; ``visible/x``, ``lwir/x``;
    ``vis/x``, ``ir/x``; ``image/x``, ``imageIR/x``; ``IR_x``), in their endings, and, in two folders,
    by what all names of a side begin or end with. ``tools/convert.py pairs`` pairs by the same rules.

    Args:
        visible: Folder of the visible images, or of both.
        infrared: Folder of the infrared images; None if ``visible`` holds both.
        without: Folder that is passed over, wherever it lies.

    Raises:
        InputError: A folder is missing or holds no images, nothing tells the modalities apart, or no two
            images match.
    """
    if infrared is None or os.path.realpath(visible) == os.path.realpath(infrared):
        roots = visible, visible
        places = [place_of(path) for path in _images_of(visible, without)]
        listed = [Path(visible, place.path) for place in places]
        sides = pair_images(
            visible, [place.path for place in places], advice='name the folders by --rgb DIR --ir DIR'
        ).pairs
    else:
        roots = visible, infrared
        both = [[place_of(path) for path in _images_of(root, without)] for root in roots]
        listed = [Path(root, place.path) for root, places in zip(roots, both) for place in places]
        taken = (_of_modality(places, what) for places, what in zip(both, (VISIBLE, INFRARED)))
        sides = match_sides(f'{visible}, {infrared}', *taken, [], by_rest=True)
    return _collect(list(sides.values()), roots, listed)


def pairs_at(
    visible: str | os.PathLike,
    infrared: str | os.PathLike | None = None,
    without: str | os.PathLike | None = None,
) -> Found:
    """Return the pairs of two folders or of one, see :func:`find_pairs`, or the pair of two images.

    Raises:
        InputError: There is no such file or folder, a file stands beside a folder or alone, or both images
            are one file.
    """
    for path in (visible, infrared):
        if path is not None and not os.path.exists(path):
            raise InputError(f'{path}: no such file or folder')
    if os.path.isdir(visible) and (infrared is None or os.path.isdir(infrared)):
        return find_pairs(visible, infrared, without)
    if infrared is None or os.path.isdir(visible) or os.path.isdir(infrared):
        raise InputError(f'{visible}: wanted two images, two folders, or one folder of both modalities')
    return Found([pair_at(visible, infrared)], [])


def pair_at(visible: str | os.PathLike, infrared: str | os.PathLike) -> PairFiles:
    """Return the pair of two images.

    Raises:
        InputError: Both are one file.
    """
    if os.path.samefile(visible, infrared):
        raise InputError(f'{visible}: given as the visible and as the infrared image; wanted one of each')
    return PairFiles(Path(visible).name, os.fspath(visible), os.fspath(infrared))


def _collect(
    sides: Sequence[tuple[Place | None, Place | None]],
    roots: tuple[str | os.PathLike, str | os.PathLike],
    listed: Sequence[Path],
) -> Found:
    above = len(common_folder(sight.path for sight, _ in sides if sight))
    pairs, unpaired = [], {}
    for sight, heat in sides:
        paths = [side and str(Path(root, side.path)) for root, side in zip(roots, (sight, heat))]
        if sight and heat:
            pairs.append(PairFiles(sight.path[above:], *paths))
        elif sight:
            unpaired[paths[0]] = 'there is no infrared image of this name'
        else:
            unpaired[paths[1]] = 'there is no visible image of this name'
    used = {os.path.realpath(path) for pair in pairs for path in pair[1:]}
    for path in map(str, listed):
        if os.path.realpath(path) not in used:
            unpaired.setdefault(path, 'nothing tells its modality, or another image has its name')
    return Found(sorted(pairs), sorted(unpaired.items()))


def _images_of(folder: str | os.PathLike, without: str | os.PathLike | None) -> list[str]:
    """Return the images below a folder but those among labels, such as masks, and in a folder of others."""
    paths = [path for path in scan(folder) if is_image(path) and 'labels' not in place_of(path).words]
    left_out = ''
    if paths and without is not None and os.path.isdir(without):
        others, left_out = os.path.join(os.path.realpath(without), ''), f' but those of {without}'
        paths = [path for path in paths if not os.path.realpath(Path(folder, path)).startswith(others)]
    if not paths:
        raise InputError(f'{folder}: no images in this folder{left_out}')
    return paths


def _of_modality(places: list[Place], modality: str) -> list[Place]:
    """Give places a modality; those whose names tell the other one are left out, unless all do."""
    own = [place for place in places if place.modality in (None, modality)] or places
    return [replace(place, modality=modality) for place in own]
