"""What a protocol is handed: streams, endpoints, TLS, limits, deadlines and the Site."""
