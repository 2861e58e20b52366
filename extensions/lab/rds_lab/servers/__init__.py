"""The database servers behind the lab's endpoints."""
