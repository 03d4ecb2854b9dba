"""Shards of detections: whose folder it is."""

import pytest

pa = pytest.importorskip('pyarrow', reason='large collections want pyarrow, see requirements/ray.txt')

from mmslg.collections.detection_shards import SCHEMA, DetectionShards  # noqa: E402
from mmslg.errors import InputError  # noqa: E402


def identity(threshold):
    return dict(settings={'--score-thr': repr(threshold)}, files={})


def test_a_folder_without_a_shard_is_given_back(tmp_path):
    with pytest.raises(KeyboardInterrupt), DetectionShards(tmp_path, identity(0.1)):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    row = dict(id='a', boxes=[], scores=[], labels=[], class_names=[], error=None)
    with DetectionShards(tmp_path, identity(0.2)) as shards:
        shards.add(pa.Table.from_pylist([row], SCHEMA))
    with pytest.raises(InputError, match='score-thr'), DetectionShards(tmp_path, identity(0.1)):
        pass
    with DetectionShards(tmp_path, identity(0.2)) as shards:
        assert shards.done == {'a'}
    assert len(list(tmp_path.glob('part-*.parquet'))) == 1
