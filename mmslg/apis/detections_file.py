"""The detections of a run in COCO form, and what is done of an unfinished one.

``<out>.partial`` gets a line for every pair as soon as it is through, and goes when ``<out>`` is written.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mmdet.structures import DetDataSample

from mmslg.captions.schema import parse_lines
from mmslg.engine.identity import check_same
from mmslg.errors import InputError
from mmslg.pairing import PairFiles
from mmslg.utils.io import atomic_path, check_writable, read_json, write_json
from mmslg.utils.os_errors import explained
from mmslg.visualization.boxes import to_polygons
from mmslg.visualization.pair_visualizer import to_boxes

ANEW = 'go on as it began, or remove it to start anew'


class DetectionsFile:
    """The JSON file of a run over many pairs, for one run at a time.

    Args:
        path: File to write.
        classes: Class names.
        identity: What the detections depend on beside the pairs: ``settings`` and ``files``, see
            :func:`mmslg.engine.identity.run_identity`. Another run does not go on with them.
        pairs: The pairs of the run.
        resume: Whether to go on with what is there. If not, there must be no unfinished run.

    Attributes:
        done: Records by name of those pairs that are through: none of a pair that had a problem, is not
            among ``pairs``, or whose files have changed since.

    Raises:
        InputError: The file cannot be written, another run writes it, or what is there is of another run,
            unfinished without ``resume``, or not what this writes.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        classes: Sequence[str],
        identity: dict[str, Any],
        pairs: Iterable[PairFiles],
        resume: bool = False,
    ) -> None:
        self.path = check_writable(path)
        self._classes, self._identity = list(classes), identity
        self._stamps = {pair.name: _stamp(pair) for pair in pairs}
        self._journal = self.path.with_name(f'{self.path.name}.partial')
        self.done: dict[str, dict] = {}
        self._begun = False
        with explained(self._journal):
            self._journal.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._journal.open('a+b', buffering=0)
        try:
            self._lock()
            self._start(resume)
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f'{self._journal}: another run is writing it; wait for its end') from None
        except OSError:
            pass  # a file system without locks

    def add(self, name: str, infrared: str, sample: DetDataSample) -> None:
        """Keep the detections of a pair."""
        height, width = sample.ori_shape
        boxes = to_boxes(sample.pred_instances)
        upright = sample.pred_instances.bboxes.shape[-1] == 4
        corners = sample.pred_instances.bboxes.tolist() if upright else boxes.polygons.reshape(-1, 8).tolist()
        rows = [
            [int(label), float(score), *map(float, values)]
            for label, score, values in zip(boxes.labels, boxes.scores, corners)
        ]
        record = dict(name=name, infrared=infrared, width=width, height=height, boxes=rows)
        self._append({**record, 'stamp': self._stamps[name]})

    def add_problem(self, name: str, problem: str) -> None:
        """Keep why a pair has no detections."""
        self._append(dict(name=name, problem=problem))

    def _append(self, record: dict) -> None:
        self.done[record['name']] = record
        self._write_line(record)

    def _write_line(self, data: dict) -> None:
        with explained(self._journal):
            line = memoryview(json.dumps(data).encode() + b'\n')
            while line:
                line = line[self._file.write(line) :]

    def close(self) -> None:
        """Leave the journal, so that the run can go on; one that holds no pair goes."""
        if self._file.closed:
            return
        with self._file:
            self._file.seek(0)
            content = self._file.read()
            if not content or (self._begun and content.count(b'\n') < 2):
                self._journal.unlink(missing_ok=True)

    def finish(self, problems: dict[str, str]) -> None:
        """Write the file and remove the journal.

        Args:
            problems: Reason by what has no detections, a pair or a file.
        """
        write_json(self.path, self._coco(problems))
        self._journal.unlink(missing_ok=True)
        self.close()

    def write_dota(self, folder: str | os.PathLike) -> None:
        """Write ``Task1_CLASS.txt``, DOTA's form of results: name, score, four corners a line."""
        for label, name in enumerate(self._classes):
            lines = []
            for record in sorted(self.done.values(), key=lambda r: r['name']):
                for found, score, *values in record.get('boxes', ()):
                    if found == label:
                        corners = ' '.join(f'{v:.2f}' for v in _corners(values))
                        lines.append(f'{_dota_name(record["name"])} {score:.4f} {corners}\n')
            with atomic_path(Path(folder) / f'Task1_{name.replace("/", "_")}.txt') as temporary:
                temporary.write_text(''.join(lines), encoding='utf-8')

    def _coco(self, problems: dict[str, str]) -> dict[str, Any]:
        images, annotations = [], []
        for record in sorted((r for r in self.done.values() if 'boxes' in r), key=lambda r: r['name']):
            image = dict(
                id=len(images) + 1,
                file_name=record['name'],
                file_name_ir=record['infrared'],
                width=record['width'],
                height=record['height'],
                stamp=record['stamp'],
            )
            images.append(image)
            for label, score, *values in record['boxes']:
                xs, ys = _corners(values)[::2], _corners(values)[1::2]
                box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
                row = dict(
                    id=len(annotations) + 1,
                    image_id=image['id'],
                    category_id=label + 1,
                    bbox=box,
                    score=score,
                )
                if len(values) == 8:
                    row['segmentation'] = [values]
                annotations.append({**row, 'area': box[2] * box[3], 'iscrowd': 0})
        return dict(
            info=self._identity,
            images=images,
            annotations=annotations,
            categories=[dict(id=i + 1, name=name) for i, name in enumerate(self._classes)],
            problems=[dict(name=name, reason=reason) for name, reason in problems.items()],
        )

    def _start(self, resume: bool) -> None:
        """Read what is done, and begin the journal unless it has begun."""
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b'\n') + 1]  # a killed run may leave half a line
        if not resume:
            if whole.count(b'\n') > 1:
                raise InputError(
                    f'{self._journal}: of an unfinished run; go on with --resume, or remove it to start anew'
                )
            whole = b''
        elif self.path.is_file():
            self._take_finished(read_json(self.path))
        lines = [line for _, line in parse_lines(self._journal, whole, _object)]
        if lines:
            check_same(self._journal, lines[0].get('run'), self._identity, ANEW)
        for record in lines[1:]:
            self._take(self._journal, record)
        self._file.truncate(len(whole))
        if not lines:
            self._write_line(dict(run=self._identity))
        self._begun = True

    def _take_finished(self, data: Any) -> None:
        """Take over what a finished file holds."""
        before = data.get('info') if isinstance(data, dict) else None
        check_same(self.path, before, self._identity, ANEW)
        try:
            records = {
                image['id']: dict(
                    name=image['file_name'],
                    infrared=image['file_name_ir'],
                    width=image['width'],
                    height=image['height'],
                    stamp=image.get('stamp'),
                    boxes=[],
                )
                for image in data['images']
            }
            for row in data['annotations']:
                x, y, w, h = row['bbox']
                values = row['segmentation'][0] if 'segmentation' in row else [x, y, x + w, y + h]
                records[row['image_id']]['boxes'].append([row['category_id'] - 1, row['score'], *values])
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            raise InputError(f'{self.path}: the detections of a run were changed; remove the file') from None
        for record in records.values():
            self._take(self.path, record)

    def _take(self, path: Path, record: dict) -> None:
        """Take over a record that was read, if its pair is one of this run and has not changed."""
        if 'problem' in record:
            return
        if not _is_record(record, len(self._classes)):
            raise InputError(f'{path}: the detections of a run were changed; remove the file')
        name, stamp = record['name'], record['stamp']
        if stamp is not None and self._stamps.get(name) == stamp:
            self.done[name] = record


