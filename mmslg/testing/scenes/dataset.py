"""Scenes as a data set on disk: images, COCO annotations, a table of what is in it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmslg.errors import InputError
from mmslg.testing.scenes.compose import CATEGORIES, Scene, compose
from mmslg.testing.scenes.weather import CONDITIONS, condition_of
from mmslg.utils.io import read_json, write_json

GENERATOR_VERSION = 1  # raise it when the same seed gives other scenes
SPLITS = ('train', 'test')
SIDES = {'width': (160, 1920), 'height': (128, 1536)}  # smallest and largest, pixels
MOST_SCENES = 99999  # five digits in the file name
JPEG_QUALITY = 93


@dataclass(frozen=True)
class Plan:
    """What a data set of sample scenes consists of.

    Args:
        train: Number of training scenes.
        test: Number of test scenes.
        size: Width and height in pixels.
        seed: Other seeds give other scenes.

    Raises:
        InputError: A number is out of range.
    """

    train: int = 240
    test: int = 60
    size: tuple[int, int] = (320, 256)
    seed: int = 0

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

    def info(self) -> dict[str, Any]:
        """Return what the annotation files say about themselves."""
        return {
            'description': 'Procedurally drawn street scenes: aligned visible and thermal images',
            'label_modality': 'both',
            'generator_version': GENERATOR_VERSION,
            'seed': self.seed,
            'train': self.train,
            'test': self.test,
            'size': list(self.size),
        }

    def jobs(self) -> Iterator[tuple[str, int, int]]:
        """Yield split, index in the split and number in the data set of every scene."""
        number = 0
        for split in SPLITS:
            for index in range(getattr(self, split)):
                number += 1
                yield split, index, number


def render_scene(
    seed: int, split: str, index: int, size: tuple[int, int] = (320, 256), condition: str | None = None
) -> Scene:
    """Draw one scene; the same arguments give the same scene.

    Args:
        seed: Seed of the data set, 0 or more.
        split: 'train' or 'test'.
        index: Number of the scene in its split, from 0.
        size: Width and height in pixels.
        condition: Fixes the condition; None draws one.

    Returns:
        The scene.
    """
    if split not in SPLITS:
        raise ValueError(f"split has to be 'train' or 'test', got {split!r}")
    if condition is not None and condition not in CONDITIONS:
        raise ValueError(f'condition has to be one of {CONDITIONS}, got {condition!r}')
    place = SPLITS.index(split)
    condition = condition or condition_of(seed, place, index)
    return compose(np.random.default_rng([seed, place, index]), size, condition)


def write_scenes(
    out: str | os.PathLike,
    plan: Plan,
    workers: int = 2,
    say: Callable[[str], None] = print,
) -> bool:
    """Write a data set of sample scenes, whole or not at all.

    Several workers are started as fresh processes, so a script that calls this needs the usual
    ``if __name__ == '__main__':`` guard.

    Args:
        out: Folder; has to be missing, empty, or hold the very same data set.
        plan: What to draw.
        workers: Number of processes; the result does not depend on it.
        say: Takes lines about the progress.

    Returns:
        Whether anything was written; False if the data set was there already.

    Raises:
        InputError: The folder holds something else.
    """
    if workers < 1:
        raise InputError(f'wanted at least 1 worker, got {workers}')
    out = Path(out).resolve()
    if is_complete(out, plan):
        say(f'{out}: complete, nothing to do')
        return False
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f'.{out.name}-', dir=out.parent))
    try:
        for folder in ('visible', 'infrared'):
            (temporary / folder).mkdir()
        _write_all(temporary, plan, workers, say)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return True


def is_complete(out: Path, plan: Plan) -> bool:
    """Tell whether ``out`` holds the data set of ``plan``; False if there is nothing yet.

    Raises:
        InputError: ``out`` is no folder or holds something else.
    """
    if not out.exists():
        return False
    if not out.is_dir():
        raise InputError(f'{out}: wanted a folder, this is a file')
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


def _write_all(folder: Path, plan: Plan, workers: int, say: Callable[[str], None]) -> None:
    jobs = list(plan.jobs())
    draw = partial(_draw_job, str(folder), plan.seed, plan.size)
    start = told = time.monotonic()
    records = []
    for record in _map(draw, jobs, workers):
        records.append(record)
        now = time.monotonic()
        if now - told >= 2 or len(records) == len(jobs):
            told, rate = now, len(records) / max(now - start, 1e-6)
            left = (len(jobs) - len(records)) / rate
            say(f'{len(records)}/{len(jobs)} scenes  {rate:.1f}/s  {left:.0f} s left')
    for split in SPLITS:
        chosen = [record for (name, _, _), record in zip(jobs, records) if name == split]
        write_json(folder / f'annotations_{split}.json', _coco(plan, split, chosen))


def _map(draw: Callable, jobs: list, workers: int) -> Iterator[tuple[dict, list[dict], int]]:
    workers = min(workers, len(jobs))
    if workers == 1:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            yield from map(draw, jobs)
        finally:
            cv2.setNumThreads(threads)
        return
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context('spawn'), initializer=cv2.setNumThreads, initargs=(1,)
    )
    try:
        yield from pool.map(draw, jobs, chunksize=4)
    finally:
        pool.shutdown(cancel_futures=True)


def _draw_job(
    folder: str, seed: int, size: tuple[int, int], job: tuple[str, int, int]
) -> tuple[dict, list[dict], int]:
    split, index, number = job
    scene = render_scene(seed, split, index, size)
    name = f'scene_{number:05d}.jpg'
    for kind, image in (('visible', scene.visible), ('infrared', scene.infrared)):
        _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        (Path(folder) / kind / name).write_bytes(data.tobytes())
    image = {
        'id': number,
        'file_name': name,
        'file_name_ir': name,
        'width': size[0],
        'height': size[1],
        'time': scene.time,
        'condition': scene.condition,
    }
    annotations = [
        {
            'image_id': number,
            'category_id': CATEGORIES.index(item.category) + 1,
            'bbox': list(item.bbox),
            'area': item.bbox[2] * item.bbox[3],
            'iscrowd': 0,
            'visible_in': item.visible_in,
            'visibility': item.visibility,
        }
        for item in scene.objects
    ]
    return image, annotations, scene.unseen


def _coco(plan: Plan, split: str, records: list[tuple[dict, list[dict], int]]) -> dict[str, Any]:
    annotations = [annotation for _, found, _ in records for annotation in found]
    return {
        'info': plan.info() | {'split': split, 'left_out_unseen': sum(unseen for *_, unseen in records)},
        'images': [image for image, _, _ in records],
        'annotations': [{'id': number, **annotation} for number, annotation in enumerate(annotations, 1)],
        'categories': [{'id': number, 'name': name} for number, name in enumerate(CATEGORIES, 1)],
    }


def summary(out: str | os.PathLike) -> str:
    """Return a table of the images and boxes of a data set."""
    lines = []
    for split in SPLITS:
        data = read_json(Path(out) / f'annotations_{split}.json')
        condition_of = {image['id']: image['condition'] for image in data['images']}
        images = Counter(condition_of.values())
        boxes = Counter()
        for box in data['annotations']:
            name = CATEGORIES[box['category_id'] - 1]
            for row in (condition_of[box['image_id']], 'all'):
                boxes[row, name] += 1
                boxes[row, box['visible_in']] += 1
                boxes[row, 'boxes'] += 1
        images['all'] = len(data['images'])
        columns = ('boxes', *CATEGORIES, 'both', 'visible', 'infrared')
        lines.append(f'{split:10}{"images":>8}' + ''.join(f'{name:>10}' for name in columns))
        for row in (*CONDITIONS, 'all'):
            lines.append(f'{row:10}{images[row]:8}' + ''.join(f'{boxes[row, name]:10}' for name in columns))
        total = max(boxes['all', 'boxes'], 1)
        shares = ''.join(f'{boxes["all", name] / total:10.0%}' for name in columns)
        lines.append(f'{"share":10}{"":8}{shares}')
        lines.append(f'left out, seen by neither camera: {data["info"]["left_out_unseen"]}\n')
    return '\n'.join(lines)
