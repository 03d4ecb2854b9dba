"""Detection in pairs of one's own, in memory or in files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from mmcv.transforms import Compose
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from mmslg.apis.configs import read_config
from mmslg.apis.inference import load_detector, predict_batch
from mmslg.apis.pair_captions import PairCaptions
from mmslg.apis.supervision import PairSample
from mmslg.captions.captioners.base import Captioner
from mmslg.captions.encoders.base import TextEncoder
from mmslg.captions.schema import StructuredCaption
from mmslg.datasets.paired_coco import STEPS, list_steps
from mmslg.errors import InputError
from mmslg.models.compilation import compile_features
from mmslg.models.modules import first_of
from mmslg.models.necks import LanguageGuidedModulation
from mmslg.pairing import pairs_at
from mmslg.utils.cli import one_line
from mmslg.utils.image_io import Image
from mmslg.utils.progress import progress_bar
from mmslg.visualization.pair_visualizer import draw_sample
from mmslg.visualization.pairs import write_picture
from mmslg.visualization.samples import picture_name


class Pair(NamedTuple):
    """A visible and an infrared image of the same scene.

    Attributes:
        visible: Path, or BGR image ``(H, W, 3)``, uint8.
        infrared: Path, or image ``(H, W)`` or ``(H, W, 3)``, uint8 or uint16.
        name: What the pair is called in results, and its key in a caption store; the visible image's
            file name if empty.
        caption: The four components of its caption; None leaves it to the inferencer.
    """

    visible: Image
    infrared: Image
    name: str = ''
    caption: Mapping[str, str] | StructuredCaption | None = None

    @property
    def key(self) -> str:
        """The name, or the visible image's file name, or nothing."""
        return self.name or ('' if isinstance(self.visible, np.ndarray) else Path(self.visible).name)


