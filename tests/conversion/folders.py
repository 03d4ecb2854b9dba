"""Datasets' folders built on the spot, from drawn or from given images."""

import json
import shutil

import cv2
import numpy as np


def scene(seed, size=(640, 512)):
    """Draw a visible image with colour and an infrared one with the same outlines."""
    width, height = size
    rng = np.random.default_rng(seed)
    visible = np.full((height, width, 3), 90, np.uint8)
    infrared = np.full((height, width), 60, np.uint8)
    for _ in range(60):
        x, y = rng.integers(0, width - 20), rng.integers(0, height - 20)
        w, h = rng.integers(10, 90, 2)
        colour = rng.integers(0, 255, 3).tolist()
        cv2.rectangle(visible, (x, y), (x + w, y + h), colour, -1)
        cv2.rectangle(infrared, (x, y), (x + w, y + h), int(rng.integers(20, 255)), -1)
    noise = rng.integers(0, 8, (height, width), dtype=np.uint8)
    return visible + noise[..., None] // 2, cv2.add(infrared, noise)


def write_image(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 90])


def voc(boxes, size=None, extra='', filename='x.jpg'):
    """Return VOC XML; a box is (name, (xmin, ymin, xmax, ymax) or 8 numbers or 2)."""
    parts = []
    for name, points in boxes:
        if len(points) == 4:
            keys, tag = ('xmin', 'ymin', 'xmax', 'ymax'), 'bndbox'
        elif len(points) == 8:
            keys, tag = [f'{a}{i}' for i in (1, 2, 3, 4) for a in 'xy'], 'polygon'
        else:
            keys, tag = ('x', 'y'), 'point'
        values = ''.join(f'<{k}>{v}</{k}>' for k, v in zip(keys, points))
        parts.append(f'<object><name>{name}</name><{tag}>{values}</{tag}></object>')
    shape = f'<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>' if size else ''
    return f'<annotation><filename>{filename}</filename>{shape}{"".join(parts)}{extra}</annotation>'


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def flir(root, stems=('FLIR_00002', 'FLIR_00003', 'FLIR_09019', 'FLIR_09323'), images=True, boxes=None):
    """Write the official layout of FLIR-aligned."""
    for i, stem in enumerate(stems):
        if images:
            visible, infrared = scene(i)
            write_image(root / f'JPEGImages/{stem}_RGB.jpg', visible)
            write_image(root / f'JPEGImages/{stem}_PreviewData.jpeg', infrared)
        objects = [('person', (0, 10, 30, 60)), ('bike', (100, 100, 150, 140)), ('dog', (1, 1, 9, 9))]
        text = voc(objects if boxes is None else boxes, (640, 512))
        write(root / f'Annotations/{stem}_PreviewData.xml', text)
    train = [s for s in stems if int(s[5:]) < 8864]
    test = [s for s in stems if s not in train]
    for name, names in (('train', train), ('validation', test)):
        if names:
            write(root / f'align_{name}.txt', '\n'.join(f'{s}_PreviewData' for s in names))
    return root


def llvip(root, train=('010001', '010002', '010003'), test=('190001', '190002'), size=(640, 512)):
    """Write the official layout of LLVIP, with smaller images."""
    for split, stems in (('train', train), ('test', test)):
        for stem in stems:
            visible, infrared = scene(int(stem), size)
            write_image(root / f'visible/{split}/{stem}.jpg', visible)
            write_image(root / f'infrared/{split}/{stem}.jpg', infrared)
            write(root / f'Annotations/{stem}.xml', voc([('person', (10, 20, 40, 90))], size))
    return root


def kaist(root, frames=('set06/V000/I00019', 'set09/V000/I00039', 'set00/V000/I00001')):
    """Write nested images, improved test labels and paired training labels of KAIST."""
    for i, frame in enumerate(frames):
        folder, image = frame.rsplit('/', 1)
        visible, infrared = scene(i)
        write_image(root / f'images/{folder}/visible/{image}.jpg', visible)
        write_image(root / f'images/{folder}/lwir/{image}.jpg', infrared)
        text = '% bbGt version=3\nperson 10 20 30 70 {} 0 0 0 0 0 0\npeople 100 90 60 60 0 0 0 0 0 0 0\n'
        if frame < 'set06':
            for n, modality in enumerate(('visible', 'lwir')):
                write(root / f'annotations_paired/{folder}/{modality}/{image}.txt', text.format(n))
        else:
            write(root / f'annotations/{frame.replace("/", "_")}.txt', text.format(0))
    return root


BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">{}]><annotation>&j;</annotation>'.format(
    ''.join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip('abcdefghi', 'bcdefghij'))
)


CAR = (200, 200, 260, 200, 260, 240, 200, 240)


def dronevehicle(root, stems=('00001', '00002', '00003'), split='train', boxes=None, padded=True):
    """Write the official layout of DroneVehicle; coordinates count the border."""
    for stem in stems:
        visible, infrared = scene(int(stem))
        if padded:
            visible, infrared = (
                cv2.copyMakeBorder(i, 100, 100, 100, 100, cv2.BORDER_CONSTANT, value=(255, 255, 255))
                for i in (visible, infrared)
            )
        write_image(root / f'{split}/{split}img/{stem}.jpg', visible)
        write_image(root / f'{split}/{split}imgr/{stem}.jpg', infrared)
        text = voc([('car', CAR)] if boxes is None else boxes, (840, 712), filename=f'{stem}.jpg')
        for folder in ('label', 'labelr'):
            write(root / f'{split}/{split}{folder}/{stem}.xml', text)
    return root


