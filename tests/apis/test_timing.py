from mmslg.apis.timing import interleave, ratios, spread


def test_rounds_are_interleaved_and_the_first_is_not_counted():
    class FakeClock:
        seconds = iter([9, 9, 1, 2, 2, 6])

        def run(self, call, phase):
            call()
            return next(self.seconds)

    order = []
    calls = {'a': lambda: order.append('a'), 'b': lambda: order.append('b')}
    seconds = interleave(calls, 'forward', FakeClock(), 2, lambda: order.append('.'))
    assert ''.join(order) == 'a.b.' * 3
    assert seconds == {'a': [1, 2], 'b': [2, 6]}
    assert ratios(seconds['b'], seconds['a']) == {'median': 2.5, 'min': 2, 'max': 3}
    assert spread([3, 1, 2]) == {'median': 2, 'min': 1, 'max': 3}
