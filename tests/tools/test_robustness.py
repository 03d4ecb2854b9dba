"""The whole tool on a toy model, beside tools/test.py."""

import json

import cv2
import pytest
from helpers import TINY, make_pairs, told, write_captions, write_leaf, write_weights

from mmslg.apis.launch import parse_options, read_config
from mmslg.apis.profiling import build_detector
from mmslg.datasets.corruptions import CORRUPTIONS
from mmslg.robustness.sheet import GAP, LABELS
from mmslg.visualization.boxes import fit_text, write_text

ONLY = ['pair/shift', 'infrared/low_light', 'missing/visible_zeros', 'caption']


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    folder = make_pairs(tmp_path_factory.mktemp('toy'))
    model = told(build_detector(read_config(str(folder / 'leaf.py'), parse_options(TINY))))
    for name, parameter in model.named_parameters():
        if name.endswith('gamma'):  # the infrared image is seen through these alone, and they start at zero
            parameter.data.fill_(1.0)
    write_weights(folder / 'toy.pth', model)
    return folder


@pytest.fixture
def robustness(toy, run_quickly):
    def run(out, *args):
        tool = 'tools/analysis/robustness.py'
        return run_quickly(
            tool, toy / 'leaf.py', toy / 'toy.pth', '--out', out, *args, '--cfg-options', *TINY
        )

    return run


def figures_of(folder):
    return {file.stem: json.loads(file.read_text())['figures'] for file in (folder / 'cells').iterdir()}


def test_severity_0_is_the_test_and_the_rest_repeats_itself(toy, robustness, run_quickly, tmp_path):
    out = tmp_path / 'out'
    done = robustness(out, '--only', *ONLY, '--severities', 0, 3)
    assert done.returncode == 0, done.stderr[-3000:]
    assert '11 tests of 3 pairs, 0 of them done before' in done.stdout

    tested = run_quickly(
        'tools/test.py',
        toy / 'leaf.py',
        toy / 'toy.pth',
        '--work-dir',
        tmp_path / 'test',
        '--cfg-options',
        *TINY,
    )
    assert tested.returncode == 0, tested.stderr[-3000:]
    (log,) = (tmp_path / 'test').glob('*/*.json')
    expected = {k: v for k, v in json.loads(log.read_text()).items() if k.startswith('coco/')}
    assert expected['coco/bbox_mAP_50'] > 0 and len(expected) == 9

    figures = figures_of(out)
    clean = ['clean-0', *(f'{name}-0' for name in ('pair-shift', 'infrared-low_light', 'caption-wrong'))]
    for cell in (*clean, 'missing-visible_zeros-0', 'caption-none-0'):
        assert {k: v for k, v in figures[cell].items() if v is not None} == {
            k: v for k, v in expected.items() if v == v
        }, cell
    changed = {cell: figures[cell] for cell in figures if not cell.endswith('-0')}
    names = ('pair-shift-3', 'infrared-low_light-3', 'missing-visible_zeros-1', 'caption-none-1')
    assert set(changed) == {*names, 'caption-wrong-1'}
    assert all(found != figures['clean-0'] for found in changed.values())

    rows = [json.loads(line) for line in (out / 'manifest/pair-shift-3.jsonl').read_text().splitlines()]
    assert [row['key'] for row in rows] == ['test_001.png', 'test_002.png', 'test_003.png']
    assert all(abs(row['dx']) + abs(row['dy']) == 8 and len(row['sha256']) == 64 for row in rows)
    told_by = [json.loads(line) for line in (out / 'manifest/caption-wrong-1.jsonl').read_text().splitlines()]
    assert all(row['caption_of'] not in (None, row['key']) for row in told_by)

    # Stopped and begun again: two cells are tested anew, and give the same figures and the same manifest.
    before = {file: file.read_bytes() for file in out.glob('manifest/*')}
    for cell in ('pair-shift-3', 'infrared-low_light-3'):
        (out / f'cells/{cell}.json').unlink()
    again = robustness(out, '--only', *ONLY, '--severities', 0, 3)
    assert again.returncode == 0, again.stderr[-3000:]
    assert '11 tests of 3 pairs, 9 of them done before' in again.stdout
    assert figures_of(out) == figures and {file: file.read_bytes() for file in before} == before
    report = json.loads((out / 'robustness.json').read_text())
    assert report['summary']['rows']['pair/shift']['values']['3'] == figures['pair-shift-3']['coco/bbox_mAP']
    assert '| `caption/none` |' in (out / 'robustness.md').read_text()
    assert cv2.imread(str(out / 'curves.png')).shape[1] > 1000

    other = robustness(out, '--only', *ONLY, '--seed', 1)
    assert other.returncode == 1 and other.stderr.strip().splitlines()[-1] == (
        f'error: {out}: holds another run (--seed was 0 and is 1); choose another --out'
    )
    assert figures_of(out) == figures


