import pytest
import torch
import torch.nn.functional as F

from mmslg.models.layers import FeatureFusionAdapter, SparseAttention, flatten_levels, token_centers

HEADS, POINTS, DIMS = 2, 3, 8
SHAPES = [(8, 6), (4, 3), (2, 2)]


def build(evolve_dims=4, seed=0):
    torch.manual_seed(seed)
    attention = SparseAttention(DIMS, HEADS, 3, POINTS)
    for p in attention.parameters():
        torch.nn.init.normal_(p, std=0.3)
    adapter = FeatureFusionAdapter(12, DIMS, attention, evolve_dims)
    torch.nn.init.ones_(adapter.gamma)
    return adapter


def inputs():
    torch.manual_seed(1)
    maps = [torch.randn(1, DIMS, *shape) for shape in SHAPES]
    feats, shapes = flatten_levels(maps)
    return torch.randn(1, 12, 12), maps, feats, shapes, token_centers(4, 3)


def bilinear(level, x, y):
    """Value of a map (C, H, W) at pixel coordinates where a cell's centre is an integer; outside is 0."""
    _, height, width = level.shape
    x0, y0 = int(torch.floor(x)), int(torch.floor(y))
    value = torch.zeros(level.shape[0])
    for yi in (y0, y0 + 1):
        for xi in (x0, x0 + 1):
            if 0 <= xi < width and 0 <= yi < height:
                value = value + level[:, yi, xi] * (1 - (x - xi).abs()) * (1 - (y - yi).abs())
    return value


def test_token_centers_are_half_a_cell_in():
    centers = token_centers(2, 4)
    torch.testing.assert_close(centers[0], torch.tensor([0.125, 0.25]))
    torch.testing.assert_close(centers[5], torch.tensor([0.375, 0.75]))


def test_levels_lie_row_by_row():
    feats, shapes = flatten_levels([torch.arange(6.0).view(1, 1, 2, 3), torch.tensor([[[[9.0]]]])])
    assert feats.flatten().tolist() == [0, 1, 2, 3, 4, 5, 9]
    assert shapes == ((2, 3), (1, 1))


def test_injection_is_equation_7_by_brute_force():
    adapter = build()
    tokens, maps, feats, shapes, centers = inputs()
    result = adapter(tokens, feats, shapes, centers)
    attention = adapter.attention
    with torch.no_grad():
        queries = adapter.down(adapter.norm(tokens))[0]
        values = [
            F.conv2d(m, attention.value_proj.weight[:, :, None, None], attention.value_proj.bias)[0]
            for m in maps
        ]
        expected = tokens.clone()
        for q, query in enumerate(queries):
            offsets = attention.sampling_offsets(query).view(HEADS, 3, POINTS, 2)
            weights = (
                attention.attention_weights(query).view(HEADS, 3 * POINTS).softmax(-1).view(HEADS, 3, POINTS)
            )
            torch.testing.assert_close(weights.sum((1, 2)), torch.ones(HEADS))
            out = torch.zeros(HEADS, DIMS // HEADS)
            for head in range(HEADS):
                for lvl, (height, width) in enumerate(SHAPES):
                    channels = slice(head * DIMS // HEADS, (head + 1) * DIMS // HEADS)
                    for point in range(POINTS):
                        x = centers[q, 0] * width + offsets[head, lvl, point, 0] - 0.5
                        y = centers[q, 1] * height + offsets[head, lvl, point, 1] - 0.5
                        out[head] += weights[head, lvl, point] * bilinear(values[lvl][channels], x, y)
            expected[0, q] += adapter.gamma * adapter.up(attention.output_proj(out.flatten()))
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)


def test_an_untrained_adapter_changes_nothing():
    adapter = FeatureFusionAdapter(12, DIMS, build().attention)
    tokens, _, feats, shapes, centers = inputs()
    assert torch.equal(adapter(tokens, feats, shapes, centers), tokens)


def test_evolution_changes_what_the_next_stage_sees():
    adapter = build()
    tokens, _, feats, shapes, centers = inputs()
    evolved = adapter.evolve(feats)
    assert evolved.shape == feats.shape
    norm, fc1, act, fc2 = adapter.evolution
    torch.testing.assert_close(evolved, feats + fc2(act(fc1(norm(feats)))))
    following = build(seed=2)
    before = following(tokens, feats, shapes, centers)
    after = following(tokens, evolved, shapes, centers)
    assert not torch.allclose(before, after)


def test_the_last_adapter_has_no_evolution():
    with pytest.raises(RuntimeError, match='evolve_dims=0'):
        build(evolve_dims=0).evolve(torch.zeros(1, 4, DIMS))
