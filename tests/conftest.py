import ast
import functools
import gc
import itertools
import os
import subprocess
import sys

import mmengine.fileio
import numpy as np
import pytest
import torch
from helpers import ROOT, make_pairs, run_here
from helpers import run_tool as run
from mmengine.config import Config

sys.path.append(str(ROOT / 'tools'))  # sample_scenes and reproduction lie there, beside their tools


def pytest_collection_modifyitems(items):
    """Files with slow tests come first, so that no process is left with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope='session')
def root():
    return ROOT


@pytest.fixture(scope='session')
def shared():
    """Real pairs beside the checkout; their licences keep them out of the project."""
    folder = ROOT.parent / 'shared' / 'data'
    if not folder.is_dir():
        pytest.skip('the real pairs of ../shared/data are not on this machine')
    return folder


def _check_syntax(text, **_):
    ast.parse(text)
    return text, True


@pytest.fixture(scope='session', autouse=True)
def _no_waiting():
    """Leave out what takes time in each of many runs, and changes nothing that a test can see.

    A run formats its config at least three times, which here has only to be Python. Each file that is
    written is seen onto the disk, for the day on which the machine fails. Each dataset and each training
    has the garbage collected, for which Python looks at all that the tests have imported, half a second:
    it is done every twentieth time. Each config over one of MMDetection's or MMRotate's own reads the index
    of all of theirs: it is read once.
    """
    collect, times = gc.collect, itertools.count(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('yapf.yapflib.yapf_api.FormatCode', _check_syntax)
        patch.setattr('mmengine.config.utils.load', functools.cache(mmengine.fileio.load))
        patch.setattr(os, 'fsync', os.fstat)  # which wants an open file as well
        patch.setattr(gc, 'collect', lambda *args: 0 if next(times) % 20 else collect(*args))
        yield


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(scope='session')
def run_tool():
    """Run a tool of the project as a user would; returns the finished process."""
    return run


@pytest.fixture
def run_quickly(monkeypatch, capfd):
    """As run_tool, in this process."""

    def run(tool, *args, env=None):
        monkeypatch.setattr(Config, 'pretty_text', 'the config')  # formatting it takes longest
        capfd.readouterr()
        code = run_here(tool.removeprefix('tools/'), monkeypatch, *args) or 0
        return subprocess.CompletedProcess(tool, code, *capfd.readouterr())

    return run


@pytest.fixture
def pairs(tmp_path):
    """A small dataset with captions and a leaf config, leaf.py, for it; returns its folder."""
    return make_pairs(tmp_path / 'pairs')


def _mounted(folder, *options):
    """Mount a file system of 1 MB in memory on a folder; return how to take it away again."""
    folder.mkdir()
    command = ['mount', '-t', 'tmpfs', '-o', ','.join(('size=1m', *options)), 'tmpfs', folder]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip('there is no mount here')
    if done.returncode:
        pytest.skip(f'mounting is not allowed here: {done.stderr.strip()}')
    return lambda: subprocess.run(['umount', '-l', folder], check=True)


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a disk of 1 MB that is full."""
    unmount = _mounted(tmp_path / 'full_disk')
    with open(tmp_path / 'full_disk' / 'filler', 'wb', buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(4096))
    yield tmp_path / 'full_disk'
    unmount()


@pytest.fixture
def read_only(tmp_path):
    """A folder that nobody, root included, can write to."""
    unmount = _mounted(tmp_path / 'read_only', 'ro')
    yield tmp_path / 'read_only'
    unmount()
