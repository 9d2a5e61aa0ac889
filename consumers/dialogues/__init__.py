"""How is spoken with servers that speak no HTTP, whatever they answer?"""
