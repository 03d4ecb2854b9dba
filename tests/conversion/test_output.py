import errno
import hashlib
import json
from pathlib import Path

import pytest
from conversion.folders import MAKERS, convert, llvip, m3fd

from mmslg.annotations import check_files, read_annotations
from mmslg.conversion.verification.command import verify_folder
from mmslg.errors import InputError


@pytest.mark.parametrize('dataset', MAKERS)
def test_again_gives_the_same_bytes_and_touches_nothing(dataset, tmp_path):
    root = MAKERS[dataset](tmp_path / 'data')
    convert(dataset, root)
    first = {p: (p.read_bytes(), p.stat().st_mtime_ns, p.stat().st_ino) for p in root.glob('*.json')}
    convert(dataset, root)
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns, p.stat().st_ino) for p in root.glob('*.json')} == first
    elsewhere = tmp_path / 'elsewhere'
    convert(dataset, root, elsewhere)
    assert {p.name for p in elsewhere.iterdir()} == {p.name for p in first}
    for path, (data, _, _) in first.items():
        if path.name != 'manifest.json':
            there = json.loads((elsewhere / path.name).read_text())
            assert there['info'].pop('data_root') == '../data'
            assert there == json.loads(data)
    manifest = json.loads((root / 'manifest.json').read_text())
    assert manifest['outputs'] == {
        p.name: hashlib.sha256(v[0]).hexdigest() for p, v in first.items() if p.name != 'manifest.json'
    }
    assert str(tmp_path) not in (root / 'manifest.json').read_text()


def test_only_the_output_folder_is_touched(tmp_path):
    root = llvip(tmp_path / 'data', size=(64, 48))
    before = {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    convert('llvip', root, tmp_path / 'out')
    assert {p: p.stat().st_mtime_ns for p in root.rglob('*')} == before
    assert {p.name for p in (tmp_path / 'out').iterdir()} == {
        'annotations_train.json', 'annotations_test.json', 'manifest.json',
    }  # fmt: skip


def test_the_digest_of_the_inputs_tells_of_changed_labels(tmp_path):
    root = llvip(tmp_path, size=(64, 48))
    before = convert('llvip', root)[1]['inputs']
    label = root / 'Annotations/010001.xml'
    label.write_text(label.read_text().replace('<xmin>10', '<xmin>11'))
    after = convert('llvip', root)[1]['inputs']
    assert before['images'] == after['images'] == 10 and before['sha256'] != after['sha256']


@pytest.mark.parametrize('interrupt_at', [1, 2, 3])
@pytest.mark.parametrize(
    ('error', 'raised'),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(errno.ENOSPC, 'No space left on device'), InputError),
    ],
)
def test_an_interruption_or_a_full_disk_leaves_the_former_files(
    tmp_path, monkeypatch, interrupt_at, error, raised
):
    root = llvip(tmp_path, size=(64, 48))
    convert('llvip', root)
    old = {p.name: p.read_bytes() for p in root.glob('*.json')}
    (root / 'Annotations/010001.xml').write_text('<annotation/>')
    (root / 'Annotations/190001.xml').write_text('<annotation/>')
    assert interrupt_at and len(old) == 3
    real, calls = Path.write_bytes, []

    def interrupted(path, data):
        calls.append(path)
        if len(calls) == interrupt_at:
            real(path, data[:20])
            raise error
        return real(path, data)

    monkeypatch.setattr(Path, 'write_bytes', interrupted)
    with pytest.raises(raised):
        convert('llvip', root)
    assert len(calls) == interrupt_at
    assert {p.name: p.read_bytes() for p in root.iterdir() if p.is_file()} == old
    with pytest.raises(raised):
        calls.clear()
        convert('llvip', root, tmp_path / 'new')
    assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('dataset', MAKERS)
def test_the_reader_of_annotations_takes_them_from_anywhere(dataset, tmp_path, monkeypatch):
    root = MAKERS[dataset](tmp_path / 'data')
    monkeypatch.chdir(tmp_path)
    for out in (root, tmp_path / 'a/b', Path('c'), tmp_path / 'link'):
        if out.name == 'link':
            (tmp_path / 'far/away').mkdir(parents=True)
            out.symlink_to('far/away')
        splits, _ = convert(dataset, Path('data'), out)
        for split, data in splits.items():
            annotations = read_annotations(out / f'annotations_{split}.json')
            check_files(annotations.pairs)
            assert len(annotations.pairs) == len(data['images']) and annotations.split == split
            assert len(annotations.data['annotations']) == len(data['annotations'])


def test_labels_that_were_read_are_not_replaced(tmp_path):
    root = m3fd(tmp_path)
    coco = dict(
        images=[dict(id=1, file_name='00001.png', width=640, height=512)],
        annotations=[dict(id=1, image_id=1, category_id=0, bbox=[1, 2, 3, 4])],
        categories=[dict(id=0, name='Car')],
    )
    label = root / 'annotations_train.json'
    label.write_text(json.dumps(coco))
    (root / 'other').symlink_to('.')
    for out in (root, root / 'other'):
        with pytest.raises(InputError, match='the output is the input'):
            convert('m3fd', root, out)
        assert json.loads(label.read_text()) == coco and not (root / 'manifest.json').exists()
    with pytest.raises(InputError, match='the output is the input'):
        verify_folder('', ['m3fd', str(root), '--json', str(label)])
    with pytest.raises(InputError, match='the output is the input'):
        verify_folder('', ['m3fd', str(root), '--plot', str(root / 'Vis/00001.png')])
    assert json.loads(label.read_text()) == coco
    assert convert('m3fd', root, tmp_path / 'out')[1]['splits']['train']['boxes'] == dict(car=1)
