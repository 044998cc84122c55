-- Those of the files that were written since rows say which source they are of.
select distinct file_name
from parquet_schema($files)
where name = 'source'
