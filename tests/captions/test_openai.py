import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import cv2
import numpy as np
import pytest

pytest.importorskip('openai')

from captions.annotated import pairs_of, write_annotations
from captions.faulty_server import STEP, caption_of, serving

from mmslg.captions.captioners import server as openai_api
from mmslg.captions.captioners.base import CaptionFailure
from mmslg.captions.captioners.prompt import PROMPT, PROMPT_ID
from mmslg.captions.captioners.server import OpenAICaptioner
from mmslg.captions.generation import generate_captions
from mmslg.captions.schema import read_captions
from mmslg.errors import InputError


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv('NO_PROXY', '127.0.0.1,localhost')
    monkeypatch.delenv('OPENAI_API_KEY', raising=False)


def make_pairs(folder, num):
    images = [dict(file_name=f'{i:02d}.png') for i in range(num)]
    for i, image in enumerate(images):
        for name, array in (
            ('visible', np.full((32, 40, 3), i * STEP, np.uint8)),
            ('infrared', np.full((32, 40), 250, np.uint8)),
        ):
            (folder / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / name / image['file_name']), array)
    return pairs_of(write_annotations(folder / 'train.json', images))


def captioner_of(server, **options):
    return OpenAICaptioner('tiny', server.url, **{**dict(timeout=2.0, retries=1), **options})


def failures_of(out):
    path = out.with_name(f'{out.name}.failed.jsonl')
    if not path.exists():
        return {}
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    return {entry['file_name']: entry['failure'] for entry in entries}


PASSING = [(500,), (503,), (429,), (408,), ('silent',), ('closed',), ('torn',)]
UNUSABLE = ['html', 'empty', 'shape', 'null', 'half', 'prose', 'markup', 'script']


def test_no_fault_that_passes_loses_or_changes_a_caption(tmp_path):
    script = dict(enumerate([*PASSING, *((fault,) for fault in UNUSABLE), ('markup', 'script')]))
    out = tmp_path / 'captions.jsonl'
    with serving(script) as server:
        pairs = make_pairs(tmp_path, len(script) + 2)
        result = generate_captions(pairs, captioner_of(server), 'openai', out, workers=18)
    assert len(result.records) == len(pairs) and not result.failures and failures_of(out) == {}
    assert {name: record.caption for name, record in read_captions(out).items()} == {
        f'{i:02d}.png': caption_of(i) for i in range(len(pairs))
    }
    for number, faults in script.items():
        assert len(server.requests[number]) == len(faults) + 1, faults
        last = server.requests[number][-1][1]['messages']
        answered = [fault for fault in faults if fault in ('half', 'prose', 'markup', 'script')]
        assert [message['role'] for message in last] == ['user', *['assistant', 'user'] * len(answered)]
        assert last[0]['content'][-1]['text'] == PROMPT
        assert all('cannot be used: ' in message['content'] for message in last[2::2])
    first, second = server.times[PASSING.index((429,))]
    assert second - first >= 1.0  # as Retry-After says; the back-off alone is half of it
    record = read_captions(out)['00.png']
    assert record.extra == dict(model='tiny', max_pixels=802816, prompt=PROMPT_ID)
    assert '127.0.0.1' not in out.read_text()


def test_what_stays_unusable_is_listed_and_tried_again(tmp_path):
    lasting = [500, 400, 'silent', 'torn', 'html', 'half', 'script']
    reasons = ['answered 500', 'answered 400', 'timed out', 'onnection', 'no chat completion']
    reasons += ['not one JSON object', 'markup']
    out = tmp_path / 'captions.jsonl'
    pairs = make_pairs(tmp_path, len(lasting) + 2)
    with serving({i: [fault] * 20 for i, fault in enumerate(lasting)}) as server:
        result = generate_captions(pairs, captioner_of(server, attempts=2), 'openai', out, workers=9)
        assert [len(server.requests[i]) for i in range(9)] == [2, 1, 2, 2, 2, 2, 2, 1, 1]
    assert [record.caption for record in result.records] == [caption_of(7), caption_of(8)]
    listed = failures_of(out)
    assert sorted(listed) == [pair.key for pair in pairs[:7]] and len(result.failures) == 7
    for pair, reason in zip(pairs, reasons, strict=False):
        assert reason in listed[pair.key]
    assert list(read_captions(out)) == ['07.png', '08.png']

    with serving({1: [400] * 20}) as server:
        generate_captions(pairs, captioner_of(server), 'openai', out, resume=True, workers=9)
        assert not server.requests[7] and not server.requests[8]
    assert list(failures_of(out)) == ['01.png']
    with serving({}) as server:
        result = generate_captions(pairs, captioner_of(server), 'openai', out, resume=True)
        assert list(server.requests) == [1]
    assert [record.caption for record in result.records] == [caption_of(i) for i in range(9)]
    assert failures_of(out) == {}


