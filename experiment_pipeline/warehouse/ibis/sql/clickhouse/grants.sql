-- The least rights of an account that analyses in place: it reads one table.
grant select on events to experiment_pipeline;
-- Where it stores first exposures (EXPERIMENT_PIPELINE_WAREHOUSE_WRITE=true), these as well, on the database of events:
-- grant create table, drop table, insert, select on default.* to experiment_pipeline;
