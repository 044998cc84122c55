-- Events that came, in batches after a mark, for results that are final: exposures of the flag, and events of metrics.
with watched as (
    select
        unnest($positions::bigint[]) as position,
        unnest($events::varchar[]) as event,
        unnest($features::varchar[]) as feature_name,
        unnest($starts::timestamptz[]) as started_at,
        unnest($ends::timestamptz[]) as ended_at
)

select
    watched.position,
    count(*) filter (where watched.feature_name is not null)::bigint as exposures,
    count(*) filter (where watched.feature_name is null)::bigint as metric_events,
    max(found.landed_at) as last_landed_at
from read_parquet($files, hive_partitioning = false) as found
inner join watched
    on found.event = watched.event
    and (watched.feature_name is null or found.feature_name = watched.feature_name)
    and found.timestamp >= watched.started_at
    and found.timestamp < watched.ended_at
where found.batch > $counted_to and found.batch <= $newest
group by watched.position
