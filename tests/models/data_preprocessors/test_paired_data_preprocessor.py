import pytest
import torch
from mmdet.structures import DetDataSample

from mmslg.errors import InputError
from mmslg.models import PairedDetDataPreprocessor

MEAN, STD = [10.0, 20, 30, 40], [1.0, 2, 4, 8]


def batch(*sizes, text=True):
    images = [torch.randint(0, 256, (4, h, w), dtype=torch.uint8) for h, w in sizes]
    inputs = dict(img=images)
    if text:
        inputs['text'] = [torch.full((4, 6), float(i)) for i in range(len(sizes))]
    samples = [DetDataSample(metainfo=dict(img_shape=(h, w))) for h, w in sizes]
    return dict(inputs=inputs, data_samples=samples)


def test_channels_are_reordered_and_normalised_each_by_its_own():
    data = batch((32, 32))
    blue, green, red, ir = data['inputs']['img'][0].float()
    out = PairedDetDataPreprocessor(MEAN, STD)(data)['inputs']
    torch.testing.assert_close(out['rgb'][0], torch.stack([red - 10, (green - 20) / 2, (blue - 30) / 4]))
    torch.testing.assert_close(out['ir'][0], ((ir - 40) / 8).expand(3, -1, -1))


def test_both_images_are_padded_alike_to_the_divisor():
    out = PairedDetDataPreprocessor(MEAN, STD)(batch((20, 50), (33, 40)))
    assert out['inputs']['rgb'].shape == out['inputs']['ir'].shape == (2, 3, 64, 64)
    assert (out['inputs']['rgb'][0, :, 20:] == 0).all() and (out['inputs']['ir'][0, :, :, 50:] == 0).all()
    assert out['data_samples'][0].batch_input_shape == (64, 64)
    assert out['data_samples'][0].pad_shape == (32, 64)


def test_text_is_stacked_or_none():
    preprocessor = PairedDetDataPreprocessor(MEAN, STD)
    assert preprocessor(batch((32, 32), (32, 32)))['inputs']['text'][1].unique().item() == 1
    assert preprocessor(batch((32, 32), text=False))['inputs']['text'] is None


@pytest.mark.parametrize(('modality', 'kept'), [('rgb', 'rgb'), ('ir', 'ir')])
def test_one_modality_takes_the_place_of_both(modality, kept):
    data = batch((32, 32))
    expected = PairedDetDataPreprocessor(MEAN, STD)(data)['inputs'][kept]
    out = PairedDetDataPreprocessor(MEAN, STD, modality=modality)(data)['inputs']
    assert torch.equal(out['rgb'], expected) and torch.equal(out['ir'], expected)


def test_swapped_is_as_if_the_files_were_interchanged():
    data = batch((32, 32))
    data['inputs']['img'] = [
        torch.tensor([10, 20, 30, 200], dtype=torch.uint8)[:, None, None].expand(4, 32, 32)
    ]
    out = PairedDetDataPreprocessor(MEAN, STD, modality='swapped')(data)['inputs']
    # Infrared with the statistics of R, G, B; 0.299 * 30 + 0.587 * 20 + 0.114 * 10 with those of infrared.
    expected = torch.tensor([(200 - 10) / 1, (200 - 20) / 2, (200 - 30) / 4])
    torch.testing.assert_close(out['rgb'][0, :, 5, 5], expected)
    torch.testing.assert_close(out['ir'][0, :, 5, 5], torch.full((3,), (21.85 - 40) / 8))


def test_batch_augmentation_takes_both_images_along():
    pad = dict(type='mmdet.BatchFixedSizePad', size=(64, 96), pad_mask=False)
    preprocessor = PairedDetDataPreprocessor(MEAN, STD, batch_augments=[pad])
    out = preprocessor(batch((32, 32)), training=True)['inputs']
    assert out['rgb'].shape == out['ir'].shape == (1, 3, 64, 96)
    assert preprocessor(batch((32, 32)))['inputs']['rgb'].shape == (1, 3, 32, 32)


def test_three_channels_are_refused():
    data = batch((32, 32))
    data['inputs']['img'] = [torch.zeros(3, 32, 32)]
    with pytest.raises(
        InputError, match=r'wanted images \(4, H, W\).*got \(3, 32, 32\); put mmslg.LoadInfrared'
    ):
        PairedDetDataPreprocessor(MEAN, STD)(data)


def test_a_plain_list_is_refused():
    data = batch((32, 32))
    data['inputs'] = data['inputs']['img']
    with pytest.raises(InputError, match=r'end the pipeline with mmslg\.PackPairedInputs'):
        PairedDetDataPreprocessor(MEAN, STD)(data)


def test_wrong_statistics_and_modality_are_refused():
    with pytest.raises(InputError, match='mean and std of R, G, B, IR'):
        PairedDetDataPreprocessor([1, 2, 3], [1, 2, 3])
    with pytest.raises(InputError, match="both, rgb, ir, swapped, got 'thermal'"):
        PairedDetDataPreprocessor(MEAN, STD, modality='thermal')
