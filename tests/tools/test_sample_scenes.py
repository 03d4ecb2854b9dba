from __future__ import annotations

import dataclasses
import json
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import ROOT

from mmslg.captions.schema import read_captions, time_of_day
from mmslg.errors import InputError
from mmslg.utils.io import read_json
from sample_scenes import dataset
from sample_scenes.canvas import Camera, Canvas, Painter
from sample_scenes.dataset import Plan, summary, write_scenes, write_sheet
from sample_scenes.description import describe
from sample_scenes.scene import CATEGORIES, Scene, SceneObject, render_scene
from sample_scenes.street import Street
from sample_scenes.visibility import rim_contrast, seen_in, spot_share
from sample_scenes.weather import CONDITIONS, condition_of, draw_weather

TOOL = ROOT / 'tools' / 'make_sample_scenes.py'
SMALL = Plan(train=3, test=2, size=(160, 128), seed=5)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


def run_tool(*args: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, args)],
        capture_output=True,
        text=True,
        env=os.environ | {'PYTHONPATH': str(ROOT)},
    )


def run_here(monkeypatch, *args: object) -> int:
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, args)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(TOOL), run_name='__main__')
    return ended.value.code


@pytest.fixture(scope='module')
def scenes():
    return [render_scene(0, 'train', index) for index in range(60)]


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    out = tmp_path_factory.mktemp('scenes') / 'small'
    assert write_scenes(out, SMALL, workers=1)
    return out


def test_any_number_of_workers_gives_the_same_bytes(small, tmp_path):
    write_scenes(tmp_path / 'again', SMALL, workers=2)
    again = contents(tmp_path / 'again')
    assert len(again) == 2 * 5 + 2
    assert again == contents(small)


def test_seed_split_and_index_give_other_scenes():
    one = render_scene(5, 'train', 0, (160, 128))
    same = render_scene(5, 'train', 0, (160, 128))
    assert (one.visible == same.visible).all() and (one.infrared == same.infrared).all()
    for other in ((6, 'train', 0), (5, 'test', 0), (5, 'train', 1)):
        assert (render_scene(*other, (160, 128)).visible != one.visible).mean() > 0.5


def test_files_follow_the_paired_coco_form(small):
    ids = []
    for split, count in (('train', 3), ('test', 2)):
        data = json.loads((small / f'annotations_{split}.json').read_text())
        assert data['categories'] == [
            {'id': 1, 'name': 'person'},
            {'id': 2, 'name': 'car'},
            {'id': 3, 'name': 'bicycle'},
        ]
        assert data['info']['label_modality'] == 'both'
        assert data['info']['seed'] == 5 and data['info']['size'] == [160, 128]
        assert len(data['images']) == count
        for image in data['images']:
            ids.append(image['id'])
            assert image['condition'] in CONDITIONS and image['time'] in ('day', 'night')
            colour = cv2.imread(str(small / 'visible' / image['file_name']), cv2.IMREAD_UNCHANGED)
            heat = cv2.imread(str(small / 'infrared' / image['file_name_ir']), cv2.IMREAD_UNCHANGED)
            assert colour.shape == (image['height'], image['width'], 3) == (128, 160, 3)
            assert heat.shape == (128, 160) and heat.dtype == np.uint8
        boxes = data['annotations']
        assert [box['id'] for box in boxes] == list(range(1, len(boxes) + 1))
        assert {box['image_id'] for box in boxes} <= {image['id'] for image in data['images']}
        for box in boxes:
            x, y, w, h = box['bbox']
            assert x >= 0 and y >= 0 and x + w <= 160 and y + h <= 128 and w > 0 and h > 0
            assert box['area'] == w * h and box['iscrowd'] == 0
            assert box['visible_in'] in ('both', 'visible', 'infrared')
            assert 0.3 <= box['visibility'] <= 1
    assert ids == [1, 2, 3, 4, 5]


@pytest.mark.parametrize('category', CATEGORIES)
def test_the_box_of_an_object_is_tight(scenes, category):
    found = [item for scene in scenes for item in scene.objects if item.category == category]
    assert len(found) > 40
    for item in found:
        x, y, w, h = item.bbox
        inside = np.zeros_like(item.mask)
        inside[y : y + h, x : x + w] = True
        assert not (item.mask & ~inside).any()
        for edge in (item.mask[y], item.mask[y + h - 1], item.mask[:, x], item.mask[:, x + w - 1]):
            assert edge.any()
        assert item.mask.shape == (256, 320)
    assert np.mean([item.mask.sum() > 30 for item in found]) > 0.95


