"""Scenes as a data set on disk: images, COCO annotations, a table and a sheet of what is in it."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmslg.captions.schema import CaptionRecord, write_captions
from mmslg.errors import InputError
from mmslg.utils.image_io import read_visible
from mmslg.utils.io import check_folder, read_json, write_json
from mmslg.utils.os_errors import explained
from mmslg.utils.progress import progress_bar
from mmslg.visualization.boxes import draw_boxes, to_polygons
from mmslg.visualization.pairs import add_legend, contact_sheet, enlarge, side_by_side, write_picture
from mmslg.visualization.palette import class_colour
from sample_scenes.description import oracle_record
from sample_scenes.scene import CATEGORIES, SPLITS, Scene, render_scene
from sample_scenes.weather import CONDITIONS

GENERATOR_VERSION = 1  # raise it when the same seed gives other scenes
SIDES = {'width': (160, 1920), 'height': (128, 1536)}  # smallest and largest, pixels
MOST_SCENES = 99999  # five digits in the file name
JPEG_QUALITY = 93


@dataclass(frozen=True)
class Plan:
    """What a data set of sample scenes consists of.

    Raises:
        InputError: A number is out of range.
    """

    train: int = 240
    test: int = 60
    size: tuple[int, int] = (320, 256)  # width and height in pixels
    seed: int = 0  # other seeds give other scenes
    condition: str | None = None  # all scenes under this one of CONDITIONS; None mixes them

    def __post_init__(self) -> None:
        for split in SPLITS:
            if getattr(self, split) < 1:
                raise InputError(f'wanted at least 1 {split} scene, got {getattr(self, split)}')
        if self.train + self.test > MOST_SCENES:
            raise InputError(f'wanted at most {MOST_SCENES} scenes, got {self.train + self.test}')
        for (name, (low, high)), value in zip(SIDES.items(), self.size):
            if not low <= value <= high:
                raise InputError(f'the {name} has to be {low} to {high} pixels, got {value}')
        if self.seed < 0:
            raise InputError(f'the seed has to be 0 or more, got {self.seed}')
        if self.condition not in (None, *CONDITIONS):
            raise InputError(f'the condition has to be one of {", ".join(CONDITIONS)}, got {self.condition}')

    def info(self) -> dict[str, Any]:
        """Return what the annotation files say about themselves."""
        return {
            'description': 'Procedurally drawn street scenes: aligned visible and thermal images',
            'label_modality': 'both', 'generator_version': GENERATOR_VERSION, 'seed': self.seed,
            'train': self.train, 'test': self.test, 'size': list(self.size), 'condition': self.condition,
        }  # fmt: skip


def write_scenes(out: str | os.PathLike, plan: Plan, workers: int = 2) -> bool:
    """Write a data set of sample scenes, whole or not at all.

    Several workers are started as fresh processes, so a script that calls this needs the usual
    ``if __name__ == '__main__':`` guard.

    Args:
        out: Folder; has to be missing, empty, or hold the very same data set.
        plan: What to draw.
        workers: Number of processes; the result does not depend on it.

    Returns:
        Whether anything was written; False if the data set was there already.

    Raises:
        InputError: The folder holds something else or cannot be written, or another run draws there.
    """
    if workers < 1:
        raise InputError(f'wanted at least 1 worker, got {workers}')
    out = check_folder(out).resolve()
    with explained(out):
        if is_complete(out, plan):
            return False
        with _partial(out) as folder:
            _draw_all(folder, plan, workers)
            folder.replace(out)
    return True


@contextmanager
def _partial(out: Path) -> Iterator[Path]:
    """Make a hidden folder beside ``out``, without what a killed run left in it; it is removed in the end."""
    folder = out.with_name(f'.{out.name}.partial')
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets go of it with the process
        except BlockingIOError:
            raise InputError(f'{out}: another run is drawing it; wait, or name another folder') from None
        try:
            for left in folder.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)


def is_complete(out: Path, plan: Plan) -> bool:
    """Tell whether ``out`` holds the data set of ``plan``; False if there is nothing yet.

    Raises:
        InputError: ``out`` holds something else.
    """
    if not out.exists():
        return False
    if not any(out.iterdir()):
        return False
    for split in SPLITS:
        path = out / f'annotations_{split}.json'
        if not path.is_file():
            raise InputError(f'{out}: the folder is not empty and holds no sample scenes; name another one')
        data = read_json(path)
        found = data.get('info') if isinstance(data, dict) else None
        if not isinstance(found, dict) or {key: found.get(key) for key in plan.info()} != plan.info():
            raise InputError(f'{out}: holds other scenes (see info in {path.name}); name another folder')
        for image in data['images']:
            for name in (f'visible/{image["file_name"]}', f'infrared/{image["file_name_ir"]}'):
                if not (out / name).is_file():
                    raise InputError(f'{out}: {name} is missing; delete the folder and draw it anew')
    return True


def write_oracle(path: str | os.PathLike, plan: Plan, workers: int = 2) -> None:
    """Write what the generator knows of each scene as captions, ``captions.jsonl``, whole or not at all.

    Scenes are drawn for it once more, which gives the same ones.

    Args:
        path: File to write.
        plan: The data set.
        workers: Number of processes; the result does not depend on it.
    """
    write_captions(path, _all_scenes(partial(_describe, plan), plan, workers))


def _draw_all(folder: Path, plan: Plan, workers: int) -> None:
    for name in ('visible', 'infrared'):
        (folder / name).mkdir()
    jobs, records = _jobs(plan), _all_scenes(partial(_draw, folder, plan), plan, workers)
    for split in SPLITS:
        chosen = [record for (name, _), record in zip(jobs, records) if name == split]
        boxes = [box for _, found, _ in chosen for box in found]
        data = {
            'info': plan.info() | {'split': split, 'left_out_unseen': sum(unseen for *_, unseen in chosen)},
            'images': [image for image, _, _ in chosen],
            'annotations': [{'id': number, **box} for number, box in enumerate(boxes, 1)],
            'categories': [{'id': number, 'name': name} for number, name in enumerate(CATEGORIES, 1)],
        }
        write_json(folder / f'annotations_{split}.json', data)


def _jobs(plan: Plan) -> list[tuple[str, int]]:
    """Return split and number of each scene, from 1."""
    splits = [split for split in SPLITS for _ in range(getattr(plan, split))]
    return [(split, number) for number, split in enumerate(splits, 1)]


def _all_scenes(draw: partial, plan: Plan, workers: int) -> list:
    """Return what ``draw`` makes of each scene, in their order."""
    jobs, records = _jobs(plan), []
    bar = progress_bar(len(jobs), 'scenes')
    for record in map(draw, jobs) if workers == 1 else _in_parallel(draw, jobs, workers):
        records.append(record)
        bar.update()
    return records


def _in_parallel(draw: partial, jobs: list, workers: int) -> Iterator:
    fresh = multiprocessing.get_context('spawn')
    pool = ProcessPoolExecutor(min(workers, len(jobs)), fresh, initializer=_prepare_worker)
    try:
        yield from pool.map(draw, jobs, chunksize=4)
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare_worker() -> None:
    """Use one core, leave interrupts to the parent, and leave with it, however it ends."""

    def leave_with_parent() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_with_parent, daemon=True).start()


def _render(plan: Plan, job: tuple[str, int]) -> Scene:
    split, number = job
    index = number - 1 - (plan.train if split == 'test' else 0)
    return render_scene(plan.seed, split, index, plan.size, plan.condition)


def _name(number: int) -> str:
    return f'scene_{number:05d}.jpg'


def _describe(plan: Plan, job: tuple[str, int]) -> CaptionRecord:
    return oracle_record(_name(job[1]), _render(plan, job))


def _draw(folder: Path, plan: Plan, job: tuple[str, int]) -> tuple[dict, list[dict], int]:
    """Draw one scene into ``folder``; return its image entry, its annotations, and how many were left out."""
    number = job[1]
    scene, name = _render(plan, job), _name(number)
    for kind, image in (('visible', scene.visible), ('infrared', scene.infrared)):
        _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        (folder / kind / name).write_bytes(data.tobytes())
    image = {
        'id': number, 'file_name': name, 'file_name_ir': name, 'width': plan.size[0], 'height': plan.size[1],
        'time': scene.time, 'condition': scene.condition,
    }  # fmt: skip
    annotations = [
        {
            'image_id': number, 'category_id': CATEGORIES.index(item.category) + 1, 'bbox': list(item.bbox),
            'area': item.bbox[2] * item.bbox[3], 'iscrowd': 0,
            'visible_in': item.visible_in, 'visibility': item.visibility,
        }
        for item in scene.objects
    ]  # fmt: skip
    return image, annotations, scene.unseen


def summary(out: str | os.PathLike) -> str:
    """Return a table of the images and boxes of a data set."""
    lines, columns = [], ('boxes', *CATEGORIES, 'both', 'visible', 'infrared')
    for split in SPLITS:
        data = read_json(Path(out) / f'annotations_{split}.json')
        condition_of = {image['id']: image['condition'] for image in data['images']}
        images = Counter([*condition_of.values(), *['all'] * len(condition_of)])
        boxes = Counter(
            (row, what)
            for box in data['annotations']
            for row in (condition_of[box['image_id']], 'all')
            for what in ('boxes', CATEGORIES[box['category_id'] - 1], box['visible_in'])
        )
        lines.append(f'{split:10}{"images":>8}' + ''.join(f'{name:>10}' for name in columns))
        for row in (*CONDITIONS, 'all'):
            lines.append(f'{row:10}{images[row]:8}' + ''.join(f'{boxes[row, name]:10}' for name in columns))
        total = max(boxes['all', 'boxes'], 1)
        shares = ''.join(f'{boxes["all", name] / total:10.0%}' for name in columns)
        lines.append(f'{"share":10}{"":8}{shares}')
        lines.append(f'left out, seen by neither camera: {data["info"]["left_out_unseen"]}\n')
    return '\n'.join(lines)


def write_sheet(out: str | os.PathLike, path: str | os.PathLike, rows: int = 2) -> None:
    """Draw test scenes of every condition with their boxes to ``path``.

    A box is dashed in the modality that does not show the object.

    Args:
        out: Folder of the data set.
        path: Image file, ``.png`` or ``.jpg``.
        rows: How many scenes of every condition, as far as there are any.
    """
    data = read_json(Path(out) / 'annotations_test.json')
    pages = []
    for condition in CONDITIONS:
        for image in [image for image in data['images'] if image['condition'] == condition][:rows]:
            boxes = [box for box in data['annotations'] if box['image_id'] == image['id']]
            pages.append(_page(Path(out), image, boxes))
    write_picture(path, add_legend(contact_sheet(pages), CATEGORIES, 'not to be seen in this modality'))


def _page(out: Path, image: dict, boxes: list[dict]) -> np.ndarray:
    pictures = []
    for kind, name in (('visible', image['file_name']), ('infrared', image['file_name_ir'])):
        picture, factor = enlarge(read_visible(out / kind / name))
        for dashed in (False, True):
            chosen = [box for box in boxes if (box['visible_in'] in ('both', kind)) != dashed]
            corners = np.array([(x, y, x + w, y + h) for x, y, w, h in (box['bbox'] for box in chosen)])
            colours = [class_colour(box['category_id'] - 1) for box in chosen]
            polygons = to_polygons(corners.reshape(-1, 4)) * factor
            picture = draw_boxes(picture, polygons, colours, dashed=dashed, thickness=1)
        pictures.append(picture)
    return side_by_side(*pictures, f'{image["file_name"]}: {image["condition"]}')
