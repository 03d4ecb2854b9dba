import multiprocessing
import pickle

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mmslg.captions.encoders.base import TextEncoder
from mmslg.captions.encoders.hashed import HashedTextEncoder
from mmslg.captions.schema import StructuredCaption
from mmslg.captions.store import CaptionStore, write_store
from mmslg.errors import InputError

DAY = StructuredCaption('clear daylight', 'highway', 'few pedestrians', 'thermal crossover')
NIGHT = StructuredCaption('foggy night', 'highway', 'few pedestrians', 'highway')
CAPTIONS = {'a/1.jpg': DAY, 'ä.jpg': NIGHT, '3.jpg': DAY}


class CountingEncoder(TextEncoder):
    name, model, width = 'counting', 'counting/3', 3

    def __init__(self, pooling='pooled', shape=(3,)):
        self.pooling, self.shape, self.seen = pooling, shape, []

    def encode(self, texts):
        first = len(self.seen)
        self.seen += texts
        values = np.arange(first, first + len(texts), dtype=np.float32)
        return np.broadcast_to(values.reshape(-1, *[1] * len(self.shape)), (len(texts), *self.shape))


@pytest.fixture
def path(tmp_path):
    write_store(tmp_path / 'store.safetensors', CAPTIONS, HashedTextEncoder(64))
    return tmp_path / 'store.safetensors'


def rewrite(path, tensors=(), metadata=()):
    store = CaptionStore.open(path)
    header = {**store._metadata, **dict(metadata)}
    save_file({**load_file(path), **dict(tensors)}, path, {key: text for key, text in header.items() if text})


def test_round_trip(path):
    store = CaptionStore.open(path)
    assert len(store) == 3 and list(store) == list(CAPTIONS)
    assert 'ä.jpg' in store and 'b.jpg' not in store and 7 not in store
    assert (store.encoder, store.model, store.width, store.pooling) == (
        'hashed',
        'hashed-v1/64',
        64,
        'pooled',
    )
    for key, caption in CAPTIONS.items():
        assert store.caption(key) == caption
        assert store[key].dtype == np.float32 and store[key].flags.writeable
        np.testing.assert_array_equal(store[key], HashedTextEncoder(64).encode(caption.components()))
    store.verify()


def test_equal_strings_are_encoded_once_and_in_order(tmp_path):
    encoder, counts = CountingEncoder(), []
    assert write_store(tmp_path / 's', CAPTIONS, encoder, counts.append) == 5
    assert encoder.seen == [*DAY.components(), 'foggy night']
    assert counts == [5]
    assert CaptionStore.open(tmp_path / 's')['ä.jpg'][:, 0].tolist() == [4, 1, 2, 1]


def test_tokens(tmp_path):
    write_store(tmp_path / 's', CAPTIONS, CountingEncoder('tokens', (7, 3)))
    store = CaptionStore.open(tmp_path / 's')
    assert store.pooling == 'tokens' and store['3.jpg'].shape == (4, 7, 3)
    assert store['3.jpg'][:, 6, 2].tolist() == [0, 1, 2, 3]


def test_encoder_must_keep_its_promise(tmp_path):
    for encoder in (CountingEncoder('pooled', (4,)), CountingEncoder('tokens', (3,))):
        with pytest.raises(ValueError, match='counting/3 promised'):
            write_store(tmp_path / 's', CAPTIONS, encoder)
    assert list(tmp_path.iterdir()) == []


def test_content_hash_tells_contents_apart(tmp_path, path):
    write_store(tmp_path / 'again', CAPTIONS, HashedTextEncoder(64))
    write_store(tmp_path / 'other', {**CAPTIONS, '3.jpg': NIGHT}, HashedTextEncoder(64))
    hashes = [CaptionStore.open(p).sha256 for p in (path, tmp_path / 'again', tmp_path / 'other')]
    assert hashes[0] == hashes[1] != hashes[2]


def test_changed_content_fails_verification(path):
    rewrite(path, {'embeddings': load_file(path)['embeddings'] + 1})
    with pytest.raises(InputError, match='does not match its hash'):
        CaptionStore.open(path).verify()


def test_missing_key_says_what_to_do(path):
    message = (
        r'^no caption for image b\.jpg in .*store\.safetensors \(3 captions, e\.g\. a/1\.jpg\); '
        r'run tools/captions/generate\.py and encode\.py on these annotations$'
    )
    for look in (CaptionStore.open(path).__getitem__, CaptionStore.open(path).caption):
        with pytest.raises(InputError, match=message):
            look('b.jpg')


