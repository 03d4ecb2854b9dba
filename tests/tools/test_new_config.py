"""tools/new_config.py and tools/subset_annotations.py: own data as a leaf config."""

import json
import re

import pytest
from helpers import run_here, write_pairs
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope, init_default_scope

from mmslg.annotations import check_files, read_annotations


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "it's mine"
    for split in ('train', 'test'):
        write_pairs(folder, 3, split=split, classes=('cat', 'dog'))
    return folder


def test_the_leaf_says_everything_about_the_data(folder, tmp_path, monkeypatch, capsys, root):
    """Also of a folder with an apostrophe in its name; the config is read and dumped as any other."""
    out = tmp_path / 'run' / 'mine.py'
    assert not run_here('new_config.py', monkeypatch, folder, '--out', out)
    assert (
        '3 training and 3 test pairs of cat, dog; scaled to 320x256, 4 in a batch' in capsys.readouterr().out
    )
    cfg = Config.fromfile(out)
    cfg.dump(tmp_path / 'dumped.py')
    for config in (cfg, Config.fromfile(tmp_path / 'dumped.py')):
        assert config.train_dataloader.dataset.data_root == str(folder)
        assert config.train_dataloader.dataset.metainfo.classes == ('cat', 'dog')
        assert config.model.bbox_head.num_classes == 2 and config.train_dataloader.batch_size == 4
        assert config.test_evaluator.ann_file == str(folder / 'annotations_test.json')
    cfg.train_dataloader.dataset.caption_store = None
    init_default_scope('mmdet')
    assert len(DATASETS.build(cfg.train_dataloader.dataset)) == 3
    DefaultScope._instance_dict.clear()


@pytest.mark.parametrize(
    'base', ['slgnet_dronevehicle.py', 'slgnet_kaist.py', 'heads/slgnet_flir_cascade_rcnn.py']
)
def test_other_bases(folder, tmp_path, monkeypatch, capsys, root, base):
    out = tmp_path / 'x.py'
    code = run_here('new_config.py', monkeypatch, folder, '--out', out, '--base', root / 'configs' / base)
    if 'cascade' in base:
        assert code == 1 and 'its head has no single num_classes' in capsys.readouterr().err
        return
    cfg, own = Config.fromfile(out), Config.fromfile(root / 'configs' / base)
    assert code == 0 and cfg.model.get('roi_head', cfg.model).bbox_head.num_classes == 2
    sizes = [c.train_dataloader.dataset.pipeline.resize.scale for c in (cfg, own)]
    assert sizes[0] == sizes[1] and cfg.train_dataloader.batch_size == 1  # a miniature's are too small for it


def turn(folder, split, corners):
    """Give every box of a split these corners as fractions of its width and height."""
    path = folder / f'annotations_{split}.json'
    data = json.loads(path.read_text())
    for box in data['annotations']:
        x, y, w, h = box['bbox']
        box['segmentation'] = [[v * s + o for v, s, o in zip(corners, (w, h) * 4, (x, y) * 4)]]
    path.write_text(json.dumps(data))


def test_oriented_boxes_get_a_base_that_learns_them(folder, tmp_path, monkeypatch, capsys, root):
    monkeypatch.chdir(root)
    out = tmp_path / 'x.py'
    for split in ('train', 'test'):
        turn(folder, split, (0, 1e-7, 1, 0, 1, 1, 0, 1))
    assert not run_here('new_config.py', monkeypatch, folder, '--out', out)
    assert Config.fromfile(out).get('default_scope') == 'mmdet'  # corners of upright boxes are upright boxes
    turn(folder, 'test', (0.5, 0, 1, 0.5, 0.5, 1, 0, 0.5))
    out = tmp_path / 'oriented.py'
    assert not run_here('new_config.py', monkeypatch, folder, '--out', out)
    assert 'slgnet_mini_oriented.py' in capsys.readouterr().out
    cfg = Config.fromfile(out)
    assert cfg.default_scope == 'mmrotate' and cfg.model.bbox_head.num_classes == 2
    assert {cfg[f'{s}_dataloader'].dataset.box_type for s in ('train', 'val', 'test')} == {'qbox'}
    base, out = root / 'configs/slgnet_flir.py', tmp_path / 'y.py'
    assert not run_here('new_config.py', monkeypatch, folder, '--out', out, '--base', base)
    warning = (
        f'warning: {folder}/annotations_test.json: its boxes are oriented, and --base '
        'configs/slgnet_flir.py learns upright ones around them; --base configs/slgnet_mini_oriented.py, or '
        'another one for oriented boxes, keeps their angle\n'
    )
    assert capsys.readouterr().err == warning
    assert Config.fromfile(out).train_dataloader.dataset.get('box_type', 'hbox') == 'hbox'
    base, out = root / 'configs/slgnet_dronevehicle.py', tmp_path / 'z.py'
    assert not run_here('new_config.py', monkeypatch, folder, '--out', out, '--base', base)
    assert not capsys.readouterr().err


