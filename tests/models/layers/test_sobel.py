import shutil

import pytest
import torch
from torch import nn

from mmslg.models.layers import SobelGradient


def test_ramp_has_its_slope():
    ramp = torch.arange(8.0).repeat(1, 1, 6, 1) * 3
    gradient = SobelGradient()(ramp)
    assert gradient.shape == (1, 1, 6, 8)
    # 3 a pixel inside; at the frame the replicated neighbour halves the difference.
    torch.testing.assert_close(gradient[0, 0, :, 1:-1], torch.full((6, 6), 3.0))
    torch.testing.assert_close(gradient[0, 0, :, 0], torch.full((6,), 1.5))


def test_diagonal_ramp_combines_both_directions():
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing='ij')
    gradient = SobelGradient()((3 * x + 4 * y)[None, None])
    torch.testing.assert_close(gradient[0, 0, 1:-1, 1:-1], torch.full((4, 4), 5.0))


def test_step_edge_by_hand():
    image = torch.zeros(1, 1, 5, 6)
    image[..., 3:] = 8
    # Columns 2 and 3 touch the step: (1 + 2 + 1) * 8 / 8 = 4; elsewhere nothing, at the frame neither.
    torch.testing.assert_close(
        SobelGradient()(image)[0, 0], torch.tensor([0.0, 0, 4, 4, 0, 0]).repeat(5, 1), atol=1e-5, rtol=0
    )


def test_opposite_edges_do_not_cancel_unless_asked():
    edge = torch.zeros(1, 1, 4, 6)
    edge[..., 3:] = 8
    opposite = torch.cat([edge, -edge], 1)
    assert SobelGradient()(opposite).amax() == 4
    assert SobelGradient(reduce_first=True)(opposite).amax() < 1e-5


def test_gradient_is_finite_on_a_flat_map():
    flat = torch.ones(1, 3, 4, 4, requires_grad=True)
    SobelGradient()(flat).sum().backward()
    assert torch.isfinite(flat.grad).all()


@pytest.mark.skipif(shutil.which('g++') is None, reason='inductor wants g++')
def test_compiled_gradient_where_channels_come_last():
    images = torch.rand(2, 3, 16, 24).contiguous(memory_format=torch.channels_last)
    stem = nn.Conv2d(3, 8, 3, 2, 1).to(memory_format=torch.channels_last)
    sobel = SobelGradient()

    def edges(images):
        feats = stem(images)
        return sobel(feats) * feats

    found = []
    for run in (edges, torch.compile(edges, dynamic=False)):
        inputs = images.clone().requires_grad_()
        run(inputs).sum().backward()
        found.append(inputs.grad)
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)
