"""What happens when its time has come?"""
