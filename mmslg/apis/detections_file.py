"""The detections of a run in COCO form, and what is done of an unfinished one.

``<out>.partial`` gets a line for every pair as soon as it is through, and goes when ``<out>`` is written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmdet.structures import DetDataSample

from mmslg.captions.schema import parse_lines
from mmslg.errors import InputError
from mmslg.utils.io import atomic_path, check_writable, read_json, write_json
from mmslg.visualization.boxes import to_polygons
from mmslg.visualization.pair_visualizer import to_boxes


class DetectionsFile:
    """The JSON file of a run over many pairs.

    Args:
        path: File to write.
        classes: Class names.
        run: What the detections depend on; another run does not go on with them.
        resume: Whether to go on with what is there.

    Attributes:
        done: Records of pairs by name; without those that had a problem when going on.

    Raises:
        InputError: The file cannot be written, or what is there is of another run or unreadable.
    """

    def __init__(
        self, path: str | os.PathLike, classes: Sequence[str], run: dict[str, Any], resume: bool = False
    ) -> None:
        self.path = check_writable(path)
        self._classes, self._run = list(classes), run
        self._journal = self.path.with_name(f'{self.path.name}.partial')
        self.done: dict[str, dict] = {}
        if resume:
            self._read()
        self._write_journal()
        self._file = open(self._journal, 'a', encoding='utf-8')  # noqa: SIM115, open until finish()

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
        self._append(record)

    def add_problem(self, name: str, problem: str) -> None:
        """Keep why a pair has no detections."""
        self._append(dict(name=name, problem=problem))

    def _append(self, record: dict) -> None:
        self.done[record['name']] = record
        self._file.write(json.dumps(record) + '\n')
        self._file.flush()

    def close(self) -> None:
        """Leave the journal, so that the run can go on."""
        self._file.close()

    def finish(self, problems: dict[str, str]) -> None:
        """Write the file and remove the journal.

        Args:
            problems: Reason by what has no detections, a pair or a file.
        """
        self.close()
        write_json(self.path, self._coco(problems))
        self._journal.unlink(missing_ok=True)

    def write_dota(self, folder: str | os.PathLike) -> None:
        """Write ``Task1_CLASS.txt``, DOTA's form of results: name, score, four corners a line."""
        for label, name in enumerate(self._classes):
            lines = []
            for record in sorted(self.done.values(), key=lambda r: r['name']):
                for found, score, *values in record.get('boxes', ()):
                    if found == label:
                        corners = ' '.join(f'{v:.2f}' for v in _corners(values))
                        lines.append(f'{_stem(record["name"])} {score:.4f} {corners}\n')
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
            info=self._run,
            images=images,
            annotations=annotations,
            categories=[dict(id=i + 1, name=name) for i, name in enumerate(self._classes)],
            problems=[dict(name=name, reason=reason) for name, reason in problems.items()],
        )

    def _read(self) -> None:
        """Take over the pairs that are done, those of the finished file first."""
        if self.path.is_file():
            self._take_finished(read_json(self.path))
        if self._journal.is_file():
            content = self._journal.read_bytes()
            content = content[: content.rfind(b'\n') + 1]  # a killed run may leave half a line
            for _, record in parse_lines(self._journal, content, dict):
                if 'run' in record:
                    self._check(self._journal, record['run'])
                elif 'boxes' in record:
                    self.done[record['name']] = record

    def _take_finished(self, data: Any) -> None:
        self._check(self.path, data.get('info') if isinstance(data, dict) else None)
        records = {
            image['id']: dict(
                name=image['file_name'],
                infrared=image['file_name_ir'],
                width=image['width'],
                height=image['height'],
                boxes=[],
            )
            for image in data['images']
        }
        for row in data['annotations']:
            x, y, w, h = row['bbox']
            values = row['segmentation'][0] if 'segmentation' in row else [x, y, x + w, y + h]
            records[row['image_id']]['boxes'].append([row['category_id'] - 1, row['score'], *values])
        self.done = {record['name']: record for record in records.values()}

    def _check(self, path: Path, run: Any) -> None:
        if run != self._run:
            known = run if isinstance(run, dict) else {}
            differ = [key for key in {**self._run, **known} if self._run.get(key) != known.get(key)]
            raise InputError(
                f'{path}: is of another run (other {", ".join(differ)}); go on as it began, or leave out '
                '--resume to start anew'
            )

    def _write_journal(self) -> None:
        """Start the journal with what is done, whole."""
        lines = [dict(run=self._run), *self.done.values()]
        with atomic_path(self._journal) as temporary:
            temporary.write_text(''.join(json.dumps(line) + '\n' for line in lines), encoding='utf-8')


def _corners(values: Sequence[float]) -> list[float]:
    return to_polygons([values]).ravel().tolist()


def _stem(name: str) -> str:
    return str(Path(name).with_suffix('')).replace(' ', '_')
