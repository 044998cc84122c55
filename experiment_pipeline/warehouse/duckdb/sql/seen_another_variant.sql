-- Analysed identities that saw another variant of the flag in an earlier window, whatever else they saw (rule X11).
select count(*)::bigint
from read_parquet($first_exposures, hive_partitioning = false) as analysed
where not (analysed.quarantined and $exclude_quarantined)
    and analysed.entered_at_ms is not null
    and exists (
        select 1
        from read_parquet($event_files, hive_partitioning = false) as earlier
        where earlier.identity_hash = analysed.identity_hash
            and earlier.value <> analysed.variant
            and earlier.event = $exposure_event
            and earlier.feature_name = $feature
            and earlier.timestamp >= $started_at
            and earlier.timestamp < $as_of
            and earlier.batch <= $data_version
    )
