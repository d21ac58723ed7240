"""A model in forms that others read: scikit-learn's (skops), ONNX, MLflow's.

Each is checked before it is published: it assigns sample rows as the model does.
"""
