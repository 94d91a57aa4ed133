"""What the gateway costs and how it fails, beside other proxies."""
