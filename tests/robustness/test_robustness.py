"""Which cells are tested, where corruptions go, and what the report says of made-up figures."""

import json

import cv2
import pytest
from mmengine.config import Config

from mmslg.errors import InputError
from mmslg.robustness.cells import (
    CLEAN,
    EXTRA,
    PUBLISHED,
    Cell,
    Subject,
    cell_dataloader,
    choose,
    plan,
)
from mmslg.robustness.compare import compare_markdown, compare_table, draw_comparison, read_summaries
from mmslg.robustness.report import (
    choose_metric,
    computed_with,
    draw_curves,
    markdown,
    summarize,
    table_rows,
)

KAIST = [f'set06/V000/visible/I{number:05d}.jpg' for number in (19, 39, 59)]


def subject(keys=('a.png', 'b.png'), moved='visible', sequence='auto', **preprocessor):
    pipeline = dict(
        visible=dict(type='mmslg.LoadVisible'),
        infrared=dict(type='mmslg.LoadInfrared'),
        pack=dict(type='mmslg.PackPairedInputs', meta_keys=('img_id',)),
    )
    cfg = Config(
        dict(
            model=dict(
                neck=[dict(type='mmslg.LanguageGuidedModulation')],
                data_preprocessor=dict(mean=[1.0, 2.0, 3.0, 4.0], std=[5.0, 6.0, 7.0, 8.0], **preprocessor),
            ),
            test_dataloader=dict(dataset=dict(pipeline=pipeline, caption_store='captions.safetensors')),
        )
    )
    pairs = [dict(key=key, visible=f'v/{key}', infrared=f'i/{key}') for key in keys]
    return Subject(cfg, pairs, 7, moved, sequence)


def pipeline_of(subject, name, severity=1):
    return cell_dataloader(subject, Cell(name, severity))['dataset']['pipeline']


def test_names_groups_and_patterns():
    everything = choose(None)
    assert not set(everything) & set(EXTRA) and 'pair/delay' in everything and 'caption/wrong' in everything
    assert choose(['pair/shift', 'caption']) == ['pair/shift', 'caption/none', 'caption/wrong']
    assert choose(['*/fog']) == ['visible/fog', 'infrared/fog']
    assert set(choose(['published'])) == set(PUBLISHED) and len(PUBLISHED) == 30
    assert choose(['infrared/snow']) == ['infrared/snow']
    assert set(choose(['infrared/published'])) == {n for n in PUBLISHED if n.startswith('infrared/')}
    for name, nearest in (
        ('snow', 'visible/snow or infrared/snow'),
        ('visible/fogg', 'visible/fog'),
        ('*/fogg', 'visible/fog or infrared/fog'),
        ('misssing', 'missing'),
        ('zeros', 'missing/visible_zeros or missing/infrared_zeros'),
        ('publishd', 'published'),
    ):
        with pytest.raises(InputError) as refused:
            choose(['pair', name])
        said = f'--only {name}: no corruption is called so; did you mean {nearest}?'
        assert str(refused.value) == said
    with pytest.raises(InputError, match='--only xyz: no corruption is called so; there are published, vis'):
        choose(['xyz'])


def test_cells_and_what_is_left_out():
    cells, skipped = plan(subject(), ['pair/shift', 'missing/visible_zeros', 'pair/delay'], [0, 2])
    names = ['pair/shift', 'missing/visible_zeros']
    assert cells == [
        Cell(CLEAN, 0),
        Cell(names[0], 0),
        Cell(names[0], 2),
        Cell(names[1], 0),
        Cell(names[1], 1),
    ]
    assert 'the order of frames is not known' in skipped['pair/delay']
    names = ['visible/fog', 'infrared/fog', 'missing/infrared_mean', 'pair/shift', 'pair/noise_and_shift']
    _, skipped = plan(subject(modality='rgb'), names, [1])
    assert set(skipped) == {'infrared/fog', 'missing/infrared_mean'}
    _, skipped = plan(subject(modality='ir'), names, [1])
    assert skipped == dict.fromkeys(('visible/fog', 'pair/shift'), 'the model does not see the visible image')
    deaf = subject()
    deaf.cfg.model.neck = []
    assert plan(deaf, ['caption/none'], [1])[1] == {'caption/none': 'the model reads no captions'}
    shuffled = subject()
    shuffled.cfg.test_dataloader.dataset.caption_variant = 'shuffled'
    assert 'of the variant shuffled already' in plan(shuffled, ['caption/none'], [1])[1]['caption/none']


def test_a_delay_that_no_sequence_is_long_enough_for():
    cells, skipped = plan(subject(KAIST), ['pair/delay'], range(6))
    assert cells[1:] == [Cell('pair/delay', severity) for severity in (0, 1, 2)]
    assert skipped == {'pair/delay by 3, 4, 5': 'no pair has one so far before it'}
    assert set(plan(subject(KAIST[:1]), ['pair/delay'], [1])[1]) == {'pair/delay'}


