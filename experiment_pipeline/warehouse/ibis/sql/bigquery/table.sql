-- The table of events in BigQuery, in the dataset that is in use: a partition a month, clustered as analysis reads it.
create table if not exists events
(
    environment_key string    not null,
    event           string    not null,
    feature_name    string,
    identifier      string    not null,
    value           string,
    timestamp       timestamp not null,
    event_id        string,
    traits          string, -- a JSON object
    metadata        string, -- a JSON object
    loaded_at       timestamp not null default current_timestamp()
)
partition by timestamp_trunc(timestamp, month)
cluster by environment_key, event, identifier;
