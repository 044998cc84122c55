-- Events that another batch delivered and no batch between both has removed (rules E4, E6): what was removed and comes again
-- counts again. A batch that is read again for a repair may be older than what the lake holds.
delete from accepted_rows
using (
    select known.event_hash_high, known.event_hash_low
    from read_parquet($files, hive_partitioning = false) as known
    anti join (
        from removals
        union all
        select event_hash_high, event_hash_low, $batch from removed_rows
    ) as removal
        on removal.event_hash_high = known.event_hash_high
        and removal.event_hash_low = known.event_hash_low
        and removal.batch > least(known.batch, $batch)
        and removal.batch <= greatest(known.batch, $batch)
    where known.timestamp between to_timestamp($oldest_ms / 1000.0) and to_timestamp($newest_ms / 1000.0)
) as known
where accepted_rows.event_hash_high = known.event_hash_high and accepted_rows.event_hash_low = known.event_hash_low
