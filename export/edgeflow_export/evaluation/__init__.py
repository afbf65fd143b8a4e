"""AUROC, AUPRO, comparison tables and contact sheets of a checkpoint."""
