"""A small KAIST ground truth in both of its forms."""

import numpy as np

HEADER = '% bbGt version=3\n'
NAMES = ('set06/V000/I00019', 'set06/V000/I00039', 'set09/V000/I00019')
LINES = {
    NAMES[0]: ['person 100 100 30 60 0 0 0 0 0 0 0', 'people 200 100 90 80 1 0 0 0 0 0 0'],
    NAMES[1]: [],
    NAMES[2]: ['person 100 100 30 60 2 0 0 0 0 0 0', 'person 300 100 30 60 0 0 0 0 0 1 0'],
}


def write_folder(tmp_path):
    """Write the ground truth as bbGt files; returns their folder."""
    path = tmp_path / 'annotations'
    path.mkdir()
    for name, lines in LINES.items():
        (path / f'{name.replace("/", "_")}.txt').write_text(HEADER + ''.join(f'{line}\n' for line in lines))
    return path


def annotations(**changes):
    """The same ground truth as in ``folder`` in COCO form."""
    images = [dict(id=i, file_name=f'{name[:10]}/visible/{name[11:]}.jpg') for i, name in enumerate(NAMES, 5)]
    boxes = [
        dict(id=1, image_id=5, category_id=7, bbox=[100, 100, 30, 60], occlusion=0, ignore=0),
        dict(id=2, image_id=5, category_id=8, bbox=[200, 100, 90, 80], occlusion=1, ignore=0, height=80),
        dict(id=3, image_id=7, category_id=7, bbox=[100, 100, 30, 60], occlusion=2, ignore=0),
        dict(id=4, image_id=7, category_id=7, bbox=[300, 100, 30, 60], occlusion=0, ignore=1),
    ]
    categories = [dict(id=7, name='person'), dict(id=8, name='people')]
    return dict(images=images[::-1], annotations=boxes[::-1], categories=categories) | changes


def same(a, b):
    """Compare all but source, ids and notes; boxes of one image may stand in any order."""
    orders = [np.lexsort((t.boxes[:, 0], t.image)) for t in (a, b)]
    assert a.names == b.names and (a.times == b.times).all()
    for field in ('image', 'boxes', 'occlusion', 'ignore'):
        assert np.array_equal(*(getattr(t, field)[o] for t, o in zip((a, b), orders))), field
