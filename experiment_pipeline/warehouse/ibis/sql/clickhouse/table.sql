-- The table of events in ClickHouse: sorted as analysis reads it, a partition a month.
create table if not exists events
(
    environment_key LowCardinality(String),
    event           LowCardinality(String),
    feature_name    LowCardinality(Nullable(String)),
    identifier      String,
    value           Nullable(String) codec(ZSTD(3)),
    timestamp       DateTime64(3, 'UTC'),
    event_id        Nullable(String),
    traits          Nullable(String) codec(ZSTD(3)), -- a JSON object
    metadata        Nullable(String) codec(ZSTD(3)), -- a JSON object
    loaded_at       DateTime64(6, 'UTC') default now64(6)
)
engine = MergeTree
partition by toYYYYMM(timestamp)
order by (environment_key, event, identifier, timestamp);
