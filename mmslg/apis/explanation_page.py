"""An explanation as the sections of a page, and as figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from mmengine.structures import InstanceData

from mmslg.apis.changes import compare
from mmslg.apis.explanation import Explanation, Language
from mmslg.visualization.boxes import Boxes, draw_boxes
from mmslg.visualization.figures import picture_of
from mmslg.visualization.pair_visualizer import to_boxes
from mmslg.visualization.pairs import enlarge
from mmslg.visualization.palette import CURVES, class_colour
from mmslg.visualization.report_page import Panel, Section
from mmslg.visualization.samples import box_records, split_pair
from mmslg.visualization.structure import WEIGHT_RANGE, draw_heat, draw_points, draw_supply, spread

MAX_TOKENS = 3


class ExplainedPair:
    """One pair with its explanation, ready to be drawn.

    Args:
        packed: The sample that was explained.
        explanation: What :func:`mmslg.apis.explanation.explain` returned.
        classes: Class names.
        score_thr: Lowest score that is drawn and counted.
        caption: The caption's components; empty if the model was told none.
        tokens: Places (x, y) in pixels of the original image whose tokens are drawn; none takes the centres
            of the surest detections, or the middle of the image.
    """

    def __init__(
        self,
        packed: dict,
        explanation: Explanation,
        classes: Sequence[str],
        score_thr: float = 0.3,
        caption: Mapping[str, str] | None = None,
        tokens: Sequence[tuple[float, float]] = (),
    ) -> None:
        sample = packed['data_samples']
        self.visible, self.infrared = split_pair(packed['inputs']['img'])
        self.explanation = explanation
        self.classes = classes
        self.score_thr = score_thr
        self.caption = dict(caption or {})
        self._scale = np.array(sample.get('scale_factor', (1.0, 1.0)), float)
        height, width = sample.get('batch_input_shape', sample.img_shape)[:2]
        self._padded = np.array([width, height], float)
        self._tokens = np.array(list(tokens) or self._surest_centres(), float) * self._scale

    def sections(self) -> list[Section]:
        """Return the sections of the page."""
        parts = [self._detections(), self._supply(), self._levels(), self._looks()]
        if self.explanation.language is not None:
            parts.append(self._language(self.explanation.language))
        return [*parts, self._ways()]

    def figures(self) -> dict:
        """Return what the page says in numbers, as plain values for JSON."""
        language = self.explanation.language
        return dict(
            edges={f'stride {level.stride}': level.shares() for level in self.explanation.levels},
            structure={f'block {look.block}': look.change for look in self.explanation.looks},
            language=None if language is None else _sizes(language),
            caption=self.caption,
            detections={
                way: dict(boxes=box_records(self._kept(way), self.classes), **self._change(way))
                for way in self.explanation.found
            },
            shares_of_boxes=[self._shares(box) for box in self._boxes('all').polygons],
        )

    def _kept(self, way: str) -> InstanceData:
        found = self.explanation.found[way]
        return found[found.scores >= self.score_thr]

    def _boxes(self, way: str) -> Boxes:
        """Return the detections of a way in pixels of the pictures."""
        boxes = to_boxes(self._kept(way))
        return boxes._replace(polygons=boxes.polygons * self._scale)

    def _surest_centres(self) -> list[np.ndarray]:
        boxes = to_boxes(self._kept('all'))
        order = np.argsort(-boxes.scores)[:MAX_TOKENS]
        middle = np.array(self.visible.shape[1::-1]) / 2 / self._scale
        return [boxes.polygons[i].mean(0) for i in order] or [middle]

    def _shares(self, polygon: np.ndarray) -> dict[str, float]:
        return self.explanation.levels[0].shares([*polygon.min(0), *polygon.max(0)])

    def _change(self, way: str) -> dict:
        change = compare(self.explanation.found['all'], self.explanation.found[way], self.score_thr)
        return {key: change[key] for key in ('gone', 'come', 'score_change')}

    def _drawn(self, way: str, with_shares: bool = False) -> list[np.ndarray]:
        boxes = self._boxes(way)
        order = np.argsort(-boxes.scores)
        texts = [f'{self.classes[boxes.labels[i]]} {boxes.scores[i]:.2f}' for i in order]
        if with_shares:
            shares = [self._shares(boxes.polygons[i])['infrared'] for i in order]
            texts = [f'{text} IR {100 * share:.0f}%' for text, share in zip(texts, shares)]
        colours = [class_colour(boxes.labels[i]) for i in order]
        pictures = []
        for picture in (self.visible, self.infrared):
            picture, factor = enlarge(picture)
            pictures.append(draw_boxes(picture, boxes.polygons[order] * factor, colours, texts))
        return pictures

    def _detections(self) -> Section:
        visible, infrared = self._drawn('all', with_shares=True)
        text = (
            f'{len(self._kept("all"))} detections from a score of {self.score_thr:g}, on both images as the '
            'model sees them. Behind the score: which part of the edges within the box is the infrared '
            "image's, on the finest level."
        )
        return Section('Detections', text, [Panel('visible', visible), Panel('infrared', infrared)], 2)

    def _supply(self) -> Section:
        ground = cv2.max(self.visible, self.infrared)
        panels = [
            Panel(f'stride {level.stride}', draw_supply(level, ground), 'colour: who, strength: how strong')
            for level in self.explanation.levels
        ]
        text = (
            'Blue: the stronger edge is in the visible image; orange: in the infrared one. The reference of '
            'Eq. 3 takes the stronger one everywhere; the bars give the shares of the edges that are taken, '
            'by strength. Edges are those of the learnt features of the structure encoder, not of pixels.'
        )
        return Section('Which modality supplied the edge', text, panels, 3)

    def _levels(self) -> Section:
        size = self.visible.shape[1::-1]
        panels = []
        for level in self.explanation.levels:
            strong = max(float(np.percentile(level.ref, 99.5)), 1e-6)
            largest = max(float(np.percentile(level.fused, 99.5)), 1e-6)
            edges = {'Sobel visible': level.grad_rgb, 'Sobel infrared': level.grad_ir, 'reference': level.ref}
            maps = {name: draw_heat(values, (0, strong)) for name, values in edges.items()}
            for name, weights in (('weight visible', level.w_rgb), ('weight infrared', level.w_ir)):
                title = f'{name} {weights.min():.2f}-{weights.max():.2f}'
                maps[title] = draw_heat(weights, WEIGHT_RANGE, cv2.COLORMAP_VIRIDIS)
            maps['fused'] = draw_heat(level.fused, (0, largest))
            panels += [
                Panel(title, spread(picture, level.stride, size), f'1/{level.stride}')
                for title, picture in maps.items()
            ]
        text = (
            'Edges (Eq. 2) and their reference (Eq. 3) from nothing, black, to the strongest, light yellow; '
            'weights (Eq. 4-5) from 0.25, violet, to 0.75, yellow; the fused features (Eq. 6) by their size, '
            'from black to light yellow. One row a level of the pyramid.'
        )
        return Section('Edges, weights and fused features, level by level', text, panels, 6)

    def _looks(self) -> Section:
        ground = cv2.max(self.visible, self.infrared)
        panels = []
        for look in self.explanation.looks:
            centers = look.centers.numpy() * self._padded
            distances = np.linalg.norm(centers[None] - self._tokens[:, None], axis=-1)
            chosen = distances.argmin(1)
            points = look.points[chosen].numpy() * self._padded
            picture = draw_points(ground, centers[chosen], points, look.weights[chosen].numpy())
            note = f'structure changes tokens by {100 * look.change:.1f} %'
            panels.append(Panel(f'behind block {look.block}', picture, note))
        text = (
            'Squares: tokens; dots: the points of the structural pyramid that they look at, all heads, the '
            'larger the greater the weight; yellow at stride 8, pink at 16, green at 32.'
        )
        return Section('Where tokens look (Eq. 7-8)', text, panels, min(max(len(panels), 2), 4))

    def _language(self, language: Language) -> Section:
        sizes = _sizes(language)
        said = '; '.join(f'{name}: {text}' for name, text in self.caption.items())
        text = (
            f'Caption: {said or "neutral, the model is told nothing"}. It changes the map by '
            f'{100 * language.change:.1f} %. Scale and shift of the channels by size: a channel becomes '
            '(1 + scale) times itself plus shift.'
        )
        panels = [
            Panel(
                name,
                _draw_sizes(values, colour),
                f'mean size {sizes[f"{name}_mean"]:.3f}, largest {sizes[f"{name}_max"]:.3f}',
            )
            for name, values, colour in (
                ('scale', language.scale, CURVES[0]),
                ('shift', language.shift, CURVES[1]),
            )
        ]
        return Section('What the caption does (Eq. 12-13)', text, panels, 2)

    def _ways(self) -> Section:
        panels = []
        for way in self.explanation.found:
            change = self._change(way)
            note = '' if way == 'all' else f'{change["gone"]} gone, {change["come"]} come'
            title = f'{way}: {len(self._kept(way))} detections'
            panels.append(Panel(title, np.hstack(self._drawn(way)), note))
        text = (
            'Without structure the adapters add nothing to the tokens; without language the map is not '
            'modulated; one image alone stands in the place of the other one too. Gone and come: detections '
            'without a partner of their class with an IoU of 0.5 or more, one to one. The model was trained '
            'with all of it, so this tells what it leans on, not what a model trained without would do.'
        )
        return Section('With and without', text, panels, 2)


def _sizes(language: Language) -> dict[str, float]:
    sizes = dict(change=language.change)
    for name in ('scale', 'shift'):
        values = getattr(language, name).abs()
        sizes |= {f'{name}_mean': values.mean().item(), f'{name}_max': values.max().item()}
    return sizes


def _draw_sizes(values: torch.Tensor, colour: str) -> np.ndarray:
    """Draw the values of all channels, sorted, as bars."""
    with picture_of(figsize=(7.6, 1.9)) as (figure, result):
        axes = figure.add_subplot()
        axes.bar(range(len(values)), values.sort().values.numpy(), width=1.0, color=colour)
        axes.axhline(0, color='#444444', linewidth=0.8)
        axes.set_xlim(-0.5, len(values) - 0.5)
        axes.set_xlabel('channels, sorted', fontsize=8)
        axes.tick_params(labelsize=8)
        axes.spines[['top', 'right']].set_visible(False)
    return result[0]
