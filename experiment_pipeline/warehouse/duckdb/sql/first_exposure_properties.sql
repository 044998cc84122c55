-- The properties of the first exposure of each identity: of exposures at one time with one variant, those of the one
-- with the smallest hash (M15). `first_exposure` is a table of what `first_exposures` selects.
select
    identity_hash,
    property.value as value,
    property.numeric_value as numeric_value,
    property.traits as traits,
    property.metadata as metadata
from (
    select
        identity_hash,
        arg_min(
            struct_pack(value := events.value, numeric_value := numeric_value, traits := traits, metadata := metadata),
            (event_hash_high, event_hash_low)
        ) as property
    from read_parquet($event_files, hive_partitioning = false) as events
    join first_exposure using (identity_hash)
    where event = $exposure_event
        and feature_name = $feature
        and epoch_us(timestamp) = first_exposed_at_ms * 1000
        and timestamp >= $started_at
        and batch <= $data_version
        and events.value = variant
    group by identity_hash
)
