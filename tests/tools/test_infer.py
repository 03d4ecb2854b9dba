"""Detection in files and folders by the tool, as a user would."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest
import torch
from helpers import TINY, make_pairs, write_leaf, write_weights
from mmengine.fileio import load
from mmengine.registry import DefaultScope

from mmslg.apis.launch import parse_options, read_config
from mmslg.apis.pair_inferencer import PairInferencer
from mmslg.apis.profiling import build_detector

ONE = 'test_dataloader.batch_size=1'  # rounding depends on how many pairs a batch has


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A folder of pairs with leaf.py and the weights of a detector, weights.pth, for it."""
    folder = make_pairs(tmp_path_factory.mktemp('infer') / 'pairs')
    cfg = read_config(str(folder / 'leaf.py'), parse_options(TINY))
    write_weights(folder / 'weights.pth', build_detector(cfg, seed=1))
    DefaultScope._instance_dict.clear()
    return folder


@pytest.fixture
def infer(trained, run_quickly):
    def run(*args, options=TINY):
        words = (trained / 'leaf.py', trained / 'weights.pth', *args, '--cfg-options', *options)
        return run_quickly('tools/infer.py', *words)

    return run


def write_folder(folder, num):
    """Pairs in colour and gray."""
    rng = np.random.default_rng(0)
    for name in ('visible', 'infrared'):
        (folder / name).mkdir(parents=True)
    for i in range(num):
        for name, shape in (('visible', (64, 96, 3)), ('infrared', (64, 96))):
            cv2.imwrite(str(folder / name / f'{i:03d}.jpg'), rng.integers(0, 255, shape, dtype=np.uint8))
    return folder


def test_it_finds_what_the_test_finds(trained, infer, run_quickly, tmp_path):
    out, keys = tmp_path / 'predictions.pkl', ('bboxes', 'scores', 'labels')
    config, weights = trained / 'leaf.py', trained / 'weights.pth'
    words = ('--out', out, '--work-dir', tmp_path / 'work', '--cfg-options', *TINY, ONE)
    tested = run_quickly('tools/test.py', config, weights, *words)
    assert tested.returncode == 0, tested.stderr[-2000:]
    wanted = {sample['img_path']: sample['pred_instances'] for sample in load(out)}
    cfg = read_config(str(config), parse_options(TINY))
    inferencer = PairInferencer(cfg, weights, caption_store=trained / 'captions.safetensors')
    sides = [sorted((trained / side).glob('test_*')) for side in ('visible', 'infrared')]
    assert len(wanted) == len(sides[0]) == 3
    found = inferencer(zip(*sides), pred_score_thr=0.0)['predictions']
    for sample in found:
        for key in keys:
            assert torch.equal(sample.pred_instances[key], wanted[sample.img_path][key]), key
    DefaultScope._instance_dict.clear()
    arguments = ('--captions', trained / 'captions.safetensors', '--score-thr', 0, '--no-pictures')
    assert infer('--rgb', trained, '--out', tmp_path / 'a', *arguments).returncode == 0
    data = json.loads((tmp_path / 'a/detections.json').read_text())
    for image in data['images']:
        rows = [row for row in data['annotations'] if row['image_id'] == image['id']]
        expected = wanted.get(str(trained / 'visible' / image['file_name']))
        if expected is not None:
            assert [row['score'] for row in rows] == expected['scores'].tolist()
            assert [row['category_id'] - 1 for row in rows] == expected['labels'].tolist()
            corners = torch.tensor([row['bbox'] for row in rows], dtype=torch.float64)
            corners[:, 2:] += corners[:, :2]
            assert torch.allclose(corners.float(), expected['bboxes'], atol=1e-5)
    figures = evaluated(data, trained, tmp_path, run_quickly, tmp_path / 'a/detections.json')
    assert figures['detections'] == figures['by_hand']