def test_a_painted_rectangle_covers_its_pixels_and_hides_what_is_behind():
    canvas = Canvas(Camera(focal=100, centre=50, horizon=40, height=1.5, shape=(80, 100)))
    painter = Painter(canvas)

    def rectangle(left, top, right, bottom):
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)

    painter.polygon(rectangle(10, 20, 29, 49), (10, 20, 30), 20.0)
    whole = painter.commit(9.0, owner=1)
    painter.polygon(rectangle(20, 20, 39, 49), (10, 20, 30), 20.0)
    painter.commit(8.0, owner=2)
    painter.polygon(rectangle(-20, 20, 4, 49), (10, 20, 30), 20.0)
    cut = painter.commit(7.0, owner=3)
    assert whole == 20 * 30
    assert (canvas.owner == 1).sum() == 10 * 30
    assert cut == 25 * 30 and (canvas.owner == 3).sum() == 5 * 30
    assert canvas.depth[30, 15] == 9 and canvas.depth[30, 25] == 8
    assert canvas.surface[30, 15].tolist() == [10, 20, 30, (20 + 20) * 3.5]


def test_cold_things_take_the_temperature_of_the_backdrop_not_of_what_they_hide():
    canvas = Canvas(Camera(focal=100, centre=50, horizon=40, height=1.5, shape=(80, 100)))
    canvas.surface[..., 3] = 100
    canvas.freeze()
    square = np.array([(10, 10), (50, 10), (50, 50), (10, 50)], float)
    for owner, thermal in ((1, 1.0), (2, 0.0)):
        painter = Painter(canvas)
        painter.polygon(square, (0, 0, 255), 40.0)
        painter.commit(10.0 - owner, owner, thermal=thermal)
    assert canvas.surface[30, 30].tolist() == [0, 0, 255, 100]


