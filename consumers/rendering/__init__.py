"""How are templates and conditions worked out, where data decides how long that takes, beside the event loop?"""
