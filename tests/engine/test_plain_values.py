"""What a checkpoint holds beside tensors: MMEngine's own values come back, and nothing in a file runs."""

import datetime
import re
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer, MessageHub

from mmslg.engine.checkpoints import read_checkpoint
from mmslg.errors import InputError


def saved(path, **more):
    torch.save({'state_dict': {'w': torch.ones(2)}, **more}, path)
    return read_checkpoint(str(path))


def rewrite(path, change):
    """Change the pickle within a checkpoint."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    key = next(name for name in parts if name.endswith('data.pkl'))
    parts[key] = change(parts[key])
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def history(*values):
    made = HistoryBuffer()
    for count, value in enumerate(values, 1):
        made.update(value, count)
    return made


def test_values_of_numpy_and_mmengine_come_back(tmp_path):
    values = [np.float64(1.5), np.float32(2), np.int64(-5), np.bool_(True), np.str_('ab')]
    arrays = [
        np.arange(6.0).reshape(2, 3),
        np.arange(6.0).reshape(2, 3).T,
        np.array(['person', 'car']),
        np.array([True, False]),
        np.arange(3, dtype='>i4'),
        np.zeros((0, 3), np.float32),
    ]
    more = dict(cfg=ConfigDict(a=1, b=dict(c=(1, 2))), time=datetime.datetime(2024, 5, 6, 7, 8, 9, 10))
    read = saved(tmp_path / 'a.pth', values=values, arrays=arrays, **more)
    assert read['values'] == values and [type(v) for v in read['values']] == [type(v) for v in values]
    for found, array in zip(read['arrays'], arrays):
        assert found.dtype == array.dtype and np.array_equal(found, array)
        found[...] = found  # it may be written to
    assert read['cfg'] == {'a': 1, 'b': {'c': (1, 2)}} and type(read['cfg']['b']) is dict
    assert read['time'] == more['time']


def test_histories_go_on(tmp_path):
    """As MMEngine's message hub saves and takes them."""
    hub = MessageHub('one')
    for i in range(4):
        hub.update_scalar('train/loss', i * 0.5, i + 1)
    hub.update_info('iter', 4)
    read = saved(tmp_path / 'a.pth', message_hub=hub.state_dict())
    other = MessageHub('two')
    other.load_state_dict(read['message_hub'])
    loss = other.get_scalar('train/loss')
    assert type(loss) is HistoryBuffer and loss.mean() == 0.3 and loss.statistics('current') == 1.5
    loss.update(7.0)
    assert len(loss.data[0]) == 5 and other.get_info('iter') == 4


def test_what_is_shared_stays_shared_and_weights_keep_their_versions(tmp_path):
    shared = history(1.0)
    state = torch.nn.BatchNorm2d(2).state_dict()
    torch.save({'state_dict': state, 'twice': [shared, (shared,)]}, tmp_path / 'a.pth')
    read = read_checkpoint(str(tmp_path / 'a.pth'))
    assert read['twice'][0] is read['twice'][1][0]
    assert isinstance(read['state_dict'], OrderedDict)
    assert read['state_dict']._metadata == state._metadata


@pytest.mark.parametrize('core', [b'numpy.core', b'numpy._core'])
def test_files_of_either_numpy(tmp_path, core):
    """Published files come from NumPy 1, whose modules had other names."""
    path = tmp_path / 'a.pth'
    torch.save({'state_dict': {'w': torch.ones(1)}, 'loss': history(3.0), 'n': np.float64(2)}, path)
    rewrite(path, lambda words: re.sub(rb'numpy\._?core', core, words))
    read = read_checkpoint(str(path))
    assert read['loss'].current() == 3.0 and read['n'] == 2.0


# A pickle in torch's dialect, word by word.
HISTORY = b'cmmengine.logging.history_buffer\nHistoryBuffer\n'
DTYPE, ARRAY = b'cnumpy\ndtype\n', b'cnumpy\nndarray\n'
NEW = b')\x81'


def text(value):
    return b'X' + len(value).to_bytes(4, 'little') + value.encode()


def attribute(owner, name):
    return b'c__builtin__\ngetattr\n' + owner + text(name) + b'\x86R'


def called(name, *args):
    return b'c' + name + b'\n(' + b''.join(args) + b'tR'


