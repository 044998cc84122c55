-- What one batch has accepted so far, before duplicates are dropped: in any order, with the place that each came in.
create temp table staged (
    object uinteger,
    line uinteger,
    position uinteger,
    environment_key varchar,
    month varchar,
    event varchar,
    feature_name varchar,
    identifier varchar,
    identity_hash bigint,
    value varchar,
    numeric_value double,
    timestamp_ms bigint,
    traits varchar,
    metadata varchar,
    event_id varchar,
    event_hash_high bigint,
    event_hash_low bigint,
    landed_us bigint
);

create temp table rejected_rows (
    object uinteger,
    line uinteger,
    position uinteger,
    reason varchar,
    record varchar
);

create temp table record_counts (object uinteger, records bigint);

create temp table unknown_fields (name varchar, records bigint);

create temp table cursors (object uinteger, line uinteger, source_cursor bigint);
