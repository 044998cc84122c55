-- Generated events as a bulk load writes them, the fields of a record as columns.
copy (
    select
        event,
        feature_name,
        identifier,
        value,
        {'plan': 'pro', 'age': hash(identifier) % 80} as traits,
        {'sdk_version': '6.3.0'} as metadata,
        timestamp_ms as timestamp
    from read_parquet($files)
    where hash(identifier, timestamp_ms) % $objects = $object
    limit $rows
) to $target (format parquet)
