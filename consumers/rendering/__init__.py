"""How are templates and conditions evaluated off the event loop, where data decides how long that takes?"""
