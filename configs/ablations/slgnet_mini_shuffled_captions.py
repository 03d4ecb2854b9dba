# The control that nobody runs: every pair gets the caption of another one, in training and in testing.
_base_ = '../slgnet_mini.py'

train_pipeline = _base_.train_pipeline
train_pipeline[-2]['variant'] = 'shuffled'
test_pipeline = _base_.test_pipeline
test_pipeline[-2]['variant'] = 'shuffled'
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
