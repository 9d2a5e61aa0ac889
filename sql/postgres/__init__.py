"""How do we connect to PostgreSQL, find a query, and bring the schema up to date?"""
