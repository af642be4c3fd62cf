"""Intent in, state out: what surfaces ask of jobs and moves."""
