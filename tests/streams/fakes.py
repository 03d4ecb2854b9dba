"""Sources, captioners and detectors of nothing, for streams under a controlled clock."""

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmslg.captions.schema import StructuredCaption
from mmslg.streams.caption_worker import Answer
from mmslg.streams.frames import Frame, FrameSource


class FakeSource(FrameSource):
    """Grey frames at given times; each has its number as its brightness."""

    def __init__(self, times, rate=None, clock='start', name='fake', infrared=False, length=None):
        self.times, self.rate, self.clock, self.name = list(times), rate, clock, name
        self.numbers = [int(time) for time in self.times if time is not None]
        self.timed = clock != 'number'
        self.closed = False
        self._shape = (8, 12) if infrared else (8, 12, 3)
        self._next = 0
        self._length = len(self.times) if length is None else length

    def read(self):
        if self._next == len(self.times):
            return None
        number = self._next
        self._next += 1
        return Frame(np.full(self._shape, number % 256, np.uint8), number, self.times[number])

    def left(self):
        return self._length - self._next

    def close(self):
        self.closed = True


def ticks(count, rate, start=0.0):
    return [start + i / rate for i in range(count)]


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class FakeWorker:
    """A captioner that needs ``seconds`` of the clock for each caption, and says which pair it saw."""

    def __init__(self, clock, seconds, ready=0.0, dies_at=None, fails=()):
        self.clock, self.seconds, self.ready, self.dies_at, self.fails = clock, seconds, ready, dies_at, fails
        self.asked = []
        self.closed = False
        self._due = None

    @property
    def idle(self):
        return self.clock.now >= self.ready and self._due is None

    def submit(self, visible, infrared):
        assert self.idle
        self.asked.append((self.clock.now, int(visible[0, 0, 0])))
        self._due = self.clock.now + self.seconds

    def poll(self):
        if self.dies_at is not None and self.clock.now >= self.dies_at:
            return Answer(reason='out of memory', dead=True)
        if self._due is None or self.clock.now < self._due:
            return None
        self._due = None
        number = self.asked[-1][1]
        if number in self.fails:
            return Answer(reason=f'nothing to say about {number}')
        return Answer(caption_of(number), np.full((4, 6), number, np.float32))

    def close(self):
        self.closed = True


def caption_of(number):
    return StructuredCaption('daylight', f'scene {number}', 'cars', 'high thermal contrast')


def detections(boxes, scores=None, labels=None):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    scores = torch.full((len(boxes),), 0.9) if scores is None else torch.tensor(scores)
    labels = torch.zeros(len(boxes), dtype=torch.long) if labels is None else torch.tensor(labels)
    return InstanceData(bboxes=boxes, scores=scores, labels=labels)


def detect_nothing_much(pair):
    """A detector that always finds one box."""
    return DetDataSample(pred_instances=detections([[1, 2, 5, 6]]))
