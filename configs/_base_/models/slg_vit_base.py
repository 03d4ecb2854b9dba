# Fragments: a leaf assembles backbone, lgm, pyramid and data_preprocessor with a head.
backbone = dict(
    type='mmslg.SLGViT',
    trunk=dict(
        name='vit_base_patch14_dinov2',  # or vit_{small,large}_..., vit_base_patch14_reg4_dinov2
        checkpoint='pretrained',  # downloads the published weights; or the path of a local file
        patch_size=16,
        dtype='bfloat16',  # the frozen blocks alone; what is learnt, matched or regressed runs in fp32
    ),
)
lgm = dict(type='mmslg.LanguageGuidedModulation', in_channels=768, text_dims=512)
pyramid = dict(type='mmslg.SimpleFeaturePyramid', in_channels=768)
data_preprocessor = dict(
    type='mmslg.PairedDetDataPreprocessor',
    mean=[123.675, 116.28, 103.53, 127.0],  # R, G, B as the trunk was trained; infrared, 8 bits
    std=[58.395, 57.12, 57.375, 60.0],
    pad_size_divisor=32,
)
