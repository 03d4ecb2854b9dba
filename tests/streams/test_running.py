"""The loop of a stream, with sources, captioners and detectors of nothing."""

import csv
import json
import os
import signal
from contextlib import ExitStack

import cv2
import numpy as np
import pytest
from mmdet.structures import DetDataSample
from streams.fakes import Clock, FakeSource, FakeWorker, detect_nothing_much, detections, ticks

from mmslg.errors import InputError
from mmslg.streams.async_captions import AsyncCaptions, Interval
from mmslg.streams.frame_pairs import FramePairs
from mmslg.streams.frames import Frame
from mmslg.streams.outputs import CsvRows, JsonLines, Video, check_video
from mmslg.streams.running import StreamRun
from mmslg.streams.tracking import Tracker

CLASSES = ('person', 'car')


def pairs(count=6, rate=10):
    sources = FakeSource(ticks(count, rate), rate), FakeSource(ticks(count, rate), rate, infrared=True)
    return FramePairs(*sources, say=lambda line: None)


def test_the_text_switches_exactly_when_its_caption_is_done():
    clock, told, used = Clock(), [], []

    def detect(pair):
        told.append((round(clock.now, 1), pair.caption and pair.caption['scene']))
        clock.now += 0.5  # what detection takes
        return detect_nothing_much(pair)

    captions = AsyncCaptions(FakeWorker(clock, 2.0), Interval(seconds=2.0), clock)
    run = StreamRun(pairs(10), detect, captions, used.append, clock=clock)
    run.run()
    assert told == [
        *((t, None) for t in (0.0, 0.5, 1.0, 1.5)),
        *((t, 'scene 0') for t in (2.0, 2.5, 3.0, 3.5)),
        *((t, 'scene 4') for t in (4.0, 4.5)),
    ]
    assert [caption.text.scene for caption in used] == ['scene 0', 'scene 4']
    assert (run.count, run.seconds) == (10, 5.0)  # not one tick was spent on waiting
    assert run.remarks()[0] == '10 pairs in 5.0 s, 2.00 pairs/s'
    assert 'captions: 2 finished, 0 dropped, 0 failed' in run.remarks()


def test_a_captioner_that_dies_is_told_once_and_the_stream_goes_on():
    clock, said, count = Clock(), [], []

    def detect(pair):
        clock.now += 1
        count.append(pair.name)
        return detect_nothing_much(pair)

    worker = FakeWorker(clock, 1.0, dies_at=2)
    run = StreamRun(pairs(8), detect, AsyncCaptions(worker, Interval(1), clock, said.append), clock=clock)
    run.run()
    assert len(count) == run.count == 8
    assert said == ['the captioner has died: out of memory; its last caption stays']


def write_all(folder, run_it, found=detect_nothing_much, source=None, **options):
    files = [folder / name for name in ('a.avi', 'a.jsonl', 'a.csv')]
    with ExitStack() as stack:
        outputs = [kind(path, CLASSES, stack) for kind, path in zip((Video, JsonLines, CsvRows), files)]
        run_it(StreamRun(source or pairs(), found, outputs=outputs, **options))
    return files


def frames_of(path):
    video = cv2.VideoCapture(str(path))
    found = []
    while (frame := video.read())[0]:
        found.append(frame[1])
    video.release()
    return found


def test_outputs_have_every_pair(tmp_path):
    clock = Clock()
    captions = AsyncCaptions(FakeWorker(clock, 0.0), Interval(pairs=3), clock)
    video, lines, rows = write_all(tmp_path, StreamRun.run, captions=captions, tracker=Tracker())
    frames = frames_of(video)
    assert len(frames) == 6 and frames[0].shape[0] % 2 == frames[0].shape[1] % 2 == 0
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [record['pair'] for record in records] == list(range(6))
    assert records[0]['caption'] is None and records[1]['caption']['scene'] == 'scene 0'
    assert records[0]['detections'] == [dict(box=[1, 2, 5, 6], score=0.9, track=None) | {'class': 'person'}]
    assert {record['detections'][0]['track'] for record in records[1:]} == {0}
    assert (records[3]['time'], records[3]['offset'], records[3]['infrared']) == (0.3, 0.0, 3)
    with rows.open(newline='') as file:
        table = list(csv.DictReader(file))
    assert len(table) == 6 and table[2] == dict(
        zip(
            ('pair', 'visible', 'infrared', 'time', 'class', 'score', 'track', 'x1', 'y1', 'x2', 'y2'),
            ('2', '2', '2', '0.2', 'person', '0.9', '0', '1.0', '2.0', '5.0', '6.0'),
        )
    )


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_outputs_of_whole_pairs(tmp_path, number, monkeypatch):
    """In whichever place it comes: in the detection of a pair, or while its results are written."""
    monkeypatch.setattr(JsonLines, 'write', interrupting(JsonLines.write, number, at=3))

    def run_it(run):
        former = signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(SystemExit(143)))
        ignored = signal.signal(signal.SIGINT, signal.default_int_handler)  # as of a job in the background
        try:
            with pytest.raises((KeyboardInterrupt, SystemExit)):
                run.run()
        finally:
            signal.signal(signal.SIGTERM, former)
            signal.signal(signal.SIGINT, ignored)

    video, lines, rows = write_all(tmp_path, run_it)
    counts = [
        len(frames_of(video)),
        len(lines.read_text().splitlines()),
        len(rows.read_text().splitlines()) - 1,
    ]
    assert counts == [4, 4, 4] and len(list(tmp_path.iterdir())) == 3


