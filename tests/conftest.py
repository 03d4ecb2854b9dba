import numpy as np
import pytest
import torch
from helpers import ROOT, make_pairs
from helpers import run_tool as run


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


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(scope='session')
def run_tool():
    """Run a tool of the project as a user would; returns the finished process."""
    return run


@pytest.fixture
def pairs(tmp_path):
    """A small dataset with captions and a leaf config, leaf.py, for it; returns its folder."""
    return make_pairs(tmp_path / 'pairs')
