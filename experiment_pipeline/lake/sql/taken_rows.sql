-- The rejected records that a batch takes in again; sources(object, name, batch, reason) says which.
create or replace temp table taken_rows as
select sources.object, rejected.line, rejected.position, rejected.record, rejected.reason
from read_parquet($files, hive_partitioning = false) as rejected
join sources
    on sources.name = rejected.object and sources.batch = rejected.batch and sources.reason = rejected.reason
order by sources.object, rejected.line, rejected.position
