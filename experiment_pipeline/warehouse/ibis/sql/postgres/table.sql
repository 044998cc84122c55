-- The table of events in PostgreSQL; the index is in the order in which analysis reads.
create table if not exists events
(
    environment_key text        not null,
    event           text        not null,
    feature_name    text,
    identifier      text        not null,
    value           text,
    timestamp       timestamptz not null,
    event_id        text,
    traits          jsonb,
    metadata        jsonb,
    loaded_at       timestamptz not null default clock_timestamp()
);
create index if not exists events_by_event_and_time on events (environment_key, event, timestamp);