def test_only_what_comes_from_the_package_wants_it(monkeypatch):
    monkeypatch.setattr('mmslg.datasets.corruptions.published.installed', lambda: None)
    names = ['pair/shift', 'infrared/stripes', 'missing/visible_zeros', 'caption/none']
    assert len(plan(subject(), names, [1])[0]) == 5
    for name in ('visible/fog', 'infrared/snow', 'pair/noise_and_shift'):
        with pytest.raises(InputError, match=r'not installed; .* --only pair/shift missing'):
            plan(subject(), [name], [1])


def test_where_a_corruption_goes():
    steps = pipeline_of(subject(moved='infrared'), 'pair/shift', 3)
    assert [step['type'] for step in steps] == [
        'mmslg.LoadVisible', 'mmslg.LoadInfrared', 'mmslg.CorruptPair', 'mmslg.PackPairedInputs',
    ]  # fmt: skip
    assert steps[2] == dict(
        type='mmslg.CorruptPair', corruption='pair/shift', severity=3, seed=7, moved='infrared',
        mean=[3.0, 2.0, 1.0, 4.0], std=[7.0, 6.0, 5.0, 8.0],
    )  # fmt: skip
    assert steps[3]['meta_keys'] == ('img_id', 'file_name', 'corruption')
    delay = pipeline_of(subject(KAIST), 'pair/delay', 2)[0]
    assert delay['type'] == 'mmslg.DelayImage' and delay['modality'] == 'visible'
    assert delay['sources'] == {KAIST[2]: (KAIST[0], f'v/{KAIST[0]}')}
    told = cell_dataloader(subject(), Cell('caption/wrong', 1)).dataset
    assert (told.caption_variant, told.caption_seed) == ('shuffled', 7)
    for name, severity in ((CLEAN, 0), ('caption/none', 0), ('pair/delay', 0)):
        loader = cell_dataloader(subject(KAIST), Cell(name, severity))
        assert loader.dataset.pipeline.pack.pop('meta_keys') == ('img_id', 'file_name', 'corruption')
        expected = subject().cfg.test_dataloader
        del expected.dataset.pipeline.pack['meta_keys']
        assert loader == expected
    assert told.pipeline.pack.meta_keys == ('img_id', 'file_name', 'corruption')
    alone = subject()
    alone.cfg.test_dataloader.dataset.pipeline.infrared = None
    with pytest.raises(InputError, match='corruptions are for pairs'):
        pipeline_of(alone, 'pair/shift')


def results(names, clean=0.5, figure='coco/bbox_mAP'):
    """Made-up figures: each severity takes away a tenth of the clean figure, and of the overlap."""
    found = {Cell(CLEAN, 0): dict(figures={figure: clean}, overlap=1.0)}
    for name in names:
        for severity in (1,) if name.startswith('missing/') else range(1, 6):
            overlap = 1 - severity / 10 if name.startswith('pair/') else 1.0
            found[Cell(name, severity)] = dict(figures={figure: clean * (1 - severity / 10)}, overlap=overlap)
    return found


def test_mean_performance_under_corruption():
    visible = [name for name in choose(['visible']) if name != 'visible/fog']
    summary = summarize(results([*visible, 'pair/shift', 'missing/visible_zeros']), 'coco/bbox_mAP')
    assert summary['rows']['pair/shift']['mean'] == pytest.approx(0.35)  # 0.45 0.4 0.35 0.3 0.25
    assert summary['rows']['pair/shift']['relative'] == pytest.approx(0.7)
    assert summary['rows']['pair/shift']['overlap'] == pytest.approx({s: 1 - s / 10 for s in range(1, 6)})
    assert summary['rows']['missing/visible_zeros']['mean'] == pytest.approx(0.45)
    assert summary['mPC']['mPC, visible'] == dict(value=None, relative=None, tested=5, of=6)
    assert 'mPC, infrared' not in summary['mPC']
    whole = results([*visible, 'visible/fog'])
    whole[Cell('visible/fog', 5)] = dict(figures={'coco/bbox_mAP': 0.0}, overlap=1.0)
    mpc = summarize(whole, 'coco/bbox_mAP')['mPC']['mPC, visible']
    assert mpc['value'] == pytest.approx((5 * 0.35 + 0.3) / 6) and mpc['relative'] == pytest.approx(
        mpc['value'] / 0.5
    )
    extra = 'mPC, visible, the 15 common'
    assert extra not in summarize(whole, 'coco/bbox_mAP')['mPC']
    assert summarize(results(['visible/snow']), 'coco/bbox_mAP')['mPC'][extra]['tested'] == 1
    del whole[Cell('visible/fog', 5)]
    assert summarize(whole, 'coco/bbox_mAP')['rows']['visible/fog']['mean'] is None


