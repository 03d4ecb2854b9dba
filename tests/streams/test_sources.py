"""Videos, folders and cameras as frames."""

import threading

import cv2
import numpy as np
import pytest
from streams.fakes import FakeSource, ticks

from mmslg.errors import InputError
from mmslg.streams.capture_source import CaptureSource, without_password
from mmslg.streams.folder_source import FolderSource
from mmslg.streams.frame_pairs import FramePairs
from mmslg.streams.live_source import LiveSource
from mmslg.streams.opening import open_sources


def write_video(path, count=6, rate=10.0, size=(48, 32)):
    """Write a video whose frames get lighter by 10 each."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), rate, size)
    for number in range(count):
        writer.write(np.full((size[1], size[0], 3), 10 * number, np.uint8))
    writer.release()
    return str(path)


def write_frames(folder, names, depth=np.uint8):
    folder.mkdir()
    for value, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((16, 24), value, depth))
    return str(folder)


def numbers(source):
    return [frame.number for frame in iter(source.read, None)]


def test_a_video_has_the_times_of_its_file(tmp_path):
    source = CaptureSource(write_video(tmp_path / 'a.avi'), infrared=False)
    assert (source.rate, source.clock, source.live, source.left()) == (10, 'start', False, 6)
    frames = list(iter(source.read, None))
    assert [frame.time for frame in frames] == pytest.approx(ticks(6, 10))
    assert [round(float(frame.image.mean()), -1) for frame in frames] == [0, 10, 20, 30, 40, 50]
    assert frames[0].image.shape == (32, 48, 3) and source.left() == 0 and source.read() is None
    source.close()
    infrared = CaptureSource(write_video(tmp_path / 'b.avi'), infrared=True)
    assert infrared.read().image.shape == (32, 48)


def test_two_videos_of_which_one_is_five_frames_shorter(tmp_path):
    said = []
    sources = open_sources(write_video(tmp_path / 'a.avi', 12), write_video(tmp_path / 'b.avi', 7))
    assert len(list(FramePairs(*sources, say=said.append))) == 7
    assert said == ['infrared ended first: visible has 5 more frames, which have no partner']


def test_two_videos_of_different_rates(tmp_path):
    said = []
    sources = open_sources(write_video(tmp_path / 'a.avi', 12, 20), write_video(tmp_path / 'b.avi', 6, 10))
    pairs = [(p.visible.number, p.infrared.number) for p in FramePairs(*sources, say=said.append)]
    assert pairs == [(2 * i, i) for i in range(6)]
    assert said[0].startswith('visible has 20 frames a second, infrared 10: frames nearest in time')


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path):
    folder = write_frames(
        tmp_path / 'ir', ['cam2_frame10.png', 'cam2_frame9.png', 'cam2_frame12.png'], np.uint16
    )
    (tmp_path / 'ir' / 'notes.txt').write_text('x')
    source = FolderSource(folder, infrared=True)
    frames = list(iter(source.read, None))
    assert [(f.number, f.time, int(f.image[0, 0])) for f in frames] == [(9, 9, 1), (10, 10, 0), (12, 12, 2)]
    assert frames[0].image.dtype == np.uint16 and (source.clock, source.timed) == ('number', False)
    timed = FolderSource(folder, True, rate=2.0, from_start=True)
    assert [frame.time for frame in iter(timed.read, None)] == [0, 0.5, 1.5]
    assert (timed.clock, timed.rate, timed.timed) == ('start', 2.0, True)


def test_names_that_are_time_stamps(tmp_path):
    stamps = [1700000000000, 1700000000040, 1700000000080]
    folder = write_frames(tmp_path / 'a', [f'{stamp}.png' for stamp in stamps])
    source = FolderSource(folder, infrared=False)
    assert source.clock == 'wall' and source.rate == pytest.approx(25) and source.timed
    assert [frame.time for frame in iter(source.read, None)] == [stamp / 1000 for stamp in stamps]


def test_a_frame_that_cannot_be_read_is_left_out_and_named(tmp_path):
    folder = write_frames(tmp_path / 'a', ['1.png', '2.png', '3.png'])
    (tmp_path / 'a' / '2.png').write_bytes(b'no image')
    other = write_frames(tmp_path / 'b', ['1.png', '2.png', '3.png'])
    pairs = FramePairs(*open_sources(folder, other))
    assert [pair.visible.number for pair in pairs] == [1, 3]
    assert pairs.dropped == dict(visible=1, infrared=1)
    assert 'files that cannot be read: 1' in pairs.remarks()[0] and '2.png' in pairs.remarks()[0]


def test_a_folder_beside_a_video(tmp_path):
    folder = write_frames(tmp_path / 'a', [f'{number:04d}.png' for number in range(100, 105)])
    video = write_video(tmp_path / 'b.avi', 6, 10)
    by_time = FramePairs(*open_sources(folder, video, [20]))
    assert [(p.visible.number, p.infrared.number) for p in by_time] == [(100, 0), (102, 1), (104, 2)]
    said = []
    in_order = FramePairs(*open_sources(folder, video), say=said.append)
    assert len(list(in_order)) == 5 and 'paired in their order' in said[0]


@pytest.mark.parametrize(
    ('visible', 'message'),
    [
        ('missing.mp4', 'missing.mp4: no such file or folder; wanted a video, a folder'),
        ('text.mp4', 'text.mp4: OpenCV cannot open it'),
        ('empty', 'empty: no images, wanted numbered frames'),
        ('unnumbered', 'wanted frames with a number in their names, such as 000123.png'),
        ('twice', 'a_1.png and b_1.png have the same number'),
        ('good', 'given as the visible and as the infrared source'),
    ],
)
def test_what_cannot_be_opened_is_one_line(tmp_path, monkeypatch, visible, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'text.mp4').write_text('not a video')
    (tmp_path / 'empty').mkdir()
    write_frames(tmp_path / 'unnumbered', ['a.png'])
    write_frames(tmp_path / 'twice', ['a_1.png', 'b_1.png'])
    write_frames(tmp_path / 'good', ['1.png'])
    with pytest.raises(InputError, match=message) as caught:
        open_sources(visible, 'good')
    assert '\n' not in str(caught.value)


def test_rates_are_for_folders(tmp_path):
    videos = write_video(tmp_path / 'a.avi'), write_video(tmp_path / 'b.avi')
    with pytest.raises(InputError, match='--fps says how fast the images of a folder follow'):
        open_sources(*videos, [30])


def test_no_password_is_printed():
    assert without_password('rtsp://me:secret@10.0.0.1:554/a') == 'rtsp://10.0.0.1:554/a'


class Paced(FakeSource):
    """Gives a frame whenever it is let to."""

    def __init__(self, times):
        super().__init__(times, 10, 'wall')
        self.live = True
        self.turn, self.given = threading.Semaphore(0), threading.Semaphore(0)

    def read(self):
        self.turn.acquire()
        self.given.release()
        return super().read()


def test_of_a_live_source_the_newest_frame_counts_and_the_others_are_dropped():
    camera = Paced(ticks(5, 10))
    live = LiveSource(camera)
    let = lambda: (camera.turn.release(), camera.given.acquire())  # noqa: E731
    let()
    assert live.read().number == 0
    for _ in range(3):
        let()
    camera.turn.release()  # once the fifth read has begun, the fourth frame has been put down
    camera.given.acquire()
    while live.dropped < 2:
        live._thread.join(0.01)
    assert live.read().number in (3, 4)
    camera.turn.release()
    rest = numbers(live)
    assert rest in ([], [4]) and live.read() is None and live.dropped in (2, 3)
    live.close()
    assert camera.closed


def test_a_camera_that_is_lost_is_opened_again():
    gone = lambda: FakeSource([], 10, 'wall')  # noqa: E731
    tries = iter([gone(), None, FakeSource(ticks(1, 10), 10, 'wall')])
    opened = []

    def reopen():
        opened.append(next(tries, gone()))
        if opened[-1] is None:
            raise InputError('nobody there')
        return opened[-1]

    live = LiveSource(FakeSource(ticks(2, 10), 10, 'wall'), reopen, patience=0.3, interval=0.02)
    live._thread.join(10)
    assert not live._thread.is_alive()
    assert live.read().number == 2 and live.read() is None
    assert live.remarks() == ['fake: lost and found again 1 times'] and len(opened) > 4
    live.close()
    assert all(camera.closed for camera in opened if camera)
    patient = LiveSource(gone(), gone, patience=1000, interval=1000)
    patient.close()  # does not wait for the next try
    assert not patient._thread.is_alive()