def check_dota_names(names: Iterable[str]) -> None:
    """See that pairs keep names of their own in DOTA's form.

    Raises:
        InputError: Two do not.
    """
    known: dict[str, str] = {}
    for name in names:
        first = known.setdefault(_dota_name(name), name)
        if first != name:
            raise InputError(
                f"{first!r} and {name!r} are one name in DOTA's form, {_dota_name(name)}; rename one"
            )


def _dota_name(name: str) -> str:
    """Return what a pair is called in DOTA's form, which parts its columns by spaces."""
    return '_'.join(str(Path(name).with_suffix('')).split())


def _stamp(pair: PairFiles) -> list[list[int]] | None:
    """Return size and time of change of both files; None if one is not there."""
    try:
        found = [os.stat(path) for path in (pair.visible, pair.infrared)]
    except OSError:
        return None
    return [[status.st_size, status.st_mtime_ns] for status in found]


def _corners(values: Sequence[float]) -> list[float]:
    return to_polygons([values]).ravel().tolist()


def _object(data: Any) -> dict:
    if not isinstance(data, dict):
        raise InputError(f'wanted an object, got {data!r:.60}')
    return data


def _is_record(record: dict, num_classes: int) -> bool:
    """Whether something that was read is a record of a pair with detections."""
    kinds = dict(name=str, infrared=str, width=int, height=int, boxes=list)
    if not all(isinstance(record.get(key), kind) for key, kind in kinds.items()) or 'stamp' not in record:
        return False
    return all(
        isinstance(row, list)
        and len(row) in (6, 10)
        and all(isinstance(value, (int, float)) for value in row)
        and row[0] in range(num_classes)
        for row in record['boxes']
    )
