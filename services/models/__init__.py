"""models: a trained model as a folder of plain numbers, and the registry of which one serves.

What trainer, inference and tools share: the classes (`classes`), the one way to make a vector
(`vector`), what is told of a model (`manifest`), how it predicts (`predictors`), how it is written
and read (`artifact`), when one is better than another (`rules`), and which version is whose
(`registry`). MLflow takes seconds to import: `registry` alone needs it, and only when it is asked;
XGBoost is imported by the first model of its kind.
"""
