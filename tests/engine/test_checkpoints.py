"""Reading checkpoints: what is no checkpoint, what is unsafe, what is broken."""

import http.server
import threading

import pytest
import torch
from safetensors.torch import save_file

from mmslg.engine.checkpoints import checkpoint_classes, compare_classes, read_checkpoint
from mmslg.errors import InputError

WEIGHTS = {'layer.weight': torch.arange(6.0).view(2, 3), 'layer.bias': torch.zeros(2, dtype=torch.float16)}


def refused(path, message):
    with pytest.raises(InputError, match=message) as caught:
        read_checkpoint(str(path))
    text = str(caught.value)
    assert text.startswith(str(path)) and '\n' not in text
    assert 'weights_only' not in text and 'add_safe_globals' not in text and 'trust' not in text
    return text


def test_a_checkpoint_comes_back(tmp_path):
    torch.save({'state_dict': WEIGHTS, 'meta': {'iter': 4}}, tmp_path / 'a.pth')
    read = read_checkpoint(str(tmp_path / 'a.pth'))
    assert read['meta'] == {'iter': 4}
    assert all(torch.equal(read['state_dict'][name], value) for name, value in WEIGHTS.items())


def test_weights_alone_are_a_checkpoint(tmp_path):
    torch.save(WEIGHTS, tmp_path / 'a.pth')
    assert read_checkpoint(str(tmp_path / 'a.pth'))['state_dict'].keys() == WEIGHTS.keys()


class Payload:
    """Runs code when an unrestricted pickle is loaded."""

    def __reduce__(self):
        return exec, ("raise SystemExit('the pickle ran')",)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([torch.zeros(1)], 'wanted a checkpoint with weights by name, got a list'),
        (torch.zeros(1), 'wanted a checkpoint with weights by name, got a tensor'),
        ('weights', 'wanted a checkpoint with weights by name, got a str'),
        (None, 'wanted a checkpoint with weights by name, got a NoneType'),
        ({}, 'the checkpoint holds no weights'),
        ({'state_dict': {}}, 'the checkpoint holds no weights'),
        ({'state_dict': [1]}, 'state_dict should hold weights by name, got a list'),
        ({'state_dict': None}, 'state_dict should hold weights by name, got a NoneType'),
        ({'epoch': 3}, "state_dict should hold tensors by name, got a int as 'epoch'"),
        ({'state_dict': {3: torch.zeros(1)}}, 'state_dict should hold tensors by name, got a tensor as 3'),
        ({**WEIGHTS, 'layer.weight': torch.tensor([1.0, torch.nan])}, 'layer.weight of state_dict holds NaN'),
        ({'state_dict': {'w': torch.tensor(torch.inf)}}, 'w of state_dict holds NaN or infinite values'),
        (
            {'state_dict': WEIGHTS, 'ema_state_dict': {'w': torch.tensor(-torch.inf)}},
            'w of ema_state_dict holds NaN or infinite values',
        ),
        ({'state_dict': WEIGHTS, 'hook': input}, r'\(it holds input, which is neither a tensor nor a plain'),
        ({'state_dict': WEIGHTS, 'x': Payload()}, r'\(it holds exec, which is neither a tensor nor a plain'),
    ],
)
def test_what_is_no_checkpoint(tmp_path, content, message):
    torch.save(content, tmp_path / 'a.pth')
    refused(tmp_path / 'a.pth', message)


def test_without_the_environment_nothing_runs(tmp_path, monkeypatch):
    monkeypatch.delenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', raising=False)
    torch.save({'state_dict': WEIGHTS, 'x': Payload()}, tmp_path / 'a.pth')
    refused(tmp_path / 'a.pth', 'it holds exec')


