# A departure: the DINO head starts from MMDetection's, trained on COCO, with the same 900 queries and 4
# levels. Its ResNet and neck have no place here, its 80 classes are others: the log says what came over.
_base_ = '../slgnet_flir.py'

load_from = (
    'https://download.openmmlab.com/mmdetection/v3.0/dino/dino-4scale_r50_8xb2-12e_coco/'
    'dino-4scale_r50_8xb2-12e_coco_20221202_182705-55b2bba2.pth'
)
