"""The ablations: each changes one thing, and the same in the paper-size model and in the miniature."""

import pytest
from helpers import ROOT, shipped_config

FOLDER = ROOT / 'configs' / 'ablations'
LGM = 'mmslg.LanguageGuidedModulation'
PYRAMID = 'mmslg.SimpleFeaturePyramid'
SA = 'backbone.structure.alignment'


def captions(variant=None, store=None):
    found = dict(caption_variant=variant, caption_store=store and f'captions_{store}.safetensors')
    return {f'{part}.{k}': v for part in ('train', 'val', 'test') for k, v in found.items() if v}


CHANGES = {
    'baseline': {'backbone.trunk_input': 'mean', 'backbone.interaction_indexes': [], 'neck': [PYRAMID]},
    'no_lgm': {'neck': [PYRAMID]},
    'no_structure': {'backbone.trunk_input': 'mean', 'backbone.interaction_indexes': []},
    'mean_trunk': {'backbone.trunk_input': 'mean'},
    'ir_trunk': {'backbone.trunk_input': 'ir'},
    'rgb_only': {'data_preprocessor.modality': 'rgb'},
    'ir_only': {'data_preprocessor.modality': 'ir'},
    'swapped': {'data_preprocessor.modality': 'swapped'},
    'modality_dropout': {'train.pipeline.augment': dict(type='mmslg.DropModality', prob=1 / 3)},
    'shuffled_captions': captions('shuffled'),
    'constant_caption': captions('constant'),
    'no_captions': captions('none'),
    'class_names': captions('class_names', 'class_names'),
    'free_form': captions('free_form', 'free_form'),
    'feature_ssim': {f'{SA}.compare': 'feature'},
    'normalized_weights': {f'{SA}.normalize_weights': True},
    'sobel_reduce_first': {f'{SA}.reduce_first': True},
    'all_stages': {'backbone.interaction_indexes': 'every block'},
}
"""What differs from the whole model, below ``model`` or in the datasets of a split, in both sizes."""
OF_ONE_SIZE = {
    'flir_full_finetuning': {'backbone.trunk.trainable': 'all', 'backbone.trunk.drop_path_rate': 0.1},
    'mini_full_finetuning': {'backbone.trunk.trainable': 'all', 'decay_rate': 0.7},
    'flir_bert_captions': {'neck.0.text_dims': 768, **captions(store='bert')},
    'mini_minilm_captions': {'neck.0.text_dims': 384, **captions(store='minilm')},
    'mini_oracle_minilm_captions': {'neck.0.text_dims': 384, **captions(store='oracle_minilm')},
    'flir_token_captions': captions(store='tokens'),
    'mini_oracle_captions': captions(store='oracle'),
}
CASES = {f'{size}_{name}': value for name, value in CHANGES.items() for size in ('flir', 'mini')}
CASES |= OF_ONE_SIZE
ROWS = ('baseline', 'no_lgm', 'no_structure')
CASES |= {f'dronevehicle_{name}': CHANGES[name] for name in ROWS}
CASES['dronevehicle_full_finetuning'] = OF_ONE_SIZE['flir_full_finetuning']


def facts(cfg):
    """What a leaf may change, flat, lists whole, the neck as its types and their settings."""
    found = {}

    def walk(node, path):
        if isinstance(node, dict):
            for key, value in node.items():
                walk(value, f'{path}.{key}' if path else key)
        else:
            found[path] = list(node) if isinstance(node, (list, tuple, range)) else node

    model = cfg.model.to_dict()
    necks = model.pop('neck')
    walk(model, '')
    found['neck'] = [neck['type'] for neck in necks]
    for i, neck in enumerate(necks[:-1]):
        walk(neck, f'neck.{i}')
    found['pyramid'] = necks[-1]
    for part in ('train', 'val', 'test'):
        dataset = cfg[f'{part}_dataloader'].dataset.to_dict()
        steps = dataset.pop('pipeline')
        walk(dataset, part)
        found |= {f'{part}.pipeline.{name}': step for name, step in steps.items()}
    found['decay_rate'] = cfg.optim_wrapper.paramwise_cfg.decay_rate
    found['schedule'] = [cfg.param_scheduler, cfg.train_cfg, cfg.optim_wrapper.optimizer]
    return found


@pytest.mark.parametrize('name', CASES)
def test_an_ablation_changes_what_it_says_and_nothing_else(name):
    cfg = shipped_config(f'ablations/slgnet_{name}.py')
    base = shipped_config(f'slgnet_{name.split("_")[0]}.py')
    expected = dict(CASES[name])
    if expected.get('backbone.interaction_indexes') == 'every block':
        expected['backbone.interaction_indexes'] = list(range(base.model.backbone.trunk.get('depth', 12)))
    before, after = facts(base), facts(cfg)
    if 'neck' in expected:  # without it, its settings are gone as well
        before = {key: value for key, value in before.items() if not key.startswith('neck.')}
    changed = {key: after.get(key) for key in {*before, *after} if before.get(key) != after.get(key)}
    assert changed == expected


def test_the_miniatures_own_control_has_a_random_trunk():
    assert shipped_config('ablations/slgnet_mini_random_trunk.py').model.backbone.trunk.checkpoint is None


@pytest.mark.parametrize('name', ['baseline', 'no_lgm', 'no_structure', 'full_finetuning'])
def test_rows_of_dronevehicle_start_from_the_same_rows_of_flir(name):
    start = shipped_config(f'ablations/slgnet_dronevehicle_{name}.py').load_from
    assert start == f'work_dirs/slgnet_flir_{name}/epoch_50.pth'
    assert start.split('/')[2] == f'epoch_{shipped_config(f"ablations/slgnet_flir_{name}.py").max_epochs}.pth'


def test_every_ablation_is_here():
    others = {'flir_12m', 'flir_ir_trunk', 'flir_lora', 'flir_unfreeze_last4', 'mini_augmented'}
    others |= {'mini_random_trunk'}
    found = {path.stem.removeprefix('slgnet_') for path in FOLDER.glob('*.py')}
    assert found - others == {*CASES} - others