def evaluated(data, folder, tmp_path, run_quickly, file):
    """Figures of the file and of its detections by hand, on annotations that number images otherwise."""
    parts = [json.loads((folder / f'annotations_{split}.json').read_text()) for split in ('test', 'train')]
    for part, first in zip(parts, (10, 20)):
        for image in part['images']:
            image['id'] += first
        for box in part['annotations']:
            box.update(id=box['id'] + first, image_id=box['image_id'] + first)
    truth = {**parts[0], **{key: parts[1][key] + parts[0][key] for key in ('images', 'annotations')}}
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    names = {image['id']: image['file_name'] for image in data['images']}
    ids = {image['file_name']: image['id'] for image in truth['images']}
    rows = [{**row, 'image_id': ids[names[row['image_id']]]} for row in data['annotations']]
    (tmp_path / 'by_hand.json').write_text(json.dumps(rows))
    words = ('--gt', tmp_path / 'truth.json', '--dets', file, tmp_path / 'by_hand.json')
    done = run_quickly('tools/analysis/eval_coco.py', *words, '--json', tmp_path / 'figures.json')
    assert done.returncode == 0, done.stderr
    return json.loads((tmp_path / 'figures.json').read_text())


def test_a_folder_with_faults(infer, tmp_path):
    folder = write_folder(tmp_path / 'pairs', 12)
    (folder / 'infrared/001.jpg').unlink()
    truncated = folder / 'visible/003.jpg'
    truncated.write_bytes(truncated.read_bytes()[:-200])
    cv2.imwrite(str(folder / 'infrared/005.jpg'), np.zeros((64, 64), np.uint8))
    first, second = folder / 'visible/007.jpg', folder / 'infrared/007.jpg'
    first.rename(tmp_path / 'kept.jpg')
    second.rename(first)
    (tmp_path / 'kept.jpg').rename(second)
    (folder / 'infrared/009.jpg').write_text('a list of things to buy\n')
    cv2.imwrite(str(folder / 'infrared/011.jpg'), np.zeros((32, 48), np.uint8))
    result = infer('--rgb', folder, '--out', tmp_path / 'out', '--batch-size', 4, '--score-thr', 0)
    assert result.returncode == 1 and 'Traceback' not in result.stderr
    data = json.loads((tmp_path / 'out/detections.json').read_text())
    good = [f'{i:03d}' for i in (0, 2, 4, 6, 8, 10, 11)]
    assert [image['file_name'] for image in data['images']] == [f'{name}.jpg' for name in good]
    assert sorted(p.stem for p in (tmp_path / 'out/pictures').iterdir()) == good
    reasons = {problem['name'].rpartition('/')[2]: problem['reason'] for problem in data['problems']}
    wanted = {
        '001.jpg': 'there is no infrared image of this name',
        '003.jpg': 'truncated',
        '005.jpg': 'register and resize the pair',
        '007.jpg': 'look swapped',
        '009.jpg': 'cannot be decoded',
    }
    assert set(reasons) == set(wanted)
    for name, words in wanted.items():
        assert words in reasons[name]
        assert any(name in line and words in line for line in result.stderr.splitlines()), name
    assert '5 problems' in result.stderr and '11 pairs, 1 images without a partner' in result.stdout
    assert '1 infrared images scaled to the visible size, the first: 011.jpg 48x32 to 96x64' in result.stdout
    assert 'neutral (zeros)' in result.stdout
    assert not list((tmp_path / 'out').glob('*.partial'))


def test_it_goes_on(trained, infer, tmp_path, monkeypatch):
    from mmslg.apis import many_pairs

    folder, out = write_folder(tmp_path / 'pairs', 5), tmp_path / 'out'
    whole = infer('--rgb', folder, '--out', tmp_path / 'whole', '--score-thr', 0, '--no-pictures')
    assert whole.returncode == 0
    original, seen = many_pairs.looks_swapped, []

    def killed(*images):
        seen.append(images)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return original(*images)

    arguments = ('--rgb', folder, '--out', out, '--score-thr', 0, '--no-pictures')
    with monkeypatch.context() as patch:
        patch.setattr(many_pairs, 'looks_swapped', killed)
        assert infer(*arguments).returncode == 130
    journal = out / 'detections.json.partial'
    assert not (out / 'detections.json').exists() and len(journal.read_text().splitlines()) == 3
    with journal.open('a') as file:
        file.write('{"name": "half a li')
    other = infer('--rgb', folder, '--out', out, '--score-thr', 0.02, '--no-pictures', '--resume')
    assert other.returncode == 1 and 'another run (--score-thr was 0.0 and is 0.02)' in other.stderr
    anew = infer(*arguments)
    assert anew.returncode == 1 and 'of an unfinished run; go on with --resume' in anew.stderr
    result = infer(*arguments, '--resume')
    assert result.returncode == 0 and '2 pairs are done already' in result.stdout
    found = (out / 'detections.json').read_text()
    assert json.loads(found) == json.loads((tmp_path / 'whole/detections.json').read_text())
    again = infer(*arguments, '--resume')
    assert again.returncode == 0 and '5 pairs are done already' in again.stdout
    (folder / 'visible/000.jpg').unlink()
    cv2.imwrite(str(folder / 'visible/001.jpg'), np.zeros((32, 48, 3), np.uint8))
    changed = infer(*arguments, '--resume')
    assert changed.returncode == 1 and '3 pairs are done already' in changed.stdout
    images = json.loads((out / 'detections.json').read_text())['images']
    assert [(i['file_name'], i['width']) for i in images][:2] == [('001.jpg', 48), ('002.jpg', 96)]
    assert len(images) == 4
    other = write_folder(tmp_path / 'other', 2)
    mixed = infer('--rgb', other, *arguments[2:], '--resume')
    assert mixed.returncode == 0 and '0 pairs are done already' in mixed.stdout
    images = json.loads((out / 'detections.json').read_text())['images']
    assert [i['file_name_ir'] for i in images] == [str(other / f'infrared/00{i}.jpg') for i in (0, 1)]


