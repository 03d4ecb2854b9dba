import errno
import os
import subprocess
import sys

import pytest

from mmslg.errors import InputError
from mmslg.utils.io import (
    atomic_path,
    check_folder,
    read_bytes,
    read_json,
    read_text,
    refuse_overwriting,
    remove_leftovers,
    try_folder,
    write_json,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / 'deep' / 'out.json'
    write_json(target, {'a': 1})
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text('half')
        raise RuntimeError
    assert read_json(target) == {'a': 1}
    assert [p.name for p in target.parent.iterdir()] == ['out.json']


def test_a_failed_write_takes_away_the_folders_it_made(tmp_path):
    with pytest.raises(RuntimeError), atomic_path(tmp_path / 'a' / 'b' / 'out.json'):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    events = []
    sync, replace = os.fsync, type(tmp_path).replace
    monkeypatch.setattr(os, 'fsync', lambda handle: (events.append('sync'), sync(handle)))
    monkeypatch.setattr(type(tmp_path), 'replace', lambda *args: (events.append('rename'), replace(*args)))
    write_json(tmp_path / 'out.json', 1)
    assert events == ['sync', 'rename']


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('', 'wanted the name of a file to write, got an empty one'),
        (' ', 'wanted the name of a file to write, got an empty one'),
        ('folder', 'folder: a folder, wanted the name of a file to write'),
        ('new/', 'new/: a folder, wanted the name of a file to write'),
        ('file/out.json', 'out.json: a part of the path is a file, and no folder'),
        ('file/below/out.json', 'out.json: a part of the path is a file, and no folder'),
        ('x' * 256, 'x: the name is too long; choose a shorter one'),
        ('y' * 256 + '/out.json', 'json: the name is too long; choose a shorter one'),
        ('pipe', 'pipe: not a regular file, so it is not overwritten'),
        ('loop', 'loop: a symbolic link that leads back to itself; remove it'),
        ('loop/out.json', 'out.json: a symbolic link that leads back to itself; remove it'),
    ],
)
def test_an_impossible_name_is_one_line_before_any_work(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'file').write_text('x')
    (tmp_path / 'loop').symlink_to('loop')
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(InputError, match=message) as caught, atomic_path(name):
        raise AssertionError('the work was begun')
    assert '\n' not in str(caught.value)
    assert sorted(p.name for p in tmp_path.rglob('*')) == ['file', 'folder', 'loop', 'pipe']


def test_the_longest_possible_name_is_written(tmp_path):
    for name in ('n' * 250 + '.json', 'a.' + 's' * 253):
        write_json(tmp_path / name, 1)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_is_one_line_and_leaves_nothing(full_disk):
    with pytest.raises(InputError, match=r'full_disk/a/out.json: the disk is full; make room or write else'):
        write_json(full_disk / 'a' / 'out.json', 'x' * 10000)
    assert [p.name for p in full_disk.iterdir()] == ['filler']


def test_a_library_that_hides_the_full_disk_is_seen_through(full_disk):
    def save(path):  # as torch.save does
        try:
            path.write_bytes(bytes(100_000))
        except OSError:
            raise RuntimeError('PytorchStreamWriter failed writing file data/0') from None

    with (
        pytest.raises(InputError, match=r'out\.pth: the disk is full'),
        atomic_path(full_disk / 'out.pth') as temporary,
    ):
        save(temporary)
    assert [p.name for p in full_disk.iterdir()] == ['filler']