def interrupting(write, number, at):
    def wrapped(self, result):
        if result.number == at:
            os.kill(os.getpid(), number)
        write(self, result)

    return wrapped


def test_an_error_leaves_nothing(tmp_path):
    def detect(pair):
        if pair.name == '3':
            raise InputError('the sizes do not fit')
        return detect_nothing_much(pair)

    with pytest.raises(InputError, match='the sizes do not fit'):
        write_all(tmp_path, StreamRun.run, detect)
    assert list(tmp_path.iterdir()) == []


def test_scores_and_limits(tmp_path):
    found = lambda pair: DetDataSample(pred_instances=detections([[1, 2, 5, 6]] * 3, [0.9, 0.3, 0.29]))  # noqa: E731
    _, lines, _ = write_all(tmp_path, lambda run: run.run(limit=2), found)
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [[d['score'] for d in record['detections']] for record in records] == [[0.9, 0.3]] * 2


def test_a_live_stream_s_video_keeps_its_pace(tmp_path):
    times = [0, 0.1, 0.4, 0.45, 0.9]
    sources = FakeSource(times, 10, 'wall'), FakeSource(times, 10, 'wall', infrared=True)
    with ExitStack() as stack:
        video = Video(tmp_path / 'a.mp4', CLASSES, stack, rate=10, paced=True)
        StreamRun(FramePairs(*sources), detect_nothing_much, outputs=[video]).run()
    assert len(frames_of(tmp_path / 'a.mp4')) == 10


def test_videos_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r'a\.mov: wanted the name of a video, which ends in \.mp4, \.avi'):
        check_video(tmp_path / 'a.mov')
    with pytest.raises(InputError, match='no pair came, so there is no video'), ExitStack() as stack:
        Video(tmp_path / 'a.mp4', CLASSES, stack)
    assert list(tmp_path.iterdir()) == []


class Clip(FakeSource):
    """Two people walk; one of them passes behind a pole that is cold and near."""

    def __init__(self, infrared):
        super().__init__(ticks(50, 10), 10, infrared=infrared)
        self._infrared = infrared

    def read(self):
        frame = super().read()
        if frame is None:
            return None
        image = np.full((120, 320), 40, np.uint8)
        for x, y in ((10 + 5 * frame.number, 10), (290 - 5 * frame.number, 70)):
            cv2.rectangle(image, (x, y), (x + 16, y + 40), 220, -1)
        cv2.rectangle(image, (130, 0), (170, 59), 0, -1)
        return Frame(image if self._infrared else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), *frame[1:])


def detect_warmth(pair):
    _, _, stats, _ = cv2.connectedComponentsWithStats((pair.infrared > 200).astype(np.uint8))
    boxes = [[x, y, x + w, y + h] for x, y, w, h, area in stats[1:].tolist() if area > 690]  # whole people
    return DetDataSample(pred_instances=detections(boxes))


def test_tracks_of_a_drawn_clip_keep_their_ids_over_an_occlusion(tmp_path):
    clip = FramePairs(Clip(False), Clip(True))
    _, lines, _ = write_all(tmp_path, StreamRun.run, detect_warmth, clip, tracker=Tracker(patience=2.0))
    upper, lower = [], []
    for record in map(json.loads, lines.read_text().splitlines()[1:]):
        for found in record['detections']:
            (upper if found['box'][1] < 60 else lower).append(found['track'])
    assert len(upper) == 37 and len(lower) == 49
    assert len(set(upper)) == len(set(lower)) == 1 and set(upper) != set(lower)
