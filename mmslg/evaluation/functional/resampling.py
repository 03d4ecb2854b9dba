"""How sure a figure and a difference are: COCO's AP over resampled images, and intervals over seeds.

The images of a test split are a sample, and so are the seeds of a training. ``sample`` gathers the runs of
one config over its seeds; ``compare`` gives the difference of two, paired: the same seeds, and in each
resample the same images. Two intervals come of it, since there are two sources of chance:

- ``seeds``: Student's t over the differences seed by seed. Would other seeds say the same?
- ``images``: percentiles of the bootstrap over images (Efron, 1979). Would other images?
"""

from __future__ import annotations

import contextlib
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmslg.errors import InputError
from mmslg.evaluation.functional.coco_ap import load_truth

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = 100
FIGURES = {'mAP': slice(None), 'mAP_50': slice(0, 1), 'mAP_75': slice(5, 6)}
"""Figures by name, and the thresholds that each is the mean over."""
GROUP_FIELDS = ('time', 'condition')
CONFIDENCE = 0.95


@dataclass(frozen=True)
class _OfClass:
    """What became of the detections of one class, by falling score.

    Args:
        image: Place of the image of each detection, ``(D,)``.
        hit: Whether it found a box, by threshold, ``(10, D)``.
        wrong: Whether it found none; neither where it found an ignored one.
        boxes: Boxes to be found in each image, ``(I,)``.
    """

    image: np.ndarray
    hit: np.ndarray
    wrong: np.ndarray
    boxes: np.ndarray


@dataclass(frozen=True)
class ImageMatches:
    """Detections compared with the ground truth once, so that figures over any images follow at once.

    Args:
        image_ids: The images, in the order of the annotations.
        classes: By name.
    """

    image_ids: tuple[int, ...]
    classes: Mapping[str, _OfClass]

    def figures(self, weights: np.ndarray | None = None) -> dict[str, float]:
        """Return the figures of ``FIGURES``; NaN where there is no box to be found.

        Args:
            weights: How often each image counts, ``(I,)`` whole numbers from 0; None counts each once. It is
                as if the images stood so often in the split.
        """
        weights = np.ones(len(self.image_ids), int) if weights is None else weights
        rows = [_precision(each, weights) for each in self.classes.values() if each.boxes @ weights > 0]
        if not rows:
            return dict.fromkeys(FIGURES, math.nan)
        by_threshold = np.mean(rows, 0)
        return {name: float(by_threshold[part].mean()) for name, part in FIGURES.items()}

    def restricted_to(self, only: np.ndarray) -> ImageMatches:
        """Return the same of some images alone.

        Args:
            only: 1 for each of these, else 0, ``(I,)``.
        """
        kept = np.asarray(only, bool)
        place = np.cumsum(kept) - 1
        classes = {}
        for name, each in self.classes.items():
            inside = kept[each.image]
            image, hit, wrong = place[each.image[inside]], each.hit[:, inside], each.wrong[:, inside]
            classes[name] = _OfClass(image, hit, wrong, each.boxes[kept])
        return ImageMatches(tuple(np.asarray(self.image_ids)[kept].tolist()), classes)


