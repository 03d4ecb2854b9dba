import pytest
import torch
from mmcv.ops import MultiScaleDeformableAttention
from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

from mmslg.models.layers import SparseAttention, flatten_levels, sparse_attention, token_centers
from mmslg.models.layers.sparse_attention import sample_bilinear, sample_bilinear_opaque

DIMS, HEADS, POINTS = 24, 4, 3
SHAPES = ((8, 6), (5, 3), (2, 2))


def trained(heads=HEADS, seed=0):
    torch.manual_seed(seed)
    attention = SparseAttention(DIMS, heads, len(SHAPES), POINTS)
    for param in attention.parameters():
        torch.nn.init.normal_(param, std=0.2)
    torch.nn.init.normal_(attention.sampling_offsets.bias, std=2.0)  # some points lie outside
    return attention


def inputs(batch=2):
    torch.manual_seed(1)
    feats, shapes = flatten_levels([torch.randn(batch, DIMS, *shape) for shape in SHAPES])
    return torch.randn(batch, 12, DIMS), feats, shapes, token_centers(4, 3)


def mmcv_module(attention):
    """The module of mmcv with the same weights."""
    module = MultiScaleDeformableAttention(
        DIMS, attention.num_heads, len(SHAPES), POINTS, dropout=0.0, batch_first=True
    )
    module.load_state_dict(attention.state_dict())
    return module


def run_mmcv(module, query, feats, shapes, centers):
    shapes = torch.tensor(shapes)
    sizes = shapes.prod(1)
    return module(
        query,
        value=feats,
        identity=query.new_zeros(1),
        reference_points=centers[None, :, None].expand(len(query), -1, len(shapes), -1),
        spatial_shapes=shapes,
        level_start_index=sizes.cumsum(0) - sizes,
    )


@pytest.mark.parametrize('heads', [1, 4, 8])
@pytest.mark.parametrize('batch', [1, 3])
def test_it_is_the_module_of_mmcv(heads, batch):
    attention = trained(heads)
    expected = run_mmcv(mmcv_module(attention), *inputs(batch))
    assert (attention(*inputs(batch)) - expected).abs().max() <= 1e-6


def test_its_gradients_are_those_of_mmcvs_module():
    attention, grads = trained(), []
    module = mmcv_module(attention)
    for run in (attention, lambda *args: run_mmcv(module, *args)):
        query, feats, shapes, centers = inputs()
        (run(query.requires_grad_(), feats.requires_grad_(), shapes, centers) ** 2).sum().backward()
        grads.append([query.grad, feats.grad])
    for own, theirs in zip(attention.parameters(), module.parameters()):
        grads[0].append(own.grad)
        grads[1].append(theirs.grad)
    for own, theirs in zip(*grads):
        torch.testing.assert_close(own, theirs, rtol=1e-5, atol=1e-6)


def bilinear(level, x, y):
    """Value of a map (C, H, W) at pixel coordinates where a cell's centre is an integer; outside is 0."""
    _, height, width = level.shape
    x0, y0 = int(torch.floor(x)), int(torch.floor(y))
    value = torch.zeros(level.shape[0], dtype=level.dtype)
    for yi in (y0, y0 + 1):
        for xi in (x0, x0 + 1):
            if 0 <= xi < width and 0 <= yi < height:
                value = value + level[:, yi, xi] * (1 - (x - xi).abs()) * (1 - (y - yi).abs())
    return value


