"""What a worker does with a batch of pairs: detections, or a reason, for each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from mmslg.apis.pair_inferencer import Pair, PairInferencer
from mmslg.captions.schema import COMPONENTS
from mmslg.collections.detection_shards import SCHEMA
from mmslg.errors import InputError


class PairWorker:
    """An inferencer for batches of a list of pairs.

    Args:
        options: Arguments of :class:`~mmslg.apis.pair_inferencer.PairInferencer`.
        score_thr: Lowest score that is kept.
    """

    def __init__(self, options: Mapping[str, Any], score_thr: float) -> None:
        self._inferencer = PairInferencer(**options)
        self._score_thr = score_thr

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Detect in the pairs of a batch; one that cannot be read becomes a row with its reason."""
        rows, packed = [], []
        for pair in batch.to_pylist():
            row = dict(id=pair['id'], boxes=[], scores=[], labels=[], class_names=[], error=None)
            rows.append(row)
            try:
                packed.append((row, self._inferencer.pack(_pair(pair))))
            except (InputError, OSError) as error:
                row['error'] = ' '.join(str(error).split())
        inputs = [one for _, one in packed]
        samples = self._inferencer.predict_packed(inputs, self._score_thr) if packed else []
        for (row, _), sample in zip(packed, samples, strict=True):
            found = sample.pred_instances
            labels = found.labels.tolist()
            boxes = getattr(found.bboxes, 'tensor', found.bboxes)
            row.update(boxes=boxes.tolist(), scores=found.scores.tolist(), labels=labels)
            row['class_names'] = [self._inferencer.classes[label] for label in labels]
        return pa.Table.from_pylist(rows, SCHEMA)


def _pair(row: Mapping[str, Any]) -> Pair:
    caption = row['caption']
    if caption is not None and None in (parts := [caption[name] for name in COMPONENTS]):
        raise InputError(f'caption: {COMPONENTS[parts.index(None)]} is missing')
    return Pair(row['visible'], row['infrared'], row['id'], caption)
