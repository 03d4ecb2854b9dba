"""What the runner says of a file that is no model."""

import sys

import pytest
from helpers import run_here

pytest.importorskip('onnxruntime', reason='exported models want onnxruntime')


@pytest.mark.parametrize(
    ('content', 'message'),
    [(None, 'no such file, wanted what'), (b'', 'cannot load it: '), (b'no model', 'cannot load it: ')],
)
def test_a_model_that_is_none(tmp_path, monkeypatch, content, message):
    path = tmp_path / 'model.onnx'
    if content is not None:
        path.write_bytes(content)
    code = run_here('deploy/run_onnx.py', monkeypatch, path, '--rgb', 'a.jpg', '--ir', 'b.jpg')
    assert code.startswith(f'error: {path}: ') and message in code and '\n' not in code


def test_without_onnxruntime(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)  # as if it were not installed
    assert run_here('deploy/run_onnx.py', monkeypatch, '--help') == 0
    assert '--score-thr' in capsys.readouterr().out
    code = run_here('deploy/run_onnx.py', monkeypatch, 'model.onnx', '--rgb', 'a.jpg', '--ir', 'b.jpg')
    assert code.startswith('error: ') and code.endswith('run: pip install onnxruntime') and '\n' not in code
