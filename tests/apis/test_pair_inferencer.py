"""Detection in pairs without a dataset: what the tools find, whichever way a pair comes in."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers import TINY, told, write_weights
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope

from mmslg.apis.launch import parse_options, read_config
from mmslg.apis.pair_inferencer import Pair, PairInferencer
from mmslg.apis.profiling import build_detector
from mmslg.captions.encoders.hashed import HashedTextEncoder
from mmslg.captions.store import CaptionStore
from mmslg.errors import InputError
from mmslg.visualization.samples import build_split

CAPTION = dict(
    environment='dimly lit night', scene='highway', objects='few cars', thermal='high thermal contrast'
)


@pytest.fixture
def made(pairs):
    """An inferencer with random weights, its config and the test pairs, (visible, infrared)."""
    cfg = read_config(str(pairs / 'leaf.py'), parse_options(TINY))
    write_weights(pairs / 'weights.pth', told(build_detector(cfg, seed=1)))
    data = build_split(cfg, 'test', as_test=True)
    paths = [(info['img_path'], info['ir_path']) for info in map(data.get_data_info, range(len(data)))]

    def build(**options):
        return PairInferencer(cfg, pairs / 'weights.pth', **options)

    yield build, data, paths
    DefaultScope._instance_dict.clear()


def same(first, second):
    for key in ('bboxes', 'scores', 'labels'):
        assert torch.equal(first.pred_instances[key], second.pred_instances[key]), key


def alike(first, second, tolerance=1e-4):
    """Each of the better half is found again; rounding may change the order of equal scores."""
    rows = [
        torch.column_stack([s.pred_instances[k] for k in ('bboxes', 'scores', 'labels')])
        for s in (first, second)
    ]
    wanted, other = (r.double() for r in rows)
    wanted = wanted[: len(wanted) // 2]
    assert len(wanted) and (wanted[:, None] - other).abs().amax(2).amin(1).max() <= tolerance


def test_results_are_those_of_the_test_loop(made, pairs):
    build, data, paths = made
    inferencer = build(caption_store=pairs / 'captions.safetensors')
    keys = [data.get_data_info(i)['file_name'] for i in range(len(data))]
    found = inferencer.predict([Pair(*paths[0], keys[0])])[0]
    assert len(found.pred_instances) > 10
    for key, path, index in zip(keys, paths, range(3)):
        with torch.no_grad():
            wanted = inferencer.model.test_step(pseudo_collate([data[index]]))[0]
        same(inferencer.predict([Pair(*path, key)])[0], wanted)
    batch = inferencer.predict([Pair(*path, key) for key, path in zip(keys, paths)])
    for sample, key, path in zip(batch, keys, paths):
        alike(sample, inferencer.predict([Pair(*path, key)])[0])
    assert inferencer.describe_captions() == 'captions: 10 from the store'


def test_arrays_are_as_good_as_files(made, tmp_path):
    build, _, paths = made
    inferencer = build()
    visible, infrared = cv2.imread(paths[0][0]), cv2.imread(paths[0][1], cv2.IMREAD_UNCHANGED)
    wanted = inferencer.predict([Pair(*paths[0])])[0]
    same(inferencer.predict([Pair(visible, infrared)])[0], wanted)
    same(inferencer.predict([Pair(visible, cv2.cvtColor(infrared, cv2.COLOR_GRAY2BGR))])[0], wanted)
    counts = infrared.astype(np.uint16) * 37 + 4000
    cv2.imwrite(str(tmp_path / 'counts.png'), counts)
    raw = inferencer.predict([Pair(visible, counts)])[0]
    same(raw, inferencer.predict([Pair(paths[0][0], tmp_path / 'counts.png')])[0])
    for images, message in (
        ((infrared, infrared), r'wanted a visible image \(H, W, 3\)'),
        ((visible, infrared[None]), 'wanted an infrared image'),
        ((visible, infrared.astype(np.float32)), 'infrared image: wanted an infrared image of 8 or 16 bits'),
        ((visible, infrared[:50]), '^the infrared image is 96x50 pixels|^the infrared image is'),
    ):
        with pytest.raises(InputError, match=message):
            inferencer.predict([Pair(*images)])


def test_called_as_a_det_inferencer(made, tmp_path):
    build, _, paths = made
    inferencer = build()
    one = inferencer(paths[0], pred_score_thr=0.0, return_vis=True)
    assert len(one['predictions']) == 1 and one['visualization'][0].ndim == 3
    many = inferencer((Pair(*p) for p in paths), batch_size=2, pred_score_thr=0.0, out_dir=tmp_path / 'out')
    assert len(many['predictions']) == 3 and many['visualization'] == []
    alike(many['predictions'][0], one['predictions'][0])
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == [
        f'{p.stem}.png' for p in sorted(map(type(tmp_path), (v for v, _ in paths)))
    ]
    best = float(one['predictions'][0].pred_instances.scores.max())
    assert len(inferencer(paths[0], pred_score_thr=best)['predictions'][0].pred_instances) == 1
    again = inferencer([Pair(*paths[0], 'a'), Pair(*paths[1], 'a')], out_dir=tmp_path / 'same')
    assert len(again['predictions']) == 2 == len(list((tmp_path / 'same').iterdir()))
    said = inferencer(iter(paths), show_progress=True)  # nobody knows how many
    assert len(said['predictions']) == 3
    for none in (['only.jpg'], None, 3):
        with pytest.raises(InputError, match='wanted a pair'):
            inferencer(none)
    with pytest.raises(InputError, match='no name of a file'):
        inferencer(('a\0b', paths[0][1]))
    with pytest.raises(InputError, match='batch_size=0: wanted at least 1'):
        inferencer(paths[0], batch_size=0)
    with pytest.raises(InputError, match="device='gpu'"):
        build(device='gpu')
    with pytest.raises(InputError, match='no test_dataloader'):
        PairInferencer(Config(dict(model=dict())), tmp_path / 'weights.pth')


def test_folders_are_paired_by_names(made, tmp_path):
    build, _, paths = made
    inferencer = build()
    wanted = inferencer(sorted(paths), pred_score_thr=0.0)
    assert wanted['unpaired'] == []
    for side, name in enumerate(('visible', 'infrared')):
        (tmp_path / 'both' / name).mkdir(parents=True)
        for number, pair in enumerate(sorted(paths)):
            shutil.copy(pair[side], tmp_path / 'both' / name / f'{number}.png')
    shutil.copy(paths[0][0], tmp_path / 'both' / 'visible' / 'alone.png')
    both = tmp_path / 'both'
    for inputs in (both, str(both), (both / 'visible', both / 'infrared')):
        found = inferencer(inputs, pred_score_thr=0.0)
        assert [Path(s.img_path).name for s in found['predictions']] == ['0.png', '1.png', '2.png']
        for one, other in zip(found['predictions'], wanted['predictions'], strict=True):
            same(one, other)
        [(path, reason)] = found['unpaired']
        assert path.endswith('alone.png') and reason == 'there is no infrared image of this name'
    with pytest.raises(InputError, match='nowhere: no such file or folder'):
        inferencer(tmp_path / 'nowhere')
    with pytest.raises(InputError, match='wanted two images, two folders, or one folder of both'):
        inferencer(paths[0][0])


def test_samples_turn_themselves_into_supervision_s_form(made):
    pytest.importorskip('supervision')
    build, _, paths = made
    sample = build()(paths[0], pred_score_thr=0.0)['predictions'][0]
    assert isinstance(sample, DetDataSample)
    found = sample.to_supervision()
    assert found.xyxy.tolist() == sample.pred_instances.bboxes.tolist() and len(found) > 0
    names = [('person', 'car', 'bicycle')[label] for label in sample.pred_instances.labels]
    assert found.data['class_name'].tolist() == names


def test_captions_are_given_stored_written_or_neutral(made, pairs):
    build, data, paths = made
    store = CaptionStore.open(pairs / 'captions.safetensors')
    inferencer = build()
    info = data.get_data_info(0)
    neutral = inferencer.pack(Pair(*paths[0]))['inputs']['text']
    assert neutral.shape == (4, store.width) and not neutral.any()
    told = dict(info['caption'].to_dict())
    assert torch.equal(inferencer.pack(Pair(*paths[0], caption=told))['inputs']['text'], info['text'])
    assert inferencer.describe_captions() == 'captions: 1 neutral (zeros), 1 given'
    first, second = (inferencer.predict([Pair(*paths[0], caption=c)])[0] for c in (told, CAPTION))
    assert not torch.equal(first.pred_instances.scores, second.pred_instances.scores)
    written = build(captioner='photometric')
    packed = written.pack(Pair(*paths[0]))
    assert packed['data_samples'].caption.objects == 'unspecified objects'
    assert torch.equal(packed['inputs']['text'], written.embed(packed['data_samples'].caption))
    stored = build(caption_store=pairs / 'captions.safetensors')
    with pytest.raises(InputError, match=r'elsewhere\.png'):
        stored.pack(Pair(*paths[0], name='elsewhere.png'))
    (pairs / 'captions.safetensors').unlink()
    with pytest.raises(InputError, match='captions want a text encoder'):
        build().embed(CAPTION)
    with pytest.raises(InputError, match='captions want a text encoder'):
        build(captioner='photometric')
    with pytest.raises(InputError, match=f'vectors of width 16, the model wants {store.width}'):
        build(captioner='photometric', encoder=HashedTextEncoder(width=16))
    assert build(encoder='hashed').embed(CAPTION).shape == (4, store.width)


def test_an_infrared_image_of_another_size_is_scaled_where_its_aspect_is_the_same(made, tmp_path):
    build, _, paths = made
    inferencer = build()
    visible, infrared = cv2.imread(paths[0][0]), cv2.imread(paths[0][1], cv2.IMREAD_UNCHANGED)
    half = cv2.resize(infrared, (48, 32))
    packed = inferencer.pack(Pair(visible, half))
    assert packed['data_samples'].ir_shape == (32, 48)
    back = packed['inputs']['img'][3].numpy().astype(int)
    assert back.shape == (64, 96) and abs(back - infrared).mean() < 20
    assert 'ir_shape' not in inferencer.pack(Pair(*paths[0]))['data_samples']
    cv2.imwrite(str(tmp_path / 'half.png'), half)
    page = inferencer.draw(
        Pair(paths[0][0], tmp_path / 'half.png'), inferencer.predict([Pair(visible, half)])[0]
    )
    assert page.shape[1] > 3 * 96
    with pytest.raises(InputError, match='register and resize the pair to one size'):
        inferencer.pack(Pair(visible, infrared[:, :60]))
