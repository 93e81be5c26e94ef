"""Networks: the ST-GCN backbone, projector, fused teacher and student."""