def test_a_sheet_and_then_the_first_pairs(robustness, tmp_path):
    out = tmp_path / 'part'
    done = robustness(out, '--sheet', 2, '--only', 'pair', 'missing')
    assert done.returncode == 0, done.stderr[-3000:]
    assert cv2.imread(str(out / 'sheet.png')) is not None
    assert [file.name for file in out.iterdir()] == ['sheet.png']
    done = robustness(out, '--first', 1, '--only', 'missing/infrared_mean', '--metric', 'coco/bbox_mAP_50')
    assert done.returncode == 0, done.stderr[-3000:]
    assert ', 1 pairs; boxes drawn in' in done.stdout and '2 tests of 1 pairs' in done.stdout
    assert 'only 1 of' not in done.stdout + done.stderr and '\ncoco/bbox_mAP_50:\n' in done.stdout
    assert json.loads((out / 'cells/clean-0.json').read_text())['pairs'] == 1


def test_a_sheet_says_what_each_picture_is(robustness, tmp_path, monkeypatch):
    written = []

    def write(picture, text, *how):
        written.append(text)
        write_text(picture, text, *how)

    monkeypatch.setattr('mmslg.robustness.sheet.write_text', write)
    missing = ['missing/visible_mean', 'missing/infrared_zeros', 'missing/infrared_mean']
    done = robustness(tmp_path, '--sheet', 1, '--only', 'infrared/jpeg_compression', *missing)
    assert done.returncode == 0, done.stderr[-3000:]
    assert written[:6] == [
        'clean',
        'visible',
        'infrared',
        'both',
        'infrared/jpeg_compression',
        'of ImageNet-C',
    ]
    assert written[6:-1] == [
        *'12345',
        'missing/visible',
        'as mean',
        'missing/infrared',
        'as zeros',
        'as mean',
    ]
    assert all(fit_text(name, LABELS - 2 * GAP, 0.5) == name for name in CORRUPTIONS)


KAIST = """
test_dataloader['dataset'].update(ann_file='annotations_kaist.json', caption_store='kaist.safetensors')
test_evaluator = dict(_delete_=True, type='mmslg.KAISTMissRateMetric', ann_file={!r})
val_evaluator = test_evaluator
"""


def test_late_frames_by_kaist_s_miss_rate(toy, run_quickly, tmp_path):
    data = json.loads((toy / 'annotations_test.json').read_text())
    names = {image['file_name']: f'set06/V000/I{image["id"]:05d}.png' for image in data['images']}
    for image in data['images']:
        for folder in ('visible', 'infrared'):
            new = toy / folder / names[image['file_name']]
            new.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes((toy / folder / image['file_name']).read_bytes())
        image['file_name'] = names[image['file_name']]
    for box in data['annotations']:
        box.update(occlusion=0, ignore=0)
    (toy / 'annotations_kaist.json').write_text(json.dumps(data))
    write_captions(toy / 'kaist.safetensors', list(names.values()))
    leaf = write_leaf(toy, name='kaist.py', more=KAIST.format(str(toy / 'annotations_kaist.json')))
    done = run_quickly(
        'tools/analysis/robustness.py', leaf, toy / 'toy.pth', '--out', tmp_path / 'out', '--only',
        'pair/delay', '--severities', 1, '--metric', 'kaist/all_all', '--cfg-options', *TINY,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'log-average miss rate in percent (matlab)' in done.stdout
    report = (tmp_path / 'out/robustness.md').read_text()
    assert '`kaist/all_all`, lower is better' in report and 'the visible image; boxes stay' in report
    rows = [json.loads(r) for r in (tmp_path / 'out/manifest/pair-delay-1.jsonl').read_text().splitlines()]
    keys = list(names.values())
    assert [(row['key'], row['of']) for row in rows] == [
        (keys[0], keys[0]),
        (keys[1], keys[0]),
        (keys[2], keys[1]),
    ]
    assert (
        0 <= json.loads((tmp_path / 'out/cells/clean-0.json').read_text())['figures']['kaist/all_all'] <= 100
    )


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (
            ['--only', 'visible/fogg'],
            '--only visible/fogg: no corruption is called so; did you mean visible/fog?',
        ),
        (['--first', '9'], '--first 9: the test set has 3 pairs'),
        (['--sheet', '4'], '--sheet 4: the test set has 3 pairs'),
        (['--metric', 'mAP', '--only', 'pair/shift'], '--metric mAP: the evaluator gives coco/bbox_mAP,'),
    ],
)
def test_faults_are_one_line(robustness, tmp_path, args, message):
    done = robustness(tmp_path / 'out', *args)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert f'error: {message}' in done.stderr.strip().splitlines()[-1]


def test_a_seed_below_zero_is_refused(run_quickly):
    done = run_quickly('tools/analysis/robustness.py', 'config.py', 'some.pth', '--seed', -1)
    assert done.returncode == 2
    assert "argument --seed: wanted a whole number from 0, got '-1'" in done.stderr


@pytest.mark.parametrize(
    ('differs', 'said'),
    [(dict(seed=1), 'seed is 1, this run has 0'), (dict(moved='the infrared image'), 'moved image is ')],
)
def test_what_does_not_compare_is_said_before_the_tests(robustness, tmp_path, differs, said):
    moved = 'the visible image; boxes stay those of the other one'
    report = dict(seed=0, moved=moved, config='other.py', summary=dict(metric='coco/bbox_mAP')) | differs
    (tmp_path / 'robustness.json').write_text(json.dumps(report))
    done = robustness(tmp_path / 'out', '--only', 'pair/shift', '--against', tmp_path)
    assert done.returncode == 1 and said in done.stderr.strip().splitlines()[-1]
    assert not (tmp_path / 'out').exists()
