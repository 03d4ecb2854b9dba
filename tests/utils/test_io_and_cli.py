import pickle

import pytest

from mmslg.errors import InputError
from mmslg.utils.cli import one_line, run
from mmslg.utils.io import atomic_path, read_json, write_json


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / 'deep' / 'out.json'
    write_json(target, {'a': 1})
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text('half')
        raise RuntimeError
    assert read_json(target) == {'a': 1}
    assert [p.name for p in target.parent.iterdir()] == ['out.json']


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'the file is empty'),
        (b'{"a": ', 'not valid JSON'),
        (b'\xff\xfe\x00', 'not UTF-8'),
        (b'[' * 100000, 'not valid JSON'),
    ],
)
def test_bad_json_names_the_file(tmp_path, content, message):
    path = tmp_path / 'bad.json'
    path.write_bytes(content)
    with pytest.raises(InputError, match=f'bad.json: {message}'):
        read_json(path)


@pytest.mark.parametrize('error', [InputError('x.jpg: gone'), FileNotFoundError(2, 'No such file', 'x.jpg')])
def test_bad_input_is_one_line_and_exit_code_1(capsys, error):
    def main():
        raise error

    with pytest.raises(SystemExit) as exit_:
        run(main)
    assert exit_.value.code == 1
    assert capsys.readouterr().err.count('\n') == 1


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 / 0)


def test_the_workers_traceback_is_left_out():
    text = (
        'Caught InputError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n'
        '  File "a.py"\nmmslg.errors.InputError: x.jpg: gone'
    )
    assert one_line(InputError(text)) == 'x.jpg: gone'
    assert isinstance(pickle.loads(pickle.dumps(InputError('x'))), ValueError)


def test_a_number_too_long_for_python_is_bad_json(tmp_path):
    (tmp_path / 'long.json').write_text('9' * 5000)
    with pytest.raises(InputError, match=r'long\.json: not valid JSON'):
        read_json(tmp_path / 'long.json')
