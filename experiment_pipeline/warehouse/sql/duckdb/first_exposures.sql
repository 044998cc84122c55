-- One row per identity first exposed in the window (rules X1-X3), written as one Parquet file.
copy (
    select
        identity_hash,
        epoch_ms(first_exposure.exposed_at) as first_exposed_at_ms,
        first_exposure.variant as variant,
        lowest <> highest as quarantined
    from (
        select
            identity_hash,
            -- The smallest (time, variant): at equal times the smallest variant key is the first (X2).
            min({'exposed_at': timestamp, 'variant': value}) as first_exposure,
            min(value) as lowest,
            max(value) as highest
        from read_parquet($event_files)
        where event = $exposure_event
            and feature_name = $feature
            and timestamp >= $started_at
            and timestamp < $as_of
            and batch <= $data_version
        group by identity_hash
    )
) to $target (format parquet, compression zstd, kv_metadata {stamp: $stamp})