def test_the_report(tmp_path):
    found = results(['visible/fog', 'pair/shift', 'missing/visible_zeros'], 20.0, 'kaist/reasonable_all')
    found[Cell('visible/fog', 2)]['figures']['kaist/reasonable_all'] = None  # nothing counted
    summary = summarize(found, 'kaist/reasonable_all')
    text = markdown(summary, {'pairs': 3}, {'caption/none': 'the model reads no captions'}, 'curves.png')
    assert '- figure: `kaist/reasonable_all`, lower is better' in text
    assert '| `visible/fog` | 18.000 |  | 14.000 | 12.000 | 10.000 |  |  |' in text
    assert '| `pair/shift` | 18.000 | 16.000 | 14.000 | 12.000 | 10.000 | 14.000 | 0.700 |' in text
    assert '| `pair/shift` | 2, 4, 8, 16, 32 pixels | 90.0%, 80.0%, 70.0%, 60.0%, 50.0% |' in text
    assert '- `caption/none`: the model reads no captions' in text
    rows = {row[0]: row[1:] for row in table_rows(summary)}
    assert rows['missing/visible_zeros'][5:] == pytest.approx([18.0, 0.9])
    assert 'mPC, visible (0 of 6 tested)' not in rows
    for severity in (1, 2, 4):
        del found[Cell('pair/shift', severity)]
    part = markdown(summarize(found, 'kaist/reasonable_all'), {}, {}, 'curves.png')
    assert '| `pair/shift` | 2, 4, 8, 16, 32 pixels | -, -, 70.0%, -, 50.0% |' in part
    draw_curves(tmp_path / 'curves.png', summary)
    assert (tmp_path / 'curves.png').stat().st_size > 20000


def test_the_line_of_the_clean_figure_is_whole(tmp_path):
    dashes = []
    for value in (0.1, 0.48):
        found = results(['missing/visible_zeros', 'missing/infrared_zeros', 'visible/fog'])
        for name in ('missing/visible_zeros', 'missing/infrared_zeros'):
            found[Cell(name, 1)]['figures']['coco/bbox_mAP'] = value
        draw_curves(tmp_path / 'curves.png', summarize(found, 'coco/bbox_mAP'))
        picture = cv2.imread(str(tmp_path / 'curves.png'))
        panel = picture[picture.shape[0] // 2 :, picture.shape[1] // 2 :]
        dashes.append((panel == 128).all(2).sum(0).max())
    assert dashes[0] == dashes[1] > 100


def test_tests_that_were_not_computed_alike():
    found = {Cell('pair/shift', severity): dict(computed='TF32 off, on CPU') for severity in range(3)}
    assert computed_with(found) == 'TF32 off, on CPU'
    found[Cell(CLEAN, 0)] = dict(computed='TF32 on, on H200')
    assert computed_with(found) == 'not all alike: TF32 off, on CPU (3 tests); TF32 on, on H200 (1 tests)'


def test_the_figure_that_is_shown():
    found = results([], figure='coco/bbox_mAP_50')
    assert choose_metric(found, None) == 'coco/bbox_mAP_50'
    found[Cell(CLEAN, 0)]['figures']['coco/bbox_mAP'] = 0.3
    assert choose_metric(found, None) == 'coco/bbox_mAP'
    with pytest.raises(InputError, match='--metric mAP: the evaluator gives coco/bbox_mAP_50, coco/bbox_mAP'):
        choose_metric(found, 'mAP')


def write_report(folder, config, clean, **changes):
    folder.mkdir()
    summary = summarize(results(['pair/shift'], clean), 'coco/bbox_mAP')
    data = dict(config=f'configs/{config}.py', seed=0, protocol='COCO mAP', summary=summary) | changes
    (folder / 'robustness.json').write_text(json.dumps(data))
    return folder


def test_detectors_side_by_side(tmp_path):
    folders = [write_report(tmp_path / name, name, clean) for name, clean in (('both', 0.5), ('ir', 0.4))]
    summaries = read_summaries(folders)
    head, rows = compare_table(summaries)
    assert head == ['corruption', 'both', 'relative', 'ir', 'relative']
    assert rows[0] == ['clean', 0.5, 1.0, 0.4, 1.0]
    assert rows[1][0] == 'pair/shift' and rows[1][1:] == pytest.approx([0.35, 0.7, 0.28, 0.7])
    assert '| pair/shift | 0.350 | 0.700 | 0.280 | 0.700 |' in compare_markdown(summaries, 'comparison.png')
    draw_comparison(tmp_path / 'comparison.png', summaries)
    assert (tmp_path / 'comparison.png').stat().st_size > 10000
    same = read_summaries([folders[0], write_report(tmp_path / 'again', 'both', 0.5)])
    assert list(same) == [f'both ({tmp_path}/both)', f'both ({tmp_path}/again)']
    other = write_report(tmp_path / 'other', 'both', 0.5, protocol='COCO mAP of 3 pairs')
    with pytest.raises(InputError, match="its protocol is 'COCO mAP of 3 pairs', the first has 'COCO mAP'"):
        read_summaries([folders[0], other])
    moved = write_report(tmp_path / 'moved', 'both', 0.5, moved='the visible image')
    with pytest.raises(InputError, match="its moved image is 'the visible image', the first has None"):
        read_summaries([folders[0], moved])
    with pytest.raises(InputError, match=r'both.robustness\.json: its seed is 0, this run has 1'):
        read_summaries(folders, {'seed': 1})
    with pytest.raises(InputError, match=r'nowhere: no robustness\.json there'):
        read_summaries([tmp_path / 'nowhere'])