@torch.no_grad()
def test_brute_force_and_mmcvs_function_agree_with_the_equation():
    attention = trained()
    query, feats, shapes, centers = inputs()
    batch, num, width_of_head = len(query), query.shape[1], DIMS // HEADS
    values = attention.value_proj(feats)
    offsets = attention.sampling_offsets(query).view(batch, num, HEADS, len(SHAPES), POINTS, 2)
    weights = attention.attention_weights(query).view(batch, num, HEADS, -1).softmax(-1)
    weights = weights.view(batch, num, HEADS, len(SHAPES), POINTS)
    torch.testing.assert_close(weights.sum((3, 4)), torch.ones(batch, num, HEADS))
    gathered = torch.zeros(batch, num, DIMS)
    for b in range(batch):
        levels = values[b].split([height * width for height, width in SHAPES])
        for lvl, (height, width) in enumerate(SHAPES):
            maps = levels[lvl].T.view(HEADS, width_of_head, height, width)
            for q in range(num):
                for head in range(HEADS):
                    channels = slice(head * width_of_head, (head + 1) * width_of_head)
                    for point in range(POINTS):
                        x, y = centers[q] * torch.tensor([width, height]) + offsets[b, q, head, lvl, point]
                        value = bilinear(maps[head], x - 0.5, y - 0.5)
                        gathered[b, q, channels] += weights[b, q, head, lvl, point] * value
    expected = attention.output_proj(gathered)
    assert (attention(query, feats, shapes, centers) - expected).abs().max() <= 1e-6

    sides = torch.tensor([(width, height) for height, width in SHAPES])
    places = centers[None, :, None, None, None] + offsets / sides[:, None]
    theirs = multi_scale_deformable_attn_pytorch(
        values.view(batch, -1, HEADS, width_of_head), SHAPES, places, weights
    )
    assert (attention.output_proj(theirs) - expected).abs().max() <= 1e-6


def test_an_untrained_attention_starts_as_mmcvs_does():
    torch.manual_seed(0)
    state = SparseAttention(DIMS, HEADS, len(SHAPES), POINTS).state_dict()
    torch.manual_seed(0)
    expected = MultiScaleDeformableAttention(DIMS, HEADS, len(SHAPES), POINTS).state_dict()
    assert list(state) == list(expected)
    for name, value in state.items():
        torch.testing.assert_close(value, expected[name], msg=name)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_under_autocast_places_and_weights_stay_float32(dtype, monkeypatch):
    attention, seen = trained(), []

    def record(maps, grid):
        seen.append((maps, grid))
        return sample_bilinear(maps, grid)

    monkeypatch.setattr(sparse_attention, 'sample_bilinear', record)
    query, feats, shapes, centers = inputs()
    query, feats = query.to(dtype), feats.to(dtype)
    expected = attention(query.float(), feats.float(), shapes, centers)
    with torch.autocast('cpu', dtype):
        found = attention(query, feats, shapes, centers)
    assert expected.dtype == torch.float32 and found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=0.03)
    full, half = seen[: len(shapes)], seen[len(shapes) :]
    for (maps, grid), (half_maps, half_grid) in zip(full, half):
        assert half_maps.dtype == half_grid.dtype == torch.float32
        assert torch.equal(grid, half_grid)
        assert not torch.equal(maps, half_maps)  # values were projected in half precision


def test_sampling_as_one_operator():
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 5, 7, requires_grad=True)
    grid = (3 * torch.rand(2, 4, 6, 2) - 1.5).requires_grad_()
    torch.library.opcheck(sample_bilinear_opaque, (maps, grid))
    found, expected = sample_bilinear_opaque(maps, grid), sample_bilinear(maps, grid)
    assert torch.equal(found, expected)
    noise = torch.randn_like(found)
    for one, other in zip(
        torch.autograd.grad(found, (maps, grid), noise), torch.autograd.grad(expected, (maps, grid), noise)
    ):
        assert torch.equal(one, other)


def test_a_model_in_double_precision_stays_in_it():
    query, feats, shapes, centers = inputs()
    attention = trained()
    single = attention(query, feats, shapes, centers)
    double = attention.double()(query.double(), feats.double(), shapes, centers.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-5)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match='num_heads=5 does not divide embed_dims=24'):
        SparseAttention(DIMS, 5)


def test_its_sampling_points_are_where_it_looks():
    attention = trained()
    query, feats, shapes, centers = inputs()
    points, weights = attention.sampling_points(query, shapes, centers)
    assert points.shape == (2, 12, HEADS, len(SHAPES), POINTS, 2)
    torch.testing.assert_close(weights.sum((3, 4)), torch.ones(2, 12, HEADS))
    values = attention.value_proj(feats).unflatten(2, (HEADS, -1))
    gathered = multi_scale_deformable_attn_pytorch(values, torch.tensor(shapes), points, weights)
    torch.testing.assert_close(attention.output_proj(gathered), attention(query, feats, shapes, centers))
