"""How do tenants share what a runner has few of: slots for actions, and room in memory?"""
