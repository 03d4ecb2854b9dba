"""What comes with the registries."""

import logging

import mmslg.registry  # noqa: F401  it sees to print_log


def test_what_is_for_debugging_is_not_printed(capsys):
    from mmengine.logging import print_log

    print_log('an optional package is missing', level=logging.DEBUG)
    print_log('epoch 1')
    assert capsys.readouterr().out == 'epoch 1\n'
