-- Event ids that several different events of one name and identity have (E4), of identities with hashes up to a bound. Where
-- nobody sends event ids, the statistics of the files say so, and nothing is read.
select count(*)::bigint as ids, coalesce(sum(events), 0)::bigint as events
from (
    select count(*) as events
    from read_parquet($event_files, hive_partitioning = false)
    where event in (select unnest($events))
        and event_id is not null
        and timestamp >= $started_at
        and timestamp < $as_of
        and batch <= $data_version
        and identity_hash <= $highest_hash
    group by event, identity_hash, event_id
    having count(*) > 1
)