class PairInferencer:
    """Run a trained detector on pairs, after MMDetection's ``DetInferencer``.

    Pairs go through the test pipeline of the config, so results are those of ``tools/test.py``.

    Args:
        config: Path of a config, or the config.
        checkpoint: Path of a checkpoint.
        device: ``'cpu'``, ``'cuda:0'``, ...; None takes the GPU if there is one.
        captioner: Writes the captions of pairs that bring none: a name, or a captioner.
        caption_store: File of captions written by ``tools/captions/encode.py``, by the names of the pairs.
        encoder: Text encoder of captions: a name, or an encoder. None takes the one that wrote
            ``caption_store`` or the store of the config.
        compile: Compile backbone and necks.

    Raises:
        InputError: Config, checkpoint, captioner, store or encoder are not what they should be.

    Example:
        >>> inferencer = PairInferencer('configs/slgnet_flir.py', 'epoch_50.pth')
        >>> inferencer(('visible.jpg', 'infrared.jpg'))['predictions'][0].pred_instances.bboxes.shape
        torch.Size([7, 4])
    """

    def __init__(
        self,
        config: str | os.PathLike | Config,
        checkpoint: str | os.PathLike,
        device: str | None = None,
        captioner: str | Captioner | None = None,
        caption_store: str | os.PathLike | None = None,
        encoder: str | TextEncoder | None = None,
        compile: bool = False,
    ) -> None:
        self.cfg = config.copy() if isinstance(config, Config) else read_config(os.fspath(config))
        init_default_scope(self.cfg.get('default_scope', 'mmdet'))
        if not self.cfg.get('test_dataloader'):
            raise InputError(
                f'{self.cfg.filename}: no test_dataloader, whose pipeline and classes are wanted'
            )
        dataset = self.cfg.test_dataloader.dataset
        self.model = load_detector(self.cfg, os.fspath(checkpoint), device)
        self.device = next(self.model.parameters()).device
        self.classes: tuple[str, ...] = tuple(dataset.metainfo.classes)
        lgm = first_of(self.model, LanguageGuidedModulation)
        self.captions = PairCaptions(
            lgm.text_dims if lgm else None, dataset, captioner, caption_store, encoder
        )
        self._pipeline = Compose(_image_steps(dataset.pipeline))
        if compile:
            compile_features(self.model)

    def describe_captions(self) -> str:
        """Say in a line which captions the pairs got so far."""
        return self.captions.describe()

    def embed(self, caption: Mapping[str, str] | StructuredCaption | None) -> Tensor | None:
        """Return the text embedding of a caption, ``(4, d)`` or ``(4, L, d)``.

        None gives the neutral one, zeros; without language modulation in the model it is always None.

        Raises:
            InputError: The caption lacks a component, or no text encoder is known.
        """
        return self.captions.embed(caption)

    def pack(self, pair: Pair) -> dict[str, Any]:
        """Return a pair as the test pipeline packs it: ``inputs`` and ``data_samples``.

        Raises:
            InputError: An image cannot be read, the sizes differ, or the pair has no caption.
        """
        images = (image if isinstance(image, np.ndarray) else os.fspath(image) for image in pair[:2])
        visible, infrared = images
        info: dict[str, Any] = dict(img_path=visible, ir_path=infrared, file_name=pair.key, img_id=0)
        caption, text = self.captions.of(pair.key, visible, infrared, pair.caption)
        if text is not None:
            info['text'] = text
        try:
            packed = self._pipeline(info)
        except cv2.error as error:  # a side that has no pixel left
            raise InputError(
                f'{pair.key or "pair"}: the pipeline of the test cannot scale images of this shape '
                f'({error.err or one_line(error)}); wanted no side that is many times the other'
            ) from None
        paths = [image if isinstance(image, str) else '' for image in (visible, infrared)]
        packed['data_samples'].set_metainfo(dict(img_path=paths[0], ir_path=paths[1], caption=caption))
        packed['data_samples'] = PairSample.of(packed['data_samples'], self.classes)
        return packed

    def predict(self, pairs: Sequence[Pair]) -> list[PairSample]:
        """Detect in one batch of pairs; nothing is written or printed.

        Returns:
            A data sample a pair; ``pred_instances`` on the CPU, with ``bboxes`` ``(N, 4)`` as (x1, y1, x2,
            y2) or ``(N, 5)`` as (x, y, w, h, angle) in pixels of the visible image, ``scores``, ``labels``;
            ``to_supervision()`` gives the form of that package.

        Raises:
            InputError: A pair cannot be read.
        """
        return self.predict_packed([self.pack(pair) for pair in pairs])

    def predict_packed(self, packed: Sequence[dict[str, Any]], score_thr: float = 0.0) -> list[DetDataSample]:
        """Detect in what :meth:`pack` returned, from a score on; see :meth:`predict`."""
        return predict_batch(self.model, packed, score_thr)

    def __call__(
        self,
        inputs: Any,
        batch_size: int = 1,
        pred_score_thr: float = 0.3,
        out_dir: str | os.PathLike = '',
        return_vis: bool = False,
        show_progress: bool = False,
    ) -> dict[str, list]:
        """Detect in a pair or many.

        Args:
            inputs: A pair (:class:`Pair`, or two paths or arrays), a list or a generator of pairs, two
                folders (visible, infrared), or the path of one folder with both, whose pairs are told by
                names, see :func:`mmslg.pairing.find_pairs`.
            batch_size: Pairs that go through the model at once.
            pred_score_thr: Lowest score that is returned and drawn.
            out_dir: Folder for pictures with the boxes on both images; none if empty.
            return_vis: Return these pictures, ``(H, W, 3)`` BGR uint8.
            show_progress: Show progress.

        Returns:
            ``predictions``, data samples in the order of the pairs, :class:`PairSample` each, with
            ``img_path``; ``visualization``, the pictures, empty unless asked for; and ``unpaired``, (path,
            reason) of every image in the folders that has no partner.

        Raises:
            InputError: A pair cannot be read; those before it are lost. ``tools/infer.py`` goes on. Or there
                is no such folder, or it holds no pairs.
        """
        if batch_size < 1:
            raise InputError(f'batch_size={batch_size}: wanted at least 1')
        pairs, unpaired = _pairs(inputs)
        total = len(pairs) if isinstance(pairs, Sequence) else None
        bar = progress_bar(total, 'pairs') if show_progress else None
        predictions, pictures = [], []
        names: set[str] = set()
        for batch in _batches(pairs, batch_size):
            packed = [self.pack(pair) for pair in batch]
            for pair, sample in zip(batch, self.predict_packed(packed, pred_score_thr)):
                predictions.append(sample)
                if return_vis or out_dir:
                    picture = self.draw(pair, sample, pred_score_thr)
                    if return_vis:
                        pictures.append(picture)
                    if out_dir:
                        name = picture_name(pair.key) if pair.key else f'{len(predictions):06d}'
                        if name in names:  # of a pair of another folder
                            name = f'{name}-{len(predictions):06d}'
                        names.add(name)
                        write_picture(Path(out_dir) / f'{name}.png', picture)
                if bar is not None:
                    bar.update()
        if bar is not None:
            bar.close()
        return dict(predictions=predictions, visualization=pictures, unpaired=unpaired)

    def draw(self, pair: Pair, sample: DetDataSample, score_thr: float = 0.0) -> np.ndarray:
        """Return both images and their mean side by side, with the boxes on each, ``(H, W, 3)`` BGR uint8."""
        return draw_sample(sample, self.classes, score_thr, draw_gt=False, images=pair[:2], fused=True)


