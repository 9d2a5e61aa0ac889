"""How does a service start a zap: is it told of a hook, or asked for what is new?"""
