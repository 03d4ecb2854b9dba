import pytest
import torch

from mmslg.models.layers import CaptionModulation


def trained(**kwargs):
    torch.manual_seed(0)
    modulation = CaptionModulation(text_dims=6, embed_dims=5, hidden_dims=8, **kwargs)
    for p in modulation.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return modulation


def test_untrained_is_identity_to_the_bit():
    feats = torch.randn(2, 5, 3, 4)
    assert torch.equal(CaptionModulation(6, 5)(feats, torch.randn(2, 4, 6)), feats)


def test_equation_13_by_hand():
    modulation = CaptionModulation(6, 2)
    with torch.no_grad():
        modulation.scale[-1].bias.copy_(torch.tensor([1.0, -0.5]))
        modulation.shift[-1].bias.copy_(torch.tensor([0.0, 3.0]))
    feats = torch.tensor([2.0, 4.0]).view(1, 2, 1, 1)
    # (1 + 1) * 2 + 0 = 4 and (-0.5 + 1) * 4 + 3 = 5
    assert modulation(feats, torch.randn(1, 4, 6)).flatten().tolist() == [4, 5]


def test_equations_10_to_12():
    modulation, text = trained(), torch.randn(2, 4, 6)
    scale, shift = modulation.parameters_of(text)
    sem = modulation.projection(torch.cat([text[:, i] for i in range(4)], 1))
    torch.testing.assert_close(scale, modulation.scale(sem))
    torch.testing.assert_close(shift, modulation.shift(sem))


def test_tokens_are_projected_then_pooled_without_padding():
    modulation, text = trained(), torch.randn(1, 4, 3, 6)
    padded = torch.cat([text, torch.zeros(1, 4, 2, 6)], 2)
    sem = torch.stack([modulation.projection(text[:, :, i].flatten(1)) for i in range(3)]).mean(0)
    torch.testing.assert_close(modulation.parameters_of(text)[0], modulation.scale(sem))
    torch.testing.assert_close(modulation.parameters_of(padded), modulation.parameters_of(text))


def test_every_part_of_the_caption_counts():
    modulation, text = trained(), torch.randn(1, 4, 6)
    before = modulation.parameters_of(text)[0]
    for part in range(4):
        changed = text.clone()
        changed[:, part] += 1
        assert not torch.allclose(modulation.parameters_of(changed)[0], before)


@pytest.mark.parametrize('shape', [(1, 3, 6), (1, 4, 7), (4, 6)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r'wanted caption embeddings \(B, 4, 6\).*got'):
        trained().parameters_of(torch.zeros(shape))
