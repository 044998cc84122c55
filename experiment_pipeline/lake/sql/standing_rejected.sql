-- Rejected records that were not taken in again since; retried(object, batch, reason) says which were.
create temp view standing as
select *
from read_parquet($files, hive_partitioning = false) as rejected
where not exists (
    from retried
    where retried.object = rejected.object and retried.batch = rejected.batch and retried.reason = rejected.reason
)
