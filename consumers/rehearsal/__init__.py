"""What would a draft do, without leaving a run behind?"""