def test_bytes_that_are_no_checkpoint(tmp_path):
    file = tmp_path / 'a.pth'
    torch.save({'state_dict': WEIGHTS}, file)
    data = file.read_bytes()
    for part in (data[: len(data) // 2], data[:-1], data[:100], data[: len(data) // 4] * 2):
        file.write_bytes(part)
        refused(file, r'not a checkpoint that can be loaded safely \((the file is truncated|it is no file)')
    for text in (
        b'',
        b'version https://git-lfs.github.com/spec/v1\n',
        b'\x80\x02',
        b'PK\x03\x04',
        b'\0' * 512,
    ):
        file.write_bytes(text)
        refused(file, 'not a checkpoint that can be loaded safely')
    refused(tmp_path, 'this is a folder, wanted a checkpoint file')
    refused(tmp_path / 'none.pth', r'none\.pth: no such checkpoint')
    with pytest.raises(InputError, match=r'no such checkpoint; train it first'):
        read_checkpoint(str(tmp_path / 'none.pth'), advice='train it first')


def test_a_flipped_byte_is_refused_or_harmless(tmp_path):
    """Whatever a byte of the file becomes: the same weights, or one line."""
    file = tmp_path / 'a.pth'
    torch.save({'state_dict': WEIGHTS, 'meta': {'iter': 4}}, file)
    data = bytearray(file.read_bytes())
    for place in range(0, len(data), 23):
        file.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            read = read_checkpoint(str(file))
        except InputError as error:
            assert '\n' not in str(error)
        else:
            assert read['meta'] == {'iter': 4}
            assert all(torch.equal(read['state_dict'][name], value) for name, value in WEIGHTS.items())


@pytest.mark.parametrize(
    'weight',
    [
        torch.zeros(2, 3).to_sparse(),
        torch.zeros(2, 3).to(torch.float8_e4m3fn),
        torch.zeros(2, 3, device='meta'),
        torch.zeros(1).expand(10**14),
    ],
    ids=['sparse', 'eight_bits', 'meta', 'endless'],
)
def test_a_weight_without_plain_values(tmp_path, weight):
    torch.save({'state_dict': {'w': weight}}, tmp_path / 'a.pth')
    refused(tmp_path / 'a.pth', 'w of state_dict is no plain tensor')


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder behind a URL."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    (tmp_path / 'www').mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path / 'www'))

        def log_message(self, *args):
            pass

        def copyfile(self, source, out):
            out.write(source.read()[: -100 if 'cut' in self.path else None])

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path / 'www', f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()


def test_a_url(served, tmp_path):
    folder, url = served
    torch.save({'state_dict': WEIGHTS}, folder / 'a.pth')
    assert read_checkpoint(f'{url}/a.pth')['state_dict'].keys() == WEIGHTS.keys()
    (folder / 'a.pth').unlink()  # it is downloaded once
    assert read_checkpoint(f'{url}/a.pth')['state_dict'].keys() == WEIGHTS.keys()
    refused(f'{url}/b.pth', r'the checkpoint cannot be downloaded \(HTTP Error 404')
    assert len(list((tmp_path / 'hub/checkpoints').iterdir())) == 1


def test_a_url_with_more_than_a_path(served):
    folder, url = served
    save_file(WEIGHTS, folder / 'a.safetensors')
    assert read_checkpoint(f'{url}/a.safetensors?download=true')['state_dict'].keys() == WEIGHTS.keys()


def test_a_download_that_breaks_off(served, tmp_path):
    folder, url = served
    torch.save({'state_dict': WEIGHTS}, folder / 'cut.pth')
    refused(f'{url}/cut.pth', r'the checkpoint cannot be downloaded \(\d+ of \d+ bytes came\)')
    assert not list((tmp_path / 'hub').rglob('*.*'))


def test_a_url_that_nobody_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    refused('http://127.0.0.1:9/a.pth', 'the checkpoint cannot be downloaded .*refused')
    refused('https://nowhere.invalid/a.pth', 'the checkpoint cannot be downloaded')
    refused('http://[/a.pth', 'the checkpoint cannot be downloaded')
    assert not list(tmp_path.rglob('*.pth'))


def test_classes():
    checkpoint = {'meta': {'dataset_meta': {'classes': ('person', 'car')}}}
    assert checkpoint_classes(checkpoint) == ['person', 'car']
    assert compare_classes('a.pth', checkpoint, ['person', 'car']) == ''
    assert compare_classes('a.pth', checkpoint, None) == ''
    assert compare_classes('a.pth', checkpoint, ['car', 'person']) == (
        'a.pth: the checkpoint was trained on the classes person, car; the config has car, person in another '
        'order'
    )
    assert compare_classes('a.pth', checkpoint, ['person']).endswith('person, car; the config has person')
    for other in ({}, {'meta': None}, {'meta': {}}, {'meta': {'dataset_meta': {}}}):
        assert checkpoint_classes(other) is None and compare_classes('a.pth', other, ['car']) == ''
