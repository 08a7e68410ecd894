"""The bus and the streams: registers, ingress, egress."""
