-- How many rows of some files are to go with an identity (rule E6).
select count(*)
from read_parquet($files, hive_partitioning = false)
where (
        (identifier = $identifier or (event = $link_event and value = $identifier))
        and (timestamp < $before::timestamptz or landed_at < $before::timestamptz)
    )
    or (
        event = $removal_event
        and identity_hash = ((md5_number($identifier) >> 64)::hugeint - 9223372036854775808)::bigint
        and landed_at < $before::timestamptz
    )
