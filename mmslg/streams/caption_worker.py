"""A captioner and a text encoder that run in a process of their own, beside detection."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

from mmslg.utils.cli import one_line

if TYPE_CHECKING:  # the process imports this file before it can step back: nothing heavy at the top
    import numpy as np

    from mmslg.captions.schema import StructuredCaption

NICENESS = 10
"""How far the captioner stands back where it and detection want the same core."""


class Answer(NamedTuple):
    """What came of one request.

    Attributes:
        caption: The caption; None if there is none.
        embedding: Its embedding ``(4, d)`` or ``(4, L, d)``.
        reason: Why there is none.
        dead: Whether no further request will be answered.
    """

    caption: StructuredCaption | None = None
    embedding: np.ndarray | None = None
    reason: str = ''
    dead: bool = False


@dataclass(frozen=True)
class CaptionRecipe:
    """How to build a captioner and a text encoder in another process.

    Args:
        captioner: Registered name.
        encoder: Registered name.
        captioner_options: Arguments of the captioner.
        encoder_options: Arguments of the text encoder.
        modules: Modules to import first, which may register either.
    """

    captioner: str
    encoder: str
    captioner_options: Mapping[str, Any] = field(default_factory=dict)
    encoder_options: Mapping[str, Any] = field(default_factory=dict)
    modules: Sequence[str] = ()

    def build(self) -> Callable[[np.ndarray, np.ndarray], tuple[StructuredCaption, np.ndarray]]:
        """Return a function that turns a pair of images into a caption and its embedding.

        Raises:
            InputError: There is no such captioner, encoder or module.
        """
        from mmslg.captions.building import build_captioner, build_text_encoder, import_modules

        import_modules(self.modules)
        captioner = build_captioner(self.captioner, **self.captioner_options)
        encoder = build_text_encoder(self.encoder, **self.encoder_options)

        def describe(visible: np.ndarray, infrared: np.ndarray) -> tuple[StructuredCaption, np.ndarray]:
            caption = captioner.caption(visible, infrared)
            return caption, encoder.encode(caption.components())

        return describe


class CaptionWorker:
    """One request at a time to a captioner in a process of its own; no call ever waits for it.

    The process starts at once, and is :attr:`idle` when its captioner is loaded. Whatever ends it, a bug, the
    memory, a signal, is an answer.

    Args:
        recipe: How to build the captioner there.
    """

    def __init__(self, recipe: CaptionRecipe) -> None:
        context = multiprocessing.get_context('spawn')
        self._answers, answers = context.Pipe(duplex=False)
        self._requests = context.Queue()  # its thread writes to the process, so that put() never waits
        arguments = recipe, self._requests, answers
        self._process = context.Process(target=_serve, args=arguments, name='captioner', daemon=True)
        with _ignored_interrupts():
            self._process.start()
        answers.close()
        self._dead = False
        self._ready = False
        self._asked = False

    @property
    def idle(self) -> bool:
        """Whether a request would be worked on at once."""
        return self._ready and not self._asked and not self._dead

    def submit(self, visible: np.ndarray, infrared: np.ndarray) -> None:
        """Ask for the caption of a pair of images; to be called when idle."""
        self._asked = True
        self._requests.put((visible, infrared))

    def poll(self) -> Answer | None:
        """Return the answer if one has come since the last call."""
        if self._dead:
            return None
        try:
            while self._answers.poll():
                answer = self._answers.recv()
                if answer is None:
                    self._ready = True
                    continue
                self._asked, self._dead = False, answer.dead
                return answer
        except (EOFError, OSError):
            self._dead = True
            self._process.join(timeout=1)
            code = self._process.exitcode
            how = f'signal {-code}' if code is not None and code < 0 else f'exit code {code}'
            return Answer(reason=f'its process ended ({how})', dead=True)
        return None

    def close(self) -> None:
        """End the process, whatever it does."""
        self._requests.cancel_join_thread()
        self._requests.close()
        self._process.terminate()
        self._process.join(timeout=2)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._answers.close()


@contextmanager
def _ignored_interrupts() -> Iterator[None]:
    """Let a process that is started here leave Ctrl-C to this one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


def _serve(recipe: CaptionRecipe, requests: Any, answers: Connection) -> None:
    """Answer requests until the process is ended."""
    with suppress(OSError):
        os.nice(NICENESS)
    from mmslg.captions.captioners.base import CaptionFailure

    with suppress(BrokenPipeError):  # the stream is over
        try:
            describe = recipe.build()
            answers.send(None)
            while True:
                visible, infrared = requests.get()
                try:
                    answers.send(Answer(*describe(visible, infrared)))
                except CaptionFailure as failure:
                    answers.send(Answer(reason=one_line(failure)))
        except BrokenPipeError:
            raise
        except Exception as error:
            answers.send(Answer(reason=f'{type(error).__name__}: {one_line(error)}', dead=True))
