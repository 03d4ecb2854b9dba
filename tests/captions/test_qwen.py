import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip('transformers')

from captions import tiny_qwen
from captions.annotated import pairs_of

from mmslg.captions.captioners.base import CaptionFailure
from mmslg.captions.captioners.prompt import PROMPT, PROMPT_ID, complaint, parse_answer, prepare_images
from mmslg.captions.captioners.qwen import QwenCaptioner
from mmslg.captions.generation import generate_captions
from mmslg.captions.schema import read_captions
from mmslg.errors import InputError

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools' / 'captions' / 'generate.py'
ENV = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'HF_HUB_OFFLINE': '1'}


def options(annotations, model, out, *more):
    common = ['--captioner', 'qwen', '--device', 'cpu', '--dtype', 'float32', '--out', out]
    return [*map(str, [annotations, '--model', model, *common, *more])]


def run_here(monkeypatch, args):
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *args])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(TOOL), run_name='__main__')
    return caught.value.code


def captions_of(path):
    return {name: record.caption for name, record in read_captions(path).items()}


@pytest.mark.parametrize('batch_size', [1, 2, 5])
def test_both_images_go_through_the_real_model_and_its_answer_is_parsed(trained_qwen, tmp_path, batch_size):
    pairs = pairs_of(tiny_qwen.write_pairs(tmp_path, 5))
    captioner = QwenCaptioner(str(trained_qwen), batch_size, 'float32', 'cpu')
    result = generate_captions(pairs, captioner, 'qwen', tmp_path / 'captions.jsonl', workers=2)
    assert len(result.records) == 5 and not result.failures
    assert captions_of(tmp_path / 'captions.jsonl') == tiny_qwen.wanted(5)
    for record in read_captions(tmp_path / 'captions.jsonl').values():
        assert record.extra == dict(
            model=str(trained_qwen), dtype='float32', max_pixels=802816, prompt=PROMPT_ID
        )
        assert str(trained_qwen) in record.version and PROMPT_ID in record.version


def test_prompt_holds_two_images_in_the_models_own_form(trained_qwen):
    captioner = QwenCaptioner(str(trained_qwen), device='cpu')
    texts, pictures = [], []
    captioner._model.register_forward_pre_hook(
        lambda module, args, kwargs: texts.append(kwargs['input_ids']), with_kwargs=True
    )
    captioner._model.model.visual.register_forward_pre_hook(
        lambda module, args, kwargs: pictures.append((args or tuple(kwargs.values()))[0]), with_kwargs=True
    )
    captioner.caption(*tiny_qwen.images_of(20))
    tokens = texts[0][0].tolist()
    assert tokens.count(tiny_qwen.VISION_START) == tokens.count(tiny_qwen.VISION_END) == 2
    assert tokens.count(tiny_qwen.IMAGE) == 2 * 4  # 56 x 56 pixels are 2 x 2 tokens
    visible, infrared = pictures[0].chunk(2)
    assert visible.shape == (16, 3 * 2 * 14 * 14)
    assert visible.mean() < -1 < infrared.mean()  # 20 before 120


def test_pair_answers_the_same_beside_a_longer_dialogue(trained_qwen):
    captioner = QwenCaptioner(str(trained_qwen), device='cpu')
    images = list(prepare_images(*tiny_qwen.images_of(20), 56 * 56))
    first = ('user', PROMPT)
    longer = [first, ('assistant', 'no'), ('user', complaint('no'))]
    answer, _ = captioner._generate([images, images], [[first], longer])
    assert parse_answer(answer) == tiny_qwen.NIGHT


def test_babble_is_recorded_as_failed_and_tried_again(
    random_qwen, trained_qwen, tmp_path, monkeypatch, capsys
):
    annotations, out = tiny_qwen.write_pairs(tmp_path, 3), tmp_path / 'captions.jsonl'
    failed = tmp_path / 'captions.jsonl.failed.jsonl'
    few = ('--max-tokens', '12', '--attempts', '2')
    assert run_here(monkeypatch, options(annotations, random_qwen, out, *few)) == 1
    assert 'pairs without a caption: 3, listed in' in capsys.readouterr().err
    listed = [json.loads(line) for line in failed.read_text().splitlines()]
    assert sorted(entry['file_name'] for entry in listed) == ['00.png', '01.png', '02.png']
    assert all('not one JSON object' in entry['failure'] and entry['answer'] for entry in listed)
    assert not out.read_bytes()
    assert run_here(monkeypatch, options(annotations, trained_qwen, out, '--resume')) == 0
    assert captions_of(out) == tiny_qwen.wanted(3) and not failed.exists()


def test_caption_of_one_pair_raises_its_failure(random_qwen):
    captioner = QwenCaptioner(str(random_qwen), device='cpu', max_tokens=5, attempts=1)
    with pytest.raises(CaptionFailure, match='not one JSON object'):
        captioner.caption(*tiny_qwen.images_of(20))


@pytest.mark.slow
def test_killed_run_resumes_to_the_records_of_an_uninterrupted_one(
    trained_qwen, tmp_path, monkeypatch, capsys
):
    annotations, num = tiny_qwen.write_pairs(tmp_path, 30), 30
    captioner = QwenCaptioner(str(trained_qwen), 1, 'float32', 'cpu')
    generate_captions(pairs_of(annotations), captioner, 'qwen', tmp_path / 'whole.jsonl')

    out, journal = tmp_path / 'captions.jsonl', tmp_path / 'captions.jsonl.partial'
    args = options(annotations, trained_qwen, out, '--batch-size', '1', '--workers', '1')
    process = subprocess.Popen([sys.executable, TOOL, *args], env=ENV, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b'\n') > 2):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not out.exists()
    kept = [json.loads(line)['file_name'] for line in journal.read_text().splitlines()]
    assert len(set(kept)) == len(kept) and 2 < len(kept) < num
    with journal.open('ab') as file:
        file.write(b'{"file_name": "29.p')

    assert run_here(monkeypatch, [*args, '--resume']) == 0
    assert f'{num - len(kept)}/{num - len(kept)} pairs,' in capsys.readouterr().err
    assert out.read_bytes() == (tmp_path / 'whole.jsonl').read_bytes()
    assert not list(tmp_path.glob('captions.jsonl.*'))


def test_what_is_no_qwen_is_refused(trained_qwen, tmp_path):
    with pytest.raises(InputError, match='none: the model cannot be loaded on cpu'):
        QwenCaptioner(str(tmp_path / 'none'), device='cpu')
    (tmp_path / 'bert').mkdir()
    (tmp_path / 'bert' / 'config.json').write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match=r'bert: wanted a Qwen2\.5-VL .*, got bert'):
        QwenCaptioner(str(tmp_path / 'bert'), device='cpu')
    with pytest.raises(InputError, match=r"wanted a dtype of auto, .* got 'int8'"):
        QwenCaptioner(str(trained_qwen), dtype='int8')
    with pytest.raises(InputError, match='cannot be loaded on cuda:77'):
        QwenCaptioner(str(trained_qwen), device='cuda:77')


def test_missing_transformers_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(InputError, match=r'needs transformers .*; install requirements/captions\.txt'):
        QwenCaptioner('x')
