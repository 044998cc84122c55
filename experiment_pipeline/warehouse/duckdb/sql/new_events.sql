-- Events that the present data version sees and an earlier look's does not (E6): one that was removed and came again since is
-- no new one.
(
    select events.*
    from read_parquet($event_files, hive_partitioning = false) as events
    anti join read_parquet($removal_files, hive_partitioning = false) as removals
        on removals.event_hash_high = events.event_hash_high
        and removals.event_hash_low = events.event_hash_low
        and removals.batch > events.batch
        and removals.batch <= $data_version
    anti join (
        select known.event_hash_high, known.event_hash_low
        from read_parquet($event_files, hive_partitioning = false) as known
        semi join read_parquet($removal_files, hive_partitioning = false) as since
            on since.event_hash_high = known.event_hash_high
            and since.event_hash_low = known.event_hash_low
            and since.batch > $known_data_version
            and since.batch <= $data_version
        anti join read_parquet($removal_files, hive_partitioning = false) as before
            on before.event_hash_high = known.event_hash_high
            and before.event_hash_low = known.event_hash_low
            and before.batch > known.batch
            and before.batch <= $known_data_version
        where known.batch <= $known_data_version
    ) as seen
        on seen.event_hash_high = events.event_hash_high and seen.event_hash_low = events.event_hash_low
)
