-- The table of events in Snowflake, clustered as analysis reads it.
create table if not exists events
(
    environment_key varchar          not null,
    event           varchar          not null,
    feature_name    varchar,
    identifier      varchar          not null,
    value           varchar,
    timestamp       timestamp_ltz(3) not null,
    event_id        varchar,
    traits          varchar, -- a JSON object
    metadata        varchar, -- a JSON object
    loaded_at       timestamp_ltz(6) not null default current_timestamp()
)
cluster by (environment_key, event, to_date(timestamp));
