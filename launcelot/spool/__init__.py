"""Accepted mail on its way: durable queue and local delivery."""
