import pytest
import torch

from mmslg.models.layers import structural_similarity

PATCH = torch.tensor([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]])[None, None]


def center(first, second, **kwargs):
    return structural_similarity(first, second, **kwargs)[0, 0, 1, 1].item()


def test_equal_patches_give_one_everywhere():
    patch = torch.rand(2, 3, 7, 9)
    torch.testing.assert_close(structural_similarity(patch, patch), torch.ones(2, 3, 7, 9))


def test_opposite_patches_by_hand():
    # mean 4/9 and 5/9, variances 20/81, covariance -20/81.
    c1, c2 = 1e-4, 9e-4
    m1, m2, var = 4 / 9, 5 / 9, 20 / 81
    expected = (2 * m1 * m2 + c1) / (m1**2 + m2**2 + c1) * (-2 * var + c2) / (2 * var + c2)
    assert center(PATCH, 1 - PATCH) == pytest.approx(expected, abs=1e-5)
    assert expected < -0.95


def test_flat_against_texture_is_near_zero():
    assert abs(center(torch.full_like(PATCH, 4 / 9), PATCH)) == pytest.approx(
        9e-4 / (20 / 81 + 9e-4), abs=1e-5
    )


def test_a_larger_range_weakens_the_verdict():
    assert center(PATCH, 1 - PATCH, data_range=10) > center(PATCH, 1 - PATCH)


def test_flat_maps_far_from_zero_are_alike():
    # Rounding makes E[x^2] - E[x]^2 as low as -8 here, where both variances are 0.
    first = torch.full((1, 1, 8, 8), 9999.3, requires_grad=True)
    similarity = structural_similarity(first, torch.full_like(first, 9998.7))
    torch.testing.assert_close(similarity, torch.ones(1, 1, 8, 8))
    similarity.sum().backward()
    assert first.grad.isfinite().all()


def test_border_windows_hold_no_padding():
    ones = torch.ones(1, 1, 4, 4)
    expected = (2 * 1 * 2 + 1e-4) / (1 + 4 + 1e-4)
    torch.testing.assert_close(structural_similarity(ones, 2 * ones), torch.full((1, 1, 4, 4), expected))


def test_even_window_is_refused():
    with pytest.raises(ValueError, match='window_size must be odd, got 4'):
        structural_similarity(PATCH, PATCH, window_size=4)