def test_two_files_captions_and_dota(trained, infer, tmp_path):
    files = (trained / 'visible/test_001.png', trained / 'infrared/test_001.png')
    arguments = ('--rgb', files[0], '--ir', files[1], '--score-thr', 0)
    result = infer(
        *arguments, '--out', tmp_path / 'one', '--captioner', 'photometric', '--dota', tmp_path / 'd'
    )
    assert result.returncode == 0, result.stderr
    assert '1 from the captioner' in result.stdout
    assert (tmp_path / 'one/pictures/test_001.jpg').is_file()
    names = sorted(path.name for path in (tmp_path / 'd').iterdir())
    assert names == ['Task1_bicycle.txt', 'Task1_car.txt', 'Task1_person.txt']
    lines = [line.split() for name in names for line in (tmp_path / 'd' / name).read_text().splitlines()]
    data = json.loads((tmp_path / 'one/detections.json').read_text())
    assert len(lines) == len(data['annotations']) > 0 and {len(line) for line in lines} == {10}
    assert {line[0] for line in lines} == {'test_001'}


def test_outputs_beside_the_images(infer, tmp_path):
    folder = write_folder(tmp_path / 'pairs', 1)
    for side in ('visible', 'infrared'):
        (folder / side / 'a').mkdir()
        for name in ('a_1.jpg', 'a/1.jpg'):
            shutil.copy(folder / side / '000.jpg', folder / side / name)
    before = (folder / 'visible/000.jpg').read_bytes()
    names = ['000.jpg', 'a/1.jpg', 'a_1.jpg']
    for _ in range(2):  # the pictures of the first are no pairs of the second
        result = infer('--rgb', folder, '--out', folder)
        assert result.returncode == 0 and '3 pairs, 0 images without a partner' in result.stdout
    data = json.loads((folder / 'detections.json').read_text())
    assert [image['file_name'] for image in data['images']] == names
    assert [(folder / 'pictures' / name).is_file() for name in names] == [True] * 3
    pair = ('--rgb', folder / 'visible/000.jpg', '--ir', folder / 'infrared/000.jpg')
    for args, message in (
        (('--rgb', folder, '--json', folder / 'visible/000.jpg'), 'the output is the input'),
        ((*pair[:2], '--ir', pair[1]), 'given as the visible and as the infrared image'),
        ((*pair, '--dota', ''), "--dota '': wanted a folder"),
        ((*pair, '--json', ''), "'': wanted the name of a file"),
    ):
        result = infer(*args)
        assert result.returncode == 1 and message in result.stderr, result.stderr
    (tmp_path / 'pictures').mkdir()
    shutil.copy(folder / 'visible/000.jpg', tmp_path / 'pictures/000.jpg')
    result = infer('--rgb', tmp_path / 'pictures/000.jpg', *pair[2:], '--out', tmp_path)
    assert result.returncode == 1 and 'the output is the input' in result.stderr
    assert {(folder / 'visible/000.jpg').read_bytes(), (tmp_path / 'pictures/000.jpg').read_bytes()} == {
        before
    }


