import io
import sys

import pytest

from mmslg.utils.progress import count_to, progress_bar


@pytest.fixture
def clock(monkeypatch):
    """A clock of tqdm that stands still until it is set: ``clock[0] = seconds``."""
    now = [1000.0]
    monkeypatch.setattr('tqdm.std.time', lambda: now[0])
    return now


def test_progress_shows_rate_and_time_left_in_lines(capsys, clock):
    done = count_to(progress_bar(40, 'pairs'))
    clock[0] += 10
    done(20)
    clock[0] += 2
    done(24)  # 2 s after the last report: too soon
    clock[0] += 8
    done(40)
    assert (
        capsys.readouterr().err
        == '20/40 pairs, 2.00pairs/s, 00:10 left\n40/40 pairs, 2.00pairs/s, 00:00 left\n'
    )


def test_the_last_one_is_always_reported(capsys, clock):
    bar = progress_bar(3, 'runs', interval=0)
    clock[0] += 60
    bar.update()
    progress_bar(2, 'pairs').update(2)
    assert capsys.readouterr().err == '1/3 runs, 60.00s/runs, 02:00 left\n2/2 pairs, ?pairs/s, ? left\n'


def test_a_terminal_gets_one_line_rewritten(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, 'stderr', Terminal())
    progress_bar(2, 'pairs').update(2)
    assert sys.stderr.getvalue().startswith('\r  0%|')
    assert '\r100%|' in sys.stderr.getvalue()
    assert '2/2 pairs' in sys.stderr.getvalue()
    assert sys.stderr.getvalue().endswith('\n')
