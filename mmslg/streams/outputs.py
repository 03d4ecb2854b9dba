"""What a stream leaves: a video, a line or rows a pair. Each is written whole or not at all."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from mmengine.structures import InstanceData

from mmslg.errors import InputError
from mmslg.streams.async_captions import Caption
from mmslg.streams.frame_pairs import FramePair
from mmslg.utils.image_io import to_8bit
from mmslg.utils.io import atomic_path, check_writable
from mmslg.visualization.boxes import draw_boxes, text_scale
from mmslg.visualization.pair_visualizer import to_boxes
from mmslg.visualization.pairs import add_legend, enlarge, side_by_side
from mmslg.visualization.palette import class_colour
from mmslg.visualization.samples import box_records

CODECS = {'.mp4': 'mp4v', '.avi': 'MJPG', '.mkv': 'mp4v'}


class StreamResult(NamedTuple):
    """What came of one pair.

    Attributes:
        number: Number of the pair, from 0.
        pair: Its frames.
        found: Detections, with ``track_ids`` if tracked, in pixels of the visible frame.
        caption: Caption that was in use.
        caption_age: Its age in seconds.
    """

    number: int
    pair: FramePair
    found: InstanceData
    caption: Caption | None = None
    caption_age: float | None = None


class JsonLines:
    """A JSON object a line and pair.

    Args:
        path: File to write.
        classes: Class names.
        stack: Closes the file; on an error it removes it.
    """

    def __init__(self, path: str | os.PathLike, classes: Sequence[str], stack: ExitStack) -> None:
        temporary = stack.enter_context(atomic_path(path))
        self._file = stack.enter_context(temporary.open('w', encoding='utf-8', newline='\n'))
        self._classes = classes

    def write(self, result: StreamResult) -> None:
        """Write a line."""
        pair = result.pair
        row: dict[str, Any] = {
            'pair': result.number,
            'visible': pair.visible.number,
            'infrared': pair.infrared.number,
            'time': _rounded(pair.visible.time),
            'offset': _rounded(pair.offset),
            'caption': result.caption.text.to_dict() if result.caption else None,
            'caption_age': _rounded(result.caption_age),
            'detections': _records(result.found, self._classes),
        }
        self._file.write(json.dumps(row, ensure_ascii=False) + '\n')


class CsvRows:
    """A row a detection; a box is x1, y1, x2, y2, an oriented one four corners.

    Args:
        path: File to write.
        classes: Class names.
        stack: Closes the file; on an error it removes it.
    """

    HEAD = ('pair', 'visible', 'infrared', 'time', 'class', 'score', 'track')

    def __init__(self, path: str | os.PathLike, classes: Sequence[str], stack: ExitStack) -> None:
        temporary = stack.enter_context(atomic_path(path))
        self._writer = csv.writer(stack.enter_context(temporary.open('w', encoding='utf-8', newline='')))
        self._classes = classes
        self._width = 0

    def write(self, result: StreamResult) -> None:
        """Write the rows of a pair, and above the first the names of the columns."""
        pair = result.pair
        if not self._width:
            self._width = 4 if result.found.bboxes.shape[-1] == 4 else 8
            names = [f'{axis}{i}' for i in range(1, self._width // 2 + 1) for axis in 'xy']
            self._writer.writerow([*self.HEAD, *names])
        for row in _records(result.found, self._classes):
            place = result.number, pair.visible.number, pair.infrared.number, _rounded(pair.visible.time)
            self._writer.writerow([*place, row['class'], row['score'], row.get('track', ''), *row['box']])


class Video:
    """Both pictures side by side with boxes, tracks and caption; a live stream keeps its own pace.

    Args:
        path: File to write, ``.mp4``, ``.mkv`` or ``.avi``.
        classes: Class names.
        stack: Closes the file; on an error it removes it.
        rate: Pictures a second.
        paced: Repeat or leave out pictures, so that the video runs as fast as the pairs' times.

    Raises:
        InputError: The name ends otherwise, or OpenCV cannot write such a video here.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        classes: Sequence[str],
        stack: ExitStack,
        rate: float = 10.0,
        paced: bool = False,
    ) -> None:
        check_video(path)
        self._path, self._classes, self._rate, self._paced = path, classes, rate, paced
        self._temporary = stack.enter_context(atomic_path(path))
        stack.push(self._finish)
        self._writer: cv2.VideoWriter | None = None
        self._size = 0, 0
        self._start = 0.0
        self._written = 0

    def write(self, result: StreamResult) -> None:
        """Add the picture of a pair."""
        picture = draw_result(result, self._classes)
        if self._writer is None:
            self._start = result.pair.visible.time or 0.0
            self._open(picture)
        if picture.shape[1::-1] != self._size:
            picture = cv2.resize(picture, self._size)
        times = 1
        if self._paced and result.pair.visible.time is not None:
            due = round((result.pair.visible.time - self._start) * self._rate) + 1
            times = max(due - self._written, 0)
        for _ in range(times):
            self._writer.write(picture)
        self._written += times

    def _open(self, picture: np.ndarray) -> None:
        code = cv2.VideoWriter_fourcc(*CODECS[Path(self._path).suffix.lower()])
        self._size = picture.shape[1::-1]
        self._writer = cv2.VideoWriter(os.fspath(self._temporary), code, self._rate, self._size)
        if not self._writer.isOpened():
            raise InputError(
                f'{self._path}: OpenCV cannot write such a video here; try a name that ends in .avi'
            )

    def _finish(self, kind: type | None, *_: object) -> None:
        """End the file, and see that it holds what was written: OpenCV is silent on a full disk."""
        if self._writer is None:
            if kind is None:
                raise InputError(f'{self._path}: no pair came, so there is no video to write')
            return
        self._writer.release()
        if kind is None:
            video = cv2.VideoCapture(os.fspath(self._temporary))
            count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
            video.release()
            if count != self._written:
                raise InputError(
                    f'{self._path}: {count} of {self._written} pictures were written; is the disk full?'
                )


