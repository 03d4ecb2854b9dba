"""Detectors with a dense head (ATSS, RTMDet, RetinaNet, ...) as one graph, suppression included."""

from __future__ import annotations

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder, DistancePointBBoxCoder
from torch import Tensor, nn

from mmslg.deployment.graphs import FeatureGraph
from mmslg.deployment.suppression import keep_best, keep_best_torch, spread_by_label

_STOCK = ('predict', 'predict_by_feat', '_predict_by_feat_single', '_bbox_post_process')


class DenseGraph(FeatureGraph):
    """A detector whose head predicts as ``mmdet.BaseDenseHead`` does, with a fixed number of outputs.

    Same steps and order: sigmoid or softmax, per level the ``nms_pre`` best above ``score_thr``, decoding,
    score factors, suppression per class, ``max_per_img``.

    Args:
        model: The detector; it is copied.
        size: See :class:`FeatureGraph`.
        for_onnx: Suppress by ONNX's node for the whole batch, else by torchvision's operator.
    """

    def __init__(self, model: nn.Module, size: tuple[int, int], for_onnx: bool = True) -> None:
        super().__init__(model, size)
        self.suppress = keep_best if for_onnx else keep_best_torch
        head = self.head = self.detector.bbox_head
        self.cfg = dict(head.test_cfg)
        with torch.no_grad():
            levels = head(self.features(*(*self.example(1), None)[:3]))[0]
        priors = head.prior_generator.grid_priors([level.shape[-2:] for level in levels], device='cpu')
        for index, prior in enumerate(priors):
            self.register_buffer(f'priors_{index}', prior.float())

    @staticmethod
    def fault(model: nn.Module) -> str | None:
        """Return why a detector cannot be written like this; None if it can."""
        head = getattr(model, 'bbox_head', None)
        if not isinstance(head, BaseDenseHead):
            return f'{type(model).__name__} has no dense head'
        if any(getattr(type(head), name) is not getattr(BaseDenseHead, name) for name in _STOCK):
            return f'{type(head).__name__} predicts in a way of its own'
        if type(head.bbox_coder) not in (DeltaXYWHBBoxCoder, DistancePointBBoxCoder):
            return f'{type(head.bbox_coder).__name__} decodes other boxes than upright ones'
        suppression = head.test_cfg.get('nms') or {}
        if suppression.get('type', 'nms') != 'nms' or suppression.get('class_agnostic'):
            return f'test_cfg.nms={dict(suppression)} is another suppression than nms per class'
        if head.test_cfg.get('min_bbox_size', 0) > 0:
            return 'test_cfg.min_bbox_size is in pixels of the original image, which a graph does not know'
        return None

    def forward(
        self, visible: Tensor, infrared: Tensor, text: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Detect in a batch.

        Args:
            visible: See :class:`FeatureGraph`.
            infrared: See there.
            text: See there.

        Returns:
            ``boxes`` ``(B, K, 4)`` as x1, y1, x2, y2 in pixels of the input, ``scores`` ``(B, K)`` in
            descending order, ``labels`` ``(B, K)``; rows without a detection have score 0 and label -1.
        """
        boxes, scores, labels, valid = self._candidates(self.head(self.features(visible, infrared, text)))
        if (
            self.cfg.get('min_bbox_size', -1) >= 0
        ):  # what lies outside of the image has been clipped to nothing
            valid = valid & (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])
        spread = spread_by_label(boxes, labels, valid)
        kept = valid & self.suppress(spread, scores, float(self.cfg['nms']['iou_threshold']))
        scores, order = torch.where(kept, scores, 0).topk(min(self.cfg['max_per_img'], scores.shape[1]))
        found = kept.gather(1, order)
        boxes = boxes.gather(1, order.unsqueeze(2).expand(-1, -1, 4)) * found.unsqueeze(2)
        return boxes, scores, torch.where(found, labels.gather(1, order), -1)

    def _candidates(self, outputs: tuple) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return boxes, scores, labels of the best of each level, and which of them are candidates at all."""
        levels = zip(*outputs)
        parts = [self._of_level(getattr(self, f'priors_{i}'), *level) for i, level in enumerate(levels)]
        boxes, scores, labels, valid = (torch.cat(values, 1) for values in zip(*parts))
        return boxes, scores, labels, valid

    def _of_level(
        self, priors: Tensor, cls_score: Tensor, bbox_pred: Tensor, factor: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        head = self.head
        scores = _rows(cls_score, head.cls_out_channels)
        scores = scores.sigmoid() if head.use_sigmoid_cls else scores.softmax(-1)[..., :-1]
        num_classes = scores.shape[-1]
        scores = scores.flatten(1)
        valid = scores > self.cfg.get('score_thr', 0)
        limit = self.cfg.get('nms_pre', -1)
        count = min(limit if limit > 0 else scores.shape[1], scores.shape[1])
        scores, best = torch.where(valid, scores, 0).topk(count)
        valid = valid.gather(1, best)
        place, labels = best // num_classes, best % num_classes
        deltas = _rows(bbox_pred, 4).gather(1, place.unsqueeze(2).expand(-1, -1, 4))
        width, height = self.size
        boxes = head.bbox_coder.decode(
            priors[place.flatten()], deltas.flatten(0, 1), max_shape=(height, width)
        ).view_as(deltas)
        if factor is not None:
            scores = scores * _rows(factor, 1).squeeze(2).sigmoid().gather(1, place)
        return boxes, scores, labels, valid


def _rows(maps: Tensor, width: int) -> Tensor:
    """Lay maps ``(B, A * width, H, W)`` out as ``(B, H * W * A, width)``."""
    return maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, width)
