default_scope = 'mmdet'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='mmslg.CheckpointHook', interval=1, max_keep_ckpts=2),
    precision=dict(type='mmslg.PrecisionHook', tf32=False),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='mmslg.PairVisualizationHook'),
)
custom_hooks = [dict(type='mmslg.CheckpointReportHook'), dict(type='mmslg.RunReportHook')]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),  # gloo where there is no GPU
)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='mmslg.PairVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
log_level = 'INFO'
randomness = dict(seed=0)
load_from = None
resume = False