def test_a_folder_is_tried_before_work_and_nothing_is_left(full_disk, tmp_path):
    with pytest.raises(InputError, match=r'full_disk/a/b: the disk is full; make room or write elsewhere'):
        try_folder(full_disk / 'a' / 'b')
    assert [p.name for p in full_disk.iterdir()] == ['filler']
    (tmp_path / 'there').mkdir()
    for name in ('new/below', 'there'):
        try_folder(tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['full_disk', 'there']


def test_a_read_only_folder_is_one_line(read_only):
    with pytest.raises(InputError, match=r'out.json: the disk is read-only; write elsewhere'):
        write_json(read_only / 'out.json', 1)
    with pytest.raises(InputError, match=r'read_only/new: the disk is read-only; write elsewhere'):
        write_json(read_only / 'new' / 'out.json', 1)


def test_a_limit_on_file_sizes_is_one_line(tmp_path):
    code = (
        'import resource, sys; from mmslg.utils import cli, io\n'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n'
        f'cli.run(lambda: io.write_json({str(tmp_path / "out.json")!r}, "x" * 5000))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count('\n') == 1
    assert 'out.json: the file exceeds the largest size allowed here; see `ulimit -f`' in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_error_about_another_file_keeps_its_own_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'input\.json'), atomic_path(tmp_path / 'out.json'):
        (tmp_path / 'input.json').read_text()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('out', ['in.json', './a/../in.json', 'link.json', 'hard.json'])
def test_an_input_is_not_overwritten(tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a').mkdir()
    (tmp_path / 'in.json').write_text('1')
    (tmp_path / 'link.json').symlink_to('in.json')
    (tmp_path / 'hard.json').hardlink_to('in.json')
    with pytest.raises(
        InputError, match=r'the output is the input .*in\.json itself, .* choose another name'
    ):
        refuse_overwriting(out, None, 'other.json', tmp_path / 'in.json')
    refuse_overwriting('out.json', 'in.json', None)
    refuse_overwriting(None, 'in.json')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'the file is empty'),
        (b'{"a": ', 'not valid JSON'),
        (b'\xff\xfe\x00', 'not UTF-8'),
        (b'"\xff"', 'not UTF-8 text at byte 1'),
        (b'"\0"', 'holds NUL characters'),
        (b'[' * 100000, 'not valid JSON'),
        (b'9' * 5000, 'not valid JSON'),
    ],
)
def test_bad_json_names_the_file(tmp_path, content, message):
    path = tmp_path / 'bad.json'
    path.write_bytes(content)
    with pytest.raises(InputError, match=f'bad.json: {message}'):
        read_json(path)


def test_json_with_a_byte_order_mark_and_not_a_number_is_read(tmp_path):
    (tmp_path / 'a.json').write_text('\ufeff[NaN, 1]', encoding='utf-8')
    assert str(read_json(tmp_path / 'a.json')) == '[nan, 1]'


@pytest.mark.parametrize('read', [read_bytes, read_text, read_json])
def test_what_is_no_file_is_refused_and_does_not_hang(tmp_path, read):
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'loop').symlink_to('loop')
    (tmp_path / 'file').write_text('1')
    for path, message in {
        tmp_path / 'pipe': 'pipe: not a regular file, wanted a file to read',
        '/dev/zero': '/dev/zero: not a regular file, wanted a file to read',
        tmp_path: 'a folder, not a regular file, wanted a file to read',
        tmp_path / 'none': 'none: no such file',
        tmp_path / 'loop': 'loop: a symbolic link that leads back to itself',
        tmp_path / 'file' / 'x': 'x: a part of the path is a file, and no folder',
        tmp_path / ('x' * 300): 'the name is too long',
    }.items():
        with pytest.raises(InputError, match=message):
            read(path)


def test_an_unknown_failure_of_the_system_is_passed_on(tmp_path):
    with pytest.raises(OSError) as caught, atomic_path(tmp_path / 'out.json'):
        raise OSError(errno.ECONNRESET, 'Connection reset by peer')
    assert caught.value.errno == errno.ECONNRESET


def test_a_folder_to_write_to_is_looked_at_first(tmp_path):
    (tmp_path / 'file').write_text('')
    for name, message in {
        ' ': "' ': wanted a folder, got an empty name",
        tmp_path / 'file': 'file: wanted a folder, this is a file',
        tmp_path / 'file' / 'x': 'x: a part of the path is a file',
        'x' * 300: 'the name is too long',
    }.items():
        with pytest.raises(InputError, match=message):
            check_folder(name)
    assert check_folder(tmp_path / 'new' / 'er') == tmp_path / 'new' / 'er'


def test_leftovers_of_a_kill_are_removed_and_nothing_else(tmp_path):
    kept = ['.hidden-abcdefgh.pth', 'iter_1-part-abcdefgh.pth', '.iter_1-part-abcdefgh.pth.bak', 'iter_1.pth']
    for name in kept:
        (tmp_path / name).touch()
    with pytest.raises(SystemExit), atomic_path(tmp_path / 'iter_2.pth') as temporary:
        os.link(temporary, tmp_path / 'copy')
        raise SystemExit
    os.link(tmp_path / 'copy', temporary)  # as a kill would have left it
    assert remove_leftovers(tmp_path) == [temporary.name]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*kept, 'copy'])
