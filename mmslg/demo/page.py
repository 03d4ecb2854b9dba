"""The page to try a detector on: two images in, boxes on both, captions to edit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from mmslg.apis.pair_inferencer import Pair, PairInferencer
from mmslg.captions.captioners.base import Captioner, CaptionFailure
from mmslg.captions.schema import COMPONENTS, MAX_LENGTH
from mmslg.demo.pictures import detections, message, preview, structure_maps
from mmslg.demo.uploads import Upload, read_image, take_upload
from mmslg.errors import InputError

SESSIONS = 16
"""Visitors whose images are kept in memory; the one who came first loses them to another."""
WAITING = 32
"""Requests for a detection that may wait."""
THREADS = 8
"""Requests that are worked on at the same time, at most one of them a detection."""

INTRODUCTION = """# Visible and infrared detection
Choose an aligned visible and infrared image of the same scene, edit what the model is told, detect.
Images stay in memory while this page is open, and are not kept."""
CSS = """.fault {color: #b00020; font-weight: 600} .note {color: #555} .message {overflow-wrap: anywhere}
.found td, .found th {padding: 2px 12px; text-align: left}"""


class DemoPage:
    """Callbacks and layout of the page.

    Args:
        inferencer: The detector.
        folder: Where uploads lie, see :func:`mmslg.demo.server.page_server`.
        captioner: Writes the captions that a pair starts with; None leaves them empty, which is neutral.
        examples: Pairs by name, as paths.
    """

    def __init__(
        self,
        inferencer: PairInferencer,
        folder: str | os.PathLike,
        captioner: Captioner | None = None,
        examples: Mapping[str, tuple[Path, Path]] | None = None,
    ) -> None:
        self.inferencer = inferencer
        self.folder = folder
        self.captioner = captioner
        self.examples = examples or {}
        self.takes_text = inferencer.embed(None) is not None

    def take(self, sent: Any, modality: str) -> tuple:
        """Take an upload, ``{'path': ...}``; returns two empty fields, image, preview, message."""
        path = sent.get('path') if isinstance(sent, dict) else None
        try:
            upload = take_upload(path if isinstance(path, str) else '', self.folder, modality)
        except InputError as error:
            return None, None, None, '', message(str(error), fault=True)
        return None, None, upload, preview(upload), ''

    def take_example(self, name: str | None) -> tuple:
        """Read an example; returns both images, both previews and a message."""
        if name not in self.examples:
            return None, None, '', '', message('There is no such example.', fault=True)
        try:
            visible, infrared = (
                Upload(path.name, read_image(path, modality))
                for path, modality in zip(self.examples[name], ('visible', 'infrared'))
            )
        except (InputError, OSError):
            return None, None, '', '', message(f'The example {name} cannot be read.', fault=True)
        return visible, infrared, preview(visible), preview(infrared), ''

    def write_captions(self, visible: Upload | None, infrared: Upload | None) -> list:
        """Write the four captions of a pair, empty ones until it is complete; and what failed."""
        empty = [''] * len(COMPONENTS)
        if not (visible and infrared and self.captioner and self.takes_text):
            return [*empty, gr.skip()]
        try:
            return [*self.captioner.caption(visible.image, infrared.image).components(), gr.skip()]
        except (InputError, CaptionFailure) as error:
            return [*empty, message(f'No caption could be written: {error}', fault=True)]

    def detect(self, visible: Upload | None, infrared: Upload | None, score_thr: float, *texts: str) -> tuple:
        """Detect; returns what :meth:`draw` needs, both tabs and a message."""
        if not (visible and infrared):
            missing = ' and '.join(n for n, u in (('visible', visible), ('infrared', infrared)) if not u)
            return None, '', '', message(f'Choose the {missing} image first.', fault=True)
        try:
            caption = _caption(texts)
            pair = Pair(visible.image, infrared.image, visible.name, caption)
            sample = self.inferencer.predict([pair])[0]
            found = pair, sample.pred_instances, caption
            return found, self.draw(found, score_thr), structure_maps(self.inferencer, pair), ''
        except InputError as error:
            return None, '', '', message(str(error), fault=True)

    def draw(self, found: tuple | None, score_thr: float) -> str:
        """Draw the boxes above a score."""
        if found is None:
            return ''
        pair, instances, caption = found
        return detections(pair, instances, self.inferencer.classes, score_thr, caption)

    def blocks(self) -> gr.Blocks:
        """Return the page; nothing on it leads elsewhere or asks another server."""
        with gr.Blocks(title='mmslg', analytics_enabled=False) as page:
            gr.Markdown(INTRODUCTION)
            states, previews, files = [], [], []
            with gr.Row():
                for modality in ('visible', 'infrared'):
                    with gr.Column():
                        label = f'{modality.capitalize()} image'
                        files.append(gr.File(label=label, height=140, elem_id=f'{modality}-file'))
                        previews.append(gr.HTML(elem_id=f'{modality}-preview'))
                        states.append(gr.State(None))
            example = gr.Dropdown(
                list(self.examples),
                value=None,
                label='Example',
                visible=bool(self.examples),
                elem_id='example',
            )
            with gr.Row(visible=self.takes_text):
                texts = [
                    gr.Textbox(
                        label=name, max_length=MAX_LENGTH, elem_id=f'caption-{name}', info=_HINTS[name]
                    )
                    for name in COMPONENTS
                ]
            with gr.Row():
                score_thr = gr.Slider(0, 1, 0.3, step=0.01, label='Lowest score', elem_id='score')
                button = gr.Button('Detect', variant='primary', elem_id='detect')
            note = gr.HTML(elem_id='note')
            with gr.Tab('Detections'):
                result = gr.HTML(elem_id='result')
            with gr.Tab('Structure'):
                structure = gr.HTML(elem_id='structure')
            found = gr.State(None)
            for i, modality in enumerate(('visible', 'infrared')):
                outputs = [files[i], example, states[i], previews[i], note]
                # Not preprocessed: Gradio would leave an empty file in its folder for each upload.
                taken = files[i].upload(
                    _bound(self.take, modality), files[i], outputs, preprocess=False, **_QUICK
                )
                taken.then(self.write_captions, states, [*texts, note], **_QUICK)
            chosen = example.input(self.take_example, example, [*states, *previews, note], **_QUICK)
            chosen.then(self.write_captions, states, [*texts, note], **_QUICK)
            button.click(
                self.detect,
                [*states, score_thr, *texts],
                [found, result, structure, note],
                concurrency_limit=1,
                api_visibility='private',
            )
            score_thr.release(self.draw, [found, score_thr], result, **_QUICK)
        page.state_session_capacity = SESSIONS
        page.max_threads = THREADS
        page.queue(max_size=WAITING, api_open=False)
        return page


# Answered without the queue: Gradio's browser client may lose the result of an event that joins it while the
# stream of an earlier one is ending.
_QUICK: dict[str, Any] = dict(queue=False, api_visibility='private', show_progress='hidden')
_HINTS = {
    'environment': 'light and weather',
    'scene': 'type of place',
    'objects': 'what is to be seen',
    'thermal': 'how warm things stand out',
}


def _bound(method: Any, modality: str) -> Any:
    return lambda sent: method(sent, modality)


def _caption(texts: tuple[str, ...]) -> dict[str, str] | None:
    """Return the caption by component, None if all four are empty.

    Raises:
        InputError: Some are empty.
    """
    told = {name: (text or '').strip() for name, text in zip(COMPONENTS, texts)}
    empty = [name for name, text in told.items() if not text]
    if len(empty) == len(COMPONENTS):
        return None
    if empty:
        raise InputError(f'Fill in {", ".join(empty)} too, or leave all four empty for a neutral caption.')
    return told
