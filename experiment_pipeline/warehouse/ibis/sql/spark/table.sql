-- The table of events in Spark; the location of it is the folder of spark+local:///FOLDER. An analysis reads the partitions of
-- its environment and its events, and of these the row groups of its window: append rows in the order of their times.
create table if not exists events
(
    feature_name    string,
    identifier      string    not null,
    value           string,
    timestamp       timestamp not null,
    event_id        string,
    traits          string, -- a JSON object
    metadata        string, -- a JSON object
    loaded_at       timestamp not null,
    environment_key string    not null,
    event           string    not null
)
using parquet
partitioned by (environment_key, event);
