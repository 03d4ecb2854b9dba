import argparse
import os
import pickle
import signal
import subprocess
import sys
import time

import pytest

from mmslg.errors import InputError
from mmslg.utils.cli import one_line, parse_size, run


def outcome(error):
    def main():
        raise error

    with pytest.raises(SystemExit) as exit_:
        run(main)
    return exit_.value.code


@pytest.mark.parametrize(
    'error',
    [
        InputError('x.jpg: gone'),
        FileNotFoundError(2, 'No such file', 'x.jpg'),
        OSError(28, 'No space left on device', 'x.jpg'),
        OSError(30, 'Read-only file system', 'x.jpg'),
        OSError(36, 'File name too long', 'x.jpg'),
        OSError(40, 'Too many levels of symbolic links', 'x.jpg'),
        OSError(27, 'File too large', 'x.jpg'),
        PermissionError(13, 'Permission denied', 'x.jpg'),
        NotADirectoryError(20, 'Not a directory', 'x.jpg'),
        IsADirectoryError(21, 'Is a directory', 'x.jpg'),
        FileExistsError(17, 'File exists', 'x.jpg'),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1(capsys, error):
    assert outcome(error) == 1
    told = capsys.readouterr().err
    assert told.startswith('error: x.jpg: ')
    assert told.count('\n') == 1


def test_an_error_of_a_worker_process_is_one_line(capsys):
    assert outcome(FileNotFoundError('Caught in DataLoader worker')) == 1
    assert capsys.readouterr().err == 'error: Caught in DataLoader worker\n'


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 / 0)
    with pytest.raises(ConnectionResetError):
        run(lambda: (_ for _ in ()).throw(ConnectionResetError(104, 'Connection reset by peer')))
    with pytest.raises(BrokenPipeError):  # of a worker process, say: standard output is whole
        run(lambda: (_ for _ in ()).throw(BrokenPipeError(32, 'Broken pipe')))


def test_an_interrupt_is_130(capsys):
    assert outcome(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == 'interrupted\n'


def test_the_workers_traceback_is_left_out():
    text = (
        'Caught InputError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n'
        '  File "a.py"\nmmslg.errors.InputError: x.jpg: gone'
    )
    assert one_line(InputError(text)) == 'x.jpg: gone'
    assert isinstance(pickle.loads(pickle.dumps(InputError('x'))), ValueError)


def shell(command, main):
    """Run ``main``, the body of a tool, as {tool} of a shell command."""
    code = f'import sys, time; from mmslg.utils import cli, io\ndef main():\n    {main}\ncli.run(main)'
    tool = f'"{sys.executable}" -c "$CODE"'
    return subprocess.run(
        ['bash', '-c', f'set -o pipefail; {command.format(tool=tool)}'],
        env={**os.environ, 'CODE': code},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize(
    'main', ['[print(i) for i in range(100000)]', "print('short')", "print('x', file=sys.stderr, flush=True)"]
)
def test_a_reader_that_goes_away_is_no_error(main):
    for unbuffered in ('', '1'):
        done = shell(f'PYTHONUNBUFFERED={unbuffered} {{tool}} 2>&1 | true', main)
        assert done.stderr == ''
        assert done.returncode in (0, 141)
    assert shell('{tool} | head -1', '[print(i) for i in range(100000)]').stdout == '0\n'


def test_standard_output_on_a_full_disk_is_one_line():
    for unbuffered, name in (('', '<stdout>: '), ('1', '')):
        done = shell(f'PYTHONUNBUFFERED={unbuffered} {{tool}} > /dev/full', "print('figures')")
        assert done.returncode == 1
        assert done.stderr == f'error: {name}the disk is full; make room or write elsewhere\n'


def test_a_name_that_cannot_be_shown_is_shown_escaped():
    assert shell('{tool}', r"print('a\ud800b')").stdout == 'a\\ud800b\n'


def test_termination_removes_temporary_files(tmp_path):
    main = f'with io.atomic_path({str(tmp_path / "out.json")!r}): time.sleep(600)'
    code = f'import time; from mmslg.utils import cli, io\ndef main():\n    {main}\ncli.run(main)'
    process = subprocess.Popen([sys.executable, '-c', code], stderr=subprocess.PIPE)
    while not list(tmp_path.iterdir()):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 143
    assert process.stderr.read() == b''
    assert list(tmp_path.iterdir()) == []


def test_a_size_is_two_positive_whole_numbers():
    assert parse_size('640x512') == (640, 512)
    for text in (
        '320x256x3',
        '0x256',
        '320',
        'axb',
        '-320x256',
        '320x 256',
        '320.5x256',
        '',
        '1e3x256',
        '\u0663x3',
    ):
        with pytest.raises(argparse.ArgumentTypeError, match='wanted WIDTHxHEIGHT in pixels such as 640x512'):
            parse_size(text)
