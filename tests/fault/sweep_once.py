"""One round of the sweep, as a worker does it; a program, so that its clock can be wrong."""

from detect_api.core.config import Settings
from detect_api.db.session import make_engine, make_session_factory
from detect_api.jobs.sweep import sweep
from detect_api.jobs.workshop import Workshop
from detect_api.storage import make_store

if __name__ == "__main__":
    settings = Settings()
    sessions = make_session_factory(make_engine(settings.database_url))
    sweep(Workshop(settings, sessions, make_store(settings)))
