"""Which connectors does a workspace have, and which values do their services offer?"""
