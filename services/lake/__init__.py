"""The lake: history and features as Parquet files under `<home>/lake`, for every tool that asks.

Where files lie (`places`), what they hold (`schemas`), how they come into being and how they are
read (`files`), who may write (`lock`), and the lake as a whole (`reading`).
"""