def _look_up(store):
    return store['a/1.jpg'].sum()


def test_pickling_carries_the_path_alone(path):
    store = CaptionStore.open(path)
    assert len(pickle.dumps(store)) < 500
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store))['ä.jpg'], store['ä.jpg'])


def test_forked_process_can_look_up(path):
    store = CaptionStore.open(path)
    with multiprocessing.get_context('fork').Pool(1) as pool:
        assert pool.apply(_look_up, (store,)) == pytest.approx(_look_up(store))


@pytest.mark.parametrize('size', [0, 4, 100, -1])
def test_truncated_file_is_refused(path, size):
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match=r'store\.safetensors: not a caption store, or truncated') as caught:
        CaptionStore.open(path)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('metadata', 'message'),
    [
        ({'format': 'other'}, 'not a caption store; write one'),
        ({'format_version': '99'}, 'format version 99, this program reads version 1'),
        ({'model': ''}, 'lacks model'),
        ({'width': '32'}, 'header and content of the store disagree'),
        ({'pooling': 'tokens'}, 'header and content of the store disagree'),
        ({'pooling': 'odd'}, 'header and content of the store disagree'),
    ],
)
def test_foreign_headers_are_refused(path, metadata, message):
    rewrite(path, metadata=metadata)
    with pytest.raises(InputError, match=message):
        CaptionStore.open(path)


@pytest.mark.parametrize('rows', [np.full((3, 4), 5, np.int32), np.zeros((2, 4), np.int32)])
def test_rows_outside_the_file_are_refused(path, rows):
    rewrite(path, {'index': rows})
    with pytest.raises(InputError, match='header and content of the store disagree'):
        CaptionStore.open(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match='no such file'):
        CaptionStore.open(tmp_path / 'none')
    save_file({'x': np.zeros(3)}, tmp_path / 'x')
    with pytest.raises(InputError, match='not a caption store'):
        CaptionStore.open(tmp_path / 'x')


def test_colliding_keys_and_no_captions_are_refused(tmp_path):
    with pytest.raises(InputError, match='two captions belong to one image'):
        write_store(tmp_path / 's', {'a/b': DAY, 'a\\b': NIGHT}, HashedTextEncoder(8))
    with pytest.raises(InputError, match='no captions to store'):
        write_store(tmp_path / 's', {}, HashedTextEncoder(8))


def test_many_captions_cost_as_much_as_their_distinct_strings(tmp_path):
    phrases = [[f'{part} {number}' for number in range(size)] for part, size in zip('abcd', (13, 10, 8, 4))]
    captions = {
        f'{number:05d}.jpg': StructuredCaption(*(options[number % len(options)] for options in phrases))
        for number in range(12_025)
    }
    encoder = CountingEncoder()
    assert write_store(tmp_path / 's', captions, encoder) == 35
    assert len(encoder.seen) == len(set(encoder.seen)) == 35
    store = CaptionStore.open(tmp_path / 's')
    assert len(store) == 12_025 and store.num_texts == 35 and (tmp_path / 's').stat().st_size < 350_000
    assert store.caption('12024.jpg') == captions['12024.jpg']


def test_looking_up_reads_no_more_than_the_rows(tmp_path):
    captions = {f'{number}.jpg': DAY for number in range(30_000)}
    write_store(tmp_path / 's', captions, HashedTextEncoder(512))
    store = CaptionStore.open(tmp_path / 's')
    assert isinstance(store._embeddings.base, np.memmap) and store._texts is None
    assert store['29999.jpg'].base is None and store['29999.jpg'].flags.owndata


def test_header_tells_weights_and_variant(tmp_path):
    encoder = CountingEncoder()
    encoder.weights = 'ab' * 32
    write_store(tmp_path / 's', CAPTIONS, encoder, variant='free_form')
    store = CaptionStore.open(tmp_path / 's')
    assert store.variant == 'free_form' and store.shape == (4, 3)
    assert store._metadata['weights'] == 'ab' * 32
    rewrite(tmp_path / 's', metadata={'variant': '', 'weights': ''})  # as written before there were variants
    assert CaptionStore.open(tmp_path / 's').variant == 'structured'


def test_embeddings_of_another_type_are_refused(path):
    rewrite(path, {'embeddings': load_file(path)['embeddings'].astype(np.float64)})
    with pytest.raises(InputError, match='embeddings should be float32, is F64'):
        CaptionStore.open(path)
