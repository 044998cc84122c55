CREATE TABLE events
(
    environment_key LowCardinality(String),
    event           LowCardinality(String),
    feature_name    LowCardinality(String),
    identifier      String,
    value           String CODEC(ZSTD(3)),
    timestamp       DateTime64(3, 'UTC')
)
ENGINE = MergeTree
PARTITION BY toDate(timestamp)
ORDER BY (environment_key, event, feature_name, timestamp, identifier)
