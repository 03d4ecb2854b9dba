"""Pairs written out as people keep their own: in several forms of folders and of labels."""

import json
import shutil
from dataclasses import dataclass

import numpy as np
from conversion.folders import scene, voc, write, write_image

SIZE = (100, 80)


@dataclass
class RealPair:
    """A pair on disk and its boxes: (class, ``x1 y1 x2 y2`` or four corners in pixels)."""

    stem: str
    visible: object
    infrared: object
    size: tuple
    boxes: list


def real_upright(folder, annotations, visible, infrared, limit=None):
    """Return pairs of COCO annotations whose images lie in two folders."""
    data = json.loads((folder / annotations).read_text())
    names = {c['id']: c['name'] for c in data['categories']}
    pairs = []
    for image in data['images'][:limit]:
        boxes = []
        for a in data['annotations']:
            if a['image_id'] == image['id']:
                x, y, w, h = a['bbox']
                boxes.append((names[a['category_id']], (x, y, x + w, y + h)))
        name = image['file_name']
        files = folder / visible / name, folder / infrared / name
        size = int(image['width']), int(image['height'])
        pairs.append(RealPair(name.rsplit('.', 1)[0], *files, size, boxes))
    return pairs


def real_oriented(folder, names, split):
    """Return the real pairs of DroneVehicle with the corners of their labels."""
    pairs = []
    for path in sorted((folder / split / 'labels_ir').iterdir()):
        boxes = []
        for line in path.read_text().splitlines():
            number, *values = line.split()
            corners = np.reshape([float(v) for v in values], (4, 2)) * (840, 712)
            boxes.append((names[int(number)], tuple(corners.ravel().tolist())))
        files = (folder / split / kind / f'{path.stem}.jpg' for kind in ('rgb', 'ir'))
        pairs.append(RealPair(path.stem, *files, (840, 712), boxes))
    return pairs


def corners_of(points):
    """Return four corners of an upright or oriented box."""
    if len(points) == 8:
        return points
    x1, y1, x2, y2 = points
    return (x1, y1, x2, y1, x2, y2, x1, y2)


def yolo_line(number, points, size, oriented):
    """Return a line of a YOLO file, with six digits."""
    width, height = size
    if oriented:
        values = [v / (height if i % 2 else width) for i, v in enumerate(corners_of(points))]
    else:
        x1, y1, x2, y2 = points
        values = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
    return ' '.join([str(number), *(f'{v:.6f}' for v in values)])


def write_copy(root, pairs, form, names):
    """Write pairs as ``images/``, ``imagesIR/`` and labels in a form: yolo, yolo-obb, voc or coco."""
    for pair in pairs:
        for folder, source in (('images', pair.visible), ('imagesIR', pair.infrared)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(source, root / folder / (pair.stem + source.suffix))
        if form.startswith('yolo'):
            lines = [yolo_line(names.index(n), p, pair.size, form == 'yolo-obb') for n, p in pair.boxes]
            write(root / f'labels/{pair.stem}.txt', '\n'.join(lines))
        elif form == 'voc':
            write(root / f'Annotations/{pair.stem}.xml', voc(pair.boxes, pair.size))
    if form.startswith('yolo'):
        write(root / 'data.yaml', f'train: images\nval: images\nnames: {json.dumps(names)}\n')
    elif form == 'voc':
        write(root / 'classes.txt', '\n'.join(names))
    else:
        write(root / 'annotations/instances_train.json', json.dumps(coco(pairs, names)))
    return root


def coco(pairs, names):
    """Return the COCO form, with ids that begin anywhere."""
    images, annotations = [], []
    for n, pair in enumerate(pairs):
        width, height = pair.size
        images.append(dict(id=n + 50, file_name=pair.stem + pair.visible.suffix, width=width, height=height))
        for name, points in pair.boxes:
            x, y = np.reshape(points, (-1, 2)).T
            bbox = [float(x.min()), float(y.min()), float(np.ptp(x)), float(np.ptp(y))]
            entry = dict(id=len(annotations), image_id=n + 50, category_id=names.index(name) * 3, bbox=bbox)
            if len(points) == 8:
                entry['segmentation'] = [list(points)]
            annotations.append(entry)
    categories = [dict(id=3 * i, name=name) for i, name in enumerate(names)]
    return dict(images=images, annotations=annotations, categories=categories[::-1])


def draw(root, visible, infrared, seed=0, size=SIZE):
    """Write a drawn pair at two paths."""
    images = scene(seed, size)
    write_image(root / visible, images[0])
    write_image(root / infrared, images[1])


def simple(root, text='0 0.5 0.5 0.2 0.25\n', stems=('0001', '0002'), names='[person, car]'):
    """Write drawn pairs with YOLO labels; the label of the first one is ``text``."""
    for i, stem in enumerate(stems):
        draw(root, f'images/{stem}.png', f'imagesIR/{stem}.png', i)
        content = text if i == 0 else '1 0.5 0.5 0.2 0.25\n'
        path = root / f'labels/{stem}.txt'
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if names:
        write(root / 'data.yaml', f'names: {names}\n')
    return root
