import pytest
from mmengine.config import Config

from mmslg.apis.profiling import box_type, toy_data


def test_toy_boxes_are_of_the_kind_that_the_config_trains_on():
    pytest.importorskip('mmrotate')
    pipeline = [{'type': 'LoadAnnotations', 'with_bbox': True}, {'type': 'mmslg.PackPairedInputs'}]
    cfg = Config({'train_dataloader': {'dataset': {'pipeline': pipeline}}})
    assert box_type(cfg) == 'hbox'
    cfg.default_scope = 'mmrotate'
    assert box_type(cfg) == 'rbox'
    sample = toy_data(cfg, (64, 32), 1, None)['data_samples'][0]
    assert sample.gt_instances.bboxes.tensor.shape == (11, 5)
    to_corners = {'type': 'ConvertBoxType', 'box_type_mapping': {'gt_bboxes': 'qbox'}}
    cfg.train_dataloader.dataset.pipeline.insert(-1, to_corners)
    assert box_type(cfg) == 'qbox'
