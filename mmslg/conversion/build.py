"""From a recognised folder to COCO-form annotations, with everything that policies did counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from mmslg.conversion.base import DatasetReader
from mmslg.conversion.layout import Box, Labels, Layout, Pair
from mmslg.errors import InputError
from mmslg.utils.image_io import probe_image

FORMAT = 'mmslg.conversion/1'


@dataclass
class Split:
    """One converted split.

    Args:
        data: COCO-form annotations.
        boxes: Boxes by class.
        times: Pairs by time of day.
        aliases: Boxes by other spellings that were merged, as 'feright car -> freight-car'.
        remarks: What policies did with boxes, by remark.
        left_out: Pairs that are not in ``data``, by reason.
    """

    data: dict
    boxes: Counter = field(default_factory=Counter)
    times: Counter = field(default_factory=Counter)
    aliases: Counter = field(default_factory=Counter)
    remarks: Counter = field(default_factory=Counter)
    left_out: dict[str, list[str]] = field(default_factory=dict)


def build(
    reader: DatasetReader, layout: Layout, progress: Callable[[int], None] | None = None
) -> dict[str, Split]:
    """Convert every split of a folder.

    Pairs that cannot be used (an image is missing or truncated, there is no label file, the two images
    differ in size) are left out and named; a label file that cannot be read stops everything.

    Args:
        reader: The dataset.
        layout: What was recognised.
        progress: Called with the number of pairs done so far.

    Raises:
        InputError: A label file cannot be used, a pair is in two splits, or nothing is left.
    """
    overlap = layout.problems.get('split-overlap')
    if overlap:
        raise InputError(
            f'{layout.root}: {overlap[0]} is in two splits ({len(overlap)} pairs are); '
            'correct the lists or folders'
        )
    splits = {}
    done = 0
    for name, pairs in layout.splits.items():
        split = Split(_skeleton(reader, layout, name))
        for pair in pairs:
            _add_pair(reader, layout, split, pair)
            done += 1
            if progress:
                progress(done)
        splits[name] = split
    if not any(split.data['images'] for split in splits.values()):
        reasons = {f'{len(v)} {k}' for s in splits.values() for k, v in s.left_out.items()}
        raise InputError(
            f'{layout.root}: no pair can be used: {", ".join(sorted(reasons)) or "there is none"}'
        )
    return splits


def _skeleton(reader: DatasetReader, layout: Layout, split: str) -> dict:
    info = dict(
        description=f'{reader.name} {split}, visible-infrared pairs',
        format=FORMAT,
        dataset=reader.name,
        split=split,
        label_modality=layout.modality_of(split),
        data_prefix=dict(img=layout.prefixes[0], ir=layout.prefixes[1]),
        classes=list(reader.classes),
        **reader.info(layout, split),
    )
    categories = [dict(id=i, name=name) for i, name in enumerate(reader.classes, 1)]
    return dict(info=info, images=[], annotations=[], categories=categories)


def _add_pair(reader: DatasetReader, layout: Layout, split: Split, pair: Pair) -> None:
    reason, image_size = _look_at(reader, layout, pair)
    if reason:
        split.left_out.setdefault(reason, []).append(pair.key)
        return
    labels = reader.read_labels(layout.root, pair)
    crop = reader.crop_of(labels, image_size)
    size = reader.content_size(labels, image_size)
    if size is None:
        split.left_out.setdefault('without an image and a size in the labels', []).append(pair.key)
        return
    split.remarks.update(labels.notes)
    width, height = size
    image = dict(
        id=len(split.data['images']) + 1,
        file_name=pair.visible.removeprefix(layout.prefixes[0]),
        file_name_ir=pair.infrared.removeprefix(layout.prefixes[1]),
        width=width,
        height=height,
        **pair.extra,
    )
    if crop:
        image['crop'] = list(crop)
    if pair.time:
        image['time'] = pair.time
        split.times[pair.time] += 1
    if image_size and labels.size and labels.size != image_size:
        split.remarks['image size differs from the <size> in the XML, the image counts'] += 1
    split.data['images'].append(image)
    _add_boxes(reader, split, labels, image, reader.offset_of(labels, image_size))


def _look_at(reader: DatasetReader, layout: Layout, pair: Pair) -> tuple[str, tuple[int, int] | None]:
    """Return why a pair cannot be used, if so, and the size of its images where there are some."""
    if pair.label is None and not reader.background_without_label:
        return 'without a label file', None
    if layout.labels_only:
        return '', None
    sizes = []
    for path, what in ((pair.visible, 'visible'), (pair.infrared, 'infrared')):
        size, problem = probe_image(layout.root / path) if path else (None, 'missing')
        if problem:
            return f'{what} image {problem}', None
        sizes.append(size)
    if sizes[0] != sizes[1]:
        return 'images of two sizes', None
    return '', sizes[0]


def _add_boxes(
    reader: DatasetReader, split: Split, labels: Labels, image: dict, offset: tuple[int, int]
) -> None:
    seen: set = set()
    for box in labels.boxes:
        label = reader.class_of(box.name)
        if label is None:
            split.remarks[f'dropped: class {box.name!a}'] += 1
            continue
        points = tuple(p - offset[i % 2] for i, p in enumerate(box.points))
        fields = reader.annotation(
            Box(box.name, points, box.extra), (image['width'], image['height']), split.remarks
        )
        if fields is None:
            continue
        if box.name != label:
            split.aliases[f'{box.name} -> {label}'] += 1
        key = (label, points)
        if key in seen:
            split.remarks['kept: given twice'] += 1
        seen.add(key)
        split.boxes[label] += 1
        annotation = dict(
            id=len(split.data['annotations']) + 1,
            image_id=image['id'],
            category_id=reader.classes.index(label) + 1,
            iscrowd=0,
        )
        split.data['annotations'].append({**annotation, **fields})
