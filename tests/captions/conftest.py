import pytest


@pytest.fixture(scope='session')
def trained_qwen(tmp_path_factory):
    """Folder of a tiny Qwen2.5-VL that answers by brightness."""
    tiny_qwen = pytest.importorskip('captions.tiny_qwen')
    return tiny_qwen.build(tmp_path_factory.mktemp('qwen') / 'trained')


@pytest.fixture(scope='session')
def random_qwen(tmp_path_factory):
    """Folder of a tiny Qwen2.5-VL with random weights."""
    tiny_qwen = pytest.importorskip('captions.tiny_qwen')
    return tiny_qwen.build(tmp_path_factory.mktemp('qwen') / 'random', trained=False)