def check_video(path: str | os.PathLike) -> None:
    """Raise InputError if the path is none of a video that can be written."""
    check_writable(path)
    if Path(path).suffix.lower() not in CODECS:
        raise InputError(f'{path}: wanted the name of a video, which ends in {", ".join(CODECS)}')


def draw_result(result: StreamResult, classes: Sequence[str]) -> np.ndarray:
    """Draw the picture of a pair, of even height and width."""
    visible = result.pair.visible.image
    infrared = cv2.cvtColor(to_8bit(result.pair.infrared.image), cv2.COLOR_GRAY2BGR)
    if infrared.shape != visible.shape:
        infrared = cv2.resize(infrared, visible.shape[1::-1])
    (visible, factor), (infrared, _) = enlarge(visible), enlarge(infrared)
    boxes = to_boxes(result.found)
    texts = [f'{classes[label]} {score:.2f}' for label, score in zip(boxes.labels, boxes.scores)]
    if 'track_ids' in result.found:
        ids = result.found.track_ids.tolist()
        texts = [text if id < 0 else f'#{id} {text}' for id, text in zip(ids, texts)]
    colours = [class_colour(label) for label in boxes.labels]
    pictures = [draw_boxes(p, boxes.polygons * factor, colours, texts) for p in (visible, infrared)]
    caption = '; '.join(result.caption.text.components()) if result.caption else 'no caption'
    age = '' if result.caption_age is None else f' ({result.caption_age:.1f} s)'
    page = add_legend(
        side_by_side(*pictures, f'{result.number}: {caption}{age}'), classes, scale=text_scale(visible)
    )
    height, width = page.shape[:2]
    return cv2.copyMakeBorder(page, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)


def _records(found: InstanceData, classes: Sequence[str]) -> list[dict]:
    rows = box_records(found, classes)
    if 'track_ids' in found:
        rows = [{**row, 'track': id if id >= 0 else None} for row, id in zip(rows, found.track_ids.tolist())]
    return rows


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
