-- The least rights of an account that analyses in place, where Spark has a catalogue with rights (Databricks): it reads
-- one table. A folder is read with the rights of the process on its files.
grant select on events to `experiment_pipeline`;
