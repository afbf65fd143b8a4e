"""Exports of annotation tools: images, categories and drawn defects as COCO JSON. Read ``coco.py`` first."""
