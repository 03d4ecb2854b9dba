"""Pairs told by names: one matcher for converting and for detecting."""

import pytest

from mmslg.errors import InputError
from mmslg.pairing import find_pairs


def write(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b'')
    return folder


@pytest.mark.parametrize(
    ('paths', 'names'),
    [
        (['J/FLIR_00258_RGB.jpg', 'J/FLIR_00258_PreviewData.jpeg'], ['FLIR_00258_RGB.jpg']),
        (['FLIR_00258.jpeg_RGB.jpg', 'FLIR_00258_PreviewData.jpeg'], ['FLIR_00258.jpeg_RGB.jpg']),
        (['images/set00/V000/visible/I1.jpg', 'images/set00/V000/lwir/I1.jpg'], ['I1.jpg']),
        (['vis/1.png', 'ir/1.png', 'vis/2.png', 'ir/2.tif'], ['1.png', '2.png']),
        (['image/1.png', 'imageIR/1.png'], ['1.png']),
        (['test/testimg/1.jpg', 'test/testimgr/1.jpg'], ['1.jpg']),
        (
            ['visible/train/1.jpg', 'visible/test/1.jpg', 'infrared/train/1.jpg', 'infrared/test/1.jpg'],
            ['test/1.jpg', 'train/1.jpg'],
        ),
        (['a/IR_7.png', 'a/RGB_7.png'], ['RGB_7.png']),
        (['x_visible.png', 'x_lwir.png'], ['x_visible.png']),
    ],
)
def test_one_folder_of_both(tmp_path, paths, names):
    found = find_pairs(write(tmp_path, *paths))
    assert [pair.name for pair in found.pairs] == names and found.unpaired == []
    assert len({path for pair in found.pairs for path in pair[1:]}) == len(paths)
    for pair in found.pairs:  # the visible one first
        assert not any(
            word in pair.visible for word in ('/IR_', 'IR/', '/ir/', 'infrared', 'lwir', 'Preview', 'imgr')
        )


@pytest.mark.parametrize(
    ('visible', 'infrared', 'number'),
    [
        (['1.png', '2.png'], ['1.jpg', '2.jpg'], 2),
        (['cam0_0009.png', 'cam0_0010.png'], ['cam1_0009.png', 'cam1_0010.png'], 2),
        (['0009-left.png', '0019-left.png'], ['0009-flir.png', '0019-flir.png'], 2),
        (['rgb_1.png', 'rgb_2.png'], ['ir_1.png', 'ir_2.png'], 2),
        (['1_RGB.png'], ['1_T.png'], 1),
        (['1.png', '1_ir.png'], ['1.png'], 1),
    ],
)
def test_two_folders_of_any_name(tmp_path, visible, infrared, number):
    folders = write(tmp_path / 'east', *visible), write(tmp_path / 'west', *infrared)
    found = find_pairs(*folders)
    assert len(found.pairs) == number
    for pair in found.pairs:
        digits = [
            ''.join(c for c in p.rsplit('/', 1)[1].replace('cam0', '').replace('cam1', '') if c.isdigit())
            for p in pair[1:]
        ]
        assert digits[0] == digits[1] and '/east/' in pair.visible and '/west/' in pair.infrared
    assert [path for path, _ in found.unpaired] == [str(folders[0] / '1_ir.png')] * (
        len(visible) > len(infrared)
    )


def test_what_has_no_partner_is_named(tmp_path):
    write(tmp_path, 'visible/1.png', 'visible/2.png', 'infrared/1.png', 'infrared/3.png', 'infrared/1.jpg')
    write(tmp_path, 'other/4.png', 'Annotations/1_mask.png')
    found = find_pairs(tmp_path)
    assert [pair.name for pair in found.pairs] == ['1.png']
    reasons = {path.rsplit('/', 2)[-2] + '/' + path.rsplit('/', 1)[1]: why for path, why in found.unpaired}
    assert set(reasons) == {'visible/2.png', 'infrared/3.png', 'infrared/1.png', 'other/4.png'}
    assert 'no infrared' in reasons['visible/2.png'] and 'no visible' in reasons['infrared/3.png']
    assert 'nothing tells its modality' in reasons['other/4.png']


def test_what_is_refused(tmp_path):
    with pytest.raises(InputError, match='no such folder'):
        find_pairs(tmp_path / 'nowhere')
    write(tmp_path, 'a/notes.txt')
    with pytest.raises(InputError, match='no images in this folder'):
        find_pairs(tmp_path)
    write(tmp_path, 'a/1.png', 'a/3.png', 'b/2.png')
    with pytest.raises(InputError, match=r'nothing tells which images are .*by --rgb DIR --ir DIR'):
        find_pairs(tmp_path)
    with pytest.raises(InputError, match='no visible and infrared image share a name'):
        find_pairs(tmp_path / 'a', tmp_path / 'b')


def test_the_published_datasets_pair_as_they_are(shared):
    wanted = dict(flir_aligned_pairs=4, llvip_pairs=16, kaist_pairs=13, m3fd_pairs=5, dronevehicle_pairs=14)
    for name, number in wanted.items():
        found = find_pairs(shared / name)
        assert (len(found.pairs), found.unpaired) == (number, []), name
