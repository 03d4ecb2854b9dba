"""What a results file holds of an earlier run: taken over whole, or refused in a line."""

import json

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmslg.apis.detections_file import DetectionsFile, check_dota_names
from mmslg.errors import InputError
from mmslg.pairing import PairFiles

IDENTITY = dict(settings={'--score-thr': '0.3'}, files={})


@pytest.fixture
def pairs(tmp_path):
    made = [PairFiles(f'{i}.png', str(tmp_path / f'v{i}.png'), str(tmp_path / f'i{i}.png')) for i in '12']
    for pair in made:
        for path in pair[1:]:
            with open(path, 'w') as file:
                file.write(path)
    return made


@pytest.fixture
def start(tmp_path, pairs):
    def make(resume=True, identity=IDENTITY):
        return DetectionsFile(tmp_path / 'out.json', ('person', 'car'), identity, pairs, resume)

    return make


def sample():
    found = InstanceData(
        bboxes=torch.tensor([[1.0, 2.0, 5.0, 8.0]]), scores=torch.tensor([0.5]), labels=torch.tensor([1])
    )
    return DetDataSample(pred_instances=found, metainfo=dict(ori_shape=(32, 48)))


def test_both_forms_give_the_same_records(start, pairs, tmp_path):
    first = start()
    first.add(pairs[0].name, pairs[0].infrared, sample())
    with pytest.raises(InputError, match=r'out\.json\.partial: another run is writing it'):
        start()
    first.close()
    second = start()
    assert second.done == first.done and second.done['1.png']['boxes'] == [[1, 0.5, 1.0, 2.0, 5.0, 8.0]]
    second.add(pairs[1].name, pairs[1].infrared, sample())
    second.finish({})
    assert [path.name for path in tmp_path.glob('out.json*')] == ['out.json']
    third = start()
    assert third.done == second.done
    third.close()
    assert not (tmp_path / 'out.json.partial').exists()  # it held nothing that the file does not


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda data: data.update(info=None), 'does not say of which run it is'),
        (lambda data: data.update(info=dict(settings={}, files={})), 'holds another run'),
        (lambda data: data.pop('images'), 'were changed; remove the file'),
        (lambda data: data['annotations'][0].update(image_id=99), 'were changed'),
        (lambda data: data['annotations'][0].update(category_id=3), 'were changed'),
        (lambda data: data['annotations'][0].update(score='high'), 'were changed'),
        (lambda data: data['annotations'][0].update(bbox=[1, 2]), 'were changed'),
        (lambda data: data['images'][0].update(file_name=7), 'were changed'),
    ],
)
def test_a_finished_file_that_was_changed(start, pairs, tmp_path, change, message):
    results = start()
    results.add(pairs[0].name, pairs[0].infrared, sample())
    results.finish({})
    data = json.loads((tmp_path / 'out.json').read_text())
    change(data)
    (tmp_path / 'out.json').write_text(json.dumps(data))
    with pytest.raises(InputError, match=message):
        start()
    assert json.loads((tmp_path / 'out.json').read_text()) == data


HEAD = json.dumps(dict(run=IDENTITY))


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        (['[]'], 'line 1: wanted an object'),
        (['{}'], 'does not say of which run it is'),
        (['{"name": "1.png"}'], 'does not say of which run it is'),
        ([HEAD, 'half'], 'line 2: not valid JSON'),
        ([HEAD, '{"boxes": []}'], 'were changed'),
        ([HEAD, '{"name": "1.png", "boxes": []}'], 'were changed'),
        ([HEAD.replace('0.3', '0.4')], '--score-thr was 0.4 and is 0.3'),
    ],
)
def test_a_journal_of_something_else(start, tmp_path, lines, message):
    journal = tmp_path / 'out.json.partial'
    journal.write_text('\n'.join([*lines, '']))
    with pytest.raises(InputError, match=message):
        start()
    assert journal.read_text() == '\n'.join([*lines, ''])


def test_an_unfinished_run_is_not_thrown_away(start, pairs, tmp_path):
    results = start(resume=False)
    results.add_problem(pairs[0].name, 'torn')
    results.close()
    with pytest.raises(InputError, match='of an unfinished run; go on with --resume, or remove it'):
        start(resume=False)
    again = start()
    assert again.done == {}  # what failed is tried again
    again.close()


def test_names_that_are_one_in_dota_s_form():
    check_dota_names(['a/1.png', 'a_1.png', 'b 1.png'])
    with pytest.raises(InputError, match=r"'b 1\.png' and 'b_1\.png' are one name in DOTA's form, b_1"):
        check_dota_names(['b 1.png', 'b_1.png'])
