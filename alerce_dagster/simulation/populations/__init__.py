"""What is on the sky: for each class, objects with their light curves, from models in the literature.

`taxonomy` names the classes, `population` is what every model returns; the models are grouped by what makes the light
vary. How a survey sees them is in `survey` and `measurements`.
"""
