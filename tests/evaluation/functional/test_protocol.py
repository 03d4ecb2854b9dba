from mmslg.evaluation.functional.protocol import format_figures, markdown_table


def test_tables():
    assert format_figures(('class', 'AP'), [('car', 0.12345), ('tram', float('nan'))]) == (
        'class     AP\ncar    0.123\ntram       -'
    )
    assert markdown_table(['name', 'mAP'], [['a|b', '0.5']]) == '| name | mAP |\n|---|---|\n| a\\|b | 0.5 |'
    assert markdown_table(['', 'mAP'], [], numbers=True) == '|  | mAP |\n|---|---:|'
