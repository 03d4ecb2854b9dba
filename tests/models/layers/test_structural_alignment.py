import math

import pytest
import torch

from mmslg.models.layers import HierarchicalStructuralAlignment, SobelGradient, structural_similarity


def edge_and_flat():
    edge = torch.zeros(1, 2, 8, 8)
    edge[..., 4:] = 1
    return edge, torch.full_like(edge, 0.5)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize('rgb_has_edge', [True, False])
def test_the_modality_with_the_edge_wins(rgb_has_edge):
    edge, flat = edge_and_flat()
    pair = (edge, flat) if rgb_has_edge else (flat, edge)
    weights = HierarchicalStructuralAlignment().weights(*pair)
    strong, weak = weights if rgb_has_edge else weights[::-1]
    at_edge = (0, 0, 4, 3)
    # The edge is the reference itself: SSIM 1; the flat one: SSIM near 0.
    assert strong[at_edge].item() == pytest.approx(sigmoid(1), abs=1e-4)
    assert weak[at_edge].item() < 0.51
    # Far from the edge both gradients are nothing, and nothing equals nothing.
    torch.testing.assert_close(strong[0, 0, :, 0], weak[0, 0, :, 0])


def test_fusion_is_equation_6():
    torch.manual_seed(0)
    rgb, ir = torch.rand(2, 4, 8, 8), torch.rand(2, 4, 8, 8)
    gradient = SobelGradient()
    grad_rgb, grad_ir = gradient(rgb), gradient(ir)
    ref = torch.maximum(grad_rgb, grad_ir)
    scale = ref.amax((2, 3), keepdim=True)
    w_rgb = structural_similarity(grad_rgb / scale, ref / scale).sigmoid()
    w_ir = structural_similarity(grad_ir / scale, ref / scale).sigmoid()
    torch.testing.assert_close(HierarchicalStructuralAlignment()(rgb, ir), w_rgb * rgb + w_ir * ir)


def test_normalized_weights_sum_to_one():
    edge, flat = edge_and_flat()
    w_rgb, w_ir = HierarchicalStructuralAlignment(normalize_weights=True).weights(edge, flat)
    torch.testing.assert_close(w_rgb + w_ir, torch.ones_like(w_rgb))


def test_comparing_features_is_another_rule():
    edge, flat = edge_and_flat()
    by_gradient = HierarchicalStructuralAlignment().weights(edge, flat)[0]
    by_feature = HierarchicalStructuralAlignment(compare='feature').weights(edge, flat)[0]
    ref = SobelGradient()(edge)
    ref = (ref / ref.amax()).expand_as(edge)
    torch.testing.assert_close(by_feature, structural_similarity(edge, ref).mean(1, keepdim=True).sigmoid())
    assert not torch.allclose(by_feature, by_gradient)


def test_weights_keep_their_documented_range():
    torch.manual_seed(0)
    weights = HierarchicalStructuralAlignment().weights(torch.randn(2, 3, 16, 16), torch.randn(2, 3, 16, 16))
    for w in weights:
        assert sigmoid(-1) - 1e-6 <= w.min() and w.max() <= sigmoid(1) + 1e-6


def test_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="'gradient' or 'feature', got 'edges'"):
        HierarchicalStructuralAlignment(compare='edges')


def test_the_reference_is_the_stronger_gradient_and_reaches_one():
    edge, _ = edge_and_flat()
    grad_rgb, grad_ir, ref = HierarchicalStructuralAlignment().gradients(0.2 * edge, 0.1 * edge.flip(3))
    assert ref.amax() == 1
    torch.testing.assert_close(ref, torch.maximum(grad_rgb, grad_ir))
    torch.testing.assert_close(grad_ir, grad_rgb / 2)
