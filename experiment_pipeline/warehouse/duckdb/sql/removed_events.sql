-- How many events an earlier look saw and the present data version does not (E6), of the kinds and times that both read: one
-- that was removed and has come again has not left.
with seen as (
    select distinct events.event_hash_high, events.event_hash_low
    from read_parquet($event_files, hive_partitioning = false) as events
    join (select unnest($events) as event, unnest($since) as since) as wanted on wanted.event = events.event
    semi join read_parquet($removal_files, hive_partitioning = false) as removed
        on removed.event_hash_high = events.event_hash_high
        and removed.event_hash_low = events.event_hash_low
        and removed.batch > $known_data_version
        and removed.batch <= $data_version
    anti join read_parquet($removal_files, hive_partitioning = false) as before
        on before.event_hash_high = events.event_hash_high
        and before.event_hash_low = events.event_hash_low
        and before.batch > events.batch
        and before.batch <= $known_data_version
    where events.batch <= $known_data_version
        and events.timestamp < $known_as_of
        and events.timestamp >= wanted.since
        and (events.event <> $exposure_event or events.feature_name = $feature)
)
select count(*)::bigint
from seen
anti join (
    select event_hash_high, event_hash_low
    from visible_events
    where batch <= $data_version
) as still
    on still.event_hash_high = seen.event_hash_high
    and still.event_hash_low = seen.event_hash_low
