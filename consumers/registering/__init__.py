"""How does a service learn where a zap's hook is, and that it is gone?"""
