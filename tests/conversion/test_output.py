import hashlib
import json

import pytest
from conversion.folders import MAKERS, convert, llvip

from mmslg.conversion import output


@pytest.mark.parametrize('dataset', MAKERS)
def test_again_gives_the_same_bytes_and_touches_nothing(dataset, tmp_path):
    root = MAKERS[dataset](tmp_path / 'data')
    convert(dataset, root)
    first = {p: (p.read_bytes(), p.stat().st_mtime_ns, p.stat().st_ino) for p in root.glob('*.json')}
    convert(dataset, root)
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns, p.stat().st_ino) for p in root.glob('*.json')} == first
    elsewhere = tmp_path / 'elsewhere'
    convert(dataset, root, elsewhere)
    assert {p.name: p.read_bytes() for p in elsewhere.iterdir()} == {p.name: v[0] for p, v in first.items()}
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


def test_an_interruption_leaves_whole_files(tmp_path, monkeypatch):
    root = llvip(tmp_path, size=(64, 48))
    convert('llvip', root)
    old = {p.name: p.read_bytes() for p in root.glob('*.json')}
    (root / 'Annotations/010001.xml').write_text('<annotation/>')
    (root / 'Annotations/190001.xml').write_text('<annotation/>')
    real, calls = output._write, []

    def interrupted(path, text):
        calls.append(path)
        if len(calls) == 2:
            with output.atomic_path(path) as temporary:
                temporary.write_text(text[:20])
                raise KeyboardInterrupt
        return real(path, text)

    monkeypatch.setattr(output, '_write', interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert('llvip', root)
    now = {p.name: p.read_bytes() for p in root.iterdir() if p.is_file()}
    assert set(now) == set(old)
    assert now['manifest.json'] == old['manifest.json']
    assert now['annotations_test.json'] == old['annotations_test.json']
    assert json.loads(now['annotations_train.json'])['annotations']
