# The article's 12.1 M for adapters and LGM: an adapter behind each of the twelve blocks, as in its listing,
# wider levels, and twice the width of adapters, evolution and LGM in slg_vit_base.py.
_base_ = 'slg_vit_base.py'

backbone = dict(
    interaction_indexes=list(range(12)),
    structure=dict(level_dims=(64, 128, 192), out_dims=256),
    num_heads=8,
    evolve_dims=128,
)
lgm = dict(hidden_dims=512)
