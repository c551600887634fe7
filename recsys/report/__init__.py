"""The report on a run: what is in the catalogue, what went missing on the way, and what is recommended."""

from recsys.report.contents import ReportData, gather
from recsys.report.page import render, write_report
from recsys.report.pictures import GridRow, Scores, Tile, grid_picture, tsne_picture, tsne_points

__all__ = [
    "GridRow",
    "ReportData",
    "Scores",
    "Tile",
    "gather",
    "grid_picture",
    "render",
    "tsne_picture",
    "tsne_points",
    "write_report",
]
