"""Pairs of a visible and an infrared image with boxes in COCO form."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from mmdet.datasets import CocoDataset
from mmengine.logging import print_log

from mmslg.captions.pairs import crop_of, default_folders, infrared_name
from mmslg.errors import InputError
from mmslg.registry import DATASETS
from mmslg.utils.io import read_json

LABEL_MODALITIES = ('visible', 'ir', 'both', 'unknown')
BOX_TYPES = ('hbox', 'qbox')


@DATASETS.register_module()
class PairedCocoDataset(CocoDataset):
    """Aligned visible-infrared pairs, annotated in one COCO JSON file.

    An image's ``file_name`` is the visible one below ``data_prefix['img']``; the infrared one lies below
    ``data_prefix['ir']`` under ``file_name_ir`` (or ``file_name_lwir``), by default under the same name.
    Where the config has no ``data_prefix``, the file's ``info.data_prefix`` counts, else visible/ and
    infrared/. ``info.label_modality`` says in which image the boxes were drawn, ``info.split`` which split
    this is, and an image's ``crop`` which part of its files counts; boxes are in coordinates of that part.

    What the stock class passes over in silence is an error here: missing files, annotations that point
    to no image, classes the file does not know or lists in another order (labels would be swapped).
    What is left out on purpose is counted and printed.

    Args:
        *args: Arguments of ``mmdet.CocoDataset``.
        label_modality: Overrides ``info.label_modality``: ``visible``, ``ir`` or ``both``.
        box_type: ``hbox`` for upright boxes, or ``qbox`` for oriented ones: the four corners of an
            annotation's ``segmentation``; where it has none, those of its ``bbox``, counted and printed.
        **kwargs: Arguments of ``mmdet.CocoDataset``; ``metainfo=dict(classes=...)`` is due.

    Raises:
        InputError: The annotation file or the folders do not hold what they should.
    """

    METAINFO: dict = {}

    def __init__(
        self, *args: Any, label_modality: str | None = None, box_type: str = 'hbox', **kwargs: Any
    ) -> None:
        if label_modality is not None and label_modality not in LABEL_MODALITIES:
            raise InputError(f'label_modality must be one of {LABEL_MODALITIES}, got {label_modality!r}')
        if box_type not in BOX_TYPES:
            raise InputError(f'box_type must be one of {BOX_TYPES}, got {box_type!r}')
        self._label_modality = label_modality
        self._box_type = box_type
        kwargs.setdefault('data_prefix', {})
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the annotation file.

        Returns:
            One dict a pair: ``img_path``, ``ir_path``, ``file_name`` (the pair's key), ``img_id``,
            ``height``, ``width`` in pixels, ``crop``, ``time`` and ``instances``.
        """
        annotations = read_json(self.ann_file)
        self._check_annotations(annotations)
        for key, folder in default_folders(annotations).items():
            self.data_prefix.setdefault(key, os.path.join(self.data_root or '', folder))
        self._left_out: Counter[str] = Counter()
        self._upright = 0
        data_list = super().load_data_list()
        self._check_files(data_list)
        left_out = ', '.join(f'{n} {why}' for why, n in sorted(self._left_out.items()))
        num_boxes = sum(len(info['instances']) for info in data_list)
        print_log(
            f'{self.ann_file}: {len(data_list)} pairs, {num_boxes} boxes of '
            f'{", ".join(self.metainfo["classes"])}; boxes drawn in: {self.metainfo["label_modality"]}'
            f'{"; left out: " + left_out if left_out else ""}'
            f'{f"; {self._upright} upright boxes taken as oriented ones" if self._upright else ""}',
            'current',
        )
        return data_list

    def full_init(self) -> None:
        """Load everything, and let the pipeline say at once what it lacks for these pairs."""
        if self._fully_initialized:
            return
        super().full_init()
        for transform in self.pipeline.transforms:
            if hasattr(transform, 'check_pairs'):
                transform.check_pairs(self.get_data_info(i)['file_name'] for i in range(len(self)))

    def filter_data(self) -> list[dict]:
        """Drop what ``filter_cfg`` names, and say how much."""
        kept = super().filter_data()
        if len(kept) < len(self.data_list):
            print_log(
                f'{self.ann_file}: {len(self.data_list) - len(kept)} pairs left out by filter_cfg='
                f'{self.filter_cfg}',
                'current',
            )
        return kept

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Turn one image's annotations into the form of the pipelines; count what falls away."""
        image = raw_data_info['raw_img_info']
        info = super().parse_data_info(raw_data_info)
        known = set(self.cat_ids)
        boxes = raw_data_info['raw_ann_info']
        of_class = sum(a['category_id'] in known for a in boxes)
        self._left_out['boxes of other classes'] += len(boxes) - of_class
        self._left_out['empty, ignored or outside boxes'] += of_class - len(info['instances'])
        self._left_out = +self._left_out
        info['file_name'] = image['file_name']
        info['ir_path'] = os.path.join(self.data_prefix['ir'], infrared_name(image))
        info['time'] = image.get('time')
        info['crop'] = crop_of(image)
        if self._box_type == 'qbox':
            for instance in info['instances']:
                instance['bbox'] = self._corners(instance)
        return info

    def _corners(self, instance: dict) -> list[float]:
        """Return the four corners of an instance, x1, y1, ..., x4, y4."""
        polygons = instance.get('mask') or []
        if not polygons:
            self._upright += 1
            x1, y1, x2, y2 = instance['bbox']
            return [x1, y1, x2, y1, x2, y2, x1, y2]
        if not isinstance(polygons, list) or len(polygons) != 1 or len(polygons[0]) != 8:
            raise InputError(
                f'{self.ann_file}: a segmentation is not one polygon of four corners; oriented boxes want '
                'x1, y1, ..., x4, y4, as tools/dataset_converters/dronevehicle.py writes them'
            )
        return polygons[0]

    def _check_annotations(self, data: Any) -> None:
        file = self.ann_file
        if not isinstance(data, dict) or not all(
            isinstance(data.get(k), list) for k in ('images', 'annotations', 'categories')
        ):
            raise InputError(f'{file}: wanted COCO form with the lists images, annotations and categories')
        if not data['images']:
            raise InputError(f'{file}: the file lists no image')
        image_ids = Counter(image.get('id') for image in data['images'])
        repeated = [i for i, n in image_ids.items() if n > 1]
        if repeated:
            raise InputError(f'{file}: image id {repeated[0]} is given {image_ids[repeated[0]]} times')
        for image in data['images']:
            lacks = [k for k in ('id', 'file_name', 'width', 'height') if k not in image]
            if lacks:
                raise InputError(f'{file}: image {image.get("file_name", image)} lacks {", ".join(lacks)}')
        for annotation in data['annotations']:
            lacks = [k for k in ('id', 'image_id', 'category_id', 'bbox', 'area') if k not in annotation]
            if lacks:
                raise InputError(f'{file}: annotation {annotation.get("id")} lacks {", ".join(lacks)}')
            if annotation['image_id'] not in image_ids:
                raise InputError(
                    f'{file}: annotation {annotation["id"]} points to image {annotation["image_id"]}, '
                    'which the file does not list'
                )
        names = [c['name'] for c in data['categories']]
        classes = self.metainfo.get('classes')
        if not classes:
            raise InputError(f'{file}: say which classes to use: metainfo=dict(classes={tuple(names)})')
        absent = [c for c in classes if c not in names]
        if absent:
            raise InputError(
                f'{file}: no category {", ".join(absent)} in the file; it has {", ".join(names)}; set '
                'metainfo=dict(classes=...) accordingly'
            )
        in_file_order = [n for n in names if n in classes]
        if in_file_order != list(classes):
            raise InputError(
                f'{file}: the categories stand in the order {", ".join(in_file_order)}, the config says '
                f'{", ".join(classes)}; COCO evaluation goes by the file, so give them the same order'
            )
        info = data.get('info') or {}
        self._metainfo['label_modality'] = self._label_modality or info.get('label_modality', 'unknown')
        self._metainfo['split'] = info.get('split', Path(file).stem)

    def _check_files(self, data_list: list[dict]) -> None:
        """Look for every file of the pairs; a folder is listed once, so this is quick."""
        listings: dict[str, set[str]] = {}
        for key, what in (('img_path', 'visible'), ('ir_path', 'infrared')):
            missing = []
            for info in data_list:
                folder, name = os.path.split(info[key])
                if folder not in listings:
                    listings[folder] = set(os.listdir(folder)) if Path(folder).is_dir() else set()
                if name not in listings[folder]:
                    missing.append(info[key])
            if missing:
                raise InputError(
                    f'{missing[0]}: no such {what} image; {len(missing)} of {len(data_list)} are missing. '
                    f'Is data_root or data_prefix=dict({"img" if key == "img_path" else "ir"}=...) right?'
                )
