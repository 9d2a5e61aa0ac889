"""Who signed up, signed in and made keys?"""
