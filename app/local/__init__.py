"""How does one command bring up everything on one machine?"""
