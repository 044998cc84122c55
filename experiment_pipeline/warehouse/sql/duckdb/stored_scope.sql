-- The stamp that `first_exposures.sql` wrote beside the rows.
select decode(value) from parquet_kv_metadata($first_exposures) where decode(key) = 'stamp'