def test_images_that_cannot_be_scaled_are_problems(infer, tmp_path):
    folder = write_folder(tmp_path / 'pairs', 1)
    for name, size in (('dot', (1, 1)), ('line', (1, 900))):
        cv2.imwrite(str(folder / f'visible/{name}.png'), np.zeros((*size, 3), np.uint8))
        cv2.imwrite(str(folder / f'infrared/{name}.png'), np.zeros(size, np.uint8))
    result = infer('--rgb', folder, '--out', tmp_path / 'out', '--no-pictures')
    assert result.returncode == 1 and '1 problems' in result.stderr
    assert 'problem: line.png: the pipeline of the test cannot scale images of this shape' in result.stderr
    assert '2 pairs;' in result.stdout


def test_oriented_boxes(run_quickly, tmp_path):
    folder, out = make_pairs(tmp_path / 'pairs'), tmp_path / 'out'
    leaf = write_leaf(folder, 'slgnet_mini_oriented.py')
    cfg = read_config(str(leaf), parse_options(TINY))
    write_weights(folder / 'weights.pth', build_detector(cfg, seed=1))
    words = (leaf, folder / 'weights.pth', '--rgb', folder / 'visible', '--ir', folder / 'infrared')
    words += ('--out', out, '--score-thr', 0, '--dota', out / 'dota', '--cfg-options', *TINY, ONE)
    result = run_quickly('tools/infer.py', *words)
    assert result.returncode == 0, result.stderr
    assert len(list((out / 'pictures').iterdir())) == 7
    data = json.loads((out / 'detections.json').read_text())
    name = data['images'][0]['file_name']
    rows = [row for row in data['annotations'] if row['image_id'] == 1]
    inferencer = PairInferencer(cfg, folder / 'weights.pth')
    pair = (folder / 'visible' / name, folder / 'infrared' / name)
    found = inferencer(pair, pred_score_thr=0.0)['predictions'][0].pred_instances
    assert found.bboxes.shape == (len(rows), 5) and len(rows) > 5
    lines = {c: (out / f'dota/Task1_{c}.txt').read_text().splitlines() for c in inferencer.classes}
    for row, (x, y, w, h, angle), label in zip(rows, found.bboxes.tolist(), found.labels.tolist()):
        [corners] = row['segmentation']
        wanted = cv2.boxPoints(((x, y), (w, h), np.degrees(angle)))
        np.testing.assert_allclose(
            sorted(zip(corners[::2], corners[1::2])), sorted(wanted.tolist()), atol=1e-2
        )
        left, top = np.reshape(corners, (4, 2)).min(0)
        np.testing.assert_allclose(row['bbox'][:2], [left, top], atol=1e-6)
        score, *dota = lines[inferencer.classes[label]].pop(0).split()[1:]
        assert float(score) == pytest.approx(row['score'], abs=1e-4)
        np.testing.assert_allclose(list(map(float, dota)), corners, atol=6e-3)
    again = run_quickly('tools/infer.py', *words[: -1 - len(TINY) - 1], '--resume', *words[-2 - len(TINY) :])
    assert again.returncode == 0 and '7 pairs are done already' in again.stdout
    assert json.loads((out / 'detections.json').read_text()) == data


def test_what_it_refuses(trained, infer, tmp_path):
    visible = trained / 'visible/test_001.png'
    for args, message in (
        (('--rgb', tmp_path / 'nowhere'), 'nowhere: no such file or folder'),
        (('--rgb', visible), 'test_001.png: wanted two images, two folders'),
        (('--rgb', trained, '--batch-size', 0), '--batch-size 0: wanted at least 1'),
        (('--rgb', trained, '--captions', 'x', '--captioner', 'photometric'), 'leave out the other'),
        (('--rgb', trained, '--json', trained / 'weights.pth'), 'the output is the input'),
        (('--rgb', trained, '--encoder', 'hashed'), 'says nothing without --captioner'),
    ):
        result = infer(*args, '--out', tmp_path / 'out')
        assert result.returncode == 1
        assert re.search(message, result.stderr), result.stderr
    lost = (*TINY, 'test_dataloader.dataset.caption_store=lost.safetensors')
    result = infer('--rgb', trained, '--captioner', 'photometric', '--out', tmp_path / 'out', options=lost)
    assert result.returncode == 1 and result.stderr.count('captions want a text encoder') == 1
    assert '--encoder hashed' in result.stderr and 'problem: ' not in result.stderr
    assert not (tmp_path / 'out').exists()
    for score in ('nan', '2', '-0.1', 'high'):
        result = infer('--rgb', trained, f'--score-thr={score}')
        assert result.returncode == 2 and f"wanted a score from 0 to 1, got '{score}'" in result.stderr
