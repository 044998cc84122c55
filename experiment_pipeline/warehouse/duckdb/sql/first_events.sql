-- One row per identity with any event in the window, from its first event there on: an experiment of everybody.
copy (
    select
        identity_hash,
        epoch_ms(min(timestamp)) as first_exposed_at_ms,
        'everybody' as variant,
        false as quarantined,
        epoch_ms(min(timestamp)) as entered_at_ms
    from read_parquet($event_files, hive_partitioning = false)
    where timestamp >= $started_at
        and timestamp < $as_of
        and batch <= $data_version
    group by identity_hash
    order by identity_hash
) to $target (format parquet, parquet_version v2, compression snappy, kv_metadata {stamp: $stamp})
