-- The least rights of an account that analyses in place: it reads one table.
grant select on events to experiment_pipeline;
-- Where it stores first exposures (EXPERIMENT_PIPELINE_WAREHOUSE_WRITE=true), these as well:
-- grant create on schema public to experiment_pipeline;