def write_pickle(path, value):
    """Write a checkpoint whose entry ``x`` is made by these words."""
    torch.save({'state_dict': {'w': torch.ones(1)}}, path)
    rewrite(path, lambda words: words[:-1] + text('x') + value + b's.')


INIT = attribute(HISTORY, '__init__')
BUILTINS = HISTORY + NEW + attribute(INIT, '__builtins__') + b'b'  # an object with all of them as attributes
EXEC = attribute(BUILTINS, 'exec')
CODE = text("raise SystemExit('the pickle ran')")
REBUILD = b'torch._tensor\n_rebuild_from_type_v2'
ODD_TYPE = called(b'numpy\ndtype', text('f8'), b'\x89\x89') + (
    b'(K\x03' + text('<') + b'NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb'  # flags of an array of objects
)
ATTACKS = {
    'a function out of the builtins': called(REBUILD, EXEC, b'N', CODE + b'\x85', b'N'),
    'a method that a state brings': HISTORY + NEW + b'}' + text('__setstate__') + EXEC + b'sb' + CODE + b'b',
    'statistics of a history': HISTORY
    + NEW
    + b'}('
    + text('_log_history')
    + called(b'numpy.core.multiarray\n_reconstruct', ARRAY, b'K\x00\x85', text('b'))
    + text('statistics_methods')
    + b'}'
    + text('mean')
    + EXEC
    + b'sub',
    'another attribute': attribute(HISTORY, '__init__'),
    'the class of an object': attribute(HISTORY + NEW, '__class__'),
    'an attribute of a torch function': attribute(b'ctorch._utils\n_rebuild_tensor_v2\n', '__globals__'),
    'an item of a class': HISTORY + text('mean') + b'Ns',
    'a history of something': called(b'mmengine.logging.history_buffer\nHistoryBuffer', text('a'), b'N'),
    'a history through torch': called(REBUILD, HISTORY, HISTORY, b')', b'}' + text('real') + b'Ns'),
    'an array of objects': called(b'numpy.core.multiarray\n_reconstruct', ARRAY, b'K\x00\x85', text('b'))
    + (b'(K\x01K\x01\x85' + called(b'numpy\ndtype', text('O8'), b'\x89\x88') + b'\x89]Natb'),
    'an array of another class': called(
        b'numpy.core.multiarray\n_reconstruct', HISTORY, b'K\x00\x85', text('b')
    ),
    'a scalar of objects': called(
        b'numpy.core.multiarray\nscalar', called(b'numpy\ndtype', text('O8'), b'\x89\x88'), CODE
    ),
    'a type with fields': called(b'numpy\ndtype', b'}' + text('names') + b']s'),
    'a type that is written in Python': called(b'numpy\ndtype', text('(__import__("os"),)f8')),
    'a bytes of something': called(b'__builtin__\nbytes', b'J\xff\xff\xff\x7f'),
    'a date of something': called(b'datetime\ndatetime', text('now')),
    'eval': called(b'__builtin__\neval', CODE),
    'a system call': called(b'posix\nsystem', text('true')),
    'an import': called(b'importlib\nimport_module', text('antigravity')),
    'a partial': called(b'functools\npartial', EXEC, CODE),
}


@pytest.mark.parametrize('attack', ATTACKS)
def test_nothing_in_a_checkpoint_runs(tmp_path, attack):
    before = dict(HistoryBuffer._statistics_methods)
    write_pickle(tmp_path / 'a.pth', ATTACKS[attack])
    with pytest.raises(InputError, match='not a checkpoint that can be loaded safely') as caught:
        read_checkpoint(str(tmp_path / 'a.pth'))
    assert '\n' not in str(caught.value)
    assert HistoryBuffer._statistics_methods == before and np.dtype('f8').hasobject is False


def test_a_type_that_claims_to_hold_objects_is_a_plain_one(tmp_path):
    """NumPy would take the flags, and then read bytes as addresses."""
    number = called(b'numpy.core.multiarray\nscalar', ODD_TYPE, called(b'_codecs\nencode', text('\0' * 8)))
    write_pickle(tmp_path / 'a.pth', number)
    assert read_checkpoint(str(tmp_path / 'a.pth'))['x'] == 0.0
    assert not np.dtype('f8').hasobject


def test_a_value_within_itself_ends(tmp_path):
    endless = []
    endless.append((endless, history(1.0)))
    read = saved(tmp_path / 'a.pth', endless=endless)
    assert read['endless'][0][0] is read['endless']
