-- The same as late_events, where batches after the mark remove events too (E6): an event that was seen before and has come
-- again is neither late nor removed.
with watched as (
    select
        unnest($positions::bigint[]) as position,
        unnest($events::varchar[]) as event,
        unnest($features::varchar[]) as feature_name,
        unnest($starts::timestamptz[]) as started_at,
        unnest($ends::timestamptz[]) as ended_at
),

removals as (
    select
        event_hash_high,
        event_hash_low,
        max(batch) filter (where batch <= $counted_to) as before,
        max(batch) as now
    from read_parquet($removal_files, hive_partitioning = false)
    where batch <= $newest
    group by event_hash_high, event_hash_low
),

found as (
    select
        watched.position,
        watched.feature_name is not null as is_exposure,
        bool_or(events.batch <= $counted_to and coalesce(removals.before, 0) <= events.batch) as was_seen,
        bool_or(coalesce(removals.now, 0) <= events.batch) as is_seen,
        max(events.landed_at) as landed_at
    from read_parquet($files, hive_partitioning = false) as events
    inner join watched
        on events.event = watched.event
        and (watched.feature_name is null or events.feature_name = watched.feature_name)
        and events.timestamp >= watched.started_at
        and events.timestamp < watched.ended_at
    left join removals
        on removals.event_hash_high = events.event_hash_high
        and removals.event_hash_low = events.event_hash_low
    where events.batch <= $newest
    group by watched.position, watched.feature_name, events.event_hash_high, events.event_hash_low
)

select
    position,
    count(*) filter (where is_exposure and is_seen and not was_seen)::bigint as exposures,
    count(*) filter (where not is_exposure and is_seen and not was_seen)::bigint as metric_events,
    max(landed_at) filter (where is_seen and not was_seen) as last_landed_at,
    count(*) filter (where was_seen and not is_seen)::bigint as removed
from found
group by position