@pytest.mark.parametrize('workers', [1, 3])
def test_no_more_requests_at_once_than_asked(tmp_path, workers):
    with serving({}, pause=0.1) as server:
        generate_captions(
            make_pairs(tmp_path, 9), captioner_of(server), 'openai', tmp_path / 'c.jsonl', workers=workers
        )
    assert server.most == workers


@pytest.mark.parametrize('status', [401, 403, 404])
def test_a_server_that_refuses_ends_the_run_at_once(tmp_path, status):
    pairs, out = make_pairs(tmp_path, 9), tmp_path / 'captions.jsonl'
    message = f'answered {status}: .*; check --base-url, --model and the key'
    with serving({i: [status] for i in range(9)}) as server, pytest.raises(InputError, match=message):
        generate_captions(pairs, captioner_of(server), 'openai', out)
    assert sum(map(len, server.requests.values())) <= 2


def test_a_server_that_is_gone_ends_the_run_and_keeps_what_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(openai_api, 'GIVE_UP_AFTER', 3)
    out, pairs = tmp_path / 'captions.jsonl', make_pairs(tmp_path, 9)
    with serving({i: [500] for i in range(2, 9)}) as server:
        with pytest.raises(InputError, match=r'3 requests in a row failed, .* answered 500.*--resume'):
            generate_captions(pairs, captioner_of(server, retries=0), 'openai', out)
        assert not out.exists()
        done = {number for number in server.requests if number < 2}
    assert done == {0, 1}
    with serving({}) as server:
        generate_captions(pairs, captioner_of(server), 'openai', out, resume=True)
        assert sorted(server.requests) == [2, 3, 4, 5, 6, 7, 8]
    assert list(read_captions(out)) == [pair.key for pair in pairs]


def test_key_comes_from_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv('OPENAI_API_KEY', 'general')
    monkeypatch.setenv('MY_KEY', 'special')
    images = np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 250, np.uint8)
    with serving({}) as server:
        for name in ('OPENAI_API_KEY', 'MY_KEY'):
            captioner_of(server, api_key_env=name).caption(*images)
        monkeypatch.delenv('OPENAI_API_KEY')
        captioner_of(server).caption(*images)
    sent = [headers['Authorization'] for headers, _ in server.requests[0]]
    assert sent == ['Bearer general', 'Bearer special', 'Bearer none']
    with pytest.raises(InputError, match='variable NO_KEY is not set'):
        captioner_of(server, api_key_env='NO_KEY')


def test_bad_address_and_missing_package_are_named(monkeypatch):
    with pytest.raises(InputError, match=r"wanted a base URL such as http://.*, got 'localhost:8000'"):
        OpenAICaptioner('tiny', 'localhost:8000')
    monkeypatch.setitem(sys.modules, 'openai', None)
    with pytest.raises(InputError, match=r'needs the openai package .*requirements/captions\.txt'):
        OpenAICaptioner('tiny')


@pytest.fixture
def transformers_serve(trained_qwen, tmp_path):
    pytest.importorskip('uvicorn')
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    command = [sys.executable, '-m', 'transformers.cli.transformers', 'serve', trained_qwen]
    log = (tmp_path / 'serve.log').open('w+')
    server = subprocess.Popen(
        [*command, '--host', '127.0.0.1', '--port', str(port), '--device', 'cpu', '--dtype', 'float32'],
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'HF_HUB_OFFLINE': '1', 'HF_HOME': str(tmp_path)},
        stdout=log,
        stderr=log,
    )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f'http://127.0.0.1:{port}/health', timeout=1).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline, log.seek(0) or log.read()
                time.sleep(0.2)
        yield f'http://127.0.0.1:{port}/v1'
    finally:
        server.terminate()
        server.wait()
        log.close()


@pytest.mark.slow
def test_real_server_with_the_tiny_model(transformers_serve, trained_qwen, tmp_path):
    from captions import tiny_qwen

    out, pairs = tmp_path / 'captions.jsonl', pairs_of(tiny_qwen.write_pairs(tmp_path, 6))
    captioner = OpenAICaptioner(str(trained_qwen), transformers_serve, retries=1)
    generate_captions(pairs, captioner, 'openai', out, workers=3)
    assert {name: record.caption for name, record in read_captions(out).items()} == tiny_qwen.wanted(6)
    # An answer that is cut short cannot be used, and the follow-up turn reaches the server's template.
    short = OpenAICaptioner(str(trained_qwen), transformers_serve, max_tokens=4, attempts=2)
    with pytest.raises(CaptionFailure, match='JSON object'):
        short.caption(*tiny_qwen.images_of(20))
    with pytest.raises(CaptionFailure, match=r'answered 400: .*pinned'):
        OpenAICaptioner('other', transformers_serve).caption(*tiny_qwen.images_of(20))
