"""tickcast's trainer: a patch transformer over feature rows, exported under tickcast's model contract.

In reading order: `settings` (what can be chosen), `table` (the data set), `split` (who may see what), `scaler`, `network`,
`learn` (the loop), `score` (metrics and baselines), `artefact` (the ONNX file), `market` (the generated market's known
optimum), `card` (the model's page), `__main__` (the command line).
"""
