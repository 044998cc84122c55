-- The table of events in Trino, of its Iceberg connector: a partition for each environment and month.
create table if not exists events
(
    environment_key varchar                     not null,
    event           varchar                     not null,
    feature_name    varchar,
    identifier      varchar                     not null,
    value           varchar,
    timestamp       timestamp(6) with time zone not null,
    event_id        varchar,
    traits          varchar, -- a JSON object
    metadata        varchar, -- a JSON object
    loaded_at       timestamp(6) with time zone not null
)
with (partitioning = array['environment_key', 'month(timestamp)'], sorted_by = array['event', 'identifier']);
