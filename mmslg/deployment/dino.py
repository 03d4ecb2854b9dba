"""DINO as one graph: no suppression, the best queries are the detections."""

from __future__ import annotations

import torch
from mmdet.models.detectors import DINO
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from torch import Tensor, nn

from mmslg.deployment.graphs import FeatureGraph


class DinoGraph(FeatureGraph):
    """``mmdet.DINO`` with the outputs of :class:`DenseGraph`; the batch is fixed as well as the size."""

    @staticmethod
    def fault(model: nn.Module) -> str | None:
        """Return why a detector cannot be written like this; None if it can."""
        if type(model) is not DINO:  # DDQ-DETR, a DINO to Python, suppresses on its way
            return f'{type(model).__name__} is no DINO'
        return None if model.bbox_head.loss_cls.use_sigmoid else 'its scores come from a softmax'

    def forward(
        self, visible: Tensor, infrared: Tensor, text: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Detect in a batch; see :class:`DenseGraph`."""
        width, height = self.size
        shapes = dict(batch_input_shape=self.padded_size[::-1], img_shape=(height, width))
        samples = [DetDataSample(metainfo=shapes) for _ in range(len(visible))]
        feats = self.features(visible, infrared, text)
        head = self.detector.bbox_head
        logits, places = head(**self.detector.forward_transformer(feats, samples))
        scores, best = logits[-1].sigmoid().flatten(1).topk(head.test_cfg.get('max_per_img', places.shape[2]))
        query = torch.div(best, head.num_classes, rounding_mode='floor')
        boxes = bbox_cxcywh_to_xyxy(places[-1].gather(1, query.unsqueeze(2).expand(-1, -1, 4)))
        limit = boxes.new_tensor([width, height, width, height])
        boxes = torch.minimum((boxes * limit).clamp(min=0), limit)
        return boxes, scores, best % head.num_classes
