"""What is on the sky: for each class, objects with their light curves, from models in the literature.

`taxonomy` names the classes, `population` is what every model returns; the models are grouped by what makes the light
vary. How a survey sees them is in `survey` and `measurements`.

The papers named in the docstrings are the sources of the relations; their coefficients have not yet been checked
against the printed tables one by one, and the mix of classes is flattened on purpose. Good for tests and load, not for
rates.
"""