def test_masks_lie_on_the_objects_in_both_images(scenes):
    """Moved aside, a mask has less contrast: the images are aligned with it and with each other."""

    def contrast(image, mask):
        ring = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        ring &= ~(cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
        image = image.reshape(*mask.shape, -1).astype(float)
        return np.abs(np.median(image[mask], 0) - np.median(image[ring], 0)).mean()

    wins = {'visible': [], 'infrared': []}
    for scene in scenes:
        for item in scene.objects:
            x, _, w, h = item.bbox
            step = w + 6
            if item.visible_in != 'both' or item.category == 'bicycle' or h < 20 or item.visibility < 0.9:
                continue
            moved = np.roll(item.mask, step if x + w + step < 320 else -step, 1)
            for name in wins:
                image = getattr(scene, name)
                wins[name].append(contrast(image, item.mask) > contrast(image, moved))
    for name, found in wins.items():
        assert len(found) > 30
        assert np.mean(found) > 0.75, name


def test_a_fusing_detector_is_needed(scenes):
    seen = [item.visible_in for scene in scenes for item in scene.objects]
    for name in ('visible', 'infrared'):
        assert 0.2 <= seen.count(name) / len(seen) <= 0.4, name
    assert sum(scene.unseen for scene in scenes) <= 0.03 * len(seen)
    assert 3 <= len(seen) / len(scenes) <= 8
    categories = [item.category for scene in scenes for item in scene.objects]
    assert min(categories.count(name) for name in CATEGORIES) > 0.15 * len(seen)
    longest = [max(item.bbox[2:]) for scene in scenes for item in scene.objects]
    assert np.mean([16 <= side <= 110 for side in longest]) > 0.95


def test_the_physics_of_the_conditions(scenes):
    seen = {}
    for scene in scenes:
        for item in scene.objects:
            if item.category == 'person':
                seen.setdefault(scene.condition, []).append(item.visible_in)
    assert set(seen) == set(CONDITIONS)
    assert seen['crossover'].count('visible') > 0.8 * len(seen['crossover'])
    assert seen['night'].count('visible') == 0  # people are warm
    assert seen['night'].count('infrared') > 0.3 * len(seen['night'])
    nights = [scene.visible.mean() for scene in scenes if scene.condition == 'night']
    days = [scene.visible.mean() for scene in scenes if scene.condition == 'day']
    assert max(nights) < 60 < 90 < min(days)


def test_conditions_are_spread_evenly():
    names = [condition_of(7, 0, index) for index in range(100)]
    assert [names.count(name) for name in CONDITIONS] == pytest.approx([22, 28, 12, 10, 28], abs=2)


def test_contrast_of_a_plain_square():
    image = np.full((60, 60), 60, np.uint8)
    mask = np.zeros((60, 60), bool)
    mask[20:40, 20:40] = True
    nothing = np.zeros_like(mask)
    image[mask] = 100
    assert rim_contrast(image, mask, nothing) == pytest.approx(40, abs=0.01)
    assert spot_share(image, mask, nothing) == pytest.approx(18**2 / 20**2)  # the rim is averaged away
    colour = np.dstack([image, np.full_like(image, 7), np.full_like(image, 7)])
    assert rim_contrast(colour, mask, nothing) == pytest.approx(40 / 3, abs=0.01)
    assert rim_contrast(image, mask, ~mask) == 0


@pytest.mark.parametrize(
    ('colour', 'heat', 'expected'), [(5, 5, None), (20, 5, 'visible'), (5, 20, 'infrared'), (20, 20, 'both')]
)
def test_which_camera_sees_a_square_is_measured(colour, heat, expected):
    mask = np.zeros((60, 60), bool)
    mask[20:40, 20:40] = True
    visible, infrared = (np.where(mask, 60 + rise, 60).astype(np.uint8) for rise in (colour, heat))
    assert seen_in(np.dstack([visible] * 3), infrared, mask, np.zeros_like(mask)) == expected


def test_lamps_alone_make_an_object_seen():
    image = np.full((60, 60), 60, np.uint8)
    mask = np.zeros((60, 60), bool)
    mask[20:40, 20:40] = True
    image[28:33, 28:33] = 250
    nothing = np.zeros_like(mask)
    assert rim_contrast(image, mask, nothing) < 10
    assert 0.02 < spot_share(image, mask, nothing) < 0.2


def test_a_second_run_does_nothing(small):
    before = {path: path.stat().st_mtime_ns for path in small.rglob('*')}
    assert write_scenes(small, SMALL, workers=1) is False
    assert {path: path.stat().st_mtime_ns for path in small.rglob('*')} == before


@pytest.mark.parametrize('changed', [{'seed': 6}, {'train': 4}, {'size': (176, 128)}, {'condition': 'day'}])
def test_other_arguments_are_refused(small, changed):
    before = contents(small)
    with pytest.raises(InputError, match='holds other scenes'):
        write_scenes(small, Plan(**({'train': 3, 'test': 2, 'size': (160, 128), 'seed': 5} | changed)), 1)
    assert contents(small) == before


def test_one_condition_alone(tmp_path):
    write_scenes(tmp_path / 'fog', Plan(train=4, test=1, size=(160, 128), seed=5, condition='fog'), 1)
    data = read_json(tmp_path / 'fog/annotations_train.json')
    assert {image['condition'] for image in data['images']} == {data['info']['condition']} == {'fog'}
    first = cv2.imread(str(tmp_path / 'fog/visible/scene_00001.jpg'))
    drawn = render_scene(5, 'train', 0, (160, 128), 'fog').visible
    assert np.abs(first.astype(int) - drawn).mean() < 3  # a JPEG of it
    with pytest.raises(InputError, match=r'the condition has to be one of day, night, .*, got dusk'):
        Plan(condition='dusk')


def test_a_lost_image_is_noticed(tmp_path):
    plan = Plan(train=1, test=1, size=(160, 128))
    write_scenes(tmp_path / 'out', plan, 1)
    (tmp_path / 'out' / 'infrared' / 'scene_00002.jpg').unlink()
    with pytest.raises(InputError, match=r'infrared/scene_00002\.jpg is missing'):
        write_scenes(tmp_path / 'out', plan, 1)


def test_a_failed_run_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError('disk full')

    monkeypatch.setattr(dataset, 'write_json', fail)
    with pytest.raises(OSError, match='disk full'):
        write_scenes(tmp_path / 'out', Plan(train=1, test=1, size=(160, 128)), 1)
    assert list(tmp_path.iterdir()) == []


def test_the_tool_refuses_a_foreign_folder(tmp_path):
    out = tmp_path / 'mine'
    out.mkdir()
    (out / 'notes.txt').write_text('keep me')
    done = run_tool(out, '--train', 1, '--test', 1, '--size', '160x128', '--workers', 1)
    assert done.returncode == 1 and done.stdout == ''
    assert done.stderr.startswith('error: ') and done.stderr.count('\n') == 1
    assert 'not empty' in done.stderr and str(out) in done.stderr
    assert contents(tmp_path) == {'mine/notes.txt': b'keep me'}
    assert [path.name for path in tmp_path.iterdir()] == ['mine']


def test_the_tool_writes_scenes_table_and_sheet(small, tmp_path):
    sheet = tmp_path / 'sheet.png'
    options = ('--train', 3, '--test', 2, '--size', '160x128', '--seed', 5, '--workers', 1)
    done = run_tool(tmp_path / 'out', *options, '--sheet', sheet)
    assert done.returncode == 0, done.stderr
    assert '5/5 scenes' in done.stderr and done.stdout.startswith(summary(small))
    assert contents(tmp_path / 'out') == contents(small)
    assert cv2.imread(str(sheet)).shape[1] > 5 * 160


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--size', '20x20'), '160 to 1920'),
        (('--train', '0'), 'at least 1 train'),
        (('--workers', '0'), 'at least 1 worker'),
        (('--seed', '-1'), '0 or more'),
        (('--sheet', 'sheet.txt'), 'png'),
    ],
)
def test_the_tool_says_bad_arguments_in_one_line(tmp_path, options, message, monkeypatch, capsys):
    code = run_here(monkeypatch, tmp_path / 'out', *options)
    said = capsys.readouterr().err
    assert code == 1
    assert said.count('\n') == 1 and message in said
    assert list(tmp_path.iterdir()) == []