def _precision(found: _OfClass, weights: np.ndarray) -> np.ndarray:
    """Return the AP of a class at each threshold ``(10,)``, as pycocotools accumulates it."""
    times = weights[found.image]
    hits, errors = np.cumsum(found.hit * times, 1), np.cumsum(found.wrong * times, 1)
    recall = hits / (found.boxes @ weights)
    precision = hits / (hits + errors + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    best = np.concatenate([best, np.zeros((len(best), 1))], 1)  # recall that is never reached
    return np.array([row[np.searchsorted(r, RECALLS)].mean() for row, r in zip(best, recall)])


def match_images(data: dict, detections: Sequence[dict], classes: Sequence[str]) -> ImageMatches:
    """Compare detections with the ground truth, image by image.

    Args:
        data: Annotations in COCO form.
        detections: ``image_id``, ``category_id``, ``bbox`` and ``score`` of each.
        classes: Names of the categories that count.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    ids = {category['name']: category['id'] for category in data['categories']}
    image_ids = tuple(image['id'] for image in data['images'])
    chosen = [dict(d) for d in detections if d['category_id'] in {ids[name] for name in classes}]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = load_truth(data).dataset
        truth.createIndex()
        found = truth.loadRes(chosen) if chosen else COCO()
        evaluation = COCOeval(truth, found, 'bbox')
        evaluation.params.imgIds, evaluation.params.catIds = list(image_ids), [ids[n] for n in classes]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = evaluation.params.areaRng[:1], ['all']
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.evaluate()
    places = {image_id: place for place, image_id in enumerate(image_ids)}
    number = len(image_ids)
    return ImageMatches(
        image_ids,
        {
            name: _of_class([e for e in evaluation.evalImgs[k * number : (k + 1) * number] if e], places)
            for k, name in enumerate(classes)
        },
    )


def _of_class(images: Sequence[Mapping], places: Mapping[int, int]) -> _OfClass:
    """Gather what pycocotools says of each image for one class."""
    boxes = np.zeros(len(places), int)
    columns = [(np.zeros(0), np.zeros(0, int), np.zeros((10, 0), bool), np.zeros((10, 0), bool))]
    for image in images:
        place = places[image['image_id']]
        boxes[place] = np.sum(np.asarray(image['gtIgnore']) == 0)
        hit, ignored = image['dtMatches'] > 0, image['dtIgnore'].astype(bool)
        scores = np.asarray(image['dtScores'], float)
        columns.append((scores, np.full(len(scores), place), hit & ~ignored, ~hit & ~ignored))
    scores, image, hit, wrong = (np.concatenate(part, -1) for part in zip(*columns))
    order = np.argsort(-scores, kind='stable')
    return _OfClass(image[order], hit[:, order], wrong[:, order], boxes)


@dataclass(frozen=True)
class Sample:
    """Figures of one config over its seeds, and over resampled images.

    Args:
        image_ids: The images.
        values: Of each figure, one by seed.
        resampled: Of each figure, its mean over the seeds by resample, ``(B,)``.
    """

    image_ids: tuple[int, ...]
    values: Mapping[str, Sequence[float]]
    resampled: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Difference:
    """By how much a figure of one config exceeds that of another.

    Args:
        mean: Over the seeds.
        deviation: Standard deviation (n - 1) over the seeds; None with one.
        seeds: 95 % interval of the mean by Student's t over the seeds; None with one.
        images: 95 % interval of the mean by the bootstrap over images.
    """

    mean: float
    deviation: float | None
    seeds: tuple[float, float] | None
    images: tuple[float, float]

    @property
    def clear(self) -> bool:
        """Whether there are two intervals, and zero lies in neither."""
        return self.seeds is not None and all(low > 0 or high < 0 for low, high in (self.images, self.seeds))


def summarise(values: Sequence[float]) -> tuple[float, float | None]:
    """Return mean and standard deviation of a sample (n - 1); no deviation of a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def sample(runs: Sequence[ImageMatches], resamples: int = 1000, seed: int = 0) -> Sample:
    """Gather the runs of a config.

    Args:
        runs: One a seed, on the same images.
        resamples: How often images are drawn, as many as there are, with replacement.
        seed: Of the draws: samples of the same images, number and seed are drawn alike, whatever the config.

    Raises:
        InputError: There is no run, or they are of different images.
    """
    if not runs or any(run.image_ids != runs[0].image_ids for run in runs):
        raise InputError('wanted one or more runs that were tested on the same images')
    number = len(runs[0].image_ids)
    draws = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), size=resamples)
    values = [run.figures() for run in runs]
    drawn = [[run.figures(weights) for run in runs] for weights in draws]
    return Sample(
        runs[0].image_ids,
        {name: [figures[name] for figures in values] for name in FIGURES},
        {name: np.array([np.mean([f[name] for f in row]) for row in drawn]) for name in FIGURES},
    )


def compare(first: Sample, second: Sample) -> dict[str, Difference]:
    """Return by how much each figure of ``first`` exceeds that of ``second``, paired by seed and image.

    Raises:
        InputError: They have another number of seeds or of resamples, or other images.
    """
    sizes = [(s.image_ids, len(s.values['mAP']), len(s.resampled['mAP'])) for s in (first, second)]
    if sizes[0] != sizes[1]:
        raise InputError('wanted two samples of the same images, seeds and number of resamples')
    return {name: _difference(first, second, name) for name in FIGURES}


def _difference(first: Sample, second: Sample, name: str) -> Difference:
    paired = [a - b for a, b in zip(first.values[name], second.values[name])]
    mean, deviation = summarise(paired)
    tails = 100 * (1 - CONFIDENCE) / 2
    low, high = np.nanpercentile(first.resampled[name] - second.resampled[name], (tails, 100 - tails))
    return Difference(mean, deviation, _student(paired), (float(low), float(high)))


def _student(values: Sequence[float]) -> tuple[float, float] | None:
    from scipy import stats

    mean, deviation = summarise(values)
    if deviation is None:
        return None
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * deviation / math.sqrt(len(values))
    return mean - reach, mean + reach


def groups_of(data: dict, image_ids: Sequence[int]) -> dict[str, np.ndarray]:
    """Return 1 for the images of each group and 0 for others, by what the annotations say of images.

    Args:
        data: Annotations in COCO form.
        image_ids: The images, in the order of the weights.

    Returns:
        ``time=night``, ``condition=crossover``, ...; a field that tells no images apart gives no groups.
    """
    by_id = {image['id']: image for image in data['images']}
    groups = {}
    for field in GROUP_FIELDS:
        values = [by_id[image_id].get(field) for image_id in image_ids]
        names = list(dict.fromkeys(value for value in values if value is not None))
        if len(names) > 1:
            groups |= {f'{field}={name}': np.array([int(v == name) for v in values]) for name in names}
    return groups