def test_large_pairs_are_scaled_to_more(tmp_path, monkeypatch):
    for split in ('train', 'test'):
        write_pairs(tmp_path, 1, size=(640, 512), split=split)
    assert not run_here('new_config.py', monkeypatch, tmp_path, '--out', tmp_path / 'x.py')
    cfg = Config.fromfile(tmp_path / 'x.py')
    assert cfg.val_dataloader.dataset.pipeline.resize.scale == (512, 384)
    assert cfg.train_dataloader.batch_size == 2


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--out', 'x.txt'], '--out x.txt: wanted a name that ends in .py'),
        (['--out', 'x.py', '--base', 'none.py'], 'none.py: no such config'),
        (['--out', 'x.py', '--base', 'none.py', '--train', 'none.json'], 'none.py: no such config'),
        (['--out', 'x.py', '--train', 'none.json'], 'none.json: no such file'),
        (['--out', 'x.py', '--train', 'other.json'], 'its classes are cat, dog, those of .* are cat, cow'),
    ],
)
def test_what_is_wrong_is_said(folder, tmp_path, monkeypatch, capsys, arguments, message):
    data = json.loads((folder / 'annotations_train.json').read_text())
    data['categories'][1]['name'] = 'cow'
    (folder / 'other.json').write_text(json.dumps(data))
    monkeypatch.chdir(tmp_path)
    assert run_here('new_config.py', monkeypatch, folder, *arguments) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not list(tmp_path.glob('x.*'))


def test_a_config_that_is_there_is_not_written_over(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'mine.py'
    out.write_text('# edited\n')
    assert run_here('new_config.py', monkeypatch, folder, '--out', out) == 1
    error = capsys.readouterr().err
    assert error == f'error: {out}: is there already; remove it, or choose another --out\n'
    assert out.read_text() == '# edited\n'
    out = tmp_path / 'folder.py'
    out.mkdir()
    assert run_here('new_config.py', monkeypatch, folder, '--out', out) == 1
    assert capsys.readouterr().err == f'error: {out}: a folder, wanted the name of a file to write\n'


def test_a_subset_knows_where_the_images_lie(folder, tmp_path, monkeypatch):
    out = tmp_path / 'elsewhere' / 'first.json'
    source = folder / 'annotations_train.json'
    assert not run_here('subset_annotations.py', monkeypatch, source, '--first', 2, '--out', out)
    subset = read_annotations(out)
    assert [pair.key for pair in subset.pairs] == ['train_001.png', 'train_002.png']
    check_files(subset.pairs)
    assert subset.pairs[0].visible == str(folder / 'visible/train_001.png')
    assert len(subset.data['annotations']) == 2


def test_a_subset_is_not_written_over_its_source(folder, monkeypatch, capsys):
    source = folder / 'annotations_train.json'
    before = source.read_bytes()
    link = folder / 'link.json'
    link.symlink_to(source)
    for out in (source, link):
        assert run_here('subset_annotations.py', monkeypatch, source, '--first', 2, '--out', out) == 1
    assert source.read_bytes() == before


def test_a_folder_that_mmengine_would_read_otherwise(tmp_path, monkeypatch, capsys):
    for split in ('train', 'test'):
        write_pairs(tmp_path / '{{ fileDirname }}', 2, split=split)
    out = tmp_path / 'x.py'
    assert run_here('new_config.py', monkeypatch, tmp_path / '{{ fileDirname }}', '--out', out) == 1
    assert 'wanted a name without them' in capsys.readouterr().err and not out.exists()