def test_the_sheet_wants_an_image_name(small):
    with pytest.raises(InputError, match='png'):
        write_sheet(small, 'sheet.gif')


@pytest.mark.parametrize(('split', 'condition'), [('val', None), ('train', 'snow')])
def test_unknown_names_are_refused(split, condition):
    with pytest.raises(ValueError, match='has to be'):
        render_scene(0, split, 0, condition=condition)


def test_a_size_of_another_form_is_a_matter_of_the_command_line(tmp_path, monkeypatch, capsys):
    assert run_here(monkeypatch, tmp_path / 'out', '--size', '320') == 2
    assert 'wanted WIDTHxHEIGHT' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_tool_says_that_there_is_nothing_to_do(small, monkeypatch, capsys):
    options = ('--train', 3, '--test', 2, '--size', '160x128', '--seed', 5)
    assert run_here(monkeypatch, small, *options) == 0
    assert f'{small}: complete, nothing to do' in capsys.readouterr().out


def item(category: str, distance: float, warm: bool) -> SceneObject:
    return SceneObject(category, (1, 2, 9, 9), np.zeros((1, 1), bool), 'both', 1.0, distance, warm)


def scene_of(condition: str, objects: list, night: bool, lamps: int = 0, ambient: float = 15.0) -> Scene:
    """A scene of which only what the caption tells is filled in."""
    weather = dataclasses.replace(
        draw_weather(np.random.default_rng(0), 'day'),
        condition=condition,
        night=night,
        ambient=ambient,
        sun=None,
    )
    street = Street(-7, 4, -1.6, 3, 9.0 if night else None, lamps=[None] * lamps)
    image = np.zeros((1, 1), np.uint8)
    return Scene(image, image, objects, 'night' if night else 'day', condition, 0, weather, street)


@pytest.mark.parametrize(
    ('scene', 'expected'),
    [
        (
            scene_of(
                'night',
                [item('car', 18.0, False), item('person', 17.9, True), item('person', 11.9, True)],
                night=True, lamps=1, ambient=9.9,
            ),
            (
                'artificially lit night, cold air',
                'urban street with a zebra crossing, 1 lamp',
                '2 persons, 1 car: near person, middle person, far car',
                'high thermal contrast: warm person, warm person, cold car',
            ),
        ),
        (
            scene_of('crossover', [item('bicycle', 12.0, False)], night=False, ambient=26),
            (
                'overcast daylight, warm air',
                'urban street',
                '1 bicycle: middle bicycle',
                'thermal crossover, everything as cold as the street',
            ),
        ),
        (
            scene_of('fog', [], night=False),
            ('foggy daylight, mild air', 'urban street', 'no visible objects', 'low thermal contrast'),
        ),
        (
            scene_of('glare', [item('car', 9, False)], night=True),
            (
                'night with strong glare, mild air',
                'urban street with a zebra crossing',
                '1 car: near car',
                'low thermal contrast: cold car',
            ),
        ),
    ],
)  # fmt: skip
def test_the_oracle_says_what_the_generator_knows(scene, expected):
    assert describe(scene).components() == expected


