"""Pairs of a visible and an infrared image with boxes in COCO form, and the captions that belong to them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.datasets.base_det_dataset import BaseDetDataset
from mmengine.logging import print_log

from mmslg.annotations import Annotations, ImagePair, check_classes, check_files, corners_of, read_annotations
from mmslg.captions.lookup import CaptionLookup
from mmslg.captions.variants import VARIANTS
from mmslg.errors import InputError
from mmslg.registry import DATASETS

BOX_TYPES = ('hbox', 'qbox')
UPRIGHT_ALONE = (
    "oriented boxes taken as upright ones (box_type='qbox' and a head for them, as in "
    'configs/slgnet_mini_oriented.py, keep their angle)'
)
STEPS = (
    *('visible', 'photometric', 'infrared', 'corruption', 'infrared_photometric', 'boxes', 'crop', 'resize'),
    *('rotate', 'augment', 'flip', 'filter', 'ground_truth', 'pack'),
)
"""The steps of a pipeline in their order: a dumped config has its keys sorted. Boxes that are loaded behind
``resize``, as ``ground_truth``, stay in pixels of the original image."""


@DATASETS.register_module()
class PairedCocoDataset(BaseDetDataset):
    """Aligned visible-infrared pairs, annotated in one COCO JSON file, each with its caption.

    :mod:`mmslg.annotations` says what the file holds and where the images lie. A missing image, a class that
    the file does not know or lists in another order (labels would be swapped), a pair without a caption are
    errors before training starts. What is left out on purpose is counted and printed.

    Args:
        ann_file: Annotations, absolute or below ``data_root``.
        data_root: Folder of the dataset.
        data_prefix: Folders ``img`` and ``ir`` in the place of those that the annotations name.
        metainfo: ``dict(classes=(...))``, in the order of the file.
        pipeline: The transforms by the names of their steps, those of ``STEPS``, so that an inheriting config
            can change one of them: ``dict(resize=dict(scale=(640, 512)))``. A step that is None is left out,
            one that is a list stands for several transforms. A plain list of transforms does as well.
        caption_store: File or files that ``tools/captions/encode.py`` wrote, absolute or below ``data_root``;
            None loads no captions.
        caption_variant: Which caption a pair gets, see :mod:`mmslg.captions.variants`.
        caption_seed: Decides who gets whose caption when they are shuffled.
        box_type: ``hbox`` for upright boxes, or ``qbox`` for oriented ones: the corners that the annotations
            give, else those of ``bbox``, counted and printed.
        filter_cfg: For training, ``filter_empty_gt=True`` leaves out pairs without boxes, ``min_size`` those
            whose shorter side has fewer pixels.
        **kwargs: Arguments of ``mmengine.dataset.BaseDataset``.

    Raises:
        InputError: The annotations, the images or the captions are not what they should be.
    """

    METAINFO: dict = {}

    def __init__(
        self,
        ann_file: str = '',
        data_root: str = '',
        data_prefix: Mapping[str, str] | None = None,
        pipeline: Mapping[str, Any] | Sequence[Any] = (),
        caption_store: str | Sequence[str] | None = None,
        caption_variant: str = 'structured',
        caption_seed: int = 0,
        box_type: str = 'hbox',
        **kwargs: Any,
    ) -> None:
        if box_type not in BOX_TYPES:
            raise InputError(f'box_type must be one of {BOX_TYPES}, got {box_type!r}')
        self._box_type = box_type
        self._folders = data_prefix
        if caption_variant not in VARIANTS or (caption_store is None and caption_variant != 'structured'):
            raise InputError(
                f'caption_variant={caption_variant!r} wants a caption_store, and to be one of '
                f'{", ".join(VARIANTS)}'
            )
        if not isinstance(ann_file, str) or not isinstance(data_root, (str, type(None))):
            raise InputError(f'wanted paths as ann_file and data_root, got {ann_file!r} and {data_root!r}')
        if data_root and not os.path.isabs(ann_file) and not os.path.isdir(data_root):
            raise InputError(f'data_root={data_root!r}: no such folder')
        stores = [caption_store] if isinstance(caption_store, str) else caption_store or []
        if not isinstance(stores, (list, tuple)) or not all(isinstance(store, str) for store in stores):
            raise InputError(f'caption_store={caption_store!r}: wanted a file, or a list of files')
        if not isinstance(caption_seed, int) or caption_seed < 0:
            raise InputError(f'caption_seed={caption_seed!r}: wanted a whole number from 0')
        self._captions = None
        if stores:
            stores = [os.path.join(data_root or '', store) for store in stores]
            self._captions = CaptionLookup(stores, caption_variant, caption_seed)
        super().__init__(
            ann_file=ann_file, data_root=data_root, data_prefix={}, pipeline=list_steps(pipeline), **kwargs
        )

    def load_data_list(self) -> list[dict]:
        """Read the annotations, and look for the images and captions.

        Returns:
            One dict a pair: ``img_path``, ``ir_path``, ``file_name`` (its key), ``img_id``, ``width`` and
            ``height`` in pixels, ``crop``, ``time`` and ``instances``.
        """
        annotations = read_annotations(self.ann_file, self.data_root or None, self._folders)
        classes = self.metainfo.get('classes') or ()
        check_classes(annotations, classes)
        check_files(annotations.pairs)
        if self._captions is not None:
            self._captions.check(pair.key for pair in annotations.pairs)
        notes: Counter[str] = Counter(annotations.tolerated)
        instances = self._instances(annotations, notes)
        num_boxes = sum(not box['ignore_flag'] for boxes in instances.values() for box in boxes)
        if self._box_type == 'hbox' and annotations.oriented:
            notes[UPRIGHT_ALONE] = num_boxes
        print_log(
            f'{self.ann_file}: {len(annotations.pairs)} pairs, {num_boxes} boxes of {", ".join(classes)}; '
            f'boxes drawn in: {annotations.label_modality}'
            + ''.join(f'; {number} {what}' for what, number in sorted(notes.items())),
            'current',
        )
        if not num_boxes and not self.test_mode:
            raise InputError(f'{self.ann_file}: no box of {", ".join(classes)} to learn from')
        return [_data_info(pair, instances[pair.id]) for pair in annotations.pairs]

    def _instances(self, annotations: Annotations, notes: Counter[str]) -> dict[int, list[dict]]:
        """Return the boxes of each pair in the form of the pipelines; count what falls away."""
        names = {category['id']: category['name'] for category in annotations.data['categories']}
        labels = {name: label for label, name in enumerate(self.metainfo['classes'])}
        instances: dict[int, list[dict]] = {pair.id: [] for pair in annotations.pairs}
        for box in annotations.data['annotations']:
            x, y, width, height = box['bbox']
            if names[box['category_id']] not in labels:
                notes['boxes of other classes, left out'] += 1
            elif box.get('ignore'):
                notes['ignored boxes, left out'] += 1
            elif min(width, height) < 1:
                notes['boxes narrower than a pixel, left out'] += 1
            else:
                corners = [x, y, x + width, y + height]
                if self._box_type == 'qbox':
                    corners = self._corners(box, notes)
                    if _area(corners) < 1:
                        notes['boxes whose corners enclose less than a pixel, left out'] += 1
                        continue
                instances[box['image_id']].append(
                    dict(
                        ignore_flag=box['iscrowd'],
                        bbox=corners,
                        bbox_label=labels[names[box['category_id']]],
                    )
                )
        return instances

    def _corners(self, box: dict, notes: Counter[str]) -> list[float]:
        """Return the four corners of a box, x1, y1, ..., x4, y4."""
        corners = corners_of(box)
        if corners is None and box.get('segmentation'):
            raise InputError(
                f'{self.ann_file}: the segmentation of annotation {box["id"]} is not one polygon of four '
                'corners; oriented boxes want [[x1, y1, ..., x4, y4]], as tools/convert.py writes them'
            )
        if corners is None:
            notes['upright boxes taken as oriented ones'] += 1
            x, y, w, h = box['bbox']
            corners = [x, y, x + w, y, x + w, y + h, x, y + h]
        return corners

    def filter_data(self) -> list[dict]:
        """Leave out of training what ``filter_cfg`` names, and say how many pairs these are."""
        wanted = self.filter_cfg or {}
        known = isinstance(wanted, Mapping) and set(wanted) <= {'filter_empty_gt', 'min_size'}
        if not known or not isinstance(wanted.get('min_size', 0), int):
            raise InputError(f'filter_cfg knows filter_empty_gt and min_size (pixels), got {wanted!r:.80}')
        if self.test_mode or not wanted:
            return self.data_list
        kept = [
            info
            for info in self.data_list
            if (info['instances'] or not wanted.get('filter_empty_gt'))
            and min(info['width'], info['height']) >= wanted.get('min_size', 0)
        ]
        if not kept:
            raise InputError(f'{self.ann_file}: filter_cfg={dict(wanted)} leaves out every pair')
        if len(kept) < len(self.data_list):
            print_log(
                f'{self.ann_file}: {len(self.data_list) - len(kept)} pairs left out by filter_cfg='
                f'{self.filter_cfg}',
                'current',
            )
        return kept

    def get_data_info(self, idx: int) -> dict:
        """Return what is known of a pair before its images are read.

        Returns:
            What :meth:`load_data_list` lists, and with captions ``text``, a float32 tensor ``(4, d)`` or
            ``(4, L, d)``, and ``caption``, its texts, None where the variant tells the model none.
        """
        info = super().get_data_info(idx)
        if self._captions is not None:
            info['text'] = torch.from_numpy(self._captions.embedding(info['file_name']))
            info['caption'] = self._captions.caption(info['file_name'])
        return info


def list_steps(pipeline: Mapping[str, Any] | Sequence[Any]) -> list[Any]:
    """Return the transforms of a pipeline whose steps have names, in the order of ``STEPS``.

    Raises:
        InputError: A step has another name or is no transform.
    """
    if not isinstance(pipeline, Mapping):
        if not isinstance(pipeline, Sequence) or isinstance(pipeline, str):
            raise InputError(f'pipeline={pipeline!r:.60}: wanted steps by name, or a list of transforms')
        return list(pipeline)
    unknown = sorted(set(pipeline) - set(STEPS))
    if unknown:
        raise InputError(
            f'a pipeline has no step {", ".join(unknown)}; its steps are {", ".join(STEPS)}, in this order; '
            'for another order give a list of transforms'
        )
    steps: list[Any] = []
    for name in STEPS:
        step = pipeline.get(name)
        if isinstance(step, str):
            raise InputError(f'the step {name} of the pipeline is {step!r:.60}: wanted a transform, or None')
        if isinstance(step, Mapping) and 'type' not in step:
            raise InputError(f'the step {name} of the pipeline has no type: {dict(step)}')
        if isinstance(step, Sequence):
            steps += step
        elif step is not None:
            steps.append(step)
    return steps


def _area(corners: Sequence[float]) -> float:
    """Return the area of a quadrangle x1, y1, ..., x4, y4 in pixels squared."""
    xs, ys = corners[::2], corners[1::2]
    return abs(sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(4))) / 2


def _data_info(pair: ImagePair, instances: list[dict]) -> dict:
    return dict(
        img_path=pair.visible,
        ir_path=pair.infrared,
        file_name=pair.key,
        img_id=pair.id,
        width=pair.width,
        height=pair.height,
        crop=pair.crop,
        time=pair.time,
        instances=instances,
    )
