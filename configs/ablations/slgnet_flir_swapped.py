# The mistake: the files of both images interchanged, to test a checkpoint of slgnet_flir.py on. To train
# it says little: structure treats both images alike, so what is left is the trunk of slgnet_flir_ir_trunk.py.
_base_ = '../slgnet_flir.py'

model = dict(data_preprocessor=dict(modality='swapped'))