def _image_steps(pipeline: Any) -> list[Any]:
    """Return the transforms of a test pipeline but those of annotations; infrared images may be scaled."""
    if isinstance(pipeline, Mapping):
        named = {name: pipeline.get(name) for name in STEPS if name not in ('boxes', 'ground_truth')}
        pipeline = list_steps(named)
    kinds = {id(step): str(step['type']).rpartition('.')[2] for step in pipeline}
    return [
        {**step, 'resize': True} if kinds[id(step)] == 'LoadInfrared' else step
        for step in pipeline
        if kinds[id(step)] not in ('LoadAnnotations', 'ConvertBoxType')
    ]


def _is_pair(inputs: Any) -> bool:
    if isinstance(inputs, Pair):
        return True
    kinds = (str, os.PathLike, np.ndarray)
    return (
        isinstance(inputs, (tuple, list)) and len(inputs) == 2 and all(isinstance(i, kinds) for i in inputs)
    )


def _pair(inputs: Any) -> Pair:
    if isinstance(inputs, Pair):
        return inputs
    if not _is_pair(inputs):
        raise InputError(
            f'wanted a pair, (visible, infrared) as two paths or arrays, got {type(inputs).__name__}'
        )
    return Pair(*inputs)


def _pairs(inputs: Any) -> tuple[Iterable[Pair], list[tuple[str, str]]]:
    """Return the pairs of what the inferencer was called with, and which images have no partner."""
    paths = (inputs,) if isinstance(inputs, (str, os.PathLike)) else inputs
    if paths is not inputs or (
        _is_pair(paths) and all(isinstance(p, (str, os.PathLike)) and os.path.isdir(p) for p in paths)
    ):
        found = pairs_at(*paths)
        return [Pair(files.visible, files.infrared, files.name) for files in found.pairs], found.unpaired
    if _is_pair(inputs):
        return [_pair(inputs)], []
    if not isinstance(inputs, Iterable):
        raise InputError(f'wanted a pair, pairs or folders, got {type(inputs).__name__}')
    return [_pair(one) for one in inputs] if isinstance(inputs, Sequence) else map(_pair, inputs), []


def _batches(pairs: Iterable[Pair], size: int) -> Iterator[list[Pair]]:
    pairs = iter(pairs)
    while batch := list(islice(pairs, size)):
        yield batch