def test_captions_of_the_oracle_belong_to_the_annotations(small, tmp_path, monkeypatch, capsys):
    options = ('--train', 3, '--test', 2, '--size', '160x128', '--seed', 5, '--workers', 1)
    before = contents(small)
    assert run_here(monkeypatch, small, *options, '--captions', tmp_path / 'oracle.jsonl') == 0
    assert f'captions: {tmp_path / "oracle.jsonl"}' in capsys.readouterr().out and contents(small) == before
    records = read_captions(tmp_path / 'oracle.jsonl')
    told = {name: record.caption.objects for name, record in records.items()}
    for split in ('train', 'test'):
        data = json.loads((small / f'annotations_{split}.json').read_text())
        for image in data['images']:
            boxes = [box['category_id'] for box in data['annotations'] if box['image_id'] == image['id']]
            counts = [(boxes.count(i), name) for i, name in enumerate(CATEGORIES, 1)]
            words = ', '.join(f'{number} {name}{"s" * (number > 1)}' for number, name in counts if number)
            caption = records[image['file_name']].caption
            assert told.pop(image['file_name']).split(':')[0] == words
            assert time_of_day(caption) == image['time']
            assert ('crossover' in caption.thermal) == (image['condition'] == 'crossover')
    assert not told


def test_neither_torch_nor_openmmlab_is_needed():
    code = 'import sys; sys.path.append("tools"); import make_sample_scenes; print(*sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {'torch', 'mmengine', 'mmcv', 'mmdet', 'matplotlib'} & set(done.stdout.split())


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('', 'wanted a folder, got an empty name'),
        ('file', 'file: wanted a folder, this is a file'),
        ('file/out', 'out: a part of the path is a file, and no folder'),
        ('x' * 300, 'the name is too long; choose a shorter one'),
    ],
)
def test_an_impossible_folder_is_one_line(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').write_text('x')
    with pytest.raises(InputError, match=message):
        write_scenes(name, SMALL, 1)
    assert [path.name for path in tmp_path.iterdir()] == ['file']


def test_a_full_disk_and_a_read_only_one_are_one_line_and_nothing_is_left(full_disk, read_only):
    with pytest.raises(InputError, match='full_disk/out: the disk is full; make room or write elsewhere'):
        write_scenes(full_disk / 'out', SMALL, 1)
    assert [path.name for path in full_disk.iterdir()] == ['filler']
    with pytest.raises(InputError, match='read_only/out: the disk is read-only; write elsewhere'):
        write_scenes(read_only / 'out', SMALL, 1)


@pytest.fixture
def drawing(tmp_path):
    """A run of the tool with two workers that has begun to draw: the process, and those of its workers."""
    options = ['--train', '400', '--test', '1', '--size', '160x128']
    process = subprocess.Popen(
        [sys.executable, str(TOOL), str(tmp_path / 'out'), *options],
        env=os.environ | {'PYTHONPATH': str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    while not list(tmp_path.glob('.out.partial/visible/*')):
        assert process.poll() is None
        time.sleep(0.05)
    children = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
    assert len(children) >= 2
    yield process, [int(child) for child in children]
    process.kill()
    process.wait()


def wait_until_gone(pids):
    deadline = time.monotonic() + 120
    while any(Path(f'/proc/{pid}').exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if Path(f'/proc/{pid}').exists()]


def test_termination_leaves_neither_workers_nor_a_folder(tmp_path, drawing):
    process, children = drawing
    process.terminate()
    assert process.wait(timeout=300) == 143
    assert b'Traceback' not in process.stderr.read()
    wait_until_gone(children)
    assert list(tmp_path.iterdir()) == []


def test_workers_of_a_killed_run_leave_and_the_next_run_cleans_up(tmp_path, drawing):
    process, children = drawing
    with pytest.raises(InputError, match='out: another run is drawing it; wait, or name another folder'):
        write_scenes(tmp_path / 'out', SMALL, 1)
    process.kill()
    process.wait()
    wait_until_gone(children)
    assert [path.name for path in tmp_path.iterdir()] == ['.out.partial']
    write_scenes(tmp_path / 'out', SMALL, 1)
    assert [path.name for path in tmp_path.iterdir()] == ['out']
    assert len(contents(tmp_path)) == 2 * 5 + 2