def m3fd(root, stems=('00001', '00002', '00003', '00004'), sizes=((640, 512), (400, 280))):
    """Write vis and ir of M3FD with VOC labels and two lists; images of several sizes."""
    for i, stem in enumerate(stems):
        size = sizes[i % len(sizes)]
        visible, infrared = scene(i, size)
        write_image(root / f'Vis/{stem}.png', visible)
        write_image(root / f'Ir/{stem}.png', infrared)
        boxes = [('People', (10, 20, 40, 90)), ('Lamp', (50, 20, 60, 30))]
        write(root / f'Annotation/{stem}.xml', voc(boxes, size))
    half = len(stems) // 2
    for name, names in (('train', stems[:half]), ('val', stems[half:])):
        write(root / f'{name}.txt', ''.join(f'{s}\n' for s in names))
    return root


MAKERS = dict(flir=flir, llvip=llvip, kaist=kaist, dronevehicle=dronevehicle, m3fd=m3fd)


def convert(dataset, root, out=None, **options):
    """Convert in this process; returns (annotations by split, manifest)."""
    from mmslg.conversion.build import build
    from mmslg.conversion.output import write_outputs
    from mmslg.conversion.readers import make_reader

    reader = make_reader(dataset, **options)
    layout = reader.recognise(root)
    out = out or root
    write_outputs(reader, layout, build(reader, layout), out)
    manifest = json.loads((out / 'manifest.json').read_text())
    return {s: json.loads((out / f'annotations_{s}.json').read_text()) for s in manifest['splits']}, manifest


def verify(dataset, root, **options):
    """Verify in this process; returns the JSON data."""
    from mmslg.conversion.readers import make_reader
    from mmslg.conversion.verification.checks import run_checks
    from mmslg.conversion.verification.inspect import inspect_layout
    from mmslg.conversion.verification.report import as_data

    reader = make_reader(dataset, **options)
    layout = reader.recognise(root)
    reports = inspect_layout(reader, layout, 0, lambda done: None)
    return as_data(reader, layout, reports, run_checks(reader, layout, reports))


def real_dronevehicle(shared, root, second='val'):
    """Write the 14 real pairs in the official layout, 9 of them as ``second``; XML from their polygons."""
    names = ('car', 'truck', 'feright car', 'bus', 'van')
    for folder, split in (('train', 'train'), ('val', second)):
        source = shared / 'dronevehicle_pairs/padded_840x712' / folder
        for path in sorted((source / 'labels_ir').iterdir()):
            objects = []
            for line in path.read_text().splitlines():
                kind, *values = line.split()
                points = np.reshape([float(v) for v in values], (4, 2)) * (840, 712)
                objects.append((names[int(kind)], points.round(1).ravel().tolist()))
            write(root / f'{split}/{split}labelr/{path.stem}.xml', voc(objects, (840, 712)))
            for theirs, ours in (('rgb', 'img'), ('ir', 'imgr')):
                target = root / f'{split}/{split}{ours}/{path.stem}.jpg'
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes((source / theirs / f'{path.stem}.jpg').read_bytes())
    return root


def real_llvip(shared, root):
    """Write the real pairs with XML made of their published boxes; the training pairs have none."""
    for folder in ('visible', 'infrared'):
        shutil.copytree(shared / 'llvip_pairs' / folder, root / folder, copy_function=shutil.copy)
    published = json.loads((shared / 'llvip_pairs/annotations_test6.json').read_text())
    for image in published['images']:
        boxes = [a['bbox'] for a in published['annotations'] if a['image_id'] == image['id']]
        objects = [('person', _corners(box)) for box in boxes]
        write(root / f'Annotations/{image["file_name"][:-4]}.xml', voc(objects, (1280, 1024)))
    for path in (root / 'visible/train').iterdir():
        write(root / f'Annotations/{path.stem}.xml', voc([], (1280, 1024)))
    return root


def real_flir(shared, root):
    """Write the four real pairs in the official layout, two of them as test; XML from their boxes."""
    data = json.loads((shared / 'flir_aligned_pairs/annotations.json').read_text())
    names = {c['id']: c['name'] for c in data['categories']}
    lists = {'train': [], 'validation': []}
    for image in data['images']:
        stem = image['file_name'][:10]
        for theirs, ours in (('vis', '_RGB.jpg'), ('ir', '_PreviewData.jpeg')):
            target = root / f'JPEGImages/{stem}{ours}'
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((shared / 'flir_aligned_pairs' / theirs / f'{stem}.jpg').read_bytes())
        boxes = [a for a in data['annotations'] if a['image_id'] == image['id']]
        objects = [(names[a['category_id']], _corners(a['bbox'])) for a in boxes]
        write(root / f'Annotations/{stem}_PreviewData.xml', voc(objects, (640, 512)))
        lists['train' if int(stem[5:]) < 8864 else 'validation'].append(f'{stem}_PreviewData')
    for name, stems in lists.items():
        write(root / f'align_{name}.txt', '\n'.join(stems))
    return root


def real_kaist(shared, root):
    """Write the 13 real test pairs with their improved labels, and two drawn pairs to train on."""
    kaist(root, ('set00/V000/I00001', 'set03/V000/I00001'))
    for folder in ('images', 'annotations'):
        for path in (shared / 'kaist_pairs' / folder).iterdir():
            (root / folder).mkdir(exist_ok=True)
            (root / folder / path.name).write_bytes(path.read_bytes())
    return root


def real_m3fd(shared, root):
    """Copy the five real pairs with their COCO file, and lists: three to train, two to validate on."""
    shutil.copytree(shared / 'm3fd_pairs', root, copy_function=shutil.copyfile)
    write(root / 'train.txt', '00000\n00001\n00111\n')
    write(root / 'val.txt', '00112\nM3FD_00471\n')
    return root


def _corners(bbox):
    x, y, w, h = bbox
    return x, y, x + w, y + h
