-- The events of one environment in files of the lake that came after a batch, as a warehouse's table of events has them.
copy (
    select
        $environment_key as environment_key,
        event,
        feature_name,
        identifier,
        value,
        timestamp,
        event_id,
        traits,
        metadata,
        $loaded_at::timestamptz as loaded_at
    from read_parquet($files, hive_partitioning = false)
    where batch > $loaded
) to $target (format parquet)
