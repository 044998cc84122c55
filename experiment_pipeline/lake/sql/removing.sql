-- What is needed to know which rows of the lake a batch removes, and which have been removed before (rule E6).
create temp table removals (event_hash_high bigint, event_hash_low bigint, batch bigint);

create temp table removed_rows (
    environment_key varchar,
    month varchar,
    event_hash_high bigint,
    event_hash_low bigint,
    identity_hash bigint,
    timestamp timestamptz
);

create temp table known_rows (
    environment_key varchar,
    month varchar,
    source varchar,
    event_id varchar,
    source_cursor bigint,
    event_hash_high bigint,
    event_hash_low bigint,
    identity_hash bigint,
    timestamp timestamptz,
    batch bigint
);
