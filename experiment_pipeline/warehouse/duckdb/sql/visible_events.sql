-- Events without those that were removed (E6): a removal hides rows with its hash of smaller batches, from its own batch on.
(
    select events.*
    from read_parquet($event_files, hive_partitioning = false) as events
    anti join read_parquet($removal_files, hive_partitioning = false) as removals
        on removals.event_hash_high = events.event_hash_high
        and removals.event_hash_low = events.event_hash_low
        and removals.batch > events.batch
        and removals.batch <= $data_version
)
