"""What can people read about this TriggerHub, on the machine that serves it?"""
