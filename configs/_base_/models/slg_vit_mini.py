# A trunk that fits two CPU cores, frozen as always. The package holds its weights; visible images by day are
# all that it has seen (tools/miniature).
_embed_dims = 192
backbone = dict(
    type='mmslg.SLGViT',
    trunk=dict(
        name='vit_small_patch14_dinov2',
        checkpoint='miniature',
        patch_size=16,
        depth=6,
        embed_dim=_embed_dims,
        num_heads=3,
        img_size=256,
    ),
    structure=dict(stem_dims=(16, 32), level_dims=(64, 96, 128), out_dims=96),
)
lgm = dict(type='mmslg.LanguageGuidedModulation', in_channels=_embed_dims, text_dims=512, hidden_dims=64)
pyramid = dict(type='mmslg.SimpleFeaturePyramid', in_channels=_embed_dims, out_channels=96)
data_preprocessor = dict(
    type='mmslg.PairedDetDataPreprocessor',
    mean=[123.675, 116.28, 103.53, 127.0],
    std=[58.395, 57.12, 57.375, 60.0],
    pad_size_divisor=32,
)
