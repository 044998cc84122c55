-- Events that were removed after a look and are dated before it, by the identity that they were sent with: none of them is
-- an event that came.
select identity_hash, 0 as events
from read_parquet($removal_files, hive_partitioning = false)
where batch > $known_data_version
    and batch <= $data_version
    and timestamp < $known_as_of
