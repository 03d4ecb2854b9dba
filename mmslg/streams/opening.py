"""From what the user names to a pair of sources."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from mmslg.errors import InputError
from mmslg.streams.capture_source import CaptureSource
from mmslg.streams.folder_source import FolderSource
from mmslg.streams.frames import FrameSource
from mmslg.streams.live_source import LiveSource


def open_sources(
    visible: str, infrared: str, rates: Sequence[float] | None = None, reconnect: float = 0.0
) -> tuple[FrameSource, FrameSource]:
    """Open the visible and the infrared source of a stream.

    Args:
        visible: Video file, folder of numbered images, number of a device, or address.
        infrared: The same of the infrared camera.
        rates: Frames a second of folders, one for both or one each.
        reconnect: Seconds that a camera which was lost is sought, see :class:`LiveSource`.

    Raises:
        InputError: One cannot be opened, both are the same, or a rate is given that says nothing.
    """
    names = visible, infrared
    folders = [os.path.isdir(name) for name in names]
    if rates and not any(folders):
        raise InputError('--fps says how fast the images of a folder follow; videos and cameras know it')
    if visible == infrared or (all(map(os.path.exists, names)) and os.path.samefile(*names)):
        raise InputError(f'{visible}: given as the visible and as the infrared source; wanted one of each')
    each = list(rates) * 2 if rates and len(rates) == 1 else list(rates or (None, None))
    from_start = not all(folders) or each[0] != each[1]  # else equal numbers are the same moment
    sources: list[FrameSource] = []
    try:
        for name, is_folder, rate in zip(names, folders, each):
            is_infrared = len(sources) == 1
            if is_folder:
                sources.append(FolderSource(name, is_infrared, rate, from_start))
            else:
                sources.append(_open_capture(name, is_infrared, reconnect))
    except InputError:
        for source in sources:
            source.close()
        raise
    return sources[0], sources[1]


def _open_capture(name: str, infrared: bool, reconnect: float) -> FrameSource:
    if not (os.path.exists(name) or re.fullmatch(r'\d{1,4}', name) or '://' in name or '!' in name):
        raise InputError(
            f'{name}: no such file or folder; wanted a video, a folder of numbered images, the number of a '
            'camera such as 0, or an address such as rtsp://...'
        )
    source = CaptureSource(name, infrared)
    if not source.live:
        return source
    return LiveSource(source, lambda: CaptureSource(name, infrared), reconnect)
