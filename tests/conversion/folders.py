"""Datasets' folders built on the spot, from drawn or from given images."""

import json

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


MAKERS = dict(flir=flir, llvip=llvip, kaist=kaist, dronevehicle=dronevehicle)


def convert(dataset, root, out=None, **options):
    """Convert in this process; returns (annotations by split, manifest)."""
    from mmslg.conversion.base import Options
    from mmslg.conversion.build import build
    from mmslg.conversion.output import write_outputs
    from mmslg.conversion.readers import make_reader

    reader = make_reader(dataset, Options(**options))
    layout = reader.recognise(root)
    out = out or root
    write_outputs(reader, layout, build(reader, layout), out)
    manifest = json.loads((out / 'manifest.json').read_text())
    return {s: json.loads((out / f'annotations_{s}.json').read_text()) for s in manifest['splits']}, manifest


def verify(dataset, root, **options):
    """Verify in this process; returns the JSON data."""
    from mmslg.conversion.base import Options
    from mmslg.conversion.readers import make_reader
    from mmslg.conversion.verification.checks import run_checks
    from mmslg.conversion.verification.inspect import inspect_layout
    from mmslg.conversion.verification.report import as_data

    reader = make_reader(dataset, Options(**options))
    layout = reader.recognise(root)
    reports = inspect_layout(reader, layout, 0, lambda done: None)
    return as_data(dataset, layout, reports, run_checks(reader, layout, reports))
