"""Sample scenes: aligned visible and thermal street images, drawn by a program.

They need no download and let every tool be tried at once: persons, cars and bicycles by day, by night, in
fog, against glare and at thermal crossover. About a third of the objects can be seen only in the visible
image and about a quarter only in the infrared, and each modality shows things that only look like an object,
so a detector needs both.
"""
