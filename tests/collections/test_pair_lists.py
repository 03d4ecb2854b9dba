import json

import pytest

pa = pytest.importorskip('pyarrow', reason='large collections want pyarrow')

from mmslg.collections.detection_shards import SCHEMA, DetectionShards  # noqa: E402
from mmslg.collections.pair_lists import read_pair_list  # noqa: E402
from mmslg.errors import InputError  # noqa: E402

CAPTION = dict(environment='night', scene='street', objects='cars', thermal='high')
PAIRS = [
    dict(id='a', visible='v/a.png', infrared='/i/a.png', caption=CAPTION, day=1),
    dict(id='b', visible='v/b.png', infrared='i/b.png', caption=None, day=2),
]


def write(path, rows):
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return path


@pytest.mark.parametrize('form', ['jsonl', 'parquet'])
def test_a_list_in_either_form(tmp_path, form):
    path = tmp_path / f'pairs.{form}'
    if form == 'jsonl':
        write(path, PAIRS)
    else:
        pa.parquet.write_table(pa.Table.from_pylist(PAIRS), path)
    table, unused = read_pair_list(path)
    first, second = table.to_pylist()
    assert unused == ['day']
    assert (first['id'], first['visible'], first['infrared']) == ('a', f'{tmp_path}/v/a.png', '/i/a.png')
    assert first['caption'] == CAPTION and second['caption'] is None


@pytest.mark.parametrize(
    ('rows', 'message'),
    [
        ([dict(id='a', visible='v')], 'lacks infrared'),
        ([dict(id='a', visible='v', infrared='i')] * 2, "id 'a' is given more than once"),
        ([dict(id='a', visible='v', infrared='i'), dict(id='b', visible='v')], 'pair 2 has no infrared'),
        ([dict(id='a', visible=1, infrared='i')], 'visible: wanted texts'),
        ([dict(id='a', visible='v', infrared='i', caption='night')], 'caption: wanted an object'),
    ],
)
def test_a_faulty_list_is_one_line(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        read_pair_list(write(tmp_path / 'pairs.jsonl', rows))


@pytest.mark.parametrize('content', [b'', b'null\n', b'[1]\n', b'id,visible\n'])
def test_a_file_that_is_no_list(tmp_path, content):
    (tmp_path / 'pairs.jsonl').write_bytes(content)
    with pytest.raises(InputError, match='wanted an object a line, it begins with'):
        read_pair_list(tmp_path / 'pairs.jsonl')


def rows(*ids, error=None):
    empty = dict(boxes=[], scores=[], labels=[], class_names=[], error=error)
    return pa.Table.from_pylist([dict(id=name, **empty) for name in ids], SCHEMA)


def identity(threshold):
    return dict(settings={'--score-thr': threshold}, files={})


def test_shards_go_on_and_belong_to_one_run(tmp_path):
    folder = tmp_path / 'out'
    with pytest.raises(RuntimeError), DetectionShards(folder, identity('0.1'), rows=2) as shards:
        shards.add(rows('a', 'b'))
        shards.add(rows('c', error='torn'))
        with (
            pytest.raises(InputError, match='another run is writing'),
            DetectionShards(folder, identity('0.1')),
        ):
            pass
        raise RuntimeError
    (folder / '.part-000002-part-abcdefgh.parquet').write_bytes(b'half')
    with DetectionShards(folder, identity('0.1')) as shards:
        assert (shards.done, shards.failed) == ({'a', 'b', 'c'}, 1)
        shards.add(rows('d'))
    names = sorted(path.name for path in folder.iterdir())
    assert names == ['identity.json', *(f'part-00000{i}.parquet' for i in range(3))]
    with (
        pytest.raises(InputError, match=r'--score-thr was 0\.1 and is 0\.2'),
        DetectionShards(folder, identity('0.2')),
    ):
        pass
