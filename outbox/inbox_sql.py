"""What the statements of both inboxes have in common."""

# What one row of a page of events looks like as parallel arrays.
EVENT_ARRAYS = """
    unnest(
        CAST(:ids AS uuid[]), CAST(:topics AS text[]), CAST(:streams AS text[]),
        CAST(:sequences AS bigint[]), CAST(:types AS text[]), CAST(:payloads AS text[]),
        CAST(:headers AS text[])
    )
"""
EVENT_COLUMNS = """
    id, topic, stream, sequence, type, CAST(payload AS text) AS payload, CAST(headers AS text) AS headers
"""
# Doubles with each attempt, with jitter, so that what failed together is not tried together.
BACKOFF = """
    make_interval(secs => least(:longest, :first * power(2, least(attempts, 30) - 1)) * (0.75 + random() / 2))
"""
