"""What the engine remembers: adapters with their states, and feedback. SQLite by default, Postgres by URL.

SQLAlchemy and Alembic are imported in this package alone, and by nothing that a laptop has to import.
"""
